/* recover: from the files in log/ to a live log: reads footers, scans what was never sealed past
 * the page cache, tells torn from rotten (core/recover decides), puts a torn tail into quarantine/,
 * rewrites the valid part of an unsealed segment into a new sealed one, and hands over a log that
 * continues there. Every step can be cut by a crash and is done again at the next open. Blocks. */
#ifndef TIDEMARK_ENGINE_RECOVER_H
#define TIDEMARK_ENGINE_RECOVER_H

#include "engine/config.h"
#include "engine/log_open.h"
#include "format/identity.h"

struct recovery_report {
    uint64_t discarded_bytes; /* torn tail, now in quarantine/ */
    seqno discarded_after;    /* the last record kept before it */
    uint32_t segments_resealed;
    bool had_mark;
};

/* All borrowed. */
struct recovery_input {
    struct env *env;
    const struct config *config;
    const struct identity *identity;
    const struct log_hooks *hooks;
};

/* What is left to do about damage that nothing here can mend: a whole node has the records. */
#define RECOVER_REMEDY \
    "keep this directory, and start from an empty one that follows a node which is well"

/* E_ROTTEN names file, offset and seqnos and says what to do; E_CORRUPT, E_FORMAT, E_WRONG_CLUSTER,
 * E_IO. The caller holds the directory lock. */
MUST_CHECK enum code recover_log(const struct recovery_input *input, struct log **out,
                                 struct recovery_report *report, struct err *e);

#endif
