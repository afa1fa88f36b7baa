/* Tests of base/bytes: what is written is read back; nothing is read or written out of bounds; one
 * failure is remembered. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/random.h"

#include <math.h>

static void every_width_is_read_back_as_written(void **state)
{
    (void)state;
    uint8_t memory[128];
    struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
    bytes_write_u8(&w, 0xab);
    bytes_write_u16(&w, 0x1234);
    bytes_write_u32(&w, 0xdeadbeef);
    bytes_write_u64(&w, 0x0123456789abcdef);
    bytes_write_i64(&w, -5);
    bytes_write_f64(&w, -0.5);
    bytes_write_varint(&w, 300);
    bytes_write_zigzag(&w, -300);
    bytes_write_slice8(&w, slice_of_text("key"));
    bytes_write_slice_varint(&w, slice_of_text("longer"));
    bytes_write(&w, "raw", 3);
    bytes_write_zeros(&w, 4);
    assert_false(w.is_failed);

    struct bytes_reader r = bytes_reader_of(bytes_written_slice(&w));
    assert_int_equal(bytes_read_u8(&r), 0xab);
    assert_int_equal(bytes_read_u16(&r), 0x1234);
    assert_int_equal(bytes_read_u32(&r), 0xdeadbeef);
    assert_int_equal(bytes_read_u64(&r), 0x0123456789abcdef);
    assert_int_equal(bytes_read_i64(&r), -5);
    assert_same_double(bytes_read_f64(&r), -0.5);
    assert_int_equal(bytes_read_varint(&r), 300);
    assert_int_equal(bytes_read_zigzag(&r), -300);
    assert_true(slice_equal(bytes_read_slice8(&r), slice_of_text("key")));
    assert_true(slice_equal(bytes_read_slice_varint(&r), slice_of_text("longer")));
    assert_true(slice_equal(bytes_read_slice(&r, 3), slice_of_text("raw")));
    uint8_t zeros[4] = {1, 1, 1, 1};
    bytes_read_into(&r, zeros, sizeof(zeros));
    assert_memory_equal(zeros, "\0\0\0\0", 4);
    assert_true(bytes_is_done(&r));
}

/* The bytes on disk and wire are little-endian, whatever reads them. */
static void integers_are_little_endian(void **state)
{
    (void)state;
    uint8_t memory[8];
    struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
    bytes_write_u64(&w, 0x0102030405060708);
    assert_memory_equal(memory, "\x08\x07\x06\x05\x04\x03\x02\x01", 8);
    assert_int_equal(load_u32(memory), 0x05060708);
    assert_int_equal(load_u16(memory), 0x0708);
    store_u16(memory, 0xa1b2);
    assert_memory_equal(memory, "\xb2\xa1", 2);
}

/* A read past the end fails the cursor for good and gives zeros and empty slices. */
static void reader_stays_failed_after_running_over_the_end(void **state)
{
    (void)state;
    const uint8_t three[3] = {1, 2, 3};
    struct bytes_reader r = bytes_reader_of(slice_of(three, sizeof(three)));
    assert_int_equal(bytes_read_u32(&r), 0);
    assert_true(r.is_failed);
    assert_int_equal(bytes_read_u8(&r), 0);
    assert_int_equal(bytes_read_slice(&r, 0).size, 0);
    uint8_t out[2] = {9, 9};
    bytes_read_into(&r, out, sizeof(out));
    assert_memory_equal(out, "\0\0", 2);
    assert_false(bytes_is_done(&r));
}

static void slice_longer_than_the_rest_is_refused(void **state)
{
    (void)state;
    const uint8_t data[] = {4, 'a', 'b', 'c'}; /* says four bytes, has three */
    struct bytes_reader r = bytes_reader_of(slice_of(data, sizeof(data)));
    assert_int_equal(bytes_read_slice8(&r).size, 0);
    assert_true(r.is_failed);

    const uint8_t huge[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 'a'};
    r = bytes_reader_of(slice_of(huge, sizeof(huge)));
    assert_int_equal(bytes_read_slice_varint(&r).size, 0);
    assert_true(r.is_failed);
}

static void empty_memory_is_done_at_once(void **state)
{
    (void)state;
    struct bytes_reader r = bytes_reader_of(slice_of(NULL, 0));
    assert_true(bytes_is_done(&r));
    assert_int_equal(bytes_read_slice(&r, 0).size, 0);
    assert_true(bytes_is_done(&r));
    assert_int_equal(bytes_read_u8(&r), 0);
    assert_true(r.is_failed);
}

static void varint_takes_one_byte_per_seven_bits(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits <= 64; bits++) {
        uint64_t v = bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1;
        uint8_t memory[10];
        struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
        bytes_write_varint(&w, v);
        assert_false(w.is_failed);
        size_t expected = bits <= 7 ? 1 : (bits + 6) / 7;
        assert_int_equal(bytes_written(&w), expected);
        assert_int_equal(varint_size(v), expected);
        struct bytes_reader r = bytes_reader_of(bytes_written_slice(&w));
        assert_int_equal(bytes_read_varint(&r), v);
        assert_true(bytes_is_done(&r));
    }
}

