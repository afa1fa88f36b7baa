/* put_fields: the list of metadata fields inside item-put, user-put and creator-put records, and
 * the list of names inside item-unset. Read and written one by one, borrowed memory, no allocation.
 *
 *   field list: varint n, then n times: slice8 name (1..255 bytes) | u8 tag | value
 *   name list:  varint n, then n times: slice8 name
 */
#ifndef TIDEMARK_FORMAT_PUT_FIELDS_H
#define TIDEMARK_FORMAT_PUT_FIELDS_H

#include "base/bytes.h"
#include "base/types.h"
#include "format/limits.h"

enum put_tag {
    PUT_UNSET = 0, /* no value: the field is removed */
    PUT_TEXT = 1,  /* slicev */
    PUT_INT = 2,   /* zigzag varint */
    PUT_REAL = 3,  /* f64, finite, never -0 */
    PUT_BOOL = 4,  /* u8, 0 or 1 */
    PUT_TAGS = 5,  /* varint n, then n times slice8 */
};

struct put_field {
    struct slice name;
    uint8_t tag; /* enum put_tag */
    struct slice text;
    int64_t integer; /* PUT_BOOL: 0 or 1 */
    double real;
    uint32_t tag_count;
    struct bytes_reader tags; /* tag_count slice8, checked */
};

/* Read the count that a list starts with. 0 and a failed reader when it is beyond PUT_FIELDS_MAX or
 * more than the bytes left can hold. */
uint32_t put_list_count(struct bytes_reader *list);
/* Read the next field; false (and the reader is failed) when it is malformed. */
MUST_CHECK bool put_field_read(struct bytes_reader *list, struct put_field *out);
/* Append a field; a list is a varint count followed by its fields. The writer fails for a value
 * that put_field_read refuses. */
void put_field_write(struct bytes_writer *w, const struct put_field *f);

/* Is the whole slice one well-formed list? */
bool put_fields_are_valid(struct slice list);
bool put_names_are_valid(struct slice list); /* at least one name */

#endif
