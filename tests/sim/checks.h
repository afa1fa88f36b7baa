/* checks: the laws of DESIGN that must hold after every event, at every open, in every answer, and
 * at the end. A broken law ends the history through world_fail with the law's name:
 *
 * The second column: which of the checks of a replicated log each is. C1 acknowledged is not lost,
 * C2 no hole, C3 one value per position, C4 state follows from the log, C5 marks never go back, C6
 * each write once, C7 reads are as fresh as they say (positions before and after each read bound
 * it), C8 gauges are true, C9 nothing needed is pruned, C10 it converges and answers, C11 memory is
 * bounded, C12 recovery can be repeated (each history ends with a power cut of all and a second
 * audit), C13 a halt has a reason.
 *
 *   env                  the engine uses its env as env.h allows (checked in sim/machine and
 * sim/simnet) lost       C1, C2    an acknowledged record is missing after recovery or in a count
 *   hole       C2        applied <= durable <= written; a follower never holds what its leader has
 * not once       C6        a write shows twice, or shows although it was refused honesty    C6 an
 * answer contradicts an earlier answer about the same write token      C3        a position in an
 * answer is wrong history    C3        one record number, two histories digest     C4        two
 * nodes differ in the state after one record epoch      C3        a start as leader did not begin a
 * new epoch marks      C5        durable or applied went back without a new history id lag C8 a lag
 * figure is below the truth pruned     C9        the log no longer holds what a follower with a
 * slot comes back for level      C1        a write was acknowledged before its level was reached
 *   wait       C8        WAIT counted a follower that has not stored the writes
 *   open       C12, C13  a node does not open although nothing is damaged
 *   health     C10, C13  a node halted, or calls itself diverged
 *   clock                leader time jumped, went back, or left the neighbourhood of true time
 *   answered   C10       a run got no answer
 *   memory     C11       memory was not freed at the end of a life
 *   liveness   C10       after the faults something does not converge
 */
#ifndef TIDEMARK_TESTS_SIM_CHECKS_H
#define TIDEMARK_TESTS_SIM_CHECKS_H

#include "sim/cluster.h"

/* A node that just opened: nothing acknowledged is missing, nothing shown before is taken back. */
void check_after_open(struct cluster *c, uint32_t node);
/* After every event, for a node that is up. */
void check_node(struct cluster *c, uint32_t node);
/* On a timer: halted nodes, runs without answer, poisoned nodes that an operator restarts. */
void check_tick(struct cluster *c);
/* Apply met a refusal of memory that was put in: the node halts until it is restarted. */
bool check_is_out_of_memory(const struct cluster *c, uint32_t node);
/* A status of the node; asked_ns and asked_durable are of the moment it was asked for. */
struct check_asked {
    uint64_t at_ns;
    uint64_t leader_durable;
    uint32_t leader;
};
void check_status(struct cluster *c, uint32_t node, const struct tide_status *s,
                  const struct check_asked *asked);
/* A write was acknowledged: so many followers as its level asks for have it on disk. */
void check_level(struct cluster *c, uint32_t node, const struct model_write *w, uint64_t record);
/* WAIT for `at_least` answered `count`. */
void check_wait(struct cluster *c, uint64_t at_least, uint64_t count);
/* The leader has no slot for the node and its log begins after what the node holds: the node is
 * refused, rightly, and takes no part in the end. */
bool check_is_left_behind(const struct cluster *c, uint32_t node);
/* Is everybody up, serving and at the leader's durable position, and has every write an outcome?
 * While some are outside the core: is everybody else, and does one of them lead? *out_why: what is
 * missing. */
bool check_is_converged(const struct cluster *c, char *out_why, size_t size);

#endif
