/* client: turns of the clients: what they do next. */
#include "sim/client.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/run.h"
#include "sim/client_run.h"
#include "sim/docs.h"

#define CLIENTS_MAX 8u
/* Event times lie before anything that a wall clock set back by a day shows. */
#define CLIENT_AUDIT_MS     (MACHINE_WALL_START_MS + 3600000)
#define CLIENT_EVENT_AGE_MS INT64_C(90000000)

void clients_init(struct cluster *c)
{
    ASSERT(c->plan.client_count <= CLIENTS_MAX);
    c->client_count = c->plan.client_count;
    c->clients = calloc(c->client_count, sizeof(c->clients[0]));
    ASSERT(c->clients != NULL);
    for (uint32_t i = 0; i < c->client_count; i++) {
        c->clients[i].cluster = c;
        c->clients[i].index = i;
    }
}

void clients_fini(struct cluster *c)
{
    free(c->clients);
}

static uint64_t draw(struct cluster *c, uint64_t from, uint64_t to)
{
    return world_draw_range(&c->world, STREAM_CLIENT, from, to);
}

static bool chance(struct cluster *c, uint32_t percent)
{
    return world_draw_chance(&c->world, STREAM_CLIENT, percent * 10000);
}

/* --- what is sent again --- */

void client_retry_later(struct client *client, uint32_t write)
{
    for (uint32_t i = 0; i < client->retry_count; i++) {
        if (client->retries[i] == write) return;
    }
    ASSERT(client->retry_count < CLIENT_RETRIES_MAX);
    /* In the order of the first sending, which is what a producer's numbers need. */
    uint32_t at = client->retry_count++;
    while (at > 0 && client->retries[at - 1] > write) {
        client->retries[at] = client->retries[at - 1];
        at--;
    }
    client->retries[at] = write;
}

/* Put what waits to be sent again into the run: whole groups, at most `max` writes. */
static void add_retries(struct client_run *r, uint32_t max)
{
    struct client *client = r->client;
    struct model *m = &r->cluster->model;
    uint32_t taken = 0;
    while (taken < client->retry_count) {
        uint32_t write = client->retries[taken];
        uint32_t group = m->writes[write].group;
        if (group == 0) {
            if (taken >= max) break;
            client_run_write(r, write);
            taken++;
            continue;
        }
        if (taken >= max) break;
        client_run_group(r, write);
        while (taken < client->retry_count && m->writes[client->retries[taken]].group == group) {
            taken++;
        }
    }
    client->retry_count -= taken;
    memmove(client->retries, client->retries + taken,
            client->retry_count * sizeof(client->retries[0]));
}

/* --- new work --- */

static struct model_entry draw_entry(struct cluster *c)
{
    static const double weights[] = {1, 1, 1, 2, 5, 0.5, 0.25, 100};
    struct model_entry entry = {.user = MODEL_NO_USER};
    entry.type = (uint8_t)draw(c, 0, MODEL_PLAIN - 1);
    entry.item = (uint8_t)draw(c, 0, chance(c, 50) ? 3 : MODEL_ITEMS - 1);
    entry.weight = weights[draw(c, 0, COUNT_OF(weights) - 1)];
    entry.at_ms = MACHINE_WALL_START_MS - CLIENT_EVENT_AGE_MS - (int64_t)draw(c, 1, 3600000);
    const struct model_type *type = &model_types[entry.type];
    if (chance(c, 20)) entry.user = (uint8_t)draw(c, 0, MODEL_USERS - 1);
    if (!type->has_times) entry.at_ms = 0;
    return entry;
}

/* A like or a save, or its undo; few users and items, so that they meet. */
static struct model_entry draw_edge(struct cluster *c)
{
    struct model_entry entry = draw_entry(c);
    entry.type = (uint8_t)draw(c, MODEL_PLAIN, MODEL_TYPES - 1);
    entry.user = (uint8_t)draw(c, 0, chance(c, 50) ? 1 : MODEL_USERS - 1);
    entry.is_undo = chance(c, 45);
    entry.at_ms = model_types[entry.type].has_times
                      ? MACHINE_WALL_START_MS - CLIENT_EVENT_AGE_MS - (int64_t)draw(c, 1, 3600000)
                      : 0;
    return entry;
}

/* With a key it has a place in the order in which all took effect. Without one it may change
 * nothing and say so; some users write in no other way, so that the rest stay certain, and change
 * their minds at once. */
static void add_edge(struct client_run *r)
{
    struct cluster *c = r->cluster;
    bool is_keyed = chance(c, 60);
    struct model_entry entry = draw_edge(c);
    if (!is_keyed) entry.user = (uint8_t)draw(c, MODEL_USERS - 3, MODEL_USERS - 1);
    uint64_t count = is_keyed ? 1 : draw(c, 1, 3);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t write = model_write_new(&c->model, is_keyed, 0, 0, 0);
        model_entry_add(&c->model, entry);
        client_run_write(r, write);
        if (is_keyed && chance(c, 5)) client_run_write(r, write);
        entry.is_undo = chance(c, 50);
    }
}

