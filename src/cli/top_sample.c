/* top_sample: see top_sample.h. */
#include "cli/top_sample.h"

#include "base/text.h"

#include <inttypes.h>

static const char *const number_names[TOP_NUMBER_COUNT] = {
#define X(constant, name, info, is_rate) name,
    TOP_NUMBERS(X)
#undef X
};
static const char *const info_names[TOP_NUMBER_COUNT] = {
#define X(constant, name, info, is_rate) info,
    TOP_NUMBERS(X)
#undef X
};
static const bool has_rate[TOP_NUMBER_COUNT] = {
#define X(constant, name, info, is_rate) is_rate,
    TOP_NUMBERS(X)
#undef X
};
static const char *const text_names[TOP_TEXT_COUNT] = {
#define X(constant, name) name,
    TOP_TEXTS(X)
#undef X
};
static const char *const follower_names[TOP_FOLLOWER_TEXT_COUNT] = {
#define X(constant, name) name,
    TOP_FOLLOWER_TEXTS(X)
#undef X
};

/* --- taking --- */

static void take_text(const struct resp_value *map, const char *name, char out[TOP_TEXT_SIZE])
{
    struct text t = text_of(out, TOP_TEXT_SIZE);
    const struct resp_value *value = resp_field(map, name);
    if (value == NULL) return;
    if (value->kind == RESP_INTEGER) text_add(&t, "%" PRId64, value->integer);
    if (value->kind == RESP_TEXT) text_add_escaped(&t, value->text, TOP_TEXT_SIZE - 8);
}

/* The number in the middle of "epoch-seqno-chain"; 0: there is none. */
static uint64_t seqno_of_token(const char *token)
{
    uint64_t v = 0;
    const char *start = strchr(token, '-');
    const char *end = start != NULL ? strchr(start + 1, '-') : NULL;
    if (end == NULL || !parse_u64(slice_of(start + 1, (size_t)(end - start) - 1), &v)) return 0;
    return v;
}

static void take_events(struct top_sample *s, const struct resp_value *events)
{
    s->event_count = 0;
    if (events == NULL || events->kind != RESP_ARRAY) return;
    const struct resp_value *row = events + 1;
    for (uint32_t k = 0; k < events->count; k++, row += row->span) {
        const struct resp_value *ms = resp_field(row, "ms_ago");
        if (k + TOP_EVENTS_MAX < events->count || ms == NULL) continue;
        struct top_event *event = &s->events[s->event_count++];
        const struct resp_value *text = resp_field(row, "text");
        struct text t = text_of(event->text, sizeof(event->text));
        (void)cli_duration((uint64_t)ms->integer, event->ago); /* the same buffer */
        take_text(row, "kind", event->kind);
        if (text != NULL && text->kind == RESP_TEXT) {
            text_add_escaped(&t, text->text, sizeof(event->text) - 8);
        }
    }
}

void top_sample_take_status(struct top_sample *s, const struct resp_value *status)
{
    for (size_t i = 0; i < TOP_TEXT_COUNT; i++) {
        take_text(status, text_names[i], s->texts[i]);
    }
    s->numbers[TOP_APPLIED] = seqno_of_token(s->texts[TOP_TEXT_POSITION]);
    s->numbers[TOP_DURABLE] = seqno_of_token(s->texts[TOP_TEXT_DURABLE_TOKEN]);
    const struct resp_value *followers = resp_field(status, "followers");
    take_events(s, resp_field(status, "events"));
    s->follower_count = 0;
    if (followers == NULL || followers->kind != RESP_ARRAY) return;
    s->follower_count = followers->count;
    const struct resp_value *row = followers + 1;
    for (uint32_t k = 0; k < followers->count && k < TOP_FOLLOWERS_MAX; k++, row += row->span) {
        for (size_t i = 0; i < TOP_FOLLOWER_TEXT_COUNT; i++) {
            take_text(row, follower_names[i], s->followers[k].texts[i]);
        }
    }
}

