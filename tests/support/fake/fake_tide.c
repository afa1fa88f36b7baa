/* fake_tide: see fake_tide.h. One global database; a lock around all of it. */
#include "support/fake/fake_tide.h"
#include "support/fake/fake_run.h"

#include "base/text.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { ASKED_SIZE = 1 << 20, COUNTERS_MAX = 256, PRODUCERS_MAX = 16 };

struct fake_counter {
    char type[64];
    char item[256];
    double sum;
    uint64_t count;
};

struct tide_db {
    pthread_mutex_t lock;
    pthread_cond_t is_work;
    pthread_cond_t is_idle;
    pthread_t thread;
    bool has_thread;
    bool is_open;
    bool is_ending;
    bool is_busy;
    struct tide_run *first;
    struct tide_run *last;
    uint64_t seqno;
    struct fake_counter counters[COUNTERS_MAX];
    size_t counter_count;
    char producers[PRODUCERS_MAX][256];
    uint64_t producer_numbers[PRODUCERS_MAX];
};

static tide_db db = {.lock = PTHREAD_MUTEX_INITIALIZER,
                     .is_work = PTHREAD_COND_INITIALIZER,
                     .is_idle = PTHREAD_COND_INITIALIZER};
bool fake_is_remembering = true;
static bool is_held;
static bool is_threaded;
static enum tide_code submit_code;
static int submit_refusals;
static enum tide_code write_code;
static const char *write_message;
static uint32_t stored_by;
static const char *item_name;
static struct tide_entity entity;
static struct tide_status status;
static uint64_t open_delay_ms;
static enum tide_code open_code;
static const char *open_message;
static struct tide_options open_options;
static enum tide_code close_code;
static char asked[ASKED_SIZE];
static char told[ASKED_SIZE];
static size_t asked_size;

/* --- remembering --- */

static void remember(const char *line)
{
    size_t size = line != NULL ? strlen(line) : 0;
    if (!fake_is_remembering || asked_size + size + 2 > ASKED_SIZE) return;
    memcpy(asked + asked_size, line, size);
    asked_size += size;
    asked[asked_size++] = '\n';
}

const char *fake_asked(void)
{
    pthread_mutex_lock(&db.lock);
    memcpy(told, asked, asked_size);
    told[asked_size] = '\0';
    asked_size = 0;
    pthread_mutex_unlock(&db.lock);
    return told;
}

/* --- steering --- */

void fake_remember(bool is_on)
{
    fake_is_remembering = is_on;
}

void fake_hold(bool held)
{
    pthread_mutex_lock(&db.lock);
    is_held = held;
    pthread_cond_broadcast(&db.is_work);
    pthread_mutex_unlock(&db.lock);
}

void fake_refuse_submit(enum tide_code code, int count)
{
    submit_code = code;
    submit_refusals = count;
}

void fake_fail_writes(enum tide_code code, const char *message)
{
    write_code = code;
    write_message = message;
}

void fake_set_stored_by(uint32_t followers)
{
    stored_by = followers;
}

void fake_set_item_name(const char *name)
{
    item_name = name;
}

void fake_set_entity(const struct tide_entity *known)
{
    entity = known != NULL ? *known : (struct tide_entity){0};
}

struct tide_status *fake_status(void)
{
    return &status;
}

void fake_set_open(uint64_t delay_ms, enum tide_code code, const char *message)
{
    open_delay_ms = delay_ms;
    open_code = code;
    open_message = message;
}

const struct tide_options *fake_open_options(void)
{
    return &open_options;
}

void fake_set_close(enum tide_code code)
{
    close_code = code;
}

static void end_thread(void)
{
    if (!db.has_thread) return;
    pthread_mutex_lock(&db.lock);
    db.is_ending = true;
    pthread_cond_broadcast(&db.is_work);
    pthread_mutex_unlock(&db.lock);
    pthread_join(db.thread, NULL);
    db.has_thread = false;
    db.is_ending = false;
}

