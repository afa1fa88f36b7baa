/* sockets: the only file of the server that knows libuv's sockets. It accepts clients, moves bytes
 * between them and their conn, bounds what is queued for those that do not read, and wakes the I/O
 * thread. What the bytes mean is conn's business.
 *
 * Owner: the I/O thread, which is the one that calls sockets_run. */
#ifndef TIDEMARK_SERVER_SOCKETS_H
#define TIDEMARK_SERVER_SOCKETS_H

#include "base/error.h"
#include "base/types.h"

struct service;
struct service_hooks;
struct sockets;

/* A client that does not read: above the first no new request of it is carried out, above the last
 * it is closed. */
#define SOCKETS_QUEUED_LOW  ((size_t)(4 * MIB))
#define SOCKETS_QUEUED_HIGH ((size_t)(8 * MIB))
#define SOCKETS_QUEUED_MAX  ((size_t)(64 * MIB))

/* All on the I/O thread. */
struct sockets_events {
    void (*woken)(void *arg);  /* after service_complete */
    void (*ticked)(void *arg); /* every SOCKETS_TICK_MS */
    void (*told)(void *arg);   /* SIGTERM, SIGINT or SHUTDOWN */
    void *arg;
};
#define SOCKETS_TICK_MS 250

/* A listening TCP socket. flag is the option that chooses its port, for the error's sentence.
 * Errors: E_INUSE, E_INVALID (address), E_IO. */
MUST_CHECK enum code sockets_listen(const char *address, uint16_t port, const char *flag,
                                    int *out_fd, uint16_t *out_port, struct err *e);
void sockets_close_fd(int fd);
/* Is it a number like 127.0.0.1 or ::1, or localhost? Names of machines are not looked up. */
bool sockets_is_address(const char *address);
/* "127.0.0.1", "::1" or "localhost": does it lead to this machine only? */
bool sockets_is_loopback(const char *address);
/* "host:port", with brackets where the host has colons. */
void sockets_format_address(const char *host, uint16_t port, char out[ADDRESS_SIZE_MAX + 1]);

/* The hooks for service_init. */
struct service_hooks sockets_hooks(void);

/* Serve clients on a listening socket, which is given. events is copied. */
MUST_CHECK enum code sockets_open(struct service *service, int listening_fd,
                                  const struct sockets_events *events, struct sockets **out,
                                  struct err *e);
/* Until sockets_stop is done. */
void sockets_run(struct sockets *s);
/* Take no more clients and requests; let what is in flight be answered, for deadline_ms at most;
 * then sockets_run returns. Ends the handling of signals, too. */
void sockets_stop(struct sockets *s, uint64_t deadline_ms);
/* From now on a signal ends the process at once, as it does by default. */
void sockets_signals_end(struct sockets *s);
/* Wake the I/O thread: woken is called soon. Any thread, until sockets_close. */
void sockets_wake(struct sockets *s);
/* After sockets_run. The database is closed: every turn came back. NULL is allowed. */
void sockets_close(struct sockets *s);

#endif
