/* Tests of core/state/state_freeze: a frozen state answers for ever as the live one did. */
#include "support/tm_test.h"

#include <pthread.h>

#include "base/random.h"
#include "core/query/retrieve.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)

enum { LIMIT = 200, TYPES = 3, PAGES = 9 };

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct random random;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    random_init(&w->random, 1);
    w->s = state_log_state(&w->log, &w->alloc);
    static const char *const names[TYPES] = {"view", "share", "skip"};
    for (uint32_t i = 0; i < TYPES; i++) {
        struct record type = state_log_type_record(i + 1, names[i], 3600000);
        type.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL;
        if (i == 2) type.as.schema.polarity = POLARITY_NEGATIVE;
        state_log_record(&w->log, &type);
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
    free(w);
    return left == 0 ? 0 : -1;
}

/* A batch that touches every part that questions read. */
static void step(struct world *w, uint32_t entries, uint64_t later_ms)
{
    for (uint32_t i = 0; i < entries; i++) {
        char key[16];
        int size = snprintf(key, sizeof(key), "i%u", (unsigned)random_below(&w->random, 9000));
        struct signal_entry entry = {.flags = SIGNAL_HAS_WEIGHT,
                                     .type_id = 1 + (uint32_t)random_below(&w->random, TYPES),
                                     .item = slice_of(key, (size_t)size),
                                     .time_ms = (int64_t)w->log.leader_ms,
                                     .weight = i % 3 == 0 ? -1.0 : 2.0};
        state_log_entries(&w->log, NULL, &entry, 1);
    }
    w->log.leader_ms += later_ms;
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
}

struct answers {
    struct position position;
    uint32_t items;
    struct retrieve_row rows[PAGES][LIMIT];
    uint32_t counts[PAGES];
};

/* A page of every order. */
static void ask(const struct state *s, struct answers *out)
{
    static const enum retrieve_order orders[PAGES] = {
        RETRIEVE_DECAYED, RETRIEVE_TOP,           RETRIEVE_COUNT,    RETRIEVE_NEW,    RETRIEVE_HOT,
        RETRIEVE_BEST,    RETRIEVE_CONTROVERSIAL, RETRIEVE_TRENDING, RETRIEVE_RISING,
    };
    struct alloc alloc;
    alloc_init(&alloc, 0);
    memset(out, 0, sizeof(*out));
    out->position = state_position(s);
    out->items = state_item_count(s);
    for (uint32_t i = 0; i < PAGES; i++) {
        struct retrieve_request request = {
            .order = orders[i], .type_id = 1, .limit = LIMIT, .now_ms = (int64_t)START_MS};
        struct err e;
        assert_int_equal(retrieve_run(s, &alloc, &request, out->rows[i], &out->counts[i], &e), OK);
    }
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

static void assert_same_answers(const struct answers *a, const struct answers *b)
{
    assert_true(position_equal(&a->position, &b->position));
    assert_int_equal(a->items, b->items);
    for (uint32_t p = 0; p < PAGES; p++) {
        assert_int_equal(a->counts[p], b->counts[p]);
        for (uint32_t i = 0; i < a->counts[p]; i++) {
            assert_int_equal(a->rows[p][i].item, b->rows[p][i].item);
            assert_same_double(a->rows[p][i].score, b->rows[p][i].score);
        }
    }
}

/* What is applied later, windows that move on included, does not reach a frozen state; nor does the
 * end of the live one. */
static void a_frozen_state_answers_as_the_live_one_did(void **state)
{
    struct world *w = *state;
    static struct answers before;
    static struct answers after;
    static struct answers live;
    step(w, 20000, 60000);
    ask(w->s, &before);
    assert_true(before.counts[7] > 20); /* trending */
    struct state *f = state_freeze(w->s);
    ask(f, &after);
    assert_same_answers(&before, &after);
    for (uint64_t i = 0; i < 8; i++) {
        step(w, 3000, i < 4 ? 60000 : UINT64_C(6) * 3600000);
    }
    ask(w->s, &live);
    assert_memory_not_equal(&live, &before, sizeof(live));
    ask(f, &after);
    assert_same_answers(&before, &after);
    state_free(w->s);
    w->s = NULL;
    ask(f, &after);
    assert_same_answers(&before, &after);
    state_free(f);
}

/* The live state is the same, bit for bit, whether somebody looked or not. */
static void freezing_changes_nothing(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 6; i++) {
        struct state *f = state_freeze(w->s);
        step(w, 2000, 600000);
        state_free(f);
    }
    struct state *other = state_log_state(&w->log, &w->alloc);
    state_log_apply(&w->log, 0, w->log.batch_count, other);
    struct hash256 a = state_log_root(w->s);
    struct hash256 b = state_log_root(other);
    assert_true(hash256_equal(&a, &b));
    static struct answers mine;
    static struct answers theirs;
    ask(w->s, &mine);
    ask(other, &theirs);
    assert_same_answers(&mine, &theirs);
    state_free(other);
}

static void an_empty_state_can_be_frozen(void **state)
{
    struct world *w = *state;
    struct state *fresh = state_log_state(&w->log, &w->alloc);
    struct state *f = state_freeze(fresh);
    assert_non_null(f);
    assert_int_equal(state_item_count(f), 0);
    assert_null(state_freeze(f)); /* there is nothing live to freeze */
    assert_null(state_pin(f));
    state_free(f);
    state_free(fresh);
}

/* Every allocation may be refused; then nothing is held. */
static void refused_memory_is_an_answer(void **state)
{
    struct world *w = *state;
    step(w, 500, 1000);
    uint64_t used = atomic_load(&w->alloc.used_bytes);
    struct state *f = NULL;
    int64_t n = 0;
    for (; f == NULL; n++) {
        assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
        atomic_store(&w->alloc.fail_countdown, n + 1);
        f = state_freeze(w->s);
        assert_true(n < 100);
    }
    assert_true(n > 10);
    atomic_store(&w->alloc.fail_countdown, -1);
    state_free(f);
    assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
}

struct asker {
    struct state *frozen;
    struct answers answers;
};

static void *ask_and_free(void *arg)
{
    struct asker *a = arg;
    ask(a->frozen, &a->answers);
    state_free(a->frozen);
    return NULL;
}

/* For the thread sanitizer: a thread asks and frees while the owner applies. */
static void another_thread_may_ask_and_free(void **state)
{
    struct world *w = *state;
    static struct asker asker;
    static struct answers before;
    step(w, 5000, 60000);
    for (uint32_t i = 0; i < 5; i++) {
        ask(w->s, &before);
        asker.frozen = state_freeze(w->s);
        pthread_t thread;
        assert_int_equal(pthread_create(&thread, NULL, ask_and_free, &asker), 0);
        for (uint32_t k = 0; k < 10; k++) {
            step(w, 200, 60000);
        }
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_same_answers(&before, &asker.answers);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_frozen_state_answers_as_the_live_one_did, begin, end),
        cmocka_unit_test_setup_teardown(freezing_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(an_empty_state_can_be_frozen, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_an_answer, begin, end),
        cmocka_unit_test_setup_teardown(another_thread_may_ask_and_free, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/state_freeze", tests, NULL, NULL);
}
