/* recover: see recover.h. Takes the segments that recover_files found in the order of their
 * records; each is either sealed (its footer is read) or unsealed (its batches are scanned).
 * Nothing on the disk is changed before it is known that the change loses nothing. */
#include "engine/recover.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "base/text.h"
#include "core/recover.h"
#include "engine/identity_store.h"
#include "engine/log_internal.h"
#include "engine/recover_internal.h"
#include "engine/reseal.h"
#include "format/reader.h"

/* --- one sealed segment --- */

static enum code read_footer(struct recovery *r, struct env_file *file, const struct found *f,
                             struct log_segment *out, struct err *e)
{
    struct env *env = r->env;
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    size_t got;
    uint64_t offset;
    uint32_t size;
    TRY(env->v->pread(env, file, f->file_size - SEGMENT_TRAILER_SIZE, trailer, sizeof(trailer),
                      &got, e));
    if (!segment_trailer_decode(trailer, r->id.log_key, f->file_size, &offset, &size)) {
        return ERR(e, E_CORRUPT, "its trailer does not verify");
    }
    uint8_t *bytes = aligned_alloc(64, align_up(size, 64));
    if (!bytes) return ERR(e, E_NOMEMORY, "no memory for a footer of %u bytes", size);
    struct segment_footer footer;
    enum code code = env->v->pread(env, file, offset, bytes, size, &got, e);
    if (code == OK && got != size) code = ERR(e, E_CORRUPT, "its footer is cut short");
    if (code == OK) code = segment_footer_decode(slice_of(bytes, size), r->id.log_key, &footer, e);
    if (code == OK) {
        *out = (struct log_segment){
            .file_id = f->file_id,
            .first = footer.first,
            .last = footer.last,
            .start = log_durable(r->log),
            .end = {.epoch = footer.last_epoch, .seqno = footer.last, .chain = footer.chain_at_end},
            .data_end = footer.data_end,
            .size_limit = f->header.size_limit,
            .batch_count = footer.batch_count,
            .payload_bytes = footer.payload_bytes,
            .is_sealed = true,
            .seek_count = footer.seek_count,
            .seek_capacity = footer.seek_count,
        };
        out->seeks = malloc((footer.seek_count ? footer.seek_count : 1) * sizeof(*out->seeks));
        if (out->seeks) {
            memcpy(out->seeks, footer.seeks, footer.seek_count * sizeof(*out->seeks));
        } else {
            code = ERR(e, E_NOMEMORY, "no memory for a seek index");
        }
    }
    free(bytes);
    return code;
}

static enum code load_sealed(struct recovery *r, const struct found *f, struct log_segment *out,
                             struct err *e)
{
    char path[LOG_PATH_SIZE];
    log_path(f->file_id, path);
    struct env_file *file = NULL;
    TRY(r->env->v->open(r->env, path, ENV_READ | ENV_UNCACHED, &file, e));
    enum code code = read_footer(r, file, f, out, e);
    r->env->v->close(r->env, file);
    if (code == OK && out->first.v != f->header.first.v) {
        free(out->seeks);
        out->seeks = NULL;
        code = ERR(e, E_CORRUPT, "its footer belongs to another segment");
    }
    return code;
}

/* Does every batch of this sealed file verify up to its footer? Asked only of a copy whose source
 * is still there: the copy's own sync may never have returned. */
static enum code check_copy(struct recovery *r, const struct found *f, bool *out_good,
                            struct err *e)
{
    struct log_segment segment = {0};
    *out_good = false;
    enum code code = load_sealed(r, f, &segment, e);
    free(segment.seeks);
    if (code == E_CORRUPT) return OK;
    TRY(code);
    struct scan scan = {
        .env = r->env,
        .id = r->id,
        .file_size = segment.data_end,
        .header = f->header,
        .window = r->window,
        .window_size = r->window_size,
    };
    struct position start = log_durable(r->log);
    code = scan_unsealed(&scan, &start, e);
    *out_good = code == OK && position_equal(&scan.segment.end, &segment.end);
    scan_fini(&scan);
    return code;
}

/* --- one unsealed segment --- */

/* Does a later found segment begin exactly here? Does any later one exist? */
static void look_ahead(const struct recovery *r, size_t index, const struct position *end,
                       bool *out_continues, bool *out_exists)
{
    *out_continues = false;
    *out_exists = false;
    for (size_t i = index + 1; i < r->found_count; i++) {
        const struct found *f = &r->found[i];
        if (f->header.first.v == r->found[index].header.first.v) {
            continue; /* its superseded source */
        }
        *out_exists = true;
        if (f->header.first.v == end->seqno.v + 1 &&
            hash256_equal(&f->header.chain_at_start, &end->chain)) {
            *out_continues = true;
        }
    }
}

