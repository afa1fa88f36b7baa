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
    state_free(s);
    state_log_fini(&log);
    return 0;
}
