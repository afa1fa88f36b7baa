/* progress: one line on stderr that says how far a long work is: share, count, rate, time left.
 * Drawn a few times a second and only on a terminal; elsewhere nothing is printed.
 */
#ifndef TIDEMARK_CLI_PROGRESS_H
#define TIDEMARK_CLI_PROGRESS_H

#include "base/types.h"

struct progress {
    const char *what; /* "lines" */
    uint64_t started_ns;
    uint64_t drawn_ns;
    bool is_shown; /* stderr is a terminal */
    bool is_drawn; /* a line stands there now */
};

void progress_init(struct progress *p, const char *what);
/* done: of `what`. share: 0..1, below 0 when the end is not known. note: a few words more; may be
 * "". Draws at most ten times a second. */
void progress_draw(struct progress *p, uint64_t done, double share, const char *note);
/* Take the line away, before anything else is printed. */
void progress_clear(struct progress *p);

#endif
