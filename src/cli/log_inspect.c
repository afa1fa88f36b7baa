/* log_inspect: printing segments, batches and records, for people or as JSON lines. */
#include "cli/log_inspect.h"

#include <stdio.h>
#include <time.h>

#include "base/text.h"
#include "cli/cli.h"
#include "format/record.h"

#define RECORD_TEXT_SIZE 512
#define TIME_SIZE        32

struct inspect {
    const struct log_dir *dir;
    const struct log_inspect_options *options;
    struct position at;
    uint64_t shown; /* records */
    uint8_t *window;
};

/* What a walk through one segment saw. */
struct summary {
    uint64_t batches;
    seqno last;
    bool is_whole;         /* the walk reached the end without a stop */
    enum reader_stop stop; /* else why */
    uint64_t offset;       /* where */
};

static void format_time(uint64_t ms, char out[TIME_SIZE])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm parts;
    struct text t = text_of(out, TIME_SIZE);
    if (gmtime_r(&seconds, &parts) == NULL) {
        text_add(&t, "%llu ms", (unsigned long long)ms);
        return;
    }
    text_add(&t, "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ", parts.tm_year + 1900, parts.tm_mon + 1,
             parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, (int)(ms % 1000));
}

/* --- records --- */

static void print_record(const struct inspect *inspect, const struct reader_batch *batch,
                         const struct record *record, seqno number)
{
    char text[RECORD_TEXT_SIZE];
    char time[TIME_SIZE];
    struct text t = text_of(text, sizeof(text));
    record_describe(record, &t);
    uint64_t ms = hlc_ms(batch->header.leader_time);
    if (!inspect->options->wants_json) {
        printf("  %10llu  %s\n", (unsigned long long)number.v, text);
        return;
    }
    format_time(ms, time);
    printf("{\"seqno\":%llu,\"epoch\":%llu,\"time\":\"%s\",\"time_ms\":%llu,\"kind\":\"%s\","
           "\"text\":\"",
           (unsigned long long)number.v, (unsigned long long)batch->header.epoch.number, time,
           (unsigned long long)ms, record_kind_name(record->kind));
    cli_json_text(stdout, slice_of(text, t.size));
    printf("\"}\n");
}

static void print_batch(const struct inspect *inspect, const struct reader_batch *batch,
                        const char *name)
{
    char time[TIME_SIZE];
    const struct batch_header *h = &batch->header;
    format_time(hlc_ms(h->leader_time), time);
    const struct cli_paint *paint = cli_paint_of(stdout);
    if (inspect->options->wants_json) return;
    printf(
        "%sbatch %llu..%llu%s  epoch %llu  %s  %s offset %llu  %zu bytes  chain %02x%02x%02x%02x\n",
        paint->bold, (unsigned long long)h->first.v, (unsigned long long)batch->position.seqno.v,
        paint->off, (unsigned long long)h->epoch.number, time, name,
        (unsigned long long)batch->offset, batch->bytes.size, batch->position.chain.bytes[0],
        batch->position.chain.bytes[1], batch->position.chain.bytes[2],
        batch->position.chain.bytes[3]);
}

static void print_records(struct inspect *inspect, const struct reader_batch *batch,
                          const char *name)
{
    const struct log_inspect_options *options = inspect->options;
    if (batch->position.seqno.v < options->from.v || inspect->shown >= options->count) return;
    print_batch(inspect, batch, name);
    struct bytes_reader payload = bytes_reader_of(batch->payload);
    int64_t base_ms = (int64_t)hlc_ms(batch->header.leader_time);
    seqno number = batch->header.first;
    for (uint32_t i = 0; i < batch->header.record_count; i++, number = seqno_next(number)) {
        struct record record;
        struct err e;
        if (record_decode(&payload, base_ms, &record, &e) != OK) return; /* the reader checked it */
        if (number.v < options->from.v || inspect->shown >= options->count) continue;
        print_record(inspect, batch, &record, number);
        inspect->shown++;
    }
}

/* --- segments --- */

static bool is_enough(const struct inspect *inspect)
{
    bool is_full = inspect->options->wants_records && inspect->shown >= inspect->options->count;
    return is_full || ferror(stdout) != 0 || host_is_interrupted();
}

static enum code walk(struct inspect *inspect, const struct log_file *file, struct summary *out,
                      struct err *e)
{
    char name[LOG_NAME_SIZE];
    int fd = -1;
    log_file_name(file, name);
    TRY(log_dir_open_file(inspect->dir, name, &fd, e));
    struct reader_input input = {
        .source = log_fd_source,
        .context = &fd,
        .id = log_dir_identity(inspect->dir, file),
        .start = {.epoch = file->header.epoch.number,
                  .seqno = seqno_of(file->header.first.v - 1),
                  .chain = file->header.chain_at_start},
        .offset = SEGMENT_HEADER_SIZE,
        .limit = file->is_sealed ? file->footer_offset : file->size,
        .buffer = inspect->window,
        .buffer_size = LOG_WINDOW_SIZE,
    };
    struct reader reader;
    reader_init(&reader, &input);
    enum reader_result result = READER_BATCH;
    *out = (struct summary){.last = input.start.seqno};
    while (result == READER_BATCH && !is_enough(inspect)) {
        struct reader_batch batch;
        result = reader_next(&reader, &batch, &out->stop, e);
        if (result != READER_BATCH) break;
        out->batches++;
        out->last = batch.position.seqno;
        if (inspect->options->wants_records) print_records(inspect, &batch, name);
    }
    host_close(fd);
    out->is_whole = result != READER_STOP;
    out->offset = reader.offset;
    return result == READER_IO ? e->code : OK;
}

