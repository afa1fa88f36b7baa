/* recover_files: which files log/ holds. Segments are told from spares and from files whose header
 * does not verify; the latter are kept, untouched, until it is known whether they held something
 * that was acknowledged: a single flipped bit in a header must not cost a whole segment. */
#include <stdlib.h>

#include "engine/log_internal.h"
#include "engine/recover_internal.h"
#include "engine/reseal.h"
#include "format/reader.h"

enum code recover_rotten(const struct recovery *r, uint64_t file_id, uint64_t offset, seqno first,
                         const char *why, struct err *e)
{
    seqno known = r->has_mark ? r->mark.durable.seqno : SEQNO_NONE;
    return ERR(
        e, E_ROTTEN,
        "log/%016llx.seg is damaged at offset %llu (%s): record %llu was acknowledged (known "
        "durable: %llu); " RECOVER_REMEDY,
        (unsigned long long)file_id, (unsigned long long)offset, why, (unsigned long long)first.v,
        (unsigned long long)known.v);
}

/* --- one file --- */

static enum code read_trailer(struct recovery *r, struct env_file *file, struct found *f,
                              struct err *e)
{
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    size_t got;
    uint64_t offset;
    uint32_t size;
    if (f->file_size <= SEGMENT_TRAILER_SIZE) return OK;
    TRY(r->env->v->pread(r->env, file, f->file_size - SEGMENT_TRAILER_SIZE, trailer,
                         sizeof(trailer), &got, e));
    f->is_sealed = got == sizeof(trailer) &&
                   segment_trailer_decode(trailer, r->id.log_key, f->file_size, &offset, &size);
    return OK;
}

struct plain_source {
    struct env *env;
    struct env_file *file;
};

static enum code read_plain(void *context, uint64_t offset, void *out, size_t size,
                            size_t *out_read, struct err *e)
{
    struct plain_source *s = context;
    return s->env->v->pread(s->env, s->file, offset, out, size, out_read, e);
}

/* A recycled file that is not sealed (again) ends with a map of its old bytes. One that does not
 * verify is no map: then everything in the file is taken for written. */
static enum code read_stale(struct recovery *r, struct env_file *file, struct found *f,
                            struct err *e)
{
    uint8_t trailer[STALE_TRAILER_SIZE];
    size_t got = 0;
    struct stale_map map;
    if (f->is_sealed || f->file_size <= sizeof(trailer)) return OK;
    TRY(r->env->v->pread(r->env, file, f->file_size - sizeof(trailer), trailer, sizeof(trailer),
                         &got, e));
    bool is_there =
        got == sizeof(trailer) && stale_trailer_decode(trailer, r->id.log_key, f->file_size, &map);
    if (!is_there) return OK;
    size_t size = stale_map_size(map.limit);
    f->stale_bytes = malloc(size);
    if (!f->stale_bytes) return ERR(e, E_NOMEMORY, "no memory for the map of a recycled segment");
    TRY(r->env->v->pread(r->env, file, map.offset, f->stale_bytes, size, &got, e));
    if (!stale_sums_decode(&map, slice_of(f->stale_bytes, got), r->id.log_key)) return OK;
    f->stale = map;
    f->file_size = map.offset;
    return OK;
}

static enum code read_header(struct recovery *r, struct env_file *file, struct found *f,
                             enum segment_verdict *out_verdict, struct err *e)
{
    uint8_t bytes[SEGMENT_HEADER_SIZE] = {0};
    size_t got = 0;
    TRY(r->env->v->pread(r->env, file, 0, bytes, sizeof(bytes), &got, e));
    TRY(r->env->v->size(r->env, file, &f->file_size, e));
    *out_verdict = segment_header_decode(bytes, &f->header);
    if (*out_verdict == SEGMENT_OK && f->header.file_id != f->file_id) *out_verdict = SEGMENT_BAD;
    if (*out_verdict == SEGMENT_OK) TRY(read_trailer(r, file, f, e));
    return read_stale(r, file, f, e);
}

