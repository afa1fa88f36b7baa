/* client: the people of a simulated history. Each client has at most one run in flight: it writes
 * to the leader (single signals, atomic lists, groups, numbered by a producer, with and without
 * keys), reads from any node, waits for followers, asks for digests, checkpoints, seals and status.
 * What has no known outcome is sent again with the same key until it has one. Every answer goes to
 * the model and the checks.
 *
 * Owner: the world's thread. A run lives from submit to its callback, or to the death of its node.
 */
#ifndef TIDEMARK_TESTS_SIM_CLIENT_H
#define TIDEMARK_TESTS_SIM_CLIENT_H

#include "sim/cluster.h"

void clients_init(struct cluster *c);
void clients_fini(struct cluster *c);
/* Schedule the first turn of every client. */
void clients_begin(struct cluster *c);
/* The node's process ended: its runs go back to their clients with unknown outcome. */
void client_orphan_runs(struct cluster *c, uint32_t node);
/* How long some run on the node is in flight that should have an answer by now; 0: none. */
uint64_t client_overdue_ns(const struct cluster *c, uint32_t node);
/* At the end: ask the node for everything the model can foretell. Answers come by and by;
 * client_audits_pending counts the missing ones. */
void client_audit(struct cluster *c, uint32_t node);
/* Ask for the digest of the moment only. */
void client_digest(struct cluster *c, uint32_t node);
uint32_t client_audits_pending(const struct cluster *c);

#endif
