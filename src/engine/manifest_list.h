/* manifest_list: where the state of this node could be loaded from: the positions of the manifests
 * that are kept. A follower shows them in its hello; a truncation drops those beyond the fork.
 * Reads and removes files: blocks; while opening and in background jobs. */
#ifndef TIDEMARK_ENGINE_MANIFEST_LIST_H
#define TIDEMARK_ENGINE_MANIFEST_LIST_H

#include "engine/checkpoint_read.h"
#include "format/wire.h"

/* The newest ones, ascending. */
struct manifest_list {
    uint32_t count;
    struct position at[WIRE_MANIFESTS_MAX];
};

/* Those of this generation that can be read; damaged ones are left out. E_IO, E_NOMEMORY. */
MUST_CHECK enum code manifest_list_read(const struct state_files *files, uint64_t generation,
                                        struct manifest_list *out, struct err *e);
/* Those behind which a log that begins at `oldest` and ends at `last` holds everything. */
struct manifest_list manifest_list_usable(const struct manifest_list *list, seqno oldest,
                                          seqno last);
/* Remove manifests beyond `last`, durably. Their packs go with the next checkpoint. */
MUST_CHECK enum code manifest_list_drop_beyond(struct env *env, seqno last, struct err *e);

#endif
