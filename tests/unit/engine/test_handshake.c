/* The handshake over a real link: what a running leader answers to each kind of hello, once, and
 * which orders a running follower believes. The hellos are made by hand, from what the leader's own
 * identity says. The rows themselves are in unit.core.resume. */
#include "support/tm_test.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include "engine/plan.h"
#include "engine/shipper_internal.h"
#include "support/thread_nodes.h"

#define PEER_PATIENCE_S 20

/* --- frames by hand --- */

static void be_patient(int fd)
{
    struct timeval patience = {.tv_sec = PEER_PATIENCE_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
}

static int connect_to(const char *address)
{
    const char *colon = strrchr(address, ':');
    assert_non_null(colon);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)strtoul(colon + 1, NULL, 10)),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    be_patient(fd);
    return fd;
}

static void send_message(int fd, const struct wire_message *m)
{
    uint8_t bytes[16 * 1024];
    size_t size = wire_encode(m, bytes, sizeof(bytes));
    assert_true(size > 0);
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

static void read_all(int fd, uint8_t *out, size_t size)
{
    for (size_t got = 0; got < size;) {
        ssize_t n = recv(fd, out + got, size - got, 0);
        if (n <= 0) fail_msg("the peer sends nothing more");
        got += (size_t)n;
    }
}

/* The next message of this kind; slices of it are valid until the next call. */
static void read_message(int fd, enum wire_kind kind, struct wire_message *out)
{
    static uint8_t body[256 * 1024];
    for (;;) {
        uint8_t head[WIRE_HEADER_SIZE];
        struct wire_header header;
        read_all(fd, head, sizeof(head));
        assert_int_equal(wire_header_decode(head, sizeof(body), &header, NULL), OK);
        read_all(fd, body, header.body_size);
        if (header.kind != kind) continue;
        struct err e = {.code = OK};
        if (wire_decode(&header, slice_of(body, header.body_size), out, &e) != OK) {
            fail_msg("%s", e.text);
        }
        return;
    }
}

/* --- a leader and what it knows --- */

#define RECORDS 20

static struct leader {
    struct thread_pair *pair;
    char address[64];
    struct position at[64]; /* by seqno: ends of batches, seqno 0 where none is */
    struct position end;
    struct wire_hello hello; /* of a follower that holds all */
    char cluster_text[1];
} L;

static void look_at_leader(struct db *db, void *arg)
{
    struct wire_hello *hello = arg;
    const struct identity *id = &db->identity;
    struct epoch_table table = {
        .entries = id->epochs, .count = id->epoch_count, .last = log_durable(db->log).seqno};
    hello->cluster = id->cluster;
    hello->stream = id->stream;
    hello->feature_level = id->feature_level;
    hello->highest_epoch = id->highest_epoch;
    hello->last = log_durable(db->log);
    hello->applied = hello->last.seqno;
    hello->epoch_count = epoch_copy_newest(&table, hello->epochs, WIRE_EPOCHS_MAX);
    uint32_t index = 0;
    for (uint64_t s = 1; s <= hello->last.seqno.v && s < COUNT_OF(L.at); s++) {
        const struct log_chunk *chunk = log_tail_find(db->log, seqno_of(s), &index);
        if (chunk == NULL) continue;
        const struct position *end = &chunk->batches[index].end;
        if (end->seqno.v < COUNT_OF(L.at)) L.at[end->seqno.v] = *end;
    }
}

static int begin(void **state)
{
    struct thread_pair *p = thread_pair_new();
    memset(&L, 0, sizeof(L));
    L.pair = p;
    p->leader = thread_node_open(p->leader_dir, "leader", NULL, "127.0.0.1:0");
    thread_node_address(p->leader, L.address);
    for (int i = 0; i < RECORDS; i++) {
        (void)node_signal(p->leader, "view", "a");
    }
    L.hello = (struct wire_hello){
        .version_min = WIRE_VERSION,
        .version_max = WIRE_VERSION,
        .frame_size_max = FRAME_SIZE_MAX,
        .node_id = slice_of_text("f"),
        .incarnation = 1,
        .history_id = 77,
        .oldest = seqno_of(1),
        .data_address = slice_of_text("127.0.0.1:7999"),
    };
    thread_node_call(p->leader, look_at_leader, &L.hello);
    L.end = L.hello.last;
    *state = p;
    return 0;
}

static int end(void **state)
{
    thread_pair_free(*state);
    return 0;
}

/* Say hello on a new link; the plan. The link stays open: *out_fd, or is closed when that is NULL.
 */
static struct wire_plan ask(const struct wire_hello *hello, int *out_fd)
{
    static struct wire_message answer;
    int fd = connect_to(L.address);
    struct wire_message m = {.kind = WIRE_HELLO, .session = 4711, .as.hello = *hello};
    send_message(fd, &m);
    read_message(fd, WIRE_PLAN, &answer);
    if (out_fd != NULL) {
        *out_fd = fd;
    } else {
        close(fd);
    }
    return answer.as.plan;
}

static struct wire_plan check_answer(const struct wire_hello *hello, enum plan_kind kind,
                                     enum refuse_reason reason)
{
    struct wire_plan plan = ask(hello, NULL);
    if (plan.kind != (uint8_t)kind || plan.reason != (uint8_t)reason) {
        fail_msg("plan %u %s: %.*s", (unsigned)plan.kind, refuse_name(plan.reason),
                 (int)plan.text.size, (const char *)plan.text.data);
    }
    if (kind != PLAN_CONTINUE) assert_true(plan.text.size > 10);
    return plan;
}

/* A hello whose last position is an earlier end of a batch. */
static struct wire_hello at_record(uint64_t s)
{
    struct wire_hello hello = L.hello;
    assert_int_equal(L.at[s].seqno.v, s);
    hello.last = L.at[s];
    hello.applied = hello.last.seqno;
    return hello;
}

static struct wire_hello named(struct wire_hello hello, const char *id)
{
    hello.node_id = slice_of_text(id);
    return hello;
}

/* --- rows --- */

static void an_empty_follower_begins_at_record_1(void **state)
{
    (void)state;
    struct wire_hello hello = L.hello;
    hello.is_empty = 1;
    hello.cluster = (struct id128){0};
    hello.last = (struct position){0};
    hello.applied = SEQNO_NONE;
    hello.epoch_count = 0;
    hello.highest_epoch = 0;
    struct wire_plan plan = check_answer(&hello, PLAN_CONTINUE, REFUSE_NONE);
    assert_int_equal(plan.from.seqno.v, 0);
    assert_int_not_equal(plan.log_key, 0);
}

/* Whatever its slot says: it held all of it a moment ago. */
static void a_restored_older_copy_is_served_from_where_it_is(void **state)
{
    (void)state;
    struct wire_plan plan = check_answer(&L.hello, PLAN_CONTINUE, REFUSE_NONE);
    assert_true(position_equal(&plan.from, &L.end));
    struct wire_hello older = at_record(L.end.seqno.v - 7);
    older.incarnation = 2;
    plan = check_answer(&older, PLAN_CONTINUE, REFUSE_NONE);
    assert_true(position_equal(&plan.from, &older.last));
}

/* Records behind the fork of another leadership of the same number. */
static struct wire_hello ahead_in_another_history(uint64_t fork)
{
    struct wire_hello hello = at_record(fork);
    struct epoch_entry *entry = &hello.epochs[hello.epoch_count++];
    *entry = (struct epoch_entry){
        .epoch = {.number = hello.highest_epoch + 1, .nonce = 999},
        .start = seqno_next(hello.last.seqno),
        .chain_before = hello.last.chain,
    };
    hello.last.epoch = entry->epoch.number;
    hello.last.seqno.v = L.end.seqno.v + 9;
    hello.last.chain.bytes[0] ^= 0x55;
    hello.applied = hello.last.seqno;
    return hello;
}

static void ahead_in_another_history_is_cut_back_to_the_fork_or_copied(void **state)
{
    (void)state;
    uint64_t fork = L.end.seqno.v - 5;
    struct wire_hello hello = ahead_in_another_history(fork);
    struct wire_plan plan = check_answer(&hello, PLAN_TRUNCATE_TO, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.from, &L.at[fork]));
    hello.oldest = seqno_of(5); /* it cannot replay everything ... */
    plan = check_answer(&hello, PLAN_BOOTSTRAP, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.from, &L.at[fork])); /* it learns what it would lose */
    hello.manifest_count = 1;                             /* ... but goes back to a checkpoint */
    hello.manifests[0] = L.at[fork - 2];
    (void)check_answer(&hello, PLAN_TRUNCATE_TO, REFUSE_OTHER_HISTORY);
    hello.manifests[0].seqno = seqno_of(fork + 1);
    (void)check_answer(&hello, PLAN_BOOTSTRAP, REFUSE_OTHER_HISTORY);
}

