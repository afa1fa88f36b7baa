/* truncate: a log is cut back to where another history begins, wherever the process dies meanwhile:
 * what is given up lies in quarantine/, what is kept is as it was, and a node that was deposed
 * follows again by itself. */
#include "engine/truncate.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/text.h"
#include "core/epoch.h"
#include "engine/identity_store.h"
#include "engine/members.h"
#include "engine/truncate_files.h"
#include "format/reader.h"
#include "format/record.h"
#include "support/fixture.h"
#include "support/thread_nodes.h"

/* Several small segments, a checkpoint in each half, and the fork in the middle of a segment. */
struct scene {
    struct fixture *f;
    char *prepared; /* a copy of the directory with the intent noted */
    struct position fork;
    struct position end;
    uint64_t kept;    /* signals up to the fork */
    uint64_t written; /* signals */
    uint64_t history_id;
};

static void write_signals(struct fixture *f, uint64_t count)
{
    for (uint64_t i = 0; i < count; i++) {
        assert_int_equal(steps_node_signal(&f->n, "a"), TIDE_OK);
    }
}

static void checkpoint(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_checkpoint(f->run), 0);
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
}

static void seal(struct fixture *f)
{
    tide_run_reset(f->run);
    assert_int_equal(tide_run_log_seal(f->run), 0);
    steps_node_execute(&f->n, f->run);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
}

static struct position durable(const struct fixture *f)
{
    return log_durable(f->n.db->log);
}

/* Note the intent in a directory that nobody has open. */
static void note_intent(const struct scene *s)
{
    struct env *env = steps_open(s->f->dir);
    struct identity *id = calloc(1, sizeof(*id));
    bool is_found = false;
    struct err e = {.code = OK};
    assert_non_null(id);
    assert_int_equal(identity_load(env, id, &is_found, &e), OK);
    id->intent = (struct truncation_intent){
        .step = TRUNCATION_INTENDED,
        .fork = s->fork,
        .end = s->end,
        .link_nonce = 4711,
        .lowered_mark = s->fork.seqno,
    };
    assert_int_equal(identity_save_now(env, id, &e), OK);
    free(id);
    steps_close(env);
}

static struct scene *scene_new(bool has_client_tail)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    struct fixture *f = s->f = fixture_new("truncate");
    s->prepared = tm_dir_make_fast("truncate-prepared");
    open_node(f);
    write_signals(f, 10);
    checkpoint(f);
    seal(f);
    write_signals(f, 5);
    s->kept = 15;
    s->fork = durable(f);
    s->written = s->kept;
    if (has_client_tail) {
        write_signals(f, 3);
        seal(f);
        write_signals(f, 2);
        checkpoint(f);
        seal(f);
        write_signals(f, 2);
        s->written += 7;
    } else {
        checkpoint(f); /* a mark and its digest */
    }
    s->end = durable(f);
    s->history_id = f->n.db->identity.history_id;
    steps_node_close(&f->n);
    note_intent(s);
    files_copy(f->dir, s->prepared);
    return s;
}

static int begin(void **state)
{
    *state = scene_new(true);
    return 0;
}

static int begin_quiet(void **state)
{
    *state = scene_new(false);
    return 0;
}

static int end(void **state)
{
    struct scene *s = *state;
    void *f = s->f;
    tm_dir_remove(s->prepared);
    free(s);
    return fixture_end(&f);
}

/* What status tells: every record that was given up, and from which epoch. */
static void check_list(const struct scene *s)
{
    const struct quarantine_list *list = &s->f->n.db->quarantine;
    uint64_t next = s->fork.seqno.v + 1;
    assert_true(list->count > 1);
    assert_int_equal(list->file_count, list->count);
    for (bool is_found = true; is_found;) {
        is_found = false;
        for (uint32_t i = 0; i < list->count; i++) {
            if (list->files[i].first != next) continue;
            assert_false(list->files[i].is_torn);
            assert_int_equal(list->files[i].epoch, s->end.epoch);
            next = list->files[i].last + 1;
            is_found = true;
        }
    }
    assert_int_equal(next, s->end.seqno.v + 1);
}

