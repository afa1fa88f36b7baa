/* read_items: RETRIEVE: a profile's name, options and perhaps a cursor in; a page of items with the
 * cursor of the next one out. Answers at once, on the loop. */
#ifndef TIDEMARK_ENGINE_READ_ITEMS_H
#define TIDEMARK_ENGINE_READ_ITEMS_H

#include "engine/db.h"

/* Fill op->result; its memory is the run's. db->state is not NULL. */
MUST_CHECK enum code read_items(struct db *db, struct tide_run *run, struct op *op, struct err *e);

#endif
