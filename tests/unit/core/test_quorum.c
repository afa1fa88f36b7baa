/* Tests of core/quorum: a row for each rule, and a count of copies record by record against it. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/quorum.h"

#define EPOCH_START 100u

static struct level level_of(const char *text)
{
    struct level level;
    struct err e = {.code = OK};
    if (level_parse(slice_of_text(text), &level, &e) != OK) fail_msg("%s: %s", text, e.text);
    return level;
}

static uint64_t reached(const struct quorum *q, const char *text)
{
    struct level level = level_of(text);
    return quorum_reached(q, &level).v;
}

/* A leader at 200 in region 1 with followers that hold 150, 140, 130 in regions 1, 2, 3. */
static struct quorum three(void)
{
    struct quorum q = {.durable = {200}, .epoch_start = {EPOCH_START}, .region = 1, .count = 3};
    for (uint32_t i = 0; i < 3; i++) {
        q.copies[i] = (struct quorum_copy){.stored = {150 - 10 * i},
                                           .applied = {145 - 10 * i},
                                           .region = (uint16_t)(i + 1),
                                           .is_vouched = true,
                                           .is_ready = true};
    }
    return q;
}

static void each_level_has_its_watermark(void **state)
{
    (void)state;
    struct quorum q = three();
    assert_int_equal(reached(&q, "local"), 200);
    assert_int_equal(reached(&q, "stored:1"), 150);
    assert_int_equal(reached(&q, "stored:2"), 140);
    assert_int_equal(reached(&q, "stored:3"), 130);
    assert_int_equal(reached(&q, "stored:4"), 0);
    assert_int_equal(reached(&q, "applied:1"), 145);
    assert_int_equal(reached(&q, "applied:3"), 125);
    assert_int_equal(reached(&q, "regions:1"), 200); /* the leader is a node there */
    assert_int_equal(reached(&q, "regions:2"), 140);
    assert_int_equal(reached(&q, "regions:2,3"), 130);
    assert_int_equal(reached(&q, "regions:4"), 0);
    assert_int_equal(reached(&q, "majority"), 0); /* of nobody */
}

static void a_majority_is_of_all_voters_the_leader_included(void **state)
{
    (void)state;
    struct quorum q = three();
    q.is_voter = true;
    q.voter_count = 1;
    assert_int_equal(reached(&q, "majority"), 200);
    q.copies[0].is_voter = q.copies[1].is_voter = true;
    q.voter_count = 3;
    assert_int_equal(reached(&q, "majority"), 150);
    q.copies[2].is_voter = true;
    q.voter_count = 4; /* even: one more than half */
    assert_int_equal(reached(&q, "majority"), 140);
    q.voter_count = 5; /* one has no slot */
    assert_int_equal(reached(&q, "majority"), 140);
    q.voter_count = 7;
    assert_int_equal(reached(&q, "majority"), 130);
    q.voter_count = 8; /* three followers and the leader are no majority of eight */
    assert_int_equal(reached(&q, "majority"), 0);
    q.is_voter = false; /* a leader that is no voter counts for nothing */
    q.voter_count = 3;
    assert_int_equal(reached(&q, "majority"), 140);
}

/* Figure 8 of the Raft paper: a record of an older epoch that lies on a majority can still be
 * overruled by a node that never saw it. Only a record of this epoch, stored there, settles it. */
static void copies_of_an_older_epoch_alone_count_for_nothing(void **state)
{
    (void)state;
    struct quorum q = three();
    q.is_voter = true;
    q.voter_count = 3;
    q.copies[0].is_voter = q.copies[1].is_voter = true;
    for (uint32_t i = 0; i < 3; i++)
        q.copies[i].stored = q.copies[i].applied = seqno_of(EPOCH_START - 1);
    assert_int_equal(reached(&q, "majority"), 0);
    assert_int_equal(reached(&q, "stored:1"), 0);
    assert_int_equal(reached(&q, "regions:2"), 0);
    assert_int_equal(quorum_committed(&q).v, 0);
    q.copies[0].stored = seqno_of(EPOCH_START);
    assert_int_equal(reached(&q, "majority"), EPOCH_START);
    assert_int_equal(reached(&q, "stored:1"), EPOCH_START);
    assert_int_equal(reached(&q, "stored:2"), 0);
    assert_int_equal(reached(&q, "applied:1"), 0);
}

static void unproved_poisoned_and_lost_copies_count_for_nothing(void **state)
{
    (void)state;
    struct quorum q = three();
    q.copies[0].is_vouched = false;
    assert_int_equal(reached(&q, "stored:1"), 140);
    q.copies[1].is_lost = true;
    assert_int_equal(reached(&q, "stored:1"), 130);
    assert_int_equal(reached(&q, "stored:2"), 0);
}

