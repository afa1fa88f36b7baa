/* batch: the 192-byte header that fixes a batch for ever, the chain over headers, and the checks a
 * received batch must pass. Nothing in a header is believed before its checksum, which is seeded
 * with the log key: stale bytes of another log fail it. Pure; never allocates. */
#include "format/batch.h"

#include <assert.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/planted.h"
#include "format/record.h"

/* Offsets of the header's fields: the byte table of batch.h. */
enum {
    AT_MAGIC = 0,
    AT_VERSION = 8,
    AT_HEADER_SIZE = 10,
    AT_FLAGS = 12,
    AT_CRC = 16,
    AT_RECORD_COUNT = 20,
    AT_CLUSTER = 24,
    AT_REGION = 40,
    AT_SHARD = 42,
    AT_CODEC = 44,
    AT_ZERO_16 = 46,
    AT_EPOCH = 48,
    AT_NONCE = 56,
    AT_FIRST = 64,
    AT_PAYLOAD_SIZE = 72,
    AT_RAW_SIZE = 76,
    AT_LEADER_TIME = 80,
    AT_DURABLE_THROUGH = 88,
    AT_PREVIOUS_CHAIN = 96,
    AT_PAYLOAD_HASH = 128,
    AT_ZERO = 160,
};
#define BATCH_PAYLOAD_SIZE_MAX (BATCH_SIZE_MAX - BATCH_HEADER_SIZE)

static_assert(BATCH_HEADER_SIZE % LOG_ALIGN == 0, "a header ends on a boundary");
static_assert(AT_PREVIOUS_CHAIN + 32 == AT_PAYLOAD_HASH && AT_PAYLOAD_HASH + 32 == AT_ZERO,
              "the hashes follow each other");
static_assert(AT_ZERO + 32 == BATCH_HEADER_SIZE, "the zero room ends the header");
static_assert(sizeof(BATCH_MAGIC) - 1 == AT_VERSION - AT_MAGIC, "the magic is eight bytes");
static_assert(BATCH_PAYLOAD_SIZE_MAX <= UINT32_MAX, "payload size is a u32");
static_assert(BATCH_RECORDS_MAX <= BATCH_PAYLOAD_SIZE_MAX / RECORD_SIZE_MIN, "reachable limit");

/* Limits that hold for every header, whoever wrote it. */
static bool header_is_within_limits(const struct batch_header *h)
{
    bool counts = h->record_count >= 1 && h->record_count <= BATCH_RECORDS_MAX;
    bool sizes = h->payload_size >= (uint64_t)h->record_count * RECORD_SIZE_MIN &&
                 h->payload_size <= BATCH_PAYLOAD_SIZE_MAX && h->raw_size == h->payload_size;
    bool numbers = h->first.v >= 1 && h->first.v <= UINT64_MAX - BATCH_RECORDS_MAX &&
                   h->durable_through.v < h->first.v && h->epoch.number >= 1;
    return counts && sizes && numbers;
}

static uint32_t header_crc(const uint8_t bytes[BATCH_HEADER_SIZE], uint64_t log_key)
{
    uint8_t copy[BATCH_HEADER_SIZE];
    memcpy(copy, bytes, sizeof(copy));
    store_u32(copy + AT_CRC, 0);
    return crc32c_keyed(log_key, copy, sizeof(copy));
}

void batch_header_encode(const struct batch_header *h, uint64_t log_key,
                         uint8_t out[BATCH_HEADER_SIZE])
{
    ASSERT(header_is_within_limits(h));
    ASSERT((h->flags & ~BATCH_FLAGS_KNOWN) == 0);
    ASSERT(h->codec == CODEC_NONE);
    memset(out, 0, BATCH_HEADER_SIZE);
    memcpy(out + AT_MAGIC, BATCH_MAGIC, AT_VERSION - AT_MAGIC);
    store_u16(out + AT_VERSION, FORMAT_VERSION);
    store_u16(out + AT_HEADER_SIZE, BATCH_HEADER_SIZE);
    store_u32(out + AT_FLAGS, h->flags);
    store_u32(out + AT_RECORD_COUNT, h->record_count);
    memcpy(out + AT_CLUSTER, h->cluster.bytes, sizeof(h->cluster.bytes));
    store_u16(out + AT_REGION, h->stream.region);
    store_u16(out + AT_SHARD, h->stream.shard);
    store_u16(out + AT_CODEC, h->codec);
    store_u64(out + AT_EPOCH, h->epoch.number);
    store_u64(out + AT_NONCE, h->epoch.nonce);
    store_u64(out + AT_FIRST, h->first.v);
    store_u32(out + AT_PAYLOAD_SIZE, h->payload_size);
    store_u32(out + AT_RAW_SIZE, h->raw_size);
    store_u64(out + AT_LEADER_TIME, h->leader_time);
    store_u64(out + AT_DURABLE_THROUGH, h->durable_through.v);
    memcpy(out + AT_PREVIOUS_CHAIN, h->previous_chain.bytes, sizeof(h->previous_chain.bytes));
    memcpy(out + AT_PAYLOAD_HASH, h->payload_hash.bytes, sizeof(h->payload_hash.bytes));
    store_u32(out + AT_CRC, header_crc(out, log_key));
}

