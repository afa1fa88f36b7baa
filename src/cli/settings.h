/* settings: what `serve` can be told, from one table. A value comes from the default, the
 * configuration file, the environment (TIDEMARK_<KEY>) or a flag; the later one of these wins.
 * Nothing unknown, doubled or out of range passes: it is refused with the place, the reason and the
 * nearest known name. Keys whose function this version does not have are known, and refused when
 * they say anything but the default. Those that may change while the node runs are marked in the
 * table; the others are refused by name once it runs.
 *
 * A file has lines `key = value`; "#" starts a comment at the start of a line or after a space.
 * What --print-config prints is such a file.
 *
 * A new setting is one row: its flag, variable, help, place in the documentation and way into
 * struct server_options all come from there. Bounds are the library's (tide_options_check).
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
    SETTING_SWITCH,      /* yes or no; as a flag without a value */
    SETTING_CHOICE,      /* one of the words of the value's name, "stream|segment": its index */
    SETTING_NUMBER,      /* whole number from 0 to what the field holds */
    SETTING_COUNT_OF,    /* whole number from 1 on */
    SETTING_SIZE,        /* 16MiB; bytes, from 1 on */
    SETTING_SIZE_OR_OFF, /* the same, and 0, which is UINT64_MAX in the options: off */
    SETTING_RATE,        /* 100MiB a second, more than 100 bytes; or 50%, a share from 1 to 100 */
    SETTING_MS,          /* 2s; milliseconds, from 1 on, rounded up */
    SETTING_MS_OR_0,     /* the same, and 0 */
    SETTING_MS_OR_OFF,   /* the same, and 0, which is UINT64_MAX in the options: off */
    SETTING_US_OR_0,     /* microseconds */
    SETTING_ABSENT,      /* not in this version: only the default passes */
};

/* X(key, kind, default, name of the value, may change at run time, field of struct server_options,
 *   help) */
#define SETTINGS_OF_THE_SERVER(X)                                                             \
    X(bind, SETTING_TEXT, "127.0.0.1", "ADDRESS", false, bind,                                \
      "address to listen on; other than loopback needs --insecure in this version")           \
    X(advertise, SETTING_ADDRESS, "", "HOST:PORT", false, advertise,                          \
      "data address as others reach it; HTTP and replication: same host, own ports")          \
    X(port, SETTING_NUMBER, "7400", "N", false, port, "data port (RESP); 0 picks a free one") \
    X(http_port, SETTING_NUMBER, "7401", "N", false, http_port, "HTTP port; 0 picks one")     \
    X(replication_port, SETTING_NUMBER, "7402", "N", false, replication_port,                 \
      "port for followers; 0 picks one")                                                      \
    X(insecure, SETTING_SWITCH, "no", NULL, false, is_insecure,                               \
      "allow a bind that is reachable from outside without authentication")                   \
    X(connections_max, SETTING_COUNT_OF, "10000", "N", false, connections_max,                \
      "client connections at once")                                                           \
    X(log_format, SETTING_CHOICE, "logfmt", "logfmt|json", true, log_format,                  \
      "form of the log lines on stderr")                                                      \
    X(log_level, SETTING_CHOICE, "info", "info|warn|error", true, log_level,                  \
      "log lines less important than this are left out")

