/* producers: rows beside interned producer ids. Never judges gaps: the write gate did; what is in
 * the log has happened. */
#include "core/state/producers.h"

#include <assert.h>

#include "base/bytes.h"

static_assert(PRODUCER_ROW_SIZE <= KEYS_ROW_SIZE, "a producer fits a row");

void producers_init(struct keys *k, struct alloc *alloc, uint64_t seed)
{
    struct keys_shape shape = {.kind = BLOCK_PRODUCERS,
                               .block_entries = PRODUCERS_BLOCK_ENTRIES,
                               .row_size = PRODUCER_ROW_SIZE};
    keys_init(k, alloc, shape, seed);
}

static void row_encode(const struct producer *p, uint8_t *row)
{
    store_u64(row, p->number);
    write_ref_encode(&p->where, row + sizeof(uint64_t));
}

static struct producer row_decode(const uint8_t *row)
{
    return (struct producer){.number = load_u64(row),
                             .where = write_ref_decode(row + sizeof(uint64_t))};
}

bool producers_note(struct keys *k, struct slice id, const struct producer *newest)
{
    uint8_t row[PRODUCER_ROW_SIZE];
    row_encode(newest, row);
    uint64_t hash = keys_hash(k, id);
    uint32_t index = keys_find(k, id, hash);
    if (index == KEYS_NONE) return keys_add(k, id, hash, row) != KEYS_NONE;
    if (load_u64(keys_row(k, index)) >= newest->number) return true;
    uint8_t *place = keys_row_writable(k, index);
    if (place == NULL) return false;
    memcpy(place, row, sizeof(row));
    return true;
}

bool producers_find(const struct keys *k, struct slice id, struct producer *out)
{
    uint32_t index = keys_find(k, id, keys_hash(k, id));
    if (index == KEYS_NONE) return false;
    *out = row_decode(keys_row(k, index));
    return true;
}

enum code producers_load(struct keys *k, seqno seqno_last, struct block_id id, struct slice bytes,
                         struct err *e)
{
    uint32_t first = k->count;
    TRY(keys_load(k, id, bytes, e));
    for (uint32_t i = first; i < k->count; i++) {
        struct producer p = row_decode(keys_row(k, i));
        if (p.where.seqno.v == 0 || p.where.seqno.v > seqno_last.v) {
            return ERR(e, E_CORRUPT, "block producers %llu: a write lies outside the log",
                       (unsigned long long)id.number);
        }
    }
    return OK;
}
