/* members: see members.h. One timer, one save at a time. */
#include "engine/members.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/role.h"
#include "engine/shipper.h"
#include "engine/transport.h"

#define MEMBERS_PATH "members"

struct members {
    struct db *db;
    struct topology topology;
    struct env_timer timer;
    bool is_armed;
    bool is_stopped;
    struct topology_member *seen; /* TOPOLOGY_MAX: scratch */
    uint8_t *told;                /* the bytes that were sent last */
    size_t told_size;
    uint8_t *body; /* scratch of the same size */
    /* the save that runs */
    struct env_job job;
    uint8_t *file;
    size_t file_size;
    bool is_saving;
    bool is_unsaved; /* changed meanwhile */
    enum code code;
};

static void timer_fired(struct env_timer *timer);

/* --- the file --- */

static enum code read_file(struct members *m, struct err *e)
{
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct wire_header header;
    struct wire_message message;
    enum code code =
        env_read_file(m->db->env, MEMBERS_PATH, WIRE_MEMBERS_SIZE_MAX, &bytes, &size, e);
    if (code == OK && size < WIRE_HEADER_SIZE) code = ERR(e, E_CORRUPT, "it is cut short");
    if (code == OK) code = wire_header_decode(bytes, WIRE_MEMBERS_SIZE_MAX, &header, e);
    struct slice body = {0};
    if (code == OK) {
        body = slice_of(bytes + WIRE_HEADER_SIZE, size - WIRE_HEADER_SIZE);
        bool is_whole = body.size == header.body_size && header.kind == WIRE_MEMBERS &&
                        wire_body_verifies(&header, body);
        if (!is_whole) code = ERR(e, E_CORRUPT, "it does not verify");
    }
    if (code == OK) code = wire_decode(&header, body, &message, e);
    if (code == OK) topology_decode(&m->topology, &message.as.members);
    free(bytes);
    return code;
}

static void save_run(struct env_job *job)
{
    struct members *m = CONTAINER_OF(job, struct members, job);
    m->code =
        env_write_file_durably(m->db->env, MEMBERS_PATH, slice_of(m->file, m->file_size), NULL);
}

static void save(struct members *m);

static void save_done(struct env_job *job)
{
    struct members *m = CONTAINER_OF(job, struct members, job);
    m->is_saving = false;
    if (m->code != OK) {
        db_event(m->db, DB_EVENT_MEMBER, "the list of members could not be saved (%s)",
                 code_name(m->code));
        return; /* the next change tries again */
    }
    if (m->is_unsaved) save(m);
}

static void save(struct members *m)
{
    struct env *env = m->db->env;
    struct bytes_writer w = bytes_writer_of(m->body, WIRE_MEMBERS_SIZE_MAX);
    struct wire_message message = {.kind = WIRE_MEMBERS};
    m->is_unsaved = m->is_saving;
    if (m->is_saving || m->is_stopped) return;
    topology_encode(&m->topology, &w, &message.as.members);
    m->file_size = wire_encode(&message, m->file, WIRE_MEMBERS_SIZE_MAX);
    ASSERT(m->file_size > 0);
    m->is_saving = true;
    m->job = (struct env_job){.run = save_run, .done = save_done};
    env->v->submit(env, LANE_BACKGROUND, &m->job);
}

/* --- life --- */

enum code members_open(struct db *db, struct members **out, struct err *e)
{
    struct members *m = calloc(1, sizeof(*m));
    if (m == NULL) return ERR(e, E_NOMEMORY, "no memory to open");
    *out = m;
    m->db = db;
    m->timer = (struct env_timer){.fire = timer_fired, .env = db->env};
    m->seen = calloc(TOPOLOGY_MAX, sizeof(m->seen[0]));
    m->told = malloc(WIRE_MEMBERS_SIZE_MAX);
    m->body = malloc(WIRE_MEMBERS_SIZE_MAX);
    m->file = malloc(WIRE_MEMBERS_SIZE_MAX);
    if (!m->seen || !m->told || !m->body || !m->file) {
        return ERR(e, E_NOMEMORY, "no memory to open");
    }
    struct err why = {.code = OK};
    enum code code = read_file(m, &why);
    if (code != OK && code != E_NOTFOUND) {
        db_event(db, DB_EVENT_MEMBER, "the file members is passed over: %s", why.text);
    }
    return OK;
}

void members_free(struct members *m)
{
    if (m == NULL) return;
    m->db->env->v->timer_close(m->db->env, &m->timer);
    free(m->seen);
    free(m->told);
    free(m->body);
    free(m->file);
    free(m);
}

void members_stop(struct members *m)
{
    if (m == NULL) return;
    m->is_stopped = true;
    m->is_armed = false;
    m->db->env->v->timer_stop(m->db->env, &m->timer);
}

bool members_is_quiet(const struct members *m)
{
    return m == NULL || !m->is_saving;
}

