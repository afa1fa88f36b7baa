/* Tests of replication as a whole: leaders and followers opened through the public API in one
 * process, on loopback, with a wire in between that can be held and cut. Intervals are shortened;
 * every wait ends when what it waits for is there. An argument filters by name. */
#include "support/tm_test.h"

#include <arpa/inet.h>
#include <ftw.h>
#include <math.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "format/wire.h"
#include "support/tm_proxy.h"
#include "tidemark.h"

#define WAIT_S 20.0

struct node {
    char *dir;
    tide_db *db;
    char replication_address[64];
};

static struct node leader;
static struct node follower;
static struct tm_proxy *wire;
static uint64_t tail_buffer; /* of all nodes; 0: the default */
static uint64_t credit;

static double seconds_now(void)
{
    struct timespec t;
    assert_int_equal(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void rest(void)
{
    struct timespec t = {.tv_nsec = 2000000};
    (void)nanosleep(&t, NULL);
}

#define WAIT_UNTIL(condition)                                                         \
    for (double wait_end_ = seconds_now() + WAIT_S; !(condition); rest()) {           \
        if (seconds_now() > wait_end_) fail_msg("waited in vain for %s", #condition); \
    }

/* --- nodes --- */

static enum tide_code node_open_as(struct node *n, const char *follow, const char *id,
                                   struct tide_err *e)
{
    struct tide_options options = {
        .size = sizeof(options),
        .dir = n->dir,
        .follow = follow,
        .node_id = id,
        .replication_listen = "127.0.0.1:0",
        .data_address = follow == NULL ? "127.0.0.1:7400" : "127.0.0.1:7500",
        .tail_buffer = tail_buffer,
        .credit = credit,
        .disk_reserve = UINT64_MAX,
        .mark_interval_ms = UINT64_MAX, /* records are counted here */
        .heartbeat_ms = 50,
        .suspect_ms = 500,
        .dead_ms = 2000,
    };
    return tide_open(&options, &n->db, NULL, e);
}

/* One look at a node. The run keeps the strings; end it with tide_run_free. */
static const struct tide_status *look(const struct node *n, tide_run **out_run)
{
    *out_run = tide_run_new();
    assert_non_null(*out_run);
    assert_int_equal(tide_run_status(*out_run), 0);
    assert_int_equal(tide_execute(n->db, *out_run), TIDE_OK);
    const struct tide_result *result = tide_run_result(*out_run, 0);
    assert_int_equal(result->code, TIDE_OK);
    return result->as.status;
}

static void node_open(struct node *n, const char *follow, const char *id)
{
    struct tide_err e = {0};
    enum tide_code code = node_open_as(n, follow, id, &e);
    if (code != TIDE_OK) fail_msg("%s", e.message);
    tide_run *run;
    const struct tide_status *status = look(n, &run);
    (void)snprintf(n->replication_address, sizeof(n->replication_address), "%s",
                   status->replication_address);
    tide_run_free(run);
}

static void node_close(struct node *n)
{
    assert_int_equal(tide_close(n->db, 5000, NULL), TIDE_OK);
    n->db = NULL;
}

static void leader_open(void)
{
    node_open(&leader, NULL, "leader");
    if (wire == NULL) wire = tm_proxy_start(leader.replication_address);
    tm_proxy_retarget(wire, leader.replication_address);
}

static void follower_open(void)
{
    node_open(&follower, tm_proxy_address(wire), "follower");
}

/* count records of one signal each, handed over in runs of run_size. */
static void write_in_runs(uint32_t count, uint32_t run_size)
{
    tide_run *run = tide_run_new();
    char(*items)[16] = calloc(run_size, sizeof(*items));
    assert_non_null(run);
    assert_non_null(items);
    for (uint32_t done = 0; done < count;) {
        uint32_t size = count - done < run_size ? count - done : run_size;
        for (uint32_t i = 0; i < size; i++) {
            int length = snprintf(items[i], sizeof(items[i]), "item-%u", (done + i) % 977);
            struct tide_signal signal = {
                .type = {"view", 4},
                .item = {items[i], (size_t)length},
                .weight = 1.5,
                .weight_is_set = true,
                .at_ms = 1700000000000 + done + i,
            };
            assert_int_equal(tide_run_signal(run, &signal, NULL), (int32_t)i);
        }
        assert_int_equal(tide_execute(leader.db, run), TIDE_OK);
        for (uint32_t i = 0; i < size; i++)
            assert_int_equal(tide_run_result(run, i)->code, TIDE_OK);
        tide_run_reset(run);
        done += size;
    }
    free(items);
    tide_run_free(run);
}

static void write_records(uint32_t count)
{
    write_in_runs(count, count);
}

static uint64_t applied_of(const struct node *n)
{
    struct tide_position at = {0};
    enum tide_code code = tide_position_now(n->db, &at, NULL);
    return code == TIDE_OK ? at.seqno : 0; /* LOADING: nothing yet */
}

static bool is_caught_up(void)
{
    return applied_of(&follower) == applied_of(&leader);
}

static void check_equal_digests(void)
{
    struct tide_digest a = {0};
    struct tide_digest b = {0};
    assert_int_equal(tide_digest_now(leader.db, &a, NULL), TIDE_OK);
    assert_int_equal(tide_digest_now(follower.db, &b, NULL), TIDE_OK);
    assert_int_equal(a.seqno, b.seqno);
    assert_memory_equal(a.root, b.root, sizeof(a.root));
}

/* What the leader says of its only follower. */
static struct tide_follower_status follower_seen(void)
{
    tide_run *run;
    const struct tide_status *status = look(&leader, &run);
    struct tide_follower_status f = {.lag_seconds = (double)INFINITY};
    if (status->follower_count > 0) f = status->followers[0];
    f.node_id = f.address = NULL;
    /* The state's name outlives the run only as one of these. */
    static const char *const names[] = {"bootstrap", "catching_up", "streaming", "inactive"};
    const char *state = f.state;
    f.state = "";
    for (size_t i = 0; state != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(state, names[i]) == 0) f.state = names[i];
    }
    tide_run_free(run);
    return f;
}

static double own_lag_seconds(void)
{
    tide_run *run;
    double seconds = look(&follower, &run)->lag_seconds;
    tide_run_free(run);
    return seconds;
}

static bool link_state_has(const struct node *n, const char *words)
{
    tide_run *run;
    bool has = strstr(look(n, &run)->link_state, words) != NULL;
    tide_run_free(run);
    return has;
}

static int setup(void **state)
{
    (void)state;
    tail_buffer = credit = 0;
    leader = (struct node){.dir = tm_dir_make("leader")};
    follower = (struct node){.dir = tm_dir_make("follower")};
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (follower.db != NULL) node_close(&follower);
    if (leader.db != NULL) node_close(&leader);
    tm_proxy_stop(wire);
    wire = NULL;
    tm_dir_remove(leader.dir);
    tm_dir_remove(follower.dir);
    return 0;
}

/* --- the main road --- */

static void ten_thousand_signals_reach_the_follower_and_the_digests_are_equal(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_in_runs(10000, 1000);
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
    WAIT_UNTIL(follower_seen().lag_records == 0);
    WAIT_UNTIL(strcmp(follower_seen().state, "streaming") == 0);
    assert_int_equal(follower_seen().stored, applied_of(&leader));
    assert_int_equal(follower_seen().lag_bytes, 0);
}

/* The root part of the manifest at this record, up to the place part; the caller frees it. */
static uint8_t *read_root_part(const struct node *n, uint64_t at, size_t *out_size)
{
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/state/%020llu.00000001.manifest", n->dir,
                   (unsigned long long)at);
    FILE *file = fopen(path, "rb");
    if (file == NULL) fail_msg("no %s", path);
    enum { SIZE_MAX_READ = 1 << 20 };
    uint8_t *bytes = malloc(SIZE_MAX_READ);
    size_t size = fread(bytes, 1, SIZE_MAX_READ, file);
    (void)fclose(file);
    const uint8_t *places = memmem(bytes, size, "TIDEPLC2", 8);
    assert_non_null(places);
    *out_size = (size_t)(places - bytes);
    return bytes;
}

/* A checkpoint has one root part at one mark, whoever cuts it: also when the follower had written
 * other checkpoints before, so that its packs lie otherwise. */
static void the_root_parts_of_two_nodes_at_one_mark_are_equal(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    struct tide_position marks[2] = {{0}};
    for (int round = 0; round < 2; round++) {
        write_in_runs(3000, 500);
        if (round == 0) {
            assert_int_equal(tide_checkpoint(leader.db, &marks[0], NULL), TIDE_OK);
        } else {
            assert_int_equal(tide_checkpoint(leader.db, &marks[1], NULL), TIDE_OK);
            WAIT_UNTIL(is_caught_up());
            struct tide_position at = {0};
            assert_int_equal(tide_checkpoint(follower.db, &at, NULL), TIDE_OK);
            assert_int_equal(at.seqno, marks[1].seqno);
        }
    }
    size_t sizes[2];
    uint8_t *a = read_root_part(&leader, marks[1].seqno, &sizes[0]);
    uint8_t *b = read_root_part(&follower, marks[1].seqno, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(a, b, sizes[0]);
    free(a);
    free(b);
}

/* The follower comes when most of the log is no longer in memory. */
static void a_late_follower_catches_up_from_the_segments(void **state)
{
    (void)state;
    tail_buffer = 128 * 1024;
    leader_open();
    write_in_runs(20000, 50);
    follower_open();
    write_in_runs(2000, 50);
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
    WAIT_UNTIL(strcmp(follower_seen().state, "streaming") == 0);
}

/* One atomic record of 20,000 signals is several times larger than the whole credit. */
static void write_large_record(void)
{
    enum { COUNT = 20000 };
    static const char name[] = "0123456789";
    struct tide_signal *signals = calloc(COUNT, sizeof(*signals));
    assert_non_null(signals);
    for (int i = 0; i < COUNT; i++) {
        signals[i].item = (struct tide_bytes){&name[i % 10], (size_t)(10 - i % 10)};
        signals[i].type = (struct tide_bytes){"click", 5};
    }
    assert_int_equal(tide_signals(leader.db, signals, COUNT, NULL, NULL), TIDE_OK);
    free(signals);
}

static void batches_larger_than_the_credit_are_shipped_one_by_one(void **state)
{
    (void)state;
    tail_buffer = credit = 64 * 1024;
    leader_open();
    for (int i = 0; i < 5; i++) {
        write_large_record();
        write_in_runs(200, 10);
    }
    follower_open();
    for (int i = 0; i < 5; i++) {
        write_large_record();
        write_in_runs(200, 10);
    }
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
}

static void a_follower_that_restarts_continues_where_it_was(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_records(500);
    WAIT_UNTIL(is_caught_up());
    node_close(&follower);
    WAIT_UNTIL(!follower_seen().is_connected);
    assert_string_equal(follower_seen().state, "inactive");
    write_records(500);
    assert_int_equal(follower_seen().lag_records, 500);
    follower_open();
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
}

/* A new start is a new epoch of the same history. */
static void a_leader_that_restarts_is_followed_in_its_new_epoch(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_records(500);
    WAIT_UNTIL(is_caught_up() && follower_seen().stored > 0);
    node_close(&leader);
    leader_open();
    WAIT_UNTIL(follower_seen().stored > 0); /* the slot was saved */
    write_records(500);
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
    WAIT_UNTIL(follower_seen().lag_records == 0 && follower_seen().lag_seconds < 1.0);
}

/* A follower that lost its disk asks from the beginning and gets everything, whatever its slot says
 * it once stored. */
static void a_wiped_follower_gets_everything_again(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_records(500);
    WAIT_UNTIL(is_caught_up() && follower_seen().stored == applied_of(&leader));
    node_close(&follower);
    tm_dir_remove(follower.dir);
    follower.dir = tm_dir_make("follower-wiped");
    write_records(100);
    follower_open();
    WAIT_UNTIL(is_caught_up());
    check_equal_digests();
}

/* --- lag --- */

static void a_held_wire_shows_what_is_missing_and_released_nothing(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_records(50);
    WAIT_UNTIL(is_caught_up() && follower_seen().lag_records == 0);
    uint64_t before = applied_of(&follower);
    tm_proxy_hold(wire, false, true); /* the follower hears nothing, its acks pass */
    write_records(100);
    assert_int_equal(follower_seen().lag_records, 100);
    assert_true(follower_seen().lag_bytes > 0);
    assert_int_equal(applied_of(&follower), before);
    tm_proxy_hold(wire, false, false);
    WAIT_UNTIL(is_caught_up() && follower_seen().lag_records == 0);
    assert_int_equal(follower_seen().lag_bytes, 0);
}

/* A leader whose credit is used up sends nothing more: what it holds back is missing all the same.
 */
static void what_was_not_even_sent_counts_as_missing(void **state)
{
    (void)state;
    enum { WRITES = 10, RECORDS = 1000 };
    tail_buffer = credit = 64 * 1024;
    leader_open();
    follower_open();
    write_records(50);
    WAIT_UNTIL(is_caught_up() && follower_seen().lag_records == 0);
    uint64_t before = applied_of(&follower);
    tm_proxy_hold(wire, false, true);
    for (int i = 0; i < WRITES; i++) {
        write_records(RECORDS);
    }
    struct tide_follower_status seen = follower_seen();
    assert_int_equal(seen.lag_records, WRITES * RECORDS);
    assert_true(seen.shipped < before + WRITES * RECORDS);
    tm_proxy_hold(wire, false, false);
    WAIT_UNTIL(is_caught_up() && follower_seen().lag_records == 0);
}

static void an_idle_leader_keeps_the_staleness_small_on_both_sides(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    write_records(10);
    WAIT_UNTIL(follower_seen().lag_seconds < 1.0 && own_lag_seconds() < 1.0);
    double end = seconds_now() + 1.0;
    while (seconds_now() < end) { /* twenty heartbeats without a write */
        assert_true(follower_seen().lag_seconds < 1.0);
        assert_true(own_lag_seconds() < 1.0);
        rest();
    }
}

static void a_follower_that_never_met_its_leader_is_infinitely_late(void **state)
{
    (void)state;
    leader_open();
    tm_proxy_cut(wire, true);
    follower_open();
    WAIT_UNTIL(link_state_has(&follower, "waiting: "));
    assert_true(own_lag_seconds() == (double)INFINITY);
    tide_run *run;
    const struct tide_status *status = look(&follower, &run);
    assert_false(status->was_synced);
    assert_false(status->is_link_up);
    tide_run_free(run);
    status = look(&leader, &run);
    assert_int_equal(status->follower_count, 0);
    tide_run_free(run);
    tm_proxy_cut(wire, false);
    WAIT_UNTIL(own_lag_seconds() < 1.0);
}

static void a_cut_wire_grows_at_wall_rate_and_heals(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    WAIT_UNTIL(follower_seen().lag_seconds < 1.0 && own_lag_seconds() < 1.0);
    tm_proxy_cut(wire, true);
    double cut = seconds_now();
    while (seconds_now() < cut + 1.2)
        rest();
    assert_true(follower_seen().lag_seconds > 1.1);
    assert_true(own_lag_seconds() > 1.1);
    write_records(1); /* a young record does not hide the old silence */
    assert_true(follower_seen().lag_seconds > 1.1);
    assert_false(follower_seen().is_connected);
    tm_proxy_cut(wire, false);
    WAIT_UNTIL(follower_seen().lag_seconds < 1.0 && own_lag_seconds() < 1.0);
    assert_true(is_caught_up());
}

/* One-way silence: nothing breaks, nothing arrives. Both sides give the link up after dead_ms. */
static void a_silent_link_is_given_up_and_comes_back(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    WAIT_UNTIL(follower_seen().is_connected && own_lag_seconds() < 1.0);
    tm_proxy_hold(wire, true, true);
    WAIT_UNTIL(!follower_seen().is_connected);
    WAIT_UNTIL(link_state_has(&follower, "the leader says nothing") ||
               link_state_has(&follower, "greeting") || link_state_has(&follower, "connecting"));
    tm_proxy_hold(wire, false, false);
    write_records(10);
    WAIT_UNTIL(is_caught_up());
}

/* --- refusals --- */

static void a_node_of_another_cluster_is_refused_in_words(void **state)
{
    (void)state;
    struct node other = {.dir = tm_dir_make("other-leader")};
    leader_open();
    node_open(&other, NULL, "other");
    node_open(&follower, other.replication_address, "follower");
    WAIT_UNTIL(applied_of(&follower) > 0);
    node_close(&follower);
    node_close(&other);
    follower_open();
    WAIT_UNTIL(link_state_has(&follower, "refused: wrong-cluster"));
    tide_run *run;
    assert_int_equal(look(&leader, &run)->follower_count, 0); /* no slot for a stranger */
    tide_run_free(run);
    tm_dir_remove(other.dir);
}

static void a_second_live_node_with_one_id_is_refused(void **state)
{
    (void)state;
    struct node twin = {.dir = tm_dir_make("twin")};
    leader_open();
    follower_open();
    WAIT_UNTIL(follower_seen().is_connected);
    node_open(&twin, leader.replication_address, "follower");
    WAIT_UNTIL(link_state_has(&twin, "refused: id-in-use"));
    assert_true(link_state_has(&twin, "127.0.0.1:7500"));
    node_close(&twin);
    tm_dir_remove(twin.dir);
    twin.dir = tm_dir_make("twin-of-the-leader");
    node_open(&twin, leader.replication_address, "leader");
    WAIT_UNTIL(link_state_has(&twin, "refused: id-in-use"));
    node_close(&twin);
    tm_dir_remove(twin.dir);
    write_records(10);
    WAIT_UNTIL(is_caught_up()); /* the first is not disturbed */
}

/* Named as the one to follow, a follower is followed, and what it lacks is missing below it, too.
 */
static void a_follower_of_a_follower_counts_from_the_leader(void **state)
{
    (void)state;
    struct node third = {.dir = tm_dir_make("third")};
    tide_run *run;
    leader_open();
    follower_open();
    node_open(&third, follower.replication_address, "third");
    write_records(50);
    WAIT_UNTIL(is_caught_up());
    WAIT_UNTIL(applied_of(&third) == applied_of(&leader));
    WAIT_UNTIL(link_state_has(&third, "streaming"));
    for (bool is_fresh = false; !is_fresh; rest()) {
        const struct tide_status *s = look(&third, &run);
        is_fresh = !s->is_cut && s->was_synced && s->lag_records == 0 && s->lag_seconds < 1;
        assert_string_equal(s->path, "follower,leader");
        assert_string_equal(s->leader_data_address, "127.0.0.1:7400");
        tide_run_free(run);
    }
    /* What the leader has more is missing on both, once the one in the middle knows of it. */
    tm_proxy_hold(wire, true, true);
    write_records(7);
    for (bool is_old = false; !is_old; rest()) {
        const struct tide_status *s = look(&third, &run);
        is_old = s->is_cut && s->lag_seconds > 0.7; /* is_cut: it was given up as silent, or not */
        is_old |= s->lag_seconds > 1.0;
        tide_run_free(run);
    }
    tm_proxy_hold(wire, false, false);
    WAIT_UNTIL(applied_of(&third) == applied_of(&leader));
    node_close(&third);
    tm_dir_remove(third.dir);
}

static void a_write_on_a_follower_names_the_leaders_address(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    WAIT_UNTIL(is_caught_up());
    struct tide_signal signal = {.type = {"view", 4}, .item = {"a", 1}};
    struct tide_err e = {0};
    assert_int_equal(tide_signal(follower.db, &signal, NULL, &e), TIDE_READONLY);
    assert_non_null(strstr(e.message, "127.0.0.1:7400"));
}

static char *copy_to;
static size_t copy_from_size;

static int copy_entry(const char *path, const struct stat *st, int kind, struct FTW *place)
{
    (void)place;
    char to[4096];
    (void)snprintf(to, sizeof(to), "%s%s", copy_to, path + copy_from_size);
    if (kind == FTW_D) return mkdir(to, 0700) == 0 || access(to, F_OK) == 0 ? 0 : -1;
    FILE *in = fopen(path, "rb");
    FILE *out = fopen(to, "wb");
    assert_non_null(in);
    assert_non_null(out);
    char bytes[4096];
    size_t size = 0;
    while ((size = fread(bytes, 1, sizeof(bytes), in)) > 0)
        assert_int_equal(fwrite(bytes, 1, size, out), size);
    (void)st;
    (void)fclose(in);
    (void)fclose(out);
    return 0;
}

/* The leader's directory is put back to a moment at which it had fewer records, as if its disk had
 * lied about them; its follower has them all. */
static void a_leader_that_lost_a_tail_fetches_it_from_its_follower(void **state)
{
    (void)state;
    char *older = tm_dir_make("older");
    leader_open();
    follower_open();
    write_records(100);
    WAIT_UNTIL(is_caught_up());
    copy_to = older;
    copy_from_size = strlen(leader.dir);
    assert_int_equal(nftw(leader.dir, copy_entry, 16, FTW_PHYS), 0);
    write_records(50);
    WAIT_UNTIL(is_caught_up());
    uint64_t held = applied_of(&follower);
    node_close(&leader);
    tm_dir_remove(leader.dir);
    leader.dir = older;
    leader_open();
    /* All that was held, and the first record of the next epoch. */
    WAIT_UNTIL(applied_of(&leader) == held + 1 && is_caught_up());
    write_records(10);
    WAIT_UNTIL(applied_of(&leader) == held + 11 && is_caught_up());
    check_equal_digests();
}

/* --- strangers --- */

static int connect_to_leader(void)
{
    unsigned port = 0;
    const char *colon = strrchr(leader.replication_address, ':');
    assert_non_null(colon);
    port = (unsigned)strtoul(colon + 1, NULL, 10);
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)port),
                             .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&to, sizeof(to)), 0);
    struct timeval patience = {.tv_sec = (time_t)WAIT_S};
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
    return fd;
}

