/* bootstrap_join: the link of a joiner, its clock, and how its machine's wishes are carried out.
 * What is done to files is in bootstrap_files.c. */
#include "engine/bootstrap_join.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/bootstrap_files.h"
#include "engine/checkpoint.h"
#include "engine/frames.h"
#include "engine/receiver.h"
#include "engine/reopen.h"

#define BACKOFF_MIN_NS (50 * NS_PER_MS)
#define BACKOFF_MAX_NS (10 * NS_PER_S)
#define ANSWER_DEADS   10u /* so many dead times without what was asked for */
#define MANIFEST_MAX   MANIFEST_SIZE_MAX
#define INCOMING_MAX   (BOOTSTRAP_WINDOW_BYTES + FRAME_SIZE_MAX)
#define REQUEST_BLOCKS 256u
#define REFUSALS_MAX   3u /* in a row: then the leader is asked again what it wants */

struct bootstrap_join {
    struct db *db;
    struct bootstrap machine;
    struct env_network *network; /* NULL: TCP */
    char address[ADDRESS_SIZE_MAX + 1];
    char why[ERR_TEXT_SIZE];
    char reason[ERR_TEXT_SIZE];
    void (*gave_up)(void *arg);
    void *gave_up_arg;
    /* the link */
    struct env_link *link;
    uint32_t open_links;
    struct frames frames;
    uint64_t session; /* 0: no hello was sent */
    bool is_accepted; /* a plan came */
    uint64_t heard_ns;
    uint64_t came_ns; /* when a piece or a block came last, or the copy was granted */
    uint64_t beat_ns; /* when progress is told next */
    uint32_t attempts;
    uint32_t refusals;
    struct env_timer timer;
    /* what is copied */
    struct bootstrap_files files;
    uint64_t began_ns;
    /* end */
    bool is_closing;
    void (*closed)(void *arg);
    void *closed_arg;
};

static void tell(struct bootstrap_join *j, struct bootstrap_event event);
static void lose_link(struct bootstrap_join *j, const char *why);

static uint64_t now_of(const struct bootstrap_join *j)
{
    return j->db->env->v->now_mono_ns(j->db->env);
}

/* --- life --- */

static void timer_fired(struct env_timer *timer);

static void arm(struct bootstrap_join *j, uint64_t delay_ns)
{
    if (j->is_closing) return;
    j->db->env->v->timer_start(j->db->env, &j->timer, delay_ns);
}

static void close_further(struct bootstrap_join *j)
{
    if (!j->is_closing || j->open_links > 0 || !bootstrap_files_are_quiet(&j->files)) return;
    void (*closed)(void *arg) = j->closed;
    j->closed = NULL;
    if (closed) closed(j->closed_arg);
}

static void work_was_done(void *owner, enum bootstrap_work work, enum code code,
                          const struct err *e);

struct bootstrap_join *bootstrap_join_new(struct db *db, struct env_network *network,
                                          const char *address, const char *why,
                                          void (*gave_up)(void *arg), void *arg)
{
    struct bootstrap_join *j = calloc(1, sizeof(*j));
    if (!j) return NULL;
    j->db = db;
    j->network = network;
    (void)snprintf(j->address, sizeof(j->address), "%s", address);
    (void)snprintf(j->why, sizeof(j->why), "%s", why);
    j->gave_up = gave_up;
    j->gave_up_arg = arg;
    j->timer = (struct env_timer){.fire = timer_fired, .env = db->env};
    j->began_ns = now_of(j);
    bootstrap_init(&j->machine);
    bootstrap_files_init(&j->files, db, work_was_done, j);
    if (db->checkpointer) checkpointer_hold(db->checkpointer);
    db_event(db, DB_EVENT_BOOTSTRAP, "this node copies the state of %s: %s", address, why);
    arm(j, 0);
    return j;
}

void bootstrap_join_close(struct bootstrap_join *j, void (*closed)(void *arg), void *arg)
{
    j->closed = closed;
    j->closed_arg = arg;
    j->is_closing = true;
    j->db->env->v->timer_stop(j->db->env, &j->timer);
    bootstrap_files_stop(&j->files);
    lose_link(j, "this node is closing");
    close_further(j);
}

