/* bootstrap_files: see bootstrap_files.h. */
#include "engine/bootstrap_files.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "engine/checkpoint.h"

#define OWN_MANIFESTS_MAX 2u /* the newest ones, looked through for blocks */
#define LOOK_POLL_NS      (10 * NS_PER_MS)
#define ARRIVING_MAX      ((size_t)2 * BOOTSTRAP_WINDOW_BYTES + FRAME_SIZE_MAX)
/* Written between two syncs: what a crash costs, and what the last one has to do. Beyond the second
 * figure writing waits for the sync. */
#define SYNC_BYTES     (16 * MIB)
#define UNSYNCED_BYTES (64 * MIB)

struct hash_index {
    struct hash256 hash;
    uint32_t index;
};

/* --- life --- */

static void poll_was_due(struct env_timer *timer)
{
    bootstrap_files_look(CONTAINER_OF(timer, struct bootstrap_files, timer));
}

void bootstrap_files_init(struct bootstrap_files *f, struct db *db,
                          void (*done)(void *owner, enum bootstrap_work work, enum code code,
                                       const struct err *e),
                          void *owner)
{
    f->db = db;
    f->done = done;
    f->owner = owner;
    f->files = (struct state_files){
        .env = db->env, .cluster = db->identity.cluster, .stream = db->identity.stream};
    f->generation = db->identity.generation;
    f->timer = (struct env_timer){.fire = poll_was_due, .env = db->env};
    atomic_init(&f->is_stopping, false);
}

static void free_target(struct bootstrap_files *f)
{
    manifest_file_fini(&f->target);
    free(f->wants);
    free(f->places);
    free(f->want_of);
    free(f->by_hash);
    f->wants = NULL;
    f->places = NULL;
    f->want_of = NULL;
    f->by_hash = NULL;
    f->want_count = 0;
}

/* What is on the disk is looked at again the next time. */
static void close_staging(struct bootstrap_files *f)
{
    staging_close(&f->staging);
    f->is_staging_open = false;
    f->staged_count = 0;
}

void bootstrap_files_fini(struct bootstrap_files *f)
{
    free_target(f);
    close_staging(f);
    free(f->staged);
    free(f->bytes);
    free(f->incoming.bytes);
    free(f->writing.bytes);
    f->db->env->v->timer_close(f->db->env, &f->timer);
}

void bootstrap_files_stop(struct bootstrap_files *f)
{
    atomic_store_explicit(&f->is_stopping, true, memory_order_relaxed);
    f->is_look_wanted = false;
    f->db->env->v->timer_stop(f->db->env, &f->timer);
}

bool bootstrap_files_are_quiet(const struct bootstrap_files *f)
{
    return !f->is_running && !f->is_syncing;
}

static bool is_stopping(struct bootstrap_files *f)
{
    return atomic_load_explicit(&f->is_stopping, memory_order_relaxed);
}

/* --- the manifest --- */

bool bootstrap_files_add_piece(struct bootstrap_files *f, uint64_t offset, struct slice bytes,
                               uint64_t total)
{
    if (offset == 0) {
        free(f->bytes);
        f->bytes_size = (size_t)total;
        f->bytes = malloc(f->bytes_size);
    }
    if (!f->bytes) return false;
    ASSERT(total == f->bytes_size && offset + bytes.size <= total); /* the machine compared them */
    memcpy(f->bytes + offset, bytes.data, bytes.size);
    return true;
}

/* --- the job's wants --- */

static int compare_index(const void *a, const void *b)
{
    const struct hash_index *x = a;
    const struct hash_index *y = b;
    int order = memcmp(x->hash.bytes, y->hash.bytes, sizeof(x->hash.bytes));
    if (order != 0) return order;
    return (x->index > y->index) - (x->index < y->index);
}

