/* Tests of format/batch: a header is what it was or it is refused, and a batch extends exactly the
 * position it says. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/crc32c.h"
#include "format/batch.h"
#include "support/samples.h"

static struct sample_batch batch;
static const struct position START = {.epoch = 7, .seqno = {41}, .chain = {{9, 8, 7}}};

static void make_signals(uint32_t count)
{
    struct sample_memory memory;
    struct record records[8];
    assert_true(count <= COUNT_OF(records));
    for (uint32_t i = 0; i < count; i++) {
        sample_record(RECORD_SIGNAL, &memory, &records[i]);
    }
    sample_batch_make(&batch, &START, 7, records, count);
}

static struct slice whole(void)
{
    return slice_of(batch.bytes, batch.size);
}

static enum code verify(struct slice bytes, struct err *e)
{
    struct log_identity id = sample_log();
    struct batch_header header;
    struct hash256 chain;
    return batch_verify_next(bytes, &id, &START, &header, &chain, e);
}

/* Change the header and seal it again, as a writer with a bug or a newer one would. */
static void reseal(void)
{
    batch_header_encode(&batch.header, SAMPLE_LOG_KEY, batch.bytes);
}

static void a_header_survives_a_round_trip(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    make_signals(3);
    assert_int_equal(batch_header_decode(batch.bytes, &id, &h), BATCH_OK);
    assert_int_equal(h.record_count, 3);
    assert_int_equal(h.first.v, 42);
    assert_int_equal(batch_last(&h).v, 44);
    assert_int_equal(h.durable_through.v, 41);
    assert_int_equal(h.epoch.number, 7);
    assert_int_equal(hlc_ms(h.leader_time), SAMPLE_TIME_MS);
    assert_int_equal(h.payload_size, batch.size - BATCH_HEADER_SIZE);
    assert_true(hash256_equal(&h.previous_chain, &START.chain));
    assert_true(
        batch_payload_verifies(&h, slice_of(batch.bytes + BATCH_HEADER_SIZE, h.payload_size)));
}

static void a_batch_takes_a_multiple_of_64_bytes_in_a_file(void **state)
{
    (void)state;
    for (uint32_t size = 3; size < 200; size++) {
        struct batch_header h = {.payload_size = size};
        assert_int_equal(batch_file_size(&h) % LOG_ALIGN, 0);
        assert_in_range(batch_file_size(&h), BATCH_HEADER_SIZE + size,
                        BATCH_HEADER_SIZE + size + LOG_ALIGN - 1);
    }
}

static void a_good_batch_extends_its_position(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    struct hash256 chain;
    make_signals(2);
    assert_int_equal(batch_verify_next(whole(), &id, &START, &h, &chain, NULL), OK);
    struct position end = sample_batch_end(&batch);
    assert_true(hash256_equal(&end.chain, &chain));
    assert_false(hash256_equal(&end.chain, &START.chain));
}

/* The chain does not depend on the CRC, hence not on the log key. */
static void the_chain_is_the_same_under_another_log_key(void **state)
{
    (void)state;
    make_signals(1);
    struct hash256 a = batch_chain(batch.bytes);
    batch_header_encode(&batch.header, SAMPLE_LOG_KEY + 1, batch.bytes);
    struct hash256 b = batch_chain(batch.bytes);
    assert_true(hash256_equal(&a, &b));
}

