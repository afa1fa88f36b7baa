/* Tests of core/state/field_index: columns hold what was put last, and holders of a block see it as
 * it was. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/state/field_index.h"

static struct alloc alloc;
static struct field_index ix;

static void declare(const char *name, uint8_t kind)
{
    struct schema_field field = {.id = ix.count + 1, .kind = kind};
    snprintf(field.name, sizeof(field.name), "%s", name);
    assert_true(field_index_add_field(&ix, &field));
}

enum { TOPIC = 1, YEAR, SEEN_AT, BODY };

static int begin(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    field_index_init(&ix, &alloc, 3);
    declare("topic", SCHEMA_FIELD_TAG);
    declare("year", SCHEMA_FIELD_NUM);
    declare("seen_at", SCHEMA_FIELD_TIME);
    declare("body", SCHEMA_FIELD_TEXT);
    return 0;
}

static int end(void **state)
{
    (void)state;
    field_index_fini(&ix);
    return atomic_load(&alloc.used_bytes) == 0 ? 0 : -1;
}

static void put(uint32_t item, const char *name, const struct put_field *value)
{
    assert_true(field_index_put(&ix, item, slice_of_text(name), value));
}

static struct put_field text_of_field(const char *text)
{
    return (struct put_field){.tag = PUT_TEXT, .text = slice_of_text(text)};
}

/* A list of one-character tags. */
static struct put_field tags_of(const char *letters, uint8_t room[64])
{
    struct bytes_writer w = bytes_writer_of(room, 64);
    uint32_t count = 0;
    for (; letters[count] != 0; count++) {
        bytes_write_slice8(&w, slice_of(&letters[count], 1));
    }
    return (struct put_field){
        .tag = PUT_TAGS, .tag_count = count, .tags = bytes_reader_of(bytes_written_slice(&w))};
}

static bool block_has_tag(const struct block *b, uint32_t entry, const char *text)
{
    uint32_t value = tag_values_find(&ix.columns[TOPIC - 1].values, slice_of_text(text));
    if (b == NULL || value == TAG_VALUE_NONE) return false;
    const struct field_tags *tags = (const struct field_tags *)(const void *)b->payload;
    if (tags->first[entry] == value) return true;
    const struct field_pair *pairs = (const struct field_pair *)(const void *)b->extra;
    for (uint32_t i = 0; i < b->extra_size / sizeof(*pairs); i++) {
        if (pairs[i].entry == entry && pairs[i].value == value) return true;
    }
    return false;
}

static bool has_tag(uint32_t item, const char *text)
{
    const struct block *b = field_index_block(&ix, TOPIC, item / BLOCK_ENTRIES);
    return block_has_tag(b, item % BLOCK_ENTRIES, text);
}

static const double *number_of(uint32_t item)
{
    const struct block *b = field_index_block(&ix, YEAR, item / BLOCK_ENTRIES);
    if (b == NULL) return NULL;
    const struct field_numbers *n = (const struct field_numbers *)(const void *)b->payload;
    uint32_t entry = item % BLOCK_ENTRIES;
    return field_mask_has(&n->present, entry) ? &n->values[entry] : NULL;
}

static const int64_t *time_of(uint32_t item)
{
    const struct block *b = field_index_block(&ix, SEEN_AT, item / BLOCK_ENTRIES);
    if (b == NULL) return NULL;
    const struct field_times *t = (const struct field_times *)(const void *)b->payload;
    uint32_t entry = item % BLOCK_ENTRIES;
    return field_mask_has(&t->present, entry) ? &t->values_ms[entry] : NULL;
}

