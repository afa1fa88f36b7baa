/* recover: what opening makes of damaged folders. One folder is made by the engine itself and then
 * spoilt in every way that a crash, a lost write or a rotten disk can; each time either the exact
 * state comes back, or opening is refused with a typed error that names the place, and refusing
 * destroys nothing.
 *
 * Syncs do nothing here (steps_env), so a file holds what was written: what a power cut would have
 * left is made by hand, with the mark of the moment to go with it. */
#include "engine/recover.h"

#include "base/crc32c.h"
#include "base/random.h"
#include "base/text.h"
#include "engine/identity_store.h"
#include "engine/log_open.h"
#include "format/segment.h"
#include "support/node.h"

enum {
    ITEMS = 7,
    SIGNALS = 600,     /* a batch each: two sealed segments and a part of the third */
    FIRST_SIGNAL = 12, /* after epoch start and ten types */
    LAST = FIRST_SIGNAL + SIGNALS - 1,
    BEFORE = LAST - 2, /* where the saved mark stands */
};

static char *base;            /* as a kill leaves it: unsealed, mark at LAST */
static char *base_sealed;     /* closed cleanly */
static char *base_checkpoint; /* with two checkpoints, killed */
static char *dir;             /* of the test at hand */
static uint8_t *mark_before;
static size_t mark_before_size;
static uint64_t end_before; /* file offset in the last segment behind record BEFORE */
static uint64_t end_middle; /* ... LAST - 1 */
static uint64_t end_last;   /* ... LAST */
static char tail_name[96];  /* the unsealed segment of base */

static const char *item_of(uint64_t s)
{
    static const char *const names[ITEMS] = {"a", "b", "c", "d", "e", "f", "g"};
    return names[s % ITEMS];
}

static struct node opened(const char *where)
{
    struct tide_options options = node_options(where);
    struct node n;
    struct err e = {.code = OK};
    if (steps_node_open(&n, &options, &e) != OK) fail_msg("open: %s", e.text);
    return n;
}

static uint64_t tail_offset(const struct node *n)
{
    struct log_figures figures;
    log_figures(n->db->log, &figures);
    uint64_t sealed = 0;
    struct file_names names;
    segments_list(base, &names);
    for (size_t i = 0; i + 1 < names.count; i++) {
        size_t size;
        uint8_t *bytes = file_read(base, names.names[i], &size);
        uint64_t offset;
        uint32_t footer;
        assert_true(segment_trailer_decode(bytes + size - SEGMENT_TRAILER_SIZE,
                                           log_identity_of(n->db->log)->log_key, size, &offset,
                                           &footer));
        sealed += offset;
        free(bytes);
    }
    memcpy(tail_name, names.names[names.count - 1], sizeof(tail_name));
    return figures.bytes - sealed;
}

static int make_bases(void **state)
{
    (void)state;
    base = tm_dir_make_fast("recover-base");
    base_sealed = tm_dir_make_fast("recover-sealed");
    base_checkpoint = tm_dir_make_fast("recover-checkpoint");
    struct node n = opened(base);
    for (uint64_t s = FIRST_SIGNAL; s <= LAST; s++) {
        if (s == BEFORE + 1) {
            mark_before = file_read(base, "mark", &mark_before_size);
            end_before = tail_offset(&n);
        }
        if (s == LAST) end_middle = tail_offset(&n);
        assert_int_equal(steps_node_signal(&n, item_of(s)), TIDE_OK);
    }
    end_last = tail_offset(&n);
    steps_node_abandon(&n);
    struct file_names names;
    segments_list(base, &names);
    assert_int_equal(names.count, 3);

    files_copy(base, base_sealed);
    n = opened(base_sealed);
    steps_node_close(&n);

    n = opened(base_checkpoint);
    for (uint64_t s = FIRST_SIGNAL; s <= LAST; s++) {
        assert_int_equal(steps_node_signal(&n, item_of(s)), TIDE_OK);
        if (s % 200 != 0) continue;
        tide_run *run = tide_run_new();
        assert_int_equal(tide_run_checkpoint(run), 0);
        steps_node_execute(&n, run);
        assert_int_equal(tide_run_result(run, 0)->code, TIDE_OK);
        tide_run_free(run);
    }
    steps_node_abandon(&n);
    return 0;
}

