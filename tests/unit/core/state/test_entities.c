/* Tests of core/state/entities: fields against a naive model, one form for one content, limits,
 * loading of hostile bytes. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/random.h"
#include "core/state/entities.h"

static struct alloc alloc;

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    return 0;
}

static int end(void **state)
{
    (void)state;
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

static struct entities entities_make(void)
{
    struct entities e;
    entities_init(&e, &alloc, BLOCK_ITEM_FIELDS);
    return e;
}

/* A field list under construction. */
struct list {
    uint8_t bytes[128 * 1024];
    uint32_t count;
    struct bytes_writer w;
};

static void list_begin(struct list *l)
{
    l->count = 0;
    l->w = bytes_writer_of(l->bytes + 2, sizeof(l->bytes) - 2);
}

static void list_text(struct list *l, const char *name, struct slice text)
{
    struct put_field field = {.name = slice_of_text(name), .tag = PUT_TEXT, .text = text};
    put_field_write(&l->w, &field);
    l->count++;
}

static void list_unset(struct list *l, const char *name)
{
    struct put_field field = {.name = slice_of_text(name), .tag = PUT_UNSET};
    put_field_write(&l->w, &field);
    l->count++;
}

/* The list with its count, which takes one byte or two. */
static struct slice list_end(struct list *l)
{
    assert_false(l->w.is_failed);
    size_t head = varint_size(l->count);
    uint8_t *start = l->bytes + 2 - head;
    struct bytes_writer w = bytes_writer_of(start, head);
    bytes_write_varint(&w, l->count);
    return slice_of(start, head + bytes_written(&l->w));
}

static enum code put_text(struct entities *e, uint32_t index, const char *name, const char *text)
{
    static struct list list;
    list_begin(&list);
    list_text(&list, name, slice_of_text(text));
    struct entity_change change = {.creator = ENTITY_NONE, .fields = list_end(&list)};
    return entities_change(e, index, &change, NULL);
}

static enum code unset(struct entities *e, uint32_t index, const char *name)
{
    static struct list list;
    list_begin(&list);
    list_unset(&list, name);
    struct entity_change change = {.creator = ENTITY_NONE, .fields = list_end(&list)};
    return entities_change(e, index, &change, NULL);
}

static void assert_text(const struct entities *e, uint32_t index, const char *name,
                        const char *wanted)
{
    struct put_field field;
    bool is_there = entities_field(e, index, slice_of_text(name), &field);
    assert_int_equal(is_there, wanted != NULL);
    if (wanted == NULL) return;
    assert_int_equal(field.tag, PUT_TEXT);
    assert_true(slice_equal(field.text, slice_of_text(wanted)));
    assert_true(slice_equal(field.name, slice_of_text(name)));
}

/* Do both hold the same blocks, byte for byte? */
static void assert_same_blocks(const struct entities *a, const struct entities *b)
{
    uint32_t capacity = entities_block_capacity(a);
    if (entities_block_capacity(b) > capacity) capacity = entities_block_capacity(b);
    assert_int_equal(a->block_count, b->block_count);
    assert_int_equal(a->deleted_count, b->deleted_count);
    for (uint32_t i = 0; i < capacity; i++) {
        const struct block *x = block_list_get(&a->blocks, i);
        const struct block *y = block_list_get(&b->blocks, i);
        assert_int_equal(x == NULL, y == NULL);
        if (x == NULL || y == NULL) continue;
        assert_int_equal(block_size(x), block_size(y));
        uint8_t *p = malloc(block_size(x));
        uint8_t *q = malloc(block_size(y));
        block_encode(x, p);
        block_encode(y, q);
        assert_memory_equal(p, q, block_size(x));
        free(p);
        free(q);
    }
}

