/* Sums over a pair of tensors in one pass: what torch_path.py computes, for float32, bfloat16, float16 and
 * float64 in any order of memory that has no gaps.
 *
 * The elements are cut into blocks, blocks into tiles. A tile fits the first cache of a core, so that looking at
 * it several times costs no memory traffic. Threads take blocks as they come; the sums of blocks are added up
 * in their order afterwards, so that the figures do not depend on the number of threads.
 *
 * A tile with NaN or infinities is sorted first: numbers that are finite on both sides go the usual way, the
 * others are looked at one by one.
 */

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#if defined(__AVX512BW__) && defined(__AVX512DQ__)
#include <immintrin.h>
#define IS_WIDE 1
#endif

#define TILE 2048
#define BLOCK (32 * TILE)
#define FIELDS 2048 /* values that the exponent of a float64 can have */
#define MAX_THREADS 64

enum { F32, BF16, F16, F64 };
enum { DONE = 0, LEFT = 1, UNSUPPORTED = 2, NO_MEMORY = 3 };

typedef struct {
    int64_t finite;
    double mean, squares, minimum, maximum;
    int64_t nan, inf, first_nan; /* first_nan: -1 where there is none */
} Side;

typedef struct {
    Side side[2]; /* actual, expected */
    int64_t elements, mismatched, outside, nan_apart, finite;
    uint64_t max_ulp;
    double max_abs;
    int64_t max_abs_at; /* -1 where max_abs is 0 */
    double squares, side_squares[2], products;
} Sums;

typedef struct {
    Sums sums;
    int64_t exponents[FIELDS]; /* by the exponent field of the distance, from 1 on */
} Outcome;

typedef struct {
    const char *data[2];
    int kind[2];
    int64_t elements;
    double rtol, atol;
    int64_t blocks, next; /* next: taken by the threads */
    int left;             /* set where the range of float64 does not suffice */
    Sums *of_block;
    int64_t *exponents;   /* of all threads */
} Job;

typedef struct {
    _Alignas(64) float wide[2][TILE];
    _Alignas(64) double picked[2][TILE]; /* also as float: what is finite on both sides */
    _Alignas(64) double allowed[TILE];
    _Alignas(64) uint16_t fields[TILE];
    _Alignas(64) uint8_t places[TILE];
} Scratch;

static const int SIZE[] = {4, 2, 2, 8};
/* From which bits on, without the sign and as float32, a number is not finite. */
static const int32_t LIMIT[] = {0x7f800000, 0x7f800000, 0x47800000};

#define INLINE static inline __attribute__((always_inline))

/* Bits and order ------------------------------------------------------------------------------------------- */

INLINE float as_float(uint32_t bits) { float f; memcpy(&f, &bits, 4); return f; }
INLINE uint32_t float_bits(float f) { uint32_t b; memcpy(&b, &f, 4); return b; }
INLINE double as_double(uint64_t bits) { double d; memcpy(&d, &bits, 8); return d; }
INLINE uint64_t double_bits(double d) { uint64_t b; memcpy(&b, &d, 8); return b; }

/* Neighbours of the dtype are neighbours here; both zeros are 0. */
INLINE int32_t ordered32(uint32_t bits) {
    return (int32_t)bits < 0 ? (int32_t)(0x80000000u - bits) : (int32_t)bits;
}
INLINE int64_t ordered64(uint64_t bits) {
    return (int64_t)bits < 0 ? (int64_t)(0x8000000000000000u - bits) : (int64_t)bits;
}

/* A float16 that is finite, as float32; NaN and infinities come out as 65536 and more. */
INLINE uint32_t widened_half(uint16_t half) {
    return float_bits(as_float((uint32_t)(half & 0x7fff) << 13) * 0x1p112f) | (uint32_t)(half & 0x8000) << 16;
}

/* float32 to the nearest bfloat16 or float16, ties to even, in order. */
INLINE int32_t ordered_bf16(uint32_t bits) {
    uint32_t size = bits & 0x7fffffff, code = (size + 0x7fff + ((size >> 16) & 1)) >> 16;
    code = size > 0x7f800000 ? 0x7fc0 : code;
    return (int32_t)bits < 0 ? -(int32_t)code : (int32_t)code;
}
INLINE int32_t ordered_f16(uint32_t bits) {
    uint32_t size = bits & 0x7fffffff;
    uint32_t normal = (size - (112u << 23) + 0xfff + ((size >> 13) & 1)) >> 13;
    uint32_t tiny = float_bits(as_float(size) + 0.5f) - 0x3f000000;
    uint32_t code = size < (113u << 23) ? tiny : normal;
    code = size >= 0x47800000 ? 0x7c00 : code;
    return (int32_t)bits < 0 ? -(int32_t)code : (int32_t)code;
}
INLINE int32_t ordered_as(int kind, uint32_t bits) {
    return kind == F32 ? ordered32(bits) : kind == BF16 ? ordered_bf16(bits) : ordered_f16(bits);
}

/* One element, exactly, whatever it is. */
static double value(const char *data, int kind, int64_t at) {
    if (kind == F64) return ((const double *)data)[at];
    if (kind == F32) return ((const float *)data)[at];
    uint16_t bits = ((const uint16_t *)data)[at];
    if (kind == BF16) return as_float((uint32_t)bits << 16);
    if ((bits & 0x7c00) != 0x7c00) return as_float(widened_half(bits));
    return (bits & 0x3ff) ? NAN : (bits & 0x8000) ? -INFINITY : INFINITY;
}

