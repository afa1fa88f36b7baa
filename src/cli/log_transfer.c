/* log_transfer: see log_transfer.h. The work is tide_log_export and tide_log_import; here are
 * words, the loop of --follow, and the exit code. */
#include "cli/log_transfer.h"

#include <stdio.h>

#include "base/text.h"
#include "env/host.h"
#include "tidemark.h"

#define SLEEP_MS_MAX 200u /* so that Ctrl-C is obeyed soon */

const struct cli_option log_export_options[LOG_EXPORT_OPTION_COUNT] = {
    [LOG_EXPORT_FOLLOW] = {"follow", NULL, "go on with what the node writes, until Ctrl-C"},
    [LOG_EXPORT_INTERVAL] = {"interval", "TIME", "with --follow: how often to look (2s)"},
    [LOG_EXPORT_JSON] = {"json", NULL, "one JSON object per look that found something"},
};
const struct cli_option log_import_options[LOG_IMPORT_OPTION_COUNT] = {
    [LOG_IMPORT_ID] = {"id", "NAME", "node id of a new directory (random)"},
    [LOG_IMPORT_JSON] = {"json", NULL, "the report as one JSON object"},
};

static int exit_code(enum tide_code code)
{
    switch (code) {
    case TIDE_OK: return CLI_DONE;
    case TIDE_ROTTEN:
    case TIDE_CORRUPT: return CLI_DAMAGE;
    case TIDE_INVALID:
    case TIDE_DIVERGED:
    case TIDE_WRONG_CLUSTER:
    case TIDE_NOT_KEPT: return CLI_REFUSED;
    case TIDE_IO:
    case TIDE_DISKFULL: return CLI_STORAGE;
    default: return CLI_FAILED;
    }
}

static void print_report(const struct tide_log_report *r, const char *done, bool wants_json)
{
    char token[TIDE_TOKEN_SIZE + 1];
    char size[CLI_COUNT_SIZE];
    token[tide_token_format(&r->position, token)] = '\0';
    if (wants_json) {
        printf("{\"objects\":%llu,\"records\":%llu,\"bytes\":%llu,\"position\":\"%s\"}\n",
               (unsigned long long)r->objects, (unsigned long long)r->records,
               (unsigned long long)r->bytes, token);
    } else if (r->records == 0) {
        printf("Nothing new; ends at %s.\n", token);
    } else {
        printf("%s %llu records in %llu object%s, %s; ends at %s.\n", done,
               (unsigned long long)r->records, (unsigned long long)r->objects,
               r->objects == 1 ? "" : "s", cli_size(r->bytes, size), token);
    }
    (void)fflush(stdout); /* a reader of --follow sees each look; a full pipe shows at exit */
}

static void sleep_until_interrupted(uint64_t ms)
{
    uint64_t end_ns = host_mono_ns() + ms * NS_PER_MS;
    while (!host_is_interrupted() && host_mono_ns() < end_ns) {
        uint64_t left_ms = (end_ns - host_mono_ns()) / NS_PER_MS + 1;
        host_sleep_ms(left_ms < SLEEP_MS_MAX ? (uint32_t)left_ms : SLEEP_MS_MAX);
    }
}

/* One look. */
static enum tide_code export_once(const struct cli_args *args, bool is_first)
{
    struct tide_log_report report;
    struct tide_err e;
    bool wants_json = args->values[LOG_EXPORT_JSON] != NULL;
    enum tide_code code = tide_log_export(args->positional[0], args->positional[1], &report, &e);
    if (report.records > 0 || (is_first && code == TIDE_OK)) {
        print_report(&report, "Wrote", wants_json);
    }
    if (code != TIDE_OK) cli_error(args->verb, "%s", e.message);
    return code;
}

int log_run_export(const struct cli_args *args)
{
    bool is_following = args->values[LOG_EXPORT_FOLLOW] != NULL;
    const char *interval = args->values[LOG_EXPORT_INTERVAL];
    uint64_t interval_ns = 2 * NS_PER_S;
    if (interval != NULL &&
        (!parse_duration(slice_of_text(interval), &interval_ns) || interval_ns < 10 * NS_PER_MS)) {
        cli_error(args->verb, "--interval %s is no time from 10ms on, such as 2s", interval);
        return CLI_USAGE;
    }
    host_catch_interrupts();
    enum tide_code code = export_once(args, true);
    while (is_following && code == TIDE_OK && !host_is_interrupted()) {
        sleep_until_interrupted(interval_ns / NS_PER_MS);
        code = export_once(args, false); /* a last time after Ctrl-C: what is durable then */
    }
    return exit_code(code);
}

int log_run_import(const struct cli_args *args)
{
    struct tide_log_report report;
    struct tide_err e;
    bool wants_json = args->values[LOG_IMPORT_JSON] != NULL;
    enum tide_code code = tide_log_import(args->positional[0], args->positional[1],
                                          args->values[LOG_IMPORT_ID], &report, &e);
    if (code == TIDE_OK || report.records > 0) print_report(&report, "Took", wants_json);
    if (code != TIDE_OK) cli_error(args->verb, "%s", e.message);
    return exit_code(code);
}
