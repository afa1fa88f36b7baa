/* levels: see levels.h. */
#include "engine/levels.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/queue.h"
#include "engine/read.h"
#include "engine/shipper.h"

/* Deadlines from here on (a hundred years) never come; their sum with the clock could overflow. */
#define DEADLINE_MS_NEVER (UINT64_C(100) * 365 * 86400000)

const struct metric_bounds level_wait_bounds = {
    .count = 12,
    .upper = {100e-6, 250e-6, 500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3, 0.1, 0.5, 1.0, 5.0}};

struct level_class {
    struct level level;
    uint32_t users;      /* writes that are not decided yet */
    struct heap waiting; /* runs, by the record that they wait for first */
};

struct levels {
    struct db *db;
    struct level_class classes[LEVEL_CLASSES_MAX];
    struct heap by_deadline;
    struct env_timer timer;
    struct level_figures figures;
};

/* One look at what the followers hold; the watermark of a class is computed when it is asked for.
 */
struct look {
    struct quorum quorum;
    uint64_t now_ns;
    seqno reached[LEVEL_CLASSES_MAX];
    bool is_known[LEVEL_CLASSES_MAX];
    uint64_t satisfied; /* writes that reached their level */
};

static void deadline_came(struct env_timer *timer);

struct levels *levels_new(struct db *db)
{
    struct levels *l = calloc(1, sizeof(*l));
    if (!l) return NULL;
    l->db = db;
    l->timer.fire = deadline_came;
    return l;
}

void levels_free(struct levels *l)
{
    if (!l) return;
    l->db->env->v->timer_close(l->db->env, &l->timer);
    for (uint32_t i = 0; i < LEVEL_CLASSES_MAX; i++) {
        heap_fini(&l->classes[i].waiting);
    }
    heap_fini(&l->by_deadline);
    free(l);
}

bool levels_is_empty(const struct levels *l)
{
    return l->by_deadline.count == 0;
}

const struct level_figures *levels_figures(const struct levels *l)
{
    return &l->figures;
}

void levels_quorum(const struct db *db, struct quorum *out)
{
    const struct identity *id = &db->identity;
    out->durable = db->log ? log_durable(db->log).seqno : SEQNO_NONE;
    out->epoch_start = id->epoch_count > 0 ? id->epochs[id->epoch_count - 1].start : SEQNO_NONE;
    out->region = db->config.stream.region;
    out->is_voter = db->is_voter;
    out->voter_count = db->voter_count;
    out->is_catalogue_lost = false;
    out->count = 0;
    if (db->shipper) shipper_fill_quorum(db->shipper, out);
}

/* --- before it is written --- */

/* What was asked for, with the database's defaults filled in. */
static struct level wanted_level(const struct db *db, const struct op *op)
{
    static const struct level local = {.kind = LEVEL_LOCAL};
    if (op->level.level.kind != LEVEL_DEFAULT) return op->level.level;
    /* A default that no voter can meet must not keep the first voter out. */
    bool is_of_members = op->kind == OP_MEMBER_ADD || op->kind == OP_MEMBER_REMOVE;
    return is_of_members ? local : db->config.level;
}

static enum tide_on_miss wanted_miss(const struct db *db, const struct op *op)
{
    return (enum tide_on_miss)(op->level.on_miss_is_set ? op->level.on_miss : db->config.on_miss);
}

/* LEVEL_CLASSES_MAX: all are taken. */
static uint32_t find_class(const struct levels *l, const struct level *level)
{
    uint32_t vacant = LEVEL_CLASSES_MAX;
    for (uint32_t i = 0; i < LEVEL_CLASSES_MAX; i++) {
        const struct level_class *c = &l->classes[i];
        if (c->users == 0) {
            if (vacant == LEVEL_CLASSES_MAX) vacant = i;
        } else if (level_equal(&c->level, level)) {
            return i;
        }
    }
    return vacant;
}

static enum code judge(struct levels *l, const struct op *op, struct level *level, struct err *e)
{
    TRY(level_check(level, e));
    if (wanted_miss(l->db, op) > TIDE_MISS_DEGRADE) {
        return ERR(e, E_INVALID, "on_miss is %d; it is wait, reject or degrade",
                   (int)op->level.on_miss);
    }
    char room[ERR_TEXT_SIZE];
    struct text why = text_of(room, sizeof(room));
    struct quorum quorum;
    levels_quorum(l->db, &quorum);
    if (!quorum_is_possible(&quorum, level, &why)) {
        return ERR(e, E_DURABILITY, "nothing was written: %s", room);
    }
    if (wanted_miss(l->db, op) == TIDE_MISS_REJECT && !quorum_is_expected(&quorum, level, &why)) {
        l->figures.kinds[level->kind].misses[TIDE_MISS_REJECT]++;
        return ERR(e, E_DURABILITY, "nothing was written: %s", room);
    }
    if (find_class(l, level) == LEVEL_CLASSES_MAX) {
        return ERR(e, E_BUSY, "%u different levels are being waited for; try again",
                   LEVEL_CLASSES_MAX);
    }
    return OK;
}

