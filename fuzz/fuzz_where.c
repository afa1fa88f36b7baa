/* fuzz_where: any text as WHERE. What compiles must be a program that runs: over every block it
 * gives the same mask twice, no bit beyond the last item and none of a deleted one; and `not` of it
 * in parentheses gives the other items. */
#include "fuzz.h"

#include <stdlib.h>

#include "core/query/expr.h"
#include "core/state/inside.h"
#include "support/shelf.h"

enum { ITEMS = 4100 };

static void must(bool is_true)
{
    if (!is_true) abort();
}

static struct field_mask mask_of(const struct filter *f, const struct state *s, uint32_t block)
{
    struct field_mask mask = {0};
    enum filter_answer answer = filter_block(f, s, block, &mask);
    must(answer != FILTER_ALL); /* there are deleted items in every block */
    if (answer == FILTER_NONE) mask = (struct field_mask){0};
    return mask;
}

static void check(struct slice text, const struct shelf *shelf, const struct filter *f)
{
    static uint8_t negated_text[EXPR_SIZE_MAX + 8];
    static struct filter negated;
    struct bytes_writer w = bytes_writer_of(negated_text, sizeof(negated_text));
    bytes_write(&w, "not (", 5);
    bytes_write(&w, text.data, text.size);
    bytes_write(&w, ")", 1);
    struct err e;
    bool has_negated = expr_compile(bytes_written_slice(&w), shelf->state, &negated, &e) == OK;
    must(has_negated || e.code == E_LIMIT);
    for (uint32_t block = 0; block < 2; block++) {
        struct field_mask everybody = mask_of(NULL, shelf->state, block);
        struct field_mask mask = mask_of(f, shelf->state, block);
        struct field_mask again = mask_of(f, shelf->state, block);
        struct field_mask others = has_negated ? mask_of(&negated, shelf->state, block) : mask;
        for (uint32_t i = 0; i < FIELD_MASK_WORDS; i++) {
            must(mask.words[i] == again.words[i]);
            must((mask.words[i] & ~everybody.words[i]) == 0);
            must(!has_negated || (mask.words[i] ^ others.words[i]) == everybody.words[i]);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct shelf shelf;
    static struct filter f;
    if (shelf.state == NULL) {
        shelf_init(&shelf, ITEMS, 1);
        must(field_index_set_deleted(&shelf.state->fields, 0, true));
        must(field_index_set_deleted(&shelf.state->fields, BLOCK_ENTRIES, true));
    }
    struct err e;
    struct slice text = slice_of(data, size);
    enum code code = expr_compile(text, shelf.state, &f, &e);
    if (code == OK) {
        check(text, &shelf, &f);
    } else {
        must(code == E_INVALID || code == E_SCHEMA || code == E_LIMIT);
        must(e.text[0] != 0);
    }
    return 0;
}
