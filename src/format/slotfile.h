/* slotfile: the catalogue of followers, one file "slots", replaced by durable rename. Magic
 * "TIDESLT2", u16 version, u16 zero, u32 size, u32 count, slots, BLAKE3-256. An unreadable
 * catalogue prunes nothing. */
#ifndef TIDEMARK_FORMAT_SLOTFILE_H
#define TIDEMARK_FORMAT_SLOTFILE_H

#include "base/error.h"
#include "base/types.h"
#include "format/fields.h"
#include "format/limits.h"

/* X(constant, number, name) */
#define SLOT_STATE_TABLE(X)               \
    X(SLOT_BOOTSTRAP, 1, "bootstrap")     \
    X(SLOT_CATCHING_UP, 2, "catching_up") \
    X(SLOT_STREAMING, 3, "streaming")     \
    X(SLOT_INACTIVE, 4, "inactive")       \
    X(SLOT_AT_RISK, 5, "at_risk")         \
    X(SLOT_LOST, 6, "lost")
enum slot_state {
#define X(constant, number, name) constant = number,
    SLOT_STATE_TABLE(X)
#undef X
};
const char *slot_state_name(uint8_t state);

/* Why a slot was lost. */
enum slot_reason {
    SLOT_REASON_NONE = 0,
    SLOT_REASON_HORIZON_BYTES = 1,
    SLOT_REASON_HORIZON_RECORDS = 2,
    SLOT_REASON_IDLE = 3,
    SLOT_REASON_REMOVED = 4,
    SLOT_REASON_DIVERGED = 5,
    SLOT_REASON_LOG_MISSING = 6,
};
const char *slot_reason_name(uint8_t reason);

struct slot_record {
    char node_id[NODE_ID_SIZE_MAX + 1];
    uint64_t incarnation;
    struct stream_id stream;
    uint16_t region;                    /* where the node stands */
    char address[ADDRESS_SIZE_MAX + 1]; /* data address */
    uint8_t state;
    uint8_t reason;
    uint8_t is_voter;
    uint8_t is_rebootstrapping;
    uint64_t epoch; /* of the leader that saved this */
    seqno restart;  /* oldest record the follower may still ask for */
    seqno received;
    seqno stored;
    seqno applied;
    uint64_t idle_ns; /* accumulated monotonic inactivity */
    uint64_t apply_errors;
    uint64_t divergences;
    uint64_t invalidated_at_ms;
};

#define SLOTS_MAX         64u
#define SLOTFILE_SIZE_MAX (64 * KIB)
/* Returns the size written into out (capacity SLOTFILE_SIZE_MAX). ASSERTs what decode refuses:
 * malformed node ids, two slots of one node and stream, unknown states. */
size_t slotfile_encode(const struct slot_record *slots, uint32_t count, uint8_t *out);
/* out has room for SLOTS_MAX. E_CORRUPT, E_FORMAT (newer, with its number). Outputs on OK only. */
MUST_CHECK enum code slotfile_decode(struct slice bytes, struct slot_record *out,
                                     uint32_t *out_count, struct err *e);

extern const struct field_table slot_fields; /* for documentation */

#endif
