/* tidemark.h: the whole public interface of libtidemark, an embeddable database for engagement
 * signals with a durable, replicated write-ahead log.
 *
 * Life: tide_open starts a database on a directory and a thread of its own; tide_close stops it.
 * Work is handed over as runs: a run is a list of operations that take effect in order. Several
 * threads may submit runs at once; one run belongs to one thread at a time. Convenience calls
 * (tide_signal, tide_score ...) make a run of one operation and wait for it.
 *
 * Conventions. Every fallible call returns enum tide_code and fills *e (may be NULL) on failure.
 * Out-parameters come last and are written on success only. Bytes given to a run stay borrowed
 * until its callback was called, or until a waiting call returned. Times are milliseconds since
 * 1970 (UTC); durations are milliseconds. A write is successful when the level asked for was
 * reached (struct tide_durability) and its effect is visible here.
 * Options structs start with `size`: set it to sizeof; zero in any other field means the default.
 *
 * Threads and blocking. Unless its comment says otherwise a call may be made from any thread, at
 * the same time as any other; no object is used after it was freed or closed. Every open database
 * has a thread of its own; callbacks run on it and must neither block nor make a call that waits.
 * Calls that only look at their arguments (texts, codes, building a run, reading a result) never
 * block. Errors that every call on a database can give are not repeated: TIDE_BUSY (too many runs
 * are in flight), TIDE_CLOSED (it is closing), TIDE_NOMEMORY, and from a node in that state
 * TIDE_LOADING (a follower that holds nothing yet), TIDE_HALTED, TIDE_DIVERGED; writes also
 * TIDE_READONLY (a follower), TIDE_POISONED, TIDE_DISKFULL, TIDE_LIMIT, TIDE_DURABILITY (its level
 * was not reached), and TIDE_UNKNOWN, where the outcome is not known and the result holds the
 * position to ask about. The library prints nothing,
 * never exits because of what it is given, and leaves signals and locale alone.
 */
#ifndef TIDEMARK_H
#define TIDEMARK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define TIDE_VERSION "0.1.0"

/* Outcomes. Numbers are stable; new ones may be added. tide_code_word gives the word an error line
 * starts with. */
enum tide_code {
    TIDE_OK = 0,
    TIDE_INVALID = 1, /* malformed request or argument */
    TIDE_SCHEMA = 2,  /* unknown type, field or profile */
    TIDE_LIMIT = 3,   /* value or size outside the documented limit */
    TIDE_NOTFOUND = 4,
    TIDE_READONLY = 5,    /* this node takes no writes; the message names the leader */
    TIDE_UNSUPPORTED = 6, /* not in this version */
    TIDE_GAP = 7,         /* producer number skips ahead */
    TIDE_STALE = 8,
    TIDE_LOST = 9,
    TIDE_DURABILITY = 10,
    TIDE_UNKNOWN = 11, /* outcome unknown; the position to ask about is in the result */
    TIDE_BUSY = 12,    /* a queue or table is full; try again */
    TIDE_DISKFULL = 13,
    TIDE_NOMEMORY = 14,
    TIDE_POISONED = 15, /* a log write failed; restart recovers */
    TIDE_DIVERGED = 16,
    TIDE_HALTED = 17,
    TIDE_IDINUSE = 18,
    TIDE_NOAUTH = 19,
    TIDE_NOPERM = 20,
    TIDE_LOADING = 21,
    TIDE_IO = 22,
    TIDE_CORRUPT = 23,
    TIDE_ROTTEN = 24, /* an acknowledged record is damaged on disk */
    TIDE_FORMAT = 25, /* newer or unknown format version */
    TIDE_WRONG_CLUSTER = 26,
    TIDE_INUSE = 27, /* directory or port in use */
    TIDE_NOT_KEPT = 28,
    TIDE_FENCED = 29,
    TIDE_CLOSED = 30,
    TIDE_TIMEOUT = 31,
    TIDE_EXISTS = 32,
    TIDE_PROTOCOL = 33,
    TIDE_NOPROTO = 34,
    TIDE_REFUSED = 35, /* refused for safety; the sentence says what force or acceptance gives up */
};

/* Who has to act; see tide_code_class. */
enum tide_class {
    TIDE_CLASS_NONE = 0,
    TIDE_CLASS_CALLER = 1,
    TIDE_CLASS_RETRY = 2,
    TIDE_CLASS_UNKNOWN = 3,
    TIDE_CLASS_WORLD = 4,
    TIDE_CLASS_CORRUPTION = 5,
};

/* Why a call failed: memory of the caller, filled by the call; nothing in it is to be freed. */
struct tide_err {
    enum tide_code code;
    enum tide_class class_;
    char message[320];  /* one sentence */
    const char *origin; /* "file:line", static */
};

/* Bytes of somebody else: given to a run or a twin, borrowed until completion; in a result, alive
 * as long as the result. Any values; NUL is a byte like others. data may be NULL when size is 0. */
struct tide_bytes {
    const void *data;
    size_t size;
};

/* A place in the log: the leadership, the number of the record, and the first 4 bytes of the hash
 * over everything up to there. Text form (the write token): "epoch-seqno-chain4 in hex". */
struct tide_position {
    uint64_t epoch;
    uint64_t seqno;
    uint8_t chain4[4];
};
#define TIDE_TOKEN_SIZE 52
/* Write the token without a NUL; returns its size. */
size_t tide_token_format(const struct tide_position *p, char out[TIDE_TOKEN_SIZE]);
/* TIDE_INVALID: not the whole text is a token. */
enum tide_code tide_token_parse(struct tide_bytes text, struct tide_position *out);

const char *tide_version(void);               /* "0.1.0" */
uint32_t tide_format_version(void);           /* of the files this build writes */
const char *tide_code_word(enum tide_code c); /* "READONLY"; never NULL */
const char *tide_code_name(enum tide_code c); /* "ROTTEN"; never NULL */
enum tide_class tide_code_class(enum tide_code c);

/* --- how durable a write is --- */

/* How many copies a write waits for: local, fsynced in this node's own log; also fsynced in the
 * logs of `count` followers (stored:k), or visible to their readers (applied:k); fsynced by a
 * majority of the voters, the leader included; by a node in each of the regions. */
enum tide_level_kind {
    TIDE_LEVEL_DEFAULT = 0, /* in a request: tide_options.level */
    TIDE_LEVEL_LOCAL = 1,
    TIDE_LEVEL_STORED = 2,
    TIDE_LEVEL_APPLIED = 3,
    TIDE_LEVEL_MAJORITY = 4,
    TIDE_LEVEL_REGIONS = 5,
};
#define TIDE_LEVEL_REGIONS_MAX 4
struct tide_level {
    uint8_t kind;  /* enum tide_level_kind */
    uint8_t count; /* followers, 1 to 64; how many regions */
    uint16_t regions[TIDE_LEVEL_REGIONS_MAX];
};
/* "local" "stored:2" "applied:1" "majority" "regions:1,2". TIDE_INVALID, TIDE_LIMIT: not a level;
 * *e (may be NULL) says why. */
enum tide_code tide_level_parse(struct tide_bytes text, struct tide_level *out, struct tide_err *e);
#define TIDE_LEVEL_SIZE 48
/* Write the text and a NUL; returns its size without the NUL. */
size_t tide_level_format(const struct tide_level *level, char out[TIDE_LEVEL_SIZE]);