void fake_reset(void)
{
    end_thread();
    fake_is_remembering = true;
    is_held = false;
    is_threaded = false;
    submit_refusals = 0;
    write_code = TIDE_OK;
    stored_by = 0;
    item_name = NULL;
    entity = (struct tide_entity){0};
    open_delay_ms = 0;
    open_code = TIDE_OK;
    close_code = TIDE_OK;
    asked_size = 0;
    db.is_open = false;
    db.first = NULL;
    db.last = NULL;
    db.seqno = 0;
    db.counter_count = 0;
    memset(db.producers, 0, sizeof(db.producers));
    status = (struct tide_status){
        .retention_holder = "slots",
        .role = TIDE_ROLE_SINGLE,
        .node_id = "node-1",
        .cluster = "0123456789abcdef0123456789abcdef",
        .state = "serving",
        .clock = {.state = "following", .leader_ms = 1700000000000, .wall_ms = 1700000000000},
        .reason = "",
        .leader_data_address = "",
        .leader_replication_address = "",
        .replication_address = "127.0.0.1:7402",
        .link_state = "",
        .path = "",
        .epoch = 1,
        .checkpoint_age_ms = UINT64_MAX,
        .json = "{\"role\":\"single\"}",
    };
}

tide_db *fake_open(void)
{
    db.is_open = true;
    return &db;
}

/* --- state --- */

static bool bytes_are(struct tide_bytes b, const char *text)
{
    return b.size == strlen(text) && (b.size == 0 || memcmp(b.data, text, b.size) == 0);
}

static bool is_type(struct tide_bytes type)
{
    static const char *const types[] = {"view",     "click",  "share", "comment",
                                        "purchase", "commit", "skip"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        if (bytes_are(type, types[i])) return true;
    }
    return false;
}

static struct fake_counter *find_counter(struct tide_bytes type, struct tide_bytes item)
{
    for (size_t i = 0; i < db.counter_count; i++) {
        struct fake_counter *c = &db.counters[i];
        if (bytes_are(type, c->type) && bytes_are(item, c->item)) return c;
    }
    return NULL;
}

static void count_one(struct tide_bytes type, struct tide_bytes item, double weight)
{
    if (!fake_is_remembering) return; /* measuring */
    struct fake_counter *c = find_counter(type, item);
    if (c == NULL && db.counter_count < COUNTERS_MAX && type.size < 64 && item.size < 256) {
        c = &db.counters[db.counter_count++];
        memset(c, 0, sizeof(*c));
        memcpy(c->type, type.data, type.size);
        memcpy(c->item, item.data, item.size);
    }
    if (c == NULL) return;
    c->sum += weight;
    c->count++;
}

static struct tide_position here(void)
{
    return (struct tide_position){
        .epoch = status.epoch, .seqno = db.seqno, .chain4 = {0x9f, 0x3a, 0x21, 0xbc}};
}

static void fail(struct fake_op *op, enum tide_code code, const char *message)
{
    op->result.code = code;
    op->result.kind = TIDE_RESULT_NONE;
    op->result.message = message;
}

static void succeed_at(struct fake_op *op)
{
    op->result.kind = TIDE_RESULT_POSITION;
    op->result.level = (struct tide_level){.kind = TIDE_LEVEL_LOCAL};
    op->result.as.position = here();
}

static bool refuses_write(struct fake_op *op)
{
    if (write_code != TIDE_OK) fail(op, write_code, write_message);
    return write_code != TIDE_OK;
}

static bool is_good(const struct fake_op *op)
{
    if (op->kind == FAKE_PUT) return true;
    if (op->kind == FAKE_SIGNAL) return is_type(op->type);
    for (uint64_t i = 0; i < op->number; i++) {
        if (!is_type(op->signals[i].type)) return false;
    }
    return true;
}

static void apply_signals(struct fake_op *op)
{
    if (op->kind == FAKE_SIGNAL) {
        count_one(op->type, op->item, op->weight);
    } else if (op->kind == FAKE_SIGNALS) {
        for (uint64_t i = 0; i < op->number; i++) {
            count_one(op->signals[i].type, op->signals[i].item, op->signals[i].weight);
        }
    }
    succeed_at(op);
}

