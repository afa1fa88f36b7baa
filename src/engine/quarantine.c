/* quarantine: see quarantine.h. */
#include "engine/quarantine.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/text.h"
#include "format/segment.h"

void quarantine_path(uint64_t first, uint64_t file_id, const char *ending,
                     char out[QUARANTINE_PATH_SIZE])
{
    struct text t = text_of(out, QUARANTINE_PATH_SIZE);
    text_add(&t, "quarantine/%020llu-%016llx.%s", (unsigned long long)first,
             (unsigned long long)file_id, ending);
}

struct named {
    char name[64];
    uint64_t size;
    uint64_t age; /* file ids only grow */
};

/* "<first>-<file>.torn" or ".seg". */
static uint64_t age_of(const char *name)
{
    const char *dash = strchr(name, '-');
    uint64_t age = 0;
    for (const char *at = dash ? dash + 1 : name; *at && *at != '.'; at++) {
        uint64_t digit = *at >= 'a' ? (uint64_t)(*at - 'a') + 10 : (uint64_t)(*at - '0');
        age = age << 4 | (digit & 15);
    }
    return age;
}

static int compare_age(const void *a, const void *b)
{
    const struct named *x = a;
    const struct named *y = b;
    return (x->age > y->age) - (x->age < y->age);
}

/* All files, the oldest first; malloc'ed. */
static enum code list_files(struct env *env, struct named **out, size_t *out_count,
                            uint64_t *out_bytes, struct err *e)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    TRY(env->v->list(env, "quarantine", &entries, &count, e));
    struct named *files = calloc(count ? count : 1, sizeof(*files));
    *out_bytes = 0;
    for (size_t i = 0; files && i < count; i++) {
        memcpy(files[i].name, entries[i].name, sizeof(files[i].name));
        files[i].size = entries[i].size;
        files[i].age = age_of(entries[i].name);
        *out_bytes += entries[i].size;
    }
    free(entries);
    if (!files) return ERR(e, E_NOMEMORY, "no memory to list quarantine/");
    if (count > 1) qsort(files, count, sizeof(*files), compare_age);
    *out = files;
    *out_count = count;
    return OK;
}

enum code quarantine_trim(struct env *env, uint64_t budget, uint32_t *out_removed, struct err *e)
{
    struct named *files = NULL;
    size_t count = 0;
    uint64_t total = 0;
    enum code code = OK;
    *out_removed = 0;
    TRY(list_files(env, &files, &count, &total, e));
    for (size_t i = 0; code == OK && i + 1 < count && total > budget; i++) {
        char path[QUARANTINE_PATH_SIZE];
        struct text t = text_of(path, sizeof(path));
        text_add(&t, "quarantine/%s", files[i].name);
        code = env->v->unlink(env, path, e);
        if (code != OK) break;
        total -= files[i].size;
        (*out_removed)++;
    }
    free(files);
    return code;
}

/* --- what is in them --- */

/* A segment that was moved or written here is sealed: header and footer say everything. */
static void read_segment(struct env *env, struct env_file *file, struct quarantined *q)
{
    uint8_t bytes[SEGMENT_HEADER_SIZE] = {0};
    uint8_t trailer[SEGMENT_TRAILER_SIZE] = {0};
    struct segment_header header;
    struct segment_footer footer;
    uint64_t offset = 0;
    uint32_t size = 0;
    size_t got = 0;
    if (q->size < SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE) return;
    if (env->v->pread(env, file, 0, bytes, sizeof(bytes), &got, NULL) != OK) return;
    if (segment_header_decode(bytes, &header) != SEGMENT_OK) return;
    q->first = header.first.v;
    if (env->v->pread(env, file, q->size - sizeof(trailer), trailer, sizeof(trailer), &got, NULL) !=
        OK) {
        return;
    }
    if (!segment_trailer_decode(trailer, header.log_key, q->size, &offset, &size)) return;
    uint8_t *room = aligned_alloc(64, align_up(size, 64));
    if (!room) return;
    bool is_good = env->v->pread(env, file, offset, room, size, &got, NULL) == OK && got == size &&
                   segment_footer_decode(slice_of(room, size), header.log_key, &footer, NULL) == OK;
    if (is_good) {
        q->last = footer.last.v;
        q->epoch = footer.last_epoch;
    }
    free(room);
}

static void look(struct env *env, const struct named *named, struct quarantined *q)
{
    struct env_file *file = NULL;
    char path[QUARANTINE_PATH_SIZE];
    struct text t = text_of(path, sizeof(path));
    const char *dash = strchr(named->name, '-');
    const char *ending = strrchr(named->name, '.');
    memcpy(q->name, named->name, sizeof(q->name));
    q->size = named->size;
    q->is_torn = ending && strcmp(ending, ".torn") == 0;
    size_t digits = dash ? (size_t)(dash - named->name) : 0;
    if (!parse_u64(slice_of(named->name, digits), &q->first)) q->first = 0;
    if (q->is_torn) return;
    text_add(&t, "quarantine/%s", named->name);
    if (env->v->open(env, path, ENV_READ, &file, NULL) != OK) return;
    read_segment(env, file, q);
    env->v->close(env, file);
}

enum code quarantine_read(struct env *env, struct quarantine_list *out, struct err *e)
{
    struct named *files = NULL;
    size_t count = 0;
    *out = (struct quarantine_list){0};
    TRY(list_files(env, &files, &count, &out->bytes, e));
    out->file_count = count;
    size_t first = count > QUARANTINE_LISTED ? count - QUARANTINE_LISTED : 0;
    for (size_t i = first; i < count; i++) {
        look(env, &files[i], &out->files[out->count++]);
    }
    free(files);
    return OK;
}
