/* Tests of format/record: every kind survives the way to bytes and back, the fast path of signals
 * says the same as the table, and nothing malformed is let in. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "base/text.h"
#include "format/put_fields.h"
#include "format/record.h"
#include "support/samples.h"

#define ROOM (RECORD_SIZE_MAX + 64)
static uint8_t room_a[ROOM];
static uint8_t room_b[ROOM];

static struct slice encode_into(uint8_t *room, const struct record *r)
{
    struct err e = {0};
    struct bytes_writer w = bytes_writer_of(room, ROOM);
    enum code code = record_encode(&w, r, SAMPLE_TIME_MS, &e);
    if (code != OK) print_error("%s\n", e.text);
    assert_int_equal(code, OK);
    return bytes_written_slice(&w);
}

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

/* Frame a body by hand: kind, no envelope. */
static struct slice frame(uint8_t *room, uint8_t kind, uint8_t flags, struct slice body)
{
    struct bytes_writer w = bytes_writer_of(room, ROOM);
    bytes_write_varint(&w, body.size + 2);
    bytes_write_u8(&w, kind);
    bytes_write_u8(&w, flags);
    bytes_write(&w, body.data, body.size);
    assert_false(w.is_failed);
    return bytes_written_slice(&w);
}

static void every_kind_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        struct sample_memory memory;
        struct record sample;
        struct record back;
        sample_record(SAMPLE_KINDS[i], &memory, &sample);
        struct slice first = encode_into(room_a, &sample);
        struct bytes_reader r = bytes_reader_of(first);
        assert_int_equal(record_decode(&r, SAMPLE_TIME_MS, &back, NULL), OK);
        assert_true(bytes_is_done(&r));
        assert_int_equal(back.kind, SAMPLE_KINDS[i]);
        assert_slices_equal(encode_into(room_b, &back), first);
    }
}

static void every_envelope_survives_a_round_trip(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags <= ENVELOPE_KNOWN; flags++) {
        struct record noop = {.kind = RECORD_NOOP};
        struct record back;
        noop.envelope = (struct record_envelope){.flags = flags,
                                                 .key = sample_id(1),
                                                 .producer = slice_of_text("p"),
                                                 .producer_number = UINT64_MAX,
                                                 .origin_stream = {1, 2},
                                                 .origin_seqno = seqno_of(300)};
        struct slice bytes = encode_into(room_a, &noop);
        assert_int_equal(decode(bytes, &back), OK);
        assert_int_equal(back.envelope.flags, flags);
        assert_int_equal(back.envelope.key.bytes[1], (flags & ENVELOPE_KEY) != 0 ? 2 : 0);
        assert_true(back.envelope.producer_number ==
                    ((flags & ENVELOPE_PRODUCER) != 0 ? UINT64_MAX : 0));
        assert_int_equal(back.envelope.origin_seqno.v, (flags & ENVELOPE_ORIGIN) != 0 ? 300 : 0);
        assert_slices_equal(encode_into(room_b, &back), bytes);
    }
}

/* The table is complete: a name, a way to describe, and bytes for each kind. */
static void every_kind_has_encode_decode_and_describe(void **state)
{
    (void)state;
    char buffer[4096];
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        enum record_kind kind = SAMPLE_KINDS[i];
        struct sample_memory memory;
        struct record sample;
        assert_true(record_kind_is_known((uint8_t)kind));
        assert_string_not_equal(record_kind_name(kind), "unknown");
        bool has_own_code = kind == RECORD_SIGNAL || kind == RECORD_GROUP;
        assert_true(has_own_code || record_fields(kind) != NULL);
        sample_record(kind, &memory, &sample);
        struct text t = text_of(buffer, sizeof(buffer));
        record_describe(&sample, &t);
        assert_false(t.is_cut);
        assert_memory_equal(buffer, record_kind_name(kind), strlen(record_kind_name(kind)));
    }
    assert_false(record_kind_is_known(0));
    assert_false(record_kind_is_known(25));
    assert_false(record_kind_is_known(255));
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

