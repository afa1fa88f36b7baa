/* Tests of core/query/expr: what WHERE means, and what it refuses in which words. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "base/text.h"
#include "core/query/expr.h"
#include "support/shelf.h"

enum { ITEMS = 5000 };

static struct shelf shelf;

static int begin(void **state)
{
    (void)state;
    shelf_init(&shelf, ITEMS, tm_seed("expr", 1));
    return 0;
}

static int end(void **state)
{
    (void)state;
    shelf_fini(&shelf);
    return 0;
}

typedef bool (*rule)(const struct shelf_item *i);

static bool has_t1(const struct shelf_item *i)
{
    return (i->topics & 2) != 0;
}
static bool is_not_t1(const struct shelf_item *i)
{
    return i->topics != 0 && !has_t1(i);
}
static bool misses_t1(const struct shelf_item *i)
{
    return !has_t1(i);
}
static bool has_t0_or_t5(const struct shelf_item *i)
{
    return (i->topics & 33) != 0;
}
static bool has_topic(const struct shelf_item *i)
{
    return i->topics != 0;
}
static bool is_2003(const struct shelf_item *i)
{
    return i->has_year && i->year == 2003;
}
static bool is_not_2003(const struct shelf_item *i)
{
    return i->has_year && i->year != 2003;
}
static bool is_before_2003(const struct shelf_item *i)
{
    return i->has_year && i->year < 2003;
}
static bool is_from_2003(const struct shelf_item *i)
{
    return i->has_year && i->year >= 2003;
}
static bool is_no_year_from_2003(const struct shelf_item *i)
{
    return !is_from_2003(i);
}
static bool is_some_year(const struct shelf_item *i)
{
    double y = i->year;
    return i->has_year && (y == 0.5 || y == 2001 || y == 2.5 || y == 2007 || y == 5.5);
}
static bool is_nsfw(const struct shelf_item *i)
{
    return i->nsfw == 1;
}
static bool is_not_nsfw(const struct shelf_item *i)
{
    return i->nsfw != 1;
}
static bool is_sfw(const struct shelf_item *i)
{
    return i->nsfw == 0;
}
static bool is_seen_later(const struct shelf_item *i)
{
    return i->has_seen && i->seen_ms > 1700000000000;
}
static bool is_seen_in(const struct shelf_item *i)
{
    return i->has_seen && (i->seen_ms == 1700000000001 || i->seen_ms == 1699999999998);
}
static bool is_c2(const struct shelf_item *i)
{
    return i->creator == 2;
}
static bool is_not_c2(const struct shelf_item *i)
{
    return i->creator >= 0 && i->creator != 2;
}
static bool is_c0_or_c3(const struct shelf_item *i)
{
    return i->creator == 0 || i->creator == 3;
}
static bool is_created(const struct shelf_item *i)
{
    return i->created_ms <= 1699999999998;
}
static bool is_created_in(const struct shelf_item *i)
{
    return i->created_ms == 1700000000000 || i->created_ms == 1699999999997;
}
static bool is_of_the_interface(const struct shelf_item *i)
{
    return i->creator == 1 && (i->topics & 3) != 0 && i->has_year && i->year >= 5.5 && i->nsfw != 1;
}
static bool is_and_before_or(const struct shelf_item *i)
{
    return is_c2(i) || (is_nsfw(i) && has_t1(i));
}
static bool is_or_in_parentheses(const struct shelf_item *i)
{
    return (is_c2(i) || is_nsfw(i)) && has_t1(i);
}
static bool is_not_before_and(const struct shelf_item *i)
{
    return !is_c2(i) && has_t1(i);
}
static bool is_not_of_all(const struct shelf_item *i)
{
    return !(is_c2(i) && has_t1(i));
}
static bool nobody(const struct shelf_item *i)
{
    (void)i;
    return false;
}
static bool everybody(const struct shelf_item *i)
{
    (void)i;
    return true;
}

/* Deleted items never pass. */
static void every_kind_of_condition_means_what_is_said(void **state)
{
    (void)state;
    const struct {
        const char *text;
        rule rule;
    } rows[] = {
        {"topic = \"t1\"", has_t1},
        {"topic='t1'", has_t1},
        {"topic in ('t1')", has_t1},
        {"topic != \"t1\"", is_not_t1},
        {"not topic = \"t1\"", misses_t1},
        {"NOT NOT topic = \"t1\"", has_t1},
        {"topic in (\"t0\", \"t5\")", has_t0_or_t5},
        {"topic in ('a','b','c','t0','d','t5','t0','e','f')", has_t0_or_t5},
        {"topic in ('t0','t1','t2','t3','t4','t5','x')", has_topic},
        {"topic in ('t0','t5','t0','t5','t0','t5','t0','t5','t0','t5','t0','t5','t0')",
         has_t0_or_t5},
        {"topic = \"nowhere\"", nobody},
        {"topic != \"nowhere\"", has_topic},
        {"not topic in ('nowhere','x','y','z','w')", everybody},
        {"year = 2003", is_2003},
        {"year != 2003.0", is_not_2003},
        {"year < 2.003e3", is_before_2003},
        {"year <= 2002.999", is_before_2003},
        {"year >= 2003", is_from_2003},
        {"year > 2002.5", is_from_2003},
        {"not year >= 2003", is_no_year_from_2003},
        {"year in (0.5, 2001, 2.5, 2007, 5.5, 99)", is_some_year},
        {"year in (2003)", is_2003},
        {"year in (2003,-1,-2,-3,-4,-5,-6,-7,-8,-9,-10,-11,-12,-13,-14)", is_2003},
        {"year < -0", nobody},
        {"nsfw", is_nsfw},
        {"not nsfw", is_not_nsfw},
        {"nsfw = true", is_nsfw},
        {"nsfw = FALSE", is_sfw},
        {"nsfw = 0", is_sfw},
        {"nsfw in (false)", is_sfw},
        {"seen > 1700000000000", is_seen_later},
        {"seen in (1700000000001,1699999999998)", is_seen_in},
        {"creator = 'c2'", is_c2},
        {"CREATOR != 'c2'", is_not_c2},
        {"creator in ('c0','c3','c9')", is_c0_or_c3},
        {"creator in ('c0','c3','c0','c3','c0','c3')", is_c0_or_c3},
        {"creator in ('c0','c3','c0','c3','c0','c3','c0','c3','c0','c3','c0','c3','c0')",
         is_c0_or_c3},
        {"creator = 'c9'", nobody},
        {"created_at <= 1699999999998", is_created},
        {"created_at in (1700000000000,1699999999997)", is_created_in},
        {"creator = \"c1\" and topic in (\"t0\",\"t1\") and year >= 5.5 and not nsfw",
         is_of_the_interface},
        {"creator = 'c2' or nsfw and topic = 't1'", is_and_before_or},
        {"nsfw and topic = 't1' or creator = 'c2'", is_and_before_or},
        {"(creator = 'c2' or nsfw) and topic = 't1'", is_or_in_parentheses},
        {"((creator = 'c2') or (nsfw)) and ((topic = 't1'))", is_or_in_parentheses},
        {"not creator = 'c2' and topic = 't1'", is_not_before_and},
        {"not (creator = 'c2' and topic = 't1')", is_not_of_all},
        {"not not(not(creator = 'c2' and topic = 't1'))", is_not_of_all},
        {"nsfw or not nsfw", everybody},
        {"nsfw and not nsfw", nobody},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        static struct filter f;
        struct err e;
        if (expr_compile(slice_of_text(rows[r].text), shelf.state, &f, &e) != OK) {
            fail_msg("%s: %s", rows[r].text, e.text);
        }
        static bool passes[ITEMS];
        shelf_ask(&shelf, &f, passes);
        for (uint32_t i = 0; i < ITEMS; i++) {
            bool is_wanted = !shelf.items[i].is_deleted && rows[r].rule(&shelf.items[i]);
            if (passes[i] == is_wanted) continue;
            fail_msg("%s: item %u passes: %d", rows[r].text, i, !is_wanted);
        }
    }
}

