/* log: the live log by itself: rolling, the tail in memory, cold reads, proofs, and how many bytes
 * come after a record. Batches are made here; nobody applies them. */
#include "engine/log.h"

#include "base/random.h"
#include "engine/log_internal.h"
#include "engine/log_open.h"
#include "support/node.h"

enum { BATCHES_MAX = 2000 };

struct fixture {
    char *dir;
    struct env *env;
    struct config config;
    struct log_identity id;
    struct log *log;
    uint64_t hooked_first;
    uint64_t hooked_last;
    uint64_t syncs;
    /* what was written, for comparison */
    struct position ends[BATCHES_MAX + 1]; /* ends[0]: the beginning */
    uint64_t bytes_end[BATCHES_MAX + 1];
    struct slice batches[BATCHES_MAX];
    uint32_t count;
};

static void segment_opened(void *owner, uint64_t first, uint64_t last)
{
    struct fixture *f = owner;
    f->hooked_first = first;
    f->hooked_last = last;
}

static void synced(void *owner, uint64_t sync_ns, uint64_t records, uint64_t bytes)
{
    struct fixture *f = owner;
    (void)sync_ns;
    assert_true(records > 0);
    assert_true(bytes > 0);
    f->syncs++;
}

static void open_log(struct fixture *f)
{
    struct log_hooks hooks = {.owner = f, .segment_opened = segment_opened, .synced = synced};
    struct position base = {0};
    f->log = log_new(f->env, &f->id, &f->config, &hooks, &base, 0);
    struct err e;
    struct log_continue from = {.next_file_id = 1};
    assert_int_equal(log_start(f->log, &from, &e), OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    f->dir = tm_dir_make_fast("log");
    f->env = steps_open(f->dir);
    struct err e;
    assert_int_equal(f->env->v->make_dir(f->env, "log", &e), OK);
    struct tide_options options = node_options(f->dir);
    options.tail_buffer = 64 * KIB;
    assert_int_equal(config_from_options(&options, &f->config, &e), OK);
    f->id = (struct log_identity){.cluster = {{1, 2, 3}}, .log_key = 77};
    open_log(f);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    log_free(f->log);
    for (uint32_t i = 0; i < f->count; i++)
        free((void *)(uintptr_t)f->batches[i].data);
    steps_close(f->env);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}

/* A batch of `records` noop-sized records that follows everything before it; remembered. */
static void make_batch(struct fixture *f, struct log_chunk *chunk, uint32_t records, size_t payload)
{
    const struct position *before = &f->ends[f->count];
    uint8_t *bytes = calloc(1, BATCH_HEADER_SIZE + payload);
    assert_non_null(bytes);
    assert_true(f->count < BATCHES_MAX);
    for (size_t i = 0; i < payload; i++)
        bytes[BATCH_HEADER_SIZE + i] = (uint8_t)(f->count + i * 7);
    struct batch_header h = {
        .record_count = records,
        .cluster = f->id.cluster,
        .stream = f->id.stream,
        .epoch = {.number = 1, .nonce = 5},
        .first = seqno_next(before->seqno),
        .payload_size = (uint32_t)payload,
        .raw_size = (uint32_t)payload,
        .leader_time = hlc_of_ms(1000 + f->count),
        .durable_through = log_durable(f->log).seqno,
        .previous_chain = before->chain,
        .payload_hash = hash256_of(slice_of(bytes + BATCH_HEADER_SIZE, payload)),
    };
    batch_header_encode(&h, f->id.log_key, bytes);
    struct position end = {.epoch = 1, .seqno = batch_last(&h), .chain = batch_chain(bytes)};
    struct slice batch = slice_of(bytes, BATCH_HEADER_SIZE + payload);
    f->batches[f->count] = batch;
    f->bytes_end[f->count + 1] = f->bytes_end[f->count] + batch_file_size(&h);
    f->ends[++f->count] = end;
    assert_true(chunk_add(chunk, batch, &h, &end));
}

static void written(void *arg, struct log_chunk *chunk, enum code code, const struct err *e)
{
    (void)chunk;
    (void)e;
    *(enum code *)arg = code;
}

static enum code write_chunk(struct fixture *f, struct log_chunk *chunk)
{
    enum code code = E_UNKNOWN;
    log_write(f->log, chunk, written, &code);
    steps_run(f->env);
    return code;
}

/* Write batches one by one, some of them several to a chunk. */
static void write_batches(struct fixture *f, uint32_t count, struct random *random)
{
    while (f->count < count) {
        uint32_t together = 1 + (uint32_t)random_below(random, 3);
        struct log_chunk *chunk = chunk_new(f->log, together * 1536, together);
        assert_non_null(chunk);
        for (uint32_t i = 0; i < together && f->count < count; i++) {
            uint32_t records = 1 + (uint32_t)random_below(random, 40);
            size_t payload = records * 3 + random_below(random, 900);
            make_batch(f, chunk, records, payload);
        }
        assert_int_equal(write_chunk(f, chunk), OK);
        assert_true(position_equal(&f->ends[f->count], &(struct position){
                                                           .epoch = log_durable(f->log).epoch,
                                                           .seqno = log_durable(f->log).seqno,
                                                           .chain = log_durable(f->log).chain,
                                                       }));
        assert_int_equal(log_durable_bytes(f->log), f->bytes_end[f->count]);
    }
}

/* --- writing --- */

static void segments_roll_at_their_size_and_follow_each_other(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 3);
    write_batches(f, 600, &random);
    struct file_names names;
    segments_list(f->dir, &names);
    assert_int_equal(names.count, f->log->segment_count);
    assert_true(names.count > 3);
    struct position at = {0};
    for (uint32_t i = 0; i < f->log->segment_count; i++) {
        const struct log_segment *segment = &f->log->segments[i];
        assert_true(position_equal(&segment->start, &at));
        assert_true(segment->data_end <= f->config.segment_size);
        assert_int_equal(segment->is_sealed, i + 1 < f->log->segment_count);
        assert_int_equal(segment->first.v, at.seqno.v + 1);
        at = segment->end;
        size_t size;
        free(file_read(f->dir, names.names[i], &size));
        if (segment->is_sealed) assert_true(size > segment->data_end);
    }
    assert_int_equal(at.seqno.v, log_durable(f->log).seqno.v);
    assert_true(f->syncs > 100);
    assert_int_equal(f->hooked_last, f->log->segments[f->log->segment_count - 1].file_id);
}

