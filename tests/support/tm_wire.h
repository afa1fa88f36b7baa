/* tm_wire: a transport around another one, which a test can hold, cut and disturb. It sits where a
 * follower connects; the leader uses the inner transport. Any thread may turn its knobs. */
#ifndef TIDEMARK_TESTS_SUPPORT_TM_WIRE_H
#define TIDEMARK_TESTS_SUPPORT_TM_WIRE_H

#include <stdbool.h>

#include "tidemark.h"

struct tm_wire;

/* inner is borrowed. Ends the program on failure. */
struct tm_wire *tm_wire_new(const struct tide_transport *inner);
void tm_wire_free(struct tm_wire *w); /* NULL is allowed; no connection is open any more */
const struct tide_transport *tm_wire_transport(const struct tm_wire *w);

void tm_wire_hold(struct tm_wire *w, bool is_held); /* nothing passes, connections stay */
void tm_wire_cut(struct tm_wire *w, bool is_cut);   /* connections end, none can be made */
void tm_wire_flip(struct tm_wire *w);               /* one bit of what the follower receives next */
bool tm_wire_was_flipped(struct tm_wire *w);

#endif