static bool find_in(const struct hash_index *index, uint32_t count, const struct hash256 *hash,
                    uint32_t *out)
{
    uint32_t low = 0;
    uint32_t high = count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        int order = memcmp(index[middle].hash.bytes, hash->bytes, sizeof(hash->bytes));
        if (order == 0) {
            *out = index[middle].index;
            return true;
        }
        if (order < 0) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return false;
}

bool bootstrap_files_find(const struct bootstrap_files *f, const struct hash256 *hash,
                          uint32_t *out_index)
{
    return find_in(f->by_hash, f->want_count, hash, out_index);
}

/* Wants in the order of the target's blocks, which is about the order in which a server has them on
 * its disk; blocks with equal bytes share one. by_hash comes in with the blocks of the target. */
static void number_wants(struct bootstrap_files *f)
{
    const struct manifest *m = &f->target.manifest;
    for (uint32_t i = 0; i < m->block_count; i++) {
        f->want_of[i] = UINT32_MAX;
    }
    for (uint32_t i = 0; i < m->block_count; i++) { /* equal hashes: the lowest block of them */
        bool is_again = i > 0 && hash256_equal(&f->by_hash[i].hash, &f->by_hash[i - 1].hash);
        uint32_t lowest = is_again ? f->want_of[f->by_hash[i - 1].index] : f->by_hash[i].index;
        f->want_of[f->by_hash[i].index] = lowest;
    }
    for (uint32_t i = 0; i < m->block_count; i++) {
        if (f->want_of[i] != i) { /* the lower one has its number already */
            f->want_of[i] = f->want_of[f->want_of[i]];
            continue;
        }
        f->wants[f->want_count] =
            (struct bootstrap_want){.hash = m->blocks[i].hash, .size = m->blocks[i].size};
        f->want_of[i] = f->want_count++;
    }
}

static enum code make_wants(struct bootstrap_files *f, struct err *e)
{
    const struct manifest *m = &f->target.manifest;
    size_t count = m->block_count ? m->block_count : 1;
    f->wants = calloc(count, sizeof(*f->wants));
    f->places = calloc(count, sizeof(*f->places));
    f->want_of = calloc(count, sizeof(*f->want_of));
    f->by_hash = calloc(count, sizeof(*f->by_hash));
    if (!f->wants || !f->places || !f->want_of || !f->by_hash) {
        return ERR(e, E_NOMEMORY, "no memory for %u blocks", m->block_count);
    }
    for (uint32_t i = 0; i < m->block_count; i++) {
        f->by_hash[i] = (struct hash_index){.hash = m->blocks[i].hash, .index = i};
    }
    qsort(f->by_hash, m->block_count, sizeof(*f->by_hash), compare_index);
    number_wants(f);
    for (uint32_t i = 0; i < f->want_count; i++) {
        f->by_hash[i] = (struct hash_index){.hash = f->wants[i].hash, .index = i};
    }
    qsort(f->by_hash, f->want_count, sizeof(*f->by_hash), compare_index);
    return OK;
}

/* --- looking --- */

static void note_staged(void *context, const struct hash256 *hash, uint32_t size, uint64_t offset)
{
    struct bootstrap_files *f = context;
    if (f->staged_count == f->staged_capacity) {
        uint32_t capacity = f->staged_capacity ? f->staged_capacity * 2 : 1024;
        struct staged_block *staged = realloc(f->staged, capacity * sizeof(*staged));
        if (!staged) return; /* it is fetched again, and this place is not used */
        f->staged = staged;
        f->staged_capacity = capacity;
    }
    f->staged[f->staged_count++] =
        (struct staged_block){.hash = *hash, .size = size, .offset = offset};
}

static void find_staged(struct bootstrap_files *f)
{
    for (uint32_t i = 0; i < f->staged_count; i++) {
        const struct staged_block *block = &f->staged[i];
        uint32_t want;
        if (!bootstrap_files_find(f, &block->hash, &want)) continue;
        if (f->wants[want].size != block->size) continue;
        f->wants[want].state = WANT_HELD;
        f->places[want] = (struct block_place){.pack = STAGED_PACK, .offset = block->offset};
    }
}

