/* checkpoint: manifests, pack headers and their file names. A manifest can name a million blocks,
 * so its arrays are read into memory that the caller gives, and never more than the bytes there can
 * fill. Nothing is believed before its hash. Never allocates. */
#include "format/checkpoint.h"

#include <assert.h>
#include <inttypes.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/text.h"
#include "format/batch.h"
#include "format/sealed.h"

#define ROOT_MAGIC  "TIDEMAN2"
#define PLACE_MAGIC "TIDEPLC2"
#define PACK_MAGIC  "TIDEPAK2"
#define HEAD_MAGIC  "TIDEBLK2"

enum {
    ROOT_FIXED_SIZE = 136, /* up to the epochs */
    PLACE_FIXED_SIZE = 40, /* up to the places */
    EPOCH_SIZE = 56,
    BLOCK_SIZE = 48,
    PLACE_SIZE = 16,
    HASH_SIZE = 32,

    PACK_AT_VERSION = 8,
    PACK_AT_ZERO = 10,
    PACK_AT_CLUSTER = 16,
    PACK_AT_ID = 32,
    PACK_AT_ZEROS = 40,

    HEAD_AT_SIZE = 8,
    HEAD_AT_ZERO = 12,
    HEAD_AT_HASH = 16,
    HEAD_AT_ZEROS = 48,
    HEAD_AT_CRC = 60,
};

const char *block_kind_name(uint32_t kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) \
    case constant: return name;
        BLOCK_TABLE(X)
#undef X
    default: return "unknown";
    }
}

static bool block_kind_is_known(uint32_t kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) case number:
        BLOCK_TABLE(X)
#undef X
        return true;
    default: return false;
    }
}

static void block_store(uint8_t out[BLOCK_SIZE], const struct block_entry *b)
{
    store_u32(out, b->id.kind);
    store_u64(out + 4, b->id.number);
    store_u32(out + 12, b->size);
    memcpy(out + 16, b->hash.bytes, sizeof(b->hash.bytes));
}

struct hash256 state_root(const struct block_entry *blocks, uint32_t count)
{
    struct hasher h;
    uint8_t piece[64 * BLOCK_SIZE]; /* small calls of the hash are expensive */
    size_t used = 0;
    hasher_init(&h);
    for (uint32_t i = 0; i < count; i++) {
        block_store(piece + used, &blocks[i]);
        used += BLOCK_SIZE;
        if (used < sizeof(piece)) continue;
        hasher_update(&h, slice_of(piece, used));
        used = 0;
    }
    hasher_update(&h, slice_of(piece, used));
    return hasher_final(&h);
}

static size_t root_part_size(const struct manifest *m)
{
    return ROOT_FIXED_SIZE + (size_t)m->epoch_count * EPOCH_SIZE +
           (size_t)m->block_count * BLOCK_SIZE + HASH_SIZE;
}

static size_t place_part_size(uint32_t block_count)
{
    return PLACE_FIXED_SIZE + (size_t)block_count * PLACE_SIZE + HASH_SIZE;
}

size_t manifest_size(const struct manifest *m)
{
    return root_part_size(m) + place_part_size(m->block_count);
}

/* What the fields say about each other: NULL, or what is wrong. */
static const char *manifest_check(const struct manifest *m)
{
    if (!epoch_entries_are_ascending(m->epochs, m->epoch_count)) {
        return "its epoch table is not in order";
    }
    for (uint32_t i = 0; i < m->block_count; i++) {
        if (i > 0 && block_id_compare(m->blocks[i - 1].id, m->blocks[i].id) >= 0) {
            return "its blocks are not in order";
        }
        if (m->places[i].offset % PACK_ALIGN != 0 || m->places[i].offset < PACK_HEADER_SIZE) {
            return "a block's place is not on a boundary";
        }
    }
    return NULL;
}

