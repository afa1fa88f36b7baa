/* status: one look at a node: role, positions, followers and how far behind they are, disk. */
#include <stdio.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_TO, OPTION_JSON };
#define ANSWER_MS     5000
#define HTTP_SIZE_MAX (4 * MIB)
#define FIELD_SIZE    256
#define EVENTS_SHOWN  5
#define TAILS_SHOWN   5

/* A line "name:value" of INFO. */
static bool info_field(struct slice info, const char *name, char out[FIELD_SIZE])
{
    size_t name_size = strlen(name);
    const uint8_t *at = info.data;
    const uint8_t *end = info.data + info.size;
    while (at < end) {
        const uint8_t *line_end = memchr(at, '\n', (size_t)(end - at));
        if (line_end == NULL) line_end = end;
        size_t size = (size_t)(line_end - at);
        if (size > name_size && memcmp(at, name, name_size) == 0 && at[name_size] == ':') {
            struct text t = text_of(out, FIELD_SIZE);
            struct slice value = slice_of(at + name_size + 1, size - name_size - 1);
            if (value.size > 0 && value.data[value.size - 1] == '\r') value.size--;
            text_add_escaped(&t, value, FIELD_SIZE - 8);
            return true;
        }
        at = line_end + 1;
    }
    return false;
}

/* --- as JSON: what the node says over HTTP --- */

/* Answer of a GET of HTTP/1.0, headers included, until the server closes. */
static enum code http_get(const char *address, const char *path, char *out, size_t capacity,
                          size_t *out_size, struct err *e)
{
    char request[FIELD_SIZE + 64];
    int n =
        snprintf(request, sizeof(request), "GET %s HTTP/1.0\r\nHost: %s\r\n\r\n", path, address);
    int fd = -1;
    size_t sent = 0;
    TRY(host_connect(address, ANSWER_MS, &fd, e));
    enum code code = host_send(fd, slice_of(request, (size_t)n), &sent, e);
    uint64_t deadline_ns = host_mono_ns() + ANSWER_MS * NS_PER_MS;
    *out_size = 0;
    while (code == OK && *out_size < capacity) {
        size_t got = 0;
        code = host_receive(fd, out + *out_size, capacity - *out_size, &got, e);
        *out_size += got;
        if (got > 0) continue;
        if (host_mono_ns() > deadline_ns) code = ERR(e, E_TIMEOUT, "%s does not answer", address);
        struct host_wait wait = {.fd = fd, .wants_read = true};
        if (code == OK) (void)host_wait_any(&wait, 1, 100);
    }
    host_close(fd);
    return code == E_CLOSED && *out_size > 0 ? OK : code; /* closed: the answer is whole */
}

static enum code print_json(const char *address, struct err *e)
{
    static char answer[HTTP_SIZE_MAX];
    size_t size = 0;
    TRY(http_get(address, "/status.json", answer, sizeof(answer) - 1, &size, e));
    answer[size] = '\0';
    const char *body = strstr(answer, "\r\n\r\n");
    bool is_good = strncmp(answer, "HTTP/1.", 7) == 0 && strncmp(answer + 8, " 200", 4) == 0;
    if (body == NULL || !is_good) {
        return ERR(e, E_PROTOCOL, "%s did not answer /status.json: %.60s", address, answer);
    }
    printf("%s", body + 4);
    if (body[strlen(body) - 1] != '\n') printf("\n");
    return OK;
}

/* --- for people --- */

/* A field of a map as text: numbers are printed, what is absent or nil is "-". */
static const char *field(const struct resp_value *map, const char *name, char out[FIELD_SIZE])
{
    struct text t = text_of(out, FIELD_SIZE);
    double number = 0;
    const struct resp_value *value = resp_field(map, name);
    if (value == NULL || value->kind == RESP_NULL) {
        text_add(&t, "-");
    } else if (value->kind == RESP_INTEGER) {
        char count[CLI_COUNT_SIZE];
        text_add(&t, "%s", cli_count((uint64_t)value->integer, count));
    } else if (value->text.size == 0) {
        text_add(&t, "-");
    } else if (memchr(value->text.data, '.', value->text.size) != NULL &&
               parse_f64(value->text, &number)) {
        text_add(&t, "%.3f", number);
    } else {
        text_add_escaped(&t, value->text, FIELD_SIZE - 8);
    }
    return out;
}

