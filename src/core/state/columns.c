/* columns: adding events to sums and counts, and reading them. The adding half is the hottest code
 * of the state: per event one division pair, one short polynomial and three touched cache lines.
 *
 * Events reach an entry in log order, one at a time; sums are never reduced across entries or
 * lanes, so that the bits depend on the log alone. Never allocates but for a block's first event,
 * the first change after a pin, and a widening. */
#include "core/state/columns.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "core/state/decay.h"

enum {
    SUMS_SIZE = 8 + 8 * (int)BLOCK_ENTRIES, /* canonical bytes of a column block */
    COUNT_HEAD = 8,
    NARROW = 4,
    WIDE = 8,
    TYPE_SHIFT = 40,
    HALFLIFE_SHIFT = 36,
    SIGN_SHIFT = 35,
};
/* Larger than any sum that 2^64 events can make: terms are at most 2^53 * 2 * 2^900. */
#define SUM_MAX       0x1p1019
#define SUM_MIN       0x1p-1022 /* smaller ones are +0 */
#define BLOCK_MASK    ((UINT64_C(1) << SIGN_SHIFT) - 1)
#define HALFLIFE_MASK ((UINT64_C(1) << (TYPE_SHIFT - HALFLIFE_SHIFT)) - 1)

static_assert(offsetof(struct sums, zone_max) == SUMS_SIZE, "the derived part comes last");
static_assert(HALFLIVES_MAX <= 1 << (TYPE_SHIFT - HALFLIFE_SHIFT), "the index fits its bits");

void columns_init(struct columns *c, struct alloc *alloc)
{
    *c = (struct columns){.alloc = alloc};
}

void columns_fini(struct columns *c)
{
    for (size_t i = 0; i < c->capacity; i++) {
        for (size_t h = 0; h < HALFLIVES_MAX; h++) {
            block_list_fini(c->alloc, &c->types[i].sums[h][SIGN_POSITIVE]);
            block_list_fini(c->alloc, &c->types[i].sums[h][SIGN_NEGATIVE]);
        }
        block_list_fini(c->alloc, &c->types[i].counts);
    }
    alloc_put(c->alloc, c->types, c->capacity * sizeof(struct type_columns));
    *c = (struct columns){0};
}

bool columns_add_type(struct columns *c, uint32_t type_id)
{
    if (type_id < c->capacity) return true;
    void *types = c->types;
    if (!alloc_grow(c->alloc, &types, &c->capacity, sizeof(struct type_columns), type_id + 1)) {
        return false;
    }
    c->types = types;
    return true;
}

uint64_t column_number(struct column_name name)
{
    return (uint64_t)name.type_id << TYPE_SHIFT | (uint64_t)name.halflife << HALFLIFE_SHIFT |
           (uint64_t)name.sign << SIGN_SHIFT | name.item_block;
}

static const struct sums *sums_at(const struct block_list *list, uint32_t item_block)
{
    const struct block *b = block_list_get(list, item_block);
    return b == NULL ? NULL : (const struct sums *)(const void *)b->payload;
}

/* Adding. */

static struct block *sums_new(struct alloc *alloc, uint64_t number)
{
    struct block_id id = {.kind = BLOCK_COLUMN, .number = number};
    struct block *b = block_new(alloc, id, sizeof(struct sums), SUMS_SIZE);
    if (b == NULL) return NULL;
    ((struct sums *)(void *)b->payload)->epoch = DECAY_EPOCH_UNSET;
    return b;
}

static struct block *counts_new(struct alloc *alloc, uint64_t number, uint32_t width)
{
    struct block_id id = {.kind = BLOCK_COUNT, .number = number};
    uint32_t size = COUNT_HEAD + width * BLOCK_ENTRIES;
    struct block *b = block_new(alloc, id, size, size);
    if (b == NULL) return NULL;
    store_u32(b->payload, width);
    return b;
}

/* The block of an event, ready to be changed, made when it does not exist. */
static inline struct block *writable_at(struct columns *c, struct block_list *list,
                                        enum block_kind kind, struct column_name name)
{
    struct block *b = block_list_get(list, name.item_block);
    if (b != NULL) return block_writable(c->alloc, &list->items[name.item_block]);
    if (!block_list_reserve(c->alloc, list, name.item_block)) return NULL;
    b = kind == BLOCK_COLUMN ? sums_new(c->alloc, column_number(name))
                             : counts_new(c->alloc, column_number(name), NARROW);
    list->items[name.item_block] = b;
    return b;
}

