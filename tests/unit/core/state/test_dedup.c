/* Tests of core/state/dedup: the window in log time, parts, the ring, loading. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "core/state/dedup.h"

static struct alloc alloc;

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

static struct id128 key_of(uint64_t n)
{
    struct id128 key;
    store_u64(key.bytes, n * UINT64_C(0x9e3779b97f4a7c15));
    store_u64(key.bytes + 8, n);
    return key;
}

static bool add(struct dedup *d, uint64_t minute, uint64_t n, uint64_t at)
{
    struct id128 key = key_of(n);
    struct write_ref where = {.epoch = 3, .seqno = {at}, .chain4 = {9, 8, 7, 6}};
    return dedup_add(d, minute, &key, &where);
}

static bool find(const struct dedup *d, uint64_t n, struct write_ref *out)
{
    struct id128 key = key_of(n);
    return dedup_find(d, &key, out);
}

/* Known in the minute of its write and in each of the ten after it, gone in the eleventh. */
static void keys_go_when_leader_time_reaches_the_eleventh_minute(void **state)
{
    (void)state;
    struct dedup d;
    struct write_ref where;
    dedup_init(&d, &alloc, 1);
    assert_true(add(&d, 100, 1, 5));
    for (uint64_t minute = 100; minute <= 110; minute++) {
        dedup_advance(&d, minute);
        assert_true(find(&d, 1, &where));
        assert_int_equal(d.count, 1);
    }
    assert_int_equal(where.seqno.v, 5);
    assert_int_equal(where.epoch, 3);
    assert_memory_equal(where.chain4, "\x09\x08\x07\x06", 4);
    dedup_advance(&d, 111);
    assert_false(find(&d, 1, &where));
    assert_int_equal(d.count, 0);
    assert_int_equal(dedup_part_count(&d), 0);
    dedup_fini(&d);
}

static void a_known_key_keeps_its_first_write(void **state)
{
    (void)state;
    struct dedup d;
    struct write_ref where;
    dedup_init(&d, &alloc, 1);
    assert_true(add(&d, 100, 1, 5));
    assert_true(add(&d, 101, 1, 6));
    assert_true(find(&d, 1, &where));
    assert_int_equal(where.seqno.v, 5);
    assert_int_equal(d.count, 1);
    dedup_advance(&d, 111);
    assert_true(add(&d, 111, 1, 7)); /* the first one went: a new write */
    assert_true(find(&d, 1, &where));
    assert_int_equal(where.seqno.v, 7);
    dedup_fini(&d);
}

/* Twenty thousand keys a minute for an hour: parts, ring growth, incremental cleaning. After each
 * minute exactly the keys of the window are known. */
static void a_busy_hour_keeps_exactly_the_window(void **state)
{
    (void)state;
    enum { PER_MINUTE = 20000, MINUTES = 60, BATCH = 100 };
    struct dedup d;
    struct write_ref where;
    dedup_init(&d, &alloc, 1);
    for (uint64_t minute = 0; minute < MINUTES; minute++) {
        for (uint64_t i = 0; i < PER_MINUTE; i++) {
            if (i % BATCH == 0) dedup_advance(&d, minute);
            assert_true(add(&d, minute, minute * PER_MINUTE + i, minute * PER_MINUTE + i + 1));
        }
        uint64_t oldest = minute < 10 ? 0 : minute - 10;
        assert_int_equal(d.count, (minute - oldest + 1) * PER_MINUTE);
        assert_int_equal(dedup_part_count(&d), (minute - oldest + 1) * 5);
        assert_true(find(&d, oldest * PER_MINUTE, &where));
        assert_true(find(&d, minute * PER_MINUTE + PER_MINUTE - 1, &where));
        if (oldest > 0) assert_false(find(&d, oldest * PER_MINUTE - 1, &where));
        assert_true(d.live - d.drain <= 10); /* cleaning keeps up: two minutes at most */
    }
    uint64_t last = 0;
    for (uint32_t i = 0; i < dedup_part_count(&d); i++) {
        uint64_t number = dedup_part(&d, i)->id.number;
        assert_true(i == 0 || number > last);
        last = number;
    }
    dedup_fini(&d);
}

/* Keys that went are unknown at once, also while they wait to be cleaned up; they can come again.
 */
static void keys_that_went_are_unknown_before_they_are_cleaned_up(void **state)
{
    (void)state;
    enum { KEYS = 9000 };
    struct dedup d;
    struct write_ref where;
    dedup_init(&d, &alloc, 1);
    for (uint64_t i = 0; i < KEYS; i++) {
        assert_true(add(&d, 100, i, i + 1));
    }
    dedup_advance(&d, 100);
    dedup_advance(&d, 111);
    assert_true(d.drain < d.live);
    assert_false(find(&d, KEYS - 1, &where));
    assert_true(add(&d, 111, KEYS - 1, 77777));
    assert_true(find(&d, KEYS - 1, &where));
    assert_int_equal(where.seqno.v, 77777);
    for (int i = 0; i < 50; i++) {
        dedup_advance(&d, 111);
    }
    assert_true(find(&d, KEYS - 1, &where));
    assert_int_equal(where.seqno.v, 77777);
    assert_int_equal(d.map.count, 1);
    dedup_fini(&d);
}

