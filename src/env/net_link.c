/* net_link: bytes in and out of one TCP connection, and its end.
 *
 * Sending: with an empty queue the kernel is offered the bytes at once; what it does not take is
 * queued, copied unless the caller lends them, and written in steps of at most WRITE_BYTES_MAX and
 * WRITE_PIECES_MAX, one step at a time, across the borders of messages.
 * Holds: bytes leave in the order given; release is called exactly once per message that has one;
 * queued_bytes = the bytes of all messages that the kernel did not take.
 * Receiving: one buffer per env, lent to received() until it returns. Never queues what it read.
 */
#include "env/net_link.h"

#include <stdlib.h>

#include "base/assert.h"

#define WRITE_PIECES_MAX 64u
#define WRITE_BYTES_MAX  ((size_t)MIB)
#define KEEPALIVE_IDLE_S 30u

struct message {
    struct message *next;
    void (*release)(void *release_arg); /* NULL: the bytes are a copy behind the pieces */
    void *release_arg;
    size_t count;
    size_t index;          /* the first piece that the kernel does not have whole */
    struct slice pieces[]; /* cut at the front as the kernel takes them */
};

static void start_write(struct env_link *link);

struct env_link *link_new(struct env_uv *u)
{
    struct env_link *link = env_must_get(sizeof(*link));
    link->u = u;
    ASSERT(uv_tcp_init(&u->loop, &link->tcp) == 0);
    list_append(&u->links, &link->node);
    return link;
}

/* The end */

static void fill_error(struct env_link *link, int status)
{
    struct err *e = &link->e;
    const char *address = link->address;
    switch (status) {
    case UV_EOF: (void)ERR(e, E_IO, "%s closed the connection", address); break;
    case UV_ECONNREFUSED:
        (void)ERR(e, E_IO, "%s refused the connection: nothing listens there", address);
        break;
    case UV_ECONNRESET:
    case UV_EPIPE: (void)ERR(e, E_IO, "%s reset the connection", address); break;
    case UV_ETIMEDOUT: (void)ERR(e, E_TIMEOUT, "%s does not answer", address); break;
    case UV_ENOMEM:
        (void)ERR(e, E_NOMEMORY, "no memory for the connection with %s", address);
        break;
    default:
        (void)ERR(e, E_IO, "the connection with %s failed: %s", address, uv_strerror(status));
        break;
    }
}

void link_fail(struct env_link *link, int status)
{
    if (link->is_closing) return;
    fill_error(link, status);
    link_begin_close(link);
}

static void on_closed(uv_handle_t *handle)
{
    link_end(CONTAINER_OF(handle, struct env_link, tcp));
}

void link_begin_close(struct env_link *link)
{
    if (link->is_closing) return;
    link->is_closing = true;
    if (link->network != NULL) {
        foreign_close(link);
        return;
    }
    connect_abandon(link);
    if (!link->is_reopening) uv_close((uv_handle_t *)&link->tcp, on_closed);
}

static void message_free(struct message *message)
{
    if (message->release != NULL) message->release(message->release_arg);
    free(message);
}

void link_end(struct env_link *link)
{
    ASSERT(link->is_closing);
    while (link->first != NULL) {
        struct message *message = link->first;
        link->first = message->next;
        message_free(message);
    }
    list_remove(&link->node);
    if (link->events != NULL) link->events->closed(link, link->arg, &link->e);
    free(link);
}

void link_close(struct env *env, struct env_link *link)
{
    (void)env;
    link_begin_close(link);
}

const char *link_describe(struct env *env, struct env_link *link)
{
    (void)env;
    return link->address;
}

/* Receiving */

static void on_need_buffer(uv_handle_t *handle, size_t suggested_size, uv_buf_t *out)
{
    (void)suggested_size;
    struct env_link *link = CONTAINER_OF(handle, struct env_link, tcp);
    out->base = (char *)link->u->read_buffer;
    out->len = READ_BUFFER_SIZE;
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buffer)
{
    struct env_link *link = CONTAINER_OF(stream, struct env_link, tcp);
    loop_note_awake(link->u);
    if (size < 0) {
        link_fail(link, (int)size);
    } else if (size > 0) {
        link->events->received(link, link->arg, slice_of(buffer->base, (size_t)size));
    }
}

