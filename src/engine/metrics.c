/* metrics: see metrics.h. */
#include "engine/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/metric.h"
#include "core/chain.h"
#include "engine/checkpoint.h"
#include "engine/events.h"
#include "engine/levels.h"
#include "engine/log_open.h"
#include "engine/scans.h"
#include "engine/shipper.h"
#include "engine/stages.h"

static const struct metric_bounds sync_bounds = {.count = 14,
                                                 .upper = {50e-6, 100e-6, 150e-6, 200e-6, 300e-6,
                                                           500e-6, 1e-3, 2e-3, 5e-3, 10e-3, 50e-3,
                                                           0.1, 0.5, 1.0}};
static const struct metric_bounds group_bounds = {
    .count = 14, .upper = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 4096, 16384, 65536}};

struct metrics {
    struct metric_histogram sync_seconds;
    struct metric_histogram group_records;
    double recovery_seconds;
    uint64_t recovery_discarded_bytes;
};

struct metrics *metrics_new(void)
{
    return calloc(1, sizeof(struct metrics));
}

void metrics_free(struct metrics *m)
{
    free(m);
}

void metrics_note_sync(struct metrics *m, uint64_t sync_ns, uint64_t records)
{
    if (!m) return;
    metric_observe(&m->sync_seconds, &sync_bounds, (double)sync_ns * 1e-9);
    metric_observe(&m->group_records, &group_bounds, (double)records);
}

void metrics_note_recovery(struct metrics *m, uint64_t recovery_ns, uint64_t discarded_bytes)
{
    m->recovery_seconds = (double)recovery_ns * 1e-9;
    m->recovery_discarded_bytes = discarded_bytes;
}

/* --- one value or one per word --- */

#define LABELS_SIZE (NODE_ID_SIZE_MAX + 96u)

/* 1 for the word that is true, 0 for the others. */
static void write_words(struct metric_writer *w, enum metric metric, const char *const *words,
                        size_t count, const char *now)
{
    metric_begin(w, metric);
    for (size_t i = 0; i < count; i++) {
        char labels[LABELS_SIZE];
        struct text t = text_of(labels, sizeof(labels));
        text_add(&t, "%s=\"%s\"", metric_info(metric)->labels, words[i]);
        metric_u64(w, labels, strcmp(words[i], now) == 0);
    }
}

static void write_node(struct metric_writer *w, const struct db *db, const struct tide_status *s)
{
    static const char *const roles[] = {"single", "leader", "follower"};
    static const char *const states[] = {"serving", "syncing",  "rebootstrapping", "poisoned",
                                         "halted",  "diverged", "closing"};
    write_words(w, METRIC_ROLE, roles, COUNT_OF(roles), roles[s->role - 1]);
    write_words(w, METRIC_STATE, states, COUNT_OF(states), s->state);
    metric_one_u64(w, METRIC_EPOCH, s->epoch);
    metric_one_u64(w, METRIC_TOPOLOGY, s->topology_version);
    metric_begin(w, METRIC_HOPS); /* absent while it is not known */
    uint32_t hops = chain_length(slice_of_text(s->path));
    if (s->role != TIDE_ROLE_FOLLOWER || (hops > 0 && !s->is_cut)) metric_u64(w, "", hops);
    metric_one_f64(w, METRIC_UPTIME, (double)s->uptime_ms * 1e-3);
    metric_begin(w, METRIC_EVENTS);
    for (uint32_t i = 0; i < DB_EVENT_KIND_COUNT; i++) {
        char labels[LABELS_SIZE];
        struct text t = text_of(labels, sizeof(labels));
        text_add(&t, "kind=\"%s\"", db_event_kind_name((enum db_event_kind)i));
        metric_u64(w, labels, db->events.by_kind[i]);
    }
    struct log_figures log = {0};
    if (db->log) log_figures(db->log, &log);
    metric_begin(w, METRIC_MEMORY);
    metric_u64(w, "kind=\"state\"", s->memory_bytes);
    metric_u64(w, "kind=\"log_tail\"", log.tail_bytes);
    metric_u64(w, "kind=\"log_free\"", log.pool_bytes);
    metric_one_u64(w, METRIC_ITEMS, s->items);
}

