/* log_object_index: which objects are in a directory, and which of them come next. See
 * log_object.h. Entries are believed because header and footer carry checksums; the batches between
 * are verified when they are read. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/log_object.h"

void object_index_free(struct object_index *index)
{
    free(index->entries);
    *index = (struct object_index){0};
}

static int compare_entries(const void *a, const void *b)
{
    const struct object_entry *x = a;
    const struct object_entry *y = b;
    return strcmp(x->name, y->name); /* one stream, digits of one width: by first record */
}

static bool is_known(const struct object_index *index, uint32_t count, const char *name)
{
    struct object_entry key;
    memset(&key, 0, sizeof(key));
    memcpy(key.name, name, strlen(name) + 1);
    return count > 0 && bsearch(&key, index->entries, count, sizeof(key), compare_entries) != NULL;
}

static enum code pread_all(struct env *env, struct env_file *file, uint64_t offset, void *out,
                           size_t size, struct err *e)
{
    size_t got = 0;
    TRY(env->v->pread(env, file, offset, out, size, &got, e));
    return got == size ? OK : ERR(e, E_CORRUPT, "an object ends too early");
}

/* Header and footer of an open file into *out; its name is there already. */
static enum code read_ends(struct env *env, struct env_file *file, uint64_t file_size,
                           struct object_entry *out, struct err *e)
{
    uint8_t header_bytes[SEGMENT_HEADER_SIZE];
    uint8_t trailer[SEGMENT_TRAILER_SIZE];
    struct segment_header h;
    uint64_t offset = 0;
    uint32_t size = 0;
    TRY(pread_all(env, file, 0, header_bytes, sizeof(header_bytes), e));
    enum segment_verdict verdict = segment_header_decode(header_bytes, &h);
    if (verdict == SEGMENT_NEWER) return ERR(e, E_FORMAT, "it was written by a newer version");
    if (verdict != SEGMENT_OK) return ERR(e, E_CORRUPT, "its header is damaged");
    if (file_size < SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE ||
        file_size > OBJECT_SIZE_MAX + MIB) {
        return ERR(e, E_CORRUPT, "it is no whole object");
    }
    TRY(pread_all(env, file, file_size - sizeof(trailer), trailer, sizeof(trailer), e));
    if (!segment_trailer_decode(trailer, h.log_key, file_size, &offset, &size)) {
        return ERR(e, E_CORRUPT, "its end is missing or damaged");
    }
    void *footer_bytes = malloc(size);
    if (footer_bytes == NULL) return ERR(e, E_NOMEMORY, "no memory for a footer");
    struct segment_footer footer;
    enum code code = pread_all(env, file, offset, footer_bytes, size, e);
    struct slice footer_slice = slice_of(footer_bytes, size);
    if (code == OK) code = segment_footer_decode(footer_slice, h.log_key, &footer, e);
    if (code == OK) {
        out->id =
            (struct log_identity){.cluster = h.cluster, .stream = h.stream, .log_key = h.log_key};
        out->start = (struct position){.seqno = {h.first.v - 1}, .chain = h.chain_at_start};
        out->end = (struct position){
            .epoch = footer.last_epoch, .seqno = footer.last, .chain = footer.chain_at_end};
        out->data_bytes = footer.data_end - SEGMENT_HEADER_SIZE;
    }
    free(footer_bytes);
    return code;
}

static enum code read_entry(struct env *env, struct object_entry *out, struct err *e)
{
    struct env_file *file = NULL;
    struct object_name named;
    uint64_t size = 0;
    TRY(env->v->open(env, out->name, ENV_READ, &file, e));
    enum code code = env->v->size(env, file, &size, e);
    if (code == OK) code = read_ends(env, file, size, out, e);
    env->v->close(env, file);
    TRY(code);
    ASSERT(object_name_parse(slice_of_text(out->name), &named));
    bool is_named = out->start.seqno.v + 1 == named.first.v &&
                    stream_equal(out->id.stream, named.stream) &&
                    memcmp(out->end.chain.bytes, named.chain4, sizeof(named.chain4)) == 0;
    return is_named ? OK : ERR(e, E_CORRUPT, "it holds other records than its name says");
}

static enum code add_entry(struct object_index *index, const struct object_entry *entry,
                           struct err *e)
{
    if (index->count == OBJECT_COUNT_MAX) {
        return ERR(e, E_LIMIT, "more than %u objects in one directory", OBJECT_COUNT_MAX);
    }
    if (index->count == index->capacity) {
        uint32_t capacity = index->capacity > 0 ? index->capacity * 2 : 64;
        struct object_entry *entries = realloc(index->entries, capacity * sizeof(*entries));
        if (entries == NULL) return ERR(e, E_NOMEMORY, "no memory for a list of objects");
        index->entries = entries;
        index->capacity = capacity;
    }
    index->entries[index->count++] = *entry;
    return OK;
}

