/* options: see options.h. */
#include "server/options.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/commands.h"

#include <math.h>
#include <stdio.h>

/* What is below is taken for seconds, what is above for micro- or nanoseconds. */
#define MS_MIN INT64_C(100000000000)
#define MS_MAX INT64_C(100000000000000)

#define WEIGHT_MAX 9007199254740992.0 /* 2^53 */

enum { RETRIEVE_LIMIT_MAX = 1000 };

struct option_row {
    const char *name;
    uint8_t name_size;
    uint8_t value_count; /* words behind the name */
};

#define ROW(name, value_count) [OPTION_##name] = {#name, sizeof(#name) - 1, value_count}

static const struct option_row rows[OPTION_COUNT] = {
    ROW(W, 1),        ROW(AT, 1),       ROW(USER, 1),      ROW(SESSION, 2),  ROW(KEY, 1),
    ROW(PRODUCER, 2), ROW(LEVEL, 1),    ROW(WITHLEVEL, 0), ROW(DEADLINE, 1), ROW(ONMISS, 1),
    ROW(AFTER, 1),    ROW(MAXSTALE, 1), ROW(READ, 1),      ROW(LIMIT, 1),    ROW(NOW, 1),
    ROW(EXCLUDE, 1),  ROW(WHERE, 1),    ROW(MAXPER, 2),    ROW(MMR, 1),      ROW(EXPLORE, 1),
    ROW(SEED, 1),     ROW(CURSOR, 1),   ROW(EXPLAIN, 0),   ROW(HALFLIFE, 1), ROW(WINDOWS, 1),
    ROW(MODE, 1),     ROW(POLARITY, 1), ROW(CREATOR, 1),   ROW(UNSET, 1),
};

/* The option called word; OPTION_COUNT: none. */
static enum option find_option(struct slice word)
{
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if (rows[i].name_size == word.size && text_equal_nocase(word, rows[i].name)) {
            return (enum option)i;
        }
    }
    return OPTION_COUNT;
}

static void fail_unknown(struct call *call, struct slice word, uint32_t allowed)
{
    char shown[SHOWN_SIZE];
    const char *names[OPTION_COUNT];
    size_t count = 0;
    for (unsigned i = 0; i < OPTION_COUNT; i++) {
        if ((allowed & OPTION_BIT(i)) != 0) names[count++] = rows[i].name;
    }
    const char *nearest = nearest_word(word, names, count);
    call_fail(call, TIDE_INVALID, "%s has no option '%s'%s%s%s", call->command->name,
              call_show(shown, word), nearest != NULL ? "; did you mean " : "",
              nearest != NULL ? nearest : "", nearest != NULL ? "?" : "");
}

static bool fail_not_built(struct call *call, enum option option)
{
    call_fail(call, TIDE_UNSUPPORTED, "option %s is not in this version", rows[option].name);
    return false;
}

/* A time in milliseconds, with a guess at what went wrong. */
static bool parse_time(struct call *call, enum option option, struct slice text, int64_t *out)
{
    char shown[SHOWN_SIZE];
    int64_t v = 0;
    if (!parse_i64(text, &v)) {
        call_fail(call, TIDE_INVALID, "%s '%s' is not a whole number of milliseconds",
                  rows[option].name, call_show(shown, text));
        return false;
    }
    const char *guess = NULL;
    if (v < MS_MIN) guess = v < 0 ? "is before 1970" : "looks like seconds";
    if (v > MS_MAX) {
        guess = v / 1000 > MS_MAX ? "looks like nanoseconds" : "looks like microseconds";
    }
    if (guess != NULL) {
        call_fail(call, TIDE_INVALID, "%s %lld %s: give milliseconds since 1970", rows[option].name,
                  (long long)v, guess);
        return false;
    }
    *out = v;
    return true;
}