/* Sums of two parts become those of both ------------------------------------------------------------------- */

static void add_side(Side *sum, const Side *later) {
    sum->nan += later->nan;
    sum->inf += later->inf;
    if (sum->first_nan < 0) sum->first_nan = later->first_nan;
    if (!later->finite) return;
    if (!sum->finite) {
        sum->finite = later->finite, sum->mean = later->mean, sum->squares = later->squares;
        sum->minimum = later->minimum, sum->maximum = later->maximum;
        return;
    }
    double total = (double)(sum->finite + later->finite), share = later->finite / total;
    double apart = later->mean - sum->mean;
    sum->mean += apart * share;
    sum->squares += later->squares + apart * apart * sum->finite * share;
    sum->finite += later->finite;
    if (later->minimum < sum->minimum) sum->minimum = later->minimum;
    if (later->maximum > sum->maximum) sum->maximum = later->maximum;
}

static void add_sums(Sums *sum, const Sums *later) {
    for (int s = 0; s < 2; s++) {
        add_side(&sum->side[s], &later->side[s]);
        sum->side_squares[s] += later->side_squares[s];
    }
    sum->elements += later->elements;
    sum->mismatched += later->mismatched;
    sum->outside += later->outside;
    sum->nan_apart += later->nan_apart;
    sum->finite += later->finite;
    if (later->max_ulp > sum->max_ulp) sum->max_ulp = later->max_ulp;
    if (later->max_abs > sum->max_abs) sum->max_abs = later->max_abs;
    sum->squares += later->squares;
    sum->products += later->products;
}

static void clear(Sums *sums) {
    memset(sums, 0, sizeof *sums);
    sums->side[0].first_nan = sums->side[1].first_nan = sums->max_abs_at = -1;
}

/* First look at a tile: order, steps, extremes, roughly the mean -------------------------------------------- */

typedef struct {
    int64_t least[2], most[2]; /* ordered */
    double centre[2];          /* near the mean, so that squares of deviations keep their digits */
    int64_t mismatched;
    uint64_t max_ulp;
} Look;

INLINE void look32(const float *actual, const float *expected, int n, int kind, int is_exact, Look *look) {
    const uint32_t *one = (const uint32_t *)actual, *other = (const uint32_t *)expected;
    int32_t least = INT32_MAX, most = INT32_MIN, other_least = INT32_MAX, other_most = INT32_MIN;
    uint32_t unequal = 0, steps = 0;
    float sum = 0, other_sum = 0;
#pragma omp simd reduction(min : least, other_least) reduction(max : most, other_most, steps) \
    reduction(+ : unequal, sum, other_sum)
    for (int i = 0; i < n; i++) {
        int32_t a = ordered32(one[i]), e = ordered32(other[i]);
        least = a < least ? a : least;
        most = a > most ? a : most;
        other_least = e < other_least ? e : other_least;
        other_most = e > other_most ? e : other_most;
        unequal += a != e;
        sum += actual[i];
        other_sum += expected[i];
        if (!is_exact || kind == F16) {
            a = ordered_as(kind, one[i]);
            e = ordered_as(kind, other[i]);
        }
        uint32_t apart = a > e ? (uint32_t)a - (uint32_t)e : (uint32_t)e - (uint32_t)a;
        steps = apart > steps ? apart : steps;
    }
    look->least[0] = least, look->most[0] = most, look->least[1] = other_least, look->most[1] = other_most;
    look->mismatched = unequal;
    /* Codes of bfloat16 are those of float32 without the lower half. */
    look->max_ulp = is_exact && kind == BF16 ? steps >> 16 : steps;
    look->centre[0] = sum / n, look->centre[1] = other_sum / n;
}

static void look64(const double *actual, const double *expected, int n, Look *look) {
    const uint64_t *one = (const uint64_t *)actual, *other = (const uint64_t *)expected;
    int64_t least = INT64_MAX, most = INT64_MIN, other_least = INT64_MAX, other_most = INT64_MIN;
    uint64_t unequal = 0, steps = 0;
    double sum = 0, other_sum = 0;
#pragma omp simd reduction(min : least, other_least) reduction(max : most, other_most, steps) \
    reduction(+ : unequal, sum, other_sum)
    for (int i = 0; i < n; i++) {
        int64_t a = ordered64(one[i]), e = ordered64(other[i]);
        least = a < least ? a : least;
        most = a > most ? a : most;
        other_least = e < other_least ? e : other_least;
        other_most = e > other_most ? e : other_most;
        unequal += a != e;
        uint64_t apart = a > e ? (uint64_t)a - (uint64_t)e : (uint64_t)e - (uint64_t)a;
        steps = apart > steps ? apart : steps;
        sum += actual[i];
        other_sum += expected[i];
    }
    look->least[0] = least, look->most[0] = most, look->least[1] = other_least, look->most[1] = other_most;
    look->mismatched = unequal;
    look->max_ulp = steps;
    look->centre[0] = sum / n, look->centre[1] = other_sum / n;
}

static void look_alone32(const float *data, int n, Look *look) {
    const uint32_t *bits = (const uint32_t *)data;
    int32_t least = INT32_MAX, most = INT32_MIN;
    float sum = 0;
#pragma omp simd reduction(min : least) reduction(max : most) reduction(+ : sum)
    for (int i = 0; i < n; i++) {
        int32_t a = ordered32(bits[i]);
        least = a < least ? a : least;
        most = a > most ? a : most;
        sum += data[i];
    }
    look->least[0] = least, look->most[0] = most, look->centre[0] = sum / n;
}

