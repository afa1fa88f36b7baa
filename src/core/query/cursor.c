/* cursor: see cursor.h. Two steps each way: fields and bytes, bytes and text. Bytes are made in the
 * upper part of the text's room, so that encoding needs no memory of its own. */
#include "core/query/cursor.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/hash.h"

enum {
    VERSION = 1,
    FLAG_SHOWN = 1,
    FIXED_SIZE = 2 + 8 + 8 + 8 + 4 + 8 + 8 + 8 + 8 + 1 + KEY_SIZE_MAX,
    CHECK_SIZE = 8,
    ITEM_VARINT_MAX = 5,
    CHARACTER_BITS = 6,
};

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static size_t bytes_max(uint32_t shown_count)
{
    return FIXED_SIZE + CHECK_SIZE + ITEM_VARINT_MAX * ((size_t)shown_count + 1);
}

static size_t text_size_of(size_t byte_count)
{
    return (byte_count * 8 + CHARACTER_BITS - 1) / CHARACTER_BITS;
}

size_t cursor_text_size_max(uint32_t shown_count)
{
    return text_size_of(bytes_max(shown_count)) + ITEM_VARINT_MAX;
}

static uint64_t check_of(struct slice bytes, const struct id128 *cluster)
{
    struct hash256 hash = hash256_of_pair(bytes, slice_of(cluster->bytes, sizeof(cluster->bytes)));
    return load_u64(hash.bytes);
}

/* Each character is written after the bytes that it comes from were read. */
static size_t text_write(const uint8_t *bytes, size_t size, char *out)
{
    uint32_t bits = 0;
    uint32_t bit_count = 0;
    size_t written = 0;
    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        bit_count += 8;
        while (bit_count >= CHARACTER_BITS) {
            bit_count -= CHARACTER_BITS;
            out[written++] = alphabet[bits >> bit_count & 63];
        }
    }
    if (bit_count > 0) out[written++] = alphabet[bits << (CHARACTER_BITS - bit_count) & 63];
    return written;
}

size_t cursor_encode(const struct cursor *c, const struct id128 *cluster, char *out)
{
    ASSERT(c->shown_count <= CURSOR_SHOWN_MAX);
    ASSERT(c->has_shown || c->shown_count == 0);
    size_t room = cursor_text_size_max(c->shown_count);
    size_t size_max = bytes_max(c->shown_count);
    uint8_t *bytes = (uint8_t *)out + (room - size_max);
    struct bytes_writer w = bytes_writer_of(bytes, size_max);
    bytes_write_u8(&w, VERSION);
    bytes_write_u8(&w, c->has_shown ? FLAG_SHOWN : 0);
    bytes_write_u64(&w, c->profile_hash);
    bytes_write_u64(&w, c->position.epoch);
    bytes_write_u64(&w, c->position.seqno.v);
    bytes_write(&w, c->position.chain4, sizeof(c->position.chain4));
    bytes_write_i64(&w, c->now_ms);
    bytes_write_i64(&w, c->place.rank.high);
    bytes_write_u64(&w, c->place.rank.low);
    bytes_write_i64(&w, c->place.created_ms);
    bytes_write_slice8(&w, c->place.key);
    if (c->has_shown) {
        bytes_write_varint(&w, c->shown_count);
        uint32_t before = 0;
        for (uint32_t i = 0; i < c->shown_count; i++) {
            ASSERT(i == 0 || c->shown[i] > before);
            bytes_write_varint(&w, c->shown[i] - before);
            before = c->shown[i];
        }
    }
    bytes_write_u64(&w, check_of(bytes_written_slice(&w), cluster));
    ASSERT(!w.is_failed);
    return text_write(bytes, bytes_written(&w), out);
}

