/* topology: the members of a cluster as its leader sees them, and a version that moves exactly when
 * clients have to look again.
 *
 * The version grows by one whenever a member joins or is dropped, or its role, voting right,
 * region, addresses, health or copying changes; never for a reconnect, an ack or a lag. Health
 * follows what is seen with a delay: a member is down, or up again, only when that was so for the
 * whole time given, so that a link that is made again changes nothing.
 *
 * A member that is not seen any more stays, down, until it is dropped. Pure; never allocates.
 */
#ifndef TIDEMARK_CORE_TOPOLOGY_H
#define TIDEMARK_CORE_TOPOLOGY_H

#include "base/types.h"
#include "format/wire.h"

#define TOPOLOGY_MAX (MEMBERS_MAX + 1u) /* the leader, and as many followers as have slots */

struct topology_member {
    char node_id[NODE_ID_SIZE_MAX + 1];
    char data_address[ADDRESS_SIZE_MAX + 1];
    char http_address[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1];
    uint16_t region;
    uint8_t role;   /* enum role */
    uint8_t health; /* enum wire_health */
    bool is_voter;
    bool is_rebootstrapping;
    uint64_t lag_records;      /* WIRE_LAG_UNKNOWN: not known */
    uint64_t differs_since_ns; /* seen otherwise than `health` says since then; 0: it is not */
};

struct topology {
    uint64_t version;
    uint32_t count;
    struct topology_member members[TOPOLOGY_MAX];
};

/* What the leader sees now: itself first. health of `seen` is what the link says this moment.
 * An empty address leaves the one that is known. True: the version moved. */
bool topology_see(struct topology *t, const struct topology_member *seen, uint32_t count,
                  uint64_t now_ns, uint64_t delay_ns);
/* False: there is no such member. */
bool topology_drop(struct topology *t, struct slice node_id);
/* Index, or UINT32_MAX. */
uint32_t topology_find(const struct topology *t, struct slice node_id);
/* When topology_see should look again though nothing happens: a health is about to change.
 * UINT64_MAX: never. */
uint64_t topology_due_ns(const struct topology *t, uint64_t delay_ns);

/* As a message, written into bytes; fails the writer when it is too small. */
void topology_encode(const struct topology *t, struct bytes_writer *w, struct wire_members *out);
/* From a message that wire_decode checked. */
void topology_decode(struct topology *t, const struct wire_members *m);

#endif