static void look_alone64(const double *data, int n, Look *look) {
    const uint64_t *bits = (const uint64_t *)data;
    int64_t least = INT64_MAX, most = INT64_MIN;
    double sum = 0;
#pragma omp simd reduction(min : least) reduction(max : most) reduction(+ : sum)
    for (int i = 0; i < n; i++) {
        int64_t a = ordered64(bits[i]);
        least = a < least ? a : least;
        most = a > most ? a : most;
        sum += data[i];
    }
    look->least[0] = least, look->most[0] = most, look->centre[0] = sum / n;
}

static double number(int64_t ordered, int is64) {
    if (is64) return as_double(ordered < 0 ? 0x8000000000000000u - (uint64_t)ordered : (uint64_t)ordered);
    return as_float(ordered < 0 ? 0x80000000u - (uint32_t)ordered : (uint32_t)ordered);
}

/* Second look: sums in float64 ------------------------------------------------------------------------------ */

INLINE double wide(const void *data, int is64, int at) {
    return is64 ? ((const double *)data)[at] : (double)((const float *)data)[at];
}

static void set_side(Sums *sums, int s, const Look *look, int n, int is64, double off, double off_squares) {
    Side *side = &sums->side[s];
    side->finite = n;
    side->mean = look->centre[s] + off / n;
    side->squares = off_squares - off * off / n;
    if (side->squares < 0) side->squares = 0;
    side->minimum = number(look->least[s], is64);
    side->maximum = number(look->most[s], is64);
    sums->side_squares[s] = side->squares + side->mean * side->mean * n;
}

INLINE void sum_pair(const void *actual, const void *expected, int is64, int n, const Look *look,
                     uint16_t *fields, Sums *sums) {
    const double centre = look->centre[0], other_centre = look->centre[1];
    double off = 0, off_squares = 0, other_off = 0, other_off_squares = 0, products = 0, squares = 0;
    uint64_t largest = 0;
#pragma omp simd reduction(+ : off, off_squares, other_off, other_off_squares, products, squares) \
    reduction(max : largest)
    for (int i = 0; i < n; i++) {
        double a = wide(actual, is64, i), e = wide(expected, is64, i), d = a - e;
        uint64_t bits = double_bits(d) & 0x7fffffffffffffffu;
        largest = bits > largest ? bits : largest;
        fields[i] = (uint16_t)(bits >> 52);
        squares += d * d;
        products += a * e;
        a -= centre;
        e -= other_centre;
        off += a;
        off_squares += a * a;
        other_off += e;
        other_off_squares += e * e;
    }
    sums->squares = squares;
    sums->products = products;
    sums->max_abs = as_double(largest);
    set_side(sums, 0, look, n, is64, off, off_squares);
    set_side(sums, 1, look, n, is64, other_off, other_off_squares);
}

INLINE void sum_alone(const void *data, int is64, int n, const Look *look, Sums *sums) {
    const double centre = look->centre[0];
    double off = 0, off_squares = 0;
#pragma omp simd reduction(+ : off, off_squares)
    for (int i = 0; i < n; i++) {
        double a = wide(data, is64, i) - centre;
        off += a;
        off_squares += a * a;
    }
    set_side(sums, 0, look, n, is64, off, off_squares);
    sums->side[1] = sums->side[0];
    sums->products = sums->side_squares[1] = sums->side_squares[0];
}

/* What is allowed is stored before it is compared: multiplied and added in one step it would be rounded
 * otherwise than torch does it, and elements at the edge would be counted otherwise. */
INLINE int64_t count_outside(const void *actual, const void *expected, int is64, int n, double rtol, double atol,
                             double *allowed) {
    int64_t count = 0;
    for (int i = 0; i < n; i++) allowed[i] = rtol * fabs(wide(expected, is64, i));
    __asm__ volatile("" ::: "memory");
#pragma omp simd reduction(+ : count)
    for (int i = 0; i < n; i++) {
        double d = fabs(wide(actual, is64, i) - wide(expected, is64, i));
        count += (d != 0) & !(d <= atol + allowed[i]);
    }
    return count;
}

/* What the next tile needs, fetched while this one is still counted: a step is a share of `1 / steps`. */
typedef struct {
    const char *from[2];
    int64_t bytes[2];
} Ahead;

INLINE void fetch_ahead(const Ahead *ahead, int step, int steps) {
    for (int s = 0; s < 2; s++)
        for (int64_t at = ahead->bytes[s] * step / steps & ~63; at < ahead->bytes[s] * (step + 1) / steps; at += 64)
            __builtin_prefetch(ahead->from[s] + at, 0, 2);
}

/* How many distances have which exponent. Most lie within few steps of the largest: those are counted by
 * comparing all with one exponent after the other, which vectors do 64 at a time. */
