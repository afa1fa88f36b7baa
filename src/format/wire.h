/* wire: the replication messages. A frame is a 40-byte header and a body, little-endian:
 *
 *   off size field
 *     0    4 magic "TMW1"
 *     4    2 kind            6 2 flags = 0
 *     8    4 body size, <= the smaller maximum frame of both hellos (FRAME_SIZE_MAX before)
 *    12    4 body CRC32C
 *    16    8 session nonce: the follower's, made anew for each link; echoed by the leader in every
 *            message, so that a delayed order or ack of an older link does nothing
 *    24    8 probe: sender's newest probe id (heartbeat and ack; 0 elsewhere)
 *    32    4 zero           36 4 header CRC32C over bytes 0..35
 *
 * hello and plan have a fixed beginning for ever, so that any two versions can refuse each other in
 * words: hello up to and including `stream`, plan up to and including `text`. Of a hello whose
 * version range does not hold this version, and of a plan of another version (which must be a
 * refusal), only that beginning is read; the rest is zero. Unknown kinds are answered with
 * end(UNKNOWN_KIND). Strings are slice8, sentences slicev. One link carries one stream.
 *
 * Bodies are described by field tables in wire_tables.c, from which docs/FORMAT.md is made.
 */
#ifndef TIDEMARK_FORMAT_WIRE_H
#define TIDEMARK_FORMAT_WIRE_H

#include "base/bytes.h"
#include "base/error.h"
#include "format/identity.h"
#include "format/limits.h"

#define WIRE_HEADER_SIZE 40u

#define WIRE_TABLE(X)                                                              \
    X(WIRE_HELLO, 1, "hello", "follower -> leader, first frame of a link")         \
    X(WIRE_PLAN, 2, "plan", "leader -> follower, answers hello")                   \
    X(WIRE_BATCHES, 3, "batches", "whole batches, in order, without padding")      \
    X(WIRE_SEALED, 4, "sealed", "the leader sealed a segment that ends here")      \
    X(WIRE_ACK, 5, "ack", "received, stored, applied")                             \
    X(WIRE_HEARTBEAT, 6, "heartbeat", "positions, floor, committed, probes")       \
    X(WIRE_INQUIRE, 7, "inquire", "who are you and what do you hold?")             \
    X(WIRE_STANDING, 8, "standing", "answers inquire")                             \
    X(WIRE_FETCH, 9, "fetch", "send me this range of batches (repair, lost tail)") \
    X(WIRE_MANIFEST, 10, "manifest", "a manifest in pieces: a request or bytes")   \
    X(WIRE_BLOCKS, 11, "blocks", "blocks by hash: a request or the bytes")         \
    X(WIRE_MEMBERS, 12, "members", "members, addresses, topology version")         \
    X(WIRE_HANDOVER, 13, "handover", "planned change of leader")                   \
    X(WIRE_END, 14, "end", "the link ends, with a reason in words")                \
    X(WIRE_PROGRESS, 15, "progress", "how far the copy of the state is")
enum wire_kind {
#define X(constant, number, name, meaning) constant = number,
    WIRE_TABLE(X)
#undef X
};
const char *wire_kind_name(uint16_t kind);

struct wire_header {
    uint16_t kind;
    uint32_t body_size;
    uint32_t body_crc;
    uint64_t session;
    uint64_t probe;
};
/* ASSERTs the frame limits. */
void wire_header_encode(const struct wire_header *h, uint8_t out[WIRE_HEADER_SIZE]);
/* E_PROTOCOL with a sentence that says what arrived (HTTP, RESP, TLS are named when recognised). An
 * unknown kind passes: its body can be skipped, and wire_decode refuses it. */
MUST_CHECK enum code wire_header_decode(const uint8_t bytes[WIRE_HEADER_SIZE],
                                        uint32_t body_size_max, struct wire_header *out,
                                        struct err *e);
bool wire_body_verifies(const struct wire_header *h, struct slice body);

#define WIRE_FEATURES      0u /* bits this version speaks */
#define WIRE_MANIFESTS_MAX 4u
#define WIRE_PATH_MAX      ((uint64_t)8 * (NODE_ID_SIZE_MAX + 1))
#define WIRE_EPOCHS_MAX    64u /* newest epoch entries of a hello or standing */

