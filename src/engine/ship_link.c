/* ship_link: one link of one follower on its leader: handshake, batches out, acks in, heartbeats.
 *
 * What to believe and when to speak is decided by core/ship and core/resume; here bytes move. Life:
 * accepted -> hello -> (proof) -> plan -> batches, cold ones by log_read, new ones straight from
 * the tail's chunks -> ended: it lingers so that its last words arrive, then it is closed; it is
 * freed when the link is closed and no read of it runs. From its end on it does not own its slot.
 */
#include "engine/shipper.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "core/chain.h"
#include "engine/bootstrap_serve.h"
#include "engine/checkpoint.h"
#include "engine/clock.h"
#include "engine/freshness.h"
#include "engine/inquire.h"
#include "engine/members.h"
#include "engine/receiver.h"
#include "engine/role.h"
#include "engine/roller.h"
#include "engine/shipper_internal.h"
#include "engine/voters.h"

#define CREDIT_MIN ((uint64_t)(64 * KIB))

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e);

/* --- life --- */

struct ship_link *ship_link_new(struct shipper *s, struct env_link *env_link)
{
    struct db *db = s->db;
    struct ship_link *link = alloc_get(db->alloc, sizeof(*link));
    if (link == NULL) return NULL;
    link->shipper = s;
    link->env_link = env_link;
    link->slot = SLOT_NONE;
    link->cold_size = SHIP_COLD_MIN;
    frames_init(&link->frames, db->env, env_link, db->alloc, on_frame, link);
    struct ship_options options = {
        .credit_bytes = db->config.credit,
        .heartbeat_ns = db->config.heartbeat_ns,
        .suspect_ns = db->config.suspect_ns,
        .dead_ns = db->config.dead_ns,
    };
    ship_init(&link->ship, &options, shipper_now(s));
    return link;
}

void ship_link_free(struct ship_link *link)
{
    struct alloc *alloc = link->shipper->db->alloc;
    frames_fini(&link->frames);
    bootstrap_serve_free(link->serve);
    alloc_put(alloc, link, sizeof(*link));
}

/* Tell the machine what happened. Its end is carried out here. */
static struct ship_actions step(struct ship_link *link, struct ship_event event)
{
    struct err e = {.code = OK};
    struct ship_actions actions;
    event.now_ns = shipper_now(link->shipper);
    if (ship_step(&link->ship, &event, &actions, &e) != OK) {
        ship_link_end(link, WIRE_END_CORRUPT, e.text);
        return (struct ship_actions){0};
    }
    if (actions.is_dead) ship_link_end(link, WIRE_END_CLOSING, "nothing was heard for too long");
    return actions;
}

/* The slot is no longer this link's: its follower is gone, or has a newer link. */
static void leave_slot(struct ship_link *link)
{
    struct shipper *s = link->shipper;
    if (link->slot == SLOT_NONE) return;
    ASSERT(s->by_slot[link->slot] == link);
    s->by_slot[link->slot] = NULL;
    s->table.slots[link->slot].shipped = link->ship.sent.seqno;
    slots_disconnect(&s->table, link->slot, shipper_now(s));
    lag_peer_leave(&s->peers[link->slot]);
    link->slot = SLOT_NONE;
    members_wake(s->db);
}

static void close_env_link(struct ship_link *link)
{
    struct env *env = link->shipper->db->env;
    if (link->env_link == NULL || link->is_closing) return;
    link->is_closing = true;
    env->v->link_close(env, link->env_link);
}

void ship_link_end(struct ship_link *link, uint8_t reason, const char *text)
{
    struct shipper *s = link->shipper;
    if (link->ended_ns != 0) return;
    link->ended_ns = shipper_now(s);
    if (link->slot != SLOT_NONE) { /* it was a follower's; refusals are told where they are made */
        db_event(s->db, DB_EVENT_LINK, "the link of %s ended: %s", link->node_id, text);
    }
    leave_slot(link);
    if (link->serve) bootstrap_serve_stop(link->serve);
    if (link->ship.session != 0) {
        struct wire_message m = {
            .kind = WIRE_END,
            .session = link->ship.session,
            .as.end = {.reason = reason, .text = slice_of_text(text)},
        };
        frames_send(&link->frames, &m);
    }
    struct ship_event ended = {.kind = SHIP_EV_ENDED, .now_ns = link->ended_ns};
    struct ship_actions nothing;
    enum code code = ship_step(&link->ship, &ended, &nothing, NULL);
    ASSERT(code == OK);
    link->frames.link = NULL;                          /* nothing more is read or sent */
    if (link->ship.session == 0) close_env_link(link); /* no words to wait for */
    shipper_arm(s);
}

void ship_link_close(struct ship_link *link)
{
    ship_link_end(link, WIRE_END_CLOSING, "the leader is closing");
    close_env_link(link);
}

