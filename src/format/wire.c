/* wire: the frame around every message, and the way from bytes to struct wire_message and back. A
 * frame's header has its own checksum, so that its size is believed before its body has arrived.
 * Decoding is strict: trailing bytes, set flags and impossible values are refused; what a message
 * means is decided in core. Pure; never allocates. */
#include "format/wire.h"

#include <assert.h>

#include "base/assert.h"
#include "base/crc32c.h"
#include "base/text.h"
#include "format/batch.h"
#include "format/wire_tables.h"

#define WIRE_MAGIC "TMW1"

/* Offsets of the header's fields: the byte table of wire.h. */
enum {
    AT_KIND = 4,
    AT_FLAGS = 6,
    AT_BODY_SIZE = 8,
    AT_BODY_CRC = 12,
    AT_SESSION = 16,
    AT_PROBE = 24,
    AT_ZERO = 32,
    AT_CRC = 36,
};
static_assert(AT_CRC + 4 == WIRE_HEADER_SIZE, "the checksum ends the header");
static_assert(WIRE_HEADER_SIZE + 4 + 48 + 8 + 8 <= WIRE_BATCHES_PREFIX_MAX,
              "a batches prefix fits");
static_assert(FRAME_SIZE_MAX <= UINT32_MAX, "sizes are u32");

void wire_header_encode(const struct wire_header *h, uint8_t out[WIRE_HEADER_SIZE])
{
    ASSERT(h->body_size <= FRAME_SIZE_MAX);
    memset(out, 0, WIRE_HEADER_SIZE);
    memcpy(out, WIRE_MAGIC, AT_KIND);
    store_u16(out + AT_KIND, h->kind);
    store_u32(out + AT_BODY_SIZE, h->body_size);
    store_u32(out + AT_BODY_CRC, h->body_crc);
    store_u64(out + AT_SESSION, h->session);
    store_u64(out + AT_PROBE, h->probe);
    store_u32(out + AT_CRC, crc32c(0, out, AT_CRC));
}

/* What the bytes are, when they are no frame: people point the wrong client at the wrong port, and
 * a follower at another port of its leader. */
static enum code stranger_refuse(const uint8_t *bytes, struct err *e)
{
    static const struct {
        const char *start;
        const char *name; /* of who asks here; NULL: it answers there */
        const char *answer;
    } strangers[] = {
        {"GET ", "an HTTP request", NULL},     {"POST", "an HTTP request", NULL},
        {"HEAD", "an HTTP request", NULL},     {"PUT ", "an HTTP request", NULL},
        {"*", "a Redis command", NULL},        {"PING", "a Redis command", NULL},
        {"\x16\x03", "a TLS handshake", NULL}, {"SSH-", "an SSH greeting", NULL},
        {"HTTP", NULL, "an HTTP server"},      {"-", NULL, "a data port (RESP)"},
    };
    for (size_t i = 0; i < COUNT_OF(strangers); i++) {
        if (memcmp(bytes, strangers[i].start, strlen(strangers[i].start)) != 0) continue;
        if (strangers[i].name != NULL) {
            return ERR(e, E_PROTOCOL, "%s arrived at the replication port", strangers[i].name);
        }
        return ERR(e, E_PROTOCOL, "%s answers there; follow the leader's replication port",
                   strangers[i].answer);
    }
    if (memcmp(bytes, WIRE_MAGIC, AT_KIND - 1) == 0) {
        return ERR(e, E_PROTOCOL, "a replication frame of an unknown layout arrived");
    }
    return ERR(e, E_PROTOCOL, "bytes arrived that are no replication frame");
}

