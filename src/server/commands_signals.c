/* commands_signals: what applications use: signals in, scores and items out, the schema between
 * them, and the numbers of bulk producers. Judging values is the database's; here words become
 * arguments, and a time or weight of the wrong kind is told in the words of the one who sent it. */
#include "server/handlers.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/options.h"

enum { RETRIEVE_LIMIT_DEFAULT = 10, ITEMS_PER_COST = 8 };

static const uint32_t signal_options = OPTIONS_OF_WRITES | OPTION_BIT(OPTION_W) |
                                       OPTION_BIT(OPTION_AT) | OPTION_BIT(OPTION_USER) |
                                       OPTION_BIT(OPTION_SESSION);

static void answer_write(struct call *call, int32_t op, const struct options *o)
{
    call_slot(call)->has_level = o->has_level;
    call_answer(call, op, render_token);
}

void handle_signal(struct call *call)
{
    struct options o;
    if (!options_parse(call, 3, signal_options, &o)) return;
    if (options_refuse_in_multi(call, &o) || call->is_dry) return;
    struct tide_signal signal = {
        .type = bytes_of(call->words[1]),
        .item = bytes_of(call->words[2]),
        .weight = o.weight,
        .weight_is_set = options_have(&o, OPTION_W),
        .at_ms = o.at_ms,
        .user = bytes_of(o.user),
        .key = o.write.key,
    };
    o.write.key = (struct tide_bytes){0}; /* the key is the signal's own, not the record's */
    answer_write(call, tide_run_signal(call->turn->run, &signal, options_write(&o)), &o);
}

/* The triples of SIGNALS. NULL: an error was answered. */
static struct tide_signal *parse_triples(struct call *call, size_t count)
{
    struct tide_signal *signals = arena_get(&call->turn->arena, count * sizeof(*signals));
    if (signals == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %zu signals", count);
        return NULL;
    }
    for (size_t i = 0; i < count; i++) {
        const struct slice *triple = call->words + 2 + 3 * i;
        signals[i].type = bytes_of(triple[0]);
        signals[i].item = bytes_of(triple[1]);
        signals[i].weight_is_set = true;
        if (!options_weight(call, triple[2], &signals[i].weight)) return NULL;
    }
    return signals;
}

void handle_signals(struct call *call)
{
    uint64_t count = 0;
    if (!call_u64(call, 1, "SIGNALS count", UINT32_MAX, &count)) return;
    if (count == 0 || count > (call->count - 2) / 3) {
        call_fail(call, TIDE_INVALID,
                  "SIGNALS %llu is followed by %zu words: give 3 for each signal",
                  (unsigned long long)count, call->count - 2);
        return;
    }
    struct options o;
    if (!options_parse(call, 2 + 3 * (size_t)count, OPTIONS_OF_WRITES, &o)) return;
    if (options_refuse_in_multi(call, &o)) return;
    struct tide_signal *signals = parse_triples(call, (size_t)count);
    if (signals == NULL || call->is_dry) return;
    call->cost += count / ITEMS_PER_COST;
    answer_write(call, tide_run_signals(call->turn->run, signals, (size_t)count, options_write(&o)),
                 &o);
}

void handle_unsignal(struct call *call)
{
    struct options o;
    if (!options_parse(call, 3, OPTIONS_OF_WRITES | OPTION_BIT(OPTION_USER), &o)) return;
    if (!options_have(&o, OPTION_USER)) {
        call_fail(call, TIDE_INVALID, "UNSIGNAL needs USER u: whose signal is undone");
        return;
    }
    if (options_refuse_in_multi(call, &o) || call->is_dry) return;
    int32_t op = tide_run_unsignal(call->turn->run, bytes_of(call->words[1]),
                                   bytes_of(call->words[2]), bytes_of(o.user), options_write(&o));
    answer_write(call, op, &o);
}

void handle_schema_signal(struct call *call)
{
    struct options o;
    uint32_t allowed = OPTION_BIT(OPTION_HALFLIFE) | OPTION_BIT(OPTION_WINDOWS) |
                       OPTION_BIT(OPTION_MODE) | OPTION_BIT(OPTION_POLARITY) | OPTIONS_OF_LEVELS;
    if (!options_parse(call, 2, allowed, &o)) return;
    o.schema.name = bytes_of(call->words[1]);
    int32_t op = tide_run_schema_signal(call->turn->run, &o.schema);
    tide_run_set_durability(call->turn->run, op, &o.write.durability);
    answer_write(call, op, &o);
}

void handle_schema_field(struct call *call)
{
    static const char *const kinds[] = {"tag", "num", "time", "text"};
    size_t kind = 0;
    while (kind < COUNT_OF(kinds) && !text_equal_nocase(call->words[2], kinds[kind])) {
        kind++;
    }
    if (kind == COUNT_OF(kinds)) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "unknown kind '%s' of a field: tag, num, time or text",
                  call_show(shown, call->words[2]));
        return;
    }
    struct options o;
    if (!options_parse(call, 3, OPTIONS_OF_LEVELS, &o)) return;
    int32_t op = tide_run_schema_field(call->turn->run, bytes_of(call->words[1]),
                                       (enum tide_field_kind)(kind + TIDE_FIELD_TAG));
    tide_run_set_durability(call->turn->run, op, &o.write.durability);
    answer_write(call, op, &o);
}

void handle_schema_show(struct call *call)
{
    struct options o;
    if (!options_parse(call, 1, OPTIONS_OF_READS, &o) || call->is_dry) return;
    options_answer_read(call, tide_run_schema_show(call->turn->run), &o, render_lines);
}

