/* plan: asks a node what would happen, and prints path, bytes, time and why. */
#include <stdio.h>

#include "base/text.h"
#include "cli/resp_client.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_TO, OPTION_JSON };
#define ANSWER_MS 10000 /* some questions ask other nodes first */

static void print_slice(struct slice s)
{
    (void)fwrite(s.data, 1, s.size, stdout);
}

static bool is_number(const struct resp_value *v)
{
    double number = 0;
    return v->kind == RESP_INTEGER || (v->kind == RESP_TEXT && parse_f64(v->text, &number));
}

/* As JSON: numbers as they are, nil as null, the rest as text. */
static void print_value_json(const struct resp_value *v, bool may_be_number)
{
    if (v->kind == RESP_NULL) {
        printf("null");
    } else if (v->kind == RESP_INTEGER) {
        printf("%lld", (long long)v->integer);
    } else if (may_be_number && is_number(v)) {
        print_slice(v->text);
    } else {
        printf("\"");
        cli_json_text(stdout, v->text);
        printf("\"");
    }
}

static void print_json(const struct resp_value *plan)
{
    static const struct {
        const char *name;
        bool is_number;
    } parts[] = {
        {"what", false}, {"path", false}, {"bytes", true}, {"seconds", true}, {"why", false}};
    printf("{");
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        printf("%s\"%s\":", i > 0 ? "," : "", parts[i].name);
        const struct resp_value *v = resp_field(plan, parts[i].name);
        if (v != NULL) print_value_json(v, parts[i].is_number);
        if (v == NULL) printf("null");
    }
    printf(",\"facts\":{");
    const struct resp_value *facts = resp_field(plan, "facts");
    for (uint32_t i = 0; facts != NULL && i + 1 < facts->count; i += 2) {
        printf("%s\"", i > 0 ? "," : "");
        cli_json_text(stdout, facts[1 + i].text);
        printf("\":");
        print_value_json(&facts[2 + i], false);
    }
    printf("}}\n");
}

static void print_value(const struct resp_value *v)
{
    char count[CLI_COUNT_SIZE];
    if (v->kind == RESP_INTEGER && v->integer >= 0) {
        printf("%s", cli_count((uint64_t)v->integer, count));
    } else if (v->kind == RESP_INTEGER) {
        printf("%lld", (long long)v->integer);
    } else {
        char text[1024];
        struct text t = text_of(text, sizeof(text));
        text_add_escaped(&t, v->text, sizeof(text) - 8);
        printf("%s", text);
    }
}

static void print_plan(const struct resp_value *plan)
{
    const struct cli_paint *paint = cli_paint_of(stdout);
    const struct resp_value *path = resp_field(plan, "path");
    const struct resp_value *bytes = resp_field(plan, "bytes");
    const struct resp_value *seconds = resp_field(plan, "seconds");
    const struct resp_value *why = resp_field(plan, "why");
    const struct resp_value *facts = resp_field(plan, "facts");
    double s = 0;
    printf("%s", paint->bold);
    if (path != NULL) print_slice(path->text);
    printf("%s", paint->off);
    if (bytes != NULL && bytes->kind == RESP_INTEGER) {
        char size[CLI_COUNT_SIZE];
        printf(", %s", cli_size((uint64_t)bytes->integer, size));
    }
    if (seconds != NULL && parse_f64(seconds->text, &s) && s > 0) printf(", about %.1f s", s);
    printf("\n  ");
    if (why != NULL) print_slice(why->text);
    printf("\n");
    for (uint32_t i = 0; facts != NULL && i + 1 < facts->count; i += 2) {
        printf("  %-28.*s ", (int)facts[1 + i].text.size, (const char *)facts[1 + i].text.data);
        print_value(&facts[2 + i]);
        printf("\n");
    }
}

static enum code ask(struct resp_client *c, const struct cli_args *args,
                     const struct resp_value **out, struct err *e)
{
    struct slice words[3] = {slice_of_text("PLAN")};
    size_t count = 1;
    for (size_t i = 0; i < args->positional_count; i++) {
        words[count++] = slice_of_text(args->positional[i]);
    }
    TRY(resp_client_connect(c, ANSWER_MS, e));
    if (!resp_client_add(c, words, count)) return ERR(e, E_LIMIT, "the question is too long");
    TRY(resp_client_await(c, ANSWER_MS, out, e));
    if ((*out)->kind != RESP_ERROR) return OK;
    return ERR(e, resp_error_code((*out)->text), "%.*s", (int)(*out)->text.size,
               (const char *)(*out)->text.data);
}

static int run(const struct cli_args *args)
{
    const char *address = args->values[OPTION_TO];
    const struct resp_value *plan = NULL;
    struct resp_client client;
    struct err e = {.code = OK};
    host_catch_interrupts();
    resp_client_init(&client, address != NULL ? address : "127.0.0.1:7400");
    enum code code = ask(&client, args, &plan, &e);
    if (code == OK && args->values[OPTION_JSON] != NULL) print_json(plan);
    if (code == OK && args->values[OPTION_JSON] == NULL) print_plan(plan);
    resp_client_fini(&client);
    if (code == OK) return CLI_DONE;
    cli_error(args->verb, "%s", e.text);
    return CLI_FAILED;
}

struct cli_verb plan_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_TO] = {"to", "HOST:PORT", "the node's data address; 127.0.0.1:7400"},
        [OPTION_JSON] = {"json", NULL, "the answer as one JSON object"},
    };
    return (struct cli_verb){
        .name = "plan",
        .positional = "WHAT [ARGUMENT]",
        .summary = "what a resume, prune, promotion or bootstrap would do",
        .help =
            "The node runs the code that would decide it and says which way it would go, how "
            "many bytes and\nhow long it would take, and why. Nothing changes.\n"
            "  plan promote      who answers, what this node holds, what its promotion would lose\n"
            "  plan prune        which log would go now, who holds the rest, what each slot holds\n"
            "  plan resume ID    what this leader would answer to that follower if it came back "
            "now\n"
            "  plan bootstrap [ID]  what a copy of the state would move, and from where the log is "
            "held",
        .options = options,
        .option_count = COUNT_OF(options),
        .positional_min = 1,
        .positional_max = 2,
        .run = run,
    };
}
