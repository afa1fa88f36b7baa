/* turn: see turn.h. Building is the commands' work (commands_*.c); this file owns the memory and
 * turns results into replies. */
#include "server/turn.h"

#include "base/assert.h"
#include "base/text.h"
#include "server/conn.h"
#include "server/service.h"
#include "server/stats.h"

enum {
    SLOTS_AT_FIRST = 128,
    OUT_KEPT_MAX = 64 * 1024,
};

struct turn *turn_new(struct service *service)
{
    struct alloc *alloc = &service->alloc;
    struct turn *turn = alloc_get(alloc, sizeof(*turn));
    if (turn == NULL) return NULL;
    turn->service = service;
    out_init(&turn->ready, alloc);
    out_init(&turn->out, alloc);
    arena_init(&turn->arena, alloc);
    turn->run = tide_run_new();
    if (turn->run == NULL) {
        turn_free(turn);
        return NULL;
    }
    return turn;
}

void turn_free(struct turn *turn)
{
    if (turn == NULL) return;
    struct alloc *alloc = &turn->service->alloc;
    if (turn->run != NULL) tide_run_free(turn->run);
    alloc_put(alloc, turn->slots, turn->slot_capacity * sizeof(*turn->slots));
    out_fini(&turn->ready);
    out_fini(&turn->out);
    arena_reset(&turn->arena);
    alloc_put(alloc, turn, sizeof(*turn));
}

void turn_reset(struct turn *turn)
{
    tide_run_reset(turn->run);
    out_reset(&turn->ready, OUT_KEPT_MAX);
    out_reset(&turn->out, OUT_KEPT_MAX);
    arena_reset(&turn->arena);
    turn->conn = NULL;
    turn->slot_count = 0;
    turn->op_count = 0;
    turn->cost = 0;
    turn->started_ns = 0;
    turn->wait_deadline_ns = 0;
    turn->wait_seqno = 0;
    turn->wait_followers = 0;
    turn->is_waiting = false;
    turn->is_alone = false;
    turn->is_short_of_memory = false;
    turn->refusal = TIDE_OK;
}

int64_t turn_add_slots(struct turn *turn, size_t count)
{
    size_t wanted = turn->slot_count + count;
    if (wanted > turn->slot_capacity) {
        void *slots = turn->slots;
        if (wanted < SLOTS_AT_FIRST) wanted = SLOTS_AT_FIRST;
        if (!alloc_grow(&turn->service->alloc, &slots, &turn->slot_capacity, sizeof(*turn->slots),
                        wanted)) {
            return -1;
        }
        turn->slots = slots;
    }
    size_t first = turn->slot_count;
    for (size_t i = 0; i < count; i++) {
        turn->slots[first + i] = (struct slot){.op = -1, .proto = PROTO_RESP2};
    }
    turn->slot_count = first + count;
    return (int64_t)first;
}

/* Why there is no result: the run was not taken, or could not be built. */
static enum tide_code render_refusal(struct turn *turn, struct out *o)
{
    enum tide_code code = turn->is_short_of_memory ? TIDE_NOMEMORY : turn->refusal;
    const char *message = "the database is closing";
    if (code == TIDE_NOMEMORY) message = "no memory for the request; nothing of it was done";
    if (code == TIDE_BUSY) message = "too many requests are in flight; nothing of it was done";
    out_error(o, tide_code_word(code), message);
    return code;
}

static enum tide_code render_slot(struct turn *turn, const struct slot *slot, struct out *o)
{
    if (slot->render == NULL) {
        out_bytes(o, turn->ready.data + slot->offset, slot->size);
        return (enum tide_code)slot->code;
    }
    if (turn->is_short_of_memory || turn->refusal != TIDE_OK) return render_refusal(turn, o);
    ASSERT(slot->op >= 0);
    const struct tide_result *result = tide_run_result(turn->run, (size_t)slot->op);
    ASSERT(result != NULL);
    if (result->code == TIDE_OK) {
        slot->render(turn, slot, result, o);
    } else {
        /* It is in the log all the same, and WAIT waits for it, too. */
        if (result->code == TIDE_DURABILITY && result->kind == TIDE_RESULT_POSITION) {
            conn_wrote(turn->conn, result->as.position.seqno);
        }
        const char *message = result->message != NULL ? result->message : "no reason was given";
        out_error(o, tide_code_word(result->code), message);
    }
    return result->code;
}

