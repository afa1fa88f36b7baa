/* slots_store: the file "slots". A save is a copy taken on the loop and a job that writes it. */
#include "engine/slots_store.h"

#include <stdlib.h>

#include "base/assert.h"

#define SLOTS_PATH "slots"

enum code slots_store_load(struct env *env, struct slots *table, uint64_t now_ns, struct err *e)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint32_t count = 0;
    struct err cause = {.code = OK};
    enum code code = env_read_file(env, SLOTS_PATH, SLOTFILE_SIZE_MAX, &bytes, &size, &cause);
    if (code == E_NOTFOUND) return OK;
    struct slot_record *records = calloc(SLOTS_MAX, sizeof(*records));
    if (code == OK && records == NULL) code = ERR(&cause, E_NOMEMORY, "no memory");
    if (code == OK) code = slotfile_decode(slice_of(bytes, size), records, &count, &cause);
    if (code == OK) {
        slots_load(table, records, count, now_ns);
    } else {
        slots_close(table);
        code = ERR(e, code,
                   "the slot catalogue cannot be read, so no log is pruned: %s; restore the file "
                   "slots, or remove it when no follower needs old records",
                   cause.text);
    }
    free(records);
    free(bytes);
    return code;
}

bool slots_store_exists(struct env *env)
{
    struct env_file *file = NULL;
    enum code code = env->v->open(env, SLOTS_PATH, ENV_READ, &file, NULL);
    env->v->close(env, file);
    return code != E_NOTFOUND;
}

enum code slots_store_init(struct slots_store *store, struct env *env,
                           void (*done)(void *arg, enum code code, const struct err *e), void *arg,
                           struct err *e)
{
    *store = (struct slots_store){.env = env, .done = done, .arg = arg};
    store->bytes = malloc(SLOTFILE_SIZE_MAX);
    if (store->bytes == NULL) return ERR(e, E_NOMEMORY, "no memory for the slot catalogue");
    return OK;
}

void slots_store_fini(struct slots_store *store)
{
    free(store->bytes);
    store->bytes = NULL;
}

static void save_run(struct env_job *job)
{
    struct slots_store *store = CONTAINER_OF(job, struct slots_store, job);
    store->code = env_write_file_durably(store->env, SLOTS_PATH,
                                         slice_of(store->bytes, store->size), &store->err);
}

static void save_done(struct env_job *job)
{
    struct slots_store *store = CONTAINER_OF(job, struct slots_store, job);
    store->is_saving = false;
    store->done(store->arg, store->code, &store->err);
}

void slots_store_save(struct slots_store *store, struct slots *table)
{
    _Static_assert(sizeof(struct slot_record) * SLOTS_MAX <= SLOTFILE_SIZE_MAX, "a copy fits");
    ASSERT(!store->is_saving);
    ASSERT(!table->is_closed);
    struct slot_record records[SLOTS_MAX];
    uint32_t count = slots_copy(table, records);
    store->size = slotfile_encode(records, count, store->bytes);
    store->is_saving = true;
    slots_save_begins(table);
    store->job = (struct env_job){.run = save_run, .done = save_done};
    store->env->v->submit(store->env, LANE_BACKGROUND, &store->job);
}
