/* assert: the one exit of library code. Uses stdio because there is nothing left to protect: the
 * process ends here. Holds no state; safe from any thread. */
#include "base/assert.h"

#include <stdio.h>
#include <stdlib.h>

_Noreturn void assert_panic(const char *condition, const char *file, int line)
{
    (void)fprintf(stderr, "%s:%d: assertion failed: %s\n", file, line, condition);
    (void)fflush(stderr);
    abort();
}
