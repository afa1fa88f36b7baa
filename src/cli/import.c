/* import: signals in bulk from a file or a pipe, exactly once.
 *
 * Line number n is element n of a producer sequence (cli/ingest), so that a run that was cut off,
 * by either side, goes on where the server stands. The name of the sequence is --name, or made from
 * the file: "file-" and a hash of its absolute path and first line. Such a name stays the same
 * while the file grows, and changes when another day's file takes its place. A pipe has no
 * identity: without --name its name is random, and only this run can go on.
 *
 * A line that is no signal is reported with its number and skipped; blank lines are skipped
 * silently. With bad lines the exit code is 1, although every good line is stored: a script must
 * not take a half-read file for a whole one.
 */
#include "base/hash.h"
#include "base/text.h"
#include "cli/ingest.h"
#include "cli/lines.h"
#include "cli/progress.h"
#include "cli/tsv.h"
#include "cli/verbs.h"
#include "env/host.h"

enum { OPTION_FORMAT, OPTION_NAME, OPTION_TO };
#define NAME_SIZE_MAX   255
#define REASON_SIZE     400
#define STEP_MS         200
#define NAME_HASH_BYTES 12

struct import {
    const struct cli_args *args;
    const char *source; /* how the input is called in messages */
    int fd;
    uint64_t input_size; /* 0: not known */
    uint64_t input_read;
    char name[NAME_SIZE_MAX + 1];
    bool has_stable_name;
    struct lines lines;
    struct ingest ingest;
    struct progress progress;
    uint64_t resumed_at; /* lines that were in already */
    uint64_t bad;
    uint64_t blank;
    bool has_pending; /* a line that found no room yet */
    struct line pending;
    /* neighbouring bad lines with one reason are reported together */
    uint64_t report_first;
    uint64_t report_last;
    char report_reason[REASON_SIZE];
};

static struct import import; /* its buffers are too large for the stack */

/* --- reports about lines --- */

static void flush_report(struct import *m)
{
    if (m->report_first == 0) return;
    progress_clear(&m->progress);
    if (m->report_first == m->report_last) {
        fprintf(stderr, "%s line %llu: %s\n", m->source, (unsigned long long)m->report_first,
                m->report_reason);
    } else {
        fprintf(stderr, "%s lines %llu to %llu: %s\n", m->source,
                (unsigned long long)m->report_first, (unsigned long long)m->report_last,
                m->report_reason);
    }
    m->report_first = 0;
}

static void report_bad(struct import *m, uint64_t number, const char *reason)
{
    m->bad++;
    bool is_next = m->report_first != 0 && number == m->report_last + 1;
    if (is_next && strcmp(m->report_reason, reason) == 0) {
        m->report_last = number;
        return;
    }
    flush_report(m);
    m->report_first = number;
    m->report_last = number;
    struct text t = text_of(m->report_reason, sizeof(m->report_reason));
    text_add(&t, "%s", reason);
}

static void report_refused(void *arg, uint64_t number, struct slice reason)
{
    char shown[REASON_SIZE];
    struct text t = text_of(shown, sizeof(shown));
    text_add_escaped(&t, reason, sizeof(shown) - 8);
    report_bad(arg, number, shown);
}

/* --- lines --- */

/* Hand a line to the ingest. False: no room, try again later. */
static bool take_line(struct import *m, const struct line *line)
{
    if (line->number <= m->resumed_at) return true;
    struct slice text = line->text;
    if (line->number == 1 && text.size >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0) {
        text = slice_of(text.data + 3, text.size - 3); /* a byte order mark */
    }
    char shown[REASON_SIZE];
    struct text reason = text_of(shown, sizeof(shown));
    struct tsv_signal signal;
    enum tsv_verdict verdict = TSV_BAD;
    if (line->is_overlong) {
        text_add(&reason, "longer than %llu bytes", (unsigned long long)LINES_SIZE_MAX);
    } else {
        verdict = tsv_parse(text, &signal, &reason);
    }
    if (verdict == TSV_SIGNAL) {
        return ingest_add(&m->ingest, &(struct ingest_signal){.type = signal.type,
                                                              .item = signal.item,
                                                              .weight = signal.weight,
                                                              .at_ms = signal.at_ms,
                                                              .user = signal.user,
                                                              .key = signal.key});
    }
    if (!ingest_skip(&m->ingest)) return false;
    if (verdict == TSV_BAD) {
        report_bad(m, line->number, shown);
    } else {
        m->blank++;
    }
    return true;
}

