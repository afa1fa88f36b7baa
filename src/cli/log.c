/* log: the verbs that look into a data directory without a server. */
#include <stdio.h>

#include "base/text.h"
#include "cli/log_inspect.h"
#include "cli/log_transfer.h"
#include "cli/log_verify.h"
#include "cli/verbs.h"
#include "env/host.h"

static struct log_dir dir; /* its identity is too large for the stack */
static struct log_report report;

/* --- inspect --- */

enum { INSPECT_RECORDS, INSPECT_FROM, INSPECT_COUNT, INSPECT_JSON };

static int run_inspect(const struct cli_args *args)
{
    struct err e;
    uint64_t from = 0;
    uint64_t count = UINT64_MAX;
    if (!cli_u64(args->verb, "from", args->values[INSPECT_FROM], 0, UINT64_MAX, &from) ||
        !cli_u64(args->verb, "count", args->values[INSPECT_COUNT], 1, UINT64_MAX, &count)) {
        return CLI_USAGE;
    }
    host_catch_interrupts();
    const char *path = args->positional[0];
    enum code code = E_NOTFOUND;
    if (!host_is_directory(path)) code = log_dir_open_segment(path, &dir, &e);
    if (code == E_NOTFOUND) code = log_dir_open(path, &dir, &e);
    if (code != OK) {
        log_dir_close(&dir);
        cli_error(args->verb, "%s", e.text);
        return CLI_FAILED;
    }
    bool has_range = args->values[INSPECT_FROM] != NULL || args->values[INSPECT_COUNT] != NULL;
    struct log_inspect_options options = {
        .verb = args->verb,
        .wants_records = has_range || args->values[INSPECT_RECORDS] != NULL,
        .wants_json = args->values[INSPECT_JSON] != NULL,
        .from = seqno_of(from),
        .count = count,
    };
    int status = log_inspect(&dir, &options);
    log_dir_close(&dir);
    return status;
}

/* --- verify --- */

enum { VERIFY_JSON };

static void print_damage_json(const struct log_damage *damage)
{
    printf(",\"damage\":{\"file\":\"%s\"", damage->file);
    if (damage->has_offset) printf(",\"offset\":%llu", (unsigned long long)damage->offset);
    if (damage->first.v > 0) printf(",\"seqno\":%llu", (unsigned long long)damage->first.v);
    printf(",\"reason\":\"");
    cli_json_text(stdout, slice_of_text(damage->text));
    printf("\"}");
}

static void print_json(enum code code, const struct log_damage *damage)
{
    printf(
        "{\"ok\":%s,\"in_use\":%s,\"oldest\":%llu,\"end\":%llu,\"batches\":%llu,\"log_bytes\":%llu,"
        "\"checkpoints\":%llu,\"blocks\":%llu,\"state_bytes\":%llu,\"tail_cut\":%s,\"notes\":[",
        code == OK ? "true" : "false", dir.is_in_use ? "true" : "false",
        (unsigned long long)report.oldest.v, (unsigned long long)report.end.seqno.v,
        (unsigned long long)report.batches, (unsigned long long)report.log_bytes,
        (unsigned long long)report.manifests, (unsigned long long)report.blocks,
        (unsigned long long)report.state_bytes, report.is_tail_cut ? "true" : "false");
    for (size_t i = 0; i < report.note_count; i++) {
        printf("%s\"", i > 0 ? "," : "");
        cli_json_text(stdout, slice_of_text(report.notes[i]));
        printf("\"");
    }
    printf("]");
    if (code == E_CORRUPT) print_damage_json(damage);
    printf("}\n");
}

static void print_report(enum code code)
{
    char texts[4][CLI_COUNT_SIZE];
    const struct cli_paint *paint = cli_paint_of(stdout);
    for (size_t i = 0; i < report.note_count; i++) {
        printf("note: %s\n", report.notes[i]);
    }
    if (dir.is_in_use) {
        printf("note: process %lld uses the directory; what it writes meanwhile was left out\n",
               (long long)dir.user_pid);
    }
    if (code != OK) return;
    char token[TOKEN_SIZE_MAX + 1] = "";
    struct token t = token_of(&report.end);
    token[format_token(token, &t)] = '\0';
    printf("%s%s: whole.%s ", paint->good, dir.path, paint->off);
    if (report.end.seqno.v == 0) {
        printf("No records yet.\n");
        return;
    }
    printf("Records %llu to %llu in %s batches, %s of log; ends at %s.\n",
           (unsigned long long)report.oldest.v, (unsigned long long)report.end.seqno.v,
           cli_count(report.batches, texts[0]), cli_size(report.log_bytes, texts[1]), token);
    if (report.manifests == 0) return;
    printf("%llu checkpoint%s with %s blocks, %s.\n", (unsigned long long)report.manifests,
           report.manifests == 1 ? "" : "s", cli_count(report.blocks, texts[2]),
           cli_size(report.state_bytes, texts[3]));
}

