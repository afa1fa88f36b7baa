/* pending_edges: see pending_edges.h. A ring of words and a map to the newest on each edge.
 *
 * Holds between calls: the map holds, for each edge with a word in the ring, the newest one. */
#include "engine/pending_edges.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "format/record.h"

enum { CAPACITY_FIRST = 64 };

void pending_edges_init(struct pending_edges *p)
{
    *p = (struct pending_edges){0};
    map_init(&p->map);
}

void pending_edges_fini(struct pending_edges *p)
{
    map_fini(&p->map);
    free(p->words);
}

struct id128 pending_edge_key(uint32_t type_id, struct slice item, struct slice user)
{
    uint8_t bytes[4 + 2 * (1 + KEY_SIZE_MAX)];
    struct bytes_writer w = bytes_writer_of(bytes, sizeof(bytes));
    bytes_write_u32(&w, type_id);
    bytes_write_slice8(&w, item);
    bytes_write_slice8(&w, user);
    ASSERT(!w.is_failed);
    return hash128_of(bytes_written_slice(&w));
}

static uint64_t hash_of(const struct id128 *key)
{
    return load_u64(key->bytes); /* of a BLAKE3 value: any 64 bits are spread well */
}

static struct pending_edge *word_at(const struct pending_edges *p, uint32_t counter)
{
    return &p->words[counter & (p->capacity - 1)];
}

static bool is_match(const void *owner, uint32_t value, const void *key)
{
    const struct pending_edges *p = owner;
    return id128_equal(&p->words[value].key, key);
}

static uint32_t index_find(const struct pending_edges *p, const struct id128 *key)
{
    if (p->head == p->tail) return MAP_NONE;
    return map_find(&p->map, hash_of(key), is_match, p, key);
}

bool pending_edges_find(const struct pending_edges *p, const struct id128 *key, bool *out_is_there,
                        seqno *out)
{
    uint32_t i = index_find(p, key);
    if (i == MAP_NONE) return false;
    *out_is_there = p->words[i].is_there;
    *out = p->words[i].seqno;
    return true;
}

/* A ring twice the size, with the same words at the same counters. */
static bool grow(struct pending_edges *p)
{
    struct pending_edges larger = {.head = p->head, .tail = p->tail};
    larger.capacity = p->capacity == 0 ? CAPACITY_FIRST : p->capacity * 2;
    larger.words = calloc(larger.capacity, sizeof(*larger.words));
    if (!larger.words) return false;
    bool is_ok = true;
    for (uint32_t i = p->head; i != p->tail && is_ok; i++) {
        const struct pending_edge *word = word_at(p, i);
        *word_at(&larger, i) = *word;
        bool is_newest = index_find(p, &word->key) == (i & (p->capacity - 1));
        if (!is_newest) continue;
        is_ok = map_insert(&larger.map, hash_of(&word->key), i & (larger.capacity - 1));
    }
    pending_edges_fini(is_ok ? p : &larger);
    if (is_ok) *p = larger;
    return is_ok;
}

bool pending_edges_add(struct pending_edges *p, const struct id128 *key, bool is_there, seqno s)
{
    if (p->tail - p->head == p->capacity && !grow(p)) return false;
    struct pending_edge word = {.key = *key, .seqno = s, .is_there = is_there};
    uint32_t old = index_find(p, key);
    uint32_t at = p->tail & (p->capacity - 1);
    if (!map_insert(&p->map, hash_of(key), at)) return false;
    if (old != MAP_NONE) {
        bool is_removed = map_remove(&p->map, hash_of(key), old);
        ASSERT(is_removed);
        word.has_before = true;
        word.before = p->tail - ((at - old) & (p->capacity - 1));
    }
    p->words[at] = word;
    p->tail++;
    return true;
}

void pending_edges_drop(struct pending_edges *p, uint32_t mark)
{
    ASSERT(p->tail - mark <= p->tail - p->head);
    while (p->tail != mark) {
        uint32_t at = --p->tail & (p->capacity - 1);
        const struct pending_edge *word = &p->words[at];
        bool is_removed = map_remove(&p->map, hash_of(&word->key), at);
        ASSERT(is_removed);
        bool is_kept = word->has_before && p->tail - word->before <= p->tail - p->head;
        if (!is_kept) continue;
        /* One entry has left the map and one comes back: it does not grow. */
        uint32_t before = word->before & (p->capacity - 1);
        bool is_back = map_insert(&p->map, hash_of(&word->key), before);
        ASSERT(is_back);
    }
}

void pending_edges_applied(struct pending_edges *p, seqno applied)
{
    while (p->head != p->tail && word_at(p, p->head)->seqno.v <= applied.v) {
        uint32_t at = p->head & (p->capacity - 1);
        /* Not there when a newer word took its place. */
        (void)map_remove(&p->map, hash_of(&p->words[at].key), at);
        p->head++;
    }
}
