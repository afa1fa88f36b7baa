/* directory: see directory.h.
 *
 * A link: hello -> plan (continue from what was asked, or refused in words) -> batches of one
 * object after another, as much as the link takes -> at the end it looks for new objects with each
 * ack and twice a second. An object of a higher epoch than the plan's ends the link: the next plan
 * names it. Memory: the list of objects, and per link one object and what the link has not taken.
 */
#include "engine/directory.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/api_error.h"
#include "engine/frames.h"
#include "engine/transport.h"
#include "env/thread.h"

#define LINKS_MAX     16u
#define LOOK_NS       (500 * NS_PER_MS)
#define FRAME_WANTED  ((size_t)(256 * KIB)) /* a frame is ended once it is so large */
#define QUEUED_MAX    ((size_t)MIB)
#define PAIR_CAPACITY ((size_t)(256 * KIB))

struct link {
    struct directory *directory;
    struct env_link *env_link; /* NULL: this place is free */
    struct frames frames;
    uint64_t session; /* 0: no hello yet */
    uint64_t epoch;   /* of the plan; 0: none */
    uint64_t probe;   /* newest of the follower ... */
    seqno probe_end;  /* ... and what was there when it came */
    uint64_t beats;
    bool is_ended; /* told, or to be told, to close */
    struct position sent;
    seqno stored;         /* as acknowledged */
    struct err trouble;   /* nothing more can be sent; code OK: it can */
    struct object object; /* bytes NULL: none is open */
};

struct directory {
    struct env *env;
    struct alloc alloc; /* of frames that come in pieces: no limit, they are small */
    struct env_thread *thread;
    struct tide_transport *pair;
    struct tide_transport transport; /* the pair, for connecting only */
    struct transport_network network;
    struct env_listener *listener;
    struct env_timer timer;
    struct env_task stop_task;
    struct object_index index;
    struct err trouble; /* of the last look; code OK: none */
    bool is_stopping;
    struct link links[LINKS_MAX];
};

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e);

/* --- links --- */

static void end_link(struct link *link, uint8_t reason, const char *text)
{
    struct env *env = link->directory->env;
    if (link->is_ended) return;
    link->is_ended = true;
    if (link->session != 0) {
        struct wire_message m = {.kind = WIRE_END,
                                 .session = link->session,
                                 .as.end = {.reason = reason, .text = slice_of_text(text)}};
        frames_send(&link->frames, &m);
    }
    link->frames.link = NULL;
    /* Bytes that the pair has are read before its end is told; what is still queued is lost, and
     * the follower then says that the link was closed. */
    env->v->link_close(env, link->env_link);
}

static void look(struct directory *d)
{
    struct err e = {.code = OK};
    enum code code = object_index_look(&d->index, d->env, &e);
    d->trouble = e;
    d->trouble.code = code; /* told to who asks next */
}

static uint64_t highest_epoch(const struct directory *d)
{
    uint64_t epoch = 0;
    for (uint32_t i = 0; i < d->index.count; i++) {
        if (d->index.entries[i].end.epoch > epoch) epoch = d->index.entries[i].end.epoch;
    }
    return epoch;
}

static void send_heartbeat(struct link *link)
{
    struct env *env = link->directory->env;
    uint64_t bytes = 0;
    if (env->v->link_queued(env, link->env_link) >= QUEUED_MAX) return; /* it does not listen */
    struct position end = object_row_end(&link->directory->index, &link->sent, &bytes);
    struct wire_message m = {
        .kind = WIRE_HEARTBEAT,
        .session = link->session,
        .probe = ++link->beats,
        .as.heartbeat = {.epoch = {.number = link->epoch, .nonce = 1},
                         .durable = end,
                         .durable_bytes = bytes,
                         .echo_probe = link->probe,
                         .echo_durable = link->probe_end},
    };
    frames_send(&link->frames, &m);
}

