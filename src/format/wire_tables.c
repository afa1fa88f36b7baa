/* wire_tables: the body of every message kind as field tables, and the rules between fields.
 * Everything here is constant.
 *
 * hello_beginning and plan_beginning are the same in every version for ever. Anything new is
 * appended to the rest, together with a new WIRE_VERSION. */
#include "format/wire_tables.h"

#include "base/text.h"

enum { SENTENCE_SIZE_MAX = 1024 };

static const struct field position_list[] = {
    {.name = "position", .type = FIELD_POSITION, .size = sizeof(struct position)},
};
static const struct field_table position_table = {
    FIELD_TABLE("position", struct position, position_list)};

static const struct field hello_beginning_list[] = {
    {FIELD(FIELD_FIXED, struct wire_hello, version_min), .note = "protocol range spoken"},
    {FIELD(FIELD_FIXED, struct wire_hello, version_max)},
    {FIELD(FIELD_FIXED, struct wire_hello, features)},
    {FIELD(FIELD_FIXED, struct wire_hello, feature_level)},
    {FIELD(FIELD_FIXED, struct wire_hello, frame_size_max)},
    {FIELD(FIELD_RAW, struct wire_hello, cluster), .note = "zero: unknown yet"},
    {FIELD(FIELD_STREAM, struct wire_hello, stream)},
};
static const struct field_table hello_beginning = {
    FIELD_TABLE("hello, beginning", struct wire_hello, hello_beginning_list)};

static const struct field hello_rest_list[] = {
    {FIELD(FIELD_SLICE8, struct wire_hello, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct wire_hello, incarnation)},
    {FIELD(FIELD_FIXED, struct wire_hello, region)},
    {FIELD(FIELD_SLICE8, struct wire_hello, data_address)},
    {FIELD(FIELD_SLICE8, struct wire_hello, http_address)},
    {FIELD(FIELD_SLICE8, struct wire_hello, replication_address)},
    {FIELD(FIELD_FIXED, struct wire_hello, is_voter), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_hello, is_empty), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_hello, is_damaged), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_hello, is_bootstrapping), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_hello, is_loss_accepted), .max = 1,
     .note = "1: it may be told to cut back what the leader lacks"},
    {FIELD(FIELD_FIXED, struct wire_hello, is_leader_wanted), .max = 1,
     .note = "1: it follows whoever leads"},
    {FIELD(FIELD_FIXED, struct wire_hello, is_fetching), .max = 1,
     .note = "1: it is to lead, and fetches what it lost"},
    {FIELD(FIELD_SLICE8, struct wire_hello, credentials), .is_secret = true},
    {FIELD(FIELD_FIXED, struct wire_hello, memory_max)},
    {FIELD(FIELD_POSITION, struct wire_hello, last), .note = "end of its own durable log"},
    {FIELD(FIELD_FIXED, struct wire_hello, applied)},
    {FIELD(FIELD_FIXED, struct wire_hello, oldest), .note = "first record its log keeps"},
    {FIELD(FIELD_FIXED, struct wire_hello, committed)},
    {FIELD(FIELD_FIXED, struct wire_hello, highest_epoch)},
    {FIELD(FIELD_FIXED, struct wire_hello, history_id)},
    {FIELD(FIELD_ARRAY, struct wire_hello, manifests), .max = WIRE_MANIFESTS_MAX,
     FIELD_COUNTED(struct wire_hello, manifest_count), .elements = &position_table},
    {FIELD(FIELD_ARRAY, struct wire_hello, epochs), .max = WIRE_EPOCHS_MAX,
     FIELD_COUNTED(struct wire_hello, epoch_count), .elements = &epoch_entry_fields,
     .note = "the newest ones, ascending"},
};
static const struct field_table hello_rest = {
    FIELD_TABLE("hello", struct wire_hello, hello_rest_list)};

static const struct field plan_beginning_list[] = {
    {FIELD(FIELD_FIXED, struct wire_plan, version), .note = "chosen; 0 in a refusal for versions"},
    {FIELD(FIELD_FIXED, struct wire_plan, version_min), .note = "the leader's range"},
    {FIELD(FIELD_FIXED, struct wire_plan, version_max)},
    {FIELD(FIELD_FIXED, struct wire_plan, features)},
    {FIELD(FIELD_FIXED, struct wire_plan, feature_level)},
    {FIELD(FIELD_FIXED, struct wire_plan, frame_size_max)},
    {FIELD(FIELD_FIXED, struct wire_plan, kind), .min = 1,
     .note = "1 continue, 2 truncate_to, 3 bootstrap, 4 from_archive, 5 refuse"},
    {FIELD(FIELD_FIXED, struct wire_plan, reason), .note = "see the reasons of refusal"},
    {FIELD(FIELD_SLICEV, struct wire_plan, text), .max = SENTENCE_SIZE_MAX,
     .note = "one sentence: what is wrong and what to do"},
};
static const struct field_table plan_beginning = {
    FIELD_TABLE("plan, beginning", struct wire_plan, plan_beginning_list)};

