/* log_verify: identity, mark, and the segments in the order of their records. */
#include "cli/log_verify.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/hash.h"
#include "cli/cli.h"

/* --- what is found --- */

__attribute__((format(printf, 3, 0))) static enum code found(struct log_check *check,
                                                             const char *file, const char *format,
                                                             va_list args)
{
    struct text t = text_of(check->damage->file, sizeof(check->damage->file));
    text_add(&t, "%s", file);
    (void)vsnprintf(check->damage->text, sizeof(check->damage->text), format, args); /* may cut */
    return E_CORRUPT;
}

enum code log_found(struct log_check *check, const char *file, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum code code = found(check, file, format, args);
    va_end(args);
    return code;
}

enum code log_found_at(struct log_check *check, const char *file, uint64_t offset, seqno first,
                       const char *format, ...)
{
    va_list args;
    va_start(args, format);
    enum code code = found(check, file, format, args);
    va_end(args);
    check->damage->has_offset = true;
    check->damage->offset = offset;
    check->damage->first = first;
    return code;
}

void log_note(struct log_check *check, const char *format, ...)
{
    struct log_report *report = check->report;
    if (report->note_count == LOG_NOTES_MAX) return;
    va_list args;
    va_start(args, format);
    char *note = report->notes[report->note_count++];
    (void)vsnprintf(note, ERR_TEXT_SIZE, format, args); /* may cut */
    va_end(args);
}

/* --- the small files --- */

static enum code check_identity(struct log_check *check, struct err *e)
{
    const struct log_dir *dir = check->dir;
    static const char *const names[2] = {"identity.a", "identity.b"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const struct err *trouble = &dir->copy_err[i];
        if (trouble->code == OK) continue;
        if (trouble->code == E_FORMAT || trouble->code == E_IO) {
            *e = *trouble;
            return trouble->code;
        }
        if (dir->is_in_use && dir->has_identity) continue; /* being saved just now */
        return log_found(check, names[i], "%s%s", trouble->text,
                         dir->has_identity ? "; the other copy is good and counts" : "");
    }
    return OK;
}

static enum code check_mark(struct log_check *check)
{
    const struct log_dir *dir = check->dir;
    if (dir->mark_size == 0) {
        if (dir->segment_count == 0) return OK;
        log_note(check, "there is no mark: what was acknowledged last is known from the log alone");
        return OK;
    }
    for (size_t slot = 0; slot + MARK_SLOT_SIZE <= dir->mark_size; slot += MARK_SLOT_SIZE) {
        static const uint8_t zeros[MARK_SLOT_SIZE];
        struct mark mark;
        const uint8_t *bytes = dir->mark_bytes + slot;
        bool is_unwritten = memcmp(bytes, zeros, MARK_SLOT_SIZE) == 0;
        bool is_good = mark_decode(slice_of(bytes, MARK_SLOT_SIZE), dir->identity.log_key, &mark);
        if (is_unwritten || is_good || dir->is_in_use) continue;
        return log_found_at(check, "mark", slot, SEQNO_NONE, "the slot does not verify");
    }
    return OK;
}

/* --- positions that other files claim --- */

static void claim(struct log_check *check, const char *file, const struct position *position)
{
    struct log_report *report = check->report;
    if (report->claim_count == LOG_CLAIMS_MAX) return;
    struct log_claim *c = &report->claims[report->claim_count++];
    *c = (struct log_claim){.position = *position};
    struct text t = text_of(c->file, sizeof(c->file));
    text_add(&t, "%s", file);
}

static enum code meet_claims(struct log_check *check, const struct reader_batch *batch,
                             const char *file)
{
    for (size_t i = 0; i < check->report->claim_count; i++) {
        struct log_claim *c = &check->report->claims[i];
        uint64_t number = c->position.seqno.v;
        if (number < batch->header.first.v || number > batch->position.seqno.v) continue;
        c->is_met = position_equal(&c->position, &batch->position);
        if (c->is_met) continue;
        return log_found(check, c->file,
                         "it says that the log stood at %llu-%llu, which %s at offset %llu "
                         "contradicts",
                         (unsigned long long)c->position.epoch, (unsigned long long)number, file,
                         (unsigned long long)batch->offset);
    }
    return OK;
}

static enum code check_claims(struct log_check *check)
{
    for (size_t i = 0; i < check->report->claim_count; i++) {
        const struct log_claim *c = &check->report->claims[i];
        uint64_t number = c->position.seqno.v;
        if (c->is_met || number <= check->dir->identity.log_base.seqno.v) continue;
        if (strcmp(c->file, "mark") == 0) {
            return log_found(check, "log",
                             "the log ends at record %llu, but record %llu was "
                             "acknowledged: a segment is missing or emptied",
                             (unsigned long long)check->at.seqno.v, (unsigned long long)number);
        }
        log_note(check,
                 "%s describes record %llu, beyond the end of the log: the next start ignores it",
                 c->file, (unsigned long long)number);
    }
    return OK;
}