static int drop_bases(void **state)
{
    (void)state;
    free(mark_before);
    tm_dir_remove(base);
    tm_dir_remove(base_sealed);
    tm_dir_remove(base_checkpoint);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    dir = tm_dir_make_fast("recover");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    tm_dir_remove(dir);
    return 0;
}

/* --- what came back --- */

static uint64_t total_of(struct node *n)
{
    uint64_t total = 0;
    for (uint64_t i = 0; i < ITEMS; i++)
        total += steps_node_count(n, item_of(i));
    return total;
}

/* The state is that of exactly the first `signals` signals. */
static void assert_holds(struct node *n, uint64_t signals)
{
    for (uint64_t i = 0; i < ITEMS; i++) {
        uint64_t expected = 0;
        for (uint64_t s = FIRST_SIGNAL; s < FIRST_SIGNAL + signals; s++)
            expected += s % ITEMS == i;
        assert_int_equal(steps_node_count(n, item_of(i)), expected);
    }
}

/* Open dir, expect exactly the records up to `last`, write one more, and find it all again. */
static void assert_opens_with(uint64_t last)
{
    struct node n = opened(dir);
    assert_holds(&n, last - FIRST_SIGNAL + 1);
    assert_int_equal(n.db->condition, DB_SERVING);
    assert_true(n.db->report.position.seqno > last); /* epoch starts */
    assert_int_equal(steps_node_signal(&n, "one more"), TIDE_OK);
    steps_node_abandon(&n);
    n = opened(dir);
    assert_holds(&n, last - FIRST_SIGNAL + 1);
    assert_int_equal(steps_node_count(&n, "one more"), 1);
    steps_node_abandon(&n);
}

static enum code open_code(struct err *e)
{
    struct tide_options options = node_options(dir);
    struct node n;
    *e = (struct err){.code = OK};
    enum code code = steps_node_open(&n, &options, e);
    if (code == OK) steps_node_abandon(&n);
    return code;
}

static void assert_refused(enum code code, const char *word)
{
    struct err e;
    enum code got = open_code(&e);
    if (got != code || strstr(e.text, word) == NULL)
        fail_msg("%s \"%s\", not %s naming %s", code_name(got), e.text, code_name(code), word);
}

/* --- kills and torn tails --- */

static void a_killed_node_comes_back_whole(void **state)
{
    (void)state;
    files_copy(base, dir);
    assert_opens_with(LAST);
    files_copy(base_sealed, dir);
    struct node n = opened(dir);
    assert_holds(&n, SIGNALS);
    steps_node_close(&n);
    n = opened(dir);
    assert_holds(&n, SIGNALS);
    steps_node_abandon(&n);
}

static uint64_t last_within(uint64_t size)
{
    if (size >= end_last) return LAST;
    return size >= end_middle ? LAST - 1 : BEFORE;
}

/* A cut at every byte of the two last batches, which nobody was told about: what is whole stays. */
static void a_tail_torn_at_any_byte_is_cut_back_to_its_last_whole_batch(void **state)
{
    (void)state;
    for (uint64_t size = end_before; size <= end_last; size++) {
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_before_size);
        file_cut(dir, tail_name, size);
        struct node n = opened(dir);
        uint64_t last = last_within(size);
        assert_holds(&n, last - FIRST_SIGNAL + 1);
        uint64_t whole_end = last == LAST ? end_last : last == BEFORE ? end_before : end_middle;
        assert_int_equal(n.db->report.discarded_bytes > 0, size > whole_end);
        steps_node_abandon(&n);
    }
}

/* The same lengths in a file that was filled with zeros beforehand. */
static void a_tail_that_ends_in_zeros_at_any_byte_is_cut_back(void **state)
{
    (void)state;
    for (uint64_t size = end_before; size < end_last; size += 3) {
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_before_size);
        file_zero(dir, tail_name, size, end_last - size + 4096);
        struct node n = opened(dir);
        uint64_t last = total_of(&n) + FIRST_SIGNAL - 1;
        assert_in_range(last, last_within(size), LAST); /* a batch may end in zeros of its own */
        assert_holds(&n, last - FIRST_SIGNAL + 1);
        steps_node_abandon(&n);
    }
}

