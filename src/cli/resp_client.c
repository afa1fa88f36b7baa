/* resp_client: buffers and waiting around the pure parser of cli/resp. */
#include "cli/resp_client.h"

#include "base/assert.h"
#include "base/text.h"
#include "cli/cli.h"

static const size_t values_bytes = RESP_CLIENT_VALUES_MAX * sizeof(struct resp_value);

void resp_client_init(struct resp_client *c, const char *address)
{
    *c = (struct resp_client){.fd = -1};
    struct text t = text_of(c->address, sizeof(c->address));
    text_add(&t, "%s", address);
    c->out = cli_take(RESP_CLIENT_BUFFER_SIZE);
    c->in = cli_take(RESP_CLIENT_BUFFER_SIZE);
    c->values = cli_take(values_bytes);
}

void resp_client_fini(struct resp_client *c)
{
    if (c->out == NULL) return;
    resp_client_close(c);
    cli_put(c->out, RESP_CLIENT_BUFFER_SIZE);
    cli_put(c->in, RESP_CLIENT_BUFFER_SIZE);
    cli_put(c->values, values_bytes);
    *c = (struct resp_client){.fd = -1};
}

void resp_client_close(struct resp_client *c)
{
    host_close(c->fd);
    c->fd = -1;
}

enum code resp_client_connect(struct resp_client *c, uint32_t timeout_ms, struct err *e)
{
    resp_client_close(c);
    c->out_start = 0;
    c->out_end = 0;
    c->in_start = 0;
    c->in_end = 0;
    c->unanswered = 0;
    c->is_ended = false;
    return host_connect(c->address, timeout_ms, &c->fd, e);
}

/* Move what is left in a buffer to its start, once that is worth it. */
static void compact(uint8_t *buffer, size_t *start, size_t *end)
{
    if (*start == 0 || (*start < *end && *start < RESP_CLIENT_BUFFER_SIZE / 2)) return;
    memmove(buffer, buffer + *start, *end - *start);
    *end -= *start;
    *start = 0;
}

bool resp_client_add(struct resp_client *c, const struct slice *words, size_t count)
{
    struct bytes_writer w =
        bytes_writer_of(c->out + c->out_end, RESP_CLIENT_BUFFER_SIZE - c->out_end);
    resp_write_start(&w, count);
    for (size_t i = 0; i < count; i++) {
        resp_write_word(&w, words[i]);
    }
    if (w.is_failed) return false;
    c->out_end += bytes_written(&w);
    c->unanswered++;
    return true;
}

bool resp_client_add_encoded(struct resp_client *c, struct slice command)
{
    if (command.size > RESP_CLIENT_BUFFER_SIZE - c->out_end) return false;
    memcpy(c->out + c->out_end, command.data, command.size);
    c->out_end += command.size;
    c->unanswered++;
    return true;
}

bool resp_client_add_text(struct resp_client *c, const char *words)
{
    struct slice parts[RESP_CLIENT_WORDS_MAX];
    size_t count = 0;
    while (*words != '\0' && count < COUNT_OF(parts)) {
        size_t size = strcspn(words, " ");
        parts[count++] = slice_of(words, size);
        words += size;
        words += strspn(words, " ");
    }
    return resp_client_add(c, parts, count);
}

void resp_client_move(struct resp_client *c)
{
    while (c->out_start < c->out_end && !c->is_ended) {
        size_t sent = 0;
        struct slice rest = slice_of(c->out + c->out_start, c->out_end - c->out_start);
        c->is_ended = host_send(c->fd, rest, &sent, &c->end) != OK;
        c->out_start += sent;
        if (sent == 0) break;
    }
    compact(c->out, &c->out_start, &c->out_end);
    compact(c->in, &c->in_start, &c->in_end);
    /* Also after a failed send: the server's last words may be waiting. */
    size_t room = RESP_CLIENT_BUFFER_SIZE - c->in_end;
    size_t received = 0;
    if (room == 0) return;
    if (host_receive(c->fd, c->in + c->in_end, room, &received, &c->end) != OK) {
        c->is_ended = true;
    }
    c->in_end += received;
}

struct host_wait resp_client_wait(const struct resp_client *c)
{
    return (struct host_wait){
        .fd = c->fd, .wants_read = true, .wants_write = c->out_start < c->out_end};
}

enum code resp_client_take(struct resp_client *c, const struct resp_value **out, struct err *e)
{
    *out = NULL;
    uint32_t count = 0;
    size_t size = 0;
    struct slice bytes = slice_of(c->in + c->in_start, c->in_end - c->in_start);
    enum resp_result result = resp_parse(bytes, c->values, RESP_CLIENT_VALUES_MAX, &count, &size);
    if (result == RESP_MORE && bytes.size < RESP_CLIENT_BUFFER_SIZE) {
        return c->is_ended ? ERR(e, E_CLOSED, "%s: %s", c->address, c->end.text) : OK;
    }
    if (result != RESP_WHOLE || c->unanswered == 0) {
        return ERR(e, E_PROTOCOL, "%s does not speak RESP2; is it a Tidemark data port?",
                   c->address);
    }
    c->in_start += size;
    c->unanswered--;
    *out = c->values;
    return OK;
}

enum code resp_client_await(struct resp_client *c, uint32_t timeout_ms,
                            const struct resp_value **out, struct err *e)
{
    uint64_t deadline_ns = host_mono_ns() + timeout_ms * NS_PER_MS;
    for (;;) {
        resp_client_move(c);
        TRY(resp_client_take(c, out, e));
        if (*out != NULL) return OK;
        if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
        uint64_t now = host_mono_ns();
        if (now >= deadline_ns) {
            return ERR(e, E_TIMEOUT, "%s did not answer within %u ms", c->address, timeout_ms);
        }
        struct host_wait wait = resp_client_wait(c);
        (void)host_wait_any(&wait, 1, (uint32_t)((deadline_ns - now) / NS_PER_MS) + 1);
    }
}

enum code resp_client_settle(struct resp_client *c, uint32_t timeout_ms, struct err *e)
{
    const struct resp_value *reply = NULL;
    while (c->unanswered > 0) {
        TRY(resp_client_await(c, timeout_ms, &reply, e));
    }
    return OK;
}

enum code resp_client_call(struct resp_client *c, uint32_t timeout_ms, const char *words,
                           const struct resp_value **out, struct err *e)
{
    ASSERT(c->unanswered == 0);
    if (!resp_client_add_text(c, words)) return ERR(e, E_BUSY, "too many commands are waiting");
    const struct resp_value *reply = NULL;
    TRY(resp_client_await(c, timeout_ms, &reply, e));
    if (reply->kind == RESP_ERROR) {
        return ERR(e, resp_error_code(reply->text), "%.*s", (int)reply->text.size,
                   (const char *)reply->text.data);
    }
    *out = reply;
    return OK;
}

enum code resp_error_code(struct slice text)
{
    static const enum code codes[] = {
#define X(constant, number, word, class, meaning) constant,
        ERROR_TABLE(X)
#undef X
    };
    size_t size = 0;
    while (size < text.size && text.data[size] != ' ') {
        size++;
    }
    struct slice word = slice_of(text.data, size);
    for (size_t i = 1; i < COUNT_OF(codes); i++) {
        if (slice_equal(word, slice_of_text(code_word(codes[i])))) return codes[i];
    }
    return E_INVALID;
}