static void count_fields(Scratch *scratch, int n, int top, int64_t nonzero, int64_t *exponents, const Ahead *ahead) {
    enum { NEAR = 24, FETCHES = 14 };
    typedef uint64_t Lanes __attribute__((vector_size(64)));
    const Lanes even = {0xff00ff00ff00ff, 0xff00ff00ff00ff, 0xff00ff00ff00ff, 0xff00ff00ff00ff,
                        0xff00ff00ff00ff, 0xff00ff00ff00ff, 0xff00ff00ff00ff, 0xff00ff00ff00ff};
    typedef uint8_t Bytes __attribute__((vector_size(64)));
    int padded = (n + 63) & ~63;
    for (int i = n; i < padded; i++) scratch->fields[i] = 0;
    for (int i = 0; i < padded; i++) {
        uint16_t below = (uint16_t)(top - scratch->fields[i]);
        scratch->places[i] = below < 255 ? (uint8_t)below : 255;
    }
    int place = 0;
    for (; place < NEAR && place < top && nonzero; place++) {
        Bytes counts = {0};
        if (place < FETCHES) fetch_ahead(ahead, place, FETCHES);
        for (int i = 0; i < padded; i += 64) counts -= (Bytes)(*(const Bytes *)(scratch->places + i) == (uint8_t)place);
        Lanes sums = (Lanes)counts;
        sums = (sums & even) + ((sums >> 8) & even);
        sums = (sums + (sums >> 16)) & 0xffff0000ffff;
        sums = (sums + (sums >> 32)) & 0xffff;
        int64_t found = 0;
        for (int i = 0; i < 8; i++) found += (int64_t)sums[i];
        exponents[top - place] += found;
        nonzero -= found;
    }
    for (; place < FETCHES; place++) fetch_ahead(ahead, place, FETCHES);
    if (nonzero > 0)
        for (int i = 0; i < n; i++)
            if (scratch->fields[i] && top - scratch->fields[i] >= NEAR) exponents[scratch->fields[i]]++;
}

/* A tile -------------------------------------------------------------------------------------------------- */

/* In which kind steps are counted: the one with fewer bits of mantissa. */
INLINE int coarser(int kind, int other) {
    return kind == BF16 || other == BF16 ? BF16 : kind == F16 || other == F16 ? F16 : kind;
}

static void look_at(const void *actual, const void *expected, int n, const int *kind, Look *look) {
    int is_exact = kind[0] == kind[1];
    switch (coarser(kind[0], kind[1])) {
    case F64: look64(actual, expected, n, look); break;
    case F32: look32(actual, expected, n, F32, 1, look); break;
    case BF16:
        if (is_exact) look32(actual, expected, n, BF16, 1, look);
        else look32(actual, expected, n, BF16, 0, look);
        break;
    default: look32(actual, expected, n, F16, 1, look);
    }
}

static int is_finite(const Look *look, int s, int kind) {
    int64_t limit = kind == F64 ? 0x7ff0000000000000 : LIMIT[kind];
    return look->most[s] < limit && look->least[s] > -limit;
}

/* Everything is finite. The data are float64 where that is their kind, else float32. */
static void finite_tile(const void *actual, const void *expected, int n, const Job *job, Look *look,
                        Scratch *scratch, Sums *sums, int64_t *exponents, const Ahead *ahead) {
    int is64 = job->kind[0] == F64;
    for (int s = 0; s < 2; s++)
        if (!isfinite(look->centre[s])) look->centre[s] = 0;
    if (is64) sum_pair(actual, expected, 1, n, look, scratch->fields, sums);
    else sum_pair(actual, expected, 0, n, look, scratch->fields, sums);
    sums->elements = sums->finite = n;
    sums->mismatched = sums->outside = look->mismatched;
    sums->max_ulp = look->max_ulp;
    if (look->mismatched) {
        count_fields(scratch, n, (int)(double_bits(sums->max_abs) >> 52), look->mismatched, exponents, ahead);
        if (job->rtol != 0 || job->atol != 0)
            sums->outside = is64 ? count_outside(actual, expected, 1, n, job->rtol, job->atol, scratch->allowed)
                                 : count_outside(actual, expected, 0, n, job->rtol, job->atol, scratch->allowed);
    }
}

static void add_alone(Side *side, double x) {
    Side one = {1, x, 0, x, x, 0, 0, -1};
    add_side(side, &one);
}

static int64_t ordered_value(int kind, double x) {
    return kind == F64 ? ordered64(double_bits(x)) : ordered_as(kind, float_bits((float)x));
}

/* Some are not: sort out those, treat the others as usual. */
static void broken_tile(const char *const *data, int64_t start, int n, const Job *job, Scratch *scratch, Sums *sums,
                        int64_t *exponents) {
    int is64 = job->kind[0] == F64, kind = coarser(job->kind[0], job->kind[1]), picked = 0;
    for (int i = 0; i < n; i++) {
        double x[2] = {value(data[0], job->kind[0], i), value(data[1], job->kind[1], i)};
        if (isfinite(x[0]) && isfinite(x[1])) {
            for (int s = 0; s < 2; s++)
                if (is64) scratch->picked[s][picked] = x[s];
                else ((float *)scratch->picked[s])[picked] = (float)x[s];
            picked++;
            continue;
        }
        sums->elements++;
        for (int s = 0; s < 2; s++) {
            Side *side = &sums->side[s];
            if (isnan(x[s])) {
                if (!side->nan++) side->first_nan = start + i;
            } else if (isinf(x[s])) side->inf++;
            else add_alone(side, x[s]);
        }
        int is_nan = isnan(x[0]) != 0, other_is_nan = isnan(x[1]) != 0;
        if (x[0] == x[1] || (is_nan && other_is_nan)) continue;
        sums->mismatched++;
        sums->outside++;
        sums->max_abs = INFINITY;
        if (is_nan != other_is_nan) {
            sums->nan_apart++;
            continue;
        }
        int64_t a = ordered_value(kind, x[0]), e = ordered_value(kind, x[1]);
        uint64_t apart = a > e ? (uint64_t)a - (uint64_t)e : (uint64_t)e - (uint64_t)a;
        if (apart > sums->max_ulp) sums->max_ulp = apart;
    }
    if (picked) {
        Look look;
        Sums part;
        Ahead nothing = {0};
        clear(&part);
        look_at(scratch->picked[0], scratch->picked[1], picked, job->kind, &look);
        finite_tile(scratch->picked[0], scratch->picked[1], picked, job, &look, scratch, &part, exponents, &nothing);
        add_sums(sums, &part);
    }
}

