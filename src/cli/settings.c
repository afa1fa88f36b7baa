/* settings: the one table of `serve`, its sources and its checks. */
#include "cli/settings.h"

#include "base/assert.h"
#include "base/text.h"
#include "env/net_address.h"

#include <assert.h>

/* What a field of struct server_options is, and with it how a value gets there. */
enum setting_form { FORM_NONE, FORM_TEXT, FORM_BOOL, FORM_U16, FORM_U32, FORM_U64 };

struct setting_row {
    const char *key;
    enum setting_kind kind;
    const char *standard; /* default, as text */
    const char *value;    /* what the value is called */
    bool is_live;         /* may change while the node runs */
    enum setting_form form;
    size_t offset; /* of the field */
    const char *help;
};

#define FORM_OF(field) \
    _Generic(((struct server_options *)0)->field, \
        const char *: FORM_TEXT,                  \
        bool: FORM_BOOL,                          \
        uint16_t: FORM_U16,                       \
        uint32_t: FORM_U32,                       \
        uint64_t: FORM_U64)
static_assert(sizeof(enum tide_ship_mode) == 4, "an enum is stored like a number of 32 bits");
static_assert(sizeof(enum tide_on_miss) == 4, "an enum is stored like a number of 32 bits");
static_assert(sizeof(enum server_log_format) == 4, "an enum is stored like a number of 32 bits");

static const struct setting_row rows_of_table[SETTING_ID_COUNT] = {
#define X(key, kind, standard, value, is_live, field, help)       \
    [SETTING_ID_##key] = {#key,                                   \
                          kind,                                   \
                          standard,                               \
                          value,                                  \
                          is_live,                                \
                          FORM_OF(field),                         \
                          offsetof(struct server_options, field), \
                          help},
    SETTINGS_OF_THE_DATABASE(X) SETTINGS_OF_THE_SERVER(X)
#undef X
#define A(key, standard) \
    [SETTING_ID_##key] = {#key, SETTING_ABSENT, standard, "VALUE", false, FORM_NONE, 0, ""},
        SETTINGS_NOT_IN_THIS_VERSION(A)
#undef A
};

static const char *const keys[SETTING_ID_COUNT] = {
#define X(key, ...) #key,
    SETTINGS_OF_THE_DATABASE(X) SETTINGS_OF_THE_SERVER(X) SETTINGS_NOT_IN_THIS_VERSION(X)
#undef X
};

static const char *const source_names[SOURCE_COUNT] = {"default", "file", "environment", "flag",
                                                       "CONFIG SET"};

#define ENVIRONMENT_PREFIX "TIDEMARK_"
#define PLACE_SIZE         256
#define REASON_SIZE        128

/* --- values --- */

static bool parse_switch(struct slice text, uint64_t *out)
{
    static const char *const words[] = {"no", "yes", "false", "true", "off", "on", "0", "1"};
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!text_equal_nocase(text, words[i])) continue;
        *out = i % 2;
        return true;
    }
    return false;
}

/* The next of "logfmt|json|..." and what is left; false: there is none. */
static bool next_word(const char **words, struct slice *out)
{
    if (**words == '\0') return false;
    size_t size = strcspn(*words, "|");
    *out = slice_of(*words, size);
    *words += size + (size_t)((*words)[size] == '|');
    return true;
}

static bool parse_choice(const char *words, const char *value, uint64_t *out)
{
    struct slice word;
    for (uint64_t i = 0; next_word(&words, &word); i++) {
        if (!slice_equal(word, slice_of_text(value))) continue;
        *out = i;
        return true;
    }
    return false;
}

static bool is_address(const char *text)
{
    struct net_address address;
    struct err e;
    return net_address_parse(text, &address, &e) == OK && address.port > 0;
}

static uint64_t max_of(enum setting_form form)
{
    switch (form) {
    case FORM_U16: return UINT16_MAX;
    case FORM_U32: return UINT32_MAX;
    case FORM_U64: return UINT64_MAX - 1; /* the last one says "off" in some fields */
    case FORM_NONE:
    case FORM_TEXT:
    case FORM_BOOL: break;
    }
    UNREACHABLE();
}

