/* Tests of core/query/profile: which names there are, and that a hash stands for one definition. */
#include "support/tm_test.h"

#include "core/query/profile.h"
#include "support/state_log.h"

static struct alloc alloc;
static struct state_log state_log;
static struct state *s;

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    state_log_init(&state_log, 1700000000000);
    s = state_log_state(&state_log, &alloc);
    state_log_type(&state_log, 1, "view", 3600000);
    state_log_type(&state_log, 2, "share", 3600000);
    state_log_seal(&state_log);
    state_log_apply(&state_log, 0, 1, s);
    return 0;
}

static int end(void **state)
{
    (void)state;
    state_free(s);
    state_log_fini(&state_log);
    return 0;
}

static enum code find(const char *name, struct profile *out, struct err *e)
{
    return profile_find(s, slice_of_text(name), out, e);
}

static void names_stand_for_orders(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum retrieve_order order;
        uint32_t type_id;
    } rows[] = {
        {"new", RETRIEVE_NEW, 0},
        {"TOP", RETRIEVE_TOP, 0},
        {"hot", RETRIEVE_HOT, 0},
        {"Controversial", RETRIEVE_CONTROVERSIAL, 0},
        {"best", RETRIEVE_BEST, 0},
        {"trending", RETRIEVE_TRENDING, 0},
        {"rising", RETRIEVE_RISING, 0},
        {"most_viewed", RETRIEVE_COUNT, 1},
        {"decayed:share", RETRIEVE_DECAYED, 2},
        {"DECAYED:view", RETRIEVE_DECAYED, 1},
    };
    struct profile found[COUNT_OF(rows)];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct err e;
        assert_int_equal(find(rows[i].name, &found[i], &e), OK);
        assert_int_equal(found[i].order, rows[i].order);
        assert_int_equal(found[i].type_id, rows[i].type_id);
        for (size_t k = 0; k < i; k++) {
            assert_true(found[k].hash != found[i].hash);
        }
    }
}

static void other_names_are_refused_in_words(void **state)
{
    (void)state;
    struct profile p;
    struct err e;
    assert_int_equal(find("for_you", &p, &e), E_UNSUPPORTED);
    assert_non_null(strstr(e.text, "for_you"));
    assert_int_equal(find("best\n", &p, &e), E_SCHEMA);
    assert_non_null(strstr(e.text, "\"best\\x0a\""));
    assert_non_null(strstr(e.text, "most_viewed"));
    assert_int_equal(find("decayed:like", &p, &e), E_SCHEMA);
    assert_non_null(strstr(e.text, "\"like\""));
    assert_int_equal(find("decayed:", &p, &e), E_SCHEMA);
    assert_int_equal(find("", &p, &e), E_SCHEMA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_stand_for_orders),
        cmocka_unit_test(other_names_are_refused_in_words),
    };
    return cmocka_run_group_tests_name("core/query/profile", tests, begin, end);
}
