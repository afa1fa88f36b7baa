/* mem_disk: see mem_disk.h. */
#include "enum/mem_disk.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assert.h"

#define PATH_SIZE 96u

/* Bytes with a count of holders; who wants to change them and is not alone takes a copy. */
struct blob {
    uint32_t refs;
    size_t size;
    size_t capacity;
    uint8_t *data;
};

struct inode {
    struct blob *seen;
    struct blob *durable;
    bool is_dir;
};

struct name {
    char path[PATH_SIZE];
    struct inode *seen; /* NULL: no such name */
    struct inode *durable;
};

enum change_kind { CHANGE_WRITE, CHANGE_SIZE, CHANGE_NAME };

struct change {
    enum change_kind kind;
    struct inode *inode; /* of a name: what it means from now on; NULL: removed */
    uint64_t offset;     /* of a write; the new size else */
    struct blob *bytes;
    char path[PATH_SIZE];
    char from[PATH_SIZE]; /* a rename's old name */
};

struct env_file {
    struct mem_disk *disk;
    struct inode *inode;
    struct env_file *next;
};

/* Inodes live as long as the disk: their number is small, and handles and changes may point at
 * them. */
struct mem_disk {
    struct env env;
    struct inode **inodes;
    size_t inode_count;
    struct name *names;
    size_t name_count;
    struct change *changes;
    size_t change_count;
    struct env_file *files;
    mem_disk_watch watch;
    void *watch_arg;
    bool is_locked;
};

static void *must(void *p)
{
    ASSERT(p != NULL);
    return p;
}

/* Room for one more item in an array that grows by doubling. */
#define PUSH(array, count)                                                                     \
    ((((count) & ((count)-1)) == 0                                                             \
          ? (void)((array) =                                                                   \
                       must(realloc((array), ((count) ? (count)*2 : 1) * sizeof((array)[0])))) \
          : (void)0),                                                                          \
     &(array)[(count)++])

/* --- blobs --- */

static struct blob *blob_new(const void *data, size_t size)
{
    struct blob *b = must(calloc(1, sizeof(*b)));
    *b = (struct blob){.refs = 1, .size = size, .capacity = size > 64 ? size : 64};
    b->data = must(malloc(b->capacity));
    if (data != NULL) memcpy(b->data, data, size);
    return b;
}

static struct blob *blob_hold(struct blob *b)
{
    b->refs++;
    return b;
}

static void blob_drop(struct blob *b)
{
    if (b == NULL || --b->refs > 0) return;
    free(b->data);
    free(b);
}

static void blob_point(struct blob **place, struct blob *b)
{
    blob_hold(b);
    blob_drop(*place);
    *place = b;
}

static struct blob *blob_own(struct blob **place)
{
    if ((*place)->refs == 1) return *place;
    struct blob *copy = blob_new((*place)->data, (*place)->size);
    blob_drop(*place);
    return *place = copy;
}

