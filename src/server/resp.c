/* resp: see resp.h. A request is read word by word; what is known of it so far stays in the parser,
 * so that bytes are looked at once however small the pieces are that they arrive in. The wording of
 * errors is that of Redis, because clients and people know it. */
#include "server/resp.h"

#include "base/assert.h"

#include <stdio.h>

enum { WORDS_AT_FIRST = 16, WORDS_KEPT_MAX = 1024, NUMBER_DIGITS_MAX = 19 };

static enum resp_outcome parse_inline(struct resp_parser *p, uint8_t *data, size_t size);
static enum resp_outcome parse_words(struct resp_parser *p, const uint8_t *data, size_t size);
static enum resp_outcome parse_count(struct resp_parser *p, const uint8_t *data, size_t size);

void resp_parser_init(struct resp_parser *p, struct alloc *alloc)
{
    *p = (struct resp_parser){.alloc = alloc};
}

void resp_parser_fini(struct resp_parser *p)
{
    alloc_put(p->alloc, p->words, p->word_capacity * sizeof(*p->words));
    p->words = NULL;
    p->word_capacity = 0;
}

void resp_parser_reset(struct resp_parser *p)
{
    if (p->word_capacity > WORDS_KEPT_MAX) resp_parser_fini(p);
    p->word_count = 0;
    p->words_expected = 0;
    p->at = 0;
    p->base = NULL;
    p->has_count = false;
    p->has_bulk_size = false;
    p->is_inline = false;
}

void resp_parser_move(struct resp_parser *p, const uint8_t *base)
{
    if (p->base == base) return;
    for (size_t i = 0; i < p->word_count; i++) {
        p->words[i].data = base + (p->words[i].data - p->base);
    }
    p->base = base;
}

enum resp_outcome resp_parser_read(struct resp_parser *p, uint8_t *data, size_t size)
{
    if (size == 0) return RESP_MORE;
    resp_parser_move(p, data);
    if (!p->has_count && !p->is_inline) {
        p->is_inline = data[0] != '*';
        if (!p->is_inline) {
            enum resp_outcome outcome = parse_count(p, data, size);
            if (outcome != RESP_REQUEST) return outcome;
        }
    }
    return p->is_inline ? parse_inline(p, data, size) : parse_words(p, data, size);
}

static enum resp_outcome broken(struct resp_parser *p, const char *why)
{
    (void)snprintf(p->error, sizeof(p->error), "Protocol error: %s", why);
    return RESP_BROKEN;
}

/* Room for at least one more word. Words as they arrive make room for themselves: a count alone
 * costs nothing. */
static bool grow_words(struct resp_parser *p)
{
    void *words = p->words;
    size_t wanted = p->word_capacity > 0 ? p->word_capacity + 1 : WORDS_AT_FIRST;
    bool is_grown = alloc_grow(p->alloc, &words, &p->word_capacity, sizeof(*p->words), wanted);
    p->words = words;
    return is_grown;
}

static bool add_word(struct resp_parser *p, const uint8_t *data, size_t size)
{
    if (p->word_count == p->word_capacity && !grow_words(p)) return false;
    p->words[p->word_count++] = slice_of(data, size);
    return true;
}

enum number { NUMBER_OK, NUMBER_MORE, NUMBER_BAD };

/* Digits and CRLF at *at. On NUMBER_OK, *at stands behind them. */
static inline enum number read_number(const uint8_t **at, const uint8_t *end, uint64_t *out)
{
    const uint8_t *c = *at;
    uint64_t v = 0;
    for (; c < end && *c >= '0' && *c <= '9'; c++) {
        v = v * 10 + (uint64_t)(*c - '0');
        if (c - *at >= NUMBER_DIGITS_MAX - 1) return NUMBER_BAD;
    }
    if (c == end) return NUMBER_MORE;
    if (*c != '\r' || c == *at) return NUMBER_BAD;
    if (c + 1 == end) return NUMBER_MORE;
    if (c[1] != '\n') return NUMBER_BAD;
    *at = c + 2;
    *out = v;
    return NUMBER_OK;
}

