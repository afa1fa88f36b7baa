/* trace: a ring of the last things an owner did, in memory, for a post-mortem and for the
 * simulator's trace. Fixed size, never allocates, one owner thread. */
#ifndef TIDEMARK_BASE_TRACE_H
#define TIDEMARK_BASE_TRACE_H

#include "base/types.h"

#define TRACE_LINES     256
#define TRACE_LINE_SIZE 120

struct trace {
    char lines[TRACE_LINES][TRACE_LINE_SIZE];
    uint64_t at_ns[TRACE_LINES];
    uint64_t count; /* lines ever added */
};
void trace_init(struct trace *t);
void trace_add(struct trace *t, uint64_t now_ns, const char *format, ...) PRINTF_LIKE(3, 4);
/* Line i of the kept ones, oldest first; NULL beyond the last. */
const char *trace_line(const struct trace *t, size_t i, uint64_t *out_at_ns);

#endif
