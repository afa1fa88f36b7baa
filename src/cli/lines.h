/* lines: a stream of bytes cut into lines. Memory is one fixed buffer: a line longer than
 * LINES_SIZE_MAX comes out once, marked and without its text, and reading goes on behind it.
 * Pure: the caller reads the bytes into the room it is shown.
 */
#ifndef TIDEMARK_CLI_LINES_H
#define TIDEMARK_CLI_LINES_H

#include "base/types.h"

#define LINES_SIZE_MAX    (64 * KIB)
#define LINES_BUFFER_SIZE (256 * KIB)

struct lines {
    uint8_t buffer[LINES_BUFFER_SIZE];
    size_t start;
    size_t end;
    bool is_ended;    /* the caller saw the end of the input */
    bool is_overlong; /* inside a line whose beginning was dropped */
    uint64_t number;  /* of the last line given out, from 1 */
};

struct line {
    struct slice text; /* without its newline; empty when it was too long */
    uint64_t number;
    bool is_overlong;
    size_t bytes; /* that this line took from the input, as far as they are known here */
};

void lines_init(struct lines *l);
/* The next whole line, or at the end of the input what is left; false: give more. */
bool lines_next(struct lines *l, struct line *out);
/* Room for the next bytes, borrowed until lines_add; never empty after lines_next said false. */
uint8_t *lines_room(struct lines *l, size_t *out_size);
void lines_add(struct lines *l, size_t size);
void lines_end(struct lines *l); /* no more bytes will come */

#endif
