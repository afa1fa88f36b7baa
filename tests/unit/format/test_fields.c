/* Tests of format/fields: the tables fit the structs they describe, and a small table of every type
 * encodes, decodes, refuses and describes as its types say. */
#include "support/tm_test.h"

#include "base/text.h"
#include "format/identity.h"
#include "format/record.h"
#include "format/slotfile.h"
#include "format/wire.h"
#include "support/samples.h"

/* Bytes that a type's member has; 0 = more than one is possible. */
static uint32_t member_size(enum field_type type)
{
    switch (type) {
    case FIELD_TIME: return sizeof(int64_t);
    case FIELD_WEIGHT: return sizeof(double);
    case FIELD_EPOCH: return sizeof(struct epoch);
    case FIELD_STREAM: return sizeof(struct stream_id);
    case FIELD_POSITION: return sizeof(struct position);
    case FIELD_SLICE8:
    case FIELD_SLICEV:
    case FIELD_REST: return sizeof(struct slice);
    case FIELD_FIXED:
    case FIELD_VARINT:
    case FIELD_RAW:
    case FIELD_TEXT8:
    case FIELD_ARRAY: return 0;
    }
    return 0;
}

static void check_array(const struct field_table *table, const struct field *f)
{
    assert_non_null(f->elements);
    assert_true(f->max > 0);
    assert_true(f->max * f->elements->struct_size <= f->size);
    assert_true(f->count_size == 1 || f->count_size == 4);
    assert_true(f->count_offset + f->count_size <= table->struct_size);
    for (uint32_t i = 0; i < f->elements->count; i++) {
        assert_int_not_equal(f->elements->fields[i].type, FIELD_ARRAY);
        assert_int_not_equal(f->elements->fields[i].type, FIELD_REST);
    }
}

static void check_table(const struct field_table *table)
{
    if (table == NULL) return;
    for (uint32_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        assert_non_null(f->name);
        assert_true(f->offset + f->size <= table->struct_size);
        if (member_size(f->type) != 0) assert_int_equal(f->size, member_size(f->type));
        if (f->type == FIELD_FIXED || f->type == FIELD_VARINT) {
            assert_true(f->size == 1 || f->size == 2 || f->size == 4 || f->size == 8);
            assert_true(f->max == 0 || f->min <= f->max);
        }
        if (f->type == FIELD_TEXT8) assert_true(f->max == 0 || f->max < f->size);
        if (f->type == FIELD_REST) assert_int_equal(i + 1, table->count);
        if (f->type == FIELD_ARRAY) check_array(table, f);
        if (f->when != 0) assert_int_not_equal(table->selector, SELECT_NONE);
    }
}

static void every_table_fits_its_struct(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        check_table(record_fields(SAMPLE_KINDS[i]));
    }
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        check_table(wire_fields(SAMPLE_MESSAGES[i], 0));
        check_table(wire_fields(SAMPLE_MESSAGES[i], 1));
    }
    check_table(&record_envelope_fields);
    check_table(&signal_entry_fields);
    check_table(&identity_fields);
    check_table(&epoch_entry_fields);
    check_table(&slot_fields);
}

/* One member of every type. */
struct thing {
    uint8_t selector;
    uint16_t fixed;
    uint32_t varint;
    int64_t time_ms;
    double weight;
    struct id128 raw;
    struct epoch epoch;
    struct stream_id stream;
    struct position position;
    struct slice slice8;
    struct slice slicev;
    char text8[8];
    uint32_t count;
    uint64_t array[3];
    struct slice rest;
};
static const struct field number_list[] = {
    {.name = "number", .type = FIELD_VARINT, .size = sizeof(uint64_t), .min = 1},
};
static const struct field_table number_table = {FIELD_TABLE("number", uint64_t, number_list)};
static const struct field thing_list[] = {
    {FIELD(FIELD_FIXED, struct thing, selector), .max = 3},
    {FIELD(FIELD_FIXED, struct thing, fixed), .min = 2, .max = 500},
    {FIELD(FIELD_VARINT, struct thing, varint), .when = 1},
    {FIELD(FIELD_TIME, struct thing, time_ms)},
    {FIELD(FIELD_WEIGHT, struct thing, weight), .when = 2},
    {FIELD(FIELD_RAW, struct thing, raw), .is_secret = true},
    {FIELD(FIELD_EPOCH, struct thing, epoch)},
    {FIELD(FIELD_STREAM, struct thing, stream)},
    {FIELD(FIELD_POSITION, struct thing, position)},
    {FIELD(FIELD_SLICE8, struct thing, slice8), .min = 1, .max = 4},
    {FIELD(FIELD_SLICEV, struct thing, slicev), .max = 300},
    {FIELD(FIELD_TEXT8, struct thing, text8)},
    {FIELD(FIELD_ARRAY, struct thing, array), .max = 3, FIELD_COUNTED(struct thing, count),
     .elements = &number_table},
    {FIELD(FIELD_REST, struct thing, rest)},
};
static const struct field_table thing_table = {
    FIELD_TABLE("thing", struct thing, thing_list),
    .selector = SELECT_FLAGS,
    .selector_offset = offsetof(struct thing, selector),
};

static struct thing a_thing(void)
{
    return (struct thing){
        .selector = 3,
        .fixed = 500,
        .varint = UINT32_MAX,
        .time_ms = 990,
        .weight = -1.5,
        .raw = sample_id(1),
        .epoch = {1, 2},
        .stream = {3, 4},
        .position = sample_position(5),
        .slice8 = slice_of_text("abcd"),
        .slicev = slice_of_text("efg"),
        .text8 = "hijklmn",
        .count = 3,
        .array = {1, 200, UINT64_MAX},
        .rest = slice_of_text("what is left"),
    };
}

