/* ship_hello: the handshake of a link on its leader: what the peer says of itself becomes the facts
 * of core/resume, whose answer is sent as a plan and carried out: the follower joins, a peer that
 * copies the state is handed to ship_copy, anybody else is sent away with a sentence. Owner: the
 * loop thread.
 */
#include "engine/shipper.h"

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "core/chain.h"
#include "engine/checkpoint.h"
#include "engine/members.h"
#include "engine/role.h"
#include "engine/shipper_internal.h"
#include "engine/voters.h"

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
        .leader_epoch = ship_link_epoch(link).number,
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
        .epoch = ship_link_epoch(link),
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
    (void)ship_link_step(
        link,
        (struct ship_event){.kind = SHIP_EV_PLANNED, .position = from, .applied = link->applied});
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
        ship_link_read_ended(link);
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

enum code ship_hello_take(struct ship_link *link, const struct wire_message *m, struct err *e)
{
    const struct wire_hello *hello = &m->as.hello;
    /* Of another version's hello only the beginning is read: enough to refuse it in words. */
    bool is_readable = hello->version_min <= WIRE_VERSION && WIRE_VERSION <= hello->version_max;
    if (is_readable) TRY(check_hello(hello, e));
    link->is_fetching = is_readable && hello->is_fetching != 0;
    link->fetch_epoch = link->shipper->db->epoch;
    (void)ship_link_step(link, (struct ship_event){
                                   .kind = SHIP_EV_HELLO,
                                   .session = m->session,
                                   .epoch = ship_link_epoch(link).number,
                               });
    if (link->ended_ns != 0) return OK;
    ship_copy_text(link->node_id, sizeof(link->node_id), hello->node_id);
    ship_copy_text(link->data_address, sizeof(link->data_address), hello->data_address);
    ship_copy_text(link->http_address, sizeof(link->http_address), hello->http_address);
    ship_copy_text(link->replication_address, sizeof(link->replication_address),
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