static void root_part_write(struct bytes_writer *w, const struct manifest *m)
{
    uint8_t *start = w->at;
    struct hash256 root = state_root(m->blocks, m->block_count);
    sealed_begin(w, ROOT_MAGIC);
    bytes_write(w, m->cluster.bytes, sizeof(m->cluster.bytes));
    bytes_write_u16(w, m->stream.region);
    bytes_write_u16(w, m->stream.shard);
    bytes_write_u32(w, 0);
    bytes_write_u64(w, m->position.epoch);
    bytes_write_u64(w, m->position.seqno.v);
    bytes_write(w, m->position.chain.bytes, sizeof(m->position.chain.bytes));
    bytes_write_u64(w, m->leader_time);
    bytes_write(w, root.bytes, sizeof(root.bytes));
    bytes_write_u32(w, m->epoch_count);
    bytes_write_u32(w, m->block_count);
    for (uint32_t i = 0; i < m->epoch_count; i++) {
        enum code code = fields_encode(w, &epoch_entry_fields, &m->epochs[i], 0, NULL);
        ASSERT(code == OK);
    }
    for (uint32_t i = 0; i < m->block_count; i++) {
        uint8_t bytes[BLOCK_SIZE];
        ASSERT(block_kind_is_known(m->blocks[i].id.kind));
        block_store(bytes, &m->blocks[i]);
        bytes_write(w, bytes, sizeof(bytes));
    }
    size_t size = sealed_end(w, start);
    ASSERT(size == root_part_size(m));
}

static void place_part_write(struct bytes_writer *w, const struct manifest *m)
{
    uint8_t *start = w->at;
    sealed_begin(w, PLACE_MAGIC);
    bytes_write_u64(w, m->generation);
    bytes_write_u64(w, m->log_bytes);
    bytes_write_u32(w, m->block_count);
    bytes_write_u32(w, 0);
    for (uint32_t i = 0; i < m->block_count; i++) {
        bytes_write_u64(w, m->places[i].pack);
        bytes_write_u64(w, m->places[i].offset);
    }
    size_t size = sealed_end(w, start);
    ASSERT(size == place_part_size(m->block_count));
}

void manifest_encode(const struct manifest *m, uint8_t *out)
{
    struct bytes_writer w = bytes_writer_of(out, manifest_size(m));
    ASSERT(m->epoch_count <= EPOCH_TABLE_MAX);
    ASSERT(manifest_check(m) == NULL);
    root_part_write(&w, m);
    place_part_write(&w, m);
}

/* Read the fields before the arrays. False when they do not fit the part's size. */
static bool root_fixed_read(struct bytes_reader *r, struct manifest *m)
{
    bytes_read_into(r, m->cluster.bytes, sizeof(m->cluster.bytes));
    m->stream.region = bytes_read_u16(r);
    m->stream.shard = bytes_read_u16(r);
    uint32_t zero = bytes_read_u32(r);
    m->position.epoch = bytes_read_u64(r);
    m->position.seqno = seqno_of(bytes_read_u64(r));
    bytes_read_into(r, m->position.chain.bytes, sizeof(m->position.chain.bytes));
    m->leader_time = bytes_read_u64(r);
    bytes_read_into(r, m->root.bytes, sizeof(m->root.bytes));
    m->epoch_count = bytes_read_u32(r);
    m->block_count = bytes_read_u32(r);
    uint64_t size = (uint64_t)m->epoch_count * EPOCH_SIZE + (uint64_t)m->block_count * BLOCK_SIZE;
    return !r->is_failed && zero == 0 && m->epoch_count <= EPOCH_TABLE_MAX && size == bytes_left(r);
}

static bool place_fixed_read(struct bytes_reader *r, struct manifest *m)
{
    m->generation = bytes_read_u64(r);
    m->log_bytes = bytes_read_u64(r);
    uint32_t count = bytes_read_u32(r);
    uint32_t zero = bytes_read_u32(r);
    return !r->is_failed && zero == 0 && count == m->block_count &&
           bytes_left(r) == (uint64_t)count * PLACE_SIZE;
}

static enum code epochs_read(struct bytes_reader *r, struct epoch_entry *out, uint32_t count,
                             struct err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        TRY(fields_decode(r, &epoch_entry_fields, &out[i], 0, e));
    }
    return OK;
}

static enum code blocks_read(struct bytes_reader *r, struct block_entry *out, uint32_t count,
                             struct err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i].id.kind = bytes_read_u32(r);
        out[i].id.number = bytes_read_u64(r);
        out[i].size = bytes_read_u32(r);
        bytes_read_into(r, out[i].hash.bytes, sizeof(out[i].hash.bytes));
        if (!block_kind_is_known(out[i].id.kind)) {
            return ERR(e, E_FORMAT, "block kind %" PRIu32 " is unknown to this version",
                       out[i].id.kind);
        }
    }
    ASSERT(bytes_is_done(r)); /* root_fixed_read compared the counts with the size */
    return OK;
}

