/* Tests of engine/frames: frames out of a byte stream however it is cut, and nothing believed
 * before it was checked. The link is a counter of calls. */
#include "support/tm_test.h"

#include "base/random.h"
#include "engine/frames.h"

static struct {
    struct env env;
    bool is_paused;
    uint8_t sent[64 * 1024];
    size_t sent_size;
} world;

static void world_pause(struct env *env, struct env_link *link, bool is_paused)
{
    (void)env;
    (void)link;
    world.is_paused = is_paused;
}

static void world_send(struct env *env, struct env_link *link, const struct slice *pieces,
                       size_t count, void (*release)(void *), void *release_arg)
{
    (void)env;
    (void)link;
    for (size_t i = 0; i < count; i++) {
        memcpy(world.sent + world.sent_size, pieces[i].data, pieces[i].size);
        world.sent_size += pieces[i].size;
    }
    if (release != NULL) release(release_arg);
}

static const struct env_vtable vtable = {.link_pause = world_pause, .link_send = world_send};

static struct alloc alloc;
static struct frames frames;
static uint64_t got[64]; /* durable seqnos of the heartbeats that arrived */
static uint32_t got_count;
static uint32_t hold_at; /* hold after so many; 0 never */
static enum code answer;
static const uint8_t *whole_begin; /* memory in which a body may lie without a copy */
static const uint8_t *whole_end;
static uint32_t copied;

static enum code on_frame(void *arg, const struct wire_header *header, struct slice body,
                          struct err *e)
{
    struct wire_message m;
    (void)arg;
    assert_int_equal(wire_decode(header, body, &m, e), OK);
    assert_int_equal(m.kind, WIRE_HEARTBEAT);
    copied += body.data < whole_begin || body.data >= whole_end;
    got[got_count++] = m.as.heartbeat.durable.seqno.v;
    if (got_count == hold_at) frames_hold(&frames);
    return answer;
}

static int setup(void **state)
{
    (void)state;
    memset(&world, 0, sizeof(world));
    world.env.v = &vtable;
    alloc_init(&alloc, 0);
    got_count = hold_at = copied = 0;
    answer = OK;
    /* Any pointer but NULL will do: the link is only handed back to the env. */
    frames_init(&frames, &world.env, (struct env_link *)(void *)&world, &alloc, on_frame, NULL);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    frames_fini(&frames);
    assert_int_equal(alloc.used_bytes, 0);
    return 0;
}

/* Heartbeats 1..count, back to back, in world.sent. */
static struct slice heartbeats(uint64_t count)
{
    world.sent_size = 0;
    for (uint64_t i = 1; i <= count; i++) {
        struct wire_message m = {
            .kind = WIRE_HEARTBEAT,
            .session = 9,
            .as.heartbeat = {.epoch = {.number = 1, .nonce = 1},
                             .durable = {.epoch = 1, .seqno = seqno_of(i)}},
        };
        frames_send(&frames, &m);
    }
    whole_begin = world.sent;
    whole_end = world.sent + world.sent_size;
    return slice_of(world.sent, world.sent_size);
}

static void check_got(uint64_t count)
{
    assert_int_equal(got_count, count);
    for (uint64_t i = 0; i < count; i++)
        assert_int_equal(got[i], i + 1);
}

static void whole_frames_are_handed_on_without_a_copy(void **state)
{
    (void)state;
    assert_int_equal(frames_feed(&frames, heartbeats(5), NULL), OK);
    check_got(5);
    assert_int_equal(copied, 0);
    assert_int_equal(alloc.used_bytes, 0);
}

static void frames_cut_at_every_byte_arrive_the_same(void **state)
{
    (void)state;
    struct slice bytes = heartbeats(2);
    for (size_t cut = 0; cut <= bytes.size; cut++) {
        got_count = 0;
        assert_int_equal(frames_feed(&frames, slice_of(bytes.data, cut), NULL), OK);
        struct slice rest = slice_of(bytes.data + cut, bytes.size - cut);
        assert_int_equal(frames_feed(&frames, rest, NULL), OK);
        check_got(2);
    }
}

static void frames_in_random_pieces_arrive_the_same(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("pieces", 3));
    for (int round = 0; round < 300; round++) {
        struct slice bytes = heartbeats(20);
        got_count = 0;
        while (bytes.size > 0) {
            size_t size = 1 + (size_t)random_below(&random, bytes.size);
            if (random_chance(&random, 500000) && size > 50) size = 1 + size % 50;
            assert_int_equal(frames_feed(&frames, slice_of(bytes.data, size), NULL), OK);
            bytes = slice_of(bytes.data + size, bytes.size - size);
        }
        check_got(20);
    }
}