static void send_all(int fd, const void *bytes, size_t size)
{
    assert_int_equal(send(fd, bytes, size, MSG_NOSIGNAL), size);
}

/* Reads until the leader closes; true when it did. */
static bool is_closed_by_leader(int fd)
{
    char bytes[4096];
    ssize_t n = 0;
    do {
        n = recv(fd, bytes, sizeof(bytes), 0);
    } while (n > 0);
    return n == 0;
}

static void a_browser_at_the_replication_port_is_turned_away(void **state)
{
    (void)state;
    leader_open();
    int fd = connect_to_leader();
    send_all(fd, "GET / HTTP/1.0\r\n\r\n", 18);
    assert_true(is_closed_by_leader(fd));
    (void)close(fd);
    follower_open();
    write_records(10);
    WAIT_UNTIL(is_caught_up());
}

static void send_message(int fd, const struct wire_message *m)
{
    uint8_t bytes[16 * 1024];
    size_t size = wire_encode(m, bytes, sizeof(bytes));
    assert_true(size > 0);
    send_all(fd, bytes, size);
}

static void an_ack_of_2_64_minus_1_moves_nothing_and_ends_the_link(void **state)
{
    (void)state;
    leader_open();
    write_records(10);
    int fd = connect_to_leader();
    struct wire_message hello = {
        .kind = WIRE_HELLO,
        .session = 99,
        .as.hello = {.version_min = WIRE_VERSION,
                     .version_max = WIRE_VERSION,
                     .frame_size_max = FRAME_SIZE_MAX,
                     .node_id = {(const uint8_t *)"liar", 4},
                     .incarnation = 1,
                     .is_empty = 1},
    };
    send_message(fd, &hello);
    WAIT_UNTIL(follower_seen().is_connected);
    struct wire_message ack = {
        .kind = WIRE_ACK,
        .session = 99,
        .as.ack = {.epoch = 1,
                   .received = {.epoch = 1, .seqno = {UINT64_MAX}},
                   .stored = {.epoch = 1, .seqno = {UINT64_MAX}},
                   .applied = {.epoch = 1, .seqno = {UINT64_MAX}}},
    };
    send_message(fd, &ack);
    assert_true(is_closed_by_leader(fd));
    (void)close(fd);
    assert_int_equal(follower_seen().stored, 0);
    assert_int_equal(follower_seen().restart, 0);
    assert_false(follower_seen().is_connected);
}

