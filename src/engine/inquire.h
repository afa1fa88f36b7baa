/* inquire: who is there and what do they hold? One inquiry asks up to MEMBERS_MAX addresses at the
 * same time, each over a short link of its own, and ends when all have answered or failed, at the
 * latest at its deadline. Any node answers (inquire_answer), whatever its role.
 *
 * Nothing is decided here; an answer is what a peer said, to be judged by core/promote. Never
 * blocks. Owner: the loop thread.
 */
#ifndef TIDEMARK_ENGINE_INQUIRE_H
#define TIDEMARK_ENGINE_INQUIRE_H

#include "engine/db.h"
#include "format/wire.h"

/* What one address answered. Strings are copies. */
struct inquire_reply {
    char address[ADDRESS_SIZE_MAX + 1]; /* where it was asked */
    bool has_answered;
    char why[ERR_TEXT_SIZE]; /* it has not: the reason */
    char node_id[NODE_ID_SIZE_MAX + 1];
    char data_address[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1];
    char leader_address[ADDRESS_SIZE_MAX + 1];
    struct wire_standing standing; /* its slices are empty: see the strings above */
};

struct inquiry;
/* replies: one for each address asked, in that order; borrowed until inquiry_free. */
typedef void (*inquire_done)(void *arg, const struct inquire_reply *replies, uint32_t count);

struct inquire_options {
    uint64_t timeout_ns;
    uint64_t claim; /* an epoch's number that the others are to promise; 0: they are only asked */
};

/* Ask; done is called once, later, on the loop. addresses are copied; more than MEMBERS_MAX are not
 * asked. NULL: no memory. */
struct inquiry *inquiry_start(struct db *db, const char *const *addresses, uint32_t count,
                              const struct inquire_options *options, inquire_done done, void *arg);
/* Also before done, which is then never called. Links that are open are closed; the memory goes
 * with the last of them. NULL allowed. */
void inquiry_free(struct inquiry *q);

/* Every inquiry of a db whose links are not closed yet: a db closes when there is none. */
bool inquire_is_quiet(const struct db *db);
/* Free what is left without any I/O: the process ended. */
void inquire_abandon(struct db *db);

/* What this node says of itself. Slices borrow db. */
void inquire_standing(const struct db *db, struct wire_standing *out);

#endif
