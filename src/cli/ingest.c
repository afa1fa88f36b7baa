/* ingest: the window, its replies, and what to do when they are bad or missing. Holds always:
 *     acked <= sent <= last, last - acked <= INGEST_WINDOW_COUNT
 *     RUNNING: the next (unanswered - void_replies) replies belong to acked+1 .. sent, in order
 */
#include "cli/ingest.h"

#include "base/assert.h"
#include "base/text.h"
#include "cli/cli.h"

#define COMMAND_SIZE_MAX   2048 /* every part at its limit, encoded, and room to spare */
#define CONNECT_TIMEOUT_MS 2000
#define PAUSE_MIN_MS       50
#define PAUSE_MAX_MS       2000
#define ATTEMPTS_MAX       2
#define SEND_LIMIT_MIN     16

static const size_t entries_bytes = INGEST_WINDOW_COUNT * sizeof(struct ingest_entry);

static struct ingest_entry *entry_of(const struct ingest *g, uint64_t number)
{
    return &g->entries[number % INGEST_WINDOW_COUNT];
}

/* --- the window --- */

/* Where `size` contiguous bytes are free; SIZE_MAX: nowhere. */
static size_t find_room(const struct ingest *g, size_t size)
{
    if (g->acked == g->last) return 0;
    size_t oldest = entry_of(g, g->acked + 1)->offset;
    if (g->bytes_end > oldest) {
        if (INGEST_WINDOW_SIZE - g->bytes_end >= size) return g->bytes_end;
        return size < oldest ? 0 : SIZE_MAX;
    }
    return oldest - g->bytes_end > size ? g->bytes_end : SIZE_MAX;
}

static bool add_command(struct ingest *g, const struct slice *words, size_t count)
{
    uint8_t command[COMMAND_SIZE_MAX];
    struct bytes_writer w = bytes_writer_of(command, sizeof(command));
    resp_write_start(&w, count);
    for (size_t i = 0; i < count; i++) {
        resp_write_word(&w, words[i]);
    }
    ASSERT(!w.is_failed);
    size_t size = bytes_written(&w);
    size_t offset = find_room(g, size);
    if (g->last - g->acked == INGEST_WINDOW_COUNT || offset == SIZE_MAX) return false;
    if (g->acked == g->last) g->progress_ns = host_mono_ns(); /* patience starts with work */
    memcpy(g->bytes + offset, command, size);
    g->bytes_end = offset + size;
    g->last++;
    *entry_of(g, g->last) = (struct ingest_entry){.offset = offset, .size = (uint32_t)size};
    return true;
}

bool ingest_add(struct ingest *g, const struct ingest_signal *signal)
{
    char time[24];
    char number[24];
    int time_size = snprintf(time, sizeof(time), "%lld", (long long)signal->at_ms);
    struct slice words[16];
    size_t count = 0;
    words[count++] = slice_of_text("SIGNAL");
    words[count++] = signal->type;
    words[count++] = signal->item;
    if (signal->weight.size > 0) {
        words[count++] = slice_of_text("W");
        words[count++] = signal->weight;
    }
    words[count++] = slice_of_text("AT");
    words[count++] = slice_of(time, (size_t)time_size);
    if (signal->user.size > 0) {
        words[count++] = slice_of_text("USER");
        words[count++] = signal->user;
    }
    if (signal->key.size > 0) {
        words[count++] = slice_of_text("KEY");
        words[count++] = signal->key;
    }
    words[count++] = slice_of_text("PRODUCER");
    words[count++] = g->options.producer;
    words[count++] = slice_of(number, format_u64(number, g->last + 1));
    return add_command(g, words, count);
}

/* The words that move the producer on to number without an effect. */
static void skip_words(const struct ingest *g, uint64_t number, char digits[24],
                       struct slice words[3])
{
    words[0] = slice_of_text("PRODUCER.SKIP");
    words[1] = g->options.producer;
    words[2] = slice_of(digits, format_u64(digits, number));
}

bool ingest_skip(struct ingest *g)
{
    char digits[24];
    struct slice words[3];
    skip_words(g, g->last + 1, digits, words);
    return add_command(g, words, 3);
}

/* --- the connection --- */

static void pause_until_later(struct ingest *g, enum ingest_state state)
{
    g->state = state;
    g->wake_ns = host_mono_ns() + g->pause_ms * NS_PER_MS;
    g->pause_ms = g->pause_ms * 2 < PAUSE_MAX_MS ? g->pause_ms * 2 : PAUSE_MAX_MS;
}

static void detach(struct ingest *g, const struct err *why)
{
    g->trouble = *why;
    resp_client_close(&g->client);
    pause_until_later(g, INGEST_DETACHED);
}