/* When the level is not reached by the deadline. wait, reject: TIDE_DURABILITY with the record's
 * position, for it exists and may still spread; reject also looks before anything is written
 * whether enough followers are connected and within their credit, and if not answers at once and
 * writes nothing (no position). degrade: a success that says what was reached. */
enum tide_on_miss { TIDE_MISS_WAIT = 0, TIDE_MISS_REJECT = 1, TIDE_MISS_DEGRADE = 2 };

#define TIDE_DEADLINE_NOW UINT64_MAX /* look once, wait for nothing */

struct tide_durability {
    struct tide_level level;
    bool on_miss_is_set; /* false: tide_options.on_miss */
    enum tide_on_miss on_miss;
    uint64_t deadline_ms; /* from the moment the write is taken up; 0: tide_options.deadline_ms */
};

/* --- how fresh a read is --- */

/* A read whose conditions do not hold waits until its deadline, then it is TIDE_STALE. Zero: what
 * is applied here now, within tide_options.max_staleness_ms. */
struct tide_read_options {
    /* Only a state that holds this write; seqno 0: any. TIDE_LOST: it was given up in a change of
     * epoch; TIDE_INVALID: no write ever had this position. epoch 0: only the number counts. */
    struct tide_position after;
    /* Only a state that lacks nothing that was durable on the leader longer ago than this, by a
     * bound that can be proved; a leader always has it. */
    bool max_stale_is_set;
    uint64_t max_stale_ms;
    /* Only a state in which everything is committed: stored by a majority of the voters, or without
     * voters by every follower. Under writes that never pause there may be no such moment. */
    bool is_committed;
    uint64_t deadline_ms; /* from when it is taken up; 0: tide_options.deadline_ms */
};

/* --- open and close --- */

typedef struct tide_db tide_db;
struct tide_transport; /* below */

enum tide_role { TIDE_ROLE_SINGLE = 1, TIDE_ROLE_LEADER = 2, TIDE_ROLE_FOLLOWER = 3 };

/* In the place of an address: nodes meet over a struct tide_transport of the program. */
#define TIDE_TRANSPORT "transport:"

/* What followers are sent: each batch as soon as it is durable, or what lies in sealed segments, at
 * polls. */
enum tide_ship_mode { TIDE_SHIP_STREAM = 0, TIDE_SHIP_SEGMENT = 1 };

struct tide_options {
    size_t size;
    const char *dir;     /* data directory, created if absent */
    const char *follow;  /* leader's replication address "host:7402", or TIDE_TRANSPORT: the one
                            that tide_replicate names; NULL: a new directory leads; an existing
                            one does what its identity says */
    const char *node_id; /* [A-Za-z0-9._-]{1,64}; NULL: random, stored */
    uint16_t region;
    uint16_t shard;
    const char *replication_listen; /* "127.0.0.1:7402", port 0 picks; TIDE_TRANSPORT: only where
                                       tide_listen says; NULL: no followers */
    const char *data_address;       /* as others reach this node; told to followers and clients */
    const char *http_address;
    const char *replication_address; /* NULL: the host of data_address with the listening port */
    uint64_t segment_size;           /* bytes; 16 MiB (first ones 1 MiB, doubling) */
    uint64_t record_size_max;        /* 1 MiB */
    uint64_t batch_size_max;         /* 4 MiB */
    uint64_t checkpoint_interval_ms; /* 5 min */
    uint64_t checkpoint_log_bytes;   /* 1 GiB */
    uint64_t mark_interval_ms;       /* 10 s; UINT64_MAX: off */
    uint64_t commit_delay_us;        /* 0 */
    uint64_t seal_interval_ms;       /* 0: off, and 2 s when ships are by segment; counts from the
                                        first record of a client in the unsealed segment */
    uint64_t ship_interval_ms;       /* 2 s; between polls when ships are by segment */
    enum tide_ship_mode ship_mode;   /* stream */
    uint32_t retain_segments;        /* 16; of these newest no segment is pruned */
    uint64_t slot_budget_bytes;      /* log that one follower may hold back; 0: a quarter of the
                                        disk's free space at the start, at most 64 GiB */
    uint64_t slot_budget_records;    /* 0: no limit */
    uint64_t slot_idle_timeout_ms;   /* 24 h without a link; UINT64_MAX: no limit */
    uint64_t disk_reserve;           /* 64 MiB, at most an eighth of the free space: written ahead,
                                        given back when the disk is full, so that what must be
                                        written fits; UINT64_MAX: none */
    uint64_t tail_buffer;            /* 64 MiB for all followers */
    uint64_t credit;                 /* 8 MiB in flight per follower */
    uint64_t heartbeat_ms;           /* 500 */
    uint64_t suspect_ms;             /* 3 s */
    uint64_t dead_ms;                /* 10 s */
    uint64_t clock_skew_max_ms;      /* 5 s, at most 1 h: event times further ahead are clamped to
                                        arrival */
    uint64_t clock_step_max_ms;      /* 10 s, at most 24 h: a wall clock that steps further is not
                                        followed until tide_clock_accept */
    uint64_t dedup_keys_max;         /* 4 M */
    const char *level;               /* "local"; of writes that name none */
    enum tide_on_miss on_miss;       /* wait */
    uint64_t deadline_ms;            /* 5 s; of levels, and of reads that wait */
    uint64_t max_staleness_ms;       /* 0: off; of reads that name none, and of readiness */
    uint64_t memory_max;             /* 80 % of memory */
    uint32_t runs_max;               /* runs in flight before TIDE_BUSY; 65,536 */
    uint64_t quarantine_budget;      /* bytes of cut off tails kept in quarantine/; 1 GiB */
    uint64_t bootstrap_rate;         /* at which the state is read for a node that copies it: 1 to
                                        100 is a share of what the disk does, in percent; more is
                                        bytes per second; 50 */
};

/* What opening found and did. Fixed-size texts. */
struct tide_open_report {
    enum tide_role role;
    bool is_new;
    struct tide_position position; /* applied, after recovery */
    uint64_t checkpoint_seqno;     /* 0: none used */
    uint64_t records_replayed;
    uint64_t discarded_bytes; /* torn tail, moved to quarantine/ */
    uint64_t seconds_micro;   /* time recovery took, microseconds */
    char backend[64];
    char notes[512]; /* sentences, e.g. a flag that identity overrides */
};

/* Would tide_open refuse these options? TIDE_INVALID names the option, its value and the limit.
 * Looks at nothing but the options: no file, no address. Any thread. */
enum tide_code tide_options_check(const struct tide_options *options, struct tide_err *e);
/* Open. Blocks until recovered (and, as a leader without members, until the new epoch is durable;
 * one that knows members asks them first, and writes wait for the answer). *report may be
 * NULL. Errors: TIDE_INUSE, TIDE_ROTTEN, TIDE_FORMAT, TIDE_WRONG_CLUSTER, TIDE_IO ... each says
 * what to do. */
enum tide_code tide_open(const struct tide_options *options, tide_db **out,
                         struct tide_open_report *report, struct tide_err *e);
/* Stop: what was submitted before is carried out and answered; runs submitted later are refused
 * TIDE_CLOSED. After deadline_ms what still waits is answered TIDE_CLOSED or TIDE_UNKNOWN instead.
 * Blocks until the log is sealed and every job has ended: a job that the disk holds is waited for.
 * Other threads may be inside a call, waiting or submitting: each gets an answer; no call may begin
 * once this one has. db may be NULL. */
enum tide_code tide_close(tide_db *db, uint64_t deadline_ms, struct tide_err *e);

