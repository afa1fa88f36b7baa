/* enum/damage: one thing is wrong on a disk whose every write was acknowledged: a flipped bit, a
 * file cut short, a sector that is zero, old, twice there or in another's place. Then the node is
 * opened. Nothing may ever be silent: either it refuses and names what is damaged, or it holds
 * every write, and reading its whole log back gives the same records or an error.
 *
 *     damage bits|cuts|sectors [--stride N]
 *
 * stride: only every n-th bit, byte or sector; of a spare, which holds nothing, and of the second
 * full segment, which is like the first, 64 times fewer. Prints for each file what became of it;
 * exit status 1 names the first damage that passed in silence.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "engine/shipper_internal.h"
#include "enum/life.h"

#define FILES_MAX 64u

static uint64_t stride = 1; /* of the file at hand */
static uint64_t stride_given = 1;

/* How the node took the damage. */
static struct {
    uint64_t tried;
    uint64_t refused;  /* it did not open and named a file */
    uint64_t noted;    /* it opened and said what it passed over */
    uint64_t unread;   /* it opened; reading the log finds the damage */
    uint64_t harmless; /* nothing depends on it */
} tally;

static struct mem_disk *whole;   /* everything acknowledged, nothing pending */
static struct mem_disk *earlier; /* the same some writes before */
static struct hash256 content;   /* of the state */
static struct slot_record slots[SLOTS_MAX];
static uint32_t slot_count;
static char damage[128];

static _Noreturn void wrong(const char *what)
{
    fprintf(stderr, "damage: %s: %s\n", damage, what);
    exit(1);
}

/* --- making the disk --- */

static struct mem_disk *settled(const struct mem_disk *d)
{
    uint8_t fates[1024];
    if (mem_disk_pending(d) > sizeof(fates)) wrong("too many changes wait for a sync");
    memset(fates, MEM_KEPT, sizeof(fates));
    struct random random;
    random_init(&random, 1);
    return mem_disk_cut(d, fates, &random);
}

/* After the prologue, enough writes for a whole segment that no checkpoint covers and some of the
 * next one. */
static void make_disk(void)
{
    struct life l;
    life_prologue(&l);
    earlier = settled(l.disk);
    struct err e = {.code = OK};
    if (life_open(&l, &e) != OK) wrong(e.text);
    uint32_t segments = log_segment_count(l.n.db->log);
    while (log_segment_count(l.n.db->log) < segments + 2)
        life_step(&l, STEP_BATCH);
    for (uint32_t i = 0; i < 3; i++)
        life_step(&l, i == 1 ? STEP_BATCH : STEP_APPEND);
    content = content_of(&l.n);
    slot_count = slots_copy(&l.n.db->shipper->table, slots);
    life_end(&l);
    whole = settled(l.disk);
    mem_disk_free(l.disk);
}

/* --- judging --- */

/* Does the log read back whole, each batch verified against the one before? */
static bool log_reads_back(struct db *db)
{
    uint64_t bytes;
    struct position at = log_base(db->log, &bytes);
    struct position end = log_durable(db->log);
    while (at.seqno.v < end.seqno.v) {
        struct log_read read = {.from = at, .size_max = 256 * KIB};
        struct err e = {.code = OK};
        enum code code = log_read_now(db->log, &read, &e);
        struct position next = read.end;
        free(read.buffer);
        if (code != OK) {
            if (e.text[0] == '\0') wrong("the log cannot be read, and nothing says why");
            return false;
        }
        at = next;
    }
    if (memcmp(&at.chain, &end.chain, sizeof(at.chain)) != 0) wrong("the log is another one");
    return true;
}

static bool names_a_file(const char *text)
{
    static const char *const names[] = {"log/", "state/", "identity", "slots", "mark", ".seg"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        if (strstr(text, names[i]) != NULL) return true;
    }
    return false;
}