static void blob_resize(struct blob **place, size_t size)
{
    struct blob *b = blob_own(place);
    if (size > b->capacity) {
        b->capacity = size * 2;
        b->data = must(realloc(b->data, b->capacity));
    }
    if (size > b->size) memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void blob_put(struct blob **place, uint64_t offset, const uint8_t *data, size_t size)
{
    if (size == 0) return;
    struct blob *b = blob_own(place);
    if (offset + size > b->size) blob_resize(place, (size_t)offset + size);
    b = *place;
    memcpy(b->data + offset, data, size);
}

/* --- names and inodes --- */

static struct inode *inode_make(struct mem_disk *d, bool is_dir)
{
    struct inode *inode = must(calloc(1, sizeof(*inode)));
    inode->is_dir = is_dir;
    inode->seen = blob_new(NULL, 0);
    inode->durable = blob_hold(inode->seen);
    *PUSH(d->inodes, d->inode_count) = inode;
    return inode;
}

static const char *plain(const char *path)
{
    return path[0] == '.' && path[1] == '/' ? path + 2 : path;
}

static struct name *name_find(const struct mem_disk *d, const char *path)
{
    for (size_t i = 0; i < d->name_count; i++) {
        if (strcmp(d->names[i].path, path) == 0) return &d->names[i];
    }
    return NULL;
}

static void copy_path(char out[PATH_SIZE], const char *path)
{
    ASSERT(strlen(path) < PATH_SIZE);
    memcpy(out, path, strlen(path) + 1);
}

static struct name *name_make(struct mem_disk *d, const char *path)
{
    struct name *n = name_find(d, path);
    if (n != NULL) return n;
    n = PUSH(d->names, d->name_count);
    *n = (struct name){.seen = NULL};
    copy_path(n->path, path);
    return n;
}

static size_t parent_size(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? 0 : (size_t)(slash - path);
}

static bool is_in(const char *path, const char *dir)
{
    size_t size = parent_size(path);
    if (strcmp(dir, ".") == 0) dir = "";
    return strlen(dir) == size && memcmp(path, dir, size) == 0;
}

static bool has_parent(const struct mem_disk *d, const char *path)
{
    char parent[PATH_SIZE];
    copy_path(parent, path);
    parent[parent_size(path)] = '\0';
    if (parent[0] == '\0') return true;
    const struct name *n = name_find(d, parent);
    return n != NULL && n->seen != NULL;
}

/* --- changes --- */

static void announce(struct mem_disk *d)
{
    if (d->watch != NULL) d->watch(d->watch_arg);
}

static struct change *push_change(struct mem_disk *d, enum change_kind kind, struct inode *inode)
{
    struct change *c = PUSH(d->changes, d->change_count);
    *c = (struct change){.kind = kind, .inode = inode};
    return c;
}

static void push_name(struct mem_disk *d, const char *path, const char *from, struct inode *inode)
{
    struct change *c = push_change(d, CHANGE_NAME, inode);
    copy_path(c->path, path);
    copy_path(c->from, from);
}

/* Of an inode: it becomes what it is durably. Of a name likewise. */
static void settle(struct mem_disk *d, const struct change *c)
{
    switch (c->kind) {
    case CHANGE_WRITE:
        blob_put(&c->inode->durable, c->offset, c->bytes->data, c->bytes->size);
        return;
    case CHANGE_SIZE: blob_resize(&c->inode->durable, (size_t)c->offset); return;
    case CHANGE_NAME: break;
    }
    if (c->from[0] != '\0') {
        struct name *from = name_make(d, c->from);
        if (from->durable == c->inode) from->durable = NULL;
    }
    name_make(d, c->path)->durable = c->inode;
}

static void forget_change(struct change *c)
{
    blob_drop(c->bytes);
}

static void sync_inode(struct mem_disk *d, struct inode *inode)
{
    size_t kept = 0;
    for (size_t i = 0; i < d->change_count; i++) {
        if (d->changes[i].kind == CHANGE_NAME || d->changes[i].inode != inode) {
            d->changes[kept++] = d->changes[i];
        } else {
            forget_change(&d->changes[i]);
        }
    }
    d->change_count = kept;
    blob_point(&inode->durable, inode->seen);
}

/* --- the calls of env.h --- */

static struct mem_disk *of(struct env *env)
{
    return CONTAINER_OF(env, struct mem_disk, env);
}

static enum code file_open(struct env *env, const char *path, unsigned flags, struct env_file **out,
                           struct err *e)
{
    struct mem_disk *d = of(env);
    path = plain(path);
    struct name *n = name_find(d, path);
    struct inode *inode = n == NULL ? NULL : n->seen;
    if (inode != NULL && (flags & ENV_EXCLUSIVE) != 0)
        return ERR(e, E_EXISTS, "%s exists already", path);
    if (inode != NULL && inode->is_dir) return ERR(e, E_IO, "open %s: is a directory", path);
    if (inode == NULL) {
        if ((flags & ENV_CREATE) == 0) return ERR(e, E_NOTFOUND, "%s does not exist", path);
        if (!has_parent(d, path)) return ERR(e, E_NOTFOUND, "no folder for %s", path);
        announce(d);
        inode = inode_make(d, false);
        name_make(d, path)->seen = inode;
        push_name(d, path, "", inode);
    }
    struct env_file *file = must(calloc(1, sizeof(*file)));
    *file = (struct env_file){.disk = d, .inode = inode, .next = d->files};
    d->files = file;
    *out = file;
    return OK;
}

static void file_close(struct env *env, struct env_file *file)
{
    if (file == NULL) return;
    struct env_file **at = &of(env)->files;
    while (*at != file) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = file->next;
    free(file);
}

static enum code file_pwrite(struct env *env, struct env_file *file, uint64_t offset,
                             struct slice bytes, struct err *e)
{
    (void)e;
    struct mem_disk *d = of(env);
    announce(d);
    blob_put(&file->inode->seen, offset, bytes.data, bytes.size);
    struct change *c = push_change(d, CHANGE_WRITE, file->inode);
    c->offset = offset;
    c->bytes = blob_new(bytes.data, bytes.size);
    return OK;
}

static enum code file_pread(struct env *env, struct env_file *file, uint64_t offset, void *out,
                            size_t size, size_t *out_read, struct err *e)
{
    (void)env;
    (void)e;
    const struct blob *b = file->inode->seen;
    size_t count = offset >= b->size ? 0 : b->size - (size_t)offset;
    if (count > size) count = size;
    if (count > 0) memcpy(out, b->data + offset, count);
    *out_read = count;
    return OK;
}

static enum code file_sync(struct env *env, struct env_file *file, struct err *e)
{
    (void)e;
    announce(of(env));
    sync_inode(of(env), file->inode);
    return OK;
}

static enum code file_truncate(struct env *env, struct env_file *file, uint64_t size, struct err *e)
{
    (void)e;
    struct mem_disk *d = of(env);
    announce(d);
    blob_resize(&file->inode->seen, (size_t)size);
    push_change(d, CHANGE_SIZE, file->inode)->offset = size;
    return OK;
}

static enum code file_size(struct env *env, struct env_file *file, uint64_t *out, struct err *e)
{
    (void)env;
    (void)e;
    *out = file->inode->seen->size;
    return OK;
}

static enum code file_rename(struct env *env, const char *from, const char *to, struct err *e)
{
    struct mem_disk *d = of(env);
    from = plain(from);
    to = plain(to);
    struct name *source = name_find(d, from);
    if (source == NULL || source->seen == NULL)
        return ERR(e, E_NOTFOUND, "rename %s: does not exist", from);
    if (!has_parent(d, to)) return ERR(e, E_NOTFOUND, "no folder for %s", to);
    announce(d);
    struct inode *inode = source->seen;
    source->seen = NULL;
    name_make(d, to)->seen = inode; /* may move the names */
    push_name(d, to, from, inode);
    return OK;
}

static enum code file_unlink(struct env *env, const char *path, struct err *e)
{
    struct mem_disk *d = of(env);
    path = plain(path);
    struct name *n = name_find(d, path);
    if (n == NULL || n->seen == NULL) return ERR(e, E_NOTFOUND, "unlink %s: does not exist", path);
    announce(d);
    n->seen = NULL;
    push_name(d, path, "", NULL);
    return OK;
}

static enum code make_dir(struct env *env, const char *path, struct err *e)
{
    struct mem_disk *d = of(env);
    path = plain(path);
    if (strcmp(path, ".") == 0 || path[0] == '\0') return OK;
    const struct name *n = name_find(d, path);
    if (n != NULL && n->seen != NULL) {
        if (n->seen->is_dir) return OK;
        return ERR(e, E_EXISTS, "%s exists and is no folder", path);
    }
    announce(d);
    struct inode *inode = inode_make(d, true);
    name_make(d, path)->seen = inode;
    push_name(d, path, "", inode);
    return OK;
}

static enum code sync_dir(struct env *env, const char *path, struct err *e)
{
    (void)e;
    struct mem_disk *d = of(env);
    path = plain(path);
    announce(d);
    size_t kept = 0;
    for (size_t i = 0; i < d->change_count; i++) {
        struct change c = d->changes[i];
        if (c.kind == CHANGE_NAME && is_in(c.path, path)) {
            settle(d, &c);
        } else {
            d->changes[kept++] = c;
        }
    }
    d->change_count = kept;
    return OK;
}

static int compare_dirents(const void *a, const void *b)
{
    return strcmp(((const struct env_dirent *)a)->name, ((const struct env_dirent *)b)->name);
}

static enum code list(struct env *env, const char *path, struct env_dirent **out, size_t *out_count,
                      struct err *e)
{
    const struct mem_disk *d = of(env);
    path = plain(path);
    const struct name *dir = name_find(d, path);
    if (strcmp(path, ".") != 0 && (dir == NULL || dir->seen == NULL))
        return ERR(e, E_NOTFOUND, "folder %s does not exist", path);
    struct env_dirent *entries = must(calloc(d->name_count + 1, sizeof(*entries)));
    size_t count = 0;
    for (size_t i = 0; i < d->name_count; i++) {
        const struct name *n = &d->names[i];
        if (n->seen == NULL || n->seen->is_dir || !is_in(n->path, path)) continue;
        const char *slash = strrchr(n->path, '/');
        const char *last = slash == NULL ? n->path : slash + 1;
        ASSERT(strlen(last) < sizeof(entries[0].name));
        memcpy(entries[count].name, last, strlen(last) + 1);
        entries[count++].size = n->seen->seen->size;
    }
    qsort(entries, count, sizeof(*entries), compare_dirents);
    *out = entries;
    *out_count = count;
    return OK;
}

static enum code lock(struct env *env, struct err *e)
{
    struct mem_disk *d = of(env);
    if (d->is_locked) return ERR(e, E_INUSE, "the directory is in use by process 1");
    d->is_locked = true;
    return OK;
}

static enum code disk_free(struct env *env, uint64_t *out_bytes, struct err *e)
{
    (void)env;
    (void)e;
    *out_bytes = GIB;
    return OK;
}

static const struct env_vtable vtable = {
    .open = file_open,
    .close = file_close,
    .pwrite = file_pwrite,
    .pread = file_pread,
    .sync = file_sync,
    .truncate = file_truncate,
    .size = file_size,
    .rename = file_rename,
    .unlink = file_unlink,
    .make_dir = make_dir,
    .sync_dir = sync_dir,
    .list = list,
    .lock = lock,
    .disk_free = disk_free,
};

/* --- life --- */

struct mem_disk *mem_disk_new(void)
{
    struct mem_disk *d = must(calloc(1, sizeof(*d)));
    d->env.v = &vtable;
    return d;
}

struct env *mem_disk_env(struct mem_disk *d)
{
    return &d->env;
}

void mem_disk_end_process(struct mem_disk *d)
{
    while (d->files != NULL)
        file_close(&d->env, d->files);
    d->is_locked = false;
}

void mem_disk_free(struct mem_disk *d)
{
    if (d == NULL) return;
    mem_disk_end_process(d);
    for (size_t i = 0; i < d->change_count; i++)
        forget_change(&d->changes[i]);
    for (size_t i = 0; i < d->inode_count; i++) {
        blob_drop(d->inodes[i]->seen);
        blob_drop(d->inodes[i]->durable);
        free(d->inodes[i]);
    }
    free(d->changes);
    free(d->inodes);
    free(d->names);
    free(d);
}

void mem_disk_watch_changes(struct mem_disk *d, mem_disk_watch watch, void *arg)
{
    d->watch = watch;
    d->watch_arg = arg;
}

static size_t index_of(const struct mem_disk *d, const struct inode *inode)
{
    for (size_t i = 0; i < d->inode_count; i++) {
        if (d->inodes[i] == inode) return i;
    }
    UNREACHABLE(); /* an inode of this disk */
}

static struct inode *twin_of(const struct mem_disk *from, const struct mem_disk *to,
                             const struct inode *inode)
{
    return inode == NULL ? NULL : to->inodes[index_of(from, inode)];
}

struct mem_disk *mem_disk_clone(const struct mem_disk *from)
{
    struct mem_disk *d = mem_disk_new();
    for (size_t i = 0; i < from->inode_count; i++) {
        const struct inode *old = from->inodes[i];
        struct inode *inode = must(calloc(1, sizeof(*inode)));
        *inode = (struct inode){blob_hold(old->seen), blob_hold(old->durable), old->is_dir};
        *PUSH(d->inodes, d->inode_count) = inode;
    }
    for (size_t i = 0; i < from->name_count; i++) {
        struct name *n = PUSH(d->names, d->name_count);
        *n = from->names[i];
        n->seen = twin_of(from, d, n->seen);
        n->durable = twin_of(from, d, n->durable);
    }
    for (size_t i = 0; i < from->change_count; i++) {
        struct change *c = PUSH(d->changes, d->change_count);
        *c = from->changes[i];
        c->inode = twin_of(from, d, c->inode);
        if (c->bytes != NULL) blob_hold(c->bytes);
    }
    return d;
}

/* --- cutting the power --- */

size_t mem_disk_pending(const struct mem_disk *d)
{
    return d->change_count;
}

bool mem_disk_has_bytes(const struct mem_disk *d, size_t pending)
{
    return d->changes[pending].kind == CHANGE_WRITE;
}

/* Sector by sector: a run from either end, or any of them; or garbage in all of them. */
static void damage(const struct change *c, bool is_garbage, struct random *random)
{
    uint64_t end = c->offset + c->bytes->size;
    uint64_t first = c->offset / MEM_SECTOR_SIZE;
    uint64_t last = (end - 1) / MEM_SECTOR_SIZE;
    uint64_t cut = first + random_below(random, last - first + 2);
    uint64_t how = random_below(random, 3);
    for (uint64_t sector = first; sector <= last; sector++) {
        uint64_t begin = sector * MEM_SECTOR_SIZE;
        uint64_t stop = begin + MEM_SECTOR_SIZE < end ? begin + MEM_SECTOR_SIZE : end;
        if (begin < c->offset) begin = c->offset;
        if (is_garbage) {
            uint8_t bytes[MEM_SECTOR_SIZE];
            for (size_t i = 0; i < stop - begin; i++)
                bytes[i] = (uint8_t)random_next(random);
            blob_put(&c->inode->durable, begin, bytes, (size_t)(stop - begin));
            continue;
        }
        bool is_kept = how == 0   ? sector < cut
                       : how == 1 ? sector >= cut
                                  : random_below(random, 2) == 0;
        if (!is_kept) continue;
        blob_put(&c->inode->durable, begin, c->bytes->data + (begin - c->offset),
                 (size_t)(stop - begin));
    }
}

static void drop_orphans(struct mem_disk *d)
{
    for (size_t i = 0; i < d->name_count; i++)
        d->names[i].seen = d->names[i].durable;
    for (size_t i = 0; i < d->name_count; i++) {
        if (d->names[i].seen != NULL && !has_parent(d, d->names[i].path))
            d->names[i].seen = d->names[i].durable = NULL;
    }
}

struct mem_disk *mem_disk_cut(const struct mem_disk *from, const uint8_t *fates,
                              struct random *random)
{
    struct mem_disk *d = mem_disk_clone(from);
    for (size_t i = 0; i < d->change_count; i++) {
        struct change *c = &d->changes[i];
        bool has_bytes = c->kind == CHANGE_WRITE && c->bytes->size > 0;
        if (fates[i] == MEM_KEPT) settle(d, c);
        if (fates[i] == MEM_TORN && has_bytes) damage(c, false, random);
        if (fates[i] == MEM_GARBAGE && has_bytes) damage(c, true, random);
        forget_change(c);
    }
    d->change_count = 0;
    drop_orphans(d);
    for (size_t i = 0; i < d->inode_count; i++)
        blob_point(&d->inodes[i]->seen, d->inodes[i]->durable);
    return d;
}

/* --- damage --- */

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

size_t mem_disk_list(const struct mem_disk *d, const char **out, size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < d->name_count && count < capacity; i++) {
        const struct name *n = &d->names[i];
        if (n->seen != NULL && !n->seen->is_dir) out[count++] = n->path;
    }
    qsort(out, count, sizeof(out[0]), compare_paths);
    return count;
}

