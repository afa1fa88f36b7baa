/* client_run: building runs. */
#include "sim/client_run.h"

#include "sim/docs.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"
#include "engine/run.h"

struct client_run *client_run_new(struct cluster *c, struct client *client, uint32_t node)
{
    struct client_run *r = calloc(1, sizeof(*r));
    ASSERT(r != NULL);
    r->cluster = c;
    r->client = client;
    r->node = node;
    r->patience_ns = CLIENT_PATIENCE_NS;
    r->run = tide_run_new();
    ASSERT(r->run != NULL);
    return r;
}

void client_run_free(struct client_run *r)
{
    tide_run_free(r->run);
    while (r->pieces != NULL) {
        struct client_piece *piece = r->pieces;
        r->pieces = piece->next;
        free(piece);
    }
    free(r);
}

char *client_run_piece(struct client_run *r, size_t size)
{
    struct client_piece *piece = malloc(sizeof(*piece) + size);
    ASSERT(piece != NULL);
    piece->next = r->pieces;
    r->pieces = piece;
    return piece->bytes;
}

static struct tide_bytes text_bytes(const char *text)
{
    return (struct tide_bytes){.data = text, .size = strlen(text)};
}

static struct tide_bytes type_bytes(uint8_t type)
{
    return text_bytes(model_types[type].name);
}

static struct tide_bytes take_item(struct client_run *r, uint32_t item)
{
    char *bytes = client_run_piece(r, MODEL_KEY_SIZE);
    return (struct tide_bytes){.data = bytes, .size = model_item(item, bytes)};
}

static struct tide_bytes take_user(struct client_run *r, uint32_t user)
{
    if (user == MODEL_NO_USER) return (struct tide_bytes){0};
    char *bytes = client_run_piece(r, MODEL_KEY_SIZE);
    return (struct tide_bytes){.data = bytes, .size = model_user(user, bytes)};
}

static struct tide_bytes take_key(struct client_run *r, uint32_t write)
{
    char *bytes = client_run_piece(r, MODEL_KEY_SIZE);
    return (struct tide_bytes){.data = bytes, .size = model_key(write, bytes)};
}

static struct tide_bytes take_producer(struct client_run *r, uint32_t producer)
{
    char *bytes = client_run_piece(r, MODEL_KEY_SIZE);
    int size = snprintf(bytes, MODEL_KEY_SIZE, "producer-%u", producer);
    return (struct tide_bytes){.data = bytes, .size = (size_t)size};
}

bool client_run_is_full(const struct client_run *r)
{
    return r->slot_count + CLIENT_ENTRIES_MAX + 2 > CLIENT_SLOTS_MAX;
}

/* Every operation has the slot of its index. */
struct client_slot *client_run_slot(struct client_run *r, enum slot_kind kind, int32_t index)
{
    ASSERT(index == (int32_t)r->slot_count && r->slot_count < CLIENT_SLOTS_MAX);
    struct client_slot *slot = &r->slots[r->slot_count++];
    *slot = (struct client_slot){.kind = kind};
    return slot;
}

static struct tide_signal take_signal(struct client_run *r, const struct model_entry *entry)
{
    return (struct tide_signal){
        .type = type_bytes(entry->type),
        .item = take_item(r, entry->item),
        .weight = entry->weight,
        .weight_is_set = true,
        .at_ms = entry->at_ms,
        .user = take_user(r, entry->user),
    };
}

/* Key or producer number of a write, as options of its record. */
static void fill_write_options(struct client_run *r, uint32_t write,
                               struct tide_write_options *options)
{
    const struct model_write *w = &r->cluster->model.writes[write];
    *options = (struct tide_write_options){0};
    if (w->is_keyed) options->key = take_key(r, write);
    if (w->copies != 0) {
        options->durability.level =
            (struct tide_level){.kind = TIDE_LEVEL_STORED, .count = (uint8_t)w->copies};
        options->durability.deadline_ms = 500;
    }
    if (w->producer != 0) {
        options->producer = take_producer(r, w->producer);
        options->producer_number = w->producer_number;
    }
}

static int32_t write_undo(struct client_run *r, const struct model_entry *entry,
                          const struct tide_write_options *options)
{
    return tide_run_unsignal(r->run, type_bytes(entry->type), take_item(r, entry->item),
                             take_user(r, entry->user), options);
}

