/* error: the table of outcomes as functions, and the one way to fill a struct err. A message is cut
 * rather than refused, and code numbers from disk or wire that are not in the table get an answer
 * too: these functions are called while something else already goes wrong. Pure; any thread. */
#include "base/error.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>

struct error_entry {
    const char *name;
    const char *word;
    const char *meaning;
    enum err_class class;
};

static const struct error_entry entries[] = {
#define X(constant, number, word_, class_, meaning_) \
    [number] = {.name = #constant, .word = (word_), .meaning = (meaning_), .class = (class_)},
    ERROR_TABLE(X)
#undef X
};

static const struct error_entry *entry_of(enum code code)
{
    static const struct error_entry unknown = {
        .name = "E_UNLISTED", .word = "ERR", .meaning = "an unlisted code", .class = CLASS_WORLD};
    size_t i = (size_t)code;
    return i < COUNT_OF(entries) && entries[i].name != NULL ? &entries[i] : &unknown;
}

enum code err_fill(struct err *e, enum code code, const char *origin, const char *format, ...)
{
    ASSERT(code != OK);
    if (e == NULL) return code;
    e->code = code;
    e->origin = origin;
    va_list args;
    va_start(args, format);
    int n = vsnprintf(e->text, sizeof(e->text), format, args);
    va_end(args);
    if (n < 0) e->text[0] = '\0';
    return code;
}

const char *code_word(enum code code)
{
    return entry_of(code)->word;
}

const char *code_name(enum code code)
{
    const char *name = entry_of(code)->name;
    return strncmp(name, "E_", 2) == 0 ? name + 2 : name;
}

const char *code_meaning(enum code code)
{
    return entry_of(code)->meaning;
}

enum err_class code_class(enum code code)
{
    return entry_of(code)->class;
}
