/* role_internal: what role.c (the machine), role_promote.c (taking the lead) and role_yield.c
 * (giving it up) share. Nobody else includes it. */
#ifndef TIDEMARK_ENGINE_ROLE_INTERNAL_H
#define TIDEMARK_ENGINE_ROLE_INTERNAL_H

#include "engine/inquire.h"
#include "engine/role.h"

#define ROLE_POLL_NS (1 * NS_PER_MS)

enum role_step {
    ROLE_QUIET,
    ROLE_ASKING,    /* promotion: the members */
    ROLE_DRAINING,  /* promotion: the link to the old leader ends */
    ROLE_SAVING,    /* promotion: identity */
    ROLE_BEGINNING, /* promotion: the first record */
    ROLE_TURNING,   /* a leader that was told to follow asks the one named */
    ROLE_LOOKING,   /* a deposed leader asks who leads now */
    ROLE_YIELDING,  /* identity, then the receiver */
};

struct role_machine {
    struct db *db;
    enum role_step step;
    struct env_timer timer; /* looks at what is under way, every millisecond */
    bool is_stopped;
    /* the operation that asked for the change; NULL: none */
    struct tide_run *run;
    struct op *op;
    struct inquiry *inquiry;
    struct inquire_reply *replies; /* of the last inquiry: copies */
    uint32_t reply_count;
    struct inquiry *announcement; /* the new epoch is told to those who may not know it */
    bool is_receiver_closing;
    bool is_receiver_closed;
    bool is_saving; /* identity */
    enum code save_code;
    uint64_t next_epoch;
    seqno epoch_start;
    /* a later epoch that was seen */
    uint64_t seen_epoch;
    char seen_address[ADDRESS_SIZE_MAX + 1];
    struct env_task seen_task;
};

/* role.c */
void role_enter(struct role_machine *r, enum role_step step);
/* The change is over: answer its operation, if there is one; e NULL: well. */
void role_end(struct role_machine *r, const struct err *e);
/* Save identity; is_saving turns false when it is done. */
void role_save(struct role_machine *r);
/* Ask these addresses, for the suspect time; false: no memory. */
MUST_CHECK bool role_ask(struct role_machine *r, const char *const *addresses, uint32_t count,
                         inquire_done done);
/* Keep what was answered and let go of the inquiry. */
void role_keep_replies(struct role_machine *r, const struct inquire_reply *replies, uint32_t count);

/* role_promote.c */
void role_promote(struct role_machine *r);
void role_promote_step(struct role_machine *r); /* DRAINING, SAVING, BEGINNING: look again */

/* role_yield.c */
void role_turn(struct role_machine *r);       /* OP_FOLLOW on a leader */
void role_depose(struct role_machine *r);     /* seen_epoch was seen */
void role_yield_step(struct role_machine *r); /* YIELDING: look again */

#endif
