/* Tests of core/bootstrap: the joiner's machine by its table, its window, what it makes of answers
 * that nobody asked for, and the pace of a server. */
#include "core/bootstrap.h"

#include "base/random.h"
#include "support/tm_test.h"

static struct bootstrap b;
static struct bootstrap_want wants[64];

static struct bootstrap_actions tell(struct bootstrap_event event)
{
    struct bootstrap_actions actions;
    bootstrap_step(&b, &event, &actions);
    return actions;
}

static struct bootstrap_actions simple(enum bootstrap_event_kind kind)
{
    return tell((struct bootstrap_event){.kind = kind});
}

static struct bootstrap_actions answer(enum bootstrap_event_kind kind, uint32_t index)
{
    return tell((struct bootstrap_event){.kind = kind, .index = index});
}

static struct bootstrap_actions piece(uint64_t mark, uint64_t offset, uint64_t size, uint64_t total)
{
    return tell((struct bootstrap_event){.kind = BOOTSTRAP_EV_PIECE,
                                         .mark = seqno_of(mark),
                                         .offset = offset,
                                         .size = size,
                                         .total = total,
                                         .total_max = 1000});
}

/* `count` wants of `size` bytes, the first `held` of them there already. */
static struct bootstrap_actions looked(uint32_t count, uint32_t size, uint32_t held)
{
    memset(wants, 0, sizeof(wants));
    for (uint32_t i = 0; i < count; i++) {
        wants[i].hash.bytes[0] = (uint8_t)(i + 1);
        wants[i].size = size;
        wants[i].state = i < held ? WANT_HELD : WANT_MISSING;
    }
    return tell(
        (struct bootstrap_event){.kind = BOOTSTRAP_EV_LOOKED, .wants = wants, .count = count});
}

static void begin(void)
{
    bootstrap_init(&b);
    assert_true(simple(BOOTSTRAP_EV_START).is_asking_due);
    assert_int_equal(b.state, BOOTSTRAP_ASKING);
}

static void begin_fetching(uint32_t count, uint32_t size, uint32_t held)
{
    begin();
    assert_true(piece(7, 0, 100, 100).is_look_due);
    assert_true(looked(count, size, held).may_ask);
    assert_int_equal(b.state, BOOTSTRAP_FETCHING);
}

static void a_copy_goes_from_manifest_to_blocks_to_the_switch(void **state)
{
    (void)state;
    begin_fetching(3, 10, 1);
    assert_int_equal(b.total_bytes, 30);
    assert_int_equal(b.held_bytes, 10);
    uint32_t index;
    assert_true(bootstrap_next(&b, &index));
    assert_int_equal(index, 1);
    assert_true(bootstrap_next(&b, &index));
    assert_int_equal(index, 2);
    assert_false(bootstrap_next(&b, &index));
    assert_false(answer(BOOTSTRAP_EV_STORED, 2).is_finish_due);
    assert_true(answer(BOOTSTRAP_EV_STORED, 1).is_finish_due);
    assert_int_equal(b.held_bytes, 30);
    assert_int_equal(b.fetched_bytes, 20);
    assert_true(simple(BOOTSTRAP_EV_FINISHED).is_switch_due);
    assert_int_equal(b.state, BOOTSTRAP_SWITCHING);
}

static void what_is_there_already_is_not_asked_for(void **state)
{
    (void)state;
    begin();
    assert_true(piece(7, 0, 100, 100).is_look_due);
    struct bootstrap_actions actions = looked(3, 10, 3);
    assert_false(actions.may_ask);
    assert_true(actions.is_finish_due);
    assert_int_equal(b.state, BOOTSTRAP_FINISHING);
    assert_int_equal(b.fetched_bytes, 0);
}

