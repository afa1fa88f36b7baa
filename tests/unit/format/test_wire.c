/* Tests of format/wire: every message survives both ways, nothing malformed is let in, and
 * strangers are named. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "base/text.h"
#include "format/wire.h"
#include "support/samples.h"

static uint8_t frame[FRAME_SIZE_MAX + 4096];
static uint8_t again[FRAME_SIZE_MAX + 4096];

static size_t encode(const struct wire_message *m, uint8_t *out)
{
    size_t size = wire_encode(m, out, sizeof(frame));
    assert_true(size >= WIRE_HEADER_SIZE);
    return size;
}

/* Header, checksum and body in one. */
static enum code decode(const uint8_t *bytes, size_t size, struct wire_message *out, struct err *e)
{
    struct wire_header h;
    if (size < WIRE_HEADER_SIZE) return E_PROTOCOL;
    TRY(wire_header_decode(bytes, FRAME_SIZE_MAX, &h, e));
    struct slice body = slice_of(bytes + WIRE_HEADER_SIZE, size - WIRE_HEADER_SIZE);
    if (!wire_body_verifies(&h, body)) return E_PROTOCOL;
    return wire_decode(&h, body, out, e);
}

/* Decode a body that was changed, with checksums that hold. */
static enum code decode_body(uint16_t kind, uint64_t probe, struct slice body, struct err *e)
{
    static struct wire_message m;
    struct wire_header h = {.kind = kind, .body_size = (uint32_t)body.size, .probe = probe};
    return wire_decode(&h, body, &m, e);
}

static void every_message_survives_a_round_trip(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        static struct wire_message back;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame);
        assert_int_equal(decode(frame, size, &back, NULL), OK);
        assert_int_equal(back.kind, m.kind);
        assert_true(back.session == m.session);
        assert_int_equal(back.probe, m.probe);
        assert_int_equal(encode(&back, again), size);
        assert_memory_equal(frame, again, size);
    }
}

static void hello_fields_arrive_where_they_belong(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    static struct wire_message back;
    sample_message(WIRE_HELLO, &memory, &m);
    assert_int_equal(decode(frame, encode(&m, frame), &back, NULL), OK);
    const struct wire_hello *h = &back.as.hello;
    assert_true(slice_equal(h->node_id, slice_of_text("south")));
    assert_true(slice_equal(h->credentials, slice_of_text("secret")));
    assert_int_equal(h->manifests[1].seqno.v, 100);
    assert_int_equal(h->epochs[1].start.v, 70);
    assert_true(h->memory_max == 8 * GIB);
    assert_int_equal(h->is_bootstrapping, 1);
    assert_int_equal(h->is_empty, 0);
}

static void every_flipped_bit_of_a_frame_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame);
        for (size_t bit = 0; bit < size * 8; bit++) {
            frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_int_not_equal(decode(frame, size, &m, NULL), OK);
            frame[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
    }
}

/* Kinds whose body ends with bytes of any length, which a shorter body only shortens. */
static bool kind_is_open_ended(enum wire_kind kind)
{
    return kind == WIRE_BATCHES || kind == WIRE_MANIFEST;
}

static void every_truncated_body_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame) - WIRE_HEADER_SIZE;
        size_t open = kind_is_open_ended(m.kind) ? strlen("any bytes at all") : 0;
        for (size_t shorter = 0; shorter + open < size; shorter++) {
            struct slice body = slice_of(frame + WIRE_HEADER_SIZE, shorter);
            assert_int_equal(decode_body((uint16_t)m.kind, 0, body, NULL), E_PROTOCOL);
        }
    }
}

static void trailing_bytes_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame) - WIRE_HEADER_SIZE;
        frame[WIRE_HEADER_SIZE + size] = 0;
        struct slice body = slice_of(frame + WIRE_HEADER_SIZE, size + 1);
        enum code code = decode_body((uint16_t)m.kind, 0, body, NULL);
        assert_int_equal(code, m.kind == WIRE_BATCHES ? OK : E_PROTOCOL);
    }
}

static void a_writer_without_room_returns_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame);
        for (size_t room = 0; room < size; room++) {
            assert_int_equal(wire_encode(&m, again, room), 0);
        }
        assert_int_equal(wire_encode(&m, again, size), size);
    }
}

