/* log_internal: the parts of the live log that its own files share (log, log_write, log_hash,
 * log_spare, log_tail, log_read). Nobody else includes this. */
#ifndef TIDEMARK_ENGINE_LOG_INTERNAL_H
#define TIDEMARK_ENGINE_LOG_INTERNAL_H

#include <stdatomic.h>

#include "base/hash.h"
#include "engine/log.h"
#include "engine/log_open.h"
#include "format/identity.h"

/* Hashes of a segment's 64 KiB pieces, fed with its bytes in order. */
struct piece_hasher {
    struct hasher hasher;
    size_t filled; /* bytes of the current piece */
    struct hash256 *pieces;
    uint32_t count;
    uint32_t capacity;
    bool is_failed; /* no memory: until reset */
};
void piece_hasher_reset(struct piece_hasher *p);
void piece_hasher_fini(struct piece_hasher *p);
MUST_CHECK bool piece_hasher_feed(struct piece_hasher *p, struct slice bytes);
MUST_CHECK bool piece_hasher_finish(struct piece_hasher *p); /* the last, short piece */

/* Written and not yet hashed, oldest first, linked through hash_next; a reference each. */
struct hash_list {
    struct log_chunk *first;
    struct log_chunk *last;
    uint64_t bytes;
};

struct log_hash {
    struct hash_list waiting;
    struct hash_list list; /* of the background job ... */
    _Atomic bool is_taken; /* ... for whoever sets this first: the job, or the loop at a seal */
    bool is_submitted;     /* the job is with the env */
    bool is_revoked;       /* ... but a seal has taken its list */
    bool is_awaited;       /* a prepared log job goes to its lane when it is done */
    struct env_job job;
};

/* A file made in the background and filled with zeros, so that a commit into it needs no metadata.
 */
enum spare_state { SPARE_NONE, SPARE_STEP_RUNNING, SPARE_WAITING };
struct spare {
    struct env_file *file;
    uint64_t file_id;
    uint64_t zeroed;
    uint64_t target;
    enum spare_state state;
    struct env_job job;
    struct env_timer timer;
    enum code code;
    uint64_t log_bytes_at_step; /* durable_bytes when the last step started */
};

enum log_job_kind { LOG_JOB_WRITE, LOG_JOB_SEAL };

/* What the log lane does next, prepared on the loop. */
struct log_job {
    struct env_job job;
    struct log *log;
    enum log_job_kind kind;
    bool seals_active; /* footer, cut, sync, close the active file first */
    /* A copy, because the table moves when the loop prunes; its seek entries stay where they are.
     */
    struct log_segment sealing;
    struct hash_list unhashed; /* of the segment that is sealed */
    bool opens_segment;        /* then a new file (or the spare) with a header */
    struct segment_header header;
    struct env_file *spare_file; /* given by the spare; NULL: create */
    bool is_recycled;            /* ... or open the recycled file of this id */
    struct log_chunk *chunk;
    uint64_t offset; /* of the chunk in the file */
    size_t pad_size; /* zeros behind it, up to a sector's end */
    struct position end;
    uint8_t mark_slot[MARK_SLOT_SIZE];
    uint64_t mark_offset;
    log_done done;
    void *arg;
    enum code code;
    struct err err;
};

/* Files of pruned segments on their way out: the first ones become spares, the rest is removed. */
#define DISPOSE_FILES_MAX 32u
#define RECYCLED_MAX      8u    /* spares kept */
#define RECYCLED_ALIGN    4096u /* their limit is a multiple of this */
struct dispose {
    struct env_job job;
    bool is_running;
    uint32_t count;
    uint64_t file_ids[DISPOSE_FILES_MAX];
    uint32_t recycle_count; /* so many of them, under these new ids; 0 where it failed */
    uint64_t new_ids[RECYCLED_MAX];
};

struct log {
    struct env *env;
    struct log_identity id;
    struct log_hooks hooks;
    uint64_t segment_size;
    uint64_t segment_size_first;
    uint64_t tail_bytes_max;