static void take_info_line(struct top_sample *s, struct slice line)
{
    const uint8_t *colon = line.size > 0 ? memchr(line.data, ':', line.size) : NULL;
    if (colon == NULL) return;
    struct slice name = slice_of(line.data, (size_t)(colon - line.data));
    struct slice value = slice_of(colon + 1, line.size - name.size - 1);
    if (value.size > 0 && value.data[value.size - 1] == '\r') value.size--;
    for (size_t i = 0; i < TOP_NUMBER_COUNT; i++) {
        if (info_names[i] == NULL || !slice_equal(name, slice_of_text(info_names[i]))) continue;
        if (!parse_u64(value, &s->numbers[i])) s->numbers[i] = 0;
    }
}

void top_sample_take_info(struct top_sample *s, struct slice info)
{
    while (info.size > 0) {
        const uint8_t *newline = memchr(info.data, '\n', info.size);
        size_t size = newline != NULL ? (size_t)(newline - info.data) : info.size;
        take_info_line(s, slice_of(info.data, size));
        size_t taken = newline != NULL ? size + 1 : size;
        info = slice_of(info.data + taken, info.size - taken);
    }
}

/* --- showing --- */

/* Per second since the sample before; what went back, as after a restart, has none. */
static double rate_of(const struct top_sample *s, const struct top_sample *before,
                      enum top_number number)
{
    if (before == NULL || s->taken_ns <= before->taken_ns) return 0;
    if (s->numbers[number] < before->numbers[number]) return 0;
    double seconds = (double)(s->taken_ns - before->taken_ns) / 1e9;
    return (double)(s->numbers[number] - before->numbers[number]) / seconds;
}

struct shown {
    char text[CLI_COUNT_SIZE];
};

static struct shown count_of(uint64_t v)
{
    struct shown r;
    (void)cli_count(v, r.text);
    return r;
}

static struct shown size_of(uint64_t v)
{
    struct shown r;
    (void)cli_size(v, r.text);
    return r;
}

static struct shown count_rate(const struct top_sample *s, const struct top_sample *before,
                               enum top_number number)
{
    if (before == NULL) return (struct shown){"-"};
    return count_of((uint64_t)(rate_of(s, before, number) + 0.5));
}

static struct shown size_rate(const struct top_sample *s, const struct top_sample *before,
                              enum top_number number)
{
    if (before == NULL) return (struct shown){"-"};
    return size_of((uint64_t)(rate_of(s, before, number) + 0.5));
}

static struct shown duration_of(uint64_t seconds)
{
    struct shown r;
    struct text t = text_of(r.text, sizeof(r.text));
    if (seconds >= 86400) {
        text_add(&t, "%" PRIu64 " d %" PRIu64 " h", seconds / 86400, seconds % 86400 / 3600);
    } else if (seconds >= 3600) {
        text_add(&t, "%" PRIu64 " h %" PRIu64 " min", seconds / 3600, seconds % 3600 / 60);
    } else if (seconds >= 60) {
        text_add(&t, "%" PRIu64 " min %" PRIu64 " s", seconds / 60, seconds % 60);
    } else {
        text_add(&t, "%" PRIu64 " s", seconds);
    }
    return r;
}

static void print_head(const struct top_sample *s, const char *address,
                       const struct cli_paint *paint, FILE *to)
{
    bool is_serving = strcmp(s->texts[TOP_TEXT_STATE], "serving") == 0;
    fprintf(to, "%s%s%s  %s, epoch %s, %s%s%s, up %s  (%s)\n", paint->bold, s->texts[TOP_TEXT_ID],
            paint->off, s->texts[TOP_TEXT_ROLE], s->texts[TOP_TEXT_EPOCH],
            is_serving ? paint->good : paint->bad, s->texts[TOP_TEXT_STATE], paint->off,
            duration_of(s->numbers[TOP_UPTIME_S]).text, address);
    if (s->texts[TOP_TEXT_REASON][0] != '\0') {
        fprintf(to, "reason     %s\n", s->texts[TOP_TEXT_REASON]);
    }
}

