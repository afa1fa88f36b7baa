/* log_object: see log_object.h. */
#include "engine/log_object.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "base/text.h"

/* --- names --- */

void object_name_format(const struct object_name *name, char out[OBJECT_NAME_SIZE])
{
    struct text t = text_of(out, OBJECT_NAME_SIZE);
    text_add(&t, "r%u-s%u-%020llu-", (unsigned)name->stream.region, (unsigned)name->stream.shard,
             (unsigned long long)name->first.v);
    text_add_hex(&t, name->chain4, sizeof(name->chain4));
    text_add(&t, ".log");
    ASSERT(!t.is_cut);
}

/* The digits up to `end`, which is passed over. */
static bool take_number(struct slice *s, char end, uint64_t max, uint64_t *out)
{
    const uint8_t *at = s->size > 0 ? memchr(s->data, end, s->size) : NULL;
    if (at == NULL) return false;
    size_t size = (size_t)(at - s->data);
    if (!parse_u64(slice_of(s->data, size), out) || *out > max) return false;
    *s = slice_of(at + 1, s->size - size - 1);
    return true;
}

static bool take_letter(struct slice *s, char letter)
{
    if (s->size == 0 || s->data[0] != (uint8_t)letter) return false;
    *s = slice_of(s->data + 1, s->size - 1);
    return true;
}

bool object_name_parse(struct slice text, struct object_name *out)
{
    uint64_t region = 0;
    uint64_t shard = 0;
    uint64_t first = 0;
    struct object_name name;
    struct slice rest = text;
    char again[OBJECT_NAME_SIZE];
    bool is_name = take_letter(&rest, 'r') && take_number(&rest, '-', UINT16_MAX, &region) &&
                   take_letter(&rest, 's') && take_number(&rest, '-', UINT16_MAX, &shard) &&
                   take_number(&rest, '-', UINT64_MAX, &first) && rest.size == 8 + 4 &&
                   parse_hex(slice_of(rest.data, 8), name.chain4, sizeof(name.chain4));
    if (!is_name || first == 0) return false;
    name.stream = (struct stream_id){.region = (uint16_t)region, .shard = (uint16_t)shard};
    name.first = seqno_of(first);
    object_name_format(&name, again); /* one object, one name */
    if (!slice_equal(text, slice_of_text(again))) return false;
    *out = name;
    return true;
}

/* --- writing --- */

void object_builder_reset(struct object_builder *b, const struct log_identity *id,
                          const struct position *start)
{
    b->id = *id;
    b->size = SEGMENT_HEADER_SIZE;
    b->start = b->end = *start;
    b->batch_count = 0;
    b->payload_bytes = 0;
}

void object_builder_free(struct object_builder *b)
{
    free(b->bytes);
    b->bytes = NULL;
    b->capacity = 0;
}

static enum code make_room(struct object_builder *b, size_t wanted, struct err *e)
{
    if (wanted <= b->capacity) return OK;
    size_t capacity = wanted < OBJECT_SIZE_WANTED ? OBJECT_SIZE_WANTED : wanted;
    uint8_t *bytes = realloc(b->bytes, capacity);
    if (bytes == NULL) return ERR(e, E_NOMEMORY, "no memory for an object of %zu bytes", capacity);
    b->bytes = bytes;
    b->capacity = capacity;
    return OK;
}

enum code object_builder_add(struct object_builder *b, const struct batch_header *header,
                             struct slice bytes, const struct position *end, struct err *e)
{
    size_t padded = (size_t)batch_file_size(header);
    ASSERT(header->first.v == b->end.seqno.v + 1);
    ASSERT(bytes.size <= padded);
    if (padded > OBJECT_SIZE_MAX - b->size) {
        return ERR(e, E_LIMIT, "an object would be larger than %zu bytes", OBJECT_SIZE_MAX);
    }
    TRY(make_room(b, b->size + padded, e));
    memcpy(b->bytes + b->size, bytes.data, bytes.size);
    memset(b->bytes + b->size + bytes.size, 0, padded - bytes.size);
    if (b->batch_count == 0) b->epoch = header->epoch;
    b->size += padded;
    b->batch_count++;
    b->payload_bytes += header->raw_size;
    b->end = *end;
    return OK;
}

