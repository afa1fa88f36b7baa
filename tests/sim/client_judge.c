/* client_judge: what each answer means for the model, and which answers are lies. */
#include <inttypes.h>
#include <math.h>

#include "sim/client_run.h"
#include "sim/docs.h"
#include "sim/fresh.h"
#include "sim/operator.h"

#define SCORE_TOLERANCE 1e-9

static struct world *world_of(struct client_run *r)
{
    return &r->cluster->world;
}

static bool can_retry(const struct model_write *w)
{
    return w->is_keyed || w->producer != 0;
}

/* An answer to a write that says: not done, will not be done. */
static void judge_refusal(struct client_run *r, const struct client_slot *slot,
                          const struct tide_result *result, bool had_refusal)
{
    struct model *m = &r->cluster->model;
    const struct model_write *w = &m->writes[slot->write];
    enum tide_code code = result->code;
    bool is_gap = code == TIDE_GAP && w->producer != 0 && had_refusal;
    bool is_deposed = code == TIDE_READONLY && plan_changes_leaders(&r->cluster->plan);
    bool is_worldly = is_deposed || tide_code_class(code) == TIDE_CLASS_WORLD ||
                      tide_code_class(code) == TIDE_CLASS_RETRY;
    is_worldly |= code == TIDE_HALTED && plan_may_fail_open(&r->cluster->plan);
    if (!is_gap && !is_worldly) {
        world_fail(world_of(r), "refusal", "write k%u was refused: %s: %s", slot->write,
                   tide_code_name(code), result->message != NULL ? result->message : "");
        return;
    }
    bool gives_up = w->producer == 0 && w->group == 0 && !w->was_unknown &&
                    world_draw_chance(world_of(r), STREAM_CLIENT, 300000);
    uint64_t pause_ns = world_draw_delay(world_of(r), STREAM_CLIENT, 50 * NS_PER_MS);
    r->client->waits_until_ns = world_of(r)->now_ns + pause_ns;
    model_refused(m, slot->write, gives_up || !can_retry(w));
    if (can_retry(w) && !gives_up) client_retry_later(r->client, slot->write);
}

/* Returns whether the write was refused. */
static bool judge_write(struct client_run *r, const struct client_slot *slot,
                        const struct tide_result *result, bool had_refusal)
{
    struct model *m = &r->cluster->model;
    const struct model_write *w = &m->writes[slot->write];
    if (result->code == TIDE_OK) {
        model_acked(m, slot->write, &result->as.position, result->is_duplicate);
        check_level(r->cluster, r->node, w, result->as.position.seqno);
        return false;
    }
    world_trace(world_of(r), r->node, "k%u: %s %s", slot->write, tide_code_name(result->code),
                result->message != NULL ? result->message : "");
    if (tide_code_class(result->code) == TIDE_CLASS_UNKNOWN) {
        model_unknown(m, slot->write);
        if (can_retry(w)) client_retry_later(r->client, slot->write);
        return true;
    }
    judge_refusal(r, slot, result, had_refusal);
    return true;
}

/* Writes of one run take effect in their order: what changed nothing is not answered with a
 * position before an earlier word on the same edge. */
static void judge_claim(struct client_run *r, uint32_t index)
{
    const struct model *m = &r->cluster->model;
    const struct model_write *w = &m->writes[r->slots[index].write];
    if (w->state != WRITE_ACKED || !w->is_claim) return;
    const struct model_entry *entry = &m->entries[w->first_entry];
    for (uint32_t i = 0; i < index; i++) {
        if (r->slots[i].kind != SLOT_WRITE && r->slots[i].kind != SLOT_MEMBER) continue;
        const struct model_write *before = &m->writes[r->slots[i].write];
        const struct model_entry *b = &m->entries[before->first_entry];
        bool is_same = before->entry_count == 1 && before->state == WRITE_ACKED &&
                       b->type == entry->type && b->item == entry->item && b->user == entry->user;
        if (!is_same || before->where.seqno <= w->where.seqno) continue;
        world_fail(world_of(r), "honesty",
                   "k%u is said to have nothing to do at %" PRIu64 ", k%u before it is at %" PRIu64,
                   r->slots[index].write, w->where.seqno, r->slots[i].write, before->where.seqno);
    }
}

