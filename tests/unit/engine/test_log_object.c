/* Objects: names, whole files, a list that tells damage from absence, and finding what comes next.
 * The batches are made here: one noop record each, chained. */
#include "engine/log_object.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "format/record.h"
#include "support/node.h"

static char *dir;
static struct env *env;
static const struct log_identity log_id = {
    .cluster = {{1, 2, 3}}, .stream = {.region = 2, .shard = 5}, .log_key = 77};

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make("objects");
    struct env_uv_options options = {.size = sizeof(options), .dir = dir};
    struct err e;
    if (env_uv_open(&options, &env, &e) != OK) fail_msg("%s", e.text);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    env_uv_close(env);
    tm_dir_remove(dir);
    return 0;
}

/* The next batch after *at, `size` records of no meaning; the salt makes another history. */
static size_t make_batch(struct position *at, uint32_t records, uint8_t salt,
                         struct batch_header *out, uint8_t bytes[4096])
{
    size_t payload_size = (size_t)records * 16 + salt;
    memset(bytes + BATCH_HEADER_SIZE, salt, payload_size);
    *out = (struct batch_header){
        .record_count = records,
        .cluster = log_id.cluster,
        .stream = log_id.stream,
        .epoch = {.number = 3, .nonce = 9},
        .first = seqno_next(at->seqno),
        .payload_size = (uint32_t)payload_size,
        .raw_size = (uint32_t)payload_size,
        .previous_chain = at->chain,
        .payload_hash = hash256_of(slice_of(bytes + BATCH_HEADER_SIZE, payload_size)),
    };
    batch_header_encode(out, log_id.log_key, bytes);
    *at = (struct position){.epoch = 3, .seqno = batch_last(out), .chain = batch_chain(bytes)};
    return BATCH_HEADER_SIZE + payload_size;
}

/* An object of so many batches of ten records from *at on; *at moves. */
static void write_object_of(struct position *at, uint32_t batches, uint8_t salt)
{
    struct object_builder b = {0};
    struct err e = {.code = OK};
    object_builder_reset(&b, &log_id, at);
    for (uint32_t i = 0; i < batches; i++) {
        uint8_t bytes[4096];
        struct batch_header h;
        size_t size = make_batch(at, 10, salt, &h, bytes);
        if (object_builder_add(&b, &h, slice_of(bytes, size), at, &e) != OK) fail_msg("%s", e.text);
    }
    if (object_builder_write(&b, env, &e) != OK) fail_msg("%s", e.text);
    object_builder_free(&b);
}

static void look(struct object_index *index, enum code expected)
{
    struct err e = {.code = OK};
    assert_int_equal(object_index_look(index, env, &e), expected);
}

static void names_say_stream_record_and_chain_and_nothing_else_is_a_name(void **state)
{
    (void)state;
    struct object_name name = {.stream = {.region = 65535, .shard = 7},
                               .first = {UINT64_MAX},
                               .chain4 = {0x9f, 0, 1, 255}};
    struct object_name back;
    char text[OBJECT_NAME_SIZE];
    object_name_format(&name, text);
    assert_string_equal(text, "r65535-s7-18446744073709551615-9f0001ff.log");
    assert_true(object_name_parse(slice_of_text(text), &back));
    assert_memory_equal(back.chain4, name.chain4, 4);
    assert_int_equal(back.first.v, UINT64_MAX);
    static const char *const others[] = {
        "",
        "lock",
        "r0-s0-00000000000000000000-9f0001ff.log", /* there is no record 0 */
        "r0-s0-1-9f0001ff.log",
        "r0-s0-00000000000000000001-9F0001FF.log",
        "r0-s0-00000000000000000001-9f0001ff.log.tmp",
        "r0-s0-00000000000000000001-9f0001f.log",
        "r00-s0-00000000000000000001-9f0001ff.log",
        "r65536-s0-00000000000000000001-9f0001ff.log",
        "s0-r0-00000000000000000001-9f0001ff.log",
        "r0-s0-18446744073709551616-9f0001ff.log",
    };
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        if (object_name_parse(slice_of_text(others[i]), &back)) fail_msg("%s", others[i]);
    }
}

static void an_object_is_read_back_batch_by_batch(void **state)
{
    (void)state;
    struct position at = {0};
    struct object_index index = {0};
    struct object o;
    struct err e = {.code = OK};
    write_object_of(&at, 500, 40); /* more than one chunk */
    look(&index, OK);
    assert_int_equal(index.count, 1);
    const struct object_entry *entry = &index.entries[0];
    assert_true(position_equal(&entry->end, &at));
    assert_int_equal(entry->id.log_key, 77);
    assert_int_equal(object_load(env, entry, &o, &e), OK);
    uint64_t batches = 0;
    for (;;) {
        struct slice batch;
        bool is_end = false;
        assert_int_equal(object_next(&o, &batch, &is_end, &e), OK);
        if (is_end) break;
        batches++;
    }
    assert_int_equal(batches, 500);
    assert_true(position_equal(&o.at, &at));
    object_free(&o);
    object_index_free(&index);
}

/* Every 97th byte of the file: the list or the load notices. */
static void a_changed_bit_anywhere_is_noticed(void **state)
{
    (void)state;
    struct position at = {0};
    struct object_index first = {0};
    size_t size = 0;
    write_object_of(&at, 60, 1);
    look(&first, OK);
    char name[OBJECT_NAME_SIZE];
    memcpy(name, first.entries[0].name, sizeof(name));
    free(file_read(dir, name, &size));
    for (size_t offset = 0; offset < size; offset += 97) {
        struct object_index index = {0};
        struct object o;
        struct err e = {.code = OK};
        file_flip(dir, name, offset, 1);
        look(&index, OK);
        if (index.count > 0) {
            assert_int_equal(object_load(env, &index.entries[0], &o, &e), E_CORRUPT);
            assert_non_null(strstr(e.text, name));
        } else {
            assert_string_equal(index.damaged, name);
        }
        file_flip(dir, name, offset, 1);
        object_index_free(&index);
    }
    object_index_free(&first);
}

