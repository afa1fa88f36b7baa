/* events: see events.h. */
#include "engine/events.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/assert.h"
#include "engine/db.h"

static const struct {
    const char *name;
    const char *level;
} kinds[] = {
#define X(constant, name, level) [constant] = {name, level},
    DB_EVENT_TABLE(X)
#undef X
};

const char *db_event_kind_name(enum db_event_kind kind)
{
    ASSERT(kind < DB_EVENT_KIND_COUNT);
    return kinds[kind].name;
}

const char *db_event_kind_level(enum db_event_kind kind)
{
    ASSERT(kind < DB_EVENT_KIND_COUNT);
    return kinds[kind].level;
}

void db_event(struct db *db, enum db_event_kind kind, const char *format, ...)
{
    struct db_events *events = &db->events;
    struct db_event *event = &events->kept[events->count % DB_EVENTS_KEPT];
    ASSERT(kind < DB_EVENT_KIND_COUNT);
    *event = (struct db_event){
        .number = ++events->count,
        .mono_ns = db->env->v->now_mono_ns(db->env),
        .wall_ms = db->env->v->now_wall_ms(db->env),
        .kind = kind,
    };
    events->by_kind[kind]++;
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(event->text, sizeof(event->text), format, arguments); /* cut when too long */
    va_end(arguments);
    trace_add(&db->trace, event->mono_ns, "%s: %s", kinds[kind].name, event->text);
}

uint32_t db_events_kept(const struct db_events *events)
{
    return events->count < DB_EVENTS_KEPT ? (uint32_t)events->count : DB_EVENTS_KEPT;
}

const struct db_event *db_events_at(const struct db_events *events, uint32_t i)
{
    ASSERT(i < db_events_kept(events));
    uint64_t first = events->count - db_events_kept(events);
    return &events->kept[(first + i) % DB_EVENTS_KEPT];
}
