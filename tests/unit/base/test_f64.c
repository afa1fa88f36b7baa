/* Tests of base/f64 (declared in base/text.h): printing is the shortest that reads back, reading is
 * exactly rounded. The C library is the judge, in the C locale. */
#include "support/tm_test.h"

#include "base/random.h"
#include "base/text.h"

#include <float.h>
#include <math.h>

static double from_bits(uint64_t bits)
{
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

static void assert_prints(double v, const char *expected)
{
    char text[F64_TEXT_SIZE];
    size_t size = format_f64(text, v);
    assert_string_equal(text, expected);
    assert_int_equal(size, strlen(expected));
}

static void doubles_print_as_people_write_them(void **state)
{
    (void)state;
    assert_prints(0, "0");
    assert_prints(-0.0, "-0");
    assert_prints(1, "1");
    assert_prints(-1.5, "-1.5");
    assert_prints(0.1, "0.1");
    assert_prints(0.30000000000000004, "0.30000000000000004");
    assert_prints(1200, "1200");
    assert_prints(123.456, "123.456");
    assert_prints(9007199254740993.0, "9007199254740992");
    assert_prints(99999999999999984.0, "99999999999999980");
    assert_prints(1e16, "10000000000000000");
    assert_prints(1e17, "1e17");
    assert_prints(1.5e300, "1.5e300");
    assert_prints(0.0001, "0.0001");
    assert_prints(0.00012345678901234567, "0.00012345678901234567");
    assert_prints(0.00001, "1e-5");
    assert_prints(1.25e-7, "1.25e-7");
    assert_prints(5e-324, "5e-324");
    assert_prints(-DBL_MAX, "-1.7976931348623157e308");
    assert_prints(DBL_MIN, "2.2250738585072014e-308");
    assert_prints(9.5367431640625e-07, "9.5367431640625e-7");
    assert_prints(HUGE_VAL, "inf");
    assert_prints(-HUGE_VAL, "-inf");
    assert_prints(nan(""), "nan");
}

/* The text reads back as the same bits, in our reader and in the C library's, and no text with a
 * digit less does. */
static void assert_shortest_round_trip(double v)
{
    char text[F64_TEXT_SIZE];
    size_t size = format_f64(text, v);
    assert_true(size <= 24);
    assert_same_double(strtod(text, NULL), v);
    double ours = 0;
    assert_true(parse_f64(slice_of(text, size), &ours));
    assert_same_double(ours, v);

    int digits = 0; /* significant ones */
    int zeros = 0;
    for (const char *c = text; *c != '\0' && *c != 'e'; c++) {
        if (*c < '0' || *c > '9' || (*c == '0' && digits == 0)) continue;
        digits++;
        zeros = *c == '0' ? zeros + 1 : 0;
    }
    if (strchr(text, '.') == NULL) digits -= zeros;
    if (digits > 1) {
        char shorter[64];
        (void)snprintf(shorter, sizeof(shorter), "%.*e", digits - 2, v);
        assert_true(strtod(shorter, NULL) != v);
    }
}

static void random_doubles_print_shortest_and_read_back(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("f64", 1));
    for (int i = 0; i < 200000; i++) {
        double v = from_bits(random_next(&r));
        if (isfinite(v)) assert_shortest_round_trip(v);
        assert_shortest_round_trip((random_unit(&r) - 0.5) * 1e6);
        assert_shortest_round_trip((double)random_below(&r, 1000000) / 1000);
    }
}

/* Borders of exponents, where the interval below is half as wide. */
static void powers_of_two_and_their_neighbours_print_shortest(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 2047; exponent++) {
        for (uint64_t fraction = 0; fraction < 4; fraction++) {
            double v = from_bits((exponent << 52) + fraction);
            if (v != 0) assert_shortest_round_trip(v);
            if (exponent > 0)
                assert_shortest_round_trip(from_bits((exponent << 52) - 1 - fraction));
        }
    }
}

