/* set_signal: see set_signal.h. Each change goes to the same four places in the same order: sums
 * and counts, windows, edge. */
#include "core/state/set_signal.h"

#include "base/assert.h"

static bool contribute(struct state *s, const struct signal_type *type, const struct edge *edge)
{
    return columns_add(&s->columns, type, edge->item, edge->weight, edge->time_ms) &&
           windows_add(&s->windows, type->id, edge->item, edge->time_ms);
}

static bool retract(struct state *s, const struct signal_type *type, const struct edge *edge)
{
    return columns_take(&s->columns, type, edge->item, edge->weight, edge->time_ms) &&
           windows_remove(&s->windows, type->id, edge->item, edge->time_ms);
}

/* The user's index, made when there is none. USER_NONE when memory is refused. */
static uint32_t user_intern(struct state *s, struct slice user, int64_t time_ms)
{
    uint64_t hash = keys_hash(&s->users, user);
    uint32_t index = keys_find(&s->users, user, hash);
    return index != KEYS_NONE ? index : keys_add(&s->users, user, hash, &time_ms);
}

/* Put the signal in the place of the one that the edge holds. */
static bool replace(struct state *s, const struct signal_type *type, uint32_t place,
                    const struct edge *edge)
{
    struct edge old = edges_at(&s->edges, type->id, place);
    if (old.time_ms == edge->time_ms && old.weight == edge->weight) return true;
    return retract(s, type, &old) && contribute(s, type, edge) &&
           edges_replace(&s->edges, type->id, place, edge->time_ms, edge->weight);
}

bool set_signal_apply(struct state *s, const struct signal_type *type,
                      const struct set_signal *signal)
{
    ASSERT(type->mode != SIGNAL_MODE_COUNT);
    int64_t latest_ms = (int64_t)s->windows.leader_ms + WINDOWS_AHEAD_MS;
    struct edge edge = {.item = signal->item,
                        .time_ms = signal->time_ms < latest_ms ? signal->time_ms : latest_ms,
                        .weight = signal->weight};
    edge.user = user_intern(s, signal->user, edge.time_ms);
    if (edge.user == USER_NONE) return false;
    uint32_t place = edges_find(&s->edges, type->id, edge.user, edge.item);
    if (place == EDGE_NONE) {
        return contribute(s, type, &edge) && edges_add(&s->edges, type->id, &edge);
    }
    return type->mode == SIGNAL_MODE_ONCE || replace(s, type, place, &edge);
}

bool set_signal_undo(struct state *s, const struct signal_type *type, struct slice item,
                     struct slice user)
{
    ASSERT(type->mode != SIGNAL_MODE_COUNT);
    uint32_t item_index = state_item_find(s, item);
    uint32_t user_index = state_user_find(s, user);
    if (item_index == ITEM_NONE || user_index == USER_NONE) return true;
    uint32_t place = edges_find(&s->edges, type->id, user_index, item_index);
    if (place == EDGE_NONE) return true;
    struct edge edge = edges_at(&s->edges, type->id, place);
    return retract(s, type, &edge) && edges_remove(&s->edges, type->id, place);
}
