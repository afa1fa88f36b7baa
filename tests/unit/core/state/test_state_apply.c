/* Tests of core/state/state_apply: what each kind of record does, what stops a state, and that
 * neither batches nor checkpoints nor builds change the result. */
#include "support/tm_test.h"

#include <math.h>

#include "base/bytes.h"
#include "base/random.h"
#include "base/text.h"
#include "support/quad.h"
#include "support/samples.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)
#define HOUR_MS  INT64_C(3600000)

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
};

/* A state that knows type 1 "view" with a half-life of an hour, at START_MS. */
static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    state_log_type(&w->log, 1, "view", (uint64_t)HOUR_MS);
    state_log_seal(&w->log);
    state_log_apply(&w->log, 0, 1, w->s);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    state_free(w->s);
    state_log_fini(&w->log);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w);
    return left == 0 ? 0 : -1;
}

/* Seal what was written and apply it; the code and error of the batch. */
static enum code apply(struct world *w, struct state_outcome *out, struct err *e)
{
    size_t i = state_log_seal(&w->log);
    return state_log_try(&w->log, i, w->s, out, e);
}

static void must_apply(struct world *w)
{
    struct state_outcome out;
    struct err e;
    if (apply(w, &out, &e) != OK) fail_msg("%s", e.text);
}

static uint32_t item(const struct world *w, const char *key)
{
    return state_item_find(w->s, slice_of_text(key));
}

static void first_record_that_names_an_item_creates_it(void **state)
{
    struct world *w = *state;
    state_log_signal(&w->log, 1, "a", 1000, 1.0);
    state_log_signal(&w->log, 1, "b", 500, 1.0);
    state_log_signal(&w->log, 1, "a", 200, 1.0);
    must_apply(w);
    assert_int_equal(state_item_count(w->s), 2);
    assert_int_equal(item(w, "a"), 0);
    assert_int_equal(item(w, "b"), 1);
    assert_int_equal(item(w, "c"), ITEM_NONE);
    assert_int_equal(state_item_created_ms(w->s, 0), 1000);
    assert_int_equal(state_item_created_ms(w->s, 1), 500);
    assert_int_equal(state_count_all(w->s, 1, 0), 2);
}

/* Seven unit events over an hour, read an hour later; two items of which one stays ahead. */
static void known_answers_of_the_model_hold(void **state)
{
    struct world *w = *state;
    quad exact = 0;
    for (int64_t i = 0; i <= 6; i++) {
        state_log_signal(&w->log, 1, "seven", i * 600000, 1.0);
        exact += quad_decay(i * 600000, 2 * HOUR_MS, HOUR_MS);
    }
    state_log_signal(&w->log, 1, "A", 0, 3.0);
    state_log_signal(&w->log, 1, "B", HOUR_MS / 2, 2.0);
    must_apply(w);
    double seven = state_score(w->s, 1, item(w, "seven"), 0, 2 * HOUR_MS);
    assert_true(quad_relative_error(seven, exact) < 1e-15);
    assert_same_double(state_score(w->s, 1, item(w, "A"), 0, 0), 3.0);
    assert_same_double(state_score(w->s, 1, item(w, "B"), 0, 0), 2.8284271247461903);
    for (int64_t at = HOUR_MS; at < 200 * HOUR_MS; at += 1234567) {
        assert_true(state_score(w->s, 1, item(w, "A"), 0, at) >
                    state_score(w->s, 1, item(w, "B"), 0, at));
    }
}

