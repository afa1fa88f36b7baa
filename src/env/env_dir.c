/* env_dir: names below the data directory: the directory itself, its lock, lists, renames.
 *
 * Every name is resolved from a descriptor of the directory, one component at a time, and no
 * symbolic link is followed on the way: whoever could plant one below a directory that only we may
 * write to has won already, but a link made by mistake must not lead writes elsewhere. The data
 * directory itself may be reached through links, that is the administrator's choice.
 *
 * Never deletes or repairs on its own. Nothing is created in a directory that is refused.
 *
 * The lock is flock on the file "lock", so the kernel gives it back when the process dies, however
 * it dies; the pid in the file is for the message only. On NFS the server keeps the lock: two
 * machines exclude each other as well as the server does, and describe() says so.
 */
#include "env/env_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/assert.h"

#define PATH_SIZE_MAX    200 /* below the directory; ours are below 100 */
#define LOCK_NAME        "lock"
#define CIFS_MAGIC       0xff534d42
#define LIST_COUNT_FIRST 64

struct os_error os_error_of(int error)
{
    struct os_error os = {.code = E_IO};
    const char *advice = "";
    switch (error) {
    case ENOENT: os.code = E_NOTFOUND; break;
    case EEXIST: os.code = E_EXISTS; break;
    case ENOMEM: os.code = E_NOMEMORY; break;
    case ENOSPC:
    case EDQUOT: os.code = E_DISKFULL; break;
    case EFBIG: /* like a quota: nothing is damaged, but the file cannot grow */
        os.code = E_DISKFULL;
        advice = " (see ulimit -f and the largest file that the file system allows)";
        break;
    case ELOOP: advice = " (a symbolic link is refused here)"; break;
    case ENOTDIR: advice = " (or a symbolic link, which is refused here)"; break;
    case EMFILE: advice = " (raise ulimit -n)"; break;
    default: break;
    }
    char text[96];
    (void)snprintf(os.text, sizeof(os.text), "%s%s", strerror_r(error, text, sizeof(text)), advice);
    return os;
}

static enum code need_dir(const struct env_uv *u, struct err *e)
{
    if (u->dir_fd >= 0) return OK;
    return ERR(e, E_INVALID, "no data directory was opened");
}

static bool is_path_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

/* "." or components of [A-Za-z0-9._-] joined by '/', none of them empty, "." or "..". */
static bool is_path(const char *path)
{
    if (strcmp(path, ".") == 0) return true;
    if (strnlen(path, PATH_SIZE_MAX + 1) > PATH_SIZE_MAX) return false;
    const char *at = path;
    for (;;) {
        size_t size = 0;
        while (is_path_byte(at[size])) {
            size++;
        }
        bool is_dots = at[0] == '.' && (size == 1 || (size == 2 && at[1] == '.'));
        if (size == 0 || is_dots) return false;
        at += size;
        if (*at == '\0') return true;
        if (*at != '/') return false;
        at++;
    }
}

/* Where a path ends: a descriptor of the directory that holds its last component. */
struct place {
    int fd;
    bool is_ours; /* to be closed here */
    const char *name;
};

static void place_close(struct place *place)
{
    if (place->is_ours) (void)close(place->fd); /* opened with O_PATH: nothing can be lost */
}

static enum code place_open(struct env_uv *u, const char *path, struct place *out, struct err *e)
{
    TRY(need_dir(u, e));
    if (!is_path(path)) return ERR(e, E_INVALID, "not a path below a data directory: '%s'", path);
    struct place place = {.fd = u->dir_fd, .name = path};
    const char *slash;
    while ((slash = strchr(place.name, '/')) != NULL) {
        char component[PATH_SIZE_MAX + 1];
        size_t size = (size_t)(slash - place.name);
        memcpy(component, place.name, size);
        component[size] = '\0';
        int fd = openat(place.fd, component, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0) {
            struct os_error os = os_error_of(errno);
            place_close(&place);
            return ERR(e, os.code, "cannot enter %s of %s/%s: %s", component, u->dir, path,
                       os.text);
        }
        place_close(&place);
        place = (struct place){.fd = fd, .is_ours = true, .name = slash + 1};
    }
    *out = place;
    return OK;
}

