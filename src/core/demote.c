/* demote: see demote.h. */
#include "core/demote.h"

enum demote_verdict demote_decide(const struct demote_facts *f)
{
    if (!f->has_answered) return DEMOTE_SILENT;
    if (f->is_self) return DEMOTE_SELF;
    if (!f->is_cluster_equal) return DEMOTE_FOREIGN;
    if (!f->is_leading) return DEMOTE_FOLLOWER;
    if (f->its_epoch <= f->my_epoch) return DEMOTE_OLDER;
    return DEMOTE_FOLLOW;
}

void demote_explain(const struct demote_facts *f, enum demote_verdict verdict, struct text *t)
{
    text_add_escaped(t, f->address, 255);
    switch (verdict) {
    case DEMOTE_SILENT:
        text_add(t, " does not answer; a leader turns only to a leader that it can ask");
        return;
    case DEMOTE_SELF: text_add(t, " is this node"); return;
    case DEMOTE_FOREIGN:
        text_add(t, " belongs to another cluster; to join it, start an empty directory with "
                    "--follow: this node's records are not thrown away");
        return;
    case DEMOTE_FOLLOWER:
        text_add(t, " does not lead");
        if (f->its_leader.size > 0) {
            text_add(t, ", it follows ");
            text_add_escaped(t, f->its_leader, 255);
        }
        text_add(t, "; to make it the leader, hand over to it (HANDOVER)");
        return;
    case DEMOTE_OLDER:
        text_add(t,
                 " leads in epoch %llu, which is not later than this node's %llu: it has to "
                 "follow this one",
                 (unsigned long long)f->its_epoch, (unsigned long long)f->my_epoch);
        return;
    case DEMOTE_FOLLOW: text_add(t, " leads in a later epoch"); return;
    }
}
