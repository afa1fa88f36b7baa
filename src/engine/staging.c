/* staging: see staging.h. */
#include "engine/staging.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/planted.h"
#include "format/batch.h"

#define STAGING_DIR  "staging"
#define STAGING_PATH "staging/blocks"

/* A block in memory that grows to the largest one. */
struct room {
    uint8_t *bytes;
    size_t capacity;
    size_t size; /* of the block that it holds; less than was asked for: the file ended */
};

static enum code read_block(struct env *env, struct env_file *file, uint64_t offset, uint32_t size,
                            struct room *room, struct err *e)
{
    if (size > room->capacity) {
        uint8_t *larger = realloc(room->bytes, size);
        if (!larger) return ERR(e, E_NOMEMORY, "no memory for a block of %u bytes", size);
        *room = (struct room){.bytes = larger, .capacity = size};
    }
    return env->v->pread(env, file, offset, room->bytes, size, &room->size, e);
}

static bool is_whole(const struct room *room, uint32_t size, const struct hash256 *wanted)
{
    struct hash256 hash = hash256_of(slice_of(room->bytes, room->size));
    return room->size == size && hash256_equal(&hash, wanted);
}

/* Walk over the blocks; s->end stays behind the last whole one. */
static enum code scan(struct staging *s, struct env_file *file, uint64_t size,
                      void (*found)(void *context, const struct hash256 *hash, uint32_t size,
                                    uint64_t offset),
                      void *context, struct err *e)
{
    struct env *env = s->files->env;
    struct room room = {0};
    enum code code = OK;
    s->end = PACK_HEADER_SIZE;
    for (;;) {
        uint8_t head[BLOCK_HEAD_SIZE] = {0};
        struct hash256 hash;
        uint32_t block_size;
        size_t got = 0;
        code = env->v->pread(env, file, s->end, head, sizeof(head), &got, e);
        if (code != OK || !block_head_decode(head, &hash, &block_size)) break;
        uint64_t offset = s->end + BLOCK_HEAD_SIZE;
        if (offset + block_size > size) break; /* before memory is taken for it */
        code = read_block(env, file, offset, block_size, &room, e);
        if (code != OK || !is_whole(&room, block_size, &hash)) break;
        found(context, &hash, block_size, offset);
        s->end = align_up(offset + block_size, PACK_ALIGN);
    }
    free(room.bytes);
    return code;
}

/* Past the page cache: after a sync that failed it shows what is not on the disk, and the next sync
 * would say that all is well. */
static enum code scan_disk(struct staging *s, uint64_t size,
                           void (*found)(void *context, const struct hash256 *hash, uint32_t size,
                                         uint64_t offset),
                           void *context, struct err *e)
{
    struct env *env = s->files->env;
    struct env_file *file = NULL;
    TRY(env->v->open(env, STAGING_PATH, ENV_READ | ENV_UNCACHED, &file, e));
    enum code code = scan(s, file, size, found, context, e);
    env->v->close(env, file);
    return code;
}

enum code staging_open(struct staging *s, const struct state_files *files,
                       void (*found)(void *context, const struct hash256 *hash, uint32_t size,
                                     uint64_t offset),
                       void *context, struct err *e)
{
    struct env *env = files->env;
    uint64_t size = 0;
    *s = (struct staging){.files = files};
    TRY(env->v->make_dir(env, STAGING_DIR, e));
    TRY(env->v->sync_dir(env, ".", e));
    TRY(env->v->open(env, STAGING_PATH, ENV_WRITE | ENV_CREATE, &s->file, e));
    enum code code = env->v->size(env, s->file, &size, e);
    if (code == OK) code = scan_disk(s, size, found, context, e);
    if (code == OK && size > s->end) code = env->v->truncate(env, s->file, s->end, e);
    if (code == OK) code = env->v->sync_dir(env, STAGING_DIR, e);
    if (code != OK) staging_close(s);
    return code;
}

enum code staging_add(struct staging *s, struct slice blocks, uint64_t *out_offset, struct err *e)
{
    ASSERT(blocks.size % PACK_ALIGN == 0);
    TRY(s->files->env->v->pwrite(s->files->env, s->file, s->end, blocks, e));
    *out_offset = s->end;
    s->end += blocks.size;
    s->unsynced += blocks.size;
    return OK;
}

enum code staging_sync(const struct staging *s, struct err *e)
{
    if (PLANTED(40)) return OK; /* the copy counts before it is durable */
    return s->files->env->v->sync(s->files->env, s->file, e);
}

static enum code make_pack(struct staging *s, const struct state_files *files, uint64_t pack,
                           struct err *e)
{
    struct env *env = files->env;
    uint8_t header[PACK_HEADER_SIZE];
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    pack_header_encode(&files->cluster, pack, header);
    TRY(env->v->pwrite(env, s->file, 0, slice_of(header, sizeof(header)), e));
    if (!PLANTED(40)) TRY(env->v->sync(env, s->file, e));
    staging_close(s);
    pack_name(pack, name);
    state_path(name, path);
    TRY(env->v->rename(env, STAGING_PATH, path, e));
    TRY(env->v->sync_dir(env, STAGING_DIR, e));
    return env->v->sync_dir(env, "state", e);
}

static enum code write_manifest(const struct state_files *files, const struct manifest *m,
                                struct err *e)
{
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    size_t size = manifest_size(m);
    uint8_t *bytes = malloc(size);
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory for a manifest of %zu bytes", size);
    manifest_encode(m, bytes);
    manifest_name(m->position.seqno, m->generation, name);
    state_path(name, path);
    enum code code = env_write_file_durably(files->env, path, slice_of(bytes, size), e);
    free(bytes);
    return code;
}

enum code staging_finish(struct staging *s, const struct manifest *m, uint64_t pack, struct err *e)
{
    const struct state_files *files = s->files;
    struct manifest named = *m;
    size_t count = m->block_count ? m->block_count : 1;
    struct block_place *places = calloc(count, sizeof(*places));
    if (!places) return ERR(e, E_NOMEMORY, "no memory for a manifest");
    for (uint32_t i = 0; i < m->block_count; i++) {
        places[i] = m->places[i];
        if (places[i].pack == STAGED_PACK) places[i].pack = pack;
    }
    named.places = places;
    enum code code = make_pack(s, files, pack, e);
    if (code == OK) code = write_manifest(files, &named, e);
    free(places);
    return code;
}

void staging_close(struct staging *s)
{
    if (s->files) s->files->env->v->close(s->files->env, s->file);
    s->file = NULL;
}

void staging_remove(struct env *env)
{
    (void)env->v->unlink(env, STAGING_PATH, NULL);
}
