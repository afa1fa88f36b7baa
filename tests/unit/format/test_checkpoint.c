/* Tests of format/checkpoint: manifests, pack headers and names. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "format/checkpoint.h"
#include "support/samples.h"

static uint8_t file[4096];
static _Alignas(8) uint8_t arrays[4096];
static size_t arrays_used;
static size_t arrays_limit;

static void *take(void *context, size_t size)
{
    (void)context;
    size_t start = (arrays_used + 7) / 8 * 8;
    if (start + size > arrays_limit) return NULL;
    arrays_used = start + size;
    return arrays + start;
}

static enum code decode(struct slice bytes, struct manifest *out, struct err *e)
{
    arrays_used = 0;
    arrays_limit = sizeof(arrays);
    return manifest_decode(bytes, take, NULL, out, e);
}

static bool decodes(struct slice bytes)
{
    struct manifest m;
    return decode(bytes, &m, NULL) == OK;
}

static size_t encode(const struct manifest *m)
{
    size_t size = manifest_size(m);
    assert_true(size <= sizeof(file));
    manifest_encode(m, file);
    return size;
}

static void a_manifest_survives_a_round_trip(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    struct manifest back;
    size_t size = encode(&m);
    assert_int_equal(decode(slice_of(file, size), &back, NULL), OK);
    assert_int_equal(back.block_count, 3);
    assert_int_equal(back.epoch_count, 2);
    assert_true(position_equal(&back.position, &m.position));
    assert_true(hash256_equal(&back.root, &m.root));
    assert_int_equal(block_id_compare(back.blocks[2].id, m.blocks[2].id), 0);
    assert_int_equal(back.places[1].offset, 4096);
    assert_int_equal(back.generation, 3);
    static uint8_t first[sizeof(file)];
    memcpy(first, file, size);
    assert_int_equal(encode(&back), size);
    assert_memory_equal(first, file, size);
}

static void an_empty_state_has_a_manifest(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    struct manifest back;
    m.block_count = 0;
    m.epoch_count = 0;
    size_t size = encode(&m);
    arrays_limit = 0;
    assert_int_equal(manifest_decode(slice_of(file, size), take, NULL, &back, NULL), OK);
    struct hash256 root = hash256_of((struct slice){0});
    assert_true(hash256_equal(&back.root, &root));
}

static void every_flipped_bit_and_every_length_of_a_manifest_is_refused(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    size_t size = encode(&m);
    assert_int_equal(sample_damage_accepted(file, size, decodes), 0);
    assert_false(decodes(slice_of(file, size + 1)));
    assert_true(decodes(slice_of(file, size)));
}

/* The root part does not know where a node keeps its blocks. */
static void the_root_part_is_equal_wherever_the_blocks_are(void **state)
{
    (void)state;
    static const struct block_place elsewhere[3] = {
        {.pack = 9, .offset = 128}, {.pack = 8, .offset = 64}, {.pack = 7, .offset = 640}};
    struct manifest m = sample_manifest();
    static uint8_t first[sizeof(file)];
    size_t size = encode(&m);
    memcpy(first, file, size);
    m.places = elsewhere;
    m.generation = 77;
    assert_int_equal(encode(&m), size);
    size_t root_size = load_u32(file + 12);
    assert_memory_equal(first, file, root_size);
    assert_memory_not_equal(first, file, size);
}

static void a_state_root_depends_on_every_entry_and_their_order(void **state)
{
    (void)state;
    static struct block_entry blocks[200];
    for (uint32_t i = 0; i < COUNT_OF(blocks); i++) {
        blocks[i] = (struct block_entry){{BLOCK_COLUMN, i}, 10, sample_hash((uint8_t)i)};
    }
    struct hash256 root = state_root(blocks, COUNT_OF(blocks));
    struct hash256 same = state_root(blocks, COUNT_OF(blocks));
    assert_true(hash256_equal(&root, &same));
    for (uint32_t i = 0; i < COUNT_OF(blocks); i += 33) {
        blocks[i].size++;
        struct hash256 other = state_root(blocks, COUNT_OF(blocks));
        assert_false(hash256_equal(&root, &other));
        blocks[i].size--;
    }
    struct hash256 shorter = state_root(blocks, COUNT_OF(blocks) - 1);
    assert_false(hash256_equal(&root, &shorter));
}