/* Signals in the segments of quarantine/, each record once; files that a crash cut short hold the
 * beginning of what a later one holds. */
static uint64_t signals_in_quarantine(const struct fixture *f, const struct log_identity *id)
{
    bool is_seen[256] = {false};
    struct file_names names;
    uint64_t count = 0;
    files_list(f->dir, "quarantine", ".seg", &names);
    for (size_t i = 0; i < names.count; i++) {
        size_t size = 0;
        uint8_t *bytes = file_read(f->dir, names.names[i], &size);
        struct segment_header header;
        assert_int_equal(segment_header_decode(bytes, &header), SEGMENT_OK);
        struct position at = {.seqno = seqno_of(header.first.v - 1),
                              .chain = header.chain_at_start};
        for (size_t offset = SEGMENT_HEADER_SIZE; offset + BATCH_HEADER_SIZE <= size;) {
            struct batch_header batch;
            struct hash256 chain;
            if (batch_header_decode(bytes + offset, id, &batch) != BATCH_OK) break;
            struct slice whole = slice_of(bytes + offset, BATCH_HEADER_SIZE + batch.payload_size);
            assert_int_equal(batch_verify_next(whole, id, &at, &batch, &chain, NULL), OK);
            struct bytes_reader payload =
                bytes_reader_of(slice_of(whole.data + BATCH_HEADER_SIZE, batch.payload_size));
            for (uint32_t n = 0; n < batch.record_count; n++) {
                struct record record;
                int64_t base_ms = (int64_t)hlc_ms(batch.leader_time);
                assert_int_equal(record_decode(&payload, base_ms, &record, NULL), OK);
                assert_true(batch.first.v + n < 256);
                bool is_new = !is_seen[batch.first.v + n];
                is_seen[batch.first.v + n] = true;
                count += record.kind == RECORD_SIGNAL && is_new;
            }
            at = (struct position){
                .epoch = batch.epoch.number, .seqno = batch_last(&batch), .chain = chain};
            offset += batch_file_size(&batch);
        }
        free(bytes);
    }
    return count;
}

/* The node is open: everything is as the promise says. */
static void check_cut(const struct scene *s)
{
    struct fixture *f = s->f;
    struct db *db = f->n.db;
    assert_int_equal(steps_node_count(&f->n, "a"), s->kept);
    assert_int_equal(db->identity.intent.step, TRUNCATION_NONE);
    assert_int_not_equal(db->identity.history_id, s->history_id);
    /* A new epoch begins right behind the fork. */
    struct epoch_table table = {.entries = db->identity.epochs,
                                .count = db->identity.epoch_count,
                                .last = durable(f).seqno};
    const struct epoch_entry *next = epoch_of(&table, seqno_next(s->fork.seqno));
    assert_non_null(next);
    assert_int_equal(next->start.v, s->fork.seqno.v + 1);
    assert_true(hash256_equal(&next->chain_before, &s->fork.chain));
    assert_int_equal(signals_in_quarantine(f, log_identity_of(db->log)), s->written - s->kept);
    struct file_names manifests;
    files_list(f->dir, "state", ".manifest", &manifests);
    assert_int_equal(manifests.count, 1); /* the one below the fork */
}

static void the_tail_goes_to_quarantine_and_the_state_back_to_the_fork(void **state)
{
    struct scene *s = *state;
    open_node(s->f);
    check_cut(s);
    check_list(s);
    const struct db_events *events = &s->f->n.db->events;
    assert_int_equal(events->by_kind[DB_EVENT_TRUNCATION], 1);
    /* It is a log like any other: it takes writes and opens again. */
    write_signals(s->f, 3);
    steps_node_close(&s->f->n);
    open_node(s->f);
    assert_int_equal(steps_node_count(&s->f->n, "a"), s->kept + 3);
    assert_int_equal(s->f->n.db->events.by_kind[DB_EVENT_TRUNCATION], 0);
}

