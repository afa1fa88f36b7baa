/* checkpoint: marks, their digests, and the files cut at them, on a node that is run in steps. */
#include "engine/checkpoint.h"

#include "base/random.h"
#include "base/text.h"
#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("checkpoint");
    f->options.mark_interval_ms = 1000;
    open_node(f);
    *state = f;
    return 0;
}

static void write_some(struct fixture *f, uint32_t from, uint32_t count)
{
    char item[32];
    for (uint32_t i = from; i < from + count; i++) {
        struct text t = text_of(item, sizeof(item));
        text_add(&t, "item-%u", i);
        assert_int_equal(steps_node_signal(&f->n, item), TIDE_OK);
    }
}

static const struct tide_result *checkpoint(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static const struct tide_result *digest_at(struct fixture *f, uint64_t at)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_digest(f->run, at), 0);
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0);
}

static struct checkpointer_status status(const struct fixture *f)
{
    struct checkpointer_status s;
    checkpointer_status(f->n.db->checkpointer, &s);
    return s;
}

static size_t files_ending(const struct fixture *f, const char *ending)
{
    struct file_names names;
    files_list(f->dir, "state", ending, &names);
    return names.count;
}

/* --- marks and digests --- */

static void activity_is_marked_at_intervals_and_idleness_is_not(void **state)
{
    struct fixture *f = *state;
    steps_advance(f->n.env, 5 * NS_PER_S);
    uint64_t before = log_durable(f->n.db->log).seqno.v;
    write_some(f, 0, 3);
    assert_int_equal(status(f).digest_mark.v, 0);
    steps_advance(f->n.env, NS_PER_S);
    assert_int_equal(status(f).digest_mark.v, before + 4);
    assert_int_equal(log_durable(f->n.db->log).seqno.v, before + 5); /* mark, its digest */
    steps_advance(f->n.env, 60 * NS_PER_S);
    assert_int_equal(log_durable(f->n.db->log).seqno.v, before + 5);
    write_some(f, 0, 1);
    steps_advance(f->n.env, 2 * NS_PER_S);
    assert_int_equal(status(f).digest_mark.v, before + 7);
}

static enum tide_code configure(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_configure(f->run, &f->options), 0);
    steps_node_execute(&f->n, f->run);
    return tide_run_result(f->run, 0)->code;
}

/* Also while the old interval runs: the next mark comes after the new one. */
static void the_interval_of_marks_may_change_while_the_node_runs(void **state)
{
    struct fixture *f = *state;
    f->options.mark_interval_ms = 3600 * 1000;
    assert_int_equal(configure(f), TIDE_OK);
    write_some(f, 0, 3);
    steps_advance(f->n.env, 60 * NS_PER_S);
    assert_int_equal(status(f).digest_mark.v, 0);
    f->options.mark_interval_ms = 2000;
    assert_int_equal(configure(f), TIDE_OK);
    steps_advance(f->n.env, 2 * NS_PER_S);
    uint64_t mark = status(f).digest_mark.v;
    assert_int_not_equal(mark, 0);
    f->options.mark_interval_ms = UINT64_MAX; /* off */
    assert_int_equal(configure(f), TIDE_OK);
    write_some(f, 0, 3);
    steps_advance(f->n.env, 3600 * NS_PER_S);
    assert_int_equal(status(f).digest_mark.v, mark);
    f->options.mark_interval_ms = 1000;
    f->options.clock_skew_max_ms = UINT64_MAX; /* out of bounds: nothing changes */
    assert_int_equal(configure(f), TIDE_INVALID);
    steps_advance(f->n.env, 3600 * NS_PER_S);
    assert_int_equal(status(f).digest_mark.v, mark);
}

static void the_digest_of_a_mark_is_that_of_its_moment(void **state)
{
    struct fixture *f = *state;
    write_some(f, 0, 10);
    uint64_t mark = checkpoint(f)->as.position.seqno;
    const struct tide_result *r = digest_at(f, mark);
    assert_int_equal(r->code, TIDE_OK);
    assert_int_equal(r->as.digest.seqno, mark);
    struct tide_digest at_mark = r->as.digest;
    write_some(f, 0, 10);
    r = digest_at(f, 0);
    assert_int_equal(r->as.digest.seqno, log_durable(f->n.db->log).seqno.v);
    assert_memory_not_equal(r->as.digest.root, at_mark.root, sizeof(at_mark.root));
    assert_memory_equal(digest_at(f, mark)->as.digest.root, at_mark.root, sizeof(at_mark.root));
    assert_int_equal(digest_at(f, mark + 1)->code, TIDE_NOTFOUND);
    assert_int_equal(digest_at(f, UINT64_MAX)->code, TIDE_NOTFOUND);
}

