/* profile: see profile.h. A definition that changes gets a new version here: cursors of the old one
 * are then refused in words instead of going on in another order. */
#include "core/query/profile.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "base/text.h"

struct builtin {
    const char *name;
    enum retrieve_order order;
    uint32_t version;
    const char *type; /* signal type of a count; NULL: none */
};

static const struct builtin builtins[] = {
    {"new", RETRIEVE_NEW, 1, NULL},           {"top", RETRIEVE_TOP, 1, NULL},
    {"hot", RETRIEVE_HOT, 1, NULL},           {"controversial", RETRIEVE_CONTROVERSIAL, 1, NULL},
    {"best", RETRIEVE_BEST, 1, NULL},         {"most_viewed", RETRIEVE_COUNT, 1, "view"},
    {"trending", RETRIEVE_TRENDING, 1, NULL}, {"rising", RETRIEVE_RISING, 1, NULL},
};

/* Promised by the interface, not built yet: refused by name. */
static const char *const later[] = {
    "hidden_gems", "shuffle", "related", "following", "for_you",
};

#define DECAYED_PREFIX "decayed:"

static enum code find_type(const struct state *s, struct slice name, const struct signal_type **out,
                           struct err *e)
{
    *out = state_type_by_name(s, name);
    if (*out != NULL) return OK;
    char shown[80];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, name, 40);
    return ERR(e, E_SCHEMA, "unknown signal type \"%s\"; declare it with SCHEMA.SIGNAL", shown);
}

static uint64_t definition_hash(const char *name, uint32_t version, const struct signal_type *type)
{
    char words[160];
    struct text t = text_of(words, sizeof(words));
    text_add(&t, "%s %u", name, version);
    if (type != NULL) {
        text_add(&t, " %u %llu", type->id, (unsigned long long)type->halflives_ms[0]);
    }
    struct hash256 hash = hash256_of(slice_of(t.data, t.size));
    return load_u64(hash.bytes);
}

static enum code decayed_find(const struct state *s, struct slice type_name, struct profile *out,
                              struct err *e)
{
    const struct signal_type *type;
    TRY(find_type(s, type_name, &type, e));
    *out = (struct profile){
        .order = RETRIEVE_DECAYED,
        .type_id = type->id,
        .hash = definition_hash(DECAYED_PREFIX, 1, type),
    };
    return OK;
}

static enum code builtin_take(const struct state *s, const struct builtin *b, struct profile *out,
                              struct err *e)
{
    const struct signal_type *type = NULL;
    if (b->type != NULL) TRY(find_type(s, slice_of_text(b->type), &type, e));
    *out = (struct profile){
        .order = b->order,
        .type_id = type != NULL ? type->id : 0,
        .hash = definition_hash(b->name, b->version, type),
    };
    return OK;
}

enum code profile_find(const struct state *s, struct slice name, struct profile *out, struct err *e)
{
    size_t prefix = sizeof(DECAYED_PREFIX) - 1;
    if (name.size > prefix && text_equal_nocase(slice_of(name.data, prefix), DECAYED_PREFIX)) {
        return decayed_find(s, slice_of(name.data + prefix, name.size - prefix), out, e);
    }
    for (size_t i = 0; i < COUNT_OF(builtins); i++) {
        if (text_equal_nocase(name, builtins[i].name)) return builtin_take(s, &builtins[i], out, e);
    }
    for (size_t i = 0; i < COUNT_OF(later); i++) {
        if (!text_equal_nocase(name, later[i])) continue;
        return ERR(e, E_UNSUPPORTED, "profile %s is not in this version", later[i]);
    }
    char shown[80];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, name, 40);
    return ERR(e, E_SCHEMA,
               "unknown profile \"%s\"; there are new, top, hot, controversial, best, trending, "
               "rising, most_viewed and decayed:<type>",
               shown);
}
