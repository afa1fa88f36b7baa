/* batch: the unit of the log. Header v2, 192 bytes, little-endian, then the payload (records).
 * The leader fixes these bytes once; they are the same on every node, on disk and on the wire,
 * for ever. In a file zero padding up to a multiple of 64 follows; it is not sent and not hashed.
 *
 *   off size field
 *     0    8 magic "TIDEBAT2"
 *     8    2 version = 2
 *    10    2 header size = 192
 *    12    4 flags (unknown ones are refused)
 *    16    4 header CRC32C over bytes 0..191 with this field zero, keyed with the log key
 *    20    4 record count, 1..BATCH_RECORDS_MAX
 *    24   16 cluster id
 *    40    2 region      42 2 shard      44 2 codec      46 2 zero
 *    48    8 epoch       56 8 epoch nonce
 *    64    8 first seqno
 *    72    4 payload size (stored bytes)      76 4 raw size (after decompression)
 *    80    8 leader time, HLC: 48-bit ms, 16-bit counter
 *    88    8 durable_through: highest seqno durable on the leader when this header was stamped
 *    96   32 previous chain
 *   128   32 payload hash, BLAKE3-256 of the stored payload
 *   160   32 zero (room)
 *
 * chain = BLAKE3-256 of the 192 header bytes with the CRC field zero.
 */
#ifndef TIDEMARK_FORMAT_BATCH_H
#define TIDEMARK_FORMAT_BATCH_H

#include "base/error.h"
#include "base/types.h"
#include "format/limits.h"

#define BATCH_HEADER_SIZE 192u
#define BATCH_MAGIC       "TIDEBAT2"

/* The batch carries only records without a client's cause: ticks, marks, digests, epoch start. */
#define BATCH_FLAG_HOUSEKEEPING 1u
#define BATCH_FLAGS_KNOWN       (BATCH_FLAG_HOUSEKEEPING)

struct batch_header {
    uint32_t flags;
    uint32_t record_count;
    struct id128 cluster;
    struct stream_id stream;
    uint16_t codec;
    struct epoch epoch;
    seqno first;
    uint32_t payload_size;
    uint32_t raw_size;
    uint64_t leader_time; /* HLC */
    seqno durable_through;
    struct hash256 previous_chain;
    struct hash256 payload_hash;
};

/* What a batch must match to be of this log. */
struct log_identity {
    struct id128 cluster;
    struct stream_id stream;
    uint64_t log_key;
};

static inline seqno batch_last(const struct batch_header *h)
{
    return seqno_of(h->first.v + h->record_count - 1);
}
/* Bytes in a file including padding. */
static inline uint64_t batch_file_size(const struct batch_header *h)
{
    return ((uint64_t)BATCH_HEADER_SIZE + h->payload_size + LOG_ALIGN - 1) &
           ~(uint64_t)(LOG_ALIGN - 1);
}
static inline uint64_t align_up(uint64_t v, uint64_t to)
{
    return (v + to - 1) / to * to;
}
/* Padding and unused fields: readers demand zeros. */
static inline bool bytes_are_zero(const uint8_t *bytes, size_t size)
{
    uint8_t any = 0;
    for (size_t i = 0; i < size; i++) {
        any |= bytes[i];
    }
    return any == 0;
}
static inline uint64_t hlc_ms(uint64_t hlc)
{
    return hlc >> 16;
}
static inline uint64_t hlc_of_ms(uint64_t ms)
{
    return ms << 16;
}

/* Write the 192 bytes, CRC included. ASSERTs the header's own limits. */
void batch_header_encode(const struct batch_header *h, uint64_t log_key,
                         uint8_t out[BATCH_HEADER_SIZE]);

enum batch_verdict {
    BATCH_OK,
    BATCH_NOT_A_HEADER, /* magic absent: zeros, stale or foreign bytes */
    BATCH_BAD_HEADER,   /* magic there, but CRC, size, flag or limit wrong */
    BATCH_NEWER,        /* a valid CRC with an unknown version, flag or codec */
    BATCH_FOREIGN,      /* valid, but of another cluster or stream */
};
/* Judge 192 bytes. *out is written on BATCH_OK only. Never asserts on input. */
enum batch_verdict batch_header_decode(const uint8_t bytes[BATCH_HEADER_SIZE],
                                       const struct log_identity *id, struct batch_header *out);
const char *batch_verdict_text(enum batch_verdict v);

/* The chain after this batch. header: the encoded 192 bytes. */
struct hash256 batch_chain(const uint8_t header[BATCH_HEADER_SIZE]);

/* Does the payload hash to what the header says? */
bool batch_payload_verifies(const struct batch_header *h, struct slice payload);

/* Do the records of a payload that verifies parse, exactly record_count of them, with a kind that
 * must be last or alone only where it may stand, and an epoch start of the header's epoch?
 * E_CORRUPT, E_FORMAT (unknown kind). */
MUST_CHECK enum code batch_records_check(const struct batch_header *h, struct slice payload,
                                         struct err *e);

/* The first whole batch of a run of batches without padding, as they travel: *out_first borrows
 * bytes. E_CORRUPT, E_FORMAT or E_WRONG_CLUSTER when there is none. The payload is not verified. */
MUST_CHECK enum code batch_split(struct slice bytes, const struct log_identity *id,
                                 struct slice *out_first, struct err *e);

/* Full check of one received batch against the place it must extend: header verdict, first =
 * previous + 1, epoch not lower (E_FENCED), previous chain (E_PROTOCOL: another history than the
 * one agreed on), payload size and hash, and batch_records_check; padding not included. E_PROTOCOL
 * / E_CORRUPT / E_FENCED / E_GAP / E_FORMAT / E_WRONG_CLUSTER with a sentence. *out_header and
 * *out_chain on OK only. */
MUST_CHECK enum code batch_verify_next(struct slice batch, const struct log_identity *id,
                                       const struct position *before,
                                       struct batch_header *out_header, struct hash256 *out_chain,
                                       struct err *e);

#endif
