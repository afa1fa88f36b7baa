/* slots: one array, searched from the front: a table of 64 needs nothing cleverer. */
#include "core/slots.h"

#include "base/assert.h"
#include "base/planted.h"
#include "base/text.h"

#define SLOT_STATE_COUNT (SLOT_LOST + 1)

bool slot_edge_is_allowed(uint8_t from, uint8_t to)
{
    static const bool edges[SLOT_STATE_COUNT][SLOT_STATE_COUNT] = {
        [SLOT_BOOTSTRAP] = {[SLOT_CATCHING_UP] = true, [SLOT_INACTIVE] = true},
        [SLOT_CATCHING_UP] = {[SLOT_BOOTSTRAP] = true, /* the same node, emptied, joins again */
                              [SLOT_STREAMING] = true,
                              [SLOT_INACTIVE] = true},
        [SLOT_STREAMING] =
            {[SLOT_BOOTSTRAP] = true, [SLOT_CATCHING_UP] = true, [SLOT_INACTIVE] = true},
        [SLOT_INACTIVE] = {[SLOT_BOOTSTRAP] = true, [SLOT_CATCHING_UP] = true},
    };
    ASSERT(from < SLOT_STATE_COUNT);
    ASSERT(to < SLOT_STATE_COUNT);
    return edges[from][to];
}

/* The one place where a slot's state changes. */
static void enter(struct slot *slot, enum slot_state next)
{
    if (slot->record.state == next) return;
    ASSERT(slot_edge_is_allowed(slot->record.state, (uint8_t)next));
    slot->record.state = (uint8_t)next;
}

static struct slot *slot_at(struct slots *t, uint32_t index)
{
    ASSERT(index < t->count);
    return &t->slots[index];
}

static void mark_dirty(struct slots *t, uint64_t now_ns, uint64_t log_bytes)
{
    if (t->is_dirty) return;
    t->is_dirty = true;
    t->dirty_since_ns = now_ns;
    t->dirty_log_bytes = log_bytes;
}

void slots_init(struct slots *t, uint64_t epoch, seqno epoch_start)
{
    memset(t, 0, sizeof(*t));
    t->epoch = epoch;
    t->epoch_start = epoch_start;
}

void slots_load(struct slots *t, const struct slot_record *records, uint32_t count, uint64_t now_ns)
{
    ASSERT(t->count == 0);
    ASSERT(count <= SLOTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (slots_find(t, slice_of_text(records[i].node_id)) != SLOT_NONE) continue;
        struct slot *slot = &t->slots[t->count++];
        *slot = (struct slot){.record = records[i], .seen_ns = now_ns};
        slot->stored.seqno = records[i].stored;
        slot->record.restart = seqno_min(records[i].restart, records[i].stored);
        if (slot->record.state != SLOT_LOST) slot->record.state = SLOT_INACTIVE;
    }
}

void slots_close(struct slots *t)
{
    t->is_closed = true;
}

uint32_t slots_find(const struct slots *t, struct slice node_id)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (slice_equal(slice_of_text(t->slots[i].record.node_id), node_id)) return i;
    }
    return SLOT_NONE;
}

bool slots_is_in_use(const struct slots *t, const struct slot_join *join)
{
    uint32_t index = slots_find(t, join->node_id);
    if (index == SLOT_NONE || !t->slots[index].is_connected) return false;
    const struct slot *slot = &t->slots[index];
    return slot->record.incarnation != join->incarnation || slot->history_id != join->history_id ||
           !slice_equal(slice_of_text(slot->record.address), join->data_address);
}

static void copy_text(char *out, size_t capacity, struct slice s)
{
    ASSERT(s.size < capacity);
    memset(out, 0, capacity);
    if (s.size > 0) memcpy(out, s.data, s.size);
}

uint32_t slots_join(struct slots *t, const struct slot_join *join)
{
    ASSERT(is_node_id(join->node_id));
    uint32_t index = slots_find(t, join->node_id);
    if (index == SLOT_NONE) {
        ASSERT(t->count < SLOTS_MAX);
        index = t->count++;
        t->slots[index] = (struct slot){.record = {.state = SLOT_INACTIVE}};
        t->is_save_urgent = true;
    }
    struct slot *slot = slot_at(t, index);
    struct slot_record *record = &slot->record;
    copy_text(record->node_id, sizeof(record->node_id), join->node_id);
    copy_text(record->address, sizeof(record->address), join->data_address);
    record->incarnation = join->incarnation;
    record->stream = join->stream;
    record->region = join->region;
    record->is_voter = join->is_voter;
    record->epoch = t->epoch;
    /* A handshake may go back: a wiped or restored follower holds less than it once did. */
    if (join->last.seqno.v < record->restart.v) t->is_save_urgent = true;
    record->received = record->stored = record->restart = join->last.seqno;
    record->applied = seqno_min(record->applied, join->last.seqno);
    record->idle_ns = 0;
    slot->history_id = join->history_id;
    slot->stored = join->last;
    slot->shipped = join->last.seqno;
    record->is_rebootstrapping = join->is_rebootstrapping;
    slot->is_connected = slot->is_vouched = true;
    slot->is_poisoned = false;
    slot->connected_ns = slot->seen_ns = join->now_ns;
    enter(slot, join->last.seqno.v == 0 ? SLOT_BOOTSTRAP : SLOT_CATCHING_UP);
    mark_dirty(t, join->now_ns, join->log_bytes);
    return index;
}

