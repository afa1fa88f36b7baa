/* golden: the bytes of this format version, kept as files. Each sample must still encode to the
 * bytes of its file, and the file's bytes must still decode and encode to themselves. A change that
 * fails here changes what is on users' disks or between their nodes: it needs a new version number,
 * and the old files stay and must still read.
 *
 *   format-2/record/<kind>.hex   a whole batch that holds one record of the kind
 *   format-2/file/<name>.hex     the other files of a node
 *   wire-1/<kind>.hex            a frame of each message
 *
 * UPDATE=1 in the environment writes the files instead of comparing. */
#include "support/tm_test.h"

#include "base/bytes.h"
#include "base/hash.h"
#include "format/reader.h"
#include "support/samples.h"

#define ROOM (64 * 1024)
static _Alignas(64) uint8_t made[ROOM]; /* encoded from the sample */
static _Alignas(64) uint8_t kept[ROOM]; /* read from the file */
static _Alignas(64) uint8_t back[ROOM]; /* encoded from what the file decodes to */
static size_t updated;

static const char *golden_path(const char *name)
{
    char relative[256];
    int n = snprintf(relative, sizeof(relative), "tests/golden/%s.hex", name);
    assert_true(n > 0 && (size_t)n < sizeof(relative));
    return tm_source_path(relative);
}

static void golden_write(const char *name, const uint8_t *bytes, size_t size)
{
    FILE *file = fopen(golden_path(name), "w");
    if (file == NULL) fail_msg("cannot write %s", golden_path(name));
    for (size_t i = 0; i < size; i++) {
        fprintf(file, "%02x%s", (unsigned)bytes[i], i % 32 == 31 || i + 1 == size ? "\n" : "");
    }
    assert_int_equal(fclose(file), 0);
    updated++;
}

static size_t golden_read(const char *name)
{
    FILE *file = fopen(golden_path(name), "r");
    if (file == NULL) fail_msg("%s is missing; UPDATE=1 makes it", golden_path(name));
    size_t size = 0;
    unsigned byte = 0;
    while (size < sizeof(kept) && fscanf(file, "%2x", &byte) == 1) {
        kept[size++] = (uint8_t)byte;
    }
    assert_int_equal(fclose(file), 0);
    return size;
}

/* Compare what was made with the file, or write the file. The file's bytes are in kept. */
static size_t golden_compare(const char *name, size_t size)
{
    const char *update = getenv("UPDATE");
    if (update != NULL && strcmp(update, "1") == 0) golden_write(name, made, size);
    size_t kept_size = golden_read(name);
    if (kept_size != size || memcmp(made, kept, size) != 0) {
        print_error("%s: the sample no longer encodes to these bytes\n", name);
    }
    assert_int_equal(size, kept_size);
    assert_memory_equal(made, kept, size);
    return kept_size;
}

static void assert_back_equals_kept(size_t size, size_t kept_size)
{
    assert_int_equal(size, kept_size);
    assert_memory_equal(back, kept, kept_size);
}

static const struct position START = {.epoch = 6, .seqno = {41}, .chain = {{9, 8, 7}}};

static void record_kinds_have_the_bytes_they_always_had(void **state)
{
    (void)state;
    static struct sample_batch b;
    for (size_t i = 0; i < SAMPLE_KIND_COUNT; i++) {
        char name[64];
        struct sample_memory memory;
        struct record record;
        struct log_identity id = sample_log();
        struct batch_header h;
        struct hash256 chain;
        snprintf(name, sizeof(name), "format-2/record/%s", record_kind_name(SAMPLE_KINDS[i]));
        sample_record(SAMPLE_KINDS[i], &memory, &record);
        sample_batch_make(&b, &START, 7, &record, 1);
        memcpy(made, b.bytes, b.size);
        size_t size = golden_compare(name, b.size);

        struct slice whole = slice_of(kept, size);
        assert_int_equal(batch_verify_next(whole, &id, &START, &h, &chain, NULL), OK);
        struct bytes_reader payload =
            bytes_reader_of(slice_of(kept + BATCH_HEADER_SIZE, size - BATCH_HEADER_SIZE));
        assert_int_equal(record_decode(&payload, (int64_t)hlc_ms(h.leader_time), &record, NULL),
                         OK);
        sample_batch_make(&b, &START, 7, &record, 1);
        memcpy(back, b.bytes, b.size);
        assert_back_equals_kept(b.size, size);
    }
}