static void forget_if_idle(struct ship_link *link)
{
    if (link->env_link != NULL || link->is_proving || link->is_reading || link->is_noting) return;
    if (!bootstrap_serve_is_quiet(link->serve)) return;
    shipper_forget(link->shipper, link);
}

void ship_link_read_ended(struct ship_link *link)
{
    forget_if_idle(link);
}

static void on_closed(struct env_link *env_link, void *arg, const struct err *e)
{
    struct ship_link *link = arg;
    (void)env_link;
    link->env_link = NULL;
    link->frames.link = NULL;
    ship_link_end(link, WIRE_END_CLOSING, e->code == OK ? "closed" : e->text);
    forget_if_idle(link);
}

static void on_received(struct env_link *env_link, void *arg, struct slice bytes)
{
    struct ship_link *link = arg;
    struct err e = {.code = OK};
    (void)env_link;
    if (link->ended_ns != 0) return;
    enum code code = frames_feed(&link->frames, bytes, &e);
    if (code == OK) return;
    ship_link_end(link, code == E_UNSUPPORTED ? WIRE_END_UNKNOWN_KIND : WIRE_END_CORRUPT, e.text);
}

static void on_unused(struct env_link *env_link, void *arg)
{
    (void)env_link;
    (void)arg;
}

/* Credit, not the socket's queue, bounds the batches that are sent; a copy goes by the queue. */
static void on_drained(struct env_link *env_link, void *arg)
{
    struct ship_link *link = arg;
    (void)env_link;
    if (link->serve && link->ended_ns == 0) bootstrap_serve_drained(link->serve);
}

