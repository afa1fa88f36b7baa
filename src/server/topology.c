/* topology: see topology.h. */
#include "server/topology.h"

#include "base/text.h"
#include "server/jsontext.h"
#include "server/service.h"

#include <inttypes.h>
#include <math.h>

/* A text that is known, with a comma before it. */
static void add_text(struct out *json, const char *name, const char *value)
{
    if (value == NULL || value[0] == '\0') return;
    out_text(json, ",");
    jsontext_name(json, name);
    jsontext_string(json, slice_of_text(value));
}

static void add_u64(struct out *json, const char *name, uint64_t value)
{
    const char *quote = value > (UINT64_C(1) << 53) ? "\"" : "";
    out_format(json, ",\"%s\":%s%" PRIu64 "%s", name, quote, value, quote);
}

static void add_bool(struct out *json, const char *name, bool value)
{
    out_format(json, ",\"%s\":%s", name, value ? "true" : "false");
}

/* An upper bound; null: there is none. */
static void add_seconds(struct out *json, const char *name, double value)
{
    char digits[F64_TEXT_SIZE];
    out_format(json, ",\"%s\":", name);
    if (isfinite(value)) {
        out_bytes(json, digits, format_f64(digits, value));
    } else {
        out_text(json, "null");
    }
}

static void write_self(const struct service *service, const struct tide_status *s, struct out *json)
{
    static const char *const roles[] = {"unknown", "single", "leader", "follower"};
    const char *advertise = service->options->advertise;
    out_format(json, "{\"role\":\"%s\"", roles[s->role]);
    add_bool(json, "self", true);
    add_text(json, "id", s->node_id);
    add_u64(json, "region", s->region);
    add_u64(json, "shard", s->shard);
    add_text(json, "data", advertise != NULL ? advertise : service->data_address);
    add_text(json, "http", service->http_address);
    add_text(json, "replication", s->replication_address);
    add_text(json, "state", s->state);
    add_text(json, "reason", s->reason);
    add_u64(json, "applied_seqno", s->applied.seqno);
    if (s->role == TIDE_ROLE_FOLLOWER) {
        if (s->was_synced) add_u64(json, "lag_records", s->lag_records);
        add_seconds(json, "lag_seconds", s->lag_seconds);
    }
    out_text(json, "}");
}

/* Of its leader a follower knows addresses and whether it hears from it. */
static void write_leader(const struct tide_status *s, struct out *json)
{
    out_text(json, ",{\"role\":\"leader\"");
    add_bool(json, "self", false);
    add_u64(json, "region", s->region);
    add_u64(json, "shard", s->shard);
    add_text(json, "data", s->leader_data_address);
    add_text(json, "replication", s->leader_replication_address);
    add_bool(json, "connected", s->is_link_up);
    add_text(json, "link", s->link_state);
    out_text(json, "}");
}

static void write_follower(const struct tide_follower_status *f, struct out *json)
{
    out_text(json, ",{\"role\":\"follower\"");
    add_bool(json, "self", false);
    add_text(json, "id", f->node_id);
    add_u64(json, "region", f->region);
    add_u64(json, "shard", f->shard);
    add_text(json, "data", f->address);
    add_text(json, "state", f->state);
    add_bool(json, "connected", f->is_connected);
    add_u64(json, "last_seen_ms_ago", f->last_seen_ms_ago);
    add_u64(json, "applied_seqno", f->applied);
    if (f->was_synced) {
        add_u64(json, "lag_records", f->lag_records);
        add_u64(json, "lag_bytes", f->lag_bytes);
    }
    add_seconds(json, "lag_seconds", f->lag_seconds);
    out_text(json, "}");
}

void topology_write(const struct service *service, const struct tide_status *status,
                    struct out *json)
{
    out_format(json, "{\"epoch\":%" PRIu64, status->epoch);
    add_text(json, "cluster", status->cluster);
    out_text(json, ",\"members\":[");
    write_self(service, status, json);
    if (status->role == TIDE_ROLE_FOLLOWER) write_leader(status, json);
    for (uint32_t i = 0; i < status->follower_count; i++) {
        write_follower(&status->followers[i], json);
    }
    out_text(json, "]}\n");
}