/* The newest segment is sealed, and its footer holds the hash of every 64 KiB before it. */
static void assert_sealed_with_hashes(struct fixture *f)
{
    struct file_names names;
    struct segment_footer footer;
    struct err e;
    size_t size = 0;
    segments_list(f->dir, &names);
    uint8_t *bytes = file_read(f->dir, names.names[names.count - 1], &size);
    uint64_t at = f->log->segments[f->log->segment_count - 1].data_end;
    size_t footer_size = size - (size_t)at;
    uint8_t *aligned = malloc(footer_size);
    memcpy(aligned, bytes + at, footer_size);
    assert_int_equal(
        segment_footer_decode(slice_of(aligned, footer_size), f->id.log_key, &footer, &e), OK);
    assert_int_equal(footer.chunk_count, (at + CHUNK_SIZE - 1) / CHUNK_SIZE);
    for (uint32_t i = 0; i < footer.chunk_count; i++) {
        uint64_t begin = (uint64_t)i * CHUNK_SIZE;
        uint64_t end = begin + CHUNK_SIZE < at ? begin + CHUNK_SIZE : at;
        struct hash256 hash = hash256_of(slice_of(bytes + begin, (size_t)(end - begin)));
        assert_true(hash256_equal(&hash, &footer.chunks[i]));
    }
    free(aligned);
    free(bytes);
}

