/* demo: the product shown on real input, in the order in which a doubter asks: it starts, it takes
 * a repository's history, followers keep up, they give the same answers, and a leader that dies
 * under load loses nothing that it acknowledged. Every claim that is printed was checked by figures
 * of the demo's own. Nothing is left behind, however it ends, unless --keep was given.
 */
#include <stdio.h>

#include "base/text.h"
#include "cli/demo_load.h"
#include "cli/git_log.h"
#include "cli/ingest.h"
#include "cli/nodes.h"
#include "cli/progress.h"
#include "cli/tally.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_FOLLOWERS, OPTION_KEEP };
#define FOLLOWERS_MAX   (NODES_MAX - 1)
#define GIT_PIECE_SIZE  (256 * KIB)
#define LAG_INTERVAL_NS (50 * NS_PER_MS)
#define PROOF_BATCH     500u
#define SHOWN_ITEMS     5
#define PRODUCER        "demo"
#define SIGNAL_TYPE     "commit"

struct demo {
    const struct cli_args *args;
    const struct cli_paint *paint;
    const char *repository;
    uint64_t follower_count;
    uint64_t started_ns;
    struct nodes nodes;
    struct ingest ingest;
    struct git_log git_log;
    struct tally tally;
    struct progress progress;
    struct load load;
    uint64_t commit_count; /* expected; 0: not known */
    bool has_pending;      /* an event that found no room yet */
    struct git_log_event pending;
    uint64_t lag_asked_ns;
    uint64_t lag_now;
    uint64_t lag_max;
    int64_t newest_ms; /* event time of the newest signal */
    double import_s;
};

static struct demo demo; /* its buffers are too large for the stack */

static double seconds_since(uint64_t ns)
{
    return (double)(host_mono_ns() - ns) / (double)NS_PER_S;
}

/* A step's heading, without a line end: what follows belongs to it. */
static void step(const struct demo *d, const char *name)
{
    printf("%s%-10s%s", d->paint->bold, name, d->paint->off);
    fflush(stdout);
}

/* --- git --- */

/* Run git to its end; its first line of output goes to out. */
static enum code ask_git(const struct demo *d, const char *const *words, char *out, size_t capacity,
                         int *out_exit, struct err *e)
{
    struct host_child child = {0};
    struct host_spawn how = {.words = words, .wants_output = true};
    (void)d;
    TRY(host_spawn(&how, &child, e));
    size_t size = 0;
    size_t got = 1;
    enum code code = OK;
    while (code == OK && got > 0 && size + 1 < capacity) {
        code = host_read(child.stdout_fd, out + size, capacity - 1 - size, &got, e);
        if (code == OK) size += got;
    }
    out[size] = '\0';
    out[strcspn(out, "\n")] = '\0';
    if (code == OK) (void)host_child_wait(&child, NODE_ANSWER_MS);
    host_child_kill(&child);
    *out_exit = child.exit_code;
    return code;
}

static enum code check_repository(struct demo *d, struct err *e)
{
    const char *path = host_environment("DEMO_REPO");
    d->repository = path != NULL && path[0] != '\0' ? path : ".";
    char line[256];
    int status = 0;
    const char *version[] = {"git", "--version", NULL};
    TRY(ask_git(d, version, line, sizeof(line), &status, e));
    if (status != 0) {
        return ERR(e, E_NOTFOUND,
                   "git is not installed; the demo reads the history of a git "
                   "repository: install git and run it again");
    }
    const char *inside[] = {"git", "-C", d->repository, "rev-parse", "--git-dir", NULL};
    TRY(ask_git(d, inside, line, sizeof(line), &status, e));
    if (status != 0) {
        return ERR(e, E_NOTFOUND,
                   "%s is not inside a git repository that can be read; run the demo "
                   "inside one, or set DEMO_REPO to one",
                   path != NULL ? path : "this directory");
    }
    const char *count[] = {"git",     "-C",          d->repository, "rev-list",
                           "--count", "--no-merges", "HEAD",        NULL};
    TRY(ask_git(d, count, line, sizeof(line), &status, e));
    if (status != 0 || !parse_u64(slice_of_text(line), &d->commit_count) || d->commit_count == 0) {
        return ERR(e, E_NOTFOUND,
                   "the repository has no commits yet; commit something, or set "
                   "DEMO_REPO to another repository");
    }
    return OK;
}

