/* ship_copy: what a link does for a peer that copies this node's state, and for a follower that
 * wants to know in which block its own state differs. The bytes of a copy move in bootstrap_serve.
 */
#include "engine/shipper.h"

#include <stdlib.h>

#include "base/assert.h"
#include "engine/bootstrap_serve.h"
#include "engine/checkpoint.h"
#include "engine/members.h"
#include "engine/shipper_internal.h"

#define MARK_PIECE_BYTES ((size_t)(2 * MIB))

/* Of the rows of core/resume those that ask who the peer is. */
static enum refuse_reason judge(const struct ship_link *link, const char **why)
{
    const struct resume_facts *f = &link->facts;
    const struct db *db = link->shipper->db;
    *why = NULL;
    if (!f->has_common_version) return REFUSE_NEWER_FORMAT;
    if (resume_judge_chain(f) != REFUSE_NONE) return resume_judge_chain(f);
    if (!f->is_serving) return REFUSE_BUSY;
    if (!f->is_stream_equal) return REFUSE_WRONG_STREAM;
    if (!f->is_cluster_known || !f->is_cluster_equal) return REFUSE_WRONG_CLUSTER;
    if (!f->is_feature_level_enough) return REFUSE_FEATURE_LEVEL;
    if (f->highest_epoch > f->leader_epoch) return REFUSE_HIGHER_EPOCH;
    if (f->is_id_in_use) return REFUSE_ID_IN_USE;
    if (!f->has_slot && f->is_slot_table_full) return REFUSE_SLOTS_FULL;
    return bootstrap_may_serve(db, why) ? REFUSE_NONE : REFUSE_BUSY;
}

bool ship_copy_judge(struct ship_link *link, struct wire_plan *plan)
{
    const char *why = NULL;
    enum refuse_reason reason = judge(link, &why);
    if (reason == REFUSE_NONE) link->serve = bootstrap_serve_new(link);
    if (reason == REFUSE_NONE && !link->serve) {
        reason = REFUSE_BUSY;
        why = "there is no memory to serve a copy";
    }
    plan->reason = (uint8_t)reason;
    if (reason != REFUSE_NONE) {
        plan->kind = PLAN_REFUSE;
        plan->text = slice_of_text(why ? why : refuse_sentence((uint8_t)reason));
        return false;
    }
    plan->kind = PLAN_BOOTSTRAP;
    plan->log_key = link->shipper->db->identity.log_key;
    return true;
}

/* A slot is kept for it, which holds all of the log until the mark is known. */
static void take_slot(struct ship_link *link, const struct slot_join *join)
{
    struct shipper *s = link->shipper;
    struct slot_join event = *join;
    uint32_t index = slots_find(&s->table, link->facts.node_id);
    if (index != SLOT_NONE && s->by_slot[index] != NULL) {
        ship_link_end(s->by_slot[index], WIRE_END_CLOSING, "its node has a newer link");
    }
    event.is_rebootstrapping = true;
    event.log_bytes = log_durable_bytes(s->db->log);
    index = slots_join(&s->table, &event);
    link->slot = index;
    s->by_slot[index] = link;
    lag_peer_join(&s->peers[index], SEQNO_NONE);
    shipper_on_stored(s, index);
}

void ship_copy_begin(struct ship_link *link, const struct slot_join *join)
{
    struct db *db = link->shipper->db;
    link->frames.body_size_max = FRAME_SIZE_MAX;
    take_slot(link, join);
    db_event(db, DB_EVENT_BOOTSTRAP, "%s copies the state from here", link->node_id);
    members_wake(db); /* it may be the only one that is up */
    shipper_arm(link->shipper);
}

/* The log from the mark on is kept for this joiner before it is told of it. */
void ship_copy_pin(struct ship_link *link, seqno mark)
{
    struct shipper *s = link->shipper;
    if (link->slot == SLOT_NONE) return;                              /* the link is over */
    if (mark.v < s->table.slots[link->slot].record.restart.v) return; /* it is kept from before */
    slots_pin(&s->table, link->slot, mark, shipper_now(s), log_durable_bytes(s->db->log));
    shipper_arm(s);
}

/* Each report of a joiner is answered, so that both sides know that the other one lives. */
void ship_copy_progress(struct ship_link *link, const struct wire_progress *progress)
{
    struct db *db = link->shipper->db;
    struct shipper_told told;
    shipper_told(link->shipper, &told);
    struct wire_message m = {
        .kind = WIRE_HEARTBEAT,
        .session = link->ship.session,
        .as.heartbeat = {.epoch = shipper_epoch(link->shipper),
                         .durable = told.durable,
                         .durable_bytes = told.durable_bytes,
                         .is_cut = told.is_cut,
                         .path = told.path,
                         .leader_time = state_leader_time(db->state)},
    };
    bootstrap_serve_progress(link->serve, progress);
    frames_send(&link->frames, &m);
    /* Before its slot's budget is used up it is based on a newer mark: few blocks differ, and less
     * of the log must be kept, so a copy that is slower than the writers is never doomed. */
    if (bootstrap_serve_is_old(link->serve)) bootstrap_serve_rebase(link->serve);
}

void ship_copy_mark_blocks(struct ship_link *link, const struct wire_piece *asked)
{
    const struct db *db = link->shipper->db;
    struct env *env = db->env;
    const struct mark_blocks *blocks = checkpointer_mark_blocks(db->checkpointer, asked->mark);
    size_t size = 0;
    uint8_t *bytes = NULL;
    if (blocks) {
        bytes = mark_blocks_encode(blocks, &db->identity.cluster, db->identity.stream, &size);
    }
    struct wire_message m = {
        .kind = WIRE_MANIFEST, .session = link->ship.session, .as.manifest = {.mark = asked->mark}};
    if (bytes && asked->offset < size) {
        size_t left = size - (size_t)asked->offset;
        m.as.manifest.offset = asked->offset;
        m.as.manifest.total = size;
        m.as.manifest.bytes =
            slice_of(bytes + asked->offset, left < MARK_PIECE_BYTES ? left : MARK_PIECE_BYTES);
    }
    size_t capacity = m.as.manifest.bytes.size + KIB;
    uint8_t *frame = malloc(capacity);
    size_t frame_size = frame ? wire_encode(&m, frame, capacity) : 0;
    free(bytes);
    struct slice piece = slice_of(frame, frame_size);
    if (frame) env->v->link_send(env, link->env_link, &piece, 1, free, frame);
}
