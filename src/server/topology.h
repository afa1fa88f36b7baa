/* topology: the members of the cluster as this node knows them, as JSON. What the node does not
 * know is left out, never guessed. Pure but for the addresses of the service. */
#ifndef TIDEMARK_SERVER_TOPOLOGY_H
#define TIDEMARK_SERVER_TOPOLOGY_H

#include "server/out.h"
#include "tidemark.h"

struct service;

void topology_write(const struct service *service, const struct tide_status *status,
                    struct out *json);

#endif
