/* receiver: the follower's link to its leader: connecting, the handshake, heartbeats, status.
 * Batches and acks are in receiver_batches.c, decisions in core/follow.
 *
 * Links overlap: one that was given up closes while the next one connects; only the current one is
 * listened to. hello waits until everything received is durable, so that it names one position that
 * is the end of the log. While a plan's epoch or cluster is made durable the link is held.
 */
#include "engine/receiver.h"

#include <math.h>
#include <stdio.h>

#include "base/assert.h"
#include "base/taken.h"
#include "base/text.h"
#include "core/epoch.h"
#include "engine/members.h"
#include "engine/receiver_internal.h"
#include "engine/role.h"
#include "engine/roller.h"
#include "engine/shipper.h"
#include "engine/transport.h"
#include "engine/truncate.h"
#include "engine/waits.h"

static void run(struct receiver *r, struct follow_event event);
static void describe(struct receiver *r);
static void timer_fired(struct env_timer *timer);
static void ack_was_due(struct env_task *task);
static void resume_was_due(struct env_task *task);
static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e);

/* --- life --- */

static struct receiver *receiver_new(struct db *db)
{
    struct receiver *r = alloc_get(db->alloc, sizeof(*r));
    if (r == NULL) return NULL;
    r->db = db;
    r->timer = (struct env_timer){.fire = timer_fired, .env = db->env};
    r->armed_ns = UINT64_MAX;
    r->ack_task = (struct env_task){.run = ack_was_due};
    r->resume_task = (struct env_task){.run = resume_was_due};
    receiver_copy_init(r);
    struct follow_options options = {
        .heartbeat_ns = db->config.heartbeat_ns,
        .dead_ns = db->config.dead_ns,
    };
    follow_init(&r->follow, &options);
    return r;
}

enum code receiver_open_fetching(struct db *db, const char *address, struct receiver **out,
                                 struct err *e)
{
    struct receiver *r = receiver_new(db);
    if (r == NULL) return ERR(e, E_NOMEMORY, "no memory for the link to %s", address);
    r->is_fetching = true;
    (void)snprintf(r->network_address, sizeof(r->network_address), "%s", address);
    *out = r;
    run(r, (struct follow_event){.kind = FOLLOW_EV_START});
    return OK;
}

enum code receiver_open(struct db *db, struct receiver **out, struct err *e)
{
    struct receiver *r = receiver_new(db);
    if (r == NULL) return ERR(e, E_NOMEMORY, "no memory for the link to the leader");
    db->is_chained = db->identity.follows == FOLLOWS_NODE;
    *out = r;
    if (transport_is_meant(db->identity.leader_address)) {
        struct text t = text_of(r->reason, sizeof(r->reason));
        text_add(&t, "%s is reached over a transport of the program, which tide_replicate names",
                 db->identity.leader_address);
        describe(r);
        return OK;
    }
    run(r, (struct follow_event){.kind = FOLLOW_EV_START});
    return OK;
}

void receiver_follow(struct receiver *r, struct env_network *network, const char *address,
                     enum follows follows)
{
    struct db *db = r->db;
    struct identity *id = &db->identity;
    char stored[ADDRESS_SIZE_MAX + 1] = {0};
    _Static_assert(TRANSPORT_NAME_SIZE <= sizeof(stored), "a transport's name fits identity");
    (void)snprintf(stored, sizeof(stored), "%s%s", network != NULL ? TIDE_TRANSPORT : "", address);
    receiver_fail(r, FOLLOW_CAUSE_UNREACHABLE, 0, "another leader was named");
    receiver_end_copy(r); /* whether one is needed is for that leader to say */
    r->reason[0] = '\0';
    r->network = network;
    (void)snprintf(r->network_address, sizeof(r->network_address), "%s", address);
    memset(r->path, 0, sizeof(r->path));
    db->is_chained = follows == FOLLOWS_NODE;
    if (strcmp(stored, id->leader_address) != 0 || id->follows != follows) {
        memcpy(id->leader_address, stored, sizeof(stored));
        id->follows = (uint8_t)follows;
        db_save_identity(db, NULL, NULL); /* lazily: a restart that knows the old one asks there */
    }
    run(r, (struct follow_event){.kind = FOLLOW_EV_START});
}

struct env_network *receiver_network(const struct receiver *r, const char **out_address)
{
    *out_address = r->network_address;
    return r->network;
}