/* --- one segment --- */

struct footer_room {
    uint8_t *bytes;
    size_t size;
    struct segment_footer footer;
};

static enum code read_footer(struct log_check *check, const struct log_file *file, int fd,
                             struct footer_room *room, struct err *e)
{
    char name[LOG_NAME_SIZE];
    size_t size = 0;
    struct err why;
    log_file_name(file, name);
    room->size = file->footer_size;
    room->bytes = cli_take(room->size);
    TRY(host_pread(fd, file->footer_offset, room->bytes, room->size, &size, e));
    uint64_t key = log_dir_identity(check->dir, file).log_key;
    if (segment_footer_decode(slice_of(room->bytes, size), key, &room->footer, &why) != OK) {
        return log_found_at(check, name, file->footer_offset, SEQNO_NONE, "its footer: %s",
                            why.text);
    }
    return OK;
}

/* Every byte before the footer once more, by the hashes of its pieces. */
static enum code check_chunks(struct log_check *check, const struct log_file *file, int fd,
                              const struct segment_footer *footer, struct err *e)
{
    char name[LOG_NAME_SIZE];
    log_file_name(file, name);
    for (uint32_t i = 0; i < footer->chunk_count; i++) {
        uint64_t offset = i * CHUNK_SIZE;
        uint64_t left = footer->data_end - offset;
        size_t size = left < CHUNK_SIZE ? (size_t)left : CHUNK_SIZE;
        size_t got = 0;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        TRY(host_pread(fd, offset, check->window, size, &got, e));
        struct hash256 hash = hash256_of(slice_of(check->window, got));
        if (hash256_equal(&hash, &footer->chunks[i])) continue;
        return log_found_at(check, name, offset, SEQNO_NONE,
                            "the piece of %zu bytes there is not what the footer's hash says",
                            size);
    }
    return OK;
}

static enum code check_footer(struct log_check *check, const struct log_file *file, int fd,
                              const struct segment_footer *footer,
                              const struct segment_footer *seen, struct err *e)
{
    char name[LOG_NAME_SIZE];
    log_file_name(file, name);
    const char *wrong = NULL;
    if (footer->first.v != seen->first.v) wrong = "first record";
    if (footer->last.v != seen->last.v) wrong = "last record";
    if (footer->batch_count != seen->batch_count) wrong = "batch count";
    if (footer->last_epoch != seen->last_epoch) wrong = "epoch";
    if (!hash256_equal(&footer->chain_at_end, &seen->chain_at_end)) wrong = "chain";
    if (footer->data_end != seen->data_end) wrong = "data end";
    if (footer->payload_bytes != seen->payload_bytes) wrong = "payload bytes";
    if (footer->seek_count != seen->seek_count) wrong = "seek index";
    uint64_t chunks = (footer->data_end + CHUNK_SIZE - 1) / CHUNK_SIZE;
    if (footer->chunk_count != chunks) wrong = "number of chunk hashes";
    if (wrong != NULL) {
        return log_found_at(check, name, file->footer_offset, SEQNO_NONE,
                            "its footer says another %s than its batches do", wrong);
    }
    return check_chunks(check, file, fd, footer, e);
}

/* One segment on its way through the reader. */
struct walk {
    char name[LOG_NAME_SIZE];
    struct reader reader;
    const struct segment_footer *footer; /* NULL: not sealed */
    struct segment_footer seen;          /* what the batches say that the footer must say */
    enum reader_result result;
    enum reader_stop stop;
};

static enum code take_batch(struct log_check *check, const struct reader_batch *batch,
                            struct walk *w)
{
    struct segment_footer *seen = &w->seen;
    if (seen->batch_count == 0) seen->first = batch->header.first;
    seen->last = batch->position.seqno;
    seen->batch_count++;
    seen->last_epoch = batch->position.epoch;
    seen->chain_at_end = batch->position.chain;
    seen->payload_bytes += batch->header.payload_size;
    if (w->footer != NULL && seen->seek_count < w->footer->seek_count) {
        const struct seek_entry *seek = &w->footer->seeks[seen->seek_count];
        bool is_here = seek->offset == batch->offset && seek->first_seqno == batch->header.first.v;
        if (is_here) seen->seek_count++;
    }
    check->at = batch->position;
    check->report->batches++;
    if (check->report->oldest.v == 0) check->report->oldest = batch->header.first;
    return meet_claims(check, batch, w->name);
}

