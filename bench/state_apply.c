/* state_apply: what applying, hashing, pinning and asking cost per unit, over a million items.
 *
 *   bench_state_apply [items] [entries]
 *
 * Keys have 8 to 16 bytes and items are drawn uniformly, the worst case for caches; batches of 512
 * records of one entry are the shape that single SIGNAL commands give, records of 256 entries the
 * shape of imports. One thread. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "base/random.h"
#include "core/query/retrieve.h"
#include "support/state_log.h"

enum { BATCH_RECORDS = 512, ENTRIES_PER_RECORD_MANY = 256 };

/* Processor time of this process, so that others on the machine disturb little. */
static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

struct load {
    uint32_t items;
    uint32_t entries;
    uint32_t entries_per_record;
    bool has_keys;
    uint32_t type_id;
    uint32_t users; /* each entry names one of so many; 0: none */
    struct random random;
};

/* A key of 8 to 16 bytes that looks like an id. */
static struct slice key_of(uint64_t item, char out[24])
{
    int size = snprintf(out, 24, "%08llx", (unsigned long long)(hash64_mix(item) & 0xffffffffu));
    size += snprintf(out + size, 24 - (size_t)size, "%llu", (unsigned long long)item);
    return slice_of(out, size > 16 ? 16 : (size_t)size);
}

static void batch_make(struct state_log *l, struct load *load)
{
    static struct signal_entry entries[ENTRIES_PER_RECORD_MANY];
    static char keys[ENTRIES_PER_RECORD_MANY][24];
    static char users[ENTRIES_PER_RECORD_MANY][24];
    uint32_t records = BATCH_RECORDS / load->entries_per_record;
    if (records == 0) records = 1;
    for (uint32_t r = 0; r < records; r++) {
        for (uint32_t i = 0; i < load->entries_per_record; i++) {
            uint64_t item = random_below(&load->random, load->items);
            entries[i] = (struct signal_entry){
                .type_id = load->type_id,
                .item = key_of(item, keys[i]),
                .time_ms = (int64_t)(l->leader_ms - random_below(&load->random, 100000)),
                .weight = 1.0};
            if (load->users > 0) {
                entries[i].flags = SIGNAL_HAS_USER;
                entries[i].user = key_of(random_below(&load->random, load->users), users[i]);
            }
            if (!load->has_keys) continue;
            entries[i].flags |= SIGNAL_HAS_KEY;
            store_u64(entries[i].key.bytes, random_next(&load->random));
            store_u64(entries[i].key.bytes + 8, random_next(&load->random));
        }
        state_log_entries(l, NULL, entries, load->entries_per_record);
    }
    l->leader_ms += 100;
    state_log_seal(l);
}

/* Make the batches first, then time applying them alone. */
static void measure_apply(const char *name, struct state_log *l, struct state *s, struct load *load)
{
    size_t first = l->batch_count;
    for (uint64_t made = 0; made < load->entries; made += BATCH_RECORDS) {
        batch_make(l, load);
    }
    uint64_t start = now_ns();
    state_log_apply(l, first, l->batch_count, s);
    double ns = (double)(now_ns() - start) / (double)load->entries;
    printf("apply %-34s %7.1f ns/entry  %5.2f M/s\n", name, ns, 1e3 / ns);
}

/* What a type's signals take beside items that are known: bytes per item that has any. */
static void measure_memory(const char *name, struct state_log *l, struct state *s,
                           struct load *load)
{
    uint64_t before = state_bytes(s);
    measure_apply(name, l, s, load);
    uint64_t live = 0;
    for (uint32_t i = 0; i < state_item_count(s); i++) {
        live += state_count_all(s, load->type_id, i) > 0;
    }
    printf("memory of %s: %.1f bytes per live (item, signal) with windows 1h, 24h, 7d\n", name,
           (double)(state_bytes(s) - before) / (double)live);
}

