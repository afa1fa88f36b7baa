/* settings: what `serve` can be told, from one table: key, flag, kind, default, help. A value comes
 * from the default, the configuration file, the environment (TIDEMARK_<KEY>) or a flag; the later
 * one of these wins. Nothing unknown, doubled or out of range passes: it is refused with the place,
 * the reason and the nearest known name. Keys whose function this version does not have are known,
 * and refused when they say anything but the default.
 *
 * A file has lines `key = value`; "#" starts a comment at the start of a line or after a space.
 * What --print-config prints is such a file.
 */
#ifndef TIDEMARK_CLI_SETTINGS_H
#define TIDEMARK_CLI_SETTINGS_H

#include <stdio.h>

#include "base/error.h"
#include "cli/cli.h"
#include "server/server.h"

enum setting_kind {
    SETTING_TEXT,
    SETTING_ADDRESS, /* HOST:PORT of another node or of this one as others see it */
    SETTING_NODE_ID,
    SETTING_SWITCH,     /* yes or no; as a flag without a value */
    SETTING_LOG_FORMAT, /* logfmt or json */
    SETTING_U16,
    SETTING_COUNT_OF, /* whole number, at least 1 */
    SETTING_SIZE,     /* 16MiB */
    SETTING_DURATION, /* 2s; 0 is allowed where the text of the table says so */
    SETTING_ABSENT,   /* not in this version: only the default passes */
};

/* X(constant, key, flag, kind, default, value name, help) */
#define SETTINGS_TABLE(X)                                                                          \
    X(DIR, "dir", "dir", SETTING_TEXT, "./tidemark-data", "DIR", "data directory, made if absent") \
    X(FOLLOW, "follow", "follow", SETTING_ADDRESS, "", "HOST:7402",                                \
      "follow the leader at this replication address; without it a new directory leads and an "    \
      "existing one does what its identity says")                                                  \
    X(ID, "id", "id", SETTING_NODE_ID, "", "NAME",                                                 \
      "this node's name, letters digits . _ -, at most 64; random when absent, stored")            \
    X(REGION, "region", "region", SETTING_U16, "0", "N", "region of the stream")                   \
    X(SHARD, "shard", "shard", SETTING_U16, "0", "N", "shard of the stream")                       \
    X(BIND, "bind", "bind", SETTING_TEXT, "127.0.0.1", "ADDRESS",                                  \
      "address to listen on; other than loopback needs --insecure in this version")                \
    X(ADVERTISE, "advertise", "advertise", SETTING_ADDRESS, "", "HOST:PORT",                       \
      "data address as others reach it; HTTP and replication: same host, own ports")               \
    X(PORT, "port", "port", SETTING_U16, "7400", "N", "data port (RESP); 0 picks a free one")      \
    X(HTTP_PORT, "http_port", "http-port", SETTING_U16, "7401", "N", "HTTP port; 0 picks one")     \
    X(REPLICATION_PORT, "replication_port", "replication-port", SETTING_U16, "7402", "N",          \
      "port for followers; 0 picks one")                                                           \
    X(INSECURE, "insecure", "insecure", SETTING_SWITCH, "no", NULL,                                \
      "allow a bind that is reachable from outside without authentication")                        \
    X(CONNECTIONS_MAX, "connections_max", "connections-max", SETTING_COUNT_OF, "10000", "N",       \
      "client connections at once")                                                                \
    X(LOG_FORMAT, "log_format", "log-format", SETTING_LOG_FORMAT, "logfmt", "logfmt|json",         \
      "form of the log lines on stderr")                                                           \
    X(SEGMENT_SIZE, "segment_size", "segment-size", SETTING_SIZE, "16MiB", "SIZE",                 \
      "size of a log file; the first ones are 1MiB and double")                                    \
    X(RECORD_SIZE_MAX, "record_size_max", "record-size-max", SETTING_SIZE, "1MiB", "SIZE",         \
      "largest record")                                                                            \
    X(BATCH_SIZE_MAX, "batch_size_max", "batch-size-max", SETTING_SIZE, "4MiB", "SIZE",            \
      "largest group of records that shares one sync")                                             \
    X(COMMIT_DELAY, "commit_delay", "commit-delay", SETTING_DURATION, "0", "TIME",                 \
      "wait for more writers before a sync; 0 never waits")                                        \
    X(CHECKPOINT_INTERVAL, "checkpoint_interval", "checkpoint-interval", SETTING_DURATION, "5min", \
      "TIME", "time between checkpoints")                                                          \
    X(CHECKPOINT_LOG_BYTES, "checkpoint_log_bytes", "checkpoint-log-bytes", SETTING_SIZE, "1GiB",  \
      "SIZE", "log written between checkpoints")                                                   \
    X(MARK_INTERVAL, "mark_interval", "mark-interval", SETTING_DURATION, "10s", "TIME",            \
      "activity between marks, where digests are compared; 0 is off")                              \
    X(TAIL_BUFFER, "tail_buffer", "tail-buffer", SETTING_SIZE, "64MiB", "SIZE",                    \
      "newest log kept in memory for all followers")                                               \
    X(CREDIT, "credit", "credit", SETTING_SIZE, "8MiB", "SIZE", "log in flight to one follower")   \
    X(HEARTBEAT, "heartbeat", "heartbeat", SETTING_DURATION, "500ms", "TIME",                      \
      "time between heartbeats of a link")                                                         \
    X(SUSPECT, "suspect", "suspect", SETTING_DURATION, "3s", "TIME",                               \
      "silence after which a node is suspected")                                                   \
    X(DEAD, "dead", "dead", SETTING_DURATION, "10s", "TIME",                                       \
      "silence after which a link is given up")                                                    \
    X(CLOCK_SKEW_MAX, "clock_skew_max", "clock-skew-max", SETTING_DURATION, "5s", "TIME",          \
      "event times further ahead are set to their arrival")                                        \
    X(DEDUP_KEYS_MAX, "dedup_keys_max", "dedup-keys-max", SETTING_COUNT_OF, "4000000", "N",        \
      "idempotency keys remembered")                                                               \
    X(MEMORY_MAX, "memory_max", "memory-max", SETTING_SIZE, "80%", "SIZE",                         \
      "memory of the state; beyond it writes are refused")                                         \
    X(SEAL_INTERVAL, "seal_interval", "seal-interval", SETTING_ABSENT, "0", "TIME", "")            \
    X(SHIP_MODE, "ship_mode", "ship-mode", SETTING_ABSENT, "stream", "MODE", "")                   \
    X(SHIP_INTERVAL, "ship_interval", "ship-interval", SETTING_ABSENT, "2s", "TIME", "")           \
    X(RETAIN_SEGMENTS, "retain_segments", "retain-segments", SETTING_ABSENT, "16", "N", "")        \
    X(BOOTSTRAP_RATE, "bootstrap_rate", "bootstrap-rate", SETTING_ABSENT, "50%", "RATE", "")       \
    X(SLOT_BUDGET_BYTES, "slot_budget_bytes", "slot-budget-bytes", SETTING_ABSENT, "auto", "SIZE", \
      "")                                                                                          \
    X(SLOT_BUDGET_RECORDS, "slot_budget_records", "slot-budget-records", SETTING_ABSENT, "0", "N", \
      "")                                                                                          \
    X(SLOT_IDLE_TIMEOUT, "slot_idle_timeout", "slot-idle-timeout", SETTING_ABSENT, "24h", "TIME",  \
      "")                                                                                          \
    X(LEVEL, "level", "level", SETTING_ABSENT, "local", "LEVEL", "")                               \
    X(DEADLINE, "deadline", "deadline", SETTING_ABSENT, "5s", "TIME", "")                          \
    X(ON_MISS, "on_miss", "on-miss", SETTING_ABSENT, "wait", "WHAT", "")                           \
    X(MAX_STALENESS, "max_staleness", "max-staleness", SETTING_ABSENT, "0", "TIME", "")            \
    X(DEDUP_WINDOW, "dedup_window", "dedup-window", SETTING_ABSENT, "10min", "TIME", "")           \
    X(CLOCK_STEP_MAX, "clock_step_max", "clock-step-max", SETTING_ABSENT, "10s", "TIME", "")       \
    X(DISK_RESERVE, "disk_reserve", "disk-reserve", SETTING_ABSENT, "64MiB", "SIZE", "")           \
    X(QUARANTINE_BUDGET, "quarantine_budget", "quarantine-budget", SETTING_ABSENT, "1GiB", "SIZE", \
      "")

