/* read: see read.h. */
#include "engine/read.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/checkpoint.h"
#include "engine/read_items.h"
#include "engine/status.h"

void read_fail(struct tide_run *run, struct op *op, const struct err *e)
{
    size_t size = strlen(e->text) + 1;
    char *message = run_take(run, size);
    if (message) memcpy(message, e->text, size);
    op->result = (struct tide_result){
        .code = (enum tide_code)e->code,
        .message = message ? message : "no memory for the error's text",
    };
}

static enum code no_memory(struct err *e)
{
    return ERR(e, E_NOMEMORY, "no memory for the answer");
}

struct tide_position read_position(const struct position *p)
{
    struct tide_position out = {.epoch = p->epoch, .seqno = p->seqno.v};
    memcpy(out.chain4, p->chain.bytes, sizeof(out.chain4));
    return out;
}

int64_t read_time_or_now(const struct db *db, int64_t at_ms)
{
    return at_ms != 0 ? at_ms : db->env->v->now_wall_ms(db->env);
}

static enum code find_type(const struct db *db, struct slice name, const struct signal_type **out,
                           struct err *e)
{
    *out = state_type_by_name(db->state, name);
    if (*out) return OK;
    char shown[80];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, name, 40);
    return ERR(e, E_SCHEMA, "unknown signal type \"%s\"; declare it with SCHEMA.SIGNAL", shown);
}

static enum code check_item(struct slice item, struct err *e)
{
    if (item.size >= 1 && item.size <= KEY_SIZE_MAX) return OK;
    return ERR(e, E_LIMIT, "the item key has %zu bytes; 1 to %d are allowed", item.size,
               KEY_SIZE_MAX);
}

static enum code do_score(struct db *db, struct op *op, struct err *e)
{
    const struct signal_type *type;
    TRY(find_type(db, op->entry.type, &type, e));
    TRY(check_item(op->entry.item, e));
    uint32_t item = state_item_find(db->state, op->entry.item);
    int64_t at_ms = read_time_or_now(db, op->entry.at_ms);
    op->result.kind = TIDE_RESULT_DOUBLE;
    op->result.as.number = item == ITEM_NONE ? 0 : state_score(db->state, type->id, item, 0, at_ms);
    return OK;
}

static enum code do_count(struct db *db, struct op *op, struct err *e)
{
    const struct signal_type *type;
    TRY(find_type(db, op->entry.type, &type, e));
    TRY(check_item(op->entry.item, e));
    struct slice window = op->entry.user;
    if (!text_equal_nocase(window, "all")) {
        char shown[40];
        struct text t = text_of(shown, sizeof(shown));
        text_add_escaped(&t, window, 16);
        return ERR(e, E_UNSUPPORTED, "window \"%s\" is not in this version; it has: all", shown);
    }
    uint32_t item = state_item_find(db->state, op->entry.item);
    op->result.kind = TIDE_RESULT_INTEGER;
    op->result.as.integer = item == ITEM_NONE ? 0 : state_count_all(db->state, type->id, item);
    return OK;
}

static const char *mode_text(uint8_t mode)
{
    if (mode == SIGNAL_MODE_COUNT) return "count";
    return mode == SIGNAL_MODE_ONCE ? "once" : "latest";
}

static void describe_type(struct text *t, const struct signal_type *type)
{
    static const struct {
        uint8_t bit;
        const char *name;
    } windows[] = {{WINDOW_1H, "1h"},
                   {WINDOW_24H, "24h"},
                   {WINDOW_7D, "7d"},
                   {WINDOW_30D, "30d"},
                   {WINDOW_ALL, "all"}};
    text_add(t, "%s HALFLIFE ", type->name);
    for (uint8_t i = 0; i < type->halflife_count; i++) {
        uint64_t ms = type->halflives_ms[i];
        const char *comma = i > 0 ? "," : "";
        if (ms % 86400000 == 0) {
            text_add(t, "%s%llud", comma, (unsigned long long)(ms / 86400000));
        } else if (ms % 3600000 == 0) {
            text_add(t, "%s%lluh", comma, (unsigned long long)(ms / 3600000));
        } else if (ms % 1000 == 0) {
            text_add(t, "%s%llus", comma, (unsigned long long)(ms / 1000));
        } else {
            text_add(t, "%s%llums", comma, (unsigned long long)ms);
        }
    }
    text_add(t, " WINDOWS ");
    bool is_first = true;
    for (size_t i = 0; i < COUNT_OF(windows); i++) {
        if (!(type->windows & windows[i].bit)) continue;
        text_add(t, "%s%s", is_first ? "" : ",", windows[i].name);
        is_first = false;
    }
    text_add(t, " MODE %s POLARITY %s\n", mode_text(type->mode),
             type->polarity == POLARITY_NEGATIVE ? "-" : "+");
}

static enum code do_schema_show(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    uint32_t count = state_type_count(db->state);
    size_t capacity = 256 * ((size_t)count + 1);
    char *bytes = run_take(run, capacity);
    if (!bytes) return no_memory(e);
    struct text t = text_of(bytes, capacity);
    for (uint32_t id = 1; id <= count; id++) {
        describe_type(&t, state_type_by_id(db->state, id));
    }
    op->result.kind = TIDE_RESULT_TEXT;
    op->result.as.text = (struct tide_bytes){t.data, t.size};
    return OK;
}

static void do_producer(struct db *db, struct op *op)
{
    uint64_t number = 0;
    struct write_ref where;
    (void)state_producer_find(db->state, op->producer, &number, &where); /* unknown: 0 */
    op->result.kind = TIDE_RESULT_INTEGER;
    op->result.as.integer = number;
}

/* Operations that need the state and answer at once. */
static enum code do_short(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    struct position at = state_position(db->state);
    switch ((enum op_kind)op->kind) {
    case OP_SCORE: return do_score(db, op, e);
    case OP_COUNT: return do_count(db, op, e);
    case OP_RETRIEVE: return read_items(db, run, op, e);
    case OP_SCHEMA_SHOW: return do_schema_show(db, run, op, e);
    case OP_PRODUCER: do_producer(db, op); return OK;
    case OP_POSITION:
        op->result.kind = TIDE_RESULT_POSITION;
        op->result.as.position = read_position(&at);
        return OK;
    case OP_ITEMS:
        op->result.kind = TIDE_RESULT_INTEGER;
        op->result.as.integer = state_item_count(db->state);
        return OK;
    default: break;
    }
    UNREACHABLE();
}

bool read_op(struct db *db, struct tide_run *run, struct op *op)
{
    struct err e = {.code = OK};
    op->result = (struct tide_result){0};
    enum code code;
    switch ((enum op_kind)op->kind) {
    case OP_STATUS: code = status_op(db, run, op, &e); break;
    case OP_METRICS: code = metrics_op(db, run, op, &e); break;
    case OP_DIGEST:
    case OP_CHECKPOINT:
    case OP_LOG_SEAL:
        if (db->state) return checkpoint_op(db, run, op);
        code = ERR(&e, E_LOADING, "this follower has not reached its leader yet and holds nothing");
        break;
    default:
        if (db->state) {
            code = do_short(db, run, op, &e);
        } else {
            code = ERR(&e, E_LOADING,
                       "this follower has not reached its leader yet and holds nothing");
        }
    }
    if (code != OK) read_fail(run, op, &e);
    return true;
}
