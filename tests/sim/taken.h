/* taken: the transitions and decision rows that histories took (base/taken.h), against those that
 * are declared. A transition that is not declared fails a history; one that is declared and never
 * taken is said by name, unless taken.c says why that may be.
 * One owner thread.
 */
#ifndef TIDEMARK_TESTS_SIM_TAKEN_H
#define TIDEMARK_TESTS_SIM_TAKEN_H

#include "base/taken.h"
#include "base/types.h"

struct taken_sum {
    uint64_t counts[TAKEN_COUNT][TAKEN_STATES_MAX][TAKEN_STATES_MAX];
};

/* Move what was counted since the last call into the sum. */
void taken_collect(struct taken_sum *sum);
void taken_add(struct taken_sum *sum, const struct taken_sum *more);
/* One line: of each machine how many of its transitions were taken; one more for each that lacks
 * some, with their names. */
void taken_print(const struct taken_sum *sum);
/* False, with their names on stdout: declared, never taken and not excused in taken.c. is_long: so
 * many histories that what is rare must be among them, too. */
bool taken_is_whole(const struct taken_sum *sum, bool is_long);
/* A transition counted since the last taken_collect that is not declared; false: there is none. */
bool taken_find_undeclared(char *out, size_t size);

#endif
