/* env_file: open files: whole writes, reads with and without the page cache, sync.
 *
 * Never retries a failed sync and never hides a short write: the caller poisons its log on either,
 * because what is on the disk is then unknown. A file may be read and written by several threads at
 * once, except an uncached one, which has one bounce buffer: one reader at a time, asserted.
 *
 * Uncached reads tell what the disk holds. After a failed sync the page cache shows bytes that were
 * never written (ext4, XFS and btrfs alike), and only O_DIRECT or a dropped cache shows the truth.
 * Where the file system takes no O_DIRECT the cache of the file is written back and dropped when it
 * is opened and before each read; whether the kernel really drops it is its own affair, so
 * env_uv_describe says that it came to this.
 */
#include "env/env_private.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assert.h"

#define DIRECT_ALIGN    ((size_t)4096) /* of offset, size and memory; a multiple of any sector */
#define BOUNCE_SIZE     ((size_t)(256 * KIB))
#define WRITE_SIZE_MAX  ((size_t)GIB) /* the kernel writes at most 2 GiB - 4 KiB in one call */
#define FILE_OFFSET_MAX ((uint64_t)INT64_MAX)

struct env_file {
    int fd;
    bool is_uncached;
    bool is_direct;              /* opened with O_DIRECT, and the file system went along so far */
    _Atomic bool is_bounce_used; /* only to catch a second reader */
    uint8_t *bounce;             /* BOUNCE_SIZE, aligned; NULL unless uncached */
    char path[];                 /* for messages */
};

static int open_flags(unsigned flags)
{
    int os = (flags & ENV_WRITE) != 0 ? O_RDWR : O_RDONLY;
    if ((flags & ENV_CREATE) != 0) os |= O_CREAT;
    if ((flags & ENV_EXCLUSIVE) != 0) os |= O_EXCL;
    return os;
}

static enum code check_is_file(const struct env_uv *u, const struct env_file *file, struct err *e)
{
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        struct os_error os = os_error_of(errno);
        return ERR(e, os.code, "cannot open %s/%s: %s", u->dir, file->path, os.text);
    }
    if (S_ISREG(st.st_mode)) return OK;
    return ERR(e, E_IO, "cannot open %s/%s: it is %s and no regular file", u->dir, file->path,
               S_ISDIR(st.st_mode) ? "a directory" : "something special");
}

/* Make the page cache forget the file. What other processes left unwritten must be written first:
 * dirty pages stay. */
static enum code drop_cache(const struct env_uv *u, const struct env_file *file, struct err *e)
{
    int error = fdatasync(file->fd) == 0 ? 0 : errno;
    if (error == 0) error = posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
    if (error == 0) return OK;
    struct os_error os = os_error_of(error);
    return ERR(e, E_IO, "cannot read %s/%s past the page cache: %s", u->dir, file->path, os.text);
}

/* The file system refuses O_DIRECT, at open or at the first read. */
static enum code give_up_direct(struct env_uv *u, struct env_file *file, struct err *e)
{
    file->is_direct = false;
    atomic_store_explicit(&u->is_direct_refused, true, memory_order_relaxed);
    int flags = fcntl(file->fd, F_GETFL);
    ASSERT(flags >= 0);
    if ((flags & O_DIRECT) != 0) ASSERT(fcntl(file->fd, F_SETFL, flags & ~O_DIRECT) == 0);
    return drop_cache(u, file, e);
}

static enum code start_uncached(struct env_uv *u, struct env_file *file, struct err *e)
{
    file->is_uncached = true;
    file->bounce = aligned_alloc(DIRECT_ALIGN, BOUNCE_SIZE);
    if (file->bounce == NULL) {
        return ERR(e, E_NOMEMORY, "no memory to read %s/%s past the page cache", u->dir,
                   file->path);
    }
    int flags = fcntl(file->fd, F_GETFL);
    ASSERT(flags >= 0);
    if (fcntl(file->fd, F_SETFL, flags | O_DIRECT) != 0) return give_up_direct(u, file, e);
    file->is_direct = true;
    return OK;
}

