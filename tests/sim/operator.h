/* operator: the people who change who leads. A failover: the leader's machine is lost, the best
 * or it is cut off from all others and runs on, the best
 * follower of those that are left is promoted (told to, and by force when it refuses), the others
 * are pointed at it; the lost machine comes back with an empty disk, the one that was cut off is
 * told to follow. A handover: the leader is asked to pass its leadership on.
 *
 * What the oracle knows of it: every change of leader cuts the history at the first record of the
 * new epoch. What was acknowledged beyond the cut is lost, which a level of `local` allows after a
 * failover and nothing allows after a handover.
 */
#ifndef TIDEMARK_TESTS_SIM_OPERATOR_H
#define TIDEMARK_TESTS_SIM_OPERATOR_H

#include "sim/cluster.h"

/* Begin one, unless something of the kind is under way or there are too few nodes. */
void operator_fail_over(struct cluster *c);
void operator_hand_over(struct cluster *c);
/* The leader is told to give up the follower's slot, or the settings of the plan. Nothing happens
 * when it is not up, or the operator is busy. */
void operator_drop_slot(struct cluster *c, uint32_t node);
void operator_configure(struct cluster *c);
/* Every tick. */
void operator_tick(struct cluster *c);
/* After every event: does another node lead now? */
void operator_notice(struct cluster *c, uint32_t node);
/* The node's run of the operator has no answer: its process ended. */
void operator_orphan(struct cluster *c, uint32_t node);
/* The node is about to start: if it was deposed, with an empty disk. */
void operator_replace(struct cluster *c, uint32_t node);
/* The node must not be started: its machine is lost. */
bool operator_holds(const struct cluster *c, uint32_t node);
/* The node is cut off until somebody else leads, or outside the core. */
bool operator_keeps_cut(const struct cluster *c, uint32_t node);
/* Nothing is under way. */
bool operator_is_idle(const struct cluster *c);

#endif