static void do_signals(struct fake_op *op)
{
    if (refuses_write(op)) return;
    if (!is_good(op)) {
        fail(op, TIDE_SCHEMA, "unknown signal type; declare it with SCHEMA.SIGNAL");
        return;
    }
    db.seqno++;
    apply_signals(op);
}

/* What stands between begin and end: all or nothing, one position. Returns the end's index. */
static size_t do_group(struct tide_run *run, size_t begin)
{
    size_t end = begin + 1;
    bool is_all_good = true;
    while (end < run->count && run->ops[end].kind != FAKE_END) {
        is_all_good = is_all_good && is_good(&run->ops[end]);
        end++;
    }
    if (is_all_good) db.seqno++;
    for (size_t i = begin + 1; i < end; i++) {
        struct fake_op *op = &run->ops[i];
        if (refuses_write(op)) continue;
        if (is_all_good) {
            apply_signals(op);
        } else {
            fail(op, TIDE_SCHEMA, "an unknown signal type; nothing of the group was done");
        }
    }
    return end;
}

static void do_retrieve(struct fake_op *op)
{
    if (!bytes_are(op->type, "top") && !bytes_are(op->type, "decayed:view")) {
        fail(op, TIDE_SCHEMA, "unknown profile");
        return;
    }
    uint32_t limit = op->number != 0 ? (uint32_t)op->number : 10;
    op->items = calloc(limit, sizeof(*op->items));
    uint32_t count = 0;
    for (uint32_t i = 0; i < limit; i++) {
        if (item_name == NULL && i >= db.counter_count) break;
        const char *name = item_name != NULL ? item_name : db.counters[i].item;
        op->items[i].key = (struct tide_bytes){.data = name, .size = strlen(name)};
        op->items[i].score = item_name != NULL ? 0.5 : db.counters[i].sum;
        count++;
    }
    static const struct tide_term terms[] = {{"one", 0.5}, {"two", 0.5}};
    for (uint32_t i = 0; op->more != 0 && i < count; i++) {
        op->items[i].terms = terms;
        op->items[i].term_count = 2;
    }
    op->result.kind = TIDE_RESULT_ITEMS;
    op->result.as.items = (struct tide_items){
        .items = op->items, .count = count, .is_exact = true, .position = here()};
    if (op->item.size > 0) op->result.as.items.cursor = (struct tide_bytes){"next", 4};
}

static void do_digest(struct fake_op *op)
{
    op->result.kind = TIDE_RESULT_DIGEST;
    op->result.as.digest.seqno = op->number != 0 ? op->number : db.seqno;
    memset(op->result.as.digest.root, 0xab, 32);
}

static void do_producer(struct fake_op *op)
{
    size_t i = 0;
    while (i < PRODUCERS_MAX - 1 && db.producers[i][0] != '\0' &&
           !bytes_are(op->type, db.producers[i])) {
        i++;
    }
    if (op->kind == FAKE_SKIP) {
        if (refuses_write(op)) return;
        snprintf(db.producers[i], sizeof(db.producers[i]), "%.*s", (int)op->type.size,
                 (const char *)op->type.data);
        db.producer_numbers[i] = op->number;
        db.seqno++;
        succeed_at(op);
        return;
    }
    op->result.kind = TIDE_RESULT_INTEGER;
    op->result.as.integer = db.producers[i][0] != '\0' ? db.producer_numbers[i] : 0;
}

static void answer_integer(struct fake_op *op, uint64_t v)
{
    op->result.kind = TIDE_RESULT_INTEGER;
    op->result.as.integer = v;
}

static void answer_text(struct fake_op *op, const char *text)
{
    op->result.kind = TIDE_RESULT_TEXT;
    op->result.as.text = (struct tide_bytes){.data = text, .size = strlen(text)};
}

static void do_clock(struct fake_op *op)
{
    if (op->number != 0 && !status.clock.is_step_pending) {
        fail(op, TIDE_INVALID, "no step of the clock is pending: leader time is following");
        return;
    }
    if (op->number != 0) status.clock.is_step_pending = false;
    op->result.kind = TIDE_RESULT_CLOCK;
    op->result.as.clock = status.clock;
}