void bootstrap_join_free(struct bootstrap_join *j)
{
    if (!j) return;
    frames_fini(&j->frames);
    bootstrap_files_fini(&j->files);
    j->db->env->v->timer_close(j->db->env, &j->timer);
    free(j);
}

/* --- the link --- */

static void give_up(struct bootstrap_join *j)
{
    void (*gave_up)(void *arg) = j->gave_up;
    j->gave_up = NULL;
    if (gave_up && !j->is_closing) gave_up(j->gave_up_arg);
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e);

static void lose_link(struct bootstrap_join *j, const char *why)
{
    struct env *env = j->db->env;
    struct env_link *link = j->link;
    j->link = NULL;
    j->session = 0;
    j->is_accepted = false;
    frames_fini(&j->frames);
    j->frames.link = NULL;
    (void)snprintf(j->reason, sizeof(j->reason), "%s", why);
    if (link) env->v->link_close(env, link);
    tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_LOST});
    if (j->is_closing) return;
    if (j->refusals >= REFUSALS_MAX) {
        give_up(j);
        return;
    }
    uint64_t bound_ns = j->attempts < 8 ? BACKOFF_MIN_NS << j->attempts : BACKOFF_MAX_NS;
    if (bound_ns > BACKOFF_MAX_NS) bound_ns = BACKOFF_MAX_NS;
    j->attempts++;
    arm(j, env->v->random(env) % (bound_ns + 1));
}

static void send_hello(struct bootstrap_join *j)
{
    const struct db *db = j->db;
    const struct identity *id = &db->identity;
    uint64_t session = db->env->v->random(db->env);
    j->session = session != 0 ? session : 1;
    struct wire_message m = {
        .kind = WIRE_HELLO,
        .session = j->session,
        .as.hello = {.version_min = WIRE_VERSION,
                     .version_max = WIRE_VERSION,
                     .features = WIRE_FEATURES,
                     .feature_level = id->feature_level,
                     .frame_size_max = FRAME_SIZE_MAX,
                     .cluster = id->cluster,
                     .stream = id->stream,
                     .node_id = slice_of_text(id->node_id),
                     .incarnation = id->incarnation,
                     .region = id->stream.region,
                     .data_address = slice_of_text(db->config.data_address),
                     .http_address = slice_of_text(db->config.http_address),
                     .replication_address = slice_of_text(db->config.replication_address),
                     .is_empty = 1,
                     .is_bootstrapping = 1,
                     .is_leader_wanted = id->follows == FOLLOWS_LEADER,
                     .memory_max = db->config.memory_max,
                     .highest_epoch = id->highest_epoch,
                     .history_id = id->history_id},
    };
    frames_send(&j->frames, &m);
}

static void on_opened(struct env_link *link, void *arg)
{
    struct bootstrap_join *j = arg;
    if (link != j->link) return;
    j->heard_ns = now_of(j);
    send_hello(j);
}

static void on_received(struct env_link *link, void *arg, struct slice bytes)
{
    struct bootstrap_join *j = arg;
    struct err e = {.code = OK};
    if (link != j->link) return;
    enum code code = frames_feed(&j->frames, bytes, &e);
    if (link == j->link && code != OK) lose_link(j, e.text);
}

static void on_drained(struct env_link *link, void *arg)
{
    (void)link; /* requests are small */
    (void)arg;
}

static void on_closed(struct env_link *link, void *arg, const struct err *e)
{
    struct bootstrap_join *j = arg;
    ASSERT(j->open_links > 0);
    j->open_links--;
    if (link == j->link) {
        j->link = NULL;
        lose_link(j, e->code == OK ? "the link was closed" : e->text);
    }
    close_further(j);
}

static const struct env_link_events link_events = {
    .opened = on_opened,
    .received = on_received,
    .drained = on_drained,
    .closed = on_closed,
};

static void connect_link(struct bootstrap_join *j)
{
    struct env *env = j->db->env;
    ASSERT(j->link == NULL);
    j->open_links++;
    j->heard_ns = now_of(j);
    if (j->network) {
        j->link = env->v->connect_on(env, j->network, j->address, &link_events, j);
    } else {
        j->link = env->v->connect(env, j->address, &link_events, j);
    }
    frames_init(&j->frames, env, j->link, j->db->alloc, on_frame, j);
    arm(j, j->db->config.heartbeat_ns);
}

