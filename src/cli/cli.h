/* cli: what the verbs of the program share: exit codes, exact long options, and how a failure is
 * told. A verb is a row of the table in main.c; its options are a table in its own file, from which
 * parsing, --help and the nearest match for a mistyped word are made.
 *
 * Rules for every verb: the answer goes to stdout, everything else to stderr; a failure is one
 * sentence that says what to do; colour and progress appear on a terminal only.
 */
#ifndef TIDEMARK_CLI_CLI_H
#define TIDEMARK_CLI_CLI_H

#include <stdio.h>

#include "base/error.h"
#include "base/types.h"

enum cli_exit {
    CLI_DONE = 0,
    CLI_FAILED = 1,
    CLI_USAGE = 2,
    CLI_DAMAGE = 3,  /* damage found in the data */
    CLI_REFUSED = 4, /* refused for safety */
    CLI_STORAGE = 5, /* the disk failed */
};

/* One long option. Names are exact: no abbreviation is taken. */
struct cli_option {
    const char *name;  /* "http-port", without the dashes */
    const char *value; /* what its value is called in the help, "HOST:PORT"; NULL: a switch */
    const char *help;  /* NULL: known, but not shown */
};
#define CLI_OPTIONS_MAX    80
#define CLI_POSITIONAL_MAX 4

/* What the command line said. values[i] belongs to options[i]: its text, "" for a switch that is
 * on, NULL when it was not given. */
struct cli_args {
    const char *verb; /* "tidemark log inspect": for messages */
    const char *values[CLI_OPTIONS_MAX];
    const char *positional[CLI_POSITIONAL_MAX];
    size_t positional_count;
};

struct cli_verb {
    const char *name;
    const char *positional; /* "[FILE|-]"; "" when there are none */
    const char *summary;    /* one line, for the list of verbs */
    const char *help;       /* paragraphs after the options; NULL: none */
    const struct cli_option *options;
    size_t option_count;
    size_t positional_min;
    size_t positional_max;
    int (*run)(const struct cli_args *args); /* returns enum cli_exit */
    const struct cli_verb *children;         /* `log verify` is a child of `log`; then no run */
    size_t child_count;
    /* Neither run nor children: the verb is not in this version. */
};

/* Find the verb that the words name below root, parse its options and run it. Answers --help and
 * refuses what the tables do not know. words excludes the program's own name. */
int cli_main(const struct cli_verb *root, size_t word_count, char *const *words);

/* Parse the words of one verb. Returns CLI_DONE, or CLI_USAGE after saying why on stderr. */
MUST_CHECK int cli_parse(const struct cli_verb *verb, size_t word_count, char *const *words,
                         struct cli_args *out);

/* "tidemark import: <sentence>" on stderr; verb is args->verb. */
void cli_error(const char *verb, const char *format, ...) PRINTF_LIKE(2, 3);
/* The same from an err, then the exit code that its class stands for. */
int cli_failure(const char *verb, const struct err *e);
int cli_exit_of(enum code code);
/* Parse the value of a numeric option; false after saying why on stderr. text NULL leaves *out. */
MUST_CHECK bool cli_u64(const char *verb, const char *option, const char *text, uint64_t min,
                        uint64_t max, uint64_t *out);

/* Bold, dim, red and green when the stream is a terminal and NO_COLOR is not set; else "". */
struct cli_paint {
    const char *bold;
    const char *dim;
    const char *good;
    const char *bad;
    const char *off;
};
const struct cli_paint *cli_paint_of(FILE *stream);

/* Text as the inside of a JSON string. Bytes that are no UTF-8 become U+FFFD. */
void cli_json_text(FILE *to, struct slice text);
/* 1234567 -> "1,234,567". */
#define CLI_COUNT_SIZE 32
const char *cli_count(uint64_t v, char out[CLI_COUNT_SIZE]);
/* 1536 -> "1.5 KiB". */
const char *cli_size(uint64_t bytes, char out[CLI_COUNT_SIZE]);
/* "850 ms", "12.3 s", "5 min", "7 h", "3 d". */
const char *cli_duration(uint64_t ms, char out[CLI_COUNT_SIZE]);
/* When a slot is lost, in seconds as a node writes them; "-": not in sight, or months away. */
const char *cli_until_lost(struct slice seconds, char out[CLI_COUNT_SIZE]);

/* Memory of the command line; ends the program with a sentence when there is none. Sizes are given
 * back at cli_put, so nothing else frees it. */
void *cli_take(size_t size);
void cli_put(void *p, size_t size);

#endif
