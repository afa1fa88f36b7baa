/* options: the words behind a command's fixed ones: [W w] [AT ms] [LIMIT n] ... One table knows all
 * options of the interface, also those that are not built yet, so that an option is taken, refused
 * by name or unknown, and never ignored. */
#ifndef TIDEMARK_SERVER_OPTIONS_H
#define TIDEMARK_SERVER_OPTIONS_H

#include "base/types.h"
#include "server/turn.h"
#include "tidemark.h"

struct call;

enum option {
    OPTION_W,
    OPTION_AT,
    OPTION_USER,
    OPTION_SESSION,
    OPTION_KEY,
    OPTION_PRODUCER,
    OPTION_LEVEL,
    OPTION_WITHLEVEL,
    OPTION_DEADLINE,
    OPTION_ONMISS,
    OPTION_AFTER,
    OPTION_MAXSTALE,
    OPTION_READ,
    OPTION_LIMIT,
    OPTION_NOW,
    OPTION_EXCLUDE,
    OPTION_WHERE,
    OPTION_MAXPER,
    OPTION_MMR,
    OPTION_EXPLORE,
    OPTION_SEED,
    OPTION_CURSOR,
    OPTION_EXPLAIN,
    OPTION_HALFLIFE,
    OPTION_WINDOWS,
    OPTION_MODE,
    OPTION_POLARITY,
    OPTION_CREATOR,
    OPTION_UNSET,
    OPTION_COUNT,
};

#define OPTION_BIT(o) (UINT32_C(1) << (o))
/* Every write takes these, every read those. */
#define OPTIONS_OF_LEVELS                                                                    \
    (OPTION_BIT(OPTION_LEVEL) | OPTION_BIT(OPTION_WITHLEVEL) | OPTION_BIT(OPTION_DEADLINE) | \
     OPTION_BIT(OPTION_ONMISS))
#define OPTIONS_OF_WRITES (OPTION_BIT(OPTION_KEY) | OPTION_BIT(OPTION_PRODUCER) | OPTIONS_OF_LEVELS)
#define OPTIONS_OF_READS                                                                \
    (OPTION_BIT(OPTION_AFTER) | OPTION_BIT(OPTION_MAXSTALE) | OPTION_BIT(OPTION_READ) | \
     OPTION_BIT(OPTION_DEADLINE))

/* What was given; `given` has a bit for each. Bytes are borrowed from the call's words. */
struct options {
    uint32_t given;
    bool has_level; /* WITHLEVEL */
    double weight;
    int64_t at_ms;
    int64_t now_ms;
    uint32_t limit;
    bool is_explain;
    struct slice cursor;
    struct slice where;
    struct slice user;
    const struct slice *excludes;
    size_t exclude_count;
    struct slice creator;
    const struct slice *unsets; /* names of fields */
    size_t unset_count;
    struct tide_write_options write;  /* KEY, PRODUCER, LEVEL, DEADLINE, ONMISS */
    struct tide_read_options read;    /* AFTER, MAXSTALE, READ, DEADLINE */
    struct tide_schema_signal schema; /* HALFLIFE, WINDOWS, MODE, POLARITY */
};

static inline bool options_have(const struct options *o, enum option option)
{
    return (o->given & OPTION_BIT(option)) != 0;
}

/* Read the call's words from `first` on. allowed: bits of the options that the command has.
 * False: the error was answered. */
MUST_CHECK bool options_parse(struct call *call, size_t first, uint32_t allowed,
                              struct options *out);

/* The same for words that are followed by others: stops at the first word that is no option of the
 * command, or behind the word FIELDS. *out_next: index of the first word after the options. */
MUST_CHECK bool options_parse_first(struct call *call, size_t first, uint32_t allowed,
                                    struct options *out, size_t *out_next);

/* Options of a write as the database takes them; NULL: none was given. */
const struct tide_write_options *options_write(const struct options *o);
/* Inside MULTI the record is everybody's: a producer's number is refused, and a level must be that
 * of the others. True: the error was answered. */
MUST_CHECK bool options_refuse_in_multi(struct call *call, const struct options *o);

/* options_wait.c: LEVEL, DEADLINE, ONMISS with the value in this word. False: the error was
 * answered. */
MUST_CHECK bool options_take_level(struct call *call, struct slice value, struct options *o);
MUST_CHECK bool options_take_deadline(struct call *call, size_t word, struct options *o);
MUST_CHECK bool options_take_miss(struct call *call, struct slice value, struct options *o);
MUST_CHECK bool options_take_after(struct call *call, struct slice value, struct options *o);
MUST_CHECK bool options_take_stale(struct call *call, size_t word, struct options *o);
MUST_CHECK bool options_take_read(struct call *call, struct slice value, struct options *o);
/* The reply is the read `op`, which waits for what the options say. */
void options_answer_read(struct call *call, int32_t op, const struct options *o,
                         slot_render render);

/* A weight: finite and within 2^53 either way. False: the error was answered. */
MUST_CHECK bool options_weight(struct call *call, struct slice text, double *out);

#endif
