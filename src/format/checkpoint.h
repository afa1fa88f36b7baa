/* checkpoint: a manifest at a mark and the packs that hold its blocks.
 *
 * Manifest "state/{seqno:020}.{generation:08x}.manifest": a root part, equal bit for bit on all
 * nodes at one mark, then a local place part. Both have the envelope of the small files: magic,
 * u16 version, u16 zero, u32 size, body, BLAKE3-256 of all before.
 *
 *   root part, magic "TIDEMAN2", body:
 *     off size field (from the beginning of the part)
 *      16   16 cluster id
 *      32    2 region      34 2 shard     36 4 zero
 *      40    8 epoch       48 8 seqno     56 32 chain
 *      88    8 leader time, HLC
 *      96   32 state root: BLAKE3-256 over the block entries below
 *     128    4 epoch count               132 4 block count
 *     136      epochs: u64 number, u64 nonce, u64 start, 32 bytes chain before
 *              blocks, ascending id: u32 kind, u64 number, u32 size, 32 bytes hash
 *   place part, magic "TIDEPLC2", body:
 *      16    8 generation
 *      24    8 log bytes: of all records up to the position, padding included
 *      32    4 block count                36 4 zero
 *      40      per block: u64 pack id, u64 offset
 *
 * The state root (digest) does not contain the position, so that it is the same for equal states.
 *
 * Pack "state/{pack id:016x}.pack": magic "TIDEPAK2", u16 version, u16 zero, u32 zero, 16 bytes
 * cluster id, u64 pack id, zeros to 64; then blocks, each at a multiple of 64, raw canonical bytes.
 * Integrity of a block is its hash in the manifest. A pack that came from another node has a head
 * in front of each block, by which an interrupted transfer is found again: off size field 0    8
 * magic "TIDEBLK2" 8    4 size of the block    12 4 zero 16   32 hash of the block 48   12 zero 60
 * 4 CRC32C over bytes 0..59
 */
#ifndef TIDEMARK_FORMAT_CHECKPOINT_H
#define TIDEMARK_FORMAT_CHECKPOINT_H

#include "format/identity.h"

/* Names a block of the state. Kinds are never reused. Ascending (kind, number) is the order of
 * digests and manifests. */
#define BLOCK_TABLE(X)                                                                     \
    X(BLOCK_META, 1, "meta", "counters, leader time, high-water mark of every stream")     \
    X(BLOCK_SCHEMA, 2, "schema", "signal types, fields, vectors, profiles in log order")   \
    X(BLOCK_ITEM_KEYS, 3, "item-keys", "keys and created_at of 4,096 items")               \
    X(BLOCK_COLUMN, 4, "column", "one signal type's sums of 4,096 items")                  \
    X(BLOCK_COUNT, 5, "count", "one signal type's all-time counts of 4,096 items")         \
    X(BLOCK_DEDUP, 6, "dedup", "up to 4,096 idempotency keys of one minute of log time")   \
    X(BLOCK_PRODUCERS, 7, "producers", "producer sequences, 1,024 producers")              \
    X(BLOCK_MEMBERS, 8, "members", "members and voters")                                   \
    X(BLOCK_WINDOW, 9, "window",                                                           \
      "up to 4,096 items of one signal type, counted in one bucket of time")               \
    X(BLOCK_EDGE, 10, "edge", "up to 4,096 edges (user, item) of one once or latest type") \
    X(BLOCK_USER_KEYS, 11, "user-keys", "keys and created_at of 4,096 users")              \
    X(BLOCK_CREATOR_KEYS, 12, "creator-keys", "keys and created_at of 4,096 creators")     \
    X(BLOCK_ITEM_FIELDS, 13, "item-fields", "creators and fields of 128 items")            \
    X(BLOCK_USER_FIELDS, 14, "user-fields", "fields of 128 users")                         \
    X(BLOCK_CREATOR_FIELDS, 15, "creator-fields", "fields of 128 creators")
enum block_kind {
#define X(constant, number, name, meaning) constant = number,
    BLOCK_TABLE(X)
#undef X
};
const char *block_kind_name(uint32_t kind);

struct block_id {
    uint32_t kind;
    /* Column and count: type id << 40 | halflife index << 36 | sign << 35 | item block; dedup:
     * minute << 20 | part of the minute; window: (type id - 1) << 54 | ring << 52 | bucket << 19 |
     * part of the bucket; keys and producers: 0, 1 ...; the others 0. */
    uint64_t number;
};
static inline int block_id_compare(struct block_id a, struct block_id b)
{
    if (a.kind != b.kind) return a.kind < b.kind ? -1 : 1;
    return (a.number > b.number) - (a.number < b.number);
}

struct block_entry {
    struct block_id id;
    uint32_t size;
    struct hash256 hash;
};
struct block_place {
    uint64_t pack;
    uint64_t offset;
};

struct manifest {
    struct id128 cluster;
    struct stream_id stream;
    struct position position;
    uint64_t leader_time;
    uint32_t epoch_count;
    const struct epoch_entry *epochs;
    uint32_t block_count;
    const struct block_entry *blocks; /* ascending id */
    const struct block_place *places; /* same order */
    uint64_t generation;
    uint64_t log_bytes;  /* of all records up to the position, padding included */
    struct hash256 root; /* state root over the block entries */
};

size_t manifest_size(const struct manifest *m);
/* out has manifest_size bytes. m->root is not read: the state root is computed. ASSERTs what decode
 * refuses: epochs or blocks out of order, unknown block kinds, places that are no multiple of 64.
 */
void manifest_encode(const struct manifest *m, uint8_t *out);
/* Decode. Arrays are written into memory that `take` gives (borrowed by *out, the caller frees,
 * also after an error): take(context, size) returns NULL to refuse. Sizes asked for are bounded by
 * bytes.size. E_CORRUPT, E_FORMAT (newer version, unknown block kind), E_NOMEMORY. */
MUST_CHECK enum code manifest_decode(struct slice bytes, void *(*take)(void *context, size_t size),
                                     void *context, struct manifest *out, struct err *e);
/* BLAKE3-256 over the entries in order: u32 kind, u64 number, u32 size, hash. */
struct hash256 state_root(const struct block_entry *blocks, uint32_t count);

#define PACK_HEADER_SIZE 64u
#define PACK_ALIGN       64u /* of blocks in a pack */
void pack_header_encode(const struct id128 *cluster, uint64_t pack, uint8_t out[PACK_HEADER_SIZE]);
MUST_CHECK enum code pack_header_decode(const uint8_t bytes[PACK_HEADER_SIZE],
                                        const struct id128 *cluster, uint64_t pack, struct err *e);

/* The head of a block in a pack that is being received. decode: false for anything else. */
#define BLOCK_HEAD_SIZE 64u
void block_head_encode(const struct hash256 *hash, uint32_t size, uint8_t out[BLOCK_HEAD_SIZE]);
bool block_head_decode(const uint8_t bytes[BLOCK_HEAD_SIZE], struct hash256 *out_hash,
                       uint32_t *out_size);

#define CHECKPOINT_NAME_SIZE 64
void manifest_name(seqno at, uint64_t generation, char out[CHECKPOINT_NAME_SIZE]);
bool manifest_name_parse(struct slice name, seqno *out_at, uint64_t *out_generation);
void pack_name(uint64_t pack, char out[CHECKPOINT_NAME_SIZE]);
bool pack_name_parse(struct slice name, uint64_t *out_pack);

#endif
