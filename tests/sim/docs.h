/* docs: items with fields in a simulated history. They are put, lose fields and are deleted, alone
 * and in groups with signals; every value names the write that put it, so that a read says which
 * writes it shows. Items of signals are others: what is deleted here is in no listing anyway.
 */
#ifndef TIDEMARK_TESTS_SIM_DOCS_H
#define TIDEMARK_TESTS_SIM_DOCS_H

#include "sim/client_run.h"

/* Make a change up for a write that was just begun. */
void docs_draw(struct cluster *c, uint32_t write);
/* Add the change of a write to the run; key: of the entry, size 0: none. Its index. */
int32_t docs_add(struct client_run *r, uint32_t write, struct tide_bytes key);
/* Ask for all fields of a doc. */
void docs_read(struct client_run *r, uint8_t doc);
/* Judge every answer about docs of a node whose applied position was between from and to. */
void docs_judge(struct client_run *r, uint64_t from, uint64_t to);

#endif
