/* Tests of format/segment: headers, footers, trailers and names of log files. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "format/segment.h"
#include "support/samples.h"

static _Alignas(8) uint8_t footer_bytes[4096];

static bool header_decodes(struct slice bytes)
{
    uint8_t whole[SEGMENT_HEADER_SIZE] = {0};
    struct segment_header h;
    memcpy(whole, bytes.data, bytes.size);
    return segment_header_decode(whole, &h) == SEGMENT_OK;
}

static bool footer_decodes(struct slice bytes)
{
    static _Alignas(8) uint8_t copy[sizeof(footer_bytes)];
    struct segment_footer f;
    memcpy(copy, bytes.data, bytes.size);
    return segment_footer_decode(slice_of(copy, bytes.size), SAMPLE_LOG_KEY, &f, NULL) == OK;
}

static size_t footer_encode(const struct segment_footer *f)
{
    size_t size = segment_footer_size(f->seek_count, f->chunk_count);
    assert_true(size <= sizeof(footer_bytes));
    segment_footer_encode(f, SAMPLE_LOG_KEY, footer_bytes);
    return size;
}

static void a_header_survives_a_round_trip(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    uint8_t again[SEGMENT_HEADER_SIZE];
    struct segment_header h = sample_segment_header();
    struct segment_header back;
    segment_header_encode(&h, bytes);
    assert_int_equal(segment_header_decode(bytes, &back), SEGMENT_OK);
    assert_int_equal(back.file_id, 0x2a);
    assert_int_equal(back.first.v, 42);
    assert_true(back.log_key == SAMPLE_LOG_KEY);
    assert_true(hash256_equal(&back.chain_at_start, &h.chain_at_start));
    segment_header_encode(&back, again);
    assert_memory_equal(bytes, again, sizeof(bytes));
}

static void every_flipped_bit_of_a_header_is_refused(void **state)
{
    (void)state;
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    struct segment_header h = sample_segment_header();
    segment_header_encode(&h, bytes);
    /* Lengths below 128 lose bytes that are not zero; the rest is zero room. */
    assert_int_equal(sample_damage_accepted(bytes, 128, header_decodes), 0);
    for (size_t bit = 128 * 8; bit < sizeof(bytes) * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(header_decodes(slice_of(bytes, sizeof(bytes))));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static enum segment_verdict judge_patched(size_t offset, uint8_t value)
{
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    struct segment_header h = sample_segment_header();
    segment_header_encode(&h, bytes);
    bytes[offset] = value;
    store_u32(bytes + 12, 0);
    store_u32(bytes + 12, crc32c(0, bytes, sizeof(bytes)));
    return segment_header_decode(bytes, &h);
}

static void spares_damage_and_newer_headers_are_told_apart(void **state)
{
    (void)state;
    uint8_t zeros[SEGMENT_HEADER_SIZE] = {0};
    struct segment_header h;
    assert_int_equal(segment_header_decode(zeros, &h), SEGMENT_EMPTY);
    assert_int_equal(judge_patched(8, FORMAT_VERSION), SEGMENT_OK);
    assert_int_equal(judge_patched(8, FORMAT_VERSION + 1), SEGMENT_NEWER);
    assert_int_equal(judge_patched(36, 1), SEGMENT_NEWER);
    assert_int_equal(judge_patched(10, 0), SEGMENT_NEWER);
    assert_int_equal(judge_patched(88, 1), SEGMENT_BAD);
    assert_int_equal(judge_patched(191, 1), SEGMENT_BAD);
    assert_int_equal(judge_patched(40, 0), SEGMENT_BAD); /* first seqno 0 */
}

static void size_limits_are_kept_on_both_ends(void **state)
{
    (void)state;
    assert_int_equal(judge_patched(82, 1), SEGMENT_OK);    /* 16 MiB + 64 KiB */
    assert_int_equal(judge_patched(84, 1), SEGMENT_BAD);   /* above 4 GiB */
    assert_int_equal(judge_patched(83, 0), SEGMENT_BAD);   /* 0 */
    assert_int_equal(judge_patched(83, 0x40), SEGMENT_OK); /* 1 GiB */
    assert_int_equal(judge_patched(83, 0x41), SEGMENT_BAD);
}

static void a_footer_survives_a_round_trip(void **state)
{
    (void)state;
    struct segment_footer f = sample_segment_footer();
    struct segment_footer back;
    size_t size = footer_encode(&f);
    assert_int_equal(size % LOG_ALIGN, 0);
    uint64_t offset = 0;
    uint32_t trailer_size = 0;
    assert_true(segment_trailer_decode(footer_bytes + size - SEGMENT_TRAILER_SIZE, SAMPLE_LOG_KEY,
                                       f.data_end + size, &offset, &trailer_size));
    assert_int_equal(offset, f.data_end);
    assert_int_equal(trailer_size, size);
    assert_int_equal(
        segment_footer_decode(slice_of(footer_bytes, size), SAMPLE_LOG_KEY, &back, NULL), OK);
    assert_int_equal(back.last.v, 300);
    assert_int_equal(back.seek_count, 2);
    assert_int_equal(back.seeks[1].offset, 65600);
    assert_true(hash256_equal(&back.chunks[1], &f.chunks[1]));
    assert_true(hash256_equal(&back.chain_at_end, &f.chain_at_end));
    assert_int_equal(back.payload_bytes, 66000);
}

static void every_flipped_bit_and_every_length_of_a_footer_is_refused(void **state)
{
    (void)state;
    struct segment_footer f = sample_segment_footer();
    size_t size = footer_encode(&f);
    assert_true(footer_decodes(slice_of(footer_bytes, size)));
    assert_int_equal(sample_damage_accepted(footer_bytes, size, footer_decodes), 0);
}

static void a_trailer_counts_only_at_its_place_and_key(void **state)
{
    (void)state;
    struct segment_footer f = sample_segment_footer();
    size_t size = footer_encode(&f);
    const uint8_t *trailer = footer_bytes + size - SEGMENT_TRAILER_SIZE;
    uint64_t file_size = f.data_end + size;
    uint64_t offset = 0;
    uint32_t got = 0;
    assert_true(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, file_size, &offset, &got));
    assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY + 1, file_size, &offset, &got));
    assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, file_size + 64, &offset, &got));
    assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, file_size - 64, &offset, &got));
    assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, 100, &offset, &got));
    assert_false(segment_trailer_decode(footer_bytes, SAMPLE_LOG_KEY, file_size, &offset, &got));
}

