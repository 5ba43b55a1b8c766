/* Products in 8 bits on AVX-512 VNNI: panels of 32 rows, lanes along the rows.
 *
 * vpdpbusd adds four products of unsigned and signed bytes to a sum in 32 bits; it shares its two
 * pipes with float multiplications, so these count. Types with minima have unsigned codes: a
 * group's product costs one multiplication for the weights' scale, one for the activations' and one
 * for the minimum. All others are made signed and the activations unsigned, 128 above their value:
 * that adds 128 times the sum of a group's codes, a whole number that each sum begins from, and the
 * third multiplication falls away. */
#include "tensor/x86/pack.h"

enum { PANEL_ROWS = 32 };

/* What each sum of a group of a symmetric type begins from, for all rows of the panel; in the place
 * of the minima. */
static void fill_beginnings(int32_t *beginning, const uint8_t *q, size_t n, const size_t group) {
    for (size_t g = 0; g < n / group; g++, beginning += PANEL_ROWS)
        for (size_t v = 0; v < PANEL_ROWS; v += 16) {
            __m512i sum = _mm512_setzero_si512();
            for (size_t k = g * group; k < (g + 1) * group; k += 4) {
                __m512i codes = _mm512_load_si512(q + k * PANEL_ROWS + 4 * v);
                sum = _mm512_dpbusd_epi32(sum, _mm512_set1_epi8((char)128), codes);
            }
            _mm512_store_si512(beginning + v, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
        }
}

static void pack_panel_vnni(dtype type, const panel *to, const void *rows, size_t row_bytes,
                            size_t n_rows, size_t n) {
    const unpack_traits traits = unpack_traits_of(type);
    const uint8_t bias = (uint8_t)-traits.zero;
    pack_panel_x86(type, to, rows, row_bytes, n_rows, n, PANEL_ROWS, bias);
    if (!traits.has_min) fill_beginnings((int32_t *)to->min, to->q, n, traits.group);
}

enum { TILE_TOKENS = 6 };

INLINE __mmask16 first_lanes(size_t n) { return n >= 16 ? 0xffff : (__mmask16)((1u << n) - 1); }

/* 32 rows × 6 tokens: twelve sums in 32 bits and twelve in floats stay in registers. */
INLINE void panel_tile(float *y, size_t y_stride, const panel *rows, size_t n_rows,
                       const activations *x, size_t t, const int tokens, const int group,
                       const bool symmetric) {
    const __m512i above = _mm512_set1_epi8((char)128);
    const size_t n = x->n_in, blocks = n / 32;
    const uint8_t *w = rows->q;
    const float *w_scale = rows->scale, *w_min = rows->min;
    const int8_t *in = x->q + t * n;
    const float *x_scale = x->scale + t * blocks;
    __m512 sum[TILE_TOKENS][2];
    for (int i = 0; i < tokens; i++) sum[i][0] = sum[i][1] = _mm512_setzero_ps();
    for (size_t b = 0; b < blocks; b++, in += 32, x_scale++) {
        __m512 block[TILE_TOKENS][2];
        for (int h = 0; h < 32 / group; h++) {
            __m512i dot[TILE_TOKENS][2];
            for (int i = 0; i < tokens; i++)
                for (int v = 0; v < 2; v++)
                    dot[i][v] = symmetric ? _mm512_load_si512(w_min + 16 * v)
                                          : _mm512_setzero_si512();
            for (int s = 0; s < group / 4; s++) {
                __m512i w0 = _mm512_load_si512(w + 128 * s);
                __m512i w1 = _mm512_load_si512(w + 128 * s + 64);
                for (int i = 0; i < tokens; i++) {
                    int32_t four;
                    memcpy(&four, in + i * n + group * h + 4 * s, 4);
                    __m512i a = _mm512_set1_epi32(four);
                    if (symmetric) a = _mm512_xor_si512(a, above);
                    dot[i][0] = symmetric ? _mm512_dpbusd_epi32(dot[i][0], a, w0)
                                          : _mm512_dpbusd_epi32(dot[i][0], w0, a);
                    dot[i][1] = symmetric ? _mm512_dpbusd_epi32(dot[i][1], a, w1)
                                          : _mm512_dpbusd_epi32(dot[i][1], w1, a);
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
    k->sum_pairs = NULL; /* of AVX2's products with many tokens */
    k->gemm_rows = NULL;
    k->panel_rows = PANEL_ROWS;
    k->pack_panel = pack_panel_vnni;
    k->gemm_panel = gemm_panel_vnni;
}