enum code levels_judge(struct levels *l, const struct op *op, struct err *e)
{
    struct level level = wanted_level(l->db, op);
    if (level.kind == LEVEL_LOCAL) return OK;
    return judge(l, op, &level, e);
}

/* --- when it is written --- */

static void note_op(struct tide_run *run, struct op *op, uint32_t class_, const struct op *wish,
                    uint64_t now_ns)
{
    bool is_written = op->result.code == TIDE_OK && op->result.kind == TIDE_RESULT_POSITION &&
                      op->result.as.position.seqno > 0;
    if (!is_written) return;
    op->level = wish->level;
    op->level.class_ = (uint8_t)(class_ + 1);
    op->level.since_ns = now_ns;
    op->until_ns = wish->until_ns;
    run->undecided++;
}

static uint64_t deadline_of(const struct db *db, const struct op *wish, uint64_t now_ns)
{
    uint64_t ms = wish->level.deadline_ms;
    if (ms == 0) return now_ns + db->config.deadline_ns;
    if (ms == TIDE_DEADLINE_NOW) return now_ns;
    return ms < DEADLINE_MS_NEVER ? now_ns + ms * NS_PER_MS : UINT64_MAX;
}

void levels_note(struct levels *l, struct tide_run *run, uint32_t first)
{
    struct op *wish = &run->ops[first];
    struct level level = wanted_level(l->db, wish);
    if (level.kind == LEVEL_LOCAL) return;
    enum code code = level_check(&level, NULL);
    uint32_t class_ = find_class(l, &level);
    if (code != OK || class_ == LEVEL_CLASSES_MAX) return; /* refused by levels_judge */
    uint64_t now_ns = l->db->env->v->now_mono_ns(l->db->env);
    wish->until_ns = deadline_of(l->db, wish, now_ns);
    wish->level.on_miss = (uint8_t)wanted_miss(l->db, wish);
    wish->level.on_miss_is_set = true;
    uint32_t before = run->undecided;
    for (uint32_t i = first; i < run->cursor; i++) {
        note_op(run, &run->ops[i], class_, wish, now_ns);
    }
    l->classes[class_].level = level;
    l->classes[class_].users += run->undecided - before;
}

/* --- deciding --- */

static void look_begin(const struct levels *l, struct look *look)
{
    levels_quorum(l->db, &look->quorum);
    look->now_ns = l->db->env->v->now_mono_ns(l->db->env);
    look->satisfied = 0;
    memset(look->is_known, 0, sizeof(look->is_known));
    memset(look->reached, 0, sizeof(look->reached));
}

static seqno reached(const struct levels *l, struct look *look, uint32_t class_)
{
    if (!look->is_known[class_]) {
        look->reached[class_] = quorum_reached(&look->quorum, &l->classes[class_].level);
        look->is_known[class_] = true;
    }
    return look->reached[class_];
}

static struct level_class *class_of(struct levels *l, const struct op *op)
{
    ASSERT(op->level.class_ > 0);
    return &l->classes[op->level.class_ - 1];
}

/* It is waited for no more. */
static void leave_class(struct levels *l, struct tide_run *run, struct op *op)
{
    struct level_class *c = class_of(l, op);
    ASSERT(c->users > 0);
    ASSERT(run->undecided > 0);
    c->users--;
    run->undecided--;
    op->level.class_ = 0;
}

static struct tide_level level_out(const struct level *level)
{
    struct tide_level out = {.kind = level->kind, .count = level->count};
    memcpy(out.regions, level->regions, sizeof(out.regions));
    return out;
}

static void observe(struct level_kind_figures *f, uint64_t waited_ns)
{
    metric_observe(&f->waits, &level_wait_bounds, (double)waited_ns * 1e-9);
    f->wait_count++;
}

static void succeed(struct levels *l, struct look *look, struct tide_run *run, struct op *op)
{
    const struct level *level = &class_of(l, op)->level;
    op->result.level = level_out(level);
    observe(&l->figures.kinds[level->kind], look->now_ns - op->level.since_ns);
    look->satisfied++;
    leave_class(l, run, op);
}

static void miss(struct levels *l, struct look *look, struct tide_run *run, struct op *op)
{
    struct level level = class_of(l, op)->level;
    struct level_kind_figures *figures = &l->figures.kinds[level.kind];
    seqno s = seqno_of(op->result.as.position.seqno);
    uint64_t waited_ns = look->now_ns - op->level.since_ns;
    observe(figures, waited_ns);
    figures->misses[op->level.on_miss]++;
    leave_class(l, run, op);
    struct level has = quorum_level_of(&look->quorum, s, &level);
    if (op->level.on_miss == TIDE_MISS_DEGRADE) {
        op->result.level = level_out(&has);
        return;
    }
    char token[TIDE_TOKEN_SIZE];
    char asked[LEVEL_TEXT_SIZE];
    char room[ERR_TEXT_SIZE];
    struct text why = text_of(room, sizeof(room));
    size_t size = tide_token_format(&op->result.as.position, token);
    (void)level_format(&level, asked);
    quorum_explain(&look->quorum, s, &level, &why);
    struct err e = {.code = OK};
    (void)ERR(&e, E_DURABILITY,
              "%.*s is durable here and did not reach %s within %llu ms: %s; it may still spread",
              (int)size, token, asked, (unsigned long long)(waited_ns / NS_PER_MS), room);
    struct tide_position position = op->result.as.position;
    read_fail(run, op, &e);
    op->result.kind = TIDE_RESULT_POSITION;
    op->result.as.position = position;
}

