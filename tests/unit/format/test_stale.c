/* Tests of format/stale: the map verifies bit by bit, and its view hides exactly the old sectors,
 * however they are read. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "format/segment.h"
#include "format/stale.h"

#define KEY   0x1122334455667788u
#define LIMIT ((uint64_t)(64 * KIB))

static uint8_t old_bytes[64 * KIB];
static uint8_t file[64 * KIB];
static uint8_t map_bytes[2 * KIB];

static void make_map(struct stale_map *map)
{
    struct random random;
    random_init(&random, 7);
    for (size_t i = 0; i < sizeof(old_bytes); i++)
        old_bytes[i] = (uint8_t)random_next(&random);
    memcpy(file, old_bytes, sizeof(file));
    assert_true(stale_map_size(LIMIT) <= sizeof(map_bytes));
    for (size_t i = 0; i < LIMIT / STALE_SECTOR_SIZE; i++)
        store_u32(map_bytes + i * 4, stale_sum(old_bytes + i * STALE_SECTOR_SIZE));
    stale_map_finish(LIMIT, KEY, map_bytes);
    uint64_t file_size = stale_map_offset(LIMIT) + stale_map_size(LIMIT);
    const uint8_t *trailer = map_bytes + stale_map_size(LIMIT) - STALE_TRAILER_SIZE;
    assert_true(stale_trailer_decode(trailer, KEY, file_size, map));
    assert_true(stale_sums_decode(map, slice_of(map_bytes, stale_map_size(LIMIT)), KEY));
    assert_int_equal(map->limit, LIMIT);
    assert_int_equal(map->count, LIMIT / STALE_SECTOR_SIZE);
}

static enum code read_file(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                           struct err *e)
{
    (void)context;
    (void)e;
    size_t left = offset < sizeof(file) ? sizeof(file) - (size_t)offset : 0;
    *out_read = size < left ? size : left;
    memcpy(out, file + offset, *out_read);
    return OK;
}

static enum code read_nothing(void *context, uint64_t offset, void *out, size_t size,
                              size_t *out_read, struct err *e)
{
    (void)context;
    (void)offset;
    (void)out;
    (void)size;
    (void)out_read;
    return ERR(e, E_IO, "the disk says no");
}

/* The map must lie behind the largest footer that a segment of this limit can have. */
static void the_map_lies_behind_every_footer(void **state)
{
    (void)state;
    for (uint64_t limit = 64 * KIB; limit <= SEGMENT_SIZE_MAX; limit *= 2) {
        uint32_t seeks = (uint32_t)(limit / SEEK_BYTES) + 1;
        uint32_t chunks = (uint32_t)(limit / CHUNK_SIZE) + 1;
        assert_true(stale_map_offset(limit) >= limit + segment_footer_size(seeks, chunks));
        assert_int_equal(stale_map_offset(limit) % 4096, 0);
    }
}

static void any_changed_bit_of_the_map_is_noticed(void **state)
{
    (void)state;
    struct stale_map map;
    make_map(&map);
    size_t size = stale_map_size(LIMIT);
    uint64_t file_size = stale_map_offset(LIMIT) + size;
    for (size_t bit = 0; bit < size * 8; bit++) {
        map_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        struct stale_map back;
        const uint8_t *trailer = map_bytes + size - STALE_TRAILER_SIZE;
        bool is_good = stale_trailer_decode(trailer, KEY, file_size, &back) &&
                       stale_sums_decode(&back, slice_of(map_bytes, size), KEY);
        if (is_good) fail_msg("bit %zu", bit);
        map_bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    const uint8_t *trailer = map_bytes + size - STALE_TRAILER_SIZE;
    assert_false(stale_trailer_decode(trailer, KEY + 1, file_size, &map));
    assert_false(stale_trailer_decode(trailer, KEY, file_size + 1, &map));
    assert_false(stale_sums_decode(&map, slice_of(map_bytes, size - 1), KEY));
}

/* A trailer whose checksum holds and that no writer makes: offsets are the byte table of stale.h.
 */
static void a_trailer_that_names_an_impossible_map_is_refused(void **state)
{
    (void)state;
    enum { AT_COUNT = 8, AT_LIMIT = 16, AT_OFFSET = 24, AT_CRC = 60 };
    static const struct {
        size_t offset;
        uint64_t value;
    } rows[] = {
        {AT_LIMIT, 0},
        {AT_LIMIT, SEGMENT_SIZE_MAX + 4096},
        {AT_LIMIT, LIMIT + STALE_SECTOR_SIZE},
        {AT_LIMIT, LIMIT + 4096}, /* not what the count says */
        {AT_OFFSET, LIMIT},
    };
    struct stale_map map;
    make_map(&map);
    size_t size = stale_map_size(LIMIT);
    uint64_t file_size = stale_map_offset(LIMIT) + size;
    uint8_t trailer[STALE_TRAILER_SIZE];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        memcpy(trailer, map_bytes + size - sizeof(trailer), sizeof(trailer));
        store_u64(trailer + rows[i].offset, rows[i].value);
        store_u32(trailer + AT_CRC, crc32c_keyed(KEY, trailer, AT_CRC));
        assert_false(stale_trailer_decode(trailer, KEY, file_size, &map));
    }
    memcpy(trailer, map_bytes + size - sizeof(trailer), sizeof(trailer));
    store_u32(trailer + AT_COUNT, (uint32_t)(LIMIT / STALE_SECTOR_SIZE) - 1);
    store_u32(trailer + AT_CRC, crc32c_keyed(KEY, trailer, AT_CRC));
    assert_false(stale_trailer_decode(trailer, KEY, file_size, &map));
    assert_true(stale_trailer_decode(map_bytes + size - sizeof(trailer), KEY, file_size, &map));
}