static void assert_reads_like_strtod(const char *text)
{
    double v = 0;
    assert_true(parse_f64(slice_of_text(text), &v));
    assert_same_double(v, strtod(text, NULL));
}

/* Halfway cases need every digit; a reader that cuts digits is wrong by one bit. */
static void hard_numbers_read_exactly_rounded(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "9007199254740993",
        "9007199254740992.99999999999999999999",
        "9007199254740993.00000000000000000001",
        "0.500000000000000166533453693773481063544750213623046875",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "2.4703282292062327e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "8.98846567431158e307",
        "123456789012345678901234567890",
        "1e23",
        "8.5e-320",
        "0.000000000000000000000000000000000000000000000000000000000000000001e66",
        "100000000000000000000000000000000000000000000000000000000000e-59",
        "7.0420557077594588669468784357561207962098443483187940792729600000e59",
        "0e999999999999",
        "-0",
        "-0.0e-5",
        "1e-400",
        ".5",
        "5.",
        "00012",
        "1E5",
        "1e+5",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        assert_reads_like_strtod(texts[i]);
    }
}

static void random_digits_read_like_the_c_library(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("f64 digits", 1));
    for (int i = 0; i < 100000; i++) {
        char buffer[128];
        struct text t = text_of(buffer, sizeof(buffer));
        size_t digits = 1 + random_below(&r, 40);
        size_t point = random_below(&r, 50);
        for (size_t d = 0; d < digits; d++) {
            if (d == point) text_add(&t, ".");
            text_add(&t, "%d", (int)random_below(&r, 10));
        }
        if (random_chance(&r, 700000)) text_add(&t, "e%d", (int)random_below(&r, 660) - 350);
        if (isfinite(strtod(buffer, NULL))) assert_reads_like_strtod(buffer);
    }
}

/* The exact middle between two doubles, and a little above and below it. */
static void middles_between_doubles_round_to_even(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("f64 middles", 1));
    for (int i = 0; i < 20000; i++) {
        uint64_t c = ((uint64_t)1 << 52) + random_below(&r, (uint64_t)1 << 52);
        char text[128];
        (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)(2 * c + 1));
        assert_reads_like_strtod(text);
        (void)snprintf(text, sizeof(text), "%llu.00000000000000000000000000001",
                       (unsigned long long)(2 * c + 1));
        assert_reads_like_strtod(text);
        (void)snprintf(text, sizeof(text), "%llu.99999999999999999999999999999",
                       (unsigned long long)(2 * c));
        assert_reads_like_strtod(text);
    }
}

static void what_is_no_finite_number_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "",    "-",     "+1",    ".",      "e5",       "1e",      "1e+",
        "1e-", "1.2.3", "1 ",    " 1",     "nan",      "inf",     "-inf",
        "0x1", "1e309", "1e999", "-1e309", "1,5",      "1e5.5",   "--1",
        "1f",  "1_0",   "1e 5",  "NaN",    "Infinity", "1.8e308", "1.7976931348623159e308",
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        double v = 7;
        assert_false(parse_f64(slice_of_text(texts[i]), &v));
        assert_same_double(v, 7); /* untouched */
    }
    char long_text[200];
    memset(long_text, '1', sizeof(long_text));
    double v = 7;
    assert_false(parse_f64(slice_of(long_text, 129), &v));
    assert_true(parse_f64(slice_of(long_text, 128), &v));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(doubles_print_as_people_write_them),
        cmocka_unit_test(random_doubles_print_shortest_and_read_back),
        cmocka_unit_test(powers_of_two_and_their_neighbours_print_shortest),
        cmocka_unit_test(hard_numbers_read_exactly_rounded),
        cmocka_unit_test(random_digits_read_like_the_c_library),
        cmocka_unit_test(middles_between_doubles_round_to_even),
        cmocka_unit_test(what_is_no_finite_number_is_refused),
    };
    return cmocka_run_group_tests_name("base/f64", tests, NULL, NULL);
}
