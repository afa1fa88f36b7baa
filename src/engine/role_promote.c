/* role_promote: a follower becomes the leader. Steps and laws: role.h; the decision: core/promote.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "core/promote.h"
#include "engine/checkpoint.h"
#include "engine/clock.h"
#include "engine/db_internal.h"
#include "engine/members.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"
#include "engine/shipper.h"
#include "engine/ticker.h"
#include "engine/write.h"

/* --- the decision --- */

/* An answer of another cluster, or of this node itself, counts for nothing. */
static bool is_of_ours(const struct db *db, const struct inquire_reply *reply)
{
    return reply->has_answered && id128_equal(&reply->standing.cluster, &db->identity.cluster) &&
           strcmp(reply->node_id, db->identity.node_id) != 0;
}

static bool is_damaged(const struct db *db)
{
    return db->condition != DB_SERVING;
}

/* nodes has room for MEMBERS_MAX. */
static struct promote_facts facts_of(const struct role_machine *r, struct promote_node *nodes)
{
    const struct db *db = r->db;
    const struct op *op = r->op;
    struct promote_facts f = {
        .is_leading = db_is_leader(db),
        .is_damaged = is_damaged(db),
        .applied = db_applied(db).seqno,
        .highest_epoch = db->identity.highest_epoch,
        .nodes = nodes,
        .copies_min = 1,
    };
    if (db->log != NULL) f.stored = log_durable(db->log);
    if (op != NULL) {
        f.is_forced = op->is_explain;
        f.has_expect = op->number != 0;
        f.expect = (struct position){.epoch = op->epoch, .seqno = seqno_of(op->number)};
        memcpy(f.expect.chain.bytes, op->chain4, sizeof(op->chain4));
    }
    if (db->receiver != NULL) {
        struct receiver_status status;
        receiver_status(db->receiver, &status);
        f.leader_durable = seqno_of(status.leader_durable);
    }
    for (uint32_t i = 0; i < r->reply_count; i++) {
        const struct inquire_reply *reply = &r->replies[i];
        bool has_answered = is_of_ours(db, reply);
        nodes[f.node_count++] = (struct promote_node){
            .node_id = slice_of_text(reply->node_id),
            .address = slice_of_text(reply->address),
            .has_answered = has_answered,
            .was_leader = strcmp(reply->address, db->identity.leader_address) == 0,
            .is_voter = reply->standing.is_voter != 0,
            .is_leading = reply->standing.role != ROLE_FOLLOWER,
            .is_damaged = reply->standing.is_damaged != 0,
            .last = reply->standing.last,
            .highest_epoch = reply->standing.highest_epoch,
        };
    }
    return f;
}

/* Refused: the operation ends with the reason. */
static bool is_allowed(struct role_machine *r, bool is_drained)
{
    struct promote_node nodes[MEMBERS_MAX];
    struct promote_facts facts = facts_of(r, nodes);
    if (!is_drained) facts.applied = facts.stored.seqno; /* waited for later */
    struct promote_plan plan = promote_decide(&facts);
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    promote_explain(&facts, &plan, &t);
    if (plan.verdict == PROMOTE_ALREADY) {
        role_end(r, NULL);
        return false;
    }
    if (plan.verdict != PROMOTE_LEAD) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_REFUSED, "%s", sentence);
        role_end(r, &e);
        return false;
    }
    r->next_epoch = plan.next_epoch;
    if (!is_drained) return true;
    char risk[ERR_TEXT_SIZE];
    struct text more = text_of(risk, sizeof(risk));
    promote_explain_risk(&facts, &plan, &more);
    db_event(r->db, DB_EVENT_PROMOTION, "promotion%s: %s; at risk: %s",
             plan.unforced == PROMOTE_LEAD ? "" : " by force", sentence, risk);
    return true;
}

/* --- DRAINING --- */

static void receiver_was_closed(void *arg)
{
    struct role_machine *r = arg;
    r->is_receiver_closed = true;
}

static void members_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    role_keep_replies(r, replies, count);
    if (!is_allowed(r, false)) return;
    ASSERT(r->db->receiver != NULL);
    r->is_receiver_closing = true;
    r->is_receiver_closed = false;
    role_enter(r, ROLE_DRAINING);
    receiver_close(r->db->receiver, receiver_was_closed, r);
}

void role_promote(struct role_machine *r)
{
    const char *addresses[MEMBERS_MAX];
    r->reply_count = 0;
    if (db_is_leader(r->db) || r->db->receiver == NULL) {
        role_enter(r, ROLE_ASKING);
        members_answered(r, r->replies, 0);
        return;
    }
    uint32_t count = members_addresses(r->db, addresses);
    role_enter(r, ROLE_ASKING);
    if (role_ask(r, addresses, count, members_answered)) return;
    struct err e = {.code = OK};
    (void)ERR(&e, E_NOMEMORY, "no memory to ask the members");
    role_end(r, &e);
}