static void add_group(struct client_run *r)
{
    struct cluster *c = r->cluster;
    uint32_t group = ++c->model.group_count;
    uint32_t count = (uint32_t)draw(c, 1, 5);
    uint32_t first = c->model.write_count;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t write = model_write_new(&c->model, true, 0, 0, group);
        if (chance(c, 25)) {
            docs_draw(c, write);
        } else {
            model_entry_add(&c->model, chance(c, 25) ? draw_edge(c) : draw_entry(c));
        }
    }
    client_run_group(r, first);
}

static void add_write(struct client_run *r)
{
    struct cluster *c = r->cluster;
    if (chance(c, 15)) {
        uint32_t change = model_write_new(&c->model, chance(c, 90), 0, 0, 0);
        docs_draw(c, change);
        client_run_write(r, change);
        return;
    }
    uint32_t entries =
        chance(c, 20) ? (uint32_t)draw(c, 2, chance(c, 20) ? CLIENT_ENTRIES_MAX : 4) : 1;
    if (world_draw_chance(&c->world, STREAM_CLIENT, 300)) {
        entries = (uint32_t)draw(c, 500, CLIENT_BULK_MAX);
    }
    uint64_t how = draw(c, 0, 99);
    uint32_t write = 0;
    if (how < 25 && !plan_changes_leaders(&c->plan)) {
        uint64_t number = ++r->client->producer_number;
        write = model_write_new(&c->model, false, r->client->index + 1, number, 0);
        if (chance(c, 5)) entries = 0;
    } else {
        write = model_write_new(&c->model, how < 90, 0, 0, 0);
    }
    for (uint32_t i = 0; i < entries; i++) {
        model_entry_add(&c->model, draw_entry(c));
    }
    bool is_leveled =
        c->model.writes[write].is_keyed && c->node_count > 1 && !c->plan.is_local && chance(c, 25);
    if (is_leveled) c->model.writes[write].copies = c->node_count > 3 && chance(c, 30) ? 2 : 1;
    client_run_write(r, write);
    /* Impatient: the same again before the first was answered. */
    if (c->model.writes[write].is_keyed && chance(c, 5)) client_run_write(r, write);
}

static void add_reads(struct client_run *r, uint32_t count)
{
    struct cluster *c = r->cluster;
    client_run_position(r);
    docs_read(r, (uint8_t)draw(c, 0, MODEL_DOCS - 1));
    for (uint32_t i = 0; i < count; i++) {
        uint8_t item = (uint8_t)draw(c, 0, chance(c, 50) ? 3 : MODEL_ITEMS - 1);
        uint8_t type = (uint8_t)draw(c, 0, MODEL_TYPES - 1);
        client_run_count(r, type, item);
    }
    client_run_position(r);
}

static void fill_leader_run(struct client_run *r)
{
    struct cluster *c = r->cluster;
    uint64_t what = draw(c, 0, 99);
    if (what < 70) {
        uint64_t count = draw(c, 1, chance(c, 4) ? 40 : 4);
        for (uint64_t i = 0; i < count; i++) {
            if (chance(c, 15)) {
                add_group(r);
            } else if (chance(c, 20)) {
                add_edge(r);
            } else {
                add_write(r);
            }
        }
        if (chance(c, 30)) add_reads(r, 3);
    } else if (what < 78) {
        add_reads(r, 6);
        client_run_producer(r, r->client->index + 1);
    } else if (what < 82) {
        uint64_t at_least = chance(c, 50) ? 0 : c->model.acked_max;
        uint64_t wait_ms = draw(c, 50, 3000);
        uint32_t followers = (uint32_t)draw(c, 1, c->node_count);
        client_run_wait(r, at_least, followers, wait_ms);
    } else if (what < 85) {
        client_run_other(r, OTHER_CHECKPOINT);
        c->world.coverage.checkpoints++;
    } else if (what < 88) {
        client_run_other(r, OTHER_SEAL);
        c->world.coverage.seals++;
    } else if (what < 91) {
        client_run_digest(r, 0);
    } else if (what < 93) {
        client_run_digest(r, c->nodes[r->node].digest_mark);
    } else if (what < 98) {
        client_run_status(r);
    } else {
        client_run_retrieve(r, 0, 5, MACHINE_WALL_START_MS);
        client_run_other(r, OTHER_METRICS);
        client_run_other(r, OTHER_SCHEMA);
        client_run_other(r, OTHER_ITEMS);
    }
}

