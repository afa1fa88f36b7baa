/* retention: see retention.h. */
#include "engine/retention.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "engine/checkpoint.h"
#include "engine/log_open.h"
#include "engine/receiver.h"
#include "engine/shipper.h"
#include "engine/slots_store.h"

#define POLL_NS NS_PER_S

struct retention {
    struct db *db;
    struct env_timer timer;
    bool is_armed;
    bool is_stopped;
    bool is_saving;        /* identity with the new log base is on its way */
    bool has_unread_slots; /* a catalogue that this node does not use now: followers of before */
    uint32_t seen_segments;
    seqno seen_checkpoint;
    struct retain_segment *segments;
    uint32_t capacity;
};

static void timer_fired(struct env_timer *timer);

struct retention *retention_new(struct db *db)
{
    ASSERT(db->log != NULL);
    struct retention *r = calloc(1, sizeof(*r));
    if (!r) return NULL;
    r->db = db;
    r->timer.fire = timer_fired;
    /* A leader that was started without followers must not prune what they come back for. */
    if (db_is_leader(db)) r->has_unread_slots = slots_store_exists(db->env);
    return r;
}

void retention_free(struct retention *r)
{
    if (!r) return;
    r->db->env->v->timer_close(r->db->env, &r->timer);
    free(r->segments);
    free(r);
}

void retention_stop(struct retention *r)
{
    r->is_stopped = true;
    r->db->env->v->timer_stop(r->db->env, &r->timer);
}

bool retention_is_quiet(const struct retention *r)
{
    return !r->is_saving;
}

/* --- the decision --- */

static bool fill_segments(struct retention *r, uint32_t count)
{
    if (count > r->capacity) {
        uint32_t capacity = count * 2;
        struct retain_segment *segments = realloc(r->segments, capacity * sizeof(*segments));
        if (!segments) return false;
        r->segments = segments;
        r->capacity = capacity;
    }
    for (uint32_t i = 0; i < count; i++) {
        log_segment_range(r->db->log, i, &r->segments[i].first, &r->segments[i].last);
        r->segments[i].bytes_after = log_segment_bytes_after(r->db->log, i);
    }
    return true;
}

struct retain_plan retention_plan(struct retention *r)
{
    const struct db *db = r->db;
    const struct log *log = db->log;
    struct retain_facts facts = {
        .segment_count = log_segment_count(log) - (log_has_active(log) ? 1 : 0),
        .has_active = log_has_active(log),
        .retain_segments = db->config.retain_segments,
        .has_slots = r->has_unread_slots,
        .slots_floor = seqno_of(1),
        .checkpoint = checkpointer_oldest_kept(db->checkpointer),
        .reader = log_oldest_read(log),
        .durable = log_durable(log).seqno,
    };
    if (db->shipper && shipper_holds_log(db->shipper)) {
        facts.has_slots = !PLANTED(20); /* planted: slots hold nothing */
        facts.slots_floor = shipper_floor(db->shipper);
    }
    if (!db_is_leader(db) && db->receiver) {
        facts.has_members = true;
        facts.members_floor = receiver_floor(db->receiver);
        facts.members_budget = db->config.slot_budget_bytes;
    }
    /* Without memory nothing goes this time. */
    if (!fill_segments(r, facts.segment_count)) facts.segment_count = 0;
    facts.segments = r->segments;
    return retain_decide(&facts);
}

/* --- carrying it out --- */

static void arm(struct retention *r)
{
    const struct db *db = r->db;
    bool is_wanted =
        log_has_dead_files(db->log) || log_segment_count(db->log) > db->config.retain_segments;
    if (r->is_armed || r->is_stopped || !is_wanted) return;
    r->is_armed = true;
    db->env->v->timer_start(db->env, &r->timer, POLL_NS);
}

static void poll(struct retention *r);

static void base_was_saved(struct db *db, void *arg, enum code code)
{
    struct retention *r = arg;
    r->is_saving = false;
    if (code != OK || r->is_stopped) return; /* the next open finds leftovers, or the old base */
    log_release_pruned(db->log);
    log_dispose(db->log);
    poll(r);
}

static void prune(struct retention *r, const struct retain_plan *plan)
{
    struct db *db = r->db;
    if (!log_prune(db->log, plan->drop_count)) return; /* no memory: the timer tries again */
    struct log_figures figures;
    log_figures(db->log, &figures);
    db->identity.log_base = log_base(db->log, &db->identity.log_base_bytes);
    db->identity.first_segment = figures.first_file_id;
    db->identity.last_segment = figures.last_file_id;
    trace_add(&db->trace, db->env->v->now_mono_ns(db->env),
              "%u segments are no longer needed: the log begins at record %llu now",
              plan->drop_count, (unsigned long long)log_oldest(db->log).v);
    r->is_saving = true;
    db_save_identity(db, base_was_saved, r);
}

static void poll(struct retention *r)
{
    struct db *db = r->db;
    if (r->is_stopped || r->is_saving || db->condition != DB_SERVING) return;
    r->seen_segments = log_segment_count(db->log);
    r->seen_checkpoint = checkpointer_oldest_kept(db->checkpointer);
    struct retain_plan plan = retention_plan(r);
    TAKEN(TAKEN_HOLDER, 0, plan.holder);
    if (plan.drop_count > 0) {
        prune(r, &plan);
    } else {
        log_dispose(db->log); /* what a read still had open */
    }
    arm(r);
}

static void timer_fired(struct env_timer *timer)
{
    struct retention *r = CONTAINER_OF(timer, struct retention, timer);
    r->is_armed = false;
    poll(r);
}

void retention_look(struct retention *r)
{
    poll(r);
}

void retention_on_progress(struct retention *r)
{
    const struct db *db = r->db;
    bool is_new = log_segment_count(db->log) != r->seen_segments ||
                  checkpointer_oldest_kept(db->checkpointer).v != r->seen_checkpoint.v;
    if (is_new) poll(r);
}