/* --- runs --- */

typedef struct tide_run tide_run;

/* One signal. Zero fields: weight_is_set false means 1, at_ms 0 means now. A type of mode once or
 * latest needs the user: of once, a user's first signal for an item counts and later ones change
 * nothing until it is taken back; of latest, a later one takes the place of the one before. */
struct tide_signal {
    struct tide_bytes type;
    struct tide_bytes item; /* 1..255 bytes */
    double weight;
    bool weight_is_set;
    int64_t at_ms;
    struct tide_bytes user; /* size 0: none */
    struct tide_bytes key;  /* idempotency key, size 0: none */
};

/* Of a whole record. */
struct tide_write_options {
    struct tide_bytes key;      /* covers the whole record */
    struct tide_bytes producer; /* size 0: none; 1..255 bytes */
    uint64_t producer_number;
    struct tide_durability durability; /* zero: the defaults of the database */
};

struct tide_schema_signal {
    struct tide_bytes name;
    uint64_t halflives_ms[3]; /* 0-terminated; none: 7 days */
    uint8_t windows;          /* bits: 1h 1, 24h 2, 7d 4, 30d 8, all 16; 0: 1h 24h 7d all */
    uint8_t mode;             /* 0 or 1 count, 2 once, 3 latest */
    bool is_negative;
};

/* What a declared field of items holds. tag: one or several byte strings of at most 255 bytes,
 * asked for by = != in. num: numbers as doubles, booleans as 0 and 1. time: whole milliseconds.
 * text: words, which `where` does not look into. */
enum tide_field_kind {
    TIDE_FIELD_TAG = 1,
    TIDE_FIELD_NUM = 2,
    TIDE_FIELD_TIME = 3,
    TIDE_FIELD_TEXT = 4,
};

struct tide_retrieve {
    struct tide_bytes profile; /* "new" "top" "hot" "best" "controversial" "trending"
                                  "rising" "most_viewed" "decayed:view" */
    uint32_t limit;            /* 0: 10; at most 1000 */
    int64_t now_ms;            /* 0: this node's clock; with a cursor: the cursor's */
    const struct tide_bytes *excludes;
    uint32_t exclude_count;
    /* Only items that pass, e.g. creator = "x" and topic in ("a","b") and year >= 2020 and not nsfw
     * (docs/COMMANDS.md has the grammar); size 0: all. TIDE_INVALID: does not read; TIDE_SCHEMA: an
     * unknown field, or a value that does not fit its kind; TIDE_LIMIT: too long, deep or many. */
    struct tide_bytes where;
    bool is_explain; /* items come with the terms of their scores */
    /* What the page before answered; size 0: the first page. No item comes twice (but one
     * whose created_at a put moves back between two pages); none is missed
     * but those whose place in the order changed since the first page. TIDE_INVALID: damaged or of
     * another profile or where; TIDE_STALE: this node has not applied what the page before showed;
     * TIDE_LOST: what it showed was given up in a change of epoch; TIDE_LIMIT: in an order where
     * items can fall a listing ends after 16,384 items. */
    struct tide_bytes cursor;
};

/* Values of the fields of items, users and creators. */
enum tide_value_kind {
    TIDE_VALUE_NONE = 0, /* in a put: remove the field; in an answer: there is none */
    TIDE_VALUE_TEXT = 1,
    TIDE_VALUE_INTEGER = 2,
    TIDE_VALUE_REAL = 3, /* finite */
    TIDE_VALUE_BOOL = 4,
    TIDE_VALUE_TAGS = 5,
};
struct tide_field {
    struct tide_bytes name; /* 1..255 bytes; not "created_at", and of an item not "creator" */
    enum tide_value_kind kind;
    struct tide_bytes text;
    int64_t integer; /* also of a bool: 0 or 1 */
    double real;
    const struct tide_bytes *tags; /* each 1..255 bytes without a comma */
    uint32_t tag_count;
};

/* A partial change: fields that it does not name stay. An unknown item, user or creator is created
 * by it, and a deleted item comes back as a new one under its old key: with the fields, creator and
 * created_at of this put alone; its signals were never gone. A field that was declared takes what
 * fits its kind: of num a number or a bool, of time an integer (milliseconds), of tag tags, of text
 * text; text is taken for all of them when it reads as one (tags: with commas between them). Any
 * other keeps what it was given. TIDE_LIMIT: the entity would have over 256 fields or 32 KiB with
 * their names. TIDE_SCHEMA: a value does not fit. */
struct tide_put {
    struct tide_bytes key;     /* 1..255 bytes */
    struct tide_bytes creator; /* items only; size 0: as it is */
    int64_t at_ms;             /* items only: created_at; 0: as it is, of a new one now */
    const struct tide_field *fields;
    uint32_t field_count;
};

/* What is known of an item, user or creator. */
struct tide_entity {
    bool is_known;             /* false: never named, or a deleted item; then there are no values */
    int64_t created_ms;        /* of an item: the put's AT, else when it was first named */
    struct tide_bytes creator; /* of an item; size 0: none */
    /* All, names ascending by their bytes; or those asked for, in the order of the question, with
     * "creator" as text and "created_at" as integer among them if they were. */
    const struct tide_field *fields;
    uint32_t field_count;
};

/* A run belongs to one thread at a time, and to the database from submit until its callback is
 * called. Adding to it returns the operation's index, or -1 when memory or the limit of 65,536
 * operations is reached. Nothing is judged before submit; then each operation has its own result,
 * and one that fails does not stop those behind it. After "->" stands what `as` of the result
 * holds; writes: the position. */
tide_run *tide_run_new(void);      /* given; NULL: no memory */
void tide_run_free(tide_run *run); /* with its results. NULL allowed. Not while it is submitted. */
/* Empty it for the next use; frees results. Not while it is submitted. */
void tide_run_reset(tide_run *run);
size_t tide_run_count(const tide_run *run);

/* The durability of the write `index`, also of those that take no options. Of writes between begin
 * and end that of begin counts. */
void tide_run_set_durability(tide_run *run, int32_t index, const struct tide_durability *wanted);

/* Errors of signals: TIDE_SCHEMA (unknown type), TIDE_LIMIT (sizes, weight), TIDE_INVALID (a time
 * that cannot be milliseconds), TIDE_GAP (the producer's number skips ahead). */
int32_t tide_run_signal(tide_run *run, const struct tide_signal *signal,
                        const struct tide_write_options *options); /* options may be NULL */
/* One atomic record with n entries: one operation, one result. Entries are copied, their bytes are
 * borrowed. */
int32_t tide_run_signals(tide_run *run, const struct tide_signal *signals, size_t n,
                         const struct tide_write_options *options);
/* Writes added between begin and end become one atomic record; each has its own result, all with
 * the same position. Signals, their undo, puts and deletions may stand in between. */
int32_t tide_run_begin(tide_run *run, const struct tide_write_options *options);
int32_t tide_run_end(tide_run *run);
/* Set fields. The arrays are copied, their bytes and the arrays of tags are borrowed. */
int32_t tide_run_item_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options);
int32_t tide_run_user_put(tide_run *run, const struct tide_put *put,
                          const struct tide_write_options *options);
int32_t tide_run_creator_put(tide_run *run, const struct tide_put *put,
                             const struct tide_write_options *options);
/* Delete an item: no listing shows it and its fields are gone; its signals stay and are still
 * counted. Also a success where there is no such item. */
int32_t tide_run_item_delete(tide_run *run, struct tide_bytes key,
                             const struct tide_write_options *options);
