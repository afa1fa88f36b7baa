/* log_verify_tail: what stands behind the last whole batch of a segment without a footer. The rows
 * are those by which a start decides between a torn tail and a rotten record (docs/FORMAT.md), so
 * that verify says before a start what the start will say:
 *
 *     the stop is at or below what was acknowledged               damage
 *     a later segment exists that does not go on here             damage
 *     only zeros or old bytes follow, or the beginning of a footer the end
 *     whole sectors of the damaged batch are missing              torn
 *     the damaged batch ends in zeros, or the file ends in it     torn
 *     it is all there and does not verify                         damage: it cannot be told apart
 *
 * Torn means that a crash cut a write off whose end nobody was told about.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "cli/log_verify.h"

#define PIECE_SIZE  (64 * KIB)
#define SECTOR_SIZE 512u
#define HEADER_ROOM 32u /* at the end of a batch header, zero in this version */

struct tail {
    const struct log_file *file;
    int fd;
    uint64_t offset;      /* of the stop */
    uint64_t content_end; /* behind the last byte neither zero nor old; offset: none is */
    uint64_t damage_end;  /* where the damaged batch's last bytes that need not be zero end */
    uint64_t batch_end;   /* where the damaged batch ends */
    bool is_footer;       /* a footer begins here */
    bool has_zero_sector; /* in the damaged batch */
};

static bool is_all_zero(const uint8_t *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != 0) return false;
    }
    return true;
}

/* What stands there, with zeros in place of what a recycled file held before. */
static enum code read_tail(const struct tail *tail, uint64_t offset, void *out, size_t size,
                           size_t *out_size, struct err *e)
{
    int fd = tail->fd;
    struct stale_view view = {.map = &tail->file->stale, .source = log_fd_source, .context = &fd};
    return stale_view_read(&view, offset, out, size, out_size, e);
}

static enum code find_content_end(struct log_check *check, struct tail *tail, struct err *e)
{
    tail->content_end = tail->offset;
    for (uint64_t at = tail->offset; at < tail->file->size; at += PIECE_SIZE) {
        size_t got = 0;
        uint64_t left = tail->file->size - at;
        size_t size = left < PIECE_SIZE ? (size_t)left : PIECE_SIZE;
        TRY(read_tail(tail, at, check->window, size, &got, e));
        while (got > 0 && check->window[got - 1] == 0) {
            got--;
        }
        if (got > 0) tail->content_end = at + got;
    }
    return OK;
}

/* How far the damaged batch reaches: as its header says, else only the header is known. */
static enum code find_damage(struct log_check *check, struct tail *tail, struct err *e)
{
    uint8_t bytes[BATCH_HEADER_SIZE];
    struct batch_header header;
    struct log_identity id = log_dir_identity(check->dir, tail->file);
    size_t got = 0;
    tail->damage_end = tail->offset + BATCH_HEADER_SIZE - HEADER_ROOM;
    tail->batch_end = tail->offset + BATCH_HEADER_SIZE;
    TRY(read_tail(tail, tail->offset, bytes, sizeof(bytes), &got, e));
    if (got == sizeof(bytes) && batch_header_decode(bytes, &id, &header) == BATCH_OK) {
        tail->damage_end = tail->offset + BATCH_HEADER_SIZE + header.payload_size;
        tail->batch_end = tail->damage_end;
    }
    uint64_t sector = tail->offset / SECTOR_SIZE * SECTOR_SIZE;
    for (; sector < tail->damage_end; sector += SECTOR_SIZE) {
        uint8_t piece[SECTOR_SIZE];
        uint64_t from = sector < tail->offset ? tail->offset : sector;
        TRY(read_tail(tail, from, piece, (size_t)(sector + SECTOR_SIZE - from), &got, e));
        if (is_all_zero(piece, got)) tail->has_zero_sector = true;
    }
    return OK;
}

/* A footer stands here although the file is not sealed by it. Sealing writes the footer, then cuts
 * the file to it: a file that is cut was sealed whole, so its footer is damaged. */
static enum code check_remains(struct log_check *check, struct tail *tail, struct err *e)
{
    char name[LOG_NAME_SIZE];
    uint8_t start[16] = {0}; /* magic, size with trailer */
    size_t size = 0;
    log_file_name(tail->file, name);
    TRY(read_tail(tail, tail->offset, start, sizeof(start), &size, e));
    tail->is_footer = memcmp(start, SEGMENT_FOOTER_MAGIC, 8) == 0;
    uint8_t trailer[SEGMENT_TRAILER_SIZE] = {0};
    TRY(host_pread(tail->fd, tail->file->size - sizeof(trailer), trailer, sizeof(trailer), &size,
                   e));
    bool has_trailer = memcmp(trailer + 48, "TIDEEND2", 8) == 0;
    bool is_cut = tail->is_footer && load_u32(start + 8) == tail->file->size - tail->offset;
    if (!has_trailer && !is_cut) return OK;
    return log_found_at(check, name, tail->offset, SEQNO_NONE,
                        "the segment was sealed, but its footer does not verify");
}

