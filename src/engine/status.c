/* status: see status.h. Strings that may change are copied into the run's memory. */
#include "engine/status.h"

#include <math.h>

#include "base/text.h"
#include "core/chain.h"
#include "engine/checkpoint.h"
#include "engine/clock.h"
#include "engine/disk.h"
#include "engine/events.h"
#include "engine/freshness.h"
#include "engine/log_open.h"
#include "engine/members.h"
#include "engine/metrics.h"
#include "engine/receiver.h"
#include "engine/retention.h"
#include "engine/role.h"
#include "engine/shipper.h"
#include "engine/write.h"
#include "format/slotfile.h"

/* Names and figures, and texts of which every byte may need six. */
#define ESCAPED_MAX(size) (6 * (size_t)(size))
#define JSON_TEXTS_MAX \
    (2 * ERR_TEXT_SIZE + 3 * ADDRESS_SIZE_MAX + 2 * NODE_ID_SIZE_MAX + CHAIN_TEXT_SIZE)
#define JSON_SIZE                 (4 * KIB + ESCAPED_MAX(JSON_TEXTS_MAX))
#define JSON_SIZE_PER_FOLLOWER    (2 * KIB + ESCAPED_MAX(ADDRESS_SIZE_MAX + 2 * NODE_ID_SIZE_MAX))
#define JSON_SIZE_PER_QUARANTINED (192 + ESCAPED_MAX(64))
#define JSON_SIZE_PER_EVENT       (160 + ESCAPED_MAX(DB_EVENT_TEXT_SIZE))
#define METRICS_SIZE              (40 * KIB)
#define METRICS_SIZE_PER_FOLLOWER (16 * KIB) /* two histograms and a line each */

static enum code no_memory(struct err *e)
{
    return ERR(e, E_NOMEMORY, "no memory for the answer");
}

static const char *copy_text(struct tide_run *run, const char *s)
{
    size_t size = strlen(s) + 1;
    char *copy = run_take(run, size);
    if (!copy) return "";
    memcpy(copy, s, size);
    return copy;
}

static struct tide_position position_out(struct position p)
{
    struct tide_position out = {.epoch = p.epoch, .seqno = p.seqno.v};
    memcpy(out.chain4, p.chain.bytes, sizeof(out.chain4));
    return out;
}

static const char *state_word(const struct db *db, bool is_synced)
{
    switch (db->condition) {
    case DB_SERVING:
        if (db->receiver && receiver_is_copying(db->receiver)) return "rebootstrapping";
        return db->receiver && !is_synced ? "syncing" : "serving";
    case DB_POISONED: return "poisoned";
    case DB_HALTED: return "halted";
    case DB_DIVERGED: return "diverged";
    case DB_CLOSING: return "closing";
    }
    return "unknown";
}

static enum tide_role role_out(const struct db *db)
{
    if (db->identity.role == ROLE_FOLLOWER) return TIDE_ROLE_FOLLOWER;
    return db->shipper ? TIDE_ROLE_LEADER : TIDE_ROLE_SINGLE;
}

static void fill_log(const struct db *db, struct tide_status *s)
{
    if (!db->log) return;
    struct log_figures figures;
    log_figures(db->log, &figures);
    s->durable = position_out(log_durable(db->log));
    s->applied = position_out(db_applied(db));
    s->assigned = db->write ? write_assigned(db->write).v : log_written(db->log).seqno.v;
    s->oldest = log_oldest(db->log).v;
    s->log_bytes = figures.bytes;
    s->log_segments = figures.segments;
    s->items = state_item_live_count(db->state);
    s->memory_bytes = state_bytes(db->state);
    struct checkpointer_status c;
    checkpointer_status(db->checkpointer, &c);
    s->checkpoint_seqno = c.checkpoint_seqno.v;
    s->checkpoint_age_ms =
        c.checkpoint_age_ns == UINT64_MAX ? UINT64_MAX : c.checkpoint_age_ns / NS_PER_MS;
    s->digest_mark = c.digest_mark.v;
    s->safe = s->durable.seqno;
    s->committed = db_committed(db).v;
    struct retain_plan plan = retention_plan(db->retention);
    s->retention_floor = plan.floor.v;
    s->retention_holder = retain_holder_name(plan.holder);
}

