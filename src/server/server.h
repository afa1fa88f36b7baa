/* server: RESP and HTTP in front of the public interface of the database. One call runs a node:
 * the program's `serve` verb fills the options and hands over.
 *
 * server_run owns the process while it runs: it handles SIGTERM and SIGINT (a clean stop; the
 * second one ends the process at once), ignores SIGPIPE, raises the limit of open files, writes
 * its banner and the line `ready data=HOST:PORT http=HOST:PORT replication=HOST:PORT` to stdout
 * and log lines to stderr.
 */
#ifndef TIDEMARK_SERVER_SERVER_H
#define TIDEMARK_SERVER_SERVER_H

#include "base/error.h"
#include "base/types.h"
#include "tidemark.h"

#define SERVER_PORT_DATA        7400
#define SERVER_PORT_HTTP        7401
#define SERVER_PORT_REPLICATION 7402
#define SERVER_CONNECTIONS_MAX  10000

/* Exit codes of server_run; the program ends with them. */
enum server_exit {
    SERVER_DONE = 0,
    SERVER_FAILED = 1,
    SERVER_DAMAGED = 3,        /* damage found in the data */
    SERVER_REFUSED = 4,        /* refused for safety */
    SERVER_STORAGE_FAILED = 5, /* the disk failed */
};

enum server_log_format { SERVER_LOG_LOGFMT, SERVER_LOG_JSON };
enum log_level { LOG_INFO, LOG_WARN, LOG_ERROR };

/* One setting as CONFIG GET shows it. */
struct server_setting {
    const char *name;   /* "segment_size" */
    const char *value;  /* "16MiB" */
    const char *source; /* "default", "file", "environment", "flag", "CONFIG SET" */
};

/* One pair of CONFIG SET. */
struct server_change {
    const char *name;
    const char *value;
};

/* All pointers are borrowed until server_run returns. */
struct server_options {
    size_t size; /* sizeof(struct server_options) */

    /* Passed on to tide_open. server_run itself fills replication_listen, data_address,
     * http_address and replication_address from the fields below. */
    struct tide_options database;

    const char *bind;          /* numeric address or "localhost"; NULL: 127.0.0.1 */
    const char *advertise;     /* "host:port" of the data port as others reach it; NULL: as bound */
    uint16_t port;             /* RESP; 0 picks a free one */
    uint16_t http_port;        /* 0 picks */
    uint16_t replication_port; /* 0 picks */
    bool is_insecure;          /* allow a bind that is not loopback */
    uint32_t connections_max;  /* data port; 0: SERVER_CONNECTIONS_MAX */
    enum server_log_format log_format;
    enum log_level log_level; /* less important lines are left out */

    const struct server_setting *settings; /* for CONFIG GET; may be NULL */
    size_t setting_count;

    /* CONFIG SET: judge the changes and, where all are right, take them over into these options and
     * `settings`. Refusals say what is wrong; then nothing changed. I/O thread. NULL: every change
     * is refused. */
    enum code (*change)(const struct server_change *changes, size_t count, struct err *e);
};

/* Everything zero but size and the three default ports. */
void server_options_init(struct server_options *options);

/* Run a node until it is told to stop. Blocks. Returns one of enum server_exit; the reason of any
 * other than SERVER_DONE was written to stderr as one sentence. Call it once per process, from the
 * main thread. *options is read while it runs, on the I/O thread. */
MUST_CHECK int server_run(const struct server_options *options);

#endif