static void ahead_on_the_leaders_own_history_is_never_cut_back(void **state)
{
    (void)state;
    struct wire_hello hello = L.hello;
    hello.last.seqno.v += 7;
    hello.applied = hello.last.seqno;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_GAP);
    hello.is_loss_accepted = 1; /* but for an operator's word */
    struct wire_plan plan = check_answer(&hello, PLAN_TRUNCATE_TO, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.from, &L.end));
}

static void equal_numbers_with_another_chain_go_back_to_a_proved_checkpoint(void **state)
{
    (void)state;
    struct wire_hello hello = at_record(L.end.seqno.v - 3);
    hello.last.chain.bytes[7] ^= 1;
    (void)check_answer(&hello, PLAN_BOOTSTRAP, REFUSE_OTHER_HISTORY);
    hello.manifest_count = 2;
    hello.manifests[0] = L.at[L.end.seqno.v - 8];
    hello.manifests[1] = L.at[L.end.seqno.v - 5];
    struct wire_plan plan = check_answer(&hello, PLAN_TRUNCATE_TO, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.from, &hello.manifests[1]));
    hello.manifests[1].chain.bytes[0] ^= 1; /* of the other history, too */
    plan = check_answer(&hello, PLAN_TRUNCATE_TO, REFUSE_OTHER_HISTORY);
    assert_true(position_equal(&plan.from, &hello.manifests[0]));
}

