/* recover: see recover.h for the table; the order of the questions is the order of its rows. */
#include "core/recover.h"

#include "base/planted.h"

enum tail_verdict recover_decide(const struct tail_facts *facts)
{
    if (facts->is_io_error) return TAIL_IO;
    /* Planted: truncate at the first bad record, whatever was acknowledged. */
    if (PLANTED(3)) return facts->is_zero_after ? TAIL_CLEAN : TAIL_TORN;
    seqno known = seqno_max(facts->has_mark ? facts->mark : SEQNO_NONE, facts->evidence);
    if (facts->stop.v <= known.v) return TAIL_ROTTEN;
    if (facts->has_later_segment) return TAIL_ROTTEN;
    if (facts->is_zero_after) return TAIL_CLEAN;
    if (facts->has_missing_sector) return TAIL_TORN;
    if (facts->is_cut_short) return TAIL_TORN;
    return TAIL_UNCLEAR;
}

const char *tail_verdict_name(enum tail_verdict v)
{
    switch (v) {
    case TAIL_IO: return "io";
    case TAIL_ROTTEN: return "rotten";
    case TAIL_CLEAN: return "clean";
    case TAIL_TORN: return "torn";
    case TAIL_UNCLEAR: return "unclear";
    }
    return "unknown";
}
