/* segment: header, footer and trailer of one log file, and its name. The header is not keyed,
 * because the log key is in it; the trailer is, and the footer's BLAKE3 is in the trailer. Nothing
 * is believed before its checksum. Pure; never allocates: a decoded footer borrows the bytes. */
#include "format/segment.h"

#include <assert.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/text.h"

#define HEADER_MAGIC  "TIDESEG2"
#define FOOTER_MAGIC  "TIDEFOO2"
#define TRAILER_MAGIC "TIDEEND2"

/* Offsets: the byte tables of segment.h. */
enum {
    MAGIC_SIZE = 8,

    AT_VERSION = 8,
    AT_HEADER_SIZE = 10,
    AT_CRC = 12,
    AT_CLUSTER = 16,
    AT_REGION = 32,
    AT_SHARD = 34,
    AT_FLAGS = 36,
    AT_FIRST = 40,
    AT_EPOCH = 48,
    AT_NONCE = 56,
    AT_LOG_KEY = 64,
    AT_FILE_ID = 72,
    AT_SIZE_LIMIT = 80,
    AT_ZERO = 88,
    AT_CHAIN = 96,
    AT_ZEROS = 128,

    FOOTER_AT_SIZE = 8,
    FOOTER_AT_ZERO = 12,
    FOOTER_AT_FIRST = 16,
    FOOTER_AT_LAST = 24,
    FOOTER_AT_BATCH_COUNT = 32,
    FOOTER_AT_LAST_EPOCH = 40,
    FOOTER_AT_CHAIN = 48,
    FOOTER_AT_DATA_END = 80,
    FOOTER_AT_SEEK_COUNT = 88,
    FOOTER_AT_CHUNK_COUNT = 92,
    FOOTER_AT_PAYLOAD_BYTES = 96,
    FOOTER_AT_ZEROS = 104,

    TRAILER_AT_OFFSET = 0,
    TRAILER_AT_SIZE = 8,
    TRAILER_AT_CRC = 12,
    TRAILER_AT_HASH = 16,
    TRAILER_AT_MAGIC = 48,
    TRAILER_AT_ZERO = 56,
};

static_assert(SEGMENT_HEADER_SIZE % LOG_ALIGN == 0 && AT_ZEROS + 64 == SEGMENT_HEADER_SIZE,
              "the header fills its room and batches after it are aligned");
static_assert(FOOTER_AT_ZEROS + 24 == SEGMENT_FOOTER_FIXED_SIZE, "the fixed part fills its room");
static_assert(TRAILER_AT_ZERO + 8 == SEGMENT_TRAILER_SIZE, "the trailer fills its room");
static_assert(sizeof(struct seek_entry) == 16 && offsetof(struct seek_entry, offset) == 8,
              "seek entries are read in place");
static_assert(sizeof(struct hash256) == 32, "chunk hashes are read in place");

static uint32_t header_crc(const uint8_t bytes[SEGMENT_HEADER_SIZE])
{
    uint8_t copy[SEGMENT_HEADER_SIZE];
    memcpy(copy, bytes, sizeof(copy));
    store_u32(copy + AT_CRC, 0);
    return crc32c(0, copy, sizeof(copy));
}

static bool header_is_within_limits(const struct segment_header *h)
{
    return h->first.v >= 1 && h->size_limit >= SEGMENT_SIZE_MIN &&
           h->size_limit <= SEGMENT_SIZE_MAX;
}

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE])
{
    ASSERT(header_is_within_limits(h));
    memset(out, 0, SEGMENT_HEADER_SIZE);
    memcpy(out, HEADER_MAGIC, MAGIC_SIZE);
    store_u16(out + AT_VERSION, FORMAT_VERSION);
    store_u16(out + AT_HEADER_SIZE, SEGMENT_HEADER_SIZE);
    memcpy(out + AT_CLUSTER, h->cluster.bytes, sizeof(h->cluster.bytes));
    store_u16(out + AT_REGION, h->stream.region);
    store_u16(out + AT_SHARD, h->stream.shard);
    store_u64(out + AT_FIRST, h->first.v);
    store_u64(out + AT_EPOCH, h->epoch.number);
    store_u64(out + AT_NONCE, h->epoch.nonce);
    store_u64(out + AT_LOG_KEY, h->log_key);
    store_u64(out + AT_FILE_ID, h->file_id);
    store_u64(out + AT_SIZE_LIMIT, h->size_limit);
    memcpy(out + AT_CHAIN, h->chain_at_start.bytes, sizeof(h->chain_at_start.bytes));
    store_u32(out + AT_CRC, header_crc(out));
}

