/* enum/calls: a life on a real folder (opening, writes, seals, checkpoints, followers, pruning, a
 * restart, closing) in which the n-th call fails, for every n: a system call, with each error that
 * it can give, once or for ever, or cut short; or an allocation. Whatever happens, every run is
 * answered, nothing ends the process, opening again afterwards works, what was acknowledged is
 * there once, what was refused is not there, a group is there wholly or not at all.
 *
 *     calls system|memory [--stride N]
 *
 * The calls are caught by the linker's --wrap, so everything between them and the engine is the
 * product's own. Prints how many calls were failed.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "enum/life.h"

/* --- the n-th call --- */

enum manner { ONCE, THRICE, FOR_EVER };

struct kind {
    const char *name;
    int error; /* 0: the call does half of its work */
    enum manner manner;
};

static struct {
    bool is_armed;  /* counting */
    bool is_memory; /* allocations are meant, else system calls */
    const struct kind *kind;
    uint64_t nth;
    uint64_t calls;
    uint64_t failed;
} fault;

static bool is_hit(bool is_memory)
{
    if (!fault.is_armed || fault.is_memory != is_memory) return false;
    uint64_t call = ++fault.calls;
    if (fault.nth == 0 || call < fault.nth) return false;
    if (fault.kind->manner == ONCE && call > fault.nth) return false;
    if (fault.kind->manner == THRICE && call > fault.nth + 2) return false;
    fault.failed++;
    return true;
}

/* Fails with the fault's error; a short call is only for reads and writes. */
static bool fails(void)
{
    if (fault.kind != NULL && fault.kind->error == 0) return false;
    if (!is_hit(false)) return false;
    errno = fault.kind->error;
    return true;
}

static bool is_short(void)
{
    return fault.kind != NULL && fault.kind->error == 0 && is_hit(false);
}

#define WRAP(type, name, params, args) \
    type __real_##name params;         \
    type __wrap_##name params;         \
    type __wrap_##name params          \
    {                                  \
        if (fails()) return (type)-1;  \
        return __real_##name args;     \
    }
WRAP(int, fdatasync, (int fd), (fd))
WRAP(int, fsync, (int fd), (fd))
WRAP(int, ftruncate, (int fd, off_t size), (fd, size))
WRAP(int, renameat, (int a, const char *b, int c, const char *d), (a, b, c, d))
WRAP(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags))
WRAP(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, fstat, (int fd, struct stat *st), (fd, st))
WRAP(int, fstatat, (int fd, const char *path, struct stat *st, int flags), (fd, path, st, flags))

int __real_openat(int fd, const char *path, int flags, mode_t mode);
int __wrap_openat(int fd, const char *path, int flags, ...);
int __wrap_openat(int fd, const char *path, int flags, ...)
{
    va_list list;
    va_start(list, flags);
    mode_t mode = va_arg(list, mode_t); /* the product always gives one */
    va_end(list);
    return fails() ? -1 : __real_openat(fd, path, flags, mode);
}

ssize_t __real_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset);
ssize_t __wrap_pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    if (fails()) return -1;
    return __real_pwrite(fd, bytes, is_short() ? size / 2 : size, offset);
}

ssize_t __real_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset);
ssize_t __wrap_pread(int fd, void *bytes, size_t size, off_t offset)
{
    if (fails()) return -1;
    return __real_pread(fd, bytes, is_short() && size > 1 ? size / 2 : size, offset);
}

#define WRAP_MEMORY(name, params, args) \
    void *__real_##name params;         \
    void *__wrap_##name params;         \
    void *__wrap_##name params          \
    {                                   \
        if (is_hit(true)) return NULL;  \
        return __real_##name args;      \
    }
WRAP_MEMORY(malloc, (size_t size), (size))
WRAP_MEMORY(calloc, (size_t count, size_t size), (count, size))
WRAP_MEMORY(realloc, (void *p, size_t size), (p, size))
WRAP_MEMORY(reallocarray, (void *p, size_t count, size_t size), (p, count, size))
WRAP_MEMORY(aligned_alloc, (size_t alignment, size_t size), (alignment, size))

/* --- what a client was told --- */

#define WRITES_MAX 64u

enum fate { REFUSED, UNKNOWN, ACKNOWLEDGED };

struct client {
    enum fate fates[WRITES_MAX]; /* of write i: one signal of item w<i>, and of x<i> if i is odd */
    uint32_t count;
};

static char where[160];

static _Noreturn void wrong(const char *what)
{
    fault.is_armed = false;
    fprintf(stderr, "calls: %s: %s\n", where, what);
    exit(1);
}

