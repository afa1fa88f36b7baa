/* metrics: counters and histograms of the engine, and the Prometheus text of one snapshot. Owner:
 * the loop thread. Names, help and types are in the table of base/metric.h. */
#ifndef TIDEMARK_ENGINE_METRICS_H
#define TIDEMARK_ENGINE_METRICS_H

#include "base/text.h"
#include "engine/db.h"

struct metrics;
struct metrics *metrics_new(void); /* NULL: no memory */
void metrics_free(struct metrics *m);
/* m may be NULL (while opening). */
void metrics_note_sync(struct metrics *m, uint64_t sync_ns, uint64_t records);
void metrics_note_recovery(struct metrics *m, uint64_t recovery_ns, uint64_t discarded_bytes);

/* Write the text of this status (made at this moment) and of the engine's own counters. */
void metrics_write(const struct db *db, const struct tide_status *status, struct text *t);

#endif