static void what_does_not_read_is_told_in_one_sentence(void **state)
{
    (void)state;
    const struct {
        const char *text;
        enum code code;
        const char *words;
    } rows[] = {
        {"", E_INVALID, "a field, not or ( is expected at character 1, before the end"},
        {"  ", E_INVALID, "at character 3, before the end"},
        {"and", E_INVALID, "at character 1, before and"},
        {"year", OK, ""},
        {"year =", E_SCHEMA, "compared with a number, true or false, not with the end"},
        {"year = and", E_SCHEMA, "not with and at character 8"},
        {"year = 1 2", E_INVALID, "and or or is expected at character 10, before 2"},
        {"year = 1 and", E_INVALID, "at character 13, before the end"},
        {"(year = 1", E_INVALID, "the ( at character 1 is not closed"},
        {"year = 1)", E_INVALID, "and, or, or the end is expected at character 9, before )"},
        {"(year = 1 topic", E_INVALID, "and, or or ) is expected at character 11, before topic"},
        {"()", E_INVALID, "at character 2, before )"},
        {"= 1", E_INVALID, "at character 1, before ="},
        {"1 = year", E_INVALID, "at character 1, before 1"},
        {"\"a\" = topic", E_INVALID, "before \"a\""},
        {"true", E_INVALID, "before true"},
        {"year in 5", E_INVALID, "( of a list is expected at character 9, before 5"},
        {"year in ()", E_SCHEMA, "not with ) at character 10"},
        {"year in (1,)", E_SCHEMA, "not with ) at character 12"},
        {"year in (1 2)", E_INVALID, "a comma or ) is expected at character 12, before 2"},
        {"year in (1", E_INVALID, "a comma or ) is expected at character 11, before the end"},
        {"topic ! 'a'", E_INVALID, "unexpected '!' at character 7"},
        {"yaer = 1", E_SCHEMA, "unknown field yaer at character 1; did you mean year? Or declare"},
        {"zzzzzz = 1", E_SCHEMA,
         "unknown field zzzzzz at character 1; declare fields with "
         "SCHEMA.FIELD"},
        {"Year = 1", E_SCHEMA, "did you mean year"},
        {"year = \"2003\"", E_SCHEMA,
         "year is num and compared with a number, true or false, "
         "not with \"2003\" at character 8"},
        {"year = 1e999", E_SCHEMA, "not with 1e999"},
        {"year = 12abc", E_SCHEMA, "not with 12abc"},
        {"topic = 5", E_SCHEMA, "topic is tag and compared with a text in quotes, not with 5"},
        {"topic < \"a\"", E_SCHEMA, "topic is tag and compared by = != or in, at character 7"},
        {"topic", E_SCHEMA, "topic at character 1 is tag and cannot stand alone; compare it"},
        {"seen", E_SCHEMA, "seen at character 1 is time and cannot stand alone"},
        {"creator", E_SCHEMA, "creator at character 1 is a key and cannot stand alone"},
        {"creator > 'a'", E_SCHEMA, "creator is a key and compared by = != or in"},
        {"creator = 5", E_SCHEMA, "creator is a key and compared with a text in quotes"},
        {"seen = 1.5", E_SCHEMA, "seen is time and compared with a whole number of milliseconds"},
        {"seen = 9999999999999999", E_LIMIT, "time at character 8 is out of range"},
        {"seen = true", E_SCHEMA, "not with true"},
        {"body = 'a'", E_SCHEMA, "body at character 1 is text, which WHERE does not look into"},
        {"not body", E_SCHEMA, "body at character 5 is text"},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        static struct filter f;
        struct err e = {.text = ""};
        enum code code = expr_compile(slice_of_text(rows[r].text), shelf.state, &f, &e);
        if (code != rows[r].code || strstr(e.text, rows[r].words) == NULL) {
            fail_msg("%s: %d %s", rows[r].text, (int)code, e.text);
        }
    }
}