/* The copy of its leader's state that this node makes. */
static void fill_copy(const struct db *db, struct tide_run *run, struct tide_status *s)
{
    struct bootstrap_join_status c;
    if (!receiver_copy_status(db->receiver, &c)) return;
    s->copy = (struct tide_copy){
        .is_active = true,
        .mark = c.mark.v,
        .done_bytes = c.done_bytes,
        .total_bytes = c.total_bytes,
        .done_blocks = c.done_blocks,
        .total_blocks = c.total_blocks,
        .moved_bytes = c.fetched_bytes,
        .bytes_per_second = c.bytes_per_second,
        .eta_seconds = c.eta_seconds,
    };
    char words[2 * ERR_TEXT_SIZE];
    struct text t = text_of(words, sizeof(words));
    text_add(&t, "copying, %s%s%s", c.state, c.reason[0] ? ": " : "", c.reason);
    s->link_state = copy_text(run, t.data);
    if (db->condition != DB_SERVING) return;
    t = text_of(words, sizeof(words));
    text_add(&t, "it copies the state of its leader (%s)", c.why);
    s->reason = copy_text(run, t.data);
}

static void fill_follower_view(const struct db *db, struct tide_run *run, struct tide_status *s)
{
    struct receiver_status r;
    receiver_status(db->receiver, &r);
    struct receiver_heard heard;
    receiver_heard(db->receiver, &heard);
    s->path = copy_text(run, (const char *)heard.path.data);
    s->is_cut = heard.is_cut;
    s->link_state = copy_text(run, r.link_state);
    s->is_link_up = r.is_link_up;
    s->was_synced = r.was_synced;
    s->lag_records = r.lag_records;
    s->lag_bytes = r.lag_bytes;
    s->lag_seconds = r.lag_seconds;
    if (receiver_is_copying(db->receiver)) {
        fill_copy(db, run, s);
        return;
    }
    if (db->condition != DB_SERVING || r.was_synced) return;
    if (db->identity.role != ROLE_FOLLOWER) return; /* it fetches: role_obstacle says so */
    char reason[ERR_TEXT_SIZE];
    struct text t = text_of(reason, sizeof(reason));
    text_add(&t, "it has not caught up with its leader since it started; link: %s", r.link_state);
    s->reason = copy_text(run, reason);
}

static enum code fill_followers(const struct db *db, struct tide_run *run, struct tide_status *s,
                                struct err *e)
{
    uint32_t count = shipper_follower_count(db->shipper);
    struct tide_follower_status *followers =
        run_take(run, (count ? count : 1) * sizeof(*followers));
    if (!followers) return no_memory(e);
    s->follower_count = shipper_status(db->shipper, followers, count);
    for (uint32_t i = 0; i < s->follower_count; i++) {
        followers[i].node_id = copy_text(run, followers[i].node_id);
        followers[i].address = copy_text(run, followers[i].address);
        followers[i].state = copy_text(run, followers[i].state);
    }
    s->followers = followers;
    if (!db->log || db->receiver) return OK;
    s->safe = shipper_safe(db->shipper).v;
    return OK;
}