/* BLAKE3 of each 64 KiB before the footer. */
static uint32_t chunk_count_of(size_t size)
{
    return (uint32_t)((size + CHUNK_SIZE - 1) / CHUNK_SIZE);
}

static struct hash256 chunk_hash(const uint8_t *bytes, size_t size, uint32_t index)
{
    size_t at = index * CHUNK_SIZE;
    return hash256_of(slice_of(bytes + at, size - at < CHUNK_SIZE ? size - at : CHUNK_SIZE));
}

static void encode_footer(const struct object_builder *b, const struct hash256 *chunks,
                          uint32_t chunk_count, uint8_t *out)
{
    struct seek_entry seek = {.first_seqno = b->start.seqno.v + 1, .offset = SEGMENT_HEADER_SIZE};
    struct segment_footer footer = {
        .first = seqno_next(b->start.seqno),
        .last = b->end.seqno,
        .batch_count = b->batch_count,
        .last_epoch = b->end.epoch,
        .chain_at_end = b->end.chain,
        .data_end = b->size,
        .payload_bytes = b->payload_bytes,
        .seek_count = 1,
        .chunk_count = chunk_count,
        .seeks = &seek,
        .chunks = chunks,
    };
    segment_footer_encode(&footer, b->id.log_key, out);
}

static void encode_header(struct object_builder *b)
{
    struct segment_header header = {
        .cluster = b->id.cluster,
        .stream = b->id.stream,
        .first = seqno_next(b->start.seqno),
        .epoch = b->epoch,
        .log_key = b->id.log_key,
        .file_id = b->start.seqno.v + 1,
        .size_limit = SEGMENT_SIZE_MAX,
        .chain_at_start = b->start.chain,
    };
    segment_header_encode(&header, b->bytes);
}

enum code object_builder_write(struct object_builder *b, struct env *env, struct err *e)
{
    ASSERT(b->batch_count > 0);
    uint32_t count = chunk_count_of(b->size);
    size_t footer_size = segment_footer_size(1, count);
    TRY(make_room(b, b->size + footer_size, e));
    struct hash256 *chunks = malloc(count * sizeof(*chunks));
    if (chunks == NULL) return ERR(e, E_NOMEMORY, "no memory to hash an object");
    encode_header(b);
    for (uint32_t i = 0; i < count; i++) {
        chunks[i] = chunk_hash(b->bytes, b->size, i);
    }
    encode_footer(b, chunks, count, b->bytes + b->size);
    free(chunks);
    struct object_name name = {.stream = b->id.stream, .first = seqno_next(b->start.seqno)};
    memcpy(name.chain4, b->end.chain.bytes, sizeof(name.chain4));
    char path[OBJECT_NAME_SIZE];
    object_name_format(&name, path);
    return env_write_file_durably(env, path, slice_of(b->bytes, b->size + footer_size), e);
}

/* --- reading --- */

static enum code check_header(const char *name, const struct segment_header *h, struct err *e)
{
    struct object_name named;
    if (!object_name_parse(slice_of_text(name), &named) || h->first.v != named.first.v ||
        !stream_equal(h->stream, named.stream)) {
        return ERR(e, E_CORRUPT, "%s holds another part of the log than its name says", name);
    }
    return OK;
}

static enum code judge_header(const char *name, enum segment_verdict verdict, struct err *e)
{
    if (verdict == SEGMENT_OK) return OK;
    if (verdict == SEGMENT_NEWER) {
        return ERR(e, E_FORMAT, "%s was written by a newer version; upgrade this one", name);
    }
    return ERR(e, E_CORRUPT, "%s is damaged or not whole: copy it again", name);
}

/* Decode the footer in `tail`, the bytes of the file from its footer on. */
static enum code take_footer(const char *name, const struct segment_header *h, struct slice tail,
                             struct segment_footer *out, struct err *e)
{
    struct err why = {.code = OK};
    if (segment_footer_decode(tail, h->log_key, out, &why) != OK || out->first.v != h->first.v) {
        return ERR(e, E_CORRUPT, "%s is damaged or not whole: copy it again", name);
    }
    struct object_name named;
    ASSERT(object_name_parse(slice_of_text(name), &named));
    if (memcmp(named.chain4, out->chain_at_end.bytes, sizeof(named.chain4)) != 0) {
        return ERR(e, E_CORRUPT, "%s holds another part of the log than its name says", name);
    }
    return OK;
}

