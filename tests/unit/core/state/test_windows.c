/* Tests of core/state/windows: counts equal the definition, by brute force over every event, in
 * every course of event times and leader times, also across a checkpoint. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/state/inside.h"
#include "support/state_log.h"

#define START_MS  UINT64_C(1700000000000)
#define MINUTE    INT64_C(60000)
#define HOUR      (60 * MINUTE)
#define DAY       (24 * HOUR)
#define EVERY_ONE (WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_30D | WINDOW_ALL)

enum { ITEMS = 40, TYPES = 3, EVENTS_MAX = 60000 };

static const struct {
    uint8_t bit;
    int64_t bucket_ms;
    int64_t span;
} definitions[] = {
    {WINDOW_1H, MINUTE, 60}, {WINDOW_24H, HOUR, 24}, {WINDOW_7D, HOUR, 168}, {WINDOW_30D, DAY, 30}};
static const uint8_t declared[TYPES + 1] = {
    0, EVERY_ONE, WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL, WINDOW_30D | WINDOW_ALL};

struct event {
    uint32_t type;
    uint32_t item;
    int64_t time_ms;
    int64_t leader_ms; /* of its batch */
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
    random_init(&w->random, tm_seed("windows", 1));
    w->events = calloc(EVENTS_MAX, sizeof(*w->events));
    w->s = state_log_state(&w->log, &w->alloc);
    for (uint32_t id = 1; id <= TYPES; id++) {
        char name[8];
        snprintf(name, sizeof(name), "t%u", id);
        struct record r = state_log_type_record(id, name, 3600000);
        r.as.schema.windows = declared[id];
        state_log_record(&w->log, &r);
    }
    for (uint32_t i = 0; i < ITEMS; i++) { /* items get the numbers that the brute force uses */
        char key[16];
        snprintf(key, sizeof(key), "i%u", i);
        state_log_signal(&w->log, 1, key, 0, 1.0);
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

static void signal_at(struct world *w, uint32_t type, uint32_t item, int64_t time_ms)
{
    char key[16];
    snprintf(key, sizeof(key), "i%u", item);
    state_log_signal(&w->log, type, key, time_ms, 1.0);
    assert_true(w->event_count < EVENTS_MAX);
    w->events[w->event_count++] = (struct event){
        .type = type, .item = item, .time_ms = time_ms, .leader_ms = (int64_t)w->log.leader_ms};
}

static void apply(struct world *w)
{
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
}

/* The definition, word for word. */
static bool is_counted(const struct event *e, int64_t now, size_t d)
{
    int64_t head = now / definitions[d].bucket_ms;
    int64_t bucket = e->time_ms / definitions[d].bucket_ms;
    return head - definitions[d].span < bucket && bucket <= head;
}

static void check(const struct world *w, const struct state *s)
{
    static uint64_t expected[COUNT_OF(definitions)][TYPES + 1][ITEMS];
    memset(expected, 0, sizeof(expected));
    int64_t now = (int64_t)(state_leader_time(s) >> 16);
    for (size_t i = 0; i < w->event_count; i++) {
        const struct event *e = &w->events[i];
        for (size_t d = 0; d < COUNT_OF(definitions); d++) {
            if ((declared[e->type] & definitions[d].bit) == 0) continue;
            expected[d][e->type][e->item] += is_counted(e, now, d);
        }
    }
    for (size_t d = 0; d < COUNT_OF(definitions); d++) {
        for (uint32_t type = 1; type <= TYPES; type++) {
            for (uint32_t item = 0; item < ITEMS; item++) {
                uint64_t count = state_count_window(s, type, item, definitions[d].bit);
                if (count == expected[d][type][item]) continue;
                fail_msg("window %u of type %u, item %u: %llu, by definition %llu",
                         definitions[d].bit, type, item, (unsigned long long)count,
                         (unsigned long long)expected[d][type][item]);
            }
        }
    }
}

static int64_t draw_time(struct world *w, uint32_t course)
{
    int64_t leader = (int64_t)w->log.leader_ms;
    uint64_t kind = random_below(&w->random, 10);
    if (course == 1 && kind < 8) kind = 9; /* mostly late */
    if (kind < 6) return leader - (int64_t)random_below(&w->random, 3000);
    if (kind < 8) return leader + (int64_t)random_below(&w->random, 5001); /* within the skew */
    if (kind < 9) return leader - (int64_t)random_below(&w->random, 2 * 60 * 60000);
    int64_t reach[] = {2 * HOUR, 2 * DAY, 9 * DAY, 40 * DAY, 1000 * DAY};
    return leader - (int64_t)random_below(
                        &w->random, (uint64_t)reach[random_below(&w->random, COUNT_OF(reach))]);
}

static void move_leader(struct world *w, uint32_t course)
{
    static const int64_t steps[][4] = {
        {10, 500, 20000, MINUTE},      /* busy */
        {1000, MINUTE, HOUR, DAY},     /* bursts and pauses */
        {MINUTE, HOUR, DAY, 20 * DAY}, /* mostly silence */
        {0, 1, 59999, 61000},          /* at the edges of buckets */
    };
    int64_t reach = steps[course][random_below(&w->random, 4)];
    w->log.leader_ms += random_below(&w->random, (uint64_t)reach + 1);
    if (random_chance(&w->random, 100000)) {
        w->log.leader_ms += (uint64_t)MINUTE - w->log.leader_ms % (uint64_t)MINUTE;
    }
}

/* Random courses: after every batch the counts are those of the definition; every few batches the
 * state goes through a checkpoint, and both go on with equal roots. */
static void counts_are_those_of_the_definition(void **state)
{
    struct world *w = *state;
    for (uint32_t course = 0; course < 4; course++) {
        for (uint32_t batch = 0; batch < 150; batch++) {
            uint32_t burst = random_chance(&w->random, 100000) ? 300 : 12;
            uint32_t events = (uint32_t)random_below(&w->random, burst);
            for (uint32_t i = 0; i < events; i++) {
                uint32_t item = (uint32_t)random_below(&w->random, ITEMS);
                if (random_chance(&w->random, 500000)) item = 7; /* one that everybody looks at */
                signal_at(w, 1 + (uint32_t)random_below(&w->random, TYPES), item,
                          draw_time(w, course));
            }
            apply(w);
            check(w, w->s);
            move_leader(w, course);
            if (batch % 7 != 0) continue;
            struct state *loaded = state_log_reload(&w->log, w->s, &w->alloc);
            check(w, loaded);
            struct hash256 before = state_log_root(w->s);
            struct hash256 after = state_log_root(loaded);
            assert_true(hash256_equal(&before, &after));
            assert_int_equal(state_next_due_ms(loaded), state_next_due_ms(w->s));
            if (batch % 2 == 0) { /* the loaded one goes on instead */
                state_free(w->s);
                w->s = loaded;
            } else {
                state_free(loaded);
            }
        }
    }
}

/* One state goes straight on, one through a checkpoint after every batch: equal roots always. */
static void checkpoints_do_not_show(void **state)
{
    struct world *w = *state;
    struct state *hopping = state_log_reload(&w->log, w->s, &w->alloc);
    for (uint32_t batch = 0; batch < 150; batch++) {
        for (uint32_t i = 0; i < 40; i++) {
            signal_at(w, 1 + i % TYPES, (uint32_t)random_below(&w->random, ITEMS),
                      draw_time(w, batch % 2));
        }
        apply(w);
        move_leader(w, batch % 4);
        state_log_apply(&w->log, w->log.batch_count - 1, w->log.batch_count, hopping);
        struct state *loaded = state_log_reload(&w->log, hopping, &w->alloc);
        state_free(hopping);
        hopping = loaded;
        struct hash256 a = state_log_root(w->s);
        struct hash256 b = state_log_root(hopping);
        if (!hash256_equal(&a, &b)) fail_msg("roots differ after batch %u", batch);
    }
    state_free(hopping);
}

/* What falls due is told: applying an empty batch just before it changes no count, at it one does;
 * nothing is due in the end and nothing is left in the rings. */
static void what_falls_due_is_told(void **state)
{
    struct world *w = *state;
    assert_int_equal(state_next_due_ms(w->s), UINT64_MAX);
    int64_t at = (int64_t)START_MS;
    signal_at(w, 1, 3, at);
    signal_at(w, 1, 3, at + 5000 + MINUTE); /* waits for its minute */
    apply(w);
    uint32_t dues = 0;
    while (state_next_due_ms(w->s) != UINT64_MAX) {
        uint64_t due = state_next_due_ms(w->s);
        uint64_t before[COUNT_OF(definitions)];
        assert_true(due > w->log.leader_ms);
        for (size_t d = 0; d < COUNT_OF(definitions); d++) {
            before[d] = state_count_window(w->s, 1, 3, definitions[d].bit);
        }
        w->log.leader_ms = due - 1;
        apply(w);
        check(w, w->s);
        assert_int_equal(state_next_due_ms(w->s), due);
        w->log.leader_ms = due;
        apply(w);
        check(w, w->s);
        bool has_changed = false;
        for (size_t d = 0; d < COUNT_OF(definitions); d++) {
            has_changed |= before[d] != state_count_window(w->s, 1, 3, definitions[d].bit);
        }
        assert_true(has_changed);
        dues++;
    }
    assert_true(dues >= 5); /* one bucket comes, and each window is left */
    assert_int_equal(w->s->windows.parts, 0);
    assert_null(w->s->windows.types[0]->blocks[0].rows); /* idle items cost nothing */
}

/* Leader time far ahead in one step leaves nothing behind; events before 1970 and far ahead of
 * leader time are in no window. */
static void what_is_out_of_reach_is_in_no_window(void **state)
{
    struct world *w = *state;
    signal_at(w, 1, 1, (int64_t)START_MS);
    apply(w);
    state_log_signal(&w->log, 1, "i1", -5, 1.0);
    state_log_signal(&w->log, 1, "i1", TIME_MS_ABS_MAX, 1.0);
    state_log_signal(&w->log, 1, "i1", (int64_t)START_MS + HOUR + 1, 1.0);
    apply(w);
    check(w, w->s);
    assert_int_equal(state_count_all(w->s, 1, 1), 5);
    signal_at(w, 1, 1, (int64_t)START_MS + HOUR); /* as far ahead as is counted */
    apply(w);
    w->log.leader_ms += 2 * (uint64_t)HOUR;
    apply(w);
    check(w, w->s);
    w->log.leader_ms += (uint64_t)(5000 * DAY);
    apply(w);
    check(w, w->s);
    assert_int_equal(w->s->windows.parts, 0);
    assert_int_equal(state_count_window(w->s, 2, 1, WINDOW_30D), 0); /* not declared */
    assert_int_equal(state_count_window(w->s, 1, ITEM_NONE - 1, WINDOW_1H), 0);
}

/* Late events of one item do not grow a bucket each time. */
static void late_events_share_an_entry(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i < 5000; i++) {
        signal_at(w, 1, 5, (int64_t)START_MS - 10 * MINUTE);
        if (i % 500 == 0) apply(w);
    }
    apply(w);
    check(w, w->s);
    uint64_t minute = (START_MS - 10 * (uint64_t)MINUTE) / (uint64_t)MINUTE;
    const struct ring *ring = &w->s->windows.types[0]->rings[RING_MINUTES];
    assert_int_equal(ring->places[minute & ring->mask]->entries, 1);
}