/* Does a later segment go on exactly here? Does any later one exist? */
static void look_ahead(const struct log_check *check, const struct log_file *file,
                       bool *out_continues, bool *out_exists)
{
    const struct log_dir *dir = check->dir;
    for (const struct log_file *next = file + 1; next < dir->files + dir->segment_count; next++) {
        if (next->header.first.v == file->header.first.v) continue;
        *out_exists = true;
        *out_continues = next->header.first.v == check->at.seqno.v + 1 &&
                         hash256_equal(&next->header.chain_at_start, &check->at.chain);
        return;
    }
}

enum code log_find_evidence(struct log_check *check, const struct log_place *place,
                            bool is_own_only, struct reader_evidence *out, struct err *e)
{
    int fd = place->fd;
    const struct identity *identity = &check->dir->identity;
    struct reader_input input = {
        .source = log_fd_source,
        .context = &fd,
        .id = log_dir_identity(check->dir, place->file),
        .start = check->at,
        .offset = place->offset,
        .limit = place->file->size,
        .buffer = check->window,
        .buffer_size = LOG_WINDOW_SIZE,
    };
    uint32_t epoch_count = 0;
    const uint64_t *epochs = identity_written_epochs(identity, &epoch_count);
    return reader_find_evidence(&input, is_own_only ? epochs : NULL, epoch_count, out, e);
}

static void note_torn(struct log_check *check, const struct tail *tail, const char *name)
{
    check->report->is_tail_cut = true;
    log_note(check,
             "%s ends in %llu torn bytes after record %llu: a write that a crash cut off and that "
             "was never acknowledged; the next start puts them aside",
             name, (unsigned long long)(tail->content_end - tail->offset),
             (unsigned long long)check->at.seqno.v);
}

static enum code judge_stop(struct log_check *check, const struct tail *tail, enum reader_stop stop,
                            struct err *e)
{
    char name[LOG_NAME_SIZE];
    log_file_name(tail->file, name);
    const struct log_dir *dir = check->dir;
    seqno first_gone = seqno_next(check->at.seqno);
    struct reader_evidence evidence = {0};
    /* A running server appends behind the stop: only what it acknowledged before we looked counts.
     */
    if (!dir->is_in_use) {
        struct log_place place = {.file = tail->file, .fd = tail->fd, .offset = tail->offset};
        TRY(log_find_evidence(check, &place, true, &evidence, e));
    }
    seqno durable = evidence.durable_through;
    if (dir->has_mark) durable = seqno_max(durable, dir->mark.durable.seqno);
    if (first_gone.v <= durable.v) {
        return log_found_at(check, name, tail->offset, first_gone,
                            "%s; everything up to record %llu was acknowledged",
                            reader_stop_text(stop), (unsigned long long)durable.v);
    }
    if (dir->is_in_use) return OK;
    bool is_cut_short = tail->content_end < tail->damage_end || tail->file->size < tail->batch_end;
    if (tail->has_zero_sector || is_cut_short) {
        note_torn(check, tail, name);
        return OK;
    }
    return log_found_at(check, name, tail->offset, first_gone,
                        "%s; it does not look like a torn write, so whether it was acknowledged "
                        "cannot be told",
                        reader_stop_text(stop));
}

enum code log_check_tail(struct log_check *check, const struct log_file *file, int fd,
                         const struct reader *reader, enum reader_stop stop, struct err *e)
{
    char name[LOG_NAME_SIZE];
    struct tail tail = {.file = file, .fd = fd, .offset = reader->offset};
    bool continues = false;
    bool has_later = false;
    log_file_name(file, name);
    if (!check->dir->is_in_use) TRY(check_remains(check, &tail, e));
    look_ahead(check, file, &continues, &has_later);
    if (continues) return OK; /* the next start seals it */
    seqno first_gone = seqno_next(check->at.seqno);
    if (has_later) {
        return log_found_at(check, name, tail.offset, first_gone,
                            "%s, and a later segment does not go on here", reader_stop_text(stop));
    }
    TRY(find_content_end(check, &tail, e));
    TRY(find_damage(check, &tail, e));
    bool is_clean = tail.is_footer || tail.content_end == tail.offset;
    bool is_acknowledged = check->dir->has_mark && first_gone.v <= check->dir->mark.durable.seqno.v;
    if (!is_clean || is_acknowledged) return judge_stop(check, &tail, stop, e);
    check->report->is_tail_cut = true;
    log_note(check, "%s is not sealed: its last batch ends at offset %llu, %s", name,
             (unsigned long long)tail.offset,
             tail.is_footer ? "behind it stands a footer that a crash cut off"
                            : "nothing that was written follows");
    return OK;
}
