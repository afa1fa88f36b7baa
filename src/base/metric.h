/* metric: every metric there is, in one table, and how one is written as text. From this table are
 * made /metrics, docs/METRICS.md, the alert rules and the dashboard (tools/metrics.py): what is not
 * in it does not exist, and what is in it is announced by every node.
 *
 * The text is that of Prometheus 0.0.4. Integers are written exactly, never through a double. */
#ifndef TIDEMARK_BASE_METRIC_H
#define TIDEMARK_BASE_METRIC_H

#include "base/text.h"
#include "base/types.h"

enum metric_type { METRIC_GAUGE, METRIC_COUNTER, METRIC_HISTOGRAM };

/* One line a metric: X(constant, name, type, unit, labels, panel, help).
 * unit: "" or the word of the name that says it. labels: as they stand in the text, without
 * le. panel: where the dashboard shows it, "row/title". help: one sentence. */
#define FOLLOWER_LABELS "follower,region,shard"

/* What the database tells, in this order. */
#define METRIC_ENGINE_TABLE(X)                                                                     \
    X(METRIC_ROLE, "tidemark_role", GAUGE, "", "role", "Node/Role",                                \
      "1 for the role this node has.")                                                             \
    X(METRIC_STATE, "tidemark_state", GAUGE, "", "state", "Node/State",                            \
      "1 for the condition this node is in: only serving and syncing are good.")                   \
    X(METRIC_EPOCH, "tidemark_epoch", GAUGE, "", "", "Node/Epoch",                                 \
      "Number of the leadership the log is in.")                                                   \
    X(METRIC_TOPOLOGY, "tidemark_topology_version", GAUGE, "", "", "Node/Topology",                \
      "Version of the list of members: it moves on joins, drops, roles, addresses and health.")    \
    X(METRIC_HOPS, "tidemark_replication_hops", GAUGE, "", "", "Replication/Hops to the leader",   \
      "Links between this node and its leader: 0 on a leader, more than 1 where followers follow " \
      "followers; absent while a link on the way is down.")                                        \
    X(METRIC_UPTIME, "tidemark_uptime_seconds", GAUGE, "seconds", "", "Node/Uptime",               \
      "Time since this node opened.")                                                              \
    X(METRIC_EVENTS, "tidemark_events_total", COUNTER, "", "kind", "Node/Events",                  \
      "Events since this node opened, by kind; status.json has the newest in words.")              \
    X(METRIC_MEMORY, "tidemark_memory_bytes", GAUGE, "bytes", "kind", "Node/Memory",               \
      "Memory in use: state, log_tail (newest log, for followers), log_free (buffers kept for "    \
      "the "                                                                                       \
      "next writes).")                                                                             \
    X(METRIC_ITEMS, "tidemark_items", GAUGE, "", "", "Node/Items", "Items known.")                 \
    X(METRIC_ASSIGNED, "tidemark_log_assigned_seqno", GAUGE, "", "", "Log/Positions",              \
      "Highest record number given out.")                                                          \
    X(METRIC_DURABLE, "tidemark_log_durable_seqno", GAUGE, "", "", "Log/Positions",                \
      "Highest record number fsynced in this node's own log.")                                     \
    X(METRIC_APPLIED, "tidemark_log_applied_seqno", GAUGE, "", "", "Log/Positions",                \
      "Highest record number visible to readers of this node.")                                    \
    X(METRIC_COMMITTED, "tidemark_log_committed_seqno", GAUGE, "", "", "Log/Positions",            \
      "Highest record number stored by every unlost follower.")                                    \
    X(METRIC_SAFE, "tidemark_replication_safe_seqno", GAUGE, "", "", "Log/Positions",              \
      "Lowest record number stored over all unlost followers.")                                    \
    X(METRIC_OLDEST, "tidemark_log_oldest_seqno", GAUGE, "", "", "Log/Kept",                       \
      "First record number kept in the log.")                                                      \
    X(METRIC_FLOOR, "tidemark_log_retention_floor_seqno", GAUGE, "", "", "Log/Kept",               \
      "Oldest record number that is still needed; status says by whom.")                           \
    X(METRIC_LOG_BYTES, "tidemark_log_bytes", GAUGE, "bytes", "", "Log/Bytes",                     \
      "Bytes of log kept on disk.")                                                                \
    X(METRIC_LOG_SEGMENTS, "tidemark_log_segments", GAUGE, "", "", "Log/Segments",                 \
      "Segment files of the log.")                                                                 \
    X(METRIC_REGRESSED, "tidemark_log_regressed_total", COUNTER, "", "", "Log/Went back",          \
      "Times that the end of this node's log went back since it opened: a truncation or an older " \
      "copy, each an event, too.")                                                                 \
    X(METRIC_SYNC_SECONDS, "tidemark_log_sync_seconds", HISTOGRAM, "seconds", "", "Log/Sync time", \
      "Time of one sync of the log.")                                                              \
    X(METRIC_GROUP_RECORDS, "tidemark_log_group_records", HISTOGRAM, "", "",                       \
      "Log/Records per sync", "Records that shared one sync of the log.")                          \
    X(METRIC_RECOVERY_SECONDS, "tidemark_recovery_seconds", GAUGE, "seconds", "",                  \
      "Log/Last recovery", "Time the last opening took to recover.")                               \
    X(METRIC_RECOVERY_DISCARDED, "tidemark_recovery_discarded_bytes", GAUGE, "bytes", "",          \
      "Log/Discarded at open", "Torn bytes the last opening moved to quarantine.")                 \
    X(METRIC_CHECKPOINT_SEQNO, "tidemark_checkpoint_seqno", GAUGE, "", "", "Checkpoint/Record",    \
      "Record number of the newest checkpoint; 0: none.")                                          \
    X(METRIC_CHECKPOINT_BYTES, "tidemark_checkpoint_bytes", GAUGE, "bytes", "",                    \
      "Checkpoint/Bytes", "Bytes of the blocks of the newest checkpoint.")                         \
    X(METRIC_CHECKPOINT_SECONDS, "tidemark_checkpoint_seconds", GAUGE, "seconds", "",              \
      "Checkpoint/Duration", "Time the newest checkpoint took.")                                   \
    X(METRIC_CHECKPOINT_AGE, "tidemark_checkpoint_age_seconds", GAUGE, "seconds", "",              \
      "Checkpoint/Age",                                                                            \
      "Time since the newest checkpoint was finished or found at open; +Inf: none.")               \
    X(METRIC_CHECKPOINT_FAILURES, "tidemark_checkpoint_failures_total", COUNTER, "", "",           \
      "Checkpoint/Failures", "Checkpoints that could not be written.")                             \
    X(METRIC_DIGEST_CHECKED, "tidemark_digest_checked_total", COUNTER, "", "", "State/Digests",    \
      "Digests of marks compared with the leader's.")                                              \
    X(METRIC_DIGEST_DIFFERENCES, "tidemark_digest_differences_total", COUNTER, "", "",             \
      "State/Digests", "Marks at which this node's state differed.")                               \
    X(METRIC_DIGEST_UNCHECKED, "tidemark_digest_unchecked_total", COUNTER, "", "",                 \
      "State/Digests", "Digests of the leader that this follower had nothing to compare with.")    \
    X(METRIC_DISK_FREE, "tidemark_disk_free_bytes", GAUGE, "bytes", "", "Disk/Free",               \
      "Bytes free on the data directory's file system.")                                           \
    X(METRIC_DISK_RUNG, "tidemark_disk_rung", GAUGE, "", "", "Disk/Rung",                          \
      "What is done about a filling disk: 0 plenty, 1 a slot at risk, 2 slots given up, 3 "        \
      "writers slowed, 4 writes refused.")                                                         \
    X(METRIC_DISK_SECONDS, "tidemark_disk_seconds_until_full", GAUGE, "seconds", "",               \
      "Disk/Time left",                                                                            \
      "Time until writes are refused at the present rate; +Inf: the disk does not fill.")          \
    X(METRIC_WRITE_SLOW, "tidemark_write_slow_seconds", GAUGE, "seconds", "",                      \
      "Log/Writers slowed",                                                                        \
      "Wait of each group of writes, because the disk fills or a voter uses up its budget; 0 "     \
      "when nobody is slowed.")                                                                    \
    X(METRIC_DISK_RESERVE, "tidemark_disk_reserve_bytes", GAUGE, "bytes", "", "Disk/Free",         \
      "Space held in reserve for what must be written when the disk is full.")                     \
    X(METRIC_CLOCK_OFFSET, "tidemark_clock_offset_seconds", GAUGE, "seconds", "", "Clock/Offset",  \
      "Wall time minus leader time; absent on a follower.")                                        \
    X(METRIC_CLOCK_PENDING, "tidemark_clock_step_pending", GAUGE, "", "", "Clock/Step pending",    \
      "1 while a step of the wall clock is not followed and waits for CLOCK ACCEPT.")              \
    X(METRIC_CLOCK_STEPS, "tidemark_clock_steps_total", COUNTER, "", "", "Clock/Steps",            \
      "Steps of the wall clock beyond clock_step_max since this node opened.")                     \
    X(METRIC_DURABILITY_WAIT, "tidemark_durability_wait_seconds", HISTOGRAM, "seconds", "level",   \
      "Durability/Waits",                                                                          \
      "Time that a visible write waited for followers, by the kind of its level.")                 \
    X(METRIC_DURABILITY_MISS, "tidemark_durability_miss_total", COUNTER, "", "level,on_miss",      \
      "Durability/Misses",                                                                         \
      "Writes whose level was not reached in time; with degrade they succeeded at a lower one.")   \
    X(METRIC_SCANS_IN_FLIGHT, "tidemark_scans_in_flight", GAUGE, "", "", "Queries/Long reads",     \
      "Long reads being answered beside the loop.")                                                \
    X(METRIC_SCANS_WAITING, "tidemark_scans_waiting", GAUGE, "", "", "Queries/Long reads",         \
      "Long reads that wait for the next batch; beyond 1,024 they are refused with BUSY.")         \
    X(METRIC_SCANS, "tidemark_scans_total", COUNTER, "", "", "Queries/Long reads begun",           \
      "Long reads ever begun.")                                                                    \
    X(METRIC_RESYNC, "tidemark_resync_total", COUNTER, "", "kind,reason", "Replication/Resyncs",   \
      "Handshakes of followers by what this node answered, each counted once: partial (it "        \
      "continues), truncate, bootstrap, refused.")                                                 \
    X(METRIC_LAG_RECORDS, "tidemark_replication_lag_records", GAUGE, "", FOLLOWER_LABELS,          \
      "Replication/Lag in records",                                                                \
      "Records durable on the leader that the follower has not applied; absent when it never "     \
      "synced.")                                                                                   \
    X(METRIC_LAG_BYTES, "tidemark_replication_lag_bytes", GAUGE, "bytes", FOLLOWER_LABELS,         \
      "Replication/Lag in bytes",                                                                  \
      "Log bytes durable on the leader that the follower has not applied; absent when it never "   \
      "synced.")                                                                                   \
    X(METRIC_LAG_SECONDS, "tidemark_replication_lag_seconds", GAUGE, "seconds", FOLLOWER_LABELS,   \
      "Replication/Lag in seconds",                                                                \
      "Upper bound of the follower's staleness: about a heartbeat when idle, growing with the "    \
      "wall clock while the link is cut, +Inf when it never synced.")                              \
    X(METRIC_SHIPPED, "tidemark_replication_shipped_seqno", GAUGE, "", FOLLOWER_LABELS,            \
      "Replication/Positions", "Highest record number sent to the follower.")                      \
    X(METRIC_RECEIVED, "tidemark_replication_received_seqno", GAUGE, "", FOLLOWER_LABELS,          \
      "Replication/Positions", "Highest record number the follower received.")                     \
    X(METRIC_STORED, "tidemark_replication_stored_seqno", GAUGE, "", FOLLOWER_LABELS,              \
      "Replication/Positions", "Highest record number the follower fsynced.")                      \
    X(METRIC_FOLLOWER_APPLIED, "tidemark_replication_applied_seqno", GAUGE, "", FOLLOWER_LABELS,   \
      "Replication/Positions", "Highest record number the follower shows.")                        \
    X(METRIC_CONNECTED, "tidemark_replication_connected", GAUGE, "", FOLLOWER_LABELS,              \
      "Replication/Connected", "1 while the follower's link is up.")                               \
    X(METRIC_REBOOTSTRAPPING, "tidemark_replication_rebootstrapping", GAUGE, "", FOLLOWER_LABELS,  \
      "Replication/Rebootstrapping", "1 while the follower copies the state anew.")                \
    X(METRIC_COPY_DONE, "tidemark_bootstrap_done_bytes", GAUGE, "bytes", FOLLOWER_LABELS,          \
      "Replication/Copy of the state",                                                             \
      "Bytes of the state that the follower has of the copy it makes; absent while it makes "      \
      "none.")                                                                                     \
    X(METRIC_COPY_TOTAL, "tidemark_bootstrap_total_bytes", GAUGE, "bytes", FOLLOWER_LABELS,        \
      "Replication/Copy of the state",                                                             \
      "Bytes of the state that the follower copies; absent while it copies none.")                 \
    X(METRIC_STAGE_SECONDS, "tidemark_replication_stage_seconds", HISTOGRAM, "seconds",            \
      FOLLOWER_LABELS ",stage", "Replication/Time by stage",                                       \
      "One batch in 64. Leader: append (first record encoded until handed to the log), sync, "     \
      "apply, and by follower ship (durable until sent) and ack (sent until acknowledged as "      \
      "applied). Follower: receive (verified), store (fsynced), apply (visible).")                 \
    X(METRIC_APPLY_ERRORS, "tidemark_replication_apply_errors_total", COUNTER, "",                 \
      FOLLOWER_LABELS, "Replication/Errors", "Records the follower could not apply.")              \
    X(METRIC_FOLLOWER_DIVERGENCES, "tidemark_replication_divergence_total", COUNTER, "",           \
      FOLLOWER_LABELS, "Replication/Errors", "Marks at which the follower's state differed.")      \
    X(METRIC_SLOT_RETAINED, "tidemark_slot_retained_bytes", GAUGE, "bytes", FOLLOWER_LABELS,       \
      "Slots/Log kept", "Log that is kept for the follower.")                                      \
    X(METRIC_SLOT_SAFE, "tidemark_slot_safe_bytes", GAUGE, "bytes", FOLLOWER_LABELS,               \
      "Slots/Budget left", "What is left of the follower's budget; absent without one.")           \
    X(METRIC_SLOT_UNTIL_LOST, "tidemark_slot_seconds_until_lost", GAUGE, "seconds",                \
      FOLLOWER_LABELS, "Slots/Until lost",                                                         \
      "Time until the slot is lost at the present growth of the log; +Inf: not in sight; 0: it "   \
      "is lost.")                                                                                  \
    X(METRIC_SLOT_STATE, "tidemark_slot_state", GAUGE, "", FOLLOWER_LABELS ",state",               \
      "Slots/State", "1 for the state the follower's slot is in.")                                 \
    X(METRIC_LAST_ACKS, "tidemark_replication_last_ack_total", COUNTER, "", FOLLOWER_LABELS,       \
      "Durability/Whose ack was the last",                                                         \
      "Writes whose level this follower's acknowledgement completed: the one they had waited "     \
      "for.")                                                                                      \
    X(METRIC_CREDIT, "tidemark_replication_credit_bytes", GAUGE, "bytes", FOLLOWER_LABELS,         \
      "Replication/Credit", "Bytes that may still be sent before an acknowledgement.")             \
    X(METRIC_LAG_SEQNO, "replication_lag_seqno", GAUGE, "", "follower",                            \
      "Replication/Lag in records",                                                                \
      "The same as tidemark_replication_lag_records, under the name existing dashboards use.")

