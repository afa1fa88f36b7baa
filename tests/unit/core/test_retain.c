/* Tests of core/retain: one per row of the table in retain.h, and by brute force that nothing that
 * is needed goes and that nothing more is kept. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/retain.h"

#define SEGMENTS 10u

/* Ten sealed segments of ten records each, then an active one; nobody needs anything. */
static struct retain_segment segments[SEGMENTS];

static struct retain_facts facts(void)
{
    for (uint32_t i = 0; i < SEGMENTS; i++) {
        segments[i] = (struct retain_segment){.first = seqno_of(i * 10 + 1),
                                              .last = seqno_of(i * 10 + 10),
                                              .bytes_after = (SEGMENTS - i) * 1000};
    }
    return (struct retain_facts){
        .segments = segments,
        .segment_count = SEGMENTS,
        .has_active = true,
        .retain_segments = 1,
        .has_slots = true,
        .slots_floor = seqno_of(106),
        .checkpoint = seqno_of(105),
        .durable = seqno_of(105),
    };
}

static void assert_plan(const struct retain_facts *f, uint64_t floor, enum retain_holder holder,
                        uint32_t drop_count)
{
    struct retain_plan plan = retain_decide(f);
    assert_int_equal(plan.floor.v, floor);
    assert_int_equal(plan.holder, holder);
    assert_int_equal(plan.drop_count, drop_count);
}

static void a_slot_holds_the_segment_its_follower_may_ask_for(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.slots_floor = seqno_of(35);
    assert_plan(&f, 35, RETAIN_BY_SLOTS, 3);
    f.slots_floor = seqno_of(40); /* the last record of a segment: that one stays */
    assert_plan(&f, 40, RETAIN_BY_SLOTS, 3);
    f.slots_floor = seqno_of(41);
    assert_plan(&f, 41, RETAIN_BY_SLOTS, 4);
    f.slots_floor = seqno_of(1); /* an unreadable catalogue, or a follower that holds nothing */
    assert_plan(&f, 1, RETAIN_BY_SLOTS, 0);
    f.slots_floor = SEQNO_NONE;
    assert_plan(&f, 1, RETAIN_BY_SLOTS, 0);
}

/* A follower may become the leader of the others: it keeps what they may ask for, as far as its own
 * budget goes. */
static void a_follower_keeps_log_for_the_other_members_within_its_budget(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.has_slots = false;
    f.has_members = true;
    f.members_floor = seqno_of(35);
    f.members_budget = UINT64_MAX;
    assert_plan(&f, 35, RETAIN_BY_MEMBERS, 3);
    f.members_budget = 5000; /* what five segments hold: the floor is beyond it */
    assert_plan(&f, 51, RETAIN_BY_MEMBERS, 5);
    f.members_floor = seqno_of(75);
    assert_plan(&f, 75, RETAIN_BY_MEMBERS, 7);
    f.members_floor = SEQNO_NONE; /* its leader told nothing yet: all that the budget allows */
    f.members_budget = UINT64_MAX;
    assert_plan(&f, 1, RETAIN_BY_MEMBERS, 0);
    f.members_budget = 2500;
    assert_plan(&f, 81, RETAIN_BY_MEMBERS, 8);
}

static void a_node_without_followers_has_no_slots_to_keep_for(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.has_slots = false;
    f.slots_floor = SEQNO_NONE;
    f.checkpoint = seqno_of(60);
    assert_plan(&f, 61, RETAIN_BY_CHECKPOINT, 6);
}

static void the_log_after_the_older_manifest_is_kept(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.checkpoint = seqno_of(69);
    assert_plan(&f, 70, RETAIN_BY_CHECKPOINT, 6);
    f.checkpoint = seqno_of(70);
    assert_plan(&f, 71, RETAIN_BY_CHECKPOINT, 7);
}

static void until_there_are_two_manifests_nothing_goes(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.checkpoint = SEQNO_NONE;
    assert_plan(&f, 1, RETAIN_BY_CHECKPOINT, 0);
}

static void the_newest_segments_are_kept_the_active_one_counts(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    assert_plan(&f, 101, RETAIN_BY_SEGMENTS, 10);
    f.retain_segments = 4;
    assert_plan(&f, 71, RETAIN_BY_SEGMENTS, 7);
    f.has_active = false;
    assert_plan(&f, 61, RETAIN_BY_SEGMENTS, 6);
    f.retain_segments = 100;
    assert_plan(&f, 1, RETAIN_BY_SEGMENTS, 0);
}

static void what_is_being_read_is_kept(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.reader = seqno_of(21);
    assert_plan(&f, 21, RETAIN_BY_READER, 2);
}

static void an_empty_log_has_nothing_to_drop(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.segment_count = 0;
    assert_plan(&f, 1, RETAIN_BY_SEGMENTS, 0);
}

static void of_equal_needs_the_first_of_the_table_is_named(void **state)
{
    (void)state;
    struct retain_facts f = facts();
    f.slots_floor = seqno_of(1);
    f.checkpoint = SEQNO_NONE;
    f.retain_segments = 1000;
    assert_plan(&f, 1, RETAIN_BY_SLOTS, 0);
}

/* Any facts: a dropped segment is needed by nobody, the next one is needed by somebody. */
static void exactly_what_nobody_needs_goes(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("retain", 1));
    for (uint32_t round = 0; round < 20000; round++) {
        struct retain_facts f = facts();
        f.segment_count = (uint32_t)random_below(&random, SEGMENTS + 1);
        f.retain_segments = 1 + (uint32_t)random_below(&random, 12);
        f.has_active = random_below(&random, 2) == 0;
        f.has_slots = random_below(&random, 2) == 0;
        f.slots_floor = seqno_of(random_below(&random, 107));
        f.checkpoint = seqno_of(random_below(&random, 106));
        f.reader = seqno_of(random_below(&random, 2) == 0 ? 0 : 1 + random_below(&random, 105));
        struct retain_plan plan = retain_decide(&f);
        assert_true(plan.drop_count <= f.segment_count);
        for (uint32_t i = 0; i <= plan.drop_count && i < f.segment_count; i++) {
            uint64_t last = f.segments[i].last.v;
            uint32_t newer = f.segment_count - i - 1 + (f.has_active ? 1 : 0);
            bool is_needed = (f.has_slots && f.slots_floor.v <= last) || f.checkpoint.v < last ||
                             f.checkpoint.v == 0 || newer < f.retain_segments ||
                             (f.reader.v > 0 && f.reader.v <= last);
            assert_int_equal(is_needed, i == plan.drop_count);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_holds_the_segment_its_follower_may_ask_for),
        cmocka_unit_test(a_follower_keeps_log_for_the_other_members_within_its_budget),
        cmocka_unit_test(a_node_without_followers_has_no_slots_to_keep_for),
        cmocka_unit_test(the_log_after_the_older_manifest_is_kept),
        cmocka_unit_test(until_there_are_two_manifests_nothing_goes),
        cmocka_unit_test(the_newest_segments_are_kept_the_active_one_counts),
        cmocka_unit_test(what_is_being_read_is_kept),
        cmocka_unit_test(an_empty_log_has_nothing_to_drop),
        cmocka_unit_test(of_equal_needs_the_first_of_the_table_is_named),
        cmocka_unit_test(exactly_what_nobody_needs_goes),
    };
    return cmocka_run_group_tests_name("core/retain", tests, NULL, NULL);
}
