/* http: see http.h. */
#include "server/http.h"

#include "base/assert.h"
#include "base/text.h"
#include "env/thread.h"
#include "server/bridge.h"
#include "server/commands.h"
#include "server/http_page.h"
#include "server/now.h"
#include "server/openmetrics.h"
#include "server/out.h"
#include "server/service.h"
#include "server/sockets.h"
#include "server/topology.h"

#include <math.h>
#include <microhttpd.h>
#include <stdlib.h>

enum {
    CLIENTS_MAX = 64,
    TIMEOUT_S = 5,
    MEMORY_PER_CLIENT = 16 * 1024, /* its request line and headers fit, or it is refused */
    ASK_MS = 2000,                 /* for the database to answer */
    TICK_LATE_S = 5,               /* the I/O thread is stuck when it did not tick for so long */
};

struct http {
    struct service *service;
    struct MHD_Daemon *daemon;
    uint64_t stuck_until_ns; /* do not ask a database again that did not answer just now */
};

/* --- asking the database --- */

/* A question that two threads hold: whoever lets go last frees it. */
struct question {
    tide_run *run;
    struct env_event is_answered;
    _Atomic int holders;
};

static void let_go(struct question *q)
{
    /* Acquire and release: the last one sees all that the other did with the run. */
    if (atomic_fetch_sub_explicit(&q->holders, 1, memory_order_acq_rel) != 1) return;
    if (q->run != NULL) tide_run_free(q->run);
    free(q);
}

static void on_answered(tide_run *run, void *arg)
{
    (void)run;
    struct question *q = arg;
    env_event_set(&q->is_answered);
    let_go(q);
}

static struct question *question_new(int32_t (*add)(tide_run *run))
{
    struct question *q = calloc(1, sizeof(*q));
    if (q == NULL) return NULL;
    atomic_init(&q->holders, 1);
    env_event_init(&q->is_answered);
    q->run = tide_run_new();
    if (q->run == NULL || add(q->run) < 0) {
        let_go(q);
        return NULL;
    }
    return q;
}

/* The answered question, to let go of; NULL: there is no answer, *why says the reason. */
static struct question *ask(struct http *http, int32_t (*add)(tide_run *run), const char **why)
{
    tide_db *database = atomic_load_explicit(&http->service->database, memory_order_acquire);
    *why = "the database is being opened";
    if (database == NULL) return NULL;
    *why = "the database does not answer";
    if (now_mono_ns() < http->stuck_until_ns) return NULL;
    struct question *q = question_new(add);
    if (q == NULL) {
        *why = "no memory";
        return NULL;
    }
    atomic_fetch_add_explicit(&q->holders, 1, memory_order_relaxed);
    if (tide_submit(database, q->run, on_answered, q) != TIDE_OK) {
        *why = "the database takes no requests";
        atomic_store_explicit(&q->holders, 1, memory_order_relaxed); /* it was not shared */
        let_go(q);
        return NULL;
    }
    if (!env_event_wait_ms(&q->is_answered, ASK_MS)) {
        http->stuck_until_ns = now_mono_ns() + NS_PER_S;
        let_go(q);
        return NULL;
    }
    return q;
}

/* --- pages --- */

/* What is sent: status code and type besides the text. */
struct page {
    struct out text;
    unsigned status;
    const char *type;
    const char *allow;  /* methods; NULL: not told */
    const char *accept; /* of the request; NULL: it did not say */
    const char *policy; /* Content-Security-Policy; NULL: none */
};

static void fill_failed(struct page *page, const char *why)
{
    page->status = MHD_HTTP_SERVICE_UNAVAILABLE;
    page->type = "text/plain; charset=utf-8";
    out_reset(&page->text, 0);
    out_format(&page->text, "%s\n", why);
}

static void fill_metrics(struct http *http, struct page *page)
{
    const char *why = NULL;
    struct question *q = ask(http, tide_run_metrics, &why);
    if (q == NULL) {
        fill_failed(page, why);
        return;
    }
    const struct tide_result *result = tide_run_result(q->run, 0);
    if (result->code == TIDE_OK) {
        page->type = "text/plain; version=0.0.4; charset=utf-8";
        out_bytes(&page->text, result->as.text.data, result->as.text.size);
        stats_write_metrics(&http->service->stats, &page->text, commands_labels(),
                            commands_unknown_row() + 1);
        if (openmetrics_is_wanted(page->accept)) {
            page->type = OPENMETRICS_TYPE;
            openmetrics_rewrite(&page->text);
        }
    } else {
        fill_failed(page, result->message);
    }
    let_go(q);
}