const struct env_link_events ship_link_events = {
    .opened = on_unused,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

/* --- handshake --- */

static void copy_text(char *out, size_t capacity, struct slice s)
{
    ASSERT(s.size < capacity); /* strings of the wire have at most 255 bytes */
    if (s.size > 0) memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

/* A hello that this version can read may still contradict itself. */
static enum code check_hello(const struct wire_hello *hello, struct err *e)
{
    struct epoch_table table = {
        .entries = hello->epochs, .count = hello->epoch_count, .last = hello->last.seqno};
    if (!is_node_id(hello->node_id)) {
        return ERR(e, E_PROTOCOL, "a hello without a valid node id");
    }
    if ((hello->is_empty != 0) != (hello->last.seqno.v == 0)) {
        return ERR(e, E_PROTOCOL, "a hello that is empty and holds records");
    }
    if (hello->applied.v > hello->last.seqno.v) {
        return ERR(e, E_PROTOCOL, "a hello that applied more than it stores");
    }
    if (!epoch_table_is_valid(&table)) {
        return ERR(e, E_PROTOCOL, "a hello with an impossible epoch table");
    }
    return OK;
}

/* Did this node lead the epoch? */
static bool is_led_here(const struct identity *id, uint64_t number)
{
    for (uint32_t i = 0; i < id->led_count; i++) {
        if (id->led[i] == number) return true;
    }
    return false;
}

static void compare_histories(struct resume_facts *f, const struct db *db,
                              const struct wire_hello *hello)
{
    const struct identity *id = &db->identity;
    struct position last = {0};
    if (db->log != NULL) last = log_durable(db->log);
    struct epoch_table mine = {.entries = id->epochs, .count = id->epoch_count, .last = last.seqno};
    struct epoch_table theirs = {
        .entries = hello->epochs, .count = hello->epoch_count, .last = hello->last.seqno};
    /* A table that lags behind its own log would look like a fork: then only the chain decides. */
    bool is_current =
        hello->last.seqno.v == 0 ||
        (theirs.count > 0 && theirs.entries[theirs.count - 1].epoch.number == hello->last.epoch);
    if (!is_current || !epoch_table_is_valid(&mine)) return;
    f->common = epoch_common_of(&mine, &theirs);
    f->fork = resume_fork(&mine, &theirs, &f->common, &last, &hello->last);
    /* What a node that follows by now once led and lost is not its to keep. */
    f->is_shared_epoch_mine = db_is_leader(db) && is_led_here(id, f->common.shared.number);
}

/* Who votes is in the log, not in what a follower says. */
static bool is_member_voting(const struct ship_link *link)
{
    struct record_members members;
    voters_list(link->shipper->db, &members);
    return members_is_voter(&members, slice_of_text(link->node_id));
}

/* A peer that fetches takes records, whatever epoch was claimed meanwhile; else a node that follows
 * serves in the epoch that it follows. */
static bool is_served_here(const struct ship_link *link)
{
    const struct shipper *s = link->shipper;
    return link->is_fetching ? s->is_serving : shipper_serves(s);
}

/* In which this link ships. */
static struct epoch epoch_of_link(const struct ship_link *link)
{
    return link->is_fetching ? link->fetch_epoch : shipper_epoch(link->shipper);
}

/* Facts that stay as hello told them. */
static void take_facts(struct ship_link *link, const struct wire_hello *hello)
{
    struct db *db = link->shipper->db;
    const struct identity *id = &db->identity;
    struct resume_facts *f = &link->facts;
    *f = (struct resume_facts){
        .has_common_version =
            hello->version_min <= WIRE_VERSION && WIRE_VERSION <= hello->version_max,
        .is_leading = db->identity.role != ROLE_FOLLOWER,
        .is_leader_wanted = hello->is_leader_wanted != 0,
        .is_fetching = link->is_fetching,
        .is_voter = is_member_voting(link),
        .is_stream_equal = wire_is_stream_joined(hello, id->stream),
        .is_cluster_known = !id128_is_zero(&hello->cluster),
        .is_cluster_equal = id128_equal(&hello->cluster, &id->cluster),
        .is_credential_good = true, /* none are asked for in this version */
        .is_feature_level_enough =
            hello->feature_level >= id->feature_level && hello->frame_size_max >= FRAME_SIZE_MAX,
        .is_empty = hello->is_empty != 0,
        .highest_epoch = hello->highest_epoch,
        .leader_epoch = epoch_of_link(link).number,
        .is_loss_accepted = hello->is_loss_accepted != 0,
        .last = hello->last,
        .follower_oldest = hello->oldest,
        .manifest_count = hello->manifest_count,
        .leader_address = slice_of_text(id->leader_address),
        .node_id = slice_of_text(link->node_id),
    };
    memcpy(f->manifests, hello->manifests, sizeof(f->manifests));
    if (is_served_here(link)) compare_histories(f, db, hello);
}

static struct slot_join join_of(const struct ship_link *link)
{
    return (struct slot_join){
        .node_id = slice_of_text(link->node_id),
        .data_address = slice_of_text(link->data_address),
        .stream = link->shipper->db->identity.stream,
        .region = link->region,
        .incarnation = link->incarnation,
        .history_id = link->history_id,
        .is_voter = is_member_voting(link),
        .now_ns = shipper_now(link->shipper),
    };
}

/* Facts that may change while a proof is read. */
static void refresh_facts(struct ship_link *link)
{
    struct shipper *s = link->shipper;
    struct resume_facts *f = &link->facts;
    struct slot_join join = join_of(link);
    uint32_t index = slots_find(&s->table, f->node_id);
    struct shipper_told told;
    shipper_told(s, &told);
    f->path = told.path;
    f->is_ring = chain_has(told.path, f->node_id);
    f->is_chain_full = chain_length(told.path) >= CHAIN_MAX;
    f->is_serving = is_served_here(link) && s->db->log != NULL && !s->is_closing &&
                    s->db->condition != DB_CLOSING;
    f->has_slot = index != SLOT_NONE;
    if (f->has_slot && s->table.slots[index].is_leaving) f->is_serving = false; /* soon gone */
    f->is_slot_table_full = slots_is_full(&s->table);
    f->is_slot_lost = f->has_slot && s->table.slots[index].record.state == SLOT_LOST;
    f->is_id_in_use = slots_is_in_use(&s->table, &join);
    if (f->has_slot) f->holder_address = slice_of_text(s->table.slots[index].record.address);
    if (strcmp(link->node_id, s->db->identity.node_id) == 0) { /* the leader's own id */
        f->is_id_in_use = true;
        f->holder_address = slice_of_text(s->db->config.data_address);
    }
    f->durable = shipper_durable(s);
    f->oldest = s->db->log != NULL ? log_oldest(s->db->log) : SEQNO_NONE;
    f->log_bytes = s->db->log != NULL ? log_durable_bytes(s->db->log) : 0;
    f->copy_bytes = s->db->checkpointer ? checkpointer_contents(s->db->checkpointer)->bytes : 0;
}

static struct wire_plan base_plan(const struct ship_link *link)
{
    const struct db *db = link->shipper->db;
    const struct identity *id = &db->identity;
    const char *writes_go_to = db_is_leader(db) ? db->config.data_address : id->leader_data_address;
    struct shipper_told told;
    shipper_told(link->shipper, &told);
    return (struct wire_plan){
        .version = WIRE_VERSION,
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .features = WIRE_FEATURES,
        .feature_level = id->feature_level,
        .frame_size_max = FRAME_SIZE_MAX,
        .cluster = id->cluster,
        .stream = id->stream,
        .node_id = slice_of_text(id->node_id),
        .incarnation = id->incarnation,
        .data_address = slice_of_text(writes_go_to),
        .http_address = slice_of_text(db->config.http_address),
        .replication_address = slice_of_text(db->config.replication_address),
        .epoch = epoch_of_link(link),
        .durable = told.durable_seqno,
        .durable_bytes = told.durable_bytes,
        .committed = told.committed,
        .safe = shipper_safe(link->shipper),
        .floor = told.floor,
        .path = told.path,
    };
}

static void send_plan(struct ship_link *link, const struct wire_plan *plan)
{
    struct wire_message m = {.kind = WIRE_PLAN, .session = link->ship.session, .as.plan = *plan};
    frames_send(&link->frames, &m);
}

/* A refused follower asks again for as long as it runs: an event when the answer is news. */
static void note_answer(struct ship_link *link, enum db_event_kind kind, uint8_t reason,
                        const char *verdict, const char *sentence)
{
    struct shipper *s = link->shipper;
    struct ship_refusal *last = &s->refusal;
    uint64_t now_ns = shipper_now(s);
    bool is_same = last->reason == reason && strcmp(last->node_id, link->node_id) == 0;
    if (is_same && now_ns - last->at_ns < REFUSAL_REPEAT_NS) return;
    *last = (struct ship_refusal){.reason = reason, .at_ns = now_ns};
    memcpy(last->node_id, link->node_id, sizeof(last->node_id));
    db_event(s->db, kind, "%s was %s: %s", link->node_id[0] != '\0' ? link->node_id : "a stranger",
             verdict, sentence);
}

/* A truncation or a bootstrap: what the follower does then, it does without this link. */
static void send_away(struct ship_link *link, const struct resume_plan *decision)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    resume_explain(&link->facts, decision, &t);
    struct wire_plan plan = base_plan(link);
    bool is_cut = decision->kind == RESUME_TRUNCATE;
    plan.kind = is_cut ? PLAN_TRUNCATE_TO : PLAN_BOOTSTRAP;
    plan.reason = (uint8_t)decision->reason;
    plan.text = slice_of_text(sentence);
    plan.log_key = link->shipper->db->identity.log_key;
    plan.from = decision->position;
    send_plan(link, &plan);
    note_answer(link, DB_EVENT_RESYNC, (uint8_t)decision->reason,
                is_cut ? "told to cut its log back" : "told to take a copy of the state", sentence);
    ship_link_end(link, (uint8_t)decision->reason, sentence);
}

static void refuse(struct ship_link *link, const struct resume_plan *decision)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    resume_explain(&link->facts, decision, &t);
    struct wire_plan plan = base_plan(link);
    plan.kind = PLAN_REFUSE;
    plan.reason = (uint8_t)decision->reason;
    plan.text = slice_of_text(sentence);
    if (decision->reason == REFUSE_NOT_LEADER) {
        plan.replication_address = slice_of_text(link->shipper->db->identity.leader_address);
    }
    send_plan(link, &plan);
    note_answer(link, DB_EVENT_REFUSAL, (uint8_t)decision->reason, "refused", sentence);
    ship_link_end(link, (uint8_t)decision->reason, sentence);
}

