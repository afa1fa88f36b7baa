/* fake_run: what the stand-in's runs are made of, for the two files that build and carry them out.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_FAKE_RUN_H
#define TIDEMARK_TESTS_SUPPORT_FAKE_RUN_H

#include "tidemark.h"

enum fake_kind {
    FAKE_SIGNAL,
    FAKE_SIGNALS,
    FAKE_BEGIN,
    FAKE_END,
    FAKE_UNSIGNAL,
    FAKE_SCHEMA,
    FAKE_SKIP,
    FAKE_PRODUCER,
    FAKE_SCORE,
    FAKE_COUNT,
    FAKE_RETRIEVE,
    FAKE_SHOW,
    FAKE_POSITION,
    FAKE_DIGEST,
    FAKE_CHECKPOINT,
    FAKE_SEAL,
    FAKE_WAIT,
    FAKE_ITEMS,
    FAKE_STATUS,
    FAKE_METRICS,
    FAKE_CLOCK,
    FAKE_CONFIGURE,
    FAKE_PLAN,
    FAKE_SLOT,    /* a drop or a rename */
    FAKE_MEMBERS, /* answered when it is added */
    FAKE_PUT,     /* also a deletion */
    FAKE_GET,
};

struct fake_op {
    enum fake_kind kind;
    struct tide_bytes type;
    struct tide_bytes item;
    double weight;
    uint64_t number;
    uint64_t more;
    struct tide_signal *signals;
    struct tide_item *items;
    struct tide_result result;
    char *line; /* in words; NULL when nothing is remembered */
};

struct tide_run {
    struct fake_op *ops;
    size_t count;
    size_t capacity;
    struct tide_run *next;
    tide_callback callback;
    void *arg;
};

extern bool fake_is_remembering; /* lines are kept; off while measuring */

#endif
