/* fuzz_mark: the two slots of a mark file, as they are and with checksums that hold. */
#include "fuzz.h"

#include "repair.h"

#include "base/assert.h"
#include "format/identity.h"

static void judge(const uint8_t *file, size_t size)
{
    struct mark m;
    uint8_t again[MARK_SLOT_SIZE];
    if (!mark_decode(slice_of(file, size), FUZZ_LOG_KEY, &m)) return;
    mark_encode(&m, FUZZ_LOG_KEY, again);
    bool is_first = memcmp(again, file, sizeof(again)) == 0;
    bool is_second =
        size >= MARK_FILE_SIZE && memcmp(again, file + MARK_SLOT_SIZE, sizeof(again)) == 0;
    ASSERT(is_first || is_second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t file[MARK_FILE_SIZE] = {0};
    judge(data, size);
    if (size > sizeof(file)) size = sizeof(file);
    if (size > 0) memcpy(file, data, size);
    for (size_t slot = 0; slot < 2; slot++) {
        uint8_t *at = file + slot * MARK_SLOT_SIZE;
        memcpy(at, "TIDEMRK2", 8);
        store_u32(at + 124, crc32c_keyed(FUZZ_LOG_KEY, at, 124));
        judge(file, sizeof(file));
    }
    return 0;
}
