/* log_export: copies what is durable in a data directory's log into objects (log_object.h), from
 * where the objects end to where the log does. Looks at files only: a node that runs on the
 * directory is not disturbed, and is asked nothing.
 *
 * Durable is everything in a sealed segment, and of the unsealed one what the node's mark says,
 * which is written after each group: what is not known to be synced stays here. Resumes by what is
 * in the target: no state of its own. A batch is whole in one object. */
#include "engine/log_export.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/identity_store.h"
#include "engine/log_object.h"
#include "engine/log_open.h"
#include "format/reader.h"

#define PASSES_MAX 5u /* a running node seals, rewrites and removes files meanwhile */

struct source_file {
    struct segment_header header;
    uint64_t size;
    bool is_sealed;
    uint64_t data_end; /* of a sealed one */
    seqno last;
};

struct export
{
    struct env *from;
    struct env *to;
    struct identity identity;
    struct log_identity id;
    struct source_file *files; /* by first record */
    uint32_t file_count;
    seqno durable;      /* the highest record known to be */
    struct position at; /* the end of what the target holds */
    bool is_started;    /* at is valid */
    struct object_builder builder;
    uint8_t *window;
    struct log_export_report *report;
};

/* --- the source's files --- */

static enum code read_end(struct export *x, struct env_file *file, struct source_file *f,
                          struct err *e)
{
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    size_t got = 0;
    uint64_t offset = 0;
    uint32_t size = 0;
    struct segment_footer footer;
    if (f->size < SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE) return OK;
    TRY(x->from->v->pread(x->from, file, f->size - sizeof(trailer), trailer, sizeof(trailer), &got,
                          e));
    if (got < sizeof(trailer) ||
        !segment_trailer_decode(trailer, x->id.log_key, f->size, &offset, &size)) {
        return OK; /* not sealed */
    }
    void *bytes = malloc(size);
    if (bytes == NULL) return ERR(e, E_NOMEMORY, "no memory for a footer");
    enum code code = x->from->v->pread(x->from, file, offset, bytes, size, &got, e);
    if (code == OK && got < size) code = ERR(e, E_IO, "a segment became shorter");
    if (code == OK) code = segment_footer_decode(slice_of(bytes, size), x->id.log_key, &footer, e);
    if (code == OK) {
        f->is_sealed = true;
        f->data_end = footer.data_end;
        f->last = footer.last;
    }
    free(bytes);
    return code;
}

/* *out_is_segment false: a spare, or gone meanwhile. */
static enum code read_file_ends(struct export *x, const char *name, struct source_file *out,
                                bool *out_is_segment, struct err *e)
{
    struct env *env = x->from;
    struct env_file *file = NULL;
    char path[LOG_PATH_SIZE];
    uint8_t header[SEGMENT_HEADER_SIZE];
    size_t got = 0;
    struct text t = text_of(path, sizeof(path));
    *out_is_segment = false;
    text_add(&t, "log/%s", name);
    enum code code = env->v->open(env, path, ENV_READ, &file, e);
    if (code == E_NOTFOUND) return OK;
    TRY(code);
    code = env->v->size(env, file, &out->size, e);
    if (code == OK) code = env->v->pread(env, file, 0, header, sizeof(header), &got, e);
    bool is_ours = code == OK && got == sizeof(header) &&
                   segment_header_decode(header, &out->header) == SEGMENT_OK &&
                   id128_equal(&out->header.cluster, &x->id.cluster) &&
                   stream_equal(out->header.stream, x->id.stream);
    if (is_ours) code = read_end(x, file, out, e);
    env->v->close(env, file);
    *out_is_segment = is_ours;
    return code;
}

static int compare_files(const void *a, const void *b)
{
    const struct source_file *x = a;
    const struct source_file *y = b;
    if (x->header.first.v != y->header.first.v) {
        return x->header.first.v < y->header.first.v ? -1 : 1;
    }
    return x->is_sealed - y->is_sealed; /* the sealed copy of an unsealed one counts */
}

static enum code list_files(struct export *x, struct err *e)
{
    struct env_dirent *names = NULL;
    size_t count = 0;
    TRY(x->from->v->list(x->from, "log", &names, &count, e));
    free(x->files);
    x->file_count = 0;
    x->files = calloc(count > 0 ? count : 1, sizeof(*x->files));
    enum code code = x->files != NULL ? OK : ERR(e, E_NOMEMORY, "no memory for a list of segments");
    for (size_t i = 0; i < count && code == OK; i++) {
        uint64_t file_id = 0;
        bool is_segment = false;
        struct source_file *f = &x->files[x->file_count];
        if (!segment_name_parse(slice_of_text(names[i].name), &file_id)) continue;
        if (file_id < x->identity.log_first_file) continue; /* of an older generation */
        *f = (struct source_file){0};
        code = read_file_ends(x, names[i].name, f, &is_segment, e);
        if (is_segment && f->header.file_id == file_id) x->file_count++;
    }
    free(names);
    if (x->file_count > 1) qsort(x->files, x->file_count, sizeof(*x->files), compare_files);
    return code;
}

