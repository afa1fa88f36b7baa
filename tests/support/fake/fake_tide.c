/* fake_tide: see fake_tide.h. One global database; a lock around all of it. */
#include "support/fake/fake_tide.h"

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

enum fake_kind {
    FAKE_SIGNAL,
    FAKE_SIGNALS,
    FAKE_BEGIN,
    FAKE_END,
    FAKE_UNSIGNAL,
    FAKE_SCHEMA,
    FAKE_SKIP,
    FAKE_PRODUCER,
    FAKE_SCORE,
    FAKE_COUNT,
    FAKE_RETRIEVE,
    FAKE_SHOW,
    FAKE_POSITION,
    FAKE_DIGEST,
    FAKE_CHECKPOINT,
    FAKE_SEAL,
    FAKE_WAIT,
    FAKE_ITEMS,
    FAKE_STATUS,
    FAKE_METRICS,
    FAKE_CLOCK,
    FAKE_CONFIGURE,
    FAKE_PLAN,
    FAKE_MEMBERS, /* answered when it is added */
    FAKE_PUT,     /* also a deletion */
    FAKE_GET,
};

struct fake_op {
    enum fake_kind kind;
    struct tide_bytes type;
    struct tide_bytes item;
    double weight;
    uint64_t number;
    uint64_t more;
    struct tide_signal *signals;
    struct tide_item *items;
    struct tide_result result;
    char *line; /* in words; NULL when nothing is remembered */
};

struct tide_run {
    struct fake_op *ops;
    size_t count;
    size_t capacity;
    struct tide_run *next;
    tide_callback callback;
    void *arg;
};

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
static bool is_remembering = true;
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

