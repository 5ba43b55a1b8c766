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

/* Codes toward zero of (x − minimum) · inverse + shift, 0 … top. */
INLINE codes truncate_32(const float *x, float minimum, float inverse, float shift, float top) {
    vec y[32 / LANES];
    for (int i = 0; i < 32 / LANES; i++) {
        y[i] = (v_load(x + i * LANES) - v_set(minimum)) * v_set(inverse) + v_set(shift);
        y[i] = v_min(v_max(y[i], v_set(0.0f)), v_set(top));
    }
    return codes_from(y);
}

/* Of 32 weights the one of largest magnitude, the first of them. */
INLINE float signed_largest_of_32(const float *x) {
    float low = lowest_of_32(x), high = highest_of_32(x);
    if (-low != high) return -low > high ? low : high;
    while (fabsf(*x) < high) x++;
    return *x;
}

/* Q4_0 and Q5_0: x ≈ d · (q − limit); the element of largest magnitude gets code 0.
 * Q4_1 and Q5_1: x ≈ d · q + m. */
INLINE void round_small(uint8_t *block, const small_layout l, const float *x, size_t n_blocks) {
    const int limit = l.has_fifth_bits ? 16 : 8;
    const float top = (float)(2 * limit - 1);
    for (; n_blocks > 0; n_blocks--, block += small_block_bytes(l), x += 32) {
        float d, m = 0.0f, shift = 0.5f;
        if (l.has_offset) {
            m = lowest_of_32(x);
            d = (highest_of_32(x) - m) / top;
        } else {
            d = signed_largest_of_32(x) / -(float)limit;
            shift += (float)limit;
        }
        pack_small(block, l, half_bits(d), half_bits(m),
                   truncate_32(x, m, inverse_of(d), shift, top));
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
