/* Tests of core/state/state_version: a pinned version never changes, whatever happens meanwhile. */
#include "support/tm_test.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/random.h"
#include "support/state_log.h"

#define START_MS UINT64_C(1700000000000)

struct world {
    struct alloc alloc;
    struct state_log log;
    struct state *s;
    struct random random;
};

static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    state_log_init(&w->log, START_MS);
    random_init(&w->random, 1);
    w->s = state_log_state(&w->log, &w->alloc);
    struct record type = state_log_type_record(1, "view", 3600000);
    type.as.schema.windows = WINDOW_1H | WINDOW_7D | WINDOW_30D | WINDOW_ALL;
    state_log_record(&w->log, &type);
    state_log_type(&w->log, 2, "share", 60000);
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

/* A batch that touches every kind of block. */
static void step(struct world *w, uint32_t entries)
{
    for (uint32_t i = 0; i < entries; i++) {
        char key[16];
        int size = snprintf(key, sizeof(key), "i%u", (unsigned)random_below(&w->random, 9000));
        char producer[8];
        int producer_size =
            snprintf(producer, sizeof(producer), "p%u", (unsigned)random_below(&w->random, 1200));
        struct record_envelope envelope = {.flags = ENVELOPE_KEY | ENVELOPE_PRODUCER,
                                           .producer = slice_of(producer, (size_t)producer_size),
                                           .producer_number = w->log.leader_ms};
        memcpy(envelope.key.bytes, &i, sizeof(i));
        memcpy(envelope.key.bytes + 8, &w->log.leader_ms, 8);
        struct signal_entry entry = {.flags = SIGNAL_HAS_WEIGHT,
                                     .type_id = 1 + (uint32_t)random_below(&w->random, 2),
                                     .item = slice_of(key, (size_t)size),
                                     .time_ms = (int64_t)w->log.leader_ms,
                                     .weight = i % 3 == 0 ? -1.0 : 2.0};
        state_log_entries(&w->log, &envelope, &entry, 1);
    }
    for (uint32_t i = 0; i < 20; i++) {
        static const enum record_kind kinds[] = {RECORD_ITEM_PUT, RECORD_USER_PUT,
                                                 RECORD_CREATOR_PUT};
        uint8_t fields[] = {1, 1, 'n', 4, i % 2};
        char key[16];
        int size = snprintf(key, sizeof(key), "i%u", (unsigned)random_below(&w->random, 9000));
        struct record put = {.kind = kinds[i % 3]};
        put.as.put = (struct record_put){.key = slice_of(key, (size_t)size),
                                         .fields = slice_of(fields, sizeof(fields))};
        state_log_record(&w->log, &put);
    }
    struct record members = {.kind = RECORD_MEMBERS};
    members.as.members = (struct record_members){
        .count = 1, .members = {{.node_id = slice_of_text("n"), .address = slice_of_text("h:1")}}};
    state_log_record(&w->log, &members);
    w->log.leader_ms += 45000;
    size_t i = state_log_seal(&w->log);
    state_log_apply(&w->log, i, i + 1, w->s);
}

static struct hash256 root_of(struct state_version *v)
{
    uint8_t *scratch = malloc(state_version_block_size_max(v));
    struct hash256 root;
    assert_true(state_version_root(v, scratch, &root));
    free(scratch);
    return root;
}

static void blocks_come_in_ascending_id(void **state)
{
    struct world *w = *state;
    step(w, 20000);
    struct state_version *v = state_pin(w->s);
    uint32_t kinds = 0;
    uint32_t largest = 0;
    for (uint32_t i = 0; i < state_version_block_count(v); i++) {
        struct block_id id = state_version_block_id(v, i);
        kinds |= 1u << id.kind;
        if (i > 0) assert_true(block_id_compare(state_version_block_id(v, i - 1), id) < 0);
        uint32_t size = state_version_block_size(v, i);
        assert_true(size > 0);
        if (size > largest) largest = size;
    }
    assert_int_equal(kinds, 0xfbfe); /* every kind but 10, which edges have */
    assert_int_equal(largest, state_version_block_size_max(v));
    struct position at = state_position(w->s);
    struct position pinned = state_version_position(v);
    assert_true(position_equal(&at, &pinned));
    assert_int_equal(state_version_leader_time(v), state_leader_time(w->s));
    state_version_free(v);
}

