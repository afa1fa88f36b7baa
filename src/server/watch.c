/* watch: see watch.h. */
#include "server/watch.h"

#include "base/text.h"
#include "server/logger.h"
#include "server/now.h"
#include "server/service.h"

enum { ASK_EVERY_S = 1, COMPLAIN_EVERY_S = 10, STUCK_S = 10 };

bool watch_init(struct watch *w, struct service *service)
{
    *w = (struct watch){.service = service, .run = tide_run_new(), .is_first = true};
    return w->run != NULL;
}

void watch_fini(struct watch *w)
{
    if (w->run != NULL) tide_run_free(w->run);
    w->run = NULL;
}

static void on_done(tide_run *run, void *arg)
{
    (void)run;
    struct watch *w = arg;
    struct service *service = w->service;
    /* Release: the results are seen by who sees the flag. */
    atomic_store_explicit(&w->is_done, true, memory_order_release);
    service->hooks.wake(service);
}

void watch_tick(struct watch *w)
{
    uint64_t now_ns = now_mono_ns();
    if (w->is_in_flight) {
        if (!w->is_stuck_told && now_ns - w->asked_ns > STUCK_S * NS_PER_S) {
            w->is_stuck_told = true;
            LOG(LOG_ERROR, "the database does not answer", LOG_U64("seconds", STUCK_S));
        }
        return;
    }
    tide_db *database = atomic_load_explicit(&w->service->database, memory_order_acquire);
    if (database == NULL || now_ns - w->asked_ns < ASK_EVERY_S * NS_PER_S) return;
    w->asked_ns = now_ns;
    tide_run_reset(w->run);
    atomic_store_explicit(&w->is_done, false, memory_order_relaxed);
    if (tide_run_status(w->run) < 0) return;
    w->is_in_flight = tide_submit(database, w->run, on_done, w) == TIDE_OK;
}

static void look_at_link(struct watch *w, const struct tide_status *s)
{
    if (s->role != TIDE_ROLE_FOLLOWER) return;
    uint64_t now_ns = now_mono_ns();
    if (s->is_link_up && !w->was_link_up) {
        LOG(LOG_INFO, "following", LOG_TEXT("leader", s->leader_replication_address),
            LOG_U64("applied", s->applied.seqno));
    }
    bool is_news = w->was_link_up || w->is_first;
    bool is_due = now_ns - w->complained_ns >= COMPLAIN_EVERY_S * NS_PER_S;
    if (!s->is_link_up && (is_news || is_due)) {
        w->complained_ns = now_ns;
        LOG(LOG_WARN, "not connected to the leader",
            LOG_TEXT("leader", s->leader_replication_address), LOG_TEXT("link", s->link_state));
    }
    w->was_link_up = s->is_link_up;
}

static enum log_level level_of(const char *word)
{
    if (strcmp(word, "error") == 0) return LOG_ERROR;
    return strcmp(word, "warn") == 0 ? LOG_WARN : LOG_INFO;
}

/* Each event once, in order; those that were overwritten between two looks are counted. */
static void look_at_events(struct watch *w, const struct tide_status *s)
{
    for (uint32_t i = 0; i < s->event_count; i++) {
        const struct tide_event *event = &s->events[i];
        if (event->number <= w->event) continue;
        if (event->number > w->event + 1) {
            LOG(LOG_WARN, "events were lost: too many in a second",
                LOG_U64("count", event->number - w->event - 1));
        }
        w->event = event->number;
        LOG(level_of(event->level), "event", LOG_TEXT("kind", event->kind),
            LOG_U64("number", event->number), LOG_TEXT("text", event->text));
    }
}

static void look_at(struct watch *w, const struct tide_status *s)
{
    w->service->is_follower = s->role == TIDE_ROLE_FOLLOWER;
    if (strcmp(w->state, s->state) != 0) {
        bool is_good = strcmp(s->state, "serving") == 0 || strcmp(s->state, "syncing") == 0 ||
                       strcmp(s->state, "rebootstrapping") == 0;
        LOG(is_good ? LOG_INFO : LOG_ERROR, "state", LOG_TEXT("state", s->state),
            LOG_TEXT("reason", s->reason));
        struct text t = text_of(w->state, sizeof(w->state));
        text_add(&t, "%s", s->state);
    }
    look_at_events(w, s);
    look_at_link(w, s);
    w->is_first = false;
}

void watch_look(struct watch *w)
{
    if (!w->is_in_flight || !atomic_load_explicit(&w->is_done, memory_order_acquire)) return;
    w->is_in_flight = false;
    w->is_stuck_told = false;
    const struct tide_result *result = tide_run_result(w->run, 0);
    if (result != NULL && result->code == TIDE_OK) look_at(w, result->as.status);
}
