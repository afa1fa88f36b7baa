/* record_tables: the body of every record kind as a field table, and the rules between fields. Two
 * kinds with the same body share a table. Everything here is constant.
 *
 * To add a kind: a row in RECORD_TABLE, a struct and a union member in record.h, a field table and
 * a row in RULES here, apply in core/state, a golden file; docs/FORMAT.md has the recipe. */
#include "format/record_tables.h"

#include <assert.h>
#include <math.h>

#include "base/text.h"
#include "format/put_fields.h"

static_assert(sizeof(struct id128) == 16 && sizeof(struct hash256) == 32,
              "raw fields have no gaps");

static const struct field envelope_fields[] = {
    {FIELD(FIELD_FIXED, struct record_envelope, flags), .max = ENVELOPE_KNOWN,
     .note = "1 key, 2 producer, 4 origin follow"},
    {FIELD(FIELD_RAW, struct record_envelope, key), .when = ENVELOPE_KEY,
     .note = "idempotency key of the whole record"},
    {FIELD(FIELD_SLICE8, struct record_envelope, producer), .min = 1, .when = ENVELOPE_PRODUCER},
    {FIELD(FIELD_VARINT, struct record_envelope, producer_number), .when = ENVELOPE_PRODUCER},
    {FIELD(FIELD_STREAM, struct record_envelope, origin_stream), .when = ENVELOPE_ORIGIN},
    {FIELD(FIELD_VARINT, struct record_envelope, origin_seqno), .min = 1, .when = ENVELOPE_ORIGIN},
};
const struct field_table record_envelope_fields = {
    FIELD_TABLE("envelope", struct record_envelope, envelope_fields),
    .selector = SELECT_FLAGS,
    .selector_offset = offsetof(struct record_envelope, flags),
};

static const struct field_table nothing_table = {.name = "empty body"};

static const struct field epoch_start_fields[] = {
    {FIELD(FIELD_EPOCH, struct record_epoch_start, epoch), .note = "equals the batch header's"},
    {FIELD(FIELD_EPOCH, struct record_epoch_start, previous), .note = "number 0: a new log"},
    {FIELD(FIELD_VARINT, struct record_epoch_start, previous_last)},
    {FIELD(FIELD_SLICE8, struct record_epoch_start, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_VARINT, struct record_epoch_start, incarnation)},
    {FIELD(FIELD_FIXED, struct record_epoch_start, reason), .min = 1, .max = EPOCH_RESTORE,
     .note = "1 new log, 2 restart, 3 promotion, 4 accepted loss, 5 restore"},
};
static const struct field_table epoch_start_table = {
    FIELD_TABLE("epoch-start", struct record_epoch_start, epoch_start_fields)};

static const struct field halflife_fields[] = {
    {.name = "ms", .type = FIELD_VARINT, .size = sizeof(uint64_t), .min = 1},
};
static const struct field_table halflife_table = {
    FIELD_TABLE("half-life", uint64_t, halflife_fields)};

#define WHEN_SIGNAL  (1u << SCHEMA_SIGNAL)
#define WHEN_FIELD   (1u << SCHEMA_FIELD)
#define WHEN_VECTOR  (1u << SCHEMA_VECTOR)
#define WHEN_PROFILE (1u << SCHEMA_PROFILE)
static const struct field schema_fields[] = {
    {FIELD(FIELD_FIXED, struct record_schema, subject), .min = 1, .max = SCHEMA_PROFILE,
     .note = "1 signal type, 2 field, 3 vector slot, 4 profile"},
    {FIELD(FIELD_VARINT, struct record_schema, id), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_schema, name), .min = 1},
    {FIELD(FIELD_FIXED, struct record_schema, mode), .min = 1, .max = SIGNAL_MODE_LATEST,
     .when = WHEN_SIGNAL, .note = "1 count, 2 once, 3 latest"},
    {FIELD(FIELD_FIXED, struct record_schema, polarity), .min = 1, .max = POLARITY_NEGATIVE,
     .when = WHEN_SIGNAL, .note = "1 positive, 2 negative"},
    {FIELD(FIELD_FIXED, struct record_schema, windows), .max = 2 * WINDOW_ALL - 1,
     .when = WHEN_SIGNAL, .note = "bits: 1 one hour, 2 24 h, 4 7 d, 8 30 d, 16 all time"},
    {FIELD(FIELD_ARRAY, struct record_schema, halflives_ms), .max = HALFLIVES_MAX,
     .when = WHEN_SIGNAL, FIELD_COUNTED(struct record_schema, halflife_count),
     .elements = &halflife_table},
    {FIELD(FIELD_FIXED, struct record_schema, field_kind), .min = 1, .max = 4,
     .when = WHEN_FIELD | WHEN_VECTOR,
     .note = "field: 1 tag, 2 num, 3 time, 4 text; vector: 1 cos, 2 ip, 3 l2"},
    {FIELD(FIELD_VARINT, struct record_schema, dim), .min = 1, .when = WHEN_VECTOR},
    {FIELD(FIELD_SLICEV, struct record_schema, body), .when = WHEN_FIELD | WHEN_PROFILE,
     .note = "profile: JSON; text field: analyzer id"},
};
static const struct field_table schema_table = {
    FIELD_TABLE("schema", struct record_schema, schema_fields),
    .selector = SELECT_VALUE,
    .selector_offset = offsetof(struct record_schema, subject),
};

