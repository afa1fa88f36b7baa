/* commands_roles: who leads: PROMOTE, HANDOVER, FOLLOW and REPLICAOF, which is FOLLOW or PROMOTE in
 * the words that Redis has for them. */
#include "server/handlers.h"

#include <stdio.h>

#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/options.h"
#include "server/topology.h"

/* A text that lives as long as the turn. NULL: the error was answered. */
static const char *keep_text(struct call *call, struct slice s)
{
    char *text = arena_get(&call->turn->arena, s.size + 1);
    if (text == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %s", call->command->name);
        return NULL;
    }
    memcpy(text, s.data, s.size);
    return text;
}

/* EXPECT token and one flag, in any order, from word `first` on. */
struct role_words {
    bool has_expect;
    bool is_flagged;
    struct tide_position expect;
};

static bool parse_expect(struct call *call, size_t at, struct role_words *out)
{
    struct token token;
    if (at == call->count || !parse_token(call->words[at], &token)) {
        call_fail(call, TIDE_INVALID, "EXPECT takes a token, as POSITION answers it");
        return false;
    }
    out->has_expect = true;
    out->expect = (struct tide_position){.epoch = token.epoch, .seqno = token.seqno.v};
    memcpy(out->expect.chain4, token.chain4, sizeof(token.chain4));
    return true;
}

static bool parse_words(struct call *call, size_t first, const char *flag, struct role_words *out)
{
    *out = (struct role_words){0};
    for (size_t i = first; i < call->count; i++) {
        if (text_equal_nocase(call->words[i], "expect")) {
            if (!parse_expect(call, ++i, out)) return false;
        } else if (text_equal_nocase(call->words[i], flag)) {
            out->is_flagged = true;
        } else {
            char shown[SHOWN_SIZE];
            call_fail(call, TIDE_INVALID, "%s has no option '%s'", call->command->name,
                      call_show(shown, call->words[i]));
            return false;
        }
    }
    return true;
}

void handle_promote(struct call *call)
{
    struct role_words words;
    if (!parse_words(call, 1, "force", &words)) return;
    int32_t op = tide_run_promote(call->turn->run, words.has_expect ? &words.expect : NULL,
                                  words.is_flagged);
    call_answer(call, op, render_position);
}

void handle_handover(struct call *call)
{
    uint64_t timeout_ms = 0;
    bool has_timeout = call->count == 4 && text_equal_nocase(call->words[2], "timeout");
    if (call->count != 2 && !has_timeout) {
        call_fail(call, TIDE_INVALID,
                  "HANDOVER takes the id of a follower, and perhaps TIMEOUT ms");
        return;
    }
    if (has_timeout && !call_u64(call, 3, "HANDOVER TIMEOUT", UINT32_MAX, &timeout_ms)) return;
    const char *id = keep_text(call, call->words[1]);
    if (id == NULL) return;
    call_answer(call, tide_run_handover(call->turn->run, id, timeout_ms), render_position);
}

static void render_ok(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                      struct out *o)
{
    (void)turn;
    (void)slot;
    (void)result;
    out_simple(o, "OK");
}

void handle_follow(struct call *call)
{
    struct role_words words;
    if (!parse_words(call, 2, "accept-loss", &words)) return;
    const char *address = keep_text(call, call->words[1]);
    if (address == NULL) return;
    int32_t op = tide_run_follow(call->turn->run, address, words.is_flagged,
                                 words.has_expect ? &words.expect : NULL);
    call_answer(call, op, render_ok);
}

void handle_replicaof(struct call *call)
{
    if (text_equal_nocase(call->words[1], "no") && text_equal_nocase(call->words[2], "one")) {
        call_answer(call, tide_run_promote(call->turn->run, NULL, false), render_ok);
        return;
    }
    struct slice host = call->words[1];
    struct slice port = call->words[2];
    size_t size = host.size + port.size + 2;
    char *address = arena_get(&call->turn->arena, size);
    if (address == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %s", call->command->name);
        return;
    }
    (void)snprintf(address, size, "%.*s:%.*s", (int)host.size, (const char *)host.data,
                   (int)port.size, (const char *)port.data);
    call_answer(call, tide_run_follow(call->turn->run, address, false, NULL), render_ok);
}

static void pair_text(struct out *o, const char *name, const char *value)
{
    out_bulk_text(o, name);
    out_bulk_text(o, value);
}

static void render_member(struct out *o, enum proto proto, const struct tide_member *m)
{
    out_map(o, proto, 11);
    pair_text(o, "id", m->node_id);
    pair_text(o, "role", topology_role_name(m->role));
    out_bulk_text(o, "voter");
    out_bool(o, proto, m->is_voter);
    out_bulk_text(o, "region");
    out_count(o, m->region);
    pair_text(o, "data", m->data_address);
    pair_text(o, "http", m->http_address);
    pair_text(o, "replication", m->replication_address);
    pair_text(o, "health", m->is_up ? "up" : "down");
    pair_text(o, "follows", m->follows);
    out_bulk_text(o, "rebootstrapping");
    out_bool(o, proto, m->is_rebootstrapping);
    out_bulk_text(o, "lag_records");
    if (m->lag_records == UINT64_MAX) {
        out_nil(o, proto);
    } else {
        out_count(o, m->lag_records);
    }
}

static void render_topology(struct turn *turn, const struct slot *slot,
                            const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_status *s = result->as.status;
    out_map(o, slot->proto, 3);
    out_bulk_text(o, "version");
    out_count(o, s->topology_version);
    pair_text(o, "self", s->node_id);
    out_bulk_text(o, "members");
    out_array(o, s->member_count);
    for (uint32_t i = 0; i < s->member_count; i++) {
        render_member(o, (enum proto)slot->proto, &s->members[i]);
    }
}

void handle_topology(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_status(call->turn->run), render_topology);
}
