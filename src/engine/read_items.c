/* read_items: see read_items.h. What a cursor may do is decided here: it must be of this database
 * and this profile, its position must be part of the history that this node has applied, and its
 * moment stands for the whole listing. Everything that is answered is copied into the run's memory:
 * the state goes on changing while the answer is read. While a page is parked its run belongs to
 * it, so that a job may take memory of the run. */
#include "engine/read_items.h"

#include <math.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "core/epoch.h"
#include "core/lag.h"
#include "core/query/cursor.h"
#include "engine/freshness.h"
#include "engine/read.h"
#include "engine/scans.h"

enum { LIMIT_DEFAULT = 10 };

static enum code no_memory(struct err *e)
{
    return ERR(e, E_NOMEMORY, "no memory for the answer");
}

/* What a cursor belongs to: the profile and the filter. */
static uint64_t listing_hash(const struct page *p)
{
    return p->filter == NULL ? p->profile.hash : p->profile.hash ^ hash64_mix(p->filter->hash);
}

/* Is what the page before showed part of the history that is applied here? */
static enum code check_position(const struct db *db, const struct token *at, struct err *e)
{
    seqno applied = state_position(db->state).seqno;
    struct epoch_table table = {.entries = db->identity.epochs,
                                .count = db->identity.epoch_count,
                                .last = log_durable(db->log).seqno};
    uint64_t lost_to = 0;
    switch (epoch_judge_token(&table, at->epoch, at->seqno, applied, &lost_to)) {
    case TOKEN_VISIBLE:
    case TOKEN_FORGOTTEN: return OK; /* too old to be judged: of the same database in any case */
    case TOKEN_NOT_YET:
        return ERR(e, E_STALE,
                   "the cursor was made at record %llu and this node has applied %llu; ask again "
                   "later, or the node it came from",
                   (unsigned long long)at->seqno.v, (unsigned long long)applied.v);
    case TOKEN_LOST:
        return ERR(e, E_LOST,
                   "what the cursor goes on from was lost in the change of epoch %llu to %llu; ask "
                   "again without CURSOR",
                   (unsigned long long)at->epoch, (unsigned long long)lost_to);
    case TOKEN_IMPOSSIBLE: break;
    }
    return ERR(e, E_INVALID, "the cursor names record %llu of epoch %llu, which never was",
               (unsigned long long)at->seqno.v, (unsigned long long)at->epoch);
}

/* Go on where the cursor says. */
static enum code take_cursor(struct page *p, struct slice text, int64_t now_ms, struct err *e)
{
    struct cursor c;
    uint8_t *room = run_take(p->run, text.size);
    if (room == NULL) return no_memory(e);
    TRY(cursor_decode(text, &p->db->identity.cluster, room, &c, e));
    if (c.profile_hash != listing_hash(p)) {
        return ERR(e, E_INVALID,
                   "the cursor is of another profile or another WHERE; ask again without CURSOR");
    }
    if (now_ms != 0 && now_ms != c.now_ms) {
        return ERR(e, E_INVALID, "NOW %lld differs from the cursor's %lld; leave it out",
                   (long long)now_ms, (long long)c.now_ms);
    }
    TRY(check_position(p->db, &c.position, e));
    if (c.has_shown && c.shown_count + p->request.limit > CURSOR_SHOWN_MAX) {
        return ERR(e, E_LIMIT, "a listing in this order ends after %u items", CURSOR_SHOWN_MAX);
    }
    p->shown = run_take(p->run, (c.shown_count + p->request.limit) * sizeof(*p->shown));
    if (p->shown == NULL) return no_memory(e);
    cursor_shown(&c, p->shown);
    p->after = (struct retrieve_after){.place = c.place,
                                       .has_shown = c.has_shown,
                                       .shown = p->shown,
                                       .shown_count = c.shown_count};
    p->request.now_ms = c.now_ms;
    p->request.after = &p->after;
    return OK;
}

