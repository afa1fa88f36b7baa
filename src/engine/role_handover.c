/* role_handover: the leadership is passed on while everything works, and no write is lost:
 *
 *   HOLDING    new writes wait; the successor stores and applies all there is
 *   PASSING    identity says follower of the successor, and the next epoch's number: synced
 *   then       the successor is told where the history ends and which epoch is next; it leads
 *   AWAITING   its epoch is followed; what waited is answered READONLY with its address
 *
 * Before PASSING nothing has happened: this node leads on. From there on it acknowledges nothing,
 * until it follows - or until the successor, asked, is found to follow still: then it never got or
 * never took the message, whose link is gone, and this node leads again, in an epoch of its own
 * behind the one that was offered. A successor that does not answer may lead: nobody can tell, so
 * this node waits on, read-only, and an operator decides (PROMOTE).
 */
#include <stdio.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/db_internal.h"
#include "engine/levels.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"
#include "engine/shipper.h"
#include "engine/waits.h"
#include "engine/write.h"

#define HANDOVER_TIMEOUT_MS 5000u

static void refuse(struct role_machine *r, enum code code, const char *sentence)
{
    struct err e = {.code = OK};
    (void)ERR(&e, code, "%s", sentence);
    role_end(r, &e);
}

/* --- HOLDING --- */

static bool find_successor(struct role_machine *r, struct slice id, struct err *e)
{
    struct db *db = r->db;
    if (!db_is_leader(db) || db->shipper == NULL) {
        (void)ERR(e, E_READONLY, "this node leads nobody, so it has nothing to hand over");
        return false;
    }
    switch (shipper_find_successor(db->shipper, id, &r->successor)) {
    case SUCCESSOR_READY: return true;
    case SUCCESSOR_UNKNOWN:
        (void)ERR(e, E_NOTFOUND, "no follower has this id; SLOT.LIST names them");
        return false;
    case SUCCESSOR_AWAY:
        (void)ERR(e, E_REFUSED, "that follower is not connected, or its log takes nothing");
        return false;
    case SUCCESSOR_UNREACHABLE:
        (void)ERR(e, E_REFUSED,
                  "that follower has no replication address, so nobody could follow "
                  "it; start it with a replication port");
        return false;
    }
    UNREACHABLE();
}

enum code role_handover(struct role_machine *r, struct err *e)
{
    uint64_t timeout_ms = (uint64_t)r->op->entry.at_ms;
    if (!find_successor(r, r->op->entry.type, e)) return e->code;
    role_enter(r, ROLE_HOLDING);
    r->held_ns = role_now(r);
    r->deadline_ns = r->held_ns + (timeout_ms > 0 ? timeout_ms : HANDOVER_TIMEOUT_MS) * NS_PER_MS;
    db_event(r->db, DB_EVENT_HANDOVER, "writes wait: the leadership is to be handed to %s",
             r->successor.node_id);
    return OK;
}

/* Everything that was taken in is durable, visible and answered here, and held there. */
static bool is_all_passed(const struct role_machine *r)
{
    const struct db *db = r->db;
    struct position end = log_durable(db->log);
    if (log_is_writing(db->log) || write_assigned(db->write).v != end.seqno.v) return false;
    if (db_applied(db).seqno.v != end.seqno.v || !levels_is_empty(db->levels)) return false;
    return shipper_holds_all(db->shipper, r->successor.slot, &end);
}

static void hold(struct role_machine *r)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    if (db->condition != DB_SERVING) {
        role_end(r, &db->reason);
        return;
    }
    db_feed_log(db);
    if (!find_successor(r, slice_of_text(r->successor.node_id), &e)) {
        role_end(r, &e);
        return;
    }
    if (!is_all_passed(r)) {
        if (role_now(r) < r->deadline_ns) return;
        refuse(r, E_TIMEOUT, "the follower did not hold everything in time; this node leads on");
        return;
    }
    r->passed = log_durable(db->log);
    r->next_epoch = db->identity.highest_epoch + 1;
    r->next_nonce = 0;
    while (r->next_nonce == 0) {
        r->next_nonce = db->env->v->random(db->env);
    }
    char why[ERR_TEXT_SIZE];
    (void)snprintf(why, sizeof(why), "the leadership was handed to %s after record %llu",
                   r->successor.node_id, (unsigned long long)r->passed.seqno.v);
    role_enter(r, ROLE_PASSING);
    role_stop_leading(r, why, true);
    role_point_to(r, r->successor.replication_address, r->successor.data_address, r->next_epoch);
    role_save(r);
}

/* --- PASSING, AWAITING --- */

