/* quarantine: the files that this node put aside because they are no part of its log any more:
 * tails that another history replaced (.seg, segments like any other) and torn tails (.torn, bytes
 * as they were found). They are written only while opening (reseal, truncate_files), so the list is
 * made at the end of that and stays true until an operator removes a file. Blocks; before the loop
 * runs, or on its thread while data is opened anew. Test: unit.engine.quarantine. */
#ifndef TIDEMARK_ENGINE_QUARANTINE_H
#define TIDEMARK_ENGINE_QUARANTINE_H

#include "env/env.h"

#define QUARANTINE_PATH_SIZE 96
#define QUARANTINE_LISTED    16u /* the newest ones; all are counted */

struct quarantined {
    char name[64]; /* in quarantine/ */
    uint64_t size;
    bool is_torn;
    /* 0: not known. Of a torn tail only `first`, and not of a whole file that had no header. */
    uint64_t first; /* its first record ... */
    uint64_t last;  /* ... and its last one */
    uint64_t epoch; /* of the last one */
};

struct quarantine_list {
    uint64_t file_count;
    uint64_t bytes;
    uint32_t count;
    struct quarantined files[QUARANTINE_LISTED]; /* oldest first */
};

/* "quarantine/<first record>-<file>.<ending>": where a file goes. first 0: not known. */
void quarantine_path(uint64_t first, uint64_t file_id, const char *ending,
                     char out[QUARANTINE_PATH_SIZE]);
/* Remove the oldest files until at most budget bytes are there; the newest file stays.
 * *out_removed: how many. */
MUST_CHECK enum code quarantine_trim(struct env *env, uint64_t budget, uint32_t *out_removed,
                                     struct err *e);
/* What is there. A file that cannot be read is listed by its name and size. */
MUST_CHECK enum code quarantine_read(struct env *env, struct quarantine_list *out, struct err *e);

#endif
