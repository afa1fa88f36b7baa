/* expr: see expr.h. Operators wait on a small stack until one that binds less tightly comes
 * (Dijkstra's shunting yard); what leaves the stack is a step of the program. The parser is always
 * in one of two places: before a condition or behind one. */
#include "core/query/expr.h"

#include <math.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"
#include "core/query/expr_token.h"
#include "core/state/inside.h"

/* Waiting operators, the tighter the larger. */
enum waiting { WAITING_OPEN, WAITING_OR, WAITING_AND, WAITING_NOT };

struct parser {
    struct expr_lexer lexer;
    struct expr_token token; /* the one looked at */
    const struct state *state;
    struct filter *filter;
    struct err *e;
    uint32_t depth; /* masks on the program's stack after the steps so far */
    uint32_t waiting_count;
    struct {
        uint8_t what; /* enum waiting */
        size_t position;
    } waiting[EXPR_NEST_MAX];
};

/* What a word in front of a comparison names. */
enum subject { SUBJECT_FIELD, SUBJECT_CREATOR, SUBJECT_CREATED };
struct operand_field {
    enum subject subject;
    uint8_t kind; /* enum schema_field_kind; of creator tag, of created_at time */
    uint32_t id;
    char name[FIELD_NAME_SIZE_MAX + 1];
};

enum { SHOWN_SIZE = 96, SHOWN_MAX = 20 };

static const char *show(char out[SHOWN_SIZE], const struct expr_token *token)
{
    struct text t = text_of(out, SHOWN_SIZE);
    if (token->kind == EXPR_END) return "the end";
    text_add_escaped(&t, token->shown, SHOWN_MAX);
    return out;
}

static enum code advance(struct parser *p)
{
    return expr_token_next(&p->lexer, &p->token, p->e);
}

static enum code unexpected(const struct parser *p, const char *wanted)
{
    char shown[SHOWN_SIZE];
    return ERR(p->e, E_INVALID, "WHERE: %s is expected at character %zu, before %s", wanted,
               p->token.position, show(shown, &p->token));
}

/* Steps. */

static enum code step_add(struct parser *p, struct filter_step step)
{
    struct filter *f = p->filter;
    if (step.kind == FILTER_AND || step.kind == FILTER_OR) {
        ASSERT(p->depth > 1);
        p->depth--;
    } else if (step.kind != FILTER_NOT) {
        p->depth++;
    }
    if (f->step_count == FILTER_STEPS_MAX) {
        return ERR(p->e, E_LIMIT, "WHERE has more than %u conditions and operators",
                   FILTER_STEPS_MAX);
    }
    if (p->depth > FILTER_DEPTH_MAX) {
        return ERR(p->e, E_LIMIT, "WHERE is nested too deep at character %zu", p->token.position);
    }
    f->steps[f->step_count++] = step;
    return OK;
}

static enum code operator_add(struct parser *p, enum waiting what)
{
    static const uint8_t kinds[] = {
        [WAITING_OR] = FILTER_OR, [WAITING_AND] = FILTER_AND, [WAITING_NOT] = FILTER_NOT};
    return step_add(p, (struct filter_step){.kind = kinds[what]});
}

/* Let go what binds at least as tightly. */
static enum code waiting_release(struct parser *p, enum waiting least)
{
    while (p->waiting_count > 0 && p->waiting[p->waiting_count - 1].what >= least) {
        TRY(operator_add(p, (enum waiting)p->waiting[--p->waiting_count].what));
    }
    return OK;
}

static enum code waiting_add(struct parser *p, enum waiting what)
{
    if (p->waiting_count == EXPR_NEST_MAX) {
        return ERR(p->e, E_LIMIT, "WHERE is nested too deep at character %zu", p->token.position);
    }
    p->waiting[p->waiting_count].what = (uint8_t)what;
    p->waiting[p->waiting_count].position = p->token.position;
    p->waiting_count++;
    return advance(p);
}

/* Fields. */

