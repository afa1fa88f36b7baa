/* shipper: the listener, the table of followers, the clock of all links. What happens on one link
 * is in ship_link.c. */
#include "engine/shipper.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "core/chain.h"
#include "core/slots_judge.h"
#include "engine/bootstrap_serve.h"
#include "engine/db_internal.h"
#include "engine/freshness.h"
#include "engine/levels.h"
#include "engine/receiver.h"
#include "engine/ship_slots.h"
#include "engine/shipper_internal.h"
#include "engine/transport.h"
#include "engine/voters.h"

static void timer_fired(struct env_timer *timer);
static void close_further(struct shipper *s);

seqno shipper_durable(const struct shipper *s)
{
    return s->db->log != NULL ? log_durable(s->db->log).seqno : SEQNO_NONE;
}

bool shipper_serves(const struct shipper *s)
{
    const struct db *db = s->db;
    if (!s->is_serving || db->log == NULL || db_is_leader(db)) return s->is_serving;
    return s->followed.number > 0 && s->followed.number >= db->identity.highest_epoch;
}

struct epoch shipper_epoch(const struct shipper *s)
{
    return db_is_leader(s->db) ? s->db->epoch : s->followed;
}

void shipper_told(const struct shipper *s, struct shipper_told *out)
{
    const struct db *db = s->db;
    *out = (struct shipper_told){.committed = shipper_committed(s), .floor = shipper_floor(s)};
    if (db->log != NULL) out->durable = log_durable(db->log);
    if (db->log != NULL) out->durable_bytes = log_durable_bytes(db->log);
    out->durable_seqno = out->durable.seqno;
    if (db_is_leader(db)) return;
    struct receiver_heard heard = {.is_cut = true};
    if (db->receiver != NULL) receiver_heard(db->receiver, &heard);
    if (heard.durable.seqno.v > out->durable.seqno.v) out->durable = heard.durable;
    out->durable_seqno = seqno_max(out->durable_seqno, heard.durable_seqno);
    if (heard.durable_bytes > out->durable_bytes) out->durable_bytes = heard.durable_bytes;
    out->committed = seqno_min(heard.committed, shipper_durable(s));
    out->floor = seqno_min(out->floor, heard.floor); /* 0: nothing was told, all is kept */
    out->is_cut = heard.is_cut;
    out->path = heard.path;
}

/* What is committed by now: a leader's to say. */
static void commit(struct shipper *s)
{
    struct quorum quorum;
    if (!db_is_leader(s->db)) return;
    levels_quorum(s->db, &quorum);
    if (s != s->db->shipper) shipper_fill_quorum(s, &quorum); /* while it is being opened */
    seqno committed = slots_commit(&s->table, quorum_committed(&quorum));
    if (s->db->log != NULL) log_note_committed(s->db->log, committed);
}

static uint64_t durable_bytes(const struct shipper *s)
{
    return s->db->log != NULL ? log_durable_bytes(s->db->log) : 0;
}

/* --- leases --- */

struct lease *lease_take(struct shipper *s, struct log_chunk *chunk)
{
    struct lease *lease = s->leases_free;
    if (lease != NULL) {
        s->leases_free = lease->next_free;
    } else {
        lease = alloc_get(s->db->alloc, sizeof(*lease));
        if (lease == NULL) return NULL;
        lease->shipper = s;
        lease->next_made = s->leases_made;
        s->leases_made = lease;
    }
    ASSERT(lease->chunk == NULL);
    chunk_ref(chunk);
    lease->chunk = chunk;
    return lease;
}

void lease_release(void *arg)
{
    struct lease *lease = arg;
    struct shipper *s = lease->shipper;
    ASSERT(lease->chunk != NULL);
    chunk_unref(s->db->log, lease->chunk);
    lease->chunk = NULL;
    lease->next_free = s->leases_free;
    s->leases_free = lease;
    close_further(s);
}

static void leases_free(struct shipper *s)
{
    while (s->leases_made != NULL) {
        struct lease *lease = s->leases_made;
        s->leases_made = lease->next_made;
        if (lease->chunk != NULL) chunk_unref(s->db->log, lease->chunk);
        alloc_put(s->db->alloc, lease, sizeof(*lease));
    }
}