/* What was acknowledged and is gone is never taken for a torn tail. */
static void a_tail_cut_below_the_mark_is_refused(void **state)
{
    (void)state;
    for (uint64_t size = end_before; size < end_last; size += 7) {
        files_copy(base, dir);
        file_cut(dir, tail_name, size);
        struct err e;
        assert_int_equal(open_code(&e), E_ROTTEN);
        if (strstr(e.text, tail_name) == NULL)
            fail_msg("\"%s\" at %llu", e.text, (unsigned long long)size);
    }
    file_cut(dir, tail_name, SEGMENT_HEADER_SIZE);
    assert_refused(E_ROTTEN, "record");
    files_copy(base, dir);
    file_cut(dir, tail_name, 0);
    assert_refused(E_ROTTEN, "record");
}

static void zeroed_sectors_are_torn_above_the_mark_and_rotten_below(void **state)
{
    (void)state;
    for (uint64_t at = end_before / 512 * 512; at < end_last; at += 512) {
        files_copy(base, dir);
        file_zero(dir, tail_name, at, 512);
        struct err e;
        assert_int_equal(open_code(&e), E_ROTTEN);
        if (at < end_before) continue;
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_before_size);
        file_zero(dir, tail_name, at, 512);
        struct node n = opened(dir);
        assert_holds(&n, last_within(at) - FIRST_SIGNAL + 1);
        steps_node_abandon(&n);
    }
}

/* Without a mark, what later headers say decides; the last batch alone can be lost that way, and
 * that is told where a whole sector is not missing. */
static void without_a_mark_later_headers_are_the_evidence(void **state)
{
    (void)state;
    files_copy(base, dir);
    file_remove(dir, "mark");
    assert_opens_with(LAST);
    for (uint64_t at = end_before - 200; at < end_middle; at += 50) {
        files_copy(base, dir);
        file_remove(dir, "mark");
        file_flip(dir, tail_name, at, 1);
        struct err e;
        enum code code = open_code(&e);
        bool is_evident = at < end_before; /* LAST says that LAST - 1 was durable, and so on */
        if (is_evident) assert_int_equal(code, E_ROTTEN);
    }
    files_copy(base, dir);
    file_remove(dir, "mark");
    file_flip(dir, tail_name, end_middle + 100, 1);
    assert_refused(E_ROTTEN, "cannot be told");
}

/* --- footers --- */

static void a_footer_cut_at_any_byte_is_made_again(void **state)
{
    (void)state;
    struct file_names names;
    segments_list(base_sealed, &names);
    for (size_t which = 0; which < names.count; which++) {
        const char *name = names.names[which];
        size_t size;
        free(file_read(base_sealed, name, &size));
        uint8_t *bytes = file_read(base_sealed, name, &size);
        uint64_t footer = 0;
        while (memcmp(bytes + footer, SEGMENT_FOOTER_MAGIC, 8) != 0)
            footer += 64;
        free(bytes);
        for (uint64_t cut = footer; cut < size; cut += which == 0 ? 3 : 61) {
            files_copy(base_sealed, dir);
            file_cut(dir, name, cut);
            struct node n = opened(dir);
            assert_holds(&n, SIGNALS);
            steps_node_abandon(&n);
        }
        for (uint64_t at = footer; at < size; at += 37) {
            files_copy(base_sealed, dir);
            file_flip(dir, name, at, (uint8_t)(1u << (at & 7)));
            struct node n = opened(dir);
            assert_holds(&n, SIGNALS);
            steps_node_abandon(&n);
        }
    }
}

/* --- crashes of recovery itself --- */

/* Die at every call that changes something, then, where the source of a copy is still there, spoil
 * the copy in the ways that a lost sync can. Opening again always finds everything. */
static void recovery_cut_at_any_step_is_done_again(void **state)
{
    (void)state;
    for (uint64_t nth = 1;; nth++) {
        bool has_failed = false;
        for (int spoil = 0; spoil < 4; spoil++) {
            files_copy(base, dir);
            struct file_names before;
            segments_list(dir, &before);
            struct tide_options options = node_options(dir);
            struct node n = {.env = steps_open(dir)};
            struct steps_fault fault = {
                .nth = nth, .code = E_IO, .is_for_ever = true, .writes_only = true, .tears = true};
            steps_fail(n.env, &fault);
            struct err e = {.code = OK};
            enum code code = steps_node_open_on(&n, &options, &e);
            assert_true(code == OK || code == E_IO || code == E_POISONED);
            has_failed = steps_has_failed(n.env);
            steps_node_abandon(&n);
            struct file_names after;
            files_list(dir, "log", ".seg", &after);
            const char *newest = after.names[after.count - 1];
            size_t size = 0;
            bool is_copy = file_exists(dir, tail_name) && strcmp(newest, tail_name) > 0;
            if (is_copy) free(file_read(dir, newest, &size));
            if (spoil == 1 && is_copy) file_cut(dir, newest, size / 2);
            if (spoil == 2 && is_copy && size > 4096)
                file_zero(dir, newest, size / 3 / 512 * 512, 512);
            if (spoil == 3 && is_copy && size > 4096) file_zero(dir, newest, 0, 512);
            assert_opens_with(LAST);
        }
        if (!has_failed) return;
    }
}