static uint8_t room[1024];
static enum code encode(const struct thing *t, struct slice *out, struct err *e)
{
    struct bytes_writer w = bytes_writer_of(room, sizeof(room));
    TRY(fields_encode(&w, &thing_table, t, 1000, e));
    *out = bytes_written_slice(&w);
    return OK;
}

static void every_type_survives_a_round_trip(void **state)
{
    (void)state;
    struct thing t = a_thing();
    struct thing back;
    struct slice bytes;
    assert_int_equal(encode(&t, &bytes, NULL), OK);
    struct bytes_reader r = bytes_reader_of(bytes);
    assert_int_equal(fields_decode(&r, &thing_table, &back, 1000, NULL), OK);
    assert_true(bytes_is_done(&r));
    assert_int_equal(back.fixed, 500);
    assert_true(back.varint == UINT32_MAX);
    assert_int_equal(back.time_ms, 990);
    assert_same_double(back.weight, -1.5);
    assert_true(position_equal(&back.position, &t.position));
    assert_string_equal(back.text8, "hijklmn");
    assert_int_equal(back.array[1], 200);
    assert_true(slice_equal(back.rest, t.rest));
}

static void absent_fields_take_no_bytes_and_become_zero(void **state)
{
    (void)state;
    struct thing t = a_thing();
    struct thing back;
    struct slice all;
    struct slice fewer;
    assert_int_equal(encode(&t, &all, NULL), OK);
    size_t whole = all.size;
    t.selector = 0;
    assert_int_equal(encode(&t, &fewer, NULL), OK);
    assert_int_equal(whole - fewer.size, 5 + 8);
    struct bytes_reader r = bytes_reader_of(fewer);
    assert_int_equal(fields_decode(&r, &thing_table, &back, 1000, NULL), OK);
    assert_int_equal(back.varint, 0);
    assert_same_double(back.weight, 0.0);
}

static void values_outside_their_limits_are_refused_and_named(void **state)
{
    (void)state;
    struct thing rows[8];
    static const char *const names[COUNT_OF(rows)] = {"fixed",  "fixed",  "time_ms", "weight",
                                                      "slice8", "slice8", "array",   "number"};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        rows[i] = a_thing();
    }
    rows[0].fixed = 1;
    rows[1].fixed = 501;
    rows[2].time_ms = INT64_MAX;
    rows[3].weight = -0.0;
    rows[4].slice8.size = 0;
    rows[5].slice8 = slice_of_text("abcde");
    rows[6].count = 4;
    rows[7].array[2] = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct slice bytes;
        struct err e;
        assert_int_equal(encode(&rows[i], &bytes, &e), E_LIMIT);
        assert_non_null(strstr(e.text, names[i]));
    }
}

static void every_truncation_is_refused(void **state)
{
    (void)state;
    struct thing t = a_thing();
    struct thing back;
    struct slice bytes;
    assert_int_equal(encode(&t, &bytes, NULL), OK);
    for (size_t size = 0; size + t.rest.size < bytes.size; size++) {
        struct bytes_reader r = bytes_reader_of(slice_of(bytes.data, size));
        assert_int_equal(fields_decode(&r, &thing_table, &back, 1000, NULL), E_CORRUPT);
    }
}

static void values_that_do_not_fit_their_member_are_refused(void **state)
{
    (void)state;
    static const uint8_t big_varint[] = {1, 2, 0, 0x80, 0x80, 0x80, 0x80, 0x10};
    static const uint8_t inner_nul[] = {2, 'a', 0};
    struct thing back;
    struct bytes_reader r = bytes_reader_of(slice_of(big_varint, sizeof(big_varint)));
    struct err e;
    assert_int_equal(fields_decode(&r, &thing_table, &back, 0, &e), E_CORRUPT);
    assert_non_null(strstr(e.text, "varint"));
    static const struct field text_list[] = {{FIELD(FIELD_TEXT8, struct thing, text8)}};
    static const struct field_table text_table = {FIELD_TABLE("text", struct thing, text_list)};
    r = bytes_reader_of(slice_of(inner_nul, sizeof(inner_nul)));
    assert_int_equal(fields_decode(&r, &text_table, &back, 0, &e), E_CORRUPT);
    static const uint8_t too_long[] = {8, 'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'};
    r = bytes_reader_of(slice_of(too_long, sizeof(too_long)));
    assert_int_equal(fields_decode(&r, &text_table, &back, 0, &e), E_CORRUPT);
}

static void a_thing_describes_itself_without_its_secret(void **state)
{
    (void)state;
    char buffer[512];
    struct thing t = a_thing();
    struct text text = text_of(buffer, sizeof(buffer));
    fields_describe(&text, &thing_table, &t);
    assert_string_equal(buffer, " selector=3 fixed=500 varint=4294967295 time_ms=990 weight=-1.5 "
                                "raw=*** epoch=1/0000000000000002 stream=3/4 "
                                "position=7-5-40414243 slice8=abcd slicev=<3 bytes> text8=hijklmn "
                                "array=[1 200 18446744073709551615] rest=<12 bytes>");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_table_fits_its_struct),
        cmocka_unit_test(every_type_survives_a_round_trip),
        cmocka_unit_test(absent_fields_take_no_bytes_and_become_zero),
        cmocka_unit_test(values_outside_their_limits_are_refused_and_named),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(values_that_do_not_fit_their_member_are_refused),
        cmocka_unit_test(a_thing_describes_itself_without_its_secret),
    };
    return cmocka_run_group_tests_name("format/fields", tests, NULL, NULL);
}