/* --- messages out --- */

static void ask_for_manifest(struct bootstrap_join *j)
{
    struct wire_message m = {
        .kind = WIRE_MANIFEST,
        .session = j->session,
        .as.manifest = {.is_request = 1,
                        .mark = j->machine.mark,
                        .offset = j->machine.manifest_got,
                        .total = j->machine.manifest_total},
    };
    frames_send(&j->frames, &m);
}

static void ask_for_blocks(struct bootstrap_join *j)
{
    struct hash256 hashes[REQUEST_BLOCKS];
    uint32_t count = 0;
    uint32_t index;
    do {
        for (count = 0; count < REQUEST_BLOCKS && bootstrap_next(&j->machine, &index);) {
            hashes[count++] = j->machine.wants[index].hash;
        }
        if (count == 0) return;
        struct wire_message m = {
            .kind = WIRE_BLOCKS,
            .session = j->session,
            .as.blocks = {.is_request = 1,
                          .count = count,
                          .bytes = slice_of(hashes, count * sizeof(hashes[0]))},
        };
        frames_send(&j->frames, &m);
    } while (count == REQUEST_BLOCKS);
}

static void send_progress(struct bootstrap_join *j)
{
    const struct bootstrap *b = &j->machine;
    struct wire_message m = {
        .kind = WIRE_PROGRESS,
        .session = j->session,
        .as.progress = {.mark = b->mark,
                        .done_bytes = b->held_bytes,
                        .total_bytes = b->total_bytes,
                        .done_blocks = b->held,
                        .total_blocks = b->count,
                        .fetched_bytes = b->fetched_bytes},
    };
    frames_send(&j->frames, &m);
}

/* The link lives, and what was asked for on it does not come: a request or its answer was lost, or
 * the other node cannot answer. On another link all that is missing is asked for anew. A checkpoint
 * that is cut first, or a slow disk, takes its time, so that this is no matter of seconds. */
static bool is_answer_lost(const struct bootstrap_join *j)
{
    const struct bootstrap *b = &j->machine;
    bool is_waiting =
        b->state == BOOTSTRAP_ASKING || (b->state == BOOTSTRAP_FETCHING && b->asked > 0);
    if (!j->is_accepted || !is_waiting) return false;
    return now_of(j) - j->came_ns >= ANSWER_DEADS * j->db->config.dead_ns;
}

static void timer_fired(struct env_timer *timer)
{
    struct bootstrap_join *j = CONTAINER_OF(timer, struct bootstrap_join, timer);
    if (j->is_closing || j->machine.state >= BOOTSTRAP_FINISHING) return; /* it needs nobody */
    if (!j->link) {
        connect_link(j);
        return;
    }
    if (now_of(j) - j->heard_ns >= j->db->config.dead_ns) {
        lose_link(j, "the node that is copied from says nothing");
        return;
    }
    if (is_answer_lost(j)) {
        lose_link(j, "nothing came of what was asked for");
        return;
    }
    if (j->is_accepted) send_progress(j);
    arm(j, j->db->config.heartbeat_ns);
}

/* --- messages in --- */

static enum code take_plan(struct bootstrap_join *j, const struct wire_plan *plan, struct err *e)
{
    const struct identity *id = &j->db->identity;
    if (plan->kind != PLAN_BOOTSTRAP) {
        char sentence[ERR_TEXT_SIZE];
        struct text t = text_of(sentence, sizeof(sentence));
        text_add_escaped(&t, plan->text, sizeof(sentence));
        j->refusals++;
        return ERR(e, E_READONLY, "%s: %s", refuse_name(plan->reason), sentence);
    }
    bool is_ours = id128_equal(&plan->cluster, &id->cluster) && plan->log_key == id->log_key &&
                   stream_equal(plan->stream, id->stream);
    if (!is_ours) {
        return ERR(e, E_WRONG_CLUSTER, "the node that is copied from is of another cluster");
    }
    if (plan->epoch.number < id->highest_epoch) {
        return ERR(e, E_FENCED, "it knows epoch %llu, this node has seen epoch %llu",
                   (unsigned long long)plan->epoch.number, (unsigned long long)id->highest_epoch);
    }
    j->refusals = 0;
    j->is_accepted = true;
    j->came_ns = now_of(j);
    j->frames.body_size_max = FRAME_SIZE_MAX;
    tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_START});
    return OK;
}

