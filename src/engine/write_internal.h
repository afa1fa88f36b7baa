/* write_internal: what the gate (write_gate.c), the group (write_group.c) and the operations
 * (write.c) share. Nobody else includes this. */
#ifndef TIDEMARK_ENGINE_WRITE_INTERNAL_H
#define TIDEMARK_ENGINE_WRITE_INTERNAL_H

#include "base/bytes.h"
#include "base/hash.h"
#include "engine/overlay.h"
#include "engine/pending_edges.h"
#include "engine/pending_puts.h"
#include "engine/write.h"

/* The batch under construction. buffer starts with room for the header; the payload follows. */
struct open_group {
    uint8_t *buffer;
    size_t capacity;
    struct bytes_writer writer; /* over the payload's room */
    seqno first;
    uint32_t record_count;
    uint64_t leader_time;
    uint64_t opened_ns;
    bool is_housekeeping; /* no record with a client's cause so far */
    bool must_close;
};

/* What applying one batch could cost at worst, which was closed and is not applied; reserved when
 * its records passed the gate. Depth 1: one batch is applied while the next is written. */
struct closed_growth {
    seqno last;
    struct state_growth growth;
};
#define CLOSED_GROWTH_MAX 4u

struct write {
    struct db *db;
    struct overlay overlay;
    struct pending_edges edges;
    uint32_t edges_mark; /* its tail when the operation at hand was taken up */
    bool is_record_kept; /* the record being judged has a key or a producer's number */
    struct open_group group;
    seqno assigned;                                        /* highest seqno given out */
    struct state_growth open_growth;                       /* of the group */
    struct closed_growth closed_growth[CLOSED_GROWTH_MAX]; /* oldest first */
    uint32_t closed_growth_count;
    struct signal_entry *scratch;
    uint32_t scratch_capacity;
    struct pending_puts puts;
    seqno members_pending; /* a list of members that is appended and not applied; 0 none */
    uint8_t *members; /* records of a group: RECORD_SIZE_MAX bytes, from the first such group on */
    uint8_t *list;    /* fields of the put being judged */
    size_t list_capacity;
    uint64_t closed_ns; /* when the last group was handed to the log */
    struct env_timer delay_timer;
    bool is_delay_running;
    bool is_anyone_waiting;
};

/* --- gate: judging; each returns a code and fills e, changes nothing --- */
enum code gate_type(struct write *w, struct slice name, const struct signal_type **out,
                    struct err *e);
enum code gate_size(const char *what, struct slice s, size_t min, struct err *e);
/* out_type: borrowed until the next record is noted or applied. */
enum code gate_entry(struct write *w, const struct op_entry *entry, struct signal_entry *out,
                     const struct signal_type **out_type, struct err *e);
/* Is this write a duplicate? Then the first write's position, or its pending seqno, is the answer.
 */
struct gate_answer {
    bool is_duplicate;
    bool waits; /* for a record that is not applied yet */
    struct tide_result result;
};
enum code gate_key(struct write *w, struct slice key, struct id128 *out_key,
                   struct gate_answer *out, struct err *e);
enum code gate_producer(struct write *w, struct slice producer, uint64_t number,
                        struct gate_answer *out, struct err *e);
enum code gate_room(struct write *w, const struct state_growth *more, struct err *e);
void growth_add(struct state_growth *sum, const struct state_growth *more);
enum code gate_schema(struct write *w, const struct tide_schema_signal *schema,
                      struct signal_type *out, bool *out_exists, struct err *e);
enum code gate_field(struct write *w, struct slice name, uint64_t kind, struct schema_field *out,
                     bool *out_exists, struct err *e);

/* --- edges: judging what counts a user once; what passes is noted as pending --- */
/* Does the signal, of any mode, change anything? *out is left alone unless it does not. */
enum code edges_judge_signal(struct write *w, const struct signal_type *type,
                             const struct signal_entry *entry, struct gate_answer *out,
                             struct err *e);
/* An undo: the record to append, or the answer when there is nothing to take back. is_kept: it has
 * a key of its own to remember. */
