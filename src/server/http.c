/* http: see http.h. */
#include "server/http.h"

#include "base/assert.h"
#include "env/thread.h"
#include "server/commands.h"
#include "server/now.h"
#include "server/out.h"
#include "server/service.h"
#include "server/sockets.h"

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
        out_format(&page->text, "{\"error\":\"%s\"}\n", why);
        return;
    }
    const struct tide_result *result = tide_run_result(q->run, 0);
    if (result->code == TIDE_OK) {
        out_text(&page->text, result->as.status->json);
        out_text(&page->text, "\n");
    } else {
        page->status = MHD_HTTP_SERVICE_UNAVAILABLE;
        out_text(&page->text, "{\"error\":\"the database did not tell its status\"}\n");
    }
    let_go(q);
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
static const char *unready_reason(const struct tide_status *s)
{
    if (strcmp(s->state, "serving") != 0) return s->reason[0] != '\0' ? s->reason : s->state;
    if (s->role != TIDE_ROLE_FOLLOWER) return NULL;
    if (!s->was_synced || isinf(s->lag_seconds)) return "this follower never reached its leader";
    return NULL;
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
    why = result->code == TIDE_OK ? unready_reason(result->as.status) : result->message;
    if (why == NULL) {
        out_text(&page->text, "ready\n");
    } else {
        fill_failed(page, why);
    }
    let_go(q);
}

static const struct path {
    const char *name;
    void (*fill)(struct http *http, struct page *page);
} paths[] = {
    {"/metrics", fill_metrics},
    {"/healthz", fill_health},
    {"/readyz", fill_readiness},
    {"/status.json", fill_status},
};

static void fill_not_found(struct page *page)
{
    page->status = MHD_HTTP_NOT_FOUND;
    page->type = "application/json";
    out_text(&page->text, "{\"error\":\"there is no such page\",\"pages\":[");
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        out_format(&page->text, "%s\"%s\"", i > 0 ? "," : "", paths[i].name);
    }
    out_text(&page->text, "]}\n");
}

/* --- requests --- */

static bool is_understood(const char *method)
{
    return strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0;
}

static void fill_page(struct http *http, const char *url, const char *method, struct page *page)
{
    if (!is_understood(method)) {
        page->status = MHD_HTTP_METHOD_NOT_ALLOWED;
        page->type = "application/json";
        out_text(&page->text, "{\"error\":\"only GET and HEAD are understood\"}\n");
        return;
    }
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        if (strcmp(url, paths[i].name) != 0) continue;
        paths[i].fill(http, page);
        return;
    }
    fill_not_found(page);
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
    if (result == MHD_YES && page->status == MHD_HTTP_METHOD_NOT_ALLOWED) {
        result = MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
    }
    if (result == MHD_YES) result = MHD_queue_response(connection, page->status, response);
    MHD_destroy_response(response);
    return result;
}

/* Called when the headers are there and again when the body is. Only an answer to the second call
 * lets the connection live on; a request that is not understood is answered without its body. The
 * parameters are libmicrohttpd's. NOLINTNEXTLINE(readability-function-size) */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection, const char *url,
                                  const char *method, const char *version, const char *body,
                                  size_t *body_size, void **request)
{
    static int seen;
    (void)version;
    (void)body;
    if (*request == NULL && is_understood(method)) {
        *request = &seen;
        return MHD_YES;
    }
    if (*body_size > 0) { /* of a GET: read and dropped */
        *body_size = 0;
        return MHD_YES;
    }
    struct http *http = arg;
    struct page page = {.status = MHD_HTTP_OK, .type = "text/plain; charset=utf-8"};
    out_init(&page.text, &http->service->alloc);
    fill_page(http, url, method, &page);
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
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)TIMEOUT_S, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        (size_t)MEMORY_PER_CLIENT, MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
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
