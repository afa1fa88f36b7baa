/* simnet: links, units, listeners. A link is one end; the other end is its peer. The units that an
 * end sends wait in its own queue until they are delivered to the peer. */
#include "sim/simnet.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/assert.h"

enum link_state {
    LINK_CONNECTING,
    LINK_OPEN,
    LINK_ENDING, /* closed() is scheduled */
    LINK_CLOSED,
    LINK_DEAD, /* made by or left by a process that died: calls do nothing */
};

struct unit {
    struct unit *next;
    uint64_t arrives_ns;
    uint64_t stuck_since_ns; /* 0: not held back by a cut */
    size_t size;
    size_t delivered;
    bool is_end; /* no bytes: the sender closed or died */
    uint8_t data[];
};

/* A borrowed message that waits for its release. */
struct loan {
    struct loan *next;
    void (*release)(void *release_arg);
    void *arg;
};

struct env_link {
    struct env_link *next; /* of the net */
    struct simnet *net;
    uint32_t node;
    struct env_link *peer;
    const struct env_link_events *events;
    void *arg;
    enum link_state state;
    enum code end_code;
    bool is_paused;
    bool is_ghost;      /* its machine lost power: the peer was told nothing */
    bool is_delivering; /* a deliver event for the head of the queue is scheduled */
    bool was_full;      /* queued was above the low-water mark */
    struct unit *head;
    struct unit *tail;
    size_t queued;
    uint64_t last_arrival_ns;
    struct loan *loans;                /* oldest first */
    char address[SIMNET_ADDRESS_SIZE]; /* of the other side */
};

struct env_listener {
    struct env_listener *next;
    uint32_t node;
    uint16_t port;
    env_accept accept;
    void *arg;
    bool is_closed;
};

#define CUT_RETRY_NS   (200 * NS_PER_MS)
#define STUCK_MIN_NS   (2 * NS_PER_S)
#define STUCK_MAX_NS   (20 * NS_PER_S)
#define CONNECT_MIN_NS (1 * NS_PER_S)
#define CONNECT_MAX_NS (8 * NS_PER_S)

static void schedule_delivery(struct env_link *from);

void simnet_init(struct simnet *net, struct world *world)
{
    *net = (struct simnet){.world = world, .faults = {.delay_mean_ns = NS_PER_MS}};
}

static void free_units(struct env_link *link)
{
    while (link->head != NULL) {
        struct unit *unit = link->head;
        link->head = unit->next;
        free(unit);
    }
    link->tail = NULL;
    link->queued = 0;
}

static void give_back_loans(struct env_link *link)
{
    while (link->loans != NULL) {
        struct loan *loan = link->loans;
        link->loans = loan->next;
        loan->release(loan->arg);
        free(loan);
    }
}

void simnet_fini(struct simnet *net)
{
    while (net->links != NULL) {
        struct env_link *link = net->links;
        net->links = link->next;
        free_units(link);
        ASSERT(link->loans == NULL);
        free(link);
    }
    while (net->listeners != NULL) {
        struct env_listener *listener = net->listeners;
        net->listeners = listener->next;
        free(listener);
    }
}

void simnet_address(uint32_t node, char out[SIMNET_ADDRESS_SIZE])
{
    snprintf(out, SIMNET_ADDRESS_SIZE, "10.0.0.%u:%u", node + 1, SIMNET_PORT);
}

/* Node and port of "10.0.0.x:port"; false: no such node. */
static bool parse_address(const char *address, uint32_t *out_node, uint16_t *out_port)
{
    unsigned host = 0;
    unsigned port = 0;
    if (sscanf(address, "10.0.0.%u:%u", &host, &port) != 2) return false;
    if (host == 0 || host > WORLD_NODES_MAX || port > UINT16_MAX) return false;
    *out_node = host - 1;
    *out_port = (uint16_t)port;
    return true;
}

static struct env_listener *find_listener(const struct simnet *net, uint32_t node, uint16_t port)
{
    for (struct env_listener *l = net->listeners; l != NULL; l = l->next) {
        if (!l->is_closed && l->node == node && l->port == port) return l;
    }
    return NULL;
}

enum code simnet_listen(struct simnet *net, uint32_t node, const char *address, env_accept accept,
                        void *arg, struct env_listener **out, uint16_t *out_port, struct err *e)
{
    uint32_t host = 0;
    uint16_t port = 0;
    if (!parse_address(address, &host, &port) || host != node) {
        return ERR(e, E_INVALID, "listen on %s: not an address of this node", address);
    }
    if (port == 0) port = SIMNET_PORT;
    if (find_listener(net, node, port) != NULL) {
        return ERR(e, E_INUSE, "listen on %s: address in use", address);
    }
    struct env_listener *listener = calloc(1, sizeof(*listener));
    ASSERT(listener != NULL);
    *listener = (struct env_listener){
        .next = net->listeners, .node = node, .port = port, .accept = accept, .arg = arg};
    net->listeners = listener;
    *out = listener;
    *out_port = port;
    return OK;
}

