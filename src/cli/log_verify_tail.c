/* log_verify_tail: what stands behind the last whole batch of a segment without a footer. The rows
 * are those by which a start decides between a torn tail and a rotten record, so that verify says
 * before a start what the start will say:
 *
 *     the stop is at or below what was acknowledged            damage
 *     a later segment exists that does not go on here          damage
 *     only zeros follow                                        the end
 *     a mark is there, or later batches that count, or whole
 *     sectors of the last write are missing                    torn: nobody was told about it
 *     none of these                                            damage: it cannot be told apart
 */
#include <stdio.h>

#include "base/bytes.h"
#include "cli/log_verify.h"

#define PIECE_SIZE  (64 * KIB)
#define SECTOR_SIZE 512u

struct tail {
    const struct log_file *file;
    int fd;
    uint64_t offset;      /* of the stop */
    uint64_t end;         /* behind the last byte that is not zero; offset: all are zero */
    bool has_zero_sector; /* between offset and end */
};

static size_t zeros_at(const uint8_t *bytes, size_t size)
{
    size_t i = 0;
    while (i < size && bytes[i] == 0) {
        i++;
    }
    return i;
}

/* Look at every byte behind the stop. */
static enum code look(struct log_check *check, struct tail *tail, struct err *e)
{
    tail->end = tail->offset;
    uint64_t zero_from = tail->offset / SECTOR_SIZE * SECTOR_SIZE;
    uint64_t first_zero_sector = UINT64_MAX;
    for (uint64_t at = zero_from; at < tail->file->size; at += SECTOR_SIZE) {
        uint64_t piece = (at - zero_from) % PIECE_SIZE;
        if (piece == 0) {
            size_t got = 0;
            TRY(host_pread(tail->fd, at, check->window, PIECE_SIZE, &got, e));
            memset(check->window + got, 0, PIECE_SIZE - got);
            if (at < tail->offset) memset(check->window, 0, (size_t)(tail->offset - at));
        }
        const uint8_t *sector = check->window + piece;
        if (zeros_at(sector, SECTOR_SIZE) == SECTOR_SIZE) {
            if (first_zero_sector == UINT64_MAX && at >= tail->offset) first_zero_sector = at;
            continue;
        }
        size_t last = SECTOR_SIZE;
        while (sector[last - 1] == 0) {
            last--;
        }
        tail->end = at + last;
    }
    tail->has_zero_sector = first_zero_sector < tail->end;
    return OK;
}

/* A footer stands here although the file is not sealed by it. Sealing writes the footer, then cuts
 * the file to it: a file that is cut was sealed whole, so its footer is damaged. */
static enum code check_remains(struct log_check *check, const struct tail *tail,
                               bool *out_is_footer, struct err *e)
{
    char name[LOG_NAME_SIZE];
    uint8_t start[16] = {0}; /* magic, size with trailer */
    size_t size = 0;
    log_file_name(tail->file, name);
    TRY(host_pread(tail->fd, tail->offset, start, sizeof(start), &size, e));
    *out_is_footer = memcmp(start, SEGMENT_FOOTER_MAGIC, 8) == 0;
    uint8_t trailer[SEGMENT_TRAILER_SIZE] = {0};
    TRY(host_pread(tail->fd, tail->file->size - sizeof(trailer), trailer, sizeof(trailer), &size,
                   e));
    bool has_trailer = memcmp(trailer + 48, "TIDEEND2", 8) == 0;
    bool is_cut = *out_is_footer && load_u32(start + 8) == tail->file->size - tail->offset;
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

/* The highest record behind the stop that a later batch of this node's own leadership proves to
 * have been durable. */
static enum code find_evidence(struct log_check *check, const struct tail *tail, seqno *out_durable,
                               uint64_t *out_count, struct err *e)
{
    const struct log_dir *dir = check->dir;
    int fd = tail->fd;
    struct reader_input input = {
        .source = log_fd_source,
        .context = &fd,
        .id = log_dir_identity(dir, tail->file),
        .start = check->at,
        .offset = tail->offset,
        .limit = tail->file->size,
        .buffer = check->window,
        .buffer_size = LOG_WINDOW_SIZE,
    };
    struct reader_evidence evidence = {0};
    TRY(reader_find_evidence(&input, dir->identity.led, dir->identity.led_count, &evidence, e));
    *out_durable = evidence.durable_through;
    *out_count = evidence.count;
    return OK;
}

static void note_torn(struct log_check *check, const struct tail *tail, const char *name)
{
    check->report->is_tail_cut = true;
    log_note(check,
             "%s ends in %llu torn bytes after record %llu: a write that a crash cut off and that "
             "was never acknowledged; the next start puts them aside",
             name, (unsigned long long)(tail->end - tail->offset),
             (unsigned long long)check->at.seqno.v);
}

static enum code judge(struct log_check *check, const struct tail *tail, enum reader_stop stop,
                       struct err *e)
{
    char name[LOG_NAME_SIZE];
    log_file_name(tail->file, name);
    const struct log_dir *dir = check->dir;
    seqno first_gone = seqno_next(check->at.seqno);
    seqno durable = SEQNO_NONE;
    uint64_t later = 0;
    /* A running server appends behind the stop: only what it acknowledged before we looked counts.
     */
    if (!dir->is_in_use) TRY(find_evidence(check, tail, &durable, &later, e));
    if (dir->has_mark) durable = seqno_max(durable, dir->mark.durable.seqno);
    if (first_gone.v <= durable.v) {
        return log_found_at(check, name, tail->offset, first_gone,
                            "%s; everything up to record %llu was acknowledged",
                            reader_stop_text(stop), (unsigned long long)durable.v);
    }
    if (dir->is_in_use) return OK;
    if (dir->has_mark || later > 0 || tail->has_zero_sector) {
        note_torn(check, tail, name);
        return OK;
    }
    return log_found_at(check, name, tail->offset, first_gone,
                        "%s; whether it was acknowledged cannot be told without a mark",
                        reader_stop_text(stop));
}

enum code log_check_tail(struct log_check *check, const struct log_file *file, int fd,
                         const struct reader *reader, enum reader_stop stop, struct err *e)
{
    char name[LOG_NAME_SIZE];
    struct tail tail = {.file = file, .fd = fd, .offset = reader->offset};
    bool is_footer = false;
    bool continues = false;
    bool has_later = false;
    log_file_name(file, name);
    if (!check->dir->is_in_use) TRY(check_remains(check, &tail, &is_footer, e));
    look_ahead(check, file, &continues, &has_later);
    if (continues) return OK; /* the next start seals it */
    TRY(look(check, &tail, e));
    seqno first_gone = seqno_next(check->at.seqno);
    if (has_later) {
        return log_found_at(check, name, tail.offset, first_gone,
                            "%s, and a later segment does not go on here", reader_stop_text(stop));
    }
    bool is_clean = is_footer || tail.end == tail.offset;
    bool is_acknowledged = check->dir->has_mark && first_gone.v <= check->dir->mark.durable.seqno.v;
    if (!is_clean || is_acknowledged) return judge(check, &tail, stop, e);
    check->report->is_tail_cut = true;
    log_note(check, "%s is not sealed: its last batch ends at offset %llu, %s", name,
             (unsigned long long)tail.offset,
             is_footer ? "behind it stands a footer that a crash cut off" : "only zeros follow");
    return OK;
}