/* --- listening --- */

/* One link too many: the peer sees a closed link and comes back later. */
static void nobody_receives(struct env_link *link, void *arg, struct slice bytes)
{
    (void)link;
    (void)arg;
    (void)bytes;
}
static void nobody_is_told(struct env_link *link, void *arg)
{
    (void)link;
    (void)arg;
}
static void nobody_closes(struct env_link *link, void *arg, const struct err *e)
{
    (void)link;
    (void)arg;
    (void)e;
}
static const struct env_link_events turned_away = {
    .opened = nobody_is_told,
    .received = nobody_receives,
    .drained = nobody_is_told,
    .closed = nobody_closes,
};

static void accept_link(struct env_link *env_link, const char *peer_address, void *arg,
                        const struct env_link_events **out_events, void **out_arg)
{
    struct shipper *s = arg;
    struct env *env = s->db->env;
    struct ship_link *link = NULL;
    if (!s->is_closing && s->link_count < SHIP_LINKS_MAX) link = ship_link_new(s, env_link);
    if (link == NULL) {
        if (!s->is_closing) { /* the trace may be another thread's while the data is opened anew */
            trace_add(&s->db->trace, shipper_now(s), "turned %s away: %u links", peer_address,
                      (unsigned)s->link_count);
        }
        *out_events = &turned_away;
        *out_arg = NULL;
        env->v->link_close(env, env_link);
        return;
    }
    link->next = s->links;
    s->links = link;
    s->link_count++;
    *out_events = &ship_link_events;
    *out_arg = link;
    shipper_arm(s);
}

/* The replication address as others reach it: the host of the data address, the port listened on.
 */
static void fill_address(struct config *config, const char *listened, uint16_t port)
{
    if (config->replication_address[0] != '\0') return;
    const char *known = config->data_address[0] != '\0' ? config->data_address : listened;
    const char *colon = strrchr(known, ':');
    size_t host_size = colon != NULL ? (size_t)(colon - known) : strlen(known);
    if (host_size > ADDRESS_SIZE_MAX - 6) host_size = ADDRESS_SIZE_MAX - 6;
    (void)snprintf(config->replication_address, sizeof(config->replication_address), "%.*s:%u",
                   (int)host_size, known, (unsigned)port);
}

/* Who votes is in the log, not in the catalogue. */
static void mark_voters(struct shipper *s)
{
    struct record_members members;
    voters_list(s->db, &members);
    for (uint32_t i = 0; i < s->table.count; i++) {
        struct slot_record *record = &s->table.slots[i].record;
        record->is_voter = members_is_voter(&members, slice_of_text(record->node_id));
    }
}

static seqno epoch_start_of(const struct identity *id)
{
    return id->epoch_count > 0 ? id->epochs[id->epoch_count - 1].start : SEQNO_NONE;
}

/* A follower that was opened: the log says whose history it is, unless a later epoch was seen
 * since, or this node wrote the end of it itself. */
static struct epoch followed_at_open(const struct db *db)
{
    const struct identity *id = &db->identity;
    bool is_led = id->led_count > 0 && id->led[id->led_count - 1] == db->epoch.number;
    bool is_known = db->log != NULL && db->epoch.number == id->highest_epoch && !is_led;
    return is_known ? db->epoch : (struct epoch){0};
}

static void load_table(struct shipper *s)
{
    struct db *db = s->db;
    const struct identity *id = &db->identity;
    slots_init(&s->table, db->epoch.number, epoch_start_of(id));
    lag_times_init(&s->times, shipper_durable(s));
    struct err e;
    if (slots_store_load(db->env, &s->table, shipper_now(s), &e) != OK) {
        db_event(db, DB_EVENT_SLOT, "%s", e.text);
        db_add_note(db, e.text);
    }
    s->followed = (struct epoch){0};
}

static void serve(struct shipper *s)
{
    mark_voters(s);
    s->is_serving = true;
    commit(s);
}

