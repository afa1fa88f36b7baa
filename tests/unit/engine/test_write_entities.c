/* write_entities, write_multi, read_entity: items, users and creators through runs, on a node that
 * is run in steps: what is judged, what becomes one record, what comes back. */
#include "support/fixture.h"

#include <math.h>

#include "engine/write.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("write_entities");
    open_node(f);
    *state = f;
    return 0;
}

static const struct tide_result *result_of(struct fixture *f, int32_t index)
{
    assert_true(index >= 0);
    return tide_run_result(f->run, (size_t)index);
}

static void execute(struct fixture *f)
{
    steps_node_execute(&f->n, f->run);
}

static struct tide_field text_field(const char *name, const char *value)
{
    return (struct tide_field){
        .name = bytes_of(name), .kind = TIDE_VALUE_TEXT, .text = bytes_of(value)};
}

/* Put an item by itself. */
static const struct tide_result *put(struct fixture *f, const char *key,
                                     const struct tide_field *fields, uint32_t count)
{
    struct tide_put put = {.key = bytes_of(key), .fields = fields, .field_count = count};
    tide_run_reset(f->run);
    int32_t index = tide_run_item_put(f->run, &put, NULL);
    execute(f);
    return result_of(f, index);
}

static const struct tide_entity *get(struct fixture *f, const char *key)
{
    tide_run_reset(f->run);
    int32_t index = tide_run_item_get(f->run, bytes_of(key), NULL, 0);
    execute(f);
    const struct tide_result *r = result_of(f, index);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->kind, TIDE_RESULT_ENTITY);
    return &r->as.entity;
}

static void assert_bytes(struct tide_bytes b, const char *text)
{
    assert_true(slice_equal(slice_from(b), slice_of_text(text)));
}

static void assert_refused(const struct tide_result *r, enum tide_code code, const char *word)
{
    assert_int_equal(r->code, code);
    if (strstr(r->message, word) == NULL) fail_msg("'%s' is not in: %s", word, r->message);
}

/* Of a field that an item is asked for. */
static void assert_text(struct fixture *f, const char *key, const char *name, const char *wanted)
{
    struct tide_bytes names[] = {bytes_of(name)};
    tide_run_reset(f->run);
    int32_t index = tide_run_item_get(f->run, bytes_of(key), names, 1);
    execute(f);
    const struct tide_entity *entity = &result_of(f, index)->as.entity;
    assert_int_equal(entity->field_count, 1);
    assert_int_equal(entity->fields[0].kind, wanted != NULL ? TIDE_VALUE_TEXT : TIDE_VALUE_NONE);
    if (wanted != NULL) assert_bytes(entity->fields[0].text, wanted);
}

static void values_of_every_kind_come_back(void **state)
{
    struct fixture *f = *state;
    const struct tide_bytes tags[] = {bytes_of("red"), bytes_of("light blue")};
    const struct tide_field fields[] = {
        {.name = bytes_of("z"), .kind = TIDE_VALUE_TAGS, .tags = tags, .tag_count = 2},
        {.name = bytes_of("t"), .kind = TIDE_VALUE_TEXT, .text = {"a\0b", 3}},
        {.name = bytes_of("i"), .kind = TIDE_VALUE_INTEGER, .integer = INT64_MIN},
        {.name = bytes_of("r"), .kind = TIDE_VALUE_REAL, .real = -0.0},
        {.name = bytes_of("b"), .kind = TIDE_VALUE_BOOL, .integer = 7},
        {.name = bytes_of("none"), .kind = TIDE_VALUE_NONE},
    };
    struct tide_put put = {.key = bytes_of("a"),
                           .creator = bytes_of("carol"),
                           .at_ms = 1600000000000,
                           .fields = fields,
                           .field_count = COUNT_OF(fields)};
    assert_int_equal(tide_run_item_put(f->run, &put, NULL), 0);
    assert_int_equal(tide_run_item_get(f->run, bytes_of("a"), NULL, 0), 1);
    execute(f);
    assert_int_equal(result_of(f, 0)->kind, TIDE_RESULT_POSITION);
    const struct tide_entity *e = &result_of(f, 1)->as.entity;
    assert_true(e->is_known);
    assert_int_equal(e->created_ms, 1600000000000);
    assert_bytes(e->creator, "carol");
    assert_int_equal(e->field_count, 5); /* names ascend */
    assert_bytes(e->fields[0].name, "b");
    assert_int_equal(e->fields[0].integer, 1);
    assert_int_equal(e->fields[1].integer, INT64_MIN);
    assert_int_equal(e->fields[2].kind, TIDE_VALUE_REAL);
    assert_same_double(e->fields[2].real, 0.0);
    assert_int_equal(e->fields[3].text.size, 3);
    assert_memory_equal(e->fields[3].text.data, "a\0b", 3);
    assert_int_equal(e->fields[4].tag_count, 2);
    assert_bytes(e->fields[4].tags[1], "light blue");
    const struct tide_bytes names[] = {bytes_of("i"), bytes_of("missing"), bytes_of("creator"),
                                       bytes_of("created_at")};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_item_get(f->run, bytes_of("a"), names, 4), 0);
    assert_int_equal(tide_run_item_get(f->run, bytes_of("b"), names, 4), 1);
    execute(f);
    e = &result_of(f, 0)->as.entity;
    assert_int_equal(e->field_count, 4);
    assert_bytes(e->fields[1].name, "missing");
    assert_int_equal(e->fields[1].kind, TIDE_VALUE_NONE);
    assert_bytes(e->fields[2].text, "carol");
    assert_int_equal(e->fields[3].integer, 1600000000000);
    e = &result_of(f, 1)->as.entity;
    assert_false(e->is_known);
    assert_int_equal(e->field_count, 4);
    assert_int_equal(e->fields[3].kind, TIDE_VALUE_NONE);
}

