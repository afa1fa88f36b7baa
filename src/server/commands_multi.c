/* commands_multi: MULTI ... EXEC. The writes between them become one atomic record; everything
 * else that was queued is carried out after that record, in its order, and so sees it. Replies come
 * in the order in which the commands were queued. */
#include "server/handlers.h"

#include "base/assert.h"
#include "server/commands.h"
#include "server/conn.h"

void handle_multi(struct call *call)
{
    struct multi *multi = &call->conn->multi;
    if (multi->is_open) {
        call_fail(call, TIDE_INVALID, "MULTI calls can not be nested");
        return;
    }
    multi->is_open = true;
    out_simple(call_out(call), "OK");
}

void handle_discard(struct call *call)
{
    if (!call->conn->multi.is_open) {
        call_fail(call, TIDE_INVALID, "DISCARD without MULTI");
        return;
    }
    conn_discard_multi(call->conn);
    out_simple(call_out(call), "OK");
}

void handle_watch(struct call *call)
{
    call_fail(
        call, TIDE_UNSUPPORTED,
        "WATCH is refused: keys are not watched; MULTI makes one atomic record of its writes");
}

/* Carry out the queued commands that are writes, or those that are not. Their words were judged
 * when they were queued, so that a write that adds nothing to the record now found no memory; then
 * nothing at all is submitted. */
static void run_queued(struct turn *turn, size_t first_slot, const struct queued *first,
                       bool is_write)
{
    size_t slot = first_slot;
    for (const struct queued *q = first; q != NULL; q = q->next, slot++) {
        if (((q->command->flags & COMMAND_WRITE) != 0) != is_write) continue;
        commands_run_queued(turn, slot, q->command, q->words, q->word_count);
        if (is_write && turn->slots[slot].render == NULL) turn->is_short_of_memory = true;
    }
}

static bool refuses_exec(struct call *call)
{
    struct multi *multi = &call->conn->multi;
    if (!multi->is_open) {
        call_fail(call, TIDE_INVALID, "EXEC without MULTI");
    } else if (multi->is_aborted) {
        conn_discard_multi(call->conn);
        call_fail_word(call, "EXECABORT",
                       "Transaction discarded because of previous errors; nothing of it was done");
    }
    return call->is_failed;
}

void handle_exec(struct call *call)
{
    struct turn *turn = call->turn;
    struct multi *multi = &call->conn->multi;
    if (refuses_exec(call)) return;
    int64_t first_slot = turn_add_slots(turn, multi->count);
    if (first_slot < 0) {
        conn_discard_multi(call->conn);
        call_fail(call, TIDE_NOMEMORY, "no memory for EXEC; nothing of it was done");
        return;
    }
    struct out *ready = call_out(call);
    struct slot *slot = call_slot(call);
    slot->offset = (uint32_t)ready->size;
    out_array(ready, multi->count);
    slot->size = (uint32_t)(ready->size - slot->offset);

    const struct queued *first = multi->first;
    size_t write_count = multi->write_count;
    struct tide_write_options options = {.durability = multi->durability};
    call->cost += multi->cost;
    arena_take(&turn->arena, &multi->arena); /* the words are borrowed until the turn is done */
    conn_discard_multi(call->conn);
    if (write_count > 0) {
        if (tide_run_begin(turn->run, &options) < 0) turn->is_short_of_memory = true;
        run_queued(turn, (size_t)first_slot, first, true);
        if (tide_run_end(turn->run) < 0) turn->is_short_of_memory = true;
    }
    run_queued(turn, (size_t)first_slot, first, false);
}
