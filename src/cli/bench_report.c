/* bench_report: see bench_report.h. */
#include "cli/bench_report.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdarg.h>

void bench_report_init(struct bench_report *r, const char *name, bool is_json, FILE *to)
{
    *r = (struct bench_report){.to = to, .is_json = is_json, .name = name};
}

/* Four digits are as much as a measurement is worth. */
static int decimals_of(double value)
{
    double size = value < 0 ? -value : value;
    return size >= 1000 ? 0 : size >= 100 ? 1 : size >= 1 ? 2 : 3;
}

void bench_report_add(struct bench_report *r, const char *key, const char *label, double value,
                      const char *unit)
{
    ASSERT(r->count < BENCH_FIGURES_MAX);
    r->figures[r->count++] = (struct bench_figure){.key = key, .unit = unit, .value = value};
    if (r->is_json) return;
    fprintf(r->to, "%-58s %12.*f %s\n", label, decimals_of(value), value, unit);
    (void)fflush(r->to);
}

void bench_report_note(struct bench_report *r, const char *format, ...)
{
    if (r->is_json) return;
    va_list args;
    va_start(args, format);
    (void)vfprintf(r->to, format, args);
    va_end(args);
    (void)fflush(r->to);
}

/* "/s" and "x" as a part of a name. */
static const char *unit_name(const char *unit)
{
    if (strcmp(unit, "/s") == 0) return "per_second";
    return strcmp(unit, "x") == 0 ? "ratio" : unit;
}

void bench_report_end(struct bench_report *r)
{
    if (!r->is_json) return;
    fprintf(r->to, "{\"bench\":\"%s\"", r->name);
    for (size_t i = 0; i < r->count; i++) {
        const struct bench_figure *f = &r->figures[i];
        char digits[F64_TEXT_SIZE];
        (void)format_f64(digits, f->value); /* ends with NUL */
        fprintf(r->to, ",\"%s_%s\":%s", f->key, unit_name(f->unit), digits);
    }
    fprintf(r->to, "}\n");
}
