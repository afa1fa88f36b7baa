/* kill9: a child process runs the engine under load and is killed with SIGKILL at a random moment,
 * also while it opens; the next child checks that everything which was acknowledged is there, once,
 * under the token that was given, and writes on.
 *
 *     kill9 [--kills N] [--seed S]     exit 0: nothing lost, nothing twice; 1: told what
 *
 * The oracle is memory shared by the processes: a writer notes what it hands over before it does,
 * and what it was answered when it is. What was handed over and not answered may be there or not;
 * it is written again under its old key or number, and must then be there once. */
#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/random.h"
#include "base/text.h"
#include "support/tm_test.h"
#include "tidemark.h"

enum { EXIT_LOST = 3 };

/* How a writer writes; each has its own idempotency. */
enum manner {
    BY_PRODUCER, /* one signal, a producer's number */
    BY_KEY,      /* one signal, a key of its own */
    BY_RECORD,   /* SIGNALS of three, a key of the whole */
    BY_GROUP,    /* MULTI of three, keys of the entries */
    BY_RUN,      /* twenty keyed signals in one run */
    MANNER_COUNT
};
static const uint32_t signals_of[MANNER_COUNT] = {1, 1, 3, 3, 20};

struct account {
    _Atomic uint64_t handed_over;   /* number of the newest step */
    _Atomic uint64_t answered;      /* ... that was answered OK */
    struct tide_position tokens[2]; /* of step number n at n & 1, written before it is answered */
};
#define WRITERS 10u
struct oracle {
    struct account accounts[WRITERS];
    _Atomic bool is_open; /* the child has checked and writes */
    _Atomic uint64_t duplicates;
};

static struct oracle *oracle;
static char *dir;

