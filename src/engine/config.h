/* config: tide_options with every default filled in and every bound checked, once, at open. */
#ifndef TIDEMARK_ENGINE_CONFIG_H
#define TIDEMARK_ENGINE_CONFIG_H

#include "base/error.h"
#include "base/types.h"
#include "core/level.h"
#include "tidemark.h"

#define SLOT_BUDGET_MAX (64 * GIB) /* of one that nobody set */

struct config {
    char node_id[NODE_ID_SIZE_MAX + 1];            /* "" = none given */
    char follow[ADDRESS_SIZE_MAX + 1];             /* "" = none given */
    char replication_listen[ADDRESS_SIZE_MAX + 1]; /* "" = no followers */
    char data_address[ADDRESS_SIZE_MAX + 1];
    char http_address[ADDRESS_SIZE_MAX + 1];
    char replication_address[ADDRESS_SIZE_MAX + 1]; /* filled in after listening */
    struct stream_id stream;
    uint64_t segment_size;
    uint64_t segment_size_first; /* 1 MiB, doubling up to segment_size */
    uint64_t record_size_max;
    uint64_t batch_size_max;
    uint64_t checkpoint_interval_ns;
    uint64_t checkpoint_log_bytes;
    uint64_t mark_interval_ns; /* 0 = off */
    uint64_t seal_interval_ns; /* 0 = off */
    uint64_t ship_interval_ns;
    uint32_t retain_segments;
    uint64_t slot_budget_bytes;    /* UINT64_MAX: none; 0 = a share of the disk, set at open */
    uint64_t slot_budget_auto;     /* that share, once it is known */
    uint64_t disk_reserve;         /* 0 = none */
    uint64_t slot_budget_records;  /* 0 = none */
    uint64_t slot_idle_timeout_ns; /* 0 = none */
    bool ships_segments;           /* followers are sent sealed segments only */
    uint64_t commit_delay_ns;
    uint64_t tail_buffer;
    uint64_t credit;
    uint64_t heartbeat_ns;
    uint64_t suspect_ns;
    uint64_t dead_ns;
    int64_t clock_skew_max_ms;
    uint64_t clock_step_max_ms;
    uint64_t dedup_keys_max;
    struct level level; /* of writes that name none */
    uint8_t on_miss;    /* enum tide_on_miss */
    uint64_t deadline_ns;
    uint64_t max_staleness_ns; /* 0 = off */
    uint64_t memory_max;
    uint64_t quarantine_budget;
    uint32_t runs_max;
    uint64_t bootstrap_rate; /* percent of what the disk does up to 100, else bytes per second */
};

/* Of *wanted, take over what may change while a database is open (see tide_run_configure). */
void config_take_live(struct config *c, const struct config *wanted);

/* E_INVALID names the option, its value and the limit. */
MUST_CHECK enum code config_from_options(const struct tide_options *o, struct config *out,
                                         struct err *e);

#endif