/* Positions lie on the ends of batches: inside of one is no place of this history. */
static void a_position_inside_a_batch_is_another_history(void **state)
{
    struct thread_pair *p = *state;
    tide_run *run = tide_run_new();
    struct tide_signal signal = {.type = bytes_of("view"), .item = bytes_of("a")};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(tide_run_signal(run, &signal, NULL), i);
    }
    assert_int_equal(tide_execute(p->leader, run), TIDE_OK);
    uint64_t first = tide_run_result(run, 0)->as.position.seqno;
    bool is_one_batch = tide_run_result(run, 2)->as.position.seqno == first + 2;
    assert_true(is_one_batch);
    tide_run_free(run);
    thread_node_call(p->leader, look_at_leader, &L.hello);
    struct wire_hello hello = L.hello;
    hello.last.seqno = seqno_of(first + 1);
    hello.applied = hello.last.seqno;
    (void)check_answer(&hello, PLAN_BOOTSTRAP, REFUSE_OTHER_HISTORY);
}

static void strangers_and_other_formats_are_refused(void **state)
{
    (void)state;
    struct wire_hello hello = L.hello;
    hello.cluster.bytes[0] ^= 1;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_WRONG_CLUSTER);
    hello = L.hello;
    hello.cluster = (struct id128){0}; /* records, and of no cluster */
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_WRONG_CLUSTER);
    hello = L.hello;
    hello.stream.shard = 3;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_WRONG_STREAM);
    hello = L.hello;
    hello.frame_size_max = 1000;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_FEATURE_LEVEL);
}

static void set_feature_level(struct db *db, void *arg)
{
    db->identity.feature_level = *(const uint32_t *)arg;
}

static void a_lower_feature_level_is_refused(void **state)
{
    struct thread_pair *p = *state;
    uint32_t level = L.hello.feature_level + 1;
    thread_node_call(p->leader, set_feature_level, &level);
    (void)check_answer(&L.hello, PLAN_REFUSE, REFUSE_FEATURE_LEVEL);
}

/* Of another version's hello only the beginning is read: enough to be refused in words. */
static void a_newer_protocol_is_refused(void **state)
{
    (void)state;
    struct wire_hello hello = L.hello;
    hello.version_min = WIRE_VERSION + 1;
    hello.version_max = WIRE_VERSION + 3;
    struct wire_plan plan = check_answer(&hello, PLAN_REFUSE, REFUSE_NEWER_FORMAT);
    assert_int_equal(plan.version_max, WIRE_VERSION);
}

static void who_has_seen_a_higher_epoch_is_refused(void **state)
{
    (void)state;
    struct wire_hello hello = L.hello;
    hello.highest_epoch += 3;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_HIGHER_EPOCH);
}

