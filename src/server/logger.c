/* logger: see logger.h. The time is UTC with microseconds; a value that needs quotes gets them, and
 * control characters never reach the terminal as they are. */
#include "server/logger.h"

#include "base/text.h"
#include "server/now.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>

/* Relaxed: a line that is being written while they change may have either. */
static _Atomic int line_format = SERVER_LOG_LOGFMT; /* enum server_log_format */
static _Atomic int level_min = LOG_INFO;            /* enum log_level */

void logger_set(enum server_log_format format, enum log_level level)
{
    atomic_store_explicit(&line_format, (int)format, memory_order_relaxed);
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

static void add_time(struct text *t, int64_t wall_us)
{
    struct now_date d = now_date_of(wall_us / 1000000);
    text_add(t, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ", d.year, d.month, d.day, d.hour, d.minute,
             d.second, (int)(wall_us % 1000000));
}

/* Between quotes, in a form that is right for JSON and for logfmt. */
static void add_quoted(struct text *t, const char *s)
{
    text_add(t, "\"");
    for (; *s != '\0'; s++) {
        unsigned char c = (unsigned char)*s;
        if (c == '"' || c == '\\') {
            text_add(t, "\\%c", c);
        } else if (c < ' ' || c == 0x7f) {
            text_add(t, "\\u%04x", c);
        } else {
            text_add_slice(t, slice_of(s, 1));
        }
    }
    text_add(t, "\"");
}

static bool needs_quotes(const char *s)
{
    if (*s == '\0') return true;
    for (; *s != '\0'; s++) {
        if (*s <= ' ' || *s == '"' || *s == '=' || *s == '\\' || *s == 0x7f) return true;
    }
    return false;
}

static void add_logfmt(struct text *t, const struct log_field *f)
{
    text_add(t, " %s=", f->name);
    if (f->text == NULL) {
        text_add(t, "%" PRIu64, f->number);
    } else if (needs_quotes(f->text)) {
        add_quoted(t, f->text);
    } else {
        text_add(t, "%s", f->text);
    }
}

static void add_json(struct text *t, const struct log_field *f)
{
    text_add(t, ",");
    add_quoted(t, f->name);
    text_add(t, ":");
    if (f->text == NULL) {
        text_add(t, "%" PRIu64, f->number);
    } else {
        add_quoted(t, f->text);
    }
}

size_t logger_format(char out[LOG_LINE_SIZE_MAX], enum server_log_format format,
                     const struct log_line *line)
{
    static const char *const level_names[] = {"info", "warn", "error"};
    enum { END_SIZE = 4 }; /* room for what closes a line that was cut */
    bool is_json = format == SERVER_LOG_JSON;
    struct text t = text_of(out, LOG_LINE_SIZE_MAX - END_SIZE);
    text_add(&t, is_json ? "{\"ts\":\"" : "ts=");
    add_time(&t, line->wall_us);
    text_add(&t,
             is_json ? "\",\"level\":\"%s\",\"msg\":" : " level=%s msg=", level_names[line->level]);
    add_quoted(&t, line->message);
    for (size_t i = 0; i < line->count; i++) {
        size_t size_before = t.size;
        if (is_json) {
            add_json(&t, &line->fields[i]);
        } else {
            add_logfmt(&t, &line->fields[i]);
        }
        if (t.is_cut) {
            t.size = size_before; /* a field is there in whole or not at all */
            break;
        }
    }
    size_t size = t.size;
    if (is_json) out[size++] = '}';
    out[size++] = '\n';
    return size;
}

void logger_write(enum log_level level, const char *message, const struct log_field *fields,
                  size_t count)
{
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed)) return;
    struct log_line line = {
        .wall_us = now_wall_us(),
        .level = level,
        .message = message,
        .fields = fields,
        .count = count,
    };
    char room[LOG_LINE_SIZE_MAX];
    size_t size = logger_format(
        room, (enum server_log_format)atomic_load_explicit(&line_format, memory_order_relaxed),
        &line);
    (void)fwrite(room, 1, size, stderr); /* stderr may be closed; there is nowhere to say so */
}
