/* events: the last things that happened to this node that an operator wants to know of, in order: a
 * bounded ring in memory, counted by kind. They are told in status.json, and the server writes each
 * one to its log once. Rare by nature: nothing that happens per record or per batch is an event.
 * Owner: the loop thread. Test: unit.engine.events. */
#ifndef TIDEMARK_ENGINE_EVENTS_H
#define TIDEMARK_ENGINE_EVENTS_H

#include "base/types.h"

struct db;

#define DB_EVENTS_KEPT     256u
#define DB_EVENT_TEXT_SIZE 224u /* with its NUL; longer ones are cut */

/* X(constant, name, level): the name is that of the kind in status.json, in the log and in
 * tidemark_events_total; the level is that of the log line. A new kind is a line here. */
#define DB_EVENT_TABLE(X)                             \
    X(DB_EVENT_ROLE, "role", "info")                  \
    X(DB_EVENT_EPOCH, "epoch", "info")                \
    X(DB_EVENT_RECOVERY, "recovery", "warn")          \
    X(DB_EVENT_RESYNC, "resync", "info")              \
    X(DB_EVENT_REFUSAL, "refusal", "warn")            \
    X(DB_EVENT_LINK, "link", "info")                  \
    X(DB_EVENT_TRUNCATION, "truncation", "warn")      \
    X(DB_EVENT_BOOTSTRAP, "bootstrap", "info")        \
    X(DB_EVENT_SLOT, "slot", "warn")                  \
    X(DB_EVENT_INVALIDATION, "invalidation", "error") \
    X(DB_EVENT_PROMOTION, "promotion", "warn")        \
    X(DB_EVENT_HANDOVER, "handover", "info")          \
    X(DB_EVENT_MEMBER, "member", "info")              \
    X(DB_EVENT_DIVERGENCE, "divergence", "error")     \
    X(DB_EVENT_REPAIR, "repair", "info")              \
    X(DB_EVENT_RUNG, "rung", "warn")                  \
    X(DB_EVENT_CHECKPOINT, "checkpoint", "warn")      \
    X(DB_EVENT_CLOCK, "clock", "warn")                \
    X(DB_EVENT_DURABILITY, "durability", "warn")      \
    X(DB_EVENT_POISONED, "poisoned", "error")         \
    X(DB_EVENT_HALTED, "halted", "error")
enum db_event_kind {
#define X(constant, name, level) constant,
    DB_EVENT_TABLE(X)
#undef X
        DB_EVENT_KIND_COUNT
};
const char *db_event_kind_name(enum db_event_kind kind);
const char *db_event_kind_level(enum db_event_kind kind); /* "info", "warn", "error" */

struct db_event {
    uint64_t number; /* 1, 2, 3 ... since the process opened the directory */
    uint64_t mono_ns;
    int64_t wall_ms;
    enum db_event_kind kind;
    char text[DB_EVENT_TEXT_SIZE];
};

struct db_events {
    struct db_event kept[DB_EVENTS_KEPT];
    uint64_t count; /* ever */
    uint64_t by_kind[DB_EVENT_KIND_COUNT];
};

/* Note that something happened, in one sentence without a full stop. Stamped with the clocks of the
 * env; also written to db->trace. Any time after db->env is set, also while opening. */
void db_event(struct db *db, enum db_event_kind kind, const char *format, ...) PRINTF_LIKE(3, 4);

uint32_t db_events_kept(const struct db_events *events);
/* The i-th kept one, oldest first; i < db_events_kept. */
const struct db_event *db_events_at(const struct db_events *events, uint32_t i);

#endif
