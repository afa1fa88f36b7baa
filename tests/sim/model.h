/* model: what the clients of a simulated history asked for and were told. It stands outside the
 * faulty world: nothing here is ever lost, and every answer of a node is compared with it.
 *
 * A write is one thing a client wants done once: one signal, one atomic list of signals, or one
 * member of a group. It is sent once or several times with the same idempotency key or producer
 * number, until its outcome is known. From the writes and the positions they were given the model
 * says what a node at position p must show: everything acknowledged at or below p, nothing
 * acknowledged above p, and perhaps what is still unknown.
 *
 * Owner: one history. Memory failure ends the process.
 */
#ifndef TIDEMARK_TESTS_SIM_MODEL_H
#define TIDEMARK_TESTS_SIM_MODEL_H

#include "base/types.h"
#include "sim/world.h"
#include "tidemark.h"

#define MODEL_ITEMS      24u
#define MODEL_TYPES      7u
#define MODEL_PLAIN      5u /* the types before this one count every signal, the others a user once */
#define MODEL_USERS      12u
#define MODEL_NO_USER    UINT8_MAX
#define MODEL_DOCS       6u /* items with fields, which have no signals */
#define MODEL_DOC_FIELDS 3u
#define MODEL_CUTS_MAX   64u
#define MODEL_SEQNOS_MAX 65536u /* positions beyond this are not remembered */

struct model_type {
    const char *name;
    bool has_times; /* clients give event times, so scores can be foretold */
};
extern const struct model_type model_types[MODEL_TYPES];
#define MODEL_HALFLIFE_MS (7.0 * 24 * 3600 * 1000) /* of the built-in types */

struct model_entry {
    uint8_t type;
    uint8_t item;
    uint8_t user;
    bool is_undo; /* takes back what the user signalled; of types that count a user once */
    double weight;
    int64_t at_ms; /* 0: when it arrives */
};

/* What a write that is no signal changes of a doc. */
enum change_kind { CHANGE_NONE, CHANGE_PUT, CHANGE_UNSET, CHANGE_DELETE };
struct model_change {
    enum change_kind kind;
    uint8_t doc;
    uint8_t field; /* not of a deletion */
};

enum write_state {
    WRITE_WAITING, /* not sent, or refused and to be sent again */
    WRITE_SENT,
    WRITE_UNKNOWN, /* sent, the answer is lost or says UNKNOWN */
    WRITE_ACKED,
    WRITE_REFUSED, /* for good: it must never show */
    WRITE_LOST,    /* acknowledged, then given up in a change of leaders: it must never show */
};

struct model_write {
    enum write_state state;
    bool is_keyed;
    bool was_unknown;  /* some attempt's outcome was unknown: a duplicate is possible */
    uint32_t producer; /* 0: none */
    uint64_t producer_number;
    uint32_t copies; /* followers that its level asks for; 0: local */
    uint32_t group;  /* writes of one group share a number; 0: none */
    uint32_t attempts;
    uint32_t first_entry;
    uint32_t entry_count;
    struct model_change change; /* then there are no entries */
    bool is_place_vague;        /* a producer's duplicate: the record is at `where` or before it */
    bool is_claim;              /* without a record: things are as wanted at `where` already */
    struct tide_position where;
};

/* What is known of one record number: which history it lies in, and the digest after it. */
struct model_place {
    uint64_t epoch;
    uint8_t chain4[4];
    bool is_known;
    bool has_root;
    uint8_t root[32];
    uint32_t root_node;
    uint64_t durable_ns; /* when the leader first had it on disk; 0: not seen */
};

