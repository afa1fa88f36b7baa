/* git_log: the output of `git log -z --numstat`, piece by piece, to one event per file that a
 * commit touches.
 *
 * With -z every field ends with a NUL: first those of GIT_LOG_FORMAT, then for each file
 * "added TAB deleted TAB path", the first of them behind a newline. A commit starts with the byte
 * \x01, which no numstat entry does. Pure: the caller reads the pipe and feeds pieces of any size;
 * memory is bounded by the struct. Paths longer than an item key may be are shortened to
 * GIT_LOG_KEPT bytes, "~" and 16 hex digits of the whole path's hash, so that they stay distinct.
 */
#ifndef TIDEMARK_CLI_GIT_LOG_H
#define TIDEMARK_CLI_GIT_LOG_H

#include "base/types.h"

#define GIT_LOG_FORMAT   "--format=%x01%H%x00%at%x00%ct%x00%ae"
#define GIT_LOG_KEPT     (KEY_SIZE_MAX - 17)
#define GIT_LOG_TIME_MIN INT64_C(100000000) /* seconds: the spring of 1973 */

/* One file touched by one commit. Slices are borrowed until the next call. */
struct git_log_event {
    struct slice path;
    struct slice user; /* the author's e-mail address; size 0: none, or too long for a key */
    int64_t at_ms;
    uint64_t weight; /* lines added and deleted, at least 1 */
};

struct git_log {
    uint8_t token[64 * 1024]; /* bytes of the field being read */
    size_t token_size;
    bool is_token_cut;      /* it was longer than the room */
    uint8_t field;          /* which header field comes next; GIT_LOG_FILES: file entries */
    bool is_commit_skipped; /* no usable time */
    int64_t now_s;
    int64_t at_ms;
    uint8_t user[KEY_SIZE_MAX];
    size_t user_size;
    uint8_t path[KEY_SIZE_MAX];
    struct slice input; /* what was fed and not yet read */
    /* counters */
    uint64_t commits;
    uint64_t commits_with_commit_time; /* the author's time was not usable */
    uint64_t commits_skipped;          /* neither time was */
    uint64_t events;
    uint64_t paths_shortened;
    uint64_t entries_unreadable; /* no numstat entry, or longer than the room */
};

/* now_s: times after it are "in the future". */
void git_log_init(struct git_log *log, int64_t now_s);
/* Give the next piece; it is borrowed until git_log_next answered false. */
void git_log_feed(struct git_log *log, struct slice bytes);
/* The next event in what was fed; false: feed more. */
bool git_log_next(struct git_log *log, struct git_log_event *out);

#endif
