/* read_entity: answers what is known of an item, user or creator. Loop thread. */
#ifndef TIDEMARK_ENGINE_READ_ENTITY_H
#define TIDEMARK_ENGINE_READ_ENTITY_H

#include "engine/db.h"

/* OP_ENTITY_GET; db->state is there. */
MUST_CHECK enum code read_entity(struct db *db, struct tide_run *run, struct op *op, struct err *e);

#endif
