/* read: see read.h. */
#include "engine/read.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "core/query/trend.h"
#include "core/state/schema.h"
#include "engine/checkpoint.h"
#include "engine/clock.h"
#include "engine/plan.h"
#include "engine/read_entity.h"
#include "engine/read_items.h"
#include "engine/role.h"
#include "engine/ship_slots.h"
#include "engine/status.h"
#include "engine/transport.h"
#include "engine/voters.h"

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

int64_t read_time_or_now(struct db *db, int64_t at_ms)
{
    return at_ms != 0 ? at_ms : clock_now_ms(db);
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

static const struct window_name {
    uint8_t bit;
    const char *name;
} window_names[] = {{WINDOW_1H, "1h"},
                    {WINDOW_24H, "24h"},
                    {WINDOW_7D, "7d"},
                    {WINDOW_30D, "30d"},
                    {WINDOW_ALL, "all"}};

/* Does the type count this window? All-time counts are kept for every type. */
static enum code check_window(const struct signal_type *type, const struct window_name *window,
                              struct err *e)
{
    if (window->bit == WINDOW_ALL || (type->windows & window->bit) != 0) return OK;
    return ERR(e, E_SCHEMA, "signal type \"%s\" does not declare the window %s", type->name,
               window->name);
}

static enum code find_window(const struct signal_type *type, struct slice name, uint8_t *out,
                             struct err *e)
{
    for (size_t i = 0; i < COUNT_OF(window_names); i++) {
        if (!text_equal_nocase(name, window_names[i].name)) continue;
        *out = window_names[i].bit;
        return check_window(type, &window_names[i], e);
    }
    char shown[40];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, name, 16);
    return ERR(e, E_INVALID, "unknown window '%s': 1h, 24h, 7d, 30d or all", shown);
}

static enum code do_count(struct db *db, struct op *op, struct err *e)
{
    const struct signal_type *type;
    uint8_t window;
    TRY(find_type(db, op->entry.type, &type, e));
    TRY(check_item(op->entry.item, e));
    TRY(find_window(type, op->entry.user, &window, e));
    uint32_t item = state_item_find(db->state, op->entry.item);
    op->result.kind = TIDE_RESULT_INTEGER;
    op->result.as.integer =
        item == ITEM_NONE ? 0 : state_count_window(db->state, type->id, item, window);
    return OK;
}

static enum code do_rate(struct db *db, struct op *op, struct err *e)
{
    const struct signal_type *type;
    TRY(find_type(db, op->entry.type, &type, e));
    TRY(check_item(op->entry.item, e));
    if (type->halflife_count == 0) {
        return ERR(e, E_SCHEMA, "signal type \"%s\" has no half-life", type->name);
    }
    uint32_t item = state_item_find(db->state, op->entry.item);
    int64_t at_ms = read_time_or_now(db, op->entry.at_ms);
    double score = item == ITEM_NONE ? 0 : state_score(db->state, type->id, item, 0, at_ms);
    op->result.kind = TIDE_RESULT_DOUBLE;
    op->result.as.number = trend_rate(score, type->halflives_ms[0]);
    return OK;
}

/* The type's shortest and longest half-life; equal when it has only one. */
static void find_halflives(const struct signal_type *type, uint32_t *out_fast, uint32_t *out_slow)
{
    *out_fast = 0;
    *out_slow = 0;
    for (uint32_t i = 1; i < type->halflife_count; i++) {
        if (type->halflives_ms[i] < type->halflives_ms[*out_fast]) *out_fast = i;
        if (type->halflives_ms[i] > type->halflives_ms[*out_slow]) *out_slow = i;
    }
}

static struct decayed decayed_of(const struct db *db, const struct signal_type *type, uint32_t item,
                                 uint32_t halflife, int64_t at_ms)
{
    return (struct decayed){.score = state_score(db->state, type->id, item, halflife, at_ms),
                            .halflife_ms = type->halflives_ms[halflife]};
}

static enum code do_trend(struct db *db, struct op *op, struct err *e)
{
    const struct signal_type *type;
    TRY(find_type(db, op->entry.type, &type, e));
    TRY(check_item(op->entry.item, e));
    uint32_t item = state_item_find(db->state, op->entry.item);
    int64_t at_ms = read_time_or_now(db, op->entry.at_ms);
    uint32_t fast;
    uint32_t slow;
    find_halflives(type, &fast, &slow);
    op->result.kind = TIDE_RESULT_DOUBLE;
    if (fast != slow) {
        if (item == ITEM_NONE) return OK; /* 0 */
        op->result.as.number = trend_of_sums(decayed_of(db, type, item, fast, at_ms),
                                             decayed_of(db, type, item, slow, at_ms));
        return OK;
    }
    uint8_t hour;
    uint8_t day;
    TRY(find_window(type, slice_of_text("1h"), &hour, e));
    TRY(find_window(type, slice_of_text("24h"), &day, e));
    if (item == ITEM_NONE) return OK;
    op->result.as.number = trend_of_counts(state_count_window(db->state, type->id, item, hour),
                                           state_count_window(db->state, type->id, item, day));
    return OK;
}

