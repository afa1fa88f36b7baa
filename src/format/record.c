/* record: the frame around every body, and the way from bytes to struct record and back. Encode and
 * decode refuse the same values, so that nothing is written that a reader would not accept. Decode
 * judges shape only: whether a signal type or an item exists is a question of the state.
 *
 * Bodies come from record_tables.c, signals from record_signal.c. Pure; never allocates; never
 * recurses: a group holds plain records only. */
#include "format/record.h"

#include <assert.h>

#include "base/assert.h"
#include "base/text.h"
#include "format/record_signal.h"
#include "format/record_tables.h"

static_assert(RECORD_SIZE_MAX < 1 << 21, "a record's size prefix is at most three bytes");

/* The part of a record around its body, as read. */
struct frame {
    uint8_t kind;
    uint8_t envelope_flags;
    struct bytes_reader content; /* envelope fields and body */
    const uint8_t *after;        /* first byte behind the record */
};

/* Where a record stands: in a payload, or inside a group. */
enum context { IN_PAYLOAD, IN_GROUP };

/* Append the body. Signals and groups hold bytes that were encoded before with the same base. */
static enum code body_encode(struct bytes_writer *w, const struct record *r, int64_t base_ms,
                             struct err *e)
{
    const struct field_table *table = record_fields(r->kind);
    if (table != NULL) return fields_encode(w, table, &r->as, base_ms, e);
    const struct bytes_reader *bytes = &r->as.group.records;
    uint32_t count = r->as.group.count;
    if (r->kind == RECORD_SIGNAL) {
        ASSERT(r->as.signal.base_ms == base_ms);
        bytes = &r->as.signal.entries;
        count = r->as.signal.count;
    }
    bytes_write_varint(w, count);
    bytes_write(w, bytes->at, bytes_left(bytes));
    if (w->is_failed) return ERR(e, E_LIMIT, "no room left to encode a record");
    return OK;
}

static enum code content_encode(struct bytes_writer *w, const struct record *r, int64_t base_ms,
                                struct err *e)
{
    const struct record_rule *rule = record_rule_of((uint8_t)r->kind);
    ASSERT(rule != NULL);
    const char *wrong = rule->check != NULL ? rule->check(r) : NULL;
    if (wrong != NULL) {
        return ERR(e, E_LIMIT, "a %s record is refused: %s", record_kind_name(r->kind), wrong);
    }
    bytes_write_u8(w, (uint8_t)r->kind);
    TRY(fields_encode(w, &record_envelope_fields, &r->envelope, base_ms, e));
    return body_encode(w, r, base_ms, e);
}

/* Put the size prefix before content that was written one byte behind start. */
static enum code frame_close(struct bytes_writer *w, uint8_t *start, struct err *e)
{
    size_t size = (size_t)(w->at - start) - 1;
    size_t prefix = varint_size(size);
    if (size + prefix > RECORD_SIZE_MAX) {
        return ERR(e, E_LIMIT, "a record of %zu bytes, the limit is %zu", size + prefix,
                   (size_t)RECORD_SIZE_MAX);
    }
    if ((size_t)(w->end - start) < size + prefix) {
        return ERR(e, E_LIMIT, "no room left to encode a record of %zu bytes", size + prefix);
    }
    memmove(start + prefix, start + 1, size);
    w->at = start;
    bytes_write_varint(w, size);
    w->at = start + prefix + size;
    return OK;
}

enum code record_encode(struct bytes_writer *w, const struct record *r, int64_t base_ms,
                        struct err *e)
{
    if (w->is_failed) return ERR(e, E_LIMIT, "no room left to encode a record");
    uint8_t *start = w->at;
    bytes_write_u8(w, 0); /* room for the shortest size prefix */
    enum code code = content_encode(w, r, base_ms, e);
    if (code == OK) code = frame_close(w, start, e);
    if (code != OK) {
        w->at = start;
        w->is_failed = false;
    }
    return code;
}

