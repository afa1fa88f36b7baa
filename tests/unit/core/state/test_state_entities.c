/* Tests of core/state/state_entities: what item, user and creator records do to a state. */
#include "support/tm_test.h"

#include "base/random.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    state_log_type(&w->log, 1, "view", 3600000);
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
    free(w);
    return left == 0 ? 0 : -1;
}

static void apply_all(struct world *w)
{
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
}

/* A list of at most one text field; value NULL: the field is unset. */
static struct slice one_field(uint8_t room[600], const char *name, const char *value)
{
    struct bytes_writer w = bytes_writer_of(room, 600);
    bytes_write_varint(&w, name != NULL);
    if (name == NULL) return bytes_written_slice(&w);
    struct put_field field = {.name = slice_of_text(name),
                              .tag = value != NULL ? PUT_TEXT : PUT_UNSET};
    if (value != NULL) field.text = slice_of_text(value);
    put_field_write(&w, &field);
    return bytes_written_slice(&w);
}

static void put(struct world *w, enum record_kind kind, const char *key, const char *name,
                const char *value)
{
    uint8_t room[600];
    struct record r = {.kind = kind};
    r.as.put =
        (struct record_put){.key = slice_of_text(key), .fields = one_field(room, name, value)};
    state_log_record(&w->log, &r);
}

static void put_item(struct world *w, const char *key, const char *creator, int64_t created_ms)
{
    uint8_t room[600];
    struct record r = {.kind = RECORD_ITEM_PUT};
    r.as.put = (struct record_put){.key = slice_of_text(key),
                                   .creator = slice_of_text(creator),
                                   .has_created = created_ms != 0,
                                   .created_ms = created_ms,
                                   .fields = one_field(room, NULL, NULL)};
    state_log_record(&w->log, &r);
}

static void delete_item(struct world *w, const char *key)
{
    struct record r = {.kind = RECORD_ITEM_DELETE, .as.item_ref.key = slice_of_text(key)};
    state_log_record(&w->log, &r);
}

static uint32_t item_of(const struct world *w, const char *key)
{
    return state_item_find(w->s, slice_of_text(key));
}

static int64_t created_of(const struct world *w, const char *key)
{
    return state_item_created_ms(w->s, item_of(w, key));
}

static void assert_field(const struct world *w, enum entity_kind kind, const char *key,
                         const char *name, const char *wanted)
{
    uint32_t index = state_entity_find(w->s, kind, slice_of_text(key));
    assert_int_not_equal(index, ENTITY_NONE);
    struct put_field field;
    bool is_there = state_entity_field(w->s, kind, index, slice_of_text(name), &field);
    assert_int_equal(is_there, wanted != NULL);
    if (is_there) assert_true(slice_equal(field.text, slice_of_text(wanted)));
}

/* created_at is the put's AT, or the time of the first record that names the item; a later AT
 * changes it, a put without one does not, and neither does a signal. */
static void created_at_is_what_the_puts_say(void **state)
{
    struct world *w = *state;
    put_item(w, "at", "", 1600000000000);
    put_item(w, "now", "", 0);
    state_log_signal(&w->log, 1, "signal", (int64_t)START_MS - 9000, 1.0);
    put_item(w, "signal", "", 0);
    apply_all(w);
    assert_int_equal(created_of(w, "at"), 1600000000000);
    assert_int_equal(created_of(w, "now"), START_MS);
    assert_int_equal(created_of(w, "signal"), START_MS - 9000);
    w->log.leader_ms += 5000;
    put_item(w, "at", "", 0);
    put_item(w, "now", "", 1500000000000);
    state_log_signal(&w->log, 1, "at", (int64_t)START_MS - 9000, 1.0);
    apply_all(w);
    assert_int_equal(created_of(w, "at"), 1600000000000);
    assert_int_equal(created_of(w, "now"), 1500000000000);
    assert_int_equal(state_item_count(w->s), 3);
}