enum code edges_judge_undo(struct write *w, const struct op_entry *entry, bool is_kept,
                           struct record *out, struct gate_answer *answer, struct err *e);
/* How many words the operation at hand has noted. */
uint64_t edges_judged(const struct write *w);

/* Times as every write may have them. at_ms 0: now. */
enum code gate_time(struct write *w, int64_t at_ms, int64_t *out_ms, struct err *e);

/* --- write: what the operations share --- */
/* What the options of a whole record say. */
struct judgement {
    struct record_envelope envelope;
    struct gate_answer duplicate;
};
/* Key before producer: a duplicate key answers with its own first write. */
enum code write_judge_envelope(struct write *w, struct op *op, struct judgement *out,
                               struct err *e);
/* Judge one entry into scratch[*count]; an entry that is a duplicate, or one that would change
 * nothing, is left out and answered in *duplicate. */
enum code write_judge_entry(struct write *w, const struct op_entry *entry, uint32_t *count,
                            struct gate_answer *duplicate, struct err *e);
/* Room for so many entries in the scratch. False: no memory. */
bool write_take_scratch(struct write *w, uint32_t count);
bool write_is_key_in_scratch(const struct write *w, uint32_t count, const struct id128 *key);
struct state_growth write_growth_of(const struct write *w, uint32_t count); /* of the scratch */
/* Append a record and remember the keys of scratch[0..key_count-1], its envelope and its growth.
 * E_BUSY with an empty text: stalled, nothing changed. */
enum code write_append(struct write *w, const struct record *r, uint32_t key_count,
                       const struct state_growth *growth, struct err *e);
/* The same for scratch[0..count-1] as one signal record. */
enum code write_append_signals(struct write *w, const struct record_envelope *envelope,
                               uint32_t count, struct err *e);
/* A record without an effect of its own: it moves the producer on. Without a producer in the
 * envelope nothing is appended. */
enum code write_append_producer(struct write *w, const struct record_envelope *envelope,
                                struct err *e);
bool write_is_stalled(enum code code, const struct err *e);
/* The results: refused, appended as s, or there before. */
void write_refuse_op(struct tide_run *run, struct op *op, const struct err *e);
void write_accept(struct tide_run *run, struct op *op, seqno s);
void write_accept_duplicate(struct tide_run *run, struct op *op, bool waits);
enum code write_finish_duplicate(struct write *w, struct tide_run *run, struct op *op,
                                 const struct judgement *j, struct err *e);

/* --- write_multi --- */
/* Index of the group's end, or the run's count. */
uint32_t multi_end(const struct tide_run *run, uint32_t begin);
/* The whole group. E_BUSY with an empty text: stalled, nothing changed. */
enum code multi_write(struct write *w, struct tide_run *run, uint32_t begin, uint32_t end,
                      struct err *e);

/* --- write_entities --- */
/* What a put or deletion becomes. The record borrows the operation's bytes and w->list. */
struct entity_write {
    struct record record;
    struct state_growth growth;
};
/* Judge an OP_ENTITY_PUT or OP_ENTITY_DELETE and note it as tried in w->puts. E_BUSY with an empty
 * text: it can be judged only when what is pending for the same entity was applied. */
enum code entity_judge_op(struct write *w, struct op *op, struct entity_write *out, struct err *e);
/* One such operation, outside of a group. */
enum code entity_write(struct write *w, struct tide_run *run, struct op *op, struct err *e);

/* --- group: encoding --- */
/* Encode one record as the next of the group. E_BUSY: the group has no room, close it first;
 * E_LIMIT: the record exceeds record_size_max. */
enum code group_add(struct write *w, const struct record *r, bool is_housekeeping, struct err *e);
enum code group_add_signals(struct write *w, const struct record_envelope *envelope,
                            const struct signal_entry *entries, uint32_t count, struct err *e);
/* Take back the newest record; mark is what bytes_written was before it. */
void group_drop_newest(struct write *w, size_t payload_size_before);
/* Make the chunk of the group's batch, ready for the log; NULL: no memory. Empties the group. */
struct log_chunk *group_close(struct write *w);
int64_t group_base_ms(struct write *w); /* leader time of the open group, ms; opens it */

#endif