/* Read size, kind and flags. *payload does not move. */
static enum code frame_read(const struct bytes_reader *payload, struct frame *out, struct err *e)
{
    struct bytes_reader r = *payload;
    uint64_t size = bytes_left(&r) > 0 && *r.at < 0x80 ? *r.at++ : bytes_read_varint(&r);
    size_t prefix = (size_t)(r.at - payload->at);
    if (r.is_failed || size > bytes_left(&r)) {
        return ERR(e, E_CORRUPT, "a record's size is wrong: %zu bytes are left",
                   bytes_left(payload));
    }
    if (size + prefix < RECORD_SIZE_MIN || size + prefix > RECORD_SIZE_MAX) {
        return ERR(e, E_CORRUPT, "a record of %zu bytes, the limits are %u and %zu",
                   (size_t)size + prefix, RECORD_SIZE_MIN, (size_t)RECORD_SIZE_MAX);
    }
    *out = (struct frame){.kind = r.at[0], .envelope_flags = r.at[1], .after = r.at + size};
    out->content = (struct bytes_reader){.at = r.at + 2, .end = out->after};
    return OK;
}

/* A record inside a group is a plain one that may carry a key of its own. */
static const char *group_member_check(const struct frame *f, const struct record_rule *rule)
{
    if (f->kind == RECORD_GROUP) return "a group inside a group";
    if (rule->placement != PLACE_ANYWHERE) return "a kind that may not be in a group";
    if ((f->envelope_flags & ~ENVELOPE_KEY) != 0) return "an envelope that only a whole record has";
    return NULL;
}

static enum code envelope_decode(struct frame *f, struct record *out, struct err *e)
{
    if (f->envelope_flags == 0) {
        memset(&out->envelope, 0, sizeof(out->envelope));
        return OK;
    }
    f->content.at--; /* the flags byte is the envelope table's first field */
    return fields_decode(&f->content, &record_envelope_fields, &out->envelope, 0, e);
}

/* Decode a frame that is not a group. Writes into *out before everything is known to be right. */
static enum code plain_decode(struct frame *f, int64_t base_ms, struct record *out, struct err *e)
{
    out->kind = (enum record_kind)f->kind;
    TRY(envelope_decode(f, out, e));
    struct slice body = slice_of(f->content.at, bytes_left(&f->content));
    if (f->kind == RECORD_SIGNAL) return signal_body_decode(body, base_ms, &out->as.signal, e);
    const struct record_rule *rule = record_rule_of(f->kind);
    TRY(fields_decode(&f->content, rule->table, &out->as, base_ms, e));
    if (bytes_left(&f->content) > 0) {
        return ERR(e, E_CORRUPT, "a %s record has %zu bytes behind its end",
                   record_kind_name(out->kind), bytes_left(&f->content));
    }
    const char *wrong = rule->check != NULL ? rule->check(out) : NULL;
    if (wrong == NULL) return OK;
    return ERR(e, E_CORRUPT, "a %s record is malformed: %s", record_kind_name(out->kind), wrong);
}

static enum code frame_check(const struct frame *f, enum context context, struct err *e)
{
    const struct record_rule *rule = record_rule_of(f->kind);
    if (rule == NULL) {
        return ERR(e, E_FORMAT, "record kind %u is unknown to this version", (unsigned)f->kind);
    }
    const char *wrong = context == IN_GROUP ? group_member_check(f, rule) : NULL;
    if (wrong != NULL) return ERR(e, E_CORRUPT, "a group record holds %s", wrong);
    return OK;
}

/* Check every record of a group, so that record_group_next cannot meet a bad one. */
static enum code group_decode(struct frame *f, int64_t base_ms, struct record *out, struct err *e)
{
    struct record scratch;
    out->kind = RECORD_GROUP;
    TRY(envelope_decode(f, out, e));
    struct bytes_reader r = f->content;
    uint64_t count = bytes_read_varint(&r);
    if (r.is_failed || count == 0 || count > GROUP_RECORDS_MAX) {
        return ERR(e, E_CORRUPT, "a group's record count is not 1..%u", GROUP_RECORDS_MAX);
    }
    struct bytes_reader records = r;
    for (uint64_t i = 0; i < count; i++) {
        struct frame inner;
        TRY(frame_read(&r, &inner, e));
        TRY(frame_check(&inner, IN_GROUP, e));
        TRY(plain_decode(&inner, base_ms, &scratch, e));
        r.at = inner.after;
    }
    if (bytes_left(&r) > 0) {
        return ERR(e, E_CORRUPT, "a group has %zu bytes behind its last record", bytes_left(&r));
    }
    out->as.group = (struct record_group){.count = (uint32_t)count, .records = records};
    return OK;
}

