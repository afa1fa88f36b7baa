/* topology: the members of the cluster as their leader told them, as JSON: the same list on every
 * node. What is not known is left out, never guessed. Pure but for the addresses of the service. */
#ifndef TIDEMARK_SERVER_TOPOLOGY_H
#define TIDEMARK_SERVER_TOPOLOGY_H

#include "server/out.h"
#include "tidemark.h"

struct service;

const char *topology_role_name(enum tide_role role);
void topology_write(const struct service *service, const struct tide_status *status,
                    struct out *json);

#endif
