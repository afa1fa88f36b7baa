/* logger: what the program says about itself while it runs: one line per event on stderr, as logfmt
 * or JSON. Any thread; a line is written in one piece. */
#ifndef TIDEMARK_SERVER_LOGGER_H
#define TIDEMARK_SERVER_LOGGER_H

#include "base/types.h"
#include "server/server.h"

/* A name with a text or a number; text NULL: the number. */
struct log_field {
    const char *name;
    const char *text;
    uint64_t number;
};

#define LOG_TEXT(n, t) ((struct log_field){.name = (n), .text = (t)})
#define LOG_U64(n, v)  ((struct log_field){.name = (n), .number = (v)})

/* The form of all later lines, and the level below which they are left out. Any thread. */
void logger_set(enum server_log_format format, enum log_level level);

/* message is a short fixed sentence; what varies goes into fields. */
void logger_write(enum log_level level, const char *message, const struct log_field *fields,
                  size_t count);

/* The line's bytes with its newline; returns its size. For tests and logger_write. */
#define LOG_LINE_SIZE_MAX 2048
struct log_line {
    int64_t wall_us;
    enum log_level level;
    const char *message;
    const struct log_field *fields;
    size_t count;
};
size_t logger_format(char out[LOG_LINE_SIZE_MAX], enum server_log_format format,
                     const struct log_line *line);

#define LOG(level, message, ...)                                              \
    logger_write((level), (message), (const struct log_field[]){__VA_ARGS__}, \
                 sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
