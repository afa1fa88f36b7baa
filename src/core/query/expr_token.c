/* expr_token: see expr_token.h. */
#include "core/query/expr_token.h"

#include "base/text.h"

struct expr_lexer expr_lexer_of(struct slice source)
{
    return (struct expr_lexer){.source = source};
}

bool expr_token_is(const struct expr_token *token, const char *word)
{
    return token->kind == EXPR_WORD && text_equal_nocase(token->shown, word);
}

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static bool is_of_word(uint8_t c)
{
    return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-';
}

static bool is_of_number(uint8_t c)
{
    return is_of_word(c) || c == '+';
}

/* The character `ahead` of the place; 0 beyond the end. */
static uint8_t peek(const struct expr_lexer *l, size_t ahead)
{
    size_t at = l->at + ahead;
    return at < l->source.size ? l->source.data[at] : 0;
}

static void take_while(struct expr_lexer *l, bool (*is_part)(uint8_t))
{
    while (l->at < l->source.size && is_part(l->source.data[l->at])) {
        l->at++;
    }
}

/* A text from its quote on. */
static enum code text_take(struct expr_lexer *l, struct expr_token *out, struct err *e)
{
    uint8_t quote = l->source.data[l->at++];
    size_t size = 0;
    while (l->at < l->source.size) {
        uint8_t c = l->source.data[l->at++];
        if (c == quote) {
            out->text = slice_of(l->room, size);
            return OK;
        }
        if (c == '\\') {
            c = peek(l, 0);
            if (c != '"' && c != '\'' && c != '\\') {
                return ERR(e, E_INVALID,
                           "WHERE: character %zu follows a backslash; only \\\" \\' and \\\\ are "
                           "known",
                           l->at + 1);
            }
            l->at++;
        }
        if (size == EXPR_TEXT_MAX) {
            return ERR(e, E_LIMIT, "WHERE: the text at character %zu is longer than %u bytes",
                       out->position, EXPR_TEXT_MAX);
        }
        l->room[size++] = c;
    }
    return ERR(e, E_INVALID, "WHERE: the text at character %zu has no closing quote",
               out->position);
}

/* How many characters the sign here has; 0: it is none. */
static size_t sign_size(const struct expr_lexer *l, enum expr_token_kind *out)
{
    bool is_or_equal = peek(l, 1) == '=';
    switch (peek(l, 0)) {
    case '(': *out = EXPR_OPEN; return 1;
    case ')': *out = EXPR_CLOSE; return 1;
    case ',': *out = EXPR_COMMA; return 1;
    case '=': *out = EXPR_EQUAL; return 1;
    case '!': *out = EXPR_NOT_EQUAL; return is_or_equal ? 2 : 0;
    case '<': *out = is_or_equal ? EXPR_LESS_EQUAL : EXPR_LESS; return is_or_equal ? 2 : 1;
    case '>': *out = is_or_equal ? EXPR_GREATER_EQUAL : EXPR_GREATER; return is_or_equal ? 2 : 1;
    default: return 0;
    }
}

static enum code unknown(const struct expr_lexer *l, struct err *e)
{
    char shown[16];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, slice_of(l->source.data + l->at, 1), 1);
    return ERR(e, E_INVALID, "WHERE: unexpected '%s' at character %zu", shown, l->at + 1);
}

enum code expr_token_next(struct expr_lexer *l, struct expr_token *out, struct err *e)
{
    while (peek(l, 0) == ' ' || peek(l, 0) == '\t' || peek(l, 0) == '\r' || peek(l, 0) == '\n') {
        l->at++;
    }
    size_t start = l->at;
    struct expr_token token = {.kind = EXPR_END, .position = start + 1};
    if (start < l->source.size) {
        uint8_t c = peek(l, 0);
        bool has_sign = c == '-' || c == '+' || c == '.';
        bool is_number = is_digit(c) || (has_sign && (is_digit(peek(l, 1)) || peek(l, 1) == '.'));
        if (c == '"' || c == '\'') {
            token.kind = EXPR_TEXT;
            TRY(text_take(l, &token, e));
        } else if (is_letter(c)) {
            token.kind = EXPR_WORD;
            take_while(l, is_of_word);
        } else if (is_number) {
            token.kind = EXPR_NUMBER;
            take_while(l, is_of_number);
        } else {
            size_t size = sign_size(l, &token.kind);
            if (size == 0) return unknown(l, e);
            l->at += size;
        }
    }
    token.shown = slice_of(l->source.data + start, l->at - start);
    *out = token;
    return OK;
}