/* Which kinds may stand where in a batch. */
static void marks_members_and_levels_are_last_and_epoch_starts_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        enum record_kind kind = SAMPLE_KINDS[i];
        bool is_last =
            kind == RECORD_MARK || kind == RECORD_MEMBERS || kind == RECORD_FEATURE_LEVEL;
        assert_int_equal(record_kind_is_last(kind), is_last);
        assert_int_equal(record_kind_is_alone(kind), kind == RECORD_EPOCH_START);
    }
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

static void times_beyond_the_limits_are_refused_on_both_sides(void **state)
{
    (void)state;
    static const int64_t bases[] = {0, SAMPLE_TIME_MS, TIME_MS_ABS_MAX - 1};
    for (size_t i = 0; i < COUNT_OF(bases); i++) {
        for (int64_t beyond = 0; beyond <= 1; beyond++) {
            struct record tick = {.kind = RECORD_TICK};
            struct record back;
            struct bytes_writer w = bytes_writer_of(room_a, ROOM);
            tick.as.tick.now_ms = -TIME_MS_ABS_MAX - beyond;
            assert_int_equal(record_encode(&w, &tick, bases[i], NULL), beyond ? E_LIMIT : OK);
            tick.as.tick.now_ms = TIME_MS_ABS_MAX + beyond;
            assert_int_equal(record_encode(&w, &tick, bases[i], NULL), beyond ? E_LIMIT : OK);
            struct bytes_writer body = bytes_writer_of(room_b, ROOM);
            bytes_write_zigzag(&body, tick.as.tick.now_ms - bases[i]);
            struct slice bytes = frame(room_a, RECORD_TICK, 0, bytes_written_slice(&body));
            struct bytes_reader r = bytes_reader_of(bytes);
            assert_int_equal(record_decode(&r, bases[i], &back, NULL), beyond ? E_CORRUPT : OK);
        }
    }
    struct bytes_writer body = bytes_writer_of(room_b, ROOM);
    bytes_write_zigzag(&body, INT64_MIN);
    struct record back;
    assert_int_equal(decode(frame(room_a, RECORD_TICK, 0, bytes_written_slice(&body)), &back),
                     E_CORRUPT);
}

/* A profile whose JSON fills the record to the last byte, and one byte more. */
static void a_record_of_the_largest_size_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    static uint8_t json[RECORD_SIZE_MAX];
    memset(json, ' ', sizeof(json));
    struct record profile = {.kind = RECORD_SCHEMA};
    profile.as.schema = (struct record_schema){
        .subject = SCHEMA_PROFILE, .id = 1, .name = slice_of_text("p"), .body = slice_of(json, 1)};
    struct bytes_writer w = bytes_writer_of(room_a, ROOM);
    /* size 3, kind, flags, subject, id, name 2, body's size 3 */
    profile.as.schema.body.size = RECORD_SIZE_MAX - 12;
    assert_int_equal(record_encode(&w, &profile, SAMPLE_TIME_MS, NULL), OK);
    assert_int_equal(bytes_written(&w), RECORD_SIZE_MAX);
    struct record back;
    assert_int_equal(decode(bytes_written_slice(&w), &back), OK);
    assert_int_equal(back.as.schema.body.size, RECORD_SIZE_MAX - 12);

    w = bytes_writer_of(room_a, ROOM);
    profile.as.schema.body.size++;
    assert_int_equal(record_encode(&w, &profile, SAMPLE_TIME_MS, NULL), E_LIMIT);
    assert_int_equal(bytes_written(&w), 0);
    assert_false(w.is_failed);

    struct bytes_writer raw = bytes_writer_of(room_b, ROOM);
    bytes_write_varint(&raw, RECORD_SIZE_MAX - 2);
    bytes_write(&raw, room_a + 3, RECORD_SIZE_MAX - 2);
    assert_int_equal(decode(bytes_written_slice(&raw), &back), E_CORRUPT);
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

/* Every prefix of the room is too small and leaves the writer as it was; the exact room is enough.
 */
