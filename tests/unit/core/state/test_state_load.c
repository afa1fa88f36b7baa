/* Tests of core/state/state_load: what loads is what was saved, and damage is an answer. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct state_version *v;
};

/* A small state with a block of every kind, pinned. */
static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    w->s = state_log_state(&w->log, &w->alloc);
    struct record type = state_log_type_record(1, "view", 3600000);
    type.as.schema.windows = WINDOW_1H | WINDOW_24H | WINDOW_ALL;
    state_log_record(&w->log, &type);
    state_log_signal(&w->log, 1, "a", (int64_t)START_MS, 1.0);
    state_log_signal(&w->log, 1, "bb", (int64_t)START_MS - 5000, -3.0);
    struct record_envelope envelope = {.flags = ENVELOPE_KEY | ENVELOPE_PRODUCER,
                                       .key = {{9}},
                                       .producer = slice_of_text("file"),
                                       .producer_number = 7};
    struct signal_entry entry = {
        .type_id = 1, .item = slice_of_text("ccc"), .time_ms = (int64_t)START_MS, .weight = 1.0};
    state_log_entries(&w->log, &envelope, &entry, 1);
    static const uint8_t fields[] = {2, 1, 'n', 2, 8, 1, 't', 1, 2, 'h', 'i'};
    struct record put = {.kind = RECORD_ITEM_PUT};
    put.as.put = (struct record_put){.key = slice_of_text("bb"),
                                     .creator = slice_of_text("carol"),
                                     .fields = slice_of(fields, sizeof(fields))};
    state_log_record(&w->log, &put);
    put = (struct record){.kind = RECORD_USER_PUT};
    put.as.put =
        (struct record_put){.key = slice_of_text("u1"), .fields = slice_of(fields, sizeof(fields))};
    state_log_record(&w->log, &put);
    put.kind = RECORD_CREATOR_PUT;
    put.as.put.key = slice_of_text("carol");
    state_log_record(&w->log, &put);
    struct record deletion = {.kind = RECORD_ITEM_DELETE, .as.item_ref.key = slice_of_text("ccc")};
    state_log_record(&w->log, &deletion);
    struct record members = {.kind = RECORD_MEMBERS};
    members.as.members = (struct record_members){
        .count = 1,
        .members = {
            {.node_id = slice_of_text("n1"), .is_voter = 1, .address = slice_of_text("h:1")}}};
    state_log_record(&w->log, &members);
    type = state_log_type_record(2, "like", 3600000);
    type.as.schema.mode = SIGNAL_MODE_ONCE;
    type.as.schema.windows = WINDOW_24H;
    state_log_record(&w->log, &type);
    static const char *const liked[] = {"a", "bb"};
    for (size_t i = 0; i < COUNT_OF(liked); i++) {
        struct signal_entry like = {.flags = SIGNAL_HAS_USER,
                                    .type_id = 2,
                                    .item = slice_of_text(liked[i]),
                                    .time_ms = (int64_t)START_MS,
                                    .weight = 1.0,
                                    .user = slice_of_text("u1")};
        state_log_entries(&w->log, NULL, &like, 1);
    }
    struct record undo = {.kind = RECORD_SIGNAL_UNDO};
    undo.as.undo = (struct record_undo){.type_id = 2,
                                        .item = slice_of_text("bb"),
                                        .user = slice_of_text("u1"),
                                        .time_ms = (int64_t)START_MS};
    state_log_record(&w->log, &undo);
    state_log_seal(&w->log);
    state_log_apply(&w->log, 0, 1, w->s);
    w->v = state_pin(w->s);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    state_version_free(w->v);
    state_free(w->s);
    state_log_fini(&w->log);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w);
    return left == 0 ? 0 : -1;
}

