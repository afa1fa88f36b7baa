/* fuzz: the one function that a fuzz target defines. It must not crash, leak, hang or break an
 * assertion, whatever the bytes are. */
#ifndef TIDEMARK_FUZZ_FUZZ_H
#define TIDEMARK_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Returns 0. data is borrowed and may be NULL when size is 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
