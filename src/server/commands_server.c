/* commands_server: what tools ask of a server: its commands, its settings, to stop; and the
 * refusals of what belongs to later versions. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/glob.h"
#include "server/logger.h"
#include "server/service.h"

#include <stdio.h>

enum { CHANGES_MAX = 16 }; /* of one CONFIG SET */

void handle_empty_array(struct call *call)
{
    out_array(call_out(call), 0);
}

void handle_zero(struct call *call)
{
    out_integer(call_out(call), 0);
}

void handle_ok(struct call *call)
{
    out_simple(call_out(call), "OK");
}

void handle_shutdown(struct call *call)
{
    bool is_plain =
        call->count == 1 || (call->count == 2 && (text_equal_nocase(call->words[1], "nosave") ||
                                                  text_equal_nocase(call->words[1], "save")));
    if (!is_plain) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_UNSUPPORTED, "SHUTDOWN has no option '%s': NOSAVE or SAVE",
                  call_show(shown, call->words[call->count > 2 ? 2 : 1]));
        return;
    }
    conn_end(call->conn);
    call->service->hooks.stop(call->service);
}

/* --- COMMAND and HELP --- */

static void write_name(struct out *o, const struct command *c)
{
    out_bulk_text(o, commands_labels()[commands_row(c)]);
}

/* A row of COMMAND: name, arity, flags, first key, last key, step, categories, tips, key
 * specifications, subcommands. No command has keys in the sense of a Redis cluster. */
static void write_info(struct out *o, enum proto proto, const struct command *c)
{
    static const char *const flag_names[] = {"write", "readonly", "admin", "noscript"};
    bool has[] = {
        (c->flags & COMMAND_WRITE) != 0,
        (c->flags & COMMAND_READ) != 0,
        (c->flags & COMMAND_ADMIN) != 0,
        (c->flags & COMMAND_NOT_IN_MULTI) != 0,
    };
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(has); i++) {
        count += has[i];
    }
    out_array(o, 10);
    write_name(o, c);
    out_integer(o, c->arity);
    out_set(o, proto, count);
    for (size_t i = 0; i < COUNT_OF(has); i++) {
        if (has[i]) out_simple(o, flag_names[i]);
    }
    out_integer(o, 0);
    out_integer(o, 0);
    out_integer(o, 0);
    out_set(o, proto, 0);
    out_array(o, 0);
    out_array(o, 0);
    out_array(o, 0);
}

void handle_command(struct call *call)
{
    size_t count = 0;
    const struct command *table = commands_table(&count);
    out_array(call_out(call), count);
    for (size_t i = 0; i < count; i++) {
        write_info(call_out(call), call_proto(call), &table[i]);
    }
}

void handle_command_count(struct call *call)
{
    size_t count = 0;
    (void)commands_table(&count);
    out_integer(call_out(call), (int64_t)count);
}

void handle_command_list(struct call *call)
{
    size_t count = 0;
    const struct command *table = commands_table(&count);
    out_array(call_out(call), count);
    for (size_t i = 0; i < count; i++) {
        write_name(call_out(call), &table[i]);
    }
}

/* The row of a name such as get or config|get; NULL: none. */
static const struct command *find_row(struct slice name)
{
    struct slice words[2] = {name};
    const uint8_t *bar = name.size > 0 ? memchr(name.data, '|', name.size) : NULL;
    size_t count = 1;
    if (bar != NULL) {
        words[0].size = (size_t)(bar - name.data);
        words[1] = slice_of(bar + 1, name.size - words[0].size - 1);
        count = 2;
    }
    return commands_find(words, count);
}

void handle_command_info(struct call *call)
{
    if (call->count == 2) {
        handle_command(call);
        return;
    }
    struct out *o = call_out(call);
    out_array(o, call->count - 2);
    for (size_t i = 2; i < call->count; i++) {
        const struct command *c = find_row(call->words[i]);
        if (c == NULL) {
            out_nil(o, call_proto(call));
        } else {
            write_info(o, call_proto(call), c);
        }
    }
}

