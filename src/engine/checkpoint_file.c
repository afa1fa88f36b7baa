/* checkpoint_file: see checkpoint_file.h. */
#include "engine/checkpoint_file.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "engine/checkpoint_read.h"
#include "engine/packs.h"

void checkpoint_contents_fini(struct checkpoint_contents *c)
{
    free(c->blocks);
    free(c->places);
    *c = (struct checkpoint_contents){0};
}

/* --- writing --- */

struct checkpoint_writing {
    const struct checkpoint_write *w;
    struct checkpoint_contents contents; /* a place in pack 0: not written yet */
    uint32_t next;                       /* block to look at */
    struct env_file *file;               /* the pack, from the first block on */
    uint64_t offset;
    uint8_t *scratch;
    bool is_done;
};

/* The place of a block that the previous manifest names in the same words. */
static const struct block_place *find_place(const struct checkpoint_contents *c, uint32_t *cursor,
                                            const struct block_entry *entry)
{
    while (*cursor < c->count && block_id_compare(c->blocks[*cursor].id, entry->id) < 0) {
        (*cursor)++;
    }
    if (*cursor == c->count) return NULL;
    const struct block_entry *known = &c->blocks[*cursor];
    if (block_id_compare(known->id, entry->id) != 0) return NULL;
    if (known->size != entry->size || !hash256_equal(&known->hash, &entry->hash)) return NULL;
    return &c->places[*cursor];
}

/* Which packs are there, and how much of each would be named. Without memory or a list nothing is
 * known: everything is written again. */
static void packs_fill(const struct checkpoint_writing *g, struct packs *packs)
{
    struct env *env = g->w->env;
    struct env_dirent *entries = NULL;
    size_t count = 0;
    if (env->v->list(env, "state", &entries, &count, NULL) != OK) return;
    packs->items = calloc(count ? count : 1, sizeof(*packs->items));
    for (size_t i = 0; packs->items && i < count; i++) {
        struct pack_use pack = {.size = entries[i].size};
        if (!pack_name_parse(slice_of_text(entries[i].name), &pack.id)) continue;
        packs->items[packs->count++] = pack;
    }
    free(entries);
    packs_sort(packs);
    const struct checkpoint_contents *c = &g->contents;
    for (uint32_t i = 0; i < c->count; i++) {
        packs_note(packs, c->places[i].pack, align_up(c->blocks[i].size, PACK_ALIGN));
    }
    packs_decide(packs);
}

/* Name every block; give those that need not be written their old places. */
static void find_places(struct checkpoint_writing *g)
{
    const struct checkpoint_write *w = g->w;
    struct checkpoint_contents *c = &g->contents;
    uint32_t cursor = 0;
    for (uint32_t i = 0; i < c->count; i++) {
        struct block_entry *entry = &c->blocks[i];
        *entry = (struct block_entry){
            .id = state_version_block_id(w->version, i),
            .size = state_version_block_size(w->version, i),
            .hash = state_version_block_hash(w->version, i, g->scratch),
        };
        c->bytes += entry->size;
        const struct block_place *place = find_place(w->previous, &cursor, entry);
        if (place && !w->writes_anew) c->places[i] = *place;
    }
    struct packs packs = {0};
    packs_fill(g, &packs);
    for (uint32_t i = 0; i < c->count; i++) {
        if (packs_is_emptied(&packs, c->places[i].pack)) c->places[i] = (struct block_place){0};
    }
    free(packs.items);
}

struct checkpoint_writing *checkpoint_begin(const struct checkpoint_write *w, struct err *e)
{
    uint32_t size_max = state_version_block_size_max(w->version);
    uint32_t count = state_version_block_count(w->version);
    struct checkpoint_writing *g = calloc(1, sizeof(*g));
    if (g) {
        g->w = w;
        g->scratch = malloc(size_max ? size_max : 1);
        g->contents.count = count;
        g->contents.at = state_version_position(w->version).seqno;
        g->contents.blocks = calloc(count ? count : 1, sizeof(*g->contents.blocks));
        g->contents.places = calloc(count ? count : 1, sizeof(*g->contents.places));
    }
    if (!g || !g->scratch || !g->contents.blocks || !g->contents.places) {
        (void)ERR(e, E_NOMEMORY, "no memory for a checkpoint");
        checkpoint_end(g, NULL);
        return NULL;
    }
    find_places(g);
    return g;
}

