/* The JSON bridge of the HTTP port: any body gives a request that the server's own parser takes, or
 * a reason; any bytes as a reply give JSON that parses, or are broken. The first byte chooses. */
#include "fuzz.h"

#include <jansson.h>

#include "base/assert.h"
#include "server/jsontext.h"
#include "server/resp.h"

static void check_request(struct slice body, struct out *o)
{
    char name[64];
    char reason[JSONTEXT_REASON_SIZE] = "";
    if (!jsontext_request(body, o, name, sizeof(name), reason)) {
        ASSERT(reason[0] != '\0');
        return;
    }
    struct resp_parser p;
    resp_parser_init(&p, o->alloc);
    ASSERT(resp_parser_read(&p, o->data, o->size) == RESP_REQUEST);
    ASSERT(p.at == o->size);
    ASSERT(p.word_count > 0);
    resp_parser_fini(&p);
}

static void check_reply(struct slice bytes, struct out *o)
{
    struct slice rest = bytes;
    struct slice error;
    if (jsontext_reply(&rest, o, &error) != JSONTEXT_VALUE) return;
    ASSERT(rest.size < bytes.size);
    json_error_t e;
    json_t *value =
        json_loadb((const char *)o->data, o->size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    /* jansson takes no zero byte in a name, which JSON allows. */
    ASSERT(value != NULL || json_error_code(&e) == json_error_null_byte_in_key);
    json_decref(value);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    struct alloc alloc;
    alloc_init(&alloc, 64 * MIB);
    struct out o;
    out_init(&o, &alloc);
    struct slice rest = slice_of(data + 1, size - 1);
    if ((data[0] & 1) != 0) {
        check_request(rest, &o);
    } else {
        check_reply(rest, &o);
    }
    out_fini(&o);
    ASSERT(alloc.used_bytes == 0);
    return 0;
}
