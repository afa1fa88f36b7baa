/* out: every reply type in both protocols, byte by byte. */
#include "support/tm_test.h"

#include "server/out.h"

#include <math.h>

static struct alloc alloc;
static struct out o;

static int set_up(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    out_init(&o, &alloc);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    out_fini(&o);
    assert_int_equal(alloc.used_bytes, 0);
    return 0;
}

static void assert_written(const char *wanted)
{
    out_bytes(&o, "", 1);
    assert_string_equal((const char *)o.data, wanted);
    out_reset(&o, SIZE_MAX);
}

static void plain_types_are_the_same_in_both(void **state)
{
    (void)state;
    out_simple(&o, "OK");
    out_error(&o, "ERR", "two\r\nlines");
    out_integer(&o, -5);
    out_integer(&o, INT64_MIN);
    out_integer(&o, INT64_MAX);
    out_count(&o, 7);
    out_count(&o, UINT64_MAX);
    out_bulk(&o, slice_of("a\0b", 3));
    out_bulk_text(&o, "");
    out_array(&o, 12);
    out_format(&o, "%d%s", 5, "x");
    out_bytes(&o, "", 1);
    static const char wanted[] =
        "+OK\r\n-ERR two  lines\r\n:-5\r\n:-9223372036854775808\r\n:9223372036854775807\r\n:7\r\n"
        "$20\r\n18446744073709551615\r\n$3\r\na\0b\r\n$0\r\n\r\n*12\r\n5x";
    assert_int_equal(o.size, sizeof(wanted));
    assert_memory_equal(o.data, wanted, sizeof(wanted));
}

static void others_have_a_form_in_each(void **state)
{
    (void)state;
    static const char *const wanted[2] = {
        "$-1\r\n:1\r\n:0\r\n$3\r\n0.5\r\n$3\r\ninf\r\n$4\r\n-inf\r\n$3\r\nnan\r\n*2\r\n*4\r\n"
        "$2\r\nhi\r\n",
        "_\r\n#t\r\n#f\r\n,0.5\r\n,inf\r\n,-inf\r\n,nan\r\n~2\r\n%2\r\n=6\r\ntxt:hi\r\n",
    };
    for (int i = 0; i < 2; i++) {
        enum proto proto = i == 0 ? PROTO_RESP2 : PROTO_RESP3;
        out_nil(&o, proto);
        out_bool(&o, proto, true);
        out_bool(&o, proto, false);
        out_double(&o, proto, 0.5);
        out_double(&o, proto, (double)INFINITY);
        out_double(&o, proto, -(double)INFINITY);
        out_double(&o, proto, (double)NAN);
        out_set(&o, proto, 2);
        out_map(&o, proto, 2);
        out_verbatim(&o, proto, slice_of("hi", 2));
        assert_written(wanted[i]);
    }
}

static void long_formats_are_not_cut(void **state)
{
    (void)state;
    char big[3000];
    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    out_format(&o, "<%s>", big);
    assert_int_equal(o.size, sizeof(big) + 1);
    assert_int_equal(o.data[o.size - 1], '>');
}

static void a_buffer_that_cannot_grow_stays_failed(void **state)
{
    (void)state;
    struct alloc small;
    alloc_init(&small, 2048);
    struct out p;
    out_init(&p, &small);
    char big[4096] = {0};
    out_simple(&p, "OK");
    out_bytes(&p, big, sizeof(big));
    assert_true(p.is_failed);
    assert_false(out_grow(&p, SIZE_MAX));
    out_reset(&p, 0);
    assert_false(p.is_failed);
    assert_int_equal(small.used_bytes, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(plain_types_are_the_same_in_both, set_up, tear_down),
        cmocka_unit_test_setup_teardown(others_have_a_form_in_each, set_up, tear_down),
        cmocka_unit_test_setup_teardown(long_formats_are_not_cut, set_up, tear_down),
        cmocka_unit_test(a_buffer_that_cannot_grow_stays_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
