/* identity_store: loading and saving the two identity copies and the mark. The struct in memory
 * belongs to db; this file moves it to disk: each copy is written and synced before the other is
 * touched, so one is good at every moment. */
#ifndef TIDEMARK_ENGINE_IDENTITY_STORE_H
#define TIDEMARK_ENGINE_IDENTITY_STORE_H

#include "env/env.h"
#include "format/identity.h"

/* *out_found false: neither file exists (a new directory). One bad copy is tolerated; two are
 * E_CORRUPT; a newer format is E_FORMAT. Blocks. */
MUST_CHECK enum code identity_load(struct env *env, struct identity *out, bool *out_found,
                                   struct err *e);
/* Bump the version and write both copies. Blocks; for open and close. */
MUST_CHECK enum code identity_save_now(struct env *env, struct identity *id, struct err *e);

/* The saver behind db_save_identity: one job at a time, later requests share the next one. */
struct identity_saver;
typedef void (*identity_saved)(void *owner, void *arg, enum code code);
struct identity_saver *identity_saver_new(struct env *env, void *owner); /* NULL: no memory */
void identity_saver_free(struct identity_saver *s);
/* Copy *id now (bumping its version), write it on the background lane. done may be NULL. */
void identity_saver_request(struct identity_saver *s, struct identity *id, identity_saved done,
                            void *arg);
bool identity_saver_is_idle(const struct identity_saver *s);

/* Newest valid slot of the file "mark"; *out_found false when there is none or no file. Blocks. */
MUST_CHECK enum code mark_load(struct env *env, uint64_t log_key, struct mark *out, bool *out_found,
                               struct err *e);

#endif