static void an_id_in_use_is_refused_and_names_the_first(void **state)
{
    (void)state;
    int first = -1;
    (void)ask(&L.hello, &first);
    struct wire_hello second = L.hello;
    second.incarnation = 2;
    second.history_id = 78;
    second.data_address = slice_of_text("127.0.0.1:7998");
    struct wire_plan plan = check_answer(&second, PLAN_REFUSE, REFUSE_ID_IN_USE);
    char text[512] = {0};
    memcpy(text, plan.text.data, plan.text.size);
    assert_non_null(strstr(text, "127.0.0.1:7999"));
    struct wire_hello own = named(L.hello, "leader"); /* the leader's own */
    (void)check_answer(&own, PLAN_REFUSE, REFUSE_ID_IN_USE);
    close(first);
}

static void an_id_that_was_never_seen_is_served_and_gets_a_slot(void **state)
{
    struct thread_pair *p = *state;
    int fd = -1;
    struct wire_hello hello = named(at_record(L.end.seqno.v - 2), "never-seen");
    struct wire_plan plan = ask(&hello, &fd);
    assert_int_equal(plan.kind, PLAN_CONTINUE);
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_status(run), 0);
    assert_int_equal(tide_execute(p->leader, run), TIDE_OK);
    const struct tide_status *status = tide_run_result(run, 0)->as.status;
    assert_int_equal(status->follower_count, 1);
    assert_string_equal(status->followers[0].node_id, "never-seen");
    tide_run_free(run);
    close(fd);
}

static void look_at_slot(struct db *db, void *arg)
{
    const struct slots *table = &db->shipper->table;
    *(bool *)arg = table->count == 1 && table->slots[0].is_connected;
}

static bool is_connected(tide_db *db)
{
    bool is = false;
    thread_node_call(db, look_at_slot, &is);
    return is;
}

static void lose_slot(struct db *db, void *arg)
{
    (void)arg;
    struct slots *table = &db->shipper->table;
    assert_int_equal(table->count, 1);
    table->slots[0].record.state = SLOT_LOST;
    table->slots[0].record.reason = SLOT_REASON_HORIZON_BYTES;
}

static void a_lost_slot_takes_a_copy_of_the_state(void **state)
{
    struct thread_pair *p = *state;
    (void)check_answer(&L.hello, PLAN_CONTINUE, REFUSE_NONE);
    WAIT_UNTIL(!is_connected(p->leader));
    thread_node_call(p->leader, lose_slot, NULL);
    (void)check_answer(&L.hello, PLAN_BOOTSTRAP, REFUSE_LOST);
}

static void copy_resyncs(struct db *db, void *arg)
{
    struct shipper_resync *out = arg;
    uint32_t count = shipper_resyncs(db->shipper, out);
    if (count < SHIPPER_RESYNCS_MAX) out[count].kind = NULL;
}

static uint64_t resyncs(const struct shipper_resync *list, const char *kind, const char *reason)
{
    for (uint32_t i = 0; i < SHIPPER_RESYNCS_MAX && list[i].kind != NULL; i++) {
        if (strcmp(list[i].kind, kind) == 0 && strcmp(list[i].reason, reason) == 0) {
            return list[i].count;
        }
    }
    return 0;
}

/* However many proofs and frames it takes. */
static void each_handshake_is_counted_once_by_kind_and_reason(void **state)
{
    struct thread_pair *p = *state;
    static struct shipper_resync list[SHIPPER_RESYNCS_MAX];
    an_empty_follower_begins_at_record_1(state);
    a_restored_older_copy_is_served_from_where_it_is(state);
    ahead_in_another_history_is_cut_back_to_the_fork_or_copied(state);
    equal_numbers_with_another_chain_go_back_to_a_proved_checkpoint(state);
    who_has_seen_a_higher_epoch_is_refused(state);
    thread_node_call(p->leader, copy_resyncs, list);
    assert_int_equal(resyncs(list, "partial", "empty"), 1);
    assert_int_equal(resyncs(list, "partial", "behind"), 2);
    assert_int_equal(resyncs(list, "truncate", "other-history"), 4);
    assert_int_equal(resyncs(list, "bootstrap", "other-history"), 3);
    assert_int_equal(resyncs(list, "refused", "higher-epoch"), 1);
    assert_int_equal(resyncs(list, "refused", "gap"), 0);
}

/* --- plan resume --- */

