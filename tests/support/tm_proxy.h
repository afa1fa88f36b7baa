/* tm_proxy: a wire between two nodes that a test can hold and cut: a TCP proxy on loopback with a
 * thread of its own. Held, it forwards nothing and keeps the connections up; cut, it closes them
 * and takes no new ones. */
#ifndef TIDEMARK_TESTS_SUPPORT_TM_PROXY_H
#define TIDEMARK_TESTS_SUPPORT_TM_PROXY_H

#include <stdbool.h>

struct tm_proxy;

/* Listen on a free port and forward to target, "127.0.0.1:port". Ends the program on failure. */
struct tm_proxy *tm_proxy_start(const char *target);
void tm_proxy_stop(struct tm_proxy *p); /* NULL is allowed */
/* "127.0.0.1:port", valid until stop. */
const char *tm_proxy_address(const struct tm_proxy *p);

/* From the next connection on forward to another target. */
void tm_proxy_retarget(struct tm_proxy *p, const char *target);
/* Hold what the side that connects sends (uplink), what the other one sends (downlink), or both. */
void tm_proxy_hold(struct tm_proxy *p, bool is_uplink_held, bool is_downlink_held);
void tm_proxy_cut(struct tm_proxy *p, bool is_cut);
/* Turn one bit of what the target sends next. */
void tm_proxy_flip(struct tm_proxy *p);

#endif
