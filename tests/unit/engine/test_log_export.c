/* Export and import: a log goes from one directory to another as files. The source may be running,
 * stopped, or killed; files may be missing, damaged, or of another log. */
#include "support/node.h"

#include <time.h>

static char *dir;     /* exported */
static char *objects; /* the files */
static char *copy;    /* imported into */

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make("source");
    objects = tm_dir_make("objects");
    copy = tm_dir_make("copy");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    tm_dir_remove(objects);
    tm_dir_remove(copy);
    return 0;
}

static struct tide_log_report export_log(void)
{
    struct tide_log_report report;
    struct tide_err e = {0};
    if (tide_log_export(dir, objects, &report, &e) != TIDE_OK) fail_msg("%s", e.message);
    return report;
}

static struct tide_log_report import_log(void)
{
    struct tide_log_report report;
    struct tide_err e = {0};
    if (tide_log_import(copy, objects, "copy", &report, &e) != TIDE_OK) fail_msg("%s", e.message);
    return report;
}

static void import_fails(enum tide_code expected, const char *words)
{
    struct tide_log_report report;
    struct tide_err e = {0};
    enum tide_code code = tide_log_import(copy, objects, "copy", &report, &e);
    if (code != expected) fail_msg("%s: %s", tide_code_name(code), e.message);
    if (strstr(e.message, words) == NULL) fail_msg("'%s' is not in: %s", words, e.message);
}

static void write_signals(tide_db *db, int count)
{
    for (int i = 0; i < count; i++) {
        char item[16];
        (void)snprintf(item, sizeof(item), "item-%d", i % 37);
        (void)node_signal(db, "view", item);
    }
}

static void check_copy(const struct tide_digest *digest)
{
    struct tide_options options = node_options(copy);
    struct tide_open_report report;
    struct tide_digest other;
    tide_db *db = NULL;
    assert_int_equal(tide_open(&options, &db, &report, NULL), TIDE_OK);
    assert_int_equal(report.role, TIDE_ROLE_FOLLOWER);
    node_digest(db, &other);
    assert_int_equal(other.seqno, digest->seqno);
    assert_memory_equal(other.root, digest->root, sizeof(other.root));
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
    assert_int_equal(tide_signal(db, &signal, NULL, NULL), TIDE_READONLY);
    node_close(db);
}

static struct tide_digest digest_of(tide_db *db)
{
    struct tide_digest digest;
    node_digest(db, &digest);
    return digest;
}

static void a_log_arrives_whole_and_repeating_changes_nothing(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    write_signals(db, 300);
    struct tide_digest digest = digest_of(db);
    node_close(db);
    struct tide_log_report out = export_log();
    assert_true(out.objects >= 1);
    assert_int_equal(out.records, out.position.seqno);
    struct tide_log_report in = import_log();
    assert_int_equal(in.records, out.records);
    assert_same_position(&in.position, &out.position);
    check_copy(&digest);
    out = export_log();
    assert_int_equal(out.objects, 0);
    in = import_log();
    assert_int_equal(in.records, 0);
    check_copy(&digest);
}

/* What is durable is exported while the node runs; each step only what is new. */
static void a_running_node_is_followed_step_by_step(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    uint64_t last = 0;
    for (int step = 0; step < 5; step++) {
        write_signals(db, 100);
        struct tide_digest digest = digest_of(db);
        struct tide_log_report out = export_log();
        assert_int_equal(out.position.seqno, digest.seqno);
        assert_int_equal(out.records, digest.seqno - last);
        last = digest.seqno;
        assert_int_equal(import_log().position.seqno, digest.seqno);
        check_copy(&digest);
    }
    node_close(db);
}

/* More than one segment, more than one object, several epochs. */
static void restarts_and_segments_do_not_matter(void **state)
{
    (void)state;
    struct tide_digest digest = {0};
    for (int life = 0; life < 3; life++) {
        struct tide_options options = node_options(dir);
        options.segment_size = 64 * 1024;
        tide_db *db = NULL;
        assert_int_equal(tide_open(&options, &db, NULL, NULL), TIDE_OK);
        write_signals(db, 300);
        digest = digest_of(db);
        node_close(db);
        if (life == 1) (void)export_log();
    }
    (void)export_log();
    (void)import_log();
    check_copy(&digest);
}

/* A killed node leaves an unsealed segment with room behind its end. */
static void a_killed_node_gives_what_was_acknowledged(void **state)
{
    (void)state;
    struct node n;
    struct err e;
    struct tide_options options = node_options(dir);
    assert_int_equal(steps_node_open(&n, &options, &e), OK);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
    }
    uint64_t applied = db_applied(n.db).seqno.v;
    steps_node_abandon(&n);
    assert_int_equal(export_log().position.seqno, applied);
    assert_int_equal(import_log().position.seqno, applied);
}

static void nothing_is_taken_from_or_into_what_does_not_fit(void **state)
{
    (void)state;
    struct tide_log_report report;
    struct tide_err e = {0};
    assert_int_equal(tide_log_export("/nowhere/at/all", objects, &report, &e), TIDE_NOTFOUND);
    assert_int_equal(tide_log_export(dir, objects, &report, &e), TIDE_NOTFOUND);
    assert_non_null(strstr(e.message, "no log"));
    import_fails(TIDE_NOTFOUND, "no objects");
    tide_db *db = node_open(dir);
    write_signals(db, 20);
    node_close(db);
    (void)export_log();
    db = node_open(copy); /* leads a log of its own */
    node_close(db);
    import_fails(TIDE_INVALID, "leads");
    assert_int_equal(tide_log_export(copy, objects, &report, &e), TIDE_WRONG_CLUSTER);
    assert_int_equal(tide_log_export(dir, dir, &report, &e), TIDE_INVALID);
}

