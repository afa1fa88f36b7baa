/* run: building a run and reading its results: the part of the public API that needs no database.
 * Nothing is judged here; engine/queue does that on the loop. */
#include "engine/run.h"

#include <stdlib.h>

#include "base/assert.h"
#include "format/limits.h"

/* Memory of results: a list of blocks, freed at reset. */
struct run_text {
    struct run_text *next;
    size_t used;
    size_t capacity;
    _Alignas(16) uint8_t bytes[];
};

#define TEXT_BLOCK_SIZE 1024u

enum access { READS, ASKS, WRITES };

static const struct {
    const char *call;
    enum access access;
} op_rows[] = {
#define X(constant, call_, access_) [constant] = {"tide_run_" #call_, access_},
    OP_TABLE(X)
#undef X
};
_Static_assert(COUNT_OF(op_rows) == OP_KIND_COUNT, "every operation has a row");

bool op_is_write(enum op_kind kind)
{
    ASSERT(kind < OP_KIND_COUNT);
    return op_rows[kind].access == WRITES;
}

bool op_is_of_state(enum op_kind kind)
{
    ASSERT(kind < OP_KIND_COUNT);
    return op_rows[kind].access == ASKS;
}

const char *op_call_name(enum op_kind kind)
{
    ASSERT(kind < OP_KIND_COUNT);
    return op_rows[kind].call;
}

void *run_take(struct tide_run *run, size_t size)
{
    size_t wanted = (size + 15) & ~(size_t)15;
    struct run_text *block = run->texts;
    if (!block || block->capacity - block->used < wanted) {
        size_t capacity = wanted > TEXT_BLOCK_SIZE ? wanted : TEXT_BLOCK_SIZE;
        block = malloc(sizeof(*block) + capacity);
        if (!block) return NULL;
        block->next = run->texts;
        block->used = 0;
        block->capacity = capacity;
        run->texts = block;
    }
    void *p = block->bytes + block->used;
    block->used += wanted;
    return p;
}

tide_run *tide_run_new(void)
{
    return calloc(1, sizeof(struct tide_run));
}

void tide_run_reset(tide_run *run)
{
    ASSERT(!run->is_submitted);
    for (uint32_t i = 0; i < run->count; i++) {
        if (run->ops[i].more) free(run->ops[i].more);
        if (run->ops[i].read) free(run->ops[i].read);
    }
    while (run->texts) {
        struct run_text *next = run->texts->next;
        free(run->texts);
        run->texts = next;
    }
    run->count = 0;
    run->cursor = 0;
    run->filled = 0;
    run->pending = SEQNO_NONE;
    run->undecided = 0;
    run->level_cursor = 0;
}

void tide_run_free(tide_run *run)
{
    if (!run) return;
    tide_run_reset(run);
    free(run->ops);
    free(run);
}

size_t tide_run_count(const tide_run *run)
{
    return run->count;
}

const struct tide_result *tide_run_result(const tide_run *run, size_t index)
{
    ASSERT(index < run->count);
    return &run->ops[index].result;
}

struct op *run_add(tide_run *run, enum op_kind kind, int32_t *out_index)
{
    ASSERT(!run->is_submitted);
    *out_index = -1;
    if (run->count == run->capacity) {
        if (run->count >= RUN_OPS_MAX) return NULL;
        uint32_t capacity = run->capacity ? run->capacity * 2 : 4;
        struct op *ops = realloc(run->ops, capacity * sizeof(*ops));
        if (!ops) return NULL;
        run->ops = ops;
        run->capacity = capacity;
    }
    *out_index = (int32_t)run->count;
    struct op *op = &run->ops[run->count++];
    memset(op, 0, sizeof(*op));
    op->kind = (uint8_t)kind;
    return op;
}

static struct slice slice_from(struct tide_bytes b)
{
    return slice_of(b.data, b.size);
}

static void take_durability(struct op *op, const struct tide_durability *d)
{
    struct op_level *level = &op->level;
    _Static_assert(TIDE_LEVEL_REGIONS_MAX == LEVEL_REGIONS_MAX, "one bound");
    level->level = (struct level){.kind = d->level.kind, .count = d->level.count};
    memcpy(level->level.regions, d->level.regions, sizeof(level->level.regions));
    level->on_miss_is_set = d->on_miss_is_set;
    level->on_miss = (uint8_t)d->on_miss;
    level->deadline_ms = d->deadline_ms;
}

