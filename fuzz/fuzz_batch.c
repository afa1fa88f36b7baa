/* fuzz_batch: one batch as received, once as it is and once with checksums that hold. What verifies
 * encodes to the same header. */
#include "fuzz.h"

#include <stdlib.h>

#include "repair.h"

#include "base/assert.h"

static const struct position BEFORE = {.epoch = 1, .seqno = {41}, .chain = {{5}}};

static void judge(struct slice bytes)
{
    struct log_identity id = fuzz_log();
    struct batch_header h;
    struct hash256 chain;
    struct slice first;
    struct err e;
    if (batch_split(bytes, &id, &first, &e) == OK) ASSERT(first.size <= bytes.size);
    if (batch_verify_next(bytes, &id, &BEFORE, &h, &chain, &e) != OK) return;
    uint8_t again[BATCH_HEADER_SIZE];
    batch_header_encode(&h, id.log_key, again);
    ASSERT(memcmp(again, bytes.data, sizeof(again)) == 0);
    ASSERT(h.first.v == BEFORE.seqno.v + 1 && h.durable_through.v < h.first.v);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge(slice_of(data, size));
    if (size < BATCH_HEADER_SIZE || size > BATCH_SIZE_MAX) return 0;
    uint8_t *copy = malloc(size);
    if (copy == NULL) return 0;
    memcpy(copy, data, size);
    repair_batch(copy, (uint32_t)(size - BATCH_HEADER_SIZE), &BEFORE);
    judge(slice_of(copy, size));
    free(copy);
    return 0;
}
