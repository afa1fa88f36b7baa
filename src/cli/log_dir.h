/* log_dir: a data directory opened for looking: who it belongs to, what was acknowledged, which
 * segments it has and in which order. Only reads; a running server is not disturbed. What does not
 * verify is kept as a finding, for the verb to judge.
 */
#ifndef TIDEMARK_CLI_LOG_DIR_H
#define TIDEMARK_CLI_LOG_DIR_H

#include "base/error.h"
#include "base/types.h"
#include "env/host.h"
#include "format/identity.h"
#include "format/reader.h"
#include "format/segment.h"
#include "format/stale.h"

#define LOG_NAME_SIZE 80 /* "log/000000000000002a.seg" */

struct log_file {
    char name[LOG_NAME_SIZE]; /* of a file that was named by itself; "": that of its id */
    uint64_t file_id;
    uint64_t size;          /* without the map of old bytes of a recycled file */
    struct stale_map stale; /* of such a file; its sums are in: */
    uint8_t *stale_bytes;
    enum segment_verdict verdict; /* SEGMENT_BAD also for a header of another file id */
    uint64_t content_size; /* without a good header: behind the last byte neither zero nor old */
    struct segment_header header; /* when verdict is SEGMENT_OK */
    bool is_sealed;               /* ends in a trailer that verifies */
    uint64_t footer_offset;       /* when sealed */
    uint32_t footer_size;
};

struct log_dir {
    char path[HOST_PATH_SIZE];
    bool is_in_use;
    int64_t user_pid; /* 0: not known */
    /* identity: the good copy with the higher version */
    bool has_identity;
    struct identity identity;
    struct err copy_err[2]; /* code OK: the copy is good */
    bool has_mark;
    struct mark mark;
    uint8_t mark_bytes[MARK_FILE_SIZE];
    size_t mark_size; /* 0: no file */
    /* by first record; files that are no segments (yet) stand last */
    struct log_file *files;
    size_t file_count;    /* all */
    size_t segment_count; /* with a good header */
    size_t file_capacity;
};

#define LOG_WINDOW_SIZE (BATCH_SIZE_MAX + 256 * KIB) /* of a reader */

/* E_NOTFOUND when the path holds no data of ours. Too large for the stack: keep *out static. */
MUST_CHECK enum code log_dir_open(const char *path, struct log_dir *out, struct err *e);
/* One segment by its own path, as in quarantine/: a directory of that file alone, whose identity is
 * what the file says. E_CORRUPT when it is no segment. */
MUST_CHECK enum code log_dir_open_segment(const char *path, struct log_dir *out, struct err *e);
void log_dir_close(struct log_dir *dir);

/* "log/000000000000002a.seg": how messages name a segment. */
void log_file_name(const struct log_file *file, char out[LOG_NAME_SIZE]);
/* Open a file below the directory by such a name. */
MUST_CHECK enum code log_dir_open_file(const struct log_dir *dir, const char *name, int *out_fd,
                                       struct err *e);
/* Read a whole file of at most capacity bytes. E_LIMIT when it is larger. */
MUST_CHECK enum code log_dir_read_file(const struct log_dir *dir, const char *name, void *out,
                                       size_t capacity, size_t *out_size, struct err *e);

/* What every batch of this directory must carry: from identity, else from the segment itself. */
struct log_identity log_dir_identity(const struct log_dir *dir, const struct log_file *file);

/* A reader's source over a descriptor: context points to an int. */
enum code log_fd_source(void *context, uint64_t offset, void *out, size_t size, size_t *out_size,
                        struct err *e);

#endif