/* Every setting of the user that would change the output is set back. */
static enum code spawn_git_log(const struct demo *d, const char *error_path, struct host_child *out,
                               struct err *e)
{
    const char *words[] = {"git",
                           "-C",
                           d->repository,
                           "-c",
                           "log.showSignature=false",
                           "-c",
                           "log.showRoot=true",
                           "-c",
                           "core.commitGraph=true",
                           "log",
                           "-z",
                           "--no-merges",
                           "--no-renames",
                           "--no-color",
                           "--no-notes",
                           "--no-ext-diff",
                           "--no-textconv",
                           "--no-mailmap",
                           "--numstat",
                           GIT_LOG_FORMAT,
                           "HEAD",
                           NULL};
    struct host_spawn how = {.words = words, .error_path = error_path, .wants_output = true};
    return host_spawn(&how, out, e);
}

/* --- start --- */

static enum code start_nodes(struct demo *d, struct err *e)
{
    struct node *node = NULL;
    uint64_t started = host_mono_ns();
    TRY(nodes_init(&d->nodes, NULL, "tidemark-demo", e));
    printf("A leader and %llu follower%s on this machine, in %s\n\n",
           (unsigned long long)d->follower_count, d->follower_count == 1 ? "" : "s", d->nodes.dir);
    step(d, "start");
    TRY(nodes_add(&d->nodes, "leader", &node, e));
    printf("leader %s", node->data);
    for (uint64_t i = 1; i <= d->follower_count; i++) {
        char name[16];
        (void)snprintf(name, sizeof(name), "f%llu", (unsigned long long)i);
        TRY(nodes_add(&d->nodes, name, &node, e));
        printf(", %s %s", node->name, node->data);
    }
    printf("  (%.1f s)\n          metrics and status: http://%s/status.json\n",
           seconds_since(started), d->nodes.list[0].http);
    return OK;
}

/* --- import --- */

/* The largest lag in records that the leader knows of, without waiting for the answer. */
static enum code watch_lag(struct demo *d, struct err *e)
{
    struct node *leader = &d->nodes.list[0];
    uint64_t now = host_mono_ns();
    if (leader->client.unanswered == 0) {
        if (now - d->lag_asked_ns < LAG_INTERVAL_NS) return OK;
        d->lag_asked_ns = now;
        if (!resp_client_add_text(&leader->client, "REPL.STATUS")) return OK;
    }
    const struct resp_value *reply = NULL;
    resp_client_move(&leader->client);
    TRY(resp_client_take(&leader->client, &reply, e));
    const struct resp_value *followers = reply != NULL ? resp_field(reply, "followers") : NULL;
    if (followers == NULL || followers->kind != RESP_ARRAY) return OK;
    d->lag_now = 0;
    const struct resp_value *row = followers + 1;
    for (uint32_t i = 0; i < followers->count; i++, row += row->span) {
        const struct resp_value *lag = resp_field(row, "lag_records");
        if (lag == NULL || lag->kind != RESP_INTEGER || lag->integer < 0) continue;
        if ((uint64_t)lag->integer > d->lag_now) d->lag_now = (uint64_t)lag->integer;
    }
    if (d->lag_now > d->lag_max) d->lag_max = d->lag_now;
    return OK;
}

