/* voters: the list of members as the log has it, what the node derives from it, and the
 * operations that change it. Owner: the loop. */
#ifndef TIDEMARK_ENGINE_VOTERS_H
#define TIDEMARK_ENGINE_VOTERS_H

#include "core/members.h"
#include "engine/db.h"

/* The newest list that was applied; slices are borrowed until the next batch. */
void voters_list(const struct db *db, struct record_members *out);
/* The list may have changed: after opening, and after a batch that holds one. `at`: the record that
 * changed it; 0: not known, it is older than this life. */
void voters_refresh(struct db *db, seqno at);

/* OP_MEMBER_ADD, OP_MEMBER_REMOVE: the change to log, or an answer that there is nothing to change
 * (*out_is_same). E_BUSY: the last change is not stored by a majority of its voters yet. pending:
 * the newest record of a list that is not applied; 0 none. */
MUST_CHECK enum code voters_judge(struct db *db, const struct op *op, seqno pending,
                                  struct record_members *out, bool *out_is_same, struct err *e);
/* OP_MEMBERS: fill op->result. */
MUST_CHECK enum code voters_op(struct db *db, struct tide_run *run, struct op *op, struct err *e);

#endif