/* --- reading errors --- */

/* EIO is EIO: never a torn tail, never an empty directory; afterwards everything is still there. */
static void a_read_error_anywhere_is_refused_and_harms_nothing(void **state)
{
    (void)state;
    const char *const bases[] = {base, base_sealed, base_checkpoint};
    for (size_t b = 0; b < COUNT_OF(bases); b++) {
        for (uint64_t nth = 1;; nth++) {
            files_copy(bases[b], dir);
            struct tide_options options = node_options(dir);
            struct node n = {.env = steps_open(dir)};
            struct steps_fault fault = {.nth = nth, .code = E_IO};
            steps_fail(n.env, &fault);
            struct err e = {.code = OK};
            enum code code = steps_node_open_on(&n, &options, &e);
            bool has_failed = steps_has_failed(n.env);
            if (code == OK) { /* the call that failed was one that may */
                assert_holds(&n, SIGNALS);
            } else {
                assert_int_equal(code, E_IO);
                if (e.text[0] == '\0') fail_msg("call %llu: no sentence", (unsigned long long)nth);
            }
            steps_node_abandon(&n);
            n = opened(dir);
            assert_holds(&n, SIGNALS);
            steps_node_abandon(&n);
            if (!has_failed) break;
        }
    }
}

/* --- single bits --- */

/* Names a refusal may give to the place: the file itself, or what the file holds. */
static bool names_place(const char *text, const char *name)
{
    const char *file = strchr(name, '/');
    file = file != NULL ? file + 1 : name;
    char bare[64];
    size_t size = strcspn(file, ".");
    memcpy(bare, file, size);
    bare[size] = '\0';
    return strstr(text, bare) != NULL || strstr(text, "record") != NULL;
}

static void flip_everywhere(const char *from, const char *name, uint64_t count,
                            struct random *random)
{
    size_t size;
    free(file_read(from, name, &size));
    if (size == 0) return;
    for (uint64_t i = 0; i < count; i++) {
        uint64_t at = i < 60 && count > 60 ? i * 3 : random_below(random, size);
        if (at >= size) continue;
        uint8_t bit = (uint8_t)(1u << random_below(random, 8));
        files_copy(from, dir);
        file_flip(dir, name, at, bit);
        struct tide_options options = node_options(dir);
        struct node n;
        struct err e = {.code = OK};
        enum code code = steps_node_open(&n, &options, &e);
        if (code == OK) {
            assert_holds(&n, SIGNALS);
            steps_node_abandon(&n);
            continue;
        }
        bool is_typed =
            code == E_ROTTEN || code == E_CORRUPT || code == E_FORMAT || code == E_WRONG_CLUSTER;
        if (!is_typed || !names_place(e.text, name)) {
            fail_msg("%s byte %llu bit %u: %s \"%s\"", name, (unsigned long long)at, bit,
                     code_name(code), e.text);
        }
        if (!file_exists(dir, name))
            fail_msg("%s byte %llu: the file is gone", name, (unsigned long long)at);
        file_flip(dir, name, at, bit); /* refusing has destroyed nothing */
        n = opened(dir);
        assert_holds(&n, SIGNALS);
        steps_node_abandon(&n);
    }
}

