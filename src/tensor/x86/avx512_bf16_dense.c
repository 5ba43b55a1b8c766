/* Products of activations on AVX-512 BF16: twice the terms of a float product at the same pace. */
#include <immintrin.h>

#include "tensor/kernels_int.h"

enum { ROWS = 6, VECTORS = GEMM_PAIRS_COLUMNS / 16 };

INLINE __m512bh pair_of(const uint16_t *a) {
    int pair;
    __builtin_memcpy(&pair, a, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

INLINE void pairs_tile(float *y, size_t y_stride, const uint16_t *a, size_t a_stride,
                       const uint16_t *b, size_t n_pairs, const int rows) {
    __m512 sum[ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++) sum[r][c] = _mm512_setzero_ps();
    for (size_t i = 0; i < n_pairs; i++, b += 2 * GEMM_PAIRS_COLUMNS) {
        __m512bh in[VECTORS];
        for (int c = 0; c < VECTORS; c++) in[c] = (__m512bh)_mm512_loadu_si512(b + 32 * c);
        for (int r = 0; r < rows; r++) {
            __m512bh factor = pair_of(a + r * a_stride + 2 * i);
            for (int c = 0; c < VECTORS; c++)
                sum[r][c] = _mm512_dpbf16_ps(sum[r][c], factor, in[c]);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++)
            _mm512_storeu_ps(y + r * y_stride + 16 * c, sum[r][c]);
}

static void gemm_pairs_avx512(float *y, size_t y_stride, const uint16_t *a, size_t a_stride,
                              const uint16_t *b, size_t m, size_t n_pairs) {
    for (; m >= ROWS; m -= ROWS, y += ROWS * y_stride, a += ROWS * a_stride)
        pairs_tile(y, y_stride, a, a_stride, b, n_pairs, ROWS);
    for (; m > 0; m--, y += y_stride, a += a_stride)
        pairs_tile(y, y_stride, a, a_stride, b, n_pairs, 1);
}

static void to_bf16_avx512(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = n - i < 16 ? (__mmask16)((1u << (n - i)) - 1) : 0xFFFF;
        __m256bh halves = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x + i));
        _mm256_mask_storeu_epi16(out + i, lanes, (__m256i)halves);
    }
}

void kernels_fill_avx512_bf16_dense(kernels *k) {
    k->gemm_pairs = gemm_pairs_avx512;
    k->to_bf16 = to_bf16_avx512;
}