static void item_name(char out[16], char letter, uint32_t i)
{
    (void)snprintf(out, 16, "%c%u", letter, i);
}

/* --- a node whose calls may fail --- */

struct patient {
    char *dir;
    struct env *files;
    struct env *env;
    struct alloc alloc;
    struct db *db;
};

/* The env is made with no call failing; from db_open on they may. */
static enum code wake(struct patient *p, struct err *e)
{
    struct tide_options options = life_options();
    options.dir = p->dir;
    struct env_uv_options uv = {.size = sizeof(uv), .dir = p->dir, .background_threads = 1};
    fault.is_armed = false;
    if (env_uv_open(&uv, &p->files, e) != OK) wrong(e->text);
    p->env = steps_open_over(p->files);
    alloc_init(&p->alloc, GIB);
    fault.is_armed = true;
    enum code code = db_open(p->env, &p->alloc, &options, &p->db, e);
    if (code == OK) steps_run(p->env);
    if (code != OK && e->text[0] == '\0') wrong("it does not open, and nothing says why");
    return code;
}

static void is_closed(void *arg)
{
    *(bool *)arg = true;
}

static void sleep_well(struct patient *p)
{
    bool is_done = p->db == NULL;
    if (!is_done) p->db->close_deadline_ns = p->env->v->now_mono_ns(p->env) + 5 * NS_PER_S;
    if (!is_done) db_close(p->db, is_closed, &is_done);
    for (uint32_t i = 0; i < 30000 && !is_done; i++) {
        steps_run(p->env);
        steps_advance(p->env, NS_PER_MS);
    }
    if (!is_done) wrong("it does not close");
    bool was_armed = fault.is_armed;
    fault.is_armed = false;
    p->db = NULL;
    steps_close(p->env);
    env_uv_close(p->files);
    fault.is_armed = was_armed;
}

static void answered(tide_run *run, void *arg)
{
    (void)run;
    *(bool *)arg = true;
}

/* Submits; false when the run could not even be made. */
static bool execute(struct patient *p, tide_run *run)
{
    if (tide_run_count(run) == 0) return false;
    bool is_done = false;
    run->callback = answered;
    run->callback_arg = &is_done;
    run->is_submitted = true;
    db_submit(p->db, run);
    steps_run(p->env);
    /* Without memory it may wait for memory, never for another run. */
    for (uint32_t i = 0; i < 200 && !is_done; i++) {
        if (i == 100) fault.is_armed = false;
        steps_advance(p->env, 5 * NS_PER_MS);
    }
    fault.is_armed = true;
    if (!is_done) wrong("a run is not answered");
    return true;
}

static enum fate fate_of(const tide_run *run)
{
    enum fate worst = ACKNOWLEDGED;
    for (size_t i = 0; i < tide_run_count(run); i++) {
        enum tide_code code = tide_run_result(run, i)->code;
        enum fate fate = code == TIDE_OK ? ACKNOWLEDGED : code == TIDE_UNKNOWN ? UNKNOWN : REFUSED;
        if (fate < worst) worst = fate;
    }
    return worst;
}

static void write_one(struct patient *p, struct client *c)
{
    char names[2][16];
    item_name(names[0], 'w', c->count);
    item_name(names[1], 'x', c->count);
    bool is_group = c->count % 2 == 1;
    tide_run *run = tide_run_new();
    bool is_made = run != NULL;
    if (is_made && is_group) is_made = tide_run_begin(run, NULL) >= 0;
    for (uint32_t i = 0; is_made && i < (is_group ? 2u : 1u); i++) {
        struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of(names[i])};
        is_made = tide_run_signal(run, &signal, NULL) >= 0;
    }
    if (is_made && is_group) is_made = tide_run_end(run) >= 0;
    enum fate fate = REFUSED;
    if (is_made && execute(p, run)) fate = fate_of(run);
    tide_run_free(run);
    c->fates[c->count++] = fate;
}

static void ask(struct patient *p, int32_t (*what)(tide_run *run))
{
    tide_run *run = tide_run_new();
    if (run != NULL && what(run) >= 0) (void)execute(p, run);
    tide_run_free(run);
}

static void live(struct patient *p, struct client *c)
{
    for (uint32_t round = 0; round < 3; round++) {
        write_one(p, c);
        write_one(p, c);
        if (round == 1) {
            join_follower(p->db, 1);
            steps_advance(p->env, NS_PER_MS);
        }
        ask(p, tide_run_log_seal);
        write_one(p, c);
        ask(p, tide_run_checkpoint);
        join_follower(p->db, 1);
        steps_advance(p->env, 3 * NS_PER_S);
    }
    ask(p, tide_run_status);
    ask(p, tide_run_metrics);
}

