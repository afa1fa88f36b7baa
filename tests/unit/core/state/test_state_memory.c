/* Tests of what the state does when memory is refused: one long story with everything that a record
 * can do, in which the n-th allocation fails, for every n, in applying, freezing and pinning. */
#include "support/tm_test.h"

#include "base/random.h"
#include "format/put_fields.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)
#define HOUR_MS  UINT64_C(3600000)

enum { ROUNDS = 14, ITEMS = 40, USERS = 9 };

static struct random dice;

static struct slice key_of(char out[16], char letter, uint64_t number)
{
    int size = snprintf(out, 16, "%c%u", letter, (unsigned)number);
    return slice_of(out, (size_t)size);
}

static void declare_type(struct state_log *l, uint32_t id, const char *name, uint8_t mode)
{
    struct record r = state_log_type_record(id, name, HOUR_MS);
    r.as.schema.mode = mode;
    r.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_ALL;
    state_log_record(l, &r);
}

static void declare_field(struct state_log *l, uint32_t id, const char *name, uint8_t kind)
{
    struct record r = {
        .kind = RECORD_SCHEMA,
        .as.schema = {
            .subject = SCHEMA_FIELD, .id = id, .name = slice_of_text(name), .field_kind = kind}};
    state_log_record(l, &r);
}

static void signal_item(struct state_log *l, uint32_t type_id)
{
    char item[16];
    char user[16];
    uint64_t late_ms = random_below(&dice, 3) == 0 ? random_below(&dice, 3 * HOUR_MS) : 0;
    struct signal_entry entry = {
        .flags = SIGNAL_HAS_WEIGHT | SIGNAL_HAS_USER | SIGNAL_HAS_KEY,
        .type_id = type_id,
        .item = key_of(item, 'i', random_below(&dice, ITEMS)),
        .time_ms = (int64_t)(l->leader_ms - late_ms),
        .weight = random_below(&dice, 4) == 0 ? -2.0 : 1.5,
        .user = key_of(user, 'u', random_below(&dice, USERS)),
    };
    uint64_t key = random_next(&dice);
    memcpy(entry.key.bytes, &key, sizeof(key));
    struct record_envelope envelope = {.flags = 0};
    state_log_entries(l, &envelope, &entry, 1);
}

static void undo(struct state_log *l, uint32_t type_id)
{
    char item[16];
    char user[16];
    struct record r = {.kind = RECORD_SIGNAL_UNDO};
    r.as.undo = (struct record_undo){.type_id = type_id,
                                     .item = key_of(item, 'i', random_below(&dice, ITEMS)),
                                     .user = key_of(user, 'u', random_below(&dice, USERS)),
                                     .time_ms = (int64_t)l->leader_ms};
    state_log_record(l, &r);
}

static void put(struct state_log *l, enum record_kind kind, char letter)
{
    uint8_t room[512];
    uint8_t tag_room[64];
    char key[16];
    char creator[16];
    char tag[16];
    struct bytes_writer tags = bytes_writer_of(tag_room, sizeof(tag_room));
    bytes_write_slice8(&tags, key_of(tag, 't', random_below(&dice, 30)));
    bytes_write_slice8(&tags, slice_of_text("always"));
    struct put_field fields[] = {
        {.name = slice_of_text("body"), .tag = PUT_TEXT, .text = slice_of_text("some words")},
        {.name = slice_of_text("seen"), .tag = PUT_INT, .integer = (int64_t)START_MS},
        {.name = slice_of_text("topic"), .tag = PUT_TAGS, .tag_count = 2},
        {.name = slice_of_text("year"), .tag = PUT_REAL, .real = 2000.5},
    };
    fields[2].tags = bytes_reader_of(bytes_written_slice(&tags));
    struct bytes_writer w = bytes_writer_of(room, sizeof(room));
    uint64_t first = random_below(&dice, COUNT_OF(fields) + 1);
    bytes_write_varint(&w, COUNT_OF(fields) - first);
    for (uint64_t i = first; i < COUNT_OF(fields); i++) {
        if (random_below(&dice, 6) == 0) fields[i] = (struct put_field){.name = fields[i].name};
        put_field_write(&w, &fields[i]);
    }
    struct record r = {.kind = kind};
    r.as.put = (struct record_put){.key = key_of(key, letter, random_below(&dice, ITEMS)),
                                   .fields = bytes_written_slice(&w)};
    if (kind == RECORD_ITEM_PUT) {
        r.as.put.creator = key_of(creator, 'c', random_below(&dice, 5));
        r.as.put.has_created = random_below(&dice, 2) == 0;
        r.as.put.created_ms = r.as.put.has_created ? (int64_t)START_MS - 5 : 0;
    }
    state_log_record(l, &r);
}

static void delete_item(struct state_log *l)
{
    char item[16];
    struct record r = {.kind = RECORD_ITEM_DELETE};
    r.as.item_ref.key = key_of(item, 'i', random_below(&dice, ITEMS));
    state_log_record(l, &r);
}

static void note_producer(struct state_log *l, uint64_t number)
{
    char name[16];
    struct record r = {.kind = RECORD_PRODUCER};
    r.envelope = (struct record_envelope){
        .flags = ENVELOPE_PRODUCER, .producer = key_of(name, 'p', number), .producer_number = 1};
    state_log_record(l, &r);
}

