/* overlay: what the gate must know of records that are appended and not applied yet: idempotency
 * keys, producer numbers, new signal types and fields. Entries leave when their record is applied.
 */
#ifndef TIDEMARK_ENGINE_OVERLAY_H
#define TIDEMARK_ENGINE_OVERLAY_H

#include "base/map.h"
#include "core/state/state.h"

struct pending_key {
    struct id128 key;
    seqno seqno;
};
struct pending_producer {
    uint8_t id[KEY_SIZE_MAX];
    uint8_t id_size;
    uint64_t number;
    seqno seqno;
};
struct pending_type {
    struct signal_type type;
    seqno seqno;
};
struct pending_field {
    struct schema_field field;
    seqno seqno;
};

#define PENDING_PRODUCERS_MAX 256u
#define PENDING_TYPES_MAX     64u

struct overlay {
    struct map key_map;       /* key hash -> index in the ring */
    struct pending_key *keys; /* ring, oldest first, capacity a power of two */
    uint32_t key_capacity;
    uint32_t key_head; /* running counter of the oldest */
    uint32_t key_tail; /* running counter after the newest */
    struct pending_producer *producers;
    uint32_t producer_count;
    struct pending_type *types;
    uint32_t type_count;
    struct pending_field *fields; /* room for FIELDS_MAX, all there can be */
    uint32_t field_count;
};

MUST_CHECK bool overlay_init(struct overlay *o);
void overlay_fini(struct overlay *o);
void overlay_applied(struct overlay *o, seqno applied);

bool overlay_find_key(const struct overlay *o, const struct id128 *key, seqno *out);
MUST_CHECK bool overlay_add_key(struct overlay *o, const struct id128 *key, seqno s);
/* Take back the `count` newest keys: their record was not appended after all. */
void overlay_drop_newest_keys(struct overlay *o, uint32_t count);
uint32_t overlay_key_count(const struct overlay *o);
const struct pending_producer *overlay_find_producer(const struct overlay *o, struct slice id);
/* Set a producer's newest number; false when the table is full. */
MUST_CHECK bool overlay_set_producer(struct overlay *o, struct slice id, uint64_t number, seqno s);
const struct signal_type *overlay_find_type(const struct overlay *o, struct slice name, seqno *out);
MUST_CHECK bool overlay_add_type(struct overlay *o, const struct signal_type *type, seqno s);
const struct schema_field *overlay_find_field(const struct overlay *o, struct slice name,
                                              seqno *out);
void overlay_add_field(struct overlay *o, const struct schema_field *field, seqno s);

#endif
