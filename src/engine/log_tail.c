/* log_tail: chunks (runs of whole batches in memory) and the ring of the newest durable ones, from
 * which followers are served without reading the disk. Bounded by tail_buffer bytes. */
#include <stdlib.h>

#include "base/assert.h"
#include "engine/log_internal.h"
#include "format/stale.h"

/* Chunks of up to 4 MiB are pooled by power-of-two size, so that the write path does not return
 * pages to the system and fault them in again. */
#define POOL_CLASS_MIN_BITS 9u                /* 512 bytes */
#define PAD_ROOM            STALE_SECTOR_SIZE /* behind the data, see log_write */
#define POOL_BYTES_MAX      (16 * MIB)

static uint32_t class_of(size_t capacity)
{
    uint32_t class = 0;
    while (((size_t)1 << (POOL_CLASS_MIN_BITS + class)) < capacity) {
        class ++;
    }
    return class;
}

/* A chunk is one allocation: the struct, the batch table, the aligned data. */
struct log_chunk *chunk_new(struct log *log, size_t capacity, uint32_t batch_capacity)
{
    ASSERT(batch_capacity > 0);
    ASSERT(batch_capacity <= CHUNK_BATCHES_MAX);
    size_t head = sizeof(struct log_chunk) + batch_capacity * sizeof(struct log_batch_ref);
    head = (head + LOG_ALIGN - 1) & ~(size_t)(LOG_ALIGN - 1);
    size_t total = head + ((capacity + LOG_ALIGN - 1) & ~(size_t)(LOG_ALIGN - 1)) + PAD_ROOM;
    uint32_t class = class_of(total);
    struct log_chunk *chunk = NULL;
    size_t room = total;
    if (class < COUNT_OF(log->pool)) {
        room = (size_t)1 << (POOL_CLASS_MIN_BITS + class);
        chunk = log->pool[class];
        if (chunk) {
            log->pool[class] = chunk->pool_next;
            log->pool_bytes -= room;
        }
    }
    if (!chunk) chunk = aligned_alloc(LOG_ALIGN, room);
    if (!chunk) return NULL;
    *chunk = (struct log_chunk){
        .refs = 1,
        .batch_capacity = batch_capacity,
        .batches = (struct log_batch_ref *)(void *)(chunk + 1),
        .capacity = room - head - PAD_ROOM,
        .data = (uint8_t *)chunk + head,
        .room = room,
    };
    return chunk;
}

void chunk_ref(struct log_chunk *chunk)
{
    chunk->refs++;
}

void chunk_unref(struct log *log, struct log_chunk *chunk)
{
    if (!chunk) return;
    ASSERT(chunk->refs > 0);
    if (--chunk->refs > 0) return;
    uint32_t class = class_of(chunk->room);
    if (class < COUNT_OF(log->pool) && log->pool_bytes + chunk->room <= POOL_BYTES_MAX) {
        chunk->pool_next = log->pool[class];
        log->pool[class] = chunk;
        log->pool_bytes += chunk->room;
        return;
    }
    free(chunk);
}

void pool_free(struct log *log)
{
    for (size_t i = 0; i < COUNT_OF(log->pool); i++) {
        while (log->pool[i]) {
            struct log_chunk *next = log->pool[i]->pool_next;
            free(log->pool[i]);
            log->pool[i] = next;
        }
    }
}

bool chunk_add(struct log_chunk *chunk, struct slice batch, const struct batch_header *header,
               const struct position *end)
{
    uint64_t padded = batch_file_size(header);
    ASSERT(batch.size == BATCH_HEADER_SIZE + (size_t)header->payload_size);
    if (chunk->batch_count == chunk->batch_capacity) return false;
    if (chunk->capacity - chunk->size < padded) return false;
    uint8_t *at = chunk->data + chunk->size;
    memcpy(at, batch.data, batch.size);
    memset(at + batch.size, 0, padded - batch.size);
    chunk->batches[chunk->batch_count++] = (struct log_batch_ref){
        .offset = (uint32_t)chunk->size,
        .size = (uint32_t)batch.size,
        .header = *header,
        .end = *end,
    };
    chunk->size += padded;
    return true;
}

