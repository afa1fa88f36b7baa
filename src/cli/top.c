/* top: a live view of one node: role, positions, rates, followers and how far behind they are,
 * disk. On a terminal it goes on until q or Ctrl-C, and through restarts of the node; elsewhere it
 * prints
 * --count views, one without it. Main thread only. */
#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/top_sample.h"
#include "cli/verbs.h"
#include "env/host.h"
#include "env/host_terminal.h"

enum { OPTION_TO, OPTION_INTERVAL, OPTION_COUNT_OF, OPTION_JSON };
#define ANSWER_MS       5000
#define INTERVAL_MIN_MS 100
#define INTERVAL_MAX_MS 3600000

#define SCREEN_ON   "\x1b[?1049h\x1b[?25l" /* a screen of its own, no cursor */
#define SCREEN_OFF  "\x1b[?25h\x1b[?1049l"
#define SCREEN_HOME "\x1b[H"
#define LINE_REST   "\x1b[K"
#define SCREEN_REST "\x1b[J"

struct top {
    const char *verb;
    struct resp_client client;
    uint64_t interval_ms;
    uint64_t count; /* views; 0: until it is ended */
    bool wants_json;
    bool is_live;
    struct top_sample samples[2];
    uint64_t taken; /* samples so far; the newest is samples[(taken - 1) % 2] */
};

static enum code take(struct top *t, struct err *e)
{
    struct top_sample *s = &t->samples[t->taken % 2];
    const struct resp_value *reply = NULL;
    *s = (struct top_sample){0};
    if (!resp_client_is_open(&t->client)) TRY(resp_client_connect(&t->client, ANSWER_MS, e));
    TRY(resp_client_call(&t->client, ANSWER_MS, "REPL.STATUS", &reply, e));
    top_sample_take_status(s, reply);
    TRY(resp_client_call(&t->client, ANSWER_MS, "INFO server clients memory persistence stats",
                         &reply, e));
    top_sample_take_info(s, reply->text);
    TRY(resp_client_call(&t->client, ANSWER_MS, "DBSIZE", &reply, e));
    if (reply->kind == RESP_INTEGER) s->numbers[TOP_ITEMS] = (uint64_t)reply->integer;
    s->taken_ns = host_mono_ns();
    s->wall_ms = host_wall_ms();
    t->taken++;
    return OK;
}

static const struct top_sample *newest(const struct top *t)
{
    return &t->samples[(t->taken - 1) % 2];
}

static const struct top_sample *before(const struct top *t)
{
    return t->taken > 1 ? &t->samples[t->taken % 2] : NULL;
}

/* --- the screen --- */

/* Lines as they fit: cut at the right and at the bottom, old contents wiped. Marks of colour take
 * no place. */
static void put_screen(const char *text, uint32_t rows, uint32_t columns)
{
    (void)fputs(SCREEN_HOME, stdout);
    for (uint32_t row = 0; *text != '\0' && row + 1 < rows; row++) {
        uint32_t column = 0;
        for (; *text != '\0' && *text != '\n'; text++) {
            if (*text == '\x1b') {
                size_t size = strcspn(text, "m");
                (void)fwrite(text, 1, size, stdout);
                text += size;
                (void)fputc('m', stdout);
            } else if (column++ < columns) {
                (void)fputc(*text, stdout);
            }
        }
        if (*text == '\n') text++;
        (void)fputs(LINE_REST "\n", stdout);
    }
    (void)fputs(SCREEN_REST, stdout);
    (void)fflush(stdout);
}

/* What is to be seen, made in memory first: a view appears in one piece. */
static void show_live(struct top *t, const struct err *trouble)
{
    char *text = NULL;
    size_t size = 0;
    FILE *to = open_memstream(&text, &size);
    if (to == NULL) return;
    if (trouble != NULL) fprintf(to, "no answer, trying again: %s\n", trouble->text);
    if (t->taken > 0) {
        const struct cli_paint *paint = cli_paint_of(stdout);
        top_sample_print(newest(t), before(t), t->client.address, paint, to);
    }
    fprintf(to, "q ends\n");
    if (fclose(to) == 0) put_screen(text, host_terminal_rows(1), host_terminal_columns(1));
    free(text);
}

