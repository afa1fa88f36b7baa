/* fuzz_state_apply: payloads that nobody made, applied to a state that knows two signal types. A
 * payload is taken as a whole or stops the state; what was taken survives a checkpoint.
 *
 * Input: u8 record count | u16 minutes that leader time moves | payload. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "core/state/state.h"

enum { SCRATCH_SIZE = 2 << 20, MINUTE_MS = 60000 };
#define START_MS UINT64_C(1700000000000)

static uint8_t scratch[SCRATCH_SIZE];

static void must(bool is_true)
{
    if (!is_true) abort();
}

/* Apply a payload behind the state's position; chains are counted, not hashed. */
static enum code apply(struct state *s, struct slice payload, uint32_t records, uint64_t leader_ms)
{
    struct position before = state_position(s);
    struct batch_header h = {.record_count = records,
                             .cluster = {{1}},
                             .epoch = {.number = 1, .nonce = 1},
                             .first = seqno_next(before.seqno),
                             .leader_time = hlc_of_ms(leader_ms),
                             .previous_chain = before.chain};
    struct position after = {.epoch = 1, .seqno = batch_last(&h), .chain = before.chain};
    after.chain.bytes[0]++;
    struct state_outcome out;
    struct err e;
    return state_apply_batch(s, &h, payload, &after, &out, &e);
}

static void declare_types(struct state *s)
{
    uint8_t bytes[256];
    struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
    struct record r = {.kind = RECORD_SCHEMA};
    r.as.schema = (struct record_schema){.subject = SCHEMA_SIGNAL,
                                         .id = 1,
                                         .name = slice_of_text("view"),
                                         .mode = SIGNAL_MODE_COUNT,
                                         .polarity = POLARITY_POSITIVE,
                                         .halflife_count = 2,
                                         .halflives_ms = {1, UINT64_C(604800000)}};
    must(record_encode(&w, &r, (int64_t)START_MS, NULL) == OK);
    r.as.schema.id = 2;
    r.as.schema.name = slice_of_text("like");
    r.as.schema.mode = SIGNAL_MODE_ONCE;
    must(record_encode(&w, &r, (int64_t)START_MS, NULL) == OK);
    must(apply(s, bytes_written_slice(&w), 2, START_MS) == OK);
}

/* The state goes through its blocks into a new one with the same root. */
static void check_reload(struct state *s, struct alloc *alloc)
{
    struct state_version *v = state_pin(s);
    must(v != NULL && state_version_block_size_max(v) <= SCRATCH_SIZE);
    struct state *copy = state_new(alloc, (struct id128){{1}}, (struct stream_id){0});
    for (uint32_t i = 0; i < state_version_block_count(v); i++) {
        state_version_block_encode(v, i, scratch);
        struct slice bytes = slice_of(scratch, state_version_block_size(v, i));
        must(state_load_block(copy, state_version_block_id(v, i), bytes, NULL) == OK);
    }
    struct position position = state_version_position(v);
    must(state_load_end(copy, &position, state_version_leader_time(v), NULL) == OK);
    struct state_version *w = state_pin(copy);
    struct hash256 a;
    struct hash256 b;
    must(w != NULL && state_version_root(v, scratch, &a) && state_version_root(w, scratch, &b));
    must(hash256_equal(&a, &b));
    state_version_free(v);
    state_version_free(w);
    state_free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_reader r = bytes_reader_of(slice_of(data, size));
    uint32_t records = bytes_read_u8(&r);
    uint64_t minutes = bytes_read_u16(&r);
    if (r.is_failed || records == 0) return 0;
    struct alloc alloc;
    alloc_init(&alloc, 256 * MIB);
    struct state *s = state_new(&alloc, (struct id128){{1}}, (struct stream_id){0});
    declare_types(s);
    struct slice payload = slice_of(r.at, bytes_left(&r));
    enum code code = apply(s, payload, records, START_MS + minutes * MINUTE_MS);
    must(code == OK || code == E_HALTED || code == E_NOMEMORY);
    if (code == OK) {
        check_reload(s, &alloc);
    } else {
        must(state_pin(s) == NULL && state_position(s).seqno.v == 2);
    }
    state_free(s);
    must(atomic_load(&alloc.used_bytes) == 0);
    return 0;
}