/* Blocks that an own checkpoint holds, each read and verified: a copy must not stand on rot. */
static void find_own(struct bootstrap_files *f, const char *name)
{
    struct manifest_file own;
    struct pack_reader packs = {.files = &f->files};
    uint8_t *scratch = NULL;
    size_t capacity = 0;
    bool is_read = manifest_file_read(&f->files, name, &own, NULL) == OK;
    for (uint32_t i = 0; is_read && i < own.manifest.block_count && !is_stopping(f); i++) {
        const struct block_entry *entry = &own.manifest.blocks[i];
        uint32_t want;
        if (!bootstrap_files_find(f, &entry->hash, &want)) continue;
        if (f->wants[want].state == WANT_HELD || f->wants[want].size != entry->size) continue;
        if (entry->size > capacity) {
            uint8_t *larger = realloc(scratch, entry->size);
            if (!larger) break; /* the rest is fetched */
            scratch = larger;
            capacity = entry->size;
        }
        if (pack_read_block(&packs, entry, &own.manifest.places[i], scratch, NULL) != OK) continue;
        f->wants[want].state = WANT_HELD;
        f->places[want] = own.manifest.places[i];
    }
    pack_reader_fini(&packs);
    free(scratch);
    manifest_file_fini(&own);
}

static void find_in_own_checkpoints(struct bootstrap_files *f)
{
    struct env *env = f->db->env;
    struct env_dirent *entries = NULL;
    size_t count = 0;
    uint32_t looked = 0;
    if (env->v->list(env, "state", &entries, &count, NULL) != OK) return;
    for (size_t i = count; i > 0 && looked < OWN_MANIFESTS_MAX; i--) {
        seqno at;
        uint64_t generation;
        const char *name = entries[i - 1].name;
        if (!manifest_name_parse(slice_of_text(name), &at, &generation)) continue;
        if (generation != f->generation) continue;
        find_own(f, name);
        looked++;
    }
    free(entries);
}

static enum code look(struct bootstrap_files *f, struct err *e)
{
    if (!f->is_staging_open) {
        TRY(staging_open(&f->staging, &f->files, note_staged, f, e));
        f->is_staging_open = true;
    }
    const struct manifest *m = &f->target.manifest;
    if (m->position.seqno.v == 0) return ERR(e, E_PROTOCOL, "a manifest of no record is offered");
    TRY(make_wants(f, e));
    find_staged(f);
    find_in_own_checkpoints(f);
    return OK;
}

/* --- writing --- */

bool bootstrap_files_add_block(struct bootstrap_files *f, uint32_t index, struct slice bytes)
{
    struct bootstrap_arrivals *in = &f->incoming;
    size_t offset = in->size + BLOCK_HEAD_SIZE;
    size_t wanted = align_up(offset + bytes.size, PACK_ALIGN);
    if (in->count == COUNT_OF(in->items) || wanted > ARRIVING_MAX) return false;
    if (wanted > in->capacity) {
        size_t capacity = in->capacity ? in->capacity * 2 : MIB;
        while (capacity < wanted) {
            capacity *= 2;
        }
        uint8_t *larger = realloc(in->bytes, capacity);
        if (!larger) return false;
        in->bytes = larger;
        in->capacity = capacity;
    }
    memcpy(in->bytes + offset, bytes.data, bytes.size);
    memset(in->bytes + offset + bytes.size, 0, wanted - offset - bytes.size);
    in->items[in->count++] =
        (struct bootstrap_arrival){.index = index, .offset = offset, .size = bytes.size};
    in->size = wanted;
    return true;
}

/* Is it what was asked for? Then it gets its head. */
static bool verify(struct bootstrap_files *f, struct bootstrap_arrival *arrival)
{
    const struct bootstrap_want *want = &f->wants[arrival->index];
    uint8_t *bytes = f->writing.bytes + arrival->offset;
    struct hash256 hash = hash256_of(slice_of(bytes, arrival->size));
    if (arrival->size != want->size || !hash256_equal(&hash, &want->hash)) return false;
    block_head_encode(&hash, want->size, bytes - BLOCK_HEAD_SIZE);
    return true;
}

