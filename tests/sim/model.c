/* model: the clients' memory. See the header for what it promises. */
#include "sim/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

const struct model_type model_types[MODEL_TYPES] = {
    {"view", true},    {"click", true}, {"share", false}, {"skip", true},
    {"comment", true}, {"like", true},  {"save", false},
};

void model_init(struct model *m, struct world *world)
{
    *m = (struct model){.world = world};
}

void model_fini(struct model *m)
{
    free(m->writes);
    free(m->entries);
    free(m->places);
    *m = (struct model){0};
}

size_t model_key(uint32_t write, char out[MODEL_KEY_SIZE])
{
    return (size_t)snprintf(out, MODEL_KEY_SIZE, "k%" PRIu32, write);
}

size_t model_item(uint32_t item, char out[MODEL_KEY_SIZE])
{
    return (size_t)snprintf(out, MODEL_KEY_SIZE, "item-%" PRIu32, item);
}

size_t model_user(uint32_t user, char out[MODEL_KEY_SIZE])
{
    return (size_t)snprintf(out, MODEL_KEY_SIZE, "u%" PRIu32, user);
}

uint32_t model_write_new(struct model *m, bool is_keyed, uint32_t producer, uint64_t number,
                         uint32_t group)
{
    if (m->write_count == m->write_capacity) {
        m->write_capacity = m->write_capacity == 0 ? 256 : m->write_capacity * 2;
        m->writes = realloc(m->writes, m->write_capacity * sizeof(m->writes[0]));
        ASSERT(m->writes != NULL);
    }
    m->writes[m->write_count] = (struct model_write){.state = WRITE_WAITING,
                                                     .is_keyed = is_keyed,
                                                     .producer = producer,
                                                     .producer_number = number,
                                                     .group = group,
                                                     .first_entry = m->entry_count};
    return m->write_count++;
}

void model_entry_add(struct model *m, struct model_entry entry)
{
    if (m->entry_count == m->entry_capacity) {
        m->entry_capacity = m->entry_capacity == 0 ? 512 : m->entry_capacity * 2;
        m->entries = realloc(m->entries, m->entry_capacity * sizeof(m->entries[0]));
        ASSERT(m->entries != NULL);
    }
    m->entries[m->entry_count++] = entry;
    m->writes[m->write_count - 1].entry_count++;
}

void model_sent(struct model *m, uint32_t write)
{
    struct model_write *w = &m->writes[write];
    if (w->attempts++ > 0) m->world->coverage.retries++;
    if (w->state != WRITE_ACKED && w->state != WRITE_LOST) w->state = WRITE_SENT;
}

void model_unknown(struct model *m, uint32_t write)
{
    struct model_write *w = &m->writes[write];
    if (w->state == WRITE_ACKED || w->state == WRITE_LOST) return;
    m->world->coverage.unknowns++;
    w->state = WRITE_UNKNOWN;
    w->was_unknown = true;
}

void model_refused(struct model *m, uint32_t write, bool is_final)
{
    struct model_write *w = &m->writes[write];
    m->world->coverage.refusals++;
    if (w->state == WRITE_ACKED || w->state == WRITE_LOST) return;
    if (w->was_unknown) { /* an earlier attempt may still have done it */
        w->state = WRITE_UNKNOWN;
    } else {
        w->state = is_final ? WRITE_REFUSED : WRITE_WAITING;
    }
}

static bool same_place(const struct tide_position *a, const struct tide_position *b)
{
    return a->epoch == b->epoch && a->seqno == b->seqno &&
           memcmp(a->chain4, b->chain4, sizeof(a->chain4)) == 0;
}

static bool is_once(const struct model_entry *entry)
{
    return entry->type >= MODEL_PLAIN;
}

/* May a write without a record of its own be the right answer? */
static bool can_claim(const struct model *m, const struct model_write *w)
{
    return !w->is_keyed && w->entry_count == 1 && is_once(&m->entries[w->first_entry]);
}