static enum code take_piece(struct bootstrap_join *j, const struct wire_piece *piece, struct err *e)
{
    if (piece->is_request) return ERR(e, E_PROTOCOL, "a joiner is asked for a manifest");
    j->came_ns = now_of(j);
    if (piece->total == 0) { /* there is a newer one, and the log behind this one goes soon */
        tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_MOVED});
        return OK;
    }
    struct bootstrap_event event = {.kind = BOOTSTRAP_EV_PIECE,
                                    .mark = piece->mark,
                                    .offset = piece->offset,
                                    .size = piece->bytes.size,
                                    .total = piece->total,
                                    .total_max = MANIFEST_MAX};
    struct bootstrap before = j->machine;
    struct bootstrap_actions actions;
    bootstrap_step(&j->machine, &event, &actions);
    if (actions.is_refused) return ERR(e, E_PROTOCOL, "a piece of a manifest that does not follow");
    if (!actions.is_taken) return OK;
    if (!bootstrap_files_add_piece(&j->files, piece->offset, piece->bytes, piece->total)) {
        j->machine = before;
        return ERR(e, E_NOMEMORY, "no memory for a manifest of %llu bytes",
                   (unsigned long long)piece->total);
    }
    if (actions.is_asking_due) ask_for_manifest(j);
    if (actions.is_look_due) bootstrap_files_look(&j->files);
    return OK;
}

static enum code take_blocks(struct bootstrap_join *j, const struct wire_blocks *blocks,
                             struct err *e)
{
    struct bytes_reader at = bytes_reader_of(blocks->bytes);
    struct wire_block block;
    if (blocks->is_request) return ERR(e, E_PROTOCOL, "a joiner is asked for blocks");
    j->came_ns = now_of(j);
    while (j->machine.state == BOOTSTRAP_FETCHING && wire_block_next(blocks, &at, &block)) {
        uint32_t index;
        if (!bootstrap_files_find(&j->files, &block.hash, &index)) continue; /* an older target's */
        if (block.bytes.size == 0) {
            tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_ABSENT, .index = index});
            continue;
        }
        if (j->machine.wants[index].state != WANT_ASKED) continue;
        if (!bootstrap_files_add_block(&j->files, index, block.bytes)) {
            return ERR(e, E_NOMEMORY, "no memory for blocks that arrive");
        }
    }
    bootstrap_files_write(&j->files);
    return OK;
}

static enum code take_heartbeat(struct bootstrap_join *j, const struct wire_heartbeat *beat)
{
    if (j->db->receiver) receiver_note_leader(j->db->receiver, beat);
    return OK;
}

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct bootstrap_join *j = arg;
    struct wire_message m;
    if (header->session != j->session) return OK;
    TRY(wire_decode(header, body, &m, e));
    j->heard_ns = now_of(j);
    switch (m.kind) {
    case WIRE_PLAN: return j->is_accepted ? OK : take_plan(j, &m.as.plan, e);
    case WIRE_END: {
        char sentence[ERR_TEXT_SIZE];
        struct text t = text_of(sentence, sizeof(sentence));
        text_add_escaped(&t, m.as.end.text, sizeof(sentence));
        return ERR(e, E_CLOSED, "the node that is copied from ended the link: %s", sentence);
    }
    case WIRE_MANIFEST:
        if (j->is_accepted) return take_piece(j, &m.as.manifest, e);
        break;
    case WIRE_BLOCKS:
        if (j->is_accepted) return take_blocks(j, &m.as.blocks, e);
        break;
    case WIRE_HEARTBEAT:
        if (j->is_accepted) return take_heartbeat(j, &m.as.heartbeat);
        break;
    case WIRE_HELLO:
    case WIRE_BATCHES:
    case WIRE_SEALED:
    case WIRE_ACK:
    case WIRE_INQUIRE:
    case WIRE_STANDING:
    case WIRE_FETCH:
    case WIRE_MEMBERS:
    case WIRE_HANDOVER:
    case WIRE_PROGRESS: break;
    }
    return ERR(e, E_PROTOCOL, "a joiner does not take %s", wire_kind_name(header->kind));
}