/* An unreadable catalogue of followers: nothing may be pruned, and serving goes on. */
static void an_unreadable_slot_file_keeps_the_whole_log(void **state)
{
    (void)state;
    char path[4096];
    leader_open();
    follower_open();
    write_records(10);
    WAIT_UNTIL(is_caught_up() && follower_seen().stored > 0);
    node_close(&leader);
    (void)snprintf(path, sizeof(path), "%s/slots", leader.dir);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fputs("garbage", file) >= 0, 1);
    assert_int_equal(fclose(file), 0);
    leader_open();
    write_records(10);
    WAIT_UNTIL(is_caught_up());
    tide_run *run;
    assert_int_equal(look(&leader, &run)->retention_floor, 1);
    tide_run_free(run);
}

/* WAIT counts what is stored, not what is connected. */
static void wait_counts_followers_that_stored_the_writes(void **state)
{
    (void)state;
    leader_open();
    follower_open();
    WAIT_UNTIL(is_caught_up());
    write_records(10);
    tide_run *run = tide_run_new();
    assert_int_equal(tide_run_wait(run, 0, 1, 5000), 0);
    assert_int_equal(tide_execute(leader.db, run), TIDE_OK);
    assert_int_equal(tide_run_result(run, 0)->as.integer, 1);
    tide_run_reset(run);
    tm_proxy_hold(wire, false, true);
    write_records(10);
    assert_int_equal(tide_run_wait(run, 0, 1, 200), 0);
    assert_int_equal(tide_execute(leader.db, run), TIDE_OK);
    assert_int_equal(tide_run_result(run, 0)->as.integer, 0);
    tide_run_free(run);
    tm_proxy_hold(wire, false, false);
    WAIT_UNTIL(is_caught_up());
}

