/* node: a whole server over the fake database in a child process, and sockets to talk to it. */
#ifndef TIDEMARK_TESTS_SUPPORT_NODE_H
#define TIDEMARK_TESTS_SUPPORT_NODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "server/server.h"

struct node {
    pid_t pid;
    int output; /* its stdout */
    char log_path[64];
    char banner[2048]; /* what it printed up to the ready line, which is included */
    uint16_t data_port;
    uint16_t http_port;
};

/* Start one on free ports. prepare (may be NULL) runs in the child, before server_run: it may steer
 * the fake and change the options. The fake runs in a thread of its own. Waits for the ready line;
 * false: the child ended without it. */
bool node_start(struct node *n, void (*prepare)(struct server_options *options));
/* Start and do not wait. */
void node_launch(struct node *n, void (*prepare)(struct server_options *options));
bool node_wait_ready(struct node *n);
void node_signal(struct node *n, int signal_number);
/* Wait for its end: its exit code, or 128 + the signal that ended it. Removes the log. */
int node_end(struct node *n);
/* SIGTERM and end. */
int node_stop(struct node *n);
/* What it wrote to stderr so far; lives until the next call. */
const char *node_log(const struct node *n);

/* A port of loopback that was free a moment ago. */
uint16_t node_free_port(void);
/* Until somebody listens there. */
void node_wait_listening(uint16_t port);

/* A TCP connection to the port; calls fail the test after 10 s. */
int wire_open(uint16_t port);
void wire_send(int fd, const void *bytes, size_t size);
void wire_say(int fd, const char *text);
/* Exactly size bytes. */
void wire_receive(int fd, void *out, size_t size);
/* Compares what comes with text. */
void wire_expect(int fd, const char *text);
/* Everything up to the end; lives until the next call. */
const char *wire_receive_all(int fd);
/* Is the next thing the end of the stream (or its reset)? */
bool wire_is_closed(int fd);
void wire_close(int fd);

#endif
