/* api_results: waiting calls whose answer is larger than a number: it is owned by the caller, as
 * one piece of memory with everything it points to, until tide_result_free. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/api_error.h"
#include "engine/api_run.h"
#include "engine/run.h"

struct owned {
    struct tide_result result; /* what the caller has a pointer to */
    tide_run *run;             /* holds what the result points to */
    struct owned *self;        /* for freeing: the caller has a const pointer */
};

void tide_result_free(const struct tide_result *result)
{
    if (!result) return;
    struct owned *owned = CONTAINER_OF(result, const struct owned, result)->self;
    tide_run_free(owned->run);
    free(owned);
}

/* Execute the run and hand its result over; the run is freed on failure. */
static enum tide_code give(tide_db *db, tide_run *run, int32_t index,
                           const struct tide_result **out, struct tide_err *e)
{
    struct err err = {.code = OK};
    const struct tide_result *result = NULL;
    struct owned *owned = calloc(1, sizeof(*owned));
    enum tide_code code = TIDE_NOMEMORY;
    if (owned) {
        code = api_execute_one(db, run, index, &result, e);
    } else {
        (void)api_error(ERR(&err, E_NOMEMORY, "no memory for an answer"), &err, e);
    }
    if (code != TIDE_OK) {
        free(owned);
        tide_run_free(run);
        return code;
    }
    owned->result = *result;
    owned->run = run;
    owned->self = owned;
    *out = &owned->result;
    return TIDE_OK;
}

enum tide_code tide_retrieve(tide_db *db, const struct tide_retrieve *request,
                             const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return give(db, run, tide_run_retrieve(run, request), out, e);
}

enum tide_code tide_schema_show(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return give(db, run, tide_run_schema_show(run), out, e);
}

enum tide_code tide_metrics(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return give(db, run, tide_run_metrics(run), out, e);
}

enum tide_code tide_status(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return give(db, run, tide_run_status(run), out, e);
}

enum tide_code tide_members(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return give(db, run, tide_run_members(run), out, e);
}

enum tide_code tide_plan(tide_db *db, const char *what, const char *argument,
                         const struct tide_result **out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    struct tide_bytes about = {argument, argument ? strlen(argument) : 0};
    int32_t index = tide_run_plan(run, (struct tide_bytes){what, strlen(what)}, about);
    return give(db, run, index, out, e);
}

enum tide_code tide_slots(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    return tide_status(db, out, e);
}

enum tide_code tide_replicas(tide_db *db, const struct tide_result **out, struct tide_err *e)
{
    const struct tide_result *all = NULL;
    struct err err = {.code = OK};
    enum tide_code code = tide_status(db, &all, e);
    if (code != TIDE_OK) return code;
    struct owned *owned = CONTAINER_OF(all, const struct owned, result)->self;
    const struct tide_status *from = all->as.status;
    struct tide_status *status = run_take(owned->run, sizeof(*status));
    struct tide_follower_status *connected =
        run_take(owned->run, (from->follower_count + 1) * sizeof(*connected));
    if (!status || !connected) {
        tide_result_free(all);
        return api_error(ERR(&err, E_NOMEMORY, "no memory for an answer"), &err, e);
    }
    *status = *from;
    status->followers = connected;
    status->follower_count = 0;
    for (uint32_t i = 0; i < from->follower_count; i++) {
        if (from->followers[i].is_connected) {
            connected[status->follower_count++] = from->followers[i];
        }
    }
    owned->result.as.status = status;
    *out = all;
    return TIDE_OK;
}