static enum code open_pack(struct checkpoint_writing *g, struct err *e)
{
    const struct checkpoint_write *w = g->w;
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    uint8_t header[PACK_HEADER_SIZE];
    pack_name(w->pack, name);
    state_path(name, path);
    TRY(w->env->v->open(w->env, path, ENV_WRITE | ENV_CREATE, &g->file, e));
    TRY(w->env->v->truncate(w->env, g->file, 0, e)); /* left by a crash with the same id */
    pack_header_encode(&w->cluster, w->pack, header);
    g->offset = PACK_HEADER_SIZE;
    return w->env->v->pwrite(w->env, g->file, 0, slice_of(header, sizeof(header)), e);
}

static enum code write_block(struct checkpoint_writing *g, uint32_t i, struct err *e)
{
    const struct checkpoint_write *w = g->w;
    uint32_t size = g->contents.blocks[i].size;
    if (!g->file) TRY(open_pack(g, e));
    state_version_block_encode(w->version, i, g->scratch);
    TRY(w->env->v->pwrite(w->env, g->file, g->offset, slice_of(g->scratch, size), e));
    g->contents.places[i] = (struct block_place){.pack = w->pack, .offset = g->offset};
    g->offset = align_up(g->offset + size, PACK_ALIGN);
    return OK;
}

static enum code write_manifest(const struct checkpoint_write *w,
                                const struct checkpoint_contents *c, struct err *e)
{
    struct manifest m = {
        .cluster = w->cluster,
        .stream = w->stream,
        .position = state_version_position(w->version),
        .leader_time = state_version_leader_time(w->version),
        .epoch_count = w->epoch_count,
        .epochs = w->epochs,
        .block_count = c->count,
        .blocks = c->blocks,
        .places = c->places,
        .generation = w->generation,
        .log_bytes = w->log_bytes,
        .root = state_root(c->blocks, c->count),
    };
    size_t size = manifest_size(&m);
    uint8_t *bytes = malloc(size);
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory for a manifest of %zu bytes", size);
    manifest_encode(&m, bytes);
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    manifest_name(m.position.seqno, w->generation, name);
    state_path(name, path);
    enum code code = OK;
    if (PLANTED(18)) {
        struct env_file *file = NULL;
        code = w->env->v->open(w->env, path, ENV_WRITE | ENV_CREATE, &file, e);
        if (code == OK) code = w->env->v->pwrite(w->env, file, 0, slice_of(bytes, size), e);
        w->env->v->close(w->env, file);
    } else {
        code = env_write_file_durably(w->env, path, slice_of(bytes, size), e);
    }
    free(bytes);
    return code;
}

static bool names_pack(const struct checkpoint_contents *c, uint64_t pack)
{
    for (uint32_t i = 0; i < c->count; i++) {
        if (c->places[i].pack == pack) return true;
    }
    return false;
}

static bool is_pinned(const struct checkpoint_write *w, uint64_t pack)
{
    for (uint32_t i = 0; i < w->pinned_count; i++) {
        if (w->pinned[i] == pack) return true;
    }
    return false;
}

/* A manifest that was being written when a write failed or a life ended. */
static bool is_unfinished(struct slice name)
{
    struct slice ending = slice_of_text(".manifest.tmp");
    return name.size > ending.size &&
           memcmp(name.data + name.size - ending.size, ending.data, ending.size) == 0;
}

/* The newest manifest at or below `committed`; 0: none. */
static seqno newest_committed(const struct checkpoint_write *w, const struct env_dirent *entries,
                              size_t count)
{
    seqno newest = SEQNO_NONE;
    for (size_t i = 0; i < count; i++) {
        seqno at;
        uint64_t generation;
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &generation)) continue;
        if (generation != w->generation) continue;
        if (at.v <= w->committed.v) newest = seqno_max(newest, at);
    }
    return newest;
}

