/* bugs: the planted bugs of docs/PLANTED_BUGS.md and what must catch each: a law, within a number
 * of seeds, in histories or in a story. Only in the program sim_bugs, whose sources that know a bug
 * are compiled with all of them and the choice at run time.
 */
#ifndef TIDEMARK_TESTS_SIM_BUGS_H
#define TIDEMARK_TESTS_SIM_BUGS_H

#include "sim/arguments.h"

/* Look for bugs from..to, one after the other, each in a process of its own. Prints a line for
 * each. False: one of them was not caught, or by something else than the table says. */
bool bugs_are_caught(const struct arguments *a, uint32_t from, uint32_t to);
/* How many there are; 0 in a program without them. */
uint32_t bugs_count(void);

#endif
