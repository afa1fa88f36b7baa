/* commands_status: one snapshot of the database, told in the forms that people and tools know:
 * INFO, ROLE, REPL.STATUS, SLOT.LIST. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/now.h"
#include "server/service.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* --- pieces --- */

/* "host:port" or "[host]:port" in two. A port that is missing is 0. */
struct host_port {
    struct slice host;
    uint64_t port;
};

static struct host_port split_address(const char *address)
{
    struct host_port r = {.host = slice_of_text(address)};
    const char *colon = strrchr(address, ':');
    if (colon == NULL || !parse_u64(slice_of_text(colon + 1), &r.port)) return r;
    r.host.size = (size_t)(colon - address);
    if (r.host.size >= 2 && address[0] == '[' && colon[-1] == ']') {
        r.host = slice_of(address + 1, r.host.size - 2);
    }
    return r;
}

static void pair_text(struct out *o, const char *name, const char *value)
{
    out_bulk_text(o, name);
    out_bulk_text(o, value);
}

static void pair_count(struct out *o, const char *name, uint64_t value)
{
    out_bulk_text(o, name);
    out_count(o, value);
}

static void pair_double(struct out *o, enum proto proto, const char *name, double value)
{
    out_bulk_text(o, name);
    out_double(o, proto, value);
}

static void pair_bool(struct out *o, enum proto proto, const char *name, bool value)
{
    out_bulk_text(o, name);
    out_bool(o, proto, value);
}

static void pair_position(struct out *o, const char *name, const struct tide_position *position)
{
    char token[TIDE_TOKEN_SIZE];
    out_bulk_text(o, name);
    out_bulk(o, slice_of(token, tide_token_format(position, token)));
}

/* nil: there is no limit. */
static void pair_limit(struct out *o, enum proto proto, const char *name, uint64_t value)
{
    out_bulk_text(o, name);
    if (value != UINT64_MAX) {
        out_count(o, value);
    } else {
        out_nil(o, proto);
    }
}

static const char *role_name(enum tide_role role)
{
    switch (role) {
    case TIDE_ROLE_SINGLE: return "single";
    case TIDE_ROLE_LEADER: return "leader";
    case TIDE_ROLE_FOLLOWER: return "follower";
    }
    return "unknown";
}

/* --- REPL.STATUS and SLOT.LIST --- */

#define EVENTS_TOLD 16u /* /status.json has all that are kept */

/* How far a copy of the state is: 6 pairs. */
#define COPY_PAIRS 6u
static void pair_copy(struct out *o, enum proto proto, const struct tide_copy *c)
{
    pair_count(o, "bootstrap_mark", c->mark);
    pair_count(o, "bootstrap_bytes", c->done_bytes);
    pair_count(o, "bootstrap_bytes_total", c->total_bytes);
    pair_count(o, "bootstrap_blocks", c->done_blocks);
    pair_count(o, "bootstrap_blocks_total", c->total_blocks);
    pair_double(o, proto, "bootstrap_eta_seconds", c->eta_seconds);
}

static void write_follower(struct out *o, enum proto proto, const struct tide_follower_status *f)
{
    out_map(o, proto, 26 + (f->copy.is_active ? COPY_PAIRS : 0));
    pair_text(o, "id", f->node_id);
    pair_text(o, "address", f->address);
    pair_text(o, "state", f->state);
    pair_count(o, "region", f->region);
    pair_count(o, "shard", f->shard);
    pair_bool(o, proto, "connected", f->is_connected);
    pair_bool(o, proto, "synced", f->was_synced);
    pair_bool(o, proto, "rebootstrapping", f->is_rebootstrapping);
    pair_count(o, "restart", f->restart);
    pair_count(o, "shipped", f->shipped);
    pair_count(o, "received", f->received);
    pair_count(o, "stored", f->stored);
    pair_count(o, "applied", f->applied);
    /* Of a follower that never synced, how far it is behind is not known: never 0. */
    out_bulk_text(o, "lag_records");
    if (f->was_synced) {
        out_count(o, f->lag_records);
    } else {
        out_nil(o, proto);
    }
    out_bulk_text(o, "lag_bytes");
    if (f->was_synced) {
        out_count(o, f->lag_bytes);
    } else {
        out_nil(o, proto);
    }
    pair_double(o, proto, "lag_seconds", f->lag_seconds);
    pair_count(o, "last_seen_ms", f->last_seen_ms_ago);
    pair_count(o, "apply_errors", f->apply_errors);
    pair_count(o, "divergences", f->divergences);
    pair_count(o, "held_bytes", f->held_bytes);
    pair_count(o, "held_records", f->held_records);
    pair_limit(o, proto, "budget_bytes", f->budget_bytes);
    pair_limit(o, proto, "safe_bytes", f->safe_bytes);
    pair_double(o, proto, "seconds_until_lost", f->seconds_until_lost);
    pair_count(o, "idle_ms", f->idle_ms);
    pair_text(o, "reason", f->reason != NULL ? f->reason : "");
    if (f->copy.is_active) pair_copy(o, proto, &f->copy);
}

