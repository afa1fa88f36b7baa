/* segment: local packaging of the log. A file "log/{file id:016x}.seg":
 *
 *   header (192 bytes) | batches, each padded to 64 | footer when sealed | trailer (64 bytes)
 *
 * Nothing outside a node refers to a segment file. A file without a valid header of its own file id
 * is a spare. Header, little-endian:
 *   off size field
 *     0    8 magic "TIDESEG2"
 *     8    2 version = 2     10 2 header size = 192
 *    12    4 CRC32C over bytes 0..191 with this field zero (not keyed: the key is in it)
 *    16   16 cluster id      32 2 region   34 2 shard   36 4 flags = 0
 *    40    8 first seqno
 *    48    8 epoch           56 8 epoch nonce          (of the leadership that opened it here)
 *    64    8 log key
 *    72    8 file id
 *    80    8 size limit in bytes
 *    88    8 zero
 *    96   32 chain at start
 *   128   64 zero
 *
 * Footer, at the first multiple of 64 after the last batch:
 *     0    8 magic "TIDEFOO2"
 *     8    4 footer size including trailer      12 4 zero
 *    16    8 first seqno     24 8 last seqno    32 8 batch count    40 8 last epoch
 *    48   32 chain at end
 *    80    8 data end = offset of this footer
 *    88    4 seek entry count   92 4 chunk count    96 8 raw payload bytes  104 24 zero
 *   128      seek entries: u64 first seqno, u64 offset
 *            chunk hashes: BLAKE3-256 of each 64 KiB of the file before the footer (last one short)
 *            zeros up to a multiple of 64
 *   trailer (last 64 bytes): u64 footer offset, u32 footer size, u32 CRC32C keyed over the first 16
 *            bytes of footer magic.. see segment.c, 32 bytes BLAKE3-256 of the footer without
 * trailer, 8 magic "TIDEEND2", u64 zero
 */
#ifndef TIDEMARK_FORMAT_SEGMENT_H
#define TIDEMARK_FORMAT_SEGMENT_H

#include "format/batch.h"

#define SEGMENT_HEADER_SIZE       192u
#define SEGMENT_TRAILER_SIZE      64u
#define SEGMENT_FOOTER_FIXED_SIZE 128u
#define SEGMENT_FOOTER_MAGIC      "TIDEFOO2"

struct segment_header {
    struct id128 cluster;
    struct stream_id stream;
    seqno first;
    struct epoch epoch;
    uint64_t log_key;
    uint64_t file_id;
    uint64_t size_limit;
    struct hash256 chain_at_start;
};

struct seek_entry {
    uint64_t first_seqno;
    uint64_t offset;
};

struct segment_footer {
    seqno first;
    seqno last;
    uint64_t batch_count;
    uint64_t last_epoch;
    struct hash256 chain_at_end;
    uint64_t data_end;
    uint64_t payload_bytes;
    uint32_t seek_count;
    uint32_t chunk_count;
    const struct seek_entry *seeks; /* encode: given; decode: see segment_footer_decode */
    const struct hash256 *chunks;
};

void segment_header_encode(const struct segment_header *h, uint8_t out[SEGMENT_HEADER_SIZE]);
enum segment_verdict {
    SEGMENT_OK,
    SEGMENT_EMPTY, /* no magic: a spare or never synced */
    SEGMENT_BAD,   /* magic, but the checksum or a field is wrong */
    SEGMENT_NEWER, /* checksum good, version or flags unknown */
};
enum segment_verdict segment_header_decode(const uint8_t bytes[SEGMENT_HEADER_SIZE],
                                           struct segment_header *out);

/* Both with trailer. ASSERTs what decode refuses: chunks that do not cover data_end, seek entries
 * out of order. */
size_t segment_footer_size(uint32_t seek_count, uint32_t chunk_count);
/* out has segment_footer_size bytes. */
void segment_footer_encode(const struct segment_footer *f, uint64_t log_key, uint8_t *out);
/* Where the footer of a sealed file of this size starts, read from its last 64 bytes; false when
 * they are no trailer. */
bool segment_trailer_decode(const uint8_t trailer[SEGMENT_TRAILER_SIZE], uint64_t log_key,
                            uint64_t file_size, uint64_t *out_offset, uint32_t *out_size);
/* Decode a whole footer (footer bytes including trailer, 8-byte aligned memory); seeks and chunks
 * point into bytes. E_CORRUPT names what is wrong. */
MUST_CHECK enum code segment_footer_decode(struct slice bytes, uint64_t log_key,
                                           struct segment_footer *out, struct err *e);

/* "000000000000002a.seg" */
#define SEGMENT_NAME_SIZE 24
void segment_name(uint64_t file_id, char out[SEGMENT_NAME_SIZE]);
bool segment_name_parse(struct slice name, uint64_t *out_file_id);

#endif
