/* glob: patterns with * and ?, case-insensitive, as CONFIG GET takes them. */
#ifndef TIDEMARK_SERVER_GLOB_H
#define TIDEMARK_SERVER_GLOB_H

#include "base/types.h"

/* Takes at most pattern times text steps. */
bool glob_matches(struct slice pattern, const char *text);

#endif
