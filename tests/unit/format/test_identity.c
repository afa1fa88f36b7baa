/* Tests of format/identity: both small files survive a round trip, and no damage passes. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "format/identity.h"
#include "support/samples.h"

static uint8_t file[IDENTITY_FILE_SIZE_MAX];
static struct identity sample;
static struct identity back;

static bool decodes(struct slice bytes)
{
    return identity_decode(bytes, &back, NULL) == OK;
}

static void identity_survives_a_round_trip(void **state)
{
    (void)state;
    sample_identity(&sample);
    size_t size = identity_encode(&sample, file);
    assert_true(decodes(slice_of(file, size)));
    assert_string_equal(back.node_id, "north");
    assert_string_equal(back.leader_address, "10.0.0.2:7402");
    assert_int_equal(back.role, ROLE_FOLLOWER);
    assert_int_equal(back.epochs[1].start.v, 70);
    assert_int_equal(back.led[1], 6);
    assert_int_equal(back.intent.step, TRUNCATION_QUARANTINED);
    assert_true(position_equal(&back.log_base, &sample.log_base));
    assert_int_equal(back.log_base_bytes, sample.log_base_bytes);
    static uint8_t again[IDENTITY_FILE_SIZE_MAX];
    assert_int_equal(identity_encode(&back, again), size);
    assert_memory_equal(again, file, size);
}

static void every_flipped_bit_and_every_length_of_identity_is_refused(void **state)
{
    (void)state;
    sample_identity(&sample);
    size_t size = identity_encode(&sample, file);
    assert_int_equal(sample_damage_accepted(file, size, decodes), 0);
    file[size] = 0;
    assert_false(decodes(slice_of(file, size + 1)));
    assert_true(decodes(slice_of(file, size)));
}

static void the_largest_identity_fits_its_file(void **state)
{
    (void)state;
    sample_identity(&sample);
    memset(sample.node_id, 'n', NODE_ID_SIZE_MAX);
    memset(sample.leader_address, 'a', ADDRESS_SIZE_MAX);
    memset(sample.leader_data_address, 'b', ADDRESS_SIZE_MAX);
    sample.epoch_count = EPOCH_TABLE_MAX;
    sample.led_count = IDENTITY_LED_MAX;
    for (uint32_t i = 0; i < EPOCH_TABLE_MAX; i++) {
        sample.epochs[i].epoch.number = i + 1;
        sample.epochs[i].start = seqno_of(i + 1);
    }
    for (uint32_t i = 0; i < IDENTITY_LED_MAX; i++) {
        sample.led[i] = i + 1;
    }
    size_t size = identity_encode(&sample, file);
    assert_in_range(size, 57344, IDENTITY_FILE_SIZE_MAX);
    assert_true(decodes(slice_of(file, size)));
    assert_memory_equal(&back, &sample, sizeof(back));
}

/* Change bytes of an encoded file and seal it again: what a writer with a bug would leave. */
static enum code decode_patched(size_t offset, uint8_t value, struct err *e)
{
    sample_identity(&sample);
    size_t size = identity_encode(&sample, file);
    file[offset] = value;
    struct hash256 hash = hash256_of(slice_of(file, size - 32));
    memcpy(file + size - 32, hash.bytes, 32);
    return identity_decode(slice_of(file, size), &back, e);
}

static void a_newer_version_is_named_and_a_damaged_one_is_damage(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(decode_patched(8, FORMAT_VERSION + 7, &e), E_FORMAT);
    assert_string_equal(e.text,
                        "an identity file is of format version 9, this program reads version 2");
    file[8] = FORMAT_VERSION + 1; /* without sealing again */
    size_t size = load_u32(file + 12);
    assert_int_equal(identity_decode(slice_of(file, size), &back, &e), E_CORRUPT);
}

/* Offsets: 16 head, 8 version, 16 cluster, 8 log key, 1 + 5 node id, 8 incarnation, 4 stream, role
 */
static void impossible_fields_are_refused_even_when_sealed(void **state)
{
    (void)state;
    enum { AT_NODE_ID = 49, AT_ROLE = 66 };
    assert_int_equal(decode_patched(AT_ROLE, ROLE_LEADER, NULL), OK);
    assert_int_equal(decode_patched(AT_ROLE, 0, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_ROLE, 4, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_NODE_ID, 'N', NULL), OK);
    assert_int_equal(decode_patched(AT_NODE_ID, ' ', NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_NODE_ID, '\0', NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_NODE_ID - 1, 65, NULL), E_CORRUPT);
}

/* Replace the one number of that value in the encoded sample and seal the file again. */
static enum code decode_with(uint64_t value, uint64_t other)
{
    uint8_t wanted[8];
    size_t size = identity_encode(&sample, file);
    store_u64(wanted, value);
    uint8_t *at = memmem(file, size, wanted, sizeof(wanted));
    assert_non_null(at);
    store_u64(at, other);
    struct hash256 hash = hash256_of(slice_of(file, size - 32));
    memcpy(file + size - 32, hash.bytes, 32);
    return identity_decode(slice_of(file, size), &back, NULL);
}

static void fields_that_contradict_each_other_are_refused_even_when_sealed(void **state)
{
    (void)state;
    sample_identity(&sample);
    sample.first_segment = 0x51515151;
    sample.last_segment = 0x52525252;
    sample.epochs[1].start = seqno_of(0x53535353);
    sample.led[1] = 0x54545454;
    assert_int_equal(decode_with(0x51515151, 0x52525252), OK);
    assert_int_equal(decode_with(0x51515151, 0x52525253), E_CORRUPT);
    assert_int_equal(decode_with(0x51515151, 0), E_CORRUPT);
    assert_int_equal(decode_with(0x53535353, sample.epochs[0].start.v), E_CORRUPT);
    assert_int_equal(decode_with(0x54545454, sample.led[0]), E_CORRUPT);
}

