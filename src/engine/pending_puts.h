/* pending_puts: how much the puts that are appended and not applied yet may add to each item, user
 * or creator, so that the gate can promise that none outgrows its limits. Sums are kept by hash in
 * a table of fixed size: entities that share a place are taken for one, which only makes a put wait
 * that need not have waited. Owner: the write gate. */
#ifndef TIDEMARK_ENGINE_PENDING_PUTS_H
#define TIDEMARK_ENGINE_PENDING_PUTS_H

#include "core/state/state.h"

struct pending_place {
    seqno last; /* newest record that was appended */
    uint64_t bytes;
    uint64_t fields;
    uint64_t tried_bytes; /* of the record being judged */
    uint64_t tried_fields;
};

struct pending_puts {
    struct pending_place *places; /* PENDING_PLACES of them */
    uint32_t *tried;              /* places that the record being judged uses */
    uint32_t tried_count;
    uint32_t tried_capacity;
};

/* What is pending for one entity. */
struct pending_sum {
    uint64_t bytes;
    uint64_t fields;
    bool is_appended; /* some of it is of appended records: it goes away when they are applied */
};

MUST_CHECK bool pending_puts_init(struct pending_puts *p); /* false: no memory */
void pending_puts_fini(struct pending_puts *p);

/* Another record is being judged: what was tried for the last one and not kept is forgotten. */
void pending_puts_begin(struct pending_puts *p);
struct pending_sum pending_puts_sum(struct pending_puts *p, enum entity_kind kind, struct slice key,
                                    seqno applied);
/* The record has this put. False: no memory. */
MUST_CHECK bool pending_puts_try(struct pending_puts *p, enum entity_kind kind, struct slice key,
                                 struct pending_sum more);
/* The record was appended as s. */
void pending_puts_keep(struct pending_puts *p, seqno s);

#endif