/* All members of a group have one fate: one code, one position, all duplicates or none. */
static void judge_group(struct client_run *r, uint32_t index)
{
    const struct client_slot *first = &r->slots[index];
    const struct tide_result *a = tide_run_result(r->run, index);
    for (uint32_t i = index + 1; i < r->slot_count && r->slots[i].kind == SLOT_MEMBER; i++) {
        const struct tide_result *b = tide_run_result(r->run, i);
        bool is_same = a->code == b->code;
        if (is_same && a->code == TIDE_OK) {
            is_same =
                a->is_duplicate == b->is_duplicate && a->as.position.seqno == b->as.position.seqno;
        }
        if (is_same) continue;
        world_fail(world_of(r), "atomic",
                   "the group of k%u was split: k%u %s at %" PRIu64 "%s, k%u %s at %" PRIu64 "%s",
                   first->write, first->write, tide_code_name(a->code), a->as.position.seqno,
                   a->is_duplicate ? " again" : "", r->slots[i].write, tide_code_name(b->code),
                   b->as.position.seqno, b->is_duplicate ? " again" : "");
    }
}

/* --- reads --- */

static bool is_read_refusal(const struct client_run *r, enum tide_code code)
{
    if (code == TIDE_NOMEMORY && plan_has(&r->cluster->plan, FAULT_MEMORY)) return true;
    if (code == TIDE_HALTED && plan_may_fail_open(&r->cluster->plan)) return true;
    return code == TIDE_LOADING || code == TIDE_CLOSED || code == TIDE_BUSY;
}

/* The positions before and after the reads of a run; false: the run has none, or they failed. */
static bool find_positions(const struct client_run *r, uint64_t *out_from, uint64_t *out_to)
{
    bool is_found = false;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        if (r->slots[i].kind != SLOT_POSITION) continue;
        const struct tide_result *result = tide_run_result(r->run, i);
        const struct tide_position *p = &result->as.position;
        if (result->code != TIDE_OK) return false;
        if (!model_is_current(&r->cluster->model, p->epoch, p->seqno)) return false;
        if (!is_found) *out_from = result->as.position.seqno;
        *out_to = result->as.position.seqno;
        is_found = true;
    }
    return is_found;
}

static void judge_counts(struct client_run *r, uint64_t from, uint64_t to)
{
    static struct model_bounds bounds[MODEL_TYPES][MODEL_ITEMS];
    bool has_bounds = false;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        const struct tide_result *result = tide_run_result(r->run, i);
        if (slot->kind != SLOT_COUNT || result->code != TIDE_OK) continue;
        if (!has_bounds) model_count_bounds(&r->cluster->model, from, to, bounds);
        has_bounds = true;
        world_of(r)->coverage.reads++;
        const struct model_bounds *b = &bounds[slot->type][slot->item];
        uint64_t count = result->as.integer;
        if (count >= b->low && count <= b->high) continue;
        world_fail(world_of(r), count < b->low ? "lost" : "once",
                   "node %u at %" PRIu64 " counts %" PRIu64 " %s of item-%u; between %" PRIu64
                   " and %" PRIu64 " are right",
                   r->node, to, count, model_types[slot->type].name, slot->item, b->low, b->high);
    }
}

/* Only in an audit: then every write is visible everywhere, and all scores have one time. */
static void judge_scores(struct client_run *r)
{
    static struct model_score scores[MODEL_TYPES][MODEL_ITEMS];
    bool has_scores = false;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        const struct tide_result *result = tide_run_result(r->run, i);
        if (slot->kind != SLOT_SCORE || result->code != TIDE_OK) continue;
        if (!has_scores) model_scores(&r->cluster->model, slot->at_ms, scores);
        has_scores = true;
        const struct model_score *score = &scores[slot->type][slot->item];
        double difference = fabs(result->as.number - score->sum);
        world_of(r)->coverage.reads++;
        if (score->is_uncertain || difference <= score->scale * SCORE_TOLERANCE) continue;
        world_fail(world_of(r), "once", "node %u scores %.17g %s of item-%u, the model %.17g",
                   r->node, result->as.number, model_types[slot->type].name, slot->item,
                   score->sum);
    }
}

static void judge_producer(struct client_run *r, const struct client_slot *slot, uint64_t number)
{
    struct model_bounds b = model_producer_bounds(&r->cluster->model, (uint32_t)slot->number);
    bool must_have_all = r->node == r->cluster->leader || r->client == NULL;
    if (number <= b.high && (!must_have_all || number >= b.low)) return;
    world_fail(world_of(r), number > b.high ? "once" : "lost",
               "node %u says producer-%" PRIu64 " is at %" PRIu64 "; between %" PRIu64
               " and %" PRIu64 " is right",
               r->node, slot->number, number, b.low, b.high);
}

