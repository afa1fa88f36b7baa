/* apply: records that cannot be applied stop a node where it is; the epoch table comes back from
 * checkpoint and log. */
#include "base/bytes.h"
#include "base/hash.h"
#include "engine/log.h"
#include "engine/log_open.h"
#include "format/record.h"
#include "support/node.h"

struct fixture {
    char *dir;
    struct tide_options options;
    struct node n;
};

static void open_node(struct fixture *f)
{
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("apply");
    f->options = node_options(f->dir);
    open_node(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    steps_node_abandon(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

/* A batch that a later version may have written: its record is good, its effect is not known. */
static struct log_chunk *unknown_effect(struct fixture *f)
{
    struct log *log = f->n.db->log;
    uint8_t bytes[1024];
    struct bytes_writer w =
        bytes_writer_of(bytes + BATCH_HEADER_SIZE, sizeof(bytes) - BATCH_HEADER_SIZE);
    struct record r = {.kind = RECORD_ITEM_PURGE, .as.item_ref.key = slice_of_text("a")};
    struct err e;
    uint64_t time = state_leader_time(f->n.db->state) + 1;
    if (record_encode(&w, &r, (int64_t)hlc_ms(time), &e) != OK) fail_msg("%s", e.text);
    struct slice payload = bytes_written_slice(&w);
    struct position before = log_durable(log);
    struct batch_header h = {
        .record_count = 1,
        .cluster = log_identity_of(log)->cluster,
        .stream = log_identity_of(log)->stream,
        .epoch = f->n.db->epoch,
        .first = seqno_next(before.seqno),
        .payload_size = (uint32_t)payload.size,
        .raw_size = (uint32_t)payload.size,
        .leader_time = time,
        .durable_through = before.seqno,
        .previous_chain = before.chain,
        .payload_hash = hash256_of(payload),
    };
    batch_header_encode(&h, log_identity_of(log)->log_key, bytes);
    struct position end = {
        .epoch = h.epoch.number, .seqno = batch_last(&h), .chain = batch_chain(bytes)};
    struct log_chunk *chunk = chunk_new(log, sizeof(bytes), 1);
    assert_true(chunk_add(chunk, slice_of(bytes, BATCH_HEADER_SIZE + payload.size), &h, &end));
    return chunk;
}

static void a_record_without_a_known_effect_halts_the_node_and_is_never_skipped(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    uint64_t applied = db_applied(f->n.db).seqno.v;
    tide_run *waiting = tide_run_new();
    assert_int_equal(tide_run_checkpoint(waiting), 0);
    db_write_chunk(f->n.db, unknown_effect(f));
    steps_run(f->n.env);
    assert_int_equal(f->n.db->condition, DB_HALTED);
    assert_non_null(strstr(f->n.db->reason.text, "item-purge"));
    assert_int_equal(db_applied(f->n.db).seqno.v, applied);
    assert_int_equal(log_durable(f->n.db->log).seqno.v, applied + 1);
    assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_HALTED);
    assert_int_equal(steps_node_count(&f->n, "a"), 1); /* reads go on, at the place before it */
    steps_node_execute(&f->n, waiting);
    assert_int_equal(tide_run_result(waiting, 0)->code, TIDE_HALTED);
    tide_run_free(waiting);
    steps_node_abandon(&f->n);
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open(&f->n, &f->options, &e), E_HALTED);
    assert_non_null(strstr(e.text, "item-purge"));
}

static void every_start_is_an_epoch_and_the_table_comes_back(void **state)
{
    struct fixture *f = *state;
    uint64_t starts[6];
    for (uint64_t life = 1; life <= 6; life++) {
        const struct identity *id = &f->n.db->identity;
        assert_int_equal(id->epoch_count, life);
        assert_int_equal(f->n.db->epoch.number, life);
        starts[life - 1] = id->epochs[life - 1].start.v;
        for (uint64_t i = 0; i < life; i++) {
            assert_int_equal(id->epochs[i].epoch.number, i + 1);
            assert_int_equal(id->epochs[i].start.v, starts[i]);
        }
        assert_int_equal(id->incarnation, life);
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
        if (life == 3) {
            tide_run *run = tide_run_new();
            assert_int_equal(tide_run_checkpoint(run), 0);
            steps_node_execute(&f->n, run);
            tide_run_free(run);
        }
        if (life == 4) { /* the lazy copy in identity is not needed for it */
            steps_node_close(&f->n);
        } else {
            steps_node_abandon(&f->n);
        }
        open_node(f);
    }
    assert_int_equal(steps_node_count(&f->n, "a"), 6);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_record_without_a_known_effect_halts_the_node_and_is_never_skipped),
        TEST(every_start_is_an_epoch_and_the_table_comes_back),
    };
    return cmocka_run_group_tests_name("engine/apply", tests, NULL, NULL);
}
