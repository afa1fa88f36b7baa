/* jsontext: see jsontext.h. Parsing is jansson's; writing is our own. Replies are walked with a
 * stack of their own, so that no reply can exhaust the thread's. */
#include "server/jsontext.h"

#include "base/text.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>

#define EXACT_MAX (INT64_C(1) << 53) /* every whole number up to here is a double */

/* --- strings --- */

/* Bytes of the character that starts at data; 0: it is no UTF-8. */
static size_t character_size(const uint8_t *data, size_t size)
{
    uint8_t c = data[0];
    if (c < 0x80) return 1;
    size_t wanted = c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
    if (c < 0xc2 || c > 0xf4 || size < wanted) return 0;
    for (size_t i = 1; i < wanted; i++) {
        if ((data[i] & 0xc0) != 0x80) return 0;
    }
    if (c == 0xe0 && data[1] < 0xa0) return 0; /* longer than needed */
    if (c == 0xed && data[1] > 0x9f) return 0; /* a surrogate */
    if (c == 0xf0 && data[1] < 0x90) return 0;
    if (c == 0xf4 && data[1] > 0x8f) return 0; /* beyond U+10FFFF */
    return wanted;
}

bool jsontext_is_utf8(struct slice text)
{
    size_t at = 0;
    while (at < text.size) {
        size_t size = character_size(text.data + at, text.size - at);
        if (size == 0) return false;
        at += size;
    }
    return true;
}

static void write_escaped(struct out *json, struct slice text)
{
    size_t start = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t c = text.data[i];
        if (c >= ' ' && c != '"' && c != '\\' && c != 0x7f) continue;
        out_bytes(json, text.data + start, i - start);
        start = i + 1;
        if (c == '"' || c == '\\') {
            out_format(json, "\\%c", c);
        } else if (c == '\n') {
            out_text(json, "\\n");
        } else {
            out_format(json, "\\u%04x", (unsigned)c);
        }
    }
    if (text.size > start) out_bytes(json, text.data + start, text.size - start);
}

void jsontext_string(struct out *json, struct slice text)
{
    out_text(json, "\"");
    write_escaped(json, text);
    out_text(json, "\"");
}

void jsontext_name(struct out *json, const char *name)
{
    jsontext_string(json, slice_of_text(name));
    out_text(json, ":");
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

static void write_base64(struct out *json, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i += 3) {
        size_t count = bytes.size - i < 3 ? bytes.size - i : 3;
        uint32_t v = (uint32_t)bytes.data[i] << 16;
        if (count > 1) v |= (uint32_t)bytes.data[i + 1] << 8;
        if (count > 2) v |= bytes.data[i + 2];
        char four[4];
        for (size_t k = 0; k < 4; k++) {
            four[k] = base64_digits[v >> (18 - 6 * k) & 63];
            if (k > count) four[k] = '=';
        }
        out_bytes(json, four, sizeof(four));
    }
}

/* 64: it is no digit. */
static uint32_t digit_value(uint8_t c)
{
    const char *digit = c != '\0' ? strchr(base64_digits, c) : NULL;
    return digit != NULL ? (uint32_t)(digit - base64_digits) : 64;
}

