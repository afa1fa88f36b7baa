/* fake_texts: the part of the stand-in that only looks at its arguments: tokens, levels, codes. */
#include "support/fake/fake_tide.h"

#include "base/text.h"

#include <inttypes.h>
#include <stdio.h>

size_t tide_token_format(const struct tide_position *p, char out[TIDE_TOKEN_SIZE])
{
    struct token token = {.epoch = p->epoch, .seqno = {p->seqno}};
    memcpy(token.chain4, p->chain4, sizeof(token.chain4));
    return format_token(out, &token);
}

enum tide_code tide_token_parse(struct tide_bytes text, struct tide_position *out)
{
    struct token token;
    if (!parse_token(slice_of(text.data, text.size), &token)) return TIDE_INVALID;
    *out = (struct tide_position){.epoch = token.epoch, .seqno = token.seqno.v};
    memcpy(out->chain4, token.chain4, sizeof(token.chain4));
    return TIDE_OK;
}

/* Enough of it for the server's tests; what a level is is the library's own test. */
enum tide_code tide_level_parse(struct tide_bytes text, struct tide_level *out, struct tide_err *e)
{
    struct slice s = slice_of(text.data, text.size);
    struct level_word {
        const char *word;
        struct tide_level level;
    } words[] = {
        {"local", {.kind = TIDE_LEVEL_LOCAL}},
        {"stored:2", {.kind = TIDE_LEVEL_STORED, .count = 2}},
        {"applied:1", {.kind = TIDE_LEVEL_APPLIED, .count = 1}},
        {"majority", {.kind = TIDE_LEVEL_MAJORITY}},
    };
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!text_equal_nocase(s, words[i].word)) continue;
        *out = words[i].level;
        return TIDE_OK;
    }
    snprintf(e->message, sizeof(e->message), "unknown level '%.*s'", (int)s.size,
             (const char *)s.data);
    return TIDE_INVALID;
}

size_t tide_level_format(const struct tide_level *level, char out[TIDE_LEVEL_SIZE])
{
    static const char *const words[] = {"default", "local", "stored", "applied", "majority"};
    const char *word = words[level->kind];
    int size = level->count > 0 ? snprintf(out, TIDE_LEVEL_SIZE, "%s:%u", word, level->count)
                                : snprintf(out, TIDE_LEVEL_SIZE, "%s", word);
    return (size_t)size;
}

const char *tide_version(void)
{
    return TIDE_VERSION;
}

uint32_t tide_format_version(void)
{
    return 1;
}

const char *tide_code_word(enum tide_code c)
{
    switch (c) {
    case TIDE_SCHEMA: return "SCHEMA";
    case TIDE_LIMIT: return "LIMIT";
    case TIDE_NOTFOUND: return "NOTFOUND";
    case TIDE_READONLY: return "READONLY";
    case TIDE_BUSY: return "BUSY";
    case TIDE_NOMEMORY: return "OOM";
    case TIDE_LOADING: return "LOADING";
    case TIDE_NOPROTO: return "NOPROTO";
    case TIDE_REFUSED: return "REFUSED";
    case TIDE_UNKNOWN: return "UNKNOWN";
    case TIDE_DURABILITY: return "DURABILITY";
    default: return "ERR";
    }
}

enum tide_class tide_code_class(enum tide_code c)
{
    switch (c) {
    case TIDE_OK: return TIDE_CLASS_NONE;
    case TIDE_BUSY:
    case TIDE_LOADING:
    case TIDE_CLOSED: return TIDE_CLASS_RETRY;
    case TIDE_UNKNOWN: return TIDE_CLASS_UNKNOWN;
    case TIDE_NOMEMORY:
    case TIDE_IO: return TIDE_CLASS_WORLD;
    default: return TIDE_CLASS_CALLER;
    }
}
