/* env_support: what the tests of the real env share. They use a real loop, real files below a fresh
 * folder and loopback sockets on ports that the system picks, because that is what they are about.
 */
#ifndef TIDEMARK_TESTS_UNIT_ENV_ENV_SUPPORT_H
#define TIDEMARK_TESTS_UNIT_ENV_ENV_SUPPORT_H

#include "support/tm_test.h"

#include "env/env.h"

/* An env on dir (NULL: without files), or the end of the test with the reason. */
static inline struct env *open_env_with(const char *dir, uint32_t background_threads)
{
    struct env_uv_options options = {
        .size = sizeof(options), .dir = dir, .background_threads = background_threads};
    struct env *env = NULL;
    struct err e;
    if (env_uv_open(&options, &env, &e) != OK) fail_msg("%s", e.text);
    return env;
}
static inline struct env *open_env(const char *dir)
{
    return open_env_with(dir, 0);
}

/* The code is the one expected and the text contains every given part, up to NULL. */
#define assert_error(code, expected, e, ...) \
    check_error((code), (expected), (e), (const char *const[]){__VA_ARGS__, NULL})
static inline void check_error(enum code code, enum code expected, const struct err *e,
                               const char *const *parts)
{
    if (code != expected)
        fail_msg("%s instead of %s: %s", code_name(code), code_name(expected), e->text);
    assert_int_equal(e->code, expected);
    for (; *parts != NULL; parts++) {
        if (strstr(e->text, *parts) == NULL) fail_msg("'%s' is not in: %s", *parts, e->text);
    }
}

/* A call that must succeed; on failure its text is printed. e must be in scope. */
#define assert_ok(call)                                      \
    do {                                                     \
        if ((call) != OK) fail_msg("%s: %s", #call, e.text); \
    } while (0)

#endif
