/* commands_client: the connection itself: greeting, names, listing, leaving. Answers have the form
 * that Redis gives them, because client libraries parse them before anything else works. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/now.h"
#include "server/service.h"

#include <inttypes.h>

void handle_ping(struct call *call)
{
    if (call->count > 2) {
        call_fail(call, TIDE_INVALID, "wrong number of arguments for 'PING': PING [text]");
    } else if (call->count == 2) {
        out_bulk(call_out(call), call->words[1]);
    } else {
        out_simple(call_out(call), "PONG");
    }
}

void handle_echo(struct call *call)
{
    out_bulk(call_out(call), call->words[1]);
}

void handle_quit(struct call *call)
{
    out_simple(call_out(call), "OK");
    conn_end(call->conn);
}

static void leave_monitor(struct conn *c)
{
    if (c->is_monitor) c->service->monitor_count--;
    c->is_monitor = false;
}

void handle_reset(struct call *call)
{
    struct conn *c = call->conn;
    conn_discard_multi(c);
    leave_monitor(c);
    c->proto = PROTO_RESP2;
    c->name[0] = '\0';
    call_slot(call)->proto = PROTO_RESP2;
    out_simple(call_out(call), "RESET");
}

/* --- names --- */

/* A name without spaces and control characters, as CLIENT LIST needs it. */
static bool set_name(struct call *call, const char *what, struct slice value,
                     char name[CONN_NAME_SIZE_MAX + 1])
{
    bool is_good = value.size <= CONN_NAME_SIZE_MAX;
    for (size_t i = 0; i < value.size && is_good; i++) {
        is_good = value.data[i] > ' ' && value.data[i] <= '~';
    }
    if (!is_good) {
        call_fail(call, TIDE_INVALID, "%s takes up to %d printable characters without spaces", what,
                  CONN_NAME_SIZE_MAX);
        return false;
    }
    if (value.size > 0) memcpy(name, value.data, value.size);
    name[value.size] = '\0';
    return true;
}

void handle_client_setname(struct call *call)
{
    if (set_name(call, "CLIENT SETNAME", call->words[2], call->conn->name)) {
        out_simple(call_out(call), "OK");
    }
}

void handle_client_getname(struct call *call)
{
    if (call->conn->name[0] == '\0') {
        out_nil(call_out(call), call_proto(call));
    } else {
        out_bulk_text(call_out(call), call->conn->name);
    }
}

void handle_client_setinfo(struct call *call)
{
    struct conn *c = call->conn;
    bool is_done = false;
    if (text_equal_nocase(call->words[2], "lib-name")) {
        is_done = set_name(call, "LIB-NAME", call->words[3], c->library);
    } else if (text_equal_nocase(call->words[2], "lib-ver")) {
        is_done = set_name(call, "LIB-VER", call->words[3], c->library_version);
    } else {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "unknown attribute '%s': LIB-NAME or LIB-VER",
                  call_show(shown, call->words[2]));
    }
    if (is_done) out_simple(call_out(call), "OK");
}

void handle_client_id(struct call *call)
{
    out_count(call_out(call), call->conn->id);
}

/* --- greeting --- */

static bool check_password(struct call *call, struct slice user)
{
    char shown[SHOWN_SIZE];
    if (text_equal_nocase(user, "default")) return true;
    call_fail_word(call, "WRONGPASS", "there is no user '%s': only default, without a password",
                   call_show(shown, user));
    return false;
}

void handle_auth(struct call *call)
{
    if (call->count == 2) {
        call_fail(call, TIDE_INVALID,
                  "AUTH <password> called without any password configured for the default user");
    } else if (call->count > 3) {
        call_fail(call, TIDE_INVALID, "wrong number of arguments for 'AUTH': AUTH [user] password");
    } else if (check_password(call, call->words[1])) {
        out_simple(call_out(call), "OK");
    }
}

/* The options of HELLO behind the version. The name is set last, when nothing can fail. */
static bool parse_hello(struct call *call, struct slice *name)
{
    size_t i = 2;
    while (i < call->count) {
        size_t left = call->count - i - 1;
        if (text_equal_nocase(call->words[i], "auth") && left >= 2) {
            if (!check_password(call, call->words[i + 1])) return false;
            i += 3;
        } else if (text_equal_nocase(call->words[i], "setname") && left >= 1) {
            *name = call->words[i + 1];
            i += 2;
        } else {
            char shown[SHOWN_SIZE];
            call_fail(call, TIDE_INVALID, "HELLO does not understand '%s'",
                      call_show(shown, call->words[i]));
            return false;
        }
    }
    return true;
}

static void write_hello(struct call *call)
{
    struct out *o = call_out(call);
    enum proto proto = call_proto(call);
    out_map(o, proto, 7);
    out_bulk_text(o, "server");
    out_bulk_text(o, "tidemark");
    out_bulk_text(o, "version");
    out_bulk_text(o, tide_version());
    out_bulk_text(o, "proto");
    out_integer(o, proto);
    out_bulk_text(o, "id");
    out_count(o, call->conn->id);
    out_bulk_text(o, "mode");
    out_bulk_text(o, "standalone");
    out_bulk_text(o, "role");
    out_bulk_text(o, call->service->is_follower ? "replica" : "master");
    out_bulk_text(o, "modules");
    out_array(o, 0);
}