static _Noreturn void give_up(const char *what)
{
    fprintf(stderr, "kill9: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* --- the child --- */

struct writer {
    pthread_t thread;
    tide_db *db;
    uint32_t index;
};

static enum manner manner_of(uint32_t writer)
{
    return (enum manner)(writer % MANNER_COUNT);
}

static struct tide_bytes text_bytes(const struct text *t)
{
    return (struct tide_bytes){t->data, t->size};
}

static struct tide_bytes item_of(uint32_t writer, char out[16])
{
    struct text t = text_of(out, 16);
    text_add(&t, "item-%u", writer);
    return text_bytes(&t);
}

#define KEYS_MAX 20u
struct step {
    tide_run *run;
    char item[16];
    char keys[KEYS_MAX][32];
};

static struct tide_bytes key_of(struct step *s, uint32_t writer, uint64_t number, uint32_t entry)
{
    struct text t = text_of(s->keys[entry], sizeof(s->keys[entry]));
    text_add(&t, "%u.%llu.%u", writer, (unsigned long long)number, entry);
    return text_bytes(&t);
}

/* Put the writer's step `number` into the run; the same step is always the same bytes. */
static void build_step(struct step *s, uint32_t writer, uint64_t number)
{
    struct tide_signal signals[KEYS_MAX];
    uint32_t count = signals_of[manner_of(writer)];
    tide_run_reset(s->run);
    for (uint32_t i = 0; i < count; i++) {
        signals[i] = (struct tide_signal){.type = {"view", 4}, .item = item_of(writer, s->item)};
    }
    struct tide_write_options options = {0};
    switch (manner_of(writer)) {
    case BY_PRODUCER:
        options.producer = item_of(writer, s->item);
        options.producer_number = number;
        (void)tide_run_signal(s->run, signals, &options);
        return;
    case BY_RECORD:
        options.key = key_of(s, writer, number, 0);
        (void)tide_run_signals(s->run, signals, count, &options);
        return;
    case BY_GROUP: (void)tide_run_begin(s->run, NULL); break;
    case BY_KEY:
    case BY_RUN:
    case MANNER_COUNT: break;
    }
    for (uint32_t i = 0; i < count; i++) {
        signals[i].key = key_of(s, writer, number, i);
        (void)tide_run_signal(s->run, &signals[i], NULL);
    }
    if (manner_of(writer) == BY_GROUP) (void)tide_run_end(s->run);
}

static bool execute(tide_db *db, tide_run *run)
{
    if (tide_execute(db, run) != TIDE_OK) return false;
    for (size_t i = 0; i < tide_run_count(run); i++) {
        const struct tide_result *r = tide_run_result(run, i);
        if (r->code == TIDE_OK) continue;
        fprintf(stderr, "kill9: a write is refused: %s\n", r->message);
        _exit(1);
    }
    return true;
}

/* The result that carries the step's token. */
static const struct tide_result *newest_result(const tide_run *run, uint32_t writer)
{
    size_t last = tide_run_count(run) - 1;
    return tide_run_result(run, manner_of(writer) == BY_GROUP ? last - 1 : last);
}

static void *write_for_ever(void *arg)
{
    struct writer *w = arg;
    struct account *a = &oracle->accounts[w->index];
    struct step step = {.run = tide_run_new()};
    for (;;) {
        uint64_t number = atomic_load(&a->answered) + 1;
        bool is_again = number == atomic_load(&a->handed_over);
        build_step(&step, w->index, number);
        atomic_store(&a->handed_over, number);
        if (!execute(w->db, step.run)) return NULL;
        const struct tide_result *r = newest_result(step.run, w->index);
        if (r->is_duplicate && !is_again) {
            fprintf(stderr, "kill9: a new write of writer %u is called a duplicate\n", w->index);
            _exit(EXIT_LOST);
        }
        if (r->is_duplicate) atomic_fetch_add(&oracle->duplicates, 1);
        a->tokens[number & 1] = r->as.position;
        atomic_store(&a->answered, number);
    }
}

static void *keep_house(void *arg)
{
    struct writer *w = arg;
    tide_run *run = tide_run_new();
    for (uint32_t i = 0;; i++) {
        tide_run_reset(run);
        (void)tide_run_digest(run, 0);
        (void)tide_run_log_seal(run);
        if (i % 3 == 0) (void)tide_run_checkpoint(run);
        if (!execute(w->db, run)) return NULL;
        struct timespec pause = {.tv_nsec = 3000000};
        nanosleep(&pause, NULL);
    }
}

static void complain(uint32_t writer, const char *what, uint64_t found, uint64_t low, uint64_t high)
{
    fprintf(stderr, "kill9: writer %u: %s %" PRIu64 ", expected %" PRIu64 " to %" PRIu64 "\n",
            writer, what, found, low, high);
    _exit(EXIT_LOST);
}

static uint64_t count_of(tide_db *db, uint32_t writer)
{
    char item[16];
    uint64_t count = 0;
    struct tide_err e = {0};
    struct tide_bytes all = {"all", 3};
    struct tide_bytes type = {"view", 4};
    if (tide_count(db, type, item_of(writer, item), all, &count, &e) == TIDE_OK) return count;
    fprintf(stderr, "kill9: count: %s\n", e.message);
    _exit(1);
}

/* Is what was answered there, as often as it should be? Steps of one record are there wholly or
 * not at all; a run may be there in part, in order. */
static void check_count(tide_db *db, uint32_t writer)
{
    const struct account *a = &oracle->accounts[writer];
    uint32_t each = signals_of[manner_of(writer)];
    uint64_t low = atomic_load(&a->answered) * each;
    uint64_t high = atomic_load(&a->handed_over) * each;
    uint64_t count = count_of(db, writer);
    if (count < low || count > high) complain(writer, "signals found:", count, low, high);
    if (manner_of(writer) != BY_RUN && count % each != 0)
        complain(writer, "part of a record is there:", count, low, high);
}

/* Write the newest answered step again: it is a duplicate, under the token that was given. */
static void check_token(tide_db *db, uint32_t writer, struct step *step)
{
    const struct account *a = &oracle->accounts[writer];
    uint64_t number = atomic_load(&a->answered);
    if (number == 0) return;
    if (manner_of(writer) == BY_PRODUCER && atomic_load(&a->handed_over) != number)
        return; /* a producer answers with its newest number, which may be the one in flight */
    build_step(step, writer, number);
    if (!execute(db, step->run)) return;
    const struct tide_result *r = newest_result(step->run, writer);
    if (!r->is_duplicate) complain(writer, "was forgotten: step", number, number, number);
    const struct tide_position *token = &a->tokens[number & 1];
    bool is_same = r->as.position.epoch == token->epoch && r->as.position.seqno == token->seqno &&
                   memcmp(r->as.position.chain4, token->chain4, sizeof(token->chain4)) == 0;
    if (!is_same)
        complain(writer, "has another token: seqno", r->as.position.seqno, token->seqno,
                 token->seqno);
}

static void check_all(tide_db *db)
{
    struct step step = {.run = tide_run_new()};
    for (uint32_t i = 0; i < WRITERS; i++) {
        check_count(db, i);
        check_token(db, i, &step);
        check_count(db, i);
    }
    tide_run_free(step.run);
}

static tide_db *open_db(void)
{
    struct tide_options options = {
        .size = sizeof(options),
        .dir = dir,
        .segment_size = UINT64_C(256) * 1024,
        .mark_interval_ms = 10,
        .checkpoint_interval_ms = 20,
        .memory_max = UINT64_C(1) << 30,
    };
    tide_db *db = NULL;
    struct tide_err e = {0};
    if (tide_open(&options, &db, NULL, &e) == TIDE_OK) return db;
    fprintf(stderr, "kill9: open: %s\n", e.message);
    _exit(EXIT_LOST);
}

static _Noreturn void live(bool is_last)
{
    tide_db *db = open_db();
    check_all(db);
    if (is_last) {
        if (tide_close(db, 10000, NULL) != TIDE_OK) give_up("close");
        db = open_db();
        check_all(db);
        if (tide_close(db, 10000, NULL) != TIDE_OK) give_up("close");
        exit(0);
    }
    static struct writer writers[WRITERS + 1];
    atomic_store(&oracle->is_open, true);
    for (uint32_t i = 0; i <= WRITERS; i++) {
        writers[i] = (struct writer){.db = db, .index = i};
        void *(*run)(void *) = i < WRITERS ? write_for_ever : keep_house;
        if (pthread_create(&writers[i].thread, NULL, run, &writers[i]) != 0) give_up("thread");
    }
    for (;;)
        pause();
}

/* --- the parent --- */

static void wait_us(uint64_t us)
{
    struct timespec pause = {.tv_sec = (time_t)(us / 1000000),
                             .tv_nsec = (long)(us % 1000000 * 1000)};
    while (nanosleep(&pause, &pause) != 0 && errno == EINTR)
        continue;
}

static uint64_t count_answered(void)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < WRITERS; i++)
        sum += atomic_load(&oracle->accounts[i].answered);
    return sum;
}

