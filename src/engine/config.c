/* config: defaults and bounds of the options, in one table, so that documentation, errors and
 * checks cannot differ. */
#include "engine/config.h"

#include "base/text.h"
#include "format/limits.h"

struct bound {
    const char *name;
    uint64_t given;
    uint64_t fallback;
    uint64_t min;
    uint64_t max;
    uint64_t *out;
};

static enum code take_bounds(const struct bound *bounds, size_t count, struct err *e)
{
    for (size_t i = 0; i < count; i++) {
        const struct bound *b = &bounds[i];
        uint64_t v = b->given != 0 ? b->given : b->fallback;
        if (v < b->min || v > b->max) {
            return ERR(e, E_INVALID, "option %s is %llu; it must be between %llu and %llu", b->name,
                       (unsigned long long)v, (unsigned long long)b->min,
                       (unsigned long long)b->max);
        }
        *b->out = v;
    }
    return OK;
}

static enum code take_text(const char *name, const char *given, char *out, size_t capacity,
                           struct err *e)
{
    out[0] = '\0';
    if (!given) return OK;
    size_t size = strlen(given);
    if (size >= capacity) {
        return ERR(e, E_INVALID, "option %s has %zu characters; at most %zu are allowed", name,
                   size, capacity - 1);
    }
    memcpy(out, given, size + 1);
    return OK;
}

static enum code take_texts(const struct tide_options *o, struct config *c, struct err *e)
{
    TRY(take_text("id", o->node_id, c->node_id, sizeof(c->node_id), e));
    if (c->node_id[0] && !is_node_id(slice_of_text(c->node_id))) {
        return ERR(e, E_INVALID, "node id \"%s\" has a character outside [A-Za-z0-9._-]",
                   c->node_id);
    }
    TRY(take_text("follow", o->follow, c->follow, sizeof(c->follow), e));
    TRY(take_text("replication_listen", o->replication_listen, c->replication_listen,
                  sizeof(c->replication_listen), e));
    TRY(take_text("data_address", o->data_address, c->data_address, sizeof(c->data_address), e));
    TRY(take_text("http_address", o->http_address, c->http_address, sizeof(c->http_address), e));
    return take_text("replication_address", o->replication_address, c->replication_address,
                     sizeof(c->replication_address), e);
}

static enum code take_levels(const struct tide_options *o, struct config *c, struct err *e)
{
    struct err why = {.code = OK};
    c->level = (struct level){.kind = LEVEL_LOCAL};
    if (o->level != NULL && level_parse(slice_of_text(o->level), &c->level, &why) != OK) {
        return ERR(e, E_INVALID, "option level: %s", why.text);
    }
    if (o->on_miss < TIDE_MISS_WAIT || o->on_miss > TIDE_MISS_DEGRADE) {
        return ERR(e, E_INVALID,
                   "option on_miss is %d; it must be wait (0), reject (1) or degrade (2)",
                   (int)o->on_miss);
    }
    c->on_miss = (uint8_t)o->on_miss;
    return OK;
}

