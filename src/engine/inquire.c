/* inquire: see inquire.h. An inquiry owns its links from connect to closed(); it outlives its owner
 * until the last one is gone. */
#include "engine/inquire.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "core/epoch.h"
#include "engine/frames.h"
#include "engine/receiver.h"
#include "engine/role.h"

/* One address. */
struct asked {
    struct inquiry *inquiry;
    struct env_link *link; /* NULL: closed, or given up */
    struct frames frames;
    bool is_over; /* answered or failed */
};

struct inquiry {
    struct inquiry *next; /* in db's list */
    struct db *db;
    struct env_timer timer;
    uint64_t session;
    uint64_t claim;
    uint32_t count;
    uint32_t open_links;
    bool is_released;
    bool is_told;
    inquire_done done;
    void *arg;
    struct asked asked[MEMBERS_MAX];
    struct inquire_reply replies[]; /* count */
};

static void free_inquiry(struct inquiry *q)
{
    q->db->env->v->timer_close(q->db->env, &q->timer);
    free(q);
}

static void forget(struct inquiry *q)
{
    struct inquiry **at = &q->db->inquiries;
    while (*at != q) {
        at = &(*at)->next;
    }
    *at = q->next;
    free_inquiry(q);
}

static void forget_if_over(struct inquiry *q)
{
    if (q->is_released && q->open_links == 0) forget(q);
}

static void end_link(struct asked *a)
{
    struct env *env = a->inquiry->db->env;
    struct env_link *link = a->link;
    a->link = NULL;
    a->is_over = true;
    frames_fini(&a->frames);
    a->frames.link = NULL;
    if (link != NULL) env->v->link_close(env, link);
}

/* From the timer, never from a link's event: the owner may free the inquiry in done. */
static void tell_if_all_over(struct inquiry *q)
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (!q->asked[i].is_over) return;
    }
    if (q->is_told || q->is_released) return;
    q->is_told = true;
    q->done(q->arg, q->replies, q->count);
}

static void fail(struct asked *a, const char *why)
{
    struct inquiry *q = a->inquiry;
    struct inquire_reply *reply = &q->replies[a - q->asked];
    if (a->is_over) return;
    (void)snprintf(reply->why, sizeof(reply->why), "%s", why);
    end_link(a);
}

static void timer_fired(struct env_timer *timer)
{
    struct inquiry *q = CONTAINER_OF(timer, struct inquiry, timer);
    for (uint32_t i = 0; i < q->count; i++) {
        fail(&q->asked[i], "it did not answer in time");
    }
    tell_if_all_over(q);
}

/* The last one is over: tell from the timer, soon. */
static void look_soon(struct inquiry *q)
{
    for (uint32_t i = 0; i < q->count; i++) {
        if (!q->asked[i].is_over) return;
    }
    if (!q->is_told && !q->is_released) q->db->env->v->timer_start(q->db->env, &q->timer, 0);
}

/* --- a link --- */