/* -> entity. name_count 0: all fields. names are copied, their bytes are borrowed. */
int32_t tide_run_item_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count);
int32_t tide_run_user_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                          uint32_t name_count);
int32_t tide_run_creator_get(tide_run *run, struct tide_bytes key, const struct tide_bytes *names,
                             uint32_t name_count);
/* Take back the signal of a user for an item, of a type of mode once or latest (TIDE_SCHEMA of
 * others): it counts no more, in no window and no score. Where none stands this is a success that
 * writes nothing (is_duplicate). options may be NULL. */
int32_t tide_run_unsignal(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes user, const struct tide_write_options *options);
int32_t tide_run_schema_signal(tide_run *run, const struct tide_schema_signal *schema);
/* Declare a field of items, so that `where` can ask for it; items that have it already are indexed
 * before the call is answered. At most 64 fields; a name is a letter and up to 63 characters of
 * A-Z a-z 0-9 . _ -. The same declaration again has no effect; with another kind: TIDE_SCHEMA. */
int32_t tide_run_schema_field(tide_run *run, struct tide_bytes name, enum tide_field_kind kind);
/* Move a producer on to `number` without an effect (a line that was skipped). */
int32_t tide_run_producer_skip(tide_run *run, struct tide_bytes producer, uint64_t number);
int32_t tide_run_producer(tide_run *run, struct tide_bytes producer); /* -> integer, 0 unknown */
/* Add a member of the cluster, or change whether it votes; voters count for level majority and for
 * what is committed. One change at a time: TIDE_BUSY while the last one is not stored by a majority
 * of the voters that it made. Without a level in the options: local, whatever the default. Success
 * without effect (is_duplicate) where it is as wanted. TIDE_INVALID: no node id; TIDE_LIMIT: 64
 * members are listed; TIDE_NOTFOUND: a removal of no member. */
int32_t tide_run_member_add(tide_run *run, struct tide_bytes node_id, bool is_voter,
                            const struct tide_write_options *options);
int32_t tide_run_member_remove(tide_run *run, struct tide_bytes node_id,
                               const struct tide_write_options *options);
int32_t tide_run_members(tide_run *run); /* -> members, as applied here */
/* What the read `index` asks for beyond its answer: scores, counts, rates, trends, listings,
 * entities, the schema, producers, the number of items. False: no memory. */
bool tide_run_set_read(tide_run *run, int32_t index, const struct tide_read_options *options);
/* -> double: the decayed sum of weights by the type's first half-life; 0 for an item that is not
 * there. at_ms 0: this node's clock. TIDE_SCHEMA: unknown type. */
int32_t tide_run_score(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                       int64_t at_ms);
/* -> integer: how many signals, whatever their weight; 0 for an item that is not there.
 * TIDE_SCHEMA: unknown type, or one that does not count this window. */
int32_t tide_run_count_of(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window); /* "1h" "24h" "7d" "30d" "all" */
/* -> double. Rate: weight per second, by the type's first half-life. Trend: by how many standard
 * deviations the item gets more than it used to, from the shortest and the longest half-life, or of
 * a type with one from the windows 1h and 24h. at_ms 0: this node's clock. */
int32_t tide_run_rate(tide_run *run, struct tide_bytes type, struct tide_bytes item, int64_t at_ms);
int32_t tide_run_trend(tide_run *run, struct tide_bytes type, struct tide_bytes item,
                       int64_t at_ms);
int32_t tide_run_retrieve(tide_run *run, const struct tide_retrieve *request); /* -> items */
int32_t tide_run_schema_show(tide_run *run); /* -> text, a line a type, then a line a field */
int32_t tide_run_position(tide_run *run);    /* -> position (applied) */
/* A hash over the whole state: equal on two nodes at one position, or one of them is wrong.
 * at_seqno 0: the applied position of the moment; else a recent mark. -> digest */
int32_t tide_run_digest(tide_run *run, uint64_t at_seqno);
int32_t tide_run_checkpoint(tide_run *run); /* -> position of the cut */
int32_t tide_run_log_seal(tide_run *run);   /* -> position sealed at */
/* Wait until `followers` followers stored everything up to seqno `at_least` (0: everything
 * durable now), or the timeout (0: none). -> integer, how many did. TIDE_READONLY: fewer did, and
 * this node follows, or begins to. */
int32_t tide_run_wait(tide_run *run, uint64_t at_least, uint32_t followers, uint64_t timeout_ms);
/* Wait until this node has applied the position, at most timeout_ms (0: only look). epoch 0: only
 * the number counts. -> position (applied). TIDE_STALE: not in time; TIDE_LOST: given up in a
 * change of epoch; TIDE_INVALID: no write ever had it. */
int32_t tide_run_wait_position(tide_run *run, const struct tide_position *position,
                               uint64_t timeout_ms);
/* See tide_replicate and tide_listen; transport and text are borrowed until completion. -> none */
int32_t tide_run_replicate(tide_run *run, const struct tide_transport *transport, const char *peer);
int32_t tide_run_listen(tide_run *run, const struct tide_transport *transport, const char *address);
/* Take over the options that may change while a database is open: checkpoint_interval_ms,
 * checkpoint_log_bytes, mark_interval_ms, commit_delay_us, clock_skew_max_ms, dedup_keys_max,
 * level, on_miss, deadline_ms, max_staleness_ms, slot_budget_bytes (0: what was found at the
 * start), slot_budget_records, slot_idle_timeout_ms. The other fields are judged, too, and then
 * stay what they were. TIDE_INVALID: out of bounds, nothing changed. Numbers are copied, texts
 * borrowed until completion. -> none */
int32_t tide_run_configure(tide_run *run, const struct tide_options *options);
int32_t tide_run_items(tide_run *run);   /* -> integer: item count */
int32_t tide_run_status(tide_run *run);  /* -> status */
int32_t tide_run_metrics(tide_run *run); /* -> text, Prometheus 0.0.4 lines of the engine */
int32_t tide_run_clock(tide_run *run);   /* -> clock */
/* Accept the step of the wall clock that is pending. -> clock. TIDE_INVALID: none is;
 * TIDE_READONLY on a follower. */
int32_t tide_run_clock_accept(tide_run *run);
/* Give a follower's slot up: the log is no longer kept for it and it counts for nothing; it leaves
 * the list once that is on disk, then this is answered. A live link of it is ended; it may come
 * back as a new follower, if the log still reaches back so far. TIDE_NOTFOUND; TIDE_READONLY on a
 * node that keeps no slots; TIDE_CORRUPT while the catalogue cannot be read. -> none */
int32_t tide_run_slot_drop(tide_run *run, struct tide_bytes node_id);
/* Give a slot another node id, for a follower that got another name. It must not be connected.
 * TIDE_NOTFOUND; TIDE_BUSY: it is connected; TIDE_INVALID: no node id, or one that has a slot; as
 * above. -> none */
int32_t tide_run_slot_rename(tide_run *run, struct tide_bytes node_id, struct tide_bytes new_id);
/* What would happen, asked of the code that decides it; nothing changes. what: "prune" (which log
 * would go now, and who holds the rest). argument: what the question is about, size 0 where it is
 * about this node. -> plan. TIDE_INVALID: no such question. Both are borrowed until completion. */
int32_t tide_run_plan(tide_run *run, struct tide_bytes what, struct tide_bytes argument);
/* See tide_promote, tide_follow and tide_handover. Texts are borrowed until completion, positions
 * copied. -> position; follow: none */
