/* Tests of the names and words that format/ and core/ have for their enums: each value has some,
 * and no two of one enum have the same. A number that no value has is called unknown, not read. */
#include "support/tm_test.h"

#include "core/bootstrap.h"
#include "core/follow.h"
#include "core/promote.h"
#include "core/recover.h"
#include "core/retain.h"
#include "core/roll.h"
#include "core/ship.h"
#include "format/batch.h"
#include "format/checkpoint.h"
#include "format/reader.h"
#include "format/record.h"
#include "format/slotfile.h"
#include "format/wire.h"

static void check(const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        assert_non_null(names[i]);
        assert_true(names[i][0] != '\0');
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(names[i], names[k]);
    }
}

/* Ask for all values from `first` to `last`. */
#define CHECK_NAMES(first, last, ask)                            \
    do {                                                         \
        const char *names[64];                                   \
        size_t count = 0;                                        \
        for (uint32_t value = (first); value <= (last); value++) \
            names[count++] = (ask);                              \
        check(names, count);                                     \
    } while (0)

static void each_value_has_its_own_words(void **state)
{
    (void)state;
    CHECK_NAMES(BATCH_OK, BATCH_FOREIGN, batch_verdict_text((enum batch_verdict)value));
    CHECK_NAMES(STOP_ZEROS, STOP_BAD_PADDING, reader_stop_text((enum reader_stop)value));
    CHECK_NAMES(BLOCK_META, BLOCK_CREATOR_FIELDS, block_kind_name(value));
    CHECK_NAMES(WIRE_HELLO, WIRE_PROGRESS, wire_kind_name((uint16_t)value));
    CHECK_NAMES(TAIL_IO, TAIL_UNCLEAR, tail_verdict_name((enum tail_verdict)value));
    CHECK_NAMES(0, SHIP_ENDED, ship_state_name((enum ship_state)value));
    CHECK_NAMES(0, FOLLOW_STATE_COUNT - 1, follow_state_name((enum follow_state)value));
    CHECK_NAMES(0, RETAIN_HOLDER_COUNT - 1, retain_holder_name((enum retain_holder)value));
    CHECK_NAMES(0, PROMOTE_LEAD, promote_verdict_name((enum promote_verdict)value));
}

static void a_number_without_a_name_is_unknown(void **state)
{
    (void)state;
    assert_string_equal(record_kind_name((enum record_kind)9999), "unknown");
    assert_non_null(wire_kind_name(9999));
    assert_non_null(block_kind_name(9999));
    assert_non_null(slot_state_name(250));
    assert_non_null(slot_reason_name(250));
    assert_non_null(refuse_name(250));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_value_has_its_own_words),
        cmocka_unit_test(a_number_without_a_name_is_unknown),
    };
    return cmocka_run_group_tests_name("core/names", tests, NULL, NULL);
}
