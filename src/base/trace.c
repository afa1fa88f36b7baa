/* trace: the last TRACE_LINES things an owner did. Adding never fails and never allocates; a long
 * line is cut. One owner thread; a post-mortem reads it when the owner stands still. */
#include "base/trace.h"

#include <stdarg.h>
#include <stdio.h>

void trace_init(struct trace *t)
{
    t->count = 0;
}

void trace_add(struct trace *t, uint64_t now_ns, const char *format, ...)
{
    size_t at = (size_t)(t->count % TRACE_LINES);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(t->lines[at], TRACE_LINE_SIZE, format, args);
    va_end(args);
    if (n < 0) t->lines[at][0] = '\0';
    t->at_ns[at] = now_ns;
    t->count++;
}

const char *trace_line(const struct trace *t, size_t i, uint64_t *out_at_ns)
{
    uint64_t kept = t->count < TRACE_LINES ? t->count : TRACE_LINES;
    if (i >= kept) return NULL;
    size_t at = (size_t)((t->count - kept + i) % TRACE_LINES);
    if (out_at_ns != NULL) *out_at_ns = t->at_ns[at];
    return t->lines[at];
}