static bool send_event(struct demo *d, const struct git_log_event *event)
{
    char weight[24];
    size_t size = format_u64(weight, event->weight);
    struct ingest_signal signal = {.type = slice_of_text(SIGNAL_TYPE),
                                   .item = event->path,
                                   .weight = slice_of(weight, size),
                                   .at_ms = event->at_ms,
                                   .user = event->user};
    if (!ingest_add(&d->ingest, &signal)) return false;
    tally_add(&d->tally, event->path, event->at_ms, (double)event->weight);
    if (event->at_ms > d->newest_ms) d->newest_ms = event->at_ms;
    return true;
}

/* Send events until the window is full. True: more of git's output is wanted. */
static bool send_events(struct demo *d)
{
    for (;;) {
        if (!d->has_pending && !git_log_next(&d->git_log, &d->pending)) return true;
        d->has_pending = !send_event(d, &d->pending);
        if (d->has_pending) return false;
    }
}

static void draw_import(struct demo *d)
{
    char note[64];
    char lag[CLI_COUNT_SIZE];
    double share = -1;
    if (d->commit_count > 0) share = (double)d->git_log.commits / (double)d->commit_count;
    (void)snprintf(note, sizeof(note), "lag %s records", cli_count(d->lag_now, lag));
    progress_draw(&d->progress, d->ingest.acked, share, note);
}

static enum code pump_history(struct demo *d, struct host_child *git, struct err *e)
{
    static uint8_t piece[GIT_PIECE_SIZE];
    bool is_ended = false;
    for (;;) {
        bool wants_more = send_events(d) && !is_ended;
        if (is_ended && !d->has_pending && ingest_is_done(&d->ingest)) return OK;
        struct host_wait input = {.fd = wants_more ? git->stdout_fd : -1, .wants_read = true};
        TRY(ingest_step(&d->ingest, 20, &input, e));
        if (input.is_ready) {
            size_t size = 0;
            TRY(host_read(git->stdout_fd, piece, sizeof(piece), &size, e));
            git_log_feed(&d->git_log, slice_of(piece, size));
            is_ended = size == 0;
        }
        TRY(watch_lag(d, e));
        draw_import(d);
    }
}

/* What git complained about, for the sentence of a failure. */
static void read_complaint(const char *path, char *out, size_t capacity)
{
    struct err e;
    int fd = -1;
    size_t size = 0;
    out[0] = '\0';
    if (host_open(path, &fd, &e) != OK) return;
    if (host_pread(fd, 0, out, capacity - 1, &size, &e) != OK) size = 0;
    host_close(fd);
    out[size] = '\0';
    out[strcspn(out, "\n")] = '\0';
}

static void refuse_event(void *arg, uint64_t number, struct slice reason)
{
    struct demo *d = arg;
    progress_clear(&d->progress);
    fprintf(stderr, "signal %llu was refused: %.*s\n", (unsigned long long)number, (int)reason.size,
            (const char *)reason.data);
}

static enum code import_history(struct demo *d, struct err *e)
{
    struct host_child git = {0};
    char errors[HOST_PATH_SIZE];
    char complaint[200];
    uint64_t last = 0;
    struct text t = text_of(errors, sizeof(errors));
    text_add(&t, "%s/git.log", d->nodes.dir);
    struct ingest_options options = {.address = d->nodes.list[0].data,
                                     .producer = slice_of_text(PRODUCER),
                                     .refused = refuse_event,
                                     .arg = d};
    TRY(ingest_open(&d->ingest, &options, &last, e));
    TRY(spawn_git_log(d, errors, &git, e));
    progress_init(&d->progress, "signals");
    uint64_t started = host_mono_ns();
    enum code code = pump_history(d, &git, e);
    d->import_s = seconds_since(started);
    if (code == OK) (void)host_child_wait(&git, NODE_ANSWER_MS);
    host_child_kill(&git);
    progress_clear(&d->progress);
    if (code == OK && git.exit_code != 0) {
        read_complaint(errors, complaint, sizeof(complaint));
        code = ERR(e, E_IO, "git log failed with exit code %d: %s", git.exit_code, complaint);
    }
    if (code == OK) code = resp_client_settle(&d->nodes.list[0].client, NODE_ANSWER_MS, e);
    if (code == OK && d->ingest.refusals > 0) {
        code = ERR(e, E_INVALID, "the leader refused %llu signals",
                   (unsigned long long)d->ingest.refusals);
    }
    return code;
}