static enum code fill_events(const struct db *db, struct tide_run *run, struct tide_status *s,
                             struct err *e)
{
    uint32_t count = db_events_kept(&db->events);
    uint64_t now_ns = db->env->v->now_mono_ns(db->env);
    struct tide_event *events = run_take(run, (count ? count : 1) * sizeof(*events));
    if (!events) return no_memory(e);
    for (uint32_t i = 0; i < count; i++) {
        const struct db_event *event = db_events_at(&db->events, i);
        events[i] = (struct tide_event){
            .number = event->number,
            .wall_ms = event->wall_ms,
            .ms_ago = (now_ns - event->mono_ns) / NS_PER_MS,
            .kind = db_event_kind_name(event->kind),
            .level = db_event_kind_level(event->kind),
            .text = copy_text(run, event->text),
        };
    }
    s->events_total = db->events.count;
    s->event_count = count;
    s->events = events;
    return OK;
}

static enum code fill_quarantine(const struct db *db, struct tide_run *run, struct tide_status *s,
                                 struct err *e)
{
    const struct quarantine_list *list = &db->quarantine;
    struct tide_quarantined *files = run_take(run, (list->count + 1) * sizeof(*files));
    if (!files) return no_memory(e);
    for (uint32_t i = 0; i < list->count; i++) {
        const struct quarantined *q = &list->files[i];
        files[i] = (struct tide_quarantined){
            .name = copy_text(run, q->name),
            .kind = q->is_torn ? "torn" : "replaced",
            .size = q->size,
            .first = q->first,
            .last = q->last,
            .epoch = q->epoch,
        };
    }
    s->quarantine_files = list->file_count;
    s->quarantine_bytes = list->bytes;
    s->quarantine_count = list->count;
    s->quarantine = files;
    return OK;
}

/* A member that is not in the leader's list. */
static void add_member(struct tide_status *s, struct tide_member *members, struct tide_member m)
{
    for (uint32_t i = 0; i < s->member_count; i++) {
        if (strcmp(members[i].node_id, m.node_id) == 0) return;
    }
    members[s->member_count++] = m;
}

/* The part of a chain of followers that only its nodes know. */
static void add_chain(const struct db *db, struct tide_run *run, struct tide_status *s,
                      struct tide_member *members)
{
    if (s->member_count == 0 || db->identity.role != ROLE_FOLLOWER || !db->receiver) return;
    struct slice nearest = chain_first(slice_of_text(s->path));
    char *follows = run_take(run, nearest.size + 1);
    if (!follows) return;
    if (nearest.size > 0) memcpy(follows, nearest.data, nearest.size);
    follows[nearest.size] = '\0';
    add_member(s, members,
               (struct tide_member){.node_id = s->node_id,
                                    .data_address = copy_text(run, db->config.data_address),
                                    .http_address = copy_text(run, db->config.http_address),
                                    .replication_address = s->replication_address,
                                    .role = TIDE_ROLE_FOLLOWER,
                                    .region = db->config.stream.region,
                                    .is_up = true,
                                    .is_rebootstrapping = s->copy.is_active,
                                    .lag_records = UINT64_MAX,
                                    .follows = follows});
    for (uint32_t i = 0; i < s->follower_count; i++) {
        const struct tide_follower_status *f = &s->followers[i];
        add_member(s, members,
                   (struct tide_member){.node_id = f->node_id,
                                        .data_address = f->address,
                                        .http_address = "",
                                        .replication_address = "",
                                        .role = TIDE_ROLE_FOLLOWER,
                                        .region = f->region,
                                        .is_up = f->is_connected,
                                        .is_rebootstrapping = f->is_rebootstrapping,
                                        .lag_records = f->was_synced ? f->lag_records : UINT64_MAX,
                                        .follows = s->node_id});
    }
}