enum code dir_openat(struct env_uv *u, const char *path, int flags, int *out_fd, struct err *e)
{
    struct place place = {.fd = -1, .name = ""};
    TRY(place_open(u, path, &place, e));
    int fd;
    do { /* O_NONBLOCK: a FIFO in the place of a file must not make open wait */
        fd = openat(place.fd, place.name, flags | O_NOFOLLOW | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
                    0600);
    } while (fd < 0 && errno == EINTR);
    struct os_error os = os_error_of(errno);
    place_close(&place);
    if (fd < 0) return ERR(e, os.code, "cannot open %s/%s: %s", u->dir, path, os.text);
    *out_fd = fd;
    return OK;
}

/* Make dir's entry in its parent durable. The parent may forbid reading: then a crash may take the
 * new directory back, which is empty still. */
static enum code sync_parent(const char *dir, int dir_fd, struct err *e)
{
    int fd = openat(dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return OK;
    int status = fsync(fd);
    struct os_error os = os_error_of(errno);
    (void)close(fd); /* read-only */
    if (status == 0) return OK;
    return ERR(e, E_IO, "data directory %s: cannot sync its parent: %s", dir, os.text);
}

/* What rights forbid is the administrator's to change; nothing is wrong with the disk. */
static enum code refusal_of(int error, const struct os_error *os)
{
    bool is_forbidden = error == EACCES || error == EPERM || error == EROFS;
    return is_forbidden ? E_NOPERM : os->code;
}

static enum code check_dir(const char *dir, int fd, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) {
        struct os_error os = os_error_of(errno);
        return ERR(e, E_IO, "data directory %s: cannot ask for its owner: %s", dir, os.text);
    }
    if (st.st_uid != geteuid()) {
        return ERR(e, E_NOPERM,
                   "data directory %s: belongs to user %u and this process runs as user %u; run it "
                   "as user %u or give the directory to %u with chown -R",
                   dir, st.st_uid, geteuid(), st.st_uid, geteuid());
    }
    if ((st.st_mode & S_IWOTH) != 0) {
        return ERR(e, E_NOPERM,
                   "data directory %s: every user may write to it (mode %04o); chmod 700 it", dir,
                   st.st_mode & 07777u);
    }
    if (faccessat(fd, ".", W_OK | X_OK, AT_EACCESS) != 0 && errno == EACCES) {
        return ERR(e, E_NOPERM,
                   "data directory %s: its owner may not write to it (mode %04o); chmod 700 it",
                   dir, st.st_mode & 07777u);
    }
    return OK;
}

static bool is_on_network(int fd)
{
    struct statfs fs;
    if (fstatfs(fd, &fs) != 0) return false; /* a note in the banner only */
    unsigned long type = (unsigned long)fs.f_type & 0xffffffffu;
    return type == NFS_SUPER_MAGIC || type == SMB_SUPER_MAGIC || type == CIFS_MAGIC;
}

static enum code open_or_make(const char *dir, bool is_existing, int *out_fd, bool *out_is_new,
                              struct err *e)
{
    const int flags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    *out_is_new = false;
    int fd = open(dir, flags);
    if (fd < 0 && errno == ENOENT && is_existing) {
        return ERR(e, E_NOTFOUND, "there is no directory %s", dir);
    }
    if (fd < 0 && errno == ENOENT) {
        if (mkdir(dir, 0700) == 0) {
            *out_is_new = true;
        } else if (errno == ENOENT) {
            return ERR(e, E_NOTFOUND,
                       "data directory %s: its parent does not exist; create that first", dir);
        } else if (errno != EEXIST) {
            int error = errno;
            struct os_error os = os_error_of(error);
            return ERR(e, refusal_of(error, &os),
                       "data directory %s: cannot create it: %s; create it by hand", dir, os.text);
        }
        fd = open(dir, flags);
    }
    if (fd < 0 && errno == ENOTDIR) {
        return ERR(e, E_INVALID, "data directory %s: it is a file; name a directory", dir);
    }
    if (fd < 0) {
        int error = errno;
        struct os_error os = os_error_of(error);
        return ERR(e, refusal_of(error, &os),
                   "data directory %s: cannot open it: %s; see its permissions", dir, os.text);
    }
    *out_fd = fd;
    return OK;
}

