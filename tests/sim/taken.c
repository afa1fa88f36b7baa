/* taken: what is declared, by the tables that the engine itself goes by. */
#include "sim/taken.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/bootstrap.h"
#include "core/demote.h"
#include "core/disk.h"
#include "core/epoch.h"
#include "core/follow.h"
#include "core/leader_time.h"
#include "core/promote.h"
#include "core/recover.h"
#include "core/retain.h"
#include "core/roll.h"
#include "core/ship.h"
#include "core/slots.h"
#include "engine/role_internal.h"

#define RESUME_ROWS 21u

/* --- declared --- */

static bool is_any(uint32_t from, uint32_t to)
{
    return from != to;
}
static bool is_answer(uint32_t from, uint32_t to)
{
    (void)to;
    return from == 0;
}
static bool is_row(uint32_t from, uint32_t to)
{
    return from == 0 && to > 0;
}
static bool ship_edge(uint32_t from, uint32_t to)
{
    return ship_edge_is_allowed((enum ship_state)from, (enum ship_state)to);
}
static bool follow_edge(uint32_t from, uint32_t to)
{
    return follow_edge_is_allowed((enum follow_state)from, (enum follow_state)to);
}
static bool roll_edge(uint32_t from, uint32_t to)
{
    return roll_edge_is_allowed((enum roll_state)from, (enum roll_state)to);
}
static bool bootstrap_edge(uint32_t from, uint32_t to)
{
    return bootstrap_edge_is_allowed((enum bootstrap_state)from, (enum bootstrap_state)to);
}
static bool slot_edge(uint32_t from, uint32_t to)
{
    return slot_edge_is_allowed((uint8_t)from, (uint8_t)to);
}
static bool role_edge(uint32_t from, uint32_t to)
{
    return role_edge_is_allowed((enum role_step)from, (enum role_step)to);
}
static const char *ship_word(uint32_t s)
{
    return ship_state_name((enum ship_state)s);
}
static const char *follow_word(uint32_t s)
{
    return follow_state_name((enum follow_state)s);
}
static const char *roll_word(uint32_t s)
{
    return roll_state_name((enum roll_state)s);
}
static const char *bootstrap_word(uint32_t s)
{
    return bootstrap_state_name((enum bootstrap_state)s);
}
static const char *slot_word(uint32_t s)
{
    return slot_state_name((uint8_t)s);
}
static const char *rung_word(uint32_t s)
{
    return disk_rung_name((enum disk_rung)s);
}
static const char *role_word(uint32_t s)
{
    return role_step_name((enum role_step)s);
}
static const char *leader_time_word(uint32_t s)
{
    return leader_time_state_word((enum leader_time_state)s);
}
static const char *promote_word(uint32_t s)
{
    return promote_verdict_name((enum promote_verdict)s);
}
static const char *tail_word(uint32_t s)
{
    return tail_verdict_name((enum tail_verdict)s);
}
static const char *holder_word(uint32_t s)
{
    return retain_holder_name((enum retain_holder)s);
}
static const char *reason_word(uint32_t s)
{
    return slot_reason_name((uint8_t)s);
}
static const char *row_word(uint32_t s)
{
    static char words[TAKEN_STATES_MAX][8];
    snprintf(words[s], sizeof(words[s]), "%u", s);
    return words[s];
}
static const char *plan_word(uint32_t s)
{
    static const char *const words[] = {"accept", "note",   "truncate", "bootstrap", "refused",
                                        "unsafe", "fenced", "foreign",  "mismatch"};
    return words[s];
}
static const char *demote_word(uint32_t s)
{
    static const char *const words[] = {"silent", "self", "foreign", "follower", "older", "follow"};
    return words[s];
}
static const char *token_word(uint32_t s)
{
    static const char *const words[] = {"visible", "not yet", "lost", "impossible", "forgotten"};
    return words[s];
}