void turn_render(struct turn *turn, uint64_t now_ns)
{
    uint64_t duration_ns = now_ns > turn->started_ns ? now_ns - turn->started_ns : 0;
    size_t bucket = stats_bucket(duration_ns);
    for (size_t i = 0; i < turn->slot_count; i++) {
        const struct slot *slot = &turn->slots[i];
        enum tide_code code = render_slot(turn, slot, &turn->out);
        stats_command_done(&turn->service->stats, slot->command, code, bucket, duration_ns);
    }
}

static void write_token(const struct tide_position *position, struct out *o)
{
    enum { HEADER_SIZE = 5, END_SIZE = 2 }; /* a token has 12 to 50 characters: two digits */
    uint8_t *room = out_room(o, HEADER_SIZE + TIDE_TOKEN_SIZE + END_SIZE);
    if (room == NULL) return;
    char *text = (char *)room + HEADER_SIZE;
    size_t size = tide_token_format(position, text);
    ASSERT(size >= 10 && size <= 99);
    room[0] = '$';
    room[1] = (uint8_t)('0' + size / 10);
    room[2] = (uint8_t)('0' + size % 10);
    room[3] = '\r';
    room[4] = '\n';
    text[size] = '\r';
    text[size + 1] = '\n';
    o->size += HEADER_SIZE + size + END_SIZE;
}

void render_position(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                     struct out *o)
{
    (void)turn;
    (void)slot;
    write_token(&result->as.position, o);
}

void render_token(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *o)
{
    conn_wrote(turn->conn, result->as.position.seqno);
    if (slot->has_level) out_array(o, 2);
    write_token(&result->as.position, o);
    if (!slot->has_level) return;
    char level[TIDE_LEVEL_SIZE];
    size_t size = tide_level_format(&result->level, level);
    out_bulk(o, slice_of(level, size));
}

void render_double(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *o)
{
    (void)turn;
    out_double(o, slot->proto, result->as.number);
}

void render_integer(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                    struct out *o)
{
    (void)turn;
    (void)slot;
    out_count(o, result->as.integer);
}

void render_lines(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *o)
{
    (void)turn;
    (void)slot;
    const uint8_t *at = result->as.text.data;
    const uint8_t *end = at + result->as.text.size;
    size_t count = 0;
    for (const uint8_t *c = at; c < end; c++) {
        count += *c == '\n' || c + 1 == end;
    }
    out_array(o, count);
    while (at < end) {
        const uint8_t *newline = memchr(at, '\n', (size_t)(end - at));
        const uint8_t *line_end = newline != NULL ? newline : end;
        out_bulk(o, slice_of(at, (size_t)(line_end - at)));
        at = newline != NULL ? newline + 1 : end;
    }
}

void render_digest(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *o)
{
    (void)turn;
    (void)slot;
    char room[128];
    struct text t = text_of(room, sizeof(room));
    char digits[20];
    text_add_slice(&t, slice_of(digits, format_u64(digits, result->as.digest.seqno)));
    text_add(&t, ":");
    text_add_hex(&t, result->as.digest.root, sizeof(result->as.digest.root));
    out_bulk(o, slice_of(room, t.size));
}

/* EXPLAIN: names and values in turn; the values add up to the score. */
static void render_terms(const struct tide_item *item, enum proto proto, struct out *o)
{
    out_array(o, 2 * (size_t)item->term_count);
    for (uint32_t i = 0; i < item->term_count; i++) {
        out_bulk_text(o, item->terms[i].name);
        out_double(o, proto, item->terms[i].value);
    }
}

void render_items(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *o)
{
    const struct tide_items *items = &result->as.items;
    out_map(o, slot->proto, 6);
    out_bulk_text(o, "items");
    out_array(o, items->count);
    for (uint32_t i = 0; i < items->count; i++) {
        const struct tide_item *item = &items->items[i];
        out_array(o, item->terms != NULL ? 3 : 2);
        out_bulk(o, slice_of(item->key.data, item->key.size));
        out_double(o, slot->proto, item->score);
        if (item->terms != NULL) render_terms(item, slot->proto, o);
    }
    out_bulk_text(o, "cursor");
    if (items->cursor.size > 0) {
        out_bulk(o, slice_of(items->cursor.data, items->cursor.size));
    } else {
        out_nil(o, slot->proto);
    }
    out_bulk_text(o, "position");
    write_token(&items->position, o);
    out_bulk_text(o, "staleness_ms");
    out_double(o, slot->proto, items->staleness_ms);
    out_bulk_text(o, "exact");
    out_bool(o, slot->proto, items->is_exact);
    out_bulk_text(o, "profile");
    out_bulk(o, slice_of(turn->ready.data + slot->offset, slot->size));
}
