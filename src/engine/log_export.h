/* log_export: what is durable in a data directory's log, as objects in another directory. */
#ifndef TIDEMARK_ENGINE_LOG_EXPORT_H
#define TIDEMARK_ENGINE_LOG_EXPORT_H

#include "env/env.h"

struct log_export_report {
    uint64_t objects; /* written now */
    uint64_t records;
    uint64_t bytes;
    struct position end; /* of all objects */
};

/* Write objects from where those in `to` end. Blocks; nothing in `from` is changed. What was
 * written stays when it fails half-way; the next call goes on. E_NOTFOUND (no log), E_NOT_KEPT (the
 * log begins after the objects end), E_DIVERGED, E_WRONG_CLUSTER, E_ROTTEN, E_CORRUPT, E_IO ... */
MUST_CHECK enum code log_export(struct env *from, struct env *to, struct log_export_report *report,
                                struct err *e);

#endif
