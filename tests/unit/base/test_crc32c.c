/* Tests of base/crc32c: the published answers, and the same answer from both implementations. */
#include "support/tm_test.h"

#include "base/crc32c.h"
#include "base/random.h"

/* RFC 3720 appendix B.4 and the catalogue's check value. */
static void known_vectors_of_rfc_3720(void **state)
{
    (void)state;
    uint8_t data[32];
    memset(data, 0, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x62a8ab43);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x46dd794e);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(31 - i);
    }
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x113fdb5c);
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c_portable(0, "123456789", 9), 0xe3069283);
}

static void nothing_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(crc32c(0, NULL, 0), 0);
    assert_int_equal(crc32c(0x12345678, NULL, 0), 0x12345678);
    assert_int_equal(crc32c_portable(0x12345678, NULL, 0), 0x12345678);
}

/* Every size up to a few words, at every alignment, and cut at every place. */
static void hardware_and_table_agree_at_every_size_and_alignment(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("crc32c", 1));
    uint8_t data[96];
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)random_next(&random);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; size + start <= sizeof(data); size++) {
            uint32_t expected = crc32c_portable(7, data + start, size);
            assert_int_equal(crc32c(7, data + start, size), expected);
            size_t cut = (size_t)random_below(&random, size + 1);
            uint32_t first = crc32c(7, data + start, cut);
            assert_int_equal(crc32c(first, data + start + cut, size - cut), expected);
        }
    }
}

static void another_key_gives_another_checksum(void **state)
{
    (void)state;
    uint32_t a = crc32c_keyed(1, "header", 6);
    assert_int_equal(a, crc32c_keyed(1, "header", 6));
    assert_int_not_equal(a, crc32c_keyed(2, "header", 6));
    assert_int_not_equal(a, crc32c_keyed((uint64_t)1 << 63, "header", 6));
    assert_int_not_equal(a, crc32c_keyed(1, "heades", 6));
    assert_int_equal(crc32c_keyed(0x3837363534333231, "9", 1), 0xe3069283);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_vectors_of_rfc_3720),
        cmocka_unit_test(nothing_changes_nothing),
        cmocka_unit_test(hardware_and_table_agree_at_every_size_and_alignment),
        cmocka_unit_test(another_key_gives_another_checksum),
    };
    return cmocka_run_group_tests_name("base/crc32c", tests, NULL, NULL);
}
