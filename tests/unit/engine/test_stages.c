/* stages: one batch in 64 is followed through its stages, each timed once, on a clock that the test
 * moves. */
#include "engine/stages.h"

#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("stages");
    open_node(f);
    *state = f;
    return 0;
}

static uint64_t count_of(const struct metric_histogram *h)
{
    uint64_t count = 0;
    for (uint32_t i = 0; i <= stage_bounds.count; i++) {
        count += h->counts[i];
    }
    return count;
}

static void one_batch_in_64_is_timed(void **state)
{
    struct fixture *f = *state;
    struct stages *s = &f->n.db->stages;
    for (int i = 0; i < 129; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    }
    assert_int_equal(s->batches, 129);
    assert_int_equal(count_of(&s->seconds[STAGE_APPEND]), 3);
    assert_int_equal(count_of(&s->seconds[STAGE_SYNC]), 3);
    assert_int_equal(count_of(&s->seconds[STAGE_APPLY]), 3);
    assert_int_equal(count_of(&s->seconds[STAGE_RECEIVE]), 0);
    assert_int_equal(s->last.v, 0);
}

static void each_stage_has_its_own_time(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    uint64_t began_ns = db->env->v->now_mono_ns(db->env);
    db->stages = (struct stages){0};
    steps_advance(db->env, 2 * NS_PER_MS);
    stages_begin(db, STAGE_RECEIVE, began_ns, seqno_of(100));
    steps_advance(db->env, 20 * NS_PER_MS);
    stages_on_durable(db, seqno_of(99)); /* not yet */
    assert_int_equal(count_of(&db->stages.seconds[STAGE_STORE]), 0);
    stages_on_durable(db, seqno_of(120));
    stages_on_durable(db, seqno_of(130)); /* once */
    steps_advance(db->env, 200 * NS_PER_MS);
    stages_on_applied(db, seqno_of(100));
    stages_on_applied(db, seqno_of(101));
    const enum stage stages[] = {STAGE_RECEIVE, STAGE_STORE, STAGE_APPLY};
    const double seconds[] = {0.002, 0.02, 0.2};
    for (size_t i = 0; i < COUNT_OF(stages); i++) {
        assert_int_equal(count_of(&db->stages.seconds[stages[i]]), 1);
        assert_near_double(db->stages.seconds[stages[i]].sum, seconds[i], 1e-9);
    }
}

/* A link is timed from what is durable to what its follower shows; a sample counts once for it. */
static void a_link_has_stages_of_its_own(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    struct link_stages link = {0};
    db->stages =
        (struct stages){.shippable = {100}, .durable_ns = db->env->v->now_mono_ns(db->env)};
    stages_on_sent(db, &link, seqno_of(99));
    assert_int_equal(count_of(&link.ship), 0);
    steps_advance(db->env, 3 * NS_PER_MS);
    stages_on_sent(db, &link, seqno_of(100));
    stages_on_sent(db, &link, seqno_of(101));
    steps_advance(db->env, 30 * NS_PER_MS);
    stages_on_ack(db, &link, seqno_of(99));
    assert_int_equal(count_of(&link.ack), 0);
    stages_on_ack(db, &link, seqno_of(100));
    stages_on_ack(db, &link, seqno_of(101));
    assert_int_equal(count_of(&link.ship), 1);
    assert_int_equal(count_of(&link.ack), 1);
    assert_near_double(link.ship.sum, 0.003, 1e-9);
    assert_near_double(link.ack.sum, 0.03, 1e-9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_batch_in_64_is_timed),
        TEST(each_stage_has_its_own_time),
        TEST(a_link_has_stages_of_its_own),
    };
    return cmocka_run_group_tests_name("engine/stages", tests, NULL, NULL);
}
