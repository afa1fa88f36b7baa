/* level: how many copies a write waits for, as a value: its text, its bounds, equality. What a
 * level means is in core/quorum.
 *
 *   local        this node's own log, fsynced
 *   stored:k     also in the logs of k followers, fsynced
 *   applied:k    also visible to the readers of k followers
 *   majority     stored by a majority of the voters, the leader counted when it is one
 *   regions:a,b  stored by a node in each of these regions
 *
 * Pure; never allocates.
 */
#ifndef TIDEMARK_CORE_LEVEL_H
#define TIDEMARK_CORE_LEVEL_H

#include "base/error.h"
#include "base/types.h"

#define LEVEL_COUNT_MAX   64u /* as many as there are slots */
#define LEVEL_REGIONS_MAX 4u
#define LEVEL_TEXT_SIZE   48u /* "regions:65535,65535,65535,65535" and its NUL */

/* X(constant, number, word) */
#define LEVEL_TABLE(X)               \
    X(LEVEL_DEFAULT, 0, "default")   \
    X(LEVEL_LOCAL, 1, "local")       \
    X(LEVEL_STORED, 2, "stored")     \
    X(LEVEL_APPLIED, 3, "applied")   \
    X(LEVEL_MAJORITY, 4, "majority") \
    X(LEVEL_REGIONS, 5, "regions")
enum level_kind {
#define X(constant, number, word) constant = number,
    LEVEL_TABLE(X)
#undef X
};
#define LEVEL_KINDS 6u

struct level {
    uint8_t kind;                        /* enum level_kind */
    uint8_t count;                       /* k of stored and applied; how many regions */
    uint16_t regions[LEVEL_REGIONS_MAX]; /* ascending, each once; the rest 0 */
};

const char *level_word(uint8_t kind); /* "stored"; "unknown" for numbers not in the table */
/* E_INVALID for an unknown word, E_LIMIT for a number out of bounds, each with a sentence. */
MUST_CHECK enum code level_parse(struct slice text, struct level *out, struct err *e);
/* Puts a level in its one form (regions ascending, the rest zero) and judges its bounds, as
 * level_parse does. LEVEL_DEFAULT passes. */
MUST_CHECK enum code level_check(struct level *level, struct err *e);
/* Write the text with its NUL; returns the size without it. */
size_t level_format(const struct level *level, char out[LEVEL_TEXT_SIZE]);
bool level_equal(const struct level *a, const struct level *b);

#endif
