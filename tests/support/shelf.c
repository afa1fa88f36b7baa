/* shelf: see shelf.h. */
#include "support/shelf.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "core/state/inside.h"

#define START_MS INT64_C(1700000000000)

static void must(bool is_true)
{
    ASSERT(is_true);
}

static void declare(struct shelf *s, uint32_t id, const char *name, uint8_t kind)
{
    struct record r = {
        .kind = RECORD_SCHEMA,
        .as.schema = {
            .subject = SCHEMA_FIELD, .id = id, .name = slice_of_text(name), .field_kind = kind}};
    state_log_record(&s->log, &r);
}

static void declare_type(struct shelf *s, uint32_t id, const char *name, uint8_t polarity)
{
    struct record r = state_log_type_record(id, name, 3600000);
    r.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_ALL;
    r.as.schema.polarity = polarity;
    state_log_record(&s->log, &r);
}

static void put(struct shelf *s, uint32_t item, const char *name, const struct put_field *value)
{
    must(field_index_put(&s->state->fields, item, slice_of_text(name), value));
}

static void put_topics(struct shelf *s, uint32_t item, uint8_t topics)
{
    uint8_t room[64];
    struct bytes_writer w = bytes_writer_of(room, sizeof(room));
    struct put_field value = {.tag = PUT_TAGS};
    for (uint32_t i = 0; i < SHELF_TOPICS; i++) {
        char name[4] = {'t', (char)('0' + i), 0, 0};
        if ((topics >> i & 1) == 0) continue;
        bytes_write_slice8(&w, slice_of_text(name));
        value.tag_count++;
    }
    value.tags = bytes_reader_of(bytes_written_slice(&w));
    if (value.tag_count > 0) put(s, item, "topic", &value);
}

static void item_fill(struct shelf *s, uint32_t item, struct random *random)
{
    struct shelf_item *it = &s->items[item];
    it->topics = (uint8_t)(random_next(random) & random_next(random) & ((1u << SHELF_TOPICS) - 1));
    put_topics(s, item, it->topics);
    it->has_year = random_below(random, 4) > 0;
    it->year = (double)random_below(random, 8) + (random_below(random, 2) == 0 ? 0.5 : 2000.0);
    struct put_field year = {.tag = PUT_REAL, .real = it->year};
    if (it->has_year) put(s, item, "year", &year);
    it->nsfw = (int)random_below(random, 3) - 1;
    struct put_field nsfw = {.tag = PUT_BOOL, .integer = it->nsfw};
    if (it->nsfw >= 0) put(s, item, "nsfw", &nsfw);
    it->has_seen = random_below(random, 2) == 0;
    it->seen_ms = START_MS + (int64_t)random_below(random, 6) - 3;
    struct put_field seen = {.tag = PUT_INT, .integer = it->seen_ms};
    if (it->has_seen) put(s, item, "seen", &seen);
    it->creator = (int)random_below(random, SHELF_CREATORS + 1) - 1;
    uint32_t creator = it->creator < 0 ? FIELD_CREATOR_NONE : (uint32_t)it->creator;
    must(field_index_set_creator(&s->state->fields, item, creator));
    it->is_deleted = random_below(random, 16) == 0;
    if (it->is_deleted) must(field_index_set_deleted(&s->state->fields, item, true));
}

void shelf_init(struct shelf *s, uint32_t count, uint64_t seed)
{
    *s = (struct shelf){.count = count};
    alloc_init(&s->alloc, 0);
    state_log_init(&s->log, (uint64_t)START_MS);
    s->state = state_log_state(&s->log, &s->alloc);
    s->items = calloc(count, sizeof(*s->items));
    struct random random;
    random_init(&random, seed);
    declare_type(s, 1, "view", POLARITY_POSITIVE);
    declare_type(s, 2, "skip", POLARITY_NEGATIVE);
    declare(s, 1, "topic", SCHEMA_FIELD_TAG);
    declare(s, 2, "year", SCHEMA_FIELD_NUM);
    declare(s, 3, "nsfw", SCHEMA_FIELD_NUM);
    declare(s, 4, "seen", SCHEMA_FIELD_TIME);
    declare(s, 5, "body", SCHEMA_FIELD_TEXT);
    for (uint32_t i = 0; i < count; i++) {
        char key[16];
        must(snprintf(key, sizeof(key), "i%u", i) > 0);
        s->items[i].created_ms = START_MS - (int64_t)random_below(&random, 4);
        state_log_signal(&s->log, 1, key, s->items[i].created_ms, 1.0);
        for (uint64_t more = random_below(&random, 6); more > 0; more--) {
            state_log_signal(&s->log, random_below(&random, 4) == 0 ? 2 : 1, key,
                             START_MS - (int64_t)random_below(&random, 1800000),
                             (double)random_below(&random, 9) - 2.0);
        }
        if (i % 4096 == 4095) state_log_seal(&s->log);
    }
    state_log_seal(&s->log);
    state_log_apply(&s->log, 0, s->log.batch_count, s->state);
    for (uint32_t i = 0; i < SHELF_CREATORS; i++) {
        char key[4] = {'c', (char)('0' + i), 0, 0};
        int64_t created_ms = START_MS;
        struct keys *creators = &s->state->creators;
        struct slice bytes = slice_of_text(key);
        must(keys_add(creators, bytes, keys_hash(creators, bytes), &created_ms) == i);
    }
    for (uint32_t i = 0; i < count; i++) {
        item_fill(s, i, &random);
    }
}

void shelf_fini(struct shelf *s)
{
    state_free(s->state);
    state_log_fini(&s->log);
    free(s->items);
    ASSERT(atomic_load(&s->alloc.used_bytes) == 0);
}

void shelf_ask(const struct shelf *s, const struct filter *f, bool *out)
{
    struct field_mask mask;
    enum filter_answer answer = FILTER_NONE;
    for (uint32_t item = 0; item < s->count; item++) {
        uint32_t entry = item % BLOCK_ENTRIES;
        if (entry == 0) answer = filter_block(f, s->state, item / BLOCK_ENTRIES, &mask);
        out[item] = answer == FILTER_ALL || (answer == FILTER_SOME && field_mask_has(&mask, entry));
    }
}