static void print_bytes(const char *before, struct slice info, const char *name, const char *after)
{
    char value[FIELD_SIZE];
    char size[CLI_COUNT_SIZE];
    uint64_t bytes = 0;
    if (!info_field(info, name, value) || !parse_u64(slice_of_text(value), &bytes)) return;
    printf("%s%s%s", before, cli_size(bytes, size), after);
}

static void print_disk(struct slice info)
{
    char value[FIELD_SIZE];
    printf("  disk        ");
    print_bytes("", info, "log_bytes", " of log");
    if (info_field(info, "log_segments", value)) {
        printf(" in %s segment%s", value, strcmp(value, "1") == 0 ? "" : "s");
    }
    if (info_field(info, "checkpoint_seqno", value)) {
        bool is_none = strcmp(value, "0") == 0;
        printf(", %s%s", is_none ? "no checkpoint yet" : "checkpoint at record ",
               is_none ? "" : value);
    }
    print_bytes(", ", info, "disk_free_bytes", " free");
    printf("\n");
}

/* How far a copy of the state is, where there is one. */
static void print_copy(const char *indent, const struct resp_value *map)
{
    char texts[5][FIELD_SIZE];
    if (resp_field(map, "bootstrap_mark") == NULL) return;
    printf("%scopying     the state at record %s: %s of %s bytes, %s of %s blocks", indent,
           field(map, "bootstrap_mark", texts[0]), field(map, "bootstrap_bytes", texts[1]),
           field(map, "bootstrap_bytes_total", texts[2]), field(map, "bootstrap_blocks", texts[3]),
           field(map, "bootstrap_blocks_total", texts[4]));
    printf(", about %s s left\n", field(map, "bootstrap_eta_seconds", texts[0]));
}

/* Elements of an array of maps, one table row each. */
static void print_followers(const struct resp_value *followers)
{
    static const char *const names[] = {"id",          "state",   "lag_records", "lag_bytes",
                                        "lag_seconds", "applied", "lost in",     "address"};
    enum { LOST_IN = 6 };
    static const int widths[] = {-14, -12, 12, 12, 12, 12, 9, -1};
    if (followers == NULL || followers->kind != RESP_ARRAY || followers->count == 0) {
        printf("  followers   none\n");
        return;
    }
    printf("  followers\n    ");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        printf("%s%*s", i > 0 ? "  " : "", widths[i], names[i]);
    }
    printf("\n");
    const struct resp_value *row = followers + 1;
    for (uint32_t k = 0; k < followers->count; k++, row += row->span) {
        char text[FIELD_SIZE];
        printf("    ");
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            const char *shown = i == LOST_IN
                                    ? cli_until_lost(resp_text(row, "seconds_until_lost"), text)
                                    : field(row, names[i], text);
            printf("%s%*s", i > 0 ? "  " : "", widths[i], shown);
        }
        printf("\n");
        print_copy("      ", row);
    }
}

/* Tails that are no part of the log any more, the newest ones last. */
static void print_quarantine(const struct resp_value *status)
{
    char texts[5][FIELD_SIZE];
    char size[CLI_COUNT_SIZE];
    const struct resp_value *files = resp_field(status, "quarantine");
    const struct resp_value *bytes = resp_field(status, "quarantine_bytes");
    if (files == NULL || files->kind != RESP_ARRAY || files->count == 0 || bytes == NULL) return;
    const char *file_count = field(status, "quarantine_files", texts[0]);
    printf("  quarantine  %s file%s, %s\n", file_count, strcmp(file_count, "1") == 0 ? "" : "s",
           cli_size((uint64_t)bytes->integer, size));
    const struct resp_value *row = files + 1;
    for (uint32_t k = 0; k < files->count; k++, row += row->span) {
        const struct resp_value *own = resp_field(row, "bytes");
        const struct resp_value *last = resp_field(row, "last");
        if (k + TAILS_SHOWN < files->count || own == NULL || last == NULL) continue;
        printf("    %s  %s, %s", field(row, "name", texts[0]), field(row, "kind", texts[1]),
               cli_size((uint64_t)own->integer, size));
        printf(", from record %s", field(row, "first", texts[2]));
        if (last->integer > 0) {
            printf(" to %s, epoch %s", field(row, "last", texts[3]), field(row, "epoch", texts[4]));
        }
        printf("\n");
    }
}

