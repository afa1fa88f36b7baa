/* db_open: from a directory to a running node: lock, identity, log recovery, newest checkpoint,
 * replay, and as leader a new epoch. Blocking file calls on the caller's thread; nothing runs
 * beside it. Its second half is also how a running node opens its data anew (reopen.c). */
#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/planted.h"
#include "base/text.h"
#include "engine/checkpoint.h"
#include "engine/clock.h"
#include "engine/db_internal.h"
#include "engine/disk.h"
#include "engine/generation.h"
#include "engine/identity_store.h"
#include "engine/levels.h"
#include "engine/log_open.h"
#include "engine/members.h"
#include "engine/metrics.h"
#include "engine/queue.h"
#include "engine/receiver.h"
#include "engine/recover.h"
#include "engine/role.h"
#include "engine/scans.h"
#include "engine/shipper.h"
#include "engine/ticker.h"
#include "engine/transport.h"
#include "engine/truncate.h"
#include "engine/voters.h"
#include "engine/waits.h"
#include "engine/write.h"

void db_add_note(struct db *db, const char *note)
{
    struct text t = text_of(db->report.notes, sizeof(db->report.notes));
    t.size = strlen(db->report.notes);
    if (t.size > 0) text_add(&t, "; ");
    text_add(&t, "%s", note);
}

/* --- identity --- */

static void random_bytes(struct env *env, uint8_t *out, size_t size)
{
    for (size_t i = 0; i < size; i += sizeof(uint64_t)) {
        uint64_t v = env->v->random(env);
        memcpy(out + i, &v, size - i < sizeof(v) ? size - i : sizeof(v));
    }
}

static uint64_t random_nonzero(struct env *env)
{
    uint64_t v = 0;
    while (v == 0) {
        v = env->v->random(env);
    }
    return v;
}

static void make_identity(struct db *db)
{
    struct identity *id = &db->identity;
    struct env *env = db->env;
    const struct config *config = &db->config;
    id->stream = config->stream;
    id->history_id = random_nonzero(env);
    id->generation = 1;
    if (config->follow[0]) {
        id->role = ROLE_FOLLOWER;
        memcpy(id->leader_address, config->follow, sizeof(config->follow));
        memcpy(id->follow_given, config->follow, sizeof(config->follow));
    } else {
        id->role = config->replication_listen[0] ? ROLE_LEADER : ROLE_SINGLE;
        random_bytes(env, id->cluster.bytes, sizeof(id->cluster.bytes));
        id->log_key = random_nonzero(env);
    }
    if (config->node_id[0]) {
        memcpy(id->node_id, config->node_id, sizeof(config->node_id));
    } else {
        struct text t = text_of(id->node_id, sizeof(id->node_id));
        text_add(&t, "node-%08llx", (unsigned long long)(env->v->random(env) & 0xffffffffu));
    }
    db->report.is_new = true;
}

/* The role is what identity says; flags that differ are noted, not obeyed. */
static enum code reconcile(struct db *db, struct err *e)
{
    struct identity *id = &db->identity;
    const struct config *config = &db->config;
    /* The region that is asked for is where this node stands; the stream's may be another. */
    if (id->stream.shard != config->stream.shard) {
        return ERR(e, E_WRONG_CLUSTER,
                   "the directory holds region %u shard %u; region %u shard %u was asked for",
                   id->stream.region, id->stream.shard, config->stream.region,
                   config->stream.shard);
    }
    if (config->node_id[0] && strcmp(config->node_id, id->node_id) != 0) {
        return ERR(e, E_INVALID,
                   "the directory belongs to node \"%s\"; it cannot be opened as \"%s\"",
                   id->node_id, config->node_id);
    }
    if (id->role != ROLE_FOLLOWER) {
        if (config->follow[0]) {
            db_add_note(
                db, "identity says leader, so --follow is not obeyed; roles change by promotion");
        }
        id->role = config->replication_listen[0] ? ROLE_LEADER : ROLE_SINGLE;
        return OK;
    }
    bool is_same =
        strcmp(config->follow, TIDE_TRANSPORT) == 0 && transport_is_meant(id->leader_address);
    if (is_same) return OK; /* the name there comes with tide_replicate */
    if (!config->follow[0]) {
        db_add_note(db, "identity says follower, so it follows the leader it knows");
    } else if (strcmp(config->follow, id->leader_address) != 0) {
        db_add_note(db, "the leader's address changed to the one given with --follow");
        memcpy(id->leader_address, config->follow, sizeof(config->follow));
        /* The same old address again is no new wish: who follows whoever leads goes on to. */
        bool is_old = strcmp(config->follow, id->follow_given) == 0;
        if (!is_old || id->follows != FOLLOWS_LEADER) id->follows = FOLLOWS_NAMED;
    }
    if (config->follow[0]) memcpy(id->follow_given, config->follow, sizeof(config->follow));
    return OK;
}

