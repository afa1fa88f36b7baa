/* enum/crash: every sequence of at most three steps, cut by a power failure before each change of
 * the disk, in every way in which the changes that no sync covers can be lost, torn or turned into
 * garbage; and in each recovery from that a second cut. Whatever opens must hold exactly a prefix
 * of the writes with all acknowledged ones in it, and what it showed must stay.
 *
 *     crash [--length N] [--stride N] [--nested N]
 *
 * stride: only every n-th image is opened; nested: only in every n-th recovery a second cut is
 * tried at each of its changes. Prints how many states were looked at; exit status 1 names the
 * first that is wrong, so that it can be made again.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "enum/life.h"

#define PENDING_ALL_MAX 8u   /* all subsets up to here */
#define SAMPLES         256u /* beyond */
#define PENDING_MAX     512u

static uint64_t stride = 1;
static uint64_t nested = 1;

static struct {
    uint64_t points;  /* places where the power was cut */
    uint64_t images;  /* ways in which it could be */
    uint64_t opened;  /* of them */
    uint64_t seconds; /* images opened of cuts in recoveries */
    uint64_t shown;   /* cuts right after an opening that showed something */
    uint64_t torn;    /* openings that found a torn tail */
    uint64_t kept;    /* openings that held a write nobody was told of */
    uint64_t pruned;  /* sequences that let go of records */
    uint64_t told;    /* refusals: garbage in the last group, see open_image */
} tally;

/* Where in the enumeration we are, for the message. */
static struct {
    char sequence[64];
    uint64_t change; /* of the last step */
} place;

static _Noreturn void wrong(const char *what, uint32_t found, const struct oracle *o)
{
    fprintf(stderr,
            "crash: after \"%s\", before change %" PRIu64 ", image %" PRIu64 " (second cut %" PRIu64
            "): %s: %" PRId64 " batches are there, %u were acknowledged, %u handed over\n",
            place.sequence, place.change, tally.images, tally.seconds, what,
            found == UINT32_MAX ? -1 : (int64_t)found, o->acknowledged, o->handed);
    exit(1);
}

/* --- one image --- */

static struct random dice;

struct recovery {
    struct mem_disk *disk;
    const struct oracle *oracle;
    bool has_garbage;
};

/* Garbage in the last group is no torn write, and no evidence says whether the group was
 * acknowledged: the node tells it and does not guess. Only there may it refuse. */
static bool may_refuse(const struct err *e, bool has_garbage)
{
    return has_garbage && e->code == E_ROTTEN && strstr(e->text, "cannot be told") != NULL;
}

#define REFUSED UINT32_MAX

static uint32_t open_image(struct mem_disk *disk, const struct oracle *o, bool has_garbage)
{
    struct err e = {.code = OK};
    struct node n = open_on(disk, random_next(&dice), &e);
    if (n.db == NULL && may_refuse(&e, has_garbage)) {
        tally.told++;
        abandon_on(&n);
        mem_disk_watch_changes(disk, NULL, NULL);
        mem_disk_end_process(disk);
        return REFUSED;
    }
    if (n.db == NULL) wrong(e.text, UINT32_MAX, o);
    struct hash256 content = content_of(&n);
    uint32_t found = batches_in(o, &content);
    if (found == UINT32_MAX) wrong("what is there is no prefix of the batches", found, o);
    if (found < o->acknowledged) wrong("acknowledged batches are missing", found, o);
    tally.torn += n.db->report.discarded_bytes > 0;
    tally.kept += found > o->acknowledged;
    mem_disk_watch_changes(disk, NULL, NULL);
    abandon_on(&n);
    mem_disk_end_process(disk);
    return found;
}

/* Does it draw garbage? */
static bool draw_fates(const struct mem_disk *d, uint8_t *fates)
{
    bool has_garbage = false;
    uint64_t lost = random_below(&dice, 5);
    for (size_t i = 0; i < mem_disk_pending(d); i++) {
        bool is_kept = random_below(&dice, 4) >= lost;
        fates[i] = is_kept ? MEM_KEPT : (uint8_t)(random_below(&dice, 2) ? MEM_LOST : MEM_TORN);
        if (!is_kept && random_below(&dice, 4) == 0) fates[i] = MEM_GARBAGE;
        has_garbage |= fates[i] == MEM_GARBAGE;
    }
    return has_garbage;
}