/* Every block saved and loaded; the caller ends the copy. */
static struct entities reload(const struct entities *e, struct entity_bounds bounds)
{
    struct entities copy = entities_make();
    for (uint32_t i = 0; i < entities_block_capacity(e); i++) {
        const struct block *b = block_list_get(&e->blocks, i);
        if (b == NULL) continue;
        uint8_t *bytes = malloc(block_size(b));
        block_encode(b, bytes);
        struct err err;
        assert_int_equal(entities_load(&copy, bounds, b->id, slice_of(bytes, block_size(b)), &err),
                         OK);
        free(bytes);
    }
    return copy;
}

static void fields_come_back_as_they_were_put(void **state)
{
    (void)state;
    static struct list list;
    struct entities e = entities_make();
    list_begin(&list);
    struct put_field integer = {.name = slice_of_text("a"), .tag = PUT_INT, .integer = -5};
    struct put_field real = {.name = slice_of_text("b"), .tag = PUT_REAL, .real = 0.1};
    struct put_field is = {.name = slice_of_text("c"), .tag = PUT_BOOL, .integer = 1};
    static const uint8_t tag_bytes[] = {1, 'x', 2, 'y', 'z'};
    struct put_field tags = {.name = slice_of_text("d"),
                             .tag = PUT_TAGS,
                             .tag_count = 2,
                             .tags = bytes_reader_of(slice_of(tag_bytes, sizeof(tag_bytes)))};
    put_field_write(&list.w, &integer);
    put_field_write(&list.w, &real);
    put_field_write(&list.w, &is);
    put_field_write(&list.w, &tags);
    list.count = 4;
    list_text(&list, "e", slice_of_text(""));
    struct entity_change change = {.creator = 7, .fields = list_end(&list)};
    assert_int_equal(entities_change(&e, 1000, &change, NULL), OK);
    struct entity got = entities_get(&e, 1000);
    assert_int_equal(got.flags, ENTITY_HAS_CREATOR);
    assert_int_equal(got.creator, 7);
    assert_int_equal(got.field_count, 5);
    struct put_field field;
    assert_true(entities_field(&e, 1000, slice_of_text("a"), &field));
    assert_int_equal(field.integer, -5);
    assert_true(entities_field(&e, 1000, slice_of_text("b"), &field));
    assert_same_double(field.real, 0.1);
    assert_true(entities_field(&e, 1000, slice_of_text("c"), &field));
    assert_int_equal(field.tag, PUT_BOOL);
    assert_int_equal(field.integer, 1);
    assert_true(entities_field(&e, 1000, slice_of_text("d"), &field));
    assert_int_equal(field.tag_count, 2);
    assert_true(slice_equal(bytes_read_slice8(&field.tags), slice_of_text("x")));
    assert_true(slice_equal(bytes_read_slice8(&field.tags), slice_of_text("yz")));
    assert_text(&e, 1000, "e", "");
    assert_text(&e, 1000, "f", NULL);
    assert_text(&e, 1000, "", NULL);
    assert_text(&e, 999, "a", NULL);
    assert_text(&e, 1000000, "a", NULL);
    assert_int_equal(entities_get(&e, 1000000).creator, ENTITY_NONE);
    entities_fini(&e);
}

/* The same content put in any order, in one go or in parts, over other content: the same bytes. */
static void one_content_has_one_form(void **state)
{
    (void)state;
    struct entities a = entities_make();
    struct entities b = entities_make();
    static struct list list;
    list_begin(&list);
    list_text(&list, "a", slice_of_text("1"));
    list_text(&list, "aa", slice_of_text("2"));
    list_text(&list, "b", slice_of_text("3"));
    struct entity_change change = {.creator = 1, .fields = list_end(&list)};
    assert_int_equal(entities_change(&a, 5, &change, NULL), OK);
    assert_int_equal(put_text(&b, 5, "b", "3"), OK);
    assert_int_equal(put_text(&b, 4, "gone", "later"), OK);
    assert_int_equal(put_text(&b, 5, "a", "other, and longer"), OK);
    assert_int_equal(put_text(&b, 5, "z", "other"), OK);
    struct entity_change creator = {.creator = 1};
    assert_int_equal(entities_change(&b, 5, &creator, NULL), OK);
    assert_int_equal(put_text(&b, 5, "aa", "2"), OK);
    assert_int_equal(unset(&b, 5, "z"), OK);
    assert_int_equal(unset(&b, 5, "never"), OK);
    assert_int_equal(put_text(&b, 5, "a", "1"), OK);
    assert_int_equal(unset(&b, 4, "gone"), OK);
    assert_same_blocks(&a, &b);
    entities_fini(&a);
    entities_fini(&b);
}