static bool is_of_one_log(const struct log_identity *a, const struct log_identity *b)
{
    return id128_equal(&a->cluster, &b->cluster) && stream_equal(a->stream, b->stream) &&
           a->log_key == b->log_key;
}

/* A file that may be a new object. known: how many entries were sorted before this look. */
static enum code look_at(struct object_index *index, uint32_t known, struct env *env,
                         const char *name, struct err *e)
{
    struct object_entry entry = {0};
    struct object_name parsed;
    struct err why = {.code = OK};
    if (!object_name_parse(slice_of_text(name), &parsed)) return OK;
    if (is_known(index, known, name)) return OK;
    memcpy(entry.name, name, strlen(name) + 1);
    enum code code = read_entry(env, &entry, &why);
    if (code == E_CORRUPT || code == E_FORMAT || code == E_NOTFOUND) {
        memcpy(index->damaged, entry.name, sizeof(entry.name));
        (void)ERR(&index->damage, code, "%s cannot be read: %s; copy it again", name, why.text);
        return OK;
    }
    if (code != OK) return ERR(e, code, "%s: %s", name, why.text);
    if (index->count > 0 && !is_of_one_log(&entry.id, &index->entries[0].id)) {
        return ERR(e, E_WRONG_CLUSTER, "%s and %s are of two different logs; keep them apart",
                   index->entries[0].name, name);
    }
    return add_entry(index, &entry, e);
}

enum code object_index_look(struct object_index *index, struct env *env, struct err *e)
{
    struct env_dirent *files = NULL;
    size_t file_count = 0;
    uint32_t known = index->count;
    index->damaged[0] = '\0';
    TRY(env->v->list(env, ".", &files, &file_count, e));
    enum code code = OK;
    for (size_t i = 0; i < file_count && code == OK; i++) {
        code = look_at(index, known, env, files[i].name, e);
    }
    free(files);
    if (index->count > 1) {
        qsort(index->entries, index->count, sizeof(index->entries[0]), compare_entries);
    }
    return code;
}

/* --- what comes next --- */

static bool covers(const struct object_entry *entry, seqno s)
{
    return entry->start.seqno.v < s.v && s.v <= entry->end.seqno.v;
}

/* No object holds the next record. */
static enum code tell_missing(const struct object_index *index, const struct position *from,
                              struct err *e)
{
    for (uint32_t i = 0; i < index->count; i++) {
        const struct object_entry *entry = &index->entries[i];
        if (entry->start.seqno.v <= from->seqno.v) continue;
        if (index->damaged[0] != '\0') return ERR(e, index->damage.code, "%s", index->damage.text);
        return ERR(e, E_NOT_KEPT,
                   "records %llu to %llu are missing: the next object is %s; copy the ones before "
                   "it from where the log was exported to, then try again",
                   (unsigned long long)from->seqno.v + 1, (unsigned long long)entry->start.seqno.v,
                   entry->name);
    }
    if (index->damaged[0] != '\0') return ERR(e, index->damage.code, "%s", index->damage.text);
    return ERR(e, E_NOTFOUND, "nothing comes after record %llu here",
               (unsigned long long)from->seqno.v);
}

enum code object_find(struct env *env, const struct object_index *index,
                      const struct position *from, struct object *out, struct err *e)
{
    bool is_covered = false;
    for (uint32_t i = 0; i < index->count; i++) {
        const struct object_entry *entry = &index->entries[i];
        struct object object;
        if (!covers(entry, seqno_next(from->seqno))) continue;
        is_covered = true;
        TRY(object_load(env, entry, &object, e));
        enum code code = object_skip_to(&object, from, e);
        if (code == OK) {
            *out = object;
            return OK;
        }
        object_free(&object);
        if (code != E_DIVERGED) return code;
    }
    if (is_covered) {
        return ERR(e, E_DIVERGED,
                   "the objects from record %llu on belong to another history than what is held "
                   "already",
                   (unsigned long long)from->seqno.v + 1);
    }
    return tell_missing(index, from, e);
}

struct position object_row_end(const struct object_index *index, const struct position *from,
                               uint64_t *out_bytes)
{
    struct position at = *from;
    uint64_t bytes = 0;
    seqno counted = SEQNO_NONE;
    for (uint32_t i = 0; i < index->count; i++) {
        const struct object_entry *entry = &index->entries[i];
        if (entry->start.seqno.v == counted.v) { /* a row without overlap, from record 1 on */
            bytes += entry->data_bytes;
            counted = entry->end.seqno;
        }
        if (covers(entry, seqno_next(at.seqno))) at = entry->end;
    }
    *out_bytes = counted.v >= at.seqno.v ? bytes : 0;
    return at;
}
