/* api: the public calls: a thread with a libuv env and a db on it, runs handed over through a
 * lock-free list, and the waiting conveniences. */
#include <stdatomic.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/api_error.h"
#include "engine/api_run.h"
#include "engine/db_internal.h"
#include "env/thread.h"
#include "format/limits.h"

/* The two tables of outcomes are one. */
#define X(constant, number, word, class, meaning) \
    _Static_assert((number) <= TIDE_REFUSED, "every code has a public name");
ERROR_TABLE(X)
#undef X
_Static_assert((int)E_READONLY == (int)TIDE_READONLY, "codes are equal");
_Static_assert((int)E_UNKNOWN == (int)TIDE_UNKNOWN, "codes are equal");
_Static_assert((int)E_POISONED == (int)TIDE_POISONED, "codes are equal");
_Static_assert((int)E_ROTTEN == (int)TIDE_ROTTEN, "codes are equal");
_Static_assert((int)E_PROTOCOL == (int)TIDE_PROTOCOL, "codes are equal");
_Static_assert((int)E_REFUSED == (int)TIDE_REFUSED, "codes are equal");
_Static_assert((int)CLASS_CORRUPTION == (int)TIDE_CLASS_CORRUPTION, "classes are equal");

struct tide_db {
    struct env *env;
    struct env_thread *thread;
    struct alloc alloc;
    struct db *db; /* loop thread only, after open */
    struct tide_options options;

    /* Runs handed over and not taken yet: a stack, reversed when taken. Pushed by any thread
     * (release), taken whole by the loop (acquire). */
    _Atomic(struct tide_run *) submitted;
    struct env_task take_task;
    _Atomic uint32_t runs_in_flight;
    /* Threads inside tide_submit, and whether closing has begun. Sequentially consistent: a caller
     * that does not see is_closing is seen by tide_close, which then waits for it. */
    _Atomic uint32_t callers;
    _Atomic bool is_closing;

    /* opening */
    struct env_event opened;
    enum code open_code;
    struct err open_err;
    struct tide_open_report report;

    /* closing */
    struct env_task close_task;
    uint64_t deadline_ns;
};

/* --- texts --- */

const char *tide_version(void)
{
    return TIDE_VERSION;
}

uint32_t tide_format_version(void)
{
    return FORMAT_VERSION;
}

const char *tide_code_word(enum tide_code c)
{
    return code_word((enum code)c);
}

const char *tide_code_name(enum tide_code c)
{
    return code_name((enum code)c);
}

enum tide_class tide_code_class(enum tide_code c)
{
    return (enum tide_class)code_class((enum code)c);
}

size_t tide_token_format(const struct tide_position *p, char out[TIDE_TOKEN_SIZE])
{
    _Static_assert(TIDE_TOKEN_SIZE == TOKEN_SIZE_MAX, "one size");
    struct token token = {.epoch = p->epoch, .seqno = {p->seqno}};
    memcpy(token.chain4, p->chain4, sizeof(token.chain4));
    return format_token(out, &token);
}

enum tide_code tide_token_parse(struct tide_bytes text, struct tide_position *out)
{
    struct token token;
    if (!parse_token(slice_of(text.data, text.size), &token)) return TIDE_INVALID;
    *out = (struct tide_position){.epoch = token.epoch, .seqno = token.seqno.v};
    memcpy(out->chain4, token.chain4, sizeof(token.chain4));
    return TIDE_OK;
}

enum tide_code api_error(enum code code, const struct err *from, struct tide_err *to)
{
    if (to && code != OK) {
        *to = (struct tide_err){
            .code = (enum tide_code)code,
            .class_ = tide_code_class((enum tide_code)code),
            .origin = from->origin,
        };
        _Static_assert(sizeof(to->message) == sizeof(from->text), "one size");
        memcpy(to->message, from->text, sizeof(to->message));
    }
    return (enum tide_code)code;
}

