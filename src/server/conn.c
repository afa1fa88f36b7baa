/* conn: see conn.h. conn_advance is the main function: while there is no turn in flight, fill one
 * from the input, and either hand it to the database or answer it at once. */
#include "server/conn.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/commands.h"
#include "server/logger.h"
#include "server/now.h"
#include "server/service.h"
#include "server/turn.h"

enum {
    INPUT_ROOM_MIN = 4096, /* below it, room is made before reading */
    WAIT_STEP_MS = 500,    /* WAIT without end looks this often whether its client is there */
    MONITOR_WORD_SIZE_MAX = 256,
};

static void advance(struct conn *c);

void conn_init(struct conn *c, struct service *service, const char *address)
{
    *c = (struct conn){.service = service, .proto = PROTO_RESP2, .id = service->next_conn_id++};
    resp_parser_init(&c->parser, &service->alloc);
    arena_init(&c->multi.arena, &service->alloc);
    struct text t = text_of(c->address, sizeof(c->address));
    text_add(&t, "%s", address);
    c->started_ns = now_mono_ns();
    c->used_ns = c->started_ns;
    c->next = service->conns;
    if (c->next != NULL) c->next->previous = c;
    service->conns = c;
    service->conn_count++;
    stats_add(&service->stats.connections_accepted, 1);
    atomic_store_explicit(&service->stats.connections, service->conn_count, memory_order_relaxed);
}

static void free_input(struct conn *c, uint8_t *input, size_t capacity)
{
    if (input == NULL) return;
    if (capacity == SERVICE_INPUT_SIZE) {
        service_give_input(c->service, input);
    } else {
        alloc_put(&c->service->alloc, input, capacity);
    }
}

void conn_fini(struct conn *c)
{
    ASSERT(c->turn == NULL);
    struct service *service = c->service;
    conn_discard_multi(c);
    resp_parser_fini(&c->parser);
    free_input(c, c->input, c->input_capacity);
    free_input(c, c->borrowed, c->borrowed_capacity);
    if (c->is_monitor) service->monitor_count--;
    if (c->next != NULL) c->next->previous = c->previous;
    if (c->previous != NULL) {
        c->previous->next = c->next;
    } else {
        service->conns = c->next;
    }
    service->conn_count--;
    atomic_store_explicit(&service->stats.connections, service->conn_count, memory_order_relaxed);
}

/* --- input --- */

static size_t unread_size(const struct conn *c)
{
    return c->input_end - c->input_start;
}

/* Put the bytes not understood yet at the start of an input of this capacity. */
static bool replace_input(struct conn *c, size_t capacity)
{
    struct alloc *alloc = &c->service->alloc;
    uint8_t *input = capacity == SERVICE_INPUT_SIZE ? service_take_input(c->service)
                                                    : alloc_get(alloc, capacity);
    if (input == NULL) return false;
    size_t size = unread_size(c);
    if (c->input != NULL && size > 0) memcpy(input, c->input + c->input_start, size);
    if (c->is_input_lent) {
        ASSERT(c->borrowed == NULL);
        c->borrowed = c->input;
        c->borrowed_capacity = c->input_capacity;
        c->is_input_lent = false;
    } else {
        free_input(c, c->input, c->input_capacity);
    }
    c->input = input;
    c->input_capacity = capacity;
    c->input_start = 0;
    c->input_end = size;
    return true;
}

/* Make room behind the unread bytes: by moving them to the front where nobody points to them, else
 * in a larger or a second input. */
static bool make_room(struct conn *c)
{
    size_t size = unread_size(c);
    if (c->input != NULL && !c->is_input_lent && c->input_start > 0 &&
        size + INPUT_ROOM_MIN <= c->input_capacity / 2) {
        memmove(c->input, c->input + c->input_start, size);
        c->input_start = 0;
        c->input_end = size;
        return true;
    }
    size_t capacity = SERVICE_INPUT_SIZE;
    while (capacity < 2 * size + INPUT_ROOM_MIN) {
        capacity *= 2;
    }
    return replace_input(c, capacity);
}

uint8_t *conn_room(struct conn *c, size_t *size)
{
    if (c->input == NULL || c->input_capacity - c->input_end < INPUT_ROOM_MIN) {
        if (!make_room(c)) return NULL;
    }
    *size = c->input_capacity - c->input_end;
    return c->input + c->input_end;
}

/* An idle connection holds no input. */
static void give_up_idle_input(struct conn *c)
{
    if (c->input == NULL || c->is_input_lent || unread_size(c) > 0) return;
    if (c->input_capacity > SERVICE_INPUT_SIZE || c->turn == NULL) {
        free_input(c, c->input, c->input_capacity);
        c->input = NULL;
        c->input_capacity = 0;
    }
    c->input_start = 0;
    c->input_end = 0;
}

