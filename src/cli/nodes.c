/* nodes: starting servers, reading their ready line, and comparing them. */
#include "cli/nodes.h"

#include <stdio.h>

#include "base/assert.h"
#include "base/text.h"
#include "cli/cli.h"

#define START_TIMEOUT_MS 60000
#define STANDSTILL_NS    (30 * NS_PER_S)
#define LINE_SIZE        512
#define SHOWN_LOG_SIZE   2000
#define POLL_MS          2

/* --- start --- */

/* "name=value" in the ready line. */
static bool ready_field(const char *line, const char *name, char out[NODE_ADDRESS_SIZE])
{
    size_t size = strlen(name);
    for (const char *at = strstr(line, name); at != NULL; at = strstr(at + 1, name)) {
        if (at[-1] != ' ' || at[size] != '=') continue;
        const char *value = at + size + 1;
        struct text t = text_of(out, NODE_ADDRESS_SIZE);
        text_add_slice(&t, slice_of(value, strcspn(value, " \r\n")));
        return !t.is_cut && t.size > 0;
    }
    return false;
}

static bool take_ready_line(struct node *node, const char *line)
{
    return strncmp(line, "ready ", 6) == 0 && ready_field(line, "data", node->data) &&
           ready_field(line, "http", node->http) &&
           ready_field(line, "replication", node->replication);
}

static enum code fail_start(struct node *node, struct err *e)
{
    if (!host_child_has_ended(&node->child)) {
        return ERR(e, E_TIMEOUT, "node %s was not ready within %d s", node->name,
                   START_TIMEOUT_MS / 1000);
    }
    return ERR(e, E_CLOSED, "node %s ended at its start with exit code %d", node->name,
               node->child.exit_code);
}

/* Read its output line by line until it says that it is ready. */
static enum code wait_ready(struct node *node, struct err *e)
{
    char line[LINE_SIZE];
    size_t size = 0;
    uint64_t deadline_ns = host_mono_ns() + START_TIMEOUT_MS * NS_PER_MS;
    while (host_mono_ns() < deadline_ns) {
        struct host_wait wait = {.fd = node->child.stdout_fd, .wants_read = true};
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        if (host_wait_any(&wait, 1, 50) == 0) continue;
        char byte = 0;
        size_t got = 0;
        TRY(host_read(node->child.stdout_fd, &byte, 1, &got, e));
        if (got == 0) {
            (void)host_child_wait(&node->child, 1000);
            break;
        }
        if (byte != '\n') {
            if (size + 1 < sizeof(line)) line[size++] = byte;
            continue;
        }
        line[size] = '\0';
        size = 0;
        if (take_ready_line(node, line)) return OK;
    }
    return fail_start(node, e);
}

static const char *port_of(const char *address)
{
    const char *colon = strrchr(address, ':');
    return colon != NULL ? colon + 1 : "0";
}

static enum code start(struct nodes *nodes, struct node *node, struct err *e)
{
    const struct node *leader = &nodes->list[0];
    char ports[3][8];
    (void)snprintf(ports[0], sizeof(ports[0]), "%.7s", port_of(node->data));
    (void)snprintf(ports[1], sizeof(ports[1]), "%.7s", port_of(node->http));
    (void)snprintf(ports[2], sizeof(ports[2]), "%.7s", port_of(node->replication));
    const char *words[] = {nodes->program,
                           "serve",
                           "--dir",
                           node->dir,
                           "--id",
                           node->name,
                           "--port",
                           ports[0],
                           "--http-port",
                           ports[1],
                           "--replication-port",
                           ports[2],
                           node == leader ? NULL : "--follow",
                           leader->replication,
                           NULL};
    /* Settings of the user's own environment are meant for other nodes. */
    struct host_spawn how = {
        .words = words, .error_path = node->log_path, .without = "TIDEMARK_", .wants_output = true};
    TRY(host_spawn(&how, &node->child, e));
    TRY(wait_ready(node, e));
    if (node->client.out == NULL) resp_client_init(&node->client, node->data);
    return resp_client_connect(&node->client, NODE_ANSWER_MS, e);
}

enum code nodes_init(struct nodes *nodes, const char *parent, const char *prefix, struct err *e)
{
    memset(nodes, 0, sizeof(*nodes));
    TRY(host_program_path(nodes->program, e));
    return host_make_temp_dir(parent, prefix, nodes->dir, e);
}

enum code nodes_add(struct nodes *nodes, const char *name, struct node **out, struct err *e)
{
    ASSERT(nodes->count < NODES_MAX);
    struct node *node = &nodes->list[nodes->count++];
    *node = (struct node){.client.fd = -1};
    struct text t = text_of(node->name, sizeof(node->name));
    text_add(&t, "%s", name);
    t = text_of(node->dir, sizeof(node->dir));
    text_add(&t, "%s/%s", nodes->dir, name);
    t = text_of(node->log_path, sizeof(node->log_path));
    text_add(&t, "%s/%s.log", nodes->dir, name);
    if (t.is_cut) return ERR(e, E_LIMIT, "the path %s is too long", nodes->dir);
    *out = node;
    return start(nodes, node, e);
}

enum code nodes_restart(struct nodes *nodes, struct node *node, struct err *e)
{
    host_child_kill(&node->child);
    return start(nodes, node, e);
}

