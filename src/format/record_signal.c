/* record_signal: signal records without tables. Nearly every record of a log is a signal with one
 * entry, so that encoding and decoding it decides what the write path and recovery cost. The table
 * signal_entry_fields says the same bytes; the test signal_fast_path_equals_the_table compares the
 * two, values and refusals alike.
 *
 * Sizes are computed before anything is written: the length prefix comes first in the bytes, and a
 * record that does not fit leaves the writer untouched. Pure; never allocates. */
#include "format/record_signal.h"

#include "base/assert.h"

static const struct field entry_fields[] = {
    {FIELD(FIELD_FIXED, struct signal_entry, flags), .max = SIGNAL_FLAGS_KNOWN,
     .note = "1 weight, 2 user, 4 session, 8 key follow"},
    {FIELD(FIELD_VARINT, struct signal_entry, type_id), .min = 1},
    {FIELD(FIELD_SLICE8, struct signal_entry, item), .min = 1},
    {FIELD(FIELD_TIME, struct signal_entry, time_ms), .note = "event time"},
    {FIELD(FIELD_WEIGHT, struct signal_entry, weight), .when = SIGNAL_HAS_WEIGHT,
     .note = "1 when absent"},
    {FIELD(FIELD_SLICE8, struct signal_entry, user), .min = 1, .when = SIGNAL_HAS_USER},
    {FIELD(FIELD_RAW, struct signal_entry, session), .when = SIGNAL_HAS_SESSION},
    {FIELD(FIELD_VARINT, struct signal_entry, session_number), .when = SIGNAL_HAS_SESSION},
    {FIELD(FIELD_RAW, struct signal_entry, key), .when = SIGNAL_HAS_KEY,
     .note = "idempotency key of this entry alone"},
};
const struct field_table signal_entry_fields = {
    FIELD_TABLE("signal entry", struct signal_entry, entry_fields),
    .selector = SELECT_FLAGS,
    .selector_offset = offsetof(struct signal_entry, flags),
};

enum {
    ENTRY_SIZE_MIN = 5, /* flags, type, one-byte item, time */
    ID_SIZE = 16,
    WEIGHT_SIZE = 8,
};

/* Taking: each function reads at `at`, never beyond end, and returns the place behind what it read,
 * or NULL when that is not there or not valid. NULL goes in and out again, so that callers check
 * once. */

static const uint8_t *varint_take_long(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && at < end; shift += 7) {
        uint8_t byte = *at++;
        v |= (uint64_t)(byte & 0x7f) << shift;
        if ((byte & 0x80) != 0) continue;
        bool is_padded = byte == 0;
        bool is_too_big = shift == 63 && byte > 1;
        if (is_padded || is_too_big) return NULL;
        *out = v;
        return at;
    }
    return NULL;
}

static inline const uint8_t *varint_take(const uint8_t *at, const uint8_t *end, uint64_t *out)
{
    if (at == NULL || at == end) return NULL;
    if (*at < 0x80) {
        *out = *at;
        return at + 1;
    }
    if (end - at >= 2 && at[1] < 0x80 && at[1] != 0) {
        *out = (uint64_t)(at[0] & 0x7f) | (uint64_t)at[1] << 7;
        return at + 2;
    }
    return varint_take_long(at, end, out);
}

/* A slice8 of 1..255 bytes. */
static inline const uint8_t *key_take(const uint8_t *at, const uint8_t *end, struct slice *out)
{
    if (at == NULL || at == end || *at == 0 || (size_t)(end - at) <= *at) return NULL;
    *out = slice_of(at + 1, *at);
    return at + 1 + out->size;
}

static inline const uint8_t *raw_take(const uint8_t *at, const uint8_t *end, void *out, size_t size)
{
    if (at == NULL || (size_t)(end - at) < size) return NULL;
    memcpy(out, at, size);
    return at + size;
}

static inline const uint8_t *time_take(const uint8_t *at, const uint8_t *end, int64_t base_ms,
                                       int64_t *out)
{
    uint64_t zigzag = 0;
    at = varint_take(at, end, &zigzag);
    if (at == NULL || zigzag > (uint64_t)TIME_MS_ABS_MAX * 4) return NULL;
    *out = base_ms + (int64_t)((zigzag >> 1) ^ (0 - (zigzag & 1)));
    return time_is_valid(*out) ? at : NULL;
}

/* What only some entries have. */
static inline __attribute__((always_inline)) const uint8_t *extras_take(const uint8_t *at,
                                                                        const uint8_t *end,
                                                                        struct signal_entry *out)
{
    if ((out->flags & SIGNAL_HAS_WEIGHT) != 0) {
        at = raw_take(at, end, &out->weight, WEIGHT_SIZE);
        if (at == NULL || !weight_is_valid(out->weight)) return NULL;
    }
    if ((out->flags & SIGNAL_HAS_USER) != 0) at = key_take(at, end, &out->user);
    if ((out->flags & SIGNAL_HAS_SESSION) != 0) {
        at = raw_take(at, end, &out->session, ID_SIZE);
        at = varint_take(at, end, &out->session_number);
    }
    if ((out->flags & SIGNAL_HAS_KEY) != 0) at = raw_take(at, end, &out->key, ID_SIZE);
    return at;
}