/* The last few, newest last. */
static void print_events(const struct resp_value *events)
{
    if (events == NULL || events->kind != RESP_ARRAY || events->count == 0) return;
    const struct resp_value *row = events + 1;
    printf("  events\n");
    for (uint32_t k = 0; k < events->count; k++, row += row->span) {
        char ago[CLI_COUNT_SIZE];
        char texts[2][FIELD_SIZE];
        const struct resp_value *ms = resp_field(row, "ms_ago");
        if (k + EVENTS_SHOWN < events->count || ms == NULL) continue;
        printf("    %10s ago  %-12s  %s\n", cli_duration((uint64_t)ms->integer, ago),
               field(row, "kind", texts[0]), field(row, "text", texts[1]));
    }
}

static void print_node(const struct resp_value *status, const char *disk_info, size_t disk_size,
                       const char *address)
{
    char texts[4][FIELD_SIZE];
    const struct cli_paint *paint = cli_paint_of(stdout);
    const char *state = field(status, "state", texts[1]);
    bool is_serving = strcmp(state, "serving") == 0;
    printf("%s%s%s: %s, epoch %s, %s%s%s  (%s)\n", paint->bold, field(status, "id", texts[0]),
           paint->off, field(status, "role", texts[2]), field(status, "epoch", texts[3]),
           is_serving ? paint->good : paint->bad, state, paint->off, address);
    if (!is_serving) printf("  reason      %s\n", field(status, "reason", texts[0]));
    printf("  position    applied %s, durable %s\n", field(status, "applied", texts[0]),
           field(status, "durable", texts[1]));
    printf("  log         oldest %s, committed %s, safe %s\n", field(status, "oldest", texts[0]),
           field(status, "committed", texts[1]), field(status, "safe", texts[2]));
    print_disk(slice_of(disk_info, disk_size));
    bool is_follower = strcmp(field(status, "role", texts[0]), "follower") == 0;
    if (is_follower) {
        printf("  leader      %s, link %s, at most %s s behind\n",
               field(status, "leader", texts[1]), field(status, "link", texts[2]),
               field(status, "lag_seconds", texts[3]));
        print_copy("  ", status);
    }
    const struct resp_value *followers = resp_field(status, "followers");
    bool is_leaf = is_follower && (followers == NULL || followers->count == 0);
    if (!is_leaf) print_followers(followers);
    print_quarantine(status);
    print_events(resp_field(status, "events"));
}

static enum code look(struct resp_client *c, bool wants_json, struct err *e)
{
    static char info[16 * 1024]; /* kept while the next reply is read */
    char http_address[FIELD_SIZE] = "";
    const struct resp_value *reply = NULL;
    TRY(resp_client_connect(c, ANSWER_MS, e));
    TRY(resp_client_call(c, ANSWER_MS, "INFO server persistence", &reply, e));
    size_t size = reply->text.size < sizeof(info) ? reply->text.size : sizeof(info);
    if (size > 0) memcpy(info, reply->text.data, size);
    if (wants_json) {
        if (!info_field(slice_of(info, size), "http_address", http_address)) {
            return ERR(e, E_PROTOCOL, "%s does not tell its HTTP address", c->address);
        }
        return print_json(http_address, e);
    }
    TRY(resp_client_call(c, ANSWER_MS, "REPL.STATUS", &reply, e));
    print_node(reply, info, size, c->address);
    return OK;
}

static int run(const struct cli_args *args)
{
    const char *address = args->values[OPTION_TO];
    struct resp_client client;
    struct err e;
    host_catch_interrupts();
    resp_client_init(&client, address != NULL ? address : "127.0.0.1:7400");
    enum code code = look(&client, args->values[OPTION_JSON] != NULL, &e);
    resp_client_fini(&client);
    if (code == OK) return CLI_DONE;
    cli_error(args->verb, "%s", e.text);
    return CLI_FAILED;
}

struct cli_verb status_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the node's data address; 127.0.0.1:7400"},
        [OPTION_JSON] = {"json", NULL, "everything as one JSON object, as /status.json gives it"},
    };
    return (struct cli_verb){
        .name = "status",
        .positional = "",
        .summary = "one look at a node: role, positions, followers, lag, disk",
        .help =
            "Lag counts from the leader's durable position. \"-\" means that nothing is known: a "
            "follower\nthat was never in step has no lag in records, and an endless one in "
            "seconds.",
        .options = options,
        .option_count = COUNT_OF(options),
        .run = run,
    };
}
