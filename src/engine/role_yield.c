/* role_yield: a leader becomes a follower: because a later epoch was seen, or because an operator
 * names a leader of one. What it holds and that leader does not is given up by the handshake, never
 * here. */
#include <stdio.h>

#include "base/assert.h"
#include "base/taken.h"
#include "base/text.h"
#include "core/demote.h"
#include "engine/checkpoint.h"
#include "engine/members.h"
#include "engine/queue.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"
#include "engine/shipper.h"
#include "engine/ticker.h"
#include "engine/waits.h"
#include "engine/write.h"

static bool is_of_ours(const struct db *db, const struct inquire_reply *reply)
{
    return reply->has_answered && id128_equal(&reply->standing.cluster, &db->identity.cluster);
}

void role_stop_leading(struct role_machine *r, const char *why, bool is_handover)
{
    struct db *db = r->db;
    struct err e = {.code = OK};
    ASSERT(db_is_leader(db));
    (void)ERR(&e, E_READONLY, "%s", why);
    db_event(db, DB_EVENT_ROLE, "%s", why);
    db->is_leading = false;
    db->identity.role = ROLE_FOLLOWER;
    if (db->shipper != NULL && !is_handover) shipper_yield(db->shipper);
    ticker_free(db->ticker);
    db->ticker = NULL;
    write_free(db->write); /* what was not handed to the log was acknowledged to nobody */
    db->write = NULL;
    if (!is_handover) queue_fail_all(db->queue, E_READONLY, why); /* who waits: UNKNOWN */
    checkpointer_fail(db->checkpointer, &e);
}

void role_point_to(struct role_machine *r, const char *address, const char *data_address,
                   uint64_t epoch)
{
    struct identity *id = &r->db->identity;
    ASSERT(!db_is_leader(r->db));
    id->role = ROLE_FOLLOWER;
    id->follows = FOLLOWS_LEADER;
    (void)snprintf(id->leader_address, sizeof(id->leader_address), "%s", address);
    (void)snprintf(id->leader_data_address, sizeof(id->leader_data_address), "%s", data_address);
    if (epoch > id->highest_epoch) id->highest_epoch = epoch;
}

void role_turn_to(struct role_machine *r, const char *address, const char *data_address,
                  uint64_t epoch)
{
    role_point_to(r, address, data_address, epoch);
    role_enter(r, ROLE_YIELDING);
    role_save(r);
}

void role_yield_step(struct role_machine *r)
{
    struct err e = {.code = OK};
    if (r->is_saving) return;
    if (r->db->receiver == NULL && receiver_open(r->db, &r->db->receiver, &e) != OK) {
        role_end(r, &e);
        return;
    }
    waits_on_following(r->db->waits);
    role_end(r, NULL);
}

/* --- told to --- */

static void named_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    struct db *db = r->db;
    ASSERT(count == 1);
    role_keep_replies(r, replies, count);
    const struct inquire_reply *reply = &r->replies[0];
    const struct wire_standing *s = &reply->standing;
    struct demote_facts facts = {
        .has_answered = reply->has_answered,
        .is_self = reply->has_answered && strcmp(reply->node_id, db->identity.node_id) == 0,
        .is_cluster_equal = is_of_ours(db, reply),
        .is_leading = s->role != ROLE_FOLLOWER && s->is_serving,
        .its_epoch = s->last.epoch,
        .my_epoch = db->epoch.number,
        .address = slice_of_text(reply->address),
        .its_leader = slice_of_text(reply->leader_address),
    };
    enum demote_verdict verdict = demote_decide(&facts);
    TAKEN(TAKEN_DEMOTE, 0, verdict);
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    demote_explain(&facts, verdict, &t);
    if (verdict != DEMOTE_FOLLOW) {
        struct err e = {.code = OK};
        (void)ERR(&e, E_REFUSED, "%s", sentence);
        role_end(r, &e);
        return;
    }
    if (db_is_leader(db)) role_stop_leading(r, sentence, false);
    role_turn_to(r, reply->address, reply->data_address, s->last.epoch);
}

enum code role_turn(struct role_machine *r, struct err *e)
{
    char address[ADDRESS_SIZE_MAX + 1] = {0};
    const char *const addresses[1] = {address};
    struct slice named = r->op->entry.type;
    memcpy(address, named.data, named.size);
    role_enter(r, ROLE_TURNING);
    if (role_ask(r, addresses, 1, named_answered)) return OK;
    role_enter(r, ROLE_QUIET);
    return ERR(e, E_NOMEMORY, "no memory to ask %s", address);
}

/* --- a later epoch was seen --- */

const struct inquire_reply *role_find_leader(const struct role_machine *r,
                                             const struct inquire_reply *replies, uint32_t count,
                                             uint64_t at_least)
{
    const struct inquire_reply *best = NULL;
    for (uint32_t i = 0; i < count; i++) {
        const struct inquire_reply *reply = &replies[i];
        const struct wire_standing *s = &reply->standing;
        bool is_self = strcmp(reply->node_id, r->db->identity.node_id) == 0;
        bool leads = is_of_ours(r->db, reply) && !is_self && s->role != ROLE_FOLLOWER &&
                     s->is_serving && s->last.epoch >= at_least;
        if (leads && (best == NULL || s->last.epoch > best->standing.last.epoch)) best = reply;
    }
    return best;
}

static void others_answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    role_keep_replies(r, replies, count);
    const struct inquire_reply *leader =
        role_find_leader(r, r->replies, r->reply_count, r->db->epoch.number + 1);
    /* Nobody leads yet that could be found: who told of the epoch knows, or will. */
    role_turn_to(r, leader != NULL ? leader->address : r->seen_address,
                 leader != NULL ? leader->data_address : "", r->seen_epoch);
}

void role_depose(struct role_machine *r)
{
    char why[ERR_TEXT_SIZE];
    if (r->step != ROLE_QUIET) { /* the leadership ends, and with it what was to be done with it */
        struct err e = {.code = OK};
        (void)ERR(&e, E_READONLY, "this node was deposed meanwhile");
        inquiry_free(r->inquiry);
        r->inquiry = NULL;
        role_end(r, &e);
    }
    (void)snprintf(why, sizeof(why),
                   "this node led in epoch %llu and leads no longer: epoch %llu has begun",
                   (unsigned long long)r->db->epoch.number, (unsigned long long)r->seen_epoch);
    role_stop_leading(r, why, false);
    role_look(r);
}

void role_look(struct role_machine *r)
{
    const char *addresses[MEMBERS_MAX];
    uint32_t count = members_addresses(r->db, addresses);
    if (r->seen_address[0] != '\0' && count < MEMBERS_MAX) addresses[count++] = r->seen_address;
    role_enter(r, ROLE_LOOKING);
    if (!role_ask(r, addresses, count, others_answered)) others_answered(r, r->replies, 0);
}
