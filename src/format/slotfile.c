/* slotfile: the catalogue of followers as one sealed file. It is small and rarely written; what
 * matters is that a damaged one is refused as a whole, because then nothing may be pruned. */
#include "format/slotfile.h"

#include <assert.h>

#include "base/assert.h"
#include "base/text.h"
#include "format/sealed.h"

#define SLOTFILE_MAGIC "TIDESLT2"

const char *slot_state_name(uint8_t state)
{
    switch (state) {
#define X(constant, number, name) \
    case constant: return name;
        SLOT_STATE_TABLE(X)
#undef X
    default: return "unknown";
    }
}

const char *slot_reason_name(uint8_t reason)
{
    static const char *const names[] = {
        [SLOT_REASON_NONE] = "none",
        [SLOT_REASON_HORIZON_BYTES] = "horizon_bytes",
        [SLOT_REASON_HORIZON_RECORDS] = "horizon_records",
        [SLOT_REASON_IDLE] = "idle",
        [SLOT_REASON_REMOVED] = "removed_by_operator",
        [SLOT_REASON_DIVERGED] = "diverged",
        [SLOT_REASON_LOG_MISSING] = "log_missing",
    };
    return reason < COUNT_OF(names) ? names[reason] : "unknown";
}

static const struct field slot_list[] = {
    {FIELD(FIELD_TEXT8, struct slot_record, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct slot_record, incarnation)},
    {FIELD(FIELD_STREAM, struct slot_record, stream)},
    {FIELD(FIELD_FIXED, struct slot_record, region), .note = "where the node stands"},
    {FIELD(FIELD_TEXT8, struct slot_record, address), .note = "data address"},
    {FIELD(FIELD_FIXED, struct slot_record, state), .min = 1, .max = SLOT_LOST,
     .note = "1 bootstrap, 2 catching_up, 3 streaming, 4 inactive, 5 at_risk, 6 lost"},
    {FIELD(FIELD_FIXED, struct slot_record, reason), .max = SLOT_REASON_LOG_MISSING,
     .note = "0 none, 1 horizon_bytes, 2 horizon_records, 3 idle, 4 removed_by_operator, "
             "5 diverged, 6 log_missing"},
    {FIELD(FIELD_FIXED, struct slot_record, is_voter), .max = 1},
    {FIELD(FIELD_FIXED, struct slot_record, is_rebootstrapping), .max = 1},
    {FIELD(FIELD_FIXED, struct slot_record, epoch), .note = "of the leader that saved this"},
    {FIELD(FIELD_FIXED, struct slot_record, restart),
     .note = "oldest record the follower may still ask for"},
    {FIELD(FIELD_FIXED, struct slot_record, received)},
    {FIELD(FIELD_FIXED, struct slot_record, stored)},
    {FIELD(FIELD_FIXED, struct slot_record, applied)},
    {FIELD(FIELD_FIXED, struct slot_record, idle_ns)},
    {FIELD(FIELD_FIXED, struct slot_record, apply_errors)},
    {FIELD(FIELD_FIXED, struct slot_record, divergences)},
    {FIELD(FIELD_FIXED, struct slot_record, invalidated_at_ms)},
};
const struct field_table slot_fields = {FIELD_TABLE("slot", struct slot_record, slot_list)};

static_assert(SLOTS_MAX * (NODE_ID_SIZE_MAX + ADDRESS_SIZE_MAX + 128) + 4096 <= SLOTFILE_SIZE_MAX,
              "the largest catalogue fits its file");

static const char *slots_check(const struct slot_record *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        struct slice node_id = slice_of_text(slots[i].node_id);
        if (!is_node_id(node_id)) return "a node id is malformed";
        for (uint32_t k = 0; k < i; k++) {
            bool is_same = slice_equal(node_id, slice_of_text(slots[k].node_id)) &&
                           stream_equal(slots[i].stream, slots[k].stream);
            if (is_same) return "a follower is there twice";
        }
    }
    return NULL;
}

size_t slotfile_encode(const struct slot_record *slots, uint32_t count, uint8_t *out)
{
    struct bytes_writer w = bytes_writer_of(out, SLOTFILE_SIZE_MAX);
    ASSERT(count <= SLOTS_MAX);
    ASSERT(slots_check(slots, count) == NULL);
    sealed_begin(&w, SLOTFILE_MAGIC);
    bytes_write_u32(&w, count);
    for (uint32_t i = 0; i < count; i++) {
        enum code code = fields_encode(&w, &slot_fields, &slots[i], 0, NULL);
        ASSERT(code == OK);
    }
    return sealed_end(&w, out);
}

static enum code slots_decode(struct bytes_reader body, struct slot_record *out, uint32_t count,
                              struct err *e)
{
    for (uint32_t i = 0; i < count; i++) {
        TRY(fields_decode(&body, &slot_fields, &out[i], 0, e));
    }
    const char *wrong = bytes_left(&body) > 0 ? "bytes follow its slots" : slots_check(out, count);
    if (wrong != NULL) return ERR(e, E_CORRUPT, "a slot catalogue is malformed: %s", wrong);
    return OK;
}

enum code slotfile_decode(struct slice bytes, struct slot_record *out, uint32_t *out_count,
                          struct err *e)
{
    struct slot_record slots[SLOTS_MAX];
    struct bytes_reader r = bytes_reader_of(bytes);
    struct bytes_reader body;
    TRY(sealed_open(&r, SLOTFILE_MAGIC, "a slot catalogue", &body, e));
    if (bytes_left(&r) > 0) {
        return ERR(e, E_CORRUPT, "a slot catalogue has %zu bytes behind its end", bytes_left(&r));
    }
    uint32_t count = bytes_read_u32(&body);
    if (body.is_failed || count > SLOTS_MAX) {
        return ERR(e, E_CORRUPT, "a slot catalogue of %u slots, the limit is %u", count, SLOTS_MAX);
    }
    TRY(slots_decode(body, slots, count, e));
    memcpy(out, slots, count * sizeof(slots[0]));
    *out_count = count;
    return OK;
}
