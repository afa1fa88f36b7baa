/* Tests of format/record_signal: the fast path of signals says the same as the table, in values and
 * refusals alike, and keeps the limits. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "base/text.h"
#include "format/record.h"
#include "support/samples.h"

#define ROOM (RECORD_SIZE_MAX + 64)
static uint8_t room_a[ROOM];
static uint8_t room_b[ROOM];

static enum code decode(struct slice bytes, struct record *out)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    return record_decode(&r, SAMPLE_TIME_MS, out, NULL);
}

static void assert_slices_equal(struct slice a, struct slice b)
{
    assert_int_equal(a.size, b.size);
    assert_memory_equal(a.data, b.data, a.size);
}

static void a_signal_describes_itself_in_one_line(void **state)
{
    (void)state;
    char buffer[256];
    struct sample_memory memory;
    struct record sample;
    sample_record(RECORD_SIGNAL, &memory, &sample);
    struct text t = text_of(buffer, sizeof(buffer));
    record_describe(&sample, &t);
    const char *start = "signal entries=2 flags=0 type_id=3 item=item:42 time_ms=1699999998500; "
                        "flags=15 type_id=3 item=item:42 time_ms=1699999998500 weight=2.5 "
                        "user=user:7 session=2021";
    assert_memory_equal(buffer, start, strlen(start));
}

/* The general way to encode a signal record, by tables alone. */
static enum code encode_by_table(struct bytes_writer *w, const struct record_envelope *envelope,
                                 const struct signal_entry *entries, uint32_t count)
{
    static uint8_t scratch[8192];
    struct bytes_writer body = bytes_writer_of(scratch, sizeof(scratch));
    bytes_write_u8(&body, RECORD_SIGNAL);
    TRY(fields_encode(&body, &record_envelope_fields, envelope, SAMPLE_TIME_MS, NULL));
    bytes_write_varint(&body, count);
    for (uint32_t i = 0; i < count; i++) {
        TRY(fields_encode(&body, &signal_entry_fields, &entries[i], SAMPLE_TIME_MS, NULL));
    }
    bytes_write_slice_varint(w, bytes_written_slice(&body));
    return OK;
}

static uint64_t random_number(struct random *r)
{
    return random_next(r) >> random_below(r, 64);
}

static struct slice random_slice(struct random *r, size_t size_max)
{
    static uint8_t bytes[512];
    size_t size = random_below(r, size_max + 1);
    return slice_of(bytes + random_below(r, sizeof(bytes) - size_max), size);
}

/* Mostly valid values, some at and beyond the limits. */
static struct signal_entry random_entry(struct random *r)
{
    static const double odd[] = {-0.0, NAN, INFINITY, 9007199254740992.0, 9007199254740994.0, 0.0};
    struct signal_entry s = {
        .flags = (uint8_t)random_below(r, random_chance(r, 20000) ? 256 : 16),
        .type_id = (uint32_t)random_number(r),
        .item = random_slice(r, random_chance(r, 20000) ? 300 : 40),
        .time_ms = SAMPLE_TIME_MS + (int64_t)random_number(r) * (random_chance(r, 500000) ? 1 : -1),
        .weight = random_chance(r, 50000) ? odd[random_below(r, COUNT_OF(odd))]
                                          : random_unit(r) * 100 - 50,
        .user = random_slice(r, 40),
        .session = sample_id((uint8_t)random_next(r)),
        .session_number = random_number(r),
        .key = sample_id((uint8_t)random_next(r)),
    };
    return s;
}

static struct record_envelope random_envelope(struct random *r)
{
    return (struct record_envelope){
        .flags = (uint8_t)random_below(r, random_chance(r, 20000) ? 256 : 8),
        .key = sample_id((uint8_t)random_next(r)),
        .producer = random_slice(r, 20),
        .producer_number = random_number(r),
        .origin_stream = {(uint16_t)random_next(r), (uint16_t)random_next(r)},
        .origin_seqno = seqno_of(random_number(r)),
    };
}

static void assert_entries_equal(const struct signal_entry *a, const struct signal_entry *b)
{
    assert_int_equal(a->flags, b->flags);
    assert_int_equal(a->type_id, b->type_id);
    assert_true(slice_equal(a->item, b->item));
    assert_true(a->time_ms == b->time_ms);
    assert_true(slice_equal(a->user, b->user));
    assert_true(id128_equal(&a->session, &b->session));
    assert_true(a->session_number == b->session_number);
    assert_true(id128_equal(&a->key, &b->key));
}

