/* Products over pairs on AVX-512 BF16: twice the terms of a float product at the same pace. */
#include <immintrin.h>

#include "tensor/x86/pack.h"

enum { ROWS = 12, VECTORS = GEMM_PAIRS_COLUMNS / 16 };

INLINE __m512bh pair_of(const uint16_t *a) {
    int pair;
    memcpy(&pair, a, sizeof pair);
    return (__m512bh)_mm512_set1_epi32(pair);
}

INLINE __mmask16 lanes_of(size_t n) { return n >= 16 ? 0xFFFF : (__mmask16)((1u << n) - 1); }

INLINE void pairs_tile(float *y, size_t y_stride, const uint16_t *a, size_t a_stride,
                       const uint16_t *b, size_t n, size_t n_pairs, bool add, const int rows) {
    const __mmask16 lanes[VECTORS] = {lanes_of(n), n > 16 ? lanes_of(n - 16) : 0};
    __m512 sum[ROWS][VECTORS];
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++)
            sum[r][c] = add ? _mm512_maskz_loadu_ps(lanes[c], y + r * y_stride + 16 * c)
                            : _mm512_setzero_ps();
    for (size_t i = 0; i < n_pairs; i++, b += 2 * GEMM_PAIRS_COLUMNS) {
        __m512bh in[VECTORS];
        for (int c = 0; c < VECTORS; c++) in[c] = (__m512bh)_mm512_loadu_si512(b + 32 * c);
        for (int r = 0; r < rows; r++) {
            __m512bh factor = pair_of(a + r * a_stride + 2 * i);
            for (int c = 0; c < VECTORS; c++)
                sum[r][c] = _mm512_dpbf16_ps(sum[r][c], in[c], factor);
        }
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < VECTORS; c++)
            _mm512_mask_storeu_ps(y + r * y_stride + 16 * c, lanes[c], sum[r][c]);
}

static void gemm_pairs_avx512(float *y, size_t y_stride, const uint16_t *a, size_t a_stride,
                              const uint16_t *b, size_t m, size_t n, size_t n_pairs, bool add) {
#define TILES(rows)                                                                 \
    for (; m >= (rows); m -= (rows), y += (rows) * y_stride, a += (rows) * a_stride) \
    pairs_tile(y, y_stride, a, a_stride, b, n, n_pairs, add, rows)
    TILES(ROWS);
    TILES(4);
    TILES(1);
#undef TILES
}

/* 32 halves as bfloat16: F16 is rounded. */
INLINE __m512i bf16_of(const dtype type, __m512i halves) {
    if (type == DTYPE_BF16) return halves;
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_cvtph_ps(_mm512_extracti64x4_epi64(halves, 1)),
                                        _mm512_cvtph_ps(_mm512_castsi512_si256(halves)));
}

/* A pair counts as one number of 32 bits, and the panel is the rows turned. */
INLINE void pack_pairs_of(const dtype type, uint16_t *to, const void *rows, size_t row_bytes,
                          size_t n_rows, size_t n) {
    _Alignas(64) uint16_t piece[GEMM_PAIRS_COLUMNS][PIECE];
    memset(piece + n_rows, 0, (GEMM_PAIRS_COLUMNS - n_rows) * sizeof *piece);
    for (size_t k = 0; k < n; k += PIECE) {
        const size_t width = n - k < PIECE ? n - k : PIECE;
        for (size_t r = 0; r < n_rows; r++) {
            const char *row = (const char *)rows + r * row_bytes + 2 * k;
            for (size_t i = 0; i < width; i += 32) {
                __mmask32 within = width - i < 32 ? (1u << (width - i)) - 1 : ~0u;
                __builtin_prefetch(row + 2 * (n + i), 0, 2);
                _mm512_store_si512(piece[r] + i,
                                   bf16_of(type, _mm512_maskz_loadu_epi16(within, row + 2 * i)));
            }
        }
        transpose(to + k * GEMM_PAIRS_COLUMNS, piece, PIECE / 2, GEMM_PAIRS_COLUMNS, width / 2);
    }
}

static void pack_pairs_avx512(dtype type, uint16_t *to, const void *rows, size_t row_bytes,
                              size_t n_rows, size_t n) {
    if (type == DTYPE_BF16) pack_pairs_of(DTYPE_BF16, to, rows, row_bytes, n_rows, n);
    else pack_pairs_of(DTYPE_F16, to, rows, row_bytes, n_rows, n);
}

static void to_bf16_avx512(uint16_t *out, const float *x, size_t n) {
    for (size_t i = 0; i < n; i += 16) {
        __mmask16 lanes = lanes_of(n - i);
        __m256bh halves = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(lanes, x + i));
        _mm256_mask_storeu_epi16(out + i, lanes, (__m256i)halves);
    }
}

void kernels_fill_avx512_bf16(kernels *k) {
    k->gemm_pairs = gemm_pairs_avx512;
    k->pack_pairs = pack_pairs_avx512;
    k->to_bf16 = to_bf16_avx512;
}