static void strangers_are_named(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        const char *name;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: x\r\nAccept: */*\r\n\r\n", "an HTTP request"},
        {"POST /v1/command HTTP/1.1\r\nHost: tidemark\r\n", "an HTTP request"},
        {"*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n*1\r\n$4\r\nPING\r\n", "a Redis command"},
        {"\x16\x03\x01\x02 and some more bytes of a handshake", "a TLS handshake"},
        {"-ERR Protocol error: and some more bytes of an answer",
         "a data port (RESP) answers there"},
        {"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n", "an HTTP server answers there"},
        {"TMW2 and some more bytes of another layout", "a replication frame of an unknown layout"},
        {"some bytes that nobody has ever seen before!", "bytes arrived that are no replication"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct wire_header h;
        struct err e;
        assert_int_equal(wire_header_decode((const uint8_t *)rows[i].bytes, FRAME_SIZE_MAX, &h, &e),
                         E_PROTOCOL);
        assert_non_null(strstr(e.text, rows[i].name));
    }
}

static void seal_header(uint8_t *bytes)
{
    store_u32(bytes + 36, crc32c(0, bytes, 36));
}

static void frames_beyond_the_agreed_size_are_refused(void **state)
{
    (void)state;
    struct wire_header h = {.kind = WIRE_BATCHES, .body_size = 1000};
    struct wire_header back;
    wire_header_encode(&h, frame);
    assert_int_equal(wire_header_decode(frame, 1000, &back, NULL), OK);
    assert_int_equal(wire_header_decode(frame, 999, &back, NULL), E_PROTOCOL);
    h.body_size = FRAME_SIZE_MAX;
    wire_header_encode(&h, frame);
    assert_int_equal(wire_header_decode(frame, FRAME_SIZE_MAX, &back, NULL), OK);
    store_u32(frame + 8, FRAME_SIZE_MAX + 1);
    seal_header(frame);
    assert_int_equal(wire_header_decode(frame, FRAME_SIZE_MAX, &back, NULL), E_PROTOCOL);
}

static void unknown_flags_are_refused_and_unknown_kinds_can_be_skipped(void **state)
{
    (void)state;
    struct wire_header h = {.kind = 200, .body_size = 3};
    struct wire_header back;
    struct err e;
    wire_header_encode(&h, frame);
    assert_int_equal(wire_header_decode(frame, FRAME_SIZE_MAX, &back, &e), OK);
    assert_int_equal(decode_body(back.kind, 0, slice_of(frame, 3), &e), E_UNSUPPORTED);
    assert_string_equal(e.text, "message kind 200 is unknown to this version");
    assert_int_equal(decode_body(0, 0, slice_of(frame, 0), &e), E_UNSUPPORTED);
    frame[6] = 1;
    seal_header(frame);
    assert_int_equal(wire_header_decode(frame, FRAME_SIZE_MAX, &back, &e), E_PROTOCOL);
    frame[6] = 0;
    frame[32] = 1;
    seal_header(frame);
    assert_int_equal(wire_header_decode(frame, FRAME_SIZE_MAX, &back, &e), E_PROTOCOL);
}

static void only_acks_and_heartbeats_carry_a_probe(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = encode(&m, frame) - WIRE_HEADER_SIZE;
        bool may = m.kind == WIRE_ACK || m.kind == WIRE_HEARTBEAT;
        struct slice body = slice_of(frame + WIRE_HEADER_SIZE, size);
        assert_int_equal(decode_body((uint16_t)m.kind, 5, body, NULL), may ? OK : E_PROTOCOL);
    }
}

/* A hello of a far future: only its beginning is read, enough to refuse it in words. */
static void a_hello_of_another_version_is_read_as_far_as_it_never_changes(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    static struct wire_message back;
    sample_message(WIRE_HELLO, &memory, &m);
    m.as.hello.version_min = 7;
    m.as.hello.version_max = 9;
    size_t size = encode(&m, frame);
    memset(frame + size, 0xee, 100); /* what the future appends */
    struct wire_header h = {.kind = WIRE_HELLO,
                            .body_size = (uint32_t)(size - WIRE_HEADER_SIZE + 100)};
    struct slice body = slice_of(frame + WIRE_HEADER_SIZE, h.body_size);
    assert_int_equal(wire_decode(&h, body, &back, NULL), OK);
    assert_int_equal(back.as.hello.version_min, 7);
    assert_int_equal(back.as.hello.stream.shard, 3);
    assert_true(id128_equal(&back.as.hello.cluster, &m.as.hello.cluster));
    assert_int_equal(back.as.hello.node_id.size, 0);
}

static void a_plan_of_another_version_can_only_refuse(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    static struct wire_message back;
    sample_message(WIRE_PLAN, &memory, &m);
    m.as.plan.version = 0;
    assert_int_equal(wire_encode(&m, frame, sizeof(frame)), 0);
    m.as.plan.kind = PLAN_REFUSE;
    m.as.plan.reason = 200; /* a reason of the future */
    assert_int_equal(decode(frame, encode(&m, frame), &back, NULL), OK);
    assert_true(slice_equal(back.as.plan.text, slice_of_text("histories differ after 280")));
    assert_string_equal(refuse_name(back.as.plan.reason), "unknown");
    assert_int_equal(back.as.plan.log_key, 0);
}

static void impossible_messages_are_refused(void **state)
{
    (void)state;
    static struct wire_message rows[12];
    static struct sample_memory memory[COUNT_OF(rows)];
    static const enum wire_kind kinds[COUNT_OF(rows)] = {
        WIRE_HELLO,    WIRE_HELLO,    WIRE_HELLO,    WIRE_HELLO,  WIRE_PLAN,    WIRE_PLAN,
        WIRE_STANDING, WIRE_STANDING, WIRE_MANIFEST, WIRE_BLOCKS, WIRE_MEMBERS, WIRE_END};
    static const uint8_t long_text[1025];
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        sample_message(kinds[i], &memory[i], &rows[i]);
        assert_true(wire_encode(&rows[i], frame, sizeof(frame)) > 0);
    }
    rows[0].as.hello.version_max = 0;
    rows[1].as.hello.node_id = slice_of_text("two words");
    rows[2].as.hello.epochs[1] = rows[2].as.hello.epochs[0];
    rows[3].as.hello.manifest_count = WIRE_MANIFESTS_MAX + 1;
    rows[4].as.plan.kind = 6;
    rows[5].as.plan.kind = PLAN_REFUSE; /* with a log key */
    rows[6].as.standing.role = 4;
    rows[7].as.standing.epoch_count = WIRE_EPOCHS_MAX + 1;
    rows[8].as.manifest.total = 25;
    rows[9].as.blocks.count = 3;
    rows[10].as.members.count = 1;
    rows[11].as.end.text = slice_of(long_text, sizeof(long_text));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(wire_encode(&rows[i], frame, sizeof(frame)), 0);
    }
}

