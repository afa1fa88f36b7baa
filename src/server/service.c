/* service: see service.h. */
#include "server/service.h"

#include "base/assert.h"
#include "server/conn.h"
#include "server/now.h"
#include "server/turn.h"

enum { IDLE_TURNS_MAX = 128, IDLE_INPUTS_MAX = 256 };

/* Bounds what clients can make the server hold: input, replies on their way, MULTI queues. */
#define MEMORY_OF_CLIENTS_MAX GIB

void service_init(struct service *service, const struct server_options *options,
                  const struct service_hooks *hooks)
{
    *service = (struct service){.options = options, .hooks = *hooks, .next_conn_id = 1};
    alloc_init(&service->alloc, MEMORY_OF_CLIENTS_MAX);
    service->started_ns = now_mono_ns();
    service->started_wall_ms = now_wall_us() / 1000;
}

void service_fini(struct service *service)
{
    ASSERT(service->conns == NULL);
    while (service->idle_turns != NULL) {
        struct turn *next = service->idle_turns->next;
        turn_free(service->idle_turns);
        service->idle_turns = next;
    }
    while (service->idle_inputs != NULL) {
        void *next = *(void **)service->idle_inputs;
        alloc_put(&service->alloc, service->idle_inputs, SERVICE_INPUT_SIZE);
        service->idle_inputs = next;
    }
}

struct turn *service_take_turn(struct service *service)
{
    struct turn *turn = service->idle_turns;
    if (turn == NULL) return turn_new(service);
    service->idle_turns = turn->next;
    service->idle_turn_count--;
    turn->next = NULL;
    return turn;
}

void service_give_turn(struct service *service, struct turn *turn)
{
    if (service->idle_turn_count >= IDLE_TURNS_MAX || turn_is_oversized(turn)) {
        turn_free(turn);
        return;
    }
    turn_reset(turn);
    turn->next = service->idle_turns;
    service->idle_turns = turn;
    service->idle_turn_count++;
}

void *service_take_input(struct service *service)
{
    void *input = service->idle_inputs;
    if (input == NULL) return alloc_get(&service->alloc, SERVICE_INPUT_SIZE);
    service->idle_inputs = *(void **)input;
    service->idle_input_count--;
    return input;
}

void service_give_input(struct service *service, void *input)
{
    if (service->idle_input_count >= IDLE_INPUTS_MAX) {
        alloc_put(&service->alloc, input, SERVICE_INPUT_SIZE);
        return;
    }
    *(void **)input = service->idle_inputs;
    service->idle_inputs = input;
    service->idle_input_count++;
}

/* Push. Release: what the database wrote into the run is seen by whoever takes the list. The one
 * who finds the list empty wakes the I/O thread; whoever comes later relies on that. */
void service_run_done(tide_run *run, void *arg)
{
    struct turn *turn = arg;
    struct service *service = turn->service;
    ASSERT(run == turn->run);
    struct turn *head = atomic_load_explicit(&service->completed, memory_order_relaxed);
    do {
        turn->next = head;
    } while (!atomic_compare_exchange_weak_explicit(&service->completed, &head, turn,
                                                    memory_order_release, memory_order_relaxed));
    if (head == NULL) service->hooks.wake(service);
}

void service_complete(struct service *service)
{
    struct turn *list = atomic_exchange_explicit(&service->completed, NULL, memory_order_acquire);
    struct turn *in_order = NULL;
    while (list != NULL) { /* the newest is first: turn it round */
        struct turn *next = list->next;
        list->next = in_order;
        in_order = list;
        list = next;
    }
    while (in_order != NULL) {
        struct turn *next = in_order->next;
        in_order->next = NULL;
        conn_completed(in_order->conn, in_order);
        in_order = next;
    }
}