/* The follower is served from `last`, what it asked for. */
static void join(struct ship_link *link)
{
    struct shipper *s = link->shipper;
    struct position from = link->last;
    uint32_t index = slots_find(&s->table, link->facts.node_id);
    if (PLANTED(4) && index != SLOT_NONE && s->table.slots[index].stored.seqno.v > from.seqno.v) {
        from = s->table.slots[index].stored; /* resume at max(requested, slot) */
    }
    if (index != SLOT_NONE && s->by_slot[index] != NULL) {
        ship_link_end(s->by_slot[index], WIRE_END_CLOSING, "its node has a newer link");
    }
    struct slot_join event = join_of(link);
    event.last = from;
    event.log_bytes = log_durable_bytes(s->db->log);
    if (PLANTED(13)) event.last.seqno = shipper_durable(s); /* as if it held everything */
    index = slots_join(&s->table, &event);
    link->slot = index;
    s->by_slot[index] = link;
    lag_peer_join(&s->peers[index], link->applied);
    struct wire_plan plan = base_plan(link);
    plan.kind = PLAN_CONTINUE;
    plan.log_key = s->db->identity.log_key;
    plan.from = from;
    send_plan(link, &plan);
    (void)step(link, (struct ship_event){
                         .kind = SHIP_EV_PLANNED, .position = from, .applied = link->applied});
    db_event(s->db, DB_EVENT_RESYNC, "%s continues after record %llu", link->node_id,
             (unsigned long long)from.seqno.v);
    shipper_on_stored(s, index);
    members_wake(s->db);
    ship_link_tick(link, event.now_ns); /* the first heartbeat */
    ship_link_pump(link);
    shipper_arm(s);
}

static void proved(struct log_prove *prove, enum code code, const struct err *e);

