/* The inside of quant_encode_row: encoders of single blocks, and the searches they share.
 *
 * The algorithms and the order of every float operation are those of ggml's reference quantisers,
 * so that the bytes agree (docs/formats.md, "Quantising"). Sums run in index order; products of
 * three are (w · x) · q and (w · q) · q. */
#ifndef TENSOR_QUANT_INT_H
#define TENSOR_QUANT_INT_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* --- encoders: one for each block type, files quant_encode_*.c --- */

/* Writes the block of x[32] or x[256]. `importance` is NULL or has a positive sum;
 * `row_mean_square` is the mean of x² over the whole row and read only with importance. Values too
 * large for the format leave a scale that is not finite; the caller looks for that. */
typedef void encode_block(void *block, const float *x, const float *importance,
                          float row_mean_square);

encode_block encode_q4_0, encode_q4_1, encode_q5_0, encode_q5_1, encode_q8_0, encode_q2_k,
    encode_q3_k, encode_q4_k, encode_q5_k, encode_q6_k, encode_iq4_nl, encode_iq4_xs;

/* --- searches, quant_search.c --- */

/* Runs whose largest magnitude is below this count as zeros. */
#define QUANT_NOTHING 1e-15f

#define QUANT_RUN 32 /* the longest run that a search takes */

/* x ≈ scale · (q − limit), q in 0 … 2 · limit − 1, least squares under w[n]: the first guess puts
 * the element of largest magnitude on −limit, eighteen others nearby are tried. Returns the scale,
 * which may be negative; zeros give 0 and q = 0. */
float search_symmetric(int n, int limit, const float *x, const float *w, uint8_t *q);

/* The same form, from the first guess by coordinate descent over single codes. */
float search_symmetric_descent(int n, int limit, const float *x, const float *w, uint8_t *q);

/* x ≈ scale · q, q in 0 … limit, for x ≥ 0: nine guesses, then descent. Returns the scale. */
float search_positive(int n, int limit, const float *x, const float *w, uint8_t *q);

/* x ≈ scale · q − min, q in 0 … levels, scale and min ≥ 0. Guess i of 0 … steps makes the range
 * levels + first + i · step codes long and solves the weighted least squares for both. */
typedef struct affine_search {
    int levels, steps;
    float first, step;
    bool absolute; /* compares guesses by |error|, not its square */
} affine_search;

float search_affine(const affine_search *s, int n, const float *x, const float *w, uint8_t *q,
                    float *min);

/* The element of largest magnitude, with its sign; the first on ties, 0 for zeros. */
float signed_largest(const float *x, int n);

/* Σ x² of a run, and the weights importance · sqrt(spread + x²). */
float sum_of_squares(const float *x, int n);
void importance_weights(float *w, const float *x, const float *importance, float spread, int n);

/* --- arithmetic --- */

/* Nearest integer, ties to even, for |x| < 2^22: there a float's step at 1.5 · 2^23 is 1. Anything
 * else, NaN included, gives some integer; clamp it. */
static inline int round_even(float x) {
    float shifted = x + 12582912.0f;
    int32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    return (bits & 0x007fffff) - 0x00400000;
}

/* Toward zero and into 0 … high; NaN gives 0. */
static inline int truncate_to(float x, int high) {
    return x >= (float)high ? high : x > 0.0f ? (int)x : 0;
}

static inline int clamp_int(int x, int low, int high) {
    return x < low ? low : x > high ? high : x;
}

/* 1 / d, or 0 where that is not finite: such a d is 0 as a half anyway. */
static inline float inverse(float d) {
    float inverted = 1.0f / d;
    return inverted - inverted == 0.0f ? inverted : 0.0f;
}

#endif
