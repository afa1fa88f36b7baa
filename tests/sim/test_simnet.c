/* Links keep their order, hold bytes back while cut, and end when they must. */
#include "support/tm_test.h"

#include "sim/machine.h"

/* One end of the link under test. */
struct end {
    struct env_link *link;
    uint8_t bytes[4096];
    size_t count;
    uint32_t opened;
    uint32_t closed;
    enum code code;
    uint32_t released;
};

struct setting {
    struct world world;
    struct simnet net;
    struct machine machines[2];
    struct end ends[2];
    struct env_listener *listener;
};

static void on_opened(struct env_link *link, void *arg)
{
    struct end *end = arg;
    assert_ptr_equal(end->link, link);
    end->opened++;
}

static void on_received(struct env_link *link, void *arg, struct slice bytes)
{
    struct end *end = arg;
    assert_ptr_equal(end->link, link);
    assert_true(end->count + bytes.size <= sizeof(end->bytes));
    memcpy(end->bytes + end->count, bytes.data, bytes.size);
    end->count += bytes.size;
}

static void on_closed(struct env_link *link, void *arg, const struct err *e)
{
    struct end *end = arg;
    assert_ptr_equal(end->link, link);
    end->closed++;
    end->code = e->code;
}

static void on_drained(struct env_link *link, void *arg)
{
    (void)link;
    (void)arg;
}

static const struct env_link_events events = {
    .opened = on_opened, .received = on_received, .closed = on_closed, .drained = on_drained};

static void on_accept(struct env_link *link, const char *peer, void *arg,
                      const struct env_link_events **out_events, void **out_arg)
{
    struct end *end = arg;
    assert_non_null(strstr(peer, "10.0.0.2:"));
    end->link = link;
    *out_events = &events;
    *out_arg = end;
}

static void on_release(void *arg)
{
    ((struct end *)arg)->released++;
}

static void run_for(struct setting *s, uint64_t ns)
{
    uint64_t until = s->world.now_ns + ns;
    while (s->world.event_count > 0 && s->world.events[0].at_ns <= until) {
        assert_true(world_step(&s->world));
    }
    s->world.now_ns = until;
}

static struct setting *setting_new(uint64_t seed)
{
    struct setting *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    world_init(&s->world, seed);
    simnet_init(&s->net, &s->world);
    for (uint32_t i = 0; i < 2; i++) {
        machine_init(&s->machines[i], &s->world, &s->net, i);
        machine_begins(&s->machines[i], true);
    }
    return s;
}

/* Node 0 listens, node 1 connects. */
static void connect_ends(struct setting *s)
{
    char address[SIMNET_ADDRESS_SIZE];
    simnet_address(0, address);
    uint16_t port = 0;
    if (s->listener == NULL) {
        assert_int_equal(
            simnet_listen(&s->net, 0, address, on_accept, &s->ends[0], &s->listener, &port, NULL),
            OK);
        assert_int_equal(port, SIMNET_PORT);
    }
    s->ends[1].link = simnet_connect(&s->net, 1, address, &events, &s->ends[1]);
}

static void setting_free(struct setting *s)
{
    assert_null(s->world.failed_check);
    for (uint32_t i = 0; i < 2; i++) {
        if (world_is_alive(&s->world, i)) machine_stops(&s->machines[i], false);
        machine_fini(&s->machines[i]);
    }
    simnet_fini(&s->net);
    world_fini(&s->world);
    free(s);
}

static void send_byte(struct setting *s, uint32_t from, uint8_t byte)
{
    struct slice piece = slice_of(&byte, 1);
    simnet_send(s->ends[from].link, &piece, 1, on_release, &s->ends[from]);
}

/* Units arrive in order, duplicates right behind, and every borrowed message is given back once. */
static void units_arrive_in_order(void **state)
{
    (void)state;
    struct setting *s = setting_new(3);
    connect_ends(s);
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[1].opened, 1);
    s->net.faults = (struct simnet_faults){
        .delay_mean_ns = NS_PER_MS, .drops = 200000, .duplicates = 200000, .slow = 50000};
    for (uint8_t i = 0; i < 200; i++) {
        send_byte(s, 1, i);
    }
    run_for(s, 10 * NS_PER_S);
    const struct end *end = &s->ends[0];
    assert_true(end->count > 120);
    for (size_t i = 1; i < end->count; i++) {
        assert_true(end->bytes[i - 1] <= end->bytes[i]);
    }
    assert_int_equal(s->ends[1].released, 200);
    assert_true(s->world.coverage.drops > 0);
    assert_true(s->world.coverage.duplicates > 0);
    setting_free(s);
}

