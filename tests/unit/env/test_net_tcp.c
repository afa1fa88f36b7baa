/* How links come to be, and how they do not: listening, accepting, refusing, failing names. */
#include "net_support.h"

#include <dlfcn.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "env/net_link.h"

/* The names of these tests; no name server is asked. */
static _Atomic unsigned look_ups;
static sem_t resolver_may_answer;

static int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *,
                               struct addrinfo **);

int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    atomic_fetch_add(&look_ups, 1);
    if (strcmp(node, "absent.test") == 0) return EAI_NONAME;
    if (strcmp(node, "later.test") == 0) return EAI_AGAIN;
    if (strcmp(node, "hangs.test") == 0) {
        while (sem_wait(&resolver_may_answer) != 0) {
        }
        return EAI_AGAIN;
    }
    if (strcmp(node, "one.test") == 0) return real_getaddrinfo("127.0.0.1", service, hints, out);
    assert_string_equal(node, "two.test"); /* nothing listens on the first of its addresses */
    int status = real_getaddrinfo("127.0.0.2", service, hints, out);
    if (status != 0) return status;
    return real_getaddrinfo("127.0.0.1", service, hints, &(*out)->ai_next);
}

static int prepare(void **state)
{
    (void)state;
    *(void **)(&real_getaddrinfo) = dlsym(RTLD_NEXT, "getaddrinfo");
    return real_getaddrinfo != NULL ? sem_init(&resolver_may_answer, 0, 0) : -1;
}

/* Connect to an address and expect the link to end with this error. */
static void assert_fails(struct place *place, const char *address, enum code code, const char *why)
{
    struct env *env = place->env;
    place->client = (struct side){.env = env};
    place->client.link = env->v->connect(env, address, &side_events, &place->client);
    assert_int_equal(place->client.closed, 0); /* never from inside the call */
    run_until(env, client_is_closed, place);
    assert_int_equal(place->client.opened, 0);
    assert_int_equal(place->client.closed, 1);
    assert_error(place->client.e.code, code, &place->client.e, address, why);
}

static void refused_connection_is_told_with_its_address(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    place.env->v->unlisten(place.env, place.listener); /* the port is free again */
    place.listener = NULL;
    assert_fails(&place, place.address, E_IO, "nothing listens there");
    assert_fails(&place, "[::1]:1", E_IO, "");
    place_close(&place);
}

static void faulty_addresses_end_in_closed(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    assert_fails(&place, "no-port", E_INVALID, "has no port");
    assert_fails(&place, "::1:7400", E_INVALID, "write [host]:port");
    place_close(&place);
}

static void names_that_are_not_found_are_told(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    assert_fails(&place, "absent.test:7400", E_IO, "is not found");
    assert_fails(&place, "later.test:7400", E_IO, "is not found");
    place_close(&place);
}

static void connect_by_name(struct place *place, const char *name)
{
    struct env *env = place->env;
    char address[96];
    (void)snprintf(address, sizeof(address), "%s%s", name, strrchr(place->address, ':'));
    place->accepted = 0;
    place->server = (struct side){.env = env};
    place->client = (struct side){.env = env};
    place->client.link = env->v->connect(env, address, &side_events, &place->client);
    run_until(env, both_are_open, place);
    assert_string_equal(env->v->link_describe(env, place->client.link), address);
    env->v->link_close(env, place->client.link);
    run_until(env, both_are_closed, place);
}

static void name_is_looked_up_each_time_and_every_address_is_tried(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    atomic_store(&look_ups, 0);
    connect_by_name(&place, "one.test");
    connect_by_name(&place, "one.test");
    assert_int_equal(atomic_load(&look_ups), 2);
    connect_by_name(&place, "two.test");
    place.env->v->unlisten(place.env, place.listener);
    place.listener = NULL;
    assert_fails(&place, "two.test:1", E_IO, "refused the connection");
    place_close(&place);
}

static bool is_looking_up(void *arg)
{
    (void)arg;
    return atomic_load(&look_ups) > 0;
}

