/* divergence: the state of this node is not what the log says. Found at a mark, by its root or by a
 * block whose memory changed by itself. From then on the node vouches for nothing: acks say so,
 * copies here count for no level, reads are refused. It asks the leader for its blocks at that
 * mark, to name the one that differs, and repairs itself:
 *
 *   1st time   forget the checkpoints cut after the newest mark that was equal, and open anew: the
 *              state is made again from an older one and the log
 *   2nd time, or no checkpoint to go back to
 *              copy the leader's state; only blocks that differ move
 *   3rd time   stay as it is: it is no accident
 *
 * A mark that is equal begins the count again. On a leader a rotten block halts the node: what it
 * says would be taken for the truth. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_DIVERGENCE_H
#define TIDEMARK_ENGINE_DIVERGENCE_H

#include "engine/mark_blocks.h"
#include "env/env.h"
#include "format/wire.h"

struct db;

/* Lives as long as the process has the directory open, over reopenings. */
struct divergence {
    uint32_t attempts; /* repairs since the newest equal mark */
    seqno equal;       /* newest mark that was equal; 0: none yet */
    seqno mark;        /* at which it was found */
    bool is_open;      /* found, and not repaired yet */
    bool is_asking;    /* the leader for its blocks at the mark */
    struct mark_blocks mine;
    uint8_t *bytes; /* of the leader's manifest at the mark */
    uint64_t size;
    uint64_t got;
    struct env_timer timer;
    /* for the next opening: forget checkpoints beyond `equal` */
    bool is_going_back;
};

void divergence_init(struct db *db);
void divergence_fini(struct db *db);
/* A mark was compared. */
void divergence_equal(struct db *db, seqno mark);
/* The roots at mine->at differ; mine is copied. */
void divergence_found(struct db *db, const struct mark_blocks *mine);
/* The bytes of a block in memory are not what they were. */
void divergence_rotten(struct db *db, seqno mark, struct block_id block);
/* A piece of what the leader was asked for. E_PROTOCOL ends the link. */
MUST_CHECK enum code divergence_take(struct db *db, const struct wire_piece *piece, struct err *e);
/* While opening, in a job: forget what must not be loaded. */
MUST_CHECK enum code divergence_settle(struct db *db, struct err *e);

#endif