/* An entry whose 31 bits are full is followed by another, and a counter passes 2^32: the blocks are
 * made by hand, since nobody waits for so many events. */
static void counts_pass_the_width_of_an_entry(void **state)
{
    struct world *w = *state;
    enum { ENTRIES = 5 };
    uint8_t bytes[ENTRIES * BUCKET_ENTRY_SIZE];
    struct windows windows;
    windows_init(&windows, &w->alloc);
    assert_true(windows_add_type(&windows, state_type_by_id(w->s, 1)));
    assert_true(windows_advance(&windows, START_MS));
    struct block_id id = {.kind = BLOCK_WINDOW, .number = START_MS / (uint64_t)MINUTE << 19};
    for (uint32_t i = 0; i < ENTRIES; i++) {
        uint32_t is_late = i == ENTRIES - 1 ? 0x80000000u : 0;
        uint32_t item = 2;
        uint32_t count = BUCKET_COUNT_MAX | is_late;
        memcpy(bytes + i * BUCKET_ENTRY_SIZE, &item, sizeof(item));
        memcpy(bytes + i * BUCKET_ENTRY_SIZE + 4, &count, sizeof(count));
    }
    struct err e;
    assert_int_equal(windows_load(&windows, 3, id, slice_of(bytes, sizeof(bytes)), &e), OK);
    uint64_t full = UINT64_C(0x7fffffff) * ENTRIES;
    assert_int_equal(windows_count(&windows, 1, 2, WINDOW_1H), full);
    assert_true(windows_add(&windows, 1, 2, (int64_t)START_MS));
    assert_true(windows_add(&windows, 1, 2, (int64_t)START_MS));
    assert_int_equal(windows_count(&windows, 1, 2, WINDOW_1H), full + 2);
    assert_true(windows_advance(&windows, START_MS + (uint64_t)HOUR + (uint64_t)MINUTE));
    assert_int_equal(windows_count(&windows, 1, 2, WINDOW_1H), 0);
    assert_int_equal(windows_count(&windows, 1, 2, WINDOW_24H), 2);
    windows_fini(&windows);
}

