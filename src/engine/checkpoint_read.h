/* checkpoint_read: manifests and blocks from the disk: a whole manifest with what it names, and
 * single blocks of its packs, each verified by its hash. Used while opening, by what serves blocks
 * to other nodes and by what copies them from there. Blocks; background jobs and opening. */
#ifndef TIDEMARK_ENGINE_CHECKPOINT_READ_H
#define TIDEMARK_ENGINE_CHECKPOINT_READ_H

#include "env/env.h"
#include "format/checkpoint.h"

#define MANIFEST_SIZE_MAX (512 * MIB)
#define STATE_PATH_SIZE   (CHECKPOINT_NAME_SIZE + 8)
/* "state/<name>" */
void state_path(const char *name, char out[STATE_PATH_SIZE]);

/* Whose files these are. */
struct state_files {
    struct env *env;
    struct id128 cluster;
    struct stream_id stream;
};

/* A manifest in memory. Zero is "none"; end it with manifest_file_fini. */
struct manifest_file {
    struct manifest manifest; /* its arrays lie in `memory` */
    uint8_t *bytes;           /* as in the file */
    size_t size;
    void *memory[4];
    size_t memory_count;
};
/* Decode bytes that were malloc'ed; they are taken over, also after an error. E_CORRUPT, E_FORMAT,
 * E_WRONG_CLUSTER, E_NOMEMORY; name is for the sentence. *out is ended by the caller in any case.
 */
MUST_CHECK enum code manifest_file_take(const struct state_files *files, const char *name,
                                        uint8_t *bytes, size_t size, struct manifest_file *out,
                                        struct err *e);
/* Read state/<name>. *out is ended by the caller in any case. */
MUST_CHECK enum code manifest_file_read(const struct state_files *files, const char *name,
                                        struct manifest_file *out, struct err *e);
void manifest_file_fini(struct manifest_file *m);

/* Blocks of packs, one pack open at a time. */
struct pack_reader {
    const struct state_files *files; /* borrowed */
    struct env_file *file;
    uint64_t pack;
};
/* out has entry->size bytes. E_CORRUPT names block, pack and offset. */
MUST_CHECK enum code pack_read_block(struct pack_reader *r, const struct block_entry *entry,
                                     const struct block_place *place, uint8_t *out, struct err *e);
void pack_reader_fini(struct pack_reader *r);

#endif