void simnet_unlisten(struct simnet *net, struct env_listener *listener)
{
    if (listener == NULL) return;
    if (listener->is_closed) world_fail(net->world, "env", "a listener is closed twice");
    listener->is_closed = true;
}

static struct env_link *link_new(struct simnet *net, uint32_t node, enum link_state state)
{
    struct env_link *link = calloc(1, sizeof(*link));
    ASSERT(link != NULL);
    *link = (struct env_link){.next = net->links, .net = net, .node = node, .state = state};
    net->links = link;
    return link;
}

struct env_link *simnet_dead_link(struct simnet *net, uint32_t node)
{
    return link_new(net, node, LINK_DEAD);
}

/* --- the end of a link --- */

static void run_link_end(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_link *link = arg;
    if (link->state != LINK_ENDING) return;
    link->state = LINK_CLOSED;
    give_back_loans(link);
    struct err e = {0};
    static const char *const words[] = {"connection reset", "connection refused", "timed out"};
    if (link->end_code != OK) {
        size_t word = link->end_code == E_IO ? 0 : link->end_code == E_CLOSED ? 1 : 2;
        (void)ERR(&e, link->end_code == E_CLOSED ? E_IO : link->end_code, "%s: %s", link->address,
                  words[word]);
    }
    if (link->events != NULL) link->events->closed(link, link->arg, &e);
}

/* Schedule closed() with this code. E_CLOSED stands for refused. */
static void end_link(struct env_link *link, uint64_t delay_ns, enum code code)
{
    if (link->state != LINK_CONNECTING && link->state != LINK_OPEN) return;
    link->state = LINK_ENDING;
    link->end_code = code;
    world_schedule(link->net->world, delay_ns, EVENT_LINK_END, link->node, run_link_end, link,
                   (uint64_t)code);
}

static void reset_both(struct env_link *link)
{
    struct simnet *net = link->net;
    net->world->coverage.resets++;
    uint64_t mean = net->faults.delay_mean_ns;
    struct env_link *ends[] = {link, link->peer};
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        if (ends[i] == NULL) continue;
        free_units(ends[i]);
        end_link(ends[i], world_draw_delay(net->world, STREAM_NET, mean), E_IO);
    }
}

/* --- connecting --- */

static void run_opened(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_link *link = arg;
    if (link->state != LINK_CONNECTING) return;
    link->state = LINK_OPEN;
    link->events->opened(link, link->arg);
}

/* On the listener's node. */
static void run_accept(struct world *w, void *arg, uint64_t number)
{
    struct env_link *from = arg;
    struct simnet *net = from->net;
    uint32_t host = 0;
    uint16_t port = 0;
    if (from->state != LINK_CONNECTING || !parse_address(from->address, &host, &port)) return;
    struct env_listener *listener = find_listener(net, host, port);
    uint64_t delay = world_draw_delay(w, STREAM_NET, net->faults.delay_mean_ns);
    if (listener == NULL) {
        end_link(from, delay, E_CLOSED);
        return;
    }
    struct env_link *link = link_new(net, host, LINK_OPEN);
    snprintf(link->address, sizeof(link->address), "10.0.0.%u:%u", from->node + 1,
             (unsigned)(40000 + number % 20000));
    w->coverage.links++;
    link->peer = from;
    from->peer = link;
    /* Scheduled first, so that the end of this node in its accept callback finds a consistent pair.
     */
    world_schedule(w, delay, EVENT_OPENED, from->node, run_opened, from, number);
    listener->accept(link, link->address, listener->arg, &link->events, &link->arg);
    if (link->events == NULL && world_is_alive(w, host)) {
        world_fail(w, "env", "accept returned no events");
    }
}

static void run_connect(struct world *w, void *arg, uint64_t number)
{
    struct env_link *link = arg;
    struct simnet *net = link->net;
    uint32_t host = 0;
    uint16_t port = 0;
    if (link->state != LINK_CONNECTING) return;
    if (!parse_address(link->address, &host, &port)) {
        end_link(link, 0, E_INVALID);
        return;
    }
    uint64_t delay = world_draw_delay(w, STREAM_NET, net->faults.delay_mean_ns);
    if (net->is_cut[link->node][host] || net->is_cut[host][link->node]) {
        world_schedule(w, CUT_RETRY_NS, EVENT_CONNECT, link->node, run_connect, link, number);
    } else if (world_is_alive(w, host)) {
        world_schedule(w, delay, EVENT_ACCEPT, host, run_accept, link, number);
    } else if (world_draw_chance(w, STREAM_NET, 500000)) {
        end_link(link, delay, E_CLOSED); /* else: silence until the time is out */
    }
}