static enum code unknown_field(const struct parser *p)
{
    const char *names[FIELDS_MAX + 2] = {"creator", "created_at"};
    uint32_t count = state_field_count(p->state);
    for (uint32_t id = 1; id <= count; id++) {
        names[id + 1] = state_field_by_id(p->state, id)->name;
    }
    char shown[SHOWN_SIZE];
    const char *nearest = nearest_word(p->token.shown, names, count + 2);
    return ERR(p->e, E_SCHEMA,
               "WHERE: unknown field %s at character %zu; %s%s%sdeclare fields with SCHEMA.FIELD",
               show(shown, &p->token), p->token.position, nearest != NULL ? "did you mean " : "",
               nearest != NULL ? nearest : "", nearest != NULL ? "? Or " : "");
}

static enum code field_find(const struct parser *p, struct operand_field *out)
{
    *out = (struct operand_field){.subject = SUBJECT_FIELD};
    if (expr_token_is(&p->token, "creator")) {
        out->subject = SUBJECT_CREATOR;
        out->kind = SCHEMA_FIELD_TAG;
    } else if (expr_token_is(&p->token, "created_at")) {
        out->subject = SUBJECT_CREATED;
        out->kind = SCHEMA_FIELD_TIME;
    } else {
        const struct schema_field *field = state_field_by_name(p->state, p->token.shown);
        if (field == NULL) return unknown_field(p);
        out->kind = field->kind;
        out->id = field->id;
    }
    size_t size = p->token.shown.size;
    ASSERT(size < sizeof(out->name)); /* it is the name of something known */
    memcpy(out->name, p->token.shown.data, size);
    return OK;
}

/* Values. */

static enum code misfit(const struct parser *p, const struct operand_field *field,
                        const char *wanted)
{
    char shown[SHOWN_SIZE];
    return ERR(p->e, E_SCHEMA, "WHERE: %s is %s and compared with %s, not with %s at character %zu",
               field->name,
               field->subject == SUBJECT_CREATOR ? "a key" : schema_field_kind_name(field->kind),
               wanted, show(shown, &p->token), p->token.position);
}

static enum code number_read(const struct parser *p, const struct operand_field *field,
                             uint64_t *out)
{
    double v = 0.0;
    if (expr_token_is(&p->token, "true")) {
        v = 1.0;
    } else if (!expr_token_is(&p->token, "false")) {
        bool is_number = p->token.kind == EXPR_NUMBER && parse_f64(p->token.shown, &v);
        if (!is_number || !isfinite(v)) return misfit(p, field, "a number, true or false");
    }
    *out = filter_slot_of_number(v + 0.0); /* -0 is 0 */
    return OK;
}

static enum code time_read(const struct parser *p, const struct operand_field *field, uint64_t *out)
{
    int64_t v = 0;
    if (p->token.kind != EXPR_NUMBER || !parse_i64(p->token.shown, &v)) {
        return misfit(p, field, "a whole number of milliseconds");
    }
    if (v > TIME_MS_ABS_MAX || v < -TIME_MS_ABS_MAX) {
        return ERR(p->e, E_LIMIT,
                   "WHERE: the time at character %zu is out of range; give "
                   "milliseconds since 1970",
                   p->token.position);
    }
    *out = (uint64_t)v;
    return OK;
}

/* The number of a tag value or creator; false when no item has it. */
static bool text_find(const struct parser *p, const struct operand_field *field, uint64_t *out)
{
    if (field->subject == SUBJECT_CREATOR) {
        *out = state_creator_find(p->state, p->token.text);
        return *out != CREATOR_NONE;
    }
    const struct tag_values *values = &p->state->fields.columns[field->id - 1].values;
    *out = tag_values_find(values, p->token.text);
    return *out != TAG_VALUE_NONE;
}

/* Append the value at the token to the slots; a text that nobody has is left out. */
static enum code value_take(struct parser *p, const struct operand_field *field, uint32_t *count)
{
    uint64_t slot = 0;
    bool is_known = true;
    if (field->kind == SCHEMA_FIELD_TAG) {
        if (p->token.kind != EXPR_TEXT) return misfit(p, field, "a text in quotes");
        is_known = text_find(p, field, &slot);
    } else if (field->kind == SCHEMA_FIELD_NUM) {
        TRY(number_read(p, field, &slot));
    } else {
        TRY(time_read(p, field, &slot));
    }
    if (is_known) {
        if (p->filter->slot_count == FILTER_SLOTS_MAX) {
            return ERR(p->e, E_LIMIT, "WHERE has too many values at character %zu",
                       p->token.position);
        }
        p->filter->slots[p->filter->slot_count++] = slot;
        (*count)++;
    }
    return advance(p);
}

