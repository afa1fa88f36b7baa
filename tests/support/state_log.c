/* state_log: batches in memory, the state's way through them, and its way through a checkpoint. */
#include "support/state_log.h"

#include <stdio.h>
#include <stdlib.h>

enum { LOG_KEY = 7 };

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "state_log: %s: %s\n", what, why);
    abort();
}

static void *must(void *p)
{
    if (p == NULL) give_up("memory", "refused");
    return p;
}

void state_log_init(struct state_log *l, uint64_t leader_ms)
{
    *l = (struct state_log){.cluster = {{1, 2, 3, 4, 5, 6, 7, 8}},
                            .stream = {.region = 0, .shard = 0},
                            .leader_ms = leader_ms,
                            .epoch = {.number = 1, .nonce = 11}};
    l->w = bytes_writer_of(must(malloc(BATCH_SIZE_MAX)), BATCH_SIZE_MAX);
}

void state_log_fini(struct state_log *l)
{
    for (size_t i = 0; i < l->batch_count; i++) {
        free(l->batches[i].payload);
    }
    free(l->batches);
    free(l->w.start);
    *l = (struct state_log){0};
}

void state_log_record(struct state_log *l, const struct record *r)
{
    struct err e;
    if (record_encode(&l->w, r, (int64_t)l->leader_ms, &e) != OK) give_up("encode", e.text);
    l->record_count++;
}

void state_log_entries(struct state_log *l, const struct record_envelope *envelope,
                       const struct signal_entry *entries, uint32_t count)
{
    struct err e;
    if (record_encode_signals(&l->w, envelope, entries, count, (int64_t)l->leader_ms, &e) != OK) {
        give_up("encode signals", e.text);
    }
    l->record_count++;
}

void state_log_signal(struct state_log *l, uint32_t type_id, const char *item, int64_t time_ms,
                      double weight)
{
    struct signal_entry entry = {.flags = SIGNAL_HAS_WEIGHT,
                                 .type_id = type_id,
                                 .item = slice_of_text(item),
                                 .time_ms = time_ms,
                                 .weight = weight};
    state_log_entries(l, NULL, &entry, 1);
}

struct record state_log_type_record(uint32_t id, const char *name, uint64_t halflife_ms)
{
    struct record r = {.kind = RECORD_SCHEMA};
    r.as.schema = (struct record_schema){.subject = SCHEMA_SIGNAL,
                                         .id = id,
                                         .name = slice_of_text(name),
                                         .mode = SIGNAL_MODE_COUNT,
                                         .polarity = POLARITY_POSITIVE,
                                         .windows = WINDOW_ALL,
                                         .halflife_count = halflife_ms > 0 ? 1 : 0,
                                         .halflives_ms = {halflife_ms}};
    return r;
}

void state_log_type(struct state_log *l, uint32_t id, const char *name, uint64_t halflife_ms)
{
    struct record r = state_log_type_record(id, name, halflife_ms);
    state_log_record(l, &r);
}

size_t state_log_size(const struct state_log *l)
{
    return bytes_written(&l->w);
}

struct position state_log_position(const struct state_log *l, size_t n)
{
    return n == 0 ? (struct position){0} : l->batches[n - 1].end;
}

size_t state_log_seal(struct state_log *l)
{
    if (l->record_count == 0) {
        struct record noop = {.kind = RECORD_NOOP};
        state_log_record(l, &noop);
    }
    if (l->batch_count == l->batch_capacity) {
        l->batch_capacity = l->batch_capacity == 0 ? 64 : l->batch_capacity * 2;
        l->batches = must(realloc(l->batches, l->batch_capacity * sizeof(*l->batches)));
    }
    struct position before = state_log_position(l, l->batch_count);
    struct log_batch *b = &l->batches[l->batch_count];
    b->payload_size = bytes_written(&l->w);
    b->payload = must(malloc(b->payload_size));
    memcpy(b->payload, l->w.start, b->payload_size);
    b->header = (struct batch_header){.record_count = l->record_count,
                                      .cluster = l->cluster,
                                      .stream = l->stream,
                                      .epoch = l->epoch,
                                      .first = seqno_next(before.seqno),
                                      .payload_size = (uint32_t)b->payload_size,
                                      .raw_size = (uint32_t)b->payload_size,
                                      .leader_time = hlc_of_ms(l->leader_ms),
                                      .durable_through = before.seqno,
                                      .previous_chain = before.chain,
                                      .payload_hash = {{0}}};
    uint8_t header[BATCH_HEADER_SIZE];
    batch_header_encode(&b->header, LOG_KEY, header);
    b->end = (struct position){
        .epoch = l->epoch.number, .seqno = batch_last(&b->header), .chain = batch_chain(header)};
    l->w.at = l->w.start;
    l->record_count = 0;
    return l->batch_count++;
}

struct state *state_log_state(const struct state_log *l, struct alloc *alloc)
{
    return must(state_new(alloc, l->cluster, l->stream));
}

enum code state_log_try(const struct state_log *l, size_t i, struct state *s,
                        struct state_outcome *out, struct err *e)
{
    const struct log_batch *b = &l->batches[i];
    return state_apply_batch(s, &b->header, slice_of(b->payload, b->payload_size), &b->end, out, e);
}

void state_log_apply(const struct state_log *l, size_t from, size_t to, struct state *s)
{
    for (size_t i = from; i < to; i++) {
        struct state_outcome out;
        struct err e;
        if (state_log_try(l, i, s, &out, &e) != OK) give_up("apply", e.text);
    }
}

struct hash256 state_log_root(struct state *s)
{
    struct state_version *v = must(state_pin(s));
    uint8_t *scratch = must(malloc(state_version_block_size_max(v)));
    struct hash256 root;
    if (!state_version_root(v, scratch, &root)) give_up("root", "refused");
    free(scratch);
    state_version_free(v);
    return root;
}

enum code state_log_load(const struct state_version *v, struct state *into, uint32_t changed_index,
                         const uint8_t *changed, struct err *e)
{
    uint8_t *bytes = must(malloc(state_version_block_size_max(v)));
    enum code code = OK;
    for (uint32_t i = 0; i < state_version_block_count(v) && code == OK; i++) {
        uint32_t size = state_version_block_size(v, i);
        state_version_block_encode(v, i, bytes);
        bool is_changed = changed != NULL && i == changed_index;
        code = state_load_block(into, state_version_block_id(v, i),
                                slice_of(is_changed ? changed : bytes, size), e);
    }
    free(bytes);
    if (code != OK) return code;
    struct position position = state_version_position(v);
    return state_load_end(into, &position, state_version_leader_time(v), e);
}

struct state *state_log_reload(const struct state_log *l, struct state *s, struct alloc *alloc)
{
    struct state_version *v = must(state_pin(s));
    struct state *loaded = state_log_state(l, alloc);
    struct err e;
    if (state_log_load(v, loaded, 0, NULL, &e) != OK) give_up("load", e.text);
    state_version_free(v);
    return loaded;
}
