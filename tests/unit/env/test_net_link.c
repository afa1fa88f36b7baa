/* One link: bytes arrive whole and in order, queues stay bounded, and it may be closed anywhere. */
#include "net_support.h"

#include <sys/socket.h>
#include <unistd.h>

#include "base/random.h"
#include "env/net_link.h"

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t)((offset * 0x9e3779b97f4a7c15u) >> 56);
}

#define TRANSFER_SIZE (100 * MIB)
#define QUEUE_MAX     ((size_t)512 * 1024)
#define MESSAGE_MAX   ((size_t)200 * 1024)

/* One big transfer with a receiver that stops reading now and then. */
struct transfer {
    struct place place;
    struct random random;
    uint64_t sent_bytes;
    size_t queued_max;
    unsigned lent;
    unsigned released;
    unsigned pauses;
    uint64_t next_pause_bytes;
    struct env_timer resume;
};

struct loan {
    struct transfer *transfer;
    uint8_t bytes[];
};

static void release_loan(void *arg)
{
    struct loan *loan = arg;
    loan->transfer->released++;
    memset(loan->bytes, 0xdd, 16); /* a copy that is sent after this would be found out */
    free(loan);
}

/* Send one message of 1 to 5 pieces, some of them empty; every other one is lent. */
static void send_message(struct transfer *t)
{
    struct env *env = t->place.env;
    size_t size = 16 + (size_t)random_below(&t->random, MESSAGE_MAX - 16);
    if (size > TRANSFER_SIZE - t->sent_bytes) size = (size_t)(TRANSFER_SIZE - t->sent_bytes);
    struct loan *loan = malloc(sizeof(*loan) + size + 16);
    assert_non_null(loan);
    loan->transfer = t;
    for (size_t i = 0; i < size; i++) {
        loan->bytes[i] = byte_at(t->sent_bytes + i);
    }
    struct slice pieces[5];
    size_t count = 1 + (size_t)random_below(&t->random, 5);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t left = size - used;
        size_t piece = i + 1 == count ? left : (size_t)random_below(&t->random, left + 1) / 2;
        if (i % 3 == 1 && i + 1 < count) piece = 0;
        pieces[i] = slice_of(loan->bytes + used, piece);
        used += piece;
    }
    t->sent_bytes += size;
    if (random_chance(&t->random, 500000)) {
        t->lent++;
        env->v->link_send(env, t->place.client.link, pieces, count, release_loan, loan);
    } else {
        env->v->link_send(env, t->place.client.link, pieces, count, NULL, NULL);
        free(loan); /* copied, or with the kernel */
    }
    size_t queued = env->v->link_queued(env, t->place.client.link);
    if (queued > t->queued_max) t->queued_max = queued;
}

static void send_more(struct side *client)
{
    struct transfer *t = CONTAINER_OF(client, struct transfer, place.client);
    struct env *env = t->place.env;
    while (t->sent_bytes < TRANSFER_SIZE && env->v->link_queued(env, client->link) < QUEUE_MAX) {
        send_message(t);
    }
}

static void resume_reading(struct env_timer *timer)
{
    struct transfer *t = CONTAINER_OF(timer, struct transfer, resume);
    t->place.env->v->link_pause(t->place.env, t->place.server.link, false);
}

static void check_received(struct side *server, struct slice bytes)
{
    struct transfer *t = CONTAINER_OF(server, struct transfer, place.server);
    uint64_t offset = server->received_bytes - bytes.size;
    for (size_t i = 0; i < bytes.size; i++) {
        if (bytes.data[i] != byte_at(offset + i))
            fail_msg("byte %llu differs", (unsigned long long)(offset + i));
    }
    if (server->received_bytes < t->next_pause_bytes) return;
    t->next_pause_bytes += 5 * MIB;
    t->pauses++;
    t->place.env->v->link_pause(t->place.env, server->link, true);
    t->place.env->v->timer_start(t->place.env, &t->resume, 3 * NS_PER_MS);
}

static bool transfer_is_done(void *arg)
{
    const struct transfer *t = arg;
    return t->place.server.received_bytes == TRANSFER_SIZE;
}

