/* expr_token: a WHERE text cut into tokens, one after the other. Positions count characters from 1,
 * as people do. Borrows the text; never allocates; any bytes may come in.
 *
 *   word     a letter, then letters, digits, dot, underscore, minus
 *   number   a digit, a sign or a dot before one, then what a number can hold
 *   text     in "..." or '...'; inside \" \' \\ stand for the second character
 *   sign     ( ) , = != < <= > >=
 */
#ifndef TIDEMARK_CORE_QUERY_EXPR_TOKEN_H
#define TIDEMARK_CORE_QUERY_EXPR_TOKEN_H

#include "base/error.h"
#include "base/types.h"

#define EXPR_TEXT_MAX 255u /* of a text without its quotes, escapes taken as one */

enum expr_token_kind {
    EXPR_END,
    EXPR_WORD,
    EXPR_NUMBER,
    EXPR_TEXT,
    EXPR_OPEN,
    EXPR_CLOSE,
    EXPR_COMMA,
    EXPR_EQUAL,
    EXPR_NOT_EQUAL,
    EXPR_LESS,
    EXPR_LESS_EQUAL,
    EXPR_GREATER,
    EXPR_GREATER_EQUAL,
};

struct expr_token {
    enum expr_token_kind kind;
    size_t position;    /* of its first character */
    struct slice shown; /* as written */
    struct slice text;  /* EXPR_TEXT: without quotes and escapes, in the lexer's room */
};

struct expr_lexer {
    struct slice source;
    size_t at;
    uint8_t room[EXPR_TEXT_MAX]; /* of the newest text */
};

struct expr_lexer expr_lexer_of(struct slice source);
/* The next token. E_INVALID with the position when there is none, E_LIMIT for a text that is too
 * long. A text is valid until the next call. */
MUST_CHECK enum code expr_token_next(struct expr_lexer *lexer, struct expr_token *out,
                                     struct err *e);
/* Is it this word, in upper or lower case? */
bool expr_token_is(const struct expr_token *token, const char *word);

#endif