enum setting_id {
#define X(constant, key, flag, kind, standard, value, help) SETTING_ID_##constant,
    SETTINGS_TABLE(X)
#undef X
        SETTING_ID_COUNT
};

enum setting_source { SOURCE_DEFAULT, SOURCE_FILE, SOURCE_ENVIRONMENT, SOURCE_FLAG };

#define SETTINGS_FILE_SIZE_MAX (64 * KIB)

struct settings {
    const char *values[SETTING_ID_COUNT];  /* as written; never NULL */
    uint64_t numbers[SETTING_ID_COUNT];    /* parsed: bytes, nanoseconds, counts, 0 or 1 */
    uint8_t sources[SETTING_ID_COUNT];     /* enum setting_source */
    char file[SETTINGS_FILE_SIZE_MAX + 1]; /* the file's text, which values point into */
};

/* All defaults. */
void settings_init(struct settings *s);
/* Take one value. place says where it stands ("tidemark.conf line 3", "flag --port"). value is
 * borrowed for the life of s. */
MUST_CHECK enum code settings_set(struct settings *s, enum setting_id id, const char *value,
                                  enum setting_source source, const char *place, struct err *e);
/* Take a whole file's text, already in s->file. name: for messages. */
MUST_CHECK enum code settings_take_file(struct settings *s, size_t size, const char *name,
                                        struct err *e);
/* Take "TIDEMARK_PORT=7400"; other names pass by. Names that belong to no key are refused, except
 * TIDEMARK_CONFIG, which names the file. */
MUST_CHECK enum code settings_take_environment(struct settings *s, const char *entry,
                                               struct err *e);
/* Refuse combinations that cannot work. Call once, after everything was taken. */
MUST_CHECK enum code settings_check(const struct settings *s, struct err *e);
/* Everything as lines of a configuration file, each with its source. */
void settings_print(const struct settings *s, FILE *to);

/* What the server needs. rows has SETTING_ID_COUNT elements; both are borrowed from s. */
void settings_fill(const struct settings *s, struct server_setting *rows,
                   struct server_options *out);

/* The table as command-line options: out[id] is the option of setting id. */
void settings_options(struct cli_option out[SETTING_ID_COUNT]);

#endif
