/* Transports: the same tests of replication over each of them: TCP through a proxy, and transports
 * of the program behind a wire that a test can hold, cut and disturb. A directory is a transport of
 * one way: the leader's log is exported after each step, and what the leader would know of its
 * follower (acknowledgements, credit, slots) does not exist and is not asked. */
#include "support/tm_test.h"

#include <time.h>

#include "support/tm_proxy.h"
#include "support/tm_wire.h"
#include "tidemark.h"

#define WAIT_S 30.0

struct medium {
    const char *name;
    bool is_tcp;
    bool is_one_way;
};
static const struct medium tcp = {.name = "tcp", .is_tcp = true};
static const struct medium pair = {.name = "pair"};
static const struct medium directory = {.name = "directory", .is_one_way = true};

/* One leader, one follower, and what lies between. */
static struct world {
    const struct medium *medium;
    char *leader_dir;
    char *follower_dir;
    char *object_dir; /* one way only */
    tide_db *leader;
    tide_db *follower;
    struct tide_transport *transport; /* the leader's; NULL: TCP */
    struct tm_wire *wire;
    struct tm_proxy *proxy;
    uint64_t credit;
} w;

static double seconds_now(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    (void)nanosleep(&t, NULL);
}

#define WAIT_UNTIL(condition)                                                         \
    for (double wait_end_ = seconds_now() + WAIT_S; !(condition); rest()) {           \
        if (seconds_now() > wait_end_) fail_msg("waited in vain for %s", #condition); \
    }

/* --- nodes --- */

static struct tide_options options_of(const char *dir, const char *follow, const char *id)
{
    return (struct tide_options){
        .size = sizeof(struct tide_options),
        .dir = dir,
        .follow = follow,
        .node_id = id,
        .replication_listen = w.medium->is_tcp ? "127.0.0.1:0" : TIDE_TRANSPORT,
        .credit = w.credit,
        .mark_interval_ms = UINT64_MAX, /* records are counted here */
        .heartbeat_ms = 50,
        .suspect_ms = 500,
        .dead_ms = 20000,
    };
}

static tide_db *open_node(const struct tide_options *options)
{
    tide_db *db = NULL;
    struct tide_err e = {0};
    if (tide_open(options, &db, NULL, &e) != TIDE_OK) fail_msg("%s", e.message);
    return db;
}

#define assert_done(call)                                 \
    do {                                                  \
        struct tide_err e = {0};                          \
        if ((call) != TIDE_OK) fail_msg("%s", e.message); \
    } while (0)

/* One look at a node, and a question about it. */
static bool status_is(tide_db *db,
                      bool (*is_true)(const struct tide_status *status, const void *arg),
                      const void *arg)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    bool answer = is_true(tide_run_result(run, 0)->as.status, arg);
    tide_run_free(run);
    return answer;
}

static bool has_link_state(const struct tide_status *status, const void *words)
{
    return strstr(status->link_state, words) != NULL;
}

static bool link_state_has(const char *words)
{
    return status_is(w.follower, has_link_state, words);
}

static bool copy_follower(const struct tide_status *status, const void *arg)
{
    struct tide_follower_status *out;
    memcpy(&out, arg, sizeof(out));
    if (status->follower_count != 1) return false;
    *out = status->followers[0]; /* its strings go with the run */
    return true;
}

static bool follower_seen(struct tide_follower_status *out)
{
    return status_is(w.leader, copy_follower, &out);
}

/* What the leader holds goes where the follower looks. */
static void publish(void)
{
    if (!w.medium->is_one_way) return;
    struct tide_log_report report;
    assert_done(tide_log_export(w.leader_dir, w.object_dir, &report, &e));
    struct tide_position at;
    assert_done(tide_position_now(w.leader, &at, &e));
    assert_int_equal(report.position.seqno, at.seqno); /* all that is durable */
}

static void leader_open(void)
{
    struct tide_options options = options_of(w.leader_dir, NULL, "leader");
    w.leader = open_node(&options);
    if (w.medium == &pair) assert_done(tide_listen(w.leader, w.transport, "leader", &e));
}

static bool copy_address(const struct tide_status *status, const void *arg)
{
    char *out;
    memcpy(&out, arg, sizeof(out));
    (void)snprintf(out, 64, "%s", status->replication_address);
    return true;
}

