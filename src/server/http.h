/* http: what operators and their tools read: /metrics /healthz /readyz /status.json /topology.json,
 * by GET and HEAD, and one command a POST to /v1/command (server/bridge), on a port of its own and
 * in one thread of its own (libmicrohttpd's). It asks the database like any client, with a
 * deadline, so that a stuck database cannot make it hang. */
#ifndef TIDEMARK_SERVER_HTTP_H
#define TIDEMARK_SERVER_HTTP_H

#include "base/error.h"
#include "base/types.h"

struct http;
struct service;

/* Serve on a listening socket, which is given. */
MUST_CHECK enum code http_open(struct service *service, int listening_fd, struct http **out,
                               struct err *e);
/* Ends what is being answered. The database is still open. NULL is allowed. */
void http_close(struct http *http);

#endif
