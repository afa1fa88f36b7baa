/* pending_edges: what appended and not yet applied records say about who signalled what, of the
 * signal types that count a user once: the newest word on each edge. Words are added while a record
 * is judged, so that a later entry of the same record sees them, and taken back when the record is
 * not appended after all. They leave when their record is applied. Owner: the loop thread of a
 * leader. */
#ifndef TIDEMARK_ENGINE_PENDING_EDGES_H
#define TIDEMARK_ENGINE_PENDING_EDGES_H

#include "base/map.h"
#include "base/types.h"

struct pending_edge {
    struct id128 key;
    seqno seqno;
    uint32_t before; /* counter of the word before on the same edge */
    bool has_before;
    bool is_there; /* signalled; else taken back */
};

struct pending_edges {
    struct map map;             /* key -> index in the ring, of the newest word */
    struct pending_edge *words; /* ring, oldest first, capacity a power of two */
    uint32_t capacity;
    uint32_t head; /* running counter of the oldest */
    uint32_t tail; /* running counter after the newest */
};

void pending_edges_init(struct pending_edges *p);
void pending_edges_fini(struct pending_edges *p);

/* Names an edge. */
struct id128 pending_edge_key(uint32_t type_id, struct slice item, struct slice user);

/* The newest word on the edge; false: there is none. */
bool pending_edges_find(const struct pending_edges *p, const struct id128 *key, bool *out_is_there,
                        seqno *out);
/* False: no memory. */
MUST_CHECK bool pending_edges_add(struct pending_edges *p, const struct id128 *key, bool is_there,
                                  seqno s);
/* Take back what was added since the tail was `mark`. */
void pending_edges_drop(struct pending_edges *p, uint32_t mark);
void pending_edges_applied(struct pending_edges *p, seqno applied);

#endif