/* Marks may come faster than they can be hashed. Those passed over have no digest, and say so
 * rather than "try again" for ever. */
static void a_mark_that_was_passed_over_has_no_digest(void **state)
{
    struct fixture *f = *state;
    write_some(f, 0, 1);
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    uint64_t marks[4];
    for (size_t i = 0; i < COUNT_OF(marks); i++) {
        write_some(f, (uint32_t)i, 1);
        steps_advance(f->n.env, 2 * NS_PER_S);
        marks[i] = log_durable(f->n.db->log).seqno.v;
    }
    assert_int_equal(digest_at(f, marks[0])->code, TIDE_BUSY); /* being computed */
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    steps_run(f->n.env);
    assert_int_equal(digest_at(f, marks[0])->code, TIDE_OK);
    assert_int_equal(digest_at(f, marks[1])->code, TIDE_NOTFOUND);
    assert_int_equal(digest_at(f, marks[2])->code, TIDE_NOTFOUND);
    assert_int_equal(digest_at(f, marks[3])->code, TIDE_OK);
}

static void only_recent_marks_are_remembered(void **state)
{
    struct fixture *f = *state;
    uint64_t first = 0;
    uint64_t newest = 0;
    for (uint32_t i = 0; i < 70; i++) {
        write_some(f, i, 1);
        steps_advance(f->n.env, 2 * NS_PER_S);
        newest = status(f).digest_mark.v;
        if (i == 0) first = newest;
    }
    assert_int_equal(digest_at(f, first)->code, TIDE_NOTFOUND);
    assert_int_equal(digest_at(f, newest)->code, TIDE_OK);
}

/* A checkpoint and the log after it give the same state as the whole log, bit for bit. */
static void a_checkpoint_gives_the_state_that_the_whole_log_gives(void **state)
{
    struct fixture *f = *state;
    write_some(f, 0, 300);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    write_some(f, 200, 300);
    steps_node_abandon(&f->n);
    char *other = tm_dir_make_fast("checkpoint-none");
    files_copy(f->dir, other);
    struct file_names names;
    files_list(other, "state", ".manifest", &names);
    for (size_t i = 0; i < names.count; i++)
        file_remove(other, names.names[i]);
    open_node(f); /* both begin an epoch of the same bits: time and chance are the same */
    assert_true(f->n.db->report.checkpoint_seqno > 0);
    struct tide_digest from_checkpoint = digest_at(f, 0)->as.digest;
    steps_node_abandon(&f->n);
    f->options.dir = other;
    open_node(f);
    f->options.dir = f->dir;
    assert_int_equal(f->n.db->report.checkpoint_seqno, 0);
    struct tide_digest from_log = digest_at(f, 0)->as.digest;
    assert_memory_equal(&from_checkpoint, &from_log, sizeof(from_log));
    tm_dir_remove(other);
}

/* --- files --- */

static void two_manifests_are_kept_and_packs_they_do_not_name_are_removed(void **state)
{
    struct fixture *f = *state;
    for (uint32_t i = 0; i < 6; i++) {
        write_some(f, 0, 20);
        const struct tide_result *r = checkpoint(f);
        assert_int_equal(r->code, TIDE_OK);
        assert_int_equal(status(f).checkpoint_seqno.v, r->as.position.seqno);
        assert_int_equal(files_ending(f, ".manifest"), i == 0 ? 1 : 2);
        assert_true(files_ending(f, ".pack") <= 3);
    }
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(steps_node_count(&f->n, "item-3"), 6);
    assert_int_equal(f->n.db->report.records_replayed, 1); /* the last mark's digest */
}