void tide_run_set_durability(tide_run *run, int32_t index, const struct tide_durability *wanted)
{
    ASSERT(!run->is_submitted);
    if (index < 0 || (uint32_t)index >= run->count) return; /* there was no memory for it */
    take_durability(&run->ops[index], wanted);
}

bool tide_run_set_read(tide_run *run, int32_t index, const struct tide_read_options *options)
{
    ASSERT(!run->is_submitted);
    if (index < 0 || (uint32_t)index >= run->count) return false;
    struct op *op = &run->ops[index];
    if (!op->read) op->read = malloc(sizeof(*op->read));
    if (!op->read) return false;
    *op->read = (struct op_read){
        .has_max_stale = options->max_stale_is_set,
        .is_committed = options->is_committed,
        .max_stale_ns = options->max_stale_ms < UINT64_MAX / NS_PER_MS
                            ? options->max_stale_ms * NS_PER_MS
                            : UINT64_MAX - 1,
        .after = seqno_of(options->after.seqno),
        .after_epoch = options->after.epoch,
        .deadline_ms = options->deadline_ms,
    };
    memcpy(op->read->after_chain4, options->after.chain4, sizeof(op->read->after_chain4));
    return true;
}

void run_take_options(struct op *op, const struct tide_write_options *options)
{
    if (!options) return;
    take_durability(op, &options->durability);
    op->record_key = slice_from(options->key);
    op->producer = slice_from(options->producer);
    op->number = options->producer_number;
}

static void take_signal(struct op_entry *out, const struct tide_signal *s)
{
    *out = (struct op_entry){
        .type = slice_from(s->type),
        .item = slice_from(s->item),
        .user = slice_from(s->user),
        .key = slice_from(s->key),
        .weight = s->weight_is_set ? s->weight : 1.0,
        .at_ms = s->at_ms,
    };
}

int32_t tide_run_signal(tide_run *run, const struct tide_signal *signal,
                        const struct tide_write_options *options)
{
    int32_t index;
    struct op *op = run_add(run, OP_SIGNAL, &index);
    if (!op) return -1;
    take_signal(&op->entry, signal);
    run_take_options(op, options);
    return index;
}

int32_t tide_run_signals(tide_run *run, const struct tide_signal *signals, size_t n,
                         const struct tide_write_options *options)
{
    if (n > SIGNAL_ENTRIES_MAX) return -1;
    struct op_entry *entries = calloc(n ? n : 1, sizeof(*entries));
    if (!entries) return -1;
    int32_t index;
    struct op *op = run_add(run, OP_SIGNALS, &index);
    if (!op) {
        free(entries);
        return -1;
    }
    for (size_t i = 0; i < n; i++) {
        take_signal(&entries[i], &signals[i]);
    }
    op->more = entries;
    op->count = (uint32_t)n;
    run_take_options(op, options);
    return index;
}

int32_t tide_run_begin(tide_run *run, const struct tide_write_options *options)
{
    int32_t index;
    struct op *op = run_add(run, OP_GROUP_BEGIN, &index);
    if (op) run_take_options(op, options);
    return index;
}

int32_t tide_run_end(tide_run *run)
{
    int32_t index;
    (void)run_add(run, OP_GROUP_END, &index); /* index tells */
    return index;
}

/* Operations that carry up to two names, a number and a time. */
static int32_t add_plain(tide_run *run, enum op_kind kind, struct tide_bytes type,
                         struct tide_bytes item, uint64_t number, int64_t at_ms)
{
    int32_t index;
    struct op *op = run_add(run, kind, &index);
    if (!op) return -1;
    op->entry.type = slice_from(type);
    op->entry.item = slice_from(item);
    op->entry.at_ms = at_ms;
    op->number = number;
    return index;
}

static const struct tide_bytes no_bytes;

int32_t tide_run_unsignal(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes user, const struct tide_write_options *options)
{
    int32_t index = add_plain(run, OP_UNSIGNAL, type, item, 0, 0);
    if (index < 0) return index;
    run->ops[index].entry.user = slice_from(user);
    run_take_options(&run->ops[index], options);
    return index;
}

