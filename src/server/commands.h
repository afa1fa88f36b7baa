/* commands: the one table of commands. Dispatch, COMMAND, HELP and docs/COMMANDS.md all come from
 * it. The functions behind the rows are in commands_*.c and are declared in handlers.h. */
#ifndef TIDEMARK_SERVER_COMMANDS_H
#define TIDEMARK_SERVER_COMMANDS_H

#include "base/types.h"
#include "server/out.h"
#include "server/turn.h"

struct call;
struct conn;
struct turn;

enum command_flag {
    COMMAND_WRITE = 1,    /* becomes part of the log; refused on followers */
    COMMAND_READ = 2,     /* asks the state */
    COMMAND_ADMIN = 4,    /* looks at or steers the node */
    COMMAND_DATABASE = 8, /* needs the database: LOADING until it is open */
    COMMAND_ALONE = 16,   /* may take long: starts a turn of its own */
    COMMAND_NOT_IN_MULTI = 32,
    COMMAND_AT_ONCE = 64, /* inside MULTI it is carried out, not queued */
};

struct command {
    const char *name; /* capitals */
    const char *sub;  /* second word, capitals; NULL: none */
    int arity;        /* words with the name; negative: at least so many */
    uint32_t flags;   /* enum command_flag */
    void (*run)(struct call *call);
    const char *group;   /* heading in the docs */
    const char *syntax;  /* what follows the name */
    const char *summary; /* one sentence */
};

/* One command being carried out. */
struct call {
    struct service *service;
    struct conn *conn;
    struct turn *turn;
    size_t slot; /* index of its reply in the turn */
    const struct command *command;
    const struct slice *words; /* [0] is the name */
    size_t count;
    uint64_t cost;
    bool is_dry;    /* MULTI queues it: judge the words, do nothing */
    bool is_failed; /* an error was answered */
};

/* Fill the lookup; before any other call. */
void commands_init(void);
const struct command *commands_table(size_t *count);
/* Row of c, for counting; commands_unknown_row for names that are no command. */
size_t commands_row(const struct command *c);
size_t commands_unknown_row(void);
/* Lower-case names such as config|get, commands_unknown_row() + 1 of them. */
const char *const *commands_labels(void);

/* The row for a request of at least one word, with its second word where there are subcommands.
 * NULL: there is none. Upper and lower case are the same. */
const struct command *commands_find(const struct slice *words, size_t count);
/* Must the command start a turn of its own? command may be NULL. */
bool commands_is_alone(const struct conn *c, const struct command *command);
/* Carry out, queue or refuse one request: adds what it needs to the turn. command NULL: unknown. */
void commands_dispatch(struct conn *c, struct turn *turn, const struct command *command,
                       const struct slice *words, size_t count);
/* Like dispatch for a command that EXEC takes out of its queue; slot is already there. */
void commands_run_queued(struct turn *turn, size_t slot, const struct command *command,
                         const struct slice *words, size_t count);

/* The list at the end of docs/COMMANDS.md. */
void commands_write_docs(struct out *o);

/* --- for the functions behind the rows --- */

static inline struct slot *call_slot(const struct call *call)
{
    return &call->turn->slots[call->slot];
}
/* Where replies known at once are written. */
static inline struct out *call_out(const struct call *call)
{
    return &call->turn->ready;
}
enum proto call_proto(const struct call *call);
static inline struct tide_bytes bytes_of(struct slice s)
{
    return (struct tide_bytes){.data = s.data, .size = s.size};
}
/* The reply is the result of operation op, written by render; op < 0: there was no memory. */
void call_answer(struct call *call, int32_t op, slot_render render);
/* The reply is an error; code gives the word it starts with. */
void call_fail(struct call *call, enum tide_code code, const char *format, ...) PRINTF_LIKE(3, 4);
/* With a word that Redis has and our codes have not. */
void call_fail_word(struct call *call, const char *word, const char *format, ...) PRINTF_LIKE(3, 4);
/* A word as an error message can show it. */
#define SHOWN_SIZE 96
const char *call_show(char room[SHOWN_SIZE], struct slice word);
/* Strict numbers; false: an error was answered that calls the number `what`. */
MUST_CHECK bool call_u64(struct call *call, size_t word, const char *what, uint64_t max,
                         uint64_t *out);

#endif
