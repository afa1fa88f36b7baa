/* trend: the formulas of trend.h, in one fixed order of evaluation. */
#include "core/query/trend.h"

#include "base/assert.h"
#include "core/query/math.h"

#define LN2 0x1.62e42fefa39efp-1

/* 1/s */
static double lambda_of(uint64_t halflife_ms)
{
    ASSERT(halflife_ms > 0);
    return LN2 * 1000.0 / (double)halflife_ms;
}

double trend_rate(double score, uint64_t halflife_ms)
{
    return score * lambda_of(halflife_ms);
}

double trend_of_sums(struct decayed fast, struct decayed slow)
{
    if (fast.halflife_ms == slow.halflife_ms) return 0.0;
    double fast_lambda = lambda_of(fast.halflife_ms);
    double slow_lambda = lambda_of(slow.halflife_ms);
    double difference = fast_lambda * fast.score - slow_lambda * slow.score;
    double floor_rate = 1000.0 / (double)fast.halflife_ms;
    double rate = slow_lambda * slow.score;
    if (rate < floor_rate) rate = floor_rate;
    double variance = rate / (2.0 * (fast_lambda + slow_lambda));
    return difference / ((fast_lambda - slow_lambda) * math_sqrt(variance));
}

double trend_of_counts(uint64_t last_hour, uint64_t last_day)
{
    double before = last_day > last_hour ? (double)(last_day - last_hour) : 0.0;
    double mean = before / 23.0;
    return ((double)last_hour - mean) / math_sqrt(mean + 1.0);
}