/* --- the machine --- */

static void carry_out(struct bootstrap_join *j, const struct bootstrap_actions *actions);

static void tell(struct bootstrap_join *j, struct bootstrap_event event)
{
    struct bootstrap_actions actions;
    bootstrap_step(&j->machine, &event, &actions);
    carry_out(j, &actions);
}

/* What became of the blocks of one write. Asked for is once, for all that have room now: a request
 * for each would cost the server more than the blocks. */
static void tell_written(struct bootstrap_join *j)
{
    struct bootstrap_actions all = {0};
    for (uint32_t i = 0; i < j->files.written_count; i++) {
        struct bootstrap_actions actions;
        const struct bootstrap_arrival *arrival = &j->files.written[i];
        struct bootstrap_event event = {.kind = arrival->is_good ? BOOTSTRAP_EV_STORED
                                                                 : BOOTSTRAP_EV_WRONG,
                                        .index = arrival->index};
        bootstrap_step(&j->machine, &event, &actions);
        all.may_ask = all.may_ask || actions.may_ask;
        all.is_finish_due = all.is_finish_due || actions.is_finish_due;
    }
    carry_out(j, &all);
}

static void carry_out(struct bootstrap_join *j, const struct bootstrap_actions *actions)
{
    if (actions->is_asking_due) ask_for_manifest(j);
    if (actions->is_look_due) bootstrap_files_look(&j->files);
    if (actions->may_ask) ask_for_blocks(j);
    if (actions->is_finish_due) bootstrap_files_finish(&j->files);
    if (actions->is_switch_due) {
        char why[160];
        (void)snprintf(why, sizeof(why), "a copy of the state at record %llu is whole",
                       (unsigned long long)j->machine.mark.v);
        db_event(j->db, DB_EVENT_BOOTSTRAP,
                 "%s: %llu of %llu bytes came over the link, based anew %llu times", why,
                 (unsigned long long)j->machine.fetched_bytes,
                 (unsigned long long)j->machine.total_bytes,
                 (unsigned long long)j->machine.rebases);
        db_reopen(j->db, why);
    }
}

/* A job of files ended. */
static void work_was_done(void *owner, enum bootstrap_work work, enum code code,
                          const struct err *e)
{
    struct bootstrap_join *j = owner;
    if (j->is_closing) {
        close_further(j);
        return;
    }
    if (code != OK) {
        db_event(j->db, DB_EVENT_BOOTSTRAP, "copying failed and begins again: %s", e->text);
        tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_FAILED});
        lose_link(j, e->text);
        return;
    }
    switch (work) {
    case BOOTSTRAP_WORK_LOOK:
        tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_LOOKED,
                                         .wants = j->files.wants,
                                         .count = j->files.want_count});
        j->attempts = 0;
        break;
    case BOOTSTRAP_WORK_WRITE:
        tell_written(j);
        bootstrap_files_write(&j->files);
        break;
    case BOOTSTRAP_WORK_FINISH:
        tell(j, (struct bootstrap_event){.kind = BOOTSTRAP_EV_FINISHED});
        break;
    }
}

/* --- status --- */

void bootstrap_join_status(const struct bootstrap_join *j, struct bootstrap_join_status *out)
{
    const struct bootstrap *b = &j->machine;
    double seconds = (double)(now_of(j) - j->began_ns) / (double)NS_PER_S;
    *out = (struct bootstrap_join_status){
        .state = bootstrap_state_name(b->state),
        .reason = j->reason,
        .why = j->why,
        .mark = b->mark,
        .done_bytes = b->held_bytes,
        .total_bytes = b->total_bytes,
        .done_blocks = b->held,
        .total_blocks = b->count,
        .fetched_bytes = b->fetched_bytes,
        .rebases = b->rebases,
        .eta_seconds = (double)INFINITY,
    };
    if (seconds > 0) out->bytes_per_second = (double)b->fetched_bytes / seconds;
    if (b->total_bytes > 0 && out->bytes_per_second > 0) {
        out->eta_seconds = (double)(b->total_bytes - b->held_bytes) / out->bytes_per_second;
    }
}