static const char *state_of(const struct log_file *file, const struct summary *s)
{
    if (file->is_sealed) return s->is_whole ? "sealed" : "damaged";
    if (s->is_whole || s->stop == STOP_ZEROS) return "open";
    return "open, cut off";
}

static void print_segment(const struct inspect *inspect, const struct log_file *file,
                          const struct summary *s)
{
    char name[LOG_NAME_SIZE];
    char size[CLI_COUNT_SIZE];
    log_file_name(file, name);
    const char *state = state_of(file, s);
    if (inspect->options->wants_json) {
        printf("{\"segment\":\"%s\",\"first\":%llu,\"last\":%llu,\"batches\":%llu,\"bytes\":%llu,"
               "\"data_end\":%llu,\"state\":\"%s\"}\n",
               name, (unsigned long long)file->header.first.v, (unsigned long long)s->last.v,
               (unsigned long long)s->batches, (unsigned long long)file->size,
               (unsigned long long)s->offset, state);
        return;
    }
    printf("%-26s %12llu %12llu %10llu %12s  %s\n", name, (unsigned long long)file->header.first.v,
           (unsigned long long)s->last.v, (unsigned long long)s->batches,
           cli_size(file->size, size), state);
    if (!s->is_whole && s->stop != STOP_ZEROS) {
        printf("    ends at offset %llu: %s\n", (unsigned long long)s->offset,
               reader_stop_text(s->stop));
    }
}

static void print_other(const struct inspect *inspect, const struct log_file *file)
{
    char name[LOG_NAME_SIZE];
    char size[CLI_COUNT_SIZE];
    log_file_name(file, name);
    const char *state = file->verdict == SEGMENT_NEWER ? "of a newer format"
                        : file->content_size > 0       ? "its header does not verify"
                                                       : "spare";
    if (inspect->options->wants_json) {
        printf("{\"segment\":\"%s\",\"bytes\":%llu,\"state\":\"%s\"}\n", name,
               (unsigned long long)file->size, state);
        return;
    }
    printf("%-26s %12s %12s %10s %12s  %s\n", name, "-", "-", "-", cli_size(file->size, size),
           state);
}

static void print_head(const struct log_dir *dir)
{
    const struct cli_paint *paint = cli_paint_of(stdout);
    if (dir->has_identity) {
        printf("%s%s%s: node %s, %s, epoch %llu, region %u shard %u\n", paint->bold, dir->path,
               paint->off, dir->identity.node_id, role_name((enum role)dir->identity.role),
               (unsigned long long)dir->identity.highest_epoch, dir->identity.stream.region,
               dir->identity.stream.shard);
    } else if (dir->file_count == 1 && dir->files[0].name[0] != '\0') {
        printf("%s%s/%s%s: a segment, begun in epoch %llu\n", paint->bold, dir->path,
               dir->files[0].name, paint->off,
               (unsigned long long)dir->files[0].header.epoch.number);
    } else {
        printf("%s: no copy of identity can be read\n", dir->path);
    }
    if (dir->has_mark) {
        printf("acknowledged at least up to record %llu\n",
               (unsigned long long)dir->mark.durable.seqno.v);
    }
    if (dir->is_in_use) {
        printf("in use by process %lld: what it writes meanwhile may be missing here\n",
               (long long)dir->user_pid);
    }
}

/* Skip a segment that ends before the records asked for. */
static bool is_before(const struct log_dir *dir, const struct log_file *file, seqno from)
{
    const struct log_file *next = file + 1;
    return next < dir->files + dir->segment_count && next->header.first.v <= from.v;
}

int log_inspect(const struct log_dir *dir, const struct log_inspect_options *options)
{
    struct inspect inspect = {.dir = dir, .options = options};
    inspect.window = cli_take(LOG_WINDOW_SIZE);
    bool is_table = !options->wants_json && !options->wants_records;
    bool is_damaged = false;
    if (!options->wants_json) print_head(dir);
    if (is_table) {
        printf("%-26s %12s %12s %10s %12s  %s\n", "segment", "first", "last", "batches", "size",
               "state");
    }
    enum code code = OK;
    struct err e;
    for (size_t i = 0; code == OK && i < dir->segment_count && !is_enough(&inspect); i++) {
        const struct log_file *file = &dir->files[i];
        struct summary summary;
        if (options->wants_records && is_before(dir, file, options->from)) continue;
        code = walk(&inspect, file, &summary, &e);
        if (code != OK) break;
        is_damaged = is_damaged || (file->is_sealed && !summary.is_whole);
        if (!options->wants_records) print_segment(&inspect, file, &summary);
    }
    for (size_t i = dir->segment_count; !options->wants_records && i < dir->file_count; i++) {
        print_other(&inspect, &dir->files[i]);
    }
    cli_put(inspect.window, LOG_WINDOW_SIZE);
    if (code != OK) return cli_failure(options->verb, &e);
    if (!is_damaged) return CLI_DONE;
    cli_error(options->verb, "a sealed segment is damaged; \"tidemark log verify %s\" says where",
              dir->path);
    return CLI_DAMAGE;
}
