/* Tests of core/query/cursor: what is written reads back, and nothing else reads at all. */
#include "support/tm_test.h"

#include "base/random.h"
#include "core/query/cursor.h"

static const struct id128 cluster = {.bytes = {1, 2, 3}};

static uint32_t shown[CURSOR_SHOWN_MAX];
static uint32_t shown_back[CURSOR_SHOWN_MAX];

static struct cursor sample(uint32_t shown_count, const char *key)
{
    return (struct cursor){
        .profile_hash = 0x1122334455667788u,
        .position = {.epoch = 3, .seqno = {42}, .chain4 = {9, 8, 7, 6}},
        .now_ms = 1700000000000,
        .place = {.rank = {.high = -5, .low = UINT64_MAX},
                  .created_ms = -1,
                  .key = slice_of_text(key)},
        .has_shown = shown_count > 0,
        .shown_count = shown_count,
        .shown = shown,
    };
}

static void check_round_trip(const struct cursor *c)
{
    size_t room_size = cursor_text_size_max(c->shown_count);
    char *text = malloc(room_size);
    uint8_t *room = malloc(room_size);
    size_t size = cursor_encode(c, &cluster, text);
    assert_true(size <= room_size);
    for (size_t i = 0; i < size; i++) {
        assert_true(strchr("-_", text[i]) != NULL || (text[i] >= '0' && text[i] <= 'z'));
    }
    struct cursor back;
    struct err e;
    enum code code = cursor_decode(slice_of(text, size), &cluster, room, &back, &e);
    if (code != OK) fail_msg("%s", e.text);
    assert_int_equal(back.profile_hash, c->profile_hash);
    assert_memory_equal(&back.position, &c->position, sizeof(c->position.epoch) + 8);
    assert_memory_equal(back.position.chain4, c->position.chain4, 4);
    assert_int_equal(back.now_ms, c->now_ms);
    assert_int_equal(back.place.rank.high, c->place.rank.high);
    assert_int_equal(back.place.rank.low, c->place.rank.low);
    assert_int_equal(back.place.created_ms, c->place.created_ms);
    assert_true(slice_equal(back.place.key, c->place.key));
    assert_int_equal(back.has_shown, c->has_shown);
    assert_int_equal(back.shown_count, c->shown_count);
    cursor_shown(&back, shown_back);
    assert_memory_equal(shown_back, shown, c->shown_count * sizeof(shown[0]));
    free(room);
    free(text);
}

static void what_is_written_reads_back(void **state)
{
    (void)state;
    struct random r;
    random_init(&r, tm_seed("cursor", 1));
    char key[256] = {0};
    for (uint32_t size = 1; size <= 255; size++) {
        key[size - 1] = 'x';
        struct cursor c = sample(0, key);
        check_round_trip(&c);
    }
    static const uint32_t counts[] = {1, 2, 100, CURSOR_SHOWN_MAX};
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        for (uint32_t spread = 1; spread <= 200000; spread *= 10) {
            uint32_t item = (uint32_t)random_below(&r, 2);
            for (uint32_t k = 0; k < counts[i]; k++) {
                shown[k] = item;
                item += 1 + (uint32_t)random_below(&r, spread);
            }
            struct cursor c = sample(counts[i], key);
            check_round_trip(&c);
        }
    }
}

static void every_changed_character_is_noticed(void **state)
{
    (void)state;
    shown[0] = 0;
    shown[1] = 7;
    struct cursor c = sample(2, "a key");
    char text[1024];
    uint8_t room[1024];
    assert_true(cursor_text_size_max(2) <= sizeof(text));
    size_t size = cursor_encode(&c, &cluster, text);
    struct cursor back;
    struct err e;
    for (size_t i = 0; i < size; i++) {
        char kept = text[i];
        for (int character = 0; character < 256; character++) {
            if ((char)character == kept) continue;
            text[i] = (char)character;
            assert_int_equal(cursor_decode(slice_of(text, size), &cluster, room, &back, &e),
                             E_INVALID);
        }
        text[i] = kept;
        assert_int_equal(cursor_decode(slice_of(text, i), &cluster, room, &back, &e), E_INVALID);
    }
    struct id128 other = {.bytes = {1, 2, 4}};
    assert_int_equal(cursor_decode(slice_of(text, size), &other, room, &back, &e), E_INVALID);
    assert_int_equal(cursor_decode(slice_of_text(""), &cluster, room, &back, &e), E_INVALID);
    assert_int_equal(cursor_decode(slice_of_text("hello"), &cluster, room, &back, &e), E_INVALID);
    assert_int_equal(cursor_decode(slice_of(text, size), &cluster, room, &back, &e), OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_reads_back),
        cmocka_unit_test(every_changed_character_is_noticed),
    };
    return cmocka_run_group_tests_name("core/query/cursor", tests, NULL, NULL);
}