/* A text with `count` times the piece in it, until the next call. */
static struct slice repeated(const char *first, const char *piece, uint32_t count, const char *last)
{
    static char room[2 * EXPR_SIZE_MAX];
    struct text t = text_of(room, sizeof(room));
    text_add(&t, "%s", first);
    for (uint32_t i = 0; i < count; i++) {
        text_add(&t, "%s", piece);
    }
    text_add(&t, "%s", last);
    assert_false(t.is_cut);
    return slice_of(room, t.size);
}

static void limits_are_met_by_answers(void **state)
{
    (void)state;
    static struct filter f;
    struct err e;
    const struct {
        const char *first;
        const char *piece;
        const char *last;
        uint32_t good;
        uint32_t bad;
    } rows[] = {
        {"", "(", "", 0, 65},
        {"", "not ", "nsfw", 60, 65},
        {"nsfw=1", " or nsfw=1", "", 127, 128},
        {"nsfw=1", " or (nsfw=1", "", 0, 16},
        {"year in (1", ",1", ")", 500, 1100},
        {"nsfw=1", " ", "", EXPR_SIZE_MAX - 6, EXPR_SIZE_MAX - 5},
    };
    for (size_t r = 0; r < COUNT_OF(rows); r++) {
        struct slice text = repeated(rows[r].first, rows[r].piece, rows[r].bad, rows[r].last);
        assert_int_equal(expr_compile(text, shelf.state, &f, &e), E_LIMIT);
        if (rows[r].good == 0) continue;
        text = repeated(rows[r].first, rows[r].piece, rows[r].good, rows[r].last);
        if (expr_compile(text, shelf.state, &f, &e) != OK) fail_msg("row %zu: %s", r, e.text);
    }
    /* Many lists fill the slots in the end. */
    struct slice text = repeated("nsfw", " or year in (1,2,3,4,5,6,7,8,9,10,11,12,13)", 64, "");
    assert_int_equal(expr_compile(text, shelf.state, &f, &e), E_LIMIT);
    text = repeated("nsfw", " or year in (1,2,3,4,5,6,7,8,9,10,11,12,13)", 60, "");
    assert_int_equal(expr_compile(text, shelf.state, &f, &e), OK);
}