static void write_log(struct metric_writer *w, const struct db *db, const struct tide_status *s)
{
    metric_one_u64(w, METRIC_ASSIGNED, s->assigned);
    metric_one_u64(w, METRIC_DURABLE, s->durable.seqno);
    metric_one_u64(w, METRIC_APPLIED, s->applied.seqno);
    metric_one_u64(w, METRIC_COMMITTED, s->committed);
    metric_one_u64(w, METRIC_SAFE, s->safe);
    metric_one_u64(w, METRIC_OLDEST, s->oldest);
    metric_one_u64(w, METRIC_FLOOR, s->retention_floor);
    metric_one_u64(w, METRIC_LOG_BYTES, s->log_bytes);
    metric_one_u64(w, METRIC_LOG_SEGMENTS, s->log_segments);
    metric_one_u64(w, METRIC_REGRESSED, db->log_regressed);
    metric_begin(w, METRIC_SYNC_SECONDS);
    metric_histogram_rows(w, "", &db->metrics->sync_seconds, &sync_bounds);
    metric_begin(w, METRIC_GROUP_RECORDS);
    metric_histogram_rows(w, "", &db->metrics->group_records, &group_bounds);
    metric_one_f64(w, METRIC_RECOVERY_SECONDS, db->metrics->recovery_seconds);
    metric_one_u64(w, METRIC_RECOVERY_DISCARDED, db->metrics->recovery_discarded_bytes);
}

static void write_checkpoint(struct metric_writer *w, const struct db *db,
                             const struct tide_status *s)
{
    struct checkpointer_status c = {.checkpoint_age_ns = UINT64_MAX};
    if (db->checkpointer) checkpointer_status(db->checkpointer, &c);
    bool has_none = c.checkpoint_age_ns == UINT64_MAX;
    metric_one_u64(w, METRIC_CHECKPOINT_SEQNO, c.checkpoint_seqno.v);
    metric_one_u64(w, METRIC_CHECKPOINT_BYTES, c.checkpoint_bytes);
    metric_one_f64(w, METRIC_CHECKPOINT_SECONDS, (double)c.last_duration_ns * 1e-9);
    metric_one_f64(w, METRIC_CHECKPOINT_AGE,
                   has_none ? (double)INFINITY : (double)c.checkpoint_age_ns * 1e-9);
    metric_one_u64(w, METRIC_CHECKPOINT_FAILURES, c.failures);
    metric_one_u64(w, METRIC_DIGEST_CHECKED, s->digests_checked);
    metric_one_u64(w, METRIC_DIGEST_DIFFERENCES, s->divergences);
    metric_one_u64(w, METRIC_DIGEST_UNCHECKED, c.unchecked);
    metric_one_u64(w, METRIC_DISK_FREE, s->disk_free_bytes);
    metric_one_u64(w, METRIC_DISK_RESERVE, s->disk_reserve_bytes);
    metric_one_u64(w, METRIC_DISK_RUNG, s->disk_rung_number);
    metric_one_f64(w, METRIC_DISK_SECONDS, s->disk_seconds_until_full);
    metric_one_f64(w, METRIC_WRITE_SLOW, (double)s->write_slow_us * 1e-6);
}

/* A follower has no leader time of its own: no series. */
static void write_clock(struct metric_writer *w, const struct tide_status *s)
{
    bool has_time = s->role != TIDE_ROLE_FOLLOWER;
    metric_begin(w, METRIC_CLOCK_OFFSET);
    if (has_time) metric_f64(w, "", (double)s->clock.offset_ms * 1e-3);
    metric_begin(w, METRIC_CLOCK_PENDING);
    if (has_time) metric_u64(w, "", s->clock.is_step_pending);
    metric_begin(w, METRIC_CLOCK_STEPS);
    if (has_time) metric_u64(w, "", s->clock.steps);
}

/* Kinds of levels that were asked for; of the others there is nothing to say. */
static void write_durability(struct metric_writer *w, const struct db *db)
{
    static const char *const policies[] = {"wait", "reject", "degrade"};
    const struct level_figures *figures = levels_figures(db->levels);
    char labels[LABELS_SIZE];
    metric_begin(w, METRIC_DURABILITY_WAIT);
    for (uint8_t kind = 0; kind < LEVEL_KINDS; kind++) {
        const struct level_kind_figures *k = &figures->kinds[kind];
        struct text t = text_of(labels, sizeof(labels));
        if (k->wait_count == 0) continue;
        text_add(&t, "level=\"%s\"", level_word(kind));
        metric_histogram_rows(w, labels, &k->waits, &level_wait_bounds);
    }
    metric_begin(w, METRIC_DURABILITY_MISS);
    for (uint8_t kind = 0; kind < LEVEL_KINDS; kind++) {
        for (size_t i = 0; i < COUNT_OF(policies); i++) {
            uint64_t misses = figures->kinds[kind].misses[i];
            struct text t = text_of(labels, sizeof(labels));
            if (figures->kinds[kind].wait_count == 0 && misses == 0) continue;
            text_add(&t, "level=\"%s\",on_miss=\"%s\"", level_word(kind), policies[i]);
            metric_u64(w, labels, misses);
        }
    }
}