/* A block in which nothing is left is no block. */
static void a_block_lives_as_long_as_something_is_in_it(void **state)
{
    (void)state;
    struct entities e = entities_make();
    assert_int_equal(unset(&e, 3, "a"), OK);
    assert_int_equal(e.block_count, 0);
    assert_int_equal(put_text(&e, 3, "a", "x"), OK);
    assert_int_equal(put_text(&e, 127, "a", "x"), OK);
    assert_int_equal(put_text(&e, 128, "a", "x"), OK);
    assert_int_equal(e.block_count, 2);
    assert_int_equal(unset(&e, 127, "a"), OK);
    assert_int_equal(unset(&e, 128, "a"), OK);
    assert_int_equal(e.block_count, 1);
    assert_int_equal(unset(&e, 3, "a"), OK);
    assert_int_equal(e.block_count, 0);
    assert_int_equal(e.memory_bytes, 0);
    entities_fini(&e);
}

static void a_tombstone_has_nothing_but_its_flag(void **state)
{
    (void)state;
    struct entities e = entities_make();
    struct entity_change creator = {.creator = 9};
    assert_int_equal(entities_change(&e, 2, &creator, NULL), OK);
    assert_int_equal(put_text(&e, 2, "a", "x"), OK);
    assert_false(entities_is_deleted(&e, 2));
    assert_true(entities_delete(&e, 2));
    assert_true(entities_is_deleted(&e, 2));
    assert_false(entities_is_deleted(&e, 1));
    assert_int_equal(e.deleted_count, 1);
    assert_true(entities_delete(&e, 2));
    assert_int_equal(e.deleted_count, 1);
    assert_text(&e, 2, "a", NULL);
    assert_int_equal(entities_get(&e, 2).creator, ENTITY_NONE);
    struct entity_change fresh = {.is_fresh = true, .creator = ENTITY_NONE};
    assert_int_equal(entities_change(&e, 2, &fresh, NULL), OK);
    assert_int_equal(e.deleted_count, 0);
    assert_false(entities_is_deleted(&e, 2));
    assert_int_equal(e.block_count, 0);
    entities_fini(&e);
}

/* At the limit it works; one more field or byte is refused and changes nothing. */
static void limits_are_exact(void **state)
{
    (void)state;
    static struct list list;
    static uint8_t filler[ENTITY_SIZE_MAX];
    struct entities e = entities_make();
    struct err err;
    list_begin(&list);
    for (uint32_t i = 0; i < ENTITY_FIELDS_MAX; i++) {
        char name[8];
        snprintf(name, sizeof(name), "%04u", i);
        list_text(&list, name, slice_of_text("v"));
    }
    struct entity_change change = {.creator = ENTITY_NONE, .fields = list_end(&list)};
    assert_int_equal(entities_change(&e, 0, &change, &err), OK);
    assert_int_equal(put_text(&e, 0, "0007", "another"), OK);
    assert_int_equal(put_text(&e, 0, "more", "one"), E_LIMIT);
    assert_int_equal(entities_get(&e, 0).field_count, ENTITY_FIELDS_MAX);
    assert_int_equal(unset(&e, 0, "0000"), OK);
    assert_int_equal(put_text(&e, 0, "more", "one"), OK);
    for (uint32_t more = 0; more < 2; more++) {
        /* u8 flags, u32 creator, u8 count, u8 size and "n", u8 tag, three bytes of size */
        uint32_t size = ENTITY_SIZE_MAX - 1 - 4 - 1 - 2 - 1 - 3 + more;
        list_begin(&list);
        list_text(&list, "n", slice_of(filler, size));
        struct entity_change large = {.creator = 3, .fields = list_end(&list)};
        struct entity nothing = {.creator = ENTITY_NONE};
        assert_int_equal(entity_judge(&nothing, &large, &err), more == 0 ? OK : E_LIMIT);
        assert_int_equal(entities_change(&e, 200, &large, &err), more == 0 ? OK : E_LIMIT);
    }
    assert_int_equal(entities_get(&e, 200).size, ENTITY_SIZE_MAX);
    assert_int_equal(put_text(&e, 200, "n", "small again"), OK);
    entities_fini(&e);
}

