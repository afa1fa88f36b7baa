/* checkpoint_file: manifests and packs on disk: writing a pinned version, loading the newest good
 * one, removing what no kept manifest names. Kept are the two newest manifests and the newest at or
 * below `committed`. Blocks of a version that an older pack holds are named there, but for packs
 * that are emptied (packs.h). Blocks; runs in background jobs and while opening. */
#ifndef TIDEMARK_ENGINE_CHECKPOINT_FILE_H
#define TIDEMARK_ENGINE_CHECKPOINT_FILE_H

#include "core/state/state.h"
#include "env/env.h"
#include "format/checkpoint.h"

/* What a written checkpoint was made of: blocks that did not change are named again instead of
 * being written again. Owned memory; zero is "none". */
struct checkpoint_contents {
    struct block_entry *blocks;
    struct block_place *places;
    uint32_t count;
    seqno at;
    uint64_t bytes; /* of all blocks */
};
void checkpoint_contents_fini(struct checkpoint_contents *c);
/* What a manifest names, in memory of its own. E_NOMEMORY: *out is as before. */
MUST_CHECK enum code checkpoint_contents_copy(const struct manifest *m,
                                              struct checkpoint_contents *out);

struct checkpoint_write {
    struct env *env;
    struct id128 cluster;
    struct stream_id stream;
    uint64_t generation;
    uint64_t log_bytes; /* of all records up to the version's position */
    const struct epoch_entry *epochs;
    uint32_t epoch_count;
    struct state_version *version;
    const struct checkpoint_contents *previous; /* newest kept, or zero */
    uint64_t pack;                              /* id of the pack to write */
    /* Known to be stored by every unlost follower: the newest manifest at or below it is kept, too,
     * whatever is newer. */
    seqno committed;
    /* Packs that others read; these stay, whoever names them. Borrowed. */
    const uint64_t *pinned;
    uint32_t pinned_count;
    bool writes_anew; /* all blocks: old places are not trusted */
};
/* Writing in steps, so that the log's syncs find the disk free in between. *w and what it borrows
 * stay until the end. Pack synced step by step, then the manifest by durable rename; then what is
 * no longer kept is removed. */
struct checkpoint_writing;
/* NULL with *e: no memory. Hashes what was not hashed yet. */
struct checkpoint_writing *checkpoint_begin(const struct checkpoint_write *w, struct err *e);
/* Write and sync blocks of about bytes_max; *out_is_done when the checkpoint is there. After an
 * error only checkpoint_end. */
MUST_CHECK enum code checkpoint_step(struct checkpoint_writing *g, uint64_t bytes_max,
                                     bool *out_is_done, struct err *e);
/* Free; *out (NULL allowed) are the new contents, if it is done, else zero. NULL allowed. */
void checkpoint_end(struct checkpoint_writing *g, struct checkpoint_contents *out);

struct checkpoint_load {
    struct env *env;
    struct id128 cluster;
    struct stream_id stream;
    struct alloc *alloc;
    uint64_t generation; /* of others nothing is loaded */
    seqno at_most;       /* ignore manifests beyond */
};
struct checkpoint_loaded {
    struct state *state; /* NULL: no usable manifest */
    struct position position;
    struct epoch_entry *epochs; /* malloc'ed, given */
    uint32_t epoch_count;
    struct checkpoint_contents contents;
    uint64_t next_pack;
    uint32_t rejected;      /* damaged manifests or packs passed over */
    char rejected_why[200]; /* of the newest rejected one */
};
/* Newest manifest at or below at_most whose blocks all verify, loaded into a fresh state. Damage
 * means the next older one; E_NOMEMORY and E_IO end it. */
MUST_CHECK enum code checkpoint_load_newest(const struct checkpoint_load *l,
                                            struct checkpoint_loaded *out, struct err *e);

#endif
