/* reader: the one pull reader over a byte source, shared by recovery, shipping, followers, the log
 * tools and fuzzers. It never repairs and never writes.
 *
 * The source gives bytes at an offset; the reader keeps a window over them. It checks everything a
 * batch can be checked for: header verdict, first = expected, previous chain, epoch not lower,
 * payload hash, record framing, zero padding. What a stop means is decided elsewhere
 * (core/recover): the reader only says where and why it stopped.
 */
#ifndef TIDEMARK_FORMAT_READER_H
#define TIDEMARK_FORMAT_READER_H

#include "format/batch.h"
#include "format/record.h"

/* Read up to size bytes at offset into out; *out_read < size only at the end of the source.
 * E_IO is passed through as READER_IO and never read as the end. */
typedef enum code (*reader_source)(void *context, uint64_t offset, void *out, size_t size,
                                   size_t *out_read, struct err *e);

enum reader_result {
    READER_BATCH, /* one whole verified batch */
    READER_END,   /* the limit of the source, exactly at a batch end */
    READER_STOP,  /* bytes that are no valid next batch; see stop */
    READER_IO,    /* the source failed; err is filled */
};

enum reader_stop {
    STOP_ZEROS,     /* a header's room, or what the source has of it, is all zero */
    STOP_NO_HEADER, /* something without magic */
    STOP_BAD_HEADER,
    STOP_NEWER,
    STOP_FOREIGN,
    STOP_WRONG_SEQNO, /* valid header that does not follow (stale or missing batches) */
    STOP_WRONG_CHAIN,
    STOP_LOWER_EPOCH,
    STOP_BAD_PAYLOAD, /* valid header, payload does not hash */
    STOP_BAD_RECORDS, /* payload hashes, records do not parse: a writer's bug or version */
    STOP_SHORT,       /* the source ends inside header, payload or padding */
    STOP_BAD_PADDING,
};
const char *reader_stop_text(enum reader_stop stop);

/* What to read, and where with. */
struct reader_input {
    reader_source source;
    void *context;
    struct log_identity id;
    struct position start; /* the position before the first batch at offset */
    uint64_t offset;       /* of the first batch in the source */
    uint64_t limit;        /* do not read at or beyond (footer offset or file size) */
    void *buffer;          /* borrowed for the reader's life */
    size_t buffer_size;    /* >= READER_BUFFER_SIZE_MIN */
};
#define READER_BUFFER_SIZE_MIN (BATCH_SIZE_MAX + 64 * KIB)

struct reader {
    struct reader_input input;
    struct position at;       /* the end of the last good batch */
    uint64_t offset;          /* offset of the next batch in the source */
    uint64_t limit;           /* may be raised by the caller after READER_END */
    uint64_t window_offset;   /* offset of the buffer's first byte in the source */
    size_t window_size;       /* bytes of the buffer that hold the source's */
    bool is_record_check_off; /* skip parsing records (shipping: the bytes were verified before) */
};

struct reader_batch {
    uint64_t offset; /* of its header in the source */
    struct batch_header header;
    struct slice bytes; /* header and payload, borrowed until the next call */
    struct slice payload;
    struct position position; /* its end */
};

void reader_init(struct reader *r, const struct reader_input *input);
/* The next batch. *out on READER_BATCH, *out_stop on READER_STOP, err on READER_IO and
 * STOP_BAD_RECORDS. After READER_STOP r->offset says where; the reader cannot go on. After
 * READER_END it can, once limit is raised. */
enum reader_result reader_next(struct reader *r, struct reader_batch *out,
                               enum reader_stop *out_stop, struct err *e);

/* What later headers say about a damaged place, for the torn or rotten decision. */
struct reader_evidence {
    seqno durable_through; /* the largest found; 0 = none */
    seqno first;           /* of the batch that claims it */
    uint64_t offset;       /* where */
    uint64_t epoch;        /* of the batch that claims it */
    uint64_t count;        /* later batches that count */
};
/* Scan every 64-byte boundary of [input->offset, input->limit) for batches that count: whole, with
 * the right log key, cluster, stream and payload hash; beyond input->start in seqno and not below
 * it in epoch; durable_through below their own first seqno; a seqno that the bytes between can
 * explain; and of one of the epochs given (the ones this node led: durable_through is a fact about
 * its leader's disk). epochs NULL: of any epoch. */
MUST_CHECK enum code reader_find_evidence(const struct reader_input *input, const uint64_t *epochs,
                                          uint32_t epoch_count, struct reader_evidence *out,
                                          struct err *e);

#endif