/* Only what changed is written again: most of a large state is named where it lies. */
static void blocks_that_did_not_change_are_named_again(void **state)
{
    struct fixture *f = *state;
    tide_run_reset(f->run);
    char(*items)[16] = calloc(20000, sizeof(*items));
    for (uint32_t i = 0; i < 20000; i++) {
        struct text t = text_of(items[i], sizeof(items[i]));
        text_add(&t, "it-%u", i);
        struct tide_signal s = {.type = bytes_of("view"), .item = bytes_of(items[i])};
        assert_true(tide_run_signal(f->run, &s, NULL) >= 0);
    }
    steps_node_execute(&f->n, f->run);
    free(items);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    assert_int_equal(steps_node_signal(&f->n, "it-5"), TIDE_OK);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    struct file_names packs;
    files_list(f->dir, "state", ".pack", &packs);
    assert_int_equal(packs.count, 2);
    size_t sizes[2];
    for (size_t i = 0; i < 2; i++)
        free(file_read(f->dir, packs.names[i], &sizes[i]));
    assert_true(sizes[1] * 2 < sizes[0]);
    steps_node_abandon(&f->n);
    open_node(f);
    assert_int_equal(steps_node_count(&f->n, "it-5"), 2);
    assert_int_equal(steps_node_count(&f->n, "it-19999"), 1);
}

/* A pack that ends inside its header is damage, wherever it ends, and no file of another version:
 * the log, which is all there, gives the state. */
static void a_pack_cut_inside_its_header_is_done_without(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "it-5"), TIDE_OK);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    steps_node_abandon(&f->n);
    struct file_names packs;
    files_list(f->dir, "state", ".pack", &packs);
    for (uint64_t size = 10; size > 6; size--) {
        for (size_t i = 0; i < packs.count; i++)
            file_cut(f->dir, packs.names[i], size);
        open_node(f);
        assert_int_equal(steps_node_count(&f->n, "it-5"), 1);
        steps_node_abandon(&f->n);
    }
    open_node(f);
}

/* Goal: a flipped bit that reads as a newer format or another cluster is damage like any other. */
static void a_pack_whose_header_lies_is_done_without(void **state)
{
    static const size_t offsets[] = {0, 8, 9, 16, 40};
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "it-5"), TIDE_OK);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    steps_node_abandon(&f->n);
    struct file_names packs;
    files_list(f->dir, "state", ".pack", &packs);
    assert_true(packs.count > 0);
    for (size_t k = 0; k < COUNT_OF(offsets); k++) {
        for (size_t i = 0; i < packs.count; i++)
            file_flip(f->dir, packs.names[i], offsets[k], 1);
        open_node(f);
        assert_int_equal(steps_node_count(&f->n, "it-5"), 1);
        steps_node_abandon(&f->n);
        for (size_t i = 0; i < packs.count; i++)
            file_flip(f->dir, packs.names[i], offsets[k], 1);
    }
    open_node(f);
}

/* --- room on disk --- */

static uint64_t bytes_ending(const struct fixture *f, const char *ending)
{
    struct file_names names;
    files_list(f->dir, "state", ending, &names);
    uint64_t bytes = 0;
    for (size_t i = 0; i < names.count; i++) {
        size_t size;
        free(file_read(f->dir, names.names[i], &size));
        bytes += size;
    }
    return bytes;
}

/* Signals to items [from, from + count), one record of up to 1,000 each. */
static void signal_range(struct fixture *f, uint32_t from, uint32_t count)
{
    static char keys[1000][16];
    static struct tide_signal signals[1000];
    for (uint32_t done = 0; done < count;) {
        uint32_t n = 0;
        for (; n < 1000 && done < count; n++, done++) {
            struct text t = text_of(keys[n], sizeof(keys[n]));
            text_add(&t, "it-%u", from + done);
            signals[n] = (struct tide_signal){.type = bytes_of("view"), .item = bytes_of(keys[n])};
        }
        tide_run_reset(f->run);
        assert_int_equal(tide_run_signals(f->run, signals, n, NULL), 0);
        steps_node_execute(&f->n, f->run);
        assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    }
}

/* However blocks change, few or many of them at a time: the packs that are kept hold a bounded
 * multiple of what is live, they stay few, and what they hold is the state. */