static enum code load_source(struct export *x, struct err *e)
{
    bool is_found = false;
    struct mark mark;
    TRY(identity_load(x->from, &x->identity, &is_found, e));
    if (!is_found || id128_is_zero(&x->identity.cluster)) {
        return ERR(e, E_NOTFOUND, "the data directory holds no log yet");
    }
    x->id = (struct log_identity){.cluster = x->identity.cluster,
                                  .stream = x->identity.stream,
                                  .log_key = x->identity.log_key};
    bool has_mark = false;
    TRY(mark_load(x->from, x->id.log_key, &mark, &has_mark, e));
    if (has_mark && mark.generation == x->identity.generation) x->durable = mark.durable.seqno;
    return list_files(x, e);
}

/* --- the target's end --- */

static enum code load_target(struct export *x, struct err *e)
{
    struct object_index index = {0};
    enum code code = object_index_look(&index, x->to, e);
    if (code == OK && index.damaged[0] != '\0') code = ERR(e, E_CORRUPT, "%s", index.damage.text);
    for (uint32_t i = 0; i < index.count && code == OK; i++) {
        const struct object_entry *entry = &index.entries[i];
        if (!id128_equal(&entry->id.cluster, &x->id.cluster) ||
            !stream_equal(entry->id.stream, x->id.stream)) {
            code = ERR(e, E_WRONG_CLUSTER,
                       "%s is of another cluster or stream; export to a directory of its own",
                       entry->name);
        }
        if (x->is_started && entry->end.seqno.v <= x->at.seqno.v) continue;
        x->at = entry->end;
        x->is_started = true;
    }
    object_index_free(&index);
    return code;
}

/* --- copying --- */

static enum code write_object(struct export *x, struct err *e)
{
    struct object_builder *b = &x->builder;
    if (b->batch_count == 0) return OK;
    TRY(object_builder_write(b, x->to, e));
    x->report->objects++;
    x->report->records += b->end.seqno.v - b->start.seqno.v;
    x->report->bytes += b->size;
    x->at = b->end;
    object_builder_reset(b, &x->id, &x->at);
    return OK;
}

struct source {
    struct env *env;
    struct env_file *file;
};
static enum code read_source(void *context, uint64_t offset, void *out, size_t size,
                             size_t *out_read, struct err *e)
{
    struct source *s = context;
    return s->env->v->pread(s->env, s->file, offset, out, size, out_read, e);
}

/* Is this batch one of what was taken before? Then its chain must be the same. */
static enum code skip_held(const struct position *held, const struct reader_batch *batch,
                           bool *out_is_held, struct err *e)
{
    *out_is_held = batch->position.seqno.v <= held->seqno.v;
    if (batch->position.seqno.v == held->seqno.v &&
        !hash256_equal(&batch->position.chain, &held->chain)) {
        return ERR(e, E_DIVERGED,
                   "record %llu of the objects is another one than here; export this log to a "
                   "directory of its own",
                   (unsigned long long)held->seqno.v);
    }
    if (!*out_is_held && batch->header.first.v <= held->seqno.v) {
        return ERR(e, E_DIVERGED, "the objects end inside a batch of this log, at record %llu",
                   (unsigned long long)held->seqno.v);
    }
    return OK;
}

static enum code take_batch(struct export *x, const struct source_file *f,
                            const struct reader_batch *batch, bool *out_is_over, struct err *e)
{
    bool is_held = false;
    TRY(skip_held(&x->builder.end, batch, &is_held, e));
    if (is_held) return OK;
    if (!f->is_sealed && batch->position.seqno.v > x->durable.v) {
        *out_is_over = true;
        return OK;
    }
    if (x->builder.size >= OBJECT_SIZE_WANTED) TRY(write_object(x, e));
    return object_builder_add(&x->builder, &batch->header, batch->bytes, &batch->position, e);
}