static enum code read_most(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                           struct err *e)
{
    size_t left = sizeof(file) - 100 - (size_t)offset;
    return read_file(context, offset, out, size < left ? size : left, out_read, e);
}

/* What stands behind the limit has no sum, and of a sector that is cut it is not known whether it
 * is the old one: both are shown, though every byte is as it was. */
static void sectors_behind_the_limit_and_cut_ones_are_shown(void **state)
{
    (void)state;
    struct stale_map map;
    make_map(&map);
    uint8_t out[STALE_SECTOR_SIZE];
    size_t got = 0;
    struct stale_view view = {.map = &map, .source = read_file};
    uint64_t last = sizeof(file) - STALE_SECTOR_SIZE;
    assert_int_equal(stale_view_read(&view, last, out, 1, &got, NULL), OK);
    assert_int_equal(out[0], 0);
    assert_int_equal(stale_view_read(&view, last, out, sizeof(out), &got, NULL), OK);
    assert_int_equal(out[7], 0);
    map.count--;
    assert_int_equal(stale_view_read(&view, last, out, sizeof(out), &got, NULL), OK);
    assert_memory_equal(out, file + last, sizeof(out));
    map.count++;
    view.source = read_most;
    assert_int_equal(stale_view_read(&view, last, out, 50, &got, NULL), OK);
    assert_int_equal(got, 50);
    assert_memory_equal(out, file + last, 50);
}

static void the_view_hides_old_sectors_and_nothing_else(void **state)
{
    (void)state;
    struct stale_map map;
    make_map(&map);
    uint8_t shown[sizeof(file)] = {0};
    struct random random;
    random_init(&random, tm_seed("stale", 1));
    for (size_t sector = 0; sector < map.count; sector++) {
        if (random_below(&random, 2) == 0) continue; /* old */
        uint8_t *at = file + sector * STALE_SECTOR_SIZE;
        at[random_below(&random, STALE_SECTOR_SIZE)] ^= 1; /* new, by one bit */
        memcpy(shown + sector * STALE_SECTOR_SIZE, at, STALE_SECTOR_SIZE);
    }
    struct stale_view view = {.map = &map, .source = read_file};
    for (uint32_t i = 0; i < 3000; i++) {
        uint8_t out[5000];
        uint64_t offset = random_below(&random, sizeof(file));
        size_t size = 1 + (size_t)random_below(&random, i % 2 == 0 ? 600 : sizeof(out) - 1);
        size_t got = 0;
        assert_int_equal(stale_view_read(&view, offset, out, size, &got, NULL), OK);
        size_t left = sizeof(file) - (size_t)offset;
        assert_int_equal(got, size < left ? size : left);
        assert_memory_equal(out, shown + offset, got);
    }
}

static void without_a_map_everything_is_shown_and_errors_pass(void **state)
{
    (void)state;
    struct stale_map none = {0};
    uint8_t out[1024];
    size_t got = 0;
    struct stale_view view = {.map = &none, .source = read_file};
    assert_int_equal(stale_view_read(&view, 100, out, sizeof(out), &got, NULL), OK);
    assert_memory_equal(out, file + 100, sizeof(out));
    view.map = NULL;
    assert_int_equal(stale_view_read(&view, 100, out, sizeof(out), &got, NULL), OK);
    view.source = read_nothing;
    assert_int_equal(stale_view_read(&view, 100, out, sizeof(out), &got, NULL), E_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_map_lies_behind_every_footer),
        cmocka_unit_test(any_changed_bit_of_the_map_is_noticed),
        cmocka_unit_test(a_trailer_that_names_an_impossible_map_is_refused),
        cmocka_unit_test(sectors_behind_the_limit_and_cut_ones_are_shown),
        cmocka_unit_test(the_view_hides_old_sectors_and_nothing_else),
        cmocka_unit_test(without_a_map_everything_is_shown_and_errors_pass),
    };
    return cmocka_run_group_tests_name("format/stale", tests, NULL, NULL);
}