static void decide(struct ship_link *link)
{
    refresh_facts(link);
    struct resume_plan plan = resume_decide(&link->facts);
    TAKEN(TAKEN_RESUME, 0, plan.row);
    if (plan.kind != RESUME_PROVE) resync_count(&link->shipper->resyncs, &plan);
    switch (plan.kind) {
    case RESUME_REFUSE: refuse(link, &plan); return;
    case RESUME_CONTINUE: join(link); return;
    case RESUME_TRUNCATE:
    case RESUME_BOOTSTRAP: send_away(link, &plan); return;
    case RESUME_PROVE:
        ASSERT(link->facts.proofs[plan.proof] == PROOF_NOT_ASKED);
        link->proof = plan.proof;
        link->prove = (struct log_prove){.position = plan.position, .done = proved};
        link->is_proving = true;
        log_prove_start(link->shipper->db->log, &link->prove);
        return;
    }
    UNREACHABLE();
}

static void proved(struct log_prove *prove, enum code code, const struct err *e)
{
    struct ship_link *link = CONTAINER_OF(prove, struct ship_link, prove);
    struct shipper *s = link->shipper;
    enum resume_proof *proof = &link->facts.proofs[link->proof];
    link->is_proving = false;
    if (link->ended_ns != 0) {
        forget_if_idle(link);
        return;
    }
    switch (code) {
    case OK: *proof = PROOF_EQUAL; break;
    case E_DIVERGED: *proof = PROOF_DIFFERS; break;
    case E_NOT_KEPT: *proof = PROOF_NOT_KEPT; break;
    default:
        *proof = PROOF_FAILED;
        trace_add(&s->db->trace, shipper_now(s), "no proof for %s: %s", link->node_id, e->text);
        break;
    }
    decide(link);
}

/* A peer that comes for a copy of the state. */
static void take_joiner(struct ship_link *link)
{
    refresh_facts(link);
    struct wire_plan plan = base_plan(link);
    struct slot_join join = join_of(link);
    bool is_served = ship_copy_judge(link, &plan);
    send_plan(link, &plan);
    if (is_served) {
        ship_copy_begin(link, &join);
    } else {
        ship_link_end(link, plan.reason, (const char *)plan.text.data);
    }
}

static enum code take_hello(struct ship_link *link, const struct wire_message *m, struct err *e)
{
    const struct wire_hello *hello = &m->as.hello;
    /* Of another version's hello only the beginning is read: enough to refuse it in words. */
    bool is_readable = hello->version_min <= WIRE_VERSION && WIRE_VERSION <= hello->version_max;
    if (is_readable) TRY(check_hello(hello, e));
    link->is_fetching = is_readable && hello->is_fetching != 0;
    link->fetch_epoch = link->shipper->db->epoch;
    (void)step(link, (struct ship_event){
                         .kind = SHIP_EV_HELLO,
                         .session = m->session,
                         .epoch = epoch_of_link(link).number,
                     });
    if (link->ended_ns != 0) return OK;
    copy_text(link->node_id, sizeof(link->node_id), hello->node_id);
    copy_text(link->data_address, sizeof(link->data_address), hello->data_address);
    copy_text(link->http_address, sizeof(link->http_address), hello->http_address);
    copy_text(link->replication_address, sizeof(link->replication_address),
              hello->replication_address);
    link->last = hello->last;
    link->applied = hello->applied;
    link->incarnation = hello->incarnation;
    link->history_id = hello->history_id;
    link->region = hello->region;
    link->frame_size_max =
        hello->frame_size_max < FRAME_SIZE_MAX ? hello->frame_size_max : FRAME_SIZE_MAX;
    take_facts(link, hello);
    bool is_of_ours = id128_equal(&hello->cluster, &link->shipper->db->identity.cluster);
    if (is_of_ours) {
        role_saw_epoch(link->shipper->db, hello->highest_epoch, link->replication_address);
    }
    if (hello->is_bootstrapping && is_readable) {
        take_joiner(link);
    } else {
        decide(link);
    }
    return OK;
}

/* --- frames in --- */

static void answer_inquire(struct ship_link *link, uint64_t session, bool is_claim_noted)
{
    struct wire_message answer = {.kind = WIRE_STANDING, .session = session};
    inquire_standing(link->shipper->db, &answer.as.standing);
    answer.as.standing.is_claim_noted = is_claim_noted;
    frames_send(&link->frames, &answer);
}

static void claim_was_noted(struct db *db, void *arg, enum code code)
{
    struct ship_link *link = arg;
    (void)db;
    link->is_noting = false;
    if (link->ended_ns != 0) {
        forget_if_idle(link);
        return;
    }
    answer_inquire(link, link->noting_session, code == OK);
}

/* A number higher than any that was seen: from here on nothing of a lower epoch is stored or
 * acknowledged, and what the answer says of this node stays true for whoever led before. */
static void note_claim(struct ship_link *link, uint64_t session, uint64_t claim)
{
    struct db *db = link->shipper->db;
    if (PLANTED(36)) { /* the promise is given and not kept */
        answer_inquire(link, session, true);
        return;
    }
    link->is_noting = true;
    link->noting_session = session;
    if (db->receiver != NULL) receiver_fence(db->receiver, claim);
    db_note_epoch(db, claim, claim_was_noted, link);
}