PRINTF_LIKE(1, 2)
static char *line_of(const char *format, ...)
{
    if (!is_remembering) return NULL;
    char room[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(room, sizeof(room), format, args);
    va_end(args);
    return strdup(room);
}

static void remember(const char *line)
{
    size_t size = line != NULL ? strlen(line) : 0;
    if (!is_remembering || asked_size + size + 2 > ASKED_SIZE) return;
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
    is_remembering = is_on;
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
    is_remembering = true;
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
    if (!is_remembering) return; /* measuring */
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

/* --- runs --- */

tide_run *tide_run_new(void)
{
    return calloc(1, sizeof(tide_run));
}

void tide_run_reset(tide_run *run)
{
    for (size_t i = 0; i < run->count; i++) {
        free(run->ops[i].line);
        free(run->ops[i].signals);
        free(run->ops[i].items);
    }
    run->count = 0;
}

void tide_run_free(tide_run *run)
{
    if (run == NULL) return;
    tide_run_reset(run);
    free(run->ops);
    free(run);
}

size_t tide_run_count(const tide_run *run)
{
    return run->count;
}

const struct tide_result *tide_run_result(const tide_run *run, size_t index)
{
    return index < run->count ? &run->ops[index].result : NULL;
}

static struct fake_op *add(tide_run *run, enum fake_kind kind)
{
    if (run->count == run->capacity) {
        size_t capacity = run->capacity > 0 ? run->capacity * 2 : 128;
        struct fake_op *ops = realloc(run->ops, capacity * sizeof(*ops));
        if (ops == NULL) return NULL;
        run->ops = ops;
        run->capacity = capacity;
    }
    struct fake_op *op = &run->ops[run->count++];
    memset(op, 0, sizeof(*op));
    op->kind = kind;
    return op;
}

static int32_t index_of(const tide_run *run)
{
    return (int32_t)run->count - 1;
}

static void tell_bytes(char *room, size_t size, const char *name, struct tide_bytes b)
{
    size_t at = strlen(room);
    if (b.size > 0) {
        snprintf(room + at, size - at, " %s=%.*s", name, (int)b.size, (const char *)b.data);
    }
}

/* Nothing for 0. */
static void tell_number(char *room, size_t size, const char *name, uint64_t v)
{
    size_t at = strlen(room);
    if (v != 0) snprintf(room + at, size - at, " %s=%" PRIu64, name, v);
}

static void tell_durability(char *room, size_t size, const struct tide_durability *d)
{
    char level[TIDE_LEVEL_SIZE];
    if (d->level.kind != TIDE_LEVEL_DEFAULT) {
        size_t length = tide_level_format(&d->level, level);
        tell_bytes(room, size, "level", (struct tide_bytes){level, length});
    }
    tell_number(room, size, "deadline", d->deadline_ms);
    if (d->on_miss_is_set) tell_number(room, size, "on_miss_plus_1", (uint64_t)d->on_miss + 1);
}

static void tell_options(char *room, size_t size, const struct tide_write_options *o)
{
    if (o == NULL) return;
    tell_durability(room, size, &o->durability);
    tell_bytes(room, size, "record_key", o->key);
    tell_bytes(room, size, "producer", o->producer);
    size_t at = strlen(room);
    if (o->producer.size > 0) snprintf(room + at, size - at, " n=%" PRIu64, o->producer_number);
}

static void tell_signal(char *room, size_t size, const struct tide_signal *s)
{
    size_t at = strlen(room);
    snprintf(room + at, size - at, " %.*s %.*s", (int)s->type.size, (const char *)s->type.data,
             (int)s->item.size, (const char *)s->item.data);
    at = strlen(room);
    if (s->weight_is_set) snprintf(room + at, size - at, " w=%.17g", s->weight);
    at = strlen(room);
    if (s->at_ms != 0) snprintf(room + at, size - at, " at=%" PRId64, s->at_ms);
    tell_bytes(room, size, "user", s->user);
    tell_bytes(room, size, "key", s->key);
}

int32_t tide_run_signal(tide_run *run, const struct tide_signal *signal,
                        const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_SIGNAL);
    op->type = signal->type;
    op->item = signal->item;
    op->weight = signal->weight_is_set ? signal->weight : 1;
    if (is_remembering) {
        char room[1024] = "signal";
        tell_signal(room, sizeof(room), signal);
        tell_options(room, sizeof(room), options);
        op->line = line_of("%s", room);
    }
    return index_of(run);
}

static int32_t add_put(tide_run *run, const char *kind, const struct tide_put *put,
                       const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_PUT);
    char room[1024];
    snprintf(room, sizeof(room), "%s put %.*s", kind, (int)put->key.size,
             (const char *)put->key.data);
    tell_bytes(room, sizeof(room), "creator", put->creator);
    size_t at = strlen(room);
    if (put->at_ms != 0) snprintf(room + at, sizeof(room) - at, " at=%" PRId64, put->at_ms);
    for (uint32_t i = 0; i < put->field_count; i++) {
        const struct tide_field *field = &put->fields[i];
        at = strlen(room);
        bool is_unset = field->kind == TIDE_VALUE_NONE;
        snprintf(room + at, sizeof(room) - at, is_unset ? " -%.*s" : " [%.*s=%.*s]",
                 (int)field->name.size, (const char *)field->name.data, (int)field->text.size,
                 (const char *)field->text.data);
    }
    tell_options(room, sizeof(room), options);
    op->line = line_of("%s", room);
    return index_of(run);
}

static int32_t add_get(tide_run *run, const char *kind, struct tide_bytes key,
                       const struct tide_bytes *names, uint32_t count)
{
    struct fake_op *op = add(run, FAKE_GET);
    char room[1024];
    snprintf(room, sizeof(room), "%s get %.*s", kind, (int)key.size, (const char *)key.data);
    for (uint32_t i = 0; i < count; i++) {
        size_t at = strlen(room);
        snprintf(room + at, sizeof(room) - at, " %.*s", (int)names[i].size,
                 (const char *)names[i].data);
    }
    op->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_item_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, "item", put, options);
}