/* Decode one encoded signal record by tables and compare each entry with the fast path's. */
static void assert_decoded_alike(struct slice bytes, uint32_t count)
{
    struct record fast;
    struct record_envelope envelope;
    struct bytes_reader r = bytes_reader_of(bytes);
    (void)bytes_read_varint(&r);
    assert_int_equal(bytes_read_u8(&r), RECORD_SIGNAL);
    assert_int_equal(fields_decode(&r, &record_envelope_fields, &envelope, 0, NULL), OK);
    assert_int_equal(bytes_read_varint(&r), count);
    assert_int_equal(decode(bytes, &fast), OK);
    assert_int_equal(fast.as.signal.count, count);
    assert_int_equal(fast.envelope.flags, envelope.flags);
    for (uint32_t i = 0; i < count; i++) {
        struct signal_entry a;
        struct signal_entry b;
        assert_int_equal(fields_decode(&r, &signal_entry_fields, &a, SAMPLE_TIME_MS, NULL), OK);
        assert_true(signal_entry_next(&fast.as.signal, &b));
        assert_entries_equal(&a, &b);
        assert_same_double((a.flags & SIGNAL_HAS_WEIGHT) != 0 ? a.weight : 1.0, b.weight);
    }
    struct signal_entry none;
    assert_true(bytes_is_done(&r));
    assert_false(signal_entry_next(&fast.as.signal, &none));
}

static void signal_fast_path_equals_the_table(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("signal_fast_path_equals_the_table", 1));
    uint32_t refused = 0;
    for (int i = 0; i < 20000; i++) {
        struct signal_entry entries[5];
        struct record_envelope envelope = random_envelope(&r);
        uint32_t count = 1 + (uint32_t)random_below(&r, COUNT_OF(entries));
        for (uint32_t k = 0; k < count; k++) {
            entries[k] = random_entry(&r);
        }
        struct bytes_writer a = bytes_writer_of(room_a, 4096);
        struct bytes_writer b = bytes_writer_of(room_b, 4096);
        enum code by_table = encode_by_table(&a, &envelope, entries, count);
        enum code fast = record_encode_signals(&b, &envelope, entries, count, SAMPLE_TIME_MS, NULL);
        assert_int_equal(by_table, fast);
        refused += fast != OK;
        if (fast != OK) {
            assert_ptr_equal(b.at, b.start);
            continue;
        }
        assert_slices_equal(bytes_written_slice(&a), bytes_written_slice(&b));
        assert_decoded_alike(bytes_written_slice(&b), count);
    }
    assert_in_range(refused, 500, 19000);
}

/* Damaged bytes: the fast path refuses exactly the entries that the table refuses. */
static void signal_fast_path_refuses_what_the_table_refuses(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("signal_fast_path_refuses_what_the_table_refuses", 2));
    uint32_t refused = 0;
    for (int i = 0; i < 50000; i++) {
        struct signal_entry entry = sample_entry((uint8_t)random_below(&r, 16));
        struct bytes_writer w = bytes_writer_of(room_a, 4096);
        assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, NULL), OK);
        size_t size = bytes_written(&w);
        room_a[4 + random_below(&r, size - 4)] = (uint8_t)random_next(&r);
        struct record back;
        struct signal_entry scratch;
        bool is_fast_ok = decode(slice_of(room_a, size), &back) == OK;
        struct bytes_reader body = bytes_reader_of(slice_of(room_a + 4, size - 4));
        bool is_table_ok =
            fields_decode(&body, &signal_entry_fields, &scratch, SAMPLE_TIME_MS, NULL) == OK &&
            bytes_is_done(&body);
        assert_int_equal(is_fast_ok, is_table_ok);
        refused += !is_fast_ok;
    }
    assert_in_range(refused, 100, 49000);
}

