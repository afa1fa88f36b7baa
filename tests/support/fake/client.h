/* client: connections of the server without sockets, over the fake database: what a client sends,
 * and what it would receive. */
#ifndef TIDEMARK_TESTS_SUPPORT_CLIENT_H
#define TIDEMARK_TESTS_SUPPORT_CLIENT_H

#include "server/conn.h"
#include "server/service.h"
#include "support/fake/fake_tide.h"

struct client {
    struct conn conn;
    struct out received;
    bool is_finished; /* the server asked to close */
    bool is_released; /* after its last turn came back */
    int updates;
};

/* One service for all clients of a test. Options are the defaults. fake_reset and fake_open are
 * called. */
struct service *client_service(void);
/* Asserts that nothing leaked. */
void client_service_end(void);
/* How often a connection asked to stop the server, and to wake the loop. */
int client_stops(void);
int client_wakes(void);

void client_open(struct client *c);
/* Close the socket, as the client's end does. */
void client_close(struct client *c);
/* The bytes arrive; as much as there is room for at a time. What the database answers at once is
 * taken in. */
void client_send(struct client *c, const void *bytes, size_t size);
void client_say(struct client *c, const char *text); /* a text */
/* Take in what the database has done. */
void client_complete(void);
/* What came since the last call, as a text; lives until the next call. */
const char *client_take(struct client *c);
/* Send text and take what comes. */
const char *client_ask(struct client *c, const char *text);

#endif
