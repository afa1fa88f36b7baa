/* bootstrap_serve: see bootstrap_serve.h. */
#include "engine/bootstrap_serve.h"

#include <stdlib.h>

#include "base/assert.h"
#include "core/bootstrap.h"
#include "engine/bootstrap_source.h"
#include "engine/checkpoint.h"
#include "engine/retention.h"
#include "engine/shipper_internal.h"

#define PIECE_BYTES  ((size_t)(256 * KIB)) /* of a manifest */
#define READ_BYTES   ((size_t)MIB)         /* of blocks, in one job and one frame, ... */
#define READS_PER_S  10u                   /* ... and less where a rate would make them rare */
#define QUEUED_MAX   ((size_t)(2 * MIB))   /* on the link; beyond, reading waits */
#define READ_BLOCKS  256u
#define BLOCK_PREFIX 36u /* hash and size in front of each block of a frame */

/* One frame of blocks, read and encoded on the background lane. */
struct serve_job {
    struct env_job job;
    uint32_t count;
    struct hash256 hashes[READ_BLOCKS];
    uint32_t indexes[READ_BLOCKS]; /* among the source's; UINT32_MAX: it has none */
    size_t size;                   /* of the blocks with their prefixes */
    size_t data_size;
    uint8_t *frame; /* malloc'ed; NULL: no memory */
    size_t frame_size;
    bool is_damaged; /* a block could not be read as its hash says */
    uint64_t started_ns;
    struct err err;
};

struct bootstrap_serve {
    struct ship_link *link;
    struct db *db;
    bool is_stopped;
    struct bootstrap_source *source;
    bool is_manifest_wanted;
    bool is_rebase_told; /* of this source */
    struct wire_piece wanted;
    struct hash256 queue[BOOTSTRAP_WINDOW_BLOCKS]; /* a ring */
    uint32_t queue_first;
    uint32_t queue_count;
    struct pack_reader packs; /* the job's */
    struct serve_job job;
    bool is_reading;
    struct bootstrap_pace pace;
    struct env_timer timer;
    struct bootstrap_figures figures;
};

static void go_on(struct bootstrap_serve *s);
static void serve_blocks(struct bootstrap_serve *s);

static uint64_t now_of(const struct bootstrap_serve *s)
{
    return s->db->env->v->now_mono_ns(s->db->env);
}

static void pause_is_over(struct env_timer *timer)
{
    go_on(CONTAINER_OF(timer, struct bootstrap_serve, timer));
}

bool bootstrap_may_serve(const struct db *db, const char **why)
{
    *why = NULL;
    if (db->log == NULL || db->checkpointer == NULL) {
        *why = "this node holds nothing yet";
    } else if (db->condition != DB_SERVING) {
        *why = "this node cannot vouch for its state";
    } else if (!db_is_leader(db) && checkpointer_contents(db->checkpointer)->count == 0) {
        *why = "this node has no checkpoint yet";
    }
    return *why == NULL;
}

struct bootstrap_serve *bootstrap_serve_new(struct ship_link *link)
{
    struct bootstrap_serve *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->link = link;
    s->db = link->shipper->db;
    s->timer = (struct env_timer){.fire = pause_is_over, .env = s->db->env};
    s->figures.started_ns = now_of(s);
    return s;
}

bool bootstrap_serve_is_quiet(const struct bootstrap_serve *s)
{
    return !s || !s->is_reading;
}

void bootstrap_serve_stop(struct bootstrap_serve *s)
{
    s->is_stopped = true;
    s->queue_count = 0;
    s->is_manifest_wanted = false;
    s->db->env->v->timer_stop(s->db->env, &s->timer);
}

void bootstrap_serve_free(struct bootstrap_serve *s)
{
    if (!s) return;
    if (s->packs.files) pack_reader_fini(&s->packs);
    if (s->is_reading) free(s->job.frame);
    s->db->env->v->timer_close(s->db->env, &s->timer);
    bootstrap_source_release(s->source);
    free(s);
}

/* --- the manifest --- */

static void drop_source(struct bootstrap_serve *s)
{
    if (s->packs.files) pack_reader_fini(&s->packs);
    s->packs = (struct pack_reader){0};
    bootstrap_source_release(s->source);
    s->source = NULL;
    s->is_rebase_told = false;
}

/* A joiner that asks for the newest one gets what is newest now. */
static void take_source(struct bootstrap_serve *s)
{
    if (s->source || s->is_reading) return;
    s->source = bootstrap_source_take(s->db);
    if (s->source) s->packs.files = &s->source->files;
}