static void render_slot_list(struct turn *turn, const struct slot *slot,
                             const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_status *s = result->as.status;
    out_array(o, s->follower_count);
    for (uint32_t i = 0; i < s->follower_count; i++) {
        write_follower(o, slot->proto, &s->followers[i]);
    }
}

/* The newest ones, oldest first. */
static void write_events(struct out *o, enum proto proto, const struct tide_status *s)
{
    uint32_t count = s->event_count < EVENTS_TOLD ? s->event_count : EVENTS_TOLD;
    out_array(o, count);
    for (uint32_t i = s->event_count - count; i < s->event_count; i++) {
        const struct tide_event *event = &s->events[i];
        out_map(o, proto, 5);
        pair_count(o, "number", event->number);
        pair_count(o, "ms_ago", event->ms_ago);
        pair_text(o, "kind", event->kind);
        pair_text(o, "level", event->level);
        pair_text(o, "text", event->text);
    }
}

static void write_quarantine(struct out *o, enum proto proto, const struct tide_status *s)
{
    out_array(o, s->quarantine_count);
    for (uint32_t i = 0; i < s->quarantine_count; i++) {
        const struct tide_quarantined *q = &s->quarantine[i];
        out_map(o, proto, 6);
        pair_text(o, "name", q->name);
        pair_text(o, "kind", q->kind);
        pair_count(o, "bytes", q->size);
        pair_count(o, "epoch", q->epoch);
        pair_count(o, "first", q->first);
        pair_count(o, "last", q->last);
    }
}

static void render_repl_status(struct turn *turn, const struct slot *slot,
                               const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_status *s = result->as.status;
    enum proto proto = slot->proto;
    bool is_follower = s->role == TIDE_ROLE_FOLLOWER;
    out_map(o, proto,
            (is_follower ? 30 : 23) + (is_follower && s->copy.is_active ? COPY_PAIRS : 0));
    pair_text(o, "role", role_name(s->role));
    pair_text(o, "id", s->node_id);
    pair_text(o, "cluster", s->cluster);
    pair_text(o, "state", s->state);
    pair_text(o, "reason", s->reason);
    pair_count(o, "epoch", s->epoch);
    pair_count(o, "region", s->region);
    pair_count(o, "shard", s->shard);
    pair_position(o, "applied", &s->applied);
    pair_position(o, "durable", &s->durable);
    pair_count(o, "assigned", s->assigned);
    pair_count(o, "committed", s->committed);
    pair_count(o, "safe", s->safe);
    pair_count(o, "oldest", s->oldest);
    pair_count(o, "retention_floor", s->retention_floor);
    pair_text(o, "retention_holder", s->retention_holder);
    pair_text(o, "leader", s->leader_data_address);
    pair_double(o, proto, "lag_seconds", s->lag_seconds);
    if (is_follower) {
        pair_text(o, "link", s->link_state);
        pair_bool(o, proto, "link_up", s->is_link_up);
        pair_bool(o, proto, "synced", s->was_synced);
        pair_text(o, "leader_replication", s->leader_replication_address);
        pair_text(o, "path", s->path);
        pair_bool(o, proto, "cut", s->is_cut);
        pair_bool(o, proto, "rebootstrapping", s->copy.is_active);
        if (s->copy.is_active) pair_copy(o, proto, &s->copy);
    }
    out_bulk_text(o, "followers");
    out_array(o, s->follower_count);
    for (uint32_t i = 0; i < s->follower_count; i++) {
        write_follower(o, proto, &s->followers[i]);
    }
    pair_count(o, "quarantine_files", s->quarantine_files);
    pair_count(o, "quarantine_bytes", s->quarantine_bytes);
    out_bulk_text(o, "quarantine");
    write_quarantine(o, proto, s);
    out_bulk_text(o, "events");
    write_events(o, proto, s);
}

void handle_repl_status(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_status(call->turn->run), render_repl_status);
}

void handle_slot_list(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_status(call->turn->run), render_slot_list);
}

/* --- ROLE and LASTSAVE --- */