static void fill_status(struct http *http, struct page *page)
{
    const char *why = NULL;
    struct question *q = ask(http, tide_run_status, &why);
    page->type = "application/json";
    if (q == NULL) {
        page->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        bridge_write_error(&page->text, slice_of_text("LOADING"), slice_of_text(why));
        return;
    }
    const struct tide_result *result = tide_run_result(q->run, 0);
    if (result->code == TIDE_OK) {
        out_text(&page->text, result->as.status->json);
        out_text(&page->text, "\n");
    } else {
        page->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        bridge_write_error(&page->text, slice_of_text(tide_code_word(result->code)),
                           slice_of_text("the database did not tell its status"));
    }
    let_go(q);
}

static void fill_topology(struct http *http, struct page *page)
{
    const char *why = NULL;
    struct question *q = ask(http, tide_run_status, &why);
    const struct tide_result *result = q != NULL ? tide_run_result(q->run, 0) : NULL;
    page->type = "application/json";
    if (result != NULL && result->code == TIDE_OK) {
        topology_write(http->service, result->as.status, &page->text);
    } else {
        page->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        bridge_write_error(&page->text, slice_of_text("LOADING"),
                           slice_of_text(result != NULL ? result->message : why));
    }
    if (q != NULL) let_go(q);
}

/* 200 while the process can do work; while the database is opened, too: that may take long and a
 * restart would not make it shorter. */
static void fill_health(struct http *http, struct page *page)
{
    struct service *service = http->service;
    uint64_t ticked_ns = atomic_load_explicit(&service->ticked_ns, memory_order_relaxed);
    uint64_t now_ns = now_mono_ns();
    if (ticked_ns != 0 && now_ns > ticked_ns && now_ns - ticked_ns > TICK_LATE_S * NS_PER_S) {
        fill_failed(page, "the thread that serves clients is stuck");
        return;
    }
    if (atomic_load_explicit(&service->database, memory_order_acquire) == NULL) {
        out_text(&page->text, "ok: the database is being opened\n");
        return;
    }
    const char *why = NULL;
    struct question *q = ask(http, tide_run_position, &why);
    if (q == NULL) {
        fill_failed(page, why);
        return;
    }
    out_text(&page->text, "ok\n");
    let_go(q);
}

/* NULL: the node's answers are as fresh as they should be; else why not. */
static const char *unready_reason(const struct tide_status *s, char *room, size_t size)
{
    if (strcmp(s->state, "serving") != 0) return s->reason[0] != '\0' ? s->reason : s->state;
    if (s->role != TIDE_ROLE_FOLLOWER) return NULL;
    if (!s->was_synced || isinf(s->lag_seconds)) return "this follower never reached its leader";
    double bound_ms = s->lag_seconds * 1000;
    if (s->max_staleness_ms == 0 || bound_ms <= (double)s->max_staleness_ms) return NULL;
    struct text t = text_of(room, size);
    text_add(&t, "this follower's state may be %.0f ms old; max_staleness is %llu ms",
             ceil(bound_ms), (unsigned long long)s->max_staleness_ms);
    return room;
}

static void fill_readiness(struct http *http, struct page *page)
{
    const char *why = NULL;
    struct question *q = ask(http, tide_run_status, &why);
    if (q == NULL) {
        fill_failed(page, why);
        return;
    }
    const struct tide_result *result = tide_run_result(q->run, 0);
    char room[160];
    why = result->message;
    if (result->code == TIDE_OK) why = unready_reason(result->as.status, room, sizeof(room));
    if (why == NULL) {
        out_text(&page->text, "ready\n");
    } else {
        fill_failed(page, why);
    }
    let_go(q);
}

/* Nothing but itself, its own styles and script, and the pages of this server. */
static const char page_policy[] =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
    "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors "
    "'none'";

