/* role_watch: looks after what does not mend itself. A follower that has had no link for the
 * suspect time asks the members who leads now, and follows that one if it leads in a later epoch:
 * after a promotion nobody has to be pointed anywhere by hand. A leader asks the members it has no
 * link from, every dead time: whoever still leads an older epoch sees the later one, and a leader
 * that was replaced unseen hears of it. Nothing is asked while all is well. */
#include "engine/members.h"
#include "engine/receiver.h"
#include "engine/role_internal.h"

static void timer_fired(struct env_timer *timer);

static void arm(struct role_machine *r)
{
    struct db *db = r->db;
    uint64_t delay_ns = db_is_leader(db) ? db->config.dead_ns : db->config.suspect_ns;
    db->env->v->timer_start(db->env, &r->watch, delay_ns);
}

void role_watch_start(struct role_machine *r)
{
    const struct config *config = &r->db->config;
    /* A node that neither follows nor can be followed has nobody to look after. */
    if (r->db->receiver == NULL && config->replication_listen[0] == '\0') return;
    r->watch.fire = timer_fired;
    arm(r);
}

void role_watch_stop(struct role_machine *r)
{
    r->db->env->v->timer_stop(r->db->env, &r->watch);
    inquiry_free(r->watching);
    r->watching = NULL;
}

static void answered(void *arg, const struct inquire_reply *replies, uint32_t count)
{
    struct role_machine *r = arg;
    struct db *db = r->db;
    bool is_lost = db->receiver != NULL && r->step == ROLE_QUIET && db->reopening == NULL &&
                   receiver_epoch(db->receiver) == 0 && !db->is_chained;
    const struct inquire_reply *leader = role_find_leader(r, replies, count, db->epoch.number + 1);
    bool is_other = leader != NULL && strcmp(leader->address, db->identity.leader_address) != 0;
    if (db_is_leader(db)) {
        for (uint32_t i = 0; i < count; i++) {
            const struct wire_standing *s = &replies[i].standing;
            bool is_ours =
                replies[i].has_answered && id128_equal(&s->cluster, &db->identity.cluster);
            if (is_ours) role_saw_epoch(db, s->highest_epoch, replies[i].address);
        }
    } else if (is_lost && is_other) {
        db_event(db, DB_EVENT_LINK, "%s leads in epoch %llu: it is followed from now on",
                 leader->node_id, (unsigned long long)leader->standing.last.epoch);
        receiver_follow(db->receiver, NULL, leader->address, FOLLOWS_LEADER);
    }
    inquiry_free(r->watching);
    r->watching = NULL;
}

/* Whom to ask: a follower without a link all, a leader those it does not hear. */
static uint32_t choose(const struct role_machine *r, const char *out[MEMBERS_MAX])
{
    const struct db *db = r->db;
    const struct topology *t = members_topology(db);
    if (db->receiver != NULL) {
        /* It was told to follow a follower: that one finds the next leader, and comes back. */
        bool is_well = receiver_epoch(db->receiver) != 0 || db->is_chained;
        return is_well || r->step != ROLE_QUIET ? 0 : members_addresses(db, out);
    }
    if (!db_is_leader(db)) return 0;
    uint32_t kept = 0;
    uint32_t count = members_addresses(db, out);
    for (uint32_t i = 0; i < count; i++) {
        bool is_down = false;
        for (uint32_t k = 0; k < t->count; k++) {
            const struct topology_member *m = &t->members[k];
            is_down |= strcmp(m->replication_address, out[i]) == 0 && m->health == WIRE_HEALTH_DOWN;
        }
        if (is_down) out[kept++] = out[i];
    }
    return kept;
}

static void timer_fired(struct env_timer *timer)
{
    struct role_machine *r = CONTAINER_OF(timer, struct role_machine, watch);
    const char *addresses[MEMBERS_MAX];
    if (r->is_stopped || r->db->reopening != NULL) return;
    uint32_t count = r->watching == NULL ? choose(r, addresses) : 0;
    if (count > 0) {
        struct inquire_options options = {.timeout_ns = r->db->config.suspect_ns};
        r->watching = inquiry_start(r->db, addresses, count, &options, answered, r);
    }
    arm(r);
}
