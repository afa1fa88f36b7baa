/* fuzz_slotfile: a slot catalogue, as it is and with a hash that holds. What decodes encodes to the
 * same bytes. */
#include "fuzz.h"

#include "repair.h"

#include "base/assert.h"
#include "format/slotfile.h"

static void judge(struct slice bytes)
{
    static struct slot_record slots[SLOTS_MAX];
    static uint8_t again[SLOTFILE_SIZE_MAX];
    uint32_t count = 0;
    struct err e;
    if (slotfile_decode(bytes, slots, &count, &e) != OK) return;
    size_t size = slotfile_encode(slots, count, again);
    ASSERT(slice_equal(slice_of(again, size), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    judge(slice_of(data, size));
    uint8_t *copy = repair_file(data, size, "TIDESLT2");
    if (copy == NULL) return 0;
    judge(slice_of(copy, size));
    free(copy);
    return 0;
}