static const struct machine_of {
    uint32_t first; /* lowest state that counts */
    uint32_t count;
    bool (*is_allowed)(uint32_t from, uint32_t to);
    const char *(*word)(uint32_t state);
} machines[TAKEN_COUNT] = {
    [TAKEN_SHIP] = {0, SHIP_STATE_COUNT, ship_edge, ship_word},
    [TAKEN_FOLLOW] = {0, FOLLOW_STATE_COUNT, follow_edge, follow_word},
    [TAKEN_ROLL] = {0, ROLL_STATE_COUNT, roll_edge, roll_word},
    [TAKEN_BOOTSTRAP] = {0, BOOTSTRAP_STATE_COUNT, bootstrap_edge, bootstrap_word},
    [TAKEN_SLOT] = {SLOT_BOOTSTRAP, SLOT_LOST + 1, slot_edge, slot_word},
    [TAKEN_RUNG] = {0, DISK_RUNG_COUNT, is_any, rung_word},
    [TAKEN_ROLE] = {0, ROLE_STEP_COUNT, role_edge, role_word},
    [TAKEN_LEADER_TIME] = {0, LEADER_TIME_STANDING + 1, is_any, leader_time_word},
    [TAKEN_RESUME] = {0, RESUME_ROWS + 1, is_row, row_word},
    [TAKEN_PLAN] = {0, FOLLOW_MISMATCH + 1, is_answer, plan_word},
    [TAKEN_PROMOTE] = {0, PROMOTE_LEAD + 1, is_answer, promote_word},
    [TAKEN_DEMOTE] = {0, DEMOTE_FOLLOW + 1, is_answer, demote_word},
    [TAKEN_TAIL] = {0, TAIL_UNCLEAR + 1, is_answer, tail_word},
    [TAKEN_TOKEN] = {0, TOKEN_FORGOTTEN + 1, is_answer, token_word},
    [TAKEN_SLOT_REASON] = {0, SLOT_REASON_LOG_MISSING + 1, is_row, reason_word},
    [TAKEN_HOLDER] = {0, RETAIN_HOLDER_COUNT, is_answer, holder_word},
};

static const char *const names[TAKEN_COUNT] = {
#define X(constant, name) [constant] = name,
    TAKEN_TABLE(X)
#undef X
};

static bool is_decision(enum taken machine)
{
    return machine >= TAKEN_RESUME;
}

/* --- counting --- */

void taken_collect(struct taken_sum *sum)
{
#ifdef TIDEMARK_COUNT_TAKEN
    const uint64_t *from = &taken_now[0][0][0];
    uint64_t *to = &sum->counts[0][0][0];
    for (size_t i = 0; i < sizeof(taken_now) / sizeof(*from); i++) {
        to[i] += from[i];
    }
    memset(taken_now, 0, sizeof(taken_now));
#else
    (void)sum; /* a sanitizer's build does not count */
#endif
}

void taken_add(struct taken_sum *sum, const struct taken_sum *more)
{
    const uint64_t *from = &more->counts[0][0][0];
    uint64_t *to = &sum->counts[0][0][0];
    for (size_t i = 0; i < sizeof(sum->counts) / sizeof(*to); i++) {
        to[i] += from[i];
    }
}

bool taken_find_undeclared(char *out, size_t size)
{
#ifdef TIDEMARK_COUNT_TAKEN
    for (enum taken m = 0; m < TAKEN_COUNT; m++) {
        for (uint32_t i = 0; i < TAKEN_STATES_MAX * TAKEN_STATES_MAX; i++) {
            uint32_t from = i / TAKEN_STATES_MAX;
            uint32_t to = i % TAKEN_STATES_MAX;
            if (taken_now[m][from][to] == 0) continue;
            bool is_known = from < machines[m].count && to < machines[m].count;
            if (is_known && (from == to || machines[m].is_allowed(from, to))) continue;
            snprintf(out, size, "%s went from %s to %s, which is not declared", names[m],
                     from < machines[m].count ? machines[m].word(from) : "?",
                     to < machines[m].count ? machines[m].word(to) : "?");
            return true;
        }
    }
#endif
    (void)out;
    (void)size;
    return false;
}