static void cut_again(void *arg)
{
    const struct recovery *r = arg;
    uint8_t fates[PENDING_MAX];
    if (mem_disk_pending(r->disk) > PENDING_MAX) return;
    bool has_garbage = draw_fates(r->disk, fates) || r->has_garbage;
    struct mem_disk *image = mem_disk_cut(r->disk, fates, &dice);
    tally.seconds++;
    (void)open_image(image, r->oracle, has_garbage);
    mem_disk_free(image);
}

/* What an opened node showed is on disk: with everything lost that no sync covered it is still
 * there. */
static void cut_after_showing(struct mem_disk *disk, const struct oracle *o, uint32_t found)
{
    uint8_t fates[PENDING_MAX] = {MEM_LOST};
    if (mem_disk_pending(disk) > PENDING_MAX) return;
    struct mem_disk *image = mem_disk_cut(disk, fates, &dice);
    uint32_t again = open_image(image, o, false);
    mem_disk_free(image);
    tally.shown++;
    if (again < found) wrong("an opened node showed more than it keeps", again, o);
}

static void try_image(const struct mem_disk *disk, const uint8_t *fates, const struct oracle *o,
                      bool has_garbage)
{
    if (tally.images++ % stride != 0) return;
    random_init(&dice, tally.images);
    struct mem_disk *image = mem_disk_cut(disk, fates, &dice);
    struct recovery r = {.disk = image, .oracle = o, .has_garbage = has_garbage};
    bool is_nested = tally.opened++ % nested == 0;
    if (is_nested) mem_disk_watch_changes(image, cut_again, &r);
    uint32_t found = open_image(image, o, has_garbage);
    if (is_nested && found != REFUSED) cut_after_showing(image, o, found);
    mem_disk_free(image);
}

/* --- all images of one point --- */

struct cut {
    const struct life *life;
    bool is_watching;
};

static bool has_lost_bytes(const struct mem_disk *d, const uint8_t *fates)
{
    for (size_t i = 0; i < mem_disk_pending(d); i++) {
        if (fates[i] == MEM_LOST && mem_disk_has_bytes(d, i)) return true;
    }
    return false;
}

/* The changes that are not kept are lost, torn or garbage. */
static void try_subset(const struct mem_disk *d, uint8_t *fates, const struct oracle *o)
{
    try_image(d, fates, o, false);
    if (!has_lost_bytes(d, fates)) return;
    for (uint8_t how = MEM_TORN; how <= MEM_GARBAGE; how++) {
        uint8_t changed[PENDING_MAX];
        for (size_t i = 0; i < mem_disk_pending(d); i++)
            changed[i] = fates[i] == MEM_LOST ? how : fates[i];
        try_image(d, changed, o, how == MEM_GARBAGE);
    }
}

static void cut_here(const struct life *l)
{
    const struct mem_disk *d = l->disk;
    size_t pending = mem_disk_pending(d);
    uint8_t fates[PENDING_MAX];
    if (pending > PENDING_MAX) wrong("too many changes wait for a sync", UINT32_MAX, &l->oracle);
    tally.points++;
    bool is_all = pending <= PENDING_ALL_MAX;
    uint64_t count = is_all ? UINT64_C(1) << pending : SAMPLES;
    for (uint64_t mask = 0; mask < count; mask++) {
        random_init(&dice, mask);
        uint64_t odds = mask % 5;
        for (size_t i = 0; i < pending; i++) {
            bool is_kept = is_all ? (mask >> i & 1) != 0 : random_below(&dice, 4) >= odds;
            fates[i] = is_kept ? MEM_KEPT : MEM_LOST;
        }
        try_subset(d, fates, &l->oracle);
    }
}

static void before_change(void *arg)
{
    const struct cut *c = arg;
    if (!c->is_watching) return;
    cut_here(c->life);
    place.change++;
}