static void do_slot(struct fake_op *op)
{
    if (op->type.size != 2 || memcmp(op->type.data, "f1", 2) != 0) {
        fail(op, TIDE_NOTFOUND, "there is no such slot; SLOT.LIST shows all");
        return;
    }
    op->result.kind = TIDE_RESULT_NONE;
}

static void do_plan(struct fake_op *op)
{
    static const struct tide_plan_fact facts[] = {
        {"floor", "7", true}, {"holder", "slots", false}, {"slot.f1.held_bytes", "512", true}};
    static const struct tide_plan plan = {
        .what = "prune",
        .path = "keep",
        .bytes = UINT64_MAX,
        .seconds = -1,
        .why = "A follower may still ask for it.",
        .facts = facts,
        .fact_count = COUNT_OF(facts),
    };
    if (op->type.size != 5 || memcmp(op->type.data, "prune", 5) != 0) {
        fail(op, TIDE_INVALID, "there is no such plan; known are: prune");
        return;
    }
    op->result.kind = TIDE_RESULT_PLAN;
    op->result.as.plan = &plan;
}

static void do_counter(struct fake_op *op)
{
    const struct fake_counter *c = find_counter(op->type, op->item);
    if (!is_type(op->type)) {
        fail(op, TIDE_SCHEMA, "unknown signal type; declare it with SCHEMA.SIGNAL");
    } else if (op->kind == FAKE_SCORE) {
        op->result.kind = TIDE_RESULT_DOUBLE;
        op->result.as.number = c != NULL ? c->sum : 0;
    } else {
        answer_integer(op, c != NULL ? c->count : 0);
    }
}

static void do_other(struct fake_op *op)
{
    switch (op->kind) {
    case FAKE_UNSIGNAL: fail(op, TIDE_SCHEMA, "type counts every signal: nothing to undo"); break;
    case FAKE_SCHEMA:
        if (refuses_write(op)) break;
        db.seqno++;
        succeed_at(op);
        break;
    case FAKE_SKIP:
    case FAKE_PRODUCER: do_producer(op); break;
    case FAKE_SCORE:
    case FAKE_COUNT: do_counter(op); break;
    case FAKE_RETRIEVE: do_retrieve(op); break;
    case FAKE_SHOW: answer_text(op, "view count + 7d\nskip count - 7d\n"); break;
    case FAKE_POSITION:
    case FAKE_CHECKPOINT:
    case FAKE_SEAL: succeed_at(op); break;
    case FAKE_DIGEST: do_digest(op); break;
    case FAKE_WAIT: answer_integer(op, stored_by); break;
    case FAKE_ITEMS: answer_integer(op, db.counter_count); break;
    case FAKE_STATUS:
        status.applied = here();
        status.durable = here();
        op->result.kind = TIDE_RESULT_STATUS;
        op->result.as.status = &status;
        break;
    case FAKE_CLOCK: do_clock(op); break;
    case FAKE_GET:
        op->result.kind = TIDE_RESULT_ENTITY;
        op->result.as.entity = entity;
        break;
    case FAKE_METRICS:
        answer_text(op, "# HELP tidemark_epoch The leadership this node is in.\n"
                        "# TYPE tidemark_epoch gauge\ntidemark_epoch 1\n");
        break;
    case FAKE_PLAN: do_plan(op); break;
    case FAKE_MEMBERS: break;
    case FAKE_SLOT: do_slot(op); break;
    case FAKE_CONFIGURE: op->result.kind = TIDE_RESULT_NONE; break;
    case FAKE_SIGNAL:
    case FAKE_SIGNALS:
    case FAKE_PUT:
    case FAKE_BEGIN:
    case FAKE_END: abort(); /* done elsewhere */
    }
}

static void execute(struct tide_run *run)
{
    pthread_mutex_lock(&db.lock);
    for (size_t i = 0; i < run->count; i++) {
        struct fake_op *op = &run->ops[i];
        if (op->kind == FAKE_BEGIN) {
            i = do_group(run, i);
        } else if (op->kind == FAKE_SIGNAL || op->kind == FAKE_SIGNALS || op->kind == FAKE_PUT) {
            do_signals(op);
        } else {
            do_other(op);
        }
    }
    pthread_mutex_unlock(&db.lock);
}

