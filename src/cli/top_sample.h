/* top_sample: what `top` knows of a node at one moment, taken from its replies, and how it is
 * shown, alone or beside the sample before it. Pure but for the stream it prints to. */
#ifndef TIDEMARK_CLI_TOP_SAMPLE_H
#define TIDEMARK_CLI_TOP_SAMPLE_H

#include <stdio.h>

#include "cli/cli.h"
#include "cli/resp.h"

#define TOP_TEXT_SIZE     128
#define TOP_FOLLOWERS_MAX 64
#define TOP_EVENTS_MAX    4

/* X(constant, name, field of INFO; NULL: comes from elsewhere, is worth a rate) */
#define TOP_NUMBERS(X)                                           \
    X(DURABLE, "durable_seqno", NULL, true)                      \
    X(APPLIED, "applied_seqno", NULL, true)                      \
    X(ITEMS, "items", NULL, false)                               \
    X(OLDEST, "oldest_seqno", "log_oldest_seqno", false)         \
    X(COMMANDS, "commands", "total_commands_processed", true)    \
    X(ERRORS, "errors", "total_error_replies", true)             \
    X(NET_IN, "received_bytes", "total_net_input_bytes", true)   \
    X(NET_OUT, "sent_bytes", "total_net_output_bytes", true)     \
    X(CLIENTS, "clients", "connected_clients", false)            \
    X(MEMORY, "memory_bytes", "used_memory", false)              \
    X(LOG_BYTES, "log_bytes", "log_bytes", true)                 \
    X(LOG_SEGMENTS, "log_segments", "log_segments", false)       \
    X(CHECKPOINT, "checkpoint_seqno", "checkpoint_seqno", false) \
    X(DISK_FREE, "disk_free_bytes", "disk_free_bytes", false)    \
    X(UPTIME_S, "uptime_seconds", "uptime_in_seconds", false)

enum top_number {
#define X(constant, name, info, is_rate) TOP_##constant,
    TOP_NUMBERS(X)
#undef X
        TOP_NUMBER_COUNT
};

/* X(constant, field of REPL.STATUS) */
#define TOP_TEXTS(X)            \
    X(ROLE, "role")             \
    X(ID, "id")                 \
    X(STATE, "state")           \
    X(REASON, "reason")         \
    X(EPOCH, "epoch")           \
    X(POSITION, "applied")      \
    X(DURABLE_TOKEN, "durable") \
    X(LEADER, "leader")         \
    X(LINK, "link")             \
    X(LAG_SECONDS, "lag_seconds")

enum top_text {
#define X(constant, name) TOP_TEXT_##constant,
    TOP_TEXTS(X)
#undef X
        TOP_TEXT_COUNT
};

/* X(constant, field of a follower) */
#define TOP_FOLLOWER_TEXTS(X)           \
    X(ID, "id")                         \
    X(STATE, "state")                   \
    X(LAG_RECORDS, "lag_records")       \
    X(LAG_BYTES, "lag_bytes")           \
    X(LAG_SECONDS, "lag_seconds")       \
    X(APPLIED, "applied")               \
    X(UNTIL_LOST, "seconds_until_lost") \
    X(ADDRESS, "address")

enum top_follower_text {
#define X(constant, name) TOP_FOLLOWER_##constant,
    TOP_FOLLOWER_TEXTS(X)
#undef X
        TOP_FOLLOWER_TEXT_COUNT
};

/* A text is "" where the node did not tell it: nil and absent are the same. */
struct top_follower {
    char texts[TOP_FOLLOWER_TEXT_COUNT][TOP_TEXT_SIZE];
};

struct top_event {
    char ago[CLI_COUNT_SIZE];
    char kind[TOP_TEXT_SIZE];
    char text[2 * TOP_TEXT_SIZE];
};

struct top_sample {
    uint64_t taken_ns; /* monotonic */
    int64_t wall_ms;
    uint64_t numbers[TOP_NUMBER_COUNT];
    char texts[TOP_TEXT_COUNT][TOP_TEXT_SIZE];
    struct top_follower followers[TOP_FOLLOWERS_MAX];
    uint32_t follower_count; /* as told; at most TOP_FOLLOWERS_MAX of them are kept */
    struct top_event events[TOP_EVENTS_MAX]; /* the newest, newest last */
    uint32_t event_count;
};

/* Replies to REPL.STATUS and INFO; the other fields are the caller's. */
void top_sample_take_status(struct top_sample *s, const struct resp_value *status);
void top_sample_take_info(struct top_sample *s, struct slice info);

/* For people. before NULL: without rates. address is what was asked. */
void top_sample_print(const struct top_sample *s, const struct top_sample *before,
                      const char *address, const struct cli_paint *paint, FILE *to);
/* One JSON object on one line. */
void top_sample_print_json(const struct top_sample *s, const struct top_sample *before, FILE *to);

#endif