void receiver_free(struct receiver *r)
{
    if (r == NULL) return;
    bootstrap_join_free(r->join);
    frames_fini(&r->frames);
    if (r->db->log != NULL) receiver_drop_queue(r);
    r->db->env->v->timer_close(r->db->env, &r->timer);
    alloc_put(r->db->alloc, r, sizeof(*r));
}

void receiver_close_further(struct receiver *r)
{
    if (!r->is_closing || r->open_links > 0 || r->is_noting || r->join != NULL) return;
    if (r->is_cleaning) return;
    if (r->is_ack_posted || r->is_resume_posted) return;
    void (*closed)(void *arg) = r->closed;
    r->closed = NULL;
    if (closed != NULL) closed(r->closed_arg);
}

void receiver_close(struct receiver *r, void (*done)(void *arg), void *arg)
{
    ASSERT(!r->is_closing);
    r->is_closing = true;
    r->closed = done;
    r->closed_arg = arg;
    run(r, (struct follow_event){.kind = FOLLOW_EV_STOP});
    receiver_end_copy(r);
    receiver_close_further(r);
}

void receiver_copy_ended(struct receiver *r)
{
    if (!r->is_closing) run(r, (struct follow_event){.kind = FOLLOW_EV_START});
    receiver_close_further(r);
}

/* --- the clock --- */

static void arm(struct receiver *r)
{
    struct env *env = r->db->env;
    uint64_t due_ns = r->follow.due_ns;
    bool is_log_taken = r->queue_first != NULL && !r->is_writing; /* by a seal: look again soon */
    if (is_log_taken) due_ns = receiver_now(r) + NS_PER_MS;
    if (r->join != NULL) return;       /* the joiner has a clock and a link of its own */
    if (due_ns >= r->armed_ns) return; /* it fires early, looks, and is armed again */
    r->armed_ns = due_ns;
    uint64_t now_ns = receiver_now(r);
    env->v->timer_start(env, &r->timer, due_ns > now_ns ? due_ns - now_ns : 0);
}

static void timer_fired(struct env_timer *timer)
{
    struct receiver *r = CONTAINER_OF(timer, struct receiver, timer);
    r->armed_ns = UINT64_MAX;
    if (r->join != NULL) return; /* the joiner stands in */
    receiver_write_next(r);
    run(r, (struct follow_event){.kind = FOLLOW_EV_TIMER});
}

static void ack_was_due(struct env_task *task)
{
    struct receiver *r = CONTAINER_OF(task, struct receiver, ack_task);
    r->is_ack_posted = false;
    receiver_send_ack(r);
    receiver_close_further(r);
}

static void ask_for_ack(struct receiver *r)
{
    if (r->follow.state != FOLLOW_STREAMING || r->is_ack_posted) return;
    r->is_ack_posted = true;
    r->db->env->v->post(r->db->env, &r->ack_task);
}

static void ask_to_resume(struct receiver *r)
{
    if (!r->frames.is_held || r->is_resume_posted) return;
    r->is_resume_posted = true;
    r->db->env->v->post(r->db->env, &r->resume_task);
}

/* --- the link --- */

static void drop_link(struct receiver *r)
{
    struct env *env = r->db->env;
    struct env_link *link = r->link;
    r->link = NULL;
    r->is_hello_owed = false;
    frames_fini(&r->frames);
    if (r->db->log != NULL) receiver_drop_queue(r);
    if (link != NULL) env->v->link_close(env, link);
}

static void on_opened(struct env_link *link, void *arg)
{
    struct receiver *r = arg;
    if (link != r->link) return;
    run(r, (struct follow_event){.kind = FOLLOW_EV_OPENED});
}

static void on_fed(struct receiver *r, enum code code, const struct err *e)
{
    if (code == OK) {
        receiver_write_next(r); /* one write for all that one wake-up brought */
        arm(r);
        return;
    }
    uint8_t reason = WIRE_END_CORRUPT;
    if (code == E_GAP) reason = WIRE_END_GAP;
    if (code == E_FENCED) reason = WIRE_END_FENCED;
    if (code == E_UNSUPPORTED) reason = WIRE_END_UNKNOWN_KIND;
    receiver_end_link(r, reason, e->text);
}

static void on_received(struct env_link *link, void *arg, struct slice bytes)
{
    struct receiver *r = arg;
    struct err e = {.code = OK};
    if (link != r->link) return;
    enum code code = frames_feed(&r->frames, bytes, &e);
    if (link == r->link) on_fed(r, code, &e);
}

