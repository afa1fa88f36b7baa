/* fixture: what most tests of engine/ begin with: a folder, a node on it that is run in steps, and
 * a run to fill. */
#ifndef TIDEMARK_TESTS_SUPPORT_FIXTURE_H
#define TIDEMARK_TESTS_SUPPORT_FIXTURE_H

#include "support/node.h"

struct fixture {
    char *dir;
    struct tide_options options; /* of the next open */
    struct node n;
    tide_run *run;
};

/* A fixture whose node is not open yet, so that options can be changed. */
struct fixture *fixture_new(const char *name);
void open_node(struct fixture *f); /* asserts success */
/* For cmocka: ends a node that is open, removes the folder. */
int fixture_end(void **state);

#endif