static void bytes_behind_the_fields_of_identity_are_refused_even_when_sealed(void **state)
{
    (void)state;
    struct err e;
    sample_identity(&sample);
    size_t size = identity_encode(&sample, file) + 1;
    store_u32(file + 12, (uint32_t)size);
    file[size - 33] = 0;
    struct hash256 hash = hash256_of(slice_of(file, size - 32));
    memcpy(file + size - 32, hash.bytes, 32);
    assert_int_equal(identity_decode(slice_of(file, size), &back, &e), E_CORRUPT);
    assert_non_null(strstr(e.text, "bytes follow its fields"));
}

static void epoch_tables_must_ascend(void **state)
{
    (void)state;
    struct epoch_entry entries[3] = {{.epoch = {1, 9}, .start = seqno_of(1)},
                                     {.epoch = {2, 8}, .start = seqno_of(5)},
                                     {.epoch = {4, 7}, .start = seqno_of(6)}};
    assert_true(epoch_entries_are_ascending(entries, 0));
    assert_true(epoch_entries_are_ascending(entries, 3));
    entries[2].start = seqno_of(5);
    assert_false(epoch_entries_are_ascending(entries, 3));
    entries[2] = entries[1];
    entries[2].start = seqno_of(7);
    assert_false(epoch_entries_are_ascending(entries, 3));
}

static bool mark_decodes(struct slice bytes)
{
    struct mark m;
    return mark_decode(bytes, SAMPLE_LOG_KEY, &m);
}

static void mark_survives_a_round_trip(void **state)
{
    (void)state;
    uint8_t slots[MARK_FILE_SIZE] = {0};
    struct mark m = sample_mark();
    struct mark got;
    mark_encode(&m, SAMPLE_LOG_KEY, slots);
    assert_true(mark_decode(slice_of(slots, sizeof(slots)), SAMPLE_LOG_KEY, &got));
    assert_true(position_equal(&got.durable, &m.durable));
    assert_int_equal(got.version, 9);
    assert_int_equal(got.committed.v, 290);
    assert_int_equal(got.segment, 4);
    assert_false(mark_decode(slice_of(slots, sizeof(slots)), SAMPLE_LOG_KEY + 1, &got));
}

static void the_newer_valid_mark_counts(void **state)
{
    (void)state;
    uint8_t slots[MARK_FILE_SIZE];
    struct mark m = sample_mark();
    struct mark got;
    for (int newer = 0; newer < 2; newer++) {
        m.version = newer == 0 ? 11 : 10;
        mark_encode(&m, SAMPLE_LOG_KEY, slots);
        m.version = newer == 0 ? 10 : 11;
        mark_encode(&m, SAMPLE_LOG_KEY, slots + MARK_SLOT_SIZE);
        assert_true(mark_decode(slice_of(slots, sizeof(slots)), SAMPLE_LOG_KEY, &got));
        assert_int_equal(got.version, 11);
        slots[newer * (int)MARK_SLOT_SIZE + 30] ^= 4;
        assert_true(mark_decode(slice_of(slots, sizeof(slots)), SAMPLE_LOG_KEY, &got));
        assert_int_equal(got.version, 10);
        slots[(1 - newer) * (int)MARK_SLOT_SIZE + 127] ^= 4;
        assert_false(mark_decode(slice_of(slots, sizeof(slots)), SAMPLE_LOG_KEY, &got));
    }
}

static void every_flipped_bit_and_every_length_of_a_mark_is_refused(void **state)
{
    (void)state;
    uint8_t slot[MARK_SLOT_SIZE];
    struct mark m = sample_mark();
    mark_encode(&m, SAMPLE_LOG_KEY, slot);
    assert_true(mark_decodes(slice_of(slot, sizeof(slot))));
    assert_int_equal(sample_damage_accepted(slot, sizeof(slot), mark_decodes), 0);
}

static void roles_have_names(void **state)
{
    (void)state;
    assert_string_equal(role_name(ROLE_SINGLE), "single");
    assert_string_equal(role_name(ROLE_LEADER), "leader");
    assert_string_equal(role_name(ROLE_FOLLOWER), "follower");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identity_survives_a_round_trip),
        cmocka_unit_test(every_flipped_bit_and_every_length_of_identity_is_refused),
        cmocka_unit_test(the_largest_identity_fits_its_file),
        cmocka_unit_test(a_newer_version_is_named_and_a_damaged_one_is_damage),
        cmocka_unit_test(impossible_fields_are_refused_even_when_sealed),
        cmocka_unit_test(fields_that_contradict_each_other_are_refused_even_when_sealed),
        cmocka_unit_test(bytes_behind_the_fields_of_identity_are_refused_even_when_sealed),
        cmocka_unit_test(epoch_tables_must_ascend),
        cmocka_unit_test(mark_survives_a_round_trip),
        cmocka_unit_test(the_newer_valid_mark_counts),
        cmocka_unit_test(every_flipped_bit_and_every_length_of_a_mark_is_refused),
        cmocka_unit_test(roles_have_names),
    };
    return cmocka_run_group_tests_name("format/identity", tests, NULL, NULL);
}