static void resume_was_due(struct env_task *task)
{
    struct receiver *r = CONTAINER_OF(task, struct receiver, resume_task);
    struct env_link *link = r->link;
    struct err e = {.code = OK};
    r->is_resume_posted = false;
    if (link != NULL && r->follow.state == FOLLOW_STREAMING) {
        enum code code = frames_resume(&r->frames, &e);
        if (link == r->link) on_fed(r, code, &e);
    }
    receiver_close_further(r);
}

static void on_drained(struct env_link *link, void *arg)
{
    (void)link; /* acks are small: nobody waits for the queue */
    (void)arg;
}

static void on_closed(struct env_link *link, void *arg, const struct err *e)
{
    struct receiver *r = arg;
    ASSERT(r->open_links > 0);
    r->open_links--;
    if (link == r->link) {
        r->link = NULL;
        const char *text = e->code == OK ? "the link was closed" : e->text;
        receiver_fail(r, FOLLOW_CAUSE_UNREACHABLE, 0, text);
    }
    receiver_close_further(r);
}

static const struct env_link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static void connect_link(struct receiver *r)
{
    struct db *db = r->db;
    ASSERT(r->link == NULL);
    r->open_links++;
    if (r->is_fetching) {
        r->link = db->env->v->connect(db->env, r->network_address, &link_events, r);
    } else if (r->network != NULL) {
        r->link = db->env->v->connect_on(db->env, r->network, r->network_address, &link_events, r);
    } else {
        r->link = db->env->v->connect(db->env, db->identity.leader_address, &link_events, r);
    }
    frames_init(&r->frames, db->env, r->link, db->alloc, on_frame, r);
}

void receiver_fail(struct receiver *r, enum follow_cause cause, uint8_t reason, const char *text)
{
    if (r->is_closing) return;
    (void)snprintf(r->reason, sizeof(r->reason), "%s", text); /* cut when too long */
    run(r, (struct follow_event){
               .kind = FOLLOW_EV_FAILED,
               .cause = cause,
               .reason = reason,
           });
}

void receiver_end_link(struct receiver *r, uint8_t reason, const char *text)
{
    if (r->follow.session != 0) {
        struct wire_message m = {
            .kind = WIRE_END,
            .session = r->follow.session,
            .as.end = {.reason = reason, .text = slice_of_text(text)},
        };
        frames_send(&r->frames, &m);
    }
    enum follow_cause cause =
        reason == WIRE_END_FENCED ? FOLLOW_CAUSE_FENCED : FOLLOW_CAUSE_PROTOCOL;
    receiver_fail(r, cause, reason, text);
}

/* --- hello --- */

/* From which the state could be loaded and replayed. */
static struct manifest_list own_manifests(const struct db *db)
{
    if (db->log == NULL) return (struct manifest_list){0};
    return manifest_list_usable(&db->manifests, log_oldest(db->log), log_durable(db->log).seqno);
}

static void send_hello(struct receiver *r)
{
    const struct db *db = r->db;
    const struct identity *id = &db->identity;
    if (!r->is_hello_owed || !receiver_is_settled(r)) return;
    r->is_hello_owed = false;
    r->asked = (struct position){0};
    if (db->log != NULL) r->asked = log_durable(db->log);
    struct wire_message m = {
        .kind = WIRE_HELLO,
        .session = r->follow.session,
        .as.hello =
            {
                .version_min = WIRE_VERSION,
                .version_max = WIRE_VERSION,
                .features = WIRE_FEATURES,
                .feature_level = id->feature_level,
                .frame_size_max = FRAME_SIZE_MAX,
                .cluster = id->cluster,
                .stream = id->stream,
                .node_id = slice_of_text(id->node_id),
                .incarnation = id->incarnation,
                .region = db->config.stream.region, /* where this node stands */
                .data_address = slice_of_text(db->config.data_address),
                .http_address = slice_of_text(db->config.http_address),
                .replication_address = slice_of_text(db->config.replication_address),
                .is_voter = db->is_voter,
                .is_empty = r->asked.seqno.v == 0,
                .is_loss_accepted = !r->is_fetching && truncation_allowed(db) != NULL,
                .is_leader_wanted = !r->is_fetching && id->follows == FOLLOWS_LEADER,
                .is_fetching = r->is_fetching,
                .is_damaged = db->condition == DB_POISONED || db->condition == DB_HALTED ||
                              db->condition == DB_DIVERGED,
                .memory_max = db->config.memory_max,
                .last = r->asked,
                .applied = db_applied(db).seqno,
                .oldest = db->log != NULL ? log_oldest(db->log) : SEQNO_NONE,
                .committed = db->log != NULL ? log_committed(db->log) : SEQNO_NONE,
                .highest_epoch = id->highest_epoch,
                .history_id = id->history_id,
            },
    };
    struct epoch_table table = {
        .entries = id->epochs, .count = id->epoch_count, .last = r->asked.seqno};
    m.as.hello.epoch_count = epoch_copy_newest(&table, m.as.hello.epochs, WIRE_EPOCHS_MAX);
    struct manifest_list manifests = own_manifests(db);
    m.as.hello.manifest_count = manifests.count;
    memcpy(m.as.hello.manifests, manifests.at, sizeof(manifests.at));
    frames_send(&r->frames, &m);
}

