/* fuzz_receiver: a follower whose leader's frames are changed on their way. */
#include "fuzz.h"

#include "links.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    links_meet(data, size, true);
    return 0;
}
