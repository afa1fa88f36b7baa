/* samples: the examples. Changing one changes golden files: only on purpose. */
#include "support/samples.h"

#include "base/assert.h"
#include "base/hash.h"
#include "format/put_fields.h"

const enum record_kind SAMPLE_KINDS[] = {
#define X(constant, number, name, meaning) constant,
    RECORD_TABLE(X)
#undef X
};
const size_t SAMPLE_KIND_COUNT = COUNT_OF(SAMPLE_KINDS);

struct id128 sample_id(uint8_t first)
{
    struct id128 id;
    for (uint8_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] = (uint8_t)(first + i);
    }
    return id;
}

struct hash256 sample_hash(uint8_t first)
{
    struct hash256 hash;
    for (uint8_t i = 0; i < sizeof(hash.bytes); i++) {
        hash.bytes[i] = (uint8_t)(first + i);
    }
    return hash;
}

struct position sample_position(uint64_t number)
{
    return (struct position){.epoch = 7, .seqno = seqno_of(number), .chain = sample_hash(0x40)};
}

struct log_identity sample_log(void)
{
    return (struct log_identity){
        .cluster = sample_id(0x10), .stream = {.region = 2, .shard = 3}, .log_key = SAMPLE_LOG_KEY};
}

struct signal_entry sample_entry(uint8_t flags)
{
    return (struct signal_entry){
        .flags = flags,
        .type_id = 3,
        .item = slice_of_text("item:42"),
        .time_ms = SAMPLE_TIME_MS - 1500,
        .weight = (flags & SIGNAL_HAS_WEIGHT) != 0 ? 2.5 : 1.0,
        .user = (flags & SIGNAL_HAS_USER) != 0 ? slice_of_text("user:7") : (struct slice){0},
        .session = (flags & SIGNAL_HAS_SESSION) != 0 ? sample_id(0x20) : (struct id128){{0}},
        .session_number = (flags & SIGNAL_HAS_SESSION) != 0 ? 300 : 0,
        .key = (flags & SIGNAL_HAS_KEY) != 0 ? sample_id(0x30) : (struct id128){{0}},
    };
}

static void signal_sample(struct sample_memory *memory, struct record *out)
{
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    struct signal_entry entries[] = {sample_entry(0), sample_entry(SIGNAL_FLAGS_KNOWN)};
    enum code code =
        record_encode_signals(&w, NULL, entries, COUNT_OF(entries), SAMPLE_TIME_MS, NULL);
    ASSERT(code == OK);
    struct bytes_reader r = bytes_reader_of(bytes_written_slice(&w));
    code = record_decode(&r, SAMPLE_TIME_MS, out, NULL);
    ASSERT(code == OK);
}

static struct slice field_list_sample(struct sample_memory *memory)
{
    static const uint8_t tags[] = {3, 'r', 'e', 'd', 4, 'b', 'l', 'u', 'e'};
    const struct put_field fields[] = {
        {.name = slice_of_text("title"), .tag = PUT_TEXT, .text = slice_of_text("A tide table")},
        {.name = slice_of_text("year"), .tag = PUT_INT, .integer = -2023},
        {.name = slice_of_text("price"), .tag = PUT_REAL, .real = 9.75},
        {.name = slice_of_text("nsfw"), .tag = PUT_BOOL, .integer = 1},
        {.name = slice_of_text("topic"),
         .tag = PUT_TAGS,
         .tag_count = 2,
         .tags = {.at = tags, .end = tags + sizeof(tags)}},
        {.name = slice_of_text("old"), .tag = PUT_UNSET},
    };
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    bytes_write_varint(&w, COUNT_OF(fields));
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        put_field_write(&w, &fields[i]);
    }
    ASSERT(!w.is_failed);
    return bytes_written_slice(&w);
}

static struct slice name_list_sample(struct sample_memory *memory)
{
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    bytes_write_varint(&w, 2);
    bytes_write_slice8(&w, slice_of_text("title"));
    bytes_write_slice8(&w, slice_of_text("year"));
    return bytes_written_slice(&w);
}