enum tide_code tide_level_parse(struct tide_bytes text, struct tide_level *out, struct tide_err *e)
{
    struct err err = {.code = OK};
    struct level level;
    enum code code = level_parse(slice_of(text.data, text.size), &level, &err);
    if (code != OK) return api_error(code, &err, e);
    *out = (struct tide_level){.kind = level.kind, .count = level.count};
    memcpy(out->regions, level.regions, sizeof(out->regions));
    return TIDE_OK;
}

size_t tide_level_format(const struct tide_level *level, char out[TIDE_LEVEL_SIZE])
{
    _Static_assert(TIDE_LEVEL_SIZE == LEVEL_TEXT_SIZE, "one size");
    struct level inner = {.kind = level->kind, .count = level->count};
    memcpy(inner.regions, level->regions, sizeof(inner.regions));
    return level_format(&inner, out);
}

/* --- the loop thread --- */

static struct tide_run *take_list(struct tide_db *t)
{
    struct tide_run *stack = atomic_exchange_explicit(&t->submitted, NULL, memory_order_acquire);
    struct tide_run *list = NULL;
    while (stack) { /* newest first: reverse */
        struct tide_run *next = stack->next;
        stack->next = list;
        list = stack;
        stack = next;
    }
    return list;
}

/* Runs that came when there was no database any more. */
static void refuse_list(struct tide_run *list)
{
    while (list) {
        struct tide_run *next = list->next;
        for (uint32_t i = 0; i < list->count; i++) {
            list->ops[i].result =
                (struct tide_result){.code = TIDE_CLOSED, .message = "the database is closing"};
        }
        list->is_submitted = false;
        list->callback(list, list->callback_arg);
        list = next;
    }
}

static void take_submitted(struct env_task *task)
{
    struct tide_db *t = CONTAINER_OF(task, struct tide_db, take_task);
    struct tide_run *list = take_list(t);
    if (t->db) {
        db_submit_burst(t->db, list);
    } else {
        refuse_list(list);
    }
}

static void loop_main(void *arg)
{
    struct tide_db *t = arg;
    t->open_code = db_open(t->env, &t->alloc, &t->options, &t->db, &t->open_err);
    if (t->open_code == OK) t->report = t->db->report;
    bool is_open = t->open_code == OK;
    env_event_set(&t->opened);
    if (!is_open) return;
    env_uv_run(t->env);
}

static void db_was_closed(void *arg)
{
    struct tide_db *t = arg;
    t->db = NULL;
    env_uv_stop(t->env);
}

static void close_was_asked(struct env_task *task)
{
    struct tide_db *t = CONTAINER_OF(task, struct tide_db, close_task);
    take_submitted(&t->take_task); /* whatever was handed over before is answered */
    t->db->close_deadline_ns = t->env->v->now_mono_ns(t->env) + t->deadline_ns;
    db_close(t->db, db_was_closed, t);
}

/* --- open and close --- */

static enum code make(const struct tide_options *options, struct tide_db **out, struct err *e)
{
    if (!options->dir || !options->dir[0]) return ERR(e, E_INVALID, "no data directory was given");
    struct tide_db *t = calloc(1, sizeof(*t));
    if (!t) return ERR(e, E_NOMEMORY, "no memory to open");
    t->options = *options;
    t->take_task.run = take_submitted;
    t->close_task.run = close_was_asked;
    env_event_init(&t->opened);
    uint64_t memory_max = options->memory_max;
    if (memory_max == 0) memory_max = env_machine_memory() / 5 * 4;
    t->options.memory_max = memory_max;
    alloc_init(&t->alloc, memory_max);
    struct env_uv_options env_options = {.size = sizeof(env_options), .dir = options->dir};
    enum code code = env_uv_open(&env_options, &t->env, e);
    if (code == OK) code = env_thread_start("tide-loop", loop_main, t, &t->thread, e);
    if (code == OK) {
        env_event_wait(&t->opened);
        code = t->open_code;
        if (e) *e = t->open_err;
    }
    if (code == OK) {
        *out = t;
        return OK;
    }
    env_thread_join(t->thread);
    env_uv_close(t->env);
    free(t);
    return code;
}

