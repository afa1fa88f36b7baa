/* shrink: make the story of a failed seed smaller: fewer kinds of faults, fewer nodes and clients,
 * an earlier end of the faults, as long as the same law is broken. Every attempt is told in a
 * process of its own. Prints the smallest command that was found.
 */
#ifndef TIDEMARK_TESTS_SIM_SHRINK_H
#define TIDEMARK_TESTS_SIM_SHRINK_H

#include "sim/tell.h"

void shrink(const struct arguments *a, uint64_t seed, const char *check);

#endif
