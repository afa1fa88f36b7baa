/* openmetrics: the text of /metrics in the other form that Prometheus reads: counters are announced
 * without _total, units are named, bounds are floats, and the end is marked. Test:
 * unit.server.openmetrics, and e2e.metrics, where Prometheus itself reads it. */
#ifndef TIDEMARK_SERVER_OPENMETRICS_H
#define TIDEMARK_SERVER_OPENMETRICS_H

#include "base/types.h"
#include "server/out.h"

#define OPENMETRICS_TYPE "application/openmetrics-text; version=1.0.0; charset=utf-8"

/* Does the header name it at least as welcome as plain text? NULL: no. */
bool openmetrics_is_wanted(const char *accept);
/* From the form 0.0.4, with its values. */
void openmetrics_rewrite(struct out *text);

#endif