/* Batches of the open object as one frame. */
static enum code send_frame(struct link *link, struct err *e)
{
    struct env *env = link->directory->env;
    uint64_t bytes = 0;
    size_t used = 0;
    struct position end = object_row_end(&link->directory->index, &link->sent, &bytes);
    struct wire_batches batches = {.stream = link->object.header.stream,
                                   .before = link->sent,
                                   .durable = end.seqno,
                                   .durable_bytes = bytes};
    uint8_t *copy = malloc(FRAME_WANTED + BATCH_SIZE_MAX);
    if (copy == NULL) return ERR(e, E_NOMEMORY, "no memory for a frame");
    enum code code = OK;
    bool is_end = false;
    while (code == OK && used < FRAME_WANTED) {
        struct slice batch;
        code = object_next(&link->object, &batch, &is_end, e);
        if (code != OK || is_end) break;
        if (used > 0 && used + batch.size > FRAME_SIZE_MAX - WIRE_BATCHES_PREFIX_MAX) break;
        memcpy(copy + used, batch.data, batch.size);
        used += batch.size;
        link->sent = link->object.at;
    }
    if (used > 0) {
        uint8_t prefix[WIRE_BATCHES_PREFIX_MAX];
        batches.bytes = slice_of(copy, used);
        size_t size = wire_encode_batches_prefix(&batches, link->session, prefix);
        struct slice pieces[2] = {slice_of(prefix, size), batches.bytes};
        env->v->link_send(env, link->env_link, pieces, COUNT_OF(pieces), NULL, NULL);
    }
    free(copy);
    if (is_end) object_free(&link->object);
    return code;
}

/* Nothing more can be sent. What was sent is to be stored before the link ends, else the follower
 * would drop it with the link and come back for it for ever. */
static void end_when_stored(struct link *link)
{
    if (link->trouble.code == OK || link->stored.v < link->sent.seqno.v) return;
    uint8_t reason = WIRE_END_CLOSING;
    if (link->trouble.code == E_NOT_KEPT) reason = WIRE_END_GAP;
    if (link->trouble.code == E_CORRUPT) reason = WIRE_END_CORRUPT;
    end_link(link, reason, link->trouble.text);
}

/* Send what the link takes. */
static void pump(struct link *link)
{
    struct directory *d = link->directory;
    while (link->epoch != 0 && !link->is_ended && link->trouble.code == OK) {
        struct err e = {.code = OK};
        enum code code = OK;
        if (d->env->v->link_queued(d->env, link->env_link) >= QUEUED_MAX) return;
        if (link->object.bytes == NULL) {
            code = object_find(d->env, &d->index, &link->sent, &link->object, &e);
        }
        if (code == E_NOTFOUND) return; /* all of it is sent */
        if (code == OK) code = send_frame(link, &e);
        if (code != OK) link->trouble = e;
    }
    end_when_stored(link);
}

/* --- the handshake --- */

static void send_plan(struct link *link, struct wire_plan *plan)
{
    plan->version_min = plan->version_max = WIRE_VERSION;
    plan->version = WIRE_VERSION;
    plan->features = WIRE_FEATURES;
    plan->frame_size_max = FRAME_SIZE_MAX;
    plan->node_id = slice_of_text("directory");
    struct wire_message m = {.kind = WIRE_PLAN, .session = link->session, .as.plan = *plan};
    frames_send(&link->frames, &m);
}

static void refuse(struct link *link, enum refuse_reason reason, const char *text)
{
    uint64_t epoch = highest_epoch(link->directory);
    struct wire_plan plan = {.kind = PLAN_REFUSE,
                             .reason = (uint8_t)reason,
                             .epoch = {.number = epoch, .nonce = 1},
                             .text = slice_of_text(text)};
    if (link->directory->index.count > 0) {
        plan.cluster = link->directory->index.entries[0].id.cluster;
        plan.stream = link->directory->index.entries[0].id.stream;
    }
    send_plan(link, &plan);
    end_link(link, (uint8_t)reason, text);
}

static enum refuse_reason reason_of(enum code code)
{
    if (code == E_DIVERGED) return REFUSE_OTHER_HISTORY;
    return code == E_NOT_KEPT ? REFUSE_NOT_KEPT : REFUSE_BUSY;
}

/* An empty follower, or one of the same log? */
static enum refuse_reason judge_hello(const struct directory *d, const struct wire_hello *hello)
{
    const struct log_identity *id = &d->index.entries[0].id;
    if (hello->version_min > WIRE_VERSION || hello->version_max < WIRE_VERSION) {
        return REFUSE_NEWER_FORMAT;
    }
    if (!wire_is_stream_joined(hello, id->stream)) return REFUSE_WRONG_STREAM;
    bool is_known = !id128_is_zero(&hello->cluster);
    if (is_known && !id128_equal(&hello->cluster, &id->cluster)) return REFUSE_WRONG_CLUSTER;
    return REFUSE_NONE;
}

