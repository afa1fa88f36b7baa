/* tm_test: folders, seeds and comparisons for test programs. Not part of the product. */
#include "support/tm_test.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

static _Noreturn void give_up(const char *what, const char *path)
{
    fprintf(stderr, "test support: %s %s: %s\n", what, path, strerror(errno));
    abort();
}

static char *dir_make_in(const char *base, const char *name)
{
    size_t size = 4096;
    char *path = malloc(size);
    if (path == NULL) give_up("malloc for", name);
    int n = snprintf(path, size, "%s/tidemark-%s-XXXXXX", base, name);
    if (n < 0 || (size_t)n >= size) give_up("path too long for", name);
    if (mkdtemp(path) == NULL) give_up("mkdtemp", path);
    return path;
}

char *tm_dir_make(const char *name)
{
    const char *base = getenv("TMPDIR");
    return dir_make_in(base != NULL ? base : "/tmp", name);
}

char *tm_dir_make_fast(const char *name)
{
    bool has_memory = getenv("TMPDIR") == NULL && access("/dev/shm", W_OK | X_OK) == 0;
    return has_memory ? dir_make_in("/dev/shm", name) : tm_dir_make(name);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

void tm_dir_remove(char *path)
{
    if (path == NULL) return;
    const char *keep = getenv("TM_KEEP");
    if (keep != NULL && strcmp(keep, "1") == 0) {
        print_message("kept: %s\n", path);
    } else if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        give_up("remove", path);
    }
    free(path);
}

uint64_t tm_seed(const char *name, uint64_t fallback)
{
    uint64_t seed = fallback;
    const char *text = getenv("TM_SEED");
    if (text != NULL) {
        errno = 0;
        char *end = NULL;
        seed = strtoull(text, &end, 10);
        if (errno != 0 || end == text || *end != '\0') give_up("TM_SEED is no number:", text);
    }
    print_message("%s: seed %" PRIu64 " (repeat with TM_SEED=%" PRIu64 ")\n", name, seed, seed);
    return seed;
}

const char *tm_source_path(const char *relative)
{
    static char path[4096];
    int n = snprintf(path, sizeof(path), "%s/%s", TM_SOURCE_DIR, relative);
    if (n < 0 || (size_t)n >= sizeof(path)) give_up("path too long:", relative);
    return path;
}

void tm_assert_same_double(double a, double b, const char *file, int line)
{
    if (memcmp(&a, &b, sizeof(a)) == 0) return;
    print_error("%.17g is not %.17g\n", a, b);
    _fail(file, line);
}

void tm_assert_near_double(double a, double b, double distance, const char *file, int line)
{
    if (a - b <= distance && b - a <= distance) return;
    print_error("%.17g is not within %g of %.17g\n", a, distance, b);
    _fail(file, line);
}

#if defined(__SANITIZE_THREAD__)
/* libuv closes its sockets by raw system calls that the thread sanitizer does not see: a file that
 * gets the same descriptor in another thread then looks like a race. What libuv itself calls is
 * left out; everything that our callbacks do is watched. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:libuv.so.1\n";
}
#endif