static struct inode *inode_at(const struct mem_disk *d, const char *path)
{
    const struct name *n = name_find(d, path);
    return n == NULL ? NULL : n->seen;
}

size_t mem_disk_size(const struct mem_disk *d, const char *path)
{
    const struct inode *inode = inode_at(d, path);
    return inode == NULL ? 0 : inode->seen->size;
}

const uint8_t *mem_disk_bytes(const struct mem_disk *d, const char *path)
{
    const struct inode *inode = inode_at(d, path);
    return inode == NULL ? NULL : inode->seen->data;
}

uint8_t *mem_disk_edit(struct mem_disk *d, const char *path)
{
    struct inode *inode = inode_at(d, path);
    ASSERT(inode != NULL && d->change_count == 0);
    struct blob *b = blob_new(inode->seen->data, inode->seen->size);
    blob_point(&inode->seen, b);
    blob_point(&inode->durable, b);
    blob_drop(b);
    return b->data;
}

void mem_disk_resize(struct mem_disk *d, const char *path, size_t size)
{
    (void)mem_disk_edit(d, path);
    struct inode *inode = inode_at(d, path);
    blob_drop(inode->durable);
    inode->durable = NULL;
    blob_resize(&inode->seen, size);
    inode->durable = blob_hold(inode->seen);
}

void mem_disk_remove(struct mem_disk *d, const char *path)
{
    struct name *n = name_find(d, path);
    ASSERT(n != NULL);
    n->seen = NULL;
    n->durable = NULL;
}
