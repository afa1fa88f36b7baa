/* samples: one well-formed example of everything the format can say, the same in every run. Unit
 * tests take them apart, golden files keep their bytes.
 */
#ifndef TIDEMARK_TESTS_SUPPORT_SAMPLES_H
#define TIDEMARK_TESTS_SUPPORT_SAMPLES_H

#include "format/batch.h"
#include "format/checkpoint.h"
#include "format/identity.h"
#include "format/record.h"
#include "format/segment.h"
#include "format/slotfile.h"
#include "format/wire.h"

#define SAMPLE_TIME_MS 1700000000000 /* leader time of every sample */
#define SAMPLE_LOG_KEY UINT64_C(0x1122334455667788)

extern const enum record_kind SAMPLE_KINDS[]; /* every kind of RECORD_TABLE */
extern const size_t SAMPLE_KIND_COUNT;

/* Memory that the slices of a sample point into. */
struct sample_memory {
    uint8_t bytes[4096];
};

/* An example of the kind with every optional part present. */
void sample_record(enum record_kind kind, struct sample_memory *memory, struct record *out);
/* A signal entry with the given flags. */
struct signal_entry sample_entry(uint8_t flags);

struct id128 sample_id(uint8_t first); /* bytes first, first + 1 ... */
struct hash256 sample_hash(uint8_t first);
struct position sample_position(uint64_t number);
struct log_identity sample_log(void);

/* A whole batch in memory: header, payload, room for padding. */
struct sample_batch {
    struct batch_header header;
    size_t size; /* header and payload */
    uint8_t bytes[64 * 1024];
};
/* Encode records into a batch that extends before, of epoch `epoch`. */
void sample_batch_make(struct sample_batch *b, const struct position *before, uint64_t epoch,
                       const struct record *records, uint32_t count);
/* The same around a payload that is already there. */
void sample_batch_wrap(struct sample_batch *b, const struct position *before, uint64_t epoch,
                       struct slice payload, uint32_t count);
/* The position at the end of a batch. */
struct position sample_batch_end(const struct sample_batch *b);

/* The other files. Arrays that a sample points to are static. */
struct segment_header sample_segment_header(void);
struct segment_footer sample_segment_footer(void);
void sample_identity(struct identity *out);
struct mark sample_mark(void);
struct manifest sample_manifest(void);
struct slot_record sample_slot(uint8_t number); /* state and node id differ by number */

extern const enum wire_kind SAMPLE_MESSAGES[]; /* every kind of WIRE_TABLE */
extern const size_t SAMPLE_MESSAGE_COUNT;
/* An example of the kind with every optional part present. */
void sample_message(enum wire_kind kind, struct sample_memory *memory, struct wire_message *out);

/* Does decode accept the bytes? Used below. */
typedef bool (*sample_decoder)(struct slice bytes);
/* Calls decode with every single bit of the bytes flipped, then with every shorter length. Returns
 * how many of those it accepted, which should be none. The bytes are as before. */
size_t sample_damage_accepted(uint8_t *bytes, size_t size, sample_decoder decode);

#endif
