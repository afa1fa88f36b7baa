/* score: see score.h. Forms are chosen so that terms are what people ask about and few divisions
 * are needed; known answers: tests/unit/core/query/test_score.c. */
#include "core/query/score.h"

#include "core/query/math.h"

#define RISING_HALFLIFE_MS (6.0 * 3600.0 * 1000.0)
#define HOT_PRECISION      1e7

double score_votes(uint64_t positive, uint64_t negative)
{
    if (positive >= negative) {
        uint64_t surplus = positive - negative;
        return surplus <= 1 ? 0.0 : math_log10((double)surplus);
    }
    uint64_t deficit = negative - positive;
    return deficit <= 1 ? 0.0 : -math_log10((double)deficit);
}

double score_hot(double votes, int64_t created_ms, double terms[SCORE_TERMS_MAX])
{
    /* The difference is taken as doubles: it is exact for times within 285,000 years, and other
     * times cannot overflow. */
    double age = ((double)created_ms - SCORE_HOT_START_MS) / SCORE_HOT_DECADE_MS;
    double sum = votes + age;
    double score = math_round(sum * HOT_PRECISION) / HOT_PRECISION + 0.0; /* + 0.0: never -0 */
    terms[0] = votes;
    terms[1] = age;
    terms[2] = score - sum; /* exact: the two are neighbours */
    return score;
}

double score_controversial(uint64_t positive, uint64_t negative)
{
    if (positive == 0 || negative == 0) return 0.0;
    double p = (double)positive;
    double n = (double)negative;
    return math_power(p + n, p < n ? p / n : n / p);
}

double score_best(uint64_t positive, uint64_t negative, double z, double terms[SCORE_TERMS_MAX])
{
    if (positive == 0 && negative == 0) {
        terms[0] = terms[1] = terms[2] = 0.0;
        return 0.0;
    }
    /* Wilson's formula with both sides of the fraction multiplied by N. */
    double p = (double)positive;
    double n = (double)negative;
    double events = p + n;
    double square = z * z;
    double root = math_sqrt(p * n / events + square * 0.25);
    double whole = events + square;
    terms[0] = p / whole;
    terms[1] = square * 0.5 / whole;
    terms[2] = 0.0 - z * root / whole;
    return terms[0] + terms[1] + terms[2];
}

double score_trending(uint64_t hour, uint64_t day, double terms[SCORE_TERMS_MAX])
{
    double usual = (double)(day - hour) / 23.0;
    double deviation = math_sqrt(usual + 1.0);
    terms[0] = (double)hour / deviation;
    terms[1] = 0.0 - usual / deviation;
    return terms[0] + terms[1];
}

double score_rising(uint64_t hour, uint64_t day, int64_t age_ms, double terms[SCORE_TERMS_MAX])
{
    (void)score_trending(hour, day, terms); /* its terms are what is wanted */
    if (age_ms < 0) age_ms = 0;
    if (age_ms > SCORE_RISING_AGE_MAX_MS) age_ms = SCORE_RISING_AGE_MAX_MS;
    double fresh = math_exp2(0.0 - (double)age_ms / RISING_HALFLIFE_MS);
    terms[0] *= fresh;
    terms[1] *= fresh;
    return terms[0] + terms[1];
}