enum code dir_open(struct env_uv *u, const char *dir, bool is_existing, struct err *e)
{
    bool is_new = false;
    TRY(open_or_make(dir, is_existing, &u->dir_fd, &is_new,
                     e)); /* dir_close ends it, also on failure */
    TRY(check_dir(dir, u->dir_fd, e));
    if (is_new) TRY(sync_parent(dir, u->dir_fd, e));
    u->dir = strdup(dir);
    if (u->dir == NULL) return ERR(e, E_NOMEMORY, "no memory for the name of %s", dir);
    u->is_remote = is_on_network(u->dir_fd);
    return OK;
}

void dir_close(struct env_uv *u)
{
    if (u->lock_fd >= 0) (void)close(u->lock_fd); /* gives the lock back; the file stays */
    if (u->dir_fd >= 0) (void)close(u->dir_fd);   /* read-only */
    free(u->dir);
    u->lock_fd = -1;
    u->dir_fd = -1;
    u->dir = NULL;
}

enum code dir_rename(struct env *env, const char *from, const char *to, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    struct place source = {.fd = -1, .name = ""};
    TRY(place_open(u, from, &source, e));
    struct place target = {.fd = -1, .name = ""};
    enum code code = place_open(u, to, &target, e);
    if (code != OK) {
        place_close(&source);
        return code;
    }
    int status = renameat(source.fd, source.name, target.fd, target.name);
    struct os_error os = os_error_of(errno);
    place_close(&source);
    place_close(&target);
    if (status == 0) return OK;
    return ERR(e, os.code, "cannot rename %s/%s to %s: %s", u->dir, from, to, os.text);
}

enum code dir_unlink(struct env *env, const char *path, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    struct place place = {.fd = -1, .name = ""};
    TRY(place_open(u, path, &place, e));
    int status = unlinkat(place.fd, place.name, 0);
    struct os_error os = os_error_of(errno);
    place_close(&place);
    if (status == 0) return OK;
    return ERR(e, os.code, "cannot remove %s/%s: %s", u->dir, path, os.text);
}

enum code dir_make(struct env *env, const char *path, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    struct place place = {.fd = -1, .name = ""};
    TRY(place_open(u, path, &place, e));
    int error = mkdirat(place.fd, place.name, 0700) == 0 ? 0 : errno;
    if (error == EEXIST) {
        struct stat st;
        int status = fstatat(place.fd, place.name, &st, AT_SYMLINK_NOFOLLOW);
        if (status == 0) error = S_ISDIR(st.st_mode) ? 0 : ENOTDIR;
    }
    place_close(&place);
    if (error == 0) return OK;
    struct os_error os = os_error_of(error);
    return ERR(e, error == ENOTDIR ? E_IO : os.code, "cannot make directory %s/%s: %s", u->dir,
               path, os.text);
}

enum code dir_sync(struct env *env, const char *path, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    int fd = -1;
    TRY(dir_openat(u, path, O_RDONLY | O_DIRECTORY, &fd, e));
    int status = fsync(fd);
    struct os_error os = os_error_of(errno);
    (void)close(fd); /* read-only: what fsync said stands */
    if (status == 0) return OK;
    return ERR(e, os.code, "cannot sync directory %s/%s: %s", u->dir, path, os.text);
}

struct entries {
    struct env_dirent *items;
    size_t count;
    size_t capacity;
};

