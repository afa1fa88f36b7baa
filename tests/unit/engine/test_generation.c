/* Tests of engine/generation and engine/staging: a copy of another node's state is put beside the
 * own one and switched to. The directory opens as the old or as the new copy whatever file call was
 * the last one of a life, what was copied is found again, and what is left of the old copy goes. */
#include "engine/generation.h"

#include "engine/log.h"
#include "engine/staging.h"
#include "support/fixture.h"

#define OLD_COUNT 40u
#define NEW_COUNT 300u

static char *source_dir; /* a node with NEW_COUNT signals and a checkpoint behind them */
static char *old_dir;    /* the same cluster, OLD_COUNT signals */
static struct position mark;

static void write_signals(struct node *n, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_int_equal(steps_node_signal(n, "a"), TIDE_OK);
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
    source_dir = tm_dir_make_fast("generation-source");
    old_dir = tm_dir_make_fast("generation-old");
    open_at(&n, source_dir);
    write_signals(&n, OLD_COUNT);
    checkpoint(&n);
    steps_node_close(&n);
    files_copy(source_dir, old_dir);
    open_at(&n, source_dir);
    write_signals(&n, NEW_COUNT - OLD_COUNT);
    checkpoint(&n);
    write_signals(&n, 5); /* behind the mark */
    steps_node_close(&n);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(source_dir);
    tm_dir_remove(old_dir);
    return 0;
}

/* --- copying by hand --- */

struct copying {
    struct env *from;
    struct env *to;
    struct state_files from_files;
    struct state_files to_files;
    struct manifest_file m;
    struct staging staging;
    uint32_t found; /* blocks that were there already */
};

static void newest_manifest(const char *dir, char out[CHECKPOINT_NAME_SIZE])
{
    struct file_names names;
    files_list(dir, "state", ".manifest", &names);
    assert_true(names.count > 0);
    (void)snprintf(out, CHECKPOINT_NAME_SIZE, "%s", names.names[names.count - 1] + 6);
}

static void note_found(void *context, const struct hash256 *hash, uint32_t size, uint64_t offset)
{
    struct copying *c = context;
    (void)offset;
    bool is_known = false;
    for (uint32_t i = 0; i < c->m.manifest.block_count; i++) {
        const struct block_entry *entry = &c->m.manifest.blocks[i];
        if (hash256_equal(&entry->hash, hash) && entry->size == size) is_known = true;
    }
    assert_true(is_known);
    c->found++;
}

/* Open both sides. False: the target's file calls fail. */
static bool begin_copy(struct copying *c, struct env *to)
{
    *c = (struct copying){.from = steps_open(source_dir), .to = to};
    char name[CHECKPOINT_NAME_SIZE];
    static struct identity id;
    newest_manifest(source_dir, name);
    size_t size = 0;
    uint8_t *bytes = file_read(source_dir, "identity.a", &size);
    assert_int_equal(identity_decode(slice_of(bytes, size), &id, NULL), OK);
    free(bytes);
    c->from_files = (struct state_files){c->from, id.cluster, id.stream};
    c->to_files = (struct state_files){to, id.cluster, id.stream};
    assert_int_equal(manifest_file_read(&c->from_files, name, &c->m, NULL), OK);
    mark = c->m.manifest.position;
    return staging_open(&c->staging, &c->to_files, note_found, c, NULL) == OK;
}

static bool copy_blocks(struct copying *c, uint32_t count)
{
    struct pack_reader packs = {.files = &c->from_files};
    bool is_ok = true;
    for (uint32_t i = c->found; is_ok && i < c->m.manifest.block_count && i < count; i++) {
        const struct block_entry *entry = &c->m.manifest.blocks[i];
        size_t size = align_up(BLOCK_HEAD_SIZE + entry->size, PACK_ALIGN);
        uint8_t *bytes = calloc(1, size);
        uint64_t offset = 0;
        block_head_encode(&entry->hash, entry->size, bytes);
        assert_int_equal(
            pack_read_block(&packs, entry, &c->m.manifest.places[i], bytes + BLOCK_HEAD_SIZE, NULL),
            OK);
        is_ok = staging_add(&c->staging, slice_of(bytes, size), &offset, NULL) == OK;
        free(bytes);
    }
    pack_reader_fini(&packs);
    return is_ok;
}