static void arm(struct levels *l)
{
    struct env *env = l->db->env;
    const struct heap_node *first = heap_first(&l->by_deadline);
    if (first == NULL || first->key == UINT64_MAX) {
        env->v->timer_stop(env, &l->timer);
        return;
    }
    uint64_t now_ns = env->v->now_mono_ns(env);
    env->v->timer_start(env, &l->timer, first->key > now_ns ? first->key - now_ns : 0);
}

static bool wait_for(struct levels *l, struct tide_run *run, const struct op *op)
{
    run->by_seqno.key = op->result.as.position.seqno;
    run->by_deadline.key = op->until_ns;
    struct heap *waiting = &l->classes[op->level.class_ - 1].waiting;
    if (!heap_add(waiting, &run->by_seqno)) return false;
    if (heap_add(&l->by_deadline, &run->by_deadline)) return true;
    heap_remove(waiting, &run->by_seqno);
    return false;
}

/* Decide its writes in their order, as far as that goes. False: it waits for the next. */
static bool decide(struct levels *l, struct look *look, struct tide_run *run)
{
    while (run->undecided > 0) {
        ASSERT(run->level_cursor < run->count);
        struct op *op = &run->ops[run->level_cursor];
        if (op->level.class_ == 0) {
            run->level_cursor++;
            continue;
        }
        if (op->result.as.position.seqno <= reached(l, look, op->level.class_ - 1u).v) {
            succeed(l, look, run, op);
        } else if (look->now_ns >= op->until_ns || !wait_for(l, run, op)) {
            miss(l, look, run, op);
        } else {
            return false;
        }
    }
    return true;
}

bool levels_park(struct levels *l, struct tide_run *run)
{
    if (run->undecided == 0) return false;
    struct look look;
    look_begin(l, &look);
    if (decide(l, &look, run)) return false;
    arm(l);
    return true;
}

static void take_out(struct levels *l, struct tide_run *run)
{
    const struct op *op = &run->ops[run->level_cursor];
    heap_remove(&class_of(l, op)->waiting, &run->by_seqno);
    heap_remove(&l->by_deadline, &run->by_deadline);
}

static void go_on(struct levels *l, struct look *look, struct tide_run *run)
{
    take_out(l, run);
    if (decide(l, look, run)) queue_end_run(run);
}

void levels_on_progress(struct levels *l, uint32_t slot)
{
    if (levels_is_empty(l)) return;
    struct look look;
    look_begin(l, &look);
    for (uint32_t i = 0; i < LEVEL_CLASSES_MAX; i++) {
        struct heap *waiting = &l->classes[i].waiting;
        struct heap_node *first;
        while ((first = heap_first(waiting)) != NULL && first->key <= reached(l, &look, i).v) {
            go_on(l, &look, CONTAINER_OF(first, struct tide_run, by_seqno));
        }
    }
    if (look.satisfied > 0 && slot != SLOT_NONE) {
        shipper_count_last_acks(l->db->shipper, slot, look.satisfied);
    }
    arm(l);
}

static void deadline_came(struct env_timer *timer)
{
    struct levels *l = CONTAINER_OF(timer, struct levels, timer);
    struct look look;
    look_begin(l, &look);
    struct heap_node *first;
    while ((first = heap_first(&l->by_deadline)) != NULL && first->key <= look.now_ns) {
        go_on(l, &look, CONTAINER_OF(first, struct tide_run, by_deadline));
    }
    arm(l);
}

/* --- the end --- */

void levels_fail_run(struct levels *l, struct tide_run *run, const char *why)
{
    for (uint32_t i = 0; i < run->count && run->undecided > 0; i++) {
        struct op *op = &run->ops[i];
        if (op->level.class_ == 0) continue;
        leave_class(l, run, op);
        struct tide_position position = op->result.as.position;
        if (position.epoch == 0) position.epoch = l->db->epoch.number;
        struct err e = {.code = OK};
        (void)ERR(&e, E_UNKNOWN, "%s", why);
        read_fail(run, op, &e);
        op->result.kind = TIDE_RESULT_POSITION;
        op->result.as.position = position;
        op->is_waiting = false;
    }
}

void levels_fail_all(struct levels *l, const char *why)
{
    struct heap_node *first;
    while ((first = heap_first(&l->by_deadline)) != NULL) {
        struct tide_run *run = CONTAINER_OF(first, struct tide_run, by_deadline);
        take_out(l, run);
        levels_fail_run(l, run, why);
        queue_end_run(run);
    }
}