void conn_received(struct conn *c, size_t size)
{
    ASSERT(size <= c->input_capacity - c->input_end);
    c->input_end += size;
    stats_add(&c->service->stats.bytes_in, size);
    advance(c);
}

void conn_ended(struct conn *c)
{
    c->is_at_end = true;
    advance(c);
}

void conn_drained(struct conn *c)
{
    advance(c);
}

bool conn_wants_input(const struct conn *c)
{
    if (c->state != CONN_OPEN || c->is_at_end || c->is_output_full) return false;
    return c->turn == NULL || unread_size(c) < CONN_AHEAD_MAX;
}

void conn_end(struct conn *c)
{
    if (c->state == CONN_OPEN) c->state = CONN_ENDING;
}

void conn_discard_multi(struct conn *c)
{
    arena_reset(&c->multi.arena);
    c->multi = (struct multi){.arena = c->multi.arena};
}

/* --- turns --- */

/* One error line that is no command's reply; the connection ends with it. */
static void add_last_words(struct conn *c, struct turn *turn, const char *message)
{
    conn_end(c);
    int64_t index = turn_add_slots(turn, 1);
    if (index < 0) return;
    struct slot *slot = &turn->slots[index];
    slot->command = (uint16_t)commands_unknown_row();
    slot->code = TIDE_PROTOCOL;
    slot->offset = (uint32_t)turn->ready.size;
    out_error(&turn->ready, "ERR", message);
    slot->size = (uint32_t)(turn->ready.size - slot->offset);
}

/* Browsers can be made to send HTTP to any port of their machine; such a connection is closed
 * before a line of what they send is taken for a command. */
static bool is_http(const struct slice *words, size_t count)
{
    static const char *const verbs[] = {"GET",     "HEAD",  "POST",    "PUT",   "DELETE",
                                        "OPTIONS", "PATCH", "CONNECT", "TRACE", "PRI"};
    if (text_equal_nocase(words[0], "host:")) return true;
    bool is_verb = false;
    for (size_t i = 0; i < COUNT_OF(verbs); i++) {
        is_verb = is_verb || slice_equal(words[0], slice_of_text(verbs[i]));
    }
    struct slice last = words[count - 1];
    return is_verb && last.size > 5 && memcmp(last.data, "HTTP/", 5) == 0;
}

/* Cut the next request out of the input, unless one is waiting. */
static enum resp_outcome next_request(struct conn *c, struct turn *turn)
{
    uint8_t *start = c->input + c->input_start;
    if (c->has_request) {
        resp_parser_move(&c->parser, start);
        return RESP_REQUEST;
    }
    enum resp_outcome outcome = resp_parser_read(&c->parser, start, unread_size(c));
    if (outcome == RESP_BROKEN) {
        add_last_words(c, turn, c->parser.error);
    } else if (outcome == RESP_REQUEST) {
        c->has_request = true;
        if (c->parser.is_inline && c->parser.word_count > 0 &&
            is_http(c->parser.words, c->parser.word_count)) {
            add_last_words(c, turn,
                           "this is the data port and it does not speak HTTP; "
                           "the HTTP port is another one (INFO server shows it)");
            outcome = RESP_BROKEN;
        }
    }
    return outcome;
}

static void fill_turn(struct conn *c, struct turn *turn)
{
    while (c->state == CONN_OPEN && !turn_is_full(turn) && c->input != NULL) {
        if (next_request(c, turn) != RESP_REQUEST) return;
        const struct slice *words = c->parser.words;
        size_t count = c->parser.word_count;
        if (count > 0) {
            const struct command *command = commands_find(words, count);
            if (commands_is_alone(c, command) && turn->slot_count > 0) return;
            commands_dispatch(c, turn, command, words, count);
        }
        c->input_start += c->parser.at;
        c->has_request = false;
        resp_parser_reset(&c->parser);
    }
}

static void finish(struct conn *c)
{
    if (c->state == CONN_FINISHED) return;
    c->state = CONN_FINISHED;
    c->service->hooks.finish(c);
}

void conn_kill(struct conn *c, const struct conn *by)
{
    if (c == by) {
        conn_end(c);
    } else {
        finish(c);
    }
}

/* Send the replies of a turn that is done. */
static void deliver(struct conn *c, struct turn *turn)
{
    turn_render(turn, now_mono_ns());
    if (turn->out.is_failed || turn->ready.is_failed) {
        LOG(LOG_WARN, "no memory for replies, connection closed", LOG_TEXT("client", c->address));
        finish(c);
    } else if (turn->out.size > 0 && c->state != CONN_FINISHED) {
        stats_add(&c->service->stats.bytes_out, turn->out.size);
        c->service->hooks.send(c, &turn->out);
    }
    service_give_turn(c->service, turn);
}