/* Nothing came of it: the old leader is followed as before. */
static void follow_again(struct role_machine *r)
{
    struct err e = {.code = OK};
    if (receiver_open(r->db, &r->db->receiver, &e) == OK) return;
    db_event(r->db, DB_EVENT_LINK, "this node follows nobody: %s", e.text);
}

static void drain(struct role_machine *r)
{
    struct db *db = r->db;
    bool is_settled = db->log == NULL || !log_is_writing(db->log);
    if (!r->is_receiver_closed || !is_settled) return;
    bool is_applied = db->log == NULL || db_applied(db).seqno.v == log_durable(db->log).seqno.v ||
                      db->condition != DB_SERVING;
    if (!is_applied) return;
    receiver_free(db->receiver);
    db->receiver = NULL;
    r->is_receiver_closing = false;
    if (!is_allowed(r, true)) {
        follow_again(r);
        return;
    }
    struct identity *id = &db->identity;
    if (PLANTED(35)) r->next_epoch = db->epoch.number; /* the old epoch goes on */
    id->role = db->shipper != NULL ? ROLE_LEADER : ROLE_SINGLE;
    id->leader_address[0] = '\0';
    id->leader_data_address[0] = '\0';
    db_take_epoch_number(db, r->next_epoch);
    role_enter(r, ROLE_SAVING);
    if (!PLANTED(34)) role_save(r); /* planted: the epoch's number is not made durable */
}

/* --- SAVING, BEGINNING --- */

static enum code begin(struct role_machine *r, struct err *e)
{
    struct db *db = r->db;
    struct epoch epoch = {.number = r->next_epoch};
    while (epoch.nonce == 0) {
        epoch.nonce = db->env->v->random(db->env);
    }
    struct record_epoch_start start = {
        .epoch = epoch,
        .previous = db->epoch,
        .previous_last = log_durable(db->log).seqno,
        .node_id = slice_of_text(db->identity.node_id),
        .incarnation = db->identity.incarnation,
        .reason = EPOCH_PROMOTION,
    };
    db->epoch = epoch;
    db->is_leading = true;
    clock_start(db);
    db->write = write_new(db);
    if (db->write == NULL) return ERR(e, E_NOMEMORY, "no memory for the write path");
    return write_epoch_start(db->write, &start, &r->epoch_start, e);
}

/* It cannot lead now, and its identity says that it does: a restart tries again. */
static void fail(struct role_machine *r, const struct err *e)
{
    db_set_condition(r->db, DB_POISONED, e);
    role_end(r, e);
}

static void was_announced(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    (void)replies;
    (void)count;
    inquiry_free(r->announcement);
    r->announcement = NULL;
}

/* Those who were asked before are asked again: who leads still sees the later epoch. */
static void announce(struct role_machine *r)
{
    const char *addresses[MEMBERS_MAX];
    if (r->reply_count == 0 || r->announcement != NULL) return;
    for (uint32_t i = 0; i < r->reply_count; i++) {
        addresses[i] = r->replies[i].address;
    }
    r->announcement =
        inquiry_start(r->db, addresses, r->reply_count, r->db->config.suspect_ns, was_announced, r);
}

static void serve(struct role_machine *r)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    db->ticker = ticker_new(db);
    if (db->ticker == NULL) {
        (void)ERR(&e, E_NOMEMORY, "no memory for the ticker");
        fail(r, &e);
        return;
    }
    db_event(db, DB_EVENT_EPOCH, "this node leads epoch %llu, which begins with record %llu",
             (unsigned long long)db->epoch.number, (unsigned long long)r->epoch_start.v);
    if (db->shipper != NULL) shipper_lead(db->shipper);
    members_wake(db);
    announce(r);
    role_end(r, NULL);
}

void role_promote_step(struct role_machine *r)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    if (r->step == ROLE_DRAINING) {
        drain(r);
        return;
    }
    if (r->step == ROLE_SAVING) {
        if (r->is_saving) return;
        if (r->save_code != OK && !PLANTED(34)) {
            (void)ERR(&e, E_POISONED, "identity could not be saved; restart this node");
            role_end(r, &e);
            return;
        }
        role_enter(r, ROLE_BEGINNING);
        if (begin(r, &e) != OK) fail(r, &e);
        return;
    }
    if (db->condition != DB_SERVING) {
        role_end(r, &db->reason);
        return;
    }
    db_feed_log(db); /* the log may have been sealing */
    if (db_applied(db).seqno.v >= r->epoch_start.v) serve(r);
}