static void report_import(const struct demo *d)
{
    char texts[4][CLI_COUNT_SIZE];
    const struct git_log *g = &d->git_log;
    double rate = d->import_s > 0 ? (double)g->events / d->import_s : 0;
    printf("%s commits gave %s signals in %.1f s: %s a second\n", cli_count(g->commits, texts[0]),
           cli_count(g->events, texts[1]), d->import_s, cli_count((uint64_t)rate, texts[2]));
    printf("          largest lag of a follower meanwhile: %s records\n",
           cli_count(d->lag_max, texts[3]));
    if (g->commits_with_commit_time > 0) {
        printf("          %llu commits have the committer's time, the author's is not possible\n",
               (unsigned long long)g->commits_with_commit_time);
    }
    if (g->commits_skipped > 0) {
        printf("          %llu commits were left out: neither time is possible\n",
               (unsigned long long)g->commits_skipped);
    }
    if (g->paths_shortened > 0) {
        printf("          %llu paths over 255 bytes were shortened with a hash\n",
               (unsigned long long)g->paths_shortened);
    }
    if (g->entries_unreadable > 0) {
        printf("          %llu entries of git's output could not be read\n",
               (unsigned long long)g->entries_unreadable);
    }
}

static enum code take_history(struct demo *d, struct err *e)
{
    if (!d->progress.is_shown) step(d, "import"); /* else a progress line stands there first */
    git_log_init(&d->git_log, host_wall_ms() / 1000);
    tally_init(&d->tally);
    enum code code = import_history(d, e);
    if (d->progress.is_shown) step(d, "import");
    if (code != OK) return code;
    if (d->git_log.events == 0) {
        return ERR(e, E_NOTFOUND,
                   "the repository's history touches no files; set DEMO_REPO to "
                   "another repository");
    }
    report_import(d);
    return OK;
}

/* --- questions --- */

static enum code wait_equal(struct demo *d, const char *name, struct err *e)
{
    struct nodes_equality equality = {0};
    char shown[64];
    step(d, name);
    TRY(nodes_wait_equal(&d->nodes, &equality, e));
    struct text t = text_of(shown, sizeof(shown));
    const char *hex = strchr(equality.digest, ':');
    text_add(&t, "%.16s", hex != NULL ? hex + 1 : "");
    char count[CLI_COUNT_SIZE];
    printf("all %zu nodes at record %s after %.1f ms, digest %s... on each\n", d->nodes.count,
           cli_count(equality.seqno, count), (double)equality.wait_ns / 1e6, shown);
    return OK;
}

static enum code ask_hottest(struct demo *d, struct err *e)
{
    struct node *follower = &d->nodes.list[1];
    const struct resp_value *reply = NULL;
    char command[96];
    step(d, "ask");
    /* As of the newest commit: at today's time an old history has decayed to almost nothing. */
    (void)snprintf(command, sizeof(command), "RETRIEVE decayed:" SIGNAL_TYPE " LIMIT %d NOW %lld",
                   SHOWN_ITEMS, (long long)d->newest_ms);
    uint64_t asked = host_mono_ns();
    TRY(node_call(follower, command, &reply, e));
    double ms = (double)(host_mono_ns() - asked) / 1e6;
    const struct resp_value *items = resp_field(reply, "items");
    if (items == NULL || items->kind != RESP_ARRAY || items->count == 0) {
        return ERR(e, E_PROTOCOL, "follower %s knows no items", follower->name);
    }
    printf("follower %s: which files were worked on at the newest commit? (%.2f ms)\n",
           follower->name, ms);
    const struct resp_value *item = items + 1;
    for (uint32_t i = 0; i < items->count; i++, item += item->span) {
        char name[80];
        double score = 0;
        if (item->kind != RESP_ARRAY || item->count < 2) break;
        struct text t = text_of(name, sizeof(name));
        text_add_escaped(&t, item[1].text, 70);
        if (!parse_f64(item[2].text, &score)) score = 0;
        printf("          %12.2f  %s\n", score, name);
    }
    return OK;
}

