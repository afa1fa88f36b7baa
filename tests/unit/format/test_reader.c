/* Tests of format/reader: it gives whole verified batches, and stops at anything else with the
 * right reason at the right place. The source is memory; a context can make it fail. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/hash.h"
#include "base/random.h"
#include "format/reader.h"
#include "support/samples.h"

#define FILE_SIZE_MAX (6 * MIB)

/* A file in memory. */
static struct {
    uint8_t bytes[FILE_SIZE_MAX];
    size_t size;
    size_t failing_from; /* reads that touch this offset or later fail */
    size_t reads;
    size_t read_size_max;
    size_t high_water; /* bytes behind it are zero */
} disk;

static struct position end_of_log;
static uint64_t offsets[64]; /* of the batches, in order */
static uint8_t *window;
static const struct position NOWHERE;

static enum code disk_read(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                           struct err *e)
{
    (void)context;
    disk.reads++;
    if (offset + size > disk.failing_from) return ERR(e, E_IO, "the disk failed");
    size_t left = offset < disk.size ? disk.size - (size_t)offset : 0;
    *out_read = size < left ? size : left;
    memcpy(out, disk.bytes + offset, *out_read);
    if (size > disk.read_size_max) disk.read_size_max = size;
    return OK;
}

static struct reader_input input_from(const struct position *start, uint64_t offset, uint64_t limit)
{
    return (struct reader_input){
        .source = disk_read,
        .id = sample_log(),
        .start = *start,
        .offset = offset,
        .limit = limit,
        .buffer = window,
        .buffer_size = READER_BUFFER_SIZE_MIN,
    };
}

/* Append a batch with padding. */
static void disk_append(const struct sample_batch *b)
{
    uint64_t size = batch_file_size(&b->header);
    assert_true(disk.size + size <= FILE_SIZE_MAX);
    memset(disk.bytes + disk.size, 0, size);
    memcpy(disk.bytes + disk.size, b->bytes, b->size);
    disk.size += size;
    disk.high_water = disk.size + 1024; /* tests write junk behind the log */
    end_of_log = sample_batch_end(b);
}

static void disk_clear(void)
{
    memset(disk.bytes, 0, disk.high_water);
    disk.size = 0;
    disk.high_water = 0;
    disk.reads = 0;
    disk.read_size_max = 0;
    disk.failing_from = SIZE_MAX;
    end_of_log = NOWHERE;
}

/* A new log of so many batches: batch i has one to four signals, epoch 7. */
static void disk_fill(uint32_t count)
{
    static struct sample_batch b;
    disk_clear();
    for (uint32_t i = 0; i < count; i++) {
        struct sample_memory memory;
        struct record records[4];
        for (uint32_t k = 0; k < COUNT_OF(records); k++) {
            sample_record(RECORD_SIGNAL, &memory, &records[k]);
        }
        offsets[i] = disk.size;
        sample_batch_make(&b, &end_of_log, 7, records, 1 + i % COUNT_OF(records));
        disk_append(&b);
    }
}

/* Where reading from the start ends. */
struct outcome {
    enum reader_result result;
    enum reader_stop stop;
    uint64_t offset;
    uint32_t batches;
    struct position at;
};
static struct outcome read_until(uint64_t limit)
{
    struct reader_input input = input_from(&NOWHERE, 0, limit);
    struct reader r;
    struct reader_batch batch;
    struct outcome o = {0};
    reader_init(&r, &input);
    while ((o.result = reader_next(&r, &batch, &o.stop, NULL)) == READER_BATCH) {
        o.batches++;
    }
    o.offset = r.offset;
    o.at = r.at;
    return o;
}

static void assert_stops(enum reader_stop stop, uint64_t offset)
{
    struct outcome o = read_until(disk.size);
    assert_int_equal(o.result, READER_STOP);
    if (o.stop != stop) print_error("stopped at %s\n", reader_stop_text(o.stop));
    assert_int_equal(o.stop, stop);
    assert_int_equal(o.offset, offset);
}