static void lose(struct model *m, uint32_t write, uint64_t epoch, bool may_lose);

void model_acked(struct model *m, uint32_t write, const struct tide_position *where,
                 bool is_duplicate)
{
    struct model_write *w = &m->writes[write];
    m->world->coverage.writes++;
    m->world->coverage.recognised += is_duplicate;
    world_note(m->world, where->seqno);
    /* Acknowledged by a leader that others have replaced, without its knowing. */
    if (w->state == WRITE_LOST || !model_is_current(m, where->epoch, where->seqno)) {
        if (w->state != WRITE_LOST && w->copies > 0) lose(m, write, where->epoch, false);
        w->state = WRITE_LOST;
        return;
    }
    if (w->state == WRITE_ACKED) {
        if (!is_duplicate) {
            world_fail(m->world, "once",
                       "write k%u was done again at %" PRIu64 ", first at %" PRIu64, write,
                       where->seqno, w->where.seqno);
        } else if (w->producer == 0 && !same_place(where, &w->where)) {
            world_fail(m->world, "token", "write k%u is said to be at %" PRIu64 ", was at %" PRIu64,
                       write, where->seqno, w->where.seqno);
        }
        return;
    }
    w->is_claim = is_duplicate && can_claim(m, w);
    if (is_duplicate && !w->was_unknown && !w->is_claim) {
        world_fail(m->world, "honesty",
                   "write k%u is called a duplicate, but every earlier attempt was refused", write);
    }
    if (where->seqno == 0) {
        world_fail(m->world, "token", "write k%u was acknowledged at 0", write);
    }
    w->state = WRITE_ACKED;
    w->where = *where;
    w->is_place_vague = is_duplicate && w->producer != 0;
    if (where->seqno > m->acked_max) m->acked_max = where->seqno;
    if (m->acked_min == 0 || where->seqno < m->acked_min) m->acked_min = where->seqno;
    model_saw_position(m, WORLD_NO_NODE, where->epoch, where->seqno, where->chain4);
}

/* The place of a record number, NULL beyond what is remembered. */
static struct model_place *place_at(struct model *m, uint64_t record)
{
    if (record >= MODEL_SEQNOS_MAX) return NULL;
    if (record >= m->place_capacity) {
        uint64_t capacity = m->place_capacity == 0 ? 512 : m->place_capacity;
        while (capacity <= record) {
            capacity *= 2;
        }
        m->places = realloc(m->places, capacity * sizeof(m->places[0]));
        ASSERT(m->places != NULL);
        memset(m->places + m->place_capacity, 0,
               (capacity - m->place_capacity) * sizeof(m->places[0]));
        m->place_capacity = capacity;
    }
    return &m->places[record];
}

void model_saw_position(struct model *m, uint32_t node, uint64_t epoch, uint64_t record,
                        const uint8_t chain4[4])
{
    struct model_place *p = place_at(m, record);
    if (record == 0 || p == NULL || !model_is_current(m, epoch, record)) return;
    if (!p->is_known) {
        p->is_known = true;
        p->epoch = epoch;
        memcpy(p->chain4, chain4, sizeof(p->chain4));
        if (record >= m->place_count) m->place_count = record + 1;
    } else if (p->epoch != epoch || memcmp(p->chain4, chain4, sizeof(p->chain4)) != 0) {
        world_fail(m->world, "history",
                   "record %" PRIu64 " has two histories: epoch %" PRIu64
                   " chain %02x%02x%02x%02x on node %d, before epoch %" PRIu64
                   " chain %02x%02x%02x%02x",
                   record, epoch, chain4[0], chain4[1], chain4[2], chain4[3], (int)node, p->epoch,
                   p->chain4[0], p->chain4[1], p->chain4[2], p->chain4[3]);
    }
}

