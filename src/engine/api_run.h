/* api_run: one operation in a run of its own, waited for: what the waiting calls are made of. */
#ifndef TIDEMARK_ENGINE_API_RUN_H
#define TIDEMARK_ENGINE_API_RUN_H

#include "tidemark.h"

/* NULL, and *e filled: no memory. */
tide_run *api_run_new(struct tide_err *e);
/* Execute a run of one operation, or none when index < 0, and give its outcome; *out_result is
 * valid until the run is reset. */
enum tide_code api_execute_one(tide_db *db, tide_run *run, int32_t index,
                               const struct tide_result **out_result, struct tide_err *e);

/* The node behind the handle; only tasks posted to its env may touch it. For tests. */
struct db;
struct db *api_db(tide_db *db);

#endif