/* Inlined by force: where only the check is wanted, the compiler then drops the stores. */
static inline __attribute__((always_inline)) const uint8_t *entry_take(const uint8_t *at,
                                                                       const uint8_t *end,
                                                                       int64_t base_ms,
                                                                       struct signal_entry *out)
{
    if ((size_t)(end - at) < ENTRY_SIZE_MIN || *at > SIGNAL_FLAGS_KNOWN) return NULL;
    *out = (struct signal_entry){.flags = *at, .weight = 1.0};
    uint64_t type_id = 0;
    at = varint_take(at + 1, end, &type_id);
    if (type_id == 0 || type_id > UINT32_MAX) return NULL;
    out->type_id = (uint32_t)type_id;
    at = key_take(at, end, &out->item);
    at = time_take(at, end, base_ms, &out->time_ms);
    return out->flags == 0 ? at : extras_take(at, end, out);
}

/* Say in words why an entry is refused: the table knows the fields' names. */
static enum code entry_explain(const uint8_t *at, const uint8_t *end, int64_t base_ms, uint64_t i,
                               struct err *e)
{
    struct signal_entry scratch;
    struct bytes_reader r = {.at = at, .end = end};
    TRY(fields_decode(&r, &signal_entry_fields, &scratch, base_ms, e));
    return ERR(e, E_CORRUPT, "signal entry %u is malformed", (unsigned)i);
}

enum code signal_body_decode(struct slice body, int64_t base_ms, struct record_signal *out,
                             struct err *e)
{
    const uint8_t *end = body.data + body.size;
    uint64_t count = 0;
    const uint8_t *at = varint_take(body.data, end, &count);
    if (at == NULL || count == 0 || count > SIGNAL_ENTRIES_MAX) {
        return ERR(e, E_CORRUPT, "a signal record's entry count is not 1..%u", SIGNAL_ENTRIES_MAX);
    }
    const uint8_t *first = at;
    struct signal_entry entry;
    for (uint64_t i = 0; i < count; i++) {
        const uint8_t *next = entry_take(at, end, base_ms, &entry);
        if (next == NULL) return entry_explain(at, end, base_ms, i, e);
        at = next;
    }
    if (at != end) {
        return ERR(e, E_CORRUPT, "a signal record has %zu bytes behind its last entry",
                   (size_t)(end - at));
    }
    *out = (struct record_signal){
        .count = (uint32_t)count, .entries = {.at = first, .end = end}, .base_ms = base_ms};
    return OK;
}

bool signal_entry_next(struct record_signal *signal, struct signal_entry *out)
{
    struct bytes_reader *entries = &signal->entries;
    if (entries->at == entries->end) return false;
    entries->at = entry_take(entries->at, entries->end, signal->base_ms, out);
    ASSERT(entries->at != NULL); /* record_decode checked every entry */
    return true;
}

/* Writing: sizes first. Each put_ function writes at `at` and returns the place behind it. */

static inline size_t varint_bytes(uint64_t v)
{
    if (v < 0x80) return 1;
    return (size_t)(63 - __builtin_clzll(v)) / 7 + 1;
}

static inline uint8_t *varint_put(uint8_t *at, uint64_t v)
{
    while (v >= 0x80) {
        *at++ = (uint8_t)(v | 0x80);
        v >>= 7;
    }
    *at++ = (uint8_t)v;
    return at;
}

static inline uint8_t *slice8_put(uint8_t *at, struct slice s)
{
    *at++ = (uint8_t)s.size;
    memcpy(at, s.data, s.size);
    return at + s.size;
}

static inline uint8_t *raw_put(uint8_t *at, const void *data, size_t size)
{
    memcpy(at, data, size);
    return at + size;
}

static inline bool key_is_valid(struct slice s)
{
    return s.size >= 1 && s.size <= KEY_SIZE_MAX;
}

/* Bytes the entry takes, 0 when a value in it may not be written. */
static inline size_t entry_size(const struct signal_entry *s, int64_t base_ms)
{
    bool is_valid = s->flags <= SIGNAL_FLAGS_KNOWN && s->type_id != 0 && key_is_valid(s->item) &&
                    time_is_valid(s->time_ms);
    if (!is_valid) return 0;
    size_t size =
        2 + varint_bytes(s->type_id) + s->item.size + varint_bytes(zigzag_of(s->time_ms - base_ms));
    if ((s->flags & SIGNAL_HAS_WEIGHT) != 0) {
        if (!weight_is_valid(s->weight)) return 0;
        size += WEIGHT_SIZE;
    }
    if ((s->flags & SIGNAL_HAS_USER) != 0) {
        if (!key_is_valid(s->user)) return 0;
        size += 1 + s->user.size;
    }
    if ((s->flags & SIGNAL_HAS_SESSION) != 0) size += ID_SIZE + varint_bytes(s->session_number);
    if ((s->flags & SIGNAL_HAS_KEY) != 0) size += ID_SIZE;
    return size;
}