int32_t tide_run_promote(tide_run *run, const struct tide_position *expect, bool is_forced);
int32_t tide_run_follow(tide_run *run, const char *address, bool accepts_loss,
                        const struct tide_position *expect);
int32_t tide_run_handover(tide_run *run, const char *node_id, uint64_t timeout_ms);

enum tide_result_kind {
    TIDE_RESULT_NONE = 0, /* code tells all */
    TIDE_RESULT_POSITION = 1,
    TIDE_RESULT_DOUBLE = 2,
    TIDE_RESULT_INTEGER = 3,
    TIDE_RESULT_TEXT = 4,
    TIDE_RESULT_ITEMS = 5,
    TIDE_RESULT_DIGEST = 6,
    TIDE_RESULT_STATUS = 7,
    TIDE_RESULT_CLOCK = 8,
    TIDE_RESULT_ENTITY = 9,
    TIDE_RESULT_PLAN = 10,
    TIDE_RESULT_MEMBERS = 11,
};

/* A part of a score. Added in their order, from the first on, they give the score bit for bit. */
struct tide_term {
    const char *name;
    double value;
};
struct tide_item {
    struct tide_bytes key;
    double score;
    const struct tide_term *terms; /* is_explain only */
    uint32_t term_count;
};
struct tide_items {
    const struct tide_item *items;
    uint32_t count;
    bool is_exact;
    struct tide_position position;
    double staleness_ms;      /* +Inf: never synced; 0 on a leader */
    struct tide_bytes cursor; /* text for the next page; size 0: this was the last */
};
struct tide_digest {
    uint64_t seqno;
    uint8_t root[32];
};

/* The clock that stamps writes: it goes by the monotonic clock and is slewed towards wall time, so
 * that a jump of the wall clock expires nothing. All in ms since 1970. */
struct tide_clock {
    int64_t leader_ms; /* leader time; on a follower, of the newest batch it applied */
    int64_t wall_ms;   /* this machine's clock */
    int64_t offset_ms; /* wall time - leader time */
    /* "following"; "step pending": wall time is further away than clock_step_max, and not followed
     * until tide_clock_accept; "standing still": wall time is behind a record that is there, only
     * a counter advances until it has come up; "follower": this node has no leader time of its
     * own. Static. */
    const char *state;
    bool is_step_pending;
    uint64_t steps; /* steps that became pending since this node opened */
};

/* Something that happened to this node that an operator wants to know of. */
struct tide_event {
    uint64_t number; /* 1, 2, 3 ... since it opened */
    int64_t wall_ms; /* this machine's clock then */
    uint64_t ms_ago;
    const char *kind;  /* "role", "epoch", "resync", "divergence" ... static */
    const char *level; /* "info", "warn", "error"; static */
    const char *text;  /* one sentence without a full stop; lives as long as the run */
};

/* One follower as its leader sees it. Strings live as long as the run. */
/* A copy of the state on its way from one node to another. */
struct tide_copy {
    bool is_active;
    uint64_t mark; /* the record as of which it is copied; 0: not known yet */
    uint64_t done_bytes;
    uint64_t total_bytes;
    uint64_t done_blocks;
    uint64_t total_blocks;
    uint64_t moved_bytes; /* of those done, the ones that came over the link */
    double bytes_per_second;
    double eta_seconds; /* +Inf: not known */
};

struct tide_follower_status {
    const char *node_id;
    const char *address; /* data address, "" unknown */
    const char *state;   /* slot state: "streaming", "inactive" ... */
    uint16_t region;
    uint16_t shard;
    bool is_connected;
    bool was_synced; /* told a stored position at least once */
    bool is_rebootstrapping;
    struct tide_copy copy; /* that it makes of this node */
    uint64_t restart;
    uint64_t shipped;
    uint64_t received;
    uint64_t stored;
    uint64_t applied;
    uint64_t lag_records; /* from the leader's durable position */
    uint64_t lag_bytes;
    double lag_seconds; /* upper bound; +Inf never synced */
    uint64_t last_seen_ms_ago;
    uint64_t connected_ms;
    uint64_t apply_errors;
    uint64_t divergences;
    uint64_t credit_bytes;
    uint64_t last_acks; /* writes that had waited for its acknowledgement alone */
    /* The slot's budget, as judged last: at most a second ago while it has no link. */
    uint64_t held_bytes; /* log that is kept for it */
    uint64_t held_records;
    uint64_t budget_bytes;      /* UINT64_MAX: none */
    uint64_t safe_bytes;        /* what is left of it; UINT64_MAX: no budget */
    double seconds_until_lost;  /* at the present growth of the log; +Inf: not in sight; 0: lost */
    uint64_t idle_ms;           /* without a link, added up over restarts */
    const char *reason;         /* why it was lost or copies the state; "" else */
    uint64_t invalidated_at_ms; /* wall clock, ms since 1970; 0: it is not lost */
};

/* Everything of one moment (one snapshot on the database's own thread). */
/* One node of the cluster, as its leader sees it. */
struct tide_member {
    const char *node_id;
    const char *data_address; /* addresses: "" unknown */
    const char *http_address;
    const char *replication_address;
    enum tide_role role;
    uint16_t region;
    bool is_voter;
    bool is_up; /* follows what is seen with a delay, so that a reconnect changes nothing */
    bool is_rebootstrapping;
    uint64_t lag_records; /* UINT64_MAX: not known */
    const char *follows;  /* id of the node that it follows; "" on the leader, or not known */
};
/* Of the list in the log only node_id, data_address and is_voter are told. */
struct tide_members {
    const struct tide_member *members;
    uint32_t count;
};

/* A file in quarantine/: a tail that is no part of this node's log any more. */
struct tide_quarantined {
    const char *name;
    const char *kind; /* "replaced": by another history, a segment; "torn": bytes as a crash left
                         them */
    uint64_t size;
    uint64_t first; /* its records, 0: not known; ... */
    uint64_t last;  /* ... of a torn one the last is never known */
    uint64_t epoch; /* of the last one; 0: not known */
};