/* What the server adds about its clients. */
#define METRIC_SERVER_TABLE(X)                                                               \
    X(METRIC_COMMANDS, "tidemark_commands_total", COUNTER, "", "command,outcome",            \
      "Clients/Commands", "Commands answered, by the class of their outcome.")               \
    X(METRIC_COMMAND_SECONDS, "tidemark_command_seconds", HISTOGRAM, "seconds", "command",   \
      "Clients/Time of a command", "Time from reading a command to its reply.")              \
    X(METRIC_CONNECTIONS, "tidemark_connections", GAUGE, "", "", "Clients/Connections",      \
      "Client connections open now.")                                                        \
    X(METRIC_BUILD_INFO, "tidemark_build_info", GAUGE, "", "version,format", "Node/Version", \
      "Version of the program and of the files it writes, always 1.")

enum metric {
#define X(constant, ...) constant,
    METRIC_ENGINE_TABLE(X) METRIC_SERVER_TABLE(X)
#undef X
        METRIC_COUNT
};
#define METRIC_SERVER_FIRST METRIC_COMMANDS

struct metric_info {
    const char *name;
    enum metric_type type;
    const char *unit;
    const char *labels;
    const char *panel;
    const char *help;
};
const struct metric_info *metric_info(enum metric metric);
const char *metric_type_name(enum metric_type type);

