/* tag_values: the values of one tag field, each with a number that the field's columns hold instead
 * of the bytes. A value lives as long as something refers to it; then its number is free for
 * another one. So a number means something only to who holds a reference, or looked it up since the
 * last change.
 *
 * Derived state: numbers depend on how the state came to be, not on the log alone, and never leave
 * the process. Values lie in chunks, so that no single addition is slow. One owner thread.
 */
#ifndef TIDEMARK_CORE_STATE_TAG_VALUES_H
#define TIDEMARK_CORE_STATE_TAG_VALUES_H

#include "base/map.h"
#include "core/state/blocks.h"

#define TAG_VALUE_NONE     0u
#define TAG_VALUE_SIZE_MAX 255u

struct tag_values {
    struct alloc *alloc; /* borrowed */
    uint64_t seed;
    struct map map;           /* hash of the bytes -> number - 1 */
    struct block_list chunks; /* of TAG_CHUNK values; extra: their bytes */
    uint32_t used;            /* numbers ever given: 1..used */
    uint32_t first_free;      /* TAG_VALUE_NONE: none */
    uint32_t text_size_max;   /* largest extra capacity of any chunk so far */
};

void tag_values_init(struct tag_values *v, struct alloc *alloc, uint64_t seed);
void tag_values_fini(struct tag_values *v);

/* TAG_VALUE_NONE when nothing refers to this value. Any size. */
uint32_t tag_values_find(const struct tag_values *v, struct slice value);
/* One more reference to the value, which has at most TAG_VALUE_SIZE_MAX bytes and is copied.
 * TAG_VALUE_NONE when memory is refused; then nothing changed. */
uint32_t tag_values_take(struct tag_values *v, struct slice value);
/* One reference less. */
void tag_values_drop(struct tag_values *v, uint32_t number);
/* The bytes, borrowed until the next change. */
struct slice tag_values_bytes(const struct tag_values *v, uint32_t number);

/* Bytes that `count` more values of value_bytes in total can make chunks and map grow. */
uint64_t tag_values_growth_max(const struct tag_values *v, uint64_t count, uint64_t value_bytes);

#endif
