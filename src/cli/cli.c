/* cli: finds the verb, parses its options exactly, prints help and failures. Everything that is
 * printed about verbs and options comes from their tables. Main thread only. */
#include "cli/cli.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/assert.h"
#include "base/text.h"
#include "env/host.h"

#define VERB_PATH_SIZE 64
#define HELP_COLUMN    30 /* where the texts of options and verbs start */

/* The verb being run, "tidemark log verify". Set once, before its run. */
static char verb_path[VERB_PATH_SIZE];

static void print_help(FILE *to, const char *path, const struct cli_verb *verb);

static const struct cli_verb *find_child(const struct cli_verb *parent, const char *word)
{
    for (size_t i = 0; i < parent->child_count; i++) {
        if (strcmp(parent->children[i].name, word) == 0) return &parent->children[i];
    }
    return NULL;
}

static int refuse_word(const struct cli_verb *parent, const char *word)
{
    const char *names[CLI_OPTIONS_MAX];
    ASSERT(parent->child_count <= COUNT_OF(names));
    for (size_t i = 0; i < parent->child_count; i++) {
        names[i] = parent->children[i].name;
    }
    const char *near = nearest_word(slice_of_text(word), names, parent->child_count);
    const char *kind = word[0] == '-' ? "an option here" : "a verb";
    if (near != NULL) {
        cli_error(verb_path, "\"%s\" is not %s; did you mean \"%s\"?", word, kind, near);
    } else {
        cli_error(verb_path, "\"%s\" is not %s; \"%s --help\" lists them", word, kind, verb_path);
    }
    return CLI_USAGE;
}

static bool is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int run_verb(const struct cli_verb *verb, size_t word_count, char *const *words)
{
    for (size_t i = 0; i < word_count && strcmp(words[i], "--") != 0; i++) {
        if (!is_help(words[i])) continue;
        print_help(stdout, verb_path, verb);
        return CLI_DONE;
    }
    if (verb->run == NULL) {
        cli_error(verb_path, "not in this version; \"tidemark --help\" lists what is");
        return CLI_FAILED;
    }
    struct cli_args args = {.verb = verb_path};
    int status = cli_parse(verb, word_count, words, &args);
    return status != CLI_DONE ? status : verb->run(&args);
}

int cli_main(const struct cli_verb *root, size_t word_count, char *const *words)
{
    struct text path = text_of(verb_path, sizeof(verb_path));
    text_add(&path, "%s", root->name);
    const struct cli_verb *verb = root;
    while (verb->child_count > 0) {
        if (word_count == 0) {
            print_help(stderr, verb_path, verb);
            return CLI_USAGE;
        }
        if (is_help(words[0])) {
            print_help(stdout, verb_path, verb);
            return CLI_DONE;
        }
        const struct cli_verb *child = find_child(verb, words[0]);
        if (child == NULL) return refuse_word(verb, words[0]);
        text_add(&path, " %s", child->name);
        verb = child;
        words++;
        word_count--;
    }
    return run_verb(verb, word_count, words);
}

/* Index of the option that the word (after its dashes, up to '=') names; option_count: none. */
static size_t find_option(const struct cli_verb *verb, struct slice name)
{
    size_t i = 0;
    while (i < verb->option_count && !slice_equal(name, slice_of_text(verb->options[i].name))) {
        i++;
    }
    return i;
}

static int refuse_option(const struct cli_verb *verb, const char *path, struct slice name)
{
    const char *names[CLI_OPTIONS_MAX];
    ASSERT(verb->option_count <= COUNT_OF(names));
    for (size_t i = 0; i < verb->option_count; i++) {
        names[i] = verb->options[i].name;
    }
    const char *near = nearest_word(name, names, verb->option_count);
    int size = name.size > 60 ? 60 : (int)name.size;
    if (near != NULL) {
        cli_error(path, "unknown option --%.*s; did you mean --%s?", size, (const char *)name.data,
                  near);
    } else {
        cli_error(path, "unknown option --%.*s; \"%s --help\" lists the options", size,
                  (const char *)name.data, path);
    }
    return CLI_USAGE;
}