/* Conditions. */

static uint8_t kind_of(const struct operand_field *field, bool is_in)
{
    if (field->subject == SUBJECT_CREATOR) return FILTER_CREATOR;
    if (field->subject == SUBJECT_CREATED) return is_in ? FILTER_CREATED_IN : FILTER_CREATED;
    if (field->kind == SCHEMA_FIELD_TAG) return FILTER_TAG;
    if (field->kind == SCHEMA_FIELD_NUM) return is_in ? FILTER_NUMBER_IN : FILTER_NUMBER;
    return is_in ? FILTER_TIME_IN : FILTER_TIME;
}

/* The step over the last `count` slots. */
static enum code comparison_add(struct parser *p, const struct operand_field *field,
                                struct filter_step step, uint32_t count)
{
    struct filter *f = p->filter;
    step.field_id = (uint16_t)field->id;
    step.first = (uint16_t)(f->slot_count - count);
    step.count = (uint16_t)count;
    if (count == 0) step.kind = FILTER_NEVER;
    if (count > FILTER_LIST_MAX && !filter_set_make(f, &step, count)) {
        return ERR(p->e, E_LIMIT, "WHERE has too many values before character %zu",
                   p->token.position);
    }
    return step_add(p, step);
}

/* field != value: it is there and is not the value; of numbers, which are single: below or above.
 */
static enum code difference_add(struct parser *p, const struct operand_field *field, uint32_t count)
{
    uint8_t kind = kind_of(field, false);
    if (field->kind == SCHEMA_FIELD_TAG) {
        bool is_creator = field->subject == SUBJECT_CREATOR;
        struct filter_step has = {.kind = is_creator ? FILTER_HAS_CREATOR : FILTER_HAS_TAG,
                                  .field_id = (uint16_t)field->id};
        TRY(comparison_add(p, field, (struct filter_step){.kind = kind}, count));
        TRY(operator_add(p, WAITING_NOT));
        TRY(step_add(p, has));
        return operator_add(p, WAITING_AND);
    }
    struct filter_step less = {.kind = kind, .compare = FILTER_LESS};
    struct filter_step greater = {.kind = kind, .compare = FILTER_GREATER};
    TRY(comparison_add(p, field, less, count));
    TRY(comparison_add(p, field, greater, count));
    return operator_add(p, WAITING_OR);
}

static enum code sign_take(struct parser *p, const struct operand_field *field)
{
    static const uint8_t compares[] = {
        [EXPR_EQUAL] = FILTER_EQUAL,     [EXPR_NOT_EQUAL] = FILTER_EQUAL,
        [EXPR_LESS] = FILTER_LESS,       [EXPR_LESS_EQUAL] = FILTER_LESS_EQUAL,
        [EXPR_GREATER] = FILTER_GREATER, [EXPR_GREATER_EQUAL] = FILTER_GREATER_EQUAL,
    };
    enum expr_token_kind sign = p->token.kind;
    if (field->kind == SCHEMA_FIELD_TAG && sign >= EXPR_LESS) {
        return ERR(p->e, E_SCHEMA, "WHERE: %s is %s and compared by = != or in, at character %zu",
                   field->name, field->subject == SUBJECT_CREATOR ? "a key" : "tag",
                   p->token.position);
    }
    TRY(advance(p));
    uint32_t count = 0;
    TRY(value_take(p, field, &count));
    if (sign == EXPR_NOT_EQUAL) return difference_add(p, field, count);
    struct filter_step step = {.kind = kind_of(field, false), .compare = compares[sign]};
    return comparison_add(p, field, step, count);
}

static enum code list_take(struct parser *p, const struct operand_field *field)
{
    uint32_t count = 0;
    TRY(advance(p));
    if (p->token.kind != EXPR_OPEN) return unexpected(p, "( of a list");
    do {
        TRY(advance(p));
        TRY(value_take(p, field, &count));
    } while (p->token.kind == EXPR_COMMA);
    if (p->token.kind != EXPR_CLOSE) return unexpected(p, "a comma or )");
    TRY(advance(p));
    return comparison_add(p, field, (struct filter_step){.kind = kind_of(field, true)}, count);
}

