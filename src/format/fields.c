/* fields: the one encoder, decoder and describer of everything that a field table describes.
 * Never allocates, never recurses: an array's elements are scalars of a flat table. */
#include "format/fields.h"

#include <inttypes.h>

#include "base/assert.h"
#include "base/text.h"
#include "format/limits.h"

const char *field_type_name(enum field_type type)
{
    switch (type) {
#define X(constant, name, meaning) \
    case constant: return name;
        FIELD_TYPE_TABLE(X)
#undef X
    }
    return "unknown";
}

const char *field_type_meaning(enum field_type type)
{
    switch (type) {
#define X(constant, name, meaning) \
    case constant: return meaning;
        FIELD_TYPE_TABLE(X)
#undef X
    }
    return "unknown";
}

/* Members are read and written through memcpy, by their size: no aliasing, no alignment. */
static uint64_t number_load(const void *member, uint32_t size)
{
    uint64_t v = 0;
    memcpy(&v, member, size); /* little-endian hosts only; base/bytes asserts it */
    return v;
}

static void number_store(void *member, uint32_t size, uint64_t v)
{
    memcpy(member, &v, size);
}

static uint64_t number_max(const struct field *f)
{
    if (f->max != 0) return f->max;
    return f->size >= sizeof(uint64_t) ? UINT64_MAX : (UINT64_C(1) << (8 * f->size)) - 1;
}

static uint64_t size_max(const struct field *f)
{
    if (f->max != 0) return f->max;
    return f->type == FIELD_SLICE8 || f->type == FIELD_TEXT8 ? UINT8_MAX : RECORD_SIZE_MAX * 8;
}

bool field_is_present(const struct field_table *table, const struct field *f, const void *object)
{
    if (f->when == 0) return true;
    uint8_t selector = 0;
    memcpy(&selector, (const uint8_t *)object + table->selector_offset, sizeof(selector));
    if (table->selector == SELECT_FLAGS) return (selector & f->when) != 0;
    return selector < 32 && ((UINT32_C(1) << selector) & f->when) != 0;
}

static struct slice text_member(const void *member, uint32_t size)
{
    const char *text = member;
    const char *nul = memchr(text, '\0', size);
    ASSERT(nul != NULL);
    return slice_of(text, (size_t)(nul - text));
}

static struct slice slice_load(const struct field *f, const void *member)
{
    if (f->type == FIELD_TEXT8) return text_member(member, f->size);
    struct slice s;
    memcpy(&s, member, sizeof(s));
    return s;
}

/* Is the value of a scalar field one that the other side accepts? */
static bool scalar_is_valid(const struct field *f, const void *member)
{
    switch (f->type) {
    case FIELD_FIXED:
    case FIELD_VARINT: {
        uint64_t v = number_load(member, f->size);
        return v >= f->min && v <= number_max(f);
    }
    case FIELD_TIME: {
        int64_t v;
        memcpy(&v, member, sizeof(v));
        return time_is_valid(v);
    }
    case FIELD_WEIGHT: {
        double v;
        memcpy(&v, member, sizeof(v));
        return weight_is_valid(v);
    }
    case FIELD_SLICE8:
    case FIELD_SLICEV:
    case FIELD_TEXT8:
    case FIELD_REST: {
        struct slice s = slice_load(f, member);
        return s.size >= f->min && s.size <= size_max(f);
    }
    case FIELD_RAW:
    case FIELD_EPOCH:
    case FIELD_STREAM:
    case FIELD_POSITION:
    case FIELD_ARRAY: return true;
    }
    UNREACHABLE();
}

static void fixed_write(struct bytes_writer *w, uint32_t size, uint64_t v)
{
    ASSERT(size <= sizeof(v));
    uint8_t bytes[sizeof(v)];
    memcpy(bytes, &v, sizeof(v));
    bytes_write(w, bytes, size);
}

static void position_write(struct bytes_writer *w, const struct position *p)
{
    bytes_write_u64(w, p->epoch);
    bytes_write_u64(w, p->seqno.v);
    bytes_write(w, p->chain.bytes, sizeof(p->chain.bytes));
}

