/* log_verify: reads every byte that a node's data directory promises to keep, and names the first
 * one that is wrong by file, offset and record.
 *
 * Wrong is what cannot come from a crash. A log that was cut by kill -9 or by a power failure ends
 * in zeros or in a torn batch that nobody was told about; the same evidence as at a start decides
 * (log_verify_tail.c): the node's own mark, what later batches of its own leadership say was
 * durable before them, and what the damage looks like. While a server runs on the directory, what
 * it writes meanwhile is left out.
 */
#ifndef TIDEMARK_CLI_LOG_VERIFY_H
#define TIDEMARK_CLI_LOG_VERIFY_H

#include "base/text.h"
#include "cli/log_dir.h"

struct log_damage {
    char file[LOG_NAME_SIZE];
    bool has_offset;
    uint64_t offset;
    seqno first; /* the first record that is not whole; 0: not about a record */
    char text[ERR_TEXT_SIZE];
};

#define LOG_NOTES_MAX 12

/* A position that another file claims to be in the log. */
struct log_claim {
    char file[LOG_NAME_SIZE];
    struct position position;
    bool is_met;
};
#define LOG_CLAIMS_MAX 16

struct log_report {
    seqno oldest; /* 0: no records */
    struct position end;
    uint64_t batches;
    uint64_t log_bytes; /* read and verified */
    uint64_t spares;
    uint64_t manifests;
    uint64_t blocks;
    uint64_t state_bytes;
    uint64_t slots;
    bool is_tail_cut; /* unsealed, zeros or torn bytes after the end */
    /* what is worth knowing and no damage, one sentence each */
    char notes[LOG_NOTES_MAX][ERR_TEXT_SIZE];
    size_t note_count;
    struct log_claim claims[LOG_CLAIMS_MAX];
    size_t claim_count;
};

/* OK, or E_CORRUPT with *damage filled, or E_FORMAT, E_IO, E_CLOSED with *e filled. */
MUST_CHECK enum code log_verify(const struct log_dir *dir, struct log_report *report,
                                struct log_damage *damage, struct err *e);

/* For the parts of it (log_verify.c, log_verify_tail.c, log_verify_state.c). */
struct log_check {
    const struct log_dir *dir;
    struct log_report *report;
    struct log_damage *damage;
    struct position at; /* end of what was verified */
    uint8_t *window;    /* LOG_WINDOW_SIZE */
};

/* Fill the damage; returns E_CORRUPT. */
enum code log_found(struct log_check *check, const char *file, const char *format, ...)
    PRINTF_LIKE(3, 4);
enum code log_found_at(struct log_check *check, const char *file, uint64_t offset, seqno first,
                       const char *format, ...) PRINTF_LIKE(5, 6);
void log_note(struct log_check *check, const char *format, ...) PRINTF_LIKE(2, 3);

/* What stands behind the last whole batch of an unsealed segment, and is it damage? */
MUST_CHECK enum code log_check_tail(struct log_check *check, const struct log_file *file, int fd,
                                    const struct reader *reader, enum reader_stop stop,
                                    struct err *e);
/* A place in an open segment file. */
struct log_place {
    const struct log_file *file;
    int fd;
    uint64_t offset;
};
/* What batches behind a place prove beyond check->at: of this node's own leaderships only, or of
 * any. */
MUST_CHECK enum code log_find_evidence(struct log_check *check, const struct log_place *place,
                                       bool is_own_only, struct reader_evidence *out,
                                       struct err *e);
/* Manifests are read in two steps: their positions before the log, their blocks after it. */
MUST_CHECK enum code log_check_manifests(struct log_check *check, struct err *e);
MUST_CHECK enum code log_check_blocks(struct log_check *check, struct err *e);
MUST_CHECK enum code log_check_slots(struct log_check *check, struct err *e);

#endif
