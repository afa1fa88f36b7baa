/* log_hash: the hashes of the active segment's 64 KiB pieces, which its footer will hold. Nobody
 * waits for them until the segment is sealed, so they are made behind the acknowledgement: what was
 * written gathers here and is hashed on the background lane, a quarter of a MiB at a time; what is
 * left when the segment is sealed, the log lane hashes itself.
 *
 * The hasher has one owner at a time: the background job, from the moment it takes its list until
 * done; else the log lane while a job of it is in flight. A background job that has not begun when
 * the segment is sealed loses its list to the log lane, because that lane may be busy for long; one
 * that runs is waited for: it takes less than a millisecond.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"

#define HASH_BATCH_BYTES ((uint64_t)(256 * KIB))

/* --- the hasher --- */

void piece_hasher_reset(struct piece_hasher *p)
{
    hasher_init(&p->hasher);
    p->filled = 0;
    p->count = 0;
    p->is_failed = false;
}

void piece_hasher_fini(struct piece_hasher *p)
{
    free(p->pieces);
    p->pieces = NULL;
    p->capacity = 0;
}

static bool piece_close(struct piece_hasher *p)
{
    if (p->count == p->capacity) {
        uint32_t capacity = p->capacity ? p->capacity * 2 : 256;
        struct hash256 *pieces = realloc(p->pieces, capacity * sizeof(*pieces));
        p->is_failed = !pieces;
        if (!pieces) return false;
        p->pieces = pieces;
        p->capacity = capacity;
    }
    p->pieces[p->count++] = hasher_final(&p->hasher);
    hasher_init(&p->hasher);
    p->filled = 0;
    return true;
}

bool piece_hasher_feed(struct piece_hasher *p, struct slice bytes)
{
    while (bytes.size > 0 && !p->is_failed) {
        size_t room = CHUNK_SIZE - p->filled;
        size_t size = bytes.size < room ? bytes.size : room;
        hasher_update(&p->hasher, slice_of(bytes.data, size));
        p->filled += size;
        bytes.data += size;
        bytes.size -= size;
        if (p->filled == CHUNK_SIZE && !piece_close(p)) return false;
    }
    return !p->is_failed;
}

bool piece_hasher_finish(struct piece_hasher *p)
{
    return !p->is_failed && (p->filled == 0 || piece_close(p));
}

/* --- lists of chunks --- */

static void list_add(struct hash_list *list, struct log_chunk *chunk)
{
    chunk->hash_next = NULL;
    if (list->last) {
        list->last->hash_next = chunk;
    } else {
        list->first = chunk;
    }
    list->last = chunk;
    list->bytes += chunk->size;
}

/* Everything of `from`, behind what `to` has. */
static void list_move(struct hash_list *to, struct hash_list *from)
{
    if (!from->first) return;
    if (to->last) {
        to->last->hash_next = from->first;
    } else {
        to->first = from->first;
    }
    to->last = from->last;
    to->bytes += from->bytes;
    *from = (struct hash_list){0};
}

bool hash_list_feed(struct piece_hasher *p, const struct hash_list *list)
{
    bool is_good = true;
    for (const struct log_chunk *chunk = list->first; chunk && is_good; chunk = chunk->hash_next) {
        is_good = piece_hasher_feed(p, slice_of(chunk->data, chunk->size));
    }
    return is_good;
}

void hash_list_free(struct log *log, struct hash_list *list)
{
    while (list->first) {
        struct log_chunk *chunk = list->first;
        list->first = chunk->hash_next;
        chunk_unref(log, chunk);
    }
    *list = (struct hash_list){0};
}

/* --- in the background --- */

/* True: the list is the caller's. Acquire and release: whoever takes it sees what was put in. */
static bool take(struct log_hash *h)
{
    return !atomic_exchange_explicit(&h->is_taken, true, memory_order_acq_rel);
}

static void hash_run(struct env_job *job)
{
    struct log_hash *h = CONTAINER_OF(job, struct log_hash, job);
    struct log *log = CONTAINER_OF(h, struct log, hash);
    if (!take(h)) return; /* the segment was sealed before this began */
    /* Want of memory is kept in the hasher, and told when the segment is sealed. */
    (void)hash_list_feed(&log->pieces, &h->list);
}

static void start(struct log *log);

static void hash_done(struct env_job *job)
{
    struct log_hash *h = CONTAINER_OF(job, struct log_hash, job);
    struct log *log = CONTAINER_OF(h, struct log, hash);
    h->is_submitted = false;
    h->is_revoked = false;
    hash_list_free(log, &h->list);
    if (h->is_awaited) {
        h->is_awaited = false;
        log_submit_job(log);
    } else {
        start(log);
    }
}

static void start(struct log *log)
{
    struct log_hash *h = &log->hash;
    if (h->is_submitted || h->waiting.bytes < HASH_BATCH_BYTES) return;
    list_move(&h->list, &h->waiting);
    h->job = (struct env_job){.run = hash_run, .done = hash_done};
    atomic_store_explicit(&h->is_taken, false, memory_order_relaxed); /* submit publishes it */
    h->is_submitted = true;
    log->env->v->submit(log->env, LANE_BACKGROUND, &h->job);
}

void log_hash_add(struct log *log, struct log_chunk *chunk)
{
    chunk_ref(chunk);
    list_add(&log->hash.waiting, chunk);
    start(log);
}

bool log_hash_collect(struct log *log, struct hash_list *out)
{
    struct log_hash *h = &log->hash;
    if (h->is_submitted && !h->is_revoked) {
        if (!take(h)) { /* it runs, or has run and is not done yet */
            h->is_awaited = true;
            return false;
        }
        h->is_revoked = true;
    }
    list_move(out, &h->list);
    list_move(out, &h->waiting);
    return true;
}

void log_hash_free(struct log *log)
{
    hash_list_free(log, &log->hash.list);
    hash_list_free(log, &log->hash.waiting);
    piece_hasher_fini(&log->pieces);
}