static void every_single_bit_flip_is_detected(void **state)
{
    (void)state;
    make_signals(2);
    for (size_t bit = 0; bit < batch.size * 8; bit++) {
        batch.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(verify(whole(), NULL), OK);
        batch.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    assert_int_equal(verify(whole(), NULL), OK);
}

static void every_truncation_and_extension_is_refused(void **state)
{
    (void)state;
    make_signals(2);
    for (size_t size = 0; size < batch.size; size++) {
        assert_int_not_equal(verify(slice_of(batch.bytes, size), NULL), OK);
    }
    assert_int_equal(verify(slice_of(batch.bytes, batch.size + 1), NULL), E_PROTOCOL);
}

static void another_log_key_is_a_bad_header(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    make_signals(1);
    id.log_key++;
    assert_int_equal(batch_header_decode(batch.bytes, &id, &h), BATCH_BAD_HEADER);
}

static void zeros_and_foreign_bytes_are_no_header(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    uint8_t zeros[BATCH_HEADER_SIZE] = {0};
    assert_int_equal(batch_header_decode(zeros, &id, &h), BATCH_NOT_A_HEADER);
    memset(zeros, 0xff, sizeof(zeros));
    assert_int_equal(batch_header_decode(zeros, &id, &h), BATCH_NOT_A_HEADER);
}

static void another_cluster_or_stream_is_foreign(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    make_signals(1);
    batch.header.cluster.bytes[0] ^= 1;
    reseal();
    assert_int_equal(batch_header_decode(batch.bytes, &id, &h), BATCH_FOREIGN);
    assert_int_equal(verify(whole(), NULL), E_WRONG_CLUSTER);
    make_signals(1);
    batch.header.stream.shard++;
    reseal();
    assert_int_equal(verify(whole(), NULL), E_WRONG_CLUSTER);
}

/* Bytes of a header that this version does not write, sealed with a valid checksum. */
static enum batch_verdict judge_patched(size_t offset, uint8_t value)
{
    struct log_identity id = sample_log();
    struct batch_header h;
    make_signals(1);
    batch.bytes[offset] = value;
    store_u32(batch.bytes + 16, 0);
    store_u32(batch.bytes + 16, crc32c_keyed(SAMPLE_LOG_KEY, batch.bytes, BATCH_HEADER_SIZE));
    return batch_header_decode(batch.bytes, &id, &h);
}

static void unknown_versions_flags_and_codecs_are_newer(void **state)
{
    (void)state;
    struct err e;
    assert_int_equal(judge_patched(8, FORMAT_VERSION), BATCH_OK);
    assert_int_equal(judge_patched(12, 2), BATCH_NEWER);
    assert_int_equal(judge_patched(44, CODEC_LZ4), BATCH_NEWER);
    assert_int_equal(judge_patched(10, 0), BATCH_NEWER);
    assert_int_equal(judge_patched(8, FORMAT_VERSION + 1), BATCH_NEWER);
    assert_int_equal(verify(whole(), &e), E_FORMAT);
    assert_non_null(strstr(e.text, "format version 3"));
}

static void impossible_headers_are_bad_even_with_a_valid_checksum(void **state)
{
    (void)state;
    assert_int_equal(judge_patched(46, 1), BATCH_BAD_HEADER);  /* zero field */
    assert_int_equal(judge_patched(160, 1), BATCH_BAD_HEADER); /* zero room */
    assert_int_equal(judge_patched(191, 1), BATCH_BAD_HEADER);
    assert_int_equal(judge_patched(20, 0), BATCH_BAD_HEADER);   /* no records */
    assert_int_equal(judge_patched(20, 200), BATCH_BAD_HEADER); /* more records than bytes */
    assert_int_equal(judge_patched(75, 1), BATCH_BAD_HEADER);   /* payload beyond the limit */
    assert_int_equal(judge_patched(76, 1), BATCH_BAD_HEADER);   /* raw size without a codec */
    assert_int_equal(judge_patched(88, 42), BATCH_BAD_HEADER);  /* durable through itself */
    assert_int_equal(judge_patched(88, 40), BATCH_OK);
    assert_int_equal(judge_patched(48, 0), BATCH_BAD_HEADER); /* epoch 0 */
    assert_int_equal(judge_patched(71, 0xff), BATCH_OK);      /* seqno near the end, but below */
}

static void a_batch_that_does_not_follow_is_refused(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    struct batch_header h;
    struct hash256 chain;
    struct position before = START;
    make_signals(1);
    before.seqno = seqno_of(42);
    assert_int_equal(batch_verify_next(whole(), &id, &before, &h, &chain, NULL), E_GAP);
    before.seqno = seqno_of(40);
    assert_int_equal(batch_verify_next(whole(), &id, &before, &h, &chain, NULL), E_GAP);
    before = START;
    before.epoch = 8;
    assert_int_equal(batch_verify_next(whole(), &id, &before, &h, &chain, NULL), E_FENCED);
    before.epoch = 6;
    assert_int_equal(batch_verify_next(whole(), &id, &before, &h, &chain, NULL), OK);
    before = START;
    before.chain.bytes[0] ^= 1;
    assert_int_equal(batch_verify_next(whole(), &id, &before, &h, &chain, NULL), E_PROTOCOL);
}

/* Two records of these kinds in one batch: which orders are allowed. */
static void kinds_stand_only_where_they_may(void **state)
{
    (void)state;
    struct sample_memory memory[2];
    struct record records[2];
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        for (uint32_t place = 0; place < 2; place++) {
            enum record_kind kind = SAMPLE_KINDS[i];
            sample_record(kind, &memory[0], &records[place]);
            sample_record(RECORD_NOOP, &memory[1], &records[1 - place]);
            sample_batch_make(&batch, &START, 7, records, 2);
            bool is_allowed =
                !record_kind_is_alone(kind) && (place == 1 || !record_kind_is_last(kind));
            assert_int_equal(verify(whole(), NULL), is_allowed ? OK : E_CORRUPT);
        }
        sample_record(SAMPLE_KINDS[i], &memory[0], &records[0]);
        sample_batch_make(&batch, &START, 7, records, 1);
        assert_int_equal(verify(whole(), NULL), OK);
    }
}