int32_t tide_run_schema_signal(tide_run *run, const struct tide_schema_signal *schema)
{
    struct tide_schema_signal *copy = malloc(sizeof(*copy));
    if (!copy) return -1;
    *copy = *schema;
    int32_t index = add_plain(run, OP_SCHEMA_SIGNAL, schema->name, no_bytes, 0, 0);
    if (index < 0) {
        free(copy);
        return -1;
    }
    run->ops[index].more = copy;
    return index;
}

int32_t tide_run_schema_field(tide_run *run, struct tide_bytes name, enum tide_field_kind kind)
{
    return add_plain(run, OP_SCHEMA_FIELD, name, no_bytes, (uint64_t)kind, 0);
}

int32_t tide_run_producer_skip(tide_run *run, struct tide_bytes producer, uint64_t number)
{
    int32_t index = add_plain(run, OP_PRODUCER_SKIP, no_bytes, no_bytes, number, 0);
    if (index >= 0) run->ops[index].producer = slice_from(producer);
    return index;
}

int32_t tide_run_member_add(tide_run *run, struct tide_bytes node_id, bool is_voter,
                            const struct tide_write_options *options)
{
    int32_t index = add_plain(run, OP_MEMBER_ADD, no_bytes, node_id, is_voter, 0);
    if (index >= 0 && options) take_durability(&run->ops[index], &options->durability);
    return index;
}

int32_t tide_run_member_remove(tide_run *run, struct tide_bytes node_id,
                               const struct tide_write_options *options)
{
    int32_t index = add_plain(run, OP_MEMBER_REMOVE, no_bytes, node_id, 0, 0);
    if (index >= 0 && options) take_durability(&run->ops[index], &options->durability);
    return index;
}

