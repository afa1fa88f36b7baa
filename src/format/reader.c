/* reader: a window over the source, and the checks of one batch in a fixed order. Holds after every
 * call: the window lies at or before r->offset, nothing at or beyond the limit is read, and r->at
 * is the end of the last batch that passed every check. Must never write to the source, and never
 * take a failing source for its end. Pure apart from the source; never allocates. */
#include "format/reader.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"

/* How much is read at once when more than that is not needed: amortises calls, wastes little when
 * only one batch is wanted. */
#define READ_AHEAD (256 * KIB)

static_assert(BATCH_SIZE_MAX % LOG_ALIGN == 0, "a whole batch with padding fits the window");

const char *reader_stop_text(enum reader_stop stop)
{
    switch (stop) {
    case STOP_ZEROS: return "zeros where a batch would begin";
    case STOP_NO_HEADER: return "bytes that are no batch header";
    case STOP_BAD_HEADER: return "a damaged batch header";
    case STOP_NEWER: return "a batch of a newer format version";
    case STOP_FOREIGN: return "a batch of another cluster or stream";
    case STOP_WRONG_SEQNO: return "a batch that does not follow by its seqno";
    case STOP_WRONG_CHAIN: return "a batch of another history";
    case STOP_LOWER_EPOCH: return "a batch of a lower epoch";
    case STOP_BAD_PAYLOAD: return "a payload that does not match its hash";
    case STOP_BAD_RECORDS: return "records that do not parse";
    case STOP_SHORT: return "the end of the file inside a batch";
    case STOP_BAD_PADDING: return "padding that is not zero";
    }
    UNREACHABLE();
}

void reader_init(struct reader *r, const struct reader_input *input)
{
    ASSERT(input->buffer_size >= READER_BUFFER_SIZE_MIN);
    ASSERT(input->source != NULL);
    *r = (struct reader){
        .input = *input,
        .at = input->start,
        .offset = input->offset,
        .limit = input->limit,
        .window_offset = input->offset,
    };
}

/* The window's bytes at r->offset, and how many there are. */
static struct slice window_rest(const struct reader *r)
{
    ASSERT(r->offset >= r->window_offset);
    uint64_t passed = r->offset - r->window_offset;
    if (passed >= r->window_size) return (struct slice){0};
    const uint8_t *buffer = r->input.buffer;
    return slice_of(buffer + passed, r->window_size - (size_t)passed);
}

/* Have at least wanted bytes at r->offset in the window, or all that the source has before the
 * limit. The source's failure is passed on. */
static enum code window_fill(struct reader *r, size_t wanted, struct slice *out, struct err *e)
{
    struct slice rest = window_rest(r);
    uint64_t before_limit = r->limit > r->offset ? r->limit - r->offset : 0;
    ASSERT(wanted <= r->input.buffer_size);
    if (rest.size < wanted && rest.size < before_limit) {
        size_t target = wanted > READ_AHEAD ? wanted : (size_t)READ_AHEAD;
        if (target > before_limit) target = (size_t)before_limit;
        uint8_t *buffer = r->input.buffer;
        if (rest.size > 0) memmove(buffer, rest.data, rest.size);
        r->window_offset = r->offset;
        r->window_size = rest.size;
        size_t got = 0;
        TRY(r->input.source(r->input.context, r->offset + rest.size, buffer + rest.size,
                            target - rest.size, &got, e));
        ASSERT(got <= target - rest.size);
        r->window_size += got;
        rest = slice_of(buffer, r->window_size);
    }
    *out = rest;
    return OK;
}

/* Why fewer bytes than a header's are no beginning of a batch, or an unfinished one. */
static enum reader_stop short_head_stop(struct slice head)
{
    size_t magic_size = sizeof(BATCH_MAGIC) - 1;
    if (bytes_are_zero(head.data, head.size)) return STOP_ZEROS;
    if (head.size < magic_size) magic_size = head.size;
    return memcmp(head.data, BATCH_MAGIC, magic_size) == 0 ? STOP_SHORT : STOP_NO_HEADER;
}

/* Judge the header at the window's place. False: *out_stop says why. */
static bool header_accept(const struct reader *r, const uint8_t *bytes, struct batch_header *out,
                          enum reader_stop *out_stop)
{
    switch (batch_header_decode(bytes, &r->input.id, out)) {
    case BATCH_OK: break;
    case BATCH_NOT_A_HEADER:
        *out_stop = bytes_are_zero(bytes, BATCH_HEADER_SIZE) ? STOP_ZEROS : STOP_NO_HEADER;
        return false;
    case BATCH_BAD_HEADER: *out_stop = STOP_BAD_HEADER; return false;
    case BATCH_NEWER: *out_stop = STOP_NEWER; return false;
    case BATCH_FOREIGN: *out_stop = STOP_FOREIGN; return false;
    }
    if (out->first.v - 1 != r->at.seqno.v) {
        *out_stop = STOP_WRONG_SEQNO;
        return false;
    }
    if (out->epoch.number < r->at.epoch) {
        *out_stop = STOP_LOWER_EPOCH;
        return false;
    }
    if (!hash256_equal(&out->previous_chain, &r->at.chain)) {
        *out_stop = STOP_WRONG_CHAIN;
        return false;
    }
    return true;
}