static const void *widened(const char *data, int kind, int n, float *into) {
    const uint16_t *codes = (const uint16_t *)data;
    uint32_t *bits = (uint32_t *)into;
    if (kind == BF16)
        for (int i = 0; i < n; i++) bits[i] = (uint32_t)codes[i] << 16;
    else if (kind == F16)
        for (int i = 0; i < n; i++) bits[i] = widened_half(codes[i]);
    else
        return data;
    return into;
}

/* A tile, the quick way ------------------------------------------------------------------------------------ */

#ifdef IS_WIDE
/* Most tiles are full, of one dtype, finite, and their mean is not far larger than what varies around it: these
 * need one look, with vectors of 16 numbers. Others are sent away with 0, and looked at twice as below. */

enum { FETCHED = 8192 }; /* so many bytes before they are needed: the processor's own prefetch ends with a page */

INLINE __m512i codes16(const char *data, int kind, int at) {
    if (kind == F32) return _mm512_loadu_si512(data + 4 * at);
    return _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(data + 2 * at)));
}

INLINE __m512 floats16(__m512i codes, int kind) {
    if (kind == F32) return _mm512_castsi512_ps(codes);
    if (kind == BF16) return _mm512_castsi512_ps(_mm512_slli_epi32(codes, 16));
    return _mm512_cvtph_ps(_mm512_cvtepi32_epi16(codes));
}

INLINE __m512i size16(__m512i codes, int kind) {
    return _mm512_and_si512(codes, _mm512_set1_epi32(kind == F32 ? 0x7fffffff : 0x7fff));
}

/* Steps where signs differ: through 0, so that both sizes add up. */
INLINE uint32_t steps_across(const char *const *data, int kind) {
    __m512i steps = _mm512_setzero_si512();
    for (int i = 0; i < TILE; i += 16) {
        __m512i one = codes16(data[0], kind, i), other = codes16(data[1], kind, i);
        __m512i sign = _mm512_set1_epi32(kind == F32 ? INT32_MIN : 0x8000);
        __mmask16 across = _mm512_test_epi32_mask(_mm512_xor_si512(one, other), sign);
        one = size16(one, kind), other = size16(other, kind);
        __m512i apart = _mm512_abs_epi32(_mm512_sub_epi32(one, other));
        steps = _mm512_max_epu32(steps, _mm512_mask_add_epi32(apart, across, one, other));
    }
    return _mm512_reduce_max_epu32(steps);
}

INLINE int set_wide_side(Sums *sums, int s, double sum, double squares, float least, float most) {
    Side *side = &sums->side[s];
    side->finite = TILE;
    side->mean = sum / TILE;
    side->squares = squares - sum * side->mean;
    side->minimum = least + 0.0f; /* of two zeros that without a sign */
    side->maximum = most + 0.0f;
    sums->side_squares[s] = squares;
    /* The more of the squares the mean takes away, the fewer digits are left; NaN and infinities end here, too. */
    return isfinite(squares) && side->squares * 64 >= squares;
}

INLINE int wide_tile(const char *const *data, int kind, Scratch *scratch, Sums *sums) {
    const __m512d none = _mm512_setzero_pd();
    __m512d sum[2][2] = {{none, none}, {none, none}}, square[2][2] = {{none, none}, {none, none}};
    __m512d product[2] = {none, none}, distance[2] = {none, none}, largest[2] = {none, none};
    __m512 least[2], most[2];
    __m512i steps = _mm512_setzero_si512(), signs = steps, half = steps;
    for (int s = 0; s < 2; s++) least[s] = most[s] = floats16(codes16(data[s], kind, 0), kind);
#pragma GCC unroll 2
    for (int i = 0; i < TILE; i += 16) {
        __m512i codes[2], above[2];
        __m512 x[2];
        __m512d wide[2][2];
        for (int s = 0; s < 2; s++) {
            if (kind == F32 || i % 32 == 0) __builtin_prefetch(data[s] + i * (kind == F32 ? 4 : 2) + FETCHED);
            codes[s] = codes16(data[s], kind, i);
            x[s] = floats16(codes[s], kind);
            least[s] = _mm512_min_ps(least[s], x[s]);
            most[s] = _mm512_max_ps(most[s], x[s]);
            wide[s][0] = _mm512_cvtps_pd(_mm512_castps512_ps256(x[s]));
            wide[s][1] = _mm512_cvtps_pd(_mm512_extractf32x8_ps(x[s], 1));
            for (int h = 0; h < 2; h++) {
                sum[s][h] = _mm512_add_pd(sum[s][h], wide[s][h]);
                square[s][h] = _mm512_fmadd_pd(wide[s][h], wide[s][h], square[s][h]);
            }
        }
        steps = _mm512_max_epu32(steps, _mm512_abs_epi32(_mm512_sub_epi32(codes[0], codes[1])));
        signs = _mm512_ternarylogic_epi32(signs, codes[0], codes[1], 0xf6); /* signs | (one ^ other) */
        for (int h = 0; h < 2; h++) {
            __m512d apart = _mm512_sub_pd(wide[0][h], wide[1][h]);
            distance[h] = _mm512_fmadd_pd(apart, apart, distance[h]);
            product[h] = _mm512_fmadd_pd(wide[0][h], wide[1][h], product[h]);
            largest[h] = _mm512_range_pd(largest[h], apart, 11); /* that with the larger size, without its sign */
            above[h] = _mm512_castpd_si512(apart);
        }
        /* The upper halves of 16 distances, in an order that does not matter; the fields of 32 are stored. */
        __m512i upper = _mm512_castps_si512(
            _mm512_shuffle_ps(_mm512_castsi512_ps(above[0]), _mm512_castsi512_ps(above[1]), 0xdd));
        upper = _mm512_srli_epi32(_mm512_slli_epi32(upper, 1), 21);
        if (i % 32) _mm512_store_si512(scratch->fields + i - 16, _mm512_packus_epi32(half, upper));
        half = upper;
    }
    int is_fit = 1;
    for (int s = 0; s < 2; s++)
        is_fit &= set_wide_side(sums, s, _mm512_reduce_add_pd(_mm512_add_pd(sum[s][0], sum[s][1])),
                                _mm512_reduce_add_pd(_mm512_add_pd(square[s][0], square[s][1])),
                                _mm512_reduce_min_ps(least[s]), _mm512_reduce_max_ps(most[s]));
    if (!is_fit) return 0;
    sums->elements = sums->finite = TILE;
    sums->squares = _mm512_reduce_add_pd(_mm512_add_pd(distance[0], distance[1]));
    sums->products = _mm512_reduce_add_pd(_mm512_add_pd(product[0], product[1]));
    sums->max_abs = _mm512_reduce_max_pd(_mm512_max_pd(largest[0], largest[1]));
    sums->max_ulp = _mm512_test_epi32_mask(signs, _mm512_set1_epi32(kind == F32 ? INT32_MIN : 0x8000))
                        ? steps_across(data, kind) : _mm512_reduce_max_epu32(steps);
    return 1;
}

