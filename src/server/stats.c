/* stats: see stats.h. */
#include "server/stats.h"

#include "base/assert.h"
#include "base/text.h"

#include <inttypes.h>

static const uint64_t bounds_ns[STATS_BUCKETS - 1] = {
    25000,     50000,     100000,     250000,     500000,      1000000,
    2500000,   5000000,   10000000,   25000000,   50000000,    100000000,
    250000000, 500000000, 1000000000, 2500000000, 10000000000,
};

static const char *const outcome_names[STATS_OUTCOMES] = {
    [TIDE_CLASS_NONE] = "ok",     [TIDE_CLASS_CALLER] = "caller",
    [TIDE_CLASS_RETRY] = "retry", [TIDE_CLASS_UNKNOWN] = "unknown",
    [TIDE_CLASS_WORLD] = "world", [TIDE_CLASS_CORRUPTION] = "corruption",
};

size_t stats_bucket(uint64_t duration_ns)
{
    size_t i = 0;
    while (i < COUNT_OF(bounds_ns) && duration_ns > bounds_ns[i]) {
        i++;
    }
    return i;
}

void stats_command_done(struct stats *s, size_t command, enum tide_code code, size_t bucket,
                        uint64_t duration_ns)
{
    ASSERT(command < STATS_COMMANDS_MAX);
    struct stats_command *c = &s->commands[command];
    size_t outcome = code == TIDE_OK ? 0 : (size_t)tide_code_class(code);
    ASSERT(outcome < STATS_OUTCOMES);
    stats_add(&c->outcomes[outcome], 1);
    stats_add(&c->buckets[bucket], 1);
    stats_add(&c->sum_ns, duration_ns);
    stats_add(&s->commands_done, 1);
    if (outcome > 0) stats_add(&s->errors, 1);
}

uint64_t stats_calls(const struct stats *s, size_t command)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < STATS_OUTCOMES; i++) {
        sum += stats_get(&s->commands[command].outcomes[i]);
    }
    return sum;
}

static void write_totals(const struct stats *s, struct out *o, const char *const *labels,
                         size_t count)
{
    out_text(o, "# HELP tidemark_commands_total Commands answered, by the class of their outcome.\n"
                "# TYPE tidemark_commands_total counter\n");
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < STATS_OUTCOMES; k++) {
            uint64_t v = stats_get(&s->commands[i].outcomes[k]);
            if (v == 0 && (k > 0 || stats_calls(s, i) == 0)) continue;
            out_format(o, "tidemark_commands_total{command=\"%s\",outcome=\"%s\"} %" PRIu64 "\n",
                       labels[i], outcome_names[k], v);
        }
    }
}

static void write_seconds(struct out *o, double v)
{
    char text[F64_TEXT_SIZE];
    out_bytes(o, text, format_f64(text, v));
}

static const char seconds_name[] = "tidemark_command_seconds";

static void write_histogram(const struct stats_command *c, struct out *o, const char *label)
{
    uint64_t count = 0;
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        count += stats_get(&c->buckets[i]);
        out_format(o, "%s_bucket{command=\"%s\",le=\"", seconds_name, label);
        if (i < COUNT_OF(bounds_ns)) {
            write_seconds(o, (double)bounds_ns[i] / 1e9);
        } else {
            out_text(o, "+Inf");
        }
        out_format(o, "\"} %" PRIu64 "\n", count);
    }
    out_format(o, "%s_sum{command=\"%s\"} ", seconds_name, label);
    write_seconds(o, (double)stats_get(&c->sum_ns) / 1e9);
    out_format(o, "\n%s_count{command=\"%s\"} %" PRIu64 "\n", seconds_name, label, count);
}

void stats_write_metrics(const struct stats *s, struct out *o, const char *const *labels,
                         size_t count)
{
    write_totals(s, o, labels, count);
    out_text(o, "# HELP tidemark_command_seconds Time from reading a command to its reply.\n"
                "# TYPE tidemark_command_seconds histogram\n");
    for (size_t i = 0; i < count; i++) {
        if (stats_calls(s, i) > 0) write_histogram(&s->commands[i], o, labels[i]);
    }
    out_format(o,
               "# HELP tidemark_connections Client connections open now.\n"
               "# TYPE tidemark_connections gauge\n"
               "tidemark_connections %" PRIu64 "\n",
               stats_get(&s->connections));
    out_format(o,
               "# HELP tidemark_build_info Version of the program and of the files it writes.\n"
               "# TYPE tidemark_build_info gauge\n"
               "tidemark_build_info{version=\"%s\",format=\"%" PRIu32 "\"} 1\n",
               tide_version(), tide_format_version());
}
