/* db_internal: what db.c, db_open.c, apply.c and api.c share. Nobody else includes this. */
#ifndef TIDEMARK_ENGINE_DB_INTERNAL_H
#define TIDEMARK_ENGINE_DB_INTERNAL_H

#include "engine/db.h"

/* Apply one verified batch. False: the node is HALTED now. */
MUST_CHECK bool db_apply_batch(struct db *db, const struct batch_header *header,
                               struct slice payload, const struct position *end);
/* Apply everything in the log after `from`, blocking: only while opening. E_DIVERGED: `from` is not
 * in this log. */
MUST_CHECK enum code db_replay(struct db *db, const struct position *from, uint64_t *out_records,
                               struct err *e);
/* A sentence of the open report, said when the node starts. */
void db_add_note(struct db *db, const char *note);
/* Hooks that the log calls. */
struct log_hooks;
void db_log_hooks(struct db *db, struct log_hooks *out);
/* The tasks that runs are posted to: before the first run, also where there is no log yet. */
void db_init_tasks(struct db *db);
/* queue, checkpointer and (leader) write, once log and state are there. */
MUST_CHECK enum code db_make_parts(struct db *db, struct err *e);
void db_free_parts(struct db *db);
/* The next thing for an idle log: a seal that is due or was asked for, else the open group. */
void db_feed_log(struct db *db);
/* Many runs at once, then one flush. list is linked through run->next. */
void db_submit_burst(struct db *db, struct tide_run *list);

#endif
