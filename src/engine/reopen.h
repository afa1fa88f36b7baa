/* reopen: opening the data of a running node anew, without a new process: after a change of role, a
 * truncation, a switch of generation. Owner: the loop thread.
 *
 * All parts of the running life end in order, as they do at a stop: links are ended (listeners
 * stay), what was taken in becomes durable or is answered UNKNOWN with its position, jobs finish,
 * the active segment is sealed, slots and identity are saved. Then what was running is freed and
 * the directory is opened as db_open opens it, in a job. No completion of the older life is left by
 * then. Runs that arrive meanwhile wait; runs that waited for followers, marks or positions are
 * answered LOADING: try again.
 *
 * When the directory does not open, the node stays up without data, DB_HALTED: every run is refused
 * with the reason, whoever asks for replication is turned away. db_reopen may be tried again.
 */
#ifndef TIDEMARK_ENGINE_REOPEN_H
#define TIDEMARK_ENGINE_REOPEN_H

#include "engine/db.h"

struct reopen_request {
    const char *why; /* for people; copied */
    /* When everything is quiet, before identity is saved: the place to change the role, the
     * leader's address, the intent, the generation. NULL: nothing changes. */
    void (*change)(struct db *db, void *arg);
    /* Once: at the end, before the runs that waited: OK, or why there is no data now. E_CLOSED: the
     * database is given up meanwhile, and only its arg may be touched. NULL allowed. */
    void (*done)(struct db *db, void *arg, enum code code, const struct err *e);
    void *arg;
};

/* Begins soon, from the loop itself: may be called from inside any callback of a part. E_BUSY: one
 * is under way; E_CLOSED: the node is closing; E_NOMEMORY. */
MUST_CHECK enum code db_reopen_with(struct db *db, const struct reopen_request *request,
                                    struct err *e);
/* Without a change. One that is under way is as good. */
void db_reopen(struct db *db, const char *why);

/* For db.c: keep runs (linked through next) until the data is open; free on abandon. */
void reopen_hold(struct db *db, struct tide_run *list);
void reopen_free(struct reopening *r); /* NULL allowed */

#endif
