/* Tests of core/state/edges: edges are found, replaced and taken out as in a plain list; parts stay
 * dense; pinned parts do not change; what memory refuses changes nothing; what is loaded is judged.
 */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/random.h"
#include "core/state/edges.h"

struct world {
    struct alloc alloc;
    struct edges g;
};

static void declare(struct edges *g, uint32_t id, uint8_t mode)
{
    struct signal_type type = {.id = id, .mode = mode};
    assert_true(edges_add_type(g, &type));
}

/* Types 1 (count), 2 (once) and 4 (latest). */
static int begin(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    alloc_init(&w->alloc, 0);
    edges_init(&w->g, &w->alloc);
    declare(&w->g, 1, SIGNAL_MODE_COUNT);
    declare(&w->g, 2, SIGNAL_MODE_ONCE);
    declare(&w->g, 4, SIGNAL_MODE_LATEST);
    *state = w;
    return 0;
}

static int end(void **state)
{
    struct world *w = *state;
    edges_fini(&w->g);
    uint64_t left = atomic_load(&w->alloc.used_bytes);
    free(w);
    return left == 0 ? 0 : -1;
}

static struct edge edge_of(uint32_t user, uint32_t item)
{
    return (struct edge){.user = user, .item = item, .time_ms = user * 1000 + item, .weight = 1.5};
}

static void add(struct world *w, uint32_t type, uint32_t user, uint32_t item)
{
    struct edge edge = edge_of(user, item);
    assert_true(edges_add(&w->g, type, &edge));
}

static void a_type_that_counts_every_signal_keeps_no_edges(void **state)
{
    struct world *w = *state;
    assert_int_equal(edges_find(&w->g, 1, 0, 0), EDGE_NONE);
    assert_int_equal(edges_find(&w->g, 3, 0, 0), EDGE_NONE);
    assert_int_equal(edges_find(&w->g, 99, 0, 0), EDGE_NONE);
    assert_int_equal(edges_count(&w->g, 1), 0);
    assert_int_equal(w->g.type_count, 2);
}

static void edges_of_one_type_are_not_found_in_another(void **state)
{
    struct world *w = *state;
    add(w, 2, 7, 8);
    assert_int_equal(edges_find(&w->g, 2, 7, 8), 0);
    assert_int_equal(edges_find(&w->g, 2, 8, 7), EDGE_NONE);
    assert_int_equal(edges_find(&w->g, 4, 7, 8), EDGE_NONE);
    add(w, 4, 7, 8);
    assert_true(edges_replace(&w->g, 4, 0, -5, 2.25));
    assert_int_equal(edges_at(&w->g, 4, 0).time_ms, -5);
    assert_same_double(edges_at(&w->g, 4, 0).weight, 2.25);
    assert_same_double(edges_at(&w->g, 2, 0).weight, 1.5);
}

enum { USERS = 150, ITEMS = 120 };

/* What the edges must say, by brute force. */
struct plain {
    bool is_there[USERS][ITEMS];
    struct edge edges[USERS][ITEMS];
    uint32_t count;
};

static void check(const struct world *w, const struct plain *plain)
{
    assert_int_equal(edges_count(&w->g, 2), plain->count);
    for (uint32_t user = 0; user < USERS; user++) {
        for (uint32_t item = 0; item < ITEMS; item++) {
            uint32_t place = edges_find(&w->g, 2, user, item);
            assert_int_equal(place != EDGE_NONE, plain->is_there[user][item]);
            if (place == EDGE_NONE) continue;
            struct edge edge = edges_at(&w->g, 2, place);
            assert_int_equal(edge.user, user);
            assert_int_equal(edge.item, item);
            assert_int_equal(edge.time_ms, plain->edges[user][item].time_ms);
            assert_same_double(edge.weight, plain->edges[user][item].weight);
        }
    }
}