static void reader_gives_every_batch_and_ends(void **state)
{
    (void)state;
    disk_fill(40);
    struct outcome o = read_until(disk.size);
    assert_int_equal(o.result, READER_END);
    assert_int_equal(o.batches, 40);
    assert_true(position_equal(&o.at, &end_of_log));
    assert_int_equal(o.offset, disk.size);
    disk_fill(0);
    assert_int_equal(read_until(0).result, READER_END);
}

static void reader_gives_the_bytes_that_were_written(void **state)
{
    (void)state;
    disk_fill(5);
    struct reader_input input = input_from(&NOWHERE, 0, disk.size);
    struct reader r;
    struct reader_batch b;
    enum reader_stop stop;
    reader_init(&r, &input);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(reader_next(&r, &b, &stop, NULL), READER_BATCH);
        assert_int_equal(b.offset, offsets[i]);
        assert_int_equal(b.bytes.size, BATCH_HEADER_SIZE + b.header.payload_size);
        assert_memory_equal(b.bytes.data, disk.bytes + b.offset, b.bytes.size);
        assert_ptr_equal(b.payload.data, b.bytes.data + BATCH_HEADER_SIZE);
        assert_int_equal(b.position.seqno.v, batch_last(&b.header).v);
    }
}

/* The source may have grown: after the end, a raised limit goes on. */
static void reader_goes_on_after_its_limit_was_raised(void **state)
{
    (void)state;
    disk_fill(10);
    struct reader_input input = input_from(&NOWHERE, 0, offsets[4]);
    struct reader r;
    struct reader_batch b;
    enum reader_stop stop;
    uint32_t batches = 0;
    reader_init(&r, &input);
    while (reader_next(&r, &b, &stop, NULL) == READER_BATCH) {
        batches++;
    }
    assert_int_equal(batches, 4);
    assert_int_equal(reader_next(&r, &b, &stop, NULL), READER_END);
    r.limit = disk.size;
    while (reader_next(&r, &b, &stop, NULL) == READER_BATCH) {
        batches++;
    }
    assert_int_equal(batches, 10);
}

static void reader_starts_in_the_middle(void **state)
{
    (void)state;
    disk_fill(9);
    struct outcome first = read_until(offsets[6]);
    struct reader_input input = input_from(&first.at, offsets[6], disk.size);
    struct reader r;
    struct reader_batch b;
    enum reader_stop stop;
    reader_init(&r, &input);
    for (uint32_t i = 6; i < 9; i++) {
        assert_int_equal(reader_next(&r, &b, &stop, NULL), READER_BATCH);
    }
    assert_int_equal(reader_next(&r, &b, &stop, NULL), READER_END);
    assert_true(position_equal(&r.at, &end_of_log));
}

/* Every length of a file: whole batches before the cut are given, and what follows is named: zeros
 * or nothing is an end, a part of a batch is short. */
static void reader_stops_short_at_every_truncation(void **state)
{
    (void)state;
    disk_fill(3);
    size_t whole = disk.size;
    for (size_t size = 0; size <= whole; size++) {
        disk.size = size;
        struct outcome o = read_until(whole);
        bool is_batch_end =
            size == whole || size == offsets[0] || size == offsets[1] || size == offsets[2];
        assert_int_equal(o.result, is_batch_end ? READER_END : READER_STOP);
        if (!is_batch_end) assert_int_equal(o.stop, STOP_SHORT);
        assert_true(o.offset <= size);
        /* The limit is respected like the end of the source. */
        disk.size = whole;
        struct outcome limited = read_until(size);
        assert_int_equal(limited.result, o.result);
        assert_int_equal(limited.offset, o.offset);
    }
}

/* L5: any number of junk bytes behind the last batch is told from a clean end. */
static void reader_stops_at_any_tail_of_junk(void **state)
{
    (void)state;
    for (size_t junk = 1; junk < 400; junk++) {
        disk_fill(2);
        size_t end = disk.size;
        memset(disk.bytes + end, 0xa5, junk);
        disk.size += junk;
        assert_stops(STOP_NO_HEADER, end);
    }
}

static void reader_stops_at_zeros_of_any_length(void **state)
{
    (void)state;
    for (size_t zeros = 1; zeros < 400; zeros++) {
        disk_fill(2);
        size_t end = disk.size;
        disk.size += zeros;
        assert_stops(STOP_ZEROS, end);
    }
}

