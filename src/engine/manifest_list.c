/* manifest_list: see manifest_list.h. */
#include "engine/manifest_list.h"

#include <stdlib.h>

#include "base/text.h"

static void add(struct manifest_list *list, const struct position *at)
{
    if (list->count == WIRE_MANIFESTS_MAX) {
        memmove(&list->at[0], &list->at[1], (WIRE_MANIFESTS_MAX - 1) * sizeof(list->at[0]));
        list->count--;
    }
    list->at[list->count++] = *at;
}

enum code manifest_list_read(const struct state_files *files, uint64_t generation,
                             struct manifest_list *out, struct err *e)
{
    struct env *env = files->env;
    struct env_dirent *entries = NULL;
    size_t count = 0;
    enum code code = OK;
    *out = (struct manifest_list){0};
    TRY(env->v->list(env, "state", &entries, &count, e));
    for (size_t i = 0; i < count && code == OK; i++) { /* names sort by seqno */
        seqno at;
        uint64_t found;
        struct manifest_file m = {0};
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &found)) continue;
        if (found != generation) continue;
        code = manifest_file_read(files, entries[i].name, &m, e);
        if (code == OK && m.manifest.position.seqno.v == at.v) add(out, &m.manifest.position);
        manifest_file_fini(&m);
        if (code != E_IO && code != E_NOMEMORY) code = OK; /* a damaged one is not offered */
    }
    free(entries);
    return code;
}

struct manifest_list manifest_list_usable(const struct manifest_list *list, seqno oldest,
                                          seqno last)
{
    struct manifest_list usable = {0};
    for (uint32_t i = 0; i < list->count; i++) {
        const struct position *at = &list->at[i];
        if (at->seqno.v + 1 >= oldest.v && at->seqno.v <= last.v) add(&usable, at);
    }
    return usable;
}

enum code manifest_list_drop_beyond(struct env *env, seqno last, struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    enum code code = OK;
    TRY(env->v->list(env, "state", &entries, &count, e));
    for (size_t i = 0; i < count && code == OK; i++) {
        char path[STATE_PATH_SIZE];
        seqno at;
        uint64_t generation;
        if (!manifest_name_parse(slice_of_text(entries[i].name), &at, &generation)) continue;
        if (at.v <= last.v) continue;
        state_path(entries[i].name, path);
        code = env->v->unlink(env, path, e);
    }
    free(entries);
    return code == OK ? env->v->sync_dir(env, "state", e) : code;
}