struct tide_status {
    enum tide_role role;
    const char *node_id;
    const char *cluster;             /* 32 hex digits, "" unknown yet */
    const char *state;               /* "serving", "poisoned", "halted", "diverged", "syncing",
                                        "rebootstrapping" */
    const char *reason;              /* sentence when state is not serving; "" else */
    const char *leader_data_address; /* "" unknown */
    const char *leader_replication_address;
    const char *replication_address; /* where this node listens; "" none */
    const char *link_state;          /* follower: "streaming", "connecting", "refused: ..." */
    uint16_t region;
    uint16_t shard;
    uint64_t epoch;
    struct tide_position applied;
    struct tide_position durable;
    uint64_t assigned;
    uint64_t committed;
    uint64_t safe;
    uint64_t oldest;
    uint64_t retention_floor;     /* oldest record that is needed ... */
    const char *retention_holder; /* ... and by what: slots, checkpoint, retain_segments, reader,
                                     members;
                                     "" while there is no log */
    uint64_t log_bytes;
    uint64_t log_segments;
    uint64_t items;
    uint64_t memory_bytes;
    uint64_t disk_free_bytes;
    const char *disk_rung;     /* "plenty", "at_risk", "invalidate", "slow", "refuse" (no writes) */
    uint32_t disk_rung_number; /* 0 to 4 in this order */
    double disk_seconds_until_full; /* until writes are refused, at the present rate; +Inf */
    uint64_t disk_reserve_bytes;    /* held now */
    uint64_t write_slow_us; /* each group of writes waits so long: the disk fills, a voter lags */
    uint64_t checkpoint_seqno;
    uint64_t checkpoint_age_ms; /* UINT64_MAX: none yet */
    uint64_t digest_mark;       /* newest mark with a root; 0 none */
    uint64_t divergences;
    uint64_t digests_checked;
    bool is_link_up;      /* follower: streaming from its leader */
    bool was_synced;      /* follower: reached a leader's position once */
    uint64_t lag_records; /* follower's own view, as of what its leader said last */
    uint64_t lag_bytes;
    double lag_seconds;        /* 0 on a leader; +Inf never synced */
    uint64_t max_staleness_ms; /* what reads allow by default; 0: off */
    struct tide_copy copy;     /* that it makes of its leader */
    uint64_t uptime_ms;
    struct tide_clock clock;
    uint32_t follower_count;
    const struct tide_follower_status *followers;
    uint64_t topology_version;         /* moves when clients have to look at the members again */
    uint32_t member_count;             /* as the leader told them last; 0: none were told yet */
    const struct tide_member *members; /* the leader and those that follow it, the same list on
                                        * every node; then what only this node knows of a chain:
                                        * itself, and those that follow it */
    uint64_t events_total;             /* events since it opened; the newest 256 are told */
    uint32_t event_count;
    const struct tide_event *events; /* oldest first */
    const char *json;                /* the same as one JSON object (status.json) */
    /* A follower may follow a follower. leader_replication_address is whom this node follows. */
    const char *path; /* ids of whom it follows, the leader last, commas between; "" not known */
    bool is_cut;      /* follower: a link between it and the leader is down: lag_records and
                         lag_bytes are as of what was heard last */
    /* As they were when the data was opened last; no file is put there at another time. */
    uint64_t quarantine_files; /* all of them ... */
    uint64_t quarantine_bytes;
    uint32_t quarantine_count; /* ... and the newest 16, oldest first */
    const struct tide_quarantined *quarantine;
};

/* What would happen. Everything lives as long as the run. */
struct tide_plan_fact {
    const char *name; /* a word; things of which there are several: "slot.f1.stored" */
    const char *value;
    bool is_number; /* value is a whole number */
};
struct tide_plan {
    const char *what;
    const char *path; /* one word: which way it would go */
    uint64_t bytes;   /* moved or removed; UINT64_MAX: does not apply */
    double seconds;   /* estimated; below 0: not known */
    const char *why;  /* sentences for people */
    const struct tide_plan_fact *facts;
    uint32_t fact_count;
};

struct tide_result {
    enum tide_code code;
    enum tide_result_kind kind;
    /* An idempotent success that wrote nothing: position is the first write's, or one at which
     * things are as wanted (a once signal that stands already, an unsignal of what does not). */
    bool is_duplicate;
    struct tide_level level; /* of a write that succeeded: what was reached */
    union {
        struct tide_position position;
        double number;
        uint64_t integer;
        struct tide_bytes text;
        struct tide_items items;
        struct tide_digest digest;
        struct tide_entity entity;
        struct tide_members members;
        const struct tide_status *status;
        struct tide_clock clock;
        const struct tide_plan *plan;
    } as;
    const char *message; /* one sentence when code is not OK; NULL else */
};
/* Valid after completion until reset or free. index < tide_run_count. */
const struct tide_result *tide_run_result(const tide_run *run, size_t index);

/* Hand a run over; callback(run, arg) is called once on the database's thread when every operation
 * has its result: it must be short and must not block, and may reset, submit or free the run.
 * Returns TIDE_BUSY / TIDE_CLOSED without taking the run. Any thread; does not block. */
typedef void (*tide_callback)(tide_run *run, void *arg);
enum tide_code tide_submit(tide_db *db, tide_run *run, tide_callback callback, void *arg);
/* Hand over and wait for completion. Any thread but the database's own. */
enum tide_code tide_execute(tide_db *db, tide_run *run);

/* --- replication over any carrier of bytes --- */

/* A transport carries the byte streams between a leader and its followers: two nodes in one
 * process, a serial line, a message bus. It need not know what it carries: frames, checksums,
 * acknowledgements and reconnecting are the library's. It must keep bytes whole and in order, or
 * end the connection.
 *
 * Threads: the library makes every call below on the thread of the database that uses the
 * transport, one at a time; a transport that several databases share is called from several threads
 * at once. No call may block or call the library back, but for the waker's wake.
 * The waker: wake(arg) tells the database to look again: bytes arrived, there is room again,
 * somebody connected, the connection ended. It may be called from any thread, at any time, also
 * from inside the calls below and with the transport's own locks held, for it takes none and only
 * posts a task. Too often is allowed, too seldom is not. It must not be called any more after close
 * or unlisten of that connection or listener has returned, or when connect, listen or accept did
 * not give one.
 *
 * Flow control: send takes as much as there is credit for, which bounds the memory of
 * both sides: what it does not take stays in the database's queue, bounded by tide_options.credit;
 * a database that is busy does not call receive, and a transport that is full then takes nothing.
 * Errors: TIDE_OK, or any other code when the connection is over; the follower comes back by itself
 * with growing pauses. *e is not NULL and says in one sentence what is wrong.
 * Connections and listeners are the transport's own pointers, passed back as they came. */
struct tide_waker {
    void (*wake)(void *arg);
    void *arg;
};
struct tide_transport {
    size_t size; /* sizeof(struct tide_transport) */
    void *arg;   /* passed to each call that needs no connection or listener */
    /* Connect to whoever listens at address, a name that means something to this transport. It may
     * still be under way on return: then send takes 0 bytes and receive gives 0 until it is there.
     */
    enum tide_code (*connect)(void *arg, const char *address, struct tide_waker waker,
                              void **out_connection, struct tide_err *e);
    enum tide_code (*listen)(void *arg, const char *address, struct tide_waker waker,
                             void **out_listener, struct tide_err *e);
    /* The next connection that somebody made to the listener; false: none is there now. */
    bool (*accept)(void *listener, struct tide_waker waker, void **out_connection);
    void (*unlisten)(void *listener);
    /* Copy up to size bytes away; *out_taken says how many, from 0 to size. */
    enum tide_code (*send)(void *connection, const void *bytes, size_t size, size_t *out_taken);
    /* Give up to capacity bytes; *out_size 0: nothing is there now. TIDE_CLOSED: the other side
     * closed, and everything that it sent before was given. */
    enum tide_code (*receive)(void *connection, void *out, size_t capacity, size_t *out_size);
    void (*close)(void *connection);    /* called once for each connection, whatever it answered */
    const char *(*describe)(void *arg); /* "pair": for messages; lives as long as the transport */
    void (*free)(void *arg);            /* for tide_transport_free; NULL: nothing to do */
};

/* Between databases of one process, without sockets: connections are two bounded queues of
 * `capacity` bytes each (0: 256 KiB). Addresses are any names; one transport serves any number of
 * databases. *out is given: end it with tide_transport_free after the last of them was closed.
 * Errors: TIDE_NOMEMORY, TIDE_INVALID. Any thread; does not block. */
enum tide_code tide_transport_pair(size_t capacity, struct tide_transport **out,
                                   struct tide_err *e);