/* Offset behind the last byte that is neither zero nor old. */
static enum code measure_content(struct recovery *r, struct env_file *file, const struct found *f,
                                 uint64_t *out, struct err *e)
{
    struct plain_source plain = {.env = r->env, .file = file};
    struct stale_view view = {.map = &f->stale, .source = read_plain, .context = &plain};
    uint64_t file_size = f->file_size;
    *out = 0;
    for (uint64_t at = 0; at < file_size;) {
        size_t got;
        uint64_t left = file_size - at;
        size_t size = left < r->window_size ? (size_t)left : r->window_size;
        TRY(stale_view_read(&view, at, r->window, size, &got, e));
        if (got == 0) return OK;
        size_t used = got;
        while (used > 0 && r->window[used - 1] == 0) {
            used--;
        }
        if (used > 0) *out = at + used;
        at += got;
    }
    return OK;
}

static enum code add_headless(struct recovery *r, struct env_file *file, const struct found *f,
                              struct err *e)
{
    struct headless h = {.file_id = f->file_id, .file_size = f->file_size};
    TRY(measure_content(r, file, f, &h.content_size, e));
    if (h.content_size > 0 && h.file_id > r->segment_id_max) r->segment_id_max = h.file_id;
    r->headless[r->headless_count++] = h;
    return OK;
}

static enum code add_segment(struct recovery *r, const struct found *f, struct err *e)
{
    if (!id128_equal(&f->header.cluster, &r->id.cluster) ||
        !stream_equal(f->header.stream, r->id.stream) || f->header.log_key != r->id.log_key) {
        return ERR(e, E_WRONG_CLUSTER,
                   "log/%016llx.seg belongs to another cluster or stream than identity says; "
                   "move it out of the directory",
                   (unsigned long long)f->file_id);
    }
    if (f->file_id > r->segment_id_max) r->segment_id_max = f->file_id;
    r->found[r->found_count++] = *f;
    return OK;
}

static enum code judge_file(struct recovery *r, uint64_t file_id, struct err *e)
{
    char path[LOG_PATH_SIZE];
    log_path(file_id, path);
    struct found f = {.file_id = file_id};
    enum segment_verdict verdict = SEGMENT_EMPTY;
    struct env_file *file = NULL;
    TRY(r->env->v->open(r->env, path, ENV_READ | ENV_UNCACHED, &file, e));
    enum code code = read_header(r, file, &f, &verdict, e);
    if (code == OK && verdict == SEGMENT_NEWER) {
        code =
            ERR(e, E_FORMAT, "%s has a newer format than this build reads (%d); use a newer build",
                path, FORMAT_VERSION);
    }
    if (code == OK) {
        code = verdict == SEGMENT_OK ? add_segment(r, &f, e) : add_headless(r, file, &f, e);
    }
    r->env->v->close(r->env, file);
    bool is_kept = code == OK && verdict == SEGMENT_OK; /* then r->found has the map */
    if (!is_kept) free(f.stale_bytes);
    return code;
}

void recover_free_files(struct recovery *r)
{
    for (size_t i = 0; i < r->found_count; i++) {
        free(r->found[i].stale_bytes);
    }
    free(r->found);
    free(r->headless);
}

/* --- all of them --- */

/* By first record; what begins equally is told apart later. */
static int compare_found(const void *a, const void *b)
{
    const struct found *x = a;
    const struct found *y = b;
    if (x->header.first.v != y->header.first.v) {
        return x->header.first.v < y->header.first.v ? -1 : 1;
    }
    return (x->file_id > y->file_id) - (x->file_id < y->file_id);
}

enum code recover_list(struct recovery *r, struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    TRY(r->env->v->list(r->env, "log", &entries, &count, e));
    enum code code = OK;
    r->found = calloc(count ? count : 1, sizeof(*r->found));
    r->headless = calloc(count ? count : 1, sizeof(*r->headless));
    /* New files never take the numbers of an older generation's, also when all of those are gone:
     * they would be removed with them. */
    if (r->identity->log_first_file > 0) r->file_id_max = r->identity->log_first_file - 1;
    if (!r->found || !r->headless) code = ERR(e, E_NOMEMORY, "no memory to list %zu files", count);
    for (size_t i = 0; code == OK && i < count; i++) {
        uint64_t file_id;
        if (!segment_name_parse(slice_of_text(entries[i].name), &file_id)) continue;
        if (file_id > r->file_id_max) r->file_id_max = file_id;
        if (file_id < r->identity->log_first_file) continue; /* engine/generation removes it */
        code = judge_file(r, file_id, e);
    }
    free(entries);
    TRY(code);
    /* With a mark the records it names are counted instead. */
    if (!r->has_mark && r->segment_id_max < r->identity->last_segment) {
        return ERR(e, E_ROTTEN,
                   "segment log/%016llx.seg is registered in identity and missing; restore "
                   "it, or bootstrap this node from a follower",
                   (unsigned long long)r->identity->last_segment);
    }
    if (r->found_count > 0) qsort(r->found, r->found_count, sizeof(*r->found), compare_found);
    return OK;
}

