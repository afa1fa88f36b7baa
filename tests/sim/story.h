/* story: scripted histories for what random search finds too rarely. A story sets a cluster up,
 * does one thing to it and says what must come of it; faults come from the script alone. A story
 * is told from several seeds, which vary what was written and where the damage is.
 */
#ifndef TIDEMARK_TESTS_SIM_STORY_H
#define TIDEMARK_TESTS_SIM_STORY_H

#include "sim/history.h"

/* Tell the story of this name once. False: there is no such story. */
bool story_run(const char *name, uint64_t seed, const struct history_options *options,
               struct history_result *out);
/* The name of story i, NULL beyond the last; and how many seeds it is told from by default. */
const char *story_name(size_t i);
uint64_t story_count(const char *name);

#endif
