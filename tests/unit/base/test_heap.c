/* Tests of base/heap. */
#include "support/tm_test.h"

#include "base/heap.h"
#include "base/random.h"

enum { NODES = 500 };

/* Against an array that is searched: adds, removals of the first and out of the middle. */
static void the_first_is_always_the_lowest(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("heap", 1));
    static struct heap_node nodes[NODES];
    struct heap h;
    heap_init(&h);
    for (int i = 0; i < NODES; i++)
        nodes[i].place = HEAP_OUTSIDE;
    for (int step = 0; step < 20000; step++) {
        struct heap_node *node = &nodes[random_below(&r, NODES)];
        if (node->place == HEAP_OUTSIDE) {
            node->key = random_below(&r, 100);
            assert_true(heap_add(&h, node));
        } else if (random_below(&r, 2) == 0) {
            heap_remove(&h, node);
        } else {
            node = heap_first(&h);
            if (node != NULL) heap_remove(&h, node);
        }
        uint32_t count = 0;
        uint64_t lowest = UINT64_MAX;
        for (int i = 0; i < NODES; i++) {
            if (nodes[i].place == HEAP_OUTSIDE) continue;
            count++;
            if (nodes[i].key < lowest) lowest = nodes[i].key;
            assert_ptr_equal(h.nodes[nodes[i].place], &nodes[i]);
        }
        assert_int_equal(h.count, count);
        const struct heap_node *first = heap_first(&h);
        if (first != NULL) assert_int_equal(first->key, lowest);
        assert_int_equal(first != NULL, count > 0);
    }
    heap_fini(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_always_the_lowest),
    };
    return cmocka_run_group_tests_name("base/heap", tests, NULL, NULL);
}
