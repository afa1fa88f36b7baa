/* fuzz_identity: an identity file, as it is and with a hash that holds. What decodes encodes to the
 * same bytes. */
#include "fuzz.h"

#include "repair.h"

#include "base/assert.h"
#include "format/identity.h"

static void judge(struct slice bytes)
{
    static struct identity id;
    static uint8_t again[IDENTITY_FILE_SIZE_MAX];
    struct err e;
    if (identity_decode(bytes, &id, &e) != OK) return;
    size_t size = identity_encode(&id, again);
    ASSERT(slice_equal(slice_of(again, size), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge(slice_of(data, size));
    uint8_t *copy = repair_file(data, size, "TIDEIDN2");
    if (copy == NULL) return 0;
    judge(slice_of(copy, size));
    free(copy);
    return 0;
}
