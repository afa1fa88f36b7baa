/* events: what happened to a node, kept in order, counted by kind, told in its status. */
#include "engine/events.h"

#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("events");
    open_node(f);
    *state = f;
    return 0;
}

static const struct tide_status *status_of(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_status(f->run), 0);
    steps_node_execute(&f->n, f->run);
    const struct tide_result *r = tide_run_result(f->run, 0);
    assert_int_equal(r->code, TIDE_OK);
    return r->as.status;
}

static void opening_is_the_first_thing_told(void **state)
{
    const struct tide_status *s = status_of(*state);
    assert_int_equal(s->event_count, 2);
    assert_int_equal(s->events_total, 2);
    assert_string_equal(s->events[0].kind, "epoch");
    assert_string_equal(s->events[0].text, "this node leads epoch 1, which begins with record 1");
    assert_string_equal(s->events[1].kind, "role");
    assert_string_equal(s->events[1].level, "info");
    assert_string_equal(s->events[1].text, "opened as single at record 11 of epoch 1");
    assert_int_equal(s->events[1].number, 2);
    assert_true(s->events[1].wall_ms > 0);
    assert_non_null(strstr(s->json, "\"events_total\":2,\"events\":[{\"number\":1,"));
    assert_non_null(strstr(s->json, "\"kind\":\"role\",\"level\":\"info\",\"text\":\"opened as"));
}

static void only_the_newest_are_kept_and_all_are_counted(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 1; i <= 2 * DB_EVENTS_KEPT; i++) {
        db_event(f->n.db, DB_EVENT_RESYNC, "the %u%s", i, "th \"quoted\" event");
    }
    const struct tide_status *s = status_of(f);
    assert_int_equal(s->event_count, DB_EVENTS_KEPT);
    assert_int_equal(s->events_total, 2 + 2 * DB_EVENTS_KEPT);
    assert_int_equal(s->events[0].number, 2 + DB_EVENTS_KEPT + 1);
    assert_string_equal(s->events[DB_EVENTS_KEPT - 1].text, "the 512th \"quoted\" event");
    assert_non_null(strstr(s->json, "\"text\":\"the 512th \\\"quoted\\\" event\"}]}"));
    assert_int_equal(f->n.db->events.by_kind[DB_EVENT_RESYNC], 2 * DB_EVENTS_KEPT);
    assert_int_equal(f->n.db->events.by_kind[DB_EVENT_ROLE], 1);
}

/* The texts of peers are in events: the JSON has room for the worst of them. */
static void the_longest_text_is_cut_and_fits(void **state)
{
    struct fixture *f = *state;
    char text[2 * DB_EVENT_TEXT_SIZE];
    memset(text, '\x01', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    for (uint32_t i = 0; i < DB_EVENTS_KEPT; i++) {
        db_event(f->n.db, DB_EVENT_REFUSAL, "%s", text);
    }
    const struct tide_status *s = status_of(f);
    assert_int_equal(strlen(s->events[0].text), DB_EVENT_TEXT_SIZE - 1);
    assert_string_equal(s->json + strlen(s->json) - 10, "\\u0001\"}]}");
}

static void every_kind_has_a_name_of_its_own_and_a_level(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < DB_EVENT_KIND_COUNT; i++) {
        const char *level = db_event_kind_level((enum db_event_kind)i);
        assert_true(strcmp(level, "info") == 0 || strcmp(level, "warn") == 0 ||
                    strcmp(level, "error") == 0);
        for (uint32_t k = 0; k < i; k++) {
            assert_string_not_equal(db_event_kind_name((enum db_event_kind)i),
                                    db_event_kind_name((enum db_event_kind)k));
        }
    }
}

/* The first reason stays, and it is told once. */
static void a_worse_condition_is_an_event_once(void **state)
{
    struct fixture *f = *state;
    struct err e = {.code = OK};
    (void)ERR(&e, E_DIVERGED, "block 7 of items differs"); /* only made here */
    db_set_condition(f->n.db, DB_DIVERGED, &e);
    db_set_condition(f->n.db, DB_DIVERGED, &e);
    const struct tide_status *s = status_of(f);
    assert_int_equal(f->n.db->events.by_kind[DB_EVENT_DIVERGENCE], 1);
    assert_string_equal(s->events[s->event_count - 1].text, "block 7 of items differs");
    assert_string_equal(s->events[s->event_count - 1].level, "error");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(opening_is_the_first_thing_told),
        TEST(only_the_newest_are_kept_and_all_are_counted),
        TEST(the_longest_text_is_cut_and_fits),
        TEST(every_kind_has_a_name_of_its_own_and_a_level),
        TEST(a_worse_condition_is_an_event_once),
    };
    return cmocka_run_group_tests_name("engine/events", tests, NULL, NULL);
}
