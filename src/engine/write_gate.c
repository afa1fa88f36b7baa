/* write_gate: judging writes against the applied state and the overlay. Nothing here changes
 * anything; what passes can be appended and will be applied. */
#include <stdlib.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"
#include "core/state/schema.h"
#include "engine/write_internal.h"

/* Times are milliseconds; what looks like another unit is refused, naming the guess. */
#define AT_SECONDS_BELOW      100000000000LL    /* 10^11 ms = 1973 */
#define AT_MICROSECONDS_ABOVE 100000000000000LL /* 10^14 ms = year 5138 */

enum code gate_time(struct write *w, int64_t at_ms, int64_t *out_ms, struct err *e)
{
    int64_t now_ms = group_base_ms(w);
    *out_ms = now_ms;
    if (at_ms == 0) return OK;
    if (at_ms < AT_SECONDS_BELOW) {
        return ERR(e, E_LIMIT, "AT %lld is taken for seconds; give milliseconds since 1970",
                   (long long)at_ms);
    }
    if (at_ms > AT_MICROSECONDS_ABOVE) {
        return ERR(e, E_LIMIT,
                   "AT %lld is taken for micro- or nanoseconds; give milliseconds since 1970",
                   (long long)at_ms);
    }
    *out_ms = at_ms > now_ms + w->db->config.clock_skew_max_ms ? now_ms : at_ms;
    return OK;
}

static enum code gate_weight(double weight, double *out, struct err *e)
{
    if (!(weight >= -WEIGHT_ABS_MAX && weight <= WEIGHT_ABS_MAX)) { /* also NaN */
        return ERR(e, E_LIMIT, "a weight must be a finite number of at most 2^53 in magnitude");
    }
    *out = weight == 0.0 ? 0.0 : weight; /* -0 is 0 */
    return OK;
}

enum code gate_type(struct write *w, struct slice name, const struct signal_type **out,
                    struct err *e)
{
    const struct signal_type *type = state_type_by_name(w->db->state, name);
    seqno pending;
    if (!type) type = overlay_find_type(&w->overlay, name, &pending);
    if (!type) {
        char shown[80];
        struct text t = text_of(shown, sizeof(shown));
        text_add_escaped(&t, name, 40);
        return ERR(e, E_SCHEMA, "unknown signal type \"%s\"; declare it with SCHEMA.SIGNAL", shown);
    }
    *out = type;
    return OK;
}

enum code gate_size(const char *what, struct slice s, size_t min, struct err *e)
{
    if (s.size >= min && s.size <= KEY_SIZE_MAX) return OK;
    return ERR(e, E_LIMIT, "%s has %zu bytes; %zu to %d are allowed", what, s.size, min,
               KEY_SIZE_MAX);
}

enum code gate_entry(struct write *w, const struct op_entry *entry, struct signal_entry *out,
                     const struct signal_type **out_type, struct err *e)
{
    const struct signal_type *type;
    TRY(gate_type(w, entry->type, &type, e));
    TRY(gate_size("the item key", entry->item, 1, e));
    TRY(gate_size("the user key", entry->user, 0, e));
    if (type->mode != SIGNAL_MODE_COUNT && entry->user.size == 0) {
        return ERR(e, E_SCHEMA, "signal type \"%s\" counts each user once; give USER", type->name);
    }
    double weight;
    TRY(gate_weight(entry->weight, &weight, e));
    int64_t time_ms;
    TRY(gate_time(w, entry->at_ms, &time_ms, e));
    *out = (struct signal_entry){
        .flags = (uint8_t)((weight != 1.0 ? SIGNAL_HAS_WEIGHT : 0) |
                           (entry->user.size > 0 ? SIGNAL_HAS_USER : 0)),
        .type_id = type->id,
        .item = entry->item,
        .time_ms = time_ms,
        .weight = weight,
        .user = entry->user,
    };
    *out_type = type;
    return OK;
}