static bool is_dir_empty(struct env *env, const char *dir)
{
    struct env_dirent *entries = NULL;
    size_t count = 0;
    if (env->v->list(env, dir, &entries, &count, NULL) != OK) return false;
    free(entries);
    return count == 0;
}

static enum code load_identity(struct db *db, struct err *e)
{
    bool is_found = false;
    enum code code = identity_load(db->env, &db->identity, &is_found, e);
    if (code == E_CORRUPT && is_dir_empty(db->env, "log") && is_dir_empty(db->env, "state")) {
        code = OK; /* the very first save was cut short: nothing was ever acknowledged here */
    }
    TRY(code);
    if (is_found) return reconcile(db, e);
    if (!is_dir_empty(db->env, "log")) {
        return ERR(e, E_CORRUPT,
                   "identity.a and identity.b are missing, but log/ is not empty; restore one of "
                   "them from a backup, or move the directory away");
    }
    make_identity(db);
    return OK;
}

/* --- state --- */

/* The log begins later than the first record, so the state cannot be made of it alone. */
static enum code refuse_without_state(const struct db *db, const struct checkpoint_loaded *loaded,
                                      struct err *e)
{
    return ERR(e, E_CORRUPT,
               "no checkpoint below state/ can be used (%s) and the log begins at record %llu: "
               "restore state/ from a backup, or start this node anew from an empty directory",
               loaded->rejected_why[0] ? loaded->rejected_why : "none lies in the log",
               (unsigned long long)log_oldest(db->log).v);
}

/* Load the newest checkpoint that lies in the log and replay what follows it. */
static enum code load_state(struct db *db, struct err *e)
{
    struct checkpoint_load load = {
        .env = db->env,
        .cluster = db->identity.cluster,
        .stream = db->identity.stream,
        .alloc = db->alloc,
        .generation = db->identity.generation,
        .at_most = log_durable(db->log).seqno,
    };
    struct position base = db->identity.log_base;
    for (;;) {
        struct checkpoint_loaded loaded;
        TRY(checkpoint_load_newest(&load, &loaded, e));
        db->next_pack = loaded.next_pack;
        if (loaded.rejected_why[0]) db_add_note(db, loaded.rejected_why);
        if (!loaded.state && base.seqno.v > 0) return refuse_without_state(db, &loaded, e);
        struct position from = loaded.state ? loaded.position : base;
        db->identity.epoch_count = 0;
        db->state = loaded.state ? loaded.state
                                 : state_new(db->alloc, db->identity.cluster, db->identity.stream);
        if (!db->state) return ERR(e, E_NOMEMORY, "no memory for the state");
        if (loaded.state) {
            uint32_t count =
                loaded.epoch_count < EPOCH_TABLE_MAX ? loaded.epoch_count : EPOCH_TABLE_MAX;
            memcpy(db->identity.epochs, loaded.epochs, count * sizeof(loaded.epochs[0]));
            db->identity.epoch_count = count;
            free(loaded.epochs);
            db->report.checkpoint_seqno = loaded.position.seqno.v;
        }
        if (PLANTED(5)) from = base; /* replay counted twice: what the checkpoint holds, again */
        enum code code = db_replay(db, &from, &db->report.records_replayed, e);
        if (code == E_DIVERGED && loaded.state) {
            /* The checkpoint is not in this log: discard it, take the next older one. */
            db_add_note(db, "a checkpoint that is not in the log was passed over");
            load.at_most = seqno_of(loaded.position.seqno.v - 1);
            checkpoint_contents_fini(&loaded.contents);
            state_free(db->state);
            db->state = NULL;
            db->report.checkpoint_seqno = 0;
            continue;
        }
        db->loaded = loaded.contents;
        return code;
    }
}

static enum code recover(struct db *db, struct err *e)
{
    struct log_hooks hooks;
    struct recovery_report report = {0};
    db_log_hooks(db, &hooks);
    struct recovery_input input = {
        .env = db->env, .config = &db->config, .identity = &db->identity, .hooks = &hooks};
    TRY(recover_log(&input, &db->log, &report, e));
    struct log_figures figures;
    log_figures(db->log, &figures);
    db->identity.first_segment = figures.first_file_id;
    db->identity.last_segment = figures.last_file_id;
    db->report.discarded_bytes = report.discarded_bytes;
    if (report.discarded_bytes > 0) {
        char note[160];
        struct text t = text_of(note, sizeof(note));
        text_add(&t, "a torn tail of %llu bytes after record %llu was moved to quarantine/",
                 (unsigned long long)report.discarded_bytes,
                 (unsigned long long)report.discarded_after.v);
        db_add_note(db, note);
        db_event(db, DB_EVENT_RECOVERY, "%s", note);
    }
    TRY(load_state(db, e));
    generation_clean(db->env, &db->identity);
    if (db->identity.epoch_count > 0) {
        db->epoch = db->identity.epochs[db->identity.epoch_count - 1].epoch;
    }
    return OK;
}

