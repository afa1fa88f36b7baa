/* Tests of core/state/field_fit: what declared fields make of values. */
#include "support/tm_test.h"

#include "core/state/field_fit.h"
#include "format/record.h"

static uint8_t room[400];

static const char *fit(uint8_t kind, const struct put_field *value, struct put_field *out)
{
    return field_fit(kind, value, room, sizeof(room), out);
}

static struct put_field text_of_field(const char *text)
{
    return (struct put_field){
        .name = slice_of_text("f"), .tag = PUT_TEXT, .text = slice_of_text(text)};
}

static void fields_that_are_not_declared_take_anything_as_it_is(void **state)
{
    (void)state;
    for (uint8_t tag = PUT_UNSET; tag <= PUT_TAGS; tag++) {
        struct put_field value = {.name = slice_of_text("f"), .tag = tag, .integer = 1};
        struct put_field out;
        assert_null(fit(0, &value, &out));
        assert_int_equal(out.tag, tag);
        assert_int_equal(out.integer, 1);
    }
}

static void text_of_a_number_field_becomes_a_number(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint8_t tag;
        int64_t integer;
        double real;
    } good[] = {{"2020", PUT_INT, 2020, 0},
                {"-9223372036854775808", PUT_INT, INT64_MIN, 0},
                {"9223372036854775808", PUT_REAL, 0, 9223372036854775808.0},
                {"1.50", PUT_REAL, 0, 1.5},
                {"-0.0", PUT_REAL, 0, 0.0},
                {"1e3", PUT_REAL, 0, 1000.0},
                {"true", PUT_BOOL, 1, 0},
                {"false", PUT_BOOL, 0, 0}};
    struct put_field out;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct put_field value = text_of_field(good[i].text);
        assert_null(fit(SCHEMA_FIELD_NUM, &value, &out));
        assert_int_equal(out.tag, good[i].tag);
        if (out.tag != PUT_REAL) assert_int_equal(out.integer, good[i].integer);
        if (out.tag == PUT_REAL) assert_same_double(out.real, good[i].real);
    }
    static const char *const bad[] = {"",    "x",     "1 ",   " 1",  "nan",
                                      "inf", "1e999", "0x10", "1,5", "True"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct put_field value = text_of_field(bad[i]);
        assert_non_null(fit(SCHEMA_FIELD_NUM, &value, &out));
    }
}

static void text_of_a_time_field_becomes_milliseconds(void **state)
{
    (void)state;
    struct put_field out;
    struct put_field value = text_of_field("1700000000000");
    assert_null(fit(SCHEMA_FIELD_TIME, &value, &out));
    assert_int_equal(out.tag, PUT_INT);
    assert_int_equal(out.integer, INT64_C(1700000000000));
    static const char *const bad[] = {"", "1.5", "2020-01-01", "9223372036854775807"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        value = text_of_field(bad[i]);
        assert_non_null(fit(SCHEMA_FIELD_TIME, &value, &out));
    }
    struct put_field far = {.name = slice_of_text("f"), .tag = PUT_INT, .integer = INT64_MIN};
    assert_non_null(fit(SCHEMA_FIELD_TIME, &far, &out));
}

static void text_of_a_tag_field_is_split_at_commas(void **state)
{
    (void)state;
    struct put_field out;
    struct put_field value = text_of_field("red,light blue");
    assert_null(fit(SCHEMA_FIELD_TAG, &value, &out));
    assert_int_equal(out.tag, PUT_TAGS);
    assert_int_equal(out.tag_count, 2);
    assert_true(slice_equal(bytes_read_slice8(&out.tags), slice_of_text("red")));
    assert_true(slice_equal(bytes_read_slice8(&out.tags), slice_of_text("light blue")));
    assert_true(bytes_is_done(&out.tags));
    value = text_of_field("");
    assert_null(fit(SCHEMA_FIELD_TAG, &value, &out));
    assert_int_equal(out.tag_count, 0);
    static const char *const bad[] = {",", "a,", ",a", "a,,b"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        value = text_of_field(bad[i]);
        assert_non_null(fit(SCHEMA_FIELD_TAG, &value, &out));
    }
    char large[300];
    memset(large, 'x', sizeof(large));
    for (size_t size = 255; size <= 256; size++) {
        value.text = slice_of(large, size);
        assert_int_equal(fit(SCHEMA_FIELD_TAG, &value, &out) == NULL, size == 255);
    }
}

/* Other kinds of values fit where they mean the same. */
static void typed_values_fit_their_kind_alone(void **state)
{
    (void)state;
    static const struct {
        uint8_t kind;
        uint8_t tag;
        bool fits;
    } cases[] = {
        {SCHEMA_FIELD_TAG, PUT_TAGS, true},   {SCHEMA_FIELD_TAG, PUT_INT, false},
        {SCHEMA_FIELD_TAG, PUT_BOOL, false},  {SCHEMA_FIELD_NUM, PUT_INT, true},
        {SCHEMA_FIELD_NUM, PUT_REAL, true},   {SCHEMA_FIELD_NUM, PUT_BOOL, true},
        {SCHEMA_FIELD_NUM, PUT_TAGS, false},  {SCHEMA_FIELD_TIME, PUT_INT, true},
        {SCHEMA_FIELD_TIME, PUT_REAL, false}, {SCHEMA_FIELD_TIME, PUT_TAGS, false},
        {SCHEMA_FIELD_TEXT, PUT_TEXT, true},  {SCHEMA_FIELD_TEXT, PUT_INT, false},
        {SCHEMA_FIELD_TEXT, PUT_TAGS, false}, {SCHEMA_FIELD_TEXT, PUT_UNSET, true},
        {SCHEMA_FIELD_NUM, PUT_UNSET, true},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct put_field value = {.name = slice_of_text("f"), .tag = cases[i].tag};
        struct put_field out;
        assert_int_equal(fit(cases[i].kind, &value, &out) == NULL, cases[i].fits);
        if (cases[i].fits) assert_int_equal(out.tag, cases[i].tag);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_that_are_not_declared_take_anything_as_it_is),
        cmocka_unit_test(text_of_a_number_field_becomes_a_number),
        cmocka_unit_test(text_of_a_time_field_becomes_milliseconds),
        cmocka_unit_test(text_of_a_tag_field_is_split_at_commas),
        cmocka_unit_test(typed_values_fit_their_kind_alone),
    };
    return cmocka_run_group_tests_name("core/state/field_fit", tests, NULL, NULL);
}
