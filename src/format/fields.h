/* fields: bodies described by tables. A table lists the members of one struct in the order of their
 * bytes; encoding, decoding, describing and the tables of docs/FORMAT.md all come from it, so that
 * they cannot disagree. Records, replication messages, identity and the slot catalogue use it.
 *
 * A table is flat: arrays hold elements of another flat table, never arrays of arrays, so that no
 * function here recurses and the work is bounded by the table. Pure; no allocation; thread-safe.
 *
 * Encoding and decoding refuse the same values: what one side writes the other one reads.
 */
#ifndef TIDEMARK_FORMAT_FIELDS_H
#define TIDEMARK_FORMAT_FIELDS_H

#include "base/bytes.h"
#include "base/error.h"
#include "base/types.h"
#include "format/limits.h"

/* X(constant, name in the documentation, meaning) */
#define FIELD_TYPE_TABLE(X)                                                                       \
    X(FIELD_FIXED, "fixed", "unsigned little-endian integer as wide as the member: u8 ... u64")   \
    X(FIELD_VARINT, "varint", "unsigned LEB128 in its shortest form, at most the member's width") \
    X(FIELD_TIME, "zz time",                                                                      \
      "milliseconds since 1970 as zigzag varint of the difference to the "                        \
      "batch's leader time")                                                                      \
    X(FIELD_WEIGHT, "f64", "IEEE-754 double: finite, at most 2^53 either way, never -0")          \
    X(FIELD_RAW, "bytes", "as many bytes as the member has: ids and hashes")                      \
    X(FIELD_EPOCH, "epoch", "u64 number, u64 nonce")                                              \
    X(FIELD_STREAM, "stream", "u16 region, u16 shard")                                            \
    X(FIELD_POSITION, "position", "u64 epoch, u64 seqno, 32 bytes chain")                         \
    X(FIELD_SLICE8, "slice8", "one length byte, then that many bytes")                            \
    X(FIELD_SLICEV, "slicev", "varint length, then that many bytes")                              \
    X(FIELD_TEXT8, "text8", "slice8 without NUL bytes; a C string in memory")                     \
    X(FIELD_REST, "rest", "all that is left of the body")                                         \
    X(FIELD_ARRAY, "array", "varint count, then that many elements")

enum field_type {
#define X(constant, name, meaning) constant,
    FIELD_TYPE_TABLE(X)
#undef X
};

struct field_table;

struct field {
    const char *name;
    const char *note;                   /* for the documentation; may be NULL */
    const struct field_table *elements; /* arrays only */
    /* Least and largest value of a number, size of bytes, count of an array; max 0 = as large as
     * the member holds. */
    uint64_t min;
    uint64_t max;
    enum field_type type;
    uint32_t offset;       /* of the member in the struct */
    uint32_t size;         /* of the member in memory; arrays: of the whole array */
    uint32_t when;         /* 0 = always; else see enum field_selector */
    uint32_t count_offset; /* arrays: the member that holds the count ... */
    uint16_t count_size;   /* ... and its size, 1 or 4 */
    bool is_secret;        /* described as "***": log key, credentials */
};

/* How `when` is read: the selector is a u8 member of the same struct, encoded earlier. */
enum field_selector {
    SELECT_NONE,
    SELECT_FLAGS, /* the field is present when selector & when */
    SELECT_VALUE, /* the field is present when (1 << selector) & when */
};

struct field_table {
    const char *name;
    const struct field *fields;
    uint32_t count;
    uint32_t struct_size;
    enum field_selector selector;
    uint32_t selector_offset;
};

/* Entries of a table: FIELD(type, struct, member) then designated extras. */
#define FIELD(type_, struct_, member_)                                       \
    .name = #member_, .type = (type_), .offset = offsetof(struct_, member_), \
    .size = sizeof(((struct_ *)0)->member_)
#define FIELD_COUNTED(struct_, count_) \
    .count_offset = offsetof(struct_, count_), .count_size = sizeof(((struct_ *)0)->count_)
#define FIELD_TABLE(name_, struct_, fields_) \
    .name = (name_), .fields = (fields_), .count = COUNT_OF(fields_), .struct_size = sizeof(struct_)

/* Append the fields of object. E_LIMIT names the field whose value the table does not allow, or
 * says that the writer is full; then what was appended so far is to be taken back by the caller. */
MUST_CHECK enum code fields_encode(struct bytes_writer *w, const struct field_table *table,
                                   const void *object, int64_t base_ms, struct err *e);
/* Read the fields into object, whose absent ones become zero. Slices borrow the reader's memory.
 * E_CORRUPT names the field. Trailing bytes are the caller's question. */
MUST_CHECK enum code fields_decode(struct bytes_reader *r, const struct field_table *table,
                                   void *object, int64_t base_ms, struct err *e);
/* The same without clearing object first: for a struct that two tables describe in parts. */
MUST_CHECK enum code fields_decode_more(struct bytes_reader *r, const struct field_table *table,
                                        void *object, int64_t base_ms, struct err *e);
/* " name=value" for each present field; never fails, cut when full. */
struct text;
void fields_describe(struct text *t, const struct field_table *table, const void *object);

/* Is the field present in object, by its selector? */
bool field_is_present(const struct field_table *table, const struct field *f, const void *object);
const char *field_type_name(enum field_type type);
const char *field_type_meaning(enum field_type type);

/* The rules of FIELD_WEIGHT and FIELD_TIME, for code that does not use tables. */
static inline bool weight_is_valid(double w)
{
    uint64_t bits;
    memcpy(&bits, &w, sizeof(bits));
    /* 2^53 is 0x4340...: a larger magnitude, infinity or NaN has larger bits; -0 is the sign alone.
     */
    return (bits & INT64_MAX) <= UINT64_C(0x4340000000000000) && bits != UINT64_C(1) << 63;
}
static inline bool time_is_valid(int64_t time_ms)
{
    return time_ms >= -TIME_MS_ABS_MAX && time_ms <= TIME_MS_ABS_MAX;
}

#endif