/* Slots of an epoch that this node led are of those that follow its leader. */
static void keep_own(struct shipper *s)
{
    const struct identity *id = &s->db->identity;
    slots_keep_others(&s->table, id->led, id->led_count);
}

/* While a file may be read on the loop. A node that is to lead, and does not yet, serves when it
 * leads, or follows after all. */
static void open_table(struct shipper *s)
{
    struct db *db = s->db;
    load_table(s);
    if (db->identity.role == ROLE_FOLLOWER) {
        keep_own(s);
        s->followed = followed_at_open(db);
    }
    if (db_is_leader(db) || db->identity.role == ROLE_FOLLOWER) serve(s);
}

/* Of followers; who only asks still gets its answer. */
static void end_links(struct shipper *s, uint8_t reason, const char *text)
{
    for (struct ship_link *link = s->links; link != NULL; link = link->next) {
        if (link->ship.session != 0) ship_link_end(link, reason, text);
    }
}

void shipper_lead(struct shipper *s)
{
    const struct db *db = s->db;
    end_links(s, WIRE_END_CLOSING, "this node leads now");
    memset(s->peers, 0, sizeof(s->peers));
    slots_begin_epoch(&s->table, db->epoch.number, epoch_start_of(&db->identity));
    lag_times_init(&s->times, shipper_durable(s));
    s->followed = (struct epoch){0};
    serve(s);
    if (!s->table.is_closed) ship_slots_provision(s);
    shipper_arm(s);
}

enum successor_state shipper_find_successor(const struct shipper *s, struct slice node_id,
                                            struct successor *out)
{
    uint32_t index = slots_find(&s->table, node_id);
    if (index == SLOT_NONE) return SUCCESSOR_UNKNOWN;
    const struct slot *slot = &s->table.slots[index];
    const struct ship_link *link = s->by_slot[index];
    if (link == NULL || !slot->is_connected || !slot->is_vouched || slot->is_poisoned) {
        return SUCCESSOR_AWAY;
    }
    const char *address = link->replication_address;
    if (address[0] == '\0' || transport_is_meant(address)) return SUCCESSOR_UNREACHABLE;
    out->slot = index;
    memcpy(out->node_id, slot->record.node_id, sizeof(out->node_id));
    memcpy(out->data_address, link->data_address, sizeof(out->data_address));
    memcpy(out->replication_address, address, sizeof(out->replication_address));
    return SUCCESSOR_READY;
}

bool shipper_holds_all(const struct shipper *s, uint32_t slot, const struct position *end)
{
    const struct slot *held = &s->table.slots[slot];
    return position_equal(&held->stored, end) && held->record.applied.v == end->seqno.v;
}

void shipper_hand_over(struct shipper *s, uint32_t slot, const struct wire_handover *handover)
{
    struct ship_link *link = s->by_slot[slot];
    if (link == NULL) return; /* it is gone: whoever waits asks */
    struct wire_message m = {
        .kind = WIRE_HANDOVER, .session = link->ship.session, .as.handover = *handover};
    frames_send(&link->frames, &m);
}

void shipper_yield(struct shipper *s)
{
    end_links(s, WIRE_END_FENCED, "this node leads no longer");
    memset(&s->table, 0, sizeof(s->table));
    memset(s->peers, 0, sizeof(s->peers));
    lag_times_init(&s->times, shipper_durable(s));
    s->followed = (struct epoch){0};
    ship_slots_forget(s);
    shipper_arm(s);
}

void shipper_follow(struct shipper *s, const struct epoch *epoch, struct slice path)
{
    bool is_same = s->followed.number == epoch->number && s->followed.nonce == epoch->nonce;
    ASSERT(!db_is_leader(s->db));
    if (!is_same) {
        if (!s->is_serving) keep_own(s); /* it was to lead, and follows */
        end_links(s, WIRE_END_CLOSING, "this node follows another epoch");
        slots_begin_epoch(&s->table, epoch->number, SEQNO_NONE);
        lag_times_init(&s->times, shipper_durable(s));
        s->followed = *epoch;
        if (!s->is_serving) serve(s);
        shipper_arm(s);
    }
    ship_slots_drop_above(s, path);
}

