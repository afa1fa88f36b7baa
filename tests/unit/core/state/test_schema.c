/* Tests of core/state/schema: declaring types, and the block that keeps them. */
#include "support/tm_test.h"

#include "core/state/schema.h"
#include "support/state_log.h"

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

static enum code declare(struct schema *s, const struct record_schema *r, struct err *e)
{
    return schema_declare(s, r, e);
}

static void types_are_found_by_name_and_id(void **state)
{
    (void)state;
    struct schema s;
    struct err e;
    schema_init(&s, &alloc);
    struct record a = state_log_type_record(1, "view", 1000);
    struct record b = state_log_type_record(2, "click", 0);
    assert_int_equal(declare(&s, &a.as.schema, &e), OK);
    assert_int_equal(declare(&s, &b.as.schema, &e), OK);
    assert_int_equal(schema_find(&s, slice_of_text("click"))->id, 2);
    assert_string_equal(schema_type(&s, 1)->name, "view");
    assert_null(schema_type(&s, 0));
    assert_null(schema_type(&s, 3));
    assert_null(schema_find(&s, slice_of_text("vie")));
    schema_fini(&s);
}

/* The same definition again has no effect; anything else about a known name is refused. */
static void a_type_cannot_be_declared_otherwise(void **state)
{
    (void)state;
    struct schema s;
    struct err e;
    schema_init(&s, &alloc);
    struct record r = state_log_type_record(1, "view", 1000);
    assert_int_equal(declare(&s, &r.as.schema, &e), OK);
    struct hash256 before = block_hash(s.block);
    assert_int_equal(declare(&s, &r.as.schema, &e), OK);
    struct record other = state_log_type_record(1, "view", 1001);
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    other = state_log_type_record(2, "view", 1000);
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    other = r;
    other.as.schema.polarity = POLARITY_NEGATIVE;
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    other = r;
    other.as.schema.windows ^= WINDOW_1H;
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    other = r;
    other.as.schema.halflife_count = 2;
    other.as.schema.halflives_ms[1] = 7;
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    other = state_log_type_record(3, "click", 1000);
    assert_int_equal(declare(&s, &other.as.schema, &e), E_HALTED);
    struct hash256 after = block_hash(s.block);
    assert_true(hash256_equal(&before, &after));
    schema_fini(&s);
}

static void impossible_definitions_are_refused(void **state)
{
    (void)state;
    struct schema s;
    struct err e;
    schema_init(&s, &alloc);
    struct record good = state_log_type_record(1, "view", 1000);
    struct record_schema r = good.as.schema;
    r.subject = SCHEMA_PROFILE;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.name.size = 0;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.name = slice_of("a\0b", 3);
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.mode = 4;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.polarity = 0;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.windows = 32;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.halflife_count = 4;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = good.as.schema;
    r.halflives_ms[0] = 0;
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    assert_int_equal(s.count, 0);
    schema_fini(&s);
}

static void refused_memory_declares_nothing(void **state)
{
    (void)state;
    for (int64_t n = 1; n <= 3; n++) {
        struct schema s;
        struct err e;
        schema_init(&s, &alloc);
        struct record r = state_log_type_record(1, "view", 1000);
        atomic_store(&alloc.fail_countdown, n);
        assert_int_equal(declare(&s, &r.as.schema, &e), E_NOMEMORY);
        assert_int_equal(s.count, 0);
        assert_int_equal(declare(&s, &r.as.schema, &e), OK);
        schema_fini(&s);
    }
}

static struct record_schema field_of(uint32_t id, const char *name, uint8_t kind)
{
    return (struct record_schema){
        .subject = SCHEMA_FIELD, .id = id, .name = slice_of_text(name), .field_kind = kind};
}