/* Wait for the next view. True: q. */
static bool is_ended_by_key(uint64_t until_ns)
{
    while (!host_is_interrupted()) {
        uint64_t now_ns = host_mono_ns();
        if (now_ns >= until_ns) return false;
        int key = host_terminal_key((uint32_t)((until_ns - now_ns) / NS_PER_MS + 1));
        if (key == 'q' || key == 'Q') return true;
        if (key == HOST_KEY_END) host_sleep_ms((uint32_t)((until_ns - now_ns) / NS_PER_MS + 1));
    }
    return true;
}

static int run_live(struct top *t)
{
    host_terminal_keys(true);
    (void)fputs(SCREEN_ON, stdout);
    bool is_ended = false;
    for (uint64_t shown = 0; !is_ended && (t->count == 0 || shown < t->count); shown++) {
        struct err e;
        uint64_t until_ns = host_mono_ns() + t->interval_ms * NS_PER_MS;
        if (take(t, &e) == OK) {
            show_live(t, NULL);
        } else {
            resp_client_close(&t->client);
            show_live(t, &e);
        }
        is_ended = is_ended_by_key(until_ns);
    }
    (void)fputs(SCREEN_OFF, stdout);
    (void)fflush(stdout);
    host_terminal_keys(false);
    return CLI_DONE;
}

/* --- without a terminal --- */

static enum code run_printed(struct top *t, struct err *e)
{
    uint64_t count = t->count > 0 ? t->count : 1;
    TRY(take(t, e));
    for (uint64_t i = 0; i < count; i++) {
        host_sleep_ms((uint32_t)t->interval_ms);
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        TRY(take(t, e));
        if (t->wants_json) {
            top_sample_print_json(newest(t), before(t), stdout);
        } else {
            if (i > 0) printf("\n");
            top_sample_print(newest(t), before(t), t->client.address, cli_paint_of(stdout), stdout);
        }
        (void)fflush(stdout);
    }
    return OK;
}

static bool parse_interval(const char *verb, const char *text, uint64_t *out_ms)
{
    uint64_t ns = 0;
    if (text == NULL) return true;
    bool is_time = parse_duration(slice_of_text(text), &ns);
    *out_ms = ns / NS_PER_MS;
    if (is_time && *out_ms >= INTERVAL_MIN_MS && *out_ms <= INTERVAL_MAX_MS) return true;
    cli_error(verb, "--interval %.40s: a time from 100ms to 1h is needed, like 2s", text);
    return false;
}

static int run(const struct cli_args *args)
{
    static struct top top; /* too large for the stack */
    struct top *t = &top;
    const char *address = args->values[OPTION_TO];
    *t = (struct top){.verb = args->verb, .interval_ms = 1000};
    if (!parse_interval(args->verb, args->values[OPTION_INTERVAL], &t->interval_ms) ||
        !cli_u64(args->verb, "count", args->values[OPTION_COUNT_OF], 1, UINT32_MAX, &t->count)) {
        return CLI_USAGE;
    }
    t->wants_json = args->values[OPTION_JSON] != NULL;
    t->is_live = !t->wants_json && host_is_terminal(0) && host_is_terminal(1);
    host_catch_interrupts();
    resp_client_init(&t->client, address != NULL ? address : "127.0.0.1:7400");
    struct err e;
    int status = CLI_DONE;
    if (t->is_live) {
        status = run_live(t);
    } else if (run_printed(t, &e) != OK) {
        cli_error(args->verb, "%s", e.text);
        status = CLI_FAILED;
    }
    resp_client_fini(&t->client);
    return status;
}

struct cli_verb top_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the node's data address; 127.0.0.1:7400"},
        [OPTION_INTERVAL] = {"interval", "TIME", "between two views, and what rates are over; 1s"},
        [OPTION_COUNT_OF] = {"count", "N", "end after N views; without a terminal 1"},
        [OPTION_JSON] = {"json", NULL, "each view as one JSON object on one line"},
    };
    return (struct cli_verb){
        .name = "top",
        .positional = "",
        .summary = "live view of role, positions, rates, followers, lag, disk",
        .help = "On a terminal the view is renewed until q or Ctrl-C. \"-\" means that nothing is "
                "known.",
        .options = options,
        .option_count = COUNT_OF(options),
        .run = run,
    };
}
