/* Tests of core/state/set_signal: signals of modes once and latest, and their undo, against a plain
 * list of who signalled what: counts, windows and scores, also across checkpoints. */
#include "support/tm_test.h"

#include <math.h>

#include "base/random.h"
#include "core/query/retrieve.h"
#include "core/state/inside.h"
#include "support/quad.h"
#include "support/state_log.h"

#define START_MS  UINT64_C(1700000000000)
#define MINUTE    INT64_C(60000)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define EVERY_ONE (WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_30D | WINDOW_ALL)

enum { VIEW = 1, LIKE, RATING, TYPES = 3, ITEMS = 12, USERS = 25, EVENTS_MAX = 40000 };

static const uint8_t modes[TYPES + 1] = {0, SIGNAL_MODE_COUNT, SIGNAL_MODE_ONCE,
                                         SIGNAL_MODE_LATEST};
static const uint64_t halflives_ms[] = {86400000, UINT64_C(7) * 86400000};

/* One signal that counts. */
struct event {
    uint32_t type;
    uint32_t item;
    uint32_t user;
    int64_t time_ms;
    int64_t leader_ms; /* of its batch */
    double weight;
    bool is_gone;
};

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct random random;
    struct event *events;
    size_t event_count;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    random_init(&w->random, tm_seed("set-signals", 1));
    w->events = calloc(EVENTS_MAX, sizeof(*w->events));
    w->s = state_log_state(&w->log, &w->alloc);
    static const char *const names[] = {"", "view", "like", "rating"};
    for (uint32_t id = VIEW; id <= TYPES; id++) {
        struct record r = state_log_type_record(id, names[id], halflives_ms[0]);
        r.as.schema.mode = modes[id];
        r.as.schema.windows = EVERY_ONE;
        r.as.schema.halflife_count = 2;
        r.as.schema.halflives_ms[1] = halflives_ms[1];
        state_log_record(&w->log, &r);
    }
    state_log_seal(&w->log);
    state_log_apply(&w->log, 0, 1, w->s);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    state_free(w->s);
    state_log_fini(&w->log);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w->events);
    free(w);
    return left == 0 ? 0 : -1;
}

static void name_item(uint32_t item, char out[16])
{
    snprintf(out, 16, "i%u", item);
}

static void name_user(uint32_t user, char out[16])
{
    snprintf(out, 16, "u%u", user);
}

static void apply(struct world *w)
{
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
}

static void log_signal(struct world *w, const struct event *e)
{
    char item[16];
    char user[16];
    name_item(e->item, item);
    name_user(e->user, user);
    struct signal_entry entry = {.flags = SIGNAL_HAS_WEIGHT | SIGNAL_HAS_USER,
                                 .type_id = e->type,
                                 .item = slice_of_text(item),
                                 .time_ms = e->time_ms,
                                 .weight = e->weight,
                                 .user = slice_of_text(user)};
    state_log_entries(&w->log, NULL, &entry, 1);
}

static void log_undo(struct world *w, uint32_t type, uint32_t item, uint32_t user)
{
    char item_name[16];
    char user_name[16];
    name_item(item, item_name);
    name_user(user, user_name);
    struct record r = {.kind = RECORD_SIGNAL_UNDO};
    r.as.undo = (struct record_undo){.type_id = type,
                                     .item = slice_of_text(item_name),
                                     .user = slice_of_text(user_name),
                                     .time_ms = (int64_t)w->log.leader_ms};
    state_log_record(&w->log, &r);
}

/* The model: a list of events of which some are gone. */

static struct event *find_event(struct world *w, uint32_t type, uint32_t item, uint32_t user)
{
    for (size_t i = w->event_count; i > 0; i--) {
        struct event *e = &w->events[i - 1];
        if (e->type == type && e->item == item && e->user == user && !e->is_gone) return e;
    }
    return NULL;
}

