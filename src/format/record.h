/* record: the table of everything a log can say. One X-macro names each kind; its number is never
 * reused. A record in a payload is
 *
 *   varint size of what follows | u8 kind | u8 envelope flags | envelope fields | body
 *
 * Envelope fields, in this order, present when their flag is set:
 *   ENVELOPE_KEY       16 bytes  idempotency key (first 16 bytes of BLAKE3 of the client's bytes);
 *                                covers the whole record
 *   ENVELOPE_PRODUCER  slice8 producer id, varint number
 *   ENVELOPE_ORIGIN    u16 region, u16 shard, varint seqno: where a re-ingested record came from
 *
 * The seqno of a record is not stored: it is first + index in the batch. Times of day are
 * milliseconds since 1970, stored as zigzag difference to the batch's leader time (ms part).
 * slice8 = length byte + bytes; slicev = varint length + bytes; zz = zigzag varint.
 *
 * Bodies are described by field tables in record.c, from which encode, decode, describe and
 * docs/FORMAT.md are made; the signal's has its own fast path that a test compares with the table.
 */
#ifndef TIDEMARK_FORMAT_RECORD_H
#define TIDEMARK_FORMAT_RECORD_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"
#include "format/fields.h"
#include "format/limits.h"

/* X(constant, number, name, meaning) */
#define RECORD_TABLE(X)                                                                        \
    X(RECORD_NOOP, 1, "noop", "nothing; keeps a seqno")                                        \
    X(RECORD_EPOCH_START, 2, "epoch-start", "a leadership begins; alone in its batch")         \
    X(RECORD_SCHEMA, 3, "schema", "a signal type, field, vector slot or profile is declared")  \
    X(RECORD_FEATURE_LEVEL, 4, "feature-level", "the operator raised the feature level")       \
    X(RECORD_MEMBERS, 5, "members", "the voters and members from here on")                     \
    X(RECORD_SIGNAL, 6, "signal", "one or more engagement signals, atomic")                    \
    X(RECORD_SIGNAL_UNDO, 7, "signal-undo", "a once or latest signal of a user is taken back") \
    X(RECORD_ITEM_PUT, 8, "item-put", "fields of an item are set")                             \
    X(RECORD_ITEM_UNSET, 9, "item-unset", "fields of an item are removed")                     \
    X(RECORD_ITEM_DELETE, 10, "item-delete", "an item is deleted; its signals stay")           \
    X(RECORD_ITEM_PURGE, 11, "item-purge", "a deleted item's index becomes free")              \
    X(RECORD_USER_PUT, 12, "user-put", "fields of a user are set")                             \
    X(RECORD_CREATOR_PUT, 13, "creator-put", "fields of a creator are set")                    \
    X(RECORD_EMBEDDING_PUT, 14, "embedding-put", "a vector of an entity is set")               \
    X(RECORD_RELATION_ADD, 15, "relation-add", "an edge from a user is added")                 \
    X(RECORD_RELATION_REMOVE, 16, "relation-remove", "an edge from a user is removed")         \
    X(RECORD_SESSION_OPEN, 17, "session-open", "a session starts")                             \
    X(RECORD_SESSION_CLOSE, 18, "session-close", "a session is committed or discarded")        \
    X(RECORD_PRODUCER, 19, "producer", "a producer's number moves on without an effect")       \
    X(RECORD_TICK, 20, "tick", "leader time moves because something falls due")                \
    X(RECORD_MARK, 21, "mark", "a place where digests and checkpoints are cut; last in batch") \
    X(RECORD_DIGEST, 22, "digest", "the leader's root at an earlier mark")                     \
    X(RECORD_LOSS_RECEIPT, 23, "loss-receipt", "an operator accepted the loss of a range")     \
    X(RECORD_GROUP, 24, "group", "several records of other kinds, atomic, one seqno")

enum record_kind {
#define X(constant, number, name, meaning) constant = number,
    RECORD_TABLE(X)
#undef X
};

#define ENVELOPE_KEY      1u
#define ENVELOPE_PRODUCER 2u
#define ENVELOPE_ORIGIN   4u
#define ENVELOPE_KNOWN    7u

struct record_envelope {
    uint8_t flags;
    struct id128 key;
    struct slice producer;
    uint64_t producer_number;
    struct stream_id origin_stream;
    seqno origin_seqno;
};