int main(int argc, char **argv)
{
    if (argc > 1) cmocka_set_test_filter(argv[1]);
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(ten_thousand_signals_reach_the_follower_and_the_digests_are_equal),
        TEST(the_root_parts_of_two_nodes_at_one_mark_are_equal),
        TEST(a_late_follower_catches_up_from_the_segments),
        TEST(batches_larger_than_the_credit_are_shipped_one_by_one),
        TEST(a_follower_that_restarts_continues_where_it_was),
        TEST(a_leader_that_restarts_is_followed_in_its_new_epoch),
        TEST(a_wiped_follower_gets_everything_again),
        TEST(a_held_wire_shows_what_is_missing_and_released_nothing),
        TEST(what_was_not_even_sent_counts_as_missing),
        TEST(an_idle_leader_keeps_the_staleness_small_on_both_sides),
        TEST(a_follower_that_never_met_its_leader_is_infinitely_late),
        TEST(a_cut_wire_grows_at_wall_rate_and_heals),
        TEST(a_silent_link_is_given_up_and_comes_back),
        TEST(a_node_of_another_cluster_is_refused_in_words),
        TEST(a_second_live_node_with_one_id_is_refused),
        TEST(a_follower_of_a_follower_counts_from_the_leader),
        TEST(a_write_on_a_follower_names_the_leaders_address),
        TEST(a_leader_that_lost_a_tail_fetches_it_from_its_follower),
        TEST(a_browser_at_the_replication_port_is_turned_away),
        TEST(an_ack_of_2_64_minus_1_moves_nothing_and_ends_the_link),
        TEST(an_unreadable_slot_file_keeps_the_whole_log),
        TEST(wait_counts_followers_that_stored_the_writes),
    };
#undef TEST
    return cmocka_run_group_tests_name("engine/replication", tests, NULL, NULL);
}
