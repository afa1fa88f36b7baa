/* git_log: the parser of the demo's input. */
#include "cli/git_log.h"

#include "base/hash.h"
#include "base/text.h"

enum { FIELD_HASH, FIELD_AUTHOR_TIME, FIELD_COMMIT_TIME, FIELD_EMAIL, FIELD_FILES };
#define COMMIT_START 1 /* first byte of a commit's first field */

void git_log_init(struct git_log *log, int64_t now_s)
{
    memset(log, 0, sizeof(*log));
    log->now_s = now_s;
    log->field = FIELD_FILES;
    log->is_commit_skipped = true; /* nothing counts before the first commit */
}

void git_log_feed(struct git_log *log, struct slice bytes)
{
    log->input = bytes;
}

static bool is_usable_time(const struct git_log *log, int64_t seconds)
{
    return seconds >= GIT_LOG_TIME_MIN && seconds <= log->now_s;
}

/* The commit's time is decided: the author's if usable, else the committer's, else none. */
static void read_time(struct git_log *log, struct slice token)
{
    int64_t seconds = 0;
    bool is_usable = parse_i64(token, &seconds) && is_usable_time(log, seconds);
    if (log->field == FIELD_AUTHOR_TIME) {
        log->at_ms = is_usable ? seconds * 1000 : 0;
        return;
    }
    if (log->at_ms != 0) return;
    if (is_usable) {
        log->at_ms = seconds * 1000;
        log->commits_with_commit_time++;
    } else {
        log->is_commit_skipped = true;
        log->commits_skipped++;
    }
}

static void start_commit(struct git_log *log)
{
    log->commits++;
    log->field = FIELD_AUTHOR_TIME;
    log->is_commit_skipped = false;
    log->at_ms = 0;
    log->user_size = 0;
}

static void read_header_field(struct git_log *log, struct slice token)
{
    if (log->field == FIELD_EMAIL) {
        log->user_size = token.size <= sizeof(log->user) ? token.size : 0;
        if (log->user_size > 0) memcpy(log->user, token.data, log->user_size);
    } else {
        read_time(log, token);
    }
    log->field++;
}

/* "12" or "-" (binary: no line counts). */
static bool read_line_count(struct slice field, uint64_t *out)
{
    *out = 0;
    if (field.size == 1 && field.data[0] == '-') return true;
    return parse_u64(field, out) && *out <= UINT32_MAX;
}

static struct slice shortened(struct git_log *log, struct slice path)
{
    struct hash256 hash = hash256_of(path);
    char name[18];
    struct text t = text_of(name, sizeof(name));
    text_add(&t, "~");
    text_add_hex(&t, hash.bytes, 8);
    memcpy(log->path, path.data, GIT_LOG_KEPT);
    memcpy(log->path + GIT_LOG_KEPT, name, 17);
    log->paths_shortened++;
    return slice_of(log->path, KEY_SIZE_MAX);
}

/* One numstat entry. Returns false when there is nothing to report. */
static bool read_file(struct git_log *log, struct slice token, struct git_log_event *out)
{
    if (token.size > 0 && token.data[0] == '\n') token = slice_of(token.data + 1, token.size - 1);
    if (token.size == 0) return false; /* a commit that touches nothing */
    const uint8_t *end = token.data + token.size;
    const uint8_t *first = memchr(token.data, '\t', token.size);
    const uint8_t *second =
        first != NULL ? memchr(first + 1, '\t', (size_t)(end - first - 1)) : NULL;
    uint64_t added = 0;
    uint64_t deleted = 0;
    if (second == NULL || second + 1 == end || log->is_token_cut ||
        !read_line_count(slice_of(token.data, (size_t)(first - token.data)), &added) ||
        !read_line_count(slice_of(first + 1, (size_t)(second - first - 1)), &deleted)) {
        log->entries_unreadable++;
        return false;
    }
    if (log->is_commit_skipped) return false;
    struct slice path = slice_of(second + 1, (size_t)(end - second - 1));
    *out = (struct git_log_event){
        .path = path.size > KEY_SIZE_MAX ? shortened(log, path) : path,
        .user = slice_of(log->user, log->user_size),
        .at_ms = log->at_ms,
        .weight = added + deleted > 0 ? added + deleted : 1,
    };
    log->events++;
    return true;
}

/* One whole field. Returns true when it gave an event. */
static bool read_token(struct git_log *log, struct git_log_event *out)
{
    struct slice token = slice_of(log->token, log->token_size);
    bool is_start = log->field == FIELD_FILES && token.size > 0 && token.data[0] == COMMIT_START;
    bool has_event = false;
    if (is_start) {
        start_commit(log);
    } else if (log->field != FIELD_FILES) {
        read_header_field(log, token);
    } else {
        has_event = read_file(log, token, out);
    }
    log->token_size = 0;
    log->is_token_cut = false;
    return has_event;
}

bool git_log_next(struct git_log *log, struct git_log_event *out)
{
    while (log->input.size > 0) {
        const uint8_t *start = log->input.data;
        const uint8_t *nul = memchr(start, 0, log->input.size);
        size_t size = nul != NULL ? (size_t)(nul - start) : log->input.size;
        size_t room = sizeof(log->token) - log->token_size;
        size_t kept = size < room ? size : room;
        memcpy(log->token + log->token_size, start, kept);
        log->token_size += kept;
        if (kept < size) log->is_token_cut = true;
        size_t used = nul != NULL ? size + 1 : size;
        log->input = slice_of(start + used, log->input.size - used);
        if (nul != NULL && read_token(log, out)) return true;
    }
    return false;
}
