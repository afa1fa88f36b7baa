/* run: a list of operations handed over at once; the engine's side of tide_run.
 * Built by one thread, then owned by the loop from submit to completion. */
#ifndef TIDEMARK_ENGINE_RUN_H
#define TIDEMARK_ENGINE_RUN_H

#include "base/types.h"
#include "format/record.h"
#include "tidemark.h"

#define RUN_OPS_MAX 65536u

enum op_kind {
    OP_SIGNAL,         /* one entry, one record unless inside a group */
    OP_SIGNALS,        /* n entries, one record */
    OP_GROUP_BEGIN,
    OP_GROUP_END,
    OP_UNSIGNAL,
    OP_SCHEMA_SIGNAL,
    OP_PRODUCER_SKIP,
    OP_PRODUCER,
    OP_SCORE,
    OP_COUNT,
    OP_RETRIEVE,
    OP_SCHEMA_SHOW,
    OP_POSITION,
    OP_DIGEST,
    OP_CHECKPOINT,
    OP_LOG_SEAL,
    OP_WAIT,
    OP_ITEMS,
    OP_STATUS,
    OP_METRICS,
    OP_KIND_COUNT
};
bool op_is_write(enum op_kind kind); /* takes the gate; refused on followers */

struct op {
    uint8_t kind;               /* enum op_kind */
    bool is_weight_set;
    uint8_t small;              /* schema: mode << 1 | negative */
    uint32_t count;             /* entries; followers; limit */
    struct slice type;          /* type, profile, producer or name */
    struct slice item;          /* item; window */
    struct slice user;
    struct slice key;
    struct slice producer;
    uint64_t number;            /* producer number; seqno */
    double weight;
    int64_t at_ms;              /* at; now; timeout */
    void *more;                 /* entries (struct op_entry array), excludes, halflives: malloc'ed */
    struct tide_result result;
};

struct tide_run {
    struct op *ops;
    uint32_t count;
    uint32_t capacity;
    /* filled while it runs; loop thread */
    uint32_t cursor;            /* next operation to judge */
    seqno pending;              /* highest seqno its writes so far wait for; 0 none */
    struct tide_run *next;      /* in the queue it waits in */
    tide_callback callback;
    void *callback_arg;
    uint64_t submitted_ns;
    /* memory that results point to, freed by reset */
    struct run_text *texts;
    bool is_submitted;
};

/* Memory for a result, freed with the run's reset. NULL: no memory. */
void *run_take(struct tide_run *run, size_t size);

#endif
