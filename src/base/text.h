/* text: bounded text building and strict number parsing, the same in every locale. */
#ifndef TIDEMARK_BASE_TEXT_H
#define TIDEMARK_BASE_TEXT_H

#include "base/types.h"

/* A text under construction in the caller's buffer; always NUL-terminated; cut when full. */
struct text {
    char *data;
    size_t capacity; /* including the NUL */
    size_t size;     /* without the NUL */
    bool is_cut;
};
struct text text_of(char *buffer, size_t capacity);
void text_add(struct text *t, const char *format, ...) PRINTF_LIKE(2, 3);
void text_add_slice(struct text *t, struct slice s); /* raw bytes */
/* Bytes as a reader can see them: printable ASCII as is, others \xNN, at most max bytes then "...".
 */
void text_add_escaped(struct text *t, struct slice s, size_t max);
void text_add_hex(struct text *t, const void *data, size_t size);

/* Strict decimal parsing of the whole slice: no spaces, no sign for u64, no overflow. */
bool parse_u64(struct slice s, uint64_t *out);
bool parse_i64(struct slice s, int64_t *out);
/* Decimal or exponent form of a finite number; also "nan" and "inf" are refused. */
bool parse_f64(struct slice s, double *out);
bool parse_hex(struct slice s, void *out, size_t size); /* exactly 2 * size digits */
/* "16MiB", "64KiB", "1GiB", "123" (bytes); "2s", "500ms", "5min", "24h", "0" -> ns. */
bool parse_size(struct slice s, uint64_t *out_bytes);
bool parse_duration(struct slice s, uint64_t *out_ns);

/* Shortest text that reads back as the same double (at most 24 characters plus NUL).
 * Integers below 1e17 have no exponent and no point. Returns the length. */
#define F64_TEXT_SIZE 32
size_t format_f64(char out[F64_TEXT_SIZE], double v);
/* Decimal digits of v, no NUL; returns how many (1..20). Fast: reply paths use it. */
size_t format_u64(char *out, uint64_t v);

/* Write token: "epoch-seqno-chain32", e.g. 1-42-9f3a21bc. */
#define TOKEN_SIZE_MAX 52
struct token {
    uint64_t epoch;
    seqno seqno;
    uint8_t chain4[4];
};
size_t format_token(char out[TOKEN_SIZE_MAX], const struct token *token); /* no NUL */
bool parse_token(struct slice s, struct token *out);
struct token token_of(const struct position *p);

/* ASCII case-insensitive equality: commands, options, config keys. */
bool text_equal_nocase(struct slice a, const char *b);
/* Name of the candidate nearest to word (edit distance <= 2 and < word's length), NULL when none.
 */
const char *nearest_word(struct slice word, const char *const *candidates, size_t count);
/* Node ids: [A-Za-z0-9._-]{1,64}. */
bool is_node_id(struct slice s);

#endif