/* --- plan --- */

static void plan_was_noted(struct db *db, void *arg, enum code code)
{
    struct receiver *r = arg;
    (void)db;
    ASSERT(r->is_noting);
    r->is_noting = false;
    if (r->is_copy_wanted) {
        r->is_copy_wanted = false;
        if (code != OK) {
            receiver_fail(r, FOLLOW_CAUSE_LOCAL, 0, "what the plan brought could not be saved");
        } else if (!r->is_closing) {
            receiver_begin_copy(r);
        }
        receiver_close_further(r);
        return;
    }
    if (r->follow.session == r->noting_session && r->follow.state == FOLLOW_NOTING) {
        if (code == OK) {
            run(r, (struct follow_event){.kind = FOLLOW_EV_NOTED});
        } else {
            receiver_fail(r, FOLLOW_CAUSE_LOCAL, 0, "this node could not save its identity");
        }
    }
    send_hello(r); /* of a newer link, if one waits */
    receiver_close_further(r);
}

static void note_epoch(struct receiver *r)
{
    if (r->noting_epoch > r->db->identity.highest_epoch) {
        db_note_epoch(r->db, r->noting_epoch, plan_was_noted, r);
    } else {
        plan_was_noted(r->db, r, OK);
    }
}

static void cluster_was_adopted(struct db *db, void *arg, enum code code)
{
    struct receiver *r = arg;
    (void)db;
    if (code != OK) {
        plan_was_noted(r->db, r, code);
        return;
    }
    note_epoch(r);
}

/* Make durable what the plan needs, then accept it. Frames wait meanwhile. */
static void start_noting(struct receiver *r, const struct wire_plan *plan)
{
    ASSERT(!r->is_noting); /* hello waited for it */
    r->is_noting = true;
    r->noting_session = r->follow.session;
    r->noting_epoch = plan->epoch.number;
    frames_hold(&r->frames);
    if (id128_is_zero(&r->db->identity.cluster)) {
        db_adopt_cluster(r->db, plan, cluster_was_adopted, r);
    } else {
        note_epoch(r);
    }
}

/* The leader says that only a copy of its state helps: e says why. */
static void start_copy(struct receiver *r, const struct wire_plan *plan, const struct err *why)
{
    if (r->is_noting || r->join != NULL) return;
    r->is_copy_wanted = true;
    (void)snprintf(r->copy_why, sizeof(r->copy_why), "%s", why->text);
    start_noting(r, plan);
}

static void copy_address(char out[ADDRESS_SIZE_MAX + 1], struct slice address)
{
    ASSERT(address.size <= ADDRESS_SIZE_MAX); /* strings of the wire have at most 255 bytes */
    memset(out, 0, ADDRESS_SIZE_MAX + 1);
    if (address.size > 0) memcpy(out, address.data, address.size);
}

/* Who was asked follows somebody: that one is asked next. */
static void take_redirect(struct receiver *r, struct slice address)
{
    struct identity *id = &r->db->identity;
    const char *own = r->db->config.replication_address;
    bool is_usable = address.size > 0 && address.size < sizeof(id->leader_address) &&
                     !slice_equal(address, slice_of_text(own)) && r->network == NULL;
    if (!is_usable || slice_equal(address, slice_of_text(id->leader_address))) return;
    memset(id->leader_address, 0, sizeof(id->leader_address));
    memcpy(id->leader_address, address.data, address.size);
    if (transport_is_meant(id->leader_address)) id->leader_address[0] = '\0';
    id->follows = FOLLOWS_LEADER;
    r->db->is_chained = false;
    db_save_identity(r->db, NULL, NULL); /* lazily: a restart is told again */
}

