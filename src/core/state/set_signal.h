/* set_signal: signals of the modes once and latest, which count a user once for an item. The edge
 * (edges.h) remembers what the user's signal added; sums, counts and windows are derived from the
 * edges that there are and were.
 *
 *   once    the first signal of (type, user, item) counts; a later one changes nothing
 *   latest  a later one takes the place of the one before: its weight and time
 *   undo    takes the edge's signal back; where there is none, changes nothing
 *
 * Later and before are the order of the log. An event time more than an hour ahead of its batch is
 * taken for an hour ahead, so that every such signal is in its windows and can be found there.
 * Nothing here is ever refused but for memory: a log may say anything any number of times.
 */
#ifndef TIDEMARK_CORE_STATE_SET_SIGNAL_H
#define TIDEMARK_CORE_STATE_SET_SIGNAL_H

#include "core/state/inside.h"

struct set_signal {
    uint32_t item;
    struct slice user; /* 1..255 bytes; interned when unknown */
    int64_t time_ms;
    double weight;
};

/* False when memory is refused; then it may be there in part. type: not of mode count. Owner. */
MUST_CHECK bool set_signal_apply(struct state *s, const struct signal_type *type,
                                 const struct set_signal *signal);
MUST_CHECK bool set_signal_undo(struct state *s, const struct signal_type *type, struct slice item,
                                struct slice user);

#endif