/* --- running --- */

static struct tide_run *take_first(void)
{
    struct tide_run *run = db.first;
    if (run != NULL) db.first = run->next;
    if (db.first == NULL) db.last = NULL;
    return run;
}

static void *work(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&db.lock);
    while (true) {
        struct tide_run *run = is_held ? NULL : take_first();
        if (run != NULL) {
            db.is_busy = true;
            pthread_mutex_unlock(&db.lock);
            execute(run);
            run->callback(run, run->arg);
            pthread_mutex_lock(&db.lock);
            db.is_busy = false;
        } else if (db.is_ending) {
            break;
        } else {
            pthread_cond_broadcast(&db.is_idle);
            pthread_cond_wait(&db.is_work, &db.lock);
        }
    }
    pthread_mutex_unlock(&db.lock);
    return NULL;
}

void fake_use_thread(bool is_on)
{
    is_threaded = is_on;
    if (is_on && !db.has_thread) {
        if (pthread_create(&db.thread, NULL, work, NULL) != 0) abort();
        db.has_thread = true;
    }
}

void fake_go(void)
{
    pthread_mutex_lock(&db.lock);
    struct tide_run *run = db.first;
    db.first = NULL;
    db.last = NULL;
    pthread_mutex_unlock(&db.lock);
    while (run != NULL) {
        struct tide_run *next = run->next;
        execute(run);
        run->callback(run, run->arg);
        run = next;
    }
}

enum tide_code tide_submit(tide_db *d, tide_run *run, tide_callback callback, void *arg)
{
    if (submit_refusals > 0) {
        submit_refusals--;
        return submit_code;
    }
    pthread_mutex_lock(&d->lock);
    remember("run");
    for (size_t i = 0; i < run->count; i++) {
        if (run->ops[i].line != NULL) remember(run->ops[i].line);
    }
    run->callback = callback;
    run->arg = arg;
    run->next = NULL;
    bool is_now = !is_held && !is_threaded;
    if (!is_now) {
        if (d->last != NULL) {
            d->last->next = run;
        } else {
            d->first = run;
        }
        d->last = run;
        pthread_cond_signal(&d->is_work);
    }
    pthread_mutex_unlock(&d->lock);
    if (is_now) {
        execute(run);
        callback(run, arg);
    }
    return TIDE_OK;
}

enum tide_code tide_execute(tide_db *d, tide_run *run)
{
    (void)d;
    execute(run);
    return TIDE_OK;
}

/* --- the rest of the door --- */

enum tide_code tide_open(const struct tide_options *options, tide_db **out,
                         struct tide_open_report *report, struct tide_err *e)
{
    open_options = *options;
    struct timespec delay = {.tv_sec = (time_t)(open_delay_ms / 1000),
                             .tv_nsec = (long)(open_delay_ms % 1000) * 1000000};
    if (open_delay_ms > 0) nanosleep(&delay, NULL);
    if (open_code != TIDE_OK) {
        e->code = open_code;
        snprintf(e->message, sizeof(e->message), "%s", open_message);
        return open_code;
    }
    *report = (struct tide_open_report){.role = status.role, .is_new = true, .position = here()};
    snprintf(report->backend, sizeof(report->backend), "fake");
    snprintf(report->notes, sizeof(report->notes), "told: data=%s http=%s id=%s",
             options->data_address, options->http_address,
             options->node_id != NULL ? options->node_id : "none");
    *out = fake_open();
    return TIDE_OK;
}

enum tide_code tide_close(tide_db *d, uint64_t deadline_ms, struct tide_err *e)
{
    (void)deadline_ms;
    if (d == NULL) return TIDE_OK;
    fake_hold(false);
    end_thread(); /* it does what waits, first */
    fake_go();
    d->is_open = false;
    if (close_code != TIDE_OK)
        snprintf(e->message, sizeof(e->message), "the log could not be synced");
    return close_code;
}