static void write_docs(struct out *o, enum proto proto, const struct command *c)
{
    write_name(o, c);
    out_map(o, proto, 4);
    out_bulk_text(o, "summary");
    out_bulk_text(o, c->summary);
    out_bulk_text(o, "since");
    out_bulk_text(o, "0.1.0");
    out_bulk_text(o, "group");
    out_bulk_text(o, c->group);
    out_bulk_text(o, "syntax");
    out_bulk_text(o, c->syntax);
}

void handle_command_docs(struct call *call)
{
    struct out *o = call_out(call);
    size_t count = 0;
    const struct command *table = commands_table(&count);
    if (call->count == 2) {
        out_map(o, call_proto(call), count);
        for (size_t i = 0; i < count; i++) {
            write_docs(o, call_proto(call), &table[i]);
        }
        return;
    }
    size_t known = 0;
    for (size_t i = 2; i < call->count; i++) {
        known += find_row(call->words[i]) != NULL;
    }
    out_map(o, call_proto(call), known);
    for (size_t i = 2; i < call->count; i++) {
        const struct command *c = find_row(call->words[i]);
        if (c != NULL) write_docs(o, call_proto(call), c);
    }
}

static void write_help(struct out *o, const struct command *c)
{
    char line[512];
    (void)snprintf(line, sizeof(line), "%s%s%s%s%s: %s", c->name, c->sub != NULL ? " " : "",
                   c->sub != NULL ? c->sub : "", c->syntax[0] != '\0' ? " " : "", c->syntax,
                   c->summary);
    out_simple(o, line);
}

void handle_help(struct call *call)
{
    size_t count = 0;
    const struct command *table = commands_table(&count);
    size_t known = 0;
    for (size_t i = 0; i < count; i++) {
        known += call->count == 1 || text_equal_nocase(call->words[1], table[i].name);
    }
    if (known == 0) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "there is no command '%s'; HELP lists all",
                  call_show(shown, call->words[1]));
        return;
    }
    out_array(call_out(call), known);
    for (size_t i = 0; i < count; i++) {
        if (call->count == 1 || text_equal_nocase(call->words[1], table[i].name)) {
            write_help(call_out(call), &table[i]);
        }
    }
}

void commands_write_docs(struct out *o)
{
    size_t count = 0;
    const struct command *table = commands_table(&count);
    const char *group = "";
    for (size_t i = 0; i < count; i++) {
        const struct command *c = &table[i];
        if (strcmp(group, c->group) != 0) out_format(o, "\n## %s\n\n", c->group);
        group = c->group;
        out_format(o, "* `%s%s%s%s%s`", c->name, c->sub != NULL ? " " : "",
                   c->sub != NULL ? c->sub : "", c->syntax[0] != '\0' ? " " : "", c->syntax);
        if ((c->flags & COMMAND_WRITE) != 0) out_text(o, " (write)");
        out_format(o, "\n  %s\n", c->summary);
    }
}

/* --- CONFIG --- */

/* What Redis tools look for, with what is true here. */
static const struct server_setting known_settings[] = {
    {"save", "", "fixed"},
    {"appendonly", "yes", "fixed"},
    {"appendfsync", "always", "fixed"},
    {"databases", "1", "fixed"},
    {"timeout", "0", "fixed"},
    {"maxmemory-policy", "noeviction", "fixed"},
};

static bool is_asked_for(const struct call *call, const char *name)
{
    for (size_t i = 2; i < call->count; i++) {
        if (glob_matches(call->words[i], name)) return true;
    }
    return false;
}

/* A setting is a pair, and where it comes from is another one: name.source. */
static size_t write_setting(const struct call *call, const struct server_setting *s, struct out *o)
{
    char source_name[128];
    (void)snprintf(source_name, sizeof(source_name), "%s.source", s->name);
    size_t count = 0;
    if (is_asked_for(call, s->name)) {
        out_bulk_text(o, s->name);
        out_bulk_text(o, s->value);
        count++;
    }
    if (s->source != NULL && is_asked_for(call, source_name)) {
        out_bulk_text(o, source_name);
        out_bulk_text(o, s->source);
        count++;
    }
    return count;
}

