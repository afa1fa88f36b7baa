/* text: texts built in the caller's buffer, and strict parsing of what people and files write.
 * Building never fails: what does not fit is cut and is_cut says so. Parsing takes the whole slice
 * or nothing, and writes its output only on success. vsnprintf is used for integers and strings;
 * doubles go through format_f64, because %f follows the locale. Pure; safe from any thread. */
#include "base/text.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

struct text text_of(char *buffer, size_t capacity)
{
    ASSERT(capacity > 0);
    buffer[0] = '\0';
    return (struct text){.data = buffer, .capacity = capacity};
}

void text_add(struct text *t, const char *format, ...)
{
    size_t room = t->capacity - t->size;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->data + t->size, room, format, args);
    va_end(args);
    if (n < 0) {
        t->data[t->size] = '\0';
        t->is_cut = true;
    } else if ((size_t)n >= room) {
        t->size = t->capacity - 1;
        t->is_cut = true;
    } else {
        t->size += (size_t)n;
    }
}

void text_add_slice(struct text *t, struct slice s)
{
    size_t room = t->capacity - t->size - 1;
    size_t size = s.size < room ? s.size : room;
    if (size < s.size) t->is_cut = true;
    if (size > 0) memcpy(t->data + t->size, s.data, size);
    t->size += size;
    t->data[t->size] = '\0';
}

static const char hex_digits[] = "0123456789abcdef";

void text_add_escaped(struct text *t, struct slice s, size_t max)
{
    for (size_t i = 0; i < s.size && i < max; i++) {
        uint8_t c = s.data[i];
        char shown[4] = {'\\', 'x', hex_digits[c >> 4], hex_digits[c & 15]};
        bool is_plain = c >= ' ' && c <= '~' && c != '\\';
        text_add_slice(t, is_plain ? slice_of(&c, 1) : slice_of(shown, sizeof(shown)));
    }
    if (s.size > max) text_add_slice(t, slice_of_text("..."));
}

void text_add_hex(struct text *t, const void *data, size_t size)
{
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) {
        char pair[2] = {hex_digits[bytes[i] >> 4], hex_digits[bytes[i] & 15]};
        text_add_slice(t, slice_of(pair, sizeof(pair)));
    }
}

bool parse_u64(struct slice s, uint64_t *out)
{
    if (s.size == 0) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        if (c < '0' || c > '9') return false;
        if (__builtin_mul_overflow(v, 10u, &v)) return false;
        if (__builtin_add_overflow(v, (uint64_t)(c - '0'), &v)) return false;
    }
    *out = v;
    return true;
}

bool parse_i64(struct slice s, int64_t *out)
{
    bool is_negative = s.size > 0 && s.data[0] == '-';
    if (is_negative) s = slice_of(s.data + 1, s.size - 1);
    uint64_t magnitude;
    if (!parse_u64(s, &magnitude)) return false;
    if (magnitude > (uint64_t)INT64_MAX + is_negative) return false;
    *out = (int64_t)(is_negative ? 0 - magnitude : magnitude);
    return true;
}

/* 0..15, or 16 for what is no hex digit. */
static unsigned hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9') return (unsigned)(c - '0');
    if (c >= 'a' && c <= 'f') return (unsigned)(c - 'a') + 10;
    if (c >= 'A' && c <= 'F') return (unsigned)(c - 'A') + 10;
    return 16;
}

bool parse_hex(struct slice s, void *out, size_t size)
{
    if (s.size / 2 != size || s.size % 2 != 0) return false;
    for (size_t i = 0; i < s.size; i++) {
        if (hex_value(s.data[i]) > 15) return false;
    }
    uint8_t *bytes = out;
    for (size_t i = 0; i < size; i++) {
        bytes[i] = (uint8_t)(hex_value(s.data[2 * i]) << 4 | hex_value(s.data[2 * i + 1]));
    }
    return true;
}

struct unit {
    const char *name;
    uint64_t factor;
};

/* A whole number with one of the units behind it. */
static bool parse_with_unit(struct slice s, const struct unit *units, size_t count, uint64_t *out)
{
    size_t digits = 0;
    while (digits < s.size && s.data[digits] >= '0' && s.data[digits] <= '9') {
        digits++;
    }
    uint64_t v;
    if (!parse_u64(slice_of(s.data, digits), &v)) return false;
    struct slice name = slice_of(s.data + digits, s.size - digits);
    for (size_t i = 0; i < count; i++) {
        if (!slice_equal(name, slice_of_text(units[i].name))) continue;
        if (__builtin_mul_overflow(v, units[i].factor, &v)) return false;
        *out = v;
        return true;
    }
    return false;
}

bool parse_size(struct slice s, uint64_t *out_bytes)
{
    static const struct unit units[] = {
        {"", 1}, {"B", 1}, {"KiB", KIB}, {"MiB", MIB}, {"GiB", GIB}, {"TiB", 1024 * GIB},
    };
    return parse_with_unit(s, units, COUNT_OF(units), out_bytes);
}