static void users_and_creators_have_fields_of_their_own(void **state)
{
    struct fixture *f = *state;
    struct tide_field field = text_field("name", "Ada");
    struct tide_put put = {.key = bytes_of("x"), .fields = &field, .field_count = 1};
    assert_int_equal(tide_run_user_put(f->run, &put, NULL), 0);
    field.text = bytes_of("Bob");
    assert_int_equal(tide_run_creator_put(f->run, &put, NULL), 1);
    assert_int_equal(tide_run_user_get(f->run, bytes_of("x"), NULL, 0), 2);
    assert_int_equal(tide_run_creator_get(f->run, bytes_of("x"), NULL, 0), 3);
    assert_int_equal(tide_run_item_get(f->run, bytes_of("x"), NULL, 0), 4);
    execute(f);
    assert_bytes(result_of(f, 2)->as.entity.fields[0].text, "Ada");
    assert_bytes(result_of(f, 3)->as.entity.fields[0].text, "Bob");
    assert_false(result_of(f, 4)->as.entity.is_known);
}

static void bad_puts_are_refused_naming_what_is_wrong(void **state)
{
    struct fixture *f = *state;
    static char large[40000];
    memset(large, 'x', sizeof(large) - 1);
    const struct tide_bytes comma[] = {bytes_of("a,b")};
    const struct tide_bytes empty[] = {{"", 0}};
    const struct {
        struct tide_field field;
        enum tide_code code;
        const char *word;
    } cases[] = {
        {{.name = {"", 0}, .kind = TIDE_VALUE_TEXT}, TIDE_LIMIT, "name of a field"},
        {{.name = {large, 256}, .kind = TIDE_VALUE_TEXT}, TIDE_LIMIT, "name of a field"},
        {text_field("created_at", "1"), TIDE_INVALID, "AT"},
        {text_field("creator", "x"), TIDE_INVALID, "CREATOR"},
        {{.name = bytes_of("r"), .kind = TIDE_VALUE_REAL, .real = NAN}, TIDE_LIMIT, "\"r\""},
        {{.name = bytes_of("r"), .kind = TIDE_VALUE_REAL, .real = -INFINITY}, TIDE_LIMIT, "\"r\""},
        {{.name = bytes_of("k"), .kind = (enum tide_value_kind)9}, TIDE_INVALID, "\"k\""},
        {{.name = bytes_of("t"), .kind = TIDE_VALUE_TAGS, .tags = comma, .tag_count = 1},
         TIDE_LIMIT,
         "comma"},
        {{.name = bytes_of("t"), .kind = TIDE_VALUE_TAGS, .tags = empty, .tag_count = 1},
         TIDE_LIMIT,
         "\"t\""},
        {text_field("big", large), TIDE_LIMIT, "32768"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_refused(put(f, "a", &cases[i].field, 1), cases[i].code, cases[i].word);
    }
    const struct tide_field twice[] = {text_field("b", "1"), text_field("a", "2"),
                                       text_field("b", "3")};
    assert_refused(put(f, "a", twice, 3), TIDE_INVALID, "\"b\" is given twice");
    assert_refused(put(f, "", NULL, 0), TIDE_LIMIT, "item key");
    assert_false(get(f, "a")->is_known);
    struct tide_put seconds = {.key = bytes_of("a"), .at_ms = 1600000000};
    struct tide_put creator = {.key = bytes_of("a"), .creator = {large, 256}};
    tide_run_reset(f->run);
    assert_int_equal(tide_run_item_put(f->run, &seconds, NULL), 0);
    assert_int_equal(tide_run_item_put(f->run, &creator, NULL), 1);
    assert_int_equal(tide_run_item_delete(f->run, (struct tide_bytes){large, 256}, NULL), 2);
    assert_int_equal(tide_run_user_get(f->run, (struct tide_bytes){"", 0}, NULL, 0), 3);
    execute(f);
    assert_refused(result_of(f, 0), TIDE_LIMIT, "seconds");
    assert_refused(result_of(f, 1), TIDE_LIMIT, "creator's key");
    assert_refused(result_of(f, 2), TIDE_LIMIT, "item key");
    assert_refused(result_of(f, 3), TIDE_LIMIT, "key");
}

/* Puts of one run meet before any of them is applied. What replaces fits; what adds up too far is
 * refused, although each put alone would fit. */
static void pending_puts_count_against_the_limits(void **state)
{
    struct fixture *f = *state;
    static char half[20000];
    memset(half, 'x', sizeof(half) - 1);
    const char *const names[] = {"a", "a", "a", "b", "c"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct tide_field field = text_field(names[i], i == 4 ? "small" : half);
        struct tide_put put = {.key = bytes_of("x"), .fields = &field, .field_count = 1};
        assert_int_equal(tide_run_item_put(f->run, &put, NULL), i);
    }
    execute(f);
    for (int32_t i = 0; i < 3; i++) {
        assert_int_equal(result_of(f, i)->code, TIDE_OK);
    }
    assert_refused(result_of(f, 3), TIDE_LIMIT, "32768");
    assert_int_equal(result_of(f, 4)->code, TIDE_OK);
    assert_int_equal(get(f, "x")->field_count, 2);
    assert_int_equal(f->n.db->condition, DB_SERVING);
}

static void fields_count_against_the_limit_over_many_puts(void **state)
{
    struct fixture *f = *state;
    char names[300][8];
    for (uint32_t i = 0; i < 300; i++) {
        snprintf(names[i], sizeof(names[i]), "f%03u", i);
        struct tide_field field = text_field(names[i], "v");
        struct tide_put put = {.key = bytes_of("x"), .fields = &field, .field_count = 1};
        assert_int_equal(tide_run_item_put(f->run, &put, NULL), i);
    }
    execute(f);
    for (int32_t i = 0; i < 300; i++) {
        assert_int_equal(result_of(f, i)->code, i < 256 ? TIDE_OK : TIDE_LIMIT);
    }
    assert_int_equal(get(f, "x")->field_count, 256);
    assert_int_equal(f->n.db->condition, DB_SERVING);
}

/* Signals, puts and deletions of a group are one record in their order, with one position. */
static void a_group_of_all_kinds_of_writes_is_one_record(void **state)
{
    struct fixture *f = *state;
    uint64_t before = db_applied(f->n.db).seqno.v;
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("first")};
    struct tide_field field = text_field("title", "T");
    struct tide_put item = {.key = bytes_of("second"), .fields = &field, .field_count = 1};
    struct tide_put user = {.key = bytes_of("u"), .fields = &field, .field_count = 1};
    struct tide_write_options keyed = {.key = bytes_of("k")};
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_signal(f->run, &signal, NULL), 1);
    assert_int_equal(tide_run_item_put(f->run, &item, &keyed), 2);
    assert_int_equal(tide_run_user_put(f->run, &user, NULL), 3);
    signal.item = bytes_of("third");
    assert_int_equal(tide_run_signal(f->run, &signal, NULL), 4);
    assert_int_equal(tide_run_item_delete(f->run, bytes_of("first"), NULL), 5);
    assert_int_equal(tide_run_item_put(f->run, &item, &keyed), 6); /* the same key: refused */
    assert_int_equal(tide_run_end(f->run), 7);
    execute(f);
    assert_refused(result_of(f, 6), TIDE_INVALID, "same idempotency key twice");
    assert_refused(result_of(f, 1), TIDE_INVALID, "nothing was written: command 6");
    assert_int_equal(db_applied(f->n.db).seqno.v, before);
    assert_false(get(f, "second")->is_known);
    for (int round = 0; round < 2; round++) {
        tide_run_reset(f->run);
        assert_int_equal(tide_run_begin(f->run, NULL), 0);
        assert_int_equal(tide_run_signal(f->run, &signal, NULL), 1);
        assert_int_equal(tide_run_item_put(f->run, &item, &keyed), 2);
        assert_int_equal(tide_run_item_delete(f->run, bytes_of("third"), NULL), 3);
        assert_int_equal(tide_run_end(f->run), 4);
        execute(f);
        for (int32_t i = 0; i <= 4; i++) {
            assert_int_equal(result_of(f, i)->code, TIDE_OK);
            bool is_again = i == 2 && round == 1;
            assert_int_equal(result_of(f, i)->is_duplicate, is_again);
            assert_int_equal(result_of(f, i)->as.position.seqno,
                             before + (is_again || round == 0 ? 1 : 2));
        }
    }
    assert_int_equal(steps_node_count(&f->n, "third"), 2);
    assert_false(get(f, "third")->is_known);
    assert_text(f, "second", "title", "T");
}