/* Patch one byte of the root part and seal it again. */
static enum code decode_patched(size_t offset, uint8_t value, struct err *e)
{
    struct manifest m = sample_manifest();
    size_t size = encode(&m);
    file[offset] = value;
    size_t root_size = load_u32(file + 12);
    struct hash256 hash = hash256_of(slice_of(file, root_size - 32));
    memcpy(file + root_size - 32, hash.bytes, 32);
    return decode(slice_of(file, size), &m, e);
}

static void impossible_manifests_are_refused_even_when_sealed(void **state)
{
    (void)state;
    struct err e;
    enum { AT_EPOCH_COUNT = 128, AT_BLOCK_COUNT = 132, AT_BLOCKS = 136 + 2 * 56 };
    assert_int_equal(decode_patched(16, 0xff, NULL),
                     OK); /* another cluster is the caller's question */
    assert_int_equal(decode_patched(36, 1, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(96, 0, NULL), E_CORRUPT); /* another state root */
    assert_int_equal(decode_patched(AT_EPOCH_COUNT, 1, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_BLOCK_COUNT, 2, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(AT_BLOCK_COUNT + 3, 0xff, NULL), E_CORRUPT);
    assert_int_equal(decode_patched(136, 8, NULL), E_CORRUPT); /* epochs out of order */
    assert_int_equal(decode_patched(AT_BLOCKS, BLOCK_MEMBERS, NULL), E_CORRUPT); /* blocks too */
    assert_int_equal(decode_patched(AT_BLOCKS, 99, &e), E_FORMAT);
    assert_string_equal(e.text, "block kind 99 is unknown to this version");
    assert_int_equal(decode_patched(8, FORMAT_VERSION + 1, &e), E_FORMAT);
    assert_non_null(strstr(e.text, "format version 3"));
}

/* The same in the part that says where the blocks are. */
static void impossible_places_are_refused_even_when_sealed(void **state)
{
    (void)state;
    enum { AT_COUNT = 32, AT_ZERO = 36 };
    static const size_t offsets[] = {AT_COUNT, AT_ZERO};
    struct manifest m = sample_manifest();
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        size_t size = encode(&m);
        size_t root_size = load_u32(file + 12);
        uint8_t *part = file + root_size;
        assert_int_equal(load_u32(part + AT_COUNT), m.block_count);
        part[offsets[i]] ^= 1;
        struct hash256 hash = hash256_of(slice_of(part, size - root_size - 32));
        memcpy(part + size - root_size - 32, hash.bytes, 32);
        assert_false(decodes(slice_of(file, size)));
    }
}

/* As many places as blocks, and bytes behind them. */
static void bytes_behind_the_places_are_refused_even_when_sealed(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    size_t size = encode(&m) + 8;
    size_t root_size = load_u32(file + 12);
    uint8_t *part = file + root_size;
    store_u32(part + 12, (uint32_t)(size - root_size));
    memset(file + size - 40, 0, 8);
    struct hash256 hash = hash256_of(slice_of(part, size - root_size - 32));
    memcpy(part + size - root_size - 32, hash.bytes, 32);
    assert_false(decodes(slice_of(file, size)));
}

static void refused_memory_is_an_error(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    size_t size = encode(&m);
    for (size_t limit = 0; limit <= sizeof(arrays); limit += 8) {
        arrays_used = 0;
        arrays_limit = limit;
        enum code code = manifest_decode(slice_of(file, size), take, NULL, &m, NULL);
        size_t needed = 2 * sizeof(struct epoch_entry) + 3 * sizeof(struct block_entry) +
                        3 * sizeof(struct block_place);
        assert_int_equal(code, limit < needed ? E_NOMEMORY : OK);
    }
}

static bool pack_decodes(struct slice bytes)
{
    uint8_t whole[PACK_HEADER_SIZE] = {0};
    struct id128 cluster = sample_id(0x10);
    memcpy(whole, bytes.data, bytes.size);
    return pack_header_decode(whole, &cluster, 0x123, NULL) == OK;
}

static void a_pack_header_survives_and_no_flipped_bit_passes(void **state)
{
    (void)state;
    uint8_t bytes[PACK_HEADER_SIZE];
    struct id128 cluster = sample_id(0x10);
    struct id128 other = sample_id(0x11);
    pack_header_encode(&cluster, 0x123, bytes);
    assert_true(pack_decodes(slice_of(bytes, sizeof(bytes))));
    for (size_t bit = 0; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(pack_decodes(slice_of(bytes, sizeof(bytes))));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(pack_header_decode(bytes, &other, 0x123, NULL), E_WRONG_CLUSTER);
    assert_int_equal(pack_header_decode(bytes, &cluster, 0x124, NULL), E_CORRUPT);
    bytes[8]++;
    assert_int_equal(pack_header_decode(bytes, &cluster, 0x123, NULL), E_FORMAT);
}

static void names_parse_only_as_they_are_made(void **state)
{
    (void)state;
    char name[CHECKPOINT_NAME_SIZE];
    seqno at = SEQNO_NONE;
    uint64_t number = 0;
    manifest_name(seqno_of(300), 3, name);
    assert_string_equal(name, "00000000000000000300.00000003.manifest");
    assert_true(manifest_name_parse(slice_of_text(name), &at, &number));
    assert_int_equal(at.v, 300);
    assert_int_equal(number, 3);
    manifest_name(seqno_of(UINT64_MAX), UINT64_MAX, name);
    assert_true(manifest_name_parse(slice_of_text(name), &at, &number));
    assert_true(at.v == UINT64_MAX && number == UINT64_MAX);
    pack_name(0xabc, name);
    assert_string_equal(name, "0000000000000abc.pack");
    assert_true(pack_name_parse(slice_of_text(name), &number));
    assert_int_equal(number, 0xabc);
    static const char *const bad[] = {"",
                                      "00000000000000000300.00000003.manifest.tmp",
                                      "300.3.manifest",
                                      "00000000000000000300.0000000A.manifest",
                                      "00000000000000000300.000000003.manifest",
                                      "99999999999999999999.00000003.manifest",
                                      "0000000000000abc.pack.tmp",
                                      "0000000000000ABC.pack",
                                      "abc.pack",
                                      ".pack",
                                      "00000000000000000300..manifest",
                                      "00000000000000000300.12345678123456789.manifest",
                                      "00000000000000000300_00000003.manifest"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(manifest_name_parse(slice_of_text(bad[i]), &at, &number));
        assert_false(pack_name_parse(slice_of_text(bad[i]), &number));
    }
}

/* The head by which a block on its way is found again: any changed bit makes it none. */
static bool head_decodes(struct slice bytes)
{
    struct hash256 hash;
    uint32_t size;
    return bytes.size == BLOCK_HEAD_SIZE && block_head_decode(bytes.data, &hash, &size);
}

static void the_head_of_a_staged_block_survives_and_is_not_mistaken(void **state)
{
    (void)state;
    uint8_t bytes[BLOCK_HEAD_SIZE];
    struct hash256 wanted = sample_hash(0x40);
    struct hash256 hash;
    uint32_t size = 0;
    block_head_encode(&wanted, 12345, bytes);
    assert_true(block_head_decode(bytes, &hash, &size));
    assert_true(hash256_equal(&hash, &wanted));
    assert_int_equal(size, 12345);
    assert_int_equal(sample_damage_accepted(bytes, sizeof(bytes), head_decodes), 0);
    static const size_t zeros[] = {12, 15, 48, 59};
    for (size_t i = 0; i < COUNT_OF(zeros); i++) { /* sealed again, as a later version might */
        block_head_encode(&wanted, 12345, bytes);
        bytes[zeros[i]] = 1;
        store_u32(bytes + 60, crc32c(0, bytes, 60));
        assert_false(block_head_decode(bytes, &hash, &size));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_manifest_survives_a_round_trip),
        cmocka_unit_test(an_empty_state_has_a_manifest),
        cmocka_unit_test(every_flipped_bit_and_every_length_of_a_manifest_is_refused),
        cmocka_unit_test(the_root_part_is_equal_wherever_the_blocks_are),
        cmocka_unit_test(a_state_root_depends_on_every_entry_and_their_order),
        cmocka_unit_test(impossible_manifests_are_refused_even_when_sealed),
        cmocka_unit_test(impossible_places_are_refused_even_when_sealed),
        cmocka_unit_test(bytes_behind_the_places_are_refused_even_when_sealed),
        cmocka_unit_test(refused_memory_is_an_error),
        cmocka_unit_test(a_pack_header_survives_and_no_flipped_bit_passes),
        cmocka_unit_test(names_parse_only_as_they_are_made),
        cmocka_unit_test(the_head_of_a_staged_block_survives_and_is_not_mistaken),
    };
    return cmocka_run_group_tests_name("format/checkpoint", tests, NULL, NULL);
}