/* --- plans that end in another life --- */

static void order_failed(void *arg, const struct err *e)
{
    receiver_fail(arg, FOLLOW_CAUSE_LOCAL, 0, e->text);
}

static void begin_truncation(struct receiver *r, const struct wire_plan *plan)
{
    struct truncation_order order = {
        .fork = plan->from,
        .end = r->asked,
        .link_nonce = r->follow.session,
        .epoch = plan->epoch.number,
    };
    struct err e = {.code = OK};
    if (truncation_begin(r->db, &order, order_failed, r, &e) != OK) order_failed(r, &e);
}

static enum follow_verdict judge_plan(const struct receiver *r, const struct wire_plan *plan,
                                      struct err *e)
{
    const struct db *db = r->db;
    const struct identity *id = &db->identity;
    struct manifest_list manifests = own_manifests(db);
    struct follow_plan asked = {
        .plan = plan,
        .asked = r->asked,
        .cluster = id->cluster,
        .log_key = id->log_key,
        .stream = id->stream,
        .highest_epoch = r->is_fetching ? 0 : id->highest_epoch, /* it follows no epoch */
        .oldest = db->log != NULL ? log_oldest(db->log) : SEQNO_NONE,
        .manifests = manifests.at,
        .manifest_count = manifests.count,
        .committed = db->log != NULL ? log_committed(db->log) : SEQNO_NONE,
        .may_lose = truncation_allowed(db),
    };
    enum follow_verdict verdict = follow_judge_plan(&asked, e);
    TAKEN(TAKEN_PLAN, 0, verdict);
    return verdict;
}

/* Whom this node follows by now. False: it must not; the link was given up. */
static bool take_path(struct receiver *r, struct slice node_id, struct slice path)
{
    if (r->is_fetching) return true; /* it follows nobody; whoever it asks may follow it */
    char text[ERR_TEXT_SIZE];
    char now[CHAIN_TEXT_SIZE];
    struct text t = text_of(text, sizeof(text));
    bool is_short = chain_extend(node_id, path, now);
    struct slice own = slice_of_text(r->db->identity.node_id);
    if (is_short && !chain_has(slice_of_text(now), own)) {
        memcpy(r->path, now, sizeof(r->path));
        r->db->is_chained = path.size > 0;
        return true;
    }
    text_add_escaped(&t, node_id, NODE_ID_SIZE_MAX);
    text_add(&t, " follows ");
    text_add_escaped(&t, path, ERR_TEXT_SIZE / 2);
    text_add(&t, is_short ? ", and so this node itself: a ring has no leader"
                          : ": no more followers may stand in one chain");
    receiver_fail(r, FOLLOW_CAUSE_REFUSED, is_short ? REFUSE_RING : REFUSE_CHAIN, text);
    return false;
}

/* Records are fetched only where this node's log goes on as it is. */
static enum code refuse_other_life(struct receiver *r, const struct wire_plan *plan)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    text_add(&t, "%s: ", refuse_name(plan->reason));
    text_add_escaped(&t, plan->text, sizeof(sentence));
    receiver_fail(r, FOLLOW_CAUSE_REFUSED, plan->reason, sentence);
    return OK;
}

