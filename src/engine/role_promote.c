/* role_promote: a follower becomes the leader. Steps and laws: role.h; the decision: core/promote.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
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

uint64_t role_now(const struct role_machine *r)
{
    return r->db->env->v->now_mono_ns(r->db->env);
}

/* --- the decision --- */

void role_stay_unable(struct role_machine *r, const char *sentence)
{
    if (strcmp(r->told, sentence) != 0) {
        db_event(r->db, DB_EVENT_ROLE, "this node does not lead yet: %s", sentence);
        (void)snprintf(r->told, sizeof(r->told), "%s", sentence);
    }
    if (sentence != r->unable) (void)snprintf(r->unable, sizeof(r->unable), "%s", sentence);
    r->ask_ns = role_now(r) + r->db->config.suspect_ns;
    role_enter(r, ROLE_UNABLE);
    role_release_writes(r); /* to be refused with the reason */
}

/* The newest records here are of an epoch that another node led. */
static bool is_epoch_of_another(const struct db *db)
{
    const struct identity *id = &db->identity;
    return id->led_count == 0 || id->led[id->led_count - 1] < db->epoch.number;
}

/* A node that led before leads on unless somebody else does, or knows more: that is fetched. */
static bool may_start(struct role_machine *r, const struct promote_facts *facts,
                      const struct promote_plan *plan)
{
    bool is_anothers = is_epoch_of_another(r->db);
    const struct inquire_reply *leader =
        role_find_leader(r, r->replies, r->reply_count, r->db->epoch.number + !is_anothers);
    bool is_everybody_heard = true;
    for (uint32_t i = 0; i < facts->node_count; i++) {
        is_everybody_heard &= facts->nodes[i].has_answered;
    }
    if (leader != NULL) {
        db_event(r->db, DB_EVENT_ROLE, "%s leads in epoch %llu: this node follows it",
                 leader->node_id, (unsigned long long)leader->standing.last.epoch);
        role_turn_to(r, leader->address, leader->data_address, leader->standing.last.epoch);
        return false;
    }
    bool is_in_the_way = plan->unforced != PROMOTE_LEAD && plan->unforced != PROMOTE_TOO_FEW;
    bool is_number_unknown =
        (is_anothers || plan->next_epoch > facts->highest_epoch + 1) && !is_everybody_heard;
    if (!is_in_the_way && !is_number_unknown) return true;
    bool is_behind = plan->unforced == PROMOTE_NOT_BEST;
    if (is_behind && role_fetch(r, &r->replies[plan->node])) return false;
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    if (is_in_the_way) {
        promote_explain(facts, plan, &t);
    } else {
        text_add(&t,
                 "epoch %llu was begun somewhere and its leader is not found; PROMOTE FORCE "
                 "here if it is gone",
                 (unsigned long long)plan->next_epoch - 1);
    }
    role_stay_unable(r, sentence);
    return false;
}

/* Somebody else was promised the number, or a higher one. */
static bool is_contested(const struct role_machine *r)
{
    bool is_contested = r->db->identity.highest_epoch != r->next_epoch;
    for (uint32_t i = 0; i < r->reply_count; i++) {
        const struct wire_standing *s = &r->replies[i].standing;
        is_contested |= role_is_of_ours(r->db, &r->replies[i]) && !s->is_claim_noted &&
                        s->highest_epoch >= r->next_epoch;
    }
    return is_contested;
}

/* A promotion is refused: this node does again what it did before. */
static void refuse(struct role_machine *r, const struct err *e)
{
    if (r->refused == ROLE_QUIET) {
        role_end(r, e);
        return;
    }
    role_answer(r, &(struct position){0}, e);
    if (r->db->receiver != NULL && r->refused == ROLE_FETCHING) {
        r->is_starting = true;
        role_enter(r, ROLE_FETCHING);
    } else {
        role_stay_unable(r, r->unable);
    }
}

/* Refused: the operation ends with the reason. */
static bool refuse_contested(struct role_machine *r)
{
    struct err e = {.code = OK};
    (void)ERR(&e, E_BUSY, "another node claims epoch %llu or a later one; try again",
              (unsigned long long)r->next_epoch);
    if (r->is_starting || r->is_taking_back) {
        role_stay_unable(r, e.text);
    } else {
        refuse(r, &e);
    }
    return false;
}

/* Asked when the members were asked, and again when they promised. Refused: the operation ends with
 * the reason. */