static void a_value_replaces_the_one_before(void **state)
{
    (void)state;
    uint8_t room[64];
    struct put_field value = text_of_field("a");
    put(5000, "topic", &value);
    assert_true(has_tag(5000, "a"));
    assert_null(field_index_block(&ix, TOPIC, 0));
    value = tags_of("bcb", room);
    put(5000, "topic", &value);
    assert_false(has_tag(5000, "a"));
    assert_true(has_tag(5000, "b"));
    assert_true(has_tag(5000, "c"));
    put(5000, "topic", NULL);
    assert_false(has_tag(5000, "b"));
    assert_false(has_tag(5000, "c"));

    value = (struct put_field){.tag = PUT_INT, .integer = 1999};
    put(1, "year", &value);
    assert_same_double(*number_of(1), 1999.0);
    value = (struct put_field){.tag = PUT_REAL, .real = -0.5};
    put(1, "year", &value);
    assert_same_double(*number_of(1), -0.5);
    value = (struct put_field){.tag = PUT_BOOL, .integer = 1};
    put(1, "year", &value);
    assert_same_double(*number_of(1), 1.0);
    value = (struct put_field){.tag = PUT_UNSET};
    put(1, "year", &value);
    assert_null(number_of(1));

    value = (struct put_field){.tag = PUT_INT, .integer = INT64_MIN};
    put(2, "seen_at", &value);
    assert_int_equal(*time_of(2), INT64_MIN);
    put(2, "seen_at", NULL);
    assert_null(time_of(2));
}

static void what_does_not_fit_the_kind_is_no_value(void **state)
{
    (void)state;
    static char long_text[300];
    memset(long_text, 'x', sizeof(long_text) - 1);
    struct put_field number = {.tag = PUT_INT, .integer = 5};
    struct put_field text = text_of_field("5");
    struct put_field too_long = text_of_field(long_text);
    put(1, "topic", &text);
    put(1, "topic", &number);
    assert_false(has_tag(1, "5"));
    put(1, "topic", &text);
    put(1, "topic", &too_long);
    assert_false(has_tag(1, "5"));
    put(1, "year", &number);
    put(1, "year", &text);
    assert_null(number_of(1));
    struct put_field real = {.tag = PUT_REAL, .real = 5.0};
    put(1, "seen_at", &number);
    put(1, "seen_at", &real);
    assert_null(time_of(1));
    put(1, "body", &text);
    assert_null(field_index_block(&ix, BODY, 0));
    put(1, "unheard-of", &text);
}

static void a_deleted_item_has_nothing_left(void **state)
{
    (void)state;
    uint8_t room[64];
    struct put_field tags = tags_of("abcdef", room);
    struct put_field year = {.tag = PUT_INT, .integer = 1999};
    put(9, "topic", &tags);
    put(10, "topic", &tags);
    put(9, "year", &year);
    assert_true(field_index_set_creator(&ix, 9, 0));
    assert_int_equal(field_index_creators(&ix, 0)->next[9], 1);
    assert_false(field_index_is_deleted(&ix, 9));
    assert_null(field_index_deleted(&ix, 0));
    assert_true(field_index_set_deleted(&ix, 9, true));
    assert_true(field_index_is_deleted(&ix, 9));
    assert_false(field_index_is_deleted(&ix, 10));
    assert_false(field_index_is_deleted(&ix, 9 + BLOCK_ENTRIES));
    assert_false(has_tag(9, "d"));
    assert_true(has_tag(10, "d"));
    assert_null(number_of(9));
    assert_int_equal(field_index_creators(&ix, 0)->next[9], 0);
    assert_true(field_index_set_deleted(&ix, 9, false));
    assert_false(field_index_is_deleted(&ix, 9));
}

/* A reader holds a block while the owner goes on. */
static void a_held_block_stays_as_it_was(void **state)
{
    (void)state;
    uint8_t room[64];
    struct put_field tags = tags_of("ab", room);
    put(1, "topic", &tags);
    struct block *held = ix.columns[TOPIC - 1].blocks.items[0];
    block_hold(held);
    struct put_field others = tags_of("cd", room);
    put(1, "topic", &others);
    put(2, "topic", &others);
    assert_true(has_tag(1, "d"));
    assert_false(has_tag(1, "b"));
    const struct field_tags *before = (const struct field_tags *)(const void *)held->payload;
    assert_int_not_equal(before->first[1], TAG_VALUE_NONE);
    assert_int_equal(before->first[2], TAG_VALUE_NONE);
    assert_int_equal(held->extra_size, sizeof(struct field_pair));
    block_release(&alloc, held);
}

