/* thread_nodes: databases with threads of their own, a leader and a follower on loopback, for tests
 * of what happens between two running nodes. Intervals are short; every wait has an end. */
#ifndef TIDEMARK_TESTS_SUPPORT_THREAD_NODES_H
#define TIDEMARK_TESTS_SUPPORT_THREAD_NODES_H

#include "engine/db.h"
#include "support/node.h"

double seconds_now(void);
void rest_ms(unsigned ms);
#define WAIT_UNTIL(condition)                                                         \
    for (double wait_end_ = seconds_now() + 30.0; !(condition); rest_ms(2)) {         \
        if (seconds_now() > wait_end_) fail_msg("waited in vain for %s", #condition); \
    }

struct thread_pair {
    char *leader_dir;
    char *follower_dir;
    tide_db *leader;
    tide_db *follower;
    struct tide_transport *transport; /* NULL: TCP */
    uint64_t written;                 /* of the tests' own use */
};
struct thread_pair *thread_pair_new(void);
void thread_pair_free(struct thread_pair *p); /* closes what is open */
/* For cmocka. */
int thread_pair_setup(void **state);
int thread_pair_teardown(void **state);
/* A leader, and a follower of it, over TCP or over an in-process pair. */
void thread_pair_open(struct thread_pair *p);
void thread_pair_open_over_pair(struct thread_pair *p);
/* One node on a folder; follow NULL: it leads. listen: "127.0.0.1:0" or a fixed address. */
tide_db *thread_node_open(const char *dir, const char *id, const char *follow, const char *listen);
/* The address at which others replicate from it. */
void thread_node_address(tide_db *db, char out[64]);
bool thread_pair_is_level(const struct thread_pair *p);
void thread_pair_check_digests(const struct thread_pair *p);
uint64_t thread_node_applied(tide_db *db); /* 0 while it cannot tell */
/* Does the follower's link_state have these words? */
bool thread_node_link_says(tide_db *db, const char *words);

/* Run fn on the node's loop and wait for its return. */
void thread_node_call(tide_db *db, void (*fn)(struct db *db, void *arg), void *arg);
/* Open the node's data anew with this change (NULL: none), wait for the end; asserts success. */
void thread_node_reopen(tide_db *db, void (*change)(struct db *db, void *arg), void *arg);

/* A thread that writes signals "view" "load", one after the other; LOADING and UNKNOWN are tried
 * again and counted as not written. Returns how many were acknowledged. */
struct thread_load;
struct thread_load *thread_load_start(tide_db *db);
uint64_t thread_load_stop(struct thread_load *load);

#endif
