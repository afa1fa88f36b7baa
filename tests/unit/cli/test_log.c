/* Tests of cli/log_dir and cli/log_verify on a data directory made by hand: a sealed segment, an
 * unsealed one with zeros behind it, a spare, a checkpoint with its pack, identity and mark. Every
 * flipped byte is found and named; what a crash leaves is none.
 */
#include "support/tm_test.h"

#include "base/hash.h"
#include "cli/log_verify.h"
#include "support/samples.h"

#include <sys/stat.h>
#include <unistd.h>

#define BATCHES      6 /* per segment */
#define FILE_SIZE    65536
#define SEALED_NAME  "log/0000000000000001.seg"
#define OPEN_NAME    "log/0000000000000002.seg"
#define PACK_NAME_OF "state/0000000000000001.pack"

struct world {
    char *path;
    struct log_identity id;
    struct position end;
    uint64_t sealed_size;
    uint64_t open_data_end;     /* where zeros start in the open segment */
    uint64_t last_batch_offset; /* of the open segment's last batch */
    struct log_report report;
    struct log_damage damage;
    struct err err;
};

static struct log_dir dir;
static struct identity identity;
static _Alignas(64) uint8_t file_bytes[2 * FILE_SIZE];

static void path_of(const struct world *w, const char *name, char out[HOST_PATH_SIZE])
{
    (void)snprintf(out, HOST_PATH_SIZE, "%s/%s", w->path, name);
}