static void packs_do_not_grow_without_bound(void **state)
{
    struct fixture *f = *state;
    enum { ITEMS = 60000, ROUNDS = 90 };
    signal_range(f, 0, ITEMS);
    struct random random;
    random_init(&random, tm_seed("packs", 1));
    uint64_t most = 0;
    for (uint32_t i = 0; i < ROUNDS; i++) {
        uint32_t count = 1 + (uint32_t)random_below(&random, i % 3 == 0 ? 9000 : 40);
        signal_range(f, (uint32_t)random_below(&random, ITEMS - count), count);
        assert_int_equal(checkpoint(f)->code, TIDE_OK);
        uint64_t live = status(f).checkpoint_bytes;
        uint64_t held = bytes_ending(f, ".pack");
        if (held * 100 / live > most) most = held * 100 / live;
        assert_true(files_ending(f, ".pack") <= 32 + 3);
        assert_int_equal(files_ending(f, ".manifest"), i == 0 ? 1 : 2);
    }
    print_message("packs held at most %llu %% of what was live\n", (unsigned long long)most);
    assert_true(most <= 300); /* two manifests, each of packs at least half live */
    static uint64_t counts[ITEMS];
    const struct signal_type *view = state_type_by_name(f->n.db->state, slice_of_text("view"));
    uint32_t id = view->id;
    for (uint32_t i = 0; i < ITEMS; i++) {
        counts[i] = state_count_all(f->n.db->state, id, i);
    }
    steps_node_abandon(&f->n);
    open_node(f);
    assert_true(f->n.db->report.records_replayed < 5);
    for (uint32_t i = 0; i < ITEMS; i++) {
        assert_int_equal(state_count_all(f->n.db->state, id, i), counts[i]);
    }
}

/* Writing is cut into steps, and the disk is left alone in between for as long as a step took. */
static void a_large_checkpoint_is_written_in_steps(void **state)
{
    struct fixture *f = *state;
    signal_range(f, 0, 120000);
    steps_hold(f->n.env, LANE_BACKGROUND, true);
    bool is_done = false;
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    uint32_t steps = 0;
    while (!is_done) {
        assert_true(steps_jobs_waiting(f->n.env, LANE_BACKGROUND) > 0);
        uint64_t before = bytes_ending(f, ".pack");
        steps_hold(f->n.env, LANE_BACKGROUND, false);
        assert_true(steps_run_one(f->n.env));
        steps_hold(f->n.env, LANE_BACKGROUND, true);
        uint64_t grown = bytes_ending(f, ".pack") - before;
        assert_true(grown <= 2 * MIB);
        steps++;
        steps_run(f->n.env); /* what commits meanwhile goes its way */
    }
    steps_hold(f->n.env, LANE_BACKGROUND, false);
    assert_true(steps >= 4);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
}

static void a_checkpoint_is_cut_after_its_interval_when_clients_wrote(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.checkpoint_interval_ms = 10000;
    open_node(f);
    steps_advance(f->n.env, 60 * NS_PER_S);
    assert_int_equal(status(f).checkpoint_seqno.v, 0); /* nobody wrote */
    write_some(f, 0, 1);
    steps_advance(f->n.env, 2 * NS_PER_S);
    uint64_t first = status(f).checkpoint_seqno.v;
    assert_true(first > 0);
    steps_advance(f->n.env, 60 * NS_PER_S);
    assert_int_equal(status(f).checkpoint_seqno.v, first);
    write_some(f, 1, 1);
    steps_advance(f->n.env, 2 * NS_PER_S);
    assert_true(status(f).checkpoint_seqno.v > first);
}

/* Log that was replayed at open counts: a node that is restarted often must not replay more and
 * more. */
static void log_from_before_the_start_counts_towards_the_next_checkpoint(void **state)
{
    struct fixture *f = *state;
    steps_node_close(&f->n);
    f->options.checkpoint_log_bytes = 64 * KIB;
    for (uint32_t life = 0; life < 8; life++) {
        open_node(f);
        write_some(f, life * 100, 100); /* some 26 KB of log */
        steps_advance(f->n.env, 2 * NS_PER_S);
        steps_node_abandon(&f->n);
    }
    open_node(f);
    assert_true(f->n.db->report.checkpoint_seqno > 0);
    assert_true(f->n.db->report.records_replayed < 500);
}

