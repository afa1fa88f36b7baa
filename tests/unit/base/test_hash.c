/* Tests of base/hash: the official BLAKE3 answers, pieces equal the whole, XXH3 for maps. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "base/text.h"

static void assert_hash_is(const struct hash256 *hash, const char *hex)
{
    char buffer[65];
    struct text text = text_of(buffer, sizeof(buffer));
    text_add_hex(&text, hash->bytes, sizeof(hash->bytes));
    assert_string_equal(buffer, hex);
}

/* From the vectors that the authors of BLAKE3 publish: input byte i is i mod 251. The sizes are
 * the block and chunk borders, where implementations differ when they are wrong. */
static void official_vectors_of_blake3(void **state)
{
    (void)state;
    static const struct {
        size_t size;
        const char *hex;
    } vectors[] = {
        {0, "af1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"},
        {1, "2d3adedff11b61f14c886e35afa036736dcd87a74d27b5c1510225d0f592e213"},
        {1023, "10108970eeda3eb932baac1428c7a2163b0e924c9a9e25b35bba72b28f70bd11"},
        {1024, "42214739f095a406f3fc83deb889744ac00df831c10daa55189b5d121c855af7"},
        {1025, "d00278ae47eb27b34faecf67b4fe263f82d5412916c1ffd97c8cb7fb814b8444"},
        {2048, "e776b6028c7cd22a4d0ba182a8bf62205d2ef576467e838ed6f2529b85fba24a"},
        {3073, "7124b49501012f81cc7f11ca069ec9226cecb8a2c850cfe644e327d22d3e1cd3"},
        {4097, "9b4052b38f1c5fc8b1f9ff7ac7b27cd242487b3d890d15c96a1c25b8aa0fb995"},
        {7169, "a003fc7a51754a9b3c7fae0367ab3d782dccf28855a03d435f8cfe74605e7817"},
    };
    uint8_t input[8192];
    for (size_t i = 0; i < sizeof(input); i++) {
        input[i] = (uint8_t)(i % 251);
    }
    for (size_t i = 0; i < COUNT_OF(vectors); i++) {
        struct slice data = slice_of(input, vectors[i].size);
        struct hash256 hash = hash256_of(data);
        assert_hash_is(&hash, vectors[i].hex);
        struct id128 short_hash = hash128_of(data);
        assert_memory_equal(short_hash.bytes, hash.bytes, sizeof(short_hash.bytes));
    }
}

static void pieces_hash_like_the_whole(void **state)
{
    (void)state;
    uint8_t input[5000];
    for (size_t i = 0; i < sizeof(input); i++) {
        input[i] = (uint8_t)(i * 7);
    }
    struct hash256 whole = hash256_of(slice_of(input, sizeof(input)));
    static const size_t cuts[] = {0, 1, 64, 1024, 1025, 4999, 5000};
    for (size_t i = 0; i < COUNT_OF(cuts); i++) {
        struct slice a = slice_of(input, cuts[i]);
        struct slice b = slice_of(input + cuts[i], sizeof(input) - cuts[i]);
        struct hash256 pair = hash256_of_pair(a, b);
        assert_true(hash256_equal(&whole, &pair));
        struct hasher h;
        hasher_init(&h);
        hasher_update(&h, a);
        (void)hasher_final(&h); /* looking does not change it */
        hasher_update(&h, b);
        struct hash256 steps = hasher_final(&h);
        assert_true(hash256_equal(&whole, &steps));
    }
}

static void map_hash_depends_on_data_and_seed(void **state)
{
    (void)state;
    struct slice a = slice_of_text("item:1");
    assert_int_equal(hash64_of(a, 1), hash64_of(a, 1));
    assert_int_not_equal(hash64_of(a, 1), hash64_of(a, 2));
    assert_int_not_equal(hash64_of(a, 1), hash64_of(slice_of_text("item:2"), 1));
    /* XXH3-64 of nothing with seed 0, as its authors document. */
    assert_int_equal(hash64_of(slice_of(NULL, 0), 0), 0x2d06800538d394c2);
}

/* The finaliser of SplitMix64: its stream from 0 starts with these values. */
static void mix_is_the_finaliser_of_splitmix64(void **state)
{
    (void)state;
    assert_int_equal(hash64_mix(0), 0);
    assert_int_equal(hash64_mix(0x9e3779b97f4a7c15), 0xe220a8397b1dcdaf);
    assert_int_equal(hash64_mix(2 * 0x9e3779b97f4a7c15), 0x6e789e6aa1b965f4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(official_vectors_of_blake3),
        cmocka_unit_test(pieces_hash_like_the_whole),
        cmocka_unit_test(map_hash_depends_on_data_and_seed),
        cmocka_unit_test(mix_is_the_finaliser_of_splitmix64),
    };
    return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