/* A time in units of unit_ns, rounded up: what is not 0 stays so. */
static bool parse_time(struct slice text, uint64_t unit_ns, uint64_t min, uint64_t *out)
{
    uint64_t ns = 0;
    if (!parse_duration(text, &ns)) return false;
    *out = ns / unit_ns + (uint64_t)(ns % unit_ns != 0);
    return *out >= min;
}

static bool parse_number(const struct setting_row *row, struct slice text, uint64_t min,
                         uint64_t *out)
{
    return parse_u64(text, out) && *out >= min && *out <= max_of(row->form);
}

/* A share in percent or bytes per second: which of the two, the number says. */
static bool parse_rate(struct slice text, uint64_t *out)
{
    if (text.size > 1 && text.data[text.size - 1] == '%') {
        return parse_u64(slice_of(text.data, text.size - 1), out) && *out >= 1 && *out <= 100;
    }
    return parse_size(text, out) && *out > 100;
}

static bool parse_by_kind(const struct setting_row *row, const char *value, uint64_t *out)
{
    struct slice text = slice_of_text(value);
    switch (row->kind) {
    case SETTING_TEXT: return text.size <= ADDRESS_SIZE_MAX && text.size > 0;
    case SETTING_ADDRESS: return is_address(value);
    case SETTING_NODE_ID: return is_node_id(text);
    case SETTING_SWITCH: return parse_switch(text, out);
    case SETTING_CHOICE: return parse_choice(row->value, value, out);
    case SETTING_NUMBER: return parse_number(row, text, 0, out);
    case SETTING_COUNT_OF: return parse_number(row, text, 1, out);
    case SETTING_SIZE: return parse_size(text, out) && *out > 0 && *out <= max_of(row->form);
    case SETTING_RATE: return parse_rate(text, out);
    case SETTING_SIZE_OR_OFF: return parse_size(text, out);
    case SETTING_MS: return parse_time(text, NS_PER_MS, 1, out);
    case SETTING_MS_OR_0:
    case SETTING_MS_OR_OFF: return parse_time(text, NS_PER_MS, 0, out);
    case SETTING_US_OR_0: return parse_time(text, 1000, 0, out);
    case SETTING_ABSENT: return false;
    }
    UNREACHABLE();
}

/* What would have been right. */
static void add_needed(const struct setting_row *row, struct text *t)
{
    const char *words = row->value;
    struct slice word;
    switch (row->kind) {
    case SETTING_TEXT: text_add(t, "1 to %d bytes are needed", ADDRESS_SIZE_MAX); return;
    case SETTING_ADDRESS: text_add(t, "HOST:PORT is needed, like 127.0.0.1:7402"); return;
    case SETTING_NODE_ID: text_add(t, "1 to 64 letters, digits, dots, _ or - are needed"); return;
    case SETTING_SWITCH: text_add(t, "yes or no is needed"); return;
    case SETTING_CHOICE:
        while (next_word(&words, &word)) {
            bool is_first = t->size == 0;
            text_add(t, "%s%.*s", is_first ? "" : " or ", (int)word.size, (const char *)word.data);
        }
        text_add(t, " is needed");
        return;
    case SETTING_NUMBER:
    case SETTING_COUNT_OF:
        text_add(t, "a whole number from %d to %llu is needed", row->kind == SETTING_COUNT_OF,
                 (unsigned long long)max_of(row->form));
        return;
    case SETTING_SIZE: text_add(t, "a size like 64KiB, 16MiB or 1GiB is needed"); return;
    case SETTING_RATE:
        text_add(t, "bytes per second like 100MiB, or a share from 1%% to 100%%, are needed");
        return;
    case SETTING_SIZE_OR_OFF: text_add(t, "a size like 64KiB, 16MiB or 0 is needed"); return;
    case SETTING_MS: text_add(t, "a time above 0 like 500ms, 2s, 5min or 24h is needed"); return;
    case SETTING_MS_OR_0:
    case SETTING_MS_OR_OFF:
    case SETTING_US_OR_0: text_add(t, "a time like 500ms, 2s, 5min, 24h or 0 is needed"); return;
    case SETTING_ABSENT:
        text_add(t, "this setting is not in this version; only its default, %s, passes",
                 row->standard);
        return;
    }
    UNREACHABLE();
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        const struct setting_row *row = &rows_of_table[i];
        s->values[i] = row->standard;
        /* "80%" and "" stay 0: the library's own default */
        if (!parse_by_kind(row, row->standard, &s->numbers[i])) s->numbers[i] = 0;
    }
}

