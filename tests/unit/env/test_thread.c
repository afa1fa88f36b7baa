/* Goal: an event set before, during and after a wait always ends it; a time-out is told; threads
 * are joined. */
#include "env/thread.h"

#include <stdatomic.h>
#include <unistd.h>

#include "support/tm_test.h"

static void set_event(void *arg)
{
    env_event_set(arg);
}

struct counted {
    struct env_mutex *mutex;
    int count;
};

static void count_up(void *arg)
{
    struct counted *c = arg;
    for (int i = 0; i < 10000; i++) {
        env_mutex_lock(c->mutex);
        c->count++;
        env_mutex_unlock(c->mutex);
    }
}

static void a_mutex_keeps_threads_apart(void **state)
{
    (void)state;
    struct counted c = {.mutex = env_mutex_new()};
    struct env_thread *threads[3] = {NULL};
    assert_non_null(c.mutex);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(env_thread_start("counter", count_up, &c, &threads[i], NULL), OK);
    }
    for (int i = 0; i < 3; i++) {
        env_thread_join(threads[i]);
    }
    assert_int_equal(c.count, 30000);
    env_mutex_free(c.mutex);
    env_mutex_free(NULL);
}

static void an_event_set_by_another_thread_ends_the_wait(void **state)
{
    (void)state;
    for (int i = 0; i < 200; i++) {
        struct env_event event;
        struct env_thread *thread = NULL;
        env_event_init(&event);
        assert_int_equal(env_thread_start("setter", set_event, &event, &thread, NULL), OK);
        env_event_wait(&event);
        env_thread_join(thread);
    }
}

static void an_event_set_before_is_not_waited_for(void **state)
{
    (void)state;
    struct env_event event;
    env_event_init(&event);
    env_event_set(&event);
    env_event_wait(&event);
    assert_true(env_event_wait_ms(&event, 1));
}

static void a_wait_that_nobody_ends_times_out(void **state)
{
    (void)state;
    struct env_event event;
    env_event_init(&event);
    assert_false(env_event_wait_ms(&event, 5));
    env_event_set(&event); /* setting after a time-out is harmless */
    assert_true(env_event_wait_ms(&event, 5));
}

static void joining_nothing_is_allowed(void **state)
{
    (void)state;
    env_thread_join(NULL);
}

static void the_machine_has_memory(void **state)
{
    (void)state;
    assert_true(env_machine_memory() >= 64 * MIB);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_mutex_keeps_threads_apart),
        cmocka_unit_test(an_event_set_by_another_thread_ends_the_wait),
        cmocka_unit_test(an_event_set_before_is_not_waited_for),
        cmocka_unit_test(a_wait_that_nobody_ends_times_out),
        cmocka_unit_test(joining_nothing_is_allowed),
        cmocka_unit_test(the_machine_has_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
