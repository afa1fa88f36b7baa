/* Tests of format/sealed: the envelope of the small files tells damage, newer versions and short
 * files apart, in this order. */
#include "support/tm_test.h"

#include "base/hash.h"
#include "format/sealed.h"
#include "support/samples.h"

#define MAGIC "TIDETEST"
static uint8_t part[256];

static size_t make(void)
{
    struct bytes_writer w = bytes_writer_of(part, sizeof(part));
    sealed_begin(&w, MAGIC);
    bytes_write(&w, "body", 4);
    return sealed_end(&w, part);
}

static enum code open_part(struct slice bytes, struct bytes_reader *out_body, struct err *e)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    return sealed_open(&r, MAGIC, "a thing", out_body, e);
}

static bool opens(struct slice bytes)
{
    struct bytes_reader body;
    return open_part(bytes, &body, NULL) == OK;
}

static void a_part_gives_back_its_body_and_what_follows_it(void **state)
{
    (void)state;
    size_t size = make();
    assert_int_equal(size, SEALED_SIZE_MIN + 4);
    struct bytes_reader body;
    struct bytes_reader r = bytes_reader_of(slice_of(part, size + 5));
    assert_int_equal(sealed_open(&r, MAGIC, "a thing", &body, NULL), OK);
    assert_int_equal(bytes_left(&body), 4);
    assert_memory_equal(body.at, "body", 4);
    assert_int_equal(bytes_left(&r), 5);
}

static void every_flipped_bit_and_every_length_is_refused(void **state)
{
    (void)state;
    size_t size = make();
    assert_true(opens(slice_of(part, size)));
    assert_int_equal(sample_damage_accepted(part, size, opens), 0);
}

static void a_size_beyond_the_bytes_is_never_followed(void **state)
{
    (void)state;
    size_t size = make();
    struct bytes_reader body;
    struct err e;
    memset(part + 12, 0xff, 4);
    assert_int_equal(open_part(slice_of(part, size), &body, &e), E_CORRUPT);
    assert_string_equal(e.text, "a thing says that it has 4294967295 bytes, 52 are there");
    memset(part + 12, 0, 4);
    assert_int_equal(open_part(slice_of(part, size), &body, &e), E_CORRUPT);
}

static void a_newer_version_is_told_only_when_the_checksum_holds(void **state)
{
    (void)state;
    size_t size = make();
    struct bytes_reader body;
    struct err e;
    part[8] = 77;
    assert_int_equal(open_part(slice_of(part, size), &body, &e), E_CORRUPT);
    struct hash256 hash = hash256_of(slice_of(part, size - 32));
    memcpy(part + size - 32, hash.bytes, 32);
    assert_int_equal(open_part(slice_of(part, size), &body, &e), E_FORMAT);
    assert_string_equal(e.text, "a thing is of format version 77, this program reads version 2");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_part_gives_back_its_body_and_what_follows_it),
        cmocka_unit_test(every_flipped_bit_and_every_length_is_refused),
        cmocka_unit_test(a_size_beyond_the_bytes_is_never_followed),
        cmocka_unit_test(a_newer_version_is_told_only_when_the_checksum_holds),
    };
    return cmocka_run_group_tests_name("format/sealed", tests, NULL, NULL);
}