enum code settings_set(struct settings *s, enum setting_id id, const char *value,
                       enum setting_source source, const char *place, struct err *e)
{
    const struct setting_row *row = &rows_of_table[id];
    uint64_t number = 0;
    bool is_right = parse_by_kind(row, value, &number);
    if (!is_right && strcmp(value, row->standard) != 0) {
        char reason[REASON_SIZE];
        struct text t = text_of(reason, sizeof(reason));
        add_needed(row, &t);
        return ERR(e, E_INVALID, "%s = %.80s (%s): %s", row->key, value, place, reason);
    }
    s->values[id] = value;
    s->numbers[id] = is_right ? number : 0;
    s->sources[id] = (uint8_t)source;
    return OK;
}

/* --- sources --- */

/* SETTING_ID_COUNT when there is none. */
static size_t find_key(struct slice key)
{
    size_t i = 0;
    while (i < SETTING_ID_COUNT && !slice_equal(key, slice_of_text(keys[i]))) {
        i++;
    }
    return i;
}

static enum code refuse_key(struct slice key, const char *place, struct err *e)
{
    const char *near = nearest_word(key, keys, SETTING_ID_COUNT);
    char shown[96];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, key, 60);
    if (near != NULL) {
        return ERR(e, E_INVALID, "unknown key %s (%s); did you mean %s?", shown, place, near);
    }
    return ERR(e, E_INVALID, "unknown key %s (%s); serve --print-config lists all", shown, place);
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\r';
}

/* Cut spaces at both ends, in place. */
static char *trimmed(char *text)
{
    while (is_space(*text)) {
        text++;
    }
    size_t size = strlen(text);
    while (size > 0 && is_space(text[size - 1])) {
        text[--size] = '\0';
    }
    return text;
}

/* A comment begins where a word could: at the start, after a space, and where a value is missing.
 */
static void cut_comment(char *line)
{
    const char *equals = strchr(line, '=');
    for (char *at = line; *at != '\0'; at++) {
        bool is_start = at == line || is_space(at[-1]) || at - 1 == equals;
        if (*at == '#' && is_start) *at = '\0';
    }
}

/* place: "FILE:line". */
static enum code take_line(struct settings *s, char *line, uint32_t number, const char *place,
                           struct err *e)
{
    cut_comment(line);
    char *key = trimmed(line);
    if (*key == '\0') return OK;
    char *equals = strchr(key, '=');
    if (equals == NULL) {
        return ERR(e, E_INVALID, "%s: no \"=\"; a line is \"key = value\"", place);
    }
    *equals = '\0';
    char *value = trimmed(equals + 1);
    key = trimmed(key);
    size_t id = find_key(slice_of_text(key));
    if (id == SETTING_ID_COUNT) return refuse_key(slice_of_text(key), place, e);
    if (s->sources[id] == SOURCE_FILE) {
        return ERR(e, E_INVALID, "%s: %s is set twice in this file, first in line %u; keep one",
                   place, key, s->lines[id]);
    }
    s->lines[id] = number;
    return settings_set(s, (enum setting_id)id, value, SOURCE_FILE, place, e);
}