/* --- afterwards --- */

static uint64_t count_of(struct patient *p, char letter, uint32_t i)
{
    char name[16];
    item_name(name, letter, i);
    tide_run *run = tide_run_new();
    (void)tide_run_count_of(run, bytes_of("view"), bytes_of(name), bytes_of("all"));
    (void)execute(p, run);
    fault.is_armed = false;
    const struct tide_result *r = tide_run_result(run, 0);
    if (r->code != TIDE_OK && r->code != TIDE_NOTFOUND) wrong(r->message);
    uint64_t count = r->code == TIDE_OK ? r->as.integer : 0;
    tide_run_free(run);
    return count;
}

static void check(struct patient *p, const struct client *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        uint64_t count = count_of(p, 'w', i);
        if (c->fates[i] == ACKNOWLEDGED && count != 1) wrong("an acknowledged write is missing");
        if (c->fates[i] == REFUSED && count != 0) wrong("a refused write is there");
        if (count > 1) wrong("a write is there twice");
        if (i % 2 == 1 && count_of(p, 'x', i) != count) wrong("a group is there in part");
    }
}

/* One life with the n-th call failing. False: there are not so many calls. */
static bool try_call(const struct kind *kind, uint64_t nth)
{
    (void)snprintf(where, sizeof(where), "%s from call %" PRIu64 " on", kind->name, nth);
    struct patient p = {.dir = tm_dir_make_fast("calls")};
    struct client c = {.count = 0};
    fault.kind = kind;
    fault.nth = nth;
    fault.calls = 0;
    uint64_t failed = fault.failed;
    struct err e = {.code = OK};
    for (uint32_t life = 0; life < 2; life++) {
        if (wake(&p, &e) == OK) live(&p, &c);
        sleep_well(&p);
    }
    fault.kind = NULL;
    fault.nth = 0;
    bool has_failed = fault.failed > failed;
    e = (struct err){.code = OK};
    if (wake(&p, &e) != OK) wrong(e.text);
    fault.is_armed = false;
    check(&p, &c);
    write_one(&p, &c); /* nothing fails any more: fault.nth is 0 */
    if (c.fates[c.count - 1] != ACKNOWLEDGED) wrong("afterwards it takes no writes");
    check(&p, &c);
    sleep_well(&p);
    tm_dir_remove(p.dir);
    return has_failed;
}

int main(int argc, char **argv)
{
    static const struct kind system_kinds[] = {
        {"EIO once", EIO, ONCE},
        {"EIO for ever", EIO, FOR_EVER},
        {"ENOSPC once", ENOSPC, ONCE},
        {"ENOSPC for ever", ENOSPC, FOR_EVER},
        {"EDQUOT for ever", EDQUOT, FOR_EVER},
        {"EINTR three times", EINTR, THRICE},
        {"EAGAIN once", EAGAIN, ONCE},
        {"EMFILE for ever", EMFILE, FOR_EVER},
        {"short once", 0, ONCE},
        {"short for ever", 0, FOR_EVER},
    };
    static const struct kind memory_kinds[] = {
        {"no memory once", ENOMEM, ONCE},
        {"no memory for ever", ENOMEM, FOR_EVER},
    };
    bool is_memory = argc >= 2 && strcmp(argv[1], "memory") == 0;
    bool is_system = argc >= 2 && strcmp(argv[1], "system") == 0;
    uint64_t stride = 1;
    if (argc == 4 && strcmp(argv[2], "--stride") == 0) stride = strtoull(argv[3], NULL, 10);
    if (is_memory == is_system || stride == 0) {
        fprintf(stderr, "usage: enum_calls system|memory [--stride N]\n");
        return 2;
    }
    fault.is_memory = is_memory;
    const struct kind *kinds = is_memory ? memory_kinds : system_kinds;
    size_t count = is_memory ? COUNT_OF(memory_kinds) : COUNT_OF(system_kinds);
    for (size_t i = 0; i < count; i++) {
        uint64_t nth = 1 + i % stride;
        uint64_t tried = 0;
        for (; try_call(&kinds[i], nth); nth += stride)
            tried++;
        printf("calls: %-20s %" PRIu64 " lives, of up to %" PRIu64 " calls\n", kinds[i].name, tried,
               nth);
        if (tried == 0) return 1;
    }
    return 0;
}