/* Flags of one signal entry. */
#define SIGNAL_HAS_WEIGHT  1u /* else 1.0 */
#define SIGNAL_HAS_USER    2u
#define SIGNAL_HAS_SESSION 4u /* 16-byte session id, varint sequence in the session */
#define SIGNAL_HAS_KEY     8u /* 16 bytes; the key of this entry alone */
#define SIGNAL_FLAGS_KNOWN 15u

/* body of RECORD_SIGNAL: varint n, then n times:
 *   u8 flags | varint type id | slice8 item | zz time | [f64 weight] | [slice8 user]
 *   | [16 bytes session, varint session number] | [16 bytes key] */
struct signal_entry {
    uint8_t flags;
    uint32_t type_id;
    struct slice item;
    int64_t time_ms; /* event time, already clamped by the leader */
    double weight;   /* finite, |w| <= 2^53, never -0 */
    struct slice user;
    struct id128 session;
    uint64_t session_number;
    struct id128 key;
};

/* What a schema record declares. */
enum schema_subject { SCHEMA_SIGNAL = 1, SCHEMA_FIELD = 2, SCHEMA_VECTOR = 3, SCHEMA_PROFILE = 4 };
enum schema_field_kind {
    SCHEMA_FIELD_TAG = 1,
    SCHEMA_FIELD_NUM = 2,
    SCHEMA_FIELD_TIME = 3,
    SCHEMA_FIELD_TEXT = 4,
};
enum signal_mode { SIGNAL_MODE_COUNT = 1, SIGNAL_MODE_ONCE = 2, SIGNAL_MODE_LATEST = 3 };
enum polarity { POLARITY_POSITIVE = 1, POLARITY_NEGATIVE = 2 };
#define HALFLIVES_MAX 3
#define WINDOW_1H     1u
#define WINDOW_24H    2u
#define WINDOW_7D     4u
#define WINDOW_30D    8u
#define WINDOW_ALL    16u

/* One decoded record of any kind, a tagged union. Slices borrow the payload. */
struct record_epoch_start {
    struct epoch epoch;    /* of the new leadership; equals the batch header's */
    struct epoch previous; /* number 0 at the start of a log */
    seqno previous_last;   /* last record kept of the previous epoch */
    struct slice node_id;  /* who leads */
    uint64_t incarnation;
    uint8_t reason; /* enum epoch_reason */
};
enum epoch_reason {
    EPOCH_NEW_LOG = 1,
    EPOCH_RESTART = 2,
    EPOCH_PROMOTION = 3,
    EPOCH_ACCEPTED_LOSS = 4,
    EPOCH_RESTORE = 5,
};

struct record_schema {
    uint8_t subject; /* enum schema_subject */
    uint32_t id;     /* signal type id (from 1), field id, slot id or profile id */
    struct slice name;
    /* SCHEMA_SIGNAL */
    uint8_t mode;
    uint8_t polarity;
    uint8_t windows; /* WINDOW_* bits */
    uint8_t halflife_count;
    uint64_t halflives_ms[HALFLIVES_MAX];
    /* SCHEMA_FIELD: enum schema_field_kind; SCHEMA_VECTOR: metric 1 cos 2 ip 3 l2 */
    uint8_t field_kind;
    uint32_t dim;
    struct slice body; /* SCHEMA_PROFILE: json; SCHEMA_FIELD: analyzer id, else empty */
};

struct member {
    struct slice node_id;
    uint8_t is_voter;
    struct slice address;
};
struct record_members {
    uint32_t count;
    struct member members[MEMBERS_MAX];
};

struct record_signal {
    uint32_t count;
    /* Entries are decoded one by one with signal_entry_next: a record may hold 65,536. */
    struct bytes_reader entries;
    int64_t base_ms;
};

struct record_undo {
    uint32_t type_id;
    struct slice item;
    struct slice user;
    int64_t time_ms;
};

/* item/user/creator put; fields: varint n, n times slice8 name, u8 tag, value
 * (tag 0 unset, 1 text slicev, 2 i64 zz, 3 f64, 4 bool u8, 5 tag list varint n + slice8) */
