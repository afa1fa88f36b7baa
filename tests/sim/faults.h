/* faults: the adversary: decides when and what goes wrong, within what the plan allows, and puts
 * everything right again at the end. Draws from the faults and clocks streams only.
 */
#ifndef TIDEMARK_TESTS_SIM_FAULTS_H
#define TIDEMARK_TESTS_SIM_FAULTS_H

#include "sim/cluster.h"

/* Set the failure rates of disks and links, and schedule the first mishap. */
void faults_begin(struct cluster *c);
/* Heal the links of all but whom an operator keeps apart. */
void faults_heal_links(struct cluster *c);
/* Heal every link, free every disk, wake every process, plan no more deaths. Nodes that are down
 * come back by themselves. */
void faults_end(struct cluster *c);

/* Some file below `folder` ("": any) that has bytes, the log's likelier; NULL: there is none. */
const char *faults_draw_path(struct cluster *c, const struct disk *d, const char *folder);
/* What the node showed counts no more: its disk is another one, or lied. */
void faults_forget_past(struct cluster_node *n);

/* Single mishaps, for scripted stories. The node must not be the leader for the first two. */
void faults_wipe(struct cluster *c, uint32_t node);
void faults_restore(struct cluster *c, uint32_t node, const struct disk *copy);

#endif
