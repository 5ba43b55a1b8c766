/* Products in 8 bits on AVX-512 VNNI: panels of 32 rows, lanes along the rows.
 *
 * vpdpbusd adds four products of unsigned and signed bytes to a sum in 32 bits; it shares its two
 * pipes with float multiplications, so these count. Types with minima have unsigned codes: a
 * group's product costs one multiplication for the weights' scale, one for the activations' and one
 * for the minimum. The codes of all others are unsigned too, 128 above their value: that adds 128
 * times the sum of the activations' codes, a whole number that each sum begins from, and the third
 * multiplication falls away. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 32, ZERO = 128 };

INLINE int sum_of_lanes(__m128i v) {
    v = _mm_add_epi32(v, _mm_unpackhi_epi64(v, v));
    return _mm_cvtsi128_si32(v) + _mm_extract_epi32(v, 1);
}

/* What sums over 32 columns begin from, and those over the first 16 of them: -ZERO · Σ q. */
static void sum_codes_vnni(void *sums, const int8_t *q, size_t n) {
    int32_t *begin = sums;
    for (size_t b = 0; b < n / 32; b++, q += 32) {
        __m256i sum = _mm256_dpbusd_epi32(_mm256_setzero_si256(), _mm256_set1_epi8((char)ZERO),
                                          _mm256_loadu_si256((const void *)q));
        const int first = sum_of_lanes(_mm256_castsi256_si128(sum));
        begin[2 * b] = -first - sum_of_lanes(_mm256_extracti128_si256(sum, 1));
        begin[2 * b + 1] = -first;
    }
}

static void pack_panel_vnni(dtype type, const panel *to, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    const uint8_t bias = traits.has_min ? 0 : (uint8_t)(ZERO - traits.zero);
    pack_panel_x86(type, to, rows, row_bytes, n_rows, n, PANEL_ROWS, bias);
}

enum { TILE_TOKENS = 6 };

INLINE __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* Where the sums over group h of a block begin, from sum_codes_vnni. */
INLINE __m512i beginning(const int32_t *begin, const int h, const int group) {
    if (group == 32) return _mm512_set1_epi32(begin[0]);
    if (h == 0) return _mm512_set1_epi32(begin[1]);
    return _mm512_sub_epi32(_mm512_set1_epi32(begin[0]), _mm512_set1_epi32(begin[1]));
}

INLINE __m512i four_codes(const int8_t *q) {
    int32_t four;
    memcpy(&four, q, sizeof four);
    return _mm512_set1_epi32(four);
}

/* 32 rows × 6 tokens: twelve sums in 32 bits and twelve in floats stay in registers. */
INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group,
                       const bool symmetric) {
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *w = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in = x->q + t * n;
    const float *x_scale = x->scale + t * blocks;
    const int32_t *begin = (const int32_t *)x->sums + t * 2 * blocks;
    __m512 sum[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++, in += 32, x_scale++, begin += 2) {
        __m512 block[TILE_TOKENS][2];
        for (int h = 0; h < 32 / group; h++) {
            __m512i dot[TILE_TOKENS][2];
            for (int i = 0; i < tokens; i++)
                dot[i][0] = dot[i][1] = symmetric ? beginning(begin + 2 * i * blocks, h, group)
                                                  : _mm512_setzero_si512();
            for (int s = 0; s < group / 4; s++) {
                __m512i w0 = _mm512_load_si512(w + 128 * s);
                __m512i w1 = _mm512_load_si512(w + 128 * s + 64);
                for (int i = 0; i < tokens; i++) {
                    __m512i a = four_codes(in + i * n + group * h + 4 * s);
                    dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], w0, a);
                    dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], w1, a);
                }
            }
            const float *x_sum =
                group == 32 ? x->sum32 + t * blocks + b : x->sum16 + 2 * (t * blocks + b) + h;
            const size_t sum_stride = 32 / group * blocks;
            for (int i = 0; i < tokens; i++) {
                __m512 total = _mm512_set1_ps(x_sum[i * sum_stride]);
                for (int v = 0; v < 2; v++) {
                    __m512 d = _mm512_cvtepi32_ps(dot[i][v]);
                    __m512 scale = _mm512_load_ps(w_scale + 16 * v);
                    block[i][v] =
                        h ? _mm512_fmadd_ps(d, scale, block[i][v]) : _mm512_mul_ps(d, scale);
                    if (!symmetric)
                        sum[i][v] =
                            _mm512_fnmadd_ps(_mm512_load_ps(w_min + 16 * v), total, sum[i][v]);
                }
            }
            w += group * PANEL_ROWS;
            w_scale += PANEL_ROWS;
            w_min += PANEL_ROWS;
        }
        for (int i = 0; i < tokens; i++)
            for (int v = 0; v < 2; v++)
                sum[i][v] =
                    _mm512_fmadd_ps(block[i][v], _mm512_set1_ps(x_scale[i * blocks]), sum[i][v]);
    }
    const __mmask16 first = first_lanes(n_rows);
    const __mmask16 second = n_rows > 16 ? first_lanes(n_rows - 16) : 0;
    for (int i = 0; i < tokens; i++) {
        float *out = y + (t + i) * y_stride;
        _mm512_mask_storeu_ps(out, first, sum[i][0]);
        _mm512_mask_storeu_ps(out + 16, second, sum[i][1]);
    }
}

INLINE void panel_tiles(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                        const activations *x, const int group, const bool symmetric) {
#define PANEL_TILE(tokens) panel_tile(y, y_stride, rows, n_rows, x, t, tokens, group, symmetric)
    size_t t = 0;
    for (; t + TILE_TOKENS <= x->n_tokens; t += TILE_TOKENS) PANEL_TILE(TILE_TOKENS);
    switch (x->n_tokens - t) {
    case 1: PANEL_TILE(1); break;
    case 2: PANEL_TILE(2); break;
    case 3: PANEL_TILE(3); break;
    case 4: PANEL_TILE(4); break;
    case 5: PANEL_TILE(5); break;
    }
#undef PANEL_TILE
}

static void gemm_panel_vnni(float *y, size_t y_stride, dtype type, const panel *rows,
                            size_t n_rows, const activations *x) {
    const unpack_traits traits = unpack_traits_of(type);
#define PANEL_TILES(group, symmetric) panel_tiles(y, y_stride, rows, n_rows, x, group, symmetric)
    if (traits.group == 16)
        traits.has_min ? PANEL_TILES(16, false) : PANEL_TILES(16, true);
    else
        traits.has_min ? PANEL_TILES(32, false) : PANEL_TILES(32, true);
#undef PANEL_TILES
}

void kernels_fill_avx512_vnni(kernels *k) {
    k->name = "avx512-vnni";
    k->sum_codes = sum_codes_vnni;
    k->gemm_rows = NULL;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_vnni;
    k->gemm_panel = gemm_panel_vnni;
}