enum code config_from_options(const struct tide_options *o, struct config *out, struct err *e)
{
    if (o->size != sizeof(*o)) {
        return ERR(e, E_INVALID, "tide_options.size is %zu, this library expects %zu", o->size,
                   sizeof(*o));
    }
    struct config c = {.stream = {.region = o->region, .shard = o->shard}};
    TRY(take_texts(o, &c, e));
    TRY(take_levels(o, &c, e));
    uint64_t deadline_ms;
    uint64_t staleness_ms;
    uint64_t checkpoint_ms;
    uint64_t mark_ms;
    uint64_t retain;
    uint64_t seal_ms;
    uint64_t ship_ms;
    uint64_t delay_us;
    uint64_t heartbeat_ms;
    uint64_t suspect_ms;
    uint64_t dead_ms;
    uint64_t skew_ms;
    uint64_t runs;
    uint64_t idle_ms;
    bool is_idle_off = o->slot_idle_timeout_ms == UINT64_MAX;
    bool is_reserve_off = o->disk_reserve == UINT64_MAX;
    bool is_mark_off = o->mark_interval_ms == UINT64_MAX;
    const bool by_segment = o->ship_mode == TIDE_SHIP_SEGMENT;
    const uint64_t day_ms = 86400000;
    const struct bound bounds[] = {
        {"segment_size", o->segment_size, 16 * MIB, SEGMENT_SIZE_MIN, SEGMENT_SIZE_MAX,
         &c.segment_size},
        {"record_size_max", o->record_size_max, RECORD_SIZE_MAX, 1024, RECORD_SIZE_MAX,
         &c.record_size_max},
        {"batch_size_max", o->batch_size_max, BATCH_SIZE_MAX, 4096, BATCH_SIZE_MAX,
         &c.batch_size_max},
        {"checkpoint_interval", o->checkpoint_interval_ms, 300000, 1, 365 * day_ms, &checkpoint_ms},
        {"checkpoint_log_bytes", o->checkpoint_log_bytes, GIB, 4096, UINT64_MAX,
         &c.checkpoint_log_bytes},
        {"mark_interval", is_mark_off ? 1 : o->mark_interval_ms, 10000, 1, day_ms, &mark_ms},
        {"seal_interval", o->seal_interval_ms, by_segment ? 2000 : 0, 0, day_ms, &seal_ms},
        {"ship_interval", o->ship_interval_ms, 2000, 1, day_ms, &ship_ms},
        {"retain_segments", o->retain_segments, 16, 1, UINT32_MAX, &retain},
        {"disk_reserve", is_reserve_off ? 4096 : o->disk_reserve, 64 * MIB, 4096, 64 * GIB,
         &c.disk_reserve},
        {"slot_budget_bytes", o->slot_budget_bytes, 0, 0, UINT64_MAX, &c.slot_budget_bytes},
        {"slot_budget_records", o->slot_budget_records, 0, 0, UINT64_MAX, &c.slot_budget_records},
        {"slot_idle_timeout", is_idle_off ? 1 : o->slot_idle_timeout_ms, day_ms, 1, 3650 * day_ms,
         &idle_ms},
        {"commit_delay", o->commit_delay_us, 0, 0, 1000000, &delay_us},
        {"tail_buffer", o->tail_buffer, 64 * MIB, 64 * KIB, 64 * GIB, &c.tail_buffer},
        {"credit", o->credit, 8 * MIB, 64 * KIB, 4 * GIB, &c.credit},
        {"heartbeat", o->heartbeat_ms, 500, 1, day_ms, &heartbeat_ms},
        {"suspect", o->suspect_ms, 3000, 1, day_ms, &suspect_ms},
        {"dead", o->dead_ms, 10000, 1, day_ms, &dead_ms},
        {"clock_skew_max", o->clock_skew_max_ms, 5000, 1, 3600000, &skew_ms},
        {"clock_step_max", o->clock_step_max_ms, 10000, 1, day_ms, &c.clock_step_max_ms},
        {"dedup_keys_max", o->dedup_keys_max, 4000000, 1, UINT32_MAX - 1, &c.dedup_keys_max},
        {"deadline", o->deadline_ms, 5000, 1, 365 * day_ms, &deadline_ms},
        {"max_staleness", o->max_staleness_ms, 0, 0, 365 * day_ms, &staleness_ms},
        {"quarantine_budget", o->quarantine_budget, GIB, 1, UINT64_MAX, &c.quarantine_budget},
        {"memory_max", o->memory_max, 0, 0, UINT64_MAX, &c.memory_max},
        {"runs_max", o->runs_max, 65536, 1, 1U << 20, &runs},
        {"bootstrap_rate", o->bootstrap_rate, 50, 1, UINT64_MAX, &c.bootstrap_rate},
    };
    TRY(take_bounds(bounds, COUNT_OF(bounds), e));
    if (!by_segment && o->ship_mode != TIDE_SHIP_STREAM) {
        return ERR(e, E_INVALID, "option ship_mode is %d; it must be stream (0) or segment (1)",
                   (int)o->ship_mode);
    }
    if (heartbeat_ms >= dead_ms) {
        return ERR(e, E_INVALID, "heartbeat (%llu ms) must be shorter than dead (%llu ms)",
                   (unsigned long long)heartbeat_ms, (unsigned long long)dead_ms);
    }
    if (c.batch_size_max < c.record_size_max + 4096 && o->record_size_max != 0) {
        return ERR(e, E_INVALID, "batch_size_max must exceed record_size_max by at least 4096");
    }
    c.segment_size_first = c.segment_size < MIB ? c.segment_size : MIB;
    c.checkpoint_interval_ns = checkpoint_ms * NS_PER_MS;
    c.mark_interval_ns = is_mark_off ? 0 : mark_ms * NS_PER_MS;
    c.retain_segments = (uint32_t)retain;
    if (is_reserve_off) c.disk_reserve = 0;
    c.slot_idle_timeout_ns = is_idle_off ? 0 : idle_ms * NS_PER_MS;
    c.seal_interval_ns = seal_ms * NS_PER_MS;
    c.ship_interval_ns = ship_ms * NS_PER_MS;
    c.ships_segments = by_segment;
    c.commit_delay_ns = delay_us * 1000;
    c.heartbeat_ns = heartbeat_ms * NS_PER_MS;
    c.suspect_ns = suspect_ms * NS_PER_MS;
    c.dead_ns = dead_ms * NS_PER_MS;
    c.clock_skew_max_ms = (int64_t)skew_ms;
    c.deadline_ns = deadline_ms * NS_PER_MS;
    c.max_staleness_ns = staleness_ms * NS_PER_MS;
    c.runs_max = (uint32_t)runs;
    *out = c;
    return OK;
}

void config_take_live(struct config *c, const struct config *wanted)
{
    c->checkpoint_interval_ns = wanted->checkpoint_interval_ns;
    c->checkpoint_log_bytes = wanted->checkpoint_log_bytes;
    c->mark_interval_ns = wanted->mark_interval_ns;
    c->commit_delay_ns = wanted->commit_delay_ns;
    c->clock_skew_max_ms = wanted->clock_skew_max_ms;
    bool is_auto = wanted->slot_budget_bytes == 0;
    c->slot_budget_bytes = is_auto ? c->slot_budget_auto : wanted->slot_budget_bytes;
    c->slot_budget_records = wanted->slot_budget_records;
    c->slot_idle_timeout_ns = wanted->slot_idle_timeout_ns;
    c->dedup_keys_max = wanted->dedup_keys_max;
    c->level = wanted->level;
    c->on_miss = wanted->on_miss;
    c->deadline_ns = wanted->deadline_ns;
    c->max_staleness_ns = wanted->max_staleness_ns;
    c->bootstrap_rate = wanted->bootstrap_rate;
}