/* Scale a block to a later epoch. Scaling keeps order, so the zones' maxima stay maxima. */
static void sums_shift(struct sums *s, int64_t shift)
{
    int64_t to = s->epoch + shift;
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        s->values[i] = decay_rescale(s->values[i], s->epoch, to);
    }
    for (uint32_t i = 0; i < ZONES; i++) {
        s->zone_max[i] = decay_rescale(s->zone_max[i], s->epoch, to);
    }
    s->epoch = to;
}

static void sums_add(struct sums *s, uint32_t entry, double magnitude, struct decay_time t)
{
    if (s->epoch == DECAY_EPOCH_UNSET) s->epoch = decay_first_epoch(t.q);
    int64_t shift = decay_shift(t.q, s->epoch);
    if (shift > 0) sums_shift(s, shift);
    double sum = s->values[entry] + decay_term(magnitude, t, s->epoch);
    s->values[entry] = sum;
    if (sum > s->zone_max[entry / ZONE_ENTRIES]) s->zone_max[entry / ZONE_ENTRIES] = sum;
}

/* Put a block with wide entries in the place of one with narrow ones. NULL: memory is refused. */
static struct block *counts_widen(struct alloc *alloc, struct block **place)
{
    struct block *narrow = *place;
    struct block *wide = counts_new(alloc, narrow->id.number, WIDE);
    if (wide == NULL) return NULL;
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        store_u64(wide->payload + COUNT_HEAD + (size_t)i * WIDE, count_block_get(narrow, i));
    }
    *place = wide;
    block_release(alloc, narrow);
    return wide;
}

static bool count_add(struct columns *c, struct block_list *list, struct column_name name,
                      uint32_t entry)
{
    struct block *b = writable_at(c, list, BLOCK_COUNT, name);
    if (b == NULL) return false;
    uint8_t *entries = b->payload + COUNT_HEAD;
    if (load_u32(b->payload) == NARROW) {
        uint32_t count = load_u32(entries + (size_t)entry * NARROW);
        if (count < UINT32_MAX) {
            store_u32(entries + (size_t)entry * NARROW, count + 1);
            return true;
        }
        b = counts_widen(c->alloc, &list->items[name.item_block]);
        if (b == NULL) return false;
        entries = b->payload + COUNT_HEAD;
    }
    uint64_t count = load_u64(entries + (size_t)entry * WIDE);
    store_u64(entries + (size_t)entry * WIDE, count + 1);
    return true;
}

/* Add to the sums of every half-life. */
static bool weight_add(struct columns *c, const struct signal_type *type, uint32_t item,
                       double weight, int64_t time_ms)
{
    struct type_columns *columns = &c->types[type->id];
    struct column_name name = {.type_id = type->id, .item_block = item / BLOCK_ENTRIES};
    uint32_t entry = item % BLOCK_ENTRIES;
    name.sign = weight < 0.0 ? SIGN_NEGATIVE : SIGN_POSITIVE;
    double magnitude = weight < 0.0 ? -weight : weight;
    for (uint32_t h = 0; h < type->halflife_count; h++) {
        name.halflife = h;
        struct block *b = writable_at(c, &columns->sums[h][name.sign], BLOCK_COLUMN, name);
        if (b == NULL) return false;
        struct decay_time t;
        t.fraction = decay_split(time_ms, type->halflives_ms[h], &t.q);
        sums_add((struct sums *)(void *)b->payload, entry, magnitude, t);
    }
    return true;
}

bool columns_add(struct columns *c, const struct signal_type *type, uint32_t item, double weight,
                 int64_t time_ms)
{
    ASSERT(type->id < c->capacity);
    struct column_name name = {.type_id = type->id, .item_block = item / BLOCK_ENTRIES};
    if (!count_add(c, &c->types[type->id].counts, name, item % BLOCK_ENTRIES)) return false;
    return weight == 0.0 || weight_add(c, type, item, weight, time_ms);
}

/* Taking back. */

