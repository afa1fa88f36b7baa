/* group: when the open group of records becomes a batch. All writers that arrive while a sync is in
 * flight share the next one; an idle disk is never made to wait (commit_delay 0). */
#ifndef TIDEMARK_CORE_GROUP_H
#define TIDEMARK_CORE_GROUP_H

#include "base/types.h"

struct group_facts {
    uint32_t record_count;
    bool is_log_busy;       /* a sync is in flight */
    bool must_close;        /* a record that ends its batch is in it, or it is full */
    bool is_anyone_waiting; /* somebody cannot go on before this group is written */
    uint64_t age_ns;        /* since its first record */
    uint64_t delay_ns;      /* commit_delay */
};

enum group_action {
    GROUP_KEEP,  /* nothing to do until something happens */
    GROUP_DELAY, /* ask again when age reaches delay */
    GROUP_CLOSE, /* make it a batch and write it */
};

enum group_action group_decide(const struct group_facts *f);

#endif
