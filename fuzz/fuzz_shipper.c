/* fuzz_shipper: a leader whose follower's frames are changed on their way. */
#include "fuzz.h"

#include "links.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    links_meet(data, size, false);
    return 0;
}