/* Everything in a group was a duplicate: nothing is written. */
static void a_group_of_duplicate_puts_writes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tide_put item = {.key = bytes_of("a")};
    struct tide_write_options keyed = {.key = bytes_of("k")};
    assert_int_equal(tide_run_item_put(f->run, &item, &keyed), 0);
    assert_int_equal(tide_run_begin(f->run, NULL), 1);
    assert_int_equal(tide_run_item_put(f->run, &item, &keyed), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    execute(f);
    assert_true(result_of(f, 2)->is_duplicate);
    assert_same_position(&result_of(f, 2)->as.position, &result_of(f, 0)->as.position);
    assert_int_equal(result_of(f, 0)->as.position.seqno, db_applied(f->n.db).seqno.v);
}

static void a_group_that_could_outgrow_an_entity_is_refused_as_a_whole(void **state)
{
    struct fixture *f = *state;
    static char half[20000];
    memset(half, 'x', sizeof(half) - 1);
    struct tide_field field = text_field("a", half);
    struct tide_put item = {.key = bytes_of("x"), .fields = &field, .field_count = 1};
    struct tide_write_options producer = {.producer = bytes_of("p"), .producer_number = 1};
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_item_put(f->run, &item, NULL), 1);
    assert_int_equal(tide_run_item_put(f->run, &item, NULL), 2);
    assert_int_equal(tide_run_end(f->run), 3);
    execute(f);
    assert_refused(result_of(f, 2), TIDE_LIMIT, "one MULTI");
    assert_false(get(f, "x")->is_known);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_begin(f->run, NULL), 0);
    assert_int_equal(tide_run_item_put(f->run, &item, &producer), 1);
    assert_int_equal(tide_run_end(f->run), 2);
    execute(f);
    assert_int_equal(result_of(f, 1)->code, TIDE_UNSUPPORTED);
}