/* Arrivals [first, end), all good, in one call. */
static enum code write_run(struct bootstrap_files *f, uint32_t first, uint32_t end, struct err *e)
{
    struct bootstrap_arrival *items = f->writing.items;
    if (first == end) return OK;
    size_t begin = items[first].offset - BLOCK_HEAD_SIZE;
    size_t size = align_up(items[end - 1].offset + items[end - 1].size, PACK_ALIGN) - begin;
    uint64_t at = 0;
    TRY(staging_add(&f->staging, slice_of(f->writing.bytes + begin, size), &at, e));
    for (uint32_t i = first; i < end; i++) {
        const struct bootstrap_want *want = &f->wants[items[i].index];
        uint64_t offset = at + items[i].offset - begin;
        note_staged(f, &want->hash, want->size, offset);
        f->places[items[i].index] = (struct block_place){.pack = STAGED_PACK, .offset = offset};
        items[i].is_good = true;
    }
    return OK;
}

static enum code write_arrivals(struct bootstrap_files *f, struct err *e)
{
    uint32_t first = 0;
    for (uint32_t i = 0; i < f->writing.count; i++) {
        if (verify(f, &f->writing.items[i])) continue;
        TRY(write_run(f, first, i, e));
        first = i + 1;
    }
    return write_run(f, first, f->writing.count, e);
}

/* --- the end --- */

static enum code finish(struct bootstrap_files *f, struct err *e)
{
    struct manifest named = f->target.manifest;
    size_t count = named.block_count ? named.block_count : 1;
    struct block_place *places = calloc(count, sizeof(*places));
    if (!places) return ERR(e, E_NOMEMORY, "no memory for a manifest");
    for (uint32_t i = 0; i < named.block_count; i++) {
        places[i] = f->places[f->want_of[i]];
    }
    named.places = places;
    named.generation = f->generation + 1;
    enum code code = staging_finish(&f->staging, &named, f->pack, e);
    free(places);
    return code;
}

/* --- the job --- */

static void job_run(struct env_job *job)
{
    struct bootstrap_files *f = CONTAINER_OF(job, struct bootstrap_files, job);
    switch (f->work) {
    case BOOTSTRAP_WORK_LOOK: f->code = look(f, &f->err); break;
    case BOOTSTRAP_WORK_WRITE: f->code = write_arrivals(f, &f->err); break;
    case BOOTSTRAP_WORK_FINISH: f->code = finish(f, &f->err); break;
    }
}

static void start_sync(struct bootstrap_files *f);

/* The job ended, and no sync is in the way of what comes now. */
static void go_on(struct bootstrap_files *f)
{
    if (f->code != OK) close_staging(f);
    if (f->is_look_wanted && !is_stopping(f)) {
        bootstrap_files_look(f); /* what ended was for a target that was given up */
        return;
    }
    f->done(f->owner, f->work, f->code, &f->err);
}

/* Of a sync that ended. */
static void take_sync_code(struct bootstrap_files *f)
{
    if (f->code == OK && f->sync_code != OK) {
        f->code = f->sync_code;
        f->err = f->sync_err;
    }
    f->sync_code = OK;
}

static void job_done(struct env_job *job)
{
    struct bootstrap_files *f = CONTAINER_OF(job, struct bootstrap_files, job);
    f->is_running = false;
    if (f->work == BOOTSTRAP_WORK_WRITE) {
        f->written = f->writing.items;
        f->written_count = f->writing.count;
    }
    if (f->code != OK && f->is_syncing) {
        f->is_failure_to_tell = true;
        return;
    }
    if (!f->is_syncing) take_sync_code(f);
    if (f->code == OK) start_sync(f);
    go_on(f);
}

