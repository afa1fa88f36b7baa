/* tm_wire: see tm_wire.h. A list of the open connections, so that a turned knob wakes their owners.
 */
#include "support/tm_wire.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

struct wire_end {
    struct tm_wire *wire;
    struct wire_end *next;
    void *inner;
    struct tide_waker waker;
};

struct tm_wire {
    struct tide_transport transport;
    const struct tide_transport *inner;
    pthread_mutex_t mutex; /* guards ends */
    struct wire_end *ends;
    _Atomic bool is_held;
    _Atomic bool is_cut;
    _Atomic bool is_flip_due;
};

static void check(bool is_good)
{
    if (!is_good) abort();
}

static void wake_all(struct tm_wire *w)
{
    check(pthread_mutex_lock(&w->mutex) == 0);
    for (struct wire_end *end = w->ends; end != NULL; end = end->next) {
        end->waker.wake(end->waker.arg);
    }
    check(pthread_mutex_unlock(&w->mutex) == 0);
}

static enum tide_code wire_connect(void *arg, const char *address, struct tide_waker waker,
                                   void **out_connection, struct tide_err *e)
{
    struct tm_wire *w = arg;
    if (atomic_load(&w->is_cut)) {
        (void)snprintf(e->message, sizeof(e->message), "the wire is cut");
        return TIDE_IO;
    }
    struct wire_end *end = calloc(1, sizeof(*end));
    check(end != NULL);
    *end = (struct wire_end){.wire = w, .waker = waker};
    enum tide_code code = w->inner->connect(w->inner->arg, address, waker, &end->inner, e);
    if (code != TIDE_OK) {
        free(end);
        return code;
    }
    check(pthread_mutex_lock(&w->mutex) == 0);
    end->next = w->ends;
    w->ends = end;
    check(pthread_mutex_unlock(&w->mutex) == 0);
    *out_connection = end;
    return TIDE_OK;
}

static enum tide_code wire_listen(void *arg, const char *address, struct tide_waker waker,
                                  void **out_listener, struct tide_err *e)
{
    (void)arg;
    (void)address;
    (void)waker;
    (void)out_listener;
    (void)e;
    return TIDE_UNSUPPORTED; /* the leader listens on the inner transport */
}

static bool wire_accept(void *listener, struct tide_waker waker, void **out_connection)
{
    (void)listener;
    (void)waker;
    (void)out_connection;
    return false;
}

static void wire_unlisten(void *listener)
{
    (void)listener;
}

static enum tide_code wire_send(void *connection, const void *bytes, size_t size, size_t *out_taken)
{
    struct wire_end *end = connection;
    struct tm_wire *w = end->wire;
    *out_taken = 0;
    if (atomic_load(&w->is_cut)) return TIDE_IO;
    if (atomic_load(&w->is_held)) return TIDE_OK;
    return w->inner->send(end->inner, bytes, size, out_taken);
}

static enum tide_code wire_receive(void *connection, void *out, size_t capacity, size_t *out_size)
{
    struct wire_end *end = connection;
    struct tm_wire *w = end->wire;
    *out_size = 0;
    if (atomic_load(&w->is_cut)) return TIDE_IO;
    if (atomic_load(&w->is_held)) return TIDE_OK;
    enum tide_code code = w->inner->receive(end->inner, out, capacity, out_size);
    if (*out_size > 0 && atomic_exchange(&w->is_flip_due, false)) {
        ((unsigned char *)out)[*out_size / 2] ^= 0x10;
    }
    return code;
}

static void wire_close(void *connection)
{
    struct wire_end *end = connection;
    struct tm_wire *w = end->wire;
    check(pthread_mutex_lock(&w->mutex) == 0);
    struct wire_end **at = &w->ends;
    while (*at != end) {
        at = &(*at)->next;
    }
    *at = end->next;
    check(pthread_mutex_unlock(&w->mutex) == 0);
    w->inner->close(end->inner);
    free(end);
}

static const char *wire_describe(void *arg)
{
    const struct tm_wire *w = arg;
    return w->inner->describe(w->inner->arg);
}

struct tm_wire *tm_wire_new(const struct tide_transport *inner)
{
    struct tm_wire *w = calloc(1, sizeof(*w));
    check(w != NULL);
    check(pthread_mutex_init(&w->mutex, NULL) == 0);
    w->inner = inner;
    w->transport = (struct tide_transport){
        .size = sizeof(w->transport),
        .arg = w,
        .connect = wire_connect,
        .listen = wire_listen,
        .accept = wire_accept,
        .unlisten = wire_unlisten,
        .send = wire_send,
        .receive = wire_receive,
        .close = wire_close,
        .describe = wire_describe,
    };
    return w;
}

void tm_wire_free(struct tm_wire *w)
{
    if (w == NULL) return;
    check(w->ends == NULL);
    check(pthread_mutex_destroy(&w->mutex) == 0);
    free(w);
}

const struct tide_transport *tm_wire_transport(const struct tm_wire *w)
{
    return &w->transport;
}

void tm_wire_hold(struct tm_wire *w, bool is_held)
{
    atomic_store(&w->is_held, is_held);
    wake_all(w);
}

void tm_wire_cut(struct tm_wire *w, bool is_cut)
{
    atomic_store(&w->is_cut, is_cut);
    wake_all(w);
}

void tm_wire_flip(struct tm_wire *w)
{
    atomic_store(&w->is_flip_due, true);
}

bool tm_wire_was_flipped(struct tm_wire *w)
{
    return !atomic_load(&w->is_flip_due);
}