/* A declaration counts from its record on, also in the same run. */
static void declared_fields_take_what_fits(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(tide_run_schema_field(f->run, bytes_of("year"), TIDE_FIELD_NUM), 0);
    assert_int_equal(tide_run_schema_field(f->run, bytes_of("topic"), TIDE_FIELD_TAG), 1);
    struct tide_field good[] = {text_field("year", "2020"), text_field("topic", "a,b"),
                                text_field("free", "2020")};
    struct tide_put put_good = {.key = bytes_of("x"), .fields = good, .field_count = 3};
    struct tide_field bad = text_field("year", "soon");
    struct tide_put put_bad = {.key = bytes_of("x"), .fields = &bad, .field_count = 1};
    assert_int_equal(tide_run_item_put(f->run, &put_good, NULL), 2);
    assert_int_equal(tide_run_item_put(f->run, &put_bad, NULL), 3);
    assert_int_equal(tide_run_user_put(f->run, &put_bad, NULL), 4); /* declared of items alone */
    execute(f);
    assert_int_equal(result_of(f, 2)->code, TIDE_OK);
    assert_refused(result_of(f, 3), TIDE_SCHEMA, "\"year\" is declared num");
    assert_int_equal(result_of(f, 4)->code, TIDE_OK);
    const struct tide_entity *e = get(f, "x");
    assert_int_equal(e->fields[0].kind, TIDE_VALUE_TEXT);
    assert_int_equal(e->fields[1].kind, TIDE_VALUE_TAGS);
    assert_int_equal(e->fields[1].tag_count, 2);
    assert_int_equal(e->fields[2].kind, TIDE_VALUE_INTEGER);
    assert_int_equal(e->fields[2].integer, 2020);
}

