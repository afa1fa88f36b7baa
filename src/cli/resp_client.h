/* resp_client: one connection to a server: commands are queued, replies come back in order.
 * Pipelining is the normal case: add as many commands as there is room for, pump, take replies.
 * Memory is bounded: two buffers of fixed size. One owner. Not usable after an error: close it.
 */
#ifndef TIDEMARK_CLI_RESP_CLIENT_H
#define TIDEMARK_CLI_RESP_CLIENT_H

#include "base/error.h"
#include "base/types.h"
#include "cli/resp.h"
#include "env/host.h"

#define RESP_CLIENT_BUFFER_SIZE (4 * MIB)
#define RESP_CLIENT_VALUES_MAX  16384
#define RESP_CLIENT_WORDS_MAX   24

struct resp_client {
    int fd;       /* -1: closed */
    uint8_t *out; /* queued and not yet with the kernel: [out_start, out_end) */
    size_t out_start;
    size_t out_end;
    uint8_t *in; /* received and not yet taken: [in_start, in_end) */
    size_t in_start;
    size_t in_end;
    uint64_t unanswered; /* commands queued whose reply was not taken */
    struct resp_value *values;
    bool is_ended;  /* no more bytes come or go; what is in `in` can still be taken */
    struct err end; /* why, once is_ended */
    char address[ADDRESS_SIZE_MAX + 1];
};

/* A client that is not connected; takes its memory. */
void resp_client_init(struct resp_client *c, const char *address);
void resp_client_fini(struct resp_client *c); /* closes too */
/* Connect anew; what was queued or unanswered is forgotten. */
MUST_CHECK enum code resp_client_connect(struct resp_client *c, uint32_t timeout_ms, struct err *e);
void resp_client_close(struct resp_client *c);
static inline bool resp_client_is_open(const struct resp_client *c)
{
    return c->fd >= 0;
}

/* Queue one command. False, with nothing queued, when there is no room: pump first. */
MUST_CHECK bool resp_client_add(struct resp_client *c, const struct slice *words, size_t count);
/* Queue one command that is encoded already. */
MUST_CHECK bool resp_client_add_encoded(struct resp_client *c, struct slice command);
/* Queue one command given as text with spaces between the words, for words without any. */
MUST_CHECK bool resp_client_add_text(struct resp_client *c, const char *words);

/* Send what can be sent, receive what is there, without waiting. */
void resp_client_move(struct resp_client *c);
/* What to wait for before moving again. */
struct host_wait resp_client_wait(const struct resp_client *c);
/* The next reply if it is here: *out points to its values, borrowed until the next call; NULL when
 * it is not here yet. E_CLOSED once the connection ended and nothing whole is left, E_PROTOCOL. */
MUST_CHECK enum code resp_client_take(struct resp_client *c, const struct resp_value **out,
                                      struct err *e);

/* Move and wait until the next reply is here. E_TIMEOUT, E_CLOSED (also by Ctrl-C). */
MUST_CHECK enum code resp_client_await(struct resp_client *c, uint32_t timeout_ms,
                                       const struct resp_value **out, struct err *e);
/* Take and forget every reply that is still to come. */
MUST_CHECK enum code resp_client_settle(struct resp_client *c, uint32_t timeout_ms, struct err *e);
/* One command and its reply; nothing else may be unanswered. An error reply is an error here, with
 * the server's words as text. */
MUST_CHECK enum code resp_client_call(struct resp_client *c, uint32_t timeout_ms, const char *words,
                                      const struct resp_value **out, struct err *e);

/* The code behind the first word of an error reply. Words that stand for several codes give the
 * first of them: E_INVALID for "ERR". */
enum code resp_error_code(struct slice text);

#endif