static void names_out_of_order_are_refused(void **state)
{
    (void)state;
    static struct list list;
    struct entities e = entities_make();
    static const char *const pairs[][2] = {{"b", "a"}, {"a", "a"}, {"aa", "a"}};
    assert_int_equal(put_text(&e, 0, "a", "x"), OK);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        list_begin(&list);
        list_text(&list, pairs[i][0], slice_of_text("1"));
        list_unset(&list, pairs[i][1]);
        struct entity_change change = {.creator = ENTITY_NONE, .fields = list_end(&list)};
        assert_int_equal(entities_change(&e, 0, &change, NULL), E_LIMIT);
    }
    assert_text(&e, 0, "a", "x");
    assert_int_equal(entities_get(&e, 0).field_count, 1);
    entities_fini(&e);
}

/* A list of names removes all of them. */
static void names_alone_remove_fields(void **state)
{
    (void)state;
    struct entities e = entities_make();
    static const uint8_t names[] = {3, 1, 'a', 1, 'c', 1, 'd'};
    assert_int_equal(put_text(&e, 0, "a", "1"), OK);
    assert_int_equal(put_text(&e, 0, "b", "2"), OK);
    assert_int_equal(put_text(&e, 0, "c", "3"), OK);
    struct entity_change change = {
        .creator = ENTITY_NONE, .fields = slice_of(names, sizeof(names)), .is_names = true};
    assert_int_equal(entities_change(&e, 0, &change, NULL), OK);
    assert_int_equal(entities_get(&e, 0).field_count, 1);
    assert_text(&e, 0, "b", "2");
    entities_fini(&e);
}

/* --- against a naive model --- */

enum { MODEL_ENTITIES = 300, MODEL_NAMES = 9, MODEL_VALUES = 40 };

struct model {
    struct {
        bool is_deleted;
        uint32_t creator;
        int values[MODEL_NAMES]; /* 0: none */
    } entities[MODEL_ENTITIES];
};

static const char *const model_names[MODEL_NAMES] = {"a",  "ab",    "b",    "title", "title2",
                                                     "tz", "\x01x", "\xff", "year"};

/* Names as the entities order them: by unsigned bytes, the shorter one first. */
static const int model_order[MODEL_NAMES] = {6, 0, 1, 2, 3, 4, 5, 8, 7};

static struct slice value_text(int value, char room[256])
{
    int size = snprintf(room, 256, "%0*d", value * 5 % 200 + 1, value);
    return slice_of(room, (size_t)size);
}

static void model_check(const struct model *m, const struct entities *e, uint32_t i)
{
    struct entity got = entities_get(e, i);
    uint32_t count = 0;
    assert_int_equal(entities_is_deleted(e, i), m->entities[i].is_deleted);
    assert_int_equal(got.creator, m->entities[i].creator);
    for (int n = 0; n < MODEL_NAMES; n++) {
        struct put_field field;
        char room[256];
        int value = m->entities[i].values[n];
        bool is_there = entities_field(e, i, slice_of_text(model_names[n]), &field);
        assert_int_equal(is_there, value != 0);
        if (is_there) assert_true(slice_equal(field.text, value_text(value, room)));
        count += is_there;
    }
    assert_int_equal(got.field_count, count);
}