/* A name server that does not answer holds up neither closed() nor the env's end. */
static void hanging_look_up_holds_nobody_up(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    uint64_t start_ns = env->v->now_mono_ns(env);
    atomic_store(&look_ups, 0);
    place.client.link = env->v->connect(env, "hangs.test:1", &side_events, &place.client);
    run_until(env, is_looking_up, NULL);
    env->v->link_close(env, place.client.link);
    run_until(env, client_is_closed, &place);
    assert_int_equal(place.client.e.code, OK);
    struct side second = {.env = env};
    second.link = env->v->connect(env, "hangs.test:1", &side_events, &second);
    place_close(&place); /* with the second one still looking up */
    assert_int_equal(second.closed, 1);
    struct env *later = open_env(NULL);
    assert_true(later->v->now_mono_ns(later) - start_ns < 30 * NS_PER_S);
    env_uv_close(later);
    /* Both threads end by themselves, after their env. */
    assert_int_equal(sem_post(&resolver_may_answer), 0);
    assert_int_equal(sem_post(&resolver_may_answer), 0);
}

/* Answers that arrive while the link goes away are taken and thrown away. */
static void links_closed_right_after_connect_end_cleanly(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    const char *names[] = {"one.test:1", "two.test:1", "absent.test:1", "127.0.0.1:1", "bad"};
    for (int round = 0; round < 50; round++) {
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            place.client = (struct side){.env = env};
            place.client.link = env->v->connect(env, names[i], &side_events, &place.client);
            if (round % 2 == 0) {
                env_uv_stop(env);
                env_uv_run(env);
            }
            if (place.client.link != NULL) env->v->link_close(env, place.client.link);
            run_until(env, client_is_closed, &place);
        }
    }
    place_close(&place);
}

/* A task that looks at the link in each drain and closes it between two of its addresses. */
struct watcher {
    struct env_task task;
    struct side *side;
    bool has_closed;
};

static void watch(struct env_task *task)
{
    struct watcher *watcher = CONTAINER_OF(task, struct watcher, task);
    struct side *side = watcher->side;
    if (side->link == NULL) return;
    if (side->link->is_reopening) {
        side->env->v->link_close(side->env, side->link);
        watcher->has_closed = true;
        return;
    }
    side->env->v->post(side->env, task);
}

static void link_may_be_closed_between_two_addresses(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    char address[96];
    (void)snprintf(address, sizeof(address), "two.test%s", strrchr(place.address, ':'));
    place.client.link = env->v->connect(env, address, &side_events, &place.client);
    struct watcher watcher = {.task.run = watch, .side = &place.client};
    env->v->post(env, &watcher.task);
    run_until(env, client_is_closed, &place);
    assert_true(watcher.has_closed);
    assert_int_equal(place.client.opened, 0);
    assert_int_equal(place.client.closed, 1);
    assert_int_equal(place.client.e.code, OK);
    place_close(&place);
}

static void port_in_use_names_address_and_port(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    struct env_listener *second = NULL;
    uint16_t port = 0;
    struct err e;
    enum code code = env->v->listen(env, place.address, place_accept, &place, &second, &port, &e);
    assert_error(code, E_INUSE, &e, place.address, "another program uses this address and port");
    assert_null(second);
    place_close(&place);
}