static void model_signal(struct world *w, const struct event *e)
{
    struct event *before = e->type == VIEW ? NULL : find_event(w, e->type, e->item, e->user);
    if (before != NULL && e->type == LIKE) return;
    if (before != NULL) before->is_gone = true;
    assert_true(w->event_count < EVENTS_MAX);
    w->events[w->event_count++] = *e;
}

static void signal_at(struct world *w, uint32_t type, uint32_t item, uint32_t user, int64_t time_ms,
                      double weight)
{
    struct event e = {.type = type,
                      .item = item,
                      .user = user,
                      .time_ms = time_ms,
                      .leader_ms = (int64_t)w->log.leader_ms,
                      .weight = weight};
    log_signal(w, &e);
    if (type != VIEW && time_ms > e.leader_ms + HOUR) e.time_ms = e.leader_ms + HOUR;
    model_signal(w, &e);
}

static void undo(struct world *w, uint32_t type, uint32_t item, uint32_t user)
{
    log_undo(w, type, item, user);
    struct event *e = find_event(w, type, item, user);
    if (e != NULL) e->is_gone = true;
}

static bool is_in_window(const struct event *e, int64_t now, int64_t bucket_ms, int64_t span)
{
    if (e->time_ms < 0 || e->time_ms > e->leader_ms + HOUR) return false;
    int64_t head = now / bucket_ms;
    int64_t bucket = e->time_ms / bucket_ms;
    return head - span < bucket && bucket <= head;
}

struct expected {
    uint64_t count;
    uint64_t windows[4];
    quad scores[COUNT_OF(halflives_ms)];
    quad scales[COUNT_OF(halflives_ms)];
};

static struct expected expect(const struct world *w, uint32_t type, uint32_t item, int64_t now)
{
    struct expected out = {0};
    for (size_t i = 0; i < w->event_count; i++) {
        const struct event *e = &w->events[i];
        if (e->type != type || e->item != item) continue;
        for (size_t h = 0; h < COUNT_OF(halflives_ms); h++) {
            quad term = (quad)e->weight * quad_decay(e->time_ms, now, (int64_t)halflives_ms[h]);
            out.scales[h] += 2 * (term < 0 ? -term : term);
            if (!e->is_gone) out.scores[h] += term;
        }
        if (e->is_gone) continue;
        out.count++;
        out.windows[0] += is_in_window(e, now, MINUTE, 60);
        out.windows[1] += is_in_window(e, now, HOUR, 24);
        out.windows[2] += is_in_window(e, now, HOUR, 168);
        out.windows[3] += is_in_window(e, now, DAY, 30);
    }
    return out;
}

static void check_item(const struct world *w, const struct state *s, uint32_t type, uint32_t item)
{
    static const uint8_t windows[] = {WINDOW_1H, WINDOW_24H, WINDOW_7D, WINDOW_30D};
    int64_t now = (int64_t)hlc_ms(state_leader_time(s));
    char name[16];
    name_item(item, name);
    uint32_t index = state_item_find(s, slice_of_text(name));
    struct expected x = expect(w, type, item, now);
    assert_int_equal(state_count_all(s, type, index), x.count);
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        assert_int_equal(state_count_window(s, type, index, windows[i]), x.windows[i]);
    }
    for (uint32_t h = 0; h < COUNT_OF(halflives_ms); h++) {
        double score = state_score(s, type, index, h, now);
        if (type != VIEW && x.count == 0) assert_same_double(score, 0.0);
        quad error = (quad)score - x.scores[h];
        assert_true((error < 0 ? -error : error) <= x.scales[h] * (quad)1e-12);
    }
}

static void check(const struct world *w, const struct state *s)
{
    for (uint32_t type = VIEW; type <= TYPES; type++) {
        for (uint32_t item = 0; item < ITEMS; item++) {
            check_item(w, s, type, item);
        }
    }
    uint32_t likes = 0;
    for (size_t i = 0; i < w->event_count; i++) {
        likes += w->events[i].type == LIKE && !w->events[i].is_gone;
    }
    assert_int_equal(edges_count(&s->edges, LIKE), likes);
}

