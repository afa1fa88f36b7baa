/* watch: asks the database once a second how it is, writes its events to the log, each once, and
 * how the link to the leader is, and keeps what greetings need to know (the role). It is also how a
 * database whose thread is stuck is noticed. Owner: the I/O thread. */
#ifndef TIDEMARK_SERVER_WATCH_H
#define TIDEMARK_SERVER_WATCH_H

#include <stdatomic.h>

#include "base/types.h"
#include "tidemark.h"

struct service;

struct watch {
    struct service *service;
    tide_run *run;
    _Atomic bool is_done; /* set by the database's thread */
    bool is_in_flight;
    bool is_first;
    bool was_link_up;
    bool is_stuck_told;
    char state[32];
    uint64_t event; /* number of the last one written to the log */
    uint64_t asked_ns;
    uint64_t complained_ns; /* when the lost link was last written to the log */
};

/* False: no memory. */
MUST_CHECK bool watch_init(struct watch *w, struct service *service);
/* The database is closed. */
void watch_fini(struct watch *w);
/* Every tick: ask, when a second has passed. */
void watch_tick(struct watch *w);
/* After a wake: look at the answer, if there is one. */
void watch_look(struct watch *w);

#endif