/* Blocks as a disk or a peer might give them. Type 1 declares every window, type 3 only that of
 * days; numbers are made as in windows.h: type - 1, ring, bucket, part. */
static uint64_t block_number(uint32_t type_id, uint32_t ring, uint64_t bucket, uint32_t part)
{
    return (uint64_t)(type_id - 1) << 54 | (uint64_t)ring << 52 | bucket << 19 | part;
}

struct stored {
    uint64_t number;
    uint32_t item;
    uint32_t count; /* with the bit of a late entry */
    size_t size;
};

static void entries_store(uint8_t *bytes, uint32_t entries, uint32_t item, uint32_t count)
{
    for (uint32_t i = 0; i < entries; i++) {
        memcpy(bytes + i * BUCKET_ENTRY_SIZE, &item, sizeof(item));
        memcpy(bytes + i * BUCKET_ENTRY_SIZE + 4, &count, sizeof(count));
    }
}

static void windows_begin(struct world *w, struct windows *windows)
{
    windows_init(windows, &w->alloc);
    for (uint32_t id = 1; id <= TYPES; id++) {
        assert_true(windows_add_type(windows, state_type_by_id(w->s, id)));
    }
    assert_true(windows_advance(windows, START_MS));
}

static void stored_blocks_that_no_window_has_are_refused(void **state)
{
    struct world *w = *state;
    static uint8_t bytes[(BUCKET_PART_ENTRIES + 1) * BUCKET_ENTRY_SIZE];
    enum { ITEM_COUNT = 3 };
    const uint64_t minute = START_MS / (uint64_t)MINUTE;
    const size_t one = BUCKET_ENTRY_SIZE;
    const uint32_t late = 1 | UINT32_C(0x80000000);
    const struct stored rows[] = {
        {block_number(9, 0, minute, 0), 1, 1, one},           /* no such type */
        {block_number(1, 3, minute, 0), 1, 1, one},           /* no such ring */
        {block_number(3, 0, minute, 0), 1, 1, one},           /* its type declares no minutes */
        {block_number(1, 0, minute - 60, 0), 1, late, one},   /* left the hour */
        {block_number(1, 0, minute + 61, 0), 1, late, one},   /* further ahead than is counted */
        {block_number(1, 0, minute, 1), 1, 1, one},           /* the first part is missing */
        {block_number(1, 0, minute, 0), 1, 1, one - 1},       /* half an entry */
        {block_number(1, 0, minute, 0), 1, 1, 0},             /* none */
        {block_number(1, 0, minute, 0), 1, 1, sizeof(bytes)}, /* more than a part holds */
        {block_number(1, 0, minute, 0), ITEM_COUNT, 1, one},  /* no such item */
        {block_number(1, 0, minute, 0), 1, 0, one},           /* counts nothing */
        {block_number(1, 0, minute + 1, 0), 1, 1, one},       /* on time before its time */
        {block_number(1, 0, minute, 0), 1, 1, 2 * one},       /* two entries of one item */
        {block_number(1, 0, minute, 0), 1, late, 2 * one},    /* two late ones */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct windows windows;
        struct err e;
        windows_begin(w, &windows);
        entries_store(bytes, BUCKET_PART_ENTRIES + 1, rows[i].item, rows[i].count);
        struct block_id id = {.kind = BLOCK_WINDOW, .number = rows[i].number};
        struct slice stored = slice_of(bytes, rows[i].size);
        enum code code = windows_load(&windows, ITEM_COUNT, id, stored, &e);
        if (code != E_CORRUPT) fail_msg("row %zu is taken", i);
        windows_fini(&windows);
    }
}