/* --- sequences --- */

static struct life base;    /* the disk after the prologue */
static struct life nothing; /* a disk that was never opened */

/* Tell the sequence on a copy of the disk. Only its last step is cut: the others were the last step
 * of shorter sequences. is_rehearsal: nothing is cut, the oracle learns. */
static void tell(const struct life *from, const enum step *steps, size_t count,
                 struct oracle *contents, bool is_rehearsal)
{
    struct life l = *from;
    l.disk = mem_disk_clone(from->disk);
    l.is_rehearsal = is_rehearsal;
    if (!is_rehearsal) {
        memcpy(l.oracle.contents, contents->contents, sizeof(contents->contents));
        memcpy(l.oracle.ends, contents->ends, sizeof(contents->ends));
    }
    struct cut cut = {.life = &l, .is_watching = !is_rehearsal && count == 0};
    mem_disk_watch_changes(l.disk, before_change, &cut);
    struct err e = {.code = OK};
    if (life_open(&l, &e) != OK) wrong(e.text, UINT32_MAX, &l.oracle);
    for (size_t i = 0; i < count; i++) {
        cut.is_watching = !is_rehearsal && i + 1 == count;
        life_step(&l, steps[i]);
    }
    if (!is_rehearsal) cut_here(&l);
    if (is_rehearsal) *contents = l.oracle;
    if (!is_rehearsal) tally.pruned += l.pruned > 0;
    cut.is_watching = false;
    life_end(&l);
    mem_disk_free(l.disk);
}

static void tell_all(const enum step *steps, size_t count, size_t length)
{
    size_t size = 0;
    place.sequence[0] = '\0';
    for (size_t i = 0; i < count; i++)
        size += (size_t)snprintf(place.sequence + size, sizeof(place.sequence) - size, "%s%s",
                                 i > 0 ? " " : "", step_names[steps[i]]);
    place.change = 0;
    static struct oracle contents;
    tell(&base, steps, count, &contents, true);
    tell(&base, steps, count, &contents, false);
    if (count == length) return;
    enum step longer[8];
    for (size_t i = 0; i < count; i++)
        longer[i] = steps[i];
    for (int step = 0; step < STEP_COUNT; step++) {
        longer[count] = (enum step)step;
        tell_all(longer, count + 1, length);
    }
}

static uint64_t number_given(int argc, char **argv, const char *name, uint64_t fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) return strtoull(argv[i + 1], NULL, 10);
    }
    return fallback;
}

int main(int argc, char **argv)
{
    size_t length = (size_t)number_given(argc, argv, "--length", 3);
    stride = number_given(argc, argv, "--stride", 1);
    nested = number_given(argc, argv, "--nested", 1);
    if (length > 3 || stride == 0 || nested == 0) return 2;
    static struct oracle contents;
    nothing.disk = mem_disk_new();
    (void)snprintf(place.sequence, sizeof(place.sequence), "the first opening");
    {
        /* An empty state is a content, too. */
        struct life l = {.disk = mem_disk_new(), .is_rehearsal = true};
        struct err e = {.code = OK};
        if (life_open(&l, &e) != OK) wrong(e.text, UINT32_MAX, &l.oracle);
        nothing.oracle.contents[0] = content_of(&l.n);
        life_end(&l);
        mem_disk_free(l.disk);
    }
    contents = nothing.oracle;
    tell(&nothing, NULL, 0, &contents, false);
    life_prologue(&base);
    tell_all(NULL, 0, length);
    printf("crash: %" PRIu64 " points, %" PRIu64 " images, %" PRIu64 " opened; %" PRIu64
           " second cuts in recoveries, %" PRIu64 " after them; %" PRIu64 " torn tails, %" PRIu64
           " with an unacknowledged write, %" PRIu64 " garbage told; %" PRIu64
           " sequences pruned\n",
           tally.points, tally.images, tally.opened, tally.seconds, tally.shown, tally.torn,
           tally.kept, tally.told, tally.pruned);
    mem_disk_free(base.disk);
    mem_disk_free(nothing.disk);
    return 0;
}
