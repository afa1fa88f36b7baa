/* scans: see scans.h. */
#include "engine/scans.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/queue.h"
#include "engine/read.h"

/* A frozen state and the job that lets it go: releasing every block is work for the lane, too. */
struct view {
    struct env_job job;
    struct scans *owner;
    struct view *next; /* among those being let go */
    struct state *state;
};

struct scans {
    struct db *db;
    struct alloc alloc; /* of the jobs' work; its counters are atomic */
    struct page *first; /* waiting */
    struct page *last;
    uint32_t waiting;
    struct view *view; /* of the batch in flight; NULL: none */
    uint32_t in_flight;
    struct view *ending;
    struct env_task start_task;
    uint64_t total;
    uint64_t batches;
    bool is_stopped;
};

static void start_was_due(struct env_task *task);

struct scans *scans_new(struct db *db)
{
    struct scans *s = calloc(1, sizeof(*s));
    if (!s) return NULL;
    s->db = db;
    s->start_task.run = start_was_due;
    alloc_init(&s->alloc, 0);
    return s;
}

void scans_free(struct scans *s)
{
    if (!s) return;
    if (s->view) state_free(s->view->state);
    free(s->view);
    while (s->ending) {
        struct view *next = s->ending->next;
        state_free(s->ending->state);
        free(s->ending);
        s->ending = next;
    }
    free(s);
}

bool scans_is_quiet(const struct scans *s)
{
    return !s->first && s->in_flight == 0 && !s->ending;
}

struct alloc *scans_alloc(struct scans *s)
{
    return &s->alloc;
}

/* --- the frozen state --- */

static void view_release(struct env_job *job)
{
    struct view *v = CONTAINER_OF(job, struct view, job);
    state_free(v->state);
    v->state = NULL;
}

static void view_released(struct env_job *job)
{
    struct view *v = CONTAINER_OF(job, struct view, job);
    struct view **at = &v->owner->ending;
    while (*at != v) {
        at = &(*at)->next;
    }
    *at = v->next;
    free(v);
}

static void end_view(struct scans *s)
{
    struct view *v = s->view;
    s->view = NULL;
    if (!v) return;
    v->next = s->ending;
    s->ending = v;
    v->job = (struct env_job){.run = view_release, .done = view_released};
    s->db->env->v->submit(s->db->env, LANE_READ, &v->job);
}

static struct view *view_new(struct scans *s)
{
    struct view *v = calloc(1, sizeof(*v));
    if (!v) return NULL;
    v->owner = s;
    v->state = state_freeze(s->db->state);
    if (v->state) return v;
    free(v);
    return NULL;
}

/* --- batches --- */

static struct page *take_first(struct scans *s)
{
    struct page *p = s->first;
    s->first = p->next;
    if (!s->first) s->last = NULL;
    s->waiting--;
    return p;
}

static void answer(struct page *p)
{
    struct tide_run *run = p->run;
    struct op *op = &run->ops[run->cursor];
    page_give(p, op);
    queue_resume(p->db->queue, run);
}

static void start_batch(struct scans *s);

static void scan_run_job(struct env_job *job)
{
    struct page *p = CONTAINER_OF(job, struct page, job);
    p->code = page_answer(p, p->frozen, p->alloc, &p->err);
}

static void scan_done(struct env_job *job)
{
    struct page *p = CONTAINER_OF(job, struct page, job);
    struct scans *s = p->db->scans;
    ASSERT(s->in_flight > 0);
    s->in_flight--;
    if (s->in_flight == 0) end_view(s);
    answer(p); /* what it asks next may wait for the next batch */
    start_batch(s);
}

static void start_page(struct scans *s, struct page *p)
{
    p->frozen = s->view->state;
    p->job = (struct env_job){.run = scan_run_job, .done = scan_done};
    s->in_flight++;
    s->db->env->v->submit(s->db->env, LANE_READ, &p->job);
}

/* Freeze, and answer what waits: keys are looked up at this very position. */
static void start_batch(struct scans *s)
{
    if (s->in_flight > 0 || !s->first || s->is_stopped) return;
    bool is_whole = state_is_whole(s->db->state);
    s->view = is_whole ? view_new(s) : NULL;
    s->batches++;
    for (uint32_t n = s->waiting < SCANS_BATCH_MAX ? s->waiting : SCANS_BATCH_MAX; n > 0; n--) {
        struct page *p = take_first(s);
        s->total++;
        if (is_whole) {
            page_resolve(p);
        } else { /* apply stopped in the middle of a batch while it waited */
            p->code = ERR(&p->err, E_HALTED, "%s", s->db->reason.text);
        }
        if (p->code == OK && s->view) {
            start_page(s, p);
            continue;
        }
        if (p->code == OK) p->code = page_answer(p, s->db->state, &s->alloc, &p->err);
        answer(p);
    }
    if (s->in_flight == 0) end_view(s);
}

static void start_was_due(struct env_task *task)
{
    start_batch(CONTAINER_OF(task, struct scans, start_task));
}

enum code scans_add(struct scans *s, struct page *page, struct err *e)
{
    if (s->is_stopped) return ERR(e, E_CLOSED, "the database is closing");
    if (s->waiting == SCANS_WAITING_MAX) {
        return ERR(e, E_BUSY, "%u long reads are waiting already; try again", SCANS_WAITING_MAX);
    }
    page->next = NULL;
    page->alloc = &s->alloc;
    if (s->last) {
        s->last->next = page;
    } else {
        s->first = page;
    }
    s->last = page;
    s->waiting++;
    /* By a task: the run is not parked yet, and what arrives in this turn shares the batch. */
    s->db->env->v->post(s->db->env, &s->start_task);
    return OK;
}

void scans_stop(struct scans *s)
{
    s->is_stopped = true;
    while (s->first) {
        struct page *p = take_first(s);
        p->code = ERR(&p->err, E_CLOSED, "the database is closing");
        answer(p);
    }
}

void scans_status(const struct scans *s, struct scans_status *out)
{
    *out = (struct scans_status){
        .in_flight = s->in_flight, .waiting = s->waiting, .total = s->total, .batches = s->batches};
}