static void change(struct world *w, struct plain *plain, struct random *r, bool is_growing)
{
    uint32_t user = (uint32_t)random_below(r, USERS);
    uint32_t item = (uint32_t)random_below(r, ITEMS);
    struct edge *edge = &plain->edges[user][item];
    uint32_t place = edges_find(&w->g, 2, user, item);
    if (place == EDGE_NONE) {
        *edge = edge_of(user, item);
        assert_true(edges_add(&w->g, 2, edge));
        plain->is_there[user][item] = true;
        plain->count++;
    } else if (random_below(r, 10) < (is_growing ? 2 : 8)) {
        assert_true(edges_remove(&w->g, 2, place));
        plain->is_there[user][item] = false;
        plain->count--;
    } else {
        edge->time_ms = (int64_t)random_below(r, 1000000) - 500000;
        edge->weight = (double)random_below(r, 100) - 50.0;
        assert_true(edges_replace(&w->g, 2, place, edge->time_ms, edge->weight));
    }
}

static void count_block(void *context, struct block *b)
{
    uint32_t *blocks = context;
    assert_int_equal(b->id.kind, BLOCK_EDGE);
    assert_int_equal(b->id.number, UINT64_C(2) << 32 | *blocks);
    assert_true(b->extra_size > 0 && b->extra_size <= EDGE_PART_ROWS * EDGE_ROW_SIZE);
    ++*blocks;
}

/* Several parts are filled, thinned out and emptied; every part but the last is full throughout. */
static void edges_are_what_a_plain_list_says(void **state)
{
    struct world *w = *state;
    struct plain *plain = calloc(1, sizeof(*plain));
    struct random r;
    random_init(&r, tm_seed("edges", 1));
    for (uint32_t i = 0; i < 120000; i++) {
        change(w, plain, &r, i < 60000);
        if (i % 20000 != 0) continue;
        check(w, plain);
        uint32_t blocks = 0;
        edges_each_block(&w->g, count_block, &blocks);
        assert_int_equal(blocks, (plain->count + EDGE_PART_ROWS - 1) / EDGE_PART_ROWS);
        assert_int_equal(blocks, w->g.parts);
        assert_int_equal(w->g.map_bytes,
                         map_bytes(&w->g.types[1]->map) + map_bytes(&w->g.types[3]->map));
    }
    for (uint32_t user = 0; user < USERS; user++) {
        for (uint32_t item = 0; item < ITEMS; item++) {
            if (!plain->is_there[user][item]) continue;
            assert_true(edges_remove(&w->g, 2, edges_find(&w->g, 2, user, item)));
        }
    }
    assert_int_equal(w->g.count, 0);
    assert_int_equal(w->g.parts, 0);
    free(plain);
}

/* The last edge takes the place of one that is taken out; both parts are copied while pinned. */
static void a_pinned_part_does_not_change(void **state)
{
    struct world *w = *state;
    for (uint32_t i = 0; i <= EDGE_PART_ROWS; i++) {
        add(w, 2, i, 3);
    }
    struct block *first = w->g.types[1]->parts.items[0];
    struct block *last = w->g.types[1]->parts.items[1];
    struct hash256 hashes[] = {block_hash(first), block_hash(last)};
    block_hold(first);
    block_hold(last);
    assert_true(edges_remove(&w->g, 2, 17));
    assert_int_equal(edges_at(&w->g, 2, 17).user, EDGE_PART_ROWS);
    assert_int_equal(edges_find(&w->g, 2, 17, 3), EDGE_NONE);
    assert_ptr_not_equal(w->g.types[1]->parts.items[0], first);
    assert_null(w->g.types[1]->parts.items[1]);
    struct hash256 after[] = {block_hash(first), block_hash(last)};
    assert_memory_equal(hashes, after, sizeof(hashes));
    block_release(&w->alloc, first);
    block_release(&w->alloc, last);
}

/* Whichever allocation fails: the change is refused and nothing is different. */
static void what_memory_refuses_changes_nothing(void **state)
{
    struct world *w = *state;
    struct edge edge = edge_of(1, 1);
    for (int64_t n = 1;; n++) {
        atomic_store(&w->alloc.fail_countdown, n);
        bool is_added = edges_add(&w->g, 2, &edge);
        atomic_store(&w->alloc.fail_countdown, -1);
        if (is_added) break;
        assert_int_equal(edges_find(&w->g, 2, 1, 1), EDGE_NONE);
        assert_int_equal(w->g.count, 0);
        assert_int_equal(w->g.parts, 0);
        uint32_t blocks = 0;
        edges_each_block(&w->g, count_block, &blocks);
        assert_int_equal(blocks, 0);
    }
    struct block *held = w->g.types[1]->parts.items[0];
    block_hold(held);
    atomic_store(&w->alloc.fail_countdown, 1);
    assert_false(edges_remove(&w->g, 2, 0));
    atomic_store(&w->alloc.fail_countdown, 1);
    assert_false(edges_replace(&w->g, 2, 0, 9, 9.0));
    atomic_store(&w->alloc.fail_countdown, -1);
    assert_int_equal(edges_at(&w->g, 2, 0).time_ms, edge.time_ms);
    block_release(&w->alloc, held);
}

