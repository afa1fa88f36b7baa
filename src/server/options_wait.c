/* options_wait: the options that say for what a command waits, and how long: LEVEL, ONMISS of
 * writes, AFTER, MAXSTALE, READ of reads, DEADLINE of both. */
#include "server/options.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"

bool options_take_level(struct call *call, struct slice value, struct options *o)
{
    struct tide_err e;
    enum tide_code code = tide_level_parse(bytes_of(value), &o->write.durability.level, &e);
    if (code == TIDE_OK) return true;
    call_fail(call, code, "%s", e.message);
    return false;
}

bool options_take_deadline(struct call *call, size_t word, struct options *o)
{
    uint64_t ms = 0;
    if (!call_u64(call, word, "DEADLINE", UINT32_MAX, &ms)) return false;
    o->write.durability.deadline_ms = ms > 0 ? ms : TIDE_DEADLINE_NOW;
    o->read.deadline_ms = o->write.durability.deadline_ms;
    return true;
}

bool options_take_after(struct call *call, struct slice value, struct options *o)
{
    char shown[SHOWN_SIZE];
    if (tide_token_parse(bytes_of(value), &o->read.after) == TIDE_OK) return true;
    call_fail(call, TIDE_INVALID, "AFTER '%s' is not a write token such as 1-42-9f3a21bc",
              call_show(shown, value));
    return false;
}

bool options_take_stale(struct call *call, size_t word, struct options *o)
{
    o->read.max_stale_is_set = true;
    return call_u64(call, word, "MAXSTALE", UINT32_MAX, &o->read.max_stale_ms);
}

bool options_take_read(struct call *call, struct slice value, struct options *o)
{
    char shown[SHOWN_SIZE];
    o->read.is_committed = text_equal_nocase(value, "committed");
    if (o->read.is_committed || text_equal_nocase(value, "latest")) return true;
    call_fail(call, TIDE_INVALID, "unknown READ '%s': latest or committed",
              call_show(shown, value));
    return false;
}

void options_answer_read(struct call *call, int32_t op, const struct options *o, slot_render render)
{
    if ((o->given & OPTIONS_OF_READS) != 0 && !tide_run_set_read(call->turn->run, op, &o->read)) {
        op = -1; /* no memory */
    }
    call_answer(call, op, render);
}

bool options_take_miss(struct call *call, struct slice value, struct options *o)
{
    static const char *const words[] = {"wait", "reject", "degrade"};
    char shown[SHOWN_SIZE];
    struct tide_durability *d = &o->write.durability;
    for (size_t i = 0; i < COUNT_OF(words); i++) {
        if (!text_equal_nocase(value, words[i])) continue;
        d->on_miss_is_set = true;
        d->on_miss = (enum tide_on_miss)i;
        return true;
    }
    call_fail(call, TIDE_INVALID, "unknown ONMISS '%s': wait, reject or degrade",
              call_show(shown, value));
    return false;
}

static bool is_same_wish(const struct tide_durability *a, const struct tide_durability *b)
{
    bool is_same = a->level.kind == b->level.kind && a->level.count == b->level.count &&
                   a->on_miss_is_set == b->on_miss_is_set && a->on_miss == b->on_miss &&
                   a->deadline_ms == b->deadline_ms;
    for (size_t i = 0; i < TIDE_LEVEL_REGIONS_MAX; i++) {
        is_same = is_same && a->level.regions[i] == b->level.regions[i];
    }
    return is_same;
}

bool options_refuse_in_multi(struct call *call, const struct options *o)
{
    static const uint32_t waits = OPTIONS_OF_LEVELS & ~OPTION_BIT(OPTION_WITHLEVEL);
    if (!call->is_dry) return false;
    if (options_have(o, OPTION_PRODUCER)) {
        call_fail(call, TIDE_INVALID,
                  "option PRODUCER is not allowed inside MULTI: its number belongs to a whole "
                  "record");
        return true;
    }
    if ((o->given & waits) == 0) return false;
    struct multi *multi = &call->conn->multi;
    if (multi->has_durability && !is_same_wish(&multi->durability, &o->write.durability)) {
        call_fail(call, TIDE_INVALID,
                  "the writes of one MULTI are one record: LEVEL, DEADLINE and ONMISS must be the "
                  "same wherever they are given");
        return true;
    }
    multi->has_durability = true;
    multi->durability = o->write.durability;
    return false;
}