static void deletions_are_idempotent_and_items_can_come_back(void **state)
{
    struct fixture *f = *state;
    struct tide_field field = text_field("title", "T");
    assert_int_equal(put(f, "a", &field, 1)->code, TIDE_OK);
    assert_int_equal(put(f, "b", NULL, 0)->code, TIDE_OK);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_item_delete(f->run, bytes_of("a"), NULL), 0);
    assert_int_equal(tide_run_item_delete(f->run, bytes_of("a"), NULL), 1);
    assert_int_equal(tide_run_item_delete(f->run, bytes_of("never"), NULL), 2);
    assert_int_equal(tide_run_items(f->run), 3);
    execute(f);
    assert_int_equal(result_of(f, 1)->code, TIDE_OK);
    assert_int_equal(result_of(f, 2)->code, TIDE_OK);
    assert_int_equal(result_of(f, 3)->as.integer, 1);
    assert_false(get(f, "a")->is_known);
    assert_text(f, "a", "title", NULL);
    assert_int_equal(put(f, "a", NULL, 0)->code, TIDE_OK);
    const struct tide_entity *e = get(f, "a");
    assert_true(e->is_known);
    assert_int_equal(e->field_count, 0);
}

static void a_duplicate_put_answers_with_the_first_and_changes_nothing(void **state)
{
    struct fixture *f = *state;
    struct tide_field field = text_field("title", "one");
    struct tide_put item = {.key = bytes_of("a"), .fields = &field, .field_count = 1};
    struct tide_write_options options = {
        .key = bytes_of("k"), .producer = bytes_of("p"), .producer_number = 1};
    assert_int_equal(tide_run_item_put(f->run, &item, &options), 0);
    execute(f);
    struct tide_position first = result_of(f, 0)->as.position;
    field.text = bytes_of("two");
    tide_run_reset(f->run);
    options.producer_number = 2;
    assert_int_equal(tide_run_item_put(f->run, &item, &options), 0);
    assert_int_equal(tide_run_producer(f->run, bytes_of("p")), 1);
    execute(f);
    assert_true(result_of(f, 0)->is_duplicate);
    assert_same_position(&result_of(f, 0)->as.position, &first);
    assert_int_equal(result_of(f, 1)->as.integer, 2);
    assert_text(f, "a", "title", "one");
}

/* After a restart, from a checkpoint and from the log alike. */
static void fields_survive_a_restart(void **state)
{
    struct fixture *f = *state;
    struct tide_field field = text_field("title", "kept");
    assert_int_equal(put(f, "a", &field, 1)->code, TIDE_OK);
    assert_int_equal(put(f, "gone", &field, 1)->code, TIDE_OK);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    execute(f);
    assert_int_equal(result_of(f, 0)->code, TIDE_OK);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_item_delete(f->run, bytes_of("gone"), NULL), 0);
    assert_int_equal(tide_run_digest(f->run, 0), 1);
    execute(f);
    for (int life = 0; life < 2; life++) {
        steps_node_close(&f->n);
        open_node(f);
        assert_text(f, "a", "title", "kept");
        assert_false(get(f, "gone")->is_known);
    }
}

/* Puts are refused before memory_max could be exceeded; reads and deletions of nothing go on. */
static void puts_that_could_exceed_memory_max_are_refused(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.memory_max = 64 * MIB;
    open_node(f);
    static char value[30000];
    memset(value, 'x', sizeof(value) - 1);
    struct tide_field field = text_field("v", value);
    enum tide_code code = TIDE_OK;
    uint32_t count = 0;
    for (; code == TIDE_OK && count < 5000; count++) {
        char key[16];
        snprintf(key, sizeof(key), "k%u", count);
        code = put(f, key, &field, 1)->code;
    }
    assert_int_equal(code, TIDE_NOMEMORY);
    assert_true(count > 50);
    print_message("%u items of 30 kB in 64 MiB\n", count);
    assert_int_equal(f->n.db->condition, DB_SERVING);
    assert_true(get(f, "k0")->is_known);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)
    const struct CMUnitTest tests[] = {
        TEST(values_of_every_kind_come_back),
        TEST(users_and_creators_have_fields_of_their_own),
        TEST(bad_puts_are_refused_naming_what_is_wrong),
        TEST(pending_puts_count_against_the_limits),
        TEST(fields_count_against_the_limit_over_many_puts),
        TEST(a_group_of_all_kinds_of_writes_is_one_record),
        TEST(a_group_of_duplicate_puts_writes_nothing),
        TEST(a_group_that_could_outgrow_an_entity_is_refused_as_a_whole),
        TEST(declared_fields_take_what_fits),
        TEST(deletions_are_idempotent_and_items_can_come_back),
        TEST(a_duplicate_put_answers_with_the_first_and_changes_nothing),
        TEST(fields_survive_a_restart),
        TEST(puts_that_could_exceed_memory_max_are_refused),
    };
    return cmocka_run_group_tests_name("engine/write_entities", tests, NULL, NULL);
}