static const struct field plan_rest_list[] = {
    {FIELD(FIELD_RAW, struct wire_plan, cluster)},
    {FIELD(FIELD_STREAM, struct wire_plan, stream)},
    {FIELD(FIELD_FIXED, struct wire_plan, log_key), .is_secret = true, .note = "0 in a refusal"},
    {FIELD(FIELD_SLICE8, struct wire_plan, node_id), .min = 1, .max = NODE_ID_SIZE_MAX,
     .note = "the sender's"},
    {FIELD(FIELD_FIXED, struct wire_plan, incarnation)},
    {FIELD(FIELD_SLICE8, struct wire_plan, data_address), .note = "of the leader: where writes go"},
    {FIELD(FIELD_SLICE8, struct wire_plan, http_address)},
    {FIELD(FIELD_SLICE8, struct wire_plan, replication_address)},
    {FIELD(FIELD_EPOCH, struct wire_plan, epoch)},
    {FIELD(FIELD_POSITION, struct wire_plan, from),
     .note = "continue: what was asked; truncate_to, bootstrap: the fork; archive: start"},
    {FIELD(FIELD_POSITION, struct wire_plan, to), .note = "archive: end"},
    {FIELD(FIELD_FIXED, struct wire_plan, durable)},
    {FIELD(FIELD_FIXED, struct wire_plan, durable_bytes), .note = "log bytes up to durable"},
    {FIELD(FIELD_FIXED, struct wire_plan, committed)},
    {FIELD(FIELD_FIXED, struct wire_plan, safe)},
    {FIELD(FIELD_FIXED, struct wire_plan, floor), .note = "retention floor"},
    {FIELD(FIELD_FIXED, struct wire_plan, members_version)},
    {FIELD(FIELD_SLICEV, struct wire_plan, path), .max = WIRE_PATH_MAX,
     .note = "node ids between commas: whom the sender follows, ... the leader; empty: it leads"},
};
static const struct field_table plan_rest = {FIELD_TABLE("plan", struct wire_plan, plan_rest_list)};

static const struct field batches_list[] = {
    {FIELD(FIELD_STREAM, struct wire_batches, stream)},
    {FIELD(FIELD_POSITION, struct wire_batches, before),
     .note = "position that the first batch extends"},
    {FIELD(FIELD_FIXED, struct wire_batches, durable), .note = "the leader's, when sent"},
    {FIELD(FIELD_FIXED, struct wire_batches, durable_bytes), .note = "log bytes up to durable"},
    {FIELD(FIELD_REST, struct wire_batches, bytes), .note = "whole batches without padding"},
};
static const struct field_table batches_table = {
    FIELD_TABLE("batches", struct wire_batches, batches_list)};

static const struct field sealed_list[] = {
    {FIELD(FIELD_POSITION, struct wire_sealed, position)},
};
static const struct field_table sealed_table = {
    FIELD_TABLE("sealed", struct wire_sealed, sealed_list)};

static const struct field ack_list[] = {
    {FIELD(FIELD_FIXED, struct wire_ack, epoch), .note = "the leader's that this ack is for"},
    {FIELD(FIELD_POSITION, struct wire_ack, received)},
    {FIELD(FIELD_POSITION, struct wire_ack, stored)},
    {FIELD(FIELD_POSITION, struct wire_ack, applied)},
    {FIELD(FIELD_FIXED, struct wire_ack, echo_probe),
     .note = "newest probe received from the leader"},
    {FIELD(FIELD_FIXED, struct wire_ack, apply_errors)},
    {FIELD(FIELD_FIXED, struct wire_ack, divergences)},
    {FIELD(FIELD_FIXED, struct wire_ack, is_poisoned), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_ack, is_diverged), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_ack, is_rebootstrapping), .max = 1},
};
static const struct field_table ack_table = {FIELD_TABLE("ack", struct wire_ack, ack_list)};