static bool finish_copy(struct copying *c)
{
    struct manifest named = c->m.manifest;
    struct block_place *places = calloc(named.block_count, sizeof(*places));
    uint64_t offset = PACK_HEADER_SIZE;
    for (uint32_t i = 0; i < named.block_count; i++) {
        offset += BLOCK_HEAD_SIZE;
        places[i] = (struct block_place){.pack = STAGED_PACK, .offset = offset};
        offset = align_up(offset + named.blocks[i].size, PACK_ALIGN);
    }
    named.places = places;
    named.generation = 2;
    bool is_ok = staging_finish(&c->staging, &named, 77, NULL) == OK;
    free(places);
    return is_ok;
}

static void end_copy(struct copying *c)
{
    staging_close(&c->staging);
    manifest_file_fini(&c->m);
    steps_close(c->from);
}

/* All of it, on an env that is closed afterwards. */
static bool copy_all(struct env *to)
{
    struct copying c;
    bool is_ok = begin_copy(&c, to) && copy_blocks(&c, UINT32_MAX) && finish_copy(&c);
    end_copy(&c);
    steps_close(to);
    return is_ok;
}

static char *copy_of_old(void)
{
    char *dir = tm_dir_make_fast("generation-target");
    files_copy(old_dir, dir);
    return dir;
}

static void check_is_new(struct node *n)
{
    assert_int_equal(steps_node_count(n, "a"), NEW_COUNT);
    assert_int_equal(n->db->identity.generation, 2);
    assert_int_equal(n->db->identity.log_base.seqno.v, mark.seqno.v);
    assert_int_equal(log_oldest(n->db->log).v, mark.seqno.v + 1);
}

/* --- tests --- */

static void a_whole_copy_is_switched_to_and_the_old_one_goes(void **state)
{
    (void)state;
    char *dir = copy_of_old();
    struct node n = {0};
    open_at(&n, dir);
    uint64_t history_id = n.db->identity.history_id;
    uint64_t old_last = n.db->identity.last_segment;
    steps_node_close(&n);
    assert_true(copy_all(steps_open(dir)));
    open_at(&n, dir);
    check_is_new(&n);
    assert_int_not_equal(n.db->identity.history_id, history_id);
    assert_true(n.db->identity.first_segment > old_last);
    struct file_names names;
    files_list(dir, "state", ".manifest", &names);
    assert_int_equal(names.count, 1);
    files_list(dir, "state", ".pack", &names);
    assert_int_equal(names.count, 1);
    assert_string_equal(names.names[0], "state/000000000000004d.pack");
    write_signals(&n, 3); /* the log goes on behind the mark */
    steps_node_abandon(&n);
    open_at(&n, dir);
    assert_int_equal(steps_node_count(&n, "a"), NEW_COUNT + 3);
    checkpoint(&n);
    steps_node_close(&n);
    open_at(&n, dir);
    assert_int_equal(steps_node_count(&n, "a"), NEW_COUNT + 3);
    steps_node_close(&n);
    tm_dir_remove(dir);
}

/* The log that is given up was ahead of the copy, and its mark says so: that is no rot. */
static void the_mark_of_the_old_log_says_nothing_about_the_new_one(void **state)
{
    (void)state;
    char *dir = copy_of_old();
    struct node n = {0};
    open_at(&n, dir);
    write_signals(&n, 2 * NEW_COUNT);
    assert_true(log_durable(n.db->log).seqno.v > 2 * NEW_COUNT);
    steps_node_abandon(&n);
    assert_true(copy_all(steps_open(dir)));
    open_at(&n, dir);
    check_is_new(&n);
    steps_node_abandon(&n);
    open_at(&n, dir);
    check_is_new(&n);
    steps_node_close(&n);
    tm_dir_remove(dir);
}