int32_t tide_run_user_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options)
{
    return add_put(run, "user", put, options);
}

int32_t tide_run_creator_put(tide_run *run, const struct tide_put *put,
                             const struct tide_write_options *options)
{
    return add_put(run, "creator", put, options);
}

int32_t tide_run_item_delete(tide_run *run, struct tide_bytes key,
                             const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_PUT);
    char room[1024];
    snprintf(room, sizeof(room), "item delete %.*s", (int)key.size, (const char *)key.data);
    tell_options(room, sizeof(room), options);
    op->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_item_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, "item", key, names, name_count);
}

int32_t tide_run_user_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count)
{
    return add_get(run, "user", key, names, name_count);
}

int32_t tide_run_creator_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                             uint32_t name_count)
{
    return add_get(run, "creator", key, names, name_count);
}

int32_t tide_run_signals(tide_run *run, const struct tide_signal *signals, size_t n,
                         const struct tide_write_options *options)
{
    struct fake_op *op = add(run, FAKE_SIGNALS);
    op->signals = calloc(n, sizeof(*signals));
    memcpy(op->signals, signals, n * sizeof(*signals));
    op->number = n;
    if (is_remembering) {
        char room[1024] = "signals";
        for (size_t i = 0; i < n && strlen(room) < 900; i++) {
            tell_signal(room, sizeof(room), &signals[i]);
        }
        tell_options(room, sizeof(room), options);
        op->line = line_of("%s", room);
    }
    return index_of(run);
}

/* The line of an operation that was added, to go on with; NULL: nothing is remembered. */
static struct fake_op *open_line(tide_run *run, int32_t index, char room[1024])
{
    struct fake_op *op = &run->ops[index];
    if (op->line == NULL) return NULL;
    snprintf(room, 1024, "%s", op->line);
    free(op->line);
    return op;
}

bool tide_run_set_read(tide_run *run, int32_t index, const struct tide_read_options *o)
{
    char room[1024];
    struct fake_op *op = open_line(run, index, room);
    if (op == NULL) return true;
    tell_number(room, sizeof(room), "after_epoch", o->after.epoch);
    tell_number(room, sizeof(room), "after", o->after.seqno);
    tell_number(room, sizeof(room), "max_stale_plus_1", o->max_stale_ms + o->max_stale_is_set);
    tell_number(room, sizeof(room), "committed", o->is_committed);
    tell_number(room, sizeof(room), "deadline", o->deadline_ms);
    op->line = strdup(room);
    return true;
}

void tide_run_set_durability(tide_run *run, int32_t index, const struct tide_durability *wanted)
{
    char room[1024];
    struct fake_op *op = open_line(run, index, room);
    if (op == NULL) return;
    tell_durability(room, sizeof(room), wanted);
    op->line = strdup(room);
}

