/* overlay: keys, producers and types of records that are appended and not applied. */
#include "engine/overlay.h"

#include "base/hash.h"
#include "base/random.h"
#include "support/tm_test.h"

static struct id128 key_of(uint64_t n)
{
    return hash128_of(slice_of(&n, sizeof(n)));
}

static struct overlay made(void)
{
    struct overlay o;
    assert_true(overlay_init(&o));
    return o;
}

static void keys_are_found_until_their_record_is_applied(void **state)
{
    (void)state;
    struct overlay o = made();
    for (uint64_t n = 1; n <= 1000; n++) {
        struct id128 key = key_of(n);
        seqno at;
        assert_false(overlay_find_key(&o, &key, &at));
        assert_true(overlay_add_key(&o, &key, seqno_of(n / 10 + 1)));
        assert_true(overlay_find_key(&o, &key, &at));
        assert_int_equal(at.v, n / 10 + 1);
    }
    overlay_applied(&o, seqno_of(50));
    assert_int_equal(overlay_key_count(&o), 1000 - 499);
    for (uint64_t n = 1; n <= 1000; n++) {
        struct id128 key = key_of(n);
        seqno at;
        assert_int_equal(overlay_find_key(&o, &key, &at), n / 10 + 1 > 50);
    }
    overlay_applied(&o, seqno_of(1000));
    assert_int_equal(overlay_key_count(&o), 0);
    overlay_fini(&o);
}

/* Against a plain list, through growth and wrap-around: adding, taking back, applying. */
static void the_ring_equals_a_list_under_any_order_of_calls(void **state)
{
    (void)state;
    uint64_t seed = tm_seed("overlay", 1);
    struct random random;
    random_init(&random, seed);
    struct overlay o = made();
    enum { MOST = 200000 };
    uint64_t *seqnos = calloc(MOST, sizeof(*seqnos)); /* of key n */
    uint64_t first = 0;
    uint64_t next = 0;
    uint64_t at = 1;
    while (next < MOST - 64) {
        uint64_t choice = random_below(&random, 10);
        if (choice < 7) {
            uint64_t count = random_below(&random, 60);
            at++;
            for (uint64_t i = 0; i < count; i++) {
                struct id128 key = key_of(next);
                assert_true(overlay_add_key(&o, &key, seqno_of(at)));
                seqnos[next++] = at;
            }
        } else if (choice == 7) {
            uint64_t count = random_below(&random, next - first + 1);
            if (count > 40) count = 40;
            overlay_drop_newest_keys(&o, (uint32_t)count);
            next -= count;
        } else {
            uint64_t applied = at - random_below(&random, 3);
            overlay_applied(&o, seqno_of(applied));
            while (first < next && seqnos[first] <= applied)
                first++;
        }
        assert_int_equal(overlay_key_count(&o), next - first);
        for (int probe = 0; probe < 4 && next > 0; probe++) {
            uint64_t n = random_below(&random, next);
            struct id128 key = key_of(n);
            seqno found;
            assert_int_equal(overlay_find_key(&o, &key, &found), n >= first);
            if (n >= first) assert_int_equal(found.v, seqnos[n]);
        }
    }
    free(seqnos);
    overlay_fini(&o);
}

static void a_producer_has_one_entry_with_its_newest_number(void **state)
{
    (void)state;
    struct overlay o = made();
    struct slice a = slice_of_text("a");
    uint8_t long_id[KEY_SIZE_MAX];
    memset(long_id, 'x', sizeof(long_id));
    struct slice b = slice_of(long_id, sizeof(long_id));
    assert_null(overlay_find_producer(&o, a));
    for (uint64_t n = 1; n <= 10; n++) {
        assert_true(overlay_set_producer(&o, a, n, seqno_of(n)));
        assert_int_equal(overlay_find_producer(&o, a)->number, n);
    }
    assert_true(overlay_set_producer(&o, b, 7, seqno_of(20)));
    overlay_applied(&o, seqno_of(9));
    assert_int_equal(overlay_find_producer(&o, a)->number, 10);
    overlay_applied(&o, seqno_of(10));
    assert_null(overlay_find_producer(&o, a));
    assert_int_equal(overlay_find_producer(&o, b)->number, 7);
    overlay_applied(&o, seqno_of(20));
    assert_null(overlay_find_producer(&o, b));
    overlay_fini(&o);
}

static void the_tables_of_producers_and_types_have_an_end(void **state)
{
    (void)state;
    struct overlay o = made();
    for (uint32_t i = 0; i < PENDING_PRODUCERS_MAX; i++) {
        assert_true(overlay_set_producer(&o, slice_of(&i, sizeof(i)), 1, seqno_of(i + 1)));
    }
    uint32_t other = 1000000;
    assert_false(overlay_set_producer(&o, slice_of(&other, sizeof(other)), 1, seqno_of(300)));
    uint32_t known = 5;
    assert_true(overlay_set_producer(&o, slice_of(&known, sizeof(known)), 2, seqno_of(300)));
    overlay_applied(&o, seqno_of(299));
    assert_int_equal(o.producer_count, 1);
    for (uint32_t i = 0; i < PENDING_TYPES_MAX; i++) {
        struct signal_type type = {.id = i + 1};
        assert_true(snprintf(type.name, sizeof(type.name), "t%u", i) > 0);
        assert_true(overlay_add_type(&o, &type, seqno_of(400 + i)));
    }
    struct signal_type type = {.id = 99, .name = "more"};
    assert_false(overlay_add_type(&o, &type, seqno_of(600)));
    seqno at;
    assert_int_equal(overlay_find_type(&o, slice_of_text("t63"), &at)->id, 64);
    assert_int_equal(at.v, 463);
    assert_null(overlay_find_type(&o, slice_of_text("t"), &at));
    overlay_applied(&o, seqno_of(462));
    assert_int_equal(o.type_count, 1);
    assert_non_null(overlay_find_type(&o, slice_of_text("t63"), &at));
    overlay_fini(&o);
}

static void a_field_is_found_until_its_record_is_applied(void **state)
{
    (void)state;
    struct overlay o = made();
    for (uint32_t i = 0; i < FIELDS_MAX; i++) {
        struct schema_field field = {.id = i + 1, .kind = SCHEMA_FIELD_NUM};
        assert_true(snprintf(field.name, sizeof(field.name), "f%u", i) > 0);
        overlay_add_field(&o, &field, seqno_of(100 + i));
    }
    seqno at;
    assert_int_equal(overlay_find_field(&o, slice_of_text("f63"), &at)->id, 64);
    assert_int_equal(at.v, 163);
    assert_null(overlay_find_field(&o, slice_of_text("f"), &at));
    overlay_applied(&o, seqno_of(162));
    assert_int_equal(o.field_count, 1);
    assert_non_null(overlay_find_field(&o, slice_of_text("f63"), &at));
    overlay_applied(&o, seqno_of(163));
    assert_null(overlay_find_field(&o, slice_of_text("f63"), &at));
    overlay_fini(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_found_until_their_record_is_applied),
        cmocka_unit_test(the_ring_equals_a_list_under_any_order_of_calls),
        cmocka_unit_test(a_producer_has_one_entry_with_its_newest_number),
        cmocka_unit_test(the_tables_of_producers_and_types_have_an_end),
        cmocka_unit_test(a_field_is_found_until_its_record_is_applied),
    };
    return cmocka_run_group_tests_name("engine/overlay", tests, NULL, NULL);
}
