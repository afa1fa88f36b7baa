/* steps_net: a network between steps envs of one thread: what is sent, opened and closed waits in
 * one queue until the test takes the next of it, and may change the bytes on their way. A connect
 * finds whoever listens at exactly that address.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_STEPS_NET_H
#define TIDEMARK_TESTS_SUPPORT_STEPS_NET_H

#include "env/env.h"

struct steps_net;

/* One at a time in a process. Ends the program without memory. */
struct steps_net *steps_net_new(void);
void steps_net_free(struct steps_net *net); /* after all have left */
/* Before the env's database opens. */
void steps_net_join(struct steps_net *net, struct env *env);
/* The process of this env ended: its peers are told, it hears nothing any more. */
void steps_net_leave(struct steps_net *net, struct env *env);

/* What happens to bytes on their way to `to`: pass on whatever shall arrive by deliver, in any
 * number of pieces. NULL: they arrive as sent. */
typedef void (*steps_net_filter)(void *arg, struct env *to, struct slice bytes,
                                 void (*deliver)(void *carry, struct slice bytes), void *carry);
/* Carry out what waits longest. False: nothing does. */
bool steps_net_step(struct steps_net *net, steps_net_filter filter, void *arg);

#endif
