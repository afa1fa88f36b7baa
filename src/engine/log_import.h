/* log_import: objects of a log into a data directory that follows. */
#ifndef TIDEMARK_ENGINE_LOG_IMPORT_H
#define TIDEMARK_ENGINE_LOG_IMPORT_H

#include "base/error.h"
#include "tidemark.h"

/* See tide_log_import. Blocks. */
MUST_CHECK enum code log_import(const char *dir, const char *from, const char *node_id,
                                struct tide_log_report *out, struct err *e);

#endif
