/* error: one table of outcome codes, and a small struct that carries what happened.
 * A failure of the world is an enum code plus struct err, filled once where it was born.
 * Codes and their numbers equal enum tide_code of the public header (checked in engine/api.c).
 */
#ifndef TIDEMARK_BASE_ERROR_H
#define TIDEMARK_BASE_ERROR_H

#include "base/types.h"

/* Who has to act. The class decides retry or not; nobody switches on message text. */
enum err_class {
    CLASS_NONE,       /* success */
    CLASS_CALLER,     /* the request is wrong; the same request fails again */
    CLASS_RETRY,      /* not now; the same request may work later or elsewhere */
    CLASS_UNKNOWN,    /* the outcome is not known; ask about the position given */
    CLASS_WORLD,      /* disk, network, memory, OS */
    CLASS_CORRUPTION, /* stored or received bytes are damaged */
};

/* X(constant, number, wire word, class, meaning). Numbers are never reused. */
#define ERROR_TABLE(X)                                                                           \
    X(OK, 0, "OK", CLASS_NONE, "done")                                                           \
    X(E_INVALID, 1, "ERR", CLASS_CALLER, "the request is malformed or an argument is wrong")     \
    X(E_SCHEMA, 2, "SCHEMA", CLASS_CALLER, "an unknown type, field or profile is named")         \
    X(E_LIMIT, 3, "LIMIT", CLASS_CALLER, "a value or size is outside the documented limit")      \
    X(E_NOTFOUND, 4, "NOTFOUND", CLASS_CALLER, "the thing named does not exist")                 \
    X(E_READONLY, 5, "READONLY", CLASS_CALLER, "a write reached a node that takes no writes")    \
    X(E_UNSUPPORTED, 6, "ERR", CLASS_CALLER, "the option or command is not in this version")     \
    X(E_GAP, 7, "ERR", CLASS_CALLER, "a sequence number skips ahead of the next expected one")   \
    X(E_STALE, 8, "STALE", CLASS_RETRY, "the node cannot prove the freshness asked for")         \
    X(E_LOST, 9, "LOST", CLASS_CALLER, "the write was lost in a change of epoch")                \
    X(E_DURABILITY, 10, "DURABILITY", CLASS_UNKNOWN, "the durability level was not reached")     \
    X(E_UNKNOWN, 11, "UNKNOWN", CLASS_UNKNOWN, "the outcome of the write is unknown")            \
    X(E_BUSY, 12, "BUSY", CLASS_RETRY, "a queue or table is full; try again")                    \
    X(E_DISKFULL, 13, "DISKFULL", CLASS_WORLD, "the disk has no room for the write")             \
    X(E_NOMEMORY, 14, "OOM", CLASS_WORLD, "memory_max or the allocator refuses")                 \
    X(E_POISONED, 15, "POISONED", CLASS_WORLD, "a log write failed; restart recovers")           \
    X(E_DIVERGED, 16, "DIVERGED", CLASS_CORRUPTION, "this node's history is not the leader's")   \
    X(E_HALTED, 17, "HALTED", CLASS_CORRUPTION, "apply met a record it cannot apply")            \
    X(E_IDINUSE, 18, "IDINUSE", CLASS_CALLER, "another live node uses this node id")             \
    X(E_NOAUTH, 19, "NOAUTH", CLASS_CALLER, "authentication is needed")                          \
    X(E_NOPERM, 20, "NOPERM", CLASS_CALLER, "the role does not allow this")                      \
    X(E_LOADING, 21, "LOADING", CLASS_RETRY, "the node is still opening its data")               \
    X(E_IO, 22, "ERR", CLASS_WORLD, "an input or output operation failed")                       \
    X(E_CORRUPT, 23, "ERR", CLASS_CORRUPTION, "stored or received bytes do not verify")          \
    X(E_ROTTEN, 24, "ERR", CLASS_CORRUPTION, "an acknowledged record is damaged")                \
    X(E_FORMAT, 25, "ERR", CLASS_CALLER, "a newer or unknown format version")                    \
    X(E_WRONG_CLUSTER, 26, "ERR", CLASS_CALLER, "the data belongs to another cluster or stream") \
    X(E_INUSE, 27, "ERR", CLASS_CALLER, "the data directory or port is in use")                  \
    X(E_NOT_KEPT, 28, "ERR", CLASS_CALLER, "the log no longer keeps the records asked for")      \
    X(E_FENCED, 29, "ERR", CLASS_CALLER, "a lower epoch was refused")                            \
    X(E_CLOSED, 30, "ERR", CLASS_RETRY, "the database is closing")                               \
    X(E_TIMEOUT, 31, "ERR", CLASS_RETRY, "the deadline passed")                                  \
    X(E_EXISTS, 32, "ERR", CLASS_CALLER, "the thing to be made exists already")                  \
    X(E_PROTOCOL, 33, "ERR", CLASS_CALLER, "the peer breaks the protocol")                       \
    X(E_NOPROTO, 34, "NOPROTO", CLASS_CALLER, "the protocol version is not spoken")              \
    X(E_REFUSED, 35, "REFUSED", CLASS_CALLER, "refused for safety; force or acceptance is needed")

enum code {
#define X(constant, number, word, class, meaning) constant = number,
    ERROR_TABLE(X)
#undef X
};

#define ERR_TEXT_SIZE 320

struct err {
    enum code code;
    char text[ERR_TEXT_SIZE]; /* one sentence, no code word, NUL-terminated */
    const char *origin;       /* "file:line" of the birth place, static */
};

/* Fill e (may be NULL) and return code. A message longer than the buffer is cut. */
enum code err_fill(struct err *e, enum code code, const char *origin, const char *format, ...)
    PRINTF_LIKE(4, 5);

#define ERR_STRING_(x) #x
#define ERR_STRING(x)  ERR_STRING_(x)
/* Born here: ERR(e, E_LIMIT, "key of %zu bytes, limit is %d", size, KEY_SIZE_MAX). Its value is the
 * code itself, not err_fill's answer, so that analysers see that TRY returns. */
#define ERR(e, code, ...) \
    (err_fill((e), (code), __FILE__ ":" ERR_STRING(__LINE__), __VA_ARGS__), (code))

/* Return on error; only where nothing needs cleanup. */
#define TRY(expression)                        \
    do {                                       \
        enum code try_code_ = (expression);    \
        if (try_code_ != OK) return try_code_; \
    } while (0)

/* The word that starts an error line on the wire, e.g. "READONLY"; never NULL. */
const char *code_word(enum code code);
/* The constant's name without prefix, e.g. "ROTTEN"; never NULL. */
const char *code_name(enum code code);
const char *code_meaning(enum code code);
enum err_class code_class(enum code code);

#endif
