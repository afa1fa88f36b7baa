/* log_import: opens the directory as a follower, lets it follow the directory of objects until it
 * has what is there, and closes it. Everything that is checked of a leader's batches is checked of
 * these, because the same code takes them: it is replication over the directory transport.
 *
 * Never: writes into a directory that leads, or into one of another log. */
#include "engine/log_import.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/directory.h"
#include "engine/identity_store.h"
#include "env/thread.h"
#include "format/wire.h"

#define LOOK_MS     5u
#define PATIENCE_NS (60 * NS_PER_S) /* without any progress */

struct import {
    const char *dir;
    const char *from;
    const char *node_id;
    struct object_index index;
    struct directory *directory;
    tide_db *db;
    seqno before;
    seqno target; /* where an uninterrupted row of objects ends */
};

/* --- before opening --- */

static enum code open_existing(const char *path, struct env **out, struct err *e)
{
    struct env_uv_options options = {.size = sizeof(options),
                                     .dir = path,
                                     .background_threads = 1,
                                     .read_threads = 1,
                                     .is_existing = true};
    return env_uv_open(&options, out, e);
}

static enum code look_at_objects(struct import *x, struct err *e)
{
    struct env *env = NULL;
    TRY(open_existing(x->from, &env, e));
    enum code code = object_index_look(&x->index, env, e);
    env_uv_close(env);
    TRY(code);
    if (x->index.damaged[0] != '\0') {
        return ERR(e, x->index.damage.code, "%s", x->index.damage.text);
    }
    if (x->index.count == 0) {
        return ERR(e, E_NOTFOUND, "%s holds no objects of a log (made by: tidemark log export)",
                   x->from);
    }
    return OK;
}

static enum code judge_identity(const struct import *x, const struct identity *id, struct err *e)
{
    const struct log_identity *log = &x->index.entries[0].id;
    if (id->role != ROLE_FOLLOWER) {
        return ERR(e, E_INVALID,
                   "%s leads: records of another log cannot be taken into it; import into a new "
                   "directory, or into one that follows",
                   x->dir);
    }
    bool is_same = id128_is_zero(&id->cluster) || id128_equal(&id->cluster, &log->cluster);
    if (is_same && stream_equal(id->stream, log->stream)) return OK;
    return ERR(e, E_WRONG_CLUSTER, "%s belongs to another cluster or stream than %s", x->dir,
               x->index.entries[0].name);
}

/* May the directory take them? A new one may. */
static enum code look_at_directory(const struct import *x, struct err *e)
{
    struct env *env = NULL;
    bool is_found = false;
    enum code code = open_existing(x->dir, &env, e);
    if (code == E_NOTFOUND) return OK;
    TRY(code);
    struct identity *id = calloc(1, sizeof(*id));
    code = id != NULL ? OK : ERR(e, E_NOMEMORY, "no memory to read identity");
    if (code == OK) code = identity_load(env, id, &is_found, e);
    env_uv_close(env);
    if (code == OK && is_found) code = judge_identity(x, id, e);
    free(id);
    return code;
}

/* --- taking --- */

static enum code from_public(enum tide_code code, const struct tide_err *from, struct err *e)
{
    return code == TIDE_OK ? OK : ERR(e, (enum code)code, "%s", from->message);
}

static enum code open_follower(struct import *x, struct err *e)
{
    struct tide_err why;
    struct stream_id stream = x->index.entries[0].id.stream;
    struct tide_options options = {.size = sizeof(options),
                                   .dir = x->dir,
                                   .follow = TIDE_TRANSPORT,
                                   .node_id = x->node_id,
                                   .region = stream.region,
                                   .shard = stream.shard};
    return from_public(tide_open(&options, &x->db, NULL, &why), &why, e);
}

static enum code ask_position(struct import *x, struct tide_position *out, struct err *e)
{
    struct tide_err why;
    enum tide_code code = tide_position_now(x->db, out, &why);
    if (code == TIDE_LOADING) { /* nothing yet */
        *out = (struct tide_position){0};
        return OK;
    }
    return from_public(code, &why, e);
}

/* What the directory refused with, by the word that the handshake has for it. */
static enum code refusal_code(const char *link_state)
{
    static const struct {
        enum refuse_reason reason;
        enum code code;
    } known[] = {{REFUSE_OTHER_HISTORY, E_DIVERGED},
                 {REFUSE_NOT_KEPT, E_NOT_KEPT},
                 {REFUSE_WRONG_CLUSTER, E_WRONG_CLUSTER},
                 {REFUSE_WRONG_STREAM, E_WRONG_CLUSTER},
                 {REFUSE_BUSY, E_CORRUPT}};
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (strstr(link_state, refuse_name((uint8_t)known[i].reason)) != NULL) {
            return known[i].code;
        }
    }
    return E_PROTOCOL;
}