static void run_connect_timeout(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_link *link = arg;
    if (link->state == LINK_CONNECTING && link->peer == NULL) end_link(link, 0, E_TIMEOUT);
}

struct env_link *simnet_connect(struct simnet *net, uint32_t node, const char *address,
                                const struct env_link_events *events, void *arg)
{
    struct world *w = net->world;
    struct env_link *link = link_new(net, node, LINK_CONNECTING);
    link->events = events;
    link->arg = arg;
    snprintf(link->address, sizeof(link->address), "%s", address);
    uint64_t delay = world_draw_delay(w, STREAM_NET, net->faults.delay_mean_ns);
    uint64_t patience = world_draw_range(w, STREAM_NET, CONNECT_MIN_NS, CONNECT_MAX_NS);
    uint64_t number = random_next(&w->random[STREAM_NET]) % 20000;
    world_schedule(w, delay, EVENT_CONNECT, node, run_connect, link, number);
    world_schedule(w, patience, EVENT_CONNECT, node, run_connect_timeout, link, number);
    return link;
}

/* --- sending --- */

/* At the end, or, when two wait already and neither has begun, before the last one. */
static void add_to_queue(struct env_link *from, struct unit *unit)
{
    struct simnet *net = from->net;
    unit->next = NULL;
    if (from->head == NULL) {
        from->head = unit;
        from->tail = unit;
        return;
    }
    bool may_overtake = from->head->next != NULL && !unit->is_end && !from->tail->is_end;
    if (may_overtake && world_draw_chance(net->world, STREAM_NET, net->faults.reorders)) {
        struct unit *before = from->head;
        while (before->next != from->tail) {
            before = before->next;
        }
        net->world->coverage.reorders++;
        unit->next = from->tail;
        before->next = unit;
        return;
    }
    from->tail->next = unit;
    from->tail = unit;
}

static void push_unit(struct env_link *from, struct unit *unit)
{
    struct simnet *net = from->net;
    uint64_t delay = world_draw_delay(net->world, STREAM_NET, net->faults.delay_mean_ns);
    if (world_draw_chance(net->world, STREAM_NET, net->faults.slow)) delay *= 50;
    unit->arrives_ns = net->world->now_ns + delay;
    if (unit->arrives_ns < from->last_arrival_ns) unit->arrives_ns = from->last_arrival_ns;
    from->last_arrival_ns = unit->arrives_ns;
    add_to_queue(from, unit);
    from->queued += unit->size;
    if (from->queued > SIMNET_LOW_WATER) from->was_full = true;
    schedule_delivery(from);
}

static struct unit *unit_new(const struct slice *pieces, size_t count)
{
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += pieces[i].size;
    }
    struct unit *unit = calloc(1, sizeof(*unit) + size);
    ASSERT(unit != NULL);
    for (size_t i = 0; i < count; i++) {
        if (pieces[i].size == 0) continue;
        memcpy(unit->data + unit->size, pieces[i].data, pieces[i].size);
        unit->size += pieces[i].size;
    }
    return unit;
}

static void run_sent(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_link *link = arg;
    struct loan *loan = link->loans;
    if (loan == NULL) return; /* the link ended and gave everything back */
    link->loans = loan->next;
    loan->release(loan->arg);
    free(loan);
}

static void keep_loan(struct env_link *link, void (*release)(void *), void *arg)
{
    struct loan *loan = calloc(1, sizeof(*loan));
    ASSERT(loan != NULL);
    *loan = (struct loan){.release = release, .arg = arg};
    struct loan **at = &link->loans;
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = loan;
    uint64_t delay = world_draw_delay(link->net->world, STREAM_NET, NS_PER_MS / 5);
    world_schedule(link->net->world, delay, EVENT_SENT, link->node, run_sent, link, 0);
}

