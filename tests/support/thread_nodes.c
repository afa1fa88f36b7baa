/* thread_nodes: see thread_nodes.h. */
#include "support/thread_nodes.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine/api_run.h"
#include "engine/reopen.h"

double seconds_now(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void rest_ms(unsigned ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    (void)nanosleep(&t, NULL);
}

/* --- nodes --- */

tide_db *thread_node_open(const char *dir, const char *id, const char *follow, const char *listen)
{
    struct tide_options options = {
        .size = sizeof(options),
        .dir = dir,
        .node_id = id,
        .follow = follow,
        .replication_listen = listen,
        .data_address = follow ? "127.0.0.1:7500" : "127.0.0.1:7400",
        .mark_interval_ms = UINT64_MAX,
        .heartbeat_ms = 50,
        .suspect_ms = 500,
        .dead_ms = 5000,
    };
    tide_db *db = NULL;
    struct tide_err e = {0};
    if (tide_open(&options, &db, NULL, &e) != TIDE_OK) fail_msg("%s", e.message);
    return db;
}

/* One look; the caller frees the run. */
static const struct tide_status *look(tide_db *db, tide_run **out_run)
{
    *out_run = tide_run_new();
    assert_int_equal(tide_run_status(*out_run), 0);
    assert_int_equal(tide_execute(db, *out_run), TIDE_OK);
    assert_int_equal(tide_run_result(*out_run, 0)->code, TIDE_OK);
    return tide_run_result(*out_run, 0)->as.status;
}

void thread_node_address(tide_db *db, char out[64])
{
    tide_run *run;
    (void)snprintf(out, 64, "%s", look(db, &run)->replication_address);
    tide_run_free(run);
}

bool thread_node_link_says(tide_db *db, const char *words)
{
    tide_run *run;
    bool has = strstr(look(db, &run)->link_state, words) != NULL;
    tide_run_free(run);
    return has;
}

uint64_t thread_node_applied(tide_db *db)
{
    struct tide_position at = {0};
    return tide_position_now(db, &at, NULL) == TIDE_OK ? at.seqno : 0;
}

/* --- pairs --- */

struct thread_pair *thread_pair_new(void)
{
    struct thread_pair *p = calloc(1, sizeof(*p));
    assert_non_null(p);
    p->leader_dir = tm_dir_make_fast("leader");
    p->follower_dir = tm_dir_make_fast("follower");
    return p;
}

void thread_pair_free(struct thread_pair *p)
{
    if (p->follower) node_close(p->follower);
    if (p->leader) node_close(p->leader);
    tide_transport_free(p->transport);
    tm_dir_remove(p->leader_dir);
    tm_dir_remove(p->follower_dir);
    free(p);
}

int thread_pair_setup(void **state)
{
    *state = thread_pair_new();
    return 0;
}

int thread_pair_teardown(void **state)
{
    thread_pair_free(*state);
    return 0;
}

void thread_pair_open(struct thread_pair *p)
{
    char address[64];
    p->leader = thread_node_open(p->leader_dir, "leader", NULL, "127.0.0.1:0");
    thread_node_address(p->leader, address);
    p->follower = thread_node_open(p->follower_dir, "follower", address, "127.0.0.1:0");
}

void thread_pair_open_over_pair(struct thread_pair *p)
{
    struct tide_err e = {0};
    if (tide_transport_pair(0, &p->transport, &e) != TIDE_OK) fail_msg("%s", e.message);
    p->leader = thread_node_open(p->leader_dir, "leader", NULL, TIDE_TRANSPORT);
    p->follower = thread_node_open(p->follower_dir, "follower", TIDE_TRANSPORT, NULL);
    if (tide_listen(p->leader, p->transport, "here", &e) != TIDE_OK) fail_msg("%s", e.message);
    if (tide_replicate(p->follower, p->transport, "here", &e) != TIDE_OK) {
        fail_msg("%s", e.message);
    }
}

bool thread_pair_is_level(const struct thread_pair *p)
{
    struct tide_position a = {0};
    struct tide_position b = {0};
    if (tide_position_now(p->leader, &a, NULL) != TIDE_OK) return false;
    if (tide_position_now(p->follower, &b, NULL) != TIDE_OK) return false;
    /* A deposed leader may hold as many records of another history. */
    return a.seqno > 0 && a.seqno == b.seqno && memcmp(a.chain4, b.chain4, sizeof(a.chain4)) == 0;
}

void thread_pair_check_digests(const struct thread_pair *p)
{
    struct tide_digest a = {0};
    struct tide_digest b = {0};
    for (int i = 0; i < 1000; i++) { /* the leader may log a digest or a tick in between */
        node_digest(p->leader, &a);
        node_digest(p->follower, &b);
        if (a.seqno == b.seqno) break;
        rest_ms(2);
    }
    assert_int_equal(a.seqno, b.seqno);
    assert_memory_equal(a.root, b.root, sizeof(a.root));
}

/* --- on the loop --- */

struct loop_call {
    struct env_task task;
    struct db *db;
    void (*fn)(struct db *db, void *arg);
    void *arg;
    _Atomic bool is_over;
};

static void run_call(struct env_task *task)
{
    struct loop_call *call = CONTAINER_OF(task, struct loop_call, task);
    call->fn(call->db, call->arg);
    atomic_store(&call->is_over, true);
}

void thread_node_call(tide_db *db, void (*fn)(struct db *db, void *arg), void *arg)
{
    struct loop_call call = {.task = {.run = run_call}, .db = api_db(db), .fn = fn, .arg = arg};
    call.db->env->v->post(call.db->env, &call.task);
    WAIT_UNTIL(atomic_load(&call.is_over));
}

struct reopen_call {
    struct reopen_request request;
    _Atomic int outcome; /* -1: under way */
    char text[ERR_TEXT_SIZE];
    void (*change)(struct db *db, void *arg);
    void *arg;
};

static void do_change(struct db *db, void *arg)
{
    struct reopen_call *call = arg;
    if (call->change) call->change(db, call->arg);
}

static void note_end(struct db *db, void *arg, enum code code, const struct err *e)
{
    struct reopen_call *call = arg;
    (void)db;
    (void)snprintf(call->text, sizeof(call->text), "%s", code == OK ? "" : e->text);
    atomic_store(&call->outcome, (int)code);
}

static void reopen_now(struct db *db, void *arg)
{
    struct reopen_call *call = arg;
    struct err e = {.code = OK};
    enum code code = db_reopen_with(db, &call->request, &e);
    if (code != OK) note_end(db, call, code, &e);
}

void thread_node_reopen(tide_db *db, void (*change)(struct db *db, void *arg), void *arg)
{
    struct reopen_call call = {
        .request = {.why = "a test", .change = do_change, .done = note_end},
        .outcome = -1,
        .change = change,
        .arg = arg,
    };
    call.request.arg = &call;
    thread_node_call(db, reopen_now, &call);
    WAIT_UNTIL(atomic_load(&call.outcome) >= 0);
    if (atomic_load(&call.outcome) != OK) fail_msg("%s", call.text);
}

/* --- load --- */

struct thread_load {
    pthread_t thread;
    tide_db *db;
    _Atomic bool is_stopped;
    uint64_t acknowledged;
};

static void *load_main(void *arg)
{
    struct thread_load *load = arg;
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("load")};
    while (!atomic_load(&load->is_stopped)) {
        if (tide_signal(load->db, &signal, NULL, NULL) == TIDE_OK) load->acknowledged++;
    }
    return NULL;
}

struct thread_load *thread_load_start(tide_db *db)
{
    struct thread_load *load = calloc(1, sizeof(*load));
    assert_non_null(load);
    load->db = db;
    assert_int_equal(pthread_create(&load->thread, NULL, load_main, load), 0);
    return load;
}

uint64_t thread_load_stop(struct thread_load *load)
{
    atomic_store(&load->is_stopped, true);
    assert_int_equal(pthread_join(load->thread, NULL), 0);
    uint64_t acknowledged = load->acknowledged;
    free(load);
    return acknowledged;
}
