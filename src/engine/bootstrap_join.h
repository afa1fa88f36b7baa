/* bootstrap_join: this node takes the state of another one. It begins when a leader's plan says so
 * and goes on, over lost links and restarts of either side, until the copy is whole; then it is
 * switched to (engine/generation) by opening the data anew. Until then what this node held is
 * served on, flagged `rebootstrapping`.
 *
 * What to ask for is decided by core/bootstrap; here bytes move: a link of its own to the node that
 * is copied from, jobs that look for blocks that are there already (staging/, own checkpoints),
 * verify and write what arrives, and finish the copy.
 * Owner: the loop thread; part of the receiver, which it stands in for. */
#ifndef TIDEMARK_ENGINE_BOOTSTRAP_JOIN_H
#define TIDEMARK_ENGINE_BOOTSTRAP_JOIN_H

#include "core/bootstrap.h"
#include "engine/db.h"

struct bootstrap_join;

/* Begin, for the reason that the leader gave: network NULL is TCP. NULL: no memory. gave_up is
 * called when a copy can no longer be made here and the leader must be asked again. */
struct bootstrap_join *bootstrap_join_new(struct db *db, struct env_network *network,
                                          const char *address, const char *why,
                                          void (*gave_up)(void *arg), void *arg);
/* End the link and stop jobs; closed(arg) when that is over, perhaps before this returns. */
void bootstrap_join_close(struct bootstrap_join *j, void (*closed)(void *arg), void *arg);
void bootstrap_join_free(struct bootstrap_join *j); /* NULL allowed; closed, or the process died */

struct bootstrap_join_status {
    const char *state;  /* a word */
    const char *reason; /* why the link failed last; "" while all is well */
    const char *why;    /* why this node copies */
    seqno mark;
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t done_blocks;
    uint64_t total_blocks;
    uint64_t fetched_bytes;
    uint64_t rebases;
    double bytes_per_second; /* fetched, since it began */
    double eta_seconds;      /* INFINITY: not known */
};
void bootstrap_join_status(const struct bootstrap_join *j, struct bootstrap_join_status *out);

#endif
