/* docs: see docs.h. */
#include "sim/docs.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/run.h"

#define NO_WRITE UINT32_MAX

void docs_draw(struct cluster *c, uint32_t write)
{
    uint64_t how = world_draw_range(&c->world, STREAM_CLIENT, 0, 9);
    struct model_change *change = &c->model.writes[write].change;
    change->kind = how < 6 ? CHANGE_PUT : CHANGE_UNSET;
    if (how == 9) change->kind = CHANGE_DELETE;
    change->doc = (uint8_t)world_draw_range(&c->world, STREAM_CLIENT, 0, MODEL_DOCS - 1);
    change->field = (uint8_t)world_draw_range(&c->world, STREAM_CLIENT, 0, MODEL_DOC_FIELDS - 1);
    c->world.coverage.changes++;
}

static struct tide_bytes take_text(struct client_run *r, const char *word, uint32_t number)
{
    char *bytes = client_run_piece(r, MODEL_KEY_SIZE);
    int size = snprintf(bytes, MODEL_KEY_SIZE, "%s%" PRIu32, word, number);
    return (struct tide_bytes){.data = bytes, .size = (size_t)size};
}

int32_t docs_add(struct client_run *r, uint32_t write, struct tide_bytes key)
{
    const struct model_change *change = &r->cluster->model.writes[write].change;
    struct tide_write_options options = {.key = key};
    struct tide_bytes doc = take_text(r, "doc-", change->doc);
    if (change->kind == CHANGE_DELETE) return tide_run_item_delete(r->run, doc, &options);
    struct tide_field field = {.name = take_text(r, "f", change->field)};
    if (change->kind == CHANGE_PUT) {
        field.kind = TIDE_VALUE_TEXT;
        field.text = take_text(r, "k", write);
    }
    struct tide_put put = {.key = doc, .fields = &field, .field_count = 1};
    return tide_run_item_put(r->run, &put, &options);
}

void docs_read(struct client_run *r, uint8_t doc)
{
    if (client_run_is_full(r)) return;
    struct tide_bytes names[MODEL_DOC_FIELDS];
    for (uint32_t i = 0; i < MODEL_DOC_FIELDS; i++) {
        names[i] = take_text(r, "f", i);
    }
    int32_t index = tide_run_item_get(r->run, take_text(r, "doc-", doc), names, MODEL_DOC_FIELDS);
    client_run_slot(r, SLOT_DOC, index)->item = doc;
}

/* --- judging --- */

/* What is known of the changes of one field, looked at from a node. */
struct field_view {
    uint32_t must;       /* the latest change that the node has applied; NO_WRITE */
    bool may_be_removed; /* by one that it may have applied */
};

static bool is_after(const struct model *m, uint32_t a, uint32_t b)
{
    uint64_t x = m->writes[a].where.seqno;
    uint64_t y = m->writes[b].where.seqno;
    return x != y ? x > y : a > b;
}

static struct field_view view_of(const struct model *m, uint8_t doc, uint8_t field, uint64_t from,
                                 uint64_t to)
{
    struct field_view view = {.must = NO_WRITE};
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        const struct model_change *change = &w->change;
        if (change->kind == CHANGE_NONE || change->doc != doc) continue;
        if (change->kind != CHANGE_DELETE && change->field != field) continue;
        if (w->state == WRITE_ACKED && w->where.seqno <= from) {
            if (view.must == NO_WRITE || is_after(m, i, view.must)) view.must = i;
        } else if (change->kind != CHANGE_PUT && model_may_show(w, to)) {
            view.may_be_removed = true;
        }
    }
    return view;
}

/* The write that a value names; NO_WRITE: it names none. */
static uint32_t write_of(const struct model *m, struct tide_bytes text)
{
    uint64_t number = 0;
    struct slice digits = slice_of((const uint8_t *)text.data + 1, text.size - 1);
    if (text.size < 2 || !parse_u64(digits, &number) || number >= m->write_count) return NO_WRITE;
    return (uint32_t)number;
}

static void judge_field(struct client_run *r, uint8_t doc, uint8_t field,
                        const struct tide_field *value, uint64_t from, uint64_t to)
{
    const struct model *m = &r->cluster->model;
    struct world *world = &r->cluster->world;
    struct field_view view = view_of(m, doc, field, from, to);
    bool must_be_there = view.must != NO_WRITE && m->writes[view.must].change.kind == CHANGE_PUT;
    world->coverage.reads++;
    if (value->kind == TIDE_VALUE_NONE) {
        if (!must_be_there || view.may_be_removed) return;
        world_fail(world, "lost",
                   "node %u at %" PRIu64 "..%" PRIu64
                   " shows no f%u of doc-%u, which k%u put at %" PRIu64,
                   r->node, from, to, field, doc, view.must, m->writes[view.must].where.seqno);
        return;
    }
    uint32_t shown = write_of(m, value->text);
    const struct model_write *w = shown != NO_WRITE ? &m->writes[shown] : NULL;
    bool is_its_own = w != NULL && w->change.kind == CHANGE_PUT && w->change.doc == doc &&
                      w->change.field == field;
    if (!is_its_own || !model_may_show(w, to)) {
        world_fail(world, "honesty",
                   "node %u at %" PRIu64 "..%" PRIu64 " shows %.*s as f%u of doc-%u", r->node, from,
                   to, (int)value->text.size, (const char *)value->text.data, field, doc);
        return;
    }
    bool is_old = w->state == WRITE_ACKED && view.must != NO_WRITE && view.must != shown &&
                  !is_after(m, shown, view.must);
    if (!is_old) return;
    world_fail(world, "lost",
               "node %u at %" PRIu64 "..%" PRIu64
               " shows k%u as f%u of doc-%u, but k%u came later at %" PRIu64,
               r->node, from, to, shown, field, doc, view.must, m->writes[view.must].where.seqno);
}

void docs_judge(struct client_run *r, uint64_t from, uint64_t to)
{
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        const struct tide_result *result = tide_run_result(r->run, i);
        if (slot->kind != SLOT_DOC || result->code != TIDE_OK) continue;
        for (uint8_t field = 0; field < MODEL_DOC_FIELDS; field++) {
            judge_field(r, slot->item, field, &result->as.entity.fields[field], from, to);
        }
    }
}