static const char *mode_text(uint8_t mode)
{
    if (mode == SIGNAL_MODE_COUNT) return "count";
    return mode == SIGNAL_MODE_ONCE ? "once" : "latest";
}

static void describe_type(struct text *t, const struct signal_type *type)
{
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
    for (size_t i = 0; i < COUNT_OF(window_names); i++) {
        if (!(type->windows & window_names[i].bit)) continue;
        text_add(t, "%s%s", is_first ? "" : ",", window_names[i].name);
        is_first = false;
    }
    text_add(t, " MODE %s POLARITY %s\n", mode_text(type->mode),
             type->polarity == POLARITY_NEGATIVE ? "-" : "+");
}

static enum code do_schema_show(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    uint32_t count = state_type_count(db->state);
    uint32_t field_count = state_field_count(db->state);
    size_t capacity = 256 * ((size_t)count + field_count + 1);
    char *bytes = run_take(run, capacity);
    if (!bytes) return no_memory(e);
    struct text t = text_of(bytes, capacity);
    for (uint32_t id = 1; id <= count; id++) {
        describe_type(&t, state_type_by_id(db->state, id));
    }
    for (uint32_t id = 1; id <= field_count; id++) {
        const struct schema_field *field = state_field_by_id(db->state, id);
        text_add(&t, "FIELD %s %s\n", field->name, schema_field_kind_name(field->kind));
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
    case OP_RATE: return do_rate(db, op, e);
    case OP_TREND: return do_trend(db, op, e);
    case OP_ENTITY_GET: return read_entity(db, run, op, e);
    case OP_SCHEMA_SHOW: return do_schema_show(db, run, op, e);
    case OP_PRODUCER: do_producer(db, op); return OK;
    case OP_POSITION:
        op->result.kind = TIDE_RESULT_POSITION;
        op->result.as.position = read_position(&at);
        return OK;
    case OP_ITEMS:
        op->result.kind = TIDE_RESULT_INTEGER;
        op->result.as.integer = state_item_live_count(db->state);
        return OK;
    default: break;
    }
    UNREACHABLE();
}

/* Can this operation be answered from the state? Where apply stopped in the middle of a batch, part
 * of that batch is in there: it is the state of no position, and only the position may be asked
 * for. Where it stopped before the batch changed anything, reads go on. */
static enum code check_state(const struct db *db, const struct op *op, struct err *e)
{
    if (!db->state && db->condition == DB_HALTED) return ERR(e, E_HALTED, "%s", db->reason.text);
    if (!db->state) {
        return ERR(e, E_LOADING, "this follower has not reached its leader yet and holds nothing");
    }
    bool is_nothing = !db_is_leader(db) && state_position(db->state).seqno.v == 0;
    if (is_nothing) return ERR(e, E_LOADING, "this follower holds nothing yet");
    if (db->condition == DB_DIVERGED && op->kind != OP_POSITION) {
        return ERR(e, E_DIVERGED, "%s; it repairs itself: ask another node", db->reason.text);
    }
    if (!state_is_whole(db->state) && op->kind != OP_POSITION) {
        return ERR(e, E_HALTED, "%s", db->reason.text);
    }
    return OK;
}

/* What may change while the node runs. */
static enum code configure_op(struct db *db, const struct op *op, struct err *e)
{
    struct config wanted;
    TRY(config_from_options(op->more, &wanted, e));
    config_take_live(&db->config, &wanted);
    if (db->checkpointer) checkpointer_interval_changed(db->checkpointer);
    return OK;
}

bool read_op(struct db *db, struct tide_run *run, struct op *op)
{
    struct err e = {.code = OK};
    op->result = (struct tide_result){0};
    enum code code;
    switch ((enum op_kind)op->kind) {
    case OP_STATUS: code = status_op(db, run, op, &e); break;
    case OP_METRICS: code = metrics_op(db, run, op, &e); break;
    case OP_REPLICATE:
    case OP_LISTEN: code = transport_op(db, op, &e); break;
    case OP_PROMOTE:
    case OP_FOLLOW:
    case OP_HANDOVER: return role_op(db, run, op);
    case OP_CLOCK: code = clock_op(db, op, &e); break;
    case OP_RETRIEVE:
        code = check_state(db, op, &e);
        if (code == OK) return read_items(db, run, op);
        break;
    case OP_CONFIGURE: code = configure_op(db, op, &e); break;
    case OP_MEMBERS: code = voters_op(db, run, op, &e); break;
    case OP_PLAN: return plan_op(db, run, op);
    case OP_SLOT_DROP:
    case OP_SLOT_RENAME:
        code = ship_slots_op(db, run, op, &e);
        if (code == OK) return false;
        break;
    case OP_DIGEST:
    case OP_CHECKPOINT:
    case OP_LOG_SEAL:
        code = check_state(db, op, &e);
        if (code == OK) return checkpoint_op(db, run, op);
        break;
    default:
        code = check_state(db, op, &e);
        if (code == OK) code = do_short(db, run, op, &e);
    }
    if (code != OK) read_fail(run, op, &e);
    return true;
}