/* 1e-12 for a stream of real shape: many items, orders mixed, read through the public questions. */
static void scores_are_exact_to_1e_12(void **state)
{
    enum { EVENTS = 20000, ITEMS = 40 };
    struct world *w = *state;
    struct random r;
    random_init(&r, tm_seed("scores", 1));
    static quad exact[ITEMS];
    int64_t at = (int64_t)START_MS;
    for (int i = 0; i < EVENTS; i++) {
        uint32_t k = (uint32_t)random_below(&r, ITEMS);
        int64_t time_ms = at - (int64_t)random_below(&r, 1000 * (uint64_t)HOUR_MS);
        double weight = 1.0 + (double)random_below(&r, 100);
        char key[8];
        snprintf(key, sizeof(key), "i%u", k);
        state_log_signal(&w->log, 1, key, time_ms, weight);
        exact[k] += (quad)weight * quad_decay(time_ms, at, HOUR_MS);
        if (i % 500 == 499) must_apply(w);
    }
    for (uint32_t k = 0; k < ITEMS; k++) {
        char key[8];
        snprintf(key, sizeof(key), "i%u", k);
        double score = state_score(w->s, 1, item(w, key), 0, at);
        assert_true(quad_relative_error(score, exact[k]) < 1e-12);
    }
}

static void outcomes_tell_what_the_engine_must_do(void **state)
{
    struct world *w = *state;
    struct state_outcome out;
    struct err e;
    struct record r = {.kind = RECORD_EPOCH_START};
    w->log.epoch = (struct epoch){.number = 2, .nonce = 22};
    r.as.epoch_start = (struct record_epoch_start){.epoch = w->log.epoch,
                                                   .previous = {.number = 1, .nonce = 11},
                                                   .previous_last = {1},
                                                   .node_id = slice_of_text("n1"),
                                                   .reason = EPOCH_RESTART};
    state_log_record(&w->log, &r);
    assert_int_equal(apply(w, &out, &e), OK);
    assert_true(out.has_epoch_start);
    assert_true(epoch_equal(out.epoch_start.epoch, w->log.epoch));
    assert_false(out.has_mark);
    assert_int_equal(state_position(w->s).epoch, 2);

    state_log_signal(&w->log, 1, "a", 0, 1.0);
    state_log_signal(&w->log, 1, "a", 0, 1.0);
    r = (struct record){.kind = RECORD_DIGEST, .as.digest = {.mark = {7}, .root = {{5}}}};
    state_log_record(&w->log, &r);
    r = (struct record){.kind = RECORD_MARK, .as.mark = {.reason = 1}};
    state_log_record(&w->log, &r);
    assert_int_equal(apply(w, &out, &e), OK);
    assert_int_equal(out.signal_entries, 2);
    assert_true(out.has_mark);
    assert_true(out.has_digest);
    assert_int_equal(out.digest.mark.v, 7);
    assert_false(out.has_epoch_start);
}

/* Kinds that only keep a seqno, a time or a number. */
static void quiet_kinds_are_applied(void **state)
{
    static const enum record_kind kinds[] = {RECORD_NOOP,          RECORD_TICK,
                                             RECORD_LOSS_RECEIPT,  RECORD_PRODUCER,
                                             RECORD_FEATURE_LEVEL, RECORD_MEMBERS};
    struct world *w = *state;
    struct sample_memory memory;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct record r;
        sample_record(kinds[i], &memory, &r);
        state_log_record(&w->log, &r);
        must_apply(w);
    }
    assert_int_equal(state_position(w->s).seqno.v, 1 + COUNT_OF(kinds));
}

/* Kinds without an effect in this version stop the state; the error names kind and seqno. */
static void kinds_without_effect_stop_apply(void **state)
{
    static const enum record_kind kinds[] = {RECORD_ITEM_PURGE,   RECORD_EMBEDDING_PUT,
                                             RECORD_RELATION_ADD, RECORD_RELATION_REMOVE,
                                             RECORD_SESSION_OPEN, RECORD_SESSION_CLOSE};
    struct sample_memory memory;
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        void *fresh = NULL;
        begin(&fresh);
        struct world *w = fresh;
        struct state_outcome out;
        struct err e;
        struct record r;
        sample_record(kinds[i], &memory, &r);
        state_log_signal(&w->log, 1, "before", 0, 1.0);
        state_log_record(&w->log, &r);
        assert_int_equal(apply(w, &out, &e), E_HALTED);
        assert_non_null(strstr(e.text, record_kind_name(kinds[i])));
        assert_non_null(strstr(e.text, "record 3"));
        assert_int_equal(state_position(w->s).seqno.v, 1);
        assert_int_equal(end(&fresh), 0);
    }
    (void)state;
}

