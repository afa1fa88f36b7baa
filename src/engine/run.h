/* run: a list of operations handed over at once; the engine's side of tide_run.
 * Built by one thread, then owned by the loop from submit to completion. */
#ifndef TIDEMARK_ENGINE_RUN_H
#define TIDEMARK_ENGINE_RUN_H

#include "base/heap.h"
#include "base/types.h"
#include "core/level.h"
#include "format/record.h"
#include "tidemark.h"

#define RUN_OPS_MAX 65536u

/* Every operation, in the order of tide_run_<call> in the header, and what it does to the log.
 * WRITES: takes the gate, refused on followers. ASKS: asks the state, with read options. READS: all
 * others.
 * An entity is an item, a user or a creator: three calls share a row.
 * X(constant, call, access) */
#define OP_TABLE(X)                            \
    X(OP_SIGNAL, signal, WRITES)               \
    X(OP_SIGNALS, signals, WRITES)             \
    X(OP_GROUP_BEGIN, begin, WRITES)           \
    X(OP_GROUP_END, end, WRITES)               \
    X(OP_UNSIGNAL, unsignal, WRITES)           \
    X(OP_SCHEMA_SIGNAL, schema_signal, WRITES) \
    X(OP_SCHEMA_FIELD, schema_field, WRITES)   \
    X(OP_ENTITY_PUT, entity_put, WRITES)       \
    X(OP_ENTITY_DELETE, entity_delete, WRITES) \
    X(OP_PRODUCER_SKIP, producer_skip, WRITES) \
    X(OP_MEMBER_ADD, member_add, WRITES)       \
    X(OP_MEMBER_REMOVE, member_remove, WRITES) \
    X(OP_MEMBERS, members, READS)              \
    X(OP_PRODUCER, producer, ASKS)             \
    X(OP_SCORE, score, ASKS)                   \
    X(OP_COUNT, count_of, ASKS)                \
    X(OP_RATE, rate, ASKS)                     \
    X(OP_TREND, trend, ASKS)                   \
    X(OP_RETRIEVE, retrieve, ASKS)             \
    X(OP_ENTITY_GET, entity_get, ASKS)         \
    X(OP_SCHEMA_SHOW, schema_show, ASKS)       \
    X(OP_POSITION, position, READS)            \
    X(OP_DIGEST, digest, READS)                \
    X(OP_CHECKPOINT, checkpoint, READS)        \
    X(OP_LOG_SEAL, log_seal, READS)            \
    X(OP_WAIT, wait, READS)                    \
    X(OP_ITEMS, items, ASKS)                   \
    X(OP_STATUS, status, READS)                \
    X(OP_METRICS, metrics, READS)              \
    X(OP_REPLICATE, replicate, READS)          \
    X(OP_LISTEN, listen, READS)                \
    X(OP_CLOCK, clock, READS)                  \
    X(OP_CONFIGURE, configure, READS)          \
    X(OP_WAIT_POSITION, wait_position, READS)  \
    X(OP_PLAN, plan, READS)                    \
    X(OP_SLOT_DROP, slot_drop, READS)          \
    X(OP_SLOT_RENAME, slot_rename, READS)      \
    X(OP_PROMOTE, promote, READS)              \
    X(OP_FOLLOW, follow, READS)                \
    X(OP_HANDOVER, handover, READS)
enum op_kind {
#define X(constant, call, access) constant,
    OP_TABLE(X)
#undef X
        OP_KIND_COUNT
};
const char *op_call_name(enum op_kind kind); /* "tide_run_signal" */
bool op_is_write(enum op_kind kind);         /* takes the gate; refused on followers */
bool op_is_of_state(enum op_kind kind);      /* asks the state: read options count */

/* One signal as given; slices are borrowed from the caller until completion. */
struct op_entry {
    struct slice type; /* also: profile, schema name, field name */
    struct slice item;
    struct slice user; /* also: window */
    struct slice key;  /* idempotency key of this entry */
    double weight;
    int64_t at_ms; /* event time; also: at, now, timeout */
};

/* `more` of the entity operations. Of a get only the names of the fields count. */
struct op_entity {
    uint8_t kind; /* enum entity_kind */
    uint32_t count;
    struct tide_field fields[];
};

/* The level of a write: what was asked for, and the wait for it (engine/levels.c). */
struct op_level {
    struct level level; /* LEVEL_DEFAULT: the database's */
    bool on_miss_is_set;
    uint8_t on_miss;      /* enum tide_on_miss */
    uint8_t class_;       /* 1 + its class; 0: decided, or not waited for */
    uint64_t deadline_ms; /* 0: the database's */
    uint64_t since_ns;    /* when it was taken up */
};

/* What a read of the state asks for beyond its answer. */
struct op_read {
    bool has_max_stale;
    bool is_committed;
    uint64_t max_stale_ns;
    seqno after; /* 0: nothing */
    uint64_t after_epoch;
    uint8_t after_chain4[4];
    uint64_t deadline_ms; /* 0: the database's */
};

struct op {
    uint8_t kind;    /* enum op_kind */
    bool is_explain; /* of a retrieve; also: forced, the loss is accepted */
    bool is_waiting; /* a write whose position is filled in when it is applied */
    uint32_t count;  /* entries; followers to wait for; excludes */
    struct op_entry entry;
    struct slice record_key;                /* covers the whole record; also: cursor */
    struct slice producer;                  /* also: where */
    uint64_t epoch;                         /* of a position waited for or expected */
    uint8_t chain4[4];                      /* of a position expected */
    uint64_t number;                        /* producer number; seqno; limit; field kind */
    const struct tide_transport *transport; /* borrowed; NULL: TCP */
    void *more; /* entries, excludes, schema or options: malloc'ed, freed at reset */
    struct op_level level;
    struct op_read *read; /* malloc'ed, freed at reset; NULL: the database's defaults */
    uint64_t until_ns;    /* when it is answered at the latest; 0: not taken up yet */
    struct tide_result result;
};

struct tide_run {
    struct op *ops;
    uint32_t count;
    uint32_t capacity;
    /* While it runs; loop thread. */
    uint32_t cursor;       /* next operation to judge */
    uint32_t filled;       /* operations whose write positions are filled in */
    seqno pending;         /* highest seqno its writes so far wait for; 0 none */
    struct tide_run *next; /* in the queue it waits in */
    uint32_t undecided;    /* writes whose level is waited for: engine/levels.c */
    uint32_t level_cursor; /* the first of them */
    struct heap_node by_seqno;
    struct heap_node by_deadline;
    uint8_t wait_kind; /* engine/waits.c */
    tide_callback callback;
    void *callback_arg;
    tide_callback user_callback; /* of the public call; callback is the api's own */
    void *user_arg;
    uint64_t submitted_ns;
    struct run_text *texts;
    bool is_submitted;
};

/* The next operation, zeroed but for its kind. NULL and index -1: no memory, or the run is full. */
struct op *run_add(struct tide_run *run, enum op_kind kind, int32_t *out_index);
void run_take_options(struct op *op, const struct tide_write_options *options); /* NULL allowed */

/* Memory for a result, freed with the run's reset. NULL: no memory. */
void *run_take(struct tide_run *run, size_t size);

#endif