void shipper_on_epoch_seen(struct shipper *s)
{
    char text[96];
    uint64_t seen = s->db->identity.highest_epoch;
    if (db_is_leader(s->db) || s->followed.number == 0 || s->followed.number >= seen) return;
    (void)snprintf(text, sizeof(text), "epoch %llu was seen, and this node does not follow it yet",
                   (unsigned long long)seen);
    s->followed = (struct epoch){0};
    end_links(s, WIRE_END_FENCED, text);
    shipper_arm(s);
}

bool shipper_holds_log(const struct shipper *s)
{
    bool is_unknown = !s->is_serving || s->table.is_closed; /* who may come back */
    return db_is_leader(s->db) || is_unknown || s->table.count > 0;
}

static void save_done(void *arg, enum code code, const struct err *e)
{
    struct shipper *s = arg;
    uint64_t now_ns = shipper_now(s);
    if (code != OK) {
        db_event(s->db, DB_EVENT_SLOT, "the slot catalogue was not saved: %s", e->text);
        slots_save_failed(&s->table, now_ns, durable_bytes(s));
    }
    ship_slots_save_ended(s, code, e);
    shipper_arm(s);
}

enum code shipper_listen(struct shipper *s, struct env_network *network, const char *address,
                         struct err *e)
{
    struct env *env = s->db->env;
    struct config *config = &s->db->config;
    struct env_listener **out = &s->listeners[s->listener_count];
    uint16_t port = 0;
    if (s->listener_count == SHIP_LISTENERS_MAX) {
        return ERR(e, E_LIMIT, "this node listens at %u addresses; more are not allowed",
                   SHIP_LISTENERS_MAX);
    }
    if (network == NULL) {
        TRY(env->v->listen(env, address, accept_link, s, out, &port, e));
        fill_address(config, address, port);
    } else {
        TRY(env->v->listen_on(env, network, address, accept_link, s, out, e));
        if (config->replication_address[0] == '\0') {
            (void)snprintf(config->replication_address, sizeof(config->replication_address), "%s%s",
                           TIDE_TRANSPORT, address);
        }
    }
    s->listener_count++;
    return OK;
}

static void unlisten(struct shipper *s)
{
    struct env *env = s->db->env;
    while (s->listener_count > 0) {
        env->v->unlisten(env, s->listeners[--s->listener_count]);
    }
}

enum code shipper_open(struct db *db, struct shipper **out, struct err *e)
{
    struct env *env = db->env;
    struct shipper *s = alloc_get(db->alloc, sizeof(*s));
    if (s == NULL) return ERR(e, E_NOMEMORY, "no memory for the replication listener");
    s->db = db;
    s->timer = (struct env_timer){.fire = timer_fired, .env = env};
    enum code code = slots_store_init(&s->store, env, save_done, s, e);
    if (code == OK) open_table(s);
    const char *address = db->config.replication_listen;
    if (code == OK && !transport_is_meant(address)) code = shipper_listen(s, NULL, address, e);
    if (code != OK) {
        shipper_free(s);
        return code;
    }
    *out = s;
    shipper_arm(s); /* budgets are judged also while nobody connects */
    return OK;
}

/* --- closing --- */

void shipper_free(struct shipper *s)
{
    if (s == NULL) return;
    unlisten(s);
    while (s->links != NULL) {
        struct ship_link *link = s->links;
        s->links = link->next;
        ship_link_free(link);
    }
    leases_free(s);
    slots_store_fini(&s->store);
    s->db->env->v->timer_close(s->db->env, &s->timer);
    alloc_put(s->db->alloc, s, sizeof(*s));
}

static bool is_anything_lent(const struct shipper *s)
{
    for (const struct lease *lease = s->leases_made; lease != NULL; lease = lease->next_made) {
        if (lease->chunk != NULL) return true;
    }
    return false;
}

