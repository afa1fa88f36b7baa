/* profile: the named orders that RETRIEVE knows. A profile is data: which order, of which signal
 * type, and a hash of its definition, which a cursor carries so that it never goes on in another
 * order than it began. Names are the same in upper and lower case.
 */
#ifndef TIDEMARK_CORE_QUERY_PROFILE_H
#define TIDEMARK_CORE_QUERY_PROFILE_H

#include "base/error.h"
#include "core/query/retrieve.h"

struct profile {
    enum retrieve_order order;
    uint32_t type_id; /* of RETRIEVE_DECAYED and RETRIEVE_COUNT; else 0 */
    uint64_t hash;    /* of the definition: name, version, type, half-life */
};

/* E_SCHEMA: no such profile or signal type; E_UNSUPPORTED: a profile that is not built yet. */
MUST_CHECK enum code profile_find(const struct state *s, struct slice name, struct profile *out,
                                  struct err *e);

#endif
