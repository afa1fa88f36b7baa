/* inode: pages, platter and the writes in between. Memory failure ends the process: a simulation
 * that cannot get memory has nothing to say. */
#include "sim/inode.h"

#include <stdlib.h>

#include "base/assert.h"
#include "sim/disk.h"

static void bytes_reserve(struct inode_bytes *b, size_t size)
{
    if (size <= b->capacity) return;
    size_t capacity = b->capacity == 0 ? 1024 : b->capacity;
    while (capacity < size) {
        capacity *= 2;
    }
    b->data = realloc(b->data, capacity);
    ASSERT(b->data != NULL);
    b->capacity = capacity;
}

static void bytes_resize(struct inode_bytes *b, size_t size)
{
    bytes_reserve(b, size);
    if (size > b->size) memset(b->data + b->size, 0, size - b->size);
    b->size = size;
}

static void bytes_put(struct inode_bytes *b, uint64_t offset, const uint8_t *data, size_t size)
{
    if (size == 0) return;
    if (offset > b->size) bytes_resize(b, (size_t)offset); /* a hole reads as zeros */
    bytes_reserve(b, (size_t)offset + size);
    memcpy(b->data + offset, data, size);
    if (offset + size > b->size) b->size = (size_t)offset + size;
}

static void bytes_apply(struct inode_bytes *b, const struct inode_change *c)
{
    if (c->data == NULL) {
        bytes_resize(b, (size_t)c->offset);
    } else {
        bytes_put(b, c->offset, c->data, c->size);
    }
}

static void bytes_copy(struct inode_bytes *to, const struct inode_bytes *from)
{
    bytes_reserve(to, from->size);
    if (from->size != 0) memcpy(to->data, from->data, from->size);
    to->size = from->size;
}

struct disk_inode *inode_new(void)
{
    struct disk_inode *inode = calloc(1, sizeof(*inode));
    ASSERT(inode != NULL);
    inode->refs = 1;
    return inode;
}

void inode_ref(struct disk_inode *inode)
{
    inode->refs++;
}

static void forget_pending(struct disk_inode *inode, size_t count)
{
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) {
        free(inode->pending[i].data);
    }
    inode->pending_count -= count;
    memmove(inode->pending, inode->pending + count,
            inode->pending_count * sizeof(inode->pending[0]));
}

void inode_unref(struct disk_inode *inode)
{
    if (inode == NULL) return;
    ASSERT(inode->refs > 0);
    if (--inode->refs > 0) return;
    forget_pending(inode, inode->pending_count);
    free(inode->pending);
    free(inode->cache.data);
    free(inode->platter.data);
    free(inode);
}

static void push_pending(struct disk_inode *inode, struct inode_change change, size_t pending_max)
{
    if (inode->pending_count >= pending_max) {
        bytes_apply(&inode->platter, &inode->pending[0]);
        forget_pending(inode, 1);
    }
    if (inode->pending_count == inode->pending_capacity) {
        inode->pending_capacity = inode->pending_capacity == 0 ? 8 : inode->pending_capacity * 2;
        inode->pending =
            realloc(inode->pending, inode->pending_capacity * sizeof(inode->pending[0]));
        ASSERT(inode->pending != NULL);
    }
    inode->pending[inode->pending_count++] = change;
}

static void queue_write(struct disk_inode *inode, uint64_t offset, struct slice bytes,
                        size_t pending_max)
{
    uint8_t *data = malloc(bytes.size);
    ASSERT(data != NULL);
    memcpy(data, bytes.data, bytes.size);
    push_pending(inode, (struct inode_change){.offset = offset, .size = bytes.size, .data = data},
                 pending_max);
}

void inode_write(struct disk_inode *inode, uint64_t offset, struct slice bytes, size_t pending_max)
{
    if (bytes.size == 0) return;
    bytes_put(&inode->cache, offset, bytes.data, bytes.size);
    queue_write(inode, offset, bytes, pending_max);
}

void inode_write_lost(struct disk_inode *inode, uint64_t offset, struct slice bytes)
{
    bytes_put(&inode->cache, offset, bytes.data, bytes.size);
    inode->is_split = true;
}

void inode_write_astray(struct disk_inode *inode, uint64_t offset, uint64_t astray,
                        struct slice bytes, size_t pending_max)
{
    if (bytes.size == 0) return;
    queue_write(inode, astray, bytes, pending_max);
    bytes_put(&inode->cache, offset, bytes.data, bytes.size);
    inode->is_split = true;
}