static void answer_with(const struct write_ref *ref, struct tide_result *out)
{
    out->code = TIDE_OK;
    out->kind = TIDE_RESULT_POSITION;
    out->is_duplicate = true;
    out->as.position = (struct tide_position){.epoch = ref->epoch, .seqno = ref->seqno.v};
    memcpy(out->as.position.chain4, ref->chain4, sizeof(ref->chain4));
}

static void answer_pending(seqno s, struct tide_result *out)
{
    out->code = TIDE_OK;
    out->kind = TIDE_RESULT_POSITION;
    out->is_duplicate = true;
    out->as.position = (struct tide_position){.seqno = s.v};
}

enum code gate_key(struct write *w, struct slice key, struct id128 *out_key,
                   struct gate_answer *out, struct err *e)
{
    out->is_duplicate = false;
    out->waits = false;
    *out_key = hash128_of(key);
    struct write_ref ref;
    seqno pending;
    if (overlay_find_key(&w->overlay, out_key, &pending)) {
        answer_pending(pending, &out->result);
        out->is_duplicate = true;
        out->waits = true;
        return OK;
    }
    if (state_dedup_find(w->db->state, out_key, &ref)) {
        answer_with(&ref, &out->result);
        out->is_duplicate = true;
        return OK;
    }
    uint64_t count = state_dedup_count(w->db->state) + overlay_key_count(&w->overlay);
    if (count >= w->db->config.dedup_keys_max) {
        return ERR(e, E_BUSY,
                   "%llu idempotency keys are remembered, dedup_keys_max; the oldest leave after "
                   "10 minutes of log time",
                   (unsigned long long)count);
    }
    return OK;
}

enum code gate_producer(struct write *w, struct slice producer, uint64_t number,
                        struct gate_answer *out, struct err *e)
{
    out->is_duplicate = false;
    out->waits = false;
    TRY(gate_size("the producer id", producer, 1, e));
    uint64_t last = 0;
    struct write_ref ref = {0};
    const struct pending_producer *pending = overlay_find_producer(&w->overlay, producer);
    if (pending) {
        last = pending->number;
    } else {
        (void)state_producer_find(w->db->state, producer, &last, &ref); /* unknown: last is 0 */
    }
    if (PLANTED(15) && number == last && number > 0 && !pending) return OK; /* again */
    if (number == last + 1) return OK;
    if (number > last + 1) {
        return ERR(e, E_GAP, "producer number %llu skips ahead; the next expected one is %llu",
                   (unsigned long long)number, (unsigned long long)(last + 1));
    }
    if (number == 0) return ERR(e, E_LIMIT, "producer numbers begin at 1");
    out->is_duplicate = true;
    if (pending) {
        answer_pending(pending->seqno, &out->result);
        out->waits = true;
    } else {
        answer_with(&ref, &out->result);
    }
    return OK;
}

void growth_add(struct state_growth *sum, const struct state_growth *more)
{
    sum->entries += more->entries;
    sum->edges += more->edges;
    sum->puts += more->puts;
    sum->key_bytes += more->key_bytes;
    sum->put_values += more->put_values;
    sum->put_bytes += more->put_bytes;
}

enum code gate_room(struct write *w, const struct state_growth *more, struct err *e)
{
    struct state_growth all = *more;
    growth_add(&all, &w->open_growth);
    for (uint32_t i = 0; i < w->closed_growth_count; i++) {
        growth_add(&all, &w->closed_growth[i].growth);
    }
    if (state_can_grow(w->db->state, &all)) return OK;
    return ERR(e, E_NOMEMORY, "memory_max is %llu bytes and the write could exceed it",
               (unsigned long long)w->db->config.memory_max);
}

static enum code gate_halflives(const struct tide_schema_signal *schema, struct signal_type *out,
                                struct err *e)
{
    const uint64_t max_ms = 100ULL * 365 * 86400000;
    for (size_t i = 0; i < HALFLIVES_MAX && schema->halflives_ms[i] != 0; i++) {
        uint64_t h = schema->halflives_ms[i];
        if (h > max_ms) {
            return ERR(e, E_LIMIT, "a half-life of %llu ms is over 100 years",
                       (unsigned long long)h);
        }
        out->halflives_ms[out->halflife_count++] = h;
    }
    if (out->halflife_count == 0) {
        out->halflife_count = 1;
        out->halflives_ms[0] = 7ULL * 86400000;
    }
    return OK;
}

