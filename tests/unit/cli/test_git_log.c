/* Tests of cli/git_log: the bytes that git writes, in pieces of every size, and hostile ones. */
#include "support/tm_test.h"

#include "base/text.h"
#include "cli/git_log.h"

#define NOW_S INT64_C(1800000000)

static struct git_log history;

/* Events as lines "path user ms weight;". */
static void collect(const char *bytes, size_t size, size_t piece, char *out, size_t capacity)
{
    struct text t = text_of(out, capacity);
    struct git_log_event event;
    git_log_init(&history, NOW_S);
    for (size_t at = 0; at < size; at += piece) {
        git_log_feed(&history, slice_of(bytes + at, size - at < piece ? size - at : piece));
        while (git_log_next(&history, &event)) {
            text_add_slice(&t, event.path);
            text_add(&t, " ");
            text_add_slice(&t, event.user);
            text_add(&t, " %lld %llu;", (long long)event.at_ms, (unsigned long long)event.weight);
        }
    }
}

/* As git 2.39 writes it: two commits, the second one touches nothing, the third a binary file. */
static const char sample[] = "\001aaaa\0001700000000\0001700000005\000a@b.c\000"
                             "\n3\t4\tsrc/a file.c\0000\t0\tmode only\000"
                             "\001bbbb\0001700000001\0001700000006\000\000"
                             "\001cccc\0001700000002\0001700000007\000\000"
                             "\n-\t-\tpicture.png\000";

static void pieces_do_not_change_the_events(void **state)
{
    (void)state;
    char out[400];
    for (size_t piece = 1; piece < sizeof(sample); piece++) {
        collect(sample, sizeof(sample) - 1, piece, out, sizeof(out));
        assert_string_equal(out, "src/a file.c a@b.c 1700000000000 7;"
                                 "mode only a@b.c 1700000000000 1;"
                                 "picture.png  1700000002000 1;");
        assert_int_equal(history.commits, 3);
        assert_int_equal(history.events, 3);
        assert_int_equal(history.commits_skipped, 0);
    }
}

/* Author time if usable, else the committer's, else the commit is skipped and counted. */
static void unusable_times_fall_back_and_are_counted(void **state)
{
    (void)state;
    static const char bytes[] = "\001a\0000\0001700000005\000u\000\n1\t0\told author\000"
                                "\001b\0001900000000\0001700000006\000u\000\n1\t0\tfuture\000"
                                "\001c\0005\000-1\000u\000\n1\t0\tneither\000"
                                "\001d\000\0001700000007\000u\000\n1\t0\tempty\000";
    char out[400];
    collect(bytes, sizeof(bytes) - 1, 7, out, sizeof(out));
    assert_string_equal(out, "old author u 1700000005000 1;"
                             "future u 1700000006000 1;"
                             "empty u 1700000007000 1;");
    assert_int_equal(history.commits_with_commit_time, 3);
    assert_int_equal(history.commits_skipped, 1);
}

/* Two long paths that differ only behind the cut stay two items, each as long as a key may be. */
static void long_paths_are_shortened_and_stay_distinct(void **state)
{
    (void)state;
    static char bytes[2000];
    struct text t = text_of(bytes, sizeof(bytes));
    text_add(&t, "\001a");
    size_t size = t.size;
    bytes[size++] = '\0';
    for (int i = 0; i < 2; i++) {
        memcpy(bytes + size, "1700000000", 11);
        size += 11;
    }
    bytes[size++] = '\0'; /* no e-mail */
    for (int i = 0; i < 2; i++) {
        int n = snprintf(bytes + size, 600, "%s1\t1\t%0299d%d", i == 0 ? "\n" : "", 5, i);
        size += (size_t)n + 1;
    }
    struct git_log_event event;
    uint8_t first[KEY_SIZE_MAX];
    git_log_init(&history, NOW_S);
    git_log_feed(&history, slice_of(bytes, size));
    assert_true(git_log_next(&history, &event));
    assert_int_equal(event.path.size, KEY_SIZE_MAX);
    memcpy(first, event.path.data, sizeof(first));
    assert_true(git_log_next(&history, &event));
    assert_int_equal(event.path.size, KEY_SIZE_MAX);
    assert_memory_not_equal(event.path.data, first, sizeof(first));
    assert_memory_equal(event.path.data, first, GIT_LOG_KEPT);
    assert_int_equal(history.paths_shortened, 2);
    assert_int_equal(event.user.size, 0);
}

/* Noise is counted, never an event, never a crash; a commit after it is read again. */
static void noise_is_counted(void **state)
{
    (void)state;
    static const char bytes[] = "warning: something\000"
                                "\001a\0001700000000\0001700000000\000u\000"
                                "\nno tabs here\0001\t2\t\0001x\t2\tp\0005\t6\tgood\000";
    char out[400];
    collect(bytes, sizeof(bytes) - 1, 3, out, sizeof(out));
    assert_string_equal(out, "good u 1700000000000 11;");
    assert_int_equal(history.entries_unreadable, 4);
    static char long_token[80000];
    memset(long_token, 'y', sizeof(long_token));
    git_log_feed(&history, slice_of(long_token, sizeof(long_token)));
    struct git_log_event event;
    assert_false(git_log_next(&history, &event));
    git_log_feed(&history, slice_of("\0"
                                    "1\t1\tafter\0",
                                    11));
    assert_true(git_log_next(&history, &event));
    assert_int_equal(event.path.size, 5);
    assert_int_equal(history.entries_unreadable, 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_change_the_events),
        cmocka_unit_test(unusable_times_fall_back_and_are_counted),
        cmocka_unit_test(long_paths_are_shortened_and_stay_distinct),
        cmocka_unit_test(noise_is_counted),
    };
    return cmocka_run_group_tests_name("cli/git_log", tests, NULL, NULL);
}