/* --- files without a header --- */

struct headless_source {
    struct env *env;
    struct env_file *file;
};

static enum code read_source(void *context, uint64_t offset, void *out, size_t size,
                             size_t *out_read, struct err *e)
{
    struct headless_source *s = context;
    return s->env->v->pread(s->env, s->file, offset, out, size, out_read, e);
}

/* What its batches say beyond the end of the log; of these epochs only. */
static enum code read_evidence(struct recovery *r, const struct headless *h, const uint64_t *epochs,
                               uint32_t epoch_count, struct reader_evidence *out, struct err *e)
{
    char path[LOG_PATH_SIZE];
    log_path(h->file_id, path);
    struct headless_source source = {.env = r->env};
    TRY(r->env->v->open(r->env, path, ENV_READ | ENV_UNCACHED, &source.file, e));
    struct reader_input input = {
        .source = read_source,
        .context = &source,
        .id = r->id,
        .start = log_durable(r->log),
        .offset = SEGMENT_HEADER_SIZE,
        .limit = h->file_size,
        .buffer = r->window,
        .buffer_size = r->window_size,
    };
    enum code code = reader_find_evidence(&input, epochs, epoch_count, out, e);
    r->env->v->close(r->env, source.file);
    return code;
}

enum code recover_blame_headless(struct recovery *r, struct err *e)
{
    seqno next = seqno_next(log_durable(r->log).seqno);
    for (size_t i = 0; i < r->headless_count; i++) {
        const struct headless *h = &r->headless[i];
        struct reader_evidence evidence = {0};
        if (h->content_size == 0) continue;
        TRY(read_evidence(r, h, NULL, 0, &evidence, e));
        if (evidence.count == 0) continue;
        return recover_rotten(r, h->file_id, 0, next, "its header does not verify", e);
    }
    return OK;
}

/* Is it the newest segment, registered because its first batch was synced? */
static bool is_registered_newest(const struct recovery *r, const struct headless *h)
{
    for (size_t i = 0; i < r->found_count; i++) {
        if (r->found[i].file_id > h->file_id) return false;
    }
    return h->content_size > 0 && h->file_id == r->identity->last_segment;
}

enum code recover_judge_headless(struct recovery *r, struct err *e)
{
    seqno end = log_durable(r->log).seqno;
    uint32_t epoch_count = 0;
    const uint64_t *epochs = identity_written_epochs(r->identity, &epoch_count);
    for (size_t i = 0; i < r->headless_count; i++) {
        const struct headless *h = &r->headless[i];
        struct reader_evidence evidence = {0};
        if (h->content_size == 0) continue;
        TRY(read_evidence(r, h, epochs, epoch_count, &evidence, e));
        bool is_marked = r->has_mark && r->mark.durable.seqno.v > end.v;
        if (!is_marked && evidence.durable_through.v <= end.v && !is_registered_newest(r, h)) {
            continue;
        }
        return recover_rotten(r, h->file_id, 0, seqno_next(end), "its header does not verify", e);
    }
    return OK;
}

enum code recover_clear_headless(struct recovery *r, struct err *e)
{
    for (size_t i = 0; i < r->headless_count; i++) {
        const struct headless *h = &r->headless[i];
        char path[LOG_PATH_SIZE];
        log_path(h->file_id, path);
        if (h->content_size == 0) {
            TRY(r->env->v->unlink(r->env, path, e));
            continue;
        }
        TRY(quarantine_file(r->env, path, h->file_id, e));
        r->report->discarded_bytes += h->content_size;
        r->report->discarded_after = log_durable(r->log).seqno;
    }
    return OK;
}