static void model_step(struct model *m, struct entities *e, struct random *random)
{
    static struct list list;
    uint32_t i = (uint32_t)random_below(random, MODEL_ENTITIES);
    if (random_below(random, 10) == 0) {
        assert_true(entities_delete(e, i));
        memset(&m->entities[i], 0, sizeof(m->entities[i]));
        m->entities[i].is_deleted = true;
        m->entities[i].creator = ENTITY_NONE;
        return;
    }
    struct entity_change change = {.is_fresh = m->entities[i].is_deleted, .creator = ENTITY_NONE};
    if (random_below(random, 4) == 0) change.creator = (uint32_t)random_below(random, 50);
    list_begin(&list);
    for (int n = 0; n < MODEL_NAMES; n++) {
        int name = model_order[n];
        uint64_t kind = random_below(random, 6);
        char room[256];
        if (kind == 0) {
            m->entities[i].values[name] = 1 + (int)random_below(random, MODEL_VALUES);
            list_text(&list, model_names[name], value_text(m->entities[i].values[name], room));
        } else if (kind == 1) {
            m->entities[i].values[name] = 0;
            list_unset(&list, model_names[name]);
        }
    }
    change.fields = list_end(&list);
    struct err err;
    assert_int_equal(entities_change(e, i, &change, &err), OK);
    m->entities[i].is_deleted = false;
    if (change.creator != ENTITY_NONE) m->entities[i].creator = change.creator;
}

/* Held blocks, as a pinned version holds them, with the bytes they had then. */
struct held {
    struct block *block;
    uint8_t *bytes;
};

static void hold(struct entities *e, uint32_t number, struct held *h)
{
    struct block *b = block_list_get(&e->blocks, number);
    if (b == NULL) return;
    block_hold(b);
    h->block = b;
    h->bytes = malloc(block_size(b));
    block_encode(b, h->bytes);
}

static void release(struct held *h)
{
    if (h->block == NULL) return;
    uint8_t *now = malloc(block_size(h->block));
    block_encode(h->block, now);
    assert_memory_equal(now, h->bytes, block_size(h->block));
    free(now);
    free(h->bytes);
    block_release(&alloc, h->block);
    *h = (struct held){0};
}

static void random_changes_equal_a_naive_model(void **state)
{
    (void)state;
    enum { STEPS = 20000, BLOCKS = 3 };
    static struct model m;
    struct entities e = entities_make();
    struct random random;
    struct held held[BLOCKS] = {{0}};
    random_init(&random, tm_seed("entities", 1));
    memset(&m, 0, sizeof(m));
    for (uint32_t i = 0; i < MODEL_ENTITIES; i++) {
        m.entities[i].creator = ENTITY_NONE;
    }
    for (uint32_t step = 0; step < STEPS; step++) {
        model_step(&m, &e, &random);
        if (step % 97 == 0) {
            for (uint32_t b = 0; b < BLOCKS; b++) {
                release(&held[b]);
                hold(&e, b, &held[b]);
            }
        }
        if (step % 500 != 0) continue;
        uint32_t deleted = 0;
        for (uint32_t i = 0; i < MODEL_ENTITIES; i++) {
            model_check(&m, &e, i);
            deleted += m.entities[i].is_deleted;
        }
        assert_int_equal(e.deleted_count, deleted);
        struct entity_bounds bounds = {.count = MODEL_ENTITIES, .creator_count = 50};
        struct entities copy = reload(&e, bounds);
        assert_same_blocks(&e, &copy);
        entities_fini(&copy);
    }
    for (uint32_t b = 0; b < BLOCKS; b++) {
        release(&held[b]);
    }
    entities_fini(&e);
}