static int by_number(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a;
    uint32_t y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The cursor of the next page; none when this one is not full. */
static enum code give_cursor(struct page *p, const struct state *s, struct err *e)
{
    if (p->count < p->request.limit) return OK;
    const struct retrieve_row *last = &p->rows[p->count - 1];
    struct position at = state_position(s);
    struct cursor c = {
        .profile_hash = listing_hash(p),
        .position = token_of(&at),
        .now_ms = p->request.now_ms,
        .place = {.rank = last->rank,
                  .created_ms = state_item_created_ms(s, last->item),
                  .key = state_item_key(s, last->item)},
        .has_shown =
            p->request.after != NULL ? p->after.has_shown : retrieve_can_fall(s, &p->request),
    };
    if (c.has_shown) {
        if (p->shown == NULL) p->shown = run_take(p->run, p->count * sizeof(*p->shown));
        if (p->shown == NULL) return no_memory(e);
        c.shown_count = p->after.shown_count;
        for (uint32_t i = 0; i < p->count; i++) {
            p->shown[c.shown_count++] = p->rows[i].item;
        }
        qsort(p->shown, c.shown_count, sizeof(*p->shown), by_number);
        c.shown = p->shown;
    }
    char *text = run_take(p->run, cursor_text_size_max(c.shown_count));
    if (text == NULL) return no_memory(e);
    size_t size = cursor_encode(&c, &p->db->identity.cluster, text);
    p->items.cursor = (struct tide_bytes){text, size};
    return OK;
}

static double staleness_ms(const struct db *db)
{
    uint64_t bound_ns = db_staleness_ns(db);
    return bound_ns == LAG_NEVER ? (double)INFINITY : (double)bound_ns / (double)NS_PER_MS;
}

static enum code explain(struct page *p, const struct state *s, struct retrieve_term *terms,
                         uint32_t row, struct tide_item *out, struct err *e)
{
    uint32_t count = retrieve_terms(s, &p->request, &p->rows[row], terms);
    struct tide_term *copies = run_take(p->run, count * sizeof(*copies));
    if (copies == NULL) return no_memory(e);
    for (uint32_t i = 0; i < count; i++) {
        size_t size = strlen(terms[i].name) + 1;
        char *name = run_take(p->run, size);
        if (name == NULL) return no_memory(e);
        memcpy(name, terms[i].name, size);
        copies[i] = (struct tide_term){.name = name, .value = terms[i].value};
    }
    out->terms = copies;
    out->term_count = count;
    return OK;
}

static enum code copy_items(struct page *p, const struct state *s, struct err *e)
{
    struct tide_item *items = run_take(p->run, (p->count + 1) * sizeof(*items));
    struct retrieve_term *terms = NULL;
    if (p->is_explain) terms = run_take(p->run, retrieve_terms_max(s) * sizeof(*terms));
    if (items == NULL || (p->is_explain && terms == NULL)) return no_memory(e);
    for (uint32_t i = 0; i < p->count; i++) {
        struct slice key = state_item_key(s, p->rows[i].item);
        uint8_t *copy = run_take(p->run, key.size);
        if (copy == NULL) return no_memory(e);
        memcpy(copy, key.data, key.size);
        items[i] = (struct tide_item){.key = {copy, key.size}, .score = p->rows[i].score};
        if (p->is_explain) TRY(explain(p, s, terms, i, &items[i], e));
    }
    struct position at = state_position(s);
    p->items = (struct tide_items){
        .items = items,
        .count = p->count,
        .is_exact = true,
        .position = read_position(&at),
        .staleness_ms = p->staleness_ms,
    };
    return OK;
}

/* Steps. */

static enum code page_prepare(struct page *p, const struct op *op, struct err *e)
{
    const struct state *s = p->db->state;
    if (op->number > RETRIEVE_LIMIT_MAX) {
        return ERR(e, E_LIMIT, "LIMIT is %llu; at most %u are allowed",
                   (unsigned long long)op->number, RETRIEVE_LIMIT_MAX);
    }
    TRY(profile_find(s, op->entry.type, &p->profile, e));
    p->is_explain = op->is_explain;
    p->is_of_now = op->entry.at_ms == 0 && op->record_key.size == 0;
    p->exclude_keys = op->more;
    p->request = (struct retrieve_request){
        .order = p->profile.order,
        .type_id = p->profile.type_id,
        .limit = op->number != 0 ? (uint32_t)op->number : LIMIT_DEFAULT,
        .now_ms = read_time_or_now(p->db, op->entry.at_ms),
        .exclude_count = op->count,
    };
    p->where = op->producer;
    if (p->where.size > 0) {
        p->filter = run_take(p->run, sizeof(*p->filter));
        if (p->filter == NULL) return no_memory(e);
        TRY(expr_compile(p->where, s, p->filter, e));
        p->request.filter = p->filter;
    }
    if (op->record_key.size > 0) TRY(take_cursor(p, op->record_key, op->entry.at_ms, e));
    p->rows = run_take(p->run, p->request.limit * sizeof(*p->rows));
    p->excludes = run_take(p->run, (op->count + 1) * sizeof(*p->excludes));
    return p->rows != NULL && p->excludes != NULL ? OK : no_memory(e);
}

void page_resolve(struct page *p)
{
    for (uint32_t i = 0; i < p->request.exclude_count; i++) {
        p->excludes[i] = state_item_find(p->db->state, p->exclude_keys[i]);
    }
    p->request.excludes = p->excludes;
    /* Numbers of tags and creators hold at one position only. */
    if (p->filter != NULL) p->code = expr_compile(p->where, p->db->state, p->filter, &p->err);
    p->staleness_ms = staleness_ms(p->db);
    if (p->is_of_now) p->request.now_ms = read_time_or_now(p->db, 0);
}

enum code page_answer(struct page *p, const struct state *s, struct alloc *alloc, struct err *e)
{
    TRY(retrieve_run(s, alloc, &p->request, p->rows, &p->count, e));
    TRY(copy_items(p, s, e));
    return give_cursor(p, s, e);
}

void page_give(struct page *p, struct op *op)
{
    if (p->code != OK) {
        read_fail(p->run, op, &p->err);
        return;
    }
    op->result.kind = TIDE_RESULT_ITEMS;
    op->result.as.items = p->items;
}

/* Try it on the loop, with a bound on what is looked at; *out_is_done is false where that was not
 * enough. */
static enum code answer_at_once(struct page *p, bool *out_is_done, struct err *e)
{
    const struct state *s = p->db->state;
    uint64_t left_out = (uint64_t)p->request.exclude_count + p->after.shown_count;
    if (left_out + retrieve_work_min(s, &p->request) > PAGE_AT_ONCE_MAX) return OK;
    page_resolve(p);
    if (p->code != OK) {
        *e = p->err;
        return p->code;
    }
    p->request.work_max = PAGE_AT_ONCE_MAX;
    enum code code = page_answer(p, s, scans_alloc(p->db->scans), e);
    p->request.work_max = 0;
    *out_is_done = code != E_BUSY;
    return code == E_BUSY ? OK : code;
}

bool read_items(struct db *db, struct tide_run *run, struct op *op)
{
    ASSERT(db->state != NULL);
    struct err e = {.code = OK};
    struct page *p = run_take(run, sizeof(*p));
    bool is_done = false;
    enum code code = p == NULL ? no_memory(&e) : OK;
    if (code == OK) {
        *p = (struct page){.db = db, .run = run};
        code = page_prepare(p, op, &e);
    }
    if (code == OK) code = answer_at_once(p, &is_done, &e);
    if (code == OK && is_done) {
        page_give(p, op);
        return true;
    }
    if (code == OK) code = scans_add(db->scans, p, &e);
    if (code == OK) return false;
    read_fail(run, op, &e);
    return true;
}