static void write_scans(struct metric_writer *w, const struct db *db)
{
    struct scans_status c;
    scans_status(db->scans, &c);
    metric_one_u64(w, METRIC_SCANS_IN_FLIGHT, c.in_flight);
    metric_one_u64(w, METRIC_SCANS_WAITING, c.waiting);
    metric_one_u64(w, METRIC_SCANS, c.total);
}

static void write_resyncs(struct metric_writer *w, const struct db *db)
{
    struct shipper_resync resyncs[SHIPPER_RESYNCS_MAX];
    uint32_t count = db->shipper ? shipper_resyncs(db->shipper, resyncs) : 0;
    metric_begin(w, METRIC_RESYNC);
    for (uint32_t i = 0; i < count; i++) {
        char labels[LABELS_SIZE];
        struct text t = text_of(labels, sizeof(labels));
        text_add(&t, "kind=\"%s\",reason=\"%s\"", resyncs[i].kind, resyncs[i].reason);
        metric_u64(w, labels, resyncs[i].count);
    }
}

/* --- followers --- */

/* What a row says of one follower. On a follower one more: its own view of itself. */
struct view {
    const struct tide_follower_status *f;
    bool is_own;
};

/* False: the series is absent (never 0 because nothing was heard). */
static bool view_u64(const struct view *view, enum metric metric, uint64_t *out)
{
    const struct tide_follower_status *f = view->f;
    switch ((int)metric) {
    case METRIC_LAG_SEQNO:
    case METRIC_LAG_RECORDS: *out = f->lag_records; return f->was_synced;
    case METRIC_LAG_BYTES: *out = f->lag_bytes; return f->was_synced;
    case METRIC_SHIPPED: *out = f->shipped; return !view->is_own;
    case METRIC_RECEIVED: *out = f->received; return !view->is_own;
    case METRIC_STORED: *out = f->stored; return true;
    case METRIC_FOLLOWER_APPLIED: *out = f->applied; return true;
    case METRIC_CONNECTED: *out = f->is_connected; return true;
    case METRIC_REBOOTSTRAPPING: *out = f->is_rebootstrapping; return true;
    case METRIC_COPY_DONE: *out = f->copy.done_bytes; return f->copy.is_active;
    case METRIC_COPY_TOTAL: *out = f->copy.total_bytes; return f->copy.is_active;
    case METRIC_APPLY_ERRORS: *out = f->apply_errors; return true;
    case METRIC_FOLLOWER_DIVERGENCES: *out = f->divergences; return true;
    case METRIC_LAST_ACKS: *out = f->last_acks; return !view->is_own;
    case METRIC_SLOT_RETAINED: *out = f->held_bytes; return !view->is_own;
    case METRIC_SLOT_SAFE:
        *out = f->safe_bytes;
        return !view->is_own && f->safe_bytes != UINT64_MAX;
    case METRIC_CREDIT: *out = f->credit_bytes; return !view->is_own;
    default: return false;
    }
}

static void follower_labels(const struct tide_follower_status *f, char out[LABELS_SIZE])
{
    struct text t = text_of(out, LABELS_SIZE);
    text_add(&t, "follower=\"%s\",region=\"%u\",shard=\"%u\"", f->node_id, f->region, f->shard);
}

static void write_slot_state(struct metric_writer *w, const char *labels, const char *now)
{
    for (int state = SLOT_BOOTSTRAP; state <= SLOT_LOST; state++) {
        char all[LABELS_SIZE];
        struct text t = text_of(all, sizeof(all));
        const char *name = slot_state_name((uint8_t)state);
        text_add(&t, "%s,state=\"%s\"", labels, name);
        metric_u64(w, all, strcmp(name, now) == 0);
    }
}

