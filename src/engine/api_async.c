/* api_async: the asynchronous twins: a run of one operation that frees itself after its callback.
 * Each is its tide_run_ call and `start`; what an operation means is said there. */
#include <stdlib.h>
#include <string.h>

#include "tidemark.h"

struct start {
    tide_done done;
    void *arg;
};

static void started_completed(tide_run *run, void *arg)
{
    struct start start = *(struct start *)arg;
    free(arg);
    start.done(tide_run_result(run, 0), start.arg);
    tide_run_free(run);
}

/* run NULL or index -1: no memory. */
static enum tide_code start(tide_db *db, tide_run *run, int32_t index, tide_done done, void *arg)
{
    struct start *start = malloc(sizeof(*start));
    enum tide_code code = TIDE_NOMEMORY;
    if (start && run && index >= 0) {
        *start = (struct start){.done = done, .arg = arg};
        code = tide_submit(db, run, started_completed, start);
    }
    if (code == TIDE_OK) return TIDE_OK; /* both belong to the loop now */
    free(start);
    tide_run_free(run);
    return code;
}

enum tide_code tide_signal_async(tide_db *db, const struct tide_signal *signal, tide_done done,
                                 void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_signal(run, signal, NULL) : -1, done, arg);
}

enum tide_code tide_signals_async(tide_db *db, const struct tide_signal *signals, size_t n,
                                  tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_signals(run, signals, n, NULL) : -1, done, arg);
}

enum tide_code tide_unsignal_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                   struct tide_bytes user, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_unsignal(run, type, item, user, NULL) : -1, done, arg);
}

enum tide_code tide_item_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                   void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_item_put(run, put, NULL) : -1, done, arg);
}

enum tide_code tide_user_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                   void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_user_put(run, put, NULL) : -1, done, arg);
}

enum tide_code tide_creator_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                      void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_creator_put(run, put, NULL) : -1, done, arg);
}

enum tide_code tide_item_delete_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_item_delete(run, key, NULL) : -1, done, arg);
}

enum tide_code tide_item_get_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_item_get(run, key, NULL, 0) : -1, done, arg);
}

enum tide_code tide_user_get_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_user_get(run, key, NULL, 0) : -1, done, arg);
}

enum tide_code tide_creator_get_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_creator_get(run, key, NULL, 0) : -1, done, arg);
}

enum tide_code tide_schema_signal_async(tide_db *db, const struct tide_schema_signal *schema,
                                        tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_schema_signal(run, schema) : -1, done, arg);
}

enum tide_code tide_schema_field_async(tide_db *db, struct tide_bytes name,
                                       enum tide_field_kind kind, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_schema_field(run, name, kind) : -1, done, arg);
}

enum tide_code tide_score_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                int64_t at_ms, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_score(run, type, item, at_ms) : -1, done, arg);
}

enum tide_code tide_count_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                struct tide_bytes window, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_count_of(run, type, item, window) : -1, done, arg);
}

enum tide_code tide_rate_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                               int64_t at_ms, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_rate(run, type, item, at_ms) : -1, done, arg);
}

enum tide_code tide_trend_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                int64_t at_ms, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_trend(run, type, item, at_ms) : -1, done, arg);
}

enum tide_code tide_retrieve_async(tide_db *db, const struct tide_retrieve *request, tide_done done,
                                   void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_retrieve(run, request) : -1, done, arg);
}

enum tide_code tide_schema_show_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_schema_show(run) : -1, done, arg);
}

enum tide_code tide_position_now_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_position(run) : -1, done, arg);
}

enum tide_code tide_wait_position_async(tide_db *db, const struct tide_position *position,
                                        uint64_t timeout_ms, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_wait_position(run, position, timeout_ms) : -1, done, arg);
}

enum tide_code tide_digest_now_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_digest(run, 0) : -1, done, arg);
}

enum tide_code tide_checkpoint_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_checkpoint(run) : -1, done, arg);
}

enum tide_code tide_clock_now_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_clock(run) : -1, done, arg);
}

enum tide_code tide_clock_accept_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_clock_accept(run) : -1, done, arg);
}

enum tide_code tide_members_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_members(run) : -1, done, arg);
}

enum tide_code tide_member_add_async(tide_db *db, const char *node_id, bool is_voter,
                                     tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    struct tide_bytes id = {node_id, strlen(node_id)};
    return start(db, run, run ? tide_run_member_add(run, id, is_voter, NULL) : -1, done, arg);
}

enum tide_code tide_member_remove_async(tide_db *db, const char *node_id, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    struct tide_bytes id = {node_id, strlen(node_id)};
    return start(db, run, run ? tide_run_member_remove(run, id, NULL) : -1, done, arg);
}

enum tide_code tide_status_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_status(run) : -1, done, arg);
}

enum tide_code tide_metrics_async(tide_db *db, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_metrics(run) : -1, done, arg);
}

enum tide_code tide_plan_async(tide_db *db, const char *what, const char *argument, tide_done done,
                               void *arg)
{
    tide_run *run = tide_run_new();
    struct tide_bytes question = {what, strlen(what)};
    struct tide_bytes about = {argument, argument ? strlen(argument) : 0};
    return start(db, run, run ? tide_run_plan(run, question, about) : -1, done, arg);
}

enum tide_code tide_slot_drop_async(tide_db *db, const char *node_id, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    struct tide_bytes id = {node_id, strlen(node_id)};
    return start(db, run, run ? tide_run_slot_drop(run, id) : -1, done, arg);
}

enum tide_code tide_slot_rename_async(tide_db *db, const char *node_id, const char *new_id,
                                      tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    struct tide_bytes from = {node_id, strlen(node_id)};
    struct tide_bytes to = {new_id, strlen(new_id)};
    return start(db, run, run ? tide_run_slot_rename(run, from, to) : -1, done, arg);
}

enum tide_code tide_replicate_async(tide_db *db, const struct tide_transport *transport,
                                    const char *peer, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_replicate(run, transport, peer) : -1, done, arg);
}

enum tide_code tide_listen_async(tide_db *db, const struct tide_transport *transport,
                                 const char *address, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_listen(run, transport, address) : -1, done, arg);
}

enum tide_code tide_promote_async(tide_db *db, const struct tide_position *expect, bool is_forced,
                                  tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_promote(run, expect, is_forced) : -1, done, arg);
}

enum tide_code tide_follow_async(tide_db *db, const char *address, bool accepts_loss,
                                 const struct tide_position *expect, tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_follow(run, address, accepts_loss, expect) : -1, done,
                 arg);
}

enum tide_code tide_handover_async(tide_db *db, const char *node_id, uint64_t timeout_ms,
                                   tide_done done, void *arg)
{
    tide_run *run = tide_run_new();
    return start(db, run, run ? tide_run_handover(run, node_id, timeout_ms) : -1, done, arg);
}
