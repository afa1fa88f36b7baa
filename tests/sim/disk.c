/* disk: names, handles and chances of failure; the bytes are sim/inode's. */
#include "sim/disk.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "sim/inode.h"

struct env_file {
    struct disk_inode *inode;
    unsigned flags;
    struct env_file *next;
};

/* Names are few (segments, checkpoints, two small files), so arrays searched in order will do. */

void disk_init(struct disk *d, struct random *random, struct coverage *coverage)
{
    *d = (struct disk){.random = random, .coverage = coverage, .free_bytes = 4 * GIB};
}

static void close_all(struct disk *d)
{
    while (d->handles != NULL) {
        disk_close(d, d->handles);
    }
}

static void forget_changes(struct disk *d)
{
    for (size_t i = 0; i < d->change_count; i++) {
        inode_unref(d->changes[i].inode);
    }
    d->change_count = 0;
}

void disk_wipe(struct disk *d)
{
    close_all(d);
    forget_changes(d);
    for (size_t i = 0; i < d->entry_count; i++) {
        inode_unref(d->entries[i].cached);
        inode_unref(d->entries[i].durable);
    }
    d->entry_count = 0;
    d->is_locked = false;
}

void disk_fini(struct disk *d)
{
    disk_wipe(d);
    free(d->entries);
    free(d->changes);
    *d = (struct disk){0};
}

static struct disk_entry *find_entry(const struct disk *d, const char *path)
{
    for (size_t i = 0; i < d->entry_count; i++) {
        if (strcmp(d->entries[i].path, path) == 0) return &d->entries[i];
    }
    return NULL;
}

static struct disk_entry *make_entry(struct disk *d, const char *path)
{
    struct disk_entry *entry = find_entry(d, path);
    if (entry != NULL) return entry;
    if (d->entry_count == d->entry_capacity) {
        d->entry_capacity = d->entry_capacity == 0 ? 32 : d->entry_capacity * 2;
        d->entries = realloc(d->entries, d->entry_capacity * sizeof(d->entries[0]));
        ASSERT(d->entries != NULL);
    }
    entry = &d->entries[d->entry_count++];
    *entry = (struct disk_entry){0};
    ASSERT(strlen(path) < sizeof(entry->path));
    memcpy(entry->path, path, strlen(path) + 1);
    return entry;
}

/* Point a face of a name at an inode (NULL: nothing), moving the references. */
static void point(struct disk_inode **face, struct disk_inode *inode)
{
    if (inode != NULL) inode_ref(inode);
    inode_unref(*face);
    *face = inode;
}

static void sweep_entries(struct disk *d)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->entry_count; i++) {
        if (d->entries[i].cached == NULL && d->entries[i].durable == NULL) continue;
        d->entries[kept++] = d->entries[i];
    }
    d->entry_count = kept;
}

static void push_change(struct disk *d, const char *path, const char *from,
                        struct disk_inode *inode)
{
    if (d->change_count == d->change_capacity) {
        d->change_capacity = d->change_capacity == 0 ? 16 : d->change_capacity * 2;
        d->changes = realloc(d->changes, d->change_capacity * sizeof(d->changes[0]));
        ASSERT(d->changes != NULL);
    }
    struct disk_name_change *c = &d->changes[d->change_count++];
    *c = (struct disk_name_change){.inode = inode};
    memcpy(c->path, path, strlen(path) + 1);
    memcpy(c->from, from, strlen(from) + 1);
    if (inode != NULL) inode_ref(inode);
}

static void apply_change(struct disk *d, const struct disk_name_change *c)
{
    if (c->from[0] != '\0') {
        struct disk_entry *from = find_entry(d, c->from);
        if (from != NULL && from->durable == c->inode) point(&from->durable, NULL);
    }
    point(&make_entry(d, c->path)->durable, c->inode);
}

/* Is `path` directly in the folder `dir` ("." or "" is the top)? */
static bool is_in(const char *path, const char *dir)
{
    const char *slash = strrchr(path, '/');
    size_t size = slash == NULL ? 0 : (size_t)(slash - path);
    if (strcmp(dir, ".") == 0) dir = "";
    return strlen(dir) == size && memcmp(path, dir, size) == 0;
}

static bool has_parent(const struct disk *d, const char *path, bool durably)
{
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return true;
    char parent[DISK_PATH_SIZE_MAX];
    memcpy(parent, path, (size_t)(slash - path));
    parent[slash - path] = '\0';
    const struct disk_entry *entry = find_entry(d, parent);
    return entry != NULL && (durably ? entry->durable : entry->cached) != NULL;
}

