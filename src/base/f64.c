/* f64: doubles as decimal text and back, the same on every machine and in every locale (printf and
 * strtod follow the locale of the program that embeds us).
 *
 * Printing gives the shortest digits that read back as the same double, by Schubfach (Raffaello
 * Giulietti, "The Schubfach way to render doubles", 2020): scale the double and the two ends of
 * its rounding interval by a power of ten with 128-bit numbers that are rounded to odd, then pick
 * the shortest candidate inside. Reading is exact: few digits by one double operation, else by
 * whole numbers of up to 2,600 bits. Pure; never allocates; safe from any thread. */
#include "base/text.h"

#include "base/assert.h"
#include "base/pow10.h"

#include <assert.h>
#include <float.h>
#include <math.h>

static_assert(FLT_EVAL_METHOD == 0, "double operations are not widened");
static_assert(COUNT_OF(pow10_table) == POW10_LAST - POW10_FIRST + 1, "one entry per power");

__extension__ typedef unsigned __int128 u128;

enum {
    FRACTION_BITS = 52,
    EXPONENT_BIAS = 1023 + FRACTION_BITS, /* of a whole significand */
    EXPONENT_MASK = 0x7ff,
    DIGITS_MAX = 17,  /* of a shortest double */
    PLAIN_FIRST = -4, /* decimal exponents printed without an exponent */
    PLAIN_LAST = 16,
};
#define HIDDEN_BIT (1ull << FRACTION_BITS)

/* Digits times ten to the exponent. */
struct decimal {
    uint64_t digits;
    int exponent;
};

/* Floors of logarithms in fixed point, exact for |e| <= 1,233. */
static int log10_pow2(int e)
{
    return (e * 1262611) >> 22;
}
static int log10_three_quarters_pow2(int e)
{
    return (e * 1262611 - 524031) >> 22;
}
static int log2_pow10(int e)
{
    return (e * 1741647) >> 19;
}

/* The upper 64 bits of power * c, the last one set when anything below is not zero. */
static uint64_t round_to_odd(const uint64_t power[2], uint64_t c)
{
    u128 low = (u128)power[1] * c;
    u128 high = (u128)power[0] * c + (uint64_t)(low >> 64);
    return (uint64_t)(high >> 64) | ((uint64_t)high > 1);
}

/* The shortest decimal of significand * 2^q. is_asymmetric: the double below is nearer than the
 * one above, because the significand is the smallest of its exponent. */
static struct decimal shortest(uint64_t c, int q, bool is_asymmetric)
{
    int k = is_asymmetric ? log10_three_quarters_pow2(q) : log10_pow2(q);
    ASSERT(-k >= POW10_FIRST && -k <= POW10_LAST);
    const uint64_t *power = pow10_table[-k - POW10_FIRST];
    int h = q + log2_pow10(-k) + 1;
    ASSERT(h >= 1 && h <= 4);

    /* Four times the value and the ends of its interval; an odd significand excludes the ends. */
    uint64_t middle = round_to_odd(power, (4 * c) << h);
    uint64_t lower = round_to_odd(power, (4 * c - 2 + is_asymmetric) << h) + (c & 1);
    uint64_t upper = round_to_odd(power, (4 * c + 2) << h) - (c & 1);

    uint64_t s = middle / 4;
    if (s >= 10) {
        uint64_t tens = s / 10;
        bool is_down_inside = lower <= 40 * tens;
        bool is_up_inside = 40 * tens + 40 <= upper;
        if (is_down_inside != is_up_inside) {
            return (struct decimal){.digits = tens + is_up_inside, .exponent = k + 1};
        }
    }
    bool is_down_inside = lower <= 4 * s;
    bool is_up_inside = 4 * s + 4 <= upper;
    bool is_rounded_up = is_up_inside;
    if (is_down_inside == is_up_inside) {
        uint64_t half = 4 * s + 2;
        is_rounded_up = middle > half || (middle == half && (s & 1) != 0);
    }
    return (struct decimal){.digits = s + is_rounded_up, .exponent = k};
}

/* The shortest decimal of a finite double > 0 given by its bits, without trailing zeros. */
static struct decimal decimal_of(uint64_t bits)
{
    uint64_t fraction = bits & (HIDDEN_BIT - 1);
    int exponent = (int)(bits >> FRACTION_BITS) & EXPONENT_MASK;
    uint64_t c = exponent != 0 ? fraction | HIDDEN_BIT : fraction;
    int q = (exponent != 0 ? exponent : 1) - EXPONENT_BIAS;
    struct decimal d;
    if (q <= 0 && q >= -FRACTION_BITS && (c & ((1ull << -q) - 1)) == 0) {
        d = (struct decimal){.digits = c >> -q, .exponent = 0}; /* a whole number below 2^53 */
    } else {
        d = shortest(c, q, fraction == 0 && exponent > 1);
    }
    while (d.digits % 10 == 0) {
        d.digits /= 10;
        d.exponent++;
    }
    return d;
}

static char *put(char *at, const char *text, size_t size)
{
    memcpy(at, text, size);
    return at + size;
}

