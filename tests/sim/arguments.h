/* arguments: the command line of `sim`. Pointers are words of the command line. */
#ifndef TIDEMARK_TESTS_SIM_ARGUMENTS_H
#define TIDEMARK_TESTS_SIM_ARGUMENTS_H

#include "sim/history.h"

struct arguments {
    uint64_t seed;
    uint64_t count;
    uint64_t seconds; /* 0: count decides */
    uint64_t jobs;    /* processes that share the seeds */
    const char *expect;
    const char *seeds_file;
    const char *story; /* NULL: histories from seeds */
    uint64_t bug;      /* look for this planted bug; UINT64_MAX: for all; 0: none */
    bool wants_hash;
    bool wants_all;   /* fail when something declared was never tried */
    bool wants_taken; /* fail when a declared transition was never taken, but for rare ones */
    bool is_for_ever; /* until something fails */
    bool is_shrunk;   /* look for the smallest command after a failure */
    struct history_options history;
};

/* False: not understood; *out_why says what. */
bool arguments_parse(int count, char **words, struct arguments *out, const char **out_why);
void arguments_usage(const char *why);
/* Is `name` one of the comma-separated words? */
bool arguments_has_word(const char *words, const char *name);

#endif