/* True when the child died by our hand, or ended well as the last one. */
static bool run_child(struct random *random, bool is_last)
{
    atomic_store(&oracle->is_open, false);
    pid_t child = fork();
    if (child < 0) give_up("fork");
    if (child == 0) live(is_last);
    int status = 0;
    if (!is_last) {
        /* One in five dies while it opens and checks, the others under load. */
        bool is_early = random_below(random, 5) == 0;
        if (is_early) {
            wait_us(random_below(random, 8000));
        } else {
            while (!atomic_load(&oracle->is_open) && waitpid(child, &status, WNOHANG) == 0)
                wait_us(200);
            wait_us(random_below(random, 20000));
            /* However slow the machine: a lane in which nothing is acknowledged shows nothing. */
            while (count_answered() == 0 && waitpid(child, &status, WNOHANG) == 0)
                wait_us(200);
        }
        (void)kill(child, SIGKILL); /* gone already: the status tells why */
    }
    if (waitpid(child, &status, 0) != child && errno != ECHILD) give_up("waitpid");
    if (is_last) return WIFEXITED(status) && WEXITSTATUS(status) == 0;
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static uint64_t number_given(int argc, char **argv, const char *name, uint64_t fallback)
{
    for (int i = 1; i + 1 < argc; i++) {
        if (strcmp(argv[i], name) == 0) return strtoull(argv[i + 1], NULL, 10);
    }
    return fallback;
}

/* Kills and looks, on a folder and with an oracle of its own. */
static int run_lane(uint64_t kills, uint64_t seed)
{
    struct random random;
    random_init(&random, seed);
    dir = tm_dir_make("kill9");
    oracle = mmap(NULL, sizeof(*oracle), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (oracle == MAP_FAILED) give_up("shared memory");
    for (uint64_t i = 0; i <= kills; i++) {
        if (run_child(&random, i == kills)) continue;
        fprintf(stderr,
                "kill9: seed %" PRIu64 ", after %" PRIu64 " kills; the folder is kept: %s\n", seed,
                i, dir);
        return 1;
    }
    uint64_t steps = count_answered();
    printf("kill9: seed %" PRIu64 ": %" PRIu64 " kills, %" PRIu64
           " acknowledged writes, none lost, none twice; %" PRIu64
           " were there although nobody was told\n",
           seed, kills, steps, atomic_load(&oracle->duplicates));
    tm_dir_remove(dir);
    return steps > 0 ? 0 : 1;
}

/* A life mostly waits for the disk, so several lanes at once cost little more than one. */
int main(int argc, char **argv)
{
    uint64_t kills = number_given(argc, argv, "--kills", 60);
    uint64_t seed = number_given(argc, argv, "--seed", 1);
    uint64_t lanes = number_given(argc, argv, "--lanes", 1);
    printf("kill9: seed %" PRIu64 ", %" PRIu64 " kills in %" PRIu64 " lanes\n", seed, kills, lanes);
    fflush(stdout);
    if (lanes <= 1) return run_lane(kills, seed);
    uint64_t left = kills;
    for (uint64_t i = 0; i < lanes; i++) {
        uint64_t share = left / (lanes - i);
        left -= share;
        pid_t lane = fork();
        if (lane < 0) give_up("fork");
        if (lane == 0) exit(run_lane(share, seed + i));
    }
    int worst = 0;
    for (uint64_t i = 0; i < lanes; i++) {
        int status = 0;
        if (wait(&status) < 0) give_up("wait");
        if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) worst = 1;
    }
    return worst;
}