static void write_master(struct out *o, const struct tide_status *s)
{
    out_array(o, 3);
    out_bulk_text(o, "master");
    out_count(o, s->durable.seqno);
    size_t count = 0;
    for (uint32_t i = 0; i < s->follower_count; i++) {
        count += s->followers[i].is_connected;
    }
    out_array(o, count);
    for (uint32_t i = 0; i < s->follower_count; i++) {
        const struct tide_follower_status *f = &s->followers[i];
        if (!f->is_connected) continue;
        struct host_port address = split_address(f->address);
        char digits[20];
        out_array(o, 3);
        out_bulk(o, address.host);
        out_bulk(o, slice_of(digits, format_u64(digits, address.port)));
        out_bulk(o, slice_of(digits, format_u64(digits, f->applied)));
    }
}

static void render_role(struct turn *turn, const struct slot *slot,
                        const struct tide_result *result, struct out *o)
{
    (void)turn;
    (void)slot;
    const struct tide_status *s = result->as.status;
    if (s->role != TIDE_ROLE_FOLLOWER) {
        write_master(o, s);
        return;
    }
    struct host_port leader = split_address(s->leader_data_address);
    out_array(o, 5);
    out_bulk_text(o, "slave");
    out_bulk(o, leader.host);
    out_count(o, leader.port);
    out_bulk_text(o, s->is_link_up ? "connected" : "connect");
    out_count(o, s->applied.seqno);
}

void handle_role(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_status(call->turn->run), render_role);
}

static void render_lastsave(struct turn *turn, const struct slot *slot,
                            const struct tide_result *result, struct out *o)
{
    (void)turn;
    (void)slot;
    uint64_t age_ms = result->as.status->checkpoint_age_ms;
    int64_t now_ms = now_wall_us() / 1000;
    bool is_known = age_ms != UINT64_MAX && age_ms < (uint64_t)now_ms;
    out_integer(o, is_known ? (now_ms - (int64_t)age_ms) / 1000 : 0);
}

void handle_lastsave(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_status(call->turn->run), render_lastsave);
}

/* --- INFO --- */

/* What a section is written from. status NULL: the database is not open. */
struct info {
    struct out *o;
    const struct service *service;
    const struct tide_status *status;
};

static void info_server(struct info *i)
{
    const struct service *s = i->service;
    out_format(i->o,
               "# Server\r\nredis_version:7.0.0\r\ntidemark_version:%s\r\nformat_version:%" PRIu32
               "\r\nredis_mode:standalone\r\ntcp_port:%u\r\ndata_address:%s\r\nhttp_address:%s\r\n"
               "uptime_in_seconds:%" PRIu64 "\r\nuptime_in_days:%" PRIu64 "\r\n",
               tide_version(), tide_format_version(), (unsigned)s->data_port, s->data_address,
               s->http_address, (now_mono_ns() - s->started_ns) / NS_PER_S,
               (now_mono_ns() - s->started_ns) / NS_PER_S / 86400);
    if (i->status == NULL) return;
    out_format(i->o, "node_id:%s\r\nrun_id:%s\r\ncluster_id:%s\r\n", i->status->node_id,
               i->status->node_id, i->status->cluster);
}

static void info_clients(struct info *i)
{
    uint32_t max = i->service->options->connections_max;
    out_format(i->o,
               "# Clients\r\nconnected_clients:%" PRIu64 "\r\nmaxclients:%u\r\n"
               "blocked_clients:0\r\n",
               i->service->conn_count, max > 0 ? max : SERVER_CONNECTIONS_MAX);
}

static void info_memory(struct info *i)
{
    uint64_t used = atomic_load_explicit(&i->service->alloc.used_bytes, memory_order_relaxed);
    uint64_t state = i->status != NULL ? i->status->memory_bytes : 0;
    out_format(i->o,
               "# Memory\r\nused_memory:%" PRIu64 "\r\nused_memory_state:%" PRIu64
               "\r\nused_memory_clients:%" PRIu64 "\r\nmaxmemory:%" PRIu64
               "\r\nmaxmemory_policy:noeviction\r\n",
               used + state, state, used, i->service->options->database.memory_max);
}

static void info_persistence(struct info *i)
{
    const struct tide_status *s = i->status;
    out_format(i->o,
               "# Persistence\r\nloading:%d\r\nasync_loading:0\r\naof_enabled:1\r\n"
               "rdb_bgsave_in_progress:0\r\naof_rewrite_in_progress:0\r\n",
               s == NULL);
    if (s == NULL) return;
    bool is_bad = strcmp(s->state, "poisoned") == 0;
    out_format(i->o,
               "rdb_last_bgsave_status:ok\r\naof_last_write_status:%s\r\nlog_bytes:%" PRIu64
               "\r\nlog_segments:%" PRIu64 "\r\nlog_oldest_seqno:%" PRIu64
               "\r\ncheckpoint_seqno:%" PRIu64 "\r\ndisk_free_bytes:%" PRIu64 "\r\n",
               is_bad ? "err" : "ok", s->log_bytes, s->log_segments, s->oldest, s->checkpoint_seqno,
               s->disk_free_bytes);
}