/* True: the turn is the database's now. */
static bool submit(struct conn *c, struct turn *turn)
{
    tide_db *database = atomic_load_explicit(&c->service->database, memory_order_acquire);
    enum tide_code code = TIDE_CLOSED;
    if (database != NULL) code = tide_submit(database, turn->run, service_run_done, turn);
    turn->refusal = code;
    if (code != TIDE_OK) return false;
    c->turn = turn;
    return true;
}

static void advance(struct conn *c)
{
    struct service *service = c->service;
    while (c->state == CONN_OPEN && c->turn == NULL && !c->is_output_full && unread_size(c) > 0) {
        struct turn *turn = service_take_turn(service);
        if (turn == NULL) {
            LOG(LOG_WARN, "no memory for a turn, connection closed",
                LOG_TEXT("client", c->address));
            finish(c);
            break;
        }
        turn->conn = c;
        turn->started_ns = now_mono_ns();
        c->used_ns = turn->started_ns;
        fill_turn(c, turn);
        if (turn->slot_count == 0) {
            service_give_turn(service, turn);
            break;
        }
        c->is_input_lent = turn_needs_database(turn);
        if (c->is_input_lent && submit(c, turn)) break;
        c->is_input_lent = false;
        deliver(c, turn);
    }
    give_up_idle_input(c);
    bool is_done = c->is_at_end && !c->is_output_full && !c->has_request;
    if (c->turn == NULL && (c->state == CONN_ENDING || is_done)) finish(c);
    if (!c->is_gone) service->hooks.update(c);
}

/* WAIT that is not satisfied goes round again until its time is over. */
static bool wait_again(struct conn *c, struct turn *turn)
{
    const struct tide_result *result = tide_run_result(turn->run, (size_t)turn->slots[0].op);
    if (result->code != TIDE_OK || result->as.integer >= turn->wait_followers) return false;
    uint64_t now_ns = now_mono_ns();
    if (turn->wait_deadline_ns != 0 && now_ns >= turn->wait_deadline_ns) return false;
    if (c->state != CONN_OPEN || c->is_at_end || c->service->is_stopping) return false;
    uint64_t step_ms = WAIT_STEP_MS;
    if (turn->wait_deadline_ns != 0 && turn->wait_deadline_ns - now_ns < step_ms * NS_PER_MS) {
        step_ms = (turn->wait_deadline_ns - now_ns) / NS_PER_MS + 1;
    }
    tide_run_reset(turn->run);
    int32_t op = tide_run_wait(turn->run, turn->wait_seqno, turn->wait_followers, step_ms);
    if (op < 0) {
        turn->is_short_of_memory = true;
        return false;
    }
    turn->slots[0].op = op;
    return submit(c, turn);
}

void conn_completed(struct conn *c, struct turn *turn)
{
    ASSERT(c->turn == turn);
    if (turn->is_waiting && wait_again(c, turn)) return;
    c->turn = NULL;
    c->is_input_lent = false;
    deliver(c, turn);
    free_input(c, c->borrowed, c->borrowed_capacity);
    c->borrowed = NULL;
    c->borrowed_capacity = 0;
    if (c->is_gone) {
        c->service->hooks.release(c);
    } else {
        advance(c);
    }
}

bool conn_closed(struct conn *c)
{
    c->is_gone = true;
    c->state = CONN_FINISHED;
    return c->turn == NULL;
}

/* --- monitors --- */

void conn_feed_monitors(struct conn *from, const struct slice *words, size_t count)
{
    struct service *service = from->service;
    int64_t now_us = now_wall_us();
    struct out line;
    out_init(&line, &service->alloc);
    out_format(&line, "+%lld.%06lld [0 %s]", (long long)(now_us / 1000000),
               (long long)(now_us % 1000000), from->address);
    char room[4 * MONITOR_WORD_SIZE_MAX + 16];
    for (size_t i = 0; i < count && i < 64; i++) {
        struct text t = text_of(room, sizeof(room));
        text_add_escaped(&t, words[i], MONITOR_WORD_SIZE_MAX);
        out_text(&line, " \"");
        out_bytes(&line, room, t.size);
        out_text(&line, "\"");
    }
    out_text(&line, "\r\n");
    for (struct conn *c = service->conns; c != NULL && !line.is_failed; c = c->next) {
        if (!c->is_monitor || c->state != CONN_OPEN || c == from) continue;
        struct out copy;
        out_init(&copy, &service->alloc);
        out_bytes(&copy, line.data, line.size);
        if (!copy.is_failed) service->hooks.send(c, &copy);
        out_fini(&copy);
    }
    out_fini(&line);
}
