/* node: see node.h. Not part of the product. */
#include "support/node.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <sys/stat.h>
#include <unistd.h>

#include "format/segment.h"

#define PATH_SIZE 4096

struct tide_options node_options(const char *dir)
{
    return (struct tide_options){
        .size = sizeof(struct tide_options),
        .dir = dir,
        .segment_size = 64 * KIB,
        .disk_reserve = UINT64_MAX,
        .mark_interval_ms = UINT64_MAX,
        .memory_max = GIB,
    };
}

void assert_same_position(const struct tide_position *a, const struct tide_position *b)
{
    assert_int_equal(a->epoch, b->epoch);
    assert_int_equal(a->seqno, b->seqno);
    assert_memory_equal(a->chain4, b->chain4, sizeof(a->chain4));
}

tide_db *node_open(const char *dir)
{
    struct tide_options options = node_options(dir);
    struct tide_err e = {.code = TIDE_OK};
    tide_db *db = NULL;
    if (tide_open(&options, &db, NULL, &e) != TIDE_OK) fail_msg("open %s: %s", dir, e.message);
    return db;
}

void node_close(tide_db *db)
{
    assert_int_equal(tide_close(db, 5000, NULL), TIDE_OK);
}

struct tide_position node_signal(tide_db *db, const char *type, const char *item)
{
    struct tide_signal signal = {.type = bytes_of(type), .item = bytes_of(item)};
    struct tide_position at = {0};
    struct tide_err e = {.code = TIDE_OK};
    if (tide_signal(db, &signal, &at, &e) != TIDE_OK) fail_msg("signal: %s", e.message);
    return at;
}

uint64_t node_count(tide_db *db, const char *type, const char *item)
{
    uint64_t count = UINT64_MAX;
    struct tide_err e = {.code = TIDE_OK};
    if (tide_count(db, bytes_of(type), bytes_of(item), bytes_of("all"), &count, &e) != TIDE_OK) {
        fail_msg("count: %s", e.message);
    }
    return count;
}

void node_digest(tide_db *db, struct tide_digest *out)
{
    struct tide_err e = {.code = TIDE_OK};
    if (tide_digest_now(db, out, &e) != TIDE_OK) fail_msg("digest: %s", e.message);
}

/* --- in steps --- */

enum code steps_node_open_on(struct node *n, const struct tide_options *options, struct err *e)
{
    n->alloc = malloc(sizeof(*n->alloc));
    assert_non_null(n->alloc);
    alloc_init(n->alloc, options->memory_max);
    n->db = NULL;
    enum code code = db_open(n->env, n->alloc, options, &n->db, e);
    if (code == OK) return OK;
    free(n->alloc);
    n->alloc = NULL;
    return code;
}

enum code steps_node_open(struct node *n, const struct tide_options *options, struct err *e)
{
    n->env = steps_open(options->dir);
    enum code code = steps_node_open_on(n, options, e);
    if (code == OK) {
        steps_run(n->env);
        return OK;
    }
    steps_close(n->env);
    n->env = NULL;
    return code;
}

static void is_closed(void *arg)
{
    *(bool *)arg = true;
}

void steps_node_close(struct node *n)
{
    bool is_done = false;
    db_close(n->db, is_closed, &is_done);
    for (size_t i = 0; i < 10000 && !is_done; i++) {
        steps_run(n->env);
        steps_advance(n->env, NS_PER_MS);
    }
    assert_true(is_done);
    free(n->alloc);
    steps_close(n->env);
    *n = (struct node){0};
}

void steps_node_abandon(struct node *n)
{
    if (n->db != NULL) db_abandon(n->db);
    free(n->alloc);
    steps_close(n->env);
    *n = (struct node){0};
}

static void note_done(tide_run *run, void *arg)
{
    (void)run;
    *(bool *)arg = true;
}

void steps_node_submit(struct node *n, tide_run *run, bool *out_is_done)
{
    *out_is_done = false;
    run->callback = note_done;
    run->callback_arg = out_is_done;
    run->is_submitted = true;
    db_submit(n->db, run);
}

void steps_node_execute(struct node *n, tide_run *run)
{
    bool is_done = false;
    steps_node_submit(n, run, &is_done);
    steps_run(n->env);
    assert_true(is_done);
}

enum tide_code steps_node_signal(struct node *n, const char *item)
{
    tide_run *run = tide_run_new();
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of(item)};
    assert_int_equal(tide_run_signal(run, &signal, NULL), 0);
    steps_node_execute(n, run);
    enum tide_code code = tide_run_result(run, 0)->code;
    tide_run_free(run);
    return code;
}

uint64_t steps_node_count(struct node *n, const char *item)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_count_of(run, bytes_of("view"), bytes_of(item), bytes_of("all")), 0);
    steps_node_execute(n, run);
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    uint64_t count = tide_run_result(run, 0)->as.integer;
    tide_run_free(run);
    return count;
}

/* --- files --- */

static void path_of(const char *dir, const char *name, char out[PATH_SIZE])
{
    int size = snprintf(out, PATH_SIZE, "%s/%s", dir, name);
    assert_true(size > 0 && size < PATH_SIZE);
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)st;
    (void)kind;
    return place->level == 0 ? 0 : remove(path);
}