/* Whoever asks is answered, before a hello, too; who has seen a later epoch is believed. */
static void take_inquire(struct ship_link *link, const struct wire_message *m)
{
    struct db *db = link->shipper->db;
    const struct wire_inquire *inquire = &m->as.inquire;
    bool is_ours = id128_equal(&inquire->cluster, &db->identity.cluster) && db->log != NULL;
    if (is_ours) {
        char address[ADDRESS_SIZE_MAX + 1];
        copy_text(address, sizeof(address), inquire->replication_address);
        role_saw_epoch(db, inquire->highest_epoch, address);
    }
    bool is_claim = is_ours && inquire->claim > db->identity.highest_epoch;
    if (is_claim && !link->is_noting && db->reopening == NULL && db->condition != DB_CLOSING) {
        note_claim(link, m->session, inquire->claim);
    } else {
        answer_inquire(link, m->session, false);
    }
}

static void take_ack(struct ship_link *link, const struct wire_message *m)
{
    struct shipper *s = link->shipper;
    const struct wire_ack *ack = &m->as.ack;
    struct ship_actions actions =
        step(link, (struct ship_event){.kind = SHIP_EV_ACK, .session = m->session, .ack = ack});
    if (link->ended_ns != 0 || m->session != link->ship.session) return;
    if (m->probe > link->probe) {
        link->probe = m->probe;
        link->probe_durable = shipper_durable(s);
        link->probe_staleness_ns = db_staleness_ns(s->db);
    }
    ASSERT(s->by_slot[link->slot] == link);
    lag_peer_ack(&s->peers[link->slot], ack->echo_probe, link->ship.applied);
    struct slot_progress progress = {
        .stored = link->ship.stored,
        .received = link->ship.received.seqno,
        .applied = link->ship.applied,
        .is_poisoned = link->ship.is_poisoned || ack->is_diverged, /* it vouches for nothing */
        .apply_errors = ack->apply_errors,
        .divergences = ack->divergences,
        .now_ns = shipper_now(s),
        .log_bytes = log_durable_bytes(s->db->log),
    };
    bool was_dirty = s->table.is_dirty;
    slots_advance(&s->table, link->slot, &progress);
    if (s->table.is_dirty && !was_dirty) shipper_arm(s);
    stages_on_ack(s->db, &link->stages, link->ship.applied);
    if (!actions.has_progress) return;
    shipper_on_stored(s, link->slot);
    ship_link_pump(link);
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct ship_link *link = arg;
    struct wire_message m;
    TRY(wire_decode(header, body, &m, e));
    if (link->serve) (void)step(link, (struct ship_event){.kind = SHIP_EV_HEARD});
    switch (m.kind) {
    case WIRE_HELLO: return take_hello(link, &m, e);
    case WIRE_ACK: take_ack(link, &m); return OK;
    case WIRE_END: {
        char sentence[ERR_TEXT_SIZE];
        struct text t = text_of(sentence, sizeof(sentence));
        text_add(&t, "the follower says: ");
        text_add_escaped(&t, m.as.end.text, sizeof(sentence));
        ship_link_end(link, WIRE_END_CLOSING, sentence);
        return OK;
    }
    case WIRE_INQUIRE: take_inquire(link, &m); return OK;
    case WIRE_MANIFEST:
        if (link->serve) return bootstrap_serve_manifest(link->serve, &m.as.manifest, e);
        if (!ship_is_live(&link->ship) || !m.as.manifest.is_request) break;
        ship_copy_mark_blocks(link, &m.as.manifest);
        return OK;
    case WIRE_BLOCKS:
        if (link->serve) return bootstrap_serve_blocks(link->serve, &m.as.blocks, e);
        break;
    case WIRE_PROGRESS:
        if (!link->serve) break;
        ship_copy_progress(link, &m.as.progress);
        return OK;
    case WIRE_PLAN:
    case WIRE_BATCHES:
    case WIRE_SEALED:
    case WIRE_HEARTBEAT:
    case WIRE_STANDING:
    case WIRE_FETCH:
    case WIRE_MEMBERS:
    case WIRE_HANDOVER: break;
    }
    return ERR(e, E_UNSUPPORTED, "a leader does not take %s in this version",
               wire_kind_name(header->kind));
}

/* --- batches out --- */

static void count_sent(struct ship_link *link, struct position end, uint64_t bytes)
{
    (void)step(link, (struct ship_event){.kind = SHIP_EV_SENT, .position = end, .bytes = bytes});
    stages_on_sent(link->shipper->db, &link->stages, end.seqno);
}

