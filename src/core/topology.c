/* topology: see topology.h. */
#include "core/topology.h"

#include "base/assert.h"

uint32_t topology_find(const struct topology *t, struct slice node_id)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (slice_equal(slice_of_text(t->members[i].node_id), node_id)) return i;
    }
    return UINT32_MAX;
}

/* True: it was another one. */
static bool take_address(char known[ADDRESS_SIZE_MAX + 1], const char *seen)
{
    if (seen[0] == '\0' || strcmp(known, seen) == 0) return false;
    memcpy(known, seen, strlen(seen) + 1);
    return true;
}

static bool take_health(struct topology_member *m, uint8_t seen, uint64_t now_ns, uint64_t delay_ns)
{
    if (seen == m->health) {
        m->differs_since_ns = 0;
        return false;
    }
    if (m->differs_since_ns == 0) m->differs_since_ns = now_ns > 0 ? now_ns : 1;
    if (now_ns - m->differs_since_ns < delay_ns) return false;
    m->health = seen;
    m->differs_since_ns = 0;
    return true;
}

static bool take_member(struct topology_member *m, const struct topology_member *seen,
                        uint64_t now_ns, uint64_t delay_ns)
{
    bool is_moved = take_address(m->data_address, seen->data_address);
    is_moved |= take_address(m->http_address, seen->http_address);
    is_moved |= take_address(m->replication_address, seen->replication_address);
    is_moved |= m->role != seen->role || m->region != seen->region ||
                m->is_voter != seen->is_voter || m->is_rebootstrapping != seen->is_rebootstrapping;
    m->role = seen->role;
    m->region = seen->region;
    m->is_voter = seen->is_voter;
    m->is_rebootstrapping = seen->is_rebootstrapping;
    m->lag_records = seen->lag_records;
    is_moved |= take_health(m, seen->health, now_ns, delay_ns);
    return is_moved;
}

/* There is one leader; who is not seen is no leader, and down. */
static bool take_absent(struct topology_member *m, uint64_t now_ns, uint64_t delay_ns)
{
    bool is_moved = m->role != ROLE_FOLLOWER;
    m->role = ROLE_FOLLOWER;
    m->lag_records = WIRE_LAG_UNKNOWN;
    return take_health(m, WIRE_HEALTH_DOWN, now_ns, delay_ns) || is_moved;
}

bool topology_see(struct topology *t, const struct topology_member *seen, uint32_t count,
                  uint64_t now_ns, uint64_t delay_ns)
{
    bool is_moved = false;
    bool is_seen[TOPOLOGY_MAX] = {false};
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = topology_find(t, slice_of_text(seen[i].node_id));
        if (index == UINT32_MAX) {
            if (t->count == TOPOLOGY_MAX) continue;
            index = t->count++;
            t->members[index] = seen[i];
            t->members[index].differs_since_ns = 0;
            is_moved = true;
        }
        is_seen[index] = true;
        is_moved |= take_member(&t->members[index], &seen[i], now_ns, delay_ns);
    }
    for (uint32_t i = 0; i < t->count; i++) {
        if (!is_seen[i]) is_moved |= take_absent(&t->members[i], now_ns, delay_ns);
    }
    t->version += is_moved;
    return is_moved;
}

bool topology_drop(struct topology *t, struct slice node_id)
{
    uint32_t index = topology_find(t, node_id);
    if (index == UINT32_MAX) return false;
    t->count--;
    memmove(&t->members[index], &t->members[index + 1], (t->count - index) * sizeof(t->members[0]));
    t->version++;
    return true;
}

uint64_t topology_due_ns(const struct topology *t, uint64_t delay_ns)
{
    uint64_t due_ns = UINT64_MAX;
    for (uint32_t i = 0; i < t->count; i++) {
        uint64_t since_ns = t->members[i].differs_since_ns;
        if (since_ns != 0 && since_ns + delay_ns < due_ns) due_ns = since_ns + delay_ns;
    }
    return due_ns;
}

/* --- as a message --- */

void topology_encode(const struct topology *t, struct bytes_writer *w, struct wire_members *out)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct topology_member *m = &t->members[i];
        struct wire_member member = {
            .node_id = slice_of_text(m->node_id),
            .is_voter = m->is_voter,
            .role = m->role,
            .region = m->region,
            .health = m->health,
            .is_rebootstrapping = m->is_rebootstrapping,
            .lag_records = m->lag_records,
            .data_address = slice_of_text(m->data_address),
            .http_address = slice_of_text(m->http_address),
            .replication_address = slice_of_text(m->replication_address),
        };
        wire_member_write(w, &member);
    }
    *out = (struct wire_members){
        .topology_version = t->version, .count = t->count, .bytes = bytes_written_slice(w)};
}

static void copy_text(char *out, size_t capacity, struct slice s)
{
    ASSERT(s.size < capacity); /* the wire's bounds */
    if (s.size > 0) memcpy(out, s.data, s.size);
    out[s.size] = '\0';
}

void topology_decode(struct topology *t, const struct wire_members *m)
{
    struct bytes_reader at = bytes_reader_of(m->bytes);
    struct wire_member member;
    memset(t, 0, sizeof(*t));
    t->version = m->topology_version;
    while (t->count < TOPOLOGY_MAX && wire_member_next(&at, &member)) {
        struct topology_member *out = &t->members[t->count++];
        copy_text(out->node_id, sizeof(out->node_id), member.node_id);
        copy_text(out->data_address, sizeof(out->data_address), member.data_address);
        copy_text(out->http_address, sizeof(out->http_address), member.http_address);
        copy_text(out->replication_address, sizeof(out->replication_address),
                  member.replication_address);
        out->region = member.region;
        out->role = member.role;
        out->health = member.health;
        out->is_voter = member.is_voter != 0;
        out->is_rebootstrapping = member.is_rebootstrapping != 0;
        out->lag_records = member.lag_records;
    }
}
