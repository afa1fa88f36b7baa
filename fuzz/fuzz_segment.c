/* fuzz_segment: header, footer, trailer and name of a segment, as they are and with checksums that
 * hold. What decodes encodes to the same bytes. */
#include "fuzz.h"

#include <stdlib.h>

#include "repair.h"

#include "base/assert.h"
#include "format/segment.h"

static void judge_header(const uint8_t bytes[SEGMENT_HEADER_SIZE])
{
    struct segment_header h;
    uint8_t again[SEGMENT_HEADER_SIZE];
    if (segment_header_decode(bytes, &h) != SEGMENT_OK) return;
    segment_header_encode(&h, again);
    ASSERT(memcmp(again, bytes, sizeof(again)) == 0);
}

static void judge_footer(struct slice bytes)
{
    struct segment_footer f;
    struct err e;
    if (segment_footer_decode(bytes, FUZZ_LOG_KEY, &f, &e) != OK) return;
    ASSERT(segment_footer_size(f.seek_count, f.chunk_count) == bytes.size);
    uint8_t *again = malloc(bytes.size);
    if (again == NULL) return;
    segment_footer_encode(&f, FUZZ_LOG_KEY, again);
    ASSERT(memcmp(again, bytes.data, bytes.size) == 0);
    free(again);
}

static void judge_trailer(const uint8_t trailer[SEGMENT_TRAILER_SIZE], uint64_t file_size)
{
    uint64_t offset = 0;
    uint32_t size = 0;
    if (!segment_trailer_decode(trailer, FUZZ_LOG_KEY, file_size, &offset, &size)) return;
    ASSERT(offset + size == file_size);
}

/* Seal bytes as a footer at the data end that they name. */
static void repair_footer(uint8_t *bytes, size_t size)
{
    uint8_t *trailer = bytes + size - SEGMENT_TRAILER_SIZE;
    memcpy(bytes, "TIDEFOO2", 8);
    store_u32(bytes + 8, (uint32_t)size);
    store_u32(bytes + 12, 0);
    memset(bytes + 104, 0, 24);
    memset(trailer, 0, SEGMENT_TRAILER_SIZE);
    memcpy(trailer, bytes + 80, 8);
    store_u32(trailer + 8, (uint32_t)size);
    struct hash256 hash = hash256_of(slice_of(bytes, size - SEGMENT_TRAILER_SIZE));
    memcpy(trailer + 16, hash.bytes, 32);
    memcpy(trailer + 48, "TIDEEND2", 8);
    repair_crc(trailer, SEGMENT_TRAILER_SIZE, 12, true);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint64_t file_id = 0;
    (void)segment_name_parse(slice_of(data, size), &file_id);
    uint8_t *copy = malloc(size > 0 ? size : 1); /* aligned, as the contract says */
    if (copy == NULL) return 0;
    if (size > 0) memcpy(copy, data, size);
    judge_footer(slice_of(copy, size));
    if (size >= SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE) {
        judge_trailer(copy + size - SEGMENT_TRAILER_SIZE, size);
        repair_footer(copy, size);
        judge_footer(slice_of(copy, size));
        memcpy(copy, data, size);
    }
    if (size >= SEGMENT_HEADER_SIZE) {
        judge_header(copy);
        memcpy(copy, "TIDESEG2", 8);
        store_u16(copy + 8, FORMAT_VERSION);
        store_u16(copy + 10, SEGMENT_HEADER_SIZE);
        repair_crc(copy, SEGMENT_HEADER_SIZE, 12, false);
        judge_header(copy);
    }
    free(copy);
    return 0;
}