static void write_view(struct metric_writer *w, enum metric metric, const struct view *view)
{
    char labels[LABELS_SIZE];
    uint64_t v = 0;
    follower_labels(view->f, labels);
    if (metric == METRIC_LAG_SEQNO) { /* this label and no other */
        struct text t = text_of(labels, sizeof(labels));
        text_add(&t, "follower=\"%s\"", view->f->node_id);
    }
    if (metric == METRIC_SLOT_STATE) {
        if (!view->is_own) write_slot_state(w, labels, view->f->state);
    } else if (metric == METRIC_SLOT_UNTIL_LOST) {
        if (!view->is_own) metric_f64(w, labels, view->f->seconds_until_lost);
    } else if (metric == METRIC_LAG_SECONDS) {
        metric_f64(w, labels, view->f->lag_seconds);
    } else if (view_u64(view, metric, &v)) {
        metric_u64(w, labels, v);
    }
}

static void write_stage(struct metric_writer *w, const char *labels, enum stage stage,
                        const struct metric_histogram *h)
{
    char all[LABELS_SIZE];
    struct text t = text_of(all, sizeof(all));
    text_add(&t, "%s%sstage=\"%s\"", labels, labels[0] != '\0' ? "," : "", stage_name(stage));
    metric_histogram_rows(w, all, h, &stage_bounds);
}

static void write_stages(struct metric_writer *w, const struct db *db, const struct tide_status *s,
                         const struct tide_follower_status *own)
{
    static const enum stage leader[] = {STAGE_APPEND, STAGE_SYNC, STAGE_APPLY};
    static const enum stage follower[] = {STAGE_RECEIVE, STAGE_STORE, STAGE_APPLY};
    char labels[LABELS_SIZE] = "";
    metric_begin(w, METRIC_STAGE_SECONDS);
    if (own) follower_labels(own, labels);
    for (size_t i = 0; i < COUNT_OF(leader); i++) {
        enum stage stage = own ? follower[i] : leader[i];
        write_stage(w, labels, stage, &db->stages.seconds[stage]);
    }
    for (uint32_t i = 0; i < s->follower_count; i++) {
        const struct link_stages *link = shipper_stages(db->shipper, s->followers[i].node_id);
        if (!link) continue; /* no link, no figures */
        follower_labels(&s->followers[i], labels);
        write_stage(w, labels, STAGE_SHIP, &link->ship);
        write_stage(w, labels, STAGE_ACK, &link->ack);
    }
}

static struct tide_follower_status own_view(const struct tide_status *s)
{
    return (struct tide_follower_status){
        .node_id = s->node_id,
        .region = s->region,
        .shard = s->shard,
        .is_connected = s->is_link_up,
        /* Without a link, of this node or above it, nobody knows how far the leader is by now:
         * absent, and seconds grow. */
        .was_synced = s->was_synced && !s->is_cut,
        .is_rebootstrapping = s->copy.is_active,
        .copy = s->copy,
        .stored = s->durable.seqno,
        .applied = s->applied.seqno,
        .lag_records = s->lag_records,
        .lag_bytes = s->lag_bytes,
        .lag_seconds = s->lag_seconds,
        .divergences = s->divergences,
    };
}

static void write_followers(struct metric_writer *w, const struct db *db,
                            const struct tide_status *s)
{
    const struct tide_follower_status own = own_view(s);
    bool has_own = s->role == TIDE_ROLE_FOLLOWER;
    for (int i = METRIC_LAG_RECORDS; i < (int)METRIC_SERVER_FIRST; i++) {
        enum metric metric = (enum metric)i;
        if (metric == METRIC_STAGE_SECONDS) {
            write_stages(w, db, s, has_own ? &own : NULL);
            continue;
        }
        metric_begin(w, metric);
        if (has_own) write_view(w, metric, &(struct view){.f = &own, .is_own = true});
        for (uint32_t k = 0; k < s->follower_count; k++) {
            write_view(w, metric, &(struct view){.f = &s->followers[k]});
        }
    }
}

void metrics_write(const struct db *db, const struct tide_status *status, struct text *t)
{
    struct metric_writer w;
    metric_writer_init(&w, t);
    write_node(&w, db, status);
    write_log(&w, db, status);
    write_checkpoint(&w, db, status);
    write_clock(&w, status);
    write_durability(&w, db);
    write_scans(&w, db);
    write_resyncs(&w, db);
    write_followers(&w, db, status);
}