/* Trees of random conditions, written out as text, against their own evaluation. */
enum { NODES = 12, NODE_TEXT = 2000 };

struct tree {
    char text[NODES][NODE_TEXT];
    bool passes[NODES][64]; /* of the first items */
    uint32_t count;
};

static void leaf_add(struct tree *t, struct random *random)
{
    char *text = t->text[t->count];
    uint64_t kind = random_below(random, 3);
    int number = (int)random_below(random, 6);
    if (kind == 0) snprintf(text, NODE_TEXT, "topic = 't%d'", number);
    if (kind == 1) snprintf(text, NODE_TEXT, "year < %d", number);
    if (kind == 2) snprintf(text, NODE_TEXT, "nsfw");
    for (uint32_t i = 0; i < 64; i++) {
        const struct shelf_item *item = &shelf.items[i];
        bool passes[] = {(item->topics >> number & 1) != 0, item->has_year && item->year < number,
                         item->nsfw == 1};
        t->passes[t->count][i] = passes[kind];
    }
    t->count++;
}

/* Join two nodes. */
static void branch_add(struct tree *t, struct random *random)
{
    char text[NODE_TEXT];
    uint32_t a = (uint32_t)random_below(random, t->count);
    uint32_t b = (uint32_t)random_below(random, t->count);
    uint64_t kind = random_below(random, 3);
    const char *word = kind == 0 ? "and" : "or";
    int size = kind == 2 ? snprintf(text, NODE_TEXT, "not (%s)", t->text[a])
                         : snprintf(text, NODE_TEXT, "(%s) %s (%s)", t->text[a], word, t->text[b]);
    if (size >= NODE_TEXT) return; /* grew too long: left out */
    memcpy(t->text[t->count], text, (size_t)size + 1);
    for (uint32_t i = 0; i < 64; i++) {
        bool left = t->passes[a][i];
        bool right = t->passes[b][i];
        bool passes[] = {left && right, left || right, !left};
        t->passes[t->count][i] = passes[kind];
    }
    t->count++;
}

static void random_trees_equal_their_evaluation(void **state)
{
    (void)state;
    static struct filter f;
    static struct tree t;
    struct random random;
    random_init(&random, tm_seed("expr", 1));
    for (uint32_t round = 0; round < 400; round++) {
        t.count = 0;
        while (t.count < 5) {
            leaf_add(&t, &random);
        }
        for (uint32_t tries = 0; tries < 20 && t.count < NODES; tries++) {
            branch_add(&t, &random);
        }
        struct err e;
        uint32_t top = t.count - 1;
        enum code code = expr_compile(slice_of_text(t.text[top]), shelf.state, &f, &e);
        if (code == E_LIMIT) continue; /* too deep or too many steps */
        assert_int_equal(code, OK);
        static bool passes[ITEMS];
        shelf_ask(&shelf, &f, passes);
        for (uint32_t i = 0; i < 64; i++) {
            bool is_wanted = t.passes[top][i] && !shelf.items[i].is_deleted;
            if (passes[i] != is_wanted) fail_msg("item %u: %s", i, t.text[top]);
        }
    }
}

/* The hash of a text is in cursors: it must not change from build to build. */
static void the_hash_of_a_text_is_fixed(void **state)
{
    (void)state;
    static struct filter a;
    static struct filter b;
    struct err e;
    assert_int_equal(expr_compile(slice_of_text("nsfw"), shelf.state, &a, &e), OK);
    assert_int_equal(expr_compile(slice_of_text("not nsfw"), shelf.state, &b, &e), OK);
    assert_int_not_equal(a.hash, b.hash);
    struct hash256 whole = hash256_of(slice_of_text("nsfw"));
    assert_memory_equal(&a.hash, whole.bytes, sizeof(a.hash));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_condition_means_what_is_said),
        cmocka_unit_test(what_does_not_read_is_told_in_one_sentence),
        cmocka_unit_test(limits_are_met_by_answers),
        cmocka_unit_test(random_trees_equal_their_evaluation),
        cmocka_unit_test(the_hash_of_a_text_is_fixed),
    };
    return cmocka_run_group_tests_name("core/query/expr", tests, begin, end);
}
