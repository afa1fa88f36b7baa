/* log_object: pieces of a log in a directory of their own, which can be carried to another place.
 *
 * An object is a file in the format of a sealed segment (format/segment.h), so that it says of
 * which cluster and stream it is, brings the log key, and verifies to its last bit. Its file id is
 * its first record. The name holds stream, first record and the first 4 bytes of the chain at its
 * end, "r0-s0-00000000000000000012-9f3a21bc.log": the same records always get the same name, and
 * others never do. Objects are written once, whole, and never changed.
 *
 * Never: judges whether records are durable, or fit a database. Blocks; any one thread. */
#ifndef TIDEMARK_ENGINE_LOG_OBJECT_H
#define TIDEMARK_ENGINE_LOG_OBJECT_H

#include "env/env.h"
#include "format/batch.h"
#include "format/segment.h"

#define OBJECT_SIZE_WANTED ((size_t)(4 * MIB)) /* one is ended once it is so large */
#define OBJECT_SIZE_MAX    ((size_t)(32 * MIB))
#define OBJECT_COUNT_MAX   (UINT32_C(1) << 20)

#define OBJECT_NAME_SIZE 64
struct object_name {
    struct stream_id stream;
    seqno first;
    uint8_t chain4[4];
};
void object_name_format(const struct object_name *name, char out[OBJECT_NAME_SIZE]);
bool object_name_parse(struct slice text, struct object_name *out);

/* --- writing --- */

struct object_builder {
    struct log_identity id;
    uint8_t *bytes; /* header room and padded batches */
    size_t capacity;
    size_t size;
    struct position start;
    struct position end;
    struct epoch epoch; /* of its first batch */
    uint64_t batch_count;
    uint64_t payload_bytes;
};
void object_builder_reset(struct object_builder *b, const struct log_identity *id,
                          const struct position *start);
void object_builder_free(struct object_builder *b);
/* A batch that extends what is there; bytes without padding. E_NOMEMORY, E_LIMIT. */
MUST_CHECK enum code object_builder_add(struct object_builder *b, const struct batch_header *header,
                                        struct slice bytes, const struct position *end,
                                        struct err *e);
/* Write it durably under its name. Not empty. */
MUST_CHECK enum code object_builder_write(struct object_builder *b, struct env *env, struct err *e);

/* --- looking --- */

struct object_entry {
    char name[OBJECT_NAME_SIZE];
    struct log_identity id;
    struct position start; /* before its first record; its epoch is not known: 0 */
    struct position end;
    uint64_t data_bytes; /* padded batches */
};
/* Objects of one stream and cluster, by first record, then by name. */
struct object_index {
    struct object_entry *entries;
    uint32_t count;
    uint32_t capacity;
    char damaged[OBJECT_NAME_SIZE]; /* one that did not verify at the last look; "" none */
    struct err damage;
};
void object_index_free(struct object_index *index);
/* Add what came since the last look. Of a file only header and footer are read. Files of other
 * names are left alone; one that does not verify (a copy under way, perhaps) is noted in `damaged`
 * and tried again at the next look. E_WRONG_CLUSTER: objects of two clusters or streams; E_LIMIT,
 * E_IO, E_NOMEMORY. */
MUST_CHECK enum code object_index_look(struct object_index *index, struct env *env, struct err *e);

/* --- reading --- */

struct object {
    uint8_t *bytes; /* of the whole file */
    size_t size;
    struct segment_header header;
    uint64_t data_end;
    uint64_t offset;    /* of the next batch */
    struct position at; /* before it */
};
/* Read a whole object and verify its hashes. E_CORRUPT, E_IO, E_NOTFOUND, E_NOMEMORY. */
MUST_CHECK enum code object_load(struct env *env, const struct object_entry *entry,
                                 struct object *out, struct err *e);
void object_free(struct object *o);
/* The next batch, borrowed from the object; false at its end. E_CORRUPT when it is none. */
MUST_CHECK enum code object_next(struct object *o, struct slice *out, bool *out_is_end,
                                 struct err *e);
/* Move on to the end of the batch that ends at `to`. E_DIVERGED when none does with that chain. */
MUST_CHECK enum code object_skip_to(struct object *o, const struct position *to, struct err *e);

/* The entries from which a log that ends at `from` can go on, tried in turn: *out is the object,
 * moved to `from`. E_NOTFOUND: nothing is newer here. E_NOT_KEPT: newer ones are there, but not the
 * next; e says which are missing. E_DIVERGED: the next records here are of another history. */
MUST_CHECK enum code object_find(struct env *env, const struct object_index *index,
                                 const struct position *from, struct object *out, struct err *e);
/* Where an uninterrupted row of objects from `from` ends; `from` itself when nothing follows.
 * *out_bytes: log bytes up to there, if the row begins with record 1, else 0. */
struct position object_row_end(const struct object_index *index, const struct position *from,
                               uint64_t *out_bytes);

#endif
