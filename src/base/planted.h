/* planted: deliberate bugs, so that the tests can be tested. docs/PLANTED_BUGS.md lists them.
 *
 * TIDEMARK_PLANTED_BUG is a constant of the build: 0, the default, is none, and then nothing of a
 * planted bug is left in the program. -1 is for tests/sim alone: the bug is chosen at run time.
 */
#ifndef TIDEMARK_BASE_PLANTED_H
#define TIDEMARK_BASE_PLANTED_H

#include <stdbool.h>

#if TIDEMARK_PLANTED_BUG < 0
extern int planted_bug;
#else
#define planted_bug TIDEMARK_PLANTED_BUG
#endif

/* A function, because compilers warn of what a constant condition leaves out. */
static inline bool planted_is(int bug)
{
    return planted_bug == bug;
}
#define PLANTED(n) planted_is(n)

#endif