/* What growth_max promises covers what random changes take, with every block held. */
static void growth_stays_below_its_bound(void **state)
{
    (void)state;
    static struct model m;
    struct entities e = entities_make();
    struct random random;
    random_init(&random, tm_seed("growth", 2));
    for (uint32_t round = 0; round < 60; round++) {
        struct held held[3] = {{0}};
        for (uint32_t b = 0; b < COUNT_OF(held); b++) {
            hold(&e, b, &held[b]);
        }
        uint32_t changes = 1u << random_below(&random, 7);
        uint64_t bytes = changes * (uint64_t)MODEL_NAMES * 256;
        uint64_t bound = entities_growth_max(&e, changes, bytes, MODEL_ENTITIES);
        uint64_t before = atomic_load(&alloc.used_bytes);
        for (uint32_t i = 0; i < changes; i++) {
            model_step(&m, &e, &random);
        }
        assert_true(atomic_load(&alloc.used_bytes) <= before + bound);
        for (uint32_t b = 0; b < COUNT_OF(held); b++) {
            release(&held[b]);
        }
    }
    assert_int_equal(entities_growth_max(&e, 0, 0, MODEL_ENTITIES), 0);
    entities_fini(&e);
}

static void refused_memory_changes_nothing(void **state)
{
    (void)state;
    struct entities e = entities_make();
    struct entities same = entities_make();
    for (int64_t n = 1; n <= 3; n++) {
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(put_text(&e, 10, "a", "x"), E_NOMEMORY);
        assert_int_equal(e.block_count, 0);
    }
    atomic_store(&alloc.fail_countdown, -1);
    assert_int_equal(put_text(&e, 10, "a", "x"), OK);
    assert_int_equal(put_text(&same, 10, "a", "x"), OK);
    struct held held = {0};
    hold(&e, 0, &held);
    char *large = calloc(1, 1000);
    memset(large, 'x', 999);
    for (int64_t n = 1; n <= 3; n++) {
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(put_text(&e, 10, "a", large), E_NOMEMORY);
        assert_same_blocks(&e, &same);
    }
    atomic_store(&alloc.fail_countdown, -1);
    release(&held);
    free(large);
    entities_fini(&e);
    entities_fini(&same);
}

/* --- hostile blocks --- */

enum { ENDS = ENTITY_BLOCK_ENTRIES * 4 };

/* A block whose entity `at` has these bytes and all others none. */
static size_t block_bytes(uint8_t *out, uint32_t at, const uint8_t *bytes, size_t size)
{
    for (uint32_t i = 0; i < ENTITY_BLOCK_ENTRIES; i++) {
        store_u32(out + (size_t)i * 4, i < at ? 0 : (uint32_t)size);
    }
    memcpy(out + ENDS, bytes, size);
    return ENDS + size;
}

static enum code load(enum block_kind kind, uint64_t number, struct slice bytes)
{
    struct entities e;
    struct err err;
    entities_init(&e, &alloc, kind);
    struct entity_bounds bounds = {.count = 130, .creator_count = 2};
    struct block_id id = {.kind = kind, .number = number};
    enum code code = entities_load(&e, bounds, id, bytes, &err);
    if (code != OK) assert_int_equal(e.block_count, 0);
    entities_fini(&e);
    return code;
}

