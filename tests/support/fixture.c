/* fixture: see fixture.h. */
#include "support/fixture.h"

#include <stdlib.h>

#include "support/tm_test.h"

struct fixture *fixture_new(const char *name)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->dir = tm_dir_make_fast(name);
    f->options = node_options(f->dir);
    f->run = tide_run_new();
    return f;
}

void open_node(struct fixture *f)
{
    struct err e = {.code = OK};
    if (steps_node_open(&f->n, &f->options, &e) != OK) fail_msg("open: %s", e.text);
}

int fixture_end(void **state)
{
    struct fixture *f = *state;
    tide_run_free(f->run);
    if (f->n.db != NULL) steps_node_close(&f->n);
    tm_dir_remove(f->dir);
    free(f);
    return 0;
}