/* --- the report --- */

static void say(enum taken m, uint32_t from, uint32_t to)
{
    if (is_decision(m)) {
        printf(" %s;", machines[m].word(to));
    } else {
        printf(" %s to %s;", machines[m].word(from), machines[m].word(to));
    }
}

struct tally {
    uint32_t declared;
    uint32_t taken;
};

static bool is_declared(enum taken m, uint32_t from, uint32_t to)
{
    if (from == to && !is_decision(m)) return false;
    return to >= machines[m].first && machines[m].is_allowed(from, to);
}

/* Counts; says those that were never taken when it is told to. */
static struct tally look(const struct taken_sum *sum, enum taken m, bool is_said)
{
    struct tally t = {0};
    uint32_t first = is_decision(m) ? 0 : machines[m].first;
    for (uint32_t from = first; from < machines[m].count; from++) {
        for (uint32_t to = 0; to < machines[m].count; to++) {
            if (!is_declared(m, from, to)) continue;
            bool is_taken = sum->counts[m][from][to] != 0;
            t.declared++;
            t.taken += is_taken;
            if (!is_taken && is_said) say(m, from, to);
        }
    }
    return t;
}

void taken_print(const struct taken_sum *sum)
{
    printf("sim taken:");
    for (enum taken m = 0; m < TAKEN_COUNT; m++) {
        struct tally t = look(sum, m, false);
        printf(" %s %u of %u;", names[m], t.taken, t.declared);
    }
    printf("\n");
    for (enum taken m = 0; m < TAKEN_COUNT; m++) {
        struct tally t = look(sum, m, false);
        if (t.taken == t.declared) continue;
        printf("sim never taken, %s:", names[m]);
        (void)look(sum, m, true);
        printf("\n");
    }
}

/* --- what may be missing --- */

#define ANY UINT32_MAX

