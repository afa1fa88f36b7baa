/* server: see server.h. Start and stop in order:
 *
 *     check options -> listen on all ports -> loop and HTTP run -> open the database (in a thread
 * of its own: it may replay for long; meanwhile clients are told LOADING) -> banner, ready line
 *     ... -> told to stop: no new clients and requests, replies in flight are sent -> HTTP ends ->
 *     the database closes (every waiter is answered) -> everything is freed
 */
#include "server/server.h"

#include "base/assert.h"
#include "base/text.h"
#include "env/thread.h"
#include "server/commands.h"
#include "server/http.h"
#include "server/logger.h"
#include "server/now.h"
#include "server/service.h"
#include "server/sockets.h"
#include "server/watch.h"

#include <inttypes.h>
#include <stdio.h>

enum { STOP_CLIENTS_MS = 5000, STOP_DATABASE_MS = 30000 };

enum opening { OPENING_RUNS, OPENING_DONE, OPENING_TAKEN };

struct server {
    const struct server_options *options;
    const char *bind;
    struct service service;
    struct sockets *sockets;
    struct http *http;
    struct watch watch;
    int data_fd;
    int http_fd;
    int exit_code;
    bool is_told;
    bool has_watch;

    /* The opening thread writes these, then `opening` (release); the I/O thread reads them after.
     */
    struct env_thread *opener;
    _Atomic int opening; /* enum opening */
    struct tide_options database_options;
    tide_db *database;
    enum tide_code open_code;
    struct tide_err open_error;
    struct tide_open_report report;
    char replication_listen[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1]; /* as the database tells it */
    char advertised_http[ADDRESS_SIZE_MAX + 1];
};

void server_options_init(struct server_options *options)
{
    *options = (struct server_options){
        .size = sizeof(*options),
        .database = {.size = sizeof(options->database)},
        .port = SERVER_PORT_DATA,
        .http_port = SERVER_PORT_HTTP,
        .replication_port = SERVER_PORT_REPLICATION,
    };
}

/* --- saying --- */

/* One sentence on stderr for a person, whatever the form of the log is. */
static int give_up(int exit_code, const char *sentence)
{
    (void)fprintf(stderr, "tidemark serve: %s\n", sentence);
    return exit_code;
}

static int exit_code_of(enum tide_code code)
{
    switch (code) {
    case TIDE_OK: return SERVER_DONE;
    case TIDE_ROTTEN:
    case TIDE_CORRUPT:
    case TIDE_DIVERGED:
    case TIDE_HALTED: return SERVER_DAMAGED;
    case TIDE_WRONG_CLUSTER:
    case TIDE_FENCED:
    case TIDE_IDINUSE: return SERVER_REFUSED;
    case TIDE_IO:
    case TIDE_DISKFULL:
    case TIDE_POISONED: return SERVER_STORAGE_FAILED;
    default: return SERVER_FAILED;
    }
}

static int give_up_opening(const struct server *s)
{
    char sentence[sizeof(s->open_error.message) + 64];
    bool is_full = s->open_code == TIDE_DISKFULL;
    (void)snprintf(sentence, sizeof(sentence), "%s%s", s->open_error.message,
                   is_full ? "; free space on that disk and start again, nothing is lost" : "");
    return give_up(exit_code_of(s->open_code), sentence);
}

static const char *role_name(enum tide_role role)
{
    switch (role) {
    case TIDE_ROLE_SINGLE: return "single";
    case TIDE_ROLE_LEADER: return "leader";
    case TIDE_ROLE_FOLLOWER: return "follower";
    }
    return "unknown";
}

static void print_recovery(const struct tide_open_report *r)
{
    (void)printf("recovered in %.3f s: ", (double)r->seconds_micro / 1e6);
    if (r->checkpoint_seqno > 0) {
        (void)printf("checkpoint at record %" PRIu64 ", then ", r->checkpoint_seqno);
    }
    (void)printf("%" PRIu64 " records replayed", r->records_replayed);
    if (r->discarded_bytes > 0) {
        (void)printf("; %" PRIu64 " bytes of a torn tail moved to quarantine", r->discarded_bytes);
    }
    (void)printf("\n");
}

/* A closed stdout does not stop a server. */
static void print_banner(const struct server *s)
{
    const struct tide_open_report *r = &s->report;
    char token[TIDE_TOKEN_SIZE];
    int token_size = (int)tide_token_format(&r->position, token);
    (void)printf("tidemark %s: %s%s, epoch %" PRIu64 ", position %.*s\n", tide_version(),
                 r->is_new ? "new " : "", role_name(r->role), r->position.epoch, token_size, token);
    (void)printf("directory %s; %s\n", s->database_options.dir, r->backend);
    if (!r->is_new) print_recovery(r);
    if (r->notes[0] != '\0') (void)printf("%s\n", r->notes);
    (void)printf("ready data=%s http=%s replication=%s\n", s->service.data_address,
                 s->service.http_address,
                 s->replication_address[0] != '\0' ? s->replication_address : "none");
    (void)fflush(stdout);
}

