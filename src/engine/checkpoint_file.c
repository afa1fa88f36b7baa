/* checkpoint_file: see checkpoint_file.h. */
#include "engine/checkpoint_file.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "engine/packs.h"

#define MANIFEST_SIZE_MAX (512 * MIB)
#define STATE_PATH_SIZE   (CHECKPOINT_NAME_SIZE + 8)

void checkpoint_contents_fini(struct checkpoint_contents *c)
{
    free(c->blocks);
    free(c->places);
    *c = (struct checkpoint_contents){0};
}

static void state_path(const char *name, char out[STATE_PATH_SIZE])
{
    struct text t = text_of(out, STATE_PATH_SIZE);
    text_add(&t, "state/%s", name);
}

/* --- loading --- */

struct loading {
    const struct checkpoint_load *l;
    struct manifest manifest;
    void *memory[8]; /* what manifest_decode took */
    size_t memory_count;
    uint8_t *bytes;
    uint8_t *scratch;
    struct env_file *pack_file;
    uint64_t pack;
};

static void *take_memory(void *context, size_t size)
{
    struct loading *g = context;
    if (g->memory_count == COUNT_OF(g->memory)) return NULL;
    void *p = malloc(size ? size : 1);
    if (p) g->memory[g->memory_count++] = p;
    return p;
}

static enum code open_pack_for_read(struct loading *g, uint64_t pack, struct err *e)
{
    struct env *env = g->l->env;
    if (g->pack_file && g->pack == pack) return OK;
    env->v->close(env, g->pack_file);
    g->pack_file = NULL;
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    pack_name(pack, name);
    state_path(name, path);
    TRY(env->v->open(env, path, ENV_READ, &g->pack_file, e));
    uint8_t header[PACK_HEADER_SIZE] = {0};
    size_t got;
    TRY(env->v->pread(env, g->pack_file, 0, header, sizeof(header), &got, e));
    TRY(pack_header_decode(header, &g->l->cluster, pack, e));
    g->pack = pack;
    return OK;
}

static enum code load_block(struct loading *g, uint32_t i, struct state *state, struct err *e)
{
    const struct block_entry *entry = &g->manifest.blocks[i];
    const struct block_place *place = &g->manifest.places[i];
    TRY(open_pack_for_read(g, place->pack, e));
    size_t got;
    TRY(g->l->env->v->pread(g->l->env, g->pack_file, place->offset, g->scratch, entry->size, &got,
                            e));
    struct slice bytes = slice_of(g->scratch, got);
    struct hash256 hash = hash256_of(bytes);
    if (got != entry->size || !hash256_equal(&hash, &entry->hash)) {
        return ERR(e, E_CORRUPT, "block %s %llu in pack %016llx at offset %llu does not verify",
                   block_kind_name(entry->id.kind), (unsigned long long)entry->id.number,
                   (unsigned long long)place->pack, (unsigned long long)place->offset);
    }
    return state_load_block(state, entry->id, bytes, e);
}

static enum code load_blocks(struct loading *g, struct state *state, struct err *e)
{
    uint32_t size_max = 1;
    for (uint32_t i = 0; i < g->manifest.block_count; i++) {
        if (g->manifest.blocks[i].size > size_max) size_max = g->manifest.blocks[i].size;
    }
    g->scratch = malloc(size_max);
    if (!g->scratch) return ERR(e, E_NOMEMORY, "no memory to load a checkpoint");
    for (uint32_t i = 0; i < g->manifest.block_count; i++) {
        TRY(load_block(g, i, state, e));
    }
    return state_load_end(state, &g->manifest.position, g->manifest.leader_time, e);
}

static enum code read_manifest(struct loading *g, const char *name, struct err *e)
{
    char path[STATE_PATH_SIZE];
    size_t size = 0;
    state_path(name, path);
    TRY(env_read_file(g->l->env, path, MANIFEST_SIZE_MAX, &g->bytes, &size, e));
    TRY(manifest_decode(slice_of(g->bytes, size), take_memory, g, &g->manifest, e));
    const struct manifest *m = &g->manifest;
    if (!id128_equal(&m->cluster, &g->l->cluster) || !stream_equal(m->stream, g->l->stream)) {
        return ERR(e, E_WRONG_CLUSTER, "%s belongs to another cluster or stream", path);
    }
    struct hash256 root = state_root(m->blocks, m->block_count);
    if (!hash256_equal(&root, &m->root)) {
        return ERR(e, E_CORRUPT, "%s: its root does not verify", path);
    }
    return OK;
}

/* What the manifest names, in memory of its own. E_NOMEMORY: *out is empty. */
static enum code copy_contents(const struct manifest *m, struct checkpoint_contents *out)
{
    size_t blocks = m->block_count ? m->block_count : 1;
    struct checkpoint_contents c = {.count = m->block_count, .at = m->position.seqno};
    c.blocks = calloc(blocks, sizeof(*c.blocks));
    c.places = calloc(blocks, sizeof(*c.places));
    if (!c.blocks || !c.places) {
        checkpoint_contents_fini(&c);
        return E_NOMEMORY;
    }
    memcpy(c.blocks, m->blocks, m->block_count * sizeof(*c.blocks));
    memcpy(c.places, m->places, m->block_count * sizeof(*c.places));
    for (uint32_t i = 0; i < c.count; i++) {
        c.bytes += c.blocks[i].size;
    }
    *out = c;
    return OK;
}

