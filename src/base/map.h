/* map: an index from a 64-bit hash to a u32, open addressing, growing a few entries per insert so
 * that no single insert is slow. It stores hashes and values only; the owner keeps the keys and
 * says by a callback whether the entry it found is the one it means.
 * Iteration order is not part of the interface. One owner thread. Allocates with malloc; an
 * insert that cannot get memory returns false and leaves the map as it was.
 */
#ifndef TIDEMARK_BASE_MAP_H
#define TIDEMARK_BASE_MAP_H

#include "base/types.h"

#define MAP_NONE UINT32_MAX

/* Is the entry with this value the one looked for? */
typedef bool (*map_match)(const void *owner, uint32_t value, const void *key);

struct map_slot {
    uint32_t hash;  /* upper half of the 64-bit hash */
    uint32_t value; /* inverted, so that zeroed memory is empty */
};

struct map {
    struct map_slot *slots;     /* power of two */
    struct map_slot *old_slots; /* being emptied while growing; NULL else */
    uint32_t capacity;
    uint32_t old_capacity;
    uint32_t old_cursor;
    uint32_t count; /* live entries in both tables */
};

void map_init(struct map *m);
void map_fini(struct map *m);
void map_clear(struct map *m);
/* MAP_NONE when there is none. */
uint32_t map_find(const struct map *m, uint64_t hash, map_match match, const void *owner,
                  const void *key);
/* Add an entry known to be absent. value != MAP_NONE. */
MUST_CHECK bool map_insert(struct map *m, uint64_t hash, uint32_t value);
/* Remove the entry with this hash and value; false when there is none. Uses backward shift, so
 * no tombstones pile up. */
bool map_remove(struct map *m, uint64_t hash, uint32_t value);
/* Hint the cache about a later find. */
void map_prefetch(const struct map *m, uint64_t hash);
size_t map_bytes(const struct map *m);

#endif
