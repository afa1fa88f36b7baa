/* heap: binary, in one array; see heap.h. */
#include "base/heap.h"

#include <stdlib.h>

#include "base/assert.h"

#define CAPACITY_FIRST 64u

void heap_fini(struct heap *h)
{
    free(h->nodes);
    heap_init(h);
}

static void put(struct heap *h, uint32_t place, struct heap_node *node)
{
    h->nodes[place] = node;
    node->place = place;
}

static void sift_up(struct heap *h, uint32_t place, struct heap_node *node)
{
    while (place > 0) {
        uint32_t parent = (place - 1) / 2;
        if (h->nodes[parent]->key <= node->key) break;
        put(h, place, h->nodes[parent]);
        place = parent;
    }
    put(h, place, node);
}

static void sift_down(struct heap *h, uint32_t place, struct heap_node *node)
{
    for (;;) {
        uint32_t child = 2 * place + 1;
        if (child >= h->count) break;
        if (child + 1 < h->count && h->nodes[child + 1]->key < h->nodes[child]->key) child++;
        if (node->key <= h->nodes[child]->key) break;
        put(h, place, h->nodes[child]);
        place = child;
    }
    put(h, place, node);
}

bool heap_add(struct heap *h, struct heap_node *node)
{
    if (h->count == h->capacity) {
        uint32_t capacity = h->capacity > 0 ? h->capacity * 2 : CAPACITY_FIRST;
        void *nodes = realloc(h->nodes, capacity * sizeof(struct heap_node *));
        if (nodes == NULL) return false;
        h->nodes = nodes;
        h->capacity = capacity;
    }
    h->count++;
    sift_up(h, h->count - 1, node);
    return true;
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    uint32_t place = node->place;
    ASSERT(place < h->count);
    ASSERT(h->nodes[place] == node);
    struct heap_node *last = h->nodes[--h->count];
    node->place = HEAP_OUTSIDE;
    if (last == node) return;
    if (place > 0 && last->key < h->nodes[(place - 1) / 2]->key) {
        sift_up(h, place, last);
    } else {
        sift_down(h, place, last);
    }
}