/* Writes metrics one after the other: each is begun once, then its values follow. */
struct metric_writer {
    struct text *t;
    const struct metric_info *current;
    bool was_begun[METRIC_COUNT];
};
void metric_writer_init(struct metric_writer *w, struct text *t);
/* HELP and TYPE. */
void metric_begin(struct metric_writer *w, enum metric metric);
/* One value of the current one. labels: name="value" pairs with commas, as they are written; "". */
void metric_u64(struct metric_writer *w, const char *labels, uint64_t v);
void metric_f64(struct metric_writer *w, const char *labels, double v); /* also +Inf */
/* A metric that has one value. */
void metric_one_u64(struct metric_writer *w, enum metric metric, uint64_t v);
void metric_one_f64(struct metric_writer *w, enum metric metric, double v);

/* Counts per bucket. Owner: whoever observes. */
#define METRIC_BUCKETS_MAX 17u
struct metric_bounds {
    uint32_t count; /* at most METRIC_BUCKETS_MAX */
    double upper[METRIC_BUCKETS_MAX];
};
struct metric_histogram {
    uint64_t counts[METRIC_BUCKETS_MAX + 1]; /* the one after the last bound is +Inf */
    double sum;
};
void metric_observe(struct metric_histogram *h, const struct metric_bounds *bounds, double v);
/* All rows of one histogram of the current metric. */
void metric_histogram_rows(struct metric_writer *w, const char *labels,
                           const struct metric_histogram *h, const struct metric_bounds *bounds);

#endif