static void header_load(const uint8_t bytes[BATCH_HEADER_SIZE], struct batch_header *h)
{
    *h = (struct batch_header){
        .flags = load_u32(bytes + AT_FLAGS),
        .record_count = load_u32(bytes + AT_RECORD_COUNT),
        .stream = {.region = load_u16(bytes + AT_REGION), .shard = load_u16(bytes + AT_SHARD)},
        .codec = load_u16(bytes + AT_CODEC),
        .epoch = {.number = load_u64(bytes + AT_EPOCH), .nonce = load_u64(bytes + AT_NONCE)},
        .first = seqno_of(load_u64(bytes + AT_FIRST)),
        .payload_size = load_u32(bytes + AT_PAYLOAD_SIZE),
        .raw_size = load_u32(bytes + AT_RAW_SIZE),
        .leader_time = load_u64(bytes + AT_LEADER_TIME),
        .durable_through = seqno_of(load_u64(bytes + AT_DURABLE_THROUGH)),
    };
    memcpy(h->cluster.bytes, bytes + AT_CLUSTER, sizeof(h->cluster.bytes));
    memcpy(h->previous_chain.bytes, bytes + AT_PREVIOUS_CHAIN, sizeof(h->previous_chain.bytes));
    memcpy(h->payload_hash.bytes, bytes + AT_PAYLOAD_HASH, sizeof(h->payload_hash.bytes));
}

enum batch_verdict batch_header_decode(const uint8_t bytes[BATCH_HEADER_SIZE],
                                       const struct log_identity *id, struct batch_header *out)
{
    struct batch_header h;
    if (memcmp(bytes + AT_MAGIC, BATCH_MAGIC, AT_VERSION - AT_MAGIC) != 0) {
        return BATCH_NOT_A_HEADER;
    }
    if (load_u32(bytes + AT_CRC) != header_crc(bytes, id->log_key)) return BATCH_BAD_HEADER;
    header_load(bytes, &h);
    bool is_known = load_u16(bytes + AT_VERSION) == FORMAT_VERSION &&
                    load_u16(bytes + AT_HEADER_SIZE) == BATCH_HEADER_SIZE &&
                    (h.flags & ~BATCH_FLAGS_KNOWN) == 0 && h.codec == CODEC_NONE;
    if (!is_known) return BATCH_NEWER;
    bool is_plain = bytes_are_zero(bytes + AT_ZERO_16, AT_EPOCH - AT_ZERO_16) &&
                    bytes_are_zero(bytes + AT_ZERO, BATCH_HEADER_SIZE - AT_ZERO);
    if (!is_plain || !header_is_within_limits(&h)) return BATCH_BAD_HEADER;
    if (!id128_equal(&h.cluster, &id->cluster) || !stream_equal(h.stream, id->stream)) {
        return BATCH_FOREIGN;
    }
    *out = h;
    return BATCH_OK;
}

const char *batch_verdict_text(enum batch_verdict v)
{
    switch (v) {
    case BATCH_OK: return "is valid";
    case BATCH_NOT_A_HEADER: return "does not begin with a batch header";
    case BATCH_BAD_HEADER: return "has a damaged header";
    case BATCH_NEWER: return "is of a newer format version";
    case BATCH_FOREIGN: return "belongs to another cluster or stream";
    }
    UNREACHABLE();
}

struct hash256 batch_chain(const uint8_t header[BATCH_HEADER_SIZE])
{
    uint8_t copy[BATCH_HEADER_SIZE];
    memcpy(copy, header, sizeof(copy));
    store_u32(copy + AT_CRC, 0);
    return hash256_of(slice_of(copy, sizeof(copy)));
}

bool batch_payload_verifies(const struct batch_header *h, struct slice payload)
{
    if (payload.size != h->payload_size) return false;
    if (PLANTED(7)) return true; /* the hash of a payload is not looked at */
    struct hash256 hash = hash256_of(payload);
    return hash256_equal(&hash, &h->payload_hash);
}

