/* net_support: links between two sides in one loop, with counters and hooks, and a way to run the
 * loop until something is true. */
#ifndef TIDEMARK_TESTS_UNIT_ENV_NET_SUPPORT_H
#define TIDEMARK_TESTS_UNIT_ENV_NET_SUPPORT_H

#include "env_support.h"

struct side {
    struct env *env;
    struct env_link *link; /* NULL again after closed */
    unsigned opened;
    unsigned drained;
    unsigned closed;
    uint64_t received_bytes;
    size_t received_size_max; /* the largest single delivery */
    struct err e;             /* from closed */
    void (*on_opened)(struct side *side);
    void (*on_received)(struct side *side, struct slice bytes);
    void (*on_drained)(struct side *side);
    void (*on_closed)(struct side *side);
};

static inline void side_opened(struct env_link *link, void *arg)
{
    struct side *side = arg;
    side->link = link;
    side->opened++;
    assert_int_equal(side->closed, 0);
    if (side->on_opened != NULL) side->on_opened(side);
}
static inline void side_received(struct env_link *link, void *arg, struct slice bytes)
{
    struct side *side = arg;
    assert_ptr_equal(side->link, link);
    assert_int_equal(side->closed, 0);
    side->received_bytes += bytes.size;
    if (bytes.size > side->received_size_max) side->received_size_max = bytes.size;
    if (side->on_received != NULL) side->on_received(side, bytes);
}
static inline void side_drained(struct env_link *link, void *arg)
{
    struct side *side = arg;
    assert_ptr_equal(side->link, link);
    assert_int_equal(side->closed, 0);
    side->drained++;
    if (side->on_drained != NULL) side->on_drained(side);
}
static inline void side_closed(struct env_link *link, void *arg, const struct err *e)
{
    struct side *side = arg;
    (void)link;
    side->closed++;
    side->e = *e;
    side->link = NULL;
    if (side->on_closed != NULL) side->on_closed(side);
}

static const struct env_link_events side_events = {
    .opened = side_opened,
    .received = side_received,
    .drained = side_drained,
    .closed = side_closed,
};

/* A listener on a free port of 127.0.0.1 whose one incoming link becomes `server`. */
struct place {
    struct env *env;
    struct env_listener *listener;
    char address[64];
    unsigned accepted;
    struct side server;
    struct side client;
};

static inline void place_accept(struct env_link *link, const char *peer_address, void *arg,
                                const struct env_link_events **out_events, void **out_arg)
{
    struct place *place = arg;
    assert_non_null(strstr(peer_address, "127.0.0.1:"));
    place->accepted++;
    place->server.link = link;
    *out_events = &side_events;
    *out_arg = &place->server;
}

static inline void place_open_with(struct place *place, env_accept accept)
{
    struct env *env = open_env(NULL);
    *place = (struct place){.env = env, .server.env = env, .client.env = env};
    struct err e;
    uint16_t port = 0;
    assert_ok(env->v->listen(env, "127.0.0.1:0", accept, place, &place->listener, &port, &e));
    assert_true(port != 0);
    (void)snprintf(place->address, sizeof(place->address), "127.0.0.1:%u", (unsigned)port);
}

static inline void place_open(struct place *place)
{
    place_open_with(place, place_accept);
}

static inline void place_connect(struct place *place)
{
    struct env *env = place->env;
    place->client.link = env->v->connect(env, place->address, &side_events, &place->client);
    assert_non_null(place->client.link);
}

/* Run the loop until is_true(arg), looking once in a millisecond; fails after a minute. */
struct waiting {
    struct env_timer timer;
    bool (*is_true)(void *arg);
    void *arg;
    uint64_t deadline_ns;
};
static inline void waiting_look(struct env_timer *timer)
{
    struct waiting *waiting = CONTAINER_OF(timer, struct waiting, timer);
    struct env *env = timer->env;
    if (waiting->is_true(waiting->arg) || env->v->now_mono_ns(env) > waiting->deadline_ns) {
        env_uv_stop(env);
    } else {
        env->v->timer_start(env, timer, NS_PER_MS);
    }
}
static inline void run_until(struct env *env, bool (*is_true)(void *arg), void *arg)
{
    struct waiting waiting = {.timer.fire = waiting_look,
                              .is_true = is_true,
                              .arg = arg,
                              .deadline_ns = env->v->now_mono_ns(env) + 60 * NS_PER_S};
    env->v->timer_start(env, &waiting.timer, 0);
    env_uv_run(env);
    env->v->timer_close(env, &waiting.timer);
    assert_true(is_true(arg));
}

static inline bool both_are_closed(void *arg)
{
    const struct place *place = arg;
    return place->server.closed > 0 && place->client.closed > 0;
}
static inline bool both_are_open(void *arg)
{
    const struct place *place = arg;
    return place->accepted > 0 && place->client.opened > 0;
}
static inline bool client_is_closed(void *arg)
{
    const struct place *place = arg;
    return place->client.closed > 0;
}
static inline bool server_is_closed(void *arg)
{
    const struct place *place = arg;
    return place->server.closed > 0;
}

/* Open a place, connect, and run until both sides know each other. */
static inline void place_open_pair(struct place *place)
{
    place_open(place);
    place_connect(place);
    run_until(place->env, both_are_open, place);
}

static inline void place_close(struct place *place)
{
    place->env->v->unlisten(place->env, place->listener);
    env_uv_close(place->env);
    assert_true(place->server.closed <= 1);
    assert_true(place->client.closed <= 1);
}

/* Send one piece of text, copied. */
static inline void send_text(struct side *side, const char *text)
{
    struct slice piece = slice_of_text(text);
    side->env->v->link_send(side->env, side->link, &piece, 1, NULL, NULL);
}

#endif
