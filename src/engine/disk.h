/* disk: watches the free space and carries out what core/disk decides: slots pressed and lost,
 * writers slowed, writes refused before the log would meet a full disk. Beside that it keeps the
 * file `reserve`, whose space is really written and is given back the moment any file call of this
 * node finds the disk full (env->room): so the log's last group, identity, the slots and a
 * checkpoint still fit. Until the reserve is there again writes are refused.
 *
 * Owner: the loop thread; the reserve is given back by whichever thread needs it. */
#ifndef TIDEMARK_ENGINE_DISK_H
#define TIDEMARK_ENGINE_DISK_H

#include "core/disk.h"
#include "engine/db.h"

struct disk;

/* Before recovery: with little free, the reserve of before is given back to it. Blocks for a look.
 * NULL: no memory. Lives as long as the env. */
struct disk *disk_new(struct db *db);
void disk_free(struct disk *d); /* NULL allowed */
/* The node serves: look from now on. */
void disk_start(struct disk *d);
void disk_stop(struct disk *d); /* no timer and no job is started any more */
bool disk_is_quiet(const struct disk *d);

/* The log grew. */
void disk_on_durable(struct disk *d);
/* Nothing of clients may be appended, and a follower stores nothing. */
bool disk_refuses(const struct disk *d);
/* The sentence for that. */
enum code disk_refusal(const struct disk *d, struct err *e);
/* How long each group of writes waits now. */
uint64_t disk_slow_ns(const struct disk *d);

struct disk_status {
    enum disk_rung rung;
    uint64_t free_bytes;
    double seconds_until_full; /* +Inf: it does not fill */
    uint64_t reserve_bytes;    /* wanted; 0: none */
    bool is_reserve_held;
};
void disk_status(const struct disk *d, struct disk_status *out);

#endif