/* Append the bytes that text stands for. False: it is no base64. */
static bool read_base64(struct slice text, struct out *bytes)
{
    if (text.size % 4 != 0) return false;
    size_t padding = 0;
    while (padding < 2 && padding < text.size && text.data[text.size - 1 - padding] == '=') {
        padding++;
    }
    uint32_t v = 0;
    for (size_t i = 0; i < text.size; i++) {
        bool is_padding = i >= text.size - padding;
        uint32_t value = is_padding ? 0 : digit_value(text.data[i]);
        if (value == 64) return false;
        v = v << 6 | value;
        if (i % 4 != 3) continue;
        size_t left_out = i + 1 == text.size ? padding : 0;
        if ((v & ((UINT32_C(1) << 8 * left_out) - 1)) != 0) return false; /* bits for nothing */
        uint8_t three[3] = {(uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};
        out_bytes(bytes, three, 3 - left_out);
        v = 0;
    }
    return true;
}

/* --- requests --- */

PRINTF_LIKE(2, 3)
static bool refuse(char reason[JSONTEXT_REASON_SIZE], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vsnprintf(reason, JSONTEXT_REASON_SIZE, format, args);
    va_end(args);
    return false;
}

/* The bytes of one word. */
static bool add_word(const json_t *value, size_t index, struct out *word,
                     char reason[JSONTEXT_REASON_SIZE])
{
    char digits[F64_TEXT_SIZE];
    const json_t *base64 = json_is_object(value) ? json_object_get(value, "base64") : NULL;
    if (json_is_string(value)) {
        out_bytes(word, json_string_value(value), json_string_length(value));
    } else if (json_is_integer(value)) {
        out_format(word, "%lld", (long long)json_integer_value(value));
    } else if (json_is_real(value)) {
        out_bytes(word, digits, format_f64(digits, json_real_value(value)));
    } else if (base64 != NULL && json_object_size(value) == 1 && json_is_string(base64)) {
        struct slice text = slice_of(json_string_value(base64), json_string_length(base64));
        if (!read_base64(text, word)) return refuse(reason, "word %zu is no base64", index + 1);
    } else {
        return refuse(
            reason,
            "word %zu is no string, number or {\"base64\": \"...\"}; a command is an array "
            "of its words",
            index + 1);
    }
    return true;
}

static bool add_words(const json_t *words, struct out *request, char *name, size_t name_size,
                      char reason[JSONTEXT_REASON_SIZE])
{
    struct out word;
    out_init(&word, request->alloc);
    bool is_good = true;
    out_array(request, json_array_size(words));
    for (size_t i = 0; i < json_array_size(words) && is_good; i++) {
        out_reset(&word, SIZE_MAX);
        is_good = add_word(json_array_get(words, i), i, &word, reason);
        out_bulk(request, slice_of(word.data, word.size));
        if (i > 0) continue;
        struct text t = text_of(name, name_size);
        text_add_slice(&t, slice_of(word.data, word.size));
    }
    if (word.is_failed) is_good = refuse(reason, "no memory for the request");
    out_fini(&word);
    return is_good;
}

bool jsontext_request(struct slice body, struct out *request, char *name, size_t name_size,
                      char reason[JSONTEXT_REASON_SIZE])
{
    json_error_t e;
    json_t *words =
        json_loadb((const char *)body.data, body.size, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &e);
    if (words == NULL) {
        char shown[JSONTEXT_REASON_SIZE];
        struct text t = text_of(shown, sizeof(shown));
        text_add_escaped(&t, slice_of_text(e.text), 80);
        return refuse(reason, "the body is no JSON: %s (line %d, column %d)", shown, e.line,
                      e.column);
    }
    bool is_good = false;
    if (!json_is_array(words) || json_array_size(words) == 0) {
        (void)refuse(reason, "the body is no array of words, like [\"SCORE\", \"view\", \"a\"]");
    } else if (json_array_size(words) > JSONTEXT_WORDS_MAX) {
        (void)refuse(reason, "a command has at most %d words here", JSONTEXT_WORDS_MAX);
    } else {
        is_good = add_words(words, request, name, name_size, reason);
    }
    json_decref(words);
    return is_good;
}

/* --- replies --- */

/* An array or map that is being written. */
struct level {
    uint64_t done;  /* elements; of a map names and values */
    uint64_t total; /* > 0 */
    bool is_map;
};

struct walk {
    struct slice rest;
    struct out *json;
    struct level levels[JSONTEXT_DEPTH_MAX];
    size_t depth;
};

static bool take_line(struct slice *rest, struct slice *out)
{
    const uint8_t *end = rest->size > 0 ? memchr(rest->data, '\r', rest->size) : NULL;
    if (end == NULL) return false;
    size_t size = (size_t)(end - rest->data);
    if (rest->size < size + 2 || end[1] != '\n') return false;
    *out = slice_of(rest->data, size);
    *rest = slice_of(end + 2, rest->size - size - 2);
    return size > 0;
}

/* The bytes of "$5" or "=5", which follow its line. */
static bool take_bulk(struct slice *rest, struct slice count, struct slice *out)
{
    uint64_t size = 0;
    if (!parse_u64(count, &size) || rest->size < 2 || size > rest->size - 2) return false;
    if (rest->data[size] != '\r' || rest->data[size + 1] != '\n') return false;
    *out = slice_of(rest->data, size);
    *rest = slice_of(rest->data + size + 2, rest->size - size - 2);
    return true;
}

static bool is_name_next(const struct walk *w)
{
    if (w->depth == 0) return false;
    const struct level *l = &w->levels[w->depth - 1];
    return l->is_map && l->done % 2 == 0;
}

static void write_separator(struct walk *w)
{
    if (w->depth == 0) return;
    const struct level *l = &w->levels[w->depth - 1];
    if (l->is_map && l->done % 2 == 1) {
        out_text(w->json, ":");
    } else if (l->done > 0) {
        out_text(w->json, ",");
    }
}

static void write_text(struct walk *w, struct slice text)
{
    if (jsontext_is_utf8(text)) {
        jsontext_string(w->json, text);
        return;
    }
    out_text(w->json, is_name_next(w) ? "\"base64:" : "{\"base64\":\"");
    write_base64(w->json, text);
    out_text(w->json, is_name_next(w) ? "\"" : "\"}");
}

/* Digits as they are where JSON reads them so, else between quotes. */
static void write_number(struct walk *w, struct slice text, bool is_number)
{
    if (is_number && !is_name_next(w)) {
        out_bytes(w->json, text.data, text.size);
    } else {
        jsontext_string(w->json, text);
    }
}

static void write_word(struct walk *w, const char *word)
{
    write_number(w, slice_of_text(word), true);
}

static bool write_integer(struct walk *w, struct slice text)
{
    int64_t v = 0;
    if (!parse_i64(text, &v)) return false;
    char digits[24]; /* as JSON has them: without zeros in front */
    struct text t = text_of(digits, sizeof(digits));
    text_add(&t, "%lld", (long long)v);
    write_number(w, slice_of(digits, t.size), v >= -EXACT_MAX && v <= EXACT_MAX);
    return true;
}

static bool write_double(struct walk *w, struct slice text)
{
    double v = 0;
    bool is_finite = parse_f64(text, &v);
    if (is_finite) {
        char digits[F64_TEXT_SIZE];
        write_number(w, slice_of(digits, format_f64(digits, v)), true);
        return true;
    }
    static const char *const others[] = {"inf", "-inf", "nan"};
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (!slice_equal(text, slice_of_text(others[i]))) continue;
        jsontext_string(w->json, text);
        return true;
    }
    return false;
}