enum code file_open(struct env *env, const char *path, unsigned flags, struct env_file **out,
                    struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    ASSERT((flags & (ENV_READ | ENV_WRITE)) != 0);
    ASSERT((flags & ENV_UNCACHED) == 0 || (flags & ENV_WRITE) == 0); /* writes go to the cache */
    size_t path_size = strlen(path) + 1;
    struct env_file *file = calloc(1, sizeof(*file) + path_size);
    if (file == NULL) return ERR(e, E_NOMEMORY, "no memory to open %s", path);
    memcpy(file->path, path, path_size);
    file->fd = -1;
    enum code code = dir_openat(u, path, open_flags(flags), &file->fd, e);
    if (env_has_room_now(env, code)) code = dir_openat(u, path, open_flags(flags), &file->fd, e);
    if (code == OK) code = check_is_file(u, file, e);
    if (code == OK && (flags & ENV_UNCACHED) != 0) code = start_uncached(u, file, e);
    if (code != OK) {
        file_close(env, file);
        return code;
    }
    *out = file;
    return OK;
}

/* What close says is of no use: bytes that matter were synced before. */
void file_close(struct env *env, struct env_file *file)
{
    (void)env;
    if (file == NULL) return;
    if (file->fd >= 0) (void)close(file->fd);
    free(file->bounce);
    free(file);
}

static enum code check_range(const struct env_uv *u, const struct env_file *file, uint64_t offset,
                             size_t size, struct err *e)
{
    if (offset <= FILE_OFFSET_MAX && size <= FILE_OFFSET_MAX - offset) return OK;
    return ERR(e, E_LIMIT, "%zu bytes at %" PRIu64 " of %s/%s are beyond any file's end", size,
               offset, u->dir, file->path);
}

/* One write of the kernel's, again only if a signal came before the first byte. */
static ssize_t write_at(int fd, struct slice bytes, uint64_t offset)
{
    ssize_t written;
    do {
        written = pwrite(fd, bytes.data, bytes.size, (off_t)offset);
    } while (written < 0 && errno == EINTR);
    return written;
}

/* The kernel took fewer bytes than it was given. Offering the rest once makes it name the reason;
 * should it take them now, the write still counts as failed, as env.h says. */
static enum code short_write(const struct env_uv *u, const struct env_file *file, uint64_t offset,
                             struct slice bytes, size_t written, struct err *e)
{
    struct slice rest = slice_of(bytes.data + written, bytes.size - written);
    struct os_error os = {.code = E_IO, .text = "no reason given"};
    if (write_at(file->fd, rest, offset + written) < 0) os = os_error_of(errno);
    return ERR(e, os.code, "only %zu of %zu bytes were written at %" PRIu64 " of %s/%s: %s",
               written, bytes.size, offset, u->dir, file->path, os.text);
}

static enum code write_whole(struct env *env, struct env_file *file, uint64_t offset,
                             struct slice bytes, struct err *e)
{
    const struct env_uv *u = env_uv_of(env);
    TRY(check_range(u, file, offset, bytes.size, e));
    while (bytes.size > 0) {
        size_t size = bytes.size < WRITE_SIZE_MAX ? bytes.size : WRITE_SIZE_MAX;
        ssize_t written = write_at(file->fd, slice_of(bytes.data, size), offset);
        if (written < 0) {
            struct os_error os = os_error_of(errno);
            return ERR(e, os.code, "cannot write %zu bytes at %" PRIu64 " of %s/%s: %s", size,
                       offset, u->dir, file->path, os.text);
        }
        if ((size_t)written < size) {
            return short_write(u, file, offset, slice_of(bytes.data, size), (size_t)written, e);
        }
        bytes = slice_of(bytes.data + size, bytes.size - size);
        offset += size;
    }
    return OK;
}

enum code file_pwrite(struct env *env, struct env_file *file, uint64_t offset, struct slice bytes,
                      struct err *e)
{
    enum code code = write_whole(env, file, offset, bytes, e);
    if (!env_has_room_now(env, code)) return code;
    return write_whole(env, file, offset, bytes, e);
}

static ssize_t read_at(int fd, void *out, size_t size, uint64_t offset)
{
    ssize_t got;
    do {
        got = pread(fd, out, size, (off_t)offset);
    } while (got < 0 && errno == EINTR);
    return got;
}

/* One step of an uncached read with O_DIRECT: whole aligned blocks go through the bounce buffer.
 * Returns as pread does. */