static void scalar_write(struct bytes_writer *w, const struct field *f, const void *member,
                         int64_t base_ms)
{
    switch (f->type) {
    case FIELD_FIXED: fixed_write(w, f->size, number_load(member, f->size)); return;
    case FIELD_VARINT: bytes_write_varint(w, number_load(member, f->size)); return;
    case FIELD_TIME: {
        int64_t v;
        memcpy(&v, member, sizeof(v));
        bytes_write_zigzag(w, v - base_ms);
        return;
    }
    case FIELD_WEIGHT: {
        double v;
        memcpy(&v, member, sizeof(v));
        bytes_write_f64(w, v);
        return;
    }
    case FIELD_RAW: bytes_write(w, member, f->size); return;
    case FIELD_EPOCH: {
        struct epoch v;
        memcpy(&v, member, sizeof(v));
        bytes_write_u64(w, v.number);
        bytes_write_u64(w, v.nonce);
        return;
    }
    case FIELD_STREAM: {
        struct stream_id v;
        memcpy(&v, member, sizeof(v));
        bytes_write_u16(w, v.region);
        bytes_write_u16(w, v.shard);
        return;
    }
    case FIELD_POSITION: {
        struct position v;
        memcpy(&v, member, sizeof(v));
        position_write(w, &v);
        return;
    }
    case FIELD_SLICE8:
    case FIELD_TEXT8: bytes_write_slice8(w, slice_load(f, member)); return;
    case FIELD_SLICEV: bytes_write_slice_varint(w, slice_load(f, member)); return;
    case FIELD_REST: {
        struct slice s = slice_load(f, member);
        bytes_write(w, s.data, s.size);
        return;
    }
    case FIELD_ARRAY: break;
    }
    UNREACHABLE();
}

static enum code scalar_encode(struct bytes_writer *w, const struct field_table *table,
                               const struct field *f, const void *object, int64_t base_ms,
                               struct err *e)
{
    const uint8_t *member = (const uint8_t *)object + f->offset;
    if (!field_is_present(table, f, object)) return OK;
    if (!scalar_is_valid(f, member)) {
        return ERR(e, E_LIMIT, "the value of %s in %s is outside its limits", f->name, table->name);
    }
    scalar_write(w, f, member, base_ms);
    return OK;
}

static enum code array_encode(struct bytes_writer *w, const struct field_table *table,
                              const struct field *f, const void *object, int64_t base_ms,
                              struct err *e)
{
    const struct field_table *elements = f->elements;
    uint64_t count = number_load((const uint8_t *)object + f->count_offset, f->count_size);
    if (count < f->min || count > f->max) {
        return ERR(e, E_LIMIT,
                   "%" PRIu64 " entries of %s in %s, the limits are %" PRIu64 " and %" PRIu64,
                   count, f->name, table->name, f->min, f->max);
    }
    bytes_write_varint(w, count);
    const uint8_t *element = (const uint8_t *)object + f->offset;
    for (uint64_t i = 0; i < count; i++, element += elements->struct_size) {
        for (uint32_t k = 0; k < elements->count; k++) {
            TRY(scalar_encode(w, elements, &elements->fields[k], element, base_ms, e));
        }
    }
    return OK;
}

enum code fields_encode(struct bytes_writer *w, const struct field_table *table, const void *object,
                        int64_t base_ms, struct err *e)
{
    ASSERT(time_is_valid(base_ms));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if (f->type != FIELD_ARRAY) {
            TRY(scalar_encode(w, table, f, object, base_ms, e));
        } else if (field_is_present(table, f, object)) {
            TRY(array_encode(w, table, f, object, base_ms, e));
        }
    }
    if (w->is_failed) return ERR(e, E_LIMIT, "no room left to encode %s", table->name);
    return OK;
}

