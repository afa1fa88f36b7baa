/* serve: runs a node. Collects its settings from file, environment and flags, then hands over to
 * the server, which owns the process from there on. */
#include "cli/settings.h"
#include "cli/verbs.h"
#include "env/host.h"

#include <assert.h>

enum { OPTION_CONFIG = SETTING_ID_COUNT, OPTION_PRINT_CONFIG, OPTION_JSON, OPTION_COUNT };
static_assert((int)OPTION_COUNT <= CLI_OPTIONS_MAX, "the options of serve fit the parser");

static struct settings settings; /* too large for the stack */
static struct server_setting rows[SETTING_ID_COUNT];
static struct server_options server_options;

static enum code read_file(const char *path, struct err *e)
{
    int fd = -1;
    size_t size = 0;
    if (host_is_directory(path)) {
        return ERR(e, E_INVALID, "%s is a directory; name a file of \"key = value\" lines", path);
    }
    TRY(host_open(path, &fd, e));
    enum code code = host_pread(fd, 0, settings.file, sizeof(settings.file), &size, e);
    host_close(fd);
    if (code != OK) return code;
    if (size > SETTINGS_FILE_SIZE_MAX) {
        return ERR(e, E_LIMIT, "%s is larger than 64KiB; it is no configuration file", path);
    }
    return settings_take_file(&settings, size, path, e);
}

static enum code take_flags(const struct cli_args *args, struct err *e)
{
    struct cli_option options[SETTING_ID_COUNT];
    settings_options(options);
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        if (args->values[i] == NULL) continue;
        char place[64];
        (void)snprintf(place, sizeof(place), "flag --%s", options[i].name);
        const char *value = options[i].value == NULL ? "yes" : args->values[i];
        TRY(settings_set(&settings, (enum setting_id)i, value, SOURCE_FLAG, place, e));
    }
    return OK;
}

static enum code collect(const struct cli_args *args, struct err *e)
{
    settings_init(&settings);
    const char *path = args->values[OPTION_CONFIG];
    if (path == NULL) path = host_environment("TIDEMARK_CONFIG");
    if (path != NULL) TRY(read_file(path, e));
    for (size_t i = 0; host_environment_entry(i) != NULL; i++) {
        TRY(settings_take_environment(&settings, host_environment_entry(i), e));
    }
    TRY(take_flags(args, e));
    return settings_check(&settings, e);
}

/* CONFIG SET. */
static enum code change(const struct server_change *changes, size_t count, struct err *e)
{
    return settings_change(&settings, changes, count, rows, &server_options, e);
}

static int run(const struct cli_args *args)
{
    struct err e;
    if (collect(args, &e) != OK) {
        cli_error(args->verb, "%s", e.text);
        return CLI_USAGE;
    }
    bool wants_json = args->values[OPTION_JSON] != NULL;
    if (args->values[OPTION_PRINT_CONFIG] != NULL) {
        (wants_json ? settings_print_json : settings_print)(&settings, stdout);
        return CLI_DONE;
    }
    if (wants_json) {
        cli_error(args->verb, "--json goes with --print-config");
        return CLI_USAGE;
    }
    server_options_init(&server_options);
    settings_fill(&settings, rows, &server_options);
    server_options.change = change;
    return server_run(&server_options);
}

struct cli_verb serve_verb(void)
{
    static struct cli_option options[OPTION_COUNT];
    settings_options(options);
    options[OPTION_CONFIG] =
        (struct cli_option){"config", "FILE", "read settings from a file of \"key = value\" lines"};
    options[OPTION_PRINT_CONFIG] =
        (struct cli_option){"print-config", NULL, "print all settings with their source, and end"};
    options[OPTION_JSON] = (struct cli_option){"json", NULL, "print them as a JSON array"};
    return (struct cli_verb){
        .name = "serve",
        .positional = "",
        .summary = "run a node: leader of a new directory, or follower with --follow",
        .help =
            "Settings come from the defaults, a file (--config or TIDEMARK_CONFIG), the "
            "environment\n(TIDEMARK_PORT=7400 is --port 7400) and flags; the later one wins. "
            "The line\n\"ready data=... http=... replication=...\" on stdout says that the node "
            "serves.\nCtrl-C or SIGTERM stops it cleanly.",
        .options = options,
        .option_count = OPTION_COUNT,
        .run = run,
    };
}