/* A field of a follower as people read it; "-": not known. */
static const char *follower_field(const struct top_follower *f, size_t i, char out[TOP_TEXT_SIZE])
{
    const char *text = f->texts[i];
    struct text t = text_of(out, TOP_TEXT_SIZE);
    uint64_t count = 0;
    double seconds = 0;
    bool is_count =
        i == TOP_FOLLOWER_LAG_RECORDS || i == TOP_FOLLOWER_LAG_BYTES || i == TOP_FOLLOWER_APPLIED;
    if (text[0] == '\0') {
        text_add(&t, "-");
    } else if (is_count && parse_u64(slice_of_text(text), &count)) {
        text_add(&t, "%s", count_of(count).text);
    } else if (i == TOP_FOLLOWER_UNTIL_LOST) { /* far away, and infinity: not in sight */
        bool is_near = parse_f64(slice_of_text(text), &seconds) && seconds < 30.0 * 86400;
        text_add(&t, "%s", is_near ? duration_of((uint64_t)seconds).text : "-");
    } else if (i == TOP_FOLLOWER_LAG_SECONDS && parse_f64(slice_of_text(text), &seconds)) {
        text_add(&t, "%.3f", seconds);
    } else {
        text_add(&t, "%s", text);
    }
    return out;
}

static void print_followers(const struct top_sample *s, FILE *to)
{
    static const int widths[TOP_FOLLOWER_TEXT_COUNT] = {-14, -12, 12, 12, 12, 12, 18, -1};
    uint32_t count = s->follower_count < TOP_FOLLOWERS_MAX ? s->follower_count : TOP_FOLLOWERS_MAX;
    if (count == 0) {
        fprintf(to, "followers  none\n");
        return;
    }
    fprintf(to, "followers\n ");
    for (size_t i = 0; i < TOP_FOLLOWER_TEXT_COUNT; i++) {
        fprintf(to, " %*s", widths[i], follower_names[i]);
    }
    for (uint32_t k = 0; k < count; k++) {
        fprintf(to, "\n ");
        for (size_t i = 0; i < TOP_FOLLOWER_TEXT_COUNT; i++) {
            char text[TOP_TEXT_SIZE];
            fprintf(to, " %*s", widths[i], follower_field(&s->followers[k], i, text));
        }
    }
    fprintf(to, "\n");
    if (s->follower_count > count) fprintf(to, "  and %u more\n", s->follower_count - count);
}

static void print_leader(const struct top_sample *s, FILE *to)
{
    double seconds = 0;
    const char *lag = s->texts[TOP_TEXT_LAG_SECONDS];
    fprintf(to, "leader     %s, link %s, ",
            s->texts[TOP_TEXT_LEADER][0] != '\0' ? s->texts[TOP_TEXT_LEADER] : "not reached yet",
            s->texts[TOP_TEXT_LINK]);
    if (parse_f64(slice_of_text(lag), &seconds)) {
        fprintf(to, "at most %.3f s behind\n", seconds);
    } else {
        fprintf(to, "how far behind is not known\n");
    }
}

static void print_events(const struct top_sample *s, FILE *to)
{
    if (s->event_count > 0) fprintf(to, "events\n");
    for (uint32_t k = 0; k < s->event_count; k++) {
        const struct top_event *event = &s->events[k];
        fprintf(to, "  %10s ago  %-12s  %s\n", event->ago, event->kind, event->text);
    }
}