static enum code fill_members(const struct db *db, struct tide_run *run, struct tide_status *s,
                              struct err *e)
{
    const struct topology *t = members_topology(db);
    uint32_t capacity = t->count + s->follower_count + 1;
    struct tide_member *members = run_take(run, capacity * sizeof(*members));
    const char *leader = "";
    if (!members) return no_memory(e);
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->members[i].role != ROLE_FOLLOWER) leader = copy_text(run, t->members[i].node_id);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        const struct topology_member *m = &t->members[i];
        members[i] = (struct tide_member){
            .node_id = copy_text(run, m->node_id),
            .data_address = copy_text(run, m->data_address),
            .http_address = copy_text(run, m->http_address),
            .replication_address = copy_text(run, m->replication_address),
            .role = (enum tide_role)m->role,
            .region = m->region,
            .is_voter = m->is_voter,
            .is_up = m->health == WIRE_HEALTH_UP,
            .is_rebootstrapping = m->is_rebootstrapping,
            .lag_records = m->lag_records,
            .follows = m->role == ROLE_FOLLOWER ? leader : "",
        };
    }
    s->topology_version = t->version;
    s->member_count = t->count;
    s->members = members;
    add_chain(db, run, s, members);
    return OK;
}

static enum code gather(struct db *db, struct tide_run *run, struct tide_status *s, struct err *e)
{
    char cluster[33];
    struct text t = text_of(cluster, sizeof(cluster));
    if (!id128_is_zero(&db->identity.cluster)) {
        text_add_hex(&t, db->identity.cluster.bytes, sizeof(db->identity.cluster.bytes));
    }
    *s = (struct tide_status){
        .role = role_out(db),
        .node_id = copy_text(run, db->identity.node_id),
        .cluster = copy_text(run, t.data),
        .reason = copy_text(run, db->condition == DB_SERVING ? "" : db->reason.text),
        .leader_data_address = copy_text(run, db_is_leader(db) ? db->config.data_address
                                                               : db->identity.leader_data_address),
        .leader_replication_address = copy_text(
            run, db_is_leader(db) ? db->config.replication_address : db->identity.leader_address),
        .replication_address = copy_text(run, db->shipper ? db->config.replication_address : ""),
        .link_state = "",
        .retention_holder = "",
        .region = db->identity.stream.region,
        .shard = db->identity.stream.shard,
        .epoch = db->epoch.number,
        .checkpoint_age_ms = UINT64_MAX,
        .max_staleness_ms = db->config.max_staleness_ns / NS_PER_MS,
        .divergences = db->divergences,
        .digests_checked = db->digests_checked,
        .uptime_ms = (db->env->v->now_mono_ns(db->env) - db->opened_ns) / NS_PER_MS,
        .json = "",
        .path = "",
    };
    (void)db->env->v->disk_free(db->env, &s->disk_free_bytes, NULL); /* 0: unknown */
    struct disk_status disk;
    disk_status(db->disk, &disk);
    s->disk_rung = disk_rung_name(disk.rung);
    s->disk_rung_number = disk.rung;
    s->disk_seconds_until_full = disk.seconds_until_full;
    s->write_slow_us = write_slow_ns(db) / 1000;
    s->disk_reserve_bytes = disk.is_reserve_held ? disk.reserve_bytes : 0;
    fill_log(db, s);
    clock_show(db, &s->clock);
    if (db->receiver) {
        fill_follower_view(db, run, s);
    } else if (!db_is_leader(db)) {
        s->lag_seconds = (double)INFINITY; /* it follows nobody: how far behind, nobody tells */
    }
    if (db->shipper) TRY(fill_followers(db, run, s, e));
    TRY(fill_events(db, run, s, e));
    TRY(fill_members(db, run, s, e));
    TRY(fill_quarantine(db, run, s, e));
    const char *obstacle = role_obstacle(db);
    if (obstacle && s->reason[0] == '\0') s->reason = copy_text(run, obstacle);
    s->state = state_word(db, s->was_synced);
    return OK;
}

/* --- JSON --- */

static bool is_plain(char c)
{
    return c >= 0x20 && c <= 0x7e && c != '"' && c != '\\';
}

static void json_string(struct text *t, const char *name, const char *value)
{
    text_add(t, "\"%s\":\"", name);
    while (*value) {
        size_t plain = 0;
        while (is_plain(value[plain])) {
            plain++;
        }
        text_add_slice(t, slice_of(value, plain));
        value += plain;
        if (!*value) break;
        unsigned char u = (unsigned char)*value++;
        text_add(t, u == '"' || u == '\\' ? "\\%c" : "\\u%04x", u);
    }
    text_add(t, "\"");
}