/* --- opening the database --- */

/* Where replication listens, for the ready line. */
static void ask_replication_address(struct server *s)
{
    tide_run *run = tide_run_new();
    if (run == NULL) return;
    if (tide_run_status(run) >= 0 && tide_execute(s->database, run) == TIDE_OK) {
        const struct tide_result *result = tide_run_result(run, 0);
        struct text t = text_of(s->replication_address, sizeof(s->replication_address));
        if (result->code == TIDE_OK) text_add(&t, "%s", result->as.status->replication_address);
    }
    tide_run_free(run);
}

static void open_database(void *arg)
{
    struct server *s = arg;
    s->open_code = tide_open(&s->database_options, &s->database, &s->report, &s->open_error);
    if (s->open_code == TIDE_OK) ask_replication_address(s);
    /* Release: who sees DONE sees all of the above. */
    atomic_store_explicit(&s->opening, OPENING_DONE, memory_order_release);
    sockets_wake(s->sockets);
}

static void take_database(struct server *s)
{
    if (s->open_code != TIDE_OK) {
        s->exit_code = give_up_opening(s);
        sockets_stop(s->sockets, 0);
        return;
    }
    s->service.is_follower = s->report.role == TIDE_ROLE_FOLLOWER;
    atomic_store_explicit(&s->service.database, s->database, memory_order_release);
    if (s->is_told) {
        sockets_stop(s->sockets, STOP_CLIENTS_MS);
        return;
    }
    LOG(LOG_INFO, "ready", LOG_TEXT("role", role_name(s->report.role)),
        LOG_U64("epoch", s->report.position.epoch), LOG_U64("seqno", s->report.position.seqno),
        LOG_U64("replayed", s->report.records_replayed),
        LOG_U64("discarded_bytes", s->report.discarded_bytes));
    if (s->report.notes[0] != '\0') logger_write(LOG_WARN, s->report.notes, NULL, 0);
    print_banner(s);
}

/* --- events of the loop --- */

static void on_woken(void *arg)
{
    struct server *s = arg;
    if (atomic_load_explicit(&s->opening, memory_order_acquire) == OPENING_DONE) {
        atomic_store_explicit(&s->opening, OPENING_TAKEN, memory_order_relaxed);
        take_database(s);
    }
    if (s->has_watch) watch_look(&s->watch);
}

static void on_tick(void *arg)
{
    struct server *s = arg;
    if (s->has_watch && !s->service.is_stopping) watch_tick(&s->watch);
}

/* While the database is being opened it cannot be stopped: then it is closed as soon as it is
 * open. */
static void on_told(void *arg)
{
    struct server *s = arg;
    if (s->is_told) return;
    s->is_told = true;
    if (atomic_load_explicit(&s->opening, memory_order_relaxed) == OPENING_RUNS) {
        logger_write(LOG_INFO, "stopping once the database is open; a second signal ends at once",
                     NULL, 0);
        sockets_signals_end(s->sockets);
        return;
    }
    LOG(LOG_INFO, "stopping; a second signal ends at once",
        LOG_U64("clients", s->service.conn_count));
    sockets_stop(s->sockets, STOP_CLIENTS_MS);
}

/* --- start and stop --- */

/* Every port is taken before the database is touched, so that a mistake costs nothing. */
static enum code listen_everywhere(struct server *s, struct err *e)
{
    const struct server_options *o = s->options;
    uint16_t http_port = 0;
    uint16_t replication_port = 0;
    int fd = -1;
    TRY(sockets_listen(s->bind, o->port, "--port", &s->data_fd, &s->service.data_port, e));
    TRY(sockets_listen(s->bind, o->http_port, "--http-port", &s->http_fd, &http_port, e));
    /* The database listens there itself; this only finds out early whether it can. */
    TRY(sockets_listen(s->bind, o->replication_port, "--replication-port", &fd, &replication_port,
                       e));
    sockets_close_fd(fd);
    sockets_format_address(s->bind, s->service.data_port, s->service.data_address);
    sockets_format_address(s->bind, http_port, s->service.http_address);
    sockets_format_address(s->bind, o->replication_port, s->replication_listen);
    return OK;
}

/* The host of --advertise with the HTTP port. */
static void advertise_http(struct server *s)
{
    const char *data = s->options->advertise;
    const char *data_colon = strrchr(data, ':');
    const char *http_colon = strrchr(s->service.http_address, ':');
    struct text t = text_of(s->advertised_http, sizeof(s->advertised_http));
    text_add_slice(&t, slice_of(data, (size_t)(data_colon - data)));
    text_add(&t, "%s", http_colon);
}

