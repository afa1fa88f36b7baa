/* Tests of format/slotfile: the catalogue of followers is whole or refused. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "format/slotfile.h"
#include "support/samples.h"

static uint8_t file[SLOTFILE_SIZE_MAX];
static struct slot_record back[SLOTS_MAX];

static bool decodes(struct slice bytes)
{
    uint32_t count = 0;
    return slotfile_decode(bytes, back, &count, NULL) == OK;
}

static size_t encode(uint32_t count)
{
    static struct slot_record slots[SLOTS_MAX];
    for (uint32_t i = 0; i < count; i++) {
        slots[i] = sample_slot((uint8_t)i);
    }
    return slotfile_encode(slots, count, file);
}

static void a_catalogue_survives_a_round_trip(void **state)
{
    (void)state;
    uint32_t count = 0;
    for (uint32_t n = 0; n <= SLOTS_MAX; n += 16) {
        size_t size = encode(n);
        assert_int_equal(slotfile_decode(slice_of(file, size), back, &count, NULL), OK);
        assert_int_equal(count, n);
        for (uint32_t i = 0; i < n; i++) {
            struct slot_record expected = sample_slot((uint8_t)i);
            assert_string_equal(back[i].node_id, expected.node_id);
            assert_string_equal(back[i].address, expected.address);
            assert_int_equal(back[i].state, expected.state);
            assert_int_equal(back[i].restart.v, 200);
            assert_int_equal(back[i].idle_ns, expected.idle_ns);
        }
    }
}

static void every_flipped_bit_and_every_length_is_refused(void **state)
{
    (void)state;
    size_t size = encode(2);
    assert_int_equal(sample_damage_accepted(file, size, decodes), 0);
    assert_false(decodes(slice_of(file, size + 1)));
    assert_true(decodes(slice_of(file, size)));
}

static enum code decode_patched(size_t offset, uint8_t value, struct err *e)
{
    uint32_t count = 0;
    size_t size = encode(2);
    file[offset] = value;
    struct hash256 hash = hash256_of(slice_of(file, size - 32));
    memcpy(file + size - 32, hash.bytes, 32);
    return slotfile_decode(slice_of(file, size), back, &count, e);
}

/* Offsets: 16 head, 4 count, 1 + 11 node id, 8 incarnation, 4 stream, 2 region, 1 + 13 address,
 * state, reason
 */
static void impossible_slots_are_refused_even_when_sealed(void **state)
{
    (void)state;
    enum { AT_NODE_ID = 21, AT_STATE = 60, SLOT_SIZE = 40 + 4 + 9 * 8 };
    struct err e;
    assert_int_equal(decode_patched(AT_STATE, SLOT_LOST, NULL), OK);
    assert_int_equal(decode_patched(AT_STATE, 0, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_STATE, SLOT_LOST + 1, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_STATE + 1, 7, NULL), E_CORRUPT); /* reason */
    assert_int_equal(decode_patched(AT_STATE + 2, 2, NULL), E_CORRUPT); /* is_voter */
    assert_int_equal(decode_patched(AT_NODE_ID, '/', NULL), E_CORRUPT);
    assert_int_equal(decode_patched(16, 1, NULL), E_CORRUPT);  /* one slot less than there are */
    assert_int_equal(decode_patched(16, 3, NULL), E_CORRUPT);  /* one more */
    assert_int_equal(decode_patched(16, 65, NULL), E_CORRUPT); /* beyond the limit */
    assert_int_equal(decode_patched(AT_NODE_ID + 9, '1', &e), E_CORRUPT);
    assert_non_null(strstr(e.text, "a follower is there twice"));
    assert_int_equal(decode_patched(8, FORMAT_VERSION + 1, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "format version 3"));
}

static void states_and_reasons_have_names(void **state)
{
    (void)state;
    for (uint8_t i = SLOT_BOOTSTRAP; i <= SLOT_LOST; i++) {
        assert_string_not_equal(slot_state_name(i), "unknown");
    }
    for (uint8_t i = SLOT_REASON_NONE; i <= SLOT_REASON_LOG_MISSING; i++) {
        assert_string_not_equal(slot_reason_name(i), "unknown");
    }
    assert_string_equal(slot_state_name(0), "unknown");
    assert_string_equal(slot_state_name(7), "unknown");
    assert_string_equal(slot_reason_name(7), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_catalogue_survives_a_round_trip),
        cmocka_unit_test(every_flipped_bit_and_every_length_is_refused),
        cmocka_unit_test(impossible_slots_are_refused_even_when_sealed),
        cmocka_unit_test(states_and_reasons_have_names),
    };
    return cmocka_run_group_tests_name("format/slotfile", tests, NULL, NULL);
}
