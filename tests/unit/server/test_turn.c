/* turn: slots keep their order and their kind of reply, and a turn short of memory answers so for
 * everything that needed the database. */
#include "support/tm_test.h"

#include "server/turn.h"
#include "support/fake/client.h"

static void slots_grow_and_start_empty(void **state)
{
    (void)state;
    struct service *service = client_service();
    struct turn *turn = service_take_turn(service);
    for (int i = 0; i < 5000; i++) {
        int64_t index = i % 2 == 0 ? turn_add_slot(turn) : turn_add_slots(turn, 1);
        assert_int_equal(index, i);
        assert_null(turn->slots[i].render);
        assert_int_equal(turn->slots[i].op, -1);
        turn->slots[i].op = 5;
    }
    assert_true(turn_is_full(turn));
    turn_reset(turn);
    assert_int_equal(turn->slot_count, 0);
    assert_int_equal(turn_add_slot(turn), 0);
    assert_int_equal(turn->slots[0].op, -1);
    assert_true(turn_is_oversized(turn));
    service_give_turn(service, turn);
    assert_int_equal(service->idle_turn_count, 0); /* not kept */
    client_service_end();
}

static void a_turn_short_of_memory_does_nothing_and_says_so(void **state)
{
    (void)state;
    struct service *service = client_service();
    struct client client;
    client_open(&client);
    struct turn *turn = service_take_turn(service);
    turn->service = service;
    turn->conn = &client.conn;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(turn_add_slot(turn), i);
    }
    out_simple(&turn->ready, "PONG");
    turn->slots[1].size = (uint32_t)turn->ready.size;
    turn->slots[0].render = render_token;
    turn->slots[2].render = render_integer;
    turn->op_count = 2;
    turn->is_short_of_memory = true;
    assert_false(turn_needs_database(turn));
    turn_render(turn, turn->started_ns);
    out_bytes(&turn->out, "", 1);
    assert_string_equal((const char *)turn->out.data,
                        "-OOM no memory for the request; nothing of it was done\r\n+PONG\r\n"
                        "-OOM no memory for the request; nothing of it was done\r\n");
    service_give_turn(service, turn);
    client_close(&client);
    client_service_end();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slots_grow_and_start_empty),
        cmocka_unit_test(a_turn_short_of_memory_does_nothing_and_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
