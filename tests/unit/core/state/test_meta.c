/* Tests of core/state/meta: the two small blocks. */
#include "support/tm_test.h"

#include "core/state/meta.h"

static const struct meta sample = {
    .stream = {.region = 1, .shard = 2},
    .position = {.epoch = 3, .seqno = {4}, .chain = {{5, 6, 7}}},
    .leader_time = 8,
    .feature_level = 9,
    .type_count = 10,
    .item_count = 11,
    .producer_count = 12,
    .dedup_count = 13,
    .entry_count = 14,
    .user_count = 15,
    .creator_count = 16,
};

/* The bytes are part of every manifest: pinned here. */
static void meta_bytes_are_pinned(void **state)
{
    (void)state;
    uint8_t bytes[META_SIZE];
    uint8_t wanted[META_SIZE] = {[0] = 1,   [4] = 1,   [6] = 2,   [8] = 3,   [16] = 4,  [24] = 5,
                                 [25] = 6,  [26] = 7,  [56] = 8,  [64] = 9,  [68] = 10, [72] = 11,
                                 [76] = 12, [80] = 13, [88] = 14, [96] = 15, [100] = 16};
    meta_encode(&sample, bytes);
    assert_memory_equal(bytes, wanted, META_SIZE);
    struct meta m;
    assert_true(meta_decode(slice_of(bytes, META_SIZE), &m));
    uint8_t again[META_SIZE];
    meta_encode(&m, again);
    assert_memory_equal(again, bytes, META_SIZE);
}

static void meta_of_other_sizes_or_streams_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[META_SIZE + 1] = {0};
    meta_encode(&sample, bytes);
    struct meta m;
    for (size_t size = 0; size <= META_SIZE + 1; size++) {
        assert_int_equal(meta_decode(slice_of(bytes, size), &m), size == META_SIZE);
    }
    bytes[0] = 2;
    assert_false(meta_decode(slice_of(bytes, META_SIZE), &m));
}

static void members_are_kept_word_for_word(void **state)
{
    (void)state;
    struct alloc alloc;
    alloc_init(&alloc, 0);
    struct record_members members = {
        .count = 2,
        .members = {{.node_id = slice_of_text("a"), .is_voter = 1, .address = slice_of_text("h:1")},
                    {.node_id = slice_of_text("bb"), .is_voter = 0, .address = slice_of(NULL, 0)}}};
    struct block *b = members_block_new(&alloc, &members);
    assert_non_null(b);
    static const uint8_t wanted[] = {2, 0, 0, 0, 1, 'a', 1, 3, 'h', ':', '1', 2, 'b', 'b', 0, 0};
    assert_int_equal(block_size(b), sizeof(wanted));
    uint8_t bytes[sizeof(wanted)];
    block_encode(b, bytes);
    assert_memory_equal(bytes, wanted, sizeof(wanted));
    for (size_t size = 0; size <= sizeof(wanted); size++) {
        assert_int_equal(members_are_valid(slice_of(bytes, size)), size == sizeof(wanted));
    }
    bytes[6] = 2; /* neither voter nor not */
    assert_false(members_are_valid(slice_of(bytes, sizeof(bytes))));
    bytes[6] = 1;
    bytes[0] = MEMBERS_MAX + 1;
    assert_false(members_are_valid(slice_of(bytes, sizeof(bytes))));
    block_release(&alloc, b);
    for (int64_t n = 1; n <= 2; n++) {
        atomic_store(&alloc.fail_countdown, n);
        assert_null(members_block_new(&alloc, &members));
    }
    assert_int_equal(atomic_load(&alloc.used_bytes), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meta_bytes_are_pinned),
        cmocka_unit_test(meta_of_other_sizes_or_streams_is_refused),
        cmocka_unit_test(members_are_kept_word_for_word),
    };
    return cmocka_run_group_tests_name("core/state/meta", tests, NULL, NULL);
}