static void write_story(struct state_log *l)
{
    random_init(&dice, 7);
    declare_type(l, 1, "view", SIGNAL_MODE_COUNT);
    state_log_seal(l);
    declare_type(l, 2, "like", SIGNAL_MODE_ONCE);
    declare_type(l, 3, "rate", SIGNAL_MODE_LATEST);
    declare_field(l, 1, "topic", SCHEMA_FIELD_TAG);
    state_log_seal(l);
    for (uint32_t round = 0; round < ROUNDS; round++) {
        if (round == 4) declare_field(l, 2, "year", SCHEMA_FIELD_NUM);
        if (round == 5) declare_field(l, 3, "seen", SCHEMA_FIELD_TIME);
        for (uint32_t i = 0; i < 12; i++) {
            signal_item(l, 1 + i % 3);
            if (i % 4 == 1) undo(l, 2 + i % 2);
            if (i % 3 == 0) put(l, RECORD_ITEM_PUT, 'i');
            if (i % 6 == 0) put(l, RECORD_USER_PUT, 'u');
            if (i % 6 == 3) put(l, RECORD_CREATOR_PUT, 'c');
            if (i % 5 == 4) delete_item(l);
        }
        note_producer(l, round);
        state_log_seal(l);
        l->leader_ms += round % 5 == 4 ? 30 * HOUR_MS : HOUR_MS / 3;
    }
}

/* True when an allocation failed: then the batch says so, and the state takes nothing more. */
static bool apply_until_refused(const struct state_log *l, struct state *s)
{
    for (size_t i = 0; i < l->batch_count; i++) {
        struct state_outcome out;
        struct err e = {.code = OK};
        struct position before = state_position(s);
        enum code code = state_log_try(l, i, s, &out, &e);
        if (code == OK) continue;
        assert_int_equal(code, E_NOMEMORY);
        assert_true(e.text[0] != '\0');
        assert_int_equal(state_position(s).seqno.v, before.seqno.v);
        return true;
    }
    return false;
}

static void each_allocation_of_applying_may_fail(void **state)
{
    (void)state;
    struct state_log log;
    state_log_init(&log, START_MS);
    write_story(&log);
    bool is_refused = true;
    int64_t nth = 0;
    while (is_refused) {
        struct alloc alloc;
        alloc_init(&alloc, 0);
        struct state *s = state_log_state(&log, &alloc);
        atomic_store(&alloc.fail_countdown, ++nth);
        is_refused = apply_until_refused(&log, s);
        atomic_store(&alloc.fail_countdown, -1);
        if (is_refused && !state_is_whole(s)) {
            assert_null(state_pin(s));
            assert_null(state_freeze(s));
        }
        state_free(s);
        assert_int_equal(atomic_load(&alloc.used_bytes), 0);
    }
    assert_true(nth > 100);
    state_log_fini(&log);
}

static void each_allocation_of_freezing_and_pinning_may_fail(void **state)
{
    (void)state;
    struct state_log log;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    write_story(&log);
    struct state *s = state_log_state(&log, &alloc);
    state_log_apply(&log, 0, log.batch_count, s);
    struct hash256 root = state_log_root(s);
    bool is_refused = true;
    for (int64_t nth = 1; is_refused; nth++) {
        atomic_store(&alloc.fail_countdown, nth);
        struct state *frozen = state_freeze(s);
        struct state_version *version = frozen != NULL ? state_pin(s) : NULL;
        is_refused = frozen == NULL || version == NULL;
        atomic_store(&alloc.fail_countdown, -1);
        state_free(frozen);
        state_version_free(version);
    }
    struct hash256 again = state_log_root(s);
    assert_memory_equal(&root, &again, sizeof(root));
    state_free(s);
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
    state_log_fini(&log);
}

/* A question to a copy that shares every block is answered as by the state itself. */
static void a_frozen_state_of_everything_answers_alike(void **state)
{
    (void)state;
    struct state_log log;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    state_log_init(&log, START_MS);
    write_story(&log);
    struct state *s = state_log_state(&log, &alloc);
    state_log_apply(&log, 0, log.batch_count, s);
    struct state *frozen = state_freeze(s);
    assert_non_null(frozen);
    assert_int_equal(state_field_count(frozen), state_field_count(s));
    for (uint32_t item = 0; item < state_item_count(s); item++) {
        assert_int_equal(state_item_is_deleted(frozen, item), state_item_is_deleted(s, item));
        for (uint32_t type = 1; type <= 3; type++) {
            assert_int_equal(state_count_all(frozen, type, item), state_count_all(s, type, item));
            assert_int_equal(state_count_window(frozen, type, item, WINDOW_24H),
                             state_count_window(s, type, item, WINDOW_24H));
            assert_int_equal(state_count_window(s, type, item, WINDOW_ALL),
                             state_count_all(s, type, item));
        }
    }
    state_free(frozen);
    state_free(s);
    state_log_fini(&log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_of_applying_may_fail),
        cmocka_unit_test(each_allocation_of_freezing_and_pinning_may_fail),
        cmocka_unit_test(a_frozen_state_of_everything_answers_alike),
    };
    return cmocka_run_group_tests_name("core/state/memory", tests, NULL, NULL);
}