enum tide_code tide_options_check(const struct tide_options *options, struct tide_err *e)
{
    struct err err = {.code = OK};
    struct config config;
    return api_error(config_from_options(options, &config, &err), &err, e);
}

enum tide_code tide_open(const struct tide_options *options, tide_db **out,
                         struct tide_open_report *report, struct tide_err *e)
{
    struct err err = {.code = OK};
    struct tide_db *t = NULL;
    enum code code = make(options, &t, &err);
    if (code != OK) return api_error(code, &err, e);
    if (report) {
        *report = t->report;
        struct text backend = text_of(report->backend, sizeof(report->backend));
        text_add(&backend, "%s", env_uv_describe(t->env));
    }
    *out = t;
    return TIDE_OK;
}

enum tide_code tide_close(tide_db *db, uint64_t deadline_ms, struct tide_err *e)
{
    (void)e; /* nothing can fail yet: what could not be saved is found by the next open */
    if (!db) return TIDE_OK;
    db->deadline_ns =
        deadline_ms < UINT64_MAX / NS_PER_S ? deadline_ms * NS_PER_MS : UINT64_MAX / 2;
    atomic_store_explicit(&db->is_closing, true, memory_order_seq_cst);
    db->env->v->post(db->env, &db->close_task);
    env_thread_join(db->thread);
    /* A thread that was inside tide_submit may hand its run over only now, and touches db until it
     * has left. */
    struct env_event never;
    env_event_init(&never);
    while (atomic_load_explicit(&db->callers, memory_order_seq_cst) > 0) {
        (void)env_event_wait_ms(&never, 1);
    }
    refuse_list(take_list(db));
    env_uv_close(db->env);
    free(db);
    return TIDE_OK;
}

struct db *api_db(tide_db *db)
{
    return db->db;
}

/* --- runs --- */

static void run_completed(tide_run *run, void *arg);

static void hand_over(tide_db *db, tide_run *run)
{
    struct tide_run *head = atomic_load_explicit(&db->submitted, memory_order_relaxed);
    do {
        run->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&db->submitted, &head, run,
                                                    memory_order_release, memory_order_relaxed));
    /* Only the first one wakes the loop: the others are taken with it. */
    if (!head) db->env->v->post(db->env, &db->take_task);
}

static enum tide_code submit(tide_db *db, tide_run *run, tide_callback callback, void *arg)
{
    if (atomic_load_explicit(&db->is_closing, memory_order_seq_cst)) return TIDE_CLOSED;
    /* Relaxed: a limit, not a lock; it may be overshot by the number of submitting threads. */
    uint32_t in_flight = atomic_fetch_add_explicit(&db->runs_in_flight, 1, memory_order_relaxed);
    uint32_t max = db->options.runs_max ? db->options.runs_max : 65536;
    if (in_flight >= max) {
        atomic_fetch_sub_explicit(&db->runs_in_flight, 1, memory_order_relaxed);
        return TIDE_BUSY;
    }
    run->user_callback = callback;
    run->user_arg = arg;
    run->callback = run_completed;
    run->callback_arg = db;
    run->is_submitted = true;
    hand_over(db, run);
    return TIDE_OK;
}

enum tide_code tide_submit(tide_db *db, tide_run *run, tide_callback callback, void *arg)
{
    atomic_fetch_add_explicit(&db->callers, 1, memory_order_seq_cst);
    enum tide_code code = submit(db, run, callback, arg);
    atomic_fetch_sub_explicit(&db->callers, 1, memory_order_seq_cst); /* db is not touched again */
    return code;
}

static void run_completed(tide_run *run, void *arg)
{
    struct tide_db *db = arg;
    atomic_fetch_sub_explicit(&db->runs_in_flight, 1, memory_order_relaxed);
    run->user_callback(run, run->user_arg);
}