void handle_producer_get(struct call *call)
{
    struct options o;
    if (!options_parse(call, 2, OPTIONS_OF_READS, &o) || call->is_dry) return;
    int32_t op = tide_run_producer(call->turn->run, bytes_of(call->words[1]));
    options_answer_read(call, op, &o, render_integer);
}

void handle_producer_skip(struct call *call)
{
    uint64_t number = 0;
    if (!call_u64(call, 2, "PRODUCER.SKIP number", UINT64_MAX, &number)) return;
    int32_t op = tide_run_producer_skip(call->turn->run, bytes_of(call->words[1]), number);
    call_answer(call, op, render_token);
}

void handle_score(struct call *call)
{
    struct options o;
    if (!options_parse(call, 3, OPTIONS_OF_READS | OPTION_BIT(OPTION_AT), &o)) return;
    if (call->is_dry) return;
    int32_t op = tide_run_score(call->turn->run, bytes_of(call->words[1]), bytes_of(call->words[2]),
                                o.at_ms);
    options_answer_read(call, op, &o, render_double);
}

void handle_rate(struct call *call)
{
    struct options o;
    if (!options_parse(call, 3, OPTIONS_OF_READS | OPTION_BIT(OPTION_AT), &o)) return;
    if (call->is_dry) return;
    int32_t op =
        tide_run_rate(call->turn->run, bytes_of(call->words[1]), bytes_of(call->words[2]), o.at_ms);
    options_answer_read(call, op, &o, render_double);
}

void handle_trend(struct call *call)
{
    struct options o;
    if (!options_parse(call, 3, OPTIONS_OF_READS | OPTION_BIT(OPTION_AT), &o)) return;
    if (call->is_dry) return;
    int32_t op = tide_run_trend(call->turn->run, bytes_of(call->words[1]), bytes_of(call->words[2]),
                                o.at_ms);
    options_answer_read(call, op, &o, render_double);
}

void handle_count(struct call *call)
{
    static const char *const known[] = {"1h", "24h", "7d", "30d", "all"};
    struct options o;
    struct slice window = call->words[3];
    const char *name = NULL;
    if (!options_parse(call, 4, OPTIONS_OF_READS, &o)) return;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        if (text_equal_nocase(window, known[i])) name = known[i];
    }
    if (name == NULL) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "unknown window '%s': 1h, 24h, 7d, 30d or all",
                  call_show(shown, window));
        return;
    }
    if (call->is_dry) return;
    int32_t op =
        tide_run_count_of(call->turn->run, bytes_of(call->words[1]), bytes_of(call->words[2]),
                          (struct tide_bytes){.data = name, .size = strlen(name)});
    options_answer_read(call, op, &o, render_integer);
}

/* The excluded keys as the database takes them, kept until the turn is done. */
static bool copy_excludes(struct call *call, const struct options *o, struct tide_retrieve *request)
{
    if (o->exclude_count == 0) return true;
    struct tide_bytes *excludes =
        arena_get(&call->turn->arena, o->exclude_count * sizeof(*excludes));
    if (excludes == NULL) {
        call_fail(call, TIDE_NOMEMORY, "no memory for %zu excluded keys", o->exclude_count);
        return false;
    }
    for (size_t i = 0; i < o->exclude_count; i++) {
        excludes[i] = bytes_of(o->excludes[i]);
    }
    request->excludes = excludes;
    request->exclude_count = (uint32_t)o->exclude_count;
    return true;
}

void handle_retrieve(struct call *call)
{
    static const uint32_t allowed =
        OPTIONS_OF_READS | OPTION_BIT(OPTION_LIMIT) | OPTION_BIT(OPTION_NOW) |
        OPTION_BIT(OPTION_EXCLUDE) | OPTION_BIT(OPTION_USER) | OPTION_BIT(OPTION_SESSION) |
        OPTION_BIT(OPTION_WHERE) | OPTION_BIT(OPTION_MAXPER) | OPTION_BIT(OPTION_MMR) |
        OPTION_BIT(OPTION_EXPLORE) | OPTION_BIT(OPTION_SEED) | OPTION_BIT(OPTION_CURSOR) |
        OPTION_BIT(OPTION_EXPLAIN);
    struct options o;
    if (!options_parse(call, 2, allowed, &o)) return;
    if (options_have(&o, OPTION_USER)) {
        call_fail(call, TIDE_UNSUPPORTED, "option USER of RETRIEVE is not in this version");
        return;
    }
    call->cost += (o.limit > 0 ? o.limit : RETRIEVE_LIMIT_DEFAULT) / ITEMS_PER_COST;
    if (call->is_dry) return;
    struct tide_retrieve request = {
        .profile = bytes_of(call->words[1]),
        .limit = o.limit,
        .now_ms = o.now_ms,
        .is_explain = o.is_explain,
        .where = bytes_of(o.where),
        .cursor = bytes_of(o.cursor),
    };
    if (!copy_excludes(call, &o, &request)) return;
    struct out *ready = call_out(call);
    struct slot *slot = call_slot(call);
    slot->offset = (uint32_t)ready->size; /* the profile's name is part of the reply */
    slot->size = (uint32_t)call->words[1].size;
    out_bytes(ready, call->words[1].data, call->words[1].size);
    options_answer_read(call, tide_run_retrieve(call->turn->run, &request), &o, render_items);
}
