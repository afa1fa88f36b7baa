/* recover: torn tail or rotten record? One pure decision with a table; the facts are gathered by
 * engine/recover from the disk.
 *
 * s is the first record that does not verify; D the highest record known to have been acknowledged
 * by this node: the larger of its own mark and, for batches it wrote as leader, the largest
 * durable_through in a later header that counts.
 *
 *   #  facts                                                        verdict
 *   1  reading failed                                               IO       (never a torn tail)
 *   2  s <= D                                                       ROTTEN
 *   3  a later segment of this log exists that does not continue    ROTTEN   (its file was begun
 * only where this one ends                                                    after this one was
 * synced) 4  nothing but zeros follow                                     CLEAN 5  s > D, a mark is
 * there                                       TORN 6  no mark, later headers count (all with
 * durable_through < s)  TORN 7  no mark, no later header, whole 512-byte sectors missing     TORN
 *   8  no mark, no later header, no missing sector                  UNCLEAR  (told, not guessed)
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
    uint64_t later_batches;  /* later headers that count */
    bool has_later_segment;  /* ... whose start is not this end */
    bool is_zero_after;      /* every byte after the last good batch is zero */
    bool has_missing_sector; /* a whole 512-byte sector of the damage is zero */
};

enum tail_verdict { TAIL_IO, TAIL_ROTTEN, TAIL_CLEAN, TAIL_TORN, TAIL_UNCLEAR };

enum tail_verdict recover_decide(const struct tail_facts *facts);
const char *tail_verdict_name(enum tail_verdict v);

#endif
