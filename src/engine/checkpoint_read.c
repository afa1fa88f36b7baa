/* checkpoint_read: see checkpoint_read.h; and loading the newest good checkpoint of a generation,
 * which is nothing else than reading all that its manifest names. */
#include "engine/checkpoint_read.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/planted.h"
#include "base/text.h"
#include "engine/checkpoint_file.h"

void state_path(const char *name, char out[STATE_PATH_SIZE])
{
    struct text t = text_of(out, STATE_PATH_SIZE);
    text_add(&t, "state/%s", name);
}

/* --- manifests --- */

static void *take_memory(void *context, size_t size)
{
    struct manifest_file *m = context;
    if (m->memory_count == COUNT_OF(m->memory)) return NULL;
    void *p = malloc(size ? size : 1);
    if (p) m->memory[m->memory_count++] = p;
    return p;
}

void manifest_file_fini(struct manifest_file *m)
{
    for (size_t i = 0; i < m->memory_count; i++) {
        free(m->memory[i]);
    }
    free(m->bytes);
    *m = (struct manifest_file){0};
}

enum code manifest_file_take(const struct state_files *files, const char *name, uint8_t *bytes,
                             size_t size, struct manifest_file *out, struct err *e)
{
    *out = (struct manifest_file){.bytes = bytes, .size = size};
    TRY(manifest_decode(slice_of(bytes, size), take_memory, out, &out->manifest, e));
    const struct manifest *m = &out->manifest;
    if (!id128_equal(&m->cluster, &files->cluster) || !stream_equal(m->stream, files->stream)) {
        return ERR(e, E_WRONG_CLUSTER, "%s belongs to another cluster or stream", name);
    }
    return OK;
}

enum code manifest_file_read(const struct state_files *files, const char *name,
                             struct manifest_file *out, struct err *e)
{
    char path[STATE_PATH_SIZE];
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out = (struct manifest_file){0};
    state_path(name, path);
    TRY(env_read_file(files->env, path, MANIFEST_SIZE_MAX, &bytes, &size, e));
    return manifest_file_take(files, path, bytes, size, out, e);
}

/* --- blocks --- */

static enum code open_pack(struct pack_reader *r, uint64_t pack, struct err *e)
{
    struct env *env = r->files->env;
    if (r->file && r->pack == pack) return OK;
    pack_reader_fini(r);
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    pack_name(pack, name);
    state_path(name, path);
    TRY(env->v->open(env, path, ENV_READ, &r->file, e));
    uint8_t header[PACK_HEADER_SIZE] = {0};
    size_t got;
    TRY(env->v->pread(env, r->file, 0, header, sizeof(header), &got, e));
    if (got < sizeof(header)) { /* what is missing would pass for a format of another version */
        return ERR(e, E_CORRUPT, "%s ends inside its header, after %zu bytes", path, got);
    }
    /* The manifest that names it is of this format and cluster, so nothing else is of another. */
    struct err why;
    if (pack_header_decode(header, &r->files->cluster, pack, &why) != OK) {
        return ERR(e, E_CORRUPT, "%s: %s", path, why.text);
    }
    r->pack = pack;
    return OK;
}

enum code pack_read_block(struct pack_reader *r, const struct block_entry *entry,
                          const struct block_place *place, uint8_t *out, struct err *e)
{
    struct env *env = r->files->env;
    size_t got;
    enum code code = open_pack(r, place->pack, e);
    if (code != OK) {
        pack_reader_fini(r); /* it may be open and not judged */
        return code;
    }
    TRY(env->v->pread(env, r->file, place->offset, out, entry->size, &got, e));
    struct hash256 hash = hash256_of(slice_of(out, got));
    if (PLANTED(30)) hash = entry->hash; /* blocks of a checkpoint are believed */
    if (got == entry->size && hash256_equal(&hash, &entry->hash)) return OK;
    return ERR(e, E_CORRUPT, "block %s %llu in pack %016llx at offset %llu does not verify",
               block_kind_name(entry->id.kind), (unsigned long long)entry->id.number,
               (unsigned long long)place->pack, (unsigned long long)place->offset);
}

void pack_reader_fini(struct pack_reader *r)
{
    r->files->env->v->close(r->files->env, r->file);
    r->file = NULL;
}

/* --- loading --- */

static enum code load_blocks(const struct state_files *files, const struct manifest *m,
                             struct state *state, struct err *e)
{
    uint32_t size_max = 1;
    for (uint32_t i = 0; i < m->block_count; i++) {
        if (m->blocks[i].size > size_max) size_max = m->blocks[i].size;
    }
    uint8_t *scratch = malloc(size_max);
    if (!scratch) return ERR(e, E_NOMEMORY, "no memory to load a checkpoint");
    struct pack_reader packs = {.files = files};
    enum code code = OK;
    for (uint32_t i = 0; code == OK && i < m->block_count; i++) {
        const struct block_entry *entry = &m->blocks[i];
        code = pack_read_block(&packs, entry, &m->places[i], scratch, e);
        if (code == OK) {
            code = state_load_block(state, entry->id, slice_of(scratch, entry->size), e);
        }
    }
    pack_reader_fini(&packs);
    free(scratch);
    TRY(code);
    return state_load_end(state, &m->position, m->leader_time, e);
}

enum code checkpoint_contents_copy(const struct manifest *m, struct checkpoint_contents *out)
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

static enum code keep_results(const struct manifest *m, struct state *state,
                              struct checkpoint_loaded *out, struct err *e)
{
    size_t epochs = m->epoch_count ? m->epoch_count : 1;
    struct checkpoint_contents c = {0};
    out->epochs = calloc(epochs, sizeof(*out->epochs));
    if (!out->epochs || checkpoint_contents_copy(m, &c) != OK) {
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
    struct state_files files = {.env = l->env, .cluster = l->cluster, .stream = l->stream};
    struct manifest_file m;
    struct state *state = NULL;
    enum code code = manifest_file_read(&files, name, &m, e);
    if (code == OK) {
        state = state_new(l->alloc, l->cluster, l->stream);
        code = state ? OK : ERR(e, E_NOMEMORY, "no memory for the state");
    }
    if (code == OK) code = load_blocks(&files, &m.manifest, state, e);
    if (code == OK) code = keep_results(&m.manifest, state, out, e);
    if (code != OK) state_free(state);
    manifest_file_fini(&m);
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
        if (generation != l->generation) continue;
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
