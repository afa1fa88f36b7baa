/* state_log: a log in memory for tests and benchmarks of the state: records are written into
 * batches, sealed batches are kept and can be applied to any number of states, in one go or in
 * pieces. Every call ends the program when it does not work; not part of the product.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_STATE_LOG_H
#define TIDEMARK_TESTS_SUPPORT_STATE_LOG_H

#include "core/state/state.h"

struct log_batch {
    struct batch_header header;
    struct position end;
    uint8_t *payload;
    size_t payload_size;
};

struct state_log {
    struct id128 cluster;
    struct stream_id stream;
    struct log_batch *batches;
    size_t batch_count;
    size_t batch_capacity;
    /* The batch under construction. */
    uint64_t leader_ms; /* of the next batch; a test moves it */
    struct epoch epoch; /* of the next batch */
    struct bytes_writer w;
    uint32_t record_count;
};

void state_log_init(struct state_log *l, uint64_t leader_ms);
void state_log_fini(struct state_log *l);

/* Add a record to the batch under construction. */
void state_log_record(struct state_log *l, const struct record *r);
void state_log_entries(struct state_log *l, const struct record_envelope *envelope,
                       const struct signal_entry *entries, uint32_t count);
/* One signal with a key given as text. */
void state_log_signal(struct state_log *l, uint32_t type_id, const char *item, int64_t time_ms,
                      double weight);
/* Declare a count type of positive polarity; halflife_ms 0: none. */
void state_log_type(struct state_log *l, uint32_t id, const char *name, uint64_t halflife_ms);
struct record state_log_type_record(uint32_t id, const char *name, uint64_t halflife_ms);
/* Bytes in the batch under construction. */
size_t state_log_size(const struct state_log *l);
/* End the batch; empty ones get a noop. Returns its index. */
size_t state_log_seal(struct state_log *l);

/* Position after the first n batches. */
struct position state_log_position(const struct state_log *l, size_t n);
/* A state of this log's cluster and stream. */
struct state *state_log_state(const struct state_log *l, struct alloc *alloc);
/* Apply batch i; the code is the caller's to judge. */
enum code state_log_try(const struct state_log *l, size_t i, struct state *s,
                        struct state_outcome *out, struct err *e);
/* Apply batches [from, to); all must work. */
void state_log_apply(const struct state_log *l, size_t from, size_t to, struct state *s);

/* The state's root at this moment. */
struct hash256 state_log_root(struct state *s);
/* Save the state and load it into a new one. */
struct state *state_log_reload(const struct state_log *l, struct state *s, struct alloc *alloc);
/* Load a version's blocks, one of them replaced (changed may be NULL). OK, or the first error. */
enum code state_log_load(const struct state_version *v, struct state *into, uint32_t changed_index,
                         const uint8_t *changed, struct err *e);

#endif