static const struct field heartbeat_list[] = {
    {FIELD(FIELD_EPOCH, struct wire_heartbeat, epoch)},
    {FIELD(FIELD_POSITION, struct wire_heartbeat, durable)},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, committed)},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, safe)},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, floor)},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, durable_bytes),
     .note = "log bytes ever made durable"},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, leader_time), .note = "HLC"},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, echo_probe),
     .note = "newest probe received from the follower"},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, echo_durable),
     .note = "what was durable when that probe arrived"},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, echo_staleness_ns),
     .note = "how old that may have been then, ns: 0 on a leader, all ones: not known"},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, is_lease_valid), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, topology_version)},
    {FIELD(FIELD_FIXED, struct wire_heartbeat, is_cut), .max = 1,
     .note = "1: a link between the sender and the leader is down"},
    {FIELD(FIELD_SLICEV, struct wire_heartbeat, path), .max = WIRE_PATH_MAX, .note = "as in plan"},
};
static const struct field_table heartbeat_table = {
    FIELD_TABLE("heartbeat", struct wire_heartbeat, heartbeat_list)};

static const struct field inquire_list[] = {
    {FIELD(FIELD_RAW, struct wire_inquire, cluster)},
    {FIELD(FIELD_SLICE8, struct wire_inquire, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct wire_inquire, highest_epoch), .max = EPOCH_NUMBER_MAX},
    {FIELD(FIELD_FIXED, struct wire_inquire, claim), .max = EPOCH_NUMBER_MAX},
    {FIELD(FIELD_FIXED, struct wire_inquire, role), .min = 1, .max = ROLE_FOLLOWER},
    {FIELD(FIELD_SLICE8, struct wire_inquire, replication_address)},
};
static const struct field_table inquire_table = {
    FIELD_TABLE("inquire", struct wire_inquire, inquire_list)};

static const struct field standing_list[] = {
    {FIELD(FIELD_RAW, struct wire_standing, cluster)},
    {FIELD(FIELD_SLICE8, struct wire_standing, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_SLICE8, struct wire_standing, data_address)},
    {FIELD(FIELD_SLICE8, struct wire_standing, http_address)},
    {FIELD(FIELD_SLICE8, struct wire_standing, replication_address)},
    {FIELD(FIELD_SLICE8, struct wire_standing, leader_address)},
    {FIELD(FIELD_FIXED, struct wire_standing, incarnation)},
    {FIELD(FIELD_POSITION, struct wire_standing, last)},
    {FIELD(FIELD_FIXED, struct wire_standing, applied)},
    {FIELD(FIELD_FIXED, struct wire_standing, committed)},
    {FIELD(FIELD_FIXED, struct wire_standing, highest_epoch), .max = EPOCH_NUMBER_MAX},
    {FIELD(FIELD_FIXED, struct wire_standing, is_damaged), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_standing, is_bootstrapping), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_standing, is_voter), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_standing, is_serving), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_standing, is_claim_noted), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_standing, role), .min = 1, .max = ROLE_FOLLOWER},
    {FIELD(FIELD_ARRAY, struct wire_standing, epochs), .max = WIRE_EPOCHS_MAX,
     FIELD_COUNTED(struct wire_standing, epoch_count), .elements = &epoch_entry_fields},
};
static const struct field_table standing_table = {
    FIELD_TABLE("standing", struct wire_standing, standing_list)};

static const struct field fetch_list[] = {
    {FIELD(FIELD_POSITION, struct wire_fetch, after), .note = "known good, before the range"},
    {FIELD(FIELD_FIXED, struct wire_fetch, last), .note = "up to and including"},
};
static const struct field_table fetch_table = {FIELD_TABLE("fetch", struct wire_fetch, fetch_list)};

static const struct field piece_list[] = {
    {FIELD(FIELD_FIXED, struct wire_piece, is_request), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_piece, mark),
     .note = "seqno of the manifest's mark; in a request 0: the newest"},
    {FIELD(FIELD_FIXED, struct wire_piece, offset)},
    {FIELD(FIELD_FIXED, struct wire_piece, total), .note = "bytes of the whole manifest"},
    {FIELD(FIELD_REST, struct wire_piece, bytes)},
};
static const struct field_table piece_table = {
    FIELD_TABLE("manifest", struct wire_piece, piece_list)};

static const struct field blocks_list[] = {
    {FIELD(FIELD_FIXED, struct wire_blocks, is_request), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_blocks, count)},
    {FIELD(FIELD_REST, struct wire_blocks, bytes),
     .note = "request: hashes; else per block: hash, u32 size, bytes"},
};
static const struct field_table blocks_table = {
    FIELD_TABLE("blocks", struct wire_blocks, blocks_list)};

