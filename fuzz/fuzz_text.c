/* fuzz_text: the parsers of what people write. What is accepted must print and read back equal. */
#include "fuzz.h"

#include "base/assert.h"
#include "base/text.h"

static void check_double(struct slice s)
{
    double v;
    if (!parse_f64(s, &v)) return;
    char text[F64_TEXT_SIZE];
    size_t size = format_f64(text, v);
    double back;
    ASSERT(parse_f64(slice_of(text, size), &back));
    ASSERT(memcmp(&v, &back, sizeof(v)) == 0);
}

static void check_token(struct slice s)
{
    struct token token;
    if (!parse_token(s, &token)) return;
    char text[TOKEN_SIZE_MAX];
    ASSERT(slice_equal(s, slice_of(text, format_token(text, &token))));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const words[] = {"serve", "status", "import"};
    struct slice s = slice_of(data, size);
    uint64_t u;
    int64_t i;
    uint8_t hex[8];
    check_double(s);
    check_token(s);
    (void)parse_u64(s, &u);
    (void)parse_i64(s, &i);
    (void)parse_size(s, &u);
    (void)parse_duration(s, &u);
    (void)parse_hex(s, hex, sizeof(hex));
    (void)is_node_id(s);
    (void)text_equal_nocase(s, "signal");
    (void)nearest_word(s, words, COUNT_OF(words));
    char buffer[64];
    struct text text = text_of(buffer, sizeof(buffer));
    text_add_escaped(&text, s, 40);
    ASSERT(strlen(buffer) == text.size && text.size < sizeof(buffer));
    return 0;
}
