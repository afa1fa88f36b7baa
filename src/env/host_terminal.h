/* host_terminal: keys of a terminal as they are pressed. One user: the main thread. */
#ifndef TIDEMARK_ENV_HOST_TERMINAL_H
#define TIDEMARK_ENV_HOST_TERMINAL_H

#include "base/types.h"

#define HOST_KEY_NONE (-1) /* none in time, or a signal came */
#define HOST_KEY_END  (-2) /* there will be none any more */

/* On: keys of stdin come at once and are not echoed; Ctrl-C stays a signal. Off: as it was before.
 * Does nothing where stdin is no terminal. */
void host_terminal_keys(bool is_on);
/* The next byte of stdin, waiting at most timeout_ms. */
int host_terminal_key(uint32_t timeout_ms);
uint32_t host_terminal_rows(int fd); /* 24 when unknown */

#endif
