/* world: virtual time and the one list of what happens next. Everything in a simulated history is
 * an event: it runs alone, in the order of (time, order of scheduling), and time stands still while
 * it runs. The same seed gives the same events.
 *
 * An event may be bound to one life of a node: it is dropped when that process has ended, and put
 * off while the process is paused. Randomness comes from one stream per subsystem, so that a draw
 * more in one does not move the others.
 *
 * Never: reads a clock, a file, an address as a number. Owner: one thread.
 */
#ifndef TIDEMARK_TESTS_SIM_WORLD_H
#define TIDEMARK_TESTS_SIM_WORLD_H

#include "base/random.h"
#include "base/types.h"
#include "sim/coverage.h"

#define WORLD_NODES_MAX 7u
#define WORLD_NO_NODE   UINT32_MAX

enum world_stream {
    STREAM_NET,
    STREAM_DISK,
    STREAM_CLIENT,
    STREAM_FAULTS,
    STREAM_CLOCKS,
    STREAM_ENV,
    STREAM_READER,
    STREAM_WORDS,
    STREAM_CORE,
    STREAM_COUNT
};

/* X(constant, name in the trace) */
#define EVENT_TABLE(X)            \
    X(EVENT_POST, "post")         \
    X(EVENT_TIMER, "timer")       \
    X(EVENT_JOB_RUN, "job.run")   \
    X(EVENT_JOB_DONE, "job.done") \
    X(EVENT_CONNECT, "connect")   \
    X(EVENT_ACCEPT, "accept")     \
    X(EVENT_OPENED, "opened")     \
    X(EVENT_DELIVER, "deliver")   \
    X(EVENT_SENT, "sent")         \
    X(EVENT_DRAINED, "drained")   \
    X(EVENT_LINK_END, "link.end") \
    X(EVENT_CLIENT, "client")     \
    X(EVENT_FAULT, "fault")       \
    X(EVENT_REPAIR, "repair")     \
    X(EVENT_START, "start")       \
    X(EVENT_CHECK, "check")
enum event_kind {
#define X(constant, name) constant,
    EVENT_TABLE(X)
#undef X
};

struct world;
typedef void (*event_run)(struct world *w, void *arg, uint64_t number);

struct event {
    uint64_t at_ns;
    uint64_t order;
    enum event_kind kind;
    uint32_t node; /* whose process runs it; WORLD_NO_NODE: nobody's */
    uint64_t life;
    event_run run;
    void *arg;
    uint64_t number; /* for run; part of the trace */
};

/* What the world knows of a process. life 0: never started; odd: running. */
struct world_node {
    uint64_t life;
    uint64_t paused_until_ns;
};

#define WORLD_FAILURE_SIZE 512

struct world {
    uint64_t seed;
    uint64_t now_ns;
    uint64_t next_order;
    struct event *events; /* binary heap */
    size_t event_count;
    size_t event_capacity;
    struct world_node nodes[WORLD_NODES_MAX];
    struct random random[STREAM_COUNT];
    struct coverage coverage;
    /* After each event, before the next: checks, and the burial of nodes that died in it. */
    void (*after)(struct world *w, const struct event *ev);
    /* What to print behind each trace line: the state of all nodes. May be NULL. */
    void (*describe)(struct world *w, char *out, size_t size);
    void *owner; /* of the two callbacks */
    /* Takes the trace lines instead of stdout. May be NULL. */
    void (*sink)(struct world *w, uint32_t node, const char *text);
    void *sink_arg;
    uint64_t trace_hash;
    bool is_tracing;
    bool is_trace_dense;      /* only world_trace lines, no event lines */
    const char *failed_check; /* NULL: nothing is wrong */
    char failure[WORLD_FAILURE_SIZE];
};

void world_init(struct world *w, uint64_t seed);
void world_fini(struct world *w);

/* node WORLD_NO_NODE, or a node whose present life the event belongs to. */
void world_schedule(struct world *w, uint64_t delay_ns, enum event_kind kind, uint32_t node,
                    event_run run, void *arg, uint64_t number);
/* Run the next event. False: there is none, or a check failed. */
bool world_step(struct world *w);

/* A process begins or ends: events of the life before are dropped. */
void world_life_begins(struct world *w, uint32_t node);
void world_life_ends(struct world *w, uint32_t node);
bool world_is_alive(const struct world *w, uint32_t node);

/* The first failure stays; the history ends after the event. */
void world_fail(struct world *w, const char *check, const char *format, ...) PRINTF_LIKE(3, 4);
/* A line of the trace; also mixed into the trace hash. */
void world_trace(struct world *w, uint32_t node, const char *format, ...) PRINTF_LIKE(3, 4);
/* Only print, when tracing: words of the engine, which are no part of the hash. */
void world_print(struct world *w, uint32_t node, const char *text);
/* Mix an observed value into the trace hash. */
void world_note(struct world *w, uint64_t value);

/* A time around the mean, with a long tail: mean * -ln(u), at most 20 times the mean. */
uint64_t world_draw_delay(struct world *w, enum world_stream stream, uint64_t mean_ns);
/* from..to inclusive. */
uint64_t world_draw_range(struct world *w, enum world_stream stream, uint64_t from, uint64_t to);
bool world_draw_chance(struct world *w, enum world_stream stream, uint32_t per_million);

#endif
