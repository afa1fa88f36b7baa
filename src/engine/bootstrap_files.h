/* bootstrap_files: what a joiner does to its disk: look which blocks of the target are there
 * already, verify and write those that arrive, finish the copy. One background job at a time, and
 * beside it a sync of what was written before, so that the link never waits for the disk's slowest
 * call; what arrives meanwhile is gathered in memory, no more than the joiner's window. Owner: the
 * loop thread (engine/bootstrap_join); fields marked so belong to the job while one runs. */
#ifndef TIDEMARK_ENGINE_BOOTSTRAP_FILES_H
#define TIDEMARK_ENGINE_BOOTSTRAP_FILES_H

#include <stdatomic.h>

#include "core/bootstrap.h"
#include "engine/db.h"
#include "engine/staging.h"

enum bootstrap_work { BOOTSTRAP_WORK_LOOK, BOOTSTRAP_WORK_WRITE, BOOTSTRAP_WORK_FINISH };

/* A block that arrived for want `index`; its bytes lie at `offset` of a buffer, with room for a
 * head in front, as they are written. */
struct bootstrap_arrival {
    uint32_t index;
    size_t offset;
    size_t size;
    bool is_good; /* it was what its hash says, and is written */
};
struct bootstrap_arrivals {
    uint8_t *bytes;
    size_t size;
    size_t capacity;
    uint32_t count;
    struct bootstrap_arrival items[BOOTSTRAP_WINDOW_BLOCKS];
};

/* A block in the staged file. */
struct staged_block {
    struct hash256 hash;
    uint32_t size;
    uint64_t offset;
};

struct hash_index;

struct bootstrap_files {
    struct db *db;
    void (*done)(void *owner, enum bootstrap_work work, enum code code, const struct err *e);
    void *owner;
    struct state_files files;
    uint64_t generation; /* the node's now */
    struct env_timer timer;
    /* a manifest on its way */
    uint8_t *bytes;
    size_t bytes_size;
    /* the target; the job's */
    struct manifest_file target;
    struct bootstrap_want *wants;
    uint32_t want_count;
    struct block_place *places; /* by want */
    uint32_t *want_of;          /* by block of the target */
    struct hash_index *by_hash; /* wants, ascending by hash */
    struct staging staging;
    bool is_staging_open;
    struct staged_block *staged;
    uint32_t staged_count;
    uint32_t staged_capacity;
    /* blocks */
    struct bootstrap_arrivals incoming;
    struct bootstrap_arrivals writing;       /* the job's */
    const struct bootstrap_arrival *written; /* after a write: what became of them */
    uint32_t written_count;
    /* the job */
    struct env_job job;
    enum bootstrap_work work;
    bool is_running;
    bool is_look_wanted;
    uint64_t pack; /* id of the new pack */
    _Atomic bool is_stopping;
    enum code code;
    struct err err;
    /* the sync beside it */
    struct env_job sync_job;
    bool is_syncing;
    bool is_finish_wanted;   /* it waits for the sync */
    bool is_failure_to_tell; /* it waits for the sync, too */
    enum code sync_code;
    struct err sync_err;
};

void bootstrap_files_init(struct bootstrap_files *f, struct db *db,
                          void (*done)(void *owner, enum bootstrap_work work, enum code code,
                                       const struct err *e),
                          void *owner);
void bootstrap_files_fini(struct bootstrap_files *f);
void bootstrap_files_stop(struct bootstrap_files *f); /* a job that runs ends soon */
bool bootstrap_files_are_quiet(const struct bootstrap_files *f);

/* Bytes of the manifest at offset, of total. False: no memory. */
MUST_CHECK bool bootstrap_files_add_piece(struct bootstrap_files *f, uint64_t offset,
                                          struct slice bytes, uint64_t total);
/* The manifest is whole: verify it and look; then wants and want_count stand. */
void bootstrap_files_look(struct bootstrap_files *f);
/* Index of the want with this hash. Only after a look. */
bool bootstrap_files_find(const struct bootstrap_files *f, const struct hash256 *hash,
                          uint32_t *out_index);
/* Gather a block that arrived. False: no memory, or more than was asked for. */
MUST_CHECK bool bootstrap_files_add_block(struct bootstrap_files *f, uint32_t index,
                                          struct slice bytes);
/* Verify and write what was gathered, unless a job runs; then `written` says what became of it. */
void bootstrap_files_write(struct bootstrap_files *f);
void bootstrap_files_finish(struct bootstrap_files *f);

#endif