static void keys_of_255_bytes_pass_and_longer_ones_do_not(void **state)
{
    (void)state;
    static const uint8_t bytes[256] = {1};
    struct signal_entry entry = sample_entry(SIGNAL_HAS_USER);
    struct err e;
    entry.item = slice_of(bytes, 255);
    entry.user = slice_of(bytes, 255);
    struct bytes_writer w = bytes_writer_of(room_a, ROOM);
    assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, &e), OK);
    struct record back;
    assert_int_equal(decode(bytes_written_slice(&w), &back), OK);
    entry.item = slice_of(bytes, 256);
    assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, &e), E_LIMIT);
    assert_string_equal(e.text, "the value of item in signal entry is outside its limits");
    entry = sample_entry(SIGNAL_HAS_USER);
    entry.user.size = 0;
    assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, &e), E_LIMIT);
    entry = sample_entry(0);
    entry.item.size = 0;
    assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, &e), E_LIMIT);
    struct record purge = {.kind = RECORD_ITEM_PURGE, .as.item_ref.key = slice_of(bytes, 256)};
    assert_int_equal(record_encode(&w, &purge, SAMPLE_TIME_MS, &e), E_LIMIT);
    purge.as.item_ref.key.size = 0;
    assert_int_equal(record_encode(&w, &purge, SAMPLE_TIME_MS, &e), E_LIMIT);
    purge.as.item_ref.key.size = 255;
    assert_int_equal(record_encode(&w, &purge, SAMPLE_TIME_MS, &e), OK);
}

static void weights_beyond_the_limits_are_refused_on_both_sides(void **state)
{
    (void)state;
    static const struct {
        double weight;
        bool is_valid;
    } rows[] = {
        {WEIGHT_ABS_MAX, true},
        {-WEIGHT_ABS_MAX, true},
        {WEIGHT_ABS_MAX + 2, false},
        {0.0, true},
        {-0.0, false},
        {NAN, false},
        {INFINITY, false},
        {-INFINITY, false},
        {5e-324, true},
        {-WEIGHT_ABS_MAX - 2, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct signal_entry entry = sample_entry(SIGNAL_HAS_WEIGHT);
        struct bytes_writer w = bytes_writer_of(room_a, ROOM);
        struct record back;
        assert_int_equal(record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, NULL), OK);
        size_t size = bytes_written(&w);
        memcpy(room_a + size - sizeof(double), &rows[i].weight, sizeof(double));
        enum code decoded = decode(slice_of(room_a, size), &back);
        assert_int_equal(decoded, rows[i].is_valid ? OK : E_CORRUPT);
        entry.weight = rows[i].weight;
        w = bytes_writer_of(room_a, ROOM);
        enum code code = record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, NULL);
        assert_int_equal(code, rows[i].is_valid ? OK : E_LIMIT);
    }
}

/* Signals up to the entry limit; the record limit is met by long keys first. */
static void a_signal_record_holds_65536_entries_and_no_more(void **state)
{
    (void)state;
    static struct signal_entry entries[SIGNAL_ENTRIES_MAX + 1];
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i] = sample_entry(0);
        entries[i].item.size = 1;
    }
    struct bytes_writer w = bytes_writer_of(room_a, ROOM);
    assert_int_equal(
        record_encode_signals(&w, NULL, entries, SIGNAL_ENTRIES_MAX, SAMPLE_TIME_MS, NULL), OK);
    struct record back;
    assert_int_equal(decode(bytes_written_slice(&w), &back), OK);
    assert_int_equal(back.as.signal.count, SIGNAL_ENTRIES_MAX);
    assert_int_equal(
        record_encode_signals(&w, NULL, entries, SIGNAL_ENTRIES_MAX + 1, SAMPLE_TIME_MS, NULL),
        E_LIMIT);
    assert_int_equal(record_encode_signals(&w, NULL, entries, 0, SAMPLE_TIME_MS, NULL), E_LIMIT);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        entries[i].item = slice_of(room_b, 255);
    }
    w = bytes_writer_of(room_a, ROOM);
    assert_int_equal(
        record_encode_signals(&w, NULL, entries, SIGNAL_ENTRIES_MAX, SAMPLE_TIME_MS, NULL),
        E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signal_describes_itself_in_one_line),
        cmocka_unit_test(signal_fast_path_equals_the_table),
        cmocka_unit_test(signal_fast_path_refuses_what_the_table_refuses),
        cmocka_unit_test(keys_of_255_bytes_pass_and_longer_ones_do_not),
        cmocka_unit_test(weights_beyond_the_limits_are_refused_on_both_sides),
        cmocka_unit_test(a_signal_record_holds_65536_entries_and_no_more),
    };
    return cmocka_run_group_tests_name("format/record_signal", tests, NULL, NULL);
}
