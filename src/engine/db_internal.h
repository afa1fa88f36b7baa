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
/* Log, state and what works on them, where they are not there yet: an X_new called here makes no
 * timer and posts no task, because this may run in a job. */
MUST_CHECK enum code db_make_parts(struct db *db, struct err *e);
void db_free_parts(struct db *db);

/* --- one life of the data in a directory: db_open, then any number of reopenings --- */

/* Everything that reads or writes files, from recovery to a new epoch: blocks, uses nothing of the
 * env but files, clocks and randomness. db has no log and no state before. */
MUST_CHECK enum code db_open_files(struct db *db, struct err *e);
/* Then, on the loop: timers, links. */
MUST_CHECK enum code db_open_links(struct db *db, struct err *e);
void db_fill_report(struct db *db, uint64_t started_ns);
/* Free what belongs to one life: log, state, and what works on them. All of it must be quiet.
 * Shipper, queue, scans, metrics and networks stay. */
void db_free_life(struct db *db);
/* No new background work begins. why: for operations that wait for some. */
void db_stop_parts(struct db *db, const struct err *why);
/* What was taken in is durable, or never will be. */
bool db_are_writes_done(const struct db *db);
/* No job of any part runs. */
bool db_is_quiet(const struct db *db);
/* Seal the active segment; db_is_quiet says when that is over. */
void db_seal_last(struct db *db);
/* The next thing for an idle log: a seal that is due or was asked for, else the open group. */
void db_feed_log(struct db *db);
/* The next leadership of this node has this number, which is then taken for ever: the caller saves
 * identity before anything is written in it. */
void db_take_epoch_number(struct db *db, uint64_t number);
/* This node led this epoch, later than all it led before. */
void db_note_led(struct db *db, uint64_t number);
/* Many runs at once, then one flush. list is linked through run->next. */
void db_submit_burst(struct db *db, struct tide_run *list);

#endif