static void a_second_signal_of_mode_once_changes_nothing(void **state)
{
    struct world *w = *state;
    signal_at(w, LIKE, 0, 0, (int64_t)START_MS, 1.0);
    apply(w);
    struct hash256 columns = state_log_root(w->s);
    signal_at(w, LIKE, 0, 0, (int64_t)START_MS + 5, 7.0);
    apply(w);
    assert_int_equal(state_count_all(w->s, LIKE, 0), 1);
    assert_same_double(state_score(w->s, LIKE, 0, 0, (int64_t)START_MS), 1.0);
    struct hash256 after = state_log_root(w->s);
    assert_false(hash256_equal(&columns, &after)); /* the position differs, and entries applied */
    assert_true(state_has_edge(w->s, LIKE, slice_of_text("i0"), slice_of_text("u0")));
    assert_false(state_has_edge(w->s, LIKE, slice_of_text("i0"), slice_of_text("u1")));
    assert_false(state_has_edge(w->s, LIKE, slice_of_text("i1"), slice_of_text("u0")));
    assert_false(state_has_edge(w->s, VIEW, slice_of_text("i0"), slice_of_text("u0")));
}

static void a_later_signal_of_mode_latest_replaces_the_one_before(void **state)
{
    struct world *w = *state;
    int64_t at = (int64_t)START_MS;
    signal_at(w, RATING, 0, 0, at, 5.0);
    signal_at(w, RATING, 0, 1, at, 1.0);
    signal_at(w, RATING, 0, 0, at - DAY, 2.0); /* later is what comes later in the log */
    apply(w);
    assert_int_equal(state_count_all(w->s, RATING, 0), 2);
    assert_same_double(state_score(w->s, RATING, 0, 0, at), 2.0);
    assert_int_equal(state_count_window(w->s, RATING, 0, WINDOW_1H), 1);
    assert_int_equal(state_count_window(w->s, RATING, 0, WINDOW_7D), 2);
    check(w, w->s);
}

static void undo_leaves_nothing_of_an_items_last_signal(void **state)
{
    struct world *w = *state;
    int64_t at = (int64_t)START_MS;
    for (uint32_t user = 0; user < 5; user++) {
        signal_at(w, LIKE, 0, user, at - (int64_t)user * 777777, 0.1 + user);
    }
    signal_at(w, LIKE, 1, 0, at, -3.0);
    apply(w);
    for (uint32_t user = 5; user > 0; user--) {
        undo(w, LIKE, 0, (user * 3) % 5); /* in another order than they came */
        apply(w);
        check(w, w->s);
    }
    undo(w, LIKE, 1, 0);
    undo(w, LIKE, 1, 0);  /* nothing is there any more */
    undo(w, LIKE, 1, 99); /* nor was it ever */
    undo(w, LIKE, 77, 0);
    apply(w);
    check(w, w->s);
    assert_int_equal(w->s->edges.count, 0);
    struct retrieve_request request = {.order = RETRIEVE_DECAYED, .type_id = LIKE, .limit = 10};
    struct retrieve_row rows[10];
    uint32_t count = 99;
    assert_int_equal(retrieve_run(w->s, &w->alloc, &request, rows, &count, NULL), OK);
    assert_int_equal(count, 0);
    signal_at(w, LIKE, 0, 0, at, 1.0);
    apply(w);
    check(w, w->s);
}

/* The zone's maximum bounds what is in it, and is looked for again when its item falls to 0. */
static void zone_maxima_follow_what_is_taken_back(void **state)
{
    struct world *w = *state;
    int64_t at = (int64_t)START_MS;
    signal_at(w, LIKE, 0, 0, at, 5.0);
    signal_at(w, LIKE, 1, 0, at, 3.0);
    undo(w, LIKE, 0, 0);
    apply(w);
    struct column_view view = columns_view(&w->s->columns, LIKE, 0, 0);
    const struct sums *sums = view.sums[SIGN_POSITIVE];
    assert_non_null(sums);
    assert_same_double(sums->zone_max[0], sums->values[1]);
    assert_same_double(sums->values[0], 0.0);
    assert_null(view.sums[SIGN_NEGATIVE]);
}

