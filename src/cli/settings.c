/* settings: the one table of `serve`, its sources and its checks. */
#include "cli/settings.h"

#include "base/assert.h"
#include "base/text.h"
#include "env/net_address.h"

struct setting_row {
    const char *key;
    const char *flag;
    enum setting_kind kind;
    const char *standard; /* default, as text */
    const char *value;
    const char *help;
};

static const struct setting_row rows_of_table[SETTING_ID_COUNT] = {
#define X(constant, key, flag, kind, standard, value, help) \
    [SETTING_ID_##constant] = {key, flag, kind, standard, value, help},
    SETTINGS_TABLE(X)
#undef X
};

static const char *const keys[SETTING_ID_COUNT] = {
#define X(constant, key, flag, kind, standard, value, help) key,
    SETTINGS_TABLE(X)
#undef X
};

static const char *const source_names[] = {"default", "file", "environment", "flag"};

#define ENVIRONMENT_PREFIX "TIDEMARK_"

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

static bool is_address(const char *text)
{
    struct net_address address;
    struct err e;
    return net_address_parse(text, &address, &e) == OK && address.port > 0;
}

/* Parse one value by its kind. Returns NULL, or what would have been right. */
static const char *parse_value(enum setting_kind kind, const char *value, uint64_t *out)
{
    struct slice text = slice_of_text(value);
    switch (kind) {
    case SETTING_TEXT:
        return text.size <= ADDRESS_SIZE_MAX ? NULL : "at most 255 bytes are possible";
    case SETTING_ADDRESS:
        return is_address(value) ? NULL : "HOST:PORT is needed, like 127.0.0.1:7402";
    case SETTING_NODE_ID:
        return is_node_id(text) ? NULL : "1 to 64 letters, digits, dots, _ or - are needed";
    case SETTING_SWITCH: return parse_switch(text, out) ? NULL : "yes or no is needed";
    case SETTING_LOG_FORMAT:
        *out = text_equal_nocase(text, "json") ? 1 : 0;
        if (*out == 1 || text_equal_nocase(text, "logfmt")) return NULL;
        return "logfmt or json is needed";
    case SETTING_U16:
        if (parse_u64(text, out) && *out <= UINT16_MAX) return NULL;
        return "a whole number from 0 to 65535 is needed";
    case SETTING_COUNT_OF:
        if (parse_u64(text, out) && *out >= 1 && *out <= UINT32_MAX) return NULL;
        return "a whole number of at least 1 is needed";
    case SETTING_SIZE:
        if (parse_size(text, out) && *out > 0) return NULL;
        return "a size like 64KiB, 16MiB or 1GiB is needed";
    case SETTING_DURATION:
        if (parse_duration(text, out)) return NULL;
        return "a time like 500ms, 2s, 5min or 24h is needed";
    case SETTING_ABSENT: return "this setting is not in this version; only its default passes";
    }
    UNREACHABLE();
}

void settings_init(struct settings *s)
{
    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        const struct setting_row *row = &rows_of_table[i];
        s->values[i] = row->standard;
        (void)parse_value(row->kind, row->standard, &s->numbers[i]); /* "80%": 0, the default */
    }
}

enum code settings_set(struct settings *s, enum setting_id id, const char *value,
                       enum setting_source source, const char *place, struct err *e)
{
    const struct setting_row *row = &rows_of_table[id];
    uint64_t number = 0;
    bool is_standard = strcmp(value, row->standard) == 0;
    const char *reason = is_standard ? NULL : parse_value(row->kind, value, &number);
    if (reason != NULL) {
        return ERR(e, E_INVALID, "%s = %.80s (%s): %s", row->key, value, place, reason);
    }
    if (is_standard) (void)parse_value(row->kind, value, &number); /* a default is always right */
    s->values[id] = value;
    s->numbers[id] = number;
    s->sources[id] = (uint8_t)source;
    return OK;
}

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