/* Behind a part that has room comes no other. */
static void a_part_follows_only_a_full_one(void **state)
{
    struct world *w = *state;
    uint8_t bytes[BUCKET_ENTRY_SIZE];
    struct windows windows;
    struct err e;
    windows_begin(w, &windows);
    entries_store(bytes, 1, 1, 5);
    struct block_id id = {.kind = BLOCK_WINDOW,
                          .number = block_number(1, 0, START_MS / (uint64_t)MINUTE, 0)};
    assert_int_equal(windows_load(&windows, 3, id, slice_of(bytes, sizeof(bytes)), &e), OK);
    id.number++;
    assert_int_equal(windows_load(&windows, 3, id, slice_of(bytes, sizeof(bytes)), &e), E_CORRUPT);
    assert_non_null(strstr(e.text, "not full"));
    windows_fini(&windows);
}

/* More events in the last hour than 32 bits count, and their way out of a window: of the hour and
 * the day, which scans read, and of the week, which lies in rows. Every allocation may fail. */
static bool load_and_pass(struct world *w, struct windows *windows, bool is_frozen_between)
{
    enum { ENTRIES = 5 };
    uint8_t bytes[ENTRIES * BUCKET_ENTRY_SIZE];
    struct err e;
    struct block_id id = {.kind = BLOCK_WINDOW};
    const uint64_t full = (uint64_t)BUCKET_COUNT_MAX * ENTRIES;
    windows_init(windows, &w->alloc);
    if (!windows_add_type(windows, state_type_by_id(w->s, 1))) return false;
    if (!windows_advance(windows, START_MS)) return false;
    entries_store(bytes, ENTRIES, 2, BUCKET_COUNT_MAX);
    id.number = block_number(1, RING_HOURS, START_MS / (uint64_t)HOUR, 0);
    if (windows_load(windows, 3, id, slice_of(bytes, sizeof(bytes)), &e) != OK) {
        assert_int_equal(e.code, E_NOMEMORY);
        return false;
    }
    assert_int_equal(windows_count(windows, 1, 2, WINDOW_7D), full);
    assert_int_equal(windows_count(windows, 1, 2, WINDOW_24H), full);
    assert_int_equal(windows_count(windows, 1, 1, WINDOW_7D), 0);
    if (!windows_advance(windows, START_MS + 2 * (uint64_t)HOUR)) return false;
    for (uint32_t i = 0; i < 3; i++) {
        if (!windows_add(windows, 1, 2, (int64_t)windows->leader_ms)) return false;
    }
    assert_int_equal(windows_count(windows, 1, 2, WINDOW_7D), full + 3);
    struct windows frozen;
    windows_init(&frozen, &w->alloc);
    bool is_done = !is_frozen_between || windows_freeze(&frozen, windows);
    is_done = is_done && windows_advance(windows, START_MS + 25 * (uint64_t)HOUR);
    if (is_done) {
        assert_int_equal(windows_count(windows, 1, 2, WINDOW_24H), 3);
        assert_int_equal(windows_count(windows, 1, 2, WINDOW_7D), full + 3);
    }
    if (is_done && is_frozen_between) {
        assert_int_equal(windows_count(&frozen, 1, 2, WINDOW_24H), full + 3);
    }
    windows_fini(&frozen);
    is_done = is_done && windows_advance(windows, START_MS + (uint64_t)(7 * DAY + HOUR));
    if (is_done) assert_int_equal(windows_count(windows, 1, 2, WINDOW_7D), 3);
    return is_done;
}

