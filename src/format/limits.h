/* limits: the numbers that writer and reader of the format share. One constant for both sides:
 * the writer refuses exactly what the reader would. */
#ifndef TIDEMARK_FORMAT_LIMITS_H
#define TIDEMARK_FORMAT_LIMITS_H

#include "base/types.h"

#define FORMAT_VERSION       2 /* of every file of this version; the batch header's too */
#define WIRE_VERSION         1
#define RECORD_SIZE_MAX      (1 * MIB) /* one encoded record with its envelope */
#define RECORD_SIZE_MIN      3u        /* size, kind, envelope flags and an empty body */
#define BATCH_SIZE_MAX       (4 * MIB) /* header and payload of one batch, raw and stored */
#define BATCH_RECORDS_MAX    1048576u
#define LOG_ALIGN            64u /* batches and footers start at multiples of this in a file */
#define SEGMENT_SIZE_MAX     (1 * GIB)
#define SEGMENT_SIZE_MIN     (64 * KIB)
#define CHUNK_SIZE           (64 * KIB) /* piece of a segment that has a hash in the footer */
#define SEEK_RECORDS         64u /* a seek entry at the first batch after at least this many ... */
#define SEEK_BYTES           (16 * KIB) /* ... records and this many bytes since the last entry */
#define EPOCH_TABLE_MAX      1024u      /* leaderships remembered in identity */
#define MEMBERS_MAX          64u
#define EPOCH_NUMBER_MAX     (UINT64_C(1) << 62) /* of what a peer may say it has seen */
#define FRAME_SIZE_MAX       (BATCH_SIZE_MAX + 4 * KIB)
#define BLOCK_ENTRIES        4096u /* entries of a column or key block */
#define SIGNAL_TYPES_MAX     1024u
#define SIGNAL_NAME_SIZE_MAX 64u
#define FIELDS_MAX           64u                /* declared fields */
#define FIELD_NAME_SIZE_MAX  64u                /* of a declared field */
#define SIGNAL_ENTRIES_MAX   65536u             /* entries of one signal record */
#define WEIGHT_ABS_MAX       9007199254740992.0 /* 2^53 */

#define TIME_MS_ABS_MAX   (INT64_C(1) << 48) /* of event times, so that their arithmetic is safe */
#define GROUP_RECORDS_MAX 65536u             /* records inside one group record */
#define PUT_FIELDS_MAX    4096u              /* fields of one put or unset */
#define PUT_TAGS_MAX      4096u              /* entries of one tag list */
#define ENTITY_FIELDS_MAX 256u               /* fields of one item, user or creator */
#define ENTITY_SIZE_MAX   32768u             /* its fields with their names, in a state block */

/* Codec of a batch payload. Only none is written by this version. */
enum codec { CODEC_NONE = 0, CODEC_LZ4 = 1 };

#endif
