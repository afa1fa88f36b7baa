/* resp: cuts requests out of the bytes that a RESP client sends: arrays of bulk strings, and
 * inline lines with the quoting of redis-cli. Incremental and without copies: the words of a
 * request point into the bytes given. Pure: no input or output, no clock; its only memory is the
 * table of words.
 *
 * Every length is judged when it is read, before a byte of what it announces is waited for. A
 * broken request ends the stream: there is no way to find where the next one starts.
 */
#ifndef TIDEMARK_SERVER_RESP_H
#define TIDEMARK_SERVER_RESP_H

#include "base/alloc.h"
#include "base/types.h"

#define RESP_WORDS_MAX        ((size_t)1048576)
#define RESP_BULK_SIZE_MAX    ((size_t)(MIB + 64 * KIB)) /* the largest record and its envelope */
#define RESP_INLINE_SIZE_MAX  ((size_t)(64 * KIB))
#define RESP_REQUEST_SIZE_MAX ((size_t)(16 * MIB))

enum resp_outcome {
    RESP_MORE,    /* not a whole request yet: call again with more bytes */
    RESP_REQUEST, /* words and word_count are filled; at is the request's size */
    RESP_BROKEN,  /* error says why; the stream is of no use any more */
};

struct resp_parser {
    struct alloc *alloc; /* borrowed */
    struct slice *words;
    size_t word_count; /* of the request so far; 0 in a whole request: an empty line or array */
    size_t word_capacity;
    size_t words_expected;
    size_t at; /* bytes of the request that were understood */
    const uint8_t *base;
    size_t bulk_size;
    bool has_count;
    bool has_bulk_size;
    bool is_inline;
    char error[80]; /* "Protocol error: ..." */
};

void resp_parser_init(struct resp_parser *p, struct alloc *alloc);
void resp_parser_fini(struct resp_parser *p);

/* Read on in the request that starts at data; size counts from there, too. The bytes seen in
 * earlier calls must be the same, though they may have moved. Inline requests are unquoted in
 * place, which is why data is not const. */
MUST_CHECK enum resp_outcome resp_parser_read(struct resp_parser *p, uint8_t *data, size_t size);

/* The bytes of the request moved to base: let its words point there. */
void resp_parser_move(struct resp_parser *p, const uint8_t *base);

/* Forget the request: the next call of resp_parser_read starts a new one. */
void resp_parser_reset(struct resp_parser *p);

#endif