/* Ask where the server stands; whatever is unanswered before that is void. */
static void ask(struct ingest *g)
{
    struct slice words[2] = {slice_of_text("PRODUCER.GET"), g->options.producer};
    uint64_t unanswered = g->client.unanswered;
    if (!resp_client_add(&g->client, words, 2)) {
        pause_until_later(g, INGEST_RESTING);
        return;
    }
    g->void_replies = unanswered;
    g->state = INGEST_ASKING;
}

static void attach(struct ingest *g)
{
    struct err e;
    if (resp_client_connect(&g->client, CONNECT_TIMEOUT_MS, &e) != OK) {
        detach(g, &e);
        return;
    }
    g->reconnects++;
    ask(g);
}

/* Put what was not sent yet on its way, as far as there is room. */
static bool send_window(struct ingest *g)
{
    bool has_sent = false;
    while (g->sent < g->last && g->sent - g->acked < g->send_limit) {
        const struct ingest_entry *entry = entry_of(g, g->sent + 1);
        bool is_queued = false;
        if (entry->is_refused) {
            char digits[24];
            struct slice words[3];
            skip_words(g, g->sent + 1, digits, words);
            is_queued = resp_client_add(&g->client, words, 3);
        } else {
            struct slice command = slice_of(g->bytes + entry->offset, entry->size);
            is_queued = resp_client_add_encoded(&g->client, command);
        }
        if (!is_queued) break;
        g->sent++;
        has_sent = true;
    }
    return has_sent;
}

/* --- replies --- */

/* The server told how far it is. Everything behind that is sent again. */
static enum code resume(struct ingest *g, uint64_t server_last, struct err *e)
{
    if (server_last < g->acked) {
        return ERR(e, E_LOST,
                   "%s stands at number %llu although it acknowledged %llu; it lost data or is "
                   "another database",
                   g->options.address, (unsigned long long)server_last,
                   (unsigned long long)g->acked);
    }
    uint64_t before = g->sent;
    if (server_last > g->acked) {
        g->acked = server_last < g->last ? server_last : g->last;
        g->progress_ns = host_mono_ns();
    }
    g->sent = g->acked;
    g->resent += before > g->sent ? before - g->sent : 0;
    g->state = INGEST_RUNNING;
    if (g->acked == g->last) return OK;
    struct ingest_entry *head = entry_of(g, g->acked + 1);
    if (head->attempts < ATTEMPTS_MAX || head->is_refused) return OK;
    head->is_refused = true;
    g->refusals++;
    if (g->options.refused != NULL) {
        g->options.refused(g->options.arg, g->acked + 1, slice_of_text(g->trouble.text));
    }
    return OK;
}

/* An error reply to the oldest element: wrong element, trouble of the server, or the end? */
static enum code take_error(struct ingest *g, struct slice text, struct err *e)
{
    enum code code = resp_error_code(text);
    struct ingest_entry *head = entry_of(g, g->acked + 1);
    bool is_about_element = code == E_INVALID || code == E_SCHEMA || code == E_LIMIT;
    if (!is_about_element && code_class(code) == CLASS_CALLER) {
        return ERR(e, code, "%s: %.*s", g->options.address, (int)text.size,
                   (const char *)text.data);
    }
    if (is_about_element && head->is_refused) {
        return ERR(e, code, "%s neither takes nor skips number %llu: %.*s", g->options.address,
                   (unsigned long long)(g->acked + 1), (int)text.size, (const char *)text.data);
    }
    err_fill(&g->trouble, code, NULL, "%.*s", (int)text.size, (const char *)text.data);
    if (is_about_element) {
        head->attempts++;
        /* Everything behind it is sent again: where bad elements are many, let that be little. */
        g->send_limit = g->send_limit / 4 > SEND_LIMIT_MIN ? g->send_limit / 4 : SEND_LIMIT_MIN;
        ask(g);
    } else {
        g->void_replies = g->client.unanswered;
        pause_until_later(g, INGEST_RESTING);
    }
    return OK;
}

static enum code take_reply(struct ingest *g, const struct resp_value *reply, struct err *e)
{
    if (g->void_replies > 0) {
        g->void_replies--;
        return OK;
    }
    if (g->state == INGEST_ASKING) {
        if (reply->kind == RESP_INTEGER && reply->integer >= 0) {
            return resume(g, (uint64_t)reply->integer, e);
        }
        err_fill(&g->trouble, E_PROTOCOL, NULL, "%.*s", (int)reply->text.size,
                 (const char *)reply->text.data);
        g->void_replies = g->client.unanswered;
        pause_until_later(g, INGEST_RESTING);
        return OK;
    }
    ASSERT(g->acked < g->sent);
    if (reply->kind == RESP_ERROR) return take_error(g, reply->text, e);
    g->acked++;
    if (g->send_limit < INGEST_WINDOW_COUNT) g->send_limit++;
    g->progress_ns = host_mono_ns();
    g->pause_ms = PAUSE_MIN_MS;
    return OK;
}

