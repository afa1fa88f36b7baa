/* group: see group.h. */
#include "core/group.h"

enum group_action group_decide(const struct group_facts *f)
{
    if (f->record_count == 0) return GROUP_KEEP;
    if (f->is_log_busy) return GROUP_KEEP; /* its end asks again: everything until then shares */
    if (f->must_close || f->is_anyone_waiting) return GROUP_CLOSE;
    if (f->age_ns < f->delay_ns) return GROUP_DELAY;
    return GROUP_CLOSE;
}
