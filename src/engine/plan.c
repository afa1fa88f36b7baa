/* plan: see plan.h. The table of questions, and what every answer has in common. */
#include "engine/plan.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/assert.h"
#include "engine/queue.h"
#include "engine/read.h"

#define FACT_NAME_SIZE  192u
#define FACT_VALUE_SIZE 512u

/* A question: its name, and what may stand behind it. */
static const struct question {
    const char *what;
    const char *argument; /* what is missing without it; NULL: it takes none */
    plan_fill fill;
    bool may_be_missing; /* the argument */
} questions[] = {
    {"prune", NULL, plan_prune, false},
    {"resume", "the follower's id", plan_resume, false},
    {"bootstrap", "the id of a follower", plan_bootstrap, true},
    {"promote", NULL, plan_promote, false},
};

static const struct question *find_question(struct slice what)
{
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        if (text_equal_nocase(what, questions[i].what)) return &questions[i];
    }
    return NULL;
}

static enum code refuse_question(struct slice what, struct err *e)
{
    char shown[96];
    char known[256];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, what, 64);
    struct text names = text_of(known, sizeof(known));
    for (size_t i = 0; i < COUNT_OF(questions); i++) {
        text_add(&names, "%s%s", i > 0 ? ", " : "", questions[i].what);
    }
    return ERR(e, E_INVALID, "there is no plan '%s'; known are: %s", shown, known);
}

/* --- building --- */

static char *keep(struct plan *p, const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = run_take(p->run, size);
    if (copy) {
        memcpy(copy, text, size);
    } else {
        p->is_short = true;
    }
    return copy;
}

static void add_fact(struct plan *p, const char *name, const char *value, bool is_number)
{
    if (p->count == PLAN_FACTS_MAX) return;
    if (p->count == p->capacity) {
        uint32_t capacity = p->capacity ? p->capacity * 2 : 16;
        struct tide_plan_fact *facts = run_take(p->run, capacity * sizeof(*facts));
        if (!facts) {
            p->is_short = true;
            return;
        }
        if (p->count > 0) memcpy(facts, p->facts, p->count * sizeof(*facts));
        p->facts = facts;
        p->capacity = capacity;
    }
    char *kept_name = keep(p, name);
    char *kept_value = keep(p, value);
    if (!kept_name || !kept_value) return;
    p->facts[p->count++] = (struct tide_plan_fact){kept_name, kept_value, is_number};
}

void plan_why(struct plan *p, const char *format, ...)
{
    char sentence[FACT_VALUE_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    text_add(&p->why, "%s%s", p->why.size > 0 ? " " : "", sentence);
}

void plan_add(struct plan *p, const char *name, const char *format, ...)
{
    char value[FACT_VALUE_SIZE];
    va_list args;
    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    add_fact(p, name, value, false);
}

void plan_add_count(struct plan *p, const char *name, uint64_t value)
{
    char digits[24];
    (void)snprintf(digits, sizeof(digits), "%llu", (unsigned long long)value);
    add_fact(p, name, digits, true);
}

void plan_add_of(struct plan *p, const char *group, const char *id, const char *name,
                 const char *format, ...)
{
    char full_name[FACT_NAME_SIZE];
    char value[FACT_VALUE_SIZE];
    (void)snprintf(full_name, sizeof(full_name), "%s.%s.%s", group, id, name);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(value, sizeof(value), format, args);
    va_end(args);
    uint64_t number = 0;
    add_fact(p, full_name, value, parse_u64(slice_of_text(value), &number));
}

/* --- answering --- */

static void settle(struct plan *p, enum code code, const struct err *e)
{
    struct err failure = {.code = OK};
    struct tide_plan *out = run_take(p->run, sizeof(*out));
    if (code == OK && (p->is_short || !out)) {
        code = ERR(&failure, E_NOMEMORY, "no memory for the answer");
        e = &failure;
    }
    if (code != OK) {
        read_fail(p->run, p->op, e);
        return;
    }
    ASSERT(p->path != NULL);
    *out = (struct tide_plan){
        .what = find_question(p->op->entry.type)->what,
        .path = p->path,
        .bytes = p->bytes,
        .seconds = p->seconds,
        .why = p->why.data,
        .facts = p->facts,
        .fact_count = p->count,
    };
    p->op->result = (struct tide_result){.kind = TIDE_RESULT_PLAN, .as.plan = out};
}

void plan_answer(struct plan *p, enum code code, const struct err *e)
{
    ASSERT(p->is_later);
    settle(p, code, e);
    queue_resume(p->db->queue, p->run);
}

bool plan_op(struct db *db, struct tide_run *run, struct op *op)
{
    struct err e = {.code = OK};
    enum code code = OK;
    op->result = (struct tide_result){0};
    struct plan *p = run_take(run, sizeof(*p));
    char *why = run_take(run, PLAN_WHY_SIZE);
    const struct question *q = find_question(op->entry.type);
    if (!p || !why) {
        code = ERR(&e, E_NOMEMORY, "no memory for the answer");
    } else if (!q) {
        code = refuse_question(op->entry.type, &e);
    } else if (q->argument && !q->may_be_missing && op->entry.item.size == 0) {
        code = ERR(&e, E_INVALID, "plan %s needs %s", q->what, q->argument);
    } else if (!q->argument && op->entry.item.size > 0) {
        code = ERR(&e, E_INVALID, "plan %s takes nothing behind it", q->what);
    }
    if (code != OK) {
        read_fail(run, op, &e);
        return true;
    }
    *p = (struct plan){
        .db = db,
        .argument = op->entry.item,
        .bytes = PLAN_UNKNOWN,
        .seconds = -1,
        .run = run,
        .op = op,
        .why = text_of(why, PLAN_WHY_SIZE),
    };
    code = q->fill(p, &e);
    if (code == OK && p->is_later) return false;
    settle(p, code, &e);
    return true;
}
