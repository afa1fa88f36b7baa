/* log_verify_state: checkpoints (manifests and the blocks they name) and the catalogue of
 * followers. A manifest is replaced by a durable rename, so one that does not verify is damage. */
#include <stdio.h>

#include "base/hash.h"
#include "cli/cli.h"
#include "cli/log_verify.h"
#include "format/checkpoint.h"
#include "format/slotfile.h"

#define MANIFEST_SIZE_MAX (1 * GIB)
#define BLOCK_SIZE_LIMIT  (256 * MIB)
#define TAKEN_MAX         8

/* A manifest read into memory. */
struct opened {
    uint8_t *bytes;
    size_t size;
    void *taken[TAKEN_MAX]; /* what decoding took */
    size_t taken_sizes[TAKEN_MAX];
    size_t taken_count;
    struct manifest manifest;
};

static void *take_memory(void *context, size_t size)
{
    struct opened *m = context;
    if (m->taken_count == TAKEN_MAX) return NULL;
    size_t wanted = size > 0 ? size : 1;
    m->taken_sizes[m->taken_count] = wanted;
    m->taken[m->taken_count] = cli_take(wanted);
    return m->taken[m->taken_count++];
}

static void close_manifest(struct opened *m)
{
    for (size_t i = 0; i < m->taken_count; i++) {
        cli_put(m->taken[i], m->taken_sizes[i]);
    }
    if (m->bytes != NULL) cli_put(m->bytes, m->size);
}

static enum code decode_manifest(struct log_check *check, const char *name, struct opened *m,
                                 struct err *e)
{
    struct err why;
    enum code code =
        manifest_decode(slice_of(m->bytes, m->size), take_memory, m, &m->manifest, &why);
    if (code == E_FORMAT) {
        *e = why;
        return code;
    }
    if (code != OK) return log_found(check, name, "%s", why.text);
    const struct log_dir *dir = check->dir;
    bool is_ours = id128_equal(&m->manifest.cluster, &dir->identity.cluster) &&
                   stream_equal(m->manifest.stream, dir->identity.stream);
    if (dir->has_identity && !is_ours) {
        return log_found(check, name, "it belongs to another cluster or stream");
    }
    return OK;
}

static enum code open_manifest(struct log_check *check, const char *name, struct opened *m,
                               struct err *e)
{
    int fd = -1;
    uint64_t size = 0;
    memset(m, 0, sizeof(*m));
    TRY(log_dir_open_file(check->dir, name, &fd, e));
    enum code code = host_size(fd, &size, e);
    if (code == OK && (size == 0 || size > MANIFEST_SIZE_MAX)) {
        code = log_found(check, name, "its size of %llu bytes cannot be right",
                         (unsigned long long)size);
    }
    if (code == OK) {
        m->size = (size_t)size;
        m->bytes = cli_take(m->size);
        size_t got = 0;
        code = host_pread(fd, 0, m->bytes, m->size, &got, e);
    }
    host_close(fd);
    return code != OK ? code : decode_manifest(check, name, m, e);
}

/* Call visit for every manifest that stands in state/. */
static enum code each_manifest(struct log_check *check,
                               enum code (*visit)(struct log_check *, const char *,
                                                  const struct manifest *, struct err *),
                               struct err *e)
{
    char path[HOST_PATH_SIZE + LOG_NAME_SIZE];
    struct host_dir *list = NULL;
    struct text t = text_of(path, sizeof(path));
    text_add(&t, "%s/state", check->dir->path);
    if (!host_is_directory(path)) return OK; /* no checkpoint yet */
    TRY(host_dir_open(path, &list, e));
    enum code code = OK;
    const char *entry = NULL;
    while (code == OK && (entry = host_dir_next(list)) != NULL) {
        seqno at;
        uint64_t generation = 0;
        if (!manifest_name_parse(slice_of_text(entry), &at, &generation)) continue;
        bool is_other = check->dir->has_identity && generation != check->dir->identity.generation;
        if (is_other) continue; /* given up, or not switched to yet */
        char name[LOG_NAME_SIZE];
        struct text under = text_of(name, sizeof(name));
        text_add(&under, "state/%s", entry);
        struct opened m;
        code = open_manifest(check, name, &m, e);
        if (code == OK && m.manifest.position.seqno.v != at.v) {
            code = log_found(check, name, "its name does not agree with its content");
        }
        if (code == OK) code = visit(check, name, &m.manifest, e);
        close_manifest(&m);
        if (code == E_NOTFOUND && check->dir->is_in_use) code = OK; /* removed meanwhile */
    }
    host_dir_close(list);
    return code;
}