/* Why a declared transition need not be taken. `often`: 100,000 histories must, 1,000 need not. */
static const struct excuse {
    enum taken machine;
    uint32_t from;
    uint32_t to;
    bool is_often;
    const char *why;
} excuses[] = {
    /* Every node of a history has the same version, stream, cluster and key. */
    {TAKEN_RESUME, 0, 1, false, "one version: unit.core.resume"},
    {TAKEN_RESUME, 0, 4, false, "one stream: unit.core.resume"},
    {TAKEN_RESUME, 0, 5, false, "one cluster: unit.core.resume"},
    {TAKEN_RESUME, 0, 6, false, "no credentials: unit.core.resume"},
    {TAKEN_RESUME, 0, 7, false, "one feature level: unit.core.resume"},
    {TAKEN_RESUME, 0, 10, false, "seven nodes, 64 slots: unit.core.resume"},
    {TAKEN_PLAN, 0, FOLLOW_FOREIGN, false, "one cluster: unit.core.follow"},
    {TAKEN_PLAN, 0, FOLLOW_MISMATCH, false, "one version: unit.core.follow"},
    {TAKEN_DEMOTE, 0, DEMOTE_FOREIGN, false, "one cluster: unit.core.demote"},
    {TAKEN_DEMOTE, 0, DEMOTE_SELF, false, "no operator names the node itself: unit.core.demote"},
    {TAKEN_SLOT_REASON, 0, SLOT_REASON_DIVERGED, false, "no history diverges: e2e.slots"},
    /* Nobody accepts a step of the clock, promotes who leads or expects a position. */
    {TAKEN_LEADER_TIME, ANY, LEADER_TIME_STANDING, true, "unit.core.leader_time"},
    {TAKEN_LEADER_TIME, LEADER_TIME_STANDING, ANY, true, "few histories last until it is over"},
    {TAKEN_LEADER_TIME, LEADER_TIME_STEP_PENDING, ANY, true, "one jump back of a day"},
    {TAKEN_PROMOTE, 0, PROMOTE_ALREADY, false, "answered before it is judged: unit.engine.role"},
    {TAKEN_PROMOTE, 0, PROMOTE_UNEXPECTED, false, "nobody expects: unit.core.promote"},
    {TAKEN_PROMOTE, 0, PROMOTE_NO_MAJORITY, false, "no voters: scenario promote_refused"},
    {TAKEN_PROMOTE, 0, PROMOTE_DAMAGED, false,
     "the operator asks nobody damaged: unit.core.promote"},
    {TAKEN_PROMOTE, 0, PROMOTE_EMPTY, true, "the operator promotes the best that it finds"},
    {TAKEN_PROMOTE, 0, PROMOTE_COPYING, true, "the operator promotes the best that it finds"},
    {TAKEN_PROMOTE, 0, PROMOTE_APPLYING, true, "the operator promotes the best that it finds"},
    {TAKEN_PROMOTE, 0, PROMOTE_LEADER_LIVES, true, "the operator promotes the best that it finds"},
    {TAKEN_PROMOTE, 0, PROMOTE_FORKED, true, "the operator promotes the best that it finds"},
    {TAKEN_PROMOTE, 0, PROMOTE_NOT_BEST, true, "the operator promotes the best that it finds"},
    {TAKEN_DEMOTE, 0, DEMOTE_SILENT, true, "one turn in ten"},
    {TAKEN_DEMOTE, 0, DEMOTE_FOLLOWER, true, "one turn in ten"},
    {TAKEN_DEMOTE, 0, DEMOTE_OLDER, true, "one turn in ten"},
    {TAKEN_TAIL, 0, TAIL_IO, false, "it fails the open before it is judged: unit.core.recover"},
    {TAKEN_TAIL, 0, TAIL_ROTTEN, true, "a fault in the last group"},
    {TAKEN_TAIL, 0, TAIL_UNCLEAR, true, "a fault in the last group"},
    {TAKEN_TOKEN, 0, TOKEN_IMPOSSIBLE, false, "no client invents a token: unit.core.epoch"},
    {TAKEN_TOKEN, 0, TOKEN_FORGOTTEN, false, "no history has 32 leaderships: unit.core.epoch"},
    {TAKEN_HOLDER, 0, RETAIN_BY_READER, true, "no reader of a long scan"},
    {TAKEN_HOLDER, 0, RETAIN_BY_MEMBERS, true, "a new leader before its followers came"},
    /* Disks are full at once or have room. */
    {TAKEN_RUNG, ANY, ANY, false, "unit.core.disk"},
    /* Budgets and dropped slots in a tenth of the histories. */
    {TAKEN_SLOT, ANY, SLOT_AT_RISK, true, "three quarters of a budget"},
    {TAKEN_SLOT, SLOT_AT_RISK, ANY, true, "the same"},
    {TAKEN_SLOT, SLOT_BOOTSTRAP, SLOT_LOST, true, "lost while it copies"},
    {TAKEN_SLOT, SLOT_CATCHING_UP, SLOT_LOST, true, "dropped while it catches up"},
    {TAKEN_SLOT, SLOT_CATCHING_UP, SLOT_BOOTSTRAP, true,
     "an emptied node on a link that is not over"},
    {TAKEN_SLOT, SLOT_STREAMING, SLOT_BOOTSTRAP, true, "the same"},
    {TAKEN_SLOT_REASON, 0, SLOT_REASON_HORIZON_BYTES, false, "budgets are of records: e2e.slots"},
    {TAKEN_SLOT_REASON, 0, SLOT_REASON_LOG_MISSING, false,
     "no catalogue is set back: unit.core.slots_judge"},
    {TAKEN_BOOTSTRAP, ANY, BOOTSTRAP_IDLE, true, "a copy that is interrupted"},
    {TAKEN_BOOTSTRAP, BOOTSTRAP_LOOKING, BOOTSTRAP_FINISHING, true, "all blocks are there"},
    {TAKEN_BOOTSTRAP, BOOTSTRAP_FETCHING, BOOTSTRAP_ASKING, true, "a copy slower than the writers"},
    {TAKEN_RESUME, 0, 8, true, "a leader of an older epoch is called"},
    {TAKEN_RESUME, 0, 13, true, "the log is rarely pruned behind a follower"},
    {TAKEN_RESUME, 0, 14, true, "the log is rarely pruned behind a follower"},
    {TAKEN_RESUME, 0, 16, true, "the log is rarely pruned behind a follower"},
    {TAKEN_RESUME, 0, 18, true, "the log is rarely pruned behind a follower"},
    {TAKEN_RESUME, 0, 19, true, "the log is rarely pruned behind a follower"},
    {TAKEN_RESUME, 0, 20, true, "the log is rarely pruned behind a follower"},
    {TAKEN_PLAN, 0, FOLLOW_FENCED, true, "a leader refuses whoever saw a later epoch"},
    {TAKEN_FOLLOW, FOLLOW_NOTING, FOLLOW_STOPPED, true, "a stop within one save"},
    {TAKEN_ROLE, ROLE_ASKING, ROLE_UNABLE, true, "a start that may not lead"},
    {TAKEN_ROLE, ROLE_ASKING, ROLE_AWAITING, false, "no memory at one moment: unit.engine.role"},
    {TAKEN_ROLE, ANY, ROLE_FETCHING, false,
     "no leader of a history loses records: unit.engine.role"},
    {TAKEN_ROLE, ROLE_FETCHING, ANY, false, "the same"},
    {TAKEN_ROLE, ANY, ROLE_LOOKING, true, "a later epoch is seen before the operator says so"},
    {TAKEN_ROLE, ROLE_LOOKING, ANY, true, "the same"},
    {TAKEN_ROLE, ROLE_ASKING, ROLE_QUIET, true, "refused promotions"},
    {TAKEN_ROLE, ROLE_ASKING, ROLE_YIELDING, true, "a start that finds a later leader"},
    {TAKEN_ROLE, ROLE_CLAIMING, ROLE_YIELDING, true, "the same, found late"},
    {TAKEN_ROLE, ROLE_CLAIMING, ROLE_QUIET, true, "two claims of one number"},
    {TAKEN_ROLE, ROLE_DRAINING, ROLE_QUIET, true, "an interrupted promotion"},
    {TAKEN_ROLE, ROLE_TURNING, ROLE_QUIET, true, "an interrupted turn"},
    {TAKEN_ROLE, ROLE_UNABLE, ROLE_QUIET, true, "an interrupted wait"},
    {TAKEN_ROLE, ROLE_HOLDING, ROLE_QUIET, true, "a handover that takes too long"},
    {TAKEN_ROLE, ROLE_PASSING, ROLE_QUIET, true, "an interrupted save"},
    {TAKEN_ROLE, ROLE_TAKING, ROLE_QUIET, true, "an interrupted handover"},
    {TAKEN_ROLE, ROLE_AWAITING, ROLE_ASKING, true, "a successor that does not take it"},
};

static bool is_excused(enum taken m, uint32_t from, uint32_t to, bool is_long)
{
    for (size_t i = 0; i < COUNT_OF(excuses); i++) {
        const struct excuse *x = &excuses[i];
        if (x->machine != m || (x->from != ANY && x->from != from)) continue;
        if (x->to != ANY && x->to != to) continue;
        return !(x->is_often && is_long);
    }
    return false;
}

bool taken_is_whole(const struct taken_sum *sum, bool is_long)
{
    uint32_t missing = 0;
    for (enum taken m = 0; m < TAKEN_COUNT; m++) {
        uint32_t first = is_decision(m) ? 0 : machines[m].first;
        for (uint32_t from = first; from < machines[m].count; from++) {
            for (uint32_t to = 0; to < machines[m].count; to++) {
                if (!is_declared(m, from, to) || sum->counts[m][from][to] != 0) continue;
                if (is_excused(m, from, to, is_long)) continue;
                printf("%s %s:", missing++ == 0 ? "sim FAILED never taken:" : "", names[m]);
                say(m, from, to);
            }
        }
    }
    if (missing > 0) printf("\n");
    return missing == 0;
}
