/* The simulated disk keeps what was synced, may lose what was not, and lies after a failed sync
 * exactly as Linux does. */
#include "support/tm_test.h"

#include "sim/disk.h"

struct setting {
    struct random random;
    struct coverage coverage;
    struct disk disk;
};

static struct setting *setting_new(uint64_t seed)
{
    struct setting *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    random_init(&s->random, seed);
    disk_init(&s->disk, &s->random, &s->coverage);
    return s;
}

static void setting_free(struct setting *s)
{
    disk_fini(&s->disk);
    free(s);
}

static struct env_file *open_file(struct setting *s, const char *path, unsigned flags)
{
    struct env_file *file = NULL;
    assert_int_equal(disk_open(&s->disk, path, flags, &file, NULL), OK);
    return file;
}

static void put(struct setting *s, struct env_file *file, uint64_t offset, const char *text)
{
    assert_int_equal(disk_write(&s->disk, file, offset, slice_of_text(text), NULL), OK);
}

/* What a file says, "" when it does not exist. */
static const char *content(struct setting *s, const char *path, unsigned flags)
{
    static char text[4096];
    struct env_file *file = NULL;
    text[0] = '\0';
    if (disk_open(&s->disk, path, flags, &file, NULL) != OK) return text;
    size_t size = 0;
    assert_int_equal(disk_read(&s->disk, file, 0, text, sizeof(text) - 1, &size, NULL), OK);
    text[size] = '\0';
    disk_close(&s->disk, file);
    return text;
}

/* A file whose bytes and name are synced is whole after any power cut. */
static void synced_file_survives_power_cut(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 50; seed++) {
        struct setting *s = setting_new(seed);
        struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
        put(s, file, 0, "kept");
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
        disk_cut_power(&s->disk);
        assert_string_equal(content(s, "a", ENV_READ), "kept");
        setting_free(s);
    }
}

/* Bytes that were not synced are sometimes lost and sometimes kept; both happen over seeds. */
static void unsynced_bytes_may_be_lost(void **state)
{
    (void)state;
    int lost = 0;
    int kept = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct setting *s = setting_new(seed);
        struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
        put(s, file, 0, "old");
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, "", NULL), OK);
        put(s, file, 0, "new");
        assert_string_equal(content(s, "a", ENV_READ), "new");
        disk_cut_power(&s->disk);
        const char *after = content(s, "a", ENV_READ);
        lost += strcmp(after, "old") == 0;
        kept += strcmp(after, "new") == 0;
        setting_free(s);
    }
    assert_true(lost > 10);
    assert_true(kept > 10);
    assert_int_equal(lost + kept, 100);
}

/* A large write may survive in part, cut at sectors. */
static void unsynced_write_tears_at_sectors(void **state)
{
    (void)state;
    enum { PAGES = 4, SECTORS = PAGES * DISK_PAGE_SIZE / DISK_SECTOR_SIZE };
    static uint8_t page[PAGES * DISK_PAGE_SIZE];
    memset(page, 7, sizeof(page));
    unsigned torn = 0;
    unsigned torn_inside_pages = 0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        struct setting *s = setting_new(seed);
        struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
        assert_int_equal(disk_truncate(&s->disk, file, sizeof(page), NULL), OK);
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
        assert_int_equal(disk_write(&s->disk, file, 0, slice_of(page, sizeof(page)), NULL), OK);
        disk_cut_power(&s->disk);
        uint8_t after[sizeof(page)];
        size_t size = 0;
        file = open_file(s, "a", ENV_READ);
        assert_int_equal(disk_read(&s->disk, file, 0, after, sizeof(after), &size, NULL), OK);
        assert_int_equal(size, sizeof(page));
        unsigned sectors = 0;
        for (size_t i = 0; i < sizeof(page); i += DISK_SECTOR_SIZE) {
            int sum = 0;
            for (size_t k = 0; k < DISK_SECTOR_SIZE; k++) {
                sum += after[i + k];
            }
            assert_true(sum == 0 || sum == 7 * (int)DISK_SECTOR_SIZE);
            sectors += sum != 0;
        }
        torn += sectors != 0 && sectors != SECTORS;
        torn_inside_pages += sectors % (DISK_PAGE_SIZE / DISK_SECTOR_SIZE) != 0;
        setting_free(s);
    }
    assert_true(torn > 20);
    assert_in_range(torn_inside_pages, 10, torn - 10); /* some disks tear at whole pages only */
}

