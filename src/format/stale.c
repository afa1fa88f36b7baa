/* stale: the map of a recycled file, and the view that hides what is old. */
#include "format/stale.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "format/segment.h"

static const uint8_t magic[8] = {'T', 'I', 'D', 'E', 'S', 'T', 'A', '2'};

enum {
    AT_COUNT = 8,
    AT_SUMS_CRC = 12,
    AT_LIMIT = 16,
    AT_OFFSET = 24,
    AT_CRC = 60,

    MAP_ALIGN = 4096,
};

static size_t sums_size(uint64_t limit)
{
    size_t size = (size_t)(limit / STALE_SECTOR_SIZE) * sizeof(uint32_t);
    return (size + 63) & ~(size_t)63;
}

uint64_t stale_map_offset(uint64_t limit)
{
    uint32_t seeks = (uint32_t)(limit / SEEK_BYTES) + 2;
    uint32_t chunks = (uint32_t)(limit / CHUNK_SIZE) + 2;
    uint64_t end = limit + segment_footer_size(seeks, chunks);
    return (end + MAP_ALIGN - 1) / MAP_ALIGN * MAP_ALIGN;
}

size_t stale_map_size(uint64_t limit)
{
    return sums_size(limit) + STALE_TRAILER_SIZE;
}

uint32_t stale_sum(const uint8_t sector[STALE_SECTOR_SIZE])
{
    return crc32c(0, sector, STALE_SECTOR_SIZE);
}

void stale_map_finish(uint64_t limit, uint64_t log_key, uint8_t *out)
{
    ASSERT(limit % MAP_ALIGN == 0);
    size_t sums = sums_size(limit);
    size_t used = (size_t)(limit / STALE_SECTOR_SIZE) * sizeof(uint32_t);
    memset(out + used, 0, sums - used);
    uint8_t *trailer = out + sums;
    memset(trailer, 0, STALE_TRAILER_SIZE);
    memcpy(trailer, magic, sizeof(magic));
    store_u32(trailer + AT_COUNT, (uint32_t)(limit / STALE_SECTOR_SIZE));
    store_u32(trailer + AT_SUMS_CRC, crc32c_keyed(log_key, out, sums));
    store_u64(trailer + AT_LIMIT, limit);
    store_u64(trailer + AT_OFFSET, stale_map_offset(limit));
    store_u32(trailer + AT_CRC, crc32c_keyed(log_key, trailer, AT_CRC));
}

bool stale_trailer_decode(const uint8_t trailer[STALE_TRAILER_SIZE], uint64_t log_key,
                          uint64_t file_size, struct stale_map *out)
{
    if (memcmp(trailer, magic, sizeof(magic)) != 0) return false;
    if (load_u32(trailer + AT_CRC) != crc32c_keyed(log_key, trailer, AT_CRC)) return false;
    struct stale_map map = {
        .limit = load_u64(trailer + AT_LIMIT),
        .offset = load_u64(trailer + AT_OFFSET),
        .count = load_u32(trailer + AT_COUNT),
    };
    if (map.limit == 0 || map.limit > SEGMENT_SIZE_MAX || map.limit % MAP_ALIGN != 0) return false;
    bool is_right = map.count == map.limit / STALE_SECTOR_SIZE &&
                    map.offset == stale_map_offset(map.limit) &&
                    file_size == map.offset + stale_map_size(map.limit);
    if (is_right) *out = map;
    return is_right;
}

bool stale_sums_decode(struct stale_map *map, struct slice bytes, uint64_t log_key)
{
    if (bytes.size != stale_map_size(map->limit)) return false;
    size_t sums = sums_size(map->limit);
    if (load_u32(bytes.data + sums + AT_SUMS_CRC) != crc32c_keyed(log_key, bytes.data, sums)) {
        return false;
    }
    map->sums = bytes.data;
    return true;
}

/* --- the view --- */

static bool is_old(const struct stale_map *map, uint64_t sector_offset, const uint8_t *sector)
{
    uint64_t i = sector_offset / STALE_SECTOR_SIZE;
    return i < map->count && load_u32(map->sums + i * sizeof(uint32_t)) == stale_sum(sector);
}

/* A sector of which [offset, offset + size) was read: fetch it whole to judge it. */
static enum code hide_part(const struct stale_view *view, uint64_t offset, uint8_t *out,
                           size_t size, struct err *e)
{
    uint8_t sector[STALE_SECTOR_SIZE];
    uint64_t start = offset / STALE_SECTOR_SIZE * STALE_SECTOR_SIZE;
    size_t got = 0;
    TRY(view->source(view->context, start, sector, sizeof(sector), &got, e));
    if (got == sizeof(sector) && is_old(view->map, start, sector)) memset(out, 0, size);
    return OK;
}

enum code stale_view_read(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                          struct err *e)
{
    const struct stale_view *view = context;
    TRY(view->source(view->context, offset, out, size, out_read, e));
    if (view->map == NULL || view->map->sums == NULL) return OK;
    uint8_t *bytes = out;
    for (size_t at = 0; at < *out_read;) {
        uint64_t here = offset + at;
        size_t left = *out_read - at;
        size_t part = STALE_SECTOR_SIZE - (size_t)(here % STALE_SECTOR_SIZE);
        if (part > left) part = left;
        if (part < STALE_SECTOR_SIZE) {
            TRY(hide_part(view, here, bytes + at, part, e));
        } else if (is_old(view->map, here, bytes + at)) {
            memset(bytes + at, 0, part);
        }
        at += part;
    }
    return OK;
}