/* Walk the batches. *out_result is READER_END, or READER_STOP with *out_stop. */
static enum code walk(struct log_check *check, struct walk *w, struct err *e)
{
    for (;;) {
        struct reader_batch batch;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        w->result = reader_next(&w->reader, &batch, &w->stop, e);
        if (w->result == READER_IO) return e->code;
        if (w->result != READER_BATCH) {
            w->seen.data_end = w->reader.offset;
            return OK;
        }
        TRY(take_batch(check, &batch, w));
    }
}

static enum code check_segment(struct log_check *check, const struct log_file *file, int fd,
                               struct footer_room *room, struct err *e)
{
    struct walk w = {.footer = file->is_sealed ? &room->footer : NULL};
    log_file_name(file, w.name);
    if (file->is_sealed) TRY(read_footer(check, file, fd, room, e));
    struct reader_input input = {
        .source = log_fd_source,
        .context = &fd,
        .id = log_dir_identity(check->dir, file),
        .start = check->at,
        .offset = SEGMENT_HEADER_SIZE,
        .limit = file->is_sealed ? file->footer_offset : file->size,
        .buffer = check->window,
        .buffer_size = LOG_WINDOW_SIZE,
    };
    reader_init(&w.reader, &input);
    TRY(walk(check, &w, e));
    uint64_t offset = w.reader.offset;
    check->report->log_bytes += offset;
    if (w.result == READER_STOP && w.stop == STOP_NEWER) {
        return ERR(e, E_FORMAT,
                   "%s holds a batch of a newer format at offset %llu; use a newer build", w.name,
                   (unsigned long long)offset);
    }
    if (w.result == READER_STOP && file->is_sealed) {
        return log_found_at(check, w.name, offset, seqno_next(check->at.seqno), "%s",
                            reader_stop_text(w.stop));
    }
    if (file->is_sealed) return check_footer(check, file, fd, w.footer, &w.seen, e);
    if (w.result == READER_END) {
        check->report->is_tail_cut = true;
        log_note(check, "%s is not sealed: it ends with its last batch", w.name);
        return OK;
    }
    return log_check_tail(check, file, fd, &w.reader, w.stop, e);
}

/* Files without a good header: spares, segments whose header a crash cut off, damage. */
static bool has_content(const struct log_file *file)
{
    return file->verdict != SEGMENT_OK && file->content_size > 0;
}

/* Records are missing: is it a segment whose header is damaged that held them? */
static enum code blame_headless(struct log_check *check, struct err *e)
{
    const struct log_dir *dir = check->dir;
    for (size_t i = dir->segment_count; i < dir->file_count; i++) {
        const struct log_file *file = &dir->files[i];
        struct reader_evidence evidence = {0};
        char name[LOG_NAME_SIZE];
        int fd = -1;
        if (!has_content(file)) continue;
        log_file_name(file, name);
        TRY(log_dir_open_file(dir, name, &fd, e));
        struct log_place place = {.file = file, .fd = fd, .offset = SEGMENT_HEADER_SIZE};
        enum code code = log_find_evidence(check, &place, false, &evidence, e);
        host_close(fd);
        if (code != OK) return code;
        if (evidence.count == 0) continue;
        return log_found_at(check, name, 0, seqno_next(check->at.seqno),
                            "its header does not verify");
    }
    return OK;
}

/* Does this segment go on where the ones before it ended? */
static enum code check_start(struct log_check *check, const struct log_file *file, struct err *e)
{
    char name[LOG_NAME_SIZE];
    log_file_name(file, name);
    const struct log_dir *dir = check->dir;
    const struct segment_header *h = &file->header;
    struct log_identity id = log_dir_identity(dir, file);
    if (!id128_equal(&h->cluster, &id.cluster) || !stream_equal(h->stream, id.stream) ||
        h->log_key != id.log_key) {
        return log_found_at(check, name, 0, h->first, "it belongs to another cluster or stream");
    }
    seqno expected = seqno_next(check->at.seqno);
    if (h->first.v > expected.v) {
        TRY(blame_headless(check, e));
        return log_found_at(check, name, 0, expected, "the records before %llu are missing",
                            (unsigned long long)h->first.v);
    }
    if (h->first.v < expected.v || !hash256_equal(&h->chain_at_start, &check->at.chain)) {
        return log_found_at(check, name, 0, h->first,
                            "it does not go on where the records before it end");
    }
    return OK;
}

static enum code take_segment(struct log_check *check, const struct log_file *file, struct err *e)
{
    char name[LOG_NAME_SIZE];
    int fd = -1;
    struct footer_room room = {0};
    log_file_name(file, name);
    TRY(check_start(check, file, e));
    TRY(log_dir_open_file(check->dir, name, &fd, e));
    enum code code = check_segment(check, file, fd, &room, e);
    if (room.bytes != NULL) cli_put(room.bytes, room.size);
    host_close(fd);
    return code;
}

