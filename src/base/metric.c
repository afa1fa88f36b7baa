/* metric: see metric.h. */
#include "base/metric.h"

#include <math.h>

#include "base/assert.h"

static const struct metric_info infos[METRIC_COUNT] = {
#define X(constant, name, type, unit, labels, panel, help) \
    [constant] = {name, METRIC_##type, unit, labels, panel, help},
    METRIC_ENGINE_TABLE(X) METRIC_SERVER_TABLE(X)
#undef X
};

const struct metric_info *metric_info(enum metric metric)
{
    ASSERT(metric < METRIC_COUNT);
    return &infos[metric];
}

const char *metric_type_name(enum metric_type type)
{
    switch (type) {
    case METRIC_GAUGE: return "gauge";
    case METRIC_COUNTER: return "counter";
    case METRIC_HISTOGRAM: return "histogram";
    }
    return "untyped";
}

void metric_writer_init(struct metric_writer *w, struct text *t)
{
    *w = (struct metric_writer){.t = t};
}

void metric_begin(struct metric_writer *w, enum metric metric)
{
    const struct metric_info *info = metric_info(metric);
    ASSERT(!w->was_begun[metric]);
    w->was_begun[metric] = true;
    w->current = info;
    text_add(w->t, "# HELP %s %s\n# TYPE %s %s\n", info->name, info->help, info->name,
             metric_type_name(info->type));
}

static void add_f64(struct text *t, double v)
{
    char number[F64_TEXT_SIZE];
    if (isinf(v)) {
        text_add(t, "+Inf");
        return;
    }
    (void)format_f64(number, v); /* length unused: the text is NUL-terminated */
    text_add(t, "%s", number);
}

/* The name with the labels, and the space before the value. */
static void add_series(struct metric_writer *w, const char *ending, const char *labels)
{
    ASSERT(w->current != NULL);
    bool has_labels = labels[0] != '\0';
    text_add(w->t, "%s%s%s%s%s ", w->current->name, ending, has_labels ? "{" : "", labels,
             has_labels ? "}" : "");
}

void metric_u64(struct metric_writer *w, const char *labels, uint64_t v)
{
    add_series(w, "", labels);
    text_add(w->t, "%llu\n", (unsigned long long)v);
}

void metric_f64(struct metric_writer *w, const char *labels, double v)
{
    add_series(w, "", labels);
    add_f64(w->t, v);
    text_add(w->t, "\n");
}

void metric_one_u64(struct metric_writer *w, enum metric metric, uint64_t v)
{
    metric_begin(w, metric);
    metric_u64(w, "", v);
}

void metric_one_f64(struct metric_writer *w, enum metric metric, double v)
{
    metric_begin(w, metric);
    metric_f64(w, "", v);
}

void metric_observe(struct metric_histogram *h, const struct metric_bounds *bounds, double v)
{
    uint32_t i = 0;
    while (i < bounds->count && v > bounds->upper[i]) {
        i++;
    }
    h->counts[i]++;
    h->sum += v;
}

static void add_bucket(struct metric_writer *w, const char *labels, double upper, uint64_t count)
{
    text_add(w->t, "%s_bucket{%s%sle=\"", w->current->name, labels, labels[0] != '\0' ? "," : "");
    add_f64(w->t, upper);
    text_add(w->t, "\"} %llu\n", (unsigned long long)count);
}

void metric_histogram_rows(struct metric_writer *w, const char *labels,
                           const struct metric_histogram *h, const struct metric_bounds *bounds)
{
    uint64_t count = 0;
    ASSERT(bounds->count <= METRIC_BUCKETS_MAX);
    for (uint32_t i = 0; i <= bounds->count; i++) {
        count += h->counts[i];
        add_bucket(w, labels, i < bounds->count ? bounds->upper[i] : (double)INFINITY, count);
    }
    add_series(w, "_sum", labels);
    add_f64(w->t, h->sum);
    text_add(w->t, "\n");
    add_series(w, "_count", labels);
    text_add(w->t, "%llu\n", (unsigned long long)count);
}
