/* The requests of a client, cut in one piece and in pieces whose sizes the input chooses: both must
 * give the same words, stay inside the bytes given, and end in the same way. */
#include "fuzz.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/hash.h"
#include "server/resp.h"

enum { ENDED_BROKEN, ENDED_WAITING };

struct outcome {
    uint64_t words_hash;
    size_t request_count;
    size_t consumed;
    int end;
};

/* What a parser makes of the stream when it arrives in pieces of 1 + (pattern & 63) bytes; 0: in
 * one piece. Every piece is memory of its own, so that reading beyond it is found. */
static struct outcome cut(const uint8_t *stream, size_t size, uint64_t pattern)
{
    struct alloc alloc;
    alloc_init(&alloc, 64 * MIB);
    struct resp_parser p;
    resp_parser_init(&p, &alloc);
    struct outcome o = {.end = ENDED_WAITING};
    size_t end = pattern == 0 ? size : 0;
    bool wants_more = pattern != 0;
    uint8_t *memory = NULL;
    while (true) {
        if (wants_more && end == size) break;
        if (wants_more) {
            end += 1 + (pattern & 63);
            pattern = pattern >> 7 | pattern << 57;
            if (end > size) end = size;
        }
        uint8_t *moved = malloc(end - o.consumed + 1);
        ASSERT(moved != NULL);
        if (end > o.consumed) memcpy(moved, stream + o.consumed, end - o.consumed);
        enum resp_outcome outcome = resp_parser_read(&p, moved, end - o.consumed);
        free(memory);
        memory = moved;
        wants_more = outcome == RESP_MORE;
        if (outcome == RESP_BROKEN) {
            ASSERT(p.error[0] != '\0');
            o.end = ENDED_BROKEN;
            break;
        }
        if (outcome != RESP_REQUEST) continue;
        ASSERT(p.at > 0 && p.at <= end - o.consumed);
        for (size_t i = 0; i < p.word_count; i++) {
            o.words_hash = hash64_of(p.words[i], o.words_hash + 1);
        }
        o.request_count++;
        o.consumed += p.at;
        resp_parser_reset(&p);
    }
    free(memory);
    resp_parser_fini(&p);
    ASSERT(alloc.used_bytes == 0);
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 8) return 0;
    uint64_t pattern = 0;
    memcpy(&pattern, data, sizeof(pattern));
    struct outcome whole = cut(data + 8, size - 8, 0);
    struct outcome pieces = cut(data + 8, size - 8, pattern | 1);
    ASSERT(whole.words_hash == pieces.words_hash);
    ASSERT(whole.request_count == pieces.request_count);
    ASSERT(whole.consumed == pieces.consumed);
    ASSERT(whole.end == pieces.end);
    return 0;
}
