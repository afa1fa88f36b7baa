/* taken_counts: where the engine of the simulator counts. A file of the engine's library, because
 * that is linked without the rest of the world, too. */
#include "base/taken.h"

#ifdef TIDEMARK_COUNT_TAKEN
uint64_t taken_now[TAKEN_COUNT][TAKEN_STATES_MAX][TAKEN_STATES_MAX];
#endif