static void fill_database_options(struct server *s)
{
    s->database_options = s->options->database;
    s->database_options.size = sizeof(s->database_options);
    if (s->database_options.dir == NULL) s->database_options.dir = "./tidemark-data";
    s->database_options.replication_listen = s->replication_listen;
    s->database_options.data_address = s->service.data_address;
    s->database_options.http_address = s->service.http_address;
    if (s->options->advertise != NULL) {
        advertise_http(s);
        s->database_options.data_address = s->options->advertise;
        s->database_options.http_address = s->advertised_http;
    }
}

static int check_options(const struct server *s)
{
    char sentence[ADDRESS_SIZE_MAX + 256];
    const char *advertise = s->options->advertise;
    if (!sockets_is_address(s->bind)) {
        (void)snprintf(sentence, sizeof(sentence),
                       "--bind %s is no address; give it as a number like 127.0.0.1 or ::1",
                       s->bind);
        return give_up(SERVER_FAILED, sentence);
    }
    if (!s->options->is_insecure && !sockets_is_loopback(s->bind)) {
        (void)snprintf(sentence, sizeof(sentence),
                       "--bind %s would let other machines in, and this version has neither "
                       "passwords nor TLS; bind to 127.0.0.1, or say --insecure",
                       s->bind);
        return give_up(SERVER_REFUSED, sentence);
    }
    uint64_t port = 0;
    const char *colon = advertise != NULL ? strrchr(advertise, ':') : NULL;
    bool is_good = colon != NULL && colon > advertise && strlen(advertise) <= ADDRESS_SIZE_MAX &&
                   parse_u64(slice_of_text(colon + 1), &port) && port > 0 && port <= UINT16_MAX;
    if (advertise != NULL && !is_good) {
        return give_up(SERVER_FAILED, "--advertise takes HOST:PORT, the address of the data port "
                                      "as others reach it");
    }
    return SERVER_DONE;
}

static enum code start(struct server *s, struct err *e)
{
    TRY(listen_everywhere(s, e));
    fill_database_options(s);
    struct sockets_events events = {
        .woken = on_woken, .ticked = on_tick, .told = on_told, .arg = s};
    int fd = s->data_fd;
    s->data_fd = -1; /* given */
    TRY(sockets_open(&s->service, fd, &events, &s->sockets, e));
    fd = s->http_fd;
    s->http_fd = -1;
    TRY(http_open(&s->service, fd, &s->http, e));
    s->has_watch = watch_init(&s->watch, &s->service);
    if (!s->has_watch) return ERR(e, E_NOMEMORY, "no memory for the watch");
    return env_thread_start("open", open_database, s, &s->opener, e);
}

static void stop_database(struct server *s)
{
    tide_db *database = atomic_exchange_explicit(&s->service.database, NULL, memory_order_acq_rel);
    if (database == NULL) return;
    struct tide_err e = {.code = TIDE_OK};
    enum tide_code code = tide_close(database, STOP_DATABASE_MS, &e);
    if (code == TIDE_OK) {
        logger_write(LOG_INFO, "stopped", NULL, 0);
    } else if (s->exit_code == SERVER_DONE) {
        s->exit_code = give_up(exit_code_of(code), e.message);
    }
}

/* Undoes whatever start did. */
static void stop(struct server *s)
{
    env_thread_join(s->opener);
    http_close(s->http);
    stop_database(s);
    if (s->has_watch) watch_fini(&s->watch);
    sockets_close(s->sockets);
    sockets_close_fd(s->data_fd);
    sockets_close_fd(s->http_fd);
}

int server_run(const struct server_options *options)
{
    ASSERT(options->size == sizeof(*options));
    static struct server server; /* too large for the stack; one per process */
    struct server *s = &server;
    *s = (struct server){.options = options, .data_fd = -1, .http_fd = -1};
    s->bind = options->bind != NULL ? options->bind : "127.0.0.1";
    logger_set(options->log_format, options->log_level);
    commands_init();
    int exit_code = check_options(s);
    if (exit_code != SERVER_DONE) return exit_code;
    struct service_hooks hooks = sockets_hooks();
    service_init(&s->service, options, &hooks);
    if (!sockets_is_loopback(s->bind)) {
        LOG(LOG_WARN, "other machines are let in without password or TLS (--insecure)",
            LOG_TEXT("bind", s->bind));
    }
    struct err e;
    if (start(s, &e) == OK) {
        sockets_run(s->sockets);
    } else {
        s->exit_code = give_up(exit_code_of((enum tide_code)e.code), e.text);
    }
    stop(s);
    service_fini(&s->service);
    return s->exit_code;
}
