/* now: dates of the calendar, with answers known from elsewhere, and a clock that goes forward. */
#include "support/tm_test.h"

#include "server/now.h"

static void dates_are_those_of_the_calendar(void **state)
{
    (void)state;
    static const struct {
        int64_t seconds;
        struct now_date date;
    } rows[] = {
        {0, {1970, 1, 1, 0, 0, 0}},
        {951782400, {2000, 2, 29, 0, 0, 0}},
        {951868799, {2000, 2, 29, 23, 59, 59}},
        {951868800, {2000, 3, 1, 0, 0, 0}},
        {1000000000, {2001, 9, 9, 1, 46, 40}},
        {1704067199, {2023, 12, 31, 23, 59, 59}},
        {4107542400, {2100, 3, 1, 0, 0, 0}},
        {-5, {1970, 1, 1, 0, 0, 0}},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct now_date d = now_date_of(rows[i].seconds);
        assert_int_equal(d.year, rows[i].date.year);
        assert_int_equal(d.month, rows[i].date.month);
        assert_int_equal(d.day, rows[i].date.day);
        assert_int_equal(d.hour, rows[i].date.hour);
        assert_int_equal(d.minute, rows[i].date.minute);
        assert_int_equal(d.second, rows[i].date.second);
    }
}

static void clocks_run(void **state)
{
    (void)state;
    uint64_t before = now_mono_ns();
    assert_true(now_mono_ns() >= before);
    assert_true(now_wall_us() > INT64_C(1600000000) * 1000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(clocks_run),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
