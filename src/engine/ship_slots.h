/* ship_slots: the leader's care for its slots over time: budgets are judged on a timer and whenever
 * the log grew (core/slots_judge), what is lost is saved before anything that it held may go, and
 * an operator's drop or rename is answered once it is on disk. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_SHIP_SLOTS_H
#define TIDEMARK_ENGINE_SHIP_SLOTS_H

#include "engine/db.h"

struct shipper;

#define SLOTS_JUDGE_NS    NS_PER_S
#define SLOTS_JUDGE_BYTES MIB /* of log since the last judgement */

/* OP_SLOT_DROP, OP_SLOT_RENAME. OK: answered later, through queue_resume. */
MUST_CHECK enum code ship_slots_op(struct db *db, struct tide_run *run, struct op *op,
                                   struct err *e);

/* --- for shipper.c --- */

/* This node leads now: every member that it knows and that has no slot gets one, so that nothing is
 * pruned which one of them may ask for. */
void ship_slots_provision(struct shipper *s);

/* Slots of those whom this node follows, directly or through others, are given up: one of them
 * fetched what it had lost, or followed once. */
void ship_slots_drop_above(struct shipper *s, struct slice path);

/* Judge now, when it is due by time or by the growth of the log, and carry out what follows. */
void ship_slots_judge(struct shipper *s);
void ship_slots_on_durable(struct shipper *s);
uint64_t ship_slots_due_ns(const struct shipper *s); /* UINT64_MAX: never */
/* A save of the table begins, or ended. */
void ship_slots_save(struct shipper *s);
void ship_slots_save_ended(struct shipper *s, enum code code, const struct err *e);
/* The table is this node's no longer: whoever waits for it is told. */
void ship_slots_forget(struct shipper *s);

#endif