static void pass(struct role_machine *r)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    struct wire_handover message = {
        .position = r->passed,
        .next_epoch = {.number = r->next_epoch, .nonce = r->next_nonce},
    };
    if (r->is_saving) return;
    if (r->save_code != OK) {
        refuse(r, E_POISONED, "identity could not be saved; restart this node");
        return;
    }
    shipper_hand_over(db->shipper, r->successor.slot, &message);
    shipper_yield(db->shipper);
    if (receiver_open(db, &db->receiver, &e) != OK) {
        role_end(r, &e);
        return;
    }
    waits_on_following(db->waits);
    r->ask_ns = role_now(r) + db->config.suspect_ns;
    role_enter(r, ROLE_AWAITING);
}

static void successor_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    struct db *db = r->db;
    ASSERT(count == 1);
    role_keep_replies(r, replies, count);
    const struct inquire_reply *reply = &r->replies[0];
    const struct wire_standing *s = &reply->standing;
    bool is_it = reply->has_answered && strcmp(reply->node_id, r->successor.node_id) == 0;
    bool is_following = is_it && s->role == ROLE_FOLLOWER;
    bool has_led = is_following && s->last.epoch >= r->next_epoch;
    /* Promised now, or before when the answer was lost: an offer that arrives later is refused. */
    bool is_bound =
        is_following && !has_led && (s->is_claim_noted || s->highest_epoch >= r->next_epoch);
    if (is_bound) {
        db_event(db, DB_EVENT_HANDOVER, "%s did not take the leadership: this node leads again",
                 r->successor.node_id);
        role_take_back(r);
        return;
    }
    if (has_led) { /* and was replaced since: who leads now is found as any follower finds it */
        role_answer(r, &r->passed, NULL);
        role_end(r, NULL);
        return;
    }
    bool is_late = role_now(r) >= r->deadline_ns + db->config.suspect_ns;
    if (!is_it && is_late && r->run != NULL) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_UNKNOWN,
                  "%s does not answer and may lead in epoch %llu: this node takes no writes until "
                  "it answers; if it is gone for good, PROMOTE FORCE here",
                  r->successor.node_id, (unsigned long long)r->next_epoch);
        role_answer(r, &r->passed, &e);
        role_release_writes(r); /* to be refused */
    }
    r->ask_ns = role_now(r) + db->config.suspect_ns;
}

static void await(struct role_machine *r)
{
    struct db *db = r->db;
    const char *const addresses[1] = {r->successor.replication_address};
    if (db->receiver != NULL && receiver_epoch(db->receiver) >= r->next_epoch) {
        uint64_t pause_ms = (role_now(r) - r->held_ns) / NS_PER_MS;
        db_event(db, DB_EVENT_HANDOVER, "%s leads epoch %llu; writes waited here for %llu ms",
                 r->successor.node_id, (unsigned long long)r->next_epoch,
                 (unsigned long long)pause_ms);
        role_answer(r, &r->passed, NULL);
        role_end(r, NULL);
        return;
    }
    if (r->inquiry != NULL || role_now(r) < r->ask_ns) return;
    /* It is to promise not to take the number any more, if it did not take it: without that an
     * offer that is still on its way would make it lead beside this node. */
    if (!role_claim(r, addresses, 1, r->next_epoch, successor_answered)) r->ask_ns += NS_PER_S;
}

void role_handover_step(struct role_machine *r)
{
    if (r->step == ROLE_HOLDING) {
        hold(r);
    } else if (r->step == ROLE_PASSING) {
        pass(r);
    } else {
        await(r);
    }
}

/* --- the successor --- */

void role_take_handover(struct db *db, const struct wire_handover *handover)
{
    struct role_machine *r = db->role;
    const struct position *end = &handover->position;
    struct position stored = log_durable(db->log);
    uint64_t number = handover->next_epoch.number;
    bool is_whole = position_equal(&stored, end) && db_applied(db).seqno.v == end->seqno.v &&
                    !log_is_writing(db->log);
    bool is_next = number > db->identity.highest_epoch && number < EPOCH_NUMBER_MAX;
    bool is_able = r->step == ROLE_QUIET && db->reopening == NULL && !r->is_stopped &&
                   db->condition == DB_SERVING && db->receiver != NULL;
    if (!is_whole || !is_next || !is_able) {
        db_event(db, DB_EVENT_HANDOVER,
                 "an offer to lead epoch %llu after record %llu was not taken: %s",
                 (unsigned long long)number, (unsigned long long)end->seqno.v,
                 !is_whole  ? "this node does not hold exactly that"
                 : !is_next ? "a later epoch was seen"
                            : "it is busy or damaged");
        return;
    }
    r->passed = *end;
    r->next_epoch = number;
    r->next_nonce = handover->next_epoch.nonce;
    role_succeed(r);
}
