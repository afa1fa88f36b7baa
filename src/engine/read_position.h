/* read_position: has this node applied what a token stands for? */
#ifndef TIDEMARK_ENGINE_READ_POSITION_H
#define TIDEMARK_ENGINE_READ_POSITION_H

#include "engine/db.h"

/* OK: visible here (or too old to be judged). E_STALE: not applied yet. E_LOST: given up in a
 * change of epoch. E_INVALID: it never was. epoch 0: only the number counts. */
MUST_CHECK enum code read_position_judge(const struct db *db, uint64_t epoch, seqno at,
                                         struct err *e);

#endif