bool parse_duration(struct slice s, uint64_t *out_ns)
{
    static const struct unit units[] = {
        {"ns", 1},
        {"us", 1000},
        {"ms", NS_PER_MS},
        {"s", NS_PER_S},
        {"min", 60 * NS_PER_S},
        {"h", 3600 * NS_PER_S},
        {"d", 86400 * NS_PER_S},
    };
    if (slice_equal(s, slice_of_text("0"))) {
        *out_ns = 0;
        return true;
    }
    return parse_with_unit(s, units, COUNT_OF(units), out_ns);
}

size_t format_u64(char *out, uint64_t v)
{
    static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                                "25262728293031323334353637383940414243444546474849"
                                "50515253545556575859606162636465666768697071727374"
                                "75767778798081828384858687888990919293949596979899";
    char reversed[20];
    size_t at = sizeof(reversed);
    while (v >= 100) {
        at -= 2;
        memcpy(reversed + at, pairs + 2 * (v % 100), 2);
        v /= 100;
    }
    if (v >= 10) {
        at -= 2;
        memcpy(reversed + at, pairs + 2 * v, 2);
    } else {
        reversed[--at] = (char)('0' + v);
    }
    memcpy(out, reversed + at, sizeof(reversed) - at);
    return sizeof(reversed) - at;
}

size_t format_token(char out[TOKEN_SIZE_MAX], const struct token *token)
{
    size_t size = format_u64(out, token->epoch);
    out[size++] = '-';
    size += format_u64(out + size, token->seqno.v);
    out[size++] = '-';
    for (size_t i = 0; i < sizeof(token->chain4); i++) {
        out[size++] = hex_digits[token->chain4[i] >> 4];
        out[size++] = hex_digits[token->chain4[i] & 15];
    }
    ASSERT(size <= TOKEN_SIZE_MAX);
    return size;
}

/* Cut s at the first '-': what is before it is returned, s is left with what is behind. */
static struct slice cut_field(struct slice *s)
{
    size_t i = 0;
    while (i < s->size && s->data[i] != '-') {
        i++;
    }
    struct slice field = slice_of(s->data, i);
    size_t used = i < s->size ? i + 1 : i;
    *s = slice_of(s->data + used, s->size - used);
    return field;
}

bool parse_token(struct slice s, struct token *out)
{
    if (s.size == 0 || s.size > TOKEN_SIZE_MAX) return false;
    struct slice rest = s;
    struct slice epoch = cut_field(&rest);
    struct slice number = cut_field(&rest);
    struct token token;
    if (!parse_u64(epoch, &token.epoch)) return false;
    if (!parse_u64(number, &token.seqno.v)) return false;
    if (!parse_hex(rest, token.chain4, sizeof(token.chain4))) return false;
    /* One token has one text: no leading zeros, no capitals. */
    char text[TOKEN_SIZE_MAX];
    if (!slice_equal(s, slice_of(text, format_token(text, &token)))) return false;
    *out = token;
    return true;
}

struct token token_of(const struct position *p)
{
    struct token token = {.epoch = p->epoch, .seqno = p->seqno};
    memcpy(token.chain4, p->chain.bytes, sizeof(token.chain4));
    return token;
}

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c - 'A' + 'a') : c;
}

bool text_equal_nocase(struct slice a, const char *b)
{
    size_t i = 0;
    for (; i < a.size && b[i] != '\0'; i++) {
        if (lower(a.data[i]) != lower((uint8_t)b[i])) return false;
    }
    return i == a.size && b[i] == '\0';
}

enum { WORD_MAX = 64 };

static size_t min2(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Insertions, deletions and replacements that turn a into b, both at most WORD_MAX long. */
static size_t edit_distance(struct slice a, struct slice b)
{
    size_t row[WORD_MAX + 1];
    for (size_t j = 0; j <= b.size; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a.size; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.size; j++) {
            size_t replaced = diagonal + (lower(a.data[i - 1]) != lower(b.data[j - 1]));
            diagonal = row[j];
            row[j] = min2(replaced, min2(row[j], row[j - 1]) + 1);
        }
    }
    return row[b.size];
}

const char *nearest_word(struct slice word, const char *const *candidates, size_t count)
{
    if (word.size > WORD_MAX) return NULL;
    const char *best = NULL;
    size_t best_distance = word.size < 3 ? word.size : 3; /* only what is below counts */
    for (size_t i = 0; i < count; i++) {
        struct slice candidate = slice_of_text(candidates[i]);
        if (candidate.size > WORD_MAX) continue;
        size_t distance = edit_distance(word, candidate);
        if (distance >= best_distance) continue;
        best = candidates[i];
        best_distance = distance;
    }
    return best;
}

bool is_node_id(struct slice s)
{
    if (s.size == 0 || s.size > NODE_ID_SIZE_MAX) return false;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = s.data[i];
        bool is_letter = lower(c) >= 'a' && lower(c) <= 'z';
        bool is_digit = c >= '0' && c <= '9';
        if (!is_letter && !is_digit && c != '.' && c != '_' && c != '-') return false;
    }
    return true;
}
