/* topology: see topology.h. */
#include "server/topology.h"

#include "base/text.h"
#include "server/jsontext.h"
#include "server/service.h"

#include <inttypes.h>

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

const char *topology_role_name(enum tide_role role)
{
    switch (role) {
    case TIDE_ROLE_SINGLE: return "single";
    case TIDE_ROLE_LEADER: return "leader";
    case TIDE_ROLE_FOLLOWER: return "follower";
    }
    return "unknown";
}

/* Before any leader told the members a node knows itself ... */
static void write_self(const struct service *service, const struct tide_status *s, struct out *json)
{
    const char *advertise = service->options->advertise;
    out_format(json, "{\"role\":\"%s\"", topology_role_name(s->role));
    add_text(json, "id", s->node_id);
    add_u64(json, "region", s->region);
    add_text(json, "data", advertise != NULL ? advertise : service->data_address);
    add_text(json, "http", service->http_address);
    add_text(json, "replication", s->replication_address);
    add_text(json, "health", "up");
    out_text(json, "}");
}

/* ... and a follower its leader's addresses and whether it hears from it. */
static void write_leader(const struct tide_status *s, struct out *json)
{
    out_text(json, ",{\"role\":\"leader\"");
    add_u64(json, "region", s->region);
    add_text(json, "data", s->leader_data_address);
    add_text(json, "replication", s->leader_replication_address);
    add_text(json, "health", s->is_link_up ? "up" : "down");
    out_text(json, "}");
}

static void write_member(const struct tide_member *m, struct out *json)
{
    out_format(json, "{\"role\":\"%s\"", topology_role_name(m->role));
    add_text(json, "id", m->node_id);
    add_bool(json, "voter", m->is_voter);
    add_u64(json, "region", m->region);
    add_text(json, "data", m->data_address);
    add_text(json, "http", m->http_address);
    add_text(json, "replication", m->replication_address);
    add_text(json, "health", m->is_up ? "up" : "down");
    add_bool(json, "rebootstrapping", m->is_rebootstrapping);
    add_text(json, "follows", m->follows);
    if (m->lag_records != UINT64_MAX) add_u64(json, "lag_records", m->lag_records);
    out_text(json, "}");
}

void topology_write(const struct service *service, const struct tide_status *status,
                    struct out *json)
{
    out_format(json, "{\"epoch\":%" PRIu64, status->epoch);
    add_text(json, "cluster", status->cluster);
    add_u64(json, "version", status->topology_version);
    add_text(json, "self", status->node_id);
    out_text(json, ",\"members\":[");
    for (uint32_t i = 0; i < status->member_count; i++) {
        if (i > 0) out_text(json, ",");
        write_member(&status->members[i], json);
    }
    if (status->member_count == 0) {
        write_self(service, status, json);
        if (status->role == TIDE_ROLE_FOLLOWER) write_leader(status, json);
    }
    out_text(json, "]}\n");
}
