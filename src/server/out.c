/* out: see out.h. */
#include "server/out.h"

#include "base/assert.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

enum { CAPACITY_AT_FIRST = 1024, HEADER_SIZE_MAX = 24 };

void out_init(struct out *o, struct alloc *alloc)
{
    *o = (struct out){.alloc = alloc};
}

void out_fini(struct out *o)
{
    alloc_put(o->alloc, o->data, o->capacity);
    *o = (struct out){.alloc = o->alloc};
}

void out_reset(struct out *o, size_t capacity_kept)
{
    if (o->capacity > capacity_kept) out_fini(o);
    o->size = 0;
    o->is_failed = false;
}

bool out_grow(struct out *o, size_t size)
{
    size_t wanted = 0;
    if (__builtin_add_overflow(o->size, size, &wanted)) o->is_failed = true;
    if (wanted < CAPACITY_AT_FIRST) wanted = CAPACITY_AT_FIRST;
    void *data = o->data;
    if (!o->is_failed && wanted > o->capacity) {
        o->is_failed = !alloc_grow(o->alloc, &data, &o->capacity, 1, wanted);
    }
    o->data = data;
    return !o->is_failed;
}

void out_bytes(struct out *o, const void *data, size_t size)
{
    if (size == 0) return; /* data may be NULL, and so may the room */
    uint8_t *room = out_room(o, size);
    if (room == NULL) return;
    memcpy(room, data, size);
    o->size += size;
}

void out_text(struct out *o, const char *text)
{
    out_bytes(o, text, strlen(text));
}

void out_format(struct out *o, const char *format, ...)
{
    size_t room_size = 256;
    for (int attempt = 0; attempt < 2; attempt++) {
        uint8_t *room = out_room(o, room_size);
        if (room == NULL) return;
        va_list args;
        va_start(args, format);
        int n = vsnprintf((char *)room, room_size, format, args);
        va_end(args);
        if (n < 0) return;
        if ((size_t)n < room_size) {
            o->size += (size_t)n;
            return;
        }
        room_size = (size_t)n + 1; /* now known: once more */
    }
}

/* A marker, a number and CRLF. */
static void header(struct out *o, char marker, uint64_t v)
{
    uint8_t *room = out_room(o, HEADER_SIZE_MAX);
    if (room == NULL) return;
    room[0] = (uint8_t)marker;
    size_t size = 1 + format_u64((char *)room + 1, v);
    room[size++] = '\r';
    room[size++] = '\n';
    o->size += size;
}

void out_simple(struct out *o, const char *text)
{
    out_bytes(o, "+", 1);
    out_text(o, text);
    out_bytes(o, "\r\n", 2);
}

void out_error(struct out *o, const char *word, const char *message)
{
    out_bytes(o, "-", 1);
    out_text(o, word);
    out_bytes(o, " ", 1);
    size_t start = o->size;
    out_text(o, message);
    for (size_t i = start; i < o->size; i++) {
        if (o->data[i] < ' ') o->data[i] = ' ';
    }
    out_bytes(o, "\r\n", 2);
}

void out_integer(struct out *o, int64_t v)
{
    if (v >= 0) {
        header(o, ':', (uint64_t)v);
    } else {
        out_bytes(o, ":-", 2);
        char digits[20];
        out_bytes(o, digits, format_u64(digits, 0 - (uint64_t)v));
        out_bytes(o, "\r\n", 2);
    }
}

void out_count(struct out *o, uint64_t v)
{
    char digits[20];
    if (v <= INT64_MAX) {
        header(o, ':', v);
    } else {
        out_bulk(o, slice_of(digits, format_u64(digits, v)));
    }
}

void out_bulk(struct out *o, struct slice s)
{
    header(o, '$', s.size);
    out_bytes(o, s.data, s.size);
    out_bytes(o, "\r\n", 2);
}

void out_bulk_text(struct out *o, const char *text)
{
    out_bulk(o, slice_of_text(text));
}

void out_nil(struct out *o, enum proto proto)
{
    out_text(o, proto == PROTO_RESP3 ? "_\r\n" : "$-1\r\n");
}

void out_bool(struct out *o, enum proto proto, bool v)
{
    if (proto == PROTO_RESP3) {
        out_text(o, v ? "#t\r\n" : "#f\r\n");
    } else {
        out_integer(o, v);
    }
}

void out_double(struct out *o, enum proto proto, double v)
{
    char text[F64_TEXT_SIZE];
    size_t size = 0;
    if (isfinite(v)) {
        size = format_f64(text, v);
    } else {
        const char *word = isnan(v) ? "nan" : v > 0 ? "inf" : "-inf";
        size = strlen(word);
        memcpy(text, word, size);
    }
    if (proto == PROTO_RESP3) {
        out_bytes(o, ",", 1);
        out_bytes(o, text, size);
        out_bytes(o, "\r\n", 2);
    } else {
        out_bulk(o, slice_of(text, size));
    }
}

void out_array(struct out *o, size_t count)
{
    header(o, '*', count);
}

void out_set(struct out *o, enum proto proto, size_t count)
{
    header(o, proto == PROTO_RESP3 ? '~' : '*', count);
}

void out_map(struct out *o, enum proto proto, size_t pairs)
{
    header(o, proto == PROTO_RESP3 ? '%' : '*', proto == PROTO_RESP3 ? pairs : 2 * pairs);
}

void out_verbatim(struct out *o, enum proto proto, struct slice s)
{
    if (proto != PROTO_RESP3) {
        out_bulk(o, s);
        return;
    }
    header(o, '=', s.size + 4);
    out_text(o, "txt:");
    out_bytes(o, s.data, s.size);
    out_bytes(o, "\r\n", 2);
}
