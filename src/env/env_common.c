/* env_common: small files written and read whole. Everything goes through the vtable, so the same
 * steps are taken in production and in the simulator.
 *
 * Durable replacement is this order and no other: write a temporary file beside the old one, sync
 * it, rename it over the old one, sync the directory. After a crash at any point the name leads to
 * the whole old content or the whole new one. The temporary file has a fixed name, path + ".tmp":
 * one left by a crash is overwritten by the next try, and two writers of one path are a bug.
 */
#include "env/env.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define PATH_SIZE 256

static enum code fill_temporary(struct env *env, const char *path, struct slice bytes,
                                struct err *e)
{
    struct env_file *file = NULL;
    TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE, &file, e));
    enum code code = env->v->truncate(env, file, 0, e);
    if (code == OK) code = env->v->pwrite(env, file, 0, bytes, e);
    if (code == OK) code = env->v->sync(env, file, e);
    env->v->close(env, file);
    return code;
}

enum code env_write_file_durably(struct env *env, const char *path, struct slice bytes,
                                 struct err *e)
{
    char temporary[PATH_SIZE];
    int size = snprintf(temporary, sizeof(temporary), "%s.tmp", path);
    if (size < 0 || (size_t)size >= sizeof(temporary)) {
        return ERR(e, E_LIMIT, "a path of %zu bytes, the limit is %d", strlen(path), PATH_SIZE - 5);
    }
    enum code code = fill_temporary(env, temporary, bytes, e);
    if (code == OK) code = env->v->rename(env, temporary, path, e);
    if (code != OK) {
        (void)env->v->unlink(env, temporary, NULL); /* the first error is the one to tell */
        return code;
    }
    char dir[PATH_SIZE] = ".";
    const char *slash = strrchr(path, '/');
    if (slash != NULL) {
        memcpy(dir, path, (size_t)(slash - path));
        dir[slash - path] = '\0';
    }
    return env->v->sync_dir(env, dir, e);
}

/* Read all size bytes of the file. *out is given. */
static enum code read_whole(struct env *env, struct env_file *file, size_t size, uint8_t **out,
                            struct err *e)
{
    uint8_t *bytes = malloc(size + 1); /* never 0 bytes */
    if (bytes == NULL) {
        return ERR(e, E_NOMEMORY, "no memory for the %zu bytes of a file", size);
    }
    size_t got = 0;
    enum code code = env->v->pread(env, file, 0, bytes, size, &got, e);
    if (code == OK && got < size) {
        code = ERR(e, E_IO, "a file ended at %zu of %zu bytes while it was read", got, size);
    }
    if (code != OK) {
        free(bytes);
        return code;
    }
    *out = bytes;
    return OK;
}

enum code env_read_file(struct env *env, const char *path, size_t size_max, uint8_t **out,
                        size_t *out_size, struct err *e)
{
    struct env_file *file = NULL;
    TRY(env->v->open(env, path, ENV_READ | ENV_UNCACHED, &file, e));
    uint64_t size = 0;
    enum code code = env->v->size(env, file, &size, e);
    if (code == OK && size > size_max) {
        code = ERR(e, E_LIMIT, "%s has %" PRIu64 " bytes, the limit is %zu", path, size, size_max);
    }
    if (code == OK) code = read_whole(env, file, (size_t)size, out, e);
    if (code == OK) *out_size = (size_t)size;
    env->v->close(env, file);
    return code;
}