static void a_writer_without_room_stays_as_it_was(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        struct sample_memory memory;
        struct record sample;
        sample_record(SAMPLE_KINDS[i], &memory, &sample);
        size_t size = encode_into(room_a, &sample).size;
        for (size_t room = 0; room <= size; room++) {
            struct bytes_writer w = bytes_writer_of(room_b, room);
            enum code code = record_encode(&w, &sample, SAMPLE_TIME_MS, NULL);
            assert_int_equal(code, room < size ? E_LIMIT : OK);
            assert_int_equal(bytes_written(&w), room < size ? 0 : size);
            assert_false(w.is_failed);
        }
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        struct sample_memory memory;
        struct record sample;
        struct record back;
        sample_record(SAMPLE_KINDS[i], &memory, &sample);
        struct slice bytes = encode_into(room_a, &sample);
        for (size_t size = 0; size < bytes.size; size++) {
            struct bytes_reader r = bytes_reader_of(slice_of(bytes.data, size));
            assert_int_equal(record_decode(&r, SAMPLE_TIME_MS, &back, NULL), E_CORRUPT);
            assert_ptr_equal(r.at, bytes.data);
        }
    }
}

/* A body that is one byte longer than its fields, framed correctly, is refused for each kind. */
static void trailing_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        struct sample_memory memory;
        struct record sample;
        struct record back;
        sample_record(SAMPLE_KINDS[i], &memory, &sample);
        struct bytes_reader r = bytes_reader_of(encode_into(room_a, &sample));
        uint64_t size = bytes_read_varint(&r);
        struct bytes_writer w = bytes_writer_of(room_b, ROOM);
        bytes_write_varint(&w, size + 1);
        bytes_write(&w, r.at, size);
        bytes_write_u8(&w, 0);
        assert_int_equal(decode(bytes_written_slice(&w), &back), E_CORRUPT);
    }
}

static void malformed_frames_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t size;
        enum code code;
    } rows[] = {
        {{2, RECORD_NOOP, 0}, 3, OK},
        {{0}, 1, E_CORRUPT},                          /* empty */
        {{1, RECORD_NOOP, 0}, 3, E_CORRUPT},          /* no room for flags */
        {{0x82, 0x00, RECORD_NOOP, 0}, 4, E_CORRUPT}, /* size not in its shortest form */
        {{2, RECORD_NOOP, 8}, 3, E_CORRUPT},          /* unknown envelope flag */
        {{2, RECORD_NOOP, 1}, 3, E_CORRUPT},          /* key announced, absent */
        {{2, RECORD_PRODUCER, 0}, 3, E_CORRUPT},      /* producer without one */
        {{2, 0, 0}, 3, E_FORMAT},
        {{2, 25, 0}, 3, E_FORMAT},
        {{2, 255, 0}, 3, E_FORMAT},
        {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, RECORD_NOOP, 0},
         12,
         E_CORRUPT},
        {{3, RECORD_MARK, 0, 0}, 4, E_CORRUPT},               /* reason 0 */
        {{3, RECORD_MARK, 0, 4}, 4, E_CORRUPT},               /* reason 4 */
        {{4, RECORD_TICK, 0, 0x80, 0}, 5, E_CORRUPT},         /* time not in its shortest form */
        {{3, RECORD_SIGNAL, 0, 0}, 4, E_CORRUPT},             /* no entries */
        {{3, RECORD_GROUP, 0, 0}, 4, E_CORRUPT},              /* no records */
        {{5, RECORD_ITEM_UNSET, 0, 1, 'a', 0}, 6, E_CORRUPT}, /* no names */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct record back;
        assert_int_equal(decode(slice_of(rows[i].bytes, rows[i].size), &back), rows[i].code);
    }
}

static void an_unknown_kind_is_named(void **state)
{
    (void)state;
    static const uint8_t bytes[] = {2, 200, 0};
    struct bytes_reader r = bytes_reader_of(slice_of(bytes, sizeof(bytes)));
    struct record back;
    struct err e;
    assert_int_equal(record_decode(&r, SAMPLE_TIME_MS, &back, &e), E_FORMAT);
    assert_string_equal(e.text, "record kind 200 is unknown to this version");
}