/* One word that starts with two dashes. May take the word after it as its value. */
static int parse_option(const struct cli_verb *verb, size_t *i, size_t word_count,
                        char *const *words, struct cli_args *out)
{
    const char *word = words[*i] + 2;
    const char *equals = strchr(word, '=');
    struct slice name = slice_of(word, equals != NULL ? (size_t)(equals - word) : strlen(word));
    size_t index = find_option(verb, name);
    if (index == verb->option_count) return refuse_option(verb, out->verb, name);
    const struct cli_option *option = &verb->options[index];
    if (out->values[index] != NULL) {
        cli_error(out->verb, "--%s is given twice; give it once", option->name);
        return CLI_USAGE;
    }
    if (option->value == NULL) {
        if (equals != NULL) {
            cli_error(out->verb, "--%s takes no value", option->name);
            return CLI_USAGE;
        }
        out->values[index] = "";
        return CLI_DONE;
    }
    if (equals != NULL) {
        out->values[index] = equals + 1;
    } else if (*i + 1 < word_count && strncmp(words[*i + 1], "--", 2) != 0) {
        *i += 1;
        out->values[index] = words[*i];
    } else {
        cli_error(out->verb, "--%s needs a value: --%s %s", option->name, option->name,
                  option->value);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

int cli_parse(const struct cli_verb *verb, size_t word_count, char *const *words,
              struct cli_args *out)
{
    bool is_over = false; /* after "--" everything is positional */
    for (size_t i = 0; i < word_count; i++) {
        const char *word = words[i];
        if (!is_over && strcmp(word, "--") == 0) {
            is_over = true;
        } else if (!is_over && strncmp(word, "--", 2) == 0) {
            int status = parse_option(verb, &i, word_count, words, out);
            if (status != CLI_DONE) return status;
        } else if (!is_over && word[0] == '-' && word[1] != '\0') {
            cli_error(out->verb, "unknown option %s; options are long, with two dashes", word);
            return CLI_USAGE;
        } else if (out->positional_count == verb->positional_max) {
            cli_error(out->verb, "\"%s\" is one word too many; the form is: %s [options]%s%s", word,
                      out->verb, verb->positional[0] != '\0' ? " " : "", verb->positional);
            return CLI_USAGE;
        } else {
            out->positional[out->positional_count++] = word;
        }
    }
    if (out->positional_count < verb->positional_min) {
        cli_error(out->verb, "a word is missing; the form is: %s [options] %s", out->verb,
                  verb->positional);
        return CLI_USAGE;
    }
    return CLI_DONE;
}

/* --- help --- */

/* Print text in lines of at most 100 columns that start at the given column; the cursor stands at
 * `at`. */
static void print_wrapped(FILE *to, const char *text, size_t column, size_t at)
{
    if (at + 2 > column && at > 0) {
        fputc('\n', to);
        at = 0;
    }
    fprintf(to, "%*s", (int)(column - at), "");
    size_t room = 100 - column;
    while (strlen(text) > room) {
        size_t cut = room;
        while (cut > 0 && text[cut] != ' ') {
            cut--;
        }
        if (cut == 0) cut = room;
        fprintf(to, "%.*s\n%*s", (int)cut, text, (int)column, "");
        text += cut + (text[cut] == ' ' ? 1 : 0);
    }
    fprintf(to, "%s\n", text);
}

static void print_options(FILE *to, const struct cli_verb *verb)
{
    fprintf(to, "\noptions:\n");
    for (size_t i = 0; i < verb->option_count; i++) {
        const struct cli_option *option = &verb->options[i];
        if (option->help == NULL) continue;
        const char *value = option->value != NULL ? option->value : "";
        int at = fprintf(to, "  --%s%s%s", option->name, value[0] != '\0' ? " " : "", value);
        print_wrapped(to, option->help, HELP_COLUMN, at > 0 ? (size_t)at : 0);
    }
    int at = fprintf(to, "  --help");
    print_wrapped(to, "show this", HELP_COLUMN, at > 0 ? (size_t)at : 0);
}

static bool is_available(const struct cli_verb *verb)
{
    return verb->run != NULL || verb->child_count > 0;
}

static void print_children(FILE *to, const struct cli_verb *verb)
{
    size_t absent = 0;
    fprintf(to, "\nverbs:\n");
    for (size_t i = 0; i < verb->child_count; i++) {
        const struct cli_verb *child = &verb->children[i];
        if (!is_available(child)) {
            absent++;
            continue;
        }
        int at = fprintf(to, "  %s", child->name);
        print_wrapped(to, child->summary, 12, at > 0 ? (size_t)at : 0);
    }
    if (absent == 0) return;
    fprintf(to, "\nnot in this version:");
    for (size_t i = 0; i < verb->child_count; i++) {
        if (!is_available(&verb->children[i])) fprintf(to, " %s", verb->children[i].name);
    }
    fprintf(to, "\n");
}

static void print_help(FILE *to, const char *path, const struct cli_verb *verb)
{
    const char *verbs = verb->child_count > 0 ? " <verb>" : "";
    const char *space = verb->positional[0] != '\0' ? " " : "";
    fprintf(to, "%s\n\nusage: %s%s [options]%s%s\n", verb->summary, path, verbs, space,
            verb->positional);
    if (verb->child_count > 0) print_children(to, verb);
    if (verb->option_count > 0) print_options(to, verb);
    if (verb->help != NULL) fprintf(to, "\n%s\n", verb->help);
}

/* --- failures --- */

void cli_error(const char *verb, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fflush(stdout);
    fprintf(stderr, "%s: ", verb);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

int cli_exit_of(enum code code)
{
    if (code == OK) return CLI_DONE;
    if (code == E_POISONED || code == E_DISKFULL || code == E_IO) return CLI_STORAGE;
    if (code_class(code) == CLASS_CORRUPTION) return CLI_DAMAGE;
    return CLI_FAILED;
}

int cli_failure(const char *verb, const struct err *e)
{
    cli_error(verb, "%s", e->text);
    return cli_exit_of(e->code);
}

bool cli_u64(const char *verb, const char *option, const char *text, uint64_t min, uint64_t max,
             uint64_t *out)
{
    if (text == NULL) return true;
    uint64_t v = 0;
    if (parse_u64(slice_of_text(text), &v) && v >= min && v <= max) {
        *out = v;
        return true;
    }
    cli_error(verb, "--%s %s: a whole number from %llu to %llu is needed", option, text,
              (unsigned long long)min, (unsigned long long)max);
    return false;
}

/* --- how things are printed --- */

const struct cli_paint *cli_paint_of(FILE *stream)
{
    static const struct cli_paint plain = {"", "", "", "", ""};
    static const struct cli_paint colour = {"\033[1m", "\033[2m", "\033[32m", "\033[31m",
                                            "\033[0m"};
    const char *refused = host_environment("NO_COLOR");
    const char *terminal = host_environment("TERM");
    if (refused != NULL && refused[0] != '\0') return &plain;
    if (terminal != NULL && strcmp(terminal, "dumb") == 0) return &plain;
    return host_is_terminal(fileno(stream)) ? &colour : &plain;
}

/* Size of the UTF-8 sequence at the start of text, 0 when there is no valid one. */
static size_t utf8_size(struct slice text)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint8_t c = text.data[0];
    size_t size = c < 0x80 ? 1 : c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc2 ? 2 : 0;
    if (size <= 1 || c > 0xf4 || size > text.size) return size == 1 ? 1 : 0;
    uint32_t point = c & (0xffu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80) return 0;
        point = point << 6 | (text.data[i] & 0x3fu);
    }
    bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
    return point < least[size] || point > 0x10ffff || is_surrogate ? 0 : size;
}

void cli_json_text(FILE *to, struct slice text)
{
    while (text.size > 0) {
        uint8_t c = text.data[0];
        size_t size = utf8_size(text);
        if (size == 0) {
            fputs("\\ufffd", to);
            size = 1;
        } else if (c == '"' || c == '\\') {
            fprintf(to, "\\%c", c);
        } else if (c < 0x20 || c == 0x7f) {
            fprintf(to, "\\u%04x", c);
        } else {
            fwrite(text.data, 1, size, to);
        }
        text = slice_of(text.data + size, text.size - size);
    }
}

const char *cli_count(uint64_t v, char out[CLI_COUNT_SIZE])
{
    char digits[24];
    size_t count = format_u64(digits, v);
    size_t at = 0;
    for (size_t i = 0; i < count; i++) {
        if (i > 0 && (count - i) % 3 == 0) out[at++] = ',';
        out[at++] = digits[i];
    }
    out[at] = '\0';
    return out;
}

const char *cli_size(uint64_t bytes, char out[CLI_COUNT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t unit = 0;
    while (v >= 1024 && unit + 1 < COUNT_OF(units)) {
        v /= 1024;
        unit++;
    }
    (void)snprintf(out, CLI_COUNT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return out;
}

const char *cli_duration(uint64_t ms, char out[CLI_COUNT_SIZE])
{
    static const struct {
        uint64_t below_ms;
        uint64_t unit_ms;
        const char *unit;
    } rows[] = {
        {7200000, 60000, "min"},
        {172800000, 3600000, "h"},
        {UINT64_MAX, 86400000, "d"},
    };
    if (ms < 1000) {
        (void)snprintf(out, CLI_COUNT_SIZE, "%u ms", (unsigned)ms);
        return out;
    }
    if (ms < 120000) {
        (void)snprintf(out, CLI_COUNT_SIZE, "%.1f s", (double)ms / 1000);
        return out;
    }
    size_t i = 0;
    while (ms >= rows[i].below_ms && i + 1 < COUNT_OF(rows)) {
        i++;
    }
    (void)snprintf(out, CLI_COUNT_SIZE, "%llu %s", (unsigned long long)(ms / rows[i].unit_ms),
                   rows[i].unit);
    return out;
}

const char *cli_until_lost(struct slice seconds, char out[CLI_COUNT_SIZE])
{
    double number = 0;
    if (!parse_f64(seconds, &number) || !(number < 30.0 * 86400)) return "-";
    return cli_duration((uint64_t)(number * 1000), out);
}

/* --- memory --- */

static struct alloc memory; /* zero: no limit; counts what is out */

void *cli_take(size_t size)
{
    void *p = alloc_get(&memory, size);
    if (p == NULL) {
        cli_error(verb_path, "no memory for %zu bytes", size);
        fflush(NULL);
        _Exit(CLI_FAILED);
    }
    return p;
}

void cli_put(void *p, size_t size)
{
    alloc_put(&memory, p, size);
}
