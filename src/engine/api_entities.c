/* api_entities: the waiting calls about items, users and creators. */
#include "engine/api_run.h"
#include "engine/run.h"

typedef int32_t (*add_put)(tide_run *run, const struct tide_put *put,
                           const struct tide_write_options *options);
typedef int32_t (*add_get)(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                           uint32_t name_count);

/* Of a run that was made for one write. */
static enum tide_code finish_write(tide_db *db, tide_run *run, int32_t index,
                                   struct tide_position *out, struct tide_err *e)
{
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

static enum tide_code write_put(tide_db *db, add_put add, const struct tide_put *put,
                                struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return finish_write(db, run, add(run, put, NULL), out, e);
}

static enum tide_code read_one(tide_db *db, tide_run *run, add_get add, struct tide_bytes key,
                               struct tide_entity *out, struct tide_err *e)
{
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, add(run, key, NULL, 0), &result, e);
    if (code == TIDE_OK) *out = result->as.entity;
    return code;
}

enum tide_code tide_item_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                             struct tide_err *e)
{
    return write_put(db, tide_run_item_put, put, out, e);
}

enum tide_code tide_user_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                             struct tide_err *e)
{
    return write_put(db, tide_run_user_put, put, out, e);
}

enum tide_code tide_creator_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                                struct tide_err *e)
{
    return write_put(db, tide_run_creator_put, put, out, e);
}

enum tide_code tide_item_delete(tide_db *db, struct tide_bytes key, struct tide_position *out,
                                struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return finish_write(db, run, tide_run_item_delete(run, key, NULL), out, e);
}

enum tide_code tide_item_get(tide_db *db, tide_run *run, struct tide_bytes key,
                             struct tide_entity *out, struct tide_err *e)
{
    return read_one(db, run, tide_run_item_get, key, out, e);
}

enum tide_code tide_user_get(tide_db *db, tide_run *run, struct tide_bytes key,
                             struct tide_entity *out, struct tide_err *e)
{
    return read_one(db, run, tide_run_user_get, key, out, e);
}

enum tide_code tide_creator_get(tide_db *db, tide_run *run, struct tide_bytes key,
                                struct tide_entity *out, struct tide_err *e)
{
    return read_one(db, run, tide_run_creator_get, key, out, e);
}