/* "*3\r\n". A count that is zero or negative makes an empty request, as in Redis. */
static enum resp_outcome parse_count(struct resp_parser *p, const uint8_t *data, size_t size)
{
    const uint8_t *at = data + 1;
    bool is_negative = size > 1 && *at == '-';
    if (is_negative) at++;
    uint64_t count = 0;
    enum number outcome = read_number(&at, data + size, &count);
    if (outcome == NUMBER_MORE) return RESP_MORE;
    if (outcome == NUMBER_BAD) return broken(p, "invalid multibulk length");
    if (!is_negative && count > RESP_WORDS_MAX) return broken(p, "invalid multibulk length");
    p->words_expected = is_negative ? 0 : (size_t)count;
    p->has_count = true;
    p->at = (size_t)(at - data);
    return RESP_REQUEST;
}

static enum resp_outcome expected_bulk(struct resp_parser *p, uint8_t c)
{
    char why[32];
    bool is_plain = c >= ' ' && c <= '~';
    (void)snprintf(why, sizeof(why),
                   is_plain ? "expected '$', got '%c'" : "expected '$', got \\x%02x", c);
    return broken(p, why);
}

/* One word whose header may be incomplete, long or wrong. RESP_REQUEST: it was added. */
static enum resp_outcome parse_word(struct resp_parser *p, const uint8_t *data, size_t size)
{
    const uint8_t *end = data + size;
    const uint8_t *at = data + p->at;
    if (!p->has_bulk_size) {
        if (at == end) return RESP_MORE;
        if (*at != '$') return expected_bulk(p, *at);
        at++;
        uint64_t bulk_size = 0;
        enum number outcome = read_number(&at, end, &bulk_size);
        if (outcome == NUMBER_MORE) return RESP_MORE;
        if (outcome == NUMBER_BAD || bulk_size > RESP_BULK_SIZE_MAX) {
            return broken(p, "invalid bulk length");
        }
        p->bulk_size = (size_t)bulk_size;
        p->has_bulk_size = true;
        p->at = (size_t)(at - data);
        if (p->at + p->bulk_size > RESP_REQUEST_SIZE_MAX) return broken(p, "too big request");
    }
    if ((size_t)(end - at) < p->bulk_size + 2) return RESP_MORE;
    const uint8_t *tail = at + p->bulk_size;
    if (tail[0] != '\r' || tail[1] != '\n') return broken(p, "bulk string without its end");
    if (!add_word(p, at, p->bulk_size)) return broken(p, "no memory for the request");
    p->at = (size_t)(tail + 2 - data);
    p->has_bulk_size = false;
    return RESP_REQUEST;
}

static inline bool is_crlf(const uint8_t *at)
{
    return at[0] == '\r' && at[1] == '\n';
}

/* Nearly all words are shorter than a hundred bytes and are there in whole: take as many of them as
 * there are, looking at each byte of a header once. Stops at the first that is anything else and
 * leaves it to parse_word. */
static void parse_short_words(struct resp_parser *p, const uint8_t *data, size_t size)
{
    enum { SHORTEST = 6 }; /* "$0\r\n\r\n" */
    const uint8_t *end = data + size;
    const uint8_t *at = data + p->at;
    size_t count = p->word_count;
    size_t count_max = p->words_expected < p->word_capacity ? p->words_expected : p->word_capacity;
    struct slice *words = p->words;
    while (count < count_max && end - at >= SHORTEST && at[0] == '$') {
        unsigned bulk_size = (unsigned)at[1] - '0';
        const uint8_t *bulk = at + 4;
        if (bulk_size > 9) break;
        if (!is_crlf(at + 2)) {
            unsigned digit = (unsigned)at[2] - '0';
            if (digit > 9 || !is_crlf(at + 3)) break;
            bulk_size = bulk_size * 10 + digit;
            bulk = at + 5;
        }
        if (end - bulk < (ptrdiff_t)bulk_size + 2 || !is_crlf(bulk + bulk_size)) break;
        words[count++] = slice_of(bulk, bulk_size);
        at = bulk + bulk_size + 2;
    }
    p->word_count = count;
    p->at = (size_t)(at - data);
}

