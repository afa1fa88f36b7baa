/* commands_plan: PLAN: what would happen, in the words of the code that decides it. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"

static void write_fact(struct out *o, const struct tide_plan_fact *fact)
{
    uint64_t number = 0;
    out_bulk_text(o, fact->name);
    if (fact->is_number && parse_u64(slice_of_text(fact->value), &number)) {
        out_count(o, number);
    } else {
        out_bulk_text(o, fact->value);
    }
}

static void render_plan(struct turn *turn, const struct slot *slot,
                        const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_plan *plan = result->as.plan;
    out_map(o, slot->proto, 6);
    out_bulk_text(o, "what");
    out_bulk_text(o, plan->what);
    out_bulk_text(o, "path");
    out_bulk_text(o, plan->path);
    out_bulk_text(o, "bytes");
    if (plan->bytes != UINT64_MAX) {
        out_count(o, plan->bytes);
    } else {
        out_nil(o, slot->proto);
    }
    out_bulk_text(o, "seconds");
    if (plan->seconds >= 0) {
        out_double(o, slot->proto, plan->seconds);
    } else {
        out_nil(o, slot->proto);
    }
    out_bulk_text(o, "why");
    out_bulk_text(o, plan->why);
    out_bulk_text(o, "facts");
    out_map(o, slot->proto, plan->fact_count);
    for (uint32_t i = 0; i < plan->fact_count; i++) {
        write_fact(o, &plan->facts[i]);
    }
}

void handle_plan(struct call *call)
{
    if (call->count > 3) {
        call_fail(call, TIDE_INVALID, "PLAN takes a question and at most one word behind it");
        return;
    }
    struct tide_bytes argument = {0};
    if (call->count == 3) argument = bytes_of(call->words[2]);
    call_answer(call, tide_run_plan(call->turn->run, bytes_of(call->words[1]), argument),
                render_plan);
}
