/* log_dir: reading the small files and listing the segments. */
#include "cli/log_dir.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/text.h"
#include "cli/cli.h"

static const char *const copy_names[2] = {"identity.a", "identity.b"};

enum code log_dir_open_file(const struct log_dir *dir, const char *name, int *out_fd, struct err *e)
{
    char path[HOST_PATH_SIZE + LOG_NAME_SIZE];
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/%s", dir->path, name);
    return host_open(path, out_fd, e);
}

enum code log_dir_read_file(const struct log_dir *dir, const char *name, void *out, size_t capacity,
                            size_t *out_size, struct err *e)
{
    int fd = -1;
    uint64_t size = 0;
    TRY(log_dir_open_file(dir, name, &fd, e));
    enum code code = host_size(fd, &size, e);
    if (code == OK && size > capacity) {
        code = ERR(e, E_LIMIT, "%s has %llu bytes; at most %zu can be right", name,
                   (unsigned long long)size, capacity);
    }
    if (code == OK) code = host_pread(fd, 0, out, capacity, out_size, e);
    host_close(fd);
    return code;
}

enum code log_fd_source(void *context, uint64_t offset, void *out, size_t size, size_t *out_size,
                        struct err *e)
{
    return host_pread(*(const int *)context, offset, out, size, out_size, e);
}

/* --- small files --- */

static void read_identity(struct log_dir *dir)
{
    static uint8_t bytes[IDENTITY_FILE_SIZE_MAX];
    static struct identity copy;
    for (size_t i = 0; i < COUNT_OF(copy_names); i++) {
        size_t size = 0;
        struct err *e = &dir->copy_err[i];
        *e = (struct err){.code = OK};
        if (log_dir_read_file(dir, copy_names[i], bytes, sizeof(bytes), &size, e) != OK) continue;
        if (identity_decode(slice_of(bytes, size), &copy, e) != OK) continue;
        if (dir->has_identity && copy.version < dir->identity.version) continue;
        dir->identity = copy;
        dir->has_identity = true;
    }
}

static void read_mark(struct log_dir *dir)
{
    struct err e;
    uint64_t key = dir->identity.log_key;
    if (log_dir_read_file(dir, "mark", dir->mark_bytes, MARK_FILE_SIZE, &dir->mark_size, &e) !=
        OK) {
        dir->mark_size = 0;
        return;
    }
    struct slice bytes = slice_of(dir->mark_bytes, dir->mark_size);
    dir->has_mark = dir->has_identity && mark_decode(bytes, key, &dir->mark) &&
                    dir->mark.generation == dir->identity.generation;
}

/* --- segments --- */

void log_file_name(const struct log_file *file, char out[LOG_NAME_SIZE])
{
    char name[SEGMENT_NAME_SIZE];
    struct text t = text_of(out, LOG_NAME_SIZE);
    if (file->name[0] != '\0') {
        text_add(&t, "%s", file->name);
        return;
    }
    segment_name(file->file_id, name);
    text_add(&t, "log/%s", name);
}

struct log_identity log_dir_identity(const struct log_dir *dir, const struct log_file *file)
{
    if (!dir->has_identity) {
        return (struct log_identity){.cluster = file->header.cluster,
                                     .stream = file->header.stream,
                                     .log_key = file->header.log_key};
    }
    return (struct log_identity){.cluster = dir->identity.cluster,
                                 .stream = dir->identity.stream,
                                 .log_key = dir->identity.log_key};
}

static enum code look_at_trailer(struct log_file *file, int fd, uint64_t log_key, struct err *e)
{
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    size_t size = 0;
    if (file->size < SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE) return OK;
    TRY(host_pread(fd, file->size - SEGMENT_TRAILER_SIZE, trailer, sizeof(trailer), &size, e));
    file->is_sealed =
        size == sizeof(trailer) && segment_trailer_decode(trailer, log_key, file->size,
                                                          &file->footer_offset, &file->footer_size);
    return OK;
}