static void puts_change_only_what_they_name(void **state)
{
    struct world *w = *state;
    static const enum record_kind records[] = {RECORD_ITEM_PUT, RECORD_USER_PUT,
                                               RECORD_CREATOR_PUT};
    static const enum entity_kind kinds[] = {ENTITY_ITEM, ENTITY_USER, ENTITY_CREATOR};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        put(w, records[i], "k", "title", "one");
        put(w, records[i], "k", "lang", "en");
        put(w, records[i], "k", "title", "two");
        put(w, records[i], "k", "gone", "soon");
        put(w, records[i], "k", "gone", NULL);
        put(w, records[i], "other", NULL, NULL);
        apply_all(w);
        assert_field(w, kinds[i], "k", "title", "two");
        assert_field(w, kinds[i], "k", "lang", "en");
        assert_field(w, kinds[i], "k", "gone", NULL);
        assert_field(w, kinds[i], "other", "title", NULL);
        uint32_t index = state_entity_find(w->s, kinds[i], slice_of_text("other"));
        assert_int_equal(index, 1);
        assert_int_equal(state_entity_created_ms(w->s, kinds[i], index), START_MS);
        assert_int_equal(state_entity(w->s, kinds[i], 0).field_count, 2);
    }
    assert_int_equal(state_user_count(w->s), 2);
    assert_int_equal(state_creator_count(w->s), 2);
}

static void an_item_keeps_its_creator_until_another_is_given(void **state)
{
    struct world *w = *state;
    put_item(w, "a", "alice", 0);
    put_item(w, "b", "bob", 0);
    put_item(w, "a", "", 0);
    apply_all(w);
    assert_int_equal(state_entity(w->s, ENTITY_ITEM, item_of(w, "a")).creator,
                     state_creator_find(w->s, slice_of_text("alice")));
    put_item(w, "a", "bob", 0);
    apply_all(w);
    assert_int_equal(state_entity(w->s, ENTITY_ITEM, item_of(w, "a")).creator,
                     state_creator_find(w->s, slice_of_text("bob")));
    assert_int_equal(state_creator_count(w->s), 2);
}

/* A deleted item keeps index and signals and takes new ones; put again it is new. */
static void a_deleted_item_keeps_its_signals_and_comes_back_as_a_new_one(void **state)
{
    struct world *w = *state;
    put_item(w, "a", "alice", 1600000000000);
    put(w, RECORD_ITEM_PUT, "a", "title", "old");
    state_log_signal(&w->log, 1, "a", (int64_t)START_MS, 2.0);
    put_item(w, "b", "", 0);
    apply_all(w);
    uint32_t item = item_of(w, "a");
    delete_item(w, "a");
    delete_item(w, "a");
    delete_item(w, "never");
    state_log_signal(&w->log, 1, "a", (int64_t)START_MS, 2.0);
    apply_all(w);
    assert_true(state_item_is_deleted(w->s, item));
    assert_false(state_item_is_deleted(w->s, item_of(w, "b")));
    assert_int_equal(item_of(w, "never"), ITEM_NONE);
    assert_int_equal(state_item_count(w->s), 2);
    assert_int_equal(state_item_live_count(w->s), 1);
    assert_int_equal(state_count_all(w->s, 1, item), 2);
    assert_same_double(state_score(w->s, 1, item, 0, (int64_t)START_MS), 4.0);
    assert_field(w, ENTITY_ITEM, "a", "title", NULL);
    w->log.leader_ms += 1000;
    put(w, RECORD_ITEM_PUT, "a", "lang", "en");
    apply_all(w);
    assert_int_equal(item_of(w, "a"), item);
    assert_false(state_item_is_deleted(w->s, item));
    assert_int_equal(state_item_live_count(w->s), 2);
    assert_field(w, ENTITY_ITEM, "a", "title", NULL);
    assert_field(w, ENTITY_ITEM, "a", "lang", "en");
    assert_int_equal(state_entity(w->s, ENTITY_ITEM, item).creator, ENTITY_NONE);
    assert_int_equal(created_of(w, "a"), START_MS + 1000);
    assert_int_equal(state_count_all(w->s, 1, item), 2);
}