void slots_pin(struct slots *t, uint32_t index, seqno from, uint64_t now_ns, uint64_t log_bytes)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(slot->record.state == SLOT_BOOTSTRAP);
    slot->record.restart = from;
    slot->record.is_rebootstrapping = 1;
    slot->seen_ns = now_ns;
    mark_dirty(t, now_ns, log_bytes);
}

void slots_advance(struct slots *t, uint32_t index, const struct slot_progress *progress)
{
    struct slot *slot = slot_at(t, index);
    struct slot_record *record = &slot->record;
    ASSERT(slot->is_connected);
    ASSERT(progress->stored.seqno.v >= record->stored.v);
    ASSERT(progress->applied.v <= progress->stored.seqno.v);
    slot->seen_ns = progress->now_ns;
    slot->is_poisoned = progress->is_poisoned;
    slot->stored = progress->stored;
    bool has_changed = record->stored.v != progress->stored.seqno.v ||
                       record->apply_errors != progress->apply_errors ||
                       record->divergences != progress->divergences;
    record->received = progress->received;
    record->stored = record->restart = progress->stored.seqno;
    record->applied = progress->applied;
    record->apply_errors = progress->apply_errors;
    record->divergences = progress->divergences;
    if (record->state == SLOT_BOOTSTRAP && record->stored.v > 0) enter(slot, SLOT_CATCHING_UP);
    if (has_changed) mark_dirty(t, progress->now_ns, progress->log_bytes);
    ASSERT(record->restart.v <= record->stored.v);
}

void slots_set_streaming(struct slots *t, uint32_t index, bool is_streaming)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(slot->is_connected);
    if (slot->record.state == SLOT_BOOTSTRAP) return; /* it must hold something first */
    enter(slot, is_streaming ? SLOT_STREAMING : SLOT_CATCHING_UP);
}

void slots_disconnect(struct slots *t, uint32_t index, uint64_t now_ns)
{
    struct slot *slot = slot_at(t, index);
    if (!slot->is_connected) return;
    ASSERT(now_ns >= slot->seen_ns);
    slot->is_connected = false;
    enter(slot, SLOT_INACTIVE);
}

seqno slots_floor(const struct slots *t, seqno durable)
{
    if (t->is_closed) return seqno_of(1);
    seqno floor = seqno_next(durable);
    for (uint32_t i = 0; i < t->count; i++) {
        const struct slot_record *record = &t->slots[i].record;
        if (PLANTED(21) && !t->slots[i].is_connected) continue; /* who is away holds nothing */
        if (record->state != SLOT_LOST) floor = seqno_min(floor, record->restart);
    }
    return seqno_max(floor, seqno_of(1));
}

seqno slots_safe(const struct slots *t, seqno durable)
{
    if (t->is_closed) return SEQNO_NONE;
    seqno safe = durable;
    for (uint32_t i = 0; i < t->count; i++) {
        const struct slot_record *record = &t->slots[i].record;
        if (record->state != SLOT_LOST) safe = seqno_min(safe, record->stored);
    }
    return safe;
}

static bool is_counted(const struct slots *t, const struct slot *slot)
{
    return slot->is_vouched && !slot->is_poisoned && slot->record.stored.v >= t->epoch_start.v;
}

uint32_t slots_count_stored(const struct slots *t, seqno s)
{
    uint32_t copies = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_counted(t, &t->slots[i]) && t->slots[i].record.stored.v >= s.v) copies++;
        if (PLANTED(16) && t->slots[i].record.stored.v < s.v) { /* received counts as stored */
            copies += t->slots[i].record.received.v >= s.v;
        }
    }
    return copies;
}

seqno slots_commit(struct slots *t, seqno now)
{
    t->committed = seqno_max(t->committed, now);
    return t->committed;
}

bool slots_is_save_due(const struct slots *t, uint64_t now_ns, uint64_t log_bytes)
{
    if (t->is_closed || !t->is_dirty) return false;
    return t->is_save_urgent || now_ns - t->dirty_since_ns >= SLOTS_SAVE_NS ||
           log_bytes - t->dirty_log_bytes >= SLOTS_SAVE_BYTES;
}

uint32_t slots_copy(const struct slots *t, struct slot_record *out)
{
    for (uint32_t i = 0; i < t->count; i++) {
        out[i] = t->slots[i].record;
    }
    return t->count;
}

void slots_save_begins(struct slots *t)
{
    t->is_dirty = false;
    t->is_save_urgent = false;
}

void slots_save_failed(struct slots *t, uint64_t now_ns, uint64_t log_bytes)
{
    t->is_dirty = false; /* the wait starts again */
    mark_dirty(t, now_ns, log_bytes);
}
