/* state_apply: one batch after the other, the only way in which a live state changes.
 *
 * Signal entries pass through a small window: while the map slots, key places and column lines of a
 * window's entries are on their way from memory, other entries are decoded. Within a window every
 * structure is still changed in log order, and whatever may depend on entries before it (a schema
 * record, the batch's end) empties the window first; so the window changes when, never what.
 *
 * Records are never judged by what the write gate could have refused: what cannot be applied breaks
 * the state (life BROKEN) and stops the node. Allocates per block, not per record. */
#include "base/assert.h"
#include "base/bytes.h"
#include "core/state/set_signal.h"

enum { WINDOW = 32 };

struct pending_entry {
    const struct signal_type *type;
    struct slice item;
    struct slice user; /* where a user counts once */
    uint64_t hash;
    uint32_t index; /* first a guess, then the item */
    int64_t time_ms;
    double weight;
};
struct pending_key {
    struct id128 key;
    seqno seqno;
};

/* One call's working set. */
struct apply {
    struct state *state;
    const struct batch_header *header;
    const struct position *end;
    int64_t base_ms;
    uint64_t minute;
    seqno at; /* the record being applied */
    struct state_outcome outcome;
    struct err *e;
    bool has_changed; /* the state differs from the one before the batch */
    uint32_t entry_count;
    uint32_t key_count;
    struct pending_entry entries[WINDOW];
    struct pending_key keys[WINDOW];
};

static enum code no_memory(const struct apply *a)
{
    return ERR(a->e, E_NOMEMORY, "no memory to apply record %llu", (unsigned long long)a->at.v);
}

/* Add an entry whose item is known. */
static inline bool entry_add(struct state *s, const struct pending_entry *p)
{
    if (p->type->mode == SIGNAL_MODE_COUNT) {
        return columns_add(&s->columns, p->type, p->index, p->weight, p->time_ms) &&
               windows_add(&s->windows, p->type->id, p->index, p->time_ms);
    }
    struct set_signal signal = {
        .item = p->index, .user = p->user, .time_ms = p->time_ms, .weight = p->weight};
    return set_signal_apply(s, p->type, &signal);
}

/* Find or create the items of the window, then add the entries. */
static enum code entries_flush(struct apply *a)
{
    struct keys *items = &a->state->items;
    struct columns *columns = &a->state->columns;
    struct windows *windows = &a->state->windows;
    uint32_t count = a->entry_count;
    a->entry_count = 0;
    if (count > 0) a->has_changed = true;
    for (uint32_t i = 0; i < count; i++) {
        a->entries[i].index = keys_guess(items, a->entries[i].hash);
    }
    for (uint32_t i = 0; i < count; i++) {
        keys_prefetch_bytes(items, a->entries[i].index);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct pending_entry *p = &a->entries[i];
        if (p->index == KEYS_NONE || !keys_is(items, p->index, p->item)) {
            p->index = keys_find(items, p->item, p->hash);
        }
        if (p->index == KEYS_NONE) p->index = keys_add(items, p->item, p->hash, &p->time_ms);
        if (p->index == KEYS_NONE) return no_memory(a);
        columns_prefetch(columns, p->type->id, p->index);
        windows_prefetch_item(windows, p->type->id, p->index);
    }
    for (uint32_t i = 0; i < count; i++) {
        const struct pending_entry *p = &a->entries[i];
        windows_prefetch_entry(windows, p->type->id, p->index, p->time_ms);
    }
    for (uint32_t i = 0; i < count; i++) {
        if (!entry_add(a->state, &a->entries[i])) return no_memory(a);
    }
    a->state->entry_count += count;
    return OK;
}

static enum code keys_flush(struct apply *a)
{
    uint32_t count = a->key_count;
    a->key_count = 0;
    if (count > 0) a->has_changed = true;
    for (uint32_t i = 0; i < count; i++) {
        struct write_ref where = {.epoch = a->end->epoch, .seqno = a->keys[i].seqno};
        memcpy(where.chain4, a->end->chain.bytes, sizeof(where.chain4));
        if (!dedup_add(&a->state->dedup, a->minute, &a->keys[i].key, &where)) return no_memory(a);
    }
    return OK;
}