static void sync_run(struct env_job *job)
{
    struct bootstrap_files *f = CONTAINER_OF(job, struct bootstrap_files, sync_job);
    f->sync_code = staging_sync(&f->staging, &f->sync_err);
}

static void sync_done(struct env_job *job)
{
    struct bootstrap_files *f = CONTAINER_OF(job, struct bootstrap_files, sync_job);
    f->is_syncing = false;
    if (f->is_running) return; /* its end looks at sync_code */
    if (f->is_failure_to_tell || f->sync_code != OK || is_stopping(f)) {
        f->is_failure_to_tell = f->is_finish_wanted = false;
        f->work = BOOTSTRAP_WORK_WRITE;
        take_sync_code(f);
        go_on(f);
        return;
    }
    if (f->is_finish_wanted) {
        bootstrap_files_finish(f);
    } else {
        bootstrap_files_write(f);
    }
}

static void start_sync(struct bootstrap_files *f)
{
    if (f->is_syncing || !f->is_staging_open || f->staging.unsynced < SYNC_BYTES) return;
    f->staging.unsynced = 0;
    f->is_syncing = true;
    f->sync_job = (struct env_job){.run = sync_run, .done = sync_done};
    f->db->env->v->submit(f->db->env, LANE_BACKGROUND, &f->sync_job);
}

static void start(struct bootstrap_files *f, enum bootstrap_work work)
{
    ASSERT(!f->is_running);
    f->work = work;
    f->is_running = true;
    f->code = OK;
    f->err = (struct err){.code = OK};
    f->job = (struct env_job){.run = job_run, .done = job_done};
    f->db->env->v->submit(f->db->env, LANE_BACKGROUND, &f->job);
}

void bootstrap_files_look(struct bootstrap_files *f)
{
    struct db *db = f->db;
    f->is_look_wanted = true;
    if (is_stopping(f)) return;
    if (f->is_running) return; /* its end comes back here */
    /* A checkpoint that is being written may remove what is looked at. */
    if (db->checkpointer && !checkpointer_is_quiet(db->checkpointer)) {
        db->env->v->timer_start(db->env, &f->timer, LOOK_POLL_NS);
        return;
    }
    f->is_look_wanted = false;
    f->incoming.count = 0;
    f->incoming.size = 0;
    free_target(f);
    uint8_t *bytes = f->bytes;
    f->bytes = NULL;
    struct err e = {.code = OK};
    enum code code = manifest_file_take(&f->files, "the manifest that came", bytes, f->bytes_size,
                                        &f->target, &e);
    if (code != OK) {
        f->done(f->owner, BOOTSTRAP_WORK_LOOK, code, &e);
        return;
    }
    start(f, BOOTSTRAP_WORK_LOOK);
}

void bootstrap_files_write(struct bootstrap_files *f)
{
    if (f->is_running || f->is_look_wanted || is_stopping(f) || f->incoming.count == 0) return;
    if (f->is_failure_to_tell || (f->is_syncing && f->staging.unsynced > UNSYNCED_BYTES)) return;
    struct bootstrap_arrivals *in = &f->incoming;
    struct bootstrap_arrivals *out = &f->writing;
    uint8_t *bytes = out->bytes;
    size_t capacity = out->capacity;
    out->bytes = in->bytes;
    out->capacity = in->capacity;
    out->size = in->size;
    out->count = in->count;
    memcpy(out->items, in->items, in->count * sizeof(in->items[0]));
    in->bytes = bytes;
    in->capacity = capacity;
    in->size = 0;
    in->count = 0;
    start(f, BOOTSTRAP_WORK_WRITE);
}

void bootstrap_files_finish(struct bootstrap_files *f)
{
    struct db *db = f->db;
    f->is_finish_wanted = f->is_syncing; /* it closes the file */
    if (f->is_syncing) return;
    f->pack = db->checkpointer ? checkpointer_take_pack(db->checkpointer) : 1;
    start(f, BOOTSTRAP_WORK_FINISH);
}