enum code wire_header_decode(const uint8_t bytes[WIRE_HEADER_SIZE], uint32_t body_size_max,
                             struct wire_header *out, struct err *e)
{
    if (memcmp(bytes, WIRE_MAGIC, AT_KIND) != 0) return stranger_refuse(bytes, e);
    if (load_u32(bytes + AT_CRC) != crc32c(0, bytes, AT_CRC)) {
        return ERR(e, E_PROTOCOL, "a frame's header does not match its checksum");
    }
    struct wire_header h = {
        .kind = load_u16(bytes + AT_KIND),
        .body_size = load_u32(bytes + AT_BODY_SIZE),
        .body_crc = load_u32(bytes + AT_BODY_CRC),
        .session = load_u64(bytes + AT_SESSION),
        .probe = load_u64(bytes + AT_PROBE),
    };
    if (load_u16(bytes + AT_FLAGS) != 0 || load_u32(bytes + AT_ZERO) != 0) {
        return ERR(e, E_PROTOCOL, "a %s frame has flags that this version does not know",
                   wire_kind_name(h.kind));
    }
    if (h.body_size > body_size_max) {
        return ERR(e, E_PROTOCOL, "a %s frame of %u bytes, the limit is %u", wire_kind_name(h.kind),
                   h.body_size, body_size_max);
    }
    *out = h;
    return OK;
}

bool wire_body_verifies(const struct wire_header *h, struct slice body)
{
    return body.size == h->body_size && crc32c(0, body.data, body.size) == h->body_crc;
}

static bool has_rest(const struct wire_rule *rule, const struct wire_message *m)
{
    return rule->rest != NULL && rule->has_rest(m);
}

static enum code body_encode(struct bytes_writer *w, const struct wire_rule *rule,
                             const struct wire_message *m)
{
    if (rule->check != NULL && rule->check(m) != NULL) return E_LIMIT;
    if (rule->table != NULL) TRY(fields_encode(w, rule->table, &m->as, 0, NULL));
    if (has_rest(rule, m)) TRY(fields_encode(w, rule->rest, &m->as, 0, NULL));
    return OK;
}

/* Only these carry a probe. */
static bool kind_has_probe(uint16_t kind)
{
    return kind == WIRE_ACK || kind == WIRE_HEARTBEAT;
}

size_t wire_encode(const struct wire_message *m, uint8_t *out, size_t capacity)
{
    const struct wire_rule *rule = wire_rule_of((uint16_t)m->kind);
    ASSERT(rule != NULL);
    ASSERT(m->probe == 0 || kind_has_probe((uint16_t)m->kind));
    if (capacity < WIRE_HEADER_SIZE) return 0;
    struct bytes_writer w = bytes_writer_of(out + WIRE_HEADER_SIZE, capacity - WIRE_HEADER_SIZE);
    if (body_encode(&w, rule, m) != OK || bytes_written(&w) > FRAME_SIZE_MAX) return 0;
    struct slice body = bytes_written_slice(&w);
    struct wire_header h = {
        .kind = (uint16_t)m->kind,
        .body_size = (uint32_t)body.size,
        .body_crc = crc32c(0, body.data, body.size),
        .session = m->session,
        .probe = m->probe,
    };
    wire_header_encode(&h, out);
    return WIRE_HEADER_SIZE + body.size;
}

size_t wire_encode_batches_prefix(const struct wire_batches *m, uint64_t session,
                                  uint8_t out[WIRE_BATCHES_PREFIX_MAX])
{
    struct wire_batches beginning = *m;
    struct bytes_writer w =
        bytes_writer_of(out + WIRE_HEADER_SIZE, WIRE_BATCHES_PREFIX_MAX - WIRE_HEADER_SIZE);
    beginning.bytes = (struct slice){0};
    enum code code = fields_encode(&w, wire_fields(WIRE_BATCHES, 0), &beginning, 0, NULL);
    ASSERT(code == OK);
    struct slice body = bytes_written_slice(&w);
    ASSERT(body.size + m->bytes.size <= FRAME_SIZE_MAX);
    struct wire_header h = {
        .kind = WIRE_BATCHES,
        .body_size = (uint32_t)(body.size + m->bytes.size),
        .body_crc = crc32c(crc32c(0, body.data, body.size), m->bytes.data, m->bytes.size),
        .session = session,
    };
    wire_header_encode(&h, out);
    return WIRE_HEADER_SIZE + body.size;
}

