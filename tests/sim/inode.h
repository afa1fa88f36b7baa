/* inode: the content of one simulated file: what the page cache shows, what the platter holds, and
 * the writes between them. See sim/disk.h for the model; this file knows no names.
 *
 * Holds always: the cache equals the platter with the pending writes applied in order, unless
 * is_split, which a failed sync sets.
 */
#ifndef TIDEMARK_TESTS_SIM_INODE_H
#define TIDEMARK_TESTS_SIM_INODE_H

#include "base/random.h"
#include "base/types.h"
#include "sim/coverage.h"

struct inode_bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
};

/* A write or, when data is NULL, a change of the size that is not durable yet. */
struct inode_change {
    uint64_t offset; /* of the write; the new size else */
    size_t size;
    uint8_t *data;
};

struct disk_inode {
    struct inode_bytes cache;
    struct inode_bytes platter;
    struct inode_change *pending; /* oldest first */
    size_t pending_count;
    size_t pending_capacity;
    uint32_t refs;
    bool is_dir;
    bool is_split; /* a failed sync left clean pages that are not on the platter */
};

/* How a power cut treats what is pending: drawn once per cut, so that "all lost" and "all kept"
 * are as likely as mixtures. */
struct inode_fate {
    uint32_t lost; /* per million */
    uint32_t torn;
    uint32_t sector_size; /* torn at multiples of it */
};

struct disk_inode *inode_new(void); /* one ref */
void inode_ref(struct disk_inode *inode);
void inode_unref(struct disk_inode *inode); /* NULL allowed */

void inode_write(struct disk_inode *inode, uint64_t offset, struct slice bytes, size_t pending_max);
void inode_truncate(struct disk_inode *inode, uint64_t size, size_t pending_max);
/* The cache shows the write at `offset`; the platter never gets it, or gets it at `astray`. */
void inode_write_lost(struct disk_inode *inode, uint64_t offset, struct slice bytes);
void inode_write_astray(struct disk_inode *inode, uint64_t offset, uint64_t astray,
                        struct slice bytes, size_t pending_max);
/* Returns the bytes copied. past_cache: what the platter and the queue to it say. */
size_t inode_read(const struct disk_inode *inode, uint64_t offset, void *out, size_t size,
                  bool past_cache);
void inode_sync(struct disk_inode *inode);
/* The sync that fails: a random part becomes durable, all pages are clean. */
void inode_sync_badly(struct disk_inode *inode, struct random *random);
/* Clean pages are read from the platter again. */
void inode_drop_cache(struct disk_inode *inode);
void inode_cut_power(struct disk_inode *inode, const struct inode_fate *fate, struct random *random,
                     struct coverage *coverage);
/* A new inode with the durable content only. */
struct disk_inode *inode_copy_durable(const struct disk_inode *inode);

#endif