/* How many distances have which exponent, as `count_fields`. Returns how many distances are not 0. */
static int64_t count_wide(Scratch *scratch, int top, int64_t *exponents) {
    enum { NEAR = 24 };
    const __m512i tops = _mm512_set1_epi16((short)top), none = _mm512_setzero_si512();
    int64_t unequal = 0;
    for (int i = 0; i < TILE; i += 64) {
        __m512i one = _mm512_load_si512(scratch->fields + i), other = _mm512_load_si512(scratch->fields + i + 32);
        unequal += __builtin_popcountll((uint64_t)_mm512_test_epi16_mask(one, one) << 32 |
                                        _mm512_test_epi16_mask(other, other));
        one = _mm512_packus_epi16(_mm512_sub_epi16(tops, one), _mm512_sub_epi16(tops, other));
        _mm512_store_si512(scratch->places + i, one);
    }
    int64_t left = unequal;
    /* Distances of float32 that are not 0 have fields far above NEAR. */
    for (int place = 0; place < NEAR && left; place += 2) {
        const __m512i first = _mm512_set1_epi8((char)place), second = _mm512_set1_epi8((char)(place + 1));
        const __m512i step = _mm512_set1_epi8(1);
        __m512i counts = none, next = none;
        for (int i = 0; i < TILE; i += 64) {
            __m512i places = _mm512_load_si512(scratch->places + i);
            counts = _mm512_mask_add_epi8(counts, _mm512_cmpeq_epi8_mask(places, first), counts, step);
            next = _mm512_mask_add_epi8(next, _mm512_cmpeq_epi8_mask(places, second), next, step);
        }
        int64_t found = _mm512_reduce_add_epi64(_mm512_sad_epu8(counts, none));
        exponents[top - place] += found;
        left -= found;
        found = _mm512_reduce_add_epi64(_mm512_sad_epu8(next, none));
        exponents[top - place - 1] += found;
        left -= found;
    }
    if (left)
        for (int i = 0; i < TILE; i++)
            if (scratch->fields[i] && top - scratch->fields[i] >= NEAR) exponents[scratch->fields[i]]++;
    return unequal;
}

static int quick_tile(const char *const *data, const Job *job, Scratch *scratch, Sums *sums, int64_t *exponents) {
    int kind = job->kind[0], is_fit;
    switch (kind) {
    case F32: is_fit = wide_tile(data, F32, scratch, sums); break;
    case BF16: is_fit = wide_tile(data, BF16, scratch, sums); break;
    default: is_fit = wide_tile(data, F16, scratch, sums);
    }
    if (!is_fit) return 0;
    if (sums->max_abs > 0)
        sums->mismatched = count_wide(scratch, (int)(double_bits(sums->max_abs) >> 52), exponents);
    sums->outside = sums->mismatched;
    if (sums->mismatched && (job->rtol != 0 || job->atol != 0))
        sums->outside = count_outside(data[0], data[1], 0, TILE, job->rtol, job->atol, scratch->allowed);
    return 1;
}
#else
static int quick_tile(const char *const *data, const Job *job, Scratch *scratch, Sums *sums, int64_t *exponents) {
    return (void)data, (void)job, (void)scratch, (void)sums, (void)exponents, 0;
}
#endif

