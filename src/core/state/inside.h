/* inside: what a state is made of, for the files of this folder and for core/query, which reads
 * columns block by block. Nobody else includes this; state.h is the door.
 */
#ifndef TIDEMARK_CORE_STATE_INSIDE_H
#define TIDEMARK_CORE_STATE_INSIDE_H

#include "core/state/columns.h"
#include "core/state/dedup.h"
#include "core/state/edges.h"
#include "core/state/entities.h"
#include "core/state/field_index.h"
#include "core/state/keys.h"
#include "core/state/meta.h"
#include "core/state/producers.h"
#include "core/state/schema.h"
#include "core/state/state.h"
#include "core/state/windows.h"

/* Life of a state. A batch that failed half-way leaves it BROKEN: it can be questioned, but not
 * applied to, pinned or loaded any more. */
enum state_life {
    STATE_FRESH,   /* nothing applied, nothing loaded */
    STATE_LOADING, /* blocks came, state_load_end did not */
    STATE_LIVE,
    STATE_BROKEN,
    STATE_FROZEN, /* made by state_freeze: questions only, without maps */
};

/* Owner: the thread that applies. */
struct state {
    struct alloc *alloc; /* borrowed */
    struct id128 cluster;
    struct stream_id stream;
    enum state_life life;
    bool is_torn; /* BROKEN in the middle of a batch: part of it is in here */

    struct position position;
    uint64_t leader_time;
    uint32_t feature_level;
    uint64_t entry_count; /* signal entries ever applied */

    struct schema schema;
    struct keys items;    /* rows: i64 created_at ms */
    struct keys users;    /* likewise */
    struct keys creators; /* likewise */
    struct entities item_fields;
    struct entities user_fields;
    struct entities creator_fields;
    struct columns columns;
    struct windows windows;
    struct edges edges;
    struct field_index fields; /* derived */
    struct dedup dedup;
    struct keys producers;
    struct block *members; /* NULL until the first members record */

    /* While loading only. */
    struct block_id loaded_last;
    struct meta loaded_meta;
};

/* What the meta block of this moment says. */
struct meta state_meta(const struct state *s);

/* The effect of an item-put, item-unset, item-delete, user-put or creator-put record; now_ms is the
 * leader time of its batch. E_LIMIT, E_NOMEMORY: part of the record may have been applied. */
MUST_CHECK enum code state_apply_entity(struct state *s, const struct record *r, int64_t now_ms,
                                        struct err *e);
/* Put what is known of an item into the field index, where it is not yet. False: no memory. */
MUST_CHECK bool state_index_item(struct state *s, uint32_t item);
/* The same for one field of all items: it has just been declared. */
MUST_CHECK bool state_index_declared(struct state *s, struct slice name);

#endif