/* Whom a sender follows, up to the leader: node ids with one comma between two. */
static void a_path_is_a_list_of_node_ids(void **state)
{
    (void)state;
    static const struct {
        const char *path;
        bool is_right;
    } rows[] = {
        {"", true},      {"south", true},      {"south,west", true}, {"a,b,c", true},
        {",", false},    {",south", false},    {"south,", false},    {"a,,b", false},
        {"a, b", false}, {"two words", false}, {"a;b", false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct sample_memory memory;
        static struct wire_message m;
        static struct wire_message back;
        struct slice path = slice_of_text(rows[i].path);
        sample_message(WIRE_PLAN, &memory, &m);
        m.as.plan.path = path;
        size_t size = wire_encode(&m, frame, sizeof(frame));
        assert_int_equal(size > 0, rows[i].is_right);
        sample_message(WIRE_HEARTBEAT, &memory, &m);
        m.as.heartbeat.path = path;
        size = wire_encode(&m, frame, sizeof(frame));
        assert_int_equal(size > 0, rows[i].is_right);
        if (!rows[i].is_right) continue;
        assert_int_equal(decode(frame, size, &back, NULL), OK);
        assert_true(slice_equal(back.as.heartbeat.path, path));
    }
}

static void a_refusal_carries_no_log_key_and_a_request_no_bytes(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    sample_message(WIRE_PLAN, &memory, &m);
    m.as.plan.kind = PLAN_REFUSE;
    m.as.plan.log_key = 0;
    assert_true(wire_encode(&m, frame, sizeof(frame)) > 0);
    m.as.plan.log_key = 1;
    assert_int_equal(wire_encode(&m, frame, sizeof(frame)), 0);
    sample_message(WIRE_MANIFEST, &memory, &m);
    m.as.manifest.is_request = 1;
    assert_int_equal(wire_encode(&m, frame, sizeof(frame)), 0);
    m.as.manifest.bytes.size = 0;
    assert_true(wire_encode(&m, frame, sizeof(frame)) > 0);
}

/* A hello that offers only later versions, or only earlier ones, has no further fields. */
static void a_hello_of_no_common_version_needs_no_node_id(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    static struct wire_message back;
    sample_message(WIRE_HELLO, &memory, &m);
    m.as.hello.node_id = slice_of_text("two words");
    assert_int_equal(wire_encode(&m, frame, sizeof(frame)), 0);
    m.as.hello.version_min = 0;
    m.as.hello.version_max = WIRE_VERSION - 1;
    assert_int_equal(decode(frame, encode(&m, frame), &back, NULL), OK);
    assert_int_equal(back.as.hello.node_id.size, 0);
}

/* A node without a cluster knows its shard only; the region comes with the stream. */
static void a_stream_is_joined_by_shard_before_there_is_a_cluster(void **state)
{
    (void)state;
    struct stream_id stream = {.region = 2, .shard = 3};
    struct wire_hello hello = {.stream = {.region = 0, .shard = 3}};
    assert_true(wire_is_stream_joined(&hello, stream));
    hello.stream.shard = 4;
    assert_false(wire_is_stream_joined(&hello, stream));
    hello.cluster = sample_id(1);
    hello.stream = (struct stream_id){.region = 0, .shard = 3};
    assert_false(wire_is_stream_joined(&hello, stream));
    hello.stream.region = 2;
    assert_true(wire_is_stream_joined(&hello, stream));
}

static void unknown_kinds_have_no_fields(void **state)
{
    (void)state;
    char buffer[64];
    struct text t = text_of(buffer, sizeof(buffer));
    static const struct wire_message stranger = {.kind = (enum wire_kind)200, .probe = 7};
    wire_describe(&stranger, &t);
    assert_string_equal(buffer, "unknown probe=7");
    assert_null(wire_fields((enum wire_kind)200, 0));
    assert_null(wire_fields(WIRE_HELLO, 2));
    assert_non_null(wire_fields(WIRE_HELLO, 1));
}

static void a_member_without_a_name_is_not_written(void **state)
{
    (void)state;
    uint8_t room[4];
    struct wire_member member = {.node_id = slice_of_text("two words")};
    struct bytes_writer w = bytes_writer_of(frame, sizeof(frame));
    wire_member_write(&w, &member);
    assert_true(w.is_failed);
    member.node_id = slice_of_text("south");
    member.http_address = slice_of_text("10.0.0.2:7401");
    w = bytes_writer_of(room, sizeof(room));
    wire_member_write(&w, &member);
    assert_true(w.is_failed);
}

static void a_request_for_blocks_holds_hashes_only(void **state)
{
    (void)state;
    static struct wire_message m = {.kind = WIRE_BLOCKS};
    static struct wire_message back;
    struct hash256 hashes[3] = {sample_hash(1), sample_hash(2), sample_hash(3)};
    m.as.blocks = (struct wire_blocks){
        .is_request = 1, .count = 3, .bytes = slice_of(hashes, sizeof(hashes))};
    assert_int_equal(decode(frame, encode(&m, frame), &back, NULL), OK);
    struct bytes_reader at = bytes_reader_of(back.as.blocks.bytes);
    struct wire_block block;
    for (size_t i = 0; i < 3; i++) {
        assert_true(wire_block_next(&back.as.blocks, &at, &block));
        assert_true(hash256_equal(&block.hash, &hashes[i]));
        assert_int_equal(block.bytes.size, 0);
    }
    assert_false(wire_block_next(&back.as.blocks, &at, &block));
    m.as.blocks.bytes.size--;
    assert_int_equal(wire_encode(&m, frame, sizeof(frame)), 0);
}

static void members_read_back_one_by_one(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    struct wire_member member;
    sample_message(WIRE_MEMBERS, &memory, &m);
    struct bytes_reader at = bytes_reader_of(m.as.members.bytes);
    assert_true(wire_member_next(&at, &member));
    assert_int_equal(member.role, ROLE_LEADER);
    assert_true(wire_member_next(&at, &member));
    assert_true(slice_equal(member.node_id, slice_of_text("south")));
    assert_true(slice_equal(member.http_address, slice_of_text("10.0.0.2:7401")));
    assert_false(wire_member_next(&at, &member));
    assert_true(bytes_is_done(&at));
}

static void a_batches_prefix_equals_the_whole_frame(void **state)
{
    (void)state;
    struct sample_memory memory;
    static struct wire_message m;
    uint8_t prefix[WIRE_BATCHES_PREFIX_MAX];
    sample_message(WIRE_BATCHES, &memory, &m);
    size_t whole = encode(&m, frame);
    size_t size = wire_encode_batches_prefix(&m.as.batches, m.session, prefix);
    assert_int_equal(size + m.as.batches.bytes.size, whole);
    assert_memory_equal(prefix, frame, size);
}

static void the_largest_batch_fits_a_frame(void **state)
{
    (void)state;
    static uint8_t batch[BATCH_SIZE_MAX];
    struct sample_memory memory;
    static struct wire_message m;
    static struct wire_message back;
    sample_message(WIRE_BATCHES, &memory, &m);
    m.as.batches.bytes = slice_of(batch, sizeof(batch));
    size_t size = encode(&m, frame);
    assert_int_equal(decode(frame, size, &back, NULL), OK);
    assert_int_equal(back.as.batches.bytes.size, sizeof(batch));
}

static void messages_describe_themselves_without_secrets(void **state)
{
    (void)state;
    char buffer[4096];
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        struct sample_memory memory;
        static struct wire_message m;
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        struct text t = text_of(buffer, sizeof(buffer));
        wire_describe(&m, &t);
        assert_false(t.is_cut);
        const char *name = wire_kind_name((uint16_t)m.kind);
        assert_memory_equal(buffer, name, strlen(name));
        assert_null(strstr(buffer, "secret"));
        assert_null(strstr(buffer, "1234605616436508552")); /* the log key */
    }
    assert_string_equal(wire_kind_name(0), "unknown");
    assert_string_equal(wire_kind_name(200), "unknown");
}

