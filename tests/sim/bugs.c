/* bugs: the table, and looking for each. */
#include "sim/bugs.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/planted.h"
#include "sim/tell.h"

struct bug {
    const char *words;
    const char *story; /* NULL: histories */
    uint64_t count;    /* seeds, from 1; 0: not looked for */
    const char *checks;
};

static const struct bug bugs[] = {
    {"none", NULL, 0, ""},
    {"acknowledge before the sync", NULL, 40, "lost,history,open,marks"},
    {"retry a failed sync", NULL, 200, "lost,history,open"},
    {"cut at the first bad record", "rot", 150, "lost"},
    {"resume at max(requested, slot)", "wiped", 10, "hole,liveness,health"},
    {"replay counted twice", NULL, 20, "open,once,digest"},
    {"pruned files go too early", "pruned", 120, "open"},
    {"no hash check of payloads", "rot", 400, "lost,once,digest,crash,history"},
    {"a gap is accepted", NULL, 300, "hole,history,digest,health,crash,open"},
    {"no epoch fencing", NULL, 0, "history,hole,epoch,marks,crash,liveness"},
    {"ack before the follower's sync", NULL, 300, "wait,lag,marks,hole,crash,level"},
    {"ship before durable", NULL, 300, "hole,history,crash"},
    {"epoch not durable", NULL, 300, "epoch,history,open"},
    {"register = durable", NULL, 300, "wait,crash,pruned,lag"},
    {"keys forgotten with a checkpoint", NULL, 300, "once,digest"},
    {"a producer's number twice", NULL, 300, "once,honesty,token"},
    {"WAIT counts what was received", NULL, 300, "wait"},
    {"who is away is not behind", NULL, 300, "lag"},
    {"a checkpoint's names are not durable", NULL, 600, "open,lost"},
    {"a segment's name is not durable", NULL, 300, "open,lost,history"},
    {"slots hold nothing", "away", 0, "pruned,hole,liveness"},
    {"who is away holds nothing", "away", 0, "pruned,hole,liveness"},
    {"mark before sync", NULL, 300, "open"},
    {"memory is never given back", NULL, 100, "memory"},
    {"go on after a failed write", NULL, 300, "crash,lost,history,open,honesty"},
    {"leader time is wall time", NULL, 100, "clock,crash"},
    {"a follower says yes to writes", NULL, 100, "honesty"},
    {"what cannot be applied is passed over", NULL, 300, "digest,hole,crash,health,liveness"},
    {"who was silent is not called again", NULL, 300, "liveness"},
    {"both copies of identity in flight", NULL, 600, "open,epoch,history"},
    {"blocks of a checkpoint are believed", "rot-state", 1000,
     "digest,once,lost,crash,order,refusal"},
    {"nobody looks when a wait is over", NULL, 300, "answered,liveness"},
    {"an answer proves that nothing is missing", NULL, 300, "lag"},
    {"this node's own copy satisfies every level", NULL, 300, "level,lost"},
    {"a promotion's epoch is not durable", NULL, 4000,
     "epoch,history,liveness,hole,crash,open,clock"},
    {"a promotion goes on in the old epoch", NULL, 300,
     "epoch,history,liveness,hole,crash,lost,health"},
    {"a promise given and not kept", NULL, 2000, "lost,history,hole,marks,lag"},
    {"a lost token is read past", NULL, 600, "token"},
    {"a bound on age is not looked at", NULL, 300, "lag"},
    {"a truncation that nobody can tell", NULL, 600, "marks"},
    {"a copy counts before it is durable", NULL, 600, "open"},
};

#if TIDEMARK_PLANTED_BUG < 0
int planted_bug;

uint32_t bugs_count(void)
{
    return (uint32_t)COUNT_OF(bugs) - 1;
}

static void choose(uint32_t number)
{
    planted_bug = (int)number;
}
#else
uint32_t bugs_count(void)
{
    return 0;
}

static void choose(uint32_t number)
{
    (void)number;
}
#endif

static bool is_caught(const struct arguments *a, uint32_t number)
{
    const struct bug *bug = &bugs[number];
    struct arguments mine = *a;
    static struct tell_sum sum;
    mine.story = bug->story;
    mine.count = bug->count;
    mine.seed = 1;
    choose(number);
    tell_all_apart(&mine, &sum);
    choose(0);
    bool is_named = sum.failures > 0 && arguments_has_word(bug->checks, sum.failed_check);
    printf("bug %2" PRIu32 " %-42s ", number, bug->words);
    if (sum.failures == 0) {
        printf("NOT CAUGHT in %" PRIu64 " seeds of %s\n", bug->count,
               bug->story != NULL ? bug->story : "histories");
    } else {
        printf("%s by %s at seed %" PRIu64 "%s%s\n", is_named ? "caught" : "CAUGHT UNEXPECTEDLY",
               sum.failed_check, sum.failed_seed, bug->story != NULL ? " of " : "",
               bug->story != NULL ? bug->story : "");
    }
    fflush(stdout);
    return is_named;
}

bool bugs_are_caught(const struct arguments *a, uint32_t from, uint32_t to)
{
    uint32_t missed = 0;
    for (uint32_t number = from; number <= to; number++) {
        if (bugs[number].count == 0) continue; /* nothing can catch it yet */
        missed += !is_caught(a, number);
    }
    if (missed > 0) printf("sim FAILED %" PRIu32 " planted bugs were not caught\n", missed);
    return missed == 0;
}