static void write_large(struct fixture *f, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct log_chunk *chunk = chunk_new(f->log, 100 * KIB, 1);
        make_batch(f, chunk, 1, 96 * KIB);
        assert_int_equal(write_chunk(f, chunk), OK);
    }
}

static void seal(struct fixture *f)
{
    enum code code = E_UNKNOWN;
    log_seal(f->log, written, &code);
    steps_run(f->env);
    assert_int_equal(code, OK);
    assert_sealed_with_hashes(f);
    assert_null(f->log->hash.waiting.first);
}

/* Pieces are hashed behind the acknowledgement: before the seal, by the seal where the background
 * has not begun, and before the seal goes on where it has. */
static void a_sealed_segment_has_its_hashes_however_far_the_background_was(void **state)
{
    struct fixture *f = *state;
    struct log_hash *h = &f->log->hash;
    f->log->segment_size_first = f->log->segment_size = 4 * MIB;
    write_large(f, 7);
    assert_true(h->waiting.bytes < 256 * KIB); /* the rest is done */
    assert_false(h->is_submitted);
    seal(f);

    steps_hold(f->env, LANE_BACKGROUND, true); /* busy with something long */
    write_large(f, 7);
    assert_true(h->is_submitted);
    assert_true(h->waiting.bytes > 256 * KIB);
    seal(f);
    assert_true(h->is_submitted && h->is_revoked);
    write_large(f, 7); /* the next segment, and its seal, while it still is busy */
    seal(f);
    steps_hold(f->env, LANE_BACKGROUND, false);
    steps_run(f->env);
    assert_false(h->is_submitted || h->is_revoked);

    steps_hold(f->env, LANE_BACKGROUND, true);
    write_large(f, 5);
    assert_true(h->is_submitted);
    h->job.run(&h->job); /* it ran on its thread; the loop has not heard of it */
    enum code code = E_UNKNOWN;
    log_seal(f->log, written, &code);
    steps_run(f->env);
    assert_int_equal(code, E_UNKNOWN); /* waits */
    assert_true(h->is_awaited && log_is_writing(f->log));
    steps_hold(f->env, LANE_BACKGROUND, false);
    steps_run(f->env);
    assert_int_equal(code, OK);
    assert_sealed_with_hashes(f);
    assert_true(log_is_quiet(f->log));
}

/* Write one batch of this payload and seal; the limit of the segment it went into. */
static uint64_t fill_one_segment(struct fixture *f, size_t payload)
{
    struct log_chunk *chunk = chunk_new(f->log, payload + 2 * KIB, 1);
    make_batch(f, chunk, 1, payload);
    assert_int_equal(write_chunk(f, chunk), OK);
    uint64_t limit = f->log->segments[f->log->segment_count - 1].size_limit;
    enum code code = E_UNKNOWN;
    log_seal(f->log, written, &code);
    steps_run(f->env);
    assert_int_equal(code, OK);
    return limit;
}

/* Segments that are sealed before they are half full get smaller again: what time seals must not
 * cost a full segment of zeros each. */
static void segments_that_stay_empty_get_smaller_again(void **state)
{
    struct fixture *f = *state;
    f->log->segment_size_first = 64 * KIB;
    f->log->segment_size = 512 * KIB;
    for (uint32_t i = 0; i < 4; i++)
        (void)fill_one_segment(f, f->log->segment_size_first * 3 / 4 << i);
    assert_int_equal(fill_one_segment(f, 100), 512 * KIB);
    uint64_t limits[] = {256 * KIB, 128 * KIB, 64 * KIB, 64 * KIB};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        assert_int_equal(fill_one_segment(f, 100), limits[i]);
    }
    (void)fill_one_segment(f, 60 * KIB);
    assert_int_equal(fill_one_segment(f, 100), 128 * KIB);
}