static void places_read(struct bytes_reader *r, struct block_place *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        out[i].pack = bytes_read_u64(r);
        out[i].offset = bytes_read_u64(r);
    }
    ASSERT(bytes_is_done(r));
}

/* Memory for the three arrays; an empty one needs none. False when take refuses. */
struct arrays {
    struct epoch_entry *epochs;
    struct block_entry *blocks;
    struct block_place *places;
};
static bool arrays_take(struct arrays *a, const struct manifest *m,
                        void *(*take)(void *context, size_t size), void *context)
{
    *a = (struct arrays){0};
    if (m->epoch_count > 0) {
        a->epochs = take(context, m->epoch_count * sizeof(*a->epochs));
        if (a->epochs == NULL) return false;
    }
    if (m->block_count == 0) return true;
    a->blocks = take(context, m->block_count * sizeof(*a->blocks));
    a->places = a->blocks == NULL ? NULL : take(context, m->block_count * sizeof(*a->places));
    return a->places != NULL;
}

enum code manifest_decode(struct slice bytes, void *(*take)(void *context, size_t size),
                          void *context, struct manifest *out, struct err *e)
{
    struct manifest m = {0};
    struct arrays arrays;
    struct bytes_reader r = bytes_reader_of(bytes);
    struct bytes_reader root;
    struct bytes_reader place;
    TRY(sealed_open(&r, ROOT_MAGIC, "a manifest", &root, e));
    TRY(sealed_open(&r, PLACE_MAGIC, "a manifest's place table", &place, e));
    if (bytes_left(&r) > 0 || !root_fixed_read(&root, &m) || !place_fixed_read(&place, &m)) {
        return ERR(e, E_CORRUPT, "a manifest's counts do not match its size");
    }
    if (!arrays_take(&arrays, &m, take, context)) {
        return ERR(e, E_NOMEMORY, "no memory for a manifest of %" PRIu32 " blocks", m.block_count);
    }
    TRY(epochs_read(&root, arrays.epochs, m.epoch_count, e));
    TRY(blocks_read(&root, arrays.blocks, m.block_count, e));
    places_read(&place, arrays.places, m.block_count);
    m.epochs = arrays.epochs;
    m.blocks = arrays.blocks;
    m.places = arrays.places;
    const char *wrong = manifest_check(&m);
    struct hash256 state = state_root(m.blocks, m.block_count);
    if (wrong == NULL && !hash256_equal(&state, &m.root)) wrong = "its root is not its blocks'";
    if (wrong != NULL) return ERR(e, E_CORRUPT, "a manifest is refused: %s", wrong);
    *out = m;
    return OK;
}

void pack_header_encode(const struct id128 *cluster, uint64_t pack, uint8_t out[PACK_HEADER_SIZE])
{
    memset(out, 0, PACK_HEADER_SIZE);
    memcpy(out, PACK_MAGIC, PACK_AT_VERSION);
    store_u16(out + PACK_AT_VERSION, FORMAT_VERSION);
    memcpy(out + PACK_AT_CLUSTER, cluster->bytes, sizeof(cluster->bytes));
    store_u64(out + PACK_AT_ID, pack);
}

enum code pack_header_decode(const uint8_t bytes[PACK_HEADER_SIZE], const struct id128 *cluster,
                             uint64_t pack, struct err *e)
{
    if (memcmp(bytes, PACK_MAGIC, PACK_AT_VERSION) != 0) {
        return ERR(e, E_CORRUPT, "pack %016" PRIx64 " does not begin with its magic", pack);
    }
    unsigned version = load_u16(bytes + PACK_AT_VERSION);
    if (version != FORMAT_VERSION) {
        return ERR(e, E_FORMAT,
                   "pack %016" PRIx64 " is of format version %u, this program reads "
                   "version %d",
                   pack, version, FORMAT_VERSION);
    }
    if (memcmp(bytes + PACK_AT_CLUSTER, cluster->bytes, sizeof(cluster->bytes)) != 0) {
        return ERR(e, E_WRONG_CLUSTER, "pack %016" PRIx64 " belongs to another cluster", pack);
    }
    bool is_plain = bytes_are_zero(bytes + PACK_AT_ZERO, PACK_AT_CLUSTER - PACK_AT_ZERO) &&
                    bytes_are_zero(bytes + PACK_AT_ZEROS, PACK_HEADER_SIZE - PACK_AT_ZEROS);
    if (load_u64(bytes + PACK_AT_ID) != pack || !is_plain) {
        return ERR(e, E_CORRUPT, "pack %016" PRIx64 " has a damaged header", pack);
    }
    return OK;
}

