/* cursor: where a page ended, as text that a client hands back for the next page. It pins the
 * profile's definition, the moment asked about, the position of the state that answered and the
 * place of the last row, so that any node with that position goes on with the same listing. In
 * orders where an item can fall it carries the items shown so far, by their numbers.
 *
 * Text: base64url without padding of
 *   u8 version | u8 flags (1: has items shown) | u64 profile hash
 *   | u64 epoch | u64 seqno | 4 bytes chain | i64 now | i64 rank high | u64 rank low
 *   | i64 created | slice8 key | [varint count | count varints: ascending items, differences]
 *   | u64 check (of all before and the cluster id: first 8 bytes of BLAKE3-256)
 * The check finds damage and cursors of other databases; it is no protection against forgery, and
 * none is needed: a forged cursor shows nothing that RETRIEVE does not. Little-endian.
 *
 * Pure; never allocates. What comes in is hostile: every field is checked.
 */
#ifndef TIDEMARK_CORE_QUERY_CURSOR_H
#define TIDEMARK_CORE_QUERY_CURSOR_H

#include "base/error.h"
#include "base/text.h"
#include "core/query/pick.h"

#define CURSOR_SHOWN_MAX 16384u

struct cursor {
    uint64_t profile_hash;
    struct token position;
    int64_t now_ms;
    struct pick_place place; /* key borrowed */
    bool has_shown;
    uint32_t shown_count;
    const uint32_t *shown;    /* ascending; not set by decoding: cursor_shown */
    struct slice shown_bytes; /* set by decoding: borrowed from the room */
};

/* Characters that encoding takes at most, no NUL. */
size_t cursor_text_size_max(uint32_t shown_count);
/* Write the text into `out`, cursor_text_size_max large; returns its size. */
size_t cursor_encode(const struct cursor *c, const struct id128 *cluster, char *out);

/* room: as large as the text, borrowed by *out. E_INVALID with a sentence when it is no cursor of
 * this database. */
MUST_CHECK enum code cursor_decode(struct slice text, const struct id128 *cluster, uint8_t *room,
                                   struct cursor *out, struct err *e);
/* The items shown of a decoded cursor, ascending; room for shown_count of them. */
void cursor_shown(const struct cursor *c, uint32_t *items);

#endif
