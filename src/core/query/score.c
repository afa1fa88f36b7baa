/* score: see score.h. Forms are chosen so that terms are what people ask about and few divisions
 * are needed; known answers: tests/unit/core/query/test_score.c. */
#include "core/query/score.h"

#include "core/query/math.h"

#define HOT_PRECISION 1e7

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
