/* status: everything of one moment, gathered once: tide_status, its JSON, the metrics text. */
#ifndef TIDEMARK_ENGINE_STATUS_H
#define TIDEMARK_ENGINE_STATUS_H

#include "engine/db.h"

/* OP_STATUS and OP_METRICS: fill op->result; memory from the run. */
MUST_CHECK enum code status_op(struct db *db, struct tide_run *run, struct op *op, struct err *e);
MUST_CHECK enum code metrics_op(struct db *db, struct tide_run *run, struct op *op, struct err *e);

#endif