static bool is_allowed(struct role_machine *r, bool is_claimed)
{
    struct promote_node nodes[MEMBERS_MAX];
    struct promote_facts facts = role_facts_now(r, is_claimed, nodes);
    if (is_claimed && is_contested(r)) return refuse_contested(r);
    if (is_claimed) facts.applied = db_applied(r->db).seqno;
    struct promote_plan plan = promote_decide(&facts);
    TAKEN(TAKEN_PROMOTE, 0, plan.unforced);
    if (is_claimed) plan.next_epoch = r->next_epoch;
    r->next_epoch = plan.next_epoch;
    bool is_leading_on = r->is_starting || r->is_taking_back;
    if (is_leading_on) return may_start(r, &facts, &plan);
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    promote_explain(&facts, &plan, &t);
    if (plan.verdict != PROMOTE_LEAD) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_REFUSED, "%s", sentence);
        refuse(r, &e);
        return false;
    }
    bool needs_force = plan.unforced != PROMOTE_LEAD;
    r->has_needed_force = needs_force || (is_claimed && r->has_needed_force);
    if (!is_claimed) return true;
    char risk[ERR_TEXT_SIZE];
    struct text more = text_of(risk, sizeof(risk));
    promote_explain_risk(&facts, &plan, &more);
    db_event(r->db, DB_EVENT_PROMOTION, "promotion%s: %s; at risk: %s",
             r->has_needed_force ? " by force" : "", sentence, risk);
    return true;
}

/* --- DRAINING --- */

static void receiver_was_closed(void *arg)
{
    struct role_machine *r = arg;
    r->is_receiver_closed = true;
}

void role_close_receiver(struct role_machine *r)
{
    struct receiver *receiver = r->db->receiver;
    r->is_receiver_closing = receiver != NULL;
    r->is_receiver_closed = receiver == NULL;
    if (receiver != NULL) receiver_close(receiver, receiver_was_closed, r);
}

bool role_is_receiver_gone(struct role_machine *r)
{
    struct db *db = r->db;
    bool is_settled = db->log == NULL || !log_is_writing(db->log);
    if (!r->is_receiver_closed || !is_settled) return false;
    bool is_applied = db->log == NULL || db_applied(db).seqno.v == log_durable(db->log).seqno.v ||
                      db->condition != DB_SERVING;
    if (!is_applied) return false;
    receiver_free(db->receiver);
    db->receiver = NULL;
    r->is_receiver_closing = false;
    return true;
}

static void start_draining(struct role_machine *r)
{
    role_enter(r, ROLE_DRAINING);
    role_close_receiver(r);
}

static void members_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    role_keep_replies(r, replies, count);
    if (is_allowed(r, false)) start_draining(r);
}

static bool ask_members(struct role_machine *r)
{
    const char *addresses[MEMBERS_MAX];
    r->reply_count = 0;
    r->next_nonce = 0;
    role_enter(r, ROLE_ASKING);
    return role_ask(r, addresses, members_addresses(r->db, addresses), members_answered);
}

enum code role_promote(struct role_machine *r, struct err *e)
{
    if (r->db->log == NULL) return ERR(e, E_REFUSED, "this node holds no record");
    if (r->inquiry != NULL) return ERR(e, E_BUSY, "the others are being asked; try again");
    if (r->is_saving || r->is_receiver_closing) {
        return ERR(e, E_BUSY, "this node's role is being changed; try again in a moment");
    }
    enum role_step before = r->step;
    bool is_to_lead = before == ROLE_FETCHING || before == ROLE_UNABLE;
    r->refused = is_to_lead ? before : ROLE_QUIET;
    r->is_starting = false;
    r->is_taking_back = false;
    if (ask_members(r)) return OK;
    role_enter(r, before);
    return ERR(e, E_NOMEMORY, "no memory to ask the members");
}

void role_start_leading(struct role_machine *r)
{
    r->is_starting = true;
    if (!ask_members(r)) role_stay_unable(r, "no memory to ask the members");
}

void role_take_back(struct role_machine *r)
{
    r->is_taking_back = true;
    if (!ask_members(r)) role_stay_unable(r, "no memory to ask the members");
}

void role_succeed(struct role_machine *r)
{
    r->is_succeeding = true;
    role_enter(r, ROLE_TAKING);
}

/* Nothing came of it: the old leader is followed as before. */
static void follow_again(struct role_machine *r)
{
    struct err e = {.code = OK};
    if (r->db->identity.role != ROLE_FOLLOWER || r->step == ROLE_YIELDING) return;
    if (receiver_open(r->db, &r->db->receiver, &e) == OK) return;
    db_event(r->db, DB_EVENT_LINK, "this node follows nobody: %s", e.text);
}

/* Nothing may have come in since the leader said where its history ends. */
static bool may_succeed(struct role_machine *r)
{
    struct db *db = r->db;
    struct position stored = log_durable(db->log);
    bool is_next = r->next_epoch > db->identity.highest_epoch;
    if (is_next && position_equal(&stored, &r->passed) && db->condition == DB_SERVING) return true;
    struct err e = {.code = OK};
    (void)ERR(&e, E_REFUSED, "the handover came too late");
    db_event(db, DB_EVENT_HANDOVER, "%s", e.text);
    role_end(r, &e);
    return false;
}

