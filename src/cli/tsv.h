/* tsv: one line of tab-separated text to one signal, and back to a reason when it is none.
 *
 *     time_ms  type  item  [weight  [user  [key]]]
 *
 * Pure: no files, no memory of its own. What a line says is checked here as far as it can be
 * without the database, by the same limits, so that a bad line costs no round trip. Trailing
 * fields may be missing or empty; a carriage return before the end of the line is ignored.
 */
#ifndef TIDEMARK_CLI_TSV_H
#define TIDEMARK_CLI_TSV_H

#include "base/text.h"
#include "base/types.h"

#define TSV_LINE_SIZE_MAX (64 * KIB)

/* Plausible event times in milliseconds; see tsv_check_time. */
#define TSV_TIME_MS_MIN INT64_C(100000000000)
#define TSV_TIME_MS_MAX INT64_C(100000000000000)

struct tsv_signal {
    int64_t at_ms;
    struct slice type;
    struct slice item;
    struct slice weight; /* as written, checked to be a number in range; size 0: none, that is 1 */
    struct slice user;   /* size 0: none */
    struct slice key;    /* size 0: none */
};

enum tsv_verdict { TSV_SIGNAL, TSV_BLANK, TSV_BAD };

/* Judge a line without its newline. TSV_SIGNAL fills *out (borrowing the line); TSV_BAD fills
 * reason with words that name the field and the limit. */
enum tsv_verdict tsv_parse(struct slice line, struct tsv_signal *out, struct text *reason);

#endif