/* "./x" and "x" are the same name. */
static const char *plain(const char *path)
{
    return path[0] == '.' && path[1] == '/' ? path + 2 : path;
}

enum code disk_open(struct disk *d, const char *path, unsigned flags, struct env_file **out,
                    struct err *e)
{
    d->change_calls += (flags & ENV_CREATE) != 0;
    path = plain(path);
    if (strlen(path) >= DISK_PATH_SIZE_MAX) return ERR(e, E_INVALID, "path %s is too long", path);
    struct disk_entry *entry = find_entry(d, path);
    struct disk_inode *inode = entry == NULL ? NULL : entry->cached;
    if (inode != NULL && (flags & ENV_EXCLUSIVE) != 0) {
        return ERR(e, E_EXISTS, "%s exists already", path);
    }
    if (inode != NULL && inode->is_dir) return ERR(e, E_IO, "open %s: is a directory", path);
    if (inode == NULL) {
        if ((flags & ENV_CREATE) == 0) return ERR(e, E_NOTFOUND, "%s does not exist", path);
        if (!has_parent(d, path, false)) return ERR(e, E_NOTFOUND, "no folder for %s", path);
        inode = inode_new();
        point(&make_entry(d, path)->cached, inode);
        push_change(d, path, "", inode);
        inode_unref(inode);
    }
    struct env_file *file = calloc(1, sizeof(*file));
    ASSERT(file != NULL);
    *file = (struct env_file){.inode = inode, .flags = flags, .next = d->handles};
    inode_ref(inode);
    d->handles = file;
    *out = file;
    return OK;
}

void disk_close(struct disk *d, struct env_file *file)
{
    if (file == NULL) return;
    struct env_file **at = &d->handles;
    while (*at != file) {
        ASSERT(*at != NULL); /* closed twice, or not a handle of this disk */
        at = &(*at)->next;
    }
    *at = file->next;
    inode_unref(file->inode);
    free(file);
}

const char *disk_path_of(const struct disk *d, const struct env_file *file)
{
    for (size_t i = 0; i < d->entry_count; i++) {
        if (d->entries[i].cached == file->inode) return d->entries[i].path;
    }
    return "?";
}

size_t disk_cut_write(uint64_t offset, size_t size, struct random *random)
{
    uint64_t end = offset + random_below(random, size + 1);
    if (end == offset + size) return size;
    end = end / DISK_SECTOR_SIZE * DISK_SECTOR_SIZE;
    return end > offset ? (size_t)(end - offset) : 0;
}

enum code disk_write(struct disk *d, struct env_file *file, uint64_t offset, struct slice bytes,
                     struct err *e)
{
    d->change_calls++;
    ASSERT((file->flags & (ENV_WRITE | ENV_CREATE)) != 0);
    if (d->faults.is_full && offset + bytes.size > file->inode->cache.size) {
        d->coverage->refused_writes++;
        if (offset < file->inode->cache.size && random_chance(d->random, 500000)) {
            d->coverage->short_writes++;
            struct slice part = {bytes.data, (size_t)(file->inode->cache.size - offset)};
            inode_write(file->inode, offset, part, DISK_PENDING_WRITES_MAX);
        }
        return ERR(e, E_DISKFULL, "write %zu bytes to %s: no space left", bytes.size,
                   disk_path_of(d, file));
    }
    if (random_chance(d->random, d->faults.write_fails)) {
        d->coverage->failed_writes++;
        size_t whole = bytes.size;
        bytes.size = disk_cut_write(offset, bytes.size, d->random);
        d->coverage->short_writes += bytes.size > 0 && bytes.size < whole;
        inode_write(file->inode, offset, bytes, DISK_PENDING_WRITES_MAX);
        return ERR(e, E_IO, "write to %s at %llu: input/output error", disk_path_of(d, file),
                   (unsigned long long)offset);
    }
    if (random_chance(d->random, d->faults.writes_lost)) {
        d->coverage->lies++;
        d->has_lied = true;
        inode_write_lost(file->inode, offset, bytes);
    } else if (random_chance(d->random, d->faults.writes_astray)) {
        d->coverage->astray++;
        d->has_lied = true;
        uint64_t sectors = file->inode->cache.size / DISK_SECTOR_SIZE + 2;
        uint64_t to =
            random_below(d->random, sectors) * DISK_SECTOR_SIZE + offset % DISK_SECTOR_SIZE;
        inode_write_astray(file->inode, offset, to, bytes, DISK_PENDING_WRITES_MAX);
    } else {
        inode_write(file->inode, offset, bytes, DISK_PENDING_WRITES_MAX);
    }
    return OK;
}

