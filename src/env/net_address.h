/* net_address: "host:port" as text, as host and port, as the system's address. Resolves nothing. */
#ifndef TIDEMARK_ENV_NET_ADDRESS_H
#define TIDEMARK_ENV_NET_ADDRESS_H

#include <sys/socket.h>

#include "base/error.h"
#include "base/types.h"

struct net_address {
    char host[ADDRESS_SIZE_MAX + 1]; /* a name, or an IPv4 or IPv6 address without brackets */
    uint16_t port;
};

/* "name:7400", "127.0.0.1:7400", "[::1]:7400". E_INVALID with a text that names the fault. */
MUST_CHECK enum code net_address_parse(const char *text, struct net_address *out, struct err *e);
/* False when host is a name that has to be looked up. */
bool net_address_is_numeric(const struct net_address *address, struct sockaddr_storage *out);

#define NET_ADDRESS_TEXT_SIZE 72
/* "127.0.0.1:7400" or "[::1]:7400"; an IPv4 address inside IPv6 is written as IPv4. */
void net_address_format(const struct sockaddr_storage *address, char out[NET_ADDRESS_TEXT_SIZE]);

#endif
