/* role_fetch: a node that is to lead finds that a follower holds more of the same history: an older
 * copy of its directory was put back, or its disk had not kept what it said. It takes those records
 * from that follower, proved by their chain like any, before it asks again and begins an epoch.
 *
 * Identity goes on saying that this node leads, so that a start after a crash does the same again.
 * What it says more, durably and before the first record arrives: records of epochs up to now may
 * have been received here, so that what their headers tell about their writer's disk proves nothing
 * about this one. Only followers are asked, and none that fetches is one: no two nodes wait for
 * each other. A fetch that does not move for the dead time ends; the members are asked again then.
 */
#include <stdio.h>

#include "core/epoch.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"

/* Is all that this node holds a beginning of what the other one holds? By their epoch tables; the
 * other one proves it by the chain before it sends anything. */
static bool is_beginning_of(const struct db *db, const struct wire_standing *s)
{
    const struct identity *id = &db->identity;
    seqno end = log_durable(db->log).seqno;
    struct epoch_table mine = {.entries = id->epochs, .count = id->epoch_count, .last = end};
    struct epoch_table theirs = {
        .entries = s->epochs, .count = s->epoch_count, .last = s->last.seqno};
    bool is_current = theirs.count > 0 && epoch_table_is_valid(&theirs) &&
                      theirs.entries[theirs.count - 1].epoch.number == s->last.epoch;
    if (!is_current || !epoch_table_is_valid(&mine)) return false;
    struct epoch_common common = epoch_common_of(&mine, &theirs);
    return common.is_known && common.end.v == end.v && s->last.seqno.v > end.v;
}

static void say(struct role_machine *r)
{
    const struct role_fetch *f = &r->fetch;
    uint64_t left = f->until.seqno.v - f->seen.v;
    (void)snprintf(r->unable, sizeof(r->unable),
                   "it fetches %llu records that %s holds and this node lost, up to record %llu",
                   (unsigned long long)left, f->node_id, (unsigned long long)f->until.seqno.v);
}

bool role_fetch(struct role_machine *r, const struct inquire_reply *from)
{
    struct db *db = r->db;
    struct identity *id = &db->identity;
    const struct wire_standing *s = &from->standing;
    struct role_fetch *f = &r->fetch;
    bool is_fit = s->role == ROLE_FOLLOWER && !s->is_damaged && !s->is_bootstrapping;
    bool is_free = r->is_starting && id->role != ROLE_FOLLOWER && db->receiver == NULL &&
                   db->condition == DB_SERVING;
    if (!is_fit || !is_free || !is_beginning_of(db, s)) return false;
    (void)snprintf(f->address, sizeof(f->address), "%s", from->address);
    (void)snprintf(f->node_id, sizeof(f->node_id), "%s", from->node_id);
    f->until = s->last;
    f->seen = log_durable(db->log).seqno;
    f->deadline_ns = role_now(r) + db->config.dead_ns;
    f->error[0] = '\0';
    say(r);
    if (strcmp(f->told, r->unable) != 0) {
        db_event(db, DB_EVENT_ROLE, "this node does not lead yet: %s", r->unable);
        (void)snprintf(f->told, sizeof(f->told), "%s", r->unable);
    }
    r->save_code = OK;
    role_enter(r, ROLE_FETCHING);
    role_release_writes(r); /* to be refused with the reason */
    uint64_t received = s->highest_epoch > id->highest_epoch ? s->highest_epoch : id->highest_epoch;
    if (received > id->fetched_epoch) {
        id->fetched_epoch = received;
        role_save(r);
    }
    return true;
}

static void stop(struct role_machine *r, const char *why)
{
    struct role_fetch *f = &r->fetch;
    if (why[0] != '\0') {
        (void)snprintf(f->error, sizeof(f->error),
                       "%s holds more (record %llu of epoch %llu, this node %llu) and cannot be "
                       "fetched from (%s): promote that one, or accept the loss with force",
                       f->node_id, (unsigned long long)f->until.seqno.v,
                       (unsigned long long)f->until.epoch, (unsigned long long)f->seen.v, why);
    }
    role_close_receiver(r);
}

/* It is over: all is asked anew, at once or in a while. */
static void end(struct role_machine *r)
{
    struct role_fetch *f = &r->fetch;
    if (f->error[0] != '\0') {
        role_stay_unable(r, f->error);
        return;
    }
    db_event(r->db, DB_EVENT_RESYNC, "fetched from %s what this node had lost, up to record %llu",
             f->node_id, (unsigned long long)log_durable(r->db->log).seqno.v);
    role_start_leading(r);
}

static void look(struct role_machine *r)
{
    struct db *db = r->db;
    struct role_fetch *f = &r->fetch;
    struct position stored = log_durable(db->log);
    struct receiver_status status;
    if (db->condition != DB_SERVING) {
        stop(r, db->reason.text);
        return;
    }
    if (promote_compare(&stored, &f->until) >= 0) {
        stop(r, "");
        return;
    }
    if (stored.seqno.v > f->seen.v) {
        f->seen = stored.seqno;
        f->deadline_ns = role_now(r) + db->config.dead_ns;
        say(r);
    }
    receiver_status(db->receiver, &status);
    if (status.is_refused || role_now(r) >= f->deadline_ns) stop(r, status.link_state);
}

void role_fetch_step(struct role_machine *r)
{
    struct err e = {.code = OK};
    if (r->is_saving) return;
    if (r->is_receiver_closing) {
        if (role_is_receiver_gone(r)) end(r);
        return;
    }
    if (r->db->receiver != NULL) {
        look(r);
        return;
    }
    if (r->save_code == OK &&
        receiver_open_fetching(r->db, r->fetch.address, &r->db->receiver, &e) == OK) {
        return;
    }
    stop(r, r->save_code == OK ? e.text : "identity could not be saved");
    end(r);
}
