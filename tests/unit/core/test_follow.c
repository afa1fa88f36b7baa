/* Tests of core/follow: when the follower connects, what it believes, what it says. */
#include "support/tm_test.h"

#include "base/random.h"
#include "base/text.h"
#include "core/follow.h"

static struct follow follow;
static struct follow_actions actions;
static uint64_t now_ns;

static void step(struct follow_event event)
{
    event.now_ns = now_ns;
    follow_step(&follow, &event, &actions);
}

static void step_kind(enum follow_event_kind kind)
{
    step((struct follow_event){.kind = kind});
}

static int waiting(void **state)
{
    (void)state;
    now_ns = NS_PER_S;
    struct follow_options options = {.heartbeat_ns = 500 * NS_PER_MS, .dead_ns = 10 * NS_PER_S};
    follow_init(&follow, &options);
    step_kind(FOLLOW_EV_START);
    return 0;
}

static void connect_and_greet(void)
{
    if (now_ns < follow.due_ns) now_ns = follow.due_ns;
    step_kind(FOLLOW_EV_TIMER);
    assert_true(actions.is_connect_due);
    step((struct follow_event){.kind = FOLLOW_EV_OPENED, .random = 4711});
    assert_true(actions.is_hello_due);
}

static int streaming(void **state)
{
    waiting(state);
    connect_and_greet();
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 3});
    assert_true(actions.is_accepted);
    return 0;
}

static void broke(enum follow_cause cause, uint8_t reason, uint64_t random)
{
    step((struct follow_event){
        .kind = FOLLOW_EV_FAILED, .cause = cause, .reason = reason, .random = random});
}

static void the_first_connection_is_made_at_once(void **state)
{
    (void)state;
    assert_int_equal(follow.due_ns, now_ns);
    step_kind(FOLLOW_EV_TIMER);
    assert_true(actions.is_connect_due);
    assert_int_equal(follow.state, FOLLOW_CONNECTING);
}

static void every_link_has_a_session_of_its_own(void **state)
{
    (void)state;
    connect_and_greet();
    assert_int_equal(follow.session, 4711);
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    assert_int_equal(follow.session, 0); /* nothing counts between links */
    now_ns = follow.due_ns;
    step_kind(FOLLOW_EV_TIMER);
    step((struct follow_event){.kind = FOLLOW_EV_OPENED, .random = 0});
    assert_int_not_equal(follow.session, 0);
}

/* Random = bound shows the bound itself. */
static void the_wait_doubles_from_50_ms_to_10_s_with_full_jitter(void **state)
{
    (void)state;
    uint64_t bound_ns = FOLLOW_BACKOFF_MIN_NS;
    for (int i = 0; i < 12; i++) {
        connect_and_greet();
        broke(FOLLOW_CAUSE_UNREACHABLE, 0, bound_ns);
        assert_int_equal(follow.due_ns - now_ns, bound_ns);
        bound_ns = bound_ns * 2 < FOLLOW_BACKOFF_MAX_NS ? bound_ns * 2 : FOLLOW_BACKOFF_MAX_NS;
    }
    struct random random;
    random_init(&random, tm_seed("full jitter", 1));
    uint64_t sum_ns = 0;
    for (int i = 0; i < 1000; i++) {
        connect_and_greet();
        broke(FOLLOW_CAUSE_UNREACHABLE, 0, random_next(&random));
        uint64_t wait_ns = follow.due_ns - now_ns;
        assert_true(wait_ns <= FOLLOW_BACKOFF_MAX_NS);
        sum_ns += wait_ns / 1000;
    }
    assert_true(sum_ns > 4500 * NS_PER_MS && sum_ns < 5500 * NS_PER_MS); /* mean 5 s */
    assert_int_equal(follow.retries, 1012);
}

static void thirty_healthy_seconds_start_the_wait_over(void **state)
{
    (void)state;
    for (int i = 0; i < 6; i++) {
        broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
        connect_and_greet();
    }
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 3});
    for (int i = 0; i < 29; i++) {
        now_ns += NS_PER_S;
        step_kind(FOLLOW_EV_HEARD);
    }
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    assert_true(follow.attempts > 1); /* 29 s are not enough */
    connect_and_greet();
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 3});
    for (int i = 0; i < 30; i++) {
        now_ns += NS_PER_S;
        step_kind(FOLLOW_EV_HEARD);
    }
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, FOLLOW_BACKOFF_MIN_NS);
    assert_int_equal(follow.due_ns - now_ns, FOLLOW_BACKOFF_MIN_NS);
}

