/* net: the simulated network: listeners and byte stream links between nodes, as env.h describes
 * them. What one link_send queued is a unit. Units of one direction arrive in order, late, in one
 * or several pieces; a unit may be dropped or arrive twice, whole. A cut direction holds its units
 * back; they arrive after it heals, or the link dies first. Links may be reset at any byte.
 *
 * The end of a process resets its links after what is on the way; a power cut says nothing to
 * anybody until the node is back.
 *
 * Never: calls into a node that is not alive. Owner: the world's thread.
 */
#ifndef TIDEMARK_TESTS_SIM_NET_H
#define TIDEMARK_TESTS_SIM_NET_H

#include "base/error.h"
#include "env/env.h"
#include "sim/world.h"

#define NET_PORT         7402u
#define NET_LOW_WATER    (64 * KIB)
#define NET_ADDRESS_SIZE 32

struct net_faults {
    uint64_t delay_mean_ns;
    uint32_t drops; /* per million units, as the next two */
    uint32_t duplicates;
    uint32_t splits;
    uint32_t slow; /* per million units: 50 times the delay */
};

struct net {
    struct world *world;
    struct net_faults faults;
    bool is_cut[WORLD_NODES_MAX][WORLD_NODES_MAX]; /* from, to */
    struct env_link *links;                        /* all that ever were; freed at the end */
    struct env_listener *listeners;
};

void net_init(struct net *net, struct world *world);
void net_fini(struct net *net);

/* "10.0.0.1:7402" of node 0, and so on. */
void net_address(uint32_t node, char out[NET_ADDRESS_SIZE]);

/* What env.h says of the calls of the same name, made by `node`. */
MUST_CHECK enum code net_listen(struct net *net, uint32_t node, const char *address,
                                env_accept accept, void *arg, struct env_listener **out,
                                uint16_t *out_port, struct err *e);
void net_unlisten(struct net *net, struct env_listener *listener);
struct env_link *net_connect(struct net *net, uint32_t node, const char *address,
                             const struct env_link_events *events, void *arg);
void net_send(struct env_link *link, const struct slice *pieces, size_t count,
              void (*release)(void *release_arg), void *release_arg);
size_t net_queued(const struct env_link *link);
void net_pause(struct env_link *link, bool is_paused);
void net_close(struct env_link *link);
const char *net_describe(const struct env_link *link);
/* A link for a process that is dying: every call on it does nothing. */
struct env_link *net_dead_link(struct net *net, uint32_t node);

/* The process of `node` ended; its memory is still there. Gives back what was borrowed for sending,
 * then forgets its links without calling closed. */
void net_node_ends(struct net *net, uint32_t node, bool is_power_cut);
/* The node is back: what its peers still believe to be links are reset. */
void net_node_begins(struct net *net, uint32_t node);
/* Reset one open link, drawn from the faults stream. False: there is none. */
bool net_reset_some_link(struct net *net);

#endif
