/* lines: cutting a stream at its newlines. */
#include "cli/lines.h"

#include "base/assert.h"

void lines_init(struct lines *l)
{
    l->start = 0;
    l->end = 0;
    l->is_ended = false;
    l->is_overlong = false;
    l->number = 0;
}

/* Give out [start, start + size) as a line and step over it and its newline. */
static bool give(struct lines *l, size_t size, bool has_newline, struct line *out)
{
    bool is_overlong = l->is_overlong || size > LINES_SIZE_MAX;
    l->number++;
    *out = (struct line){.text = slice_of(l->buffer + l->start, is_overlong ? 0 : size),
                         .number = l->number,
                         .is_overlong = is_overlong,
                         .bytes = size + (has_newline ? 1 : 0)};
    l->start += out->bytes;
    l->is_overlong = false;
    return true;
}

bool lines_next(struct lines *l, struct line *out)
{
    size_t left = l->end - l->start;
    const uint8_t *start = l->buffer + l->start;
    const uint8_t *newline = left > 0 ? memchr(start, '\n', left) : NULL;
    if (newline != NULL) return give(l, (size_t)(newline - start), true, out);
    if (l->is_ended && (left > 0 || l->is_overlong)) return give(l, left, false, out);
    if (left > LINES_SIZE_MAX) {
        l->is_overlong = true; /* drop what is here; the rest of the line will follow */
        l->start = l->end;
    }
    return false;
}

uint8_t *lines_room(struct lines *l, size_t *out_size)
{
    memmove(l->buffer, l->buffer + l->start, l->end - l->start);
    l->end -= l->start;
    l->start = 0;
    *out_size = sizeof(l->buffer) - l->end;
    ASSERT(*out_size > 0);
    return l->buffer + l->end;
}

void lines_add(struct lines *l, size_t size)
{
    ASSERT(size <= sizeof(l->buffer) - l->end);
    l->end += size;
}

void lines_end(struct lines *l)
{
    l->is_ended = true;
}
