/* nodes: servers as child processes of the demo and the benchmarks: a directory, a log file and a
 * connection each. Whatever happens, nodes_stop_all leaves no process behind; the kernel kills them
 * when this process dies.
 */
#ifndef TIDEMARK_CLI_NODES_H
#define TIDEMARK_CLI_NODES_H

#include "base/error.h"
#include "cli/resp_client.h"
#include "env/host.h"

#define NODE_ADDRESS_SIZE 64
#define NODES_MAX         9 /* a leader and eight followers */
#define NODE_ANSWER_MS    60000

struct node {
    char name[16];
    char dir[HOST_PATH_SIZE];
    char log_path[HOST_PATH_SIZE];
    char data[NODE_ADDRESS_SIZE]; /* "" before the first start; kept over a restart */
    char http[NODE_ADDRESS_SIZE];
    char replication[NODE_ADDRESS_SIZE];
    struct host_child child;
    struct resp_client client;
};

struct nodes {
    char program[HOST_PATH_SIZE];
    char dir[HOST_PATH_SIZE];    /* "" before nodes_init */
    struct node list[NODES_MAX]; /* the first one leads */
    size_t count;
};

/* Make the common directory below parent (NULL: where temporary files go). */
MUST_CHECK enum code nodes_init(struct nodes *nodes, const char *parent, const char *prefix,
                                struct err *e);
/* Add a node and start it; the first leads, others follow it. Waits until it is ready and connects.
 * *out is borrowed. */
MUST_CHECK enum code nodes_add(struct nodes *nodes, const char *name, struct node **out,
                               struct err *e);
/* Start a node that was killed, on its directory and ports. */
MUST_CHECK enum code nodes_restart(struct nodes *nodes, struct node *node, struct err *e);
/* Kill all, close all. Harmless at any stage. */
void nodes_stop_all(struct nodes *nodes);
/* nodes_stop_all, then remove the directory. */
void nodes_fini(struct nodes *nodes, bool keeps_dir);
/* The last lines of every node's log on stderr, after a failure. */
void nodes_show_logs(const struct nodes *nodes);

/* Ask one node; the reply is borrowed until the next call of that node. */
MUST_CHECK enum code node_call(struct node *node, const char *words, const struct resp_value **out,
                               struct err *e);
/* Applied record number of a node, by POSITION; 0 while it loads. */
MUST_CHECK enum code node_position(struct node *node, uint64_t *out_seqno, struct err *e);
/* The number in "epoch-seqno-chain"; 0 when it is none. */
uint64_t token_seqno(struct slice token);

/* Wait until every follower applied what the leader has, then compare digests at one position; out
 * gets "seqno:hex" and how long the wait took. Fails when a follower stands still for 30 s, or
 * when digests differ. */
struct nodes_equality {
    char digest[128];
    uint64_t seqno;
    uint64_t wait_ns;
};
MUST_CHECK enum code nodes_wait_equal(struct nodes *nodes, struct nodes_equality *out,
                                      struct err *e);

#endif
