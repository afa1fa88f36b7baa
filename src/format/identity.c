/* identity: the two small files beside the log. identity is described by a field table and sealed;
 * a mark is 128 bytes by hand, because it is written after every group. Decoding believes nothing
 * before its checksum, and then still checks what the fields say about each other. */
#include "format/identity.h"

#include <assert.h>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "format/sealed.h"

#define IDENTITY_MAGIC "TIDEIDN2"
#define MARK_MAGIC     "TIDEMRK2"

const char *role_name(enum role r)
{
    switch (r) {
    case ROLE_SINGLE: return "single";
    case ROLE_LEADER: return "leader";
    case ROLE_FOLLOWER: return "follower";
    }
    return "unknown";
}

static const struct field epoch_entry_list[] = {
    {FIELD(FIELD_EPOCH, struct epoch_entry, epoch)},
    {FIELD(FIELD_FIXED, struct epoch_entry, start), .note = "seqno of its epoch-start record"},
    {FIELD(FIELD_RAW, struct epoch_entry, chain_before)},
};
const struct field_table epoch_entry_fields = {
    FIELD_TABLE("epoch entry", struct epoch_entry, epoch_entry_list)};

static const struct field led_list[] = {
    {.name = "number", .type = FIELD_FIXED, .size = sizeof(uint64_t)},
};
static const struct field_table led_fields = {FIELD_TABLE("epoch led", uint64_t, led_list)};

static const struct field identity_list[] = {
    {FIELD(FIELD_FIXED, struct identity, version), .note = "of this save; grows by one"},
    {FIELD(FIELD_RAW, struct identity, cluster), .note = "zero: unknown yet"},
    {FIELD(FIELD_FIXED, struct identity, log_key), .is_secret = true, .note = "0: unknown yet"},
    {FIELD(FIELD_TEXT8, struct identity, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct identity, incarnation), .note = "one per open"},
    {FIELD(FIELD_STREAM, struct identity, stream)},
    {FIELD(FIELD_FIXED, struct identity, role), .min = 1, .max = ROLE_FOLLOWER,
     .note = "1 single, 2 leader, 3 follower"},
    {FIELD(FIELD_TEXT8, struct identity, leader_address)},
    {FIELD(FIELD_TEXT8, struct identity, leader_data_address)},
    {FIELD(FIELD_FIXED, struct identity, follows), .max = FOLLOWS_NODE,
     .note = "0 the node named, 1 whoever leads, 2 that node whatever its role"},
    {FIELD(FIELD_TEXT8, struct identity, follow_given), .note = "by the options, last"},
    {FIELD(FIELD_FIXED, struct identity, highest_epoch)},
    {FIELD(FIELD_FIXED, struct identity, history_id)},
    {FIELD(FIELD_FIXED, struct identity, generation)},
    {FIELD(FIELD_POSITION, struct identity, log_base), .note = "before the oldest record kept"},
    {FIELD(FIELD_FIXED, struct identity, log_base_bytes), .note = "log bytes up to there"},
    {FIELD(FIELD_FIXED, struct identity, first_segment)},
    {FIELD(FIELD_FIXED, struct identity, last_segment)},
    {FIELD(FIELD_FIXED, struct identity, log_first_file),
     .note = "segment files with lower ids are of an older generation"},
    {FIELD(FIELD_FIXED, struct identity, feature_level)},
    {FIELD(FIELD_FIXED, struct identity, intent.step), .max = TRUNCATION_STATE_RELOADED,
     .note = "steps of a truncation that are done; 0 = none pending"},
    {FIELD(FIELD_POSITION, struct identity, intent.fork)},
    {FIELD(FIELD_POSITION, struct identity, intent.end), .note = "of the log before"},
    {FIELD(FIELD_FIXED, struct identity, intent.link_nonce)},
    {FIELD(FIELD_FIXED, struct identity, intent.lowered_mark)},
    {FIELD(FIELD_ARRAY, struct identity, epochs), .max = EPOCH_TABLE_MAX,
     FIELD_COUNTED(struct identity, epoch_count), .elements = &epoch_entry_fields},
    {FIELD(FIELD_ARRAY, struct identity, led), .max = IDENTITY_LED_MAX,
     FIELD_COUNTED(struct identity, led_count), .elements = &led_fields},
    {FIELD(FIELD_FIXED, struct identity, fetched_epoch),
     .note = "of epochs up to this one, records may have been fetched back"},
};
const struct field_table identity_fields = {
    FIELD_TABLE("identity", struct identity, identity_list)};

static_assert(EPOCH_TABLE_MAX * 56 + IDENTITY_LED_MAX * 8 + 4096 <= IDENTITY_FILE_SIZE_MAX,
              "the largest identity fits its file");

bool epoch_entries_are_ascending(const struct epoch_entry *entries, uint32_t count)
{
    for (uint32_t i = 1; i < count; i++) {
        bool is_above = entries[i].epoch.number > entries[i - 1].epoch.number &&
                        entries[i].start.v > entries[i - 1].start.v;
        if (!is_above) return false;
    }
    return true;
}

