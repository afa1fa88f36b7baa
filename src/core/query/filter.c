/* filter: see filter.h. */
#include "core/query/filter.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "core/state/inside.h"

static const struct field_mask nobody;

/* Operands. */

bool filter_set_make(struct filter *f, struct filter_step *step, uint32_t count)
{
    ASSERT(count > FILTER_LIST_MAX);
    ASSERT(count <= f->slot_count && f->slot_count <= FILTER_SLOTS_MAX);
    uint32_t capacity = 1;
    while (capacity < 2 * count) {
        capacity *= 2;
    }
    uint32_t first = f->slot_count - count;
    if (capacity > FILTER_SLOTS_MAX - f->slot_count) return false;
    /* The set is built behind the list, then takes its place. */
    uint64_t *set = &f->slots[f->slot_count];
    memset(set, 0xff, capacity * sizeof(uint64_t));
    for (uint32_t i = 0; i < count; i++) {
        uint64_t operand = f->slots[first + i];
        uint32_t at = (uint32_t)hash64_mix(operand) & (capacity - 1);
        while (set[at] != FILTER_SLOT_EMPTY && set[at] != operand) {
            at = (at + 1) & (capacity - 1);
        }
        set[at] = operand;
    }
    memmove(&f->slots[first], set, capacity * sizeof(uint64_t));
    f->slot_count = first + capacity;
    step->first = (uint16_t)first;
    step->count = (uint16_t)capacity;
    return true;
}

/* The operands of one step. */
struct operands {
    const uint64_t *slots;
    uint32_t count;
};

static inline bool is_in_set(struct operands o, uint64_t value)
{
    uint32_t at = (uint32_t)hash64_mix(value) & (o.count - 1);
    while (o.slots[at] != FILTER_SLOT_EMPTY) {
        if (o.slots[at] == value) return true;
        at = (at + 1) & (o.count - 1);
    }
    return false;
}

/* Comparisons: one loop over a column without a branch. Flags come as bytes first, which compilers
 * turn into vectors, then eight of them become eight bits by one multiplication. */

static inline uint64_t word_of(const uint8_t flags[64])
{
    uint64_t word = 0;
    for (uint32_t i = 0; i < 64; i += 8) {
        word |= (load_u64(flags + i) * UINT64_C(0x0102040810204080) >> 56) << i;
    }
    return word;
}

/* Add the entries for which the condition, of `at`, holds. */
#define FLAGS_LOOP(condition)                         \
    for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) { \
        uint8_t flags[64];                            \
        for (uint32_t i = 0; i < 64; i++) {           \
            const uint32_t at = w * 64 + i;           \
            flags[i] = (condition);                   \
        }                                             \
        out->words[w] |= word_of(flags);              \
    }

static void words_equal(const uint32_t *restrict values, uint32_t wanted,
                        struct field_mask *restrict out)
{
    FLAGS_LOOP(values[at] == wanted)
}

static void words_any(const uint32_t *restrict values, struct field_mask *restrict out)
{
    FLAGS_LOOP(values[at] != 0)
}

/* values[i] - plus is one of the operands; 0 stands for nothing. */
static void words_in(const uint32_t *values, struct operands o, uint32_t plus,
                     struct field_mask *out)
{
    if (o.count <= FILTER_LIST_MAX) {
        for (uint32_t i = 0; i < o.count; i++) {
            words_equal(values, (uint32_t)o.slots[i] + plus, out);
        }
        return;
    }
    FLAGS_LOOP(values[at] != 0 && is_in_set(o, (uint64_t)values[at] - plus))
}

static void pairs_in(const struct block *b, struct operands o, struct field_mask *out)
{
    const struct field_pair *pairs = (const struct field_pair *)(const void *)b->extra;
    uint32_t count = b->extra_size / (uint32_t)sizeof(*pairs);
    for (uint32_t i = 0; i < count; i++) {
        if (!is_in_set(o, pairs[i].value)) continue;
        out->words[pairs[i].entry / 64] |= UINT64_C(1) << pairs[i].entry % 64;
    }
}

static void pairs_equal(const struct block *b, uint32_t wanted, struct field_mask *out)
{
    const struct field_pair *pairs = (const struct field_pair *)(const void *)b->extra;
    uint32_t count = b->extra_size / (uint32_t)sizeof(*pairs);
    for (uint32_t i = 0; i < count; i++) {
        if (pairs[i].value != wanted) continue;
        out->words[pairs[i].entry / 64] |= UINT64_C(1) << pairs[i].entry % 64;
    }
}