static void an_empty_segment_can_be_sealed(void **state)
{
    (void)state;
    static const struct hash256 chunk;
    struct segment_footer f = {.first = seqno_of(42),
                               .last = seqno_of(41),
                               .data_end = 192,
                               .chunk_count = 1,
                               .chunks = &chunk};
    size_t size = footer_encode(&f);
    assert_true(footer_decodes(slice_of(footer_bytes, size)));
}

static void seal_trailer(uint8_t *trailer)
{
    store_u32(trailer + 12, 0);
    store_u32(trailer + 12, crc32c_keyed(SAMPLE_LOG_KEY, trailer, SEGMENT_TRAILER_SIZE));
}

/* A footer that is sealed and contradicts itself. Offsets: the byte table of segment.h. */
static void impossible_footers_are_refused_even_when_sealed(void **state)
{
    (void)state;
    static const struct {
        size_t offset;
        uint8_t value;
    } rows[] = {
        {16, 0},    /* first seqno 0 */
        {24, 2},    /* last 258 becomes a count below the batches' */
        {32, 0},    /* no batches, but records */
        {80, 1},    /* data end off the boundary */
        {83, 1},    /* data end beyond the chunks */
        {88, 1},    /* one seek entry less than the size says */
        {104, 1},   /* zero room */
        {12, 1},    /* zero field */
        {0, 'X'},   /* no magic */
        {8, 1},     /* another size than the trailer's */
        {128, 41},  /* seek entry below the first seqno */
        {144, 100}, /* seek entries out of order */
        {136, 1},   /* seek offset off the boundary */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct segment_footer f = sample_segment_footer();
        size_t size = footer_encode(&f);
        footer_bytes[rows[i].offset] = rows[i].value;
        if (rows[i].offset == 24) footer_bytes[25] = 0;
        uint8_t *trailer = footer_bytes + size - SEGMENT_TRAILER_SIZE;
        struct hash256 hash = hash256_of(slice_of(footer_bytes, size - SEGMENT_TRAILER_SIZE));
        memcpy(trailer + 16, hash.bytes, 32);
        seal_trailer(trailer);
        assert_false(footer_decodes(slice_of(footer_bytes, size)));
    }
}