static ssize_t read_direct(struct env_file *file, uint8_t *out, size_t size, uint64_t offset)
{
    size_t skip = (size_t)(offset % DIRECT_ALIGN);
    size_t room = BOUNCE_SIZE - skip;
    size_t wanted = size < room ? size : room;
    size_t aligned = (skip + wanted + DIRECT_ALIGN - 1) / DIRECT_ALIGN * DIRECT_ALIGN;
    ssize_t got = read_at(file->fd, file->bounce, aligned, offset - skip);
    if (got < 0) return got;
    if ((size_t)got <= skip) return 0; /* the end of the file */
    size_t usable = (size_t)got - skip;
    if (usable > wanted) usable = wanted;
    memcpy(out, file->bounce + skip, usable);
    return (ssize_t)usable;
}

/* One step, as pread does. */
static ssize_t read_step(struct env_file *file, uint8_t *out, size_t size, uint64_t offset)
{
    if (!file->is_uncached) return read_at(file->fd, out, size, offset);
    if (file->is_direct) return read_direct(file, out, size, offset);
    /* Ignored: drop_cache at open has shown that it is known here. */
    (void)posix_fadvise(file->fd, (off_t)offset, (off_t)size, POSIX_FADV_DONTNEED);
    return read_at(file->fd, out, size, offset);
}

/* Fill out, up to the end of the file. Returns how much of it was filled, or -1 with errno set. */
static ssize_t read_all(struct env_file *file, uint8_t *out, size_t size, uint64_t offset)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = read_step(file, out + done, size - done, offset + done);
        if (got < 0) return -1;
        if (got == 0) break;
        done += (size_t)got;
    }
    return (ssize_t)done;
}

/* Seven parameters: env.h's order. NOLINTNEXTLINE(readability-function-size) */
enum code file_pread(struct env *env, struct env_file *file, uint64_t offset, void *out,
                     size_t size, size_t *out_read, struct err *e)
{
    struct env_uv *u = env_uv_of(env);
    TRY(check_range(u, file, offset, size, e));
    if (file->is_uncached) ASSERT(!atomic_exchange(&file->is_bounce_used, true));
    ssize_t got = read_all(file, out, size, offset);
    enum code code = OK;
    if (got < 0 && errno == EINVAL && file->is_direct) { /* accepted at open, refused here */
        code = give_up_direct(u, file, e);
        if (code == OK) got = read_all(file, out, size, offset);
    }
    if (code == OK && got < 0) {
        struct os_error os = os_error_of(errno);
        code = ERR(e, os.code, "cannot read %zu bytes at %" PRIu64 " of %s/%s: %s", size, offset,
                   u->dir, file->path, os.text);
    }
    if (file->is_uncached) atomic_store(&file->is_bounce_used, false);
    if (code == OK) *out_read = (size_t)got;
    return code;
}

enum code file_sync(struct env *env, struct env_file *file, struct err *e)
{
    const struct env_uv *u = env_uv_of(env);
    if (fdatasync(file->fd) == 0) return OK;
    struct os_error os = os_error_of(errno);
    return ERR(e, os.code, "cannot sync %s/%s: %s; what the disk holds of it is unknown", u->dir,
               file->path, os.text);
}

enum code file_truncate(struct env *env, struct env_file *file, uint64_t size, struct err *e)
{
    const struct env_uv *u = env_uv_of(env);
    TRY(check_range(u, file, size, 0, e));
    int status;
    do {
        status = ftruncate(file->fd, (off_t)size);
    } while (status != 0 && errno == EINTR);
    if (status == 0) return OK;
    struct os_error os = os_error_of(errno);
    return ERR(e, os.code, "cannot set the size of %s/%s to %" PRIu64 ": %s", u->dir, file->path,
               size, os.text);
}

enum code file_size(struct env *env, struct env_file *file, uint64_t *out, struct err *e)
{
    const struct env_uv *u = env_uv_of(env);
    struct stat st;
    if (fstat(file->fd, &st) != 0) {
        struct os_error os = os_error_of(errno);
        return ERR(e, os.code, "cannot ask for the size of %s/%s: %s", u->dir, file->path, os.text);
    }
    *out = (uint64_t)st.st_size;
    return OK;
}