static void info_stats(struct info *i)
{
    const struct stats *s = &i->service->stats;
    out_format(
        i->o,
        "# Stats\r\ntotal_connections_received:%" PRIu64 "\r\ntotal_commands_processed:%" PRIu64
        "\r\ntotal_error_replies:%" PRIu64 "\r\nrejected_connections:%" PRIu64
        "\r\ntotal_net_input_bytes:%" PRIu64 "\r\ntotal_net_output_bytes:%" PRIu64 "\r\n",
        stats_get(&s->connections_accepted), stats_get(&s->commands_done), stats_get(&s->errors),
        stats_get(&s->connections_refused), stats_get(&s->bytes_in), stats_get(&s->bytes_out));
    if (i->status == NULL) return;
    out_format(i->o, "digests_checked:%" PRIu64 "\r\ndivergences:%" PRIu64 "\r\n",
               i->status->digests_checked, i->status->divergences);
}

/* slaveN lines in the form that redis_exporter and ioredis parse; a disconnected follower stays in
 * the list, so that its lag is not mistaken for none. */
static void info_followers(struct info *i)
{
    const struct tide_status *s = i->status;
    size_t connected = 0;
    for (uint32_t k = 0; k < s->follower_count; k++) {
        connected += s->followers[k].is_connected;
    }
    out_format(i->o, "connected_slaves:%zu\r\n", connected);
    for (uint32_t k = 0; k < s->follower_count; k++) {
        const struct tide_follower_status *f = &s->followers[k];
        struct host_port address = split_address(f->address);
        bool is_known = isfinite(f->lag_seconds);
        uint64_t lag = is_known ? (uint64_t)ceil(f->lag_seconds) : f->last_seen_ms_ago / 1000;
        out_format(i->o,
                   "slave%" PRIu32 ":ip=%.*s,port=%" PRIu64 ",state=%s,offset=%" PRIu64
                   ",lag=%" PRIu64 "\r\n",
                   k, (int)address.host.size, (const char *)address.host.data, address.port,
                   f->is_connected ? "online" : "offline", f->applied, lag);
    }
}

static void info_leader(struct info *i)
{
    const struct tide_status *s = i->status;
    const char *address =
        s->leader_data_address[0] != '\0' ? s->leader_data_address : s->leader_replication_address;
    struct host_port leader = split_address(address);
    out_format(i->o,
               "master_host:%.*s\r\nmaster_port:%" PRIu64 "\r\nmaster_link_status:%s\r\n"
               "master_sync_in_progress:%d\r\nslave_repl_offset:%" PRIu64
               "\r\nslave_read_repl_offset:%" PRIu64 "\r\nslave_priority:100\r\n"
               "slave_read_only:1\r\nlink_state:%s\r\n",
               (int)leader.host.size, (const char *)leader.host.data, leader.port,
               s->is_link_up ? "up" : "down", !s->was_synced, s->durable.seqno, s->applied.seqno,
               s->link_state);
    out_format(i->o, "rebootstrapping:%d\r\n", s->copy.is_active);
    if (!s->copy.is_active) return;
    uint64_t left = s->copy.total_bytes - s->copy.done_bytes;
    out_format(i->o,
               "master_sync_total_bytes:%" PRIu64 "\r\nmaster_sync_read_bytes:%" PRIu64
               "\r\nmaster_sync_left_bytes:%" PRIu64 "\r\n",
               s->copy.total_bytes, s->copy.done_bytes, left);
}

static void info_replication(struct info *i)
{
    const struct tide_status *s = i->status;
    bool is_follower = s != NULL ? s->role == TIDE_ROLE_FOLLOWER : i->service->is_follower;
    out_format(i->o, "# Replication\r\nrole:%s\r\n", is_follower ? "slave" : "master");
    if (s == NULL) {
        out_text(i->o, "connected_slaves:0\r\nmaster_repl_offset:0\r\n");
        return;
    }
    if (is_follower) info_leader(i);
    info_followers(i);
    char token[TIDE_TOKEN_SIZE];
    int token_size = (int)tide_token_format(&s->applied, token);
    out_format(i->o,
               "master_failover_state:no-failover\r\nmaster_repl_offset:%" PRIu64
               "\r\nstate:%s\r\nreason:%s\r\nepoch:%" PRIu64 "\r\nposition:%.*s\r\n"
               "assigned_seqno:%" PRIu64 "\r\ndurable_seqno:%" PRIu64 "\r\napplied_seqno:%" PRIu64
               "\r\ncommitted_seqno:%" PRIu64 "\r\nsafe_seqno:%" PRIu64 "\r\n",
               is_follower ? s->applied.seqno : s->durable.seqno, s->state, s->reason, s->epoch,
               token_size, token, s->assigned, s->durable.seqno, s->applied.seqno, s->committed,
               s->safe);
}