struct slice chunk_batch(const struct log_chunk *chunk, uint32_t i)
{
    ASSERT(i < chunk->batch_count);
    return slice_of(chunk->data + chunk->batches[i].offset, chunk->batches[i].size);
}

static struct log_chunk *tail_at(const struct log *log, uint32_t i)
{
    /* The ring holds pointers to chunks; freeing a chunk does not free the ring. */
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc) */
    return log->tail[(log->tail_head + i) & (log->tail_capacity - 1)];
}

static bool grow_tail(struct log *log)
{
    uint32_t capacity = log->tail_capacity ? log->tail_capacity * 2 : 64;
    struct log_chunk **tail = calloc(capacity, sizeof(struct log_chunk *));
    if (!tail) return false;
    for (uint32_t i = 0; i < log->tail_count; i++) {
        tail[i] = tail_at(log, i);
    }
    free((void *)log->tail);
    log->tail = tail;
    log->tail_capacity = capacity;
    log->tail_head = 0;
    return true;
}

static void drop_oldest(struct log *log)
{
    struct log_chunk *oldest = tail_at(log, 0);
    log->tail_head = (log->tail_head + 1) & (log->tail_capacity - 1);
    log->tail_count--;
    log->tail_bytes -= oldest->room;
    chunk_unref(log, oldest);
}

void tail_add(struct log *log, struct log_chunk *chunk)
{
    if (log->tail_count == log->tail_capacity && !grow_tail(log)) {
        /* Without memory the tail starts anew: followers read these batches from the disk. */
        while (log->tail_count > 0) {
            drop_oldest(log);
        }
        if (log->tail_capacity == 0) return;
    }
    chunk_ref(chunk);
    log->tail[(log->tail_head + log->tail_count) & (log->tail_capacity - 1)] = chunk;
    log->tail_count++;
    log->tail_bytes += chunk->room;
    while (log->tail_bytes > log->tail_bytes_max && log->tail_count > 1) {
        drop_oldest(log);
    }
}

void tail_free(struct log *log)
{
    while (log->tail_count > 0) {
        drop_oldest(log);
    }
    free((void *)log->tail);
    log->tail = NULL;
    log->tail_capacity = 0;
}

/* Index in the tail of the newest chunk whose first seqno <= s; tail_count when none. */
static uint32_t tail_index(const struct log *log, seqno s)
{
    uint32_t low = 0;
    uint32_t high = log->tail_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (tail_at(log, middle)->batches[0].header.first.v <= s.v) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low == 0 ? log->tail_count : low - 1;
}

struct log_chunk *log_tail_find(const struct log *log, seqno first, uint32_t *out_index)
{
    uint32_t i = tail_index(log, first);
    if (i == log->tail_count) return NULL;
    struct log_chunk *chunk = tail_at(log, i);
    uint32_t low = 0;
    uint32_t high = chunk->batch_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (batch_last(&chunk->batches[middle].header).v < first.v) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == chunk->batch_count || chunk->batches[low].header.first.v != first.v) return NULL;
    *out_index = low;
    return chunk;
}

struct log_chunk *log_tail_next(const struct log *log, const struct log_chunk *chunk)
{
    uint32_t i = tail_index(log, chunk->batches[0].header.first);
    if (i == log->tail_count || i + 1 >= log->tail_count) return NULL;
    return tail_at(log, i + 1);
}

const struct log_batch_ref *tail_batch_of(const struct log *log, seqno s)
{
    uint32_t i = tail_index(log, s);
    if (i == log->tail_count) return NULL;
    const struct log_chunk *chunk = tail_at(log, i);
    for (uint32_t k = 0; k < chunk->batch_count; k++) {
        const struct log_batch_ref *ref = &chunk->batches[k];
        if (s.v < ref->header.first.v || s.v > batch_last(&ref->header).v) continue;
        return ref;
    }
    return NULL;
}