static char *plan_path(tide_db *db, const char *id, char why[512])
{
    static char path[32];
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_plan(run, bytes_of("resume"), bytes_of(id)), 0);
    assert_int_equal(tide_execute(db, run), TIDE_OK);
    const struct tide_result *result = tide_run_result(run, 0);
    if (result->code != TIDE_OK) fail_msg("%s", result->message);
    (void)snprintf(path, sizeof(path), "%s", result->as.plan->path);
    (void)snprintf(why, 512, "%s", result->as.plan->why);
    tide_run_free(run);
    return path;
}

/* The answer in words is that of the deciding code, for a slot, for none, for a lost one. */
static void plan_resume_says_what_the_handshake_would(void **state)
{
    struct thread_pair *p = *state;
    char why[512];
    assert_string_equal(plan_path(p->leader, "f", why), "continue");
    assert_non_null(strstr(why, "No slot has this id"));
    (void)check_answer(&L.hello, PLAN_CONTINUE, REFUSE_NONE);
    assert_string_equal(plan_path(p->leader, "f", why), "continue");
    assert_non_null(strstr(why, "it continues with the next one"));
    WAIT_UNTIL(!is_connected(p->leader));
    thread_node_call(p->leader, lose_slot, NULL);
    assert_string_equal(plan_path(p->leader, "f", why), "bootstrap");
    assert_non_null(strstr(why, "copy of the state"));
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_plan(run, bytes_of("resume"), bytes_of("")), 0);
    assert_int_equal(tide_execute(p->leader, run), TIDE_OK);
    assert_int_equal(tide_run_result(run, 0)->code, TIDE_INVALID);
    tide_run_free(run);
}

/* --- what a follower believes --- */

/* A leader that says what a test wants. */
struct impostor {
    int listener;
    int fd;
    char address[32];
    struct wire_message hello;
};

static void impostor_listen(struct impostor *i)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof(at);
    i->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(i->listener, (const struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(i->listener, 4), 0);
    assert_int_equal(getsockname(i->listener, (struct sockaddr *)&at, &size), 0);
    (void)snprintf(i->address, sizeof(i->address), "127.0.0.1:%u", ntohs(at.sin_port));
}

static void impostor_greet(struct impostor *i)
{
    be_patient(i->listener);
    i->fd = accept(i->listener, NULL, NULL);
    assert_true(i->fd >= 0);
    be_patient(i->fd);
    read_message(i->fd, WIRE_HELLO, &i->hello);
}

static struct wire_message impostor_plan(const struct impostor *i, enum plan_kind kind,
                                         struct position from, uint64_t log_key)
{
    const struct wire_hello *hello = &i->hello.as.hello;
    return (struct wire_message){
        .kind = WIRE_PLAN,
        .session = i->hello.session,
        .as.plan = {.version = WIRE_VERSION,
                    .version_min = WIRE_VERSION,
                    .version_max = WIRE_VERSION,
                    .frame_size_max = FRAME_SIZE_MAX,
                    .kind = (uint8_t)kind,
                    .cluster = hello->cluster,
                    .stream = hello->stream,
                    .log_key = log_key,
                    .node_id = slice_of_text("impostor"),
                    .epoch = {.number = hello->highest_epoch, .nonce = 1},
                    .from = from,
                    .durable = hello->last.seqno},
    };
}

static void copy_log_key(struct db *db, void *arg)
{
    *(uint64_t *)arg = db->identity.log_key;
}

static void count_truncations(struct db *db, void *arg)
{
    *(uint64_t *)arg = db->identity.history_id;
}

/* Protocol errors 2 and 10: an order of another session does nothing, neither before the plan of
 * this link nor after it; nor does a second one on the link that streams. */
