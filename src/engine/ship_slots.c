/* ship_slots: see ship_slots.h. */
#include "engine/ship_slots.h"

#include <math.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/text.h"
#include "core/chain.h"
#include "core/slots_judge.h"
#include "engine/events.h"
#include "engine/members.h"
#include "engine/queue.h"
#include "engine/read.h"
#include "engine/retention.h"
#include "engine/shipper_internal.h"

/* A drop or rename that waits until it is on disk. In the run's memory. */
struct slot_order {
    struct slot_order *next;
    struct tide_run *run;
    struct op *op;
    bool is_in_save; /* the save under way has it */
};

/* --- telling --- */

static void tell_at_risk(struct shipper *s, const struct slot *slot)
{
    char when[64] = "";
    struct text t = text_of(when, sizeof(when));
    if (isfinite(slot->seconds_until_lost)) {
        text_add(&t, "; at the present rate it is lost in %.0f s", slot->seconds_until_lost);
    }
    db_event(s->db, DB_EVENT_SLOT,
             "slot %s is at risk: %s, %llu bytes of log are kept for it, %llu s without a link%s",
             slot->record.node_id, slot->is_connected ? "connected" : "not connected",
             (unsigned long long)slot->held_bytes,
             (unsigned long long)(slot->record.idle_ns / NS_PER_S), when);
}

static void tell_lost(struct shipper *s, const struct slot *slot)
{
    db_event(s->db, DB_EVENT_INVALIDATION,
             "slot %s is lost (%s): the log is no longer kept for it from record %llu on",
             slot->record.node_id, slot_reason_name(slot->record.reason),
             (unsigned long long)slot->record.restart.v);
}

/* A slot was given up: its link ends, whoever waited for its copy looks again. */
static void end_lost(struct shipper *s, uint32_t index)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    const struct slot *slot = &s->table.slots[index];
    text_add(&t, "the slot was invalidated: %s", slot_reason_name(slot->record.reason));
    if (s->by_slot[index] != NULL) ship_link_end(s->by_slot[index], REFUSE_LOST, sentence);
}

void ship_slots_provision(struct shipper *s)
{
    struct db *db = s->db;
    const struct topology *known = members_topology(db);
    struct slot_member members[TOPOLOGY_MAX];
    uint32_t count = 0;
    for (uint32_t i = 0; i < known->count; i++) {
        const struct topology_member *m = &known->members[i];
        if (strcmp(m->node_id, db->identity.node_id) == 0) continue;
        members[count++] = (struct slot_member){.node_id = slice_of_text(m->node_id),
                                                .data_address = slice_of_text(m->data_address),
                                                .is_voter = m->is_voter};
    }
    seqno floor = seqno_min(db->members_floor, log_durable(db->log).seqno);
    uint32_t made = slots_provision(&s->table, members, count, floor, shipper_now(s),
                                    log_durable_bytes(db->log));
    if (made == 0) return;
    db_event(db, DB_EVENT_SLOT, "%u members have a slot from record %llu on until they come back",
             made, (unsigned long long)floor.v);
}

void ship_slots_drop_above(struct shipper *s, struct slice path)
{
    for (uint32_t i = 0; i < s->table.count && !s->table.is_closed; i++) {
        const struct slot *slot = &s->table.slots[i];
        if (slot->is_leaving || !chain_has(path, slice_of_text(slot->record.node_id))) continue;
        db_event(s->db, DB_EVENT_SLOT, "slot %s is dropped: this node follows it",
                 slot->record.node_id);
        slots_drop(&s->table, i, s->db->env->v->now_wall_ms(s->db->env));
        end_lost(s, i);
        shipper_arm(s);
    }
}

/* --- judging --- */

static struct slots_limits limits_of(const struct shipper *s)
{
    const struct config *c = &s->db->config;
    return (struct slots_limits){
        .bytes = c->slot_budget_bytes,
        .records = c->slot_budget_records,
        .idle_ns = c->slot_idle_timeout_ns,
    };
}

