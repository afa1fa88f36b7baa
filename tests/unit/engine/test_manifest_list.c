/* manifest_list: which manifests are offered, which are usable, and how those beyond a fork go. */
#include "engine/manifest_list.h"

#include "support/fixture.h"

static int begin(void **state)
{
    struct fixture *f = fixture_new("manifest-list");
    open_node(f);
    *state = f;
    return 0;
}

static struct position checkpoint(struct fixture *f)
{
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    const struct manifest_list *list = &f->n.db->manifests;
    assert_true(list->count > 0);
    return list->at[list->count - 1];
}

static struct manifest_list read_list(struct fixture *f)
{
    const struct identity *id = &f->n.db->identity;
    const struct state_files files = {
        .env = f->n.env, .cluster = id->cluster, .stream = id->stream};
    struct manifest_list list;
    struct err e = {.code = OK};
    assert_int_equal(manifest_list_read(&files, id->generation, &list, &e), OK);
    return list;
}

static void a_node_knows_the_manifests_it_keeps(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(f->n.db->manifests.count, 0);
    (void)checkpoint(f);
    struct position second = checkpoint(f);
    struct position third = checkpoint(f);
    struct manifest_list list = read_list(f);
    assert_int_equal(list.count, 2); /* the two newest are kept */
    assert_true(position_equal(&list.at[0], &second));
    assert_true(position_equal(&list.at[1], &third));
    steps_node_close(&f->n);
    open_node(f);
    assert_int_equal(f->n.db->manifests.count, 2);
    assert_true(position_equal(&f->n.db->manifests.at[1], &third));
}

static void a_damaged_or_foreign_manifest_is_not_offered(void **state)
{
    struct fixture *f = *state;
    struct position first = checkpoint(f);
    (void)checkpoint(f);
    struct file_names names;
    files_list(f->dir, "state", ".manifest", &names);
    assert_int_equal(names.count, 2);
    file_flip(f->dir, names.names[1], 40, 1);
    struct manifest_list list = read_list(f);
    assert_int_equal(list.count, 1);
    assert_true(position_equal(&list.at[0], &first));
    f->n.db->identity.generation++; /* they are of the one before */
    assert_int_equal(read_list(f).count, 0);
    f->n.db->identity.generation--;
}

static void only_those_with_the_log_behind_them_are_usable(void **state)
{
    (void)state;
    const struct manifest_list list = {.count = 3,
                                       .at = {{.seqno = {10}}, {.seqno = {20}}, {.seqno = {30}}}};
    assert_int_equal(manifest_list_usable(&list, seqno_of(1), seqno_of(30)).count, 3);
    assert_int_equal(manifest_list_usable(&list, seqno_of(11), seqno_of(30)).count, 3);
    assert_int_equal(manifest_list_usable(&list, seqno_of(12), seqno_of(30)).count, 2);
    struct manifest_list usable = manifest_list_usable(&list, seqno_of(12), seqno_of(29));
    assert_int_equal(usable.count, 1);
    assert_int_equal(usable.at[0].seqno.v, 20);
}

static void manifests_beyond_a_record_are_dropped(void **state)
{
    struct fixture *f = *state;
    struct position first = checkpoint(f);
    (void)checkpoint(f);
    assert_int_equal(manifest_list_drop_beyond(f->n.env, first.seqno, NULL), OK);
    struct manifest_list list = read_list(f);
    assert_int_equal(list.count, 1);
    assert_true(position_equal(&list.at[0], &first));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, fixture_end)
    const struct CMUnitTest tests[] = {
        TEST(a_node_knows_the_manifests_it_keeps),
        TEST(a_damaged_or_foreign_manifest_is_not_offered),
        TEST(only_those_with_the_log_behind_them_are_usable),
        TEST(manifests_beyond_a_record_are_dropped),
    };
    return cmocka_run_group_tests_name("engine/manifest_list", tests, NULL, NULL);
}
