/* scan: offer every item to a pick, by an order whose score is computed from counts and the moment
 * of creation. Goes through the columns block by block; exact. Reads only. */
#ifndef TIDEMARK_CORE_QUERY_SCAN_H
#define TIDEMARK_CORE_QUERY_SCAN_H

#include "core/query/retrieve.h"

/* Every order but RETRIEVE_DECAYED. False when memory is refused (about 110 KiB). */
MUST_CHECK bool scan_run(struct pick *pick, const struct retrieve_request *request);

/* All-time counts of an item over types of positive and of negative polarity. */
struct scan_counts {
    uint64_t positive;
    uint64_t negative;
};
struct scan_counts scan_counts_of(const struct state *s, uint32_t item);
/* Events of positive types in a window (WINDOW_1H, WINDOW_24H), of the types that keep both. */
uint64_t scan_window_of(const struct state *s, uint32_t item, uint8_t window);
/* Age of an item, at least 0, at most SCORE_RISING_AGE_MAX_MS. */
int64_t scan_age_ms(const struct state *s, uint32_t item, int64_t now_ms);

#endif
