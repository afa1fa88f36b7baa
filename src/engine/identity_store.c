/* identity_store: see the header. */
#include "engine/identity_store.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"

static const char *const copy_paths[2] = {"identity.a", "identity.b"};

enum copy_state { COPY_ABSENT, COPY_GOOD, COPY_BAD };

/* Past the page cache: after a failed sync it shows a copy that is not on the disk. out has
 * IDENTITY_FILE_SIZE_MAX bytes; a larger file gives size 0, which is no identity. */
static enum code read_copy(struct env *env, const char *path, uint8_t *out, size_t *out_size,
                           struct err *e)
{
    struct env_file *file = NULL;
    uint64_t size = 0;
    *out_size = 0;
    TRY(env->v->open(env, path, ENV_READ | ENV_UNCACHED, &file, e));
    enum code code = env->v->size(env, file, &size, e);
    if (code == OK && size <= IDENTITY_FILE_SIZE_MAX) {
        code = env->v->pread(env, file, 0, out, (size_t)size, out_size, e);
    }
    env->v->close(env, file);
    return code;
}

static enum code load_copy(struct env *env, const char *path, struct identity *out,
                           enum copy_state *out_state, struct err *e)
{
    size_t size = 0;
    uint8_t *bytes = malloc(IDENTITY_FILE_SIZE_MAX);
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory to read identity");
    enum code code = read_copy(env, path, bytes, &size, e);
    bool is_there = code != E_NOTFOUND;
    if (code == OK) {
        code = identity_decode(slice_of(bytes, size), out, e);
        *out_state = code == OK ? COPY_GOOD : COPY_BAD;
        if (code == E_CORRUPT) code = OK;
    }
    free(bytes);
    if (is_there) return code;
    *out_state = COPY_ABSENT;
    return OK;
}

enum code identity_load(struct env *env, struct identity *out, bool *out_found, struct err *e)
{
    struct identity *copies = calloc(2, sizeof(*copies));
    if (!copies) return ERR(e, E_NOMEMORY, "no memory to read identity");
    enum copy_state states[2] = {COPY_ABSENT, COPY_ABSENT};
    enum code code = load_copy(env, copy_paths[0], &copies[0], &states[0], e);
    if (code == OK) code = load_copy(env, copy_paths[1], &copies[1], &states[1], e);
    int best = -1;
    if (code != OK) goto out;
    for (int i = 0; i < 2; i++) {
        if (states[i] != COPY_GOOD) continue;
        if (best < 0 || copies[i].version > copies[best].version) best = i;
    }
    if (best >= 0) {
        *out = copies[best];
        *out_found = true;
    } else if (states[0] == COPY_BAD || states[1] == COPY_BAD) {
        /* A directory whose very first save was cut short holds one bad copy and nothing else; the
         * caller knows whether there is a log beside it. */
        code = ERR(e, E_CORRUPT,
                   "both copies of identity are damaged or missing; "
                   "restore one of identity.a and identity.b from a backup");
    } else {
        *out_found = false;
    }
out:
    free(copies);
    return code;
}

static enum code write_copy(struct env *env, const char *path, struct slice bytes, struct err *e)
{
    struct env_file *file = NULL;
    TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE, &file, e));
    enum code code = env->v->pwrite(env, file, 0, bytes, e);
    if (code == OK) code = env->v->truncate(env, file, bytes.size, e);
    if (code == OK && !PLANTED(29)) code = env->v->sync(env, file, e); /* both in flight at once */
    env->v->close(env, file);
    TRY(code);
    return env->v->sync_dir(env, ".", e);
}

/* A copy that is bad or behind is written first: the other one may be the only good one. */
static enum code write_copies(struct env *env, struct slice bytes, struct err *e)
{
    struct identity *copies = calloc(2, sizeof(*copies));
    if (!copies) return ERR(e, E_NOMEMORY, "no memory to save identity");
    enum copy_state states[2];
    enum code code = load_copy(env, copy_paths[0], &copies[0], &states[0], e);
    if (code == OK) code = load_copy(env, copy_paths[1], &copies[1], &states[1], e);
    bool is_second_worse = code == OK && states[0] == COPY_GOOD &&
                           (states[1] != COPY_GOOD || copies[1].version < copies[0].version);
    free(copies);
    TRY(code);
    TRY(write_copy(env, copy_paths[is_second_worse ? 1 : 0], bytes, e));
    return write_copy(env, copy_paths[is_second_worse ? 0 : 1], bytes, e);
}