/* Is it one of the words for what no finite number is? */
static bool is_endless(struct slice text)
{
    static const char *const words[] = {"nan", "inf", "infinity"};
    bool has_sign = text.size > 0 && (text.data[0] == '-' || text.data[0] == '+');
    if (has_sign) text = slice_of(text.data + 1, text.size - 1);
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (text_equal_nocase(text, words[i])) return true;
    }
    return false;
}

/* Is it a number that is too large for a double, such as 1e400? */
static bool is_too_large(struct slice text)
{
    size_t i = 0;
    while (i < text.size && (text.data[i] | 0x20) != 'e') {
        i++;
    }
    double mantissa = 0;
    uint64_t exponent = 0;
    return i + 1 < text.size && parse_f64(slice_of(text.data, i), &mantissa) &&
           parse_u64(slice_of(text.data + i + 1, text.size - i - 1), &exponent);
}

bool options_weight(struct call *call, struct slice text, double *out)
{
    char shown[SHOWN_SIZE];
    double v = 0;
    bool is_number = parse_f64(text, &v);
    if (is_number && fabs(v) <= WEIGHT_MAX) { /* false for what is not finite, too */
        *out = v;
        return true;
    }
    if (is_number || is_endless(text) || is_too_large(text)) {
        call_fail(call, TIDE_LIMIT, "weight %s is outside of -2^53 .. 2^53",
                  call_show(shown, text));
    } else {
        call_fail(call, TIDE_INVALID, "weight '%s' is not a number", call_show(shown, text));
    }
    return false;
}

static bool parse_producer(struct call *call, size_t word, struct options *o)
{
    struct slice id = call->words[word];
    if (id.size == 0 || id.size > KEY_SIZE_MAX) {
        call_fail(call, TIDE_LIMIT, "PRODUCER id of %zu bytes: 1 to %d are allowed", id.size,
                  KEY_SIZE_MAX);
        return false;
    }
    o->write.producer = bytes_of(id);
    return call_u64(call, word + 1, "PRODUCER number", UINT64_MAX, &o->write.producer_number);
}

static bool parse_user(struct call *call, struct slice user, struct options *o)
{
    if (user.size == 0) {
        call_fail(call, TIDE_LIMIT, "USER is empty");
        return false;
    }
    o->user = user;
    return true;
}

static bool parse_key(struct call *call, struct slice key, struct options *o)
{
    if (key.size == 0) {
        call_fail(call, TIDE_LIMIT, "KEY is empty");
        return false;
    }
    o->write.key = bytes_of(key);
    return true;
}

/* One part of a list with commas; moves *rest behind it. */
static struct slice next_part(struct slice *rest)
{
    size_t i = 0;
    while (i < rest->size && rest->data[i] != ',') {
        i++;
    }
    struct slice part = slice_of(rest->data, i);
    size_t used = i < rest->size ? i + 1 : i;
    *rest = slice_of(rest->data + used, rest->size - used);
    return part;
}

static bool parse_halflife(struct call *call, struct slice text, struct options *o)
{
    char shown[SHOWN_SIZE];
    size_t count = 0;
    struct slice rest = text;
    do {
        uint64_t ns = 0;
        struct slice part = next_part(&rest);
        if (!parse_duration(part, &ns) || ns < NS_PER_MS) {
            call_fail(call, TIDE_INVALID, "HALFLIFE '%s' is not a duration such as 12h or 7d",
                      call_show(shown, part));
            return false;
        }
        if (count == COUNT_OF(o->schema.halflives_ms)) {
            call_fail(call, TIDE_LIMIT, "HALFLIFE takes at most %zu durations", count);
            return false;
        }
        o->schema.halflives_ms[count++] = ns / NS_PER_MS;
    } while (rest.size > 0);
    return true;
}