struct wire_hello {
    uint16_t version_min; /* protocol range spoken */
    uint16_t version_max;
    uint64_t features;
    uint32_t feature_level;
    uint32_t frame_size_max;
    struct id128 cluster; /* zero = unknown yet */
    struct stream_id stream;
    struct slice node_id;
    uint64_t incarnation;
    uint16_t region;
    struct slice data_address;
    struct slice http_address;
    struct slice replication_address;
    uint8_t is_voter;
    uint8_t is_empty; /* holds nothing: takes cluster id and log key from the plan */
    uint8_t is_damaged;
    uint8_t is_bootstrapping; /* asks for the state: it has no copy that it can stand for */
    uint8_t is_loss_accepted; /* an operator gave up what this node holds beyond the leader's log */
    uint8_t is_leader_wanted; /* it follows whoever leads: a follower is no substitute */
    uint8_t is_fetching;      /* it is to lead, and fetches what it lost of its history */
    struct slice credentials;
    uint64_t memory_max;
    struct position last; /* end of its own durable log */
    seqno applied;
    seqno oldest; /* first record its log keeps */
    seqno committed;
    uint64_t highest_epoch;
    uint64_t history_id;
    uint32_t manifest_count;
    struct position manifests[WIRE_MANIFESTS_MAX]; /* with the log behind each */
    uint32_t epoch_count;                          /* the newest ones, ascending */
    struct epoch_entry epochs[WIRE_EPOCHS_MAX];
};

/* May who says hello follow this stream? A node that belongs to no cluster yet takes the region of
 * the stream from its leader's plan: its own is where it stands. */
bool wire_is_stream_joined(const struct wire_hello *hello, struct stream_id stream);

enum plan_kind {
    PLAN_CONTINUE = 1,
    PLAN_TRUNCATE_TO = 2,
    PLAN_BOOTSTRAP = 3,
    PLAN_FROM_ARCHIVE = 4,
    PLAN_REFUSE = 5,
};
/* X(constant, number, name, sentence for people) */
#define REFUSE_TABLE(X)                                                                            \
    X(REFUSE_NONE, 0, "none", "")                                                                  \
    X(REFUSE_GAP, 1, "gap", "the follower is ahead of the leader's durable log")                   \
    X(REFUSE_NOT_KEPT, 2, "log-not-kept", "the leader's log no longer keeps what comes next")      \
    X(REFUSE_WRONG_CLUSTER, 3, "wrong-cluster",                                                    \
      "the follower's directory belongs to another cluster: follow that one's leader, or start "   \
      "with an empty directory")                                                                   \
    X(REFUSE_WRONG_STREAM, 4, "wrong-stream",                                                      \
      "the follower has another region or shard: --region and --shard must be the leader's")       \
    X(REFUSE_OTHER_HISTORY, 5, "other-history", "equal numbers, other records: histories differ")  \
    X(REFUSE_ID_IN_USE, 6, "id-in-use", "another live node uses this node id")                     \
    X(REFUSE_NEWER_FORMAT, 7, "newer-format",                                                      \
      "no protocol version in common: upgrade the older one")                                      \
    X(REFUSE_NOT_LEADER, 8, "not-leader", "this node does not lead")                               \
    X(REFUSE_HIGHER_EPOCH, 9, "higher-epoch", "the follower has seen a higher epoch")              \
    X(REFUSE_SLOTS_FULL, 10, "slots-full", "the slot table is full; drop a slot first")            \
    X(REFUSE_FEATURE_LEVEL, 11, "feature-level",                                                   \
      "the follower is below the feature level: upgrade it")                                       \
    X(REFUSE_CREDENTIALS, 12, "credentials", "the credentials do not match")                       \
    X(REFUSE_BUSY, 13, "busy", "the leader is starting or closing; try again")                     \
    X(REFUSE_LOST, 14, "slot-lost",                                                                \
      "its slot was invalidated and the log no longer waits for it: it takes a copy of the state") \
    X(REFUSE_SMALLER_COPY, 15, "smaller-copy", "a copy of the state is smaller than the log")      \
    X(REFUSE_RING, 16, "ring", "following it would close a ring of followers without a leader")    \
    X(REFUSE_CHAIN, 17, "chain-too-long", "the chain of followers is as long as it may be")
enum refuse_reason {
#define X(constant, number, name, sentence) constant = number,
    REFUSE_TABLE(X)
#undef X
};
const char *refuse_name(uint8_t reason);
const char *refuse_sentence(uint8_t reason);