/* Is it the newest segment, registered because its first batch was synced? */
static bool is_registered_newest(const struct log_dir *dir, const struct log_file *file)
{
    for (size_t i = 0; i < dir->segment_count; i++) {
        if (dir->files[i].file_id > file->file_id) return false;
    }
    return file->file_id == dir->identity.last_segment;
}

/* A file with content and without a good header, behind the end of the log. */
static enum code check_headless(struct log_check *check, const struct log_file *file, struct err *e)
{
    const struct log_dir *dir = check->dir;
    struct reader_evidence evidence = {0};
    char name[LOG_NAME_SIZE];
    int fd = -1;
    log_file_name(file, name);
    TRY(log_dir_open_file(dir, name, &fd, e));
    struct log_place place = {.file = file, .fd = fd, .offset = SEGMENT_HEADER_SIZE};
    enum code code = log_find_evidence(check, &place, true, &evidence, e);
    host_close(fd);
    if (code != OK) return code;
    uint64_t end = check->at.seqno.v;
    bool is_marked = dir->has_mark && dir->mark.durable.seqno.v > end;
    if (is_marked || evidence.durable_through.v > end || is_registered_newest(dir, file)) {
        return log_found_at(check, name, 0, seqno_next(check->at.seqno),
                            "its header does not verify");
    }
    log_note(check,
             "%s was begun and never used: a crash cut its header off; the next start puts it "
             "aside",
             name);
    return OK;
}

static enum code check_others(struct log_check *check, struct err *e)
{
    const struct log_dir *dir = check->dir;
    for (size_t i = dir->segment_count; i < dir->file_count; i++) {
        const struct log_file *file = &dir->files[i];
        char name[LOG_NAME_SIZE];
        log_file_name(file, name);
        if (file->verdict == SEGMENT_NEWER) {
            return ERR(e, E_FORMAT,
                       "%s has a newer format than this build reads (%d); use a newer build", name,
                       FORMAT_VERSION);
        }
        if (has_content(file) && !dir->is_in_use) TRY(check_headless(check, file, e));
        if (!has_content(file)) check->report->spares++;
    }
    return OK;
}

/* Without a mark, what identity registered must be there; with one, its records are counted. */
static enum code check_registered(struct log_check *check)
{
    const struct log_dir *dir = check->dir;
    uint64_t registered = dir->identity.last_segment;
    if (dir->has_mark || registered == 0) return OK;
    for (size_t i = 0; i < dir->file_count; i++) {
        const struct log_file *file = &dir->files[i];
        bool is_used = file->verdict == SEGMENT_OK || has_content(file);
        if (is_used && file->file_id >= registered) return OK;
    }
    return log_found(check, "log", "segment file %016llx is registered in identity and missing",
                     (unsigned long long)registered);
}

static enum code check_segments(struct log_check *check, struct err *e)
{
    const struct log_dir *dir = check->dir;
    if (dir->has_identity) {
        check->at = dir->identity.log_base;
    } else if (dir->segment_count > 0) {
        const struct segment_header *h = &dir->files[0].header;
        check->at = (struct position){.epoch = h->epoch.number,
                                      .seqno = seqno_of(h->first.v - 1),
                                      .chain = h->chain_at_start};
    }
    for (size_t i = 0; i < dir->segment_count; i++) {
        const struct log_file *file = &dir->files[i];
        bool is_copy = i > 0 && file->header.first.v == dir->files[i - 1].header.first.v;
        if (is_copy) {
            log_note(
                check,
                "file %016llx is what a segment was sealed again from; the next start removes it",
                (unsigned long long)file->file_id);
            continue;
        }
        TRY(take_segment(check, file, e));
    }
    check->report->end = check->at;
    TRY(check_others(check, e));
    return check_registered(check);
}

enum code log_verify(const struct log_dir *dir, struct log_report *report,
                     struct log_damage *damage, struct err *e)
{
    memset(report, 0, sizeof(*report));
    memset(damage, 0, sizeof(*damage));
    struct log_check check = {.dir = dir, .report = report, .damage = damage};
    check.window = cli_take(LOG_WINDOW_SIZE);
    enum code code = check_identity(&check, e);
    if (code == OK) code = check_mark(&check);
    if (code == OK && dir->has_mark) claim(&check, "mark", &dir->mark.durable);
    if (code == OK) code = log_check_manifests(&check, e);
    if (code == OK) code = check_segments(&check, e);
    if (code == OK) code = check_claims(&check);
    if (code == OK) code = log_check_blocks(&check, e);
    if (code == OK) code = log_check_slots(&check, e);
    cli_put(check.window, LOG_WINDOW_SIZE);
    return code;
}
