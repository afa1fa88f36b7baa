/* host_file: files and directories of the command line, by plain path. */
#include "env/host.h"

#include "base/text.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static enum code fail(struct err *e, const char *what, const char *path)
{
    int reason = errno;
    enum code code = reason == ENOENT || reason == ENOTDIR ? E_NOTFOUND : E_IO;
    if (reason == ENOSPC || reason == EDQUOT) code = E_DISKFULL;
    return ERR(e, code, "cannot %s %s: %s", what, path, host_reason(reason));
}

enum code host_open(const char *path, int *out_fd, struct err *e)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(e, "open", path);
    *out_fd = fd;
    return OK;
}

void host_close(int fd)
{
    if (fd >= 0) (void)close(fd); /* nothing was written that a later call does not check */
}

enum code host_read(int fd, void *out, size_t size, size_t *out_size, struct err *e)
{
    for (;;) {
        ssize_t n = read(fd, out, size);
        if (n >= 0) {
            *out_size = (size_t)n;
            return OK;
        }
        if (errno != EINTR) return ERR(e, E_IO, "cannot read the input: %s", host_reason(errno));
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
    }
}

enum code host_pread(int fd, uint64_t offset, void *out, size_t size, size_t *out_size,
                     struct err *e)
{
    uint8_t *at = out;
    size_t done = 0;
    while (done < size) {
        ssize_t n = pread(fd, at + done, size - done, (off_t)(offset + done));
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) {
            return ERR(e, E_IO, "cannot read at offset %llu: %s",
                       (unsigned long long)(offset + done), host_reason(errno));
        }
        if (n == 0) break;
        done += (size_t)n;
    }
    *out_size = done;
    return OK;
}

enum code host_size(int fd, uint64_t *out, struct err *e)
{
    struct stat st;
    if (fstat(fd, &st) != 0) return ERR(e, E_IO, "cannot stat: %s", host_reason(errno));
    *out = (uint64_t)st.st_size;
    return OK;
}

bool host_is_regular(int fd, uint64_t *out_size)
{
    struct stat st;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) return false;
    *out_size = (uint64_t)st.st_size;
    return true;
}

bool host_is_directory(const char *path)
{
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The process that holds a lock on this inode, by the kernel's table of locks; -1: none. Taking a
 * lock oneself to find out could make a server that starts just now fail. */
static int64_t find_lock_holder(uint64_t device_major, uint64_t device_minor, uint64_t inode,
                                int64_t named_pid)
{
    FILE *table = fopen("/proc/locks", "re");
    if (table == NULL) return -1;
    char line[256];
    int64_t holder = -1;
    /* "1: FLOCK  ADVISORY  WRITE 4242 fe:00:1234 0 EOF" */
    while (holder < 0 && fgets(line, sizeof(line), table) != NULL) {
        long long pid = 0;
        unsigned long long major_found = 0;
        unsigned long long minor_found = 0;
        unsigned long long inode_found = 0;
        /* NOLINTNEXTLINE(cert-err34-c): the kernel writes these numbers */
        if (sscanf(line, "%*d: %*s %*s %*s %lld %llx:%llx:%llu", &pid, &major_found, &minor_found,
                   &inode_found) != 4) {
            continue;
        }
        /* Some file systems show another device here than stat does; the pid decides then. */
        bool is_device = major_found == device_major && minor_found == device_minor;
        if (inode_found == inode && (is_device || pid == named_pid)) holder = pid > 0 ? pid : 0;
    }
    (void)fclose(table); /* read only */
    return holder;
}

bool host_is_locked(const char *path, int64_t *out_pid)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0) return false;
    char text[24] = {0};
    int64_t named_pid = -1;
    if (read(fd, text, sizeof(text) - 1) > 0) {
        struct slice digits = slice_of(text, strcspn(text, "\n"));
        if (!parse_i64(digits, &named_pid)) named_pid = -1;
    }
    int64_t holder = -1;
    if (fstat(fd, &st) == 0) {
        holder = find_lock_holder(major(st.st_dev), minor(st.st_dev), st.st_ino, named_pid);
    }
    host_close(fd);
    *out_pid = holder > 0 ? holder : 0;
    return holder >= 0;
}

