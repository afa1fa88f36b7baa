/* fuzz_manifest: a manifest, as it is and with hashes that hold; pack headers and file names. What
 * decodes encodes to the same bytes, and memory asked for is bounded by the input. */
#include "fuzz.h"

#include <stdlib.h>

#include "repair.h"

#include "base/assert.h"
#include "format/checkpoint.h"

struct memory {
    void *pieces[3];
    size_t count;
    size_t used;
};

static void *take(void *context, size_t size)
{
    struct memory *m = context;
    ASSERT(m->count < COUNT_OF(m->pieces));
    m->used += size;
    m->pieces[m->count] = malloc(size);
    return m->pieces[m->count++];
}

static void judge(struct slice bytes)
{
    struct memory memory = {0};
    struct manifest m;
    struct err e;
    if (manifest_decode(bytes, take, &memory, &m, &e) == OK) {
        size_t size = manifest_size(&m);
        ASSERT(size == bytes.size);
        uint8_t *again = malloc(size);
        if (again != NULL) {
            manifest_encode(&m, again);
            ASSERT(slice_equal(slice_of(again, size), bytes));
        }
        free(again);
    }
    ASSERT(memory.used <= 2 * bytes.size);
    for (size_t i = 0; i < memory.count; i++) {
        free(memory.pieces[i]);
    }
}

/* Seal the bytes as a root part and a place part; the counts decide where one ends. */
static void repair(uint8_t *bytes, size_t size)
{
    uint64_t epochs = load_u32(bytes + 128) % 4;
    uint64_t blocks = load_u32(bytes + 132) % 64;
    size_t root_size = (size_t)(136 + epochs * 56 + blocks * 48 + 32);
    if (size < root_size + 64) return;
    store_u32(bytes + 128, (uint32_t)epochs);
    store_u32(bytes + 132, (uint32_t)blocks);
    struct hash256 root = hash256_of(slice_of(bytes + 136 + epochs * 56, blocks * 48));
    memcpy(bytes + 96, root.bytes, 32);
    memcpy(bytes, "TIDEMAN2", 8);
    store_u32(bytes + 12, (uint32_t)root_size);
    repair_hash(bytes, root_size);
    uint8_t *place = bytes + root_size;
    memcpy(place, "TIDEPLC2", 8);
    store_u32(place + 12, (uint32_t)(size - root_size));
    repair_hash(place, size - root_size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    seqno at;
    uint64_t number = 0;
    (void)manifest_name_parse(slice_of(data, size), &at, &number);
    (void)pack_name_parse(slice_of(data, size), &number);
    judge(slice_of(data, size));
    if (size < PACK_HEADER_SIZE) return 0;
    struct id128 cluster = fuzz_log().cluster;
    struct err e;
    if (pack_header_decode(data, &cluster, 1, &e) == OK) ASSERT(load_u64(data + 32) == 1);
    if (size < 136) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    repair(copy, size);
    judge(slice_of(copy, size));
    free(copy);
    return 0;
}
