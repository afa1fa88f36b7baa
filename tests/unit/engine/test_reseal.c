/* reseal: what a scan finds in an unsealed segment, and the copy it is rewritten into. The stories
 * are in test_recover; here the pieces. */
#include "engine/reseal.h"

#include "base/hash.h"
#include "engine/log_internal.h"
#include "format/segment.h"
#include "support/node.h"

enum { SIGNALS = 100, LAST = 11 + SIGNALS };

struct fixture {
    char *dir;
    char name[96];
    struct env *env;
    struct scan scan;
};

/* A killed node's only segment, ready to be scanned. */
static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("reseal");
    struct tide_options options = node_options(f->dir);
    struct node n;
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) fail_msg("open: %s", e.text);
    for (int i = 0; i < SIGNALS; i++)
        assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
    f->scan.id = *log_identity_of(n.db->log);
    steps_node_abandon(&n);
    struct file_names names;
    segments_list(f->dir, &names);
    assert_int_equal(names.count, 1);
    memcpy(f->name, names.names[0], sizeof(f->name));
    f->env = steps_open(f->dir);
    f->scan.env = f->env;
    f->scan.window_size = READER_BUFFER_SIZE_MIN;
    f->scan.window = malloc(f->scan.window_size);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    scan_fini(&f->scan);
    free(f->scan.window);
    steps_close(f->env);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

static void scan(struct fixture *f)
{
    size_t size;
    uint8_t *bytes = file_read(f->dir, f->name, &size);
    assert_int_equal(segment_header_decode(bytes, &f->scan.header), SEGMENT_OK);
    free(bytes);
    f->scan.file_size = size;
    struct position start = {0};
    struct err e = {.code = OK};
    assert_int_equal(scan_unsealed(&f->scan, &start, &e), OK);
}

static void a_scan_ends_behind_the_last_whole_batch(void **state)
{
    struct fixture *f = *state;
    scan(f);
    assert_int_equal(f->scan.segment.last.v, LAST);
    assert_int_equal(f->scan.segment.batch_count, SIGNALS + 2);
    assert_int_equal(f->scan.stop, STOP_ZEROS);
    assert_true(f->scan.segment.seek_count >= 1);
    struct scan_damage damage;
    struct err e;
    assert_int_equal(scan_after(&f->scan, &damage, &e), OK);
    assert_true(damage.is_zero);
}

static void what_follows_the_last_batch_is_looked_at(void **state)
{
    struct fixture *f = *state;
    scan(f);
    uint64_t end = f->scan.segment.data_end;
    scan_fini(&f->scan);
    struct scan_damage damage;
    struct err e;
    file_flip(f->dir, f->name, end + 3000, 1); /* junk far behind, a whole sector missing before */
    scan(f);
    assert_int_equal(f->scan.segment.data_end, end);
    assert_int_equal(scan_after(&f->scan, &damage, &e), OK);
    assert_false(damage.is_zero);
    assert_true(damage.has_missing_sector);
    scan_fini(&f->scan);
    uint8_t footer[8];
    memcpy(footer, SEGMENT_FOOTER_MAGIC, sizeof(footer));
    for (size_t i = 0; i < sizeof(footer); i++)
        file_flip(f->dir, f->name, end + i, footer[i]);
    scan(f); /* a footer is begun only when every batch before it was synced */
    assert_int_equal(scan_after(&f->scan, &damage, &e), OK);
    assert_true(damage.is_zero);
}

static void the_copy_holds_the_same_batches_under_a_footer(void **state)
{
    struct fixture *f = *state;
    struct err e = {.code = OK};
    size_t old_size;
    uint8_t *old_bytes = file_read(f->dir, f->name, &old_size);
    scan(f);
    uint64_t end = f->scan.segment.data_end;
    if (reseal(&f->scan, 0x77, &e) != OK) fail_msg("%s", e.text);
    assert_false(file_exists(f->dir, f->name));
    size_t size;
    uint8_t *bytes = file_read(f->dir, "log/0000000000000077.seg", &size);
    assert_memory_equal(bytes + SEGMENT_HEADER_SIZE, old_bytes + SEGMENT_HEADER_SIZE,
                        end - SEGMENT_HEADER_SIZE);
    uint64_t offset;
    uint32_t footer_size;
    assert_true(segment_trailer_decode(bytes + size - SEGMENT_TRAILER_SIZE, f->scan.id.log_key,
                                       size, &offset, &footer_size));
    assert_int_equal(offset, end);
    struct segment_footer footer;
    uint8_t *aligned = aligned_alloc(64, align_up(footer_size, 64));
    memcpy(aligned, bytes + offset, footer_size);
    assert_int_equal(
        segment_footer_decode(slice_of(aligned, footer_size), f->scan.id.log_key, &footer, &e), OK);
    assert_int_equal(footer.first.v, 1);
    assert_int_equal(footer.last.v, LAST);
    assert_int_equal(footer.batch_count, SIGNALS + 2);
    for (uint32_t i = 0; i < footer.chunk_count; i++) {
        uint64_t from = i * CHUNK_SIZE;
        uint64_t piece = end - from < CHUNK_SIZE ? end - from : CHUNK_SIZE;
        struct hash256 hash = hash256_of(slice_of(bytes + from, piece));
        assert_true(hash256_equal(&hash, &footer.chunks[i]));
    }
    free(aligned);
    free(bytes);
    free(old_bytes);
}

static void a_torn_tail_is_kept_byte_for_byte(void **state)
{
    struct fixture *f = *state;
    struct err e = {.code = OK};
    scan(f);
    uint64_t end = f->scan.segment.data_end;
    scan_fini(&f->scan);
    for (uint64_t i = 0; i < 700; i++)
        file_flip(f->dir, f->name, end + i, (uint8_t)(i % 250 + 1));
    scan(f);
    struct recovery_report report = {0};
    assert_int_equal(quarantine_tail(&f->scan, &report, &e), OK);
    assert_int_equal(quarantine_tail(&f->scan, &report, &e), OK); /* again, after a crash */
    assert_int_equal(report.discarded_after.v, LAST);
    struct file_names names;
    files_list(f->dir, "quarantine", ".torn", &names);
    assert_int_equal(names.count, 1);
    size_t size;
    uint8_t *bytes = file_read(f->dir, names.names[0], &size);
    assert_int_equal(size, 700);
    for (uint64_t i = 0; i < 700; i++)
        assert_int_equal(bytes[i], i % 250 + 1);
    free(bytes);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_scan_ends_behind_the_last_whole_batch),
        TEST(what_follows_the_last_batch_is_looked_at),
        TEST(the_copy_holds_the_same_batches_under_a_footer),
        TEST(a_torn_tail_is_kept_byte_for_byte),
    };
    return cmocka_run_group_tests_name("engine/reseal", tests, NULL, NULL);
}
