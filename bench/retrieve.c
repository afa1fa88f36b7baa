/* retrieve: what one page of each profile costs over a million items with counts of five types.
 *
 *   bench_retrieve [items]
 *
 * Items have 1 to some hundreds of events, most of them few, on five types of both polarities;
 * every tenth item has a negative one. One thread, processor time, the best of nine. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/random.h"
#include "core/query/profile.h"
#include "core/query/retrieve.h"
#include "support/state_log.h"

enum { BATCH_ENTRIES = 256, ROUNDS = 9, PAGE = 10 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void types_make(struct state_log *l)
{
    static const char *const names[] = {"view", "click", "share", "skip", "dislike"};
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        struct record r = state_log_type_record(i + 1, names[i], UINT64_C(604800000));
        r.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_ALL;
        if (i >= 3) r.as.schema.polarity = POLARITY_NEGATIVE;
        state_log_record(l, &r);
    }
    state_log_seal(l);
}

static struct slice key_of(uint64_t item, char out[24])
{
    return slice_of(out, (size_t)snprintf(out, 24, "item-%llu", (unsigned long long)item));
}

/* Every item once in ascending order, then three times as many events of skewed choice. */
static void events_make(struct state_log *l, uint32_t items, struct random *r)
{
    static struct signal_entry entries[BATCH_ENTRIES];
    static char keys[BATCH_ENTRIES][24];
    uint64_t made = 0;
    while (made < UINT64_C(4) * items) {
        for (uint32_t i = 0; i < BATCH_ENTRIES; i++, made++) {
            uint64_t item = made;
            if (made >= items) item = random_below(r, 1 + random_below(r, items));
            uint32_t type = 1 + (uint32_t)random_below(r, 3);
            if (random_below(r, 40) == 0) type += 2;
            entries[i] =
                (struct signal_entry){.type_id = type,
                                      .item = key_of(item, keys[i]),
                                      .time_ms = (int64_t)(l->leader_ms - random_below(r, 100000)),
                                      .weight = 1.0};
        }
        state_log_entries(l, NULL, entries, BATCH_ENTRIES);
        state_log_seal(l);
        l->leader_ms += 100;
    }
}

/* A first page, and one that begins behind it. */
static void measure(const struct state *s, struct alloc *alloc, const char *name)
{
    static struct retrieve_row rows[PAGE];
    struct err e;
    struct profile profile;
    if (profile_find(s, slice_of_text(name), &profile, &e) != OK) abort();
    struct retrieve_request request = {.order = profile.order,
                                       .type_id = profile.type_id,
                                       .limit = PAGE,
                                       .now_ms = INT64_C(1700000000000)};
    struct retrieve_after after = {0};
    double best_us[2] = {0};
    for (int page = 0; page < 2; page++) {
        uint64_t best = UINT64_MAX;
        uint32_t count = 0;
        for (int i = 0; i < ROUNDS; i++) {
            uint64_t start = now_ns();
            if (retrieve_run(s, alloc, &request, rows, &count, &e) != OK) abort();
            uint64_t took = now_ns() - start;
            if (took < best) best = took;
        }
        best_us[page] = (double)best / 1e3;
        if (count == 0) break; /* nothing rises that was created long before the events */
        const struct retrieve_row *last = &rows[count - 1];
        after.place = (struct pick_place){.rank = last->rank,
                                          .created_ms = state_item_created_ms(s, last->item),
                                          .key = state_item_key(s, last->item)};
        request.after = &after;
    }
    printf("retrieve %-14s first page %8.1f us, next page %8.1f us\n", name, best_us[0],
           best_us[1]);
}

static int by_size(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a;
    uint64_t y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void print_times(const char *name, uint64_t *times, size_t count)
{
    qsort(times, count, sizeof(*times), by_size);
    printf("%-30s p50 %8.1f us, p99 %8.1f us\n", name, (double)times[count / 2] / 1e3,
           (double)times[count * 99 / 100] / 1e3);
}

/* Best fifty by one decayed column. */
static void measure_top(const struct state *s, struct alloc *alloc)
{
    enum { TIMES = 1000, TOP = 50 };
    static uint64_t times[TIMES];
    static struct retrieve_row rows[TOP];
    struct retrieve_request request = {
        .order = RETRIEVE_DECAYED, .type_id = 1, .limit = TOP, .now_ms = INT64_C(1700000000000)};
    for (size_t i = 0; i < TIMES; i++) {
        uint32_t count;
        struct err e;
        uint64_t start = now_ns();
        if (retrieve_run(s, alloc, &request, rows, &count, &e) != OK) abort();
        times[i] = now_ns() - start;
    }
    print_times("top 50 of decayed:view", times, TIMES);
}

/* Decayed scores of two hundred given items, another two hundred each time. */
static void measure_given(const struct state *s, struct random *r)
{
    enum { TIMES = 1000, GIVEN = 200 };
    static uint64_t times[TIMES];
    static uint32_t items[TIMES][GIVEN];
    double sum = 0;
    for (size_t i = 0; i < TIMES; i++) {
        for (size_t k = 0; k < GIVEN; k++) {
            items[i][k] = (uint32_t)random_below(r, state_item_count(s));
        }
    }
    for (size_t i = 0; i < TIMES; i++) {
        uint64_t start = now_ns();
        for (size_t k = 0; k < GIVEN; k++) {
            sum += state_score(s, 1, items[i][k], 0, INT64_C(1700000000000));
        }
        times[i] = now_ns() - start;
    }
    print_times(sum > 0 ? "scores of 200 given items" : "no scores", times, TIMES);
}

/* What a frozen state costs the owner, what letting it go costs, and the copies after it. */
static void measure_freeze(struct state *s, struct state_log *l, uint32_t items, struct random *r)
{
    enum { TIMES = 50 };
    static uint64_t times[3][TIMES];
    for (size_t i = 0; i < TIMES; i++) {
        size_t first = l->batch_count;
        char key[24];
        struct signal_entry entry = {.type_id = 1,
                                     .item = key_of(random_below(r, items), key),
                                     .time_ms = (int64_t)l->leader_ms,
                                     .weight = 1.0};
        state_log_entries(l, NULL, &entry, 1);
        state_log_seal(l);
        uint64_t start = now_ns();
        struct state *f = state_freeze(s);
        uint64_t frozen = now_ns();
        state_log_apply(l, first, l->batch_count, s);
        uint64_t applied = now_ns();
        state_free(f);
        times[0][i] = frozen - start;
        times[1][i] = applied - frozen;
        times[2][i] = now_ns() - applied;
    }
    print_times("freeze", times[0], TIMES);
    print_times("first event after it", times[1], TIMES);
    print_times("free what was frozen", times[2], TIMES);
}

int main(int argc, char **argv)
{
    uint32_t items = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct state_log log;
    state_log_init(&log, 1700000000000);
    struct state *s = state_log_state(&log, &alloc);
    struct random r;
    random_init(&r, 1);
    types_make(&log);
    events_make(&log, items, &r);
    state_log_apply(&log, 0, log.batch_count, s);
    printf("%u items\n", state_item_count(s));
    static const char *const names[] = {"new",          "top",           "most_viewed",
                                        "hot",          "controversial", "best",
                                        "decayed:view", "trending",      "rising"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        measure(s, &alloc, names[i]);
    }
    measure_top(s, &alloc);
    measure_given(s, &r);
    measure_freeze(s, &log, items, &r);
    state_free(s);
    state_log_fini(&log);
    return 0;
}
