/* epoch: walks over a sorted table; nothing here knows what an epoch is for. */
#include "core/epoch.h"

#include "base/assert.h"
#include "base/planted.h"

bool epoch_table_is_valid(const struct epoch_table *t)
{
    for (uint32_t i = 0; i < t->count; i++) {
        const struct epoch_entry *entry = &t->entries[i];
        if (entry->epoch.number == 0 || entry->start.v == 0) return false;
        if (i == 0) continue;
        if (entry->epoch.number <= entry[-1].epoch.number) return false;
        if (entry->start.v <= entry[-1].start.v) return false;
    }
    return true;
}

bool epoch_table_is_whole(const struct epoch_table *t)
{
    return t->count == 0 ? t->last.v == 0 : t->entries[0].start.v == 1;
}

const struct epoch_entry *epoch_of(const struct epoch_table *t, seqno s)
{
    if (s.v == 0) return NULL;
    for (uint32_t i = t->count; i > 0; i--) {
        if (t->entries[i - 1].start.v <= s.v) return &t->entries[i - 1];
    }
    return NULL;
}

seqno epoch_end(const struct epoch_table *t, uint32_t index)
{
    ASSERT(index < t->count);
    if (index + 1 < t->count) return seqno_of(t->entries[index + 1].start.v - 1);
    return t->last;
}

/* One leadership in two tables: same number, same nonce, same beginning. */
static bool is_same_leadership(const struct epoch_entry *a, const struct epoch_entry *b)
{
    return epoch_equal(a->epoch, b->epoch) && a->start.v == b->start.v &&
           hash256_equal(&a->chain_before, &b->chain_before);
}

/* Both tables ascend, so one walk from their ends finds the newest leadership in common. */
static bool find_shared(const struct epoch_table *mine, const struct epoch_table *theirs,
                        uint32_t *out_mine, uint32_t *out_theirs)
{
    uint32_t m = mine->count;
    uint32_t t = theirs->count;
    while (m > 0 && t > 0) {
        const struct epoch_entry *a = &mine->entries[m - 1];
        const struct epoch_entry *b = &theirs->entries[t - 1];
        if (is_same_leadership(a, b)) {
            *out_mine = m - 1;
            *out_theirs = t - 1;
            return true;
        }
        if (a->epoch.number >= b->epoch.number) m--;
        if (b->epoch.number >= a->epoch.number) t--;
    }
    return false;
}

struct epoch_common epoch_common_of(const struct epoch_table *mine,
                                    const struct epoch_table *theirs)
{
    ASSERT(epoch_table_is_valid(mine));
    ASSERT(epoch_table_is_valid(theirs));
    struct epoch_common common = {.is_known = true};
    if (mine->last.v == 0 || theirs->last.v == 0) return common;
    uint32_t m = 0;
    uint32_t t = 0;
    if (!find_shared(mine, theirs, &m, &t)) {
        common.is_known = epoch_table_is_whole(mine) && epoch_table_is_whole(theirs);
        return common;
    }
    common.shared = mine->entries[m].epoch;
    common.end = seqno_min(epoch_end(mine, m), epoch_end(theirs, t));
    common.is_mine_open = m + 1 == mine->count;
    common.is_theirs_open = t + 1 == theirs->count;
    return common;
}

enum token_verdict epoch_judge_token(const struct epoch_table *t, uint64_t epoch, seqno s,
                                     seqno applied, uint64_t *out_lost_to)
{
    ASSERT(epoch_table_is_valid(t));
    *out_lost_to = 0;
    if (epoch == 0 || s.v == 0) return TOKEN_IMPOSSIBLE;
    uint32_t next = 0; /* first entry with a higher number */
    while (next < t->count && t->entries[next].epoch.number <= epoch) {
        next++;
    }
    bool is_listed = next > 0 && t->entries[next - 1].epoch.number == epoch;
    if (is_listed && s.v < t->entries[next - 1].start.v) return TOKEN_IMPOSSIBLE;
    if (next == t->count) return is_listed && s.v <= applied.v ? TOKEN_VISIBLE : TOKEN_NOT_YET;
    if (is_listed && s.v < t->entries[next].start.v) {
        return s.v <= applied.v ? TOKEN_VISIBLE : TOKEN_NOT_YET;
    }
    if (next == 0 && !epoch_table_is_whole(t) && s.v < t->entries[0].start.v) {
        return TOKEN_FORGOTTEN;
    }
    if (PLANTED(37) && s.v <= applied.v) return TOKEN_VISIBLE; /* only its number is looked at */
    *out_lost_to = t->entries[next].epoch.number;
    return TOKEN_LOST;
}

uint32_t epoch_copy_newest(const struct epoch_table *t, struct epoch_entry *out, uint32_t capacity)
{
    uint32_t count = t->count;
    while (count > 0 && t->entries[count - 1].start.v > t->last.v) {
        count--;
    }
    uint32_t kept = count < capacity ? count : capacity;
    for (uint32_t i = 0; i < kept; i++) {
        out[i] = t->entries[count - kept + i];
    }
    return kept;
}

enum code epoch_append(struct epoch_entry *entries, uint32_t capacity, uint32_t *count,
                       const struct epoch_entry *added, struct err *e)
{
    ASSERT(capacity > 0);
    ASSERT(*count <= capacity);
    if (added->epoch.number == 0 || added->start.v == 0) {
        return ERR(e, E_CORRUPT, "epoch %llu starts at record %llu, both count from 1",
                   (unsigned long long)added->epoch.number, (unsigned long long)added->start.v);
    }
    if (*count > 0) {
        const struct epoch_entry *newest = &entries[*count - 1];
        if (is_same_leadership(newest, added)) return OK;
        if (added->epoch.number <= newest->epoch.number) {
            return ERR(e, E_FENCED, "epoch %llu does not follow epoch %llu",
                       (unsigned long long)added->epoch.number,
                       (unsigned long long)newest->epoch.number);
        }
        if (added->start.v <= newest->start.v) {
            return ERR(
                e, E_CORRUPT, "epoch %llu starts at record %llu, but epoch %llu starts at %llu",
                (unsigned long long)added->epoch.number, (unsigned long long)added->start.v,
                (unsigned long long)newest->epoch.number, (unsigned long long)newest->start.v);
        }
    }
    if (*count == capacity) {
        memmove(&entries[0], &entries[1], (capacity - 1) * sizeof(entries[0]));
        (*count)--;
    }
    entries[(*count)++] = *added;
    return OK;
}
