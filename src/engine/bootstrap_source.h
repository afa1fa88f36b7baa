/* bootstrap_source: a manifest that others copy from: its bytes, its blocks by hash, and the packs
 * that it pins as long as anybody copies. All links that copy from one mark share one. Owner: the
 * loop thread; its arrays do not change once it is ready, so jobs that hold it may read them. */
#ifndef TIDEMARK_ENGINE_BOOTSTRAP_SOURCE_H
#define TIDEMARK_ENGINE_BOOTSTRAP_SOURCE_H

#include "engine/checkpoint_read.h"
#include "engine/db.h"

struct bootstrap_source {
    struct bootstrap_source *next; /* in db's list */
    struct db *db;
    uint32_t refs;
    seqno at;
    uint64_t generation;
    bool is_ready; /* else it is being read */
    bool is_bad;   /* it cannot be read */
    struct state_files files;
    struct manifest_file m;
    uint32_t *by_hash; /* indexes of its blocks, ascending by hash */
    uint64_t bytes;    /* of all blocks */
    uint64_t *packs;   /* pinned */
    uint32_t pack_count;
    struct env_job job;
    enum code code;
    struct err err;
};

/* The newest manifest of this node as a source, one reference; ready now, or soon: then
 * bootstrap_serve_poll is told. NULL: there is none that is good enough, and a checkpoint was asked
 * for if this node can cut one; or there is no memory. */
struct bootstrap_source *bootstrap_source_take(struct db *db);
void bootstrap_source_release(struct bootstrap_source *s); /* NULL allowed */
/* Index of a block with these bytes; false: it names none. */
bool bootstrap_source_find(const struct bootstrap_source *s, const struct hash256 *hash,
                           uint32_t *out_index);
/* Is there a manifest that one could copy from right now, without a new checkpoint? *out_at, and
 * bytes of its blocks. */
bool bootstrap_source_is_there(const struct db *db, seqno *out_at, uint64_t *out_bytes);
/* Is a newer checkpoint the better base of a copy than this one, of so many bytes: is the log
 * behind it nearly longer than a copy is worth, or than the slot of one that copies may hold? */
bool bootstrap_source_is_far(const struct db *db, seqno at, uint64_t state_bytes);
/* Is there nothing newer or better to copy from? */
bool bootstrap_source_is_newest(const struct bootstrap_source *s);
/* Packs that sources pin, malloc'ed; NULL with *out_count 0: none. False: no memory. */
MUST_CHECK bool bootstrap_pins(const struct db *db, uint64_t **out, uint32_t *out_count);
/* No job of a source runs. */
bool bootstrap_sources_are_quiet(const struct db *db);
/* Free all, whoever holds them: the life of the data ends. */
void bootstrap_sources_free(struct db *db);

#endif