static enum code take_replies(struct ingest *g, bool *out_any, struct err *e)
{
    for (;;) {
        const struct resp_value *reply = NULL;
        struct err broken;
        enum code code = resp_client_take(&g->client, &reply, &broken);
        if (code == E_PROTOCOL) {
            *e = broken;
            return code;
        }
        if (code != OK) {
            detach(g, &broken);
            return OK;
        }
        if (reply == NULL) return OK;
        *out_any = true;
        TRY(take_reply(g, reply, e));
    }
}

/* --- the outside --- */

enum code ingest_open(struct ingest *g, const struct ingest_options *options, uint64_t *out_last,
                      struct err *e)
{
    *g = (struct ingest){
        .options = *options, .pause_ms = PAUSE_MIN_MS, .send_limit = INGEST_WINDOW_COUNT};
    if (g->options.patience_ms == 0) g->options.patience_ms = INGEST_PATIENCE_MS;
    resp_client_init(&g->client, options->address);
    g->entries = cli_take(entries_bytes);
    g->bytes = cli_take(INGEST_WINDOW_SIZE);
    TRY(resp_client_connect(&g->client, CONNECT_TIMEOUT_MS, e));
    struct slice words[2] = {slice_of_text("PRODUCER.GET"), options->producer};
    const struct resp_value *reply = NULL;
    bool is_queued = resp_client_add(&g->client, words, 2);
    ASSERT(is_queued);
    TRY(resp_client_await(&g->client, CONNECT_TIMEOUT_MS, &reply, e));
    if (reply->kind != RESP_INTEGER || reply->integer < 0) {
        return ERR(e, E_PROTOCOL, "%s: %.*s", options->address, (int)reply->text.size,
                   (const char *)reply->text.data);
    }
    g->acked = (uint64_t)reply->integer;
    g->sent = g->acked;
    g->last = g->acked;
    g->progress_ns = host_mono_ns();
    *out_last = g->acked;
    return OK;
}

void ingest_close(struct ingest *g)
{
    if (g->entries == NULL) return;
    resp_client_fini(&g->client);
    cli_put(g->entries, entries_bytes);
    cli_put(g->bytes, INGEST_WINDOW_SIZE);
    *g = (struct ingest){.client.fd = -1};
}

static enum code check_patience(const struct ingest *g, uint64_t now, struct err *e)
{
    if (ingest_is_done(g) || now - g->progress_ns < g->options.patience_ms * NS_PER_MS) return OK;
    const char *trouble = g->trouble.code != OK ? g->trouble.text : "no answer";
    return ERR(e, E_TIMEOUT, "no progress for %u s: %s", g->options.patience_ms / 1000, trouble);
}

static void wait_for_more(struct ingest *g, uint32_t timeout_ms, struct host_wait *extra)
{
    if (g->state == INGEST_RESTING || g->state == INGEST_DETACHED) {
        uint64_t now = host_mono_ns();
        uint64_t left_ms = g->wake_ns > now ? (g->wake_ns - now) / NS_PER_MS + 1 : 0;
        if (left_ms < timeout_ms) timeout_ms = (uint32_t)left_ms;
    }
    struct host_wait waits[2] = {{.fd = -1}, {.fd = -1}};
    if (resp_client_is_open(&g->client)) waits[0] = resp_client_wait(&g->client);
    if (extra != NULL) waits[1] = *extra;
    (void)host_wait_any(waits, 2, timeout_ms);
    if (extra != NULL) *extra = waits[1];
}

enum code ingest_step(struct ingest *g, uint32_t timeout_ms, struct host_wait *extra, struct err *e)
{
    if (host_is_interrupted()) return ERR(e, E_CLOSED, "interrupted");
    uint64_t now = host_mono_ns();
    TRY(check_patience(g, now, e));
    bool has_moved = false;
    if (g->state == INGEST_DETACHED && now >= g->wake_ns) attach(g);
    if (g->state == INGEST_RESTING && now >= g->wake_ns) ask(g);
    if (g->state == INGEST_RUNNING) has_moved = send_window(g);
    if (resp_client_is_open(&g->client)) {
        resp_client_move(&g->client);
        TRY(take_replies(g, &has_moved, e));
    }
    wait_for_more(g, has_moved ? 0 : timeout_ms, extra);
    return OK;
}