#define SETTINGS_OF_THE_DATABASE(X)                                                             \
    X(dir, SETTING_TEXT, "./tidemark-data", "DIR", false, database.dir,                         \
      "data directory, made if absent")                                                         \
    X(follow, SETTING_ADDRESS, "", "HOST:7402", false, database.follow,                         \
      "follow the leader at this replication address; without it a new directory leads and an " \
      "existing one does what its identity says")                                               \
    X(id, SETTING_NODE_ID, "", "NAME", false, database.node_id,                                 \
      "this node's name, letters digits . _ -, at most 64; random when absent, stored")         \
    X(region, SETTING_NUMBER, "0", "N", false, database.region, "region of the stream")         \
    X(shard, SETTING_NUMBER, "0", "N", false, database.shard, "shard of the stream")            \
    X(segment_size, SETTING_SIZE, "16MiB", "SIZE", false, database.segment_size,                \
      "size of a log file; the first ones are 1MiB and double")                                 \
    X(record_size_max, SETTING_SIZE, "1MiB", "SIZE", false, database.record_size_max,           \
      "largest record")                                                                         \
    X(batch_size_max, SETTING_SIZE, "4MiB", "SIZE", false, database.batch_size_max,             \
      "largest group of records that shares one sync")                                          \
    X(commit_delay, SETTING_US_OR_0, "0", "TIME", true, database.commit_delay_us,               \
      "wait for more writers before a sync; 0 never waits")                                     \
    X(seal_interval, SETTING_MS_OR_0, "0", "TIME", false, database.seal_interval_ms,            \
      "seal a segment this long after a client's first record in it; 0 is off, and 2s with "    \
      "ship_mode segment")                                                                      \
    X(ship_mode, SETTING_CHOICE, "stream", "stream|segment", false, database.ship_mode,         \
      "send followers each batch once it is durable, or sealed segments at polls")              \
    X(ship_interval, SETTING_MS, "2s", "TIME", false, database.ship_interval_ms,                \
      "time between polls with ship_mode segment")                                              \
    X(retain_segments, SETTING_COUNT_OF, "16", "N", false, database.retain_segments,            \
      "newest segments that are kept whoever needs them")                                       \
    X(disk_reserve, SETTING_SIZE_OR_OFF, "64MiB", "SIZE", false, database.disk_reserve,         \
      "space written ahead and given back when the disk is full, so that what must be written " \
      "fits; at most an eighth of the free space; 0 is none")                                   \
    X(slot_budget_bytes, SETTING_SIZE, "auto", "SIZE", true, database.slot_budget_bytes,        \
      "log that one follower may hold back; auto is a quarter of the disk's free space at the " \
      "start, at most 64GiB")                                                                   \
    X(slot_budget_records, SETTING_NUMBER, "0", "N", true, database.slot_budget_records,        \
      "records that one follower may hold back; 0 is no limit")                                 \
    X(slot_idle_timeout, SETTING_MS_OR_OFF, "24h", "TIME", true, database.slot_idle_timeout_ms, \
      "time without a link after which a follower's slot is lost; 0 is no limit")               \
    X(checkpoint_interval, SETTING_MS, "5min", "TIME", true, database.checkpoint_interval_ms,   \
      "time between checkpoints")                                                               \
    X(checkpoint_log_bytes, SETTING_SIZE, "1GiB", "SIZE", true, database.checkpoint_log_bytes,  \
      "log written between checkpoints")                                                        \
    X(mark_interval, SETTING_MS_OR_OFF, "10s", "TIME", true, database.mark_interval_ms,         \
      "activity between marks, where digests are compared; 0 is off")                           \
    X(tail_buffer, SETTING_SIZE, "64MiB", "SIZE", false, database.tail_buffer,                  \
      "newest log kept in memory for all followers")                                            \
    X(credit, SETTING_SIZE, "8MiB", "SIZE", false, database.credit,                             \
      "log in flight to one follower")                                                          \
    X(heartbeat, SETTING_MS, "500ms", "TIME", false, database.heartbeat_ms,                     \
      "time between heartbeats of a link")                                                      \
    X(suspect, SETTING_MS, "3s", "TIME", false, database.suspect_ms,                            \
      "silence after which a node is suspected")                                                \
    X(dead, SETTING_MS, "10s", "TIME", false, database.dead_ms,                                 \
      "silence after which a link is given up")                                                 \
    X(clock_skew_max, SETTING_MS, "5s", "TIME", true, database.clock_skew_max_ms,               \
      "event times further ahead are set to their arrival")                                     \
    X(clock_step_max, SETTING_MS, "10s", "TIME", false, database.clock_step_max_ms,             \
      "steps of the wall clock beyond this wait for CLOCK ACCEPT")                              \
    X(dedup_keys_max, SETTING_COUNT_OF, "4000000", "N", true, database.dedup_keys_max,          \
      "idempotency keys remembered")                                                            \
    X(level, SETTING_TEXT, "local", "LEVEL", true, database.level,                              \
      "copies a write waits for when it names no LEVEL: local, stored:k, applied:k, majority, " \
      "regions:a,b")                                                                            \
    X(deadline, SETTING_MS, "5s", "TIME", true, database.deadline_ms,                           \
      "how long a write waits for its level, and a read for what it asks for")                  \
    X(on_miss, SETTING_CHOICE, "wait", "wait|reject|degrade", true, database.on_miss,           \
      "what happens to a write whose level is not reached")                                     \
    X(max_staleness, SETTING_MS_OR_0, "0", "TIME", true, database.max_staleness_ms,             \
      "reads that name no MAXSTALE refuse answers that may be older; 0 is off")                 \
    X(memory_max, SETTING_SIZE, "80%", "SIZE", false, database.memory_max,                      \
      "memory of the state; beyond it writes are refused")                                      \
    X(quarantine_budget, SETTING_SIZE, "1GiB", "SIZE", false, database.quarantine_budget,       \
      "room for tails that were cut off; the oldest go first")                                  \
    X(bootstrap_rate, SETTING_RATE, "50%", "SIZE", true, database.bootstrap_rate,               \
      "pace at which a copy of the state is read for another node: a share of what the disk "   \
      "does, or bytes per second; 100% does not wait")

