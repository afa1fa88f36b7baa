/* openmetrics: see openmetrics.h. */
#include "server/openmetrics.h"

#include "base/text.h"

#define NAME_SIZE_MAX 128

/* The weight that a header gives to a type, in thousandths; 0: it is not named, or refused. */
static uint32_t weight_of(const char *accept, const char *type)
{
    const char *at = strstr(accept, type);
    if (at == NULL) return 0;
    size_t size = strcspn(at, ",");
    const char *q = strstr(at, "q=");
    double v = 1;
    if (q == NULL || q >= at + size) return 1000;
    struct slice digits = slice_of(q + 2, strspn(q + 2, "0123456789."));
    if (!parse_f64(digits, &v) || v < 0 || v > 1) return 0;
    return (uint32_t)(v * 1000);
}

bool openmetrics_is_wanted(const char *accept)
{
    if (accept == NULL) return false;
    uint32_t weight = weight_of(accept, "application/openmetrics-text");
    return weight > 0 && weight >= weight_of(accept, "text/plain");
}

static bool ends_with(struct slice s, const char *ending)
{
    size_t size = strlen(ending);
    return s.size >= size && memcmp(s.data + s.size - size, ending, size) == 0;
}

static void add(struct out *o, struct slice s)
{
    out_bytes(o, s.data, s.size);
}

/* "# HELP name words" or "# TYPE name type": the name of a counter loses its _total. After the
 * type comes the unit, when the name says one. */
static void add_head(struct out *o, struct slice line, bool is_counter)
{
    struct slice word = slice_of(line.data, 7); /* "# HELP " */
    const uint8_t *name_end = memchr(line.data + 7, ' ', line.size - 7);
    if (name_end == NULL) return;
    struct slice name = slice_of(line.data + 7, (size_t)(name_end - line.data) - 7);
    struct slice rest = slice_of(name_end, line.size - 7 - name.size);
    if (is_counter && ends_with(name, "_total")) name.size -= strlen("_total");
    add(o, word);
    add(o, name);
    add(o, rest);
    out_text(o, "\n");
    if (word.data[2] != 'T') return;
    const char *unit = ends_with(name, "_seconds") ? "seconds" : "bytes";
    if (!ends_with(name, unit)) return;
    out_text(o, "# UNIT ");
    add(o, name);
    out_format(o, " %s\n", unit);
}

/* A value as it is, but for a bound that is written as an integer. */
static void add_value(struct out *o, struct slice line)
{
    static const char le[] = "le=\"";
    const uint8_t *end = line.data + line.size;
    const uint8_t *at = memmem(line.data, line.size, le, strlen(le));
    const uint8_t *quote =
        at != NULL ? memchr(at + strlen(le), '"', (size_t)(end - at) - strlen(le)) : NULL;
    if (quote == NULL) {
        add(o, line);
        out_text(o, "\n");
        return;
    }
    struct slice bound = slice_of(at + strlen(le), (size_t)(quote - at) - strlen(le));
    uint64_t integer = 0;
    add(o, slice_of(line.data, (size_t)(quote - line.data)));
    if (parse_u64(bound, &integer)) out_text(o, ".0");
    add(o, slice_of(quote, (size_t)(end - quote)));
    out_text(o, "\n");
}

static struct slice next_line(struct slice *text)
{
    const uint8_t *end = memchr(text->data, '\n', text->size);
    size_t size = end != NULL ? (size_t)(end - text->data) : text->size;
    struct slice line = slice_of(text->data, size);
    size_t taken = end != NULL ? size + 1 : size;
    *text = slice_of(text->data + taken, text->size - taken);
    return line;
}

/* HELP comes before TYPE, which says whether it is a counter. */
static bool is_counter_ahead(struct slice rest)
{
    return ends_with(next_line(&rest), " counter");
}

void openmetrics_rewrite(struct out *text)
{
    struct out o;
    out_init(&o, text->alloc);
    struct slice rest = slice_of(text->data, text->size);
    bool is_counter = false;
    while (rest.size > 0) {
        struct slice line = next_line(&rest);
        bool is_head = line.size > 7 && line.data[0] == '#';
        if (is_head && line.data[2] == 'H') is_counter = is_counter_ahead(rest);
        if (is_head) {
            add_head(&o, line, is_counter);
        } else {
            add_value(&o, line);
        }
    }
    out_text(&o, "# EOF\n");
    struct out before = *text;
    *text = o;
    out_fini(&before);
}
