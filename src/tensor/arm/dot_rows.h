/* The slot dot_rows, written once for both ways to multiply bytes. The including file defines
 *
 *     dot_16(sum, a, b)    sum + the products of 16 signed bytes, in any four lanes of 32 bits
 *
 * One row at a time with up to four tokens; lanes along k, one sum of floats for even and one for
 * odd blocks of 32. */
#ifndef TENSOR_ARM_DOT_ROWS_H
#define TENSOR_ARM_DOT_ROWS_H

#include "tensor/arm/codes.h"

enum { MOST_TOKENS = 4, PIECE = 256 };

/* sum + the minima of n_groups groups times the sums of their inputs, in any lanes. */
INLINE float32x4_t add_minima(float32x4_t sum, const float *w_min, const float *x_sum,
                              size_t n_groups) {
    size_t g = 0;
    for (; g + 4 <= n_groups; g += 4)
        sum = vfmaq_f32(sum, vld1q_f32(w_min + g), vld1q_f32(x_sum + g));
    for (; g < n_groups; g++)
        sum = vfmaq_f32(sum, vsetq_lane_f32(w_min[g], vdupq_n_f32(0), 0), vdupq_n_f32(x_sum[g]));
    return sum;
}

/* sum + the product of 32 weights with one token's 32 inputs. */
INLINE float32x4_t add_block(float32x4_t sum, int8x16x2_t codes, const float *w_scale,
                             const int8_t *x, float x_scale, const int group) {
    const int32x4_t none = vdupq_n_s32(0);
    int8x16_t first = vld1q_s8(x), second = vld1q_s8(x + 16);
    int32x4_t dot = dot_16(none, codes.val[0], first);
    if (group == 32) {
        dot = dot_16(dot, codes.val[1], second);
        return vfmaq_n_f32(sum, vcvtq_f32_s32(dot), w_scale[0] * x_scale);
    }
    sum = vfmaq_n_f32(sum, vcvtq_f32_s32(dot), w_scale[0] * x_scale);
    dot = dot_16(none, codes.val[1], second);
    return vfmaq_n_f32(sum, vcvtq_f32_s32(dot), w_scale[1] * x_scale);
}

INLINE void dot_row(float *y, size_t y_stride, const dtype type, const char *row,
                    const activations *x, size_t t, const int tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    const size_t n = x->n_in, group = traits.group;
    const bool small = traits.block < PIECE;
    float32x4_t sum[MOST_TOKENS][2], minima[MOST_TOKENS];
    float scale[PIECE / 16], min[PIECE / 16];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = minima[i] = vdupq_n_f32(0);
    for (size_t k = 0; k < n; k += PIECE) {
        const size_t width = small && n - k < PIECE ? n - k : PIECE;
        unpack_scales(type, scale, min, row, width);
        for (int i = 0; i < tokens && traits.has_min; i++) {
            const float *x_sum = (group == 32 ? x->sum32 : x->sum16) + ((t + i) * n + k) / group;
            minima[i] = add_minima(minima[i], min, x_sum, width / group);
        }
#pragma GCC unroll 8
        for (int j = 0; j < PIECE / 32; j++) {
            if (32 * (size_t)j >= width) break;
            const void *block = small ? row + j * traits.block_bytes : row;
            const int8x16x2_t codes = signed_codes_32(type, block, small ? 0 : j);
            for (int i = 0; i < tokens; i++) {
                const size_t at = (t + i) * n + k + 32 * j;
                sum[i][j % 2] = add_block(sum[i][j % 2], codes, scale + 32 / group * j, x->q + at,
                                          x->scale[at / 32], (int)group);
            }
        }
        row += width / traits.block * traits.block_bytes;
    }
    for (int i = 0; i < tokens; i++) {
        float32x4_t total = vaddq_f32(sum[i][0], sum[i][1]);
        y[(t + i) * y_stride] = vaddvq_f32(vsubq_f32(total, minima[i]));
    }
}

INLINE void dot_rows_of(float *y, size_t y_stride, const dtype type, const void *rows,
                        size_t row_bytes, size_t n_rows, const activations *x) {
    for (size_t r = 0; r < n_rows; r++) {
        const char *row = (const char *)rows + r * row_bytes;
        size_t t = 0;
        for (; t + 4 <= x->n_tokens; t += 4) dot_row(y + r, y_stride, type, row, x, t, 4);
        for (; t + 2 <= x->n_tokens; t += 2) dot_row(y + r, y_stride, type, row, x, t, 2);
        for (; t < x->n_tokens; t++) dot_row(y + r, y_stride, type, row, x, t, 1);
    }
}

static void dot_rows_simd(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                          size_t n_rows, const activations *x, void *scratch) {
    (void)scratch;
#define DOT_ROWS(block_type) dot_rows_of(y, y_stride, block_type, rows, row_bytes, n_rows, x)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

#endif
