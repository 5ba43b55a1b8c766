/* The searches of the block encoders: for runs of 16 or 32 weights, the scale (and the offset) that
 * makes Σ w · (x − x̂)² small. A lane is a run: LANES runs are searched side by side, each in the
 * order of its elements, so that the answer does not depend on the instruction set.
 *
 * Written once over the vectors that a file defines before it includes this:
 *
 *     vec, mask, LANES          a vector of floats, which +, −, · and / take; what v_greater gives
 *     v_set(a)  v_load(p)  v_store(p, v)
 *     v_min(a, b)  v_max(a, b)  b where either is NaN
 *     v_round(v)                to the nearest whole number, ties to even
 *     v_truncate(v)             toward zero, |v| < 2^31
 *     v_greater(a, b)           false where either is NaN
 *     v_pick(m, a, b)           a where m, else b
 *     v_lowest(v)  v_highest(v) of the lanes
 *     v_store_codes(p, v)       −128 … 255 as bytes, truncated
 *     v_store_halves(p, v)      as F16, to nearest even; p is any address
 *     half_bits(x)  half_value(h)
 *     codes                     32 bytes, the codes of a small block
 *     codes_load(p)  codes_from(vectors)        0 … 255 from 32 floats, truncated
 *     codes_store_nibbles(p, q) 16 bytes: bits 0 to 3 of code i, and above them those of i + 16
 *     codes_fifth_bits(q)       bit 4 of code i as bit i
 *
 * For fixed codes q the best scale is Σwxq / Σwq², and it lowers the error by (Σwxq)² / Σwq²: the
 * *gain*, by which the guesses are compared. With an offset the two follow from a weighted linear
 * regression. The best guess is improved by turns of "codes for this scale, scale for these codes"
 * (Lloyd 1982), each of which can only lower the error. */
#ifndef TENSOR_ENCODE_LANES_H
#define TENSOR_ENCODE_LANES_H

#include <stddef.h>

#include "tensor/blocks.h"
#include "tensor/kernels_int.h"

enum { LONGEST_RUN = 32, LLOYD_TURNS = 2 };

/* Runs whose largest magnitude is below this count as zeros. */
#define NOTHING 1e-15f

typedef struct runs {
    int n; /* elements in a run */
    vec x[LONGEST_RUN], w[LONGEST_RUN];
    vec sum_w, sum_wx;
} runs;

/* to[i], lane l = from[l · n + i] */
INLINE void transpose(vec *to, const float *from, const int n) {
    _Alignas(64) float turned[LONGEST_RUN * LANES];
    for (int l = 0; l < LANES; l++)
        for (int i = 0; i < n; i++) turned[i * LANES + l] = from[l * n + i];
    for (int i = 0; i < n; i++) to[i] = v_load(turned + i * LANES);
}

INLINE void load_runs(runs *r, const float *x, const float *w, const int n) {
    r->n = n;
    transpose(r->x, x, n);
    transpose(r->w, w, n);
    r->sum_w = r->sum_wx = v_set(0.0f);
    for (int i = 0; i < n; i++) {
        r->sum_w = r->sum_w + r->w[i];
        r->sum_wx = r->sum_wx + r->w[i] * r->x[i];
    }
}

/* 1 / v; 0 for values that stand for nothing. */
INLINE vec reciprocal(vec v) {
    vec magnitude = v_max(v, v_set(0.0f) - v);
    return v_pick(v_greater(magnitude, v_set(NOTHING)), v_set(1.0f) / v, v_set(0.0f));
}

/* --- scale alone --- */

/* The values that codes stand for: whole numbers low … high, or those of iq4_values. */
typedef struct levels {
    bool from_table;
    float low, high;
} levels;

/* Half-way between neighbours of the table; of two equally near ones the larger is taken. */
static const float iq4_borders[15] = {-115.5f, -93.5f, -74.0f, -57.0f, -42.0f,
                                      -28.5f,  -16.0f, -4.5f,  7.0f,   19.0f,
                                      31.5f,   45.5f,  61.0f,  79.0f,  101.0f};

INLINE vec nearest_level(const levels l, vec y) {
    if (!l.from_table) return v_min(v_max(v_round(y), v_set(l.low)), v_set(l.high));
    vec level = v_set((float)iq4_values[0]);
    for (int k = 0; k < 15; k++) {
        float step = (float)(iq4_values[k + 1] - iq4_values[k]);
        level = level + v_pick(v_greater(v_set(iq4_borders[k]), y), v_set(0.0f), v_set(step));
    }
    return level;
}

/* Sums behind the best scale of some codes. */
typedef struct scale_sums {
    vec xq, qq; /* Σwxq, Σwq² */
} scale_sums;

INLINE scale_sums sum_codes(const runs *r, const levels l, vec inverse) {
    scale_sums s = {v_set(0.0f), v_set(0.0f)};
    for (int i = 0; i < r->n; i++) {
        vec q = nearest_level(l, r->x[i] * inverse);
        vec wq = r->w[i] * q;
        s.xq = s.xq + wq * r->x[i];
        s.qq = s.qq + wq * q;
    }
    return s;
}

/* The elements of largest magnitude, with their signs; the first ones on ties. */
INLINE vec signed_largest(const runs *r) {
    vec largest = v_set(0.0f), magnitude = v_set(0.0f);
    for (int i = 0; i < r->n; i++) {
        vec size = v_max(r->x[i], v_set(0.0f) - r->x[i]);
        mask more = v_greater(size, magnitude);
        largest = v_pick(more, r->x[i], largest);
        magnitude = v_pick(more, size, magnitude);
    }
    return largest;
}