static void send_piece(struct bootstrap_serve *s)
{
    const struct bootstrap_source *source = s->source;
    uint64_t total = source->m.size;
    uint64_t offset = s->wanted.offset;
    /* Of a manifest that this link no longer serves: from the beginning of the one it does. */
    if (s->wanted.mark.v != source->at.v || offset >= total) offset = 0;
    size_t size = total - offset < PIECE_BYTES ? (size_t)(total - offset) : PIECE_BYTES;
    struct wire_message m = {
        .kind = WIRE_MANIFEST,
        .session = s->link->ship.session,
        .as.manifest = {.mark = source->at,
                        .offset = offset,
                        .total = total,
                        .bytes = slice_of(source->m.bytes + offset, size)},
    };
    size_t capacity = size + KIB;
    uint8_t *frame = malloc(capacity);
    if (!frame) {
        ship_link_end(s->link, WIRE_END_CLOSING, "no memory to send a manifest");
        return;
    }
    size_t frame_size = wire_encode(&m, frame, capacity);
    ASSERT(frame_size > 0);
    struct slice piece = slice_of(frame, frame_size);
    s->is_manifest_wanted = false;
    s->figures.sent_bytes += size;
    s->db->env->v->link_send(s->db->env, s->link->env_link, &piece, 1, free, frame);
}

static void serve_manifest(struct bootstrap_serve *s)
{
    bool is_newest_wanted = s->wanted.mark.v == 0;
    if (is_newest_wanted && s->source) {
        if (s->is_reading) return; /* its end comes back here */
        if (!bootstrap_source_is_newest(s->source)) drop_source(s);
    }
    take_source(s);
    if (!s->source) return; /* a checkpoint is on its way: polled */
    if (s->source->is_bad) {
        ship_link_end(s->link, WIRE_END_CLOSING, s->source->err.text);
        return;
    }
    if (!s->source->is_ready) return;
    ship_copy_pin(s->link, s->source->at);
    send_piece(s);
}

enum code bootstrap_serve_manifest(struct bootstrap_serve *s, const struct wire_piece *piece,
                                   struct err *e)
{
    if (!piece->is_request) return ERR(e, E_PROTOCOL, "a joiner sends no manifest");
    s->wanted = *piece;
    s->wanted.bytes = slice_of(NULL, 0);
    s->is_manifest_wanted = true;
    if (piece->mark.v == 0) s->queue_count = 0; /* what it asked of an older one */
    go_on(s);
    return OK;
}

/* --- blocks --- */

static void read_one(struct bootstrap_serve *s, uint32_t i, uint8_t **at)
{
    struct serve_job *j = &s->job;
    const struct manifest *m = &s->source->m.manifest;
    uint32_t size = 0;
    if (j->indexes[i] != UINT32_MAX) {
        const struct block_entry *entry = &m->blocks[j->indexes[i]];
        const struct block_place *place = &m->places[j->indexes[i]];
        size = entry->size;
        if (pack_read_block(&s->packs, entry, place, *at + BLOCK_PREFIX, &j->err) != OK) {
            j->is_damaged = true;
            size = 0;
        }
    }
    memcpy(*at, j->hashes[i].bytes, sizeof(j->hashes[i].bytes));
    store_u32(*at + sizeof(j->hashes[i].bytes), size);
    *at += BLOCK_PREFIX + size;
    j->data_size += size;
}

static void read_run(struct env_job *job)
{
    struct serve_job *j = CONTAINER_OF(job, struct serve_job, job);
    struct bootstrap_serve *s = CONTAINER_OF(j, struct bootstrap_serve, job);
    uint8_t *blocks = malloc(j->size);
    size_t capacity = j->size + KIB;
    j->frame = malloc(capacity);
    if (blocks && j->frame) {
        uint8_t *at = blocks;
        for (uint32_t i = 0; i < j->count; i++) {
            read_one(s, i, &at);
        }
        struct wire_message m = {
            .kind = WIRE_BLOCKS,
            .session = s->link->ship.session,
            .as.blocks = {.count = j->count, .bytes = slice_of(blocks, (size_t)(at - blocks))},
        };
        j->frame_size = wire_encode(&m, j->frame, capacity);
        ASSERT(j->frame_size > 0);
    } else {
        free(j->frame);
        j->frame = NULL;
    }
    free(blocks);
}

/* What is on the disk is not what was written: the next checkpoint writes everything again. */
static void note_damage(struct bootstrap_serve *s)
{
    db_event(s->db, DB_EVENT_BOOTSTRAP,
             "%s: the next checkpoint writes all blocks anew, then the copy goes on",
             s->job.err.text);
    checkpointer_write_anew(s->db->checkpointer);
}

static void read_done(struct env_job *job)
{
    struct serve_job *j = CONTAINER_OF(job, struct serve_job, job);
    struct bootstrap_serve *s = CONTAINER_OF(j, struct bootstrap_serve, job);
    struct env *env = s->db->env;
    uint8_t *frame = j->frame;
    j->frame = NULL;
    s->is_reading = false;
    if (s->is_stopped) {
        free(frame);
        ship_link_read_ended(s->link);
        return;
    }
    if (!frame) {
        ship_link_end(s->link, WIRE_END_CLOSING, "no memory to send blocks");
        return;
    }
    if (j->is_damaged) note_damage(s);
    uint64_t now_ns = now_of(s);
    bootstrap_pace_took(&s->pace, now_ns, now_ns - j->started_ns, j->data_size);
    s->figures.sent_bytes += j->data_size;
    s->db->copied_bytes += j->data_size;
    s->db->copied_ns += now_ns - j->started_ns;
    struct slice piece = slice_of(frame, j->frame_size);
    if (!s->is_manifest_wanted) serve_blocks(s); /* the next are read while these are sent */
    env->v->link_send(env, s->link->env_link, &piece, 1, free, frame);
    go_on(s);
}

