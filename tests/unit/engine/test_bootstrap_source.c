/* Tests of engine/bootstrap_source: a checkpoint that others copy from keeps its packs as long as
 * anybody copies, whatever is checkpointed meanwhile; and what makes a checkpoint good enough. */
#include "engine/bootstrap_source.h"

#include "engine/checkpoint.h"
#include "support/fixture.h"

static int setup(void **state)
{
    struct fixture *f = fixture_new("bootstrap-source");
    open_node(f);
    *state = f;
    return 0;
}

static void write_some(struct fixture *f, uint32_t count)
{
    char item[32];
    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(item, sizeof(item), "item-%u", i);
        assert_int_equal(steps_node_signal(&f->n, item), TIDE_OK);
    }
}

static void checkpoint(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    steps_run(f->n.env);
}

/* Every block of the source can be read from its pack. */
static void check_is_readable(const struct bootstrap_source *s)
{
    struct pack_reader packs = {.files = &s->files};
    const struct manifest *m = &s->m.manifest;
    for (uint32_t i = 0; i < m->block_count; i++) {
        uint8_t *bytes = malloc(m->blocks[i].size + 1);
        struct err e = {.code = OK};
        if (pack_read_block(&packs, &m->blocks[i], &m->places[i], bytes, &e) != OK)
            fail_msg("%s", e.text);
        free(bytes);
        uint32_t index;
        assert_true(bootstrap_source_find(s, &m->blocks[i].hash, &index));
        assert_true(hash256_equal(&m->blocks[index].hash, &m->blocks[i].hash));
    }
    pack_reader_fini(&packs);
    struct hash256 unknown = {{9}};
    uint32_t index;
    assert_false(bootstrap_source_find(s, &unknown, &index));
}

static void packs_stay_while_somebody_copies_and_go_after_it(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    write_some(f, 50);
    checkpoint(f);
    struct bootstrap_source *s = bootstrap_source_take(db);
    assert_non_null(s);
    steps_run(f->n.env);
    assert_true(s->is_ready);
    assert_true(bootstrap_sources_are_quiet(db));
    char name[CHECKPOINT_NAME_SIZE];
    char path[STATE_PATH_SIZE];
    pack_name(s->packs[0], name);
    state_path(name, path);
    for (uint32_t i = 0; i < 4; i++) { /* all blocks change, and no kept manifest names the pack */
        write_some(f, 50);
        checkpointer_write_anew(db->checkpointer);
        checkpoint(f);
        assert_false(checkpointer_writes_anew(db->checkpointer));
    }
    assert_true(file_exists(f->dir, path));
    assert_false(bootstrap_source_is_newest(s));
    check_is_readable(s);
    struct bootstrap_source *second = bootstrap_source_take(db);
    assert_non_null(second);
    assert_ptr_not_equal(second, s);
    assert_ptr_equal(bootstrap_source_take(db), second); /* one for all */
    steps_run(f->n.env);
    bootstrap_source_release(s);
    bootstrap_source_release(second);
    bootstrap_source_release(second);
    assert_null(db->sources);
    write_some(f, 50);
    checkpoint(f);
    assert_false(file_exists(f->dir, path));
}

/* None there: one is cut, and is a source then. */
static void without_a_checkpoint_one_is_asked_for(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    seqno at;
    uint64_t bytes;
    write_some(f, 5);
    assert_false(bootstrap_source_is_there(db, &at, &bytes));
    assert_null(bootstrap_source_take(db));
    steps_run(f->n.env);
    assert_true(bootstrap_source_is_there(db, &at, &bytes));
    assert_true(at.v > 5);
    struct bootstrap_source *s = bootstrap_source_take(db);
    assert_non_null(s);
    steps_run(f->n.env);
    check_is_readable(s);
    assert_int_equal(s->bytes, bytes);
    bootstrap_source_release(s);
}

/* A block on the disk that is not what its hash says: the next checkpoint names no old place. */
static void a_damaged_checkpoint_is_written_anew(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    seqno at;
    uint64_t bytes;
    write_some(f, 50);
    checkpoint(f);
    seqno first = checkpointer_contents(db->checkpointer)->at;
    checkpointer_write_anew(db->checkpointer);
    assert_false(bootstrap_source_is_there(db, &at, &bytes));
    steps_run(f->n.env);
    assert_true(bootstrap_source_is_there(db, &at, &bytes));
    assert_true(at.v > first.v);
    const struct checkpoint_contents *c = checkpointer_contents(db->checkpointer);
    for (uint32_t i = 1; i < c->count; i++)
        assert_int_equal(c->places[i].pack, c->places[0].pack);
}

/* A manifest that cannot be read is no source, and says so. */
static void a_manifest_that_cannot_be_read_is_bad(void **state)
{
    struct fixture *f = *state;
    struct db *db = f->n.db;
    write_some(f, 5);
    checkpoint(f);
    struct file_names names;
    files_list(f->dir, "state", ".manifest", &names);
    file_flip(f->dir, names.names[names.count - 1], 150, 1);
    struct bootstrap_source *s = bootstrap_source_take(db);
    assert_non_null(s);
    steps_run(f->n.env);
    assert_true(s->is_bad);
    assert_null(bootstrap_source_take(db)); /* a newer one is on its way */
    steps_run(f->n.env);
    bootstrap_source_release(s);
    s = bootstrap_source_take(db);
    assert_non_null(s);
    steps_run(f->n.env);
    check_is_readable(s);
    bootstrap_source_release(s);
}

/* A slot that copies holds the log behind the checkpoint: what would use three quarters of its
 * budget, in bytes or in records, is no base for a copy, and a newer one is cut. */
static void a_checkpoint_far_behind_for_the_slots_budget_is_no_source(void **state)
{
    struct fixture *f = *state;
    seqno at;
    uint64_t bytes;
    for (int by_records = 0; by_records < 2; by_records++) {
        steps_node_close(&f->n);
        f->options.slot_budget_bytes = by_records ? GIB : 64 * KIB;
        f->options.slot_budget_records = by_records ? 100 : 0;
        open_node(f);
        struct db *db = f->n.db;
        write_some(f, 5);
        checkpoint(f);
        seqno first = checkpointer_contents(db->checkpointer)->at;
        while (bootstrap_source_is_there(db, &at, &bytes)) {
            assert_false(bootstrap_source_is_far(db, at, bytes));
            assert_int_equal(at.v, first.v);
            write_some(f, 1);
        }
        uint64_t held = log_bytes_after(db->log, first);
        uint64_t records = log_durable(db->log).seqno.v - first.v;
        if (by_records) {
            assert_int_equal(records, 75);
        } else {
            assert_in_range(held, 48 * KIB, 49 * KIB);
        }
        assert_null(bootstrap_source_take(db));
        steps_run(f->n.env);
        struct bootstrap_source *s = bootstrap_source_take(db);
        assert_non_null(s);
        assert_true(s->at.v > first.v);
        steps_run(f->n.env);
        bootstrap_source_release(s);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)
    const struct CMUnitTest tests[] = {
        TEST(packs_stay_while_somebody_copies_and_go_after_it),
        TEST(without_a_checkpoint_one_is_asked_for),
        TEST(a_damaged_checkpoint_is_written_anew),
        TEST(a_manifest_that_cannot_be_read_is_bad),
        TEST(a_checkpoint_far_behind_for_the_slots_budget_is_no_source),
    };
    return cmocka_run_group_tests_name("engine/bootstrap_source", tests, NULL, NULL);
}