/* Many items, puts and unsets at random, against a table of letters. */
static void columns_equal_a_plain_table(void **state)
{
    (void)state;
    enum { ITEMS = 6000, STEPS = 40000, LETTERS = 12 };
    static uint16_t letters[ITEMS];
    memset(letters, 0, sizeof(letters));
    struct random random;
    random_init(&random, tm_seed("field_index", 1));
    for (uint32_t step = 0; step < STEPS; step++) {
        uint32_t item = (uint32_t)random_below(&random, ITEMS);
        uint16_t set = (uint16_t)(random_next(&random) & random_next(&random) & 0xfff);
        char text[LETTERS + 1] = {0};
        uint32_t count = 0;
        for (uint32_t i = 0; i < LETTERS; i++) {
            if ((set >> i & 1) != 0) text[count++] = (char)('a' + i);
        }
        uint8_t room[64];
        struct put_field value = tags_of(text, room);
        put(item, "topic", count == 0 ? NULL : &value);
        letters[item] = set;
    }
    for (uint32_t item = 0; item < ITEMS; item++) {
        for (uint32_t i = 0; i < LETTERS; i++) {
            char text[2] = {(char)('a' + i), 0};
            assert_int_equal(has_tag(item, text), letters[item] >> i & 1);
        }
    }
}

/* What the gate reserves is at least what is used, also after a pin. */
static void growth_stays_within_its_bound(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("field_index", 1));
    for (uint32_t round = 0; round < 200; round++) {
        struct field_growth more = {.values = 13 * 40, .value_bytes = 12 * 40};
        uint64_t bound = field_index_growth_max(&ix, more, 3);
        uint64_t before = atomic_load(&alloc.used_bytes) + field_index_map_bytes(&ix);
        struct block *held = block_list_get(&ix.columns[TOPIC - 1].blocks, 1);
        if (held != NULL) block_hold(held);
        for (uint32_t i = 0; i < 40; i++) {
            uint8_t room[64];
            struct put_field tags = tags_of("abcdefghijkl", room);
            uint32_t item = (uint32_t)random_below(&random, 3 * (uint64_t)BLOCK_ENTRIES);
            put(item, "topic", &tags);
            assert_true(field_index_set_creator(&ix, item, 1));
            uint64_t now = atomic_load(&alloc.used_bytes) + field_index_map_bytes(&ix);
            assert_true(now <= before + bound);
        }
        block_release(&alloc, held);
    }
}

/* A field that is declared late takes the values that are there. */
static void a_late_declaration_stays_within_its_bound(void **state)
{
    (void)state;
    enum { ITEMS = 3000 };
    struct field_growth more = {.values = 13 * ITEMS, .value_bytes = 24 * ITEMS};
    uint64_t bound = field_index_declare_growth_max(&ix, more, 1);
    uint64_t before = atomic_load(&alloc.used_bytes) + field_index_map_bytes(&ix);
    declare("late", SCHEMA_FIELD_TAG);
    for (uint32_t item = 0; item < ITEMS; item++) {
        uint8_t room[64];
        struct put_field tags = tags_of("abcdefghijkl", room);
        put(item, "late", &tags);
        uint64_t now = atomic_load(&alloc.used_bytes) + field_index_map_bytes(&ix);
        assert_true(now <= before + bound);
    }
    assert_int_equal(field_index_growth_max(&ix, (struct field_growth){0}, 100), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_value_replaces_the_one_before, begin, end),
        cmocka_unit_test_setup_teardown(what_does_not_fit_the_kind_is_no_value, begin, end),
        cmocka_unit_test_setup_teardown(a_deleted_item_has_nothing_left, begin, end),
        cmocka_unit_test_setup_teardown(a_held_block_stays_as_it_was, begin, end),
        cmocka_unit_test_setup_teardown(columns_equal_a_plain_table, begin, end),
        cmocka_unit_test_setup_teardown(growth_stays_within_its_bound, begin, end),
        cmocka_unit_test_setup_teardown(a_late_declaration_stays_within_its_bound, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/field_index", tests, NULL, NULL);
}
