/* field_index: see field_index.h. A change costs one touched line of a column; only an item with
 * several tags costs a look through the pairs of its block when they change. */
#include "core/state/field_index.h"

#include <assert.h>

#include "base/assert.h"

void field_index_init(struct field_index *ix, struct alloc *alloc, uint64_t seed)
{
    *ix = (struct field_index){.alloc = alloc, .seed = seed};
}

void field_index_fini(struct field_index *ix)
{
    for (uint32_t i = 0; i < ix->count; i++) {
        block_list_fini(ix->alloc, &ix->columns[i].blocks);
        tag_values_fini(&ix->columns[i].values);
    }
    alloc_put(ix->alloc, ix->columns, FIELDS_MAX * sizeof(struct field_column));
    block_list_fini(ix->alloc, &ix->creators);
    block_list_fini(ix->alloc, &ix->deleted);
    *ix = (struct field_index){0};
}

bool field_index_add_field(struct field_index *ix, const struct schema_field *field)
{
    ASSERT(field->id <= FIELDS_MAX);
    if (field->id <= ix->count) return true;
    ASSERT(field->id == ix->count + 1);
    if (ix->columns == NULL) {
        ix->columns = alloc_get(ix->alloc, FIELDS_MAX * sizeof(struct field_column));
        if (ix->columns == NULL) return false;
    }
    struct field_column *c = &ix->columns[ix->count++];
    memcpy(c->name, field->name, sizeof(c->name));
    c->kind = field->kind;
    tag_values_init(&c->values, ix->alloc, ix->seed);
    return true;
}

static size_t payload_size(uint8_t kind)
{
    static_assert(sizeof(struct field_numbers) == sizeof(struct field_times), "one size for both");
    return kind == SCHEMA_FIELD_TAG ? sizeof(struct field_tags) : sizeof(struct field_numbers);
}

/* The block at this place, ready to be changed, made when it does not exist. NULL: memory is
 * refused. */
static struct block *writable_at(struct field_index *ix, struct block_list *list,
                                 uint32_t item_block, size_t size)
{
    struct block *b = block_list_get(list, item_block);
    if (b != NULL) return block_writable(ix->alloc, &list->items[item_block]);
    if (!block_list_reserve(ix->alloc, list, item_block)) return NULL;
    list->items[item_block] = block_new(ix->alloc, (struct block_id){0}, (uint32_t)size, 0);
    return list->items[item_block];
}

static void mask_set(struct field_mask *m, uint32_t entry, bool is_set)
{
    uint64_t bit = UINT64_C(1) << entry % 64;
    if (is_set) {
        m->words[entry / 64] |= bit;
    } else {
        m->words[entry / 64] &= ~bit;
    }
}

/* Tags. */

static struct field_tags *tags_of(struct block *b)
{
    return (struct field_tags *)(void *)b->payload;
}

/* Take the pairs of an entry out. */
static void pairs_drop(struct field_column *c, struct block *b, uint32_t entry)
{
    struct field_pair *pairs = (struct field_pair *)(void *)b->extra;
    uint32_t count = b->extra_size / (uint32_t)sizeof(*pairs);
    for (uint32_t i = 0; i < count;) {
        if (pairs[i].entry != entry) {
            i++;
            continue;
        }
        tag_values_drop(&c->values, pairs[i].value);
        pairs[i] = pairs[--count];
    }
    b->extra_size = count * (uint32_t)sizeof(*pairs);
    mask_set(&tags_of(b)->has_more, entry, false);
}

static void tags_clear(struct field_column *c, struct block *b, uint32_t entry)
{
    struct field_tags *tags = tags_of(b);
    if (tags->first[entry] != TAG_VALUE_NONE) tag_values_drop(&c->values, tags->first[entry]);
    tags->first[entry] = TAG_VALUE_NONE;
    if (field_mask_has(&tags->has_more, entry)) pairs_drop(c, b, entry);
}

/* Has the entry this value already? Its own pairs are the last ones. */
static bool has_tag(const struct block *b, uint32_t entry, uint32_t value)
{
    const struct field_tags *tags = (const struct field_tags *)(const void *)b->payload;
    if (tags->first[entry] == value) return true;
    const struct field_pair *pairs = (const struct field_pair *)(const void *)b->extra;
    uint32_t count = b->extra_size / (uint32_t)sizeof(*pairs);
    for (uint32_t i = count; i > 0 && pairs[i - 1].entry == entry; i--) {
        if (pairs[i - 1].value == value) return true;
    }
    return false;
}