/* A field alone: there, and not 0. */
static enum code bare_add(struct parser *p, const struct operand_field *field, size_t position)
{
    if (field->kind != SCHEMA_FIELD_NUM) {
        return ERR(
            p->e, E_SCHEMA, "WHERE: %s at character %zu is %s and cannot stand alone; compare it",
            field->name, position,
            field->subject == SUBJECT_CREATOR ? "a key" : schema_field_kind_name(field->kind));
    }
    if (p->filter->slot_count == FILTER_SLOTS_MAX) {
        return ERR(p->e, E_LIMIT, "WHERE has too many values at character %zu", position);
    }
    p->filter->slots[p->filter->slot_count++] = filter_slot_of_number(0.0);
    return difference_add(p, field, 1);
}

static enum code comparison_take(struct parser *p)
{
    struct operand_field field;
    size_t position = p->token.position;
    TRY(field_find(p, &field));
    if (field.kind == SCHEMA_FIELD_TEXT) {
        return ERR(p->e, E_SCHEMA,
                   "WHERE: %s at character %zu is text, which WHERE does not look into", field.name,
                   position);
    }
    TRY(advance(p));
    if (p->token.kind >= EXPR_EQUAL) return sign_take(p, &field);
    if (expr_token_is(&p->token, "in")) return list_take(p, &field);
    return bare_add(p, &field, position);
}

static bool is_reserved(const struct expr_token *token)
{
    static const char *const words[] = {"and", "or", "in", "true", "false"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (expr_token_is(token, words[i])) return true;
    }
    return false;
}

/* Up to the end of one comparison. */
static enum code condition_take(struct parser *p)
{
    for (;;) {
        if (p->token.kind == EXPR_OPEN) {
            TRY(waiting_add(p, WAITING_OPEN));
        } else if (expr_token_is(&p->token, "not")) {
            TRY(waiting_add(p, WAITING_NOT));
        } else if (p->token.kind == EXPR_WORD && !is_reserved(&p->token)) {
            return comparison_take(p);
        } else {
            return unexpected(p, "a field, not or (");
        }
    }
}

/* Behind a condition: close parentheses, then an operator, or the end. */
static enum code operator_take(struct parser *p, bool *out_is_end)
{
    while (p->token.kind == EXPR_CLOSE) {
        TRY(waiting_release(p, WAITING_OR));
        if (p->waiting_count == 0) return unexpected(p, "and, or, or the end");
        p->waiting_count--;
        TRY(advance(p));
    }
    *out_is_end = p->token.kind == EXPR_END;
    if (*out_is_end) return OK;
    bool is_and = expr_token_is(&p->token, "and");
    if (!is_and && !expr_token_is(&p->token, "or")) {
        return unexpected(p, p->waiting_count > 0 ? "and, or or )" : "and or or");
    }
    enum waiting what = is_and ? WAITING_AND : WAITING_OR;
    TRY(waiting_release(p, what));
    return waiting_add(p, what);
}

enum code expr_compile(struct slice text, const struct state *s, struct filter *out, struct err *e)
{
    if (text.size > EXPR_SIZE_MAX) {
        return ERR(e, E_LIMIT, "WHERE has %zu bytes; at most %u are allowed", text.size,
                   EXPR_SIZE_MAX);
    }
    struct parser p = {.lexer = expr_lexer_of(text), .state = s, .filter = out, .e = e};
    out->step_count = 0;
    out->slot_count = 0;
    struct hash256 hash = hash256_of(text);
    memcpy(&out->hash, hash.bytes, sizeof(out->hash));
    TRY(advance(&p));
    bool is_end = false;
    while (!is_end) {
        TRY(condition_take(&p));
        TRY(operator_take(&p, &is_end));
    }
    TRY(waiting_release(&p, WAITING_OR));
    if (p.waiting_count > 0) {
        return ERR(e, E_INVALID, "WHERE: the ( at character %zu is not closed",
                   p.waiting[p.waiting_count - 1].position);
    }
    ASSERT(p.depth == 1);
    return OK;
}