void ship_slots_judge(struct shipper *s)
{
    uint64_t now_ns = shipper_now(s); /* not before any link ended */
    struct slots *t = &s->table;
    const struct log *log = s->db->log;
    if (log == NULL || s->is_closing || !s->is_serving) return;
    growth_note(&s->growth_bytes, now_ns, log_durable_bytes(log));
    growth_note(&s->growth_records, now_ns, log_durable(log).seqno.v);
    s->judged_ns = now_ns;
    s->judged_bytes = log_durable_bytes(log);
    uint64_t held_bytes[SLOTS_MAX];
    enum slots_news news[SLOTS_MAX];
    for (uint32_t i = 0; i < t->count; i++) {
        held_bytes[i] = log_bytes_after(log, t->slots[i].record.restart);
    }
    struct slots_moment m = {
        .now_ns = now_ns,
        .wall_ms = s->db->env->v->now_wall_ms(s->db->env),
        .durable = log_durable(log).seqno,
        .oldest = log_oldest(log),
        .log_bytes = s->judged_bytes,
        .held_bytes = held_bytes,
        .bytes_per_s = s->growth_bytes.per_s,
        .records_per_s = s->growth_records.per_s,
        .limits = limits_of(s),
    };
    if (!slots_judge(t, &m, news)) return;
    bool is_any_lost = false;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct slot *slot = &t->slots[i];
        switch (news[i]) {
        case SLOT_NEWS_NONE: break;
        case SLOT_NEWS_AT_RISK: tell_at_risk(s, slot); break;
        case SLOT_NEWS_SAFE:
            db_event(s->db, DB_EVENT_SLOT, "slot %s is no longer at risk", slot->record.node_id);
            break;
        case SLOT_NEWS_LOST:
            is_any_lost = true;
            tell_lost(s, slot);
            end_lost(s, i);
            break;
        }
    }
    if (is_any_lost) shipper_on_stored(s, SLOT_NONE);
    shipper_arm(s);
}

/* The one whose loss would let log go; SLOT_NONE: none. */
static uint32_t farthest_of(const struct shipper *s, uint64_t min_bytes)
{
    if (!s->is_serving || s->is_closing || s->db->log == NULL) return SLOT_NONE;
    uint32_t i = slots_farthest(&s->table, log_durable(s->db->log).seqno);
    if (i == SLOT_NONE) return SLOT_NONE;
    uint64_t held = log_bytes_after(s->db->log, s->table.slots[i].record.restart);
    return held >= min_bytes ? i : SLOT_NONE;
}

uint64_t shipper_slow_ns(const struct shipper *s)
{
    return s->is_serving ? slots_slow_ns(&s->table) : 0;
}

void shipper_press(struct shipper *s, bool is_pressed, uint64_t min_bytes)
{
    slots_press(&s->table, is_pressed ? farthest_of(s, min_bytes) : SLOT_NONE);
}

bool shipper_lose_farthest(struct shipper *s, uint64_t min_bytes)
{
    uint32_t i = farthest_of(s, min_bytes);
    if (i == SLOT_NONE) return false;
    slots_lose(&s->table, i, SLOT_REASON_HORIZON_BYTES, s->db->env->v->now_wall_ms(s->db->env));
    tell_lost(s, &s->table.slots[i]);
    end_lost(s, i);
    shipper_on_stored(s, SLOT_NONE);
    shipper_arm(s);
    return true;
}

uint64_t ship_slots_due_ns(const struct shipper *s)
{
    if (s->table.count == 0 || s->db->log == NULL || !s->is_serving) return UINT64_MAX;
    return s->judged_ns + SLOTS_JUDGE_NS;
}

void ship_slots_on_durable(struct shipper *s)
{
    uint64_t step = SLOTS_JUDGE_BYTES;
    uint64_t part = s->db->config.slot_budget_bytes / 64;
    if (part < step) step = part;
    if (s->table.count == 0) return;
    if (log_durable_bytes(s->db->log) - s->judged_bytes < step) return;
    ship_slots_judge(s);
}

/* --- saving --- */

void ship_slots_save(struct shipper *s)
{
    for (struct slot_order *o = s->orders; o != NULL; o = o->next) {
        o->is_in_save = true;
    }
    slots_store_save(&s->store, &s->table);
}

static void remove_slot(struct shipper *s, uint32_t index)
{
    char node_id[NODE_ID_SIZE_MAX + 1];
    memcpy(node_id, s->table.slots[index].record.node_id, sizeof(node_id));
    slots_remove(&s->table, index);
    ASSERT(s->by_slot[index] == NULL);
    for (uint32_t i = index; i < s->table.count; i++) {
        s->peers[i] = s->peers[i + 1];
        s->by_slot[i] = s->by_slot[i + 1];
        if (s->by_slot[i] != NULL) s->by_slot[i]->slot = i;
    }
    s->peers[s->table.count] = (struct lag_peer){0};
    s->by_slot[s->table.count] = NULL;
    if (db_is_leader(s->db)) members_drop(s->db, node_id); /* else the list is not this node's */
}