/* The score that this run was told for an item; false: it did not ask. */
static bool find_score(const struct client_run *r, uint8_t type, const struct tide_bytes *key,
                       int64_t at_ms, double *out)
{
    char name[MODEL_KEY_SIZE];
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        const struct tide_result *result = tide_run_result(r->run, i);
        if (slot->kind != SLOT_SCORE || slot->type != type || slot->at_ms != at_ms) continue;
        size_t size = model_item(slot->item, name);
        if (size != key->size || memcmp(name, key->data, size) != 0) continue;
        *out = result->as.number;
        return result->code == TIDE_OK;
    }
    return false;
}

/* A ranking is in order, names nothing twice, and gives each item the score that SCORE gives it,
 * bit for bit. */
static void judge_items(struct client_run *r, const struct client_slot *slot,
                        const struct tide_items *items)
{
    for (uint32_t i = 0; i < items->count; i++) {
        const struct tide_item *b = &items->items[i];
        double score = 0;
        if (find_score(r, slot->type, &b->key, slot->at_ms, &score) &&
            memcmp(&score, &b->score, sizeof(score)) != 0) {
            world_fail(world_of(r), "order", "node %u ranks by %.17g and scores %.17g", r->node,
                       b->score, score);
        }
        if (i == 0) continue;
        const struct tide_item *a = &items->items[i - 1];
        bool is_same =
            a->key.size == b->key.size && memcmp(a->key.data, b->key.data, a->key.size) == 0;
        if (a->score < b->score || is_same) {
            world_fail(world_of(r), "order", "node %u ranks %.17g before %.17g", r->node, a->score,
                       b->score);
        }
    }
}

/* An audit asks for as many items as there are: those with a count, no others. */
static void judge_completeness(struct client_run *r)
{
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        const struct tide_result *result = tide_run_result(r->run, i);
        if (slot->kind != SLOT_RETRIEVE || result->code != TIDE_OK) continue;
        uint32_t counted = 0;
        for (uint32_t k = 0; k < r->slot_count; k++) {
            const struct tide_result *count = tide_run_result(r->run, k);
            bool is_mine = r->slots[k].kind == SLOT_COUNT && r->slots[k].type == slot->type;
            counted += is_mine && count->code == TIDE_OK && count->as.integer > 0;
        }
        if (result->as.items.count == counted) continue;
        world_fail(world_of(r), "order", "node %u ranks %u items of %s, %u have a count", r->node,
                   result->as.items.count, model_types[slot->type].name, counted);
    }
}

static void judge_digest(struct client_run *r, const struct client_slot *slot,
                         const struct tide_result *result)
{
    const struct tide_digest *digest = &result->as.digest;
    if (slot->number != 0 && digest->seqno != slot->number) {
        world_fail(world_of(r), "token", "DIGEST AT %" PRIu64 " answers for %" PRIu64, slot->number,
                   digest->seqno);
        return;
    }
    const struct db *db = r->cluster->nodes[r->node].db;
    struct position at = db->log == NULL ? (struct position){0} : log_durable(db->log);
    if (!model_is_current(&r->cluster->model, at.epoch, at.seqno.v)) return; /* deposed */
    model_saw_root(&r->cluster->model, r->node, digest->seqno, digest->root);
}

static void judge_position(struct client_run *r, const struct tide_position *p)
{
    model_saw_position(&r->cluster->model, r->node, p->epoch, p->seqno, p->chain4);
    bool is_leading = r->asked.leader == r->node && r->node == r->cluster->leader;
    if (!is_leading || p->seqno >= r->acked_before) return;
    world_fail(world_of(r), "lost",
               "the leader shows %" PRIu64 " after record %" PRIu64 " was acknowledged", p->seqno,
               r->acked_before);
}

/* A follower that has not reached the first writes does not know the types yet. */
static bool is_before_schema(const struct client_run *r)
{
    const struct cluster *c = r->cluster;
    if (r->node == r->cluster->leader) return false;
    return c->model.acked_min == 0 || c->nodes[r->node].applied_peak < c->model.acked_min;
}