static void apply_pause(struct env_link *link)
{
    uv_stream_t *stream = (uv_stream_t *)&link->tcp;
    if (!link->is_open || link->is_closing) return;
    if (link->network != NULL) {
        if (!link->is_paused) foreign_wake(link);
        return;
    }
    int status =
        link->is_paused ? uv_read_stop(stream) : uv_read_start(stream, on_need_buffer, on_read);
    if (status != 0 && status != UV_EALREADY) link_fail(link, status);
}

void link_pause(struct env *env, struct env_link *link, bool is_paused)
{
    (void)env;
    link->is_paused = is_paused;
    apply_pause(link);
}

void link_start(struct env_link *link)
{
    link->is_open = true;
    /* Both may fail when the peer has gone already; reading says so right after. */
    (void)uv_tcp_nodelay(&link->tcp, 1);
    (void)uv_tcp_keepalive(&link->tcp, 1, KEEPALIVE_IDLE_S);
    apply_pause(link);
    if (link->first != NULL) start_write(link);
}

/* Sending */

static size_t size_of_pieces(const struct slice *pieces, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        ASSERT(pieces[i].size <= SIZE_MAX - total);
        total += pieces[i].size;
    }
    return total;
}

static uv_buf_t buffer_of(struct slice piece)
{
    uv_buf_t buffer = {.len = piece.size};
    memcpy(&buffer.base, &piece.data, sizeof(buffer.base)); /* libuv's type forgets const */
    return buffer;
}

/* Offer the bytes to the kernel. Returns how many it took, or a libuv status < 0. */
static ssize_t try_now(struct env_link *link, const struct slice *pieces, size_t count)
{
    uv_buf_t buffers[WRITE_PIECES_MAX];
    unsigned used = 0;
    while (used < WRITE_PIECES_MAX && used < count) {
        buffers[used] = buffer_of(pieces[used]);
        used++;
    }
    int taken = uv_try_write((uv_stream_t *)&link->tcp, buffers, used);
    return taken == UV_EAGAIN ? 0 : taken;
}

/* Cut size bytes, which the kernel has, off the front of a message. */
static void message_cut(struct message *message, size_t *size)
{
    while (message->index < message->count) {
        struct slice *piece = &message->pieces[message->index];
        size_t cut = *size < piece->size ? *size : piece->size;
        *piece = slice_of(piece->data + cut, piece->size - cut);
        *size -= cut;
        if (piece->size > 0) return;
        message->index++;
    }
}

/* NULL when there is no memory. */
static struct message *message_lend(const struct slice *pieces, size_t count)
{
    struct message *message = calloc(1, sizeof(*message) + count * sizeof(*pieces));
    if (message == NULL) return NULL;
    message->count = count;
    memcpy(message->pieces, pieces, count * sizeof(*pieces));
    return message;
}

/* A message of one piece, the bytes after the first `skip`; NULL when there is no memory. */
static struct message *message_copy(const struct slice *pieces, size_t count, size_t total,
                                    size_t skip)
{
    size_t head_size = sizeof(struct message) + sizeof(struct slice);
    struct message *message = malloc(head_size + total - skip);
    if (message == NULL) return NULL;
    uint8_t *bytes = (uint8_t *)message + head_size;
    *message = (struct message){.count = 1};
    message->pieces[0] = slice_of(bytes, total - skip);
    for (size_t i = 0; i < count; i++) {
        size_t cut = skip < pieces[i].size ? skip : pieces[i].size;
        size_t size = pieces[i].size - cut;
        if (size > 0) memcpy(bytes, pieces[i].data + cut, size);
        bytes += size;
        skip -= cut;
    }
    return message;
}

static void append(struct env_link *link, struct message *message, size_t size)
{
    if (link->first == NULL) {
        link->first = message;
    } else {
        link->last->next = message;
    }
    link->last = message;
    link->queued_bytes += size;
    if (link->queued_bytes >= LINK_LOW_WATER) link->is_above_low_water = true;
}