static void the_reason_is_said_once_then_every_10_s_and_when_it_changes(void **state)
{
    (void)state;
    connect_and_greet();
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    assert_true(actions.is_reason_due);
    connect_and_greet();
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    assert_false(actions.is_reason_due);
    connect_and_greet();
    broke(FOLLOW_CAUSE_REFUSED, REFUSE_NOT_LEADER, 0);
    assert_true(actions.is_reason_due);
    connect_and_greet();
    broke(FOLLOW_CAUSE_REFUSED, REFUSE_SLOTS_FULL, 0);
    assert_true(actions.is_reason_due);
    now_ns += 9 * NS_PER_S;
    connect_and_greet();
    broke(FOLLOW_CAUSE_REFUSED, REFUSE_SLOTS_FULL, 0);
    assert_false(actions.is_reason_due);
    now_ns += NS_PER_S;
    connect_and_greet();
    broke(FOLLOW_CAUSE_REFUSED, REFUSE_SLOTS_FULL, 0);
    assert_true(actions.is_reason_due);
}

static void a_link_without_a_plan_is_given_up(void **state)
{
    (void)state;
    connect_and_greet();
    now_ns += 10 * NS_PER_S - 1;
    step_kind(FOLLOW_EV_HEARD); /* only a plan counts while greeting */
    step_kind(FOLLOW_EV_TIMER);
    assert_false(actions.is_link_over);
    now_ns += 1;
    step_kind(FOLLOW_EV_TIMER);
    assert_true(actions.is_link_over);
    assert_int_equal(follow.cause, FOLLOW_CAUSE_SILENT);
    assert_int_equal(follow.state, FOLLOW_WAITING);
}

static void ten_silent_seconds_end_a_streaming_link(void **state)
{
    (void)state;
    now_ns += 9 * NS_PER_S;
    step_kind(FOLLOW_EV_HEARD);
    now_ns += 9 * NS_PER_S;
    step_kind(FOLLOW_EV_TIMER);
    assert_false(actions.is_link_over);
    now_ns += NS_PER_S;
    step_kind(FOLLOW_EV_TIMER);
    assert_true(actions.is_link_over);
}

static void a_connection_that_never_opens_is_given_up(void **state)
{
    (void)state;
    step_kind(FOLLOW_EV_TIMER);
    now_ns += 10 * NS_PER_S;
    step_kind(FOLLOW_EV_TIMER);
    assert_true(actions.is_link_over);
    assert_int_equal(follow.cause, FOLLOW_CAUSE_UNREACHABLE);
}

static void a_higher_epoch_is_durable_before_the_plan_is_accepted(void **state)
{
    (void)state;
    connect_and_greet();
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 4, .is_note = true});
    assert_true(actions.is_note_due);
    assert_false(actions.is_accepted);
    assert_int_equal(follow.state, FOLLOW_NOTING);
    step_kind(FOLLOW_EV_NOTED);
    assert_true(actions.is_accepted);
    assert_int_equal(follow.state, FOLLOW_STREAMING);
    assert_int_equal(follow.plan_epoch, 4);
}

/* The link broke while the epoch was being noted: the late answer starts nothing. */
static void a_note_that_outlives_its_link_does_nothing(void **state)
{
    (void)state;
    connect_and_greet();
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 4, .is_note = true});
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    step_kind(FOLLOW_EV_NOTED);
    assert_false(actions.is_accepted);
    assert_int_equal(follow.state, FOLLOW_WAITING);
}

static void events_out_of_turn_do_nothing(void **state)
{
    (void)state;
    step((struct follow_event){.kind = FOLLOW_EV_PLAN, .epoch = 9});
    assert_int_equal(follow.plan_epoch, 3);
    step((struct follow_event){.kind = FOLLOW_EV_OPENED, .random = 1});
    assert_int_equal(follow.session, 4711);
    step_kind(FOLLOW_EV_START);
    step_kind(FOLLOW_EV_NOTED);
    assert_int_equal(follow.state, FOLLOW_STREAMING);
}

static void stopping_is_final_from_every_state(void **state)
{
    step_kind(FOLLOW_EV_STOP);
    assert_true(actions.is_link_over);
    assert_int_equal(follow.due_ns, UINT64_MAX);
    step_kind(FOLLOW_EV_START);
    broke(FOLLOW_CAUSE_UNREACHABLE, 0, 0);
    assert_int_equal(follow.state, FOLLOW_STOPPED);
    waiting(state);
    step_kind(FOLLOW_EV_STOP);
    assert_false(actions.is_link_over);
    step_kind(FOLLOW_EV_TIMER);
    assert_int_equal(follow.state, FOLLOW_STOPPED);
}