enum code host_absolute_path(const char *path, char out[HOST_PATH_SIZE], struct err *e)
{
    char *whole = realpath(path, NULL);
    if (whole == NULL) return fail(e, "find", path);
    int n = snprintf(out, HOST_PATH_SIZE, "%s", whole);
    free(whole);
    if (n < 0 || n >= HOST_PATH_SIZE) return ERR(e, E_LIMIT, "the path of %s is too long", path);
    return OK;
}

enum code host_dir_open(const char *path, struct host_dir **out, struct err *e)
{
    DIR *dir = opendir(path);
    if (dir == NULL) return fail(e, "list", path);
    *out = (struct host_dir *)(void *)dir;
    return OK;
}

const char *host_dir_next(struct host_dir *dir)
{
    for (;;) {
        /* Safe: each stream of entries has one reader. NOLINTNEXTLINE(concurrency-mt-unsafe) */
        const struct dirent *entry = readdir((DIR *)(void *)dir);
        if (entry == NULL) return NULL;
        if (entry->d_type == DT_REG || entry->d_type == DT_UNKNOWN) {
            if (entry->d_name[0] != '.') return entry->d_name;
        }
    }
}

void host_dir_close(struct host_dir *dir)
{
    if (dir != NULL) (void)closedir((DIR *)(void *)dir); /* read only */
}

static const char *temp_parent(void)
{
    const char *parent = host_environment("TMPDIR");
    if (parent != NULL && parent[0] != '\0') return parent;
    return access("/var/tmp", W_OK | X_OK) == 0 ? "/var/tmp" : "/tmp";
}

enum code host_make_temp_dir(const char *parent, const char *prefix, char out[HOST_PATH_SIZE],
                             struct err *e)
{
    if (parent == NULL) parent = temp_parent();
    char path[HOST_PATH_SIZE];
    int n = snprintf(path, sizeof(path), "%s/%s-XXXXXX", parent, prefix);
    if (n < 0 || (size_t)n >= sizeof(path)) {
        return ERR(e, E_LIMIT, "the path of %s is too long", parent);
    }
    if (mkdtemp(path) == NULL) return fail(e, "make a directory in", parent);
    memcpy(out, path, (size_t)n + 1);
    return OK;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    (void)place;
    return remove(path);
}

enum code host_remove_tree(const char *path, struct err *e)
{
    /* The program's main thread only. NOLINTNEXTLINE(concurrency-mt-unsafe) */
    if (nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) return fail(e, "remove", path);
    return OK;
}

enum code host_make_zeroed_file(const char *path, uint64_t size, int *out_fd, struct err *e)
{
    static const uint8_t zeros[256 * 1024];
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) return fail(e, "make", path);
    for (uint64_t done = 0; done < size;) {
        size_t piece = size - done < sizeof(zeros) ? (size_t)(size - done) : sizeof(zeros);
        ssize_t n = pwrite(fd, zeros, piece, (off_t)done);
        if (n <= 0) goto failed;
        done += (uint64_t)n;
    }
    if (fsync(fd) != 0) goto failed;
    *out_fd = fd;
    return OK;
failed:
    fail(e, "write", path);
    host_close(fd);
    return E_IO;
}

enum code host_write_sync(int fd, uint64_t offset, struct slice bytes, struct err *e)
{
    ssize_t n = pwrite(fd, bytes.data, bytes.size, (off_t)offset);
    if (n != (ssize_t)bytes.size) return ERR(e, E_IO, "cannot write: %s", host_reason(errno));
    if (fdatasync(fd) != 0) return ERR(e, E_IO, "cannot sync: %s", host_reason(errno));
    return OK;
}
