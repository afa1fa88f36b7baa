/* tsv: the line parser of `tidemark import`. */
#include "cli/tsv.h"

#include "format/limits.h"

enum { FIELD_TIME, FIELD_TYPE, FIELD_ITEM, FIELD_WEIGHT, FIELD_USER, FIELD_KEY, FIELD_COUNT };
#define FIELDS_REQUIRED 3u

static struct slice without_carriage_return(struct slice line)
{
    if (line.size > 0 && line.data[line.size - 1] == '\r') line.size--;
    return line;
}

static bool is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++) {
        if (line.data[i] != ' ' && line.data[i] != '\t') return false;
    }
    return true;
}

/* Cut the line at its tabs. Returns the number of fields, FIELD_COUNT + 1 when there are more. */
static size_t split(struct slice line, struct slice fields[FIELD_COUNT])
{
    size_t count = 0;
    const uint8_t *at = line.data;
    const uint8_t *end = line.data + line.size;
    for (;;) {
        const uint8_t *tab = memchr(at, '\t', (size_t)(end - at));
        if (count == FIELD_COUNT) return FIELD_COUNT + 1;
        fields[count++] = slice_of(at, (size_t)((tab != NULL ? tab : end) - at));
        if (tab == NULL) return count;
        at = tab + 1;
    }
}

static bool check_time(struct slice field, int64_t *out, struct text *reason)
{
    int64_t v = 0;
    if (!parse_i64(field, &v)) {
        text_add(reason, "time \"");
        text_add_escaped(reason, field, 40);
        text_add(reason, "\" is no whole number of milliseconds since 1970");
        return false;
    }
    if (v < TSV_TIME_MS_MIN || v > TSV_TIME_MS_MAX) {
        const char *guess = v < TSV_TIME_MS_MIN ? "seconds" : "micro- or nanoseconds";
        text_add(reason, "time %lld looks like %s; milliseconds since 1970 are needed",
                 (long long)v, guess);
        return false;
    }
    *out = v;
    return true;
}

static bool check_weight(struct slice field, struct text *reason)
{
    double v = 0;
    if (field.size == 0) return true;
    if (!parse_f64(field, &v)) {
        text_add(reason, "weight \"");
        text_add_escaped(reason, field, 40);
        text_add(reason, "\" is no finite number");
        return false;
    }
    if (v > WEIGHT_ABS_MAX || v < -WEIGHT_ABS_MAX) {
        text_add(reason, "weight is beyond 2^53");
        return false;
    }
    return true;
}

static bool check_size(const char *what, struct slice field, size_t min, size_t max,
                       struct text *reason)
{
    if (field.size >= min && field.size <= max) return true;
    if (field.size < min) {
        text_add(reason, "%s is empty", what);
    } else {
        text_add(reason, "%s has %zu bytes, the limit is %zu", what, field.size, max);
    }
    return false;
}

enum tsv_verdict tsv_parse(struct slice line, struct tsv_signal *out, struct text *reason)
{
    line = without_carriage_return(line);
    if (is_blank(line)) return TSV_BLANK;
    struct slice fields[FIELD_COUNT] = {{0}};
    size_t count = split(line, fields);
    if (count < FIELDS_REQUIRED || count > FIELD_COUNT) {
        text_add(reason,
                 "%s fields; time_ms, type, item and up to three more are separated by tabs",
                 count < FIELDS_REQUIRED ? "too few" : "too many");
        return TSV_BAD;
    }
    struct tsv_signal signal = {.type = fields[FIELD_TYPE],
                                .item = fields[FIELD_ITEM],
                                .weight = fields[FIELD_WEIGHT],
                                .user = fields[FIELD_USER],
                                .key = fields[FIELD_KEY]};
    if (!check_time(fields[FIELD_TIME], &signal.at_ms, reason) ||
        !check_size("type", signal.type, 1, SIGNAL_NAME_SIZE_MAX, reason) ||
        !check_size("item", signal.item, 1, KEY_SIZE_MAX, reason) ||
        !check_weight(signal.weight, reason) ||
        !check_size("user", signal.user, 0, KEY_SIZE_MAX, reason) ||
        !check_size("key", signal.key, 0, KEY_SIZE_MAX, reason)) {
        return TSV_BAD;
    }
    *out = signal;
    return TSV_SIGNAL;
}