/* Read a scalar into its member. What does not fit the member fails the reader. */
static void number_read(struct bytes_reader *r, const struct field *f, void *member)
{
    uint64_t v = 0;
    if (f->type == FIELD_VARINT) {
        v = bytes_read_varint(r);
        if (f->size < sizeof(v) && v >> (8 * f->size) != 0) r->is_failed = true;
    } else {
        bytes_read_into(r, &v, f->size);
    }
    number_store(member, f->size, v);
}

static void time_read(struct bytes_reader *r, int64_t base_ms, void *member)
{
    int64_t difference = bytes_read_zigzag(r);
    /* Twice the largest time either way, so that the sum cannot overflow. */
    const int64_t difference_max = INT64_C(1) << 50;
    if (difference < -difference_max || difference > difference_max) {
        r->is_failed = true;
        difference = 0;
    }
    int64_t v = base_ms + difference;
    memcpy(member, &v, sizeof(v));
}

static void slice_read(struct bytes_reader *r, const struct field *f, void *member)
{
    struct slice s;
    if (f->type == FIELD_SLICEV) {
        s = bytes_read_slice_varint(r);
    } else if (f->type == FIELD_REST) {
        s = bytes_read_slice(r, bytes_left(r));
    } else {
        s = bytes_read_slice8(r);
    }
    if (f->type != FIELD_TEXT8) {
        memcpy(member, &s, sizeof(s));
    } else if (s.size >= f->size || (s.size > 0 && memchr(s.data, '\0', s.size) != NULL)) {
        r->is_failed = true;
    } else if (s.size > 0) {
        memcpy(member, s.data, s.size); /* the rest of the member is zero already */
    }
}

static void scalar_read(struct bytes_reader *r, const struct field *f, void *member,
                        int64_t base_ms)
{
    switch (f->type) {
    case FIELD_FIXED:
    case FIELD_VARINT: number_read(r, f, member); return;
    case FIELD_TIME: time_read(r, base_ms, member); return;
    case FIELD_WEIGHT:
    case FIELD_RAW: bytes_read_into(r, member, f->size); return;
    case FIELD_EPOCH: {
        struct epoch v = {.number = bytes_read_u64(r)};
        v.nonce = bytes_read_u64(r);
        memcpy(member, &v, sizeof(v));
        return;
    }
    case FIELD_STREAM: {
        struct stream_id v = {.region = bytes_read_u16(r)};
        v.shard = bytes_read_u16(r);
        memcpy(member, &v, sizeof(v));
        return;
    }
    case FIELD_POSITION: {
        struct position v = {.epoch = bytes_read_u64(r)};
        v.seqno = seqno_of(bytes_read_u64(r));
        bytes_read_into(r, v.chain.bytes, sizeof(v.chain.bytes));
        memcpy(member, &v, sizeof(v));
        return;
    }
    case FIELD_SLICE8:
    case FIELD_SLICEV:
    case FIELD_TEXT8:
    case FIELD_REST: slice_read(r, f, member); return;
    case FIELD_ARRAY: break;
    }
    UNREACHABLE();
}

static enum code scalar_decode(struct bytes_reader *r, const struct field_table *table,
                               const struct field *f, void *object, int64_t base_ms, struct err *e)
{
    if (!field_is_present(table, f, object)) return OK;
    uint8_t *member = (uint8_t *)object + f->offset;
    scalar_read(r, f, member, base_ms);
    if (r->is_failed) {
        return ERR(e, E_CORRUPT, "%s ends inside %s or its encoding is wrong", table->name,
                   f->name);
    }
    if (!scalar_is_valid(f, member)) {
        return ERR(e, E_CORRUPT, "the value of %s in %s is outside its limits", f->name,
                   table->name);
    }
    return OK;
}

static enum code array_decode(struct bytes_reader *r, const struct field_table *table,
                              const struct field *f, void *object, int64_t base_ms, struct err *e)
{
    const struct field_table *elements = f->elements;
    uint64_t count = bytes_read_varint(r);
    if (r->is_failed || count < f->min || count > f->max || count > bytes_left(r)) {
        return ERR(e, E_CORRUPT, "the count of %s in %s is wrong", f->name, table->name);
    }
    number_store((uint8_t *)object + f->count_offset, f->count_size, count);
    uint8_t *element = (uint8_t *)object + f->offset;
    for (uint64_t i = 0; i < count; i++, element += elements->struct_size) {
        for (uint32_t k = 0; k < elements->count; k++) {
            TRY(scalar_decode(r, elements, &elements->fields[k], element, base_ms, e));
        }
    }
    return OK;
}