void handle_config_get(struct call *call)
{
    const struct server_options *options = call->service->options;
    char clients[24];
    (void)snprintf(clients, sizeof(clients), "%u",
                   options->connections_max > 0 ? options->connections_max
                                                : SERVER_CONNECTIONS_MAX);
    struct server_setting max_clients = {"maxclients", clients, "fixed"};
    struct out pairs;
    out_init(&pairs, &call->service->alloc);
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(known_settings); i++) {
        count += write_setting(call, &known_settings[i], &pairs);
    }
    count += write_setting(call, &max_clients, &pairs);
    for (size_t i = 0; i < options->setting_count; i++) {
        count += write_setting(call, &options->settings[i], &pairs);
    }
    if (pairs.is_failed) {
        call_fail(call, TIDE_NOMEMORY, "no memory for the reply");
    } else {
        out_map(call_out(call), call_proto(call), count);
        out_bytes(call_out(call), pairs.data, pairs.size);
    }
    out_fini(&pairs);
}

static bool is_known(const char *name)
{
    bool is_found = strcmp(name, "maxclients") == 0;
    for (size_t i = 0; i < COUNT_OF(known_settings) && !is_found; i++) {
        is_found = strcmp(known_settings[i].name, name) == 0;
    }
    return is_found;
}

/* A word as a text that lives as long as the turn. NULL: an error was answered. */
static const char *text_of_word(struct call *call, struct slice word)
{
    if (word.size > 0 && memchr(word.data, '\0', word.size) != NULL) {
        call_fail(call, TIDE_INVALID, "CONFIG SET takes no zero bytes");
        return NULL;
    }
    char *text = arena_get(&call->turn->arena, word.size + 1);
    if (text == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for the request");
        return NULL;
    }
    if (word.size > 0) memcpy(text, word.data, word.size);
    return text;
}

/* False: the error was answered. */
static bool take_pairs(struct call *call, struct server_change *changes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        changes[i].name = text_of_word(call, call->words[2 + 2 * i]);
        if (changes[i].name == NULL) return false;
        changes[i].value = text_of_word(call, call->words[3 + 2 * i]);
        if (changes[i].value == NULL) return false;
        if (!is_known(changes[i].name)) continue;
        call_fail(call, TIDE_INVALID, "%s is fixed: it is what Redis tools ask for, not a setting",
                  changes[i].name);
        return false;
    }
    return true;
}

static void render_ok(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                      struct out *o)
{
    (void)turn;
    (void)slot;
    (void)result;
    out_simple(o, "OK");
}

/* All pairs or none. What the server owns changes at once, the rest when the database says so. */
void handle_config_set(struct call *call)
{
    const struct server_options *options = call->service->options;
    size_t count = (call->count - 2) / 2;
    if (call->count % 2 != 0 || count > CHANGES_MAX) {
        call_fail(call, TIDE_INVALID, "CONFIG SET takes up to %d pairs of name and value",
                  CHANGES_MAX);
        return;
    }
    struct server_change changes[CHANGES_MAX];
    if (!take_pairs(call, changes, count)) return;
    struct err e = {.code = OK};
    enum code code = E_UNSUPPORTED;
    if (options->change != NULL) {
        code = options->change(changes, count, &e);
    } else {
        (void)ERR(&e, code, "the settings of this server are fixed at the start");
    }
    if (code != OK) {
        call_fail(call, (enum tide_code)code, "%s", e.text);
        return;
    }
    logger_set(options->log_format, options->log_level);
    for (size_t i = 0; i < count; i++) {
        LOG(LOG_WARN, "a setting was changed", LOG_TEXT("name", changes[i].name),
            LOG_TEXT("value", changes[i].value), LOG_TEXT("client", call->conn->address));
    }
    call_answer(call, tide_run_configure(call->turn->run, &options->database), render_ok);
}
