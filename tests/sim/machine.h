/* machine: one node's operating system: the env that the engine sees, made of a share of the world.
 * Timers fire a little late; a job of a lane runs at one moment and is done at a later one; file
 * calls go to the machine's disk, links to the net.
 *
 * Death at a chosen file call: after a countdown the call does part of its work, and from then on
 * every call fails or does nothing. The world's owner buries the process after the event.
 *
 * Checks by itself: file calls only where env.h allows them (jobs, opening, closing), no use of
 * a closed link. Never: decides when a process starts or ends. Owner: the world's thread.
 */
#ifndef TIDEMARK_TESTS_SIM_MACHINE_H
#define TIDEMARK_TESTS_SIM_MACHINE_H

#include "env/env.h"
#include "sim/disk.h"
#include "sim/simnet.h"
#include "sim/world.h"

#define MACHINE_BACKGROUND_THREADS 2u

/* How slow this machine's disk is. */
struct machine_pace {
    uint64_t job_mean_ns;  /* time a job takes before its run() */
    uint64_t done_mean_ns; /* from run() to done() */
    uint32_t stalls;       /* per million jobs */
    uint64_t stall_max_ns;
};

struct machine {
    struct env env; /* first, so that the engine's pointer leads here */
    struct world *world;
    struct simnet *net;
    uint32_t node;
    struct disk disk;
    struct machine_pace pace;
    int64_t wall_offset_ms; /* of the wall clock from the world's, at wall_set_ns */
    int64_t wall_drift_ppm; /* how much faster it runs since */
    uint64_t wall_set_ns;
    int64_t mono_drift_ppm; /* how much faster the monotonic clock and the timers run */
    uint64_t booted_ns;     /* when the monotonic clock was 0 */
    int64_t calls_left;     /* file calls until death; < 0: none planned */
    bool is_dying;
    bool is_in_job;       /* file calls are allowed in jobs ... */
    bool may_block;       /* ... and while the engine opens or closes; set by the owner */
    uint64_t log_free_ns; /* when the lane's thread is free */
    uint64_t log_done_ns; /* when its newest job is done; done() comes in order */
    uint64_t background_free_ns[MACHINE_BACKGROUND_THREADS];
    uint64_t read_free_ns;
    struct machine_timer *timers;
    uint64_t file_calls; /* ever made: for planning a death */
};

#define MACHINE_WALL_START_MS INT64_C(1750000000000)

void machine_init(struct machine *m, struct world *world, struct simnet *net, uint32_t node);
void machine_fini(struct machine *m);

/* Before db_open. is_boot: the machine was off, so the monotonic clock begins anew. */
void machine_begins(struct machine *m, bool is_boot);
/* Before the process's memory is freed. Returns borrowed memory, silences everything. */
void machine_stops(struct machine *m, bool is_power_cut);
/* After the process's memory is freed: frees what the env held for it, ends the process on disk. */
void machine_ended(struct machine *m, bool is_power_cut);

uint64_t machine_mono_ns(const struct machine *m);
/* Set the wall clock, which then runs by its own speed. */
void machine_set_wall(struct machine *m, int64_t offset_ms, int64_t drift_ppm);
int64_t machine_wall_ms(const struct machine *m);

#endif
