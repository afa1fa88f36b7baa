/* resp: requests come out whole whatever the pieces are in which they arrive, and every way of
 * breaking the protocol is refused in words before anything is buffered for it. */
#include "support/tm_test.h"

#include "base/text.h"
#include "server/resp.h"

static struct alloc alloc;

static int set_up(void **state)
{
    (void)state;
    alloc_init(&alloc, 0);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    assert_int_equal(alloc.used_bytes, 0);
    return 0;
}

/* All requests of a stream as "[word|word]" each, then "MORE" or "BROKEN ...". The stream arrives
 * in pieces of piece_size bytes, each in memory of its exact size, so that reading past it is seen.
 */
static void cut(const void *stream, size_t size, size_t piece_size, struct text *out)
{
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    uint8_t *memory = NULL;
    size_t start = 0;
    size_t end = 0;
    enum resp_outcome outcome = RESP_MORE;
    while (outcome != RESP_BROKEN && (outcome == RESP_REQUEST || end < size)) {
        if (outcome == RESP_MORE) end = end + piece_size < size ? end + piece_size : size;
        uint8_t *moved = malloc(end - start > 0 ? end - start : 1);
        assert_non_null(moved);
        /* Inline requests are unquoted in place, but only when they are whole. */
        memcpy(moved, (const uint8_t *)stream + start, end - start);
        outcome = resp_parser_read(&p, moved, end - start);
        if (outcome == RESP_REQUEST) {
            text_add(out, "[");
            for (size_t i = 0; i < p.word_count; i++) {
                text_add(out, i > 0 ? "|" : "");
                text_add_escaped(out, p.words[i], 40);
            }
            text_add(out, "]");
            start += p.at;
            resp_parser_reset(&p);
        }
        free(memory);
        memory = moved;
    }
    text_add(out, outcome == RESP_BROKEN ? "BROKEN %s" : "MORE", p.error);
    free(memory);
    resp_parser_fini(&p);
}

static void expect(const char *stream, size_t size, const char *wanted)
{
    static const size_t piece_sizes[] = {1, 2, 3, 7, 64, 1 << 20};
    for (size_t i = 0; i < COUNT_OF(piece_sizes); i++) {
        char room[8192];
        struct text t = text_of(room, sizeof(room));
        cut(stream, size, piece_sizes[i], &t);
        assert_string_equal(room, wanted);
    }
}

#define EXPECT(stream, wanted) expect(stream, sizeof(stream) - 1, wanted)

static void requests_are_cut_out_of_the_stream(void **state)
{
    (void)state;
    EXPECT("", "MORE");
    EXPECT("*1\r\n$4\r\nPING\r\n", "[PING]MORE");
    EXPECT("*2\r\n$4\r\nECHO\r\n$0\r\n\r\n*1\r\n$1\r\nx\r\n", "[ECHO|][x]MORE");
    EXPECT("*2\r\n$1\r\na\r\n$4\r\n\r\n\0\xff\r\n", "[a|\\x0d\\x0a\\x00\\xff]MORE");
    EXPECT("*3\r\n$1\r\na\r\n$1\r\nb\r\n", "MORE");
    EXPECT("*2\r\n$1\r\na\r\n$5\r\nab", "MORE");
}

static void inline_requests_are_unquoted_as_redis_does(void **state)
{
    (void)state;
    EXPECT("PING\r\n", "[PING]MORE");
    EXPECT("  a   b\tc \n", "[a|b|c]MORE");
    EXPECT("\r\n\r\nPING\r\n", "[][][PING]MORE");
    EXPECT("set \"a b\" 'c d' e\"f g\"\n", "[set|a b|c d|ef g]MORE");
    EXPECT("a \"\\x41\\n\\\"\\\\\\xzz\" 'it\\'s\\n'\n", "[a|A\\x0a\"\\x5cxzz|it's\\x5cn]MORE");
    EXPECT("a \"\" ''\n", "[a||]MORE");
    EXPECT("PING", "MORE");
}

static void empty_arrays_are_empty_requests(void **state)
{
    (void)state;
    EXPECT("*0\r\n*1\r\n$1\r\nx\r\n", "[][x]MORE");
    EXPECT("*-1\r\nx\n", "[][x]MORE");
    EXPECT("*-10\r\nx\n", "[][x]MORE");
}