static void an_epoch_start_of_another_epoch_is_refused(void **state)
{
    (void)state;
    struct sample_memory memory;
    struct record record;
    sample_record(RECORD_EPOCH_START, &memory, &record);
    sample_batch_make(&batch, &START, 8, &record, 1);
    assert_int_equal(verify(whole(), NULL), E_CORRUPT);
    record.as.epoch_start.epoch.nonce++;
    sample_batch_make(&batch, &START, 7, &record, 1);
    assert_int_equal(verify(whole(), NULL), E_CORRUPT);
}

static void a_record_count_that_lies_is_refused(void **state)
{
    (void)state;
    make_signals(3);
    batch.header.record_count = 2;
    reseal();
    assert_int_equal(verify(whole(), NULL), E_CORRUPT);
    batch.header.record_count = 4;
    reseal();
    assert_int_equal(verify(whole(), NULL), E_CORRUPT);
    batch.header.record_count = 3;
    reseal();
    assert_int_equal(verify(whole(), NULL), OK);
}

/* The largest payload passes the header's limits, one more does not. */
static void the_largest_payload_passes_and_one_byte_more_does_not(void **state)
{
    (void)state;
    struct log_identity id = sample_log();
    uint8_t bytes[BATCH_HEADER_SIZE];
    struct batch_header h;
    make_signals(1);
    batch.header.payload_size = BATCH_SIZE_MAX - BATCH_HEADER_SIZE;
    batch.header.raw_size = batch.header.payload_size;
    batch.header.record_count = BATCH_RECORDS_MAX;
    batch_header_encode(&batch.header, SAMPLE_LOG_KEY, bytes);
    assert_int_equal(batch_header_decode(bytes, &id, &h), BATCH_OK);
    store_u32(bytes + 72, batch.header.payload_size + 1);
    store_u32(bytes + 76, batch.header.payload_size + 1);
    store_u32(bytes + 16, 0);
    store_u32(bytes + 16, crc32c_keyed(SAMPLE_LOG_KEY, bytes, BATCH_HEADER_SIZE));
    assert_int_equal(batch_header_decode(bytes, &id, &h), BATCH_BAD_HEADER);
    batch_header_encode(&batch.header, SAMPLE_LOG_KEY, bytes);
    store_u32(bytes + 20, BATCH_RECORDS_MAX + 1);
    store_u32(bytes + 16, 0);
    store_u32(bytes + 16, crc32c_keyed(SAMPLE_LOG_KEY, bytes, BATCH_HEADER_SIZE));
    assert_int_equal(batch_header_decode(bytes, &id, &h), BATCH_BAD_HEADER);
}

static void a_run_of_batches_is_split_one_by_one(void **state)
{
    (void)state;
    static uint8_t run[128 * 1024];
    struct log_identity id = sample_log();
    make_signals(1);
    size_t first = batch.size;
    memcpy(run, batch.bytes, first);
    struct position before = sample_batch_end(&batch);
    struct sample_memory memory;
    struct record mark;
    sample_record(RECORD_MARK, &memory, &mark);
    sample_batch_make(&batch, &before, 7, &mark, 1);
    memcpy(run + first, batch.bytes, batch.size);
    struct slice rest = slice_of(run, first + batch.size);
    struct slice one;
    assert_int_equal(batch_split(rest, &id, &one, NULL), OK);
    assert_int_equal(one.size, first);
    rest = slice_of(rest.data + one.size, rest.size - one.size);
    assert_int_equal(batch_split(rest, &id, &one, NULL), OK);
    assert_int_equal(one.size, rest.size);
    rest.size--;
    assert_int_equal(batch_split(rest, &id, &one, NULL), E_CORRUPT);
    rest.size = 0;
    assert_int_equal(batch_split(rest, &id, &one, NULL), E_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_survives_a_round_trip),
        cmocka_unit_test(a_batch_takes_a_multiple_of_64_bytes_in_a_file),
        cmocka_unit_test(a_good_batch_extends_its_position),
        cmocka_unit_test(the_chain_is_the_same_under_another_log_key),
        cmocka_unit_test(every_single_bit_flip_is_detected),
        cmocka_unit_test(every_truncation_and_extension_is_refused),
        cmocka_unit_test(another_log_key_is_a_bad_header),
        cmocka_unit_test(zeros_and_foreign_bytes_are_no_header),
        cmocka_unit_test(another_cluster_or_stream_is_foreign),
        cmocka_unit_test(unknown_versions_flags_and_codecs_are_newer),
        cmocka_unit_test(impossible_headers_are_bad_even_with_a_valid_checksum),
        cmocka_unit_test(a_batch_that_does_not_follow_is_refused),
        cmocka_unit_test(kinds_stand_only_where_they_may),
        cmocka_unit_test(an_epoch_start_of_another_epoch_is_refused),
        cmocka_unit_test(a_record_count_that_lies_is_refused),
        cmocka_unit_test(the_largest_payload_passes_and_one_byte_more_does_not),
        cmocka_unit_test(a_run_of_batches_is_split_one_by_one),
    };
    return cmocka_run_group_tests_name("format/batch", tests, NULL, NULL);
}