/* First segments are small and double, so that a small database is a small directory. */
static void the_first_segments_double_up_to_the_full_size(void **state)
{
    struct fixture *f = *state;
    f->log->segment_size_first = 64 * KIB;
    f->log->segment_size = 512 * KIB;
    uint64_t limits[] = {64 * KIB, 128 * KIB, 256 * KIB, 512 * KIB, 512 * KIB};
    for (size_t i = 0; i < COUNT_OF(limits); i++) {
        assert_int_equal(fill_one_segment(f, limits[i] * 3 / 4), limits[i]);
        enum code code = E_UNKNOWN;
        log_seal(f->log, written, &code); /* nothing to seal: fine */
        steps_run(f->env);
        assert_int_equal(code, OK);
    }
    assert_int_equal(f->log->segment_count, COUNT_OF(limits));
}

/* A batch larger than a segment has one to itself. */
static void a_batch_larger_than_a_segment_fits(void **state)
{
    struct fixture *f = *state;
    const size_t sizes[] = {100, 300 * KIB, 100, 2 * MIB, 2 * MIB, 100};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct log_chunk *chunk = chunk_new(f->log, sizes[i] + 1024, 1);
        make_batch(f, chunk, 1, sizes[i]);
        assert_int_equal(write_chunk(f, chunk), OK);
    }
    assert_int_equal(log_durable(f->log).seqno.v, COUNT_OF(sizes));
    struct log_read read = {.size_max = 8 * MIB};
    struct err e;
    uint32_t got = 0;
    while (read.from.seqno.v < COUNT_OF(sizes)) {
        assert_int_equal(log_read_now(f->log, &read, &e), OK);
        got += read.batch_count;
        read.from = read.end;
        free(read.buffer);
    }
    assert_int_equal(got, COUNT_OF(sizes));
}

static void spares_are_taken_and_filled_with_zeros_beforehand(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 4);
    log_start_spare(f->log);
    steps_run(f->env);
    steps_advance(f->env, NS_PER_S);
    uint64_t spare = f->log->spare.file_id;
    assert_int_equal(f->log->spare.zeroed, 64 * KIB);
    write_batches(f, 1, &random);
    assert_int_equal(f->log->segments[0].file_id, spare);
    struct file_names names;
    segments_list(f->dir, &names);
    size_t size;
    free(file_read(f->dir, names.names[0], &size));
    assert_int_equal(size, 64 * KIB); /* no metadata changes while it is written */
    write_batches(f, 300, &random);
    log_stop(f->log);
    steps_run(f->env);
    assert_true(log_is_quiet(f->log));
}

/* After the first failure nothing is written, nothing is retried, everybody is told. */
static void the_first_failed_write_poisons_the_log(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 5);
    for (uint64_t nth = 1; nth <= 3; nth++) {
        if (nth > 1) { /* a log of its own for each call: write, sync, and the first segment's */
            log_free(f->log);
            files_list(f->dir, "log", ".seg", &(struct file_names){0});
            struct file_names names;
            files_list(f->dir, "log", ".seg", &names);
            for (size_t i = 0; i < names.count; i++)
                file_remove(f->dir, names.names[i]);
            for (uint32_t i = 0; i < f->count; i++)
                free((void *)(uintptr_t)f->batches[i].data);
            f->count = 0;
            open_log(f);
        }
        write_batches(f, 5, &random);
        struct position durable = log_durable(f->log);
        struct log_chunk *chunk = chunk_new(f->log, 4096, 1);
        make_batch(f, chunk, 1, 100);
        struct steps_fault fault = {
            .nth = nth, .code = nth == 3 ? E_DISKFULL : E_IO, .writes_only = true};
        steps_fail(f->env, &fault);
        enum code code = write_chunk(f, chunk);
        if (nth == 3) { /* the mark: evidence, not a promise */
            assert_int_equal(code, OK);
            continue;
        }
        assert_int_equal(code, E_POISONED);
        assert_true(log_is_poisoned(f->log));
        assert_true(strlen(log_poison_reason(f->log)->text) > 0);
        assert_int_equal(log_durable(f->log).seqno.v, durable.seqno.v);
        uint64_t calls = steps_calls(f->env);
        chunk = chunk_new(f->log, 4096, 1);
        make_batch(f, chunk, 1, 100);
        assert_int_equal(write_chunk(f, chunk), E_POISONED);
        assert_int_equal(steps_calls(f->env), calls); /* the disk was not touched again */
        assert_int_equal(log_durable(f->log).seqno.v, durable.seqno.v);
        assert_null(log_tail_find(f->log, seqno_next(durable.seqno), &(uint32_t){0}));
    }
}