static void hostile_entities_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        size_t size;
        uint8_t bytes[24];
        bool is_sound;
    } cases[] = {
        {"one field", 6, {0, 1, 1, 'a', 1, 0}, true},
        {"two fields", 10, {0, 2, 1, 'a', 1, 0, 1, 'b', 4, 1}, true},
        {"creator", 6, {2, 1, 0, 0, 0, 0}, true},
        {"tombstone", 2, {1, 0}, true},
        {"nothing, said at length", 2, {0, 0}, false},
        {"no count", 1, {0}, false},
        {"unknown flag", 6, {4, 1, 1, 'a', 1, 0}, false},
        {"creator that is not there", 6, {2, 2, 0, 0, 0, 0}, false},
        {"half a creator", 3, {2, 1, 0}, false},
        {"tombstone with a field", 6, {1, 1, 1, 'a', 1, 0}, false},
        {"tombstone with a creator", 6, {3, 1, 0, 0, 0, 0}, false},
        {"unset field", 5, {0, 1, 1, 'a', 0}, false},
        {"unknown tag", 6, {0, 1, 1, 'a', 9, 0}, false},
        {"empty name", 5, {0, 1, 0, 1, 0}, false},
        {"names out of order", 10, {0, 2, 1, 'b', 1, 0, 1, 'a', 1, 0}, false},
        {"a name twice", 10, {0, 2, 1, 'a', 1, 0, 1, 'a', 1, 0}, false},
        {"more fields than bytes", 6, {0, 9, 1, 'a', 1, 0}, false},
        {"bytes behind the fields", 7, {0, 1, 1, 'a', 1, 0, 0}, false},
        {"text that goes on", 6, {0, 1, 1, 'a', 1, 5}, false},
        {"bool 2", 6, {0, 1, 1, 'a', 4, 2}, false},
        {"a count in two bytes", 7, {0, 0x81, 0, 1, 'a', 1, 0}, false},
    };
    uint8_t bytes[ENDS + 64];
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        size_t size = block_bytes(bytes, 1, cases[i].bytes, cases[i].size);
        enum code code = load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size));
        if ((code == OK) != cases[i].is_sound) print_message("%s\n", cases[i].what);
        assert_int_equal(code, cases[i].is_sound ? OK : E_CORRUPT);
        bool has_flags = cases[i].bytes[0] != 0; /* users have none */
        enum code other = load(BLOCK_USER_FIELDS, 0, slice_of(bytes, size));
        assert_int_equal(other, cases[i].is_sound && !has_flags ? OK : E_CORRUPT);
    }
}

static void hostile_ends_are_refused(void **state)
{
    (void)state;
    static const uint8_t field[] = {0, 1, 1, 'a', 1, 0};
    uint8_t bytes[ENDS + 64];
    size_t size = block_bytes(bytes, 1, field, sizeof(field));
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 1, slice_of(bytes, size)), OK);
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 2, slice_of(bytes, size)), E_CORRUPT);
    assert_int_equal(load(BLOCK_ITEM_FIELDS, UINT64_MAX, slice_of(bytes, size)), E_CORRUPT);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, cut)), E_CORRUPT);
    }
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size + 1)), E_CORRUPT);
    size = block_bytes(bytes, 2, field, sizeof(field)); /* entity 130 of 130 */
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 1, slice_of(bytes, size)), E_CORRUPT);
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size)), OK);
    store_u32(bytes + 5 * 4, 3); /* goes back */
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size)), E_CORRUPT);
    store_u32(bytes + 5 * 4, UINT32_MAX);
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size)), E_CORRUPT);
    size = block_bytes(bytes, 0, field, 0); /* nothing in it */
    assert_int_equal(load(BLOCK_ITEM_FIELDS, 0, slice_of(bytes, size)), E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(fields_come_back_as_they_were_put, begin, end),
        cmocka_unit_test_setup_teardown(one_content_has_one_form, begin, end),
        cmocka_unit_test_setup_teardown(a_block_lives_as_long_as_something_is_in_it, begin, end),
        cmocka_unit_test_setup_teardown(a_tombstone_has_nothing_but_its_flag, begin, end),
        cmocka_unit_test_setup_teardown(limits_are_exact, begin, end),
        cmocka_unit_test_setup_teardown(names_out_of_order_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(names_alone_remove_fields, begin, end),
        cmocka_unit_test_setup_teardown(random_changes_equal_a_naive_model, begin, end),
        cmocka_unit_test_setup_teardown(growth_stays_below_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(hostile_entities_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(hostile_ends_are_refused, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/entities", tests, NULL, NULL);
}
