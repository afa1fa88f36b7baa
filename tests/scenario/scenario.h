/* scenario: a story in plain text, told to the real engine in the simulated world. Lines that begin
 * with "=>" are what happened, as the nodes' own events say it; all others are commands, comments
 * (#) or empty. See scenario.c for the commands.
 *
 * One seed, no faults but those of the text: the same text gives the same lines. Owner: one thread.
 */
#ifndef TIDEMARK_TESTS_SCENARIO_H
#define TIDEMARK_TESTS_SCENARIO_H

#include <stdio.h>

#include "sim/cluster.h"

#define SCENARIO_WORDS_MAX 12u

struct scenario {
    struct cluster *cluster; /* NULL until the first line that is a command: "nodes ..." */
    FILE *out;               /* what the text should be */
    char *words[SCENARIO_WORDS_MAX];
    uint32_t word_count;
    bool is_answered; /* the operation that a command asked for */
};

/* Carry the command in `words` out. False: it is not understood. */
bool scenario_command(struct scenario *s);
/* One line of what happened. */
void scenario_say(struct scenario *s, const char *text);

#endif