/* Add one value to an entry whose old ones are gone. */
static bool tag_add(struct field_index *ix, struct field_column *c, struct block *b, uint32_t entry,
                    struct slice bytes)
{
    struct field_tags *tags = tags_of(b);
    struct field_pair pair = {.entry = entry, .value = tag_values_take(&c->values, bytes)};
    if (pair.value == TAG_VALUE_NONE) return false;
    if (has_tag(b, entry, pair.value)) {
        tag_values_drop(&c->values, pair.value);
        return true;
    }
    if (tags->first[entry] == TAG_VALUE_NONE) {
        tags->first[entry] = pair.value;
        return true;
    }
    if (!block_extra_reserve(ix->alloc, b, sizeof(pair))) {
        tag_values_drop(&c->values, pair.value);
        return false;
    }
    if (b->extra_capacity > ix->pair_size_max) ix->pair_size_max = b->extra_capacity;
    block_extra_add(b, &pair, sizeof(pair));
    mask_set(&tags->has_more, entry, true);
    return true;
}

static bool tags_put(struct field_index *ix, struct field_column *c, struct block *b,
                     uint32_t entry, const struct put_field *value)
{
    tags_clear(c, b, entry);
    if (value == NULL) return true;
    if (value->tag == PUT_TEXT) return tag_add(ix, c, b, entry, value->text);
    struct bytes_reader tags = value->tags;
    for (uint32_t i = 0; i < value->tag_count; i++) {
        if (!tag_add(ix, c, b, entry, bytes_read_slice8(&tags))) return false;
    }
    return true;
}

/* Numbers and times. */

static void number_put(struct block *b, uint32_t entry, const struct put_field *value)
{
    struct field_numbers *numbers = (struct field_numbers *)(void *)b->payload;
    bool is_real = value != NULL && value->tag == PUT_REAL;
    double whole = value != NULL ? (double)value->integer : 0.0;
    mask_set(&numbers->present, entry, value != NULL);
    numbers->values[entry] = is_real ? value->real : whole;
}

static void time_put(struct block *b, uint32_t entry, const struct put_field *value)
{
    struct field_times *times = (struct field_times *)(void *)b->payload;
    mask_set(&times->present, entry, value != NULL);
    times->values_ms[entry] = value != NULL ? value->integer : 0;
}

/* What a column of this kind takes. */
static bool is_fitting(uint8_t kind, const struct put_field *value)
{
    switch (kind) {
    case SCHEMA_FIELD_TAG:
        return value->tag == PUT_TAGS ||
               (value->tag == PUT_TEXT && value->text.size <= TAG_VALUE_SIZE_MAX);
    case SCHEMA_FIELD_NUM:
        return value->tag == PUT_INT || value->tag == PUT_REAL || value->tag == PUT_BOOL;
    case SCHEMA_FIELD_TIME: return value->tag == PUT_INT;
    default: return false;
    }
}

static bool column_put(struct field_index *ix, struct field_column *c, uint32_t item,
                       const struct put_field *value)
{
    if (c->kind == SCHEMA_FIELD_TEXT) return true;
    if (value != NULL && !is_fitting(c->kind, value)) value = NULL;
    uint32_t item_block = item / BLOCK_ENTRIES;
    if (value == NULL && block_list_get(&c->blocks, item_block) == NULL) return true;
    struct block *b = writable_at(ix, &c->blocks, item_block, payload_size(c->kind));
    if (b == NULL) return false;
    uint32_t entry = item % BLOCK_ENTRIES;
    if (c->kind == SCHEMA_FIELD_TAG) return tags_put(ix, c, b, entry, value);
    if (c->kind == SCHEMA_FIELD_NUM) {
        number_put(b, entry, value);
    } else {
        time_put(b, entry, value);
    }
    return true;
}

bool field_index_put(struct field_index *ix, uint32_t item, struct slice name,
                     const struct put_field *value)
{
    for (uint32_t i = 0; i < ix->count; i++) {
        if (!slice_equal(slice_of_text(ix->columns[i].name), name)) continue;
        return column_put(ix, &ix->columns[i], item, value);
    }
    return true;
}