/* A directory of objects (see tide_log_export) as a leader that is never written to: a follower
 * takes what is there, and what is put there later (looked for twice a second). Its files are only
 * read. Acknowledgements go nowhere: tide_follower_status and levels do not exist here; lag is
 * measured from the end of the objects. Any address. Starts a thread. *out as above. Errors:
 * TIDE_NOTFOUND (no such directory), TIDE_IO, TIDE_NOMEMORY. */
enum tide_code tide_transport_directory(const char *dir, struct tide_transport **out,
                                        struct tide_err *e);
/* End one that the library made. NULL allowed. No database may use it any more. */
void tide_transport_free(struct tide_transport *transport);

/* Follow `peer` over the transport from now on; NULL for a transport: TCP, peer is "host:port".
 * The database must be a follower (opened with tide_options.follow, at least the first time):
 * TIDE_INVALID for one that leads, with a sentence that says so. Success means that it begins to
 * connect; tide_status says how it goes, and it comes back by itself after each failure. A
 * link to another peer is ended. The name is stored as "transport:PEER": opened again, the follower
 * waits until this is called again. transport is borrowed until tide_close returned; peer (at most
 * 200 bytes) is copied. Any thread but the database's own; waits for that thread. */
enum tide_code tide_replicate(tide_db *db, const struct tide_transport *transport, const char *peer,
                              struct tide_err *e);
/* Let followers connect at `address` of the transport, besides where tide_options said; NULL for a
 * transport: TCP. The database must have been opened with replication_listen (TIDE_TRANSPORT where
 * no socket is wanted), else TIDE_INVALID. At most 8 places. A follower that is asked refuses and
 * names its leader. Errors: the transport's; TIDE_LIMIT. Otherwise as tide_replicate. */
enum tide_code tide_listen(tide_db *db, const struct tide_transport *transport, const char *address,
                           struct tide_err *e);

/* --- roles --- */

/* Make this node the leader, because the one it follows is gone: all known members are asked (it
 * takes as long as the slowest answer, at most the suspect time), then a new epoch begins above
 * every one that anybody has seen. *out is the position of its first record. A node that leads
 * already answers with its position.
 * expect: the position at which this node must end (NULL: any). Without force it is refused where a
 * write that was acknowledged by followers might be given up. TIDE_REFUSED: the sentence says why,
 * and whether force helps. TIDE_BUSY: the role is being changed already. Others: as of a write.
 * Any thread but the database's own; waits for that thread. */
enum tide_code tide_promote(tide_db *db, const struct tide_position *expect, bool is_forced,
                            struct tide_position *out, struct tide_err *e);
/* Follow the node with this replication address ("host:port") from now on. On a follower it is as
 * tide_replicate over TCP. A leader gives up its leadership only for a node of its own cluster that
 * leads in a later epoch, TIDE_REFUSED otherwise: records are never thrown away to make a leader
 * follow. accepts_loss, with the position at which this node ends: what it holds and that leader
 * does not may be given up, even if it was committed. Threads as tide_promote. */
enum tide_code tide_follow(tide_db *db, const char *address, bool accepts_loss,
                           const struct tide_position *expect, struct tide_err *e);
/* Pass the leadership to a connected follower without losing a write: writes wait, the follower
 * stores and applies all there is, then it leads and this node follows it. *out is the last
 * position of this node's leadership. timeout_ms bounds how long writes wait for the follower (0: 5
 * s); not in time: TIDE_TIMEOUT, and this node leads on. TIDE_NOTFOUND: no such follower. Threads
 * as tide_promote. */
enum tide_code tide_handover(tide_db *db, const char *node_id, uint64_t timeout_ms,
                             struct tide_position *out, struct tide_err *e);

/* --- the log as files --- */

struct tide_log_report {
    uint64_t objects; /* written, or taken */
    uint64_t records;
    uint64_t bytes;                /* of the objects */
    struct tide_position position; /* where the objects, or the database, end now */
};

/* Copy what is durable in the log of the data directory `dir` into out_dir (made if absent) as
 * objects: files that are written whole, never changed, and named by stream, first record and
 * chain. Goes on from where the objects there end; called again and again it follows a running
 * node, which is not disturbed. An object holds the log key: whoever has it can read the log and
 * forge records, so out_dir is to be kept like the data directory. *out (may be NULL) is written in
 * any case: what was written before a failure stays. Errors: TIDE_NOTFOUND (no such directory, or
 * no log in it), TIDE_NOT_KEPT (the log begins after the objects end), TIDE_DIVERGED or
 * TIDE_WRONG_CLUSTER (the objects are of another log), TIDE_ROTTEN, TIDE_CORRUPT, TIDE_INUSE
 * (another export writes there), TIDE_IO, TIDE_DISKFULL. Any thread; blocks. */
enum tide_code tide_log_export(const char *dir, const char *out_dir, struct tide_log_report *out,
                               struct tide_err *e);
/* Take the objects of in_dir into the data directory `dir`, which must be new, or follow, and not
 * be open: every record is verified as if a leader had sent it, stored and applied. `dir` follows
 * the directory from then on; opened again, it serves reads and waits until tide_replicate or
 * tide_options.follow names a leader. Repeating is harmless: what is held is passed over.
 * node_id names the node of a new directory; NULL: random.
 * *out (may be NULL) is written in any case: what was taken before a failure stays. Errors:
 * TIDE_INVALID (`dir` leads), TIDE_NOT_KEPT (objects are missing; those before the hole were
 * taken), TIDE_DIVERGED (other records under the same numbers), TIDE_WRONG_CLUSTER, TIDE_CORRUPT
 * (an object is damaged or half copied), TIDE_NOTFOUND, those of tide_open. Any thread; blocks. */
enum tide_code tide_log_import(const char *dir, const char *in_dir, const char *node_id,
                               struct tide_log_report *out, struct tide_err *e);

/* --- one operation, waiting --- */

/* Each executes a run of one operation and waits for its outcome; the operation's errors are said
 * at tide_run_<name>. Where *out is a position it may be NULL. Any thread but the database's own.
 */
enum tide_code tide_signal(tide_db *db, const struct tide_signal *signal, struct tide_position *out,
                           struct tide_err *e);
enum tide_code tide_signals(tide_db *db, const struct tide_signal *signals, size_t n,
                            struct tide_position *out, struct tide_err *e);
/* As tide_run_unsignal. out may be NULL. */
enum tide_code tide_unsignal(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                             struct tide_bytes user, struct tide_position *out, struct tide_err *e);
enum tide_code tide_item_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                             struct tide_err *e);
enum tide_code tide_user_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                             struct tide_err *e);
enum tide_code tide_creator_put(tide_db *db, const struct tide_put *put, struct tide_position *out,
                                struct tide_err *e);
enum tide_code tide_item_delete(tide_db *db, struct tide_bytes key, struct tide_position *out,
                                struct tide_err *e);
/* run: an empty one of the caller's, in whose memory *out lies until it is reset or freed. */
enum tide_code tide_item_get(tide_db *db, tide_run *run, struct tide_bytes key,
                             struct tide_entity *out, struct tide_err *e);
enum tide_code tide_user_get(tide_db *db, tide_run *run, struct tide_bytes key,
                             struct tide_entity *out, struct tide_err *e);
enum tide_code tide_creator_get(tide_db *db, tide_run *run, struct tide_bytes key,
                                struct tide_entity *out, struct tide_err *e);
enum tide_code tide_schema_signal(tide_db *db, const struct tide_schema_signal *schema,
                                  struct tide_position *out, struct tide_err *e);
enum tide_code tide_schema_field(tide_db *db, struct tide_bytes name, enum tide_field_kind kind,
                                 struct tide_position *out, struct tide_err *e);
