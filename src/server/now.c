/* now: see now.h. The only place of the server that asks the time, by way of libuv. */
#include "server/now.h"

#include <uv.h>

int64_t now_wall_us(void)
{
    uv_timeval64_t now = {0};
    if (uv_gettimeofday(&now) != 0) return 0;
    return now.tv_sec * 1000000 + now.tv_usec;
}

uint64_t now_mono_ns(void)
{
    return uv_hrtime();
}

/* Days since 1970 to a date of the Gregorian calendar. Years are counted from March on, so that the
 * leap day is the last of its year, in eras of 400 years. */
static void date_of_days(int64_t days, struct now_date *d)
{
    int64_t shifted = days + 719468; /* days from 0000-03-01 to 1970-01-01 */
    int64_t era = shifted / 146097;
    int64_t day_of_era = shifted % 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t month_from_march = (5 * day_of_year + 2) / 153;
    d->day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1);
    d->month = (int)(month_from_march < 10 ? month_from_march + 3 : month_from_march - 9);
    d->year = (int)(year_of_era + era * 400 + (d->month <= 2));
}

struct now_date now_date_of(int64_t seconds)
{
    struct now_date d = {0};
    if (seconds < 0) seconds = 0;
    date_of_days(seconds / 86400, &d);
    int64_t rest = seconds % 86400;
    d.hour = (int)(rest / 3600);
    d.minute = (int)(rest / 60 % 60);
    d.second = (int)(rest % 60);
    return d;
}
