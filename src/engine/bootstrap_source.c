/* bootstrap_source: see bootstrap_source.h. */
#include "engine/bootstrap_source.h"

#include <stdlib.h>

#include "base/assert.h"
#include "core/bootstrap.h"
#include "engine/bootstrap_serve.h"
#include "engine/checkpoint.h"

/* A manifest is worth copying while the log behind it is shorter than the state, or than this. */
#define RECENT_BYTES (64 * MIB)

static void source_free(struct bootstrap_source *s)
{
    struct bootstrap_source **at = &s->db->sources;
    while (*at != s) {
        at = &(*at)->next;
    }
    *at = s->next;
    manifest_file_fini(&s->m);
    free(s->by_hash);
    free(s->packs);
    free(s);
}

void bootstrap_sources_free(struct db *db)
{
    while (db->sources) {
        source_free(db->sources);
    }
}

void bootstrap_source_release(struct bootstrap_source *s)
{
    if (!s) return;
    ASSERT(s->refs > 0);
    if (--s->refs == 0) source_free(s);
}

bool bootstrap_sources_are_quiet(const struct db *db)
{
    for (const struct bootstrap_source *s = db->sources; s; s = s->next) {
        if (!s->is_ready && !s->is_bad) return false;
    }
    return true;
}

/* --- reading it --- */

struct hash_order {
    struct hash256 hash;
    uint32_t index;
};

static int compare_hashes(const void *a, const void *b)
{
    const struct hash_order *x = a;
    const struct hash_order *y = b;
    int order = memcmp(x->hash.bytes, y->hash.bytes, sizeof(x->hash.bytes));
    if (order != 0) return order;
    return (x->index > y->index) - (x->index < y->index);
}

static enum code index_blocks(struct bootstrap_source *s, struct err *e)
{
    const struct manifest *m = &s->m.manifest;
    size_t count = m->block_count ? m->block_count : 1;
    struct hash_order *order = calloc(count, sizeof(*order));
    s->by_hash = calloc(count, sizeof(*s->by_hash));
    if (!order || !s->by_hash) {
        free(order);
        return ERR(e, E_NOMEMORY, "no memory for %u blocks", m->block_count);
    }
    for (uint32_t i = 0; i < m->block_count; i++) {
        order[i] = (struct hash_order){.hash = m->blocks[i].hash, .index = i};
        s->bytes += m->blocks[i].size;
    }
    qsort(order, m->block_count, sizeof(*order), compare_hashes);
    for (uint32_t i = 0; i < m->block_count; i++) {
        s->by_hash[i] = order[i].index;
    }
    free(order);
    return OK;
}

static void load_run(struct env_job *job)
{
    struct bootstrap_source *s = CONTAINER_OF(job, struct bootstrap_source, job);
    char name[CHECKPOINT_NAME_SIZE];
    manifest_name(s->at, s->generation, name);
    s->code = manifest_file_read(&s->files, name, &s->m, &s->err);
    if (s->code == OK) s->code = index_blocks(s, &s->err);
}

static void load_done(struct env_job *job)
{
    struct bootstrap_source *s = CONTAINER_OF(job, struct bootstrap_source, job);
    struct db *db = s->db;
    s->is_ready = s->code == OK;
    s->is_bad = s->code != OK;
    if (s->is_bad) {
        db_event(db, DB_EVENT_BOOTSTRAP, "the checkpoint at record %llu cannot be copied from: %s",
                 (unsigned long long)s->at.v, s->err.text);
    }
    bootstrap_source_release(s); /* the job's */
    bootstrap_serve_poll(db);
}

/* --- taking it --- */

static bool note_packs(struct bootstrap_source *s, const struct checkpoint_contents *c)
{
    uint32_t capacity = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        bool is_known = false;
        for (uint32_t k = 0; !is_known && k < s->pack_count; k++) {
            is_known = s->packs[k] == c->places[i].pack;
        }
        if (is_known) continue;
        if (s->pack_count == capacity) {
            capacity = capacity ? capacity * 2 : 64;
            uint64_t *packs = realloc(s->packs, capacity * sizeof(*packs));
            if (!packs) return false;
            s->packs = packs;
        }
        s->packs[s->pack_count++] = c->places[i].pack;
    }
    return true;
}