/* See tide_run_member_add. */
enum tide_code tide_member_add(tide_db *db, const char *node_id, bool is_voter,
                               struct tide_position *out, struct tide_err *e);
enum tide_code tide_member_remove(tide_db *db, const char *node_id, struct tide_position *out,
                                  struct tide_err *e);
enum tide_code tide_score(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          int64_t at_ms, double *out, struct tide_err *e);
enum tide_code tide_count(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          struct tide_bytes window, uint64_t *out, struct tide_err *e);
enum tide_code tide_rate(tide_db *db, struct tide_bytes type, struct tide_bytes item, int64_t at_ms,
                         double *out, struct tide_err *e);
enum tide_code tide_trend(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                          int64_t at_ms, double *out, struct tide_err *e);
/* The applied position of the moment, its digest, and a checkpoint cut at once (it blocks until
 * that is durable). */
enum tide_code tide_position_now(tide_db *db, struct tide_position *out, struct tide_err *e);
enum tide_code tide_digest_now(tide_db *db, struct tide_digest *out, struct tide_err *e);
enum tide_code tide_checkpoint(tide_db *db, struct tide_position *out, struct tide_err *e);
enum tide_code tide_clock_now(tide_db *db, struct tide_clock *out, struct tide_err *e);
/* Accept a pending step of the wall clock: leader time becomes wall time if that is ahead (what has
 * fallen due expires), else it stands still until wall time has come up. out may be NULL. */
enum tide_code tide_clock_accept(tide_db *db, struct tide_clock *out, struct tide_err *e);

/* Wait until this node shows the write whose position is given, for timeout_ms at most (0: only
 * look; UINT64_MAX: for as long as it takes). Errors as tide_run_wait_position's. */
enum tide_code tide_wait_position(tide_db *db, const struct tide_position *position,
                                  uint64_t timeout_ms, struct tide_err *e);

/* Answers with more than a number: *out and everything it points to belong to the caller until
 * tide_result_free. as.items, as.text, as.status: by the operation of the same name. */
void tide_result_free(const struct tide_result *result); /* NULL allowed */
enum tide_code tide_retrieve(tide_db *db, const struct tide_retrieve *request,
                             const struct tide_result **out, struct tide_err *e);
enum tide_code tide_schema_show(tide_db *db, const struct tide_result **out, struct tide_err *e);
enum tide_code tide_metrics(tide_db *db, const struct tide_result **out, struct tide_err *e);
enum tide_code tide_members(tide_db *db, const struct tide_result **out, struct tide_err *e);
enum tide_code tide_status(tide_db *db, const struct tide_result **out, struct tide_err *e);
/* argument NULL: none. See tide_run_plan. */
enum tide_code tide_plan(tide_db *db, const char *what, const char *argument,
                         const struct tide_result **out, struct tide_err *e);
/* See tide_run_slot_drop and tide_run_slot_rename. */
enum tide_code tide_slot_drop(tide_db *db, const char *node_id, struct tide_err *e);
enum tide_code tide_slot_rename(tide_db *db, const char *node_id, const char *new_id,
                                struct tide_err *e);
/* The status of a moment for the sake of its followers: every slot that this leader keeps, or only
 * those with a link. A follower has none. */
enum tide_code tide_slots(tide_db *db, const struct tide_result **out, struct tide_err *e);
enum tide_code tide_replicas(tide_db *db, const struct tide_result **out, struct tide_err *e);

/* --- one operation, with a callback --- */

/* Twins of the waiting calls. TIDE_OK: done(result, arg) will be called once, on the database's own
 * thread, with the outcome in result->code; it must be short and must not block or wait. *result is
 * valid until it returns. Anything else (TIDE_BUSY, TIDE_CLOSED, TIDE_NOMEMORY): it will not be
 * called. Bytes that are given stay borrowed until then. Any thread; none of these blocks. */
typedef void (*tide_done)(const struct tide_result *result, void *arg);

enum tide_code tide_signal_async(tide_db *db, const struct tide_signal *signal, tide_done done,
                                 void *arg);
enum tide_code tide_signals_async(tide_db *db, const struct tide_signal *signals, size_t n,
                                  tide_done done, void *arg);
enum tide_code tide_unsignal_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                   struct tide_bytes user, tide_done done, void *arg);
enum tide_code tide_item_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                   void *arg);
enum tide_code tide_user_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                   void *arg);
enum tide_code tide_creator_put_async(tide_db *db, const struct tide_put *put, tide_done done,
                                      void *arg);
enum tide_code tide_item_delete_async(tide_db *db, struct tide_bytes key, tide_done done,
                                      void *arg);
enum tide_code tide_item_get_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg);
enum tide_code tide_user_get_async(tide_db *db, struct tide_bytes key, tide_done done, void *arg);
enum tide_code tide_creator_get_async(tide_db *db, struct tide_bytes key, tide_done done,
                                      void *arg);
enum tide_code tide_schema_signal_async(tide_db *db, const struct tide_schema_signal *schema,
                                        tide_done done, void *arg);
enum tide_code tide_schema_field_async(tide_db *db, struct tide_bytes name,
                                       enum tide_field_kind kind, tide_done done, void *arg);
enum tide_code tide_score_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                int64_t at_ms, tide_done done, void *arg);
enum tide_code tide_count_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                struct tide_bytes window, tide_done done, void *arg);
enum tide_code tide_rate_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                               int64_t at_ms, tide_done done, void *arg);
enum tide_code tide_trend_async(tide_db *db, struct tide_bytes type, struct tide_bytes item,
                                int64_t at_ms, tide_done done, void *arg);
enum tide_code tide_retrieve_async(tide_db *db, const struct tide_retrieve *request, tide_done done,
                                   void *arg);
enum tide_code tide_schema_show_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_position_now_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_wait_position_async(tide_db *db, const struct tide_position *position,
                                        uint64_t timeout_ms, tide_done done, void *arg);
enum tide_code tide_digest_now_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_checkpoint_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_clock_now_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_clock_accept_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_status_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_members_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_member_add_async(tide_db *db, const char *node_id, bool is_voter,
                                     tide_done done, void *arg);
enum tide_code tide_member_remove_async(tide_db *db, const char *node_id, tide_done done,
                                        void *arg);
enum tide_code tide_metrics_async(tide_db *db, tide_done done, void *arg);
enum tide_code tide_plan_async(tide_db *db, const char *what, const char *argument, tide_done done,
                               void *arg);
enum tide_code tide_slot_drop_async(tide_db *db, const char *node_id, tide_done done, void *arg);
enum tide_code tide_slot_rename_async(tide_db *db, const char *node_id, const char *new_id,
                                      tide_done done, void *arg);
enum tide_code tide_replicate_async(tide_db *db, const struct tide_transport *transport,
                                    const char *peer, tide_done done, void *arg);
enum tide_code tide_listen_async(tide_db *db, const struct tide_transport *transport,
                                 const char *address, tide_done done, void *arg);
enum tide_code tide_promote_async(tide_db *db, const struct tide_position *expect, bool is_forced,
                                  tide_done done, void *arg);
enum tide_code tide_follow_async(tide_db *db, const char *address, bool accepts_loss,
                                 const struct tide_position *expect, tide_done done, void *arg);
enum tide_code tide_handover_async(tide_db *db, const char *node_id, uint64_t timeout_ms,
                                   tide_done done, void *arg);

#ifdef __cplusplus
}
#endif

#endif
