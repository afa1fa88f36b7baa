/* sealed: writing and opening of the envelope. The order of checks matters: size against the bytes
 * there, then hash, and only then the version, because a damaged version number is damage. */
#include "format/sealed.h"

#include "base/assert.h"
#include "base/hash.h"

enum { MAGIC_SIZE = 8, AT_VERSION = 8, AT_ZERO = 10, AT_SIZE = 12, HASH_SIZE = 32 };

void sealed_begin(struct bytes_writer *w, const char magic[9])
{
    bytes_write(w, magic, MAGIC_SIZE);
    bytes_write_u16(w, FORMAT_VERSION);
    bytes_write_u16(w, 0);
    bytes_write_u32(w, 0); /* the size, filled in by sealed_end */
}

size_t sealed_end(struct bytes_writer *w, uint8_t *start)
{
    ASSERT(!w->is_failed);
    size_t size = (size_t)(w->at - start) + HASH_SIZE;
    ASSERT(size <= UINT32_MAX);
    store_u32(start + AT_SIZE, (uint32_t)size);
    struct hash256 hash = hash256_of(slice_of(start, size - HASH_SIZE));
    bytes_write(w, hash.bytes, sizeof(hash.bytes));
    ASSERT(!w->is_failed);
    return size;
}

enum code sealed_open(struct bytes_reader *r, const char magic[9], const char *what,
                      struct bytes_reader *out_body, struct err *e)
{
    size_t left = r->is_failed ? 0 : bytes_left(r);
    const uint8_t *start = r->at;
    if (left < SEALED_SIZE_MIN) {
        return ERR(e, E_CORRUPT, "%s of %zu bytes is too short to be one", what, left);
    }
    if (memcmp(start, magic, MAGIC_SIZE) != 0) {
        return ERR(e, E_CORRUPT, "%s does not begin with its magic", what);
    }
    uint32_t size = load_u32(start + AT_SIZE);
    if (size < SEALED_SIZE_MIN || size > left) {
        return ERR(e, E_CORRUPT, "%s says that it has %u bytes, %zu are there", what, size, left);
    }
    struct hash256 hash = hash256_of(slice_of(start, size - HASH_SIZE));
    if (memcmp(hash.bytes, start + size - HASH_SIZE, HASH_SIZE) != 0) {
        return ERR(e, E_CORRUPT, "%s does not match its checksum", what);
    }
    unsigned version = load_u16(start + AT_VERSION);
    if (version != FORMAT_VERSION || load_u16(start + AT_ZERO) != 0) {
        return ERR(e, E_FORMAT, "%s is of format version %u, this program reads version %d", what,
                   version, FORMAT_VERSION);
    }
    *out_body = bytes_reader_of(
        slice_of(start + SEALED_HEAD_SIZE, size - SEALED_HEAD_SIZE - (size_t)HASH_SIZE));
    r->at = start + size;
    return OK;
}
