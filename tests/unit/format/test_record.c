/* Tests of format/record: every kind survives the way to bytes and back, the fast path of signals
 * says the same as the table, and nothing malformed is let in. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "base/text.h"
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

/* Each subject of a schema record has a limit of its own. */
static void schema_records_beyond_their_subject_are_refused(void **state)
{
    (void)state;
    struct sample_memory memory;
    struct record r;
    static const char name[FIELD_NAME_SIZE_MAX + 2] = "";
    sample_record(RECORD_SCHEMA, &memory, &r);
    r.as.schema.subject = SCHEMA_FIELD;
    r.as.schema.name = slice_of(name, FIELD_NAME_SIZE_MAX);
    r.as.schema.field_kind = SCHEMA_FIELD_TEXT;
    assert_int_equal(decode(encode_into(room_a, &r), &r), OK);
    r.as.schema.name = slice_of(name, FIELD_NAME_SIZE_MAX + 1);
    struct bytes_writer w = bytes_writer_of(room_a, ROOM);
    assert_int_equal(record_encode(&w, &r, SAMPLE_TIME_MS, NULL), E_LIMIT);
    r.as.schema.subject = SCHEMA_VECTOR;
    r.as.schema.name = slice_of(name, 5);
    r.as.schema.field_kind = 3;
    r.as.schema.dim = 8;
    assert_int_equal(record_encode(&w, &r, SAMPLE_TIME_MS, NULL), OK);
    r.as.schema.field_kind = 4;
    assert_int_equal(record_encode(&w, &r, SAMPLE_TIME_MS, NULL), E_LIMIT);
}

/* Tables hold every number that fits the byte, so questions about unknown kinds have an answer. */
static void unknown_kinds_have_no_fields_and_no_place(void **state)
{
    (void)state;
    enum record_kind unknown = (enum record_kind)250;
    assert_null(record_fields(unknown));
    assert_false(record_kind_is_last(unknown));
    assert_false(record_kind_is_alone(unknown));
    assert_string_equal(record_kind_name(unknown), "unknown");
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
        cmocka_unit_test(marks_members_and_levels_are_last_and_epoch_starts_alone),
        cmocka_unit_test(times_beyond_the_limits_are_refused_on_both_sides),
        cmocka_unit_test(a_record_of_the_largest_size_passes_and_one_byte_more_does_not),
        cmocka_unit_test(a_writer_without_room_stays_as_it_was),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(malformed_frames_are_refused),
        cmocka_unit_test(an_unknown_kind_is_named),
        cmocka_unit_test(impossible_records_are_refused),
        cmocka_unit_test(schema_records_beyond_their_subject_are_refused),
        cmocka_unit_test(unknown_kinds_have_no_fields_and_no_place),
        cmocka_unit_test(a_group_gives_back_its_records_in_order),
        cmocka_unit_test(groups_refuse_groups_and_kinds_that_are_last_or_alone),
        cmocka_unit_test(mutated_records_never_crash),
    };
    return cmocka_run_group_tests_name("format/record", tests, NULL, NULL);
}
