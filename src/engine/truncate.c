/* truncate: see truncate.h. The order, on the loop, and its execution while opening; what happens
 * to segment files is in truncate_files.c. */
#include "engine/truncate.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "engine/identity_store.h"
#include "engine/log_open.h"
#include "engine/recover.h"
#include "engine/reopen.h"
#include "engine/truncate_files.h"

/* --- the order --- */

struct truncation {
    struct db *db;
    struct truncation_order order;
    struct log_prove prove;
    void (*failed)(void *arg, const struct err *e);
    void *arg;
};

void truncation_free(struct truncation *t)
{
    free(t);
}

void truncation_allow(struct db *db, const struct token *end)
{
    db->has_may_lose = end != NULL;
    if (end) db->may_lose = *end;
}

const struct token *truncation_allowed(const struct db *db)
{
    if (!db->has_may_lose || !db->log) return NULL;
    struct position end = log_durable(db->log);
    struct token token = token_of(&end);
    bool is_it = token.epoch == db->may_lose.epoch && token.seqno.v == db->may_lose.seqno.v &&
                 memcmp(token.chain4, db->may_lose.chain4, sizeof(token.chain4)) == 0;
    return is_it ? &db->may_lose : NULL;
}

static void note_intent(struct db *db, void *arg)
{
    struct truncation_order *order = arg;
    struct identity *id = &db->identity;
    struct position end = log_durable(db->log);
    if (!position_equal(&end, &order->end)) return; /* not the log that the order is for */
    id->intent = (struct truncation_intent){
        .step = TRUNCATION_INTENDED,
        .fork = order->fork,
        .end = order->end,
        .link_nonce = order->link_nonce,
        .lowered_mark = order->fork.seqno,
    };
    if (order->epoch > id->highest_epoch) id->highest_epoch = order->epoch;
}

static void order_is_over(struct db *db, void *arg, enum code code, const struct err *e)
{
    (void)db; /* a directory that does not open is told by its condition */
    (void)code;
    (void)e;
    free(arg);
}

static enum code reopen(struct db *db, const struct truncation_order *order, struct err *e)
{
    char why[120];
    struct truncation_order *copy = malloc(sizeof(*copy));
    if (!copy) return ERR(e, E_NOMEMORY, "no memory to cut the log");
    *copy = *order;
    struct text t = text_of(why, sizeof(why));
    text_add(&t, "the log is cut back to record %llu", (unsigned long long)order->fork.seqno.v);
    struct reopen_request request = {
        .why = why, .change = note_intent, .done = order_is_over, .arg = copy};
    enum code code = db_reopen_with(db, &request, e);
    if (code != OK) free(copy);
    return code;
}

static void proved(struct log_prove *prove, enum code code, const struct err *e)
{
    struct truncation *t = CONTAINER_OF(prove, struct truncation, prove);
    struct db *db = t->db;
    struct err why = {.code = OK};
    db->truncation = NULL;
    if (code == OK) {
        code = reopen(db, &t->order, &why);
    } else {
        (void)ERR(&why, code,
                  "the leader orders to cut to record %llu, which is not of this log: %s",
                  (unsigned long long)t->order.fork.seqno.v, e->text);
    }
    /* When the data is opened anew, whoever ordered this is gone. */
    if (code != OK && !db->reopening) t->failed(t->arg, &why);
    free(t);
}

enum code truncation_begin(struct db *db, const struct truncation_order *order,
                           void (*failed)(void *arg, const struct err *e), void *arg, struct err *e)
{
    ASSERT(order->fork.seqno.v < order->end.seqno.v);
    if (db->truncation) return ERR(e, E_BUSY, "this log is being cut already");
    struct truncation *t = calloc(1, sizeof(*t));
    if (!t) return ERR(e, E_NOMEMORY, "no memory to cut the log");
    *t = (struct truncation){.db = db, .order = *order, .failed = failed, .arg = arg};
    t->prove = (struct log_prove){.position = order->fork, .done = proved};
    db->truncation = t;
    log_prove_start(db->log, &t->prove);
    return OK;
}

/* --- carried out --- */

static enum code save_step(struct db *db, enum truncation_step step, struct err *e)
{
    db->identity.intent.step = (uint8_t)step;
    return identity_save_now(db->env, &db->identity, e);
}

static enum code run_steps(struct db *db, struct log *log, struct err *e)
{
    struct identity *id = &db->identity;
    struct truncation_intent *intent = &id->intent;
    struct cut cut = {
        .env = db->env,
        .log = log,
        .fork = intent->fork,
    };
    TRY(cut_look(&cut, e));
    if (intent->step < TRUNCATION_QUARANTINED) {
        TRY(cut_copy_tail(&cut, e));
        TRY(save_step(db, TRUNCATION_QUARANTINED, e));
    }
    if (intent->step < TRUNCATION_MANIFESTS_DROPPED) {
        TRY(manifest_list_drop_beyond(db->env, intent->fork.seqno, e));
        TRY(save_step(db, TRUNCATION_MANIFESTS_DROPPED, e));
    }
    TRY(log_lower_mark(log, &intent->fork, e));
    TRY(cut_segments(&cut, e));
    if (cut.has_clients) {
        char token[TOKEN_SIZE_MAX + 1] = {0};
        struct token end = token_of(&intent->end);
        (void)format_token(token, &end);
        db_event(
            db, DB_EVENT_TRUNCATION,
            "gave up records %llu to %llu (%s), which the leader's history does not have: %llu "
            "of clients are in quarantine/",
            (unsigned long long)intent->fork.seqno.v + 1, (unsigned long long)intent->end.seqno.v,
            token, (unsigned long long)cut.client_records);
    }
    return OK;
}

enum code truncation_redo(struct db *db, struct err *e)
{
    struct identity *id = &db->identity;
    struct recovery_report report = {0};
    struct log_hooks hooks = {0};
    struct log *log = NULL;
    bool is_of_this_log = id->intent.fork.seqno.v >= id->log_base.seqno.v;
    if (!is_of_this_log) id->intent = (struct truncation_intent){0}; /* another copy counts now */
    if (id->intent.step == TRUNCATION_NONE || id->intent.step >= TRUNCATION_LOG_CUT) return OK;
    struct recovery_input input = {
        .env = db->env, .config = &db->config, .identity = id, .hooks = &hooks};
    TRY(recover_log(&input, &log, &report, e));
    enum code code = run_steps(db, log, e);
    log_free(log);
    TRY(code);
    /* Recovery says below which segments are registered; until then none is missed. */
    id->first_segment = 0;
    id->last_segment = 0;
    return save_step(db, TRUNCATION_LOG_CUT, e);
}

void truncation_end(struct db *db)
{
    struct identity *id = &db->identity;
    if (id->intent.step == TRUNCATION_NONE) return;
    id->intent = (struct truncation_intent){0};
    uint64_t before = id->history_id;
    if (PLANTED(39)) return; /* nobody can tell that positions were taken back */
    do {
        id->history_id = db->env->v->random(db->env);
    } while (id->history_id == 0 || id->history_id == before);
}
