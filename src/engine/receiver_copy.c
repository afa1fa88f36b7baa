/* receiver_copy: a plan says that this node must take a copy of the leader's state. What the plan
 * brought (a higher epoch, the cluster) is made durable first, then the joiner stands in for the
 * receiver: there is no link to the leader but its own, until the copy is switched to and
 * everything is opened anew, or the copy cannot be made and the leader is asked again.
 */
#include <stdio.h>

#include "base/assert.h"
#include "engine/checkpoint.h"
#include "engine/receiver_internal.h"
#include "engine/staging.h"

static void joiner_gave_up(void *arg)
{
    struct receiver *r = arg;
    receiver_end_copy(r);
}

static void joiner_was_closed(void *arg)
{
    struct receiver *r = arg;
    r->is_join_over = true; /* freed by the task: its own code is on the stack */
    r->db->env->v->post(r->db->env, &r->join_task);
}

static void join_is_over(struct env_task *task)
{
    struct receiver *r = CONTAINER_OF(task, struct receiver, join_task);
    bootstrap_join_free(r->join);
    r->join = NULL;
    r->is_join_over = false;
    r->is_join_ending = false;
    if (r->db->checkpointer && !r->is_closing) checkpointer_release(r->db->checkpointer);
    receiver_copy_ended(r);
}

void receiver_copy_init(struct receiver *r)
{
    r->join_task = (struct env_task){.run = join_is_over};
}

void receiver_end_copy(struct receiver *r)
{
    if (r->join == NULL || r->is_join_ending) return;
    r->is_join_ending = true;
    bootstrap_join_close(r->join, joiner_was_closed, r);
}

void receiver_begin_copy(struct receiver *r)
{
    struct db *db = r->db;
    ASSERT(r->join == NULL);
    r->join = bootstrap_join_new(
        db, r->network, r->network != NULL ? r->network_address : db->identity.leader_address,
        r->copy_why, joiner_gave_up, r);
    if (r->join == NULL) {
        receiver_fail(r, FOLLOW_CAUSE_LOCAL, 0, "no memory to copy the leader's state");
        return;
    }
    receiver_fail(r, FOLLOW_CAUSE_REFUSED, 0, r->copy_why); /* this link is not needed meanwhile */
}

void receiver_copy_now(struct receiver *r, const char *why)
{
    if (r->join != NULL || r->is_copy_wanted || r->is_closing || r->is_fetching) return;
    (void)snprintf(r->copy_why, sizeof(r->copy_why), "%s", why);
    receiver_begin_copy(r);
}

bool receiver_ask_for_mark(struct receiver *r, seqno mark, uint64_t offset)
{
    if (r->follow.state != FOLLOW_STREAMING) return false;
    struct wire_message m = {
        .kind = WIRE_MANIFEST,
        .session = r->follow.session,
        .as.manifest = {.is_request = 1, .mark = mark, .offset = offset, .total = offset},
    };
    frames_send(&r->frames, &m);
    return true;
}

static void clean_run(struct env_job *job)
{
    struct receiver *r = CONTAINER_OF(job, struct receiver, clean_job);
    staging_remove(r->db->env);
}

static void clean_done(struct env_job *job)
{
    struct receiver *r = CONTAINER_OF(job, struct receiver, clean_job);
    r->is_cleaning = false;
    receiver_close_further(r);
}

void receiver_drop_staged(struct receiver *r)
{
    if (r->is_cleaned) return;
    r->is_cleaned = r->is_cleaning = true;
    r->clean_job = (struct env_job){.run = clean_run, .done = clean_done};
    r->db->env->v->submit(r->db->env, LANE_BACKGROUND, &r->clean_job);
}

void receiver_note_leader(struct receiver *r, const struct wire_heartbeat *beat)
{
    r->was_heard = true;
    r->leader_durable = beat->durable.seqno.v;
    r->leader_durable_bytes = beat->durable_bytes;
}

bool receiver_is_copying(const struct receiver *r)
{
    return r->join != NULL || r->is_copy_wanted;
}

bool receiver_copy_status(const struct receiver *r, struct bootstrap_join_status *out)
{
    if (r->join == NULL) return false;
    bootstrap_join_status(r->join, out);
    return true;
}