static enum code copy_open_file(struct export *x, const struct source_file *f,
                                struct env_file *file, struct err *e)
{
    struct source source = {.env = x->from, .file = file};
    struct reader reader;
    struct reader_input input = {
        .source = read_source,
        .context = &source,
        .id = x->id,
        .start = {.seqno = {f->header.first.v - 1}, .chain = f->header.chain_at_start},
        .offset = SEGMENT_HEADER_SIZE,
        .limit = f->is_sealed ? f->data_end : f->size,
        .buffer = x->window,
        .buffer_size = READER_BUFFER_SIZE_MIN,
    };
    reader_init(&reader, &input);
    for (;;) {
        struct reader_batch batch;
        enum reader_stop stop = STOP_ZEROS;
        bool is_over = false;
        enum reader_result result = reader_next(&reader, &batch, &stop, e);
        if (result == READER_IO) return E_IO;
        if (result == READER_END) return OK;
        if (result == READER_STOP) {
            bool is_expected = !f->is_sealed && reader.at.seqno.v >= x->durable.v;
            if (is_expected) return OK; /* the unsealed segment ends here, or is being written */
            return ERR(e, E_ROTTEN,
                       "log/%016llx.seg is damaged at offset %llu, record %llu (%s); look with: "
                       "tidemark log verify",
                       (unsigned long long)f->header.file_id, (unsigned long long)reader.offset,
                       (unsigned long long)reader.at.seqno.v + 1, reader_stop_text(stop));
        }
        TRY(take_batch(x, f, &batch, &is_over, e));
        if (is_over) return OK;
    }
}

static enum code copy_file(struct export *x, const struct source_file *f, struct err *e)
{
    char path[LOG_PATH_SIZE];
    struct env_file *file = NULL;
    log_path(f->header.file_id, path);
    TRY(x->from->v->open(x->from, path, ENV_READ, &file, e));
    enum code code = copy_open_file(x, f, file, e);
    x->from->v->close(x->from, file);
    return code;
}

static enum code copy_files(struct export *x, struct err *e)
{
    if (x->file_count == 0) return OK;
    const struct segment_header *first = &x->files[0].header;
    if (!x->is_started) {
        x->at = (struct position){.seqno = {first->first.v - 1}, .chain = first->chain_at_start};
        x->is_started = true;
    }
    if (first->first.v > x->at.seqno.v + 1) {
        return ERR(e, E_NOT_KEPT,
                   "the objects end at record %llu and the log begins at record %llu: what lies "
                   "between is no longer kept; export to a new directory",
                   (unsigned long long)x->at.seqno.v, (unsigned long long)first->first.v);
    }
    object_builder_reset(&x->builder, &x->id, &x->at);
    for (uint32_t i = 0; i < x->file_count; i++) {
        const struct source_file *f = &x->files[i];
        bool is_later =
            i + 1 < x->file_count && x->files[i + 1].header.first.v <= x->builder.end.seqno.v + 1;
        if (is_later && x->files[i + 1].header.first.v > f->header.first.v) continue;
        if (f->is_sealed && f->last.v < x->at.seqno.v) continue;
        if (f->header.first.v > x->builder.end.seqno.v + 1) {
            return ERR(e, E_NOTFOUND, "records %llu to %llu are in no segment of the log",
                       (unsigned long long)x->builder.end.seqno.v + 1,
                       (unsigned long long)f->header.first.v - 1);
        }
        TRY(copy_file(x, f, e));
    }
    return write_object(x, e);
}

/* --- the whole --- */

static enum code run_passes(struct export *x, struct err *e)
{
    enum code code = OK;
    for (uint32_t pass = 0; pass < PASSES_MAX; pass++) {
        code = load_source(x, e);
        if (code == OK) code = copy_files(x, e);
        /* A running node may remove or rewrite a file between two looks. */
        if (code != E_NOTFOUND) break;
    }
    if (code == OK) x->report->end = x->at;
    return code;
}

enum code log_export(struct env *from, struct env *to, struct log_export_report *report,
                     struct err *e)
{
    struct export *x = calloc(1, sizeof(*x));
    *report = (struct log_export_report){0};
    if (x == NULL) return ERR(e, E_NOMEMORY, "no memory to export");
    x->from = from;
    x->to = to;
    x->report = report;
    x->window = malloc(READER_BUFFER_SIZE_MIN);
    enum code code = x->window != NULL ? OK : ERR(e, E_NOMEMORY, "no memory to export");
    if (code == OK) code = load_source(x, e);
    if (code == OK) code = load_target(x, e);
    if (code == OK) code = run_passes(x, e);
    object_builder_free(&x->builder);
    free(x->files);
    free(x->window);
    free(x);
    return code;
}