static void messages_have_the_bytes_they_always_had(void **state)
{
    (void)state;
    for (size_t i = 0; i < SAMPLE_MESSAGE_COUNT; i++) {
        char name[64];
        struct sample_memory memory;
        static struct wire_message m;
        struct wire_header h;
        snprintf(name, sizeof(name), "wire-1/%s", wire_kind_name((uint16_t)SAMPLE_MESSAGES[i]));
        sample_message(SAMPLE_MESSAGES[i], &memory, &m);
        size_t size = golden_compare(name, wire_encode(&m, made, sizeof(made)));

        struct slice body = slice_of(kept + WIRE_HEADER_SIZE, size - WIRE_HEADER_SIZE);
        assert_int_equal(wire_header_decode(kept, FRAME_SIZE_MAX, &h, NULL), OK);
        assert_true(wire_body_verifies(&h, body));
        assert_int_equal(wire_decode(&h, body, &m, NULL), OK);
        assert_back_equals_kept(wire_encode(&m, back, sizeof(back)), size);
    }
}

static void identity_and_mark_have_the_bytes_they_always_had(void **state)
{
    (void)state;
    static struct identity id;
    sample_identity(&id);
    static uint8_t file[IDENTITY_FILE_SIZE_MAX];
    size_t size = identity_encode(&id, file);
    assert_true(size <= sizeof(made));
    memcpy(made, file, size);
    size = golden_compare("format-2/file/identity", size);
    assert_int_equal(identity_decode(slice_of(kept, size), &id, NULL), OK);
    size_t again = identity_encode(&id, file);
    memcpy(back, file, again);
    assert_back_equals_kept(again, size);

    struct mark m = sample_mark();
    mark_encode(&m, SAMPLE_LOG_KEY, made);
    m.version++;
    mark_encode(&m, SAMPLE_LOG_KEY, made + MARK_SLOT_SIZE);
    size = golden_compare("format-2/file/mark", MARK_FILE_SIZE);
    assert_true(mark_decode(slice_of(kept, size), SAMPLE_LOG_KEY, &m));
    mark_encode(&m, SAMPLE_LOG_KEY, back + MARK_SLOT_SIZE);
    m.version--;
    mark_encode(&m, SAMPLE_LOG_KEY, back);
    assert_back_equals_kept(MARK_FILE_SIZE, size);
}

static void *take(void *context, size_t size)
{
    (void)context;
    return calloc(1, size);
}

static void checkpoints_have_the_bytes_they_always_had(void **state)
{
    (void)state;
    struct manifest m = sample_manifest();
    manifest_encode(&m, made);
    size_t size = golden_compare("format-2/file/manifest", manifest_size(&m));
    assert_int_equal(manifest_decode(slice_of(kept, size), take, NULL, &m, NULL), OK);
    manifest_encode(&m, back);
    assert_back_equals_kept(manifest_size(&m), size);
    free((void *)(uintptr_t)m.epochs);
    free((void *)(uintptr_t)m.blocks);
    free((void *)(uintptr_t)m.places);

    struct id128 cluster = sample_id(0x10);
    pack_header_encode(&cluster, 0x123, made);
    (void)golden_compare("format-2/file/pack-header", PACK_HEADER_SIZE);
    assert_int_equal(pack_header_decode(kept, &cluster, 0x123, NULL), OK);
}

static void the_slot_catalogue_has_the_bytes_it_always_had(void **state)
{
    (void)state;
    static struct slot_record slots[SLOTS_MAX];
    uint32_t count = 0;
    slots[0] = sample_slot(1);
    slots[1] = sample_slot(12);
    size_t size = slotfile_encode(slots, 2, made);
    size = golden_compare("format-2/file/slotfile", size);
    assert_int_equal(slotfile_decode(slice_of(kept, size), slots, &count, NULL), OK);
    assert_back_equals_kept(slotfile_encode(slots, count, back), size);
}