/* --- CLAIMING --- */

/* The number is this node's for ever. */
static void take(struct role_machine *r)
{
    struct db *db = r->db;
    struct identity *id = &db->identity;
    if (PLANTED(35)) r->next_epoch = db->epoch.number; /* the old epoch goes on */
    id->role = db->shipper != NULL ? ROLE_LEADER : ROLE_SINGLE;
    id->leader_address[0] = '\0';
    id->leader_data_address[0] = '\0';
    id->follows = FOLLOWS_NAMED;
    db_take_epoch_number(db, r->next_epoch);
    role_enter(r, ROLE_SAVING);
    if (!PLANTED(34)) role_save(r);
}

static void members_promised(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    role_keep_replies(r, replies, count);
    if (is_allowed(r, true)) {
        take(r);
    } else {
        follow_again(r);
    }
}

/* Its own promise is durable: the others are asked for theirs. */
static void ask_for_promises(struct role_machine *r)
{
    const char *addresses[MEMBERS_MAX];
    uint32_t count = members_addresses(r->db, addresses);
    bool is_free = r->db->identity.highest_epoch == r->next_epoch && r->save_code == OK;
    if (is_free && role_claim(r, addresses, count, r->next_epoch, members_promised)) return;
    (void)refuse_contested(r);
    follow_again(r);
}

/* This node promises the number to itself first, durably: nobody else gets it here, and when this
 * process ends before its epoch begins, the next one knows whose number the others hold. */
static void claim(struct role_machine *r)
{
    struct db *db = r->db;
    role_enter(r, ROLE_CLAIMING);
    r->save_code = OK;
    if (r->next_epoch <= db->identity.highest_epoch) { /* promised to another meanwhile */
        ask_for_promises(r);
        return;
    }
    db->identity.highest_epoch = r->next_epoch;
    if (db->shipper != NULL) shipper_on_epoch_seen(db->shipper); /* nothing of a lower one */
    if (!PLANTED(34)) role_save(r); /* planted: the number is not made durable */
}

static void drain(struct role_machine *r)
{
    if (!role_is_receiver_gone(r)) return;
    if (!r->is_succeeding) {
        claim(r);
    } else if (may_succeed(r)) {
        take(r);
    } else {
        follow_again(r);
    }
}

/* --- SAVING, BEGINNING --- */

static enum code begin(struct role_machine *r, struct err *e)
{
    struct db *db = r->db;
    struct epoch epoch = {.number = r->next_epoch, .nonce = r->next_nonce};
    while (epoch.nonce == 0) {
        epoch.nonce = db->env->v->random(db->env);
    }
    struct record_epoch_start start = {
        .epoch = epoch,
        .previous = db->epoch,
        .previous_last = log_durable(db->log).seqno,
        .node_id = slice_of_text(db->identity.node_id),
        .incarnation = db->identity.incarnation,
        .reason = r->is_starting ? EPOCH_RESTART : EPOCH_PROMOTION,
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

/* A later epoch was promised to another node before this one's began: it never does. */
static void give_way(struct role_machine *r)
{
    struct err e = {.code = OK};
    (void)ERR(&e, E_BUSY, "another node claims epoch %llu or a later one; try again",
              (unsigned long long)r->next_epoch);
    role_answer(r, &(struct position){0}, &e);
    db_event(r->db, DB_EVENT_ROLE, "epoch %llu was not begun: a later one is claimed",
             (unsigned long long)r->next_epoch);
    r->db->identity.role = ROLE_FOLLOWER;
    r->seen_epoch = r->db->identity.highest_epoch;
    r->seen_address[0] = '\0';
    role_look(r);
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
    r->unable[0] = r->told[0] = r->fetch.told[0] = '\0';
    if (!r->is_taking_back) {
        role_end(r, NULL);
        return;
    }
    (void)ERR(&e, E_REFUSED, "%s did not take the leadership; this node leads again",
              r->successor.node_id);
    role_end(r, &e);
}

void role_promote_step(struct role_machine *r)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    if (r->step == ROLE_TAKING) {
        start_draining(r);
        return;
    }
    if (r->step == ROLE_DRAINING) {
        drain(r);
        return;
    }
    if (r->step == ROLE_CLAIMING) {
        if (!r->is_saving && r->inquiry == NULL) ask_for_promises(r);
        return;
    }
    if (r->step == ROLE_UNABLE) {
        if (role_now(r) < r->ask_ns || r->inquiry != NULL) return;
        role_start_leading(r);
        return;
    }
    if (r->step == ROLE_SAVING) {
        if (r->is_saving) return;
        if (r->save_code != OK && !PLANTED(34)) {
            (void)ERR(&e, E_POISONED, "identity could not be saved; restart this node");
            role_end(r, &e);
            return;
        }
        if (db->identity.highest_epoch > r->next_epoch) {
            give_way(r);
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
