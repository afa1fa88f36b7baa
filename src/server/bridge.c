/* bridge: see bridge.h. */
#include "server/bridge.h"

#include "base/text.h"
#include "env/host.h"
#include "server/commands.h"
#include "server/jsontext.h"
#include "server/now.h"
#include "server/service.h"

#include <stdio.h>

enum { NAME_SIZE = 64, READ_STEP = 64 * 1024 };

static unsigned fail(struct out *json, unsigned status, const char *code, const char *message)
{
    bridge_write_error(json, slice_of_text(code), slice_of_text(message));
    return status;
}

void bridge_write_error(struct out *json, struct slice code, struct slice message)
{
    out_text(json, "{\"error\":{");
    jsontext_name(json, "code");
    jsontext_string(json, code);
    out_text(json, ",");
    jsontext_name(json, "message");
    if (jsontext_is_utf8(message)) {
        jsontext_string(json, message);
    } else {
        out_text(json, "\"(not text)\"");
    }
    out_text(json, "}}\n");
}

/* What only a connection that lives on can have. */
static bool needs_connection(const char *name)
{
    static const char *const names[] = {"MULTI", "EXEC",  "DISCARD", "WATCH", "MONITOR",
                                        "WAIT",  "HELLO", "RESET",   "QUIT",  "WAITAOF"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (text_equal_nocase(slice_of_text(name), names[i])) return true;
    }
    return false;
}

static unsigned status_of(struct slice code)
{
    static const struct {
        const char *code;
        unsigned status;
    } rows[] = {
        {"NOAUTH", 401},   {"NOPERM", 403},   {"NOTFOUND", 404}, {"READONLY", 421},
        {"STALE", 503},    {"BUSY", 503},     {"LOADING", 503},  {"POISONED", 503},
        {"HALTED", 503},   {"DIVERGED", 503}, {"UNKNOWN", 504},  {"DURABILITY", 504},
        {"DISKFULL", 507}, {"OOM", 507},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        if (slice_equal(code, slice_of_text(rows[i].code))) return rows[i].status;
    }
    return 400;
}

/* --- the exchange --- */

/* "0.0.0.0:7400" is where it listens, not where it can be reached. */
static void own_address(const struct service *service, char out[ADDRESS_SIZE_MAX + 1])
{
    const char *bound = service->data_address;
    const char *colon = strrchr(bound, ':');
    struct text t = text_of(out, ADDRESS_SIZE_MAX + 1);
    if (strncmp(bound, "0.0.0.0:", 8) == 0) {
        text_add(&t, "127.0.0.1%s", colon);
    } else if (strncmp(bound, "[::]:", 5) == 0) {
        text_add(&t, "[::1]%s", colon);
    } else {
        text_add(&t, "%s", bound);
    }
}

static uint32_t left_ms(uint64_t deadline_ns)
{
    uint64_t now_ns = now_mono_ns();
    return now_ns >= deadline_ns ? 0 : (uint32_t)((deadline_ns - now_ns) / NS_PER_MS + 1);
}

/* Send all of it and receive until the server ends the connection. False: time is over, or the
 * reply is too large; is_sent says whether the server may have begun. */
static bool exchange(int fd, struct slice request, uint64_t deadline_ns, struct out *reply,
                     bool *is_sent)
{
    struct err e;
    size_t sent = 0;
    while (left_ms(deadline_ns) > 0) {
        size_t count = 0;
        bool is_open = true;
        if (sent < request.size) {
            struct slice rest = slice_of(request.data + sent, request.size - sent);
            is_open = host_send(fd, rest, &count, &e) == OK;
            sent += count;
            *is_sent = sent == request.size;
        }
        uint8_t *room = out_room(reply, READ_STEP);
        if (room == NULL || reply->size > BRIDGE_REPLY_SIZE_MAX) return false;
        if (host_receive(fd, room, READ_STEP, &count, &e) != OK || !is_open) {
            reply->size += count;
            return true;
        }
        reply->size += count;
        struct host_wait wait = {.fd = fd, .wants_read = true, .wants_write = sent < request.size};
        (void)host_wait_any(&wait, 1, left_ms(deadline_ns));
    }
    return false;
}