static bool is_same_type(const struct signal_type *a, const struct signal_type *b)
{
    return a->mode == b->mode && a->polarity == b->polarity && a->windows == b->windows &&
           a->halflife_count == b->halflife_count &&
           memcmp(a->halflives_ms, b->halflives_ms, sizeof(a->halflives_ms)) == 0;
}

enum code gate_schema(struct write *w, const struct tide_schema_signal *schema,
                      struct signal_type *out, bool *out_exists, struct err *e)
{
    struct slice name = slice_of(schema->name.data, schema->name.size);
    *out = (struct signal_type){
        .mode = schema->mode == 0 ? SIGNAL_MODE_COUNT : schema->mode,
        .polarity = schema->is_negative ? POLARITY_NEGATIVE : POLARITY_POSITIVE,
        .windows = schema->windows == 0 ? WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL
                                        : schema->windows,
    };
    if (!is_node_id(name)) {
        return ERR(e, E_LIMIT, "a signal type's name has 1 to %u characters of A-Z a-z 0-9 . _ -",
                   SIGNAL_NAME_SIZE_MAX);
    }
    if (out->mode > SIGNAL_MODE_LATEST) {
        return ERR(e, E_INVALID, "unknown signal mode %u", out->mode);
    }
    memcpy(out->name, name.data, name.size);
    TRY(gate_halflives(schema, out, e));
    seqno pending;
    const struct signal_type *known = state_type_by_name(w->db->state, name);
    if (!known) known = overlay_find_type(&w->overlay, name, &pending);
    *out_exists = known != NULL;
    if (known) {
        out->id = known->id;
        if (is_same_type(known, out)) return OK;
        return ERR(e, E_SCHEMA,
                   "signal type \"%s\" exists with another definition; changing one is not in "
                   "this version",
                   known->name);
    }
    uint32_t count = state_type_count(w->db->state) + w->overlay.type_count;
    if (count >= SIGNAL_TYPES_MAX) {
        return ERR(e, E_LIMIT, "%u signal types exist, which is the limit", count);
    }
    out->id = count + 1;
    return OK;
}

enum code gate_field(struct write *w, struct slice name, uint64_t kind, struct schema_field *out,
                     bool *out_exists, struct err *e)
{
    if (!schema_field_name_is_valid(name)) {
        return ERR(e, E_LIMIT,
                   "a field's name is a letter and up to %u characters of A-Z a-z 0-9 . _ -, and "
                   "none of the words of WHERE: and or not in true false creator created_at",
                   FIELD_NAME_SIZE_MAX - 1);
    }
    if (kind < SCHEMA_FIELD_TAG || kind > SCHEMA_FIELD_TEXT) {
        return ERR(e, E_INVALID, "unknown field kind %llu: 1 tag, 2 num, 3 time, 4 text",
                   (unsigned long long)kind);
    }
    *out = (struct schema_field){.kind = (uint8_t)kind};
    memcpy(out->name, name.data, name.size);
    seqno pending;
    const struct schema_field *known = state_field_by_name(w->db->state, name);
    if (!known) known = overlay_find_field(&w->overlay, name, &pending);
    *out_exists = known != NULL;
    if (known) {
        out->id = known->id;
        if (known->kind == out->kind) return OK;
        return ERR(e, E_SCHEMA,
                   "field \"%s\" exists with the kind %s; changing it is not in this version",
                   known->name, schema_field_kind_name(known->kind));
    }
    uint32_t count = state_field_count(w->db->state) + w->overlay.field_count;
    if (count >= FIELDS_MAX) {
        return ERR(e, E_LIMIT, "%u fields exist, which is the limit", count);
    }
    out->id = count + 1;
    return OK;
}