static enum code take_plan(struct receiver *r, const struct wire_plan *plan, struct err *e)
{
    if (r->follow.state != FOLLOW_GREETING || r->is_hello_owed) return OK; /* not asked for */
    if (plan->kind != PLAN_REFUSE && !take_path(r, plan->node_id, plan->path)) return OK;
    enum follow_verdict verdict = judge_plan(r, plan, e);
    if (verdict == FOLLOW_ACCEPT && r->db->log == NULL) { /* adopting failed for want of memory */
        receiver_fail(r, FOLLOW_CAUSE_LOCAL, 0, "this node has no log yet; restart it");
        return OK;
    }
    switch (verdict) {
    case FOLLOW_ACCEPT:
    case FOLLOW_NOTE:
        copy_address(r->leader_data_address, plan->data_address);
        r->was_heard = true;
        r->leader_durable = plan->durable.v;
        r->leader_durable_bytes = plan->durable_bytes;
        r->leader_end = (struct position){0};
        r->plan_epoch = plan->epoch;
        r->is_cut = plan->path.size > 0;  /* until a heartbeat says that it is not */
        r->leader_committed = SEQNO_NONE; /* of its epoch, from its first heartbeat on */
        run(r, (struct follow_event){
                   .kind = FOLLOW_EV_PLAN,
                   .epoch = plan->epoch.number,
                   .is_note = verdict == FOLLOW_NOTE,
               });
        if (verdict == FOLLOW_NOTE) start_noting(r, plan);
        return OK;
    case FOLLOW_TRUNCATE:
        if (r->is_fetching) return refuse_other_life(r, plan);
        begin_truncation(r, plan);
        return OK;
    case FOLLOW_BOOTSTRAP:
        if (r->is_fetching) return refuse_other_life(r, plan);
        start_copy(r, plan, e);
        return OK;
    case FOLLOW_REFUSED:
        if (!r->is_fetching && plan->reason == REFUSE_NOT_LEADER) {
            take_redirect(r, plan->replication_address);
        }
        receiver_fail(r, FOLLOW_CAUSE_REFUSED, plan->reason, e->text);
        return OK;
    case FOLLOW_UNSAFE: receiver_fail(r, FOLLOW_CAUSE_REFUSED, plan->reason, e->text); return OK;
    case FOLLOW_FENCED: return E_FENCED;
    case FOLLOW_FOREIGN:
    case FOLLOW_MISMATCH: return E_PROTOCOL;
    }
    UNREACHABLE();
}

/* What a follower keeps of whom it follows. */
static void note_followed(struct receiver *r)
{
    struct db *db = r->db;
    receiver_drop_staged(r);
    if (strcmp(db->identity.leader_data_address, r->leader_data_address) != 0) {
        memcpy(db->identity.leader_data_address, r->leader_data_address,
               sizeof(r->leader_data_address));
        db_save_identity(db, NULL, NULL); /* lazily: only READONLY answers use it */
    }
    if (db->identity.follows == FOLLOWS_NAMED) {
        db->identity.follows = db->is_chained ? FOLLOWS_NODE : FOLLOWS_LEADER;
        db_save_identity(db, NULL, NULL); /* lazily: else the next link says it again */
    }
    db_event(db, DB_EVENT_RESYNC, "following %s in epoch %llu after record %llu%s%s",
             db->identity.leader_address, (unsigned long long)r->follow.plan_epoch,
             (unsigned long long)r->accepted.seqno.v, db->is_chained ? ", a follower: " : "",
             db->is_chained ? r->path : "");
    if (db->shipper != NULL) {
        shipper_follow(db->shipper, &r->plan_epoch, slice_of_text(r->path));
    }
}

static void accept_plan(struct receiver *r)
{
    ASSERT(r->queue_first == NULL);
    r->accepted = r->asked;
    r->leader_probe = 0;
    r->reason[0] = '\0';
    r->told_reason[0] = '\0';
    r->frames.body_size_max = FRAME_SIZE_MAX;
    if (r->is_fetching) {
        db_event(r->db, DB_EVENT_RESYNC, "fetching from %s after record %llu", r->network_address,
                 (unsigned long long)r->accepted.seqno.v);
    } else {
        note_followed(r);
    }
    ask_for_ack(r);
}

/* --- frames in --- */

seqno receiver_floor(const struct receiver *r)
{
    return r->leader_floor;
}

static enum code take_heartbeat(struct receiver *r, const struct wire_message *m, struct err *e)
{
    const struct wire_heartbeat *beat = &m->as.heartbeat;
    if (beat->epoch.number != r->follow.plan_epoch) {
        return ERR(e, beat->epoch.number < r->follow.plan_epoch ? E_FENCED : E_PROTOCOL,
                   "a heartbeat of epoch %llu on a link of epoch %llu",
                   (unsigned long long)beat->epoch.number,
                   (unsigned long long)r->follow.plan_epoch);
    }
    r->was_heard = true;
    r->db->heard_leader_time = beat->leader_time;
    r->db->heard_mono_ns = r->db->env->v->now_mono_ns(r->db->env);
    if (!take_path(r, chain_first(slice_of_text(r->path)), beat->path)) return OK;
    r->is_cut = beat->is_cut != 0;
    r->leader_end = beat->durable;
    if (beat->durable.seqno.v > r->leader_durable) r->leader_durable = beat->durable.seqno.v;
    log_note_committed(r->db->log, beat->committed); /* of this leader's history, as far as held */
    if (beat->durable_bytes > r->leader_durable_bytes) {
        r->leader_durable_bytes = beat->durable_bytes;
    }
    r->leader_floor = r->db->members_floor = beat->floor;
    if (m->probe > r->leader_probe) r->leader_probe = m->probe;
    r->leader_committed = seqno_max(r->leader_committed, beat->committed);
    lag_self_echo(&r->lag, beat->echo_probe, beat->echo_durable, beat->echo_staleness_ns,
                  db_applied(r->db).seqno);
    waits_on_fresh(r->db->waits);
    waits_on_committed(r->db->waits);
    ask_for_ack(r);
    return OK;
}

