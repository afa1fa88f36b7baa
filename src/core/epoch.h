/* epoch: questions about a table of leaderships: which epoch a record belongs to, where two
 * histories part, whether a write is visible, still to come, or lost in a change of epoch.
 *
 * A table is ascending in epoch number and in start; entry i owns the records from its start up to
 * the next entry's start - 1 (the newest: without end). It may have forgotten its oldest entries;
 * it is whole when its first entry starts at seqno 1. An epoch number that a whole table skips was
 * a leadership of which nothing was kept.
 *
 * Never: allocates, keeps state, trusts a table that came from a peer (epoch_table_is_valid first).
 */
#ifndef TIDEMARK_CORE_EPOCH_H
#define TIDEMARK_CORE_EPOCH_H

#include "base/error.h"
#include "base/types.h"
#include "format/identity.h"

/* A borrowed view. `last` is the end of the log that the table describes. */
struct epoch_table {
    const struct epoch_entry *entries;
    uint32_t count;
    seqno last;
};

/* Ascending numbers and starts, no number or start of 0. True for an empty table. */
bool epoch_table_is_valid(const struct epoch_table *t);
/* Nothing older was forgotten. */
bool epoch_table_is_whole(const struct epoch_table *t);

/* The entry that owns record s; NULL for seqno 0 and for records older than the table. */
const struct epoch_entry *epoch_of(const struct epoch_table *t, seqno s);
/* The last record of entry `index`: the next one's start - 1, or the end of the log. */
seqno epoch_end(const struct epoch_table *t, uint32_t index);

/* Where two histories are the same. Records up to `end` are common; a side whose log ends beyond it
 * has records that the other lacks. `shared` is the newest leadership that both have (number 0:
 * none). is_known is false when the tables are too short to tell. */
struct epoch_common {
    bool is_known;
    seqno end;
    struct epoch shared;
    bool is_mine_open;   /* my log ends inside `shared`: I have no later epoch */
    bool is_theirs_open; /* theirs does */
};
struct epoch_common epoch_common_of(const struct epoch_table *mine,
                                    const struct epoch_table *theirs);

/* X(constant, meaning) */
#define TOKEN_VERDICT_TABLE(X)                                               \
    X(TOKEN_VISIBLE, "applied here")                                         \
    X(TOKEN_NOT_YET, "of this history or a later one, not applied here yet") \
    X(TOKEN_LOST, "given up in a change of epoch")                           \
    X(TOKEN_IMPOSSIBLE, "no write of that epoch ever had this number")       \
    X(TOKEN_FORGOTTEN, "older than the table: cannot be judged")
enum token_verdict {
#define X(constant, meaning) constant,
    TOKEN_VERDICT_TABLE(X)
#undef X
};

/* Is the write (epoch, s) visible in a state applied up to `applied`? For TOKEN_LOST *out_lost_to
 * is the epoch that replaced it ("lost in the change of epoch 7->8"); else 0. Of the table only
 * what is applied counts: entries that start beyond `applied` still prove a loss. */
enum token_verdict epoch_judge_token(const struct epoch_table *t, uint64_t epoch, seqno s,
                                     seqno applied, uint64_t *out_lost_to);

/* Copy the newest leaderships of which the log holds a record (their start is at most `last`).
 * Returns how many. */
uint32_t epoch_copy_newest(const struct epoch_table *t, struct epoch_entry *out, uint32_t capacity);

/* Add a leadership at the end; the oldest is forgotten when the table is full. An entry that is
 * already the newest is a success without effect (replay). E_FENCED for a number that is not
 * higher, E_CORRUPT for a start that is not. */
MUST_CHECK enum code epoch_append(struct epoch_entry *entries, uint32_t capacity, uint32_t *count,
                                  const struct epoch_entry *added, struct err *e);

#endif