enum code settings_take_file(struct settings *s, size_t size, const char *name, struct err *e)
{
    ASSERT(size < sizeof(s->file));
    s->file[size] = '\0';
    s->file_name = name;
    if (strlen(s->file) != size) {
        return ERR(e, E_INVALID, "%s contains a zero byte; it is no configuration file", name);
    }
    char *line = s->file;
    for (uint32_t number = 1; line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        char place[PLACE_SIZE];
        struct text t = text_of(place, sizeof(place));
        text_add(&t, "%.200s:%u", name, number);
        TRY(take_line(s, line, number, place, e));
        line = end != NULL ? end + 1 : NULL;
    }
    return OK;
}

enum code settings_take_environment(struct settings *s, const char *entry, struct err *e)
{
    size_t prefix = strlen(ENVIRONMENT_PREFIX);
    const char *equals = strchr(entry, '=');
    if (equals == NULL || strncmp(entry, ENVIRONMENT_PREFIX, prefix) != 0) return OK;
    char key[64];
    struct text t = text_of(key, sizeof(key));
    for (const char *at = entry + prefix; at < equals; at++) {
        text_add(&t, "%c", *at >= 'A' && *at <= 'Z' ? *at - 'A' + 'a' : *at);
    }
    if (strcmp(key, "config") == 0) return OK;
    char place[PLACE_SIZE];
    struct text where = text_of(place, sizeof(place));
    text_add(&where, "environment variable %.*s", (int)(equals - entry), entry);
    size_t id = find_key(slice_of_text(key));
    if (id == SETTING_ID_COUNT) return refuse_key(slice_of_text(key), place, e);
    return settings_set(s, (enum setting_id)id, equals + 1, SOURCE_ENVIRONMENT, place, e);
}

/* --- checks --- */

/* Where a value that is not the default was said. */
static void add_place(const struct settings *s, enum setting_id id, struct text *t)
{
    switch ((enum setting_source)s->sources[id]) {
    case SOURCE_DEFAULT:
    case SOURCE_COUNT: text_add(t, "the default"); return;
    case SOURCE_FILE: text_add(t, "%.100s:%u", s->file_name, s->lines[id]); return;
    case SOURCE_ENVIRONMENT: text_add(t, "the environment"); return;
    case SOURCE_FLAG: text_add(t, "a flag"); return;
    case SOURCE_CONFIG_SET: text_add(t, "CONFIG SET"); return;
    }
    UNREACHABLE();
}

/* Two ports of one node cannot be equal, unless each is picked. */
static enum code check_ports(const struct settings *s, struct err *e)
{
    static const enum setting_id ports[] = {SETTING_ID_port, SETTING_ID_http_port,
                                            SETTING_ID_replication_port};
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        for (size_t j = i + 1; j < COUNT_OF(ports); j++) {
            uint64_t number = s->numbers[ports[i]];
            if (number == 0 || number != s->numbers[ports[j]]) continue;
            char room[PLACE_SIZE];
            struct text places = text_of(room, sizeof(room));
            add_place(s, ports[i], &places);
            text_add(&places, ", ");
            add_place(s, ports[j], &places);
            return ERR(e, E_INVALID, "%s and %s are both %s (%s); give each port its own number",
                       keys[ports[i]], keys[ports[j]], s->values[ports[i]], room);
        }
    }
    return OK;
}

/* A time of a link must be below the next one of the three. */
static enum code check_order(const struct settings *s, enum setting_id less, enum setting_id more,
                             struct err *e)
{
    if (s->numbers[less] < s->numbers[more]) return OK;
    char room[PLACE_SIZE];
    struct text places = text_of(room, sizeof(room));
    add_place(s, less, &places);
    text_add(&places, ", ");
    add_place(s, more, &places);
    return ERR(e, E_INVALID, "%s = %.40s must be below %s = %.40s (%s); change one of them",
               keys[less], s->values[less], keys[more], s->values[more], room);
}

