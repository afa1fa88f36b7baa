/* fuzz_wire: a frame header as it is, and a message whose kind is the first two bytes and whose
 * body is the rest. What decodes can be described and walked, and encodes to the same body, unless
 * it is of another version, of which only the beginning is read. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "format/wire.h"

static bool is_of_another_version(const struct wire_message *m)
{
    if (m->kind == WIRE_PLAN) return m->as.plan.version != WIRE_VERSION;
    return m->kind == WIRE_HELLO &&
           (m->as.hello.version_min > WIRE_VERSION || m->as.hello.version_max < WIRE_VERSION);
}

static void walk(const struct wire_message *m)
{
    struct wire_block block;
    struct wire_member member;
    uint32_t count = 0;
    if (m->kind == WIRE_BLOCKS) {
        struct bytes_reader at = bytes_reader_of(m->as.blocks.bytes);
        while (wire_block_next(&m->as.blocks, &at, &block)) {
            count++;
        }
        ASSERT(count == m->as.blocks.count);
    } else if (m->kind == WIRE_MEMBERS) {
        struct bytes_reader at = bytes_reader_of(m->as.members.bytes);
        while (wire_member_next(&at, &member)) {
            count++;
        }
        ASSERT(count == m->as.members.count);
    }
}

static void judge(const struct wire_header *h, struct slice body)
{
    static struct wire_message m;
    char line[256];
    struct err e;
    if (wire_decode(h, body, &m, &e) != OK) return;
    struct text t = text_of(line, sizeof(line));
    wire_describe(&m, &t);
    walk(&m);
    size_t capacity = WIRE_HEADER_SIZE + body.size;
    uint8_t *again = malloc(capacity);
    if (again == NULL) return;
    size_t size = wire_encode(&m, again, capacity);
    ASSERT(size > 0);
    struct slice made = slice_of(again + WIRE_HEADER_SIZE, size - WIRE_HEADER_SIZE);
    if (is_of_another_version(&m)) {
        ASSERT(made.size <= body.size && memcmp(made.data, body.data, made.size) == 0);
    } else {
        ASSERT(slice_equal(made, body));
    }
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct wire_header h;
    struct err e;
    if (size >= WIRE_HEADER_SIZE && wire_header_decode(data, FRAME_SIZE_MAX, &h, &e) == OK) {
        uint8_t again[WIRE_HEADER_SIZE];
        wire_header_encode(&h, again);
        ASSERT(memcmp(again, data, sizeof(again)) == 0);
    }
    if (size < 2 || size > FRAME_SIZE_MAX) return 0;
    h = (struct wire_header){.kind = (uint16_t)(data[0] | data[1] << 8),
                             .body_size = (uint32_t)(size - 2)};
    judge(&h, slice_of(data + 2, size - 2));
    return 0;
}
