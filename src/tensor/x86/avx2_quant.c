/* Products in 8 bits on AVX2: vpmaddubsw multiplies unsigned weights with signed activations and
 * adds pairs in 16 bits, where several of them fit before the sum is widened. Weights that use all
 * 8 bits would overflow there: their sign goes to the activation, each pair is widened at once. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 16, MOST_TOKENS = 4, BIAS = 0 };

/* --- activations --- */

INLINE int sum_of_bytes(__m128i q) {
    __m128i sums = _mm_madd_epi16(_mm_maddubs_epi16(_mm_set1_epi8(1), q), _mm_set1_epi16(1));
    sums = _mm_add_epi32(sums, _mm_unpackhi_epi64(sums, sums));
    return _mm_cvtsi128_si32(sums) + _mm_extract_epi32(sums, 1);
}

static void quantise_row_avx2(int8_t *q, float *scale, float *sum32, float *sum16, const float *x,
                              size_t n) {
    const __m256i magnitude = _mm256_set1_epi32(0x7fffffff);
    const __m256i in_order = _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7);
    for (size_t b = 0; b < n / 32; b++, x += 32, q += 32) {
        __m256 v[4];
        __m256i largest = _mm256_setzero_si256(); /* as bits, above which NaN stands */
        for (int i = 0; i < 4; i++) {
            v[i] = _mm256_loadu_ps(x + 8 * i);
            largest = _mm256_max_epi32(_mm256_and_si256(_mm256_castps_si256(v[i]), magnitude),
                                       largest);
        }
        __m128i four =
            _mm_max_epi32(_mm256_castsi256_si128(largest), _mm256_extracti128_si256(largest, 1));
        four = _mm_max_epi32(four, _mm_unpackhi_epi64(four, four));
        four = _mm_max_epi32(four, _mm_shuffle_epi32(four, 1));
        float most = _mm_cvtss_f32(_mm_castsi128_ps(four));
        float s = most < 1e-35f ? 0.0f : most / 127.0f;
        __m256 inverse = _mm256_set1_ps(s > 0 ? 1.0f / s : 0.0f);
        __m256i whole[4];
        for (int i = 0; i < 4; i++) whole[i] = _mm256_cvtps_epi32(_mm256_mul_ps(v[i], inverse));
        __m256i codes = _mm256_packs_epi16(_mm256_packs_epi32(whole[0], whole[1]),
                                           _mm256_packs_epi32(whole[2], whole[3]));
        codes = _mm256_permutevar8x32_epi32(codes, in_order);
        _mm256_storeu_si256((void *)q, codes);
        int first = sum_of_bytes(_mm256_castsi256_si128(codes));
        int second = sum_of_bytes(_mm256_extracti128_si256(codes, 1));
        scale[b] = s;
        sum32[b] = s * (float)(first + second);
        sum16[2 * b] = s * (float)first;
        sum16[2 * b + 1] = s * (float)second;
    }
}

/* --- rows --- */

/* |w| · 127 · 2 fits 16 bits. */
INLINE __m256i dot_32(__m256i w, __m256i x, const bool is_signed) {
    __m256i pairs = is_signed ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(x, w))
                              : _mm256_maddubs_epi16(w, x);
    return _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
}

#include "tensor/x86/dot_rows.h"

/* --- panels: 16 rows, lanes along the rows --- */

static void pack_panel_avx2(dtype type, const panel *to, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
    pack_panel_x86(type, to, rows, row_bytes, n_rows, n, PANEL_ROWS, BIAS);
}

enum { TILE_TOKENS = 3 };

/* Sums of the products of 4 · steps columns in 32 bits; `narrow` of the 16-bit sums fit before they
 * are widened, 0 for signed weights. */
INLINE void panel_dots(__m256i dot[TILE_TOKENS][2], const uint8_t *w, const int8_t *const *x,
                       const int tokens, const int steps, const int narrow) {
    const __m256i ones = _mm256_set1_epi16(1);
    const int run = narrow ? narrow : 1;
    for (int i = 0; i < tokens; i++) dot[i][0] = dot[i][1] = _mm256_setzero_si256();
    for (int first = 0; first < steps; first += run) {
        __m256i pairs[TILE_TOKENS][2];
        for (int s = first; s < first + run; s++) {
            __m256i w0 = _mm256_load_si256((const void *)(w + 64 * s));
            __m256i w1 = _mm256_load_si256((const void *)(w + 64 * s + 32));
            __m256i a0 = narrow ? w0 : _mm256_abs_epi8(w0), a1 = narrow ? w1 : _mm256_abs_epi8(w1);
            for (int i = 0; i < tokens; i++) {
                int32_t four;
                memcpy(&four, x[i] + 4 * s, 4);
                __m256i in = _mm256_set1_epi32(four);
                __m256i p0 = _mm256_maddubs_epi16(a0, narrow ? in : _mm256_sign_epi8(in, w0));
                __m256i p1 = _mm256_maddubs_epi16(a1, narrow ? in : _mm256_sign_epi8(in, w1));
                pairs[i][0] = s == first ? p0 : _mm256_add_epi16(pairs[i][0], p0);
                pairs[i][1] = s == first ? p1 : _mm256_add_epi16(pairs[i][1], p1);
            }
        }
        for (int i = 0; i < tokens; i++)
            for (int v = 0; v < 2; v++) {
                __m256i wide = _mm256_madd_epi16(pairs[i][v], ones);
                dot[i][v] = first ? _mm256_add_epi32(dot[i][v], wide) : wide;
            }
    }
}

INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group,
                       const int narrow) {
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *w = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in[TILE_TOKENS];
    __m256 sum[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) {
        in[i] = x->q + (t + i) * n;
        sum[i][0] = sum[i][1] = _mm256_setzero_ps();
    }
    for (size_t b = 0; b < blocks; b++) {
        __m256 block[TILE_TOKENS][2];
        for (int h = 0; h < 32 / group; h++) {
            __m256i dot[TILE_TOKENS][2];
            panel_dots(dot, w, in, tokens, group / 4, narrow);
            for (int i = 0; i < tokens; i++) {
                size_t at = (t + i) * blocks + b;
                __m256 x_sum = _mm256_set1_ps(group == 32 ? x->sum32[at] : x->sum16[2 * at + h]);
                for (int v = 0; v < 2; v++) {
                    __m256 d = _mm256_cvtepi32_ps(dot[i][v]);
                    __m256 scale = _mm256_load_ps(w_scale + 8 * v);
                    block[i][v] =
                        h ? _mm256_fmadd_ps(d, scale, block[i][v]) : _mm256_mul_ps(d, scale);
                    if (narrow)
                        sum[i][v] =
                            _mm256_fnmadd_ps(_mm256_load_ps(w_min + 8 * v), x_sum, sum[i][v]);
                }
                in[i] += group;
            }
            w += group * PANEL_ROWS;
            w_scale += PANEL_ROWS;
            w_min += PANEL_ROWS;
        }
        for (int i = 0; i < tokens; i++) {
            __m256 x_scale = _mm256_set1_ps(x->scale[(t + i) * blocks + b]);
            for (int v = 0; v < 2; v++)
                sum[i][v] = _mm256_fmadd_ps(block[i][v], x_scale, sum[i][v]);
        }
    }
    for (int i = 0; i < tokens; i++) {
        _Alignas(32) float out[PANEL_ROWS];
        _mm256_store_ps(out, sum[i][0]);
        _mm256_store_ps(out + 8, sum[i][1]);
        memcpy(y + (t + i) * y_stride, out, n_rows * sizeof(float));
    }
}

INLINE void panel_tiles(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                        const activations *x, const int group, const int narrow) {
    size_t t = 0;
    for (; t + 3 <= x->n_tokens; t += 3)
        panel_tile(y, y_stride, rows, n_rows, x, t, 3, group, narrow);
    if (t + 2 == x->n_tokens)
        panel_tile(y, y_stride, rows, n_rows, x, t, 2, group, narrow);
    else if (t + 1 == x->n_tokens)
        panel_tile(y, y_stride, rows, n_rows, x, t, 1, group, narrow);
}

/* A pair's sum is at most 2 · 127 · max, so 8, 4 and 2 of them fit for max = 15, 31 and 63. */
static void gemm_panel_avx2(float *y, size_t y_stride, dtype type, const panel *rows,
                            size_t n_rows, const activations *x) {
    const unpack_traits traits = unpack_traits_of(type);
    if (traits.group == 16 && traits.max <= 31)
        panel_tiles(y, y_stride, rows, n_rows, x, 16, 4);
    else if (traits.group == 16)
        panel_tiles(y, y_stride, rows, n_rows, x, 16, 2);
    else if (traits.is_signed)
        panel_tiles(y, y_stride, rows, n_rows, x, 32, 0);
    else if (traits.max <= 15)
        panel_tiles(y, y_stride, rows, n_rows, x, 32, 8);
    else
        panel_tiles(y, y_stride, rows, n_rows, x, 32, 4);
}

void kernels_fill_avx2_quant(kernels *k) {
    k->quantise_row = quantise_row_avx2;
    k->dot_rows = dot_rows_x86;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_avx2;
    k->gemm_panel = gemm_panel_avx2;
}