bool model_is_current(const struct model *m, uint64_t epoch, uint64_t record)
{
    for (uint32_t i = 0; i < m->cut_count; i++) {
        if (epoch < m->cuts[i].epoch && record >= m->cuts[i].start) return false;
    }
    return true;
}

static void lose(struct model *m, uint32_t write, uint64_t epoch, bool may_lose)
{
    struct model_write *w = &m->writes[write];
    m->world->coverage.given_up++;
    w->state = WRITE_LOST;
    if (may_lose && w->copies == 0) return;
    world_fail(m->world, "lost",
               "k%" PRIu32 " at %" PRIu64 " of epoch %" PRIu64 " asked for %" PRIu32
               " copies, was acknowledged, and is not in epoch %" PRIu64,
               write, w->where.seqno, w->where.epoch, w->copies, epoch);
}

void model_cut(struct model *m, uint64_t epoch, uint64_t start, bool may_lose)
{
    ASSERT(m->cut_count < MODEL_CUTS_MAX);
    m->cuts[m->cut_count++] = (struct model_cut){.epoch = epoch, .start = start};
    m->acked_max = 0;
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        if (w->state != WRITE_ACKED) continue;
        if (w->where.seqno >= start) {
            lose(m, i, epoch, may_lose);
        } else if (w->where.seqno > m->acked_max) {
            m->acked_max = w->where.seqno;
        }
    }
    for (uint64_t record = start; record < m->place_capacity; record++) {
        m->places[record] = (struct model_place){0};
    }
}

void model_saw_root(struct model *m, uint32_t node, uint64_t record, const uint8_t root[32])
{
    struct model_place *p = place_at(m, record);
    if (p == NULL) return;
    world_note(m->world, root[0] | (uint64_t)root[1] << 8 | (uint64_t)root[2] << 16);
    if (!p->has_root) {
        p->has_root = true;
        p->root_node = node;
        memcpy(p->root, root, sizeof(p->root));
        return;
    }
    m->world->coverage.digests++;
    if (memcmp(p->root, root, sizeof(p->root)) != 0) {
        world_fail(m->world, "digest", "nodes %u and %u differ in the state after record %" PRIu64,
                   p->root_node, node, record);
    }
}

void model_saw_durable(struct model *m, uint64_t to, uint64_t now_ns)
{
    if (place_at(m, to) == NULL) return;
    for (uint64_t s = to; s > 0; s--) {
        if (m->places[s].durable_ns != 0) break;
        m->places[s].durable_ns = now_ns;
    }
}

uint64_t model_staleness_ns(const struct model *m, uint64_t applied, uint64_t leader_durable)
{
    if (applied >= leader_durable || applied + 1 >= m->place_capacity) return 0;
    uint64_t since = m->places[applied + 1].durable_ns;
    return since == 0 ? 0 : m->world->now_ns - since;
}

bool model_may_show(const struct model_write *w, uint64_t to)
{
    if (w->state == WRITE_ACKED) return w->is_place_vague || w->where.seqno <= to;
    return w->state != WRITE_LOST && (w->state == WRITE_SENT || w->was_unknown);
}

/* --- types that count a user once --- */

/* What the writes say about one user's signal for one item. Acknowledged ones are ordered by their
 * positions, within one record by their order there. */
struct edge_view {
    uint64_t last;   /* place of the newest word that must show; 0: none */
    uint64_t undone; /* place of the newest undo among them */
    bool is_there;   /* what the newest word says */
    bool may_come;   /* something that may show or not signals it */
    bool may_go;     /* ... takes it back */
    uint64_t since;  /* place of the signal that counts */
    double value;    /* ... and what it is worth */
};
struct edge_views {
    struct edge_view of[MODEL_TYPES - MODEL_PLAIN][MODEL_ITEMS][MODEL_USERS];
};

static struct edge_view *view_of(struct edge_views *views, const struct model_entry *entry)
{
    return &views->of[entry->type - MODEL_PLAIN][entry->item][entry->user];
}