/* --- becoming leader --- */

void db_take_epoch_number(struct db *db, uint64_t number)
{
    struct identity *id = &db->identity;
    ASSERT(number >= id->highest_epoch); /* equal: it was claimed */
    id->highest_epoch = number;
    db_note_led(db, number);
}

void db_note_led(struct db *db, uint64_t number)
{
    struct identity *id = &db->identity;
    ASSERT(id->led_count == 0 || number > id->led[id->led_count - 1]);
    if (id->led_count == COUNT_OF(id->led)) {
        memmove(&id->led[0], &id->led[1], (COUNT_OF(id->led) - 1) * sizeof(id->led[0]));
        id->led_count--;
    }
    id->led[id->led_count++] = number;
}

/* A clock that was set back is worth a word; a restart within the second is not. */
static void note_clock(struct db *db)
{
    int64_t behind_ms = -db->leader_time.offset_ns / (int64_t)NS_PER_MS;
    if (db->leader_time.state != LEADER_TIME_STANDING || behind_ms < 1000) return;
    char note[160];
    struct text t = text_of(note, sizeof(note));
    text_add(&t,
             "the wall clock is %lld s behind the newest record: leader time stands still until it "
             "has come up",
             (long long)(behind_ms / 1000));
    db_add_note(db, note);
}

/* A new epoch: its number is taken for ever (identity synced) before its first record is written,
 * and that record is durable before anything else is done in it. */
static enum code start_epoch(struct db *db, struct err *e)
{
    struct identity *id = &db->identity;
    struct epoch previous = db->epoch;
    seqno previous_last = log_durable(db->log).seqno;
    db->epoch = (struct epoch){.number = id->highest_epoch + 1, .nonce = random_nonzero(db->env)};
    db_take_epoch_number(db, db->epoch.number);
    if (!PLANTED(12)) TRY(identity_save_now(db->env, id, e)); /* planted: later is soon enough */
    TRY(log_make_first_spare(db->log, e));
    db->is_leading = true;
    clock_start(db);
    note_clock(db);
    db->write = write_new(db);
    if (!db->write) return ERR(e, E_NOMEMORY, "no memory for the write path");
    struct record_epoch_start start = {
        .epoch = db->epoch,
        .previous = previous,
        .previous_last = previous_last,
        .node_id = slice_of_text(id->node_id),
        .incarnation = id->incarnation,
        .reason = previous_last.v == 0 ? EPOCH_NEW_LOG : EPOCH_RESTART,
    };
    TRY(write_epoch_start_now(db->write, &start, e));
    db_event(db, DB_EVENT_EPOCH, "this node leads epoch %llu, which begins with record %llu",
             (unsigned long long)db->epoch.number, (unsigned long long)previous_last.v + 1);
    if (state_type_count(db->state) == 0) TRY(write_schemas_now(db->write, e));
    return OK;
}

static enum code list_manifests(struct db *db, struct err *e)
{
    const struct identity *id = &db->identity;
    uint32_t removed = 0;
    struct err why = {.code = OK};
    if (quarantine_trim(db->env, db->config.quarantine_budget, &removed, &why) != OK) {
        db_event(db, DB_EVENT_RECOVERY, "quarantine/ could not be trimmed: %s", why.text);
    }
    if (removed > 0) {
        db_event(db, DB_EVENT_RECOVERY, "the oldest %u files in quarantine/ were removed: %s",
                 removed, "quarantine_budget");
    }
    if (quarantine_read(db->env, &db->quarantine, &why) != OK) {
        db_event(db, DB_EVENT_RECOVERY, "quarantine/ could not be listed: %s", why.text);
    }
    const struct state_files files = {.env = db->env, .cluster = id->cluster, .stream = id->stream};
    return manifest_list_read(&files, id->generation, &db->manifests, e);
}

enum code db_open_files(struct db *db, struct err *e)
{
    bool has_switched = false;
    TRY(divergence_settle(db, e));
    TRY(generation_settle(db->env, &db->identity, &has_switched, e));
    if (has_switched) db_add_note(db, "the state that was copied from another node counts now");
    bool has_cluster = !id128_is_zero(&db->identity.cluster);
    if (has_cluster) TRY(truncation_redo(db, e));
    if (has_cluster) TRY(recover(db, e));
    truncation_end(db);
    /* Starting as leader is promoting oneself: with others there it waits until they were asked. */
    const char *others[MEMBERS_MAX];
    bool is_alone = members_addresses(db, others) == 0;
    if (db->identity.role != ROLE_FOLLOWER && is_alone) {
        TRY(start_epoch(db, e));
    } else {
        TRY(identity_save_now(db->env, &db->identity, e));
    }
    TRY(list_manifests(db, e));
    if (has_cluster) TRY(db_make_parts(db, e));
    if (db->shipper) shipper_reload(db->shipper);
    voters_refresh(db, SEQNO_NONE);
    return OK;
}