static const struct field members_list[] = {
    {FIELD(FIELD_FIXED, struct wire_members, topology_version)},
    {FIELD(FIELD_FIXED, struct wire_members, count)},
    {FIELD(FIELD_REST, struct wire_members, bytes), .note = "members, see below"},
};
static const struct field_table members_table = {
    FIELD_TABLE("members", struct wire_members, members_list)};

static const struct field member_list[] = {
    {FIELD(FIELD_SLICE8, struct wire_member, node_id), .min = 1, .max = NODE_ID_SIZE_MAX},
    {FIELD(FIELD_FIXED, struct wire_member, is_voter), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_member, role), .min = 1, .max = ROLE_FOLLOWER},
    {FIELD(FIELD_FIXED, struct wire_member, region)},
    {FIELD(FIELD_FIXED, struct wire_member, health), .min = 1, .max = WIRE_HEALTH_DOWN,
     .note = "1 up, 2 down"},
    {FIELD(FIELD_FIXED, struct wire_member, is_rebootstrapping), .max = 1},
    {FIELD(FIELD_FIXED, struct wire_member, lag_records), .note = "all ones: not known"},
    {FIELD(FIELD_SLICE8, struct wire_member, data_address)},
    {FIELD(FIELD_SLICE8, struct wire_member, http_address)},
    {FIELD(FIELD_SLICE8, struct wire_member, replication_address)},
};
const struct field_table wire_member_fields = {
    FIELD_TABLE("member", struct wire_member, member_list)};

static const struct field handover_list[] = {
    {FIELD(FIELD_POSITION, struct wire_handover, position)},
    {FIELD(FIELD_EPOCH, struct wire_handover, next_epoch)},
};
static const struct field_table handover_table = {
    FIELD_TABLE("handover", struct wire_handover, handover_list)};

static const struct field end_list[] = {
    {FIELD(FIELD_FIXED, struct wire_end, reason), .note = "a reason of refusal or of ending"},
    {FIELD(FIELD_SLICEV, struct wire_end, text), .max = SENTENCE_SIZE_MAX},
};
static const struct field_table end_table = {FIELD_TABLE("end", struct wire_end, end_list)};

static const struct field progress_list[] = {
    {FIELD(FIELD_FIXED, struct wire_progress, mark), .note = "of the manifest; 0: none yet"},
    {FIELD(FIELD_FIXED, struct wire_progress, done_bytes)},
    {FIELD(FIELD_FIXED, struct wire_progress, total_bytes)},
    {FIELD(FIELD_FIXED, struct wire_progress, done_blocks)},
    {FIELD(FIELD_FIXED, struct wire_progress, total_blocks)},
    {FIELD(FIELD_FIXED, struct wire_progress, fetched_bytes),
     .note = "those that came from others"},
};
static const struct field_table progress_table = {
    FIELD_TABLE("progress", struct wire_progress, progress_list)};

/* Rules between fields: each says what is wrong, or NULL. */

static bool hello_has_rest(const struct wire_message *m)
{
    return m->as.hello.version_min <= WIRE_VERSION && m->as.hello.version_max >= WIRE_VERSION;
}

static const char *hello_check(const struct wire_message *m)
{
    const struct wire_hello *h = &m->as.hello;
    if (h->version_min > h->version_max) return "the version range ends before it begins";
    if (!hello_has_rest(m)) return NULL;
    if (!is_node_id(h->node_id)) return "the node id is malformed";
    if (!epoch_entries_are_ascending(h->epochs, h->epoch_count)) return "epochs out of order";
    return NULL;
}

/* Node ids with one comma between two. */
static bool path_is_well_formed(struct slice path)
{
    size_t begin = 0;
    for (size_t i = 0; i <= path.size && path.size > 0; i++) {
        if (i < path.size && path.data[i] != ',') continue;
        if (!is_node_id(slice_of(path.data + begin, i - begin))) return false;
        begin = i + 1;
    }
    return true;
}

static bool plan_has_rest(const struct wire_message *m)
{
    return m->as.plan.version == WIRE_VERSION;
}

static const char *plan_check(const struct wire_message *m)
{
    const struct wire_plan *p = &m->as.plan;
    if (!plan_has_rest(m)) {
        return p->kind == PLAN_REFUSE ? NULL : "a version was chosen that was not offered";
    }
    if (p->kind > PLAN_REFUSE) return "the kind of plan is unknown";
    if (p->kind == PLAN_REFUSE && p->log_key != 0) return "a refusal tells the log key";
    if (!is_node_id(p->node_id)) return "the node id is malformed";
    return path_is_well_formed(p->path) ? NULL : "the path is no list of node ids";
}