/* Queue COUNT and SCORE of an item. */
static bool add_questions(struct resp_client *c, const struct tally_item *item)
{
    char at[24];
    int size = snprintf(at, sizeof(at), "%lld", (long long)item->newest_ms);
    struct slice count[] = {slice_of_text("COUNT"), slice_of_text(SIGNAL_TYPE), tally_key(item),
                            slice_of_text("all")};
    struct slice score[] = {slice_of_text("SCORE"), slice_of_text(SIGNAL_TYPE), tally_key(item),
                            slice_of_text("AT"), slice_of(at, (size_t)size)};
    return resp_client_add(c, count, COUNT_OF(count)) && resp_client_add(c, score, COUNT_OF(score));
}

static enum code take_answers(struct node *node, const struct tally_item *item, struct err *e)
{
    char name[80];
    struct text t = text_of(name, sizeof(name));
    text_add_escaped(&t, tally_key(item), 70);
    const struct resp_value *reply = NULL;
    TRY(resp_client_await(&node->client, NODE_ANSWER_MS, &reply, e));
    if (reply->kind != RESP_INTEGER || (uint64_t)reply->integer != item->count) {
        return ERR(e, E_DIVERGED, "node %s counts %lld signals of %s; %llu were sent", node->name,
                   (long long)reply->integer, name, (unsigned long long)item->count);
    }
    TRY(resp_client_await(&node->client, NODE_ANSWER_MS, &reply, e));
    double score = 0;
    bool is_number = reply->kind == RESP_TEXT && parse_f64(reply->text, &score);
    if (is_number && tally_score_agrees(item, score)) return OK;
    return ERR(e, E_DIVERGED, "node %s scores %s with %.*s; the sum of what was sent is %.17g",
               node->name, name, (int)reply->text.size, (const char *)reply->text.data,
               item->score);
}

/* Compare every kept item on one node with the demo's own sums. */
static enum code prove_history(struct demo *d, struct node *node, struct err *e)
{
    const struct tally *tally = &d->tally;
    for (uint32_t i = 0; i < tally->item_count; i += PROOF_BATCH) {
        uint32_t end = tally->item_count - i < PROOF_BATCH ? tally->item_count : i + PROOF_BATCH;
        for (uint32_t k = i; k < end; k++) {
            if (!add_questions(&node->client, &tally->items[k])) {
                return ERR(e, E_BUSY, "no room for questions");
            }
        }
        for (uint32_t k = i; k < end; k++) {
            TRY(take_answers(node, &tally->items[k], e));
        }
    }
    return OK;
}

static void report_proof(const struct demo *d, const char *where)
{
    char count[CLI_COUNT_SIZE];
    printf("          counts and scores of %s%s files agree with the demo's own sums on %s\n",
           d->tally.sample_bits > 0 ? "a sample of " : "", cli_count(d->tally.item_count, count),
           where);
}

static enum code ask_follower(struct demo *d, struct err *e)
{
    struct node *follower = &d->nodes.list[1];
    TRY(ask_hottest(d, e));
    TRY(prove_history(d, follower, e));
    report_proof(d, follower->name);
    return OK;
}

/* --- crash --- */