static void hundred_mebibytes_arrive_identical_with_bounded_queues(void **state)
{
    (void)state;
    struct transfer *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    random_init(&t->random, tm_seed("transfer", 3));
    place_open(&t->place);
    t->place.client.on_opened = send_more;
    t->place.client.on_drained = send_more;
    t->place.server.on_received = check_received;
    t->next_pause_bytes = 5 * MIB;
    t->resume.fire = resume_reading;
    place_connect(&t->place);
    run_until(t->place.env, transfer_is_done, t);
    assert_int_equal(t->sent_bytes, TRANSFER_SIZE);
    assert_int_equal(t->pauses, 20);
    assert_true(t->lent > 10);
    assert_int_equal(t->released, t->lent);
    assert_true(t->queued_max >= LINK_LOW_WATER);          /* backpressure was reached ... */
    assert_true(t->queued_max <= QUEUE_MAX + MESSAGE_MAX); /* ... and held */
    assert_true(t->place.server.received_size_max <= READ_BUFFER_SIZE);
    assert_int_equal(t->place.env->v->link_queued(t->place.env, t->place.client.link), 0);
    t->place.env->v->timer_close(t->place.env, &t->resume);
    place_close(&t->place);
    free(t);
}

static bool server_has_19(void *arg)
{
    return ((struct place *)arg)->server.received_bytes == 19;
}

static char collected[64];

static void collect(struct side *side, struct slice bytes)
{
    assert_true(side->received_bytes < sizeof(collected));
    memcpy(collected + side->received_bytes - bytes.size, bytes.data, bytes.size);
}

static void send_third(struct side *side)
{
    send_text(side, "third");
}

/* Sent before the connection is there, it waits its turn; nothing overtakes it. */
static void messages_sent_before_open_come_first(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    place_connect(&place);
    place.client.on_opened = send_third;
    place.server.on_received = collect;
    memset(collected, 0, sizeof(collected));
    send_text(&place.client, "first, ");
    send_text(&place.client, "second ");
    assert_int_equal(place.env->v->link_queued(place.env, place.client.link), 14);
    run_until(place.env, server_has_19, &place);
    assert_string_equal(collected, "first, second third");
    place_close(&place);
}

static unsigned releases;

static void count_release(void *arg)
{
    (void)arg;
    releases++;
}

static bool queue_is_empty(void *arg)
{
    const struct place *place = arg;
    return place->env->v->link_queued(place->env, place->client.link) == 0;
}

/* Fill the pipe while nobody reads: the queue grows, then drained() is called once. */
static void drained_is_told_once_when_the_queue_runs_low(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    static uint8_t block[256 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    releases = 0;
    env->v->link_send(env, place.client.link, &(struct slice){block, 10}, 1, count_release, NULL);
    assert_int_equal(releases, 1); /* taken whole at once */
    env->v->link_pause(env, place.server.link, true);
    unsigned sent = 0;
    while (env->v->link_queued(env, place.client.link) < 8 * MIB) {
        env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
        sent++;
    }
    assert_int_equal(place.client.drained, 0);
    assert_true(releases < sent);
    env->v->link_pause(env, place.server.link, false);
    run_until(env, queue_is_empty, &place);
    assert_int_equal(place.client.drained, 1);
    assert_int_equal(releases, sent + 1);
    place_close(&place);
}

static void paused_link_receives_nothing(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    env->v->link_pause(env, place.server.link, true);
    env->v->link_pause(env, place.server.link, true); /* twice is fine */
    send_text(&place.client, "0123456789012345678");
    for (int i = 0; i < 20; i++) {
        run_until(env, queue_is_empty, &place);
    }
    assert_int_equal(place.server.received_bytes, 0);
    env->v->link_pause(env, place.server.link, false);
    env->v->link_pause(env, place.server.link, false);
    run_until(env, server_has_19, &place);
    place_close(&place);
}

/* More pieces than one system call takes, with empty ones, arrive as one message. */
static bool server_has_1000(void *arg)
{
    return ((struct place *)arg)->server.received_bytes == 1000;
}
static void check_pattern(struct side *side, struct slice bytes)
{
    for (size_t i = 0; i < bytes.size; i++) {
        assert_int_equal(bytes.data[i], byte_at(side->received_bytes - bytes.size + i));
    }
}
static void message_of_many_pieces_arrives_in_order(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    place.server.on_received = check_pattern;
    uint8_t bytes[1000];
    struct slice pieces[2000];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = byte_at(i);
        pieces[2 * i] = slice_of(&bytes[i], 1);
        pieces[2 * i + 1] = slice_of(NULL, 0);
    }
    releases = 0;
    struct env *env = place.env;
    env->v->link_send(env, place.client.link, pieces, 0, count_release, NULL); /* nothing at all */
    assert_int_equal(releases, 1);
    env->v->link_send(env, place.client.link, pieces, COUNT_OF(pieces), count_release, NULL);
    run_until(env, server_has_1000, &place);
    run_until(env, queue_is_empty, &place);
    assert_int_equal(releases, 2);
    place_close(&place);
}