/* A recycled file that is not sealed again ends with a map of its old bytes. */
static enum code look_at_stale(struct log_file *file, int fd, uint64_t log_key, struct err *e)
{
    uint8_t trailer[STALE_TRAILER_SIZE];
    size_t got = 0;
    struct stale_map map;
    if (file->is_sealed || file->size <= sizeof(trailer)) return OK;
    TRY(host_pread(fd, file->size - sizeof(trailer), trailer, sizeof(trailer), &got, e));
    if (got < sizeof(trailer) || !stale_trailer_decode(trailer, log_key, file->size, &map)) {
        return OK;
    }
    size_t size = stale_map_size(map.limit);
    uint8_t *bytes = cli_take(size);
    enum code code = host_pread(fd, map.offset, bytes, size, &got, e);
    if (code == OK && stale_sums_decode(&map, slice_of(bytes, got), log_key)) {
        file->stale = map;
        file->stale_bytes = bytes;
        file->size = map.offset;
        return OK;
    }
    cli_put(bytes, size);
    return code;
}

static enum code measure_content(struct log_file *file, int fd, struct err *e)
{
    static uint8_t piece[256 * KIB];
    struct stale_view view = {.map = &file->stale, .source = log_fd_source, .context = &fd};
    for (uint64_t at = 0; at < file->size; at += sizeof(piece)) {
        size_t got = 0;
        size_t size = file->size - at < sizeof(piece) ? (size_t)(file->size - at) : sizeof(piece);
        TRY(stale_view_read(&view, at, piece, size, &got, e));
        while (got > 0 && piece[got - 1] == 0) {
            got--;
        }
        if (got > 0) file->content_size = at + got;
    }
    return OK;
}

static enum code look_at_file(const struct log_dir *dir, struct log_file *file, struct err *e)
{
    char name[LOG_NAME_SIZE];
    uint8_t bytes[SEGMENT_HEADER_SIZE] = {0};
    int fd = -1;
    size_t size = 0;
    log_file_name(file, name);
    TRY(log_dir_open_file(dir, name, &fd, e));
    enum code code = host_size(fd, &file->size, e);
    if (code == OK) code = host_pread(fd, 0, bytes, sizeof(bytes), &size, e);
    if (code == OK) {
        file->verdict = segment_header_decode(bytes, &file->header);
        bool is_named = file->name[0] != '\0'; /* by hand: its id is what it says */
        if (is_named) file->file_id = file->header.file_id;
        bool is_own = file->verdict != SEGMENT_OK || file->header.file_id == file->file_id;
        if (!is_own) file->verdict = SEGMENT_BAD;
    }
    if (code == OK && file->verdict == SEGMENT_OK) {
        code = look_at_trailer(file, fd, log_dir_identity(dir, file).log_key, e);
    }
    if (code == OK) code = look_at_stale(file, fd, log_dir_identity(dir, file).log_key, e);
    if (code == OK && file->verdict != SEGMENT_OK) code = measure_content(file, fd, e);
    host_close(fd);
    return code;
}

static struct log_file *add_file(struct log_dir *dir)
{
    if (dir->file_count == dir->file_capacity) {
        size_t capacity = dir->file_capacity == 0 ? 64 : dir->file_capacity * 2;
        struct log_file *files = cli_take(capacity * sizeof(*files));
        if (dir->file_count > 0) {
            memcpy(files, dir->files, dir->file_count * sizeof(*files));
        }
        cli_put(dir->files, dir->file_capacity * sizeof(*files));
        dir->files = files;
        dir->file_capacity = capacity;
    }
    return &dir->files[dir->file_count++];
}

/* Segments by their first record; of two with the same one, a copy left by a crash while a segment
 * was sealed again, the sealed one, then the older. Others behind them by file id. */
static int compare_files(const void *a, const void *b)
{
    const struct log_file *x = a;
    const struct log_file *y = b;
    bool has_x = x->verdict == SEGMENT_OK;
    bool has_y = y->verdict == SEGMENT_OK;
    if (has_x != has_y) return has_x ? -1 : 1;
    uint64_t first_x = has_x ? x->header.first.v : 0;
    uint64_t first_y = has_y ? y->header.first.v : 0;
    if (first_x != first_y) return first_x < first_y ? -1 : 1;
    if (x->is_sealed != y->is_sealed) return x->is_sealed ? -1 : 1;
    return (x->file_id > y->file_id) - (x->file_id < y->file_id);
}