/* The hash kept in a block is that of the bytes which block_encode gives. */
static void hashes_are_those_of_the_encoded_bytes(void **state)
{
    struct world *w = *state;
    step(w, 2000);
    for (int round = 0; round < 2; round++) {
        struct state_version *v = state_pin(w->s);
        uint8_t *bytes = malloc(state_version_block_size_max(v));
        uint32_t count = state_version_block_count(v);
        struct block_entry *entries = calloc(count, sizeof(*entries));
        for (uint32_t i = 0; i < count; i++) {
            state_version_block_encode(v, i, bytes);
            entries[i] = (struct block_entry){.id = state_version_block_id(v, i),
                                              .size = state_version_block_size(v, i)};
            entries[i].hash = hash256_of(slice_of(bytes, entries[i].size));
            struct hash256 hash = state_version_block_hash(v, i, bytes);
            assert_true(hash256_equal(&hash, &entries[i].hash));
        }
        struct hash256 root = root_of(v);
        struct hash256 expected = state_root(entries, count);
        assert_true(hash256_equal(&root, &expected));
        free(entries);
        free(bytes);
        state_version_free(v);
        step(w, 10); /* the second round has clean blocks and dirty ones */
    }
}

/* Versions pinned at many places, hashed only after the state moved on and was freed. */
static void versions_do_not_change_while_apply_goes_on(void **state)
{
    enum { VERSIONS = 25 };
    struct world *w = *state;
    struct state_version *versions[VERSIONS];
    struct hash256 roots[VERSIONS];
    for (uint32_t i = 0; i < VERSIONS; i++) {
        step(w, 400);
        versions[i] = state_pin(w->s);
        struct state *copy = state_log_reload(&w->log, w->s, &w->alloc);
        roots[i] = state_log_root(copy);
        state_free(copy);
    }
    step(w, 5000);
    state_free(w->s);
    w->s = NULL;
    for (uint32_t i = 0; i < VERSIONS; i++) {
        struct hash256 root = root_of(versions[i]);
        assert_true(hash256_equal(&root, &roots[i]));
        state_version_free(versions[i]);
    }
}

static void refused_memory_pins_nothing(void **state)
{
    struct world *w = *state;
    step(w, 10);
    uint64_t used = atomic_load(&w->alloc.used_bytes);
    for (int64_t n = 1; n <= 2; n++) {
        atomic_store(&w->alloc.fail_countdown, n);
        assert_null(state_pin(w->s));
        assert_int_equal(atomic_load(&w->alloc.used_bytes), used);
    }
    struct state_version *v = state_pin(w->s);
    struct hash256 root;
    atomic_store(&w->alloc.fail_countdown, 1);
    assert_false(state_version_root(v, NULL, &root));
    assert_true(state_version_root(v, NULL, &root));
    state_version_free(v);
    state_version_free(NULL);
}

struct hashing {
    struct state_version *v;
    struct hash256 root;
};

static void *hash_and_free(void *arg)
{
    struct hashing *h = arg;
    uint8_t *scratch = malloc(state_version_block_size_max(h->v));
    if (!state_version_root(h->v, scratch, &h->root)) abort();
    free(scratch);
    state_version_free(h->v);
    return NULL;
}

/* Two threads hash and free versions that share blocks while the owner applies. Under a thread
 * sanitizer this shows that the holds are enough; everywhere it shows that the roots are right. */
static void versions_are_hashed_by_other_threads(void **state)
{
    enum { ROUNDS = 12, THREADS = 2 };
    struct world *w = *state;
    step(w, 3000);
    for (int round = 0; round < ROUNDS; round++) {
        struct hashing work[THREADS];
        pthread_t threads[THREADS];
        struct state *copy = state_log_reload(&w->log, w->s, &w->alloc);
        struct hash256 expected = state_log_root(copy);
        state_free(copy);
        for (int i = 0; i < THREADS; i++) {
            work[i].v = state_pin(w->s);
            if (pthread_create(&threads[i], NULL, hash_and_free, &work[i]) != 0) abort();
        }
        step(w, 300);
        for (int i = 0; i < THREADS; i++) {
            pthread_join(threads[i], NULL);
            assert_true(hash256_equal(&work[i].root, &expected));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(blocks_come_in_ascending_id, begin, end),
        cmocka_unit_test_setup_teardown(hashes_are_those_of_the_encoded_bytes, begin, end),
        cmocka_unit_test_setup_teardown(versions_do_not_change_while_apply_goes_on, begin, end),
        cmocka_unit_test_setup_teardown(refused_memory_pins_nothing, begin, end),
        cmocka_unit_test_setup_teardown(versions_are_hashed_by_other_threads, begin, end),
    };
    return cmocka_run_group_tests_name("core/state/state_version", tests, NULL, NULL);
}