static char *put_zeros(char *at, int count)
{
    for (; count > 0; count--) {
        *at++ = '0';
    }
    return at;
}

/* A decimal in whichever form fits: 1200, 1.5, 0.015, 1.5e30. */
static char *put_decimal(char *at, struct decimal d)
{
    char digits[24];
    int count = (int)format_u64(digits, d.digits);
    ASSERT(count <= DIGITS_MAX);
    int scientific = d.exponent + count - 1; /* exponent with one digit before the point */
    if (scientific < PLAIN_FIRST || scientific > PLAIN_LAST) {
        *at++ = digits[0];
        if (count > 1) {
            *at++ = '.';
            at = put(at, digits + 1, (size_t)count - 1);
        }
        *at++ = 'e';
        if (scientific < 0) *at++ = '-';
        return at + format_u64(at, (uint64_t)(scientific < 0 ? -scientific : scientific));
    }
    if (scientific < 0) {
        at = put(at, "0.", 2);
        at = put_zeros(at, -scientific - 1);
        return put(at, digits, (size_t)count);
    }
    int whole = scientific + 1; /* digits before the point */
    if (whole >= count) {
        at = put(at, digits, (size_t)count);
        return put_zeros(at, whole - count);
    }
    at = put(at, digits, (size_t)whole);
    *at++ = '.';
    return put(at, digits + whole, (size_t)(count - whole));
}

size_t format_f64(char out[F64_TEXT_SIZE], double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    uint64_t magnitude = bits & (UINT64_MAX >> 1);
    uint64_t infinity = (uint64_t)EXPONENT_MASK << FRACTION_BITS;
    char *at = out;
    if (bits != magnitude && magnitude <= infinity) *at++ = '-';
    if (magnitude > infinity) {
        at = put(at, "nan", 3);
    } else if (magnitude == infinity) {
        at = put(at, "inf", 3);
    } else if (magnitude == 0) {
        *at++ = '0';
    } else {
        at = put_decimal(at, decimal_of(magnitude));
    }
    *at = '\0';
    return (size_t)(at - out);
}

enum {
    TEXT_MAX = 128, /* characters that parse_f64 takes */
    LIMBS_MAX = 48, /* 3,072 bits: 128 digits, times 10^310 or shifted left by REACH_BITS */
    REACH_BITS = 1600,
    CHUNK_POWER = 19,    /* the largest power of ten in 64 bits */
    MAX_EXPONENT = 310,  /* 1e310 and above overflow, whatever the digits */
    MIN_EXPONENT = -326, /* below half of the smallest double, so zero */
};

/* A whole number, least significant limb first; the limbs from count on are zero. */
struct big {
    uint64_t limbs[LIMBS_MAX];
    size_t count;
};

static void big_multiply_add(struct big *b, uint64_t factor, uint64_t addend)
{
    u128 carry = addend;
    for (size_t i = 0; i < b->count; i++) {
        carry += (u128)b->limbs[i] * factor;
        b->limbs[i] = (uint64_t)carry;
        carry >>= 64;
    }
    if (carry == 0) return;
    ASSERT(b->count < LIMBS_MAX);
    b->limbs[b->count++] = (uint64_t)carry;
}

/* Divide and return the remainder. */
static uint64_t big_divide(struct big *b, uint64_t divisor)
{
    u128 rest = 0;
    for (size_t i = b->count; i-- > 0;) {
        rest = (rest << 64) | b->limbs[i];
        b->limbs[i] = (uint64_t)(rest / divisor);
        rest %= divisor;
    }
    while (b->count > 0 && b->limbs[b->count - 1] == 0) {
        b->count--;
    }
    return (uint64_t)rest;
}

static void big_shift_left(struct big *b, size_t limbs)
{
    ASSERT(b->count + limbs <= LIMBS_MAX);
    memmove(b->limbs + limbs, b->limbs, b->count * sizeof(b->limbs[0]));
    memset(b->limbs, 0, limbs * sizeof(b->limbs[0]));
    b->count += limbs;
}

static uint64_t chunk_power(int exponent)
{
    uint64_t power = 1;
    for (int i = 0; i < exponent; i++) {
        power *= 10;
    }
    return power;
}

/* The 64 bits of b that start at its top bit, the last one set when anything below is not zero.
 * *out_shift: how far they were moved down; negative for up. */
static uint64_t big_top(const struct big *b, bool is_inexact, int *out_shift)
{
    ASSERT(b->count > 0);
    uint64_t top = b->limbs[b->count - 1];
    uint64_t next = b->count > 1 ? b->limbs[b->count - 2] : 0;
    int room = __builtin_clzll(top);
    *out_shift = (int)(b->count - 1) * 64 - room;
    uint64_t bits = room == 0 ? top : (top << room) | (next >> (64 - room));
    bool is_rest = is_inexact || (room == 0 ? next : next << room) != 0;
    for (size_t i = 0; i + 2 < b->count && !is_rest; i++) {
        is_rest = b->limbs[i] != 0;
    }
    return bits | is_rest;
}

