/* demo_load: keyed writes against a leader that is killed in the middle of them, and the proof that
 * none that was acknowledged is gone and none took effect twice.
 *
 * Write n is a view of item n modulo LOAD_ITEMS with the idempotency key "demo-<run>-<n>". Writes
 * whose reply never came are sent again with the same key once the leader is back. Then each item
 * must have exactly the views that were sent.
 */
#ifndef TIDEMARK_CLI_DEMO_LOAD_H
#define TIDEMARK_CLI_DEMO_LOAD_H

#include "cli/nodes.h"

#define LOAD_ITEMS       64u
#define LOAD_OUTSTANDING 256u
#define LOAD_WRITES_MIN  5000u /* acknowledged before the kill */
#define LOAD_TIME_MIN_NS (300 * NS_PER_MS)

struct load {
    uint64_t run;                /* random, part of the keys */
    uint64_t sent;               /* writes 1 .. sent */
    uint64_t acknowledged;       /* writes 1 .. acknowledged: replies come in order */
    uint64_t acknowledged_seqno; /* of the newest acknowledged write */
    uint64_t unknown;            /* sent without a reply before the crash */
    uint64_t unknown_there;      /* of these, found in the log when they were sent again */
    uint64_t recovered_seqno;    /* where the leader stood after its restart */
    uint64_t down_ns;            /* from the kill to the first answer */
};

/* Write until enough is acknowledged, then kill the leader with writes in flight. */
MUST_CHECK enum code load_until_crash(struct load *load, struct node *leader, struct err *e);
/* Restart it and send the unknown writes again. */
MUST_CHECK enum code load_recover(struct load *load, struct nodes *nodes, struct err *e);
/* Every write has its effect exactly once on this node. */
MUST_CHECK enum code load_prove(const struct load *load, struct node *node, struct err *e);

#endif