/* Count one event less; *out_count is what is left. */
static bool count_take(struct columns *c, struct block_list *list, uint32_t item,
                       uint32_t *out_count)
{
    ASSERT(block_list_get(list, item / BLOCK_ENTRIES) != NULL);
    struct block *b = block_writable(c->alloc, &list->items[item / BLOCK_ENTRIES]);
    if (b == NULL) return false;
    ASSERT(load_u32(b->payload) == NARROW);
    uint8_t *entry = b->payload + COUNT_HEAD + (size_t)(item % BLOCK_ENTRIES) * NARROW;
    uint32_t count = load_u32(entry);
    ASSERT(count > 0);
    store_u32(entry, count - 1);
    *out_count = count - 1;
    return true;
}

/* Look for the largest sum of a zone again. */
static void zone_compute(struct sums *s, uint32_t zone)
{
    double most = 0.0;
    for (uint32_t i = zone * ZONE_ENTRIES; i < (zone + 1) * ZONE_ENTRIES; i++) {
        if (s->values[i] > most) most = s->values[i];
    }
    s->zone_max[zone] = most;
}

/* Nothing is left of the item in this block. */
static bool sum_clear(struct columns *c, struct block_list *list, uint32_t item)
{
    uint32_t entry = item % BLOCK_ENTRIES;
    const struct sums *before = sums_at(list, item / BLOCK_ENTRIES);
    if (before == NULL || before->values[entry] == 0.0) return true;
    struct block *b = block_writable(c->alloc, &list->items[item / BLOCK_ENTRIES]);
    if (b == NULL) return false;
    struct sums *s = (struct sums *)(void *)b->payload;
    uint32_t zone = entry / ZONE_ENTRIES;
    bool was_most = s->values[entry] >= s->zone_max[zone];
    s->values[entry] = 0.0;
    if (was_most) zone_compute(s, zone);
    return true;
}

bool columns_take(struct columns *c, const struct signal_type *type, uint32_t item, double weight,
                  int64_t time_ms)
{
    ASSERT(type->id < c->capacity);
    ASSERT(type->mode != SIGNAL_MODE_COUNT);
    struct type_columns *columns = &c->types[type->id];
    uint32_t left = 0;
    if (!count_take(c, &columns->counts, item, &left)) return false;
    if (left > 0) return weight == 0.0 || weight_add(c, type, item, -weight, time_ms);
    for (uint32_t h = 0; h < type->halflife_count; h++) {
        if (!sum_clear(c, &columns->sums[h][SIGN_POSITIVE], item)) return false;
        if (!sum_clear(c, &columns->sums[h][SIGN_NEGATIVE], item)) return false;
    }
    return true;
}

void columns_prefetch(const struct columns *c, uint32_t type_id, uint32_t item)
{
    ASSERT(type_id < c->capacity);
    const struct type_columns *columns = &c->types[type_id];
    uint32_t entry = item % BLOCK_ENTRIES;
    const struct sums *sums = sums_at(&columns->sums[0][SIGN_POSITIVE], item / BLOCK_ENTRIES);
    if (sums != NULL) __builtin_prefetch(&sums->values[entry], 1);
    const struct block *b = block_list_get(&columns->counts, item / BLOCK_ENTRIES);
    if (b != NULL) __builtin_prefetch(b->payload + COUNT_HEAD + (size_t)entry * NARROW, 1);
}

/* Reading. */

uint64_t count_block_get(const struct block *counts, uint32_t entry)
{
    ASSERT(entry < BLOCK_ENTRIES);
    const uint8_t *entries = counts->payload + COUNT_HEAD;
    if (load_u32(counts->payload) == NARROW) return load_u32(entries + (size_t)entry * NARROW);
    return load_u64(entries + (size_t)entry * WIDE);
}

const uint32_t *count_block_narrow(const struct block *counts)
{
    if (load_u32(counts->payload) != NARROW) return NULL;
    return (const uint32_t *)(const void *)(counts->payload + COUNT_HEAD);
}

void count_block_add(const struct block *counts, uint64_t totals[BLOCK_ENTRIES])
{
    const uint8_t *entries = counts->payload + COUNT_HEAD;
    if (load_u32(counts->payload) == NARROW) {
        for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
            totals[i] += load_u32(entries + (size_t)i * NARROW);
        }
        return;
    }
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        totals[i] += load_u64(entries + (size_t)i * WIDE);
    }
}