static void unset_records_remove_fields_of_live_items(void **state)
{
    struct world *w = *state;
    static const uint8_t names[] = {2, 1, 'a', 1, 'b'};
    struct record r = {.kind = RECORD_ITEM_UNSET};
    put(w, RECORD_ITEM_PUT, "x", "a", "1");
    put(w, RECORD_ITEM_PUT, "x", "b", "2");
    put(w, RECORD_ITEM_PUT, "x", "c", "3");
    delete_item(w, "x");
    put(w, RECORD_ITEM_PUT, "y", "a", "1");
    put(w, RECORD_ITEM_PUT, "y", "c", "3");
    delete_item(w, "z");
    const char *const keys[] = {"x", "y", "unknown"};
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        r.as.unset = (struct record_unset){.key = slice_of_text(keys[i]),
                                           .names = slice_of(names, sizeof(names))};
        state_log_record(&w->log, &r);
    }
    apply_all(w);
    assert_true(state_item_is_deleted(w->s, item_of(w, "x")));
    assert_field(w, ENTITY_ITEM, "y", "a", NULL);
    assert_field(w, ENTITY_ITEM, "y", "c", "3");
    assert_int_equal(item_of(w, "unknown"), ITEM_NONE);
}

/* Entity records inside a group, between signals: the items get their indexes in log order. */
static void groups_apply_their_records_in_order(void **state)
{
    struct world *w = *state;
    uint8_t bytes[2000];
    uint8_t room[600];
    struct bytes_writer writer = bytes_writer_of(bytes, sizeof(bytes));
    struct record item = {.kind = RECORD_ITEM_PUT};
    item.envelope = (struct record_envelope){.flags = ENVELOPE_KEY, .key = {{7}}};
    item.as.put = (struct record_put){.key = slice_of_text("second"),
                                      .fields = one_field(room, "title", "hello")};
    struct signal_entry entry = {
        .type_id = 1, .item = slice_of_text("first"), .time_ms = (int64_t)START_MS, .weight = 1.0};
    int64_t base_ms = (int64_t)START_MS;
    assert_int_equal(record_encode_signals(&writer, NULL, &entry, 1, base_ms, NULL), OK);
    assert_int_equal(record_encode(&writer, &item, base_ms, NULL), OK);
    entry.item = slice_of_text("third");
    assert_int_equal(record_encode_signals(&writer, NULL, &entry, 1, base_ms, NULL), OK);
    struct record group = {.kind = RECORD_GROUP};
    group.as.group.count = 3;
    group.as.group.records = bytes_reader_of(bytes_written_slice(&writer));
    state_log_record(&w->log, &group);
    apply_all(w);
    assert_int_equal(item_of(w, "first"), 0);
    assert_int_equal(item_of(w, "second"), 1);
    assert_int_equal(item_of(w, "third"), 2);
    assert_field(w, ENTITY_ITEM, "second", "title", "hello");
    struct write_ref where;
    struct id128 key = {{7}};
    assert_true(state_dedup_find(w->s, &key, &where));
    assert_int_equal(where.seqno.v, 2);
}

/* What the gate cannot have let through stops the node, and says which record it was. */
static void what_the_gate_would_have_refused_stops_apply(void **state)
{
    struct world *w = *state;
    static const uint8_t disordered[] = {2, 1, 'b', 4, 1, 1, 'a', 4, 1};
    struct record r = {.kind = RECORD_USER_PUT};
    r.as.put = (struct record_put){.key = slice_of_text("u"),
                                   .fields = slice_of(disordered, sizeof(disordered))};
    state_log_record(&w->log, &r);
    size_t i = state_log_seal(&w->log);
    struct state_outcome out;
    struct err e;
    assert_int_equal(state_log_try(&w->log, i, w->s, &out, &e), E_HALTED);
    assert_non_null(strstr(e.text, "record 2 (user-put)"));
    assert_false(state_is_whole(w->s));
}

static void random_step(struct world *w, struct random *r)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    static const char *const values[] = {NULL, "", "x", "a longer value that moves the others"};
    static const enum record_kind kinds[] = {RECORD_ITEM_PUT, RECORD_ITEM_PUT, RECORD_USER_PUT,
                                             RECORD_CREATOR_PUT};
    char key[16];
    snprintf(key, sizeof(key), "k%u", (unsigned)random_below(r, 600));
    uint64_t what = random_below(r, 8);
    if (what == 0) {
        delete_item(w, key);
    } else if (what == 1) {
        state_log_signal(&w->log, 1, key, (int64_t)w->log.leader_ms, 1.0);
    } else if (what == 2) {
        char creator[16];
        snprintf(creator, sizeof(creator), "c%u", (unsigned)random_below(r, 20));
        put_item(w, key, creator, (int64_t)(START_MS - random_below(r, 1000000)));
    } else {
        put(w, kinds[random_below(r, 4)], key, names[random_below(r, 4)],
            values[random_below(r, 4)]);
    }
}

