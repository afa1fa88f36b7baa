/* wire_tables: what each message's body consists of, private to format/. wire.h has the contract.
 */
#ifndef TIDEMARK_FORMAT_WIRE_TABLES_H
#define TIDEMARK_FORMAT_WIRE_TABLES_H

#include "format/wire.h"

struct wire_rule {
    const struct field_table *table; /* NULL: no body */
    const struct field_table *rest;  /* hello and plan: what follows the fixed beginning */
    /* Is the rest there? NULL: always. */
    bool (*has_rest)(const struct wire_message *m);
    /* Says what is wrong between the fields, NULL when nothing is. May be NULL. */
    const char *(*check)(const struct wire_message *m);
};

/* NULL for a number that is not in WIRE_TABLE. */
const struct wire_rule *wire_rule_of(uint16_t kind);

extern const struct field_table wire_member_fields;

#endif