static void take_end(struct receiver *r, const struct wire_end *end)
{
    char sentence[ERR_TEXT_SIZE];
    struct text t = text_of(sentence, sizeof(sentence));
    text_add(&t, "the leader ended the link: ");
    text_add_escaped(&t, end->text, sizeof(sentence));
    receiver_fail(r, FOLLOW_CAUSE_ENDED, end->reason, sentence);
}

/* A good place to seal here, too; nothing depends on it. */
static void take_sealed(struct receiver *r, const struct wire_sealed *sealed)
{
    if (r->follow.state != FOLLOW_STREAMING || !r->db->roller) return;
    roller_seal_at(r->db->roller, sealed->position.seqno);
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct receiver *r = arg;
    struct wire_message m;
    if (header->session != r->follow.session) return OK; /* of an older link: it does nothing */
    TRY(wire_decode(header, body, &m, e));
    bool is_streaming = r->follow.state == FOLLOW_STREAMING;
    run(r, (struct follow_event){.kind = FOLLOW_EV_HEARD});
    switch (m.kind) {
    case WIRE_PLAN: return take_plan(r, &m.as.plan, e);
    case WIRE_END: take_end(r, &m.as.end); return OK;
    case WIRE_SEALED: take_sealed(r, &m.as.sealed); return OK;
    case WIRE_BATCHES:
        if (is_streaming) return receiver_take_batches(r, &m.as.batches, e);
        break;
    case WIRE_HEARTBEAT:
        if (is_streaming) return take_heartbeat(r, &m, e);
        break;
    case WIRE_HANDOVER:
        if (!is_streaming) break;
        role_take_handover(r->db, &m.as.handover);
        return OK;
    case WIRE_MEMBERS:
        if (!is_streaming) break;
        members_take(r->db, &m.as.members);
        return OK;
    case WIRE_MANIFEST:
        if (is_streaming) return divergence_take(r->db, &m.as.manifest, e);
        break;
    case WIRE_HELLO:
    case WIRE_ACK:
    case WIRE_INQUIRE:
    case WIRE_STANDING:
    case WIRE_FETCH:
    case WIRE_BLOCKS:
    case WIRE_PROGRESS: break;
    }
    return ERR(e, E_PROTOCOL, "a follower does not take %s while %s", wire_kind_name(header->kind),
               follow_state_name(r->follow.state));
}

/* --- the machine --- */

/* The state in words, with the reason while there is no link. */
static void describe(struct receiver *r)
{
    const char *name = follow_state_name(r->follow.state);
    struct text t = text_of(r->link_state, sizeof(r->link_state));
    if (r->reason[0] == '\0' || r->follow.state == FOLLOW_STREAMING) {
        text_add(&t, "%s", name);
        return;
    }
    const char *word = r->follow.cause == FOLLOW_CAUSE_REFUSED ? "refused" : name;
    text_add(&t, "%s: %s", word, r->reason);
}

/* The reason is due every 10 s; an event only when it is news. */
static void note_trouble(struct receiver *r)
{
    struct db *db = r->db;
    if (strcmp(r->told_reason, r->reason) == 0) return;
    memcpy(r->told_reason, r->reason, sizeof(r->told_reason));
    db_event(db, DB_EVENT_LINK, "cannot %s %s: %s", r->is_fetching ? "fetch from" : "follow",
             r->is_fetching ? r->network_address : db->identity.leader_address, r->reason);
}