static const struct field feature_level_fields[] = {
    {FIELD(FIELD_VARINT, struct record_feature_level, level), .min = 1},
};
static const struct field_table feature_level_table = {
    FIELD_TABLE("feature-level", struct record_feature_level, feature_level_fields)};

static const struct field member_fields[] = {
    {FIELD(FIELD_SLICE8, struct member, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct member, is_voter), .max = 1},
    {FIELD(FIELD_SLICE8, struct member, address)},
};
static const struct field_table member_table = {
    FIELD_TABLE("member", struct member, member_fields)};
static const struct field members_fields[] = {
    {FIELD(FIELD_ARRAY, struct record_members, members), .max = MEMBERS_MAX,
     FIELD_COUNTED(struct record_members, count), .elements = &member_table},
};
static const struct field_table members_table = {
    FIELD_TABLE("members", struct record_members, members_fields)};

static const struct field undo_fields[] = {
    {FIELD(FIELD_VARINT, struct record_undo, type_id), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_undo, item), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_undo, user), .min = 1},
    {FIELD(FIELD_TIME, struct record_undo, time_ms)},
};
static const struct field_table undo_table = {
    FIELD_TABLE("signal-undo", struct record_undo, undo_fields)};

static const struct field item_put_fields[] = {
    {FIELD(FIELD_SLICE8, struct record_put, key), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_put, creator), .note = "empty: unchanged"},
    {FIELD(FIELD_FIXED, struct record_put, has_created), .max = 1},
    {FIELD(FIELD_TIME, struct record_put, created_ms), .when = 1},
    {FIELD(FIELD_REST, struct record_put, fields), .min = 1, .note = "field list, see below"},
};
static const struct field_table item_put_table = {
    FIELD_TABLE("item-put", struct record_put, item_put_fields),
    .selector = SELECT_FLAGS,
    .selector_offset = offsetof(struct record_put, has_created),
};
static const struct field put_fields[] = {
    {FIELD(FIELD_SLICE8, struct record_put, key), .min = 1},
    {FIELD(FIELD_REST, struct record_put, fields), .min = 1, .note = "field list, see below"},
};
static const struct field_table put_table = {FIELD_TABLE("put", struct record_put, put_fields)};

static const struct field unset_fields[] = {
    {FIELD(FIELD_SLICE8, struct record_unset, key), .min = 1},
    {FIELD(FIELD_REST, struct record_unset, names), .min = 1, .note = "name list, see below"},
};
static const struct field_table unset_table = {
    FIELD_TABLE("item-unset", struct record_unset, unset_fields)};

static const struct field item_ref_fields[] = {
    {FIELD(FIELD_SLICE8, struct record_item_ref, key), .min = 1},
};
static const struct field_table item_ref_table = {
    FIELD_TABLE("item", struct record_item_ref, item_ref_fields)};

static const struct field embedding_fields[] = {
    {FIELD(FIELD_FIXED, struct record_embedding, entity_kind), .min = 1, .max = 3,
     .note = "1 item, 2 user, 3 creator"},
    {FIELD(FIELD_SLICE8, struct record_embedding, key), .min = 1},
    {FIELD(FIELD_VARINT, struct record_embedding, slot_id), .min = 1},
    {FIELD(FIELD_SLICEV, struct record_embedding, vector), .min = 4,
     .note = "f32 little-endian, all finite"},
};
static const struct field_table embedding_table = {
    FIELD_TABLE("embedding-put", struct record_embedding, embedding_fields)};

