/* stale: what a recycled segment file held before. A file that is used again is not cleared: its
 * old bytes stand behind the new ones. Old batches can never pass for records (their seqnos and
 * chains are others), but after a crash it must be told which bytes of the end were written and
 * which are old: a write that was cut short leaves whole old sectors. So, before a file is used
 * again, a sum of each of its 512-byte sectors is written behind it, where no batch and no footer
 * will reach; when the segment is sealed the file is cut and the map is gone.
 *
 * Layout, at the map's offset, a multiple of 4096 behind the limit and the largest footer:
 *     u32 CRC32C of each sector below the limit, then zeros up to a multiple of 64
 *   trailer (the last 64 bytes of the file):
 *     0    8 magic "TIDESTA2"
 *     8    4 sector count     12 4 CRC32C over the sums and their zeros, keyed with the log key
 *    16    8 limit            24 8 offset of the map
 *    32   28 zero
 *    60    4 CRC32C over bytes 0..59, keyed with the log key
 *
 * Reading through a map shows zeros where a sector is the old one, so that what is said of zeros
 * holds for both. A new sector that equals the old one reads as zeros, too: never verify through a
 * map, only judge what does not verify. Pure; allocates nothing.
 */
#ifndef TIDEMARK_FORMAT_STALE_H
#define TIDEMARK_FORMAT_STALE_H

#include "format/reader.h"

#define STALE_SECTOR_SIZE  512u
#define STALE_TRAILER_SIZE 64u

struct stale_map {
    uint64_t limit;      /* sectors below this have a sum; a multiple of 4096 */
    uint64_t offset;     /* of the map in the file: what is behind it is no content */
    uint32_t count;      /* sums; 0: there is no map */
    const uint8_t *sums; /* borrowed */
};

/* Where the map of a file with this limit stands, and how large it is with its trailer. */
uint64_t stale_map_offset(uint64_t limit);
size_t stale_map_size(uint64_t limit);
uint32_t stale_sum(const uint8_t sector[STALE_SECTOR_SIZE]);
/* out: stale_map_size(map->limit) bytes, the sums already in their place at its beginning. */
void stale_map_finish(uint64_t limit, uint64_t log_key, uint8_t *out);

/* Is this the trailer of a file of file_size bytes? Fills *out but for the sums, which lie at
 * out->offset and have out->count * 4 bytes, then zeros up to the trailer. */
bool stale_trailer_decode(const uint8_t trailer[STALE_TRAILER_SIZE], uint64_t log_key,
                          uint64_t file_size, struct stale_map *out);
/* The bytes from map->offset to the end of the file: do they verify? Then map->sums points into
 * them. */
MUST_CHECK bool stale_sums_decode(struct stale_map *map, struct slice bytes, uint64_t log_key);

/* A reader_source whose old sectors read as zeros; context is a struct stale_view. */
struct stale_view {
    const struct stale_map *map; /* NULL, or without sums: everything is shown */
    reader_source source;
    void *context;
};
enum code stale_view_read(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                          struct err *e);

#endif
