/* simnet: the simulated network: listeners and byte stream links between nodes, as env.h describes
 * them. What one link_send queued is a unit. Units of one direction arrive in order, late, in one
 * or several pieces; a unit may be dropped or arrive twice, whole. A cut direction holds its units
 * back; they arrive after it heals, or the link dies first. Links may be reset at any byte.
 *
 * The end of a process resets its links after what is on the way; a power cut says nothing to
 * anybody until the node is back.
 *
 * Never: calls into a node that is not alive. Owner: the world's thread.
 */
#ifndef TIDEMARK_TESTS_SIM_SIMNET_H
#define TIDEMARK_TESTS_SIM_SIMNET_H

#include "base/error.h"
#include "env/env.h"
#include "sim/world.h"

#define SIMNET_PORT         7402u
#define SIMNET_LOW_WATER    (64 * KIB)
#define SIMNET_ADDRESS_SIZE 32

struct simnet_faults {
    uint64_t delay_mean_ns;
    uint32_t drops; /* per million units, as the next two */
    uint32_t duplicates;
    uint32_t splits;
    uint32_t reorders;    /* per million: a unit overtakes the one before it */
    uint32_t slow;        /* per million units: 50 times the delay */
    uint32_t corruptions; /* per million pieces delivered: one bit inverted */
};

struct simnet {
    struct world *world;
    struct simnet_faults faults;
    bool is_cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    /* Nothing arrives before: the direction is clogged, but nobody gives the link up for it. */
    uint64_t clogged_until_ns[WORLD_NODES_MAX][WORLD_NODES_MAX];
    uint64_t reader_delay_ns[WORLD_NODES_MAX]; /* the node takes so long for every piece */
    struct env_link *links;                    /* all that ever were; freed at the end */
    struct env_listener *listeners;
};

void simnet_init(struct simnet *net, struct world *world);
void simnet_fini(struct simnet *net);

/* "10.0.0.1:7402" of node 0, and so on. */
void simnet_address(uint32_t node, char out[SIMNET_ADDRESS_SIZE]);

/* What env.h says of the calls of the same name, made by `node`. */
MUST_CHECK enum code simnet_listen(struct simnet *net, uint32_t node, const char *address,
                                   env_accept accept, void *arg, struct env_listener **out,
                                   uint16_t *out_port, struct err *e);
void simnet_unlisten(struct simnet *net, struct env_listener *listener);
struct env_link *simnet_connect(struct simnet *net, uint32_t node, const char *address,
                                const struct env_link_events *events, void *arg);
void simnet_send(struct env_link *link, const struct slice *pieces, size_t count,
                 void (*release)(void *release_arg), void *release_arg);
size_t simnet_queued(const struct env_link *link);
void simnet_pause(struct env_link *link, bool is_paused);
void simnet_close(struct env_link *link);
const char *simnet_describe(const struct env_link *link);
/* A link for a process that is dying: every call on it does nothing. */
struct env_link *simnet_dead_link(struct simnet *net, uint32_t node);

/* The process of `node` ended; its memory is still there. Gives back what was borrowed for sending,
 * then forgets its links without calling closed. */
void simnet_node_ends(struct simnet *net, uint32_t node, bool is_power_cut);
/* The node is back: what its peers still believe to be links are reset. */
void simnet_node_begins(struct simnet *net, uint32_t node);
/* Reset one open link, drawn from the faults stream. False: there is none. */
bool simnet_reset_some_link(struct simnet *net);

#endif