/* A(key, default): known, and refused by name when it says anything else. */
#define SETTINGS_NOT_IN_THIS_VERSION(A) A(dedup_window, "10min")

enum setting_id {
#define X(key, ...) SETTING_ID_##key,
    SETTINGS_OF_THE_DATABASE(X) SETTINGS_OF_THE_SERVER(X) SETTINGS_NOT_IN_THIS_VERSION(X)
#undef X
        SETTING_ID_COUNT
};

enum setting_source {
    SOURCE_DEFAULT,
    SOURCE_FILE,
    SOURCE_ENVIRONMENT,
    SOURCE_FLAG,
    SOURCE_CONFIG_SET,
    SOURCE_COUNT
};

#define SETTINGS_FILE_SIZE_MAX (64 * KIB)
#define SETTINGS_LIVE_SIZE     32

struct settings {
    const char *values[SETTING_ID_COUNT]; /* as written; never NULL */
    uint64_t numbers[SETTING_ID_COUNT];   /* parsed: bytes, milliseconds, counts, 0 or 1 */
    uint32_t lines[SETTING_ID_COUNT];     /* of the file; SOURCE_FILE only */
    uint8_t sources[SETTING_ID_COUNT];    /* enum setting_source */
    const char *file_name;                /* NULL: none was taken */
    char live[SETTING_ID_COUNT][SETTINGS_LIVE_SIZE]; /* texts of values changed at run time */
    char file[SETTINGS_FILE_SIZE_MAX + 1];           /* the file's text, which values point into */
};

/* All defaults. */
void settings_init(struct settings *s);
/* Take one value. place says where it stands ("tidemark.conf:3", "flag --port"). value is
 * borrowed for the life of s. */
MUST_CHECK enum code settings_set(struct settings *s, enum setting_id id, const char *value,
                                  enum setting_source source, const char *place, struct err *e);
/* Take a whole file's text, already in s->file. name: for messages, borrowed. */
MUST_CHECK enum code settings_take_file(struct settings *s, size_t size, const char *name,
                                        struct err *e);
/* Take "TIDEMARK_PORT=7400"; other names pass by. Names that belong to no key are refused, except
 * TIDEMARK_CONFIG, which names the file. */
MUST_CHECK enum code settings_take_environment(struct settings *s, const char *entry,
                                               struct err *e);
/* Refuse what is out of bounds and combinations that cannot work, with the places of the values
 * that are to blame. Call once, after everything was taken. */
MUST_CHECK enum code settings_check(const struct settings *s, struct err *e);
/* Everything as lines of a configuration file, each with its source. */
void settings_print(const struct settings *s, FILE *to);
/* The same as one JSON array of objects with key, value, source and is_live. */
void settings_print_json(const struct settings *s, FILE *to);
/* The table of docs/OPERATING.md. */
void settings_write_docs(FILE *to);

/* What the server needs. rows has SETTING_ID_COUNT elements; both are borrowed from s. */
void settings_fill(const struct settings *s, struct server_setting *rows,
                   struct server_options *out);

/* Take over changes while the node runs, all or none, also into what settings_fill wrote to.
 * Refuses what cannot change at run time, by name. One thread. */
MUST_CHECK enum code settings_change(struct settings *s, const struct server_change *changes,
                                     size_t count, struct server_setting *rows,
                                     struct server_options *out, struct err *e);

/* The table as command-line options: out[id] is the option of setting id. */
void settings_options(struct cli_option out[SETTING_ID_COUNT]);

#endif
