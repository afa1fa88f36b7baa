/* Links over another network than TCP: the same events in the same order, whatever the network
 * takes and gives, and nobody is called after the end. The network here is two small rings in the
 * memory of the test, in one loop. */
#include "net_support.h"

#define RING_SIZE     ((size_t)1000)
#define TRANSFER_SIZE ((uint64_t)MIB)

struct ring_end {
    struct env_waker waker;
    uint8_t bytes[RING_SIZE]; /* on their way to this end */
    size_t used;
    bool is_open;
    enum code broken; /* what receive answers from now on; OK: it works */
};

static struct {
    struct env_network base;
    struct ring_end ends[2]; /* who connected, who accepted */
    struct env_waker place;
    bool is_listening;
    bool is_waiting; /* to be accepted */
} net;

static struct ring_end *other_of(const struct ring_end *end)
{
    return &net.ends[end == &net.ends[0] ? 1 : 0];
}

static void wake(const struct ring_end *end)
{
    if (end->is_open) end->waker.wake(end->waker.arg);
}

static enum code ring_connect(struct env_network *n, const char *address, struct env_waker waker,
                              void **out_connection, struct err *e)
{
    (void)n;
    if (!net.is_listening) return ERR(e, E_IO, "nobody is at %s", address);
    net.ends[0] = (struct ring_end){.waker = waker, .is_open = true};
    net.ends[1] = (struct ring_end){0};
    net.is_waiting = true;
    net.place.wake(net.place.arg);
    *out_connection = &net.ends[0];
    return OK;
}

static enum code ring_listen(struct env_network *n, const char *address, struct env_waker waker,
                             void **out_listener, struct err *e)
{
    (void)n;
    if (net.is_listening) return ERR(e, E_INUSE, "%s is taken", address);
    net.is_listening = true;
    net.place = waker;
    *out_listener = &net;
    return OK;
}

static bool ring_accept(struct env_network *n, void *listener, struct env_waker waker,
                        void **out_connection)
{
    (void)n;
    assert_ptr_equal(listener, &net);
    if (!net.is_waiting) return false;
    net.is_waiting = false;
    net.ends[1].waker = waker;
    net.ends[1].is_open = true;
    *out_connection = &net.ends[1];
    return true;
}

static void ring_unlisten(struct env_network *n, void *listener)
{
    (void)n;
    assert_ptr_equal(listener, &net);
    net.is_listening = false;
}

static enum code ring_send(struct env_network *n, void *connection, struct slice bytes,
                           size_t *out_taken)
{
    (void)n;
    struct ring_end *to = other_of(connection);
    size_t room = RING_SIZE - to->used;
    *out_taken = bytes.size < room ? bytes.size : room;
    memcpy(to->bytes + to->used, bytes.data, *out_taken);
    to->used += *out_taken;
    wake(to);
    return OK;
}

static enum code ring_receive(struct env_network *n, void *connection, void *out, size_t capacity,
                              size_t *out_size)
{
    (void)n;
    struct ring_end *end = connection;
    *out_size = 0;
    if (end->broken != OK) return end->broken;
    if (end->used == 0) return other_of(end)->is_open || net.is_waiting ? OK : E_CLOSED;
    size_t size = end->used < capacity ? end->used : capacity;
    memcpy(out, end->bytes, size);
    memmove(end->bytes, end->bytes + size, end->used - size);
    end->used -= size;
    *out_size = size;
    wake(other_of(end));
    return OK;
}

static void ring_close(struct env_network *n, void *connection)
{
    (void)n;
    struct ring_end *end = connection;
    assert_true(end->is_open);
    end->is_open = false;
    wake(other_of(end));
}

static void net_reset(void)
{
    memset(&net, 0, sizeof(net));
    net.base = (struct env_network){.connect = ring_connect,
                                    .listen = ring_listen,
                                    .accept = ring_accept,
                                    .unlisten = ring_unlisten,
                                    .send = ring_send,
                                    .receive = ring_receive,
                                    .close = ring_close};
}

static void accept_side(struct env_link *link, const char *peer_address, void *arg,
                        const struct env_link_events **out_events, void **out_arg)
{
    struct place *place = arg;
    assert_string_equal(peer_address, "here");
    place->accepted++;
    place->server.link = link;
    *out_events = &side_events;
    *out_arg = &place->server;
}

static void open_place(struct place *place)
{
    struct err e;
    net_reset();
    struct env *env = open_env(NULL);
    *place = (struct place){.env = env, .server.env = env, .client.env = env};
    assert_ok(env->v->listen_on(env, &net.base, "here", accept_side, place, &place->listener, &e));
}

static void connect_to_place(struct place *place)
{
    place->client.link =
        place->env->v->connect_on(place->env, &net.base, "here", &side_events, &place->client);
    assert_non_null(place->client.link);
}

static void open_both(struct place *place)
{
    open_place(place);
    connect_to_place(place);
    run_until(place->env, both_are_open, place);
}

static struct {
    uint64_t sent_bytes;
    unsigned lent;
    unsigned released;
    bool is_right;
} transfer;

static void release_bytes(void *arg)
{
    transfer.released++;
    free(arg);
}