static void a_full_disk_is_told_as_such(void **state)
{
    struct fixture *f = *state;
    struct log_chunk *chunk = chunk_new(f->log, 4096, 1);
    make_batch(f, chunk, 1, 100);
    struct steps_fault fault = {.nth = 1, .code = E_DISKFULL, .writes_only = true};
    steps_fail(f->env, &fault);
    assert_int_equal(write_chunk(f, chunk), E_DISKFULL);
    assert_true(log_is_poisoned(f->log));
}

/* --- the tail in memory --- */

static void the_tail_holds_the_newest_batches_within_its_bound(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 6);
    uint32_t in_memory = 0;
    for (uint32_t count = 10; count <= 600; count += 10) {
        write_batches(f, count, &random);
        assert_true(f->log->tail_bytes <= f->config.tail_buffer);
        bool is_in_memory = false;
        for (uint32_t i = 0; i < f->count; i++) {
            uint32_t index;
            seqno first = seqno_next(f->ends[i].seqno);
            const struct log_chunk *chunk = log_tail_find(f->log, first, &index);
            assert_true(chunk != NULL || !is_in_memory); /* a suffix, without holes */
            if (chunk == NULL) continue;
            is_in_memory = true;
            in_memory++;
            struct slice batch = chunk_batch(chunk, index);
            assert_true(slice_equal(batch, f->batches[i]));
            assert_int_equal(chunk->batches[index].log_bytes_end, f->bytes_end[i + 1]);
            uint32_t other;
            uint64_t records = chunk->batches[index].header.record_count;
            if (records > 1) assert_null(log_tail_find(f->log, seqno_next(first), &other));
        }
        assert_true(is_in_memory);
    }
    assert_true(in_memory > 1000);
    /* Walking from the oldest chunk reaches the newest batch. */
    const struct log_chunk *chunk = f->log->tail[f->log->tail_head];
    uint32_t chunks = 1;
    while (log_tail_next(f->log, chunk) != NULL) {
        const struct log_chunk *next = log_tail_next(f->log, chunk);
        assert_int_equal(next->batches[0].header.first.v,
                         chunk->batches[chunk->batch_count - 1].end.seqno.v + 1);
        chunk = next;
        chunks++;
    }
    assert_int_equal(chunks, f->log->tail_count);
    assert_int_equal(chunk->batches[chunk->batch_count - 1].end.seqno.v,
                     log_durable(f->log).seqno.v);
}

/* --- reading from the files --- */

static void done_reading(struct log_read *read, enum code code, const struct err *e)
{
    (void)e;
    read->code = code;
}

static void cold_reads_give_the_bytes_that_were_written(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 7);
    write_batches(f, 700, &random);
    for (uint32_t start = 0; start < f->count; start += 3) {
        struct log_read read = {.from = f->ends[start],
                                .size_max = 1 + random_below(&random, 20000)};
        struct err e;
        assert_int_equal(log_read_now(f->log, &read, &e), OK);
        assert_true(read.batch_count >= 1);
        assert_true(read.batch_count == 1 || read.bytes.size <= read.size_max);
        size_t at = 0;
        for (uint32_t i = 0; i < read.batch_count; i++) {
            struct slice expected = f->batches[start + i];
            assert_true(read.bytes.size - at >= expected.size);
            assert_memory_equal(read.bytes.data + at, expected.data, expected.size);
            at += expected.size;
        }
        assert_int_equal(at, read.bytes.size);
        assert_true(position_equal(&read.end, &f->ends[start + read.batch_count]));
        free(read.buffer);
    }
    struct log_read none = {.from = f->ends[f->count], .size_max = 1000, .done = done_reading};
    none.code = E_UNKNOWN;
    log_read_start(f->log, &none);
    steps_run(f->env);
    assert_int_equal(none.code, OK);
    assert_int_equal(none.batch_count, 0);
}