static const struct field relation_fields[] = {
    {FIELD(FIELD_FIXED, struct record_relation, relation), .min = 1, .max = 7,
     .note = "1 follow, 2 block, 3 mute, 4 hide, 5 save, 6 seen, 7 like"},
    {FIELD(FIELD_SLICE8, struct record_relation, user), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_relation, target), .min = 1},
    {FIELD(FIELD_TIME, struct record_relation, time_ms)},
    {FIELD(FIELD_WEIGHT, struct record_relation, weight)},
};
static const struct field_table relation_table = {
    FIELD_TABLE("relation", struct record_relation, relation_fields)};

static const struct field session_open_fields[] = {
    {FIELD(FIELD_RAW, struct record_session_open, session)},
    {FIELD(FIELD_SLICE8, struct record_session_open, user), .min = 1},
    {FIELD(FIELD_SLICE8, struct record_session_open, policy)},
    {FIELD(FIELD_VARINT, struct record_session_open, ttl_ms)},
    {FIELD(FIELD_TIME, struct record_session_open, time_ms)},
};
static const struct field_table session_open_table = {
    FIELD_TABLE("session-open", struct record_session_open, session_open_fields)};

static const struct field session_close_fields[] = {
    {FIELD(FIELD_RAW, struct record_session_close, session)},
    {FIELD(FIELD_FIXED, struct record_session_close, is_commit), .max = 1},
    {FIELD(FIELD_FIXED, struct record_session_close, reason), .min = 1, .max = 4,
     .note = "1 explicit, 2 time to live, 3 shutdown, 4 failover"},
    {FIELD(FIELD_TIME, struct record_session_close, time_ms)},
};
static const struct field_table session_close_table = {
    FIELD_TABLE("session-close", struct record_session_close, session_close_fields)};

static const struct field tick_fields[] = {{FIELD(FIELD_TIME, struct record_tick, now_ms)}};
static const struct field_table tick_table = {FIELD_TABLE("tick", struct record_tick, tick_fields)};

static const struct field mark_fields[] = {
    {FIELD(FIELD_FIXED, struct record_mark, reason), .min = 1, .max = 3,
     .note = "1 interval, 2 command, 3 stop"},
};
static const struct field_table mark_table = {FIELD_TABLE("mark", struct record_mark, mark_fields)};

static const struct field digest_fields[] = {
    {FIELD(FIELD_VARINT, struct record_digest, mark), .min = 1, .note = "seqno of the mark"},
    {FIELD(FIELD_RAW, struct record_digest, root)},
};
static const struct field_table digest_table = {
    FIELD_TABLE("digest", struct record_digest, digest_fields)};

static const struct field loss_receipt_fields[] = {
    {FIELD(FIELD_VARINT, struct record_loss_receipt, first), .min = 1},
    {FIELD(FIELD_VARINT, struct record_loss_receipt, last), .min = 1},
    {FIELD(FIELD_SLICEV, struct record_loss_receipt, reason), .max = 1024},
};
static const struct field_table loss_receipt_table = {
    FIELD_TABLE("loss-receipt", struct record_loss_receipt, loss_receipt_fields)};

/* Rules between fields: each says what is wrong, or NULL. */

static const char *epoch_start_check(const struct record *r)
{
    const struct record_epoch_start *s = &r->as.epoch_start;
    if (s->epoch.number <= s->previous.number) return "the epoch is not above the previous one";
    if (!is_node_id(s->node_id)) return "the node id is malformed";
    return NULL;
}

static const char *schema_check(const struct record *r)
{
    const struct record_schema *s = &r->as.schema;
    if (s->subject == SCHEMA_SIGNAL && s->name.size > SIGNAL_NAME_SIZE_MAX) {
        return "the signal type's name is too long";
    }
    if (s->subject == SCHEMA_FIELD && s->name.size > FIELD_NAME_SIZE_MAX) {
        return "the field's name is too long";
    }
    if (s->subject == SCHEMA_VECTOR && s->field_kind > 3) return "the vector's metric is unknown";
    return NULL;
}

static const char *members_check(const struct record *r)
{
    const struct record_members *m = &r->as.members;
    for (uint32_t i = 0; i < m->count; i++) {
        if (!is_node_id(m->members[i].node_id)) return "a member's node id is malformed";
        for (uint32_t k = 0; k < i; k++) {
            if (slice_equal(m->members[i].node_id, m->members[k].node_id)) {
                return "a member is listed twice";
            }
        }
    }
    return NULL;
}

