/* log_recycle: makes a spare of the file of a pruned segment, on the background lane. A commit into
 * space that was written before takes half to two thirds of the time of one that extends a file
 * (bench/log_append.c), and nothing has to be written beforehand: the old bytes stay. format/stale
 * says how they are told from new ones after a crash. Order, so that a crash at any step leaves a
 * leftover or a spare:
 *
 *   a map of the old sectors is behind the file, synced - the header is gone, synced - the new name
 *
 * Only files of full segments are worth it; one that fails is removed. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"
#include "format/stale.h"

#define PIECE_SIZE (256 * KIB)

struct recycling {
    struct env *env;
    struct env_file *file;
    uint64_t limit;
    uint8_t *piece;
    uint8_t *map;
};

/* Cut the footer off and write up to the limit, so that all of it is written space. */
static enum code fill(struct recycling *r, uint64_t size)
{
    if (size > r->limit) return r->env->v->truncate(r->env, r->file, r->limit, NULL);
    memset(r->piece, 0, PIECE_SIZE);
    while (size < r->limit) {
        size_t part = r->limit - size < PIECE_SIZE ? (size_t)(r->limit - size) : PIECE_SIZE;
        TRY(r->env->v->pwrite(r->env, r->file, size, slice_of(r->piece, part), NULL));
        size += part;
    }
    return OK;
}

static enum code add_sums(struct recycling *r)
{
    for (uint64_t at = 0; at < r->limit;) {
        size_t got = 0;
        size_t part = r->limit - at < PIECE_SIZE ? (size_t)(r->limit - at) : PIECE_SIZE;
        TRY(r->env->v->pread(r->env, r->file, at, r->piece, part, &got, NULL));
        if (got != part) return E_IO;
        if (at == 0) memset(r->piece, 0, STALE_SECTOR_SIZE); /* as it will be */
        for (size_t i = 0; i < part; i += STALE_SECTOR_SIZE) {
            uint64_t sector = (at + i) / STALE_SECTOR_SIZE;
            store_u32(r->map + sector * sizeof(uint32_t), stale_sum(r->piece + i));
        }
        at += part;
    }
    return OK;
}

static enum code rewrite(struct recycling *r, uint64_t log_key)
{
    static const uint8_t nothing[STALE_SECTOR_SIZE];
    uint64_t size = 0;
    struct env *env = r->env;
    TRY(env->v->size(env, r->file, &size, NULL));
    if (size < r->limit / 2) return E_LIMIT;
    TRY(fill(r, size));
    TRY(add_sums(r));
    stale_map_finish(r->limit, log_key, r->map);
    struct slice map = slice_of(r->map, stale_map_size(r->limit));
    TRY(env->v->pwrite(env, r->file, stale_map_offset(r->limit), map, NULL));
    TRY(env->v->sync(env, r->file, NULL));
    TRY(env->v->pwrite(env, r->file, 0, slice_of(nothing, sizeof(nothing)), NULL));
    return env->v->sync(env, r->file, NULL);
}

bool log_recycle_file(struct log *log, uint64_t file_id, uint64_t new_id)
{
    char old_path[LOG_PATH_SIZE];
    char new_path[LOG_PATH_SIZE];
    log_path(file_id, old_path);
    log_path(new_id, new_path);
    struct recycling r = {
        .env = log->env,
        .limit = log->segment_size / RECYCLED_ALIGN * RECYCLED_ALIGN,
        .piece = malloc(PIECE_SIZE),
    };
    r.map = calloc(1, stale_map_size(r.limit));
    bool is_made = r.piece && r.map &&
                   log->env->v->open(log->env, old_path, ENV_WRITE, &r.file, NULL) == OK &&
                   rewrite(&r, log->id.log_key) == OK;
    log->env->v->close(log->env, r.file);
    free(r.piece);
    free(r.map);
    return is_made && log->env->v->rename(log->env, old_path, new_path, NULL) == OK;
}