static void cut_comment(char *line)
{
    for (char *at = line; *at != '\0'; at++) {
        if (*at == '#' && (at == line || is_space(at[-1]))) *at = '\0';
    }
}

static enum code take_line(struct settings *s, char *line, const char *place, struct err *e)
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
        return ERR(e, E_INVALID, "%s: %s is set twice in this file; keep one", place, key);
    }
    return settings_set(s, (enum setting_id)id, value, SOURCE_FILE, place, e);
}

enum code settings_take_file(struct settings *s, size_t size, const char *name, struct err *e)
{
    ASSERT(size < sizeof(s->file));
    s->file[size] = '\0';
    if (strlen(s->file) != size) {
        return ERR(e, E_INVALID, "%s contains a zero byte; it is no configuration file", name);
    }
    char *line = s->file;
    for (unsigned number = 1; line != NULL; number++) {
        char *end = strchr(line, '\n');
        if (end != NULL) *end = '\0';
        char place[160];
        struct text t = text_of(place, sizeof(place));
        text_add(&t, "%.120s line %u", name, number);
        TRY(take_line(s, line, place, e));
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
    char place[160];
    struct text where = text_of(place, sizeof(place));
    text_add(&where, "environment variable %.*s", (int)(equals - entry), entry);
    size_t id = find_key(slice_of_text(key));
    if (id == SETTING_ID_COUNT) return refuse_key(slice_of_text(key), place, e);
    return settings_set(s, (enum setting_id)id, equals + 1, SOURCE_ENVIRONMENT, place, e);
}

/* Two ports of one node cannot be equal, unless each is picked. */
static enum code check_ports(const struct settings *s, struct err *e)
{
    static const enum setting_id ports[] = {SETTING_ID_PORT, SETTING_ID_HTTP_PORT,
                                            SETTING_ID_REPLICATION_PORT};
    for (size_t i = 0; i < COUNT_OF(ports); i++) {
        const char *value = s->values[ports[i]];
        for (size_t j = i + 1; j < COUNT_OF(ports); j++) {
            uint64_t number = s->numbers[ports[i]];
            if (number == 0 || number != s->numbers[ports[j]]) continue;
            return ERR(e, E_INVALID, "%s and %s are both %s; give each port its own number",
                       keys[ports[i]], keys[ports[j]], value);
        }
    }
    return OK;
}

/* key `less` must be below (or at most) key `more`. */
static enum code check_order(const struct settings *s, enum setting_id less, enum setting_id more,
                             bool may_be_equal, struct err *e)
{
    bool is_right = s->numbers[less] < s->numbers[more] ||
                    (may_be_equal && s->numbers[less] == s->numbers[more]);
    if (is_right) return OK;
    return ERR(e, E_INVALID, "%s = %s must be %s %s = %s; change one of them", keys[less],
               s->values[less], may_be_equal ? "at most" : "below", keys[more], s->values[more]);
}

enum code settings_check(const struct settings *s, struct err *e)
{
    TRY(check_ports(s, e));
    TRY(check_order(s, SETTING_ID_HEARTBEAT, SETTING_ID_SUSPECT, false, e));
    TRY(check_order(s, SETTING_ID_SUSPECT, SETTING_ID_DEAD, false, e));
    TRY(check_order(s, SETTING_ID_RECORD_SIZE_MAX, SETTING_ID_BATCH_SIZE_MAX, true, e));
    if (s->numbers[SETTING_ID_HEARTBEAT] == 0) {
        return ERR(e, E_INVALID, "heartbeat = 0: links need heartbeats; 500ms is the default");
    }
    return OK;
}

void settings_print(const struct settings *s, FILE *to)
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        int written = fprintf(to, "%s = %s", keys[i], s->values[i]);
        bool is_absent = rows_of_table[i].kind == SETTING_ABSENT;
        fprintf(to, "%*s # %s%s\n", written < 40 ? 40 - written : 0, "",
                source_names[s->sources[i]], is_absent ? "; not in this version" : "");
    }
}

