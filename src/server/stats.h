/* stats: what the server counts about itself. Written by the I/O thread alone, read by any thread:
 * single values are exact, values of one moment are not promised to fit each other. */
#ifndef TIDEMARK_SERVER_STATS_H
#define TIDEMARK_SERVER_STATS_H

#include <stdatomic.h>

#include "base/types.h"
#include "server/out.h"
#include "tidemark.h"

#define STATS_COMMANDS_MAX 160 /* rows of the command table, and one for unknown names */
#define STATS_BUCKETS      18  /* the last one has no bound */
#define STATS_OUTCOMES     6   /* by class of the outcome: ok, caller, retry, unknown ... */

struct stats_command {
    _Atomic uint64_t outcomes[STATS_OUTCOMES];
    _Atomic uint64_t buckets[STATS_BUCKETS];
    _Atomic uint64_t sum_ns;
};

struct stats {
    struct stats_command commands[STATS_COMMANDS_MAX];
    _Atomic uint64_t connections; /* open now */
    _Atomic uint64_t connections_accepted;
    _Atomic uint64_t connections_refused;
    _Atomic uint64_t commands_done;
    _Atomic uint64_t errors;
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
};

/* For the one thread that writes: cheaper than an atomic addition. */
static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
    uint64_t v = atomic_load_explicit(counter, memory_order_relaxed);
    atomic_store_explicit(counter, v + n, memory_order_relaxed);
}
static inline uint64_t stats_get(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

size_t stats_bucket(uint64_t duration_ns);
/* One command of a turn that took duration_ns; bucket is its stats_bucket. */
void stats_command_done(struct stats *s, size_t command, enum tide_code code, size_t bucket,
                        uint64_t duration_ns);
/* Of one command, over all outcomes. */
uint64_t stats_calls(const struct stats *s, size_t command);

/* Prometheus text 0.0.4 with HELP and TYPE. labels[i] names row i; commands never called are left
 * out. */
void stats_write_metrics(const struct stats *s, struct out *o, const char *const *labels,
                         size_t count);

#endif