/* The replies to HELLO 3 and to the command. */
static unsigned translate(struct out *reply, struct out *json)
{
    struct slice bytes = slice_of(reply->data, reply->size);
    struct slice error = slice_of_text("");
    enum jsontext_outcome outcome = jsontext_reply(&bytes, json, &error);
    if (outcome == JSONTEXT_VALUE) {
        out_reset(json, SIZE_MAX);
        outcome = jsontext_reply(&bytes, json, &error);
    }
    if (outcome == JSONTEXT_VALUE) {
        out_text(json, "\n");
        return 200;
    }
    out_reset(json, SIZE_MAX);
    if (outcome == JSONTEXT_BROKEN) {
        return fail(json, 503, "UNKNOWN",
                    "the server ended the connection; the outcome is unknown");
    }
    const uint8_t *space = error.size > 0 ? memchr(error.data, ' ', error.size) : NULL;
    size_t size = space != NULL ? (size_t)(space - error.data) : error.size;
    struct slice code = slice_of(error.data, size);
    struct slice message = slice_of(error.data + size, error.size - size);
    if (message.size > 0) message = slice_of(message.data + 1, message.size - 1);
    bridge_write_error(json, code, message);
    return status_of(code);
}

static unsigned ask(const struct service *service, struct slice request, struct out *json)
{
    char address[ADDRESS_SIZE_MAX + 1];
    own_address(service, address);
    uint64_t deadline_ns = now_mono_ns() + BRIDGE_ASK_MS * NS_PER_MS;
    int fd = -1;
    struct err e;
    if (host_connect(address, BRIDGE_ASK_MS, &fd, &e) != OK) {
        return fail(json, 503, "BUSY", "the data port takes no connection now; try again");
    }
    struct out reply;
    out_init(&reply, json->alloc);
    bool is_sent = false;
    bool is_done = exchange(fd, request, deadline_ns, &reply, &is_sent);
    host_close(fd);
    unsigned status = 0;
    if (is_done && !reply.is_failed) {
        status = translate(&reply, json);
    } else if (reply.size > BRIDGE_REPLY_SIZE_MAX || reply.is_failed) {
        status = fail(json, 507, "LIMIT", "the reply is too large for this way; use the data port");
    } else if (is_sent) {
        status = fail(json, 504, "UNKNOWN", "no answer in time; the outcome is unknown");
    } else {
        status = fail(json, 503, "BUSY", "the server took no request in time; nothing was done");
    }
    out_fini(&reply);
    return status;
}

unsigned bridge_answer(const struct service *service, struct slice body, struct out *json)
{
    char reason[JSONTEXT_REASON_SIZE];
    char message[JSONTEXT_REASON_SIZE + ADDRESS_SIZE_MAX];
    char name[NAME_SIZE] = "";
    struct out request;
    out_init(&request, json->alloc);
    out_text(&request, "HELLO 3\r\n");
    unsigned status = 0;
    if (!jsontext_request(body, &request, name, sizeof(name), reason)) {
        status = fail(json, 400, "ERR", reason);
    } else if (needs_connection(name)) {
        (void)snprintf(message, sizeof(message),
                       "%s belongs to a connection that lives on: use the data port at %s", name,
                       service->data_address);
        status = fail(json, 400, "ERR", message);
    }
    out_text(&request, "QUIT\r\n");
    if (status == 0 && request.is_failed) status = fail(json, 507, "OOM", "no memory");
    if (status == 0) status = ask(service, slice_of(request.data, request.size), json);
    out_fini(&request);
    return status;
}

/* --- hosts --- */

/* "localhost:7401", "[::1]:7401" and "10.0.0.1" without port and brackets. */
static struct slice host_of(const char *address)
{
    size_t size = strlen(address);
    if (address[0] == '[') {
        const char *end = strchr(address, ']');
        return end == NULL ? slice_of_text("") : slice_of(address + 1, (size_t)(end - address) - 1);
    }
    const char *colon = strrchr(address, ':');
    return slice_of(address, colon != NULL ? (size_t)(colon - address) : size);
}

/* Only digits, dots, colons and a to f: no name of the Internet ends in a number. */
static bool is_number(struct slice host)
{
    bool has_colon = memchr(host.data, ':', host.size) != NULL;
    for (size_t i = 0; i < host.size; i++) {
        char c = (char)host.data[i];
        bool is_digit = (c >= '0' && c <= '9') || c == '.' || c == ':';
        bool is_hex = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        if (!is_digit && !(has_colon && is_hex)) return false;
    }
    return true;
}

bool bridge_knows_host(const struct service *service, const char *host)
{
    if (host == NULL || host[0] == '\0') return false;
    struct slice name = host_of(host);
    if (name.size == 0) return false;
    if (is_number(name) || text_equal_nocase(name, "localhost")) return true;
    const char *advertise = service->options->advertise;
    if (advertise == NULL) return false;
    struct slice own = host_of(advertise);
    char room[ADDRESS_SIZE_MAX + 1];
    struct text t = text_of(room, sizeof(room));
    text_add_slice(&t, own);
    return text_equal_nocase(name, room);
}