/* Judge what follows a good header: payload, records, padding. bytes: the batch with padding. */
static bool rest_accept(const struct reader *r, const struct batch_header *h, struct slice bytes,
                        enum reader_stop *out_stop, struct err *e)
{
    size_t end = (size_t)BATCH_HEADER_SIZE + h->payload_size;
    struct slice payload = slice_of(bytes.data + BATCH_HEADER_SIZE, h->payload_size);
    if (!batch_payload_verifies(h, payload)) {
        *out_stop = STOP_BAD_PAYLOAD;
        return false;
    }
    if (!bytes_are_zero(bytes.data + end, bytes.size - end)) {
        *out_stop = STOP_BAD_PADDING;
        return false;
    }
    if (!r->is_record_check_off && batch_records_check(h, payload, e) != OK) {
        *out_stop = STOP_BAD_RECORDS;
        return false;
    }
    return true;
}

enum reader_result reader_next(struct reader *r, struct reader_batch *out,
                               enum reader_stop *out_stop, struct err *e)
{
    struct slice bytes;
    struct batch_header h;
    if (window_fill(r, BATCH_HEADER_SIZE, &bytes, e) != OK) return READER_IO;
    if (bytes.size == 0) return READER_END;
    if (bytes.size < BATCH_HEADER_SIZE) {
        *out_stop = short_head_stop(bytes);
        return READER_STOP;
    }
    if (!header_accept(r, bytes.data, &h, out_stop)) return READER_STOP;

    size_t file_size = (size_t)batch_file_size(&h);
    if (window_fill(r, file_size, &bytes, e) != OK) return READER_IO;
    if (bytes.size < file_size) {
        *out_stop = STOP_SHORT;
        return READER_STOP;
    }
    bytes.size = file_size;
    if (!rest_accept(r, &h, bytes, out_stop, e)) return READER_STOP;

    size_t size = (size_t)BATCH_HEADER_SIZE + h.payload_size;
    *out = (struct reader_batch){
        .offset = r->offset,
        .header = h,
        .bytes = slice_of(bytes.data, size),
        .payload = slice_of(bytes.data + BATCH_HEADER_SIZE, h.payload_size),
        .position = {.epoch = h.epoch.number,
                     .seqno = batch_last(&h),
                     .chain = batch_chain(bytes.data)},
    };
    r->at = out->position;
    r->offset += file_size;
    return READER_BATCH;
}

/* One scan for evidence. */
struct search {
    struct reader window;
    const struct reader_input *input;
    const uint64_t *epochs;
    uint32_t epoch_count;
    struct reader_evidence found;
};

static bool epoch_counts(const struct search *s, uint64_t epoch)
{
    if (epoch < s->input->start.epoch) return false;
    if (s->epochs == NULL) return true;
    for (uint32_t i = 0; i < s->epoch_count; i++) {
        if (s->epochs[i] == epoch) return true;
    }
    return false;
}

/* Could this header stand here, as far as its own fields tell? durable_through < first holds for
 * every header that decodes. */
static bool header_counts(const struct search *s, const struct batch_header *h)
{
    uint64_t after = s->input->start.seqno.v;
    uint64_t bytes_between = s->window.offset - s->input->offset;
    return h->first.v > after && h->first.v - after - 1 <= bytes_between / RECORD_SIZE_MIN &&
           epoch_counts(s, h->epoch.number);
}

/* Move the window to the next magic; false at the end of the source. */
static enum code search_next(struct search *s, bool *out_is_found, struct err *e)
{
    const uint64_t magic = load_u64((const uint8_t *)BATCH_MAGIC);
    for (;;) {
        struct slice rest;
        TRY(window_fill(&s->window, BATCH_HEADER_SIZE, &rest, e));
        *out_is_found = false;
        if (rest.size < BATCH_HEADER_SIZE) return OK;
        size_t at = 0;
        while (at + BATCH_HEADER_SIZE <= rest.size && !*out_is_found) {
            *out_is_found = load_u64(rest.data + at) == magic;
            if (!*out_is_found) at += LOG_ALIGN;
        }
        s->window.offset += at;
        if (*out_is_found) return OK;
    }
}

/* Judge the candidate at the window's place, note it if it counts, and step over it. */
static enum code search_judge(struct search *s, struct err *e)
{
    struct slice rest;
    struct batch_header h;
    struct reader *window = &s->window;
    TRY(window_fill(window, BATCH_HEADER_SIZE, &rest, e));
    ASSERT(rest.size >= BATCH_HEADER_SIZE);
    uint64_t offset = window->offset;
    window->offset += LOG_ALIGN;
    if (batch_header_decode(rest.data, &window->input.id, &h) != BATCH_OK) return OK;

    size_t size = (size_t)BATCH_HEADER_SIZE + h.payload_size;
    window->offset = offset;
    bool is_candidate = header_counts(s, &h);
    TRY(window_fill(window, size, &rest, e));
    bool is_whole =
        rest.size >= size &&
        batch_payload_verifies(&h, slice_of(rest.data + BATCH_HEADER_SIZE, h.payload_size));
    window->offset = offset + (is_whole ? batch_file_size(&h) : LOG_ALIGN);
    if (!is_whole || !is_candidate) return OK;
    s->found.count++;
    if (h.durable_through.v > s->found.durable_through.v || s->found.count == 1) {
        s->found.durable_through = h.durable_through;
        s->found.epoch = h.epoch.number;
        s->found.first = h.first;
        s->found.offset = offset;
    }
    return OK;
}

enum code reader_find_evidence(const struct reader_input *input, const uint64_t *epochs,
                               uint32_t epoch_count, struct reader_evidence *out, struct err *e)
{
    struct search s = {.input = input, .epochs = epochs, .epoch_count = epoch_count};
    bool is_found = false;
    reader_init(&s.window, input);
    s.window.offset = align_up(input->offset, LOG_ALIGN);
    TRY(search_next(&s, &is_found, e));
    while (is_found) {
        TRY(search_judge(&s, e));
        TRY(search_next(&s, &is_found, e));
    }
    *out = s.found;
    return OK;
}