static void wake_waiter(tide_run *run, void *arg)
{
    (void)run;
    env_event_set(arg);
}

enum tide_code tide_execute(tide_db *db, tide_run *run)
{
    struct env_event done;
    env_event_init(&done);
    enum tide_code code = tide_submit(db, run, wake_waiter, &done);
    if (code != TIDE_OK) return code;
    env_event_wait(&done);
    return TIDE_OK;
}

/* --- one operation, waiting --- */

/* Execute a run of one operation and give its outcome; *out_result is valid until the run is freed.
 */
enum tide_code api_execute_one(tide_db *db, tide_run *run, int32_t index,
                               const struct tide_result **out_result, struct tide_err *e)
{
    struct err err = {.code = OK};
    if (index < 0) return api_error(ERR(&err, E_NOMEMORY, "no memory for an operation"), &err, e);
    enum tide_code code = tide_execute(db, run);
    if (code == TIDE_BUSY) {
        return api_error(ERR(&err, E_BUSY, "too many runs are in flight; try again"), &err, e);
    }
    if (code != TIDE_OK) return api_error(ERR(&err, E_CLOSED, "the database is closing"), &err, e);
    const struct tide_result *result = tide_run_result(run, (size_t)index);
    if (result->code != TIDE_OK) {
        return api_error(ERR(&err, (enum code)result->code, "%s", result->message), &err, e);
    }
    *out_result = result;
    return TIDE_OK;
}

tide_run *api_run_new(struct tide_err *e)
{
    tide_run *run = tide_run_new();
    struct err err = {.code = OK};
    if (!run) (void)api_error(ERR(&err, E_NOMEMORY, "no memory for a run"), &err, e);
    return run;
}

enum tide_code tide_signal(tide_db *db, const struct tide_signal *signal, struct tide_position *out,
                           struct tide_err *e)
{
    return tide_signals(db, signal, 1, out, e);
}