/* Did it stop for good? Not OK: why. */
static enum code judge_status(const struct tide_status *s, struct err *e)
{
    static const struct {
        const char *state;
        enum code code;
    } ends[] = {{"poisoned", E_POISONED}, {"halted", E_HALTED}, {"diverged", E_DIVERGED}};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (strcmp(s->state, ends[i].state) == 0) return ERR(e, ends[i].code, "%s", s->reason);
    }
    if (strncmp(s->link_state, "refused: ", strlen("refused: ")) == 0) {
        return ERR(e, refusal_code(s->link_state), "%s", s->link_state);
    }
    return OK;
}

static enum code look_at_status(struct import *x, struct err *e)
{
    tide_run *run = tide_run_new();
    if (run == NULL || tide_run_status(run) < 0 || tide_execute(x->db, run) != TIDE_OK) {
        tide_run_free(run);
        return ERR(e, E_NOMEMORY, "no memory to look at the database");
    }
    const struct tide_result *result = tide_run_result(run, 0);
    enum code code = (enum code)result->code;
    if (code == OK) {
        code = judge_status(result->as.status, e);
    } else {
        (void)ERR(e, code, "%s", result->message);
    }
    tide_run_free(run);
    return code;
}

static enum code wait_for_target(struct import *x, struct env *clock, struct err *e)
{
    struct tide_position at = {0};
    uint64_t last = UINT64_MAX;
    uint64_t progress_ns = 0;
    struct env_event never;
    env_event_init(&never);
    for (;;) {
        TRY(ask_position(x, &at, e));
        if (at.seqno >= x->target.v) return OK;
        uint64_t now_ns = clock->v->now_mono_ns(clock);
        if (at.seqno != last) progress_ns = now_ns;
        last = at.seqno;
        TRY(look_at_status(x, e));
        if (now_ns - progress_ns > PATIENCE_NS) {
            return ERR(e, E_TIMEOUT, "nothing moves after record %llu",
                       (unsigned long long)at.seqno);
        }
        (void)env_event_wait_ms(&never, LOOK_MS);
    }
}

/* Nothing is to be taken: is what is there the same, as far as the last object tells? */
static enum code check_end(const struct import *x, const struct tide_position *at, struct err *e)
{
    for (uint32_t i = 0; i < x->index.count; i++) {
        const struct position *end = &x->index.entries[i].end;
        if (end->seqno.v == at->seqno &&
            memcmp(end->chain.bytes, at->chain4, sizeof(at->chain4)) != 0) {
            return ERR(e, E_DIVERGED, "record %llu of %s is another one than in %s",
                       (unsigned long long)at->seqno, x->index.entries[i].name, x->dir);
        }
    }
    return OK;
}

/* Objects beyond a hole cannot be taken: say which are missing. */
static enum code check_hole(struct import *x, struct env *env, struct err *e)
{
    for (uint32_t i = 0; i < x->index.count; i++) {
        if (x->index.entries[i].start.seqno.v <= x->target.v) continue;
        struct position end = {.seqno = x->target};
        struct object none;
        enum code code = object_find(env, &x->index, &end, &none, e);
        ASSERT(code != OK); /* the row ended there */
        return code;
    }
    return OK;
}

static enum code take(struct import *x, struct env *env, struct tide_log_report *out, struct err *e)
{
    struct tide_position at = {0};
    struct tide_err why;
    TRY(ask_position(x, &at, e));
    x->before = seqno_of(at.seqno);
    struct position from = {.seqno = x->before};
    uint64_t bytes = 0;
    x->target = object_row_end(&x->index, &from, &bytes).seqno;
    enum code code = OK;
    if (x->target.v > x->before.v) {
        TRY(from_public(tide_replicate(x->db, directory_transport(x->directory), "directory", &why),
                        &why, e));
        code = wait_for_target(x, env, e);
    } else {
        code = check_end(x, &at, e);
    }
    TRY(code);
    TRY(ask_position(x, &at, e));
    out->position = at;
    out->records = at.seqno - x->before.v;
    for (uint32_t i = 0; i < x->index.count; i++) {
        const struct object_entry *entry = &x->index.entries[i];
        if (entry->end.seqno.v <= x->before.v || entry->end.seqno.v > at.seqno) continue;
        out->objects++;
        out->bytes += entry->data_bytes;
    }
    return check_hole(x, env, e);
}

enum code log_import(const char *dir, const char *from, const char *node_id,
                     struct tide_log_report *out, struct err *e)
{
    struct import x = {.dir = dir, .from = from, .node_id = node_id};
    struct env *env = NULL;
    *out = (struct tide_log_report){0};
    enum code code = look_at_objects(&x, e);
    if (code == OK) code = look_at_directory(&x, e);
    if (code == OK) code = open_existing(from, &env, e);
    if (code == OK) code = directory_open(from, &x.directory, e);
    if (code == OK) code = open_follower(&x, e);
    if (code == OK) code = take(&x, env, out, e);
    (void)tide_close(x.db, 10000, NULL); /* it cannot fail; the next open finds what was stored */
    directory_close(x.directory);
    env_uv_close(env);
    object_index_free(&x.index);
    return code;
}