/* As many as make one frame. */
static void start_read(struct bootstrap_serve *s)
{
    struct serve_job *j = &s->job;
    size_t bytes_max = READ_BYTES;
    if (s->pace.rate > 0 && s->pace.rate / READS_PER_S < bytes_max) {
        bytes_max = (size_t)(s->pace.rate / READS_PER_S);
    }
    *j = (struct serve_job){.job = {.run = read_run, .done = read_done}, .started_ns = now_of(s)};
    while (s->queue_count > 0 && j->count < READ_BLOCKS) {
        const struct hash256 *hash = &s->queue[s->queue_first];
        uint32_t index = UINT32_MAX;
        size_t size = BLOCK_PREFIX;
        if (bootstrap_source_find(s->source, hash, &index)) {
            size += s->source->m.manifest.blocks[index].size;
            if (size > FRAME_SIZE_MAX - KIB) index = UINT32_MAX; /* no block is so large */
        } else {
            index = UINT32_MAX;
        }
        if (j->count > 0 && j->size + size > bytes_max) break;
        j->hashes[j->count] = *hash;
        j->indexes[j->count++] = index;
        j->size += size;
        s->queue_first = (s->queue_first + 1) % BOOTSTRAP_WINDOW_BLOCKS;
        s->queue_count--;
    }
    s->is_reading = true;
    s->db->env->v->submit(s->db->env, LANE_BACKGROUND, &j->job);
}

static void serve_blocks(struct bootstrap_serve *s)
{
    struct env *env = s->db->env;
    if (s->queue_count == 0 || s->is_reading || !s->source || !s->source->is_ready) return;
    if (env->v->link_queued(env, s->link->env_link) > QUEUED_MAX) return; /* drained comes */
    uint64_t rate = s->db->config.bootstrap_rate;
    s->pace.rate = rate > 100 ? rate : 0;
    s->pace.percent = rate > 100 ? 100 : (uint32_t)rate;
    uint64_t wait_ns = bootstrap_pace_wait(&s->pace, now_of(s));
    if (wait_ns > 0) {
        env->v->timer_start(env, &s->timer, wait_ns);
        return;
    }
    start_read(s);
}

static void go_on(struct bootstrap_serve *s)
{
    if (s->is_stopped) return;
    if (s->is_manifest_wanted) serve_manifest(s);
    if (!s->is_stopped) serve_blocks(s);
}

enum code bootstrap_serve_blocks(struct bootstrap_serve *s, const struct wire_blocks *blocks,
                                 struct err *e)
{
    struct bytes_reader at = bytes_reader_of(blocks->bytes);
    struct wire_block block;
    if (!blocks->is_request) return ERR(e, E_PROTOCOL, "a joiner sends no blocks");
    if (blocks->count > BOOTSTRAP_WINDOW_BLOCKS - s->queue_count) {
        return ERR(e, E_PROTOCOL, "more than %u blocks are asked for at once",
                   BOOTSTRAP_WINDOW_BLOCKS);
    }
    while (wire_block_next(blocks, &at, &block)) {
        uint32_t last = (s->queue_first + s->queue_count++) % BOOTSTRAP_WINDOW_BLOCKS;
        s->queue[last] = block.hash;
    }
    go_on(s);
    return OK;
}

bool bootstrap_serve_is_old(const struct bootstrap_serve *s)
{
    if (!s->source || !s->source->is_ready) return false;
    return bootstrap_source_is_far(s->db, s->source->at, s->source->bytes);
}

void bootstrap_serve_rebase(struct bootstrap_serve *s)
{
    if (s->is_stopped || !s->source || !s->source->is_ready || s->is_rebase_told) return;
    if (bootstrap_source_is_newest(s->source)) {
        checkpointer_want(s->db->checkpointer);
        return;
    }
    s->is_rebase_told = true;
    struct wire_message m = {
        .kind = WIRE_MANIFEST,
        .session = s->link->ship.session,
        .as.manifest = {.mark = checkpointer_contents(s->db->checkpointer)->at}};
    frames_send(&s->link->frames, &m);
}

void bootstrap_serve_drained(struct bootstrap_serve *s)
{
    go_on(s);
}

void bootstrap_serve_poll(struct db *db)
{
    if (!db->shipper) return;
    struct ship_link *next = NULL;
    for (struct ship_link *link = db->shipper->links; link; link = next) {
        next = link->next;
        if (link->serve) go_on(link->serve);
    }
}

/* --- figures --- */

void bootstrap_serve_progress(struct bootstrap_serve *s, const struct wire_progress *progress)
{
    s->figures.progress = *progress;
}

void bootstrap_serve_figures(const struct bootstrap_serve *s, struct bootstrap_figures *out)
{
    *out = s->figures;
}
