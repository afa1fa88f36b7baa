/* Tests of cli/lines: every way in which a stream can be cut gives the same lines. */
#include "support/tm_test.h"

#include "cli/lines.h"

static struct lines lines;

static void feed(const char *text, size_t size)
{
    size_t room = 0;
    uint8_t *to = lines_room(&lines, &room);
    assert_true(size <= room);
    memcpy(to, text, size);
    lines_add(&lines, size);
}

/* All lines of a text fed in pieces of the given size, joined with "|". */
static void collect(const char *text, size_t size, size_t piece, char *out)
{
    lines_init(&lines);
    out[0] = '\0';
    struct line line;
    for (size_t at = 0; at <= size; at += piece) {
        size_t n = size - at < piece ? size - at : piece;
        if (n > 0) feed(text + at, n);
        if (at + piece > size) lines_end(&lines);
        while (lines_next(&lines, &line)) {
            size_t used = strlen(out);
            (void)snprintf(out + used, 200 - used, "%llu:%.*s|", (unsigned long long)line.number,
                           (int)line.text.size, (const char *)line.text.data);
        }
    }
}

static void pieces_do_not_change_the_lines(void **state)
{
    (void)state;
    const char text[] = "one\n\nthree\r\nlast without newline";
    char out[200];
    for (size_t piece = 1; piece <= sizeof(text); piece++) {
        collect(text, sizeof(text) - 1, piece, out);
        assert_string_equal(out, "1:one|2:|3:three\r|4:last without newline|");
    }
}

static void newline_at_the_end_adds_no_line(void **state)
{
    (void)state;
    char out[200];
    collect("a\nb\n", 4, 4, out);
    assert_string_equal(out, "1:a|2:b|");
    collect("", 0, 1, out);
    assert_string_equal(out, "");
}

/* A line of any length costs the buffer and one mark; the lines around it are whole. */
static void overlong_line_comes_out_once(void **state)
{
    (void)state;
    static char junk[100000];
    memset(junk, 'x', sizeof(junk));
    lines_init(&lines);
    struct line line;
    feed("a\n", 2);
    for (int i = 0; i < 30; i++) {
        feed(junk, sizeof(junk));
        if (i == 0) assert_true(lines_next(&lines, &line));
        assert_false(lines_next(&lines, &line));
    }
    feed("\nb\n", 3);
    assert_true(lines_next(&lines, &line));
    assert_true(line.is_overlong);
    assert_int_equal(line.number, 2);
    assert_int_equal(line.text.size, 0);
    assert_true(lines_next(&lines, &line));
    assert_false(line.is_overlong);
    assert_int_equal(line.number, 3);
    assert_memory_equal(line.text.data, "b", 1);
}

static void limit_itself_is_a_line(void **state)
{
    (void)state;
    static char junk[LINES_SIZE_MAX + 2];
    memset(junk, 'x', sizeof(junk));
    struct line line;
    lines_init(&lines);
    junk[LINES_SIZE_MAX] = '\n';
    feed(junk, LINES_SIZE_MAX + 1);
    assert_true(lines_next(&lines, &line));
    assert_int_equal(line.text.size, LINES_SIZE_MAX);
    junk[LINES_SIZE_MAX] = 'x';
    junk[LINES_SIZE_MAX + 1] = '\n';
    feed(junk, LINES_SIZE_MAX + 2);
    assert_true(lines_next(&lines, &line));
    assert_true(line.is_overlong);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_do_not_change_the_lines),
        cmocka_unit_test(newline_at_the_end_adds_no_line),
        cmocka_unit_test(overlong_line_comes_out_once),
        cmocka_unit_test(limit_itself_is_a_line),
    };
    return cmocka_run_group_tests_name("cli/lines", tests, NULL, NULL);
}
