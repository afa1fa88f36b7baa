/* commands: what the words of a scenario do. */
#include "scenario/scenario.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/run.h"
#include "format/limits.h"
#include "sim/client.h"
#include "sim/client_run.h"
#include "sim/faults.h"
#include "sim/history.h"
#include "sim/operator.h"
#include "sim/play.h"

#define ANSWER_MAX_NS (30 * NS_PER_S)

static const char *word(const struct scenario *s, uint32_t i)
{
    return i < s->word_count ? s->words[i] : "";
}

static bool has_word(const struct scenario *s, const char *wanted)
{
    for (uint32_t i = 1; i < s->word_count; i++) {
        if (strcmp(s->words[i], wanted) == 0) return true;
    }
    return false;
}

static uint64_t number_after(const struct scenario *s, const char *name, uint64_t otherwise)
{
    for (uint32_t i = 0; i + 1 < s->word_count; i++) {
        if (strcmp(s->words[i], name) == 0) return strtoull(s->words[i + 1], NULL, 10);
    }
    return otherwise;
}

/* "n2" in word i. */
static bool take_node(const struct scenario *s, uint32_t i, uint32_t *out)
{
    const char *text = word(s, i);
    if (text[0] != 'n' || text[1] < '0' || text[1] > '9' || s->cluster == NULL) return false;
    *out = (uint32_t)strtoul(text + 1, NULL, 10);
    return *out < s->cluster->node_count;
}

/* --- the world --- */

static void hear(struct world *w, uint32_t node, const char *text)
{
    char line[700];
    struct scenario *s = w->sink_arg;
    while (*text == ' ' || *text == '|') {
        text++;
    }
    snprintf(line, sizeof(line), "n%u %s", node, text);
    scenario_say(s, node == WORLD_NO_NODE ? text : line);
}

static bool begin(struct scenario *s)
{
    if (s->cluster != NULL) return false;
    struct plan plan = {
        .node_count = (uint32_t)number_after(s, "nodes", 0),
        .client_count = 1,
        .turn_mean_ns = NS_PER_S,
        .net_mean_ns = NS_PER_MS / 2,
        .disk_mean_ns = NS_PER_MS / 2,
        .segment_size = SEGMENT_SIZE_MIN,
        .mark_interval_ms = 3600000,
        .checkpoint_log_bytes = GIB,
        .tail_buffer = 64 * KIB,
        .heartbeat_ms = 200,
        .retain_segments = (uint32_t)number_after(s, "retain", 64),
        .runs_max = 64,
        .victim = WORLD_NO_NODE,
    };
    if (plan.node_count < 1 || plan.node_count > WORLD_NODES_MAX) return false;
    s->cluster = calloc(1, sizeof(*s->cluster));
    ASSERT(s->cluster != NULL);
    struct cluster *c = s->cluster;
    cluster_init(c, number_after(s, "seed", 1), &plan);
    c->is_scripted = true;
    c->world.is_tracing = true;
    c->world.is_trace_dense = true;
    c->world.sink = hear;
    c->world.sink_arg = s;
    for (uint32_t i = 0; i < c->node_count; i++) {
        cluster_plan_start(c, i, (uint64_t)i * 10 * NS_PER_MS, true);
    }
    play_for(c, NS_PER_S);
    return true;
}

/* --- writes --- */

static bool write_records(struct scenario *s)
{
    struct cluster *c = s->cluster;
    uint64_t count = strtoull(word(s, 1), NULL, 10);
    uint32_t node = c->leader;
    uint32_t copies = 0;
    for (uint32_t i = 2; i < s->word_count; i++) {
        if (strncmp(s->words[i], "stored:", 7) == 0) {
            copies = (uint32_t)strtoul(s->words[i] + 7, NULL, 10);
        } else if (!take_node(s, i, &node)) {
            return false;
        }
    }
    if (!cluster_is_ready(c, node) || count < 1 || count > 200) return false;
    struct client_run *r = client_run_new(c, &c->clients[0], node);
    for (uint64_t i = 0; i < count; i++) {
        uint32_t write = model_write_new(&c->model, true, 0, 0, 0);
        c->model.writes[write].copies = copies;
        model_entry_add(&c->model, (struct model_entry){.item = (uint8_t)(i % MODEL_ITEMS),
                                                        .user = MODEL_NO_USER,
                                                        .weight = 1,
                                                        .at_ms = MACHINE_WALL_START_MS - 1000});
        client_run_write(r, write);
    }
    client_run_submit(r);
    uint64_t end_ns = c->world.now_ns + ANSWER_MAX_NS;
    while (c->clients[0].run != NULL && c->world.failed_check == NULL && c->world.now_ns < end_ns) {
        play_for(c, NS_PER_MS);
    }
    c->clients[0].retry_count = 0; /* nobody tries again */
    play_for(c, 50 * NS_PER_MS);
    return true;
}

/* --- operations --- */

static void on_done(tide_run *run, void *arg)
{
    struct scenario *s = arg;
    const struct tide_result *result = tide_run_result(run, 0);
    char line[700];
    snprintf(line, sizeof(line), "answer: %s%s%s", tide_code_name(result->code),
             result->message != NULL ? ": " : "", result->message != NULL ? result->message : "");
    scenario_say(s, line);
    s->is_answered = true;
}