/* Reads through the cache show what was written; the platter has something else. */
static bool shows_old_after_a_lie(uint64_t seed, int how)
{
    struct setting *s = setting_new(seed);
    struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
    char text[4] = "";
    size_t size = 0;
    put(s, file, 0, "old");
    assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
    assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
    s->disk.faults.sync_lies = how == 0 ? 1000000 : 0;
    s->disk.faults.writes_lost = how == 1 ? 1000000 : 0;
    s->disk.faults.writes_astray = how == 2 ? 1000000 : 0;
    put(s, file, 0, "new");
    assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
    assert_true(s->disk.has_lied);
    assert_int_equal(disk_read(&s->disk, file, 0, text, 3, &size, NULL), OK);
    assert_string_equal(text, "new");
    disk_cut_power(&s->disk);
    file = open_file(s, "a", ENV_READ);
    assert_int_equal(disk_read(&s->disk, file, 0, text, 3, &size, NULL), OK);
    bool is_old = strcmp(text, "old") == 0;
    setting_free(s);
    return is_old;
}

static void lies_show_after_a_power_cut(void **state)
{
    (void)state;
    int old[3] = {0};
    for (int how = 0; how < 3; how++) {
        for (uint64_t seed = 0; seed < 50; seed++) {
            old[how] += shows_old_after_a_lie(seed, how);
        }
    }
    assert_in_range(old[0], 1, 49); /* the kernel may have written it back by itself */
    assert_int_equal(old[1], 50);
    assert_int_equal(old[2] > 0, true);
}

/* After a failed sync the cache shows the new bytes, the platter may hold the old ones, and the
 * next sync claims success without storing anything. */
static void failed_sync_makes_the_cache_lie(void **state)
{
    (void)state;
    int lies = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct setting *s = setting_new(seed);
        struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
        put(s, file, 0, "old");
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
        put(s, file, 0, "new");
        s->disk.faults.sync_fails = 1000000;
        assert_int_equal(disk_sync(&s->disk, file, NULL), E_IO);
        s->disk.faults.sync_fails = 0;
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        disk_end_process(&s->disk);
        assert_string_equal(content(s, "a", ENV_READ), "new");
        char past_cache[8];
        snprintf(past_cache, sizeof(past_cache), "%s", content(s, "a", ENV_READ | ENV_UNCACHED));
        lies += strcmp(past_cache, "old") == 0;
        disk_cut_power(&s->disk);
        assert_string_equal(content(s, "a", ENV_READ), past_cache);
        setting_free(s);
    }
    assert_true(lies > 20);
}

/* Names need a sync of their folder; a renamed file is never at both places or, when its old name
 * was durable, at neither. */
static void names_are_durable_after_sync_of_their_folder(void **state)
{
    (void)state;
    int old_name = 0;
    int new_name = 0;
    for (uint64_t seed = 0; seed < 100; seed++) {
        struct setting *s = setting_new(seed);
        assert_int_equal(disk_make_dir(&s->disk, "log", NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
        struct env_file *file = open_file(s, "log/x", ENV_WRITE | ENV_CREATE);
        put(s, file, 0, "1");
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, "log", NULL), OK);
        assert_int_equal(disk_rename(&s->disk, "log/x", "log/y", NULL), OK);
        assert_string_equal(content(s, "log/y", ENV_READ), "1");
        disk_cut_power(&s->disk);
        bool has_old = strcmp(content(s, "log/x", ENV_READ), "1") == 0;
        bool has_new = strcmp(content(s, "log/y", ENV_READ), "1") == 0;
        assert_true(has_old != has_new);
        old_name += has_old;
        new_name += has_new;
        setting_free(s);
    }
    assert_true(old_name > 10);
    assert_true(new_name > 10);
}