/* Batches of one chunk, from `first` on, as one message that lends the chunk's bytes. */
static void send_from_chunk(struct ship_link *link, struct log_chunk *chunk, uint32_t first)
{
    struct shipper *s = link->shipper;
    struct env *env = s->db->env;
    struct lease *lease = lease_take(s, chunk);
    if (lease == NULL) {
        ship_link_end(link, WIRE_END_CLOSING, "no memory to ship");
        return;
    }
    struct slice pieces[2 * LEASE_BATCHES_MAX];
    size_t count = 0;
    struct position before = link->ship.sent;
    struct shipper_told told;
    shipper_told(s, &told);
    seqno limit = roller_shippable(s->db->roller);
    for (uint32_t i = first; i < chunk->batch_count && count < COUNT_OF(pieces); i++) {
        struct slice bytes = chunk_batch(chunk, i);
        if (chunk->batches[i].end.seqno.v > limit.v) break;
        if (!ship_may_send(&link->ship, bytes.size)) break;
        struct wire_batches batches = {
            .stream = s->db->identity.stream,
            .before = before,
            .durable = told.durable_seqno,
            .durable_bytes = told.durable_bytes,
            .bytes = bytes,
        };
        uint8_t *prefix = lease->prefixes[count / 2];
        size_t size = wire_encode_batches_prefix(&batches, link->ship.session, prefix);
        pieces[count++] = slice_of(prefix, size);
        pieces[count++] = bytes;
        before = chunk->batches[i].end;
        count_sent(link, before, bytes.size);
    }
    ASSERT(count > 0);
    env->v->link_send(env, link->env_link, pieces, count, lease_release, lease);
}

/* Batches that a cold read brought, as one frame: as many as the link may take. False: none. */
static bool send_cold(struct ship_link *link, const struct log_read *read)
{
    struct shipper *s = link->shipper;
    struct env *env = s->db->env;
    const struct log_identity *id = log_identity_of(s->db->log);
    struct shipper_told told;
    shipper_told(s, &told);
    struct wire_batches batches = {
        .stream = s->db->identity.stream,
        .before = read->from,
        .durable = told.durable_seqno,
        .durable_bytes = told.durable_bytes,
    };
    seqno limit = roller_shippable(s->db->roller);
    size_t used = 0;
    while (used < read->bytes.size) {
        const uint8_t *at = read->bytes.data + used;
        struct batch_header h;
        enum batch_verdict verdict = batch_header_decode(at, id, &h);
        ASSERT(verdict == BATCH_OK); /* the read verified it */
        size_t size = BATCH_HEADER_SIZE + h.payload_size;
        bool fits = used == 0 || used + size + WIRE_BATCHES_PREFIX_MAX <= link->frame_size_max;
        if (!fits || batch_last(&h).v > limit.v || !ship_may_send(&link->ship, size)) break;
        used += size;
        struct position end = {.epoch = h.epoch.number, .seqno = batch_last(&h)};
        end.chain = batch_chain(at);
        count_sent(link, end, size);
    }
    link->cold_size = used;
    if (used == read->bytes.size) link->cold_size *= 2;
    if (link->cold_size < SHIP_COLD_MIN) link->cold_size = SHIP_COLD_MIN;
    if (link->cold_size > SHIP_COLD_MAX) link->cold_size = SHIP_COLD_MAX;
    if (used == 0) return false;
    batches.bytes = slice_of(read->bytes.data, used);
    uint8_t prefix[WIRE_BATCHES_PREFIX_MAX];
    size_t size = wire_encode_batches_prefix(&batches, link->ship.session, prefix);
    struct slice pieces[2] = {slice_of(prefix, size), batches.bytes};
    env->v->link_send(env, link->env_link, pieces, COUNT_OF(pieces), NULL, NULL);
    return true;
}

static void read_cold_done(struct log_read *read, enum code code, const struct err *e)
{
    struct ship_link *link = CONTAINER_OF(read, struct ship_link, read);
    link->is_reading = false;
    if (link->ended_ns != 0) {
        forget_if_idle(link);
        return;
    }
    if (code != OK) {
        ship_link_end(link, WIRE_END_CLOSING, e->text);
        return;
    }
    if (send_cold(link, read)) ship_link_pump(link);
    /* Else the next batch is larger than the room: an ack goes on. */
}

static void read_cold(struct ship_link *link)
{
    struct log *log = link->shipper->db->log;
    uint64_t room = ship_room_bytes(&link->ship);
    size_t size_max = room < link->cold_size ? (size_t)room : link->cold_size;
    link->read = (struct log_read){
        .from = link->ship.sent,
        .size_max = size_max > 0 ? size_max : 1, /* one batch */
        .done = read_cold_done,
    };
    link->is_reading = true;
    log_read_start(log, &link->read);
}

/* A cold read costs a seek: it waits for room that is worth one, unless nothing else is in flight.
 */