static const char *put_check(const struct record *r)
{
    return put_fields_are_valid(r->as.put.fields) ? NULL : "the field list is malformed";
}

static const char *unset_check(const struct record *r)
{
    return put_names_are_valid(r->as.unset.names) ? NULL : "the name list is malformed";
}

static const char *embedding_check(const struct record *r)
{
    struct slice vector = r->as.embedding.vector;
    if (vector.size % sizeof(float) != 0) return "the vector's size is no multiple of four";
    for (size_t i = 0; i < vector.size; i += sizeof(float)) {
        float v;
        memcpy(&v, vector.data + i, sizeof(v));
        if (!isfinite(v)) return "the vector has an element that is not finite";
    }
    return NULL;
}

static const char *producer_check(const struct record *r)
{
    return (r->envelope.flags & ENVELOPE_PRODUCER) != 0 ? NULL : "the envelope names no producer";
}

static const char *loss_receipt_check(const struct record *r)
{
    const struct record_loss_receipt *l = &r->as.loss_receipt;
    return l->first.v <= l->last.v ? NULL : "the range ends before it begins";
}

static const struct record_rule RULES[] = {
    [RECORD_NOOP] = {.table = &nothing_table},
    [RECORD_EPOCH_START] = {&epoch_start_table, epoch_start_check, PLACE_ALONE},
    [RECORD_SCHEMA] = {.table = &schema_table, .check = schema_check},
    [RECORD_FEATURE_LEVEL] = {.table = &feature_level_table, .placement = PLACE_LAST},
    [RECORD_MEMBERS] = {&members_table, members_check, PLACE_LAST},
    [RECORD_SIGNAL] = {.table = NULL},
    [RECORD_SIGNAL_UNDO] = {.table = &undo_table},
    [RECORD_ITEM_PUT] = {.table = &item_put_table, .check = put_check},
    [RECORD_ITEM_UNSET] = {.table = &unset_table, .check = unset_check},
    [RECORD_ITEM_DELETE] = {.table = &item_ref_table},
    [RECORD_ITEM_PURGE] = {.table = &item_ref_table},
    [RECORD_USER_PUT] = {.table = &put_table, .check = put_check},
    [RECORD_CREATOR_PUT] = {.table = &put_table, .check = put_check},
    [RECORD_EMBEDDING_PUT] = {.table = &embedding_table, .check = embedding_check},
    [RECORD_RELATION_ADD] = {.table = &relation_table},
    [RECORD_RELATION_REMOVE] = {.table = &relation_table},
    [RECORD_SESSION_OPEN] = {.table = &session_open_table},
    [RECORD_SESSION_CLOSE] = {.table = &session_close_table},
    [RECORD_PRODUCER] = {.table = &nothing_table, .check = producer_check},
    [RECORD_TICK] = {.table = &tick_table},
    [RECORD_MARK] = {.table = &mark_table, .placement = PLACE_LAST},
    [RECORD_DIGEST] = {.table = &digest_table},
    [RECORD_LOSS_RECEIPT] = {.table = &loss_receipt_table, .check = loss_receipt_check},
    [RECORD_GROUP] = {.table = NULL},
};

const struct record_rule *record_rule_of(uint8_t kind)
{
    return record_kind_is_known(kind) ? &RULES[kind] : NULL;
}

const struct field_table *record_fields(enum record_kind kind)
{
    const struct record_rule *rule = record_rule_of((uint8_t)kind);
    return rule != NULL ? rule->table : NULL;
}

bool record_kind_is_known(uint8_t kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) case number:
        RECORD_TABLE(X)
#undef X
        return true;
    default: return false;
    }
}

const char *record_kind_name(enum record_kind kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) \
    case constant: return name;
        RECORD_TABLE(X)
#undef X
    }
    return "unknown";
}

bool record_kind_is_last(enum record_kind kind)
{
    const struct record_rule *rule = record_rule_of((uint8_t)kind);
    return rule != NULL && rule->placement == PLACE_LAST;
}

bool record_kind_is_alone(enum record_kind kind)
{
    const struct record_rule *rule = record_rule_of((uint8_t)kind);
    return rule != NULL && rule->placement == PLACE_ALONE;
}