static void copy_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(in >= 0);
    assert_true(out >= 0);
    static _Thread_local uint8_t buffer[64 * 1024];
    for (;;) {
        ssize_t size = read(in, buffer, sizeof(buffer));
        assert_true(size >= 0);
        if (size == 0) break;
        assert_int_equal(write(out, buffer, (size_t)size), size);
    }
    close(in);
    close(out);
}

static void copy_into(const char *from, const char *to)
{
    assert_true(mkdir(to, 0700) == 0 || access(to, W_OK) == 0);
    DIR *dir = opendir(from);
    assert_non_null(dir);
    for (struct dirent *entry = readdir(dir); entry != NULL; entry = readdir(dir)) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char source[PATH_SIZE];
        char target[PATH_SIZE];
        path_of(from, entry->d_name, source);
        path_of(to, entry->d_name, target);
        struct stat st;
        assert_int_equal(stat(source, &st), 0);
        if (!S_ISDIR(st.st_mode)) {
            copy_file(source, target);
            continue;
        }
        char names[PATH_SIZE]; /* one level below is all there is */
        (void)mkdir(target, 0700);
        DIR *below = opendir(source);
        assert_non_null(below);
        for (struct dirent *e = readdir(below); e != NULL; e = readdir(below)) {
            if (e->d_name[0] == '.') continue;
            path_of(source, e->d_name, names);
            char copy[PATH_SIZE];
            path_of(target, e->d_name, copy);
            copy_file(names, copy);
        }
        closedir(below);
    }
    closedir(dir);
}

void files_copy(const char *from, const char *to)
{
    (void)nftw(to, remove_entry, 16, FTW_DEPTH | FTW_PHYS); /* absent: nothing to empty */
    copy_into(from, to);
}

uint8_t *file_read(const char *dir, const char *name, size_t *out_size)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) fail_msg("%s cannot be read", path);
    struct stat st;
    assert_int_equal(fstat(fd, &st), 0);
    size_t size = (size_t)st.st_size;
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(read(fd, bytes, size), (ssize_t)size);
    close(fd);
    *out_size = size;
    return bytes;
}

void file_write(const char *dir, const char *name, const void *bytes, size_t size)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, size), (ssize_t)size);
    close(fd);
}

void file_cut(const char *dir, const char *name, uint64_t size)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    assert_int_equal(truncate(path, (off_t)size), 0);
}

static void change_bytes(const char *dir, const char *name, uint64_t offset, const uint8_t *bytes,
                         size_t size)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, (off_t)offset), (ssize_t)size);
    close(fd);
}

void file_flip(const char *dir, const char *name, uint64_t offset, uint8_t bits)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    uint8_t byte;
    assert_int_equal(pread(fd, &byte, 1, (off_t)offset), 1);
    close(fd);
    byte ^= bits;
    change_bytes(dir, name, offset, &byte, 1);
}

void file_zero(const char *dir, const char *name, uint64_t offset, size_t size)
{
    uint8_t *zeros = calloc(1, size);
    assert_non_null(zeros);
    change_bytes(dir, name, offset, zeros, size);
    free(zeros);
}

void file_remove(const char *dir, const char *name)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    assert_int_equal(unlink(path), 0);
}

bool file_exists(const char *dir, const char *name)
{
    char path[PATH_SIZE];
    path_of(dir, name, path);
    return access(path, F_OK) == 0;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

void files_list(const char *dir, const char *sub, const char *ending, struct file_names *out)
{
    char path[PATH_SIZE];
    path_of(dir, sub, path);
    out->count = 0;
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *entry = readdir(d); entry != NULL; entry = readdir(d)) {
        size_t size = strlen(entry->d_name);
        size_t tail = strlen(ending);
        if (size < tail || strcmp(entry->d_name + size - tail, ending) != 0) continue;
        assert_true(out->count < FILE_NAMES_MAX);
        char *name = out->names[out->count++];
        assert_true(snprintf(name, sizeof(out->names[0]), "%s/%s", sub, entry->d_name) > 0);
    }
    closedir(d);
    qsort(out->names, out->count, sizeof(out->names[0]), compare_names);
}

static uint64_t first_record_of(const char *dir, const char *name)
{
    size_t size;
    uint8_t *bytes = file_read(dir, name, &size);
    struct segment_header header;
    uint64_t first = 0;
    if (size >= SEGMENT_HEADER_SIZE && segment_header_decode(bytes, &header) == SEGMENT_OK) {
        first = header.first.v;
    }
    free(bytes);
    return first;
}

void segments_list(const char *dir, struct file_names *out)
{
    uint64_t firsts[FILE_NAMES_MAX];
    files_list(dir, "log", ".seg", out);
    size_t kept = 0;
    for (size_t i = 0; i < out->count; i++) {
        uint64_t first = first_record_of(dir, out->names[i]);
        if (first == 0) continue;
        size_t place = kept++;
        char name[sizeof(out->names[0])];
        memcpy(name, out->names[i], sizeof(name));
        for (; place > 0 && firsts[place - 1] > first; place--) {
            firsts[place] = firsts[place - 1];
            memcpy(out->names[place], out->names[place - 1], sizeof(name));
        }
        firsts[place] = first;
        memcpy(out->names[place], name, sizeof(name));
    }
    out->count = kept;
}