/* bits * 2^shift, bits with its top bit set and sticky below, rounded half to even. */
static double round_to_double(uint64_t bits, int shift)
{
    int drop = 64 - (FRACTION_BITS + 1);
    int exponent = shift + drop + EXPONENT_BIAS;
    if (exponent <= 0) { /* subnormal: fewer bits, no hidden one */
        drop += 1 - exponent;
        exponent = 0;
    }
    uint64_t kept = 0;
    if (drop < 64) {
        uint64_t half = 1ull << (drop - 1);
        uint64_t rest = bits & (2 * half - 1);
        kept = bits >> drop;
        kept += rest > half || (rest == half && (kept & 1) != 0);
    } else if (drop == 64) {
        kept = bits > 1ull << 63; /* more than half of the smallest double */
    }
    /* The hidden bit counts one exponent; a carry out of the fraction counts the next. */
    uint64_t result = exponent == 0 ? kept : ((uint64_t)(exponent - 1) << FRACTION_BITS) + kept;
    uint64_t infinity = (uint64_t)EXPONENT_MASK << FRACTION_BITS;
    if (exponent >= EXPONENT_MASK || result > infinity) result = infinity;
    double v;
    memcpy(&v, &result, sizeof(v));
    return v;
}

/* digits (nonzero) * 10^exponent, exactly rounded; infinity when it is too large. */
static double scale_exactly(struct big *b, int exponent)
{
    bool is_inexact = false;
    int shift = 0;
    if (exponent < 0) {
        big_shift_left(b, REACH_BITS / 64);
        shift = -REACH_BITS;
    }
    for (int left = exponent < 0 ? -exponent : exponent; left > 0; left -= CHUNK_POWER) {
        uint64_t power = chunk_power(left < CHUNK_POWER ? left : CHUNK_POWER);
        if (exponent > 0) {
            big_multiply_add(b, power, 0);
        } else {
            is_inexact |= big_divide(b, power) != 0;
        }
    }
    int moved;
    uint64_t bits = big_top(b, is_inexact, &moved);
    return round_to_double(bits, shift + moved);
}

/* What stands in a text: its digits without leading zeros, and where the point is. */
struct number {
    struct big big;
    uint64_t low; /* the digits as an integer while there are at most 19 */
    int count;    /* digits without leading zeros */
    int exponent; /* power of ten of the last digit */
    bool is_negative;
};

/* Digits of one side of the point; false when there are none. */
static bool read_digits(const uint8_t **at, const uint8_t *end, struct number *n, int step)
{
    const uint8_t *start = *at;
    for (; *at < end && **at >= '0' && **at <= '9'; ++*at) {
        uint64_t digit = (uint64_t)(**at - '0');
        n->exponent += step;
        if (n->count == 0 && digit == 0) continue;
        n->low = n->low * 10 + digit;
        n->count++;
        if (n->big.count == 0) {
            n->big.limbs[0] = digit;
            n->big.count = 1;
        } else {
            big_multiply_add(&n->big, 10, digit);
        }
    }
    return *at > start;
}

static bool read_exponent(const uint8_t **at, const uint8_t *end, struct number *n)
{
    if (*at == end) return true;
    if (**at != 'e' && **at != 'E') return false;
    ++*at;
    bool is_negative = *at < end && **at == '-';
    if (*at < end && (**at == '-' || **at == '+')) ++*at;
    if (*at == end) return false;
    int exponent = 0;
    for (; *at < end; ++*at) {
        if (**at < '0' || **at > '9') return false;
        if (exponent < 100000) exponent = exponent * 10 + (**at - '0');
    }
    n->exponent += is_negative ? -exponent : exponent;
    return true;
}

static bool read_number(struct slice s, struct number *n)
{
    const uint8_t *at = s.data;
    const uint8_t *end = s.data + s.size;
    n->is_negative = *at == '-';
    if (n->is_negative) at++;
    bool has_digits = read_digits(&at, end, n, 0);
    if (at < end && *at == '.') {
        at++;
        has_digits |= read_digits(&at, end, n, -1);
    }
    return has_digits && read_exponent(&at, end, n);
}

static double value_of(struct number *n)
{
    static const double small_powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                          1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                          1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n->count == 0 || n->count + n->exponent < MIN_EXPONENT) return 0;
    if (n->count + n->exponent > MAX_EXPONENT) return HUGE_VAL;
    /* Both numbers are exact doubles, so one operation rounds once. */
    if (n->count <= 15 && n->exponent >= -22 && n->exponent <= 22) {
        double digits = (double)n->low;
        return n->exponent < 0 ? digits / small_powers[-n->exponent]
                               : digits * small_powers[n->exponent];
    }
    return scale_exactly(&n->big, n->exponent);
}

bool parse_f64(struct slice s, double *out)
{
    if (s.size == 0 || s.size > TEXT_MAX) return false;
    struct number n = {0};
    if (!read_number(s, &n)) return false;
    double v = value_of(&n);
    if (v > DBL_MAX) return false;
    *out = n.is_negative ? -v : v;
    return true;
}