static void reader_tells_a_short_zero_tail_from_a_started_header(void **state)
{
    (void)state;
    disk_fill(2);
    size_t end = disk.size;
    memcpy(disk.bytes + end, BATCH_MAGIC, 3);
    disk.size += 3;
    assert_stops(STOP_SHORT, end);
    disk.size += 100;
    assert_stops(STOP_NO_HEADER, end);
    disk_fill(2);
    disk.bytes[end + 100] = 1;
    disk.size += 150;
    assert_stops(STOP_NO_HEADER, end);
    disk.size += 42; /* a whole header's room, not all zero */
    assert_stops(STOP_NO_HEADER, end);
}

/* L6: each bit of a file of three batches. The batches before the flip are given, the flipped one
 * never. */
static void every_single_bit_flip_is_detected(void **state)
{
    (void)state;
    disk_fill(3);
    for (size_t bit = 0; bit < disk.size * 8; bit++) {
        size_t byte = bit / 8;
        uint32_t damaged = byte < offsets[1] ? 0 : byte < offsets[2] ? 1 : 2;
        disk.bytes[byte] ^= (uint8_t)(1u << (bit % 8));
        struct outcome o = read_until(disk.size);
        assert_int_equal(o.result, READER_STOP);
        assert_int_equal(o.batches, damaged);
        assert_int_equal(o.offset, offsets[damaged]);
        disk.bytes[byte] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(read_until(disk.size).result, READER_END);
}

static void reader_names_what_is_damaged(void **state)
{
    (void)state;
    disk_fill(3);
    disk.bytes[offsets[1]] ^= 1;
    assert_stops(STOP_NO_HEADER, offsets[1]);
    disk_fill(3);
    disk.bytes[offsets[1] + 70] ^= 1;
    assert_stops(STOP_BAD_HEADER, offsets[1]);
    disk_fill(3);
    disk.bytes[offsets[1] + BATCH_HEADER_SIZE] ^= 1;
    assert_stops(STOP_BAD_PAYLOAD, offsets[1]);
    disk_fill(3);
    disk.bytes[offsets[2] - 1] ^= 1;
    assert_stops(STOP_BAD_PADDING, offsets[1]);
}

/* Replace the second of three batches by one with other fields and a valid checksum. */
static void replace_second(const struct position *before, uint64_t epoch, uint64_t log_key)
{
    static struct sample_batch b;
    disk_fill(1);
    struct sample_memory memory;
    struct record noop;
    sample_record(RECORD_NOOP, &memory, &noop);
    sample_batch_make(&b, before != NULL ? before : &end_of_log, epoch, &noop, 1);
    batch_header_encode(&b.header, log_key, b.bytes);
    offsets[1] = disk.size;
    disk_append(&b);
}

static void reader_stops_at_a_stale_header_with_wrong_seqno(void **state)
{
    (void)state;
    disk_fill(1);
    struct position other = end_of_log;
    other.seqno = seqno_of(100);
    replace_second(&other, 7, SAMPLE_LOG_KEY);
    assert_stops(STOP_WRONG_SEQNO, offsets[1]);
    other.seqno = seqno_of(0);
    replace_second(&other, 7, SAMPLE_LOG_KEY);
    assert_stops(STOP_WRONG_SEQNO, offsets[1]);
}

static void reader_stops_at_another_history_epoch_key_or_stream(void **state)
{
    (void)state;
    replace_second(NULL, 7, SAMPLE_LOG_KEY);
    assert_int_equal(read_until(disk.size).result, READER_END);
    struct position other;
    disk_fill(1);
    other = end_of_log;
    other.chain.bytes[5] ^= 1;
    replace_second(&other, 7, SAMPLE_LOG_KEY);
    assert_stops(STOP_WRONG_CHAIN, offsets[1]);
    replace_second(NULL, 6, SAMPLE_LOG_KEY);
    assert_stops(STOP_LOWER_EPOCH, offsets[1]);
    replace_second(NULL, 8, SAMPLE_LOG_KEY);
    assert_int_equal(read_until(disk.size).result, READER_END);
    replace_second(NULL, 7, SAMPLE_LOG_KEY + 1);
    assert_stops(STOP_BAD_HEADER, offsets[1]);
    replace_second(NULL, 7, SAMPLE_LOG_KEY);
    struct reader_input input = input_from(&NOWHERE, 0, disk.size);
    input.id.stream.shard++;
    struct reader r;
    struct reader_batch b;
    enum reader_stop stop;
    reader_init(&r, &input);
    assert_int_equal(reader_next(&r, &b, &stop, NULL), READER_STOP);
    assert_int_equal(stop, STOP_FOREIGN);
}

static void reader_stops_at_a_newer_version(void **state)
{
    (void)state;
    replace_second(NULL, 7, SAMPLE_LOG_KEY);
    uint8_t *header = disk.bytes + offsets[1];
    header[8] = FORMAT_VERSION + 1;
    store_u32(header + 16, 0);
    store_u32(header + 16, crc32c_keyed(SAMPLE_LOG_KEY, header, BATCH_HEADER_SIZE));
    assert_stops(STOP_NEWER, offsets[1]);
}

/* A payload that hashes and does not parse: told only when records are checked. */
static void reader_checks_records_unless_told_not_to(void **state)
{
    (void)state;
    static struct sample_batch b;
    static const uint8_t payload[] = {2, 200, 0};
    disk_fill(1);
    offsets[1] = disk.size;
    sample_batch_wrap(&b, &end_of_log, 7, slice_of(payload, sizeof(payload)), 1);
    disk_append(&b);
    assert_stops(STOP_BAD_RECORDS, offsets[1]);
    struct reader_input input = input_from(&NOWHERE, 0, disk.size);
    struct reader r;
    struct reader_batch batch;
    enum reader_stop stop;
    reader_init(&r, &input);
    r.is_record_check_off = true;
    assert_int_equal(reader_next(&r, &batch, &stop, NULL), READER_BATCH);
    assert_int_equal(reader_next(&r, &batch, &stop, NULL), READER_BATCH);
    assert_int_equal(reader_next(&r, &batch, &stop, NULL), READER_END);
}

/* L7: a failing disk is never the end of the log. */
static void reader_passes_a_failing_source_through(void **state)
{
    (void)state;
    disk_fill(20);
    struct reader_input input = input_from(&NOWHERE, 0, disk.size);
    struct reader r;
    struct reader_batch b;
    enum reader_stop stop;
    struct err e = {0};
    for (disk.failing_from = 0; disk.failing_from < disk.size; disk.failing_from += 100) {
        enum reader_result result;
        reader_init(&r, &input);
        while ((result = reader_next(&r, &b, &stop, &e)) == READER_BATCH) {
        }
        assert_int_equal(result, READER_IO);
        assert_int_equal(e.code, E_IO);
    }
}

/* L15: small batches are read many at a time. */
static void reader_reads_in_large_pieces(void **state)
{
    (void)state;
    disk_fill(60);
    disk.reads = 0;
    assert_int_equal(read_until(disk.size).batches, 60);
    assert_true(disk.reads <= 2);
    assert_true(disk.read_size_max <= 256 * KIB);
}

/* A batch of the largest size passes through the window of the smallest size, between two others.
 */
static void reader_takes_the_largest_batch(void **state)
{
    (void)state;
    static struct sample_batch b;
    static uint8_t json[RECORD_SIZE_MAX];
    struct record profile = {.kind = RECORD_SCHEMA};
    profile.as.schema =
        (struct record_schema){.subject = SCHEMA_PROFILE, .id = 1, .name = slice_of_text("p")};
    disk_fill(3);
    uint8_t *bytes = disk.bytes + disk.size;
    struct bytes_writer w =
        bytes_writer_of(bytes + BATCH_HEADER_SIZE, BATCH_SIZE_MAX - BATCH_HEADER_SIZE);
    uint32_t count = 0;
    for (; w.at < w.end; count++) {
        size_t left = (size_t)(w.end - w.at);
        size_t size = left < RECORD_SIZE_MAX ? left : RECORD_SIZE_MAX;
        profile.as.schema.body = slice_of(json, size - 12);
        assert_int_equal(record_encode(&w, &profile, SAMPLE_TIME_MS, NULL), OK);
    }
    sample_batch_wrap(&b, &end_of_log, 7, slice_of(json, 3), 1);
    b.header.payload_size = (uint32_t)bytes_written(&w);
    b.header.raw_size = b.header.payload_size;
    b.header.record_count = count;
    b.header.payload_hash = hash256_of(bytes_written_slice(&w));
    batch_header_encode(&b.header, SAMPLE_LOG_KEY, bytes);
    disk.size += BATCH_SIZE_MAX;
    end_of_log =
        (struct position){.epoch = 7, .seqno = batch_last(&b.header), .chain = batch_chain(bytes)};
    struct record noop = {.kind = RECORD_NOOP};
    sample_batch_make(&b, &end_of_log, 7, &noop, 1);
    disk_append(&b);
    struct outcome o = read_until(disk.size);
    assert_int_equal(o.result, READER_END);
    assert_int_equal(o.batches, 5);
    disk_clear();
}

static struct reader_evidence evidence_after(const struct outcome *o, const uint64_t *epochs,
                                             uint32_t epoch_count)
{
    struct reader_input input = input_from(&o->at, o->offset, disk.size);
    struct reader_evidence found;
    assert_int_equal(reader_find_evidence(&input, epochs, epoch_count, &found, NULL), OK);
    return found;
}

/* A damaged batch in the middle: the last header behind it says how far the leader was durable. */
static void evidence_is_the_largest_durable_through_behind_the_damage(void **state)
{
    (void)state;
    disk_fill(10);
    disk.bytes[offsets[4] + 80] ^= 1;
    struct outcome o = read_until(disk.size);
    assert_int_equal(o.offset, offsets[4]);
    struct reader_evidence found = evidence_after(&o, NULL, 0);
    assert_int_equal(found.count, 5);
    assert_int_equal(found.offset, offsets[9]);
    assert_int_equal(found.epoch, 7);
    assert_int_equal(found.durable_through.v, found.first.v - 1);
    assert_true(found.durable_through.v > o.at.seqno.v);
}

static void evidence_counts_only_the_epochs_asked_for(void **state)
{
    (void)state;
    static const uint64_t others[] = {5, 6, 8};
    static const uint64_t ours[] = {3, 7};
    disk_fill(10);
    disk.bytes[offsets[4] + 80] ^= 1;
    struct outcome o = read_until(disk.size);
    assert_int_equal(evidence_after(&o, others, COUNT_OF(others)).count, 0);
    assert_int_equal(evidence_after(&o, ours, 0).count, 0);
    assert_int_equal(evidence_after(&o, ours, COUNT_OF(ours)).count, 5);
}

/* The last batch is torn: nothing behind it counts. */
static void evidence_is_none_behind_a_torn_tail(void **state)
{
    (void)state;
    disk_fill(10);
    memset(disk.bytes + offsets[9] + 64, 0, disk.size - offsets[9] - 64);
    struct outcome o = read_until(disk.size);
    assert_int_equal(o.result, READER_STOP);
    struct reader_evidence found = evidence_after(&o, NULL, 0);
    assert_int_equal(found.count, 0);
    assert_int_equal(found.durable_through.v, 0);
}

/* Stale batches of this very log behind its end: lower seqnos, so they say nothing. */
static void evidence_ignores_stale_batches(void **state)
{
    (void)state;
    static struct sample_batch b;
    disk_fill(6);
    struct outcome o = read_until(disk.size);
    struct record noop = {.kind = RECORD_NOOP};
    struct position stale = {.epoch = 7, .seqno = seqno_of(o.at.seqno.v - 3)};
    sample_batch_make(&b, &stale, 7, &noop, 1);
    disk_append(&b);
    assert_int_equal(evidence_after(&o, NULL, 0).count, 0);
    /* Of a lower epoch, though its seqno is beyond. */
    stale.seqno = seqno_of(o.at.seqno.v + 10);
    sample_batch_make(&b, &stale, 6, &noop, 1);
    disk_append(&b);
    assert_int_equal(evidence_after(&o, NULL, 0).count, 0);
    /* So far beyond that the bytes between cannot hold the records. */
    stale.seqno = seqno_of(o.at.seqno.v + 10000);
    sample_batch_make(&b, &stale, 7, &noop, 1);
    disk_append(&b);
    assert_int_equal(evidence_after(&o, NULL, 0).count, 0);
    stale.seqno = seqno_of(o.at.seqno.v + 10);
    sample_batch_make(&b, &stale, 7, &noop, 1);
    disk_append(&b);
    assert_int_equal(evidence_after(&o, NULL, 0).count, 1);
}

/* A later batch whose own payload is damaged is no evidence. */
static void evidence_needs_whole_batches(void **state)
{
    (void)state;
    disk_fill(3);
    disk.bytes[offsets[1]] ^= 1;
    struct outcome o = read_until(disk.size);
    disk.bytes[offsets[2] + BATCH_HEADER_SIZE + 1] ^= 1;
    assert_int_equal(evidence_after(&o, NULL, 0).count, 0);
}

static void evidence_search_passes_a_failing_source_through(void **state)
{
    (void)state;
    disk_fill(10);
    disk.bytes[offsets[4]] ^= 1;
    struct outcome o = read_until(disk.size);
    struct reader_input input = input_from(&o.at, o.offset, disk.size);
    struct reader_evidence found;
    disk.failing_from = offsets[7];
    assert_int_equal(reader_find_evidence(&input, NULL, 0, &found, NULL), E_IO);
}

/* A hundred thousand damaged files: read or refused, never a crash, never more than was written. */
static void mutated_files_never_crash(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("mutated_files_never_crash", 4));
    disk_fill(6);
    for (int i = 0; i < 100000; i++) {
        uint8_t saved[4];
        size_t at = random_below(&r, disk.size - sizeof(saved));
        memcpy(saved, disk.bytes + at, sizeof(saved));
        uint32_t junk = (uint32_t)random_next(&r);
        memcpy(disk.bytes + at, &junk, 1 + random_below(&r, sizeof(saved)));
        bool is_changed = memcmp(saved, disk.bytes + at, sizeof(saved)) != 0;
        struct outcome o = read_until(disk.size);
        assert_int_equal(o.result, is_changed ? READER_STOP : READER_END);
        if (i % 8 == 0) (void)evidence_after(&o, NULL, 0);
        memcpy(disk.bytes + at, saved, sizeof(saved));
    }
}

