/* role_internal: what role.c (the machine), role_facts.c, role_promote.c (taking the lead),
 * role_fetch.c (getting back what was lost) and role_yield.c (giving the lead up) share. Nobody
 * else includes it. */
#ifndef TIDEMARK_ENGINE_ROLE_INTERNAL_H
#define TIDEMARK_ENGINE_ROLE_INTERNAL_H

#include "core/promote.h"
#include "engine/inquire.h"
#include "engine/role.h"
#include "engine/shipper.h"

#define ROLE_POLL_NS (1 * NS_PER_MS)

/* X(constant, name) */
#define ROLE_STEP_TABLE(X)                                                       \
    X(ROLE_QUIET, "quiet")                                                       \
    X(ROLE_ASKING, "asking")       /* promotion: the members */                  \
    X(ROLE_DRAINING, "draining")   /* ... the link to the old leader ends */     \
    X(ROLE_CLAIMING, "claiming")   /* ... the others promise the next epoch */   \
    X(ROLE_SAVING, "saving")       /* ... identity */                            \
    X(ROLE_BEGINNING, "beginning") /* ... the first record */                    \
    X(ROLE_TURNING, "turning")     /* told to follow: it asks the one named */   \
    X(ROLE_LOOKING, "looking")     /* deposed: it asks who leads now */          \
    X(ROLE_YIELDING, "yielding")   /* identity, then the receiver */             \
    X(ROLE_FETCHING, "fetching")   /* to lead, and a follower holds more */      \
    X(ROLE_UNABLE, "unable")       /* to lead, as it is to: it asks again */     \
    X(ROLE_HOLDING, "holding")     /* handover: writes wait for the successor */ \
    X(ROLE_PASSING, "passing")     /* ... identity */                            \
    X(ROLE_AWAITING, "awaiting")   /* ... the successor's epoch */               \
    X(ROLE_TAKING, "taking")       /* the successor: the old leader's link is still to be closed */
enum role_step {
#define X(constant, name) constant,
    ROLE_STEP_TABLE(X)
#undef X
};
#define ROLE_STEP_COUNT (ROLE_TAKING + 1)
const char *role_step_name(enum role_step step);
bool role_edge_is_allowed(enum role_step from, enum role_step to);

/* Fetching what this node lost. */
struct role_fetch {
    char address[ADDRESS_SIZE_MAX + 1];
    char node_id[NODE_ID_SIZE_MAX + 1];
    struct position until;     /* the end of that node's log, as it said */
    seqno seen;                /* end of this log when it was looked at last ... */
    uint64_t deadline_ns;      /* ... and how long it may stay there */
    char told[ERR_TEXT_SIZE];  /* the event that told of it last */
    char error[ERR_TEXT_SIZE]; /* why it ended early; "": it did not */
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
    bool is_receiver_closing;
    bool is_receiver_closed;
    bool is_saving; /* identity */
    enum code save_code;
    bool has_needed_force; /* before its claim; a leader that promised leads no longer */
    uint64_t next_epoch;
    uint64_t next_nonce; /* of a handover; 0: drawn when the epoch begins */
    seqno epoch_start;
    /* why it is to lead */
    bool is_starting;    /* identity said so when the node opened */
    bool is_succeeding;  /* it was handed the leadership */
    bool is_taking_back; /* the successor did not take it */
    char unable[ERR_TEXT_SIZE];
    char told[ERR_TEXT_SIZE]; /* of these reasons, the one that an event told last */
    enum role_step refused;   /* where a promotion that is refused goes back to */
    struct role_fetch fetch;
    /* a handover */
    struct successor successor;
    struct position passed; /* where this node's leadership ends, or began to be handed over */
    uint64_t held_ns;
    uint64_t deadline_ns;
    uint64_t ask_ns; /* when to ask again */
    /* looking after the others */
    struct env_timer watch;
    struct inquiry *watching;
    /* a later epoch that was seen */
    uint64_t seen_epoch;
    char seen_address[ADDRESS_SIZE_MAX + 1];
    struct env_task seen_task;
};

