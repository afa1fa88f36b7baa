/* mem_disk: a disk in memory whose power can be cut in every possible way. It keeps what is durable
 * and, in one list in the order of the calls, every change that no sync has covered. A cut takes a
 * verdict for each of these changes and makes the disk that would be found afterwards; the disk
 * itself goes on, so one life gives as many crash images as there are verdicts.
 *
 * Bytes are shared between a disk and its images until one of them writes: an image costs about
 * what its changes cost. Names become durable by sync_dir of their folder, bytes and sizes by sync
 * of their file. A sector's bytes are old or new for each byte that a write did not touch: what
 * lies beside a torn write in the same sector stays (as drives promise for an overwritten sector).
 *
 * Owner: one thread. Memory failure ends the program.
 */
#ifndef TIDEMARK_TESTS_ENUM_MEM_DISK_H
#define TIDEMARK_TESTS_ENUM_MEM_DISK_H

#include "base/random.h"
#include "env/env.h"

#define MEM_SECTOR_SIZE 512u

struct mem_disk;

struct mem_disk *mem_disk_new(void);
/* With everything that is not durable yet; nobody may have a file of it open. */
struct mem_disk *mem_disk_clone(const struct mem_disk *d);
void mem_disk_free(struct mem_disk *d); /* NULL allowed; its env is gone, too */

/* File calls only, for steps_open_over. The lock and open files end with mem_disk_end_process. */
struct env *mem_disk_env(struct mem_disk *d);
void mem_disk_end_process(struct mem_disk *d);

/* Called before each change is made; NULL: nobody. */
typedef void (*mem_disk_watch)(void *arg);
void mem_disk_watch_changes(struct mem_disk *d, mem_disk_watch watch, void *arg);

/* --- cutting the power --- */

enum mem_fate {
    MEM_LOST,
    MEM_KEPT,
    MEM_TORN,    /* some of its sectors; as MEM_LOST where there is one only, or no bytes */
    MEM_GARBAGE, /* its sectors hold anything; as MEM_LOST where it has no bytes */
};
size_t mem_disk_pending(const struct mem_disk *d);
/* Does this pending change have bytes? */
bool mem_disk_has_bytes(const struct mem_disk *d, size_t pending);
/* fates: one for each pending change. random decides which sectors and which garbage. */
struct mem_disk *mem_disk_cut(const struct mem_disk *d, const uint8_t *fates,
                              struct random *random);

/* --- damage, in what is durable and what is seen alike --- */

/* Paths of all files, sorted; returns how many, at most capacity. Borrowed until the next change.
 */
size_t mem_disk_list(const struct mem_disk *d, const char **out, size_t capacity);
/* Size of a file; 0 when there is none. */
size_t mem_disk_size(const struct mem_disk *d, const char *path);
/* Bytes of a file to read; NULL when there is none. */
const uint8_t *mem_disk_bytes(const struct mem_disk *d, const char *path);
/* Bytes of a file to change: its size stays. */
uint8_t *mem_disk_edit(struct mem_disk *d, const char *path);
void mem_disk_resize(struct mem_disk *d, const char *path, size_t size);
void mem_disk_remove(struct mem_disk *d, const char *path);

#endif
