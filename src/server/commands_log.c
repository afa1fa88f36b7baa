/* commands_log: positions, digests, checkpoints, waiting for followers, and the log's clock. */
#include "server/handlers.h"

#include "base/text.h"
#include "server/commands.h"
#include "server/conn.h"
#include "server/now.h"
#include "server/options.h"

/* A WAIT without end is made of steps, so that the server notices when its client is gone. */
enum { WAIT_FIRST_STEP_MS = 500 };

void handle_position(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_position(call->turn->run), render_position);
}

void handle_digest(struct call *call)
{
    uint64_t mark = 0;
    if (call->count > 1) {
        if (call->count != 3 || !text_equal_nocase(call->words[1], "at")) {
            call_fail(call, TIDE_INVALID, "DIGEST takes nothing, or AT seqno");
            return;
        }
        if (!call_u64(call, 2, "DIGEST AT", UINT64_MAX, &mark)) return;
        if (mark == 0) {
            call_fail(call, TIDE_INVALID, "DIGEST AT 0: marks have numbers from 1 on");
            return;
        }
    }
    if (call->is_dry) return;
    call_answer(call, tide_run_digest(call->turn->run, mark), render_digest);
}

void handle_checkpoint(struct call *call)
{
    if (call->count > 1) {
        char shown[SHOWN_SIZE];
        call_fail(call, TIDE_INVALID, "%s has no option '%s'", call->command->name,
                  call_show(shown, call->words[1]));
        return;
    }
    call_answer(call, tide_run_checkpoint(call->turn->run), render_position);
}

void handle_log_seal(struct call *call)
{
    call_answer(call, tide_run_log_seal(call->turn->run), render_position);
}

void handle_dbsize(struct call *call)
{
    if (call->is_dry) return;
    call_answer(call, tide_run_items(call->turn->run), render_integer);
}

/* Start waiting for this client's writes; conn.c goes on while it is not satisfied. */
static void wait_for(struct call *call, uint64_t followers, uint64_t timeout_ms, slot_render render)
{
    struct turn *turn = call->turn;
    turn->is_waiting = true;
    turn->wait_seqno = call->conn->wrote_seqno;
    turn->wait_followers = (uint32_t)followers;
    if (timeout_ms > 0) turn->wait_deadline_ns = now_mono_ns() + timeout_ms * NS_PER_MS;
    uint64_t step_ms = timeout_ms;
    if (step_ms == 0 || step_ms > WAIT_FIRST_STEP_MS) step_ms = WAIT_FIRST_STEP_MS;
    int32_t op = tide_run_wait(turn->run, turn->wait_seqno, turn->wait_followers, step_ms);
    call_answer(call, op, render);
}

static const uint64_t timeout_ms_max = UINT32_MAX; /* 49 days */

void handle_wait(struct call *call)
{
    uint64_t followers = 0;
    uint64_t timeout_ms = 0;
    if (!call_u64(call, 1, "WAIT followers", UINT32_MAX, &followers)) return;
    if (!call_u64(call, 2, "WAIT timeout", timeout_ms_max, &timeout_ms)) return;
    wait_for(call, followers, timeout_ms, render_integer);
}

static void render_waitaof(struct turn *turn, const struct slot *slot,
                           const struct tide_result *result, struct out *o)
{
    (void)turn;
    (void)slot;
    out_array(o, 2);
    out_integer(o, 1); /* a write is answered after it was synced here */
    out_count(o, result->as.integer);
}

void handle_waitaof(struct call *call)
{
    uint64_t local = 0;
    uint64_t followers = 0;
    uint64_t timeout_ms = 0;
    if (!call_u64(call, 1, "WAITAOF local", 1, &local)) return;
    if (!call_u64(call, 2, "WAITAOF followers", UINT32_MAX, &followers)) return;
    if (!call_u64(call, 3, "WAITAOF timeout", timeout_ms_max, &timeout_ms)) return;
    wait_for(call, followers, timeout_ms, render_waitaof);
}

static void pair_ms(struct out *o, const char *name, int64_t ms)
{
    out_bulk_text(o, name);
    out_integer(o, ms);
}

static void render_clock(struct turn *turn, const struct slot *slot,
                         const struct tide_result *result, struct out *o)
{
    (void)turn;
    const struct tide_clock *clock = &result->as.clock;
    out_map(o, slot->proto, 6);
    out_bulk_text(o, "state");
    out_bulk_text(o, clock->state);
    pair_ms(o, "leader_ms", clock->leader_ms);
    pair_ms(o, "wall_ms", clock->wall_ms);
    pair_ms(o, "offset_ms", clock->offset_ms);
    out_bulk_text(o, "step_pending");
    out_bool(o, slot->proto, clock->is_step_pending);
    out_bulk_text(o, "steps");
    out_count(o, clock->steps);
}

void handle_clock(struct call *call)
{
    bool is_accept = call->count == 2 && text_equal_nocase(call->words[1], "accept");
    if (call->count > 1 && !is_accept) {
        call_fail(call, TIDE_INVALID, "CLOCK takes nothing, or ACCEPT");
        return;
    }
    tide_run *run = call->turn->run;
    call_answer(call, is_accept ? tide_run_clock_accept(run) : tide_run_clock(run), render_clock);
}