static void a_flipped_bit_is_harmless_or_refused_by_name(void **state)
{
    (void)state;
    struct random random;
    random_init(&random, tm_seed("recover flips", 7));
    const char *const bases[] = {base, base_sealed, base_checkpoint};
    for (size_t b = 0; b < COUNT_OF(bases); b++) {
        struct file_names names;
        segments_list(bases[b], &names);
        for (size_t i = 0; i < names.count; i++)
            flip_everywhere(bases[b], names.names[i], 120, &random);
        flip_everywhere(bases[b], "identity.a", 40, &random);
        flip_everywhere(bases[b], "identity.b", 40, &random);
        flip_everywhere(bases[b], "mark", 40, &random);
        files_list(bases[b], "state", "", &names);
        for (size_t i = 0; i < names.count; i++) {
            if (strstr(names.names[i], "pack") || strstr(names.names[i], "manifest"))
                flip_everywhere(bases[b], names.names[i], 40, &random);
        }
    }
}

static void both_copies_of_identity_damaged_are_refused_and_one_is_enough(void **state)
{
    (void)state;
    files_copy(base, dir);
    file_flip(dir, "identity.a", 40, 4);
    file_flip(dir, "identity.b", 61, 4);
    assert_refused(E_CORRUPT, "identity");
    const char *const copies[] = {"identity.a", "identity.b"};
    for (size_t i = 0; i < 2; i++) {
        files_copy(base, dir);
        file_remove(dir, copies[i]);
        assert_opens_with(LAST);
        files_copy(base, dir);
        file_cut(dir, copies[i], 10);
        assert_opens_with(LAST);
    }
    files_copy(base, dir);
    file_remove(dir, "identity.a");
    file_remove(dir, "identity.b");
    assert_refused(E_CORRUPT, "identity");
}

/* While one copy is bad the other is the only one: it is not touched before the bad one is good. */
static void the_only_good_copy_of_identity_is_never_at_risk(void **state)
{
    (void)state;
    const char *const copies[] = {"identity.a", "identity.b"};
    for (size_t i = 0; i < 2; i++) {
        for (uint64_t nth = 1; nth < 40; nth++) {
            files_copy(base_sealed, dir);
            file_cut(dir, copies[i], 40);
            struct tide_options options = node_options(dir);
            struct node n = {.env = steps_open(dir)};
            struct steps_fault fault = {
                .nth = nth, .code = E_IO, .is_for_ever = true, .writes_only = true, .tears = true};
            steps_fail(n.env, &fault);
            struct err e = {.code = OK};
            enum code code = steps_node_open_on(&n, &options, &e);
            assert_true(code == OK || code == E_IO || code == E_POISONED);
            steps_node_abandon(&n);
            n = opened(dir);
            assert_holds(&n, SIGNALS);
            steps_node_abandon(&n);
        }
    }
}

/* --- segments that are missing, foreign, newer --- */

static void missing_segments_are_refused(void **state)
{
    (void)state;
    struct file_names names;
    segments_list(base, &names);
    for (size_t i = 0; i < names.count; i++) {
        for (int has_mark = 0; has_mark < 2; has_mark++) {
            files_copy(base, dir);
            if (!has_mark) file_remove(dir, "mark");
            file_remove(dir, names.names[i]);
            assert_refused(E_ROTTEN, "");
        }
    }
    segments_list(base_sealed, &names);
    for (size_t i = 0; i < names.count; i++) {
        files_copy(base_sealed, dir);
        file_remove(dir, names.names[i]);
        assert_refused(E_ROTTEN, "");
    }
}

static void segments_of_another_cluster_are_refused(void **state)
{
    (void)state;
    char *other = tm_dir_make_fast("recover-other");
    struct tide_options options = node_options(other);
    struct node n = {.env = steps_open(other)};
    (void)n.env->v->random(n.env); /* other bits, so another cluster */
    struct err e = {.code = OK};
    assert_int_equal(steps_node_open_on(&n, &options, &e), OK);
    steps_run(n.env);
    assert_int_equal(steps_node_signal(&n, "a"), TIDE_OK);
    steps_node_abandon(&n);
    struct file_names names;
    segments_list(other, &names);
    size_t size;
    uint8_t *bytes = file_read(other, names.names[0], &size);
    files_copy(base, dir);
    file_write(dir, names.names[0], bytes, size);
    assert_refused(E_WRONG_CLUSTER, names.names[0]);
    free(bytes);
    tm_dir_remove(other);
}

