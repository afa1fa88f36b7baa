/* net_resolve: look a host name up without making the loop wait. Private to src/env. */
#ifndef TIDEMARK_ENV_NET_RESOLVE_H
#define TIDEMARK_ENV_NET_RESOLVE_H

#include <netdb.h>

#include "env/env_private.h"
#include "env/net_address.h"

struct resolve;

/* The answer: 0 and at least one address (given: end it with freeaddrinfo), or an EAI_ status and
 * NULL. Called once from the loop, unless abandoned. */
typedef void (*resolve_done)(void *arg, int status, struct addrinfo *addresses);

/* Start a look-up. It belongs to itself; the pointer is good until done was called or until
 * resolve_abandon. NULL with errno set when no thread can be started. */
struct resolve *resolve_start(struct env_uv *u, const struct net_address *address,
                              resolve_done done, void *arg);
/* Forget it: done will not be called. Never waits. */
void resolve_abandon(struct resolve *resolve);

#endif
