/* main: the verbs of the program. Each has its own file; those without code yet are listed by name
 * and refused, so that a script learns that the word is right and the version too old.
 */
#include <errno.h>
#include <stdio.h>

#include "cli/cli.h"
#include "cli/verbs.h"
#include "env/host.h"
#include "tidemark.h"

/* Was everything printed? A reader that went away (`| head`) is told by the exit code alone. */
static int finish(int status)
{
    bool is_printed = fflush(stdout) == 0 && ferror(stdout) == 0;
    if (is_printed || status != CLI_DONE) return status;
    if (errno != EPIPE) cli_error("tidemark", "cannot write the output: %s", host_reason(errno));
    return CLI_FAILED;
}

static bool is_version(const char *word)
{
    return strcmp(word, "--version") == 0 || strcmp(word, "-V") == 0;
}

int main(int argc, char **argv)
{
    const struct cli_verb verbs[] = {
        serve_verb(),
        demo_verb(),
        import_verb(),
        status_verb(),
        top_verb(),
        log_verb(),
        slot_verb(),
        member_verb(),
        plan_verb(),
        promote_verb(),
        handover_verb(),
        follow_verb(),
        {.name = "backup", .summary = "online backup"},
        {.name = "restore", .summary = "restore a backup, also to a point in time"},
        bench_verb(),
        {.name = "cli", .summary = "a prompt for people without redis-cli"},
    };
    const struct cli_verb root = {
        .name = "tidemark",
        .positional = "",
        .summary = "Tidemark: engagement signals on a durable, replicated log.",
        .help = "\"tidemark <verb> --help\" explains a verb. --version prints build and format "
                "version.",
        .children = verbs,
        .child_count = COUNT_OF(verbs),
    };
    host_ignore_pipe_signal();
    if (argc == 2 && is_version(argv[1])) {
        printf("tidemark %s, file format %u\n", tide_version(), (unsigned)tide_format_version());
        return finish(CLI_DONE);
    }
    return finish(cli_main(&root, argc > 0 ? (size_t)argc - 1 : 0, argv + 1));
}