void handle_hello(struct call *call)
{
    struct conn *c = call->conn;
    enum proto proto = c->proto;
    if (call->count > 1) {
        uint64_t version = 0;
        if (!parse_u64(call->words[1], &version) || version < PROTO_RESP2 ||
            version > PROTO_RESP3) {
            call_fail(call, TIDE_NOPROTO, "unsupported protocol version: 2 and 3 are spoken");
            return;
        }
        proto = (enum proto)version;
        struct slice name = slice_of(c->name, strlen(c->name));
        if (!parse_hello(call, &name)) return;
        if (!set_name(call, "SETNAME", name, c->name)) return;
    }
    c->proto = proto;
    call_slot(call)->proto = (uint8_t)proto;
    write_hello(call);
}

void handle_acl_whoami(struct call *call)
{
    out_bulk_text(call_out(call), "default");
}

void handle_select(struct call *call)
{
    uint64_t index = 0;
    if (!parse_u64(call->words[1], &index)) {
        call_fail(call, TIDE_INVALID, "SELECT takes a whole number: the only database is 0");
    } else if (index != 0) {
        call_fail(call, TIDE_INVALID, "DB index is out of range: the only database is 0");
    } else {
        out_simple(call_out(call), "OK");
    }
}

void handle_readonly(struct call *call)
{
    out_simple(call_out(call), "OK");
}

/* --- listing and closing --- */

static void write_line(const struct conn *c, struct out *o, uint64_t now_ns)
{
    const struct command *last = c->last_command;
    out_format(o,
               "id=%" PRIu64 " addr=%s laddr=%s name=%s age=%" PRIu64 " idle=%" PRIu64
               " flags=%s db=0 multi=%d qbuf=%zu tot-cmds=%" PRIu64 " cmd=%s user=default "
               "resp=%d lib-name=%s lib-ver=%s\n",
               c->id, c->address, c->service->data_address, c->name,
               (now_ns - c->started_ns) / NS_PER_S, (now_ns - c->used_ns) / NS_PER_S,
               c->is_monitor ? "O" : "N", c->multi.is_open ? (int)c->multi.count : -1,
               c->input_end - c->input_start, c->command_count,
               last != NULL ? commands_labels()[commands_row(last)] : "NULL", (int)c->proto,
               c->library, c->library_version);
}

/* INFO, LIST and HELP texts are verbatim strings in RESP3. */
static void answer_text(struct call *call, struct out *text)
{
    if (text->is_failed) {
        call_fail(call, TIDE_NOMEMORY, "no memory for the reply");
    } else {
        out_verbatim(call_out(call), call_proto(call), slice_of(text->data, text->size));
    }
    out_fini(text);
}

void handle_client_info(struct call *call)
{
    struct out text;
    out_init(&text, &call->service->alloc);
    write_line(call->conn, &text, now_mono_ns());
    answer_text(call, &text);
}

void handle_client_list(struct call *call)
{
    if (call->count > 2) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_UNSUPPORTED, "option '%s' of CLIENT LIST is not in this version",
                  call_show(shown, call->words[2]));
        return;
    }
    struct out text;
    out_init(&text, &call->service->alloc);
    uint64_t now_ns = now_mono_ns();
    for (const struct conn *c = call->service->conns; c != NULL; c = c->next) {
        write_line(c, &text, now_ns);
    }
    answer_text(call, &text);
}

/* CLIENT KILL address, or CLIENT KILL ID id. */
void handle_client_kill(struct call *call)
{
    uint64_t id = 0;
    bool is_by_id = call->count == 4 && text_equal_nocase(call->words[2], "id");
    if (is_by_id && !call_u64(call, 3, "CLIENT KILL ID", UINT64_MAX, &id)) return;
    if (!is_by_id && call->count != 3) {
        call_fail(call, TIDE_UNSUPPORTED, "CLIENT KILL takes an address, or ID id");
        return;
    }
    int64_t count = 0;
    for (struct conn *c = call->service->conns; c != NULL; c = c->next) {
        bool is_meant = is_by_id ? c->id == id : text_equal_nocase(call->words[2], c->address);
        if (!is_meant || c->state == CONN_FINISHED) continue;
        count++;
        conn_kill(c, call->conn);
    }
    if (is_by_id) {
        out_integer(call_out(call), count);
    } else if (count > 0) {
        out_simple(call_out(call), "OK");
    } else {
        call_fail(call, TIDE_INVALID, "No such client");
    }
}

void handle_client_reply(struct call *call)
{
    if (text_equal_nocase(call->words[2], "on")) {
        out_simple(call_out(call), "OK");
    } else {
        call_fail(call, TIDE_UNSUPPORTED,
                  "CLIENT REPLY takes only ON: a write whose outcome is not told is refused");
    }
}

void handle_client_no_op(struct call *call)
{
    if (text_equal_nocase(call->words[2], "on") || text_equal_nocase(call->words[2], "off")) {
        out_simple(call_out(call), "OK");
    } else {
        call_fail(call, TIDE_INVALID, "give ON or OFF");
    }
}

void handle_monitor(struct call *call)
{
    if (!call->conn->is_monitor) call->service->monitor_count++;
    call->conn->is_monitor = true;
    out_simple(call_out(call), "OK");
}