static void write_nothing(struct client_run *r, uint32_t write)
{
    const struct model_write *w = &r->cluster->model.writes[write];
    int32_t index =
        tide_run_producer_skip(r->run, take_producer(r, w->producer), w->producer_number);
    client_run_slot(r, SLOT_WRITE, index)->write = write;
    model_sent(&r->cluster->model, write);
}

void client_run_write(struct client_run *r, uint32_t write)
{
    struct model *m = &r->cluster->model;
    const struct model_write *w = &m->writes[write];
    if (client_run_is_full(r)) return;
    if (w->change.kind != CHANGE_NONE) {
        struct tide_bytes key = w->is_keyed ? take_key(r, write) : (struct tide_bytes){0};
        client_run_slot(r, SLOT_WRITE, docs_add(r, write, key))->write = write;
        model_sent(m, write);
        return;
    }
    if (w->entry_count == 0) {
        write_nothing(r, write);
        return;
    }
    struct tide_signal *signals = calloc(w->entry_count, sizeof(*signals));
    ASSERT(signals != NULL);
    struct tide_write_options options;
    for (uint32_t i = 0; i < w->entry_count; i++) {
        signals[i] = take_signal(r, &m->entries[w->first_entry + i]);
    }
    fill_write_options(r, write, &options);
    int32_t index = 0;
    if (m->entries[w->first_entry].is_undo) {
        index = write_undo(r, &m->entries[w->first_entry], &options);
    } else if (w->entry_count > 1) {
        index = tide_run_signals(r->run, signals, w->entry_count, &options);
    } else {
        /* The key of a single signal is its own. */
        signals[0].key = options.key;
        options.key = (struct tide_bytes){0};
        index = tide_run_signal(r->run, &signals[0], &options);
    }
    free(signals);
    client_run_slot(r, SLOT_WRITE, index)->write = write;
    model_sent(m, write);
}

static int32_t add_member(struct client_run *r, uint32_t write, struct tide_bytes key)
{
    struct model *m = &r->cluster->model;
    if (m->writes[write].change.kind != CHANGE_NONE) return docs_add(r, write, key);
    const struct model_entry *entry = &m->entries[m->writes[write].first_entry];
    if (entry->is_undo) return write_undo(r, entry, &(struct tide_write_options){.key = key});
    struct tide_signal signal = take_signal(r, entry);
    signal.key = key;
    return tide_run_signal(r->run, &signal, NULL);
}

void client_run_group(struct client_run *r, uint32_t first)
{
    struct model *m = &r->cluster->model;
    uint32_t group = m->writes[first].group;
    bool is_key_of_record = (group & 1) != 0;
    struct tide_write_options options = {0};
    if (client_run_is_full(r)) return;
    if (is_key_of_record) options.key = take_key(r, first);
    client_run_slot(r, SLOT_FRAME, tide_run_begin(r->run, &options));
    for (uint32_t i = first; i < m->write_count && m->writes[i].group == group; i++) {
        struct tide_bytes key = {0};
        if (!is_key_of_record) key = take_key(r, i);
        client_run_slot(r, SLOT_MEMBER, add_member(r, i, key))->write = i;
        model_sent(m, i);
    }
    client_run_slot(r, SLOT_FRAME, tide_run_end(r->run));
}

void client_run_position(struct client_run *r)
{
    if (!client_run_is_full(r)) client_run_slot(r, SLOT_POSITION, tide_run_position(r->run));
}

void client_run_count(struct client_run *r, uint8_t type, uint8_t item)
{
    if (client_run_is_full(r)) return;
    /* Within half an hour everything that got its time at arrival is in the last hour, too, unless
     * a wall clock moved the window. */
    bool is_recent =
        !model_types[type].has_times && item % 2 == 1 && r->cluster->world.now_ns < 1800 * NS_PER_S;
    int32_t index = tide_run_count_of(r->run, type_bytes(type), take_item(r, item),
                                      text_bytes(is_recent ? "1h" : "all"));
    struct client_slot *slot = client_run_slot(r, SLOT_COUNT, index);
    slot->type = type;
    slot->item = item;
}

void client_run_fresh(struct client_run *r, uint8_t type, uint8_t item,
                      const struct tide_read_options *options)
{
    if (client_run_is_full(r)) return;
    int32_t index =
        tide_run_count_of(r->run, type_bytes(type), take_item(r, item), text_bytes("all"));
    bool has_memory = tide_run_set_read(r->run, index, options);
    ASSERT(has_memory);
    struct client_slot *slot = client_run_slot(r, SLOT_FRESH, index);
    slot->type = type;
    slot->item = item;
    r->fresh = *options;
}