struct model {
    struct world *world;
    struct model_write *writes;
    uint32_t write_count;
    uint32_t write_capacity;
    struct model_entry *entries;
    uint32_t entry_count;
    uint32_t entry_capacity;
    struct model_place *places; /* by seqno */
    uint64_t place_capacity;
    uint64_t place_count; /* highest seqno known + 1 */
    uint64_t acked_max;   /* highest seqno acknowledged to anybody */
    uint64_t acked_min;   /* lowest one; 0: none yet */
    uint32_t group_count;
    struct model_cut {
        uint64_t epoch;
        uint64_t start;
    } cuts[MODEL_CUTS_MAX];
    uint32_t cut_count;
};

void model_init(struct model *m, struct world *world);
void model_fini(struct model *m);

/* Begin a write; returns its number. Entries are added right after. */
uint32_t model_write_new(struct model *m, bool is_keyed, uint32_t producer, uint64_t number,
                         uint32_t group);
void model_entry_add(struct model *m, struct model_entry entry);
/* The key of a write, "k123". */
#define MODEL_KEY_SIZE 16
size_t model_key(uint32_t write, char out[MODEL_KEY_SIZE]);
/* The name of an item, "item-7". */
size_t model_item(uint32_t item, char out[MODEL_KEY_SIZE]);
size_t model_user(uint32_t user, char out[MODEL_KEY_SIZE]);

void model_sent(struct model *m, uint32_t write);
/* The node died before it answered, or answered with UNKNOWN. */
void model_unknown(struct model *m, uint32_t write);
/* The answer says that nothing was done and nothing will be. */
void model_refused(struct model *m, uint32_t write, bool is_final);
/* The answer says done, at `where`. Fails the history when that contradicts an earlier answer. */
void model_acked(struct model *m, uint32_t write, const struct tide_position *where,
                 bool is_duplicate);

/* A position seen anywhere: two histories with one number fail the run. */
void model_saw_position(struct model *m, uint32_t node, uint64_t epoch, uint64_t record,
                        const uint8_t chain4[4]);
/* A leader of this epoch goes on after record start - 1: what was acknowledged beyond is lost. */
void model_cut(struct model *m, uint64_t epoch, uint64_t start, bool may_lose);
/* Does the position lie in the history of the present leader? */
bool model_is_current(const struct model *m, uint64_t epoch, uint64_t record);
/* A digest of some node at this record number. */
void model_saw_root(struct model *m, uint32_t node, uint64_t record, const uint8_t root[32]);
/* The leader's durable position reached `to`. */
void model_saw_durable(struct model *m, uint64_t to, uint64_t now_ns);
/* How long ago, in ns of true time, the first record after `applied` became durable; 0 when the
 * leader has none. */
uint64_t model_staleness_ns(const struct model *m, uint64_t applied, uint64_t leader_durable);

/* May a node whose applied position is at most `to` show the write? */
bool model_may_show(const struct model_write *w, uint64_t to);

struct model_bounds {
    uint64_t low;
    uint64_t high;
};
/* Fails the history when a signal or undo that changed nothing was answered with a position at
 * which things were otherwise. Of a type that counts users once, without a key. */
void model_check_claims(const struct model *m);
/* Where users count once, their signals and undos are replayed by the positions they were given:
 * none of them comes from a producer, so that no position is vague. What COUNT may say on a node
 * whose applied position is between from and to. */
void model_count_bounds(const struct model *m, uint64_t from, uint64_t to,
                        struct model_bounds out[MODEL_TYPES][MODEL_ITEMS]);
struct model_score {
    double sum;
    double scale;      /* sum of the absolute terms, for a tolerance */
    bool is_uncertain; /* an outcome is unknown, or an event time is */
};
/* The decayed sums at at_ms once everything acknowledged is visible. */
void model_scores(const struct model *m, int64_t at_ms,
                  struct model_score out[MODEL_TYPES][MODEL_ITEMS]);
/* Highest number of a producer that was acknowledged, and the highest ever sent. */
struct model_bounds model_producer_bounds(const struct model *m, uint32_t producer);
/* How many writes have no outcome and could have one, and the first of them. */
uint32_t model_unresolved(const struct model *m, uint32_t *out_example);

#endif