/* "$4\r\nview\r\n" as often as the count says. */
static enum resp_outcome parse_words(struct resp_parser *p, const uint8_t *data, size_t size)
{
    while (p->word_count < p->words_expected) {
        if (p->word_count == p->word_capacity && !grow_words(p)) {
            return broken(p, "no memory for the request");
        }
        if (!p->has_bulk_size) parse_short_words(p, data, size);
        if (p->word_count == p->words_expected) break;
        if (p->word_count == p->word_capacity) continue;
        enum resp_outcome outcome = parse_word(p, data, size);
        if (outcome != RESP_REQUEST) return outcome;
    }
    return p->at > RESP_REQUEST_SIZE_MAX ? broken(p, "too big request") : RESP_REQUEST;
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* 0..15, or 16 for what is no hex digit. */
static unsigned hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9') return (unsigned)c - '0';
    if (c >= 'a' && c <= 'f') return (unsigned)c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return (unsigned)c - 'A' + 10;
    return 16;
}

/* What stands behind a backslash between double quotes. Moves *at behind it. */
static uint8_t unescape(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *c = *at;
    if (end - c >= 3 && *c == 'x' && hex_digit(c[1]) < 16 && hex_digit(c[2]) < 16) {
        *at += 3;
        return (uint8_t)(hex_digit(c[1]) << 4 | hex_digit(c[2]));
    }
    *at += 1;
    switch (*c) {
    case 'n': return '\n';
    case 'r': return '\r';
    case 't': return '\t';
    case 'b': return '\b';
    case 'a': return '\a';
    default: return *c;
    }
}

/* One word at *at, written back without its quotes from its own first byte on. False: quotes are
 * not closed, or something follows a closing quote. */
static bool unquote(const uint8_t **at, const uint8_t *end, uint8_t *word, size_t *out_size)
{
    const uint8_t *c = *at;
    uint8_t *to = word;
    uint8_t quote = 0;
    while (c < end && (quote != 0 || !is_space(*c))) {
        if (quote == 0 && (*c == '"' || *c == '\'')) {
            quote = *c++;
        } else if (quote != 0 && *c == quote) {
            quote = 0;
            c++;
            if (c < end && !is_space(*c)) return false;
        } else if (quote == '"' && *c == '\\' && c + 1 < end) {
            c++;
            *to++ = unescape(&c, end);
        } else if (quote == '\'' && *c == '\\' && c + 1 < end && c[1] == '\'') {
            *to++ = '\'';
            c += 2;
        } else {
            *to++ = *c++;
        }
    }
    *at = c;
    *out_size = (size_t)(to - word);
    return quote == 0;
}

static enum resp_outcome parse_inline(struct resp_parser *p, uint8_t *data, size_t size)
{
    const uint8_t *newline = memchr(data + p->at, '\n', size - p->at);
    size_t line_size = newline != NULL ? (size_t)(newline - data) : size;
    if (line_size > RESP_INLINE_SIZE_MAX) return broken(p, "too big inline request");
    if (memchr(data + p->at, '\0', line_size - p->at) != NULL) {
        return broken(p, "a zero byte in an inline request; this is the data port (RESP)");
    }
    p->at = newline != NULL ? line_size + 1 : size;
    if (newline == NULL) return RESP_MORE;

    const uint8_t *at = data;
    while (true) {
        while (at < newline && is_space(*at)) {
            at++;
        }
        if (at == newline) return RESP_REQUEST;
        uint8_t *word = data + (at - data);
        size_t word_size = 0;
        if (!unquote(&at, newline, word, &word_size)) {
            return broken(p, "unbalanced quotes in request");
        }
        if (!add_word(p, word, word_size)) return broken(p, "no memory for the request");
    }
}
