/* truncate: giving up the tail of a log that another history replaced (DESIGN 4.4).
 *
 * An order (fork, session of the link that brought it, end of the log it was made for) becomes an
 * intent in identity; the data is opened anew, and opening carries the intent out until it is done:
 *   INTENDED           noted and synced: fork, link nonce, old end, lowered mark
 *   QUARANTINED        the tail of the segment that holds the fork is in quarantine/, synced
 *   MANIFESTS_DROPPED  manifests beyond the fork are gone, directory synced
 *   LOG_CUT            the mark is lowered; later segments were moved to quarantine/, newest first;
 *                      the segment with the fork was written again without its tail
 *   (done)             the state was loaded and replayed to the fork; the intent is cleared and the
 *                      history id is another one, in one save
 * A crash anywhere leaves a log that recovery takes and an intent that is carried out again; at
 * every moment each record that is given up is in log/ or in quarantine/. A tail that holds nothing
 * of clients (ticks, marks, digests, epoch starts) is dropped without a word.
 *
 * An order that is not for this very end of the log does nothing: the log has moved on.
 */
#ifndef TIDEMARK_ENGINE_TRUNCATE_H
#define TIDEMARK_ENGINE_TRUNCATE_H

#include "engine/db.h"

struct truncation_order {
    struct position fork;
    struct position end; /* of the log, when the order was made */
    uint64_t link_nonce;
    uint64_t epoch; /* of who ordered it: noted as seen in the same save */
};

/* Prove that the fork lies in this log, note the intent, open the data anew. failed is called when
 * it comes to nothing; on success the caller is gone with the old life. E_BUSY, E_CLOSED,
 * E_NOMEMORY. Loop only. */
MUST_CHECK enum code truncation_begin(struct db *db, const struct truncation_order *order,
                                      void (*failed)(void *arg, const struct err *e), void *arg,
                                      struct err *e);
/* An operator's word: as long as the log ends exactly here, what the leader lacks may be given up,
 * also what is known to be committed. In memory only. NULL: taken back. */
void truncation_allow(struct db *db, const struct token *end);
const struct token *truncation_allowed(const struct db *db); /* NULL: no word for this end */
void truncation_free(struct truncation *t);                  /* NULL allowed */

/* While opening, before recovery: carry out what is intended, up to LOG_CUT. Blocks. */
MUST_CHECK enum code truncation_redo(struct db *db, struct err *e);
/* After the state was loaded: the intent is no more; the next save of identity says so. */
void truncation_end(struct db *db);

#endif