static void only_the_drawn_edges_are_allowed(void **state)
{
    (void)state;
    uint32_t allowed = 0;
    for (int from = 0; from < FOLLOW_STATE_COUNT; from++)
        for (int to = 0; to < FOLLOW_STATE_COUNT; to++)
            allowed += follow_edge_is_allowed((enum follow_state)from, (enum follow_state)to);
    assert_int_equal(allowed, 14);
    assert_false(follow_edge_is_allowed(FOLLOW_CONNECTING, FOLLOW_STREAMING));
    assert_string_equal(follow_state_name(FOLLOW_NOTING), "noting");
}

/* --- plans --- */

static struct wire_plan good_plan(void)
{
    return (struct wire_plan){
        .kind = PLAN_CONTINUE,
        .cluster = {{1}},
        .stream = {.region = 1, .shard = 2},
        .log_key = 42,
        .epoch = {.number = 3, .nonce = 9},
        .from = {.epoch = 2, .seqno = {10}, .chain = {{7}}},
    };
}

static struct follow_plan asked(const struct wire_plan *plan)
{
    return (struct follow_plan){
        .plan = plan,
        .asked = {.epoch = 2, .seqno = {10}, .chain = {{7}}},
        .cluster = {{1}},
        .log_key = 42,
        .stream = {.region = 1, .shard = 2},
        .highest_epoch = 3,
    };
}

static void a_plan_of_the_known_epoch_that_continues_is_accepted(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    struct follow_plan p = asked(&plan);
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_ACCEPT);
    p.highest_epoch = 2;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_NOTE);
}

/* A new node takes the stream's region from the plan: its own is where it stands. */
static void the_first_plan_names_the_region_of_the_stream(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    struct follow_plan p = asked(&plan);
    p.stream.region = 9;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
    p.cluster = (struct id128){{0}};
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_NOTE);
    p.stream.shard = 9;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
}

static void a_plan_of_a_lower_epoch_is_fenced(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    struct follow_plan p = asked(&plan);
    p.highest_epoch = 4;
    struct err e;
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_FENCED);
    assert_int_equal(e.code, E_FENCED);
}

static void a_refusal_tells_the_leaders_reason(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    plan.kind = PLAN_REFUSE;
    plan.reason = REFUSE_SLOTS_FULL;
    plan.text = slice_of_text("no room\n");
    struct follow_plan p = asked(&plan);
    struct err e;
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_REFUSED);
    assert_string_equal(e.text, "slots-full: no room\\x0a");
}

static void a_plan_of_another_cluster_key_or_stream_is_foreign(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    struct follow_plan p = asked(&plan);
    plan.cluster.bytes[15] = 1;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
    plan = good_plan();
    plan.log_key++;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
    plan = good_plan();
    plan.stream.shard++;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
}

static void an_empty_follower_takes_any_cluster_but_none(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    plan.from = (struct position){0};
    struct follow_plan p = asked(&plan);
    p.asked = (struct position){0};
    p.cluster = (struct id128){0};
    p.log_key = 0;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_NOTE); /* even in a known epoch */
    plan.cluster = (struct id128){0};
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_FOREIGN);
}

static void a_plan_that_continues_elsewhere_is_a_mismatch(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    struct follow_plan p = asked(&plan);
    plan.from.seqno = seqno_of(11); /* fast-forward */
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
    plan = good_plan();
    plan.from.chain.bytes[0]++;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
    plan = good_plan();
    plan.kind = PLAN_FROM_ARCHIVE;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
}

static struct wire_plan cut_plan(uint64_t to)
{
    struct wire_plan plan = good_plan();
    plan.kind = PLAN_TRUNCATE_TO;
    plan.reason = REFUSE_OTHER_HISTORY;
    plan.from = (struct position){.epoch = 2, .seqno = {to}, .chain = {{8}}};
    return plan;
}

static void an_order_to_cut_back_is_followed_where_the_state_can_go_back(void **state)
{
    (void)state;
    const struct position manifest = {.epoch = 2, .seqno = {5}};
    struct wire_plan plan = cut_plan(6);
    struct follow_plan p = asked(&plan);
    p.oldest = seqno_of(3);
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH); /* no manifest */
    p.manifests = &manifest;
    p.manifest_count = 1;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_TRUNCATE);
    plan.from.seqno = seqno_of(4); /* below it */
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
    p.oldest = seqno_of(1); /* all of it can be replayed */
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_TRUNCATE);
    plan.from.seqno = p.asked.seqno; /* nothing to cut */
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
    plan.from.seqno = SEQNO_NONE;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_MISMATCH);
}