/* After a batch that failed half-way nothing builds on the state: no apply, no version. */
static void a_broken_state_neither_applies_nor_pins(void **state)
{
    struct world *w = *state;
    struct state_outcome out;
    struct err e;
    state_log_signal(&w->log, 9, "a", 0, 1.0);
    assert_int_equal(apply(w, &out, &e), E_HALTED);
    assert_string_equal(e.text, "record 2 (signal): type 9 is not declared");
    assert_null(state_pin(w->s));
    assert_int_equal(state_log_try(&w->log, 1, w->s, &out, &e), E_HALTED);
    assert_int_equal(state_position(w->s).seqno.v, 1);
}

/* What the gate would have refused stops the state: a signal of mode once that names no user, the
 * undo of a signal that counts, of a type that is not there. */
static void signals_and_undos_that_cannot_be_stop_apply(void **state)
{
    for (uint32_t i = 0; i < 3; i++) {
        void *fresh = NULL;
        begin(&fresh);
        struct world *w = fresh;
        struct state_outcome out;
        struct err e;
        struct record type = state_log_type_record(2, "like", 1000);
        type.as.schema.mode = SIGNAL_MODE_ONCE;
        state_log_record(&w->log, &type);
        must_apply(w);
        struct record undo = {.kind = RECORD_SIGNAL_UNDO};
        undo.as.undo = (struct record_undo){
            .type_id = i == 1 ? 1 : 9, .item = slice_of_text("a"), .user = slice_of_text("u")};
        if (i == 0) {
            state_log_signal(&w->log, 2, "a", 0, 1.0);
        } else {
            state_log_record(&w->log, &undo);
        }
        assert_int_equal(apply(w, &out, &e), E_HALTED);
        assert_non_null(strstr(e.text, "record 3 (signal"));
        assert_int_equal(end(&fresh), 0);
    }
    (void)state;
}

/* Types declared and used within one batch, and again in the same words. */
static void a_schema_record_takes_effect_at_its_place(void **state)
{
    struct world *w = *state;
    state_log_signal(&w->log, 1, "a", 0, 1.0);
    for (uint32_t id = 2; id < 40; id++) {
        char name[8];
        snprintf(name, sizeof(name), "t%u", id);
        state_log_type(&w->log, id, name, 1000);
        state_log_signal(&w->log, id, "a", 0, 1.0);
        state_log_signal(&w->log, 1, "a", 0, 1.0);
    }
    state_log_type(&w->log, 1, "view", (uint64_t)HOUR_MS);
    state_log_signal(&w->log, 1, "a", 0, 1.0);
    must_apply(w);
    assert_int_equal(state_count_all(w->s, 1, 0), 40);
    assert_int_equal(state_count_all(w->s, 39, 0), 1);
    assert_int_equal(state_type_count(w->s), 39);
    assert_int_equal(state_type_by_name(w->s, slice_of_text("t7"))->id, 7);
}

static void a_changed_definition_stops_apply(void **state)
{
    struct world *w = *state;
    struct state_outcome out;
    struct err e;
    state_log_type(&w->log, 1, "view", 1);
    assert_int_equal(apply(w, &out, &e), E_HALTED);
    assert_non_null(strstr(e.text, "record 2 (schema)"));
}

static struct signal_entry keyed_entry(const char *name, uint8_t key)
{
    return (struct signal_entry){.flags = SIGNAL_HAS_KEY,
                                 .type_id = 1,
                                 .item = slice_of_text(name),
                                 .time_ms = 0,
                                 .weight = 1.0,
                                 .key = {{key}}};
}

static bool knows(const struct world *w, uint8_t key, struct write_ref *out)
{
    struct id128 id = {{key}};
    return state_dedup_find(w->s, &id, out);
}

/* Keys of whole records and of single entries are remembered with their own record's position, and
 * forgotten by leader time alone. */
