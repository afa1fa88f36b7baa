/* plan: what would happen, said by the code that would decide it (OP_PLAN). Each question is a row
 * of the table in plan.c, and a function that asks the same pure decision which the driver asks and
 * writes down its answer. Nothing changes by asking.
 *
 * An answer has four fixed parts and a list of facts, all in the run's memory:
 *
 *   path     one word: which way it would go ("prune", "keep", "continue", "refuse" ...)
 *   bytes    what would be moved or removed; PLAN_UNKNOWN when there is no such thing
 *   seconds  how long it would take, estimated; below 0: not known
 *   why      sentences for people
 *   facts    (name, value) in the order in which they were added; names are words with dots
 *
 * Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_PLAN_H
#define TIDEMARK_ENGINE_PLAN_H

#include "base/text.h"
#include "engine/db.h"

#define PLAN_UNKNOWN   UINT64_MAX
#define PLAN_FACTS_MAX 512u
#define PLAN_WHY_SIZE  (4 * KIB)

/* The answer under construction. */
struct plan {
    struct db *db;
    struct slice argument; /* behind the question; size 0: none. Borrowed while the run is parked */
    const char *path;      /* static */
    uint64_t bytes;
    double seconds;
    bool is_later; /* set by the function: plan_answer will end it, not before it returned */
    /* private */
    struct tide_run *run;
    struct op *op;
    struct text why;
    struct tide_plan_fact *facts;
    uint32_t count;
    uint32_t capacity;
    bool is_short; /* of memory */
};

/* Fill the plan. An error refuses the question in words. */
typedef enum code (*plan_fill)(struct plan *p, struct err *e);

/* Add a sentence; sentences are separated by a space. Cut at PLAN_WHY_SIZE. */
void plan_why(struct plan *p, const char *format, ...) PRINTF_LIKE(2, 3);
/* Add a fact. Facts beyond PLAN_FACTS_MAX are left out. */
void plan_add(struct plan *p, const char *name, const char *format, ...) PRINTF_LIKE(3, 4);
void plan_add_count(struct plan *p, const char *name, uint64_t value);
/* A fact of one of several things: "slot.f1.stored". */
void plan_add_of(struct plan *p, const char *group, const char *id, const char *name,
                 const char *format, ...) PRINTF_LIKE(5, 6);
/* The answer of a function that said is_later: once, on the loop. e: NULL when code is OK. */
void plan_answer(struct plan *p, enum code code, const struct err *e);

/* OP_PLAN. False: it will be answered later. */
MUST_CHECK bool plan_op(struct db *db, struct tide_run *run, struct op *op);

/* The rows. */
enum code plan_prune(struct plan *p, struct err *e);     /* plan_prune.c */
enum code plan_resume(struct plan *p, struct err *e);    /* plan_resume.c */
enum code plan_bootstrap(struct plan *p, struct err *e); /* plan_bootstrap.c */
enum code plan_promote(struct plan *p, struct err *e);   /* plan_promote.c */

#endif
