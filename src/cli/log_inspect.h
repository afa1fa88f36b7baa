/* log_inspect: shows what is in a data directory's log: segments, and on request batches and
 * records. It shows what it can read and says where that ends; whether the rest is damage is
 * log_verify's question.
 */
#ifndef TIDEMARK_CLI_LOG_INSPECT_H
#define TIDEMARK_CLI_LOG_INSPECT_H

#include "cli/log_dir.h"

struct log_inspect_options {
    const char *verb;
    bool wants_records;
    bool wants_json; /* one object per line */
    seqno from;
    uint64_t count; /* records to show; UINT64_MAX: all */
};

/* Prints to stdout; returns enum cli_exit. */
int log_inspect(const struct log_dir *dir, const struct log_inspect_options *options);

#endif