static void keys_are_known_for_ten_minutes_of_leader_time(void **state)
{
    struct world *w = *state;
    struct write_ref where;
    w->log.leader_ms = START_MS / 60000 * 60000 + 59999;
    struct record_envelope envelope = {.flags = ENVELOPE_KEY, .key = {{1}}};
    struct signal_entry entries[2] = {keyed_entry("a", 2), keyed_entry("b", 3)};
    state_log_record(&w->log, &(struct record){.kind = RECORD_NOOP});
    state_log_entries(&w->log, &envelope, entries, 2);
    must_apply(w);
    struct position end_of_batch = state_position(w->s);
    for (uint8_t key = 1; key <= 3; key++) {
        assert_true(knows(w, key, &where));
        assert_int_equal(where.seqno.v, 3);
        assert_int_equal(where.epoch, 1);
        assert_memory_equal(where.chain4, end_of_batch.chain.bytes, 4);
    }
    assert_false(knows(w, 4, &where));
    assert_int_equal(state_dedup_count(w->s), 3);
    w->log.leader_ms += 600000; /* ten minutes later, to the millisecond */
    must_apply(w);
    assert_true(knows(w, 1, &where));
    w->log.leader_ms += 1; /* the eleventh minute begins */
    must_apply(w);
    assert_false(knows(w, 1, &where));
    assert_int_equal(state_dedup_count(w->s), 0);
}

static void producers_keep_their_highest_number(void **state)
{
    struct world *w = *state;
    struct record_envelope envelope = {
        .flags = ENVELOPE_PRODUCER, .producer = slice_of_text("file:1"), .producer_number = 41};
    struct signal_entry entry = keyed_entry("a", 1);
    state_log_entries(&w->log, &envelope, &entry, 1);
    struct record r = {.kind = RECORD_PRODUCER, .envelope = envelope};
    r.envelope.producer_number = 45;
    state_log_record(&w->log, &r);
    must_apply(w);
    uint64_t number;
    struct write_ref where;
    assert_true(state_producer_find(w->s, slice_of_text("file:1"), &number, &where));
    assert_int_equal(number, 45);
    assert_int_equal(where.seqno.v, 3);
    assert_false(state_producer_find(w->s, slice_of_text("file:2"), &number, &where));
}

/* A group's records are applied in their order under one seqno; their keys are their own. */
static void a_group_applies_its_records_in_order(void **state)
{
    struct world *w = *state;
    struct write_ref where;
    uint8_t bytes[4096];
    struct bytes_writer inner = bytes_writer_of(bytes, sizeof(bytes));
    struct err e;
    struct record type = state_log_type_record(2, "click", 1000);
    assert_int_equal(record_encode(&inner, &type, (int64_t)w->log.leader_ms, &e), OK);
    struct record_envelope key = {.flags = ENVELOPE_KEY, .key = {{7}}};
    struct signal_entry entry = keyed_entry("a", 8);
    entry.type_id = 2;
    assert_int_equal(record_encode_signals(&inner, &key, &entry, 1, (int64_t)w->log.leader_ms, &e),
                     OK);
    struct record group = {
        .kind = RECORD_GROUP,
        .as.group = {.count = 2, .records = bytes_reader_of(bytes_written_slice(&inner))}};
    state_log_record(&w->log, &group);
    must_apply(w);
    assert_int_equal(state_count_all(w->s, 2, item(w, "a")), 1);
    assert_true(knows(w, 7, &where));
    assert_true(knows(w, 8, &where));
    assert_int_equal(where.seqno.v, 2);
}

/* What does not extend the position is refused before anything changes, and the right batch still
 * works afterwards. */