static void store(const struct settings *s, size_t id, struct server_options *out)
{
    const struct setting_row *row = &rows_of_table[id];
    uint64_t number = s->numbers[id];
    bool can_be_off = row->kind == SETTING_MS_OR_OFF || row->kind == SETTING_SIZE_OR_OFF;
    if (can_be_off && number == 0) number = UINT64_MAX;
    uint16_t u16 = (uint16_t)number;
    uint32_t u32 = (uint32_t)number;
    bool is_on = number != 0;
    const char *text = s->values[id][0] != '\0' ? s->values[id] : NULL;
    uint8_t *field = (uint8_t *)out + row->offset;
    switch (row->form) {
    case FORM_NONE: return;
    case FORM_TEXT: memcpy(field, &text, sizeof(text)); return;
    case FORM_BOOL: memcpy(field, &is_on, sizeof(is_on)); return;
    case FORM_U16: memcpy(field, &u16, sizeof(u16)); return;
    case FORM_U32: memcpy(field, &u32, sizeof(u32)); return;
    case FORM_U64: memcpy(field, &number, sizeof(number)); return;
    }
    UNREACHABLE();
}

static void store_default(size_t id, struct server_options *out)
{
    static struct settings defaults; /* too large for the stack; main thread only */
    if (defaults.values[0] == NULL) settings_init(&defaults);
    store(&defaults, id, out);
}

/* Which values, taken back, would change what the library complains about? They are to blame. */
static void add_blame(const struct settings *s, const struct server_options *options,
                      const struct tide_err *complaint, struct text *t)
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        if (s->sources[i] == SOURCE_DEFAULT) continue;
        struct server_options without = *options;
        store_default(i, &without);
        struct tide_err other;
        bool is_blamed = tide_options_check(&without.database, &other) == TIDE_OK ||
                         strcmp(other.message, complaint->message) != 0;
        if (!is_blamed) continue;
        text_add(t, "%s%s = %.40s, ", t->size == 0 ? "" : "; ", keys[i], s->values[i]);
        add_place(s, (enum setting_id)i, t);
    }
}

enum code settings_check(const struct settings *s, struct err *e)
{
    TRY(check_ports(s, e));
    TRY(check_order(s, SETTING_ID_heartbeat, SETTING_ID_suspect, e));
    TRY(check_order(s, SETTING_ID_suspect, SETTING_ID_dead, e));
    struct server_options options;
    server_options_init(&options);
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        store(s, i, &options);
    }
    struct tide_err complaint;
    if (tide_options_check(&options.database, &complaint) == TIDE_OK) return OK;
    char room[PLACE_SIZE];
    struct text blame = text_of(room, sizeof(room));
    add_blame(s, &options, &complaint, &blame);
    return ERR(e, E_INVALID, "%s (%s)", complaint.message, room);
}

/* --- showing --- */

void settings_print(const struct settings *s, FILE *to)
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        int written = fprintf(to, "%s = %s", keys[i], s->values[i]);
        bool is_absent = rows_of_table[i].kind == SETTING_ABSENT;
        fprintf(to, "%*s # %s%s\n", written < 40 ? 40 - written : 0, "",
                source_names[s->sources[i]], is_absent ? "; not in this version" : "");
    }
}

void settings_print_json(const struct settings *s, FILE *to)
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        if (rows_of_table[i].kind == SETTING_ABSENT) continue;
        fprintf(to, "%s{\"key\":\"%s\",\"value\":\"", i == 0 ? "[" : ",", keys[i]);
        cli_json_text(to, slice_of_text(s->values[i]));
        fprintf(to, "\",\"source\":\"%s\",\"is_live\":%s}", source_names[s->sources[i]],
                rows_of_table[i].is_live ? "true" : "false");
    }
    fprintf(to, "]\n");
}