static enum code gather_facts(struct recovery *r, struct scan *scan, size_t index,
                              struct tail_facts *facts, bool *out_continues, struct err *e)
{
    const struct found *f = &r->found[index];
    bool has_later;
    look_ahead(r, index, &scan->segment.end, out_continues, &has_later);
    *facts = (struct tail_facts){
        .stop = seqno_next(scan->segment.end.seqno),
        .has_mark = r->has_mark,
        .mark = r->mark.durable.seqno,
        .has_later_segment = has_later && !*out_continues,
    };
    struct scan_damage damage;
    TRY(scan_after(scan, &damage, e));
    facts->is_zero_after = damage.is_zero;
    facts->has_missing_sector = damage.has_missing_sector;
    facts->is_cut_short = damage.is_cut_short;
    if (facts->is_zero_after) return OK;
    /* durable_through is a fact about its leader's disk: it counts here only when that was us. */
    struct reader_evidence evidence = {0};
    struct reader_input input = {
        .source = scan_source,
        .context = scan,
        .id = r->id,
        .start = scan->segment.end,
        .offset = scan->segment.data_end,
        .limit = f->file_size,
        .buffer = r->window,
        .buffer_size = r->window_size,
    };
    uint32_t epoch_count = 0;
    const uint64_t *epochs = identity_written_epochs(r->identity, &epoch_count);
    TRY(reader_find_evidence(&input, epochs, epoch_count, &evidence, e));
    facts->evidence = evidence.durable_through;
    return OK;
}

static enum code settle_tail(struct recovery *r, struct scan *scan, const struct found *f,
                             enum tail_verdict verdict, struct err *e)
{
    seqno first_gone = seqno_next(scan->segment.end.seqno);
    switch (verdict) {
    case TAIL_IO:
        return ERR(e, E_IO, "log/%016llx.seg cannot be read", (unsigned long long)f->file_id);
    case TAIL_ROTTEN:
        return recover_rotten(r, f->file_id, scan->segment.data_end, first_gone,
                              reader_stop_text(scan->stop), e);
    case TAIL_UNCLEAR:
        return ERR(
            e, E_ROTTEN,
            "log/%016llx.seg is damaged at offset %llu (%s) in its last group and does not look "
            "like a torn write: whether record %llu was acknowledged cannot be "
            "told; " RECOVER_REMEDY,
            (unsigned long long)f->file_id, (unsigned long long)scan->segment.data_end,
            reader_stop_text(scan->stop), (unsigned long long)first_gone.v);
    case TAIL_TORN: TRY(quarantine_tail(scan, r->report, e)); break;
    case TAIL_CLEAN: break;
    }
    return OK;
}

static enum code take_unsealed(struct recovery *r, size_t index, struct err *e)
{
    const struct found *f = &r->found[index];
    struct scan scan = {
        .env = r->env,
        .id = r->id,
        .file_size = f->file_size,
        .header = f->header,
        .stale = &f->stale,
        .window = r->window,
        .window_size = r->window_size,
    };
    struct position start = log_durable(r->log);
    enum code code = scan_unsealed(&scan, &start, e);
    struct tail_facts facts;
    bool continues = false;
    if (code == OK && scan.stop == STOP_NEWER) {
        code = ERR(e, E_FORMAT,
                   "log/%016llx.seg holds a batch of a newer format at offset %llu; use a "
                   "newer build",
                   (unsigned long long)f->file_id, (unsigned long long)scan.segment.data_end);
    }
    if (code == OK) code = gather_facts(r, &scan, index, &facts, &continues, e);
    if (code == OK) {
        enum tail_verdict verdict = continues ? TAIL_CLEAN : recover_decide(&facts);
        TAKEN(TAKEN_TAIL, 0, verdict);
        code = settle_tail(r, &scan, f, verdict, e);
    }
    if (code == OK) {
        code = reseal(&scan, ++r->file_id_max, e);
        r->report->segments_resealed++;
    }
    if (code == OK && scan.segment.batch_count > 0) {
        code = log_add_sealed(r->log, &scan.segment, e);
        if (code == OK) scan.segment.seeks = NULL; /* given */
    }
    scan_fini(&scan);
    return code;
}

/* --- all of them --- */

static enum code drop_file(struct recovery *r, const struct found *f, struct err *e)
{
    char path[LOG_PATH_SIZE];
    log_path(f->file_id, path);
    TRY(r->env->v->unlink(r->env, path, e));
    return r->env->v->sync_dir(r->env, "log", e);
}

/* Files [first, end) begin with the same record: a source and copies that a crash left beside it.
 * A sealed one that verifies to its footer holds all; without one the source does: the oldest. */
static enum code find_best(struct recovery *r, size_t first, size_t end, size_t *out, struct err *e)
{
    *out = first;
    for (size_t i = first; i < end; i++) {
        bool is_good = false;
        if (r->found[i].is_sealed) TRY(check_copy(r, &r->found[i], &is_good, e));
        if (is_good) {
            *out = i;
            return OK;
        }
        if (r->found[i].file_id < r->found[*out].file_id) *out = i;
    }
    return OK;
}

