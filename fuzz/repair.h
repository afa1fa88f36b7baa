/* repair: makes checksums hold, so that a fuzzer's bytes reach what lies behind them. */
#ifndef TIDEMARK_FUZZ_REPAIR_H
#define TIDEMARK_FUZZ_REPAIR_H

#include <stdlib.h>

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "format/batch.h"

#define FUZZ_LOG_KEY UINT64_C(0x1122334455667788)

static inline struct log_identity fuzz_log(void)
{
    return (struct log_identity){.cluster = {{1}}, .stream = {1, 2}, .log_key = FUZZ_LOG_KEY};
}

/* Put a checksum into a header at offset. keyed: with the log key. */
static inline void repair_crc(uint8_t *header, size_t size, size_t offset, bool is_keyed)
{
    store_u32(header + offset, 0);
    store_u32(header + offset,
              is_keyed ? crc32c_keyed(FUZZ_LOG_KEY, header, size) : crc32c(0, header, size));
}

/* Make the last 32 bytes the hash of those before. */
static inline void repair_hash(uint8_t *bytes, size_t size)
{
    if (size < 32) return;
    struct hash256 hash = hash256_of(slice_of(bytes, size - 32));
    memcpy(bytes + size - 32, hash.bytes, 32);
}

/* A malloc'ed copy that begins as a file of this magic, says its own size behind it and ends in a
 * hash that holds. NULL: too small for that, or no memory. */
static inline uint8_t *repair_file(const uint8_t *data, size_t size, const char magic[9])
{
    if (size < 48) return NULL;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return NULL;
    memcpy(copy, data, size);
    memcpy(copy, magic, 8);
    store_u32(copy + 12, (uint32_t)size);
    repair_hash(copy, size);
    return copy;
}

/* Make 192 bytes a header of this log that says payload_size and its hash; the record count, flags,
 * times and epoch stay the fuzzer's. */
static inline void repair_batch(uint8_t *bytes, uint32_t payload_size,
                                const struct position *before)
{
    struct log_identity id = fuzz_log();
    memcpy(bytes, BATCH_MAGIC, 8);
    store_u16(bytes + 8, FORMAT_VERSION);
    store_u16(bytes + 10, BATCH_HEADER_SIZE);
    memcpy(bytes + 24, id.cluster.bytes, 16);
    store_u16(bytes + 40, id.stream.region);
    store_u16(bytes + 42, id.stream.shard);
    store_u64(bytes + 64, before->seqno.v + 1);
    store_u32(bytes + 72, payload_size);
    store_u32(bytes + 76, payload_size);
    if (load_u64(bytes + 88) > before->seqno.v) store_u64(bytes + 88, before->seqno.v);
    memcpy(bytes + 96, before->chain.bytes, 32);
    struct hash256 hash = hash256_of(slice_of(bytes + BATCH_HEADER_SIZE, payload_size));
    memcpy(bytes + 128, hash.bytes, 32);
    repair_crc(bytes, BATCH_HEADER_SIZE, 16, true);
}

#endif
