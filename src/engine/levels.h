/* levels: writes that are durable and visible here, and wait until enough followers hold them.
 *
 * A run whose writes are applied is parked here while one of them waits for a level. Waiting runs
 * stand in a heap for each level, by the record they wait for, and in one by deadline: an ack takes
 * out exactly those that it satisfies. A write of level local touches nothing here.
 * What counts as a copy is core/quorum's. Owner: the loop of a leader.
 */
#ifndef TIDEMARK_ENGINE_LEVELS_H
#define TIDEMARK_ENGINE_LEVELS_H

#include "base/metric.h"
#include "core/quorum.h"
#include "core/slots.h"
#include "engine/db.h"

/* Different levels waited for at one time; more are refused with BUSY. */
#define LEVEL_CLASSES_MAX 32u

struct levels;

struct levels *levels_new(struct db *db); /* NULL: no memory */
void levels_free(struct levels *l);       /* NULL allowed; waiting runs are forgotten */

/* What the followers hold now, and who votes. */
void levels_quorum(const struct db *db, struct quorum *out);

/* Before a write is judged by the gate: may it be tried at its level? E_DURABILITY where the level
 * cannot be reached, or is not expected to be and on_miss is reject; E_BUSY. Nothing is written
 * then. */
MUST_CHECK enum code levels_judge(struct levels *l, const struct op *op, struct err *e);
/* The operations from `first` up to the run's cursor were judged by the gate: those that succeeded
 * wait for the level of the first. */
void levels_note(struct levels *l, struct tide_run *run, uint32_t first);
/* Everything of the run is applied. True: a level is waited for, and the run will be ended from
 * here; false: every level is decided. */
MUST_CHECK bool levels_park(struct levels *l, struct tide_run *run);

/* What the followers hold has changed, or who counts: end what is decided. slot: whose ack it was
 * (blame); SLOT_NONE: nobody's. */
void levels_on_progress(struct levels *l, uint32_t slot);

/* Nothing more will be decided: a write that still waits is answered UNKNOWN, with its position. */
void levels_fail_run(struct levels *l, struct tide_run *run, const char *why);
void levels_fail_all(struct levels *l, const char *why);
bool levels_is_empty(const struct levels *l);

/* How long writes waited for levels, and how often in vain. */
extern const struct metric_bounds level_wait_bounds; /* seconds */
struct level_figures {
    struct level_kind_figures {
        struct metric_histogram waits; /* in seconds */
        uint64_t wait_count;
        uint64_t misses[3]; /* by enum tide_on_miss */
    } kinds[LEVEL_KINDS];   /* by enum level_kind */
};
const struct level_figures *levels_figures(const struct levels *l);

#endif