struct wire_plan {
    uint16_t version;     /* chosen protocol version; 0 in a refusal for versions */
    uint16_t version_min; /* the leader's range, for the refusal text */
    uint16_t version_max;
    uint64_t features;
    uint32_t feature_level;
    uint32_t frame_size_max;
    uint8_t kind;      /* enum plan_kind */
    uint8_t reason;    /* enum refuse_reason; why it is a truncation or a bootstrap, too */
    struct slice text; /* one sentence: what is wrong and what to do */
    struct id128 cluster;
    struct stream_id stream;
    uint64_t log_key;     /* only in an accepted plan */
    struct slice node_id; /* the sender's */
    uint64_t incarnation;
    struct slice data_address; /* of the leader: where writes go */
    struct slice http_address; /* of the sender */
    struct slice replication_address;
    struct epoch epoch;
    struct position from; /* CONTINUE: what was asked; TRUNCATE_TO: the fork; BOOTSTRAP: the fork,
                           * if known; archive: start */
    struct position to;   /* FROM_ARCHIVE end */
    seqno durable;
    uint64_t durable_bytes; /* log bytes up to durable */
    seqno committed;
    seqno safe;
    seqno floor; /* retention floor */
    uint64_t members_version;
    struct slice path; /* whom the sender follows, up to the leader: core/chain. Empty: it leads */
};

struct wire_batches {
    struct stream_id stream;
    struct position before; /* position the first batch extends */
    seqno durable;          /* leader's, when sent */
    uint64_t durable_bytes; /* log bytes up to durable: lag in bytes is a difference of it */
    struct slice bytes;     /* whole batches without padding */
};
struct wire_sealed {
    struct position position;
};
struct wire_ack {
    uint64_t epoch; /* leader's epoch this ack is for */
    struct position received;
    struct position stored;
    struct position applied;
    uint64_t echo_probe; /* newest probe of the leader received here */
    uint64_t apply_errors;
    uint64_t divergences;
    uint8_t is_poisoned;
    uint8_t is_diverged;        /* its state is not the leader's: it vouches for nothing */
    uint8_t is_rebootstrapping; /* it copies the state anew and serves an older one */
};
struct wire_heartbeat {
    struct epoch epoch;
    struct position durable;
    seqno committed;
    seqno safe;
    seqno floor;
    uint64_t durable_bytes; /* log bytes ever made durable: lag in bytes is a difference of it */
    uint64_t leader_time;   /* HLC */
    uint64_t echo_probe;    /* newest probe of the follower received here ... */
    seqno echo_durable;     /* ... and what was durable here when that probe arrived ... */
    uint64_t echo_staleness_ns; /* ... and how old that may have been then: 0 on a leader */
    uint8_t is_lease_valid;
    uint64_t topology_version;
    uint8_t is_cut;    /* a link between the sender and the leader is down: durable, committed are
                        * as last heard */
    struct slice path; /* as in plan */
};
/* Any node answers it, as the first message of a link or later; nothing else follows from it, but
 * that a leader that is shown a higher epoch looks for who leads in it. */
struct wire_inquire {
    struct id128 cluster; /* zero = unknown yet */
    struct slice node_id; /* who asks */
    uint64_t highest_epoch;
    uint64_t claim;                   /* promise to take nothing of a lower epoch; 0: only asked */
    uint8_t role;                     /* enum role */
    struct slice replication_address; /* of who asks; empty: takes no links */
};
struct wire_standing {
    struct id128 cluster; /* zero = unknown yet */
    struct slice node_id;
    struct slice data_address;
    struct slice http_address;
    struct slice replication_address;
    struct slice leader_address; /* whom it follows (replication address); empty on a leader */
    uint64_t incarnation;
    struct position last;
    seqno applied;
    seqno committed;
    uint64_t highest_epoch;
    uint8_t is_damaged;
    uint8_t is_bootstrapping;
    uint8_t is_voter;
    uint8_t is_serving;     /* a leader whose epoch began; a follower with a state */
    uint8_t is_claim_noted; /* the claim asked for was promised, durably, to this asker alone */
    uint8_t role;
    uint32_t epoch_count;
    struct epoch_entry epochs[WIRE_EPOCHS_MAX];
};
struct wire_fetch {
    struct position after; /* known good position before the range */
    seqno last;            /* up to and including */
};
struct wire_piece {     /* manifest bytes, or a request for them */
    uint8_t is_request; /* mark 0: of the newest one; else of the mark of the piece before */
    seqno mark;
    uint64_t offset;
    uint64_t total;
    struct slice bytes;
};
struct wire_blocks {
    uint8_t is_request;
    uint32_t count;
    struct slice bytes; /* request: hashes; else per block: hash, u32 size, bytes; an answer of 0
                         * bytes: it is not here. No block of a state is empty */
};
struct wire_progress {
    seqno mark; /* of the manifest that is copied; 0: none yet */
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t done_blocks;
    uint64_t total_blocks;
    uint64_t fetched_bytes; /* of them, those that came from others */
};
struct wire_members {
    uint64_t topology_version;
    uint32_t count;
    struct slice bytes; /* one struct wire_member after the other; the leader is one of them */
};
struct wire_handover {
    struct position position;
    struct epoch next_epoch;
};
struct wire_end {
    uint8_t reason; /* enum refuse_reason or WIRE_END_* */
    struct slice text;
};
#define WIRE_END_CLOSING      64
#define WIRE_END_UNKNOWN_KIND 65
#define WIRE_END_GAP          66
#define WIRE_END_CORRUPT      67
#define WIRE_END_FENCED       68
#define WIRE_END_POISONED     69

