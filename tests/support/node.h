/* node: a database on a folder, for tests: opening, the common operations with their outcome
 * asserted, and what tests do to the files between two lives: copying a folder, reading a file,
 * changing one byte, finding the newest segment. */
#ifndef TIDEMARK_TESTS_SUPPORT_NODE_H
#define TIDEMARK_TESTS_SUPPORT_NODE_H

#include "engine/db.h"
#include "support/steps_env.h"
#include "support/tm_test.h"
#include "tidemark.h"

/* Small files and no housekeeping of its own: what a test does is all that is in the log. */
struct tide_options node_options(const char *dir);
static inline struct tide_bytes bytes_of(const char *text)
{
    return (struct tide_bytes){text, strlen(text)};
}
static inline struct slice slice_from(const struct tide_bytes b)
{
    return slice_of(b.data, b.size);
}

/* Epoch, seqno and chain; the struct has padding. */
void assert_same_position(const struct tide_position *a, const struct tide_position *b);

/* --- with threads, through the public interface --- */

tide_db *node_open(const char *dir); /* asserts success */
void node_close(tide_db *db);        /* asserts success */
struct tide_position node_signal(tide_db *db, const char *type, const char *item);
uint64_t node_count(tide_db *db, const char *type, const char *item);
void node_digest(tide_db *db, struct tide_digest *out);

/* --- in steps: one thread, nothing happens by itself --- */

struct node {
    struct env *env;
    struct alloc *alloc; /* the struct may be copied */
    struct db *db;
};
/* db is NULL when opening failed; then *e says why. options->dir names the folder. */
MUST_CHECK enum code steps_node_open(struct node *n, const struct tide_options *options,
                                     struct err *e);
/* The same on an env that is there already (with a fault in it, perhaps). */
MUST_CHECK enum code steps_node_open_on(struct node *n, const struct tide_options *options,
                                        struct err *e);
void steps_node_close(struct node *n);   /* cleanly */
void steps_node_abandon(struct node *n); /* as a killed process: what was written stays */
/* Submit and run until it is answered; asserts that it is. */
void steps_node_execute(struct node *n, tide_run *run);
/* Submit only; *out_is_done turns true when it is answered. */
void steps_node_submit(struct node *n, tide_run *run, bool *out_is_done);
enum tide_code steps_node_signal(struct node *n, const char *item);
uint64_t steps_node_count(struct node *n, const char *item);

/* --- files --- */

void files_copy(const char *from, const char *to); /* a folder; `to` is emptied first */
/* malloc'ed; asserts that it is there. */
uint8_t *file_read(const char *dir, const char *name, size_t *out_size);
void file_write(const char *dir, const char *name, const void *bytes, size_t size);
void file_cut(const char *dir, const char *name, uint64_t size);
/* Exclusive-or the byte at offset. */
void file_flip(const char *dir, const char *name, uint64_t offset, uint8_t bits);
void file_zero(const char *dir, const char *name, uint64_t offset, size_t size);
void file_remove(const char *dir, const char *name);
bool file_exists(const char *dir, const char *name);
/* Names in dir/sub that end with `ending`, sorted; returns how many, at most COUNT_OF names. */
#define FILE_NAMES_MAX 64
struct file_names {
    size_t count;
    char names[FILE_NAMES_MAX][96]; /* "sub/name" */
};
void files_list(const char *dir, const char *sub, const char *ending, struct file_names *out);
/* Segments that hold a header (no spares), in the order of their first record. */
void segments_list(const char *dir, struct file_names *out);

#endif
