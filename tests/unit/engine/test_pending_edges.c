/* Tests of engine/pending_edges: the newest word on an edge, across growth, taking back and
 * applying. */
#include "support/tm_test.h"

#include "base/random.h"
#include "engine/pending_edges.h"

static struct id128 key_of(uint32_t edge)
{
    char item[16];
    snprintf(item, sizeof(item), "i%u", edge);
    return pending_edge_key(7, slice_of_text(item), slice_of_text("u"));
}

static void add(struct pending_edges *p, uint32_t edge, bool is_there, uint64_t s)
{
    struct id128 key = key_of(edge);
    assert_true(pending_edges_add(p, &key, is_there, seqno_of(s)));
}

/* -1: no word; else whether the edge is there, and the word's seqno. */
static int find(const struct pending_edges *p, uint32_t edge, uint64_t *out)
{
    struct id128 key = key_of(edge);
    bool is_there;
    seqno s;
    if (!pending_edges_find(p, &key, &is_there, &s)) return -1;
    *out = s.v;
    return is_there;
}

static void names_of_edges_do_not_run_together(void **state)
{
    (void)state;
    struct id128 a = pending_edge_key(1, slice_of_text("ab"), slice_of_text("c"));
    struct id128 b = pending_edge_key(1, slice_of_text("a"), slice_of_text("bc"));
    struct id128 c = pending_edge_key(2, slice_of_text("ab"), slice_of_text("c"));
    assert_false(id128_equal(&a, &b));
    assert_false(id128_equal(&a, &c));
}

static void the_newest_word_counts_until_it_is_applied_or_taken_back(void **state)
{
    (void)state;
    struct pending_edges p;
    uint64_t s = 0;
    pending_edges_init(&p);
    assert_int_equal(find(&p, 1, &s), -1);
    add(&p, 1, true, 10);
    add(&p, 1, false, 11);
    add(&p, 2, true, 11);
    assert_int_equal(find(&p, 1, &s), 0);
    assert_int_equal(s, 11);
    uint32_t mark = p.tail;
    add(&p, 1, true, 12);
    add(&p, 1, false, 12);
    add(&p, 3, true, 12);
    assert_int_equal(find(&p, 1, &s), 0);
    assert_int_equal(s, 12);
    pending_edges_drop(&p, mark);
    assert_int_equal(find(&p, 1, &s), 0);
    assert_int_equal(s, 11);
    assert_int_equal(find(&p, 3, &s), -1);
    pending_edges_applied(&p, seqno_of(10));
    assert_int_equal(find(&p, 1, &s), 0);
    add(&p, 1, true, 13);
    pending_edges_applied(&p, seqno_of(11));
    assert_int_equal(find(&p, 1, &s), 1);
    assert_int_equal(find(&p, 2, &s), -1);
    pending_edges_applied(&p, seqno_of(13));
    assert_int_equal(find(&p, 1, &s), -1);
    assert_int_equal(p.map.count, 0);
    pending_edges_fini(&p);
}

/* A word whose older one was applied meanwhile leaves nothing behind when it is taken back. */
static void an_older_word_that_was_applied_does_not_come_back(void **state)
{
    (void)state;
    struct pending_edges p;
    uint64_t s = 0;
    pending_edges_init(&p);
    add(&p, 1, true, 1);
    uint32_t mark = p.tail;
    add(&p, 1, false, 2);
    pending_edges_applied(&p, seqno_of(1));
    pending_edges_drop(&p, mark);
    assert_int_equal(find(&p, 1, &s), -1);
    assert_int_equal(p.map.count, 0);
    pending_edges_fini(&p);
}

enum { EDGES = 50, WORDS_MAX = 100000 };

/* Against a plain list, with records of several words of which some are not appended. */
static void words_are_those_of_a_plain_list(void **state)
{
    (void)state;
    struct word {
        uint32_t edge;
        bool is_there;
        uint64_t s;
    } *words = calloc(WORDS_MAX, sizeof(*words));
    uint32_t first = 0;
    uint32_t count = 0;
    struct random r;
    struct pending_edges p;
    random_init(&r, tm_seed("pending", 1));
    pending_edges_init(&p);
    for (uint64_t s = 1; s < 8000; s++) {
        uint32_t mark = p.tail;
        uint32_t before = count;
        for (uint64_t n = random_below(&r, 6); n > 0; n--) {
            words[count] =
                (struct word){(uint32_t)random_below(&r, EDGES), random_below(&r, 2) == 0, s};
            add(&p, words[count].edge, words[count].is_there, s);
            count++;
        }
        if (random_below(&r, 4) == 0) {
            pending_edges_drop(&p, mark);
            count = before;
        }
        if (random_below(&r, 100) == 0) {
            uint64_t applied = s - random_below(&r, 3);
            pending_edges_applied(&p, seqno_of(applied));
            while (first < count && words[first].s <= applied)
                first++;
        }
        for (uint32_t edge = 0; edge < EDGES; edge++) {
            uint32_t at = count;
            while (at > first && words[at - 1].edge != edge)
                at--;
            uint64_t found = 0;
            int is_there = find(&p, edge, &found);
            assert_int_equal(is_there, at == first ? -1 : words[at - 1].is_there);
            if (at > first) assert_int_equal(found, words[at - 1].s);
        }
    }
    pending_edges_fini(&p);
    free(words);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_edges_do_not_run_together),
        cmocka_unit_test(the_newest_word_counts_until_it_is_applied_or_taken_back),
        cmocka_unit_test(an_older_word_that_was_applied_does_not_come_back),
        cmocka_unit_test(words_are_those_of_a_plain_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