static void measure_version(struct state *s, const char *when)
{
    uint64_t start = now_ns();
    struct state_version *v = state_pin(s);
    uint64_t pinned = now_ns();
    uint8_t *scratch = malloc(state_version_block_size_max(v));
    uint64_t size = 0;
    for (uint32_t i = 0; i < state_version_block_count(v); i++) {
        size += state_version_block_size(v, i);
    }
    struct hash256 root;
    uint64_t before = now_ns();
    if (!state_version_root(v, scratch, &root)) abort();
    uint64_t hashed = now_ns();
    printf("pin %s: %u blocks, %.1f MiB, %.1f us; root %.2f ms (%.2f GB/s)\n", when,
           state_version_block_count(v), (double)size / 1048576.0, (double)(pinned - start) / 1e3,
           (double)(hashed - before) / 1e6, (double)size / (double)(hashed - before));
    free(scratch);
    state_version_free(v);
}

static void measure_retrieve(struct state *s, struct alloc *alloc, enum retrieve_order order,
                             uint32_t limit)
{
    struct retrieve_request request = {
        .order = order, .type_id = 1, .limit = limit, .now_ms = 1700000000000};
    static struct retrieve_row rows[RETRIEVE_LIMIT_MAX];
    uint64_t best = UINT64_MAX;
    uint32_t count = 0;
    for (int i = 0; i < 9; i++) {
        struct err e;
        uint64_t start = now_ns();
        if (retrieve_run(s, alloc, &request, rows, &count, &e) != OK) abort();
        uint64_t took = now_ns() - start;
        if (took < best) best = took;
    }
    printf("retrieve %s limit %u: %u rows, %.1f us\n",
           order == RETRIEVE_DECAYED ? "decayed" : "top", limit, count, (double)best / 1e3);
}

int main(int argc, char **argv)
{
    uint32_t items = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    uint32_t entries = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : 4000000;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct state_log log;
    state_log_init(&log, 1700000000000);
    struct state *s = state_log_state(&log, &alloc);
    struct record type = state_log_type_record(1, "view", UINT64_C(7) * 24 * 3600 * 1000);
    type.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL;
    state_log_record(&log, &type);
    type.as.schema.id = 2;
    type.as.schema.name = slice_of_text("click");
    state_log_record(&log, &type);
    type.as.schema.id = 3;
    type.as.schema.name = slice_of_text("like");
    type.as.schema.mode = SIGNAL_MODE_ONCE;
    state_log_record(&log, &type);
    state_log_seal(&log);
    state_log_apply(&log, 0, 1, s);

    struct load load = {.items = items, .entries = entries, .entries_per_record = 1, .type_id = 1};
    random_init(&load.random, 1);
    measure_apply("new and known items, 1 per record", &log, s, &load);
    measure_apply("known items, 1 per record", &log, s, &load);
    load.entries_per_record = ENTRIES_PER_RECORD_MANY;
    measure_apply("known items, 256 per record", &log, s, &load);
    measure_version(s, "all dirty");
    measure_version(s, "clean");
    struct state_version *v = state_pin(s);
    load.entries_per_record = 1;
    measure_apply("known items, a version pinned", &log, s, &load);
    state_version_free(v);
    load.type_id = 2;
    measure_memory("a second type", &log, s, &load);
    load.type_id = 3;
    load.users = items / 8 + 1;
    measure_memory("a type that counts users once", &log, s, &load);
    load.type_id = 1;
    load.users = 0;
    load.has_keys = true;
    load.entries /= 4;
    measure_apply("with idempotency keys", &log, s, &load);

    uint64_t keys = 0;
    for (uint32_t i = 0; i < state_item_count(s); i++) {
        keys += state_item_key(s, i).size;
    }
    printf("%u items, %.1f bytes of key each; state %.1f MiB\n", state_item_count(s),
           (double)keys / state_item_count(s), (double)state_bytes(s) / 1048576.0);
    measure_retrieve(s, &alloc, RETRIEVE_DECAYED, 10);
    measure_retrieve(s, &alloc, RETRIEVE_DECAYED, 1000);
    measure_retrieve(s, &alloc, RETRIEVE_TOP, 10);
    state_free(s);
    state_log_fini(&log);
    return 0;
}
