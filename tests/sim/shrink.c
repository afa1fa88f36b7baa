/* shrink: greedy, one thing after the other, within a bounded number of attempts. */
#include "sim/shrink.h"

#include <inttypes.h>
#include <stdio.h>

#include "sim/plan.h"

#define ATTEMPTS_MAX 120u

struct search {
    struct arguments best;
    uint64_t seed;
    const char *check;
    uint32_t attempts;
};

/* Keep the change when the same law is still broken. */
static bool attempt(struct search *s, const struct arguments *changed)
{
    char check[TELL_CHECK_SIZE];
    if (s->attempts >= ATTEMPTS_MAX) return false;
    s->attempts++;
    tell_apart(changed, s->seed, check);
    if (strcmp(check, s->check) != 0) return false;
    s->best = *changed;
    return true;
}

static uint64_t planned_faults(const struct search *s)
{
    struct plan plan;
    plan_draw(&plan, s->seed, s->best.history.allowed_faults);
    return plan.faults;
}

static void drop_faults(struct search *s)
{
    s->best.history.allowed_faults = planned_faults(s);
    for (uint32_t fault = 0; fault < FAULT_COUNT; fault++) {
        struct arguments changed = s->best;
        uint64_t bit = UINT64_C(1) << fault;
        if ((changed.history.allowed_faults & bit) == 0) continue;
        changed.history.allowed_faults &= ~bit;
        (void)attempt(s, &changed);
    }
}

static void drop_people(struct search *s)
{
    struct plan plan;
    plan_draw(&plan, s->seed, s->best.history.allowed_faults);
    for (uint32_t nodes = 1; nodes < plan.node_count; nodes++) {
        struct arguments changed = s->best;
        changed.history.node_max = nodes;
        if (attempt(s, &changed)) break;
    }
    struct arguments changed = s->best;
    changed.history.client_max = 1;
    if (plan.client_count > 1) (void)attempt(s, &changed);
}

/* Halve the time of the faults as long as it goes on failing. What comes after them takes events,
 * too, so the smallest number is no number of events of the whole. */
static void end_earlier(struct search *s)
{
    uint64_t low = 1;
    uint64_t high = 65536;
    while (high - low > low / 8 + 8) {
        struct arguments changed = s->best;
        changed.history.events_max = low + (high - low) / 2;
        changed.history.events_min = 0;
        if (attempt(s, &changed)) {
            high = changed.history.events_max;
        } else {
            low = changed.history.events_max;
        }
    }
}

static void print_best(const struct search *s)
{
    const struct history_options *h = &s->best.history;
    const char *comma = "";
    printf("sim smallest: sim --seed %" PRIu64 " --only ", s->seed);
    for (enum fault fault = 0; fault < FAULT_COUNT; fault++) {
        if ((h->allowed_faults >> fault & 1) == 0) continue;
        printf("%s%s", comma, fault_name(fault));
        comma = ",";
    }
    if (*comma == '\0') printf("none");
    if (h->node_max != 0) printf(" --nodes %" PRIu32, h->node_max);
    if (h->client_max != 0) printf(" --clients %" PRIu32, h->client_max);
    if (h->events_min != 0) printf(" --events %" PRIu64, h->events_min);
    if (h->events_max != 0) printf(" --until %" PRIu64, h->events_max);
    printf(" --trace   (check %s, %" PRIu32 " attempts)\n", s->check, s->attempts);
}

void shrink(const struct arguments *a, uint64_t seed, const char *check)
{
    struct search s = {.best = *a, .seed = seed, .check = check};
    s.best.wants_hash = false;
    s.best.history.is_tracing = false;
    char again[TELL_CHECK_SIZE];
    tell_apart(&s.best, seed, again);
    if (strcmp(again, check) != 0) {
        printf("sim smallest: told again, seed %" PRIu64 " gives \"%s\" instead of \"%s\"\n", seed,
               again, check);
        return;
    }
    drop_faults(&s);
    drop_people(&s);
    end_earlier(&s);
    print_best(&s);
}