static void schema_sample(struct record_schema *s)
{
    *s = (struct record_schema){
        .subject = SCHEMA_SIGNAL,
        .id = 9,
        .name = slice_of_text("like"),
        .mode = SIGNAL_MODE_ONCE,
        .polarity = POLARITY_POSITIVE,
        .windows = WINDOW_1H | WINDOW_24H | WINDOW_7D | WINDOW_ALL,
        .halflife_count = 2,
        .halflives_ms = {604800000, 3600000},
    };
}

static void members_sample(struct record_members *m)
{
    m->count = 2;
    m->members[0] = (struct member){.node_id = slice_of_text("north"),
                                    .is_voter = 1,
                                    .address = slice_of_text("10.0.0.1:7402")};
    m->members[1] = (struct member){.node_id = slice_of_text("south"),
                                    .is_voter = 0,
                                    .address = slice_of_text("10.0.0.2:7402")};
}

static void epoch_start_sample(struct record_epoch_start *s)
{
    *s = (struct record_epoch_start){
        .epoch = {.number = 7, .nonce = UINT64_C(0xa1a2a3a4a5a6a7a8)},
        .previous = {.number = 6, .nonce = UINT64_C(0xb1b2b3b4b5b6b7b8)},
        .previous_last = seqno_of(1000),
        .node_id = slice_of_text("north"),
        .incarnation = 12,
        .reason = EPOCH_PROMOTION,
    };
}

static void put_sample(enum record_kind kind, struct sample_memory *memory, struct record_put *p)
{
    p->key = slice_of_text("item:42");
    p->fields = field_list_sample(memory);
    if (kind != RECORD_ITEM_PUT) return;
    p->creator = slice_of_text("creator:1");
    p->has_created = 1;
    p->created_ms = SAMPLE_TIME_MS - 86400000;
}

static void group_sample(struct sample_memory *memory, struct record *out)
{
    struct sample_memory list;
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    struct signal_entry entry = sample_entry(SIGNAL_HAS_USER);
    enum code code = record_encode_signals(&w, NULL, &entry, 1, SAMPLE_TIME_MS, NULL);
    ASSERT(code == OK);
    struct record put = {.kind = RECORD_ITEM_PUT};
    put_sample(RECORD_ITEM_PUT, &list, &put.as.put);
    put.envelope = (struct record_envelope){.flags = ENVELOPE_KEY, .key = sample_id(0x50)};
    code = record_encode(&w, &put, SAMPLE_TIME_MS, NULL);
    ASSERT(code == OK);
    out->as.group.count = 2;
    out->as.group.records = bytes_reader_of(bytes_written_slice(&w));
}

