/* level: see level.h. */
#include "core/level.h"

#include "base/assert.h"
#include "base/text.h"

const char *level_word(uint8_t kind)
{
    static const char *const words[LEVEL_KINDS] = {
#define X(constant, number, word) [number] = word,
        LEVEL_TABLE(X)
#undef X
    };
    return kind < LEVEL_KINDS ? words[kind] : "unknown";
}

static enum code unknown(struct slice text, struct err *e)
{
    char shown[96];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, text, 48);
    return ERR(e, E_INVALID,
               "unknown level '%s': local, stored:k, applied:k, majority or regions:a,b", shown);
}

static enum code parse_count(struct slice number, struct level *out, struct err *e)
{
    uint64_t count = 0;
    if (!parse_u64(number, &count)) {
        return ERR(e, E_INVALID, "level %s needs a number of followers, like %s:1",
                   level_word(out->kind), level_word(out->kind));
    }
    if (count < 1 || count > LEVEL_COUNT_MAX) {
        return ERR(e, E_LIMIT, "level %s:%llu: 1 to %u followers can be asked for",
                   level_word(out->kind), (unsigned long long)count, LEVEL_COUNT_MAX);
    }
    out->count = (uint8_t)count;
    return OK;
}

/* The next of "1,2,3"; moves *rest behind it and its comma. */
static struct slice next_part(struct slice *rest)
{
    size_t size = 0;
    while (size < rest->size && rest->data[size] != ',') {
        size++;
    }
    struct slice part = slice_of(rest->data, size);
    size_t used = size < rest->size ? size + 1 : size;
    *rest = slice_of(rest->data + used, rest->size - used);
    return part;
}

static enum code parse_regions(struct slice list, struct level *out, struct err *e)
{
    bool is_more = true;
    while (is_more) {
        uint64_t region = 0;
        is_more = memchr(list.data, ',', list.size) != NULL;
        struct slice part = next_part(&list);
        if (!parse_u64(part, &region) || region > UINT16_MAX) {
            return ERR(e, E_INVALID, "level regions needs region numbers with commas between them");
        }
        if (out->count == LEVEL_REGIONS_MAX) {
            return ERR(e, E_LIMIT, "level regions: at most %u regions", LEVEL_REGIONS_MAX);
        }
        out->regions[out->count++] = (uint16_t)region;
    }
    return level_check(out, e);
}

enum code level_parse(struct slice text, struct level *out, struct err *e)
{
    struct slice word = text;
    const uint8_t *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
    if (colon != NULL) word.size = (size_t)(colon - text.data);
    struct slice rest = slice_of(text.data, 0);
    if (colon != NULL) rest = slice_of(colon + 1, text.size - word.size - 1);
    struct level level = {0};
    for (uint8_t kind = LEVEL_LOCAL; kind < LEVEL_KINDS; kind++) {
        if (text_equal_nocase(word, level_word(kind))) level.kind = kind;
    }
    switch ((enum level_kind)level.kind) {
    case LEVEL_DEFAULT: return unknown(text, e);
    case LEVEL_LOCAL:
    case LEVEL_MAJORITY:
        if (colon != NULL) return unknown(text, e);
        break;
    case LEVEL_STORED:
    case LEVEL_APPLIED: TRY(parse_count(rest, &level, e)); break;
    case LEVEL_REGIONS:
        if (rest.size == 0) return unknown(text, e);
        TRY(parse_regions(rest, &level, e));
        break;
    }
    *out = level;
    return OK;
}

static enum code check_regions(struct level *level, struct err *e)
{
    for (uint32_t i = 1; i < level->count; i++) { /* insertion sort of up to four */
        for (uint32_t k = i; k > 0 && level->regions[k - 1] > level->regions[k]; k--) {
            uint16_t higher = level->regions[k - 1];
            level->regions[k - 1] = level->regions[k];
            level->regions[k] = higher;
        }
    }
    for (uint32_t i = 1; i < level->count; i++) {
        if (level->regions[i - 1] != level->regions[i]) continue;
        return ERR(e, E_INVALID, "level regions names region %u twice", level->regions[i]);
    }
    for (uint32_t i = level->count; i < LEVEL_REGIONS_MAX; i++) {
        level->regions[i] = 0;
    }
    return OK;
}

enum code level_check(struct level *level, struct err *e)
{
    if (level->kind >= LEVEL_KINDS) {
        return ERR(e, E_INVALID, "level kind %u is unknown", level->kind);
    }
    bool is_counted = level->kind == LEVEL_STORED || level->kind == LEVEL_APPLIED;
    if (level->kind == LEVEL_REGIONS) {
        if (level->count < 1 || level->count > LEVEL_REGIONS_MAX) {
            return ERR(e, E_LIMIT, "level regions: 1 to %u regions can be named",
                       LEVEL_REGIONS_MAX);
        }
        return check_regions(level, e);
    }
    if (is_counted && (level->count < 1 || level->count > LEVEL_COUNT_MAX)) {
        return ERR(e, E_LIMIT, "level %s:%u: 1 to %u followers can be asked for",
                   level_word(level->kind), level->count, LEVEL_COUNT_MAX);
    }
    *level = (struct level){.kind = level->kind, .count = is_counted ? level->count : 0};
    return OK;
}

size_t level_format(const struct level *level, char out[LEVEL_TEXT_SIZE])
{
    struct text t = text_of(out, LEVEL_TEXT_SIZE);
    text_add(&t, "%s", level_word(level->kind));
    if (level->kind == LEVEL_STORED || level->kind == LEVEL_APPLIED) {
        text_add(&t, ":%u", level->count);
    }
    if (level->kind != LEVEL_REGIONS) return t.size;
    for (uint32_t i = 0; i < level->count && i < LEVEL_REGIONS_MAX; i++) {
        text_add(&t, "%c%u", i == 0 ? ':' : ',', level->regions[i]);
    }
    return t.size;
}

bool level_equal(const struct level *a, const struct level *b)
{
    if (a->kind != b->kind || a->count != b->count) return false;
    return memcmp(a->regions, b->regions, sizeof(a->regions)) == 0;
}
