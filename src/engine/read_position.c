/* read_position: see read_position.h. */
#include "engine/read_position.h"

#include "base/taken.h"
#include "core/epoch.h"

enum code read_position_judge(const struct db *db, uint64_t epoch, seqno at, struct err *e)
{
    seqno applied = db_applied(db).seqno;
    enum token_verdict verdict = at.v <= applied.v ? TOKEN_VISIBLE : TOKEN_NOT_YET;
    uint64_t lost_to = 0;
    if (epoch != 0 && db->log != NULL) {
        struct epoch_table table = {.entries = db->identity.epochs,
                                    .count = db->identity.epoch_count,
                                    .last = log_durable(db->log).seqno};
        verdict = epoch_judge_token(&table, epoch, at, applied, &lost_to);
        TAKEN(TAKEN_TOKEN, 0, verdict);
    }
    switch (verdict) {
    case TOKEN_VISIBLE:
    case TOKEN_FORGOTTEN: return OK;
    case TOKEN_NOT_YET:
        return ERR(e, E_STALE, "record %llu is not applied here yet, %llu is",
                   (unsigned long long)at.v, (unsigned long long)applied.v);
    case TOKEN_LOST:
        return ERR(e, E_LOST, "record %llu of epoch %llu was lost in the change to epoch %llu",
                   (unsigned long long)at.v, (unsigned long long)epoch,
                   (unsigned long long)lost_to);
    case TOKEN_IMPOSSIBLE: break;
    }
    return ERR(e, E_INVALID, "record %llu of epoch %llu never was", (unsigned long long)at.v,
               (unsigned long long)epoch);
}
