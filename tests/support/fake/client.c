/* client: see client.h. */
#include "support/fake/client.h"

#include "base/assert.h"
#include "server/commands.h"

#include <stdlib.h>

static struct service service;
static struct server_options options;
static int stops;
static _Atomic int wakes; /* any thread */
static char *taken;

static struct client *client_of(struct conn *conn)
{
    return CONTAINER_OF(conn, struct client, conn);
}

static void hook_send(struct conn *conn, struct out *bytes)
{
    out_bytes(&client_of(conn)->received, bytes->data, bytes->size);
}

static void hook_finish(struct conn *conn)
{
    client_of(conn)->is_finished = true;
}

static void hook_update(struct conn *conn)
{
    client_of(conn)->updates++;
}

static void hook_release(struct conn *conn)
{
    client_of(conn)->is_released = true;
    conn_fini(conn);
}

static void hook_wake(struct service *s)
{
    (void)s;
    wakes++;
}

static void hook_stop(struct service *s)
{
    (void)s;
    stops++;
}

struct service *client_service(void)
{
    static const struct service_hooks hooks = {
        .send = hook_send,
        .finish = hook_finish,
        .update = hook_update,
        .release = hook_release,
        .wake = hook_wake,
        .stop = hook_stop,
    };
    fake_reset();
    commands_init();
    server_options_init(&options);
    service_init(&service, &options, &hooks);
    atomic_store(&service.database, fake_open());
    stops = 0;
    wakes = 0;
    return &service;
}

void client_service_end(void)
{
    service_fini(&service);
    ASSERT(atomic_load(&service.alloc.used_bytes) == 0);
    free(taken);
    taken = NULL;
    fake_reset();
}

int client_stops(void)
{
    return stops;
}

int client_wakes(void)
{
    return wakes;
}

void client_open(struct client *c)
{
    *c = (struct client){.is_finished = false};
    out_init(&c->received, &service.alloc);
    conn_init(&c->conn, &service, "127.0.0.1:50000");
}

void client_close(struct client *c)
{
    out_fini(&c->received);
    if (conn_closed(&c->conn)) conn_fini(&c->conn);
}

void client_complete(void)
{
    while (atomic_load(&service.completed) != NULL) {
        service_complete(&service);
    }
}

void client_send(struct client *c, const void *bytes, size_t size)
{
    const uint8_t *at = bytes;
    while (size > 0 && !c->is_finished) {
        size_t room_size = 0;
        uint8_t *room = conn_room(&c->conn, &room_size);
        ASSERT(room != NULL && room_size > 0);
        size_t n = size < room_size ? size : room_size;
        memcpy(room, at, n);
        conn_received(&c->conn, n);
        client_complete();
        at += n;
        size -= n;
    }
}

void client_say(struct client *c, const char *text)
{
    client_send(c, text, strlen(text));
}

const char *client_take(struct client *c)
{
    free(taken);
    taken = malloc(c->received.size + 1);
    ASSERT(taken != NULL);
    if (c->received.size > 0) memcpy(taken, c->received.data, c->received.size);
    taken[c->received.size] = '\0';
    out_reset(&c->received, 0);
    return taken;
}

const char *client_ask(struct client *c, const char *text)
{
    client_say(c, text);
    return client_take(c);
}
