/* bridge: one command that came as JSON over HTTP. It is asked at this server's own data port, like
 * any client's, so that table, limits, errors and counters are those of RESP; a command that only
 * means something to a connection that lives on is refused by name. */
#ifndef TIDEMARK_SERVER_BRIDGE_H
#define TIDEMARK_SERVER_BRIDGE_H

#include "base/types.h"
#include "server/out.h"

struct service;

#define BRIDGE_BODY_SIZE_MAX  ((size_t)(2 * MIB))
#define BRIDGE_REPLY_SIZE_MAX ((size_t)(16 * MIB))
#define BRIDGE_ASK_MS         5000

/* Carry out the command in body and append the answer as JSON. Returns the HTTP status. Blocks up
 * to BRIDGE_ASK_MS. Any thread but the I/O thread. */
unsigned bridge_answer(const struct service *service, struct slice body, struct out *json);

/* {"error":{"code":...,"message":...}} */
void bridge_write_error(struct out *json, struct slice code, struct slice message);

/* May a browser or tool that names this host be answered? A page of the Internet can give a name of
 * its own to this machine's address; it cannot make it localhost or a number. host: the header, or
 * NULL. */
bool bridge_knows_host(const struct service *service, const char *host);

#endif