static void orders_of_other_links_do_nothing(void **state)
{
    struct thread_pair *p = *state;
    struct impostor i = {.fd = -1};
    uint64_t log_key = 0;
    uint64_t history = 0;
    uint64_t now = 0;
    p->follower = thread_node_open(p->follower_dir, "f", L.address, NULL);
    WAIT_UNTIL(thread_pair_is_level(p));
    node_close(p->follower);
    impostor_listen(&i);
    p->follower = thread_node_open(p->follower_dir, "f", i.address, NULL);
    thread_node_call(p->follower, copy_log_key, &log_key);
    thread_node_call(p->follower, count_truncations, &history);
    impostor_greet(&i);
    struct position last = i.hello.as.hello.last;
    struct wire_message stale =
        impostor_plan(&i, PLAN_TRUNCATE_TO, L.at[L.end.seqno.v - 9], log_key);
    stale.session = i.hello.session ^ 1;
    send_message(i.fd, &stale);
    struct wire_message plan = impostor_plan(&i, PLAN_CONTINUE, last, log_key);
    send_message(i.fd, &plan);
    WAIT_UNTIL(thread_node_link_says(p->follower, "streaming"));
    send_message(i.fd, &stale);
    stale.session = i.hello.session; /* of this link, but nobody asked */
    send_message(i.fd, &stale);
    struct wire_message ack;
    read_message(i.fd, WIRE_ACK, &ack); /* it goes on as before */
    rest_ms(50);
    thread_node_call(p->follower, count_truncations, &now);
    assert_int_equal(now, history);
    assert_int_equal(node_count(p->follower, "view", "a"), RECORDS);
    close(i.fd);
    close(i.listener);
}

static void note_committed(struct db *db, void *arg)
{
    log_note_committed(db->log, seqno_of(*(const uint64_t *)arg));
}

/* Below what is committed an order is refused in words, and the follower stays what it is; an
 * operator's word for this very end lets it through. */
static void an_order_below_committed_needs_an_operators_word(void **state)
{
    struct thread_pair *p = *state;
    struct impostor i = {.fd = -1};
    uint64_t log_key = 0;
    uint64_t committed = L.end.seqno.v - 4;
    struct tide_err e = {0};
    p->follower = thread_node_open(p->follower_dir, "f", L.address, NULL);
    WAIT_UNTIL(thread_pair_is_level(p));
    node_close(p->follower);
    impostor_listen(&i);
    p->follower = thread_node_open(p->follower_dir, "f", i.address, NULL);
    thread_node_call(p->follower, copy_log_key, &log_key);
    thread_node_call(p->follower, note_committed, &committed);
    impostor_greet(&i);
    struct wire_message order =
        impostor_plan(&i, PLAN_TRUNCATE_TO, L.at[L.end.seqno.v - 9], log_key);
    order.as.plan.reason = REFUSE_OTHER_HISTORY;
    send_message(i.fd, &order);
    WAIT_UNTIL(thread_node_link_says(p->follower, "--accept-loss"));
    assert_int_equal(node_count(p->follower, "view", "a"), RECORDS);
    close(i.fd);
    struct tide_position here;
    assert_int_equal(tide_position_now(p->follower, &here, NULL), TIDE_OK);
    here.seqno--; /* a word for another end */
    assert_int_equal(tide_follow(p->follower, i.address, true, &here, &e), TIDE_INVALID);
    here.seqno++;
    assert_int_equal(tide_follow(p->follower, i.address, true, &here, &e), TIDE_OK);
    impostor_greet(&i);
    assert_int_equal(i.hello.as.hello.is_loss_accepted, 1);
    order = impostor_plan(&i, PLAN_TRUNCATE_TO, L.at[L.end.seqno.v - 9], log_key);
    order.as.plan.reason = REFUSE_OTHER_HISTORY;
    send_message(i.fd, &order);
    close(i.fd);
    impostor_greet(&i); /* the log is another one now */
    assert_true(position_equal(&i.hello.as.hello.last, &L.at[L.end.seqno.v - 9]));
    assert_int_equal(i.hello.as.hello.is_loss_accepted, 0);
    assert_int_equal(node_count(p->follower, "view", "a"), RECORDS - 9);
    close(i.fd);
    close(i.listener);
}

/* --- a follower that is followed --- */

static void open_middle(struct thread_pair *p)
{
    p->follower = thread_node_open(p->follower_dir, "m", L.address, "127.0.0.1:0");
    WAIT_UNTIL(thread_pair_is_level(p));
    thread_node_address(p->follower, L.address); /* ask() asks it from now on */
}

static void who_wants_the_leader_is_sent_on_by_a_follower(void **state)
{
    struct thread_pair *p = *state;
    char leader[64];
    memcpy(leader, L.address, sizeof(leader));
    open_middle(p);
    struct wire_hello hello = L.hello;
    hello.is_leader_wanted = 1;
    struct wire_plan plan = check_answer(&hello, PLAN_REFUSE, REFUSE_NOT_LEADER);
    assert_true(slice_equal(plan.replication_address, slice_of_text(leader)));
    hello.is_leader_wanted = 0;
    plan = check_answer(&hello, PLAN_CONTINUE, REFUSE_NONE);
    assert_true(slice_equal(plan.path, slice_of_text("leader")));
    assert_true(position_equal(&plan.from, &L.end));
}

