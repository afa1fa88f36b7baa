/* slot: the places that a leader keeps for its followers: list them, give one up, rename one. */
#include <stdio.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_TO, OPTION_JSON };
#define ANSWER_MS  10000
#define FIELD_SIZE 256

/* Connect and carry out one command of up to three words. */
static enum code call(struct resp_client *c, const char *name, const struct cli_args *args,
                      const struct resp_value **out, struct err *e)
{
    struct slice words[3] = {slice_of_text(name)};
    size_t count = 1;
    for (size_t i = 0; i < args->positional_count && count < COUNT_OF(words); i++) {
        words[count++] = slice_of_text(args->positional[i]);
    }
    TRY(resp_client_connect(c, ANSWER_MS, e));
    if (!resp_client_add(c, words, count)) return ERR(e, E_LIMIT, "the command is too long");
    TRY(resp_client_await(c, ANSWER_MS, out, e));
    if ((*out)->kind != RESP_ERROR) return OK;
    return ERR(e, resp_error_code((*out)->text), "%.*s", (int)(*out)->text.size,
               (const char *)(*out)->text.data);
}

static void start(struct resp_client *c, const struct cli_args *args)
{
    const char *address = args->values[OPTION_TO];
    host_catch_interrupts();
    resp_client_init(c, address != NULL ? address : "127.0.0.1:7400");
}

static int finish(struct resp_client *c, const struct cli_args *args, enum code code,
                  const struct err *e)
{
    resp_client_fini(c);
    if (code == OK) return CLI_DONE;
    cli_error(args->verb, "%s", e->text);
    return CLI_FAILED;
}

/* --- list --- */

static const char *text_field(const struct resp_value *slot, const char *name, char out[FIELD_SIZE])
{
    struct text t = text_of(out, FIELD_SIZE);
    const struct resp_value *v = resp_field(slot, name);
    if (v != NULL && v->kind == RESP_INTEGER) {
        char count[CLI_COUNT_SIZE];
        text_add(&t, "%s", cli_count((uint64_t)v->integer, count));
    } else if (v != NULL && v->kind == RESP_TEXT && v->text.size > 0) {
        text_add_escaped(&t, v->text, FIELD_SIZE - 8);
    } else {
        text_add(&t, "-");
    }
    return out;
}

/* A size; "-" where there is none. */
static const char *size_field(const struct resp_value *slot, const char *name,
                              char out[CLI_COUNT_SIZE])
{
    const struct resp_value *v = resp_field(slot, name);
    if (v == NULL || v->kind != RESP_INTEGER || v->integer < 0) return "-";
    return cli_size((uint64_t)v->integer, out);
}

static void print_slots(const struct resp_value *slots)
{
    printf("%-16s  %-12s  %14s  %10s  %10s  %12s  %s\n", "id", "state", "restart", "held", "budget",
           "lost in", "reason");
    const struct resp_value *slot = slots + 1;
    for (uint32_t i = 0; i < slots->count; i++, slot += slot->span) {
        char texts[4][FIELD_SIZE];
        char sizes[3][CLI_COUNT_SIZE];
        printf("%-16s  %-12s  %14s  %10s  %10s  %12s  %s\n", text_field(slot, "id", texts[0]),
               text_field(slot, "state", texts[1]), text_field(slot, "restart", texts[2]),
               size_field(slot, "held_bytes", sizes[0]), size_field(slot, "budget_bytes", sizes[1]),
               cli_until_lost(resp_text(slot, "seconds_until_lost"), sizes[2]),
               text_field(slot, "reason", texts[3]));
    }
}

/* A map of scalars. */
static void print_slot_json(const struct resp_value *slot)
{
    printf("{");
    for (uint32_t i = 0; i + 1 < slot->count; i += 2) {
        const struct resp_value *v = &slot[2 + i];
        double number = 0;
        printf("%s\"", i > 0 ? "," : "");
        cli_json_text(stdout, slot[1 + i].text);
        printf("\":");
        bool is_name = i == 0; /* "id": a follower may be called 1 */
        if (v->kind == RESP_NULL) {
            printf("null");
        } else if (v->kind == RESP_INTEGER) {
            printf("%lld", (long long)v->integer);
        } else if (!is_name && parse_f64(v->text, &number)) {
            printf("%.*s", (int)v->text.size, (const char *)v->text.data);
        } else {
            printf("\"");
            cli_json_text(stdout, v->text);
            printf("\"");
        }
    }
    printf("}");
}

static void print_json(const struct resp_value *slots)
{
    const struct resp_value *slot = slots + 1;
    printf("[");
    for (uint32_t i = 0; i < slots->count; i++, slot += slot->span) {
        printf("%s", i > 0 ? ",\n " : "");
        print_slot_json(slot);
    }
    printf("]\n");
}

static int run_list(const struct cli_args *args)
{
    struct resp_client client;
    const struct resp_value *slots = NULL;
    struct err e = {.code = OK};
    start(&client, args);
    enum code code = call(&client, "SLOT.LIST", args, &slots, &e);
    if (code == OK && args->values[OPTION_JSON] != NULL) print_json(slots);
    if (code == OK && args->values[OPTION_JSON] == NULL) print_slots(slots);
    return finish(&client, args, code, &e);
}

/* --- drop and rename --- */

static int run_order(const struct cli_args *args, const char *name)
{
    struct resp_client client;
    const struct resp_value *reply = NULL;
    struct err e = {.code = OK};
    start(&client, args);
    enum code code = call(&client, name, args, &reply, &e);
    if (code == OK && args->values[OPTION_JSON] != NULL) printf("{\"ok\":true}\n");
    return finish(&client, args, code, &e);
}

static int run_drop(const struct cli_args *args)
{
    return run_order(args, "SLOT.DROP");
}

static int run_rename(const struct cli_args *args)
{
    return run_order(args, "SLOT.RENAME");
}

struct cli_verb slot_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the leader's data address; 127.0.0.1:7400"},
        [OPTION_JSON] = {"json", NULL, "the answer as JSON"},
    };
    static const struct cli_verb children[] = {
        {.name = "list",
         .positional = "",
         .summary = "every follower's slot: state, what it holds back, its budget",
         .options = options,
         .option_count = COUNT_OF(options),
         .run = run_list},
        {.name = "drop",
         .positional = "ID",
         .summary = "keep no log for this follower any more",
         .help =
             "Its link is ended, it counts for no durability level, and its place is free. It "
             "may come back as a\nnew follower. `tidemark plan prune` shows what its slot holds.",
         .options = options,
         .option_count = COUNT_OF(options),
         .positional_min = 1,
         .positional_max = 1,
         .run = run_drop},
        {.name = "rename",
         .positional = "ID NEW",
         .summary = "give a follower that is not connected another id",
         .options = options,
         .option_count = COUNT_OF(options),
         .positional_min = 2,
         .positional_max = 2,
         .run = run_rename},
    };
    return (struct cli_verb){
        .name = "slot",
        .positional = "",
        .summary = "list, drop or rename the places kept for followers",
        .children = children,
        .child_count = COUNT_OF(children),
    };
}
