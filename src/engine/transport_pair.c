/* transport_pair: the transport between databases of one process: a connection is two bounded rings
 * of bytes. One mutex guards everything of one transport; it is held for a copy of at most one ring
 * and for wake, which takes no lock and only posts a task.
 *
 * Life: a connection belongs to both ends and is freed when both closed. One that nobody accepted
 * yet is closed on the listener's behalf when the listener ends. Holds: a waker is called only
 * while its end is open.
 */
#include <stdlib.h>

#include "base/assert.h"
#include "base/error.h"
#include "engine/api_error.h"
#include "engine/transport.h"
#include "env/thread.h"

#define CAPACITY_DEFAULT ((size_t)(256 * KIB))
#define CAPACITY_MIN     ((size_t)16)
#define CAPACITY_MAX     ((size_t)GIB)
#define BACKLOG_MAX      64u

/* Bytes on their way in one direction. */
struct ring {
    uint8_t *bytes;
    size_t capacity;
    size_t start;
    size_t used;
};

struct end {
    struct pair *pair;
    struct tide_waker waker; /* none before it is accepted */
    bool is_closed;
    struct ring in; /* what the other end sent */
};

struct pair {
    struct hub *hub;
    struct pair *next;  /* waiting to be accepted */
    struct end ends[2]; /* who connected, who accepted */
};

struct place {
    struct hub *hub;
    struct place *next;
    struct tide_waker waker;
    struct pair *waiting; /* oldest first */
    uint32_t waiting_count;
    char name[TRANSPORT_NAME_MAX + 1];
};

struct hub {
    struct tide_transport transport; /* what the program has */
    struct env_mutex *mutex;
    size_t capacity;
    struct place *places;
    uint32_t pair_count; /* not freed */
};

static struct end *other_of(struct end *end)
{
    return &end->pair->ends[end == &end->pair->ends[0] ? 1 : 0];
}

static void wake(const struct end *end)
{
    if (!end->is_closed && end->waker.wake != NULL) end->waker.wake(end->waker.arg);
}

/* --- connections; all with the mutex held --- */

static void pair_free(struct pair *pair)
{
    for (size_t i = 0; i < COUNT_OF(pair->ends); i++) {
        free(pair->ends[i].in.bytes);
    }
    free(pair);
}

static struct pair *pair_new(struct hub *hub)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    if (pair == NULL) return NULL;
    pair->hub = hub;
    bool is_whole = true;
    for (size_t i = 0; i < COUNT_OF(pair->ends); i++) {
        struct end *end = &pair->ends[i];
        end->pair = pair;
        end->in = (struct ring){.bytes = malloc(hub->capacity), .capacity = hub->capacity};
        is_whole = is_whole && end->in.bytes != NULL;
    }
    if (is_whole) return pair;
    pair_free(pair);
    return NULL;
}

static void end_close(struct end *end)
{
    struct pair *pair = end->pair;
    struct hub *hub = pair->hub;
    ASSERT(!end->is_closed);
    end->is_closed = true;
    if (!other_of(end)->is_closed) {
        wake(other_of(end));
        return;
    }
    hub->pair_count--;
    pair_free(pair);
}

static struct place *place_find(const struct hub *hub, const char *name)
{
    struct place *place = hub->places;
    while (place != NULL && strcmp(place->name, name) != 0) {
        place = place->next;
    }
    return place;
}

/* --- the vtable --- */

static enum tide_code place_join(struct hub *hub, const char *name, struct tide_waker waker,
                                 void **out_connection, struct err *e)
{
    struct place *place = place_find(hub, name);
    if (place == NULL) return (enum tide_code)ERR(e, E_IO, "nobody listens at \"%s\"", name);
    if (place->waiting_count == BACKLOG_MAX) {
        return (enum tide_code)ERR(e, E_BUSY, "%u others wait to be accepted", BACKLOG_MAX);
    }
    struct pair *pair = pair_new(hub);
    if (pair == NULL) return (enum tide_code)ERR(e, E_NOMEMORY, "no memory for a connection");
    hub->pair_count++;
    pair->ends[0].waker = waker;
    struct pair **at = &place->waiting;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = pair;
    place->waiting_count++;
    place->waker.wake(place->waker.arg);
    *out_connection = &pair->ends[0];
    return TIDE_OK;
}

static enum tide_code pair_connect(void *arg, const char *address, struct tide_waker waker,
                                   void **out_connection, struct tide_err *e)
{
    struct hub *hub = arg;
    struct err err = {.code = OK};
    env_mutex_lock(hub->mutex);
    enum tide_code code = place_join(hub, address, waker, out_connection, &err);
    env_mutex_unlock(hub->mutex);
    return api_error((enum code)code, &err, e);
}

static enum tide_code pair_listen(void *arg, const char *address, struct tide_waker waker,
                                  void **out_listener, struct tide_err *e)
{
    struct hub *hub = arg;
    struct err err = {.code = OK};
    size_t size = strlen(address);
    if (size > TRANSPORT_NAME_MAX) {
        return api_error(ERR(&err, E_INVALID, "a name of %zu characters", size), &err, e);
    }
    struct place *place = calloc(1, sizeof(*place));
    if (place == NULL) {
        return api_error(ERR(&err, E_NOMEMORY, "no memory for a listener"), &err, e);
    }
    place->hub = hub;
    place->waker = waker;
    memcpy(place->name, address, size + 1);
    env_mutex_lock(hub->mutex);
    bool is_taken = place_find(hub, address) != NULL;
    if (!is_taken) {
        place->next = hub->places;
        hub->places = place;
    }
    env_mutex_unlock(hub->mutex);
    if (is_taken) {
        free(place);
        return api_error(ERR(&err, E_INUSE, "another database listens at \"%s\"", address), &err,
                         e);
    }
    *out_listener = place;
    return TIDE_OK;
}