    struct log_segment *segments; /* ascending; the last may be active */
    uint32_t segment_count;
    uint32_t segment_capacity;
    bool has_active;
    struct position base; /* before the oldest record ... */
    uint64_t base_bytes;  /* ... and log bytes up to there */
    struct position written;
    struct position durable;
    uint64_t durable_bytes;
    seqno committed;
    uint64_t next_file_id;
    bool is_closing;
    bool keeps_spare;
    bool is_short; /* of space: no file is made or kept ahead */

    /* Of the active segment; the log lane's while a job is in flight, but for the hasher: see
     * log_hash.c. */
    struct env_file *active_file;
    bool is_active_recycled; /* it holds old bytes behind the new ones, and a map of them */
    struct piece_hasher pieces;
    struct log_hash hash;

    struct env_file *mark_file;
    uint64_t mark_version;
    uint64_t generation; /* that marks speak of */

    bool is_writing;
    struct log_job job;
    bool is_poisoned;
    struct err poison;

    struct spare spare;

    struct log_chunk **tail; /* circular, oldest first */
    uint32_t tail_head;
    uint32_t tail_count;
    uint32_t tail_capacity; /* power of two */
    uint64_t tail_bytes;
    struct log_read *reads; /* under way */

    uint64_t *dead; /* files of pruned segments, in the order in which they were pruned */
    uint32_t dead_count;
    uint32_t dead_released; /* of them, from the first on: identity no longer counts on these */
    struct dispose dispose;
    uint64_t recycled[RECYCLED_MAX]; /* files that are spares with old bytes */
    uint32_t recycled_count;
    uint64_t recycled_used; /* since open */

    struct log_chunk *pool[16]; /* free chunks by size class, linked through `pool_next` */
    uint64_t pool_bytes;

    /* figures for metrics */
    uint64_t sync_count;
    uint64_t sync_ns_total;
    uint64_t last_sync_ns;
};

/* log_write: hand the prepared job to the log lane, now or when the hasher is free. */
void log_submit_job(struct log *log);

/* log_hash */
/* A chunk of the active segment became durable. Takes a reference. */
void log_hash_add(struct log *log, struct log_chunk *chunk);
/* All that is not hashed, for the log lane, which owns the hasher from now on. False: the
 * background job has it; log_submit_job is called when it is done. */
MUST_CHECK bool log_hash_collect(struct log *log, struct hash_list *out);
bool hash_list_feed(struct piece_hasher *p, const struct hash_list *list);
void hash_list_free(struct log *log, struct hash_list *list); /* gives the references back */
void log_hash_free(struct log *log);

/* log_tail */
void tail_add(struct log *log, struct log_chunk *chunk);
void tail_free(struct log *log);
/* The batch in memory that contains record s, NULL when none does. */
const struct log_batch_ref *tail_batch_of(const struct log *log, seqno s);
void pool_free(struct log *log);

/* log_recycle: on the background lane. False: the file is as good as gone; remove it. */
bool log_recycle_file(struct log *log, uint64_t file_id, uint64_t new_id);

/* log_spare */
void spare_start(struct log *log);
/* Hand over the spare if one is at hand (not in a step): its file, id and size; NULL else. */
struct env_file *spare_take(struct log *log, uint64_t *out_file_id, uint64_t *out_size);
/* A recycled file, if there is one and the chunk fits into it. */
bool recycled_take(struct log *log, uint64_t chunk_size, uint64_t *out_file_id, uint64_t *out_size);
void spare_stop(struct log *log); /* timers and files; no I/O running afterwards matters */

/* The segment that holds record s (s between oldest and durable), NULL when none. */
const struct log_segment *log_segment_of(const struct log *log, seqno s);
/* Size limit of the segment that would be opened next. */
uint64_t log_next_size_limit(const struct log *log);

/* Encode the next mark; returns the offset of its slot in the file. */
uint64_t log_next_mark(struct log *log, const struct position *durable, uint64_t file_id,
                       uint8_t out[MARK_SLOT_SIZE]);
/* Carry out a prepared job's I/O; blocks. */
void log_job_run(struct log_job *job);

#endif
