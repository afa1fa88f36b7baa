/* log_open: making a live log from what recovery found, and the blocking write that opening needs.
 */
#ifndef TIDEMARK_ENGINE_LOG_OPEN_H
#define TIDEMARK_ENGINE_LOG_OPEN_H

#include "engine/config.h"
#include "engine/log.h"

/* One segment file in memory. */
struct log_segment {
    uint64_t file_id;
    seqno first;
    seqno last;            /* first - 1 while it holds no batch */
    struct position start; /* before its first batch */
    struct position end;   /* of its last batch */
    uint64_t data_end;     /* file offset after the last padded batch */
    uint64_t size_limit;
    uint64_t bytes_before; /* log bytes (padding included) before it, from record 1 on */
    uint64_t batch_count;
    uint64_t payload_bytes;
    bool is_sealed;
    struct seek_entry *seeks; /* malloc'ed, owned by the log */
    uint32_t seek_count;
    uint32_t seek_capacity;
    uint64_t records_since_seek;
};

struct log_hooks {
    void *owner;
    /* A segment file was opened for writing: register it lazily. */
    void (*segment_opened)(void *owner, uint64_t first_file_id, uint64_t last_file_id);
    /* One sync of the log took this long, for this many records. */
    void (*synced)(void *owner, uint64_t sync_ns, uint64_t records, uint64_t bytes);
};

/* A log without segments that continues at `base`, base_bytes of log after the very first record.
 * NULL: no memory. env, hooks borrowed. */
struct log *log_new(struct env *env, const struct log_identity *id, const struct config *config,
                    const struct log_hooks *hooks, const struct position *base,
                    uint64_t base_bytes);
/* Add a sealed segment found by recovery; it must continue the log. Takes over segment->seeks. */
MUST_CHECK enum code log_add_sealed(struct log *log, const struct log_segment *segment,
                                    struct err *e);
/* Where a new life of the log goes on. */
struct log_continue {
    uint64_t next_file_id; /* ids at or above this are free */
    uint64_t mark_version; /* the mark continues after this version ... */
    uint64_t generation;   /* ... and speaks of this generation */
};
MUST_CHECK enum code log_start(struct log *log, const struct log_continue *from, struct err *e);
/* Segment i, oldest first, of a log whose segments are all sealed; owned by the log. */
const struct log_segment *log_segment_at(const struct log *log, uint32_t i);
/* An id that no file has; the next call gives another one. */
uint64_t log_free_file_id(struct log *log);
/* Both slots of the mark say that nothing beyond `to` was acknowledged, synced one after the other:
 * before records beyond it are given up. Blocks; only while opening. */
MUST_CHECK enum code log_lower_mark(struct log *log, const struct position *to, struct err *e);
/* log_write, but blocking: only while opening. Takes over the reference. */
MUST_CHECK enum code log_write_now(struct log *log, struct log_chunk *chunk, struct err *e);
/* Make the segment that the first write of this opening goes into, its space written with zeros:
 * small, so that opening stays quick. Blocks; only while opening. */
MUST_CHECK enum code log_make_first_spare(struct log *log, struct err *e);
/* Begin keeping a spare segment in the background. */
void log_start_spare(struct log *log);
/* Little space is left: no spare is begun and no file of a pruned segment is kept. */
void log_set_short(struct log *log, bool is_short);
/* Stop starting background work; what runs finishes. */
void log_stop(struct log *log);
bool log_is_quiet(const struct log *log); /* no job of the log is running */
/* Free; close files without syncing. No job may run afterwards. NULL allowed. */
void log_free(struct log *log);

/* Note a batch in the seek index while scanning or writing. false: no memory. */
MUST_CHECK bool log_segment_note_batch(struct log_segment *segment,
                                       const struct batch_header *header, uint64_t offset,
                                       const struct position *end);
/* "log/<name>" */
#define LOG_PATH_SIZE 40
void log_path(uint64_t file_id, char out[LOG_PATH_SIZE]);

/* Figures for status and metrics. */
struct log_figures {
    uint64_t bytes;
    uint32_t segments;
    uint64_t tail_bytes;
    uint64_t pool_bytes;    /* of free chunks */
    uint64_t recycled;      /* segments begun in a file that was used before, since open */
    uint64_t first_file_id; /* lowest and highest of the segments */
    uint64_t last_file_id;
};
void log_figures(const struct log *log, struct log_figures *out);

#endif
