/* Look-ups: answered, abandoned before and after the answer, left behind by an env that closes. */
#include "env_support.h"

#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#include "env/net_resolve.h"

static _Atomic unsigned started;
static sem_t may_answer;
static int (*real_getaddrinfo)(const char *, const char *, const struct addrinfo *,
                               struct addrinfo **);

/* "held.test" is answered when the test allows it, "none.test" is unknown, the rest is here. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict out)
{
    atomic_fetch_add(&started, 1);
    if (strcmp(node, "held.test") == 0) {
        while (sem_wait(&may_answer) != 0) {
        }
    }
    if (strcmp(node, "none.test") == 0) return EAI_NONAME;
    return real_getaddrinfo("127.0.0.1", service, hints, out);
}

static int prepare(void **state)
{
    (void)state;
    *(void **)(&real_getaddrinfo) = dlsym(RTLD_NEXT, "getaddrinfo");
    return real_getaddrinfo != NULL ? sem_init(&may_answer, 0, 0) : -1;
}

struct answer {
    struct env *env;
    unsigned count;
    int status;
    uint16_t port;
};

static void take_answer(void *arg, int status, struct addrinfo *addresses)
{
    struct answer *answer = arg;
    answer->count++;
    answer->status = status;
    if (status == 0) {
        char text[NET_ADDRESS_TEXT_SIZE];
        struct sockaddr_storage first = {0};
        memcpy(&first, addresses->ai_addr, addresses->ai_addrlen);
        net_address_format(&first, text);
        assert_string_equal(text, "127.0.0.1:7400");
        freeaddrinfo(addresses);
    }
    env_uv_stop(answer->env);
}

static struct resolve *start(struct answer *answer, struct env *env, const char *host)
{
    struct net_address address = {.port = 7400};
    memcpy(address.host, host, strlen(host) + 1);
    *answer = (struct answer){.env = env};
    struct resolve *resolve = resolve_start(env_uv_of(env), &address, take_answer, answer);
    assert_non_null(resolve);
    return resolve;
}

static void answers_come_once_and_in_the_loop(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct answer answer;
    (void)start(&answer, env, "some.test");
    env_uv_run(env);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.status, 0);
    (void)start(&answer, env, "none.test");
    env_uv_run(env);
    assert_int_equal(answer.count, 1);
    assert_int_equal(answer.status, EAI_NONAME);
    env_uv_close(env);
}

static void abandoned_look_up_is_not_answered(void **state)
{
    (void)state;
    struct env *env = open_env(NULL);
    struct env_uv *u = env_uv_of(env);
    struct answer before;
    resolve_abandon(start(&before, env, "held.test"));
    assert_true(list_is_empty(&u->resolves)); /* it is its thread's alone now */
    assert_int_equal(sem_post(&may_answer), 0);
    struct answer after;
    struct resolve *resolve = start(&after, env, "some.test");
    while (atomic_load(&u->inbox.tasks) == NULL) { /* until its answer waits for the loop */
        (void)sched_yield();
    }
    resolve_abandon(resolve);
    assert_false(list_is_empty(&u->resolves));
    env_uv_stop(env);
    env_uv_run(env);
    assert_true(list_is_empty(&u->resolves));
    assert_int_equal(before.count + after.count, 0);
    env_uv_close(env);
}

/* The threads of these look-ups end at any time around the end of their env. */
static void env_closes_among_look_ups_that_end(void **state)
{
    (void)state;
    for (int round = 0; round < 100; round++) {
        struct env *env = open_env(NULL);
        struct answer answers[4];
        struct resolve *resolves[4];
        for (size_t i = 0; i < COUNT_OF(answers); i++) {
            resolves[i] = start(&answers[i], env, i % 2 == 0 ? "held.test" : "some.test");
        }
        assert_int_equal(sem_post(&may_answer), 0);
        for (size_t i = 0; i < COUNT_OF(answers); i++) {
            resolve_abandon(resolves[i]);
        }
        assert_int_equal(sem_post(&may_answer), 0);
        env_uv_close(env);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_come_once_and_in_the_loop),
        cmocka_unit_test(abandoned_look_up_is_not_answered),
        cmocka_unit_test(env_closes_among_look_ups_that_end),
    };
    return cmocka_run_group_tests(tests, prepare, NULL);
}
