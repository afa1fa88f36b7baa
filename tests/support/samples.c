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
    struct id128 id = {{0}};
    for (uint8_t i = 0; i < sizeof(id.bytes); i++) {
        id.bytes[i] = (uint8_t)(first + i);
    }
    return id;
}

struct hash256 sample_hash(uint8_t first)
{
    struct hash256 hash = {{0}};
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

struct segment_header sample_segment_header(void)
{
    struct log_identity id = sample_log();
    return (struct segment_header){
        .cluster = id.cluster,
        .stream = id.stream,
        .first = seqno_of(42),
        .epoch = {.number = 7, .nonce = UINT64_C(0xa1a2a3a4a5a6a7a8)},
        .log_key = id.log_key,
        .file_id = 0x2a,
        .size_limit = 16 * MIB,
        .chain_at_start = sample_hash(0x40),
    };
}

struct segment_footer sample_segment_footer(void)
{
    static const struct seek_entry seeks[] = {{.first_seqno = 120, .offset = 16640},
                                              {.first_seqno = 200, .offset = 65600}};
    static struct hash256 chunks[2];
    chunks[0] = sample_hash(0x80);
    chunks[1] = sample_hash(0x90);
    return (struct segment_footer){
        .first = seqno_of(42),
        .last = seqno_of(300),
        .batch_count = 20,
        .last_epoch = 7,
        .chain_at_end = sample_hash(0x60),
        .data_end = 70400,
        .payload_bytes = 66000,
        .seek_count = COUNT_OF(seeks),
        .chunk_count = COUNT_OF(chunks),
        .seeks = seeks,
        .chunks = chunks,
    };
}

static struct epoch_entry epoch_entry_sample(uint64_t number)
{
    return (struct epoch_entry){
        .epoch = {.number = number, .nonce = number * 0x0101010101010101},
        .start = seqno_of(number * 10),
        .chain_before = sample_hash((uint8_t)number),
    };
}

void sample_identity(struct identity *out)
{
    *out = (struct identity){
        .version = 17,
        .cluster = sample_id(0x10),
        .log_key = SAMPLE_LOG_KEY,
        .node_id = "north",
        .incarnation = 12,
        .stream = {.region = 2, .shard = 3},
        .role = ROLE_FOLLOWER,
        .leader_address = "10.0.0.2:7402",
        .leader_data_address = "10.0.0.2:7400",
        .highest_epoch = 7,
        .history_id = 5,
        .generation = 3,
        .log_base = sample_position(41),
        .log_base_bytes = 8192,
        .first_segment = 1,
        .last_segment = 4,
        .log_first_file = 1,
        .feature_level = 2,
        .intent = {.step = TRUNCATION_QUARANTINED,
                   .fork = sample_position(99),
                   .link_nonce = UINT64_C(0xc1c2c3c4c5c6c7c8),
                   .lowered_mark = seqno_of(99)},
        .epoch_count = 2,
        .led_count = 2,
        .led = {4, 6},
        .fetched_epoch = 4,
    };
    out->epochs[0] = epoch_entry_sample(6);
    out->epochs[1] = epoch_entry_sample(7);
}

struct mark sample_mark(void)
{
    return (struct mark){.version = 9,
                         .durable = sample_position(300),
                         .committed = seqno_of(290),
                         .segment = 4,
                         .generation = 3};
}

struct manifest sample_manifest(void)
{
    static struct epoch_entry epochs[2];
    static struct block_entry blocks[3];
    static const struct block_place places[3] = {
        {.pack = 1, .offset = 64}, {.pack = 1, .offset = 4096}, {.pack = 2, .offset = 64}};
    epochs[0] = epoch_entry_sample(6);
    epochs[1] = epoch_entry_sample(7);
    blocks[0] = (struct block_entry){{BLOCK_META, 0}, 100, sample_hash(0xa0)};
    blocks[1] = (struct block_entry){{BLOCK_COLUMN, UINT64_C(3) << 40}, 32768, sample_hash(0xb0)};
    blocks[2] = (struct block_entry){{BLOCK_COLUMN, UINT64_C(4) << 40}, 32768, sample_hash(0xc0)};
    return (struct manifest){
        .cluster = sample_id(0x10),
        .stream = {.region = 2, .shard = 3},
        .position = sample_position(300),
        .leader_time = hlc_of_ms(SAMPLE_TIME_MS),
        .epoch_count = COUNT_OF(epochs),
        .epochs = epochs,
        .block_count = COUNT_OF(blocks),
        .blocks = blocks,
        .places = places,
        .generation = 3,
        .log_bytes = 65536,
        .root = state_root(blocks, COUNT_OF(blocks)),
    };
}

struct slot_record sample_slot(uint8_t number)
{
    struct slot_record s = {
        .node_id = "follower-0",
        .incarnation = 3,
        .stream = {.region = 2, .shard = 3},
        .region = 5,
        .address = "10.0.0.3:7400",
        .state = (uint8_t)(SLOT_BOOTSTRAP + number % SLOT_LOST),
        .reason = SLOT_REASON_NONE,
        .is_voter = 1,
        .epoch = 7,
        .restart = seqno_of(200),
        .received = seqno_of(260),
        .stored = seqno_of(255),
        .applied = seqno_of(250),
        .idle_ns = 5 * NS_PER_S,
        .apply_errors = 1,
        .divergences = 2,
        .invalidated_at_ms = 0,
    };
    s.node_id[9] = (char)('0' + number % 10);
    s.node_id[10] = (char)('0' + number / 10);
    return s;
}

const enum wire_kind SAMPLE_MESSAGES[] = {
#define X(constant, number, name, meaning) constant,
    WIRE_TABLE(X)
#undef X
};
const size_t SAMPLE_MESSAGE_COUNT = COUNT_OF(SAMPLE_MESSAGES);

static void hello_sample(struct wire_hello *h)
{
    *h = (struct wire_hello){
        .version_min = 1,
        .version_max = 3,
        .features = 5,
        .feature_level = 2,
        .frame_size_max = 1 << 20,
        .cluster = sample_id(0x10),
        .stream = {.region = 2, .shard = 3},
        .node_id = slice_of_text("south"),
        .incarnation = 4,
        .region = 2,
        .data_address = slice_of_text("10.0.0.3:7400"),
        .http_address = slice_of_text("10.0.0.3:7401"),
        .replication_address = slice_of_text("10.0.0.3:7402"),
        .is_voter = 1,
        .is_bootstrapping = 1,
        .credentials = slice_of_text("secret"),
        .memory_max = 8 * GIB,
        .last = sample_position(300),
        .applied = seqno_of(299),
        .oldest = seqno_of(42),
        .committed = seqno_of(290),
        .highest_epoch = 7,
        .history_id = 5,
        .manifest_count = 2,
        .manifests = {sample_position(200), sample_position(100)},
        .epoch_count = 2,
        .epochs = {epoch_entry_sample(6), epoch_entry_sample(7)},
    };
}

static void plan_sample(struct wire_plan *p)
{
    *p = (struct wire_plan){
        .version = WIRE_VERSION,
        .version_min = 1,
        .version_max = 1,
        .features = 1,
        .feature_level = 2,
        .frame_size_max = 1 << 20,
        .kind = PLAN_TRUNCATE_TO,
        .reason = REFUSE_OTHER_HISTORY,
        .text = slice_of_text("histories differ after 280"),
        .cluster = sample_id(0x10),
        .stream = {.region = 2, .shard = 3},
        .log_key = SAMPLE_LOG_KEY,
        .node_id = slice_of_text("north"),
        .incarnation = 12,
        .data_address = slice_of_text("10.0.0.2:7400"),
        .http_address = slice_of_text("10.0.0.2:7401"),
        .replication_address = slice_of_text("10.0.0.2:7402"),
        .epoch = {.number = 7, .nonce = UINT64_C(0xa1a2a3a4a5a6a7a8)},
        .from = sample_position(280),
        .to = sample_position(0),
        .durable = seqno_of(310),
        .committed = seqno_of(290),
        .safe = seqno_of(280),
        .floor = seqno_of(42),
        .members_version = 6,
    };
}

static void ack_sample(struct wire_ack *a)
{
    *a = (struct wire_ack){
        .epoch = 7,
        .received = sample_position(310),
        .stored = sample_position(305),
        .applied = sample_position(300),
        .echo_probe = 77,
        .apply_errors = 1,
        .divergences = 2,
        .is_poisoned = 1,
        .is_rebootstrapping = 1,
    };
}

static void heartbeat_sample(struct wire_heartbeat *h)
{
    *h = (struct wire_heartbeat){
        .epoch = {.number = 7, .nonce = UINT64_C(0xa1a2a3a4a5a6a7a8)},
        .durable = sample_position(310),
        .committed = seqno_of(305),
        .safe = seqno_of(300),
        .floor = seqno_of(42),
        .durable_bytes = 123456,
        .leader_time = hlc_of_ms(SAMPLE_TIME_MS),
        .echo_probe = 88,
        .echo_durable = seqno_of(309),
        .echo_staleness_ns = 250000000,
        .is_lease_valid = 1,
        .topology_version = 6,
    };
}

static void inquire_sample(struct wire_inquire *q)
{
    *q = (struct wire_inquire){
        .cluster = sample_id(0x10),
        .node_id = slice_of_text("north"),
        .highest_epoch = 8,
        .role = ROLE_FOLLOWER,
        .replication_address = slice_of_text("10.0.0.2:7402"),
    };
}

static void standing_sample(struct wire_standing *s)
{
    *s = (struct wire_standing){
        .cluster = sample_id(0x10),
        .node_id = slice_of_text("south"),
        .data_address = slice_of_text("10.0.0.3:7400"),
        .http_address = slice_of_text("10.0.0.3:7401"),
        .replication_address = slice_of_text("10.0.0.3:7402"),
        .leader_address = slice_of_text("10.0.0.2:7402"),
        .incarnation = 4,
        .last = sample_position(300),
        .applied = seqno_of(299),
        .committed = seqno_of(290),
        .highest_epoch = 7,
        .is_damaged = 1,
        .is_serving = 1,
        .role = ROLE_FOLLOWER,
        .epoch_count = 1,
        .epochs = {epoch_entry_sample(7)},
    };
}

static void blocks_sample(struct sample_memory *memory, struct wire_blocks *b)
{
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    for (uint8_t i = 0; i < 2; i++) {
        struct hash256 hash = sample_hash((uint8_t)(0x80 + i));
        bytes_write(&w, hash.bytes, sizeof(hash.bytes));
        bytes_write_u32(&w, 3);
        bytes_write(&w, "abc", 3);
    }
    *b = (struct wire_blocks){.count = 2, .bytes = bytes_written_slice(&w)};
}

static void wire_members_sample(struct sample_memory *memory, struct wire_members *m)
{
    struct bytes_writer w = bytes_writer_of(memory->bytes, sizeof(memory->bytes));
    struct wire_member member = {
        .node_id = slice_of_text("north"),
        .is_voter = 1,
        .role = ROLE_LEADER,
        .region = 2,
        .health = WIRE_HEALTH_UP,
        .lag_records = 0,
        .data_address = slice_of_text("10.0.0.2:7400"),
        .http_address = slice_of_text("10.0.0.2:7401"),
        .replication_address = slice_of_text("10.0.0.2:7402"),
    };
    wire_member_write(&w, &member);
    member.node_id = slice_of_text("south");
    member.role = ROLE_FOLLOWER;
    member.health = WIRE_HEALTH_DOWN;
    member.lag_records = WIRE_LAG_UNKNOWN;
    wire_member_write(&w, &member);
    ASSERT(!w.is_failed);
    *m = (struct wire_members){.topology_version = 6, .count = 2, .bytes = bytes_written_slice(&w)};
}

void sample_message(enum wire_kind kind, struct sample_memory *memory, struct wire_message *out)
{
    struct position at = sample_position(300);
    struct slice bytes = slice_of_text("any bytes at all");
    memset(out, 0, sizeof(*out));
    out->kind = kind;
    out->session = UINT64_C(0xd1d2d3d4d5d6d7d8);
    switch (kind) {
    case WIRE_HELLO: hello_sample(&out->as.hello); break;
    case WIRE_PLAN: plan_sample(&out->as.plan); break;
    case WIRE_BATCHES:
        out->as.batches = (struct wire_batches){
            .stream = {2, 3}, .before = at, .durable = seqno_of(310), .bytes = bytes};
        break;
    case WIRE_SEALED: out->as.sealed.position = at; break;
    case WIRE_ACK:
        out->probe = 78;
        ack_sample(&out->as.ack);
        break;
    case WIRE_HEARTBEAT:
        out->probe = 89;
        heartbeat_sample(&out->as.heartbeat);
        break;
    case WIRE_INQUIRE: inquire_sample(&out->as.inquire); break;
    case WIRE_STANDING: standing_sample(&out->as.standing); break;
    case WIRE_FETCH: out->as.fetch = (struct wire_fetch){at, seqno_of(310)}; break;
    case WIRE_MANIFEST:
        out->as.manifest = (struct wire_piece){0, seqno_of(300), 10, 26, bytes};
        break;
    case WIRE_BLOCKS: blocks_sample(memory, &out->as.blocks); break;
    case WIRE_MEMBERS: wire_members_sample(memory, &out->as.members); break;
    case WIRE_HANDOVER:
        out->as.handover = (struct wire_handover){at, {.number = 8, .nonce = 9}};
        break;
    case WIRE_END:
        out->as.end = (struct wire_end){WIRE_END_CLOSING, slice_of_text("the node is closing")};
        break;
    case WIRE_PROGRESS:
        out->as.progress = (struct wire_progress){seqno_of(300), 10, 40, 1, 4, 8};
        break;
    }
}

size_t sample_damage_accepted(uint8_t *bytes, size_t size, sample_decoder decode)
{
    size_t accepted = 0;
    for (size_t bit = 0; bit < size * 8; bit++) {
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        accepted += decode(slice_of(bytes, size));
        bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (size_t shorter = 0; shorter < size; shorter++) {
        accepted += decode(slice_of(bytes, shorter));
    }
    return accepted;
}