/* Types and fields are numbered apart and may be declared in any order; the block loads again. */
static void fields_stand_behind_the_types(void **state)
{
    (void)state;
    struct schema s;
    struct schema loaded;
    struct err e;
    schema_init(&s, &alloc);
    schema_init(&loaded, &alloc);
    struct record_schema year = field_of(1, "year", SCHEMA_FIELD_NUM);
    struct record_schema topic = field_of(2, "topic", SCHEMA_FIELD_TAG);
    struct record view = state_log_type_record(1, "view", 1000);
    struct record click = state_log_type_record(2, "click", 0);
    assert_int_equal(declare(&s, &year, &e), OK);
    assert_int_equal(declare(&s, &view.as.schema, &e), OK);
    assert_int_equal(declare(&s, &topic, &e), OK);
    assert_int_equal(declare(&s, &click.as.schema, &e), OK);
    assert_int_equal(declare(&s, &topic, &e), OK);
    uint8_t bytes[256];
    struct slice block = slice_of(bytes, block_size(s.block));
    block_encode(s.block, bytes);
    struct block_id id = {.kind = BLOCK_SCHEMA, .number = 0};
    assert_int_equal(schema_load(&loaded, id, block, &e), OK);
    assert_int_equal(loaded.count, 2);
    assert_int_equal(loaded.field_count, 2);
    assert_int_equal(schema_field_find(&loaded, slice_of_text("topic"))->id, 2);
    assert_int_equal(schema_field_find(&loaded, slice_of_text("topic"))->kind, SCHEMA_FIELD_TAG);
    assert_string_equal(schema_field(&loaded, 1)->name, "year");
    assert_null(schema_field(&loaded, 0));
    assert_null(schema_field(&loaded, 3));
    assert_null(schema_field_find(&loaded, slice_of_text("view")));
    struct hash256 a = block_hash(s.block);
    struct hash256 b = block_hash(loaded.block);
    assert_true(hash256_equal(&a, &b));
    for (size_t size = 0; size < block.size; size++) {
        struct schema cut;
        schema_init(&cut, &alloc);
        enum code code = schema_load(&cut, id, slice_of(bytes, size), &e);
        bool is_before_fields = size == 4 + s.types_size;
        assert_int_equal(code, is_before_fields ? OK : E_CORRUPT);
        schema_fini(&cut);
    }
    schema_fini(&s);
    schema_fini(&loaded);
}

static void impossible_fields_are_refused(void **state)
{
    (void)state;
    struct schema s;
    struct err e;
    schema_init(&s, &alloc);
    struct record_schema r = field_of(1, "year", SCHEMA_FIELD_NUM);
    assert_int_equal(declare(&s, &r, &e), OK);
    const char *const names[] = {"", "1st", "-a", ".a", "_a", "a b", "a\"", "Creator", "NOT", "in"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        r = field_of(2, names[i], SCHEMA_FIELD_NUM);
        assert_int_equal(declare(&s, &r, &e), E_HALTED);
    }
    r = field_of(1, "year", SCHEMA_FIELD_TAG);
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = field_of(2, "year", SCHEMA_FIELD_NUM); /* a second number for it */
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = field_of(3, "topic", SCHEMA_FIELD_TAG);
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = field_of(2, "topic", 5);
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    r = field_of(2, "topic", SCHEMA_FIELD_TEXT);
    r.body = slice_of_text("english");
    assert_int_equal(declare(&s, &r, &e), E_HALTED);
    for (uint32_t id = 2; id <= FIELDS_MAX + 1; id++) {
        char name[16];
        snprintf(name, sizeof(name), "f%u", id);
        r = field_of(id, name, SCHEMA_FIELD_TIME);
        assert_int_equal(declare(&s, &r, &e), id <= FIELDS_MAX ? OK : E_HALTED);
    }
    schema_fini(&s);
}