static void fill_dashboard(struct http *http, struct page *page)
{
    (void)http;
    page->type = "text/html; charset=utf-8";
    page->policy = page_policy;
    for (size_t i = 0; i < http_page_line_count; i++) {
        out_text(&page->text, http_page_lines[i]);
        out_text(&page->text, "\n");
    }
}

static const struct path {
    const char *name;
    void (*fill)(struct http *http, struct page *page);
} paths[] = {
    {"/", fill_dashboard},       {"/metrics", fill_metrics},    {"/healthz", fill_health},
    {"/readyz", fill_readiness}, {"/status.json", fill_status}, {"/topology.json", fill_topology},
};

static const char command_path[] = "/v1/command";

static void fill_not_found(struct page *page)
{
    page->status = MHD_HTTP_NOT_FOUND;
    page->type = "application/json";
    char room[256];
    struct text t = text_of(room, sizeof(room));
    text_add(&t, "there is no such page; there are");
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        text_add(&t, " %s", paths[i].name);
    }
    text_add(&t, " and, for POST, %s", command_path);
    bridge_write_error(&page->text, slice_of_text("NOTFOUND"), slice_of(room, t.size));
}

/* --- requests --- */

/* One request: what it wants and, for a command, its body. */
struct request {
    struct service *service;
    struct out body;
    bool is_command;
    bool is_too_large;
};