static void first_object(char out[128], const char *ending)
{
    struct file_names names;
    files_list(objects, ".", ending, &names);
    assert_true(names.count > 0);
    (void)snprintf(out, 128, "%s", names.names[0]);
}

static void a_missing_object_is_named_and_what_came_before_is_kept(void **state)
{
    (void)state;
    tide_db *db = node_open(dir);
    struct file_names names;
    for (int i = 0; i < 3; i++) {
        write_signals(db, 50);
        (void)export_log();
    }
    struct tide_digest digest = digest_of(db);
    node_close(db);
    files_list(objects, ".", ".log", &names);
    assert_int_equal(names.count, 3);
    size_t size = 0;
    uint8_t *bytes = file_read(objects, names.names[1], &size);
    file_remove(objects, names.names[1]);
    import_fails(TIDE_NOT_KEPT, "are missing");
    import_fails(TIDE_NOT_KEPT, "are missing");
    tide_db *part = node_open(copy);
    assert_int_equal(digest_of(part).seqno, 11 + 50);
    node_close(part);
    file_write(objects, names.names[1], bytes, size - 1); /* a copy under way */
    import_fails(TIDE_CORRUPT, "copy it again");
    file_write(objects, names.names[1], bytes, size);
    free(bytes);
    (void)import_log();
    struct tide_options options = node_options(copy);
    assert_int_equal(tide_open(&options, &db, NULL, NULL), TIDE_OK);
    assert_int_equal(digest_of(db).seqno, digest.seqno);
    node_close(db);
}

static void a_damaged_object_is_refused_before_anything_of_it_is_taken(void **state)
{
    (void)state;
    char name[128];
    tide_db *db = node_open(dir);
    write_signals(db, 200);
    node_close(db);
    (void)export_log();
    first_object(name, ".log");
    file_flip(objects, name, 5000, 4);
    import_fails(TIDE_CORRUPT, "damaged");
    file_flip(objects, name, 5000, 4);
    (void)import_log();
}

/* The source went back to an older copy and on from there: its records are other ones. */
static void another_history_is_refused_on_both_sides(void **state)
{
    (void)state;
    char *old = tm_dir_make("old");
    struct tide_log_report report;
    struct tide_err e = {0};
    tide_db *db = node_open(dir);
    write_signals(db, 50);
    node_close(db);
    files_copy(dir, old);
    db = node_open(dir);
    write_signals(db, 50);
    node_close(db);
    (void)export_log();
    (void)import_log();
    files_copy(old, dir);
    db = node_open(dir);
    write_signals(db, 80);
    node_close(db);
    assert_int_equal(tide_log_export(dir, objects, &report, &e), TIDE_DIVERGED);
    tm_dir_remove(objects);
    objects = tm_dir_make("objects");
    (void)export_log();
    import_fails(TIDE_DIVERGED, "history");
    tm_dir_remove(old);
}

/* A directory that was filled from files goes on from a live leader. */
static void an_imported_directory_follows_a_leader_afterwards(void **state)
{
    (void)state;
    struct tide_transport *pair = NULL;
    struct tide_options options = node_options(dir);
    options.replication_listen = TIDE_TRANSPORT;
    tide_db *leader = NULL;
    tide_db *follower = NULL;
    assert_int_equal(tide_open(&options, &leader, NULL, NULL), TIDE_OK);
    write_signals(leader, 100);
    (void)export_log();
    (void)import_log();
    write_signals(leader, 100);
    struct tide_digest digest = digest_of(leader);
    assert_int_equal(tide_transport_pair(0, &pair, NULL), TIDE_OK);
    assert_int_equal(tide_listen(leader, pair, "leader", NULL), TIDE_OK);
    options = node_options(copy);
    assert_int_equal(tide_open(&options, &follower, NULL, NULL), TIDE_OK);
    assert_int_equal(tide_replicate(follower, pair, "leader", NULL), TIDE_OK);
    for (int i = 0; i < 20000 && digest_of(follower).seqno < digest.seqno; i++) {
        struct timespec t = {.tv_nsec = 1000000};
        (void)nanosleep(&t, NULL);
    }
    assert_memory_equal(digest_of(follower).root, digest.root, sizeof(digest.root));
    node_close(follower);
    node_close(leader);
    tide_transport_free(pair);
}

int main(int argc, char **argv)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_log_arrives_whole_and_repeating_changes_nothing),
        CASE(a_running_node_is_followed_step_by_step),
        CASE(restarts_and_segments_do_not_matter),
        CASE(a_killed_node_gives_what_was_acknowledged),
        CASE(nothing_is_taken_from_or_into_what_does_not_fit),
        CASE(a_missing_object_is_named_and_what_came_before_is_kept),
        CASE(a_damaged_object_is_refused_before_anything_of_it_is_taken),
        CASE(another_history_is_refused_on_both_sides),
        CASE(an_imported_directory_follows_a_leader_afterwards),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