/* Bytes of the union that a kind uses. */
static size_t body_struct_size(enum record_kind kind)
{
    if (kind == RECORD_GROUP) return sizeof(struct record_group);
    const struct field_table *table = record_fields(kind);
    return table != NULL ? table->struct_size : sizeof(struct record_signal);
}

static void record_copy(struct record *out, const struct record *r)
{
    out->kind = r->kind;
    out->envelope = r->envelope;
    memcpy(&out->as, &r->as, body_struct_size(r->kind));
}

/* Nearly every record: one or more signals without an envelope, straight into *out. */
static enum code signal_decode(const struct frame *f, int64_t base_ms, struct record *out,
                               struct err *e)
{
    struct record_signal signal;
    TRY(signal_body_decode(slice_of(f->content.at, bytes_left(&f->content)), base_ms, &signal, e));
    out->kind = RECORD_SIGNAL;
    memset(&out->envelope, 0, sizeof(out->envelope));
    out->as.signal = signal;
    return OK;
}

static enum code other_decode(struct frame *f, int64_t base_ms, struct record *out, struct err *e)
{
    struct record scratch; /* not cleared: members and schema records are large */
    TRY(frame_check(f, IN_PAYLOAD, e));
    if (f->kind == RECORD_GROUP) {
        TRY(group_decode(f, base_ms, &scratch, e));
    } else {
        TRY(plain_decode(f, base_ms, &scratch, e));
    }
    record_copy(out, &scratch);
    return OK;
}

enum code record_decode(struct bytes_reader *payload, int64_t base_ms, struct record *out,
                        struct err *e)
{
    struct frame f;
    ASSERT(time_is_valid(base_ms));
    TRY(frame_read(payload, &f, e));
    if (f.kind == RECORD_SIGNAL && f.envelope_flags == 0) {
        TRY(signal_decode(&f, base_ms, out, e));
    } else {
        TRY(other_decode(&f, base_ms, out, e));
    }
    payload->at = f.after;
    return OK;
}

bool record_group_next(struct record_group *group, int64_t base_ms, struct record *out)
{
    struct frame f;
    struct bytes_reader *records = &group->records;
    if (bytes_left(records) == 0) return false;
    enum code code = frame_read(records, &f, NULL);
    ASSERT(code == OK); /* record_decode checked every record of the group */
    code = plain_decode(&f, base_ms, out, NULL);
    ASSERT(code == OK);
    records->at = f.after;
    return true;
}

static void signal_describe(const struct record_signal *signal, struct text *t)
{
    struct record_signal rest = *signal;
    struct signal_entry entry;
    if (signal->count > 1) text_add(t, " entries=%u", signal->count);
    for (uint32_t i = 0; i < signal->count && !t->is_cut && signal_entry_next(&rest, &entry); i++) {
        if (i > 0) text_add(t, ";");
        fields_describe(t, &signal_entry_fields, &entry);
    }
}

static void plain_describe(const struct record *r, struct text *t)
{
    const struct field_table *table = record_fields(r->kind);
    text_add(t, "%s", record_kind_name(r->kind));
    if (r->envelope.flags != 0) {
        text_add(t, " envelope={");
        fields_describe(t, &record_envelope_fields, &r->envelope);
        text_add(t, " }");
    }
    if (table != NULL) {
        fields_describe(t, table, &r->as);
    } else if (r->kind == RECORD_SIGNAL) {
        signal_describe(&r->as.signal, t);
    } else {
        text_add(t, " records=%u", r->as.group.count);
    }
}

void record_describe(const struct record *r, struct text *t)
{
    plain_describe(r, t);
    if (r->kind != RECORD_GROUP) return;
    /* Times inside are relative to a base that a group does not keep: kinds only. */
    struct bytes_reader records = r->as.group.records;
    struct frame f;
    for (uint32_t i = 0; i < r->as.group.count && !t->is_cut; i++) {
        if (frame_read(&records, &f, NULL) != OK) return;
        text_add(t, " %s", record_kind_name((enum record_kind)f.kind));
        records.at = f.after;
    }
}