/* Pieces of odd sizes, an empty one among them, until 64 KiB wait; drained() asks for more. */
static void send_more(struct side *side)
{
    struct env *env = side->env;
    while (transfer.sent_bytes < TRANSFER_SIZE && env->v->link_queued(env, side->link) < 70000) {
        size_t size = 1 + (size_t)(transfer.sent_bytes % 7001);
        if (size > TRANSFER_SIZE - transfer.sent_bytes) {
            size = (size_t)(TRANSFER_SIZE - transfer.sent_bytes);
        }
        uint8_t *bytes = malloc(size);
        assert_non_null(bytes);
        for (size_t i = 0; i < size; i++) {
            bytes[i] = (uint8_t)((transfer.sent_bytes + i) % 251);
        }
        struct slice pieces[3] = {slice_of(bytes, size / 3), slice_of(NULL, 0),
                                  slice_of(bytes + size / 3, size - size / 3)};
        transfer.sent_bytes += size;
        transfer.lent++;
        env->v->link_send(env, side->link, pieces, COUNT_OF(pieces), release_bytes, bytes);
    }
}

static void check_bytes(struct side *side, struct slice bytes)
{
    uint64_t start = side->received_bytes - bytes.size;
    for (size_t i = 0; i < bytes.size; i++) {
        transfer.is_right = transfer.is_right && bytes.data[i] == (start + i) % 251;
    }
    /* Stop for a moment now and then. */
    if (side->received_bytes % 5 == 0) side->env->v->link_pause(side->env, side->link, true);
}

static bool is_all_there(void *arg)
{
    struct place *place = arg;
    if (place->server.link != NULL) {
        place->env->v->link_pause(place->env, place->server.link, false);
    }
    return place->server.received_bytes == TRANSFER_SIZE;
}

static void bytes_arrive_whole_and_in_order_through_a_small_network(void **state)
{
    (void)state;
    struct place place;
    transfer.is_right = true;
    open_both(&place);
    place.client.on_drained = send_more;
    place.server.on_received = check_bytes;
    send_more(&place.client);
    run_until(place.env, is_all_there, &place);
    assert_true(transfer.is_right);
    assert_true(place.client.drained > 0);
    assert_int_equal(place.env->v->link_queued(place.env, place.client.link), 0);
    place_close(&place);
    assert_int_equal(transfer.released, transfer.lent);
    assert_int_equal(place.server.closed, 1);
    assert_int_equal(place.client.closed, 1);
}

static void a_link_that_cannot_be_made_says_why_and_closes(void **state)
{
    (void)state;
    struct place place = {0};
    net_reset();
    place.env = place.client.env = open_env(NULL);
    connect_to_place(&place);
    assert_int_equal(place.client.closed, 0); /* never from inside the call */
    send_text(&place.client, "dropped");
    run_until(place.env, client_is_closed, &place);
    assert_int_equal(place.client.opened, 0);
    assert_error(place.client.e.code, E_IO, &place.client.e, "nobody is at here");
    env_uv_close(place.env);
}

static void a_place_that_is_taken_is_refused(void **state)
{
    (void)state;
    struct place place;
    struct env_listener *second = NULL;
    struct err e;
    open_place(&place);
    struct env *env = place.env;
    assert_int_equal(env->v->listen_on(env, &net.base, "here", accept_side, &place, &second, &e),
                     E_INUSE);
    assert_null(second);
    place_close(&place);
}

static void the_last_words_arrive_before_the_end_is_told(void **state)
{
    (void)state;
    struct place place;
    open_both(&place);
    send_text(&place.client, "farewell");
    place.env->v->link_close(place.env, place.client.link);
    run_until(place.env, both_are_closed, &place);
    assert_int_equal(place.server.received_bytes, 8);
    assert_int_equal(place.client.e.code, OK);
    assert_error(place.server.e.code, E_IO, &place.server.e, "here closed the connection");
    place_close(&place);
}

static void close_at_once(struct side *side, struct slice bytes)
{
    (void)bytes;
    side->env->v->link_close(side->env, side->link);
}

static void a_link_may_be_closed_in_its_own_callback(void **state)
{
    (void)state;
    struct place place;
    open_both(&place);
    place.server.on_received = close_at_once;
    send_text(&place.client, "go");
    run_until(place.env, both_are_closed, &place);
    place_close(&place);
}

static void a_network_that_breaks_closes_the_link_with_its_reason(void **state)
{
    (void)state;
    struct place place;
    open_both(&place);
    net.ends[0].broken = E_TIMEOUT;
    wake(&net.ends[0]);
    run_until(place.env, both_are_closed, &place);
    assert_error(place.client.e.code, E_IO, &place.client.e, "here", "deadline");
    place_close(&place);
}

static void accept_nobody(struct env_link *link, const char *peer_address, void *arg,
                          const struct env_link_events **out_events, void **out_arg)
{
    (void)link;
    (void)peer_address;
    (void)out_events;
    (void)out_arg;
    ((struct place *)arg)->accepted++;
}

static void a_peer_that_nobody_wants_is_turned_away(void **state)
{
    (void)state;
    struct place place = {0};
    struct err e;
    net_reset();
    struct env *env = open_env(NULL);
    place.env = place.client.env = env;
    assert_ok(
        env->v->listen_on(env, &net.base, "here", accept_nobody, &place, &place.listener, &e));
    connect_to_place(&place);
    run_until(env, client_is_closed, &place);
    assert_int_equal(place.accepted, 1);
    place_close(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_arrive_whole_and_in_order_through_a_small_network),
        cmocka_unit_test(a_link_that_cannot_be_made_says_why_and_closes),
        cmocka_unit_test(a_place_that_is_taken_is_refused),
        cmocka_unit_test(the_last_words_arrive_before_the_end_is_told),
        cmocka_unit_test(a_link_may_be_closed_in_its_own_callback),
        cmocka_unit_test(a_network_that_breaks_closes_the_link_with_its_reason),
        cmocka_unit_test(a_peer_that_nobody_wants_is_turned_away),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