static void committed_is_what_would_survive(void **state)
{
    (void)state;
    struct quorum q = three();
    assert_int_equal(quorum_committed(&q).v, 130); /* no voters: every unlost follower */
    q.copies[2].is_lost = true;
    assert_int_equal(quorum_committed(&q).v, 140);
    q.copies[1].is_vouched = false; /* not heard of in this epoch: it may hold nothing */
    assert_int_equal(quorum_committed(&q).v, 0);
    q.count = 0;
    assert_int_equal(quorum_committed(&q).v, 200); /* no followers */
    q.is_catalogue_lost = true;
    assert_int_equal(quorum_committed(&q).v, 0); /* there may be some */
    q = three();
    q.is_voter = q.copies[0].is_voter = q.copies[1].is_voter = true;
    q.voter_count = 3;
    q.copies[2].is_vouched = false; /* no voter: it does not matter */
    q.is_catalogue_lost = true;
    assert_int_equal(quorum_committed(&q).v, 150);
    q.durable = seqno_of(EPOCH_START - 1);
    assert_int_equal(quorum_committed(&q).v, 0);
}

static void what_was_reached_instead_is_told(void **state)
{
    (void)state;
    struct quorum q = three();
    static const struct {
        const char *asked;
        uint64_t s;
        const char *told;
    } rows[] = {
        {"stored:3", 130, "stored:3"},   {"stored:3", 131, "stored:2"},
        {"stored:3", 150, "stored:1"},   {"stored:3", 151, "local"},
        {"applied:2", 135, "applied:2"}, {"applied:2", 136, "applied:1"},
        {"applied:2", 146, "stored:1"},  {"regions:2,3", 140, "stored:2"},
        {"majority", 140, "stored:2"},   {"local", 200, "local"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct level asked = level_of(rows[i].asked);
        struct level told = quorum_level_of(&q, seqno_of(rows[i].s), &asked);
        char text[LEVEL_TEXT_SIZE];
        (void)level_format(&told, text);
        assert_string_equal(text, rows[i].told);
    }
}

static void expect_sentence(const struct text *t, const char *says)
{
    if (strstr(t->data, says) == NULL) fail_msg("\"%s\" is not in \"%s\"", says, t->data);
}

static void what_cannot_be_reached_is_said_before_it_is_tried(void **state)
{
    (void)state;
    char room[256];
    struct quorum q = three();
    static const struct {
        const char *level;
        bool is_possible;
        bool is_expected;
        const char *says;
    } rows[] = {
        {"local", true, true, ""},
        {"stored:3", true, true, ""},
        {"stored:4", true, false, "needs 4 followers and 3 are connected"},
        {"applied:4", true, false, "level applied:4 needs 4 followers"},
        {"regions:1,2", true, true, ""},
        {"regions:1,9", false, false, "no follower in region 9"},
        {"majority", false, false, "MEMBER.ADD"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct level level = level_of(rows[i].level);
        struct text t = text_of(room, sizeof(room));
        assert_int_equal(quorum_is_possible(&q, &level, &t), rows[i].is_possible);
        if (rows[i].is_possible) {
            assert_int_equal(quorum_is_expected(&q, &level, &t), rows[i].is_expected);
        }
        expect_sentence(&t, rows[i].says);
    }
    struct level majority = level_of("majority");
    struct text t = text_of(room, sizeof(room));
    q.voter_count = 3;
    q.is_voter = q.copies[0].is_voter = q.copies[1].is_voter = true;
    q.copies[0].is_ready = q.copies[1].is_ready = false;
    assert_true(quorum_is_possible(&q, &majority, &t));
    assert_false(quorum_is_expected(&q, &majority, &t));
    expect_sentence(&t, "needs 2 of 3 voters and 1 are connected");
    q.copies[1].is_ready = true;
    assert_true(quorum_is_expected(&q, &majority, &t));
}

static void a_miss_says_who_has_it(void **state)
{
    (void)state;
    char room[256];
    struct quorum q = three();
    q.voter_count = 5;
    q.is_voter = q.copies[0].is_voter = true;
    static const struct {
        const char *level;
        const char *says;
    } rows[] = {
        {"stored:3", "1 of 3 followers stored it"},
        {"applied:2", "0 of 2 followers applied it"},
        {"majority", "2 of 5 voters stored it"},
        {"regions:1,3", "no node in region 3 stored it"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct level level = level_of(rows[i].level);
        struct text t = text_of(room, sizeof(room));
        quorum_explain(&q, seqno_of(150), &level, &t);
        expect_sentence(&t, rows[i].says);
    }
}

/* --- counting copies, record by record --- */

static bool holds(const struct quorum *q, const struct quorum_copy *c, uint64_t s, bool is_applied)
{
    if (!c->is_vouched || c->is_lost || c->stored.v < q->epoch_start.v) return false;
    return (is_applied ? c->applied.v : c->stored.v) >= s;
}

static bool has_level(const struct quorum *q, uint64_t s, const struct level *level)
{
    uint32_t stored = 0;
    uint32_t applied = 0;
    uint32_t voters = q->is_voter && q->durable.v >= s;
    bool has_region[8] = {false};
    if (q->durable.v < s) return false;
    has_region[q->region] = true;
    for (uint32_t i = 0; i < q->count; i++) {
        const struct quorum_copy *c = &q->copies[i];
        stored += holds(q, c, s, false);
        applied += holds(q, c, s, true);
        voters += c->is_voter && holds(q, c, s, false);
        if (holds(q, c, s, false)) has_region[c->region] = true;
    }
    switch ((enum level_kind)level->kind) {
    case LEVEL_DEFAULT:
    case LEVEL_LOCAL: return true;
    case LEVEL_STORED: return stored >= level->count;
    case LEVEL_APPLIED: return applied >= level->count;
    case LEVEL_MAJORITY: return q->voter_count > 0 && 2 * voters > q->voter_count;
    case LEVEL_REGIONS: break;
    }
    for (uint32_t i = 0; i < level->count; i++) {
        if (!has_region[level->regions[i]]) return false;
    }
    return true;
}

/* The highest record of this epoch with the level: with it goes everything before it. */
static uint64_t highest_with(const struct quorum *q, const struct level *level)
{
    if (level->kind == LEVEL_LOCAL) return q->durable.v;
    for (uint64_t s = q->durable.v; s >= q->epoch_start.v; s--) {
        if (has_level(q, s, level)) return s;
    }
    return 0;
}

static void watermarks_are_those_of_counting(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("quorum", 1));
    static const char *const levels[] = {"local",     "stored:1",  "stored:2",    "stored:5",
                                         "applied:1", "applied:3", "majority",    "regions:0",
                                         "regions:1", "regions:3", "regions:0,1", "regions:1,2,3"};
    for (int world = 0; world < 20000; world++) {
        struct quorum q = {.epoch_start = {1 + random_below(&r, 20)}};
        q.durable = seqno_of(q.epoch_start.v + random_below(&r, 20));
        q.region = (uint16_t)random_below(&r, 4);
        q.is_voter = random_below(&r, 2) == 0;
        q.count = (uint32_t)random_below(&r, 7);
        q.voter_count = q.is_voter;
        for (uint32_t i = 0; i < q.count; i++) {
            struct quorum_copy *c = &q.copies[i];
            c->stored = seqno_of(random_below(&r, q.durable.v + 1));
            c->applied = seqno_of(random_below(&r, c->stored.v + 1));
            c->region = (uint16_t)random_below(&r, 4);
            c->is_vouched = random_below(&r, 8) > 0;
            c->is_lost = random_below(&r, 8) == 0;
            c->is_voter = random_below(&r, 2) == 0;
            q.voter_count += c->is_voter;
        }
        q.voter_count += (uint32_t)random_below(&r, 2); /* one without a slot */
        for (size_t i = 0; i < COUNT_OF(levels); i++) {
            struct level level = level_of(levels[i]);
            assert_int_equal(quorum_reached(&q, &level).v, highest_with(&q, &level));
        }
        struct level majority = level_of("majority");
        if (q.voter_count > 0) {
            assert_int_equal(quorum_committed(&q).v, highest_with(&q, &majority));
            continue;
        }
        uint64_t committed = q.durable.v;
        for (uint32_t i = 0; i < q.count; i++) {
            if (q.copies[i].is_lost) continue;
            while (committed > 0 && !holds(&q, &q.copies[i], committed, false))
                committed--;
        }
        if (committed < q.epoch_start.v) committed = 0;
        assert_int_equal(quorum_committed(&q).v, committed);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_level_has_its_watermark),
        cmocka_unit_test(a_majority_is_of_all_voters_the_leader_included),
        cmocka_unit_test(copies_of_an_older_epoch_alone_count_for_nothing),
        cmocka_unit_test(unproved_poisoned_and_lost_copies_count_for_nothing),
        cmocka_unit_test(committed_is_what_would_survive),
        cmocka_unit_test(what_was_reached_instead_is_told),
        cmocka_unit_test(what_cannot_be_reached_is_said_before_it_is_tried),
        cmocka_unit_test(a_miss_says_who_has_it),
        cmocka_unit_test(watermarks_are_those_of_counting),
    };
    return cmocka_run_group_tests_name("core/quorum", tests, NULL, NULL);
}