static void pieces_of_a_manifest_come_in_order_and_within_its_size(void **state)
{
    (void)state;
    begin();
    struct bootstrap_actions actions = piece(7, 0, 40, 100);
    assert_true(actions.is_taken && actions.is_asking_due && !actions.is_look_due);
    assert_int_equal(b.manifest_got, 40);
    static const struct {
        uint64_t mark;
        uint64_t offset;
        uint64_t size;
        uint64_t total;
    } wrong[] = {
        {7, 50, 10, 100},         /* a gap */
        {7, 30, 10, 100},         /* again */
        {8, 40, 10, 100},         /* of another mark, in its middle */
        {7, 40, 10, 101},         /* of another size */
        {7, 40, 61, 100},         /* beyond the end */
        {7, 40, 0, 100},          /* nothing */
        {7, 0, 1001, 1001},       /* larger than any manifest */
        {0, 0, 10, 100},          /* of no mark */
        {7, UINT64_MAX, 10, 100}, /* hostile */
    };
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        actions = piece(wrong[i].mark, wrong[i].offset, wrong[i].size, wrong[i].total);
        assert_true(actions.is_refused && !actions.is_taken);
        assert_int_equal(b.manifest_got, 40);
    }
    /* The server has a newer one: from its beginning. */
    assert_true(piece(9, 0, 100, 100).is_look_due);
    assert_int_equal(b.mark.v, 9);
    assert_false(piece(9, 0, 100, 100).is_taken); /* late */
}

/* At most a window of bytes and blocks is asked for and not stored; one block always may be. */
static void the_window_bounds_what_is_asked_for(void **state)
{
    (void)state;
    begin_fetching(8, 3 * MIB, 0);
    uint32_t index = 0;
    assert_true(bootstrap_next(&b, &index));
    assert_true(bootstrap_next(&b, &index));
    assert_false(bootstrap_next(&b, &index)); /* 9 MiB would be too much */
    assert_true(answer(BOOTSTRAP_EV_STORED, 0).may_ask);
    assert_true(bootstrap_next(&b, &index));
    assert_int_equal(index, 2);
    assert_false(bootstrap_next(&b, &index));
    begin_fetching(2, 20 * MIB, 0);
    assert_true(bootstrap_next(&b, &index));
    assert_false(bootstrap_next(&b, &index));
}

static void what_was_not_asked_for_or_is_wrong_is_not_held(void **state)
{
    (void)state;
    begin_fetching(3, 10, 0);
    uint32_t index;
    assert_false(answer(BOOTSTRAP_EV_STORED, 1).may_ask);
    assert_int_equal(b.held, 0);
    assert_true(bootstrap_next(&b, &index));
    assert_true(answer(BOOTSTRAP_EV_WRONG, 0).may_ask);
    assert_int_equal(b.held, 0);
    assert_int_equal(b.asked, 0);
    assert_true(bootstrap_next(&b, &index)); /* again */
    assert_int_equal(index, 0);
    (void)answer(BOOTSTRAP_EV_STORED, 0);
    (void)answer(BOOTSTRAP_EV_STORED, 0); /* twice counts once */
    assert_int_equal(b.held, 1);
    assert_int_equal(b.held_bytes, 10);
}

/* A newer manifest, or a block that the server no longer has: ask again; blocks are found when
 * looking. Late answers to the older target do nothing. */
static void a_copy_is_rebased_and_not_doomed(void **state)
{
    (void)state;
    uint32_t index;
    begin_fetching(3, 10, 0);
    assert_true(bootstrap_next(&b, &index));
    assert_true(simple(BOOTSTRAP_EV_MOVED).is_asking_due);
    assert_int_equal(b.state, BOOTSTRAP_ASKING);
    assert_int_equal(b.mark.v, 0);
    assert_int_equal(b.rebases, 1);
    struct bootstrap_actions late = answer(BOOTSTRAP_EV_STORED, 0);
    assert_false(late.may_ask || late.is_finish_due);
    assert_true(piece(11, 0, 10, 10).is_look_due);
    assert_true(looked(3, 10, 2).may_ask);
    assert_true(bootstrap_next(&b, &index));
    assert_true(answer(BOOTSTRAP_EV_ABSENT, 2).is_asking_due);
    assert_int_equal(b.rebases, 2);
    assert_true(piece(12, 0, 10, 10).is_look_due);
    assert_true(looked(1, 10, 1).is_finish_due);
    assert_false(simple(BOOTSTRAP_EV_MOVED).is_asking_due); /* it is nearly there */
    assert_int_equal(b.state, BOOTSTRAP_FINISHING);
}

