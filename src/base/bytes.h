/* bytes: bounds-checked little-endian cursors over memory. Every read from disk or wire and every
 * write to them goes through these. A cursor that ran over its end stays failed: check once at the
 * end (sticky), values read after the failure are zero. Never allocates; borrowed memory.
 *
 * Varint: LEB128, 7 bits a byte, least significant first, at most 10 bytes; the shortest form is
 * the only valid one, so that equal values have equal bytes.
 * Zigzag: signed s -> (s << 1) ^ (s >> 63), then varint.
 */
#ifndef TIDEMARK_BASE_BYTES_H
#define TIDEMARK_BASE_BYTES_H

#include "base/types.h"

static inline uint16_t load_u16(const uint8_t *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v; /* little-endian hosts only; static_assert in bytes.c */
}
static inline uint32_t load_u32(const uint8_t *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline uint64_t load_u64(const uint8_t *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}
static inline void store_u16(uint8_t *p, uint16_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void store_u32(uint8_t *p, uint32_t v)
{
    memcpy(p, &v, sizeof(v));
}
static inline void store_u64(uint8_t *p, uint64_t v)
{
    memcpy(p, &v, sizeof(v));
}

struct bytes_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool is_failed;
};

static inline struct bytes_reader bytes_reader_of(struct slice s)
{
    const uint8_t *end = s.size > 0 ? s.data + s.size : s.data; /* NULL + 0 is undefined */
    return (struct bytes_reader){.at = s.data, .end = end, .is_failed = false};
}
static inline size_t bytes_left(const struct bytes_reader *r)
{
    return (size_t)(r->end - r->at);
}
uint8_t bytes_read_u8(struct bytes_reader *r);
uint16_t bytes_read_u16(struct bytes_reader *r);
uint32_t bytes_read_u32(struct bytes_reader *r);
uint64_t bytes_read_u64(struct bytes_reader *r);
int64_t bytes_read_i64(struct bytes_reader *r);
double bytes_read_f64(struct bytes_reader *r); /* any bit pattern; the caller judges NaN */
uint64_t bytes_read_varint(struct bytes_reader *r);
int64_t bytes_read_zigzag(struct bytes_reader *r);
/* Borrow size bytes from the underlying memory; an empty slice after a failure. */
struct slice bytes_read_slice(struct bytes_reader *r, size_t size);
/* One length byte, then that many bytes. */
struct slice bytes_read_slice8(struct bytes_reader *r);
/* Varint length, then that many bytes. */
struct slice bytes_read_slice_varint(struct bytes_reader *r);
void bytes_read_into(struct bytes_reader *r, void *out, size_t size); /* zeroes out on failure */
/* True when nothing failed and nothing is left. */
static inline bool bytes_is_done(const struct bytes_reader *r)
{
    return !r->is_failed && r->at == r->end;
}

struct bytes_writer {
    uint8_t *start;
    uint8_t *at;
    uint8_t *end;
    bool is_failed; /* ran out of room; what was written before stays */
};

static inline struct bytes_writer bytes_writer_of(void *memory, size_t size)
{
    uint8_t *p = memory;
    return (struct bytes_writer){.start = p, .at = p, .end = p + size, .is_failed = false};
}
static inline size_t bytes_written(const struct bytes_writer *w)
{
    return (size_t)(w->at - w->start);
}
static inline struct slice bytes_written_slice(const struct bytes_writer *w)
{
    return slice_of(w->start, bytes_written(w));
}
void bytes_write_u8(struct bytes_writer *w, uint8_t v);
void bytes_write_u16(struct bytes_writer *w, uint16_t v);
void bytes_write_u32(struct bytes_writer *w, uint32_t v);
void bytes_write_u64(struct bytes_writer *w, uint64_t v);
void bytes_write_i64(struct bytes_writer *w, int64_t v);
void bytes_write_f64(struct bytes_writer *w, double v);
void bytes_write_varint(struct bytes_writer *w, uint64_t v);
void bytes_write_zigzag(struct bytes_writer *w, int64_t v);
void bytes_write(struct bytes_writer *w, const void *data, size_t size);
void bytes_write_slice8(struct bytes_writer *w, struct slice s); /* size <= 255, else fails */
void bytes_write_slice_varint(struct bytes_writer *w, struct slice s);
void bytes_write_zeros(struct bytes_writer *w, size_t size);

/* Bytes a varint takes, 1..10. */
size_t varint_size(uint64_t v);
static inline uint64_t zigzag_of(int64_t v)
{
    return ((uint64_t)v << 1) ^ (uint64_t)(v >> 63);
}

#endif