static struct bootstrap_source *source_new(struct db *db, const struct checkpoint_contents *c)
{
    struct bootstrap_source *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->db = db;
    s->next = db->sources;
    db->sources = s;
    s->refs = 2; /* the caller's, the job's */
    s->at = c->at;
    s->generation = db->identity.generation;
    s->files = (struct state_files){
        .env = db->env, .cluster = db->identity.cluster, .stream = db->identity.stream};
    if (!note_packs(s, c)) {
        source_free(s);
        return NULL;
    }
    s->job = (struct env_job){.run = load_run, .done = load_done};
    db->env->v->submit(db->env, LANE_BACKGROUND, &s->job);
    return s;
}

bool bootstrap_source_is_far(const struct db *db, seqno at, uint64_t state_bytes)
{
    seqno durable = log_durable(db->log).seqno;
    uint64_t reach = state_bytes > RECENT_BYTES ? state_bytes : RECENT_BYTES;
    /* The slot of the one that copies holds the log from there on: beyond its budget it is lost. */
    if (db->config.slot_budget_bytes < reach) reach = db->config.slot_budget_bytes;
    return bootstrap_should_rebase(log_bytes_after(db->log, at), reach) ||
           bootstrap_should_rebase(durable.v - at.v, db->config.slot_budget_records);
}

bool bootstrap_source_is_there(const struct db *db, seqno *out_at, uint64_t *out_bytes)
{
    const struct checkpoint_contents *c = checkpointer_contents(db->checkpointer);
    bool is_good = c->count > 0 && !checkpointer_writes_anew(db->checkpointer);
    if (!is_good || log_oldest(db->log).v > c->at.v + 1) return false;
    *out_at = c->at;
    *out_bytes = c->bytes;
    return !db_is_leader(db) || !bootstrap_source_is_far(db, c->at, c->bytes);
}

bool bootstrap_source_is_newest(const struct bootstrap_source *s)
{
    const struct checkpointer *c = s->db->checkpointer;
    return checkpointer_contents(c)->at.v == s->at.v && !checkpointer_writes_anew(c);
}

struct bootstrap_source *bootstrap_source_take(struct db *db)
{
    seqno at;
    uint64_t bytes;
    if (!bootstrap_source_is_there(db, &at, &bytes)) {
        checkpointer_want(db->checkpointer);
        return NULL;
    }
    for (struct bootstrap_source *s = db->sources; s; s = s->next) {
        if (s->at.v != at.v) continue;
        if (s->is_bad) {
            checkpointer_want(db->checkpointer);
            return NULL;
        }
        s->refs++;
        return s;
    }
    return source_new(db, checkpointer_contents(db->checkpointer));
}

bool bootstrap_source_find(const struct bootstrap_source *s, const struct hash256 *hash,
                           uint32_t *out_index)
{
    ASSERT(s->is_ready);
    uint32_t low = 0;
    uint32_t high = s->m.manifest.block_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        const struct block_entry *entry = &s->m.manifest.blocks[s->by_hash[middle]];
        int order = memcmp(entry->hash.bytes, hash->bytes, sizeof(hash->bytes));
        if (order == 0) {
            *out_index = s->by_hash[middle];
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

bool bootstrap_pins(const struct db *db, uint64_t **out, uint32_t *out_count)
{
    size_t count = 0;
    *out = NULL;
    *out_count = 0;
    for (const struct bootstrap_source *s = db->sources; s; s = s->next) {
        count += s->pack_count;
    }
    if (count == 0) return true;
    *out = calloc(count, sizeof(**out));
    if (!*out) return false;
    for (const struct bootstrap_source *s = db->sources; s; s = s->next) {
        memcpy(*out + *out_count, s->packs, s->pack_count * sizeof(**out));
        *out_count += s->pack_count;
    }
    return true;
}