/* --- the leader --- */

static void arm(struct members *m, uint64_t delay_ns)
{
    if (m->is_armed || m->is_stopped) return;
    m->is_armed = true;
    m->db->env->v->timer_start(m->db->env, &m->timer, delay_ns);
}

void members_wake(struct db *db)
{
    struct members *m = db->members;
    if (m->is_stopped) return;
    m->is_armed = false;
    arm(m, 0);
}

static uint32_t look_around(struct members *m, bool *out_is_anyone_up)
{
    const struct db *db = m->db;
    struct topology_member *self = &m->seen[0];
    *self = (struct topology_member){
        .region = db->identity.stream.region, .role = db->identity.role, .health = WIRE_HEALTH_UP};
    memcpy(self->node_id, db->identity.node_id, sizeof(self->node_id));
    memcpy(self->data_address, db->config.data_address, sizeof(self->data_address));
    memcpy(self->http_address, db->config.http_address, sizeof(self->http_address));
    memcpy(self->replication_address, db->config.replication_address,
           sizeof(self->replication_address));
    uint32_t count = 1;
    if (db->shipper != NULL) count += shipper_fill_topology(db->shipper, self + 1);
    *out_is_anyone_up = false;
    for (uint32_t i = 1; i < count; i++) {
        *out_is_anyone_up |= m->seen[i].health == WIRE_HEALTH_UP;
    }
    return count;
}

static void tell(struct members *m)
{
    struct bytes_writer w = bytes_writer_of(m->body, WIRE_MEMBERS_SIZE_MAX);
    struct wire_members message;
    if (m->db->shipper == NULL) return;
    topology_encode(&m->topology, &w, &message);
    struct slice bytes = message.bytes;
    bool is_news = bytes.size != m->told_size ||
                   (bytes.size > 0 && memcmp(bytes.data, m->told, bytes.size) != 0);
    if (is_news) memcpy(m->told, bytes.data, bytes.size);
    m->told_size = bytes.size;
    shipper_send_members(m->db->shipper, &message, is_news);
}

static void timer_fired(struct env_timer *timer)
{
    struct members *m = CONTAINER_OF(timer, struct members, timer);
    struct db *db = m->db;
    m->is_armed = false;
    if (db->reopening != NULL) { /* what it would look at is a job's now */
        arm(m, db->config.heartbeat_ns);
        return;
    }
    if (m->is_stopped) return;
    if (!db_is_leader(db)) { /* whoever follows this node is told what its leader told */
        if (m->topology.count > 0) tell(m);
        return;
    }
    uint64_t now_ns = db->env->v->now_mono_ns(db->env);
    uint64_t delay_ns = db->config.suspect_ns;
    bool is_anyone_up = false;
    uint32_t count = look_around(m, &is_anyone_up);
    bool is_moved = topology_see(&m->topology, m->seen, count, now_ns, delay_ns);
    if (is_moved && m->topology.count > 1) save(m);
    tell(m);
    bool is_change_due = topology_due_ns(&m->topology, delay_ns) != UINT64_MAX;
    if (is_anyone_up || is_change_due) arm(m, db->config.heartbeat_ns);
}

/* --- everybody --- */

void members_take(struct db *db, const struct wire_members *told)
{
    struct members *m = db->members;
    uint64_t version = m->topology.version;
    topology_decode(&m->topology, told);
    if (m->topology.version != version) save(m);
    tell(m);
}

void members_drop(struct db *db, const char *node_id)
{
    struct members *m = db->members;
    if (!topology_drop(&m->topology, slice_of_text(node_id))) return;
    save(m);
    members_wake(db);
}

const struct topology *members_topology(const struct db *db)
{
    return &db->members->topology;
}

const struct topology_member *members_at(const struct db *db, const char *address)
{
    const struct topology *t = &db->members->topology;
    for (uint32_t i = 0; i < t->count; i++) {
        if (strcmp(t->members[i].replication_address, address) == 0) return &t->members[i];
    }
    return NULL;
}

uint32_t members_addresses(const struct db *db, const char *out[MEMBERS_MAX])
{
    const struct topology *t = &db->members->topology;
    const char *leader = db->identity.leader_address;
    uint32_t count = 0;
    bool is_leader_known = db->identity.role != ROLE_FOLLOWER || leader[0] == '\0';
    for (uint32_t i = 0; i < t->count && count < MEMBERS_MAX; i++) {
        const struct topology_member *member = &t->members[i];
        const char *address = member->replication_address;
        bool is_self = strcmp(member->node_id, db->identity.node_id) == 0;
        if (is_self || address[0] == '\0' || transport_is_meant(address)) continue;
        is_leader_known |= strcmp(address, leader) == 0;
        out[count++] = address;
    }
    if (!is_leader_known && !transport_is_meant(leader) && count < MEMBERS_MAX) {
        out[count++] = leader;
    }
    return count;
}