static void what_is_committed_is_given_up_only_on_an_operators_word_for_this_end(void **state)
{
    (void)state;
    struct wire_plan plan = cut_plan(6);
    struct follow_plan p = asked(&plan);
    struct err e;
    p.oldest = seqno_of(1);
    p.committed = seqno_of(6);
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_TRUNCATE);
    p.committed = seqno_of(7);
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_UNSAFE);
    assert_non_null(strstr(e.text, "--accept-loss"));
    struct token word = token_of(&p.asked);
    p.may_lose = &word;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_TRUNCATE);
    word.seqno.v--; /* of an older end: a delayed word does nothing */
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_UNSAFE);
    word = token_of(&p.asked);
    word.chain4[0]++;
    assert_int_equal(follow_judge_plan(&p, NULL), FOLLOW_UNSAFE);
}

static void a_copy_of_the_state_is_asked_for_with_the_leaders_reason(void **state)
{
    (void)state;
    struct wire_plan plan = good_plan();
    plan.kind = PLAN_BOOTSTRAP;
    plan.reason = REFUSE_NOT_KEPT;
    plan.text = slice_of_text("gone");
    plan.from = (struct position){0};
    struct follow_plan p = asked(&plan);
    struct err e;
    p.committed = seqno_of(9); /* nothing of it is given up: the leader's log is a later one */
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_BOOTSTRAP);
    assert_string_equal(e.text, "log-not-kept: gone");
    plan.reason = REFUSE_OTHER_HISTORY;
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_UNSAFE);
    plan.from.seqno = seqno_of(9);
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_BOOTSTRAP);
    plan.epoch.number = 2;
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_FENCED);
    plan.epoch.number = 0;
    p.highest_epoch = 0;
    assert_int_equal(follow_judge_plan(&p, &e), FOLLOW_MISMATCH);
}

static void batches_extend_the_end_or_are_held_already(void **state)
{
    (void)state;
    const seqno end = seqno_of(10);
    assert_int_equal(follow_place_of(end, seqno_of(11), seqno_of(11)), FOLLOW_NEXT);
    assert_int_equal(follow_place_of(end, seqno_of(11), seqno_of(99)), FOLLOW_NEXT);
    assert_int_equal(follow_place_of(end, seqno_of(12), seqno_of(12)), FOLLOW_GAP);
    assert_int_equal(follow_place_of(end, seqno_of(10), seqno_of(10)), FOLLOW_HELD);
    assert_int_equal(follow_place_of(end, seqno_of(1), seqno_of(10)), FOLLOW_HELD);
    assert_int_equal(follow_place_of(end, seqno_of(10), seqno_of(11)), FOLLOW_STRADDLES);
    assert_int_equal(follow_place_of(SEQNO_NONE, seqno_of(1), seqno_of(1)), FOLLOW_NEXT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_first_connection_is_made_at_once, waiting),
        cmocka_unit_test_setup(every_link_has_a_session_of_its_own, waiting),
        cmocka_unit_test_setup(the_wait_doubles_from_50_ms_to_10_s_with_full_jitter, waiting),
        cmocka_unit_test_setup(thirty_healthy_seconds_start_the_wait_over, streaming),
        cmocka_unit_test_setup(the_reason_is_said_once_then_every_10_s_and_when_it_changes,
                               waiting),
        cmocka_unit_test_setup(a_link_without_a_plan_is_given_up, waiting),
        cmocka_unit_test_setup(ten_silent_seconds_end_a_streaming_link, streaming),
        cmocka_unit_test_setup(a_connection_that_never_opens_is_given_up, waiting),
        cmocka_unit_test_setup(a_higher_epoch_is_durable_before_the_plan_is_accepted, waiting),
        cmocka_unit_test_setup(a_note_that_outlives_its_link_does_nothing, waiting),
        cmocka_unit_test_setup(events_out_of_turn_do_nothing, streaming),
        cmocka_unit_test_setup(stopping_is_final_from_every_state, streaming),
        cmocka_unit_test(only_the_drawn_edges_are_allowed),
        cmocka_unit_test(a_plan_of_the_known_epoch_that_continues_is_accepted),
        cmocka_unit_test(the_first_plan_names_the_region_of_the_stream),
        cmocka_unit_test(a_plan_of_a_lower_epoch_is_fenced),
        cmocka_unit_test(a_refusal_tells_the_leaders_reason),
        cmocka_unit_test(a_plan_of_another_cluster_key_or_stream_is_foreign),
        cmocka_unit_test(an_empty_follower_takes_any_cluster_but_none),
        cmocka_unit_test(a_plan_that_continues_elsewhere_is_a_mismatch),
        cmocka_unit_test(an_order_to_cut_back_is_followed_where_the_state_can_go_back),
        cmocka_unit_test(what_is_committed_is_given_up_only_on_an_operators_word_for_this_end),
        cmocka_unit_test(a_copy_of_the_state_is_asked_for_with_the_leaders_reason),
        cmocka_unit_test(batches_extend_the_end_or_are_held_already),
    };
    return cmocka_run_group_tests_name("core/follow", tests, NULL, NULL);
}