static void tags_match(const struct block *b, struct operands o, struct field_mask *out)
{
    const struct field_tags *tags = (const struct field_tags *)(const void *)b->payload;
    words_in(tags->first, o, 0, out);
    if (o.count > FILTER_LIST_MAX) {
        pairs_in(b, o, out);
        return;
    }
    for (uint32_t i = 0; i < o.count; i++) {
        pairs_equal(b, (uint32_t)o.slots[i], out);
    }
}

static void numbers_compare(const double *restrict values, enum filter_compare compare,
                            double wanted, struct field_mask *restrict out)
{
    switch (compare) {
    case FILTER_EQUAL: FLAGS_LOOP(values[at] == wanted) return;
    case FILTER_LESS: FLAGS_LOOP(values[at] < wanted) return;
    case FILTER_LESS_EQUAL: FLAGS_LOOP(values[at] <= wanted) return;
    case FILTER_GREATER: FLAGS_LOOP(values[at] > wanted) return;
    case FILTER_GREATER_EQUAL: FLAGS_LOOP(values[at] >= wanted) return;
    }
    UNREACHABLE();
}

static void times_compare(const int64_t *restrict values, enum filter_compare compare,
                          int64_t wanted, struct field_mask *restrict out)
{
    switch (compare) {
    case FILTER_EQUAL: FLAGS_LOOP(values[at] == wanted) return;
    case FILTER_LESS: FLAGS_LOOP(values[at] < wanted) return;
    case FILTER_LESS_EQUAL: FLAGS_LOOP(values[at] <= wanted) return;
    case FILTER_GREATER: FLAGS_LOOP(values[at] > wanted) return;
    case FILTER_GREATER_EQUAL: FLAGS_LOOP(values[at] >= wanted) return;
    }
    UNREACHABLE();
}

static void slots_in(const uint64_t *restrict values, struct operands o,
                     struct field_mask *restrict out)
{
    if (o.count > FILTER_LIST_MAX) {
        FLAGS_LOOP(is_in_set(o, values[at]))
        return;
    }
    for (uint32_t k = 0; k < o.count; k++) {
        const uint64_t wanted = o.slots[k];
        FLAGS_LOOP(values[at] == wanted)
    }
}

static void mask_and(struct field_mask *a, const struct field_mask *b)
{
    for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) {
        a->words[w] &= b->words[w];
    }
}

static void mask_or(struct field_mask *a, const struct field_mask *b)
{
    for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) {
        a->words[w] |= b->words[w];
    }
}

static void mask_not(struct field_mask *a)
{
    for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) {
        a->words[w] = ~a->words[w];
    }
}

static double number_of_slot(uint64_t slot)
{
    double v;
    memcpy(&v, &slot, sizeof(v));
    return v;
}

/* A step that looks into a declared field's column. */
static void field_step(const struct filter_step *step, struct operands o, const struct block *b,
                       struct field_mask *out)
{
    const struct field_tags *tags = (const struct field_tags *)(const void *)b->payload;
    const struct field_numbers *numbers = (const struct field_numbers *)(const void *)b->payload;
    const struct field_times *times = (const struct field_times *)(const void *)b->payload;
    enum filter_compare compare = (enum filter_compare)step->compare;
    switch ((enum filter_kind)step->kind) {
    case FILTER_TAG: tags_match(b, o, out); return;
    case FILTER_HAS_TAG: words_any(tags->first, out); return;
    case FILTER_NUMBER:
        numbers_compare(numbers->values, compare, number_of_slot(o.slots[0]), out);
        mask_and(out, &numbers->present);
        return;
    case FILTER_NUMBER_IN:
        slots_in((const uint64_t *)(const void *)numbers->values, o, out);
        mask_and(out, &numbers->present);
        return;
    case FILTER_TIME:
        times_compare(times->values_ms, compare, (int64_t)o.slots[0], out);
        mask_and(out, &times->present);
        return;
    case FILTER_TIME_IN:
        slots_in((const uint64_t *)(const void *)times->values_ms, o, out);
        mask_and(out, &times->present);
        return;
    case FILTER_NEVER:
    case FILTER_CREATED:
    case FILTER_CREATED_IN:
    case FILTER_CREATOR:
    case FILTER_HAS_CREATOR:
    case FILTER_NOT:
    case FILTER_AND:
    case FILTER_OR: break; /* not of a field */
    }
    UNREACHABLE();
}