static void follower_open(void)
{
    struct tide_options options = options_of(w.follower_dir, TIDE_TRANSPORT, "follower");
    w.follower = open_node(&options);
    if (w.medium->is_tcp) {
        char address[64];
        char *out = address;
        (void)status_is(w.leader, copy_address, &out);
        w.proxy = tm_proxy_start(address);
        assert_done(tide_replicate(w.follower, NULL, tm_proxy_address(w.proxy), &e));
    } else {
        w.wire = tm_wire_new(w.transport);
        assert_done(tide_replicate(w.follower, tm_wire_transport(w.wire), "leader", &e));
    }
}

static void both_open(void)
{
    leader_open();
    follower_open();
}

static void cut(bool is_cut)
{
    if (w.medium->is_tcp) tm_proxy_cut(w.proxy, is_cut);
    if (w.wire != NULL) tm_wire_cut(w.wire, is_cut);
}

static void hold(bool is_held)
{
    if (w.medium->is_tcp) tm_proxy_hold(w.proxy, is_held, is_held);
    if (w.wire != NULL) tm_wire_hold(w.wire, is_held);
}

static void flip(void)
{
    if (w.medium->is_tcp) tm_proxy_flip(w.proxy);
    if (w.wire != NULL) tm_wire_flip(w.wire);
}

/* count records of one signal each. */
static void write_records(uint32_t count)
{
    enum { RUN = 500 };
    static char items[RUN][16];
    tide_run *run = tide_run_new();
    for (uint32_t done = 0; done < count;) {
        uint32_t size = count - done < RUN ? count - done : RUN;
        for (uint32_t i = 0; i < size; i++) {
            int length = snprintf(items[i], sizeof(items[i]), "item-%u", (done + i) % 977);
            struct tide_signal signal = {.type = {"view", 4},
                                         .item = {items[i], (size_t)length},
                                         .at_ms = 1700000000000 + done + i};
            assert_int_equal(tide_run_signal(run, &signal, NULL), (int32_t)i);
        }
        assert_int_equal(tide_execute(w.leader, run), TIDE_OK);
        for (uint32_t i = 0; i < size; i++) {
            assert_int_equal(tide_run_result(run, i)->code, TIDE_OK);
        }
        tide_run_reset(run);
        done += size;
    }
    tide_run_free(run);
}

static uint64_t applied_of(tide_db *db)
{
    struct tide_position at = {0};
    return tide_position_now(db, &at, NULL) == TIDE_OK ? at.seqno : 0;
}

static bool is_caught_up(void)
{
    return applied_of(w.follower) == applied_of(w.leader);
}

static void check_equal(void)
{
    struct tide_digest a = {0};
    struct tide_digest b = {0};
    publish();
    WAIT_UNTIL(is_caught_up());
    assert_int_equal(tide_digest_now(w.leader, &a, NULL), TIDE_OK);
    assert_int_equal(tide_digest_now(w.follower, &b, NULL), TIDE_OK);
    assert_int_equal(a.seqno, b.seqno);
    assert_memory_equal(a.root, b.root, sizeof(a.root));
}