/* Integers above 2^53 would be rounded by common readers: they are strings then. */
static void json_u64(struct text *t, const char *name, uint64_t v)
{
    bool is_big = v > (1ULL << 53);
    text_add(t, is_big ? ",\"%s\":\"%llu\"" : ",\"%s\":%llu", name, (unsigned long long)v);
}

/* JSON has no infinity: a bound that does not exist is null. */
static void json_seconds(struct text *t, const char *name, double v)
{
    char number[F64_TEXT_SIZE];
    if (isinf(v)) {
        text_add(t, ",\"%s\":null", name);
        return;
    }
    (void)format_f64(number, v); /* length unused */
    text_add(t, ",\"%s\":%s", name, number);
}

static void json_token(struct text *t, const char *name, const struct tide_position *p)
{
    char token[TIDE_TOKEN_SIZE];
    size_t size = tide_token_format(p, token);
    text_add(t, ",\"%s\":\"%.*s\"", name, (int)size, token);
}

static void json_bool(struct text *t, const char *name, bool v)
{
    text_add(t, ",\"%s\":%s", name, v ? "true" : "false");
}

static void json_copy(struct text *t, const struct tide_copy *c)
{
    if (!c->is_active) return;
    text_add(t, ",\"bootstrap\":{\"mark\":%llu", (unsigned long long)c->mark);
    json_u64(t, "done_bytes", c->done_bytes);
    json_u64(t, "total_bytes", c->total_bytes);
    json_u64(t, "done_blocks", c->done_blocks);
    json_u64(t, "total_blocks", c->total_blocks);
    json_u64(t, "moved_bytes", c->moved_bytes);
    json_seconds(t, "bytes_per_second", c->bytes_per_second);
    json_seconds(t, "eta_seconds", c->eta_seconds);
    text_add(t, "}");
}

/* UINT64_MAX: there is no limit. */
static void json_limit(struct text *t, const char *name, uint64_t v)
{
    if (v == UINT64_MAX) {
        text_add(t, ",\"%s\":null", name);
    } else {
        json_u64(t, name, v);
    }
}

static void json_follower(struct text *t, const struct tide_follower_status *f)
{
    text_add(t, "{");
    json_string(t, "id", f->node_id);
    text_add(t, ",");
    json_string(t, "address", f->address);
    text_add(t, ",");
    json_string(t, "state", f->state);
    json_u64(t, "region", f->region);
    json_u64(t, "shard", f->shard);
    json_bool(t, "connected", f->is_connected);
    json_bool(t, "rebootstrapping", f->is_rebootstrapping);
    json_copy(t, &f->copy);
    json_u64(t, "restart", f->restart);
    json_u64(t, "shipped", f->shipped);
    json_u64(t, "received", f->received);
    json_u64(t, "stored", f->stored);
    json_u64(t, "applied", f->applied);
    if (f->was_synced) {
        json_u64(t, "lag_records", f->lag_records);
        json_u64(t, "lag_bytes", f->lag_bytes);
    } else {
        text_add(t, ",\"lag_records\":null,\"lag_bytes\":null");
    }
    json_seconds(t, "lag_seconds", f->lag_seconds);
    json_u64(t, "last_seen_ms_ago", f->last_seen_ms_ago);
    json_u64(t, "last_acks", f->last_acks);
    json_u64(t, "held_bytes", f->held_bytes);
    json_u64(t, "held_records", f->held_records);
    json_limit(t, "budget_bytes", f->budget_bytes);
    json_limit(t, "safe_bytes", f->safe_bytes);
    json_seconds(t, "seconds_until_lost", f->seconds_until_lost);
    json_u64(t, "idle_ms", f->idle_ms);
    text_add(t, ",");
    json_string(t, "slot_reason", f->reason ? f->reason : "");
    json_u64(t, "apply_errors", f->apply_errors);
    json_u64(t, "divergences", f->divergences);
    text_add(t, "}");
}