static void tile(const Job *job, int64_t start, int n, Scratch *scratch, Sums *sums, int64_t *exponents) {
    const char *data[2];
    const void *wide_data[2];
    Look look;
    for (int s = 0; s < 2; s++) data[s] = job->data[s] + start * SIZE[job->kind[s]];
    if (n == TILE && job->kind[0] == job->kind[1] && job->kind[0] != F64 &&
        (job->kind[0] == F32 || (job->rtol == 0 && job->atol == 0))) {
        if (quick_tile(data, job, scratch, sums, exponents)) return;
        clear(sums);
    }
    if (job->kind[0] == job->kind[1] && !memcmp(data[0], data[1], (size_t)n * SIZE[job->kind[0]])) {
        const void *alone = widened(data[0], job->kind[0], n, scratch->wide[0]);
        if (job->kind[0] == F64) look_alone64(alone, n, &look);
        else look_alone32(alone, n, &look);
        if (is_finite(&look, 0, job->kind[0])) {
            if (!isfinite(look.centre[0])) look.centre[0] = 0;
            if (job->kind[0] == F64) sum_alone(alone, 1, n, &look, sums);
            else sum_alone(alone, 0, n, &look, sums);
            sums->elements = sums->finite = n;
            return;
        }
    } else {
        for (int s = 0; s < 2; s++) wide_data[s] = widened(data[s], job->kind[s], n, scratch->wide[s]);
        look_at(wide_data[0], wide_data[1], n, job->kind, &look);
        if (is_finite(&look, 0, job->kind[0]) && is_finite(&look, 1, job->kind[1])) {
            int64_t after = job->elements - start - n < TILE ? job->elements - start - n : TILE;
            Ahead ahead;
            for (int s = 0; s < 2; s++) {
                ahead.from[s] = data[s] + (int64_t)n * SIZE[job->kind[s]];
                ahead.bytes[s] = after * SIZE[job->kind[s]];
            }
            finite_tile(wide_data[0], wide_data[1], n, job, &look, scratch, sums, exponents, &ahead);
            return;
        }
    }
    broken_tile(data, start, n, job, scratch, sums, exponents);
}

/* Blocks and threads -------------------------------------------------------------------------------------- */

/* Whether squares of these sizes, and sums of them, may leave float64 or vanish in it. */
static int is_extreme(double size) { return size != 0 && (size > 0x1p400 || size < 0x1p-400); }

static int64_t total(const int64_t *exponents) {
    int64_t found = 0;
    for (int i = 1; i < FIELDS; i++) found += exponents[i];
    return found;
}

static int block(const Job *job, int64_t number, Scratch *scratch, Sums *sums, int64_t *exponents) {
    int64_t start = number * BLOCK, stop = start + BLOCK < job->elements ? start + BLOCK : job->elements;
    int is64 = job->kind[0] == F64;
    int64_t counted = is64 ? -total(exponents) : 0;
    clear(sums);
    for (; start < stop; start += TILE) {
        Sums part;
        clear(&part);
        tile(job, start, stop - start < TILE ? (int)(stop - start) : TILE, scratch, &part, exponents);
        /* Of a block, where the first tile begins that has the largest distance. */
        if (part.max_abs > sums->max_abs) sums->max_abs_at = start;
        add_sums(sums, &part);
    }
    if (is64) {
        for (int s = 0; s < 2; s++)
            if (sums->side[s].finite && (is_extreme(fabs(sums->side[s].minimum)) || is_extreme(fabs(sums->side[s].maximum))))
                return 0;
        counted += total(exponents);
        /* Distances that are subnormal have an exponent of their own. */
        if (isfinite(sums->max_abs) && (is_extreme(sums->max_abs) || counted != sums->mismatched)) return 0;
        if (!isfinite(sums->max_abs) && counted + sums->elements - sums->finite < sums->mismatched) return 0;
        if (sums->squares == 0 && counted) return 0;
    }
    return 1;
}

static void *work(void *given) {
    Job *job = given;
    /* On the stack: what malloc gives back to the system after each call has to be fetched again by page faults. */
    Scratch scratch;
    int64_t exponents[FIELDS] = {0};
    fenv_t environment;
    /* Round to nearest and keep subnormals, whatever the program has set. */
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    while (!__atomic_load_n(&job->left, __ATOMIC_RELAXED)) {
        int64_t number = __atomic_fetch_add(&job->next, 1, __ATOMIC_RELAXED);
        if (number >= job->blocks) break;
        if (!block(job, number, &scratch, &job->of_block[number], exponents))
            __atomic_store_n(&job->left, LEFT, __ATOMIC_RELAXED);
    }
    for (int field = 1; field < FIELDS; field++)
        if (exponents[field]) __atomic_fetch_add(&job->exponents[field], exponents[field], __ATOMIC_RELAXED);
    fesetenv(&environment);
    return NULL;
}

static double distance(const Job *job, int64_t at) {
    double a = value(job->data[0], job->kind[0], at), e = value(job->data[1], job->kind[1], at);
    if (a == e || (isnan(a) && isnan(e))) return 0;
    double d = fabs(a - e);
    return isnan(d) ? INFINITY : d;
}

/* In the first tile of the first block that has the largest distance, the first element that has it. */
static int64_t find_largest(const Job *job, double largest) {
    for (int64_t number = 0; number < job->blocks; number++) {
        if (job->of_block[number].max_abs != largest) continue;
        int64_t start = job->of_block[number].max_abs_at;
        int64_t stop = start + TILE < job->elements ? start + TILE : job->elements;
        for (int64_t at = start; at < stop; at++)
            if (distance(job, at) == largest) return at;
    }
    return -1;
}