/* Answer the orders of the save that ended, the oldest first. Answering may bring new ones. */
static void answer_orders(struct shipper *s, enum code code, const struct err *e)
{
    struct slot_order *ready = NULL;
    struct slot_order **end = &ready;
    for (struct slot_order **at = &s->orders; *at != NULL;) {
        struct slot_order *o = *at;
        if (!o->is_in_save) {
            at = &o->next;
            continue;
        }
        *at = o->next;
        o->next = NULL;
        *end = o;
        end = &o->next;
    }
    while (ready != NULL) {
        struct slot_order *o = ready;
        ready = o->next;
        o->op->result = (struct tide_result){.kind = TIDE_RESULT_NONE};
        if (code != OK) read_fail(o->run, o->op, e);
        queue_resume(s->db->queue, o->run);
    }
}

void ship_slots_save_ended(struct shipper *s, enum code code, const struct err *e)
{
    if (code == OK && slots_saved(&s->table)) {
        for (uint32_t i = slots_next_left(&s->table); i != SLOT_NONE;) {
            remove_slot(s, i);
            i = slots_next_left(&s->table);
        }
        if (!s->is_closing) shipper_on_stored(s, SLOT_NONE);
        if (!s->is_closing && s->db->retention != NULL) retention_look(s->db->retention);
    }
    answer_orders(s, code, e);
}

void ship_slots_forget(struct shipper *s)
{
    struct err e = {.code = OK};
    enum code code = ERR(&e, E_READONLY, "this node leads no longer; ask the new leader");
    for (struct slot_order *o = s->orders; o != NULL; o = o->next) {
        o->is_in_save = true;
    }
    answer_orders(s, code, &e);
}

/* --- orders of an operator --- */

static enum code drop(struct shipper *s, uint32_t index)
{
    const struct slot *slot = &s->table.slots[index];
    db_event(s->db, DB_EVENT_SLOT, "slot %s is dropped by an operator at record %llu",
             slot->record.node_id, (unsigned long long)slot->record.restart.v);
    slots_drop(&s->table, index, s->db->env->v->now_wall_ms(s->db->env));
    end_lost(s, index);
    shipper_on_stored(s, SLOT_NONE);
    return OK;
}

static enum code rename_slot(struct shipper *s, uint32_t index, struct slice new_id, struct err *e)
{
    const struct slot *slot = &s->table.slots[index];
    char shown[96];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, new_id, NODE_ID_SIZE_MAX);
    if (!is_node_id(new_id)) {
        return ERR(e, E_INVALID, "'%s' is no node id: 1 to 64 letters, digits, dots, _ or -",
                   shown);
    }
    if (slots_find(&s->table, new_id) != SLOT_NONE ||
        slice_equal(new_id, slice_of_text(s->db->identity.node_id))) {
        return ERR(e, E_INVALID, "'%s' is the id of another node; drop its slot first", shown);
    }
    if (slot->is_connected) {
        return ERR(e, E_BUSY, "%s is connected under this id: stop it, rename, start it as %s",
                   slot->record.node_id, shown);
    }
    db_event(s->db, DB_EVENT_SLOT, "slot %s is called %s now", slot->record.node_id, shown);
    char old_id[NODE_ID_SIZE_MAX + 1];
    memcpy(old_id, slot->record.node_id, sizeof(old_id));
    slots_rename(&s->table, index, new_id);
    /* Else the next start makes a slot for it. */
    if (db_is_leader(s->db)) members_drop(s->db, old_id);
    return OK;
}

enum code ship_slots_op(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    struct shipper *s = db->shipper;
    char shown[96];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, op->entry.type, NODE_ID_SIZE_MAX);
    if (s == NULL || !s->is_serving || db->log == NULL) {
        return ERR(e, E_READONLY, "this node keeps no slots; ask the leader");
    }
    if (s->is_closing) return ERR(e, E_CLOSED, "the node is closing");
    if (s->table.is_closed) {
        return ERR(e, E_CORRUPT,
                   "the slot catalogue could not be read when this node opened: "
                   "restore the file slots, or remove it, and start the node again");
    }
    uint32_t index = slots_find(&s->table, op->entry.type);
    if (index == SLOT_NONE || s->table.slots[index].is_leaving) {
        return ERR(e, E_NOTFOUND, "there is no slot '%s'; SLOT.LIST shows all", shown);
    }
    struct slot_order *order = run_take(run, sizeof(*order));
    if (order == NULL) return ERR(e, E_NOMEMORY, "no memory for the answer");
    TRY(op->kind == OP_SLOT_DROP ? drop(s, index) : rename_slot(s, index, op->entry.item, e));
    *order = (struct slot_order){.run = run, .op = op};
    struct slot_order **at = &s->orders;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = order;
    shipper_arm(s);
    return OK;
}
