/* world: the event heap, the random streams and the trace. */
#include "sim/world.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"

static const char *const event_names[] = {
#define X(constant, name) name,
    EVENT_TABLE(X)
#undef X
};

/* The streams after these came later, and leave what a seed tells as it was. */
#define STREAMS_OF_SEED UINT64_C(6)

void world_init(struct world *w, uint64_t seed)
{
    *w = (struct world){.seed = seed, .trace_hash = 0xcbf29ce484222325u};
    for (uint64_t i = 0; i < STREAM_COUNT; i++) {
        uint64_t mine = i < STREAMS_OF_SEED ? hash64_mix(seed * STREAMS_OF_SEED + i + 1)
                                            : hash64_mix(hash64_mix(seed) + i);
        random_init(&w->random[i], mine);
    }
}

void world_fini(struct world *w)
{
    free(w->events);
    w->events = NULL;
    w->event_count = 0;
    w->event_capacity = 0;
}

static bool is_before(const struct event *a, const struct event *b)
{
    return a->at_ns < b->at_ns || (a->at_ns == b->at_ns && a->order < b->order);
}

static void push_event(struct world *w, struct event ev)
{
    if (w->event_count == w->event_capacity) {
        w->event_capacity = w->event_capacity == 0 ? 256 : w->event_capacity * 2;
        w->events = realloc(w->events, w->event_capacity * sizeof(w->events[0]));
        ASSERT(w->events != NULL);
    }
    ev.order = w->next_order++;
    size_t i = w->event_count++;
    while (i > 0 && is_before(&ev, &w->events[(i - 1) / 2])) {
        w->events[i] = w->events[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    w->events[i] = ev;
}

static struct event pop_event(struct world *w)
{
    struct event first = w->events[0];
    struct event last = w->events[--w->event_count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= w->event_count) break;
        if (child + 1 < w->event_count && is_before(&w->events[child + 1], &w->events[child])) {
            child++;
        }
        if (!is_before(&w->events[child], &last)) break;
        w->events[i] = w->events[child];
        i = child;
    }
    w->events[i] = last;
    return first;
}

void world_schedule(struct world *w, uint64_t delay_ns, enum event_kind kind, uint32_t node,
                    event_run run, void *arg, uint64_t number)
{
    push_event(w, (struct event){.at_ns = w->now_ns + delay_ns,
                                 .kind = kind,
                                 .node = node,
                                 .life = node == WORLD_NO_NODE ? 0 : w->nodes[node].life,
                                 .run = run,
                                 .arg = arg,
                                 .number = number});
}

void world_note(struct world *w, uint64_t value)
{
    w->trace_hash = (w->trace_hash ^ value) * 0x100000001b3u;
    w->trace_hash ^= w->trace_hash >> 29;
}

static void print_line(struct world *w, uint32_t node, const char *text)
{
    if (w->sink != NULL) {
        w->sink(w, node, text);
        return;
    }
    char who[16] = "--";
    if (node != WORLD_NO_NODE) snprintf(who, sizeof(who), "n%u", node);
    char states[256] = "";
    if (w->describe != NULL) w->describe(w, states, sizeof(states));
    printf("%6" PRIu64 ".%06" PRIu64 " %s %-44s %s\n", w->now_ns / NS_PER_S,
           w->now_ns % NS_PER_S / 1000, who, text, states);
}

void world_print(struct world *w, uint32_t node, const char *text)
{
    if (w->is_tracing) print_line(w, node, text);
}

void world_trace(struct world *w, uint32_t node, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    for (const char *c = text; *c != '\0'; c++) {
        world_note(w, (uint8_t)*c);
    }
    if (w->is_tracing) print_line(w, node, text);
}

bool world_step(struct world *w)
{
    if (w->event_count == 0 || w->failed_check != NULL) return false;
    struct event ev = pop_event(w);
    ASSERT(ev.at_ns >= w->now_ns);
    if (ev.node != WORLD_NO_NODE) {
        const struct world_node *node = &w->nodes[ev.node];
        if (ev.life != node->life) return true;
        if (node->paused_until_ns > ev.at_ns) {
            ev.at_ns = node->paused_until_ns;
            push_event(w, ev);
            return true;
        }
    }
    w->now_ns = ev.at_ns;
    w->coverage.events++;
    world_note(w, ev.at_ns);
    world_note(w, (uint64_t)ev.kind << 32 | ev.node);
    world_note(w, ev.number);
    if (w->is_tracing && !w->is_trace_dense) {
        char text[64];
        snprintf(text, sizeof(text), "%s %" PRIu64, event_names[ev.kind], ev.number);
        print_line(w, ev.node, text);
    }
    ev.run(w, ev.arg, ev.number);
    if (w->after != NULL) w->after(w, &ev);
    return w->failed_check == NULL;
}

void world_life_begins(struct world *w, uint32_t node)
{
    ASSERT(!world_is_alive(w, node));
    w->nodes[node].life++;
    w->nodes[node].paused_until_ns = 0;
}

void world_life_ends(struct world *w, uint32_t node)
{
    ASSERT(world_is_alive(w, node));
    w->nodes[node].life++;
    w->nodes[node].paused_until_ns = 0;
}

bool world_is_alive(const struct world *w, uint32_t node)
{
    return (w->nodes[node].life & 1) != 0;
}

void world_fail(struct world *w, const char *check, const char *format, ...)
{
    if (w->failed_check != NULL) return;
    va_list args;
    va_start(args, format);
    vsnprintf(w->failure, sizeof(w->failure), format, args);
    va_end(args);
    w->failed_check = check;
    if (w->is_tracing) print_line(w, WORLD_NO_NODE, w->failure);
}

uint64_t world_draw_delay(struct world *w, enum world_stream stream, uint64_t mean_ns)
{
    /* -ln(u) without libm, so that every build draws the same: count halvings and interpolate. */
    uint64_t bits = random_next(&w->random[stream]);
    uint64_t halvings = 0;
    while (halvings < 28 && (bits & 1) != 0) {
        halvings++;
        bits >>= 1;
    }
    uint64_t fraction = random_next(&w->random[stream]) >> 48;
    /* ln 2 = 45426 / 65536 */
    uint64_t scaled = (halvings * 65536 + fraction) * 45426 / 65536;
    return mean_ns / 65536 * scaled + mean_ns % 65536 * scaled / 65536;
}

uint64_t world_draw_range(struct world *w, enum world_stream stream, uint64_t from, uint64_t to)
{
    ASSERT(from <= to);
    return from + random_below(&w->random[stream], to - from + 1);
}

bool world_draw_chance(struct world *w, enum world_stream stream, uint32_t per_million)
{
    return per_million != 0 && random_chance(&w->random[stream], per_million);
}