enum segment_verdict segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_SIZE],
                                           struct segment_header *out)
{
    if (memcmp(bytes, HEADER_MAGIC, MAGIC_SIZE) != 0) return SEGMENT_EMPTY;
    if (load_u32(bytes + AT_CRC) != header_crc(bytes)) return SEGMENT_BAD;
    bool is_known = load_u16(bytes + AT_VERSION) == FORMAT_VERSION &&
                    load_u16(bytes + AT_HEADER_SIZE) == SEGMENT_HEADER_SIZE &&
                    load_u32(bytes + AT_FLAGS) == 0;
    if (!is_known) return SEGMENT_NEWER;
    struct segment_header h = {
        .stream = {.region = load_u16(bytes + AT_REGION), .shard = load_u16(bytes + AT_SHARD)},
        .first = seqno_of(load_u64(bytes + AT_FIRST)),
        .epoch = {.number = load_u64(bytes + AT_EPOCH), .nonce = load_u64(bytes + AT_NONCE)},
        .log_key = load_u64(bytes + AT_LOG_KEY),
        .file_id = load_u64(bytes + AT_FILE_ID),
        .size_limit = load_u64(bytes + AT_SIZE_LIMIT),
    };
    memcpy(h.cluster.bytes, bytes + AT_CLUSTER, sizeof(h.cluster.bytes));
    memcpy(h.chain_at_start.bytes, bytes + AT_CHAIN, sizeof(h.chain_at_start.bytes));
    bool is_plain = bytes_are_zero(bytes + AT_ZERO, AT_CHAIN - AT_ZERO) &&
                    bytes_are_zero(bytes + AT_ZEROS, SEGMENT_HEADER_SIZE - AT_ZEROS);
    if (!is_plain || !header_is_within_limits(&h)) return SEGMENT_BAD;
    *out = h;
    return SEGMENT_OK;
}

static uint64_t footer_body_size(uint64_t seek_count, uint64_t chunk_count)
{
    uint64_t size = SEGMENT_FOOTER_FIXED_SIZE + seek_count * sizeof(struct seek_entry) +
                    chunk_count * sizeof(struct hash256);
    return align_up(size, LOG_ALIGN);
}

size_t segment_footer_size(uint32_t seek_count, uint32_t chunk_count)
{
    return footer_body_size(seek_count, chunk_count) + SEGMENT_TRAILER_SIZE;
}

/* What the fields of a footer say about each other: NULL, or what is wrong. */
static const char *footer_check(const struct segment_footer *f)
{
    if (f->data_end % LOG_ALIGN != 0 || f->data_end < SEGMENT_HEADER_SIZE) {
        return "its data end is not the end of a batch";
    }
    if (f->chunk_count != (f->data_end + CHUNK_SIZE - 1) / CHUNK_SIZE) {
        return "its chunks do not cover the file";
    }
    bool is_range = f->first.v >= 1 && f->last.v >= f->first.v - 1 && f->last.v < UINT64_MAX;
    uint64_t records = f->last.v - f->first.v + 1;
    if (!is_range || f->batch_count > records || (f->batch_count == 0) != (records == 0)) {
        return "its counts and seqnos do not match";
    }
    for (uint32_t i = 0; i < f->seek_count; i++) {
        struct seek_entry s = f->seeks[i];
        bool is_inside = s.first_seqno >= f->first.v && s.first_seqno <= f->last.v &&
                         s.offset >= SEGMENT_HEADER_SIZE && s.offset < f->data_end &&
                         s.offset % LOG_ALIGN == 0;
        bool is_above = i == 0 || (s.first_seqno > f->seeks[i - 1].first_seqno &&
                                   s.offset > f->seeks[i - 1].offset);
        if (!is_inside || !is_above) return "its seek index is not in order";
    }
    return NULL;
}

static void trailer_encode(const struct segment_footer *f, uint64_t log_key, const uint8_t *footer,
                           uint64_t body_size, uint8_t *out)
{
    struct hash256 hash = hash256_of(slice_of(footer, body_size));
    memset(out, 0, SEGMENT_TRAILER_SIZE);
    store_u64(out + TRAILER_AT_OFFSET, f->data_end);
    store_u32(out + TRAILER_AT_SIZE, (uint32_t)(body_size + SEGMENT_TRAILER_SIZE));
    memcpy(out + TRAILER_AT_HASH, hash.bytes, sizeof(hash.bytes));
    memcpy(out + TRAILER_AT_MAGIC, TRAILER_MAGIC, MAGIC_SIZE);
    store_u32(out + TRAILER_AT_CRC, crc32c_keyed(log_key, out, SEGMENT_TRAILER_SIZE));
}