/* Every row breaks the stream, whatever follows. */
static void malformed_input_is_refused(void **state)
{
    (void)state;
    static const char count[] = "BROKEN Protocol error: invalid multibulk length";
    static const char bulk[] = "BROKEN Protocol error: invalid bulk length";
    static const struct {
        const char *stream;
        const char *wanted;
    } rows[] = {
        {"*x\r\n", count},
        {"*\r\n", count},
        {"* 1\r\n", count},
        {"*1 \r\n", count},
        {"*+1\r\n", count},
        {"*--1\r\n", count},
        {"*1\rx", count},
        {"*1\n", count},
        {"*1048577\r\n", count},
        {"*4294967296\r\n", count},
        {"*99999999999999999999\r\n", count},
        {"*123456789012345678901234567890", count},
        {"*1\r\nx", "BROKEN Protocol error: expected '$', got 'x'"},
        {"*1\r\n:5\r\n", "BROKEN Protocol error: expected '$', got ':'"},
        {"*1\r\n\x01", "BROKEN Protocol error: expected '$', got \\x01"},
        {"*1\r\n$x\r\n", bulk},
        {"*1\r\n$-1\r\n", bulk},
        {"*1\r\n$\r\n", bulk},
        {"*1\r\n$1048577000\r\n", bulk},
        {"*1\r\n$536870912\r\n", bulk},
        {"*1\r\n$18446744073709551615\r\n", bulk},
        {"*1\r\n$99999999999999999999999\r\n", bulk},
        {"*1\r\n$1\r\nabc", "BROKEN Protocol error: bulk string without its end"},
        {"*1\r\n$1\r\na\rb", "BROKEN Protocol error: bulk string without its end"},
        {"a \"b\r\n", "BROKEN Protocol error: unbalanced quotes in request"},
        {"a 'b\r\n", "BROKEN Protocol error: unbalanced quotes in request"},
        {"a \"b\"c\r\n", "BROKEN Protocol error: unbalanced quotes in request"},
        {"a \"\\\r\n", "BROKEN Protocol error: unbalanced quotes in request"},
        {"*1\r\n$1\r\na\r\n*z\r\n", "[a]BROKEN Protocol error: invalid multibulk length"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect(rows[i].stream, strlen(rows[i].stream), rows[i].wanted);
    }
}

/* A length is judged when it is read: the parser takes no memory for what a header announces. */
static void announced_sizes_cost_nothing(void **state)
{
    (void)state;
    static const char *const streams[] = {"*1048576\r\n$3\r\nSET\r\n", "*2\r\n$1114112\r\nabc"};
    for (size_t i = 0; i < COUNT_OF(streams); i++) {
        struct resp_parser p;
        resp_parser_init(&p, &alloc);
        char memory[64];
        size_t size = strlen(streams[i]);
        memcpy(memory, streams[i], size);
        assert_int_equal(resp_parser_read(&p, (uint8_t *)memory, size), RESP_MORE);
        assert_true(alloc.used_bytes <= 1024);
        resp_parser_fini(&p);
    }
}

static void the_largest_bulk_passes_and_one_more_byte_does_not(void **state)
{
    (void)state;
    size_t capacity = RESP_BULK_SIZE_MAX + 64;
    uint8_t *stream = malloc(capacity);
    assert_non_null(stream);
    int header = snprintf((char *)stream, capacity, "*1\r\n$%zu\r\n", RESP_BULK_SIZE_MAX);
    memset(stream + header, 'x', RESP_BULK_SIZE_MAX);
    size_t size = (size_t)header + RESP_BULK_SIZE_MAX;
    memcpy(stream + size, "\r\n", 2);
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    assert_int_equal(resp_parser_read(&p, stream, size + 1), RESP_MORE);
    assert_int_equal(resp_parser_read(&p, stream, size + 2), RESP_REQUEST);
    assert_int_equal(p.words[0].size, RESP_BULK_SIZE_MAX);
    resp_parser_reset(&p);
    header = snprintf((char *)stream, capacity, "*1\r\n$%zu\r\n", RESP_BULK_SIZE_MAX + 1);
    assert_int_equal(resp_parser_read(&p, stream, (size_t)header), RESP_BROKEN);
    resp_parser_fini(&p);
    free(stream);
}

static void a_request_has_a_size_limit(void **state)
{
    (void)state;
    size_t bulk = RESP_BULK_SIZE_MAX / 2;
    size_t count = RESP_REQUEST_SIZE_MAX / bulk + 1;
    uint8_t *stream = malloc(count * (bulk + 32) + 32);
    assert_non_null(stream);
    size_t size = (size_t)snprintf((char *)stream, 32, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        size += (size_t)snprintf((char *)stream + size, 32, "$%zu\r\n", bulk);
        memset(stream + size, 'x', bulk);
        memcpy(stream + size + bulk, "\r\n", 2);
        size += bulk + 2;
    }
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    assert_int_equal(resp_parser_read(&p, stream, size), RESP_BROKEN);
    assert_string_equal(p.error, "Protocol error: too big request");
    resp_parser_fini(&p);
    free(stream);
}

/* A follower that speaks its own protocol here never ends a line: it is answered at once. */
static void an_inline_line_has_no_zero_bytes(void **state)
{
    (void)state;
    EXPECT("TMW1\1\0\0\0", "BROKEN Protocol error: a zero byte in an inline request; this is the "
                           "data port (RESP)");
    EXPECT("PING\na\0b\n", "[PING]BROKEN Protocol error: a zero byte in an inline request; this is "
                           "the data port (RESP)");
    EXPECT("PING\n*1\r\n$2\r\na\0\r\n", "[PING][a\\x00]MORE");
}

static void an_inline_line_has_a_size_limit(void **state)
{
    (void)state;
    size_t size = RESP_INLINE_SIZE_MAX + 2;
    uint8_t *stream = malloc(size);
    assert_non_null(stream);
    memset(stream, 'a', size);
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    assert_int_equal(resp_parser_read(&p, stream, RESP_INLINE_SIZE_MAX), RESP_MORE);
    assert_int_equal(resp_parser_read(&p, stream, size), RESP_BROKEN);
    assert_string_equal(p.error, "Protocol error: too big inline request");
    resp_parser_fini(&p);
    free(stream);
}

/* A request may have many words; memory grown for it is not kept. */
static void many_words_are_taken_and_their_room_is_given_back(void **state)
{
    (void)state;
    size_t count = 100000;
    uint8_t *stream = malloc(16 + count * 7);
    assert_non_null(stream);
    size_t size = (size_t)snprintf((char *)stream, 32, "*%zu\r\n", count);
    for (size_t i = 0; i < count; i++) {
        memcpy(stream + size, "$1\r\na\r\n", 7);
        size += 7;
    }
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    size_t half = size / 2;
    assert_int_equal(resp_parser_read(&p, stream, half), RESP_MORE);
    assert_int_equal(resp_parser_read(&p, stream, size), RESP_REQUEST);
    assert_int_equal(p.word_count, count);
    assert_int_equal(p.at, size);
    resp_parser_reset(&p);
    assert_int_equal(alloc.used_bytes, 0);
    resp_parser_fini(&p);
    free(stream);
}

static void lack_of_memory_breaks_the_stream(void **state)
{
    (void)state;
    struct alloc small;
    alloc_init(&small, 64);
    struct resp_parser p;
    resp_parser_init(&p, &small);
    char stream[] = "*1\r\n$1\r\na\r\n";
    assert_int_equal(resp_parser_read(&p, (uint8_t *)stream, sizeof(stream) - 1), RESP_BROKEN);
    assert_string_equal(p.error, "Protocol error: no memory for the request");
    resp_parser_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_cut_out_of_the_stream),
        cmocka_unit_test(inline_requests_are_unquoted_as_redis_does),
        cmocka_unit_test(empty_arrays_are_empty_requests),
        cmocka_unit_test(malformed_input_is_refused),
        cmocka_unit_test(announced_sizes_cost_nothing),
        cmocka_unit_test(the_largest_bulk_passes_and_one_more_byte_does_not),
        cmocka_unit_test(a_request_has_a_size_limit),
        cmocka_unit_test(an_inline_line_has_no_zero_bytes),
        cmocka_unit_test(an_inline_line_has_a_size_limit),
        cmocka_unit_test(many_words_are_taken_and_their_room_is_given_back),
        cmocka_unit_test(lack_of_memory_breaks_the_stream),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