static void fill_follower_run(struct client_run *r)
{
    struct cluster *c = r->cluster;
    uint64_t what = draw(c, 0, 99);
    if (what < 40) {
        add_reads(r, 6);
    } else if (what < 65) {
        client_run_status(r);
    } else if (what < 70) {
        client_run_digest(r, 0);
    } else if (what < 80) {
        client_run_digest(r, c->nodes[r->node].digest_mark);
    } else if (what < 83) {
        client_run_other(r, OTHER_CHECKPOINT);
        c->world.coverage.checkpoints++;
    } else if (what < 86) {
        client_run_other(r, OTHER_SEAL);
        c->world.coverage.seals++;
    } else if (what < 90 && !plan_changes_leaders(&c->plan)) {
        client_run_forbidden(r);
    } else {
        client_run_retrieve(r, 1, 5, MACHINE_WALL_START_MS);
        client_run_other(r, OTHER_METRICS);
    }
}

static void turn(struct client *client)
{
    struct cluster *c = client->cluster;
    if (client->run != NULL || client->waits_until_ns > c->world.now_ns) return;
    bool has_retries = client->retry_count > 0;
    uint32_t node = c->leader;
    bool wants_follower = c->node_count > 1 && chance(c, 25);
    if (wants_follower && !has_retries) node = (uint32_t)draw(c, 0, c->node_count - 1);
    if (c->is_quiet && !has_retries) return;
    if (!cluster_is_ready(c, node)) return;
    struct client_run *r = client_run_new(c, client, node);
    if (has_retries) {
        add_retries(r, (uint32_t)draw(c, 1, 20));
    } else if (node == c->leader) {
        fill_leader_run(r);
    } else {
        fill_follower_run(r);
    }
    client_run_submit(r);
}

static void run_turn(struct world *w, void *arg, uint64_t number)
{
    struct client *client = arg;
    turn(client);
    uint64_t pause = world_draw_delay(w, STREAM_CLIENT, client->cluster->plan.turn_mean_ns);
    world_schedule(w, pause + NS_PER_MS / 10, EVENT_CLIENT, WORLD_NO_NODE, run_turn, client,
                   number + 1);
}

void clients_begin(struct cluster *c)
{
    for (uint32_t i = 0; i < c->client_count; i++) {
        world_schedule(&c->world, (i + 1) * NS_PER_MS, EVENT_CLIENT, WORLD_NO_NODE, run_turn,
                       &c->clients[i], 0);
    }
}

/* --- deaths and the end --- */

void client_orphan_runs(struct cluster *c, uint32_t node)
{
    while (c->nodes[node].runs != NULL) {
        struct client_run *r = c->nodes[node].runs;
        c->nodes[node].runs = r->next;
        if (r->client != NULL) {
            r->client->run = NULL;
            client_give_up(r);
        }
        r->run->is_submitted = false; /* the owner died with the node */
        client_run_free(r);
    }
}

uint64_t client_overdue_ns(const struct cluster *c, uint32_t node)
{
    uint64_t now_ns = c->world.now_ns;
    for (const struct client_run *r = c->nodes[node].runs; r != NULL; r = r->next) {
        bool was_paused = c->world.nodes[node].paused_until_ns > r->asked.at_ns;
        uint64_t patience_ns = was_paused ? CLIENT_PATIENCE_NS : r->patience_ns;
        if (now_ns - r->asked.at_ns > patience_ns) return now_ns - r->asked.at_ns;
    }
    return 0;
}

void client_digest(struct cluster *c, uint32_t node)
{
    struct client_run *digest = client_run_new(c, NULL, node);
    client_run_digest(digest, 0);
    client_run_submit(digest);
}

void client_audit(struct cluster *c, uint32_t node)
{
    if (check_is_left_behind(c, node)) return;
    struct client_run *counts = client_run_new(c, NULL, node);
    client_run_position(counts);
    for (uint8_t doc = 0; doc < MODEL_DOCS; doc++) {
        docs_read(counts, doc);
    }
    for (uint8_t type = 0; type < MODEL_TYPES; type++) {
        for (uint8_t item = 0; item < MODEL_ITEMS; item++) {
            client_run_count(counts, type, item);
            client_run_score(counts, type, item, CLIENT_AUDIT_MS);
        }
        client_run_retrieve(counts, type, MODEL_ITEMS, CLIENT_AUDIT_MS);
    }
    client_run_position(counts);
    for (uint32_t i = 0; i < c->client_count; i++) {
        client_run_producer(counts, i + 1);
    }
    client_run_submit(counts);
    client_digest(c, node);
    struct client_run *status = client_run_new(c, NULL, node);
    client_run_status(status);
    client_run_submit(status);
}

uint32_t client_audits_pending(const struct cluster *c)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < c->node_count; i++) {
        for (const struct client_run *r = c->nodes[i].runs; r != NULL; r = r->next) {
            count += r->client == NULL && !r->is_reader;
        }
    }
    return count;
}