/* A state that goes through a checkpoint after every batch has the blocks of one that does not. */
static void checkpoints_do_not_show(void **state)
{
    struct world *w = *state;
    struct random random;
    random_init(&random, tm_seed("entities of a state", 1));
    struct state *hopping = state_log_reload(&w->log, w->s, &w->alloc);
    for (uint32_t batch = 0; batch < 60; batch++) {
        for (uint32_t i = 0; i < 50; i++) {
            random_step(w, &random);
        }
        w->log.leader_ms += 1000;
        apply_all(w);
        size_t last = w->log.batch_count - 1;
        state_log_apply(&w->log, last, last + 1, hopping);
        struct state *loaded = state_log_reload(&w->log, hopping, &w->alloc);
        state_free(hopping);
        hopping = loaded;
        struct hash256 a = state_log_root(w->s);
        struct hash256 b = state_log_root(hopping);
        if (!hash256_equal(&a, &b)) fail_msg("roots differ after batch %u", batch);
    }
    state_free(hopping);
}

/* A declaration is promised only where indexing what items have surely fits; then it does. */
static void a_declaration_that_could_exceed_the_limit_is_told_before(void **state)
{
    struct world *w = *state;
    char key[32];
    char value[64];
    for (uint32_t i = 0; i < 9000; i++) {
        snprintf(key, sizeof(key), "item-%u", i);
        snprintf(value, sizeof(value), "a%u,b%u,c", i, i / 7);
        put(w, RECORD_ITEM_PUT, key, "topic", value);
        if (state_log_size(&w->log) > 500000) apply_all(w);
    }
    apply_all(w);
    struct schema_field topic = {.id = 1, .name = "topic", .kind = SCHEMA_FIELD_TAG};
    struct schema_field body = {.id = 1, .name = "topic", .kind = SCHEMA_FIELD_TEXT};
    struct schema_field other = {.id = 1, .name = "other", .kind = SCHEMA_FIELD_NUM};
    uint64_t before = state_bytes(w->s);
    uint64_t room = 0; /* the least with which it is promised */
    for (uint64_t step = 16 * MIB; step > 0; step /= 2) {
        w->alloc.limit_bytes = before + room + step;
        if (!state_can_declare(w->s, &topic)) room += step;
    }
    room++;
    w->alloc.limit_bytes = before + room - 1;
    assert_false(state_can_declare(w->s, &topic));
    assert_true(state_can_declare(w->s, &body)); /* WHERE does not look into it */
    w->alloc.limit_bytes = before + 1;
    assert_false(state_can_declare(w->s, &other));
    w->alloc.limit_bytes = before + room;
    assert_true(state_can_declare(w->s, &topic));
    struct record r = {.kind = RECORD_SCHEMA,
                       .as.schema = {.subject = SCHEMA_FIELD,
                                     .id = 1,
                                     .name = slice_of_text("topic"),
                                     .field_kind = SCHEMA_FIELD_TAG}};
    state_log_record(&w->log, &r);
    apply_all(w); /* ends the program when memory is refused */
    assert_true(state_bytes(w->s) <= before + room);
    w->alloc.limit_bytes = 0;
    assert_true(state_can_declare(w->s, &other));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(created_at_is_what_the_puts_say, begin, end),
        cmocka_unit_test_setup_teardown(puts_change_only_what_they_name, begin, end),
        cmocka_unit_test_setup_teardown(an_item_keeps_its_creator_until_another_is_given, begin,
                                        end),
        cmocka_unit_test_setup_teardown(
            a_deleted_item_keeps_its_signals_and_comes_back_as_a_new_one, begin, end),
        cmocka_unit_test_setup_teardown(unset_records_remove_fields_of_live_items, begin, end),
        cmocka_unit_test_setup_teardown(groups_apply_their_records_in_order, begin, end),
        cmocka_unit_test_setup_teardown(what_the_gate_would_have_refused_stops_apply, begin, end),
        cmocka_unit_test_setup_teardown(checkpoints_do_not_show, begin, end),
        cmocka_unit_test_setup_teardown(a_declaration_that_could_exceed_the_limit_is_told_before,
                                        begin, end),
    };
    return cmocka_run_group_tests_name("core/state/state_entities", tests, NULL, NULL);
}