static bool parse_windows(struct call *call, struct slice text, struct options *o)
{
    static const char *const windows[] = {"1h", "24h", "7d", "30d", "all"};
    char shown[SHOWN_SIZE];
    struct slice rest = text;
    do {
        struct slice part = next_part(&rest);
        size_t i = 0;
        while (i < COUNT_OF(windows) && !text_equal_nocase(part, windows[i])) {
            i++;
        }
        if (i == COUNT_OF(windows)) {
            call_fail(call, TIDE_INVALID, "unknown window '%s': 1h, 24h, 7d, 30d or all",
                      call_show(shown, part));
            return false;
        }
        o->schema.windows |= (uint8_t)(1u << i);
    } while (rest.size > 0);
    return true;
}

static bool parse_mode(struct call *call, struct slice text, struct options *o)
{
    static const char *const modes[] = {"count", "once", "latest"};
    char shown[SHOWN_SIZE];
    for (size_t i = 0; i < COUNT_OF(modes); i++) {
        if (text_equal_nocase(text, modes[i])) o->schema.mode = (uint8_t)(i + 1);
    }
    if (o->schema.mode != 0) return true;
    call_fail(call, TIDE_INVALID, "unknown MODE '%s': count, once or latest",
              call_show(shown, text));
    return false;
}

static bool parse_polarity(struct call *call, struct slice text, struct options *o)
{
    char shown[SHOWN_SIZE];
    o->schema.is_negative = text_equal_nocase(text, "-");
    if (o->schema.is_negative || text_equal_nocase(text, "+")) return true;
    call_fail(call, TIDE_INVALID, "unknown POLARITY '%s': + or -", call_show(shown, text));
    return false;
}

static bool parse_limit(struct call *call, size_t word, struct options *o)
{
    uint64_t v = 0;
    if (!call_u64(call, word, "LIMIT", UINT64_MAX, &v)) return false;
    if (v == 0 || v > RETRIEVE_LIMIT_MAX) {
        call_fail(call, TIDE_LIMIT, "LIMIT %llu is outside of 1 .. %d", (unsigned long long)v,
                  RETRIEVE_LIMIT_MAX);
        return false;
    }
    o->limit = (uint32_t)v;
    return true;
}

static bool parse_cursor(struct call *call, struct slice cursor, struct options *o)
{
    if (cursor.size == 0) {
        call_fail(call, TIDE_INVALID, "CURSOR is empty: leave it out for the first page");
        return false;
    }
    o->cursor = cursor;
    return true;
}

static bool parse_where(struct call *call, struct slice where, struct options *o)
{
    if (where.size == 0) {
        call_fail(call, TIDE_INVALID, "WHERE is empty: leave it out for all items");
        return false;
    }
    o->where = where;
    return true;
}

/* EXCLUDE n key ... and UNSET n field ...: the options with as many words as they say. */
static bool parse_list(struct call *call, enum option option, size_t word, const struct slice **out,
                       size_t *out_count, size_t *used)
{
    char what[24];
    struct text t = text_of(what, sizeof(what));
    text_add(&t, "%s count", rows[option].name);
    uint64_t count = 0;
    if (!call_u64(call, word, what, UINT32_MAX, &count)) return false;
    if (count > call->count - word - 1) {
        call_fail(call, TIDE_INVALID, "%s %llu is followed by %zu words", rows[option].name,
                  (unsigned long long)count, call->count - word - 1);
        return false;
    }
    *out = call->words + word + 1;
    *out_count = (size_t)count;
    *used += (size_t)count;
    return true;
}

static bool parse_creator(struct call *call, struct slice creator, struct options *o)
{
    if (creator.size == 0) {
        call_fail(call, TIDE_LIMIT,
                  "CREATOR is empty: an item keeps its creator until it gets "
                  "another");
        return false;
    }
    o->creator = creator;
    return true;
}