/* Rules between fields, one row each. */
static void impossible_records_are_refused(void **state)
{
    (void)state;
    static const float bad[] = {1.0F, NAN};
    struct record rows[10];
    struct sample_memory memory[COUNT_OF(rows)];
    static const enum record_kind kinds[COUNT_OF(rows)] = {
        RECORD_EPOCH_START,  RECORD_EPOCH_START, RECORD_SCHEMA,        RECORD_MEMBERS,
        RECORD_MEMBERS,      RECORD_ITEM_PUT,    RECORD_EMBEDDING_PUT, RECORD_EMBEDDING_PUT,
        RECORD_LOSS_RECEIPT, RECORD_PRODUCER,
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sample_record(kinds[i], &memory[i], &rows[i]);
    }
    rows[0].as.epoch_start.previous.number = 7;
    rows[1].as.epoch_start.node_id = slice_of_text("no spaces");
    static const char long_name[SIGNAL_NAME_SIZE_MAX + 2] = "";
    rows[2].as.schema.name = slice_of(long_name, SIGNAL_NAME_SIZE_MAX + 1);
    rows[3].as.members.members[1].node_id = rows[3].as.members.members[0].node_id;
    rows[4].as.members.count = MEMBERS_MAX + 1;
    rows[5].as.put.fields.size--;
    rows[6].as.embedding.vector.size--;
    rows[7].as.embedding.vector = slice_of(bad, sizeof(bad));
    rows[8].as.loss_receipt.last = seqno_of(900);
    rows[9].envelope.flags = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct bytes_writer w = bytes_writer_of(room_a, ROOM);
        assert_int_equal(record_encode(&w, &rows[i], SAMPLE_TIME_MS, NULL), E_LIMIT);
        assert_int_equal(bytes_written(&w), 0);
    }
}

static void a_group_gives_back_its_records_in_order(void **state)
{
    (void)state;
    struct sample_memory memory;
    struct record group;
    struct record back;
    struct record inner;
    sample_record(RECORD_GROUP, &memory, &group);
    assert_int_equal(decode(encode_into(room_a, &group), &back), OK);
    assert_true(record_group_next(&back.as.group, SAMPLE_TIME_MS, &inner));
    assert_int_equal(inner.kind, RECORD_SIGNAL);
    assert_true(record_group_next(&back.as.group, SAMPLE_TIME_MS, &inner));
    assert_int_equal(inner.kind, RECORD_ITEM_PUT);
    assert_int_equal(inner.envelope.flags, ENVELOPE_KEY);
    assert_false(record_group_next(&back.as.group, SAMPLE_TIME_MS, &inner));
}

/* Of all kinds, only plain ones may be in a group, with a key or without an envelope. */
static void groups_refuse_groups_and_kinds_that_are_last_or_alone(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        enum record_kind kind = SAMPLE_KINDS[i];
        struct sample_memory memory;
        struct record sample;
        struct record back;
        sample_record(kind, &memory, &sample);
        struct slice inner = encode_into(room_a, &sample);
        struct bytes_writer body = bytes_writer_of(room_b, ROOM);
        bytes_write_varint(&body, 1);
        bytes_write(&body, inner.data, inner.size);
        bool is_refused = kind == RECORD_GROUP || record_kind_is_last(kind) ||
                          record_kind_is_alone(kind) || kind == RECORD_PRODUCER;
        enum code code = decode(frame(room_a, RECORD_GROUP, 0, bytes_written_slice(&body)), &back);
        assert_int_equal(code, is_refused ? E_CORRUPT : OK);
    }
}

static void a_put_reads_back_field_by_field(void **state)
{
    (void)state;
    struct sample_memory memory;
    struct record put;
    struct put_field f;
    sample_record(RECORD_ITEM_PUT, &memory, &put);
    struct bytes_reader list = bytes_reader_of(put.as.put.fields);
    assert_int_equal(put_list_count(&list), 6);
    assert_true(put_field_read(&list, &f));
    assert_true(slice_equal(f.text, slice_of_text("A tide table")));
    assert_true(put_field_read(&list, &f));
    assert_true(f.integer == -2023);
    assert_true(put_field_read(&list, &f));
    assert_same_double(f.real, 9.75);
    assert_true(put_field_read(&list, &f));
    assert_true(f.tag == PUT_BOOL && f.integer == 1);
    assert_true(put_field_read(&list, &f));
    assert_int_equal(f.tag_count, 2);
    assert_true(slice_equal(bytes_read_slice8(&f.tags), slice_of_text("red")));
    assert_true(slice_equal(bytes_read_slice8(&f.tags), slice_of_text("blue")));
    assert_true(bytes_is_done(&f.tags));
    assert_true(put_field_read(&list, &f));
    assert_int_equal(f.tag, PUT_UNSET);
    assert_true(bytes_is_done(&list));
}