/* Hand the run to its node and wait for the answer. */
static void ask(struct scenario *s, uint32_t node, tide_run *run)
{
    struct cluster *c = s->cluster;
    uint64_t end_ns = c->world.now_ns + ANSWER_MAX_NS;
    s->is_answered = false;
    run->callback = on_done;
    run->callback_arg = s;
    db_submit(c->nodes[node].db, run);
    while (!s->is_answered && c->world.failed_check == NULL && c->world.now_ns < end_ns) {
        play_for(c, NS_PER_MS);
    }
    if (!s->is_answered) world_fail(&c->world, "answered", "an operation has no answer");
    tide_run_free(run);
    play_for(c, 500 * NS_PER_MS);
}

static bool operate(struct scenario *s)
{
    struct cluster *c = s->cluster;
    uint32_t node = 0;
    uint32_t other = 0;
    const char *verb = word(s, 0);
    if (!take_node(s, 1, &node) || !cluster_is_ready(c, node)) return false;
    tide_run *run = tide_run_new();
    ASSERT(run != NULL);
    if (strcmp(verb, "promote") == 0) {
        c->takeover = TAKEOVER_FAILOVER;
        (void)tide_run_promote(run, NULL, has_word(s, "force"));
    } else if (strcmp(verb, "handover") == 0 && take_node(s, 2, &other)) {
        c->takeover = TAKEOVER_HANDOVER;
        (void)tide_run_handover(run, c->nodes[other].node_id, 1000);
    } else if (strcmp(verb, "follow") == 0 && take_node(s, 2, &other)) {
        struct position at = c->nodes[node].db->log != NULL ? log_durable(c->nodes[node].db->log)
                                                            : (struct position){0};
        struct tide_position end = {.epoch = at.epoch, .seqno = at.seqno.v};
        memcpy(end.chain4, at.chain.bytes, sizeof(end.chain4));
        bool accepts = has_word(s, "accept-loss");
        memset(c->nodes[node].follow, 0, sizeof(c->nodes[node].follow));
        simnet_address(other, c->nodes[node].follow);
        (void)tide_run_follow(run, c->nodes[node].follow, accepts, accepts ? &end : NULL);
    } else if (strcmp(verb, "drop-slot") == 0 && take_node(s, 2, &other)) {
        const char *id = c->nodes[other].node_id;
        (void)tide_run_slot_drop(run, (struct tide_bytes){.data = id, .size = strlen(id)});
    } else if (strcmp(verb, "seal") == 0) {
        (void)tide_run_log_seal(run);
    } else if (strcmp(verb, "checkpoint") == 0) {
        (void)tide_run_checkpoint(run);
    } else {
        tide_run_free(run);
        return false;
    }
    ask(s, node, run);
    c->takeover = TAKEOVER_NONE;
    return true;
}

/* --- mishaps --- */

static bool harm(struct scenario *s)
{
    struct cluster *c = s->cluster;
    const char *verb = word(s, 0);
    uint32_t node = 0;
    if (!take_node(s, 1, &node)) return false;
    struct cluster_node *n = &c->nodes[node];
    if (strcmp(verb, "kill") == 0 || strcmp(verb, "power-cut") == 0) {
        cluster_kill(c, node, verb[0] == 'p');
    } else if (strcmp(verb, "stop") == 0) {
        cluster_stop(c, node);
    } else if (strcmp(verb, "start") == 0) {
        cluster_plan_start(c, node, 0, true);
    } else if (strcmp(verb, "wipe") == 0) {
        faults_wipe(c, node);
    } else if (strcmp(verb, "copy") == 0) {
        disk_copy(&c->backup, &n->machine.disk);
    } else if (strcmp(verb, "restore") == 0) {
        c->is_leader_set_back |= node == c->leader;
        faults_restore(c, node, &c->backup);
    } else if (strcmp(verb, "full") == 0 || strcmp(verb, "room") == 0) {
        n->machine.disk.faults.is_full = verb[0] == 'f';
    } else {
        return false;
    }
    play_for(c, NS_PER_S);
    return true;
}

static bool links(struct scenario *s)
{
    struct cluster *c = s->cluster;
    uint32_t a = 0;
    uint32_t b = 0;
    if (strcmp(word(s, 0), "heal") == 0) {
        memset(c->net.is_cut, 0, sizeof(c->net.is_cut));
    } else if (take_node(s, 1, &a) && take_node(s, 2, &b)) {
        c->net.is_cut[a][b] = true;
        c->net.is_cut[b][a] = true;
    } else {
        return false;
    }
    play_for(c, 4 * NS_PER_S);
    return true;
}

bool scenario_command(struct scenario *s)
{
    const char *verb = word(s, 0);
    if (strcmp(verb, "nodes") == 0) return begin(s);
    if (s->cluster == NULL) return false;
    struct cluster *c = s->cluster;
    if (strcmp(verb, "write") == 0) return write_records(s);
    if (strcmp(verb, "cut") == 0 || strcmp(verb, "heal") == 0) return links(s);
    if (strcmp(verb, "wait") == 0) {
        play_for(c, strtoull(word(s, 1), NULL, 10) * NS_PER_MS);
        return true;
    }
    if (strcmp(verb, "settle") == 0) {
        play_settle(c);
        return true;
    }
    if (strcmp(verb, "audit") == 0) {
        play_audit(c);
        return true;
    }
    return operate(s) || harm(s);
}
