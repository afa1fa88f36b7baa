/* enum/records: every bit of a sealed segment of 16 MiB, flipped once and judged by what holds it
 * alone: the segment's header, a batch's header, its payload, its padding, the footer. Each must be
 * seen.
 *
 *     records [--stride N]
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/random.h"
#include "format/segment.h"

#define FILE_SIZE    ((size_t)(16 * MIB))
#define PAYLOAD_SIZE 193u /* so that there is padding */
#define LOG_KEY      UINT64_C(0x1234567890abcdef)

static const struct log_identity id = {.cluster = {{7}}, .stream = {1, 2}, .log_key = LOG_KEY};
static _Alignas(64) uint8_t bytes[FILE_SIZE];
static uint64_t stride = 1;
static uint64_t tried;

/* Is the part still what it was, as far as it can tell by itself? */
typedef bool (*judge)(const uint8_t *part, size_t size);

static bool is_segment_header(const uint8_t *part, size_t size)
{
    struct segment_header h;
    (void)size;
    return segment_header_decode(part, &h) == SEGMENT_OK;
}

static bool is_batch(const uint8_t *part, size_t size)
{
    struct batch_header h;
    if (batch_header_decode(part, &id, &h) != BATCH_OK) return false;
    if (batch_file_size(&h) != size) return false;
    const uint8_t *payload = part + BATCH_HEADER_SIZE;
    return batch_payload_verifies(&h, slice_of(payload, h.payload_size)) &&
           bytes_are_zero(payload + h.payload_size, size - BATCH_HEADER_SIZE - h.payload_size);
}

static bool is_footer(const uint8_t *part, size_t size)
{
    struct segment_footer f;
    uint64_t offset;
    uint32_t footer_size;
    const uint8_t *trailer = part + size - SEGMENT_TRAILER_SIZE;
    size_t at = (size_t)(part - bytes);
    if (!segment_trailer_decode(trailer, LOG_KEY, at + size, &offset, &footer_size)) return false;
    if (offset != at || footer_size != size) return false;
    return segment_footer_decode(slice_of(part, size), LOG_KEY, &f, NULL) == OK;
}

static void flip_all(uint8_t *part, size_t size, judge is_whole, const char *what)
{
    ASSERT(is_whole(part, size));
    static uint64_t next; /* bit of the file */
    uint64_t first = (uint64_t)(part - bytes) * 8;
    for (; next < first + size * 8; next += stride) {
        size_t bit = (size_t)(next - first);
        part[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        bool passes = is_whole(part, size);
        part[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        tried++;
        if (!passes) continue;
        fprintf(stderr, "records: bit %zu of the %s at offset %zu passes\n", bit, what,
                (size_t)(part - bytes));
        exit(1);
    }
}

static void make_header(void)
{
    segment_header_encode(&(struct segment_header){.cluster = id.cluster,
                                                   .stream = id.stream,
                                                   .first = seqno_of(1),
                                                   .epoch = {1, 5},
                                                   .log_key = LOG_KEY,
                                                   .file_id = 1,
                                                   .size_limit = FILE_SIZE},
                          bytes);
}

static void make_batch(size_t at, uint64_t number, struct random *random, struct position *before)
{
    uint8_t *payload = bytes + at + BATCH_HEADER_SIZE;
    for (size_t i = 0; i < PAYLOAD_SIZE; i++)
        payload[i] = (uint8_t)random_next(random);
    struct batch_header h = {
        .record_count = 1,
        .cluster = id.cluster,
        .stream = id.stream,
        .epoch = {1, 5},
        .first = seqno_of(number),
        .payload_size = PAYLOAD_SIZE,
        .raw_size = PAYLOAD_SIZE,
        .leader_time = hlc_of_ms(1700000000000u + number),
        .durable_through = before->seqno,
        .previous_chain = before->chain,
        .payload_hash = hash256_of(slice_of(payload, PAYLOAD_SIZE)),
    };
    batch_header_encode(&h, LOG_KEY, bytes + at);
    before->seqno = h.first;
    before->chain = batch_chain(bytes + at);
}

static size_t make_footer(size_t at, const struct position *end)
{
    uint32_t chunk_count = (uint32_t)((at + CHUNK_SIZE - 1) / CHUNK_SIZE);
    struct hash256 *chunks = calloc(chunk_count, sizeof(*chunks));
    ASSERT(chunks != NULL);
    for (uint32_t i = 0; i < chunk_count; i++) {
        size_t offset = (size_t)i * CHUNK_SIZE;
        size_t size = at - offset < CHUNK_SIZE ? at - offset : CHUNK_SIZE;
        chunks[i] = hash256_of(slice_of(bytes + offset, size));
    }
    struct seek_entry seek = {.first_seqno = 1, .offset = SEGMENT_HEADER_SIZE};
    struct segment_footer f = {
        .first = seqno_of(1),
        .last = end->seqno,
        .batch_count = end->seqno.v,
        .last_epoch = 1,
        .chain_at_end = end->chain,
        .data_end = at,
        .payload_bytes = end->seqno.v * PAYLOAD_SIZE,
        .seek_count = 1,
        .chunk_count = chunk_count,
        .seeks = &seek,
        .chunks = chunks,
    };
    size_t size = segment_footer_size(f.seek_count, f.chunk_count);
    ASSERT(at + size <= FILE_SIZE);
    segment_footer_encode(&f, LOG_KEY, bytes + at);
    free(chunks);
    return size;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--stride") == 0) stride = strtoull(argv[2], NULL, 10);
    if (stride == 0) return 2;
    struct random random;
    random_init(&random, 1);
    struct position before = {.seqno = SEQNO_NONE};
    make_header();
    flip_all(bytes, SEGMENT_HEADER_SIZE, is_segment_header, "segment header");
    size_t batch_size = (size_t)align_up(BATCH_HEADER_SIZE + PAYLOAD_SIZE, LOG_ALIGN);
    size_t footer_room = segment_footer_size(1, (uint32_t)(FILE_SIZE / CHUNK_SIZE));
    size_t at = SEGMENT_HEADER_SIZE;
    for (uint64_t number = 1; at + batch_size + footer_room <= FILE_SIZE; number++) {
        make_batch(at, number, &random, &before);
        flip_all(bytes + at, batch_size, is_batch, "batch");
        at += batch_size;
    }
    flip_all(bytes + at, make_footer(at, &before), is_footer, "footer");
    printf("records: %" PRIu64 " bits of %" PRIu64 " batches flipped, all seen\n", tried,
           before.seqno.v);
    return 0;
}
