/* fresh: reads with conditions, and their judge. */
#include "sim/fresh.h"

#include <inttypes.h>

#include "engine/run.h"

#define FRESH_PACE_NS     (20 * NS_PER_MS)
#define FRESH_TRIES       8u
#define FRESH_DEADLINE_MS 300u

static uint64_t draw(struct cluster *c, uint64_t from, uint64_t to)
{
    return world_draw_range(&c->world, STREAM_READER, from, to);
}

/* --- asking --- */

/* A write whose position its client was told, and which may have been given up since. */
static bool draw_token(struct cluster *c, struct tide_position *out)
{
    const struct model *m = &c->model;
    bool wants_lost = draw(c, 0, 1) == 0;
    for (uint32_t i = 0; i < FRESH_TRIES && m->write_count > 0; i++) {
        const struct model_write *w = &m->writes[draw(c, 0, m->write_count - 1)];
        bool is_told = w->state == WRITE_ACKED || w->state == WRITE_LOST;
        if (!is_told || w->where.seqno == 0 || w->is_place_vague) continue;
        if (wants_lost && w->state != WRITE_LOST && i + 1 < FRESH_TRIES) continue;
        *out = w->where;
        return true;
    }
    return false;
}

static void add_read(struct client_run *r)
{
    static const uint64_t bounds_ms[] = {0, 20, 100, 500, 2000};
    struct cluster *c = r->cluster;
    struct tide_read_options options = {.deadline_ms = draw(c, 1, FRESH_DEADLINE_MS)};
    uint64_t kind = draw(c, 0, 9);
    if (kind < 5) {
        if (!draw_token(c, &options.after)) return;
    } else if (kind < 8) {
        options.max_stale_is_set = true;
        options.max_stale_ms = bounds_ms[draw(c, 0, COUNT_OF(bounds_ms) - 1)];
    } else {
        options.is_committed = true;
    }
    uint8_t item = (uint8_t)draw(c, 0, 3);
    uint8_t type = (uint8_t)draw(c, 0, MODEL_TYPES - 1);
    client_run_fresh(r, type, item, &options);
    r->patience_ns = options.deadline_ms * NS_PER_MS + CLIENT_GRACE_NS;
    client_run_position(r);
}

static void run_reader(struct world *w, void *arg, uint64_t number)
{
    struct cluster *c = arg;
    uint32_t node = (uint32_t)draw(c, 0, c->node_count - 1);
    if (!c->is_quiet && cluster_is_ready(c, node)) {
        struct client_run *r = client_run_new(c, NULL, node);
        r->is_reader = true;
        add_read(r);
        if (r->slot_count > 0) {
            client_run_submit(r);
        } else {
            client_run_free(r);
        }
    }
    uint64_t pause = world_draw_delay(w, STREAM_READER, FRESH_PACE_NS);
    world_schedule(w, pause + NS_PER_MS, EVENT_CLIENT, WORLD_NO_NODE, run_reader, c, number + 1);
}

void fresh_begin(struct cluster *c)
{
    if (!c->plan.has_readers) return;
    world_schedule(&c->world, FRESH_PACE_NS, EVENT_CLIENT, WORLD_NO_NODE, run_reader, c, 0);
}

/* --- judging --- */

static void fail(struct client_run *r, const char *law, const struct tide_position *token,
                 const char *words)
{
    world_fail(&r->cluster->world, law,
               "a read on node %u after record %" PRIu64 " of epoch %" PRIu64 " %s", r->node,
               token->seqno, token->epoch, words);
}

/* The read was done with what `at` says. */
static void judge_served(struct client_run *r, const struct tide_read_options *options,
                         const struct tide_position *at)
{
    struct cluster *c = r->cluster;
    const struct tide_position *token = &options->after;
    bool is_plain = r->asked.leader == c->leader && c->takeover == TAKEOVER_NONE &&
                    !c->nodes[r->node].is_deposed;
    if (token->seqno != 0) {
        c->world.coverage.token_reads++;
        if (at->seqno < token->seqno) fail(r, "token", token, "was served from before it");
        bool is_lost = !model_is_current(&c->model, token->epoch, token->seqno);
        bool knows = at->epoch > token->epoch && model_is_current(&c->model, at->epoch, at->seqno);
        if (is_lost && knows) fail(r, "token", token, "passed over the loss of it in silence");
    }
    if (options->max_stale_is_set && is_plain) {
        c->world.coverage.stale_reads++;
        uint64_t age_ns = model_staleness_ns(&c->model, at->seqno, r->asked.leader_durable);
        uint64_t passed_ns = c->world.now_ns - r->asked.at_ns;
        uint64_t truth_ns = age_ns > passed_ns ? age_ns - passed_ns : 0;
        /* Two clocks may run a thousandth apart. */
        if ((double)options->max_stale_ms * 1.001e6 + 1e3 >= (double)truth_ns) return;
        world_fail(&c->world, "lag",
                   "a read on node %u may be %" PRIu64 " ms stale, and is %" PRIu64 " us", r->node,
                   options->max_stale_ms, truth_ns / 1000);
    }
    c->world.coverage.committed_reads += options->is_committed;
}

static void judge_refused(struct client_run *r, const struct tide_read_options *options,
                          const struct tide_result *result)
{
    struct cluster *c = r->cluster;
    const struct tide_position *token = &options->after;
    if (result->code == TIDE_LOST) {
        c->world.coverage.lost_tokens++;
        if (token->seqno == 0) fail(r, "refusal", token, "names no token and is answered LOST");
        if (model_is_current(&c->model, token->epoch, token->seqno)) {
            fail(r, "token", token, "is answered LOST, and nothing was lost");
        }
    }
    if (result->code == TIDE_INVALID) fail(r, "token", token, result->message);
    c->world.coverage.stale_refusals += result->code == TIDE_STALE;
}

void fresh_judge(struct client_run *r)
{
    for (uint32_t i = 0; i + 1 < r->slot_count; i++) {
        const struct tide_result *result = tide_run_result(r->run, i);
        const struct tide_result *place = tide_run_result(r->run, i + 1);
        if (r->slots[i].kind != SLOT_FRESH) continue;
        if (result->code != TIDE_OK) {
            judge_refused(r, &r->fresh, result);
        } else if (place->code == TIDE_OK) {
            judge_served(r, &r->fresh, &place->as.position);
        }
    }
}
