/* bootstrap_serve: the side of a link that gives a joiner the state: a manifest in pieces, then
 * blocks by their hashes. Any node that holds a good checkpoint serves; a leader pins its log from
 * the manifest's mark on before the first piece goes out. One read at a time on each link, at the
 * pace of bootstrap_rate and only while the link takes it, so that nobody's batches wait for a
 * copy. Owner: the loop thread; reads are jobs. */
#ifndef TIDEMARK_ENGINE_BOOTSTRAP_SERVE_H
#define TIDEMARK_ENGINE_BOOTSTRAP_SERVE_H

#include "engine/db.h"
#include "format/wire.h"

struct ship_link;
struct bootstrap_serve;

/* May this node be copied from? *why is a sentence when it may not. */
bool bootstrap_may_serve(const struct db *db, const char **why);

struct bootstrap_serve *bootstrap_serve_new(struct ship_link *link); /* NULL: no memory */
void bootstrap_serve_free(struct bootstrap_serve *s);                /* NULL allowed; quiet */
/* No read runs. NULL allowed. */
bool bootstrap_serve_is_quiet(const struct bootstrap_serve *s);
/* The link ended: nothing more is sent. */
void bootstrap_serve_stop(struct bootstrap_serve *s);

/* E_PROTOCOL: the link must be given up. */
MUST_CHECK enum code bootstrap_serve_manifest(struct bootstrap_serve *s,
                                              const struct wire_piece *piece, struct err *e);
MUST_CHECK enum code bootstrap_serve_blocks(struct bootstrap_serve *s,
                                            const struct wire_blocks *blocks, struct err *e);
void bootstrap_serve_progress(struct bootstrap_serve *s, const struct wire_progress *progress);
/* The log behind what is copied grew too long: tell the joiner of a newer checkpoint as soon as
 * there is one. */
void bootstrap_serve_rebase(struct bootstrap_serve *s);
/* Is the log behind what is copied near the end of its slot's budget, or of what a copy is worth?
 */
bool bootstrap_serve_is_old(const struct bootstrap_serve *s);
/* The link takes more. */
void bootstrap_serve_drained(struct bootstrap_serve *s);
/* A checkpoint was finished, or a source is ready: links that wait for one go on. */
void bootstrap_serve_poll(struct db *db);

/* How far a joiner is, as it said last. */
struct bootstrap_figures {
    struct wire_progress progress;
    uint64_t started_ns;
    uint64_t sent_bytes;
};
void bootstrap_serve_figures(const struct bootstrap_serve *s, struct bootstrap_figures *out);

#endif