static void segments_of_a_newer_format_are_refused(void **state)
{
    (void)state;
    size_t size;
    uint8_t *bytes = file_read(base, tail_name, &size);
    bytes[8] = 3;
    memset(bytes + 12, 0, 4);
    uint32_t crc = crc32c(0, bytes, SEGMENT_HEADER_SIZE);
    memcpy(bytes + 12, &crc, sizeof(crc));
    files_copy(base, dir);
    file_write(dir, tail_name, bytes, size);
    free(bytes);
    assert_refused(E_FORMAT, "newer");
}

/* --- files without a header, and copies --- */

/* The header says what a file is; the batches behind it say what was lost with it. */
static void a_segment_whose_header_is_lost_is_refused_and_kept(void **state)
{
    (void)state;
    struct file_names names;
    segments_list(base, &names);
    for (size_t i = 0; i < names.count; i++) {
        for (int has_mark = 0; has_mark < 2; has_mark++) {
            files_copy(base, dir);
            if (!has_mark) file_remove(dir, "mark");
            file_zero(dir, names.names[i], 0, 512);
            assert_refused(E_ROTTEN, names.names[i]);
            assert_refused(E_ROTTEN, names.names[i]); /* again: nothing was moved */
            assert_true(file_exists(dir, names.names[i]));
        }
    }
}

/* A segment whose first write was torn holds nothing that anybody was told; a spare holds nothing.
 * The first is moved out of the way, the second is removed. */
static void files_that_never_became_segments_are_cleared_away(void **state)
{
    (void)state;
    files_copy(base, dir);
    uint8_t torn[200];
    memset(torn, 0xa5, sizeof(torn));
    memcpy(torn, "TIDESEG2", 8);
    file_write(dir, "log/00000000000000f0.seg", torn, sizeof(torn));
    file_write(dir, "log/00000000000000f1.seg", torn, 0);
    memset(torn, 0, sizeof(torn));
    file_write(dir, "log/00000000000000f2.seg", torn, sizeof(torn));
    struct node n = opened(dir);
    assert_holds(&n, SIGNALS);
    assert_int_equal(n.db->report.discarded_bytes, sizeof(torn));
    steps_node_abandon(&n);
    assert_false(file_exists(dir, "log/00000000000000f0.seg"));
    assert_false(file_exists(dir, "log/00000000000000f1.seg"));
    assert_false(file_exists(dir, "log/00000000000000f2.seg"));
    struct file_names names;
    files_list(dir, "quarantine", ".torn", &names);
    assert_int_equal(names.count, 1);
}

/* A footer that does not verify makes recovery copy a sealed segment. When that is cut short, two
 * files end with a trailer, and neither is good by its footer: the source holds all. */
static void an_unfinished_copy_never_replaces_its_source(void **state)
{
    (void)state;
    struct file_names names;
    segments_list(base_sealed, &names);
    const char *name = names.names[names.count - 1];
    size_t size;
    uint8_t *bytes = file_read(base_sealed, name, &size);
    for (int which = 0; which < 2; which++) {
        files_copy(base_sealed, dir);
        file_flip(dir, name, size - 100, 1);
        memset(bytes + 12, 0, 4);
        bytes[72] = 0xf0; /* the file id */
        uint32_t crc = crc32c(0, bytes, SEGMENT_HEADER_SIZE);
        memcpy(bytes + 12, &crc, sizeof(crc));
        file_write(dir, "log/00000000000000f0.seg", bytes, size);
        if (which == 0) file_zero(dir, "log/00000000000000f0.seg", 512, 512);
        assert_opens_with(LAST);
    }
    free(bytes);
}

/* --- checkpoints --- */

static void damaged_checkpoints_fall_back_to_the_one_before_or_to_the_log(void **state)
{
    (void)state;
    struct file_names manifests;
    struct file_names packs;
    files_list(base_checkpoint, "state", ".manifest", &manifests);
    files_list(base_checkpoint, "state", ".pack", &packs);
    assert_int_equal(manifests.count, 2);
    files_copy(base_checkpoint, dir);
    struct node n = opened(dir);
    assert_holds(&n, SIGNALS);
    uint64_t newest = n.db->report.checkpoint_seqno;
    assert_true(newest > 0);
    steps_node_abandon(&n);
    for (size_t broken = 1; broken <= 2; broken++) {
        files_copy(base_checkpoint, dir);
        for (size_t i = 0; i < broken; i++)
            file_flip(dir, manifests.names[manifests.count - 1 - i], 200, 1);
        n = opened(dir);
        assert_holds(&n, SIGNALS);
        assert_true(n.db->report.checkpoint_seqno < newest);
        assert_int_equal(n.db->report.checkpoint_seqno == 0, broken == 2);
        assert_true(n.db->report.notes[0] != '\0');
        steps_node_abandon(&n);
    }
    files_copy(base_checkpoint, dir);
    for (size_t i = 0; i < packs.count; i++)
        file_remove(dir, packs.names[i]);
    n = opened(dir);
    assert_holds(&n, SIGNALS);
    assert_int_equal(n.db->report.checkpoint_seqno, 0);
    steps_node_abandon(&n);
}

