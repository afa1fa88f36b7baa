/* resp: RESP2 replies from bytes to values, and commands from words to bytes. Pure; never
 * allocates; input is hostile until it was read.
 *
 * A reply is flat: values in the order in which they arrive, an array followed by its elements.
 * `span` says how many values a value covers, itself included, so that a reader can step over it.
 */
#ifndef TIDEMARK_CLI_RESP_H
#define TIDEMARK_CLI_RESP_H

#include "base/bytes.h"
#include "base/types.h"

enum resp_kind { RESP_TEXT, RESP_ERROR, RESP_INTEGER, RESP_NULL, RESP_ARRAY };

struct resp_value {
    enum resp_kind kind;
    struct slice text; /* of TEXT and ERROR; borrowed from the input */
    int64_t integer;
    uint32_t count; /* elements of an array */
    uint32_t span;
};

enum resp_result {
    RESP_WHOLE,
    RESP_MORE, /* the reply is not complete yet */
    RESP_BAD,  /* no RESP2, or more values than there is room for */
};

#define RESP_DEPTH_MAX 8

/* Read one reply from the start of bytes. RESP_WHOLE: values[0..*out_count-1] and *out_size bytes
 * belong to it. */
enum resp_result resp_parse(struct slice bytes, struct resp_value *values, uint32_t values_max,
                            uint32_t *out_count, size_t *out_size);

/* The value behind `name` in a flat array of pairs that starts at values[0]; NULL when absent. */
const struct resp_value *resp_field(const struct resp_value *values, const char *name);
/* Its text; empty when it is absent or no text. */
struct slice resp_text(const struct resp_value *values, const char *name);

/* Start a command of `count` words, then add each. The writer fails when it has no room. */
void resp_write_start(struct bytes_writer *w, size_t count);
void resp_write_word(struct bytes_writer *w, struct slice word);

#endif
