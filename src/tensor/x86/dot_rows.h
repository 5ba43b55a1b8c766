/* Rows of blocks with few tokens: one row at a time, lanes along k, codes from the blocks straight
 * into registers. The file that includes this has defined BIAS, what it adds to signed codes,
 * MOST_TOKENS, 4 or 8 at a time, and
 *
 *     __m256i dot_32(__m256i w, __m256i x, bool is_signed)
 *
 * for the sums of four products each of 32 codes and activations. */
#ifndef TENSOR_X86_DOT_ROWS_H
#define TENSOR_X86_DOT_ROWS_H

#include "tensor/x86/pack.h"

INLINE __m256 load_first(const float *p, size_t n) {
    if (n >= 8) return _mm256_loadu_ps(p);
    __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_maskload_ps(p, _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), lanes));
}

INLINE float sum_lanes(__m256 v) {
    __m128 four = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    four = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(four, _mm_movehdup_ps(four)));
}

/* Four of eight numbers from `first` on, each twice. */
INLINE __m256 each_twice(__m256 v, const int first) {
    __m256i twice = _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3);
    return _mm256_permutevar8x32_ps(v, _mm256_add_epi32(twice, _mm256_set1_epi32(first)));
}

/* The factors of the lanes of weights 32j … 32j + 31. They come from memory, where a broadcast is
 * part of the load. */
INLINE __m256 factors_of_lanes(const float *factor, const size_t group, const int j) {
    if (group == 32) return _mm256_set1_ps(factor[j]);
    const int first = 2 * j % 8, second = first + 1;
    return _mm256_permutevar8x32_ps(_mm256_load_ps(factor + j / 4 * 8),
                                    _mm256_setr_epi32(first, first, first, first, second, second,
                                                      second, second));
}

/* Adds the products of the first `width` weights, PIECE at the most, of the blocks at `blocks` with
 * columns from k on of `tokens` tokens from t on. */
INLINE void dot_piece(__m256 sum[], const dtype type, const char *blocks, const activations *x,
                      size_t t, size_t k, const size_t width, const int tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    const bool biased = traits.is_signed && BIAS != 0, has_min = biased || !traits.is_signed;
    const size_t n = x->n_in, group = traits.group, n_groups = width / group;
    _Alignas(32) float scale[PIECE / 16], min[PIECE / 16], factor[MOST_TOKENS][PIECE / 16];
    __m256 part[MOST_TOKENS][2]; /* short chains of additions, begun anew for each piece */
    unpack_scales_and_minima(type, scale, min, zero_code(type, BIAS), blocks, width);
    for (int i = 0; i < tokens; i++) {
        const float *x_sum = (group == 32 ? x->sum32 : x->sum16) + ((t + i) * n + k) / group;
        __m256 x_scale = load_first(x->scale + ((t + i) * n + k) / 32, width / 32);
        part[i][0] = part[i][1] = _mm256_setzero_ps();
        for (size_t g = 0; g < PIECE / group; g += 8) {
            __m256 both = group == 32 ? x_scale : each_twice(x_scale, (int)g / 2);
            _mm256_store_ps(factor[i] + g,
                            _mm256_mul_ps(load_first(scale + g, n_groups - g), both));
            if (has_min)
                part[i][0] = _mm256_fnmadd_ps(load_first(min + g, n_groups - g),
                                              load_first(x_sum + g, n_groups - g), part[i][0]);
        }
    }
#pragma GCC unroll 8
    for (int j = 0; j < PIECE / 32; j++) {
        if (32 * (size_t)j >= width) break;
        const char *block = blocks + 32 * j / traits.block * traits.block_bytes;
        __m256i codes = codes_32(type, block, 32 * j % traits.block / 32);
        if (biased) codes = _mm256_add_epi8(codes, _mm256_set1_epi8((char)BIAS));
        for (int i = 0; i < tokens; i++) {
            __m256i in = _mm256_loadu_si256((const void *)(x->q + (t + i) * n + k + 32 * j));
            __m256 dot = _mm256_cvtepi32_ps(dot_32(codes, in, traits.is_signed));
            part[i][j % 2] =
                _mm256_fmadd_ps(dot, factors_of_lanes(factor[i], group, j), part[i][j % 2]);
        }
    }
    for (int i = 0; i < tokens; i++)
        sum[i] = _mm256_add_ps(sum[i], _mm256_add_ps(part[i][0], part[i][1]));
}

INLINE void dot_row(float *y, size_t y_stride, const dtype type, const char *row,
                    const activations *x, size_t t, const int tokens) {
    const unpack_traits traits = unpack_traits_of(type);
    __m256 sum[MOST_TOKENS];
    size_t k = 0;
    for (int i = 0; i < tokens; i++) sum[i] = _mm256_setzero_ps();
    for (; k + PIECE <= x->n_in; k += PIECE, row += PIECE / traits.block * traits.block_bytes)
        dot_piece(sum, type, row, x, t, k, PIECE, tokens);
    if (traits.block < PIECE && k < x->n_in)
        dot_piece(sum, type, row, x, t, k, x->n_in - k, tokens);
    for (int i = 0; i < tokens; i++) y[(t + i) * y_stride] = sum_lanes(sum[i]);
}

INLINE void dot_rows_of(float *y, size_t y_stride, const dtype type, const char *row,
                        size_t row_bytes, size_t n_rows, const activations *x) {
    for (size_t r = 0; r < n_rows; r++, row += row_bytes, y++) {
        size_t t = 0;
        for (; MOST_TOKENS == 8 && t + 8 <= x->n_tokens; t += 8)
            dot_row(y, y_stride, type, row, x, t, MOST_TOKENS);
        for (; t + 4 <= x->n_tokens; t += 4) dot_row(y, y_stride, type, row, x, t, 4);
        for (; t + 2 <= x->n_tokens; t += 2) dot_row(y, y_stride, type, row, x, t, 2);
        if (t < x->n_tokens) dot_row(y, y_stride, type, row, x, t, 1);
    }
}

/* The slot dot_rows. */
static void dot_rows_x86(float *y, size_t y_stride, dtype type, const void *rows, size_t row_bytes,
                         size_t n_rows, const activations *x, void *scratch) {
    (void)scratch;
#define DOT_ROWS(block_type) dot_rows_of(y, y_stride, block_type, rows, row_bytes, n_rows, x)
    FOR_BLOCK_TYPE(type, DOT_ROWS)
#undef DOT_ROWS
}

#endif
