/* reseal: see reseal.h. */
#include "engine/reseal.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"
#include "engine/quarantine.h"

#define COPY_SIZE   (256 * KIB)
#define SECTOR_SIZE 512u

enum code scan_source(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                      struct err *e)
{
    struct scan *s = context;
    return s->env->v->pread(s->env, s->file, offset, out, size, out_read, e);
}

enum code scan_batches(struct scan *s, const struct position *start, uint64_t offset, struct err *e)
{
    s->segment = (struct log_segment){
        .file_id = s->header.file_id,
        .first = s->header.first,
        .last = seqno_of(s->header.first.v - 1),
        .start = *start,
        .end = *start,
        .data_end = SEGMENT_HEADER_SIZE,
        .size_limit = s->header.size_limit,
        .is_sealed = true,
    };
    struct reader reader;
    struct reader_input input = {
        .source = scan_source,
        .context = s,
        .id = s->id,
        .start = *start,
        .offset = offset,
        .limit = s->file_size,
        .buffer = s->window,
        .buffer_size = s->window_size,
    };
    reader_init(&reader, &input);
    for (;;) {
        struct reader_batch batch;
        s->stop = STOP_ZEROS;
        enum reader_result result = reader_next(&reader, &batch, &s->stop, e);
        if (result == READER_IO) return E_IO;
        if (result != READER_BATCH) return OK;
        uint64_t at = batch.offset - offset + SEGMENT_HEADER_SIZE;
        if (!log_segment_note_batch(&s->segment, &batch.header, at, &batch.position)) {
            return ERR(e, E_NOMEMORY, "no memory for a seek index");
        }
        if (s->last.v > 0 && s->segment.last.v >= s->last.v) return OK;
    }
}

enum code scan_unsealed(struct scan *s, const struct position *start, struct err *e)
{
    char path[LOG_PATH_SIZE];
    log_path(s->header.file_id, path);
    TRY(s->env->v->open(s->env, path, ENV_READ | ENV_UNCACHED, &s->file, e));
    return scan_batches(s, start, SEGMENT_HEADER_SIZE, e);
}

void scan_fini(struct scan *s)
{
    s->env->v->close(s->env, s->file);
    s->file = NULL;
    free(s->segment.seeks);
    s->segment.seeks = NULL;
}

/* The same, with zeros where the bytes are older than the segment: for judging what does not
 * verify.
 */
static enum code judge_source(struct scan *s, uint64_t offset, void *out, size_t size,
                              size_t *out_read, struct err *e)
{
    struct stale_view view = {.map = s->stale, .source = scan_source, .context = s};
    return stale_view_read(&view, offset, out, size, out_read, e);
}

static bool is_all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

/* Offset after the last byte of the file that is neither zero nor old; data_end when all are. */
static enum code find_tail_end(struct scan *s, uint64_t *out, struct err *e)
{
    *out = s->segment.data_end;
    for (uint64_t at = s->segment.data_end; at < s->file_size;) {
        size_t got;
        size_t size = s->file_size - at < COPY_SIZE ? (size_t)(s->file_size - at) : COPY_SIZE;
        TRY(judge_source(s, at, s->window, size, &got, e));
        if (got == 0) break;
        for (size_t i = got; i > 0; i--) {
            if (s->window[i - 1] == 0) continue;
            *out = at + i;
            break;
        }
        at += got;
    }
    return OK;
}

#define HEADER_ROOM 32u /* at the end of a batch header, zero in this version */

/* The damaged batch reaches from data_end to what its header says; without a readable header only
 * the header is known to be there. *out: where its last bytes that are not zero by themselves end;
 * *out_file_end: where a whole batch ends. */
static enum code find_damage_end(struct scan *s, uint64_t *out, uint64_t *out_file_end,
                                 struct err *e)
{
    uint64_t at = s->segment.data_end;
    uint8_t bytes[BATCH_HEADER_SIZE];
    size_t got;
    struct batch_header header;
    *out = at + BATCH_HEADER_SIZE - HEADER_ROOM;
    *out_file_end = at + BATCH_HEADER_SIZE;
    TRY(judge_source(s, at, bytes, sizeof(bytes), &got, e));
    if (got == sizeof(bytes) && batch_header_decode(bytes, &s->id, &header) == BATCH_OK) {
        *out = at + BATCH_HEADER_SIZE + header.payload_size;
        *out_file_end = *out;
    }
    return OK;
}