/* Hand over lines until the buffer or the window is exhausted. True: more input is wanted. */
static bool take_lines(struct import *m)
{
    for (;;) {
        if (!m->has_pending && !lines_next(&m->lines, &m->pending)) return true;
        m->has_pending = !take_line(m, &m->pending);
        if (m->has_pending) return false;
    }
}

static enum code read_more(struct import *m, struct err *e)
{
    size_t room = 0;
    uint8_t *to = lines_room(&m->lines, &room);
    size_t size = 0;
    TRY(host_read(m->fd, to, room, &size, e));
    lines_add(&m->lines, size);
    m->input_read += size;
    if (size == 0) lines_end(&m->lines);
    return OK;
}

static void draw(struct import *m)
{
    double share = -1;
    if (m->input_size > 0) {
        double waiting = (double)(m->lines.end - m->lines.start);
        share = ((double)m->input_read - waiting) / (double)m->input_size;
    }
    uint64_t done = m->ingest.acked > m->resumed_at ? m->ingest.acked - m->resumed_at : 0;
    bool is_away = m->ingest.state == INGEST_DETACHED || m->ingest.state == INGEST_RESTING;
    progress_draw(&m->progress, done, share, is_away ? "waiting for the server" : "");
}

static enum code pump(struct import *m, struct err *e)
{
    for (;;) {
        bool wants_input = take_lines(m) && !m->lines.is_ended;
        if (m->lines.is_ended && !m->has_pending && m->lines.start == m->lines.end &&
            ingest_is_done(&m->ingest)) {
            return OK;
        }
        struct host_wait input = {.fd = wants_input ? m->fd : -1, .wants_read = true};
        TRY(ingest_step(&m->ingest, STEP_MS, &input, e));
        if (input.is_ready) TRY(read_more(m, e));
        draw(m);
    }
}

/* --- identity --- */

static enum code name_of_file(struct import *m, const char *path, struct err *e)
{
    static uint8_t start[LINES_SIZE_MAX];
    char absolute[HOST_PATH_SIZE];
    size_t size = 0;
    TRY(host_absolute_path(path, absolute, e));
    TRY(host_pread(m->fd, 0, start, sizeof(start), &size, e));
    const uint8_t *newline = size > 0 ? memchr(start, '\n', size) : NULL;
    if (newline != NULL) size = (size_t)(newline - start);
    /* The NUL of the path goes in too, so that path and line cannot be confused. */
    struct hash256 hash =
        hash256_of_pair(slice_of(absolute, strlen(absolute) + 1), slice_of(start, size));
    struct text t = text_of(m->name, sizeof(m->name));
    text_add(&t, "file-");
    text_add_hex(&t, hash.bytes, NAME_HASH_BYTES);
    return OK;
}

static enum code choose_name(struct import *m, const char *path, struct err *e)
{
    const char *name = m->args->values[OPTION_NAME];
    struct text t = text_of(m->name, sizeof(m->name));
    m->has_stable_name = true;
    if (name != NULL) {
        text_add(&t, "%s", name);
        if (t.is_cut || name[0] == '\0') {
            return ERR(e, E_LIMIT, "--name has %zu bytes; 1 to 255 are possible", strlen(name));
        }
        return OK;
    }
    if (m->input_size > 0) return name_of_file(m, path, e);
    m->has_stable_name = false;
    text_add(&t, "pipe-%016llx", (unsigned long long)host_random());
    return OK;
}

static enum code open_input(struct import *m, struct err *e)
{
    const char *path = m->args->positional_count > 0 ? m->args->positional[0] : "-";
    bool is_standard = strcmp(path, "-") == 0;
    m->source = is_standard ? "(standard input)" : path;
    m->fd = 0;
    if (!is_standard) {
        if (host_is_directory(path)) {
            return ERR(e, E_INVALID, "%s is a directory; name a file", path);
        }
        TRY(host_open(path, &m->fd, e));
        if (!host_is_regular(m->fd, &m->input_size)) m->input_size = 0;
    }
    return choose_name(m, path, e);
}

/* --- the end --- */

static enum code check_length(const struct import *m, struct err *e)
{
    if (m->lines.number >= m->resumed_at) return OK;
    return ERR(e, E_INVALID,
               "%s has %llu lines, but the producer \"%s\" is at line %llu: it is another file or "
               "was cut; give a new --name to import it from its start",
               m->source, (unsigned long long)m->lines.number, m->name,
               (unsigned long long)m->resumed_at);
}