static int setup(void **state)
{
    w = (struct world){.medium = *state};
    w.leader_dir = tm_dir_make("leader");
    w.follower_dir = tm_dir_make("follower");
    if (w.medium == &pair) assert_done(tide_transport_pair(4096, &w.transport, &e));
    if (w.medium->is_one_way) {
        w.object_dir = tm_dir_make("objects");
        assert_done(tide_transport_directory(w.object_dir, &w.transport, &e));
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    assert_int_equal(tide_close(w.follower, 5000, NULL), TIDE_OK);
    assert_int_equal(tide_close(w.leader, 5000, NULL), TIDE_OK);
    tm_proxy_stop(w.proxy);
    tm_wire_free(w.wire);
    tide_transport_free(w.transport);
    tm_dir_remove(w.leader_dir);
    tm_dir_remove(w.follower_dir);
    if (w.object_dir != NULL) tm_dir_remove(w.object_dir);
    return 0;
}

/* --- over every medium --- */

static void a_follower_joins_and_streams(void **state)
{
    (void)state;
    both_open();
    publish();
    WAIT_UNTIL(link_state_has("streaming"));
    struct tide_follower_status seen;
    WAIT_UNTIL(w.medium->is_one_way ||
               (follower_seen(&seen) && seen.is_connected && seen.was_synced));
    check_equal();
    struct tide_signal signal = {.type = {"view", 4}, .item = {"a", 1}};
    assert_int_equal(tide_signal(w.follower, &signal, NULL, NULL), TIDE_READONLY);
}

static void ten_thousand_signals_arrive_bit_for_bit(void **state)
{
    (void)state;
    both_open();
    write_records(10000);
    check_equal();
    struct tide_follower_status seen;
    if (w.medium->is_one_way) return;
    WAIT_UNTIL(follower_seen(&seen) && seen.lag_records == 0 && seen.lag_bytes == 0);
    assert_int_equal(seen.stored, applied_of(w.leader));
}

static void a_late_follower_is_served_from_the_beginning(void **state)
{
    (void)state;
    leader_open();
    write_records(5000);
    follower_open();
    check_equal();
}

static void a_cut_link_is_made_again_and_goes_on(void **state)
{
    (void)state;
    both_open();
    write_records(1000);
    check_equal();
    cut(true);
    WAIT_UNTIL(!link_state_has("streaming"));
    write_records(1000);
    assert_true(applied_of(w.follower) < applied_of(w.leader));
    cut(false);
    check_equal();
}

static void a_damaged_byte_is_refused_and_fetched_again(void **state)
{
    (void)state;
    both_open();
    write_records(100);
    check_equal();
    struct tide_follower_status seen;
    WAIT_UNTIL(w.medium->is_one_way || (follower_seen(&seen) && seen.connected_ms > 100));
    double flipped_s = seconds_now();
    flip();
    write_records(3000);
    check_equal();
    if (w.medium->is_one_way) {
        assert_true(tm_wire_was_flipped(w.wire));
        return;
    }
    /* The link was given up for a new one, even where only a heartbeat was hit. */
    WAIT_UNTIL(follower_seen(&seen) && seen.is_connected &&
               (double)seen.connected_ms < (seconds_now() - flipped_s) * 1000);
    check_equal();
}

/* A follower that takes nothing costs its leader no more than the credit, and nothing is lost. */
static void a_held_follower_is_sent_no_more_than_its_credit(void **state)
{
    (void)state;
    w.credit = 64 * 1024;
    both_open();
    write_records(500);
    check_equal();
    struct tide_follower_status seen;
    WAIT_UNTIL(w.medium->is_one_way || (follower_seen(&seen) && seen.lag_records == 0));
    hold(true);
    write_records(20000); /* half a megabyte */
    publish();
    if (!w.medium->is_one_way) {
        assert_true(follower_seen(&seen));
        assert_true(seen.lag_records >= 20000);
        assert_true(seen.lag_bytes > 4 * w.credit);
        assert_true(applied_of(w.leader) > seen.shipped);
        assert_true(seen.credit_bytes < w.credit);
    }
    assert_false(is_caught_up());
    hold(false);
    check_equal();
}

#define OVER(medium, test)                                                         \
    {                                                                              \
        .name = #test " over " #medium, .test_func = test, .setup_func = setup,    \
        .teardown_func = teardown, .initial_state = (void *)(uintptr_t) & (medium) \
    }
#define EVERY(medium)                                               \
    OVER(medium, a_follower_joins_and_streams),                     \
        OVER(medium, ten_thousand_signals_arrive_bit_for_bit),      \
        OVER(medium, a_late_follower_is_served_from_the_beginning), \
        OVER(medium, a_cut_link_is_made_again_and_goes_on),         \
        OVER(medium, a_damaged_byte_is_refused_and_fetched_again),  \
        OVER(medium, a_held_follower_is_sent_no_more_than_its_credit)

/* --- what the calls refuse --- */

static void a_node_that_leads_replicates_from_nobody(void **state)
{
    (void)state;
    struct tide_err e = {0};
    both_open();
    assert_int_equal(tide_replicate(w.leader, w.transport, "leader", &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "leads"));
    assert_int_equal(tide_replicate(w.follower, w.transport, "", &e), TIDE_INVALID);
    assert_int_equal(tide_replicate(w.follower, NULL, TIDE_TRANSPORT "leader", &e), TIDE_INVALID);
    struct tide_transport old = *w.transport;
    old.size--;
    assert_int_equal(tide_replicate(w.follower, &old, "leader", &e), TIDE_INVALID);
    WAIT_UNTIL(link_state_has("streaming")); /* and nothing was disturbed */
}

static void a_place_is_taken_once_and_only_by_those_who_take_followers(void **state)
{
    (void)state;
    struct tide_err e = {0};
    both_open();
    assert_int_equal(tide_listen(w.leader, w.transport, "leader", &e), TIDE_INUSE);
    assert_int_equal(tide_listen(w.leader, w.transport, "second", &e), TIDE_OK);
    assert_int_equal(tide_replicate(w.follower, tm_wire_transport(w.wire), "second", &e), TIDE_OK);
    check_equal();
    char *dir = tm_dir_make("single");
    struct tide_options options = options_of(dir, NULL, "single");
    options.replication_listen = NULL;
    tide_db *single = open_node(&options);
    assert_int_equal(tide_listen(single, w.transport, "third", &e), TIDE_INVALID);
    assert_non_null(strstr(e.message, "replication_listen"));
    assert_int_equal(tide_close(single, 5000, NULL), TIDE_OK);
    tm_dir_remove(dir);
    struct tide_transport *none = NULL;
    assert_int_equal(tide_transport_pair(1, &none, &e), TIDE_INVALID);
}

/* Nobody listens; the follower says so, comes back, and finds the leader once it is there. */
static void a_follower_that_comes_first_waits_for_its_leader(void **state)
{
    (void)state;
    follower_open();
    WAIT_UNTIL(link_state_has("nobody listens at \"leader\""));
    leader_open();
    write_records(100);
    check_equal();
}

/* Opened again, the directory knows that it follows, but not over what. */
static void a_follower_opened_again_waits_until_its_transport_is_named(void **state)
{
    (void)state;
    both_open();
    write_records(100);
    check_equal();
    assert_int_equal(tide_close(w.follower, 5000, NULL), TIDE_OK);
    write_records(100);
    struct tide_options options = options_of(w.follower_dir, TIDE_TRANSPORT, "follower");
    w.follower = open_node(&options);
    assert_true(link_state_has("transport:leader is reached over a transport"));
    assert_done(tide_replicate(w.follower, tm_wire_transport(w.wire), "leader", &e));
    check_equal();
}

/* --- the pair by itself --- */

static void count_wake(void *arg)
{
    ++*(int *)arg;
}

static struct tide_waker waker_of(int *wakes)
{
    return (struct tide_waker){.wake = count_wake, .arg = wakes};
}

/* A listener and one accepted connection: ends[0] connected, ends[1] accepted. */
struct pair_ends {
    struct tide_transport *t;
    void *listener;
    void *ends[2];
    int listener_wakes;
    int wakes[2];
};

static void pair_ends_open(struct pair_ends *p, size_t capacity)
{
    struct tide_err e = {0};
    *p = (struct pair_ends){0};
    assert_int_equal(tide_transport_pair(capacity, &p->t, &e), TIDE_OK);
    assert_int_equal(p->t->connect(p->t->arg, "a", waker_of(&p->wakes[0]), &p->ends[0], &e),
                     TIDE_IO);
    assert_non_null(strstr(e.message, "nobody listens"));
    assert_int_equal(p->t->listen(p->t->arg, "a", waker_of(&p->listener_wakes), &p->listener, &e),
                     TIDE_OK);
    assert_false(p->t->accept(p->listener, waker_of(&p->wakes[1]), &p->ends[1]));
    assert_int_equal(p->t->connect(p->t->arg, "a", waker_of(&p->wakes[0]), &p->ends[0], &e),
                     TIDE_OK);
    assert_int_equal(p->listener_wakes, 1);
    assert_true(p->t->accept(p->listener, waker_of(&p->wakes[1]), &p->ends[1]));
}

static void pair_ends_close(struct pair_ends *p)
{
    p->t->unlisten(p->listener);
    tide_transport_free(p->t);
}

/* The rings never hold more than their capacity, whatever the sizes are, and bytes stay in order
 * round their ends. */
static void a_pair_is_bounded_and_keeps_the_order(void **state)
{
    (void)state;
    struct pair_ends p;
    unsigned char bytes[64];
    unsigned char got[64];
    pair_ends_open(&p, 16);
    unsigned char sent = 0;
    unsigned char received = 0;
    for (int i = 0; i < 1000; i++) {
        size_t size = 1 + (size_t)(i * 7 % 40);
        size_t taken = 0;
        for (size_t k = 0; k < size; k++) {
            bytes[k] = (unsigned char)(sent + k);
        }
        assert_int_equal(p.t->send(p.ends[0], bytes, size, &taken), TIDE_OK);
        sent = (unsigned char)(sent + taken);
        assert_true((unsigned char)(sent - received) <= 16);
        if (size >= 16) assert_int_equal((unsigned char)(sent - received), 16);
        size_t out = 0;
        assert_int_equal(p.t->receive(p.ends[1], got, 1 + (size_t)(i % 17), &out), TIDE_OK);
        for (size_t k = 0; k < out; k++) {
            assert_int_equal(got[k], (unsigned char)(received + k));
        }
        received = (unsigned char)(received + out);
    }
    assert_true(p.wakes[0] > 0); /* there was room again */
    assert_true(p.wakes[1] > 0); /* there was something */
    p.t->close(p.ends[0]);
    p.t->close(p.ends[1]);
    pair_ends_close(&p);
}

static void an_end_hears_the_last_bytes_and_then_that_the_other_closed(void **state)
{
    (void)state;
    struct pair_ends p;
    char got[64];
    size_t size = 0;
    pair_ends_open(&p, 64);
    assert_int_equal(p.t->send(p.ends[0], "farewell", 8, &size), TIDE_OK);
    int before = p.wakes[1];
    p.t->close(p.ends[0]);
    assert_int_equal(p.wakes[1], before + 1);
    before = p.wakes[0];
    assert_int_equal(p.t->receive(p.ends[1], got, sizeof(got), &size), TIDE_OK);
    assert_int_equal(size, 8);
    assert_int_equal(p.t->receive(p.ends[1], got, sizeof(got), &size), TIDE_CLOSED);
    assert_int_equal(p.t->send(p.ends[1], "x", 1, &size), TIDE_OK);
    assert_int_equal(size, 0);
    assert_int_equal(p.wakes[0], before); /* nobody wakes a closed end */
    p.t->close(p.ends[1]);
    pair_ends_close(&p);
}

/* Those who wait to be accepted are bounded, and end with the listener. */
static void who_is_not_accepted_is_turned_away_when_the_listener_ends(void **state)
{
    (void)state;
    struct pair_ends p;
    struct tide_err e = {0};
    void *waiting[64];
    int wakes = 0;
    char got[8];
    size_t size = 0;
    pair_ends_open(&p, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(p.t->connect(p.t->arg, "a", waker_of(&wakes), &waiting[i], &e), TIDE_OK);
    }
    void *more = NULL;
    assert_int_equal(p.t->connect(p.t->arg, "a", waker_of(&wakes), &more, &e), TIDE_BUSY);
    p.t->unlisten(p.listener);
    assert_int_equal(wakes, 64);
    for (int i = 0; i < 64; i++) {
        assert_int_equal(p.t->receive(waiting[i], got, sizeof(got), &size), TIDE_CLOSED);
        p.t->close(waiting[i]);
    }
    assert_int_equal(p.t->receive(p.ends[1], got, sizeof(got), &size), TIDE_OK); /* lives on */
    p.t->close(p.ends[1]);
    p.t->close(p.ends[0]);
    tide_transport_free(p.t);
}

/* --- transports that do not keep their word --- */

static enum tide_code give_too_much(void *connection, void *out, size_t capacity, size_t *out_size)
{
    (void)connection;
    (void)out;
    *out_size = capacity + 1;
    return TIDE_OK;
}
static enum tide_code answer_nonsense(void *connection, void *out, size_t capacity,
                                      size_t *out_size)
{
    (void)connection;
    (void)out;
    (void)capacity;
    *out_size = 0;
    return (enum tide_code)12345;
}

static void a_transport_that_answers_nonsense_costs_a_link_and_no_more(void **state)
{
    (void)state;
    both_open();
    write_records(10);
    check_equal();
    struct tide_transport wrong = *w.transport;
    wrong.receive = give_too_much;
    assert_done(tide_replicate(w.follower, &wrong, "leader", &e));
    WAIT_UNTIL(link_state_has("breaks the protocol"));
    struct tide_transport worse = *w.transport;
    worse.receive = answer_nonsense;
    assert_done(tide_replicate(w.follower, &worse, "leader", &e));
    WAIT_UNTIL(link_state_has("failed: an input or output operation failed"));
    assert_done(tide_replicate(w.follower, tm_wire_transport(w.wire), "leader", &e));
    write_records(10);
    check_equal();
    /* The copies may go only now: no link uses them any more once the database is closed. */
    assert_int_equal(tide_close(w.follower, 5000, NULL), TIDE_OK);
    w.follower = NULL;
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_is_bounded_and_keeps_the_order),
        cmocka_unit_test(an_end_hears_the_last_bytes_and_then_that_the_other_closed),
        cmocka_unit_test(who_is_not_accepted_is_turned_away_when_the_listener_ends),
        OVER(pair, a_transport_that_answers_nonsense_costs_a_link_and_no_more),
        EVERY(tcp),
        EVERY(pair),
        EVERY(directory),
        OVER(pair, a_node_that_leads_replicates_from_nobody),
        OVER(pair, a_place_is_taken_once_and_only_by_those_who_take_followers),
        OVER(pair, a_follower_that_comes_first_waits_for_its_leader),
        OVER(pair, a_follower_opened_again_waits_until_its_transport_is_named),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