struct column_view columns_view(const struct columns *c, uint32_t type_id, uint32_t halflife,
                                uint32_t item_block)
{
    ASSERT(type_id < c->capacity);
    ASSERT(halflife < HALFLIVES_MAX);
    const struct type_columns *columns = &c->types[type_id];
    return (struct column_view){
        .sums = {sums_at(&columns->sums[halflife][SIGN_POSITIVE], item_block),
                 sums_at(&columns->sums[halflife][SIGN_NEGATIVE], item_block)},
        .counts = block_list_get(&columns->counts, item_block),
    };
}

struct net_sum column_view_net(const struct column_view *view, uint32_t entry)
{
    const struct sums *positive = view->sums[SIGN_POSITIVE];
    const struct sums *negative = view->sums[SIGN_NEGATIVE];
    bool has_positive = positive != NULL && positive->values[entry] != 0.0;
    bool has_negative = negative != NULL && negative->values[entry] != 0.0;
    if (!has_positive && !has_negative) return (struct net_sum){0};
    if (!has_negative) {
        return (struct net_sum){.value = positive->values[entry], .epoch = positive->epoch};
    }
    if (!has_positive) {
        return (struct net_sum){.value = -negative->values[entry], .epoch = negative->epoch};
    }
    int64_t epoch = positive->epoch > negative->epoch ? positive->epoch : negative->epoch;
    double p = decay_rescale(positive->values[entry], positive->epoch, epoch);
    double n = decay_rescale(negative->values[entry], negative->epoch, epoch);
    return (struct net_sum){.value = p - n, .epoch = epoch};
}

struct net_sum columns_net(const struct columns *c, uint32_t type_id, uint32_t halflife,
                           uint32_t item)
{
    struct column_view view = columns_view(c, type_id, halflife, item / BLOCK_ENTRIES);
    return column_view_net(&view, item % BLOCK_ENTRIES);
}

uint64_t columns_count(const struct columns *c, uint32_t type_id, uint32_t item)
{
    ASSERT(type_id < c->capacity);
    const struct block *counts = block_list_get(&c->types[type_id].counts, item / BLOCK_ENTRIES);
    return counts == NULL ? 0 : count_block_get(counts, item % BLOCK_ENTRIES);
}

uint64_t columns_growth_max(const struct schema *schema, uint64_t entries, uint64_t item_blocks)
{
    uint64_t sums_size = sizeof(struct block) + sizeof(struct sums);
    uint64_t counts_size = sizeof(struct block) + COUNT_HEAD + WIDE * (uint64_t)BLOCK_ENTRIES;
    uint64_t lists = 0;
    uint64_t every_block = 0;
    uint64_t halflives_max = 0;
    for (uint32_t i = 0; i < schema->count; i++) {
        uint64_t halflives = schema->types[i].halflife_count;
        every_block += item_blocks * (SIGNS * halflives * sums_size + counts_size);
        lists += SIGNS * halflives + 1;
        if (halflives > halflives_max) halflives_max = halflives;
    }
    uint64_t touched = entries * (halflives_max * sums_size + counts_size);
    if (touched > every_block) touched = every_block;
    return touched + lists * item_blocks * 2 * sizeof(struct block *);
}

/* Loading: bytes come from disk or a peer, so every property that the code above relies on is
 * checked. */

static struct column_name column_name_of(uint64_t number)
{
    return (struct column_name){
        .type_id = (uint32_t)(number >> TYPE_SHIFT),
        .halflife = (uint32_t)(number >> HALFLIFE_SHIFT & HALFLIFE_MASK),
        .sign = (number >> SIGN_SHIFT & 1) != 0 ? SIGN_NEGATIVE : SIGN_POSITIVE,
        .item_block = (uint32_t)(number & BLOCK_MASK),
    };
}

/* Does the number name a block that a state with these types and items can have? */
static bool is_possible(const struct schema *schema, uint32_t item_count, struct block_id id)
{
    struct column_name name = column_name_of(id.number);
    const struct signal_type *type = schema_type(schema, name.type_id);
    if (type == NULL || (id.number & BLOCK_MASK) * BLOCK_ENTRIES >= item_count) return false;
    if (id.kind == BLOCK_COUNT) return name.halflife == 0 && name.sign == SIGN_POSITIVE;
    return name.halflife < type->halflife_count;
}