/* role.c */
void role_enter(struct role_machine *r, enum role_step step);
/* Answer the operation, if there is one: with `at`, or e. The change goes on. */
void role_answer(struct role_machine *r, const struct position *at, const struct err *e);
/* Writes that waited for the end of the change are judged now. */
void role_release_writes(struct role_machine *r);
/* The change is over: answer its operation with what is applied; e NULL: well. */
void role_end(struct role_machine *r, const struct err *e);
/* Save identity; is_saving turns false when it is done. */
void role_save(struct role_machine *r);
/* Ask these addresses, for the suspect time; false: no memory. */
MUST_CHECK bool role_ask(struct role_machine *r, const char *const *addresses, uint32_t count,
                         inquire_done done);
/* The same, and they are to promise this epoch's number. */
MUST_CHECK bool role_claim(struct role_machine *r, const char *const *addresses, uint32_t count,
                           uint64_t claim, inquire_done done);
/* Keep what was answered and let go of the inquiry. */
void role_keep_replies(struct role_machine *r, const struct inquire_reply *replies, uint32_t count);

/* role_facts.c */
/* An answer of another cluster, or of this node itself, counts for nothing. */
bool role_is_of_ours(const struct db *db, const struct inquire_reply *reply);
/* What is known of this node and of those that were asked; nodes has room for MEMBERS_MAX. */
struct promote_facts role_facts(const struct db *db, const struct inquire_reply *replies,
                                uint32_t count, struct promote_node *nodes);
/* The same for the operation under way. Once the epoch is claimed only those count that promised
 * it. */
struct promote_facts role_facts_now(const struct role_machine *r, bool is_claimed,
                                    struct promote_node *nodes);

/* role_promote.c */
/* Not OK: nothing began. */
MUST_CHECK enum code role_promote(struct role_machine *r, struct err *e);
void role_start_leading(struct role_machine *r); /* identity said leader when the node opened */
void role_take_back(struct role_machine *r);     /* from a successor that did not take it */
void role_succeed(struct role_machine *r);       /* with next_epoch, next_nonce, passed */
void role_promote_step(struct role_machine *r);  /* DRAINING to BEGINNING, UNABLE: look again */
uint64_t role_now(const struct role_machine *r);

/* It is to lead and may not now: it asks again in a while, and says why meanwhile. */
void role_stay_unable(struct role_machine *r, const char *sentence);
/* The link to whom this node follows, or fetches from, ends, if there is one. */
void role_close_receiver(struct role_machine *r);
/* It is closed, and what came over it is stored and applied; the receiver is gone then. */
MUST_CHECK bool role_is_receiver_gone(struct role_machine *r);

/* role_fetch.c */
/* Fetch what this node holds more of the same history. False: it cannot be fetched, or need not. */
MUST_CHECK bool role_fetch(struct role_machine *r, const struct inquire_reply *from);
void role_fetch_step(struct role_machine *r);

/* role_yield.c */
MUST_CHECK enum code role_turn(struct role_machine *r, struct err *e); /* OP_FOLLOW on a leader */
void role_depose(struct role_machine *r);                              /* seen_epoch was seen */
/* Whoever leads now is looked for, and followed; nobody found: whom seen_address names. */
void role_look(struct role_machine *r);
void role_yield_step(struct role_machine *r); /* YIELDING: look again */
/* Nothing is acknowledged from here on. A handover keeps its links, and nobody waits for it. */
void role_stop_leading(struct role_machine *r, const char *why, bool is_handover);
/* Identity: follower of this address; the caller saves it. */
void role_point_to(struct role_machine *r, const char *address, const char *data_address,
                   uint64_t epoch);
void role_turn_to(struct role_machine *r, const char *address, const char *data_address,
                  uint64_t epoch);
/* Of our cluster, another node, and it leads in an epoch of at least this number; the best one.
 * NULL: none of those that answered. */
const struct inquire_reply *role_find_leader(const struct role_machine *r,
                                             const struct inquire_reply *replies, uint32_t count,
                                             uint64_t at_least);

/* role_handover.c */
MUST_CHECK enum code role_handover(struct role_machine *r, struct err *e);
void role_handover_step(struct role_machine *r);

/* role_watch.c */
void role_watch_start(struct role_machine *r);
void role_watch_stop(struct role_machine *r);

#endif
