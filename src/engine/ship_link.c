/* ship_link: one link of one follower on its leader: batches out, acks in, heartbeats; the
 * handshake is in ship_hello.c.
 *
 * What to believe and when to speak is decided by core/ship and core/resume; here bytes move. Life:
 * accepted -> hello -> (proof) -> plan -> batches, cold ones by log_read, new ones straight from
 * the tail's chunks -> ended: it lingers so that its last words arrive, then it is closed; it is
 * freed when the link is closed and no read of it runs. From its end on it does not own its slot.
 */
#include "engine/shipper.h"

#include "base/assert.h"
#include "base/planted.h"
#include "engine/bootstrap_serve.h"
#include "engine/clock.h"
#include "engine/freshness.h"
#include "engine/inquire.h"
#include "engine/members.h"
#include "engine/receiver.h"
#include "engine/role.h"
#include "engine/roller.h"
#include "engine/shipper_internal.h"

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

struct ship_actions ship_link_step(struct ship_link *link, struct ship_event event)
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

struct epoch ship_link_epoch(const struct ship_link *link)
{
    return link->is_fetching ? link->fetch_epoch : shipper_epoch(link->shipper);
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
        ship_copy_text(address, sizeof(address), inquire->replication_address);
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
    struct ship_actions actions = ship_link_step(
        link, (struct ship_event){.kind = SHIP_EV_ACK, .session = m->session, .ack = ack});
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
    if (link->serve) (void)ship_link_step(link, (struct ship_event){.kind = SHIP_EV_HEARD});
    switch (m.kind) {
    case WIRE_HELLO: return ship_hello_take(link, &m, e);
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
    (void)ship_link_step(
        link, (struct ship_event){.kind = SHIP_EV_SENT, .position = end, .bytes = bytes});
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
    (void)ship_link_step(link,
                         (struct ship_event){.kind = is_streaming ? SHIP_EV_TAIL : SHIP_EV_COLD});
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
                .epoch = ship_link_epoch(link),
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
    (void)ship_link_step(link, (struct ship_event){.kind = SHIP_EV_BEAT, .probe = probe});
}

void ship_link_tick(struct ship_link *link, uint64_t now_ns)
{
    if (link->ended_ns != 0) {
        if (now_ns - link->ended_ns >= SHIP_LINGER_NS) ship_link_close(link);
        return;
    }
    struct ship_actions actions = ship_link_step(link, (struct ship_event){.kind = SHIP_EV_TICK});
    /* A leader that hands over says nothing more until the offer goes out over this very link. */
    bool has_epoch = ship_link_epoch(link).number > 0;
    if (actions.is_heartbeat_due && has_epoch) send_heartbeat(link, now_ns);
}

uint64_t ship_link_due_ns(const struct ship_link *link)
{
    if (link->env_link == NULL || link->is_closing) return UINT64_MAX;
    if (link->ended_ns != 0) return link->ended_ns + SHIP_LINGER_NS;
    return ship_due_ns(&link->ship);
}