static void judge_answer(struct client_run *r, uint32_t index, bool had_refusal)
{
    const struct client_slot *slot = &r->slots[index];
    const struct tide_result *result = tide_run_result(r->run, index);
    if (slot->kind == SLOT_FORBIDDEN) {
        if (result->code == TIDE_READONLY || is_read_refusal(r, result->code)) return;
        world_fail(world_of(r), "honesty", "a write on follower %u answers %s", r->node,
                   tide_code_name(result->code));
        return;
    }
    if (result->code != TIDE_OK) {
        bool is_worldly = tide_code_class(result->code) == TIDE_CLASS_WORLD ||
                          result->code == TIDE_NOT_KEPT || result->code == TIDE_NOTFOUND ||
                          result->code == TIDE_TIMEOUT || result->code == TIDE_UNKNOWN;
        if (result->code == TIDE_READONLY && plan_changes_leaders(&r->cluster->plan)) return;
        bool may_fail =
            slot->kind == SLOT_OTHER || slot->kind == SLOT_DIGEST || slot->kind == SLOT_WAIT;
        bool is_unmet = result->code == TIDE_STALE || result->code == TIDE_LOST ||
                        result->code == TIDE_INVALID; /* sim/fresh says whether rightly */
        if (slot->kind == SLOT_FRESH && is_unmet) return;
        /* A read waits for the writes before it, and fails with them. */
        if (had_refusal && result->code == TIDE_POISONED) return;
        if (result->code == TIDE_SCHEMA && is_before_schema(r)) return;
        if (is_read_refusal(r, result->code) || (may_fail && is_worldly)) return;
        world_fail(world_of(r), "refusal", "a read on node %u (kind %d) answers %s: %s", r->node,
                   (int)slot->kind, tide_code_name(result->code),
                   result->message != NULL ? result->message : "");
        return;
    }
    switch (slot->kind) {
    case SLOT_POSITION: judge_position(r, &result->as.position); break;
    case SLOT_PRODUCER: judge_producer(r, slot, result->as.integer); break;
    case SLOT_RETRIEVE: judge_items(r, slot, &result->as.items); break;
    case SLOT_DIGEST: judge_digest(r, slot, result); break;
    case SLOT_STATUS: check_status(r->cluster, r->node, result->as.status, &r->asked); break;
    case SLOT_WAIT:
        check_wait(r->cluster, slot->number != 0 ? slot->number : r->asked.leader_durable,
                   result->as.integer);
        break;
    case SLOT_COUNT:
    case SLOT_FRESH:
    case SLOT_DOC:
    case SLOT_SCORE:
    case SLOT_OTHER:
    case SLOT_WRITE:
    case SLOT_MEMBER:
    case SLOT_FRAME:
    case SLOT_FORBIDDEN: break;
    }
}

void client_judge(struct client_run *r)
{
    bool had_refusal = false;
    /* It may have begun to lead in the same event. */
    if (r->cluster->nodes[r->node].state == NODE_UP) operator_notice(r->cluster, r->node);
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        if (slot->kind == SLOT_WRITE || slot->kind == SLOT_MEMBER) {
            bool is_first_member = slot->kind == SLOT_MEMBER && r->slots[i - 1].kind == SLOT_FRAME;
            if (is_first_member) judge_group(r, i);
            had_refusal |= judge_write(r, slot, tide_run_result(r->run, i), had_refusal);
            judge_claim(r, i);
        } else if (slot->kind != SLOT_FRAME) {
            judge_answer(r, i, had_refusal);
        }
    }
    uint64_t from = 0;
    uint64_t to = 0;
    if (find_positions(r, &from, &to)) {
        judge_counts(r, from, to);
        docs_judge(r, from, to);
    }
    if (r->is_reader) {
        fresh_judge(r);
    } else if (r->client == NULL) {
        judge_scores(r);
        judge_completeness(r);
    }
}

void client_give_up(struct client_run *r)
{
    struct model *m = &r->cluster->model;
    for (uint32_t i = 0; i < r->slot_count; i++) {
        const struct client_slot *slot = &r->slots[i];
        if (slot->kind != SLOT_WRITE && slot->kind != SLOT_MEMBER) continue;
        enum write_state state = m->writes[slot->write].state;
        if (state == WRITE_ACKED || state == WRITE_LOST) continue;
        model_unknown(m, slot->write);
        if (can_retry(&m->writes[slot->write])) client_retry_later(r->client, slot->write);
    }
}
