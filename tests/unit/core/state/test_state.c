/* Tests of core/state/state: questions about things that are not there, and the memory bound. */
#include "support/tm_test.h"

#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)

static void an_empty_state_answers_every_question(void **state)
{
    (void)state;
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    struct state *s = state_log_state(&log, &alloc);
    struct write_ref where;
    struct id128 key = {{1}};
    uint64_t number;
    assert_int_equal(state_position(s).seqno.v, 0);
    assert_int_equal(state_leader_time(s), 0);
    assert_int_equal(state_type_count(s), 0);
    assert_null(state_type_by_id(s, 0));
    assert_null(state_type_by_id(s, 1));
    assert_null(state_type_by_name(s, slice_of_text("view")));
    assert_int_equal(state_item_count(s), 0);
    assert_int_equal(state_item_find(s, slice_of_text("a")), ITEM_NONE);
    state_item_prefetch(s, slice_of_text("a"));
    assert_int_equal(state_user_count(s), 0);
    assert_int_equal(state_user_find(s, slice_of_text("a")), USER_NONE);
    assert_int_equal(state_creator_count(s), 0);
    assert_int_equal(state_creator_find(s, slice_of_text("a")), CREATOR_NONE);
    assert_same_double(state_score(s, 1, 0, 0, 0), 0.0);
    assert_int_equal(state_count_all(s, 1, ITEM_NONE), 0);
    assert_false(state_dedup_find(s, &key, &where));
    assert_int_equal(state_dedup_count(s), 0);
    assert_false(state_producer_find(s, slice_of_text("p"), &number, &where));
    struct state *loaded = state_log_reload(&log, s, &alloc);
    struct hash256 a = state_log_root(s);
    struct hash256 b = state_log_root(loaded);
    assert_true(hash256_equal(&a, &b));
    state_free(loaded);
    state_free(s);
    state_free(NULL);
    state_log_fini(&log);
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

/* Unknown items, types and half-lives score and count 0. */
static void unknown_things_are_zero(void **state)
{
    (void)state;
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    struct state *s = state_log_state(&log, &alloc);
    state_log_type(&log, 1, "view", 1000);
    state_log_type(&log, 2, "plain", 0);
    state_log_signal(&log, 1, "a", 0, 1.0);
    state_log_signal(&log, 2, "a", 0, 1.0);
    state_log_seal(&log);
    state_log_apply(&log, 0, 1, s);
    assert_same_double(state_score(s, 1, 0, 0, 0), 1.0);
    assert_same_double(state_score(s, 1, 1, 0, 0), 0.0);
    assert_same_double(state_score(s, 1, ITEM_NONE, 0, 0), 0.0);
    assert_same_double(state_score(s, 1, 0, 1, 0), 0.0);
    assert_same_double(state_score(s, 1, 0, 100, 0), 0.0);
    assert_same_double(state_score(s, 2, 0, 0, 0), 0.0);
    assert_same_double(state_score(s, 3, 0, 0, 0), 0.0);
    assert_int_equal(state_count_all(s, 2, 0), 1);
    assert_int_equal(state_count_all(s, 3, 0), 0);
    assert_int_equal(state_count_all(s, 1, 1), 0);
    state_free(s);
    state_log_fini(&log);
}

/* What can_grow promises holds: a batch it lets through never runs out of memory, up to the limit,
 * also right after a pin, when every touched block is copied. */
static void growth_that_is_promised_fits(void **state)
{
    (void)state;
    enum { ENTRIES = 200, KEY_BYTES = 12 };
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 64 * MIB);
    state_log_init(&log, START_MS);
    struct state *s = state_log_state(&log, &alloc);
    const struct state_growth absurd[] = {{.entries = UINT64_MAX},
                                          {.puts = UINT64_MAX},
                                          {.key_bytes = UINT64_MAX},
                                          {.put_values = UINT64_MAX},
                                          {.put_bytes = UINT64_MAX}};
    for (size_t i = 0; i < COUNT_OF(absurd); i++) {
        assert_false(state_can_grow(s, &absurd[i]));
    }
    struct state_growth more = {.entries = ENTRIES, .key_bytes = ENTRIES * KEY_BYTES};
    for (uint32_t id = 1; id <= 4; id++) {
        char name[8];
        snprintf(name, sizeof(name), "t%u", id);
        state_log_type(&log, id, name, 1000);
    }
    state_log_seal(&log);
    state_log_apply(&log, 0, 1, s);
    uint32_t item = 0;
    struct state_version *v = NULL;
    while (state_can_grow(s, &more)) {
        for (uint32_t i = 0; i < ENTRIES; i++) {
            char key[16];
            int size = snprintf(key, sizeof(key), "%012u", item++);
            struct signal_entry entry = {.flags = SIGNAL_HAS_KEY,
                                         .type_id = 1 + item % 4,
                                         .item = slice_of(key, (size_t)size),
                                         .time_ms = 0,
                                         .weight = 1.0};
            memcpy(entry.key.bytes, &item, sizeof(item));
            state_log_entries(&log, NULL, &entry, 1);
        }
        size_t i = state_log_seal(&log);
        state_log_apply(&log, i, i + 1, s); /* gives up when memory is refused */
        assert_true(state_bytes(s) <= 64 * MIB);
        state_version_free(v);
        v = item % 1000 == 0 ? state_pin(s) : NULL;
    }
    print_message("%u items in %.1f of 64 MiB\n", item, (double)state_bytes(s) / (double)MIB);
    assert_true(state_bytes(s) > 30 * MIB); /* the bound is not absurd */
    state_version_free(v);
    state_free(s);
    state_log_fini(&log);
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

/* The same for items that are put, with fields, while versions hold every block now and then. */
static void growth_of_puts_that_is_promised_fits(void **state)
{
    (void)state;
    enum { PUTS = 100, VALUE_SIZE = 300 };
    static uint8_t value[VALUE_SIZE];
    struct alloc alloc;
    struct state_log log;
    alloc_init(&alloc, 24 * MIB);
    state_log_init(&log, START_MS);
    struct state *s = state_log_state(&log, &alloc);
    struct state_version *v = NULL;
    struct record tag = {.kind = RECORD_SCHEMA};
    tag.as.schema = (struct record_schema){.subject = SCHEMA_FIELD,
                                           .id = 1,
                                           .name = slice_of_text("v"),
                                           .field_kind = SCHEMA_FIELD_TAG};
    state_log_record(&log, &tag);
    state_log_seal(&log);
    state_log_apply(&log, 0, 1, s);
    struct state_growth more = {.put_values = 2 * PUTS,
                                .puts = PUTS,
                                .key_bytes = PUTS * 32,
                                .put_bytes = PUTS * (VALUE_SIZE + 32)};
    uint32_t item = 0;
    while (state_can_grow(s, &more)) {
        for (uint32_t i = 0; i < PUTS; i++) {
            uint8_t room[VALUE_SIZE + 16];
            char key[16];
            int size = snprintf(key, sizeof(key), "%012u", (item++ * 7919u) % 100003u);
            struct bytes_writer w = bytes_writer_of(room, sizeof(room));
            memcpy(value, key, (size_t)size); /* a tag of its own */
            struct put_field field = {.name = slice_of_text("v"),
                                      .tag = PUT_TEXT,
                                      .text = slice_of(value, item % VALUE_SIZE)};
            bytes_write_varint(&w, 1);
            put_field_write(&w, &field);
            struct record r = {.kind = RECORD_ITEM_PUT};
            r.as.put = (struct record_put){.key = slice_of(key, (size_t)size),
                                           .creator = slice_of(key, (size_t)size),
                                           .fields = bytes_written_slice(&w)};
            state_log_record(&log, &r);
        }
        size_t i = state_log_seal(&log);
        state_log_apply(&log, i, i + 1, s); /* gives up when memory is refused */
        assert_true(state_bytes(s) <= 24 * MIB);
        state_version_free(v);
        v = item % 500 == 0 ? state_pin(s) : NULL;
    }
    print_message("%u puts in %.1f of 24 MiB\n", item, (double)state_bytes(s) / (double)MIB);
    assert_true(state_bytes(s) > 4 * MIB); /* the bound is not absurd */
    state_version_free(v);
    state_free(s);
    state_log_fini(&log);
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_state_answers_every_question),
        cmocka_unit_test(unknown_things_are_zero),
        cmocka_unit_test(growth_that_is_promised_fits),
        cmocka_unit_test(growth_of_puts_that_is_promised_fits),
    };
    return cmocka_run_group_tests_name("core/state/state", tests, NULL, NULL);
}
