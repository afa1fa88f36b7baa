/* Tests of format/put_fields: lists of fields read back one by one, and malformed ones are refused.
 */
#include "support/tm_test.h"

#include "format/put_fields.h"
#include "support/samples.h"

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

static void lists_hold_4096_fields_and_no_more(void **state)
{
    (void)state;
    static uint8_t bytes[5 * PUT_FIELDS_MAX + 16];
    const struct put_field f = {.name = slice_of_text("ab"), .tag = PUT_UNSET};
    for (uint32_t count = PUT_FIELDS_MAX; count <= PUT_FIELDS_MAX + 1; count++) {
        struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
        bytes_write_varint(&w, count);
        for (uint32_t i = 0; i < count; i++) {
            put_field_write(&w, &f);
        }
        assert_false(w.is_failed);
        assert_int_equal(put_fields_are_valid(bytes_written_slice(&w)), count <= PUT_FIELDS_MAX);
        w = bytes_writer_of(bytes, sizeof(bytes));
        bytes_write_varint(&w, count);
        for (uint32_t i = 0; i < count; i++) {
            bytes_write_slice8(&w, f.name);
        }
        assert_int_equal(put_names_are_valid(bytes_written_slice(&w)), count <= PUT_FIELDS_MAX);
    }
}

/* The writer refuses what the reader would. */
static void the_writer_refuses_what_the_reader_refuses(void **state)
{
    (void)state;
    static const uint8_t long_name[256] = {'x'};
    const struct put_field rows[] = {
        {.name = {0}, .tag = PUT_UNSET},
        {.name = slice_of(long_name, 256), .tag = PUT_UNSET},
        {.name = slice_of_text("a"), .tag = 6},
        {.name = slice_of_text("a"), .tag = PUT_BOOL, .integer = 2},
        {.name = slice_of_text("a"), .tag = PUT_REAL, .real = -0.0},
        {.name = slice_of_text("a"), .tag = PUT_TAGS, .tag_count = PUT_TAGS_MAX + 1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        uint8_t bytes[512];
        struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
        put_field_write(&w, &rows[i]);
        assert_true(w.is_failed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_put_reads_back_field_by_field),
        cmocka_unit_test(malformed_put_fields_are_refused),
        cmocka_unit_test(lists_hold_4096_fields_and_no_more),
        cmocka_unit_test(the_writer_refuses_what_the_reader_refuses),
    };
    return cmocka_run_group_tests_name("format/put_fields", tests, NULL, NULL);
}