static void a_tail_of_marks_and_epochs_is_dropped_without_a_word(void **state)
{
    struct scene *s = *state;
    open_node(s->f);
    check_cut(s);
    struct file_names names;
    files_list(s->f->dir, "quarantine", ".seg", &names);
    assert_int_equal(names.count, 0);
    assert_int_equal(s->f->n.db->events.by_kind[DB_EVENT_TRUNCATION], 0);
}

/* Open with a fault, and abandon what came of it. False: no call met the fault. */
static bool open_and_die(struct scene *s, const struct steps_fault *fault)
{
    struct fixture *f = s->f;
    struct err e = {.code = OK};
    f->n.env = steps_open(f->dir);
    steps_fail(f->n.env, fault);
    enum code code = steps_node_open_on(&f->n, &f->options, &e);
    if (code != OK) assert_true(e.text[0] != '\0');
    bool has_failed = steps_has_failed(f->n.env);
    steps_node_abandon(&f->n);
    return has_failed;
}

/* Every file call is the last one of the process; then, in the life that carries the intent out
 * again, another one is, too. */
static void a_crash_at_any_file_call_and_again_in_the_redo_keeps_the_promise(void **state)
{
    struct scene *s = *state;
    uint64_t calls = 0;
    for (uint64_t nth = 1;; nth++) {
        struct steps_fault first = {
            .nth = nth, .code = E_IO, .is_for_ever = true, .tears = nth % 2 == 0};
        struct steps_fault second = first;
        second.nth = 1 + nth * 7 % 97; /* 97 is prime: all sorts of pairs */
        files_copy(s->prepared, s->f->dir);
        if (!open_and_die(s, &first)) break;
        calls++;
        (void)open_and_die(s, &second);
        open_node(s->f);
        check_cut(s);
        steps_node_abandon(&s->f->n);
    }
    print_message("%llu file calls\n", (unsigned long long)calls);
    assert_true(calls > 50);
}

/* Every call fails once without ending the process: opening says why, or is not disturbed. */
static void any_file_call_may_fail(void **state)
{
    struct scene *s = *state;
    for (uint64_t nth = 1;; nth++) {
        struct steps_fault fault = {.nth = nth, .code = E_DISKFULL};
        files_copy(s->prepared, s->f->dir);
        bool has_failed = open_and_die(s, &fault);
        open_node(s->f);
        check_cut(s);
        steps_node_abandon(&s->f->n);
        if (!has_failed) break;
    }
}

/* --- the order --- */

struct refusal {
    bool is_told;
    char text[ERR_TEXT_SIZE];
};

static void note_refusal(void *arg, const struct err *e)
{
    struct refusal *r = arg;
    r->is_told = true;
    memcpy(r->text, e->text, sizeof(r->text));
}

static void settle(struct fixture *f)
{
    for (size_t i = 0; i < 1000; i++) {
        steps_run(f->n.env);
        steps_advance(f->n.env, NS_PER_MS);
        if (!f->n.db->reopening && !f->n.db->truncation) break;
    }
    assert_null(f->n.db->reopening);
}

static int begin_plain(void **state)
{
    struct fixture *f = fixture_new("truncate-order");
    open_node(f);
    write_signals(f, 10);
    *state = f;
    return 0;
}

static void an_order_cuts_a_running_node_back(void **state)
{
    struct fixture *f = *state;
    struct refusal refusal = {0};
    struct err e = {.code = OK};
    struct truncation_order order = {.fork = durable(f), .link_nonce = 1, .epoch = 9};
    uint64_t history_id = f->n.db->identity.history_id;
    write_signals(f, 4);
    order.end = durable(f);
    assert_int_equal(truncation_begin(f->n.db, &order, note_refusal, &refusal, &e), OK);
    assert_int_equal(truncation_begin(f->n.db, &order, note_refusal, &refusal, &e), E_BUSY);
    settle(f);
    assert_false(refusal.is_told);
    assert_int_equal(steps_node_count(&f->n, "a"), 10);
    assert_int_not_equal(f->n.db->identity.history_id, history_id);
    assert_int_equal(f->n.db->epoch.number, 10); /* the order's epoch was seen */
    assert_int_equal(f->n.db->log_regressed, 1);
}