void sample_record(enum record_kind kind, struct sample_memory *memory, struct record *out)
{
    static const float vector[] = {0.5F, -0.25F, 1.0F};
    struct slice item = slice_of_text("item:42");
    struct slice user = slice_of_text("user:7");
    int64_t time_ms = SAMPLE_TIME_MS - 250;
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    switch (kind) {
    case RECORD_NOOP: break;
    case RECORD_PRODUCER:
        out->envelope = (struct record_envelope){.flags = ENVELOPE_PRODUCER,
                                                 .producer = slice_of_text("import:a"),
                                                 .producer_number = 77};
        break;
    case RECORD_EPOCH_START: epoch_start_sample(&out->as.epoch_start); break;
    case RECORD_SCHEMA: schema_sample(&out->as.schema); break;
    case RECORD_FEATURE_LEVEL: out->as.feature_level.level = 2; break;
    case RECORD_MEMBERS: members_sample(&out->as.members); break;
    case RECORD_SIGNAL: signal_sample(memory, out); break;
    case RECORD_SIGNAL_UNDO:
        out->as.undo =
            (struct record_undo){.type_id = 3, .item = item, .user = user, .time_ms = time_ms};
        break;
    case RECORD_ITEM_PUT:
    case RECORD_USER_PUT:
    case RECORD_CREATOR_PUT: put_sample(kind, memory, &out->as.put); break;
    case RECORD_ITEM_UNSET:
        out->as.unset = (struct record_unset){.key = item, .names = name_list_sample(memory)};
        break;
    case RECORD_ITEM_DELETE:
    case RECORD_ITEM_PURGE: out->as.item_ref.key = item; break;
    case RECORD_EMBEDDING_PUT:
        out->as.embedding = (struct record_embedding){.entity_kind = 1,
                                                      .key = item,
                                                      .slot_id = 4,
                                                      .vector = slice_of(vector, sizeof(vector))};
        break;
    case RECORD_RELATION_ADD:
    case RECORD_RELATION_REMOVE:
        out->as.relation = (struct record_relation){
            .relation = 4, .user = user, .target = item, .time_ms = time_ms, .weight = 1.0};
        break;
    case RECORD_SESSION_OPEN:
        out->as.session_open = (struct record_session_open){.session = sample_id(0x60),
                                                            .user = user,
                                                            .policy = slice_of_text("default"),
                                                            .ttl_ms = 1800000,
                                                            .time_ms = time_ms};
        break;
    case RECORD_SESSION_CLOSE:
        out->as.session_close = (struct record_session_close){
            .session = sample_id(0x60), .is_commit = 1, .reason = 2, .time_ms = time_ms};
        break;
    case RECORD_TICK: out->as.tick.now_ms = SAMPLE_TIME_MS; break;
    case RECORD_MARK: out->as.mark.reason = 1; break;
    case RECORD_DIGEST:
        out->as.digest = (struct record_digest){.mark = seqno_of(900), .root = sample_hash(0x70)};
        break;
    case RECORD_LOSS_RECEIPT:
        out->as.loss_receipt = (struct record_loss_receipt){
            .first = seqno_of(901), .last = seqno_of(904), .reason = slice_of_text("disk failed")};
        break;
    case RECORD_GROUP: group_sample(memory, out); break;
    }
}

void sample_batch_wrap(struct sample_batch *b, const struct position *before, uint64_t epoch,
                       struct slice payload, uint32_t count)
{
    ASSERT(payload.size <= sizeof(b->bytes) - BATCH_HEADER_SIZE - LOG_ALIGN);
    struct log_identity id = sample_log();
    memset(b->bytes, 0, sizeof(b->bytes));
    memcpy(b->bytes + BATCH_HEADER_SIZE, payload.data, payload.size);
    b->size = BATCH_HEADER_SIZE + payload.size;
    b->header = (struct batch_header){
        .record_count = count,
        .cluster = id.cluster,
        .stream = id.stream,
        .epoch = {.number = epoch, .nonce = UINT64_C(0xa1a2a3a4a5a6a7a8)},
        .first = seqno_next(before->seqno),
        .payload_size = (uint32_t)payload.size,
        .raw_size = (uint32_t)payload.size,
        .leader_time = hlc_of_ms(SAMPLE_TIME_MS),
        .durable_through = before->seqno,
        .previous_chain = before->chain,
        .payload_hash = hash256_of(payload),
    };
    batch_header_encode(&b->header, id.log_key, b->bytes);
}

void sample_batch_make(struct sample_batch *b, const struct position *before, uint64_t epoch,
                       const struct record *records, uint32_t count)
{
    static uint8_t payload[sizeof(b->bytes) - BATCH_HEADER_SIZE - LOG_ALIGN];
    struct bytes_writer w = bytes_writer_of(payload, sizeof(payload));
    for (uint32_t i = 0; i < count; i++) {
        enum code code = record_encode(&w, &records[i], SAMPLE_TIME_MS, NULL);
        ASSERT(code == OK);
    }
    sample_batch_wrap(b, before, epoch, bytes_written_slice(&w), count);
}

struct position sample_batch_end(const struct sample_batch *b)
{
    return (struct position){.epoch = b->header.epoch.number,
                             .seqno = batch_last(&b->header),
                             .chain = batch_chain(b->bytes)};
}
