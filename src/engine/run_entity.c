/* run_entity: operations on items, users and creators as they are added to a run. Nothing is judged
 * here. */
#include <stdlib.h>

#include "core/state/entities.h"
#include "engine/run.h"

static struct slice slice_from(struct tide_bytes b)
{
    return slice_of(b.data, b.size);
}

/* An operation with room for so many fields. NULL: it was not added. */
static struct op *add(tide_run *run, enum op_kind op_kind, enum entity_kind kind, uint32_t count,
                      int32_t *out_index)
{
    *out_index = -1;
    struct op_entity *more = calloc(1, sizeof(*more) + (size_t)count * sizeof(struct tide_field));
    if (!more) return NULL;
    struct op *op = run_add(run, op_kind, out_index);
    if (!op) {
        free(more);
        return NULL;
    }
    more->kind = (uint8_t)kind;
    more->count = count;
    op->more = more;
    return op;
}

static int32_t add_put(tide_run *run, enum entity_kind kind, const struct tide_put *put,
                       const struct tide_write_options *options)
{
    int32_t index;
    struct op *op = add(run, OP_ENTITY_PUT, kind, put->field_count, &index);
    if (!op) return -1;
    struct op_entity *more = op->more;
    for (uint32_t i = 0; i < put->field_count; i++) {
        more->fields[i] = put->fields[i];
    }
    op->entry.item = slice_from(put->key);
    op->entry.user = slice_from(put->creator);
    op->entry.at_ms = put->at_ms;
    run_take_options(op, options);
    return index;
}

static int32_t add_get(tide_run *run, enum entity_kind kind, struct tide_bytes key,
                       const struct tide_bytes *names, uint32_t count)
{
    int32_t index;
    struct op *op = add(run, OP_ENTITY_GET, kind, count, &index);
    if (!op) return -1;
    struct op_entity *more = op->more;
    for (uint32_t i = 0; i < count; i++) {
        more->fields[i].name = names[i];
    }
    op->entry.item = slice_from(key);
    return index;
}

int32_t tide_run_item_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, ENTITY_ITEM, put, options);
}

int32_t tide_run_user_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, ENTITY_USER, put, options);
}

int32_t tide_run_creator_put(tide_run *run, const struct tide_put *put,
                             const struct tide_write_options *options)
{
    return add_put(run, ENTITY_CREATOR, put, options);
}

int32_t tide_run_item_delete(tide_run *run, struct tide_bytes key,
                             const struct tide_write_options *options)
{
    int32_t index;
    struct op *op = add(run, OP_ENTITY_DELETE, ENTITY_ITEM, 0, &index);
    if (!op) return -1;
    op->entry.item = slice_from(key);
    run_take_options(op, options);
    return index;
}

int32_t tide_run_item_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, ENTITY_ITEM, key, names, name_count);
}

int32_t tide_run_user_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, ENTITY_USER, key, names, name_count);
}

int32_t tide_run_creator_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                             uint32_t name_count)
{
    return add_get(run, ENTITY_CREATOR, key, names, name_count);
}
