/* floor: a sum that at least k items reach, found without looking at items: the k-th largest of the
 * zones' maxima of a decayed order. A search that starts with it as its bar looks at few zones
 * only, whatever the order of the items. */
#ifndef TIDEMARK_CORE_QUERY_FLOOR_H
#define TIDEMARK_CORE_QUERY_FLOOR_H

#include "core/state/columns.h"
#include "core/state/state.h"

/* False: there is none to be known: the type has negative sums, or fewer than k zones hold
 * anything, or memory is refused. */
MUST_CHECK bool floor_find(const struct state *s, struct alloc *alloc, uint32_t type_id, uint32_t k,
                           struct net_sum *out);

#endif
