/* fuzz_reader: a log file. The first two bytes say where the source fails and whether batches are
 * made whole first; the rest is the file. The reader never goes backwards, never reads at or beyond
 * its limit, and what it gives is in order. */
#include "fuzz.h"

#include <stdlib.h>

#include "repair.h"

#include "base/assert.h"
#include "format/reader.h"

struct file {
    uint8_t *bytes;
    size_t size;
    size_t limit;
    size_t failing_from;
};

static enum code file_read(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                           struct err *e)
{
    const struct file *f = context;
    ASSERT(offset + size <= f->limit);
    if (offset + size > f->failing_from) return ERR(e, E_IO, "the disk failed");
    size_t left = offset < f->size ? f->size - (size_t)offset : 0;
    *out_read = size < left ? size : left;
    if (*out_read > 0) memcpy(out, f->bytes + offset, *out_read);
    return OK;
}

/* Make batches of what lies there, as long as it begins with the magic. */
static void file_repair(struct file *f)
{
    struct position at = {0};
    size_t offset = 0;
    while (f->size - offset > BATCH_HEADER_SIZE) {
        uint8_t *header = f->bytes + offset;
        size_t room = f->size - offset - BATCH_HEADER_SIZE;
        uint32_t payload_size = load_u32(header + 72) % 512;
        if (memcmp(header, BATCH_MAGIC, 8) != 0 || payload_size > room) return;
        repair_batch(header, payload_size, &at);
        at.seqno.v += load_u32(header + 20);
        at.chain = batch_chain(header);
        offset += align_up(BATCH_HEADER_SIZE + payload_size, LOG_ALIGN);
        if (offset > f->size) return;
    }
}

static void read_all(const struct reader_input *input, uint64_t *out_offset,
                     struct position *out_at)
{
    struct reader r;
    struct reader_batch batch;
    enum reader_stop stop = STOP_ZEROS;
    struct err e;
    uint64_t last = 0;
    reader_init(&r, input);
    while (reader_next(&r, &batch, &stop, &e) == READER_BATCH) {
        ASSERT(batch.offset >= last && r.offset > batch.offset && r.offset <= r.limit);
        ASSERT(r.at.seqno.v == batch_last(&batch.header).v);
        last = r.offset;
    }
    ASSERT(reader_stop_text(stop) != NULL);
    *out_offset = r.offset;
    *out_at = r.at;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t window[READER_BUFFER_SIZE_MIN];
    if (size < 2) return 0;
    struct file f = {.size = size - 2, .bytes = malloc(size), .limit = size - 2};
    if (f.bytes == NULL) return 0;
    memcpy(f.bytes, data + 2, f.size);
    f.failing_from = data[0] == 0 ? SIZE_MAX : (size_t)data[0] * 64;
    if ((data[1] & 1) != 0) file_repair(&f);
    f.limit -= f.size > data[1] / 2u ? data[1] / 2u : 0;
    struct reader_input input = {.source = file_read,
                                 .context = &f,
                                 .id = fuzz_log(),
                                 .limit = f.limit,
                                 .buffer = window,
                                 .buffer_size = sizeof(window)};
    uint64_t offset = 0;
    struct position at;
    read_all(&input, &offset, &at);
    input.start = at;
    input.offset = offset;
    struct reader_evidence found = {0};
    struct err e;
    if (reader_find_evidence(&input, NULL, 0, &found, &e) == OK && found.count > 0) {
        ASSERT(found.first.v > at.seqno.v && found.durable_through.v < found.first.v);
        ASSERT(found.offset >= offset && found.offset < f.limit);
    }
    free(f.bytes);
    return 0;
}