/* Closing goes on when a link is gone or a save is done: links first, then what is unsaved. */
static void close_further(struct shipper *s)
{
    if (!s->is_closing || s->links != NULL || s->store.is_saving || is_anything_lent(s)) return;
    if (s->table.is_dirty && !s->table.is_closed && s->closed != NULL) {
        ship_slots_save(s);
        s->table.is_closed = true; /* one try: what is on disk is never ahead of the truth */
        return;
    }
    void (*closed)(void *arg) = s->closed;
    s->closed = NULL;
    if (closed != NULL) closed(s->closed_arg);
}

void shipper_suspend(struct shipper *s, void (*done)(void *arg), void *arg)
{
    s->is_closing = true;
    s->closed = done;
    s->closed_arg = arg;
    for (struct ship_link *link = s->links; link != NULL; link = link->next) {
        ship_link_close(link);
    }
    slots_settle(&s->table, shipper_now(s), durable_bytes(s));
    s->db->env->v->timer_stop(s->db->env, &s->timer);
    close_further(s);
}

void shipper_close(struct shipper *s, void (*done)(void *arg), void *arg)
{
    unlisten(s);
    shipper_suspend(s, done, arg);
}

void shipper_reload(struct shipper *s)
{
    ASSERT(s->is_closing && s->links == NULL);
    memset(s->peers, 0, sizeof(s->peers));
    memset(s->by_slot, 0, sizeof(s->by_slot));
    memset(&s->table, 0, sizeof(s->table));
    s->is_serving = false;
    open_table(s);
}

void shipper_resume(struct shipper *s)
{
    s->is_closing = false;
    shipper_arm(s);
}

void shipper_forget(struct shipper *s, struct ship_link *link)
{
    ASSERT(link->env_link == NULL);
    ASSERT(!link->is_proving && !link->is_reading && !link->is_noting);
    struct ship_link **at = &s->links;
    while (*at != link) {
        at = &(*at)->next;
    }
    *at = link->next;
    s->link_count--;
    ship_link_free(link);
    close_further(s);
}

/* --- the clock --- */

void shipper_arm(struct shipper *s)
{
    if (s->is_closing) {
        close_further(s);
        return;
    }
    uint64_t due_ns = UINT64_MAX;
    for (const struct ship_link *link = s->links; link != NULL; link = link->next) {
        uint64_t link_ns = ship_link_due_ns(link);
        if (link_ns < due_ns) due_ns = link_ns;
    }
    uint64_t judge_ns = ship_slots_due_ns(s);
    if (judge_ns < due_ns) due_ns = judge_ns;
    bool is_unsaved = s->table.is_dirty && !s->table.is_closed && !s->store.is_saving;
    if (is_unsaved) {
        uint64_t save_ns = s->table.is_save_urgent ? 0 : s->table.dirty_since_ns + SLOTS_SAVE_NS;
        if (save_ns < due_ns) due_ns = save_ns;
    }
    struct env *env = s->db->env;
    if (due_ns == UINT64_MAX) {
        env->v->timer_stop(env, &s->timer);
        return;
    }
    uint64_t now_ns = shipper_now(s);
    env->v->timer_start(env, &s->timer, due_ns > now_ns ? due_ns - now_ns : 0);
}

static void timer_fired(struct env_timer *timer)
{
    struct shipper *s = CONTAINER_OF(timer, struct shipper, timer);
    uint64_t now_ns = shipper_now(s);
    if (s->is_closing) return;
    struct ship_link *next = NULL;
    for (struct ship_link *link = s->links; link != NULL; link = next) {
        next = link->next;
        ship_link_tick(link, now_ns);
    }
    if (!s->store.is_saving && slots_is_save_due(&s->table, now_ns, durable_bytes(s))) {
        ship_slots_save(s);
    }
    if (now_ns >= ship_slots_due_ns(s)) ship_slots_judge(s);
    shipper_arm(s);
}

/* When what became durable now was durable on the leader at the earliest: whatever was durable
 * there longer ago than this node's own bound is applied here already. */
static void note_times(struct shipper *s)
{
    const struct lag_times *t = &s->times;
    uint64_t since_ns = shipper_now(s);
    bool is_known = db_is_leader(s->db) || db_fresh_since(s->db, &since_ns);
    /* A new receiver may know less than the one before did. */
    if (is_known && t->count > 0) is_known = since_ns >= t->times[t->count - 1].since_ns;
    if (is_known) {
        lag_times_add(&s->times, shipper_durable(s), since_ns);
    } else {
        lag_times_init(&s->times, shipper_durable(s));
    }
}