static enum code load(struct world *w, uint64_t number, const struct edge *edges, uint32_t count)
{
    static uint8_t bytes[(EDGE_PART_ROWS + 1) * EDGE_ROW_SIZE];
    for (uint32_t i = 0; i < count; i++) {
        uint8_t *row = bytes + (size_t)i * EDGE_ROW_SIZE;
        store_u32(row, edges[i].user);
        store_u32(row + 4, edges[i].item);
        store_u64(row + 8, (uint64_t)edges[i].time_ms);
        memcpy(row + 16, &edges[i].weight, sizeof(double));
    }
    struct edge_bounds bounds = {.user_count = 10000, .item_count = 10};
    struct block_id id = {.kind = BLOCK_EDGE, .number = number};
    return edges_load(&w->g, bounds, id, slice_of(bytes, (size_t)count * EDGE_ROW_SIZE), NULL);
}

static void parts_load_in_their_order(void **state)
{
    static struct edge edges[EDGE_PART_ROWS + 1];
    struct world *w = *state;
    for (uint32_t i = 0; i <= EDGE_PART_ROWS; i++) {
        edges[i] = edge_of(i, 3);
    }
    const uint64_t type = UINT64_C(2) << 32;
    assert_int_equal(load(w, type, edges, EDGE_PART_ROWS + 1), E_CORRUPT);
    assert_int_equal(load(w, type | 1, edges, 1), E_CORRUPT);
    assert_int_equal(load(w, type, edges, EDGE_PART_ROWS), OK);
    assert_int_equal(load(w, type, edges, 1), E_CORRUPT);
    assert_int_equal(load(w, type | 1, edges, 1), E_CORRUPT); /* repeats an edge */
    assert_int_equal(load(w, type | 1, edges + EDGE_PART_ROWS, 1), OK);
    assert_int_equal(load(w, type | 2, edges, 1), E_CORRUPT); /* the one before is not full */
    assert_int_equal(edges_count(&w->g, 2), EDGE_PART_ROWS + 1);
    assert_int_equal(edges_find(&w->g, 2, EDGE_PART_ROWS, 3), EDGE_PART_ROWS);
}

static void edges_that_nobody_made_are_refused(void **state)
{
    struct world *w = *state;
    const uint64_t type = UINT64_C(2) << 32;
    struct edge edge = edge_of(1, 2);
    assert_int_equal(load(w, 0, &edge, 1), E_CORRUPT);
    assert_int_equal(load(w, UINT64_C(1) << 32, &edge, 1), E_CORRUPT);
    assert_int_equal(load(w, UINT64_C(9) << 32, &edge, 1), E_CORRUPT);
    assert_int_equal(load(w, type, &edge, 0), E_CORRUPT);
    struct edge bad[] = {edge, edge, edge, edge, edge};
    bad[0].user = 10000;
    bad[1].item = 10;
    bad[2].weight = -0.0;
    bad[3].weight = 1e300;
    bad[4].time_ms = INT64_MAX;
    for (uint32_t i = 0; i < COUNT_OF(bad); i++) {
        assert_int_equal(load(w, type, &bad[i], 1), E_CORRUPT);
    }
    assert_int_equal(w->g.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_type_that_counts_every_signal_keeps_no_edges, begin, end),
        cmocka_unit_test_setup_teardown(edges_of_one_type_are_not_found_in_another, begin, end),
        cmocka_unit_test_setup_teardown(edges_are_what_a_plain_list_says, begin, end),
        cmocka_unit_test_setup_teardown(a_pinned_part_does_not_change, begin, end),
        cmocka_unit_test_setup_teardown(what_memory_refuses_changes_nothing, begin, end),
        cmocka_unit_test_setup_teardown(parts_load_in_their_order, begin, end),
        cmocka_unit_test_setup_teardown(edges_that_nobody_made_are_refused, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