static void take_hello(struct link *link, const struct wire_message *m)
{
    struct directory *d = link->directory;
    const struct wire_hello *hello = &m->as.hello;
    struct err e = {.code = OK};
    link->session = m->session;
    look(d);
    if (d->trouble.code != OK) {
        refuse(link, REFUSE_BUSY, d->trouble.text);
        return;
    }
    if (d->index.count == 0) {
        refuse(link, REFUSE_BUSY, "the directory holds no objects of a log yet");
        return;
    }
    enum refuse_reason reason = judge_hello(d, hello);
    if (reason != REFUSE_NONE) {
        refuse(link, reason, refuse_sentence((uint8_t)reason));
        return;
    }
    enum code code = object_find(d->env, &d->index, &hello->last, &link->object, &e);
    if (code != OK && code != E_NOTFOUND) {
        refuse(link, reason_of(code), e.text);
        return;
    }
    link->sent = hello->last;
    link->stored = hello->last.seqno;
    link->epoch = highest_epoch(d);
    struct position end = object_row_end(&d->index, &link->sent, &(uint64_t){0});
    struct wire_plan plan = {.kind = PLAN_CONTINUE,
                             .cluster = d->index.entries[0].id.cluster,
                             .stream = d->index.entries[0].id.stream,
                             .log_key = d->index.entries[0].id.log_key,
                             .epoch = {.number = link->epoch, .nonce = 1},
                             .from = hello->last,
                             .durable = end.seqno};
    send_plan(link, &plan);
    send_heartbeat(link);
    pump(link);
}

/* New objects? Then those links go on that were at the end. */
static void look_further(struct directory *d)
{
    uint32_t known = d->index.count;
    look(d);
    bool is_new = d->index.count != known;
    uint64_t epoch = is_new ? highest_epoch(d) : 0;
    for (uint32_t i = 0; i < LINKS_MAX && is_new; i++) {
        struct link *link = &d->links[i];
        if (link->env_link == NULL || link->is_ended || link->epoch == 0) continue;
        if (epoch > link->epoch && link->trouble.code == OK) {
            (void)ERR(&link->trouble, E_CLOSED, "objects of a newer epoch are here");
            end_when_stored(link);
        } else {
            pump(link);
        }
    }
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct link *link = arg;
    struct wire_message m;
    TRY(wire_decode(header, body, &m, e));
    if (m.kind == WIRE_HELLO && link->session == 0) {
        take_hello(link, &m);
        return OK;
    }
    if (header->session != link->session) return OK; /* of an older link */
    if (m.kind == WIRE_ACK) {
        link->stored = m.as.ack.stored.seqno;
        end_when_stored(link);
    }
    if (m.kind == WIRE_ACK && m.probe > link->probe) {
        link->probe = m.probe;
        link->probe_end =
            object_row_end(&link->directory->index, &link->sent, &(uint64_t){0}).seqno;
    }
    if (m.kind == WIRE_END) end_link(link, WIRE_END_CLOSING, "closed");
    return OK;
}

static void on_received(struct env_link *env_link, void *arg, struct slice bytes)
{
    struct link *link = arg;
    struct err e = {.code = OK};
    (void)env_link;
    if (link->is_ended) return;
    if (frames_feed(&link->frames, bytes, &e) != OK) end_link(link, WIRE_END_CORRUPT, e.text);
}

static void on_drained(struct env_link *env_link, void *arg)
{
    (void)env_link;
    pump(arg);
}

static void on_opened(struct env_link *env_link, void *arg)
{
    (void)env_link; /* only incoming links here */
    (void)arg;
}

static void stop_if_idle(struct directory *d);

static void on_closed(struct env_link *env_link, void *arg, const struct err *e)
{
    struct link *link = arg;
    (void)env_link;
    (void)e;
    frames_fini(&link->frames);
    object_free(&link->object);
    link->env_link = NULL;
    stop_if_idle(link->directory);
}

static const struct env_link_events link_events = {
    .opened = on_opened, .received = on_received, .drained = on_drained, .closed = on_closed};

static void accept_link(struct env_link *env_link, const char *peer_address, void *arg,
                        const struct env_link_events **out_events, void **out_arg)
{
    struct directory *d = arg;
    (void)peer_address;
    struct link *link = NULL;
    for (uint32_t i = 0; i < LINKS_MAX && link == NULL; i++) {
        if (d->links[i].env_link == NULL) link = &d->links[i];
    }
    if (link == NULL || d->is_stopping) return; /* refused; the follower comes back */
    *link = (struct link){.directory = d, .env_link = env_link};
    frames_init(&link->frames, d->env, env_link, &d->alloc, on_frame, link);
    *out_events = &link_events;
    *out_arg = link;
}

