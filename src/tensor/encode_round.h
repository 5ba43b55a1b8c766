/* The encoders that only round: Q4_0, Q4_1, Q5_0 and Q5_1 without importance, Q8_0, F16, BF16. Over
 * the vectors of encode_lanes.h.
 *
 * Without importance the scale follows from the extremes alone; codes come from the scale in full
 * precision, although a half is stored: ggml's bytes. */
#ifndef TENSOR_ENCODE_ROUND_H
#define TENSOR_ENCODE_ROUND_H

#include <math.h>
#include <string.h>

#include "tensor/encode_lanes.h"
#include "tensor/encode_pack.h"

/* 1 / d, or 0 where that is not finite: such a d is 0 as a half anyway. */
INLINE float inverse_of(float d) {
    float inverted = 1.0f / d;
    return inverted - inverted == 0.0f ? inverted : 0.0f;
}

INLINE float lowest_of_32(const float *x) {
    vec low = v_load(x);
    for (int i = LANES; i < 32; i += LANES) low = v_min(v_load(x + i), low);
    return v_lowest(low);
}

INLINE float highest_of_32(const float *x) {
    vec high = v_load(x);
    for (int i = LANES; i < 32; i += LANES) high = v_max(v_load(x + i), high);
    return v_highest(high);
}

/* q[32] = codes toward zero of (x − minimum) · inverse + shift, 0 … top. */
INLINE void truncate_32(uint8_t *q, const float *x, float minimum, float inverse, float shift,
                        float top) {
    for (int i = 0; i < 32; i += LANES) {
        vec y = (v_load(x + i) - v_set(minimum)) * v_set(inverse) + v_set(shift);
        v_store_codes(q + i, v_min(v_max(y, v_set(0.0f)), v_set(top)));
    }
}

/* x ≈ d · (q − limit): the element of largest magnitude, the first of them, gets code 0. */
INLINE float centred_32(uint8_t *q, const float *x, const int limit) {
    float low = lowest_of_32(x), high = highest_of_32(x), largest = -low > high ? low : high;
    if (-low == high) {
        int i = 0;
        while (fabsf(x[i]) < high) i++;
        largest = x[i];
    }
    float d = largest / -(float)limit;
    truncate_32(q, x, 0.0f, inverse_of(d), (float)limit + 0.5f, (float)(2 * limit - 1));
    return d;
}

/* x ≈ d · q + m */
INLINE float from_minimum_32(uint8_t *q, const float *x, const int top, float *m) {
    float low = lowest_of_32(x), d = (highest_of_32(x) - low) / (float)top;
    *m = low;
    truncate_32(q, x, low, inverse_of(d), 0.5f, (float)top);
    return d;
}

static void round_q4_0(block_q4_0 *b, const float *x, size_t n_blocks) {
    _Alignas(64) uint8_t q[32];
    for (; n_blocks > 0; n_blocks--, b++, x += 32) {
        b->d = half_bits(centred_32(q, x, 8));
        pack_32(b->qs, q);
    }
}

static void round_q5_0(block_q5_0 *b, const float *x, size_t n_blocks) {
    _Alignas(64) uint8_t q[32];
    for (; n_blocks > 0; n_blocks--, b++, x += 32) {
        b->d = half_bits(centred_32(q, x, 16));
        pack_32(b->qs, q);
        b->qh = fifth_bits(q);
    }
}

static void round_q4_1(block_q4_1 *b, const float *x, size_t n_blocks) {
    _Alignas(64) uint8_t q[32];
    float m;
    for (; n_blocks > 0; n_blocks--, b++, x += 32) {
        b->d = half_bits(from_minimum_32(q, x, 15, &m));
        b->m = half_bits(m);
        pack_32(b->qs, q);
    }
}

static void round_q5_1(block_q5_1 *b, const float *x, size_t n_blocks) {
    _Alignas(64) uint8_t q[32];
    float m;
    for (; n_blocks > 0; n_blocks--, b++, x += 32) {
        b->d = half_bits(from_minimum_32(q, x, 31, &m));
        b->m = half_bits(m);
        pack_32(b->qs, q);
        b->qh = fifth_bits(q);
    }
}

/* Halves go away from zero. */
static void round_q8_0(block_q8_0 *b, const float *x, size_t n_blocks) {
    const vec zero = v_set(0.0f), one = v_set(1.0f), half = v_set(0.5f);
    for (; n_blocks > 0; n_blocks--, b++, x += 32) {
        float low = lowest_of_32(x), high = highest_of_32(x);
        float d = (-low > high ? -low : high) / 127.0f;
        vec inverse = v_set(inverse_of(d));
        b->d = half_bits(d);
        for (int i = 0; i < 32; i += LANES) {
            vec y = v_load(x + i) * inverse, size = v_max(y, zero - y), whole = v_truncate(size);
            whole = v_pick(v_greater(half, size - whole), whole, whole + one);
            v_store_codes((uint8_t *)b->qs + i, v_pick(v_greater(zero, y), zero - whole, whole));
        }
    }
}

static void round_f16(uint8_t *to, const float *x, size_t n) {
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) v_store_halves(to + 2 * i, v_load(x + i));
    for (; i < n; i++) {
        uint16_t half = half_bits(x[i]);
        memcpy(to + 2 * i, &half, sizeof half);
    }
}

/* To nearest even; x is finite. */
static void round_bf16(uint8_t *to, const float *x, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;
        memcpy(&bits, &x[i], sizeof bits);
        uint16_t half = (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
        memcpy(to + 2 * i, &half, sizeof half);
    }
}

#endif
