/* now: the time of day and a clock that only goes forward, for programs. */
#ifndef TIDEMARK_SERVER_NOW_H
#define TIDEMARK_SERVER_NOW_H

#include "base/types.h"

int64_t now_wall_us(void); /* since 1970, UTC */
uint64_t now_mono_ns(void);

struct now_date {
    int year;
    int month; /* 1..12 */
    int day;
    int hour;
    int minute;
    int second;
};
/* Of a time at or after 1970. */
struct now_date now_date_of(int64_t seconds);

#endif