enum code db_open_links(struct db *db, struct err *e)
{
    db->saver = identity_saver_new(db->env, db);
    if (!db->saver) return ERR(e, E_NOMEMORY, "no memory to open");
    if (db_is_leader(db)) {
        db->ticker = ticker_new(db);
        if (!db->ticker) return ERR(e, E_NOMEMORY, "no memory for the ticker");
    }
    if (db->shipper) {
        shipper_resume(db->shipper);
    } else if (db->config.replication_listen[0]) {
        TRY(shipper_open(db, &db->shipper, e));
    }
    if (db->identity.role == ROLE_FOLLOWER) TRY(receiver_open(db, &db->receiver, e));
    if (db->log) log_start_spare(db->log);
    role_begin(db);
    members_wake(db);
    disk_start(db->disk);
    return OK;
}

/* What a follower may hold back when nobody says: a share of the disk as it is now. */
static void take_slot_budget(struct db *db)
{
    struct config *c = &db->config;
    uint64_t free_bytes = 0;
    c->slot_budget_auto = SLOT_BUDGET_MAX;
    bool is_known = db->env->v->disk_free(db->env, &free_bytes, NULL) == OK && free_bytes > 0;
    if (is_known && free_bytes / 4 < SLOT_BUDGET_MAX) c->slot_budget_auto = free_bytes / 4;
    if (c->slot_budget_auto < c->segment_size) c->slot_budget_auto = c->segment_size;
    if (c->slot_budget_bytes == 0) c->slot_budget_bytes = c->slot_budget_auto;
}

static enum code open_steps(struct db *db, struct err *e)
{
    struct env *env = db->env;
    TRY(env->v->lock(env, e));
    TRY(env->v->make_dir(env, "log", e));
    TRY(env->v->make_dir(env, "state", e));
    TRY(env->v->make_dir(env, "quarantine", e));
    TRY(env->v->sync_dir(env, ".", e));
    TRY(load_identity(db, e));
    db->identity.incarnation++;
    take_slot_budget(db);
    db->disk = disk_new(db);
    if (!db->disk) return ERR(e, E_NOMEMORY, "no memory to open");
    db->queue = queue_new(db);
    db->levels = levels_new(db);
    db->waits = waits_new(db);
    db->scans = scans_new(db);
    db->metrics = metrics_new();
    if (!db->queue || !db->levels || !db->waits || !db->scans || !db->metrics) {
        return ERR(e, E_NOMEMORY, "no memory to open");
    }
    TRY(role_open(db, &db->role, e));
    TRY(members_open(db, &db->members, e));
    TRY(db_open_files(db, e));
    return db_open_links(db, e);
}

void db_fill_report(struct db *db, uint64_t started_ns)
{
    struct position at = db_applied(db);
    uint64_t took_ns = db->env->v->now_mono_ns(db->env) - started_ns;
    enum tide_role leading = db->shipper ? TIDE_ROLE_LEADER : TIDE_ROLE_SINGLE;
    db->report.role = db->identity.role != ROLE_FOLLOWER ? leading : TIDE_ROLE_FOLLOWER;
    db->report.position = (struct tide_position){.epoch = at.epoch, .seqno = at.seqno.v};
    memcpy(db->report.position.chain4, at.chain.bytes, sizeof(db->report.position.chain4));
    db->report.seconds_micro = took_ns / 1000;
    metrics_note_recovery(db->metrics, took_ns, db->report.discarded_bytes);
    const char *word = db->report.role == TIDE_ROLE_FOLLOWER ? "follower"
                       : db->shipper                         ? "leader"
                                                             : "single";
    db_event(db, DB_EVENT_ROLE, "opened as %s at record %llu of epoch %llu", word,
             (unsigned long long)at.seqno.v, (unsigned long long)at.epoch);
}

enum code db_open(struct env *env, struct alloc *alloc, const struct tide_options *options,
                  struct db **out, struct err *e)
{
    struct db *db = calloc(1, sizeof(*db));
    if (!db) return ERR(e, E_NOMEMORY, "no memory to open");
    db->env = env;
    db->alloc = alloc;
    db->opened_ns = env->v->now_mono_ns(env);
    trace_init(&db->trace);
    db_init_tasks(db);
    enum code code = config_from_options(options, &db->config, e);
    if (code == OK) code = open_steps(db, e);
    if (code != OK) {
        db_free_parts(db);
        return code;
    }
    db_fill_report(db, db->opened_ns);
    *out = db;
    return OK;
}