/* What it costs to read 4,000 bytes after the end of batch `index`. */
static struct steps_cost cost_of_read(struct fixture *f, uint32_t index)
{
    struct log_read read = {.from = f->ends[index], .size_max = 4000, .done = done_reading};
    steps_fail(f->env, NULL);
    log_read_start(f->log, &read);
    steps_run(f->env);
    assert_int_equal(read.code, OK);
    return steps_cost(f->env);
}

/* A read begins at a seek entry and ends with what was asked for, wherever in however long a log;
 * one that finds nothing new asks nothing of the disk. */
static void a_cold_read_costs_the_same_in_a_long_log(void **state)
{
    struct fixture *f = *state;
    f->log->segment_size_first = f->log->segment_size = 4 * MIB;
    struct random random;
    random_init(&random, 13);
    write_batches(f, 100, &random);
    struct steps_cost early = cost_of_read(f, 3);
    assert_int_equal(cost_of_read(f, f->count).calls, 0);
    write_batches(f, BATCHES_MAX - 1, &random);
    struct log_figures figures;
    log_figures(f->log, &figures);
    assert_true(figures.bytes > 10 * early.bytes_read / 4);
    for (uint32_t at = 0; at < f->count - 10; at += 7) {
        struct steps_cost cost = cost_of_read(f, at);
        assert_in_range(cost.calls, 1, early.calls + 2);
        assert_true(cost.bytes_read <= early.bytes_read + 300 * KIB);
    }
    assert_int_equal(cost_of_read(f, f->count).calls, 0);
}

static void reads_from_places_that_are_not_in_the_log_are_refused(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 8);
    write_batches(f, 400, &random);
    struct err e;
    for (uint32_t i = 1; i < 400; i += 7) {
        struct log_read read = {.from = f->ends[i], .size_max = 100};
        read.from.chain.bytes[5] ^= 1;
        assert_int_equal(log_read_now(f->log, &read, &e), E_DIVERGED);
        free(read.buffer);
        if (f->ends[i].seqno.v + 1 == f->ends[i + 1].seqno.v) continue;
        read = (struct log_read){.from = f->ends[i], .size_max = 100};
        read.from.seqno.v++; /* inside the next batch */
        assert_int_equal(log_read_now(f->log, &read, &e), E_DIVERGED);
        free(read.buffer);
    }
}

static void damage_met_by_a_cold_read_is_named(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 9);
    write_batches(f, 400, &random);
    struct file_names names;
    segments_list(f->dir, &names);
    file_flip(f->dir, names.names[1], 20000, 8);
    const struct log_segment *segment = &f->log->segments[1];
    bool is_found = false;
    struct position at = segment->start;
    struct err e;
    while (!is_found && at.seqno.v < segment->last.v) {
        struct log_read read = {.from = at, .size_max = 4000};
        enum code code = log_read_now(f->log, &read, &e);
        free(read.buffer);
        at = read.end;
        if (code == OK) continue;
        assert_int_equal(code, E_CORRUPT);
        assert_non_null(strstr(e.text, names.names[1]));
        is_found = true;
    }
    assert_true(is_found);
    /* Segments whose bytes are good are read as before. */
    struct log_read read = {.from = f->log->segments[2].start, .size_max = 4000};
    assert_int_equal(log_read_now(f->log, &read, &e), OK);
    free(read.buffer);
}

/* --- proofs --- */

static void done_proving(struct log_prove *prove, enum code code, const struct err *e)
{
    (void)e;
    prove->read.code = code;
}