static enum code key_push(struct apply *a, const struct id128 *key)
{
    dedup_prefetch(&a->state->dedup, key);
    a->keys[a->key_count++] = (struct pending_key){.key = *key, .seqno = a->at};
    return a->key_count == WINDOW ? keys_flush(a) : OK;
}

static enum code apply_signal(struct apply *a, struct record_signal signal)
{
    struct signal_entry entry;
    while (signal_entry_next(&signal, &entry)) {
        const struct signal_type *type = schema_type(&a->state->schema, entry.type_id);
        bool needs_user = type != NULL && type->mode != SIGNAL_MODE_COUNT;
        if (type == NULL || (needs_user && (entry.flags & SIGNAL_HAS_USER) == 0)) {
            return ERR(a->e, E_HALTED, "record %llu (signal): type %u %s",
                       (unsigned long long)a->at.v, entry.type_id,
                       type == NULL ? "is not declared"
                                    : "counts users, and the signal names none");
        }
        if ((entry.flags & SIGNAL_HAS_KEY) != 0) TRY(key_push(a, &entry.key));
        uint64_t hash = keys_hash(&a->state->items, entry.item);
        keys_prefetch(&a->state->items, hash);
        a->entries[a->entry_count++] = (struct pending_entry){.type = type,
                                                              .item = entry.item,
                                                              .user = entry.user,
                                                              .hash = hash,
                                                              .time_ms = entry.time_ms,
                                                              .weight = entry.weight};
        a->outcome.signal_entries++;
        if (a->entry_count == WINDOW) TRY(entries_flush(a));
    }
    return OK;
}

static enum code apply_undo(struct apply *a, const struct record_undo *undo)
{
    const struct signal_type *type = schema_type(&a->state->schema, undo->type_id);
    if (type == NULL || type->mode == SIGNAL_MODE_COUNT) {
        return ERR(a->e, E_HALTED, "record %llu (signal-undo): type %u %s",
                   (unsigned long long)a->at.v, undo->type_id,
                   type == NULL ? "is not declared" : "counts every signal");
    }
    TRY(entries_flush(a));
    a->has_changed = true;
    return set_signal_undo(a->state, type, undo->item, undo->user) ? OK : no_memory(a);
}

static enum code apply_schema(struct apply *a, const struct record_schema *schema)
{
    TRY(entries_flush(a)); /* the window holds pointers to types, which may move */
    a->has_changed = true;
    struct err why;
    enum code code = schema_declare(&a->state->schema, schema, &why);
    if (code != OK) {
        return ERR(a->e, code, "record %llu (schema): %s", (unsigned long long)a->at.v, why.text);
    }
    struct state *s = a->state;
    uint32_t field = s->schema.field_count; /* the newest, or one that is indexed already */
    if (field > s->fields.count) {
        if (!field_index_add_field(&s->fields, schema_field(&s->schema, field))) {
            return no_memory(a);
        }
        if (!state_index_declared(s, schema->name)) return no_memory(a);
    }
    uint32_t id = s->schema.count; /* likewise */
    if (id == 0) return OK;
    if (!columns_add_type(&s->columns, id)) return no_memory(a);
    const struct signal_type *type = schema_type(&s->schema, id);
    if (!windows_add_type(&s->windows, type)) return no_memory(a);
    if (!edges_add_type(&s->edges, type)) return no_memory(a);
    return OK;
}

static enum code apply_epoch_start(struct apply *a, const struct record_epoch_start *start)
{
    if (!epoch_equal(start->epoch, a->header->epoch)) {
        return ERR(a->e, E_HALTED, "record %llu (epoch-start): epoch %llu in a batch of epoch %llu",
                   (unsigned long long)a->at.v, (unsigned long long)start->epoch.number,
                   (unsigned long long)a->header->epoch.number);
    }
    a->outcome.has_epoch_start = true;
    a->outcome.epoch_start = *start;
    return OK;
}

