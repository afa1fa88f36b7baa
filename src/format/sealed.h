/* sealed: the envelope of every small file: what it is, which version, how large, and a hash over
 * all of it, so that any changed bit is noticed before a field is believed. Private to format/.
 *
 *   off size field
 *     0    8 magic
 *     8    2 version = FORMAT_VERSION
 *    10    2 zero
 *    12    4 size of the part in bytes, from the magic to the end of the hash
 *    16    - body
 *  -32    32 BLAKE3-256 of all before
 *
 * A newer version keeps this envelope, so that it can be told from damage. Pure; no allocation.
 */
#ifndef TIDEMARK_FORMAT_SEALED_H
#define TIDEMARK_FORMAT_SEALED_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"
#include "format/limits.h"

#define SEALED_HEAD_SIZE 16u
#define SEALED_SIZE_MIN  (SEALED_HEAD_SIZE + 32u)

/* Write the head; the body follows through w, then sealed_end fills in size and hash. */
void sealed_begin(struct bytes_writer *w, const char magic[9]);
/* start: where sealed_begin wrote. The caller gave enough room: a full writer is a bug. Returns the
 * size of the part. */
size_t sealed_end(struct bytes_writer *w, uint8_t *start);

/* Take one sealed part from the beginning of *r and give a reader over its body. what: the thing's
 * name in messages, with its article. E_CORRUPT, or E_FORMAT with the number when the hash holds
 * and the version is newer. */
MUST_CHECK enum code sealed_open(struct bytes_reader *r, const char magic[9], const char *what,
                                 struct bytes_reader *out_body, struct err *e);

#endif