static void malformed_put_fields_are_refused(void **state)
{
    (void)state;
    static const struct {
        uint8_t bytes[16];
        size_t size;
        bool is_valid;
    } rows[] = {
        {{0}, 1, true},
        {{1, 1, 'a', PUT_UNSET}, 4, true},
        {{1, 0, PUT_UNSET}, 3, false}, /* empty name */
        {{1, 1, 'a', 6}, 4, false},    /* unknown tag */
        {{1, 1, 'a', PUT_BOOL, 2}, 5, false},
        {{1, 1, 'a', PUT_UNSET, 0}, 5, false}, /* trailing byte */
        {{2, 1, 'a', PUT_UNSET}, 4, false},    /* count too high */
        {{1, 1, 'a', PUT_TAGS, 1, 1, 'x'}, 7, true},
        {{1, 1, 'a', PUT_TAGS, 2, 1, 'x'}, 7, false},
        {{1, 1, 'a', PUT_REAL, 0, 0, 0, 0, 0, 0, 0xf0, 0x7f}, 12, false}, /* infinity */
        {{1, 1, 'a', PUT_REAL, 0, 0, 0, 0, 0, 0, 0, 0x80}, 12, false},    /* -0 */
        {{1, 1, 'a', PUT_TEXT, 2, 'x'}, 6, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice list = slice_of(rows[i].bytes, rows[i].size);
        assert_int_equal(put_fields_are_valid(list), rows[i].is_valid);
    }
}

/* A hundred thousand damaged records: decoded or refused, never a crash, never beyond the bytes. */
static void mutated_records_never_crash(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("mutated_records_never_crash", 3));
    char line[512];
    for (int i = 0; i < 100000; i++) {
        struct sample_memory memory;
        struct record record;
        sample_record(SAMPLE_KINDS[random_below(&r, SAMPLE_KIND_COUNT)], &memory, &record);
        size_t size = encode_into(room_a, &record).size;
        for (uint64_t k = random_below(&r, 4); k < 4; k++) {
            room_a[random_below(&r, size)] = (uint8_t)random_next(&r);
        }
        uint8_t *exact = malloc(size);
        assert_non_null(exact);
        memcpy(exact, room_a, size);
        if (decode(slice_of(exact, size), &record) == OK) {
            struct text t = text_of(line, sizeof(line));
            record_describe(&record, &t);
            (void)encode_into(room_b, &record);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_survives_a_round_trip),
        cmocka_unit_test(every_envelope_survives_a_round_trip),
        cmocka_unit_test(every_kind_has_encode_decode_and_describe),
        cmocka_unit_test(a_signal_describes_itself_in_one_line),
        cmocka_unit_test(marks_members_and_levels_are_last_and_epoch_starts_alone),
        cmocka_unit_test(signal_fast_path_equals_the_table),
        cmocka_unit_test(signal_fast_path_refuses_what_the_table_refuses),
        cmocka_unit_test(keys_of_255_bytes_pass_and_longer_ones_do_not),
        cmocka_unit_test(weights_beyond_the_limits_are_refused_on_both_sides),
        cmocka_unit_test(times_beyond_the_limits_are_refused_on_both_sides),
        cmocka_unit_test(a_record_of_the_largest_size_passes_and_one_byte_more_does_not),
        cmocka_unit_test(a_signal_record_holds_65536_entries_and_no_more),
        cmocka_unit_test(a_writer_without_room_stays_as_it_was),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(an_unknown_kind_is_named),
        cmocka_unit_test(impossible_records_are_refused),
        cmocka_unit_test(a_group_gives_back_its_records_in_order),
        cmocka_unit_test(groups_refuse_groups_and_kinds_that_are_last_or_alone),
        cmocka_unit_test(a_put_reads_back_field_by_field),
        cmocka_unit_test(malformed_put_fields_are_refused),
        cmocka_unit_test(mutated_records_never_crash),
    };
    return cmocka_run_group_tests_name("format/record", tests, NULL, NULL);
}
