/* field_fit: the value that a declared field takes from what was given. Text becomes what the
 * declaration says: a number, a time, tags between commas. The write gate uses it for what comes
 * in, the field index for what was there before the field was declared. Pure; no allocation. */
#ifndef TIDEMARK_CORE_STATE_FIELD_FIT_H
#define TIDEMARK_CORE_STATE_FIELD_FIT_H

#include "format/put_fields.h"

/* kind: enum schema_field_kind, or 0 for a field that is not declared, which takes any value as it
 * is. room: for lists of tags that are made from text; as many bytes as the text and one more.
 * *out may borrow from value and room. NULL: it fits; else what is wrong, the end of a sentence
 * that begins with the field. */
const char *field_fit(uint8_t kind, const struct put_field *value, uint8_t *room, size_t size,
                      struct put_field *out);

#endif