/* Events that are older than every ring count for ever and in no window, and are taken back from
 * where they are. */
static void late_signals_and_their_undo_go_to_all_time_only(void **state)
{
    struct world *w = *state;
    int64_t at = (int64_t)START_MS;
    signal_at(w, LIKE, 0, 0, at - 40 * DAY, 1.0);
    signal_at(w, LIKE, 0, 1, at - 8 * DAY, 1.0);
    signal_at(w, LIKE, 0, 2, -5, 1.0);
    signal_at(w, VIEW, 0, 2, at - 40 * DAY, 1.0);
    apply(w);
    check(w, w->s);
    assert_int_equal(state_count_all(w->s, LIKE, 0), 3);
    assert_int_equal(state_count_window(w->s, LIKE, 0, WINDOW_30D), 1);
    assert_int_equal(state_count_window(w->s, LIKE, 0, WINDOW_7D), 0);
    assert_int_equal(state_count_window(w->s, VIEW, 0, WINDOW_30D), 0);
    assert_true(state_score(w->s, VIEW, 0, 1, at) > 0.0);
    for (uint32_t user = 0; user < 3; user++) {
        undo(w, LIKE, 0, user);
    }
    apply(w);
    check(w, w->s);
}

/* A signal far ahead is taken for an hour ahead: it waits in its buckets, and an undo finds it
 * there before, while and after they are in the windows. */
static void signals_ahead_are_taken_back_wherever_they_are(void **state)
{
    struct world *w = *state;
    for (uint32_t user = 0; user < 6; user++) {
        signal_at(w, LIKE, 0, user, (int64_t)START_MS + user * HOUR, 1.0);
    }
    apply(w);
    check(w, w->s);
    undo(w, LIKE, 0, 5); /* while it is ahead */
    apply(w);
    check(w, w->s);
    for (uint32_t user = 0; user < 5; user++) {
        w->log.leader_ms += 40 * (uint64_t)MINUTE;
        undo(w, LIKE, 0, user);
        apply(w);
        check(w, w->s);
    }
}

static int64_t draw_time(struct world *w)
{
    int64_t leader = (int64_t)w->log.leader_ms;
    uint64_t kind = random_below(&w->random, 10);
    if (kind < 5) return leader - (int64_t)random_below(&w->random, 3000);
    if (kind < 6) return leader + (int64_t)random_below(&w->random, 5001);
    if (kind < 7) return leader + (int64_t)random_below(&w->random, 3 * HOUR);
    int64_t reach[] = {2 * HOUR, 2 * DAY, 9 * DAY, 40 * DAY, 1000 * DAY};
    return leader - (int64_t)random_below(
                        &w->random, (uint64_t)reach[random_below(&w->random, COUNT_OF(reach))]);
}

static void random_step(struct world *w)
{
    static const double weights[] = {1.0, 1.0, 2.5, 0.0, -1.0, 0.25};
    uint32_t type = VIEW + (uint32_t)random_below(&w->random, TYPES);
    uint32_t item = (uint32_t)random_below(&w->random, ITEMS);
    uint32_t user = (uint32_t)random_below(&w->random, USERS);
    if (type != VIEW && random_below(&w->random, 100) < 45) {
        undo(w, type, item, user);
    } else {
        double weight = weights[random_below(&w->random, COUNT_OF(weights))];
        signal_at(w, type, item, user, draw_time(w), weight);
    }
}

