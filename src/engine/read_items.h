/* read_items: RETRIEVE: a profile's name, options and perhaps a cursor in; a page of items with the
 * cursor of the next one out. In steps, so that a long one runs beside the loop (scans.h):
 *
 *   prepare (loop: judge, find profile and cursor)
 *   resolve (loop, at the position that answers: keys to items, whatever else needs a map)
 *   answer  (any one thread, over the live or a frozen state of that position)
 *   give    (loop: into the operation's result)
 *
 * What is short is answered at once: less than PAGE_AT_ONCE_MAX counts and items to look at. */
#ifndef TIDEMARK_ENGINE_READ_ITEMS_H
#define TIDEMARK_ENGINE_READ_ITEMS_H

#include "core/query/expr.h"
#include "core/query/profile.h"
#include "core/query/retrieve.h"
#include "engine/db.h"

/* About what a hand-over to another thread and back costs: 50 us. */
#define PAGE_AT_ONCE_MAX 65536u

/* One page being answered; in its run's memory. */
struct page {
    struct db *db;
    struct tide_run *run;
    bool is_explain;
    bool is_of_now; /* no moment was asked for: that of the position that answers */
    struct profile profile;
    struct retrieve_request request;
    struct retrieve_after after;
    const struct slice *exclude_keys;
    uint32_t *excludes;
    struct slice where;    /* size 0: none */
    struct filter *filter; /* room for one when there is a where */
    uint32_t *shown;       /* room for a page more than after.shown_count */
    double staleness_ms;
    /* The answer. */
    struct retrieve_row *rows;
    uint32_t count;
    struct tide_items items;
    enum code code;
    struct err err;
    /* While it waits or is in flight (scans.c). */
    struct page *next;
    struct env_job job;
    const struct state *frozen;
    struct alloc *alloc;
};

/* Answer the operation (at run->cursor), or park its run with scans. False: it is parked.
 * db->state is whole. */
MUST_CHECK bool read_items(struct db *db, struct tide_run *run, struct op *op);

/* The later steps, for scans. */
void page_resolve(struct page *p);
MUST_CHECK enum code page_answer(struct page *p, const struct state *s, struct alloc *alloc,
                                 struct err *e);
void page_give(struct page *p, struct op *op); /* items, or the error that p->code says */

#endif