static void info_clock(struct info *i)
{
    out_text(i->o, "# Clock\r\n");
    if (i->status == NULL) return;
    const struct tide_clock *c = &i->status->clock;
    out_format(i->o,
               "clock_state:%s\r\nleader_time_ms:%" PRId64 "\r\nwall_time_ms:%" PRId64
               "\r\nclock_offset_ms:%" PRId64 "\r\nclock_step_pending:%d\r\nclock_steps:%" PRIu64
               "\r\n",
               c->state, c->leader_ms, c->wall_ms, c->offset_ms, c->is_step_pending, c->steps);
}

static void info_keyspace(struct info *i)
{
    out_text(i->o, "# Keyspace\r\n");
    if (i->status == NULL || i->status->items == 0) return;
    out_format(i->o, "db0:keys=%" PRIu64 ",expires=0,avg_ttl=0\r\n", i->status->items);
}

static void info_commandstats(struct info *i)
{
    const char *const *labels = commands_labels();
    out_text(i->o, "# Commandstats\r\n");
    for (size_t k = 0; k <= commands_unknown_row(); k++) {
        const struct stats_command *c = &i->service->stats.commands[k];
        uint64_t calls = stats_calls(&i->service->stats, k);
        if (calls == 0) continue;
        uint64_t usec = stats_get(&c->sum_ns) / 1000;
        out_format(i->o,
                   "cmdstat_%s:calls=%" PRIu64 ",usec=%" PRIu64 ",usec_per_call=%" PRIu64
                   ".00,rejected_calls=0,failed_calls=%" PRIu64 "\r\n",
                   labels[k], calls, usec, usec / calls, calls - stats_get(&c->outcomes[0]));
    }
}

static const struct section {
    const char *name;
    void (*write)(struct info *i);
    bool is_default; /* shown without being asked for */
} sections[] = {
    {"server", info_server, true},
    {"clients", info_clients, true},
    {"memory", info_memory, true},
    {"persistence", info_persistence, true},
    {"stats", info_stats, true},
    {"replication", info_replication, true},
    {"clock", info_clock, true},
    {"keyspace", info_keyspace, true},
    {"commandstats", info_commandstats, false},
};

/* A bit for every section asked for; names that Redis has and this server has not give nothing. */
static uint32_t wanted_sections(const struct call *call)
{
    uint32_t wanted = 0;
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if (call->count == 1 && sections[i].is_default) wanted |= 1u << i;
        for (size_t k = 1; k < call->count; k++) {
            struct slice name = call->words[k];
            bool is_all = text_equal_nocase(name, "all") || text_equal_nocase(name, "everything");
            bool is_default = text_equal_nocase(name, "default") && sections[i].is_default;
            if (is_all || is_default || text_equal_nocase(name, sections[i].name)) {
                wanted |= 1u << i;
            }
        }
    }
    return wanted;
}

static void write_info(struct service *service, const struct tide_status *status, uint32_t wanted,
                       enum proto proto, struct out *o)
{
    struct out text;
    out_init(&text, &service->alloc);
    struct info info = {.o = &text, .service = service, .status = status};
    for (size_t i = 0; i < COUNT_OF(sections); i++) {
        if ((wanted & 1u << i) == 0) continue;
        if (text.size > 0) out_text(&text, "\r\n");
        sections[i].write(&info);
    }
    if (text.is_failed) o->is_failed = true;
    out_verbatim(o, proto, slice_of(text.data, text.size));
    out_fini(&text);
}

static void render_info(struct turn *turn, const struct slot *slot,
                        const struct tide_result *result, struct out *o)
{
    write_info(turn->service, result->as.status, slot->argument, slot->proto, o);
}

void handle_info(struct call *call)
{
    uint32_t wanted = wanted_sections(call);
    if (atomic_load_explicit(&call->service->database, memory_order_relaxed) == NULL) {
        write_info(call->service, NULL, wanted, call_proto(call), call_out(call));
        return;
    }
    call_slot(call)->argument = wanted;
    call_answer(call, tide_run_status(call->turn->run), render_info);
}