/* --- end --- */

void nodes_stop_all(struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        resp_client_fini(&nodes->list[i].client);
        host_child_kill(&nodes->list[i].child);
    }
}

void nodes_fini(struct nodes *nodes, bool keeps_dir)
{
    struct err e;
    nodes_stop_all(nodes);
    nodes->count = 0;
    if (nodes->dir[0] == '\0' || keeps_dir) return;
    if (host_remove_tree(nodes->dir, &e) != OK) cli_error("tidemark", "%s", e.text);
    nodes->dir[0] = '\0';
}

void nodes_show_logs(const struct nodes *nodes)
{
    for (size_t i = 0; i < nodes->count; i++) {
        char text[SHOWN_LOG_SIZE + 1];
        struct err e;
        int fd = -1;
        uint64_t size = 0;
        size_t got = 0;
        const struct node *node = &nodes->list[i];
        if (host_open(node->log_path, &fd, &e) != OK) continue;
        enum code code = host_size(fd, &size, &e);
        uint64_t from = size > SHOWN_LOG_SIZE ? size - SHOWN_LOG_SIZE : 0;
        if (code == OK) code = host_pread(fd, from, text, SHOWN_LOG_SIZE, &got, &e);
        host_close(fd);
        if (code != OK || got == 0) continue;
        text[got] = '\0';
        const char *shown = from > 0 && strchr(text, '\n') != NULL ? strchr(text, '\n') + 1 : text;
        fprintf(stderr, "--- last lines of node %s:\n%s", node->name, shown);
    }
}

/* --- questions --- */

enum code node_call(struct node *node, const char *words, const struct resp_value **out,
                    struct err *e)
{
    struct err why;
    enum code code = resp_client_call(&node->client, NODE_ANSWER_MS, words, out, &why);
    if (code == OK) return OK;
    return ERR(e, code, "node %s, %s: %s", node->name, words, why.text);
}

uint64_t token_seqno(struct slice token)
{
    struct token parsed;
    return parse_token(token, &parsed) ? parsed.seqno.v : 0;
}

enum code node_position(struct node *node, uint64_t *out_seqno, struct err *e)
{
    const struct resp_value *reply = NULL;
    enum code code = node_call(node, "POSITION", &reply, e);
    if (code == E_LOADING) { /* a follower that holds nothing yet */
        *out_seqno = 0;
        return OK;
    }
    if (code != OK) return code;
    *out_seqno = token_seqno(reply->text);
    return OK;
}

/* Have all followers the leader's position? Notes progress. */
static enum code look_at_positions(struct nodes *nodes, bool *out_equal, uint64_t *sum,
                                   struct err *e)
{
    uint64_t leader = 0;
    TRY(node_position(&nodes->list[0], &leader, e));
    *out_equal = true;
    *sum = 0;
    for (size_t i = 1; i < nodes->count; i++) {
        uint64_t applied = 0;
        TRY(node_position(&nodes->list[i], &applied, e));
        *sum += applied;
        if (applied < leader) *out_equal = false;
    }
    return OK;
}

/* Ask all digests; equal positions must have equal digests. *out_equal false: a position moved. */
static enum code compare_digests(struct nodes *nodes, char digest[128], bool *out_equal,
                                 struct err *e)
{
    const struct resp_value *reply = NULL;
    TRY(node_call(&nodes->list[0], "DIGEST", &reply, e));
    struct text t = text_of(digest, 128);
    text_add_slice(&t, reply->text);
    *out_equal = true;
    size_t number_size = strcspn(digest, ":") + 1;
    for (size_t i = 1; i < nodes->count; i++) {
        TRY(node_call(&nodes->list[i], "DIGEST", &reply, e));
        if (slice_equal(reply->text, slice_of_text(digest))) continue;
        *out_equal = false;
        bool is_same_position =
            reply->text.size >= number_size && memcmp(reply->text.data, digest, number_size) == 0;
        if (!is_same_position) continue;
        return ERR(e, E_DIVERGED, "node %s has digest %.*s, the leader %s", nodes->list[i].name,
                   (int)reply->text.size, (const char *)reply->text.data, digest);
    }
    return OK;
}

enum code nodes_wait_equal(struct nodes *nodes, struct nodes_equality *out, struct err *e)
{
    uint64_t started = host_mono_ns();
    uint64_t moved = started;
    uint64_t sum = 0;
    bool is_waited = false;
    for (;;) {
        bool is_equal = false;
        uint64_t now_sum = 0;
        TRY(look_at_positions(nodes, &is_equal, &now_sum, e));
        uint64_t now = host_mono_ns();
        if (now_sum != sum) moved = now;
        sum = now_sum;
        if (is_equal) {
            if (!is_waited) out->wait_ns = now - started;
            is_waited = true;
            TRY(compare_digests(nodes, out->digest, &is_equal, e));
            if (is_equal) break;
        }
        if (now - moved > STANDSTILL_NS) {
            return ERR(e, E_TIMEOUT, "the followers stand still behind the leader");
        }
        host_sleep_ms(POLL_MS);
    }
    struct slice number = slice_of(out->digest, strcspn(out->digest, ":"));
    if (!parse_u64(number, &out->seqno)) out->seqno = 0;
    return OK;
}
