/* slots: one array, searched from the front: a table of 64 needs nothing cleverer. */
#include "core/slots.h"

#include <math.h>

#include "base/assert.h"
#include "base/planted.h"
#include "base/taken.h"
#include "base/text.h"
#include "core/slots_judge.h"

#define SLOT_STATE_COUNT (SLOT_LOST + 1)

bool slot_edge_is_allowed(uint8_t from, uint8_t to)
{
    static const bool edges[SLOT_STATE_COUNT][SLOT_STATE_COUNT] = {
        [SLOT_BOOTSTRAP] = {[SLOT_CATCHING_UP] = true,
                            [SLOT_INACTIVE] = true,
                            [SLOT_AT_RISK] = true,
                            [SLOT_LOST] = true},
        [SLOT_CATCHING_UP] = {[SLOT_BOOTSTRAP] = true, /* the same node, emptied, joins again */
                              [SLOT_STREAMING] = true,
                              [SLOT_INACTIVE] = true,
                              [SLOT_AT_RISK] = true,
                              [SLOT_LOST] = true},
        [SLOT_STREAMING] = {[SLOT_BOOTSTRAP] = true,
                            [SLOT_CATCHING_UP] = true,
                            [SLOT_INACTIVE] = true,
                            [SLOT_AT_RISK] = true,
                            [SLOT_LOST] = true},
        [SLOT_INACTIVE] = {[SLOT_BOOTSTRAP] = true,
                           [SLOT_CATCHING_UP] = true,
                           [SLOT_AT_RISK] = true,
                           [SLOT_LOST] = true},
        [SLOT_AT_RISK] = {[SLOT_BOOTSTRAP] = true,
                          [SLOT_CATCHING_UP] = true,
                          [SLOT_STREAMING] = true,
                          [SLOT_INACTIVE] = true,
                          [SLOT_LOST] = true},
        [SLOT_LOST] = {[SLOT_BOOTSTRAP] = true},
    };
    ASSERT(from < SLOT_STATE_COUNT);
    ASSERT(to < SLOT_STATE_COUNT);
    return edges[from][to];
}

void slot_enter(struct slot *slot, enum slot_state next)
{
    if (slot->record.state == next) return;
    ASSERT(slot_edge_is_allowed(slot->record.state, (uint8_t)next));
    TAKEN(TAKEN_SLOT, slot->record.state, next);
    slot->record.state = (uint8_t)next;
}

enum slot_state slot_state_of_link(const struct slot *slot)
{
    if (!slot->is_connected) return SLOT_INACTIVE;
    if (slot->record.is_rebootstrapping || slot->record.stored.v == 0) return SLOT_BOOTSTRAP;
    return slot->is_streaming ? SLOT_STREAMING : SLOT_CATCHING_UP;
}

/* The link changed: a slot at risk or lost stays that whatever its link does. */
static void follow_link(struct slot *slot)
{
    if (slot->record.state == SLOT_AT_RISK || slot->record.state == SLOT_LOST) return;
    slot_enter(slot, slot_state_of_link(slot));
}

static struct slot *slot_at(struct slots *t, uint32_t index)
{
    ASSERT(index < t->count);
    return &t->slots[index];
}

void slots_mark_dirty(struct slots *t, uint64_t now_ns, uint64_t log_bytes)
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
        *slot = (struct slot){.record = records[i],
                              .seen_ns = now_ns,
                              .idle_since_ns = now_ns,
                              .idle_saved_ns = records[i].idle_ns,
                              .budget_bytes = UINT64_MAX,
                              .seconds_until_lost = (double)INFINITY};
        slot->stored.seqno = records[i].stored;
        slot->is_pinned = records[i].is_rebootstrapping && records[i].restart.v > 0;
        if (!records[i].is_rebootstrapping) {
            slot->record.restart = seqno_min(records[i].restart, records[i].stored);
        }
        if (slot->record.state == SLOT_LOST) {
            slot->release = SLOT_RELEASED; /* the catalogue says so */
        } else {
            slot->record.state = SLOT_INACTIVE;
        }
    }
}

void slots_begin_epoch(struct slots *t, uint64_t epoch, seqno epoch_start)
{
    t->epoch = epoch;
    t->epoch_start = epoch_start;
    t->committed = SEQNO_NONE;
    for (uint32_t i = 0; i < t->count; i++) {
        ASSERT(!t->slots[i].is_connected);
        t->slots[i].is_vouched = false; /* until a handshake proves its history again */
    }
}

void slots_keep_others(struct slots *t, const uint64_t *epochs, uint32_t count)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        bool is_among = false;
        for (uint32_t k = 0; k < count; k++) {
            is_among |= t->slots[i].record.epoch == epochs[k];
        }
        if (is_among) continue;
        if (kept != i) t->slots[kept] = t->slots[i];
        kept++;
    }
    t->count = kept;
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