void client_run_score(struct client_run *r, uint8_t type, uint8_t item, int64_t at_ms)
{
    if (client_run_is_full(r)) return;
    int32_t index = tide_run_score(r->run, type_bytes(type), take_item(r, item), at_ms);
    struct client_slot *slot = client_run_slot(r, SLOT_SCORE, index);
    slot->type = type;
    slot->item = item;
    slot->at_ms = at_ms;
}

void client_run_producer(struct client_run *r, uint32_t producer)
{
    if (client_run_is_full(r)) return;
    int32_t index = tide_run_producer(r->run, take_producer(r, producer));
    client_run_slot(r, SLOT_PRODUCER, index)->number = producer;
}

void client_run_retrieve(struct client_run *r, uint8_t type, uint32_t limit, int64_t now_ms)
{
    if (client_run_is_full(r)) return;
    char *profile = client_run_piece(r, 32);
    int size = snprintf(profile, 32, "decayed:%s", model_types[type].name);
    struct tide_retrieve request = {
        .profile = {.data = profile, .size = (size_t)size},
        .limit = limit,
        .now_ms = now_ms,
    };
    struct client_slot *slot =
        client_run_slot(r, SLOT_RETRIEVE, tide_run_retrieve(r->run, &request));
    slot->type = type;
    slot->at_ms = now_ms;
}

void client_run_digest(struct client_run *r, uint64_t mark)
{
    if (!client_run_is_full(r))
        client_run_slot(r, SLOT_DIGEST, tide_run_digest(r->run, mark))->number = mark;
}

void client_run_status(struct client_run *r)
{
    if (!client_run_is_full(r)) client_run_slot(r, SLOT_STATUS, tide_run_status(r->run));
}

void client_run_wait(struct client_run *r, uint64_t at_least, uint32_t followers,
                     uint64_t timeout_ms)
{
    if (client_run_is_full(r)) return;
    int32_t index = tide_run_wait(r->run, at_least, followers, timeout_ms);
    client_run_slot(r, SLOT_WAIT, index)->number = at_least;
    r->patience_ns = timeout_ms * NS_PER_MS + CLIENT_GRACE_NS;
}

void client_run_other(struct client_run *r, enum client_other what)
{
    int32_t index = -1;
    if (client_run_is_full(r)) return;
    switch (what) {
    case OTHER_CHECKPOINT: index = tide_run_checkpoint(r->run); break;
    case OTHER_SEAL: index = tide_run_log_seal(r->run); break;
    case OTHER_ITEMS: index = tide_run_items(r->run); break;
    case OTHER_METRICS: index = tide_run_metrics(r->run); break;
    case OTHER_SCHEMA: index = tide_run_schema_show(r->run); break;
    }
    client_run_slot(r, SLOT_OTHER, index);
}

void client_run_forbidden(struct client_run *r)
{
    if (client_run_is_full(r)) return;
    struct tide_signal signal = {.type = type_bytes(0), .item = take_item(r, 0)};
    client_run_slot(r, SLOT_FORBIDDEN, tide_run_signal(r->run, &signal, NULL));
}

/* --- handing over --- */

static void forget_run(struct client_run *r)
{
    struct client_run **at = &r->cluster->nodes[r->node].runs;
    while (*at != r) {
        ASSERT(*at != NULL); /* answered twice */
        at = &(*at)->next;
    }
    *at = r->next;
    if (r->client != NULL) r->client->run = NULL;
}

static void on_done(tide_run *run, void *arg)
{
    (void)run;
    struct client_run *r = arg;
    forget_run(r);
    client_judge(r);
    client_run_free(r);
}

void client_run_submit(struct client_run *r)
{
    struct cluster *c = r->cluster;
    struct cluster_node *n = &c->nodes[r->node];
    ASSERT(cluster_is_ready(c, r->node));
    c->world.coverage.runs++;
    r->asked.at_ns = c->world.now_ns;
    r->asked.leader_durable = c->nodes[c->leader].durable_peak;
    r->asked.leader = c->leader;
    r->acked_before = c->model.acked_max;
    /* At the end of the list, so that runs of a dead node go back in the order of submission. */
    struct client_run **at = &n->runs;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = r;
    if (r->client != NULL) r->client->run = r;
    r->run->callback = on_done;
    r->run->callback_arg = r;
    db_submit(n->db, r->run);
}
