/* fresh: reads that say how fresh their answer must be (after a token, of bounded age, committed),
 * and what such an answer proves. A token of a write that was given up must be answered LOST
 * wherever the change of leaders is known, and never be read past in silence.
 *
 * The readers have a random stream and a pace of their own. Owner: the world's thread.
 */
#ifndef TIDEMARK_TESTS_SIM_FRESH_H
#define TIDEMARK_TESTS_SIM_FRESH_H

#include "sim/client_run.h"

/* Schedule the readers, if the plan has some. */
void fresh_begin(struct cluster *c);
/* Judge the fresh reads of a run. */
void fresh_judge(struct client_run *r);

#endif
