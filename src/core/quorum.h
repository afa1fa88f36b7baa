/* quorum: which records have which level now, and which are committed: questions about what the
 * followers told, asked by one pure function each.
 *
 * A copy counts only when a handshake proved its history in this epoch, its log takes writes, and
 * it stores this epoch's first record: a copy of an older epoch's record alone can still be
 * overruled by a leader that never saw it (Raft's figure 8). So nothing has a level beyond local
 * before the epoch's first record has it, and with that record everything before it has it, too.
 *
 * Every answer is a watermark: the highest record that has the level; all before it have it. It may
 * go back when a copy is lost. test_quorum.c compares with counting copies record by record.
 *
 * Never allocates, keeps nothing.
 */
#ifndef TIDEMARK_CORE_QUORUM_H
#define TIDEMARK_CORE_QUORUM_H

#include "base/text.h"
#include "core/level.h"
#include "format/slotfile.h"

/* What one follower holds. */
struct quorum_copy {
    seqno stored;
    seqno applied;
    uint16_t region;
    bool is_vouched; /* proved equal in this epoch, and its log takes writes */
    bool is_lost;    /* its slot was invalidated */
    bool is_ready;   /* connected, heard of lately, within credit: it can be expected to answer */
    bool is_voter;
};

struct quorum {
    seqno durable;     /* of the leader */
    seqno epoch_start; /* first record of its epoch */
    uint16_t region;   /* where it stands */
    bool is_voter;
    bool is_catalogue_lost; /* there may be followers that nobody knows */
    uint32_t voter_count;   /* all voters, also those without a slot, and the leader if it is one */
    uint32_t count;
    struct quorum_copy copies[SLOTS_MAX];
};

/* The highest record that has the level; 0: none has. Of majority without voters: 0. */
seqno quorum_reached(const struct quorum *q, const struct level *level);
/* Highest record stored by a majority of the voters; without voters by every unlost follower;
 * without followers the leader's durable end. 0 before the epoch's first record is. */
seqno quorum_committed(const struct quorum *q);
/* Of a record that is durable here, what of `asked` it has: the same kind with as many copies as
 * there are, else stored by as many as there are, else local. */
struct level quorum_level_of(const struct quorum *q, seqno s, const struct level *asked);

/* Could the level ever be reached as things are set up? False: *why is one sentence. */
bool quorum_is_possible(const struct quorum *q, const struct level *level, struct text *why);
/* Are enough followers connected and within credit? False: *why names need and have. */
bool quorum_is_expected(const struct quorum *q, const struct level *level, struct text *why);
/* "2 of 3 followers stored it": for the sentence of a miss. */
void quorum_explain(const struct quorum *q, seqno s, const struct level *level, struct text *why);

#endif