static void created_step(const struct filter_step *step, struct operands o, const struct state *s,
                         uint32_t item_block, struct field_mask *out)
{
    const struct keys *items = &s->items;
    uint32_t first_item = item_block * BLOCK_ENTRIES;
    uint32_t left = items->count - first_item;
    uint32_t entry_count = left < BLOCK_ENTRIES ? left : BLOCK_ENTRIES;
    const uint8_t *row = keys_row(items, first_item); /* rows of a block lie together */
    int64_t created_ms[BLOCK_ENTRIES] = {0};
    for (uint32_t i = 0; i < entry_count; i++) {
        created_ms[i] = (int64_t)load_u64(row + (size_t)i * items->shape.row_size);
    }
    if (step->kind == FILTER_CREATED) {
        times_compare(created_ms, (enum filter_compare)step->compare, (int64_t)o.slots[0], out);
    } else {
        slots_in((const uint64_t *)(const void *)created_ms, o, out);
    }
}

static void creator_step(const struct filter_step *step, struct operands o, const struct state *s,
                         uint32_t item_block, struct field_mask *out)
{
    const struct field_creators *creators = field_index_creators(&s->fields, item_block);
    if (creators == NULL) return;
    if (step->kind == FILTER_HAS_CREATOR) {
        words_any(creators->next, out);
    } else {
        words_in(creators->next, o, 1, out);
    }
}

/* The mask of a comparison, into *out, which is empty. */
static void comparison_step(const struct filter *f, const struct filter_step *step,
                            const struct state *s, uint32_t item_block, struct field_mask *out)
{
    struct operands o = {.slots = &f->slots[step->first], .count = step->count};
    switch ((enum filter_kind)step->kind) {
    case FILTER_NEVER: return;
    case FILTER_CREATED:
    case FILTER_CREATED_IN: created_step(step, o, s, item_block, out); return;
    case FILTER_CREATOR:
    case FILTER_HAS_CREATOR: creator_step(step, o, s, item_block, out); return;
    case FILTER_TAG:
    case FILTER_HAS_TAG:
    case FILTER_NUMBER:
    case FILTER_NUMBER_IN:
    case FILTER_TIME:
    case FILTER_TIME_IN: break;
    case FILTER_NOT:
    case FILTER_AND:
    case FILTER_OR: UNREACHABLE();
    }
    const struct block *b = field_index_block(&s->fields, step->field_id, item_block);
    if (b != NULL) field_step(step, o, b, out);
}

static void run(const struct filter *f, const struct state *s, uint32_t item_block,
                struct field_mask *out)
{
    struct field_mask stack[FILTER_DEPTH_MAX];
    uint32_t depth = 0;
    for (uint32_t i = 0; i < f->step_count; i++) {
        const struct filter_step *step = &f->steps[i];
        if (step->kind == FILTER_NOT) {
            ASSERT(depth > 0);
            mask_not(&stack[depth - 1]);
        } else if (step->kind == FILTER_AND || step->kind == FILTER_OR) {
            ASSERT(depth > 1);
            depth--;
            if (step->kind == FILTER_AND) {
                mask_and(&stack[depth - 1], &stack[depth]);
            } else {
                mask_or(&stack[depth - 1], &stack[depth]);
            }
        } else {
            ASSERT(depth < FILTER_DEPTH_MAX);
            stack[depth] = nobody;
            comparison_step(f, step, s, item_block, &stack[depth]);
            depth++;
        }
    }
    ASSERT(depth == 1);
    *out = stack[0];
}

/* Take the bits beyond the last item off; say whether any is left. */
static bool is_any_left(struct field_mask *m, uint32_t entry_count)
{
    uint64_t any = 0;
    for (uint32_t w = 0; w < FIELD_MASK_WORDS; w++) {
        uint32_t from = w * 64;
        if (from >= entry_count) {
            m->words[w] = 0;
        } else if (entry_count - from < 64) {
            m->words[w] &= (UINT64_C(1) << (entry_count - from)) - 1;
        }
        any |= m->words[w];
    }
    return any != 0;
}

enum filter_answer filter_block(const struct filter *f, const struct state *s, uint32_t item_block,
                                struct field_mask *out)
{
    const struct field_mask *deleted = field_index_deleted(&s->fields, item_block);
    bool has_filter = f != NULL && f->step_count > 0;
    if (deleted == NULL && !has_filter) return FILTER_ALL;
    struct field_mask mask = nobody;
    if (has_filter) {
        run(f, s, item_block, &mask);
    } else {
        mask_not(&mask);
    }
    for (uint32_t w = 0; deleted != NULL && w < FIELD_MASK_WORDS; w++) {
        mask.words[w] &= ~deleted->words[w];
    }
    uint32_t left = s->items.count - item_block * BLOCK_ENTRIES;
    if (!is_any_left(&mask, left < BLOCK_ENTRIES ? left : BLOCK_ENTRIES)) return FILTER_NONE;
    *out = mask;
    return FILTER_SOME;
}