/* An array or map begins; an empty one is written at once. */
static bool open_level(struct walk *w, struct slice count, bool is_map)
{
    uint64_t total = 0;
    if (!parse_u64(count, &total) || total > UINT32_MAX || is_name_next(w)) return false;
    if (total == 0) {
        out_text(w->json, is_map ? "{}" : "[]");
        return true;
    }
    if (w->depth == JSONTEXT_DEPTH_MAX) return false;
    out_text(w->json, is_map ? "{" : "[");
    w->levels[w->depth++] = (struct level){.total = is_map ? 2 * total : total, .is_map = is_map};
    return true;
}

static void write_error(struct walk *w, struct slice line)
{
    out_text(w->json, is_name_next(w) ? "" : "{\"error\":");
    write_text(w, line);
    out_text(w->json, is_name_next(w) ? "" : "}");
}

/* One token. False: broken. */
static bool step(struct walk *w)
{
    struct slice line;
    if (!take_line(&w->rest, &line)) return false;
    write_separator(w);
    struct slice text = slice_of(line.data + 1, line.size - 1);
    struct slice bulk;
    switch (line.data[0]) {
    case '+': write_text(w, text); return true;
    case '-': write_error(w, text); return true;
    case ':': return write_integer(w, text);
    case ',': return write_double(w, text);
    case '(': write_number(w, text, false); return jsontext_is_utf8(text);
    case '_': write_word(w, "null"); return text.size == 0;
    case '#':
        write_word(w, text.size == 1 && text.data[0] == 't' ? "true" : "false");
        return text.size == 1 && (text.data[0] == 't' || text.data[0] == 'f');
    case '$':
        if (!take_bulk(&w->rest, text, &bulk)) return false;
        write_text(w, bulk);
        return true;
    case '=':
        if (!take_bulk(&w->rest, text, &bulk) || bulk.size < 4) return false;
        write_text(w, slice_of(bulk.data + 4, bulk.size - 4)); /* without "txt:" */
        return true;
    case '*':
    case '~': return open_level(w, text, false);
    case '%': return open_level(w, text, true);
    default: return false;
    }
}

/* An element is complete: so may be those around it. */
static void close_levels(struct walk *w)
{
    while (w->depth > 0) {
        struct level *l = &w->levels[w->depth - 1];
        if (++l->done < l->total) return;
        out_text(w->json, l->is_map ? "}" : "]");
        w->depth--;
    }
}

enum jsontext_outcome jsontext_reply(struct slice *bytes, struct out *json, struct slice *error)
{
    struct walk w = {.rest = *bytes, .json = json};
    struct slice line;
    if (bytes->size > 0 && bytes->data[0] == '-') {
        if (!take_line(&w.rest, &line)) return JSONTEXT_BROKEN;
        *error = slice_of(line.data + 1, line.size - 1);
        *bytes = w.rest;
        return JSONTEXT_ERROR;
    }
    do {
        size_t depth = w.depth;
        if (!step(&w)) return JSONTEXT_BROKEN;
        if (w.depth == depth) close_levels(&w);
    } while (w.depth > 0);
    *bytes = w.rest;
    return JSONTEXT_VALUE;
}
