/* resp: the client's half of RESP2. */
#include "cli/resp.h"

#include "base/text.h"

#define TEXT_SIZE_MAX (512 * MIB)
#define ARRAY_MAX     1048576
#define LINE_SIZE_MAX (64 * KIB) /* of a simple string or an error */

/* The line at `at` without its CRLF. */
static enum resp_result read_line(struct slice bytes, size_t at, struct slice *out,
                                  size_t *out_next)
{
    size_t left = bytes.size - at;
    if (left == 0) return RESP_MORE;
    const uint8_t *start = bytes.data + at;
    const uint8_t *end = memchr(start, '\n', left);
    if (end == NULL) return left > LINE_SIZE_MAX ? RESP_BAD : RESP_MORE;
    if (end == start || end[-1] != '\r') return RESP_BAD;
    *out = slice_of(start, (size_t)(end - start) - 1);
    *out_next = at + (size_t)(end - start) + 1;
    return RESP_WHOLE;
}

/* A "$12" text of which the line was read; next is where its bytes start. */
static enum resp_result read_text(struct slice bytes, int64_t size, size_t *next,
                                  struct resp_value *out)
{
    if (size == -1) {
        out->kind = RESP_NULL;
        return RESP_WHOLE;
    }
    if (size < 0 || (uint64_t)size > TEXT_SIZE_MAX) return RESP_BAD;
    if (bytes.size - *next < (size_t)size + 2) return RESP_MORE;
    const uint8_t *end = bytes.data + *next + (size_t)size;
    if (end[0] != '\r' || end[1] != '\n') return RESP_BAD;
    out->kind = RESP_TEXT;
    out->text = slice_of(bytes.data + *next, (size_t)size);
    *next += (size_t)size + 2;
    return RESP_WHOLE;
}

/* One value without the elements of an array. */
static enum resp_result read_value(struct slice bytes, size_t *at, struct resp_value *out)
{
    struct slice line = {0};
    size_t next = 0;
    enum resp_result result = read_line(bytes, *at, &line, &next);
    if (result != RESP_WHOLE) return result;
    if (line.size == 0) return RESP_BAD;
    struct slice rest = slice_of(line.data + 1, line.size - 1);
    *out = (struct resp_value){.kind = RESP_TEXT, .text = rest, .span = 1};
    switch (line.data[0]) {
    case '+': break;
    case '-': out->kind = RESP_ERROR; break;
    case ':':
        out->kind = RESP_INTEGER;
        if (!parse_i64(rest, &out->integer)) return RESP_BAD;
        break;
    case '$':
        if (!parse_i64(rest, &out->integer)) return RESP_BAD;
        result = read_text(bytes, out->integer, &next, out);
        if (result != RESP_WHOLE) return result;
        break;
    case '*':
        if (!parse_i64(rest, &out->integer) || out->integer > ARRAY_MAX) return RESP_BAD;
        if (out->integer < -1) return RESP_BAD;
        out->kind = out->integer == -1 ? RESP_NULL : RESP_ARRAY;
        out->count = out->integer > 0 ? (uint32_t)out->integer : 0;
        break;
    default: return RESP_BAD;
    }
    *at = next;
    return RESP_WHOLE;
}

enum resp_result resp_parse(struct slice bytes, struct resp_value *values, uint32_t values_max,
                            uint32_t *out_count, size_t *out_size)
{
    uint32_t open[RESP_DEPTH_MAX]; /* arrays that still lack elements */
    uint32_t left[RESP_DEPTH_MAX]; /* how many each lacks */
    uint32_t depth = 0;
    uint32_t count = 0;
    size_t at = 0;
    do {
        if (count == values_max) return RESP_BAD;
        struct resp_value *value = &values[count];
        enum resp_result result = read_value(bytes, &at, value);
        if (result != RESP_WHOLE) return result;
        count++;
        if (depth > 0) left[depth - 1]--;
        if (value->kind == RESP_ARRAY && value->count > 0) {
            if (depth == RESP_DEPTH_MAX) return RESP_BAD;
            open[depth] = count - 1;
            left[depth] = value->count;
            depth++;
        }
        while (depth > 0 && left[depth - 1] == 0) {
            depth--;
            values[open[depth]].span = count - open[depth];
        }
    } while (depth > 0);
    *out_count = count;
    *out_size = at;
    return RESP_WHOLE;
}

const struct resp_value *resp_field(const struct resp_value *values, const char *name)
{
    if (values[0].kind != RESP_ARRAY) return NULL;
    const struct resp_value *at = values + 1;
    const struct resp_value *end = values + values[0].span;
    while (at < end) {
        const struct resp_value *value = at + at->span;
        if (value >= end) return NULL;
        if (at->kind == RESP_TEXT && slice_equal(at->text, slice_of_text(name))) return value;
        at = value + value->span;
    }
    return NULL;
}

struct slice resp_text(const struct resp_value *values, const char *name)
{
    const struct resp_value *value = resp_field(values, name);
    return value != NULL && value->kind == RESP_TEXT ? value->text : (struct slice){0};
}

static void write_length(struct bytes_writer *w, uint8_t mark, size_t v)
{
    char digits[24];
    bytes_write_u8(w, mark);
    bytes_write(w, digits, format_u64(digits, v));
    bytes_write(w, "\r\n", 2);
}

void resp_write_start(struct bytes_writer *w, size_t count)
{
    write_length(w, '*', count);
}

void resp_write_word(struct bytes_writer *w, struct slice word)
{
    write_length(w, '$', word.size);
    if (word.size > 0) bytes_write(w, word.data, word.size);
    bytes_write(w, "\r\n", 2);
}