/* A slot of its own for a new id. */
static uint32_t add_slot(struct slots *t, struct slice node_id, struct slice data_address)
{
    ASSERT(is_node_id(node_id));
    ASSERT(t->count < SLOTS_MAX);
    uint32_t index = t->count++;
    struct slot *slot = &t->slots[index];
    *slot = (struct slot){.record = {.state = SLOT_INACTIVE},
                          .budget_bytes = UINT64_MAX,
                          .seconds_until_lost = (double)INFINITY};
    copy_text(slot->record.node_id, sizeof(slot->record.node_id), node_id);
    copy_text(slot->record.address, sizeof(slot->record.address), data_address);
    t->is_save_urgent = true;
    return index;
}

/* The node on the link, as its hello says. */
static struct slot *take_join(struct slots *t, const struct slot_join *join, uint32_t *out_index)
{
    uint32_t index = slots_find(t, join->node_id);
    if (index == SLOT_NONE) index = add_slot(t, join->node_id, join->data_address);
    struct slot *slot = slot_at(t, index);
    struct slot_record *record = &slot->record;
    ASSERT(!slot->is_leaving);
    copy_text(record->address, sizeof(record->address), join->data_address);
    record->incarnation = join->incarnation;
    record->stream = join->stream;
    record->region = join->region;
    record->is_voter = join->is_voter;
    record->epoch = t->epoch;
    record->idle_ns = 0;
    slot->history_id = join->history_id;
    slot->is_connected = true;
    slot->is_streaming = false;
    slot->is_poisoned = false;
    slot->connected_ns = slot->seen_ns = join->now_ns;
    *out_index = index;
    return slot;
}

uint32_t slots_join(struct slots *t, const struct slot_join *join)
{
    uint32_t index;
    struct slot *slot = take_join(t, join, &index);
    struct slot_record *record = &slot->record;
    ASSERT(!join->is_rebootstrapping || join->last.seqno.v == 0);
    ASSERT(record->state != SLOT_LOST || join->is_rebootstrapping);
    /* A handshake may go back: a wiped or restored follower holds less than it once did. */
    if (join->last.seqno.v < record->restart.v) t->is_save_urgent = true;
    record->received = record->stored = record->restart = join->last.seqno;
    record->applied = seqno_min(record->applied, join->last.seqno);
    record->is_rebootstrapping = join->is_rebootstrapping;
    if (!join->is_rebootstrapping) record->reason = SLOT_REASON_NONE;
    record->invalidated_at_ms = 0;
    slot->release = SLOT_HOLDS;
    slot->stored = join->last;
    slot->shipped = join->last.seqno;
    slot->is_vouched = !join->is_rebootstrapping;
    slot->is_pinned = false;
    slot->is_pressed = false;
    slot_enter(slot, slot_state_of_link(slot)); /* if it is at risk still, that is judged anew */
    slots_mark_dirty(t, join->now_ns, join->log_bytes);
    return index;
}

void slots_pin(struct slots *t, uint32_t index, seqno from, uint64_t now_ns, uint64_t log_bytes)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(slot->record.is_rebootstrapping);
    slot->record.restart = from;
    slot->is_pinned = true;
    t->is_save_urgent = true; /* before the first block moves */
    slots_mark_dirty(t, now_ns, log_bytes);
}

uint32_t slots_provision(struct slots *t, const struct slot_member *members, uint32_t count,
                         seqno floor, uint64_t now_ns, uint64_t log_bytes)
{
    uint32_t made = 0;
    for (uint32_t i = 0; i < count && !slots_is_full(t); i++) {
        const struct slot_member *member = &members[i];
        if (slots_find(t, member->node_id) != SLOT_NONE) continue;
        struct slot *slot = slot_at(t, add_slot(t, member->node_id, member->data_address));
        slot->record.is_voter = member->is_voter;
        slot->record.epoch = t->epoch;
        /* The leader before kept the log from there: every member stored at least so much. */
        slot->record.received = slot->record.stored = slot->record.restart = floor;
        slot->stored.seqno = floor;
        slot->seen_ns = slot->idle_since_ns = now_ns;
        made++;
    }
    if (made > 0) slots_mark_dirty(t, now_ns, log_bytes);
    return made;
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
    record->stored = progress->stored.seqno;
    if (!record->is_rebootstrapping) record->restart = record->stored;
    record->applied = progress->applied;
    record->apply_errors = progress->apply_errors;
    record->divergences = progress->divergences;
    follow_link(slot);
    if (has_changed) slots_mark_dirty(t, progress->now_ns, progress->log_bytes);
    ASSERT(record->is_rebootstrapping || record->restart.v <= record->stored.v);
}

void slots_set_streaming(struct slots *t, uint32_t index, bool is_streaming)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(slot->is_connected);
    /* Of one in BOOTSTRAP it counts once it holds something: it is served from the segments until
     * then, and told anew with the next batch. */
    if (slot->record.state == SLOT_BOOTSTRAP) return;
    slot->is_streaming = is_streaming;
    follow_link(slot);
}