/* A manifest of the next generation that does not verify was never whole. */
static void a_copy_that_is_not_whole_is_not_switched_to(void **state)
{
    (void)state;
    char *dir = copy_of_old();
    struct node n = {0};
    assert_true(copy_all(steps_open(dir)));
    char name[CHECKPOINT_NAME_SIZE];
    char path[CHECKPOINT_NAME_SIZE + 8];
    newest_manifest(dir, name);
    (void)snprintf(path, sizeof(path), "state/%s", name);
    file_flip(dir, path, 200, 1);
    open_at(&n, dir);
    assert_int_equal(steps_node_count(&n, "a"), OLD_COUNT);
    assert_int_equal(n.db->identity.generation, 1);
    assert_false(file_exists(dir, path)); /* and is a leftover */
    assert_false(file_exists(dir, "state/000000000000004d.pack"));
    steps_node_close(&n);
    tm_dir_remove(dir);
}

/* What is staged is its own index: whole blocks are found again, a torn one is cut off. */
static void what_was_copied_is_found_again_and_a_torn_end_is_cut_off(void **state)
{
    (void)state;
    char *dir = copy_of_old();
    struct copying c;
    struct env *to = steps_open(dir);
    assert_true(begin_copy(&c, to));
    assert_int_equal(c.found, 0);
    assert_true(c.m.manifest.block_count >= 5);
    assert_true(copy_blocks(&c, 4));
    uint64_t end = c.staging.end;
    end_copy(&c);
    steps_close(to);
    file_cut(dir, "staging/blocks", end - 65); /* the last one is torn */
    to = steps_open(dir);
    assert_true(begin_copy(&c, to));
    assert_int_equal(c.found, 3);
    assert_true(copy_blocks(&c, 4));
    assert_int_equal(c.staging.end, end);
    end_copy(&c);
    steps_close(to);
    file_flip(dir, "staging/blocks", PACK_HEADER_SIZE + BLOCK_HEAD_SIZE + 1, 4);
    to = steps_open(dir);
    assert_true(begin_copy(&c, to));
    assert_int_equal(c.found, 0);
    assert_true(copy_blocks(&c, UINT32_MAX) && finish_copy(&c));
    end_copy(&c);
    steps_close(to);
    struct node n = {0};
    open_at(&n, dir);
    check_is_new(&n);
    steps_node_close(&n);
    tm_dir_remove(dir);
}

/* A disk of which a sync fails: what was written stays in the cache, is read from there, and is not
 * on the disk. Only past the cache one sees what is: the bytes of the last sync that was good. */
static const struct env_vtable *below;
static struct slice on_disk;
static bool syncs_fail;

static enum code open_past_cache(struct env *env, const char *path, unsigned flags,
                                 struct env_file **out, struct err *e)
{
    if ((flags & ENV_UNCACHED) == 0) return below->open(env, path, flags, out, e);
    struct env_file *file = NULL;
    assert_int_equal(below->open(env, "on-disk", ENV_WRITE | ENV_CREATE, &file, e), OK);
    assert_int_equal(below->truncate(env, file, 0, e), OK);
    assert_int_equal(below->pwrite(env, file, 0, on_disk, e), OK);
    below->close(env, file);
    return below->open(env, "on-disk", ENV_READ, out, e);
}

static enum code sync_or_fail(struct env *env, struct env_file *file, struct err *e)
{
    uint64_t size = 0;
    size_t got = 0;
    if (syncs_fail) return ERR(e, E_IO, "sync fails as the test wants");
    assert_int_equal(below->size(env, file, &size, e), OK);
    uint8_t *bytes = malloc((size_t)size + 1);
    assert_int_equal(below->pread(env, file, 0, bytes, (size_t)size, &got, e), OK);
    free((void *)(uintptr_t)on_disk.data);
    on_disk = slice_of(bytes, got);
    return OK;
}