/* A cut direction holds its units; after healing they arrive. The other direction works on. */
static void cut_direction_holds_units(void **state)
{
    (void)state;
    struct setting *s = setting_new(4);
    connect_ends(s);
    run_for(s, NS_PER_S);
    s->net.is_cut[1][0] = true;
    send_byte(s, 1, 1);
    send_byte(s, 0, 2);
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[0].count, 0);
    assert_int_equal(s->ends[1].count, 1);
    s->net.is_cut[1][0] = false;
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[0].count, 1);
    setting_free(s);
}

/* A cut that lasts ends the link at both ends. */
static void lasting_cut_ends_the_link(void **state)
{
    (void)state;
    struct setting *s = setting_new(5);
    connect_ends(s);
    run_for(s, NS_PER_S);
    s->net.is_cut[1][0] = true;
    s->net.is_cut[0][1] = true;
    send_byte(s, 1, 1);
    run_for(s, 60 * NS_PER_S);
    for (uint32_t i = 0; i < 2; i++) {
        assert_int_equal(s->ends[i].closed, 1);
        assert_int_equal(s->ends[i].code, E_IO);
    }
    setting_free(s);
}

/* Nobody listens: the link ends with a sentence, opened is never called. */
static void refused_connection_ends(void **state)
{
    (void)state;
    struct setting *s = setting_new(6);
    s->ends[1].link = simnet_connect(&s->net, 1, "10.0.0.1:7402", &events, &s->ends[1]);
    run_for(s, 20 * NS_PER_S);
    assert_int_equal(s->ends[1].opened, 0);
    assert_int_equal(s->ends[1].closed, 1);
    assert_int_equal(s->ends[1].code, E_IO);
    setting_free(s);
}

/* A process that ends resets its links; one that loses power is silent until it is back. */
static void power_cut_is_silent_until_the_node_is_back(void **state)
{
    (void)state;
    for (uint32_t is_power_cut = 0; is_power_cut < 2; is_power_cut++) {
        struct setting *s = setting_new(7 + is_power_cut);
        connect_ends(s);
        run_for(s, NS_PER_S);
        machine_stops(&s->machines[0], is_power_cut != 0);
        machine_ended(&s->machines[0], is_power_cut != 0);
        send_byte(s, 1, 1);
        run_for(s, 10 * NS_PER_S);
        assert_int_equal(s->ends[1].closed, is_power_cut ? 0 : 1);
        machine_begins(&s->machines[0], true);
        run_for(s, 10 * NS_PER_S);
        assert_int_equal(s->ends[1].closed, 1);
        assert_int_equal(s->ends[0].closed, 0);
        setting_free(s);
    }
}

/* A paused reader gets nothing; the sender sees its queue grow and is told when it drains. */
static void paused_reader_holds_the_sender(void **state)
{
    (void)state;
    struct setting *s = setting_new(9);
    connect_ends(s);
    run_for(s, NS_PER_S);
    simnet_pause(s->ends[0].link, true);
    for (uint8_t i = 0; i < 100; i++) {
        send_byte(s, 1, i);
    }
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[0].count, 0);
    assert_int_equal(simnet_queued(s->ends[1].link), 100);
    simnet_pause(s->ends[0].link, false);
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[0].count, 100);
    assert_int_equal(simnet_queued(s->ends[1].link), 0);
    setting_free(s);
}

/* Closing tells both ends once; a send on a closed link is a bug of the caller that is reported. */
static void closed_link_must_not_be_used(void **state)
{
    (void)state;
    struct setting *s = setting_new(10);
    connect_ends(s);
    run_for(s, NS_PER_S);
    simnet_close(s->ends[1].link);
    run_for(s, NS_PER_S);
    assert_int_equal(s->ends[0].closed, 1);
    assert_int_equal(s->ends[1].closed, 1);
    assert_int_equal(s->ends[1].code, OK);
    send_byte(s, 1, 1);
    assert_string_equal(s->world.failed_check, "env");
    s->world.failed_check = NULL;
    setting_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(units_arrive_in_order),
        cmocka_unit_test(cut_direction_holds_units),
        cmocka_unit_test(lasting_cut_ends_the_link),
        cmocka_unit_test(refused_connection_ends),
        cmocka_unit_test(power_cut_is_silent_until_the_node_is_back),
        cmocka_unit_test(paused_reader_holds_the_sender),
        cmocka_unit_test(closed_link_must_not_be_used),
    };
    return cmocka_run_group_tests_name("sim.simnet", tests, NULL, NULL);
}