/* --- first step: what they say about the log --- */

static enum code visit_position(struct log_check *check, const char *name,
                                const struct manifest *manifest, struct err *e)
{
    (void)e;
    struct log_report *report = check->report;
    report->manifests++;
    if (report->claim_count == LOG_CLAIMS_MAX) return OK;
    struct log_claim *c = &report->claims[report->claim_count++];
    *c = (struct log_claim){.position = manifest->position};
    struct text t = text_of(c->file, sizeof(c->file));
    text_add(&t, "%s", name);
    return OK;
}

enum code log_check_manifests(struct log_check *check, struct err *e)
{
    return each_manifest(check, visit_position, e);
}

/* --- second step: their blocks --- */

static enum code open_pack(struct log_check *check, uint64_t pack, char name[LOG_NAME_SIZE],
                           int *out_fd, struct err *e)
{
    char plain[CHECKPOINT_NAME_SIZE];
    uint8_t header[PACK_HEADER_SIZE] = {0};
    size_t size = 0;
    struct err why;
    pack_name(pack, plain);
    struct text t = text_of(name, LOG_NAME_SIZE);
    text_add(&t, "state/%s", plain);
    enum code code = log_dir_open_file(check->dir, name, out_fd, e);
    if (code == E_NOTFOUND && !check->dir->is_in_use) {
        return log_found(check, name, "it is missing, although a checkpoint names it");
    }
    TRY(code);
    TRY(host_pread(*out_fd, 0, header, sizeof(header), &size, e));
    if (size < sizeof(header)) {
        return log_found_at(check, name, 0, SEQNO_NONE,
                            "it ends inside its header, after %zu bytes", size);
    }
    if (pack_header_decode(header, &check->dir->identity.cluster, pack, &why) == OK) return OK;
    return log_found_at(check, name, 0, SEQNO_NONE, "%s", why.text);
}

static enum code check_block(struct log_check *check, const char *pack, int fd,
                             const struct block_entry *block, uint64_t offset, struct err *e)
{
    if (block->size > BLOCK_SIZE_LIMIT) {
        return log_found_at(check, pack, offset, SEQNO_NONE, "a block of %u bytes cannot be right",
                            block->size);
    }
    size_t room = block->size > 0 ? block->size : 1;
    uint8_t *bytes = cli_take(room);
    size_t got = 0;
    enum code code = host_pread(fd, offset, bytes, block->size, &got, e);
    struct hash256 hash = hash256_of(slice_of(bytes, got));
    cli_put(bytes, room);
    TRY(code);
    check->report->blocks++;
    check->report->state_bytes += got;
    if (got == block->size && hash256_equal(&hash, &block->hash)) return OK;
    return log_found_at(check, pack, offset, SEQNO_NONE,
                        "block %s %llu there is not what its hash says",
                        block_kind_name(block->id.kind), (unsigned long long)block->id.number);
}

static enum code visit_blocks(struct log_check *check, const char *name,
                              const struct manifest *manifest, struct err *e)
{
    (void)name;
    int fd = -1;
    uint64_t open = 0;
    char pack[LOG_NAME_SIZE] = "";
    enum code code = OK;
    for (uint32_t i = 0; code == OK && i < manifest->block_count; i++) {
        const struct block_place *place = &manifest->places[i];
        if (host_is_interrupted()) code = ERR(e, E_CLOSED, "interrupted");
        if (code == OK && (fd < 0 || open != place->pack)) {
            host_close(fd);
            fd = -1;
            open = place->pack;
            code = open_pack(check, open, pack, &fd, e);
        }
        if (code != OK) break;
        code = check_block(check, pack, fd, &manifest->blocks[i], place->offset, e);
    }
    host_close(fd);
    return code;
}

enum code log_check_blocks(struct log_check *check, struct err *e)
{
    return each_manifest(check, visit_blocks, e);
}

/* --- followers --- */

enum code log_check_slots(struct log_check *check, struct err *e)
{
    static uint8_t bytes[SLOTFILE_SIZE_MAX];
    static struct slot_record slots[SLOTS_MAX];
    size_t size = 0;
    uint32_t count = 0;
    struct err why;
    enum code code = log_dir_read_file(check->dir, "slots", bytes, sizeof(bytes), &size, &why);
    if (code == E_NOTFOUND) return OK; /* never had a follower */
    if (code == OK) code = slotfile_decode(slice_of(bytes, size), slots, &count, &why);
    if (code == E_FORMAT || code == E_IO) {
        *e = why;
        return code;
    }
    if (code != OK) return log_found(check, "slots", "%s", why.text);
    check->report->slots = count;
    return OK;
}