/* The contents of a manifest that is kept beside the two newest. False: it cannot be read, so
 * nobody knows which packs it names. */
static bool read_contents(const struct checkpoint_write *w, const struct env_dirent *entries,
                          size_t count, struct checkpoint_contents *c)
{
    struct state_files files = {.env = w->env, .cluster = w->cluster, .stream = w->stream};
    for (size_t i = 0; i < count; i++) {
        seqno at;
        uint64_t generation;
        bool is_it = manifest_name_parse(slice_of_text(entries[i].name), &at, &generation) &&
                     at.v == c->at.v && generation == w->generation;
        if (!is_it) continue;
        struct manifest_file m;
        bool is_read = manifest_file_read(&files, entries[i].name, &m, NULL) == OK &&
                       checkpoint_contents_copy(&m.manifest, c) == OK;
        manifest_file_fini(&m);
        return is_read;
    }
    return false;
}

/* Remove manifests that are not kept, and packs that no kept one names. Failures are harmless: the
 * next checkpoint tries again. */
static void remove_old(const struct checkpoint_writing *g)
{
    const struct checkpoint_write *w = g->w;
    const struct checkpoint_contents *kept = &g->contents;
    struct env_dirent *entries = NULL;
    size_t count = 0;
    if (w->env->v->list(w->env, "state", &entries, &count, NULL) != OK) return;
    struct checkpoint_contents third = {.at = newest_committed(w, entries, count)};
    bool has_third = third.at.v != 0 && third.at.v != kept->at.v && third.at.v != w->previous->at.v;
    bool are_packs_known = !has_third || read_contents(w, entries, count, &third);
    for (size_t i = 0; i < count; i++) {
        struct slice name = slice_of_text(entries[i].name);
        seqno at;
        uint64_t id;
        bool is_old = is_unfinished(name);
        if (manifest_name_parse(name, &at, &id)) {
            is_old = id == w->generation && at.v != kept->at.v && at.v != w->previous->at.v &&
                     at.v != third.at.v;
        } else if (pack_name_parse(name, &id)) {
            is_old = are_packs_known && id != w->pack && !names_pack(kept, id) &&
                     !names_pack(w->previous, id) && !names_pack(&third, id) && !is_pinned(w, id);
        }
        if (!is_old) continue;
        char path[STATE_PATH_SIZE];
        state_path(entries[i].name, path);
        (void)w->env->v->unlink(w->env, path, NULL);
    }
    checkpoint_contents_fini(&third);
    free(entries);
}

static enum code finish(struct checkpoint_writing *g, struct err *e)
{
    struct env *env = g->w->env;
    env->v->close(env, g->file);
    bool has_pack = g->file != NULL;
    g->file = NULL;
    /* Planted: old files go, and nobody made sure of the names of the new ones. */
    if (has_pack && !PLANTED(18)) TRY(env->v->sync_dir(env, "state", e));
    TRY(write_manifest(g->w, &g->contents, e));
    remove_old(g);
    g->is_done = true;
    return OK;
}

enum code checkpoint_step(struct checkpoint_writing *g, uint64_t bytes_max, bool *out_is_done,
                          struct err *e)
{
    ASSERT(!g->is_done);
    *out_is_done = false;
    uint64_t bytes = 0;
    for (; g->next < g->contents.count && bytes < bytes_max; g->next++) {
        if (g->contents.places[g->next].pack != 0) continue;
        TRY(write_block(g, g->next, e));
        bytes += g->contents.blocks[g->next].size;
    }
    if (bytes > 0) TRY(g->w->env->v->sync(g->w->env, g->file, e));
    if (g->next < g->contents.count) return OK;
    TRY(finish(g, e));
    *out_is_done = true;
    return OK;
}

void checkpoint_end(struct checkpoint_writing *g, struct checkpoint_contents *out)
{
    if (out) *out = (struct checkpoint_contents){0};
    if (!g) return;
    if (out && g->is_done) {
        *out = g->contents;
        g->contents = (struct checkpoint_contents){0};
    }
    g->w->env->v->close(g->w->env, g->file);
    checkpoint_contents_fini(&g->contents);
    free(g->scratch);
    free(g);
}
