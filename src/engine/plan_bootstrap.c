/* plan_bootstrap: what copying this node's state would move and take: for a node that holds
 * nothing, or for a follower by its id, of which is told how far it is if it copies right now. What
 * a follower holds already is known to itself alone, so bytes and blocks are at most. */
#include "core/bootstrap.h"
#include "engine/bootstrap_serve.h"
#include "engine/bootstrap_source.h"
#include "engine/checkpoint.h"
#include "engine/plan.h"
#include "engine/shipper.h"
#include "format/slotfile.h"

static bool find_follower(const struct plan *p, struct tide_follower_status *out)
{
    struct tide_follower_status followers[SLOTS_MAX];
    if (!p->db->shipper) return false;
    uint32_t count = shipper_status(p->db->shipper, followers, SLOTS_MAX);
    for (uint32_t i = 0; i < count; i++) {
        if (!slice_equal(slice_of_text(followers[i].node_id), p->argument)) continue;
        *out = followers[i];
        return true;
    }
    return false;
}

/* At the pace of bootstrap_rate; a share of the disk needs to know what the disk does. */
static double seconds_of(const struct db *db, uint64_t bytes)
{
    uint64_t rate = db->config.bootstrap_rate;
    if (rate > 100) return (double)bytes / (double)rate;
    if (db->copied_bytes == 0) return -1;
    double read_s = (double)db->copied_ns / (double)NS_PER_S * (double)bytes;
    return read_s / (double)db->copied_bytes * 100.0 / (double)rate;
}

enum code plan_bootstrap(struct plan *p, struct err *e)
{
    const struct db *db = p->db;
    const char *why_not = NULL;
    struct tide_follower_status follower;
    bool has_follower = p->argument.size > 0;
    if (!bootstrap_may_serve(db, &why_not)) return ERR(e, E_LOADING, "%s", why_not);
    if (has_follower && !find_follower(p, &follower)) {
        return ERR(e, E_NOTFOUND,
                   "no follower of that id has a slot here; without an id the plan is "
                   "that for a new node");
    }
    const struct checkpoint_contents *c = checkpointer_contents(db->checkpointer);
    seqno mark = SEQNO_NONE;
    uint64_t bytes = c->bytes;
    bool is_there = bootstrap_source_is_there(db, &mark, &bytes);
    bool is_copying = has_follower && follower.copy.is_active && follower.copy.total_bytes > 0;
    p->path = is_there ? "copy" : "checkpoint";
    p->bytes = bytes;
    if (is_copying) p->bytes = follower.copy.total_bytes - follower.copy.done_bytes;
    p->seconds = seconds_of(db, p->bytes);
    plan_add_count(p, "mark", c->at.v);
    plan_add_count(p, "blocks",
                   is_copying ? follower.copy.total_blocks - follower.copy.done_blocks : c->count);
    plan_add_count(p, "state_bytes", c->bytes);
    plan_add_count(p, "log_bytes_behind", log_bytes_after(db->log, c->at));
    plan_add_count(p, "log_bytes_kept", log_durable_bytes(db->log) - db->identity.log_base_bytes);
    plan_add_count(p, "oldest", log_oldest(db->log).v);
    plan_add_count(p, "pinned_from", c->at.v + 1);
    if (is_there) {
        plan_why(p,
                 "The state at record %llu would be copied, %u blocks at most; what the node has "
                 "already, by the bytes of its blocks, does not move.",
                 (unsigned long long)mark.v, c->count);
    } else {
        plan_why(p,
                 "No checkpoint is recent enough to copy from: a mark would be logged and one cut "
                 "first, then its blocks would move.");
    }
    plan_why(p, "The log is held from the mark on until the node follows from there.");
    if (log_oldest(db->log).v == 1) {
        plan_why(p,
                 "The log still begins at record 1: a new node follows from there unless the copy "
                 "is smaller.");
    }
    if (is_copying) plan_why(p, "It copies right now: what is told is left.");
    if (p->seconds < 0) plan_why(p, "Nothing was copied from here yet, so the time is not known.");
    return OK;
}
