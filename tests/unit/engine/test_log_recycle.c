/* Tests of engine/log_recycle: files of pruned segments come back full of old valid batches. A
 * crash in any of their writes leaves old sectors between new ones; recovery sees the right end,
 * calls a torn write torn, and an acknowledged record that is gone rotten, exactly as in files of
 * zeros. */
#include "engine/log_internal.h"

#include "base/random.h"
#include "format/stale.h"
#include "support/node.h"
#include "support/steps_env.h"
#include "support/tm_test.h"

static char *base;             /* killed right after a group was written into a recycled file */
static char *dir;              /* of the test at hand: a copy */
static char segment_name_[96]; /* that file, "log/..." */
static uint8_t *old_bytes;     /* what it held when it was a spare */
static size_t old_size;
static uint8_t *mark_before; /* before the last group */
static size_t mark_size;
static uint64_t end_before; /* of the last group in the file */
static uint64_t end_last;
static uint64_t count_before;
static uint64_t count_last;

static struct tide_options options_for(const char *where)
{
    struct tide_options options = node_options(where);
    options.segment_size = 64 * KIB;
    options.retain_segments = 1;
    return options;
}

/* No two sectors alike: one that equals the old one is taken for it. */
static void write_signals(struct node *n, uint32_t count)
{
    static struct random random;
    static bool is_seeded;
    if (!is_seeded) random_init(&random, 5);
    is_seeded = true;
    tide_run *run = tide_run_new();
    for (uint32_t i = 0; i < count; i++) {
        struct tide_signal signal = {
            .type = bytes_of("view"),
            .item = bytes_of("a"),
            .weight = (double)(random_next(&random) >> 20) + 0.5,
            .weight_is_set = true,
        };
        (void)tide_run_signal(run, &signal, NULL);
    }
    steps_node_execute(n, run);
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(tide_run_result(run, i)->code, TIDE_OK);
    tide_run_free(run);
}

static void checkpoint(struct node *n)
{
    tide_run *run = tide_run_new();
    (void)tide_run_checkpoint(run);
    steps_node_execute(n, run);
    tide_run_free(run);
    steps_run(n->env);
}

static const struct log_segment *active_of(const struct log *log)
{
    return &log->segments[log->segment_count - 1];
}

static int make_base(void **state)
{
    (void)state;
    base = tm_dir_make_fast("recycle-base");
    dir = tm_dir_make_fast("recycle");
    struct tide_options options = options_for(base);
    struct node n;
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) fail_msg("open: %s", e.text);
    const struct log *log = n.db->log;
    for (uint32_t i = 0; log->recycled_count == 0; i++) {
        assert_true(i < 100);
        for (uint32_t k = 0; k < 10; k++)
            write_signals(&n, 800);
        checkpoint(&n);
    }
    uint64_t file_id = log->recycled[0];
    char path[LOG_PATH_SIZE];
    log_path(file_id, path);
    memcpy(segment_name_, path, sizeof(path));
    old_bytes = file_read(base, path, &old_size);
    while (active_of(log)->file_id != file_id)
        write_signals(&n, 300);
    assert_true(log->is_active_recycled);
    write_signals(&n, 100);
    end_before = active_of(log)->data_end;
    count_before = steps_node_count(&n, "a");
    mark_before = file_read(base, "mark", &mark_size);
    write_signals(&n, 400); /* several sectors, one batch */
    end_last = active_of(log)->data_end;
    assert_true(end_last > end_before + 4 * STALE_SECTOR_SIZE);
    count_last = steps_node_count(&n, "a");
    steps_node_abandon(&n);
    return 0;
}

static int remove_base(void **state)
{
    (void)state;
    tm_dir_remove(base);
    tm_dir_remove(dir);
    free(old_bytes);
    free(mark_before);
    return 0;
}

/* Give this sector of the last group the bytes from before it. */
static void take_back(uint64_t sector)
{
    uint64_t offset = sector * STALE_SECTOR_SIZE;
    if (offset < end_before) {
        file_zero(dir, segment_name_, end_before,
                  (size_t)(offset + STALE_SECTOR_SIZE - end_before));
        return;
    }
    size_t size;
    uint8_t *bytes = file_read(dir, segment_name_, &size);
    memcpy(bytes + offset, old_bytes + offset, STALE_SECTOR_SIZE);
    file_write(dir, segment_name_, bytes, size);
    free(bytes);
}

