/* generation: which copy of the data counts. A bootstrap makes a new copy of the state beside the
 * old one: packs and a manifest whose generation is one above identity's. When that manifest is
 * durable, everything it names is; what is left is one save of identity, in which generation, log
 * base, registered segments and history id move together:
 *
 *   new packs durable - new manifest durable | identity saved | old manifests, packs, segments go
 *              opens as the old copy         |     opens as the new copy
 *
 * The switch is made while opening, so a crash at any point of it is finished by the next open
 * (test_generation.c tries every file call). What is removed is removed only after the new copy was
 * loaded. Blocks; only while opening, with the directory locked. */
#ifndef TIDEMARK_ENGINE_GENERATION_H
#define TIDEMARK_ENGINE_GENERATION_H

#include "engine/checkpoint_file.h"
#include "env/env.h"
#include "format/identity.h"

/* Is a whole copy of the next generation there? Then *id is switched to it and saved. The new
 * history id is random. */
MUST_CHECK enum code generation_settle(struct env *env, struct identity *id, bool *out_switched,
                                       struct err *e);
/* The state of this generation was loaded: remove what belongs to others. Failures are harmless:
 * the next open tries again. */
void generation_clean(struct env *env, const struct identity *id);

#endif
