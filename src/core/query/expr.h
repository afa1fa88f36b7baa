/* expr: a WHERE text made into a filter.
 *
 *   either      = both { or both }
 *   both        = condition { and condition }
 *   condition   = not condition | ( either ) | field | field sign value | field in ( value , ... )
 *   sign        = = != < <= > >=
 *   value       = "text" | 'text' | number | true | false
 *
 * Words in upper or lower case, names of fields as declared. A field alone is true where a num
 * field is there and not 0. Built in: creator (a key) and created_at (milliseconds). A comparison
 * with a field that an item does not have is false, also with !=; of a tag field with several tags
 * = and in ask for any of them, and != says that there are some and none of them is this one.
 *
 * Fields and kinds are judged here, against the schema of the state, and so are values: a tag or
 * creator that no item has matches nothing. Never allocates, no recursion; any bytes may come in.
 */
#ifndef TIDEMARK_CORE_QUERY_EXPR_H
#define TIDEMARK_CORE_QUERY_EXPR_H

#include "core/query/filter.h"

#define EXPR_SIZE_MAX   65536u /* bytes of the text */
#define EXPR_VALUES_MAX 500u   /* values in all lists together, about: FILTER_SLOTS_MAX decides */
#define EXPR_NEST_MAX   64u    /* pending not, and, or, ( at any one place */

/* E_INVALID: it does not read, names the word and the character. E_SCHEMA: an unknown field, or a
 * value that does not fit the field's kind. E_LIMIT: too long, too deep, too many values. */
MUST_CHECK enum code expr_compile(struct slice text, const struct state *s, struct filter *out,
                                  struct err *e);

#endif