/* Scales for x ≈ scale · level. Guess t maps the element of largest magnitude to places[t]. */
INLINE vec search_scale(const runs *r, const levels l, const float *places, const int n_places) {
    vec inverse_largest = reciprocal(signed_largest(r));
    vec best_scale = v_set(0.0f), best_gain = v_set(0.0f);
    for (int t = 0; t < n_places + LLOYD_TURNS; t++) {
        vec inverse = reciprocal(best_scale);
        if (t < n_places) inverse = v_set(places[t]) * inverse_largest;
        scale_sums s = sum_codes(r, l, inverse);
        vec scale = v_pick(v_greater(s.qq, v_set(0.0f)), s.xq / s.qq, v_set(0.0f));
        mask better = v_greater(scale * s.xq, best_gain);
        best_scale = v_pick(better, scale, best_scale);
        best_gain = v_pick(better, scale * s.xq, best_gain);
    }
    return best_scale;
}

/* Σ w · (x − scale · level)², the codes being the best ones. */
INLINE vec scale_error(const runs *r, const levels l, vec scale) {
    vec error = v_set(0.0f), inverse = reciprocal(scale);
    for (int i = 0; i < r->n; i++) {
        vec difference = r->x[i] - scale * nearest_level(l, r->x[i] * inverse);
        error = error + r->w[i] * difference * difference;
    }
    return error;
}

/* --- scale and offset: x ≈ scale · q + offset, q in 0 … top --- */

/* Guess t maps the smallest element to −a and the largest to top + b, in steps of codes. */
typedef struct stretch {
    float a, b;
} stretch;

typedef struct affine {
    vec scale, offset;
} affine;

INLINE vec affine_code(vec x, vec inverse, vec offset, const float top) {
    return v_min(v_max(v_round((x - offset) * inverse), v_set(0.0f)), v_set(top));
}

/* Sums over the codes of a guess. */
typedef struct affine_sums {
    vec q, qq, xq; /* Σwq, Σwq², Σwxq */
} affine_sums;

INLINE affine_sums sum_affine(const runs *r, vec inverse, vec offset, const float top) {
    affine_sums s = {v_set(0.0f), v_set(0.0f), v_set(0.0f)};
    for (int i = 0; i < r->n; i++) {
        vec q = affine_code(r->x[i], inverse, offset, top);
        vec wq = r->w[i] * q;
        s.q = s.q + wq;
        s.qq = s.qq + wq * q;
        s.xq = s.xq + wq * r->x[i];
    }
    return s;
}

/* The regression line through some codes and its gain; a gain of 0 where all codes are the same.
 * Unless `free`, offsets are at most 0, which is all that the K formats can store. */
INLINE affine fit_affine(const runs *r, const affine_sums *s, const bool is_free, vec *gain) {
    const vec zero = v_set(0.0f);
    vec determinant = r->sum_w * s->qq - s->q * s->q;
    mask sound = v_greater(determinant, v_set(1e-4f) * r->sum_w * s->qq);
    vec scale = (r->sum_w * s->xq - r->sum_wx * s->q) / determinant;
    vec offset = (r->sum_wx - scale * s->q) / r->sum_w;
    if (!is_free) {
        mask above = v_greater(offset, zero);
        scale = v_pick(above, s->xq / s->qq, scale);
        offset = v_min(offset, zero);
    }
    *gain = v_pick(sound, scale * s->xq + offset * r->sum_wx, zero);
    return (affine){scale, offset};
}

INLINE affine search_affine(const runs *r, const float top, const bool is_free,
                            const stretch *guesses, const int n_guesses) {
    const vec zero = v_set(0.0f);
    vec low = r->x[0], high = r->x[0];
    for (int i = 1; i < r->n; i++) {
        low = v_min(r->x[i], low);
        high = v_max(r->x[i], high);
    }
    if (!is_free) low = v_min(low, zero);
    vec per_range = reciprocal(high - low);
    affine best = {zero, r->sum_wx / r->sum_w};
    if (!is_free) best.offset = v_min(best.offset, zero);
    vec best_gain = best.offset * r->sum_wx;
    for (int t = 0; t < n_guesses + LLOYD_TURNS; t++) {
        vec inverse = reciprocal(best.scale), offset = best.offset, gain;
        if (t < n_guesses) {
            const stretch g = guesses[t];
            inverse = v_set(top + g.a + g.b) * per_range;
            offset = low + v_set(g.a / (top + g.a + g.b)) * (high - low);
        }
        affine_sums s = sum_affine(r, inverse, offset, top);
        affine fit = fit_affine(r, &s, is_free, &gain);
        mask better = v_greater(gain, best_gain);
        best.scale = v_pick(better, fit.scale, best.scale);
        best.offset = v_pick(better, fit.offset, best.offset);
        best_gain = v_pick(better, gain, best_gain);
    }
    return best;
}

/* Σ w · (x − scale · q − offset)², the codes being the best ones. */
INLINE vec affine_error(const runs *r, const float top, vec scale, vec offset) {
    vec error = v_set(0.0f), inverse = reciprocal(scale);
    for (int i = 0; i < r->n; i++) {
        vec q = affine_code(r->x[i], inverse, offset, top);
        vec difference = r->x[i] - (scale * q + offset);
        error = error + r->w[i] * difference * difference;
    }
    return error;
}

#endif
