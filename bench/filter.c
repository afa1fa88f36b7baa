/* filter: what conditions of WHERE cost over a million items, and pages with them.
 *
 *   bench_filter [items]
 *
 * Items have a topic of ten, every fourth one two more, a tag of their own, a year, a time and one
 * of a thousand creators. One thread, processor time, the best of nine. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/random.h"
#include "core/query/expr.h"
#include "core/query/profile.h"
#include "core/state/inside.h"
#include "support/state_log.h"

enum { BATCH_ENTRIES = 256, ROUNDS = 9, PAGE = 50, CREATORS = 1000 };

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static void must(bool is_true)
{
    if (!is_true) abort();
}

static void schema_make(struct state_log *l)
{
    static const char *const names[] = {"topic", "slug", "year", "seen"};
    static const uint8_t kinds[] = {SCHEMA_FIELD_TAG, SCHEMA_FIELD_TAG, SCHEMA_FIELD_NUM,
                                    SCHEMA_FIELD_TIME};
    state_log_type(l, 1, "view", UINT64_C(604800000));
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        struct record r = {.kind = RECORD_SCHEMA,
                           .as.schema = {.subject = SCHEMA_FIELD,
                                         .id = i + 1,
                                         .name = slice_of_text(names[i]),
                                         .field_kind = kinds[i]}};
        state_log_record(l, &r);
    }
    state_log_seal(l);
}

static void events_make(struct state_log *l, uint32_t items, struct random *r)
{
    static struct signal_entry entries[BATCH_ENTRIES];
    static char keys[BATCH_ENTRIES][24];
    for (uint32_t made = 0; made < items;) {
        uint32_t count = 0;
        for (; count < BATCH_ENTRIES && made < items; count++, made++) {
            int size = snprintf(keys[count], sizeof(keys[count]), "item-%u", made);
            entries[count] =
                (struct signal_entry){.type_id = 1,
                                      .item = slice_of(keys[count], (size_t)size),
                                      .time_ms = (int64_t)(l->leader_ms - random_below(r, 100000)),
                                      .weight = 1.0 + (double)random_below(r, 100)};
        }
        state_log_entries(l, NULL, entries, count);
        state_log_seal(l);
        l->leader_ms += 100;
    }
}

static void topics_put(struct field_index *ix, uint32_t item, struct random *r)
{
    uint8_t room[64];
    struct bytes_writer w = bytes_writer_of(room, sizeof(room));
    struct put_field tags = {.tag = PUT_TAGS, .tag_count = random_below(r, 4) == 0 ? 3 : 1};
    for (uint32_t i = 0; i < tags.tag_count; i++) {
        char topic[2] = {(char)('a' + random_below(r, 10)), 0};
        bytes_write_slice8(&w, slice_of_text(topic));
    }
    tags.tags = bytes_reader_of(bytes_written_slice(&w));
    must(field_index_put(ix, item, slice_of_text("topic"), &tags));
}

static void fields_make(struct state *s, struct random *r)
{
    for (uint32_t i = 0; i < CREATORS; i++) {
        char key[24];
        struct slice bytes = slice_of(key, (size_t)snprintf(key, sizeof(key), "creator-%u", i));
        int64_t created_ms = 0;
        must(keys_add(&s->creators, bytes, keys_hash(&s->creators, bytes), &created_ms) == i);
    }
    uint64_t before = atomic_load(&s->alloc->used_bytes);
    uint64_t start = now_ns();
    for (uint32_t item = 0; item < s->items.count; item++) {
        char slug[24];
        int size = snprintf(slug, sizeof(slug), "slug-%u", item);
        struct put_field text = {.tag = PUT_TEXT, .text = slice_of(slug, (size_t)size)};
        struct put_field year = {.tag = PUT_INT, .integer = 1990 + (int64_t)random_below(r, 35)};
        struct put_field seen = {.tag = PUT_INT, .integer = (int64_t)random_below(r, 1000000)};
        topics_put(&s->fields, item, r);
        must(field_index_put(&s->fields, item, slice_of_text("slug"), &text));
        must(field_index_put(&s->fields, item, slice_of_text("year"), &year));
        must(field_index_put(&s->fields, item, slice_of_text("seen"), &seen));
        must(field_index_set_creator(&s->fields, item, (uint32_t)random_below(r, CREATORS)));
    }
    uint64_t bytes = atomic_load(&s->alloc->used_bytes) + field_index_map_bytes(&s->fields);
    double items = (double)s->items.count;
    printf("fill: %.0f ns and %.1f bytes an item of 5 fields\n", (double)(now_ns() - start) / items,
           (double)(bytes - before) / items);
}

static void filter_measure(const struct state *s, const char *text)
{
    static struct filter f;
    struct err e;
    if (expr_compile(slice_of_text(text), s, &f, &e) != OK) {
        printf("%s: %s\n", text, e.text);
        abort();
    }
    uint32_t blocks = keys_block_count(&s->items);
    uint64_t best = UINT64_MAX;
    uint64_t passed = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        passed = 0;
        for (uint32_t block = 0; block < blocks; block++) {
            struct field_mask mask;
            if (filter_block(&f, s, block, &mask) != FILTER_SOME) continue;
            for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) {
                passed += (uint64_t)__builtin_popcountll(mask.words[w]);
            }
        }
        uint64_t took = now_ns() - start;
        if (took < best) best = took;
    }
    printf("filter %7.1f us, %5.2f us a block, passes %7llu: %s\n", (double)best / 1e3,
           (double)best / 1e3 / blocks, (unsigned long long)passed, text);
}

static void page_measure(const struct state *s, struct alloc *alloc, const char *name,
                         const char *text)
{
    static struct retrieve_row rows[PAGE];
    static struct filter f;
    struct err e;
    struct profile profile;
    must(profile_find(s, slice_of_text(name), &profile, &e) == OK);
    must(text == NULL || expr_compile(slice_of_text(text), s, &f, &e) == OK);
    struct retrieve_request request = {.order = profile.order,
                                       .type_id = profile.type_id,
                                       .limit = PAGE,
                                       .filter = text == NULL ? NULL : &f,
                                       .now_ms = INT64_C(1700000000000)};
    uint64_t best = UINT64_MAX;
    uint32_t count = 0;
    for (int i = 0; i < ROUNDS; i++) {
        uint64_t start = now_ns();
        must(retrieve_run(s, alloc, &request, rows, &count, &e) == OK);
        uint64_t took = now_ns() - start;
        if (took < best) best = took;
    }
    printf("top %u of %-13s %8.1f us: %s\n", count, name, (double)best / 1e3,
           text == NULL ? "no filter" : text);
}

int main(int argc, char **argv)
{
    static const char *const texts[] = {
        "topic = 'a'",
        "topic in ('a','b')",
        "topic in ('a','b','c','d','e','f')",
        "slug = 'slug-77'",
        "year >= 2020",
        "year in (1990,1995,2000,2005,2010)",
        "seen < 10",
        "creator = 'creator-7'",
        "created_at > 1699999999999",
        "creator = 'creator-7' and topic in ('a','b') and year >= 2000 and not topic = 'c'",
    };
    uint32_t items = argc > 1 ? (uint32_t)strtoul(argv[1], NULL, 10) : 1000000;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct state_log log;
    state_log_init(&log, 1700000000000);
    struct state *s = state_log_state(&log, &alloc);
    struct random r;
    random_init(&r, 1);
    schema_make(&log);
    events_make(&log, items, &r);
    state_log_apply(&log, 0, log.batch_count, s);
    fields_make(s, &r);
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        filter_measure(s, texts[i]);
    }
    static const char *const names[] = {"decayed:view", "top", "new"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        page_measure(s, &alloc, names[i], NULL);
        page_measure(s, &alloc, names[i], texts[0]);
        page_measure(s, &alloc, names[i], "seen < 10");
        page_measure(s, &alloc, names[i], texts[COUNT_OF(texts) - 1]);
    }
    state_free(s);
    state_log_fini(&log);
    return 0;
}