static void checkpoints_that_fail_are_told_and_harm_nothing(void **state)
{
    struct fixture *f = *state;
    write_some(f, 0, 50);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    uint64_t good = status(f).checkpoint_seqno.v;
    for (uint64_t nth = 1; nth < 60; nth++) {
        write_some(f, 0, 1);
        steps_hold(f->n.env, LANE_BACKGROUND, true);
        bool is_done;
        tide_run_reset(f->run);
        assert_int_equal(tide_run_checkpoint(f->run), 0);
        steps_node_submit(&f->n, f->run, &is_done);
        steps_run(f->n.env); /* the mark is written; its files are next */
        struct steps_fault fault = {.nth = nth,
                                    .code = E_DISKFULL,
                                    .is_for_ever = true,
                                    .writes_only = true,
                                    .tears = true};
        steps_fail(f->n.env, &fault);
        steps_hold(f->n.env, LANE_BACKGROUND, false);
        assert_true(steps_run_one(f->n.env)); /* that job alone */
        bool has_failed = steps_has_failed(f->n.env);
        steps_fail(f->n.env, NULL);
        steps_run(f->n.env);
        assert_true(is_done);
        enum tide_code code = tide_run_result(f->run, 0)->code;
        assert_true(code == TIDE_OK || code == TIDE_DISKFULL);
        assert_int_equal(f->n.db->condition, DB_SERVING);
        if (code == TIDE_OK) good = tide_run_result(f->run, 0)->as.position.seqno;
        assert_int_equal(status(f).checkpoint_seqno.v, good);
        if (!has_failed) break;
    }
    assert_true(status(f).failures > 0);
    steps_node_abandon(&f->n);
    open_node(f);
    assert_true(f->n.db->report.checkpoint_seqno >= good);
    assert_true(steps_node_count(&f->n, "item-0") > 1);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    assert_int_equal(files_ending(f, ".manifest"), 2);
    assert_int_equal(files_ending(f, ".tmp"), 0);
}

/* Several at once: each is answered by a checkpoint cut after it was asked for. */
static void checkpoints_asked_for_at_once_are_all_answered(void **state)
{
    struct fixture *f = *state;
    enum { COUNT = 5 };
    tide_run *runs[COUNT];
    bool is_done[COUNT];
    write_some(f, 0, 5);
    uint64_t before = log_durable(f->n.db->log).seqno.v;
    for (size_t i = 0; i < COUNT; i++) {
        runs[i] = tide_run_new();
        assert_int_equal(tide_run_checkpoint(runs[i]), 0);
        steps_node_submit(&f->n, runs[i], &is_done[i]);
    }
    steps_run(f->n.env);
    for (size_t i = 0; i < COUNT; i++) {
        assert_true(is_done[i]);
        assert_int_equal(tide_run_result(runs[i], 0)->code, TIDE_OK);
        assert_true(tide_run_result(runs[i], 0)->as.position.seqno > before);
        tide_run_free(runs[i]);
    }
}

static void a_pack_left_by_a_crash_is_overwritten(void **state)
{
    struct fixture *f = *state;
    write_some(f, 0, 5);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    steps_node_abandon(&f->n);
    file_write(f->dir, "state/0000000000000063.pack", "rest of a crash", 15);
    open_node(f);
    write_some(f, 0, 5);
    assert_int_equal(checkpoint(f)->code, TIDE_OK);
    assert_false(file_exists(f->dir, "state/0000000000000063.pack"));
    assert_true(file_exists(f->dir, "state/0000000000000064.pack"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(activity_is_marked_at_intervals_and_idleness_is_not),
        TEST(the_interval_of_marks_may_change_while_the_node_runs),
        TEST(the_digest_of_a_mark_is_that_of_its_moment),
        TEST(a_mark_that_was_passed_over_has_no_digest),
        TEST(only_recent_marks_are_remembered),
        TEST(a_checkpoint_gives_the_state_that_the_whole_log_gives),
        TEST(two_manifests_are_kept_and_packs_they_do_not_name_are_removed),
        TEST(blocks_that_did_not_change_are_named_again),
        TEST(a_pack_cut_inside_its_header_is_done_without),
        TEST(a_pack_whose_header_lies_is_done_without),
        TEST(packs_do_not_grow_without_bound),
        TEST(a_large_checkpoint_is_written_in_steps),
        TEST(a_checkpoint_is_cut_after_its_interval_when_clients_wrote),
        TEST(log_from_before_the_start_counts_towards_the_next_checkpoint),
        TEST(checkpoints_that_fail_are_told_and_harm_nothing),
        TEST(checkpoints_asked_for_at_once_are_all_answered),
        TEST(a_pack_left_by_a_crash_is_overwritten),
    };
    return cmocka_run_group_tests_name("engine/checkpoint", tests, NULL, NULL);
}