static void print_summary(const struct import *m)
{
    char texts[4][CLI_COUNT_SIZE];
    double seconds = (double)(host_mono_ns() - m->progress.started_ns) / (double)NS_PER_S;
    uint64_t taken = m->ingest.acked - m->resumed_at;
    uint64_t stored = taken - m->bad - m->blank;
    printf("%s signals stored from %s lines of %s in %.1f s", cli_count(stored, texts[0]),
           cli_count(taken, texts[1]), m->source, seconds);
    if (seconds > 0.5) printf(" (%s/s)", cli_count((uint64_t)((double)stored / seconds), texts[2]));
    if (m->resumed_at > 0) {
        printf("; %s lines were in already", cli_count(m->resumed_at, texts[3]));
    }
    printf("\n");
}

static int finish(struct import *m, enum code code, const struct err *e)
{
    progress_clear(&m->progress);
    flush_report(m);
    struct err length = {.code = OK};
    if (code == OK) code = check_length(m, &length);
    if (length.code != OK) {
        cli_error(m->args->verb, "%s", length.text);
        return CLI_FAILED;
    }
    if (code != OK) {
        const char *advice = m->has_stable_name ? "run the same command again to go on"
                                                : "give a --name to be able to go on";
        cli_error(m->args->verb, "%s; lines up to %llu are stored: %s", e->text,
                  (unsigned long long)m->ingest.acked, advice);
        return CLI_FAILED;
    }
    print_summary(m);
    if (m->bad == 0) return CLI_DONE;
    cli_error(m->args->verb,
              "%llu bad lines were skipped, each is reported above; all others are in",
              (unsigned long long)m->bad);
    return CLI_FAILED;
}

static int run(const struct cli_args *args)
{
    struct import *m = &import;
    struct err e;
    m->args = args;
    const char *format = args->values[OPTION_FORMAT];
    if (format != NULL && strcmp(format, "tsv") != 0) {
        bool is_known = strcmp(format, "ndjson") == 0;
        cli_error(args->verb, "--format %s %s", format,
                  is_known ? "is not in this version; use tsv" : "is unknown; use tsv");
        return is_known ? CLI_FAILED : CLI_USAGE;
    }
    host_catch_interrupts();
    const char *address =
        args->values[OPTION_TO] != NULL ? args->values[OPTION_TO] : "127.0.0.1:7400";
    if (open_input(m, &e) != OK) {
        cli_error(args->verb, "%s", e.text);
        return CLI_FAILED;
    }
    lines_init(&m->lines);
    progress_init(&m->progress, "lines");
    struct ingest_options options = {.address = address,
                                     .producer = slice_of_text(m->name),
                                     .refused = report_refused,
                                     .arg = m};
    if (ingest_open(&m->ingest, &options, &m->resumed_at, &e) != OK) {
        cli_error(args->verb, "%s; start a server with \"tidemark serve\" or name one with --to",
                  e.text);
        ingest_close(&m->ingest);
        return CLI_FAILED;
    }
    if (m->resumed_at > 0) {
        fprintf(stderr, "going on behind line %llu, as producer \"%s\"\n",
                (unsigned long long)m->resumed_at, m->name);
    }
    enum code code = pump(m, &e);
    int status = finish(m, code, &e);
    ingest_close(&m->ingest);
    if (m->fd > 0) host_close(m->fd);
    return status;
}

struct cli_verb import_verb(void)
{
    static const struct cli_option options[] = {
        [OPTION_FORMAT] = {"format", "tsv", "form of the input; ndjson is not in this version"},
        [OPTION_NAME] = {"name", "NAME", "what the server remembers this input by, to go on later"},
        [OPTION_TO] = {"to", "HOST:PORT", "the leader's data address; 127.0.0.1:7400"},
    };
    return (struct cli_verb){
        .name = "import",
        .positional = "[FILE|-]",
        .summary = "store signals in bulk from a file or a pipe, each exactly once",
        .help =
            "A line is: time_ms TAB type TAB item [TAB weight [TAB user [TAB key]]], with the "
            "time in\nmilliseconds since 1970. Run the same command again after a crash, or when "
            "the file has\ngrown: it goes on where the server stands, however long ago that was. "
            "The server knows a\nfile by its absolute path and first line, or by --name.\n"
            "Bad lines are reported with their number and skipped; the exit code is then 1.",
        .options = options,
        .option_count = COUNT_OF(options),
        .positional_max = 1,
        .run = run,
    };
}