void settings_write_docs(FILE *to)
{
    fprintf(to, "| key | value | default | at run time | what it is |\n|---|---|---|---|---|\n");
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        const struct setting_row *row = &rows_of_table[i];
        if (row->kind == SETTING_ABSENT) continue;
        fprintf(to, "| `%s` | ", row->key);
        const char *words = row->kind == SETTING_SWITCH ? "yes|no" : row->value;
        struct slice word;
        for (size_t k = 0; next_word(&words, &word); k++) {
            fprintf(to, "%s%.*s", k > 0 ? " or " : "", (int)word.size, (const char *)word.data);
        }
        bool has_standard = row->standard[0] != '\0';
        fprintf(to, " | %s%s%s | %s | %s |\n", has_standard ? "`" : "", row->standard,
                has_standard ? "`" : "", row->is_live ? "`CONFIG SET`" : "fixed", row->help);
    }
    fprintf(to,
            "\nKnown, and refused by name when they say anything but their default, because what "
            "they set is not in this version:\n");
    const char *separator = "";
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        if (rows_of_table[i].kind != SETTING_ABSENT) continue;
        fprintf(to, "%s`%s`", separator, keys[i]);
        separator = ", ";
    }
    fprintf(to, ".\n");
}

static void fill_one(const struct settings *s, size_t id, struct server_setting *rows,
                     struct server_options *out)
{
    store(s, id, out);
    rows[id] = (struct server_setting){
        .name = keys[id], .value = s->values[id], .source = source_names[s->sources[id]]};
}

void settings_fill(const struct settings *s, struct server_setting *rows,
                   struct server_options *out)
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        fill_one(s, i, rows, out);
    }
    out->settings = rows;
    out->setting_count = SETTING_ID_COUNT;
}

/* --- changes at run time --- */

/* Take one change over into the candidate. */
static enum code change_one(struct settings *candidate, const struct server_change *change,
                            struct err *e)
{
    const char *place = source_names[SOURCE_CONFIG_SET];
    struct slice key = slice_of_text(change->name);
    size_t id = find_key(key);
    if (id == SETTING_ID_COUNT) return refuse_key(key, place, e);
    const struct setting_row *row = &rows_of_table[id];
    if (!row->is_live) {
        const char *why = "is fixed at the start";
        if (row->kind == SETTING_ABSENT) why = "is not in this version";
        return ERR(e, E_INVALID, "%s %s; CONFIG SET cannot change it", row->key, why);
    }
    if (candidate->lines[id] == UINT32_MAX) {
        return ERR(e, E_INVALID, "%s is given twice; give it once", row->key);
    }
    if (strlen(change->value) >= SETTINGS_LIVE_SIZE) {
        return ERR(e, E_INVALID, "the value of %s is too long", row->key);
    }
    candidate->lines[id] = UINT32_MAX; /* taken */
    return settings_set(candidate, (enum setting_id)id, change->value, SOURCE_CONFIG_SET, place, e);
}

enum code settings_change(struct settings *s, const struct server_change *changes, size_t count,
                          struct server_setting *rows, struct server_options *out, struct err *e)
{
    static struct settings candidate; /* too large for the stack */
    candidate = *s;
    for (size_t i = 0; i < count; i++) {
        TRY(change_one(&candidate, &changes[i], e));
    }
    TRY(settings_check(&candidate, e));
    for (size_t i = 0; i < count; i++) {
        size_t id = find_key(slice_of_text(changes[i].name));
        memcpy(s->live[id], changes[i].value, strlen(changes[i].value) + 1);
        s->values[id] = s->live[id];
        s->numbers[id] = candidate.numbers[id];
        s->sources[id] = SOURCE_CONFIG_SET;
        fill_one(s, id, rows, out); /* the others may be read by other threads meanwhile */
    }
    return OK;
}

/* --- as options of the command line --- */

/* A flag is its key with dashes. */
static const char *flag_of(size_t id)
{
    static char flags[SETTING_ID_COUNT][32];
    if (flags[id][0] != '\0') return flags[id];
    ASSERT(strlen(keys[id]) < sizeof(flags[id]));
    memcpy(flags[id], keys[id], strlen(keys[id]));
    for (char *c = flags[id]; *c != '\0'; c++) {
        if (*c == '_') *c = '-';
    }
    return flags[id];
}

void settings_options(struct cli_option out[SETTING_ID_COUNT])
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        const struct setting_row *row = &rows_of_table[i];
        bool is_absent = row->kind == SETTING_ABSENT;
        out[i] = (struct cli_option){
            .name = flag_of(i), .value = row->value, .help = is_absent ? NULL : row->help};
    }
}