void shipper_on_durable(struct shipper *s)
{
    if (!shipper_serves(s) || s->is_closing) return;
    note_times(s);
    commit(s);
    ship_slots_on_durable(s);
    shipper_on_shippable(s);
}

void shipper_on_shippable(struct shipper *s)
{
    if (!shipper_serves(s) || s->is_closing) return;
    struct ship_link *next = NULL;
    for (struct ship_link *link = s->links; link != NULL; link = next) {
        next = link->next;
        ship_link_pump(link);
    }
}

void shipper_on_stored(struct shipper *s, uint32_t slot)
{
    commit(s);
    db_on_ack(s->db, slot);
}

/* --- questions --- */

uint32_t shipper_count_stored(const struct shipper *s, seqno at_least)
{
    if (!db_is_leader(s->db)) return 0; /* no copy here makes a write of the leader's safer */
    return slots_count_stored(&s->table, at_least);
}

void shipper_fill_quorum(const struct shipper *s, struct quorum *out)
{
    uint64_t now_ns = shipper_now(s);
    /* Before it serves, an empty table does not say that nobody follows. */
    out->is_catalogue_lost = s->table.is_closed || !s->is_serving;
    out->count = s->table.count;
    for (uint32_t i = 0; i < s->table.count; i++) {
        const struct slot *slot = &s->table.slots[i];
        const struct ship_link *link = s->by_slot[i];
        out->copies[i] = (struct quorum_copy){
            .stored = slot->record.stored,
            .applied = slot->record.applied,
            .region = slot->record.region,
            .is_vouched = slot->is_vouched && !slot->is_poisoned,
            .is_lost = slot->record.state == SLOT_LOST,
            .is_voter = slot->record.is_voter != 0,
            .is_ready = link != NULL && slot->is_connected && !slot->is_poisoned &&
                        !ship_is_suspect(&link->ship, now_ns) && ship_room_bytes(&link->ship) > 0,
        };
    }
}

void shipper_on_members(struct shipper *s)
{
    mark_voters(s);
    for (uint32_t i = 0; i < s->table.count && !db_is_leader(s->db); i++) {
        if (s->by_slot[i] == NULL || !s->table.slots[i].record.is_voter) continue;
        ship_link_end(s->by_slot[i], REFUSE_NOT_LEADER, "a voter follows the leader itself");
    }
    shipper_on_stored(s, SLOT_NONE);
}

const char *shipper_address_of(const struct shipper *s, struct slice node_id)
{
    uint32_t index = slots_find(&s->table, node_id);
    return index != SLOT_NONE ? s->table.slots[index].record.address : NULL;
}

void shipper_count_last_acks(struct shipper *s, uint32_t slot, uint64_t writes)
{
    ASSERT(slot < s->table.count);
    s->table.slots[slot].last_acks += writes;
}

seqno shipper_safe(const struct shipper *s)
{
    return slots_safe(&s->table, shipper_durable(s));
}

seqno shipper_floor(const struct shipper *s)
{
    if (!s->is_serving) return seqno_of(1); /* who may come back is not known yet */
    return slots_floor(&s->table, shipper_durable(s));
}

seqno shipper_committed(const struct shipper *s)
{
    /* What an earlier epoch committed stays so, before anybody has stored this one's start. */
    struct log *log = s->db->log;
    return log ? seqno_max(s->table.committed, log_committed(log)) : s->table.committed;
}

const struct link_stages *shipper_stages(const struct shipper *s, const char *node_id)
{
    uint32_t index = slots_find(&s->table, slice_of_text(node_id));
    if (index == SLOT_NONE || s->by_slot[index] == NULL) return NULL;
    return &s->by_slot[index]->stages;
}

uint32_t shipper_follower_count(const struct shipper *s)
{
    return s->table.count;
}

