/* log: the live log of one stream on one node. Owner: the loop thread.
 *
 * It writes chunks (whole batches, padded, one write) and syncs them on the log lane, at most one
 * chunk at a time (depth 1); rolls segments; keeps the newest chunks in memory for shipping; knows
 * where every kept batch is. It never decides what goes into a batch (engine/write on a leader,
 * engine/receiver on a follower) and never reads back what it wrote.
 *
 * Holds always: oldest <= durable + 1; durable <= written; only durable chunks are in the tail.
 * After the first failed write or sync the log is poisoned: every later chunk is answered
 * E_POISONED, nothing is retried.
 */
#ifndef TIDEMARK_ENGINE_LOG_H
#define TIDEMARK_ENGINE_LOG_H

#include "base/error.h"
#include "base/types.h"
#include "env/env.h"
#include "format/batch.h"
#include "format/segment.h"

struct db;
struct log;

/* One batch inside a chunk. */
struct log_batch_ref {
    uint32_t offset; /* of its header in the chunk's data, multiple of 64 */
    uint32_t size;   /* header and payload, without padding */
    struct batch_header header;
    struct position end;
    uint64_t log_bytes_end; /* log bytes (padding included) from record 1 to its end */
};
#define CHUNK_BATCHES_MAX 256u

/* Reference-counted run of whole batches. Made by chunk_new, filled by its maker, immutable once
 * handed to log_write. */
struct log_chunk {
    uint32_t refs; /* loop thread only */
    uint32_t batch_count;
    uint32_t batch_capacity;
    struct log_batch_ref *batches;
    size_t size;     /* bytes used, padding included */
    size_t capacity; /* behind it there is room for a sector of zeros */
    uint8_t *data;   /* 64-aligned */
    size_t room;     /* bytes of the whole allocation */
    struct log_chunk *pool_next;
    struct log_chunk *hash_next;
};
/* Room for `capacity` bytes in up to batch_capacity (<= CHUNK_BATCHES_MAX) batches, one reference.
 * NULL: no memory. */
struct log_chunk *chunk_new(struct log *log, size_t capacity, uint32_t batch_capacity);
/* Append one whole verified batch (header and payload) and its zero padding; false when it does not
 * fit. end: its end position. */
MUST_CHECK bool chunk_add(struct log_chunk *chunk, struct slice batch,
                          const struct batch_header *header, const struct position *end);
void chunk_ref(struct log_chunk *chunk);
void chunk_unref(struct log *log, struct log_chunk *chunk);          /* NULL allowed */
struct slice chunk_batch(const struct log_chunk *chunk, uint32_t i); /* header and payload */

/* Where the log stands. */
struct position log_written(
    const struct log *log); /* end of the newest batch handed to log_write */
struct position log_durable(const struct log *log); /* end of the newest synced batch */
seqno log_oldest(const struct log *log);            /* first record kept */
seqno log_sealed(const struct log *log);            /* end of the newest sealed segment */
uint64_t log_durable_bytes(const struct log *log);  /* log bytes up to durable */
bool log_is_writing(const struct log *log);         /* a chunk is in flight */
bool log_is_poisoned(const struct log *log);
const struct err *log_poison_reason(const struct log *log);
const struct log_identity *log_identity_of(const struct log *log);

/* The highest record that is known to be committed (held by all who count), of those in this log: a
 * promise that outlives the process, in the mark. Only grows. */
seqno log_committed(const struct log *log);
void log_note_committed(struct log *log, seqno committed);

/* Write and sync one chunk; done on the loop with OK (then durable has advanced), E_POISONED or
 * E_DISKFULL. Takes over the caller's reference (the chunk stays valid during done). Must not be
 * called while log_is_writing. The chunk's first batch must extend log_written. */
typedef void (*log_done)(void *arg, struct log_chunk *chunk, enum code code, const struct err *e);
void log_write(struct log *log, struct log_chunk *chunk, log_done done, void *arg);

/* Seal the active segment now (local packaging); done like log_write, chunk NULL. Must not be
 * called while log_is_writing. An active segment without batches is left alone: OK. */
void log_seal(struct log *log, log_done done, void *arg);

/* --- the old end: log_prune.c --- */

uint32_t log_segment_count(const struct log *log);
bool log_has_active(const struct log *log); /* the newest segment is not sealed */
/* First and last record of segment i, oldest first. */
void log_segment_range(const struct log *log, uint32_t i, seqno *out_first, seqno *out_last);
/* Log bytes from the first record of segment i up to durable. */
uint64_t log_segment_bytes_after(const struct log *log, uint32_t i);
/* Before the oldest record; bytes: log bytes up to there. */
struct position log_base(const struct log *log, uint64_t *out_bytes);
/* First record of the oldest segment that a read under way has open; 0: none. */
seqno log_oldest_read(const struct log *log);
/* Forget the oldest `count` segments, all of them sealed: reads of them are refused from now on.
 * Their files stay until they are released. False: no memory, nothing changed. */
MUST_CHECK bool log_prune(struct log *log, uint32_t count);
/* The identity on disk no longer counts on what was pruned until now: its files may go. */
void log_release_pruned(struct log *log);
/* Let released files go, in the background, as far as no read has them open. Call again while
 * log_has_dead_files. */
void log_dispose(struct log *log);
bool log_has_dead_files(const struct log *log);

/* Log bytes (padding included) that come after this seqno up to durable: exact for batch ends in
 * memory, else rounded up to the seek entry before it (never under-reports). */
uint64_t log_bytes_after(const struct log *log, seqno s);

/* The chunk in the memory tail that holds the batch starting at `first`, and which one it is;
 * NULL when it is not in memory (read it cold) or not durable yet. Not referenced for the caller.
 */
struct log_chunk *log_tail_find(const struct log *log, seqno first, uint32_t *out_index);
/* The next chunk of the tail, NULL at the newest durable one. */
struct log_chunk *log_tail_next(const struct log *log, const struct log_chunk *chunk);

/* Read whole batches from the segments on the background lane, starting with the batch that begins
 * at from.seqno + 1, verified against `from`, up to size_max bytes (at least one batch) and never
 * beyond durable. done on the loop; bytes (without padding) and end are valid during done.
 * OK, E_NOT_KEPT (from is older than the log), E_CORRUPT, E_IO, E_DIVERGED (from is not in this
 * log's history). Owner keeps the struct until done. Several may run at once. */
struct log_read {
    struct position from;
    size_t size_max;
    void (*done)(struct log_read *read, enum code code, const struct err *e);
    /* results */
    struct slice bytes;
    struct position end;
    uint32_t batch_count;
    /* private */
    struct env_job job;
    struct log *log;
    uint8_t *buffer;
    size_t buffer_capacity;
    enum code code;
    struct err err;
    uint64_t segment_file_id;
    uint64_t segment_offset;
    uint64_t segment_limit;
    struct log_read *next_running;
};
void log_read_start(struct log *log, struct log_read *read);
/* The same, blocking and without done; only while opening. free(read->buffer) afterwards. */
MUST_CHECK enum code log_read_now(struct log *log, struct log_read *read, struct err *e);

/* Does this position lie in this log's history (a batch end with this chain)? Looks in memory
 * first, else reads on the background lane. done on the loop: OK, E_DIVERGED (same seqno, other
 * chain or no batch end), E_NOT_KEPT (older than the log, cannot be judged), E_GAP (beyond
 * durable), E_IO. */
struct log_prove {
    struct position position;
    void (*done)(struct log_prove *prove, enum code code, const struct err *e);
    struct log_read read; /* private */
    struct log *log;
};
void log_prove_start(struct log *log, struct log_prove *prove);

#endif
