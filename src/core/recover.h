/* recover: torn tail or rotten record? One pure decision with a table; the facts are gathered by
 * engine/recover from the disk.
 *
 * s is the first record that does not verify; D the highest record known to have been acknowledged
 * by this node: the larger of its own mark and, for batches it wrote as leader, the largest
 * durable_through in a later header that counts.
 *
 * s > D proves nothing about the last group: the mark is written behind the sync without one of its
 * own, so a power cut can take the newest mark of an acknowledged group and leave an older one.
 * What decides then is what the damage looks like. A write that was cut short leaves zeros: whole
 * sectors of them, or everything from some byte on. Where a file is used again, sectors that are
 * still the old ones count as zeros (format/stale).
 *
 *   #  facts                                                    verdict
 *   1  reading failed                                           IO (never a torn tail)
 *   2  s <= D                                                   ROTTEN
 *   3  a later segment exists that does not continue here; its  ROTTEN
 *      file was begun only after this one was synced
 *   4  nothing but zeros follow                                 CLEAN
 *   5  whole 512-byte sectors of the damaged batch are missing  TORN
 *   6  the damaged batch ends in zeros, or the file ends in it  TORN
 *   7  it is all there and does not verify                      UNCLEAR (told, not guessed)
 */
#ifndef TIDEMARK_CORE_RECOVER_H
#define TIDEMARK_CORE_RECOVER_H

#include "base/types.h"

struct tail_facts {
    seqno stop; /* s */
    bool is_io_error;
    bool has_mark;
    seqno mark;              /* own durable mark */
    seqno evidence;          /* largest durable_through that counts; 0 none */
    bool has_later_segment;  /* ... whose start is not this end */
    bool is_zero_after;      /* every byte after the last good batch is zero */
    bool has_missing_sector; /* a whole 512-byte sector of the damage is zero */
    bool is_cut_short;       /* the damage ends in zeros, or the file ends in it */
};

enum tail_verdict { TAIL_IO, TAIL_ROTTEN, TAIL_CLEAN, TAIL_TORN, TAIL_UNCLEAR };

enum tail_verdict recover_decide(const struct tail_facts *facts);
const char *tail_verdict_name(enum tail_verdict v);

#endif
