/* slots_store: the catalogue of followers on disk, the file "slots": read once at open, replaced by
 * durable rename in the background, one save at a time. When to save is decided by core/slots.
 * Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_SLOTS_STORE_H
#define TIDEMARK_ENGINE_SLOTS_STORE_H

#include "core/slots.h"
#include "env/env.h"

struct slots_store {
    struct env *env;
    void (*done)(void *arg, enum code code, const struct err *e);
    void *arg;
    bool is_saving;
    /* the save that runs */
    struct env_job job;
    uint8_t *bytes; /* SLOTFILE_SIZE_MAX */
    size_t size;
    enum code code;
    struct err err;
};

/* Fill the table from the file. Absent: an empty table, OK. Any other failure closes the table
 * (nothing may be pruned), is returned and says what to do; the leader serves on. Blocks. */
MUST_CHECK enum code slots_store_load(struct env *env, struct slots *table, uint64_t now_ns,
                                      struct err *e);

/* Is there a catalogue? Also when it cannot be asked. Blocks. */
bool slots_store_exists(struct env *env);

/* done is called on the loop after each save. E_NOMEMORY. */
MUST_CHECK enum code slots_store_init(struct slots_store *store, struct env *env,
                                      void (*done)(void *arg, enum code code, const struct err *e),
                                      void *arg, struct err *e);
/* Not while a save runs, unless its job will never run again. */
void slots_store_fini(struct slots_store *store);
/* Save the table as it is now; not while one is being saved. */
void slots_store_save(struct slots_store *store, struct slots *table);

#endif