/* Record number and, within a record, the order in which the client wrote. */
static uint64_t place_of(const struct model_write *w, uint32_t entry)
{
    return w->where.seqno << 32 | (entry + 1);
}

static void view_word(struct edge_view *v, const struct model_entry *entry, uint64_t place)
{
    if (entry->is_undo && place > v->undone) v->undone = place;
    if (place < v->last) return;
    v->last = place;
    v->is_there = !entry->is_undo;
}

/* Every write that may show at a position between from and to, word by word. */
static void views_fill(const struct model *m, uint64_t from, uint64_t to, struct edge_views *views)
{
    memset(views, 0, sizeof(*views));
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        bool must = w->state == WRITE_ACKED && w->where.seqno <= from;
        if (w->is_claim || (!must && !model_may_show(w, to))) continue;
        for (uint32_t k = w->first_entry; k < w->first_entry + w->entry_count; k++) {
            const struct model_entry *entry = &m->entries[k];
            if (!is_once(entry)) continue;
            struct edge_view *v = view_of(views, entry);
            if (must) view_word(v, entry, place_of(w, k));
            v->may_come |= !must && !entry->is_undo;
            v->may_go |= !must && entry->is_undo;
        }
    }
}

/* Find the signal that counts: the first one after the newest undo. */
static void views_value(const struct model *m, int64_t at_ms, struct edge_views *views)
{
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        if (w->state != WRITE_ACKED || w->is_claim) continue;
        for (uint32_t k = w->first_entry; k < w->first_entry + w->entry_count; k++) {
            const struct model_entry *entry = &m->entries[k];
            if (!is_once(entry) || entry->is_undo) continue;
            struct edge_view *v = view_of(views, entry);
            uint64_t place = place_of(w, k);
            if (place < v->undone || (v->since != 0 && place > v->since)) continue;
            v->since = place;
            v->value = entry->weight * exp2((double)(entry->at_ms - at_ms) / MODEL_HALFLIFE_MS);
        }
    }
}

/* Every write that may show at `at` and speaks of this edge. Claims are few, edges many, so each is
 * looked at alone. */
static struct edge_view view_edge(const struct model *m, const struct model_entry *edge,
                                  uint64_t at)
{
    struct edge_view v = {0};
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        for (uint32_t k = w->first_entry; k < w->first_entry + w->entry_count; k++) {
            const struct model_entry *entry = &m->entries[k];
            bool is_same =
                entry->type == edge->type && entry->item == edge->item && entry->user == edge->user;
            if (!is_same || w->is_claim) continue;
            bool must = w->state == WRITE_ACKED && w->where.seqno <= at;
            if (must) view_word(&v, entry, place_of(w, k));
            if (must || !model_may_show(w, at)) continue;
            v.may_come |= !entry->is_undo;
            v.may_go |= entry->is_undo;
        }
    }
    return v;
}

void model_check_claims(const struct model *m)
{
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        if (!w->is_claim || w->state != WRITE_ACKED) continue;
        const struct model_entry *entry = &m->entries[w->first_entry];
        const struct edge_view v = view_edge(m, entry, w->where.seqno);
        if (v.may_come || v.may_go || v.is_there == !entry->is_undo) continue;
        world_fail(m->world, "honesty",
                   "k%" PRIu32 " is said to have nothing to do at %" PRIu64
                   ", but %s of item-%u by "
                   "u%u is %s there",
                   i, w->where.seqno, model_types[entry->type].name, entry->item, entry->user,
                   v.is_there ? "still" : "not");
    }
}

static void add_edge_bounds(const struct model *m, uint64_t from, uint64_t to,
                            struct model_bounds out[MODEL_TYPES][MODEL_ITEMS])
{
    static struct edge_views views;
    views_fill(m, from, to, &views);
    for (uint32_t type = MODEL_PLAIN; type < MODEL_TYPES; type++) {
        for (uint32_t item = 0; item < MODEL_ITEMS; item++) {
            for (uint32_t user = 0; user < MODEL_USERS; user++) {
                const struct edge_view *v = &views.of[type - MODEL_PLAIN][item][user];
                out[type][item].low += v->is_there && !v->may_go;
                out[type][item].high += v->is_there || v->may_come;
            }
        }
    }
}

