/* play: what scripts of the simulated world are made of: time passes, everything agrees, everything
 * is compared with the model. Each ends early when a law is broken. */
#ifndef TIDEMARK_TESTS_SIM_PLAY_H
#define TIDEMARK_TESTS_SIM_PLAY_H

#include "sim/cluster.h"

void play_until(struct cluster *c, uint64_t until_ns);
void play_for(struct cluster *c, uint64_t ns);
/* Clients stop asking for new things; wait until everything agrees. */
void play_settle(struct cluster *c);
/* Ask every node for everything the model can foretell. */
void play_audit(struct cluster *c);

#endif