static void loading_fini(struct loading *g)
{
    g->l->env->v->close(g->l->env, g->pack_file);
    for (size_t i = 0; i < g->memory_count; i++) {
        free(g->memory[i]);
    }
    free(g->bytes);
    free(g->scratch);
}

static enum code keep_results(struct loading *g, struct state *state, struct checkpoint_loaded *out,
                              struct err *e)
{
    const struct manifest *m = &g->manifest;
    size_t epochs = m->epoch_count ? m->epoch_count : 1;
    struct checkpoint_contents c = {0};
    out->epochs = calloc(epochs, sizeof(*out->epochs));
    if (!out->epochs || copy_contents(m, &c) != OK) {
        free(out->epochs);
        out->epochs = NULL;
        return ERR(e, E_NOMEMORY, "no memory to load a checkpoint");
    }
    memcpy(out->epochs, m->epochs, m->epoch_count * sizeof(*out->epochs));
    out->epoch_count = m->epoch_count;
    out->contents = c;
    out->state = state;
    out->position = m->position;
    return OK;
}

static enum code load_one(const struct checkpoint_load *l, const char *name,
                          struct checkpoint_loaded *out, struct err *e)
{
    struct loading g = {.l = l};
    struct state *state = NULL;
    enum code code = read_manifest(&g, name, e);
    if (code == OK) {
        state = state_new(l->alloc, l->cluster, l->stream);
        code = state ? OK : ERR(e, E_NOMEMORY, "no memory for the state");
    }
    if (code == OK) code = load_blocks(&g, state, e);
    if (code == OK) code = keep_results(&g, state, out, e);
    if (code != OK) state_free(state);
    loading_fini(&g);
    return code;
}

static bool is_damage(enum code code)
{
    return code == E_CORRUPT || code == E_NOTFOUND || code == E_WRONG_CLUSTER || code == E_LIMIT;
}

enum code checkpoint_load_newest(const struct checkpoint_load *l, struct checkpoint_loaded *out,
                                 struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    *out = (struct checkpoint_loaded){.next_pack = 1};
    TRY(l->env->v->list(l->env, "state", &entries, &count, e));
    enum code code = OK;
    for (size_t i = 0; i < count; i++) {
        uint64_t pack;
        if (pack_name_parse(slice_of_text(entries[i].name), &pack) && pack >= out->next_pack) {
            out->next_pack = pack + 1;
        }
    }
    for (size_t i = count; i > 0 && !out->state && code == OK; i--) { /* names sort by seqno */
        seqno at;
        uint64_t generation;
        const char *name = entries[i - 1].name;
        if (!manifest_name_parse(slice_of_text(name), &at, &generation)) continue;
        if (at.v > l->at_most.v) {
            out->rejected++;
            continue;
        }
        struct err why = {.code = OK};
        code = load_one(l, name, out, &why);
        if (is_damage(code)) {
            struct text t = text_of(out->rejected_why, sizeof(out->rejected_why));
            text_add(&t, "%s: %s", name, why.text);
            out->rejected++;
            code = OK;
        } else if (code != OK && e) {
            *e = why;
        }
    }
    free(entries);
    return code;
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
        if (place) c->places[i] = *place;
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
    enum code code = env_write_file_durably(w->env, path, slice_of(bytes, size), e);
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
        if (at.v <= w->committed.v) newest = seqno_max(newest, at);
    }
    return newest;
}

/* The contents of a manifest that is kept beside the two newest. False: it cannot be read, so
 * nobody knows which packs it names. */
static bool read_contents(const struct checkpoint_write *w, const struct env_dirent *entries,
                          size_t count, struct checkpoint_contents *c)
{
    struct checkpoint_load l = {.env = w->env, .cluster = w->cluster, .stream = w->stream};
    for (size_t i = 0; i < count; i++) {
        seqno at;
        uint64_t generation;
        bool is_it = manifest_name_parse(slice_of_text(entries[i].name), &at, &generation) &&
                     at.v == c->at.v;
        if (!is_it) continue;
        struct loading g = {.l = &l};
        bool is_read =
            read_manifest(&g, entries[i].name, NULL) == OK && copy_contents(&g.manifest, c) == OK;
        loading_fini(&g);
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
            is_old = at.v != kept->at.v && at.v != w->previous->at.v && at.v != third.at.v;
        } else if (pack_name_parse(name, &id)) {
            is_old = are_packs_known && id != w->pack && !names_pack(kept, id) &&
                     !names_pack(w->previous, id) && !names_pack(&third, id);
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
    if (has_pack) TRY(env->v->sync_dir(env, "state", e));
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
