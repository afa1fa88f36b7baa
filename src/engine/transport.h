/* transport: a struct tide_transport of the program as a network of the env, so that shipper and
 * receiver see the links they know. Owner: the loop thread. */
#ifndef TIDEMARK_ENGINE_TRANSPORT_H
#define TIDEMARK_ENGINE_TRANSPORT_H

#include "engine/db.h"

#define TRANSPORT_NAME_MAX  200u
#define TRANSPORT_NAME_SIZE (sizeof(TIDE_TRANSPORT) + TRANSPORT_NAME_MAX)

/* Does the address (as identity and options keep it) mean a transport of the program? */
bool transport_is_meant(const char *address);

struct transport_network {
    struct env_network base; /* first */
    const struct tide_transport *transport;
    struct transport_network *next; /* of the same db */
};
/* transport is borrowed. */
void transport_network_init(struct transport_network *n, const struct tide_transport *transport);

/* Carry out an OP_REPLICATE or OP_LISTEN. Not OK: e says why, nothing changed. */
MUST_CHECK enum code transport_op(struct db *db, struct op *op, struct err *e);

/* Its links and listeners are gone. */
void transport_networks_free(struct db *db);

#endif
