/* life: a node on a mem_disk that lives through steps, and what a client was told meanwhile. The
 * oracle stands outside: a rehearsal of the same steps gives it a hash of everything that the state
 * holds after each batch but for its own counters (BLOCK_META), so that whatever opens after a
 * crash must hold exactly what some number of these batches made, at least as many as were
 * acknowledged.
 */
#ifndef TIDEMARK_TESTS_ENUM_LIFE_H
#define TIDEMARK_TESTS_ENUM_LIFE_H

#include "base/hash.h"
#include "enum/mem_disk.h"
#include "support/node.h"

enum step {
    STEP_APPEND, /* one signal: one record in one batch */
    STEP_BATCH,  /* several records in one batch: a put, a group, signals with keys */
    STEP_SEAL,
    STEP_CHECKPOINT,
    STEP_PRUNE,     /* all followers store everything, a checkpoint: the old end of the log goes */
    STEP_SLOT_SAVE, /* a new follower: the catalogue is saved at once */
    STEP_RESTART,
    STEP_COUNT,
};
extern const char *const step_names[STEP_COUNT];

#define LIFE_BATCHES_MAX 192u

/* What is known of a history from outside: numbers are batches of writes since its beginning. */
struct oracle {
    struct hash256 contents[LIFE_BATCHES_MAX]; /* after that many batches */
    uint32_t known;                            /* contents, but for the first */
    uint32_t ends[LIFE_BATCHES_MAX];           /* the batch that ends a write */
    uint32_t writes;                           /* given to the node */
    uint32_t handed;                           /* batches that these make */
    uint32_t acknowledged;
};

struct life {
    struct mem_disk *disk;
    struct node n;
    struct oracle oracle;
    uint32_t followers;
    uint64_t openings;
    uint64_t pruned;   /* records */
    bool is_rehearsal; /* the oracle learns */
};

struct tide_options life_options(void);
/* Open; each opening draws other random numbers. */
MUST_CHECK enum code life_open(struct life *l, struct err *e);
/* Carry out one step; ends the program when the node does not do it. */
void life_step(struct life *l, enum step step);
/* Follower `number` comes with everything that is durable; its slot waits to be saved. */
void join_follower(struct db *db, uint32_t number);
/* As a killed process. */
void life_end(struct life *l);

/* A node on a disk, for looking at it: db NULL when it refused. */
struct node open_on(struct mem_disk *disk, uint64_t seed, struct err *e);
void abandon_on(struct node *n);
/* Everything that the state holds but for its counters. */
struct hash256 content_of(struct node *n);
/* How many batches make this content; UINT32_MAX: no number does. */
uint32_t batches_in(const struct oracle *o, const struct hash256 *content);

/* A disk with a few sealed segments, two checkpoints, a follower's slot and an unsealed segment,
 * after a kill; and the oracle for it. */
void life_prologue(struct life *l);

#endif