enum code fields_decode(struct bytes_reader *r, const struct field_table *table, void *object,
                        int64_t base_ms, struct err *e)
{
    memset(object, 0, table->struct_size);
    return fields_decode_more(r, table, object, base_ms, e);
}

enum code fields_decode_more(struct bytes_reader *r, const struct field_table *table, void *object,
                             int64_t base_ms, struct err *e)
{
    ASSERT(time_is_valid(base_ms));
    for (uint32_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if (f->type != FIELD_ARRAY) {
            TRY(scalar_decode(r, table, f, object, base_ms, e));
        } else if (field_is_present(table, f, object)) {
            TRY(array_decode(r, table, f, object, base_ms, e));
        }
    }
    return OK;
}

static void scalar_describe(struct text *t, const struct field *f, const void *member)
{
    switch (f->type) {
    case FIELD_FIXED:
    case FIELD_VARINT: text_add(t, "%" PRIu64, number_load(member, f->size)); return;
    case FIELD_TIME: {
        int64_t v;
        memcpy(&v, member, sizeof(v));
        text_add(t, "%" PRId64, v);
        return;
    }
    case FIELD_WEIGHT: {
        double v;
        char digits[F64_TEXT_SIZE];
        memcpy(&v, member, sizeof(v));
        text_add_slice(t, slice_of(digits, format_f64(digits, v)));
        return;
    }
    case FIELD_RAW: text_add_hex(t, member, f->size); return;
    case FIELD_EPOCH: {
        struct epoch v;
        memcpy(&v, member, sizeof(v));
        text_add(t, "%" PRIu64 "/%016" PRIx64, v.number, v.nonce);
        return;
    }
    case FIELD_STREAM: {
        struct stream_id v;
        memcpy(&v, member, sizeof(v));
        text_add(t, "%u/%u", (unsigned)v.region, (unsigned)v.shard);
        return;
    }
    case FIELD_POSITION: {
        struct position v;
        memcpy(&v, member, sizeof(v));
        struct token token = token_of(&v);
        char digits[TOKEN_SIZE_MAX];
        text_add_slice(t, slice_of(digits, format_token(digits, &token)));
        return;
    }
    case FIELD_SLICE8:
    case FIELD_TEXT8: text_add_escaped(t, slice_load(f, member), 64); return;
    case FIELD_SLICEV:
    case FIELD_REST: text_add(t, "<%zu bytes>", slice_load(f, member).size); return;
    case FIELD_ARRAY: break;
    }
    UNREACHABLE();
}

static void array_describe(struct text *t, const struct field *f, const void *object)
{
    const struct field_table *elements = f->elements;
    uint64_t count = number_load((const uint8_t *)object + f->count_offset, f->count_size);
    const uint8_t *element = (const uint8_t *)object + f->offset;
    text_add(t, "[");
    for (uint64_t i = 0; i < count && !t->is_cut; i++, element += elements->struct_size) {
        text_add(t, i == 0 ? "" : " ");
        for (uint32_t k = 0; k < elements->count; k++) {
            text_add(t, k == 0 ? "" : ",");
            scalar_describe(t, &elements->fields[k], element + elements->fields[k].offset);
        }
    }
    text_add(t, "]");
}

void fields_describe(struct text *t, const struct field_table *table, const void *object)
{
    for (uint32_t i = 0; i < table->count; i++) {
        const struct field *f = &table->fields[i];
        if (!field_is_present(table, f, object)) continue;
        text_add(t, " %s=", f->name);
        if (f->is_secret) {
            text_add(t, "***");
        } else if (f->type == FIELD_ARRAY) {
            array_describe(t, f, object);
        } else {
            scalar_describe(t, f, (const uint8_t *)object + f->offset);
        }
    }
}