static void copy_state(const char *from, const char *to)
{
    struct file_names names;
    files_list(from, "state", "", &names);
    for (size_t i = 0; i < names.count; i++) {
        if (strstr(names.names[i], "/.") != NULL) continue;
        size_t size;
        uint8_t *bytes = file_read(from, names.names[i], &size);
        file_write(to, names.names[i], bytes, size);
        free(bytes);
    }
}

/* A checkpoint is worth nothing without the log it was cut from: one beyond the end, and one whose
 * history is another, are passed over, also where the history differs in the very last batch. */
static void checkpoints_that_are_not_in_the_log_are_passed_over(void **state)
{
    (void)state;
    files_copy(base, dir);
    copy_state(base_checkpoint, dir);
    struct node n = opened(dir); /* same cluster (same seed), other history */
    assert_holds(&n, SIGNALS);
    assert_int_equal(n.db->report.checkpoint_seqno, 0);
    steps_node_abandon(&n);
}

/* Two nodes of one cluster that part after the first start and both end at the same seqno. */
static void a_checkpoint_at_the_end_of_another_history_is_passed_over(void **state)
{
    (void)state;
    char *other = tm_dir_make_fast("recover-fork");
    files_copy(base, dir);
    files_copy(base, other);
    const char *const dirs[2] = {dir, other};
    for (size_t i = 0; i < 2; i++) {
        struct node n = opened(dirs[i]);
        for (int k = 0; k < 2; k++)
            assert_int_equal(steps_node_signal(&n, i == 0 ? "left" : "right"), TIDE_OK);
        if (i == 1) {
            tide_run *run = tide_run_new();
            assert_int_equal(tide_run_checkpoint(run), 0);
            steps_node_execute(&n, run);
            assert_int_equal(tide_run_result(run, 0)->as.position.seqno, LAST + 4);
            tide_run_free(run);
        } else {
            assert_int_equal(steps_node_signal(&n, "left"), TIDE_OK);
        }
        steps_node_abandon(&n);
    }
    copy_state(other, dir);
    struct node n = opened(dir);
    assert_holds(&n, SIGNALS);
    assert_int_equal(steps_node_count(&n, "left"), 3);
    assert_int_equal(steps_node_count(&n, "right"), 0);
    assert_int_equal(n.db->report.checkpoint_seqno, 0);
    steps_node_abandon(&n);
    tm_dir_remove(other);
}

/* --- a follower's log --- */

/* Opened with what identity says after this change. */
static struct log *recovered_as(struct env *env, void (*change)(struct identity *id),
                                enum code *out_code, struct recovery_report *report, struct err *e)
{
    struct tide_options options = node_options(dir);
    struct config config;
    assert_int_equal(config_from_options(&options, &config, e), OK);
    struct identity *id = calloc(1, sizeof(*id));
    bool is_found = false;
    assert_int_equal(identity_load(env, id, &is_found, e), OK);
    assert_true(is_found);
    change(id);
    struct log_hooks hooks = {0};
    struct log *log = NULL;
    *report = (struct recovery_report){0};
    struct recovery_input input = {.env = env, .config = &config, .identity = id, .hooks = &hooks};
    *out_code = recover_log(&input, &log, report, e);
    free(id);
    return log;
}

static void follows(struct identity *id)
{
    id->role = ROLE_FOLLOWER;
    id->led_count = 0;
}

/* It led all epochs of its log, and fetched records of them back. */
static void fetched(struct identity *id)
{
    assert_int_not_equal(id->led_count, 0);
    id->fetched_epoch = id->highest_epoch;
}

/* What a writer's headers claim is durable is durable on the writer's disk. Here it is torn; and
 * below this node's own mark it is rotten all the same. */