/* --- life --- */

static void timer_fired(struct env_timer *timer)
{
    struct directory *d = CONTAINER_OF(timer, struct directory, timer);
    bool is_used = false;
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        struct link *link = &d->links[i];
        if (link->env_link == NULL || link->is_ended || link->epoch == 0) continue;
        is_used = true;
        send_heartbeat(link);
    }
    if (is_used) look_further(d);
    d->env->v->timer_start(d->env, timer, LOOK_NS);
}

static void stop_if_idle(struct directory *d)
{
    if (!d->is_stopping) return;
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        if (d->links[i].env_link != NULL) return;
    }
    d->env->v->timer_close(d->env, &d->timer);
    env_uv_stop(d->env);
}

static void stop_was_asked(struct env_task *task)
{
    struct directory *d = CONTAINER_OF(task, struct directory, stop_task);
    d->is_stopping = true;
    d->env->v->unlisten(d->env, d->listener);
    for (uint32_t i = 0; i < LINKS_MAX; i++) {
        if (d->links[i].env_link != NULL) end_link(&d->links[i], WIRE_END_CLOSING, "closing");
    }
    stop_if_idle(d);
}

static void directory_main(void *arg)
{
    struct directory *d = arg;
    env_uv_run(d->env);
}

static enum tide_code listen_nowhere(void *arg, const char *address, struct tide_waker waker,
                                     void **out_listener, struct tide_err *e)
{
    (void)arg;
    (void)address;
    (void)waker;
    (void)out_listener;
    struct err err = {.code = OK};
    return api_error(ERR(&err, E_UNSUPPORTED,
                         "a directory is written by tide_log_export, not by a leader's links"),
                     &err, e);
}

static enum tide_code connect_inside(void *arg, const char *address, struct tide_waker waker,
                                     void **out_connection, struct tide_err *e)
{
    struct directory *d = arg;
    (void)address; /* there is one directory behind it */
    return d->pair->connect(d->pair->arg, "directory", waker, out_connection, e);
}

static const char *describe_directory(void *arg)
{
    (void)arg;
    return "directory";
}

static void close_from_outside(void *arg)
{
    directory_close(arg);
}

static void free_parts(struct directory *d)
{
    env_thread_join(d->thread);
    env_uv_close(d->env);
    tide_transport_free(d->pair);
    object_index_free(&d->index);
    free(d);
}

static enum code open_parts(struct directory *d, const char *path, struct err *e)
{
    struct env_uv_options options = {.size = sizeof(options),
                                     .dir = path,
                                     .background_threads = 1,
                                     .read_threads = 1,
                                     .is_existing = true};
    TRY(env_uv_open(&options, &d->env, e));
    if (tide_transport_pair(PAIR_CAPACITY, &d->pair, NULL) != TIDE_OK) {
        return ERR(e, E_NOMEMORY, "no memory for a transport");
    }
    d->transport = *d->pair;
    d->transport.arg = d;
    d->transport.connect = connect_inside;
    d->transport.listen = listen_nowhere;
    d->transport.describe = describe_directory;
    d->transport.free = close_from_outside;
    transport_network_init(&d->network, d->pair);
    d->timer.fire = timer_fired;
    d->stop_task.run = stop_was_asked;
    alloc_init(&d->alloc, 0);
    TRY(d->env->v->listen_on(d->env, &d->network.base, "directory", accept_link, d, &d->listener,
                             e));
    d->env->v->timer_start(d->env, &d->timer, LOOK_NS);
    return env_thread_start("tide-directory", directory_main, d, &d->thread, e);
}

enum code directory_open(const char *path, struct directory **out, struct err *e)
{
    struct directory *d = calloc(1, sizeof(*d));
    if (d == NULL) return ERR(e, E_NOMEMORY, "no memory for a directory");
    enum code code = open_parts(d, path, e);
    if (code != OK) {
        free_parts(d);
        return code;
    }
    *out = d;
    return OK;
}

void directory_close(struct directory *d)
{
    if (d == NULL) return;
    d->env->v->post(d->env, &d->stop_task);
    free_parts(d);
}

struct tide_transport *directory_transport(struct directory *d)
{
    return &d->transport;
}