static int window_make(void **state)
{
    (void)state;
    window = malloc(READER_BUFFER_SIZE_MIN);
    return window == NULL;
}

static int window_free(void **state)
{
    (void)state;
    free(window);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reader_gives_every_batch_and_ends),
        cmocka_unit_test(reader_gives_the_bytes_that_were_written),
        cmocka_unit_test(reader_goes_on_after_its_limit_was_raised),
        cmocka_unit_test(reader_starts_in_the_middle),
        cmocka_unit_test(reader_stops_short_at_every_truncation),
        cmocka_unit_test(reader_stops_at_any_tail_of_junk),
        cmocka_unit_test(reader_stops_at_zeros_of_any_length),
        cmocka_unit_test(reader_tells_a_short_zero_tail_from_a_started_header),
        cmocka_unit_test(every_single_bit_flip_is_detected),
        cmocka_unit_test(reader_names_what_is_damaged),
        cmocka_unit_test(reader_stops_at_a_stale_header_with_wrong_seqno),
        cmocka_unit_test(reader_stops_at_another_history_epoch_key_or_stream),
        cmocka_unit_test(reader_stops_at_a_newer_version),
        cmocka_unit_test(reader_checks_records_unless_told_not_to),
        cmocka_unit_test(reader_passes_a_failing_source_through),
        cmocka_unit_test(reader_reads_in_large_pieces),
        cmocka_unit_test(reader_takes_the_largest_batch),
        cmocka_unit_test(evidence_is_the_largest_durable_through_behind_the_damage),
        cmocka_unit_test(evidence_counts_only_the_epochs_asked_for),
        cmocka_unit_test(evidence_is_none_behind_a_torn_tail),
        cmocka_unit_test(evidence_ignores_stale_batches),
        cmocka_unit_test(evidence_needs_whole_batches),
        cmocka_unit_test(evidence_search_passes_a_failing_source_through),
        cmocka_unit_test(mutated_files_never_crash),
    };
    return cmocka_run_group_tests_name("format/reader", tests, window_make, window_free);
}