/* A stored schema in which the second of two names was made the first's. */
static void a_block_that_repeats_a_name_is_refused(void **state)
{
    (void)state;
    for (int fields = 0; fields < 2; fields++) {
        struct schema s;
        struct schema loaded;
        struct err e;
        schema_init(&s, &alloc);
        schema_init(&loaded, &alloc);
        struct record view = state_log_type_record(1, "viewed", 1000);
        struct record like = state_log_type_record(2, "liked!", 0);
        struct record_schema year = field_of(1, "Year_A", SCHEMA_FIELD_NUM);
        struct record_schema topic = field_of(2, "Topic9", SCHEMA_FIELD_TAG);
        assert_int_equal(declare(&s, &view.as.schema, &e), OK);
        assert_int_equal(declare(&s, &like.as.schema, &e), OK);
        assert_int_equal(declare(&s, &year, &e), OK);
        assert_int_equal(declare(&s, &topic, &e), OK);
        uint8_t bytes[256];
        size_t size = block_size(s.block);
        block_encode(s.block, bytes);
        uint8_t *second = memmem(bytes, size, fields == 0 ? "liked!" : "Topic9", 6);
        assert_non_null(second);
        memcpy(second, fields == 0 ? "viewed" : "Year_A", 6);
        struct block_id id = {.kind = BLOCK_SCHEMA, .number = 0};
        assert_int_equal(schema_load(&loaded, id, slice_of(bytes, size), &e), E_CORRUPT);
        assert_non_null(strstr(e.text, "repeats a name"));
        schema_fini(&s);
        schema_fini(&loaded);
    }
}

static void kinds_of_fields_have_names(void **state)
{
    (void)state;
    assert_string_equal(schema_field_kind_name(SCHEMA_FIELD_TAG), "tag");
    assert_string_equal(schema_field_kind_name(SCHEMA_FIELD_TEXT), "text");
    assert_string_equal(schema_field_kind_name(0), "unknown");
    assert_string_equal(schema_field_kind_name(SCHEMA_FIELD_TEXT + 1), "unknown");
}

/* The largest schema there can be goes through its block and back; then nothing more fits. */
static void a_full_schema_survives_its_block(void **state)
{
    (void)state;
    struct schema s;
    struct schema loaded;
    struct err e;
    schema_init(&s, &alloc);
    schema_init(&loaded, &alloc);
    char name[SIGNAL_NAME_SIZE_MAX + 1];
    memset(name, 'n', sizeof(name));
    for (uint32_t id = 1; id <= SIGNAL_TYPES_MAX + 1; id++) {
        snprintf(name + SIGNAL_NAME_SIZE_MAX - 4, 5, "%04u", id);
        struct record r = state_log_type_record(id, name, id);
        r.as.schema.halflife_count = HALFLIVES_MAX;
        r.as.schema.halflives_ms[1] = 7;
        r.as.schema.halflives_ms[2] = UINT64_MAX;
        enum code wanted = id <= SIGNAL_TYPES_MAX ? OK : E_HALTED;
        assert_int_equal(declare(&s, &r.as.schema, &e), wanted);
    }
    uint8_t *bytes = malloc(block_size(s.block));
    block_encode(s.block, bytes);
    struct block_id id = {.kind = BLOCK_SCHEMA, .number = 0};
    assert_int_equal(schema_load(&loaded, id, slice_of(bytes, block_size(s.block)), &e), OK);
    for (uint32_t i = 1; i <= SIGNAL_TYPES_MAX; i++) {
        assert_memory_equal(schema_type(&s, i), schema_type(&loaded, i),
                            sizeof(struct signal_type));
    }
    struct hash256 a = block_hash(s.block);
    struct hash256 b = block_hash(loaded.block);
    assert_true(hash256_equal(&a, &b));
    free(bytes);
    schema_fini(&s);
    schema_fini(&loaded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(types_are_found_by_name_and_id, begin, end),
        cmocka_unit_test_setup_teardown(a_type_cannot_be_declared_otherwise, begin, end),
        cmocka_unit_test_setup_teardown(impossible_definitions_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_declares_nothing, begin, end),
        cmocka_unit_test_setup_teardown(fields_stand_behind_the_types, begin, end),
        cmocka_unit_test_setup_teardown(impossible_fields_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(a_block_that_repeats_a_name_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(kinds_of_fields_have_names, begin, end),
        cmocka_unit_test_setup_teardown(a_full_schema_survives_its_block, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/schema", tests, NULL, NULL);
}