static enum code apply_members(struct apply *a, const struct record_members *members)
{
    struct block *b = members_block_new(a->state->alloc, members);
    if (b == NULL) return no_memory(a);
    block_release(a->state->alloc, a->state->members);
    a->state->members = b;
    a->has_changed = true;
    a->outcome.has_members = true;
    return OK;
}

static enum code apply_envelope(struct apply *a, const struct record_envelope *envelope)
{
    if ((envelope->flags & ENVELOPE_KEY) != 0) TRY(key_push(a, &envelope->key));
    if ((envelope->flags & ENVELOPE_PRODUCER) == 0) return OK;
    struct producer newest = {.number = envelope->producer_number,
                              .where = {.epoch = a->end->epoch, .seqno = a->at}};
    memcpy(newest.where.chain4, a->end->chain.bytes, sizeof(newest.where.chain4));
    a->has_changed = true;
    bool is_noted = producers_note(&a->state->producers, envelope->producer, &newest);
    return is_noted ? OK : no_memory(a);
}

static enum code apply_entity(struct apply *a, const struct record *r)
{
    TRY(entries_flush(a)); /* indexes are given in log order */
    a->has_changed = true;
    struct err why;
    enum code code = state_apply_entity(a->state, r, a->base_ms, &why);
    if (code == OK) return OK;
    return ERR(a->e, code == E_NOMEMORY ? code : E_HALTED, "record %llu (%s): %s",
               (unsigned long long)a->at.v, record_kind_name(r->kind), why.text);
}

static enum code not_in_this_version(const struct apply *a, const struct record *r)
{
    return ERR(a->e, E_HALTED, "record %llu (%s): its effect is not in this version",
               (unsigned long long)a->at.v, record_kind_name(r->kind));
}

/* Apply a record of any kind but a group. */
static enum code apply_plain(struct apply *a, const struct record *r)
{
    TRY(apply_envelope(a, &r->envelope));
    switch (r->kind) {
    case RECORD_NOOP:
    case RECORD_PRODUCER: /* the envelope says it all */
    case RECORD_TICK:     /* the header's leader time says it */
    case RECORD_LOSS_RECEIPT: return OK;
    case RECORD_EPOCH_START: return apply_epoch_start(a, &r->as.epoch_start);
    case RECORD_SCHEMA: return apply_schema(a, &r->as.schema);
    case RECORD_FEATURE_LEVEL:
        a->state->feature_level = r->as.feature_level.level;
        a->has_changed = true;
        return OK;
    case RECORD_MEMBERS: return apply_members(a, &r->as.members);
    case RECORD_SIGNAL: return apply_signal(a, r->as.signal);
    case RECORD_SIGNAL_UNDO: return apply_undo(a, &r->as.undo);
    case RECORD_MARK: a->outcome.has_mark = true; return OK;
    case RECORD_DIGEST:
        a->outcome.has_digest = true;
        a->outcome.digest = r->as.digest;
        return OK;
    case RECORD_ITEM_PUT:
    case RECORD_ITEM_UNSET:
    case RECORD_ITEM_DELETE:
    case RECORD_USER_PUT:
    case RECORD_CREATOR_PUT: return apply_entity(a, r);
    case RECORD_ITEM_PURGE:
    case RECORD_EMBEDDING_PUT:
    case RECORD_RELATION_ADD:
    case RECORD_RELATION_REMOVE:
    case RECORD_SESSION_OPEN:
    case RECORD_SESSION_CLOSE:
    case RECORD_GROUP: return not_in_this_version(a, r);
    }
    return not_in_this_version(a, r);
}