static void a_batch_that_does_not_come_next_is_refused(void **state)
{
    struct world *w = *state;
    struct state_outcome out;
    struct err e;
    state_log_signal(&w->log, 1, "a", 0, 1.0);
    size_t i = state_log_seal(&w->log);
    struct log_batch good = w->log.batches[i];
    struct log_batch *b = &w->log.batches[i];
    b->header.first = seqno_of(1);
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->header.previous_chain.bytes[0] ^= 1;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->header.cluster.bytes[0] ^= 1;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->header.stream.shard = 1;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->header.leader_time = hlc_of_ms(START_MS - 1);
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->header.codec = CODEC_LZ4;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    b->end.seqno = seqno_of(3);
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    *b = good;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), OK);
}

static void payloads_that_do_not_decode_stop_apply(void **state)
{
    (void)state;
    for (int damage = 0; damage < 3; damage++) {
        void *fresh = NULL;
        begin(&fresh);
        struct world *w = fresh;
        struct state_outcome out;
        struct err e;
        state_log_signal(&w->log, 1, "a", 0, 1.0);
        state_log_signal(&w->log, 1, "b", 0, 1.0);
        struct log_batch *b = &w->log.batches[state_log_seal(&w->log)];
        if (damage == 0) b->payload_size--;
        if (damage == 1) b->payload[1] = 99;
        if (damage == 2) { /* more bytes than records */
            b->header.record_count = 1;
            b->end.seqno = seqno_of(2);
        }
        assert_int_equal(state_log_try(&w->log, 1, w->s, &out, &e), E_HALTED);
        assert_int_equal(end(&fresh), 0);
    }
}

/* A log of everything that this version applies, from a seed. */
static void write_history(struct state_log *l, uint64_t seed, uint32_t batches)
{
    struct random r;
    random_init(&r, seed);
    struct record one = state_log_type_record(1, "view", 3600000);
    one.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL;
    state_log_record(l, &one);
    struct record two = state_log_type_record(2, "share", 60000);
    two.as.schema.windows = WINDOW_1H | WINDOW_30D;
    two.as.schema.halflife_count = 3;
    two.as.schema.halflives_ms[1] = 86400000;
    two.as.schema.halflives_ms[2] = 1;
    state_log_record(l, &two);
    state_log_type(l, 3, "plain", 0);
    static char keys[64][24];
    static struct signal_entry entries[64];
    for (uint32_t b = 0; b < batches; b++) {
        uint32_t records = 1 + (uint32_t)random_below(&r, 20);
        for (uint32_t i = 0; i < records; i++) {
            uint32_t count = 1 + (uint32_t)random_below(&r, random_chance(&r, 100000) ? 64 : 3);
            for (uint32_t k = 0; k < count; k++) {
                int size =
                    snprintf(keys[k], sizeof(keys[k]), "item/%u", (unsigned)random_below(&r, 6000));
                entries[k] = (struct signal_entry){
                    .flags = SIGNAL_HAS_WEIGHT,
                    .type_id = 1 + (uint32_t)random_below(&r, 3),
                    .item = slice_of(keys[k], (size_t)size),
                    .time_ms = (int64_t)(l->leader_ms - random_below(&r, 30000000)),
                    .weight = (double)random_below(&r, 9) - 2.0};
                if (!random_chance(&r, 300000)) continue;
                entries[k].flags |= SIGNAL_HAS_KEY;
                store_u64(entries[k].key.bytes, random_next(&r));
                store_u64(entries[k].key.bytes + 8, random_next(&r));
            }
            char producer[8];
            int size = snprintf(producer, sizeof(producer), "p%u", (unsigned)random_below(&r, 5));
            struct record_envelope envelope = {
                .flags = random_chance(&r, 100000) ? ENVELOPE_PRODUCER | ENVELOPE_KEY : 0,
                .producer = slice_of(producer, (size_t)size),
                .producer_number = random_below(&r, 1000)};
            store_u64(envelope.key.bytes, random_next(&r));
            state_log_entries(l, &envelope, entries, count);
        }
        l->leader_ms += random_below(&r, 20000);
        state_log_seal(l);
    }
}