uint32_t shipper_fill_topology(const struct shipper *s, struct topology_member *out)
{
    uint64_t durable = shipper_durable(s).v;
    for (uint32_t i = 0; i < s->table.count; i++) {
        const struct slot *slot = &s->table.slots[i];
        const struct slot_record *record = &slot->record;
        const struct ship_link *link = s->by_slot[i];
        struct topology_member *m = &out[i];
        *m = (struct topology_member){
            .region = record->region,
            .role = ROLE_FOLLOWER,
            .health = slot->is_connected ? WIRE_HEALTH_UP : WIRE_HEALTH_DOWN,
            .is_voter = record->is_voter != 0,
            .is_rebootstrapping = record->is_rebootstrapping != 0,
            .lag_records = WIRE_LAG_UNKNOWN,
        };
        if (record->stored.v > 0) {
            m->lag_records = durable > record->applied.v ? durable - record->applied.v : 0;
        }
        memcpy(m->node_id, record->node_id, sizeof(m->node_id));
        memcpy(m->data_address, record->address, sizeof(m->data_address));
        if (link == NULL) continue;
        memcpy(m->http_address, link->http_address, sizeof(m->http_address));
        memcpy(m->replication_address, link->replication_address, sizeof(m->replication_address));
    }
    return s->table.count;
}

void shipper_send_members(struct shipper *s, const struct wire_members *members, bool is_news)
{
    for (struct ship_link *link = s->links; link != NULL; link = link->next) {
        if (!ship_is_live(&link->ship) || (link->knows_members && !is_news)) continue;
        struct wire_message m = {
            .kind = WIRE_MEMBERS, .session = link->ship.session, .as.members = *members};
        link->knows_members = true;
        frames_send_large(&link->frames, &m, WIRE_MEMBERS_SIZE_MAX);
    }
}

void resync_count(struct resync_counts *counts, const struct resume_plan *plan)
{
    ASSERT(plan->kind != RESUME_PROVE);
    _Static_assert(REFUSE_CHAIN < RESYNC_REASONS_MAX, "every reason has a place");
    if (plan->kind != RESUME_CONTINUE) {
        counts->by_reason[plan->kind][plan->reason]++;
    } else if (plan->position.seqno.v == 0) {
        counts->empty++;
    } else {
        counts->behind++;
    }
}

uint32_t shipper_resyncs(const struct shipper *s, struct shipper_resync out[SHIPPER_RESYNCS_MAX])
{
    static const char *const kinds[] = {[RESUME_TRUNCATE] = "truncate",
                                        [RESUME_BOOTSTRAP] = "bootstrap",
                                        [RESUME_REFUSE] = "refused"};
    _Static_assert(2 + 3 * RESYNC_REASONS_MAX <= SHIPPER_RESYNCS_MAX, "all of them fit");
    const struct resync_counts *counts = &s->resyncs;
    uint32_t count = 0;
    if (counts->empty > 0) {
        out[count++] = (struct shipper_resync){"partial", "empty", counts->empty};
    }
    if (counts->behind > 0) {
        out[count++] = (struct shipper_resync){"partial", "behind", counts->behind};
    }
    for (uint32_t kind = RESUME_TRUNCATE; kind <= RESUME_REFUSE; kind++) {
        for (uint32_t reason = 0; reason < RESYNC_REASONS_MAX; reason++) {
            uint64_t n = counts->by_reason[kind][reason];
            if (n == 0) continue;
            out[count++] = (struct shipper_resync){kinds[kind], refuse_name((uint8_t)reason), n};
        }
    }
    return count;
}

static void fill_copy(const struct ship_link *link, uint64_t now_ns, struct tide_copy *out)
{
    struct bootstrap_figures f;
    bootstrap_serve_figures(link->serve, &f);
    const struct wire_progress *p = &f.progress;
    double seconds = (double)(now_ns - f.started_ns) / (double)NS_PER_S;
    *out = (struct tide_copy){
        .is_active = true,
        .mark = p->mark.v,
        .done_bytes = p->done_bytes,
        .total_bytes = p->total_bytes,
        .done_blocks = p->done_blocks,
        .total_blocks = p->total_blocks,
        .moved_bytes = p->fetched_bytes,
        .eta_seconds = (double)INFINITY,
    };
    if (seconds > 0) out->bytes_per_second = (double)f.sent_bytes / seconds;
    if (p->total_bytes == 0 || out->bytes_per_second <= 0) return;
    /* What a joiner says is input. */
    uint64_t left = p->total_bytes > p->done_bytes ? p->total_bytes - p->done_bytes : 0;
    out->eta_seconds = (double)left / out->bytes_per_second;
}