struct record_put {
    struct slice key;
    struct slice creator; /* item only; empty = unchanged */
    int64_t created_ms;
    uint8_t has_created;
    struct slice fields; /* the encoded field list, checked by decode; see put_fields.h */
};
struct record_item_ref { /* delete, purge */
    struct slice key;
};
struct record_unset {
    struct slice key;
    struct slice names; /* encoded varint n, n * slice8 */
};
struct record_embedding {
    uint8_t entity_kind; /* 1 item 2 user 3 creator */
    struct slice key;
    uint32_t slot_id;
    struct slice vector; /* f32 little-endian */
};
struct record_relation {
    uint8_t relation; /* 1 follow 2 block 3 mute 4 hide 5 save 6 seen 7 like */
    struct slice user;
    struct slice target;
    int64_t time_ms;
    double weight;
};
struct record_session_open {
    struct id128 session;
    struct slice user;
    struct slice policy;
    uint64_t ttl_ms;
    int64_t time_ms;
};
struct record_session_close {
    struct id128 session;
    uint8_t is_commit;
    uint8_t reason; /* 1 explicit 2 ttl 3 shutdown 4 failover */
    int64_t time_ms;
};
struct record_tick {
    int64_t now_ms;
};
struct record_mark {
    uint8_t reason; /* 1 interval 2 command 3 stop */
};
struct record_digest {
    seqno mark; /* the mark's own seqno */
    struct hash256 root;
};
struct record_loss_receipt {
    seqno first;
    seqno last;
    struct slice reason;
};
struct record_feature_level {
    uint32_t level;
};
/* body: varint n, then n records framed as in a payload; their envelopes may hold a key (that of
 * the entry alone) and nothing else. No group inside, and no kind that must be last or alone. Build
 * one by encoding its records one after the other with record_encode. */
struct record_group {
    uint32_t count;
    struct bytes_reader records;
};

struct record {
    enum record_kind kind;
    struct record_envelope envelope;
    union {
        struct record_epoch_start epoch_start;
        struct record_schema schema;
        struct record_members members;
        struct record_signal signal;
        struct record_undo undo;
        struct record_put put; /* item, user, creator */
        struct record_item_ref item_ref;
        struct record_unset unset;
        struct record_embedding embedding;
        struct record_relation relation;
        struct record_session_open session_open;
        struct record_session_close session_close;
        struct record_tick tick;
        struct record_mark mark;
        struct record_digest digest;
        struct record_loss_receipt loss_receipt;
        struct record_feature_level feature_level;
        struct record_group group;
    } as;
};

const char *record_kind_name(enum record_kind kind); /* "unknown" for numbers not in the table */
bool record_kind_is_known(uint8_t kind);
/* Must this kind be the last of its batch (mark, members, feature level)? alone (epoch start)? */
bool record_kind_is_last(enum record_kind kind);
bool record_kind_is_alone(enum record_kind kind);

/* Append one record. base_ms: hlc_ms of the batch's leader time. For RECORD_SIGNAL and RECORD_GROUP
 * as.signal.entries / as.group.records are copied as they are (already encoded, with the same
 * base_ms). E_LIMIT when a value is one that decode would refuse, or when the record would exceed
 * RECORD_SIZE_MAX or the writer's room; then w is as before. */
MUST_CHECK enum code record_encode(struct bytes_writer *w, const struct record *r, int64_t base_ms,
                                   struct err *e);
/* Fast path of a signal record: envelope may be NULL. Same bytes as the general way. */
MUST_CHECK enum code record_encode_signals(struct bytes_writer *w,
                                           const struct record_envelope *envelope,
                                           const struct signal_entry *entries, uint32_t count,
                                           int64_t base_ms, struct err *e);

/* Decode the next record of a payload. E_CORRUPT for anything that does not parse, has trailing
 * bytes, an unknown flag, an impossible value (NaN weight, empty key ...); E_FORMAT for an unknown
 * kind. *out on OK only, and only its envelope and the member of its kind; payload moves on OK
 * only. Slices borrow the payload. Does not judge schema or state. */
MUST_CHECK enum code record_decode(struct bytes_reader *payload, int64_t base_ms,
                                   struct record *out, struct err *e);
/* Next entry of a signal record; false at the end. weight is 1 where none is stored. Entries were
 * checked by record_decode. */
bool signal_entry_next(struct record_signal *signal, struct signal_entry *out);
/* Next record of a group; false at the end. */
bool record_group_next(struct record_group *group, int64_t base_ms, struct record *out);

/* One line for people: "signal view item=a w=1 at=..."; never fails, cut when full. */
struct text;
void record_describe(const struct record *r, struct text *t);

/* The tables that bodies, envelopes and signal entries are described by: documentation and tests.
 * NULL for kinds without a table of their own: signal and group. */
const struct field_table *record_fields(enum record_kind kind);
extern const struct field_table record_envelope_fields;
extern const struct field_table signal_entry_fields;

#endif
