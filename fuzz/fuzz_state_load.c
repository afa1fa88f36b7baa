/* fuzz_state_load: blocks of a checkpoint that nobody made. Whatever loads must be sound: its
 * blocks come out as they went in, a second load gives the same root, and the best items can be
 * asked for.
 *
 * Input: blocks of u8 kind | u64 number | u32 size | u32 given | given bytes; the rest of the block
 * is zeros, so that a large column is a short input. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "core/query/retrieve.h"
#include "core/state/set_signal.h"

enum { BLOCKS_MAX = 64, BLOCK_SIZE_MAX = 64 * 1024 };

struct input_block {
    struct block_id id;
    uint32_t size;
    uint8_t bytes[BLOCK_SIZE_MAX];
};
static struct input_block blocks[BLOCKS_MAX];
static uint8_t encoded[BLOCK_SIZE_MAX];

static uint32_t parse(struct bytes_reader *r)
{
    uint32_t count = 0;
    while (count < BLOCKS_MAX && bytes_left(r) > 0) {
        struct input_block *b = &blocks[count];
        b->id.kind = bytes_read_u8(r);
        b->id.number = bytes_read_u64(r);
        b->size = bytes_read_u32(r);
        uint32_t given = bytes_read_u32(r);
        if (r->is_failed || b->size > BLOCK_SIZE_MAX || given > b->size) return count;
        if (given > bytes_left(r)) given = (uint32_t)bytes_left(r);
        memset(b->bytes, 0, b->size);
        bytes_read_into(r, b->bytes, given);
        count++;
    }
    return count;
}

/* Position and leader time as the meta block gives them: without these nothing would end well. */
static struct position position_of(const struct input_block *meta, uint64_t *out_leader_time)
{
    struct bytes_reader r = bytes_reader_of(slice_of(meta->bytes, meta->size));
    struct position p = {0};
    (void)bytes_read_u64(&r); /* streams, region, shard */
    p.epoch = bytes_read_u64(&r);
    p.seqno = seqno_of(bytes_read_u64(&r));
    bytes_read_into(&r, p.chain.bytes, sizeof(p.chain.bytes));
    *out_leader_time = bytes_read_u64(&r);
    return p;
}

static void must(bool is_true)
{
    if (!is_true) abort();
}

static void ask_entities(const struct state *s)
{
    static const enum entity_kind kinds[] = {ENTITY_ITEM, ENTITY_USER, ENTITY_CREATOR};
    const uint32_t counts[] = {state_item_count(s), state_user_count(s), state_creator_count(s)};
    for (size_t k = 0; k < COUNT_OF(kinds); k++) {
        for (uint32_t i = 0; i < counts[k]; i++) {
            struct entity entity = state_entity(s, kinds[k], i);
            must(entity.creator == ENTITY_NONE || entity.creator < state_creator_count(s));
            for (uint32_t n = 0; n < entity.field_count; n++) {
                struct put_field field;
                struct put_field found;
                must(put_field_read(&entity.fields, &field));
                must(state_entity_field(s, kinds[k], i, field.name, &found));
                must(slice_equal(found.name, field.name) && found.tag == field.tag);
            }
        }
    }
    must(state_item_live_count(s) <= state_item_count(s));
}

static void ask(const struct state *s, struct alloc *alloc)
{
    ask_entities(s);
    static struct retrieve_row rows[10];
    struct retrieve_request request = {.order = RETRIEVE_TOP, .limit = 10};
    uint32_t count;
    must(retrieve_run(s, alloc, &request, rows, &count, NULL) == OK);
    request.order = RETRIEVE_DECAYED;
    for (request.type_id = 1; request.type_id <= state_type_count(s); request.type_id++) {
        enum code code = retrieve_run(s, alloc, &request, rows, &count, NULL);
        must(code == OK || code == E_SCHEMA);
        uint64_t hour = state_count_window(s, request.type_id, 0, WINDOW_1H);
        uint64_t month = state_count_window(s, request.type_id, 0, WINDOW_30D);
        must(hour <= UINT64_MAX / 2 && month <= UINT64_MAX / 2);
    }
}

/* Every edge can be taken back, whatever else the blocks said. */
static void take_back(struct state *s)
{
    for (uint32_t id = 1; id <= state_type_count(s); id++) {
        while (edges_count(&s->edges, id) > 0) {
            struct edge edge = edges_at(&s->edges, id, 0);
            must(set_signal_undo(s, state_type_by_id(s, id), state_item_key(s, edge.item),
                                 keys_key(&s->users, edge.user)));
        }
        for (uint32_t item = 0; item < state_item_count(s); item++) {
            bool is_once = state_type_by_id(s, id)->mode != SIGNAL_MODE_COUNT;
            must(!is_once || state_count_all(s, id, item) == 0);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes_reader r = bytes_reader_of(slice_of(data, size));
    uint32_t count = parse(&r);
    if (count == 0) return 0;
    struct alloc alloc;
    alloc_init(&alloc, 256 * MIB);
    struct state *s = state_new(&alloc, (struct id128){{1}}, (struct stream_id){0});
    enum code code = OK;
    for (uint32_t i = 0; i < count && code == OK; i++) {
        code = state_load_block(s, blocks[i].id, slice_of(blocks[i].bytes, blocks[i].size), NULL);
        must(code == OK || code == E_CORRUPT || code == E_NOMEMORY);
    }
    uint64_t leader_time;
    struct position position = position_of(&blocks[0], &leader_time);
    if (code == OK) code = state_load_end(s, &position, leader_time, NULL);
    if (code == OK) {
        struct state_version *v = state_pin(s);
        must(v != NULL && state_version_block_count(v) == count);
        for (uint32_t i = 0; i < count; i++) {
            must(block_id_compare(state_version_block_id(v, i), blocks[i].id) == 0);
            must(state_version_block_size(v, i) == blocks[i].size);
            state_version_block_encode(v, i, encoded);
            must(memcmp(encoded, blocks[i].bytes, blocks[i].size) == 0);
        }
        state_version_free(v);
        ask(s, &alloc);
        take_back(s);
    }
    state_free(s);
    must(atomic_load(&alloc.used_bytes) == 0);
    return 0;
}