/* What the fields say about each other: NULL, or what is wrong. */
static const char *identity_check(const struct identity *id)
{
    if (!is_node_id(slice_of_text(id->node_id))) return "the node id is malformed";
    if (id->first_segment > id->last_segment) return "the registered segments are out of order";
    if ((id->first_segment == 0) != (id->last_segment == 0)) return "segment id 0 is registered";
    if (!epoch_entries_are_ascending(id->epochs, id->epoch_count)) {
        return "the epoch table is not in order";
    }
    for (uint32_t i = 1; i < id->led_count; i++) {
        if (id->led[i] <= id->led[i - 1]) return "the epochs led are not in order";
    }
    return NULL;
}

const uint64_t *identity_written_epochs(const struct identity *id, uint32_t *out_count)
{
    uint32_t first = 0;
    while (first < id->led_count && id->led[first] <= id->fetched_epoch) {
        first++;
    }
    *out_count = id->led_count - first;
    return id->led + first;
}

size_t identity_encode(const struct identity *id, uint8_t *out)
{
    struct bytes_writer w = bytes_writer_of(out, IDENTITY_FILE_SIZE_MAX);
    ASSERT(identity_check(id) == NULL);
    sealed_begin(&w, IDENTITY_MAGIC);
    enum code code = fields_encode(&w, &identity_fields, id, 0, NULL);
    ASSERT(code == OK);
    return sealed_end(&w, out);
}

enum code identity_decode(struct slice bytes, struct identity *out, struct err *e)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    struct bytes_reader body;
    TRY(sealed_open(&r, IDENTITY_MAGIC, "an identity file", &body, e));
    if (bytes_left(&r) > 0) {
        return ERR(e, E_CORRUPT, "an identity file has %zu bytes behind its end", bytes_left(&r));
    }
    struct identity id;
    TRY(fields_decode(&body, &identity_fields, &id, 0, e));
    const char *wrong = bytes_left(&body) > 0 ? "bytes follow its fields" : identity_check(&id);
    if (wrong != NULL) return ERR(e, E_CORRUPT, "an identity file is malformed: %s", wrong);
    *out = id;
    return OK;
}

/* Offsets inside a mark slot: the byte table of identity.h. */
enum {
    MARK_AT_VERSION = 8,
    MARK_AT_EPOCH = 16,
    MARK_AT_SEQNO = 24,
    MARK_AT_CHAIN = 32,
    MARK_AT_COMMITTED = 64,
    MARK_AT_SEGMENT = 72,
    MARK_AT_GENERATION = 80,
    MARK_AT_ZERO = 88,
    MARK_AT_CRC = 124,
};
static_assert(MARK_AT_CRC + 4 == MARK_SLOT_SIZE, "the checksum ends the slot");

void mark_encode(const struct mark *m, uint64_t log_key, uint8_t out[MARK_SLOT_SIZE])
{
    memset(out, 0, MARK_SLOT_SIZE);
    memcpy(out, MARK_MAGIC, MARK_AT_VERSION);
    store_u64(out + MARK_AT_VERSION, m->version);
    store_u64(out + MARK_AT_EPOCH, m->durable.epoch);
    store_u64(out + MARK_AT_SEQNO, m->durable.seqno.v);
    memcpy(out + MARK_AT_CHAIN, m->durable.chain.bytes, sizeof(m->durable.chain.bytes));
    store_u64(out + MARK_AT_COMMITTED, m->committed.v);
    store_u64(out + MARK_AT_SEGMENT, m->segment);
    store_u64(out + MARK_AT_GENERATION, m->generation);
    store_u32(out + MARK_AT_CRC, crc32c_keyed(log_key, out, MARK_AT_CRC));
}

static bool mark_slot_decode(const uint8_t *slot, uint64_t log_key, struct mark *out)
{
    static const uint8_t zeros[MARK_AT_CRC - MARK_AT_ZERO];
    if (memcmp(slot, MARK_MAGIC, MARK_AT_VERSION) != 0) return false;
    if (load_u32(slot + MARK_AT_CRC) != crc32c_keyed(log_key, slot, MARK_AT_CRC)) return false;
    if (memcmp(slot + MARK_AT_ZERO, zeros, sizeof(zeros)) != 0) return false;
    *out = (struct mark){
        .version = load_u64(slot + MARK_AT_VERSION),
        .durable = {.epoch = load_u64(slot + MARK_AT_EPOCH),
                    .seqno = seqno_of(load_u64(slot + MARK_AT_SEQNO))},
        .committed = seqno_of(load_u64(slot + MARK_AT_COMMITTED)),
        .segment = load_u64(slot + MARK_AT_SEGMENT),
        .generation = load_u64(slot + MARK_AT_GENERATION),
    };
    memcpy(out->durable.chain.bytes, slot + MARK_AT_CHAIN, sizeof(out->durable.chain.bytes));
    return true;
}

bool mark_decode(struct slice file, uint64_t log_key, struct mark *out)
{
    bool is_found = false;
    for (size_t at = 0; at < MARK_FILE_SIZE && file.size - at >= MARK_SLOT_SIZE;
         at += MARK_SLOT_SIZE) {
        struct mark m;
        if (!mark_slot_decode(file.data + at, log_key, &m)) continue;
        if (is_found && m.version <= out->version) continue;
        *out = m;
        is_found = true;
    }
    return is_found;
}