/* What a failed sync left in the cache alone is copied again: the sync at the end of the copy would
 * not bring it to the disk. */
static void what_a_failed_sync_left_in_the_cache_is_not_held(void **state)
{
    (void)state;
    char *dir = copy_of_old();
    struct copying c;
    struct env *to = steps_open(dir);
    below = to->v;
    struct env_vtable with_cache = *below;
    with_cache.open = open_past_cache;
    with_cache.sync = sync_or_fail;
    to->v = &with_cache;
    assert_true(begin_copy(&c, to));
    assert_true(copy_blocks(&c, 2));
    assert_int_equal(staging_sync(&c.staging, NULL), OK);
    c.found = 2;
    assert_true(copy_blocks(&c, 4));
    syncs_fail = true;
    assert_int_equal(staging_sync(&c.staging, NULL), E_IO);
    syncs_fail = false;
    end_copy(&c);
    assert_true(begin_copy(&c, to));
    assert_int_equal(c.found, 2);
    end_copy(&c);
    free((void *)(uintptr_t)on_disk.data);
    on_disk = slice_of(NULL, 0);
    steps_close(to);
    tm_dir_remove(dir);
}

/* Every file call of copying and of switching is the last one of a life, torn or not: what opens
 * afterwards is the old copy or the new one, and copying again ends as the new one. */
static void any_call_may_be_the_last_one(void **state)
{
    (void)state;
    uint32_t opened_old = 0;
    uint32_t opened_new = 0;
    for (uint64_t nth = 1;; nth++) {
        char *dir = copy_of_old();
        struct steps_fault fault = {
            .nth = nth, .code = E_IO, .is_for_ever = true, .writes_only = true, .tears = true};
        struct node n = {0};
        struct err e = {.code = OK};
        struct env *to = steps_open(dir);
        steps_fail(to, &fault);
        bool is_copied = copy_all(to);
        if (is_copied) { /* it was not reached: the switch gets it */
            struct tide_options options = node_options(dir);
            n.env = steps_open(dir);
            steps_fail(n.env, &fault);
            enum code code = steps_node_open_on(&n, &options, &e);
            (void)code; /* it may */
            bool has_failed = steps_has_failed(n.env);
            steps_node_abandon(&n);
            if (!has_failed) {
                tm_dir_remove(dir);
                break;
            }
        }
        open_at(&n, dir);
        if (n.db->identity.generation == 2) {
            check_is_new(&n);
            opened_new++;
        } else {
            assert_false(is_copied);
            assert_int_equal(steps_node_count(&n, "a"), OLD_COUNT);
            opened_old++;
        }
        bool is_new = n.db->identity.generation == 2;
        if (is_new) { /* what is written then is of this generation, too */
            write_signals(&n, 3);
            steps_node_abandon(&n);
            open_at(&n, dir);
            assert_int_equal(steps_node_count(&n, "a"), NEW_COUNT + 3);
        }
        steps_node_close(&n);
        if (!is_new) {
            assert_true(copy_all(steps_open(dir)));
            open_at(&n, dir);
            check_is_new(&n);
            steps_node_close(&n);
        }
        tm_dir_remove(dir);
    }
    assert_true(opened_old > 10);
    assert_true(opened_new > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_whole_copy_is_switched_to_and_the_old_one_goes),
        cmocka_unit_test(the_mark_of_the_old_log_says_nothing_about_the_new_one),
        cmocka_unit_test(a_copy_that_is_not_whole_is_not_switched_to),
        cmocka_unit_test(what_was_copied_is_found_again_and_a_torn_end_is_cut_off),
        cmocka_unit_test(what_a_failed_sync_left_in_the_cache_is_not_held),
        cmocka_unit_test(any_call_may_be_the_last_one),
    };
    return cmocka_run_group_tests_name("engine/generation", tests, setup, teardown);
}