static void listening_needs_a_good_local_address(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    struct env_listener *listener = NULL;
    uint16_t port = 0;
    struct err e;
    static const struct {
        const char *address;
        enum code code;
        const char *why;
    } cases[] = {
        {"7400", E_INVALID, "has no port"},
        {":7400", E_INVALID, "every interface"},
        {"192.0.2.1:0", E_INVALID, "this machine has no such address"},
        {"absent.test:0", E_INVALID, "absent.test"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        enum code code =
            env->v->listen(env, cases[i].address, place_accept, &place, &listener, &port, &e);
        assert_error(code, cases[i].code, &e, cases[i].why);
    }
    assert_ok(env->v->listen(env, "one.test:0", place_accept, &place, &listener, &port, &e));
    assert_true(port != 0);
    env->v->unlisten(env, listener);
    env->v->unlisten(env, NULL);
    place_close(&place);
}

static void both_families_are_spoken(void **state)
{
    (void)state;
    struct place place;
    place_open(&place);
    struct env *env = place.env;
    env->v->unlisten(env, place.listener);
    place.listener = NULL;
    struct err e;
    uint16_t port = 0;
    if (env->v->listen(env, "[::]:0", place_accept, &place, &place.listener, &port, &e) != OK) {
        print_message("skipped: no IPv6 here: %s\n", e.text);
        env_uv_close(env);
        skip();
    }
    /* An IPv4 peer of an IPv6 listener is written as IPv4, which place_accept checks. */
    (void)snprintf(place.address, sizeof(place.address), "127.0.0.1:%u", (unsigned)port);
    place_connect(&place);
    run_until(env, both_are_open, &place);
    place_close(&place);
}

static void refuse(struct env_link *link, const char *peer_address, void *arg,
                   const struct env_link_events **out_events, void **out_arg)
{
    (void)link;
    (void)peer_address;
    (void)out_events;
    (void)out_arg;
    ((struct place *)arg)->accepted++;
}

static void greet_and_close(struct env_link *link, const char *peer_address, void *arg,
                            const struct env_link_events **out_events, void **out_arg)
{
    struct place *place = arg;
    place_accept(link, peer_address, arg, out_events, out_arg);
    send_text(&place->server, "bye");
    place->env->v->link_close(place->env, link);
}

static void peer_may_be_refused_or_closed_when_it_is_accepted(void **state)
{
    (void)state;
    const env_accept accepts[] = {refuse, greet_and_close};
    for (size_t i = 0; i < COUNT_OF(accepts); i++) {
        struct place place;
        place_open_with(&place, accepts[i]);
        place_connect(&place);
        run_until(place.env, client_is_closed, &place);
        assert_int_equal(place.accepted, 1);
        assert_error(place.client.e.code, E_IO, &place.client.e, "closed the connection");
        assert_int_equal(place.server.closed, i);
        place_close(&place);
    }
}

static void accept_and_unlisten(struct env_link *link, const char *peer_address, void *arg,
                                const struct env_link_events **out_events, void **out_arg)
{
    struct place *place = arg;
    place_accept(link, peer_address, arg, out_events, out_arg);
    place->env->v->unlisten(place->env, place->listener);
    place->listener = NULL;
}

static void listener_may_end_when_it_accepts(void **state)
{
    (void)state;
    struct place place;
    place_open_with(&place, accept_and_unlisten);
    place_connect(&place);
    run_until(place.env, both_are_open, &place);
    place_close(&place);
}

static void small_messages_leave_at_once(void **state)
{
    (void)state;
    struct place place;
    place_open_pair(&place);
    struct env_link *const links[] = {place.client.link, place.server.link};
    for (size_t i = 0; i < COUNT_OF(links); i++) {
        uv_os_fd_t fd = -1;
        assert_int_equal(uv_fileno((uv_handle_t *)&links[i]->tcp, &fd), 0);
        int is_on = 0;
        socklen_t size = sizeof(is_on);
        assert_int_equal(getsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &is_on, &size), 0);
        assert_true(is_on != 0);
    }
    place_close(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_connection_is_told_with_its_address),
        cmocka_unit_test(faulty_addresses_end_in_closed),
        cmocka_unit_test(names_that_are_not_found_are_told),
        cmocka_unit_test(name_is_looked_up_each_time_and_every_address_is_tried),
        cmocka_unit_test(hanging_look_up_holds_nobody_up),
        cmocka_unit_test(links_closed_right_after_connect_end_cleanly),
        cmocka_unit_test(link_may_be_closed_between_two_addresses),
        cmocka_unit_test(port_in_use_names_address_and_port),
        cmocka_unit_test(listening_needs_a_good_local_address),
        cmocka_unit_test(both_families_are_spoken),
        cmocka_unit_test(peer_may_be_refused_or_closed_when_it_is_accepted),
        cmocka_unit_test(listener_may_end_when_it_accepts),
        cmocka_unit_test(small_messages_leave_at_once),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
