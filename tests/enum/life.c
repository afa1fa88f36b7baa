/* life: see life.h. */
#include "enum/life.h"

#include <stdio.h>
#include <stdlib.h>

#include "engine/shipper_internal.h"

const char *const step_names[STEP_COUNT] = {"append", "batch",     "seal",   "checkpoint",
                                            "prune",  "slot-save", "restart"};

struct tide_options life_options(void)
{
    struct tide_options o = node_options("");
    o.replication_listen = TIDE_TRANSPORT; /* a leader with slots; nobody connects */
    o.node_id = "n1";
    o.retain_segments = 1;
    o.mark_interval_ms = 10000;
    return o;
}

struct node open_on(struct mem_disk *disk, uint64_t seed, struct err *e)
{
    struct tide_options options = life_options();
    struct node n = {.env = steps_open_over(mem_disk_env(disk))};
    steps_seed(n.env, seed);
    if (steps_node_open_on(&n, &options, e) == OK) steps_run(n.env);
    return n;
}

void abandon_on(struct node *n)
{
    steps_node_abandon(n);
}

static _Noreturn void give_up(const char *what, const char *why)
{
    fprintf(stderr, "enum: %s: %s\n", what, why);
    abort();
}

enum code life_open(struct life *l, struct err *e)
{
    mem_disk_end_process(l->disk);
    l->n = open_on(l->disk, ++l->openings, e);
    return l->n.db == NULL ? e->code : OK;
}

void life_end(struct life *l)
{
    abandon_on(&l->n);
    mem_disk_end_process(l->disk);
}

struct hash256 content_of(struct node *n)
{
    struct state_version *v = state_pin(n->db->state);
    if (v == NULL) give_up("content", "the state cannot be pinned");
    static uint8_t *scratch;
    static uint32_t scratch_size;
    uint32_t size_max = state_version_block_size_max(v);
    if (size_max > scratch_size) {
        free(scratch);
        scratch = malloc(scratch_size = size_max);
    }
    struct hasher hasher;
    hasher_init(&hasher);
    for (uint32_t i = 0; i < state_version_block_count(v); i++) {
        struct block_id id = state_version_block_id(v, i);
        if (id.kind == BLOCK_META) continue;
        struct hash256 hash = state_version_block_hash(v, i, scratch);
        hasher_update(&hasher, slice_of(&id.kind, sizeof(id.kind)));
        hasher_update(&hasher, slice_of(&id.number, sizeof(id.number)));
        hasher_update(&hasher, slice_of(hash.bytes, sizeof(hash.bytes)));
    }
    state_version_free(v);
    return hasher_final(&hasher);
}

uint32_t batches_in(const struct oracle *o, const struct hash256 *content)
{
    for (uint32_t i = o->handed + 1; i-- > 0;) {
        if (memcmp(&o->contents[i], content, sizeof(*content)) == 0) return i;
    }
    return UINT32_MAX;
}

/* --- steps --- */

/* Learn what the state holds now, if that is new. */
static void learn(struct life *l)
{
    struct oracle *o = &l->oracle;
    struct hash256 content = content_of(&l->n);
    if (memcmp(&o->contents[o->known], &content, sizeof(content)) == 0) return;
    if (o->known + 1 == LIFE_BATCHES_MAX) give_up("oracle", "too many batches");
    o->contents[++o->known] = content;
}

struct answer {
    struct oracle *oracle; /* of a write; NULL else */
    bool is_done;
};

/* The client knows as soon as it is answered, not when everything has come to rest. */
static void answered(tide_run *run, void *arg)
{
    struct answer *a = arg;
    (void)run;
    a->is_done = true;
    if (a->oracle != NULL) a->oracle->acknowledged = a->oracle->handed;
}

static void execute(struct life *l, tide_run *run, bool is_write)
{
    struct oracle *o = &l->oracle;
    struct answer a = {.oracle = is_write ? o : NULL};
    if (is_write && !l->is_rehearsal) o->handed = o->ends[o->writes];
    run->callback = answered;
    run->callback_arg = &a;
    run->is_submitted = true;
    db_submit(l->n.db, run);
    while (steps_run_one(l->n.env)) {
        if (l->is_rehearsal && is_write) learn(l);
    }
    if (!a.is_done) give_up("a run", "was not answered");
    for (size_t i = 0; i < tide_run_count(run); i++) {
        const struct tide_result *r = tide_run_result(run, i);
        if (r->code != TIDE_OK) give_up("an operation", r->message);
    }
    tide_run_free(run);
    if (!is_write) return;
    if (l->is_rehearsal) o->handed = o->acknowledged = o->ends[o->writes] = o->known;
    o->writes++;
}

static struct tide_signal signal_of(uint32_t number)
{
    static const char *const items[] = {"a", "b", "c", "d"};
    return (struct tide_signal){.type = bytes_of("view"),
                                .item = bytes_of(items[number % COUNT_OF(items)]),
                                .weight = 1 + number,
                                .weight_is_set = true};
}