static void check_received_tail(void (*change)(struct identity *id))
{
    for (int has_own_mark = 0; has_own_mark < 2; has_own_mark++) {
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_before_size);
        /* LAST - 1 misses a sector, LAST is whole and says that LAST - 1 is durable */
        file_zero(dir, tail_name, end_before, 512 - end_before % 512);
        if (has_own_mark) {
            size_t size;
            uint8_t *mark = file_read(base, "mark", &size);
            file_write(dir, "mark", mark, size);
            free(mark);
        }
        struct env *env = steps_open(dir);
        struct err e = {.code = OK};
        struct recovery_report report;
        enum code code;
        struct log *log = recovered_as(env, change, &code, &report, &e);
        if (has_own_mark) {
            assert_int_equal(code, E_ROTTEN);
        } else {
            if (code != OK) fail_msg("%s", e.text);
            assert_int_equal(log_durable(log).seqno.v, BEFORE);
            assert_true(report.discarded_bytes > 0);
            log_free(log);
        }
        steps_close(env);
    }
    files_copy(base, dir); /* its leader itself refuses */
    file_write(dir, "mark", mark_before, mark_before_size);
    file_zero(dir, tail_name, end_before, 512 - end_before % 512);
    assert_refused(E_ROTTEN, tail_name);
}

static void a_followers_torn_tail_is_torn_whatever_its_leaders_headers_claim(void **state)
{
    (void)state;
    check_received_tail(follows);
}

static void a_torn_tail_that_was_fetched_back_is_torn_though_this_node_wrote_it_once(void **state)
{
    (void)state;
    check_received_tail(fetched);
}

/* A power cut can leave an older mark behind acknowledged groups. One flipped bit in the last one
 * is no torn write: it is told, never cut off. */
static void a_flipped_bit_above_an_older_mark_is_told(void **state)
{
    (void)state;
    for (uint64_t at = end_middle; at < end_last - 64; at += 11) {
        files_copy(base, dir);
        file_write(dir, "mark", mark_before, mark_before_size);
        file_flip(dir, tail_name, at, 1);
        struct err e;
        enum code code = open_code(&e);
        if (code == E_ROTTEN) continue;
        /* Only in the zero room of the header and in the padding may a bit be of no account. */
        if (code != OK) fail_msg("%s at %llu", e.text, (unsigned long long)at);
        struct node n = opened(dir);
        assert_holds(&n, SIGNALS);
        steps_node_abandon(&n);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_killed_node_comes_back_whole),
        TEST(a_tail_torn_at_any_byte_is_cut_back_to_its_last_whole_batch),
        TEST(a_tail_that_ends_in_zeros_at_any_byte_is_cut_back),
        TEST(a_tail_cut_below_the_mark_is_refused),
        TEST(zeroed_sectors_are_torn_above_the_mark_and_rotten_below),
        TEST(without_a_mark_later_headers_are_the_evidence),
        TEST(a_footer_cut_at_any_byte_is_made_again),
        TEST(recovery_cut_at_any_step_is_done_again),
        TEST(a_read_error_anywhere_is_refused_and_harms_nothing),
        TEST(a_flipped_bit_is_harmless_or_refused_by_name),
        TEST(both_copies_of_identity_damaged_are_refused_and_one_is_enough),
        TEST(the_only_good_copy_of_identity_is_never_at_risk),
        TEST(missing_segments_are_refused),
        TEST(segments_of_another_cluster_are_refused),
        TEST(segments_of_a_newer_format_are_refused),
        TEST(a_segment_whose_header_is_lost_is_refused_and_kept),
        TEST(files_that_never_became_segments_are_cleared_away),
        TEST(an_unfinished_copy_never_replaces_its_source),
        TEST(damaged_checkpoints_fall_back_to_the_one_before_or_to_the_log),
        TEST(checkpoints_that_are_not_in_the_log_are_passed_over),
        TEST(a_checkpoint_at_the_end_of_another_history_is_passed_over),
        TEST(a_followers_torn_tail_is_torn_whatever_its_leaders_headers_claim),
        TEST(a_torn_tail_that_was_fetched_back_is_torn_though_this_node_wrote_it_once),
        TEST(a_flipped_bit_above_an_older_mark_is_told),
    };
    return cmocka_run_group_tests_name("engine/recover", tests, make_bases, drop_bases);
}