void inode_truncate(struct disk_inode *inode, uint64_t size, size_t pending_max)
{
    bytes_resize(&inode->cache, (size_t)size);
    push_pending(inode, (struct inode_change){.offset = size}, pending_max);
}

/* The platter with everything pending applied: what a read past the cache returns, because the
 * kernel writes dirty pages back before it reads. The size is the one in memory. */
static struct inode_bytes view_past_cache(const struct disk_inode *inode)
{
    struct inode_bytes view = {0};
    bytes_copy(&view, &inode->platter);
    for (size_t i = 0; i < inode->pending_count; i++) {
        bytes_apply(&view, &inode->pending[i]);
    }
    bytes_resize(&view, inode->cache.size);
    return view;
}

static size_t bytes_read(const struct inode_bytes *b, uint64_t offset, void *out, size_t size)
{
    if (offset >= b->size || size == 0) return 0;
    size_t count = b->size - (size_t)offset < size ? b->size - (size_t)offset : size;
    memcpy(out, b->data + offset, count);
    return count;
}

size_t inode_read(const struct disk_inode *inode, uint64_t offset, void *out, size_t size,
                  bool past_cache)
{
    if (!past_cache || !inode->is_split) return bytes_read(&inode->cache, offset, out, size);
    struct inode_bytes view = view_past_cache(inode);
    size_t count = bytes_read(&view, offset, out, size);
    free(view.data);
    return count;
}

void inode_sync(struct disk_inode *inode)
{
    for (size_t i = 0; i < inode->pending_count; i++) {
        bytes_apply(&inode->platter, &inode->pending[i]);
    }
    forget_pending(inode, inode->pending_count);
}

/* Store a write only in part, sector by sector. A random run from either end or random sectors. */
static void apply_torn(struct disk_inode *inode, const struct inode_change *c, uint64_t sector_size,
                       struct random *random)
{
    uint64_t first = c->offset / sector_size;
    uint64_t last = (c->offset + c->size - 1) / sector_size;
    uint64_t cut = first + random_below(random, last - first + 2);
    uint64_t how = random_below(random, 3);
    for (uint64_t sector = first; sector <= last; sector++) {
        bool is_kept = how == 0   ? sector < cut
                       : how == 1 ? sector >= cut
                                  : random_chance(random, 500000);
        if (!is_kept) continue;
        uint64_t begin = sector * sector_size;
        uint64_t end = begin + sector_size;
        if (begin < c->offset) begin = c->offset;
        if (end > c->offset + c->size) end = c->offset + c->size;
        bytes_put(&inode->platter, begin, c->data + (begin - c->offset), (size_t)(end - begin));
    }
}

void inode_sync_badly(struct disk_inode *inode, struct random *random)
{
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct inode_change *c = &inode->pending[i];
        uint64_t how = random_below(random, 3);
        if (how == 0 && c->data != NULL) {
            apply_torn(inode, c, DISK_SECTOR_SIZE, random);
        } else if (how == 1) {
            bytes_apply(&inode->platter, c);
        }
    }
    forget_pending(inode, inode->pending_count);
    inode->is_split = true;
}

void inode_drop_cache(struct disk_inode *inode)
{
    if (!inode->is_split) return;
    struct inode_bytes view = view_past_cache(inode);
    bytes_copy(&inode->cache, &view);
    free(view.data);
    inode->is_split = false;
}

void inode_cut_power(struct disk_inode *inode, const struct inode_fate *fate, struct random *random,
                     struct coverage *coverage)
{
    if (inode->pending_count == 0 && !inode->is_split) return;
    for (size_t i = 0; i < inode->pending_count; i++) {
        const struct inode_change *c = &inode->pending[i];
        if (random_chance(random, fate->lost)) {
            coverage->lost_writes++;
        } else if (c->data != NULL && random_chance(random, fate->torn)) {
            coverage->torn_writes++;
            coverage->torn_pages += fate->sector_size != DISK_SECTOR_SIZE;
            apply_torn(inode, c, fate->sector_size, random);
        } else {
            bytes_apply(&inode->platter, c);
        }
    }
    forget_pending(inode, inode->pending_count);
    bytes_copy(&inode->cache, &inode->platter);
    inode->is_split = false;
}

struct disk_inode *inode_copy_durable(const struct disk_inode *inode)
{
    struct disk_inode *copy = inode_new();
    copy->is_dir = inode->is_dir;
    bytes_copy(&copy->platter, &inode->platter);
    bytes_copy(&copy->cache, &inode->platter);
    return copy;
}