static void counters_pass_32_bits_or_say_that_memory_is_refused(void **state)
{
    struct world *w = *state;
    for (int frozen = 0; frozen < 2; frozen++) {
        bool is_done = false;
        int64_t refused = 0;
        for (; !is_done; refused++) {
            struct windows windows;
            atomic_store(&w->alloc.fail_countdown, refused + 1);
            is_done = load_and_pass(w, &windows, frozen != 0);
            atomic_store(&w->alloc.fail_countdown, -1);
            windows_fini(&windows);
        }
        assert_true(refused > 10);
    }
}

/* The bound that the gate asks for holds whatever the events are. */
static void growth_stays_below_its_bound(void **state)
{
    struct world *w = *state;
    struct state_version *pinned = NULL;
    for (uint32_t batch = 0; batch < 200; batch++) {
        uint32_t events = 1 + (uint32_t)random_below(&w->random, batch % 10 == 0 ? 3000 : 5);
        for (uint32_t i = 0; i < events && w->event_count < EVENTS_MAX; i++) {
            signal_at(w, 1 + i % TYPES, (uint32_t)random_below(&w->random, ITEMS),
                      draw_time(w, batch % 2));
        }
        uint64_t growth = windows_growth_max(&w->s->windows, events, 1);
        uint64_t before = state_bytes(w->s);
        apply(w);
        uint64_t after = state_bytes(w->s);
        uint64_t other = 4 * UINT64_C(400000); /* sums and counts that the batch made or copied */
        if (after > before) assert_true(after - before <= growth + other);
        if (batch % 3 == 0) {
            state_version_free(pinned);
            pinned = state_pin(w->s);
        }
        move_leader(w, 1);
    }
    state_version_free(pinned);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
        TEST(counts_are_those_of_the_definition),
        TEST(checkpoints_do_not_show),
        TEST(what_falls_due_is_told),
        TEST(what_is_out_of_reach_is_in_no_window),
        TEST(late_events_share_an_entry),
        TEST(counts_pass_the_width_of_an_entry),
        TEST(stored_blocks_that_no_window_has_are_refused),
        TEST(a_part_follows_only_a_full_one),
        TEST(counters_pass_32_bits_or_say_that_memory_is_refused),
        TEST(growth_stays_below_its_bound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
