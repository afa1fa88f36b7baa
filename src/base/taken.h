/* taken: which transitions of state machines and which rows of decision tables were ever taken.
 * Only the simulator's build counts (TIDEMARK_COUNT_TAKEN); in every other one nothing is left of
 * it. What is declared, and what must be taken by seeds, is in tests/sim/taken.c.
 */
#ifndef TIDEMARK_BASE_TAKEN_H
#define TIDEMARK_BASE_TAKEN_H

#include <stdint.h>

/* X(constant, name in the report). Machines go from one state to another, decisions answer with a
 * row: their `from` is 0. */
#define TAKEN_TABLE(X)                       \
    X(TAKEN_SHIP, "link to a follower")      \
    X(TAKEN_FOLLOW, "link to the leader")    \
    X(TAKEN_ROLL, "roll")                    \
    X(TAKEN_BOOTSTRAP, "copy of the state")  \
    X(TAKEN_SLOT, "slot")                    \
    X(TAKEN_RUNG, "disk")                    \
    X(TAKEN_ROLE, "role")                    \
    X(TAKEN_LEADER_TIME, "leader time")      \
    X(TAKEN_RESUME, "resume row")            \
    X(TAKEN_PLAN, "verdict on a plan")       \
    X(TAKEN_PROMOTE, "verdict on a lead")    \
    X(TAKEN_DEMOTE, "verdict on following")  \
    X(TAKEN_TAIL, "verdict on a tail")       \
    X(TAKEN_TOKEN, "verdict on a token")     \
    X(TAKEN_SLOT_REASON, "reason of a loss") \
    X(TAKEN_HOLDER, "holder of the log")
enum taken {
#define X(constant, name) constant,
    TAKEN_TABLE(X)
#undef X
        TAKEN_COUNT
};
#define TAKEN_STATES_MAX 22u

#ifdef TIDEMARK_COUNT_TAKEN
extern uint64_t taken_now[TAKEN_COUNT][TAKEN_STATES_MAX][TAKEN_STATES_MAX];
/* An expression. from and to are below TAKEN_STATES_MAX. */
#define TAKEN(machine, from, to) ((void)taken_now[machine][from][to]++)
#else
#define TAKEN(machine, from, to) ((void)0)
#endif

#endif
