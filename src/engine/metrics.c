/* metrics: see metrics.h. */
#include "engine/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "engine/checkpoint.h"
#include "engine/events.h"
#include "engine/scans.h"

#define BUCKETS_MAX 16u

/* Counts per bucket, upper bounds ascending; the last counter is +Inf. */
struct histogram {
    uint64_t counts[BUCKETS_MAX + 1];
    double sum;
    uint64_t count;
};

static const double sync_bounds[] = {50e-6, 100e-6, 150e-6, 200e-6, 300e-6, 500e-6, 1e-3,
                                     2e-3,  5e-3,   10e-3,  50e-3,  0.1,    0.5,    1.0};
static const double group_bounds[] = {1,   2,   4,   8,    16,   32,    64,
                                      128, 256, 512, 1024, 4096, 16384, 65536};
_Static_assert(COUNT_OF(sync_bounds) <= BUCKETS_MAX, "sync buckets fit");
_Static_assert(COUNT_OF(group_bounds) <= BUCKETS_MAX, "group buckets fit");

struct metrics {
    struct histogram sync_seconds;
    struct histogram group_records;
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

static void observe(struct histogram *h, const double *bounds, size_t bound_count, double v)
{
    size_t i = 0;
    while (i < bound_count && v > bounds[i]) {
        i++;
    }
    h->counts[i]++;
    h->sum += v;
    h->count++;
}

void metrics_note_sync(struct metrics *m, uint64_t sync_ns, uint64_t records)
{
    if (!m) return;
    observe(&m->sync_seconds, sync_bounds, COUNT_OF(sync_bounds), (double)sync_ns * 1e-9);
    observe(&m->group_records, group_bounds, COUNT_OF(group_bounds), (double)records);
}

void metrics_note_recovery(struct metrics *m, uint64_t recovery_ns, uint64_t discarded_bytes)
{
    m->recovery_seconds = (double)recovery_ns * 1e-9;
    m->recovery_discarded_bytes = discarded_bytes;
}

/* --- text --- */

static void write_head(struct text *t, const char *name, const char *type, const char *help)
{
    text_add(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void write_number(struct text *t, double v)
{
    char number[F64_TEXT_SIZE];
    if (isinf(v)) {
        text_add(t, "+Inf");
        return;
    }
    (void)format_f64(number, v); /* length unused: the text is NUL-terminated */
    text_add(t, "%s", number);
}

/* One value of one name. Integers are written exactly, never through a double. */
struct row {
    const char *name;
    const char *type;
    const char *help;
    uint64_t integer;
    double seconds;
    bool is_seconds;
};

static void write_rows(struct text *t, const struct row *rows, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        write_head(t, rows[i].name, rows[i].type, rows[i].help);
        text_add(t, "%s ", rows[i].name);
        if (rows[i].is_seconds) {
            write_number(t, rows[i].seconds);
        } else {
            text_add(t, "%llu", (unsigned long long)rows[i].integer);
        }
        text_add(t, "\n");
    }
}

static void write_log_rows(const struct tide_status *s, struct text *t)
{
    const struct row rows[] = {
        {"tidemark_log_assigned_seqno", "gauge", "Highest record number given out.", s->assigned, 0,
         0},
        {"tidemark_log_durable_seqno", "gauge",
         "Highest record number fsynced in this node's own log.", s->durable.seqno, 0, 0},
        {"tidemark_log_applied_seqno", "gauge",
         "Highest record number visible to readers of this node.", s->applied.seqno, 0, 0},
        {"tidemark_log_committed_seqno", "gauge",
         "Highest record number stored by every unlost follower.", s->committed, 0, 0},
        {"tidemark_log_oldest_seqno", "gauge", "First record number kept in the log.", s->oldest, 0,
         0},
        {"tidemark_log_retention_floor_seqno", "gauge",
         "Oldest record number that is still needed; the holder is in status.", s->retention_floor,
         0, 0},
        {"tidemark_replication_safe_seqno", "gauge",
         "Lowest record number stored over all unlost followers.", s->safe, 0, 0},
        {"tidemark_log_bytes", "gauge", "Bytes of log kept on disk.", s->log_bytes, 0, 0},
        {"tidemark_log_segments", "gauge", "Segment files of the log.", s->log_segments, 0, 0},
        {"tidemark_epoch", "gauge", "Number of the leadership the log is in.", s->epoch, 0, 0},
        {"tidemark_items", "gauge", "Items known.", s->items, 0, 0},
        {"tidemark_disk_free_bytes", "gauge", "Bytes free on the data directory's file system.",
         s->disk_free_bytes, 0, 0},
        {"tidemark_digest_checked_total", "counter", "Digests of marks compared with the leader's.",
         s->digests_checked, 0, 0},
        {"tidemark_digest_differences_total", "counter",
         "Marks at which this node's state differed.", s->divergences, 0, 0},
        {"tidemark_uptime_seconds", "gauge", "Time since this node opened.", 0,
         (double)s->uptime_ms * 1e-3, true},
    };
    write_rows(t, rows, COUNT_OF(rows));
}

static void write_checkpoint_rows(const struct db *db, struct text *t)
{
    struct checkpointer_status c = {.checkpoint_age_ns = UINT64_MAX};
    if (db->checkpointer) checkpointer_status(db->checkpointer, &c);
    double age =
        c.checkpoint_age_ns == UINT64_MAX ? (double)INFINITY : (double)c.checkpoint_age_ns * 1e-9;
    const struct row rows[] = {
        {"tidemark_checkpoint_seqno", "gauge", "Record number of the newest checkpoint; 0: none.",
         c.checkpoint_seqno.v, 0, 0},
        {"tidemark_checkpoint_bytes", "gauge", "Bytes of the blocks of the newest checkpoint.",
         c.checkpoint_bytes, 0, 0},
        {"tidemark_checkpoint_seconds", "gauge", "Time the newest checkpoint took.", 0,
         (double)c.last_duration_ns * 1e-9, true},
        {"tidemark_checkpoint_age_seconds", "gauge",
         "Time since the newest checkpoint was finished or found at open; +Inf: none.", 0, age,
         true},
        {"tidemark_checkpoint_failures_total", "counter", "Checkpoints that could not be written.",
         c.failures, 0, 0},
        {"tidemark_recovery_seconds", "gauge", "Time the last opening took to recover.", 0,
         db->metrics->recovery_seconds, true},
        {"tidemark_recovery_discarded_bytes", "gauge",
         "Torn bytes the last opening moved to quarantine.", db->metrics->recovery_discarded_bytes,
         0, 0},
    };
    write_rows(t, rows, COUNT_OF(rows));
}

/* A follower has no leader time of its own: no series. */
static void write_clock_rows(const struct tide_status *s, struct text *t)
{
    if (s->role == TIDE_ROLE_FOLLOWER) return;
    const struct row rows[] = {
        {"tidemark_clock_offset_seconds", "gauge", "Wall time minus leader time.", 0,
         (double)s->clock.offset_ms * 1e-3, true},
        {"tidemark_clock_step_pending", "gauge",
         "1 while a step of the wall clock is not followed and waits for CLOCK ACCEPT.",
         s->clock.is_step_pending, 0, 0},
        {"tidemark_clock_steps_total", "counter",
         "Steps of the wall clock beyond clock_step_max since this node opened.", s->clock.steps, 0,
         0},
    };
    write_rows(t, rows, COUNT_OF(rows));
}

static void write_scan_rows(const struct db *db, struct text *t)
{
    struct scans_status c;
    scans_status(db->scans, &c);
    const struct row rows[] = {
        {"tidemark_scans_in_flight", "gauge", "Long reads being answered beside the loop.",
         c.in_flight, 0, 0},
        {"tidemark_scans_waiting", "gauge", "Long reads that wait for the next batch.", c.waiting,
         0, 0},
        {"tidemark_scans_total", "counter", "Long reads ever begun.", c.total, 0, 0},
    };
    write_rows(t, rows, COUNT_OF(rows));
}

static void write_histogram(struct text *t, const char *name, const char *help,
                            const struct histogram *h, const double *bounds, size_t bound_count)
{
    uint64_t sum = 0;
    write_head(t, name, "histogram", help);
    for (size_t i = 0; i < bound_count; i++) {
        sum += h->counts[i];
        text_add(t, "%s_bucket{le=\"", name);
        write_number(t, bounds[i]);
        text_add(t, "\"} %llu\n", (unsigned long long)sum);
    }
    text_add(t, "%s_bucket{le=\"+Inf\"} %llu\n%s_sum ", name, (unsigned long long)h->count, name);
    write_number(t, h->sum);
    text_add(t, "\n%s_count %llu\n", name, (unsigned long long)h->count);
}

static void write_events(const struct db *db, struct text *t)
{
    write_head(t, "tidemark_events_total", "counter", "Events since this node opened, by kind.");
    for (uint32_t i = 0; i < DB_EVENT_KIND_COUNT; i++) {
        text_add(t, "tidemark_events_total{kind=\"%s\"} %llu\n",
                 db_event_kind_name((enum db_event_kind)i),
                 (unsigned long long)db->events.by_kind[i]);
    }
}

static void write_role(const struct tide_status *s, struct text *t)
{
    write_head(t, "tidemark_role", "gauge", "1 for the role this node has.");
    const char *const names[] = {"single", "leader", "follower"};
    for (uint32_t i = 0; i < COUNT_OF(names); i++) {
        text_add(t, "tidemark_role{role=\"%s\"} %d\n", names[i], s->role == i + 1);
    }
    write_head(t, "tidemark_memory_bytes", "gauge", "Memory in use, by kind.");
    text_add(t, "tidemark_memory_bytes{kind=\"state\"} %llu\n",
             (unsigned long long)s->memory_bytes);
}

/* --- followers --- */

enum follower_value {
    VALUE_LAG_RECORDS,
    VALUE_LAG_BYTES,
    VALUE_LAG_SECONDS,
    VALUE_SHIPPED,
    VALUE_RECEIVED,
    VALUE_STORED,
    VALUE_APPLIED,
    VALUE_CONNECTED,
    VALUE_REBOOTSTRAPPING,
    VALUE_APPLY_ERRORS,
    VALUE_DIVERGENCES,
    VALUE_CREDIT,
};

struct follower_row {
    const char *name;
    const char *type;
    const char *help;
    enum follower_value value;
};

static const struct follower_row follower_rows[] = {
    {"tidemark_replication_lag_records", "gauge",
     "Records durable here that the follower has not applied; absent when it never synced.",
     VALUE_LAG_RECORDS},
    {"tidemark_replication_lag_bytes", "gauge",
     "Log bytes durable here that the follower has not applied; absent when it never synced.",
     VALUE_LAG_BYTES},
    {"tidemark_replication_lag_seconds", "gauge",
     "Upper bound of the follower's staleness; +Inf when it never synced.", VALUE_LAG_SECONDS},
    {"tidemark_replication_shipped_seqno", "gauge", "Highest record number sent to the follower.",
     VALUE_SHIPPED},
    {"tidemark_replication_received_seqno", "gauge", "Highest record number the follower received.",
     VALUE_RECEIVED},
    {"tidemark_replication_stored_seqno", "gauge", "Highest record number the follower fsynced.",
     VALUE_STORED},
    {"tidemark_replication_applied_seqno", "gauge", "Highest record number the follower shows.",
     VALUE_APPLIED},
    {"tidemark_replication_connected", "gauge", "1 while the follower's link is up.",
     VALUE_CONNECTED},
    {"tidemark_replication_rebootstrapping", "gauge", "1 while the follower copies the state anew.",
     VALUE_REBOOTSTRAPPING},
    {"tidemark_replication_apply_errors_total", "counter", "Records the follower could not apply.",
     VALUE_APPLY_ERRORS},
    {"tidemark_replication_divergence_total", "counter",
     "Marks at which the follower's state differed.", VALUE_DIVERGENCES},
    {"tidemark_replication_credit_bytes", "gauge",
     "Bytes that may still be sent before an acknowledgement.", VALUE_CREDIT},
    /* The name existing dashboards use, the same value as lag in records. */
    {"replication_lag_seqno", "gauge", "Alias of tidemark_replication_lag_records.",
     VALUE_LAG_RECORDS},
};

/* False: the series is absent (never 0 because nothing was heard). */
static bool follower_integer(const struct tide_follower_status *f, enum follower_value value,
                             uint64_t *out)
{
    switch (value) {
    case VALUE_LAG_RECORDS: *out = f->lag_records; return f->was_synced;
    case VALUE_LAG_BYTES: *out = f->lag_bytes; return f->was_synced;
    case VALUE_LAG_SECONDS: *out = 0; return true;
    case VALUE_SHIPPED: *out = f->shipped; return true;
    case VALUE_RECEIVED: *out = f->received; return true;
    case VALUE_STORED: *out = f->stored; return true;
    case VALUE_APPLIED: *out = f->applied; return true;
    case VALUE_CONNECTED: *out = f->is_connected; return true;
    case VALUE_REBOOTSTRAPPING: *out = f->is_rebootstrapping; return true;
    case VALUE_APPLY_ERRORS: *out = f->apply_errors; return true;
    case VALUE_DIVERGENCES: *out = f->divergences; return true;
    case VALUE_CREDIT: *out = f->credit_bytes; return true;
    }
    return false;
}

static void write_follower_row(const struct follower_row *row, const struct tide_follower_status *f,
                               struct text *t)
{
    uint64_t v;
    if (!follower_integer(f, row->value, &v)) return;
    if (row->value == VALUE_LAG_RECORDS && row->name[0] == 'r') {
        text_add(t, "%s{follower=\"%s\"} ", row->name, f->node_id);
    } else {
        text_add(t, "%s{follower=\"%s\",region=\"%u\",shard=\"%u\"} ", row->name, f->node_id,
                 f->region, f->shard);
    }
    if (row->value == VALUE_LAG_SECONDS) {
        write_number(t, f->lag_seconds);
    } else {
        text_add(t, "%llu", (unsigned long long)v);
    }
    text_add(t, "\n");
}

static void write_followers(const struct tide_status *s, struct text *t)
{
    for (size_t i = 0; i < COUNT_OF(follower_rows); i++) {
        write_head(t, follower_rows[i].name, follower_rows[i].type, follower_rows[i].help);
        for (uint32_t k = 0; k < s->follower_count; k++) {
            write_follower_row(&follower_rows[i], &s->followers[k], t);
        }
    }
}

/* A follower's own view of its lag: the same names, labelled with itself. */
static void write_own_lag(const struct tide_status *s, struct text *t)
{
    const struct tide_follower_status own = {
        .node_id = s->node_id,
        .region = s->region,
        .shard = s->shard,
        .is_connected = s->is_link_up,
        /* Without a link nobody knows how far the leader is by now: absent, and seconds grow. */
        .was_synced = s->was_synced && s->is_link_up,
        .stored = s->durable.seqno,
        .applied = s->applied.seqno,
        .lag_records = s->lag_records,
        .lag_bytes = s->lag_bytes,
        .lag_seconds = s->lag_seconds,
        .divergences = s->divergences,
    };
    for (size_t i = 0; i < COUNT_OF(follower_rows); i++) {
        enum follower_value v = follower_rows[i].value;
        if (v == VALUE_SHIPPED || v == VALUE_RECEIVED || v == VALUE_CREDIT) continue;
        write_head(t, follower_rows[i].name, follower_rows[i].type, follower_rows[i].help);
        write_follower_row(&follower_rows[i], &own, t);
    }
}

void metrics_write(const struct db *db, const struct tide_status *status, struct text *t)
{
    write_role(status, t);
    write_log_rows(status, t);
    write_checkpoint_rows(db, t);
    write_clock_rows(status, t);
    write_scan_rows(db, t);
    write_events(db, t);
    write_histogram(t, "tidemark_log_sync_seconds", "Time of one sync of the log.",
                    &db->metrics->sync_seconds, sync_bounds, COUNT_OF(sync_bounds));
    write_histogram(t, "tidemark_log_group_records", "Records that shared one sync of the log.",
                    &db->metrics->group_records, group_bounds, COUNT_OF(group_bounds));
    if (status->role == TIDE_ROLE_FOLLOWER) {
        write_own_lag(status, t);
    } else {
        write_followers(status, t);
    }
}