/* Trailers that verify and name a footer that cannot be where they say. */
static void impossible_trailers_are_refused_even_when_sealed(void **state)
{
    (void)state;
    struct segment_footer f = sample_segment_footer();
    size_t size = footer_encode(&f);
    uint8_t *trailer = footer_bytes + size - SEGMENT_TRAILER_SIZE;
    uint64_t offset = 0;
    uint32_t got = 0;
    trailer[56] = 1; /* zero field */
    seal_trailer(trailer);
    assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, f.data_end + size, &offset, &got));
    trailer[56] = 0;
    static const struct {
        uint64_t offset;
        uint32_t size;
    } rows[] = {
        {192, SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE - 1}, /* smaller than any footer */
        {128, SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE},     /* inside the header */
        {193, SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE},     /* off the boundary */
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        store_u64(trailer, rows[i].offset);
        store_u32(trailer + 8, rows[i].size);
        seal_trailer(trailer);
        uint64_t file_size = rows[i].offset + rows[i].size;
        assert_false(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, file_size, &offset, &got));
    }
    store_u64(trailer, 192);
    seal_trailer(trailer);
    assert_true(segment_trailer_decode(trailer, SAMPLE_LOG_KEY, 192 + rows[1].size, &offset, &got));
}

/* The footer and its trailer hold, each by itself, and name two places. */
static void a_footer_that_is_not_where_it_says_is_refused(void **state)
{
    (void)state;
    struct err e;
    struct segment_footer back;
    struct segment_footer f = sample_segment_footer();
    size_t size = footer_encode(&f);
    uint8_t *trailer = footer_bytes + size - SEGMENT_TRAILER_SIZE;
    store_u64(trailer, f.data_end + LOG_ALIGN);
    seal_trailer(trailer);
    assert_int_equal(segment_footer_decode(slice_of(footer_bytes, size), SAMPLE_LOG_KEY, &back, &e),
                     E_CORRUPT);
    assert_non_null(strstr(e.text, "it is not where it says"));
}

/* An empty segment whose data ends inside its header. */
static void data_cannot_end_inside_the_header(void **state)
{
    (void)state;
    static const struct hash256 chunk;
    struct segment_footer f = {.first = seqno_of(42),
                               .last = seqno_of(41),
                               .data_end = SEGMENT_HEADER_SIZE,
                               .chunk_count = 1,
                               .chunks = &chunk};
    size_t size = footer_encode(&f);
    uint8_t *trailer = footer_bytes + size - SEGMENT_TRAILER_SIZE;
    store_u64(footer_bytes + 80, SEGMENT_HEADER_SIZE - LOG_ALIGN);
    struct hash256 hash = hash256_of(slice_of(footer_bytes, size - SEGMENT_TRAILER_SIZE));
    memcpy(trailer + 16, hash.bytes, 32);
    seal_trailer(trailer);
    assert_false(footer_decodes(slice_of(footer_bytes, size)));
}

static void names_parse_only_as_they_are_made(void **state)
{
    (void)state;
    char name[SEGMENT_NAME_SIZE];
    uint64_t file_id = 0;
    segment_name(0x2a, name);
    assert_string_equal(name, "000000000000002a.seg");
    assert_true(segment_name_parse(slice_of_text(name), &file_id));
    assert_int_equal(file_id, 0x2a);
    segment_name(UINT64_MAX, name);
    assert_true(segment_name_parse(slice_of_text(name), &file_id));
    assert_true(file_id == UINT64_MAX);
    static const char *const bad[] = {"",
                                      "000000000000002A.seg",
                                      "00000000000002a.seg",
                                      "0000000000000002a.seg",
                                      "000000000000002a.sex",
                                      "000000000000002a.seg ",
                                      "000000000000002g.seg",
                                      "identity.a"};
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        assert_false(segment_name_parse(slice_of_text(bad[i]), &file_id));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_survives_a_round_trip),
        cmocka_unit_test(every_flipped_bit_of_a_header_is_refused),
        cmocka_unit_test(spares_damage_and_newer_headers_are_told_apart),
        cmocka_unit_test(size_limits_are_kept_on_both_ends),
        cmocka_unit_test(a_footer_survives_a_round_trip),
        cmocka_unit_test(every_flipped_bit_and_every_length_of_a_footer_is_refused),
        cmocka_unit_test(a_trailer_counts_only_at_its_place_and_key),
        cmocka_unit_test(an_empty_segment_can_be_sealed),
        cmocka_unit_test(impossible_footers_are_refused_even_when_sealed),
        cmocka_unit_test(impossible_trailers_are_refused_even_when_sealed),
        cmocka_unit_test(a_footer_that_is_not_where_it_says_is_refused),
        cmocka_unit_test(data_cannot_end_inside_the_header),
        cmocka_unit_test(names_parse_only_as_they_are_made),
    };
    return cmocka_run_group_tests_name("format/segment", tests, NULL, NULL);
}
