/* chain: see chain.h. */
#include "core/chain.h"

#include "base/assert.h"

uint32_t chain_length(struct slice path)
{
    uint32_t commas = 0;
    for (size_t i = 0; i < path.size; i++) {
        commas += path.data[i] == ',';
    }
    return path.size > 0 ? commas + 1 : 0;
}

struct slice chain_first(struct slice path)
{
    size_t size = 0;
    while (size < path.size && path.data[size] != ',') {
        size++;
    }
    return slice_of(path.data, size);
}

bool chain_has(struct slice path, struct slice node_id)
{
    size_t begin = 0;
    for (size_t i = 0; i <= path.size; i++) {
        if (i < path.size && path.data[i] != ',') continue;
        struct slice id = slice_of(path.data + begin, i - begin);
        if (id.size > 0 && slice_equal(id, node_id)) return true;
        begin = i + 1;
    }
    return false;
}

bool chain_extend(struct slice node_id, struct slice path, char out[CHAIN_TEXT_SIZE])
{
    ASSERT(node_id.size > 0);
    memset(out, 0, CHAIN_TEXT_SIZE);
    size_t comma = path.size > 0 ? 1 : 0;
    if (chain_length(path) >= CHAIN_MAX) return false;
    if (node_id.size + comma + path.size >= CHAIN_TEXT_SIZE) return false;
    memcpy(out, node_id.data, node_id.size);
    if (path.size == 0) return true;
    out[node_id.size] = ',';
    memcpy(out + node_id.size + 1, path.data, path.size);
    return true;
}
