/* Tests of engine/divergence and engine/mark_blocks: one bit of a node's memory flips. It is caught
 * at the next mark, the block is named, the node vouches for nothing until it has repaired itself:
 * from an older checkpoint and the log, or by a copy of the leader's state. Two running nodes; the
 * bit is flipped on the follower's own loop, by reaching into its state. */
#include "engine/divergence.h"

#include "core/state/inside.h"
#include "engine/receiver.h"
#include "support/thread_nodes.h"

static int setup(void **state)
{
    struct thread_pair *p = thread_pair_new();
    thread_pair_open(p);
    *state = p;
    return 0;
}

static int teardown(void **state)
{
    thread_pair_free(*state);
    return 0;
}

static void write_items(struct thread_pair *p, const char *name, uint32_t count)
{
    char item[32];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(item, sizeof(item), "%s-%u", name, i);
        (void)node_signal(p->leader, "view", item);
    }
    WAIT_UNTIL(thread_pair_is_level(p));
}

static uint64_t checked_of(tide_db *db)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    uint64_t checked = tide_run_result(run, 0)->as.status->digests_checked;
    tide_run_free(run);
    return checked;
}

/* A mark and its digest on both sides. */
static void mark(struct thread_pair *p)
{
    struct tide_position at = {0};
    uint64_t before = checked_of(p->follower);
    assert_int_equal(tide_checkpoint(p->leader, &at, NULL), TIDE_OK);
    WAIT_UNTIL(checked_of(p->follower) > before);
}

static bool state_is(tide_db *db, const char *word)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    bool is = strcmp(tide_run_result(run, 0)->as.status->state, word) == 0;
    tide_run_free(run);
    return is;
}

/* Events of this kind whose text has these words. */
static uint32_t events_with(tide_db *db, const char *kind, const char *words)
{
    uint32_t count = 0;
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    const struct tide_status *s = tide_run_result(run, 0)->as.status;
    for (uint32_t i = 0; i < s->event_count; i++) {
        const struct tide_event *event = &s->events[i];
        count += strcmp(event->kind, kind) == 0 && strstr(event->text, words) != NULL;
    }
    tide_run_free(run);
    return count;
}

/* One bit of the first block of counts of "view". */
static void flip_a_count(struct db *db, void *arg)
{
    (void)arg;
    const struct signal_type *view = state_type_by_name(db->state, slice_of_text("view"));
    struct block *block = block_list_get(&db->state->columns.types[view->id].counts, 0);
    if (block == NULL) return;
    block->payload[8 + 4 * 3] ^= 1; /* of the fourth item */
}

static void flip(tide_db *db)
{
    thread_node_call(db, flip_a_count, NULL);
}

static void check_is_sound(struct thread_pair *p)
{
    write_items(p, "item", 20);
    mark(p);
    WAIT_UNTIL(state_is(p->follower, "serving"));
    thread_pair_check_digests(p);
    assert_int_equal(node_count(p->follower, "view", "item-3"),
                     node_count(p->leader, "view", "item-3"));
}

/* Nobody writes to the block: its memory is looked at again. */
static void a_flipped_bit_of_a_quiet_block_is_found_and_named(void **state)
{
    struct thread_pair *p = *state;
    write_items(p, "item", 20);
    mark(p);
    assert_int_equal(events_with(p->follower, "divergence", ""), 0);
    flip(p->follower);
    write_items(p, "item", 0);
    struct tide_position at = {0};
    assert_int_equal(tide_checkpoint(p->leader, &at, NULL), TIDE_OK);
    WAIT_UNTIL(events_with(p->follower, "divergence", "block count ") > 0);
    WAIT_UNTIL(events_with(p->follower, "repair", "are forgotten") > 0);
    WAIT_UNTIL(thread_pair_is_level(p));
    check_is_sound(p);
    assert_int_equal(events_with(p->follower, "repair", "is the leader's again"), 1);
}

/* Others write to the block: its root says so, and the leader's blocks say which. */
static void a_flipped_bit_of_a_busy_block_is_found_and_named(void **state)
{
    struct thread_pair *p = *state;
    write_items(p, "item", 20);
    mark(p);
    flip(p->follower);
    write_items(p, "item", 3);
    struct tide_position at = {0};
    assert_int_equal(tide_checkpoint(p->leader, &at, NULL), TIDE_OK);
    WAIT_UNTIL(events_with(p->follower, "divergence", "block count ") > 0);
    WAIT_UNTIL(thread_pair_is_level(p));
    check_is_sound(p);
    assert_int_equal(events_with(p->follower, "repair", "is the leader's again"), 1);
}

static bool is_counted(struct thread_pair *p)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_wait(run, 0, 1, 50), 0);
    assert_int_equal(tide_execute(p->leader, run), TIDE_OK);
    bool is = tide_run_result(run, 0)->as.integer == 1;
    tide_run_free(run);
    return is;
}

static void pretend_to_have_tried(struct db *db, void *arg)
{
    db->divergence.attempts = *(const uint32_t *)arg;
}