static void every_reason_has_a_name_and_a_sentence(void **state)
{
    (void)state;
    for (uint8_t reason = REFUSE_GAP; reason <= REFUSE_LOST; reason++) {
        assert_string_not_equal(refuse_name(reason), "unknown");
        assert_true(strlen(refuse_sentence(reason)) > 10);
    }
    assert_string_equal(refuse_sentence(REFUSE_NONE), "");
    assert_true(strlen(refuse_sentence(255)) > 10);
}

/* A hundred thousand damaged bodies: decoded or refused, never a crash. */
static void mutated_messages_never_crash(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("mutated_messages_never_crash", 5));
    static struct wire_message m;
    static struct wire_message back;
    char line[512];
    for (int i = 0; i < 100000; i++) {
        struct sample_memory memory;
        sample_message(SAMPLE_MESSAGES[random_below(&r, SAMPLE_MESSAGE_COUNT)], &memory, &m);
        size_t size = encode(&m, frame) - WIRE_HEADER_SIZE;
        uint8_t *exact = malloc(size + 1);
        assert_non_null(exact);
        memcpy(exact, frame + WIRE_HEADER_SIZE, size);
        for (uint64_t k = random_below(&r, 4); k < 4 && size > 0; k++) {
            exact[random_below(&r, size)] = (uint8_t)random_next(&r);
        }
        struct wire_header h = {.kind = (uint16_t)m.kind, .body_size = (uint32_t)size};
        if (random_chance(&r, 50000)) h.kind = (uint16_t)random_below(&r, 20);
        if (wire_decode(&h, slice_of(exact, size), &back, NULL) == OK) {
            struct text t = text_of(line, sizeof(line));
            wire_describe(&back, &t);
            assert_true(wire_encode(&back, again, sizeof(again)) > 0);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_survives_a_round_trip),
        cmocka_unit_test(hello_fields_arrive_where_they_belong),
        cmocka_unit_test(every_flipped_bit_of_a_frame_is_refused),
        cmocka_unit_test(every_truncated_body_is_refused),
        cmocka_unit_test(trailing_bytes_are_refused),
        cmocka_unit_test(a_writer_without_room_returns_nothing),
        cmocka_unit_test(strangers_are_named),
        cmocka_unit_test(frames_beyond_the_agreed_size_are_refused),
        cmocka_unit_test(unknown_flags_are_refused_and_unknown_kinds_can_be_skipped),
        cmocka_unit_test(only_acks_and_heartbeats_carry_a_probe),
        cmocka_unit_test(a_hello_of_another_version_is_read_as_far_as_it_never_changes),
        cmocka_unit_test(a_plan_of_another_version_can_only_refuse),
        cmocka_unit_test(impossible_messages_are_refused),
        cmocka_unit_test(a_path_is_a_list_of_node_ids),
        cmocka_unit_test(a_refusal_carries_no_log_key_and_a_request_no_bytes),
        cmocka_unit_test(a_hello_of_no_common_version_needs_no_node_id),
        cmocka_unit_test(a_stream_is_joined_by_shard_before_there_is_a_cluster),
        cmocka_unit_test(unknown_kinds_have_no_fields),
        cmocka_unit_test(a_member_without_a_name_is_not_written),
        cmocka_unit_test(a_request_for_blocks_holds_hashes_only),
        cmocka_unit_test(members_read_back_one_by_one),
        cmocka_unit_test(a_batches_prefix_equals_the_whole_frame),
        cmocka_unit_test(the_largest_batch_fits_a_frame),
        cmocka_unit_test(messages_describe_themselves_without_secrets),
        cmocka_unit_test(every_reason_has_a_name_and_a_sentence),
        cmocka_unit_test(mutated_messages_never_crash),
    };
    return cmocka_run_group_tests_name("format/wire", tests, NULL, NULL);
}