static enum code find_missing_sector(struct scan *s, uint64_t damage_end, bool *out, struct err *e)
{
    uint64_t sector = s->segment.data_end / SECTOR_SIZE * SECTOR_SIZE;
    for (; sector < damage_end; sector += SECTOR_SIZE) {
        uint8_t bytes[SECTOR_SIZE] = {0};
        size_t got;
        uint64_t from = sector < s->segment.data_end ? s->segment.data_end : sector;
        TRY(judge_source(s, from, bytes, (size_t)(sector + SECTOR_SIZE - from), &got, e));
        if (is_all_zero(bytes, got)) {
            *out = true;
            return OK;
        }
    }
    return OK;
}

/* A footer is written only after every batch before it was synced: its remains are no batch. Its
 * first bytes or the trailer at the end of the file tell. */
static enum code find_footer(struct scan *s, bool *out, struct err *e)
{
    uint8_t magic[8] = {0};
    uint8_t trailer[SEGMENT_TRAILER_SIZE] = {0};
    size_t got;
    TRY(judge_source(s, s->segment.data_end, magic, sizeof(magic), &got, e));
    *out = memcmp(magic, SEGMENT_FOOTER_MAGIC, sizeof(magic)) == 0;
    if (*out || s->file_size < s->segment.data_end + sizeof(trailer)) return OK;
    uint64_t offset;
    uint32_t size;
    TRY(judge_source(s, s->file_size - sizeof(trailer), trailer, sizeof(trailer), &got, e));
    *out = got == sizeof(trailer) &&
           segment_trailer_decode(trailer, s->id.log_key, s->file_size, &offset, &size) &&
           offset == s->segment.data_end;
    return OK;
}

enum code scan_after(struct scan *s, struct scan_damage *out, struct err *e)
{
    uint64_t tail_end;
    *out = (struct scan_damage){0};
    TRY(find_tail_end(s, &tail_end, e));
    out->is_zero = tail_end == s->segment.data_end;
    bool is_footer;
    TRY(find_footer(s, &is_footer, e));
    if (is_footer) out->is_zero = true;
    uint64_t damage_end;
    uint64_t file_end;
    TRY(find_damage_end(s, &damage_end, &file_end, e));
    out->is_cut_short = tail_end < damage_end || s->file_size < file_end;
    return find_missing_sector(s, damage_end, &out->has_missing_sector, e);
}

struct copy_target {
    struct env_file *file;
    uint64_t offset;
    struct piece_hasher *pieces; /* fed with what is copied; NULL: not hashed */
};

/* Copy [from, end) of the scanned file to the target. */
static enum code copy_range(struct scan *s, uint64_t from, uint64_t end, struct copy_target *to,
                            struct err *e)
{
    while (from < end) {
        size_t size = end - from < COPY_SIZE ? (size_t)(end - from) : COPY_SIZE;
        size_t got;
        TRY(scan_source(s, from, s->window, size, &got, e));
        if (got != size) {
            return ERR(e, E_IO, "log/%016llx.seg became shorter while it was read",
                       (unsigned long long)s->header.file_id);
        }
        TRY(s->env->v->pwrite(s->env, to->file, to->offset, slice_of(s->window, size), e));
        if (to->pieces && !piece_hasher_feed(to->pieces, slice_of(s->window, size))) {
            return ERR(e, E_NOMEMORY, "no memory to hash a segment");
        }
        from += size;
        to->offset += size;
    }
    return OK;
}

enum code quarantine_tail(struct scan *s, struct recovery_report *report, struct err *e)
{
    struct env *env = s->env;
    uint64_t tail_end;
    TRY(find_tail_end(s, &tail_end, e));
    char path[QUARANTINE_PATH_SIZE];
    quarantine_path(s->segment.end.seqno.v + 1, s->header.file_id, "torn", path);
    struct env_file *file = NULL;
    TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE, &file, e));
    struct copy_target to = {.file = file};
    enum code code = copy_range(s, s->segment.data_end, tail_end, &to, e);
    if (code == OK) code = env->v->truncate(env, file, tail_end - s->segment.data_end, e);
    if (code == OK) code = env->v->sync(env, file, e);
    env->v->close(env, file);
    TRY(code);
    TRY(env->v->sync_dir(env, "quarantine", e));
    report->discarded_bytes += tail_end - s->segment.data_end;
    report->discarded_after = s->segment.end.seqno;
    return OK;
}