/* Kinds are those of the enumeration; `outcome` is overwritten. Returns DONE, or why there is no outcome. */
int outgrow_measure(const void *actual, int actual_kind, const void *expected, int expected_kind, int64_t elements,
                    double rtol, double atol, int threads, Outcome *outcome) {
    if (actual_kind < F32 || actual_kind > F64 || expected_kind < F32 || expected_kind > F64 ||
        (actual_kind == F64) != (expected_kind == F64))
        return UNSUPPORTED;
    memset(outcome, 0, sizeof *outcome);
    clear(&outcome->sums);
    int64_t blocks = (elements + BLOCK - 1) / BLOCK;
    if (threads > MAX_THREADS) threads = MAX_THREADS;
    if (threads > blocks) threads = (int)blocks;
    if (threads < 1) threads = 1;
    Job job = {{actual, expected}, {actual_kind, expected_kind}, elements, rtol, atol, blocks, 0, DONE, NULL,
               outcome->exponents};
    job.of_block = malloc((size_t)(blocks ? blocks : 1) * sizeof *job.of_block);
    if (!job.of_block) return NO_MEMORY;
    pthread_t others[MAX_THREADS];
    int started = 0;
    /* Where a thread cannot be had, the others do its work. */
    while (started < threads - 1 && !pthread_create(&others[started], NULL, work, &job)) started++;
    work(&job);
    for (int i = 0; i < started; i++) pthread_join(others[i], NULL);
    if (job.left == DONE) {
        for (int64_t number = 0; number < blocks; number++) add_sums(&outcome->sums, &job.of_block[number]);
        if (outcome->sums.max_abs > 0) outcome->sums.max_abs_at = find_largest(&job, outcome->sums.max_abs);
    }
    free(job.of_block);
    return job.left;
}

/* Few elements -------------------------------------------------------------------------------------------- */

enum { SAMPLE = 1024, SLICE = 256, MAX_DIMS = 64 };

typedef struct {
    int64_t elements, lost;
    int64_t digits[2]; /* actual, expected; -1 where all are 0 */
    double number, slice; /* what is expected at a place, and the largest root mean square of its slices */
} Few;

/* sample.py computes the same, in the same order: not a bit may differ. */
#define GOLDEN 0x1.3c6ef372fe95p-1

static int64_t place_of(int64_t i, int64_t count, int64_t elements) {
    if (elements <= count) return i;
    double turn = (double)i * GOLDEN;
    return (int64_t)((turn - floor(turn)) * (double)elements);
}

static int64_t lowest_bit(double x) {
    uint64_t bits = double_bits(frexp(x, &(int){0})) & 0xfffffffffffff;
    return __builtin_ctzll(bits | 1ull << 52);
}

static double root_mean_square(const char *data, int kind, int64_t elements, int64_t inner, int64_t size, int64_t at) {
    int64_t part = elements / size, taken = part < SLICE ? part : SLICE, finite = 0;
    double sum = 0;
    for (int64_t i = 0; i < taken; i++) {
        int64_t place = place_of(i, SLICE, part);
        double x = value(data, kind, (place / inner * size + at) * inner + place % inner);
        if (!isfinite(x)) continue;
        double square = x * x;
        __asm__("" : "+m"(square)); /* rounded before it is added */
        sum += square;
        finite++;
    }
    return sqrt(sum / (double)(finite ? finite : 1));
}

/* What sample.py says of two tensors of `shape`, and of the slices of `expected` around one place, if that is not
 * negative. Returns DONE or UNSUPPORTED. */
int outgrow_sample(const void *actual, int actual_kind, const void *expected, int expected_kind, int64_t elements,
                   int dims, const int64_t *shape, int64_t at, Few *found) {
    const char *data[2] = {actual, expected};
    int kind[2] = {actual_kind, expected_kind};
    double taken[2][SAMPLE], squares[2] = {0, 0};
    int64_t count = 0, lowest[2] = {64, 64};
    if (dims > MAX_DIMS) return UNSUPPORTED;
    fenv_t environment;
    fegetenv(&environment);
    fesetenv(FE_DFL_ENV);
    memset(found, 0, sizeof *found);
    for (int64_t i = 0; i < SAMPLE && i < elements; i++) {
        int64_t place = place_of(i, SAMPLE, elements);
        for (int s = 0; s < 2; s++) taken[s][count] = value(data[s], kind[s], place);
        count += isfinite(taken[0][count]) && isfinite(taken[1][count]);
    }
    for (int64_t i = 0; i < count; i++)
        for (int s = 0; s < 2; s++) {
            double x = taken[s][i], square = x * x;
            __asm__("" : "+m"(square));
            squares[s] += square;
            if (x != 0) {
                int64_t low = lowest_bit(x);
                lowest[s] = low < lowest[s] ? low : lowest[s];
            }
        }
    double typical = sqrt((squares[0] > squares[1] ? squares[0] : squares[1]) / (double)(count ? count : 1));
    for (int64_t i = 0; i < count; i++) {
        double one = fabs(taken[0][i]), other = fabs(taken[1][i]);
        found->lost += ((one == 0) != (other == 0)) && (one > other ? one : other) >= typical / 8;
    }
    found->elements = count;
    for (int s = 0; s < 2; s++) found->digits[s] = lowest[s] == 64 ? -1 : 53 - lowest[s];
    if (at >= 0) {
        found->number = value(expected, expected_kind, at);
        int64_t inner = elements;
        for (int dim = 0; dim < dims; dim++) {
            inner /= shape[dim];
            double size = root_mean_square(expected, expected_kind, elements, inner, shape[dim], at / inner % shape[dim]);
            if (size > found->slice) found->slice = size;
        }
    }
    fesetenv(&environment);
    return DONE;
}