int32_t tide_run_begin(tide_run *run, const struct tide_write_options *options)
{
    char room[256] = "begin";
    tell_options(room, sizeof(room), options);
    add(run, FAKE_BEGIN)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_end(tide_run *run)
{
    add(run, FAKE_END)->line = line_of("end");
    return index_of(run);
}

#define SHOW(b) (int)(b).size, (const char *)(b).data

int32_t tide_run_unsignal(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes user, const struct tide_write_options *options)
{
    char room[1024];
    snprintf(room, sizeof(room), "unsignal %.*s %.*s user=%.*s", SHOW(type), SHOW(item),
             SHOW(user));
    tell_options(room, sizeof(room), options);
    add(run, FAKE_UNSIGNAL)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_schema_signal(tide_run *run, const struct tide_schema_signal *schema)
{
    add(run, FAKE_SCHEMA)->line =
        line_of("schema %.*s halflives=%" PRIu64 ",%" PRIu64 " windows=%d mode=%d negative=%d",
                SHOW(schema->name), schema->halflives_ms[0], schema->halflives_ms[1],
                schema->windows, schema->mode, schema->is_negative);
    return index_of(run);
}

int32_t tide_run_schema_field(tide_run *run, struct tide_bytes name, enum tide_field_kind kind)
{
    add(run, FAKE_SCHEMA)->line = line_of("field %.*s %d", SHOW(name), (int)kind);
    return index_of(run);
}

int32_t tide_run_producer_skip(tide_run *run, struct tide_bytes producer, uint64_t number)
{
    struct fake_op *op = add(run, FAKE_SKIP);
    op->type = producer;
    op->number = number;
    op->line = line_of("skip %.*s %" PRIu64, SHOW(producer), number);
    return index_of(run);
}

int32_t tide_run_producer(tide_run *run, struct tide_bytes producer)
{
    struct fake_op *op = add(run, FAKE_PRODUCER);
    op->type = producer;
    op->line = line_of("producer %.*s", SHOW(producer));
    return index_of(run);
}

int32_t tide_run_score(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    struct fake_op *op = add(run, FAKE_SCORE);
    op->type = type;
    op->item = item;
    op->line = line_of("score %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index_of(run);
}

/* The stand-in's rate and trend are its score. */
int32_t tide_run_rate(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    int32_t index = tide_run_score(run, type, item, at_ms);
    free(run->ops[index].line);
    run->ops[index].line = line_of("rate %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index;
}

int32_t tide_run_trend(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms)
{
    int32_t index = tide_run_score(run, type, item, at_ms);
    free(run->ops[index].line);
    run->ops[index].line = line_of("trend %.*s %.*s at=%" PRId64, SHOW(type), SHOW(item), at_ms);
    return index;
}

int32_t tide_run_count_of(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window)
{
    struct fake_op *op = add(run, FAKE_COUNT);
    op->type = type;
    op->item = item;
    op->line = line_of("count %.*s %.*s %.*s", SHOW(type), SHOW(item), SHOW(window));
    return index_of(run);
}

int32_t tide_run_retrieve(tide_run *run, const struct tide_retrieve *request)
{
    struct fake_op *op = add(run, FAKE_RETRIEVE);
    op->type = request->profile;
    op->number = request->limit;
    op->more = request->is_explain;
    op->item = request->cursor;
    op->line = line_of("retrieve %.*s limit=%u now=%" PRId64 " excludes=%u%s%.*s%s%.*s%s%.*s%s",
                       SHOW(request->profile), request->limit, request->now_ms,
                       request->exclude_count, request->exclude_count > 0 ? " first=" : "",
                       request->exclude_count > 0 ? (int)request->excludes[0].size : 0,
                       request->exclude_count > 0 ? (const char *)request->excludes[0].data : "",
                       request->where.size > 0 ? " where=" : "", SHOW(request->where),
                       request->cursor.size > 0 ? " cursor=" : "", SHOW(request->cursor),
                       request->is_explain ? " explain" : "");
    return index_of(run);
}

static int32_t add_plain(tide_run *run, enum fake_kind kind, const char *line)
{
    add(run, kind)->line = line_of("%s", line);
    return index_of(run);
}

int32_t tide_run_schema_show(tide_run *run)
{
    return add_plain(run, FAKE_SHOW, "schema show");
}

int32_t tide_run_position(tide_run *run)
{
    return add_plain(run, FAKE_POSITION, "position");
}

int32_t tide_run_digest(tide_run *run, uint64_t at_seqno)
{
    struct fake_op *op = add(run, FAKE_DIGEST);
    op->number = at_seqno;
    op->line = line_of("digest %" PRIu64, at_seqno);
    return index_of(run);
}

int32_t tide_run_checkpoint(tide_run *run)
{
    return add_plain(run, FAKE_CHECKPOINT, "checkpoint");
}

int32_t tide_run_log_seal(tide_run *run)
{
    return add_plain(run, FAKE_SEAL, "seal");
}

int32_t tide_run_wait(tide_run *run, uint64_t position, uint32_t followers, uint64_t timeout_ms)
{
    add(run, FAKE_WAIT)->line =
        line_of("wait %" PRIu64 " %u %s", position, followers, timeout_ms > 0 ? "timeout" : "-");
    return index_of(run);
}

int32_t tide_run_items(tide_run *run)
{
    return add_plain(run, FAKE_ITEMS, "items");
}

int32_t tide_run_status(tide_run *run)
{
    return add_plain(run, FAKE_STATUS, "status");
}

int32_t tide_run_configure(tide_run *run, const struct tide_options *options)
{
    add(run, FAKE_CONFIGURE)->line =
        line_of("configure mark_interval_ms=%" PRIu64, options->mark_interval_ms);
    return index_of(run);
}

int32_t tide_run_metrics(tide_run *run)
{
    return add_plain(run, FAKE_METRICS, "metrics");
}

int32_t tide_run_clock(tide_run *run)
{
    return add_plain(run, FAKE_CLOCK, "clock");
}

static int32_t add_member(tide_run *run, const char *what, struct tide_bytes id, const char *vote,
                          const struct tide_write_options *options)
{
    char room[512];
    snprintf(room, sizeof(room), "member %s %.*s%s", what, (int)id.size, (const char *)id.data,
             vote);
    tell_options(room, sizeof(room), options);
    add(run, FAKE_SCHEMA)->line = line_of("%s", room);
    return index_of(run);
}

int32_t tide_run_member_add(tide_run *run, struct tide_bytes node_id, bool is_voter,
                            const struct tide_write_options *options)
{
    return add_member(run, "add", node_id, is_voter ? " voter" : "", options);
}

int32_t tide_run_member_remove(tide_run *run, struct tide_bytes node_id,
                               const struct tide_write_options *options)
{
    return add_member(run, "remove", node_id, "", options);
}

int32_t tide_run_members(tide_run *run)
{
    static const struct tide_member members[] = {
        {.node_id = "a", .data_address = "10.0.0.1:7400", .is_voter = true},
        {.node_id = "b", .data_address = ""}};
    struct fake_op *op = add(run, FAKE_MEMBERS);
    op->result.kind = TIDE_RESULT_MEMBERS;
    op->result.as.members = (struct tide_members){members, 2};
    op->line = line_of("members");
    return index_of(run);
}

int32_t tide_run_plan(tide_run *run, struct tide_bytes what, struct tide_bytes argument)
{
    struct fake_op *op = add(run, FAKE_PLAN);
    op->type = what;
    op->item = argument;
    op->line = line_of("plan %.*s %.*s", (int)what.size, (const char *)what.data,
                       (int)argument.size, (const char *)argument.data);
    return index_of(run);
}

int32_t tide_run_clock_accept(tide_run *run)
{
    int32_t index = add_plain(run, FAKE_CLOCK, "clock accept");
    if (index >= 0) run->ops[index].number = 1;
    return index;
}

int32_t tide_run_promote(tide_run *run, const struct tide_position *expect, bool is_forced)
{
    add(run, FAKE_POSITION)->line = line_of("promote expect=%" PRIu64 "%s",
                                            expect ? expect->seqno : 0, is_forced ? " force" : "");
    return index_of(run);
}

int32_t tide_run_follow(tide_run *run, const char *address, bool accepts_loss,
                        const struct tide_position *expect)
{
    add(run, FAKE_CONFIGURE)->line =
        line_of("follow %s expect=%" PRIu64 "%s", address, expect ? expect->seqno : 0,
                accepts_loss ? " accept-loss" : "");
    return index_of(run);
}

int32_t tide_run_handover(tide_run *run, const char *node_id, uint64_t timeout_ms)
{
    add(run, FAKE_POSITION)->line = line_of("handover %s %" PRIu64, node_id, timeout_ms);
    return index_of(run);
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