void segment_footer_encode(const struct segment_footer *f, uint64_t log_key, uint8_t *out)
{
    ASSERT(footer_check(f) == NULL);
    uint64_t body_size = footer_body_size(f->seek_count, f->chunk_count);
    ASSERT(body_size + SEGMENT_TRAILER_SIZE <= UINT32_MAX);
    memset(out, 0, body_size);
    memcpy(out, FOOTER_MAGIC, MAGIC_SIZE);
    store_u32(out + FOOTER_AT_SIZE, (uint32_t)(body_size + SEGMENT_TRAILER_SIZE));
    store_u64(out + FOOTER_AT_FIRST, f->first.v);
    store_u64(out + FOOTER_AT_LAST, f->last.v);
    store_u64(out + FOOTER_AT_BATCH_COUNT, f->batch_count);
    store_u64(out + FOOTER_AT_LAST_EPOCH, f->last_epoch);
    memcpy(out + FOOTER_AT_CHAIN, f->chain_at_end.bytes, sizeof(f->chain_at_end.bytes));
    store_u64(out + FOOTER_AT_DATA_END, f->data_end);
    store_u32(out + FOOTER_AT_SEEK_COUNT, f->seek_count);
    store_u32(out + FOOTER_AT_CHUNK_COUNT, f->chunk_count);
    store_u64(out + FOOTER_AT_PAYLOAD_BYTES, f->payload_bytes);
    uint8_t *at = out + SEGMENT_FOOTER_FIXED_SIZE;
    size_t seek_bytes = f->seek_count * sizeof(f->seeks[0]);
    if (seek_bytes > 0) memcpy(at, f->seeks, seek_bytes);
    memcpy(at + seek_bytes, f->chunks, f->chunk_count * sizeof(f->chunks[0]));
    trailer_encode(f, log_key, out, body_size, out + body_size);
}

bool segment_trailer_decode(const uint8_t trailer[SEGMENT_TRAILER_SIZE], uint64_t log_key,
                            uint64_t file_size, uint64_t *out_offset, uint32_t *out_size)
{
    uint8_t copy[SEGMENT_TRAILER_SIZE];
    if (memcmp(trailer + TRAILER_AT_MAGIC, TRAILER_MAGIC, MAGIC_SIZE) != 0) return false;
    memcpy(copy, trailer, sizeof(copy));
    store_u32(copy + TRAILER_AT_CRC, 0);
    if (load_u32(trailer + TRAILER_AT_CRC) != crc32c_keyed(log_key, copy, sizeof(copy))) {
        return false;
    }
    uint64_t offset = load_u64(trailer + TRAILER_AT_OFFSET);
    uint32_t size = load_u32(trailer + TRAILER_AT_SIZE);
    bool is_plain =
        bytes_are_zero(trailer + TRAILER_AT_ZERO, SEGMENT_TRAILER_SIZE - TRAILER_AT_ZERO);
    bool is_inside = size >= SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE &&
                     offset >= SEGMENT_HEADER_SIZE && offset % LOG_ALIGN == 0 &&
                     size <= file_size && offset == file_size - size;
    if (!is_plain || !is_inside) return false;
    *out_offset = offset;
    *out_size = size;
    return true;
}

static void footer_load(const uint8_t *bytes, struct segment_footer *f)
{
    *f = (struct segment_footer){
        .first = seqno_of(load_u64(bytes + FOOTER_AT_FIRST)),
        .last = seqno_of(load_u64(bytes + FOOTER_AT_LAST)),
        .batch_count = load_u64(bytes + FOOTER_AT_BATCH_COUNT),
        .last_epoch = load_u64(bytes + FOOTER_AT_LAST_EPOCH),
        .data_end = load_u64(bytes + FOOTER_AT_DATA_END),
        .payload_bytes = load_u64(bytes + FOOTER_AT_PAYLOAD_BYTES),
        .seek_count = load_u32(bytes + FOOTER_AT_SEEK_COUNT),
        .chunk_count = load_u32(bytes + FOOTER_AT_CHUNK_COUNT),
    };
    memcpy(f->chain_at_end.bytes, bytes + FOOTER_AT_CHAIN, sizeof(f->chain_at_end.bytes));
}