static void json_positions(struct text *t, const struct tide_status *s)
{
    json_u64(t, "epoch", s->epoch);
    json_token(t, "applied", &s->applied);
    json_token(t, "durable", &s->durable);
    json_u64(t, "applied_seqno", s->applied.seqno);
    json_u64(t, "durable_seqno", s->durable.seqno);
    json_u64(t, "assigned_seqno", s->assigned);
    json_u64(t, "committed_seqno", s->committed);
    json_u64(t, "safe_seqno", s->safe);
    json_u64(t, "oldest_seqno", s->oldest);
    json_u64(t, "retention_floor_seqno", s->retention_floor);
    text_add(t, ",");
    json_string(t, "retention_holder", s->retention_holder);
    json_u64(t, "log_bytes", s->log_bytes);
    json_u64(t, "log_segments", s->log_segments);
    json_u64(t, "items", s->items);
    json_u64(t, "memory_bytes", s->memory_bytes);
    json_u64(t, "disk_free_bytes", s->disk_free_bytes);
    text_add(t, ",");
    json_string(t, "disk_rung", s->disk_rung);
    json_u64(t, "disk_reserve_bytes", s->disk_reserve_bytes);
    json_u64(t, "checkpoint_seqno", s->checkpoint_seqno);
    json_u64(t, "digest_mark", s->digest_mark);
    json_u64(t, "digests_checked", s->digests_checked);
    json_u64(t, "divergences", s->divergences);
    json_u64(t, "uptime_ms", s->uptime_ms);
}

static void json_clock(struct text *t, const struct tide_clock *c)
{
    text_add(t, ",\"clock\":{");
    json_string(t, "state", c->state);
    text_add(t, ",\"leader_ms\":%lld,\"wall_ms\":%lld,\"offset_ms\":%lld", (long long)c->leader_ms,
             (long long)c->wall_ms, (long long)c->offset_ms);
    json_bool(t, "step_pending", c->is_step_pending);
    json_u64(t, "steps", c->steps);
    text_add(t, "}");
}

static void json_event(struct text *t, const struct tide_event *event)
{
    text_add(t, "{\"number\":%llu,\"wall_ms\":%lld", (unsigned long long)event->number,
             (long long)event->wall_ms);
    json_u64(t, "ms_ago", event->ms_ago);
    text_add(t, ",\"kind\":\"%s\",\"level\":\"%s\",", event->kind, event->level);
    json_string(t, "text", event->text);
    text_add(t, "}");
}

static void json_quarantine(struct text *t, const struct tide_status *s)
{
    text_add(t, ",\"quarantine\":{\"files\":%llu", (unsigned long long)s->quarantine_files);
    json_u64(t, "bytes", s->quarantine_bytes);
    text_add(t, ",\"newest\":[");
    for (uint32_t i = 0; i < s->quarantine_count; i++) {
        const struct tide_quarantined *q = &s->quarantine[i];
        text_add(t, i > 0 ? ",{" : "{");
        json_string(t, "name", q->name);
        text_add(t, ",\"kind\":\"%s\"", q->kind);
        json_u64(t, "bytes", q->size);
        json_u64(t, "epoch", q->epoch);
        json_u64(t, "first_seqno", q->first);
        json_u64(t, "last_seqno", q->last);
        json_u64(t, "records", q->last >= q->first && q->last > 0 ? q->last - q->first + 1 : 0);
        text_add(t, "}");
    }
    text_add(t, "]}");
}

/* Without a link nobody knows how far the leader is by now. */
static void json_own_lag(struct text *t, const struct tide_status *s)
{
    if (s->was_synced && !s->is_cut) {
        json_u64(t, "lag_records", s->lag_records);
        json_u64(t, "lag_bytes", s->lag_bytes);
    } else {
        text_add(t, ",\"lag_records\":null,\"lag_bytes\":null");
    }
}

