/* mark_blocks: which blocks a state had at a mark, by their hashes: what a root is made of, kept
 * for the newest marks so that a difference between two nodes can be named. And the look at memory:
 * does a block still have the bytes that it had when it was hashed? No I/O. */
#ifndef TIDEMARK_ENGINE_MARK_BLOCKS_H
#define TIDEMARK_ENGINE_MARK_BLOCKS_H

#include "base/text.h"
#include "core/state/state.h"
#include "format/checkpoint.h"

struct mark_blocks {
    struct position at;
    uint64_t leader_time;
    struct block_entry *blocks; /* malloc'ed; ascending id */
    uint32_t count;
    struct hash256 root;
};

/* Hash what is not hashed yet; any thread that holds the version. False: no memory. */
MUST_CHECK bool mark_blocks_make(const struct state_version *v, struct mark_blocks *out);
void mark_blocks_fini(struct mark_blocks *m); /* zero afterwards */

/* Hash again about bytes_max of the version's blocks, going on at *cursor, and compare with what
 * was known. False: the memory of *out_rotten is not what was written there. */
MUST_CHECK bool mark_blocks_look(const struct state_version *v, uint32_t *cursor,
                                 uint64_t bytes_max, struct block_id *out_rotten);

/* As the bytes of a manifest without epochs and places, for another node. malloc'ed; NULL: no
 * memory, or more blocks than are worth sending. */
#define MARK_BLOCKS_SENT_MAX 65536u
uint8_t *mark_blocks_encode(const struct mark_blocks *m, const struct id128 *cluster,
                            struct stream_id stream, size_t *out_size);
/* The first block in which the two differ; false: none. */
bool mark_blocks_differ(const struct mark_blocks *mine, const struct manifest *theirs,
                        struct block_id *out);
/* "column 1099511627776" */
void mark_blocks_name(struct block_id id, struct text *t);

#endif