int32_t tide_run_members(tide_run *run)
{
    return add_plain(run, OP_MEMBERS, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_producer(tide_run *run, struct tide_bytes producer)
{
    int32_t index = add_plain(run, OP_PRODUCER, no_bytes, no_bytes, 0, 0);
    if (index >= 0) run->ops[index].producer = slice_from(producer);
    return index;
}

int32_t tide_run_score(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    return add_plain(run, OP_SCORE, type, item, 0, at_ms);
}

int32_t tide_run_rate(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    return add_plain(run, OP_RATE, type, item, 0, at_ms);
}

int32_t tide_run_trend(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    return add_plain(run, OP_TREND, type, item, 0, at_ms);
}

int32_t tide_run_count_of(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window)
{
    int32_t index = add_plain(run, OP_COUNT, type, item, 0, 0);
    if (index >= 0) run->ops[index].entry.user = slice_from(window);
    return index;
}

int32_t tide_run_retrieve(tide_run *run, const struct tide_retrieve *request)
{
    struct slice *excludes = NULL;
    if (request->exclude_count > 0) {
        excludes = calloc(request->exclude_count, sizeof(*excludes));
        if (!excludes) return -1;
        for (uint32_t i = 0; i < request->exclude_count; i++) {
            excludes[i] = slice_from(request->excludes[i]);
        }
    }
    int32_t index =
        add_plain(run, OP_RETRIEVE, request->profile, no_bytes, request->limit, request->now_ms);
    if (index < 0) {
        free(excludes);
        return -1;
    }
    run->ops[index].more = excludes;
    run->ops[index].count = request->exclude_count;
    run->ops[index].record_key = slice_from(request->cursor);
    run->ops[index].producer = slice_from(request->where);
    run->ops[index].is_explain = request->is_explain;
    return index;
}

int32_t tide_run_schema_show(tide_run *run)
{
    return add_plain(run, OP_SCHEMA_SHOW, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_position(tide_run *run)
{
    return add_plain(run, OP_POSITION, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_digest(tide_run *run, uint64_t at_seqno)
{
    return add_plain(run, OP_DIGEST, no_bytes, no_bytes, at_seqno, 0);
}

int32_t tide_run_checkpoint(tide_run *run)
{
    return add_plain(run, OP_CHECKPOINT, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_log_seal(tide_run *run)
{
    return add_plain(run, OP_LOG_SEAL, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_wait(tide_run *run, uint64_t at_least, uint32_t followers, uint64_t timeout_ms)
{
    int32_t index = add_plain(run, OP_WAIT, no_bytes, no_bytes, at_least, (int64_t)timeout_ms);
    if (index >= 0) run->ops[index].count = followers;
    return index;
}

static int32_t add_peer(tide_run *run, enum op_kind kind, const struct tide_transport *transport,
                        const char *name)
{
    struct tide_bytes bytes = {name, name ? strlen(name) : 0};
    int32_t index = add_plain(run, kind, bytes, no_bytes, 0, 0);
    if (index >= 0) run->ops[index].transport = transport;
    return index;
}

int32_t tide_run_replicate(tide_run *run, const struct tide_transport *transport, const char *peer)
{
    return add_peer(run, OP_REPLICATE, transport, peer);
}

int32_t tide_run_listen(tide_run *run, const struct tide_transport *transport, const char *address)
{
    return add_peer(run, OP_LISTEN, transport, address);
}

int32_t tide_run_configure(tide_run *run, const struct tide_options *options)
{
    struct tide_options *copy = malloc(sizeof(*copy));
    if (!copy) return -1;
    *copy = *options;
    int32_t index = add_plain(run, OP_CONFIGURE, no_bytes, no_bytes, 0, 0);
    if (index < 0) {
        free(copy);
        return -1;
    }
    run->ops[index].more = copy;
    return index;
}

int32_t tide_run_wait_position(tide_run *run, const struct tide_position *position,
                               uint64_t timeout_ms)
{
    int64_t wait_ms = timeout_ms < INT64_MAX ? (int64_t)timeout_ms : INT64_MAX;
    int32_t index = add_plain(run, OP_WAIT_POSITION, no_bytes, no_bytes, position->seqno, wait_ms);
    if (index >= 0) run->ops[index].epoch = position->epoch;
    return index;
}

int32_t tide_run_plan(tide_run *run, struct tide_bytes what, struct tide_bytes argument)
{
    return add_plain(run, OP_PLAN, what, argument, 0, 0);
}

int32_t tide_run_slot_drop(tide_run *run, struct tide_bytes node_id)
{
    return add_plain(run, OP_SLOT_DROP, node_id, no_bytes, 0, 0);
}

int32_t tide_run_slot_rename(tide_run *run, struct tide_bytes node_id, struct tide_bytes new_id)
{
    return add_plain(run, OP_SLOT_RENAME, node_id, new_id, 0, 0);
}

int32_t tide_run_items(tide_run *run)
{
    return add_plain(run, OP_ITEMS, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_status(tide_run *run)
{
    return add_plain(run, OP_STATUS, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_metrics(tide_run *run)
{
    return add_plain(run, OP_METRICS, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_clock(tide_run *run)
{
    return add_plain(run, OP_CLOCK, no_bytes, no_bytes, 0, 0);
}

int32_t tide_run_clock_accept(tide_run *run)
{
    return add_plain(run, OP_CLOCK, no_bytes, no_bytes, 1, 0);
}

/* --- roles --- */

static void expect_position(struct op *op, const struct tide_position *expect)
{
    if (!expect) return;
    op->epoch = expect->epoch;
    op->number = expect->seqno;
    memcpy(op->chain4, expect->chain4, sizeof(op->chain4));
}

int32_t tide_run_promote(tide_run *run, const struct tide_position *expect, bool is_forced)
{
    int32_t index = add_plain(run, OP_PROMOTE, no_bytes, no_bytes, 0, 0);
    if (index < 0) return index;
    expect_position(&run->ops[index], expect);
    run->ops[index].is_explain = is_forced;
    return index;
}

int32_t tide_run_follow(tide_run *run, const char *address, bool accepts_loss,
                        const struct tide_position *expect)
{
    int32_t index = add_peer(run, OP_FOLLOW, NULL, address);
    if (index < 0) return index;
    expect_position(&run->ops[index], expect);
    run->ops[index].is_explain = accepts_loss;
    return index;
}

int32_t tide_run_handover(tide_run *run, const char *node_id, uint64_t timeout_ms)
{
    int32_t index = add_peer(run, OP_HANDOVER, NULL, node_id);
    if (index >= 0) run->ops[index].entry.at_ms = (int64_t)(timeout_ms & INT64_MAX);
    return index;
}