enum code disk_read(struct disk *d, struct env_file *file, uint64_t offset, void *out, size_t size,
                    size_t *out_read, struct err *e)
{
    if (random_chance(d->random, d->faults.read_fails)) {
        d->coverage->failed_reads++;
        return ERR(e, E_IO, "read %s at %llu: input/output error", disk_path_of(d, file),
                   (unsigned long long)offset);
    }
    *out_read = inode_read(file->inode, offset, out, size, (file->flags & ENV_UNCACHED) != 0);
    return OK;
}

enum code disk_sync(struct disk *d, struct env_file *file, struct err *e)
{
    if (random_chance(d->random, d->faults.sync_fails)) {
        d->coverage->failed_syncs++;
        inode_sync_badly(file->inode, d->random);
        return ERR(e, E_IO, "fdatasync %s: input/output error", disk_path_of(d, file));
    }
    if (random_chance(d->random, d->faults.sync_lies)) {
        d->coverage->lying_syncs++;
        d->has_lied = true;
        return OK;
    }
    inode_sync(file->inode);
    return OK;
}

enum code disk_truncate(struct disk *d, struct env_file *file, uint64_t size, struct err *e)
{
    d->change_calls++;
    ASSERT((file->flags & (ENV_WRITE | ENV_CREATE)) != 0);
    if (random_chance(d->random, d->faults.write_fails)) {
        d->coverage->failed_writes++;
        return ERR(e, E_IO, "truncate %s: input/output error", disk_path_of(d, file));
    }
    inode_truncate(file->inode, size, DISK_PENDING_WRITES_MAX);
    return OK;
}

uint64_t disk_size(const struct env_file *file)
{
    return file->inode->cache.size;
}

enum code disk_rename(struct disk *d, const char *from, const char *to, struct err *e)
{
    d->change_calls++;
    from = plain(from);
    to = plain(to);
    struct disk_entry *source = find_entry(d, from);
    if (source == NULL || source->cached == NULL) {
        return ERR(e, E_NOTFOUND, "rename %s: does not exist", from);
    }
    if (!has_parent(d, to, false)) return ERR(e, E_NOTFOUND, "no folder for %s", to);
    struct disk_inode *inode = source->cached;
    inode_ref(inode);
    point(&source->cached, NULL);
    point(&make_entry(d, to)->cached, inode);
    push_change(d, to, from, inode);
    inode_unref(inode);
    return OK;
}

enum code disk_unlink(struct disk *d, const char *path, struct err *e)
{
    d->change_calls++;
    path = plain(path);
    struct disk_entry *entry = find_entry(d, path);
    if (entry == NULL || entry->cached == NULL) {
        return ERR(e, E_NOTFOUND, "unlink %s: does not exist", path);
    }
    point(&entry->cached, NULL);
    push_change(d, path, "", NULL);
    return OK;
}

enum code disk_make_dir(struct disk *d, const char *path, struct err *e)
{
    d->change_calls++;
    path = plain(path);
    if (strcmp(path, ".") == 0 || path[0] == '\0') return OK;
    const struct disk_entry *entry = find_entry(d, path);
    if (entry != NULL && entry->cached != NULL) {
        if (entry->cached->is_dir) return OK;
        return ERR(e, E_EXISTS, "%s exists and is no folder", path);
    }
    if (!has_parent(d, path, false)) return ERR(e, E_NOTFOUND, "no folder for %s", path);
    struct disk_inode *inode = inode_new();
    inode->is_dir = true;
    point(&make_entry(d, path)->cached, inode);
    push_change(d, path, "", inode);
    inode_unref(inode);
    return OK;
}

/* Make the changes in this folder durable; when `in_part`, each only by chance. */
static void settle_changes(struct disk *d, const char *dir, bool in_part)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->change_count; i++) {
        struct disk_name_change *c = &d->changes[i];
        bool is_here = dir == NULL || is_in(c->path, dir);
        bool is_applied = is_here && (!in_part || random_chance(d->random, 500000));
        if (is_applied) {
            apply_change(d, c);
            inode_unref(c->inode);
        } else if (kept == i) {
            kept++;
        } else {
            d->changes[kept++] = *c;
        }
    }
    d->change_count = kept;
}

enum code disk_sync_dir(struct disk *d, const char *path, struct err *e)
{
    path = plain(path);
    if (random_chance(d->random, d->faults.sync_fails)) {
        d->coverage->failed_syncs++;
        settle_changes(d, path, true);
        return ERR(e, E_IO, "sync folder %s: input/output error", path);
    }
    settle_changes(d, path, false);
    sweep_entries(d);
    return OK;
}

