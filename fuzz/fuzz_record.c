/* fuzz_record: a payload of records. What decodes can be described and walked, and encodes to the
 * very same bytes. */
#include "fuzz.h"

#include "base/assert.h"
#include "base/text.h"
#include "format/put_fields.h"
#include "format/record.h"

#define BASE_MS 1700000000000

static void walk_signal(struct record_signal signal)
{
    struct signal_entry entry;
    uint32_t count = 0;
    while (signal_entry_next(&signal, &entry)) {
        ASSERT(entry.item.size >= 1 && entry.type_id >= 1 && weight_is_valid(entry.weight));
        count++;
    }
    ASSERT(count == signal.count);
}

static void walk_group(struct record_group group)
{
    struct record inner;
    uint32_t count = 0;
    while (record_group_next(&group, BASE_MS, &inner)) {
        ASSERT(inner.kind != RECORD_GROUP);
        if (inner.kind == RECORD_SIGNAL) walk_signal(inner.as.signal);
        count++;
    }
    ASSERT(count == group.count);
}

static void walk_put(struct slice fields)
{
    struct bytes_reader list = bytes_reader_of(fields);
    struct put_field f;
    uint32_t count = put_list_count(&list);
    for (uint32_t i = 0; i < count; i++) {
        bool is_read = put_field_read(&list, &f);
        ASSERT(is_read);
    }
    ASSERT(bytes_is_done(&list));
}

static void check_same_bytes(const struct record *r, struct slice bytes)
{
    static uint8_t again[RECORD_SIZE_MAX];
    struct bytes_writer w = bytes_writer_of(again, sizeof(again));
    enum code code = record_encode(&w, r, BASE_MS, NULL);
    ASSERT(code == OK);
    ASSERT(slice_equal(bytes_written_slice(&w), bytes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char line[256];
    struct record r;
    struct err e;
    struct bytes_reader payload = {.at = data, .end = size > 0 ? data + size : data};
    for (;;) {
        const uint8_t *start = payload.at;
        if (record_decode(&payload, BASE_MS, &r, &e) != OK) break;
        struct text t = text_of(line, sizeof(line));
        record_describe(&r, &t);
        if (r.kind == RECORD_SIGNAL) walk_signal(r.as.signal);
        if (r.kind == RECORD_GROUP) walk_group(r.as.group);
        if (r.kind == RECORD_ITEM_PUT) walk_put(r.as.put.fields);
        check_same_bytes(&r, slice_of(start, (size_t)(payload.at - start)));
    }
    return 0;
}