void simnet_send(struct env_link *link, const struct slice *pieces, size_t count,
                 void (*release)(void *), void *release_arg)
{
    struct simnet *net = link->net;
    struct world *w = net->world;
    if (link->state == LINK_CLOSED) world_fail(w, "env", "send on a closed link");
    if (link->state == LINK_CONNECTING) world_fail(w, "env", "send on a link not yet opened");
    if (link->state != LINK_OPEN) {
        if (release != NULL) release(release_arg);
        return;
    }
    w->coverage.units++;
    struct unit *unit = unit_new(pieces, count);
    if (release != NULL) keep_loan(link, release, release_arg);
    if (link->peer->state == LINK_DEAD && !link->peer->is_ghost) {
        free(unit); /* its process ended: a reset is on the way */
    } else if (world_draw_chance(w, STREAM_NET, net->faults.drops)) {
        w->coverage.drops++;
        free(unit);
    } else {
        bool is_twice = world_draw_chance(w, STREAM_NET, net->faults.duplicates);
        push_unit(link, unit);
        if (is_twice) {
            w->coverage.duplicates++;
            push_unit(link, unit_new(&(struct slice){unit->data, unit->size}, 1));
        }
    }
}

/* --- delivering: on the receiver's node --- */

static void run_drained(struct world *w, void *arg, uint64_t number)
{
    (void)w;
    (void)number;
    struct env_link *link = arg;
    if (link->state == LINK_OPEN) link->events->drained(link, link->arg);
}

static void count_delivered(struct env_link *from, size_t size)
{
    from->queued -= size;
    if (!from->was_full || from->queued >= SIMNET_LOW_WATER) return;
    from->was_full = false;
    if (from->state == LINK_OPEN) {
        world_schedule(from->net->world, 0, EVENT_DRAINED, from->node, run_drained, from, 0);
    }
}

static void pop_unit(struct env_link *from)
{
    struct unit *unit = from->head;
    from->head = unit->next;
    if (from->head == NULL) from->tail = NULL;
    free(unit);
}

/* Hand the next piece of the head unit over. */
static void deliver(struct env_link *from, struct env_link *to)
{
    struct world *w = from->net->world;
    struct unit *unit = from->head;
    if (unit->is_end) {
        pop_unit(from);
        end_link(to, 0, E_IO);
        return;
    }
    size_t size = unit->size - unit->delivered;
    if (size > 1 && world_draw_chance(w, STREAM_NET, from->net->faults.splits)) {
        w->coverage.splits++;
        size = 1 + (size_t)random_below(&w->random[STREAM_NET], size - 1);
    }
    /* A copy of its own, so that a reader beyond the piece is caught by a sanitizer. */
    uint8_t *piece = malloc(size == 0 ? 1 : size);
    ASSERT(piece != NULL);
    if (size != 0) memcpy(piece, unit->data + unit->delivered, size);
    if (size != 0 && world_draw_chance(w, STREAM_NET, from->net->faults.corruptions)) {
        w->coverage.corruptions++;
        piece[random_below(&w->random[STREAM_NET], size)] ^=
            (uint8_t)(1u << random_below(&w->random[STREAM_NET], 8));
    }
    unit->delivered += size;
    count_delivered(from, size);
    if (unit->delivered == unit->size) pop_unit(from);
    if (size != 0) to->events->received(to, to->arg, slice_of(piece, size));
    free(piece);
}

/* Is the head held back by a cut? Then later, or the link dies. */
static bool is_held_back(struct env_link *from, struct env_link *to)
{
    struct world *w = from->net->world;
    struct unit *unit = from->head;
    if (!from->net->is_cut[from->node][to->node]) return false;
    if (unit->stuck_since_ns == 0) unit->stuck_since_ns = w->now_ns;
    uint64_t patience = world_draw_range(w, STREAM_NET, STUCK_MIN_NS, STUCK_MAX_NS);
    if (w->now_ns - unit->stuck_since_ns > patience) {
        reset_both(from);
    } else {
        unit->arrives_ns = w->now_ns + CUT_RETRY_NS;
        schedule_delivery(from);
    }
    return true;
}

static void run_deliver(struct world *w, void *arg, uint64_t number)
{
    (void)number;
    struct env_link *from = arg;
    struct env_link *to = from->peer;
    from->is_delivering = false;
    if (from->head == NULL) return;
    if (to->state == LINK_CONNECTING) { /* opened comes first */
        from->head->arrives_ns = w->now_ns + NS_PER_MS;
        schedule_delivery(from);
        return;
    }
    if (to->state != LINK_OPEN) {
        free_units(from);
        return;
    }
    if (to->is_paused || is_held_back(from, to)) return;
    deliver(from, to);
    schedule_delivery(from);
}