/* The same log applied in one go and through a checkpoint after any batch: the same root. */
static void checkpoints_at_any_batch_do_not_show(void **state)
{
    (void)state;
    enum { BATCHES = 120 };
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    write_history(&log, tm_seed("history", 1), BATCHES);
    struct state *straight = state_log_state(&log, &alloc);
    struct state *hopping = state_log_state(&log, &alloc);
    for (size_t i = 0; i < BATCHES; i++) {
        state_log_apply(&log, i, i + 1, straight);
        state_log_apply(&log, i, i + 1, hopping);
        struct state *loaded = state_log_reload(&log, hopping, &alloc);
        state_free(hopping);
        hopping = loaded;
        struct hash256 a = state_log_root(straight);
        struct hash256 b = state_log_root(hopping);
        if (!hash256_equal(&a, &b)) fail_msg("roots differ after batch %zu", i);
    }
    state_free(straight);
    state_free(hopping);
    state_log_fini(&log);
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

/* Blocks of a kind, one after the other. */
static struct hash256 hash_of_kind(struct state *s, enum block_kind kind)
{
    struct state_version *v = state_pin(s);
    struct block_entry *entries =
        calloc(state_version_block_count(v) + 1, sizeof(struct block_entry));
    uint32_t count = 0;
    for (uint32_t i = 0; i < state_version_block_count(v); i++) {
        struct block_id id = state_version_block_id(v, i);
        if (id.kind != (uint32_t)kind) continue;
        entries[count++] = (struct block_entry){.id = id,
                                                .size = state_version_block_size(v, i),
                                                .hash = state_version_block_hash(v, i, NULL)};
    }
    struct hash256 hash = state_root(entries, count);
    free(entries);
    state_version_free(v);
    return hash;
}

/* The window of look-ahead ends with a batch: many small batches and one large one still give the
 * same keys, sums and counts. */
static void batch_splits_do_not_change_columns(void **state)
{
    (void)state;
    static const enum block_kind kinds[] = {BLOCK_ITEM_KEYS, BLOCK_COLUMN, BLOCK_COUNT,
                                            BLOCK_SCHEMA};
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct hash256 first[COUNT_OF(kinds)];
    for (uint32_t split = 1; split <= 1000; split *= 10) {
        struct state_log log;
        struct random r;
        state_log_init(&log, START_MS);
        random_init(&r, 5);
        state_log_type(&log, 1, "view", 3600000);
        for (uint32_t i = 0; i < 5000; i++) {
            char key[16];
            snprintf(key, sizeof(key), "k%u", (unsigned)random_below(&r, 700));
            state_log_signal(&log, 1, key, (int64_t)random_below(&r, 1000000000), 1.5);
            if (i % split == 0) state_log_seal(&log);
        }
        state_log_seal(&log);
        struct state *s = state_log_state(&log, &alloc);
        state_log_apply(&log, 0, log.batch_count, s);
        for (size_t k = 0; k < COUNT_OF(kinds); k++) {
            struct hash256 hash = hash_of_kind(s, kinds[k]);
            if (split == 1) first[k] = hash;
            assert_true(hash256_equal(&hash, &first[k]));
        }
        state_free(s);
        state_log_fini(&log);
    }
}

/* The root of a fixed history. Every compiler and optimisation level must give these bits; when a
 * change of the state's bytes is meant, this constant and the format version change with it. */
static void digest_builds_alike_everywhere(void **state)
{
    (void)state;
    static const char golden[] = "3b6682753a6c8f4857b82297e5f4f6c5ddd6586e4d1d65630aea9063d38344fe";
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    write_history(&log, 42, 400);
    struct state *s = state_log_state(&log, &alloc);
    state_log_apply(&log, 0, log.batch_count, s);
    struct hash256 root = state_log_root(s);
    char hex[2 * sizeof(root.bytes) + 1];
    struct text t = text_of(hex, sizeof(hex));
    text_add_hex(&t, root.bytes, sizeof(root.bytes));
    assert_string_equal(hex, golden);
    state_free(s);
    state_log_fini(&log);
}

/* Each allocation refused in turn: the answer is E_NOMEMORY, the position stays, nothing leaks, and
 * the state says no to everything that builds on it. */
static void refused_memory_is_an_answer(void **state)
{
    (void)state;
    struct state_log log;
    state_log_init(&log, START_MS);
    write_history(&log, 3, 30);
    bool is_done = false;
    uint32_t refused = 0;
    for (int64_t n = 1; !is_done; n++) {
        struct alloc alloc;
        alloc_init(&alloc, 0);
        struct state *s = state_log_state(&log, &alloc);
        atomic_store(&alloc.fail_countdown, n);
        enum code code = OK;
        size_t i = 0;
        while (code == OK && i < log.batch_count) {
            struct state_outcome out;
            struct err e;
            code = state_log_try(&log, i, s, &out, &e);
            if (code == OK) i++;
        }
        is_done = code == OK;
        if (!is_done) {
            refused++;
            assert_int_equal(code, E_NOMEMORY);
            struct position at = state_log_position(&log, i);
            struct position stands = state_position(s);
            assert_true(position_equal(&stands, &at));
            assert_null(state_pin(s));
        }
        state_free(s);
        assert_int_equal(atomic_load(&alloc.used_bytes), 0);
    }
    assert_true(refused > 20);
    state_log_fini(&log);
}

/* Sums, counts and what surrounds them take at most 16 bytes per item and signal beyond the keys.
 * So many items have several pairs whose 32-bit hashes are equal: none may be taken for another. */
static void many_items_take_at_most_16_bytes_a_signal(void **state)
{
    enum { ITEMS = 300000, TYPES = 2 };
    struct world *w = *state;
    for (uint32_t id = 2; id <= TYPES + 1; id++) {
        char name[8];
        snprintf(name, sizeof(name), "t%u", id);
        state_log_type(&w->log, id, name, 1000);
    }
    uint64_t with_one_type = 0;
    for (uint32_t id = 1; id <= TYPES + 1; id++) {
        for (uint32_t i = 0; i < ITEMS; i++) {
            char key[16];
            snprintf(key, sizeof(key), "item-%u", i);
            state_log_signal(&w->log, id, key, 0, 1.0);
            if (state_log_size(&w->log) > 1000000) must_apply(w);
        }
        must_apply(w);
        if (id == 1) with_one_type = state_bytes(w->s);
    }
    double pair = (double)(state_bytes(w->s) - with_one_type) / ((double)ITEMS * TYPES);
    print_message("%.2f bytes per item and signal, %.1f for the first with its key\n", pair,
                  (double)with_one_type / ITEMS);
    assert_true(pair <= 16.0);
    assert_int_equal(state_item_count(w->s), ITEMS);
    for (uint32_t i = 0; i < ITEMS; i++) {
        if (state_count_all(w->s, 1, i) != 1) fail_msg("item %u is taken for another", i);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(first_record_that_names_an_item_creates_it),
        TEST(known_answers_of_the_model_hold),
        TEST(scores_are_exact_to_1e_12),
        TEST(outcomes_tell_what_the_engine_must_do),
        TEST(quiet_kinds_are_applied),
        TEST(kinds_without_effect_stop_apply),
        TEST(a_broken_state_neither_applies_nor_pins),
        TEST(signals_and_undos_that_cannot_be_stop_apply),
        TEST(a_schema_record_takes_effect_at_its_place),
        TEST(a_changed_definition_stops_apply),
        TEST(keys_are_known_for_ten_minutes_of_leader_time),
        TEST(producers_keep_their_highest_number),
        TEST(a_group_applies_its_records_in_order),
        TEST(a_batch_that_does_not_come_next_is_refused),
        TEST(payloads_that_do_not_decode_stop_apply),
        TEST(checkpoints_at_any_batch_do_not_show),
        TEST(batch_splits_do_not_change_columns),
        TEST(digest_builds_alike_everywhere),
        TEST(refused_memory_is_an_answer),
        TEST(many_items_take_at_most_16_bytes_a_signal),
#undef TEST
    };
    return cmocka_run_group_tests_name("core/state/state_apply", tests, NULL, NULL);
}
