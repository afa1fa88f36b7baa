/* tell: one history or story of the command line, told in this process or in one of its own, and
 * the line that says what failed.
 *
 * A process of its own reports to its parent through a pipe, also when the engine crashes in it, so
 * that a failure can be told again and again while it is made smaller.
 */
#ifndef TIDEMARK_TESTS_SIM_TELL_H
#define TIDEMARK_TESTS_SIM_TELL_H

#include "sim/arguments.h"
#include "sim/taken.h"

#define TELL_CHECK_SIZE 16

/* What one or many histories gave. */
struct tell_sum {
    struct coverage coverage;
    struct taken_sum taken;
    uint64_t failures;
    uint64_t failed_seed; /* of the last failure */
    char failed_check[TELL_CHECK_SIZE];
};

/* Crashes of the engine end the process with a line and a report like any other failure. */
void tell_catch_crashes(const struct arguments *a);
/* Tell one seed here. False: a law was broken, which was said on stdout. */
bool tell(const struct arguments *a, uint64_t seed, struct tell_sum *sum);
/* Tell one seed silently in a process of its own. out_check is "" when all laws held. */
void tell_apart(const struct arguments *a, uint64_t seed, char out_check[TELL_CHECK_SIZE]);
/* Tell all seeds silently in a process of their own, until one fails. */
void tell_all_apart(const struct arguments *a, struct tell_sum *sum);
/* Share count seeds (or seconds) among a->jobs processes. False: some law was broken. */
bool tell_shared(const struct arguments *a, struct tell_sum *sum);

#endif