static void schedule_delivery(struct env_link *from)
{
    struct world *w = from->net->world;
    struct env_link *to = from->peer;
    if (from->is_delivering || from->head == NULL || to->is_paused) return;
    if (!world_is_alive(w, to->node) || to->is_ghost) return;
    uint64_t at = from->head->arrives_ns;
    uint64_t clogged = from->net->clogged_until_ns[from->node][to->node];
    if (at < clogged) at = clogged;
    if (at < w->now_ns) at = w->now_ns;
    at += from->net->reader_delay_ns[to->node];
    uint64_t delay = at > w->now_ns ? at - w->now_ns : 0;
    from->is_delivering = true;
    world_schedule(w, delay, EVENT_DELIVER, to->node, run_deliver, from, from->head->size);
}

size_t simnet_queued(const struct env_link *link)
{
    return link->queued;
}

void simnet_pause(struct env_link *link, bool is_paused)
{
    if (link->state == LINK_CLOSED) world_fail(link->net->world, "env", "pause of a closed link");
    link->is_paused = is_paused;
    if (!is_paused && link->peer != NULL && link->state == LINK_OPEN) schedule_delivery(link->peer);
}

static void send_end(struct env_link *link)
{
    struct unit *unit = unit_new(NULL, 0);
    unit->is_end = true;
    push_unit(link, unit);
}

void simnet_close(struct env_link *link)
{
    struct world *w = link->net->world;
    if (link->state == LINK_CLOSED) world_fail(w, "env", "a closed link is closed again");
    if (link->state != LINK_CONNECTING && link->state != LINK_OPEN) return;
    if (link->peer != NULL && link->peer->state != LINK_DEAD) {
        if (world_draw_chance(w, STREAM_NET, 300000)) free_units(link);
        send_end(link);
    }
    end_link(link, world_draw_delay(w, STREAM_NET, NS_PER_MS / 5), OK);
}

const char *simnet_describe(const struct env_link *link)
{
    return link->address;
}

/* --- lives of nodes --- */

void simnet_node_ends(struct simnet *net, uint32_t node, bool is_power_cut)
{
    for (struct env_listener *l = net->listeners; l != NULL; l = l->next) {
        if (l->node == node) l->is_closed = true;
    }
    for (struct env_link *link = net->links; link != NULL; link = link->next) {
        if (link->node != node || link->state == LINK_CLOSED || link->state == LINK_DEAD) continue;
        give_back_loans(link);
        link->state = LINK_DEAD;
        link->is_ghost = is_power_cut;
        struct env_link *peer = link->peer;
        if (peer == NULL) continue;
        free_units(peer);
        peer->is_delivering = false;
        if (is_power_cut || world_draw_chance(net->world, STREAM_NET, 500000)) free_units(link);
        if (!is_power_cut && (peer->state == LINK_OPEN || peer->state == LINK_CONNECTING)) {
            send_end(link);
        }
    }
}

void simnet_node_begins(struct simnet *net, uint32_t node)
{
    for (struct env_link *link = net->links; link != NULL; link = link->next) {
        if (link->node != node || !link->is_ghost) continue;
        link->is_ghost = false;
        struct env_link *peer = link->peer;
        if (peer == NULL || !world_is_alive(net->world, peer->node)) continue;
        uint64_t delay = world_draw_range(net->world, STREAM_NET, 0, 3 * NS_PER_S);
        free_units(peer);
        end_link(peer, delay, E_IO);
    }
}

/* What is on the way arrives up to some byte, then comes the reset: inside a frame, mostly. */
static void cut_inside(struct env_link *link)
{
    struct simnet *net = link->net;
    struct env_link *ends[] = {link, link->peer};
    net->world->coverage.resets++;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        struct env_link *from = ends[i];
        struct unit *last = from->tail;
        if (last != NULL && !last->is_end && last->size > last->delivered) {
            size_t left = last->size - last->delivered;
            size_t lost = 1 + (size_t)random_below(&net->world->random[STREAM_FAULTS], left);
            last->size -= lost;
            from->queued -= lost;
            net->world->coverage.mid_resets += last->size > 0;
        }
        send_end(from);
    }
}

bool simnet_reset_some_link(struct simnet *net)
{
    size_t count = 0;
    for (struct env_link *link = net->links; link != NULL; link = link->next) {
        if (link->state == LINK_OPEN && link->peer->state == LINK_OPEN) count++;
    }
    if (count == 0) return false;
    size_t chosen = (size_t)random_below(&net->world->random[STREAM_FAULTS], count);
    for (struct env_link *link = net->links; link != NULL; link = link->next) {
        if (link->state != LINK_OPEN || link->peer->state != LINK_OPEN) continue;
        if (chosen-- > 0) continue;
        if (world_draw_chance(net->world, STREAM_FAULTS, 500000)) {
            reset_both(link);
        } else {
            cut_inside(link);
        }
        return true;
    }
    return false;
}