void slots_disconnect(struct slots *t, uint32_t index, uint64_t now_ns)
{
    struct slot *slot = slot_at(t, index);
    if (!slot->is_connected) return;
    ASSERT(now_ns >= slot->seen_ns);
    slot->is_connected = false;
    slot->is_streaming = false;
    slot->idle_since_ns = now_ns;
    follow_link(slot);
}

void slots_lose(struct slots *t, uint32_t index, enum slot_reason reason, int64_t wall_ms)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(!t->is_closed);
    if (slot->record.state == SLOT_LOST) return;
    slot_enter(slot, SLOT_LOST);
    TAKEN(TAKEN_SLOT_REASON, 0, reason);
    slot->record.reason = (uint8_t)reason;
    slot->record.invalidated_at_ms = wall_ms > 0 ? (uint64_t)wall_ms : 0;
    slot->release = SLOT_RELEASE_UNSAVED;
    t->is_dirty = true;
    t->is_save_urgent = true;
}

void slots_drop(struct slots *t, uint32_t index, int64_t wall_ms)
{
    struct slot *slot = slot_at(t, index);
    slots_lose(t, index, SLOT_REASON_REMOVED, wall_ms);
    slot->is_leaving = true;
    slot->release = SLOT_RELEASE_UNSAVED;
    t->is_dirty = true;
    t->is_save_urgent = true;
}

void slots_rename(struct slots *t, uint32_t index, struct slice new_id)
{
    struct slot *slot = slot_at(t, index);
    ASSERT(is_node_id(new_id));
    ASSERT(!slot->is_connected && !slot->is_leaving);
    ASSERT(slots_find(t, new_id) == SLOT_NONE);
    copy_text(slot->record.node_id, sizeof(slot->record.node_id), new_id);
    t->is_dirty = true;
    t->is_save_urgent = true;
}

uint32_t slots_next_left(const struct slots *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->slots[i].is_leaving && t->slots[i].release == SLOT_RELEASED) return i;
    }
    return SLOT_NONE;
}

void slots_remove(struct slots *t, uint32_t index)
{
    const struct slot *slot = slot_at(t, index);
    ASSERT(slot->is_leaving && slot->release == SLOT_RELEASED);
    ASSERT(!slot->is_connected);
    t->count--;
    for (uint32_t i = index; i < t->count; i++) {
        t->slots[i] = t->slots[i + 1];
    }
}

/* Does the log keep what it may ask for? */
static bool is_held(const struct slot *slot)
{
    return slot->record.state != SLOT_LOST || slot->release != SLOT_RELEASED;
}

seqno slots_floor(const struct slots *t, seqno durable)
{
    if (t->is_closed) return seqno_of(1);
    seqno floor = seqno_next(durable);
    for (uint32_t i = 0; i < t->count; i++) {
        if (PLANTED(21) && !t->slots[i].is_connected) continue; /* who is away holds nothing */
        if (is_held(&t->slots[i])) floor = seqno_min(floor, t->slots[i].record.restart);
    }
    return seqno_max(floor, seqno_of(1));
}

seqno slots_safe(const struct slots *t, seqno durable)
{
    if (t->is_closed) return SEQNO_NONE;
    seqno safe = durable;
    for (uint32_t i = 0; i < t->count; i++) {
        if (is_held(&t->slots[i])) safe = seqno_min(safe, t->slots[i].record.stored);
    }
    return safe;
}

static bool is_counted(const struct slots *t, const struct slot *slot)
{
    return slot->is_vouched && !slot->is_poisoned && slot->record.state != SLOT_LOST &&
           slot->record.stored.v >= t->epoch_start.v;
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
    uint32_t count = 0;
    for (uint32_t i = 0; i < t->count; i++) {
        if (!t->slots[i].is_leaving) out[count++] = t->slots[i].record;
    }
    return count;
}

void slots_save_begins(struct slots *t)
{
    t->is_dirty = false;
    t->is_save_urgent = false;
    for (uint32_t i = 0; i < t->count; i++) {
        struct slot *slot = &t->slots[i];
        slot->idle_saved_ns = slot->record.idle_ns;
        if (slot->release == SLOT_RELEASE_UNSAVED) slot->release = SLOT_RELEASE_SAVING;
    }
}

bool slots_saved(struct slots *t)
{
    bool is_any = false;
    for (uint32_t i = 0; i < t->count; i++) {
        if (t->slots[i].release != SLOT_RELEASE_SAVING) continue;
        t->slots[i].release = SLOT_RELEASED;
        is_any = true;
    }
    return is_any;
}

void slots_save_failed(struct slots *t, uint64_t now_ns, uint64_t log_bytes)
{
    for (uint32_t i = 0; i < t->count; i++) {
        struct slot *slot = &t->slots[i];
        if (slot->release == SLOT_RELEASE_SAVING) slot->release = SLOT_RELEASE_UNSAVED;
    }
    t->is_dirty = false; /* the wait starts again */
    slots_mark_dirty(t, now_ns, log_bytes);
}