/* As a copy that is under way looks; once it is whole it is found. */
static void a_half_copied_object_is_tried_again(void **state)
{
    (void)state;
    struct position at = {0};
    struct object_index index = {0};
    size_t size = 0;
    write_object_of(&at, 20, 1);
    look(&index, OK);
    char name[OBJECT_NAME_SIZE];
    memcpy(name, index.entries[0].name, sizeof(name));
    object_index_free(&index);
    uint8_t *whole = file_read(dir, name, &size);
    for (size_t cut = 0; cut < size; cut += 101) {
        file_write(dir, name, whole, cut);
        look(&index, OK);
        assert_int_equal(index.count, 0);
        assert_string_equal(index.damaged, name);
    }
    file_write(dir, name, whole, size);
    look(&index, OK);
    assert_int_equal(index.count, 1);
    assert_string_equal(index.damaged, "");
    look(&index, OK); /* and is not counted twice */
    assert_int_equal(index.count, 1);
    free(whole);
    object_index_free(&index);
}

static void what_comes_next_is_found_whatever_the_cuts_are(void **state)
{
    (void)state;
    struct position at = {0};
    struct position inside = {0};
    struct object_index index = {0};
    struct object o;
    struct err e = {.code = OK};
    uint64_t bytes = 0;
    write_object_of(&at, 5, 1); /* 1..50 */
    struct position fifty = at;
    write_object_of(&at, 5, 1);     /* 51..100 */
    write_object_of(&inside, 7, 1); /* 1..70, cut elsewhere by another exporter */
    look(&index, OK);
    assert_int_equal(index.count, 3);
    assert_int_equal(object_find(env, &index, &inside, &o, &e), OK);
    assert_int_equal(o.header.first.v, 51);
    assert_true(position_equal(&o.at, &inside));
    object_free(&o);
    assert_int_equal(object_find(env, &index, &fifty, &o, &e), OK);
    object_free(&o);
    struct position start = {0};
    struct position end = object_row_end(&index, &start, &bytes);
    assert_true(position_equal(&end, &at));
    assert_int_equal(object_find(env, &index, &at, &o, &e), E_NOTFOUND);
    inside.seqno.v = 65; /* no batch ends there */
    assert_int_equal(object_find(env, &index, &inside, &o, &e), E_DIVERGED);
    object_index_free(&index);
}

static void a_hole_is_told_with_its_records(void **state)
{
    (void)state;
    struct position at = {0};
    struct object_index index = {0};
    struct object o;
    struct err e = {.code = OK};
    struct object_name name = {.stream = log_id.stream, .first = {51}};
    char text[OBJECT_NAME_SIZE];
    write_object_of(&at, 5, 1);
    struct position fifty = at;
    write_object_of(&at, 5, 1);
    memcpy(name.chain4, at.chain.bytes, sizeof(name.chain4));
    write_object_of(&at, 5, 1);
    object_name_format(&name, text);
    file_remove(dir, text);
    look(&index, OK);
    assert_int_equal(object_find(env, &index, &fifty, &o, &e), E_NOT_KEPT);
    assert_non_null(strstr(e.text, "records 51 to 100 are missing"));
    object_index_free(&index);
}

static void another_history_is_told_from_a_hole(void **state)
{
    (void)state;
    struct position at = {0};
    struct position other = {0};
    struct object_index index = {0};
    struct object o;
    struct err e = {.code = OK};
    write_object_of(&at, 5, 1);
    write_object_of(&at, 5, 1);
    for (int i = 0; i < 5; i++) {
        uint8_t bytes[4096];
        struct batch_header h;
        (void)make_batch(&other, 10, 2, &h, bytes);
    }
    look(&index, OK);
    assert_int_equal(object_find(env, &index, &other, &o, &e), E_DIVERGED);
    object_index_free(&index);
}

static void objects_of_two_logs_in_one_place_are_refused(void **state)
{
    (void)state;
    struct position at = {0};
    struct object_index index = {0};
    struct object_builder b = {0};
    struct err e = {.code = OK};
    struct log_identity foreign = log_id;
    uint8_t bytes[4096];
    struct batch_header h;
    write_object_of(&at, 5, 1);
    foreign.cluster.bytes[0] = 99;
    at = (struct position){0};
    size_t size = make_batch(&at, 10, 3, &h, bytes);
    struct position nothing = {0};
    object_builder_reset(&b, &foreign, &nothing);
    assert_int_equal(object_builder_add(&b, &h, slice_of(bytes, size), &at, &e), OK);
    assert_int_equal(object_builder_write(&b, env, &e), OK);
    object_builder_free(&b);
    look(&index, E_WRONG_CLUSTER);
    object_index_free(&index);
}

int main(void)
{
#define CASE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(names_say_stream_record_and_chain_and_nothing_else_is_a_name),
        CASE(an_object_is_read_back_batch_by_batch),
        CASE(a_changed_bit_anywhere_is_noticed),
        CASE(a_half_copied_object_is_tried_again),
        CASE(what_comes_next_is_found_whatever_the_cuts_are),
        CASE(a_hole_is_told_with_its_records),
        CASE(another_history_is_told_from_a_hole),
        CASE(objects_of_two_logs_in_one_place_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
