/* block_disk: a disk of which every WRITE and FLUSH is written down: a FUSE file system with one
 * file, "disk", on which a loop device and a real file system stand. So a crash image is any prefix
 * of the log with any subset of what no FLUSH covers.
 *
 *     block_disk MOUNT SIZE LOG
 *
 * Log entries: u64 kind (1 write, 2 flush), u64 offset, u64 size, the bytes. An entry is in the log
 * before the call is answered. SIGUSR1: from now on writes that hold the beginning of a batch fail
 * with EIO, and only these, so that the file system itself stays well; SIGUSR2: no more.
 * Ends when it is unmounted.
 */
#define FUSE_USE_VERSION 31

#include <fuse.h>

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define BATCH_MAGIC "TIDEBAT2"

static uint8_t *image;
static size_t image_size;
static FILE *block_log;
static volatile sig_atomic_t fails;

static void start_failing(int number)
{
    (void)number;
    fails = 1;
}

static void stop_failing(int number)
{
    (void)number;
    fails = 0;
}

static void note(uint64_t kind, uint64_t offset, uint64_t size, const void *bytes)
{
    uint64_t head[3] = {kind, offset, size};
    bool is_written = fwrite(head, sizeof(head), 1, block_log) == 1;
    if (is_written && size > 0) is_written = fwrite(bytes, size, 1, block_log) == 1;
    if (!is_written || fflush(block_log) != 0) abort(); /* a log with a hole proves nothing */
}

static bool is_disk(const char *path)
{
    return strcmp(path, "/disk") == 0;
}

static void *disk_init(struct fuse_conn_info *connection, struct fuse_config *config)
{
    (void)connection;
    config->attr_timeout = 0;
    config->entry_timeout = 0;
    config->direct_io = 1;
    return NULL;
}

static int disk_getattr(const char *path, struct stat *st, struct fuse_file_info *info)
{
    (void)info;
    memset(st, 0, sizeof(*st));
    if (is_disk(path)) {
        st->st_mode = S_IFREG | 0600;
        st->st_nlink = 1;
        st->st_size = (off_t)image_size;
        return 0;
    }
    if (strcmp(path, "/") != 0) return -ENOENT;
    st->st_mode = S_IFDIR | 0755;
    st->st_nlink = 2;
    return 0;
}

static int disk_readdir(const char *path, void *out, fuse_fill_dir_t fill, off_t offset,
                        struct fuse_file_info *info, enum fuse_readdir_flags flags)
{
    (void)path;
    (void)offset;
    (void)info;
    (void)flags;
    (void)fill(out, ".", NULL, 0, (enum fuse_fill_dir_flags)0);
    (void)fill(out, "disk", NULL, 0, (enum fuse_fill_dir_flags)0);
    return 0;
}

static int disk_open(const char *path, struct fuse_file_info *info)
{
    info->direct_io = 1;
    return is_disk(path) ? 0 : -ENOENT;
}

static int disk_read(const char *path, char *out, size_t size, off_t offset,
                     struct fuse_file_info *info)
{
    (void)path;
    (void)info;
    if (offset < 0 || (size_t)offset >= image_size) return 0;
    if (size > image_size - (size_t)offset) size = image_size - (size_t)offset;
    memcpy(out, image + offset, size);
    return (int)size;
}

static int disk_write(const char *path, const char *bytes, size_t size, off_t offset,
                      struct fuse_file_info *info)
{
    (void)path;
    (void)info;
    if (offset < 0 || (size_t)offset > image_size || size > image_size - (size_t)offset)
        return -ENOSPC;
    if (fails && memmem(bytes, size, BATCH_MAGIC, strlen(BATCH_MAGIC)) != NULL) return -EIO;
    memcpy(image + offset, bytes, size);
    note(1, (uint64_t)offset, size, bytes);
    return (int)size;
}

static int disk_fsync(const char *path, int is_data_only, struct fuse_file_info *info)
{
    (void)path;
    (void)is_data_only;
    (void)info;
    note(2, 0, 0, NULL);
    return 0;
}

/* The file keeps its size: a loop device may not punch holes into it either. */
static int disk_fallocate(const char *path, int mode, off_t offset, off_t size,
                          struct fuse_file_info *info)
{
    (void)path;
    (void)mode;
    (void)offset;
    (void)size;
    (void)info;
    return -EOPNOTSUPP;
}

int main(int argc, char **argv)
{
    if (argc != 4) {
        fprintf(stderr, "usage: block_disk MOUNT SIZE LOG\n");
        return 2;
    }
    image_size = strtoull(argv[2], NULL, 10);
    image = calloc(1, image_size);
    block_log = fopen(argv[3], "wb");
    if (image == NULL || block_log == NULL) return 1;
    struct sigaction on = {.sa_handler = start_failing};
    struct sigaction off = {.sa_handler = stop_failing};
    (void)sigaction(SIGUSR1, &on, NULL);
    (void)sigaction(SIGUSR2, &off, NULL);
    static const struct fuse_operations operations = {
        .init = disk_init,
        .getattr = disk_getattr,
        .readdir = disk_readdir,
        .open = disk_open,
        .read = disk_read,
        .write = disk_write,
        .fsync = disk_fsync,
        .fallocate = disk_fallocate,
    };
    char in_foreground[] = "-f";
    char in_one_thread[] = "-s";
    char *options[] = {argv[0], argv[1], in_foreground, in_one_thread, NULL};
    int status = fuse_main(4, options, &operations, NULL);
    fclose(block_log);
    free(image);
    return status;
}
