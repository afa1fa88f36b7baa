/* Tests of core/disk: the rungs one by one, up and down, the reserve, and how smooth writers slow.
 */
#include "support/tm_test.h"

#include "core/disk.h"

#include <math.h>

#define UNIT (16 * MIB)

static struct disk_facts facts(uint64_t half_units, enum disk_rung rung)
{
    return (struct disk_facts){.free_bytes = half_units * (UNIT / 2),
                               .unit_bytes = UNIT,
                               .reserve_bytes = 64 * MIB,
                               .rung = rung};
}

static enum disk_rung rung_at(uint64_t half_units, enum disk_rung rung)
{
    struct disk_facts f = facts(half_units, rung);
    return disk_decide(&f).rung;
}

static void each_rung_begins_below_its_mark(void **state)
{
    (void)state;
    static const struct {
        uint64_t half_units;
        enum disk_rung at;    /* with exactly so much ... */
        enum disk_rung below; /* ... and with a byte less */
    } rows[] = {
        {16, DISK_PLENTY, DISK_AT_RISK},
        {8, DISK_AT_RISK, DISK_INVALIDATE},
        {6, DISK_INVALIDATE, DISK_SLOW},
        {4, DISK_SLOW, DISK_REFUSE},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct disk_facts f = facts(rows[i].half_units, DISK_PLENTY);
        assert_int_equal(disk_decide(&f).rung, rows[i].at);
        f.free_bytes--;
        assert_int_equal(disk_decide(&f).rung, rows[i].below);
    }
    struct disk_facts empty = facts(0, DISK_PLENTY);
    assert_int_equal(disk_decide(&empty).rung, DISK_REFUSE);
}

static void a_rung_is_left_with_half_a_unit_more(void **state)
{
    (void)state;
    assert_int_equal(rung_at(4, DISK_REFUSE), DISK_REFUSE);
    assert_int_equal(rung_at(5, DISK_REFUSE), DISK_SLOW);
    assert_int_equal(rung_at(6, DISK_SLOW), DISK_SLOW);
    assert_int_equal(rung_at(7, DISK_SLOW), DISK_INVALIDATE);
    assert_int_equal(rung_at(9, DISK_INVALIDATE), DISK_AT_RISK);
    assert_int_equal(rung_at(16, DISK_AT_RISK), DISK_AT_RISK);
    assert_int_equal(rung_at(17, DISK_AT_RISK), DISK_PLENTY);
    assert_int_equal(rung_at(100, DISK_REFUSE), DISK_PLENTY); /* all at once, too */
}

static void a_disk_that_fills_soon_is_at_risk_early(void **state)
{
    (void)state;
    struct disk_facts f = facts(62, DISK_PLENTY);
    assert_true(isinf(disk_decide(&f).seconds_until_full));
    f.growth_per_s = 10.0 * MIB;
    assert_same_double(disk_decide(&f).seconds_until_full, 46.4);
    assert_int_equal(disk_decide(&f).rung, DISK_AT_RISK);
    f.growth_per_s = 1.0 * MIB;
    assert_int_equal(disk_decide(&f).rung, DISK_PLENTY);
    f = facts(64, DISK_PLENTY); /* a large disk under a heavy load is not */
    f.growth_per_s = 1e12;
    assert_int_equal(disk_decide(&f).rung, DISK_PLENTY);
    f = facts(3, DISK_PLENTY);
    assert_same_double(disk_decide(&f).seconds_until_full, 0);
}

static void without_its_reserve_a_node_takes_no_writes(void **state)
{
    (void)state;
    struct disk_facts f = facts(100, DISK_PLENTY);
    f.is_reserve_gone = true;
    assert_int_equal(disk_decide(&f).rung, DISK_REFUSE);
    f.is_reserve_gone = false;
    assert_int_equal(disk_decide(&f).rung, DISK_PLENTY);
    f.free_bytes = 64 * MIB + 3 * UNIT;
    assert_true(disk_decide(&f).has_room_for_reserve);
    f.free_bytes--;
    assert_false(disk_decide(&f).has_room_for_reserve);
}

static void writers_slow_smoothly_and_at_most_so_much(void **state)
{
    (void)state;
    uint64_t before = 0;
    for (uint64_t free_bytes = 4 * UNIT; free_bytes > 0; free_bytes -= UNIT / 64) {
        struct disk_facts f = facts(0, DISK_PLENTY);
        f.free_bytes = free_bytes;
        uint64_t slow_ns = disk_decide(&f).slow_ns;
        assert_true(slow_ns >= before);
        assert_true(slow_ns - before <= DISK_SLOW_MAX_NS / 32);
        if (free_bytes >= 3 * UNIT) assert_int_equal(slow_ns, 0);
        before = slow_ns;
    }
    assert_int_equal(before, DISK_SLOW_MAX_NS);
}

static void small_disks_have_small_steps(void **state)
{
    (void)state;
    assert_int_equal(disk_unit(16 * MIB, 100 * GIB), 16 * MIB);
    assert_int_equal(disk_unit(16 * MIB, 64 * MIB), 4 * MIB);
    assert_int_equal(disk_unit(16 * MIB, 8 * MIB), MIB);
    assert_int_equal(disk_unit(64 * KIB, 100 * GIB), MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_rung_begins_below_its_mark),
        cmocka_unit_test(a_rung_is_left_with_half_a_unit_more),
        cmocka_unit_test(a_disk_that_fills_soon_is_at_risk_early),
        cmocka_unit_test(without_its_reserve_a_node_takes_no_writes),
        cmocka_unit_test(writers_slow_smoothly_and_at_most_so_much),
        cmocka_unit_test(small_disks_have_small_steps),
    };
    return cmocka_run_group_tests_name("core/disk", tests, NULL, NULL);
}
