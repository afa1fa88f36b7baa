/* filter: a WHERE expression as a program (expr.h makes it), and its answer for 4,096 items at a
 * time: one bit each. Reads columns block by block through a state that may be the live one or a
 * frozen one; the program means the same for both as long as the state it was compiled against has
 * not changed in between but for what a freeze keeps.
 *
 * A program is a list of steps in postfix order over a stack of masks. A comparison with a field
 * that an item does not have is false; `not` turns that into true.
 * Pure; never allocates. Any thread that holds the state's blocks.
 */
#ifndef TIDEMARK_CORE_QUERY_FILTER_H
#define TIDEMARK_CORE_QUERY_FILTER_H

#include "core/state/field_index.h"
#include "core/state/state.h"

#define FILTER_STEPS_MAX 256u
#define FILTER_DEPTH_MAX 16u   /* masks on the stack */
#define FILTER_SLOTS_MAX 2048u /* operands of all comparisons, with the room of hash sets */
#define FILTER_LIST_MAX  12u   /* operands of a list without a hash set */

enum filter_kind {
    FILTER_NEVER,      /* no item: the value asked for is not there at all */
    FILTER_TAG,        /* any of the item's tags is one of the operands */
    FILTER_HAS_TAG,    /* the item has a tag */
    FILTER_NUMBER,     /* compare with one operand */
    FILTER_NUMBER_IN,  /* equal to one of the operands */
    FILTER_TIME,       /* likewise, of a time field */
    FILTER_TIME_IN,    /*  */
    FILTER_CREATED,    /* likewise, of created_at */
    FILTER_CREATED_IN, /*  */
    FILTER_CREATOR,    /* the item's creator is one of the operands */
    FILTER_HAS_CREATOR,
    FILTER_NOT,
    FILTER_AND,
    FILTER_OR,
};
enum filter_compare {
    FILTER_EQUAL,
    FILTER_LESS,
    FILTER_LESS_EQUAL,
    FILTER_GREATER,
    FILTER_GREATER_EQUAL,
};

struct filter_step {
    uint8_t kind;
    uint8_t compare;
    uint16_t field_id; /* 1..; of created_at and creator 0 */
    uint16_t first;    /* operands: slots[first .. first + count) */
    uint16_t count;    /* above FILTER_LIST_MAX: a hash set of that many slots, a power of two */
};

struct filter {
    uint32_t step_count; /* 0: every item passes */
    uint32_t slot_count;
    uint64_t hash; /* of the expression's text, the same on every machine */
    struct filter_step steps[FILTER_STEPS_MAX];
    uint64_t slots[FILTER_SLOTS_MAX]; /* bits of doubles, milliseconds, tag values, creators */
};

#define FILTER_SLOT_EMPTY UINT64_MAX /* bits of no operand: a NaN, a time out of range */
static inline uint64_t filter_slot_of_number(double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    return bits;
}
/* Make a hash set of the last `count` operands, more than FILTER_LIST_MAX; they are moved apart.
 * False when there are too many operands in all. */
MUST_CHECK bool filter_set_make(struct filter *f, struct filter_step *step, uint32_t count);

/* What the filter's mask of one block costs, in entries looked at at a nanosecond each. */
static inline uint64_t filter_work(const struct filter *f)
{
    return f == NULL ? 0 : (uint64_t)f->step_count * (BLOCK_ENTRIES / 2);
}

enum filter_answer { FILTER_NONE, FILTER_SOME, FILTER_ALL };
/* Which items of a block can be answered with: not deleted, and passed by the filter (NULL: no
 * filter). The mask is set only with FILTER_SOME, and has no bits beyond the last item. */
enum filter_answer filter_block(const struct filter *f, const struct state *s, uint32_t item_block,
                                struct field_mask *out);

#endif