static void a_loaded_state_answers_as_before(void **state)
{
    struct world *w = *state;
    struct state *l = state_log_reload(&w->log, w->s, &w->alloc);
    struct position before = state_position(w->s);
    struct position after = state_position(l);
    assert_true(position_equal(&before, &after));
    assert_int_equal(state_leader_time(l), state_leader_time(w->s));
    assert_int_equal(state_item_count(l), 3);
    uint32_t b = state_item_find(l, slice_of_text("bb"));
    assert_int_equal(b, 1);
    assert_int_equal(state_item_created_ms(l, b), START_MS - 5000);
    assert_same_double(state_score(l, 1, b, 0, (int64_t)START_MS),
                       state_score(w->s, 1, b, 0, (int64_t)START_MS));
    assert_int_equal(state_count_all(l, 1, b), 1);
    struct write_ref where;
    struct id128 key = {{9}};
    assert_true(state_dedup_find(l, &key, &where));
    assert_int_equal(where.seqno.v, 4);
    uint64_t number;
    assert_true(state_producer_find(l, slice_of_text("file"), &number, &where));
    assert_int_equal(number, 7);
    assert_string_equal(state_type_by_id(l, 1)->name, "view");
    struct put_field field;
    assert_true(state_entity_field(l, ENTITY_ITEM, b, slice_of_text("t"), &field));
    assert_true(slice_equal(field.text, slice_of_text("hi")));
    struct entity item = state_entity(l, ENTITY_ITEM, b);
    assert_true(slice_equal(state_creator_key(l, item.creator), slice_of_text("carol")));
    assert_int_equal(state_user_count(l), 1);
    assert_int_equal(state_user_find(l, slice_of_text("u1")), 0);
    assert_int_equal(state_creator_count(l), 1);
    assert_int_equal(state_creator_find(l, slice_of_text("carol")), 0);
    assert_true(state_entity_field(l, ENTITY_USER, 0, slice_of_text("n"), &field));
    assert_int_equal(field.integer, 4);
    assert_true(state_item_is_deleted(l, state_item_find(l, slice_of_text("ccc"))));
    assert_int_equal(state_item_live_count(l), 2);
    /* and it goes on as the other one does */
    state_log_signal(&w->log, 1, "a", (int64_t)START_MS + 1000, 1.0);
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
    state_log_apply(&w->log, i, i + 1, l);
    struct hash256 x = state_log_root(w->s);
    struct hash256 y = state_log_root(l);
    assert_true(hash256_equal(&x, &y));
    state_free(l);
}

/* Every single-bit flip in the small blocks and the heads of the large ones, and many in the rest:
 * never a crash; the hash always tells, and what still loads has another root. */
