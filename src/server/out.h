/* out: replies being written, in RESP2 or RESP3, into a buffer that grows. A buffer that could not
 * grow stays failed; the caller asks once at the end. One owner thread. */
#ifndef TIDEMARK_SERVER_OUT_H
#define TIDEMARK_SERVER_OUT_H

#include "base/alloc.h"
#include "base/types.h"

struct out {
    struct alloc *alloc; /* borrowed */
    uint8_t *data;
    size_t size;
    size_t capacity;
    bool is_failed;
};

/* Which of the two protocols a reply is written in. */
enum proto { PROTO_RESP2 = 2, PROTO_RESP3 = 3 };

void out_init(struct out *o, struct alloc *alloc);
void out_fini(struct out *o);
/* Empty it; room beyond capacity_kept is freed. */
void out_reset(struct out *o, size_t capacity_kept);
/* Let size more bytes fit. */
MUST_CHECK bool out_grow(struct out *o, size_t size);

/* Room for size bytes at the end, to be counted by adding to o->size; NULL: no memory. */
static inline uint8_t *out_room(struct out *o, size_t size)
{
    if (size > o->capacity - o->size && !out_grow(o, size)) return NULL;
    return o->data + o->size;
}

void out_bytes(struct out *o, const void *data, size_t size);
void out_text(struct out *o, const char *text);
void out_format(struct out *o, const char *format, ...) PRINTF_LIKE(2, 3);

void out_simple(struct out *o, const char *text); /* "+OK": text without CR and LF */
/* "-WORD message": control characters of the message become spaces. */
void out_error(struct out *o, const char *word, const char *message);
void out_integer(struct out *o, int64_t v);
void out_count(struct out *o, uint64_t v); /* an integer that may exceed INT64_MAX: then text */
void out_bulk(struct out *o, struct slice s);
void out_bulk_text(struct out *o, const char *text);
void out_nil(struct out *o, enum proto proto);
void out_bool(struct out *o, enum proto proto, bool v);     /* RESP2: 1 or 0 */
void out_double(struct out *o, enum proto proto, double v); /* RESP2: shortest text */
void out_array(struct out *o, size_t count);
void out_set(struct out *o, enum proto proto, size_t count); /* RESP2: an array */
void out_map(struct out *o, enum proto proto, size_t pairs); /* RESP2: an array of 2 * pairs */
void out_verbatim(struct out *o, enum proto proto, struct slice s); /* RESP2: a bulk string */

#endif