/* After three times it stays as it is: reads are refused, and its copies count for nothing. */
static void a_node_that_differs_again_and_again_vouches_for_nothing(void **state)
{
    struct thread_pair *p = *state;
    uint32_t attempts = 2;
    write_items(p, "item", 20);
    mark(p);
    assert_true(is_counted(p));
    thread_node_call(p->follower, pretend_to_have_tried, &attempts);
    flip(p->follower);
    struct tide_position at = {0};
    assert_int_equal(tide_checkpoint(p->leader, &at, NULL), TIDE_OK);
    WAIT_UNTIL(events_with(p->follower, "divergence", "this is no accident") > 0);
    assert_true(state_is(p->follower, "diverged"));
    uint64_t count = 0;
    struct tide_err e = {0};
    assert_int_equal(
        tide_count(p->follower, bytes_of("view"), bytes_of("item-3"), bytes_of("all"), &count, &e),
        TIDE_DIVERGED);
    assert_non_null(strstr(e.message, "ask another node"));
    (void)node_signal(p->leader, "view", "item-1");
    WAIT_UNTIL(!is_counted(p));
}

/* "N of M bytes came over the link", as the event says. */
static void moved_bytes(tide_db *db, uint64_t *out_moved, uint64_t *out_total)
{
    unsigned long long moved = 0;
    unsigned long long total = 0;
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    const struct tide_status *s = tide_run_result(run, 0)->as.status;
    for (uint32_t i = 0; i < s->event_count; i++) {
        const char *at = strstr(s->events[i].text, "is whole: ");
        if (at != NULL) assert_int_equal(sscanf(at, "is whole: %llu of %llu", &moved, &total), 2);
    }
    tide_run_free(run);
    *out_moved = moved;
    *out_total = total;
}

/* The second time it does not trust its own files: it copies the leader's state. What it holds
 * already does not move. */
static void the_second_time_the_state_is_copied(void **state)
{
    struct thread_pair *p = *state;
    uint32_t attempts = 1;
    write_items(p, "item", 20);
    mark(p);
    struct tide_position at_first = {0};
    WAIT_UNTIL(tide_checkpoint(p->follower, &at_first, NULL) == TIDE_OK);
    thread_node_call(p->follower, pretend_to_have_tried, &attempts);
    flip(p->follower);
    struct tide_position at = {0};
    assert_int_equal(tide_checkpoint(p->leader, &at, NULL), TIDE_OK);
    WAIT_UNTIL(events_with(p->follower, "bootstrap", "is whole") > 0);
    uint64_t moved = 0;
    uint64_t total = 0;
    moved_bytes(p->follower, &moved, &total);
    assert_true(total > 0 && moved < total / 2); /* 0: both checkpoints were of one mark */
    WAIT_UNTIL(thread_pair_is_level(p));
    check_is_sound(p);
}

/* What a leader says is taken for the truth: it stops instead. */
static void a_leader_whose_memory_rots_halts(void **state)
{
    struct thread_pair *p = *state;
    write_items(p, "item", 20);
    mark(p);
    flip(p->leader);
    struct tide_position at = {0};
    (void)tide_checkpoint(p->leader, &at, NULL); /* it may still be answered */
    WAIT_UNTIL(state_is(p->leader, "halted"));
    assert_int_equal(events_with(p->leader, "halted", "block count "), 1);
    assert_true(state_is(p->follower, "serving") || state_is(p->follower, "syncing"));
}

/* --- mark_blocks --- */

static void the_first_difference_is_found(void **state)
{
    (void)state;
    struct block_entry mine[3] = {{{BLOCK_META, 0}, 10, {{1}}},
                                  {{BLOCK_COLUMN, 5}, 20, {{2}}},
                                  {{BLOCK_COUNT, 5}, 30, {{3}}}};
    struct block_entry theirs[3];
    struct mark_blocks a = {.blocks = mine, .count = 3};
    struct manifest b = {.blocks = theirs, .block_count = 3};
    struct block_id id;
    memcpy(theirs, mine, sizeof(mine));
    assert_false(mark_blocks_differ(&a, &b, &id));
    theirs[1].hash.bytes[31] ^= 1;
    assert_true(mark_blocks_differ(&a, &b, &id));
    assert_int_equal(id.kind, BLOCK_COLUMN);
    theirs[1] = mine[2]; /* they lack one */
    b.block_count = 2;
    assert_true(mark_blocks_differ(&a, &b, &id));
    assert_int_equal(id.kind, BLOCK_COLUMN);
    memcpy(theirs, mine, sizeof(mine));
    assert_true(mark_blocks_differ(&a, &b, &id)); /* at the end */
    assert_int_equal(id.kind, BLOCK_COUNT);
    a.count = 1;
    assert_true(mark_blocks_differ(&a, &b, &id)); /* here */
    assert_int_equal(id.kind, BLOCK_COLUMN);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_flipped_bit_of_a_quiet_block_is_found_and_named),
        TEST(a_flipped_bit_of_a_busy_block_is_found_and_named),
        TEST(a_node_that_differs_again_and_again_vouches_for_nothing),
        TEST(the_second_time_the_state_is_copied),
        TEST(a_leader_whose_memory_rots_halts),
        cmocka_unit_test(the_first_difference_is_found),
    };
    return cmocka_run_group_tests_name("engine/divergence", tests, NULL, NULL);
}