static int compare_dirents(const void *a, const void *b)
{
    const struct env_dirent *left = a;
    const struct env_dirent *right = b;
    return strcmp(left->name, right->name);
}

enum code disk_list(struct disk *d, const char *path, struct env_dirent **out, size_t *out_count,
                    struct err *e)
{
    path = plain(path);
    bool is_top = strcmp(path, ".") == 0 || path[0] == '\0';
    const struct disk_entry *dir = is_top ? NULL : find_entry(d, path);
    if (!is_top && (dir == NULL || dir->cached == NULL)) {
        return ERR(e, E_NOTFOUND, "folder %s does not exist", path);
    }
    struct env_dirent *list = calloc(d->entry_count + 1, sizeof(*list));
    ASSERT(list != NULL);
    size_t count = 0;
    for (size_t i = 0; i < d->entry_count; i++) {
        const struct disk_entry *entry = &d->entries[i];
        if (entry->cached == NULL || entry->cached->is_dir || !is_in(entry->path, path)) continue;
        const char *slash = strrchr(entry->path, '/');
        const char *name = slash == NULL ? entry->path : slash + 1;
        ASSERT(strlen(name) < sizeof(list[count].name));
        memcpy(list[count].name, name, strlen(name) + 1);
        list[count++].size = entry->cached->cache.size;
    }
    qsort(list, count, sizeof(*list), compare_dirents);
    *out = list;
    *out_count = count;
    return OK;
}

void disk_end_process(struct disk *d)
{
    close_all(d);
    d->is_locked = false;
    if (!random_chance(d->random, d->faults.cache_drops)) return;
    d->coverage->dropped_caches++;
    for (size_t i = 0; i < d->entry_count; i++) {
        if (d->entries[i].cached != NULL) inode_drop_cache(d->entries[i].cached);
    }
}

/* Names first: which changes were kept decides which inodes still exist. */
static void cut_names(struct disk *d)
{
    size_t before = d->change_count;
    uint64_t mood = random_below(d->random, 3);
    if (mood == 0) settle_changes(d, NULL, false);
    if (mood == 1) settle_changes(d, NULL, true);
    d->coverage->lost_names += mood == 0 ? 0 : d->change_count;
    ASSERT(d->change_count <= before);
    forget_changes(d);
    for (size_t i = 0; i < d->entry_count; i++) {
        struct disk_entry *entry = &d->entries[i];
        if (entry->durable != NULL && !has_parent(d, entry->path, true)) {
            point(&entry->durable, NULL);
        }
        point(&entry->cached, entry->durable);
    }
    sweep_entries(d);
}

void disk_cut_power(struct disk *d)
{
    static const uint32_t moods[] = {0, 100000, 500000, 900000, 1000000};
    struct inode_fate fate;
    fate.lost = moods[random_below(d->random, COUNT_OF(moods))];
    fate.torn = moods[random_below(d->random, COUNT_OF(moods))];
    fate.sector_size = random_below(d->random, 2) == 0 ? DISK_SECTOR_SIZE : DISK_PAGE_SIZE;
    close_all(d);
    d->is_locked = false;
    cut_names(d);
    for (size_t i = 0; i < d->entry_count; i++) {
        inode_cut_power(d->entries[i].durable, &fate, d->random, d->coverage);
    }
}

void disk_copy(struct disk *to, const struct disk *from)
{
    disk_wipe(to);
    for (size_t i = 0; i < from->entry_count; i++) {
        const struct disk_entry *entry = &from->entries[i];
        if (entry->durable == NULL || !has_parent(from, entry->path, true)) continue;
        struct disk_entry *copy = make_entry(to, entry->path);
        copy->durable = inode_copy_durable(entry->durable);
        copy->cached = copy->durable;
        inode_ref(copy->cached);
    }
}

bool disk_flip_bit(struct disk *d, const char *path, uint64_t offset, unsigned bit)
{
    struct disk_entry *entry = find_entry(d, path);
    if (entry == NULL || entry->durable == NULL) return false;
    struct inode_bytes *platter = &entry->durable->platter;
    if (offset >= platter->size) return false;
    platter->data[offset] ^= (uint8_t)(1u << (bit & 7));
    struct inode_bytes *cache = &entry->durable->cache;
    if (offset < cache->size) cache->data[offset] = platter->data[offset];
    return true;
}

uint64_t disk_durable_size(const struct disk *d, const char *path)
{
    const struct disk_entry *entry = find_entry(d, path);
    return entry == NULL || entry->durable == NULL ? 0 : entry->durable->platter.size;
}