static void who_is_followed_cannot_follow_back(void **state)
{
    struct thread_pair *p = *state;
    open_middle(p);
    struct wire_hello hello = named(L.hello, "leader");
    struct wire_plan plan = check_answer(&hello, PLAN_REFUSE, REFUSE_RING);
    assert_non_null(strstr((const char *)plan.text.data, "leader is among them"));
    hello.is_bootstrapping = 1; /* nor take a copy, to be served from then on */
    hello.is_empty = 1;
    hello.last = (struct position){0};
    hello.applied = SEQNO_NONE;
    (void)check_answer(&hello, PLAN_REFUSE, REFUSE_RING);
}

/* Ahead of a follower, on the same history: nothing is cut back, whatever the slot says. */
static void who_is_ahead_of_a_follower_waits(void **state)
{
    struct thread_pair *p = *state;
    open_middle(p);
    struct wire_hello hello = L.hello;
    hello.last.seqno.v += 5;
    hello.is_loss_accepted = 1;
    struct wire_plan plan = check_answer(&hello, PLAN_REFUSE, REFUSE_GAP);
    assert_non_null(strstr((const char *)plan.text.data, "is served once this node has caught up"));
}

/* A promise of a later epoch: nothing of the lower one is shipped any more, to anybody. */
static void a_claim_ends_what_a_follower_ships_of_a_lower_epoch(void **state)
{
    struct thread_pair *p = *state;
    struct wire_message m;
    int follows = -1;
    open_middle(p);
    struct wire_plan plan = ask(&L.hello, &follows);
    assert_int_equal(plan.kind, PLAN_CONTINUE);
    assert_int_equal(plan.epoch.number, L.hello.highest_epoch);
    int claims = connect_to(L.address);
    struct wire_message claim = {.kind = WIRE_INQUIRE,
                                 .session = 99,
                                 .as.inquire = {.cluster = L.hello.cluster,
                                                .node_id = slice_of_text("c"),
                                                .highest_epoch = L.hello.highest_epoch,
                                                .claim = L.hello.highest_epoch + 5,
                                                .role = ROLE_FOLLOWER}};
    send_message(claims, &claim);
    read_message(follows, WIRE_END, &m);
    assert_int_equal(m.as.end.reason, WIRE_END_FENCED);
    read_message(claims, WIRE_STANDING, &m);
    assert_int_equal(m.as.standing.is_claim_noted, 1);
    (void)check_answer(&L.hello, PLAN_REFUSE, REFUSE_BUSY);
    close(claims);
    close(follows);
}

int main(int argc, char **argv)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)
    const struct CMUnitTest tests[] = {
        TEST(an_empty_follower_begins_at_record_1),
        TEST(who_wants_the_leader_is_sent_on_by_a_follower),
        TEST(who_is_followed_cannot_follow_back),
        TEST(who_is_ahead_of_a_follower_waits),
        TEST(a_claim_ends_what_a_follower_ships_of_a_lower_epoch),
        TEST(a_restored_older_copy_is_served_from_where_it_is),
        TEST(ahead_in_another_history_is_cut_back_to_the_fork_or_copied),
        TEST(ahead_on_the_leaders_own_history_is_never_cut_back),
        TEST(equal_numbers_with_another_chain_go_back_to_a_proved_checkpoint),
        TEST(a_position_inside_a_batch_is_another_history),
        TEST(strangers_and_other_formats_are_refused),
        TEST(a_lower_feature_level_is_refused),
        TEST(a_newer_protocol_is_refused),
        TEST(who_has_seen_a_higher_epoch_is_refused),
        TEST(an_id_in_use_is_refused_and_names_the_first),
        TEST(an_id_that_was_never_seen_is_served_and_gets_a_slot),
        TEST(a_lost_slot_takes_a_copy_of_the_state),
        TEST(each_handshake_is_counted_once_by_kind_and_reason),
        TEST(plan_resume_says_what_the_handshake_would),
        TEST(orders_of_other_links_do_nothing),
        TEST(an_order_below_committed_needs_an_operators_word),
    };
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests_name("engine/handshake", tests, NULL, NULL);
}