static void check_slots(const struct slots *table)
{
    static struct slot_record found[SLOTS_MAX];
    if (table->is_closed) return;
    if (slots_copy(table, found) != slot_count) wrong("another number of slots");
    for (uint32_t i = 0; i < slot_count; i++) {
        if (found[i].stored.v != slots[i].stored.v ||
            strcmp(found[i].node_id, slots[i].node_id) != 0)
            wrong("a slot says something else");
    }
}

static void judge(struct mem_disk *image)
{
    tally.tried++;
    struct err e = {.code = OK};
    struct node n = open_on(image, tally.tried, &e);
    if (n.db == NULL) {
        if (!names_a_file(e.text)) wrong(e.text);
        tally.refused++;
    } else {
        struct hash256 found = content_of(&n);
        if (memcmp(&found, &content, sizeof(content)) != 0)
            wrong("it opens, and acknowledged writes are missing or different");
        check_slots(&n.db->shipper->table);
        if (!log_reads_back(n.db)) {
            tally.unread++;
        } else if (n.db->report.notes[0] != '\0') {
            tally.noted++;
        } else {
            tally.harmless++;
        }
    }
    abandon_on(&n);
    mem_disk_free(image);
}

static void report(const char *what)
{
    printf("damage: %-40s %8" PRIu64 " tried: %" PRIu64 " refused, %" PRIu64 " noted, %" PRIu64
           " found in reading, %" PRIu64 " harmless\n",
           what, tally.tried, tally.refused, tally.noted, tally.unread, tally.harmless);
    memset(&tally, 0, sizeof(tally));
}

/* --- single bits --- */