static void copy_text(char *out, size_t capacity, struct slice s)
{
    ASSERT(s.size < capacity); /* the wire's bounds */
    if (s.size > 0) memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

static void take_standing(struct asked *a, const struct wire_standing *s)
{
    struct inquire_reply *reply = &a->inquiry->replies[a - a->inquiry->asked];
    reply->has_answered = true;
    reply->standing = *s;
    copy_text(reply->node_id, sizeof(reply->node_id), s->node_id);
    copy_text(reply->data_address, sizeof(reply->data_address), s->data_address);
    copy_text(reply->replication_address, sizeof(reply->replication_address),
              s->replication_address);
    copy_text(reply->leader_address, sizeof(reply->leader_address), s->leader_address);
    const struct slice none = {0};
    reply->standing.node_id = none;
    reply->standing.data_address = none;
    reply->standing.http_address = none;
    reply->standing.replication_address = none;
    reply->standing.leader_address = none;
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct asked *a = arg;
    struct wire_message m;
    if (header->session != a->inquiry->session) return OK;
    TRY(wire_decode(header, body, &m, e));
    if (m.kind != WIRE_STANDING) {
        return ERR(e, E_PROTOCOL, "it answers with %s", wire_kind_name(header->kind));
    }
    if (!a->is_over) take_standing(a, &m.as.standing);
    a->is_over = true;
    return OK;
}

static void on_opened(struct env_link *link, void *arg)
{
    struct asked *a = arg;
    const struct db *db = a->inquiry->db;
    const struct identity *id = &db->identity;
    if (link != a->link) return;
    uint64_t highest = id->highest_epoch < EPOCH_NUMBER_MAX ? id->highest_epoch : EPOCH_NUMBER_MAX;
    struct wire_message m = {
        .kind = WIRE_INQUIRE,
        .session = a->inquiry->session,
        .as.inquire =
            {
                .cluster = id->cluster,
                .node_id = slice_of_text(id->node_id),
                .highest_epoch = highest,
                .claim = a->inquiry->claim,
                .role = id->role,
                .replication_address = slice_of_text(db->config.replication_address),
            },
    };
    frames_send(&a->frames, &m);
}

static void on_received(struct env_link *link, void *arg, struct slice bytes)
{
    struct asked *a = arg;
    struct err e = {.code = OK};
    if (link != a->link) return;
    if (frames_feed(&a->frames, bytes, &e) != OK) fail(a, e.text);
    if (a->is_over) end_link(a);
    look_soon(a->inquiry);
}

static void on_drained(struct env_link *link, void *arg)
{
    (void)link;
    (void)arg;
}

static void on_closed(struct env_link *link, void *arg, const struct err *e)
{
    struct asked *a = arg;
    struct inquiry *q = a->inquiry;
    ASSERT(q->open_links > 0);
    q->open_links--;
    if (link == a->link) {
        a->link = NULL;
        fail(a, e->code == OK ? "it closed the link" : e->text);
    }
    look_soon(q);
    forget_if_over(q);
}

static const struct env_link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static void ask(struct asked *a, const char *address)
{
    struct db *db = a->inquiry->db;
    a->inquiry->open_links++;
    a->link = db->env->v->connect(db->env, address, &link_events, a);
    frames_init(&a->frames, db->env, a->link, db->alloc, on_frame, a);
}

struct inquiry *inquiry_start(struct db *db, const char *const *addresses, uint32_t count,
                              const struct inquire_options *options, inquire_done done, void *arg)
{
    if (count > MEMBERS_MAX) count = MEMBERS_MAX;
    struct inquiry *q = calloc(1, sizeof(*q) + count * sizeof(q->replies[0]));
    if (q == NULL) return NULL;
    q->db = db;
    q->count = count;
    q->claim = options->claim;
    q->done = done;
    q->arg = arg;
    q->timer = (struct env_timer){.fire = timer_fired, .env = db->env};
    while (q->session == 0) {
        q->session = db->env->v->random(db->env);
    }
    q->next = db->inquiries;
    db->inquiries = q;
    db->env->v->timer_start(db->env, &q->timer, count > 0 ? options->timeout_ns : 0);
    for (uint32_t i = 0; i < count; i++) {
        q->asked[i].inquiry = q;
        (void)snprintf(q->replies[i].address, sizeof(q->replies[i].address), "%s", addresses[i]);
    }
    for (uint32_t i = 0; i < count; i++) {
        ask(&q->asked[i], addresses[i]);
    }
    return q;
}

void inquiry_free(struct inquiry *q)
{
    if (q == NULL) return;
    q->is_released = true;
    q->db->env->v->timer_stop(q->db->env, &q->timer);
    for (uint32_t i = 0; i < q->count; i++) {
        end_link(&q->asked[i]);
    }
    forget_if_over(q);
}

bool inquire_is_quiet(const struct db *db)
{
    return db->inquiries == NULL;
}

void inquire_abandon(struct db *db)
{
    while (db->inquiries != NULL) {
        struct inquiry *q = db->inquiries;
        db->inquiries = q->next;
        for (uint32_t i = 0; i < q->count; i++) {
            frames_fini(&q->asked[i].frames);
        }
        free_inquiry(q);
    }
}

/* --- the other side --- */

void inquire_standing(const struct db *db, struct wire_standing *out)
{
    const struct identity *id = &db->identity;
    struct position last = {0};
    if (db->log != NULL) last = log_durable(db->log);
    *out = (struct wire_standing){
        .cluster = id->cluster,
        .node_id = slice_of_text(id->node_id),
        .data_address = slice_of_text(db->config.data_address),
        .http_address = slice_of_text(db->config.http_address),
        .replication_address = slice_of_text(db->config.replication_address),
        .incarnation = id->incarnation,
        .last = last,
        .applied = db_applied(db).seqno,
        .highest_epoch =
            id->highest_epoch < EPOCH_NUMBER_MAX ? id->highest_epoch : EPOCH_NUMBER_MAX,
        .is_damaged = db->condition == DB_POISONED || db->condition == DB_HALTED ||
                      db->condition == DB_DIVERGED,
        .is_serving = db_is_leader(db) ? !role_holds_writes(db) : db->state != NULL,
        .is_bootstrapping = db->receiver != NULL && receiver_is_copying(db->receiver),
        .is_voter = db->is_voter,
        .role = id->role,
    };
    if (id->role == ROLE_FOLLOWER) out->leader_address = slice_of_text(id->leader_address);
    struct epoch_table table = {
        .entries = id->epochs, .count = id->epoch_count, .last = last.seqno};
    out->epoch_count = epoch_copy_newest(&table, out->epochs, WIRE_EPOCHS_MAX);
}
