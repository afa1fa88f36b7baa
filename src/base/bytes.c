/* bytes: the bounds-checked cursors. Every access goes through take() or give(), which are the only
 * places that move a cursor, so that the bounds are checked once. Must never read or write outside
 * the memory it was given, whatever the input. Never allocates; one owner per cursor. */
#include "base/bytes.h"

#include "base/assert.h"

#include <assert.h>

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "load_ and store_ copy bytes as they are");
static_assert(sizeof(double) == 8, "f64 is an IEEE double");

enum { VARINT_SIZE_MAX = 10 };

/* The next size bytes, or NULL (and the cursor is failed for good) when there are fewer. */
static const uint8_t *take(struct bytes_reader *r, size_t size)
{
    if (r->is_failed || size > bytes_left(r)) {
        r->is_failed = true;
        return NULL;
    }
    const uint8_t *p = r->at;
    if (size > 0) r->at += size;
    return p;
}

uint8_t bytes_read_u8(struct bytes_reader *r)
{
    const uint8_t *p = take(r, 1);
    return p != NULL ? *p : 0;
}

uint16_t bytes_read_u16(struct bytes_reader *r)
{
    const uint8_t *p = take(r, sizeof(uint16_t));
    return p != NULL ? load_u16(p) : 0;
}

uint32_t bytes_read_u32(struct bytes_reader *r)
{
    const uint8_t *p = take(r, sizeof(uint32_t));
    return p != NULL ? load_u32(p) : 0;
}

uint64_t bytes_read_u64(struct bytes_reader *r)
{
    const uint8_t *p = take(r, sizeof(uint64_t));
    return p != NULL ? load_u64(p) : 0;
}

int64_t bytes_read_i64(struct bytes_reader *r)
{
    return (int64_t)bytes_read_u64(r);
}

double bytes_read_f64(struct bytes_reader *r)
{
    uint64_t bits = bytes_read_u64(r);
    double v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

uint64_t bytes_read_varint(struct bytes_reader *r)
{
    /* Most numbers in records are small. */
    if (r->at != r->end && *r->at < 0x80 && !r->is_failed) return *r->at++;
    uint64_t v = 0;
    for (unsigned i = 0; i < VARINT_SIZE_MAX; i++) {
        const uint8_t *p = take(r, 1);
        if (p == NULL) return 0;
        v |= (uint64_t)(*p & 0x7f) << (7 * i);
        if ((*p & 0x80) != 0) continue;
        /* Only the shortest form: no empty last byte, and no bit beyond the 64th. */
        bool is_padded = i > 0 && *p == 0;
        bool is_too_big = i == VARINT_SIZE_MAX - 1 && *p > 1;
        if (!is_padded && !is_too_big) return v;
        break;
    }
    r->is_failed = true;
    return 0;
}

int64_t bytes_read_zigzag(struct bytes_reader *r)
{
    uint64_t u = bytes_read_varint(r);
    return (int64_t)((u >> 1) ^ (0 - (u & 1)));
}

struct slice bytes_read_slice(struct bytes_reader *r, size_t size)
{
    const uint8_t *p = take(r, size);
    return p != NULL ? slice_of(p, size) : (struct slice){0};
}

struct slice bytes_read_slice8(struct bytes_reader *r)
{
    return bytes_read_slice(r, bytes_read_u8(r));
}

struct slice bytes_read_slice_varint(struct bytes_reader *r)
{
    return bytes_read_slice(r, bytes_read_varint(r));
}

void bytes_read_into(struct bytes_reader *r, void *out, size_t size)
{
    if (size == 0) return;
    const uint8_t *p = take(r, size);
    if (p != NULL) {
        memcpy(out, p, size);
    } else {
        memset(out, 0, size);
    }
}

/* Room for size bytes, or NULL (and the cursor is failed for good) when there is less. */
static uint8_t *give(struct bytes_writer *w, size_t size)
{
    if (w->is_failed || size > (size_t)(w->end - w->at)) {
        w->is_failed = true;
        return NULL;
    }
    uint8_t *p = w->at;
    if (size > 0) w->at += size;
    return p;
}

void bytes_write_u8(struct bytes_writer *w, uint8_t v)
{
    uint8_t *p = give(w, 1);
    if (p != NULL) *p = v;
}

void bytes_write_u16(struct bytes_writer *w, uint16_t v)
{
    uint8_t *p = give(w, sizeof(v));
    if (p != NULL) store_u16(p, v);
}

void bytes_write_u32(struct bytes_writer *w, uint32_t v)
{
    uint8_t *p = give(w, sizeof(v));
    if (p != NULL) store_u32(p, v);
}

void bytes_write_u64(struct bytes_writer *w, uint64_t v)
{
    uint8_t *p = give(w, sizeof(v));
    if (p != NULL) store_u64(p, v);
}

void bytes_write_i64(struct bytes_writer *w, int64_t v)
{
    bytes_write_u64(w, (uint64_t)v);
}

void bytes_write_f64(struct bytes_writer *w, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    bytes_write_u64(w, bits);
}

void bytes_write_varint(struct bytes_writer *w, uint64_t v)
{
    uint8_t *p = give(w, varint_size(v));
    if (p == NULL) return;
    while (v >= 0x80) {
        *p++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *p++ = (uint8_t)v;
    ASSERT(p == w->at);
}

void bytes_write_zigzag(struct bytes_writer *w, int64_t v)
{
    bytes_write_varint(w, zigzag_of(v));
}

void bytes_write(struct bytes_writer *w, const void *data, size_t size)
{
    uint8_t *p = give(w, size);
    if (p != NULL && size > 0) memcpy(p, data, size);
}

void bytes_write_slice8(struct bytes_writer *w, struct slice s)
{
    if (s.size > UINT8_MAX) {
        w->is_failed = true;
        return;
    }
    bytes_write_u8(w, (uint8_t)s.size);
    bytes_write(w, s.data, s.size);
}

void bytes_write_slice_varint(struct bytes_writer *w, struct slice s)
{
    bytes_write_varint(w, s.size);
    bytes_write(w, s.data, s.size);
}

void bytes_write_zeros(struct bytes_writer *w, size_t size)
{
    uint8_t *p = give(w, size);
    if (p != NULL && size > 0) memset(p, 0, size);
}

size_t varint_size(uint64_t v)
{
    size_t size = 1;
    while (v >= 0x80) {
        v >>= 7;
        size++;
    }
    return size;
}