static void write_file(const struct world *w, const char *name, const void *bytes, size_t size)
{
    char path[HOST_PATH_SIZE];
    path_of(w, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Change one byte; returns the old one. */
static uint8_t poke(const struct world *w, const char *name, uint64_t offset, uint8_t change)
{
    char path[HOST_PATH_SIZE];
    path_of(w, name, path);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    int old = fgetc(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_true(fputc(old ^ change, file) != EOF);
    assert_int_equal(fclose(file), 0);
    return (uint8_t)old;
}

static enum code verify(struct world *w)
{
    enum code code = log_dir_open(w->path, &dir, &w->err);
    if (code == OK) code = log_verify(&dir, &w->report, &w->damage, &w->err);
    log_dir_close(&dir);
    return code;
}

/* --- making it --- */

/* One batch of two signals behind `end`, at `offset` of file_bytes; returns the next offset. */
static size_t add_batch(struct world *w, size_t offset, struct segment_footer *footer)
{
    static struct sample_batch batch;
    static struct sample_memory memory;
    struct record records[2];
    sample_record(RECORD_SIGNAL, &memory, &records[0]);
    records[1] = records[0];
    sample_batch_make(&batch, &w->end, 1, records, 2);
    memcpy(file_bytes + offset, batch.bytes, batch.size);
    w->end = sample_batch_end(&batch);
    w->last_batch_offset = offset;
    footer->payload_bytes += batch.header.payload_size;
    footer->batch_count++;
    footer->last = w->end.seqno;
    footer->last_epoch = w->end.epoch;
    footer->chain_at_end = w->end.chain;
    return (size_t)align_up(offset + batch.size, LOG_ALIGN);
}

/* Header and batches of a segment in file_bytes; returns where the data ends. */
static size_t make_segment(struct world *w, uint64_t file_id, struct segment_footer *footer)
{
    memset(file_bytes, 0, sizeof(file_bytes));
    struct segment_header header = sample_segment_header();
    header.cluster = w->id.cluster;
    header.stream = w->id.stream;
    header.log_key = w->id.log_key;
    header.first = seqno_next(w->end.seqno);
    header.chain_at_start = w->end.chain;
    header.file_id = file_id;
    segment_header_encode(&header, file_bytes);
    *footer = (struct segment_footer){.first = header.first};
    size_t offset = SEGMENT_HEADER_SIZE;
    for (int i = 0; i < BATCHES; i++) {
        offset = add_batch(w, offset, footer);
    }
    footer->data_end = offset;
    return offset;
}

static void make_sealed(struct world *w)
{
    struct segment_footer footer;
    size_t end = make_segment(w, 1, &footer);
    struct hash256 chunks[4];
    for (size_t at = 0; at < end; at += CHUNK_SIZE) {
        size_t size = end - at < CHUNK_SIZE ? end - at : CHUNK_SIZE;
        chunks[footer.chunk_count++] = hash256_of(slice_of(file_bytes + at, size));
    }
    footer.chunks = chunks;
    segment_footer_encode(&footer, w->id.log_key, file_bytes + end);
    w->sealed_size = end + segment_footer_size(0, footer.chunk_count);
    write_file(w, SEALED_NAME, file_bytes, (size_t)w->sealed_size);
}

static void make_open(struct world *w)
{
    struct segment_footer footer;
    w->open_data_end = make_segment(w, 2, &footer);
    write_file(w, OPEN_NAME, file_bytes, FILE_SIZE);
    memset(file_bytes, 0, FILE_SIZE);
    write_file(w, "log/0000000000000003.seg", file_bytes, FILE_SIZE); /* a spare */
}

static void make_small_files(struct world *w)
{
    static uint8_t bytes[IDENTITY_FILE_SIZE_MAX];
    sample_identity(&identity);
    identity.cluster = w->id.cluster;
    identity.stream = w->id.stream;
    identity.log_key = w->id.log_key;
    identity.generation = 1;
    identity.log_base = (struct position){0};
    identity.first_segment = 1;
    identity.last_segment = 2;
    identity.led_count = 1;
    identity.led[0] = 1;
    size_t size = identity_encode(&identity, bytes);
    write_file(w, "identity.a", bytes, size);
    write_file(w, "identity.b", bytes, size);
    struct mark mark = {.version = 4, .durable = w->end, .segment = 2, .generation = 1};
    memset(bytes, 0, MARK_FILE_SIZE);
    mark_encode(&mark, w->id.log_key, bytes);
    mark.version = 3;
    mark_encode(&mark, w->id.log_key, bytes + MARK_SLOT_SIZE);
    write_file(w, "mark", bytes, MARK_FILE_SIZE);
}

/* A checkpoint at the end of the log with two blocks in one pack. */
static void make_checkpoint(struct world *w)
{
    static uint8_t bytes[8192];
    memset(bytes, 0, sizeof(bytes));
    pack_header_encode(&w->id.cluster, 1, bytes);
    memset(bytes + 64, 0xa5, 1000);
    memset(bytes + 1088, 0x5a, 300);
    write_file(w, PACK_NAME_OF, bytes, 1388);
    struct block_entry blocks[2] = {
        {.id = {BLOCK_META, 0}, .size = 1000, .hash = hash256_of(slice_of(bytes + 64, 1000))},
        {.id = {BLOCK_COLUMN, 7}, .size = 300, .hash = hash256_of(slice_of(bytes + 1088, 300))},
    };
    struct block_place places[2] = {{.pack = 1, .offset = 64}, {.pack = 1, .offset = 1088}};
    struct manifest manifest = sample_manifest();
    manifest.cluster = w->id.cluster;
    manifest.stream = w->id.stream;
    manifest.position = w->end;
    manifest.block_count = 2;
    manifest.blocks = blocks;
    manifest.places = places;
    manifest.generation = 1;
    manifest.root = state_root(blocks, 2);
    assert_true(manifest_size(&manifest) <= sizeof(file_bytes));
    manifest_encode(&manifest, file_bytes);
    char name[CHECKPOINT_NAME_SIZE];
    char path[128];
    manifest_name(manifest.position.seqno, 1, name);
    (void)snprintf(path, sizeof(path), "state/%s", name);
    write_file(w, path, file_bytes, manifest_size(&manifest));
}

static void make(struct world *w, const char *name)
{
    char path[HOST_PATH_SIZE];
    memset(w, 0, sizeof(*w));
    w->path = tm_dir_make(name);
    w->id = sample_log();
    static const char *const folders[] = {"log", "state"};
    for (size_t i = 0; i < COUNT_OF(folders); i++) {
        path_of(w, folders[i], path);
        assert_int_equal(mkdir(path, 0700), 0);
    }
    make_sealed(w);
    make_open(w);
    make_small_files(w);
    make_checkpoint(w);
}

/* --- tests --- */

static void whole_directory_passes(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_whole");
    if (verify(&w) != OK) fail_msg("%s: %s %s", w.damage.file, w.damage.text, w.err.text);
    assert_int_equal(w.report.oldest.v, 1);
    assert_int_equal(w.report.end.seqno.v, 4 * BATCHES);
    assert_int_equal(w.report.batches, 2 * BATCHES);
    assert_int_equal(w.report.spares, 1);
    assert_int_equal(w.report.manifests, 1);
    assert_int_equal(w.report.blocks, 2);
    assert_true(w.report.is_tail_cut);
    tm_dir_remove(w.path);
}

/* Not one byte of a sealed segment can change unseen. */
static void every_flipped_byte_of_a_sealed_segment_is_found(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_flip_sealed");
    for (uint64_t offset = 0; offset < w.sealed_size; offset += 5) {
        (void)poke(&w, SEALED_NAME, offset, 0x40);
        if (verify(&w) != E_CORRUPT) {
            fail_msg("byte %llu: nothing found", (unsigned long long)offset);
        }
        if (strcmp(w.damage.file, SEALED_NAME) != 0) {
            fail_msg("byte %llu: %s blamed", (unsigned long long)offset, w.damage.file);
        }
        (void)poke(&w, SEALED_NAME, offset, 0x40);
    }
    assert_int_equal(verify(&w), OK);
    tm_dir_remove(w.path);
}

/* Below the mark everything was acknowledged, sealed or not. */
static void every_flipped_byte_of_acknowledged_batches_is_found(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_flip_open");
    for (uint64_t offset = SEGMENT_HEADER_SIZE; offset < w.open_data_end; offset += 7) {
        (void)poke(&w, OPEN_NAME, offset, 0x01);
        if (verify(&w) != E_CORRUPT) {
            fail_msg("byte %llu: nothing found", (unsigned long long)offset);
        }
        assert_string_equal(w.damage.file, OPEN_NAME);
        assert_true(w.damage.has_offset && w.damage.offset <= offset);
        assert_true(w.damage.first.v > 2 * BATCHES);
        (void)poke(&w, OPEN_NAME, offset, 0x01);
    }
    tm_dir_remove(w.path);
}

static void every_flipped_byte_of_the_small_files_is_found(void **state)
{
    (void)state;
    static const char *const names[] = {"identity.a", "identity.b", "mark"};
    struct world w;
    make(&w, "log_flip_small");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        char path[HOST_PATH_SIZE];
        struct stat st;
        path_of(&w, names[i], path);
        assert_int_equal(stat(path, &st), 0);
        for (off_t offset = 0; offset < st.st_size; offset += 3) {
            (void)poke(&w, names[i], (uint64_t)offset, 0x10);
            enum code code = verify(&w);
            if (code != E_CORRUPT && code != E_FORMAT) {
                fail_msg("%s byte %lld: nothing found", names[i], (long long)offset);
            }
            (void)poke(&w, names[i], (uint64_t)offset, 0x10);
        }
    }
    tm_dir_remove(w.path);
}

static void flipped_bytes_of_checkpoints_are_found(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_flip_state");
    static const uint64_t offsets[] = {0, 40, 64, 1063, 1088, 1387};
    for (size_t i = 0; i < COUNT_OF(offsets); i++) {
        (void)poke(&w, PACK_NAME_OF, offsets[i], 0x80);
        assert_int_equal(verify(&w), E_CORRUPT);
        assert_string_equal(w.damage.file, PACK_NAME_OF);
        (void)poke(&w, PACK_NAME_OF, offsets[i], 0x80);
    }
    char path[HOST_PATH_SIZE];
    path_of(&w, PACK_NAME_OF, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(&w), E_CORRUPT);
    assert_non_null(strstr(w.damage.text, "missing"));
    tm_dir_remove(w.path);
}

/* Take the last batch of the open segment out of what was acknowledged: the mark goes back to the
 * batch before it, and the checkpoint that describes it goes. */
static void forget_last_batch(struct world *w)
{
    char path[HOST_PATH_SIZE];
    char name[CHECKPOINT_NAME_SIZE];
    uint8_t header[BATCH_HEADER_SIZE];
    uint8_t bytes[MARK_FILE_SIZE] = {0};
    struct batch_header last;
    int fd = -1;
    size_t got = 0;
    path_of(w, OPEN_NAME, path);
    assert_int_equal(host_open(path, &fd, &w->err), OK);
    assert_int_equal(host_pread(fd, w->last_batch_offset, header, sizeof(header), &got, &w->err),
                     OK);
    host_close(fd);
    assert_int_equal(batch_header_decode(header, &w->id, &last), BATCH_OK);
    struct mark mark = {
        .version = 9,
        .segment = 2,
        .generation = 1,
        .durable = {.epoch = 1, .seqno = seqno_of(last.first.v - 1), .chain = last.previous_chain}};
    mark_encode(&mark, w->id.log_key, bytes);
    write_file(w, "mark", bytes, sizeof(bytes));
    manifest_name(w->end.seqno, 1, name);
    (void)snprintf(path, sizeof(path), "%s/state/%s", w->path, name);
    assert_int_equal(unlink(path), 0);
}

/* Behind the mark a write may be cut anywhere: nobody was told that it is there. */
static void torn_tail_behind_the_mark_is_no_damage(void **state)
{
    (void)state;
    struct world w;
    char path[HOST_PATH_SIZE];
    make(&w, "log_torn");
    forget_last_batch(&w);
    path_of(&w, OPEN_NAME, path);
    /* No cut falls into the padding: it never crosses a sector. */
    for (uint64_t kept = w.open_data_end - LOG_ALIGN; kept >= w.last_batch_offset; kept -= 3) {
        assert_int_equal(truncate(path, (off_t)kept), 0); /* the file ends there */
        if (verify(&w) != OK) fail_msg("ends at %llu: %s", (unsigned long long)kept, w.damage.text);
        assert_int_equal(truncate(path, FILE_SIZE), 0); /* or zeros follow */
        if (verify(&w) != OK)
            fail_msg("zeros at %llu: %s", (unsigned long long)kept, w.damage.text);
    }
    tm_dir_remove(w.path);
}

/* A flipped byte in a batch that is all there is no torn write: it may have been acknowledged, and
 * only the newest mark lost. */
static void damage_behind_the_mark_that_is_no_cut_is_told(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_unclear");
    forget_last_batch(&w);
    for (uint64_t offset = w.last_batch_offset; offset < w.open_data_end - LOG_ALIGN; offset += 3) {
        uint8_t old = poke(&w, OPEN_NAME, offset, 0x04);
        enum code code = verify(&w);
        if (code != E_CORRUPT) fail_msg("byte %llu (was %u)", (unsigned long long)offset, old);
        assert_non_null(strstr(w.damage.text, "cannot be told"));
        (void)poke(&w, OPEN_NAME, offset, 0x04);
    }
    tm_dir_remove(w.path);
}

/* The newest segment may lose its header in a crash before anything in it was acknowledged. */
static void header_cut_off_before_use_is_no_damage(void **state)
{
    (void)state;
    struct world w;
    make(&w, "log_headless");
    memset(file_bytes, 0, FILE_SIZE);
    memcpy(file_bytes, "TIDESEG2 cut", 12);
    write_file(&w, "log/0000000000000004.seg", file_bytes, FILE_SIZE);
    assert_int_equal(verify(&w), OK);
    assert_int_equal(w.report.spares, 1);
    tm_dir_remove(w.path);
}

static void missing_segment_is_damage(void **state)
{
    (void)state;
    struct world w;
    char path[HOST_PATH_SIZE];
    make(&w, "log_missing");
    path_of(&w, SEALED_NAME, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(&w), E_CORRUPT);
    assert_non_null(strstr(w.damage.text, "missing"));
    tm_dir_remove(w.path);
    make(&w, "log_missing_last");
    path_of(&w, OPEN_NAME, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(verify(&w), E_CORRUPT);
    tm_dir_remove(w.path);
}

static void other_directories_are_refused_in_words(void **state)
{
    (void)state;
    struct err e;
    char *path = tm_dir_make("log_other");
    assert_int_equal(log_dir_open("/no/such/place", &dir, &e), E_NOTFOUND);
    assert_int_equal(log_dir_open(path, &dir, &e), E_NOTFOUND);
    assert_non_null(strstr(e.text, "serve --dir"));
    tm_dir_remove(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(whole_directory_passes),
        cmocka_unit_test(every_flipped_byte_of_a_sealed_segment_is_found),
        cmocka_unit_test(every_flipped_byte_of_acknowledged_batches_is_found),
        cmocka_unit_test(every_flipped_byte_of_the_small_files_is_found),
        cmocka_unit_test(flipped_bytes_of_checkpoints_are_found),
        cmocka_unit_test(torn_tail_behind_the_mark_is_no_damage),
        cmocka_unit_test(damage_behind_the_mark_that_is_no_cut_is_told),
        cmocka_unit_test(header_cut_off_before_use_is_no_damage),
        cmocka_unit_test(missing_segment_is_damage),
        cmocka_unit_test(other_directories_are_refused_in_words),
    };
    return cmocka_run_group_tests_name("cli/log", tests, NULL, NULL);
}