/* Do trailer, magic, sizes, hash and zero fields hold? */
static const char *footer_envelope_check(struct slice bytes, uint64_t log_key, uint64_t *out_offset)
{
    uint32_t size = 0;
    const uint8_t *trailer = bytes.data + bytes.size - SEGMENT_TRAILER_SIZE;
    size_t body_size = bytes.size - SEGMENT_TRAILER_SIZE;
    /* The trailer knows where the footer begins; the file's size follows from it. */
    uint64_t file_size = load_u64(trailer + TRAILER_AT_OFFSET) + bytes.size;
    if (!segment_trailer_decode(trailer, log_key, file_size, out_offset, &size)) {
        return "its trailer is damaged";
    }
    struct hash256 hash = hash256_of(slice_of(bytes.data, body_size));
    if (memcmp(hash.bytes, trailer + TRAILER_AT_HASH, sizeof(hash.bytes)) != 0) {
        return "it does not match its checksum";
    }
    bool is_plain =
        memcmp(bytes.data, FOOTER_MAGIC, MAGIC_SIZE) == 0 &&
        load_u32(bytes.data + FOOTER_AT_SIZE) == bytes.size &&
        bytes_are_zero(bytes.data + FOOTER_AT_ZERO, FOOTER_AT_FIRST - FOOTER_AT_ZERO) &&
        bytes_are_zero(bytes.data + FOOTER_AT_ZEROS, SEGMENT_FOOTER_FIXED_SIZE - FOOTER_AT_ZEROS);
    return is_plain ? NULL : "its fixed part is malformed";
}

/* Point seeks and chunks into the bytes; the counts must match the size and zeros fill it up. */
static const char *footer_arrays_set(struct slice bytes, struct segment_footer *f)
{
    uint64_t body_size = footer_body_size(f->seek_count, f->chunk_count);
    if (body_size + SEGMENT_TRAILER_SIZE != bytes.size) return "its counts do not match its size";
    const uint8_t *at = bytes.data + SEGMENT_FOOTER_FIXED_SIZE;
    f->seeks = (const void *)at;
    at += f->seek_count * sizeof(struct seek_entry);
    f->chunks = (const void *)at;
    at += f->chunk_count * sizeof(struct hash256);
    bool is_plain = bytes_are_zero(at, (size_t)(bytes.data + body_size - at));
    return is_plain ? NULL : "its padding is not zero";
}

enum code segment_footer_decode(struct slice bytes, uint64_t log_key, struct segment_footer *out,
                                struct err *e)
{
    struct segment_footer f;
    uint64_t offset = 0;
    ASSERT((uintptr_t)bytes.data % _Alignof(struct seek_entry) == 0);
    if (bytes.size < SEGMENT_FOOTER_FIXED_SIZE + SEGMENT_TRAILER_SIZE) {
        return ERR(e, E_CORRUPT, "a segment footer of %zu bytes is too short", bytes.size);
    }
    footer_load(bytes.data, &f); /* not believed before the checks */
    const char *wrong = footer_envelope_check(bytes, log_key, &offset);
    if (wrong == NULL) wrong = footer_arrays_set(bytes, &f);
    if (wrong == NULL) wrong = footer_check(&f);
    if (wrong == NULL && f.data_end != offset) wrong = "it is not where it says";
    if (wrong != NULL) return ERR(e, E_CORRUPT, "a segment footer is refused: %s", wrong);
    *out = f;
    return OK;
}

#define NAME_DIGITS 16
#define NAME_SUFFIX ".seg"

void segment_name(uint64_t file_id, char out[SEGMENT_NAME_SIZE])
{
    struct text t = text_of(out, SEGMENT_NAME_SIZE);
    text_add(&t, "%016" PRIx64 "%s", file_id, NAME_SUFFIX);
    ASSERT(!t.is_cut);
}

bool segment_name_parse(struct slice name, uint64_t *out_file_id)
{
    char again[SEGMENT_NAME_SIZE];
    uint8_t bytes[sizeof(uint64_t)];
    if (name.size != NAME_DIGITS + sizeof(NAME_SUFFIX) - 1) return false;
    if (!parse_hex(slice_of(name.data, NAME_DIGITS), bytes, sizeof(bytes))) return false;
    uint64_t file_id = 0;
    for (size_t i = 0; i < sizeof(bytes); i++) {
        file_id = file_id << 8 | bytes[i];
    }
    segment_name(file_id, again); /* one file, one name: upper case digits are no name */
    if (!slice_equal(name, slice_of_text(again))) return false;
    *out_file_id = file_id;
    return true;
}