static const char *role_text(enum tide_role role)
{
    if (role == TIDE_ROLE_FOLLOWER) return "follower";
    return role == TIDE_ROLE_LEADER ? "leader" : "single";
}

static enum code write_json(struct tide_run *run, struct tide_status *s, struct err *e)
{
    size_t capacity = JSON_SIZE + s->follower_count * JSON_SIZE_PER_FOLLOWER +
                      s->event_count * JSON_SIZE_PER_EVENT +
                      s->quarantine_count * JSON_SIZE_PER_QUARANTINED;
    char *bytes = run_take(run, capacity);
    if (!bytes) return no_memory(e);
    struct text t = text_of(bytes, capacity);
    text_add(&t, "{");
    json_string(&t, "role", role_text(s->role));
    const struct {
        const char *name;
        const char *value;
    } texts[] = {
        {"id", s->node_id},
        {"cluster", s->cluster},
        {"state", s->state},
        {"reason", s->reason},
        {"leader", s->leader_data_address},
        {"leader_replication", s->leader_replication_address},
        {"replication", s->replication_address},
    };
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        text_add(&t, ",");
        json_string(&t, texts[i].name, texts[i].value);
    }
    json_u64(&t, "region", s->region);
    json_u64(&t, "shard", s->shard);
    json_positions(&t, s);
    json_clock(&t, &s->clock);
    if (s->role == TIDE_ROLE_FOLLOWER) {
        text_add(&t, ",");
        json_string(&t, "link", s->link_state);
        json_bool(&t, "link_up", s->is_link_up);
        text_add(&t, ",");
        json_string(&t, "path", s->path);
        json_bool(&t, "cut", s->is_cut);
        json_bool(&t, "synced", s->was_synced);
        json_bool(&t, "rebootstrapping", s->copy.is_active);
        json_copy(&t, &s->copy);
        json_own_lag(&t, s);
        json_seconds(&t, "lag_seconds", s->lag_seconds);
    }
    json_u64(&t, "max_staleness_ms", s->max_staleness_ms);
    text_add(&t, ",\"followers\":[");
    for (uint32_t i = 0; i < s->follower_count; i++) {
        if (i > 0) text_add(&t, ",");
        json_follower(&t, &s->followers[i]);
    }
    text_add(&t, "]");
    json_quarantine(&t, s);
    json_u64(&t, "events_total", s->events_total);
    text_add(&t, ",\"events\":[");
    for (uint32_t i = 0; i < s->event_count; i++) {
        if (i > 0) text_add(&t, ",");
        json_event(&t, &s->events[i]);
    }
    text_add(&t, "]}");
    s->json = t.data;
    return OK;
}

enum code status_op(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    struct tide_status *s = run_take(run, sizeof(*s));
    if (!s) return no_memory(e);
    TRY(gather(db, run, s, e));
    TRY(write_json(run, s, e));
    op->result.kind = TIDE_RESULT_STATUS;
    op->result.as.status = s;
    return OK;
}

enum code metrics_op(struct db *db, struct tide_run *run, struct op *op, struct err *e)
{
    struct tide_status s;
    TRY(gather(db, run, &s, e));
    size_t capacity = METRICS_SIZE + s.follower_count * METRICS_SIZE_PER_FOLLOWER;
    char *bytes = run_take(run, capacity);
    if (!bytes) return no_memory(e);
    struct text t = text_of(bytes, capacity);
    metrics_write(db, &s, &t);
    if (t.is_cut) return ERR(e, E_LIMIT, "the metrics do not fit into %zu bytes", capacity);
    op->result.kind = TIDE_RESULT_TEXT;
    op->result.as.text = (struct tide_bytes){t.data, t.size};
    return OK;
}