static void add_edge_scores(const struct model *m, int64_t at_ms,
                            struct model_score out[MODEL_TYPES][MODEL_ITEMS])
{
    static struct edge_views views;
    views_fill(m, UINT64_MAX, UINT64_MAX, &views);
    views_value(m, at_ms, &views);
    for (uint32_t type = MODEL_PLAIN; type < MODEL_TYPES; type++) {
        for (uint32_t item = 0; item < MODEL_ITEMS; item++) {
            struct model_score *score = &out[type][item];
            score->is_uncertain |= !model_types[type].has_times;
            for (uint32_t user = 0; user < MODEL_USERS; user++) {
                const struct edge_view *v = &views.of[type - MODEL_PLAIN][item][user];
                score->is_uncertain |= v->may_come || v->may_go;
                if (v->is_there) score->sum += v->value;
            }
        }
    }
}

/* --- what nodes may answer --- */

void model_count_bounds(const struct model *m, uint64_t from, uint64_t to,
                        struct model_bounds out[MODEL_TYPES][MODEL_ITEMS])
{
    memset(out, 0, sizeof(struct model_bounds) * MODEL_TYPES * MODEL_ITEMS);
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        bool must = w->state == WRITE_ACKED && w->where.seqno <= from;
        if (!must && !model_may_show(w, to)) continue;
        for (uint32_t k = 0; k < w->entry_count; k++) {
            const struct model_entry *entry = &m->entries[w->first_entry + k];
            if (is_once(entry)) continue;
            out[entry->type][entry->item].low += must;
            out[entry->type][entry->item].high++;
        }
    }
    add_edge_bounds(m, from, to, out);
}

void model_scores(const struct model *m, int64_t at_ms,
                  struct model_score out[MODEL_TYPES][MODEL_ITEMS])
{
    memset(out, 0, sizeof(struct model_score) * MODEL_TYPES * MODEL_ITEMS);
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        bool is_acked = w->state == WRITE_ACKED;
        if (!is_acked && !model_may_show(w, UINT64_MAX)) continue;
        for (uint32_t k = 0; k < w->entry_count; k++) {
            const struct model_entry *entry = &m->entries[w->first_entry + k];
            struct model_score *score = &out[entry->type][entry->item];
            if (!is_acked || !model_types[entry->type].has_times) {
                score->is_uncertain = true;
                continue;
            }
            double age = (double)(entry->at_ms - at_ms) / MODEL_HALFLIFE_MS;
            double value = entry->weight * exp2(age);
            score->scale += fabs(value);
            if (!is_once(entry)) score->sum += value;
        }
    }
    add_edge_scores(m, at_ms, out);
}

struct model_bounds model_producer_bounds(const struct model *m, uint32_t producer)
{
    struct model_bounds b = {0};
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        if (w->producer != producer || w->attempts == 0) continue;
        if (w->state == WRITE_ACKED && w->producer_number > b.low) b.low = w->producer_number;
        if (w->producer_number > b.high) b.high = w->producer_number;
    }
    return b;
}

uint32_t model_unresolved(const struct model *m, uint32_t *out_example)
{
    uint32_t count = 0;
    for (uint32_t i = 0; i < m->write_count; i++) {
        const struct model_write *w = &m->writes[i];
        bool can_retry = w->is_keyed || w->producer != 0;
        bool is_open = w->state == WRITE_SENT;
        is_open |= can_retry && (w->state == WRITE_UNKNOWN || w->state == WRITE_WAITING);
        if (is_open && count++ == 0) *out_example = i;
    }
    return count;
}
