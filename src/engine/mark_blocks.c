/* mark_blocks: see mark_blocks.h. */
#include "engine/mark_blocks.h"

#include <stdlib.h>

#include "base/assert.h"

bool mark_blocks_make(const struct state_version *v, struct mark_blocks *out)
{
    uint32_t count = state_version_block_count(v);
    *out = (struct mark_blocks){
        .at = state_version_position(v),
        .leader_time = state_version_leader_time(v),
        .count = count,
    };
    out->blocks = calloc(count ? count : 1, sizeof(*out->blocks));
    if (!out->blocks) return false;
    for (uint32_t i = 0; i < count; i++) {
        out->blocks[i] = (struct block_entry){.id = state_version_block_id(v, i),
                                              .size = state_version_block_size(v, i),
                                              .hash = state_version_block_hash(v, i, NULL)};
    }
    out->root = state_root(out->blocks, count);
    return true;
}

void mark_blocks_fini(struct mark_blocks *m)
{
    free(m->blocks);
    *m = (struct mark_blocks){0};
}

bool mark_blocks_look(const struct state_version *v, uint32_t *cursor, uint64_t bytes_max,
                      struct block_id *out_rotten)
{
    uint32_t count = state_version_block_count(v);
    uint64_t bytes = 0;
    for (uint32_t i = 0; i < count && bytes < bytes_max; i++) {
        if (*cursor >= count) *cursor = 0;
        uint32_t block = (*cursor)++;
        bytes += state_version_block_size(v, block);
        if (state_version_block_is_sound(v, block)) continue;
        *out_rotten = state_version_block_id(v, block);
        return false;
    }
    return true;
}

uint8_t *mark_blocks_encode(const struct mark_blocks *m, const struct id128 *cluster,
                            struct stream_id stream, size_t *out_size)
{
    if (m->count > MARK_BLOCKS_SENT_MAX) return NULL;
    struct block_place *places = calloc(m->count ? m->count : 1, sizeof(*places));
    struct manifest manifest = {
        .cluster = *cluster,
        .stream = stream,
        .position = m->at,
        .leader_time = m->leader_time,
        .block_count = m->count,
        .blocks = m->blocks,
        .places = places,
    };
    uint8_t *bytes = places ? malloc(manifest_size(&manifest)) : NULL;
    for (uint32_t i = 0; bytes && i < m->count; i++) {
        places[i].offset = PACK_HEADER_SIZE; /* they lie nowhere */
    }
    if (bytes) {
        manifest_encode(&manifest, bytes);
        *out_size = manifest_size(&manifest);
    }
    free(places);
    return bytes;
}

bool mark_blocks_differ(const struct mark_blocks *mine, const struct manifest *theirs,
                        struct block_id *out)
{
    uint32_t i = 0;
    uint32_t k = 0;
    while (i < mine->count && k < theirs->block_count) {
        const struct block_entry *a = &mine->blocks[i];
        const struct block_entry *b = &theirs->blocks[k];
        int order = block_id_compare(a->id, b->id);
        bool is_equal = order == 0 && a->size == b->size && hash256_equal(&a->hash, &b->hash);
        if (!is_equal) {
            *out = order <= 0 ? a->id : b->id;
            return true;
        }
        i++;
        k++;
    }
    if (i < mine->count) *out = mine->blocks[i].id;
    if (k < theirs->block_count) *out = theirs->blocks[k].id;
    return i < mine->count || k < theirs->block_count;
}

void mark_blocks_name(struct block_id id, struct text *t)
{
    text_add(t, "%s %llu", block_kind_name(id.kind), (unsigned long long)id.number);
}