static const char *text_or_null(const char *value)
{
    return value[0] != '\0' ? value : NULL;
}

static uint64_t ms_of(const struct settings *s, enum setting_id id)
{
    return (s->numbers[id] + NS_PER_MS - 1) / NS_PER_MS;
}

static void fill_database(const struct settings *s, struct tide_options *out)
{
    out->dir = s->values[SETTING_ID_DIR];
    out->follow = text_or_null(s->values[SETTING_ID_FOLLOW]);
    out->node_id = text_or_null(s->values[SETTING_ID_ID]);
    out->region = (uint16_t)s->numbers[SETTING_ID_REGION];
    out->shard = (uint16_t)s->numbers[SETTING_ID_SHARD];
    out->segment_size = s->numbers[SETTING_ID_SEGMENT_SIZE];
    out->record_size_max = s->numbers[SETTING_ID_RECORD_SIZE_MAX];
    out->batch_size_max = s->numbers[SETTING_ID_BATCH_SIZE_MAX];
    out->checkpoint_interval_ms = ms_of(s, SETTING_ID_CHECKPOINT_INTERVAL);
    out->checkpoint_log_bytes = s->numbers[SETTING_ID_CHECKPOINT_LOG_BYTES];
    uint64_t mark_ms = ms_of(s, SETTING_ID_MARK_INTERVAL);
    out->mark_interval_ms = mark_ms == 0 ? UINT64_MAX : mark_ms; /* 0 would mean the default */
    out->commit_delay_us = s->numbers[SETTING_ID_COMMIT_DELAY] / 1000;
    out->tail_buffer = s->numbers[SETTING_ID_TAIL_BUFFER];
    out->credit = s->numbers[SETTING_ID_CREDIT];
    out->heartbeat_ms = ms_of(s, SETTING_ID_HEARTBEAT);
    out->suspect_ms = ms_of(s, SETTING_ID_SUSPECT);
    out->dead_ms = ms_of(s, SETTING_ID_DEAD);
    out->clock_skew_max_ms = ms_of(s, SETTING_ID_CLOCK_SKEW_MAX);
    out->dedup_keys_max = s->numbers[SETTING_ID_DEDUP_KEYS_MAX];
    out->memory_max = s->numbers[SETTING_ID_MEMORY_MAX];
}

void settings_fill(const struct settings *s, struct server_setting *rows,
                   struct server_options *out)
{
    fill_database(s, &out->database);
    out->bind = s->values[SETTING_ID_BIND];
    out->advertise = text_or_null(s->values[SETTING_ID_ADVERTISE]);
    out->port = (uint16_t)s->numbers[SETTING_ID_PORT];
    out->http_port = (uint16_t)s->numbers[SETTING_ID_HTTP_PORT];
    out->replication_port = (uint16_t)s->numbers[SETTING_ID_REPLICATION_PORT];
    out->is_insecure = s->numbers[SETTING_ID_INSECURE] != 0;
    out->connections_max = (uint32_t)s->numbers[SETTING_ID_CONNECTIONS_MAX];
    out->log_format = s->numbers[SETTING_ID_LOG_FORMAT] != 0 ? SERVER_LOG_JSON : SERVER_LOG_LOGFMT;
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        rows[i] = (struct server_setting){
            .name = keys[i], .value = s->values[i], .source = source_names[s->sources[i]]};
    }
    out->settings = rows;
    out->setting_count = SETTING_ID_COUNT;
}

void settings_options(struct cli_option out[SETTING_ID_COUNT])
{
    for (size_t i = 0; i < SETTING_ID_COUNT; i++) {
        const struct setting_row *row = &rows_of_table[i];
        bool is_absent = row->kind == SETTING_ABSENT;
        out[i] = (struct cli_option){
            .name = row->flag, .value = row->value, .help = is_absent ? NULL : row->help};
    }
}