/* -1: no character of the alphabet. */
static int digit_of(uint8_t character)
{
    if (character >= 'A' && character <= 'Z') return character - 'A';
    if (character >= 'a' && character <= 'z') return character - 'a' + 26;
    if (character >= '0' && character <= '9') return character - '0' + 52;
    if (character == '-') return 62;
    return character == '_' ? 63 : -1;
}

/* False when the text is not what text_write makes of any bytes. */
static bool text_read(struct slice text, uint8_t *room, struct slice *out)
{
    uint32_t bits = 0;
    uint32_t bit_count = 0;
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        int digit = digit_of(text.data[i]);
        if (digit < 0) return false;
        bits = bits << CHARACTER_BITS | (uint32_t)digit;
        bit_count += CHARACTER_BITS;
        if (bit_count < 8) continue;
        bit_count -= 8;
        room[size++] = (uint8_t)(bits >> bit_count & 0xff);
    }
    bool is_whole = bit_count < CHARACTER_BITS && (bits & ((1u << bit_count) - 1)) == 0;
    *out = slice_of(room, size);
    return is_whole;
}

/* Take the ascending list of items; false when it is none. */
static bool shown_read(struct bytes_reader *r, struct cursor *c)
{
    uint64_t count = bytes_read_varint(r);
    if (r->is_failed || count > CURSOR_SHOWN_MAX) return false;
    c->shown_count = (uint32_t)count;
    const uint8_t *start = r->at;
    uint64_t item = 0;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t difference = bytes_read_varint(r);
        if (difference >= ITEM_NONE || (i > 0 && difference == 0)) return false;
        item += difference;
        if (item >= ITEM_NONE) return false;
    }
    if (r->is_failed) return false;
    c->shown_bytes = slice_of(start, (size_t)(r->at - start));
    return true;
}

static bool fields_read(struct slice bytes, struct cursor *c)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    uint8_t version = bytes_read_u8(&r);
    uint8_t flags = bytes_read_u8(&r);
    if (version != VERSION || flags > FLAG_SHOWN) return false;
    c->has_shown = flags == FLAG_SHOWN;
    c->profile_hash = bytes_read_u64(&r);
    c->position.epoch = bytes_read_u64(&r);
    c->position.seqno.v = bytes_read_u64(&r);
    bytes_read_into(&r, c->position.chain4, sizeof(c->position.chain4));
    c->now_ms = bytes_read_i64(&r);
    c->place.rank.high = bytes_read_i64(&r);
    c->place.rank.low = bytes_read_u64(&r);
    c->place.created_ms = bytes_read_i64(&r);
    c->place.key = bytes_read_slice8(&r);
    if (c->place.key.size == 0) return false;
    if (c->has_shown && !shown_read(&r, c)) return false;
    return bytes_is_done(&r);
}

enum code cursor_decode(struct slice text, const struct id128 *cluster, uint8_t *room,
                        struct cursor *out, struct err *e)
{
    struct slice bytes;
    if (!text_read(text, room, &bytes) || bytes.size < CHECK_SIZE) {
        return ERR(e, E_INVALID, "the cursor is damaged; give it back as it was answered");
    }
    struct slice checked = slice_of(bytes.data, bytes.size - CHECK_SIZE);
    if (load_u64(bytes.data + checked.size) != check_of(checked, cluster)) {
        return ERR(e, E_INVALID,
                   "the cursor is damaged or of another database; give it back as it was answered");
    }
    struct cursor c = {0};
    if (!fields_read(checked, &c)) {
        return ERR(e, E_INVALID, "the cursor is of another version; ask again without CURSOR");
    }
    *out = c;
    return OK;
}

void cursor_shown(const struct cursor *c, uint32_t *items)
{
    struct bytes_reader r = bytes_reader_of(c->shown_bytes);
    uint32_t item = 0;
    for (uint32_t i = 0; i < c->shown_count; i++) {
        item += (uint32_t)bytes_read_varint(&r);
        items[i] = item;
    }
    ASSERT(bytes_is_done(&r));
}