/* May a record of this kind stand at index i? */
static enum code place_check(const struct batch_header *h, const struct record *r, uint32_t i,
                             struct err *e)
{
    if (record_kind_is_last(r->kind) && i + 1 != h->record_count) {
        return ERR(e, E_CORRUPT, "a %s record is not the last of its batch",
                   record_kind_name(r->kind));
    }
    if (record_kind_is_alone(r->kind) && h->record_count != 1) {
        return ERR(e, E_CORRUPT, "a %s record is not alone in its batch",
                   record_kind_name(r->kind));
    }
    if (r->kind == RECORD_EPOCH_START && !epoch_equal(r->as.epoch_start.epoch, h->epoch)) {
        return ERR(e, E_CORRUPT, "an epoch start names another epoch than its batch");
    }
    return OK;
}

enum code batch_records_check(const struct batch_header *h, struct slice payload, struct err *e)
{
    struct bytes_reader r = bytes_reader_of(payload);
    struct record record;
    int64_t base_ms = (int64_t)hlc_ms(h->leader_time);
    for (uint32_t i = 0; i < h->record_count; i++) {
        TRY(record_decode(&r, base_ms, &record, e));
        TRY(place_check(h, &record, i, e));
    }
    if (bytes_left(&r) > 0) {
        return ERR(e, E_CORRUPT, "a batch has %zu bytes behind its last record", bytes_left(&r));
    }
    return OK;
}

/* Decode the header of bytes that claim to begin with a batch. */
static enum code header_judge(struct slice bytes, const struct log_identity *id,
                              struct batch_header *out, struct err *e)
{
    if (bytes.size < BATCH_HEADER_SIZE) {
        return ERR(e, E_CORRUPT, "a batch of %zu bytes is shorter than a header", bytes.size);
    }
    enum batch_verdict verdict = batch_header_decode(bytes.data, id, out);
    switch (verdict) {
    case BATCH_OK: return OK;
    case BATCH_NEWER:
        return ERR(e, E_FORMAT,
                   "a batch is of format version %u, flags %#" PRIx32 ", codec %u; "
                   "this program reads version %d, flags %#x, codec %d",
                   (unsigned)load_u16(bytes.data + AT_VERSION), load_u32(bytes.data + AT_FLAGS),
                   (unsigned)load_u16(bytes.data + AT_CODEC), FORMAT_VERSION, BATCH_FLAGS_KNOWN,
                   CODEC_NONE);
    case BATCH_FOREIGN: return ERR(e, E_WRONG_CLUSTER, "a batch %s", batch_verdict_text(verdict));
    case BATCH_NOT_A_HEADER:
    case BATCH_BAD_HEADER: return ERR(e, E_CORRUPT, "a batch %s", batch_verdict_text(verdict));
    }
    UNREACHABLE();
}

enum code batch_split(struct slice bytes, const struct log_identity *id, struct slice *out_first,
                      struct err *e)
{
    struct batch_header h;
    TRY(header_judge(bytes, id, &h, e));
    size_t size = (size_t)BATCH_HEADER_SIZE + h.payload_size;
    if (bytes.size < size) {
        return ERR(e, E_CORRUPT, "a batch of %zu bytes ends after %zu", size, bytes.size);
    }
    *out_first = slice_of(bytes.data, size);
    return OK;
}

/* Does the header extend the position before? */
static enum code place_judge(const struct batch_header *h, const struct position *before,
                             struct err *e)
{
    if (PLANTED(8) && h->first.v > before->seqno.v + 1) return OK; /* a gap is accepted */
    if (h->first.v - 1 != before->seqno.v) {
        return ERR(e, E_GAP, "a batch begins at seqno %" PRIu64 ", expected %" PRIu64, h->first.v,
                   before->seqno.v + 1);
    }
    if (h->epoch.number < before->epoch) {
        return ERR(e, E_FENCED, "a batch of epoch %" PRIu64 " after one of epoch %" PRIu64,
                   h->epoch.number, before->epoch);
    }
    if (!hash256_equal(&h->previous_chain, &before->chain)) {
        return ERR(e, E_PROTOCOL, "the batch at seqno %" PRIu64 " continues another history",
                   h->first.v);
    }
    return OK;
}

enum code batch_verify_next(struct slice batch, const struct log_identity *id,
                            const struct position *before, struct batch_header *out_header,
                            struct hash256 *out_chain, struct err *e)
{
    struct batch_header h;
    TRY(header_judge(batch, id, &h, e));
    TRY(place_judge(&h, before, e));
    struct slice payload = slice_of(batch.data + BATCH_HEADER_SIZE, batch.size - BATCH_HEADER_SIZE);
    if (payload.size != h.payload_size) {
        return ERR(e, E_PROTOCOL, "a payload of %zu bytes, its header says %" PRIu32, payload.size,
                   h.payload_size);
    }
    if (!batch_payload_verifies(&h, payload)) {
        return ERR(e, E_CORRUPT, "the payload at seqno %" PRIu64 " does not match its hash",
                   h.first.v);
    }
    TRY(batch_records_check(&h, payload, e));
    *out_header = h;
    *out_chain = batch_chain(batch.data);
    return OK;
}
