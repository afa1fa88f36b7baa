/* turn: all commands that one connection sent in one go: one run of database operations and, for
 * every command, the place of its reply. Replies keep the order of the commands, whether they come
 * from the database or were known at once.
 *
 *     built (I/O thread) -> submitted (the database's) -> completed -> rendered -> pooled
 *
 * While a turn is submitted, the words its operations point to stay where they are: in the
 * connection's input buffer or in the turn's arena.
 */
#ifndef TIDEMARK_SERVER_TURN_H
#define TIDEMARK_SERVER_TURN_H

#include "base/types.h"
#include "server/arena.h"
#include "server/out.h"
#include "tidemark.h"

#define TURN_COMMANDS_MAX 1024 /* of one turn; MULTI ... EXEC may add its own on top */
#define TURN_COST_MAX     1024 /* a command costs 1, a page of results more */

struct conn;
struct service;
struct turn;
struct slot;

/* Writes the reply of one slot from its result. */
typedef void (*slot_render)(struct turn *turn, const struct slot *slot,
                            const struct tide_result *result, struct out *out);

/* The place of one reply. */
struct slot {
    slot_render render; /* NULL: the bytes are ready */
    int32_t op;         /* index in the run; -1: none */
    uint32_t offset;    /* of the ready bytes */
    uint32_t size;
    uint32_t argument; /* for render */
    uint16_t command;  /* row of the command table */
    uint8_t proto;     /* enum proto at the time of the command */
    uint8_t code;      /* enum tide_code of ready bytes */
    bool has_level;    /* the reply names the level reached */
};

struct turn {
    struct turn *next; /* in the pool, or in the list of completed ones */
    struct service *service;
    struct conn *conn;
    tide_run *run;
    struct slot *slots;
    size_t slot_count;
    size_t slot_capacity;
    struct out ready;   /* replies known at once */
    struct out out;     /* all replies, in order */
    struct arena arena; /* copies that live as long as the turn */
    uint64_t cost;
    uint64_t started_ns;
    uint64_t wait_deadline_ns; /* of WAIT, which is alone in its turn; 0: none */
    uint64_t wait_seqno;
    uint32_t wait_followers;
    uint32_t op_count;
    bool is_waiting;         /* WAIT: submitted again until it is satisfied */
    bool is_alone;           /* takes no further command */
    bool is_short_of_memory; /* an operation is missing: must not be submitted */
    enum tide_code refusal;  /* why the run was not taken; OK else */
};

/* NULL: no memory. */
struct turn *turn_new(struct service *service);
void turn_free(struct turn *turn);
/* Empty it for another use, and give up replies that grew out of the ordinary. */
void turn_reset(struct turn *turn);
/* Is it larger than what is worth keeping? A large MULTI made it so. */
static inline bool turn_is_oversized(const struct turn *turn)
{
    return turn->slot_capacity > (size_t)2 * TURN_COMMANDS_MAX;
}

/* Append count empty slots; the index of the first, or -1: no memory. */
MUST_CHECK int64_t turn_add_slots(struct turn *turn, size_t count);
/* The same for one slot: the way of nearly every command. */
static inline int64_t turn_add_slot(struct turn *turn)
{
    if (turn->slot_count == turn->slot_capacity) return turn_add_slots(turn, 1);
    turn->slots[turn->slot_count] = (struct slot){.op = -1};
    return (int64_t)turn->slot_count++;
}
static inline bool turn_is_full(const struct turn *turn)
{
    return turn->slot_count >= TURN_COMMANDS_MAX || turn->cost >= TURN_COST_MAX || turn->is_alone;
}
static inline bool turn_needs_database(const struct turn *turn)
{
    return turn->op_count > 0 && !turn->is_short_of_memory;
}

/* Write all replies to turn->out and count them. */
void turn_render(struct turn *turn, uint64_t now_ns);

/* Replies that several commands share. */
void render_token(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *out); /* of a write; remembers the position for WAIT */
void render_position(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                     struct out *out);
void render_double(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *out);
void render_integer(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                    struct out *out);
/* A text of lines as an array of lines. */
void render_lines(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *out);
void render_digest(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *out);
/* What is known of an item, user or creator: a map; of named fields (slot->argument 1) an array of
 * values. */
void render_entity(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                   struct out *out);
/* slot->argument: offset of the profile's name in turn->ready, slot->size its size. */
void render_items(struct turn *turn, const struct slot *slot, const struct tide_result *result,
                  struct out *out);

#endif
