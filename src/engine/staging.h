/* staging: what a node has copied from another one until now, on its disk: the file staging/blocks.
 * It is a pack whose blocks have heads in front, so that after a crash it is its own index: what
 * is whole on the disk and verifies is kept, the rest is cut off. When everything is there it moves
 * to state/ as a pack, and a manifest of the next generation names it (engine/generation goes on
 * from there).
 *
 * Blocks; for background jobs, one at a time but for syncs. Owner: engine/bootstrap_join. */
#ifndef TIDEMARK_ENGINE_STAGING_H
#define TIDEMARK_ENGINE_STAGING_H

#include "engine/checkpoint_read.h"

/* A place in this pack is one in the staged file. */
#define STAGED_PACK UINT64_MAX

struct staging {
    const struct state_files *files; /* borrowed */
    struct env_file *file;           /* NULL: closed */
    uint64_t end;                    /* behind the last whole block */
    uint64_t unsynced;               /* bytes written since the owner made it 0 */
};

/* Open or make the file, and tell every whole block in it. The rest is cut off. */
MUST_CHECK enum code staging_open(struct staging *s, const struct state_files *files,
                                  void (*found)(void *context, const struct hash256 *hash,
                                                uint32_t size, uint64_t offset),
                                  void *context, struct err *e);
/* Write blocks that were verified, each with its head in front (BLOCK_HEAD_SIZE) and filled up to
 * PACK_ALIGN; *out_offset is the place of the first head. Durable after a sync, at staging_finish
 * at the latest. */
MUST_CHECK enum code staging_add(struct staging *s, struct slice blocks, uint64_t *out_offset,
                                 struct err *e);
/* May run beside staging_add on another thread. */
MUST_CHECK enum code staging_sync(const struct staging *s, struct err *e);
/* Everything that m names is there: the file becomes the pack of this id, then the manifest is
 * made durable. Places in STAGED_PACK become places of it. */
MUST_CHECK enum code staging_finish(struct staging *s, const struct manifest *m, uint64_t pack,
                                    struct err *e);
void staging_close(struct staging *s); /* the file stays */
/* Nothing is copied any more. Failures are harmless. */
void staging_remove(struct env *env);

#endif
