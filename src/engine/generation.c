/* generation: see generation.h. */
#include "engine/generation.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/checkpoint_read.h"
#include "engine/identity_store.h"
#include "engine/log_open.h"

/* --- the switch --- */

/* File ids from here on were never used. */
static enum code find_first_file(struct env *env, const struct identity *id, uint64_t *out,
                                 struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    TRY(env->v->list(env, "log", &entries, &count, e));
    uint64_t first = id->last_segment + 1;
    for (size_t i = 0; i < count; i++) {
        uint64_t file_id;
        if (!segment_name_parse(slice_of_text(entries[i].name), &file_id)) continue;
        if (file_id >= first) first = file_id + 1;
    }
    free(entries);
    *out = first;
    return OK;
}

static enum code switch_to(struct env *env, struct identity *id, const struct manifest *m,
                           struct err *e)
{
    uint64_t first_file = 0;
    TRY(find_first_file(env, id, &first_file, e));
    id->generation++;
    ASSERT(id->generation == m->generation);
    id->log_base = m->position;
    id->log_base_bytes = m->log_bytes;
    id->first_segment = id->last_segment = 0;
    id->log_first_file = first_file;
    id->intent = (struct truncation_intent){0}; /* the log that it spoke of is gone */
    uint64_t history_id = 0;
    while (history_id == 0 || history_id == id->history_id) {
        history_id = env->v->random(env);
    }
    id->history_id = history_id;
    id->epoch_count = m->epoch_count < EPOCH_TABLE_MAX ? m->epoch_count : EPOCH_TABLE_MAX;
    memcpy(id->epochs, m->epochs, id->epoch_count * sizeof(id->epochs[0]));
    for (uint32_t i = 0; i < id->epoch_count; i++) {
        uint64_t epoch = id->epochs[i].epoch.number;
        if (epoch > id->highest_epoch) id->highest_epoch = epoch;
    }
    return identity_save_now(env, id, e);
}

/* The newest manifest of that generation; false: none. */
static bool find_manifest(const struct env_dirent *entries, size_t count, uint64_t generation,
                          const char **out_name)
{
    for (size_t i = count; i > 0; i--) {
        seqno at;
        uint64_t found;
        bool is_manifest = manifest_name_parse(slice_of_text(entries[i - 1].name), &at, &found);
        if (!is_manifest || found != generation) continue;
        *out_name = entries[i - 1].name;
        return true;
    }
    return false;
}

enum code generation_settle(struct env *env, struct identity *id, bool *out_switched, struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    const char *name = NULL;
    *out_switched = false;
    if (id128_is_zero(&id->cluster)) return OK;
    TRY(env->v->list(env, "state", &entries, &count, e));
    enum code code = OK;
    if (find_manifest(entries, count, id->generation + 1, &name)) {
        struct state_files files = {.env = env, .cluster = id->cluster, .stream = id->stream};
        struct manifest_file m;
        code = manifest_file_read(&files, name, &m, e);
        bool is_whole = code == OK && m.manifest.generation == id->generation + 1;
        if (code == E_CORRUPT) code = OK; /* never became whole: the old copy counts */
        if (is_whole) code = switch_to(env, id, &m.manifest, e);
        *out_switched = is_whole && code == OK;
        manifest_file_fini(&m);
    }
    free(entries);
    return code;
}

/* --- what is left of others --- */

static void remove_from(struct env *env, const char *dir, const char *name)
{
    char path[STATE_PATH_SIZE];
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/%s", dir, name);
    (void)env->v->unlink(env, path, NULL);
}

/* Packs that no manifest of this generation names. When one of these cannot be read nobody knows,
 * and all stay. */
static void remove_packs(struct env *env, const struct identity *id,
                         const struct env_dirent *entries, size_t count)
{
    struct state_files files = {.env = env, .cluster = id->cluster, .stream = id->stream};
    bool *is_named = calloc(count ? count : 1, sizeof(*is_named));
    bool are_known = is_named != NULL;
    for (size_t i = 0; are_known && i < count; i++) {
        seqno at;
        uint64_t generation;
        struct manifest_file m;
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &generation)) continue;
        if (generation != id->generation) continue;
        are_known = manifest_file_read(&files, entries[i].name, &m, NULL) == OK;
        for (size_t k = 0; are_known && k < count; k++) {
            uint64_t pack;
            if (!pack_name_parse(slice_of_text(entries[k].name), &pack)) continue;
            for (uint32_t b = 0; !is_named[k] && b < m.manifest.block_count; b++) {
                is_named[k] = m.manifest.places[b].pack == pack;
            }
        }
        manifest_file_fini(&m);
    }
    for (size_t k = 0; are_known && k < count; k++) {
        uint64_t pack;
        bool is_pack = pack_name_parse(slice_of_text(entries[k].name), &pack);
        if (is_pack && !is_named[k]) remove_from(env, "state", entries[k].name);
    }
    free(is_named);
}

static void clean_state(struct env *env, const struct identity *id)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    bool has_others = false;
    if (env->v->list(env, "state", &entries, &count, NULL) != OK) return;
    for (size_t i = 0; i < count; i++) {
        seqno at;
        uint64_t generation;
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &generation)) continue;
        if (generation != id->generation) has_others = true;
    }
    /* Packs first: while a manifest of another generation is there, so may its packs be. */
    if (has_others) remove_packs(env, id, entries, count);
    for (size_t i = 0; i < count; i++) {
        seqno at;
        uint64_t generation;
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &generation)) continue;
        if (generation != id->generation) remove_from(env, "state", entries[i].name);
    }
    if (has_others) (void)env->v->sync_dir(env, "state", NULL);
    free(entries);
}

static void clean_log(struct env *env, const struct identity *id)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    bool has_removed = false;
    if (env->v->list(env, "log", &entries, &count, NULL) != OK) return;
    for (size_t i = 0; i < count; i++) {
        uint64_t file_id;
        if (!segment_name_parse(slice_of_text(entries[i].name), &file_id)) continue;
        if (file_id >= id->log_first_file) continue;
        remove_from(env, "log", entries[i].name);
        has_removed = true;
    }
    if (has_removed) (void)env->v->sync_dir(env, "log", NULL);
    free(entries);
}

void generation_clean(struct env *env, const struct identity *id)
{
    clean_state(env, id);
    clean_log(env, id);
}
