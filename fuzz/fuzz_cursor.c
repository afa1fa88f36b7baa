/* fuzz_cursor: cursors as clients hand them back. Bytes are also tried with the check put right, so
 * that the fields behind it are reached; what is accepted encodes to the same text. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "core/query/cursor.h"

static const struct id128 cluster = {.bytes = {7}};

static void check(struct slice text)
{
    uint8_t *room = malloc(text.size + 1);
    struct cursor c;
    ASSERT(room != NULL);
    if (cursor_decode(text, &cluster, room, &c, NULL) == OK) {
        uint32_t *shown = malloc((c.shown_count + 1) * sizeof(*shown));
        char *again = malloc(cursor_text_size_max(c.shown_count));
        ASSERT(shown != NULL && again != NULL);
        cursor_shown(&c, shown);
        c.shown = shown;
        size_t size = cursor_encode(&c, &cluster, again);
        ASSERT(slice_equal(slice_of(again, size), text));
        free(again);
        free(shown);
    }
    free(room);
}

/* The bytes, with their check, as text. */
static void check_bytes(struct slice bytes)
{
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t *whole = malloc(bytes.size + 9);
    char *text = malloc(2 * (bytes.size + 9));
    ASSERT(whole != NULL && text != NULL);
    if (bytes.size > 0) memcpy(whole, bytes.data, bytes.size);
    struct hash256 hash = hash256_of_pair(bytes, slice_of(cluster.bytes, sizeof(cluster.bytes)));
    memcpy(whole + bytes.size, hash.bytes, 8);
    size_t bit_count = 8 * (bytes.size + 8);
    size_t size = 0;
    whole[bytes.size + 8] = 0;
    for (size_t bit = 0; bit < bit_count; bit += 6) {
        uint32_t pair = (uint32_t)whole[bit / 8] << 8 | whole[bit / 8 + 1];
        text[size++] = alphabet[pair >> (10 - bit % 8) & 63];
    }
    check(slice_of(text, size));
    free(text);
    free(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice s = slice_of(data, size);
    check(s);
    check_bytes(s);
    return 0;
}
