/* quarantine: what lies there is counted, listed by what the files say, and trimmed, the oldest
 * first; a file that says nothing is still listed. */
#include "engine/quarantine.h"

#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("quarantine");
    open_node(f);
    *state = f;
    return 0;
}

static void reopen(struct fixture *f)
{
    steps_node_close(&f->n);
    open_node(f);
}

static void the_oldest_files_go_first(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bytes[1000];
    uint32_t removed = 0;
    file_write(f->dir, "quarantine/00000000000000000900-0000000000000002.torn", bytes, 1000);
    file_write(f->dir, "quarantine/00000000000000000100-0000000000000003.seg", bytes, 1000);
    file_write(f->dir, "quarantine/00000000000000000500-000000000000000a.seg", bytes, 1000);
    assert_int_equal(quarantine_trim(f->n.env, 3000, &removed, NULL), OK);
    assert_int_equal(removed, 0);
    assert_int_equal(quarantine_trim(f->n.env, 2500, &removed, NULL), OK);
    assert_int_equal(removed, 1);
    assert_false(file_exists(f->dir, "quarantine/00000000000000000900-0000000000000002.torn"));
    assert_int_equal(quarantine_trim(f->n.env, 10, &removed, NULL), OK);
    assert_int_equal(removed, 1); /* the newest stays */
    assert_true(file_exists(f->dir, "quarantine/00000000000000000500-000000000000000a.seg"));
    f->options.quarantine_budget = 10; /* and at each open */
    file_write(f->dir, "quarantine/00000000000000000100-0000000000000003.seg", bytes, 1000);
    reopen(f);
    assert_false(file_exists(f->dir, "quarantine/00000000000000000100-0000000000000003.seg"));
    assert_int_equal(f->n.db->quarantine.file_count, 1);
}

/* A torn tail has a first record by its name alone; what no segment is has no more than a name and
 * a size, and neither it nor a file that cannot be read keeps the node from opening. */
static void files_that_say_nothing_are_listed_by_name_and_size(void **state)
{
    struct fixture *f = *state;
    static const uint8_t bytes[5000] = {1, 2, 3};
    file_write(f->dir, "quarantine/00000000000000000900-0000000000000002.torn", bytes, 700);
    file_write(f->dir, "quarantine/00000000000000000100-0000000000000003.seg", bytes, 5000);
    file_write(f->dir, "quarantine/00000000000000000200-0000000000000004.seg", bytes, 10);
    file_write(f->dir, "quarantine/notes", bytes, 5);
    reopen(f);
    const struct quarantine_list *list = &f->n.db->quarantine;
    assert_int_equal(list->file_count, 4);
    assert_int_equal(list->count, 4);
    assert_int_equal(list->bytes, 5715);
    const struct quarantined *torn = &list->files[0];
    while (!torn->is_torn)
        torn++;
    assert_string_equal(torn->name, "00000000000000000900-0000000000000002.torn");
    assert_int_equal(torn->size, 700);
    assert_int_equal(torn->first, 900);
    assert_int_equal(torn->last, 0);
    for (uint32_t i = 0; i < list->count; i++) {
        assert_int_equal(list->files[i].last, 0);
        assert_int_equal(list->files[i].epoch, 0);
    }
}

static void the_newest_sixteen_are_listed_and_all_are_counted(void **state)
{
    struct fixture *f = *state;
    for (unsigned i = 1; i <= QUARANTINE_LISTED + 4; i++) {
        char path[QUARANTINE_PATH_SIZE];
        quarantine_path(1000 - i, i, "torn", path);
        file_write(f->dir, path, "12345", 5);
    }
    reopen(f);
    const struct quarantine_list *list = &f->n.db->quarantine;
    assert_int_equal(list->file_count, QUARANTINE_LISTED + 4);
    assert_int_equal(list->bytes, 5 * (QUARANTINE_LISTED + 4));
    assert_int_equal(list->count, QUARANTINE_LISTED);
    for (uint32_t i = 0; i < list->count; i++)
        assert_int_equal(list->files[i].first, 1000 - (i + 5));
    tide_run_reset(f->run);
    assert_int_equal(tide_run_status(f->run), 0);
    steps_node_execute(&f->n, f->run);
    const struct tide_status *s = tide_run_result(f->run, 0)->as.status;
    assert_int_equal(s->quarantine_files, QUARANTINE_LISTED + 4);
    assert_non_null(strstr(s->json, "\"quarantine\":{\"files\":20,\"bytes\":100,\"newest\":["
                                    "{\"name\":\"00000000000000000995-0000000000000005.torn\","
                                    "\"kind\":\"torn\",\"bytes\":5,\"epoch\":0,"
                                    "\"first_seqno\":995,\"last_seqno\":0,\"records\":0},"));
    assert_string_equal(s->json + strlen(s->json) - 2, "]}"); /* nothing was cut off */
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)
    const struct CMUnitTest tests[] = {
        TEST(the_oldest_files_go_first),
        TEST(files_that_say_nothing_are_listed_by_name_and_size),
        TEST(the_newest_sixteen_are_listed_and_all_are_counted),
    };
    return cmocka_run_group_tests_name("engine/quarantine", tests, NULL, NULL);
}
