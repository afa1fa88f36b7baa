/* identity: who a node is and what it promised. Two files, identity.a and identity.b, each a whole
 * checksummed copy; a save writes and syncs one, then the other, so one is good at every moment.
 * The good copy with the higher version counts. Layout: magic "TIDEIDN2", u16 version, u16 zero,
 * u32 size, fields in the order of the struct (strings as slice8), BLAKE3-256 of all before.
 *
 * mark: two 128-byte slots in one file, written in turn after each group without a sync of its own
 * (lazy), so that it can never endanger identity. A slot:
 *   off size field
 *     0    8 magic "TIDEMRK2"
 *     8    8 version, grows by one
 *    16    8 durable epoch   24 8 durable seqno   32 32 durable chain
 *    64    8 committed seqno
 *    72    8 file id of the active segment
 *    80    8 generation that it speaks of
 *    88   36 zero
 *   124    4 CRC32C over bytes 0..123, keyed with the log key
 */
#ifndef TIDEMARK_FORMAT_IDENTITY_H
#define TIDEMARK_FORMAT_IDENTITY_H

#include "base/error.h"
#include "base/types.h"
#include "format/fields.h"
#include "format/limits.h"

enum role { ROLE_SINGLE = 1, ROLE_LEADER = 2, ROLE_FOLLOWER = 3 };
const char *role_name(enum role r);

/* One leadership as this node knows it: records from `start` on belong to it. */
struct epoch_entry {
    struct epoch epoch;
    seqno start;                 /* seqno of its epoch-start record */
    struct hash256 chain_before; /* chain before that record */
};

/* Ordered intent to give up a tail; redone at open until done. state: steps finished. */
enum truncation_step {
    TRUNCATION_NONE = 0,
    TRUNCATION_INTENDED = 1,
    TRUNCATION_QUARANTINED = 2,
    TRUNCATION_MANIFESTS_DROPPED = 3,
    TRUNCATION_LOG_CUT = 4,
    TRUNCATION_STATE_RELOADED = 5,
};
struct truncation_intent {
    uint8_t step; /* enum truncation_step; 0 = no intent pending */
    struct position fork;
    struct position end; /* of the log before: what is given up lies between */
    uint64_t link_nonce;
    seqno lowered_mark;
};

/* Whom a follower means to follow. */
enum follows {
    FOLLOWS_NAMED = 0,  /* the node at leader_address, of which nothing is known yet */
    FOLLOWS_LEADER = 1, /* whoever leads; it was at leader_address */
    FOLLOWS_NODE = 2,   /* the node at leader_address, whatever its role: a follower once */
};

#define IDENTITY_LED_MAX 256

struct identity {
    uint64_t version;     /* of this save; grows by one */
    struct id128 cluster; /* zero = cluster unknown (an empty follower) */
    uint64_t log_key;     /* 0 = unknown yet */
    char node_id[NODE_ID_SIZE_MAX + 1];
    uint64_t incarnation; /* one per open */
    struct stream_id stream;
    uint8_t role;                              /* enum role */
    char leader_address[ADDRESS_SIZE_MAX + 1]; /* replication address to follow; "" on a leader */
    char leader_data_address[ADDRESS_SIZE_MAX + 1]; /* as last heard; for READONLY answers */
    uint8_t follows;                                /* enum follows */
    char follow_given[ADDRESS_SIZE_MAX + 1]; /* what the options named last; "": nothing yet */
    uint64_t highest_epoch;                  /* highest epoch number seen anywhere */
    uint64_t history_id;      /* changes with an announced re-bootstrap or truncation */
    uint64_t generation;      /* active generation: which manifest family and log base count */
    struct position log_base; /* position before the oldest record this log can hold */
    uint64_t log_base_bytes;  /* log bytes (padding included) of all records up to there */
    uint64_t first_segment; /* registered segments: file ids first..last must exist (0,0 = none) */
    uint64_t last_segment;
    uint64_t log_first_file; /* files with lower ids belong to an older generation */
    uint32_t feature_level;
    struct truncation_intent intent;
    uint32_t epoch_count;
    struct epoch_entry epochs[EPOCH_TABLE_MAX]; /* ascending */
    uint32_t led_count; /* epochs this node led, by number, ascending; last 256 */
    uint64_t led[IDENTITY_LED_MAX];
    uint64_t fetched_epoch; /* records of epochs up to this one may have been fetched back */
};

/* The epochs whose records in the log this node wrote itself, ascending: of those that it led, the
 * ones of which it fetched nothing back. Borrowed. */
const uint64_t *identity_written_epochs(const struct identity *id, uint32_t *out_count);

#define IDENTITY_FILE_SIZE_MAX (128 * KIB)

/* Returns the size written into out (capacity IDENTITY_FILE_SIZE_MAX). ASSERTs what identity_decode
 * refuses: node id, role, order of the tables. */
size_t identity_encode(const struct identity *id, uint8_t *out);
/* E_CORRUPT, E_FORMAT (newer, with its number). *out on OK only. */
MUST_CHECK enum code identity_decode(struct slice bytes, struct identity *out, struct err *e);

struct mark {
    uint64_t version;
    struct position durable;
    seqno committed;
    uint64_t segment;
    uint64_t generation; /* a mark of another one says nothing */
};
#define MARK_SLOT_SIZE 128u
#define MARK_FILE_SIZE ((size_t)2 * MARK_SLOT_SIZE)
void mark_encode(const struct mark *m, uint64_t log_key, uint8_t out[MARK_SLOT_SIZE]);
/* The newer of the valid slots; false when none is valid. */
bool mark_decode(struct slice file, uint64_t log_key, struct mark *out);

/* The tables behind identity, for documentation and other files with an epoch table. */
extern const struct field_table identity_fields;
extern const struct field_table epoch_entry_fields;
/* Ascending in number and start, as every epoch table is? */
bool epoch_entries_are_ascending(const struct epoch_entry *entries, uint32_t count);

#endif