/* Creators and deletion. */

bool field_index_set_creator(struct field_index *ix, uint32_t item, uint32_t creator)
{
    uint32_t item_block = item / BLOCK_ENTRIES;
    bool is_none = creator == FIELD_CREATOR_NONE;
    if (is_none && block_list_get(&ix->creators, item_block) == NULL) return true;
    struct block *b = writable_at(ix, &ix->creators, item_block, sizeof(struct field_creators));
    if (b == NULL) return false;
    struct field_creators *creators = (struct field_creators *)(void *)b->payload;
    creators->next[item % BLOCK_ENTRIES] = is_none ? 0 : creator + 1;
    return true;
}

bool field_index_set_deleted(struct field_index *ix, uint32_t item, bool is_deleted)
{
    for (uint32_t i = 0; i < ix->count; i++) {
        if (!column_put(ix, &ix->columns[i], item, NULL)) return false;
    }
    if (!field_index_set_creator(ix, item, FIELD_CREATOR_NONE)) return false;
    uint32_t item_block = item / BLOCK_ENTRIES;
    if (!is_deleted && block_list_get(&ix->deleted, item_block) == NULL) return true;
    struct block *b = writable_at(ix, &ix->deleted, item_block, sizeof(struct field_mask));
    if (b == NULL) return false;
    mask_set((struct field_mask *)(void *)b->payload, item % BLOCK_ENTRIES, is_deleted);
    return true;
}

/* Questions. */

const struct block *field_index_block(const struct field_index *ix, uint32_t field_id,
                                      uint32_t item_block)
{
    ASSERT(field_id >= 1 && field_id <= ix->count);
    return block_list_get(&ix->columns[field_id - 1].blocks, item_block);
}

const struct field_creators *field_index_creators(const struct field_index *ix, uint32_t item_block)
{
    const struct block *b = block_list_get(&ix->creators, item_block);
    return b == NULL ? NULL : (const struct field_creators *)(const void *)b->payload;
}

const struct field_mask *field_index_deleted(const struct field_index *ix, uint32_t item_block)
{
    const struct block *b = block_list_get(&ix->deleted, item_block);
    return b == NULL ? NULL : (const struct field_mask *)(const void *)b->payload;
}

/* Without what tags are kept in. */
static uint64_t columns_growth(const struct field_index *ix, struct field_growth more,
                               uint64_t item_blocks)
{
    uint64_t lists = (uint64_t)ix->count + 3; /* one more field, creators, deletions */
    uint64_t every_block = lists * item_blocks;
    uint64_t touched = more.values < every_block ? more.values : every_block;
    /* A block is made, or copied after a pin; its pairs with it, and grown by doubling. */
    uint64_t block = sizeof(struct block) + sizeof(struct field_numbers);
    uint64_t pairs = 4 * (more.values * sizeof(struct field_pair) + touched * BLOCK_EXTRA_MIN) +
                     3 * touched * (uint64_t)ix->pair_size_max;
    return touched * block + pairs + 2 * every_block * sizeof(struct block *);
}

uint64_t field_index_growth_max(const struct field_index *ix, struct field_growth more,
                                uint64_t item_blocks)
{
    if (more.values == 0) return 0;
    uint64_t growth = columns_growth(ix, more, item_blocks);
    for (uint32_t i = 0; i < ix->count; i++) {
        if (ix->columns[i].kind != SCHEMA_FIELD_TAG) continue;
        growth += tag_values_growth_max(&ix->columns[i].values, more.values, more.value_bytes);
    }
    return growth;
}

uint64_t field_index_declare_growth_max(const struct field_index *ix, struct field_growth more,
                                        uint64_t item_blocks)
{
    const struct tag_values fresh = {0};
    return columns_growth(ix, more, item_blocks) + FIELDS_MAX * sizeof(struct field_column) +
           tag_values_growth_max(&fresh, more.values, more.value_bytes);
}

uint64_t field_index_map_bytes(const struct field_index *ix)
{
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < ix->count; i++) {
        bytes += map_bytes(&ix->columns[i].values.map);
    }
    return bytes;
}