/* Equal values have equal bytes, so a form with padding is damage. */
static void varint_that_is_not_the_shortest_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
    } bad[] = {
        {"\x80\x00", 2},                                  /* 0 in two bytes */
        {"\xff\x80\x00", 3},                              /* 127 in three */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10}, /* 65 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x01", 11},
        {"\xff\xff", 2}, /* no end */
        {"", 0},
    };
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct bytes_reader r = bytes_reader_of(slice_of(bad[i].bytes, bad[i].size));
        assert_int_equal(bytes_read_varint(&r), 0);
        assert_true(r.is_failed);
    }
}

static void zigzag_reads_back_the_ends_of_its_range(void **state)
{
    (void)state;
    static const int64_t values[] = {0, -1, 1, -64, 64, INT64_MIN, INT64_MAX, INT64_MIN + 1};
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        uint8_t memory[10];
        struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
        bytes_write_zigzag(&w, values[i]);
        struct bytes_reader r = bytes_reader_of(bytes_written_slice(&w));
        assert_int_equal(bytes_read_zigzag(&r), values[i]);
    }
    assert_int_equal(zigzag_of(-1), 1);
    assert_int_equal(zigzag_of(1), 2);
}

static void nan_keeps_its_bits(void **state)
{
    (void)state;
    uint8_t memory[8];
    struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
    bytes_write_f64(&w, nan("7"));
    struct bytes_reader r = bytes_reader_of(bytes_written_slice(&w));
    assert_same_double(bytes_read_f64(&r), nan("7"));
}

/* A writer without room writes nothing more, keeps what it has, and touches nothing behind. */
static void writer_stays_failed_and_never_writes_behind_its_end(void **state)
{
    (void)state;
    uint8_t memory[8];
    memset(memory, 0x55, sizeof(memory));
    struct bytes_writer w = bytes_writer_of(memory, 4);
    bytes_write_u16(&w, 0x1111);
    bytes_write_u32(&w, 0x22222222);
    assert_true(w.is_failed);
    bytes_write_u8(&w, 0x33); /* would fit, but order matters more */
    bytes_write_varint(&w, 1);
    bytes_write_zeros(&w, 1);
    assert_int_equal(bytes_written(&w), 2);
    assert_memory_equal(memory, "\x11\x11\x55\x55\x55\x55\x55\x55", 8);
}

static void slice8_of_256_bytes_is_refused(void **state)
{
    (void)state;
    static const uint8_t data[256];
    uint8_t memory[512];
    struct bytes_writer w = bytes_writer_of(memory, sizeof(memory));
    bytes_write_slice8(&w, slice_of(data, 255));
    assert_false(w.is_failed);
    assert_int_equal(bytes_written(&w), 256);
    bytes_write_slice8(&w, slice_of(data, 256));
    assert_true(w.is_failed);
}

/* Any bytes and any order of reads: the cursor never leaves its memory (asan watches too). */
static void random_reads_never_leave_the_memory(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("bytes", 1));
    for (int round = 0; round < 20000; round++) {
        size_t size = (size_t)random_below(&random, 24);
        uint8_t *data = malloc(size > 0 ? size : 1); /* exact: asan sees one byte too many */
        assert_non_null(data);
        for (size_t i = 0; i < size; i++) {
            data[i] = (uint8_t)random_next(&random);
        }
        struct bytes_reader r = bytes_reader_of(slice_of(data, size));
        for (int i = 0; i < 8; i++) {
            switch (random_below(&random, 6)) {
            case 0: (void)bytes_read_u8(&r); break;
            case 1: (void)bytes_read_u64(&r); break;
            case 2: (void)bytes_read_varint(&r); break;
            case 3: (void)bytes_read_slice8(&r); break;
            case 4: (void)bytes_read_slice_varint(&r); break;
            default: (void)bytes_read_u16(&r); break;
            }
            assert_true(r.at >= data && r.at <= data + size);
            assert_true(bytes_left(&r) <= size);
        }
        free(data);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_is_read_back_as_written),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(reader_stays_failed_after_running_over_the_end),
        cmocka_unit_test(slice_longer_than_the_rest_is_refused),
        cmocka_unit_test(empty_memory_is_done_at_once),
        cmocka_unit_test(varint_takes_one_byte_per_seven_bits),
        cmocka_unit_test(varint_that_is_not_the_shortest_is_refused),
        cmocka_unit_test(zigzag_reads_back_the_ends_of_its_range),
        cmocka_unit_test(nan_keeps_its_bits),
        cmocka_unit_test(writer_stays_failed_and_never_writes_behind_its_end),
        cmocka_unit_test(slice8_of_256_bytes_is_refused),
        cmocka_unit_test(random_reads_never_leave_the_memory),
    };
    return cmocka_run_group_tests_name("base/bytes", tests, NULL, NULL);
}