/* A sealed log of three batches as one file in memory. Returns its size. */
static size_t segment_make(void)
{
    static struct sample_batch b;
    static const enum record_kind kinds[] = {RECORD_EPOCH_START, RECORD_SIGNAL, RECORD_MARK};
    static struct hash256 chunk;
    struct segment_header h = sample_segment_header();
    struct position at = START;
    size_t size = SEGMENT_HEADER_SIZE;
    uint64_t payload_bytes = 0;
    memset(made, 0, sizeof(made));
    h.chain_at_start = START.chain;
    segment_header_encode(&h, made);
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        struct sample_memory memory;
        struct record record;
        sample_record(kinds[i], &memory, &record);
        sample_batch_make(&b, &at, 7, &record, 1);
        memcpy(made + size, b.bytes, b.size);
        size += batch_file_size(&b.header);
        payload_bytes += b.header.raw_size;
        at = sample_batch_end(&b);
    }
    chunk = hash256_of(slice_of(made, size));
    const struct seek_entry seek = {.first_seqno = 42, .offset = SEGMENT_HEADER_SIZE};
    struct segment_footer f = {
        .first = h.first,
        .last = at.seqno,
        .batch_count = COUNT_OF(kinds),
        .last_epoch = at.epoch,
        .chain_at_end = at.chain,
        .data_end = size,
        .payload_bytes = payload_bytes,
        .seek_count = 1,
        .chunk_count = 1,
        .seeks = &seek,
        .chunks = &chunk,
    };
    segment_footer_encode(&f, SAMPLE_LOG_KEY, made + size);
    return size + segment_footer_size(1, 1);
}

static enum code kept_read(void *context, uint64_t offset, void *out, size_t size, size_t *out_read,
                           struct err *e)
{
    (void)e;
    size_t kept_size = *(size_t *)context;
    *out_read = size < kept_size - offset ? size : kept_size - (size_t)offset;
    memcpy(out, kept + offset, *out_read);
    return OK;
}

static void a_sealed_segment_has_the_bytes_it_always_had(void **state)
{
    (void)state;
    size_t size = golden_compare("format-2/file/segment", segment_make());
    struct segment_header h;
    struct segment_footer f;
    uint64_t offset = 0;
    uint32_t footer_size = 0;
    assert_int_equal(segment_header_decode(kept, &h), SEGMENT_OK);
    assert_true(segment_trailer_decode(kept + size - SEGMENT_TRAILER_SIZE, h.log_key, size, &offset,
                                       &footer_size));
    assert_int_equal(
        segment_footer_decode(slice_of(kept + offset, footer_size), h.log_key, &f, NULL), OK);
    segment_header_encode(&h, back);
    assert_memory_equal(back, kept, SEGMENT_HEADER_SIZE);
    segment_footer_encode(&f, h.log_key, back);
    assert_memory_equal(back, kept + offset, footer_size);

    void *window = malloc(READER_BUFFER_SIZE_MIN);
    struct reader_input input = {.source = kept_read,
                                 .context = &size,
                                 .id = sample_log(),
                                 .start = START,
                                 .offset = SEGMENT_HEADER_SIZE,
                                 .limit = offset,
                                 .buffer = window,
                                 .buffer_size = READER_BUFFER_SIZE_MIN};
    struct reader r;
    struct reader_batch batch;
    enum reader_stop stop;
    uint64_t batches = 0;
    reader_init(&r, &input);
    while (reader_next(&r, &batch, &stop, NULL) == READER_BATCH) {
        batches++;
    }
    free(window);
    assert_int_equal(batches, f.batch_count);
    assert_int_equal(r.at.seqno.v, f.last.v);
    assert_true(hash256_equal(&r.at.chain, &f.chain_at_end));
}

/* A run that wrote files compared nothing: say so. */
static int report(void **state)
{
    (void)state;
    if (updated > 0) print_message("%zu golden files written: look at the difference\n", updated);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_kinds_have_the_bytes_they_always_had),
        cmocka_unit_test(messages_have_the_bytes_they_always_had),
        cmocka_unit_test(identity_and_mark_have_the_bytes_they_always_had),
        cmocka_unit_test(checkpoints_have_the_bytes_they_always_had),
        cmocka_unit_test(the_slot_catalogue_has_the_bytes_it_always_had),
        cmocka_unit_test(a_sealed_segment_has_the_bytes_it_always_had),
    };
    return cmocka_run_group_tests_name("golden/format", tests, NULL, report);
}