static void holding_stops_before_the_next_frame_and_resuming_loses_nothing(void **state)
{
    (void)state;
    struct slice bytes = heartbeats(6);
    hold_at = 2;
    assert_int_equal(frames_feed(&frames, slice_of(bytes.data, bytes.size - 7), NULL), OK);
    check_got(2);
    assert_true(world.is_paused);
    /* What was on its way already. */
    struct slice rest = slice_of(bytes.data + bytes.size - 7, 7);
    assert_int_equal(frames_feed(&frames, rest, NULL), OK);
    check_got(2);
    hold_at = 4; /* holds again while the kept bytes are fed */
    assert_int_equal(frames_resume(&frames, NULL), OK);
    check_got(4);
    assert_true(world.is_paused);
    hold_at = 0;
    assert_int_equal(frames_resume(&frames, NULL), OK);
    check_got(6);
    assert_false(world.is_paused);
}

static void bytes_kept_on_a_held_link_are_bounded(void **state)
{
    (void)state;
    static uint8_t flood[MIB];
    frames_hold(&frames);
    for (uint64_t i = 0; i < FRAMES_KEPT_MAX / MIB; i++)
        assert_int_equal(frames_feed(&frames, slice_of(flood, sizeof(flood)), NULL), OK);
    assert_int_equal(frames_feed(&frames, slice_of(flood, 1), NULL), E_LIMIT);
}

static void a_large_size_is_refused_before_memory_is_taken(void **state)
{
    (void)state;
    uint8_t head[WIRE_HEADER_SIZE];
    struct wire_header h = {
        .kind = WIRE_BATCHES, .body_size = FRAMES_GREETING_MAX + 1, .session = 9};
    wire_header_encode(&h, head);
    struct err e;
    assert_int_equal(frames_feed(&frames, slice_of(head, sizeof(head)), &e), E_PROTOCOL);
    assert_int_equal(alloc.used_bytes, 0);
}

static void without_memory_a_cut_frame_is_an_error_not_a_crash(void **state)
{
    (void)state;
    struct slice bytes = heartbeats(1);
    atomic_store(&alloc.fail_countdown, 1);
    assert_int_equal(frames_feed(&frames, slice_of(bytes.data, bytes.size - 1), NULL), E_NOMEMORY);
}

static void a_damaged_body_or_header_ends_the_stream(void **state)
{
    (void)state;
    struct slice bytes = heartbeats(1);
    world.sent[bytes.size - 1] ^= 1;
    assert_int_equal(frames_feed(&frames, bytes, NULL), E_CORRUPT);
    (void)teardown(state);
    (void)setup(state);
    bytes = heartbeats(1);
    world.sent[20] ^= 1;
    assert_int_equal(frames_feed(&frames, bytes, NULL), E_PROTOCOL);
    assert_int_equal(got_count, 0);
}

/* A browser or a Redis client that connects here must not wait for an answer: its first bytes are
 * enough, also when they are fewer than a header. */
static void another_protocol_is_named_from_its_first_bytes(void **state)
{
    static const char *const first[] = {"GET / HTTP/1.1\r\n\r\n", "*1\r\n$4\r\nPING\r\n",
                                        "\x16\x03\x01"};
    static const char *const named[] = {"HTTP", "Redis", "TLS"};
    for (size_t i = 0; i < COUNT_OF(first); i++) {
        struct err e = {.code = OK};
        (void)teardown(state);
        (void)setup(state);
        assert_int_equal(frames_feed(&frames, slice_of_text(first[i]), &e), E_PROTOCOL);
        assert_non_null(strstr(e.text, named[i]));
    }
}

static void an_answer_that_is_not_ok_stops_feeding(void **state)
{
    (void)state;
    answer = E_GAP;
    assert_int_equal(frames_feed(&frames, heartbeats(3), NULL), E_GAP);
    assert_int_equal(got_count, 1);
}

static void nothing_is_sent_or_fed_after_the_link_is_gone(void **state)
{
    (void)state;
    struct slice bytes = heartbeats(2);
    size_t size = world.sent_size;
    frames.link = NULL;
    frames_send(&frames, &(struct wire_message){.kind = WIRE_INQUIRE});
    assert_int_equal(world.sent_size, size);
    assert_int_equal(frames_feed(&frames, bytes, NULL), OK);
    assert_int_equal(got_count, 0);
    frames_hold(&frames);
    assert_false(world.is_paused);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(whole_frames_are_handed_on_without_a_copy),
        TEST(frames_cut_at_every_byte_arrive_the_same),
        TEST(frames_in_random_pieces_arrive_the_same),
        TEST(holding_stops_before_the_next_frame_and_resuming_loses_nothing),
        TEST(bytes_kept_on_a_held_link_are_bounded),
        TEST(a_large_size_is_refused_before_memory_is_taken),
        TEST(without_memory_a_cut_frame_is_an_error_not_a_crash),
        TEST(a_damaged_body_or_header_ends_the_stream),
        TEST(another_protocol_is_named_from_its_first_bytes),
        TEST(an_answer_that_is_not_ok_stops_feeding),
        TEST(nothing_is_sent_or_fed_after_the_link_is_gone),
    };
#undef TEST
    return cmocka_run_group_tests_name("engine/frames", tests, NULL, NULL);
}
