/* truncate_files: what a truncation does to segments and to quarantine/. Only while opening, on a
 * log that recovery just made: all its segments are sealed. Blocks. */
#ifndef TIDEMARK_ENGINE_TRUNCATE_FILES_H
#define TIDEMARK_ENGINE_TRUNCATE_FILES_H

#include "engine/log_open.h"

struct cut {
    struct env *env;
    struct log *log;
    struct position fork;
    /* results of cut_look */
    bool has_clients;        /* the tail holds something that is worth keeping */
    uint64_t client_records; /* how many; as far as the tail verifies */
};

/* Read the tail. E_DIVERGED: the fork is not in this log; E_NOMEMORY, E_IO. */
MUST_CHECK enum code cut_look(struct cut *c, struct err *e);
/* Copy the tail of the segment that holds the fork to quarantine/, as a segment of its own. */
MUST_CHECK enum code cut_copy_tail(struct cut *c, struct err *e);
/* Move the segments behind the fork to quarantine/ (remove them, when they hold nothing of
 * clients), newest first, then write the one with the fork again without its tail. */
MUST_CHECK enum code cut_segments(struct cut *c, struct err *e);

#endif