enum code quarantine_file(struct env *env, const char *path, uint64_t file_id, struct err *e)
{
    char to[QUARANTINE_PATH_SIZE];
    quarantine_path(0, file_id, "torn", to);
    TRY(env->v->rename(env, path, to, e));
    TRY(env->v->sync_dir(env, "quarantine", e));
    return env->v->sync_dir(env, "log", e);
}

static enum code write_footer(struct scan *s, struct env_file *file, struct piece_hasher *pieces,
                              struct err *e)
{
    if (!piece_hasher_finish(pieces)) return ERR(e, E_NOMEMORY, "no memory to hash a segment");
    struct segment_footer footer = {
        .first = s->segment.first,
        .last = s->segment.last,
        .batch_count = s->segment.batch_count,
        .last_epoch = s->segment.end.epoch,
        .chain_at_end = s->segment.end.chain,
        .data_end = s->segment.data_end,
        .payload_bytes = s->segment.payload_bytes,
        .seek_count = s->segment.seek_count,
        .chunk_count = pieces->count,
        .seeks = s->segment.seeks,
        .chunks = pieces->pieces,
    };
    size_t size = segment_footer_size(footer.seek_count, footer.chunk_count);
    uint8_t *bytes = malloc(size);
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory for a footer");
    segment_footer_encode(&footer, s->id.log_key, bytes);
    enum code code = s->env->v->pwrite(s->env, file, s->segment.data_end, slice_of(bytes, size), e);
    free(bytes);
    return code;
}

enum code scan_write_sealed(struct scan *s, uint64_t offset, const char *path, struct err *e)
{
    struct env *env = s->env;
    uint8_t bytes[SEGMENT_HEADER_SIZE];
    segment_header_encode(&s->header, bytes);
    struct piece_hasher pieces = {0};
    piece_hasher_reset(&pieces);
    struct env_file *file = NULL;
    TRY(env->v->open(env, path, ENV_WRITE | ENV_CREATE, &file, e));
    enum code code = env->v->truncate(env, file, 0, e); /* a copy that a crash cut short */
    if (code == OK) code = env->v->pwrite(env, file, 0, slice_of(bytes, sizeof(bytes)), e);
    if (code == OK && !piece_hasher_feed(&pieces, slice_of(bytes, sizeof(bytes)))) {
        code = ERR(e, E_NOMEMORY, "no memory to hash a segment");
    }
    if (code == OK) {
        struct copy_target to = {.file = file, .offset = SEGMENT_HEADER_SIZE, .pieces = &pieces};
        uint64_t end = offset + s->segment.data_end - SEGMENT_HEADER_SIZE;
        code = copy_range(s, offset, end, &to, e);
    }
    if (code == OK) code = write_footer(s, file, &pieces, e);
    if (code == OK) code = env->v->sync(env, file, e);
    env->v->close(env, file);
    piece_hasher_fini(&pieces);
    return code;
}

static enum code write_copy(struct scan *s, uint64_t file_id, struct err *e)
{
    char path[LOG_PATH_SIZE];
    struct segment_header old = s->header;
    log_path(file_id, path);
    s->header.file_id = file_id;
    enum code code = scan_write_sealed(s, SEGMENT_HEADER_SIZE, path, e);
    s->header = old;
    TRY(code);
    return s->env->v->sync_dir(s->env, "log", e);
}

enum code reseal(struct scan *s, uint64_t file_id, struct err *e)
{
    char old_path[LOG_PATH_SIZE];
    log_path(s->header.file_id, old_path);
    if (s->segment.batch_count > 0) {
        TRY(write_copy(s, file_id, e));
        s->segment.file_id = file_id;
    }
    TRY(s->env->v->unlink(s->env, old_path, e));
    return s->env->v->sync_dir(s->env, "log", e);
}