/* Protocol error 10: an order that was delayed beyond its link, and beyond a restart. */
static void an_order_for_another_end_does_nothing(void **state)
{
    struct fixture *f = *state;
    struct refusal refusal = {0};
    struct err e = {.code = OK};
    struct truncation_order order = {.fork = durable(f), .link_nonce = 1};
    write_signals(f, 4);
    order.end = durable(f);
    write_signals(f, 1); /* the log moved on since */
    uint64_t history_id = f->n.db->identity.history_id;
    assert_int_equal(truncation_begin(f->n.db, &order, note_refusal, &refusal, &e), OK);
    settle(f);
    assert_int_equal(steps_node_count(&f->n, "a"), 15);
    assert_int_equal(f->n.db->identity.history_id, history_id);
}

static void a_fork_that_is_not_in_the_log_is_refused(void **state)
{
    struct fixture *f = *state;
    struct refusal refusal = {0};
    struct err e = {.code = OK};
    struct truncation_order order = {.fork = durable(f), .link_nonce = 1};
    write_signals(f, 4);
    order.end = durable(f);
    order.fork.chain.bytes[3] ^= 1;
    assert_int_equal(truncation_begin(f->n.db, &order, note_refusal, &refusal, &e), OK);
    settle(f);
    assert_true(refusal.is_told);
    assert_non_null(strstr(refusal.text, "not of this log"));
    assert_int_equal(steps_node_count(&f->n, "a"), 14);
}

/* Protocol error 3: a sync that was in flight when the order came is waited for, so that it cannot
 * raise `durable` over bytes that are gone. The log is another one then, and the order void. */
static void a_sync_in_flight_ends_before_anything_is_cut(void **state)
{
    struct fixture *f = *state;
    struct refusal refusal = {0};
    struct err e = {.code = OK};
    bool is_done = false;
    struct truncation_order order = {.fork = durable(f), .link_nonce = 1};
    write_signals(f, 4);
    order.end = durable(f);
    steps_hold(f->n.env, LANE_LOG, true);
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
    assert_int_equal(tide_run_signal(f->run, &signal, NULL), 0);
    steps_node_submit(&f->n, f->run, &is_done);
    steps_run(f->n.env);
    assert_int_equal(truncation_begin(f->n.db, &order, note_refusal, &refusal, &e), OK);
    for (int i = 0; i < 50; i++) {
        steps_run(f->n.env);
        steps_advance(f->n.env, NS_PER_MS);
    }
    assert_non_null(f->n.db->reopening);
    steps_hold(f->n.env, LANE_LOG, false);
    settle(f);
    assert_true(is_done);
    assert_int_equal(tide_run_result(f->run, 0)->code, TIDE_OK);
    assert_int_equal(steps_node_count(&f->n, "a"), 15); /* acknowledged, so it is there */
}

/* --- a leader that was replaced --- */

/* It leads without asking anybody: as one does that was cut off from all the others. */
static void lead(struct db *db, void *arg)
{
    (void)arg;
    const struct topology *t = members_topology(db);
    while (t->count > 0) {
        members_drop(db, t->members[t->count - 1].node_id);
    }
    db->identity.role = ROLE_LEADER;
    db->identity.leader_address[0] = '\0';
}

static void follow(struct db *db, void *arg)
{
    db->identity.role = ROLE_FOLLOWER;
    memset(db->identity.leader_address, 0, sizeof(db->identity.leader_address));
    memcpy(db->identity.leader_address, arg, strlen(arg));
}

static void copy_history_id(struct db *db, void *arg)
{
    *(uint64_t *)arg = db->identity.history_id;
}

static void count_truncations(struct db *db, void *arg)
{
    *(uint64_t *)arg = db->events.by_kind[DB_EVENT_TRUNCATION];
}

static void swap_roles(struct thread_pair *p)
{
    tide_db *db = p->leader;
    char *dir = p->leader_dir;
    p->leader = p->follower;
    p->leader_dir = p->follower_dir;
    p->follower = db;
    p->follower_dir = dir;
}