static void every_bit_flip_is_told_by_hash_or_load(void **state)
{
    struct world *w = *state;
    uint8_t *bytes = malloc(state_version_block_size_max(w->v));
    struct hash256 root = state_log_root(w->s);
    uint32_t refused = 0;
    uint32_t loaded = 0;
    for (uint32_t i = 0; i < state_version_block_count(w->v); i++) {
        uint32_t size = state_version_block_size(w->v, i);
        struct hash256 hash = state_version_block_hash(w->v, i, NULL);
        state_version_block_encode(w->v, i, bytes);
        for (uint32_t bit = 0; bit < size * 8; bit += size < 1000 || bit < 512 ? 1 : 211) {
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
            struct hash256 changed = hash256_of(slice_of(bytes, size));
            assert_false(hash256_equal(&hash, &changed));
            struct state *l = state_log_state(&w->log, &w->alloc);
            struct err e;
            enum code code = state_log_load(w->v, l, i, bytes, &e);
            if (code == OK) {
                struct hash256 other = state_log_root(l);
                assert_false(hash256_equal(&root, &other));
                loaded++;
            } else {
                assert_int_equal(code, E_CORRUPT);
                assert_null(state_pin(l));
                refused++;
            }
            state_free(l);
            bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
    }
    print_message("%u flips refused by load, %u told by the hash alone\n", refused, loaded);
    free(bytes);
}

/* Every block cut at every length, and with a byte too many. */
static void every_truncation_is_refused(void **state)
{
    struct world *w = *state;
    uint8_t *bytes = calloc(1, state_version_block_size_max(w->v) + 1);
    for (uint32_t i = 0; i < state_version_block_count(w->v); i++) {
        uint32_t size = state_version_block_size(w->v, i);
        for (uint32_t cut = 0; cut <= size + 1; cut += size < 1000 ? 1 : 997) {
            /* A bucket of events may be shorter; the root tells. */
            bool is_window = state_version_block_id(w->v, i).kind == BLOCK_WINDOW;
            if (cut == size || (is_window && cut > 0 && cut < size && cut % 8 == 0)) continue;
            struct state *l = state_log_state(&w->log, &w->alloc);
            struct err e;
            enum code code = OK;
            for (uint32_t k = 0; k <= i && code == OK; k++) {
                state_version_block_encode(w->v, k, bytes);
                uint32_t given = k == i ? cut : state_version_block_size(w->v, k);
                code = state_load_block(l, state_version_block_id(w->v, k), slice_of(bytes, given),
                                        &e);
            }
            assert_int_equal(code, E_CORRUPT);
            state_free(l);
        }
    }
    free(bytes);
}

/* Each block left out, each twice, and the last two exchanged. */
static void missing_and_misplaced_blocks_are_refused(void **state)
{
    struct world *w = *state;
    uint32_t count = state_version_block_count(w->v);
    uint8_t *bytes = malloc(state_version_block_size_max(w->v));
    struct position position = state_version_position(w->v);
    uint64_t leader_time = state_version_leader_time(w->v);
    for (uint32_t odd = 0; odd < 2 * count; odd++) {
        struct state *l = state_log_state(&w->log, &w->alloc);
        struct err e;
        enum code code = OK;
        bool is_left_out = odd < count;
        uint32_t at = odd % count;
        uint32_t kind = state_version_block_id(w->v, at).kind;
        for (uint32_t i = 0; i < count && code == OK; i++) {
            state_version_block_encode(w->v, i, bytes);
            struct block_id id = state_version_block_id(w->v, i);
            struct slice block = slice_of(bytes, state_version_block_size(w->v, i));
            if (i == at && is_left_out) continue;
            code = state_load_block(l, id, block, &e);
            if (i == at && code == OK) code = state_load_block(l, id, block, &e);
        }
        if (code == OK) code = state_load_end(l, &position, leader_time, &e);
        bool is_plain_count =
            kind == BLOCK_COUNT && state_version_block_id(w->v, at).number >> 40 == 1;
        /* Sums, counts of events, windows, members and fields may be absent in a sound state: the
         * root tells.
         */
        bool is_optional =
            is_left_out && (kind == BLOCK_COLUMN || is_plain_count || kind == BLOCK_MEMBERS ||
                            kind == BLOCK_WINDOW || kind == BLOCK_ITEM_FIELDS ||
                            kind == BLOCK_USER_FIELDS || kind == BLOCK_CREATOR_FIELDS);
        assert_int_equal(code, is_optional ? OK : E_CORRUPT);
        state_free(l);
    }
    free(bytes);
}

static void the_end_must_fit_the_meta_block(void **state)
{
    struct world *w = *state;
    struct position position = state_version_position(w->v);
    uint64_t leader_time = state_version_leader_time(w->v);
    uint8_t *bytes = malloc(state_version_block_size_max(w->v));
    struct err e;
    for (int damage = 0; damage < 4; damage++) {
        struct state *l = state_log_state(&w->log, &w->alloc);
        for (uint32_t i = 0; i < state_version_block_count(w->v); i++) {
            state_version_block_encode(w->v, i, bytes);
            struct slice block = slice_of(bytes, state_version_block_size(w->v, i));
            assert_int_equal(state_load_block(l, state_version_block_id(w->v, i), block, &e), OK);
        }
        struct position other = position;
        if (damage == 0) other.seqno.v++;
        if (damage == 1) other.chain.bytes[31] ^= 1;
        uint64_t other_time = damage == 2 ? leader_time + 1 : leader_time;
        enum code wanted = damage == 3 ? OK : E_CORRUPT;
        assert_int_equal(state_load_end(l, &other, other_time, &e), wanted);
        state_free(l);
    }
    struct state *empty = state_log_state(&w->log, &w->alloc);
    assert_int_equal(state_load_end(empty, &position, leader_time, &e), E_CORRUPT);
    state_free(empty);
    free(bytes);
}

/* A state of another stream, of unknown kinds, or one that lives already, takes no block. */
static void blocks_that_do_not_belong_are_refused(void **state)
{
    struct world *w = *state;
    uint8_t bytes[256];
    struct err e;
    state_version_block_encode(w->v, 0, bytes);
    struct slice meta = slice_of(bytes, state_version_block_size(w->v, 0));
    struct block_id meta_id = {.kind = BLOCK_META, .number = 0};
    struct block_id unknown = {.kind = 99, .number = 0};
    struct stream_id stream = {.region = 4, .shard = 0};
    struct state *other = state_new(&w->alloc, w->log.cluster, stream);
    assert_int_equal(state_load_block(other, meta_id, meta, &e), E_CORRUPT);
    state_free(other);
    struct state *l = state_log_state(&w->log, &w->alloc);
    assert_int_equal(state_load_block(l, unknown, meta, &e), E_CORRUPT);
    assert_int_equal(state_load_block(l, meta_id, meta, &e), OK);
    assert_int_equal(state_load_block(l, unknown, meta, &e), E_CORRUPT);
    state_free(l);
    assert_int_equal(state_load_block(w->s, meta_id, meta, &e), E_CORRUPT);
}

static void refused_memory_is_an_answer(void **state)
{
    struct world *w = *state;
    bool is_done = false;
    uint32_t refused = 0;
    for (int64_t n = 2; !is_done; n++) {
        struct alloc alloc;
        alloc_init(&alloc, 0);
        atomic_store(&alloc.fail_countdown, n);
        struct state *l = state_log_state(&w->log, &alloc);
        struct err e;
        enum code code = state_log_load(w->v, l, 0, NULL, &e);
        is_done = code == OK;
        if (!is_done) assert_int_equal(code, E_NOMEMORY);
        refused += !is_done;
        state_free(l);
        assert_int_equal(atomic_load(&alloc.used_bytes), 0);
    }
    assert_true(refused >= 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_loaded_state_answers_as_before, begin, end),
        cmocka_unit_test_setup_teardown(every_bit_flip_is_told_by_hash_or_load, begin, end),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, begin, end),
        cmocka_unit_test_setup_teardown(missing_and_misplaced_blocks_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(the_end_must_fit_the_meta_block, begin, end),
        cmocka_unit_test_setup_teardown(blocks_that_do_not_belong_are_refused, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_is_an_answer, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/state_load", tests, NULL, NULL);
}
