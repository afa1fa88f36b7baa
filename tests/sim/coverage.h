/* coverage: what a simulated history went through, counted, so that a green run can say what it
 * was green about. A counter that stays at zero over many seeds is a fault that is never tried.
 * One owner thread.
 */
#ifndef TIDEMARK_TESTS_SIM_COVERAGE_H
#define TIDEMARK_TESTS_SIM_COVERAGE_H

#include "base/types.h"

/* X(field, words of the coverage line) */
#define COVERAGE_TABLE(X)                                \
    X(histories, "histories")                            \
    X(events, "events")                                  \
    X(opens, "opens")                                    \
    X(clean_stops, "clean stops")                        \
    X(kills, "process kills")                            \
    X(power_cuts, "power cuts")                          \
    X(kills_at_io, "deaths at a chosen file call")       \
    X(kills_in_open, "deaths while opening")             \
    X(refused_opens, "opens refused for damage")         \
    X(lost_writes, "unsynced writes lost")               \
    X(torn_writes, "writes torn")                        \
    X(torn_pages, "writes torn at 4096 bytes")           \
    X(short_writes, "short writes")                      \
    X(lies, "writes lost by a lying disk")               \
    X(astray, "writes gone astray")                      \
    X(lying_syncs, "syncs that lied")                    \
    X(rots, "bits rotten")                               \
    X(mended, "damaged nodes begun anew")                \
    X(lost_names, "unsynced names lost")                 \
    X(failed_syncs, "failed syncs")                      \
    X(failed_writes, "failed writes")                    \
    X(failed_reads, "failed reads")                      \
    X(full_disks, "full disks")                          \
    X(refused_writes, "writes refused by a full disk")   \
    X(stalls, "disk stalls")                             \
    X(dropped_caches, "caches dropped")                  \
    X(wipes, "disks wiped")                              \
    X(restores, "disks restored from a copy")            \
    X(pauses, "pauses of a process")                     \
    X(clock_jumps, "jumps of a wall clock")              \
    X(promotions, "changes of leader")                   \
    X(handovers, "handovers asked for")                  \
    X(cut_leaders, "leaders cut off and replaced")       \
    X(dropped_slots, "slots dropped")                    \
    X(settings, "settings changed")                      \
    X(accepted_losses, "losses accepted by an operator") \
    X(refused_promotions, "promotions refused")          \
    X(leaderless, "times that nobody led")               \
    X(cores, "cores that had to do without the rest")    \
    X(given_up, "local writes given up with a leader")   \
    X(leveled, "writes acknowledged by followers, too")  \
    X(drifts, "monotonic clocks that drift")             \
    X(memory_refusals, "refusals of memory")             \
    X(links, "links")                                    \
    X(units, "units sent")                               \
    X(drops, "units dropped")                            \
    X(duplicates, "units duplicated")                    \
    X(splits, "units delivered in pieces")               \
    X(corruptions, "pieces corrupted")                   \
    X(resets, "links reset")                             \
    X(mid_resets, "links reset inside a unit")           \
    X(reorders, "units out of order")                    \
    X(clogs, "directions clogged")                       \
    X(slow_readers, "slow readers")                      \
    X(partitions, "partitions")                          \
    X(one_way_partitions, "partitions of one direction") \
    X(runs, "runs")                                      \
    X(writes, "writes acknowledged")                     \
    X(unknowns, "writes with unknown outcome")           \
    X(retries, "writes tried again")                     \
    X(recognised, "retries recognised")                  \
    X(refusals, "writes refused")                        \
    X(changes, "changes of docs")                        \
    X(reads, "reads checked")                            \
    X(digests, "digests compared")                       \
    X(gauges, "gauges checked")                          \
    X(token_reads, "reads after a token")                \
    X(lost_tokens, "tokens of lost writes")              \
    X(stale_reads, "reads of bounded age")               \
    X(stale_refusals, "reads refused as stale")          \
    X(committed_reads, "reads of what is committed")     \
    X(waits, "waits checked")                            \
    X(checkpoints, "checkpoints asked for")              \
    X(seals, "seals asked for")                          \
    X(prunes, "times the log was pruned")                \
    X(recycled, "segments begun in recycled files")

struct coverage {
#define X(field, words) uint64_t field;
    COVERAGE_TABLE(X)
#undef X
};

/* Add every counter of `more` to `sum`. */
void coverage_add(struct coverage *sum, const struct coverage *more);
/* Print the counters that are not zero on one line to stdout, and those that are in a second. */
void coverage_print(const struct coverage *c);
/* False, with a line that names them: something declared was never tried. */
bool coverage_is_whole(const struct coverage *c);

#endif