static uint64_t safe_bytes_of(const struct slot *slot)
{
    if (slot->budget_bytes == UINT64_MAX) return UINT64_MAX;
    if (slot->record.state == SLOT_LOST || slot->held_bytes >= slot->budget_bytes) return 0;
    return slot->budget_bytes - slot->held_bytes;
}

/* Against the leader: on a follower its own bound counts, too. */
static double lag_seconds_of(const struct shipper *s, uint32_t index, uint64_t now_ns)
{
    double seconds =
        lag_peer_seconds(&s->peers[index], &s->times, now_ns, s->db->config.suspect_ns);
    uint64_t bound_ns = db_is_leader(s->db) ? 0 : db_staleness_ns(s->db);
    double own = bound_ns == LAG_NEVER ? (double)INFINITY : (double)bound_ns / (double)NS_PER_S;
    return seconds > own ? seconds : own;
}

static void fill_status(const struct shipper *s, const struct shipper_told *told, uint32_t index,
                        uint64_t now_ns, struct tide_follower_status *out)
{
    const struct slot *slot = &s->table.slots[index];
    const struct slot_record *record = &slot->record;
    const struct ship_link *link = s->by_slot[index];
    uint64_t durable = told->durable_seqno.v;
    uint64_t more_bytes = told->durable_bytes - durable_bytes(s); /* the leader's, not here yet */
    *out = (struct tide_follower_status){
        .node_id = record->node_id,
        .address = record->address,
        .state = slot_state_name(record->state),
        .region = record->stream.region,
        .shard = record->stream.shard,
        .is_connected = slot->is_connected,
        .was_synced = record->stored.v > 0 && !told->is_cut,
        .is_rebootstrapping = record->is_rebootstrapping != 0,
        .restart = record->restart.v,
        .shipped = link != NULL ? link->ship.sent.seqno.v : slot->shipped.v,
        .received = record->received.v,
        .stored = record->stored.v,
        .applied = record->applied.v,
        .lag_records = durable > record->applied.v ? durable - record->applied.v : 0,
        .lag_bytes = more_bytes + log_bytes_after(s->db->log, record->applied),
        .lag_seconds = lag_seconds_of(s, index, now_ns),
        .last_seen_ms_ago = (now_ns - slot->seen_ns) / NS_PER_MS,
        .connected_ms = slot->is_connected ? (now_ns - slot->connected_ns) / NS_PER_MS : 0,
        .apply_errors = record->apply_errors,
        .divergences = record->divergences,
        .last_acks = slot->last_acks,
        .credit_bytes = link != NULL ? ship_room_bytes(&link->ship) : 0,
        .held_bytes = slot->held_bytes,
        .held_records = slot->held_records,
        .budget_bytes = slot->budget_bytes,
        .safe_bytes = safe_bytes_of(slot),
        .seconds_until_lost = slot->seconds_until_lost,
        .idle_ms = record->idle_ns / NS_PER_MS,
        .reason = record->reason != SLOT_REASON_NONE ? slot_reason_name(record->reason) : "",
        .invalidated_at_ms = record->invalidated_at_ms,
    };
    if (link != NULL && link->serve) fill_copy(link, now_ns, &out->copy);
}

uint32_t shipper_status(const struct shipper *s, struct tide_follower_status *out,
                        uint32_t capacity)
{
    uint64_t now_ns = shipper_now(s);
    uint32_t count = s->table.count < capacity ? s->table.count : capacity;
    struct shipper_told told;
    shipper_told(s, &told);
    for (uint32_t i = 0; i < count; i++) {
        fill_status(s, &told, i, now_ns, &out[i]);
    }
    return count;
}