/* The value of one option; `word` is the index of its first word. */
static bool parse_value(struct call *call, enum option option, size_t word, struct options *o,
                        size_t *used)
{
    struct slice value = word < call->count ? call->words[word] : slice_of(NULL, 0);
    switch (option) {
    case OPTION_W: return options_weight(call, value, &o->weight);
    case OPTION_AT: return parse_time(call, option, value, &o->at_ms);
    case OPTION_NOW: return parse_time(call, option, value, &o->now_ms);
    case OPTION_USER: return parse_user(call, value, o);
    case OPTION_KEY: return parse_key(call, value, o);
    case OPTION_PRODUCER: return parse_producer(call, word, o);
    case OPTION_LEVEL: return options_take_level(call, value, o);
    case OPTION_DEADLINE: return options_take_deadline(call, word, o);
    case OPTION_ONMISS: return options_take_miss(call, value, o);
    case OPTION_WITHLEVEL: o->has_level = true; return true;
    case OPTION_AFTER: return options_take_after(call, value, o);
    case OPTION_MAXSTALE: return options_take_stale(call, word, o);
    case OPTION_READ: return options_take_read(call, value, o);
    case OPTION_LIMIT: return parse_limit(call, word, o);
    case OPTION_EXCLUDE:
        return parse_list(call, option, word, &o->excludes, &o->exclude_count, used);
    case OPTION_UNSET: return parse_list(call, option, word, &o->unsets, &o->unset_count, used);
    case OPTION_CREATOR: return parse_creator(call, value, o);
    case OPTION_CURSOR: return parse_cursor(call, value, o);
    case OPTION_WHERE: return parse_where(call, value, o);
    case OPTION_EXPLAIN: o->is_explain = true; return true;
    case OPTION_HALFLIFE: return parse_halflife(call, value, o);
    case OPTION_WINDOWS: return parse_windows(call, value, o);
    case OPTION_MODE: return parse_mode(call, value, o);
    case OPTION_POLARITY: return parse_polarity(call, value, o);
    case OPTION_SESSION:
    case OPTION_MAXPER:
    case OPTION_MMR:
    case OPTION_EXPLORE:
    case OPTION_SEED: return fail_not_built(call, option);
    case OPTION_COUNT: break;
    }
    UNREACHABLE();
}

/* The option at this word with its values; *used: how many words that takes. */
static bool take_option(struct call *call, enum option option, size_t word, struct options *o,
                        size_t *used)
{
    if (options_have(o, option)) {
        call_fail(call, TIDE_INVALID, "option %s is given twice", rows[option].name);
        return false;
    }
    *used = 1u + rows[option].value_count;
    if (call->count - word < *used) {
        call_fail(call, TIDE_INVALID, "option %s needs %s", rows[option].name,
                  rows[option].value_count == 1 ? "a value" : "two values");
        return false;
    }
    if (!parse_value(call, option, word + 1, o, used)) return false;
    o->given |= OPTION_BIT(option);
    return true;
}

bool options_parse(struct call *call, size_t first, uint32_t allowed, struct options *out)
{
    *out = (struct options){.given = 0};
    size_t used = 0;
    for (size_t word = first; word < call->count; word += used) {
        enum option option = find_option(call->words[word]);
        if (option == OPTION_COUNT || (allowed & OPTION_BIT(option)) == 0) {
            fail_unknown(call, call->words[word], allowed);
            return false;
        }
        if (!take_option(call, option, word, out, &used)) return false;
    }
    return true;
}

bool options_parse_first(struct call *call, size_t first, uint32_t allowed, struct options *out,
                         size_t *out_next)
{
    *out = (struct options){.given = 0};
    size_t used = 0;
    size_t word = first;
    for (; word < call->count; word += used) {
        enum option option = find_option(call->words[word]);
        if (option == OPTION_COUNT || (allowed & OPTION_BIT(option)) == 0) break;
        if (!take_option(call, option, word, out, &used)) return false;
    }
    bool is_marked = word < call->count && text_equal_nocase(call->words[word], "FIELDS");
    *out_next = is_marked ? word + 1 : word;
    return true;
}

const struct tide_write_options *options_write(const struct options *o)
{
    uint32_t wanted = OPTIONS_OF_WRITES & ~OPTION_BIT(OPTION_WITHLEVEL);
    return (o->given & wanted) != 0 ? &o->write : NULL;
}