static bool pair_accept(void *listener, struct tide_waker waker, void **out_connection)
{
    struct place *place = listener;
    env_mutex_lock(place->hub->mutex);
    struct pair *pair = place->waiting;
    if (pair != NULL) {
        place->waiting = pair->next;
        place->waiting_count--;
        pair->ends[1].waker = waker;
        *out_connection = &pair->ends[1];
    }
    env_mutex_unlock(place->hub->mutex);
    return pair != NULL;
}

static void pair_unlisten(void *listener)
{
    struct place *place = listener;
    struct env_mutex *mutex = place->hub->mutex;
    env_mutex_lock(mutex);
    struct place **at = &place->hub->places;
    while (*at != place) {
        at = &(*at)->next;
    }
    *at = place->next;
    while (place->waiting != NULL) {
        struct pair *pair = place->waiting;
        place->waiting = pair->next;
        end_close(&pair->ends[1]);
    }
    env_mutex_unlock(mutex);
    free(place);
}

static enum tide_code pair_send(void *connection, const void *bytes, size_t size, size_t *out_taken)
{
    struct end *end = connection;
    struct ring *ring = &other_of(end)->in;
    struct env_mutex *mutex = end->pair->hub->mutex;
    env_mutex_lock(mutex);
    bool is_over = other_of(end)->is_closed;
    size_t room = ring->capacity - ring->used;
    size_t taken = size < room ? size : room;
    size_t at = (ring->start + ring->used) % ring->capacity;
    size_t first = ring->capacity - at < taken ? ring->capacity - at : taken;
    if (!is_over && taken > 0) {
        memcpy(ring->bytes + at, bytes, first);
        memcpy(ring->bytes, (const uint8_t *)bytes + first, taken - first);
        ring->used += taken;
        wake(other_of(end));
    }
    env_mutex_unlock(mutex);
    *out_taken = is_over ? 0 : taken;
    return TIDE_OK; /* that the other side closed is told by receive, after its last bytes */
}

static enum tide_code pair_receive(void *connection, void *out, size_t capacity, size_t *out_size)
{
    struct end *end = connection;
    struct ring *ring = &end->in;
    struct env_mutex *mutex = end->pair->hub->mutex;
    env_mutex_lock(mutex);
    size_t size = ring->used < capacity ? ring->used : capacity;
    size_t first = ring->capacity - ring->start < size ? ring->capacity - ring->start : size;
    bool is_over = other_of(end)->is_closed;
    if (size > 0) {
        memcpy(out, ring->bytes + ring->start, first);
        memcpy((uint8_t *)out + first, ring->bytes, size - first);
        ring->start = (ring->start + size) % ring->capacity;
        ring->used -= size;
        if (!is_over) wake(other_of(end)); /* there is room again */
    }
    env_mutex_unlock(mutex);
    *out_size = size;
    return is_over && size == 0 ? TIDE_CLOSED : TIDE_OK;
}

static void pair_close(void *connection)
{
    struct end *end = connection;
    struct env_mutex *mutex = end->pair->hub->mutex; /* the hub outlives its pairs */
    env_mutex_lock(mutex);
    end_close(end);
    env_mutex_unlock(mutex);
}

static const char *pair_describe(void *arg)
{
    (void)arg;
    return "pair";
}

static void hub_free(void *arg)
{
    struct hub *hub = arg;
    ASSERT(hub->places == NULL);
    ASSERT(hub->pair_count == 0); /* a database still uses it: it was to be closed before */
    env_mutex_free(hub->mutex);
    free(hub);
}

enum tide_code tide_transport_pair(size_t capacity, struct tide_transport **out, struct tide_err *e)
{
    struct err err = {.code = OK};
    size_t size = capacity != 0 ? capacity : CAPACITY_DEFAULT;
    if (size < CAPACITY_MIN || size > CAPACITY_MAX) {
        return api_error(
            ERR(&err, E_INVALID, "a capacity of %zu bytes; 16 to 1 GiB are allowed", size), &err,
            e);
    }
    struct hub *hub = calloc(1, sizeof(*hub));
    if (hub != NULL) hub->mutex = env_mutex_new();
    if (hub == NULL || hub->mutex == NULL) {
        free(hub);
        return api_error(ERR(&err, E_NOMEMORY, "no memory for a transport"), &err, e);
    }
    hub->capacity = size;
    hub->transport = (struct tide_transport){
        .size = sizeof(hub->transport),
        .arg = hub,
        .connect = pair_connect,
        .listen = pair_listen,
        .accept = pair_accept,
        .unlisten = pair_unlisten,
        .send = pair_send,
        .receive = pair_receive,
        .close = pair_close,
        .describe = pair_describe,
        .free = hub_free,
    };
    *out = &hub->transport;
    return TIDE_OK;
}

void tide_transport_free(struct tide_transport *transport)
{
    if (transport == NULL || transport->free == NULL) return;
    transport->free(transport->arg);
}