static enum code check_chunks(const char *name, const struct object *o,
                              const struct segment_footer *footer, struct err *e)
{
    for (uint32_t i = 0; i < footer->chunk_count; i++) {
        struct hash256 hash = chunk_hash(o->bytes, (size_t)footer->data_end, i);
        if (!hash256_equal(&hash, &footer->chunks[i])) {
            return ERR(e, E_CORRUPT, "%s is damaged near byte %zu: copy it again", name,
                       i * CHUNK_SIZE);
        }
    }
    return OK;
}

static enum code verify(const char *name, struct object *o, struct err *e)
{
    uint64_t offset = 0;
    uint32_t size = 0;
    struct segment_footer footer;
    enum segment_verdict verdict = SEGMENT_EMPTY;
    if (o->size >= SEGMENT_HEADER_SIZE) verdict = segment_header_decode(o->bytes, &o->header);
    TRY(judge_header(name, verdict, e));
    TRY(check_header(name, &o->header, e));
    bool is_sealed = o->size >= SEGMENT_HEADER_SIZE + SEGMENT_TRAILER_SIZE &&
                     segment_trailer_decode(o->bytes + o->size - SEGMENT_TRAILER_SIZE,
                                            o->header.log_key, o->size, &offset, &size);
    if (!is_sealed) return judge_header(name, SEGMENT_BAD, e);
    TRY(take_footer(name, &o->header, slice_of(o->bytes + offset, size), &footer, e));
    TRY(check_chunks(name, o, &footer, e));
    o->data_end = footer.data_end;
    return OK;
}

enum code object_load(struct env *env, const struct object_entry *entry, struct object *out,
                      struct err *e)
{
    struct object o = {.offset = SEGMENT_HEADER_SIZE, .at = entry->start};
    TRY(env_read_file(env, entry->name, OBJECT_SIZE_MAX + MIB, &o.bytes, &o.size, e));
    enum code code = verify(entry->name, &o, e);
    if (code == OK && !hash256_equal(&o.header.chain_at_start, &entry->start.chain)) {
        code = ERR(e, E_CORRUPT, "%s was replaced while it was read", entry->name);
    }
    if (code != OK) {
        object_free(&o);
        return code;
    }
    *out = o;
    return OK;
}

void object_free(struct object *o)
{
    free(o->bytes);
    *o = (struct object){0};
}

enum code object_next(struct object *o, struct slice *out, bool *out_is_end, struct err *e)
{
    struct batch_header h;
    struct log_identity id = {
        .cluster = o->header.cluster, .stream = o->header.stream, .log_key = o->header.log_key};
    *out_is_end = o->offset == o->data_end;
    if (*out_is_end) return OK;
    const uint8_t *bytes = o->bytes + o->offset;
    bool is_batch = o->data_end - o->offset >= BATCH_HEADER_SIZE &&
                    batch_header_decode(bytes, &id, &h) == BATCH_OK &&
                    batch_file_size(&h) <= o->data_end - o->offset &&
                    h.first.v == o->at.seqno.v + 1 &&
                    hash256_equal(&h.previous_chain, &o->at.chain);
    if (!is_batch) {
        return ERR(e, E_CORRUPT, "the object of record %llu holds no batch after record %llu",
                   (unsigned long long)o->header.first.v, (unsigned long long)o->at.seqno.v);
    }
    *out = slice_of(bytes, BATCH_HEADER_SIZE + h.payload_size);
    o->offset += batch_file_size(&h);
    o->at = (struct position){.epoch = h.epoch.number, .seqno = batch_last(&h)};
    o->at.chain = batch_chain(bytes);
    return OK;
}

enum code object_skip_to(struct object *o, const struct position *to, struct err *e)
{
    while (o->at.seqno.v < to->seqno.v) {
        struct slice batch;
        bool is_end = false;
        TRY(object_next(o, &batch, &is_end, e));
        if (is_end) break;
    }
    if (o->at.seqno.v == to->seqno.v && hash256_equal(&o->at.chain, &to->chain)) return OK;
    return ERR(e, E_DIVERGED,
               "record %llu is another one here: the two histories differ at or before it",
               (unsigned long long)to->seqno.v);
}
