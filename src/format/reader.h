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
    STOP_ZEROS,     /* a header's room is all zero */
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

struct reader {
    reader_source source;
    void *context;
    struct log_identity id;
    struct position at; /* the end of the last good batch */
    uint64_t offset;    /* file offset of the next batch */
    uint64_t limit;     /* do not read at or beyond (footer offset or file size) */
    uint8_t *buffer;    /* caller's, capacity >= BATCH_SIZE_MAX + 64 KiB */
    size_t buffer_capacity;
    uint64_t buffer_offset; /* file offset of buffer[0] */
    size_t buffer_size;
    bool is_record_check_off; /* skip parsing records (shipping: the bytes were verified before) */
};

struct reader_batch {
    uint64_t offset; /* of its header in the source */
    struct batch_header header;
    struct slice bytes; /* header and payload, borrowed until the next call */
    struct slice payload;
    struct position position; /* its end */
};

/* start: position before the first batch at offset. buffer is borrowed for the reader's life. */
void reader_init(struct reader *r, reader_source source, void *context,
                 const struct log_identity *id, const struct position *start, uint64_t offset,
                 uint64_t limit, void *buffer, size_t buffer_capacity);
/* On READER_STOP *out_stop and r->offset say why and where; the reader can not go on. */
enum reader_result reader_next(struct reader *r, struct reader_batch *out,
                               enum reader_stop *out_stop, struct err *e);

/* The largest durable_through in any later header that counts, for the torn or rotten decision:
 * scans every 64-byte boundary of [from, limit) for whole batches that verify with the right log
 * key, epoch >= last good one's, durable_through < own first seqno, and seqnos beyond `after`.
 * evidence 0 = none found. */
struct reader_evidence {
    seqno durable_through; /* the largest found */
    seqno first;           /* of the batch that claims it */
    uint64_t offset;       /* where */
    uint64_t count;        /* later batches that count */
    uint64_t epoch;        /* of the batch that claims the largest */
};
MUST_CHECK enum code reader_find_evidence(reader_source source, void *context,
                                          const struct log_identity *id,
                                          const struct position *after, uint64_t from,
                                          uint64_t limit, void *buffer, size_t buffer_capacity,
                                          struct reader_evidence *out, struct err *e);

#endif