/* Add an entry when it is a regular file. False with errno set on failure. */
static bool add_entry(struct entries *entries, int dir_fd, const char *name)
{
    if (strlen(name) >= sizeof(entries->items->name)) return true; /* no name of ours */
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT; /* removed meanwhile */
    }
    if (!S_ISREG(st.st_mode)) return true;
    if (entries->count == entries->capacity) {
        size_t capacity = entries->capacity == 0 ? LIST_COUNT_FIRST : 2 * entries->capacity;
        void *items = reallocarray(entries->items, capacity, sizeof(*entries->items));
        if (items == NULL) return false;
        entries->items = items;
        entries->capacity = capacity;
    }
    struct env_dirent *entry = &entries->items[entries->count++];
    memcpy(entry->name, name, strlen(name) + 1);
    entry->size = (uint64_t)st.st_size;
    return true;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(((const struct env_dirent *)a)->name, ((const struct env_dirent *)b)->name);
}

/* 0 or an errno. */
static int read_entries(DIR *dir, struct entries *entries)
{
    for (;;) {
        errno = 0;
        /* NOLINTNEXTLINE(concurrency-mt-unsafe): no other thread has this DIR */
        const struct dirent *entry = readdir(dir);
        if (entry == NULL) return errno;
        if (!add_entry(entries, dirfd(dir), entry->d_name)) return errno;
    }
}

enum code dir_list(struct env *env, const char *path, struct env_dirent **out, size_t *out_count,
                   struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    int fd = -1;
    TRY(dir_openat(u, path, O_RDONLY | O_DIRECTORY, &fd, e));
    struct entries entries = {0};
    DIR *dir = fdopendir(fd);
    int error = dir != NULL ? read_entries(dir, &entries) : errno;
    if (dir != NULL) {
        (void)closedir(dir); /* closes fd, which is read-only */
    } else {
        (void)close(fd);
    }
    if (error != 0) {
        struct os_error os = os_error_of(error);
        free(entries.items);
        return ERR(e, os.code, "cannot list %s/%s: %s", u->dir, path, os.text);
    }
    if (entries.count > 0) {
        qsort(entries.items, entries.count, sizeof(*entries.items), compare_names);
    }
    *out = entries.items;
    *out_count = entries.count;
    return OK;
}

/* Why the lock is not ours: another process has it, or there are no locks here. */
static enum code refuse_lock(const struct env_uv *u, int fd, int error, struct err *e)
{
    if (error != EWOULDBLOCK) {
        struct os_error os = os_error_of(error);
        return ERR(e, E_IO, "cannot lock %s/%s: %s (the file system must support flock)", u->dir,
                   LOCK_NAME, os.text);
    }
    char text[24] = "";
    ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    long pid = size > 0 ? strtol(text, NULL, 10) : 0;
    if (pid <= 0) { /* between its lock and its write */
        return ERR(e, E_INUSE, "data directory %s: another process uses it; stop that one first",
                   u->dir);
    }
    return ERR(e, E_INUSE, "data directory %s: process %ld uses it; stop that one first", u->dir,
               pid);
}

enum code dir_lock(struct env *env, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT(u->lock_fd < 0);
    int fd = -1;
    TRY(dir_openat(u, LOCK_NAME, O_RDWR | O_CREAT, &fd, e));
    int status;
    do {
        status = flock(fd, LOCK_EX | LOCK_NB);
    } while (status != 0 && errno == EINTR);
    if (status != 0) {
        enum code code = refuse_lock(u, fd, errno, e);
        (void)close(fd); /* nothing was written */
        return code;
    }
    /* For messages only: on a full disk the lock holds without its number. */
    char text[24];
    int size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0) (void)!pwrite(fd, text, (size_t)size, 0);
    u->lock_fd = fd;
    return OK;
}

enum code dir_disk_free(struct env *env, uint64_t *out_bytes, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    TRY(need_dir(u, e));
    struct statvfs fs;
    if (fstatvfs(u->dir_fd, &fs) != 0) {
        struct os_error os = os_error_of(errno);
        return ERR(e, os.code, "cannot ask for the free space of %s: %s", u->dir, os.text);
    }
    *out_bytes = (uint64_t)fs.f_bavail * fs.f_frsize; /* what an ordinary user may still take */
    return OK;
}