/* Tell the machine and carry out what it asks. */
static void run(struct receiver *r, struct follow_event event)
{
    struct db *db = r->db;
    struct follow_actions actions;
    event.now_ns = receiver_now(r);
    bool needs_random = event.kind == FOLLOW_EV_OPENED || event.kind == FOLLOW_EV_FAILED ||
                        event.kind == FOLLOW_EV_TIMER;
    if (needs_random) event.random = db->env->v->random(db->env);
    follow_step(&r->follow, &event, &actions);
    if (actions.is_link_over) drop_link(r);
    if (actions.is_reason_due) {
        if (r->follow.cause == FOLLOW_CAUSE_SILENT) {
            (void)snprintf(r->reason, sizeof(r->reason), "the leader says nothing");
        }
        note_trouble(r);
    }
    if (actions.is_connect_due) connect_link(r);
    if (actions.is_hello_due) {
        r->is_hello_owed = true;
        send_hello(r);
    }
    if (actions.is_accepted) {
        accept_plan(r);
        ask_to_resume(r);
    }
    if (event.kind != FOLLOW_EV_HEARD) describe(r);
    arm(r);
}

uint64_t receiver_epoch(const struct receiver *r)
{
    return r->follow.state == FOLLOW_STREAMING ? r->follow.plan_epoch : 0;
}

void receiver_fence(struct receiver *r, uint64_t epoch)
{
    char text[96];
    if (r->link == NULL || r->follow.plan_epoch >= epoch) return;
    (void)snprintf(text, sizeof(text), "epoch %llu is claimed by another node",
                   (unsigned long long)epoch);
    receiver_fail(r, FOLLOW_CAUSE_FENCED, 0, text);
}

void receiver_feed_log(struct receiver *r)
{
    if (!r->is_closing) receiver_write_next(r);
}

void receiver_on_progress(struct receiver *r)
{
    if (r->is_closing) return;
    receiver_write_next(r);
    if (r->db->log != NULL) {
        lag_self_applied(&r->lag, db_applied(r->db).seqno);
        waits_on_fresh(r->db->waits);
    }
    send_hello(r);
    ask_for_ack(r);
    if (r->queue_bytes <= RECEIVE_QUEUE_MAX / 2) ask_to_resume(r);
}

/* --- status --- */

void receiver_heard(const struct receiver *r, struct receiver_heard *out)
{
    *out = (struct receiver_heard){
        .durable = r->leader_end,
        .durable_seqno = seqno_of(r->leader_durable),
        .durable_bytes = r->leader_durable_bytes,
        .committed = r->leader_committed,
        .floor = r->leader_floor,
        .is_cut = r->is_cut || r->follow.state != FOLLOW_STREAMING,
        .path = slice_of_text(r->path),
    };
}

uint64_t receiver_staleness_ns(const struct receiver *r)
{
    return lag_self_ns(&r->lag, receiver_now(r));
}

bool receiver_fresh_since(const struct receiver *r, uint64_t *out_ns)
{
    if (r->lag.was_synced) *out_ns = r->lag.proved_ns;
    return r->lag.was_synced;
}

seqno receiver_committed(const struct receiver *r)
{
    const struct log *log = r->db->log; /* it knows what earlier leaders told */
    seqno committed =
        log ? seqno_max(r->leader_committed, log_committed(log)) : r->leader_committed;
    return seqno_min(committed, db_applied(r->db).seqno);
}

void receiver_status(const struct receiver *r, struct receiver_status *out)
{
    const struct db *db = r->db;
    uint64_t applied = db_applied(db).seqno.v;
    uint64_t applied_bytes = 0;
    if (db->log != NULL) {
        applied_bytes = log_durable_bytes(db->log) - log_bytes_after(db->log, seqno_of(applied));
    }
    *out = (struct receiver_status){
        .link_state = r->link_state,
        .is_link_up = r->follow.state == FOLLOW_STREAMING,
        .is_refused = r->follow.state == FOLLOW_WAITING && r->follow.cause == FOLLOW_CAUSE_REFUSED,
        .was_synced = r->lag.was_synced,
        .leader_durable = r->leader_durable,
        .lag_records = r->leader_durable > applied ? r->leader_durable - applied : 0,
        .lag_bytes =
            r->leader_durable_bytes > applied_bytes ? r->leader_durable_bytes - applied_bytes : 0,
        .lag_seconds = lag_self_seconds(&r->lag, receiver_now(r)),
        .retries = r->follow.retries,
    };
}