void top_sample_print(const struct top_sample *s, const struct top_sample *before,
                      const char *address, const struct cli_paint *paint, FILE *to)
{
    const uint64_t *n = s->numbers;
    print_head(s, address, paint, to);
    fprintf(to, "position   applied %s, durable %s\n", s->texts[TOP_TEXT_POSITION],
            s->texts[TOP_TEXT_DURABLE_TOKEN]);
    fprintf(to, "records    %s/s durable, %s/s applied, log %s/s\n",
            count_rate(s, before, TOP_DURABLE).text, count_rate(s, before, TOP_APPLIED).text,
            size_rate(s, before, TOP_LOG_BYTES).text);
    fprintf(to, "commands   %s/s, errors %s/s, in %s/s, out %s/s, %s client%s\n",
            count_rate(s, before, TOP_COMMANDS).text, count_rate(s, before, TOP_ERRORS).text,
            size_rate(s, before, TOP_NET_IN).text, size_rate(s, before, TOP_NET_OUT).text,
            count_of(n[TOP_CLIENTS]).text, n[TOP_CLIENTS] == 1 ? "" : "s");
    fprintf(to, "state      %s items, %s of memory\n", count_of(n[TOP_ITEMS]).text,
            size_of(n[TOP_MEMORY]).text);
    fprintf(to, "disk       %s of log in %s segment%s from record %s, ",
            size_of(n[TOP_LOG_BYTES]).text, count_of(n[TOP_LOG_SEGMENTS]).text,
            n[TOP_LOG_SEGMENTS] == 1 ? "" : "s", count_of(n[TOP_OLDEST]).text);
    if (n[TOP_CHECKPOINT] > 0) {
        fprintf(to, "checkpoint at record %s, ", count_of(n[TOP_CHECKPOINT]).text);
    } else {
        fprintf(to, "no checkpoint yet, ");
    }
    fprintf(to, "%s free\n", size_of(n[TOP_DISK_FREE]).text);
    bool is_follower = strcmp(s->texts[TOP_TEXT_ROLE], "follower") == 0;
    if (is_follower) print_leader(s, to);
    if (!is_follower || s->follower_count > 0) print_followers(s, to);
    print_events(s, to);
}

/* --- as JSON --- */

static void json_text(const char *name, const char *value, FILE *to)
{
    fprintf(to, "\"%s\":", name);
    if (value[0] == '\0') {
        fprintf(to, "null");
        return;
    }
    fprintf(to, "\"");
    cli_json_text(to, slice_of_text(value));
    fprintf(to, "\"");
}

/* Numbers that a node tells as text stay numbers; an endless lag is null. */
static void json_number(const char *name, const char *value, FILE *to)
{
    double v = 0;
    bool is_number = parse_f64(slice_of_text(value), &v);
    fprintf(to, "\"%s\":%s", name, is_number ? value : "null");
}

static void json_count(const char *name, uint64_t v, FILE *to)
{
    const char *quote = v > (UINT64_C(1) << 53) ? "\"" : "";
    fprintf(to, "\"%s\":%s%" PRIu64 "%s", name, quote, v, quote);
}

static void json_followers(const struct top_sample *s, FILE *to)
{
    fprintf(to, ",\"followers\":[");
    for (uint32_t k = 0; k < s->follower_count && k < TOP_FOLLOWERS_MAX; k++) {
        const struct top_follower *f = &s->followers[k];
        fprintf(to, "%s{", k > 0 ? "," : "");
        for (size_t i = 0; i < TOP_FOLLOWER_TEXT_COUNT; i++) {
            if (i > 0) fprintf(to, ",");
            bool is_number = i >= TOP_FOLLOWER_LAG_RECORDS && i <= TOP_FOLLOWER_UNTIL_LOST;
            (is_number ? json_number : json_text)(follower_names[i], f->texts[i], to);
        }
        fprintf(to, "}");
    }
    fprintf(to, "]");
}

void top_sample_print_json(const struct top_sample *s, const struct top_sample *before, FILE *to)
{
    fprintf(to, "{\"time_ms\":%" PRId64, s->wall_ms);
    for (size_t i = 0; i < TOP_TEXT_COUNT; i++) {
        fprintf(to, ",");
        bool is_number = i == TOP_TEXT_EPOCH || i == TOP_TEXT_LAG_SECONDS;
        (is_number ? json_number : json_text)(text_names[i], s->texts[i], to);
    }
    for (size_t i = 0; i < TOP_NUMBER_COUNT; i++) {
        fprintf(to, ",");
        json_count(number_names[i], s->numbers[i], to);
    }
    fprintf(to, ",\"per_second\":");
    if (before == NULL) {
        fprintf(to, "null");
    } else {
        const char *separator = "{";
        for (size_t i = 0; i < TOP_NUMBER_COUNT; i++) {
            if (!has_rate[i]) continue;
            char digits[F64_TEXT_SIZE];
            (void)format_f64(digits, rate_of(s, before, (enum top_number)i)); /* ends with NUL */
            fprintf(to, "%s\"%s\":%s", separator, number_names[i], digits);
            separator = ",";
        }
        fprintf(to, "}");
    }
    json_followers(s, to);
    fprintf(to, "}\n");
}
