/* divergence: see divergence.h. */
#include "engine/divergence.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/checkpoint.h"
#include "engine/checkpoint_read.h"
#include "engine/db.h"
#include "engine/manifest_list.h"
#include "engine/receiver.h"
#include "engine/reopen.h"

#define ASK_NS       (2 * NS_PER_S)
#define ATTEMPTS_MAX 2u
#define ASKED_MAX    ((uint64_t)MARK_BLOCKS_SENT_MAX * 80)

static void stop_asking(struct db *db)
{
    struct divergence *d = &db->divergence;
    d->is_asking = false;
    free(d->bytes);
    d->bytes = NULL;
    d->size = d->got = 0;
    mark_blocks_fini(&d->mine);
    db->env->v->timer_stop(db->env, &d->timer);
}

void divergence_fini(struct db *db)
{
    stop_asking(db);
    db->env->v->timer_close(db->env, &db->divergence.timer);
}

void divergence_equal(struct db *db, seqno mark)
{
    struct divergence *d = &db->divergence;
    d->equal = mark;
    if (d->attempts > 0) {
        db_event(db, DB_EVENT_REPAIR, "the state is the leader's again, at mark %llu",
                 (unsigned long long)mark.v);
    }
    d->attempts = 0;
}

/* --- repair --- */

static void repair(struct db *db, const char *block)
{
    struct divergence *d = &db->divergence;
    struct err e = {.code = OK};
    stop_asking(db);
    if (block[0] != '\0') {
        (void)ERR(&e, E_DIVERGED, "the state at mark %llu is not the leader's: block %s differs",
                  (unsigned long long)d->mark.v, block);
        db->reason = e;
        db_event(db, DB_EVENT_DIVERGENCE, "%s", e.text);
    }
    d->attempts++;
    if (d->attempts > ATTEMPTS_MAX || !db->receiver) {
        db_event(
            db, DB_EVENT_DIVERGENCE,
            "the state differs again after %u repairs: this is no accident; look for a fault of "
            "this machine, or report it",
            d->attempts - 1);
        return;
    }
    bool can_go_back = d->attempts == 1 && checkpointer_can_go_back(db->checkpointer, d->equal);
    if (can_go_back) {
        db_event(db, DB_EVENT_REPAIR,
                 "checkpoints beyond mark %llu are forgotten, and the log is replayed from there",
                 (unsigned long long)d->equal.v);
        d->is_open = false;
        d->is_going_back = true;
        db_reopen(db, "its state is repaired from an older checkpoint and the log");
        return;
    }
    d->is_open = false; /* the copy opens everything anew */
    receiver_copy_now(db->receiver, "this node's state differs from the leader's");
}

static void nobody_answered(struct env_timer *timer)
{
    struct divergence *d = CONTAINER_OF(timer, struct divergence, timer);
    repair(CONTAINER_OF(d, struct db, divergence), "");
}

void divergence_init(struct db *db)
{
    db->divergence.timer = (struct env_timer){.fire = nobody_answered, .env = db->env};
}

/* --- naming --- */

void divergence_found(struct db *db, const struct mark_blocks *mine)
{
    struct divergence *d = &db->divergence;
    struct err e = {.code = OK};
    (void)ERR(&e, E_DIVERGED, "the state at mark %llu differs from the leader's",
              (unsigned long long)mine->at.seqno.v);
    db_set_condition(db, DB_DIVERGED, &e);
    if (d->is_open || db->reopening) return;
    d->is_open = true;
    d->mark = mine->at.seqno;
    d->mine = *mine;
    d->mine.blocks = calloc(mine->count ? mine->count : 1, sizeof(*mine->blocks));
    if (d->mine.blocks) {
        memcpy(d->mine.blocks, mine->blocks, mine->count * sizeof(*mine->blocks));
        d->is_asking = db->receiver && receiver_ask_for_mark(db->receiver, d->mark, 0);
    }
    db->env->v->timer_start(db->env, &d->timer, d->is_asking ? ASK_NS : 0);
}

void divergence_rotten(struct db *db, seqno mark, struct block_id block)
{
    struct divergence *d = &db->divergence;
    struct err e = {.code = OK};
    char name[64];
    struct text t = text_of(name, sizeof(name));
    mark_blocks_name(block, &t);
    (void)ERR(&e, E_DIVERGED, "block %s in memory is not what was written there", name);
    db->divergences++;
    if (db_is_leader(db)) {
        e.code = E_HALTED;
        db_set_condition(db, DB_HALTED, &e);
        return;
    }
    db_set_condition(db, DB_DIVERGED, &e);
    if (d->is_open || db->reopening) return;
    d->is_open = true;
    d->mark = mark;
    repair(db, name);
}

static void name_difference(struct db *db)
{
    struct divergence *d = &db->divergence;
    struct state_files files = {
        .env = db->env, .cluster = db->identity.cluster, .stream = db->identity.stream};
    struct manifest_file theirs;
    struct block_id block;
    char name[64];
    struct text t = text_of(name, sizeof(name));
    uint8_t *bytes = d->bytes;
    d->bytes = NULL;
    bool is_read = manifest_file_take(&files, "the leader's blocks", bytes, (size_t)d->size,
                                      &theirs, NULL) == OK;
    if (is_read && mark_blocks_differ(&d->mine, &theirs.manifest, &block)) {
        mark_blocks_name(block, &t);
    }
    manifest_file_fini(&theirs);
    repair(db, t.data);
}

enum code divergence_take(struct db *db, const struct wire_piece *piece, struct err *e)
{
    struct divergence *d = &db->divergence;
    if (!d->is_asking || piece->mark.v != d->mark.v) return OK; /* late */
    if (piece->total == 0) { /* the leader does not know that mark any more */
        repair(db, "");
        return OK;
    }
    bool is_next = piece->total <= ASKED_MAX + MIB && piece->offset == d->got &&
                   (d->got == 0 || piece->total == d->size) && piece->bytes.size > 0;
    if (!is_next) return ERR(e, E_PROTOCOL, "a piece of blocks at a mark that does not follow");
    if (!d->bytes) d->bytes = malloc((size_t)piece->total);
    if (!d->bytes) {
        repair(db, "");
        return OK;
    }
    d->size = piece->total;
    memcpy(d->bytes + piece->offset, piece->bytes.data, piece->bytes.size);
    d->got += piece->bytes.size;
    if (d->got == d->size) {
        name_difference(db);
    } else if (!receiver_ask_for_mark(db->receiver, d->mark, d->got)) {
        repair(db, "");
    }
    return OK;
}

enum code divergence_settle(struct db *db, struct err *e)
{
    struct divergence *d = &db->divergence;
    if (!d->is_going_back) return OK;
    d->is_going_back = false;
    return d->equal.v > 0 ? manifest_list_drop_beyond(db->env, d->equal, e) : OK;
}