enum tide_code tide_signals(tide_db *db, const struct tide_signal *signals, size_t n,
                            struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    int32_t index =
        n == 1 ? tide_run_signal(run, signals, NULL) : tide_run_signals(run, signals, n, NULL);
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_unsignal(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                             struct tide_bytes user, struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_unsignal(run, type, item, user, NULL), &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_schema_signal(tide_db *db, const struct tide_schema_signal *schema,
                                  struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, tide_run_schema_signal(run, schema), &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_schema_field(tide_db *db, struct tide_bytes name, enum tide_field_kind kind,
                                 struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_schema_field(run, name, kind), &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

static enum tide_code execute_write(tide_db *db, tide_run *run, int32_t index,
                                    struct tide_position *out, struct tide_err *e)
{
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_member_add(tide_db *db, const char *node_id, bool is_voter,
                               struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    struct tide_bytes id = {node_id, strlen(node_id)};
    return execute_write(db, run, tide_run_member_add(run, id, is_voter, NULL), out, e);
}

enum tide_code tide_member_remove(tide_db *db, const char *node_id, struct tide_position *out,
                                  struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    struct tide_bytes id = {node_id, strlen(node_id)};
    return execute_write(db, run, tide_run_member_remove(run, id, NULL), out, e);
}

enum tide_code tide_score(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          int64_t at_ms, double *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_score(run, type, item, at_ms), &result, e);
    if (code == TIDE_OK) *out = result->as.number;
    tide_run_free(run);
    return code;
}

enum tide_code tide_count(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window, uint64_t *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_count_of(run, type, item, window), &result, e);
    if (code == TIDE_OK) *out = result->as.integer;
    tide_run_free(run);
    return code;
}

enum tide_code tide_rate(tide_db *db, struct tide_bytes type, struct tide_bytes item, int64_t at_ms,
                         double *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_rate(run, type, item, at_ms), &result, e);
    if (code == TIDE_OK) *out = result->as.number;
    tide_run_free(run);
    return code;
}

enum tide_code tide_trend(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          int64_t at_ms, double *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code =
        api_execute_one(db, run, tide_run_trend(run, type, item, at_ms), &result, e);
    if (code == TIDE_OK) *out = result->as.number;
    tide_run_free(run);
    return code;
}

enum tide_code tide_position_now(tide_db *db, struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, tide_run_position(run), &result, e);
    if (code == TIDE_OK) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_digest_now(tide_db *db, struct tide_digest *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, tide_run_digest(run, 0), &result, e);
    if (code == TIDE_OK) *out = result->as.digest;
    tide_run_free(run);
    return code;
}

/* Of an operation that has no answer but its outcome. */
static enum tide_code execute_plain(tide_db *db, tide_run *run, int32_t index, struct tide_err *e)
{
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    tide_run_free(run);
    return code;
}

enum tide_code tide_wait_position(tide_db *db, const struct tide_position *position,
                                  uint64_t timeout_ms, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_plain(db, run, tide_run_wait_position(run, position, timeout_ms), e);
}

enum tide_code tide_replicate(tide_db *db, const struct tide_transport *transport, const char *peer,
                              struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_plain(db, run, tide_run_replicate(run, transport, peer), e);
}

enum tide_code tide_listen(tide_db *db, const struct tide_transport *transport, const char *address,
                           struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_plain(db, run, tide_run_listen(run, transport, address), e);
}

/* Of an operation that answers with a position. out may be NULL. */
static enum tide_code execute_position(tide_db *db, tide_run *run, int32_t index,
                                       struct tide_position *out, struct tide_err *e)
{
    const struct tide_result *result = NULL;
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    if (code == TIDE_OK && out) *out = result->as.position;
    tide_run_free(run);
    return code;
}

enum tide_code tide_promote(tide_db *db, const struct tide_position *expect, bool is_forced,
                            struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_position(db, run, tide_run_promote(run, expect, is_forced), out, e);
}

enum tide_code tide_follow(tide_db *db, const char *address, bool accepts_loss,
                           const struct tide_position *expect, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_plain(db, run, tide_run_follow(run, address, accepts_loss, expect), e);
}

enum tide_code tide_handover(tide_db *db, const char *node_id, uint64_t timeout_ms,
                             struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_position(db, run, tide_run_handover(run, node_id, timeout_ms), out, e);
}

enum tide_code tide_slot_drop(tide_db *db, const char *node_id, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    struct tide_bytes id = {node_id, strlen(node_id)};
    return execute_plain(db, run, tide_run_slot_drop(run, id), e);
}

enum tide_code tide_slot_rename(tide_db *db, const char *node_id, const char *new_id,
                                struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    struct tide_bytes from = {node_id, strlen(node_id)};
    struct tide_bytes to = {new_id, strlen(new_id)};
    return execute_plain(db, run, tide_run_slot_rename(run, from, to), e);
}

static enum tide_code execute_clock(tide_db *db, bool is_accept, struct tide_clock *out,
                                    struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    const struct tide_result *result = NULL;
    int32_t index = is_accept ? tide_run_clock_accept(run) : tide_run_clock(run);
    enum tide_code code = api_execute_one(db, run, index, &result, e);
    if (code == TIDE_OK && out) *out = result->as.clock;
    tide_run_free(run);
    return code;
}

enum tide_code tide_clock_now(tide_db *db, struct tide_clock *out, struct tide_err *e)
{
    return execute_clock(db, false, out, e);
}

enum tide_code tide_clock_accept(tide_db *db, struct tide_clock *out, struct tide_err *e)
{
    return execute_clock(db, true, out, e);
}

enum tide_code tide_checkpoint(tide_db *db, struct tide_position *out, struct tide_err *e)
{
    tide_run *run = api_run_new(e);
    if (!run) return TIDE_NOMEMORY;
    return execute_position(db, run, tide_run_checkpoint(run), out, e);
}
