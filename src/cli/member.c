/* member: lists, adds and removes the members of a cluster, through a running node. */
#include <stdio.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_TO, OPTION_VOTER, OPTION_JSON = OPTION_VOTER };
#define ANSWER_MS 10000

static enum code ask(struct resp_client *c, const struct slice *words, size_t count,
                     const struct resp_value **out, struct err *e)
{
    TRY(resp_client_connect(c, ANSWER_MS, e));
    if (!resp_client_add(c, words, count)) return ERR(e, E_LIMIT, "the question is too long");
    TRY(resp_client_await(c, ANSWER_MS, out, e));
    if ((*out)->kind != RESP_ERROR) return OK;
    return ERR(e, resp_error_code((*out)->text), "%.*s", (int)(*out)->text.size,
               (const char *)(*out)->text.data);
}

/* Ask and print; print NULL: the token that was answered. */
static int talk(const struct cli_args *args, const struct slice *words, size_t count,
                void (*print)(const struct cli_args *args, const struct resp_value *answer))
{
    const char *address = args->values[OPTION_TO];
    const struct resp_value *answer = NULL;
    struct resp_client client;
    struct err e = {.code = OK};
    host_catch_interrupts();
    resp_client_init(&client, address != NULL ? address : "127.0.0.1:7400");
    enum code code = ask(&client, words, count, &answer, &e);
    if (code == OK && print != NULL) print(args, answer);
    if (code == OK && print == NULL) {
        printf("%.*s\n", (int)answer->text.size, (const char *)answer->text.data);
    }
    resp_client_fini(&client);
    if (code == OK) return CLI_DONE;
    cli_error(args->verb, "%s", e.text);
    return CLI_FAILED;
}

/* --- list --- */

static void print_one(const struct resp_value *member, bool is_json, bool is_first)
{
    const struct resp_value *id = resp_field(member, "id");
    const struct resp_value *voter = resp_field(member, "voter");
    const struct resp_value *address = resp_field(member, "address");
    if (id == NULL || voter == NULL || address == NULL) return;
    bool votes = voter->integer != 0;
    if (!is_json) {
        printf("%-24.*s %-6s %.*s\n", (int)id->text.size, (const char *)id->text.data,
               votes ? "voter" : "-", (int)address->text.size, (const char *)address->text.data);
        return;
    }
    printf("%s{\"id\":\"", is_first ? "" : ",");
    cli_json_text(stdout, id->text);
    printf("\",\"voter\":%s,\"address\":\"", votes ? "true" : "false");
    cli_json_text(stdout, address->text);
    printf("\"}");
}

static void print_list(const struct cli_args *args, const struct resp_value *answer)
{
    bool is_json = args->values[OPTION_JSON] != NULL;
    if (is_json) printf("[");
    const struct resp_value *member = answer + 1;
    for (uint32_t i = 0; i < answer->count; i++) {
        print_one(member, is_json, i == 0);
        member += member->span;
    }
    if (is_json) printf("]\n");
}

static int run_list(const struct cli_args *args)
{
    struct slice words[] = {slice_of_text("MEMBER.LIST")};
    return talk(args, words, COUNT_OF(words), print_list);
}

/* --- changes --- */

static int run_add(const struct cli_args *args)
{
    struct slice words[3] = {slice_of_text("MEMBER.ADD"), slice_of_text(args->positional[0]),
                             slice_of_text("VOTER")};
    return talk(args, words, args->values[OPTION_VOTER] != NULL ? 3 : 2, NULL);
}

static int run_remove(const struct cli_args *args)
{
    struct slice words[] = {slice_of_text("MEMBER.REMOVE"), slice_of_text(args->positional[0])};
    return talk(args, words, COUNT_OF(words), NULL);
}

struct cli_verb member_verb(void)
{
    static const struct cli_option list_options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "any node's data address; 127.0.0.1:7400"},
        [OPTION_JSON] = {"json", NULL, "as one JSON array"},
    };
    static const struct cli_option add_options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the leader's data address; 127.0.0.1:7400"},
        [OPTION_VOTER] = {"voter", NULL, "it votes: counts for majority and for what is committed"},
    };
    static const struct cli_option remove_options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the leader's data address; 127.0.0.1:7400"},
    };
    static const struct cli_verb children[] = {
        {
            .name = "list",
            .positional = "",
            .summary = "the members and who of them votes",
            .options = list_options,
            .option_count = COUNT_OF(list_options),
            .run = run_list,
        },
        {
            .name = "add",
            .positional = "ID",
            .summary = "add a member, or change whether it votes",
            .help =
                "Prints the token of the change. One change at a time: the next is refused until "
                "the last is stored\nby a majority of the voters.",
            .options = add_options,
            .option_count = COUNT_OF(add_options),
            .positional_min = 1,
            .positional_max = 1,
            .run = run_add,
        },
        {
            .name = "remove",
            .positional = "ID",
            .summary = "remove a member",
            .options = remove_options,
            .option_count = COUNT_OF(remove_options),
            .positional_min = 1,
            .positional_max = 1,
            .run = run_remove,
        },
    };
    return (struct cli_verb){
        .name = "member",
        .positional = "",
        .summary = "list, add or remove members",
        .children = children,
        .child_count = COUNT_OF(children),
    };
}