static const char *heartbeat_check(const struct wire_message *m)
{
    return path_is_well_formed(m->as.heartbeat.path) ? NULL : "the path is no list of node ids";
}

static const char *inquire_check(const struct wire_message *m)
{
    return is_node_id(m->as.inquire.node_id) ? NULL : "the node id is malformed";
}

static const char *standing_check(const struct wire_message *m)
{
    const struct wire_standing *s = &m->as.standing;
    if (!is_node_id(s->node_id)) return "the node id is malformed";
    if (!epoch_entries_are_ascending(s->epochs, s->epoch_count)) return "epochs out of order";
    return NULL;
}

static const char *piece_check(const struct wire_message *m)
{
    const struct wire_piece *p = &m->as.manifest;
    if (p->is_request) return p->bytes.size == 0 ? NULL : "a request that carries bytes";
    bool is_inside = p->offset <= p->total && p->bytes.size <= p->total - p->offset;
    return is_inside ? NULL : "a piece beyond the manifest's end";
}

static const char *blocks_check(const struct wire_message *m)
{
    const struct wire_blocks *b = &m->as.blocks;
    struct bytes_reader at = bytes_reader_of(b->bytes);
    struct wire_block block;
    uint32_t count = 0;
    while (wire_block_next(b, &at, &block)) {
        count++;
    }
    return bytes_is_done(&at) && count == b->count ? NULL : "the blocks do not match their count";
}

static const char *members_check(const struct wire_message *m)
{
    struct bytes_reader at = bytes_reader_of(m->as.members.bytes);
    struct wire_member member;
    uint32_t count = 0;
    while (wire_member_next(&at, &member)) {
        if (!is_node_id(member.node_id)) return "a member's node id is malformed";
        count++;
    }
    bool is_whole = bytes_is_done(&at) && count == m->as.members.count && count <= MEMBERS_MAX + 1;
    return is_whole ? NULL : "the members do not match their count";
}

static const struct wire_rule RULES[] = {
    [WIRE_HELLO] = {&hello_beginning, &hello_rest, hello_has_rest, hello_check},
    [WIRE_PLAN] = {&plan_beginning, &plan_rest, plan_has_rest, plan_check},
    [WIRE_BATCHES] = {.table = &batches_table},
    [WIRE_SEALED] = {.table = &sealed_table},
    [WIRE_ACK] = {.table = &ack_table},
    [WIRE_HEARTBEAT] = {.table = &heartbeat_table, .check = heartbeat_check},
    [WIRE_INQUIRE] = {.table = &inquire_table, .check = inquire_check},
    [WIRE_STANDING] = {.table = &standing_table, .check = standing_check},
    [WIRE_FETCH] = {.table = &fetch_table},
    [WIRE_MANIFEST] = {.table = &piece_table, .check = piece_check},
    [WIRE_BLOCKS] = {.table = &blocks_table, .check = blocks_check},
    [WIRE_MEMBERS] = {.table = &members_table, .check = members_check},
    [WIRE_HANDOVER] = {.table = &handover_table},
    [WIRE_END] = {.table = &end_table},
    [WIRE_PROGRESS] = {.table = &progress_table},
};

static bool kind_is_known(uint16_t kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) case number:
        WIRE_TABLE(X)
#undef X
        return true;
    default: return false;
    }
}

const struct wire_rule *wire_rule_of(uint16_t kind)
{
    return kind_is_known(kind) ? &RULES[kind] : NULL;
}

const struct field_table *wire_fields(enum wire_kind kind, unsigned index)
{
    const struct wire_rule *rule = wire_rule_of((uint16_t)kind);
    if (rule == NULL || index > 1) return NULL;
    return index == 0 ? rule->table : rule->rest;
}

const char *wire_kind_name(uint16_t kind)
{
    switch (kind) {
#define X(constant, number, name, meaning) \
    case constant: return name;
        WIRE_TABLE(X)
#undef X
    default: return "unknown";
    }
}

const char *refuse_name(uint8_t reason)
{
    switch (reason) {
#define X(constant, number, name, sentence) \
    case constant: return name;
        REFUSE_TABLE(X)
#undef X
    default: return "unknown";
    }
}

const char *refuse_sentence(uint8_t reason)
{
    switch (reason) {
#define X(constant, number, name, sentence) \
    case constant: return sentence;
        REFUSE_TABLE(X)
#undef X
    default: return "for a reason that this version does not know";
    }
}