static void close_side(struct side *side)
{
    side->env->v->link_close(side->env, side->link);
    side->env->v->link_close(side->env, side->link); /* twice is fine */
    assert_int_equal(side->closed, 0);               /* never from inside the call */
}
static void close_on_received(struct side *side, struct slice bytes)
{
    (void)bytes;
    close_side(side);
    send_text(side, "too late"); /* does nothing */
    side->env->v->link_pause(side->env, side->link, true);
    side->env->v->link_pause(side->env, side->link, false);
}

static void link_may_be_closed_when_it_opens(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    place.client.on_opened = close_side;
    place_connect(&place);
    send_text(&place.client, "hello");
    run_until(place.env, both_are_closed, &place);
    assert_int_equal(place.client.e.code, OK);
    assert_error(place.server.e.code, E_IO, &place.server.e, "127.0.0.1:", "closed the connection");
    place_close(&place);
}

static void link_may_be_closed_when_it_receives(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    place.server.on_received = close_on_received;
    send_text(&place.client, "hello");
    run_until(place.env, both_are_closed, &place);
    assert_int_equal(place.server.e.code, OK);
    assert_int_equal(place.client.e.code, E_IO);
    place_close(&place);
}

static void link_may_be_closed_when_it_is_drained(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    place.client.on_drained = close_side;
    static uint8_t block[8 * 1024 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    releases = 0;
    env->v->link_pause(env, place.server.link, true);
    env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
    env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
    env->v->link_pause(env, place.server.link, false);
    run_until(env, both_are_closed, &place);
    assert_int_equal(place.client.drained, 1);
    assert_int_equal(place.server.received_bytes, 2 * sizeof(block));
    assert_int_equal(releases, 2);
    place_close(&place);
}

static struct side *side_to_close;

static void close_on_release(void *arg)
{
    (void)arg;
    releases++;
    if (side_to_close->link != NULL)
        side_to_close->env->v->link_close(side_to_close->env, side_to_close->link);
}

static void link_may_be_closed_when_bytes_are_released(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    side_to_close = &place.client;
    static uint8_t block[4 * 1024 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    releases = 0;
    for (int i = 0; i < 3; i++) {
        env->v->link_send(env, place.client.link, &piece, 1, close_on_release, NULL);
    }
    run_until(env, both_are_closed, &place);
    assert_int_equal(releases, 3); /* one sent, two given back */
    assert_int_equal(place.client.drained, 0);
    place_close(&place);
}

/* What is queued when a link closes is dropped, and given back before closed(). */
static void check_all_released(struct side *side)
{
    (void)side;
    assert_int_equal(releases, 5);
}

static void close_gives_back_what_was_lent(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    static uint8_t block[8 * 1024 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    releases = 0;
    place.client.on_closed = check_all_released;
    env->v->link_pause(env, place.server.link, true);
    for (int i = 0; i < 4; i++) {
        env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
    }
    assert_int_equal(releases, 0);
    env->v->link_close(env, place.client.link);
    env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
    assert_int_equal(releases, 1);
    run_until(env, client_is_closed, &place);
    place_close(&place);
    assert_int_equal(place.server.closed, 1);
}

static unsigned sends_from_release;

static void send_on_release(void *arg)
{
    struct side *side = arg;
    if (sends_from_release == 0 || side->link == NULL) return;
    sends_from_release--;
    uint8_t *byte = malloc(1);
    assert_non_null(byte);
    *byte = 'r';
    struct slice piece = slice_of(byte, 1);
    side->env->v->link_send(side->env, side->link, &piece, 1, NULL, NULL);
    free(byte);
}

static bool server_has_blocks_and_marks(void *arg)
{
    return ((struct place *)arg)->server.received_bytes == 3 * 4 * MIB + 3;
}

/* Sending from inside release, with more queued behind it, neither doubles nor loses bytes. */
static void release_may_send_on_the_same_link(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    static uint8_t block[4 * 1024 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    sends_from_release = 3;
    for (int i = 0; i < 3; i++) {
        place.env->v->link_send(place.env, place.client.link, &piece, 1, send_on_release,
                                &place.client);
    }
    run_until(place.env, server_has_blocks_and_marks, &place);
    run_until(place.env, queue_is_empty, &place);
    place_close(&place);
}

static void env_that_closes_closes_its_links(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env_timer timer = {0};
    (void)timer;
    env_uv_close(place.env);
    assert_int_equal(place.client.closed, 1);
    assert_int_equal(place.server.closed, 1);
    assert_int_equal(place.client.e.code, OK);
    assert_int_equal(place.server.e.code, OK);
}

/* Reset by the peer: a socket that is closed with SO_LINGER 0 sends a reset, not an end. */
static int descriptor_of(struct env_link *link)
{
    uv_os_fd_t fd = -1;
    assert_int_equal(uv_fileno((uv_handle_t *)&link->tcp, &fd), 0);
    return fd;
}

static void reset_by_the_peer_is_told(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct linger linger = {.l_onoff = 1};
    assert_int_equal(setsockopt(descriptor_of(place.server.link), SOL_SOCKET, SO_LINGER, &linger,
                                sizeof(linger)),
                     0);
    place.env->v->link_close(place.env, place.server.link);
    run_until(place.env, both_are_closed, &place);
    assert_error(place.client.e.code, E_IO, &place.client.e, place.address, "reset the connection");
    place_close(&place);
}

/* The same while bytes are on their way, so that the write is what fails (and would raise SIGPIPE).
 */
static void reset_while_sending_gives_everything_back(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    static uint8_t block[8 * 1024 * 1024];
    struct slice piece = slice_of(block, sizeof(block));
    releases = 0;
    env->v->link_pause(env, place.client.link, true); /* it hears of the reset by writing only */
    env->v->link_pause(env, place.server.link, true);
    for (int i = 0; i < 2; i++) {
        env->v->link_send(env, place.client.link, &piece, 1, count_release, NULL);
    }
    env->v->link_close(env, place.server.link);
    run_until(env, both_are_closed, &place);
    assert_error(place.client.e.code, E_IO, &place.client.e, place.address, "reset the connection");
    assert_int_equal(releases, 2);
    place_close(&place);
}

static void links_say_who_they_are(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env *env = place.env;
    assert_string_equal(env->v->link_describe(env, place.client.link), place.address);
    const char *server = env->v->link_describe(env, place.server.link);
    assert_int_equal(strncmp(server, "127.0.0.1:", 10), 0);
    assert_string_not_equal(server, place.address);
    int is_on = 0;
    socklen_t size = sizeof(is_on);
    assert_int_equal(
        getsockopt(descriptor_of(place.server.link), SOL_SOCKET, SO_KEEPALIVE, &is_on, &size), 0);
    assert_true(is_on != 0);
    place_close(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hundred_mebibytes_arrive_identical_with_bounded_queues),
        cmocka_unit_test(messages_sent_before_open_come_first),
        cmocka_unit_test(drained_is_told_once_when_the_queue_runs_low),
        cmocka_unit_test(paused_link_receives_nothing),
        cmocka_unit_test(message_of_many_pieces_arrives_in_order),
        cmocka_unit_test(link_may_be_closed_when_it_opens),
        cmocka_unit_test(link_may_be_closed_when_it_receives),
        cmocka_unit_test(link_may_be_closed_when_it_is_drained),
        cmocka_unit_test(link_may_be_closed_when_bytes_are_released),
        cmocka_unit_test(close_gives_back_what_was_lent),
        cmocka_unit_test(release_may_send_on_the_same_link),
        cmocka_unit_test(env_that_closes_closes_its_links),
        cmocka_unit_test(reset_by_the_peer_is_told),
        cmocka_unit_test(reset_while_sending_gives_everything_back),
        cmocka_unit_test(links_say_who_they_are),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