struct wire_message {
    enum wire_kind kind;
    uint64_t session;
    uint64_t probe;
    union {
        struct wire_hello hello;
        struct wire_plan plan;
        struct wire_batches batches;
        struct wire_sealed sealed;
        struct wire_ack ack;
        struct wire_heartbeat heartbeat;
        struct wire_inquire inquire;
        struct wire_standing standing;
        struct wire_fetch fetch;
        struct wire_piece manifest;
        struct wire_blocks blocks;
        struct wire_members members;
        struct wire_handover handover;
        struct wire_end end;
        struct wire_progress progress;
    } as;
};

/* Encode a whole frame (header and body). Returns its size, 0 when out is too small or a value is
 * one that wire_decode would refuse. */
size_t wire_encode(const struct wire_message *m, uint8_t *out, size_t capacity);
/* Batches without copying the bytes: writes frame header and the body's beginning; the caller sends
 * out, then exactly m->bytes. Returns the size of the beginning. */
#define WIRE_BATCHES_PREFIX_MAX 128u
size_t wire_encode_batches_prefix(const struct wire_batches *m, uint64_t session,
                                  uint8_t out[WIRE_BATCHES_PREFIX_MAX]);
/* Decode a body whose header was decoded and whose CRC holds. Slices borrow body. *out on OK only.
 * E_PROTOCOL names the field; E_UNSUPPORTED for an unknown kind. */
MUST_CHECK enum code wire_decode(const struct wire_header *h, struct slice body,
                                 struct wire_message *out, struct err *e);
/* One line for traces. */
struct text;
void wire_describe(const struct wire_message *m, struct text *t);

/* Contents of blocks and members messages, one by one; false at the end. wire_decode checked them.
 */
struct wire_block {
    struct hash256 hash;
    struct slice bytes; /* empty in a request */
};
bool wire_block_next(const struct wire_blocks *m, struct bytes_reader *at, struct wire_block *out);
enum wire_health { WIRE_HEALTH_UP = 1, WIRE_HEALTH_DOWN = 2 };
#define WIRE_LAG_UNKNOWN      UINT64_MAX
#define WIRE_MEMBERS_SIZE_MAX (64 * KIB) /* a whole frame of MEMBERS_MAX + 1 members */
struct wire_member {
    struct slice node_id;
    uint8_t is_voter;
    uint8_t role; /* enum role */
    uint16_t region;
    uint8_t health; /* enum wire_health */
    uint8_t is_rebootstrapping;
    uint64_t lag_records; /* WIRE_LAG_UNKNOWN: not known */
    struct slice data_address;
    struct slice http_address;
    struct slice replication_address;
};
bool wire_member_next(struct bytes_reader *at, struct wire_member *out);
/* Append one member as members messages hold it. The writer fails for a value that decode refuses.
 */
void wire_member_write(struct bytes_writer *w, const struct wire_member *m);

/* The tables that bodies are described by: documentation and tests. hello and plan have two: index
 * 0 the beginning that never changes, 1 the rest. NULL where there is none. */
const struct field_table *wire_fields(enum wire_kind kind, unsigned index);

#endif