static void append(struct life *l)
{
    tide_run *run = tide_run_new();
    struct tide_signal signal = signal_of(l->oracle.writes);
    (void)tide_run_signal(run, &signal, NULL);
    execute(l, run, true);
}

/* Large enough to lie in several sectors. */
static void batch(struct life *l)
{
    tide_run *run = tide_run_new();
    char text[1400];
    memset(text, 'x', sizeof(text));
    char key[16];
    (void)snprintf(key, sizeof(key), "k%u", l->oracle.writes);
    struct tide_signal signals[3];
    for (uint32_t i = 0; i < COUNT_OF(signals); i++)
        signals[i] = signal_of(l->oracle.writes + i);
    struct tide_field field = {
        .name = bytes_of("body"), .kind = TIDE_VALUE_TEXT, .text = {text, sizeof(text)}};
    struct tide_put put = {.key = bytes_of("a"), .fields = &field, .field_count = 1};
    struct tide_write_options options = {.key = bytes_of(key)};
    (void)tide_run_item_put(run, &put, NULL);
    (void)tide_run_signals(run, signals, COUNT_OF(signals), &options);
    (void)tide_run_begin(run, NULL);
    (void)tide_run_signal(run, &signals[0], NULL);
    (void)tide_run_signal(run, &signals[1], NULL);
    (void)tide_run_end(run);
    execute(l, run, true);
}

static void ask(struct life *l, int32_t (*what)(tide_run *run))
{
    tide_run *run = tide_run_new();
    (void)what(run);
    execute(l, run, false);
}

void join_follower(struct db *db, uint32_t number)
{
    char id[16];
    int size = snprintf(id, sizeof(id), "f%u", number);
    struct slot_join join = {
        .node_id = slice_of(id, (size_t)size),
        .incarnation = 1,
        .history_id = number,
        .last = log_durable(db->log),
        .now_ns = db->env->v->now_mono_ns(db->env),
        .log_bytes = log_durable_bytes(db->log),
    };
    (void)slots_join(&db->shipper->table, &join);
    shipper_arm(db->shipper);
}

static void save_slot(struct life *l)
{
    join_follower(l->n.db, ++l->followers);
    steps_advance(l->n.env, NS_PER_MS);
    steps_run(l->n.env);
}

/* The log is held by followers and by checkpoints. */
static void prune(struct life *l)
{
    seqno oldest = log_oldest(l->n.db->log);
    for (uint32_t i = 1; i <= l->followers; i++)
        join_follower(l->n.db, i);
    shipper_on_stored(l->n.db->shipper, SLOT_NONE);
    ask(l, tide_run_checkpoint);
    steps_advance(l->n.env, 3 * NS_PER_S);
    steps_run(l->n.env);
    l->pruned += log_oldest(l->n.db->log).v - oldest.v;
}

static void is_closed(void *arg)
{
    *(bool *)arg = true;
}

static void restart(struct life *l)
{
    bool is_done = false;
    db_close(l->n.db, is_closed, &is_done);
    for (uint32_t i = 0; i < 10000 && !is_done; i++) {
        steps_run(l->n.env);
        steps_advance(l->n.env, NS_PER_MS);
    }
    if (!is_done) give_up("restart", "the node does not close");
    l->n.db = NULL;
    abandon_on(&l->n);
    struct err e = {.code = OK};
    if (life_open(l, &e) != OK) give_up("restart", e.text);
}

void life_step(struct life *l, enum step step)
{
    switch (step) {
    case STEP_APPEND: append(l); return;
    case STEP_BATCH: batch(l); return;
    case STEP_SEAL: ask(l, tide_run_log_seal); return;
    case STEP_CHECKPOINT: ask(l, tide_run_checkpoint); return;
    case STEP_PRUNE: prune(l); return;
    case STEP_SLOT_SAVE: save_slot(l); return;
    case STEP_RESTART: restart(l); return;
    case STEP_COUNT: break;
    }
}

void life_prologue(struct life *l)
{
    static const enum step steps[] = {
        STEP_SLOT_SAVE, STEP_APPEND,     STEP_BATCH, STEP_SEAL, STEP_CHECKPOINT, STEP_APPEND,
        STEP_SEAL,      STEP_CHECKPOINT, STEP_BATCH, STEP_SEAL, STEP_APPEND,
    };
    *l = (struct life){.disk = mem_disk_new(), .is_rehearsal = true};
    struct err e = {.code = OK};
    if (life_open(l, &e) != OK) give_up("the first opening", e.text);
    l->oracle.contents[0] = content_of(&l->n);
    for (size_t i = 0; i < COUNT_OF(steps); i++)
        life_step(l, steps[i]);
    life_end(l);
}