/* NULL when the bytes are sums that adding can make; entries from `used` on must be 0. */
static const char *sums_fault(struct slice bytes, uint32_t used)
{
    if (bytes.size != SUMS_SIZE) return "its size is wrong";
    struct bytes_reader r = bytes_reader_of(bytes);
    int64_t epoch = bytes_read_i64(&r);
    if (epoch < -DECAY_EPOCH_MAX || epoch > DECAY_EPOCH_MAX) return "its epoch is out of range";
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        uint64_t bits = bytes_read_u64(&r);
        double v;
        memcpy(&v, &bits, sizeof(v));
        bool is_sum = bits == 0 || (v >= SUM_MIN && v <= SUM_MAX);
        if (!is_sum) return "a sum is no sum";
        if (bits != 0 && i >= used) return "it has a sum of an item that does not exist";
    }
    return NULL;
}

static const char *counts_fault(struct slice bytes, uint32_t used, bool is_undoable)
{
    if (bytes.size < COUNT_HEAD) return "its size is wrong";
    uint32_t width = load_u32(bytes.data);
    if (width != NARROW && width != WIDE) return "its width is neither 4 nor 8";
    if (bytes.size != COUNT_HEAD + (size_t)width * BLOCK_ENTRIES) return "its size is wrong";
    if (load_u32(bytes.data + sizeof(uint32_t)) != 0) return "its second word is not zero";
    uint64_t largest = 0;
    for (uint32_t i = 0; i < BLOCK_ENTRIES; i++) {
        const uint8_t *at = bytes.data + COUNT_HEAD + (size_t)i * width;
        uint64_t count = width == NARROW ? load_u32(at) : load_u64(at);
        if (count > largest) largest = count;
        if (count != 0 && i >= used) return "it has a count of an item that does not exist";
    }
    if (largest == 0 && !is_undoable) return "it counts nothing";
    bool is_wide_for_nothing = width == WIDE && (largest <= UINT32_MAX || is_undoable);
    if (is_wide_for_nothing) return "it is wider than it needs to be";
    return NULL;
}

enum code columns_load(struct columns *c, const struct schema *schema, uint32_t item_count,
                       struct block_id id, struct slice bytes, struct err *e)
{
    const char *kind = block_kind_name(id.kind);
    unsigned long long number = id.number;
    if (!is_possible(schema, item_count, id)) {
        return ERR(e, E_CORRUPT, "block %s %llu belongs to no type and items of this state", kind,
                   number);
    }
    struct column_name name = column_name_of(id.number);
    uint32_t used = item_count - name.item_block * BLOCK_ENTRIES;
    bool is_sums = id.kind == BLOCK_COLUMN;
    const struct signal_type *type = schema_type(schema, name.type_id);
    ASSERT(type != NULL);
    bool is_undoable = type->mode != SIGNAL_MODE_COUNT;
    const char *fault = is_sums ? sums_fault(bytes, used) : counts_fault(bytes, used, is_undoable);
    if (fault != NULL) return ERR(e, E_CORRUPT, "block %s %llu: %s", kind, number, fault);

    ASSERT(name.type_id < c->capacity);
    struct type_columns *columns = &c->types[name.type_id];
    struct block_list *list = is_sums ? &columns->sums[name.halflife][name.sign] : &columns->counts;
    struct block *b = is_sums ? sums_new(c->alloc, id.number)
                              : counts_new(c->alloc, id.number, load_u32(bytes.data));
    if (b == NULL || !block_list_reserve(c->alloc, list, name.item_block)) {
        block_release(c->alloc, b);
        return ERR(e, E_NOMEMORY, "no memory for block %s %llu", kind, number);
    }
    ASSERT(list->items[name.item_block] == NULL);
    memcpy(b->payload, bytes.data, bytes.size);
    for (uint32_t zone = 0; is_sums && zone < ZONES; zone++) {
        zone_compute((struct sums *)(void *)b->payload, zone);
    }
    list->items[name.item_block] = b;
    return OK;
}