static enum code prove(struct fixture *f, const struct position *p)
{
    struct log_prove proof = {.position = *p, .done = done_proving};
    log_prove_start(f->log, &proof);
    steps_run(f->env);
    return proof.read.code;
}

static void exactly_the_batch_ends_of_this_history_are_proved(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 10);
    write_batches(f, 500, &random);
    for (uint32_t i = 0; i <= f->count; i++) {
        struct position p = f->ends[i];
        assert_int_equal(prove(f, &p), OK);
        p.chain.bytes[31] ^= 0x80;
        assert_int_equal(prove(f, &p), E_DIVERGED);
        if (i == f->count || f->ends[i].seqno.v + 1 == f->ends[i + 1].seqno.v) continue;
        p = f->ends[i];
        p.seqno.v++; /* inside a batch */
        assert_int_equal(prove(f, &p), E_DIVERGED);
    }
    struct position beyond = f->ends[f->count];
    beyond.seqno.v++;
    assert_int_equal(prove(f, &beyond), E_GAP);
}

/* --- how far behind --- */

static void bytes_after_a_record_are_never_too_few(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 11);
    write_batches(f, 600, &random);
    uint64_t total = f->bytes_end[f->count];
    for (uint32_t i = 0; i <= f->count; i++) {
        uint64_t exact = total - f->bytes_end[i];
        uint64_t told = log_bytes_after(f->log, f->ends[i].seqno);
        assert_true(told >= exact);
        assert_true(told <= exact + SEEK_BYTES + 64 * KIB);
        uint32_t index;
        seqno next = seqno_next(f->ends[i].seqno);
        if (log_tail_find(f->log, next, &index) != NULL) assert_int_equal(told, exact);
    }
    assert_int_equal(log_bytes_after(f->log, f->ends[f->count].seqno), 0);
    assert_int_equal(log_bytes_after(f->log, seqno_of(UINT64_MAX)), 0);
    assert_int_equal(log_bytes_after(f->log, SEQNO_NONE), total);
}

static void the_seek_index_has_an_entry_after_enough_records_and_bytes(void **state)
{
    struct fixture *f = *state;
    struct random random;
    random_init(&random, 12);
    write_batches(f, 600, &random);
    for (uint32_t i = 0; i < f->log->segment_count; i++) {
        const struct log_segment *segment = &f->log->segments[i];
        assert_int_equal(segment->seeks[0].offset, SEGMENT_HEADER_SIZE);
        assert_int_equal(segment->seeks[0].first_seqno, segment->first.v);
        for (uint32_t k = 1; k < segment->seek_count; k++) {
            uint64_t records = segment->seeks[k].first_seqno - segment->seeks[k - 1].first_seqno;
            uint64_t bytes = segment->seeks[k].offset - segment->seeks[k - 1].offset;
            assert_true(records >= SEEK_RECORDS);
            assert_true(bytes >= SEEK_BYTES);
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(segments_roll_at_their_size_and_follow_each_other),
        TEST(a_sealed_segment_has_its_hashes_however_far_the_background_was),
        TEST(the_first_segments_double_up_to_the_full_size),
        TEST(segments_that_stay_empty_get_smaller_again),
        TEST(a_batch_larger_than_a_segment_fits),
        TEST(spares_are_taken_and_filled_with_zeros_beforehand),
        TEST(the_first_failed_write_poisons_the_log),
        TEST(a_full_disk_is_told_as_such),
        TEST(the_tail_holds_the_newest_batches_within_its_bound),
        TEST(cold_reads_give_the_bytes_that_were_written),
        TEST(a_cold_read_costs_the_same_in_a_long_log),
        TEST(reads_from_places_that_are_not_in_the_log_are_refused),
        TEST(damage_met_by_a_cold_read_is_named),
        TEST(exactly_the_batch_ends_of_this_history_are_proved),
        TEST(bytes_after_a_record_are_never_too_few),
        TEST(the_seek_index_has_an_entry_after_enough_records_and_bytes),
    };
    return cmocka_run_group_tests_name("engine/log", tests, NULL, NULL);
}