static void assert_opens(uint64_t count, const char *what, uint64_t sector)
{
    struct tide_options options = options_for(dir);
    struct node n;
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) {
        fail_msg("%s, sector %u: %s", what, (unsigned)sector, e.text);
    }
    uint64_t got = steps_node_count(&n, "a");
    if (got != count) fail_msg("%s, sector %u: %u", what, (unsigned)sector, (unsigned)got);
    steps_node_close(&n);
}

static void assert_refused(const char *what, uint64_t sector)
{
    struct tide_options options = options_for(dir);
    struct node n;
    struct err e = {.code = OK};
    enum code code = steps_node_open(&n, &options, &e);
    if (code != E_ROTTEN) fail_msg("%s, sector %u: %s", what, (unsigned)sector, code_name(code));
}

static void old_batches_behind_the_end_are_no_records(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = file_read(base, segment_name_, &size);
    assert_memory_equal(bytes + end_last + STALE_SECTOR_SIZE,
                        old_bytes + end_last + STALE_SECTOR_SIZE, 4096);
    free(bytes);
    files_copy(base, dir);
    assert_opens(count_last, "whole", 0);
    files_copy(base, dir); /* and without the newest mark */
    file_write(dir, "mark", mark_before, mark_size);
    assert_opens(count_last, "older mark", 0);
}

/* Every way to cut the write between sectors: from one on, up to one, only one. */
static void a_write_torn_at_any_sector_is_torn(void **state)
{
    (void)state;
    uint64_t first = end_before / STALE_SECTOR_SIZE;
    uint64_t last = (end_last - 1) / STALE_SECTOR_SIZE;
    for (uint64_t cut = first; cut <= last; cut++) {
        for (uint32_t how = 0; how < 3; how++) {
            files_copy(base, dir);
            file_write(dir, "mark", mark_before, mark_size);
            for (uint64_t sector = first; sector <= last; sector++) {
                bool is_old = how == 0 ? sector >= cut : how == 1 ? sector <= cut : sector == cut;
                if (is_old) take_back(sector);
            }
            assert_opens(count_before, how == 0 ? "from" : how == 1 ? "to" : "only", cut);
        }
    }
}

static void an_acknowledged_write_that_is_gone_is_rotten(void **state)
{
    (void)state;
    uint64_t first = end_before / STALE_SECTOR_SIZE;
    uint64_t last = (end_last - 1) / STALE_SECTOR_SIZE;
    for (uint64_t sector = first; sector <= last; sector++) {
        files_copy(base, dir);
        take_back(sector);
        assert_refused("the mark knows of it", sector);
    }
}

/* A flipped bit is no old sector: it is told, not taken for a torn write. */
static void a_flipped_bit_in_the_last_group_is_told(void **state)
{
    (void)state;
    uint64_t first = end_before / STALE_SECTOR_SIZE + 1; /* behind the batch's header */
    uint64_t last = (end_last - 1) / STALE_SECTOR_SIZE;
    for (uint64_t sector = first; sector < last; sector++) {
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_size);
        file_flip(dir, segment_name_, sector * STALE_SECTOR_SIZE + 77, 4);
        assert_refused("flipped", sector);
    }
}

/* A map that does not verify is no map; what was written is there nevertheless. */
static void without_its_map_nothing_is_lost(void **state)
{
    (void)state;
    size_t size;
    files_copy(base, dir);
    free(file_read(dir, segment_name_, &size));
    file_flip(dir, segment_name_, size - STALE_TRAILER_SIZE + 20, 1);
    file_write(dir, "mark", mark_before, mark_size);
    assert_opens(count_last, "no map", 0);
}

/* Spares that were never used hold nothing: opening removes them and discards no byte. */
static void spares_with_old_bytes_are_removed_by_the_next_open(void **state)
{
    (void)state;
    files_copy(base, dir);
    char spare[] = "log/0000000000000fff.seg";
    file_write(dir, spare, old_bytes, old_size);
    struct tide_options options = options_for(dir);
    struct node n;
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) fail_msg("open: %s", e.text);
    assert_false(file_exists(dir, spare));
    assert_int_equal(n.db->report.discarded_bytes, 0);
    assert_int_equal(steps_node_count(&n, "a"), count_last);
    steps_node_close(&n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(old_batches_behind_the_end_are_no_records),
        cmocka_unit_test(a_write_torn_at_any_sector_is_torn),
        cmocka_unit_test(an_acknowledged_write_that_is_gone_is_rotten),
        cmocka_unit_test(a_flipped_bit_in_the_last_group_is_told),
        cmocka_unit_test(without_its_map_nothing_is_lost),
        cmocka_unit_test(spares_with_old_bytes_are_removed_by_the_next_open),
    };
    return cmocka_run_group_tests_name("engine/log_recycle", tests, make_base, remove_base);
}
