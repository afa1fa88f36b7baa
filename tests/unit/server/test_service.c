/* service: pools give back what they were given, and completed turns come home from another thread,
 * each exactly once and in the order of their connection. */
#include "support/tm_test.h"

#include "server/turn.h"
#include "support/fake/client.h"

#include <poll.h>

static void pools_are_bounded_and_reused(void **state)
{
    (void)state;
    struct service *service = client_service();
    enum { COUNT = 600 };
    void *inputs[COUNT];
    struct turn *turns[COUNT];
    for (int i = 0; i < COUNT; i++) {
        inputs[i] = service_take_input(service);
        turns[i] = service_take_turn(service);
        assert_non_null(inputs[i]);
        assert_non_null(turns[i]);
    }
    uint64_t used = service->alloc.used_bytes;
    for (int i = 0; i < COUNT; i++) {
        service_give_input(service, inputs[i]);
        service_give_turn(service, turns[i]);
    }
    assert_true(service->alloc.used_bytes < used / 2);
    assert_ptr_equal(service_take_input(service),
                     service->idle_inputs != NULL ? inputs[255] : NULL);
    service_give_input(service, inputs[255]);
    client_service_end();
}

static void turns_come_home_from_another_thread(void **state)
{
    (void)state;
    enum { CLIENTS = 30, ROUNDS = 200 };
    (void)client_service();
    static struct client clients[CLIENTS];
    for (int i = 0; i < CLIENTS; i++) {
        client_open(&clients[i]);
    }
    fake_remember(false);
    fake_use_thread(true);
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++) {
            client_say(&clients[i], "SIGNAL view a\r\nPING\r\n");
        }
    }
    for (int i = 0; i < CLIENTS; i++) {
        size_t replies = 0;
        while (true) {
            client_complete();
            replies = 0;
            for (size_t k = 0; k < clients[i].received.size; k++) {
                replies += clients[i].received.data[k] == '+';
            }
            if (replies == ROUNDS) break;
            (void)poll(NULL, 0, 1);
        }
    }
    assert_true(client_wakes() > 0);
    for (int i = 0; i < CLIENTS; i++) {
        assert_null(clients[i].conn.turn);
        client_close(&clients[i]);
    }
    client_service_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pools_are_bounded_and_reused),
        cmocka_unit_test(turns_come_home_from_another_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