static int tell_damage(const struct cli_args *args, const struct log_damage *damage)
{
    char place[96] = "";
    char record[64] = "";
    struct text t = text_of(place, sizeof(place));
    if (damage->has_offset) text_add(&t, " at offset %llu", (unsigned long long)damage->offset);
    t = text_of(record, sizeof(record));
    if (damage->first.v > 0) text_add(&t, ", record %llu", (unsigned long long)damage->first.v);
    cli_error(args->verb, "damage in %s%s%s: %s", damage->file, place, record, damage->text);
    return CLI_DAMAGE;
}

enum { LOOKS_MAX = 8 }; /* at the files of a running server, before damage is believed */

static int run_verify(const struct cli_args *args)
{
    struct err e;
    struct log_damage damage = {0};
    host_catch_interrupts();
    enum code code = log_dir_open(args->positional[0], &dir, &e);
    if (code == OK) {
        code = log_verify(&dir, &report, &damage, &e);
        /* A server may have sealed, replaced, removed or reused a file between two looks. */
        for (int looks = 1; looks < LOOKS_MAX && dir.is_in_use; looks++) {
            if (code != E_CORRUPT && code != E_NOTFOUND) break;
            log_dir_close(&dir);
            code = log_dir_open(args->positional[0], &dir, &e);
            if (code == OK) code = log_verify(&dir, &report, &damage, &e);
        }
    }
    if (code != OK && code != E_CORRUPT) {
        cli_error(args->verb, "%s", e.text);
        log_dir_close(&dir);
        return code == E_IO ? CLI_STORAGE : CLI_FAILED;
    }
    if (args->values[VERIFY_JSON] != NULL) {
        print_json(code, &damage);
    } else {
        print_report(code);
    }
    log_dir_close(&dir);
    return code == OK ? CLI_DONE : tell_damage(args, &damage);
}

struct cli_verb log_verb(void)
{
    static const struct cli_option inspect_options[] = {
        [INSPECT_RECORDS] = {"records", NULL, "show batches and records instead of segments"},
        [INSPECT_FROM] = {"from", "SEQNO", "show records from this one on"},
        [INSPECT_COUNT] = {"count", "N", "show at most N records"},
        [INSPECT_JSON] = {"json", NULL, "one JSON object per line"},
    };
    static const struct cli_option verify_options[] = {
        [VERIFY_JSON] = {"json", NULL, "the report as one JSON object"},
    };
    static const struct cli_verb children[] = {
        {.name = "inspect",
         .positional = "DIR|FILE",
         .summary = "show the segments of a data directory, or its records",
         .help = "DIR is what serve --dir was given; FILE one segment, such as a tail in "
                 "quarantine/.\nA running server is not disturbed.",
         .options = inspect_options,
         .option_count = COUNT_OF(inspect_options),
         .positional_min = 1,
         .positional_max = 1,
         .run = run_inspect},
        {.name = "verify",
         .positional = "DIR",
         .summary = "read everything and name the first damage by file, offset and record",
         .help =
             "Exit code 0: whole, also when a crash cut off a write that nobody was told about; "
             "3: damage\nfound. Nothing is changed. A running server is not disturbed.",
         .options = verify_options,
         .option_count = COUNT_OF(verify_options),
         .positional_min = 1,
         .positional_max = 1,
         .run = run_verify},
        {.name = "repair", .positional = "DIR", .summary = "accept or mend damage"},
        {.name = "export",
         .positional = "DIR OUTDIR",
         .summary = "copy what is durable in the log as files for another place",
         .help =
             "OUTDIR gets files named by stream, first record and chain, each written whole and "
             "never\nchanged; the next export goes on where they end. A running server is not "
             "disturbed. The files\nhold the log key: keep OUTDIR like DIR.",
         .options = log_export_options,
         .option_count = LOG_EXPORT_OPTION_COUNT,
         .positional_min = 2,
         .positional_max = 2,
         .run = log_run_export},
        {.name = "import",
         .positional = "DIR INDIR",
         .summary = "take files of log export into a directory that follows",
         .help =
             "DIR is new, or follows, and no server uses it. Everything is verified as if a leader "
             "had sent it.\nRepeating is harmless. Exit code 4: files are missing, or of another "
             "log; the sentence says which.\nDIR then serves reads; with serve --follow it goes on "
             "from a leader.",
         .options = log_import_options,
         .option_count = LOG_IMPORT_OPTION_COUNT,
         .positional_min = 2,
         .positional_max = 2,
         .run = log_run_import},
    };
    return (struct cli_verb){
        .name = "log",
        .positional = "",
        .summary = "look into a data directory; needs no server",
        .children = children,
        .child_count = COUNT_OF(children),
    };
}
