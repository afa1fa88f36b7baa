/* client_run: one run of a client: what each operation of it is about, so that its result can be
 * judged. The bytes that the run borrows live here. */
#ifndef TIDEMARK_TESTS_SIM_CLIENT_RUN_H
#define TIDEMARK_TESTS_SIM_CLIENT_RUN_H

#include "sim/checks.h"
#include "sim/cluster.h"

#define CLIENT_SLOTS_MAX   320u
#define CLIENT_ENTRIES_MAX 16u
#define CLIENT_BULK_MAX    3000u /* entries of one record that fills a segment or two */
#define CLIENT_RETRIES_MAX 4096u
#define CLIENT_PATIENCE_NS (90 * NS_PER_S)
#define CLIENT_GRACE_NS    (5 * NS_PER_S) /* beyond what a run asked for as its longest wait */

enum slot_kind {
    SLOT_WRITE,
    SLOT_MEMBER, /* a write inside a group */
    SLOT_FRAME,  /* begin and end of a group */
    SLOT_POSITION,
    SLOT_COUNT,
    SLOT_DOC,
    SLOT_SCORE,
    SLOT_PRODUCER,
    SLOT_RETRIEVE,
    SLOT_DIGEST,
    SLOT_STATUS,
    SLOT_WAIT,
    SLOT_OTHER,     /* checkpoint, seal, items, metrics, schema: any answer that is no damage */
    SLOT_FRESH,     /* a count that says how fresh it must be: r->fresh */
    SLOT_FORBIDDEN, /* a write on a follower */
};

struct client_slot {
    enum slot_kind kind;
    uint32_t write; /* of the model */
    uint8_t type;
    uint8_t item;
    uint64_t number; /* producer; seqno waited for; mark of a digest */
    int64_t at_ms;
};

struct client_run {
    struct client_run *next; /* of the node */
    struct cluster *cluster;
    struct client *client; /* NULL: an audit */
    tide_run *run;
    uint32_t node;
    struct check_asked asked;
    uint64_t acked_before;
    bool is_reader;                 /* one read of sim/fresh, no audit */
    struct tide_read_options fresh; /* what it asks for */
    uint64_t patience_ns;           /* it must have its answer within */
    uint32_t slot_count;
    struct client_slot slots[CLIENT_SLOTS_MAX];
    /* Memory that the operations borrow: given out in pieces, freed with the run. */
    struct client_piece {
        struct client_piece *next;
        char bytes[];
    } * pieces;
};

struct client {
    struct cluster *cluster;
    uint32_t index;
    struct client_run *run;   /* in flight; NULL: none */
    uint64_t producer_number; /* last one used */
    uint64_t waits_until_ns;  /* after a refusal */
    uint32_t retries[CLIENT_RETRIES_MAX];
    uint32_t retry_count;
};

struct client_run *client_run_new(struct cluster *c, struct client *client, uint32_t node);
/* Hand it to its node, which must be ready. */
void client_run_submit(struct client_run *r);
void client_run_free(struct client_run *r);

/* Operations. Each returns without effect when the run is full. A write without entries is a
 * producer's number that is skipped. */
void client_run_write(struct client_run *r, uint32_t write);
/* All writes of a group, which are next to each other in the model, in one frame. */
void client_run_group(struct client_run *r, uint32_t first);
/* For docs.c: memory that lives as long as the run, and the slot of the operation just added. */
char *client_run_piece(struct client_run *r, size_t size);
struct client_slot *client_run_slot(struct client_run *r, enum slot_kind kind, int32_t index);
bool client_run_is_full(const struct client_run *r);
void client_run_position(struct client_run *r);
void client_run_count(struct client_run *r, uint8_t type, uint8_t item);
/* A count with conditions; one of them in a run. */
void client_run_fresh(struct client_run *r, uint8_t type, uint8_t item,
                      const struct tide_read_options *options);
void client_run_score(struct client_run *r, uint8_t type, uint8_t item, int64_t at_ms);
void client_run_producer(struct client_run *r, uint32_t producer);
void client_run_retrieve(struct client_run *r, uint8_t type, uint32_t limit, int64_t now_ms);
void client_run_digest(struct client_run *r, uint64_t mark);
void client_run_status(struct client_run *r);
void client_run_wait(struct client_run *r, uint64_t at_least, uint32_t followers,
                     uint64_t timeout_ms);
enum client_other { OTHER_CHECKPOINT, OTHER_SEAL, OTHER_ITEMS, OTHER_METRICS, OTHER_SCHEMA };
void client_run_other(struct client_run *r, enum client_other what);
void client_run_forbidden(struct client_run *r);

/* Judge every result. */
void client_judge(struct client_run *r);
/* The node died: nothing is known of the writes. */
void client_give_up(struct client_run *r);
void client_retry_later(struct client *client, uint32_t write);

#endif
