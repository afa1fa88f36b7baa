/* promote: the verbs that change who leads: promote, handover, follow. Each is one command to a
 * node; exit 4 when it is refused for safety. */
#include <stdio.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_TO, OPTION_EXPECT, OPTION_FORCE }; /* of all three; the last: accept-loss, too */
#define ANSWER_MS     30000 /* the others are asked first, or have to catch up */
#define DEFAULT_NODE  "127.0.0.1:7400"
#define ARGUMENTS_MAX 8u

static int tell(const struct cli_args *args, const struct slice *words, size_t count,
                const char *done)
{
    const char *address = args->values[OPTION_TO];
    const struct resp_value *answer = NULL;
    struct resp_client client;
    struct err e = {.code = OK};
    host_catch_interrupts();
    resp_client_init(&client, address != NULL ? address : DEFAULT_NODE);
    enum code code = resp_client_connect(&client, ANSWER_MS, &e);
    if (code == OK && !resp_client_add(&client, words, count)) {
        code = ERR(&e, E_LIMIT, "the words are too long");
    }
    if (code == OK) code = resp_client_await(&client, ANSWER_MS, &answer, &e);
    if (code == OK && answer->kind == RESP_ERROR) {
        code = ERR(&e, resp_error_code(answer->text), "%.*s", (int)answer->text.size,
                   (const char *)answer->text.data);
    }
    if (code == OK) {
        printf("%s%.*s\n", done, (int)answer->text.size, (const char *)answer->text.data);
    }
    resp_client_fini(&client);
    if (code == OK) return CLI_DONE;
    cli_error(args->verb, "%s", e.text);
    return code == E_REFUSED ? CLI_REFUSED : CLI_FAILED;
}

static size_t add_expect(const struct cli_args *args, struct slice *words, size_t count)
{
    if (args->values[OPTION_EXPECT] == NULL) return count;
    words[count++] = slice_of_text("EXPECT");
    words[count++] = slice_of_text(args->values[OPTION_EXPECT]);
    return count;
}

static int run_promote(const struct cli_args *args)
{
    struct slice words[ARGUMENTS_MAX] = {slice_of_text("PROMOTE")};
    size_t count = add_expect(args, words, 1);
    if (args->values[OPTION_FORCE] != NULL) words[count++] = slice_of_text("FORCE");
    return tell(args, words, count, "leads from ");
}

static int run_handover(const struct cli_args *args)
{
    struct slice words[ARGUMENTS_MAX] = {slice_of_text("HANDOVER"),
                                         slice_of_text(args->positional[0])};
    return tell(args, words, 2, "handed over after ");
}

static int run_follow(const struct cli_args *args)
{
    struct slice words[ARGUMENTS_MAX] = {slice_of_text("FOLLOW"),
                                         slice_of_text(args->positional[0])};
    bool accepts = args->values[OPTION_FORCE] != NULL;
    if (accepts != (args->values[OPTION_EXPECT] != NULL)) {
        cli_error(args->verb, "--accept-loss and --expect belong together: the token says which "
                              "records may be given up (POSITION answers it)");
        return CLI_USAGE;
    }
    size_t count = add_expect(args, words, 2);
    if (accepts) words[count++] = slice_of_text("ACCEPT-LOSS");
    return tell(args, words, count, "");
}

struct cli_verb promote_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the node that is to lead; " DEFAULT_NODE},
        [OPTION_EXPECT] = {"expect", "TOKEN", "where it must end, as POSITION answers"},
        [OPTION_FORCE] = {"force", NULL, "also where acknowledged writes may be lost"},
    };
    return (struct cli_verb){
        .name = "promote",
        .positional = "",
        .summary = "make a follower the leader",
        .help = "All members are asked what they hold; exit 4 when a write that followers "
                "acknowledged\nmight be lost. `tidemark plan promote` says what is at risk.",
        .options = options,
        .option_count = COUNT_OF(options),
        .run = run_promote,
    };
}

struct cli_verb handover_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the leader's data address; " DEFAULT_NODE},
    };
    return (struct cli_verb){
        .name = "handover",
        .positional = "ID",
        .summary = "pass the leadership to a follower, losing nothing",
        .help = "Writes wait until the follower holds everything, then it leads and the old leader "
                "follows it.",
        .options = options,
        .option_count = COUNT_OF(options),
        .positional_min = 1,
        .positional_max = 1,
        .run = run_handover,
    };
}

struct cli_verb follow_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the node that is to follow; " DEFAULT_NODE},
        [OPTION_EXPECT] = {"expect", "TOKEN", "where that node ends, as POSITION answers"},
        [OPTION_FORCE] = {"accept-loss", NULL, "what it holds and the leader does not may go"},
    };
    return (struct cli_verb){
        .name = "follow",
        .positional = "HOST:PORT",
        .summary = "make a node follow another one (its replication address)",
        .help = "A leader turns only to a leader of a later epoch of its own cluster; exit 4 "
                "otherwise.",
        .options = options,
        .option_count = COUNT_OF(options),
        .positional_min = 1,
        .positional_max = 1,
        .run = run_follow,
    };
}