/* A folder that was never synced takes its files with it. */
static void unsynced_folder_takes_its_files(void **state)
{
    (void)state;
    int gone = 0;
    for (uint64_t seed = 0; seed < 60; seed++) {
        struct setting *s = setting_new(seed);
        assert_int_equal(disk_make_dir(&s->disk, "log", NULL), OK);
        struct env_file *file = open_file(s, "log/x", ENV_WRITE | ENV_CREATE);
        put(s, file, 0, "1");
        assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
        assert_int_equal(disk_sync_dir(&s->disk, "log", NULL), OK);
        disk_cut_power(&s->disk);
        gone += content(s, "log/x", ENV_READ)[0] == '\0';
        setting_free(s);
    }
    assert_true(gone > 10);
}

/* A full disk refuses growth and still takes writes into space that exists. */
static void full_disk_refuses_growth_only(void **state)
{
    (void)state;
    struct setting *s = setting_new(1);
    struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
    put(s, file, 0, "0123456789");
    s->disk.faults.is_full = true;
    put(s, file, 5, "56789");
    struct err e = {0};
    assert_int_equal(disk_write(&s->disk, file, 5, slice_of_text("567890"), &e), E_DISKFULL);
    assert_non_null(strstr(e.text, "6 bytes to a"));
    setting_free(s);
}

/* A list holds the files of one folder, sorted, without its folders. */
static void list_is_sorted_and_shows_files_only(void **state)
{
    (void)state;
    struct setting *s = setting_new(1);
    assert_int_equal(disk_make_dir(&s->disk, "d", NULL), OK);
    assert_int_equal(disk_make_dir(&s->disk, "d/e", NULL), OK);
    (void)open_file(s, "d/b", ENV_WRITE | ENV_CREATE);
    put(s, open_file(s, "d/a", ENV_WRITE | ENV_CREATE), 0, "xyz");
    (void)open_file(s, "c", ENV_WRITE | ENV_CREATE);
    struct env_dirent *list = NULL;
    size_t count = 0;
    assert_int_equal(disk_list(&s->disk, "d", &list, &count, NULL), OK);
    assert_int_equal(count, 2);
    assert_string_equal(list[0].name, "a");
    assert_int_equal(list[0].size, 3);
    assert_string_equal(list[1].name, "b");
    free(list);
    setting_free(s);
}

/* A copy of a running node's disk has what was durable, and nothing of what was not. */
static void copy_has_durable_content_only(void **state)
{
    (void)state;
    struct setting *s = setting_new(1);
    struct disk other;
    disk_init(&other, &s->random, &s->coverage);
    struct env_file *file = open_file(s, "a", ENV_WRITE | ENV_CREATE);
    put(s, file, 0, "old");
    assert_int_equal(disk_sync(&s->disk, file, NULL), OK);
    assert_int_equal(disk_sync_dir(&s->disk, ".", NULL), OK);
    put(s, file, 0, "new");
    disk_copy(&other, &s->disk);
    assert_int_equal(disk_durable_size(&other, "a"), 3);
    assert_true(disk_flip_bit(&other, "a", 0, 0));
    struct env_file *copied = NULL;
    assert_int_equal(disk_open(&other, "a", ENV_READ, &copied, NULL), OK);
    char text[4] = "";
    size_t size = 0;
    assert_int_equal(disk_read(&other, copied, 0, text, 3, &size, NULL), OK);
    assert_string_equal(text, "nld"); /* 'o' with its lowest bit inverted */
    disk_fini(&other);
    setting_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(synced_file_survives_power_cut),
        cmocka_unit_test(unsynced_bytes_may_be_lost),
        cmocka_unit_test(unsynced_write_tears_at_sectors),
        cmocka_unit_test(lies_show_after_a_power_cut),
        cmocka_unit_test(failed_sync_makes_the_cache_lie),
        cmocka_unit_test(names_are_durable_after_sync_of_their_folder),
        cmocka_unit_test(unsynced_folder_takes_its_files),
        cmocka_unit_test(full_disk_refuses_growth_only),
        cmocka_unit_test(list_is_sorted_and_shows_files_only),
        cmocka_unit_test(copy_has_durable_content_only),
    };
    return cmocka_run_group_tests_name("sim.disk", tests, NULL, NULL);
}