void link_send(struct env *env, struct env_link *link, const struct slice *pieces, size_t count,
               void (*release)(void *release_arg), void *release_arg)
{
    (void)env;
    size_t total = size_of_pieces(pieces, count);
    size_t taken = 0;
    bool can_try = !link->is_closing && link->is_open && link->first == NULL && total > 0;
    if (can_try && link->network != NULL) {
        foreign_send(link, pieces, count, &taken);
    } else if (can_try) {
        ssize_t status = try_now(link, pieces, count);
        if (status < 0) {
            link_fail(link, (int)status);
        } else {
            taken = (size_t)status;
        }
    }
    struct message *message = NULL;
    if (!link->is_closing && taken < total) {
        message = release != NULL ? message_lend(pieces, count)
                                  : message_copy(pieces, count, total, taken);
        if (message == NULL) link_fail(link, UV_ENOMEM);
    }
    if (message == NULL) { /* sent whole, or never will be */
        if (release != NULL) release(release_arg);
        return;
    }
    message->release = release;
    message->release_arg = release_arg;
    if (release != NULL) {
        size_t cut = taken;
        message_cut(message, &cut);
    }
    append(link, message, total - taken);
    if (link->network == NULL && link->is_open && !link->is_writing) start_write(link);
}

/* Collect the front of the queue. Returns how many buffers; *out_size is their sum. */
static unsigned gather(const struct env_link *link, uv_buf_t buffers[WRITE_PIECES_MAX],
                       size_t *out_size)
{
    unsigned used = 0;
    size_t size = 0;
    const struct message *message = link->first;
    size_t i = message->index;
    while (message != NULL && used < WRITE_PIECES_MAX && size < WRITE_BYTES_MAX) {
        if (i == message->count) {
            message = message->next;
            i = message != NULL ? message->index : 0;
            continue;
        }
        struct slice piece = message->pieces[i++];
        if (piece.size == 0) continue;
        if (piece.size > WRITE_BYTES_MAX - size) piece.size = WRITE_BYTES_MAX - size;
        buffers[used++] = buffer_of(piece);
        size += piece.size;
    }
    *out_size = size;
    return used;
}

void link_sent(struct env_link *link, size_t size)
{
    ASSERT(size <= link->queued_bytes);
    link->queued_bytes -= size;
    while (link->first != NULL) {
        struct message *message = link->first;
        message_cut(message, &size);
        if (message->index < message->count) break;
        link->first = message->next;
        message_free(message); /* release may send on this link, or close it */
    }
}

struct slice link_front(const struct env_link *link)
{
    const struct message *message = link->first;
    if (message == NULL) return slice_of(NULL, 0);
    size_t i = message->index;
    while (message->pieces[i].size == 0) { /* the queue holds no message without bytes */
        i++;
        ASSERT(i < message->count);
    }
    return message->pieces[i];
}

void link_tell_drained(struct env_link *link)
{
    if (!link->is_above_low_water || link->is_closing) return;
    if (link->queued_bytes >= LINK_LOW_WATER) return;
    link->is_above_low_water = false;
    link->events->drained(link, link->arg);
}

static void on_written(uv_write_t *write, int status)
{
    struct env_link *link = CONTAINER_OF(write, struct env_link, write);
    loop_note_awake(link->u);
    if (link->is_closing) return; /* link_end gives the messages back */
    if (status < 0) {
        link_fail(link, status);
        return;
    }
    size_t written = link->writing_bytes;
    link->writing_bytes = 0;
    link_sent(link, written);
    link->is_writing = false; /* not before: what release sends must not start a write here */
    if (link->is_closing) return;
    if (link->first != NULL) start_write(link);
    link_tell_drained(link);
}

static void start_write(struct env_link *link)
{
    uv_buf_t buffers[WRITE_PIECES_MAX];
    unsigned count = gather(link, buffers, &link->writing_bytes);
    ASSERT(count > 0);
    link->is_writing = true;
    int status = uv_write(&link->write, (uv_stream_t *)&link->tcp, buffers, count, on_written);
    if (status == 0) return;
    link->is_writing = false;
    link->writing_bytes = 0;
    link_fail(link, status);
}

size_t link_queued(struct env *env, struct env_link *link)
{
    (void)env;
    if (!link->is_writing) return link->queued_bytes;
    size_t not_taken = uv_stream_get_write_queue_size((const uv_stream_t *)&link->tcp);
    return link->queued_bytes - link->writing_bytes + not_taken;
}
