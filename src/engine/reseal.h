/* reseal: scanning an unsealed segment past the page cache, moving a torn tail into quarantine/,
 * and writing the valid part into a new, sealed segment. Used by recovery only; blocks.
 *
 * Why rewrite: after a failed sync the page cache can show bytes that are not on disk. The scan
 * reads the disk; the copy makes the two agree again. Cost: at most one segment. */
#ifndef TIDEMARK_ENGINE_RESEAL_H
#define TIDEMARK_ENGINE_RESEAL_H

#include "engine/log_open.h"
#include "engine/recover.h"
#include "format/reader.h"
#include "format/stale.h"

struct scan {
    /* given */
    struct env *env;
    struct log_identity id;
    struct segment_header header;
    uint64_t file_size;
    const struct stale_map *stale; /* NULL: the file was not used before */
    uint8_t *window;
    size_t window_size;
    seqno last; /* stop behind this record; 0: go on to the end */
    /* results */
    struct env_file *file;
    struct log_segment segment; /* as if it ended at its last good batch */
    enum reader_stop stop;      /* why the scan stopped */
};

/* Read batches from start on until one does not verify. OK also when none does. */
MUST_CHECK enum code scan_unsealed(struct scan *s, const struct position *start, struct err *e);
void scan_fini(struct scan *s);
/* The same on a file that is open, from the batch at this offset on: segment describes what was
 * read as a file of its own. */
MUST_CHECK enum code scan_batches(struct scan *s, const struct position *start, uint64_t offset,
                                  struct err *e);
/* reader_source over the scanned file. */
enum code scan_source(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                      struct err *e);
/* What follows the last good batch; see core/recover.h. */
struct scan_damage {
    bool is_zero;            /* only zeros */
    bool has_missing_sector; /* a whole 512-byte sector of the damage is zero */
    bool is_cut_short;       /* the damage ends in zeros, or the file ends in it */
};
MUST_CHECK enum code scan_after(struct scan *s, struct scan_damage *out, struct err *e);
/* Copy the bytes after the last good batch (up to the last that is not zero) to quarantine/,
 * synced. */
MUST_CHECK enum code quarantine_tail(struct scan *s, struct recovery_report *report, struct err *e);
/* Move a whole file to quarantine/. */
MUST_CHECK enum code quarantine_file(struct env *env, const char *path, uint64_t file_id,
                                     struct err *e);
/* Write header, the batches of segment, which begin at this offset of the scanned file, and a
 * footer into a new file, synced. The caller syncs the directory. */
MUST_CHECK enum code scan_write_sealed(struct scan *s, uint64_t offset, const char *path,
                                       struct err *e);
/* Write header, good batches and footer into log/<file_id>, sync, then unlink the scanned file. A
 * segment without a good batch is only unlinked. Sets segment.file_id. */
MUST_CHECK enum code reseal(struct scan *s, uint64_t file_id, struct err *e);

#endif
