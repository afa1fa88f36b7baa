/* meta: encoding of the meta and members blocks. meta.h has the bytes. */
#include "core/state/meta.h"

#include "base/assert.h"
#include "base/bytes.h"

enum { MEMBER_SIZE_MAX = 1 + NODE_ID_SIZE_MAX + 1 + 1 + ADDRESS_SIZE_MAX };

void meta_encode(const struct meta *m, uint8_t out[META_SIZE])
{
    struct bytes_writer w = bytes_writer_of(out, META_SIZE);
    bytes_write_u32(&w, 1);
    bytes_write_u16(&w, m->stream.region);
    bytes_write_u16(&w, m->stream.shard);
    bytes_write_u64(&w, m->position.epoch);
    bytes_write_u64(&w, m->position.seqno.v);
    bytes_write(&w, m->position.chain.bytes, sizeof(m->position.chain.bytes));
    bytes_write_u64(&w, m->leader_time);
    bytes_write_u32(&w, m->feature_level);
    bytes_write_u32(&w, m->type_count);
    bytes_write_u32(&w, m->item_count);
    bytes_write_u32(&w, m->producer_count);
    bytes_write_u64(&w, m->dedup_count);
    bytes_write_u64(&w, m->entry_count);
    bytes_write_u32(&w, m->user_count);
    bytes_write_u32(&w, m->creator_count);
    ASSERT(!w.is_failed && bytes_written(&w) == META_SIZE);
}

bool meta_decode(struct slice bytes, struct meta *out)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    struct meta m;
    uint32_t streams = bytes_read_u32(&r);
    m.stream.region = bytes_read_u16(&r);
    m.stream.shard = bytes_read_u16(&r);
    m.position.epoch = bytes_read_u64(&r);
    m.position.seqno = seqno_of(bytes_read_u64(&r));
    bytes_read_into(&r, m.position.chain.bytes, sizeof(m.position.chain.bytes));
    m.leader_time = bytes_read_u64(&r);
    m.feature_level = bytes_read_u32(&r);
    m.type_count = bytes_read_u32(&r);
    m.item_count = bytes_read_u32(&r);
    m.producer_count = bytes_read_u32(&r);
    m.dedup_count = bytes_read_u64(&r);
    m.entry_count = bytes_read_u64(&r);
    m.user_count = bytes_read_u32(&r);
    m.creator_count = bytes_read_u32(&r);
    if (!bytes_is_done(&r) || streams != 1) return false;
    *out = m;
    return true;
}

struct block *members_block_new(struct alloc *alloc, const struct record_members *members)
{
    ASSERT(members->count <= MEMBERS_MAX);
    struct block_id id = {.kind = BLOCK_MEMBERS, .number = 0};
    struct block *b = block_new(alloc, id, 0, 0);
    if (b == NULL) return NULL;
    uint32_t size_max = (uint32_t)sizeof(uint32_t) + members->count * MEMBER_SIZE_MAX;
    if (!block_extra_reserve(alloc, b, size_max)) {
        block_release(alloc, b);
        return NULL;
    }
    struct bytes_writer w = bytes_writer_of(b->extra, b->extra_capacity);
    bytes_write_u32(&w, members->count);
    for (uint32_t i = 0; i < members->count; i++) {
        const struct member *m = &members->members[i];
        bytes_write_slice8(&w, m->node_id);
        bytes_write_u8(&w, m->is_voter);
        bytes_write_slice8(&w, m->address);
    }
    ASSERT(!w.is_failed);
    b->extra_size = (uint32_t)bytes_written(&w);
    return b;
}

bool members_are_valid(struct slice bytes)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    uint32_t count = bytes_read_u32(&r);
    if (count > MEMBERS_MAX) return false;
    for (uint32_t i = 0; i < count; i++) {
        struct slice node_id = bytes_read_slice8(&r);
        uint8_t is_voter = bytes_read_u8(&r);
        (void)bytes_read_slice8(&r); /* an address may be anything, also empty */
        if (node_id.size == 0 || node_id.size > NODE_ID_SIZE_MAX || is_voter > 1) return false;
    }
    return bytes_is_done(&r);
}

void members_read(struct slice bytes, struct record_members *out)
{
    struct bytes_reader r = bytes_reader_of(bytes);
    out->count = bytes_read_u32(&r);
    ASSERT(out->count <= MEMBERS_MAX);
    for (uint32_t i = 0; i < out->count; i++) {
        out->members[i].node_id = bytes_read_slice8(&r);
        out->members[i].is_voter = bytes_read_u8(&r);
        out->members[i].address = bytes_read_slice8(&r);
    }
    ASSERT(bytes_is_done(&r));
}
