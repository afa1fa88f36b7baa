/* write_edges: judging signals of modes once and latest, and their undo, against the applied edges
 * and the words that are pending. What would change nothing is not appended: it answers with a
 * position at which it is true. Unless its record carries a key or a producer's number: these must
 * be remembered, and apply knows that the rest has no effect. */
#include "base/assert.h"
#include "engine/write_internal.h"

/* Where the edge stands, with all that is appended. */
struct edge_look {
    struct id128 key;
    bool is_there;
    bool is_pending; /* since the record `seqno`, which is not applied */
    seqno seqno;
};

static struct edge_look look_at(const struct write *w, uint32_t type_id, struct slice item,
                                struct slice user)
{
    struct edge_look look = {.key = pending_edge_key(type_id, item, user)};
    look.is_pending = pending_edges_find(&w->edges, &look.key, &look.is_there, &look.seqno);
    if (!look.is_pending) look.is_there = state_has_edge(w->db->state, type_id, item, user);
    return look;
}

/* Nothing to do: the answer is a position at which things are as wanted. */
static void answer_as_is(const struct write *w, const struct edge_look *look,
                         struct gate_answer *out)
{
    struct position applied = state_position(w->db->state);
    *out = (struct gate_answer){.is_duplicate = true, .waits = look->is_pending};
    out->result =
        (struct tide_result){.code = TIDE_OK, .kind = TIDE_RESULT_POSITION, .is_duplicate = true};
    struct tide_position *p = &out->result.as.position;
    p->seqno = look->is_pending ? look->seqno.v : applied.seqno.v;
    if (look->is_pending) return;
    p->epoch = applied.epoch;
    memcpy(p->chain4, applied.chain.bytes, sizeof(p->chain4));
}

static enum code note_word(struct write *w, const struct edge_look *look, bool is_there,
                           struct err *e)
{
    if (pending_edges_add(&w->edges, &look->key, is_there, seqno_next(w->assigned))) return OK;
    return ERR(e, E_NOMEMORY, "no memory to remember a signal that is on its way");
}

enum code edges_judge_signal(struct write *w, const struct signal_type *type,
                             const struct signal_entry *entry, struct gate_answer *out,
                             struct err *e)
{
    if (type->mode == SIGNAL_MODE_COUNT) return OK;
    struct edge_look look = look_at(w, type->id, entry->item, entry->user);
    bool is_kept = w->is_record_kept || (entry->flags & SIGNAL_HAS_KEY) != 0;
    if (type->mode == SIGNAL_MODE_ONCE && look.is_there && !is_kept) {
        answer_as_is(w, &look, out);
        return OK;
    }
    return note_word(w, &look, true, e);
}

enum code edges_judge_undo(struct write *w, const struct op_entry *entry, bool is_kept,
                           struct record *out, struct gate_answer *answer, struct err *e)
{
    const struct signal_type *type = NULL;
    *answer = (struct gate_answer){0};
    TRY(gate_type(w, entry->type, &type, e));
    if (type->mode == SIGNAL_MODE_COUNT) {
        return ERR(e, E_SCHEMA,
                   "signal type \"%s\" counts every signal, so there is none to take back; only "
                   "types of mode once or latest are undone",
                   type->name);
    }
    TRY(gate_size("the item key", entry->item, 1, e));
    TRY(gate_size("the user key", entry->user, 1, e));
    struct edge_look look = look_at(w, type->id, entry->item, entry->user);
    if (!look.is_there && !is_kept && !w->is_record_kept) {
        answer_as_is(w, &look, answer);
        return OK;
    }
    *out = (struct record){.kind = RECORD_SIGNAL_UNDO,
                           .as.undo = {.type_id = type->id,
                                       .item = entry->item,
                                       .user = entry->user,
                                       .time_ms = group_base_ms(w)}};
    return note_word(w, &look, false, e);
}

uint64_t edges_judged(const struct write *w)
{
    return w->edges.tail - w->edges_mark;
}