static enum code body_decode(struct bytes_reader *r, const struct wire_rule *rule,
                             struct wire_message *m, struct err *e)
{
    if (rule->table != NULL) TRY(fields_decode(r, rule->table, &m->as, 0, e));
    if (has_rest(rule, m)) TRY(fields_decode_more(r, rule->rest, &m->as, 0, e));
    /* What follows the fixed beginning of another version is not ours to judge. */
    bool is_cut = rule->rest != NULL && !has_rest(rule, m);
    const char *wrong = bytes_left(r) > 0 && !is_cut ? "bytes follow its end" : NULL;
    if (wrong == NULL && rule->check != NULL) wrong = rule->check(m);
    if (wrong == NULL) return OK;
    return ERR(e, E_PROTOCOL, "a %s message is refused: %s", wire_kind_name((uint16_t)m->kind),
               wrong);
}

enum code wire_decode(const struct wire_header *h, struct slice body, struct wire_message *out,
                      struct err *e)
{
    const struct wire_rule *rule = wire_rule_of(h->kind);
    if (rule == NULL) {
        return ERR(e, E_UNSUPPORTED, "message kind %u is unknown to this version",
                   (unsigned)h->kind);
    }
    if (body.size != h->body_size || (h->probe != 0 && !kind_has_probe(h->kind))) {
        return ERR(e, E_PROTOCOL, "a %s message does not match its header",
                   wire_kind_name(h->kind));
    }
    struct wire_message m; /* its union is large: fields_decode clears the part that is used */
    struct bytes_reader r = bytes_reader_of(body);
    m.kind = (enum wire_kind)h->kind;
    m.session = h->session;
    m.probe = h->probe;
    enum code code = body_decode(&r, rule, &m, e);
    if (code == E_CORRUPT) {
        /* Damage would not have passed the checksum: the peer wrote this. */
        if (e != NULL) e->code = E_PROTOCOL;
        code = E_PROTOCOL;
    }
    if (code != OK) return code;
    out->kind = m.kind;
    out->session = m.session;
    out->probe = m.probe;
    if (rule->table != NULL) memcpy(&out->as, &m.as, rule->table->struct_size);
    return OK;
}

bool wire_block_next(const struct wire_blocks *m, struct bytes_reader *at, struct wire_block *out)
{
    *out = (struct wire_block){0};
    if (at->is_failed || bytes_left(at) == 0) return false;
    bytes_read_into(at, out->hash.bytes, sizeof(out->hash.bytes));
    if (m->is_request == 0) out->bytes = bytes_read_slice(at, bytes_read_u32(at));
    return !at->is_failed;
}

bool wire_member_next(struct bytes_reader *at, struct wire_member *out)
{
    *out = (struct wire_member){0};
    if (at->is_failed || bytes_left(at) == 0) return false;
    if (fields_decode(at, &wire_member_fields, out, 0, NULL) != OK) at->is_failed = true;
    return !at->is_failed;
}

void wire_member_write(struct bytes_writer *w, const struct wire_member *m)
{
    bool is_valid = is_node_id(m->node_id);
    if (!is_valid || fields_encode(w, &wire_member_fields, m, 0, NULL) != OK) w->is_failed = true;
}

void wire_describe(const struct wire_message *m, struct text *t)
{
    const struct wire_rule *rule = wire_rule_of((uint16_t)m->kind);
    text_add(t, "%s", wire_kind_name((uint16_t)m->kind));
    if (m->probe != 0) text_add(t, " probe=%llu", (unsigned long long)m->probe);
    if (rule == NULL) return;
    if (rule->table != NULL) fields_describe(t, rule->table, &m->as);
    if (has_rest(rule, m)) fields_describe(t, rule->rest, &m->as);
}

bool wire_is_stream_joined(const struct wire_hello *hello, struct stream_id stream)
{
    if (id128_is_zero(&hello->cluster)) return hello->stream.shard == stream.shard;
    return stream_equal(hello->stream, stream);
}