static enum code apply_record(struct apply *a, const struct record *r)
{
    if (r->kind != RECORD_GROUP) return apply_plain(a, r);
    TRY(apply_envelope(a, &r->envelope));
    struct record_group group = r->as.group;
    struct record inner;
    while (record_group_next(&group, a->base_ms, &inner)) {
        if (record_kind_is_last(inner.kind) || record_kind_is_alone(inner.kind)) {
            return ERR(a->e, E_HALTED, "record %llu (group): a %s cannot be in a group",
                       (unsigned long long)a->at.v, record_kind_name(inner.kind));
        }
        TRY(apply_plain(a, &inner));
    }
    return OK;
}

static enum code apply_payload(struct apply *a, struct slice payload)
{
    struct bytes_reader r = bytes_reader_of(payload);
    struct record record;
    for (uint32_t i = 0; i < a->header->record_count; i++) {
        a->at = seqno_add(a->header->first, i);
        struct err why;
        if (record_decode(&r, a->base_ms, &record, &why) != OK) {
            return ERR(a->e, E_HALTED, "record %llu does not decode: %s",
                       (unsigned long long)a->at.v, why.text);
        }
        TRY(apply_record(a, &record));
    }
    if (!bytes_is_done(&r)) {
        return ERR(a->e, E_HALTED, "record %llu is not the last of its batch",
                   (unsigned long long)a->at.v);
    }
    TRY(keys_flush(a));
    return entries_flush(a);
}

/* Is this the batch that comes next? Judged before anything is changed. */
static enum code check_next(const struct state *s, const struct batch_header *h,
                            const struct position *end, struct err *e)
{
    unsigned long long first = h->first.v;
    if (s->life != STATE_FRESH && s->life != STATE_LIVE) {
        return ERR(e, E_HALTED, "batch %llu: the state failed in an earlier step", first);
    }
    if (!stream_equal(h->stream, s->stream) || !id128_equal(&h->cluster, &s->cluster)) {
        return ERR(e, E_HALTED, "batch %llu is of another cluster or stream", first);
    }
    bool is_next = first == s->position.seqno.v + 1 && h->record_count > 0 &&
                   hash256_equal(&h->previous_chain, &s->position.chain) &&
                   h->epoch.number >= s->position.epoch;
    if (!is_next) {
        return ERR(e, E_HALTED, "batch %llu does not extend position %llu-%llu", first,
                   (unsigned long long)s->position.epoch, (unsigned long long)s->position.seqno.v);
    }
    if (end->epoch != h->epoch.number || end->seqno.v != batch_last(h).v) {
        return ERR(e, E_HALTED, "batch %llu does not end at %llu-%llu", first,
                   (unsigned long long)end->epoch, (unsigned long long)end->seqno.v);
    }
    if (h->leader_time < s->leader_time) {
        return ERR(e, E_HALTED, "leader time goes back in batch %llu", first);
    }
    if (h->codec != CODEC_NONE) {
        return ERR(e, E_HALTED, "batch %llu: codec %u is not in this version", first, h->codec);
    }
    return OK;
}

enum code state_apply_batch(struct state *s, const struct batch_header *h, struct slice payload,
                            const struct position *end, struct state_outcome *out, struct err *e)
{
    TRY(check_next(s, h, end, e));
    struct apply a; /* not zeroed: the windows are large and filled before they are read */
    a.state = s;
    a.header = h;
    a.end = end;
    a.base_ms = (int64_t)hlc_ms(h->leader_time);
    a.minute = hlc_ms(h->leader_time) / MINUTE_MS;
    a.at = h->first;
    a.outcome = (struct state_outcome){0};
    a.e = e;
    a.has_changed = false;
    a.entry_count = 0;
    a.key_count = 0;
    dedup_advance(&s->dedup, a.minute);
    bool has_advanced = windows_advance(&s->windows, hlc_ms(h->leader_time));
    enum code code = has_advanced ? apply_payload(&a, payload) : no_memory(&a);
    if (code != OK) {
        s->life = STATE_BROKEN;
        s->is_torn = a.has_changed;
        return code;
    }
    s->life = STATE_LIVE;
    s->position = *end;
    s->leader_time = h->leader_time;
    *out = a.outcome;
    return OK;
}