/* The follower leads, while the old leader goes on alone for a while; then it is told to follow. */
static void depose(struct thread_pair *p, uint64_t alone, uint64_t after)
{
    char address[64];
    thread_node_reopen(p->follower, lead, NULL);
    for (uint64_t i = 0; i < alone; i++) {
        (void)node_signal(p->leader, "view", "lost");
    }
    for (uint64_t i = 0; i < after; i++) {
        (void)node_signal(p->follower, "view", "b");
    }
    thread_node_address(p->follower, address);
    thread_node_reopen(p->leader, follow, address);
    swap_roles(p);
}

static uint64_t truncations(tide_db *db)
{
    uint64_t count = 0;
    thread_node_call(db, count_truncations, &count);
    return count;
}

/* Protocol error 1: also when the new leader writes nothing more. */
static void a_deposed_leader_follows_again_with_its_tail_quarantined(void **state)
{
    struct thread_pair *p = *state;
    uint64_t before = 0;
    uint64_t after = 0;
    thread_pair_open(p);
    for (int i = 0; i < 20; i++) {
        (void)node_signal(p->leader, "view", "a");
    }
    WAIT_UNTIL(thread_pair_is_level(p));
    thread_node_call(p->leader, copy_history_id, &before);
    depose(p, 7, 0);
    WAIT_UNTIL(thread_pair_is_level(p));
    thread_pair_check_digests(p);
    assert_int_equal(node_count(p->follower, "view", "a"), 20);
    assert_int_equal(node_count(p->follower, "view", "lost"), 0);
    thread_node_call(p->follower, copy_history_id, &after);
    assert_int_not_equal(after, before);
    assert_int_equal(truncations(p->follower), 1);
    struct file_names names;
    files_list(p->follower_dir, "quarantine", ".seg", &names);
    assert_int_equal(names.count, 1);
    (void)node_signal(p->leader, "view", "b"); /* and it follows on */
    WAIT_UNTIL(thread_pair_is_level(p));
    assert_int_equal(node_count(p->follower, "view", "b"), 1);
}

/* Back and forth, under load, with checkpoints: each time the tail of the deposed one is given up.
 */
static void leaders_may_be_deposed_again_and_again(void **state)
{
    struct thread_pair *p = *state;
    thread_pair_open(p);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 5; i++) {
            (void)node_signal(p->leader, "view", "a");
        }
        WAIT_UNTIL(thread_pair_is_level(p));
        if (round % 2 == 0) assert_int_equal(tide_checkpoint(p->leader, NULL, NULL), TIDE_OK);
        WAIT_UNTIL(thread_pair_is_level(p));
        depose(p, 3, (uint64_t)round);
        WAIT_UNTIL(thread_pair_is_level(p));
        thread_pair_check_digests(p);
        assert_int_equal(node_count(p->follower, "view", "lost"), 0);
        assert_int_equal(node_count(p->follower, "view", "a"), 5 * (uint64_t)(round + 1));
    }
}

int main(int argc, char **argv)
{
#define SCENE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define ORDER(name) cmocka_unit_test_setup_teardown(name, begin_plain, fixture_end)
#define PAIR(name)  cmocka_unit_test_setup_teardown(name, thread_pair_setup, thread_pair_teardown)
    const struct CMUnitTest tests[] = {
        SCENE(the_tail_goes_to_quarantine_and_the_state_back_to_the_fork),
        cmocka_unit_test_setup_teardown(a_tail_of_marks_and_epochs_is_dropped_without_a_word,
                                        begin_quiet, end),
        SCENE(a_crash_at_any_file_call_and_again_in_the_redo_keeps_the_promise),
        SCENE(any_file_call_may_fail),
        ORDER(an_order_cuts_a_running_node_back),
        ORDER(an_order_for_another_end_does_nothing),
        ORDER(a_fork_that_is_not_in_the_log_is_refused),
        ORDER(a_sync_in_flight_ends_before_anything_is_cut),
        PAIR(a_deposed_leader_follows_again_with_its_tail_quarantined),
        PAIR(leaders_may_be_deposed_again_and_again),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("engine/truncate", tests, NULL, NULL);
}
