/* tm_test: what every test program includes. cmocka in the one order that it accepts, a fresh
 * folder per test that carries the test's name, and a seed that is printed before it is used.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_TM_TEST_H
#define TIDEMARK_TESTS_SUPPORT_TM_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* Make an empty folder whose name contains `name` and return its path: given, end it with
 * tm_dir_remove. Ends the program when the world does not allow it. TMPDIR is honoured. */
char *tm_dir_make(const char *name);

/* The same in memory where the machine has such a place: for tests in which no sync matters. */
char *tm_dir_make_fast(const char *name);

/* Remove the folder with everything in it and free the path. NULL is allowed. With
 * TM_KEEP=1 in the environment the folder stays and its path is printed. */
void tm_dir_remove(char *path);

/* The seed of a random test, printed first. TM_SEED=n in the environment repeats a run; without
 * it the seed is `fallback`, so that an ordinary run is the same every time. */
uint64_t tm_seed(const char *name, uint64_t fallback);

/* Path of a file of the repository, e.g. tm_source_path("tests/golden/x.bin"). The answer stays
 * valid until the next call. */
const char *tm_source_path(const char *relative);

/* Bit-exact comparison of doubles; cmocka compares floats with a tolerance. */
#define assert_same_double(a, b) tm_assert_same_double((a), (b), __FILE__, __LINE__)
void tm_assert_same_double(double a, double b, const char *file, int line);
/* Within `distance` of each other, as doubles. */
#define assert_near_double(a, b, distance) \
    tm_assert_near_double((a), (b), (distance), __FILE__, __LINE__)
void tm_assert_near_double(double a, double b, double distance, const char *file, int line);

#endif