static enum code crash_leader(struct demo *d, struct err *e)
{
    char texts[4][CLI_COUNT_SIZE];
    struct load *load = &d->load;
    step(d, "crash");
    TRY(load_until_crash(load, &d->nodes.list[0], e));
    printf("leader killed (SIGKILL) under load: %s writes acknowledged, %s in flight\n",
           cli_count(load->acknowledged, texts[0]), cli_count(load->unknown, texts[1]));
    TRY(load_recover(load, &d->nodes, e));
    printf(
        "          back after %.0f ms at record %s; %s retried-unknown writes: %s were in the log, "
        "%s are new\n",
        (double)load->down_ns / 1e6, cli_count(load->recovered_seqno, texts[2]),
        cli_count(load->unknown, texts[1]), cli_count(load->unknown_there, texts[0]),
        cli_count(load->unknown - load->unknown_there, texts[3]));
    return OK;
}

static enum code prove_crash(struct demo *d, struct err *e)
{
    char sent[CLI_COUNT_SIZE];
    TRY(wait_equal(d, "proof", e));
    for (size_t i = 0; i < d->nodes.count; i++) {
        TRY(load_prove(&d->load, &d->nodes.list[i], e));
        TRY(prove_history(d, &d->nodes.list[i], e));
    }
    printf("          %s writes of the crash: each there exactly once on every node\n",
           cli_count(d->load.sent, sent));
    report_proof(d, "every node");
    return OK;
}

/* --- all of it --- */

static enum code tell(struct demo *d, struct err *e)
{
    TRY(check_repository(d, e));
    TRY(start_nodes(d, e));
    TRY(take_history(d, e));
    TRY(wait_equal(d, "followers", e));
    TRY(ask_follower(d, e));
    TRY(crash_leader(d, e));
    return prove_crash(d, e);
}

static void finish(struct demo *d)
{
    bool keeps = d->args->values[OPTION_KEEP] != NULL;
    tally_fini(&d->tally);
    ingest_close(&d->ingest);
    if (keeps && d->nodes.dir[0] != '\0') {
        printf("\nkept in %s; look with: tidemark log verify %s/leader\n", d->nodes.dir,
               d->nodes.dir);
    }
    nodes_fini(&d->nodes, keeps);
}

static int run(const struct cli_args *args)
{
    struct demo *d = &demo;
    struct err e;
    *d = (struct demo){.args = args, .follower_count = 2, .ingest.client.fd = -1};
    d->paint = cli_paint_of(stdout);
    if (!cli_u64(args->verb, "followers", args->values[OPTION_FOLLOWERS], 1, FOLLOWERS_MAX,
                 &d->follower_count)) {
        return CLI_USAGE;
    }
    host_catch_interrupts();
    d->started_ns = host_mono_ns();
    progress_init(&d->progress, "signals");
    enum code code = tell(d, &e);
    double seconds = seconds_since(d->started_ns);
    if (code != OK) {
        progress_clear(&d->progress);
        printf("\n");
        fflush(stdout);
        if (!host_is_interrupted()) nodes_show_logs(&d->nodes);
    }
    finish(d);
    if (code == OK) {
        printf("\n%sNothing acknowledged was lost, all nodes are equal.%s  %.1f s in all.\n",
               d->paint->good, d->paint->off, seconds);
        return CLI_DONE;
    }
    cli_error(args->verb, "%s", host_is_interrupted() ? "interrupted" : e.text);
    return CLI_FAILED;
}

struct cli_verb demo_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_FOLLOWERS] = {"followers", "N", "how many followers, 1 to 8; 2"},
        [OPTION_KEEP] = {"keep", NULL, "keep the data directories"},
    };
    return (struct cli_verb){
        .name = "demo",
        .positional = "",
        .summary = "leader, followers, real input, a crash: shows what is promised and checks it",
        .help =
            "Reads the history of the git repository around the current directory, or of "
            "DEMO_REPO:\nevery commit is a signal of each file it touches. Works in a temporary "
            "directory (TMPDIR)\non free ports of the loopback interface.",
        .options = options,
        .option_count = COUNT_OF(options),
        .run = run,
    };
}