/* Row by row: state, event, state after it. */
static void a_lost_link_and_a_failed_call_end_what_needs_them(void **state)
{
    (void)state;
    static const struct {
        enum bootstrap_state from;
        enum bootstrap_event_kind event;
        enum bootstrap_state to;
    } rows[] = {
        {BOOTSTRAP_IDLE, BOOTSTRAP_EV_LOST, BOOTSTRAP_IDLE},
        {BOOTSTRAP_ASKING, BOOTSTRAP_EV_LOST, BOOTSTRAP_IDLE},
        {BOOTSTRAP_LOOKING, BOOTSTRAP_EV_LOST, BOOTSTRAP_IDLE},
        {BOOTSTRAP_FETCHING, BOOTSTRAP_EV_LOST, BOOTSTRAP_IDLE},
        {BOOTSTRAP_FINISHING, BOOTSTRAP_EV_LOST, BOOTSTRAP_FINISHING},
        {BOOTSTRAP_SWITCHING, BOOTSTRAP_EV_LOST, BOOTSTRAP_SWITCHING},
        {BOOTSTRAP_IDLE, BOOTSTRAP_EV_FAILED, BOOTSTRAP_IDLE},
        {BOOTSTRAP_ASKING, BOOTSTRAP_EV_FAILED, BOOTSTRAP_IDLE},
        {BOOTSTRAP_LOOKING, BOOTSTRAP_EV_FAILED, BOOTSTRAP_IDLE},
        {BOOTSTRAP_FETCHING, BOOTSTRAP_EV_FAILED, BOOTSTRAP_IDLE},
        {BOOTSTRAP_FINISHING, BOOTSTRAP_EV_FAILED, BOOTSTRAP_IDLE},
        {BOOTSTRAP_SWITCHING, BOOTSTRAP_EV_FAILED, BOOTSTRAP_SWITCHING},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bootstrap_init(&b);
        if (rows[i].from >= BOOTSTRAP_ASKING) (void)simple(BOOTSTRAP_EV_START);
        if (rows[i].from >= BOOTSTRAP_LOOKING) (void)piece(7, 0, 10, 10);
        if (rows[i].from >= BOOTSTRAP_FETCHING) {
            (void)looked(2, 10, rows[i].from == BOOTSTRAP_FETCHING ? 0 : 2);
        }
        if (rows[i].from == BOOTSTRAP_SWITCHING) (void)simple(BOOTSTRAP_EV_FINISHED);
        assert_int_equal(b.state, rows[i].from);
        (void)simple(rows[i].event);
        assert_int_equal(b.state, rows[i].to);
        bool is_active = rows[i].to != BOOTSTRAP_IDLE;
        assert_int_equal(bootstrap_is_active(&b), is_active);
    }
}

