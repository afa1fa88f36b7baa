/* stats: see stats.h. */
#include "server/stats.h"

#include "base/assert.h"
#include "base/metric.h"

#include <inttypes.h>

static const struct metric_bounds bounds = {.count = STATS_BUCKETS - 1,
                                            .upper = {25e-6, 50e-6, 100e-6, 250e-6, 500e-6, 1e-3,
                                                      2.5e-3, 5e-3, 10e-3, 25e-3, 50e-3, 0.1, 0.25,
                                                      0.5, 1, 2.5, 10}};

static const uint64_t bounds_ns[STATS_BUCKETS - 1] = {
    25000,     50000,     100000,     250000,     500000,      1000000,
    2500000,   5000000,   10000000,   25000000,   50000000,    100000000,
    250000000, 500000000, 1000000000, 2500000000, 10000000000,
};
_Static_assert(STATS_BUCKETS - 1 <= METRIC_BUCKETS_MAX, "the buckets fit");

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

/* What one command adds to the text at most: its name and words are short. */
#define ROWS_SIZE (STATS_BUCKETS * 160 + 512)

static void write_outcomes(const struct stats_command *c, struct metric_writer *w,
                           const char *label)
{
    for (size_t k = 0; k < STATS_OUTCOMES; k++) {
        uint64_t v = stats_get(&c->outcomes[k]);
        if (v == 0 && k > 0) continue;
        char labels[128];
        struct text t = text_of(labels, sizeof(labels));
        text_add(&t, "command=\"%s\",outcome=\"%s\"", label, outcome_names[k]);
        metric_u64(w, labels, v);
    }
}

static void write_seconds(const struct stats_command *c, struct metric_writer *w, const char *label)
{
    char labels[96];
    struct text t = text_of(labels, sizeof(labels));
    struct metric_histogram h = {.sum = (double)stats_get(&c->sum_ns) / 1e9};
    for (size_t i = 0; i < STATS_BUCKETS; i++) {
        h.counts[i] = stats_get(&c->buckets[i]);
    }
    text_add(&t, "command=\"%s\"", label);
    metric_histogram_rows(w, labels, &h, &bounds);
}

/* Hand over what was written and begin anew: the text of all commands is long. */
static void pass_on(struct text *t, struct out *o)
{
    ASSERT(!t->is_cut);
    out_bytes(o, t->data, t->size);
    *t = text_of(t->data, t->capacity);
}

void stats_write_metrics(const struct stats *s, struct out *o, const char *const *labels,
                         size_t count)
{
    char room[ROWS_SIZE];
    struct text t = text_of(room, sizeof(room));
    struct metric_writer w;
    metric_writer_init(&w, &t);
    metric_begin(&w, METRIC_COMMANDS);
    for (size_t i = 0; i < count; i++) {
        if (stats_calls(s, i) > 0) write_outcomes(&s->commands[i], &w, labels[i]);
        pass_on(&t, o);
    }
    metric_begin(&w, METRIC_COMMAND_SECONDS);
    for (size_t i = 0; i < count; i++) {
        if (stats_calls(s, i) > 0) write_seconds(&s->commands[i], &w, labels[i]);
        pass_on(&t, o);
    }
    metric_one_u64(&w, METRIC_CONNECTIONS, stats_get(&s->connections));
    char version[64];
    struct text words = text_of(version, sizeof(version));
    text_add(&words, "version=\"%s\",format=\"%" PRIu32 "\"", tide_version(),
             tide_format_version());
    metric_begin(&w, METRIC_BUILD_INFO);
    metric_u64(&w, version, 1);
    pass_on(&t, o);
}
