/* transport: see transport.h. Thin: types are translated, nothing is decided or stored but the
 * pointer. A transport is wrapped once per database, however often it is named. */
#include "engine/transport.h"

#include <stdlib.h>

#include "base/assert.h"
#include "base/text.h"
#include "engine/receiver.h"
#include "engine/shipper.h"

static const struct tide_transport *transport_of(struct env_network *network)
{
    return CONTAINER_OF(network, struct transport_network, base)->transport;
}

/* What a transport answers is as foreign as what it carries: any number, perhaps no text. */
static enum code code_from(enum tide_code code)
{
    int number = (int)code;
    if (number == OK) return OK;
    return number > OK && number <= TIDE_REFUSED ? (enum code)number : E_IO;
}

static enum code fail(const struct tide_transport *t, const char *address, enum tide_code code,
                      struct tide_err *from, struct err *e)
{
    char shown[ERR_TEXT_SIZE];
    struct text text = text_of(shown, sizeof(shown));
    from->message[sizeof(from->message) - 1] = '\0';
    struct slice message = slice_of_text(from->message);
    text_add_escaped(&text, message, 200);
    if (message.size == 0) text_add(&text, "%s", code_meaning(code_from(code)));
    return ERR(e, code_from(code), "transport %s, \"%s\": %s", t->describe(t->arg), address, shown);
}

static enum code network_connect(struct env_network *network, const char *address,
                                 struct env_waker waker, void **out_connection, struct err *e)
{
    const struct tide_transport *t = transport_of(network);
    struct tide_err why = {.code = TIDE_OK};
    struct tide_waker given = {.wake = waker.wake, .arg = waker.arg};
    enum tide_code code = t->connect(t->arg, address, given, out_connection, &why);
    return code == TIDE_OK ? OK : fail(t, address, code, &why, e);
}

static enum code network_listen(struct env_network *network, const char *address,
                                struct env_waker waker, void **out_listener, struct err *e)
{
    const struct tide_transport *t = transport_of(network);
    struct tide_err why = {.code = TIDE_OK};
    struct tide_waker given = {.wake = waker.wake, .arg = waker.arg};
    enum tide_code code = t->listen(t->arg, address, given, out_listener, &why);
    return code == TIDE_OK ? OK : fail(t, address, code, &why, e);
}

static bool network_accept(struct env_network *network, void *listener, struct env_waker waker,
                           void **out_connection)
{
    struct tide_waker given = {.wake = waker.wake, .arg = waker.arg};
    return transport_of(network)->accept(listener, given, out_connection);
}

static void network_unlisten(struct env_network *network, void *listener)
{
    transport_of(network)->unlisten(listener);
}

static enum code network_send(struct env_network *network, void *connection, struct slice bytes,
                              size_t *out_taken)
{
    size_t taken = 0;
    enum tide_code code = transport_of(network)->send(connection, bytes.data, bytes.size, &taken);
    if (taken > bytes.size) return E_PROTOCOL;
    *out_taken = taken;
    return code_from(code);
}

static enum code network_receive(struct env_network *network, void *connection, void *out,
                                 size_t capacity, size_t *out_size)
{
    size_t size = 0;
    enum tide_code code = transport_of(network)->receive(connection, out, capacity, &size);
    if (size > capacity) return E_PROTOCOL;
    *out_size = size;
    return code_from(code);
}

static void network_close(struct env_network *network, void *connection)
{
    transport_of(network)->close(connection);
}

void transport_network_init(struct transport_network *n, const struct tide_transport *transport)
{
    *n = (struct transport_network){
        .base = {.connect = network_connect,
                 .listen = network_listen,
                 .accept = network_accept,
                 .unlisten = network_unlisten,
                 .send = network_send,
                 .receive = network_receive,
                 .close = network_close},
        .transport = transport,
    };
}

static struct env_network *network_of(struct db *db, const struct tide_transport *transport)
{
    struct transport_network *n = db->networks;
    while (n != NULL && n->transport != transport) {
        n = n->next;
    }
    if (n != NULL) return &n->base;
    n = alloc_get(db->alloc, sizeof(*n));
    if (n == NULL) return NULL;
    transport_network_init(n, transport);
    n->next = db->networks;
    db->networks = n;
    return &n->base;
}

void transport_networks_free(struct db *db)
{
    while (db->networks != NULL) {
        struct transport_network *n = db->networks;
        db->networks = n->next;
        alloc_put(db->alloc, n, sizeof(*n));
    }
}

bool transport_is_meant(const char *address)
{
    return strncmp(address, TIDE_TRANSPORT, strlen(TIDE_TRANSPORT)) == 0;
}

/* --- the operations --- */

static bool is_complete(const struct tide_transport *t)
{
    return t->size == sizeof(*t) && t->connect != NULL && t->listen != NULL && t->accept != NULL &&
           t->unlisten != NULL && t->send != NULL && t->receive != NULL && t->close != NULL &&
           t->describe != NULL;
}

static enum code find_network(struct db *db, const struct op *op, struct env_network **out,
                              struct err *e)
{
    struct slice name = op->entry.type;
    *out = NULL;
    if (name.size == 0 || name.size > TRANSPORT_NAME_MAX ||
        memchr(name.data, '\0', name.size) != NULL) {
        return ERR(e, E_INVALID, "a peer's name has 1 to %u characters", TRANSPORT_NAME_MAX);
    }
    if (op->transport == NULL) {
        bool is_named = name.size >= strlen(TIDE_TRANSPORT) &&
                        memcmp(name.data, TIDE_TRANSPORT, strlen(TIDE_TRANSPORT)) == 0;
        return is_named ? ERR(e, E_INVALID, "give the transport itself for a peer that it reaches")
                        : OK;
    }
    if (db->env->v->connect_on == NULL) {
        return ERR(e, E_UNSUPPORTED, "this environment has no transports");
    }
    if (!is_complete(op->transport)) {
        return ERR(e, E_INVALID,
                   "the transport's size is not this library's, or one of its calls is missing");
    }
    *out = network_of(db, op->transport);
    if (*out == NULL) return ERR(e, E_NOMEMORY, "no memory for a transport");
    return OK;
}

enum code transport_op(struct db *db, struct op *op, struct err *e)
{
    struct env_network *network = NULL;
    char name[TRANSPORT_NAME_MAX + 1] = {0};
    if (db->condition == DB_CLOSING) return ERR(e, E_CLOSED, "the database is closing");
    TRY(find_network(db, op, &network, e));
    memcpy(name, op->entry.type.data, op->entry.type.size);
    if (op->kind == OP_LISTEN) {
        if (db->shipper == NULL) {
            return ERR(e, E_INVALID,
                       "this database takes no followers; open it with replication_listen = "
                       "\"" TIDE_TRANSPORT "\"");
        }
        return shipper_listen(db->shipper, network, name, e);
    }
    if (db->receiver == NULL || db->identity.role != ROLE_FOLLOWER) {
        return ERR(e, E_INVALID,
                   "this database leads and follows nobody; a follower is a new directory opened "
                   "with follow = \"" TIDE_TRANSPORT "\"");
    }
    receiver_follow(db->receiver, network, name, FOLLOWS_NAMED);
    return OK;
}
