/* Tests of base/map: it agrees with the simplest model through growth, collisions and removal. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "base/map.h"
#include "base/random.h"

/* The owner keeps one key per value, as every user of the map does. */
struct owner {
    uint64_t keys[200000];
};

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    const struct owner *o = owner;
    return o->keys[value] == *(const uint64_t *)key;
}

static uint32_t find(const struct map *m, const struct owner *o, uint64_t hash, uint64_t key)
{
    return map_find(m, hash, is_match, o, &key);
}

static struct owner owner;

static void empty_map_finds_and_removes_nothing(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    assert_int_equal(find(&m, &owner, 1, 1), MAP_NONE);
    assert_false(map_remove(&m, 1, 1));
    map_prefetch(&m, 1);
    map_clear(&m);
    assert_int_equal(map_bytes(&m), 0);
    map_fini(&m);
}

/* 150,000 inserts cross many growths; after each, old and new entries are found. */
static void every_entry_is_found_while_the_map_grows(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    enum { COUNT = 150000 };
    struct random random;
    random_init(&random, tm_seed("map growth", 1));
    for (uint32_t i = 0; i < COUNT; i++) {
        owner.keys[i] = hash64_mix(i + 1);
        assert_true(map_insert(&m, owner.keys[i], i));
        uint32_t probe = (uint32_t)random_below(&random, i + 1);
        map_prefetch(&m, owner.keys[probe]);
        assert_int_equal(find(&m, &owner, owner.keys[probe], owner.keys[probe]), probe);
        assert_int_equal(find(&m, &owner, hash64_mix(COUNT + 1 + i), 0), MAP_NONE);
    }
    for (uint32_t i = 0; i < COUNT; i++) {
        assert_int_equal(find(&m, &owner, owner.keys[i], owner.keys[i]), i);
    }
    assert_int_equal(m.count, COUNT);
    assert_true(map_bytes(&m) >= COUNT * sizeof(struct map_slot));
    assert_true(map_bytes(&m) <= 6 * COUNT * sizeof(struct map_slot));
    map_fini(&m);
    assert_int_equal(map_bytes(&m), 0);
}

/* Entries with one hash are told apart by the owner, and removed by value. */
static void equal_hashes_are_told_apart_by_the_owner(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    uint64_t hash = 0xabcdef0000000000;
    for (uint32_t i = 0; i < 40; i++) {
        owner.keys[i] = 1000 + i;
        assert_true(map_insert(&m, hash, i));
    }
    for (uint32_t i = 0; i < 40; i++) {
        assert_int_equal(find(&m, &owner, hash, 1000 + i), i);
    }
    assert_true(map_remove(&m, hash, 20));
    assert_false(map_remove(&m, hash, 20));
    assert_int_equal(find(&m, &owner, hash, 1020), MAP_NONE);
    assert_int_equal(find(&m, &owner, hash, 1039), 39);
    assert_int_equal(m.count, 39);
    map_fini(&m);
}

/* Random inserts and removals against an array; few distinct homes make long clusters that wrap
 * around the end, and growth starts in the middle of everything. */
static void random_changes_agree_with_an_array(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("map model", 1));
    enum { KEYS = 3000, ROUNDS = 200 };
    static bool is_present[KEYS];
    for (int round = 0; round < ROUNDS; round++) {
        struct map m;
        map_init(&m);
        memset(is_present, 0, sizeof(is_present));
        uint64_t homes = round % 2 == 0 ? UINT32_MAX : 1 + random_below(&random, 64);
        uint32_t keys = 1 + (uint32_t)random_below(&random, KEYS);
        uint32_t count = 0;
        for (uint32_t i = 0; i < keys; i++) {
            /* Homes near the end of the table too: -1, -2 ... in 32 bits. */
            owner.keys[i] = (0 - (hash64_mix(i) % homes)) << 32;
        }
        for (uint32_t step = 0; step < 2 * keys; step++) {
            uint32_t i = (uint32_t)random_below(&random, keys);
            uint64_t hash = owner.keys[i];
            if (random_chance(&random, 600000)) {
                if (is_present[i]) continue;
                assert_true(map_insert(&m, hash, i));
                is_present[i] = true;
                count++;
            } else {
                assert_int_equal(map_remove(&m, hash, i), is_present[i]);
                count -= is_present[i];
                is_present[i] = false;
            }
            assert_int_equal(m.count, count);
        }
        for (uint32_t i = 0; i < keys; i++) {
            /* Removal says by value whether the entry is there; put it back to leave it so. */
            bool is_there = map_remove(&m, owner.keys[i], i);
            assert_int_equal(is_there, is_present[i]);
            if (is_there) assert_true(map_insert(&m, owner.keys[i], i));
        }
        map_fini(&m);
    }
}

static void cleared_map_is_empty_and_usable(void **state)
{
    (void)state;
    struct map m;
    map_init(&m);
    for (uint32_t i = 0; i < 1000; i++) {
        owner.keys[i] = hash64_mix(i + 1);
        assert_true(map_insert(&m, owner.keys[i], i));
    }
    map_clear(&m);
    assert_int_equal(m.count, 0);
    assert_int_equal(find(&m, &owner, owner.keys[5], owner.keys[5]), MAP_NONE);
    assert_true(map_insert(&m, owner.keys[5], 5));
    assert_int_equal(find(&m, &owner, owner.keys[5], owner.keys[5]), 5);
    map_fini(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_map_finds_and_removes_nothing),
        cmocka_unit_test(every_entry_is_found_while_the_map_grows),
        cmocka_unit_test(equal_hashes_are_told_apart_by_the_owner),
        cmocka_unit_test(random_changes_agree_with_an_array),
        cmocka_unit_test(cleared_map_is_empty_and_usable),
    };
    return cmocka_run_group_tests_name("base/map", tests, NULL, NULL);
}
