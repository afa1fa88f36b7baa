/* fake_tide: a stand-in for the database behind tidemark.h, for tests of the server alone. It keeps
 * a few counters in memory, remembers in words what it was asked, and misbehaves on request.
 * Linked into a test, it takes the place of the engine. */
#ifndef TIDEMARK_TESTS_SUPPORT_FAKE_TIDE_H
#define TIDEMARK_TESTS_SUPPORT_FAKE_TIDE_H

#include "tidemark.h"

/* Everything back to the start: a leader at epoch 1, seqno 0, nothing asked. */
void fake_reset(void);
/* A database to hand to the code under test; fake_reset ends it. */
tide_db *fake_open(void);

/* What was asked since the last call, one line an operation, e.g. "signal view a w=2 user=u". A run
 * starts with "run". The text lives until the next call. */
const char *fake_asked(void);
/* Off: nothing is remembered, for measuring. */
void fake_remember(bool is_on);

/* Runs wait until fake_go instead of being done inside tide_submit. */
void fake_hold(bool is_held);
/* Do what waits, in order; in the caller's thread. */
void fake_go(void);
/* Do runs in a thread of the fake's own, as the real database does. */
void fake_use_thread(bool is_on);

/* The next `count` tide_submit return code. */
void fake_refuse_submit(enum tide_code code, int count);
/* Every write answers code with this message (static); TIDE_OK: no more. */
void fake_fail_writes(enum tide_code code, const char *message);
/* How many followers WAIT finds. */
void fake_set_stored_by(uint32_t followers);
/* Every item in the answer of RETRIEVE has this name (static); NULL: what was signalled. */
void fake_set_item_name(const char *name);

/* What every get answers (its arrays static); NULL: an entity that is not known. */
void fake_set_entity(const struct tide_entity *known);

/* The status answered from now on; all strings must be static. */
struct tide_status *fake_status(void);

/* tide_open: takes this long, then returns code. */
void fake_set_open(uint64_t delay_ms, enum tide_code code, const char *message);
/* The options of the last tide_open. */
const struct tide_options *fake_open_options(void);
/* What tide_close returns. */
void fake_set_close(enum tide_code code);

#endif