static inline uint8_t *entry_put(uint8_t *at, const struct signal_entry *s, int64_t base_ms)
{
    *at++ = s->flags;
    at = varint_put(at, s->type_id);
    at = slice8_put(at, s->item);
    at = varint_put(at, zigzag_of(s->time_ms - base_ms));
    if ((s->flags & SIGNAL_HAS_WEIGHT) != 0) at = raw_put(at, &s->weight, WEIGHT_SIZE);
    if ((s->flags & SIGNAL_HAS_USER) != 0) at = slice8_put(at, s->user);
    if ((s->flags & SIGNAL_HAS_SESSION) != 0) {
        at = raw_put(at, &s->session, ID_SIZE);
        at = varint_put(at, s->session_number);
    }
    if ((s->flags & SIGNAL_HAS_KEY) != 0) at = raw_put(at, &s->key, ID_SIZE);
    return at;
}

/* Bytes of the envelope with its flags byte, 0 when a value in it may not be written. */
static size_t envelope_size(const struct record_envelope *v)
{
    if ((v->flags & ~ENVELOPE_KNOWN) != 0) return 0;
    size_t size = 1;
    if ((v->flags & ENVELOPE_KEY) != 0) size += ID_SIZE;
    if ((v->flags & ENVELOPE_PRODUCER) != 0) {
        if (!key_is_valid(v->producer)) return 0;
        size += 1 + v->producer.size + varint_bytes(v->producer_number);
    }
    if ((v->flags & ENVELOPE_ORIGIN) != 0) {
        if (v->origin_seqno.v == 0) return 0;
        size += 2 * sizeof(uint16_t) + varint_bytes(v->origin_seqno.v);
    }
    return size;
}

static uint8_t *envelope_put(uint8_t *at, const struct record_envelope *v)
{
    *at++ = v->flags;
    if ((v->flags & ENVELOPE_KEY) != 0) at = raw_put(at, &v->key, ID_SIZE);
    if ((v->flags & ENVELOPE_PRODUCER) != 0) {
        at = slice8_put(at, v->producer);
        at = varint_put(at, v->producer_number);
    }
    if ((v->flags & ENVELOPE_ORIGIN) != 0) {
        store_u16(at, v->origin_stream.region);
        store_u16(at + sizeof(uint16_t), v->origin_stream.shard);
        at = varint_put(at + 2 * sizeof(uint16_t), v->origin_seqno.v);
    }
    return at;
}

/* Say in words which value of the table the fast path refused. */
static enum code value_explain(const struct field_table *table, const void *object, int64_t base_ms,
                               struct err *e)
{
    uint8_t scratch[1024];
    struct bytes_writer w = bytes_writer_of(scratch, sizeof(scratch));
    TRY(fields_encode(&w, table, object, base_ms, e));
    return ERR(e, E_LIMIT, "a value of the %s is outside its limits", table->name);
}

enum code record_encode_signals(struct bytes_writer *w, const struct record_envelope *envelope,
                                const struct signal_entry *entries, uint32_t count, int64_t base_ms,
                                struct err *e)
{
    static const struct record_envelope plain;
    if (envelope == NULL) envelope = &plain;
    ASSERT(time_is_valid(base_ms));
    if (count == 0 || count > SIGNAL_ENTRIES_MAX) {
        return ERR(e, E_LIMIT, "%u entries in a signal record, the limits are 1 and %u", count,
                   SIGNAL_ENTRIES_MAX);
    }
    size_t envelope_bytes = envelope->flags == 0 ? 1 : envelope_size(envelope);
    if (envelope_bytes == 0) return value_explain(&record_envelope_fields, envelope, base_ms, e);
    size_t size = 1 + envelope_bytes + varint_bytes(count);
    for (uint32_t i = 0; i < count; i++) {
        size_t entry_bytes = entry_size(&entries[i], base_ms);
        if (entry_bytes == 0) return value_explain(&signal_entry_fields, &entries[i], base_ms, e);
        size += entry_bytes;
    }
    size_t total = varint_bytes(size) + size;
    if (total > RECORD_SIZE_MAX) {
        return ERR(e, E_LIMIT, "a signal record of %zu bytes, the limit is %zu", total,
                   (size_t)RECORD_SIZE_MAX);
    }
    if (w->is_failed || total > (size_t)(w->end - w->at)) {
        return ERR(e, E_LIMIT, "no room left to encode a signal record of %zu bytes", total);
    }
    uint8_t *at = varint_put(w->at, size);
    *at++ = RECORD_SIGNAL;
    at = envelope_put(at, envelope);
    at = varint_put(at, count);
    for (uint32_t i = 0; i < count; i++) {
        at = entry_put(at, &entries[i], base_ms);
    }
    ASSERT((size_t)(at - w->at) == total);
    w->at = at;
    return OK;
}
