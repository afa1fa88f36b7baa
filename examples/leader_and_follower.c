/* A leader and its follower in one process, without sockets: each database has a thread of its own,
 * and an in-process pair carries the log from one to the other.
 *
 *     leader_and_follower DIR
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tidemark.h>

static void check(enum tide_code code, const struct tide_err *e)
{
    if (code == TIDE_OK) return;
    fprintf(stderr, "%s: %s\n", tide_code_name(code), e->message);
    _Exit(1);
}

static tide_db *open_node(const char *dir, const char *name, const char *follow)
{
    char path[512];
    struct tide_options options = {
        .size = sizeof(options),
        .dir = path,
        .follow = follow,
        .node_id = name,
        .replication_listen = TIDE_TRANSPORT, /* no socket: see tide_listen */
    };
    struct tide_err e;
    tide_db *db = NULL;
    snprintf(path, sizeof(path), "%s-%s", dir, name);
    check(tide_open(&options, &db, NULL, &e), &e);
    return db;
}

int main(int argc, char **argv)
{
    struct tide_err e;
    struct tide_transport *pair;
    if (argc != 2) {
        fprintf(stderr, "usage: %s DIR\n", argv[0]);
        return 2;
    }
    check(tide_transport_pair(0, &pair, &e), &e);
    tide_db *leader = open_node(argv[1], "leader", NULL);
    tide_db *follower = open_node(argv[1], "follower", TIDE_TRANSPORT);
    check(tide_listen(leader, pair, "here", &e), &e);
    check(tide_replicate(follower, pair, "here", &e), &e);

    struct tide_position last = {0};
    for (int i = 0; i < 100; i++) {
        char item[16];
        int size = snprintf(item, sizeof(item), "song-%d", i % 10);
        struct tide_signal view = {.type = {"view", 4}, .item = {item, (size_t)size}};
        check(tide_signal(leader, &view, &last, &e), &e);
    }

    /* The follower shows a write as soon as it has stored and applied it. */
    check(tide_wait_position(follower, &last, 10000, &e), &e);
    uint64_t views;
    check(tide_count(follower, (struct tide_bytes){"view", 4}, (struct tide_bytes){"song-3", 6},
                     (struct tide_bytes){"all", 3}, &views, &e),
          &e);
    printf("the follower counts %llu views of song-3\n", (unsigned long long)views);

    /* Writes go to the leader, and the error says so. */
    struct tide_signal view = {.type = {"view", 4}, .item = {"song-3", 6}};
    if (tide_signal(follower, &view, NULL, &e) != TIDE_READONLY) return 1;
    printf("refused: %s\n", e.message);

    /* Equal positions mean equal states, bit for bit. */
    struct tide_digest a;
    struct tide_digest b;
    check(tide_digest_now(leader, &a, &e), &e);
    check(tide_wait_position(follower, &(struct tide_position){.seqno = a.seqno}, 10000, &e), &e);
    check(tide_digest_now(follower, &b, &e), &e);
    bool is_equal = a.seqno == b.seqno && memcmp(a.root, b.root, sizeof(a.root)) == 0;
    printf("states are %s\n", is_equal ? "equal" : "different");

    check(tide_close(follower, 5000, &e), &e);
    check(tide_close(leader, 5000, &e), &e);
    tide_transport_free(pair); /* after the last database that uses it */
    return is_equal ? 0 : 1;
}
