/* bootstrap_files: a copy that is driven by hand, as bootstrap_join drives it: look, write what
 * arrives with syncs beside, finish. Any file call may fail: the failure is told, and the next
 * attempt ends with the state of the source. */
#include "engine/bootstrap_files.h"

#include "support/fixture.h"

#define SOURCE_COUNT 200u

static char *source_dir; /* SOURCE_COUNT signals of as many items, and a checkpoint behind them */
static char *target_dir; /* the same cluster, a few of them */

static void write_items(struct node *n, uint32_t first, uint32_t end)
{
    char item[32];
    for (uint32_t i = first; i < end; i++) {
        (void)snprintf(item, sizeof(item), "item-%u", i);
        assert_int_equal(steps_node_signal(n, item), TIDE_OK);
    }
}

static void checkpoint(struct node *n)
{
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_checkpoint(run), 0);
    steps_node_execute(n, run);
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
    tide_run_free(run);
    steps_run(n->env);
}

static void open_at(struct node *n, const char *dir)
{
    struct err e = {.code = OK};
    struct tide_options options = node_options(dir);
    if (steps_node_open(n, &options, &e) != OK) fail_msg("open %s: %s", dir, e.text);
}

static int setup(void **state)
{
    struct node n = {0};
    (void)state;
    source_dir = tm_dir_make_fast("bootstrap-files-source");
    target_dir = tm_dir_make_fast("bootstrap-files-target");
    open_at(&n, source_dir);
    write_items(&n, 0, 20);
    checkpoint(&n);
    steps_node_close(&n);
    files_copy(source_dir, target_dir);
    open_at(&n, source_dir);
    write_items(&n, 20, SOURCE_COUNT);
    checkpoint(&n);
    steps_node_close(&n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(source_dir);
    tm_dir_remove(target_dir);
    return 0;
}

/* What a leader would serve: its manifest, and blocks by hash. */
struct source {
    struct env *env;
    struct state_files files;
    char name[CHECKPOINT_NAME_SIZE];
    struct manifest_file m;
};

static void source_open(struct source *s, const struct identity *id)
{
    struct file_names names;
    files_list(source_dir, "state", ".manifest", &names);
    assert_true(names.count > 0);
    *s = (struct source){.env = steps_open(source_dir)};
    (void)snprintf(s->name, sizeof(s->name), "%s", names.names[names.count - 1] + 6);
    s->files = (struct state_files){s->env, id->cluster, id->stream};
    assert_int_equal(manifest_file_read(&s->files, s->name, &s->m, NULL), OK);
}

static void source_close(struct source *s)
{
    manifest_file_fini(&s->m);
    steps_close(s->env);
}

/* --- the owner --- */

struct copier {
    struct node n;
    struct bootstrap_files f;
    struct source source;
    uint32_t told;     /* works that ended */
    uint32_t failures; /* ... badly */
    bool is_finished;
    uint32_t syncs; /* that were begun beside a write */
};

static void was_done(void *owner, enum bootstrap_work work, enum code code, const struct err *e)
{
    struct copier *c = owner;
    c->told++;
    if (code != OK) {
        assert_true(e->text[0] != '\0');
        c->failures++;
    } else if (work == BOOTSTRAP_WORK_FINISH) {
        c->is_finished = true;
    }
}

static void copier_open(struct copier *c, const char *dir)
{
    *c = (struct copier){0};
    open_at(&c->n, dir);
    source_open(&c->source, &c->n.db->identity);
    bootstrap_files_init(&c->f, c->n.db, was_done, c);
}

static void copier_close(struct copier *c)
{
    steps_run(c->n.env);
    bootstrap_files_stop(&c->f);
    assert_true(bootstrap_files_are_quiet(&c->f));
    bootstrap_files_fini(&c->f);
    source_close(&c->source);
    steps_node_abandon(&c->n);
}

static void add_block(struct copier *c, uint32_t want)
{
    const struct manifest *m = &c->source.m.manifest;
    struct pack_reader packs = {.files = &c->source.files};
    uint32_t i = 0;
    while (!hash256_equal(&m->blocks[i].hash, &c->f.wants[want].hash))
        i++;
    uint8_t *bytes = malloc(m->blocks[i].size + 1);
    assert_int_equal(pack_read_block(&packs, &m->blocks[i], &m->places[i], bytes, NULL), OK);
    assert_true(bootstrap_files_add_block(&c->f, want, slice_of(bytes, m->blocks[i].size)));
    free(bytes);
    pack_reader_fini(&packs);
}

/* One attempt. The next write is gathered and begun while the sync of the one before waits. */
static bool attempt(struct copier *c)
{
    const struct manifest_file *m = &c->source.m;
    uint32_t failures = c->failures;
    assert_true(bootstrap_files_add_piece(&c->f, 0, slice_of(m->bytes, m->size), m->size));
    bootstrap_files_look(&c->f);
    steps_run(c->n.env);
    if (c->failures > failures) return false;
    for (uint32_t i = 0; i < c->f.want_count; i++) {
        if (c->f.wants[i].state == WANT_HELD) continue;
        add_block(c, i);
        uint32_t told = c->told;
        bootstrap_files_write(&c->f);
        if (!c->f.is_syncing) c->f.staging.unsynced = 16 * MIB; /* as after so many bytes */
        for (int k = 0; k < 100 && c->told == told; k++)
            (void)steps_run_one(c->n.env);
        c->syncs += c->f.is_syncing;
        if (c->failures > failures) break;
        for (uint32_t k = 0; k < c->f.written_count; k++)
            assert_true(c->f.written[k].is_good);
    }
    if (c->failures == failures) bootstrap_files_finish(&c->f);
    steps_run(c->n.env);
    return c->failures == failures;
}

/* The copy counts with the next open, and is that of the source. */
static void check_is_copied(const char *dir)
{
    struct node n = {0};
    open_at(&n, dir);
    assert_int_equal(n.db->identity.generation, 2);
    for (uint32_t i = 0; i < SOURCE_COUNT; i += 13) {
        char item[32];
        (void)snprintf(item, sizeof(item), "item-%u", i);
        assert_int_equal(steps_node_count(&n, item), 1);
    }
    steps_node_close(&n);
}

static void a_copy_is_written_with_syncs_beside_it(void **state)
{
    (void)state;
    struct copier c;
    char *dir = tm_dir_make_fast("bootstrap-files");
    files_copy(target_dir, dir);
    copier_open(&c, dir);
    assert_true(attempt(&c));
    assert_true(c.is_finished);
    assert_true(c.syncs > 2);
    copier_close(&c);
    check_is_copied(dir);
    tm_dir_remove(dir);
}

/* Each file call fails once, syncs among them, whatever runs beside it: somebody is told, or it did
 * not matter; nothing counts before it is whole, and the next attempt ends it. */
static void any_file_call_may_fail_once(void **state)
{
    (void)state;
    uint32_t told = 0;
    for (uint64_t nth = 1;; nth++) {
        struct copier c;
        char *dir = tm_dir_make_fast("bootstrap-files");
        files_copy(target_dir, dir);
        copier_open(&c, dir);
        struct steps_fault fault = {.nth = nth, .code = E_IO, .tears = true};
        steps_fail(c.n.env, &fault);
        bool is_whole = attempt(&c);
        bool has_failed = steps_has_failed(c.n.env);
        assert_int_equal(c.is_finished, is_whole);
        if (!is_whole) {
            told++;
            assert_true(has_failed);
            assert_int_equal(c.failures, 1);
            assert_true(attempt(&c));
        }
        assert_true(c.is_finished);
        copier_close(&c);
        check_is_copied(dir);
        tm_dir_remove(dir);
        if (!has_failed) break;
    }
    assert_true(told > 10);
}

/* A sync that failed while a write ran behind it is told at the end of that write. */
static void a_sync_that_fails_beside_a_write_is_told(void **state)
{
    (void)state;
    struct copier c;
    char *dir = tm_dir_make_fast("bootstrap-files");
    files_copy(target_dir, dir);
    copier_open(&c, dir);
    const struct manifest_file *m = &c.source.m;
    assert_true(bootstrap_files_add_piece(&c.f, 0, slice_of(m->bytes, m->size), m->size));
    bootstrap_files_look(&c.f);
    steps_run(c.n.env);
    uint32_t missing[2];
    uint32_t count = 0;
    for (uint32_t i = 0; i < c.f.want_count && count < 2; i++) {
        if (c.f.wants[i].state != WANT_HELD) missing[count++] = i;
    }
    assert_int_equal(count, 2);
    add_block(&c, missing[0]);
    bootstrap_files_write(&c.f);
    c.f.staging.unsynced = 16 * MIB;
    while (!c.f.is_syncing)
        assert_true(steps_run_one(c.n.env));
    add_block(&c, missing[1]);
    bootstrap_files_write(&c.f);
    assert_true(c.f.is_running && c.f.is_syncing);
    struct steps_fault fault = {.nth = 1, .code = E_IO, .writes_only = true}; /* the sync */
    steps_fail(c.n.env, &fault);
    steps_run(c.n.env);
    assert_int_equal(c.failures, 1);
    assert_non_null(strstr(c.f.err.text, "sync"));
    assert_false(c.f.is_staging_open);
    assert_true(attempt(&c));
    copier_close(&c);
    check_is_copied(dir);
    tm_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_is_written_with_syncs_beside_it),
        cmocka_unit_test(any_file_call_may_fail_once),
        cmocka_unit_test(a_sync_that_fails_beside_a_write_is_told),
    };
    return cmocka_run_group_tests_name("engine/bootstrap_files", tests, setup, teardown);
}
