/* disk: a simulated disk of one node: files in memory with two faces, what reads through the page
 * cache see and what a power cut leaves.
 *
 * A disk that lies: a sync that says OK and does nothing, writes that are lost or land elsewhere.
 * Only the platter knows; the cache goes on showing what was written.
 *
 * A write changes the cache at once and waits in the file's list of pending writes; sync makes all
 * of them durable. A name (create, rename, unlink, make_dir) is durable only after sync_dir of its
 * folder. A power cut decides each pending write for itself: lost, whole, or torn at 512 or 4096
 * bytes; and each pending name for itself: kept or lost. The end of a process keeps the cache.
 *
 * A sync that fails leaves the pages clean although only part of them was stored: reads through the
 * cache go on showing the new bytes, reads past it show the old ones, and the next sync says OK.
 * Linux does this on ext4, XFS and btrfs.
 *
 * Never: knows of nodes, time or threads. Every call returns at once; the caller models latency.
 * Owner: one node of the world. Draws from one random stream, so a seed repeats exactly.
 */
#ifndef TIDEMARK_TESTS_SIM_DISK_H
#define TIDEMARK_TESTS_SIM_DISK_H

#include "base/error.h"
#include "base/random.h"
#include "base/types.h"
#include "env/env.h"
#include "sim/coverage.h"

#define DISK_SECTOR_SIZE        512u
#define DISK_PAGE_SIZE          4096u /* the sector of other disks */
#define DISK_PATH_SIZE_MAX      128u
#define DISK_PENDING_WRITES_MAX 64u /* beyond this the oldest is written back, as a kernel does */

struct disk_inode;
struct disk;
struct env_file; /* an open handle; the disk's */

/* Chances per million calls. All zero: a disk without faults. */
struct disk_faults {
    uint32_t sync_fails;
    uint32_t sync_lies;   /* OK, and nothing became durable */
    uint32_t write_fails; /* a prefix may be written */
    uint32_t read_fails;
    uint32_t writes_lost;   /* OK, and only the cache ever sees it */
    uint32_t writes_astray; /* OK, and it lands at another sector of the file */
    uint32_t cache_drops;   /* per end of a process: clean pages are read from disk again */
    bool is_full;           /* no write may grow a file */
};

struct disk_entry {
    char path[DISK_PATH_SIZE_MAX];
    struct disk_inode *cached;  /* what the name means now; NULL: no such name */
    struct disk_inode *durable; /* what it means after a power cut */
};

/* A change of names that sync_dir has not made durable. */
struct disk_name_change {
    char path[DISK_PATH_SIZE_MAX];
    char from[DISK_PATH_SIZE_MAX]; /* rename: the old name; "" else */
    struct disk_inode *inode;      /* NULL: path is removed */
};

struct disk {
    struct random *random;
    struct coverage *coverage;
    struct disk_faults faults;
    struct disk_entry *entries;
    size_t entry_count;
    size_t entry_capacity;
    struct disk_name_change *changes;
    size_t change_count;
    size_t change_capacity;
    struct env_file *handles; /* all open ones */
    uint64_t free_bytes;
    uint64_t change_calls; /* writes, cuts and changes of names that were asked for, ever */
    bool is_locked;
    bool has_lied; /* since the last power cut: what was synced may be gone, or elsewhere */
};

/* random and coverage are borrowed for the disk's life. */
void disk_init(struct disk *d, struct random *random, struct coverage *coverage);
void disk_fini(struct disk *d);

/* What env.h says of the calls of the same name. */
MUST_CHECK enum code disk_open(struct disk *d, const char *path, unsigned flags,
                               struct env_file **out, struct err *e);
void disk_close(struct disk *d, struct env_file *file); /* NULL allowed */
MUST_CHECK enum code disk_write(struct disk *d, struct env_file *file, uint64_t offset,
                                struct slice bytes, struct err *e);
/* How much of a write happens when it is cut short: all, none, or up to some sector's end (a kernel
 * copies whole pages). */
size_t disk_cut_write(uint64_t offset, size_t size, struct random *random);
MUST_CHECK enum code disk_read(struct disk *d, struct env_file *file, uint64_t offset, void *out,
                               size_t size, size_t *out_read, struct err *e);
MUST_CHECK enum code disk_sync(struct disk *d, struct env_file *file, struct err *e);
MUST_CHECK enum code disk_truncate(struct disk *d, struct env_file *file, uint64_t size,
                                   struct err *e);
uint64_t disk_size(const struct env_file *file);
MUST_CHECK enum code disk_rename(struct disk *d, const char *from, const char *to, struct err *e);
MUST_CHECK enum code disk_unlink(struct disk *d, const char *path, struct err *e);
MUST_CHECK enum code disk_make_dir(struct disk *d, const char *path, struct err *e);
MUST_CHECK enum code disk_sync_dir(struct disk *d, const char *path, struct err *e);
MUST_CHECK enum code disk_list(struct disk *d, const char *path, struct env_dirent **out,
                               size_t *out_count, struct err *e);
const char *disk_path_of(const struct disk *d, const struct env_file *file); /* "?" if unlinked */

/* The process ended: handles are closed, the lock is gone, the cache stays (or, by chance, its
 * clean pages are dropped). */
void disk_end_process(struct disk *d);
/* The machine lost power: decide every pending write and name, then the cache is what is durable.
 */
void disk_cut_power(struct disk *d);
/* Everything gone, as on a new machine. No process may be running. */
void disk_wipe(struct disk *d);
/* Make `to` hold what `from` would hold after a power cut that loses everything pending: a backup
 * of the running node. No process may be running on `to`. */
void disk_copy(struct disk *to, const struct disk *from);
/* Invert one bit in both faces of a file. False: no such byte. */
bool disk_flip_bit(struct disk *d, const char *path, uint64_t offset, unsigned bit);
/* Size of the file as a power cut would leave it; 0 when there is none. */
uint64_t disk_durable_size(const struct disk *d, const char *path);

#endif