enum code identity_save_now(struct env *env, struct identity *id, struct err *e)
{
    uint8_t *bytes = malloc(IDENTITY_FILE_SIZE_MAX);
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory to save identity");
    id->version++;
    size_t size = identity_encode(id, bytes);
    enum code code = write_copies(env, slice_of(bytes, size), e);
    free(bytes);
    return code;
}

struct saver_waiter {
    struct saver_waiter *next;
    identity_saved done;
    void *arg;
};

struct identity_saver {
    struct env *env;
    void *owner;
    struct env_job job;
    bool is_running;
    bool is_again;                /* a newer copy waits in `pending` */
    struct saver_waiter *waiters; /* of the running save */
    struct saver_waiter *later;   /* of the next one */
    uint8_t *bytes;
    size_t size;
    uint8_t *pending;
    size_t pending_size;
    enum code code;
};

struct identity_saver *identity_saver_new(struct env *env, void *owner)
{
    struct identity_saver *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->env = env;
    s->owner = owner;
    s->bytes = malloc(IDENTITY_FILE_SIZE_MAX);
    s->pending = malloc(IDENTITY_FILE_SIZE_MAX);
    if (s->bytes && s->pending) return s;
    identity_saver_free(s);
    return NULL;
}

static void free_waiters(struct saver_waiter *w)
{
    while (w) {
        struct saver_waiter *next = w->next;
        free(w);
        w = next;
    }
}

void identity_saver_free(struct identity_saver *s)
{
    if (!s) return;
    free_waiters(s->waiters);
    free_waiters(s->later);
    free(s->bytes);
    free(s->pending);
    free(s);
}

bool identity_saver_is_idle(const struct identity_saver *s)
{
    return !s->is_running;
}

static void saver_run(struct env_job *job)
{
    struct identity_saver *s = CONTAINER_OF(job, struct identity_saver, job);
    s->code = write_copies(s->env, slice_of(s->bytes, s->size), NULL);
}

static void saver_start(struct identity_saver *s);

static void saver_done(struct env_job *job)
{
    struct identity_saver *s = CONTAINER_OF(job, struct identity_saver, job);
    struct saver_waiter *w = s->waiters;
    enum code code = s->code;
    s->waiters = NULL;
    s->is_running = false;
    if (s->is_again) saver_start(s);
    while (w) { /* callbacks may request again or free nothing of ours */
        struct saver_waiter *next = w->next;
        if (w->done) w->done(s->owner, w->arg, code);
        free(w);
        w = next;
    }
}

static void saver_start(struct identity_saver *s)
{
    uint8_t *swap = s->bytes;
    s->bytes = s->pending;
    s->size = s->pending_size;
    s->pending = swap;
    s->waiters = s->later;
    s->later = NULL;
    s->is_again = false;
    s->is_running = true;
    s->job = (struct env_job){.run = saver_run, .done = saver_done};
    s->env->v->submit(s->env, LANE_BACKGROUND, &s->job);
}

void identity_saver_request(struct identity_saver *s, struct identity *id, identity_saved done,
                            void *arg)
{
    struct saver_waiter *w = calloc(1, sizeof(*w));
    if (!w) {
        if (done) done(s->owner, arg, E_NOMEMORY);
        return;
    }
    w->done = done;
    w->arg = arg;
    struct saver_waiter **end = &s->later;
    while (*end) {
        end = &(*end)->next;
    }
    *end = w;
    id->version++;
    s->pending_size = identity_encode(id, s->pending);
    s->is_again = true;
    if (!s->is_running) saver_start(s);
}

enum code mark_load(struct env *env, uint64_t log_key, struct mark *out, bool *out_found,
                    struct err *e)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    *out_found = false;
    enum code code = env_read_file(env, "mark", MARK_FILE_SIZE, &bytes, &size, e);
    if (code == E_NOTFOUND || code == E_LIMIT) return OK;
    TRY(code);
    *out_found = mark_decode(slice_of(bytes, size), log_key, out);
    free(bytes);
    return OK;
}