static bool is_get(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void fill_refusal(struct page *page, unsigned status, const char *code, const char *message)
{
    page->status = status;
    page->type = "application/json";
    bridge_write_error(&page->text, slice_of_text(code), slice_of_text(message));
}

/* Before the body is read. False: the page says why there will be no answer. A form of a foreign
 * page can send a body of other types here, but not JSON, and not under a name of its own. */
static bool judge_command(const struct http *http, struct MHD_Connection *connection,
                          struct page *page)
{
    const char *host = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Host");
    const char *type = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Type");
    const char *size = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    struct slice kind = slice_of(type, type != NULL ? strcspn(type, "; \t") : 0);
    uint64_t body_size = 0;
    if (!bridge_knows_host(http->service, host)) {
        fill_refusal(page, MHD_HTTP_FORBIDDEN, "NOPERM",
                     "this host name is not known here; use the address, localhost, or the name "
                     "that --advertise gives");
        return false;
    }
    if (!text_equal_nocase(kind, "application/json")) {
        fill_refusal(page, MHD_HTTP_UNSUPPORTED_MEDIA_TYPE, "ERR",
                     "Content-Type: application/json is needed, with an array of the command's "
                     "words as body");
        return false;
    }
    bool is_known = size != NULL && parse_u64(slice_of_text(size), &body_size);
    if (is_known && body_size > BRIDGE_BODY_SIZE_MAX) {
        fill_refusal(page, MHD_HTTP_CONTENT_TOO_LARGE, "LIMIT", "a body has at most 2MiB");
        return false;
    }
    return true;
}

static void fill_page(struct http *http, const char *url, const char *method, struct page *page)
{
    bool is_command = strcmp(url, command_path) == 0;
    if (is_command || !is_get(method)) {
        page->allow = is_command ? "POST" : "GET, HEAD";
        fill_refusal(page, MHD_HTTP_METHOD_NOT_ALLOWED, "ERR",
                     is_command ? "only POST is understood here"
                                : "only GET and HEAD are understood here");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        if (strcmp(url, paths[i].name) != 0) continue;
        paths[i].fill(http, page);
        return;
    }
    fill_not_found(page);
}

static void fill_answer(const struct http *http, const struct request *request, struct page *page)
{
    if (request->is_too_large || request->body.is_failed) {
        fill_refusal(page, MHD_HTTP_CONTENT_TOO_LARGE, "LIMIT", "a body has at most 2MiB");
        return;
    }
    page->type = "application/json";
    struct slice body = slice_of(request->body.data, request->body.size);
    page->status = bridge_answer(http->service, body, &page->text);
}

static enum MHD_Result send_page(struct MHD_Connection *connection, const struct page *page)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer(page->text.size, page->text.data, MHD_RESPMEM_MUST_COPY);
    if (response == NULL) return MHD_NO;
    enum MHD_Result result =
        MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, page->type);
    if (result == MHD_YES) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_CACHE_CONTROL, "no-store");
    }
    if (result == MHD_YES && page->allow != NULL) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, page->allow);
    }
    if (result == MHD_YES && page->policy != NULL) {
        result = MHD_add_response_header(response, "Content-Security-Policy", page->policy);
    }
    if (result == MHD_YES) result = MHD_queue_response(connection, page->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Take in a piece of the body. That of a GET is dropped. */
static void take_body(struct request *request, const char *body, size_t size)
{
    if (!request->is_command || request->is_too_large) return;
    if (size > BRIDGE_BODY_SIZE_MAX - request->body.size) {
        request->is_too_large = true;
        out_reset(&request->body, 0);
    } else {
        out_bytes(&request->body, body, size);
    }
}

/* The headers are there. NULL: the page is filled, and no body is waited for. */
static struct request *request_new(struct http *http, struct MHD_Connection *connection,
                                   const char *url, const char *method, struct page *page)
{
    bool is_command = strcmp(url, command_path) == 0 && strcmp(method, "POST") == 0;
    if (is_command && !judge_command(http, connection, page)) return NULL;
    if (!is_command && !is_get(method)) {
        fill_page(http, url, method, page);
        return NULL;
    }
    struct request *request = alloc_get(&http->service->alloc, sizeof(*request));
    if (request == NULL) {
        fill_failed(page, "no memory");
        return NULL;
    }
    request->service = http->service;
    request->is_command = is_command;
    out_init(&request->body, &http->service->alloc);
    return request;
}

static void on_completed(void *arg, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode how)
{
    (void)arg;
    (void)connection;
    (void)how;
    struct request *request = *slot;
    if (request == NULL) return;
    out_fini(&request->body);
    alloc_put(&request->service->alloc, request, sizeof(*request));
    *slot = NULL;
}

/* Called when the headers are there, with each piece of the body, and when it is whole. Only an
 * answer to the last call lets the connection live on; a request that is not understood is answered
 * without its body. The parameters are libmicrohttpd's.
 * NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_size, void **slot)
{
    (void)version;
    struct http *http = arg;
    struct request *request = *slot;
    if (request != NULL && *body_size > 0) {
        take_body(request, body, *body_size);
        *body_size = 0;
        return MHD_YES;
    }
    struct page page = {
        .status = MHD_HTTP_OK,
        .type = "text/plain; charset=utf-8",
        .accept = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Accept"),
    };
    out_init(&page.text, &http->service->alloc);
    if (request == NULL) {
        *slot = request_new(http, connection, url, method, &page);
        if (*slot != NULL) return MHD_YES; /* the page is still empty */
    } else if (request->is_command) {
        fill_answer(http, request, &page);
    } else {
        fill_page(http, url, method, &page);
    }
    enum MHD_Result result = MHD_NO; /* closes the connection */
    if (!page.text.is_failed) result = send_page(connection, &page);
    out_fini(&page.text);
    return result;
}

enum code http_open(struct service *service, int listening_fd, struct http **out, struct err *e)
{
    struct http *http = alloc_get(&service->alloc, sizeof(*http));
    if (http == NULL) {
        sockets_close_fd(listening_fd);
        return ERR(e, E_NOMEMORY, "no memory for the HTTP server");
    }
    http->service = service;
    http->daemon = MHD_start_daemon(
        MHD_USE_AUTO_INTERNAL_THREAD, 0, NULL, NULL, on_request, http, MHD_OPTION_LISTEN_SOCKET,
        listening_fd, MHD_OPTION_CONNECTION_LIMIT, (unsigned)CLIENTS_MAX,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, NULL, MHD_OPTION_CONNECTION_TIMEOUT,
        (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)MEMORY_PER_CLIENT,
        MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
    if (http->daemon == NULL) {
        sockets_close_fd(listening_fd);
        alloc_put(&service->alloc, http, sizeof(*http));
        return ERR(e, E_IO, "cannot start the HTTP server");
    }
    *out = http;
    return OK;
}

void http_close(struct http *http)
{
    if (http == NULL) return;
    MHD_stop_daemon(http->daemon);
    alloc_put(&http->service->alloc, http, sizeof(*http));
}
