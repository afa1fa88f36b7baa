/* net_address: the text form of addresses. A host is always asked for: an empty one would mean
 * every interface of the machine, and that must be written out (0.0.0.0 or [::]). */
#include "env/net_address.h"

#include <netinet/in.h>
#include <stdio.h>
#include <uv.h>

static bool parse_port(const char *text, uint16_t *out)
{
    uint32_t port = 0;
    size_t size = strlen(text);
    if (size == 0 || size > 5) return false;
    for (size_t i = 0; i < size; i++) {
        if (text[i] < '0' || text[i] > '9') return false;
        port = port * 10 + (uint32_t)(text[i] - '0');
    }
    if (port > UINT16_MAX) return false;
    *out = (uint16_t)port;
    return true;
}

enum code net_address_parse(const char *text, struct net_address *out, struct err *e)
{
    if (strnlen(text, ADDRESS_SIZE_MAX + 1) > ADDRESS_SIZE_MAX) {
        return ERR(e, E_INVALID, "an address of %zu bytes, the limit is %d", strlen(text),
                   ADDRESS_SIZE_MAX);
    }
    const char *host = text;
    const char *colon = strrchr(text, ':');
    if (colon == NULL) {
        return ERR(e, E_INVALID, "address '%s' has no port; write host:port", text);
    }
    size_t host_size = (size_t)(colon - host);
    if (text[0] == '[') {
        if (host_size < 2 || colon[-1] != ']') {
            return ERR(e, E_INVALID, "address '%s' has no ] before its port; write [host]:port",
                       text);
        }
        host++;
        host_size -= 2;
    } else if (memchr(host, ':', host_size) != NULL) {
        return ERR(e, E_INVALID, "address '%s' looks like IPv6; write [host]:port", text);
    }
    if (host_size == 0) {
        return ERR(e, E_INVALID, "address '%s' has no host; write 0.0.0.0%s for every interface",
                   text, colon);
    }
    struct net_address address = {.port = 0};
    if (!parse_port(colon + 1, &address.port)) {
        return ERR(e, E_INVALID, "address '%s': '%s' is no port from 0 to 65535", text, colon + 1);
    }
    memcpy(address.host, host, host_size);
    *out = address;
    return OK;
}

bool net_address_is_numeric(const struct net_address *address, struct sockaddr_storage *out)
{
    struct sockaddr_storage numeric = {0};
    if (uv_ip4_addr(address->host, address->port, (struct sockaddr_in *)(void *)&numeric) != 0 &&
        uv_ip6_addr(address->host, address->port, (struct sockaddr_in6 *)(void *)&numeric) != 0) {
        return false;
    }
    *out = numeric;
    return true;
}

void net_address_format(const struct sockaddr_storage *address, char out[NET_ADDRESS_TEXT_SIZE])
{
    static const uint8_t ipv4_inside[12] = {[10] = 0xff, [11] = 0xff};
    char host[INET6_ADDRSTRLEN] = "?";
    bool is_bracketed = false;
    unsigned port = 0;
    if (address->ss_family == AF_INET) {
        const struct sockaddr_in *in = (const void *)address;
        (void)uv_inet_ntop(AF_INET, &in->sin_addr, host, sizeof(host)); /* keeps "?" */
        port = ntohs(in->sin_port);
    } else if (address->ss_family == AF_INET6) {
        const struct sockaddr_in6 *in6 = (const void *)address;
        const uint8_t *bytes = in6->sin6_addr.s6_addr;
        port = ntohs(in6->sin6_port);
        if (memcmp(bytes, ipv4_inside, sizeof(ipv4_inside)) == 0) {
            (void)uv_inet_ntop(AF_INET, bytes + sizeof(ipv4_inside), host, sizeof(host));
        } else {
            (void)uv_inet_ntop(AF_INET6, bytes, host, sizeof(host));
            is_bracketed = true;
        }
    }
    (void)snprintf(out, NET_ADDRESS_TEXT_SIZE, is_bracketed ? "[%s]:%u" : "%s:%u", host,
                   port); /* the longest form fits */
}