/* Whatever happens in whatever order: counts fit the wants, and the window holds. */
static void random_events_keep_the_counts_true(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("bootstrap", 1));
    bool has_switched = false;
    bootstrap_init(&b);
    for (uint32_t i = 0; i < 200000; i++) {
        uint32_t index = (uint32_t)random_below(&r, 24);
        switch (random_below(&r, 10)) {
        case 0: (void)simple(BOOTSTRAP_EV_START); break;
        case 1: (void)piece(1 + random_below(&r, 3), 0, 50, 50 * (1 + random_below(&r, 2))); break;
        case 2:
            if (b.state == BOOTSTRAP_LOOKING) (void)looked(24, 2 * MIB, index);
            break;
        case 3:
        case 4:
        case 5:
            if (b.state == BOOTSTRAP_FETCHING) (void)answer(BOOTSTRAP_EV_STORED, index);
            break;
        case 6:
            if (b.state == BOOTSTRAP_FETCHING) (void)answer(BOOTSTRAP_EV_WRONG, index);
            break;
        case 7: (void)bootstrap_next(&b, &index); break;
        case 8:
            if (random_below(&r, 40) == 0) (void)simple(BOOTSTRAP_EV_LOST);
            if (random_below(&r, 40) == 0) (void)simple(BOOTSTRAP_EV_MOVED);
            break;
        default:
            if (random_below(&r, 20) == 0) (void)simple(BOOTSTRAP_EV_FINISHED);
            break;
        }
        uint32_t held = 0;
        uint32_t asked = 0;
        for (uint32_t k = 0; k < b.count; k++) {
            held += b.wants[k].state == WANT_HELD;
            asked += b.wants[k].state == WANT_ASKED;
        }
        assert_int_equal(held, b.held);
        assert_int_equal(asked, b.asked);
        assert_true(b.asked_bytes <= BOOTSTRAP_WINDOW_BYTES);
        if (b.state >= BOOTSTRAP_FINISHING) assert_int_equal(b.held, b.count);
        if (b.state == BOOTSTRAP_SWITCHING) {
            has_switched = true;
            bootstrap_init(&b);
        }
    }
    assert_true(has_switched);
}

static void the_pace_is_a_share_of_the_disk_or_a_rate(void **state)
{
    (void)state;
    struct bootstrap_pace half = {.percent = 50};
    bootstrap_pace_took(&half, 1000 * NS_PER_MS, 4 * NS_PER_MS, MIB);
    assert_int_equal(bootstrap_pace_wait(&half, 1000 * NS_PER_MS), 4 * NS_PER_MS);
    assert_int_equal(bootstrap_pace_wait(&half, 1003 * NS_PER_MS), NS_PER_MS);
    assert_int_equal(bootstrap_pace_wait(&half, 1004 * NS_PER_MS), 0);
    struct bootstrap_pace all = {.percent = 100};
    bootstrap_pace_took(&all, 0, 4 * NS_PER_MS, MIB);
    assert_int_equal(bootstrap_pace_wait(&all, 0), 0);
    struct bootstrap_pace slow = {.percent = 100, .rate = MIB};
    bootstrap_pace_took(&slow, 0, 4 * NS_PER_MS, MIB / 2);
    assert_int_equal(bootstrap_pace_wait(&slow, 0), 496 * NS_PER_MS);
    struct bootstrap_pace both = {.percent = 1, .rate = 100 * GIB};
    bootstrap_pace_took(&both, 0, NS_PER_MS, MIB);
    assert_int_equal(bootstrap_pace_wait(&both, 0), 99 * NS_PER_MS);
}

static void the_cheaper_way_and_the_moment_to_move_on(void **state)
{
    (void)state;
    assert_true(bootstrap_is_cheaper(100, 99));
    assert_false(bootstrap_is_cheaper(100, 100));
    assert_false(bootstrap_should_rebase(UINT64_MAX, 0));
    assert_false(bootstrap_should_rebase(74, 100));
    assert_true(bootstrap_should_rebase(75, 100));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_goes_from_manifest_to_blocks_to_the_switch),
        cmocka_unit_test(what_is_there_already_is_not_asked_for),
        cmocka_unit_test(pieces_of_a_manifest_come_in_order_and_within_its_size),
        cmocka_unit_test(the_window_bounds_what_is_asked_for),
        cmocka_unit_test(what_was_not_asked_for_or_is_wrong_is_not_held),
        cmocka_unit_test(a_copy_is_rebased_and_not_doomed),
        cmocka_unit_test(a_lost_link_and_a_failed_call_end_what_needs_them),
        cmocka_unit_test(random_events_keep_the_counts_true),
        cmocka_unit_test(the_pace_is_a_share_of_the_disk_or_a_rate),
        cmocka_unit_test(the_cheaper_way_and_the_moment_to_move_on),
    };
    return cmocka_run_group_tests_name("core/bootstrap", tests, NULL, NULL);
}