static void drop_stale(struct log_file *file)
{
    if (file->stale_bytes != NULL) cli_put(file->stale_bytes, stale_map_size(file->stale.limit));
    file->stale_bytes = NULL;
}

static enum code list_files(struct log_dir *dir, struct err *e)
{
    char path[HOST_PATH_SIZE + LOG_NAME_SIZE];
    struct host_dir *list = NULL;
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/log", dir->path);
    TRY(host_dir_open(path, &list, e));
    enum code code = OK;
    const char *name = NULL;
    while (code == OK && (name = host_dir_next(list)) != NULL) {
        uint64_t file_id = 0;
        if (!segment_name_parse(slice_of_text(name), &file_id)) continue;
        bool is_given_up = dir->has_identity && file_id < dir->identity.log_first_file;
        if (is_given_up) continue; /* of an older generation: the next start removes it */
        struct log_file *file = add_file(dir);
        *file = (struct log_file){.file_id = file_id};
        code = look_at_file(dir, file, e);
        bool is_pruned = dir->has_identity && file->verdict == SEGMENT_OK &&
                         file->header.first.v <= dir->identity.log_base.seqno.v;
        if (code == OK && is_pruned) { /* the next start removes it */
            drop_stale(file);
            dir->file_count--;
        }
        if (code == E_NOTFOUND && dir->is_in_use) { /* the server removed it meanwhile */
            dir->file_count--;
            code = OK;
        }
    }
    host_dir_close(list);
    if (code != OK || dir->file_count == 0) return code;
    qsort(dir->files, dir->file_count, sizeof(*dir->files), compare_files);
    while (dir->segment_count < dir->file_count &&
           dir->files[dir->segment_count].verdict == SEGMENT_OK) {
        dir->segment_count++;
    }
    return OK;
}

enum code log_dir_open(const char *path, struct log_dir *out, struct err *e)
{
    char below[HOST_PATH_SIZE + LOG_NAME_SIZE];
    memset(out, 0, sizeof(*out));
    struct text t = text_of(out->path, sizeof(out->path));
    text_add(&t, "%s", path);
    if (!host_is_directory(path)) {
        return ERR(e, E_NOTFOUND, "%s is no directory; name the one that serve --dir was given",
                   path);
    }
    struct text under = text_of(below, sizeof(below));
    text_add(&under, "%s/lock", path);
    out->is_in_use = host_is_locked(below, &out->user_pid);
    read_identity(out);
    under = text_of(below, sizeof(below));
    text_add(&under, "%s/log", path);
    if (!host_is_directory(below)) {
        if (out->has_identity) return OK; /* a node that never had a record */
        struct host_dir *dir = NULL;
        TRY(host_dir_open(path, &dir, e)); /* it may only be closed to this user */
        host_dir_close(dir);
        return ERR(e, E_NOTFOUND,
                   "%s holds no Tidemark data; name the directory that serve --dir "
                   "was given",
                   path);
    }
    read_mark(out);
    return list_files(out, e);
}

enum code log_dir_open_segment(const char *path, struct log_dir *out, struct err *e)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash != NULL ? slash + 1 : path;
    memset(out, 0, sizeof(*out));
    struct text t = text_of(out->path, sizeof(out->path));
    if (slash == NULL) {
        text_add(&t, ".");
    } else {
        text_add(&t, "%.*s", (int)(slash - path), path);
    }
    struct log_file *file = add_file(out);
    *file = (struct log_file){0};
    struct text to = text_of(file->name, sizeof(file->name));
    text_add(&to, "%s", name);
    enum code code = look_at_file(out, file, e);
    if (code == OK && file->verdict != SEGMENT_OK) {
        code = ERR(e, E_CORRUPT, "%s is no segment of a log: its header does not verify", path);
    }
    out->segment_count = code == OK ? 1 : 0;
    return code;
}

void log_dir_close(struct log_dir *dir)
{
    for (size_t i = 0; i < dir->file_count; i++) {
        drop_stale(&dir->files[i]);
    }
    cli_put(dir->files, dir->file_capacity * sizeof(*dir->files));
    dir->files = NULL;
    dir->file_count = 0;
    dir->file_capacity = 0;
}
