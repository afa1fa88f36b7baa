/* crc32c: CRC-32C (Castagnoli, reflected 0x82F63B78, RFC 3720 B.4), hardware where there is some.
 * Known answer: crc32c(0, "123456789") = 0xE3069283. Thread-safe, pure.
 */
#ifndef TIDEMARK_BASE_CRC32C_H
#define TIDEMARK_BASE_CRC32C_H

#include "base/types.h"

/* Continue from a previous value (0 to start): crc32c(crc32c(0, a), b) = crc32c(0, ab). */
uint32_t crc32c(uint32_t previous, const void *data, size_t size);
/* The table version, the same answers; tests compare the two. */
uint32_t crc32c_portable(uint32_t previous, const void *data, size_t size);
/* A checksum seeded with 64 bits (the log key): stale or foreign bytes fail. */
uint32_t crc32c_keyed(uint64_t key, const void *data, size_t size);

#endif
