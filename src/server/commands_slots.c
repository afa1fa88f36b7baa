/* commands_slots: what an operator does to the slots of followers. SLOT.LIST is in commands_status.
 */
#include "server/handlers.h"

#include "server/commands.h"

static void render_ok(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                      struct out *o)
{
    (void)turn;
    (void)slot;
    (void)result;
    out_simple(o, "OK");
}

void handle_slot_drop(struct call *call)
{
    tide_run *run = call->turn->run;
    call_answer(call, tide_run_slot_drop(run, bytes_of(call->words[1])), render_ok);
}

void handle_slot_rename(struct call *call)
{
    tide_run *run = call->turn->run;
    call_answer(call, tide_run_slot_rename(run, bytes_of(call->words[1]), bytes_of(call->words[2])),
                render_ok);
}
