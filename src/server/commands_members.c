/* commands_members: the members of the cluster and who of them votes. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/options.h"

static void render_members(struct turn *turn, const struct slot *slot,
                           const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_members *members = &result->as.members;
    out_array(o, members->count);
    for (uint32_t i = 0; i < members->count; i++) {
        out_map(o, slot->proto, 3);
        out_bulk_text(o, "id");
        out_bulk_text(o, members->members[i].node_id);
        out_bulk_text(o, "voter");
        out_bool(o, slot->proto, members->members[i].is_voter);
        out_bulk_text(o, "address");
        out_bulk_text(o, members->members[i].data_address);
    }
}

void handle_member_list(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_members(call->turn->run), render_members);
}

static void answer(struct call *call, int32_t op, const struct options *o)
{
    call_slot(call)->has_level = o->has_level;
    call_answer(call, op, render_token);
}

void handle_member_add(struct call *call)
{
    struct options o;
    bool is_voter = call->count > 2 && text_equal_nocase(call->words[2], "VOTER");
    if (!options_parse(call, is_voter ? 3 : 2, OPTIONS_OF_LEVELS, &o) || call->is_dry) return;
    struct tide_bytes id = bytes_of(call->words[1]);
    answer(call, tide_run_member_add(call->turn->run, id, is_voter, &o.write), &o);
}

void handle_member_remove(struct call *call)
{
    struct options o;
    if (!options_parse(call, 2, OPTIONS_OF_LEVELS, &o) || call->is_dry) return;
    answer(call, tide_run_member_remove(call->turn->run, bytes_of(call->words[1]), &o.write), &o);
}