void block_head_encode(const struct hash256 *hash, uint32_t size, uint8_t out[BLOCK_HEAD_SIZE])
{
    memset(out, 0, BLOCK_HEAD_SIZE);
    memcpy(out, HEAD_MAGIC, HEAD_AT_SIZE);
    store_u32(out + HEAD_AT_SIZE, size);
    memcpy(out + HEAD_AT_HASH, hash->bytes, sizeof(hash->bytes));
    store_u32(out + HEAD_AT_CRC, crc32c(0, out, HEAD_AT_CRC));
}

bool block_head_decode(const uint8_t bytes[BLOCK_HEAD_SIZE], struct hash256 *out_hash,
                       uint32_t *out_size)
{
    if (memcmp(bytes, HEAD_MAGIC, HEAD_AT_SIZE) != 0) return false;
    if (load_u32(bytes + HEAD_AT_CRC) != crc32c(0, bytes, HEAD_AT_CRC)) return false;
    bool is_plain = bytes_are_zero(bytes + HEAD_AT_ZERO, HEAD_AT_HASH - HEAD_AT_ZERO) &&
                    bytes_are_zero(bytes + HEAD_AT_ZEROS, HEAD_AT_CRC - HEAD_AT_ZEROS);
    if (!is_plain) return false;
    memcpy(out_hash->bytes, bytes + HEAD_AT_HASH, sizeof(out_hash->bytes));
    *out_size = load_u32(bytes + HEAD_AT_SIZE);
    return true;
}

/* Names: made by one function, and parsed by making them again, so that one thing has one name. */

enum { SEQNO_DIGITS = 20, GENERATION_DIGITS = 8, PACK_DIGITS = 16 };

void manifest_name(seqno at, uint64_t generation, char out[CHECKPOINT_NAME_SIZE])
{
    struct text t = text_of(out, CHECKPOINT_NAME_SIZE);
    text_add(&t, "%020" PRIu64 ".%08" PRIx64 ".manifest", at.v, generation);
    ASSERT(!t.is_cut);
}

static bool hex_parse(struct slice s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.size == 0 || s.size > PACK_DIGITS) return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool is_digit = c >= '0' && c <= '9';
        if (!is_digit && !(c >= 'a' && c <= 'f')) return false;
        v = v << 4 | (uint64_t)(is_digit ? c - '0' : c - 'a' + 10);
    }
    *out = v;
    return true;
}

bool manifest_name_parse(struct slice name, seqno *out_at, uint64_t *out_generation)
{
    char again[CHECKPOINT_NAME_SIZE];
    uint64_t at = 0;
    uint64_t generation = 0;
    size_t fixed = SEQNO_DIGITS + 1;
    size_t suffix = sizeof(".manifest") - 1;
    if (name.size < fixed + GENERATION_DIGITS + suffix) return false;
    struct slice middle = slice_of(name.data + fixed, name.size - fixed - suffix);
    if (!parse_u64(slice_of(name.data, SEQNO_DIGITS), &at) || !hex_parse(middle, &generation)) {
        return false;
    }
    manifest_name(seqno_of(at), generation, again);
    if (!slice_equal(name, slice_of_text(again))) return false;
    *out_at = seqno_of(at);
    *out_generation = generation;
    return true;
}

void pack_name(uint64_t pack, char out[CHECKPOINT_NAME_SIZE])
{
    struct text t = text_of(out, CHECKPOINT_NAME_SIZE);
    text_add(&t, "%016" PRIx64 ".pack", pack);
    ASSERT(!t.is_cut);
}

bool pack_name_parse(struct slice name, uint64_t *out_pack)
{
    char again[CHECKPOINT_NAME_SIZE];
    uint64_t pack = 0;
    if (name.size < PACK_DIGITS) return false;
    if (!hex_parse(slice_of(name.data, PACK_DIGITS), &pack)) return false;
    pack_name(pack, again);
    if (!slice_equal(name, slice_of_text(again))) return false;
    *out_pack = pack;
    return true;
}
