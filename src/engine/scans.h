/* scans: long reads that run beside the loop. A run whose RETRIEVE would hold the loop up is parked
 * here; all that wait are answered together from one frozen state, by jobs on the reading lane.
 *
 *   waiting --freeze--> batch in flight --all done--> the frozen state is let go; the next batch
 *
 * One frozen state at a time: it bounds what copy on write can take to one copy of what is written
 * meanwhile, and the scans of a batch share the cost of freezing. A scan sees the state as of the
 * moment its batch begins, which is not before it was asked. First come, first served; a run has at
 * most one operation here, so nobody's many requests keep another's single one waiting for more
 * than one batch. Where memory for freezing is refused, the batch is answered on the loop.
 * Owner: the loop; a page belongs to its job while that runs.
 */
#ifndef TIDEMARK_ENGINE_SCANS_H
#define TIDEMARK_ENGINE_SCANS_H

#include "engine/read_items.h"

#define SCANS_BATCH_MAX   64u   /* answered from one frozen state */
#define SCANS_WAITING_MAX 1024u /* beyond: BUSY */

struct scans;

struct scans *scans_new(struct db *db); /* NULL: no memory */
void scans_free(struct scans *s);       /* NULL allowed; no job of it runs any more */

/* Take over a page whose run is being parked; it is answered through queue_resume, never from
 * inside this call. E_BUSY, E_CLOSED. */
MUST_CHECK enum code scans_add(struct scans *s, struct page *page, struct err *e);
/* Answer what waits with CLOSED and take no more; what is in flight ends in its time. */
void scans_stop(struct scans *s);
bool scans_is_quiet(const struct scans *s);
/* Memory that answering takes beside the state; bounded by the batch. Any thread. */
struct alloc *scans_alloc(struct scans *s);

struct scans_status {
    uint32_t in_flight;
    uint32_t waiting;
    uint64_t total;   /* ever begun */
    uint64_t batches; /* ever frozen for */
};
void scans_status(const struct scans *s, struct scans_status *out);

#endif
