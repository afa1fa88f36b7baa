/* record_tables: what each kind's body consists of, private to format/. record.h has the contract.
 */
#ifndef TIDEMARK_FORMAT_RECORD_TABLES_H
#define TIDEMARK_FORMAT_RECORD_TABLES_H

#include "format/record.h"

enum placement { PLACE_ANYWHERE, PLACE_LAST, PLACE_ALONE };

struct record_rule {
    const struct field_table *table; /* NULL: signal and group have code of their own */
    /* Says what is wrong between the fields, NULL when nothing is. May be NULL. */
    const char *(*check)(const struct record *r);
    enum placement placement; /* in a batch */
};

/* NULL for a number that is not in RECORD_TABLE. */
const struct record_rule *record_rule_of(uint8_t kind);

#endif