static void flip_bits(const char *path)
{
    uint64_t bits = (uint64_t)mem_disk_size(whole, path) * 8;
    for (uint64_t bit = 0; bit < bits; bit += stride) {
        (void)snprintf(damage, sizeof(damage), "bit %" PRIu64 " of %s", bit, path);
        struct mem_disk *image = mem_disk_clone(whole);
        mem_disk_edit(image, path)[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        judge(image);
    }
    report(path);
}

/* --- whole sectors --- */

enum trouble { ZEROED, DOUBLED, SWAPPED, OLD, TROUBLE_COUNT };
static const char *const trouble_names[TROUBLE_COUNT] = {"zeroed", "doubled", "swapped", "old"};

/* The bytes at `offset` of this file some time ago, or, of a file that was not there, of another
 * segment: what a lost write or a used file leaves. */
static void put_old(uint8_t *out, const char *path, size_t offset, size_t size)
{
    const char *other = "log/0000000000000001.seg";
    const struct mem_disk *from = mem_disk_size(earlier, path) > offset ? earlier : whole;
    if (from == whole) path = other;
    size_t known = mem_disk_size(from, path);
    if (known <= offset) return;
    memcpy(out, mem_disk_bytes(from, path) + offset, known - offset < size ? known - offset : size);
}

static void trouble_sector(const char *path, size_t offset, enum trouble trouble)
{
    size_t total = mem_disk_size(whole, path);
    size_t size = total - offset < MEM_SECTOR_SIZE ? total - offset : MEM_SECTOR_SIZE;
    bool is_last = offset + 2 * MEM_SECTOR_SIZE > total;
    if (is_last && (trouble == DOUBLED || trouble == SWAPPED)) return;
    struct mem_disk *image = mem_disk_clone(whole);
    uint8_t *at = mem_disk_edit(image, path) + offset;
    uint8_t kept[MEM_SECTOR_SIZE];
    memcpy(kept, at, size);
    switch (trouble) {
    case ZEROED: memset(at, 0, size); break;
    case SWAPPED:
        memcpy(at, at + size, size);
        memcpy(at + size, kept, size);
        break;
    case DOUBLED: memcpy(at + size, kept, size); break;
    case OLD: put_old(at, path, offset, size); break;
    case TROUBLE_COUNT: break;
    }
    judge(image);
}

static void trouble_sectors(const char *path)
{
    size_t total = mem_disk_size(whole, path);
    for (size_t offset = 0; offset < total; offset += stride * MEM_SECTOR_SIZE) {
        for (int trouble = 0; trouble < TROUBLE_COUNT; trouble++) {
            (void)snprintf(damage, sizeof(damage), "sector at %zu of %s %s", offset, path,
                           trouble_names[trouble]);
            trouble_sector(path, offset, (enum trouble)trouble);
        }
    }
    report(path);
}

/* --- files cut short --- */

/* Every length from the start of the last but one batch on; before that, every sector's. */
static void cut_file(const char *path, size_t fine_from)
{
    size_t total = mem_disk_size(whole, path);
    for (size_t size = 0; size < total;
         size += size < fine_from ? MEM_SECTOR_SIZE : (size_t)stride) {
        (void)snprintf(damage, sizeof(damage), "%s cut to %zu bytes", path, size);
        struct mem_disk *image = mem_disk_clone(whole);
        mem_disk_resize(image, path, size);
        judge(image);
    }
    /* Without a catalogue there are no followers: that is what a new leader looks like, too. */
    if (strcmp(path, "slots") != 0) {
        (void)snprintf(damage, sizeof(damage), "%s removed", path);
        struct mem_disk *image = mem_disk_clone(whole);
        mem_disk_remove(image, path);
        judge(image);
    }
    report(path);
}

/* Where the last but one batch of a segment begins. */
static size_t last_two(const char *path)
{
    const uint8_t *bytes = mem_disk_bytes(whole, path);
    size_t size = mem_disk_size(whole, path);
    size_t starts[2] = {size, size};
    for (size_t at = SEGMENT_HEADER_SIZE; at + BATCH_HEADER_SIZE <= size; at += LOG_ALIGN) {
        if (memcmp(bytes + at, BATCH_MAGIC, 8) != 0) continue;
        starts[0] = starts[1];
        starts[1] = at;
    }
    return starts[0];
}

static void cut_files(const char *path)
{
    bool is_segment = strstr(path, ".seg") != NULL;
    cut_file(path, is_segment ? last_two(path) : 0);
}

int main(int argc, char **argv)
{
    void (*treat)(const char *path) = NULL;
    if (argc >= 2 && strcmp(argv[1], "bits") == 0) treat = flip_bits;
    if (argc >= 2 && strcmp(argv[1], "cuts") == 0) treat = cut_files;
    if (argc >= 2 && strcmp(argv[1], "sectors") == 0) treat = trouble_sectors;
    if (argc == 4 && strcmp(argv[2], "--stride") == 0) stride_given = strtoull(argv[3], NULL, 10);
    if (treat == NULL || stride_given == 0) {
        fprintf(stderr, "usage: enum_damage bits|cuts|sectors [--stride N]\n");
        return 2;
    }
    make_disk();
    (void)snprintf(damage, sizeof(damage), "nothing damaged");
    judge(mem_disk_clone(whole));
    if (tally.refused + tally.unread > 0) wrong("it does not open whole");
    report("nothing damaged");
    const char *paths[FILES_MAX];
    size_t count = mem_disk_list(whole, paths, FILES_MAX);
    uint32_t full_segments = 0;
    for (size_t i = 0; i < count; i++) {
        struct segment_header header;
        bool is_segment = strstr(paths[i], ".seg") != NULL;
        bool is_spare = is_segment && segment_header_decode(mem_disk_bytes(whole, paths[i]),
                                                            &header) != SEGMENT_OK;
        bool is_full = is_segment && !is_spare && mem_disk_size(whole, paths[i]) > 48 * KIB;
        bool is_like_another = is_full && full_segments++ == 1;
        stride = stride_given * (is_spare || is_like_another ? 64 : 1);
        treat(paths[i]);
    }
    mem_disk_free(whole);
    mem_disk_free(earlier);
    return 0;
}
