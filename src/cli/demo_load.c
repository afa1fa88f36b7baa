/* demo_load: the writes around the crash. */
#include "cli/demo_load.h"

#include <stdio.h>

#include "base/text.h"

#define WRITE_TYPE        "view"
#define KILL_DELAY_MAX_NS (NS_PER_MS / 2)

static void item_name(uint64_t n, char out[32])
{
    (void)snprintf(out, 32, "demo/crash-item-%02u", (unsigned)(n % LOAD_ITEMS));
}

static bool add_write(struct load *load, struct resp_client *c, uint64_t n)
{
    char item[32];
    char key[64];
    item_name(n, item);
    (void)snprintf(key, sizeof(key), "demo-%016llx-%llu", (unsigned long long)load->run,
                   (unsigned long long)n);
    struct slice words[] = {slice_of_text("SIGNAL"), slice_of_text(WRITE_TYPE), slice_of_text(item),
                            slice_of_text("KEY"), slice_of_text(key)};
    return resp_client_add(c, words, COUNT_OF(words));
}

static enum code fill(struct load *load, struct resp_client *c, struct err *e)
{
    while (load->sent - load->acknowledged < LOAD_OUTSTANDING) {
        if (!add_write(load, c, load->sent + 1)) return ERR(e, E_BUSY, "no room for a write");
        load->sent++;
    }
    return OK;
}

/* Count the replies that are here. */
static enum code take_replies(struct load *load, struct resp_client *c, struct err *e)
{
    for (;;) {
        const struct resp_value *reply = NULL;
        TRY(resp_client_take(c, &reply, e));
        if (reply == NULL) return OK;
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "a write was refused: %.*s",
                       (int)reply->text.size, (const char *)reply->text.data);
        }
        load->acknowledged++;
        load->acknowledged_seqno = token_seqno(reply->text);
    }
}

/* After the kill: what the kernel still holds was acknowledged too. */
static enum code take_last_words(struct load *load, struct resp_client *c, struct err *e)
{
    for (;;) {
        resp_client_move(c);
        enum code code = take_replies(load, c, e);
        if (code == E_CLOSED) return OK;
        if (code != OK) return code;
        struct host_wait wait = resp_client_wait(c);
        (void)host_wait_any(&wait, 1, 100);
    }
}

enum code load_until_crash(struct load *load, struct node *leader, struct err *e)
{
    *load = (struct load){.run = host_random()};
    struct resp_client *c = &leader->client;
    uint64_t started = host_mono_ns();
    for (;;) {
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        TRY(fill(load, c, e));
        resp_client_move(c);
        TRY(take_replies(load, c, e));
        TRY(fill(load, c, e));
        resp_client_move(c);
        bool is_enough =
            load->acknowledged >= LOAD_WRITES_MIN && host_mono_ns() - started >= LOAD_TIME_MIN_NS;
        if (is_enough && load->sent > load->acknowledged) break;
        struct host_wait wait = resp_client_wait(c);
        (void)host_wait_any(&wait, 1, 100);
    }
    /* Somewhere between the arrival of these writes and their replies. */
    struct host_wait none = {.fd = -1};
    (void)host_wait_ns(&none, 1, load->run % KILL_DELAY_MAX_NS);
    uint64_t killed = host_mono_ns();
    host_child_kill(&leader->child);
    TRY(take_last_words(load, c, e));
    load->unknown = load->sent - load->acknowledged;
    load->down_ns = killed;
    return OK;
}

enum code load_recover(struct load *load, struct nodes *nodes, struct err *e)
{
    struct node *leader = &nodes->list[0];
    TRY(nodes_restart(nodes, leader, e));
    TRY(node_position(leader, &load->recovered_seqno, e));
    load->down_ns = host_mono_ns() - load->down_ns;
    if (load->recovered_seqno < load->acknowledged_seqno) {
        return ERR(e, E_LOST,
                   "the leader came back at record %llu, but record %llu was acknowledged",
                   (unsigned long long)load->recovered_seqno,
                   (unsigned long long)load->acknowledged_seqno);
    }
    for (uint64_t n = load->acknowledged + 1; n <= load->sent; n++) {
        const struct resp_value *reply = NULL;
        if (!add_write(load, &leader->client, n)) return ERR(e, E_BUSY, "no room for a write");
        TRY(resp_client_await(&leader->client, NODE_ANSWER_MS, &reply, e));
        if (reply->kind == RESP_ERROR) {
            return ERR(e, resp_error_code(reply->text), "a retried write was refused: %.*s",
                       (int)reply->text.size, (const char *)reply->text.data);
        }
        uint64_t number = token_seqno(reply->text);
        if (number > 0 && number <= load->recovered_seqno) load->unknown_there++;
    }
    return OK;
}

enum code load_prove(const struct load *load, struct node *node, struct err *e)
{
    for (uint64_t i = 0; i < LOAD_ITEMS; i++) {
        char item[32];
        char words[96];
        item_name(i, item);
        (void)snprintf(words, sizeof(words), "COUNT %s %s all", WRITE_TYPE, item);
        const struct resp_value *reply = NULL;
        TRY(node_call(node, words, &reply, e));
        /* Writes 1 .. sent whose number is i modulo LOAD_ITEMS. */
        uint64_t wanted = load->sent / LOAD_ITEMS + (i > 0 && i <= load->sent % LOAD_ITEMS ? 1 : 0);
        if (reply->integer >= 0 && (uint64_t)reply->integer == wanted) continue;
        return ERR(e, E_LOST, "node %s counts %lld views of %s; %llu were sent, each once",
                   node->name, (long long)reply->integer, item, (unsigned long long)wanted);
    }
    return OK;
}