static bool is_cold_read_worth(const struct ship_link *link)
{
    const struct ship *ship = &link->ship;
    uint64_t wanted = ship->options.credit_bytes / 4;
    if (wanted > link->cold_size) wanted = link->cold_size;
    if (ship->ends_count == 0) return true;
    return ship_room_bytes(ship) >= wanted && ship_room_batches(ship) >= SHIP_ENDS_MAX / 4;
}

static void set_streaming(struct ship_link *link, bool is_streaming)
{
    (void)step(link, (struct ship_event){.kind = is_streaming ? SHIP_EV_TAIL : SHIP_EV_COLD});
    slots_set_streaming(&link->shipper->table, link->slot, is_streaming);
}

/* Once per segment: what was sent ends with a sealed one. */
static void tell_sealed(struct ship_link *link)
{
    const struct db *db = link->shipper->db;
    seqno sealed = log_sealed(db->log);
    if (!roller_is_by_segment(db->roller) || sealed.v <= link->told_sealed.v) return;
    if (link->ship.sent.seqno.v != sealed.v) return;
    link->told_sealed = sealed;
    struct wire_message m = {
        .kind = WIRE_SEALED,
        .session = link->ship.session,
        .as.sealed = {.position = link->ship.sent},
    };
    frames_send(&link->frames, &m);
}

/* Chunks that links still read stay in memory although the tail let go of them: all of them
 * together at most tail_buffer, in equal parts. */
static uint64_t credit_of(const struct shipper *s)
{
    uint64_t part = s->db->config.tail_buffer / (s->link_count > 0 ? s->link_count : 1);
    if (part < CREDIT_MIN) part = CREDIT_MIN;
    return part < s->db->config.credit ? part : s->db->config.credit;
}

void ship_link_pump(struct ship_link *link)
{
    ship_set_credit(&link->ship, credit_of(link->shipper));
    const struct ship *ship = &link->ship;
    const struct db *db = link->shipper->db;
    const struct log *log = db->log;
    while (link->ended_ns == 0 && ship_is_live(ship) && !link->is_reading) {
        uint64_t shippable = roller_shippable(db->roller).v;
        if (PLANTED(11)) shippable = log_written(log).seqno.v; /* ship before it is durable */
        if (ship->sent.seqno.v >= shippable) {
            set_streaming(link, true);
            tell_sealed(link);
            return;
        }
        uint32_t index = 0;
        struct log_chunk *chunk = log_tail_find(log, seqno_next(ship->sent.seqno), &index);
        set_streaming(link, chunk != NULL);
        size_t next_size = chunk != NULL ? chunk_batch(chunk, index).size : 1;
        if (!ship_may_send(ship, next_size)) return;
        if (chunk == NULL) {
            if (is_cold_read_worth(link)) read_cold(link);
            return;
        }
        send_from_chunk(link, chunk, index);
    }
}

/* --- the clock --- */

static void send_heartbeat(struct ship_link *link, uint64_t now_ns)
{
    struct shipper *s = link->shipper;
    struct db *db = s->db;
    uint64_t probe = lag_probe_next(&s->peers[link->slot].probes, now_ns);
    struct shipper_told told;
    shipper_told(s, &told);
    struct wire_message m = {
        .kind = WIRE_HEARTBEAT,
        .session = link->ship.session,
        .probe = probe,
        .as.heartbeat =
            {
                .epoch = epoch_of_link(link),
                .durable = told.durable,
                .committed = told.committed,
                .safe = shipper_safe(s),
                .floor = told.floor,
                .durable_bytes = told.durable_bytes,
                .leader_time = db_is_leader(db) ? clock_next(db) : state_leader_time(db->state),
                .echo_probe = link->probe,
                .echo_durable = link->probe_durable,
                .echo_staleness_ns = link->probe_staleness_ns,
                .is_cut = told.is_cut,
                .path = told.path,
            },
    };
    frames_send(&link->frames, &m);
    (void)step(link, (struct ship_event){.kind = SHIP_EV_BEAT, .probe = probe});
}

void ship_link_tick(struct ship_link *link, uint64_t now_ns)
{
    if (link->ended_ns != 0) {
        if (now_ns - link->ended_ns >= SHIP_LINGER_NS) ship_link_close(link);
        return;
    }
    struct ship_actions actions = step(link, (struct ship_event){.kind = SHIP_EV_TICK});
    /* A leader that hands over says nothing more until the offer goes out over this very link. */
    bool has_epoch = shipper_epoch(link->shipper).number > 0;
    if (actions.is_heartbeat_due && has_epoch) send_heartbeat(link, now_ns);
}

uint64_t ship_link_due_ns(const struct ship_link *link)
{
    if (link->env_link == NULL || link->is_closing) return UINT64_MAX;
    if (link->ended_ns != 0) return link->ended_ns + SHIP_LINGER_NS;
    return ship_due_ns(&link->ship);
}