static void check_reloaded(struct world *w)
{
    struct state *copy = state_log_reload(&w->log, w->s, &w->alloc);
    check(w, copy);
    struct hash256 a = state_log_root(w->s);
    struct hash256 b = state_log_root(copy);
    assert_true(hash256_equal(&a, &b));
    state_free(w->s); /* go on with the loaded one */
    w->s = copy;
}

/* Random signals of all modes, undos and courses of time, with a checkpoint now and then. */
static void counts_windows_and_scores_are_what_a_plain_list_says(void **state)
{
    struct world *w = *state;
    static const int64_t steps[] = {1, 500, 20000, MINUTE, HOUR, DAY, 9 * DAY};
    for (uint32_t batch = 0; batch < 400; batch++) {
        uint64_t records = random_below(&w->random, 40);
        for (uint64_t i = 0; i < records; i++) {
            random_step(w);
        }
        apply(w);
        if (batch % 10 == 0) check(w, w->s);
        if (batch % 50 == 49) check_reloaded(w);
        uint64_t reach = (uint64_t)steps[random_below(&w->random, COUNT_OF(steps))];
        w->log.leader_ms += random_below(&w->random, reach + 1);
    }
    check(w, w->s);
}

/* Replayed from the start in one go, the log gives the same state bit by bit. */
static void the_same_log_gives_the_same_bits(void **state)
{
    struct world *w = *state;
    for (uint32_t batch = 0; batch < 60; batch++) {
        for (uint32_t i = 0; i < 50; i++) {
            random_step(w);
        }
        apply(w);
        struct hash256 pin = state_log_root(w->s); /* pins make copies of blocks */
        (void)pin;
        w->log.leader_ms += 300000;
    }
    struct state *again = state_log_state(&w->log, &w->alloc);
    state_log_apply(&w->log, 0, w->log.batch_count, again);
    struct hash256 a = state_log_root(w->s);
    struct hash256 b = state_log_root(again);
    assert_true(hash256_equal(&a, &b));
    state_free(again);
}

/* Whichever allocation fails, the batch stops the state, and the next run of it does the rest. */
static void a_batch_that_memory_stops_can_be_applied_again(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 30; i++) {
        random_step(w);
    }
    size_t batch = state_log_seal(&w->log);
    state_log_apply(&w->log, batch, batch + 1, w->s);
    struct hash256 whole = state_log_root(w->s);
    for (int64_t n = 1;; n += 3) {
        struct state *s = state_log_state(&w->log, &w->alloc);
        state_log_apply(&w->log, 0, batch, s);
        struct state_outcome out;
        struct err e;
        atomic_store(&w->alloc.fail_countdown, n);
        enum code code = state_log_try(&w->log, batch, s, &out, &e);
        bool was_reached = atomic_load(&w->alloc.fail_countdown) <= 0;
        atomic_store(&w->alloc.fail_countdown, -1);
        if (code == OK) {
            struct hash256 root = state_log_root(s);
            assert_true(hash256_equal(&root, &whole));
        } else {
            assert_int_equal(code, E_NOMEMORY);
        }
        state_free(s);
        if (!was_reached) break;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_second_signal_of_mode_once_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(a_later_signal_of_mode_latest_replaces_the_one_before,
                                        begin, end),
        cmocka_unit_test_setup_teardown(undo_leaves_nothing_of_an_items_last_signal, begin, end),
        cmocka_unit_test_setup_teardown(zone_maxima_follow_what_is_taken_back, begin, end),
        cmocka_unit_test_setup_teardown(late_signals_and_their_undo_go_to_all_time_only, begin,
                                        end),
        cmocka_unit_test_setup_teardown(signals_ahead_are_taken_back_wherever_they_are, begin, end),
        cmocka_unit_test_setup_teardown(counts_windows_and_scores_are_what_a_plain_list_says, begin,
                                        end),
        cmocka_unit_test_setup_teardown(the_same_log_gives_the_same_bits, begin, end),
        cmocka_unit_test_setup_teardown(a_batch_that_memory_stops_can_be_applied_again, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