/* What went is cleaned up by later batches even when no keys come. */
static void idle_batches_finish_the_cleaning(void **state)
{
    (void)state;
    struct dedup d;
    dedup_init(&d, &alloc, 1);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(add(&d, 1, i, i + 1));
    }
    dedup_advance(&d, 1); /* forgets that keys came */
    for (int i = 0; i < 20; i++) {
        dedup_advance(&d, 50);
    }
    assert_int_equal(d.drain, d.end);
    assert_int_equal(d.map.count, 0);
    dedup_fini(&d);
}

static void refused_adds_leave_nothing_behind(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 3; n++) {
        struct dedup d;
        struct write_ref where;
        dedup_init(&d, &alloc, 1);
        atomic_store(&alloc.fail_countdown, n);
        assert_false(add(&d, 5, 1, 1));
        assert_false(find(&d, 1, &where));
        assert_int_equal(dedup_part_count(&d), 0);
        assert_true(add(&d, 5, 1, 1));
        assert_int_equal(dedup_part_count(&d), 1);
        dedup_fini(&d);
    }
}

static struct dedup_bounds bounds = {.minute_last = 20, .seqno_last = {1000000}};

static enum code load(struct dedup *d, uint64_t minute, uint64_t part, const uint8_t *rows,
                      size_t size)
{
    struct block_id id = {.kind = BLOCK_DEDUP, .number = minute << 20 | part};
    struct err e;
    return dedup_load(d, bounds, id, slice_of(rows, size), &e);
}

static void rows_make(uint8_t *rows, uint64_t first, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct id128 key = key_of(first + i);
        struct write_ref where = {.epoch = 1, .seqno = {first + i + 1}};
        memcpy(rows + i * DEDUP_ROW_SIZE, key.bytes, 16);
        write_ref_encode(&where, rows + i * DEDUP_ROW_SIZE + 16);
    }
}

static void parts_load_as_they_were(void **state)
{
    (void)state;
    struct dedup d;
    struct dedup loaded;
    struct write_ref where;
    dedup_init(&d, &alloc, 1);
    dedup_init(&loaded, &alloc, 2);
    for (uint64_t i = 0; i < 10000; i++) {
        assert_true(add(&d, 15 + i / 5000, i, i + 1));
    }
    for (uint32_t i = 0; i < dedup_part_count(&d); i++) {
        struct block *part = dedup_part(&d, i);
        uint8_t *bytes = malloc(block_size(part));
        block_encode(part, bytes);
        struct err e;
        assert_int_equal(
            dedup_load(&loaded, bounds, part->id, slice_of(bytes, block_size(part)), &e), OK);
        struct hash256 a = block_hash(part);
        struct hash256 b = block_hash(dedup_part(&loaded, i));
        assert_true(hash256_equal(&a, &b));
        free(bytes);
    }
    assert_int_equal(loaded.count, 10000);
    assert_true(find(&loaded, 9999, &where));
    dedup_fini(&d);
    dedup_fini(&loaded);
}

static void damaged_parts_are_refused(void **state)
{
    (void)state;
    enum { FULL = DEDUP_PART_ROWS * DEDUP_ROW_SIZE };
    uint8_t *rows = malloc(FULL + DEDUP_ROW_SIZE);
    struct dedup d;
    dedup_init(&d, &alloc, 1);
    rows_make(rows, 0, DEDUP_PART_ROWS + 1);
    assert_int_equal(load(&d, 9, 0, rows, 36), E_CORRUPT);  /* too old */
    assert_int_equal(load(&d, 21, 0, rows, 36), E_CORRUPT); /* later than leader time */
    assert_int_equal(load(&d, 10, 1, rows, 36), E_CORRUPT); /* part 0 is missing */
    assert_int_equal(load(&d, 10, 0, rows, 0), E_CORRUPT);
    assert_int_equal(load(&d, 10, 0, rows, 37), E_CORRUPT);
    assert_int_equal(load(&d, 10, 0, rows, FULL + DEDUP_ROW_SIZE), E_CORRUPT);
    assert_int_equal(load(&d, 10, 0, rows, FULL), OK);
    assert_int_equal(load(&d, 10, 2, rows, 36), E_CORRUPT); /* part 1 is missing */
    assert_int_equal(load(&d, 10, 1, rows, 36), E_CORRUPT); /* a key twice */
    rows_make(rows, 5000, 2);
    assert_int_equal(load(&d, 10, 1, rows, 36), OK);
    assert_int_equal(load(&d, 10, 2, rows + 36, 36), E_CORRUPT); /* part 1 is not full */
    rows_make(rows, bounds.seqno_last.v, 1);
    assert_int_equal(load(&d, 11, 0, rows, 36), E_CORRUPT); /* beyond the log */
    free(rows);
    dedup_fini(&d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(keys_go_when_leader_time_reaches_the_eleventh_minute, begin,
                                        end),
        cmocka_unit_test_setup_teardown(a_known_key_keeps_its_first_write, begin, end),
        cmocka_unit_test_setup_teardown(a_busy_hour_keeps_exactly_the_window, begin, end),
        cmocka_unit_test_setup_teardown(keys_that_went_are_unknown_before_they_are_cleaned_up,
                                        begin, end),
        cmocka_unit_test_setup_teardown(idle_batches_finish_the_cleaning, begin, end),
        cmocka_unit_test_setup_teardown(refused_adds_leave_nothing_behind, begin, end),
        cmocka_unit_test_setup_teardown(parts_load_as_they_were, begin, end),
        cmocka_unit_test_setup_teardown(damaged_parts_are_refused, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/dedup", tests, NULL, NULL);
}
