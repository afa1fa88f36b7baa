/* record_signal: the hot path of signal records, private to format/. record.h has the contract. */
#ifndef TIDEMARK_FORMAT_RECORD_SIGNAL_H
#define TIDEMARK_FORMAT_RECORD_SIGNAL_H

#include "format/record.h"

/* Check the body of a signal record, all of it, and make it ready for signal_entry_next.
 * E_CORRUPT names the entry and the field. */
MUST_CHECK enum code signal_body_decode(struct slice body, int64_t base_ms,
                                        struct record_signal *out, struct err *e);

#endif
