/* recover_internal: what the files of recovery share: recover_files (which files there are, and
 * what becomes of those that are no segments) and recover (what is in the segments). Nobody else
 * includes this. */
#ifndef TIDEMARK_ENGINE_RECOVER_INTERNAL_H
#define TIDEMARK_ENGINE_RECOVER_INTERNAL_H

#include "engine/recover.h"
#include "format/stale.h"

/* A segment: a file with a good header of its own. */
struct found {
    struct segment_header header;
    uint64_t file_id;
    uint64_t file_size;     /* without the map of old bytes, if there is one */
    struct stale_map stale; /* of a recycled file */
    uint8_t *stale_bytes;   /* malloc'ed: what the map points into */
    bool is_sealed;         /* ends with a trailer */
};

/* A file that has the name of a segment and not its header. A spare holds nothing but zeros, or
 * only what its map says is old. The
 * rest is a segment whose first sync never returned, or one whose header is damaged: what was
 * acknowledged decides, and only when everything else was found good is it moved out of the way. */
struct headless {
    uint64_t file_id;
    uint64_t file_size;
    uint64_t content_size; /* up to the last byte neither zero nor old; 0: a spare */
};

struct recovery {
    struct env *env;
    const struct identity *identity;
    struct log_identity id;
    struct log *log;
    struct recovery_report *report;
    struct found *found;
    size_t found_count;
    struct headless *headless;
    size_t headless_count;
    uint64_t file_id_max;    /* of any file: ids above are free */
    uint64_t segment_id_max; /* of files that are or were segments */
    bool has_mark;
    struct mark mark;
    uint8_t *window;
    size_t window_size;
};

/* List log/: fills found (by first record; equal ones together) and headless. Changes nothing on
 * the disk. */
MUST_CHECK enum code recover_list(struct recovery *r, struct err *e);
void recover_free_files(struct recovery *r);
/* After the segments were taken up to log_durable: E_ROTTEN when a headless file holds, or must
 * have held, records that were acknowledged. */
MUST_CHECK enum code recover_judge_headless(struct recovery *r, struct err *e);
/* The records from `next` on are in no segment, but later ones are: E_ROTTEN names the headless
 * file that holds them; OK when none does. */
MUST_CHECK enum code recover_blame_headless(struct recovery *r, struct err *e);
/* Everything is good: unlink spares, move the other headless files to quarantine/. */
MUST_CHECK enum code recover_clear_headless(struct recovery *r, struct err *e);

/* E_ROTTEN in the words that name file, offset, record and what to do. */
enum code recover_rotten(const struct recovery *r, uint64_t file_id, uint64_t offset, seqno first,
                         const char *why, struct err *e);

#endif