/* Of files that begin with the same record, keep the one that counts; *index moves to the last. */
static enum code choose_copy(struct recovery *r, size_t *index, const struct found **out,
                             struct err *e)
{
    size_t first = *index;
    size_t end = first + 1;
    size_t best = first;
    while (end < r->found_count && r->found[end].header.first.v == r->found[first].header.first.v) {
        end++;
    }
    if (end - first > 1) TRY(find_best(r, first, end, &best, e));
    for (size_t i = first; i < end; i++) {
        if (i != best) TRY(drop_file(r, &r->found[i], e));
    }
    *index = end - 1;
    *out = &r->found[best];
    return OK;
}

static enum code take_one(struct recovery *r, const struct found *f, struct err *e)
{
    if (f->is_sealed) {
        struct log_segment segment = {0};
        enum code code = load_sealed(r, f, &segment, e);
        if (code == OK) code = log_add_sealed(r->log, &segment, e);
        /* A footer that does not verify was cut by a crash, or rotted: its batches tell which. */
        if (code != E_CORRUPT) {
            if (code != OK) free(segment.seeks);
            return code;
        }
    }
    return take_unsealed(r, (size_t)(f - r->found), e);
}

static enum code take_segments(struct recovery *r, struct err *e)
{
    for (size_t i = 0; i < r->found_count; i++) {
        struct position at = log_durable(r->log);
        const struct found *f;
        TRY(choose_copy(r, &i, &f, e));
        if (f->header.first.v <= r->identity->log_base.seqno.v) {
            TRY(drop_file(r, f, e)); /* pruned: its removal was cut short */
            continue;
        }
        if (f->header.first.v > at.seqno.v + 1) {
            TRY(recover_blame_headless(r, e));
            return recover_rotten(r, f->file_id, 0, seqno_next(at.seqno),
                                  "the records before it are missing", e);
        }
        if (f->header.first.v < at.seqno.v + 1 ||
            !hash256_equal(&f->header.chain_at_start, &at.chain)) {
            return recover_rotten(r, f->file_id, 0, f->header.first,
                                  "it does not continue the records before it", e);
        }
        TRY(take_one(r, f, e));
    }
    if (PLANTED(3)) return OK;
    TRY(recover_judge_headless(r, e));
    seqno end = log_durable(r->log).seqno;
    if (r->has_mark && r->mark.durable.seqno.v > end.v) {
        char name[32];
        struct text t = text_of(name, sizeof(name));
        if (r->mark.segment > 0) {
            text_add(&t, "log/%016llx.seg", (unsigned long long)r->mark.segment);
        } else { /* a mark made at open names no segment */
            text_add(&t, "files below log/");
        }
        return ERR(e, E_ROTTEN,
                   "the log ends at record %llu, but record %llu was acknowledged: missing or "
                   "emptied: %s; " RECOVER_REMEDY,
                   (unsigned long long)end.v, (unsigned long long)r->mark.durable.seqno.v, name);
    }
    return OK;
}

enum code recover_log(const struct recovery_input *input, struct log **out,
                      struct recovery_report *report, struct err *e)
{
    struct env *env = input->env;
    const struct identity *identity = input->identity;
    struct recovery r = {
        .env = env,
        .identity = identity,
        .id = {.cluster = identity->cluster,
               .stream = identity->stream,
               .log_key = identity->log_key},
        .report = report,
        .window_size = BATCH_SIZE_MAX + 256 * KIB,
    };
    enum code code = E_NOMEMORY;
    uint64_t mark_version = 0;
    r.window = malloc(r.window_size);
    r.log = log_new(env, &r.id, input->config, input->hooks, &identity->log_base,
                    identity->log_base_bytes);
    if (!r.window || !r.log) {
        (void)ERR(e, E_NOMEMORY, "no memory to recover the log");
        goto out;
    }
    code = mark_load(env, r.id.log_key, &r.mark, &r.has_mark, e);
    if (r.has_mark) mark_version = r.mark.version;
    /* Of a generation that was given up: its records are not this log's. */
    if (r.has_mark && r.mark.generation != identity->generation) r.has_mark = false;
    report->had_mark = r.has_mark;
    if (code == OK) code = recover_list(&r, e);
    if (code == OK) code = take_segments(&r, e);
    if (code == OK) code = recover_clear_headless(&r, e);
    if (code == OK && r.has_mark) log_note_committed(r.log, r.mark.committed);
    if (code == OK) {
        struct log_continue from = {.next_file_id = r.file_id_max + 1,
                                    .mark_version = mark_version,
                                    .generation = identity->generation};
        code = log_start(r.log, &from, e);
    }
out:
    recover_free_files(&r);
    free(r.window);
    if (code == OK) {
        *out = r.log;
    } else {
        log_free(r.log);
    }
    return code;
}
